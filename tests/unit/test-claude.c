/* SPDX-License-Identifier: MIT */
/* Lines of stream-json to events, and ends to outcomes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "adapter/adapter.h"
#include "base/util.h"

static const struct adapter *ad;
static struct adapter_out out;
static void *st;
static struct json_object *seen; /* what member() of event() last parsed */

static int
setup(void **state)
{
	ad = adapter_find("claude");
	st = ad->state_new();
	return 0;
}

static int
teardown(void **state)
{
	ad->state_free(st);
	adapter_out_free(&out);
	json_object_put(seen);
	seen = NULL;
	return 0;
}

static int
group_teardown(void **state)
{
	ad->state_free(NULL);
	return 0;
}

static void
feed(const char *s)
{
	adapter_out_reset(&out);
	ad->line(st, ADAPTER_STDOUT, 4711, s, strlen(s), 0, false, &out);
}

static void
feed_err(const char *s)
{
	adapter_out_reset(&out);
	ad->line(st, ADAPTER_STDERR, 4711, s, strlen(s), 0, false, &out);
}

/* The data of event i as an object, after a look at its type. */
static struct json_object *
event(int i, const char *type)
{
	CLEANUP_FREE char *text = NULL;

	assert_true(i < out.event_count);
	assert_string_equal(out.events[i].type, type);
	assert_int_equal(out.events[i].time_us, 4711);
	text = xasprintf("{%.*s}", (int)out.events[i].data.len, out.events[i].data.data ? out.events[i].data.data : "");
	json_object_put(seen);
	seen = json_tokener_parse(text);
	if (!seen)
		fail_msg("not JSON: %s", text);
	/* keys says which of the eight are in it. */
	for (int k = 0; k < KEY_COUNT; k++)
		assert_int_equal(json_object_object_get_ex(seen, event_key_names[k], NULL), (out.events[i].keys >> k) & 1);
	return seen;
}

/* One event of this type, with the line as its raw. */
static struct json_object *
one(const char *s, const char *type)
{
	feed(s);
	assert_int_equal(out.event_count, 1);
	assert_int_equal(out.events[0].raw.len, strlen(s));
	assert_memory_equal(out.events[0].raw.data, s, strlen(s));
	return event(0, type);
}

/* A member as text, "-" when it is not there. */
static const char *
text(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v))
		return "-";
	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) :
							  json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN);
}

#define IS(o, key, want) assert_string_equal(text((o), (key)), (want))

static void
test_init(void **state)
{
	struct json_object *o = one("{\"type\":\"system\",\"subtype\":\"init\",\"cwd\":\"/srv/p\",\"session_id\":\"u-1\",\"tools\":[\"Bash\",\"Read\"],"
				    "\"mcp_servers\":[{\"name\":\"m\",\"status\":\"connected\"}],\"model\":\"opus\",\"permissionMode\":\"default\","
				    "\"claude_code_version\":\"2.1.330\",\"apiKeySource\":\"none\",\"brand_new\":{\"x\":1}}",
				    "init");

	IS(o, "agent_session_id", "u-1");
	IS(o, "model", "opus");
	IS(o, "cwd", "/srv/p");
	IS(o, "tools", "[\"Bash\",\"Read\"]");
	IS(o, "tools_count", "2");
	IS(o, "claude_code_version", "2.1.330");
	IS(o, "mcp_servers", "[{\"name\":\"m\",\"status\":\"connected\"}]");
	IS(o, "brand_new", "-");
	assert_false(out.turn_done || out.dirty);
}

static void
test_messages(void **state)
{
	struct json_object *o = one("{\"type\":\"assistant\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
				    "\"text\":\"hi \\u00e4\\n\"}],\"usage\":{\"output_tokens\":1}},\"parent_tool_use_id\":null}",
				    "message");

	IS(o, "role", "assistant");
	IS(o, "content", "[{\"type\":\"text\",\"text\":\"hi \xc3\xa4\\n\"}]");
	IS(o, "message_id", "msg_1");
	IS(o, "parent_tool_use_id", "-");
	o = one("{\"type\":\"assistant\",\"message\":{\"content\":\"plain\"},\"parent_tool_use_id\":\"toolu_p\"}", "message");
	IS(o, "content", "[{\"type\":\"text\",\"text\":\"plain\"}]");
	IS(o, "parent_tool_use_id", "toolu_p");
	o = one("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"API Error: 400 bad\"}]},\"error\":\"unknown\","
		"\"api_error_status\":400}",
		"message");
	IS(o, "error", "unknown");
	IS(o, "api_error_status", "400");
	o = one("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"thinking\",\"thinking\":\"let me\",\"signature\":\"x\"}]}}", "thinking");
	IS(o, "text", "let me");
	o = one("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"redacted_thinking\",\"data\":\"x\"}]}}", "thinking");
	IS(o, "redacted", "true");
	o = one("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"[Request interrupted by user]\"}]}}", "message");
	IS(o, "role", "user");
	IS(o, "synthetic", "true");
	o = one("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"again\"},\"isReplay\":true,\"uuid\":\"u\"}", "notice");
	IS(o, "subtype", "replay");
	IS(o, "text", "again");
	IS(o, "role", "-");
	assert_false(out.turn_done);
}

/* Several blocks in a line: an event each, raw with the first only. */
static void
test_blocks(void **state)
{
	feed("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"hologram\"},{\"type\":\"tool_use\","
	     "\"id\":\"t1\",\"name\":\"Bash\",\"input\":{\"command\":\"ls\"}},7,null,{\"type\":\"text\",\"text\":5}]}}");
	assert_int_equal(out.event_count, 6);
	event(0, "message");
	IS(event(1, "unknown"), "subtype", "hologram");
	event(2, "pre_tool");
	event(3, "unknown");
	event(4, "unknown");
	event(5, "unknown");
	assert_true(out.events[0].raw.len > 0);
	for (int i = 1; i < 6; i++)
		assert_int_equal(out.events[i].raw.len, 0);
}

#define USE(id, name, input) \
	"{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":" input "}]}}"
#define RESULT(id, rest) \
	"{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\"" rest "}]}}"

