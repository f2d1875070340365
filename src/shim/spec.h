/* SPDX-License-Identifier: MIT */
/*
 * What aod tells a shim at birth. The shim is started as `aod-shim` with
 *	fd 0, 1  /dev/null
 *	fd 2     aod's log
 *	fd 3     a sealed memfd: "key=value\0" pairs, below
 *	fd 4     a sealed memfd with a seccomp program (an array of struct sock_filter), when seccomp= is there
 *	fd 5     a network namespace, when netns=1
 * and no other descriptor. Keys come in any order, but those that repeat (argv, env, mount…, cred…) keep their own. Unknown keys are ignored: an
 * old shim may be started by a newer aod only within one installation, but costs nothing to be tolerant.
 *
 * A spare is started before its run is known, with
 *	fd 3     a SOCK_SEQPACKET socket of aod's
 *	fd 4     a sealed memfd with the first part of a spec: ns= and mount=, no others
 * It writes one byte when it is ready: where ns= has CLONE_NEWPID the init is there and has made those mounts. Then it waits for a struct spare_run
 * with descriptors (SCM_RIGHTS) of the spec, of the program and of the network namespace. That spec has the whole of ns=, as it was, of mount= what is to
 * be made behind the first part, and no cgroup= and cgroup_v1=. While it carries that out it is sent a message of those lines (at most SPARE_START_MAX
 * bytes; one NUL when there are none), with which the agent is born, into its groups, and waits right in front of its filter and its exec. The next
 * message, of one byte, says that the run has begun, which is when it is committed: now the spool is made, and the agent goes on. So there is nothing of a
 * run that never was but what is swept: empty groups and directories. A spare that fails ends, as does one whose socket is closed before that. What a first part may have is what does not depend on the run: no MF_IDMAP, MF_OWN or MF_NOFOLLOW, no credentials, no sys, no source "/".
 *
 * Files:
 *	spool=PATH       file of frames to append to (made by the shim, 0640); flock(2)ed LOCK_EX as long as the shim lives
 *	spool_max=BYTES  while so much of the spool is not taken by aod (FRAME_TAKEN), nothing more is read of the agent's output, and an agent that goes
 *	                 on printing waits in write(2). Its input, signals, a stop and its end go on as ever; what its pipes hold when all of it has
 *	                 ended is still written. Default 64 MiB; 0: no limit
 *	input=PATH       file of input frames, read from its start, and again whenever a byte comes in on bell
 *	bell=PATH        FIFO, made by aod: the shim reads wake-ups from it (opens it O_RDWR, so that it never ends)
 *	up=PATH          FIFO of aod: the shim writes one record, `key`, when there is something new in the spool. No reader
 *	                 (EPIPE, ENXIO) is fine: aod reads the spool when it comes back. A full FIFO is tried again.
 *	key=TEXT         what to write there: exactly UP_RECORD bytes are written: the text, padded with NUL
 *
 * The process:
 *	argv=WORD        program and arguments; argv[0] has a slash
 *	env=NAME=VALUE   the whole environment
 *	cwd=PATH         working directory
 *	umask=OCTAL      default 0022
 *	nice=N           setpriority(2); oom_score_adj=N  written to /proc/self/oom_score_adj, -1000..1000
 *	rlimit=R SOFT HARD   setrlimit(2); R is the number of RLIMIT_…, infinity is 18446744073709551615; no more than there is to give
 *	uid= gid=        become this user before exec (no supplementary groups), when given
 *	caps=HEX         capabilities that stay in the bounding set; all others are dropped from every set. When uid stays 0, permitted and
 *	                 effective are this, too.
 *	ambient=HEX      inheritable and ambient capabilities
 *	no_new_privs=1
 *	seccomp=1        no_new_privs and the program from fd 4, last thing before exec; seccomp=notify: with a listener. The shim answers each
 *	                 notification with EPERM (socket(2): EAFNOSUPPORT), or notify_errno=N, and writes a FRAME_DENIED, at most DENIED_MAX for a run and one for
 *	                 each system call number and program name.
 *	stop_ms=N        what FRAME_STOP does when the agent's main process has ended and others are left: SIGTERM, then
 *	                 SIGKILL after this time; default 200
 *
 * Control groups: the agent is born in, or before all else moves itself into,
 *	cgroup=PATH      a cgroup v2 directory; clone3(2) with CLONE_INTO_CGROUP, else through cgroup.procs. Killing is through cgroup.kill, until
 *	                 cgroup.procs (and those below) are empty
 *	cgroup_v1=PATH   a v1 directory, repeated, the freezer's first: "0" to `tasks`. Killing: freeze, SIGKILL to all, thaw, until empty.
 *	                 Beside cgroup= (v1 controllers and an empty v2) none of them is a freezer, and killing goes through cgroup= alone
 * A group that is not empty when the child has ended is emptied like the tree. A group that was frozen by aod is thawed to be killed.
 *
 * Namespaces:
 *	ns=HEX           CLONE_NEW… flags for the child. With CLONE_NEWPID the child is an init of its own (of the shim's code: it reaps, holds no
 *	                 secret, is not dumpable, has no capability, is in the shim's control groups, and dies with the shim), and the agent is its
 *	                 child; the agent's pid as aod and FRAME_START have it is that of the shim's namespace.
 *	uid_map= gid_map=   "INSIDE OUTSIDE COUNT", repeated, for CLONE_NEWUSER; setgroups is denied where aod is not root. Where it is, the agent
 *	                 enters its user namespace after all mounts and limits, so that these have full effect and are not its own to change;
 *	                 uid= and gid= are then of the inside, and are to be the same outside where owners matter (MF_IDMAP, cred)
 *	netns=1          join the namespace of fd 5; a new one (ns=) gets its loopback device up
 *	hostname=TEXT    with CLONE_NEWUTS
 *
 * File systems, in a mount namespace of its own (ns has CLONE_NEWNS), which is made private first. Operations in order; each is made of registers
 * that stand in front of it and are empty again behind it:
 *	mount_src=PATH  mount_opt=TEXT
 *	mount=OP FLAGS DST   OP: bind tmpfs hide proc sys dev file credentials attr (enum mount_op in model/sandbox.h says what they do); FLAGS: hex of MF_…
 * Sources of binds are opened (open_tree(2)) before the first operation, so that what one hides another can show. What is missing at a destination
 * that lies on a tmpfs of ours, in the private /tmp (whatever is bound there, or at /var/tmp) or in a bind with MF_OWN is made; in the last two by the
 * agent's user. Everything goes by descriptors. Symbolic links, in sources and destinations: as root, only one that belongs to root in a directory of
 * root's that nobody else may write to is followed (/var/run, /bin), and none at all in a source with MF_IDMAP or MF_OWN or below one; any other is ELOOP. So
 * paths of agents are to be sent resolved. Options of tmpfs may be ro, nosuid, nodev and noexec, too; those of dev are for /dev/shm. An option that the
 * kernel refuses fails the start. Owners (MF_IDMAP): the owner of src is shown as uid= and gid=, when both are given and aod is root; what is mounted below
 * it and knows no idmap stays as it is.
 *	cred=ID=BYTES    a file for mount=credentials; no NUL in it. In the spec only, gone from the shim's memory when the child has its copy
 *
 * Landlock(7), where the kernel has it (silently not otherwise: aod knows what there is):
 *	landlock_rw=PATH landlock_ro=PATH   trees; without any, no rule about files. landlock_scope=1: signals and abstract sockets
 *
 * Order of the child, each a value of exec_step when it fails: fork, cgroup, namespace, mount (with the operation: "mount /path"), setsid, cwd, limits,
 * user, capabilities, landlock, seccomp, exec; with CLONE_NEWPID fork and cgroup, which are the agent's, stand behind mount. The agent gets: a session of its own, PR_SET_PDEATHSIG SIGKILL, default signal dispositions and an
 * empty mask, stdin, stdout and stderr on pipes, nothing else open.
 */
