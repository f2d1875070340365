/* SPDX-License-Identifier: MIT */
/* Bodies of actions: text to a JSON object of arguments, or the problem in the form of the old API.
 * Pure. */
#ifndef AOD_HTTP_BODY_H
#define AOD_HTTP_BODY_H

#include <stddef.h>

#define BODY_DEPTH 64 /* nesting of JSON */

struct json_object;

/*
 * Parse a body. An empty one is {}. Returns NULL and an array of problems in *bad (json_invalid,
 * dict_type) when it is not one JSON object in valid UTF-8; the caller puts what it gets.
 */
struct json_object *body_parse(const char *text, size_t n, struct json_object **bad);

#endif
