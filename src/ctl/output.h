/* SPDX-License-Identifier: MIT */
/*
 * What people see: whether there is a terminal and what it can do, texts made harmless for it, durations, JSON, tables.
 * Everything goes through stdio; ctl_finish() says whether all of it could be written.
 */
#ifndef AOD_CTL_OUTPUT_H
#define AOD_CTL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

struct json_object;

/* What a stream can show. */
struct look {
	bool tty;    /* control characters must not reach it */
	bool colour;
	bool utf8;   /* our own marks; texts of others are UTF-8 in any case */
	int width;   /* columns, 0 = do not cut */
};

/* Of stdout and stderr. Set by look_init(); tests set them by hand. */
extern struct look look_out, look_err;
void look_init(bool no_colour);

enum colour { COL_NONE, COL_RED, COL_GREEN, COL_YELLOW, COL_BLUE, COL_DIM, COL_BOLD };
/* The escape sequence that begins a colour, or "" where there are none; COL_NONE ends it. */
const char *colour_on(const struct look *l, enum colour c);
/* Of a session's state. */
enum colour colour_state(const char *state, const char *result);

/*
 * Append s to out so that a terminal shows it and does nothing else: C0 characters but newline and tab as ^X, DEL as ^?, C1 characters,
 * bidirectional overrides and bytes that are no UTF-8 as \xNN. Where l is no terminal the bytes stay as they are.
 */
void put_safe(struct buf *out, const struct look *l, const char *s, size_t n);
/*
 * One character of UTF-8 (RFC 3629) at the start of (s, n), n > 0. Returns its bytes, or 0 when the first one does not begin a valid
 * sequence, or one that has not yet come whole.
 */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
/* One line at most `columns` wide (0 = any): newlines and tabs become blanks, what was cut ends in an ellipsis. */
void put_cut(struct buf *out, const struct look *l, const char *s, size_t n, int columns);
/* All lines; those after the first are indented. */
void put_indented(struct buf *out, const struct look *l, const char *s, size_t n, int indent);

/* "250ms" "12.3s" "3min 5s" "2h 5min" "4d 1h"; negative spans count as 0. */
void put_span(struct buf *out, int64_t us);
/* One unit: "5s" "3min" "2h" "4d". */
void put_age(struct buf *out, int64_t us);
/* "$0.0123", "$12.30"; "-" for 0. */
void put_cost(struct buf *out, double usd);
/* "HH:MM:SS.mmm" local time of an ISO 8601 time, as it stands when it has no zone; else the text itself, with ? for what is no ASCII. */
void put_clock(struct buf *out, const char *iso);

/* JSON as the server sent it: pretty on a terminal, else one compact line. */
void print_json(const char *text, size_t n);
/* Write a text of others to a stream, made harmless for it. */
void print_text(FILE *f, const char *s, size_t n);
/* "aoctl: …" on stderr. */
void print_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for what is no error; nothing with --quiet. */
void print_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool ctl_quiet;

/* A table; cells are copied. Without a terminal: columns aligned with blanks, nothing is cut. */
struct table;
struct table *table_new(const char *const *heads, int columns);
/* The next row; colour is that of column `coloured` (-1: none). */
void table_row(struct table *t, const char *const *cells, int coloured, enum colour c);
/* Draw the first column as a tree; then the next row is below the row of that number, or at the top (-1). */
void table_below(struct table *t, int row);
void table_free(struct table *t);
void table_print_free(struct table *t);

/* Flush. The exit status: code, or 1 when standard output could not be written (said on stderr, but for a closed pipe). */
int ctl_finish(int code);

/* One JSON text, however deep (up to 512); the caller puts it. NULL when it is none. */
struct json_object *js_parse(const char *text, size_t n);
/* Members of JSON objects; NULL, 0, def where they are missing, null or of another type. */
const char *js_str(struct json_object *o, const char *key);
int64_t js_int(struct json_object *o, const char *key, int64_t def);
double js_double(struct json_object *o, const char *key);
bool js_bool(struct json_object *o, const char *key);
struct json_object *js_get(struct json_object *o, const char *key);

#endif
