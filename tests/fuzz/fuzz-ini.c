/* SPDX-License-Identifier: MIT */
/* Any text as a unit file: what comes out of the parser is in its bounds, and means the same when
 * it is written again. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ini.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

/* One assignment, to be compared with the same one read again. */
struct again {
	const struct ini_item *want;
	int seen;
};

static int
compare(const struct ini_item *it, void *arg)
{
	struct again *a = arg;

	a->seen++;
	require(it->key && strcmp(it->key, a->want->key) == 0 &&
		strcmp(it->value, a->want->value) == 0);
	require(it->line == 2 && it->column == 1);
	return 0;
}

static void
check_again(const struct ini_item *it)
{
	struct again a = {.want = it};
	size_t n = strlen(it->value);
	struct buf b = BUF_INIT;

	/* At the end of a line a backslash means something else. */
	if (n > 0 && it->value[n - 1] == '\\')
		return;
	/* Not on the first line, where a byte order mark would be dropped. */
	buf_printf(&b, "\n%s=%s\n", it->key, it->value);
	require(ini_parse(b.data, b.len, compare, &a) == 0 && a.seen == 1);
	buf_free(&b);
}

static void
check_words(const char *value)
{
	const char *why;
	char **v = ini_split_words(value, &why), **again;
	struct buf b = BUF_INIT;

	require((v == NULL) == (why != NULL));
	/* Each word in double quotes, with what is special escaped, is the same words. */
	buf_puts(&b, "");
	for (char **w = v; w && *w; w++) {
		buf_puts(&b, " \"");
		for (const char *p = *w; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_putc(&b, '\\');
			buf_putc(&b, *p);
		}
		buf_putc(&b, '"');
	}
	again = ini_split_words(b.data, &why);
	require(again != NULL && strv_len(again) == strv_len(v));
	for (size_t i = 0; i < strv_len(v); i++)
		require(strcmp(v[i], again[i]) == 0);
	strv_free(again);
	strv_free(v);
	buf_free(&b);
}

static int
on_item(const struct ini_item *it, void *arg)
{
	int *last_line = arg;

	require(it->section && it->value && it->line >= *last_line && it->column >= 1);
	*last_line = it->line;
	if (!it->key)
		return 0;
	require(it->key[0] != '\0' && it->value_column > it->column &&
		strlen(it->value) <= INI_VALUE_MAX);
	check_again(it);
	check_words(it->value);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int line = 1, r = ini_parse((const char *)data, size, on_item, &line);

	require(r == 0 || r == -EFBIG);
	return 0;
}
