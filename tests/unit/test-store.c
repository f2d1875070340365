/* SPDX-License-Identifier: MIT */
/* The store: every function, and what happens when the file, the disk or the process is not well. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store-rig.h"

#define NOBODY 65534
#define SKIPPED 77 /* exit status of a child that cannot do its test here */

static int64_t
add_session_as(struct store *s, const char *id, const char *name, bool passive)
{
	struct session_row row = {
		.id = id, .name = name, .state = SESSION_RUNNING, .passive = passive, .created_us = 1000000,
		.exit_code = -1,
	};

	OK(store_session_add(s, &row, &e));
	assert_true(row.n > 0);
	return row.n;
}

static int64_t
add_session(struct store *s, const char *id)
{
	return add_session_as(s, id, id, false);
}

static int64_t
add_event(struct store *s, int64_t session, int64_t seq, const char *text)
{
	struct event ev = { 0 };
	int64_t id = 0;

	event_begin(&ev, "message", 1000000 + seq);
	event_put_text(&ev, KEY_ROLE, "user", 4);
	event_put_content_text(&ev, text, strlen(text));
	OK(store_event_add(s, session, seq, 0, &ev, &id, &e));
	event_free(&ev);
	return id;
}

static void
add_output(struct store *s, int64_t session, int64_t seq, int64_t run, const char *stream, const char *text, bool partial)
{
	struct event ev = { 0 };

	event_begin(&ev, "output", seq);
	event_extra_text(&ev, "stream", stream, strlen(stream));
	event_extra_text(&ev, "text", text, strlen(text));
	if (partial)
		event_extra_json(&ev, "partial", "true", 4);
	OK(store_event_add(s, session, seq, run, &ev, NULL, &e));
	event_free(&ev);
}

/* ---- callbacks ------------------------------------------------------------------------------------------- */

/* Collects what was seen as one line of text. */
static int
put_session(const struct session_row *row, void *arg)
{
	buf_printf(arg, "%s ", row->id);
	return 0;
}

static int
render_session(const struct session_row *row, void *arg)
{
	session_render(arg, row);
	return 0;
}

static int
put_event(const struct event_row *row, void *arg)
{
	buf_printf(arg, "%s/%s:%" PRId64 " ", row->session_id, row->session_name, row->seq);
	return 0;
}

static int
render_event(const struct event_row *row, void *arg)
{
	event_render(arg, row, true);
	return 0;
}

static int
put_feed(const struct event_row *ev, const struct change_row *change, void *arg)
{
	assert_true(!ev != !change);
	if (ev)
		buf_printf(arg, "%" PRId64 "=%s:%" PRId64 " ", ev->id, ev->session_id, ev->seq);
	else
		buf_printf(arg, "%" PRId64 "=%s ", change->id, change->kind);
	return 0;
}

static int
put_change(const struct event_row *ev, const struct change_row *change, void *arg)
{
	if (change)
		buf_printf(arg, "%.*s}\n", (int)change->json_len, change->json);
	return 0;
}

static int
put_run(const struct run_row *r, void *arg)
{
	buf_printf(arg, "%" PRId64 " args=%s plan=%s boot=%s pid=%" PRId64 "/%" PRId64 " at=%" PRId64 ",%" PRId64 ",%" PRId64
			" state=%.*s %s exit=%d sig=%d %" PRId64 "-%" PRId64 " %s in=%" PRId64 " watch=%s",
		   r->n, r->args ? r->args : "-", r->plan ? r->plan : "-", r->boot_id ? r->boot_id : "-", r->shim_pid,
		   r->shim_start, r->offset[0], r->offset[1], r->offset[2], (int)r->adapter_state_len,
		   r->adapter_state ? r->adapter_state : "", outcome_name(r->outcome) ? outcome_name(r->outcome) : "-",
		   r->exit_code, r->signal, r->started_us, r->ended_us, r->error ? r->error : "-", r->in_seq, r->watch ? r->watch : "-");
	return 0;
}

static int
stop_at_second(const struct session_row *row, void *arg)
{
	return ++*(int *)arg == 2 ? 42 : 0;
}

/* ---- sessions -------------------------------------------------------------------------------------------- */

static void
test_session(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	struct session_row row = {
		.id = "id-1", .name = "one", .state = SESSION_PENDING, .project_dir = "/p", .agent_name = "claude",
		.adapter = "claude", .parent_id = "id-0", .created_us = 1700000000123456, .exit_code = -1,
		.agent_session_id = "a-1", .last_seq = 99, .cost_usd = 5,
	};

	assert_int_equal(store_session_find(s, "id-1", 4, put_session, &b, &e), -ENOENT);
	assert_string_equal(e.text, "Session not found");
	assert_int_equal(e.status, 404);

	OK(store_begin(s, &e));
	OK(store_begin(s, &e));
	assert_true(store_in_transaction(s));
	OK(store_session_add(s, &row, &e));
	assert_int_equal(store_session_add(s, &row, &e), -EEXIST);
	assert_int_equal(e.status, 409);
	OK(store_commit(s, &e)); /* what was refused does no harm to the rest */
	assert_false(store_in_transaction(s));

	OK(store_session_find(s, "id-1", 4, render_session, &b, &e));
	assert_non_null(strstr(b.data, "\"session_id\":\"id-1\",\"session_name\":\"one\",\"status\":\"running\""));
	assert_non_null(strstr(b.data, "\"seq\":0"));
	assert_non_null(strstr(b.data, "\"cost_usd\":0"));

	row.state = SESSION_FAILED;
	row.outcome = OUTCOME_SIGNAL;
	row.name = "renamed";
	row.project_dir = NULL;
	row.signal = 9;
	row.runs = 2;
	row.error = "it \"died\"";
	row.cost_usd = 0.25;
	row.input_tokens = INT64_C(1) << 40;
	row.output_tokens = 7;
	row.turns = 3;
	row.started_us = row.ended_us = row.last_resumed_us = 1700000001000000;
	OK(store_begin(s, &e));
	add_event(s, row.n, 1, "x");
	OK(store_session_update(s, &row, &e));
	OK(store_commit(s, &e));
	buf_reset(&b);
	row.last_seq = 1; /* the true one is shown and stored, not the 99 of above */
	session_render(&b, &row);
	{
		struct buf read = BUF_INIT;

		OK(store_session_find(s, "renamed", 7, render_session, &read, &e));
		assert_string_equal(read.data, b.data);
		buf_reset(&read);
		OK(store_feed(s, 2, 0, 10, put_change, &read, &e));
		assert_memory_equal(read.data, "{\"type\":\"session_updated\",\"session\":", 36);
		assert_int_equal(read.len, b.len + 36 + 2);
		assert_memory_equal(read.data + 36, b.data, b.len);
		buf_free(&read);
	}
	row.n = 12345;
	OK(store_begin(s, &e));
	assert_int_equal(store_session_update(s, &row, &e), -ENOENT);
	store_rollback(s);
	buf_free(&b);
	store_close(s);
}

