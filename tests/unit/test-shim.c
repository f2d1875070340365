/* SPDX-License-Identifier: MIT */
/* aod-shim: output, input, stop, and what it leaves behind. What it confines is in test-shim-sandbox.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/frame.h"
#include "base/util.h"
#include "shim-rig.h"
#include "shim/spec.h"

/* ---- output and exit ---- */

static void
test_lines(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "echo one; echo two; echo bad >&2; printf rest; exit 42");
	rig_finish(&r);
	assert_string_equal(r.out.data, "one\ntwo\nrest");
	assert_string_equal(r.err.data, "bad\n");
	assert_int_equal(r.status, 42 << 8);
	assert_int_equal(r.exec_errno, 0);
	assert_string_equal(r.exec_step, "");
	assert_int_equal(r.left, 0);
	assert_string_equal(r.notes.data, "");
	assert_true(atoll(r.start) > 0);
	rig_close(&r);
}

static void
test_partial_line_waits(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "printf 'first\\nsec'; read x; echo ond");
	rig_wait_out(&r, "first\n");
	assert_string_equal(r.out.data, "first\n");
	rig_input(&r, FRAME_INPUT, "\n", 1);
	rig_finish(&r);
	assert_string_equal(r.out.data, "first\nsecond\n");
	rig_close(&r);
}

static void
test_numbered_lines(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r,
		     "i=1; while [ $i -le 20000 ]; do echo $i; i=$((i+1)); done; seq 1 500 >&2");
	rig_finish(&r);
	assert_numbered(&r.out, 1, 20000);
	assert_numbered(&r.err, 1, 500);
	assert_int_equal(r.more, 0);
	assert_int_equal(r.out.data[r.out.len - 1], '\n');
	rig_close(&r);
}

static void
test_long_line(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after");
	rig_finish(&r);
	assert_int_equal(r.out.len, 5000000 + 1 + 6);
	for (int i = 0; i < 5000000; i++)
		if (r.out.data[i] != 'x')
			fail_msg("byte %d", i);
	assert_string_equal(r.out.data + 5000000, "\nafter\n");
	assert_in_range(r.more, 5000000 / 65536, 5000000 / 4096);
	assert_true(r.more < r.out_frames);
	rig_close(&r);
}

static void
test_binary(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "printf '\\000\\377\\n\\001\\n'; printf '\\000'");
	rig_finish(&r);
	assert_int_equal(r.out.len, 6);
	assert_memory_equal(r.out.data, "\0\377\n\1\n\0", 6);
	rig_close(&r);
}

static void
test_silent(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_files(&r);
	spec_add(&r, "argv=/bin/true");
	rig_start(&r);
	rig_finish(&r);
	assert_int_equal(r.frames, 2);
	assert_int_equal(r.status, 0);
	rig_close(&r);
}

static void
test_killed_by_signal(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "kill -SEGV $$");
	rig_finish(&r);
	assert_true(WIFSIGNALED(r.status));
	assert_int_equal(WTERMSIG(r.status), SIGSEGV);
	rig_close(&r);
}

static void
test_exec_fails(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_files(&r);
	spec_add(&r, "argv=/no/such/program");
	rig_start(&r);
	rig_finish(&r);
	assert_int_equal(r.exec_errno, ENOENT);
	assert_string_equal(r.exec_step, "exec");
	assert_int_equal(r.frames, 2);
	rig_close(&r);
}

static void
test_cwd_fails(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_files(&r);
	spec_add(&r, "argv=/bin/true");
	spec_add(&r, "cwd=/no/such/directory");
	rig_start(&r);
	rig_finish(&r);
	assert_int_equal(r.exec_errno, ENOENT);
	assert_string_equal(r.exec_step, "cwd");
	rig_close(&r);
}

