/* SPDX-License-Identifier: MIT */
/*
 * What a blueprint allows its agent, decided: from the keys of [Sandbox] and [Resources], the profile that Sandbox= names, and the paths of the
 * run, to a struct that aod and the shim carry out without a further decision. Pure: no file is looked at. Names of users are
 * resolved, and features of the host checked, by aod.
 *
 * A profile is a column of values for keys that the blueprint does not set (sandbox.c, one table). Sandbox= itself is strict for
 * Adapter=claude and none for Adapter=command when it is unset. Whatever a blueprint sets stands in the place of the profile's value.
 *
 * Of several keys about paths the longest path wins, as in systemd.exec(5); on one path the blueprint's own key wins over the profile, and the one that
 * allows less over others. What lies below a path that is hidden is shown when a key names it: ReadWritePaths=/home/alice/cache shows that directory of
 * the host with ProtectHome=tmpfs.
 *
 *	none       the agent may what its user may; limits are as set
 *	workspace  reads what its user may, writes only to its project directory, its own directory and /tmp; hooks and configuration
 *		   of the project's git repositories are read-only
 *	strict     a user of its own (DynamicUser=) where aod is root, sees a read-only system, no homes but what it works in, no other
 *		   processes, no devices, nothing of aod's and of other sessions'; system calls of @system-service; the network is the host's
 *		   unless PrivateNetwork=yes, which has a /sys of its own, too: of what is mounted below that, only /sys/fs/cgroup is seen
 *
 * Meaning of the keys: systemd.exec(5), systemd.resource-control(5).
 */
#ifndef AOD_MODEL_SANDBOX_H
#define AOD_MODEL_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/blueprint.h"

enum sandbox_profile { SANDBOX_NONE, SANDBOX_WORKSPACE, SANDBOX_STRICT };
const char *sandbox_profile_name(enum sandbox_profile p);

/* ---- the effective blueprint ---- */

/*
 * A copy of b in which every key that the profile has a value for, and that b does not set, has that value, so that whoever asks the
 * copy sees what is in effect. Their origin is "the profile" (blueprint_origin() false). Never fails; freed by the caller.
 */
struct blueprint *sandbox_effective(const struct blueprint *b);
enum sandbox_profile sandbox_profile(const struct blueprint *b);
/* What a profile has for a key, as text; NULL: nothing. For the manual. */
const char *sandbox_profile_value(enum sandbox_profile p, enum directive_id id);

/* ---- file systems: a list of operations, carried out in order in the new mount namespace ---- */

enum mount_op {
	MOUNT_BIND,  /* src on dst, or on itself when dst is the same: a mount of its own, with all that is mounted below it */
	MOUNT_TMPFS, /* opt: mount options such as size=64m,mode=1777 */
	MOUNT_HIDE,  /* dst becomes an empty directory or file that nobody can read */
	MOUNT_PROC,  /* a new proc; opt: hidepid=, subset= */
	MOUNT_SYS,   /* a new sysfs, with the devices of the network namespace; an empty tmpfs where the kernel makes none, as parts of /sys are covered */
	MOUNT_DEV,   /* /dev with pseudo devices, pts and shm only */
	MOUNT_FILE,  /* opt is the content of a read-only file at dst, which must exist; NULL for /etc/passwd and /etc/group: aod, which knows the
			dynamic user, fills it in before the spec is made */
	MOUNT_CREDENTIALS, /* a ramfs (tmpfs) at dst, 0500 of the agent's user, with the credentials of the spec; then read-only */
	MOUNT_ATTR,  /* change the flags of dst and of all mounts below it */
};

enum {
	MF_RO = 1, MF_RW = 2,		/* set or clear read-only, with all that is below at this moment; of MOUNT_TMPFS: once all operations are done.
					   The lists that are made here need no MF_RW: what stays writable is bound on top of what became read-only
					   before, with the flags that it had, so that nothing gets writable that was not */
	MF_NOSUID = 4, MF_NODEV = 8, MF_NOEXEC = 16,
	MF_IDMAP = 32,	/* the owner of src appears as the agent's user, and what the agent makes belongs to that owner on disk */
	MF_OWN = 64,	/* src is the session's own: where the file system knows no idmap, it is given to the agent's user instead */
	MF_OPTIONAL = 128, /* it may be missing */
	MF_NOREC = 256,	/* this mount only */
	MF_NOFOLLOW = 512, /* no part of src is a symbolic link (openat2(2), RESOLVE_NO_SYMLINKS): an agent may have made it. A link is as if it were missing */
};

