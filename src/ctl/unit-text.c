/* SPDX-License-Identifier: MIT */
/* Texts of unit files. See unit-text.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/unit-text.h"

#include <json-c/json.h>
#include <string.h>

#include "base/util.h"

static const char mark_begin[] = "### Anything between here and the next mark becomes the drop-in.\n";
static const char mark_end[] = "### What stands below is only shown, and thrown away.\n";

void
problem_put(struct buf *out, const struct look *l, const char *file, int line, int column, bool warning, const char *text)
{
	buf_puts(out, colour_on(l, COL_BOLD));
	put_cut(out, l, file, strlen(file), 0);
	if (line)
		buf_printf(out, ":%d", line);
	if (line && column)
		buf_printf(out, ":%d", column);
	buf_printf(out, ":%s %s%s:%s ", colour_on(l, COL_NONE), colour_on(l, warning ? COL_YELLOW : COL_RED),
		   warning ? "warning" : "error", colour_on(l, COL_NONE));
	put_cut(out, l, text, strlen(text), 0);
	buf_putc(out, '\n');
}

int
problems_put(struct buf *out, const struct look *l, struct json_object *list, int *warnings)
{
	size_t i, n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	int errors = 0, warned = 0;

	for (i = 0; i < n; i++) {
		struct json_object *p = json_object_array_get_idx(list, i);
		const char *file = js_str(p, "file"), *severity = js_str(p, "severity"), *text = js_str(p, "text");
		bool warning = severity && !strcmp(severity, "warning");

		problem_put(out, l, file ? file : "?", (int)js_int(p, "line", 0), (int)js_int(p, "column", 0), warning,
			    text ? text : "?");
		errors += !warning;
		warned += warning;
	}
	if (warnings)
		*warnings = warned;
	return errors;
}

/* The length of the line at p, with its newline. */
static size_t
line_len(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ? (size_t)(nl + 1 - p) : (size_t)(end - p);
}

static bool
ends_with(const char *s, size_t n, const char *end)
{
	size_t len = strlen(end);

	return n >= len && !memcmp(s + n - len, end, len);
}

/* "# /…/NAME.blueprint" or "# /…/NAME.conf": other comments that begin with a slash are no headings. */
static bool
is_heading(const char *line, size_t n)
{
	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	return n > 3 && !memcmp(line, "# /", 3) && (ends_with(line, n, ".blueprint") || ends_with(line, n, ".conf"));
}

int
unit_files_split(const char *text, size_t n, struct unit_file *files, int max)
{
	const char *p = text, *end = text + n;
	bool blank = true; /* the line before */
	int count = 0;

	while (p < end) {
		size_t len = line_len(p, end);

		if (blank && is_heading(p, len) && count < max) {
			size_t path = len;

			while (p[path - 1] == '\n' || p[path - 1] == '\r')
				path--;
			files[count++] = (struct unit_file){ .path = p + 2, .path_len = path - 2, .text = p + len };
		} else if (count) {
			files[count - 1].len += len;
		}
		blank = len == 1 && *p == '\n';
		p += len;
	}
	/* The blank line before the next heading is the list's, not the file's. */
	for (int i = 0; i + 1 < count; i++)
		if (files[i].len && files[i].text[files[i].len - 1] == '\n')
			files[i].len--;
	return count;
}

static void
put_commented(struct buf *out, const char *text, size_t n)
{
	const char *p = text, *end = text + n;

	while (p < end) {
		size_t len = line_len(p, end);

		buf_puts(out, *p == '\n' ? "#" : "# ");
		buf_put(out, p, len);
		p += len;
	}
	if (n && text[n - 1] != '\n')
		buf_putc(out, '\n');
}

void
drop_in_form(struct buf *out, const char *path, const char *text, size_t n, const struct unit_file *others, int count)
{
	int i;

	buf_printf(out, "### Editing %s\n%s\n", path, mark_begin);
	buf_put(out, text, n);
	if (n && text[n - 1] != '\n')
		buf_putc(out, '\n');
	buf_printf(out, "\n%s", mark_end);
	for (i = 0; i < count; i++) {
		buf_printf(out, "\n### %.*s\n", (int)others[i].path_len, others[i].path);
		put_commented(out, others[i].text, others[i].len);
	}
}

int
drop_in_text(struct buf *out, const char *form, size_t n)
{
	const char *begin = form ? memmem(form, n, mark_begin, strlen(mark_begin)) : NULL, *end, *p;
	int above = 0;

	begin = begin ? begin + strlen(mark_begin) : form;
	if (!begin)
		return 0;
	n -= (size_t)(begin - form);
	end = memmem(begin, n, mark_end, strlen(mark_end));
	n = end ? (size_t)(end - begin) : n;
	while (n && (*begin == '\n' || *begin == '\r')) {
		begin++;
		n--;
	}
	while (n && strchr(" \t\r\n", begin[n - 1]))
		n--;
	buf_put(out, begin, n);
	if (n)
		buf_putc(out, '\n');
	for (p = form; p < begin; p++)
		above += *p == '\n';
	return above;
}

void
diff_put(struct buf *out, const struct look *l, const char *text, size_t n)
{
	const char *p = text, *end = text + n;

	while (p < end) {
		size_t len = line_len(p, end), shown = len && p[len - 1] == '\n' ? len - 1 : len;
		bool heading = len > 3 && (!memcmp(p, "+++", 3) || !memcmp(p, "---", 3));
		enum colour c = heading ? COL_BOLD : *p == '+' ? COL_GREEN : *p == '-' ? COL_RED : *p == '@' ? COL_BLUE : COL_NONE;

		if (c != COL_NONE)
			buf_puts(out, colour_on(l, c));
		put_safe(out, l, p, shown);
		if (c != COL_NONE)
			buf_puts(out, colour_on(l, COL_NONE));
		buf_putc(out, '\n');
		p += len;
	}
}
