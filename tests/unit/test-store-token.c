/* SPDX-License-Identifier: MIT */
/* Tokens, whose session is whose, and the audit trail, in a real database. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>

#include "store-tx.h"

static int64_t
add_session(const char *id, const char *parent, enum session_state st)
{
	struct session_row row = { .id = id, .name = id, .state = st, .parent_id = parent, .exit_code = -1, .runs = 1 };

	OK(store_session_add(s, &row, &e));
	OK(store_session_update(s, &row, &e));
	return row.n;
}

static void
add_token(const char *id, const char *kind, int64_t session, int64_t run, const char *parent, int64_t expires)
{
	struct token_row row = { .id = id, .hash = id, .name = id, .role = session ? ROLE_SESSION : ROLE_READER, .kind = kind,
				 .session = session, .run = run, .parent = parent, .created_us = 1, .expires_us = expires };

	OK(store_token_add(s, &row, &e));
}

static int
keep(const struct token_row *row, void *arg)
{
	snprintf(arg, 100, "%s %s %s", row->name, role_name(row->role), row->session_id ? row->session_id : "-");
	return 0;
}

/* What is found for a hash at a time. */
static const char *
find(const char *hash, int64_t now)
{
	static char text[100];
	int r = store_token_find(s, hash, now, keep, text, &e);

	assert_true(r == 0 || (r == -ENOENT && e.status == 401));
	return r == 0 ? text : NULL;
}

static void
test_life(void **state)
{
	struct token_row again = { .id = "other", .hash = "other", .name = "a", .role = ROLE_OPERATOR, .kind = "token" };

	add_token("a", "token", 0, 0, NULL, 0);
	add_token("b", "token", 0, 0, NULL, 1000);
	assert_string_equal(find("a", INT64_MAX), "a reader -");
	assert_string_equal(find("b", 999), "b reader -");
	assert_null(find("b", 1000));
	assert_null(find("c", 0));
	assert_int_equal(store_token_add(s, &again, &e), -EEXIST);
	assert_int_equal(e.status, 409);
	/* a login has the name of its token, and goes with it */
	add_token("l", "login", 0, 0, "a", 0);
	OK(store_token_logout(s, "a", &e));
	assert_non_null(find("a", 1));
	assert_non_null(find("l", 1));
	OK(store_token_revoke(s, "a", &e));
	assert_null(find("a", 1));
	assert_null(find("l", 1));
	assert_int_equal(store_token_revoke(s, "a", &e), -ENOENT);
	OK(store_token_purge(s, 1000, &e));
	assert_null(find("b", 1));
}

static void
test_of_a_run(void **state)
{
	int64_t n = add_session("s", NULL, SESSION_RUNNING);
	struct session_row row = { .n = n, .id = "s", .name = "s", .state = SESSION_FINISHED, .exit_code = 0, .runs = 1 };

	add_token("r1", "run", n, 1, NULL, 0);
	add_token("any", "token", n, 0, NULL, 0);
	assert_string_equal(find("r1", 1), "r1 session s");
	/* a name cannot be used to revoke what aod itself made */
	assert_int_equal(store_token_revoke(s, "r1", &e), -ENOENT);
	row.state = SESSION_FROZEN;
	OK(store_session_update(s, &row, &e));
	assert_non_null(find("r1", 1));
	row.state = SESSION_FINISHED;
	OK(store_session_update(s, &row, &e));
	assert_null(find("r1", 1));
	assert_null(find("any", 1));
	/* the next run has another one */
	row.state = SESSION_RUNNING;
	row.runs = 2;
	OK(store_session_update(s, &row, &e));
	assert_null(find("r1", 1));
	assert_non_null(find("any", 1));
	assert_int_equal(store_token_end_session(s, n, &e), 2);
	add_token("r2", "run", n, 2, NULL, 0);
	assert_int_equal(store_token_has_cgroup(s, 0, &e), 0);
	OK(store_token_set_cgroup(s, n, 4711, &e));
	assert_int_equal(store_token_has_cgroup(s, 4711, &e), 1);
	assert_int_equal(store_token_has_cgroup(s, 4712, &e), 0);
	OK(store_session_delete(s, n, NULL, &e));
	assert_null(find("r2", 1));
	assert_int_equal(store_token_has_cgroup(s, 4711, &e), 0);
}

