/* SPDX-License-Identifier: MIT */
/* Bodies of actions: JSON objects, and the answers to what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "http/body.h"

static void
good(const char *text, const char *want)
{
	struct json_object *bad, *o = body_parse(text, strlen(text), &bad);

	assert_non_null(o);
	assert_null(bad);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), want);
	json_object_put(o);
}

static void
refused(const char *text, size_t n, const char *type, int64_t place)
{
	struct json_object *bad, *o = body_parse(text, n, &bad), *p, *loc;

	assert_null(o);
	assert_non_null(bad);
	assert_int_equal(json_object_array_length(bad), 1);
	p = json_object_array_get_idx(bad, 0);
	assert_string_equal(json_object_get_string(json_object_object_get(p, "type")), type);
	assert_non_null(json_object_object_get(p, "msg"));
	assert_true(json_object_object_get_ex(p, "input", NULL));
	loc = json_object_object_get(p, "loc");
	assert_string_equal(json_object_get_string(json_object_array_get_idx(loc, 0)), "body");
	if (place >= 0) {
		assert_int_equal(json_object_get_int64(json_object_array_get_idx(loc, 1)), place);
		assert_non_null(json_object_object_get(json_object_object_get(p, "ctx"), "error"));
	}
	json_object_put(bad);
}

static void
test_objects(void **state)
{
	good("", "{}");
	good(" \r\n\t", "{}");
	good("{}", "{}");
	good("{\"a\":[1,null,\"\xc3\xa9\"]}\n", "{\"a\":[1,null,\"\xc3\xa9\"]}");
	good("  {\"a\":{\"b\":true}}  ", "{\"a\":{\"b\":true}}");
}

static void
test_not_json(void **state)
{
	refused("{", 1, "json_invalid", 1);
	refused("{\"a\":1", 6, "json_invalid", 6);
	refused("{a:1}", 5, "json_invalid", 1);
	refused("{\"a\":1,}", 8, "json_invalid", 7);
	refused("{\"a\":[NaN]}", 11, "json_invalid", 0);
	refused("{\"a\":{\"b\":-Infinity}}", 21, "json_invalid", 0);
	refused("{\"a\":1e999}", 11, "json_invalid", 0);
	refused("{\"a\":1} x", 9, "json_invalid", 8);
	refused("{\"a\":1}{}", 9, "json_invalid", 7);
	refused("nope", 4, "json_invalid", 1);
	refused("{\"a\":\"\xff\"}", 8, "json_invalid", -1);
	refused("\0", 1, "json_invalid", -1);
	refused("{}\0", 3, "json_invalid", -1);
}

static void
test_not_an_object(void **state)
{
	refused("[1]", 3, "dict_type", -1);
	refused("12", 2, "dict_type", -1);
	refused("null", 4, "dict_type", -1);
	refused("\"text\"", 6, "dict_type", -1);
}

static void
test_depth(void **state)
{
	struct buf b = BUF_INIT;
	struct json_object *bad, *o;

	for (int i = 0; i < 10 * BODY_DEPTH; i++)
		buf_puts(&b, "{\"a\":");
	o = body_parse(b.data, b.len, &bad);
	assert_null(o);
	assert_non_null(bad);
	json_object_put(bad);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_depth),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
