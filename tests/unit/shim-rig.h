/* SPDX-License-Identifier: MIT */
/*
 * aod-shim, run for real: the program named by $AOD_SHIM, else ./aod-shim. Each test has a directory of its own with a spool, an input
 * file, a bell and an up FIFO, and waits on those or on pidfds, with a deadline.
 */
#ifndef AOD_TESTS_SHIM_RIG_H
#define AOD_TESTS_SHIM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/frame.h"

#define DEADLINE_US INT64_C(60000000) /* against a hang: emulated machines take their time */
#define NOBODY 65534
#define AGENT 61200 /* a user that owns nothing */
#define KEY "0123456789abcdef"

struct rig {
	char dir[64], spool[96], input[96], bell[96], up[96];
	struct buf spec;
	struct buf first; /* of a spare, by rig_start_spare() */
	int spare_fd;	  /* the socket to it */
	int seccomp_fd, netns_fd;
	uid_t user; /* the shim runs as this user */
	int bell_fd, up_fd, input_fd;
	uint64_t number;
	pid_t pid;
	int pidfd;
	/* what the spool held at the last look */
	struct buf file, out, err, notes, denied;
	bool started, ended;
	int frames, more, out_frames;
	int status, exec_errno, left;
	pid_t agent;
	char exec_step[256];
	char start[512];
};

extern int shim_fd;

/* Opens the program; the start of each test program. False, with a message, when it is not there. */
bool rig_program(void);
void spec_add(struct rig *r, const char *fmt, ...);
void rig_open(struct rig *r);
void rig_files(struct rig *r);
void rig_user(struct rig *r, uid_t user);
void rig_start(struct rig *r);
/* A spare with this first part; true when it says that it is ready. */
bool rig_start_spare(struct rig *r);
/* It is told of the spec; and that the run begins. */
void rig_tell_spare(struct rig *r);
void rig_begin_spare(struct rig *r);
/* The spec of sh -c script as the agent; and with its start. */
void rig_spec_sh(struct rig *r, const char *script);
void rig_start_sh(struct rig *r, const char *script);
bool wait_readable(int fd, int64_t deadline);
/* The shim's own exit status. */
int rig_wait(struct rig *r);
/* SIGKILL to the shim. */
void rig_kill(struct rig *r);
/* Also the teardown of each test, for one that failed half-way. */
int clean_up(void **state);
void rig_close(struct rig *r);
int field_int(const struct frame *f, const char *key);
/* Reads the whole spool again. */
void rig_look(struct rig *r);
/* Waits for the bell of the shim and looks. */
void rig_next(struct rig *r, int64_t deadline);
void rig_wait_out(struct rig *r, const char *text);
void rig_finish(struct rig *r);
/* Runs the script to its end; nothing may fail on the way to exec. */
void rig_run_sh(struct rig *r, const char *script);
/* All of its stdout; and that a text has a part. */
void assert_out(struct rig *r, const char *want);
void assert_says(const char *text, const char *part);
void rig_input_pieces(struct rig *r, uint8_t type, const void *p, size_t n);
void rig_ring(struct rig *r);
void rig_input(struct rig *r, uint8_t type, const void *p, size_t n);
void rig_order(struct rig *r, uint8_t type, uint32_t v);
/* The pids behind each "pid N" line of stdout, as pidfds. */
int rig_pidfds(struct rig *r, int *fds, int max);
void assert_gone(const int *fds, int n);
/* The children of a process that has one thread; returns how many were stored, at most max. */
int proc_children(pid_t pid, pid_t *out, int max);
void assert_numbered(const struct buf *b, int from, int to);

#define SKIP_UNLESS(ok, why)                                                                       \
	do {                                                                                       \
		if (!(ok)) {                                                                       \
			print_message("# skipped: %s\n", why);                                     \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#endif
