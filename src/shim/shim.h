/* SPDX-License-Identifier: MIT */
/*
 * What the modules of aod-shim share. There is one of everything in a shim: one spec, one spool,
 *one child. No malloc and no stdio: buffers are static, so that pages that were never touched cost
 *nothing.
 *
 *	main.c   the spec, the loop, how a run ends
 *	child.c  the child between fork and exec
 *	spool.c  frames into the spool, the agent's output, the bell of aod
 *	input.c  frames from the input file: the agent's stdin, signals, stop
 *	tree.c   the processes below the shim
 */
#ifndef AOD_SHIM_SHIM_H
#define AOD_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHIM_FAILED 111 /* exit status when nothing was started */
#define OUT_BUF                                                                                    \
	65536 /* bytes held of each output stream: the longest piece of a line in one frame */
#define IN_PIECE 16384     /* bytes read of the input file at once */
#define RETRY_SPOOL_MS 500 /* after a write to the spool that failed */
#define RETRY_RING_MS 20   /* after a full up FIFO */

/* ---- main.c ---- */

/* Pointers into the mapped spec; gone once the child runs. */
struct spec {
	const char *spool, *input, *bell, *cwd, *private_tmp;
	char **argv, **env, **bind; /* NULL-terminated */
	mode_t mask;
	int64_t uid, gid; /* -1: keep */
	bool seccomp;
	int64_t stop_ms;
};

int64_t mono_ms(void);
/* The next free byte after the text of v at p (no NUL). Enough room is the caller's matter: 20
 * bytes. */
char *put_number(char *p, int64_t v);
/* As stpcpy(3), but never writes at or behind end - 1 and always ends in NUL. */
char *put_text(char *p, char *end, const char *s);
/* Reads a small file, NUL-terminated. Length or -errno. */
ssize_t read_small(const char *path, char *out, size_t size);
/* Field 22 of /proc/PID/stat, 0 when it cannot be had. Also of a zombie. */
uint64_t start_time(pid_t pid);

/* ---- child.c ---- */

/* What the child writes to its exec pipe when it fails; nothing when exec worked. */
struct child_failure {
	int error;
	char step[16];
};

struct child {
	pid_t pid;        /* 0: fork failed */
	int in, out, err; /* the shim's ends, non-blocking */
	int exec;         /* read end: EOF when exec worked, else a struct child_failure */
};

/* 0 or -errno, with *step set. The child goes on by itself; its fate is read from c->exec. */
int child_start(const struct spec *spec, struct child *c, const char **step);

/* ---- tree.c ---- */

/* Sends sig to every process below the shim. Returns how many there are; *refused counts those that
 * kill(2) refused. */
int tree_signal(int sig, int *refused);
/* One round of the end: stops all of them, so that none forks on, then kills them. Same result. */
int tree_kill(int *refused);
/* Sends a signal to a child of the shim that was not waited for. */
int child_signal(pid_t pid, int sig);

/* ---- spool.c ---- */

/* 0, or -errno with *what naming the path. -EWOULDBLOCK: another shim has it. -EEXIST: it has
 * content. */
int spool_open(const char *path, const char *up_path, const char *key);
void spool_set_output(int out, int err);
/* While true nothing may be read from the agent: the disk took nothing. */
bool spool_blocked(void);
/* Output descriptors to poll, -1 when closed or not wanted now. */
int spool_poll_fd(int stream);
/* Reads once from the stream (0 stdout, 1 stderr) and writes frames for its whole lines. Bytes
 * read. */
size_t spool_read(int stream);
bool spool_output_done(void); /* both at EOF, or given up, and all of it in the spool */
void spool_give_up_output(void);
/* Writes a frame as soon as the disk takes it: START before all else, EXIT after all else. Text is
 * copied. */
void spool_start(const char *text, size_t n);
void spool_note(const char *text);
/* True once it is in the spool. */
bool spool_exit(const char *text, size_t n);
/* Goes on with what is waiting, rings for what was written. Returns ms until it wants to be called
 * again, -1: no need. */
int spool_run(int64_t now);
bool spool_rung(void); /* nothing left to tell */
void spool_close(void);

/* ---- input.c ---- */

int input_open(const char *path);
void input_set_stdin(int fd);
void input_close_stdin(void);
/* Reads what is new in the file, does control frames at once, moves bytes to stdin as far as that
 * takes them. */
void input_run(void);
/* Descriptor to poll for writing, -1 when there is nothing to write. */
int input_poll_fd(void);

/* What input.c asks of main.c. */
void shim_signal(int sig);
void shim_stop(int64_t ms);

#endif
