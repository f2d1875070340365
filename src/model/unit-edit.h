/* SPDX-License-Identifier: MIT */
/*
 * Changing single keys in the text of a unit file, so that comments, order, white space and all
 * that is not changed stay as they are. Knows the syntax (base/ini.h), not which keys there are.
 * Pure.
 */
#ifndef AOD_MODEL_UNIT_EDIT_H
#define AOD_MODEL_UNIT_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Write `text` (n bytes) into out with `key` of `section` having exactly the given values, one
 * assignment for each, in order; values is a NULL-terminated vector. The first assignment of the
 * key that is there is replaced in its place (with its continuation lines), further ones are
 * removed. Where there is none, the assignments go to the end of the last such section, before the
 * blank lines and comments at its end; where there is no such section, one is appended. An empty
 * vector is unit_edit_remove().
 *
 * values are raw, as they stand behind the '=' in a file: see unit_quote_text() and
 * unit_quote_word(). A value with a newline or a NUL, with white space around it, or ending in a
 * single backslash is -EINVAL.
 */
int unit_edit_set(struct buf *out, const char *text, size_t n, const char *section, const char *key,
		  char *const *values, struct err *e);
/* The same with all assignments of the key removed. A section that becomes empty stays. *found (may
 * be NULL): whether there was one. */
int unit_edit_remove(struct buf *out, const char *text, size_t n, const char *section,
		     const char *key, bool *found, struct err *e);

/*
 * text as the value of a key of type text (Description=, SystemPrompt=): as it is where that says
 * the same, else in double quotes with C escapes, so that every UTF-8 text can be written.
 * Specifiers are not looked at: see specifier_escape().
 */
void unit_quote_text(struct buf *out, const char *text);
/* word as one word of a list or a command line, in quotes where it needs them. */
void unit_quote_word(struct buf *out, const char *word);
/* All words, with a blank between two. */
void unit_quote_words(struct buf *out, char *const *words);
/* The value of a key of type text as unit_quote_text() wrote it: a value that is one quoted word
 * loses its quotes. Caller frees. */
char *unit_unquote_text(const char *value);

#endif
