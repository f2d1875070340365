/* SPDX-License-Identifier: MIT */
/* Bodies of actions; see body.h. Called by forward.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <limits.h>
#include <math.h>
#include <string.h>

#include <json-c/json.h>
#include <json-c/json_visit.h>

#include "base/util.h"
#include "http/body.h"

static struct json_object *
one_problem(const char *type, struct json_object *place, const char *msg, struct json_object *input)
{
	struct json_object *list = json_object_new_array(), *p = json_object_new_object();
	struct json_object *loc = json_object_new_array();

	json_object_array_add(loc, json_object_new_string("body"));
	if (place)
		json_object_array_add(loc, place);
	json_object_object_add(p, "type", json_object_new_string(type));
	json_object_object_add(p, "loc", loc);
	json_object_object_add(p, "msg", json_object_new_string(msg));
	json_object_object_add(p, "input", input);
	json_object_array_add(list, p);
	return list;
}

static struct json_object *
not_json(size_t at, const char *why)
{
	struct json_object *list = one_problem("json_invalid", json_object_new_int64((int64_t)at),
					       "JSON decode error", json_object_new_object());
	struct json_object *ctx = json_object_new_object();

	json_object_object_add(ctx, "error", json_object_new_string(why));
	json_object_object_add(json_object_array_get_idx(list, 0), "ctx", ctx);
	return list;
}

static int
find_infinite(struct json_object *o, int flags, struct json_object *parent, const char *key,
	      size_t *at, void *arg)
{
	bool *found = arg;

	if (!json_object_is_type(o, json_type_double) || isfinite(json_object_get_double(o)))
		return JSON_C_VISIT_RETURN_CONTINUE;
	*found = true;
	return JSON_C_VISIT_RETURN_STOP;
}

/* json-c takes NaN and Infinity, which are not JSON and which no other reader of what is stored
 * would take. */
static bool
has_infinite(struct json_object *o)
{
	bool found = false;

	json_c_visit(o, 0, find_infinite, &found);
	return found;
}

struct json_object *
body_parse(const char *text, size_t n, struct json_object **bad)
{
	struct json_tokener *tok;
	struct json_object *o = NULL;
	enum json_tokener_error error;
	size_t end;

	*bad = NULL;
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
		n--;
	if (n == 0)
		return json_object_new_object();
	if (n >= INT_MAX) {
		*bad = not_json(0, "too long");
		return NULL;
	}
	tok = json_tokener_new_ex(BODY_DEPTH);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)n);
	error = json_tokener_get_error(tok);
	if (error == json_tokener_continue) {
		/* A number at the very end is only known to be over when something follows it. */
		o = json_tokener_parse_ex(tok, " ", 1);
		error = json_tokener_get_error(tok);
		end = n;
	} else {
		end = json_tokener_get_parse_end(tok);
	}
	json_tokener_free(tok);
	if (error == json_tokener_continue)
		*bad = not_json(n, "unexpected end of data");
	else if (error != json_tokener_success)
		*bad = not_json(end, json_tokener_error_desc(error));
	else if (end < n)
		*bad = not_json(end, "extra data");
	else if (has_infinite(o))
		*bad = not_json(0, "NaN, Infinity and numbers as large are not possible");
	else if (!json_object_is_type(o, json_type_object))
		*bad = one_problem("dict_type", NULL, "Input should be a valid dictionary",
				   json_object_get(o));
	if (!*bad)
		return o;
	json_object_put(o);
	return NULL;
}