static void
test_tools(void **state)
{
	struct json_object *o = one(USE("t1", "Bash", "{\"command\":\"ls\",\"n\":1.5,\"big\":18446744073709551615}"), "pre_tool");

	IS(o, "tool_name", "Bash");
	IS(o, "tool_input", "{\"command\":\"ls\",\"n\":1.5,\"big\":18446744073709551615}");
	IS(o, "tool_use_id", "t1");
	assert_true(out.dirty);
	one(USE("t2", "Read", "{}"), "pre_tool");
	o = one(RESULT("t1", ",\"content\":\"out\""), "post_tool");
	IS(o, "tool_name", "Bash");
	IS(o, "tool_input", "{\"command\":\"ls\",\"n\":1.5,\"big\":18446744073709551615}");
	IS(o, "tool_output", "out");
	IS(o, "error", "-");
	IS(o, "tool_use_id", "t1");
	assert_true(out.dirty);
	o = one(RESULT("t2", ",\"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"text\",\"text\":\"file\"}],\"is_error\":true"), "post_tool");
	IS(o, "tool_name", "Read");
	IS(o, "error", "no\nfile");
	IS(o, "tool_output", "[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"text\",\"text\":\"file\"}]");
	/* A result that comes twice, or of a call that nobody saw. */
	o = one(RESULT("t2", ",\"is_error\":true"), "post_tool");
	IS(o, "tool_name", "-");
	IS(o, "tool_output", "-");
	IS(o, "error", "error");
	assert_false(out.dirty);
}

/* Since when the oldest call is open: also after a restart, and later by the time that did not count. */
static void
test_tool_since(void **state)
{
	struct buf saved = BUF_INIT;
	int64_t first;

	assert_int_equal(ad->tool_since(st), 0);
	one(USE("t1", "Bash", "{}"), "pre_tool");
	first = ad->tool_since(st);
	assert_true(first > 0);
	one(USE("t2", "Read", "{}"), "pre_tool");
	assert_int_equal(ad->tool_since(st), first);
	ad->shift(st, 7);
	assert_int_equal(ad->tool_since(st), first + 7);
	ad->save(st, &saved);
	ad->restore(st, saved.data, saved.len);
	assert_int_equal(ad->tool_since(st), first + 7);
	one(RESULT("t1", ",\"content\":\"out\""), "post_tool");
	one(RESULT("t2", ",\"content\":\"out\""), "post_tool");
	assert_int_equal(ad->tool_since(st), 0);
	buf_free(&saved);
}

/* What is remembered of calls without a result has an end. */
static void
test_tools_bounded(void **state)
{
	CLEANUP_FREE char *big = xmalloc(700001), *line = NULL;
	char s[300];

	for (int i = 0; i < 300; i++) {
		snprintf(s, sizeof(s), USE("t%d", "Tool%d", "{\"i\":%d}"), i, i, i);
		one(s, "pre_tool");
	}
	IS(one(RESULT("t43", ""), "post_tool"), "tool_name", "-");
	IS(one(RESULT("t44", ""), "post_tool"), "tool_name", "Tool44");
	IS(one(RESULT("t299", ""), "post_tool"), "tool_input", "{\"i\":299}");
	/* Long inputs: the first is kept, the second is beyond the cap. */
	memset(big, 'x', 700000);
	big[700000] = 0;
	line = xasprintf(USE("b1", "W", "{\"t\":\"%s\"}"), big);
	one(line, "pre_tool");
	free(line);
	line = xasprintf(USE("b2", "W", "{\"t\":\"%s\"}"), big);
	one(line, "pre_tool");
	assert_true(strlen(text(one(RESULT("b1", ""), "post_tool"), "tool_input")) > 700000);
	IS(one(RESULT("b2", ""), "post_tool"), "tool_input", "-");
	IS(seen, "tool_name", "W");
	one(line, "pre_tool");
	assert_true(strlen(text(one(RESULT("b2", ""), "post_tool"), "tool_input")) > 700000);
}

static void
test_system(void **state)
{
	struct json_object *o = one("{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":1,\"max_retries\":10,\"retry_delay_ms\":515,"
				    "\"error_status\":null,\"error\":\"unknown\"}",
				    "api_retry");

	IS(o, "attempt", "1");
	IS(o, "retry_delay_ms", "515");
	IS(o, "error", "unknown");
	IS(o, "error_status", "-");
	o = one("{\"type\":\"system\",\"subtype\":\"permission_denied\",\"tool_name\":\"Bash\",\"tool_use_id\":\"t\",\"message\":\"no\"}",
		"permission_denied");
	IS(o, "tool_name", "Bash");
	IS(o, "message", "no");
	IS(one("{\"type\":\"system\",\"subtype\":\"task_started\",\"task_id\":\"b\",\"description\":\"bg\"}", "task"), "subtype", "task_started");
	IS(one("{\"type\":\"system\",\"subtype\":\"task_updated\",\"patch\":{\"status\":\"completed\"}}", "task"), "patch", "{\"status\":\"completed\"}");
	IS(one("{\"type\":\"system\",\"subtype\":\"background_tasks_changed\",\"tasks\":[]}", "task"), "tasks", "[]");
	IS(one("{\"type\":\"system\",\"subtype\":\"status\",\"status\":\"requesting\"}", "status"), "status", "requesting");
	IS(one("{\"type\":\"system\",\"subtype\":\"thinking_tokens\",\"estimated_tokens\":3}", "thinking"), "estimated_tokens", "3");
	o = one("{\"type\":\"system\",\"subtype\":\"hook_response\",\"hook_name\":\"h\",\"exit_code\":0,\"output\":\"x\"}", "notice");
	IS(o, "exit_code", "0");
	IS(one("{\"type\":\"system\",\"subtype\":\"informational\",\"content\":\"note\",\"level\":\"notice\"}", "notice"), "content",
	   "[{\"type\":\"text\",\"text\":\"note\"}]");
	IS(one("{\"type\":\"system\",\"subtype\":\"from_the_future\",\"x\":1}", "unknown"), "subtype", "from_the_future");
	IS(one("{\"type\":\"stream_event\",\"event\":{\"type\":\"message_stop\"}}", "stream"), "event", "{\"type\":\"message_stop\"}");
	o = one("{\"type\":\"command_lifecycle\",\"command_uuid\":\"c\",\"state\":\"queued\"}", "control");
	IS(o, "state", "queued");
	o = one("{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":\"r\",\"error\":\"bad\"}}", "control");
	IS(o, "request_id", "r");
	IS(o, "error", "bad");
	IS(one("{\"type\":\"control_cancel_request\",\"request_id\":\"r\"}", "control"), "request_id", "r");
	assert_int_equal(out.reply.len, 0);
}