static void
test_find_and_list(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	struct session_row row = { .id = "d", .name = "d", .state = SESSION_FINISHED, .created_us = INT64_C(4000000000000000), .exit_code = -1 };
	struct session_row old = { .id = "o", .name = "same", .state = SESSION_FINISHED, .created_us = 1, .exit_code = -1 };
	int calls = 0;

	OK(store_begin(s, &e));
	add_session_as(s, "a", "same", false);
	add_session_as(s, "b", "same", true);
	add_session_as(s, "same2", "x", false);
	add_session_as(s, "c", "same2", false);
	OK(store_session_add(s, &row, &e));
	OK(store_session_add(s, &old, &e)); /* comes last, and was made first */
	OK(store_commit(s, &e));

	OK(store_session_find(s, "same", 4, put_session, &b, &e));  /* the newest of that name */
	OK(store_session_find(s, "same2", 5, put_session, &b, &e)); /* an id goes before a name */
	OK(store_session_find(s, "ccc", 1, put_session, &b, &e));   /* no more than its length is read */
	assert_string_equal(b.data, "b same2 c ");
	assert_int_equal(store_session_find(s, "", 0, put_session, &b, &e), -ENOENT);
	assert_int_equal(store_session_find(s, "' OR 1=1 --", 11, put_session, &b, &e), -ENOENT);

	buf_reset(&b);
	OK(store_session_list(s, -1, 0, -1, put_session, &b, &e));
	buf_puts(&b, "| ");
	OK(store_session_list(s, 1, 0, -1, put_session, &b, &e));
	buf_puts(&b, "| ");
	OK(store_session_list(s, 0, 0, -1, put_session, &b, &e));
	buf_puts(&b, "| ");
	OK(store_session_list(s, -1, 1, 2, put_session, &b, &e));
	buf_puts(&b, "| ");
	OK(store_session_list(s, -1, 100, 2, put_session, &b, &e));
	OK(store_session_list(s, -1, 0, 0, put_session, &b, &e));
	assert_string_equal(b.data, "d c same2 b a o | c same2 b a | d o | c same2 | ");
	assert_int_equal(store_session_list(s, -1, 0, -1, stop_at_second, &calls, &e), 42);
	assert_int_equal(calls, 2);

	buf_free(&b);
	store_close(s);
}

static void
add_message(struct store *s, int64_t n, int64_t seq, const char *timestamp, const char *data, uint32_t keys)
{
	struct event ev = { 0 };

	event_begin(&ev, "message", INT64_C(1700000000000000) + seq);
	ev.timestamp = xstrdup(timestamp);
	ev.keys = keys;
	buf_puts(&ev.data, data);
	OK(store_event_add(s, n, seq, 0, &ev, NULL, &e));
	event_free(&ev);
}

static void
test_result(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	int64_t n, p;

	OK(store_begin(s, &e));
	n = add_session(s, "run");
	p = add_session_as(s, "passive", "passive", true);
	add_message(s, n, 1, NULL, "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"no\"}]", 192);
	assert_int_equal(store_session_result(s, n, &b, &e), -ENODATA);
	assert_int_equal(e.status, 404);
	assert_int_equal(b.len, 0);
	OK(store_session_set_result(s, n, "a\0b", 3, &e));
	OK(store_session_result(s, n, &b, &e));
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 3);
	OK(store_session_set_result(s, n, "", 0, &e));
	OK(store_session_result(s, n, &b, &e));
	assert_int_equal(b.len, 0);
	OK(store_session_set_result(s, n, NULL, 0, &e));
	assert_int_equal(store_session_result(s, n, &b, &e), -ENODATA);
	assert_int_equal(store_session_result(s, 999, &b, &e), -ENOENT);
	assert_int_equal(store_session_set_result(s, 999, "x", 1, &e), -ENOENT);

	/* The greatest timestamp as text, whatever the order of arrival; only of the assistant; the first block. */
	assert_int_equal(store_session_result(s, p, &b, &e), -ENODATA);
	add_message(s, p, 1, "2026-01-01T00:00:02", "\"role\": \"assistant\", \"content\":[{\"text\":\"la\\\"st\\n\\u00e9\"},{\"text\":\"2\"}]", 192);
	add_message(s, p, 2, "2026-01-01T00:00:01", "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"earlier\"}]", 192);
	add_message(s, p, 3, "2027-01-01T00:00:00", "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"assistant\"}]", 192);
	/* Without a timestamp: 2023, from time_us. */
	add_message(s, p, 4, NULL, "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"old\"}]", 192);
	OK(store_session_result(s, p, &b, &e));
	assert_string_equal(b.data, "la\"st\né");
	add_message(s, p, 5, "2028", "\"role\":\"assistant\",\"content\":[]", 192);
	assert_int_equal(store_session_result(s, p, &b, &e), -ENODATA);
	OK(store_session_set_result(s, p, "said", 4, &e));
	OK(store_session_result(s, p, &b, &e));
	assert_string_equal(b.data, "said");
	OK(store_commit(s, &e));
	buf_free(&b);
	store_close(s);
}

/* ---- runs ------------------------------------------------------------------------------------------------ */

static void
test_runs(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	struct run_row r = { .n = 1, .args = "{\"a\":1}", .plan = "{\"p\":1}", .exit_code = -1 };

	OK(store_begin(s, &e));
	r.session = 77;
	assert_int_equal(store_run_add(s, &r, &e), -ENOENT);
	assert_int_equal(store_run_update(s, &r, &e), -ENOENT);
	r.session = add_session(s, "s");
	assert_int_equal(store_run_latest(s, r.session, put_run, &b, &e), -ENOENT);
	assert_int_equal(store_run_plan(s, r.session, 0, &b, &e), -ENOENT);
	OK(store_run_add(s, &r, &e));
	assert_int_equal(store_run_add(s, &r, &e), -EEXIST);
	r.n = 2;
	r.plan = "{\"p\":2}";
	OK(store_run_add(s, &r, &e));
	r.args = r.plan = NULL; /* not written by an update */
	r.boot_id = "boot";
	r.shim_pid = 10;
	r.shim_start = 11;
	r.offset[0] = INT64_C(1) << 40;
	r.offset[1] = 13;
	r.offset[2] = 14;
	r.adapter_state = "{\"t\":1}xxx";
	r.adapter_state_len = 7;
	r.outcome = OUTCOME_EXIT_CODE;
	r.exit_code = 3;
	r.signal = 4;
	r.started_us = 5;
	r.ended_us = 6;
	r.error = "bad";
	r.in_seq = 8;
	r.watch = "{\"base_us\":5}";
	OK(store_run_update(s, &r, &e));
	OK(store_commit(s, &e));
	store_close(s);

	s = open_store();
	OK(store_run_latest(s, r.session, put_run, &b, &e));
	assert_string_equal(b.data, "2 args={\"a\":1} plan={\"p\":2} boot=boot pid=10/11 at=1099511627776,13,14"
				    " state={\"t\":1} exit-code exit=3 sig=4 5-6 bad in=8 watch={\"base_us\":5}");
	OK(store_run_plan(s, r.session, 0, &b, &e));
	assert_string_equal(b.data, "{\"p\":2}");
	OK(store_run_plan(s, r.session, 1, &b, &e));
	assert_string_equal(b.data, "{\"p\":1}");
	assert_int_equal(store_run_plan(s, r.session, 3, &b, &e), -ENOENT);
	assert_int_equal(e.status, 404);
	buf_free(&b);
	store_close(s);
}