#define SANDBOX_MOUNTS_MAX 256 /* what the shim can carry out */

struct sandbox_mount {
	enum mount_op op;
	unsigned flags;
	char *src, *dst, *opt; /* NULL where the operation has none */
};

/* ---- resource limits of a session's or a slice's cgroup ---- */

#define LIMIT_UNSET (-1)
#define LIMIT_INFINITY INT64_MAX
#define LIMIT_DEVICES_MAX 16

struct io_limit { /* of the block device that path is on */
	char *path;
	int64_t rbps, wbps, riops, wiops; /* LIMIT_UNSET, or a second's worth */
};

struct limits {
	int64_t memory_max, memory_high, memory_swap_max; /* bytes */
	int64_t tasks_max;
	int64_t cpu_quota_us, cpu_period_us; /* of each period; quota over period may exceed 1 */
	int64_t cpu_weight, io_weight;	     /* 1..10000; 0 = idle */
	char *cpus, *mems;		     /* as in cpuset.cpus, or NULL */
	struct io_limit io[LIMIT_DEVICES_MAX];
	int io_count;
	bool oom_group; /* OOMPolicy=kill: all of it goes at once */
};

/* From [Resources]; percentages are of what total names. e says which value cannot be (status 422). l: as limits_init() left it; to be freed either way. */
struct limit_totals { int64_t memory_bytes, tasks; };
void limits_init(struct limits *l); /* all unset */
int limits_from(struct limits *l, const struct blueprint *b, const struct limit_totals *t, struct err *e);
void limits_free(struct limits *l);

/* ---- all of it ---- */

struct sandbox_rlimit { int resource; uint64_t soft, hard; }; /* RLIMIT_…, UINT64_MAX: infinity */

/* What the seccomp program is made of; two that are equal share one program. Texts are as in the blueprint, checked. */
struct sandbox_syscalls {
	bool off;		/* SystemCallFilter=no and nothing else asks for a program */
	bool basic;		/* SystemCallFilter=yes: the basic deny list */
	char **filter;		/* words of SystemCallFilter=, in order; a list that begins with ~ denies. NULL: no list */
	char *error;		/* SystemCallErrorNumber=: NULL is EPERM; "kill" */
	char **architectures, **log;
	char **families;	/* RestrictAddressFamilies= words, "none", ~ in front; NULL: all */
	bool restrict_namespaces;
	unsigned namespaces;	/* CLONE_NEW… that may be made, when restrict_namespaces */
	bool no_suid_sgid, no_realtime, lock_personality, no_write_execute;
	bool no_hostname, no_clock, no_modules, no_kernel_log, no_raw_io; /* Protect…, PrivateDevices= */
	bool notify;		/* refusals are reported, see shim/spec.h */
};

struct sandbox {
	enum sandbox_profile profile;
	char *user, *group;	/* names or numbers, NULL: aod's own */
	bool dynamic_user;
	int64_t uid, gid;	/* set by aod from the three above; -1: stay */
	unsigned namespaces;	/* CLONE_NEW… for the agent; CLONE_NEWUSER only when PrivateUsers= asks, aod adds it where it is not root */
	bool private_network;	/* in a namespace from aod's pool */
	bool no_new_privs;
	uint64_t capabilities, ambient;	/* bounding set and ambient set, bit n is capability n */
	struct sandbox_mount *mounts;
	int mount_count;
	char **landlock_rw, **landlock_ro; /* trees that can be written, and that can be read; NULL: everything */
	char **git_guard;	/* paths in git repositories of the project by which git runs programs: not to appear; those of one repository together. NULL: none */
	bool landlock_scope;	/* no signals to, and no abstract sockets of, processes outside, where the kernel has it */
	struct sandbox_rlimit rlimits[16];
	int rlimit_count;
	int64_t umask;		/* -1: 0022 */
	int64_t nice;		/* INT64_MIN: unset */
	int64_t oom_score_adj;	/* INT64_MIN: unset */
	enum { OOM_CONTINUE, OOM_STOP, OOM_KILL } oom_policy; /* OOM_STOP when unset */
	struct sandbox_syscalls syscalls;
	struct limits limits;
	char *slice;		/* or NULL */
	char **load_credentials, **set_credentials; /* ID:PATH, ID:TEXT */
	char *credentials_dir;	/* where they appear, when there are any: RUN/credentials. It is the same for all, as each has a mount namespace of
				   its own; where RUN is not hidden, aod has made it, and RUN can be searched by all */
	int64_t tmp_size, workspace_quota, log_size_max; /* bytes, LIMIT_UNSET: none */
	char **needs;		/* keys of [Sandbox] that the blueprint itself sets and whose effect the host may not give: see sandbox_key_needs() */
};