static void
test_unknown(void **state)
{
	static const char *const lines[] = {
		"{}", "{\"type\":5}", "{\"type\":null}", "{\"type\":\"keep_alive\"}", "{\"type\":\"assistant\"}",
		"{\"type\":\"assistant\",\"message\":[]}", "{\"type\":\"assistant\",\"message\":{\"content\":{}}}",
		"{\"type\":\"user\",\"message\":{\"content\":[]}}", "{\"type\":\"system\"}", " {\"type\":\"x\"} ", "{\"type\":\"\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		one(lines[i], "unknown");
	IS(one("{\"type\":\"later_event\",\"x\":{\"y\":1}}", "unknown"), "type", "later_event");
	assert_false(out.turn_done || out.dirty);
}

static void
test_not_json(void **state)
{
	static const char *const lines[] = { "",	 "hello",   "{\"type\":\"assistant\"", "[1]", "\"x\"", "5", "null", "{\"a\":1} trailing",
					     "{a:1}",	 "{\"a\":1}{\"b\":2}", "   ", "{" };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct json_object *o;

		feed(lines[i]);
		assert_int_equal(out.event_count, 1);
		assert_int_equal(out.events[0].raw.len, 0);
		o = event(0, "output");
		IS(o, "stream", "stdout");
		IS(o, "text", lines[i]);
	}
	/* Pieces of a line that is too long are never read as JSON. */
	adapter_out_reset(&out);
	ad->line(st, ADAPTER_STDOUT, 4711, "{\"type\":\"result\"}", 17, 0, true, &out);
	IS(event(0, "output"), "partial", "true");
	adapter_out_reset(&out);
	ad->line(st, ADAPTER_STDOUT, 4711, "{\"type\":\"result\"}", 17, 3, false, &out);
	IS(event(0, "output"), "partial", "-");
	assert_false(out.turn_done);
	feed_err("{\"type\":\"result\"}");
	IS(event(0, "output"), "stream", "stderr");
	assert_false(out.turn_done);
	adapter_out_reset(&out);
	ad->line(st, ADAPTER_STDOUT, 4711, "{\"a\":\0}", 7, 0, false, &out);
	event(0, "output");
}

/* Numbers, depth and bytes that are not for JSON: what is stored is JSON all the same. */
static void
test_hostile(void **state)
{
	struct buf deep = BUF_INIT;
	struct json_object *o;

	o = one(USE("t", "X", "{\"a\":1e999,\"b\":-1e999,\"c\":1e-999,\"d\":99999999999999999999999999,\"e\":-99999999999999999999999999,\"f\":0.1}"),
		"pre_tool");
	IS(o, "tool_input", "{\"a\":null,\"b\":null,\"c\":0,\"d\":18446744073709551615,\"e\":-9223372036854775808,\"f\":0.1}");
	o = one(USE("t", "X", "{\"a\":\"\xff\xc3\"}"), "pre_tool");
	IS(o, "tool_input", "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
	buf_puts(&deep, "{\"type\":\"assistant\",\"x\":");
	for (int i = 0; i < 100000; i++)
		buf_putc(&deep, '[');
	buf_puts(&deep, "]}");
	IS(one(deep.data, "unknown"), "error", "nested too deeply");
	buf_free(&deep);
	one("{\"type\":\"result\",\"is_error\":\"yes\",\"usage\":[],\"num_turns\":\"3\",\"total_cost_usd\":-1,\"result\":5,\"errors\":{},\"subtype\":[]}",
	    "result");
	one("{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":7,\"content\":{\"a\":1}}]}}", "post_tool");
}

/* ---- ends ------------------------------------------------------------------------------------------------ */

static struct run_result
end(struct run_exit x)
{
	struct run_result r = { .exit_code = -1 };

	adapter_out_reset(&out);
	x.time_us = 4711;
	ad->end(st, &x, &out, &r);
	return r;
}

#define EXIT(n) ((struct run_exit){ .known = true, .wait_status = (n) << 8 })

/* After the lines: end, check, and begin anew. The same once more through save and restore. */
static void
ends(struct run_exit x, enum outcome outcome, const char *result, const char *error)
{
	struct buf saved = BUF_INIT;

	for (int again = 0; again < 2; again++) {
		struct run_result r = end(x);

		if (r.outcome != outcome)
			fail_msg("%s, not %s", outcome_name(r.outcome), outcome_name(outcome));
		if (result)
			assert_string_equal(r.result, result);
		else
			assert_null(r.result);
		if (error)
			assert_string_equal(r.error, error);
		else
			assert_null(r.error);
		assert_false(r.result_from_output);
		free(r.result);
		free(r.error);
		buf_reset(&saved);
		ad->save(st, &saved);
		ad->state_free(st);
		st = ad->state_new();
		ad->restore(st, saved.data, saved.len);
	}
	buf_free(&saved);
	ad->state_free(st);
	st = ad->state_new();
}

static void
test_success(void **state)
{
	struct json_object *o = one("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":2,\"duration_ms\":226,\"duration_api_ms\":76,"
				    "\"result\":\"the \\\"answer\\\"\",\"total_cost_usd\":0.0016,\"usage\":{\"input_tokens\":200,\"output_tokens\":40},"
				    "\"permission_denials\":[],\"terminal_reason\":\"completed\",\"api_error_status\":null}",
				    "result");

	IS(o, "subtype", "success");
	IS(o, "is_error", "false");
	IS(o, "num_turns", "2");
	IS(o, "duration_ms", "226");
	IS(o, "total_cost_usd", "0.0016");
	IS(o, "result", "the \"answer\"");
	IS(o, "usage", "{\"input_tokens\":200,\"output_tokens\":40}");
	assert_true(out.turn_done);
	assert_true(out.dirty);
	ends(EXIT(0), OUTCOME_SUCCESS, "the \"answer\"", NULL);
}

#define OKAY "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}"

/* The answer counts, however the program goes after it. */
static void
test_success_stays(void **state)
{
	feed(OKAY);
	ends(EXIT(143), OUTCOME_SUCCESS, "done", NULL);
	feed(OKAY);
	ends((struct run_exit){ .known = true, .wait_status = 9 }, OUTCOME_SUCCESS, "done", NULL);
	feed(OKAY);
	ends((struct run_exit){ .known = false }, OUTCOME_SUCCESS, "done", NULL);
	feed(OKAY);
	ends((struct run_exit){ .known = true, .wait_status = 15, .stop_requested = true }, OUTCOME_CANCELLED, "done", NULL);
}

static void
fails(const char *members, enum outcome outcome, const char *error)
{
	CLEANUP_FREE char *line = xasprintf("{\"type\":\"result\",%s}", members);

	feed(line);
	assert_true(out.turn_done);
	ends(EXIT(1), outcome, NULL, error);
}

static void
test_failures(void **state)
{
	fails("\"subtype\":\"error_max_turns\",\"is_error\":true,\"errors\":[\"Reached maximum number of turns (3)\"]", OUTCOME_MAX_TURNS,
	      "Reached maximum number of turns (3)");
	fails("\"subtype\":\"error_max_budget_usd\",\"is_error\":true,\"errors\":[\"a\",5,\"b\"]", OUTCOME_BUDGET, "a; b");
	fails("\"subtype\":\"later_name\",\"is_error\":true,\"terminal_reason\":\"budget_exhausted\"", OUTCOME_BUDGET, "the agent failed: later_name");
	fails("\"subtype\":\"error_during_execution\",\"is_error\":true,\"terminal_reason\":\"aborted_tools\"", OUTCOME_AGENT_ERROR,
	      "the agent failed: error_during_execution");
	/* Whatever its subtype says. */
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":400,\"result\":\"API Error: 400 bad\\nmore\"", OUTCOME_AGENT_ERROR,
	      "API Error: 400 bad");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":401,\"result\":\"x\"", OUTCOME_AUTH, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":403,\"result\":\"x\"", OUTCOME_AUTH, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":402,\"result\":\"x\"", OUTCOME_BILLING, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":429,\"result\":\"x\"", OUTCOME_RATE_LIMITED, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":529,\"result\":\"x\"", OUTCOME_OVERLOADED, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":503,\"result\":\"x\"", OUTCOME_OVERLOADED, "x");
	fails("\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":400,\"result\":\"Your Credit balance is too low\"", OUTCOME_BILLING,
	      "Your Credit balance is too low");
	fails("\"subtype\":\"success\",\"is_error\":true,\"result\":\"Not logged in \\u00b7 Please run /login\"", OUTCOME_AUTH,
	      "Not logged in \xc2\xb7 Please run /login");
	fails("\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error: 529 overloaded\"", OUTCOME_OVERLOADED, "API Error: 529 overloaded");
	fails("\"subtype\":\"success\",\"is_error\":true,\"stop_reason\":\"refusal\",\"result\":\"no\"", OUTCOME_REFUSED, "no");
	fails("\"subtype\":\"error_other\"", OUTCOME_AGENT_ERROR, "the agent failed: error_other");
	fails("\"is_error\":true", OUTCOME_AGENT_ERROR, "the agent failed: no reason given");
	fails("\"is_error\":true,\"result\":\"\"", OUTCOME_AGENT_ERROR, "the agent failed: no reason given");
}

