/* SPDX-License-Identifier: MIT */
/* aod-shim as a spare: born before its run, told of it later, and then as any other. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "shim-rig.h"
#include "shim/spec.h"

#define SPACES ((unsigned)(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS))
#define NEEDS_ROOT SKIP_UNLESS(getuid() == 0, "mount namespaces without a user namespace need root")
#define FAILED 111

static void
first_add(struct rig *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&r->first, fmt, ap);
	va_end(ap);
	buf_putc(&r->first, '\0');
}

/* Runs script to its end in a spare. */
static void
run_spare(struct rig *r, const char *script)
{
	assert_true(rig_start_spare(r));
	rig_spec_sh(r, script);
	rig_tell_spare(r);
	rig_begin_spare(r);
	rig_finish(r);
}

static void
test_nothing_ahead(void **state)
{
	struct rig r;

	rig_open(&r);
	first_add(&r, "ns=0");
	run_spare(&r, "echo ran; exit 3");
	assert_out(&r, "ran\n");
	assert_int_equal(r.status, 3 << 8);
	assert_int_equal(r.exec_errno, 0);
	rig_close(&r);
}

/* ---- the same as without ---- */

/* Mounts of which the run's own need what the first ones hide, lie below them, and are given away. */
static void
put_mounts(struct rig *r, void (*first)(struct rig *r, const char *fmt, ...), void (*own)(struct rig *r, const char *fmt, ...))
{
	first(r, "mount=attr 1 /");
	first(r, "mount_src=/usr");
	first(r, "mount=bind 1 /mnt");
	first(r, "mount_opt=mode=0755");
	first(r, "mount=tmpfs 9 %s/home", r->dir);
	own(r, "mount_src=%s/home/own", r->dir);
	own(r, "mount=bind 60 %s/home/own", r->dir);
	own(r, "mount_opt=root:x:0:\n");
	own(r, "mount=file 0 /etc/group");
	first(r, "mount=hide 0 %s/secret", r->dir);
	first(r, "mount_opt=hidepid=invisible");
	first(r, "mount=proc 0 /proc");
	own(r, "mount_src=%s/home/own", r->dir);
	own(r, "mount=bind 61 %s/home/made/deep", r->dir);
}

static void
open_same(struct rig *r)
{
	char path[200];

	rig_open(r);
	assert_int_equal(chmod(r->dir, 0755), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"home", "home/own", "secret"};

		snprintf(path, sizeof(path), "%s/%s", r->dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	spec_add(r, "ns=%x", SPACES);
	spec_add(r, "uid=%d", AGENT);
	spec_add(r, "gid=%d", AGENT);
	spec_add(r, "caps=0");
	spec_add(r, "no_new_privs=1");
	spec_add(r, "hostname=inside");
	spec_add(r, "oom_score_adj=300");
	spec_add(r, "cwd=%s/home/own", r->dir);
}

/* What an agent can tell of where it is, without what is another one each time: numbers of mounts and devices. */
#define TELL                                                                                                                         \
	"cut -d' ' -f4-6,8- /proc/self/mountinfo | sed 's,aod-test-shim-[^/ ]*,DIR,g; s/inode64//'; hostname; cat /etc/group; id -u; echo $$;" \
	"ls /proc/self/fd | wc -l; grep -E '^(Cap|NoNew|Sig[BI])' /proc/self/status; cat /proc/self/oom_score_adj /proc/1/comm;"            \
	"ls -ld . ../made/deep ../../secret | cut -d' ' -f1-4; touch x && echo made; touch ../made/deep/y || echo not made; ls -A .."

static void
test_same_as_without(void **state)
{
	struct rig a, b;

	NEEDS_ROOT;
	open_same(&a);
	put_mounts(&a, spec_add, spec_add);
	rig_start_sh(&a, TELL);
	rig_finish(&a);
	assert_int_equal(a.exec_errno, 0);
	assert_says(a.out.data, "inside\nroot:x:0:\n61200\n2\n");
	assert_says(a.out.data, "made\nnot made\nmade\nown\n");
	clean_up(NULL);
	open_same(&b);
	first_add(&b, "ns=%x", SPACES);
	put_mounts(&b, first_add, spec_add);
	run_spare(&b, TELL);
	assert_int_equal(b.exec_errno, 0);
	/* The order of mounts may be another one: those of the run come last. */
	assert_int_equal(b.out.len, a.out.len);
	for (char *line = strtok(a.out.data, "\n"); line; line = strtok(NULL, "\n"))
		assert_says(b.out.data, line);
	rig_close(&b);
	rig_close(&a);
}

/* Each has mounts of its own: nothing that one leaves is there for the next. */
static void
test_nothing_shared(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct rig r;

		NEEDS_ROOT;
		rig_open(&r);
		first_add(&r, "ns=%x", SPACES);
		first_add(&r, "mount=dev 0 /dev");
		spec_add(&r, "ns=%x", SPACES);
		run_spare(&r, "ls -A /dev/shm; echo mine > /dev/shm/x; cat /dev/shm/x");
		assert_out(&r, "mine\n");
		rig_close(&r);
	}
}

/* ---- ends ---- */

static void
test_failed_first_part(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	rig_open(&r);
	first_add(&r, "ns=%x", SPACES);
	first_add(&r, "mount_src=%s/missing", r.dir);
	first_add(&r, "mount=bind 0 /mnt");
	assert_false(rig_start_spare(&r));
	assert_int_equal(rig_wait(&r), FAILED);
	rig_close(&r);
}

