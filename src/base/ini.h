/* SPDX-License-Identifier: MIT */
/*
 * Lines of a unit file as in systemd.syntax(7): [Section], Key=value, comments with # or ; at the start of a line,
 * continuation with a backslash at the end of a line (comment lines inside a continuation are skipped).
 * Knows nothing of which keys there are.
 */
#ifndef AOD_BASE_INI_H
#define AOD_BASE_INI_H

#include <stddef.h>

#define INI_FILE_MAX (1u << 20)	 /* bytes in one file */
#define INI_VALUE_MAX (256u << 10) /* bytes in one value after joining */

struct ini_item {
	const char *section; /* "" before the first section */
	const char *key;     /* NULL: the line is broken, value says how and what would be right */
	const char *value;   /* white space around it removed */
	int line, column;    /* of the key, counted from 1; the column counts bytes */
	int value_column;
	int section_line, section_column; /* of the section's header; 0 before the first */
};

/*
 * Calls on_item for each assignment and each broken line, in order, up to the end; a non-zero return ends it and is
 * returned. -EFBIG when the text or a value is over its cap. The item is valid during the call only.
 */
int ini_parse(const char *text, size_t n, int (*on_item)(const struct ini_item *it, void *arg), void *arg);

/*
 * Split a value into words as systemd.service(5) does for ExecStart=: white space separates, "double" and 'single'
 * quotes, C escapes outside of single quotes. Returns a strv (caller frees with strv_free) or NULL with
 * *why set to a static text. An empty value gives an empty vector.
 */
char **ini_split_words(const char *value, const char **why);

#endif
