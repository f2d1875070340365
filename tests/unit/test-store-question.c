/* SPDX-License-Identifier: MIT */
/* Questions of agents, in a real database. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>

#include "store-tx.h"

static int64_t session, other;

static int
set_up_two(void **state)
{
	if (set_up(state))
		return -1;
	session = add_running("a");
	other = add_running("b");
	return 0;
}

static void
ask(int64_t n, int64_t run, const char *id, int64_t at)
{
	const struct question_row row = { .session = n, .run = run, .id = id, .kind = "permission", .json = "{\"x\":1}", .asked_us = at, .due_us = at + 10 };

	OK(store_question_add(s, &row, &e));
}

static void
settle(int64_t n, int64_t run, const char *id, const char *closed, int64_t at)
{
	const struct question_row row = { .session = n, .run = run, .id = id, .closed = closed, .closed_us = at,
					  .answer = closed[0] == 'a' ? "{\"answer\":\"allow\"}" : NULL, .author = "uid:0" };

	OK(store_question_close(s, &row, &e));
}

static int
put(const struct question_row *row, void *arg)
{
	buf_printf(arg, "%s/%d/%s%s%s ", row->session_id, (int)row->run, row->id, row->closed ? ":" : "", row->closed ? row->closed : "");
	return 0;
}

static int
first(const struct question_row *row, void *arg)
{
	put(row, arg);
	return 7;
}

/* Those of a session (0: of all), or of one of its runs. */
static void
are(int64_t n, bool all, int64_t limit, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	if (n)
		OK(store_question_list(s, n, all, limit, put, &b, &e));
	else
		OK(store_question_open(s, 0, limit, put, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
run_has(int64_t n, int64_t run, int64_t limit, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_question_run(s, n, run, limit, put, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
test_lists(void **state)
{
	struct buf b = BUF_INIT;

	are(0, false, 10, "");
	ask(session, 1, "q1", 100);
	ask(session, 1, "q2", 50);
	ask(session, 2, "q1", 200);
	ask(other, 1, "q1", 75);
	are(session, false, 10, "a/1/q2 a/1/q1 a/2/q1 ");
	are(0, false, 10, "a/1/q2 b/1/q1 a/1/q1 a/2/q1 ");
	are(0, false, 2, "a/1/q2 b/1/q1 ");
	buf_puts(&b, "");
	OK(store_question_open(s, 75, 10, put, &b, &e));
	assert_string_equal(b.data, "a/1/q1 a/2/q1 ");
	buf_reset(&b);
	settle(session, 1, "q2", "answer", 300);
	settle(session, 1, "q1", "gone", 400);
	are(session, false, 10, "a/2/q1 ");
	are(session, true, 10, "a/2/q1 a/1/q1:gone a/1/q2:answer ");
	assert_int_equal(store_question_list(s, session, true, 10, first, &b, &e), 7);
	assert_string_equal(b.data, "a/2/q1 ");
	buf_free(&b);
}

/* For who takes a run over: what is open, and whose answer its agent may not have heard. */
static void
test_run(void **state)
{
	ask(session, 1, "open2", 20);
	ask(session, 1, "open1", 10);
	for (int i = 0; i < 3; i++) {
		CLEANUP_FREE char *id = xasprintf("told%d", i);

		ask(session, 1, id, 1 + i);
		settle(session, 1, id, "answer", 100 + i);
	}
	ask(session, 1, "gone", 5);
	settle(session, 1, "gone", "gone", 500);
	ask(session, 2, "later", 5);
	run_has(session, 1, 10, "a/1/open1 a/1/open2 a/1/told2:answer a/1/told1:answer a/1/told0:answer ");
	run_has(session, 1, 3, "a/1/open1 a/1/open2 a/1/told2:answer ");
	run_has(session, 3, 10, "");
}

static int
look(const struct question_row *row, void *arg)
{
	const struct question_row *want = arg;

	assert_string_equal(row->kind, "permission");
	assert_string_equal(row->json, "{\"x\":1}");
	assert_string_equal(row->session_name, "a");
	assert_int_equal(row->asked_us, want->asked_us);
	assert_int_equal(row->due_us, want->due_us);
	assert_int_equal(row->closed_us, want->closed_us);
	if (want->answer)
		assert_string_equal(row->answer, want->answer);
	else
		assert_null(row->answer);
	return 1;
}

static void
test_first_counts(void **state)
{
	struct question_row want = { .asked_us = 100, .due_us = 110 };

	ask(session, 1, "q", 100);
	ask(session, 1, "q", 900); /* read once more from the spool */
	assert_int_equal(store_question_list(s, session, true, 10, look, &want, &e), 1);
	OK(store_question_due(s, session, 1, "q", INT64_MAX, &e));
	want.due_us = INT64_MAX;
	assert_int_equal(store_question_list(s, session, true, 10, look, &want, &e), 1);
	settle(session, 1, "q", "answer", 300);
	settle(session, 1, "q", "gone", 400);
	want.closed_us = 300;
	want.answer = "{\"answer\":\"allow\"}";
	assert_int_equal(store_question_list(s, session, true, 10, look, &want, &e), 1);
}

static void
test_goes_with_its_session(void **state)
{
	int64_t events;

	ask(session, 1, "q", 1);
	ask(other, 1, "q", 1);
	OK(store_session_delete(s, session, &events, &e));
	are(0, false, 10, "b/1/q ");
	are(session, true, 10, "");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up_two, tear_down)
	static const struct CMUnitTest tests[] = { T(test_lists), T(test_run), T(test_first_counts), T(test_goes_with_its_session) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
