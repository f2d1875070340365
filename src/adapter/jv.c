/* SPDX-License-Identifier: MIT */
/* Reading JSON that nobody vouches for, and putting it into events. See jv.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "adapter/jv.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define BLANK " \t\r\n"
#define TOKENER_KEEP (1u << 20) /* after a longer text the tokener is dropped with its memory */

/* Reused, and shared by all sessions: the supervisor has one thread. */
static struct json_tokener *tokener;
static struct buf scratch;

struct json_object *
jv_parse(const char *s, size_t n, bool *too_deep)
{
	struct json_object *o;

	*too_deep = false;
	while (n > 0 && s[n - 1] && strchr(BLANK, s[n - 1]))
		n--;
	if (n == 0 || n > INT32_MAX || s[strspn(s, BLANK)] != '{')
		return NULL;
	if (!tokener) {
		tokener = json_tokener_new_ex(JV_DEPTH_MAX);
		if (!tokener)
			abort();
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	}
	json_tokener_reset(tokener);
	o = json_tokener_parse_ex(tokener, s, (int)n);
	*too_deep = json_tokener_get_error(tokener) == json_tokener_error_depth;
	if (n > TOKENER_KEEP) {
		json_tokener_free(tokener);
		tokener = NULL;
	}
	if (o && !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

void
jv_write_double(struct buf *b, double d)
{
	char tmp[40];

	/* What is beyond a double's range has no number in JSON. */
	if (!isfinite(d)) {
		buf_puts(b, "null");
		return;
	}
	snprintf(tmp, sizeof(tmp), "%.15g", d);
	if (strtod(tmp, NULL) != d)
		snprintf(tmp, sizeof(tmp), "%.17g", d);
	buf_puts(b, tmp);
}

/* json-c's own writer passes on NaN and broken UTF-8, which no client could read. At most
 * JV_DEPTH_MAX deep. */
void
jv_write(struct buf *b, struct json_object *v)
{
	bool first = true;
	size_t n;

	switch (json_object_get_type(v)) {
	case json_type_null:
		buf_put(b, "null", 4);
		break;
	case json_type_boolean:
		buf_puts(b, json_object_get_boolean(v) ? "true" : "false");
		break;
	case json_type_int:
		if (json_object_get_int64(v) == INT64_MAX)
			buf_printf(b, "%llu", (unsigned long long)json_object_get_uint64(v));
		else
			buf_put_int(b, json_object_get_int64(v));
		break;
	case json_type_double:
		jv_write_double(b, json_object_get_double(v));
		break;
	case json_type_string:
		buf_put_json(b, json_object_get_string(v), (size_t)json_object_get_string_len(v));
		break;
	case json_type_array:
		n = json_object_array_length(v);
		buf_putc(b, '[');
		for (size_t i = 0; i < n; i++) {
			if (i > 0)
				buf_putc(b, ',');
			jv_write(b, json_object_array_get_idx(v, i));
		}
		buf_putc(b, ']');
		break;
	case json_type_object:
		buf_putc(b, '{');
		json_object_object_foreach(v, key, value)
		{
			if (!first)
				buf_putc(b, ',');
			first = false;
			buf_put_json_str(b, key);
			buf_putc(b, ':');
			jv_write(b, value);
		}
		buf_putc(b, '}');
		break;
	}
}

struct json_object *
jv_get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &v);
	return v;
}

const char *
jv_text(struct json_object *v, size_t *n)
{
	*n = 0;
	if (!json_object_is_type(v, json_type_string))
		return NULL;
	*n = (size_t)json_object_get_string_len(v);
	return json_object_get_string(v);
}

const char *
jv_word(struct json_object *o, const char *key)
{
	size_t n;
	const char *s = jv_text(jv_get(o, key), &n);

	return s ? s : "";
}

bool
jv_true(struct json_object *o, const char *key)
{
	struct json_object *v = jv_get(o, key);

	return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

int64_t
jv_count(struct json_object *o, const char *key)
{
	struct json_object *v = jv_get(o, key);
	int64_t n = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;

	return n > 0 ? n : 0;
}

double
jv_amount(struct json_object *o, const char *key)
{
	struct json_object *v = jv_get(o, key);
	double d = 0;

	if (json_object_is_type(v, json_type_double) || json_object_is_type(v, json_type_int))
		d = json_object_get_double(v);
	return isfinite(d) && d > 0 ? d : 0;
}

size_t
jv_len(struct json_object *v)
{
	return json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
}

char *
jv_copy(struct json_object *o, const char *key)
{
	size_t n;
	const char *s = jv_text(jv_get(o, key), &n);

	return s ? xstrndup(s, n) : NULL;
}

void
jv_content(struct buf *b, struct json_object *v, const char *separator)
{
	size_t n, start = b->len;
	const char *s = jv_text(v, &n);

	if (s)
		buf_put(b, s, n);
	for (size_t i = 0; i < jv_len(v); i++) {
		struct json_object *item = json_object_array_get_idx(v, i);

		s = jv_text(json_object_is_type(item, json_type_string) ? item
									: jv_get(item, "text"),
			    &n);
		if (!s)
			continue;
		if (b->len > start)
			buf_puts(b, separator);
		buf_put(b, s, n);
	}
}

void
jv_put_key(struct event *ev, enum event_key key, struct json_object *v)
{
	size_t n;
	const char *s = jv_text(v, &n);

	switch (key) {
	case KEY_TOOL_NAME:
	case KEY_ERROR:
	case KEY_REASON:
	case KEY_ROLE:
		if (s)
			event_put_text(ev, key, s, n);
		return;
	case KEY_EXIT_CODE:
		if (json_object_is_type(v, json_type_int))
			event_put_int(ev, key, json_object_get_int64(v));
		return;
	case KEY_TOOL_INPUT:
		if (!json_object_is_type(v, json_type_object))
			return;
		break;
	case KEY_CONTENT:
		if (s) {
			event_put_content_text(ev, s, n);
			return;
		}
		if (!json_object_is_type(v, json_type_array))
			return;
		break;
	default:
		break;
	}
	buf_reset(&scratch);
	jv_write(&scratch, v);
	event_put_json(ev, key, scratch.data, scratch.len);
}

void
jv_put_extra(struct event *ev, const char *name, struct json_object *v)
{
	buf_reset(&scratch);
	jv_write(&scratch, v);
	event_extra_json(ev, name, scratch.data, scratch.len);
}

static void
put_member(struct event *ev, const char *name, struct json_object *v)
{
	for (int k = 0; k < KEY_COUNT; k++)
		if (strcmp(event_key_names[k], name) == 0) {
			jv_put_key(ev, k, v);
			return;
		}
	jv_put_extra(ev, name, v);
}

void
jv_put_members(struct event *ev, struct json_object *o, const char *names)
{
	while (*names) {
		size_t n = strcspn(names, " ");
		struct json_object *v;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)n, names);
		v = jv_get(o, name);
		if (v)
			put_member(ev, name, v);
		names += n;
		names += *names == ' ';
	}
}
