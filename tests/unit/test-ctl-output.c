/* SPDX-License-Identifier: MIT */
/* What aoctl shows: texts made harmless, cut and indented, durations, events as lines, how a session ended. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/event-line.h"
#include "ctl/output.h"
#include "ctl/stream.h"
#include "model/event.h"

static const struct look pipe_look = { 0 };
static const struct look plain_tty = { .tty = true, .width = 40 };
static const struct look full_tty = { .tty = true, .colour = true, .utf8 = true, .width = 40 };

static void
expect_safe(const struct look *l, const char *in, size_t n, const char *want)
{
	struct buf b = BUF_INIT;

	put_safe(&b, l, in, n);
	assert_string_equal(b.data ? b.data : "", want);
	buf_free(&b);
}
#define SAFE(l, in, want) expect_safe(l, in, sizeof(in) - 1, want)

static void
test_safe(void **state)
{
	SAFE(&plain_tty, "plain\n\ttext", "plain\n\ttext");
	/* A title, a cursor move, a bell, a carriage return that would hide what stands before it. */
	SAFE(&plain_tty, "\033]0;x\007\033[2Jy\rz", "^[]0;x^G^[[2Jy^Mz");
	SAFE(&plain_tty, "a\177b\0c", "a^?b^@c");
	/* CSI as one character, in UTF-8 and bare; invalid, overlong and cut sequences; a surrogate. */
	SAFE(&plain_tty, "\xc2\x9b" "31m", "\\xC2\\x9B31m");
	SAFE(&plain_tty, "\x9b" "31m", "\\x9B31m");
	SAFE(&plain_tty, "\xff\xc0\x80\xe2\x82", "\\xFF\\xC0\\x80\\xE2\\x82");
	SAFE(&plain_tty, "\xed\xa0\x80", "\\xED\\xA0\\x80");
	SAFE(&plain_tty, "\xe2\x80\xae" "x", "\\xE2\\x80\\xAEx");
	SAFE(&plain_tty, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	/* A file gets what was said. */
	SAFE(&pipe_look, "\033[1m\xff", "\033[1m\xff");
	SAFE(&plain_tty, "", "");
}

static void
expect_cut(const struct look *l, const char *in, int columns, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, ">");
	put_cut(&b, l, in, strlen(in), columns);
	assert_string_equal(b.data + 1, want);
	buf_free(&b);
}

static void
test_cut(void **state)
{
	expect_cut(&plain_tty, "0123456789", 10, "0123456789");
	expect_cut(&plain_tty, "0123456789a", 10, "012345678~");
	expect_cut(&full_tty, "0123456789a", 10, "012345678\xe2\x80\xa6");
	expect_cut(&plain_tty, "a\nb\tc\r\nd", 0, "a b c  d");
	/* What is escaped counts with the columns it takes, and is never cut in the middle. */
	expect_cut(&plain_tty, "ab\033\033c", 5, "ab^[~");
	expect_cut(&plain_tty, "abc\xff\xff", 5, "abc~");
	expect_cut(&plain_tty, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 3, "\xc3\xa9\xc3\xa9~");
	expect_cut(&plain_tty, "", 5, "");
}

static void
test_indented(void **state)
{
	struct buf b = BUF_INIT;

	put_indented(&b, &pipe_look, "a\n\nb\n\n", 6, 2);
	assert_string_equal(b.data, "a\n  \n  b");
	buf_free(&b);
}

static void
test_spans(void **state)
{
	static const struct {
		int64_t us;
		const char *span, *age;
	} rows[] = {
		{ -5, "0ms", "0s" },
		{ 999999, "999ms", "0s" },
		{ 1000000, "1.0s", "1s" },
		{ 59999999, "59.9s", "59s" },
		{ 60000000, "1min 0s", "1min" },
		{ 3599000000, "59min 59s", "59min" },
		{ 3600000000, "1h 0min", "1h" },
		{ 86399000000, "23h 59min", "23h" },
		{ 90000000000, "1d 1h", "1d" },
	};
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		put_span(&b, rows[i].us);
		assert_string_equal(b.data, rows[i].span);
		buf_reset(&b);
		put_age(&b, rows[i].us);
		assert_string_equal(b.data, rows[i].age);
		buf_reset(&b);
	}
	put_cost(&b, 0);
	put_cost(&b, 0.01234);
	put_cost(&b, 12.3);
	assert_string_equal(b.data, "-$0.0123$12.30");
	buf_reset(&b);
	put_clock(&b, "2026-11-22T10:22:25.123456+00:00");
	buf_putc(&b, ' ');
	put_clock(&b, "2026-11-22T10:22:25.123456");
	buf_putc(&b, ' ');
	put_clock(&b, "2026-11-22 10:22:25");
	buf_putc(&b, ' ');
	put_clock(&b, "yester\x1b[mday");
	assert_string_equal(b.data, "10:22:25.123 10:22:25.123 10:22:25.000 yester?[mday");
	buf_free(&b);
}

