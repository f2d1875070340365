/* SPDX-License-Identifier: MIT */
/* Files of variables. See env-file.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/env-file.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/ini.h"
#include "base/util.h"

struct env_file {
	char ***env;
	struct err *e;
};

static bool
name_ok(const char *s)
{
	if (!*s || isdigit((unsigned char)*s))
		return false;
	while (isalnum((unsigned char)*s) || *s == '_')
		s++;
	return !*s;
}

static int
on_item(const struct ini_item *it, void *arg)
{
	struct env_file *f = arg;
	struct buf pair = BUF_INIT;
	const char *why;
	char **words;

	if (!it->key || *it->section || !name_ok(it->key))
		return err_set_status(f->e, 422, -EINVAL, "line %d: wants NAME=VALUE", it->line);
	buf_printf(&pair, "%s=", it->key);
	if (*it->value == '"' || *it->value == '\'') {
		words = ini_split_words(it->value, &why);
		if (!words) {
			buf_free(&pair);
			return err_set_status(f->e, 422, -EINVAL, "line %d: %s", it->line, why);
		}
		for (size_t i = 0; words[i]; i++) {
			if (i > 0)
				buf_putc(&pair, ' ');
			buf_puts(&pair, words[i]);
		}
		strv_free(words);
	} else {
		buf_puts(&pair, it->value);
	}
	*f->env = strv_add(*f->env, pair.data);
	buf_free(&pair);
	return 0;
}

int
env_file_parse(char ***env, const char *text, size_t n, struct err *e)
{
	struct env_file f = {env, e};
	int r = ini_parse(text, n, on_item, &f);

	return r == -EFBIG ? err_set_status(e, 422, r, "too large") : r;
}
