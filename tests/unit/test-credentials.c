/* SPDX-License-Identifier: MIT */
/* Credentials from files and blueprints into a spec. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "aod/credentials.h"
#include "base/fd.h"
#include "base/util.h"

static char dir[] = "/tmp/test-credentials-XXXXXX";

static char *
file(const char *name, const void *p, size_t n)
{
	char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(file_write_atomic(path, p, n, 0600, false, NULL), 0);
	return path;
}

static int
put(struct buf *out, const char *load, const char *set, struct err *e)
{
	struct sandbox s = { 0 };
	int rc, checked;

	s.load_credentials = load ? strv_add(NULL, load) : NULL;
	s.set_credentials = set ? strv_add(NULL, set) : NULL;
	rc = credentials_put(out, &s, NULL, e);
	checked = credentials_check(&s, NULL);
	/* What a plan is refused for, a start is, too. */
	if (checked < 0)
		assert_int_equal(rc, checked);
	strv_free(s.load_credentials);
	strv_free(s.set_credentials);
	return rc;
}

static void
test_put(void **state)
{
	CLEANUP_FREE char *path = file("token", "se=cret\nline", 12);
	CLEANUP_FREE char *load = xasprintf("a:%s", path);
	struct buf b = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(put(&b, NULL, NULL, &e), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(put(&b, load, "b:some:text", &e), 0);
	assert_int_equal(b.len, 20 + 17);
	assert_memory_equal(b.data, "cred=a=se=cret\nline\0cred=b=some:text\0", 37);
	buf_wipe(&b);
	assert_null(b.data);
}

static void
test_default(void **state)
{
	CLEANUP_FREE char *load = xasprintf("a:%s/none", dir);
	CLEANUP_FREE char *path = file("there", "x", 1);
	CLEANUP_FREE char *there = xasprintf("a:%s", path);
	struct buf b = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(put(&b, load, "a:otherwise", &e), 0);
	assert_memory_equal(b.data, "cred=a=otherwise\0", 17);
	assert_int_equal(b.len, 17);
	buf_wipe(&b);
	assert_int_equal(put(&b, there, "a:otherwise", &e), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "cred=a=x\0", 9);
	buf_wipe(&b);
	/* Of another name it is no default. */
	assert_int_equal(put(&b, load, "ab:otherwise", &e), -ENOENT);
	buf_wipe(&b);
}

static void
test_bad(void **state)
{
	CLEANUP_FREE char *large = xmalloc(CREDENTIAL_MAX + 1);
	CLEANUP_FREE char *fifo = xasprintf("%s/fifo", dir);
	char *paths[5];
	static const int codes[] = { -ENOENT, -EISDIR, -EFBIG, -EINVAL, -EINVAL };

	(void)state;
	memset(large, 'x', CREDENTIAL_MAX + 1);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	paths[0] = xasprintf("%s/missing", dir);
	paths[1] = xstrdup(dir);
	paths[2] = file("large", large, CREDENTIAL_MAX + 1);
	paths[3] = xstrdup(fifo);
	paths[4] = file("binary", "a\0b", 3);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		CLEANUP_FREE char *load = xasprintf("a:%s", paths[i]);
		struct buf b = BUF_INIT;
		struct err e = { 0 };

		assert_int_equal(put(&b, load, NULL, &e), codes[i]);
		assert_int_equal(e.status, 422);
		assert_non_null(strstr(e.text, "LoadCredential=a:"));
		assert_null(strstr(e.text, "xxxx"));
		buf_wipe(&b);
		free(paths[i]);
	}
}

static void
test_all_too_large(void **state)
{
	CLEANUP_FREE char *text = xmalloc(CREDENTIAL_MAX);
	CLEANUP_FREE char *path = NULL, *load = NULL;
	struct sandbox s = { 0 };
	struct buf b = BUF_INIT;
	struct err e = { 0 };

	(void)state;
	memset(text, 'x', CREDENTIAL_MAX);
	path = file("one", text, CREDENTIAL_MAX);
	load = xasprintf("a:%s", path);
	for (int i = 0; i < 5; i++)
		s.load_credentials = strv_add(s.load_credentials, load);
	assert_int_equal(credentials_put(&b, &s, NULL, &e), -EFBIG);
	assert_int_equal(e.status, 422);
	buf_wipe(&b);
	strv_free(s.load_credentials);
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
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_all_too_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("credentials", tests, setup, teardown);
}