static void
expect_event(const char *json, const char *want)
{
	struct json_object *ev = js_parse(json, strlen(json));
	struct buf b = BUF_INIT;

	assert_non_null(ev);
	event_text(&b, ev);
	assert_string_equal(b.data ? b.data : "", want);
	json_object_put(ev);
	buf_free(&b);
}

static void
test_event_texts(void **state)
{
	expect_event("{\"event_type\":\"session_start\",\"run\":2}", "run 2");
	expect_event("{\"event_type\":\"session_start\",\"run\":0}", "started");
	expect_event("{\"event_type\":\"session_stop\",\"exit_code\":0,\"reason\":\"completed\"}", "completed");
	expect_event("{\"event_type\":\"session_stop\",\"exit_code\":3,\"reason\":\"exit-code\",\"error\":null}",
		     "exit-code, exit status 3");
	expect_event("{\"event_type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"}]}",
		     "assistant: a\n[image]");
	expect_event("{\"event_type\":\"message\",\"role\":null,\"content\":null}", "message: ");
	expect_event("{\"event_type\":\"pre_tool\",\"tool_name\":\"Bash\",\"tool_input\":{\"description\":\"d\",\"command\":\"ls -l\"}}",
		     "Bash: ls -l");
	expect_event("{\"event_type\":\"pre_tool\",\"tool_name\":\"X\",\"tool_input\":{\"n\":[1,2]}}", "X: {\"n\":[1,2]}");
	expect_event("{\"event_type\":\"post_tool\",\"tool_name\":\"Bash\",\"tool_output\":\"a/b\",\"error\":null}", "Bash: a/b");
	expect_event("{\"event_type\":\"post_tool\",\"tool_name\":\"Bash\",\"tool_output\":{\"stdout\":\"out\",\"stderr\":\"\"}}", "Bash: out");
	expect_event("{\"event_type\":\"post_tool\",\"tool_name\":\"Bash\",\"tool_output\":[{\"type\":\"text\",\"text\":\"t\"}]}", "Bash: t");
	expect_event("{\"event_type\":\"post_tool\",\"tool_name\":\"Bash\",\"tool_output\":null,\"error\":\"denied\"}", "Bash failed: denied");
	expect_event("{\"event_type\":\"output\",\"stream\":\"stdout\",\"text\":\"x\"}", "x");
	expect_event("{\"event_type\":\"output\",\"stream\":\"stderr\",\"text\":\"x\"}", "stderr: x");
	expect_event("{\"event_type\":\"init\",\"model\":\"m\",\"tools\":[1,2],\"cwd\":\"/p\"}", "m, 2 tools, in /p");
	expect_event("{\"event_type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1,\"duration_ms\":1500,"
		     "\"total_cost_usd\":0.5,\"result\":\"done\"}",
		     "success, 1 turn, 1.5s, $0.5000");
	expect_event("{\"event_type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error\"}", "error: API Error");
	expect_event("{\"event_type\":\"api_retry\",\"attempt\":1,\"max_retries\":10,\"retry_delay_ms\":512.5,\"error_status\":529}",
		     "attempt 1 of 10, again in 512ms, HTTP 529");
	expect_event("{\"event_type\":\"permission_request\",\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"rm\"}}", "Bash: rm");
	expect_event("{\"event_type\":\"denied\",\"what\":\"system call\",\"syscall\":\"mount\",\"reason\":\"mount(2) by sh was refused\"}",
		     "mount(2) by sh was refused");
	expect_event("{\"event_type\":\"question\",\"session_name\":\"s\",\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"rm\"}}",
		     "Bash: rm\naoctl answer s allow|deny");
	expect_event("{\"event_type\":\"question\",\"questions\":[{\"question\":\"Which?\",\"options\":[{\"label\":\"a\"},{\"label\":\"b\"}]},{\"question\":\"Why?\"}]}",
		     "Which? (a | b); Why?\naoctl answer NAME choose LABEL");
	expect_event("{\"event_type\":\"answer\",\"tool_name\":\"Bash\",\"answer\":\"deny\",\"by\":\"uid:0\",\"text\":\"no\"}", "Bash: deny, by uid:0: no");
	expect_event("{\"event_type\":\"answer\",\"answer\":\"allow\",\"by\":\"uid:0\",\"answers\":{\"Which?\":\"a\"}}", "tool: allow, by uid:0: {\"Which?\":\"a\"}");
	expect_event("{\"event_type\":\"permission_denied\",\"tool_name\":\"Bash\",\"message\":\"no\"}", "Bash: no");
	expect_event("{\"event_type\":\"task\",\"subtype\":\"task_started\",\"description\":\"d\"}", "task_started: d");
	expect_event("{\"event_type\":\"session_stop\",\"exit_code\":3,\"reason\":\"exit-code\",\"error\":\"exit status 3\"}",
		     "exit-code: exit status 3");
	expect_event("{\"event_type\":\"control\",\"type\":\"command_lifecycle\",\"state\":\"queued\"}", "command_lifecycle: queued");
	expect_event("{\"event_type\":\"error\",\"error\":\"disk full\"}", "disk full");
	/* Types that nobody told us of. */
	expect_event("{\"event_type\":\"new\",\"id\":1,\"seq\":1,\"a\":1,\"b\":\"x\",\"c\":null}", "a=1 b=x");
	expect_event("{\"event_type\":\"unknown\",\"raw\":\"{}\"}", "{}");
	expect_event("{\"event_type\":\"unknown\"}", "");
}

