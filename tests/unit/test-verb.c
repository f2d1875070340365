/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "base/util.h"
#include "model/verb.h"

static const struct verb *
route(unsigned port, const char *method, const char *path, char *id, const char **allow)
{
	struct verb_piece pieces[VERB_PIECES];
	const struct verb *v = verb_route(port, method, path, strlen(path), pieces, allow);

	snprintf(id, 100, "%.*s%s%.*s", (int)pieces[0].len, pieces[0].s ? pieces[0].s : "", pieces[1].s ? "/" : "", (int)pieces[1].len,
		 pieces[1].s ? pieces[1].s : "");
	return v;
}

/* Each row is found by its own method and path, on its own ports only. */
static void
test_route_table(void **state)
{
	const char *allow;
	char id[100];

	for (const struct verb *v = verbs; v->name; v++) {
		char path[200];
		const char *brace = strchr(v->path, '{'), *second = brace ? strchr(brace + 1, '{') : NULL;

		snprintf(path, sizeof(path), "%s", v->path);
		if (brace)
			snprintf(path, sizeof(path), "%.*sab%%20c%.*s%s", (int)(brace - v->path), v->path,
				 second ? (int)(second - brace) - 4 : (int)strlen(brace) - 4, brace + 4, second ? "d" : "");
		for (unsigned port = 1; port < PORT_ALL; port <<= 1) {
			const struct verb *found = route(port, v->method, path, id, &allow);

			if (!(v->ports & port))
				continue;
			assert_ptr_equal(found, v);
			assert_null(allow);
			assert_string_equal(id, second ? "ab%20c/d" : brace ? "ab%20c" : "");
			assert_string_equal(verb_second(v) ? verb_second(v) : "", second ? "n" : brace ? "id" : "");
		}
		assert_ptr_equal(verb_find(v->name), v);
		assert_true(strlen(v->summary) > 10);
		for (const struct verb *other = v + 1; other->name; other++)
			assert_string_not_equal(v->name, other->name);
	}
	assert_null(verb_find("session.fly"));
}

static void
test_route_none(void **state)
{
	static const char *const none[] = { "",		       "/",		     "/session",	 "/sessions/",
					    "/sessions//stop", "/sessions/a/stop/", "/sessions/a/b/c", "/sessions/a/stopp",
					    "/sessions/a/sto", "sessions",	     "/healthy" };
	const char *allow;
	char id[100];

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_null(route(PORT_RUNTIME, "GET", none[i], id, &allow));
		assert_null(allow);
		assert_string_equal(id, "");
	}
	assert_null(route(PORT_CONTEXT, "GET", "/sessions", id, &allow));
	assert_null(allow);
	assert_null(route(PORT_RUNTIME, "PUT", "/sessions", id, &allow));
	assert_string_equal(allow, "GET, POST, DELETE");
	assert_null(route(PORT_RUNTIME, "GET", "/sessions/x/stop", id, &allow));
	assert_string_equal(allow, "POST");
	assert_null(route(PORT_RUNTIME, "get", "/health", id, &allow));
	assert_string_equal(allow, "GET");
}

/* Not more than the bytes that it was told of. */
static void
test_route_length(void **state)
{
	const char *allow;
	struct verb_piece pieces[VERB_PIECES];
	const struct verb *v = verb_route(PORT_RUNTIME, "GET", "/sessions/abc?x=1", 13, pieces, &allow);

	assert_string_equal(v->name, "session.get");
	assert_int_equal(pieces[0].len, 3);
	assert_memory_equal(pieces[0].s, "abc", 3);
	assert_null(pieces[1].s);
}

/* Check args of a verb; the answer as text, "" when all is well. */
static const char *
check(const char *verb, enum arg_place place, const char *json, char **args_after)
{
	static char text[4096];
	struct json_object *args = json ? json_tokener_parse(json) : NULL;
	struct json_object *errors = verb_check(verb_find(verb), place, args);

	snprintf(text, sizeof(text), "%s",
		 errors ? json_object_to_json_string_ext(errors, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : "");
	if (args_after)
		*args_after = xstrdup(json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN));
	json_object_put(errors);
	json_object_put(args);
	return text;
}

