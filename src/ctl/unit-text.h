/* SPDX-License-Identifier: MIT */
/* Texts of unit files as they are shown, edited and complained about. Pure. */
#ifndef AOD_CTL_UNIT_TEXT_H
#define AOD_CTL_UNIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "ctl/output.h"

struct json_object;

/* "file:line:column: error: text\n"; places that are 0 are left out. */
void problem_put(struct buf *out, const struct look *l, const char *file, int line, int column, bool warning, const char *text);
/*
 * The same of [{"file","line","column","severity","text"}], as the server sends them. Returns how many errors, *warnings (may be NULL) how
 * many warnings there are.
 */
int problems_put(struct buf *out, const struct look *l, struct json_object *list, int *warnings);

/* One file of a text such as `aoctl cat` shows, in which each stands under a line "# /path". */
struct unit_file {
	const char *path, *text; /* into the text; no NUL at their ends */
	size_t path_len, len;
};
/* At most max are stored; returns how many. What stands before the first path belongs to none. */
int unit_files_split(const char *text, size_t n, struct unit_file *files, int max);

/*
 * What an editor is given for a drop-in: its text between two marks, and below them, as comments, the files that it changes.
 * drop_in_text() takes out what stands between the marks, without blank lines around it, and returns how many lines of the form are
 * above it.
 */
void drop_in_form(struct buf *out, const char *path, const char *text, size_t n, const struct unit_file *others, int count);
int drop_in_text(struct buf *out, const char *form, size_t n);

/* A unified diff, coloured where l has colours. */
void diff_put(struct buf *out, const struct look *l, const char *text, size_t n);

#endif