/* Each type of the table gives a line, whatever is missing. */
static void
test_event_types(void **state)
{
	const struct event_type *t;
	struct buf b = BUF_INIT;

	for (t = event_types; t->name; t++) {
		CLEANUP_FREE char *json = xasprintf("{\"event_type\":\"%s\"}", t->name);
		struct json_object *ev = js_parse(json, strlen(json));

		buf_reset(&b);
		event_short(&b, &full_tty, ev, false);
		assert_non_null(strstr(b.data, t->name));
		assert_int_equal(b.data[b.len - 1], '\n');
		json_object_put(ev);
	}
	buf_free(&b);
}

static void
expect_line(const struct look *l, bool full, const char *json, const char *want)
{
	struct json_object *ev = js_parse(json, strlen(json));
	struct buf b = BUF_INIT;

	event_short(&b, l, ev, full);
	assert_string_equal(b.data, want);
	json_object_put(ev);
	buf_free(&b);
}

#define OUTPUT_EVENT                                                                                              \
	"{\"event_type\":\"output\",\"timestamp\":\"2026-11-22T10:22:25.123456+00:00\",\"stream\":\"stdout\"," \
	"\"text\":\"one\\u001b[2J\\ntwo three four\"}"

static void
test_event_lines(void **state)
{
	struct json_object *ev;
	struct buf b = BUF_INIT;

	expect_line(&pipe_look, false, OUTPUT_EVENT,
		    "10:22:25.123  output         one\033[2J\n                             two three four\n");
	expect_line(&plain_tty, false, OUTPUT_EVENT, "10:22:25.123  output         one^[[2J t~\n");
	expect_line(&plain_tty, true, OUTPUT_EVENT,
		    "10:22:25.123  output         one^[[2J\n                             two three four\n");
	expect_line(&full_tty, false, "{\"event_type\":\"error\",\"timestamp\":\"2026-11-22T10:22:25Z\",\"error\":\"bad\"}",
		    "\033[2m10:22:25.000\033[0m  \033[31merror\033[0m          bad\n");

	ev = js_parse(OUTPUT_EVENT, strlen(OUTPUT_EVENT));
	event_cat(&b, &pipe_look, ev);
	event_raw(&b, &plain_tty, ev);
	assert_string_equal(b.data, "one\033[2J\ntwo three four\none^[[2J\ntwo three four\n");
	json_object_put(ev);
	/* A piece of a line brings no newline of its own. */
	buf_reset(&b);
	ev = js_parse("{\"event_type\":\"output\",\"text\":\"x\",\"partial\":true}", 51);
	event_cat(&b, &pipe_look, ev);
	assert_string_equal(b.data, "x");
	json_object_put(ev);
	buf_free(&b);
}

static void
expect_end(const char *json, int code, const char *words)
{
	struct json_object *s = js_parse(json, strlen(json));
	struct buf b = BUF_INIT;

	assert_non_null(s);
	assert_int_equal(session_exit_status(s), code);
	session_put_state(&b, s);
	assert_string_equal(b.data, words);
	json_object_put(s);
	buf_free(&b);
}