#ifndef AOD_SHIM_SPEC_H
#define AOD_SHIM_SPEC_H

#include <stdint.h>

#define SHIM_SPEC_FD 3
#define SHIM_SECCOMP_FD 4
#define SHIM_NETNS_FD 5
#define SHIM_SPEC_MAX (8u << 20) /* bytes */
#define SPARE_START_MAX 16384
struct spare_run {
	uint8_t seccomp, netns; /* 1: its descriptor comes with this */
};
#define UP_RECORD 16		 /* bytes of one record in the up FIFO, far below PIPE_BUF: atomic */
#define DENIED_MAX 100

#define SHIM_MOUNTS_MAX 256 /* operations; model/sandbox.h allows no more */

/* mount=… FLAGS, the same numbers as in model/sandbox.h, which the shim does not include. */
#define SHIM_MF_RO 1u
#define SHIM_MF_RW 2u
#define SHIM_MF_NOSUID 4u
#define SHIM_MF_NODEV 8u
#define SHIM_MF_NOEXEC 16u
#define SHIM_MF_IDMAP 32u
#define SHIM_MF_OWN 64u
#define SHIM_MF_OPTIONAL 128u
#define SHIM_MF_NOREC 256u
#define SHIM_MF_NOFOLLOW 512u

#endif
