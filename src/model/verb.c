/* SPDX-License-Identifier: MIT */
/* Verbs: finding the row of a request, checking its arguments. The rows are in verb-table.c. See
 * verb.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/verb.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define NAME_PATTERN "^[a-zA-Z0-9_-]{1,60}$"
#define ECHO_MAX 200 /* bytes of a text that is too long that go into the answer */

const struct verb *
verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

/* Whether path has the form of pattern, in which {name} stands for one segment that is not empty. */
static bool
path_matches(const char *pattern, const char *path, size_t n, struct verb_piece pieces[VERB_PIECES])
{
	const char *end = path + n;
	int count = 0;

	memset(pieces, 0, VERB_PIECES * sizeof(*pieces));
	while (*pattern) {
		if (*pattern == '{') {
			const char *start = path;

			while (path < end && *path != '/')
				path++;
			if (path == start)
				return false;
			pieces[count++] = (struct verb_piece){start, (unsigned long)(path - start)};
			pattern = strchr(pattern, '}') + 1;
		} else if (path == end || *path++ != *pattern++) {
			return false;
		}
	}
	return path == end;
}

const char *
verb_second(const struct verb *v)
{
	const struct verb_arg *found = NULL;

	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++)
		if (a->place == IN_PATH)
			found = a;
	return found ? found->name : NULL;
}

static void
allow_add(char *allow, size_t size, const char *method)
{
	size_t len = strlen(allow);

	if (!strstr(allow, method) && len + strlen(method) + 3 < size)
		snprintf(allow + len, size - len, "%s%s", len > 0 ? ", " : "", method);
}

const struct verb *
verb_route(unsigned port, const char *method, const char *path, unsigned long path_len,
	   struct verb_piece pieces[VERB_PIECES], const char **allow)
{
	static char allowed[64];
	bool other = false;

	*allow = NULL;
	for (const struct verb *v = verbs; v->name; v++) {
		if (!(v->ports & port) || !path_matches(v->path, path, path_len, pieces))
			continue;
		if (strcmp(v->method, method) == 0)
			return v;
		if (!other)
			allowed[0] = 0;
		other = true;
		allow_add(allowed, sizeof(allowed), v->method);
	}
	memset(pieces, 0, VERB_PIECES * sizeof(*pieces));
	if (other)
		*allow = allowed;
	return NULL;
}

/* One check of arguments: where they are, and the errors so far. */
struct check {
	enum arg_place place;
	struct json_object *args, *errors;
};

static const char *
place_name(enum arg_place place)
{
	return place == IN_BODY ? "body" : place == IN_QUERY ? "query" : "path";
}

/* Add an error. input is borrowed; item is the index in an array, or -1. Returns its "ctx" to be
 * filled. */
static void
fail_at(struct check *c, const char *field, int item, const char *type, const char *msg,
	struct json_object *input, const char *ctx_key, struct json_object *ctx_value)
{
	struct json_object *o = json_object_new_object(), *loc = json_object_new_array();

	json_object_array_add(loc, json_object_new_string(place_name(c->place)));
	if (field)
		json_object_array_add(loc, json_object_new_string(field));
	if (item >= 0)
		json_object_array_add(loc, json_object_new_int(item));
	json_object_object_add(o, "type", json_object_new_string(type));
	json_object_object_add(o, "loc", loc);
	json_object_object_add(o, "msg", json_object_new_string(msg));
	json_object_object_add(o, "input", json_object_get(input));
	if (ctx_key) {
		struct json_object *ctx = json_object_new_object();

		json_object_object_add(ctx, ctx_key, ctx_value);
		json_object_object_add(o, "ctx", ctx);
	}
	if (!c->errors)
		c->errors = json_object_new_array();
	json_object_array_add(c->errors, o);
}

static void
fail(struct check *c, const struct verb_arg *a, const char *type, const char *msg,
     struct json_object *input)
{
	fail_at(c, a->name, -1, type, msg, input, NULL, NULL);
}

