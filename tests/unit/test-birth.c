/* SPDX-License-Identifier: MIT */
/* A child with exactly the descriptors that it is to have; and network namespaces that are ready before it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/birth.h"
#include "aod/netns.h"
#include "base/fd.h"
#include "base/util.h"

static int
run(struct birth *b, const char *script, struct buf *out)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	CLEANUP_CLOSE int program = open("/bin/sh", O_PATH | O_CLOEXEC);
	int p[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	b->program = program;
	b->argv = argv;
	b->fds[1] = p[1];
	getrlimit(RLIMIT_NOFILE, &b->nofile);
	pid = birth(b);
	close(p[1]);
	assert_true(pid > 0);
	assert_int_equal(fd_read_all(p[0], 65536, out), 0);
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_descriptors(void **state)
{
	CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEANUP_CLOSE int word = memfd_with("word", "hello", 5);
	struct birth b = { .fds = { null_fd, -1, -1, word, -1, null_fd }, .cgroup = -1 };
	struct buf out = BUF_INIT;

	(void)state;
	/* What the test was started with is none of birth's matter. */
	for (int fd = 3; fd < 1024; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	assert_int_equal(run(&b, "cat <&3; echo; ls /proc/self/fd | tr '\\n' ' '; env | grep -vc '^\\(PWD\\|SHLVL\\|_\\|OLDPWD\\)='; exit 7", &out), 7);
	/* 4 is what ls reads the directory with. */
	assert_string_equal(out.data, "hello\n0 1 2 3 4 5 0\n");
	buf_free(&out);
}

/* How many descriptors the child's table has room for, with this many open in its parent. */
static int
table_size(int open_files)
{
	static const char script[] = "while read key value; do test $key = FDSize: && echo $value; done < /proc/$$/status; exit 0";
	struct birth b = { .fds = { -1, -1, -1, -1, -1, -1 }, .cgroup = -1 };
	struct rlimit old, more;
	struct buf out = BUF_INIT;
	int size, high;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	more = (struct rlimit){ old.rlim_max, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	high = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, open_files);
	assert_true(high >= open_files);
	assert_int_equal(run(&b, script, &out), 0);
	close(high);
	setrlimit(RLIMIT_NOFILE, &old);
	size = atoi(out.data);
	buf_free(&out);
	return size;
}

static void
test_size_of_table(void **state)
{
	(void)state;
	assert_true(table_size(3000) > 3000);
	birth_reserve();
	birth_reserve();
	/* Since Linux 5.9. */
	if (syscall(SYS_close_range, ~0u, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		skip();
	assert_true(table_size(3000) < 1000);
}

/* With and without numbers that were reserved: the parent keeps no end of what it has given away. */
static void
test_ends_are_closed(void **state)
{
	CLEANUP_CLOSE int program = open("/bin/true", O_PATH | O_CLOEXEC);
	char *argv[] = { (char *)"true", NULL };
	struct birth b = { .program = program, .argv = argv, .fds = { -1, -1, -1, -1, -1, -1 }, .cgroup = -1 };
	int p[2], status;
	char byte;
	pid_t pid;

	(void)state;
	birth_reserve();
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	b.fds[4] = p[1];
	getrlimit(RLIMIT_NOFILE, &b.nofile);
	pid = birth(&b);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 0);
	close(p[0]);
}

static void
test_program_missing(void **state)
{
	CLEANUP_CLOSE int dir = open("/", O_PATH | O_CLOEXEC);
	struct birth b = { .program = dir, .argv = (char *const[]){ (char *)"x", NULL }, .fds = { -1, -1, -1, -1, -1, -1 }, .cgroup = -1 };
	int status = 0;
	pid_t pid;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &b.nofile);
	pid = birth(&b);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 112);
}

/* Nobody runs outside of what is to contain it. */
static void
test_group_that_is_none(void **state)
{
	CLEANUP_CLOSE int dir = open("/", O_PATH | O_CLOEXEC);
	char *argv[] = { (char *)"sh", NULL };
	struct birth b = { .program = dir, .argv = argv, .fds = { -1, -1, -1, -1, -1, -1 }, .cgroup = dir };
	int status = 0;
	pid_t pid;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &b.nofile);
	pid = birth(&b);
	/* Refused by the kernel, or by the child that cannot write itself into it. */
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 112);
	} else {
		assert_true(pid < 0);
	}
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	fail_msg("no network namespace was made");
}

static void
test_netns(void **state)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct netns_pool *p = netns_new(loop);
	struct stat ours, one, two;
	ev_timer timeout;
	int a, b;

	(void)state;
	if (geteuid() != 0) {
		netns_free(p);
		ev_loop_destroy(loop);
		skip();
	}
	assert_int_equal(netns_take(p), -1);
	ev_timer_init(&timeout, on_timeout, 30., 0.);
	ev_timer_start(loop, &timeout);
	while ((a = netns_take(p)) < 0)
		ev_run(loop, EVRUN_ONCE);
	while ((b = netns_take(p)) < 0)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timeout);
	assert_int_equal(stat("/proc/self/ns/net", &ours), 0);
	assert_int_equal(fstat(a, &one), 0);
	assert_int_equal(fstat(b, &two), 0);
	assert_true(one.st_ino != ours.st_ino && two.st_ino != ours.st_ino && one.st_ino != two.st_ino);
	close(a);
	close(b);
	netns_free(p);
	netns_free(NULL);
	ev_loop_destroy(loop);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_of_table),	   cmocka_unit_test(test_descriptors), cmocka_unit_test(test_ends_are_closed),
		cmocka_unit_test(test_program_missing),
		cmocka_unit_test(test_group_that_is_none), cmocka_unit_test(test_netns),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("birth", tests, NULL, NULL);
}
