/* SPDX-License-Identifier: MIT */
/* OpenAPI from the verb table; see openapi.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "http/openapi.h"
#include "http/reply.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static void
put_type(struct buf *out, const char *type, bool nullable)
{
	if (nullable)
		buf_printf(out, "\"type\":[\"%s\",\"null\"]", type);
	else
		buf_printf(out, "\"type\":\"%s\"", type);
}

static void
put_schema(struct buf *out, const struct verb_arg *a)
{
	buf_putc(out, '{');
	switch (a->type) {
	case ARG_STRING:
		put_type(out, "string", a->nullable);
		if (a->min > 0)
			buf_printf(out, ",\"minLength\":%lld", (long long)a->min);
		if (a->max > 0)
			buf_printf(out, ",\"maxLength\":%lld", (long long)a->max);
		break;
	case ARG_NAME:
		put_type(out, "string", a->nullable);
		buf_puts(out, ",\"pattern\":\"^[a-zA-Z0-9_-]{1,60}$\"");
		break;
	case ARG_INT:
		put_type(out, "integer", a->nullable);
		if (a->min > INT64_MIN)
			buf_printf(out, ",\"minimum\":%lld", (long long)a->min);
		if (a->max < INT64_MAX)
			buf_printf(out, ",\"maximum\":%lld", (long long)a->max);
		break;
	case ARG_BOOL:
		put_type(out, "boolean", a->nullable);
		break;
	case ARG_OBJECT:
		put_type(out, "object", a->nullable);
		break;
	case ARG_STRINGS:
		put_type(out, "array", a->nullable);
		buf_puts(out, ",\"items\":{\"type\":\"string\"},\"minItems\":1");
		break;
	case ARG_ARRAY:
		put_type(out, "array", a->nullable);
		buf_puts(out, ",\"items\":{}");
		break;
	case ARG_ANY:
		break;
	}
	if (out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	buf_puts(out, "\"description\":");
	buf_put_json_str(out, a->doc);
	buf_putc(out, '}');
}

static bool
has_args(const struct verb *v, enum arg_place place)
{
	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++)
		if (a->place == place)
			return true;
	return false;
}

static void
put_parameters(struct buf *out, const struct verb *v)
{
	const char *comma = "";

	buf_puts(out, ",\"parameters\":[");
	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++) {
		if (a->place == IN_BODY)
			continue;
		buf_printf(out,
			   "%s{\"name\":\"%s\",\"in\":\"%s\",\"required\":%s,\"schema\":", comma,
			   a->name, a->place == IN_PATH ? "path" : "query",
			   a->required ? "true" : "false");
		put_schema(out, a);
		buf_putc(out, '}');
		comma = ",";
	}
	buf_putc(out, ']');
}

static void
put_body(struct buf *out, const struct verb *v)
{
	const char *comma = "";
	bool required = false;

	buf_puts(out, ",\"requestBody\":{\"content\":{\"application/"
		      "json\":{\"schema\":{\"type\":\"object\",\"properties\":{");
	for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++) {
		if (a->place != IN_BODY)
			continue;
		buf_printf(out, "%s\"%s\":", comma, a->name);
		put_schema(out, a);
		comma = ",";
		required |= a->required;
	}
	buf_putc(out, '}');
	if (required) {
		comma = "";
		buf_puts(out, ",\"required\":[");
		for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name;
		     a++)
			if (a->place == IN_BODY && a->required) {
				buf_printf(out, "%s\"%s\"", comma, a->name);
				comma = ",";
			}
		buf_putc(out, ']');
	}
	buf_printf(out, "}}},\"required\":%s}", required ? "true" : "false");
}

static void
put_operation(struct buf *out, const struct verb *v)
{
	for (const char *p = v->method; *p; p++)
		buf_putc(out, (char)(*p | 0x20));
	/* The quote in front of the method is the caller's. */
	buf_printf(out, "\":{\"operationId\":\"%s\",\"summary\":", v->name);
	buf_put_json_str(out, v->summary);
	if (has_args(v, IN_PATH) || has_args(v, IN_QUERY))
		put_parameters(out, v);
	if (has_args(v, IN_BODY))
		put_body(out, v);
	buf_printf(out, ",\"responses\":{\"%d\":{\"description\":\"Success\"", v->success);
	if (v->success != 101)
		buf_puts(out, ",\"content\":{\"application/json\":{}}");
	buf_puts(out, "},\"422\":{\"description\":\"Arguments that are missing or "
		      "wrong\",\"content\":{\"application/json\":"
		      "{\"schema\":{\"$ref\":\"#/components/schemas/Problems\"}}}},"
		      "\"default\":{\"description\":\"Error\",\"content\":{\"application/json\":"
		      "{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}}}");
}

void
openapi_render(struct buf *out, unsigned ports)
{
	const char *comma = "";

	buf_puts(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"aod\",\"version\":");
	buf_put_json_str(out, PACKAGE_VERSION);
	buf_puts(out, "},\"paths\":{");
	for (const struct verb *v = verbs; v->name; v++) {
		const struct verb *first = verbs;
		const char *inner = "";

		while (first != v && (strcmp(first->path, v->path) != 0 || !(first->ports & ports)))
			first++;
		if (first != v || !(v->ports & ports))
			continue; /* another port's, or listed with an earlier one of the same path
				   */
		buf_printf(out, "%s\"%s\":{", comma, v->path);
		comma = ",";
		for (const struct verb *o = v; o->name; o++)
			if (strcmp(o->path, v->path) == 0 && (o->ports & ports)) {
				buf_printf(out, "%s\"", inner);
				put_operation(out, o);
				inner = ",";
			}
		buf_putc(out, '}');
	}
	buf_puts(out, "},\"components\":{\"schemas\":{"
		      "\"Error\":{\"type\":\"object\",\"properties\":{\"detail\":{\"type\":"
		      "\"string\"}},\"required\":[\"detail\"]},"
		      "\"Problems\":{\"type\":\"object\",\"properties\":{\"detail\":{\"type\":"
		      "\"array\",\"items\":{\"type\":\"object\","
		      "\"properties\":{\"type\":{\"type\":\"string\"},\"loc\":{\"type\":\"array\","
		      "\"items\":{}},"
		      "\"msg\":{\"type\":\"string\"},\"input\":{}},\"required\":[\"type\",\"loc\","
		      "\"msg\"]}}},"
		      "\"required\":[\"detail\"]}}}}");
}

void
openapi_get(const struct request *rq)
{
	struct buf b = BUF_INIT;

	openapi_render(&b, PORT_RUNTIME);
	reply_buf(rq->req, 200, &b);
	buf_free(&b);
}