#define OK(verb, json) assert_string_equal(check(verb, IN_BODY, json, NULL), "")
#define SAYS(verb, json, what) \
	do { \
		const char *said = check(verb, IN_BODY, json, NULL); \
		if (!strstr(said, what)) \
			fail_msg("%s: %s", json, said); \
	} while (0)

static void
test_check_missing(void **state)
{
	assert_string_equal(check("event.append-any", IN_BODY, "{\"event_type\":\"message\",\"session_id\":\"s\",\"timestamp\":\"t\"}", NULL),
			    "[{\"type\":\"missing\",\"loc\":[\"body\",\"session_name\"],\"msg\":\"Field required\","
			    "\"input\":{\"event_type\":\"message\",\"session_id\":\"s\",\"timestamp\":\"t\"}}]");
	/* All of them in one answer. */
	SAYS("agent.status", "{}", "\"status\"");
	SAYS("event.append-any", "{\"tool_name\":5}", "string_type");
	SAYS("event.append-any", "{\"tool_name\":5}", "\"timestamp\"");
	assert_string_equal(check("agent.status", IN_BODY, NULL, NULL),
			    "[{\"type\":\"missing\",\"loc\":[\"body\"],\"msg\":\"Field required\",\"input\":null}]");
	assert_string_equal(check("session.create", IN_BODY, NULL, NULL), "");
	SAYS("session.create", "[1]", "dict_type");
	SAYS("session.create", "\"x\"", "dict_type");
	SAYS("session.stop", "5", "dict_type");
}

static void
test_check_strings(void **state)
{
	OK("session.create", "{\"session_name\":\"a-B_9\",\"prompt\":\"x\",\"what\":[1]}");
	OK("session.create", "{\"session_id\":null,\"prompt\":null,\"project_dir\":null}");
	SAYS("session.create", "{\"prompt\":5}", "\"type\":\"string_type\",\"loc\":[\"body\",\"prompt\"]");
	SAYS("session.create", "{\"prompt\":[]}", "Input should be a valid string");
	SAYS("session.create", "{\"prompt\":\"\"}", "string_too_short");
	SAYS("session.create", "{\"prompt\":\"\"}", "at least 1 character\"");
	OK("session.create", "{\"session_name\":null}");
	SAYS("session.resume", "{\"prompt\":null}", "string_type");
	SAYS("session.create", "{\"session_name\":\"a b\"}", "string_pattern_mismatch");
	SAYS("session.create", "{\"session_name\":\"a/../b\"}", "string_pattern_mismatch");
	SAYS("session.create", "{\"session_name\":\"a\\u0000\"}", "string_pattern_mismatch");
	SAYS("session.create", "{\"session_name\":\"\"}", "string_too_short");
	SAYS("session.create", "{\"project_dir\":\"/a\\u0000b\"}", "NUL");
	SAYS("session.create", "{\"session_name\":\"1234567890123456789012345678901234567890123456789012345678901\"}",
	     "\"type\":\"string_too_long\"");
	OK("session.create", "{\"session_name\":\"123456789012345678901234567890123456789012345678901234567890\"}");
}

/* A text that is too long is not echoed in full, and not cut within a character. */
static void
test_check_long(void **state)
{
	struct buf b = BUF_INIT;
	struct json_object *args, *errors, *v;

	buf_puts(&b, "{\"session_id\":\"a");
	for (int i = 0; i < 3000; i++)
		buf_puts(&b, "\xc3\xa4");
	buf_puts(&b, "\"}");
	args = json_tokener_parse(b.data);
	errors = verb_check(verb_find("session.create"), IN_BODY, args);
	assert_int_equal(json_object_array_length(errors), 1);
	assert_true(json_object_object_get_ex(json_object_array_get_idx(errors, 0), "input", &v));
	assert_int_equal(json_object_get_string_len(v), 199);
	json_object_put(errors);
	json_object_put(args);
	buf_free(&b);
}

