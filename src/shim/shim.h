/* SPDX-License-Identifier: MIT */
/*
 * What the modules of aod-shim share. There is one of everything in a shim: one spec, one spool, one child. No malloc and no stdio: buffers
 * are static, so that pages that were never touched cost nothing. What is large, or is not wanted while a shim waits, is COLD, so that the
 * rest lies close together: the linker sorts by alignment.
 *
 *	main.c      the loop, how a run ends
 *	spec.c      what aod wants
 *	spare.c     a shim that is there before its run is
 *	child.c     the child between fork and exec
 *	mounts.c    its file systems; place.c: the paths of them; idmap.c: their owners
 *	confine.c   its limits, user, capabilities and system calls
 *	landlock.c  its Landlock rules
 *	init.c      the first process of a pid namespace
 *	talk.c      what the child has to say to the shim, and its id maps
 *	cgroup.c    being born into control groups, and killing them
 *	listener.c  system calls that the filter refused
 *	stack.c     the stack of the waiting life
 *	spool.c     frames into the spool, the agent's output, the bell of aod
 *	input.c     frames from the input file: the agent's stdin, signals, stop
 *	tree.c      the processes below the shim
 *	kernel.h    system calls that a libc may lack
 */
#ifndef AOD_SHIM_SHIM_H
#define AOD_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SHIM_FAILED 111 /* exit status when nothing was started */
#define OUT_BUF                                                                                    \
	65536 /* bytes held of each output stream: the longest piece of a line in one frame */
#define IN_PIECE 16384     /* bytes read of the input file at once */
#define RETRY_SPOOL_MS 500 /* after a write to the spool that failed */
#define RETRY_RING_MS 20   /* after a full up FIFO */
#define PAGE 4096
#define CGROUPS_MAX 13 /* descriptors of groups: v2's and v1's */
#define HELD_MS 500        /* between two looks at the input file, and rings, while output is held back: for bells that were lost */

/* In pages of its own. */
#define COLD __attribute__((aligned(PAGE)))

/* ---- spec.c ---- */

/* Pointers into the mapped spec; gone once the child runs. Vectors end in NULL. */
struct spec {
	const char *spool, *input, *bell, *up, *key;
	char **argv, **env;
	const char *cwd, *hostname;
	mode_t mask;
	int64_t uid, gid;      /* -1: keep */
	int64_t nice, oom_score_adj; /* INT64_MIN: keep */
	bool has_caps;
	uint64_t caps, ambient;
	bool no_new_privs, seccomp, notify;
	int64_t notify_errno;
	int64_t stop_ms, spool_max;
	const char *cgroup;
	char **cgroup_v1;
	unsigned ns;
	bool netns;
	char **uid_map, **gid_map;
	char **rlimits;
	char **mounts; /* what stands behind "mount" in mount_src=, mount_opt= and mount=, in order */
	char **creds;
	char **landlock_rw, **landlock_ro;
	bool landlock_scope;
};

/* Maps and reads the spec from its descriptor, which is closed then. Does not return when it cannot be carried out at all. whole: not a spare's first part. */
void spec_load(struct spec *s, bool whole);
void spec_unload(void);
/* Before the agent is there: nothing was done yet, and aod sees the status. */
_Noreturn void die(const char *what, const char *name, int error);

/* ---- main.c ---- */

int64_t mono_ms(void);
/* The next free byte after the text of v at p (no NUL). Enough room is the caller's matter: 20
 * bytes. */
char *put_number(char *p, int64_t v);
char *put_unsigned(char *p, uint64_t v);
/* As stpcpy(3), but never writes at or behind end - 1 and always ends in NUL. */
char *put_text(char *p, char *end, const char *s);
/* Reads a small file, NUL-terminated. Length or -errno. */
ssize_t read_small(const char *path, char *out, size_t size);
/* Field 22 of /proc/PID/stat, 0 when it cannot be had. Also of a zombie. */
uint64_t start_time(pid_t pid);

/*
 * Room for what is done with before another takes it: the lines of a spare until its groups are open, a piece of input, the nodes of one walk.
 * Its pages go back when the shim has nothing to do.
 */
#define SCRATCH_MAX 32768
void *scratch(void);

/* Writes the whole text to a file. 0 or -errno. */
int write_small(const char *path, const char *text);
int write_in(int dir, const char *name, const char *text);

/* ---- child.c ---- */

#define SHIM_IGNORES {SIGHUP, SIGINT, SIGPIPE}

