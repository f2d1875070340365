/* SPDX-License-Identifier: MIT */
/* What sessions are asked, in a real database. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>

#include "store/store-internal.h"
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

static int64_t
add_from(int64_t n, const char *text, const char *source, const char *origin, int want)
{
	struct prompt_row row = { .session = n, .uuid = text, .text = text, .source = source, .origin = origin, .author = "uid:0",
				  .state = PROMPT_QUEUED, .created_us = 5 };

	assert_int_equal(store_prompt_add(s, &row, &e), want);
	return row.id;
}

static int64_t
add(int64_t n, const char *text)
{
	return add_from(n, text, "request", NULL, 1);
}

static void
move(int64_t id, const char *uuid, enum prompt_state state, int64_t run, int64_t in_seq)
{
	const struct prompt_row row = { .id = id, .uuid = uuid, .state = state, .run = run, .in_seq = in_seq, .given_us = 7, .ended_us = 9 };

	OK(store_prompt_update(s, &row, &e));
}

static int
put(const struct prompt_row *row, void *arg)
{
	buf_printf(arg, "%s:%s ", row->text, prompt_state_name(row->state));
	return 0;
}

static int
stop(const struct prompt_row *row, void *arg)
{
	put(row, arg);
	return 7;
}

static void
is(bool open, int64_t n, int64_t after, int64_t limit, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	if (open)
		OK(store_prompt_open(s, n, limit, put, &b, &e));
	else
		OK(store_prompt_list(s, n, after, limit, put, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

/* What is given comes first, then what a restart wants, then the order of asking; what is over is not open. */
static void
test_order(void **state)
{
	int64_t one = add(session, "one"), two = add(session, "two"), three = add(session, "three");
	struct buf b = BUF_INIT;

	add(other, "else");
	is(true, session, 0, 10, "one:queued two:queued three:queued ");
	add_from(session, "again", "restart", NULL, 1);
	is(true, session, 0, 10, "again:queued one:queued two:queued three:queued ");
	move(two, "two", PROMPT_GIVEN, 1, 0);
	is(true, session, 0, 2, "two:given again:queued ");
	move(one, "one", PROMPT_DONE, 1, 4);
	move(three, "three", PROMPT_FAILED, 1, 4);
	is(true, session, 0, 10, "two:given again:queued ");
	is(false, session, 0, 10, "one:done two:given three:failed again:queued ");
	is(false, session, one, 2, "two:given three:failed ");
	is(true, other, 0, 10, "else:queued ");
	buf_puts(&b, "");
	assert_int_equal(store_prompt_open(s, session, 10, stop, &b, &e), 7);
	assert_string_equal(b.data, "two:given ");
	/* The same in the same order, but for the texts. */
	buf_reset(&b);
	OK(store_prompt_heads(s, session, 10, put, &b, &e));
	assert_string_equal(b.data, ":given :queued ");
	buf_reset(&b);
	OK(store_prompt_heads(s, session, 1, put, &b, &e));
	assert_string_equal(b.data, ":given ");
	buf_free(&b);
}

static int
all_of(const struct prompt_row *row, void *arg)
{
	assert_string_equal(row->uuid, "another");
	assert_string_equal(row->text, "one");
	assert_string_equal(row->source, "callback");
	assert_string_equal(row->origin, "child");
	assert_string_equal(row->author, "uid:0");
	assert_int_equal(row->session, session);
	assert_int_equal(row->run, 3);
	assert_int_equal(row->in_seq, 12);
	assert_int_equal(row->created_us, 5);
	assert_int_equal(row->given_us, 7);
	assert_int_equal(row->ended_us, 9);
	assert_true(row->callback);
	return 0;
}

static void
test_a_row(void **state)
{
	struct prompt_row row = { .session = session, .uuid = "one", .text = "one", .source = "callback", .origin = "child", .author = "uid:0",
				  .state = PROMPT_QUEUED, .created_us = 5, .callback = true };
	int64_t id;

	assert_int_equal(store_prompt_add(s, &row, &e), 1);
	id = row.id;
	move(id, "another", PROMPT_GIVEN, 3, 12);
	OK(store_prompt_list(s, session, 0, 10, all_of, NULL, &e));
}

/* One of each origin for a session, also when it is over. */
static void
test_origin(void **state)
{
	int64_t id;

	assert_int_equal(store_prompt_known(s, session, "x", &e), 0);
	id = add_from(session, "one", "callback", "x", 1);
	add_from(session, "two", "callback", "x", 0);
	add_from(other, "three", "callback", "x", 1);
	assert_int_equal(store_prompt_known(s, session, "x", &e), 1);
	assert_int_equal(store_prompt_known(s, session, "y", &e), 0);
	move(id, "one", PROMPT_DONE, 1, 0);
	assert_int_equal(store_prompt_known(s, session, "x", &e), 1);
	add_from(session, "four", "callback", "x", 0);
	is(false, session, 0, 10, "one:done ");
}