static void
test_no_result(void **state)
{
	ends(EXIT(0), OUTCOME_UNKNOWN, NULL, "the agent ended without a result");
	feed_err("warning: one");
	assert_true(out.dirty);
	feed_err("  Session ID is already in use  \r");
	feed_err("");
	ends(EXIT(1), OUTCOME_EXIT_CODE, NULL, "Session ID is already in use");
	ends(EXIT(3), OUTCOME_EXIT_CODE, NULL, "exit status 3");
	ends((struct run_exit){ .known = true, .wait_status = 9 }, OUTCOME_SIGNAL, NULL, "killed by signal 9 (SIGKILL)");
	ends((struct run_exit){ .known = true, .wait_status = 11 | 0x80 }, OUTCOME_CORE_DUMP, NULL, "killed by signal 11 (SIGSEGV)");
	ends((struct run_exit){ .known = false }, OUTCOME_UNKNOWN, NULL, "nobody saw how the process ended");
	ends((struct run_exit){ .known = true, .exec_errno = ENOENT, .exec_step = "exec" }, OUTCOME_RESOURCES, NULL,
	     "cannot run the program: No such file or directory (exec)");
	ends((struct run_exit){ .known = true, .wait_status = 143 << 8, .stop_requested = true }, OUTCOME_CANCELLED, NULL, NULL);
}

/* Of a process that has several turns: the end is that of the turn that was open, or, where it waited for one, of the process. */
static void
test_several_turns(void **state)
{
	feed(OKAY);
	ends((struct run_exit){ .known = true, .working = true }, OUTCOME_UNKNOWN, NULL, "the agent ended without a result");
	feed(OKAY);
	ends((struct run_exit){ .known = true, .wait_status = 9, .working = true }, OUTCOME_SIGNAL, NULL, "killed by signal 9 (SIGKILL)");
	feed(OKAY);
	ends((struct run_exit){ .known = true, .wait_status = 9, .idle = true }, OUTCOME_SIGNAL, "done", "killed by signal 9 (SIGKILL)");
	feed(OKAY);
	ends((struct run_exit){ .known = true, .idle = true }, OUTCOME_SUCCESS, "done", NULL);
	feed(OKAY);
	ends((struct run_exit){ .known = false, .idle = true }, OUTCOME_UNKNOWN, "done", "nobody saw how the process ended");
	feed("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":529,\"result\":\"busy\"}");
	ends((struct run_exit){ .known = true, .idle = true }, OUTCOME_SUCCESS, NULL, NULL);
}

static void
test_facts(void **state)
{
	struct run_result r;

	feed(OKAY);
	r = end(EXIT(143));
	assert_int_equal(r.exit_code, 143);
	assert_int_equal(r.signal, 0);
	free(r.result);
	r = end((struct run_exit){ .known = true, .wait_status = 9, .stop_requested = true });
	assert_int_equal(r.exit_code, -1);
	assert_int_equal(r.signal, 9);
	free(r.result);
}

