/* SPDX-License-Identifier: MIT */
/* Users of single runs. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aod/dynuser.h"
#include "base/fd.h"
#include "base/util.h"

static void
test_take(void **state)
{
	struct dynusers *d = dynusers_new();
	struct err e = { 0 };
	int64_t a = dynuser_take(d, "one", &e), b = dynuser_take(d, "one", &e), c = dynuser_take(d, "two", &e);

	(void)state;
	assert_in_range(a, DYNUSER_MIN, DYNUSER_MAX);
	assert_in_range(b, DYNUSER_MIN, DYNUSER_MAX);
	assert_int_not_equal(a, b);
	assert_int_not_equal(b, c);
	assert_null(getpwuid((uid_t)a));
	/* The same session gets the same one when it is free. */
	dynuser_give(d, a);
	assert_int_equal(dynuser_take(d, "one", &e), a);
	dynuser_give(d, -1);
	dynuser_give(d, 0);
	dynuser_give(d, DYNUSER_MAX + 1);
	dynusers_free(d);
	dynusers_free(NULL);
}

static void
test_ahead(void **state)
{
	struct dynusers *d = dynusers_new();
	struct err e = { 0 };
	int64_t a, b;

	(void)state;
	dynuser_look_ahead(d);
	a = dynuser_take(d, "one", &e);
	assert_in_range(a, DYNUSER_MIN, DYNUSER_MAX);
	/* There was only one; and the same seed is where the search began. */
	b = dynuser_take(d, "one", &e);
	assert_int_not_equal(a, b);
	/* What somebody has is not given to another, though it was asked for ahead. */
	dynuser_look_ahead(d);
	for (int64_t uid = DYNUSER_MIN; uid <= DYNUSER_MAX; uid++)
		dynuser_keep(d, uid);
	assert_int_equal(dynuser_take(d, "two", &e), -ENOSPC);
	assert_int_equal(e.status, 503);
	/* Nor is one asked for when all are taken or known. */
	dynuser_look_ahead(d);
	dynuser_give(d, b);
	dynuser_look_ahead(d);
	assert_int_equal(dynuser_take(d, "two", &e), b);
	dynusers_free(d);
}

static void
test_keep(void **state)
{
	struct dynusers *d = dynusers_new();
	struct err e = { 0 };
	int64_t a = dynuser_take(d, "one", &e);

	(void)state;
	dynuser_give(d, a);
	dynuser_keep(d, a);
	assert_int_not_equal(dynuser_take(d, "one", &e), a);
	dynuser_keep(d, -1);
	dynuser_keep(d, 1000);
	dynusers_free(d);
}

static void
test_all_taken(void **state)
{
	struct dynusers *d = dynusers_new();
	struct err e = { 0 };
	int n = 0;

	(void)state;
	while (dynuser_take(d, "x", &e) >= 0)
		n++;
	assert_in_range(n, 4000, DYNUSER_MAX - DYNUSER_MIN + 1);
	assert_int_equal(e.code, -ENOSPC);
	assert_int_equal(e.status, 503);
	dynuser_give(d, DYNUSER_MIN + 5);
	assert_int_equal(dynuser_take(d, "x", &e), DYNUSER_MIN + 5);
	dynusers_free(d);
}

static void
test_databases(void **state)
{
	struct dynusers *d = dynusers_new();
	struct buf host = BUF_INIT;
	CLEANUP_FREE char *passwd = dynuser_passwd(d, 61200, "/some/home"), *group = dynuser_group(d, 61200);

	(void)state;
	assert_non_null(strstr(passwd, "\naod-agent:x:61200:61200:aod agent:/some/home:/bin/sh\n"));
	assert_non_null(strstr(group, "\naod-agent:x:61200:\n"));
	assert_int_equal(file_read("/etc/passwd", 1u << 20, &host, NULL), 0);
	if (host.len < 200000)
		assert_memory_equal(passwd, host.data, host.len);
	buf_free(&host);
	dynusers_free(d);
}

static void
test_resolve(void **state)
{
	struct err e = { 0 };
	int64_t uid, gid;

	(void)state;
	assert_int_equal(user_resolve("root", NULL, &uid, &gid, &e), 0);
	assert_true(uid == 0 && gid == 0);
	assert_int_equal(user_resolve("0", "7", &uid, &gid, &e), 0);
	assert_true(uid == 0 && gid == 7);
	assert_int_equal(user_resolve(NULL, "root", &uid, &gid, &e), 0);
	assert_true(uid == -1 && gid == 0);
	assert_int_equal(user_resolve("61999", "61999", &uid, &gid, &e), 0);
	assert_true(uid == 61999 && gid == 61999);
	assert_int_equal(user_resolve("61999", NULL, &uid, &gid, &e), -ENOENT);
	assert_non_null(strstr(e.text, "Group="));
	assert_int_equal(user_resolve("no-such-user-here", NULL, &uid, &gid, &e), -ENOENT);
	assert_int_equal(e.status, 422);
	assert_int_equal(user_resolve(NULL, "no-such-group-here", &uid, &gid, &e), -ENOENT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),	  cmocka_unit_test(test_ahead), cmocka_unit_test(test_keep),	  cmocka_unit_test(test_all_taken),
		cmocka_unit_test(test_databases), cmocka_unit_test(test_resolve),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("dynamic users", tests, NULL, NULL);
}