struct adopted {
	struct store *s;
	struct buf text;
};

/* As start-up does: writes while it is told. */
static int
adopt(const struct session_row *row, const struct run_row *run, void *arg)
{
	struct adopted *a = arg;
	struct session_row next = *row;

	buf_printf(&a->text, "%s:%" PRId64 ":%s ", row->id, run->n, run->args ? run->args : "-");
	next.state = SESSION_FAILED;
	OK(store_begin(a->s, &e));
	OK(store_session_update(a->s, &next, &e));
	OK(store_commit(a->s, &e));
	return strcmp(row->id, "stop") == 0 ? 7 : 0;
}

static void
test_each_live(void **state)
{
	struct adopted a = { open_store(), BUF_INIT };
	struct run_row r = { .n = 1, .args = "A", .exit_code = -1 };
	struct session_row ended = { .id = "ended", .state = SESSION_FINISHED, .exit_code = -1 };

	OK(store_begin(a.s, &e));
	r.session = add_session(a.s, "one");
	OK(store_run_add(a.s, &r, &e));
	r.n = 2;
	r.args = "B";
	OK(store_run_add(a.s, &r, &e));
	add_session_as(a.s, "passive", NULL, true);
	OK(store_session_add(a.s, &ended, &e));
	add_session(a.s, "norun");
	add_session(a.s, "stop");
	add_session(a.s, "after");
	OK(store_commit(a.s, &e));
	assert_int_equal(store_each_live(a.s, adopt, &a, &e), 7);
	assert_string_equal(a.text.data, "one:2:B norun:0:- stop:0:- ");
	buf_reset(&a.text);
	OK(store_each_live(a.s, adopt, &a, &e));
	assert_string_equal(a.text.data, "after:0:- ");
	buf_free(&a.text);
	store_close(a.s);
}

static void
check_tail(struct store *s, int64_t n, int64_t run, size_t max, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "left over");
	OK(store_run_output_tail(s, n, run, max, &b, &e));
	assert_string_equal(b.data, want);
	assert_int_equal(b.len, strlen(want));
	buf_free(&b);
}

static void
test_output_tail(void **state)
{
	struct store *s = open_store();
	int64_t n;

	OK(store_begin(s, &e));
	n = add_session(s, "s");
	check_tail(s, n, 1, 100, "");
	add_output(s, n, 1, 1, "stdout", "of run 1", false);
	add_output(s, n, 2, 2, "stdout", "first", false);
	add_output(s, n, 3, 2, "stderr", "noise", false);
	add_output(s, n, 4, 2, "stdout", "pie", true);
	add_output(s, n, 5, 2, "stderr", "noise", false);
	add_output(s, n, 6, 2, "stdout", "ces", false);
	add_event(s, n, 7, "not output");
	add_output(s, n, 8, 2, "stdout", "last é\t\"", false);
	check_tail(s, n, 1, 100, "of run 1");
	check_tail(s, n, 2, 100, "first\npieces\nlast é\t\"");
	check_tail(s, n, 2, 22, "first\npieces\nlast é\t\"");
	check_tail(s, n, 2, 21, "pieces\nlast é\t\"");
	check_tail(s, n, 2, 14, "last é\t\""); /* "ces" would fit, but is no whole line */
	check_tail(s, n, 2, 9, "last é\t\"");
	check_tail(s, n, 2, 4, "é\t\"");
	check_tail(s, n, 2, 3, "\t\""); /* not in the middle of a character */
	check_tail(s, n, 2, 0, "");
	check_tail(s, n, 3, 100, "");
	add_output(s, n, 9, 3, "stdout", "", false);
	add_output(s, n, 10, 3, "stdout", "x", false);
	add_output(s, n, 11, 3, "stdout", "", false);
	check_tail(s, n, 3, 100, "\nx\n");
	OK(store_commit(s, &e));
	store_close(s);
}

/* ---- events ---------------------------------------------------------------------------------------------- */

static void
test_events(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	struct event ev = { 0 };
	int64_t n, m, id = 0;

	OK(store_begin(s, &e));
	n = add_session_as(s, "s", "name", false);
	m = add_session_as(s, "t", NULL, false);
	event_begin(&ev, "x", 1);
	assert_int_equal(store_event_add(s, n, 2, 1, &ev, &id, &e), -EEXIST);
	assert_int_equal(e.status, 409);
	assert_int_equal(store_event_add(s, n, 0, 1, &ev, &id, &e), -EEXIST);
	assert_int_equal(store_event_add(s, 999, 1, 1, &ev, &id, &e), -ENOENT);
	for (int i = 1; i <= 10; i++)
		assert_true(add_event(s, n, i, "t") == 2 + i);
	assert_int_equal(store_event_add(s, n, 10, 1, &ev, &id, &e), -EEXIST);
	assert_int_equal(store_event_add(s, n, 12, 1, &ev, &id, &e), -EEXIST);
	/* Read within the transaction. */
	OK(store_events(s, n, 7, 100, false, put_event, &b, &e));
	assert_string_equal(b.data, "s/name:8 s/name:9 s/name:10 ");
	OK(store_commit(s, &e));
	OK(store_begin(s, &e));
	assert_int_equal(store_event_add(s, n, 10, 1, &ev, &id, &e), -EEXIST);
	store_rollback(s);

	buf_reset(&b);
	OK(store_events(s, n, 0, 2, false, put_event, &b, &e));
	OK(store_events(s, n, 10, 2, false, put_event, &b, &e));
	OK(store_events(s, n, 0, 0, false, put_event, &b, &e));
	OK(store_events(s, m, 0, 9, false, put_event, &b, &e));
	assert_string_equal(b.data, "s/name:1 s/name:2 ");
	buf_reset(&b);
	OK(store_events_tail(s, n, 2, false, put_event, &b, &e));
	OK(store_events_tail(s, n, 0, false, put_event, &b, &e));
	buf_puts(&b, "| ");
	OK(store_events_tail(s, n, 1000, false, put_event, &b, &e));
	assert_string_equal(b.data, "s/name:9 s/name:10 | s/name:1 s/name:2 s/name:3 s/name:4 s/name:5 s/name:6 s/name:7 "
				    "s/name:8 s/name:9 s/name:10 ");
	assert_int_equal(store_events(s, 999, 0, 1, false, put_event, &b, &e), -ENOENT);
	assert_int_equal(store_events_tail(s, 999, 1, false, put_event, &b, &e), -ENOENT);

	/* All columns come back; raw only when it was asked for. */
	event_begin(&ev, "custom", 1700000000123456);
	ev.timestamp = xstrdup("yesterday");
	event_put_int(&ev, KEY_EXIT_CODE, 3);
	buf_put(&ev.raw, "\0\xff\n", 3);
	OK(store_begin(s, &e));
	OK(store_event_add(s, m, 1, 4, &ev, &id, &e));
	OK(store_commit(s, &e));
	assert_int_equal(id, 13);
	buf_reset(&b);
	OK(store_events(s, m, 0, 1, true, render_event, &b, &e));
	assert_non_null(strstr(b.data, "{\"id\":13,\"seq\":1,\"run\":4,\"event_type\":\"custom\",\"session_id\":\"t\",\"session_name\":null,"
				       "\"timestamp\":\"yesterday\",\"exit_code\":3,"));
	assert_non_null(strstr(b.data, "\"raw\":\"\\u0000"));
	buf_reset(&b);
	OK(store_events(s, m, 0, 1, false, render_event, &b, &e));
	assert_null(strstr(b.data, "\"raw\""));
	event_free(&ev);
	buf_free(&b);
	store_close(s);
}