static void
test_agent_state(void **state)
{
	struct rig r;
	char line[64];

	rig_open(&r);
	spec_add(&r, "cwd=/usr");
	spec_add(&r, "umask=0077");
	spec_add(&r, "env=ONLY=this one");
	rig_start_sh(&r, "env | sort; pwd; umask; echo fds; for i in $(seq 0 99); do "
			 "[ ! -e /proc/$$/fd/$i ] || echo $i; done;"
			 "set -- $(cat /proc/$$/stat); echo ids $1 $5 $6;"
			 "exec grep -E 'Sig(Blk|Ign)' /proc/self/status");
	rig_finish(&r);
	assert_non_null(strstr(r.out.data, "ONLY=this one\n"));
	assert_null(strstr(r.out.data, "ASAN_OPTIONS"));
	assert_non_null(strstr(r.out.data, "\n/usr\n0077\nfds\n0\n1\n2\nids "));
	assert_non_null(
		strstr(r.out.data, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
	snprintf(line, sizeof(line), "ids %d %d %d\n", r.agent, r.agent, r.agent);
	assert_non_null(strstr(r.out.data, line));
	rig_close(&r);
}

static void
test_spool_mode_and_no_reader(void **state)
{
	struct stat st;
	struct rig r;

	rig_open(&r);
	close(r.up_fd);
	r.up_fd = -1;
	rig_start_sh(&r, "echo x");
	rig_finish(&r);
	assert_string_equal(r.out.data, "x\n");
	assert_int_equal(stat(r.spool, &st), 0);
	assert_int_equal(st.st_mode & 07777 & ~0640, 0);
	rig_close(&r);
}

static void
test_full_up_fifo(void **state)
{
	char junk[4096] = "";
	struct rig r;
	ssize_t n;

	rig_open(&r);
	while ((n = write(r.up_fd, junk, sizeof(junk))) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	rig_start_sh(&r, "echo x");
	/* All is in the spool, and the shim stays to say so. */
	do
		rig_look(&r);
	while (!r.ended && kill(r.pid, 0) == 0);
	assert_false(wait_readable(r.pidfd, 0));
	while ((n = read(r.up_fd, junk, sizeof(junk))) > 0 &&
	       memchr(junk, '0', sizeof(junk)) == NULL)
		continue;
	assert_int_equal(rig_wait(&r), 0);
	rig_close(&r);
}

/* Kilobytes as a file of /proc has them behind this key; -1 when nobody says. */
static int
proc_kb(pid_t pid, const char *file, const char *key)
{
	struct buf b = BUF_INIT;
	char path[64], *p;
	int kb = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (file_read(path, 65536, &b, NULL) == 0 && (p = strstr(b.data, key)) != NULL)
		kb = atoi(p + strlen(key));
	buf_free(&b);
	return kb;
}

/* That belong to this process alone. */
static int
private_dirty_kb(pid_t pid)
{
	return proc_kb(pid, "smaps_rollup", "Private_Dirty:");
}

/* One that waits has a few pages, and few tables of them; the stack of its start is gone. Its name is as it was. */
static void
test_memory_while_waiting(void **state)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	struct buf name = BUF_INIT;
	char path[64];
	struct rig r;
	int before;

	rig_open(&r);
	rig_start_sh(&r, "echo ready; read x; exec tr x y");
	rig_wait_out(&r, "ready\n");
	before = private_dirty_kb(r.pid);
	if (before < 0 || before > 200)
		rig_close(&r);
	SKIP_UNLESS(before >= 0 && before <= 200, "its memory cannot be seen by this user, or is a sanitizer's");
#if defined(__x86_64__) || defined(__aarch64__)
	assert_int_equal(proc_kb(r.pid, "status", "VmStk:"), 0);
#endif
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)r.pid);
	assert_int_equal(file_read(path, 64, &name, NULL), 0);
	assert_string_equal(name.data, "aod-shim\n");
	buf_free(&name);
	/* What it reads of the input goes through pages that go back, too. */
	rig_input(&r, FRAME_INPUT, "\n", 1);
	for (int i = 0; i < 64; i++)
		rig_input(&r, FRAME_INPUT, path, sizeof(path));
	/* Not its dirty pages: where the program lies in a file system of memory, those are its code, too. */
	while (proc_kb(r.pid, "status", "RssAnon:") > 48 || proc_kb(r.pid, "status", "VmPTE:") > 32) {
		assert_true(mono_us() < deadline);
		poll(NULL, 0, 20);
	}
	rig_input(&r, FRAME_CLOSE, NULL, 0);
	rig_finish(&r);
	rig_close(&r);
}

static void
test_memory_after_burst(void **state)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	int before, after;
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "echo ready; read x; head -c 3000000 /dev/zero; echo;"
			 "head -c 3000000 /dev/zero >&2; echo >&2; read y");
	rig_wait_out(&r, "ready\n");
	before = private_dirty_kb(r.pid);
	if (before < 0 || before > 200)
		rig_close(&r);
	SKIP_UNLESS(before >= 0, "looking into a process that is not dumpable needs root");
	SKIP_UNLESS(before <= 200, "a sanitizer's memory is not the shim's");
	rig_input(&r, FRAME_INPUT, "\n", 1);
	do
		rig_next(&r, deadline);
	while (r.err.len < 3000001);
	/* Both buffers were filled; once nothing more comes, their pages go back. */
	do {
		assert_true(mono_us() < deadline);
		poll(NULL, 0, 20);
		after = private_dirty_kb(r.pid);
	} while (after > before + 16);
	rig_input(&r, FRAME_INPUT, "\n", 1);
	rig_finish(&r);
	assert_int_equal(r.out.len, 6 + 3000001);
	assert_int_equal(r.err.len, 3000001);
	rig_close(&r);
}