static void
test_failed_second_part(void **state)
{
	struct rig r;

	NEEDS_ROOT;
	rig_open(&r);
	first_add(&r, "ns=%x", SPACES);
	spec_add(&r, "ns=%x", SPACES);
	spec_add(&r, "mount_src=%s/missing", r.dir);
	spec_add(&r, "mount=bind 0 /mnt");
	run_spare(&r, "echo never");
	assert_out(&r, "");
	assert_int_equal(r.exec_errno, ENOENT);
	assert_string_equal(r.exec_step, "mount /mnt");
	rig_close(&r);
}

enum depth { IDLE, TOLD, GROUPS };

static pid_t
wait_for_child(pid_t parent)
{
	int64_t until = mono_us() + DEADLINE_US;
	pid_t child = 0;

	while (proc_children(parent, &child, 1) == 0 && mono_us() < until)
		usleep(1000);
	assert_true(child > 0);
	return child;
}

/* As deep as it may be when the other end goes. */
static void
check_end(enum depth depth)
{
	struct rig r;
	int fds[2];
	pid_t child;

	rig_open(&r);
	first_add(&r, "ns=%x", SPACES);
	first_add(&r, "mount=proc 0 /proc");
	assert_true(rig_start_spare(&r));
	assert_true(proc_children(r.pid, &child, 1) > 0);
	fds[0] = r.pidfd;
	fds[1] = (int)syscall(SYS_pidfd_open, child, 0);
	assert_true(fds[1] >= 0);
	if (depth >= TOLD) {
		spec_add(&r, "ns=%x", SPACES);
		rig_spec_sh(&r, "echo never");
		rig_tell_spare(&r);
	}
	/* The agent is there then, and waits. */
	if (depth == GROUPS) {
		assert_int_equal(send(r.spare_fd, "", 1, MSG_NOSIGNAL), 1);
		wait_for_child(child);
	}
	close(r.spare_fd);
	r.spare_fd = -1;
	assert_int_equal(rig_wait(&r), 0);
	assert_gone(fds + 1, 1);
	/* It has left nothing. */
	assert_int_equal(access(r.spool, F_OK), -1);
	rig_close(&r);
}

/* Whether the same socket has the same number in both. */
static bool
share_a_socket(pid_t a, pid_t b)
{
	for (int fd = 0; fd < 64; fd++) {
		CLEANUP_FREE char *of_a = xasprintf("/proc/%d/fd/%d", (int)a, fd), *of_b = xasprintf("/proc/%d/fd/%d", (int)b, fd);
		char what_a[64] = "", what_b[64] = "";

		if (readlink(of_a, what_a, sizeof(what_a) - 1) > 0 && readlink(of_b, what_b, sizeof(what_b) - 1) > 0 && str_starts(what_a, "socket:") &&
		    !strcmp(what_a, what_b))
			return true;
	}
	return false;
}

/* aod is not to tell a run to one that has been killed, only because its init is still about to end. */
static void
test_killed_is_seen(void **state)
{
	struct rig r;
	pid_t child;

	NEEDS_ROOT;
	rig_open(&r);
	first_add(&r, "ns=%x", SPACES);
	assert_true(rig_start_spare(&r));
	assert_true(proc_children(r.pid, &child, 1) > 0);
	assert_true(share_a_socket(r.pid, r.pid));
	assert_false(share_a_socket(r.pid, child));
	rig_close(&r);
}

static void
test_not_wanted(void **state)
{
	NEEDS_ROOT;
	check_end(IDLE);
}

static void
test_not_begun(void **state)
{
	NEEDS_ROOT;
	check_end(TOLD);
	check_end(GROUPS);
}

/* Without an init: the agent itself is born when the groups are known. */
static void
test_not_begun_bare(void **state)
{
	CLEANUP_FREE char *mark = NULL, *script = NULL;
	struct rig r;
	pid_t agent;
	int fd;

	rig_open(&r);
	mark = xasprintf("%s.mark", r.spool);
	first_add(&r, "ns=0");
	assert_true(rig_start_spare(&r));
	script = xasprintf("echo never > %s", mark);
	rig_spec_sh(&r, script);
	rig_tell_spare(&r);
	assert_int_equal(send(r.spare_fd, "", 1, MSG_NOSIGNAL), 1);
	agent = wait_for_child(r.pid);
	fd = (int)syscall(SYS_pidfd_open, agent, 0);
	assert_true(fd >= 0);
	close(r.spare_fd);
	r.spare_fd = -1;
	assert_int_equal(rig_wait(&r), 0);
	assert_gone(&fd, 1);
	assert_int_equal(access(r.spool, F_OK), -1);
	assert_int_equal(access(mark, F_OK), -1);
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_nothing_ahead, clean_up),
		cmocka_unit_test_teardown(test_same_as_without, clean_up),
		cmocka_unit_test_teardown(test_nothing_shared, clean_up),
		cmocka_unit_test_teardown(test_failed_first_part, clean_up),
		cmocka_unit_test_teardown(test_failed_second_part, clean_up),
		cmocka_unit_test_teardown(test_killed_is_seen, clean_up),
		cmocka_unit_test_teardown(test_not_wanted, clean_up),
		cmocka_unit_test_teardown(test_not_begun, clean_up),
		cmocka_unit_test_teardown(test_not_begun_bare, clean_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!rig_program())
		return 1;
	return cmocka_run_group_tests_name("shim-spare", tests, NULL, NULL);
}
