/* SPDX-License-Identifier: MIT */
/* fd.c */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/util.h"

static char dir[] = "/tmp/aod-test-fd-XXXXXX";
static char path_buf[4][256];

/* A path below the test's directory; four at a time. */
static const char *
in_dir(const char *name)
{
	static int turn;
	char *p = path_buf[turn++ % 4];

	snprintf(p, sizeof(path_buf[0]), "%s/%s", dir, name);
	return p;
}

static int
set_up(void **state)
{
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	return mkdtemp(dir) ? 0 : -1;
}

static int
tear_down(void **state)
{
	return rm_rf(dir, NULL);
}

static void
test_read_and_write(void **state)
{
	struct buf b = BUF_INIT;
	struct err e;
	struct stat st;

	assert_int_equal(file_write_atomic(in_dir("f"), "hello", 5, 0640, true, &e), 0);
	assert_int_equal(stat(in_dir("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(in_dir("f"), 5, &b, &e), 0);
	assert_string_equal(b.data, "hello");
	assert_int_equal(file_read(in_dir("f"), 5, &b, &e), 0);
	assert_string_equal(b.data, "hellohello");
	assert_int_equal(file_read(in_dir("f"), 4, &b, &e), -EFBIG);
	assert_non_null(strstr(e.text, "/f: larger than 4 bytes"));
	assert_int_equal(file_read(in_dir("missing"), 5, &b, &e), -ENOENT);
	assert_non_null(strstr(e.text, "missing: No such file"));
	assert_int_equal(file_read(dir, 5, &b, &e), -EISDIR);
	/* A write that fails leaves the old content, and nothing beside it. */
	assert_int_equal(mkdir(in_dir("d"), 0755), 0);
	assert_int_equal(file_write_atomic(in_dir("d"), "x", 1, 0600, false, &e), -EISDIR);
	assert_int_equal(file_write_atomic(in_dir("no/f"), "x", 1, 0600, false, &e), -ENOENT);
	assert_int_equal(file_write_atomic(in_dir("f"), "new", 3, 0600, false, &e), 0);
	buf_reset(&b);
	assert_int_equal(file_read(in_dir("f"), 100, &b, &e), 0);
	assert_string_equal(b.data, "new");
	assert_int_equal(unlink(in_dir("f")), 0);
	assert_int_equal(rmdir(in_dir("d")), 0);
	assert_int_equal(rmdir(dir), 0); /* so it was empty */
	buf_free(&b);
}

static void
test_descriptors(void **state)
{
	struct buf b = BUF_INIT;
	char c;
	int p[2], fd;

	assert_int_equal(pipe(p), 0);
	assert_int_equal(fd_set_nonblock(p[0], true), 0);
	assert_int_equal(read(p[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_set_nonblock(p[0], false), 0);
	assert_int_equal(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fd_write_all(p[1], "abc", 3), 0);
	close(p[1]);
	assert_int_equal(fd_read_all(p[0], 100, &b), 0);
	assert_string_equal(b.data, "abc");
	close(p[0]);
	assert_int_equal(fd_write_all(p[0], "x", 1), -EBADF);
	assert_int_equal(fd_read_all(p[0], 1, &b), -EBADF);
	assert_int_equal(fd_set_nonblock(p[0], true), -EBADF);
	fd = memfd_with("test", "sealed", 6);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	buf_reset(&b);
	assert_int_equal(fd_read_all(fd, 100, &b), 0);
	assert_string_equal(b.data, "sealed");
	close(fd);
	buf_free(&b);
}

static void
test_mkdir_p(void **state)
{
	struct err e;
	struct stat st;

	assert_int_equal(mkdir_p(in_dir("a//b/c/"), 0750, &e), 0);
	assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(mkdir_p(in_dir("a/b/c"), 0750, &e), 0);
	assert_int_equal(mkdir_p("/", 0750, &e), 0);
	assert_int_equal(file_write_atomic(in_dir("a/f"), "", 0, 0600, false, NULL), 0);
	assert_int_equal(mkdir_p(in_dir("a/f"), 0750, &e), -ENOTDIR);
	assert_int_equal(mkdir_p(in_dir("a/f/g"), 0750, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, "a/f"));
}

static void
test_rm_rf(void **state)
{
	struct stat st;
	struct err e;

	assert_int_equal(rm_rf(in_dir("missing"), &e), 0);
	assert_int_equal(mkdir_p(in_dir("outside"), 0755, NULL), 0);
	assert_int_equal(file_write_atomic(in_dir("outside/kept"), "", 0, 0600, false, NULL), 0);
	assert_int_equal(mkdir_p(in_dir("t/x/y"), 0755, NULL), 0);
	assert_int_equal(file_write_atomic(in_dir("t/x/f"), "", 0, 0000, false, NULL), 0);
	assert_int_equal(mkfifo(in_dir("t/fifo"), 0600), 0);
	assert_int_equal(symlink("../outside", in_dir("t/link")), 0);
	assert_int_equal(symlink("outside", in_dir("top-link")), 0);
	assert_int_equal(rm_rf(in_dir("t"), &e), 0);
	assert_int_equal(stat(in_dir("t"), &st), -1);
	/* A link goes, what it leads to stays. */
	assert_int_equal(rm_rf(in_dir("top-link"), &e), 0);
	assert_int_equal(lstat(in_dir("top-link"), &st), -1);
	assert_int_equal(stat(in_dir("outside/kept"), &st), 0);
	assert_int_equal(rm_rf(in_dir("outside/kept"), &e), 0);
	assert_int_equal(stat(in_dir("outside/kept"), &st), -1);
	assert_true(rm_rf("/proc/self/fdinfo", &e) < 0);
	assert_non_null(strstr(e.text, "/proc/self/fdinfo"));
}

/* Deeper than there are descriptors, and than a path can name. */
static void
test_rm_rf_deep(void **state)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY), next;
	struct stat st;
	struct err e;

	assert_int_equal(mkdirat(at, "deep", 0755), 0);
	next = openat(at, "deep", O_RDONLY | O_DIRECTORY);
	close(at);
	at = next;
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(at, "d", 0755), 0);
		if (i % 7 == 0)
			assert_int_equal(mkdirat(at, ".deep-0", 0755), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(rm_rf(in_dir("deep"), &e), 0);
	assert_int_equal(stat(in_dir("deep"), &st), -1);
}

/* An agent may take away its own permissions; root would not notice, so that root becomes somebody
 * else here. */
static void
test_rm_rf_locked(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(chmod(dir, 0777), 0);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		umask(0);
		if (mkdir_p(in_dir("t/locked/inner"), 0755, NULL) < 0 ||
		    mkdir_p(in_dir("t/readonly/inner"), 0755, NULL) < 0)
			_exit(3);
		if (chmod(in_dir("t/locked"), 0) < 0 || chmod(in_dir("t/readonly"), 0555) < 0)
			_exit(4);
		_exit(rm_rf(in_dir("t"), NULL) < 0 ? 5 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_proc(void **state)
{
	uint64_t self, child;
	pid_t pid;
	char boot[37];
	int p[2];

	assert_int_equal(proc_start_time(getpid(), &self), 0);
	assert_true(self > 0);
	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(p[1]);
		_exit(read(p[0], &c, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(proc_start_time(pid, &child), 0);
	assert_true(child >= self);
	close(p[0]);
	close(p[1]);
	/* Ended, but still there as a zombie. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_start_time(pid, &child), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_start_time(pid, &child), -ESRCH);
	proc_boot_id(boot);
	assert_true(id_is_uuid(boot));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_and_write, set_up, tear_down),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test_setup_teardown(test_mkdir_p, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rm_rf, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rm_rf_deep, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rm_rf_locked, set_up, tear_down),
		cmocka_unit_test(test_proc),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	umask(022);
	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