#define STEP_MAX 240

/* What the child writes to its exec pipe when it fails; nothing when exec worked. */
struct child_failure {
	int error;
	char step[STEP_MAX];
};

struct child {
	pid_t pid;        /* of the first process; 0: fork failed */
	bool init;        /* which is an init, and the agent is its child */
	int in, out, err; /* the shim's ends, non-blocking */
	int exec;         /* read end: EOF when exec worked, else a struct child_failure */
	int talk;         /* the shim's end, -1: the child has nothing to say */
	int known;        /* closed by the shim once it knows the agent, whom init does not reap before; or -1 */
	bool waits;       /* the agent is not executed before child_go() */
	int gate;         /* the shim's end of what it waits at, or -1 */
};

/*
 * The child and its pipes, which in a pid namespace is its init: it makes the file systems of the first part of a spec, and says TALK_READY.
 * 0 or -errno. When it fails it ends, and c->exec with it.
 */
int child_prepare(const struct spec *first, struct child *c);
/*
 * What can be done before the groups are there: 0 or -errno, with *step set. A child that was prepared goes on with this spec, which spec_fd is a
 * descriptor of, up to its agent's birth.
 */
int child_ready(const struct spec *spec, int spec_fd, struct child *c, const char **step);
/* The same. The child goes on by itself; its fate is read from c->exec. */
int child_start(const struct spec *spec, struct child *c, const char **step);
/* An agent that waits at this gate may go on. */
void child_go(int gate);
/* What there is of one that cannot be started. */
void child_discard(struct child *c);
/* In the child: the step that a failure from now on is of. */
void child_step(const char *step, const char *name);
/* In the child: ends it with an error of the current step. */
_Noreturn void child_fail(int error);

/* ---- spare.c ---- */

/*
 * Whether it was started as a spare; then it waits, with a child that is as far as it can be, until its run is known. *spec_fd: the spec once more,
 * -1: nobody wants it.
 */
bool spare_wait(struct child *c, int *spec_fd);
/* Until the run's groups are there, which come into the spec. */
void spare_await_groups(struct spec *spec);
/* Until the run has begun: true; false: the child has something to say (talk; -1: it never has). */
bool spare_await_start(int talk);
/* In a child: lets go of the socket, by the end of which aod knows that the shim has ended. */
void spare_not_mine(void);

/* ---- mounts.c, place.c, idmap.c ---- */

/*
 * In the child, in its new mount namespace. 0 or -errno, with child_step() set to the operation. The first part of a spec, the second when there is one, and
 * what is done behind all operations.
 */
int mounts_begin(const struct spec *spec);
int mounts_more(const struct spec *spec);
int mounts_end(void);
/* An operation of the spec. */
struct mount_line {
	const char *op, *src, *opt, *dst;
	unsigned flags;
};
/* Reads on from **at to the next operation. 1, 0 at the end, -EINVAL. */
int mounts_next(char ***at, struct mount_line *line);

#define PLACES_MAX (2 * SHIM_MOUNTS_MAX) /* an operation makes at most two */
/* Notes that things may be made in this mount; owner: by whom, -1: by root. */
int place_add(int mount_fd, int64_t uid, int64_t gid);
enum place_make { PLACE_NONE, PLACE_DIR, PLACE_FILE };
#define PLACE_ROOT (-100) /* AT_FDCWD: paths begin at this process's root */
/* An O_PATH descriptor of an absolute path, or -errno. Follows only links that nobody but root can have made, or none. root: where paths begin. */
int place_open(int root, const char *path, enum place_make make, bool links);

/* Nothing is to be made any more: the memory of it goes back. */
void place_done(void);

/* Before the child is there, as root: a user namespace for each owner of a source. 0 or -errno. */
int idmap_prepare(const struct spec *spec, const char **step);
/* One of them without knowing the owner, long before that. 0 or -errno. */
int idmap_ahead(void);
/* The processes that it took end; the namespaces stay, by their descriptors. */
void idmap_done(void);
#define OWNERS_MAX 16
struct idmap_owner {
	uid_t uid;
	gid_t gid;
	int fd;
};
/* All of them, and their count; in a child that was there before: takes them over. */
int idmap_list(struct idmap_owner out[OWNERS_MAX]);
void idmap_adopt(const struct idmap_owner *list, int count);
/* In the child: its descriptor for this owner, -ENOENT. */
int idmap_find(uid_t uid, gid_t gid);
/* Gives a tree to a user, without following links and without files that have other names elsewhere. */
int idmap_own_tree(int dir, uid_t uid, gid_t gid);