static int
check_big(const struct event_row *row, void *arg)
{
	assert_int_equal(row->data_len, EVENT_DATA_MAX);
	assert_int_equal(row->raw_len, EVENT_DATA_MAX);
	assert_int_equal(row->data[EVENT_DATA_MAX - 1], '"');
	assert_int_equal(row->raw[EVENT_DATA_MAX / 2], 'r');
	++*(int *)arg;
	return 0;
}

static void
test_big_event(void **state)
{
	struct store *s = open_store(), *reader;
	struct event ev = { 0 };
	int64_t n, gone;
	int calls = 0;

	event_begin(&ev, "message", 1);
	buf_puts(&ev.data, "\"text\":\"");
	buf_reserve(&ev.data, EVENT_DATA_MAX);
	memset(ev.data.data + ev.data.len, 'd', EVENT_DATA_MAX - ev.data.len);
	ev.data.len = EVENT_DATA_MAX;
	ev.data.data[EVENT_DATA_MAX - 1] = '"';
	buf_reserve(&ev.raw, EVENT_DATA_MAX);
	memset(ev.raw.data, 'r', EVENT_DATA_MAX);
	ev.raw.len = EVENT_DATA_MAX;
	OK(store_begin(s, &e));
	n = add_session(s, "s");
	OK(store_event_add(s, n, 1, 1, &ev, NULL, &e));
	OK(store_commit(s, &e));
	event_free(&ev);
	OK(store_open_read(path, &reader, &e));
	OK(store_events(reader, n, 0, 10, true, check_big, &calls, &e));
	assert_int_equal(calls, 1);
	OK(store_begin(s, &e));
	OK(store_session_delete(s, n, &gone, &e));
	OK(store_commit(s, &e));
	assert_int_equal(gone, 1);
	store_close(reader);
	store_close(s);
}

/* Many sessions at once, more than the table of last seqs has places: they share them. */
static void
test_many_sessions(void **state)
{
	enum { SESSIONS = 700, ROUNDS = 3 };
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	int64_t n[SESSIONS];
	char id[24];

	OK(store_begin(s, &e));
	for (int i = 0; i < SESSIONS; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		n[i] = add_session(s, id);
	}
	OK(store_commit(s, &e));
	for (int k = 1; k <= ROUNDS; k++) {
		OK(store_begin(s, &e));
		for (int i = 0; i < SESSIONS; i++)
			add_event(s, n[i], k, "t");
		OK(store_commit(s, &e));
	}
	store_close(s);
	s = open_store();
	for (int i = 0; i < SESSIONS; i++) {
		buf_reset(&b);
		OK(store_events_tail(s, n[i], 10, false, put_event, &b, &e));
		snprintf(id, sizeof(id), "/s%d:3 ", i);
		assert_non_null(strstr(b.data, id));
	}
	buf_free(&b);
	store_close(s);
}

/* ---- the feed -------------------------------------------------------------------------------------------- */

static void
test_feed(void **state)
{
	struct store *s = open_store();
	struct session_row row = { .id = "a", .name = "a", .state = SESSION_RUNNING, .exit_code = -1 };
	struct buf b = BUF_INIT;
	int64_t a, c, gone;

	assert_int_equal(store_last_id(s), 0);
	OK(store_feed(s, 0, 0, 10, put_feed, &b, &e));
	assert_int_equal(b.len, 0);
	OK(store_begin(s, &e));
	a = add_session(s, "a"); /* 1 */
	add_event(s, a, 1, "x"); /* 2 */
	c = add_session(s, "c"); /* 3 */
	add_event(s, c, 1, "x"); /* 4 */
	row.n = a;
	OK(store_session_update(s, &row, &e)); /* 5 */
	add_event(s, a, 2, "x"); /* 6 */
	assert_int_equal(store_last_id(s), 0);
	OK(store_commit(s, &e));
	assert_int_equal(store_last_id(s), 6);

	OK(store_feed(s, 0, 0, 100, put_feed, &b, &e));
	assert_string_equal(b.data, "1=session_created 2=a:1 3=session_created 4=c:1 5=session_updated 6=a:2 ");
	buf_reset(&b);
	OK(store_feed(s, 1, 0, 3, put_feed, &b, &e));
	OK(store_feed(s, 6, 0, 3, put_feed, &b, &e));
	OK(store_feed(s, 0, 0, 0, put_feed, &b, &e));
	assert_string_equal(b.data, "2=a:1 3=session_created 4=c:1 ");
	buf_reset(&b);
	OK(store_feed(s, 0, a, 100, put_feed, &b, &e));
	buf_puts(&b, "| ");
	OK(store_feed(s, 2, a, 100, put_feed, &b, &e));
	buf_puts(&b, "| ");
	OK(store_feed(s, 0, c, 1, put_feed, &b, &e));
	assert_string_equal(b.data, "1=session_created 2=a:1 5=session_updated 6=a:2 | 5=session_updated 6=a:2 | "
				    "3=session_created ");

	OK(store_begin(s, &e));
	OK(store_session_delete(s, a, &gone, &e)); /* 7 */
	OK(store_commit(s, &e));
	assert_int_equal(gone, 2);
	buf_reset(&b);
	OK(store_feed(s, 0, 0, 100, put_feed, &b, &e));
	buf_puts(&b, "| ");
	OK(store_feed(s, 5, a, 100, put_feed, &b, &e));
	assert_string_equal(b.data, "1=session_created 3=session_created 4=c:1 5=session_updated 7=session_deleted | "
				    "7=session_deleted ");
	buf_reset(&b);
	OK(store_feed(s, 6, 0, 100, put_change, &b, &e));
	assert_string_equal(b.data, "{\"type\":\"session_deleted\",\"session_id\":\"a\"}\n");
	buf_free(&b);
	store_close(s);
}

