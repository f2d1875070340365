/* SPDX-License-Identifier: MIT */
/* The lines and words of unit files: systemd.syntax(7), and the quoting of systemd.service(5). Pure
 * and fuzzed. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/ini.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

struct ini {
	const char *p, *end; /* what is left of the text */
	int line;            /* number of the line at p */
	struct buf joined;   /* the current line with its continuations */
	int first_line;      /* where it began */
	int indent;          /* white space in front of it, bytes */
	struct buf section, key, value;
	int section_line, section_column;
	int (*on_item)(const struct ini_item *it, void *arg);
	void *arg;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* An odd number of backslashes at the end: the last one joins the next line, the others are pairs.
 */
static bool
ends_in_continuation(const char *s, size_t n)
{
	size_t k = 0;

	while (k < n && s[n - 1 - k] == '\\')
		k++;
	return k % 2 == 1;
}

/* The next line of the text without its end and the white space around it; false at the end. */
static bool
next_line(struct ini *in, const char **s, size_t *n, int *indent)
{
	const char *start = in->p, *nl, *stop;

	if (in->p == in->end)
		return false;
	nl = memchr(start, '\n', (size_t)(in->end - start));
	stop = nl ? nl : in->end;
	in->p = nl ? nl + 1 : in->end;
	in->line++;
	if (stop > start && stop[-1] == '\r')
		stop--;
	*s = start;
	while (*s < stop && is_space(**s))
		(*s)++;
	*indent = (int)(*s - start);
	*n = (size_t)(stop - *s);
	return true;
}

/* Collects a line and its continuations in in->joined. 1, 0 at the end of the text, or -EFBIG. */
static int
next_joined(struct ini *in)
{
	bool continued = false;
	const char *s;
	size_t n;
	int indent;

	buf_reset(&in->joined);
	while (next_line(in, &s, &n, &indent)) {
		if (n > 0 && (*s == '#' || *s == ';'))
			continue;
		if (!continued) {
			in->first_line = in->line;
			in->indent = indent;
		}
		continued = ends_in_continuation(s, n);
		if (in->joined.len + n > INI_VALUE_MAX + 1024)
			return -EFBIG;
		buf_put(&in->joined, s, continued ? n - 1 : n);
		if (!continued)
			return 1;
		buf_putc(&in->joined, ' ');
	}
	return in->joined.len > 0;
}

static int
emit(struct ini *in, const char *key, const char *value, size_t column, size_t value_column)
{
	struct ini_item it = {.section = in->section.data ? in->section.data : "",
			      .key = key,
			      .value = value,
			      .line = in->first_line,
			      .column = in->indent + (int)column + 1,
			      .value_column = in->indent + (int)value_column + 1,
			      .section_line = in->section_line,
			      .section_column = in->section_column};

	return in->on_item(&it, in->arg);
}

static int
broken(struct ini *in, const char *why, size_t column)
{
	return emit(in, NULL, why, column, column);
}

static int
parse_section(struct ini *in, const char *s, size_t n)
{
	const char *close = memchr(s, ']', n);
	size_t len = close ? (size_t)(close - s) - 1 : n - 1;

	/* Also when the header is broken: what follows is meant for this section, and needs no
	 * complaint of its own. */
	buf_reset(&in->section);
	buf_put(&in->section, s + 1, len);
	in->section_line = in->first_line;
	in->section_column = in->indent + 1;
	if (!close)
		return broken(in, "a section header without its ']'; write [Section]", n);
	if (len == 0)
		return broken(in, "a section header without a name; write [Section]", 1);
	if (close + 1 != s + n)
		return broken(in, "text behind a section header; write it on a line of its own",
			      len + 2);
	return 0;
}

static int
parse_line(struct ini *in)
{
	const char *s = in->joined.data, *eq;
	size_t n = in->joined.len, start = 0, key_len, from;

	while (n > 0 && is_space(s[n - 1]))
		n--;
	/* Only continuations of nothing leave white space in front. */
	while (start < n && is_space(s[start]))
		start++;
	if (start == n)
		return 0;
	in->indent += (int)start;
	s += start;
	n -= start;
	if (memchr(s, '\0', n))
		return broken(in, "a NUL byte in a text file; remove it", strlen(s));
	if (*s == '[')
		return parse_section(in, s, n);
	eq = memchr(s, '=', n);
	if (!eq)
		return broken(in, "neither a section nor an assignment; write Key=value", 0);
	key_len = (size_t)(eq - s);
	from = key_len + 1;
	while (key_len > 0 && is_space(s[key_len - 1]))
		key_len--;
	if (key_len == 0)
		return broken(in, "an assignment without a key; write Key=value", 0);
	while (from < n && is_space(s[from]))
		from++;
	if (n - from > INI_VALUE_MAX)
		return -EFBIG;
	buf_reset(&in->key);
	buf_put(&in->key, s, key_len);
	buf_reset(&in->value);
	buf_put(&in->value, s + from, n - from);
	return emit(in, in->key.data, in->value.data, 0, from);
}