/* The value of an argument, renamed from the first of its aliases that is there. */
static bool
arg_take(struct json_object *args, const struct verb_arg *a, struct json_object **out)
{
	if (json_object_object_get_ex(args, a->name, out))
		return true;
	for (const char *p = a->aliases; p && *p;) {
		size_t n = strcspn(p, " ");
		char alias[64];

		snprintf(alias, sizeof(alias), "%.*s", (int)n, p);
		if (json_object_object_get_ex(args, alias, out)) {
			json_object_object_add(args, a->name, json_object_get(*out));
			json_object_object_del(args, alias);
			return true;
		}
		p += n;
		p += strspn(p, " ");
	}
	return false;
}

static void
check_length(struct check *c, const struct verb_arg *a, struct json_object *v, int64_t n)
{
	char msg[100];

	if (n < a->min) {
		snprintf(msg, sizeof(msg), "String should have at least %lld character%s",
			 (long long)a->min, a->min == 1 ? "" : "s");
		fail_at(c, a->name, -1, "string_too_short", msg, v, "min_length",
			json_object_new_int64(a->min));
	} else if (n > a->max) {
		struct json_object *cut = NULL;

		if (n > ECHO_MAX) {
			const char *s = json_object_get_string(v);
			int keep = ECHO_MAX;

			while (keep > 0 && ((unsigned char)s[keep] & 0xc0) == 0x80)
				keep--;
			v = cut = json_object_new_string_len(s, keep);
		}
		snprintf(msg, sizeof(msg), "String should have at most %lld characters",
			 (long long)a->max);
		fail_at(c, a->name, -1, "string_too_long", msg, v, "max_length",
			json_object_new_int64(a->max));
		json_object_put(cut);
	}
}

static void
check_string(struct check *c, const struct verb_arg *a, struct json_object *v)
{
	size_t n;
	const char *s;

	if (!json_object_is_type(v, json_type_string)) {
		fail(c, a, "string_type", "Input should be a valid string", v);
		return;
	}
	n = (size_t)json_object_get_string_len(v);
	s = json_object_get_string(v);
	if ((int64_t)n < a->min || (int64_t)n > a->max)
		check_length(c, a, v, (int64_t)n);
	else if (a->type == ARG_NAME && (strlen(s) != n || !name_valid(s)))
		fail_at(c, a->name, -1, "string_pattern_mismatch",
			"String should match pattern '" NAME_PATTERN "'", v, "pattern",
			json_object_new_string(NAME_PATTERN));
	else if (strlen(s) != n)
		/* It would be cut there, silently, wherever it is used as a C string. */
		fail(c, a, "string_pattern_mismatch", "String should not contain NUL characters",
		     v);
}

/* Text and whole floating-point numbers count as integers, as in the old API; they are replaced by
 * one. */
static bool
to_int(struct check *c, const struct verb_arg *a, struct json_object *v, int64_t *out)
{
	double d;

	switch (json_object_get_type(v)) {
	case json_type_int:
		*out = json_object_get_int64(v);
		return true;
	case json_type_double:
		d = json_object_get_double(v);
		if (!(fabs(d) < 9e15) || d != floor(d)) {
			fail(c, a, "int_type", "Input should be a valid integer", v);
			return false;
		}
		*out = (int64_t)d;
		break;
	case json_type_string:
		if (!parse_i64(json_object_get_string(v), INT64_MIN, INT64_MAX, out)) {
			fail(c, a, "int_parsing",
			     "Input should be a valid integer, unable to parse string as an "
			     "integer",
			     v);
			return false;
		}
		break;
	default:
		fail(c, a, "int_type", "Input should be a valid integer", v);
		return false;
	}
	json_object_object_add(c->args, a->name, json_object_new_int64(*out));
	return true;
}

static void
check_int(struct check *c, const struct verb_arg *a, struct json_object *v)
{
	/* to_int() may put another value in the place of this one, which the error still names. */
	struct json_object *input = json_object_get(v);
	char msg[100];
	int64_t n;

	if (to_int(c, a, v, &n)) {
		if (n < a->min) {
			snprintf(msg, sizeof(msg), "Input should be greater than or equal to %lld",
				 (long long)a->min);
			fail_at(c, a->name, -1, "greater_than_equal", msg, input, "ge",
				json_object_new_int64(a->min));
		} else if (n > a->max) {
			snprintf(msg, sizeof(msg), "Input should be less than or equal to %lld",
				 (long long)a->max);
			fail_at(c, a->name, -1, "less_than_equal", msg, input, "le",
				json_object_new_int64(a->max));
		}
	}
	json_object_put(input);
}