static int
next_of(const struct event_row *ev, const struct change_row *change, void *arg)
{
	*(int64_t *)arg = ev ? ev->seq : -change->id;
	return 1;
}

/* From every cursor, the first row of one session's feed is the one that counting says. */
static void
test_feed_cursor(void **state)
{
	enum { EVENTS = 70 };
	struct store *s = open_store();
	int64_t a, c, ids[EVENTS + 1], last, seq = 1;

	OK(store_begin(s, &e));
	a = add_session(s, "a");
	c = add_session(s, "c");
	for (int i = 1, k = 1; i <= EVENTS; i++) {
		for (int j = 0; j < i % 4; j++)
			add_event(s, c, k++, "x");
		ids[i] = add_event(s, a, i, "x");
	}
	add_session(s, "z");
	OK(store_commit(s, &e));
	last = store_last_id(s);
	for (int64_t after = 1; after <= last; after++) {
		int64_t got = 0;
		int r = store_feed(s, after, a, 1000, next_of, &got, &e);

		while (seq <= EVENTS && ids[seq] <= after)
			seq++;
		assert_int_equal(r, seq <= EVENTS ? 1 : 0);
		assert_int_equal(got, seq <= EVENTS ? seq : 0);
	}
	store_close(s);
}

/* Commits between the rows of a feed: the rest still is of one moment, and the next feed has what came. */
struct moving {
	struct store *writer;
	int64_t n, seq, cursor, expect;
};

static int
write_meanwhile(const struct event_row *ev, const struct change_row *change, void *arg)
{
	struct moving *m = arg;
	struct session_row row = { .n = m->n, .id = "a", .name = "a", .state = SESSION_RUNNING, .exit_code = -1 };
	int64_t id = ev ? ev->id : change->id;

	assert_int_equal(id, m->cursor + 1);
	m->cursor = id;
	if (m->seq < 50) {
		OK(store_begin(m->writer, &e));
		add_event(m->writer, m->n, ++m->seq, "x");
		OK(store_session_update(m->writer, &row, &e));
		OK(store_commit(m->writer, &e));
	}
	return 0;
}

static void
test_feed_snapshot(void **state)
{
	struct moving m = { .writer = open_store() };
	struct store *reader;
	int64_t before;

	OK(store_begin(m.writer, &e));
	m.n = add_session(m.writer, "a");
	OK(store_commit(m.writer, &e));
	OK(store_open_read(path, &reader, &e));
	do {
		before = m.cursor;
		OK(store_feed(reader, m.cursor, 0, 1000, write_meanwhile, &m, &e));
	} while (m.cursor != before);
	assert_int_equal(m.cursor, 101);
	store_close(reader);
	store_close(m.writer);
}

static void
test_changes_pruned(void **state)
{
	struct store *s = open_store();
	struct session_row row = { .id = "a", .state = SESSION_RUNNING, .exit_code = -1 };
	int64_t floor, got = 0;

	OK(store_begin(s, &e));
	OK(store_session_add(s, &row, &e));
	for (int i = 0; i < STORE_CHANGES_KEPT; i++)
		OK(store_session_update(s, &row, &e));
	assert_int_equal(store_feed_floor(s), 0);
	OK(store_commit(s, &e));
	store_close(s);
	s = open_store();
	OK(store_begin(s, &e));
	for (int i = 0; i < 1000; i++)
		OK(store_session_update(s, &row, &e));
	OK(store_commit(s, &e));
	floor = store_feed_floor(s);
	assert_in_range(floor, 500, 1001);
	assert_int_equal(store_feed(s, 0, 0, 1, next_of, &got, &e), 1);
	assert_int_equal(-got, floor + 1);
	assert_int_equal(store_last_id(s), STORE_CHANGES_KEPT + 1001);
	store_close(s);
}

/* ---- transactions and ids -------------------------------------------------------------------------------- */

static void
test_rollback(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	int64_t n, id;

	OK(store_begin(s, &e));
	n = add_session(s, "kept");
	add_event(s, n, 1, "kept");
	OK(store_commit(s, &e));
	id = store_last_id(s);

	OK(store_begin(s, &e));
	add_session(s, "gone");
	add_event(s, n, 2, "gone");
	OK(store_session_set_result(s, n, "gone", 4, &e));
	store_rollback(s);
	store_rollback(s);
	assert_false(store_in_transaction(s));
	assert_int_equal(store_last_id(s), id);
	OK(store_events(s, n, 0, 10, false, put_event, &b, &e));
	OK(store_session_list(s, -1, 0, -1, put_session, &b, &e));
	assert_string_equal(b.data, "kept/kept:1 kept ");
	assert_int_equal(store_session_result(s, n, &b, &e), -ENODATA);
	OK(store_begin(s, &e));
	assert_int_equal(add_event(s, n, 2, "next"), id + 1);
	OK(store_commit(s, &e));
	OK(store_commit(s, &e));

	/* A transaction that is left open at the close is undone. */
	OK(store_begin(s, &e));
	add_event(s, n, 3, "gone");
	store_close(s);
	s = open_store();
	assert_int_equal(store_last_id(s), id + 1);
	store_close(s);
	store_close(NULL);
	buf_free(&b);
}

static void
test_ids_not_reused(void **state)
{
	struct store *s = open_store();
	int64_t n, last = 0, gone;

	for (int i = 1; i <= 3; i++) {
		int64_t id;

		OK(store_begin(s, &e));
		n = add_session(s, "same");
		assert_int_equal(n, i);
		id = add_event(s, n, 1, "x");
		assert_int_equal(id, last + 2);
		OK(store_session_delete(s, n, &gone, &e));
		assert_int_equal(store_session_delete(s, n, &gone, &e), -ENOENT);
		OK(store_commit(s, &e));
		last = store_last_id(s);
		assert_int_equal(last, id + 1);
		store_close(s);
		s = open_store();
		assert_int_equal(store_last_id(s), last);
	}
	store_close(s);
}

static int
put_nothing_of_large(const struct event_row *ev, const struct change_row *change, void *arg)
{
	assert_true(!ev || ev->session != *(int64_t *)arg);
	return 0;
}