/* ---- input ---- */

static void
test_input_echo(void **state)
{
	struct rig r;

	rig_open(&r);
	/* Some of it is there before the shim is. */
	rig_input_pieces(&r, FRAME_INPUT, "early\n", 6);
	rig_files(&r);
	spec_add(&r, "argv=/bin/cat");
	rig_start(&r);
	rig_wait_out(&r, "early\n");
	rig_input(&r, FRAME_INPUT, "hel", 3);
	rig_input(&r, 200, "a type of the future", 20);
	rig_input(&r, FRAME_INPUT, "lo\n", 3);
	rig_wait_out(&r, "hello\n");
	rig_input(&r, FRAME_INPUT, "last", 4);
	rig_input(&r, FRAME_CLOSE, "", 0);
	rig_finish(&r);
	assert_string_equal(r.out.data, "early\nhello\nlast");
	assert_int_equal(r.status, 0);
	rig_close(&r);
}

static void
test_input_large_to_slow_reader(void **state)
{
	static char piece[FRAME_MAX - 8];
	struct buf want = BUF_INIT;
	struct rig r;

	rig_open(&r);
	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = (char)(i % 80 == 79 ? '\n' : 'a' + (i / 80) % 26);
	for (int i = 0; i < 3; i++) {
		rig_input_pieces(&r, FRAME_INPUT, piece, sizeof(piece));
		buf_put(&want, piece, sizeof(piece));
	}
	rig_input_pieces(&r, FRAME_CLOSE, "", 0);
	/* Takes a byte only when it is told to go on, then all in small reads. */
	rig_start_sh(
		&r,
		"dd bs=1 count=1 2>/dev/null; trap 'echo >&2 usr; exec dd bs=777 2>/dev/null' USR1;"
		"echo >&2 ready; while :; do sleep 1 & wait $!; done");
	do
		rig_next(&r, mono_us() + DEADLINE_US);
	while (!strstr(r.err.data, "ready\n"));
	rig_order(&r, FRAME_SIGNAL, SIGUSR1);
	rig_finish(&r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.out.len, want.len);
	assert_memory_equal(r.out.data, want.data, want.len);
	buf_free(&want);
	rig_close(&r);
}

static void
test_input_dropped(void **state)
{
	static char piece[200000];
	struct rig r;

	rig_open(&r);
	for (int i = 0; i < 3; i++)
		rig_input_pieces(&r, FRAME_INPUT, piece, sizeof(piece));
	rig_start_sh(&r, "exec 0<&-; echo closed; sleep 1000 & wait");
	rig_wait_out(&r, "closed\n");
	rig_input(&r, FRAME_INPUT, piece, sizeof(piece));
	rig_order(&r, FRAME_STOP, 0);
	rig_finish(&r);
	assert_int_equal(r.status, SIGKILL);
	rig_close(&r);
}

static void
test_signal(void **state)
{
	static char piece[300000];
	struct rig r;

	rig_open(&r);
	rig_start_sh(
		&r,
		"trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 1000 & wait; done");
	rig_wait_out(&r, "ready\n");
	/* In front of it waits more than a pipe takes, and nobody reads. */
	rig_input_pieces(&r, FRAME_INPUT, piece, sizeof(piece));
	rig_input_pieces(&r, FRAME_CLOSE, "", 0);
	rig_order(&r, FRAME_SIGNAL, SIGINT);
	rig_finish(&r);
	assert_string_equal(r.out.data, "ready\ncaught\n");
	assert_int_equal(r.status, 7 << 8);
	rig_close(&r);
}

static void
test_bad_orders(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_files(&r);
	spec_add(&r, "argv=/bin/cat");
	rig_start(&r);
	rig_order(&r, FRAME_SIGNAL, 0);
	rig_order(&r, FRAME_SIGNAL, 65);
	rig_order(&r, FRAME_SIGNAL, 0xffffffff);
	rig_input(&r, FRAME_SIGNAL, "\17", 1);
	rig_input(&r, FRAME_STOP, "", 0);
	rig_input(&r, FRAME_INPUT, "still here\n", 11);
	rig_wait_out(&r, "still here\n");
	rig_input(&r, FRAME_CLOSE, "", 0);
	rig_finish(&r);
	assert_int_equal(r.status, 0);
	rig_close(&r);
}