static void
test_check_ints(void **state)
{
	char *after;

	OK("session.stop", "{\"timeout_ms\":0}");
	OK("session.stop", "{\"timeout_ms\":null}");
	SAYS("session.stop", "{\"timeout_ms\":-1}", "\"type\":\"greater_than_equal\"");
	SAYS("session.stop", "{\"timeout_ms\":3600001}", "\"type\":\"less_than_equal\"");
	SAYS("session.stop", "{\"timeout_ms\":3600001}", "less than or equal to 3600000\"");
	SAYS("session.stop", "{\"timeout_ms\":99999999999999999999}", "less_than_equal");
	SAYS("session.stop", "{\"timeout_ms\":1.5}", "int_type");
	SAYS("session.stop", "{\"timeout_ms\":1e300}", "int_type");
	SAYS("session.stop", "{\"timeout_ms\":NaN}", "int_type");
	SAYS("session.stop", "{\"timeout_ms\":true}", "int_type");
	SAYS("session.stop", "{\"timeout_ms\":[1]}", "int_type");
	SAYS("session.stop", "{\"timeout_ms\":\"5s\"}", "\"type\":\"int_parsing\"");
	SAYS("session.stop", "{\"timeout_ms\":\"-5\"}", "\"input\":\"-5\"");
	assert_string_equal(check("session.stop", IN_BODY, "{\"timeout_ms\":\"5\"}", &after), "");
	assert_string_equal(after, "{\"timeout_ms\":5}");
	free(after);
	assert_string_equal(check("session.stop", IN_BODY, "{\"timeout_ms\":7.0}", &after), "");
	assert_string_equal(after, "{\"timeout_ms\":7}");
	free(after);
	assert_string_equal(check("session.events", IN_QUERY, "{\"after\":\"12\",\"raw\":\"1\",\"follow\":\"no\"}", &after), "");
	assert_string_equal(after, "{\"after\":12,\"raw\":true,\"follow\":false}");
	free(after);
	assert_non_null(strstr(check("session.events", IN_QUERY, "{\"limit\":\"0\"}", NULL), "\"loc\":[\"query\",\"limit\"]"));
	assert_non_null(strstr(check("session.events", IN_QUERY, "{\"limit\":\"ten\"}", NULL), "int_parsing"));
}

static void
test_check_others(void **state)
{
	char *after;

	SAYS("session.create", "{\"async_mode\":\"perhaps\"}", "bool_type");
	SAYS("session.create", "{\"async_mode\":2}", "bool_type");
	SAYS("session.create", "{\"async_mode\":{}}", "bool_type");
	OK("session.create", "{\"async_mode\":true}");
	assert_string_equal(check("session.create", IN_BODY, "{\"async\":0,\"agent\":\"demo\",\"name\":\"n\"}", &after), "");
	assert_string_equal(after, "{\"session_name\":\"n\",\"agent_name\":\"demo\",\"async_mode\":false}");
	free(after);
	/* The name proper goes before its aliases. */
	assert_string_equal(check("session.create", IN_BODY, "{\"agent\":5,\"agent_name\":\"demo\"}", &after), "");
	assert_string_equal(after, "{\"agent\":5,\"agent_name\":\"demo\"}");
	free(after);
	OK("session.create", "{\"command\":[\"ls\",\"\"]}");
	OK("session.create", "{\"command\":null}");
	SAYS("session.create", "{\"command\":[]}", "list_type");
	SAYS("session.create", "{\"command\":\"ls\"}", "\"msg\":\"Input should be a valid list\"");
	SAYS("session.create", "{\"command\":[\"ls\",5]}", "\"loc\":[\"body\",\"command\",1]");
	SAYS("session.create", "{\"command\":[\"ls\",null]}", "string_type");
	SAYS("session.create", "{\"command\":[\"l\\u0000s\"]}", "NUL");
#define EVENT "\"event_type\":\"x\",\"session_id\":\"s\",\"session_name\":\"\",\"timestamp\":\"\""
	OK("event.append-any", "{" EVENT "}");
	OK("event.append-any", "{" EVENT ",\"tool_input\":{},\"tool_output\":[1,\"x\",null],\"content\":[]}");
	OK("event.append-any", "{" EVENT ",\"tool_output\":5,\"exit_code\":-2147483648}");
	OK("event.append-any", "{" EVENT ",\"tool_name\":null,\"tool_input\":null,\"tool_output\":null,\"content\":null}");
	SAYS("event.append-any", "{" EVENT ",\"tool_input\":[]}", "dict_type");
	SAYS("event.append-any", "{" EVENT ",\"content\":\"text\"}", "list_type");
	SAYS("event.append-any", "{" EVENT ",\"exit_code\":\"abc\"}", "int_parsing");
	SAYS("event.append-any", "{" EVENT ",\"exit_code\":2147483648}", "less_than_equal");
}