static int
count(const struct session_row *row, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void
test_family(void **state)
{
	int64_t top = add_session("top", NULL, SESSION_RUNNING), child = add_session("child", "top", SESSION_FINISHED);
	int64_t grandchild = add_session("grandchild", "child", SESSION_RUNNING), other = add_session("other", NULL, SESSION_RUNNING);
	int64_t x = add_session("x", "y", SESSION_RUNNING);
	int n = 0;

	add_session("y", "x", SESSION_RUNNING); /* a ring must not be gone round for ever */
	assert_int_equal(store_session_owned(s, "top", top, &e), 1);
	assert_int_equal(store_session_owned(s, "top", child, &e), 1);
	assert_int_equal(store_session_owned(s, "top", grandchild, &e), 1);
	assert_int_equal(store_session_owned(s, "child", top, &e), 0);
	assert_int_equal(store_session_owned(s, "top", other, &e), 0);
	assert_int_equal(store_session_owned(s, "top", x, &e), 0);
	assert_int_equal(store_session_owned(s, "", other, &e), 0);
	assert_int_equal(store_session_owned(s, "top", 99999, &e), 0);
	OK(store_session_family(s, "top", count, &n, &e));
	assert_int_equal(n, 3);
	n = 0;
	OK(store_session_family(s, "x", count, &n, &e));
	assert_int_equal(n, 2);
	n = 0;
	OK(store_session_children(s, "top", count, &n, &e));
	assert_int_equal(n, 1);
	OK(store_session_children(s, "other", count, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(store_session_depth(s, "top", 32, &e), 1);
	assert_int_equal(store_session_depth(s, "grandchild", 32, &e), 3);
	assert_int_equal(store_session_depth(s, "grandchild", 2, &e), 2);
	assert_int_equal(store_session_depth(s, "x", 32, &e), 32);
	assert_int_equal(store_session_depth(s, "none", 32, &e), 0);
}

struct seen {
	int rows;
	int64_t first, last, count;
};

static int
on_audit(const struct audit_row *row, void *arg)
{
	struct seen *seen = arg;

	if (seen->rows++ == 0)
		seen->first = row->id;
	seen->last = row->id;
	seen->count = row->count;
	return 0;
}

static void
test_audit(void **state)
{
	struct audit_row row = { .time_us = 1, .who = "uid:0", .origin = "unix", .verb = "event.append", .target = "s", .status = 200, .count = 1 };
	struct seen seen = { 0 };

	for (int i = 0; i < 5; i++)
		OK(store_audit_add(s, &row, true, &e));
	row.status = 404;
	OK(store_audit_add(s, &row, true, &e));
	row.status = 200;
	row.target = NULL;
	for (int i = 0; i < 3; i++)
		OK(store_audit_add(s, &row, false, &e));
	OK(store_audit_list(s, 0, 100, on_audit, &seen, &e));
	assert_int_equal(seen.rows, 5);
	memset(&seen, 0, sizeof(seen));
	OK(store_audit_list(s, 0, 1, on_audit, &seen, &e));
	assert_int_equal(seen.count, 5);
	memset(&seen, 0, sizeof(seen));
	OK(store_audit_list(s, -1, 2, on_audit, &seen, &e));
	assert_true(seen.rows == 2 && seen.first == 4 && seen.last == 5);
}

static void
test_audit_is_bounded(void **state)
{
	struct audit_row row = { .time_us = 1, .who = "a", .origin = "b", .verb = "c", .status = 200, .count = 1 };
	struct seen seen = { 0 };

	for (int i = 0; i < STORE_AUDIT_KEPT + 1000; i++)
		OK(store_audit_add(s, &row, false, &e));
	OK(store_audit_list(s, 0, 1000000, on_audit, &seen, &e));
	assert_int_equal(seen.last, STORE_AUDIT_KEPT + 1000);
	assert_true(seen.rows >= STORE_AUDIT_KEPT && seen.rows < STORE_AUDIT_KEPT + 300);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_a_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_family, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_audit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_audit_is_bounded, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