static void
test_frame_in_two_parts(void **state)
{
	uint8_t frame[FRAME_HEADER + 8 + 6];
	struct rig r;

	rig_open(&r);
	memset(frame, 0, sizeof(frame));
	memcpy(frame + FRAME_HEADER + 8, "whole\n", 6);
	frame_header(frame, FRAME_INPUT, 0, 1, frame + FRAME_HEADER, 14, NULL, 0);
	rig_files(&r);
	spec_add(&r, "argv=/bin/cat");
	rig_start(&r);
	for (size_t i = 0; i < sizeof(frame); i++) {
		assert_int_equal(fd_write_all(r.input_fd, frame + i, 1), 0);
		rig_ring(&r);
	}
	rig_wait_out(&r, "whole\n");
	assert_string_equal(r.notes.data, "");
	rig_input(&r, FRAME_CLOSE, "", 0);
	rig_finish(&r);
	rig_close(&r);
}

static void
test_damaged_input(void **state)
{
	uint8_t frame[FRAME_HEADER + 12] = {0};
	struct rig r;

	rig_open(&r);
	frame_header(frame, FRAME_INPUT, 0, 1, frame + FRAME_HEADER, 12, NULL, 0);
	frame[FRAME_HEADER + 9] ^= 1;
	rig_files(&r);
	spec_add(&r, "argv=/bin/cat");
	rig_start(&r);
	rig_input(&r, FRAME_INPUT, "good\n", 5);
	assert_int_equal(fd_write_all(r.input_fd, frame, sizeof(frame)), 0);
	rig_input(&r, FRAME_INPUT, "behind\n", 7);
	rig_wait_out(&r, "good\n");
	while (!strstr(r.notes.data, "the input file is damaged at byte 37"))
		rig_next(&r, mono_us() + DEADLINE_US);
	/* SIGTERM to the shim is the way out that is left. */
	kill(r.pid, SIGTERM);
	rig_finish(&r);
	assert_string_equal(r.out.data, "good\n");
	assert_int_equal(r.status, SIGTERM);
	rig_close(&r);
}

/* ---- stop ---- */

static void
test_stop_polite(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(
		&r,
		"trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done");
	rig_wait_out(&r, "ready\n");
	rig_order(&r, FRAME_STOP, 15000);
	rig_finish(&r);
	assert_string_equal(r.out.data, "ready\nbye\n");
	assert_int_equal(r.status, 3 << 8);
	rig_close(&r);
}

static void
test_stop_ignores_term(void **state)
{
	int fds[4], n;
	int64_t t;
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "trap '' TERM; echo pid $$; sh -c 'echo pid $$; exec sleep 1000' & echo "
			 "pid $!; wait");
	do
		rig_wait_out(&r, "pid ");
	while (rig_pidfds(&r, fds, 0),
	       r.out.len == 0 || !strchr(strchr(r.out.data, '\n') + 1, '\n') ||
		       !strchr(strchr(strchr(r.out.data, '\n') + 1, '\n') + 1, '\n'));
	n = rig_pidfds(&r, fds, 4);
	assert_int_equal(n, 3);
	t = mono_us();
	rig_order(&r, FRAME_STOP, 100);
	rig_finish(&r);
	assert_true(mono_us() - t >= 100000);
	assert_int_equal(r.status, SIGKILL);
	assert_gone(fds, n);
	rig_close(&r);
}

/* In a session of its own, forked twice, deaf to SIGTERM. */
#define ESCAPES                                                                                    \
	"(setsid sh -c 'trap \"\" TERM; echo pid $$; exec sleep 1000' &);"                         \
	"(setsid sh -c '(trap \"\" TERM; sh -c \"echo pid \\$\\$; exec sleep 1000\" &)' &);"

static void
wait_two_pids(struct rig *r)
{
	int64_t deadline = mono_us() + DEADLINE_US;

	rig_look(r);
	for (;;) {
		char *first = r->out.data ? strstr(r->out.data, "pid ") : NULL;
		char *second = first ? strstr(first + 1, "pid ") : NULL;

		if (second && strchr(second, '\n'))
			return;
		rig_next(r, deadline);
	}
}

static void
test_stop_escaped(void **state)
{
	int fds[2];
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, ESCAPES "sleep 1000 & wait");
	wait_two_pids(&r);
	assert_int_equal(rig_pidfds(&r, fds, 2), 2);
	rig_order(&r, FRAME_STOP, 50);
	rig_finish(&r);
	assert_gone(fds, 2);
	rig_close(&r);
}

static void
test_stop_at_once(void **state)
{
	int fds[2];
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, ESCAPES "trap 'echo no' TERM; read x");
	wait_two_pids(&r);
	assert_int_equal(rig_pidfds(&r, fds, 2), 2);
	rig_order(&r, FRAME_STOP, 0);
	rig_finish(&r);
	assert_int_equal(r.status, SIGKILL);
	assert_gone(fds, 2);
	rig_close(&r);
}