/* In the query of what changes something nothing is passed over: it names what is unknown, or in the wrong place. Reading takes it as the old API does. */
static void
test_check_unknown(void **state)
{
	for (const struct verb *v = verbs; v->name; v++) {
		bool changes = v->kind == VERB_ACTION && strcmp(v->method, "GET") != 0;
		const char *said = check(v->name, IN_QUERY, "{\"nope\":\"1\"}", NULL);

		if (changes != (strstr(said, "{\"type\":\"extra_forbidden\",\"loc\":[\"query\",\"nope\"],\"msg\":\"There is no such parameter\",\"input\":\"1\"}") != NULL))
			fail_msg("%s: %s", v->name, said);
		for (const struct verb_arg *a = v->args; changes && a < v->args + VERB_ARGS_MAX && a->name; a++) {
			CLEANUP_FREE char *json = xasprintf("{\"%s\":\"1\"}", a->name);

			said = check(v->name, IN_QUERY, json, NULL);
			if ((a->place == IN_BODY) != (strstr(said, "belongs in the body of the request") != NULL) ||
			    (a->place == IN_QUERY && strstr(said, "extra_forbidden")))
				fail_msg("%s: %s: %s", v->name, a->name, said);
		}
	}
	assert_string_equal(check("session.delete", IN_QUERY, "{\"tree\":true}", NULL), "");
	OK("session.stop", "{\"nope\":1}");
}

/* Every value of every type for every argument: an answer, no crash; and what it accepts, it accepts again. */
static void
test_check_all(void **state)
{
	static const char *const values[] = { "null", "true", "0", "-1", "1.5", "1e999", "\"\"", "\"x\"", "\"\\u0000\"",
					      "[]", "[null]", "[\"a\"]", "{}", "{\"a\":{}}", "18446744073709551615" };

	for (const struct verb *v = verbs; v->name; v++)
		for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++)
			for (size_t i = 0; i < ARRAY_LEN(values); i++) {
				CLEANUP_FREE char *json = xasprintf("{\"%s\":%s}", a->name, values[i]);
				char *after, *again;

				if (*check(v->name, a->place, json, &after) == 0) {
					assert_string_equal(check(v->name, a->place, after, &again), "");
					assert_string_equal(after, again);
					free(again);
				}
				free(after);
				assert_true(a->min <= a->max);
			}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_table),  cmocka_unit_test(test_route_none),
		cmocka_unit_test(test_route_length), cmocka_unit_test(test_check_missing),
		cmocka_unit_test(test_check_strings), cmocka_unit_test(test_check_long),
		cmocka_unit_test(test_check_ints),   cmocka_unit_test(test_check_others),
		cmocka_unit_test(test_check_unknown), cmocka_unit_test(test_check_all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
