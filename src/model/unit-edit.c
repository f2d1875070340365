/* SPDX-License-Identifier: MIT */
/* Changing single keys in the text of a unit file, and quoting what is put there. See unit-edit.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/unit-edit.h"

#include <errno.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"

/* ---- quoting ---- */

static void
put_quoted(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else if (*s == '\n')
			buf_puts(out, "\\n");
		else if (*s == '\t')
			buf_puts(out, "\\t");
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned)*s);
		else
			buf_putc(out, *s);
	}
	buf_putc(out, '"');
}

/* Whether all of value is in one pair of double quotes. */
static bool
is_quoted(const char *value)
{
	if (*value++ != '"')
		return false;
	for (; *value && *value != '"'; value++)
		if (*value == '\\' && value[1])
			value++;
	return *value == '"' && !value[1];
}

char *
unit_unquote_text(const char *value)
{
	const char *why;
	char **words = is_quoted(value) ? ini_split_words(value, &why) : NULL;
	char *text = xstrdup(words && words[0] ? words[0] : value);

	strv_free(words);
	return text;
}

void
unit_quote_text(struct buf *out, const char *text)
{
	size_t n = strlen(text);
	bool plain = !is_quoted(text) &&
		     (n == 0 || (*text != ' ' && text[n - 1] != ' ' && text[n - 1] != '\\'));

	for (const char *p = text; *p && plain; p++)
		plain = (unsigned char)*p >= ' ' && *p != 0x7f;
	if (plain)
		buf_put(out, text, n);
	else
		put_quoted(out, text);
}

void
unit_quote_word(struct buf *out, const char *word)
{
	bool plain = *word != 0;

	for (const char *p = word; *p && plain; p++)
		plain = (unsigned char)*p > ' ' && *p != '"' && *p != '\'' && *p != '\\' &&
			*p != 0x7f;
	if (plain)
		buf_puts(out, word);
	else
		put_quoted(out, word);
}

void
unit_quote_words(struct buf *out, char *const *words)
{
	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			buf_putc(out, ' ');
		unit_quote_word(out, words[i]);
	}
}

/* ---- scanning, by the rules of base/ini.c ---- */

enum line_kind { LINE_BLANK, LINE_SECTION, LINE_ASSIGNMENT, LINE_OTHER };

/* Where one line with its continuations is in the text. */
struct logical {
	enum line_kind kind;
	size_t start, end; /* of its lines, the newline of the last one with it */
	bool open;         /* its last line ends in a backslash: it is the last of the text */
};