static void
test_session_end(void **state)
{
	expect_end("{\"state\":\"running\",\"result\":null,\"exit_code\":null}", 0, "running");
	expect_end("{\"state\":\"finished\",\"result\":\"success\",\"exit_code\":0}", 0, "finished (success)");
	expect_end("{\"state\":\"failed\",\"result\":\"exit-code\",\"exit_code\":3,\"adapter\":\"command\"}", 3,
		   "failed (exit-code, exit status 3)");
	/* An agent's own status says nothing to a caller of aoctl. */
	expect_end("{\"state\":\"failed\",\"result\":\"exit-code\",\"exit_code\":3,\"adapter\":\"claude\"}", 1,
		   "failed (exit-code, exit status 3)");
	expect_end("{\"state\":\"failed\",\"result\":\"signal\",\"signal\":11}", 139, "failed (signal, signal 11 SEGV)");
	expect_end("{\"state\":\"stopped\",\"result\":\"cancelled\",\"signal\":15}", 1, "stopped (cancelled, signal 15 TERM)");
	expect_end("{\"state\":\"stopped\",\"result\":null}", 1, "stopped");
	expect_end("{\"status\":\"finished\"}", 0, "finished");
}

static void
expect_detail(int status, const char *body, const char *want)
{
	struct buf b = BUF_INIT;

	client_error_text(&b, status, body, strlen(body));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
test_server_errors(void **state)
{
	expect_detail(404, "{\"detail\":\"Session not found\"}", "Session not found");
	expect_detail(422, "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"prompt\"],\"msg\":\"Field required\",\"input\":{}},"
			   "{\"loc\":[\"body\"],\"msg\":\"bad\"}]}", "prompt: Field required; bad");
	expect_detail(500, "Internal Server Error", "the server answered HTTP 500: Internal Server Error");
	expect_detail(502, "", "the server answered HTTP 502");
	expect_detail(500, "{\"detail\":\"a\\nb\"}", "a b");
	expect_detail(500, "<html>\n<body>", "the server answered HTTP 500: <html>");
	expect_detail(400, "{\"detail\":[1]}", "1");
}

struct lines {
	int count, stop_at;
	struct buf all;
};

static int
on_test_line(const char *line, size_t n, void *arg, struct err *e)
{
	struct lines *l = arg;

	assert_int_equal(strlen(line), n);
	buf_printf(&l->all, "%s|", line);
	return ++l->count == l->stop_at ? -ECANCELED : 0;
}

static void
test_splitter(void **state)
{
	static const char text[] = "one\n\n\r\ntwo\r\nthree\nrest";
	struct lines l = { 0 };
	struct splitter s = { 0 };
	struct err e = { 0 };
	size_t piece, i;

	/* However it is cut, the lines are the same. */
	for (piece = 1; piece < sizeof(text); piece++) {
		buf_reset(&l.all);
		for (i = 0; i < sizeof(text) - 1; i += piece) {
			size_t n = sizeof(text) - 1 - i < piece ? sizeof(text) - 1 - i : piece;

			assert_int_equal(splitter_feed(&s, text + i, n, 100, on_test_line, &l, &e), 0);
		}
		assert_string_equal(l.all.data, "one|two|three|");
		splitter_free(&s);
	}
	/* The cap holds for lines that end and for those that do not. */
	assert_int_equal(splitter_feed(&s, "12345", 5, 5, on_test_line, &l, &e), 0);
	assert_int_equal(splitter_feed(&s, "6", 1, 5, on_test_line, &l, &e), -EMSGSIZE);
	splitter_free(&s);
	assert_int_equal(splitter_feed(&s, "123456\n", 7, 5, on_test_line, &l, &e), -EMSGSIZE);
	splitter_free(&s);
	l.stop_at = l.count + 2;
	assert_int_equal(splitter_feed(&s, "a\nb\nc\n", 6, 5, on_test_line, &l, &e), -ECANCELED);
	splitter_free(&s);
	buf_free(&l.all);
}

static void
test_parse(void **state)
{
	struct buf b = BUF_INIT;
	struct json_object *o;
	int i;

	/* Deeper than json-c's own default. */
	for (i = 0; i < 200; i++)
		buf_puts(&b, "{\"a\":");
	buf_puts(&b, "1");
	for (i = 0; i < 200; i++)
		buf_putc(&b, '}');
	o = js_parse(b.data, b.len);
	assert_non_null(o);
	json_object_put(o);
	assert_null(js_parse("{", 1));
	assert_null(js_parse(NULL, 0));
	assert_null(js_str(NULL, "a"));
	assert_int_equal(js_int(NULL, "a", 7), 7);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe),	      cmocka_unit_test(test_cut),	  cmocka_unit_test(test_indented),
		cmocka_unit_test(test_spans),	      cmocka_unit_test(test_event_texts), cmocka_unit_test(test_event_types),
		cmocka_unit_test(test_event_lines),   cmocka_unit_test(test_session_end), cmocka_unit_test(test_server_errors),
		cmocka_unit_test(test_splitter),      cmocka_unit_test(test_parse),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	setlocale(LC_CTYPE, "C.UTF-8");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