static void
test_stop_forker(void **state)
{
	struct rig r;

	rig_open(&r);
	/* Forks on and on; each generation is a new process. */
	rig_start_sh(&r, "trap '' TERM; f() { (f) & (f) & wait; }; g() { while :; do (exec sleep "
			 "0.01) & wait $!;"
			 "done; }; for i in 1 2 3 4 5 6 7 8; do (g) & done; echo going; wait");
	rig_wait_out(&r, "going\n");
	rig_order(&r, FRAME_STOP, 0);
	rig_finish(&r);
	assert_int_equal(r.status, SIGKILL);
	rig_close(&r);
}

static void
test_left_behind(void **state)
{
	int fds[2];
	struct rig r;

	rig_open(&r);
	spec_add(&r, "stop_ms=50");
	rig_start_sh(&r, ESCAPES "read x; exit 5");
	wait_two_pids(&r);
	assert_int_equal(rig_pidfds(&r, fds, 2), 2);
	rig_input(&r, FRAME_INPUT, "\n", 1);
	rig_finish(&r);
	assert_int_equal(r.status, 5 << 8);
	/* The shells in between may still be on their way out. */
	assert_true(r.left >= 2);
	assert_gone(fds, 2);
	rig_close(&r);
}

static void
test_left_count(void **state)
{
	struct rig r;

	rig_open(&r);
	rig_start_sh(&r, "sleep 1000 & sleep 1000 & sleep 1000 & exit 0");
	rig_finish(&r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.left, 3);
	rig_close(&r);
}

static void
test_output_of_the_left(void **state)
{
	struct rig r;

	rig_open(&r);
	spec_add(&r, "stop_ms=15000");
	rig_start_sh(&r, "(trap 'echo last words; exit' TERM; echo up; while :; do sleep 0.01; "
			 "done) & exit 0");
	rig_finish(&r);
	assert_int_equal(r.left >= 1, 1);
	/* Either it had set its trap by then, or SIGTERM was quicker. */
	if (strstr(r.out.data, "up\n"))
		assert_string_equal(r.out.data, "up\nlast words\n");
	rig_close(&r);
}

static void
test_shim_killed(void **state)
{
	int agent;
	struct rig r;

	rig_open(&r);
	if (getuid() == 0) {
		/* The kernel forgets the death signal when the user changes. */
		spec_add(&r, "uid=%d", NOBODY);
		spec_add(&r, "gid=%d", NOBODY);
	}
	rig_start_sh(&r, "echo pid $$; trap '' TERM HUP INT; while :; do sleep 0.05; done");
	rig_wait_out(&r, "pid ");
	assert_int_equal(rig_pidfds(&r, &agent, 1), 1);
	rig_kill(&r);
	assert_gone(&agent, 1);
	rig_look(&r);
	assert_false(r.ended);
	rig_close(&r);
}

/* ---- isolation ---- */

static void
test_user(void **state)
{
	struct rig r;

	SKIP_UNLESS(getuid() == 0, "changing the user needs root");
	rig_open(&r);
	spec_add(&r, "uid=%d", NOBODY);
	spec_add(&r, "gid=%d", NOBODY);
	rig_start_sh(&r, "id -u; id -g; id -G");
	rig_finish(&r);
	assert_string_equal(r.out.data, "65534\n65534\n65534\n");
	rig_close(&r);
}

static void
test_seccomp(void **state)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 1, 0),
#ifdef SYS_mkdir
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
#else
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct rig r;

	rig_open(&r);
	spec_add(&r, "seccomp=1");
	r.seccomp_fd = memfd_with("filter", program, sizeof(program));
	assert_true(r.seccomp_fd >= 0);
	spec_add(&r, "cwd=%s", r.dir);
	rig_start_sh(&r, "mkdir here; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status;"
			 "[ ! -e /proc/$$/fd/3 ] && [ ! -e /proc/$$/fd/4 ] && echo closed");
	rig_finish(&r);
	assert_string_equal(r.out.data, "NoNewPrivs:\t1\nSeccomp:\t2\nclosed\n");
	assert_non_null(strstr(r.err.data, strerror(EDOM)));
	rig_close(&r);
}