static void
check_bool(struct check *c, const struct verb_arg *a, struct json_object *v)
{
	bool b;

	if (json_object_is_type(v, json_type_boolean))
		return;
	if (json_object_is_type(v, json_type_string) && parse_bool(json_object_get_string(v), &b))
		json_object_object_add(c->args, a->name, json_object_new_boolean(b));
	else if (json_object_is_type(v, json_type_int) && (json_object_get_uint64(v) <= 1))
		json_object_object_add(c->args, a->name,
				       json_object_new_boolean(json_object_get_int(v)));
	else
		fail(c, a, "bool_type", "Input should be a valid boolean", v);
}

static void
check_strings(struct check *c, const struct verb_arg *a, struct json_object *v)
{
	int64_t n =
		json_object_is_type(v, json_type_array) ? (int64_t)json_object_array_length(v) : -1;
	char msg[100];

	if (n < a->min || n > a->max) {
		snprintf(msg, sizeof(msg), "Input should be a valid list of %lld to %lld strings",
			 (long long)a->min, (long long)a->max);
		fail(c, a, "list_type", n < 0 ? "Input should be a valid list" : msg,
		     n > a->max ? NULL : v);
		return;
	}
	for (int i = 0; i < n; i++) {
		struct json_object *it = json_object_array_get_idx(v, (size_t)i);

		if (!json_object_is_type(it, json_type_string))
			fail_at(c, a->name, i, "string_type", "Input should be a valid string", it,
				NULL, NULL);
		else if (strlen(json_object_get_string(it)) !=
			 (size_t)json_object_get_string_len(it))
			fail_at(c, a->name, i, "string_pattern_mismatch",
				"String should not contain NUL characters", it, NULL, NULL);
	}
}

static void
check_value(struct check *c, const struct verb_arg *a, struct json_object *v)
{
	switch (a->type) {
	case ARG_STRING:
	case ARG_NAME:
		check_string(c, a, v);
		break;
	case ARG_INT:
		check_int(c, a, v);
		break;
	case ARG_BOOL:
		check_bool(c, a, v);
		break;
	case ARG_OBJECT:
		if (!json_object_is_type(v, json_type_object))
			fail(c, a, "dict_type", "Input should be a valid dictionary", v);
		break;
	case ARG_STRINGS:
		check_strings(c, a, v);
		break;
	case ARG_ARRAY:
		if (!json_object_is_type(v, json_type_array))
			fail(c, a, "list_type", "Input should be a valid list", v);
		break;
	case ARG_ANY:
		break;
	}
}

const struct verb_arg *
verb_find_arg(const struct verb *v, enum arg_place place, const char *name)
{
	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++)
		if (a->place == place && strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

/* Whoever asks for a change is to know which part of it is not understood. */
static void
check_unknown(struct check *c, const struct verb *v)
{
	json_object_object_foreach(c->args, name, value)
	{
		if (!verb_find_arg(v, c->place, name))
			fail_at(c, name, -1, "extra_forbidden",
				verb_find_arg(v, IN_BODY, name) ? "This belongs in the body of the request" : "There is no such parameter", value, NULL, NULL);
	}
}

struct json_object *
verb_check(const struct verb *v, enum arg_place place, struct json_object *args)
{
	struct check c = {place, args, NULL};
	bool object = json_object_is_type(args, json_type_object);

	if (args && !object) {
		fail_at(&c, NULL, -1, "dict_type", "Input should be a valid dictionary", args, NULL,
			NULL);
		return c.errors;
	}
	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++) {
		struct json_object *value = NULL;

		if (a->place != place)
			continue;
		if (!object) {
			if (a->required) {
				fail_at(&c, NULL, -1, "missing", "Field required", NULL, NULL,
					NULL);
				break;
			}
		} else if (!arg_take(args, a, &value)) {
			if (a->required)
				fail(&c, a, "missing", "Field required", args);
		} else if (value || !a->nullable) {
			check_value(&c, a, value);
		}
	}
	if (object && place == IN_QUERY && v->kind == VERB_ACTION && strcmp(v->method, "GET") != 0)
		check_unknown(&c, v);
	return c.errors;
}