/* ---- confine.c, landlock.c ---- */

int confine_limits(const struct spec *spec);
int confine_nice(const struct spec *spec);
/* The bounding set, while there is the right to. */
int confine_bounding(const struct spec *spec);
int confine_user(const struct spec *spec);
int confine_capabilities(const struct spec *spec);
/* *listener: descriptor of the notifications, or -1. */
int confine_seccomp(const struct spec *spec, int *listener);
/* Every capability and right of this process, for good. */
void confine_nothing(const struct spec *spec);
int landlock_apply(const struct spec *spec);

/* ---- init.c ---- */

/* The life of the first process of a pid namespace, once the agent is its child. talk, known: the child's ends. */
_Noreturn void init_run(const struct spec *spec, pid_t agent, int talk, int known);

/* ---- stack.c ---- */

/* Goes on in f on a stack within the program's data; the one that was the caller's is gone. f does not return. */
_Noreturn void stack_leave(void (*f)(void));

/* ---- talk.c ---- */

enum talk_kind { TALK_MAPS = 1, TALK_AGENT, TALK_LISTENER, TALK_EXIT, TALK_READY };

struct talk {
	int kind;
	int status;
	struct rusage usage;
	/* filled in by the receiver */
	pid_t pid; /* of the sender, or whom it is about, in the shim's namespace */
	int fd;    /* -1, or of TALK_LISTENER */
};

int talk_pair(int pair[2]);
/* fd: to be handed over, or -1. about: a child of the sender that it is about, or 0. */
int talk_send(int talk, const struct talk *t, int fd, pid_t about);
/* 1, 0 at the end, -EAGAIN when there is nothing now. */
int talk_receive(int talk, struct talk *t);
/* A message and up to TALK_FDS_MAX descriptors. 0 or -errno. */
#define TALK_FDS_MAX (3 + CGROUPS_MAX + OWNERS_MAX)
int talk_send_fds(int to, const void *p, size_t n, const int *fds, int count);
/* Waits for one of just that size. How many descriptors there were, close-on-exec; -EPIPE at the end, -errno. */
int talk_receive_fds(int from, void *p, size_t n, int fds[TALK_FDS_MAX]);
/* Answers TALK_MAPS with 0 or -errno. */
void talk_ack(int talk, int error);
/* In the child: waits for that. 0 or the -errno that was told. */
int talk_await(int talk);
/* Keeps the maps of the spec, which is gone when they are wanted. */
int talk_keep_maps(const struct spec *spec);
int talk_write_maps(pid_t pid);
/* Whether the maps came with "deny": then nobody in the user namespace can change its groups. */
bool talk_denied_setgroups(void);

/* ---- cgroup.c ---- */

/* Opens the directories of the spec. 0 or -errno. */
int cgroup_init(const struct spec *spec);
/* The descriptors, v2's (or -1) first, and their count; in a child that was there before: takes them over. */
int cgroup_list(int out[CGROUPS_MAX]);
void cgroup_adopt(const int *list, int count);
/* Of the v2 directory, or -1. */
int cgroup_fd(void);
/* In the child: moves itself in. born: it is in the v2 group already. */
int cgroup_enter(bool born);
bool cgroup_empty(void); /* also when there is none */
void cgroup_thaw(void);
/* A round: kills all who are in the group. False when there is none. */
bool cgroup_kill_all(void);
void cgroup_signal_all(int sig);

/* ---- listener.c ---- */

void listener_set(int fd, int error);
int listener_poll_fd(void);
/* Answers one notification. */
void listener_run(void);

/* ---- tree.c ---- */

/* As in linux/dirent.h; readdir(3) would bring malloc. */
struct dirent_raw {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* The init of the agent's pid namespace: not counted, and not asked to end. */
void tree_set_init(pid_t pid);
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
int spool_open(const struct spec *s);
void spool_set_output(int out, int err);
/* While true nothing may be read from the agent: the disk took nothing. */
bool spool_blocked(void);
/* While true nothing is to be read either: aod has too much to read already. */
bool spool_held(void);
/* aod has committed all in front of this byte. */
void spool_taken(int64_t upto);
/* All of the agent has ended: what its pipes hold now has to fit. */
void spool_take_rest(void);
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
/* A frame of FRAME_DENIED. False when the disk takes nothing now: then it is not kept. */
bool spool_denied(const char *text, size_t n);
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