/* Usage is that of each turn, the cost that of the process so far; an assistant's usage is not counted. */
static void
test_usage(void **state)
{
	struct run_result r;

	feed("{\"type\":\"assistant\",\"message\":{\"content\":\"x\",\"usage\":{\"input_tokens\":1000,\"output_tokens\":1000}}}");
	feed("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"answer\",\"num_turns\":2,\"total_cost_usd\":0.01,"
	     "\"usage\":{\"input_tokens\":200,\"output_tokens\":40},\"modelUsage\":{\"m\":{\"inputTokens\":999}}}");
	assert_true(out.turn_done);
	feed("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"told of a task\",\"num_turns\":1,\"total_cost_usd\":0.02,"
	     "\"usage\":{\"input_tokens\":50,\"output_tokens\":5},\"origin\":{\"kind\":\"task-notification\"}}");
	assert_false(out.turn_done);
	assert_true(out.dirty);
	IS(event(0, "result"), "origin", "{\"kind\":\"task-notification\"}");
	feed("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"x\",\"isReplay\":true,\"total_cost_usd\":9,"
	     "\"usage\":{\"input_tokens\":50,\"output_tokens\":5}}");
	assert_false(out.turn_done);
	feed("{\"type\":\"result\",\"is_error\":true,\"origin\":{},\"total_cost_usd\":0.015,\"usage\":{\"input_tokens\":-5}}");
	r = end(EXIT(0));
	assert_int_equal(r.outcome, OUTCOME_SUCCESS);
	assert_string_equal(r.result, "answer");
	assert_int_equal(r.input_tokens, 250);
	assert_int_equal(r.output_tokens, 45);
	assert_int_equal(r.turns, 3);
	assert_true(r.cost_usd > 0.0199999 && r.cost_usd < 0.0200001);
	free(r.result);
	feed("{\"type\":\"result\",\"origin\":1,\"usage\":{\"input_tokens\":9223372036854775807}}");
	feed("{\"type\":\"result\",\"origin\":1,\"usage\":{\"input_tokens\":9223372036854775807}}");
	r = end(EXIT(0));
	assert_true(r.input_tokens == INT64_MAX);
	free(r.result);
}

static double
cost_of_run(void)
{
	struct run_result r;
	struct buf saved = BUF_INIT;

	ad->save(st, &saved);
	ad->restore(st, saved.data, saved.len);
	r = end(EXIT(0));
	free(r.result);
	free(r.error);
	buf_free(&saved);
	return r.cost_usd;
}

/* The total goes on over --resume, so it is not the run's; what the result says of the time since the last one is. */
static void
test_cost_resumed(void **state)
{
	double cost;

	feed("{\"type\":\"result\",\"is_error\":false,\"result\":\"a\",\"total_cost_usd\":0.0024,\"model_usage_since_last_result\":"
	     "{\"m\":{\"costUSD\":0.0008},\"n\":{\"costUSD\":0.0002},\"o\":{\"costUSD\":\"x\"},\"p\":5}}");
	feed("{\"type\":\"result\",\"is_error\":false,\"origin\":{},\"total_cost_usd\":0.0034,\"model_usage_since_last_result\":"
	     "{\"m\":{\"costUSD\":0.001}}}");
	feed("{\"type\":\"result\",\"is_error\":true,\"origin\":{},\"total_cost_usd\":0.0034,\"model_usage_since_last_result\":{}}");
	cost = cost_of_run();
	assert_true(cost > 0.0019999 && cost < 0.0020001);
	/* A call that failed costs nothing, whatever the conversation did before. */
	ad->restore(st, "{}", 2);
	feed("{\"type\":\"result\",\"is_error\":true,\"result\":\"a\",\"total_cost_usd\":0.0032,\"model_usage_since_last_result\":{}}");
	assert_true(cost_of_run() == 0);
	ad->restore(st, "{}", 2);
	feed("{\"type\":\"result\",\"is_error\":false,\"result\":\"a\",\"total_cost_usd\":0.5}");
	assert_true(cost_of_run() == 0.5);
}

#define ASK(id, use, tool, input)                                                                                                                   \
	"{\"type\":\"control_request\",\"request_id\":\"" id "\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"" tool "\"," input \
	"\"description\":\"why\",\"tool_use_id\":\"" use "\"}}"
#define RM "\"input\":{\"command\":\"rm\"},"
#define WHICH "\"input\":{\"questions\":[{\"question\":\"Which?\"}]},"

/* aod's answer as the agent reads it: one line; the part for the request, and of that what was decided. */
static struct json_object *
answered(const char *id, const struct ask_answer *a)
{
	struct json_object *o, *v;
	struct buf reply = BUF_INIT;

	assert_int_equal(ad->answer(st, id, a, &reply), 0);
	assert_int_equal(reply.data[reply.len - 1], '\n');
	assert_null(memchr(reply.data, '\n', reply.len - 1));
	json_object_put(seen);
	seen = o = json_tokener_parse(reply.data);
	assert_non_null(o);
	buf_free(&reply);
	IS(o, "type", "control_response");
	assert_true(json_object_object_get_ex(o, "response", &v));
	IS(v, "subtype", "success");
	IS(v, "request_id", id);
	assert_true(json_object_object_get_ex(v, "response", &v));
	return v;
}

/* Through JSON and back, as in a new aod. */
static void
restart(void)
{
	struct buf saved = BUF_INIT, again = BUF_INIT;

	ad->save(st, &saved);
	ad->state_free(st);
	st = ad->state_new();
	ad->restore(st, saved.data, saved.len);
	ad->save(st, &again);
	assert_string_equal(again.data, saved.data);
	buf_free(&saved);
	buf_free(&again);
}