static void
test_delete_large(void **state)
{
	enum { EVENTS = 100000 };
	struct store *s = open_store();
	struct buf b = BUF_INIT;
	struct run_row run = { .n = 1, .plan = "{}", .exit_code = -1 };
	char text[180], count[RAW_VALUE_SIZE];
	int64_t n, other, gone = 0, start, id;
	int r, pieces;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	OK(store_begin(s, &e));
	n = add_session(s, "large");
	other = add_session(s, "other");
	run.session = n;
	OK(store_run_add(s, &run, &e));
	OK(store_session_set_result(s, n, "r", 1, &e));
	add_event(s, other, 1, "stays");
	for (int64_t i = 1; i <= EVENTS; i++) {
		id = add_event(s, n, i, text);
		if (i % 1000 == 0) {
			OK(store_commit(s, &e));
			OK(store_begin(s, &e));
		}
	}
	start = mono_us();
	OK(store_session_delete(s, n, &gone, &e));
	OK(store_commit(s, &e));
	print_message("# deleting a session with %d events: %.1f ms\n", EVENTS, (mono_us() - start) / 1000.0);
	assert_int_equal(gone, EVENTS);
	assert_int_equal(store_last_id(s), id + 1);
	assert_int_equal(store_events(s, n, 0, 1, false, put_event, &b, &e), -ENOENT);
	assert_int_equal(store_run_latest(s, n, put_run, &b, &e), -ENOENT);
	assert_int_equal(store_run_plan(s, n, 0, &b, &e), -ENOENT);
	OK(store_session_list(s, -1, 0, -1, put_session, &b, &e));
	OK(store_events(s, other, 0, 10, false, put_event, &b, &e));
	assert_string_equal(b.data, "other other/other:1 ");
	/* The events go in pieces, each short, also after a restart; the feed shows none of them. */
	buf_reset(&b);
	OK(store_feed(s, 0, 0, 10, put_nothing_of_large, &n, &e));
	/* What is left out counts for the limit: who goes on from where the feed has looked misses nothing behind it. */
	for (int64_t at = 0; at != INT64_MAX; at = store_feed_reached(s)) {
		OK(store_feed(s, at, 0, 100, put_feed, &b, &e));
		assert_true(store_feed_reached(s) > at);
	}
	assert_string_equal(b.data, "1=session_created 2=session_created 3=other:1 100004=session_deleted ");
	buf_reset(&b);
	store_close(s);
	s = open_store();
	OK(store_begin(s, &e));
	for (pieces = 0; (r = store_purge(s, &e)) == 1; pieces++) {
		OK(store_commit(s, &e));
		OK(store_begin(s, &e));
	}
	assert_int_equal(r, 0);
	OK(store_commit(s, &e));
	assert_true(pieces > 10);
	OK(store_events(s, other, 0, 10, false, put_event, &b, &e));
	assert_string_equal(b.data, "other/other:1 ");
	buf_free(&b);
	store_close(s);
	/* With nothing of ours in between. */
	raw_value("SELECT count(*) FROM event", count);
	assert_string_equal(count, "1");
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static void
assert_refused(int code, const char *text)
{
	struct store *s = (void *)1;

	assert_int_equal(store_open(path, &s, &e), code);
	assert_null(s);
	assert_non_null(strstr(e.text, path));
	if (!strstr(e.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, e.text);
}

static void
overwrite(off_t at, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char *junk = xmalloc(n);

	memset(junk, 0xa5, n);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, n, at), (ssize_t)n);
	free(junk);
	close(fd);
}

static void
test_modes(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct store *s;
	struct stat st;
	char name[128];
	mode_t old = umask(0077);

	s = open_store();
	umask(old);
	for (size_t closed = 0; closed < 2; closed++) {
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			snprintf(name, sizeof(name), "%s%s", path, ends[i]);
			assert_int_equal(stat(name, &st), 0);
			assert_int_equal(st.st_mode & 07777, 0640);
		}
		if (closed == 0)
			store_close(s);
	}
}

/* The name of the node is made once. */
static void
test_node(void **state)
{
	char first[RAW_VALUE_SIZE], again[RAW_VALUE_SIZE];

	store_close(open_store());
	raw_value("SELECT value FROM meta WHERE key = 'node'", first);
	assert_true(id_is_uuid(first));
	store_close(open_store());
	raw_value("SELECT value FROM meta WHERE key = 'node'", again);
	assert_string_equal(again, first);
}

static void
test_empty_file(void **state)
{
	struct store *s;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(store_open_read(path, &s, &e), -EPROTO);
	s = open_store();
	OK(store_begin(s, &e));
	add_session(s, "a");
	OK(store_commit(s, &e));
	store_close(s);
}

static void
test_not_a_database(void **state)
{
	struct store *s;
	struct stat st;

	OK(file_write_atomic(path, "this is not a database, but a letter to my mother\n", 50, 0640, false, &e));
	assert_refused(-EUCLEAN, "restore it from a backup, or move it away to start empty");
	assert_int_equal(e.status, 500);
	assert_int_equal(store_open_read(path, &s, &e), -EUCLEAN);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 50);
	OK(rm_rf(path, &e));
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(-EINVAL, "not a regular file");
}

static void
fill(int events)
{
	struct store *s = open_store();
	int64_t n;

	OK(store_begin(s, &e));
	n = add_session(s, "a");
	for (int i = 1; i <= events; i++)
		add_event(s, n, i, "some text that fills the pages of the file, so that there are some");
	OK(store_commit(s, &e));
	store_close(s);
}

static void
test_damaged_header(void **state)
{
	fill(10);
	overwrite(0, 100);
	assert_refused(-EUCLEAN, "is damaged (");
}

static void
test_damaged_middle(void **state)
{
	struct store *s;
	struct buf b = BUF_INIT;
	char boot[37], sql[128];
	struct stat st;
	int r;

	fill(5000);
	assert_int_equal(stat(path, &st), 0);
	overwrite(st.st_size / 2 / 4096 * 4096, 20 * 4096);
	/* The last close was clean, so nothing is looked at until it is read. */
	s = open_store();
	r = store_events(s, 1, 0, 10000, false, put_event, &b, &e);
	assert_int_equal(r, -EUCLEAN);
	assert_non_null(strstr(e.text, "is damaged ("));
	OK(store_session_list(s, -1, 0, -1, put_session, &b, &e)); /* what is not hurt can be read */
	store_close(s);
	/* Nor after a crash of the program alone. */
	proc_boot_id(boot);
	snprintf(sql, sizeof(sql), "UPDATE meta SET value = '%s' WHERE key = 'clean'", boot);
	raw_sql(sql);
	store_close(open_store());
	/* After one of the machine all is looked at, and where it is not known. */
	raw_sql("UPDATE meta SET value = '2d1f0c7e-0000-4000-8000-000000000000' WHERE key = 'clean'");
	assert_refused(-EUCLEAN, "is damaged (");
	raw_sql("UPDATE meta SET value = '0' WHERE key = 'clean'");
	assert_refused(-EUCLEAN, "is damaged (");
	assert_refused(-EUCLEAN, "is damaged (");
	buf_free(&b);
}

static void
test_truncated(void **state)
{
	struct stat st;

	fill(2000);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	raw_sql("SELECT 1");
	assert_refused(-EUCLEAN, "is damaged (");
}

