/* SPDX-License-Identifier: MIT */
/* Reading JSON that nobody vouches for: no type, length, depth or number is trusted. For the
 * adapters only. */
#ifndef AOD_ADAPTER_JV_H
#define AOD_ADAPTER_JV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/event.h"

struct json_object;

#define JV_DEPTH_MAX 64

/* Parse one object; the caller puts it. NULL: it is none; *too_deep says whether its depth was the
 * reason. */
struct json_object *jv_parse(const char *s, size_t n, bool *too_deep);
/*
 * Append a value as JSON. json-c's own writer passes on NaN and broken UTF-8, which no client could
 * read: here a number that JSON does not have becomes null, a broken byte U+FFFD.
 */
void jv_write(struct buf *b, struct json_object *v);
void jv_write_double(struct buf *b, double d);

/* A member, or NULL: it is not there, it is null, or o is no object. */
struct json_object *jv_get(struct json_object *o, const char *key);
/* The bytes of a string, or NULL when it is none. */
const char *jv_text(struct json_object *v, size_t *n);
/* A member that is a string, "" when it is none. */
const char *jv_word(struct json_object *o, const char *key);
/* Whether a member is true. */
bool jv_true(struct json_object *o, const char *key);
/* A member that is a whole number, or a number; 0 when it is none, or below 0, or not finite. */
int64_t jv_count(struct json_object *o, const char *key);
double jv_amount(struct json_object *o, const char *key);
/* The length of an array, 0 when it is none. */
size_t jv_len(struct json_object *v);
/* A copy of a member that is a string, for the caller to free; NULL when it is none. */
char *jv_copy(struct json_object *o, const char *key);
/* Append the text of a content: a string, or the strings and text blocks of an array with the
 * separator between them. */
void jv_content(struct buf *b, struct json_object *v, const char *separator);

/* Put v under one of the eight wire keys, where it has the type that clients expect of it; else
 * nothing is put. */
void jv_put_key(struct event *ev, enum event_key key, struct json_object *v);
/* Put v under another name, whatever it is. */
void jv_put_extra(struct event *ev, const char *name, struct json_object *v);
/* Copy the members of o that are there and not null. names: separated by blanks. */
void jv_put_members(struct event *ev, struct json_object *o, const char *names);

#endif