static void
test_asks(void **state)
{
	static const struct ask_answer yes = { .allow = true }, no = { .text = "not \"here\"" }, silent = { 0 };
	struct json_object *o = one(ASK("r\\\"1", "t", "Bash", RM), "permission_request"), *v;
	struct buf reply = BUF_INIT;

	IS(o, "tool_name", "Bash");
	IS(o, "tool_input", "{\"command\":\"rm\"}");
	IS(o, "answer", "-");
	assert_true(out.dirty);
	assert_int_equal(out.reply.len, 0);
	assert_int_equal(out.ask_count, 1);
	assert_string_equal(out.asks[0].id, "r\"1");
	assert_string_equal(out.asks[0].kind, "permission");
	assert_string_equal(out.asks[0].tool_name, "Bash");
	assert_string_equal(out.asks[0].tool_use_id, "t");
	assert_string_equal(out.asks[0].question.data, "{\"tool_name\":\"Bash\",\"description\":\"why\",\"input\":{\"command\":\"rm\"}}");
	feed(ASK("r2", "t2", "Bash", RM));
	feed(ASK("r3", "", "Odd", "\"input\":5,"));
	assert_string_equal(out.asks[0].question.data, "{\"tool_name\":\"Odd\",\"description\":\"why\",\"input\":5}");
	restart();
	v = answered("r\"1", &yes);
	IS(v, "behavior", "allow");
	IS(v, "updatedInput", "{\"command\":\"rm\"}");
	IS(v, "toolUseID", "t");
	v = answered("r2", &no);
	IS(v, "behavior", "deny");
	IS(v, "message", "not \"here\"");
	v = answered("r3", &silent);
	IS(v, "message", "This was not allowed. Go on without it.");
	IS(v, "toolUseID", "-");
	/* Nobody is asked twice. */
	assert_int_equal(ad->answer(st, "r2", &yes, &reply), -ENOENT);
	assert_int_equal(ad->answer(st, "never", &yes, &reply), -ENOENT);
	assert_int_equal(reply.len, 0);
	/* The same question once more is the same question. */
	feed(ASK("r4", "t4", "Bash", RM));
	feed(ASK("r4", "t4", "Bash", RM));
	assert_int_equal(out.ask_count, 0);
	answered("r4", &yes);
	assert_int_equal(ad->answer(st, "r4", &yes, &reply), -ENOENT);
}

static void
test_choices(void **state)
{
	struct ask_answer a = { .allow = true, .answers = "{\"Which?\":\"B\"}" };
	struct buf reply = BUF_INIT;

	one(ASK("c", "t", "AskUserQuestion", WHICH), "permission_request");
	assert_string_equal(out.asks[0].kind, "choice");
	assert_string_equal(out.asks[0].question.data,
			    "{\"tool_name\":\"AskUserQuestion\",\"description\":\"why\",\"questions\":[{\"question\":\"Which?\"}]}");
	/* What is no JSON object would end the agent. */
	a.answers = "[1]";
	assert_int_equal(ad->answer(st, "c", &a, &reply), -EINVAL);
	a.answers = "{\"a\":1} ";
	a.updated_input = "{\"a\":";
	assert_int_equal(ad->answer(st, "c", &a, &reply), -EINVAL);
	assert_int_equal(reply.len, 0);
	buf_free(&reply);
	a.answers = "{\"Which?\":\"B\"}";
	a.updated_input = NULL;
	restart();
	IS(answered("c", &a), "updatedInput", "{\"questions\":[{\"question\":\"Which?\"}],\"answers\":{\"Which?\":\"B\"}}");
	feed(ASK("d", "t", "Bash", RM));
	a = (struct ask_answer){ .allow = true, .updated_input = "{\"command\":\"ls\"}" };
	IS(answered("d", &a), "updatedInput", "{\"command\":\"ls\"}");
}

static void
test_asks_taken_back(void **state)
{
	static const struct ask_answer yes = { .allow = true };
	struct buf reply = BUF_INIT;

	feed(ASK("a", "ta", "Bash", RM));
	feed(ASK("b", "tb", "Bash", RM));
	feed(ASK("c", "tc", "Bash", RM));
	IS(one("{\"type\":\"control_cancel_request\",\"request_id\":\"b\"}", "control"), "request_id", "b");
	assert_true(out.dirty);
	assert_string_equal(out.asks_gone[0], "b");
	assert_null(out.asks_gone[1]);
	assert_int_equal(ad->answer(st, "b", &yes, &reply), -ENOENT);
	feed(RESULT("tc", ",\"content\":\"ok\""));
	assert_string_equal(out.asks_gone[0], "c");
	one("{\"type\":\"control_cancel_request\",\"request_id\":\"b\"}", "control");
	assert_null(out.asks_gone);
	answered("a", &yes);
}

/* What is not kept is refused, so that the turn does not wait for ever. */
static void
test_asks_bounded(void **state)
{
	static const struct ask_answer yes = { .allow = true };

	for (int i = 0; i < 65; i++) {
		CLEANUP_FREE char *line = xasprintf("{\"type\":\"control_request\",\"request_id\":\"r%d\",\"request\":{\"subtype\":\"can_use_tool\"}}", i);

		feed(line);
		assert_int_equal(out.ask_count, i < 64);
		assert_int_equal(out.reply.len > 0, i == 64);
	}
	assert_string_equal(out.reply.data, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":\"r64\","
					    "\"error\":\"More is asked than can be kept. Go on without it.\"}}\n");
	restart();
	IS(answered("r63", &yes), "updatedInput", "{}");
}

static void
test_control_requests(void **state)
{
	IS(one("{\"type\":\"control_request\",\"request_id\":\"r2\",\"request\":{\"subtype\":\"hook_callback\"}}", "control"), "subtype", "hook_callback");
	assert_string_equal(out.reply.data, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":\"r2\","
					    "\"error\":\"aod does not answer this request\"}}\n");
	/* Without an id there is nothing to answer to. */
	one("{\"type\":\"control_request\",\"request\":{\"subtype\":\"can_use_tool\"}}", "permission_request");
	assert_int_equal(out.reply.len + (size_t)out.ask_count, 0);
	one("{\"type\":\"control_request\",\"request_id\":5}", "control");
	assert_int_equal(out.reply.len, 0);
}

#define LIFE(uuid, state) "{\"type\":\"command_lifecycle\",\"command_uuid\":\"" uuid "\",\"state\":\"" state "\"}"
#define INIT "{\"type\":\"system\",\"subtype\":\"init\"}"

