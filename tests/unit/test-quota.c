/* SPDX-License-Identifier: MIT */
/* How much disk a directory takes. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/quota.h"
#include "aod/run.h"
#include "base/fd.h"
#include "base/util.h"

static char dir[] = "/tmp/test-quota-XXXXXX";

/* What only the part in aod's loop asks for. */
char *
agent_dir(const struct manager *m, const char *id)
{
	return NULL;
}

struct run *
manager_find_run(struct manager *m, int64_t session)
{
	return NULL;
}

void
run_over_quota(struct run *r, int64_t bytes)
{
}

static void
write_file(const char *name, size_t n)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
	CLEANUP_FREE char *bytes = xcalloc(1, n + 1);

	memset(bytes, 'x', n);
	assert_int_equal(file_write_atomic(path, bytes, n, 0600, true, NULL), 0);
}

static void
test_measure(void **state)
{
	CLEANUP_FREE char *deep = xasprintf("%s/a/b/c", dir), *link = xasprintf("%s/a/link", dir), *loop = xasprintf("%s/a/loop", dir);
	CLEANUP_FREE char *sparse = xasprintf("%s/sparse", dir);
	int64_t empty, some;
	int fd;

	(void)state;
	empty = quota_measure(dir, INT64_MAX);
	assert_true(empty >= 0 && empty < 100000);
	assert_int_equal(mkdir_p(deep, 0700, NULL), 0);
	write_file("a/one", 1000000);
	write_file("a/b/c/two", 1000000);
	some = quota_measure(dir, INT64_MAX);
	assert_in_range(some, 2000000, 2300000);
	/* Links lead nowhere; holes take nothing. */
	assert_int_equal(symlink("/", link), 0);
	assert_int_equal(symlink("..", loop), 0);
	fd = open(sparse, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)1 << 30) == 0);
	close(fd);
	assert_in_range(quota_measure(dir, INT64_MAX), some, some + 100000);
	/* It does not go on once it is over. */
	assert_in_range(quota_measure(dir, 500000), 500001, some);
	assert_int_equal(quota_measure("/nowhere/at/all", 1), 0);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	return rm_rf(dir, NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_measure) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("quota", tests, setup, teardown);
}