/* aod's program is one open file for all shims: another one may move its position at any time. */
static void
test_seccomp_shared_position(void **state)
{
	struct sock_filter program[64];
	pid_t mover;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(program); i++)
		program[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	program[61] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sethostname, 0, 1);
	program[62] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM);
	program[63] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	fd = memfd_with("filter", program, sizeof(program));
	assert_true(fd >= 0);
	mover = fork();
	if (mover == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (off_t at = 0;; at = (at + 8) % (off_t)sizeof(program))
			lseek(fd, at, SEEK_SET);
	}
	for (int i = 0; i < 40; i++) {
		struct rig r;

		rig_open(&r);
		spec_add(&r, "seccomp=1");
		r.seccomp_fd = dup(fd);
		rig_start_sh(&r, "grep -E '^Seccomp:' /proc/self/status");
		rig_finish(&r);
		if (strcmp(r.exec_step, "") || strcmp(r.out.data ? r.out.data : "", "Seccomp:\t2\n"))
			kill(mover, SIGKILL);
		assert_string_equal(r.exec_step, "");
		assert_string_equal(r.out.data, "Seccomp:\t2\n");
		rig_close(&r);
	}
	kill(mover, SIGKILL);
	waitpid(mover, NULL, 0);
	close(fd);
}

static void
test_seccomp_fails(void **state)
{
	struct rig r;

	rig_open(&r);
	spec_add(&r, "seccomp=1");
	r.seccomp_fd = memfd_with("filter", "12345", 5);
	rig_start_sh(&r, "echo never");
	rig_finish(&r);
	assert_string_equal(r.out.data, "");
	assert_string_equal(r.exec_step, "seccomp");
	assert_int_equal(r.exec_errno, EINVAL);
	rig_close(&r);
}

/* ---- a full disk ---- */

/* Mounts a small file system for the spool; the namespace is this test program's own. */
static bool
small_disk(struct rig *r, const char *size)
{
	char path[96], options[64];

	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/disk", r->dir);
	snprintf(options, sizeof(options), "size=%s", size);
	if (mkdir(path, 0755) < 0 || mount("none", path, "tmpfs", 0, options) < 0)
		return false;
	snprintf(r->spool, sizeof(r->spool), "%s/disk/1.spool", r->dir);
	return true;
}

static void
fill_disk(struct rig *r)
{
	char path[96], junk[4096] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/disk/ballast", r->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, junk, sizeof(junk)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void
free_disk(struct rig *r)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/disk/ballast", r->dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/disk", r->dir);
	assert_int_equal(mount("none", path, NULL, MS_REMOUNT, "size=8m"), 0);
}

static void
drop_disk(struct rig *r)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/disk", r->dir);
	assert_int_equal(umount(path), 0);
}

static char
proc_state(pid_t pid)
{
	char path[64];
	struct buf b = BUF_INIT;
	char state = '?', *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, 4096, &b, NULL) == 0 && (p = strrchr(b.data, ')')) != NULL)
		state = p[2];
	buf_free(&b);
	return state;
}

static void
test_disk_full_from_the_start(void **state)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	struct stat st;
	pid_t child;
	struct rig r;
	bool mounted;

	rig_open(&r);
	mounted = small_disk(&r, "64k");
	if (!mounted)
		rig_close(&r);
	SKIP_UNLESS(mounted, "mounting a tmpfs needs root and a mount namespace");
	fill_disk(&r);
	rig_start_sh(&r, "echo one; exit 9");
	/* The agent has come and gone, and the shim sits there with what it knows. */
	do
		assert_true(mono_us() < deadline);
	while (stat(r.spool, &st) < 0 || proc_state(r.pid) != 'S' ||
	       proc_children(r.pid, &child, 1) != 0);
	rig_look(&r);
	assert_int_equal(r.frames, 0);
	free_disk(&r);
	rig_finish(&r);
	assert_string_equal(r.out.data, "one\n");
	assert_int_equal(r.status, 9 << 8);
	assert_non_null(strstr(r.notes.data, strerror(ENOSPC)));
	drop_disk(&r);
	rig_close(&r);
}

static void
test_disk_full_meanwhile(void **state)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	int pipe_fd, have = 0, before = -1, same = 0;
	char path[64];
	struct rig r;
	bool mounted;

	rig_open(&r);
	mounted = small_disk(&r, "64k");
	if (!mounted)
		rig_close(&r);
	SKIP_UNLESS(mounted, "mounting a tmpfs needs root and a mount namespace");
	rig_start_sh(&r, "read x; seq 1 50000");
	while (!r.started)
		rig_next(&r, deadline);
	fill_disk(&r);
	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)r.agent);
	pipe_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(pipe_fd >= 0);
	rig_input(&r, FRAME_INPUT, "\n", 1);
	/* The pipe is full, stays so, and the shim sleeps: it has stopped reading. */
	while (same < 1000) {
		assert_true(mono_us() < deadline);
		assert_int_equal(ioctl(pipe_fd, FIONREAD, &have), 0);
		same = have > 60000 && have == before && proc_state(r.pid) == 'S' ? same + 1 : 0;
		before = have;
	}
	close(pipe_fd);
	rig_look(&r);
	assert_false(r.ended);
	free_disk(&r);
	rig_finish(&r);
	assert_numbered(&r.out, 1, 50000);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.notes.data, strerror(ENOSPC)));
	drop_disk(&r);
	rig_close(&r);
}