/* A prompt that it had before is only said to be completed: its turn is over all the same. */
static void
test_replay(void **state)
{
	struct run_result r;

	one(LIFE("u1", "queued"), "control");
	feed(LIFE("u1", "started"));
	feed("{\"type\":\"result\",\"is_error\":false,\"result\":\"one\",\"user_message_uuids\":[\"u1\"]}");
	assert_true(out.turn_done);
	assert_int_equal(out.turn.outcome, OUTCOME_SUCCESS);
	assert_string_equal(out.turn.result, "one");
	restart();
	feed(LIFE("u1", "completed"));
	assert_false(out.turn_done);
	/* Two that were worked on together have one result. */
	feed(LIFE("a", "queued"));
	feed(LIFE("b", "queued"));
	feed(LIFE("a", "started"));
	feed(LIFE("b", "started"));
	feed("{\"type\":\"result\",\"is_error\":true,\"result\":\"x\"}");
	assert_true(out.turn_done);
	feed(LIFE("a", "cancelled"));
	feed(LIFE("b", "cancelled"));
	assert_false(out.turn_done);
	feed(LIFE("u1", "completed"));
	assert_true(out.turn_done && out.turn.replayed);
	assert_int_equal(out.turn.outcome, OUTCOME_SUCCESS);
	assert_null(out.turn.result);
	r = end(EXIT(0));
	assert_int_equal(r.outcome, OUTCOME_SUCCESS);
	assert_null(r.result);
	/* Taken out of the queue. */
	feed(LIFE("c", "queued"));
	feed(LIFE("c", "cancelled"));
	assert_true(out.turn_done);
	assert_int_equal(out.turn.outcome, OUTCOME_CANCELLED);
	feed("{\"type\":\"command_lifecycle\",\"state\":\"completed\"}");
	assert_false(out.turn_done);
}

/* A further turn is open from when it was begun: how the one before went is no answer to it. */
static void
test_second_turn(void **state)
{
	struct run_result r;

	feed(LIFE("u1", "started"));
	feed("{\"type\":\"result\",\"is_error\":false,\"result\":\"one\"}");
	feed(LIFE("u2", "started"));
	restart();
	r = end(EXIT(3));
	assert_int_equal(r.outcome, OUTCOME_EXIT_CODE);
	free(r.result);
	free(r.error);
	for (int i = 0; i < 100; i++) {
		CLEANUP_FREE char *line = xasprintf(LIFE("v%d", "queued"), i);

		feed(line);
	}
	restart();
}

#define ABORTED "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\"terminal_reason\":\"aborted_streaming\"}"

static void
test_interrupted(void **state)
{
	feed(INIT);
	feed("{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"aod-interrupt\",\"response\":{}}}");
	restart();
	feed(ABORTED);
	assert_int_equal(out.turn.outcome, OUTCOME_CANCELLED);
	feed(LIFE("u", "started"));
	feed(ABORTED);
	assert_int_equal(out.turn.outcome, OUTCOME_AGENT_ERROR);
	/* With no turn open it interrupts none, also not the next. */
	feed("{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"aod-interrupt\"}}");
	feed(LIFE("u", "started"));
	feed(ABORTED);
	assert_int_equal(out.turn.outcome, OUTCOME_AGENT_ERROR);
	feed(LIFE("u", "started"));
	feed("{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":\"aod-interrupt\"}}");
	feed(ABORTED);
	assert_int_equal(out.turn.outcome, OUTCOME_AGENT_ERROR);
}

/* The outcome of a turn, and when to try again, of these lines. */
static int64_t
retry_of(enum outcome outcome, const char *first, const char *second, const char *text)
{
	CLEANUP_FREE char *line = xasprintf("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"%s\"%s}", text,
					    outcome == OUTCOME_OVERLOADED ? ",\"api_error_status\":529" : "");
	struct run_result r;
	int64_t told;

	feed(INIT);
	if (first)
		feed(first);
	if (second)
		feed(second);
	restart();
	feed(line);
	assert_int_equal(out.turn.outcome, outcome);
	told = out.turn.retry_us;
	r = end(EXIT(1));
	assert_int_equal(r.outcome, outcome);
	assert_int_equal(r.retry_us, told);
	free(r.error);
	return r.retry_us;
}

#define LIMIT(members) "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{" members "}}"
#define RETRY(status, ms) "{\"type\":\"system\",\"subtype\":\"api_retry\",\"error_status\":" status ",\"retry_delay_ms\":" ms "}"
#define REJECTED LIMIT("\"status\":\"rejected\",\"resetsAt\":1900000000,\"rateLimitType\":\"five_hour\"")
#define API429 "API Error: Request rejected (429) \\u00b7 slow down"

static void
test_rate_limits(void **state)
{
	struct json_object *o = one(REJECTED, "notice");

	IS(o, "subtype", "rate-limit");
	IS(o, "rate_limit_info", "{\"status\":\"rejected\",\"resetsAt\":1900000000,\"rateLimitType\":\"five_hour\"}");
	/* What the text says, what was told of the limit, what it waited; in this order. */
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, NULL, NULL, "Claude AI usage limit reached|1800000000"), 1800000000000000);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, REJECTED, NULL, "Claude AI usage limit reached|1800000000"), 1800000000000000);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, REJECTED, NULL, "You've hit your limit"), 1900000000000000);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, REJECTED, RETRY("429", "3000"), API429), 1900000000000000);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, LIMIT("\"status\":\"rejected\",\"resetsAt\":1900000000123"), NULL, "x"), 1900000000123000);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, RETRY("429", "3000"), NULL, API429), 4711 + 3000000);
	/* Of a turn before, of something else, or not a time. */
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, NULL, NULL, API429), 0);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, RETRY("429", "3000"), RETRY("529", "500"), API429), 0);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, REJECTED, LIMIT("\"status\":\"allowed_warning\",\"resetsAt\":1900000000"), API429), 0);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, LIMIT("\"status\":\"rejected\",\"resetsAt\":\"soon\""), NULL, API429), 0);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, LIMIT("\"status\":\"rejected\",\"resetsAt\":9223372036854775807"), NULL, API429), 0);
	assert_int_equal(retry_of(OUTCOME_RATE_LIMITED, NULL, NULL, "Claude AI usage limit reached|tomorrow"), 0);
	assert_int_equal(retry_of(OUTCOME_AGENT_ERROR, "{\"type\":\"rate_limit_event\"}", NULL, "You've hit your limit"), 0);
	assert_int_equal(retry_of(OUTCOME_OVERLOADED, RETRY("429", "3000"), NULL, "x"), 0);
}

static void
used(int64_t turns, int64_t input, int64_t output, double cost)
{
	struct usage u;

	restart();
	ad->usage(st, &u);
	assert_int_equal(u.turns, turns);
	assert_int_equal(u.input_tokens, input);
	assert_int_equal(u.output_tokens, output);
	assert_true(u.cost_usd > cost - 1e-9 && u.cost_usd < cost + 1e-9);
}