static void
test_schema(void **state)
{
	struct store *s;

	fill(1);
	raw_sql("PRAGMA user_version = 1000");
	assert_refused(-EPROTO, "newer version of aod (schema 1000");
	assert_int_equal(store_open_read(path, &s, &e), -EPROTO);
	OK(rm_rf(path, &e));
	raw_sql("CREATE TABLE other (x)");
	assert_refused(-EPROTO, "another program");
	raw_sql("PRAGMA user_version = 1");
	assert_refused(-EPROTO, "another program");
}

static void
test_missing(void **state)
{
	struct store *s;

	assert_int_equal(store_open_read(path, &s, &e), -ENOENT);
	snprintf(path, sizeof(path), "%s/no/aod.db", dir);
	assert_refused(-ENOENT, "No such file or directory");
}

static void
test_locked(void **state)
{
	struct store *s, *reader;
	struct buf b = BUF_INIT;
	sqlite3 *db;
	int64_t start;

	fill(1);
	s = open_store();
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	start = mono_us();
	assert_int_equal(store_begin(s, &e), -EAGAIN);
	assert_int_equal(e.status, 503);
	assert_in_range(mono_us() - start, 150000, 20000000);
	assert_false(store_in_transaction(s));
	assert_refused(-EAGAIN, "locked by another process");
	OK(store_session_list(s, -1, 0, -1, put_session, &b, &e)); /* reads go on */
	OK(store_open_read(path, &reader, &e));
	store_close(reader);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	OK(store_begin(s, &e));
	OK(store_commit(s, &e));
	sqlite3_close(db);
	store_close(s);
	buf_free(&b);
}

/* Not meant to be, but it must not break anything: each sees what the other wrote. */
static void
test_two_writers(void **state)
{
	struct store *a = open_store(), *c = open_store();
	int64_t n;

	OK(store_begin(a, &e));
	n = add_session(a, "s");
	OK(store_commit(a, &e));
	for (int i = 1; i <= 20; i++) {
		struct store *s = i % 2 ? c : a;

		OK(store_begin(s, &e));
		assert_int_equal(add_event(s, n, i, "x"), 1 + i);
		OK(store_commit(s, &e));
	}
	store_close(a);
	store_close(c);
}

/* ---- readers --------------------------------------------------------------------------------------------- */

static void
test_reader(void **state)
{
	struct store *s = open_store(), *reader;
	struct buf b = BUF_INIT;
	int64_t n, version;

	OK(store_open_read(path, &reader, &e));
	assert_int_equal(store_last_id(reader), 0);
	version = store_last_change(reader);
	assert_int_equal(store_last_change(reader), version);
	OK(store_begin(s, &e));
	n = add_session(s, "a");
	add_event(s, n, 1, "x");
	assert_int_equal(store_last_id(reader), 0);
	assert_int_equal(store_last_change(reader), version);
	OK(store_commit(s, &e));
	assert_int_equal(store_last_id(reader), 2);
	assert_int_not_equal(store_last_change(reader), version);

	/* A snapshot. */
	OK(store_read_begin(reader, &e));
	OK(store_read_begin(reader, &e));
	OK(store_begin(s, &e));
	add_event(s, n, 2, "x");
	OK(store_commit(s, &e));
	OK(store_feed(reader, 0, 0, 100, put_feed, &b, &e));
	store_read_end(reader);
	assert_int_equal(store_last_id(reader), 2);
	store_read_end(reader);
	assert_int_equal(store_last_id(reader), 3);
	assert_string_equal(b.data, "1=session_created 2=a:1 ");

	/* The writer goes and comes back. */
	store_close(s);
	assert_int_equal(store_last_id(reader), 3);
	s = open_store();
	OK(store_begin(s, &e));
	add_event(s, n, 3, "x");
	OK(store_commit(s, &e));
	assert_int_equal(store_last_id(reader), 4);
	store_close(s);
	store_close(reader);
	buf_free(&b);
}

static int
wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("the child died of signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static bool
become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

/*
 * In a child: a reader of another user, which opens the file before it gives up its privileges (early) or after, reads
 * what is committed each time it is told to through the pipe, and answers with the last id.
 */
static void
foreign_reader(int in, int out, bool early)
{
	struct store *reader = NULL;
	int64_t id;
	char c;

	if (early && store_open_read(path, &reader, &e) < 0)
		_exit(1);
	if (!become_nobody())
		_exit(SKIPPED);
	if (!early && store_open_read(path, &reader, &e) < 0) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(2);
	}
	while (read(in, &c, 1) == 1) {
		struct buf b = BUF_INIT;

		id = store_feed(reader, 0, 0, 100000, put_feed, &b, &e) < 0 ? -1 : store_last_id(reader);
		buf_free(&b);
		if (write(out, &id, sizeof(id)) != sizeof(id))
			_exit(3);
	}
	store_close(reader);
	_exit(0);
}

static int64_t
ask(int to, int from)
{
	int64_t id = -2;

	assert_int_equal(write(to, "?", 1), 1);
	assert_int_equal(read(from, &id, sizeof(id)), sizeof(id));
	return id;
}

static void
try_foreign_reader(bool early)
{
	struct store *s;
	int to[2], from[2];
	int64_t n;
	pid_t pid;

	/* As the manual has it: the directory belongs to the readers' group, which the files inherit. */
	assert_int_equal(chown(dir, 0, NOBODY), 0);
	assert_int_equal(chmod(dir, 02750), 0);
	s = open_store();
	OK(store_begin(s, &e));
	n = add_session(s, "a");
	OK(store_commit(s, &e));
	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	/* SQLite's handles must not be used across fork(2): the writer is opened anew behind it. */
	store_close(s);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		foreign_reader(to[0], from[1], early);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(ask(to[1], from[0]), 1); /* while no writer is there */
	for (int i = 1; i <= 5; i++) {
		s = open_store();
		OK(store_begin(s, &e));
		add_event(s, n, i, "x");
		OK(store_commit(s, &e));
		assert_int_equal(ask(to[1], from[0]), 1 + i);
		store_close(s);
		assert_int_equal(ask(to[1], from[0]), 1 + i);
	}
	close(to[1]);
	close(from[0]);
	assert_int_equal(wait_child(pid), 0);
}

static void
test_foreign_reader_early(void **state)
{
	if (geteuid() != 0)
		skip();
	try_foreign_reader(true);
}

static void
test_foreign_reader_late(void **state)
{
	if (geteuid() != 0)
		skip();
	try_foreign_reader(false);
}

/* ---- a disk that does not do its part -------------------------------------------------------------------- */