/* ---- output that nobody takes ---- */

#define HELD_MAX 200000
#define HELD_OVER (2 * 65536 + 4096) /* what is read at once of each stream, and small frames */

/* Until the spool is full, and then until a bell comes although nothing was written: the shim holds back. False at the end. */
static bool
wait_held(struct rig *r, size_t full)
{
	int64_t deadline = mono_us() + DEADLINE_US;
	size_t before;

	do {
		before = r->file.len;
		rig_next(r, deadline);
	} while (!r->ended && (r->file.len != before || r->file.len < full));
	return !r->ended;
}

static void
take(struct rig *r, int64_t upto, bool bell)
{
	uint8_t le[8];

	for (int i = 0; i < 8; i++)
		le[i] = (uint8_t)((uint64_t)upto >> 8 * i);
	rig_input_pieces(r, FRAME_TAKEN, le, sizeof(le));
	if (bell)
		rig_ring(r);
}

static void
test_output_held(void **state)
{
	int64_t taken = 0;
	int rounds = 0;
	struct rig r;

	rig_open(&r);
	spec_add(&r, "spool_max=%d", HELD_MAX);
	rig_start_sh(&r, "seq 1 150000; echo end >&2");
	while (wait_held(&r, (size_t)taken + HELD_MAX)) {
		size_t before = r.file.len;

		assert_true(before < (size_t)taken + HELD_MAX + HELD_OVER);
		/* More than there is, and less than was taken, is no order. */
		take(&r, INT64_C(1) << 40, true);
		take(&r, taken / 2, true);
		/* Near the end it was just slow, and goes on to it. */
		if (!wait_held(&r, before))
			break;
		assert_int_equal(r.file.len, before);
		taken = (int64_t)before - 10;
		/* Every second bell is lost. */
		take(&r, taken, ++rounds % 2 == 0);
	}
	assert_true(rounds >= 2);
	rig_finish(&r);
	assert_numbered(&r.out, 1, 150000);
	assert_string_equal(r.err.data, "end\n");
	assert_string_equal(r.notes.data, "");
	rig_close(&r);
}

static void
test_stop_while_held(void **state)
{
	size_t before;
	struct rig r;

	rig_open(&r);
	spec_add(&r, "spool_max=%d", HELD_MAX);
	rig_start_sh(&r, "trap 'kill -9 $!; exit 5' USR1; yes & while :; do wait; done");
	assert_true(wait_held(&r, HELD_MAX));
	before = r.out.len;
	assert_true(r.file.len < HELD_MAX + HELD_OVER);
	rig_order(&r, FRAME_SIGNAL, SIGUSR1);
	rig_finish(&r);
	assert_int_equal(r.status, 5 << 8);
	/* What the pipe held is there. */
	assert_true(r.out.len >= before + 32768 && r.out.len < before + HELD_OVER);
	rig_close(&r);

	rig_open(&r);
	spec_add(&r, "spool_max=%d", HELD_MAX);
	rig_start_sh(&r, "exec yes");
	assert_true(wait_held(&r, HELD_MAX));
	rig_order(&r, FRAME_STOP, 20000);
	rig_finish(&r);
	assert_int_equal(r.status, SIGTERM);
	rig_close(&r);
}

static void
test_output_without_limit(void **state)
{
	struct rig r;

	rig_open(&r);
	spec_add(&r, "spool_max=0");
	rig_start_sh(&r, "head -c 80000000 /dev/zero");
	rig_finish(&r);
	assert_int_equal(r.out.len, 80000000);
	rig_close(&r);
}

/* ---- specs that cannot work ---- */