/* What of the host the effect of a key takes. */
enum {
	NEEDS_MOUNT = 1, NEEDS_PID = 2, NEEDS_NET = 4, NEEDS_IPC = 8, NEEDS_UTS = 16, NEEDS_USER = 32, /* namespaces */
	NEEDS_ROOT = 64, NEEDS_SECCOMP = 128,
};
/* Of one of the words in needs; 0: nothing that every host does not have. */
unsigned sandbox_key_needs(const char *key);

/*
 * The paths of a run that the sandbox is made around. All absolute, without a slash at the end. cwd, own and tmp as realpath(3) gives them: what an
 * agent may have replaced by a link is bound with MF_NOFOLLOW.
 */
struct sandbox_paths {
	const char *cwd;	/* project directory: stays writable */
	char *const *git_dirs;	/* further git repositories in cwd, beside cwd/.git: programs that git runs are not to be put into them. May be NULL */
	char *const *git_files;	/* files in cwd, perhaps cwd/.git, that name the repository (of a worktree, a submodule): read-only as a whole. May be NULL */
	bool cwd_is_own;	/* it is below own */
	const char *own;	/* the session's own directory: work, home, claude, tmp, … */
	const char *tmp;	/* what is shown at /tmp */
	const char *program;	/* stays visible and can be run */
	char *const *visible;	/* further files that the agent reads (its MCP servers' programs), may be NULL */
	const char *state, *run, *etc; /* aod's directories: hidden */
	char *const *closed;	/* directories above what is shown that the agent's user may not search: empty ones stand in their places. May be NULL */
	char *const *homes;	/* of aod's user and of the agent's, as realpath(3) gives them: hidden as /home is. One that others share (/, /usr/sbin) is
				   left out. May be NULL */
	const char *socket;	/* the one socket of aod's that the agent may use, NULL: none. Where it has a directory of its own below run, that is shown, so
				   that a socket which a new aod has made is seen, too; else the socket alone */
	const char *home;	/* the HOME that the agent gets */
	bool root;		/* aod runs as root */
	bool no_namespaces;	/* no mount namespace is to be had: the profile's own mounts and namespaces are left out, and Landlock's trees are the
				   narrow ones that stand in for them. Keys that the blueprint itself sets are not: see needs */
};

/* b: an effective blueprint, expanded. 0, or what cannot be with status 422. limit totals of 0 are not known. */
int sandbox_make(const struct blueprint *b, const struct sandbox_paths *p, const struct limit_totals *t, struct sandbox **out,
		 struct err *e);
void sandbox_free(struct sandbox *s);
/* {"profile":…,"user":…,"namespaces":[…],"mounts":[…],…} for people; no value of a credential. */
void sandbox_json(struct buf *out, const struct sandbox *s);

/* ---- the score, in the manner of systemd-analyze security ---- */

struct security_line {
	const char *key;	/* what is looked at: a directive, perhaps with a part of its value behind it */
	bool good;
	double exposure;	/* what it adds to the score; 0 when good */
	const char *text;	/* static: what that means */
	const char *mend;	/* static: what to set; NULL when good */
};
#define SECURITY_LINES_MAX 100
/* Exposure of 0 (best) to 10, to a tenth, of an effective blueprint; lines in the table's order. root: aod runs as root. */
double security_assess(const struct blueprint *b, bool root, struct security_line lines[SECURITY_LINES_MAX], int *count);
/* PERFECT, SAFE, OK, MEDIUM, EXPOSED, UNSAFE, DANGEROUS; the bounds of systemd-analyze(1). */
const char *security_grade(double exposure);
/* "exposure":…,"grade":…,"lines":[{"key","good","exposure","text","mend"},…], without braces; lines only when asked for. */
void security_json(struct buf *out, const struct blueprint *effective, bool root, bool lines);

#endif
