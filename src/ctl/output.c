/* SPDX-License-Identifier: MIT */
/* What people see. See output.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/output.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <langinfo.h>
#include <limits.h>
#include <libsmartcols.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "base/util.h"

struct look look_out, look_err;
bool ctl_quiet;

static void
look_at(struct look *l, FILE *f, bool no_colour)
{
	const char *term = getenv("TERM"), *columns = getenv("COLUMNS");
	struct winsize ws;
	int64_t n;

	memset(l, 0, sizeof(*l));
	l->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	l->tty = isatty(fileno(f));
	if (!l->tty)
		return;
	l->colour = !no_colour && term && *term && strcmp(term, "dumb") != 0;
	l->width = 80;
	if (columns && parse_i64(columns, 20, 10000, &n))
		l->width = (int)n;
	else if (!ioctl(fileno(f), TIOCGWINSZ, &ws) && ws.ws_col >= 20)
		l->width = ws.ws_col;
}

void
look_init(bool no_colour)
{
	const char *no = getenv("NO_COLOR");

	setlocale(LC_CTYPE, "");
	no_colour = no_colour || (no && *no);
	look_at(&look_out, stdout, no_colour);
	look_at(&look_err, stderr, no_colour);
}

static const char *const colours[] = {
	[COL_NONE] = "\033[0m",	   [COL_RED] = "\033[31m", [COL_GREEN] = "\033[32m", [COL_YELLOW] = "\033[33m",
	[COL_BLUE] = "\033[34m", [COL_DIM] = "\033[2m",	 [COL_BOLD] = "\033[1m",
};

const char *
colour_on(const struct look *l, enum colour c)
{
	return l->colour ? colours[c] : "";
}

enum colour
colour_state(const char *state, const char *result)
{
	if (!state)
		return COL_NONE;
	if (!strcmp(state, "pending") || !strcmp(state, "running"))
		return COL_GREEN;
	if (!strcmp(state, "frozen") || !strcmp(state, "idle"))
		return COL_BLUE;
	if (!strcmp(state, "stopping") || !strcmp(state, "auto-restart"))
		return COL_YELLOW;
	if (!strcmp(state, "failed"))
		return COL_RED;
	return result && !strcmp(result, "success") ? COL_NONE : COL_DIM;
}

size_t
utf8_decode(const char *s, size_t n, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t len, i;

	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	len = p[0] >= 0xf8 ? 0 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	if (!len || len > n)
		return 0;
	*cp = p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3f);
	}
	if (*cp < least[len] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return len;
}

/* C1 controls act like escape sequences, and overrides of the direction make a text look like another one. */
static bool
harmful(uint32_t cp)
{
	return (cp >= 0x80 && cp <= 0x9f) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/*
 * The next character of (s, n) as a terminal may see it, into out[20] (NUL-terminated), with the columns it takes. Returns the bytes
 * it was made from.
 */
static size_t
safe_char(const char *s, size_t n, char *out, int *columns)
{
	uint32_t cp = 0;
	size_t len = utf8_decode(s, n, &cp), i;
	int w;

	if (len == 1 && (cp < 0x20 || cp == 0x7f)) {
		snprintf(out, 20, "^%c", cp == 0x7f ? '?' : (char)(cp + '@'));
		*columns = 2;
		return 1;
	}
	if (!len || harmful(cp)) {
		len = len ? len : 1;
		for (i = 0; i < len; i++)
			snprintf(out + 4 * i, 5, "\\x%02X", (unsigned char)s[i]);
		*columns = (int)(4 * len);
		return len;
	}
	memcpy(out, s, len);
	out[len] = 0;
	w = wcwidth((wchar_t)cp);
	*columns = w < 0 ? 1 : w;
	return len;
}

void
put_safe(struct buf *out, const struct look *l, const char *s, size_t n)
{
	char c[20];
	int columns;
	size_t i;

	if (!l->tty) {
		buf_put(out, s, n);
		return;
	}
	for (i = 0; i < n;) {
		size_t plain = i;

		while (plain < n && (unsigned char)s[plain] < 0x7f &&
		       ((unsigned char)s[plain] >= 0x20 || s[plain] == '\n' || s[plain] == '\t'))
			plain++;
		buf_put(out, s + i, plain - i);
		i = plain;
		if (i == n)
			break;
		i += safe_char(s + i, n - i, c, &columns);
		buf_puts(out, c);
	}
}

void
put_cut(struct buf *out, const struct look *l, const char *s, size_t n, int columns)
{
	int used = 0, w;
	size_t i, last = out->len;
	char c[20];

	for (i = 0; i < n;) {
		size_t len = 1;

		if (s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
			c[0] = ' ';
			c[1] = 0;
			w = 1;
		} else if (l->tty) {
			len = safe_char(s + i, n - i, c, &w);
		} else {
			c[0] = s[i];
			c[1] = 0;
			w = ((unsigned char)s[i] & 0xc0) != 0x80;
		}
		if (columns && used + w > columns) {
			out->len = last;
			if (out->data)
				out->data[last] = 0;
			buf_puts(out, l->utf8 ? "\xe2\x80\xa6" : "~");
			return;
		}
		buf_puts(out, c);
		used += w;
		/* The ellipsis needs a column: here is the last place where it still fits. */
		if (!columns || used < columns)
			last = out->len;
		i += len;
	}
}

void
put_indented(struct buf *out, const struct look *l, const char *s, size_t n, int indent)
{
	while (n && s[n - 1] == '\n')
		n--;
	while (n) {
		const char *nl = memchr(s, '\n', n);
		size_t line = nl ? (size_t)(nl - s) : n;

		put_safe(out, l, s, line);
		if (!nl)
			return;
		buf_printf(out, "\n%*s", indent, "");
		s += line + 1;
		n -= line + 1;
	}
}

void
put_span(struct buf *out, int64_t us)
{
	int64_t s;

	if (us < 0)
		us = 0;
	s = us / 1000000;
	if (us < 1000000)
		buf_printf(out, "%" PRId64 "ms", us / 1000);
	else if (s < 60)
		buf_printf(out, "%" PRId64 ".%ds", s, (int)(us / 100000 % 10));
	else if (s < 3600)
		buf_printf(out, "%" PRId64 "min %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		buf_printf(out, "%" PRId64 "h %" PRId64 "min", s / 3600, s / 60 % 60);
	else
		buf_printf(out, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
}

void
put_age(struct buf *out, int64_t us)
{
	int64_t s = us < 0 ? 0 : us / 1000000;

	if (s < 60)
		buf_printf(out, "%" PRId64 "s", s);
	else if (s < 3600)
		buf_printf(out, "%" PRId64 "min", s / 60);
	else if (s < 86400)
		buf_printf(out, "%" PRId64 "h", s / 3600);
	else
		buf_printf(out, "%" PRId64 "d", s / 86400);
}

void
put_cost(struct buf *out, double usd)
{
	if (!(usd > 0))
		buf_putc(out, '-');
	else
		buf_printf(out, usd < 1 ? "$%.4f" : "$%.2f", usd);
}

void
put_clock(struct buf *out, const char *iso)
{
	int64_t us;
	struct tm tm;
	time_t t;
	int h, m, s, used = 0;

	if (!iso || !time_parse_iso(iso, &us)) {
		/* Without a zone it is a client's local time. */
		if (iso && sscanf(iso, "%*4d-%*2d-%*2d%*1[T ]%2d:%2d:%2d%n", &h, &m, &s, &used) == 3 && used == 19 &&
		    strspn(iso + used, ".0123456789") == strlen(iso + used))
			buf_printf(out, "%02d:%02d:%02d.%.3s", h, m, s, strlen(iso) >= 23 ? iso + 20 : "000");
		else
			for (iso = iso ? iso : "-"; *iso; iso++)
				buf_putc(out, *iso >= ' ' && *iso < 0x7f ? *iso : '?');
		return;
	}
	t = (time_t)(us / 1000000);
	localtime_r(&t, &tm);
	buf_printf(out, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000 % 1000));
}

void
print_text(FILE *f, const char *s, size_t n)
{
	const struct look *l = f == stderr ? &look_err : &look_out;
	struct buf b = BUF_INIT;

	if (!l->tty) {
		fwrite(s, 1, n, f);
		return;
	}
	put_safe(&b, l, s, n);
	fwrite(b.data ? b.data : "", 1, b.len, f);
	buf_free(&b);
}

void
print_json(const char *text, size_t n)
{
	struct json_object *o;
	const char *s;

	if (!look_out.tty && !memchr(text, '\n', n)) {
		fwrite(text, 1, n, stdout);
		putchar('\n');
		return;
	}
	o = js_parse(text, n);
	if (!o) {
		print_text(stdout, text, n);
		putchar('\n');
		return;
	}
	s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE |
			(look_out.tty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN));
	print_text(stdout, s, strlen(s));
	putchar('\n');
	json_object_put(o);
}

static void
print_line(const char *fmt, va_list ap)
{
	struct buf b = BUF_INIT;

	buf_vprintf(&b, fmt, ap);
	fflush(stdout);
	fputs("aoctl: ", stderr);
	print_text(stderr, b.data, b.len);
	fputc('\n', stderr);
	buf_free(&b);
}

void
print_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
}