int
ini_parse(const char *text, size_t n, int (*on_item)(const struct ini_item *it, void *arg),
	  void *arg)
{
	struct ini in = {.p = text, .end = text + n, .on_item = on_item, .arg = arg};
	int r;

	if (n > INI_FILE_MAX)
		return -EFBIG;
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		in.p += 3;
	while ((r = next_joined(&in)) > 0)
		if ((r = parse_line(&in)) != 0)
			break;
	buf_free(&in.joined);
	buf_free(&in.section);
	buf_free(&in.key);
	buf_free(&in.value);
	return r;
}

/* n digits of the base at *s, which moves behind them. */
static bool
escape_number(const char **s, int n, int base, uint32_t *out)
{
	*out = 0;
	for (; n > 0; n--, (*s)++) {
		int d = hex_digit(**s);

		if (d < 0 || d >= base)
			return false;
		*out = *out * (uint32_t)base + (uint32_t)d;
	}
	return true;
}

static void
put_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_putc(b, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_putc(b, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_putc(b, (char)(0xe0 | c >> 12));
		} else {
			buf_putc(b, (char)(0xf0 | c >> 18));
			buf_putc(b, (char)(0x80 | (c >> 12 & 63)));
		}
		buf_putc(b, (char)(0x80 | (c >> 6 & 63)));
	}
	buf_putc(b, (char)(0x80 | (c & 63)));
}

/* The escape behind a backslash at *s, which moves behind it. Returns NULL or what is wrong. */
static const char *
unescape(const char **s, struct buf *word)
{
	static const char from[] = "abfnrtvs\\\"'", to[] = "\a\b\f\n\r\t\v \\\"'";
	const char *at;
	uint32_t v;
	char c = **s;

	if (c == '\0')
		return "a backslash at the end; write \\\\ for a backslash";
	at = strchr(from, c);
	if (at) {
		buf_putc(word, to[at - from]);
		(*s)++;
		return NULL;
	}
	if (c == 'x' || (c >= '0' && c <= '7')) {
		*s += c == 'x';
		if (!escape_number(s, c == 'x' ? 2 : 3, c == 'x' ? 16 : 8, &v) || v == 0 || v > 255)
			return "a bad byte escape; write \\xHH or \\NNN (octal), not zero";
		buf_putc(word, (char)v);
		return NULL;
	}
	if (c == 'u' || c == 'U') {
		(*s)++;
		if (!escape_number(s, c == 'u' ? 4 : 8, 16, &v) || v == 0 || v > 0x10ffff ||
		    (v >= 0xd800 && v < 0xe000))
			return "a bad character escape; write \\uXXXX or \\UXXXXXXXX";
		put_utf8(word, v);
		return NULL;
	}
	return "an unknown escape; write \\\\ for a backslash";
}

/* One word at *s, which moves behind it. Returns NULL or what is wrong. */
static const char *
split_word(const char **s, struct buf *word)
{
	const char *why;
	char quote = '\0', c;

	while ((c = **s) != '\0') {
		if (!quote && (is_space(c) || c == '\n'))
			return NULL;
		(*s)++;
		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? '\0' : c;
		} else if (c == '\\' && quote != '\'') {
			if ((why = unescape(s, word)) != NULL)
				return why;
		} else {
			buf_putc(word, c);
		}
	}
	return quote ? "a quote that is never closed" : NULL;
}

char **
ini_split_words(const char *value, const char **why)
{
	char **v = strv_dup(NULL);
	struct buf word = BUF_INIT;
	const char *s = value;
	size_t n = 0;

	*why = NULL;
	for (;;) {
		while (is_space(*s) || *s == '\n')
			s++;
		if (!*s)
			break;
		buf_reset(&word);
		buf_put(&word, "", 0);
		*why = split_word(&s, &word);
		if (*why)
			break;
		/* As strv_add(), which would count them each time: there can be very many words. */
		if ((n & (n + 1)) == 0)
			v = xrealloc(v, (n + 1) * 2 * sizeof(*v));
		v[n++] = xstrdup(word.data);
		v[n] = NULL;
	}
	buf_free(&word);
	if (*why) {
		strv_free(v);
		return NULL;
	}
	return v;
}
