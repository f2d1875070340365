/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapter/adapter.h"
#include "base/util.h"

static const struct adapter *ad;
static struct adapter_out out;

static int
setup(void **state)
{
	ad = adapter_find("command");
	return ad ? 0 : -1;
}

static int
teardown(void **state)
{
	adapter_out_free(&out);
	return 0;
}

static void
line(int stream, const char *s, size_t n, int piece, bool partial, const char *want)
{
	void *st = ad->state_new();

	adapter_out_reset(&out);
	ad->line(st, stream, 4711, s, n, piece, partial, &out);
	assert_int_equal(out.event_count, 1);
	assert_string_equal(out.events[0].type, "output");
	assert_int_equal(out.events[0].time_us, 4711);
	assert_int_equal(out.events[0].keys, 0);
	assert_int_equal(out.events[0].raw.len, 0);
	assert_string_equal(out.events[0].data.data, want);
	assert_int_equal(out.reply.len, 0);
	assert_false(out.turn_done || out.dirty);
	ad->state_free(st);
}

static void
test_lines(void **state)
{
	line(ADAPTER_STDOUT, "hello", 5, 0, false, "\"stream\":\"stdout\",\"text\":\"hello\"");
	line(ADAPTER_STDERR, "a\tb", 3, 0, false, "\"stream\":\"stderr\",\"text\":\"a\\tb\"");
	line(ADAPTER_STDOUT, "", 0, 0, false, "\"stream\":\"stdout\",\"text\":\"\"");
	line(ADAPTER_STDOUT, "{\"type\":\"result\"}", 17, 0, false, "\"stream\":\"stdout\",\"text\":\"{\\\"type\\\":\\\"result\\\"}\"");
	line(ADAPTER_STDOUT, "\xff\0x", 3, 0, false, "\"stream\":\"stdout\",\"text\":\"\xef\xbf\xbd\\u0000x\",\"base64\":\"/wB4\"");
	line(ADAPTER_STDOUT, "aaa", 3, 0, true, "\"stream\":\"stdout\",\"text\":\"aaa\",\"partial\":true");
	line(ADAPTER_STDOUT, "bbb", 3, 1, false, "\"stream\":\"stdout\",\"text\":\"bbb\"");
}

static void
test_many(void **state)
{
	adapter_out_reset(&out);
	for (int i = 0; i < 100; i++) {
		char s[20];

		snprintf(s, sizeof(s), "line %d", i);
		ad->line(NULL, 0, i, s, strlen(s), 0, false, &out);
	}
	assert_int_equal(out.event_count, 100);
	assert_string_equal(out.events[99].data.data, "\"stream\":\"stdout\",\"text\":\"line 99\"");
	assert_string_equal(out.events[0].data.data, "\"stream\":\"stdout\",\"text\":\"line 0\"");
}

static void
ends(struct run_exit x, enum outcome outcome, int exit_code, int sig, bool from_output, const char *error)
{
	struct run_result r = { .exit_code = -1 };
	void *st = ad->state_new();

	adapter_out_reset(&out);
	ad->end(st, &x, &out, &r);
	assert_int_equal(r.outcome, outcome);
	assert_int_equal(r.exit_code, exit_code);
	assert_int_equal(r.signal, sig);
	assert_int_equal(r.result_from_output, from_output);
	assert_null(r.result);
	if (error)
		assert_string_equal(r.error, error);
	else
		assert_null(r.error);
	assert_int_equal(out.event_count, 0);
	free(r.error);
	ad->state_free(st);
}

#define EXIT(n) .known = true, .wait_status = (n) << 8
#define SIGNALED(n) .known = true, .wait_status = (n)

static void
test_end(void **state)
{
	ends((struct run_exit){ EXIT(0) }, OUTCOME_SUCCESS, 0, 0, true, NULL);
	ends((struct run_exit){ EXIT(7) }, OUTCOME_EXIT_CODE, 7, 0, true, "exit status 7");
	ends((struct run_exit){ EXIT(255) }, OUTCOME_EXIT_CODE, 255, 0, true, "exit status 255");
	ends((struct run_exit){ SIGNALED(9) }, OUTCOME_SIGNAL, -1, 9, true, "killed by signal 9 (SIGKILL)");
	ends((struct run_exit){ SIGNALED(40) }, OUTCOME_SIGNAL, -1, 40, true, "killed by signal 40");
	ends((struct run_exit){ SIGNALED(11 | 0x80) }, OUTCOME_CORE_DUMP, -1, 11, true, "killed by signal 11 (SIGSEGV)");
	ends((struct run_exit){ .known = false }, OUTCOME_UNKNOWN, -1, 0, true, "nobody saw how the process ended");
	ends((struct run_exit){ EXIT(203), .exec_errno = ENOENT, .exec_step = "exec" }, OUTCOME_RESOURCES, 203, 0, false,
	     "cannot run the program: No such file or directory (exec)");
	ends((struct run_exit){ .known = true, .exec_errno = EPERM, .exec_step = "mount /tmp" }, OUTCOME_RESOURCES, 203, 0, false,
	     "cannot run the program: Operation not permitted (mount /tmp)");
	ends((struct run_exit){ .known = true, .exec_errno = ENOENT, .exec_step = "mount /none" }, OUTCOME_RESOURCES, 203, 0, false,
	     "cannot run the program: No such file or directory (mount /none): make it, or put - in front of it in the key of [Sandbox] that names it");
	ends((struct run_exit){ .known = true, .exec_errno = EAGAIN }, OUTCOME_RESOURCES, 203, 0, false,
	     "cannot run the program: Resource temporarily unavailable (exec)");
}

/* A stop that was asked for is no failure, but what happened is still told. */
static void
test_end_stopped(void **state)
{
	ends((struct run_exit){ EXIT(143), .stop_requested = true }, OUTCOME_CANCELLED, 143, 0, true, NULL);
	ends((struct run_exit){ EXIT(0), .stop_requested = true }, OUTCOME_CANCELLED, 0, 0, true, NULL);
	ends((struct run_exit){ SIGNALED(15), .stop_requested = true }, OUTCOME_CANCELLED, -1, 15, true, NULL);
	ends((struct run_exit){ .known = false, .stop_requested = true }, OUTCOME_CANCELLED, -1, 0, true, NULL);
}

static void
test_state(void **state)
{
	struct buf b = BUF_INIT;
	void *st = ad->state_new();

	ad->save(st, &b);
	assert_int_equal(b.len, 0);
	ad->restore(st, "junk", 4);
	ad->state_free(st);
	assert_int_equal(ad->line_max, 1 << 20);
	assert_false(ad->needs_prompt);
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_many),
		cmocka_unit_test(test_end),   cmocka_unit_test(test_end_stopped),
		cmocka_unit_test(test_state),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