#define SAYS(id, in, out) "{\"type\":\"assistant\",\"message\":{\"id\":\"" id "\",\"content\":\"x\",\"usage\":{\"input_tokens\":" in ",\"output_tokens\":" out "}}}"
#define TOLD(rest) "{\"type\":\"result\",\"is_error\":false,\"result\":\"a\"," rest "}"

/* In the middle of a turn, too, and never down. */
static void
test_usage_so_far(void **state)
{
	used(0, 0, 0, 0);
	feed(SAYS("m1", "100", "1"));
	assert_true(out.dirty);
	used(1, 100, 1, 0);
	feed(SAYS("m1", "100", "5")); /* a further block of the same */
	used(1, 100, 5, 0);
	feed(SAYS("m1", "100", "1"));
	used(1, 100, 5, 0);
	feed("{\"type\":\"assistant\",\"parent_tool_use_id\":\"t\",\"message\":{\"id\":\"m2\",\"content\":\"x\",\"usage\":{\"input_tokens\":1000}}}");
	used(1, 1100, 5, 0);
	feed(TOLD("\"num_turns\":1,\"usage\":{\"input_tokens\":100,\"output_tokens\":20},\"model_usage_since_last_result\":"
		  "{\"m\":{\"inputTokens\":1100,\"outputTokens\":30,\"costUSD\":0.25}}"));
	used(1, 1100, 30, 0.25);
	feed(SAYS("m3", "500", "1"));
	used(2, 1600, 31, 0.25);
	/* Less than was thought: it stays, until there is more. */
	feed(TOLD("\"num_turns\":1,\"usage\":{\"input_tokens\":100,\"output_tokens\":20},\"model_usage_since_last_result\":{\"m\":{\"costUSD\":0.5}}"));
	used(2, 1600, 50, 0.75);
	feed(SAYS("m4", "300", "1"));
	used(3, 1600, 51, 0.75);
	feed(SAYS("m5", "300", "1"));
	used(4, 1800, 52, 0.75);
	for (int i = 0; i < 100; i++) {
		CLEANUP_FREE char *line = xasprintf(SAYS("n%d", "1", "1"), i);

		feed(line);
		feed(line);
	}
	used(104, 1900, 152, 0.75);
}

static void
test_prompt(void **state)
{
	struct buf b = BUF_INIT;

	ad->prompt("say \"hi\"\n", "u-1", &b);
	assert_string_equal(b.data, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\\n\"},\"uuid\":\"u-1\","
				    "\"parent_tool_use_id\":null,\"session_id\":\"\"}\n");
	buf_reset(&b);
	ad->prompt("x", NULL, &b);
	assert_null(strstr(b.data, "uuid"));
	buf_free(&b);
	assert_null(adapter_find("command")->prompt);
	assert_null(adapter_find("command")->answer);
	assert_null(adapter_find("command")->usage);
}

static void
test_restore(void **state)
{
	static const char odd[] = "{\"outcome\":\"odd\",\"tools\":[1,[],[1,2],[\"a\"]],\"cost\":\"x\",\"turns\":-1}";
	struct buf saved = BUF_INIT, again = BUF_INIT;
	struct run_result r;

	feed(USE("t1", "Ba\\\"sh", "{\"command\":\"ls\"}"));
	feed(USE("t2", "Read", "{}"));
	feed("{\"type\":\"result\",\"origin\":1,\"num_turns\":4,\"total_cost_usd\":0.1,\"usage\":{\"input_tokens\":7,\"output_tokens\":8}}");
	feed_err("last words");
	ad->save(st, &saved);
	ad->state_free(st);
	st = ad->state_new();
	ad->restore(st, saved.data, saved.len);
	ad->save(st, &again);
	assert_string_equal(again.data, saved.data);
	IS(one(RESULT("t1", ""), "post_tool"), "tool_name", "Ba\"sh");
	IS(seen, "tool_input", "-");
	r = end(EXIT(2));
	assert_int_equal(r.outcome, OUTCOME_EXIT_CODE);
	assert_string_equal(r.error, "last words");
	assert_int_equal(r.turns, 4);
	assert_int_equal(r.input_tokens, 7);
	assert_int_equal(r.output_tokens, 8);
	assert_true(r.cost_usd > 0.0999 && r.cost_usd < 0.1001);
	free(r.error);
	/* What cannot be read leaves a fresh state. */
	ad->restore(st, "", 0);
	ad->restore(st, "junk", 4);
	ad->restore(st, odd, strlen(odd));
	r = end(EXIT(0));
	assert_int_equal(r.outcome, OUTCOME_UNKNOWN);
	assert_int_equal(r.turns, 0);
	free(r.error);
	buf_free(&saved);
	buf_free(&again);
}

/* A line of 3 MB, both as a message and as the result. */
static void
test_huge(void **state)
{
	CLEANUP_FREE char *big = xmalloc(3000001), *line = NULL;
	struct run_result r;

	memset(big, 'x', 3000000);
	big[3000000] = 0;
	line = xasprintf("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}", big);
	one(line, "message");
	free(line);
	line = xasprintf("{\"type\":\"result\",\"is_error\":false,\"result\":\"%s\"}", big);
	one(line, "result");
	r = end(EXIT(0));
	assert_int_equal(strlen(r.result), 3000000);
	free(r.result);
	free(line);
	line = xasprintf("{\"type\":\"result\",\"is_error\":true,\"result\":\"%s\"}", big);
	one(line, "result");
	r = end(EXIT(0));
	assert_int_equal(strlen(r.error), 400);
	free(r.error);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_init),	 T(test_messages), T(test_blocks),	  T(test_tools),      T(test_tools_bounded), T(test_tool_since), T(test_system),
		T(test_asks), T(test_choices), T(test_asks_taken_back), T(test_asks_bounded), T(test_control_requests), T(test_replay),
		T(test_second_turn), T(test_interrupted), T(test_rate_limits), T(test_usage_so_far), T(test_prompt),
		T(test_unknown), T(test_not_json), T(test_hostile), T(test_success), T(test_success_stays),
		T(test_failures), T(test_no_result), T(test_several_turns), T(test_facts), T(test_usage), T(test_cost_resumed), T(test_restore), T(test_huge),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