void
print_note(const char *fmt, ...)
{
	va_list ap;

	if (ctl_quiet)
		return;
	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
}

struct table {
	struct libscols_table *t;
	int columns;
	struct libscols_line *above; /* of the next row; or NULL */
};

struct table *
table_new(const char *const *heads, int columns)
{
	struct table *t = xcalloc(1, sizeof(*t));
	int i;

	t->t = scols_new_table();
	if (!t->t)
		abort();
	t->columns = columns;
	scols_table_enable_colors(t->t, look_out.colour);
	scols_table_set_termforce(t->t, look_out.tty ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	if (look_out.tty)
		scols_table_set_termwidth(t->t, (size_t)look_out.width);
	for (i = 0; i < columns; i++)
		if (!scols_table_new_column(t->t, heads[i], 0, i == columns - 1 ? SCOLS_FL_TRUNC : 0))
			abort();
	return t;
}

void
table_row(struct table *t, const char *const *cells, int coloured, enum colour c)
{
	struct libscols_line *line = scols_table_new_line(t->t, t->above);
	int i;

	if (!line)
		abort();
	for (i = 0; i < t->columns; i++)
		if (scols_line_set_data(line, (size_t)i, cells[i] ? cells[i] : "-"))
			abort();
	if (look_out.colour && coloured >= 0 && c != COL_NONE)
		scols_cell_set_color(scols_line_get_cell(line, (size_t)coloured), colours[c]);
}

void
table_below(struct table *t, int row)
{
	struct libscols_column *first = scols_table_get_column(t->t, 0);

	scols_column_set_flags(first, scols_column_get_flags(first) | SCOLS_FL_TREE);
	t->above = row < 0 ? NULL : scols_table_get_line(t->t, (size_t)row);
}

void
table_free(struct table *t)
{
	scols_unref_table(t->t);
	free(t);
}

void
table_print_free(struct table *t)
{
	scols_table_set_stream(t->t, stdout);
	scols_print_table(t->t);
	table_free(t);
}

int
ctl_finish(int code)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	/* A reader that has gone away, such as head(1), wants no complaint. */
	if (errno != EPIPE)
		print_error("cannot write to standard output: %s", errno ? strerror(errno) : "write error");
	return code ? code : 1;
}

struct json_object *
js_parse(const char *text, size_t n)
{
	struct json_tokener *tok = n && n <= INT_MAX ? json_tokener_new_ex(512) : NULL;
	struct json_object *o;

	if (!tok)
		return NULL;
	o = json_tokener_parse_ex(tok, text, (int)n);
	/* A bare number is complete only when something follows it. */
	if (!o && json_tokener_get_error(tok) == json_tokener_continue)
		o = json_tokener_parse_ex(tok, "", 1);
	json_tokener_free(tok);
	return o;
}

struct json_object *
js_get(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v))
		return NULL;
	return v;
}

const char *
js_str(struct json_object *o, const char *key)
{
	struct json_object *v = js_get(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

int64_t
js_int(struct json_object *o, const char *key, int64_t def)
{
	struct json_object *v = js_get(o, key);

	return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : def;
}

double
js_double(struct json_object *o, const char *key)
{
	struct json_object *v = js_get(o, key);

	if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
		return 0;
	return json_object_get_double(v);
}

bool
js_bool(struct json_object *o, const char *key)
{
	struct json_object *v = js_get(o, key);

	return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}