static void
test_cancel(void **state)
{
	int64_t one = add(session, "one"), two = add(session, "two");
	char value[RAW_VALUE_SIZE];

	add(session, "three");
	add(other, "else");
	move(one, "one", PROMPT_GIVEN, 1, 0);
	assert_int_equal(store_prompt_cancel(s, session, one, 77, &e), 0);
	assert_int_equal(store_prompt_cancel(s, other, two, 77, &e), 0);
	assert_int_equal(store_prompt_cancel(s, session, two, 77, &e), 1);
	assert_int_equal(store_prompt_cancel(s, session, two, 78, &e), 0);
	is(false, session, 0, 10, "one:given two:cancelled three:queued ");
	assert_int_equal(store_prompt_cancel(s, session, 0, 79, &e), 1);
	is(false, session, 0, 10, "one:given two:cancelled three:cancelled ");
	is(true, other, 0, 10, "else:queued ");
	OK(store_commit(s, &e));
	raw_value("SELECT group_concat(ended_us) FROM (SELECT ended_us FROM prompt ORDER BY id)", value);
	assert_string_equal(value, "9,77,79,0");
}

/* Of what waits: not of what was given, nor of another session's. */
static void
test_bytes(void **state)
{
	int64_t one = add(session, "one"), two = add(session, "gr\303\274n");

	add(other, "something else");
	assert_int_equal(store_prompt_bytes(s, session, &e), 3 + 5);
	move(one, "one", PROMPT_GIVEN, 1, 0);
	assert_int_equal(store_prompt_bytes(s, session, &e), 5);
	assert_int_equal(store_prompt_cancel(s, session, two, 77, &e), 1);
	assert_int_equal(store_prompt_bytes(s, session, &e), 0);
}

/* They go with their session. */
static void
test_delete(void **state)
{
	char value[RAW_VALUE_SIZE];
	int64_t events;

	add(session, "one");
	add(other, "else");
	OK(store_session_delete(s, session, &events, &e));
	is(false, session, 0, 10, "");
	OK(store_commit(s, &e));
	raw_value("SELECT count(*) FROM prompt", value);
	assert_string_equal(value, "1");
}

/* A write that cannot be done is said. */
static void
test_errors(void **state)
{
	struct prompt_row row = { .session = session, .uuid = "x", .text = "x", .source = "request" };

	OK(store_commit(s, &e));
	raw_sql("DROP TABLE prompt");
	OK(store_begin(s, &e));
	assert_true(store_prompt_add(s, &row, &e) < 0);
	assert_true(store_prompt_update(s, &row, &e) < 0);
	assert_true(store_prompt_cancel(s, session, 0, 1, &e) < 0);
	assert_true(store_prompt_known(s, session, "x", &e) < 0);
	assert_true(store_prompt_bytes(s, session, &e) < 0);
	assert_true(store_prompt_open(s, session, 1, put, NULL, &e) < 0);
	assert_true(store_prompt_list(s, session, 0, 1, put, NULL, &e) < 0);
	store_rollback(s);
}

/* What the database of an earlier aod has in it keeps its numbers and order, and who waits for an answer goes on to wait for it. */
static void
test_step_12(void **state)
{
	char value[RAW_VALUE_SIZE];
	int64_t id;

	for (int i = 0; i < 11; i++)
		raw_sql(store_schema[i]);
	raw_sql("PRAGMA application_id = 1634690146; PRAGMA user_version = 11;"
		"INSERT INTO session (n, id, name, state, parent_id, callback) VALUES (1, 'top', 'top', 'running', NULL, 0),"
		" (2, 'kid', 'kid', 'running', 'top', 1), (3, 'quiet', 'quiet', 'running', 'top', 0);"
		"INSERT INTO prompt (id, session, uuid, source, origin, author, state, run, in_seq, created_us, given_us, ended_us, text) VALUES"
		" (4, 2, 'u4', 'request', 'start', 'uid:0', 'given', 1, 0, 1, 2, 0, 'first'),"
		" (5, 2, 'u5', 'request', NULL, 'session:top', 'queued', 0, 0, 1, 0, 0, 'gr' || char(252) || 'n'),"
		" (6, 2, 'u6', 'request', NULL, 'uid:0', 'queued', 0, 0, 1, 0, 0, 'a person'),"
		" (7, 3, 'u7', 'request', 'start', 'session:top', 'queued', 0, 0, 1, 0, 0, 'x'),"
		" (8, 1, 'u8', 'request', 'start', 'uid:0', 'done', 1, 0, 1, 2, 3, 'y')");
	s = open_store();
	session = 2;
	is(false, session, 0, 10, "first:given gr\303\274n:queued a person:queued ");
	assert_int_equal(store_prompt_bytes(s, session, &e), 5 + 8);
	raw_value("SELECT group_concat(id || ':' || callback) FROM (SELECT id, callback FROM prompt ORDER BY id)", value);
	assert_string_equal(value, "4:1,5:1,6:0,7:0,8:0");
	assert_int_equal(store_prompt_known(s, session, "start", &e), 1);
	OK(store_begin(s, &e));
	id = add(session, "new");
	assert_int_equal(id, 9);
	add_from(session, "again", "request", "start", 0);
	OK(store_commit(s, &e));
	store_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_a_row, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_origin, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_delete, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_errors, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_bytes, set_up_two, tear_down),
		cmocka_unit_test_setup_teardown(test_step_12, make_dir, remove_dir),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
