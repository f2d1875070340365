/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/session.h"

#define GOLDEN "tests/unit/session-moves.golden"

/* The table is the contract: a change of it shows in the golden file. */
static void
test_moves_golden(void **state)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path = xasprintf("%s/" GOLDEN, srcdir ? srcdir : ".");
	struct buf b = BUF_INIT;
	char want[32768];
	size_t n;
	FILE *f = fopen(path, "r");

	session_moves_print(&b);
	if (!f)
		fail_msg("%s is missing (run in the top of the tree, or set srcdir)", path);
	n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = 0;
	fclose(f);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

/* What every cell promises, whatever it says. */
static void
test_moves_hold(void **state)
{
	for (int s = 0; s < SESSION_STATE_COUNT; s++)
		for (int ev = 0; ev < SESSION_EVENT_COUNT; ev++) {
			const struct session_move *m = session_move(s, ev);

			assert_int_equal(m->why != NULL, m->action == ACT_REFUSE);
			if (m->action == ACT_REFUSE || m->action == ACT_IGNORE)
				assert_int_equal(m->next, s);
			else if (m->action != ACT_STOP && m->action != ACT_INTERRUPT)
				assert_int_not_equal(m->next, s);
			/* Only a run's record is closed, and closing it ends it. */
			if (m->action == ACT_END) {
				assert_true(session_state_has_run(s));
				assert_false(session_state_has_run(m->next));
			}
			if (m->action == ACT_STOP || m->action == ACT_RUN || m->action == ACT_GIVE)
				assert_true(session_state_has_run(m->next));
			if (m->action == ACT_RUN)
				assert_false(session_state_has_run(s));
			if (m->action == ACT_CANCEL) {
				assert_true(session_state_live(s) && !session_state_has_run(s));
				assert_false(session_state_live(m->next));
			}
		}
	/* A started report that comes after the end does not bring the session back to life. */
	assert_int_equal(session_move(SESSION_FINISHED, SEV_STARTED)->action, ACT_IGNORE);
	assert_int_equal(session_move(SESSION_STOPPING, SEV_EXIT_OK)->next, SESSION_STOPPED);
}

static void
test_listed(void **state)
{
	char *const words[] = { "7", "SIGTERM", "max-turns", NULL };

	assert_false(outcome_listed(NULL, OUTCOME_EXIT_CODE, 7, 0));
	assert_true(outcome_listed(words, OUTCOME_EXIT_CODE, 7, 0));
	assert_false(outcome_listed(words, OUTCOME_EXIT_CODE, 8, 0));
	assert_false(outcome_listed(words, OUTCOME_EXIT_CODE, 15, 0));
	assert_true(outcome_listed(words, OUTCOME_SIGNAL, -1, 15));
	assert_true(outcome_listed(words, OUTCOME_CORE_DUMP, -1, 15));
	assert_false(outcome_listed(words, OUTCOME_SIGNAL, -1, 7));
	assert_true(outcome_listed(words, OUTCOME_MAX_TURNS, 1, 0));
	/* The agent said why; its exit status says nothing more. */
	assert_false(outcome_listed(words, OUTCOME_AUTH, 7, 0));
	assert_false(outcome_listed(words, OUTCOME_TIMEOUT, -1, 15));
}

static void
test_names(void **state)
{
	for (int s = 0; s < SESSION_STATE_COUNT; s++)
		assert_int_equal(session_state_parse(session_state_name(s)), s);
	assert_int_equal(session_state_parse("dead"), -1);
	assert_int_equal(session_state_parse(""), -1);
	assert_string_equal(session_state_status(SESSION_PENDING), "running");
	assert_string_equal(session_state_status(SESSION_RUNNING), "running");
	assert_string_equal(session_state_status(SESSION_STOPPING), "running");
	assert_string_equal(session_state_status(SESSION_QUEUED), "running");
	assert_string_equal(session_state_status(SESSION_WAITING), "running");
	assert_string_equal(session_state_status(SESSION_RESTARTING), "running");
	assert_string_equal(session_state_status(SESSION_IDLE), "finished");
	assert_string_equal(session_state_status(SESSION_FINISHED), "finished");
	assert_string_equal(session_state_status(SESSION_FAILED), "finished");
	assert_string_equal(session_state_status(SESSION_STOPPED), "finished");
	for (int ev = 0; ev < SESSION_EVENT_COUNT; ev++)
		assert_non_null(session_event_name(ev));
	assert_null(outcome_name(OUTCOME_NONE));
	for (int o = 0; o < OUTCOME_COUNT; o++) {
		assert_non_null(outcome_doc(o));
		if (o != OUTCOME_NONE)
			assert_int_equal(outcome_parse(outcome_name(o)), o);
	}
	assert_int_equal(outcome_parse("exit_code"), -1);
}

