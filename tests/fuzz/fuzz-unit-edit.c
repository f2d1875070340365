/* SPDX-License-Identifier: MIT */
/*
 * Any edit of any text. The input is SECTION \n KEY \n VALUE \n VALUE \n and, behind an empty line,
 * the text. What the parser sees afterwards is what it saw before, but for the key, which has the
 * values; every comment is still there; and quoting gives back what was quoted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/unit-edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

struct items {
	const char *section, *key;
	struct buf others, values; /* the assignments, one a line */
};

static int
on_item(const struct ini_item *it, void *arg)
{
	struct items *items = arg;
	bool mine = it->key && strcmp(it->section, items->section) == 0 &&
		    strcmp(it->key, items->key) == 0;

	if (mine)
		buf_printf(&items->values, "%s\n", it->value);
	else
		buf_printf(&items->others, "[%s]%s=%s\n", it->section, it->key ? it->key : "\x01",
			   it->value);
	return 0;
}

static int
items_of(struct items *items, const char *section, const char *key, const struct buf *text)
{
	*items = (struct items){.section = section, .key = key};
	buf_put(&items->others, "", 0);
	buf_put(&items->values, "", 0);
	return ini_parse(text->data, text->len, on_item, items);
}

static void
items_free(struct items *items)
{
	buf_free(&items->others);
	buf_free(&items->values);
}

static int
comments(const struct buf *text)
{
	int n = 0;

	for (size_t i = 0; i < text->len; i++) {
		if (i == 0 && text->len >= 3 && memcmp(text->data, "\xef\xbb\xbf", 3) == 0)
			i = 3;
		else if (i > 0 && text->data[i - 1] != '\n')
			continue;
		while (i < text->len && strchr(" \t\r\v\f", text->data[i]) && text->data[i])
			i++;
		n += i < text->len && (text->data[i] == '#' || text->data[i] == ';');
	}
	return n;
}

static void
check_set(const struct buf *text, const char *section, const char *key, char *const *values)
{
	struct items before, after;
	struct buf out = BUF_INIT, want = BUF_INIT, again = BUF_INIT;
	struct err e;
	int r = items_of(&before, section, key, text);

	buf_put(&want, "", 0);
	for (size_t i = 0; values && values[i]; i++)
		buf_printf(&want, "%s\n", values[i]);
	if (unit_edit_set(&out, text->data, text->len, section, key, values, &e) == 0 && r == 0) {
		require(items_of(&after, section, key, &out) == 0);
		require(strcmp(before.others.data, after.others.data) == 0);
		require(strcmp(after.values.data, want.data) == 0);
		require(comments(text) == comments(&out));
		/* The same once more changes nothing. */
		require(unit_edit_set(&again, out.data, out.len, section, key, values, &e) == 0);
		require(again.len == out.len && memcmp(again.data, out.data, out.len) == 0);
		items_free(&after);
	}
	items_free(&before);
	buf_free(&out);
	buf_free(&want);
	buf_free(&again);
}

static void
check_quotes(const char *text)
{
	struct buf out = BUF_INIT;
	const char *why;
	char *back, **words;

	unit_quote_text(&out, text);
	back = unit_unquote_text(out.data);
	require(strcmp(back, text) == 0);
	free(back);
	buf_reset(&out);
	unit_quote_word(&out, text);
	words = ini_split_words(out.data, &why);
	require(words && words[0] && !words[1] && strcmp(words[0], text) == 0);
	strv_free(words);
	buf_free(&out);
}

/* The line at *s, which moves behind it; caller frees. */
static char *
take_line(const char **s, const char *end)
{
	const char *nl = memchr(*s, '\n', (size_t)(end - *s)), *start = *s;

	*s = nl ? nl + 1 : end;
	return xstrndup(start, (size_t)((nl ? nl : end) - start));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data, *end = s + size;
	char *section = take_line(&s, end), *key = take_line(&s, end), **values = NULL;
	struct buf text = BUF_INIT;

	while (s < end) {
		char *value = take_line(&s, end);
		bool last = !*value || strv_len(values) == 4;

		if (!last)
			values = strv_add(values, value);
		free(value);
		if (last)
			break;
	}
	buf_put(&text, s, (size_t)(end - s));
	check_set(&text, section, key, values);
	check_set(&text, section, key, NULL);
	check_quotes(text.data);
	strv_free(values);
	buf_free(&text);
	free(section);
	free(key);
	return 0;
}