struct scan {
	const char *text;
	size_t n, pos;
	struct buf joined; /* the current line, as ini_parse() sees it */
	struct buf section, key;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool
continues(const char *s, size_t n)
{
	size_t k = 0;

	while (k < n && s[n - 1 - k] == '\\')
		k++;
	return k % 2 == 1;
}

/* The line at *pos, which moves behind it, without white space in front of it and without its end.
 */
static const char *
physical(const struct scan *sc, size_t *pos, size_t *n)
{
	const char *s = sc->text + *pos, *end = sc->text + sc->n,
		   *nl = memchr(s, '\n', (size_t)(end - s));
	const char *stop = nl ? nl : end;

	*pos = (size_t)((nl ? nl + 1 : end) - sc->text);
	if (s == sc->text && stop - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		s += 3;
	if (stop > s && stop[-1] == '\r')
		stop--;
	while (s < stop && is_space(*s))
		s++;
	*n = (size_t)(stop - s);
	return s;
}

static bool
is_comment(const char *s, size_t n)
{
	return n > 0 && (*s == '#' || *s == ';');
}

static enum line_kind
classify(struct scan *sc)
{
	const char *s = sc->joined.data, *eq, *close;
	size_t n = sc->joined.len;

	while (n > 0 && is_space(s[n - 1]))
		n--;
	for (; n > 0 && is_space(*s); s++)
		n--;
	if (n == 0)
		return LINE_BLANK;
	if (memchr(s, '\0', n))
		return LINE_OTHER;
	if (*s == '[') {
		close = memchr(s, ']', n);
		buf_reset(&sc->section);
		buf_put(&sc->section, s + 1, close ? (size_t)(close - s) - 1 : n - 1);
		return LINE_SECTION;
	}
	eq = memchr(s, '=', n);
	n = eq ? (size_t)(eq - s) : 0;
	while (n > 0 && is_space(s[n - 1]))
		n--;
	if (n == 0)
		return LINE_OTHER;
	buf_reset(&sc->key);
	buf_put(&sc->key, s, n);
	return LINE_ASSIGNMENT;
}

/* The next line with its continuations; comments outside of one are skipped. 1, 0 at the end,
 * -EFBIG. */
static int
next_logical(struct scan *sc, struct logical *l)
{
	bool begun = false;

	buf_reset(&sc->joined);
	buf_put(&sc->joined, "", 0);
	while (sc->pos < sc->n) {
		size_t start = sc->pos, n;
		const char *s = physical(sc, &sc->pos, &n);

		if (is_comment(s, n))
			continue;
		if (!begun)
			l->start = start;
		begun = true;
		l->end = sc->pos;
		l->open = continues(s, n);
		if (sc->joined.len + n > INI_VALUE_MAX)
			return -EFBIG;
		buf_put(&sc->joined, s, l->open ? n - 1 : n);
		if (!l->open)
			break;
		buf_putc(&sc->joined, ' ');
	}
	if (begun)
		l->kind = classify(sc);
	return begun;
}

/* ---- editing ---- */

struct edit {
	struct buf *out;
	const char *text;
	size_t n;
	const char *section, *key;
	char *const *values;
	size_t copied; /* of text, so far */
	bool found;
	/* The end of the last line of the last such section that is neither blank nor a comment; 0:
	 * there is no such section. */
	size_t section_end;
	bool section_open;
};

static void
copy_until(struct edit *ed, size_t end)
{
	buf_put(ed->out, ed->text + ed->copied, end - ed->copied);
	ed->copied = end;
}

static void
end_line(struct buf *out)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_putc(out, '\n');
}

/* The values, each behind prefix ("  Key = "), or behind the key alone. */
static void
put_values(struct edit *ed, const char *prefix, size_t n)
{
	for (size_t i = 0; ed->values && ed->values[i]; i++) {
		if (n > 0)
			buf_put(ed->out, prefix, n);
		else
			buf_printf(ed->out, "%s=", ed->key);
		buf_printf(ed->out, "%s\n", ed->values[i]);
	}
}

/* What stands before the value in the line at start, with the blanks around the sign; 0: the sign
 * is in another line. */
static size_t
prefix_len(const struct edit *ed, size_t start)
{
	const char *s = ed->text + start, *stop = memchr(s, '\n', ed->n - start), *eq;
	size_t n;

	stop = stop ? stop : ed->text + ed->n;
	if (stop > s && stop[-1] == '\r')
		stop--;
	eq = memchr(s, '=', (size_t)(stop - s));
	if (!eq)
		return 0;
	n = (size_t)(eq + 1 - s);
	while (s + n < stop && (s[n] == ' ' || s[n] == '\t'))
		n++;
	/* Blanks at the end of the line, or before a continuation, are of no use. */
	return s + n == stop || (s[n] == '\\' && s + n + 1 == stop) ? (size_t)(eq + 1 - s) : n;
}

/* One assignment of the key: replace it, or remove it when it is not the first. Comments between
 * its lines stay. */
static void
replace(struct edit *ed, const struct logical *l)
{
	struct scan sc = {.text = ed->text, .n = l->end, .pos = l->start};

	copy_until(ed, l->start);
	if (!ed->found)
		put_values(ed, ed->text + l->start, prefix_len(ed, l->start));
	ed->found = true;
	while (sc.pos < l->end) {
		size_t start = sc.pos, n;
		const char *s = physical(&sc, &sc.pos, &n);

		if (is_comment(s, n))
			buf_put(ed->out, ed->text + start, sc.pos - start);
	}
	ed->copied = l->end;
}

static int
scan_and_replace(struct edit *ed)
{
	struct scan sc = {.text = ed->text, .n = ed->n};
	struct logical l = {0};
	bool inside = false;
	int r;

	while ((r = next_logical(&sc, &l)) > 0) {
		if (l.kind == LINE_SECTION)
			inside = strcmp(sc.section.data, ed->section) == 0;
		if (inside && l.kind == LINE_ASSIGNMENT && strcmp(sc.key.data, ed->key) == 0)
			replace(ed, &l);
		if (inside && l.kind != LINE_BLANK) {
			ed->section_end = l.end;
			ed->section_open = l.open;
		}
	}
	buf_free(&sc.joined);
	buf_free(&sc.section);
	buf_free(&sc.key);
	return r;
}

static bool
value_fits(const char *v)
{
	size_t n = strlen(v);

	return !strchr(v, '\n') &&
	       (n == 0 || (!is_space(*v) && !is_space(v[n - 1]) && !continues(v, n)));
}

static int
check(const struct edit *ed, struct err *e)
{
	size_t k = strlen(ed->key);

	if (k == 0 || strpbrk(ed->key, "=\n\r\\") || strchr("[#;", *ed->key) ||
	    is_space(*ed->key) || is_space(ed->key[k - 1]))
		return err_set(e, -EINVAL, "'%.60s' is no key of a unit file", ed->key);
	if (!*ed->section || strpbrk(ed->section, "]\n\r\\"))
		return err_set(e, -EINVAL, "'%.60s' is no section of a unit file", ed->section);
	for (size_t i = 0; ed->values && ed->values[i]; i++)
		if (!value_fits(ed->values[i]))
			return err_set(
				e, -EINVAL,
				"the value of %s= cannot stand in a unit file as it is: quote it",
				ed->key);
	if (ed->n > INI_FILE_MAX)
		return err_set(e, -EFBIG, "the file is larger than %u KiB", INI_FILE_MAX >> 10);
	return 0;
}

/* The key is nowhere: put it where it belongs. */
static void
insert(struct edit *ed)
{
	if (ed->section_end > 0) {
		copy_until(ed, ed->section_end);
		end_line(ed->out);
		/* An empty line ends a value that would go on into ours. */
		if (ed->section_open)
			buf_putc(ed->out, '\n');
		put_values(ed, NULL, 0);
		return;
	}
	copy_until(ed, ed->n);
	end_line(ed->out);
	if (ed->n > 0)
		buf_putc(ed->out, '\n');
	buf_printf(ed->out, "[%s]\n", ed->section);
	put_values(ed, NULL, 0);
}

static int
run(struct edit *ed, struct err *e)
{
	size_t before = ed->out->len;
	int r = check(ed, e);

	if (r < 0)
		return r;
	buf_put(ed->out, "", 0);
	r = scan_and_replace(ed);
	if (r == 0) {
		if (!ed->found && ed->values && ed->values[0])
			insert(ed);
		copy_until(ed, ed->n);
		if (ed->out->len - before > INI_FILE_MAX)
			r = -EFBIG;
	}
	if (r == 0)
		return 0;
	ed->out->len = before;
	ed->out->data[before] = 0;
	return err_set(
		e, r,
		"the file or a value in it is too large: a file may have %u KiB, a value %u KiB",
		INI_FILE_MAX >> 10, INI_VALUE_MAX >> 10);
}

int
unit_edit_set(struct buf *out, const char *text, size_t n, const char *section, const char *key,
	      char *const *values, struct err *e)
{
	struct edit ed = {
		.out = out, .text = text, .n = n, .section = section, .key = key, .values = values};

	return run(&ed, e);
}

int
unit_edit_remove(struct buf *out, const char *text, size_t n, const char *section, const char *key,
		 bool *found, struct err *e)
{
	struct edit ed = {.out = out, .text = text, .n = n, .section = section, .key = key};
	int r = run(&ed, e);

	if (found)
		*found = ed.found;
	return r;
}
