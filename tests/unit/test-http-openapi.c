/* SPDX-License-Identifier: MIT */
/* The OpenAPI document: it is JSON, and every verb of the table is in it with its arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "http/openapi.h"
#include "http/reply.h"

/* openapi_get() is not called here; this is what it needs to link. */
void
reply_buf(h2o_req_t *req, int status, const struct buf *b)
{
	fail();
}

static struct json_object *
at(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

static void
check_argument(struct json_object *op, const struct verb_arg *a)
{
	if (a->place == IN_BODY) {
		struct json_object *schema =
			at(at(at(at(op, "requestBody"), "content"), "application/json"), "schema");

		assert_non_null(at(at(schema, "properties"), a->name));
		return;
	}
	for (size_t i = 0; i < json_object_array_length(at(op, "parameters")); i++) {
		struct json_object *p = json_object_array_get_idx(at(op, "parameters"), i);

		if (strcmp(json_object_get_string(at(p, "name")), a->name) == 0) {
			assert_string_equal(json_object_get_string(at(p, "in")),
					    a->place == IN_PATH ? "path" : "query");
			assert_int_equal(json_object_get_boolean(at(p, "required")), a->required);
			assert_non_null(at(at(p, "schema"), "description"));
			return;
		}
	}
	fail_msg("argument %s is missing", a->name);
}

static void
test_every_verb(void **state)
{
	struct buf b = BUF_INIT;
	struct json_object *doc;
	size_t n = 0;

	openapi_render(&b, PORT_RUNTIME);
	doc = json_tokener_parse(b.data);
	assert_non_null(doc);
	assert_string_equal(json_object_get_string(at(doc, "openapi")), "3.1.0");
	for (const struct verb *v = verbs; v->name; v++) {
		struct json_object *op;
		char method[16] = "";

		if (!(v->ports & PORT_RUNTIME))
			continue;
		for (size_t i = 0; v->method[i]; i++)
			method[i] = (char)(v->method[i] | 0x20);
		op = at(at(at(doc, "paths"), v->path), method);
		assert_non_null(op);
		assert_string_equal(json_object_get_string(at(op, "operationId")), v->name);
		for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name;
		     a++)
			check_argument(op, a);
		n++;
	}
	/* And nothing else, nothing twice. */
	json_object_object_foreach(at(doc, "paths"), path, methods)
	{
		assert_non_null(path);
		n -= (size_t)json_object_object_length(methods);
	}
	assert_int_equal(n, 0);
	json_object_put(doc);
	buf_free(&b);
}

static void
test_another_port(void **state)
{
	struct buf b = BUF_INIT;
	struct json_object *doc;

	openapi_render(&b, PORT_REGISTRY);
	doc = json_tokener_parse(b.data);
	assert_non_null(doc);
	assert_non_null(at(at(doc, "paths"), "/health"));
	assert_null(at(at(doc, "paths"), "/sessions"));
	json_object_put(doc);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_verb),
		cmocka_unit_test(test_another_port),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
