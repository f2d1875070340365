/* SPDX-License-Identifier: MIT */
/* err.c, and log.c with its output caught in a pipe. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "base/util.h"

static void
test_set(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -ENOENT, "no %s", "thing"), -ENOENT);
	assert_int_equal(e.code, -ENOENT);
	assert_int_equal(e.status, 0);
	assert_string_equal(e.text, "no thing");
	assert_int_equal(err_set_status(&e, 409, -EBUSY, "busy\nnow"), -EBUSY);
	assert_int_equal(e.status, 409);
	assert_string_equal(e.text, "busy now");
	/* With what it said before. */
	assert_int_equal(err_set(&e, -ENOENT, "%s: %s", "again", e.text), -ENOENT);
	assert_string_equal(e.text, "again: busy now");
	assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_set_status(NULL, 500, -EIO, "x"), -EIO);
	assert_int_equal(err_errno(NULL, -EIO, "x"), -EIO);
}

static void
test_errno_and_wrap(void **state)
{
	struct err e;

	assert_int_equal(err_errno(&e, -EACCES, "/a/%d", 5), -EACCES);
	assert_string_equal(e.text, "/a/5: Permission denied");
	e.status = 403;
	assert_int_equal(err_wrap(&e, "cannot start %s", "demo"), -EACCES);
	assert_string_equal(e.text, "cannot start demo: /a/5: Permission denied");
	assert_int_equal(e.status, 403);
	assert_int_equal(err_wrap(NULL, "x"), -EINVAL);
}

static void
test_cut(void **state)
{
	char big[2000];
	struct err e;

	/* 511 bytes of text: an odd number, so that a two-byte character would be cut in half. */
	for (size_t i = 0; i + 1 < sizeof(big); i += 2)
		memcpy(big + i, "\xc3\xa4", 2);
	big[sizeof(big) - 2] = '\0';
	err_set(&e, -EINVAL, "%s", big);
	assert_int_equal(strlen(e.text), 510);
	err_set(&e, -EINVAL, "x%s", big);
	assert_int_equal(strlen(e.text), 511);
	err_wrap(&e, "yz");
	assert_true(strlen(e.text) >= 508 && strlen(e.text) < sizeof(e.text));
	assert_int_equal((unsigned char)e.text[strlen(e.text) - 1], 0xa4);
	/* The reason survives a context that is too long. */
	err_errno(&e, -ENOSPC, "%s", big);
	assert_non_null(strstr(e.text, ": No space left on device"));
	/* A character that just fits is kept. */
	memset(big, 'x', 509);
	memcpy(big + 509, "\xc3\xa4z", 4);
	err_set(&e, -EINVAL, "%s", big);
	assert_int_equal(strlen(e.text), 511);
}

/* What log_write() puts on stderr for this message. */
static void
caught(int level, int max, char *out, size_t size, const char *message)
{
	int p[2], saved = dup(2);
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	dup2(p[1], 2);
	log_init("unit", max);
	errno = EDOM;
	log_write(level, "%s", message);
	assert_int_equal(errno, EDOM);
	dup2(saved, 2);
	close(saved);
	close(p[1]);
	n = read(p[0], out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
	close(p[0]);
}

static void
test_log(void **state)
{
	char out[4096], big[3000], want[64];
	int64_t t;

	unsetenv("JOURNAL_STREAM");
	caught(LOG_WARN, LOG_INFO, out, sizeof(out), "one\ntwo\033");
	snprintf(want, sizeof(want), " unit[%d]: warning: one two \n", (int)getpid());
	assert_string_equal(out + 32, want);
	out[32] = '\0';
	assert_true(time_parse_iso(out, &t));
	caught(LOG_DBG, LOG_INFO, out, sizeof(out), "hidden");
	assert_string_equal(out, "");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	caught(LOG_INFO, LOG_INFO, out, sizeof(out), big);
	assert_int_equal(strlen(out), 2048);
	assert_int_equal(out[2047], '\n');
}

static void
test_log_journal(void **state)
{
	char path[] = "/tmp/aod-test-err-XXXXXX", text[64] = "", stream[64];
	int fd = mkstemp(path), saved = dup(2);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(fd, 2);
	log_init("unit", LOG_INFO);
	log_error("bad %d", 1);
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_init("unit", LOG_ERROR);
	log_note("hidden");
	dup2(saved, 2);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "<3>bad 1\n");
	unsetenv("JOURNAL_STREAM");
	close(saved);
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),         cmocka_unit_test(test_errno_and_wrap),
		cmocka_unit_test(test_cut),         cmocka_unit_test(test_log),
		cmocka_unit_test(test_log_journal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