static int
read_only_child(void)
{
	struct store *s;
	int r;

	if (geteuid() == 0 && (chown(path, NOBODY, NOBODY) < 0 || chmod(dir, 0555) < 0 || !become_nobody()))
		return SKIPPED;
	if (geteuid() != 0)
		chmod(dir, 0555);
	/* A database is there, but -wal cannot be made. */
	r = store_open(path, &s, &e);
	if (r != -EACCES && r != -EROFS) {
		fprintf(stderr, "# existing: %d %s\n", r, e.text);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/new.db", dir);
	r = store_open(path, &s, &e);
	return r == -EACCES && strstr(e.text, path) ? 0 : 2;
}

static void
test_read_only_directory(void **state)
{
	char name[128];
	pid_t pid;
	int status;

	fill(1);
	snprintf(name, sizeof(name), "%s-wal", path);
	unlink(name);
	snprintf(name, sizeof(name), "%s-shm", path);
	unlink(name);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(read_only_child());
	status = wait_child(pid);
	chmod(dir, 0700);
	if (status == SKIPPED)
		skip();
	assert_int_equal(status, 0);
}

/* Writes until the disk is full; then what was committed must be there, and writing go on once there is room. */
static int
full_disk_child(void)
{
	struct store *s;
	struct event ev = { 0 };
	struct session_row row = { .id = "a", .name = "a", .exit_code = -1 };
	struct buf b = BUF_INIT;
	char ballast[96], text[1000], want[32];
	int64_t n, seq = 0, last = 0;
	int fd, r = 0;

	/*
	 * In a mount namespace of its own, which goes with the process. The ballast is half of it: once it is gone, there is room for
	 * what a checkpoint moves from -wal, which is at most the other half, into the file.
	 */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("aod-test", dir, "tmpfs", 0, "size=4m") < 0)
		return SKIPPED;
	snprintf(ballast, sizeof(ballast), "%s/ballast", dir);
	fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, 2 << 20) != 0 || store_open(path, &s, &e) < 0)
		return 1;
	memset(text, 'x', sizeof(text));
	event_begin(&ev, "message", 1);
	event_put_text(&ev, KEY_REASON, text, sizeof(text));
	if (store_begin(s, &e) < 0 || store_session_add(s, &row, &e) < 0 || store_commit(s, &e) < 0)
		return 2;
	n = row.n;
	while (r == 0 && seq < 10000) {
		if ((r = store_begin(s, &e)) < 0)
			break;
		for (int i = 0; i < 20 && r == 0; i++)
			r = store_event_add(s, n, ++seq, 1, &ev, NULL, &e);
		if (r == 0 && (r = store_commit(s, &e)) == 0)
			last = seq;
	}
	fprintf(stderr, "# full after %d events: %s\n", (int)last, e.text);
	if (r != -ENOSPC || e.status != 507 || last == 0 || !strstr(e.text, path))
		return 3;
	if (store_in_transaction(s) && store_commit(s, &e) == 0)
		return 4; /* after a failed write it can only be rolled back */
	store_rollback(s);
	snprintf(want, sizeof(want), "a/a:%" PRId64 " ", last);
	if (store_events_tail(s, n, 1, false, put_event, &b, &e) < 0 || strcmp(b.data, want) != 0)
		return 5;
	if (unlink(ballast) < 0 || close(fd) < 0)
		return 6;
	if (store_begin(s, &e) < 0 || store_event_add(s, n, last + 1, 1, &ev, NULL, &e) < 0 || store_commit(s, &e) < 0)
		return 7;
	store_close(s);
	if (store_open(path, &s, &e) < 0 || store_last_id(s) != last + 2) {
		fprintf(stderr, "# %s\n", e.text);
		return 8;
	}
	store_close(s);
	event_free(&ev);
	buf_free(&b);
	return 0;
}

static void
test_full_disk(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(full_disk_child());
	status = wait_child(pid);
	if (status == SKIPPED)
		skip();
	assert_int_equal(status, 0);
}

/* ---- kill -9 --------------------------------------------------------------------------------------------- */

/* Appends batches for ever, and says after each commit which seq was its last. */
static void
commit_for_ever(int out)
{
	struct store *s;
	struct event ev = { 0 };
	int64_t seq;

	if (store_open(path, &s, &e) < 0)
		_exit(1);
	event_begin(&ev, "message", 1);
	event_put_text(&ev, KEY_REASON, "a text of some length, so that there are pages to write", 55);
	seq = store_last_id(s) - 1; /* one session, created with id 1 */
	for (;;) {
		if (store_begin(s, &e) < 0)
			_exit(2);
		for (int i = 0; i < 37; i++)
			if (store_event_add(s, 1, ++seq, 1, &ev, NULL, &e) < 0)
				_exit(3);
		if (store_commit(s, &e) < 0 || write(out, &seq, sizeof(seq)) != sizeof(seq))
			_exit(4);
	}
}

static int
check_gapless(const struct event_row *ev, void *arg)
{
	int64_t *expect = arg;

	assert_int_equal(ev->seq, ++*expect);
	assert_int_equal(ev->id, ev->seq + 1);
	return 0;
}

static void
test_kill(void **state)
{
	enum { ROUNDS = 30 };
	struct store *s = open_store();
	int64_t told = 0, seen = 0, start, open_us = 0;

	OK(store_begin(s, &e));
	add_session(s, "a");
	OK(store_commit(s, &e));
	store_close(s);
	for (int round = 0; round < ROUNDS; round++) {
		int fds[2], status;
		int64_t seq;
		pid_t pid;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			commit_for_ever(fds[1]);
		close(fds[1]);
		/* A number of commits that differs each time, and then somewhere in the next ones. */
		for (int i = 0; i <= round * 7 % 50 && read(fds[0], &seq, sizeof(seq)) == sizeof(seq); i++)
			told = seq;
		kill(pid, SIGKILL);
		while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
			told = seq;
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));

		start = mono_us();
		s = open_store(); /* runs quick_check */
		if (mono_us() - start > open_us)
			open_us = mono_us() - start;
		seen = 0;
		OK(store_events(s, 1, 0, 10000000, false, check_gapless, &seen, &e));
		assert_true(seen >= told && seen % 37 == 0);
		assert_int_equal(store_last_id(s), seen + 1);
		store_close(s);
	}
	print_message("# killed %d times within %" PRId64 " events; longest open after it %.1f ms\n", ROUNDS, seen,
		      open_us / 1000.0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_session), TEST(test_find_and_list), TEST(test_result), TEST(test_runs), TEST(test_each_live),
		TEST(test_output_tail), TEST(test_events), TEST(test_big_event), TEST(test_many_sessions), TEST(test_feed),
		TEST(test_feed_cursor), TEST(test_feed_snapshot), TEST(test_changes_pruned), TEST(test_rollback),
		TEST(test_ids_not_reused), TEST(test_delete_large), TEST(test_modes), TEST(test_node),
		TEST(test_empty_file), TEST(test_not_a_database), TEST(test_damaged_header), TEST(test_damaged_middle),
		TEST(test_truncated), TEST(test_schema), TEST(test_missing), TEST(test_locked), TEST(test_two_writers),
		TEST(test_reader), TEST(test_foreign_reader_early), TEST(test_foreign_reader_late),
		TEST(test_read_only_directory), TEST(test_full_disk), TEST(test_kill),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