static void
test_render_unset(void **state)
{
	struct session_row row = { .id = "i", .name = "n", .state = SESSION_PENDING, .exit_code = -1 };
	struct buf b = BUF_INIT;

	session_render(&b, &row);
	assert_string_equal(
		b.data,
		"{\"session_id\":\"i\",\"session_name\":\"n\",\"status\":\"running\",\"created_at\":null,"
		"\"project_dir\":null,\"agent_name\":null,\"last_resumed_at\":null,\"state\":\"pending\","
		"\"result\":null,\"passive\":false,\"runs\":0,\"seq\":0,\"started_at\":null,\"ended_at\":null,"
		"\"exit_code\":null,\"signal\":null,\"error\":null,\"adapter\":null,\"parent_session_id\":null,"
		"\"callback\":false,\"stop_with_parent\":false,\"agent_session_id\":null,\"agent_version\":null,\"lifecycle\":\"oneshot\",\"prompts_queued\":0,\"priority\":0,\"restarts\":0,"
		"\"next_start_at\":null,\"usage\":{\"input_tokens\":0,\"output_tokens\":0,\"cost_usd\":0,\"turns\":0}}");
	buf_free(&b);
}

static void
test_render_set(void **state)
{
	struct session_row row = { .id = "i\"d",
				   .name = "n",
				   .state = SESSION_FAILED,
				   .outcome = OUTCOME_EXIT_CODE,
				   .passive = true,
				   .project_dir = "/tmp/\xc3\xa4 b",
				   .agent_name = "claude",
				   .adapter = "claude",
				   .parent_id = "p",
				   .callback = true,
				   .stop_with_parent = true,
				   .created_us = 1795342937000001,
				   .last_resumed_us = 1795342937000002,
				   .started_us = 1795342937000003,
				   .ended_us = 1795342937000004,
				   .runs = 2,
				   .last_seq = 99,
				   .exit_code = 0,
				   .signal = 9,
				   .error = "line\nwith \xff",
				   .cost_usd = 0.0225,
				   .input_tokens = 10,
				   .output_tokens = 20,
				   .turns = 3,
				   .agent_session_id = "a",
				   .blueprint_version = 3 };
	struct buf b = BUF_INIT;

	session_render(&b, &row);
	assert_string_equal(
		b.data,
		"{\"session_id\":\"i\\\"d\",\"session_name\":\"n\",\"status\":\"finished\","
		"\"created_at\":\"2026-11-22T10:22:17.000001+00:00\",\"project_dir\":\"/tmp/\xc3\xa4 b\","
		"\"agent_name\":\"claude\",\"last_resumed_at\":\"2026-11-22T10:22:17.000002+00:00\",\"state\":\"failed\","
		"\"result\":\"exit-code\",\"passive\":true,\"runs\":2,\"seq\":99,"
		"\"started_at\":\"2026-11-22T10:22:17.000003+00:00\",\"ended_at\":\"2026-11-22T10:22:17.000004+00:00\","
		"\"exit_code\":0,\"signal\":9,\"error\":\"line\\nwith \xef\xbf\xbd\",\"adapter\":\"claude\","
		"\"parent_session_id\":\"p\",\"callback\":true,\"stop_with_parent\":true,\"agent_session_id\":\"a\",\"agent_version\":3,\"lifecycle\":\"oneshot\",\"prompts_queued\":0,"
		"\"priority\":0,\"restarts\":0,\"next_start_at\":null,\"usage\":{\"input_tokens\":10,"
		"\"output_tokens\":20,\"cost_usd\":0.0225,\"turns\":3}}");
	buf_free(&b);
}

static void
test_render_cost(void **state)
{
	static const struct {
		double usd;
		const char *text;
	} costs[] = { { 0, "0" },	     { -1, "0" },	  { 1, "1" },	      { 12.5, "12.5" },
		      { 0.1 + 0.2, "0.3" }, { 1e-8, "0.00000001" }, { 1e-12, "0" },   { 2.4, "2.4" },
		      { 999.99999999, "999.99999999" },	  { 1e300, "0" }, { NAN, "0" } };

	for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
		struct session_row row = { .id = "i", .cost_usd = costs[i].usd };
		struct buf b = BUF_INIT;
		CLEANUP_FREE char *want = xasprintf("\"cost_usd\":%s,", costs[i].text);

		session_render(&b, &row);
		if (!strstr(b.data, want))
			fail_msg("%s not in %s", want, b.data);
		buf_free(&b);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves_golden), cmocka_unit_test(test_moves_hold),
		cmocka_unit_test(test_listed), cmocka_unit_test(test_names),	     cmocka_unit_test(test_render_unset),
		cmocka_unit_test(test_render_set),   cmocka_unit_test(test_render_cost),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