static void
test_spool_held(void **state)
{
	struct rig r;
	int fd;

	rig_open(&r);
	fd = open(r.spool, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	rig_start_sh(&r, "echo never");
	assert_int_equal(rig_wait(&r), 111);
	rig_look(&r);
	assert_int_equal(r.frames, 0);
	close(fd);
	rig_close(&r);
}

static void
test_spool_used(void **state)
{
	char trace[96];
	struct stat st;
	struct rig r;

	rig_open(&r);
	snprintf(trace, sizeof(trace), "%s/trace", r.dir);
	assert_int_equal(file_write_atomic(r.spool, "x", 1, 0640, false, NULL), 0);
	spec_add(&r, "env=TRACE=%s", trace);
	rig_start_sh(&r, "echo never > $TRACE");
	assert_int_equal(rig_wait(&r), 111);
	assert_int_equal(stat(trace, &st), -1);
	rig_close(&r);
}

static void
test_bad_specs(void **state)
{
	static const char *const bad[] = {"uid=x", "uid=-1", "stop_ms=", "umask=9",
					  "stop_ms=99999999999"};
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		rig_open(&r);
		spec_add(&r, "%s", bad[i]);
		rig_start_sh(&r, "echo never");
		assert_int_equal(rig_wait(&r), 111);
		rig_close(&r);
	}
	rig_open(&r);
	rig_files(&r);
	rig_start(&r);
	assert_int_equal(rig_wait(&r), 111); /* no argv */
	rig_close(&r);
	rig_open(&r);
	spec_add(&r, "argv=/bin/true");
	rig_start(&r);
	assert_int_equal(rig_wait(&r), 111); /* no spool */
	rig_close(&r);
	rig_open(&r);
	rig_files(&r);
	spec_add(&r, "argv=/bin/true");
	r.spec.len--; /* no NUL at the end */
	rig_start(&r);
	assert_int_equal(rig_wait(&r), 111);
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines, clean_up),
		cmocka_unit_test_teardown(test_partial_line_waits, clean_up),
		cmocka_unit_test_teardown(test_numbered_lines, clean_up),
		cmocka_unit_test_teardown(test_long_line, clean_up),
		cmocka_unit_test_teardown(test_binary, clean_up),
		cmocka_unit_test_teardown(test_silent, clean_up),
		cmocka_unit_test_teardown(test_killed_by_signal, clean_up),
		cmocka_unit_test_teardown(test_exec_fails, clean_up),
		cmocka_unit_test_teardown(test_cwd_fails, clean_up),
		cmocka_unit_test_teardown(test_agent_state, clean_up),
		cmocka_unit_test_teardown(test_spool_mode_and_no_reader, clean_up),
		cmocka_unit_test_teardown(test_full_up_fifo, clean_up),
		cmocka_unit_test_teardown(test_memory_while_waiting, clean_up),
		cmocka_unit_test_teardown(test_memory_after_burst, clean_up),
		cmocka_unit_test_teardown(test_input_echo, clean_up),
		cmocka_unit_test_teardown(test_input_large_to_slow_reader, clean_up),
		cmocka_unit_test_teardown(test_input_dropped, clean_up),
		cmocka_unit_test_teardown(test_signal, clean_up),
		cmocka_unit_test_teardown(test_bad_orders, clean_up),
		cmocka_unit_test_teardown(test_frame_in_two_parts, clean_up),
		cmocka_unit_test_teardown(test_damaged_input, clean_up),
		cmocka_unit_test_teardown(test_stop_polite, clean_up),
		cmocka_unit_test_teardown(test_stop_ignores_term, clean_up),
		cmocka_unit_test_teardown(test_stop_escaped, clean_up),
		cmocka_unit_test_teardown(test_stop_at_once, clean_up),
		cmocka_unit_test_teardown(test_stop_forker, clean_up),
		cmocka_unit_test_teardown(test_left_behind, clean_up),
		cmocka_unit_test_teardown(test_left_count, clean_up),
		cmocka_unit_test_teardown(test_output_of_the_left, clean_up),
		cmocka_unit_test_teardown(test_shim_killed, clean_up),
		cmocka_unit_test_teardown(test_user, clean_up),
		cmocka_unit_test_teardown(test_seccomp, clean_up),
		cmocka_unit_test_teardown(test_seccomp_shared_position, clean_up),
		cmocka_unit_test_teardown(test_seccomp_fails, clean_up),
		cmocka_unit_test_teardown(test_output_held, clean_up),
		cmocka_unit_test_teardown(test_stop_while_held, clean_up),
		cmocka_unit_test_teardown(test_output_without_limit, clean_up),
		cmocka_unit_test_teardown(test_spool_held, clean_up),
		cmocka_unit_test_teardown(test_spool_used, clean_up),
		cmocka_unit_test_teardown(test_bad_specs, clean_up),
		/* Last, because they give this process a mount namespace of its own. */
		cmocka_unit_test_teardown(test_disk_full_from_the_start, clean_up),
		cmocka_unit_test_teardown(test_disk_full_meanwhile, clean_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!rig_program())
		return 1;
	return cmocka_run_group_tests_name("shim", tests, NULL, NULL);
}
