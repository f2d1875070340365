/* SPDX-License-Identifier: MIT */
/*
 * Control groups: where aod's subtree is, one group for each session, limits, figures, freezing and killing. Over cgroup v2
 * (Documentation/admin-guide/cgroup-v2.rst) where its controllers are there for us, else over v1 hierarchies (memory, pids, cpu,
 * cpuacct, freezer, blkio, cpuset, each where it can be had) beside which an empty v2 may be mounted.
 *
 * Layout below the root, which is aod's own group when it may write there (systemd: Delegate=yes), in each hierarchy:
 *
 *	aod/			aod and aod-http
 *	shims/			all shims
 *	agents/[SLICE…/]ID/	one session; agents/ itself has limits that leave the host some room
 *
 * In private mode there is a level more, named after the root directory, so that several can run side by side. Names of slices are
 * nested as systemd's: a-b.slice is below a.slice. Limits are written before a process is in the group.
 *
 * An empty v2 beside v1 controllers is used for what the kernel itself gives there: cgroup.kill, cgroup.freeze, CPU time and pressure. It takes
 * the place of v1's freezer and cpuacct then. On v1 aod and the shims stay in the group that aod was started in.
 *
 * What the kernel or the permissions do not give is told by cgroup_open() once, and asked with cgroup_has(). Nothing here blocks longer than
 * the kernel does; nothing here keeps state that is not in the file system, so that a new aod finds the groups as they are.
 */
#ifndef AOD_AOD_CGROUP_H
#define AOD_AOD_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/sandbox.h"

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };
enum cgroup_controller { CG_MEMORY, CG_PIDS, CG_CPU, CG_IO, CG_CPUSET, CG_FREEZER, CG_KILL, CG_CPUACCT, CG_PSI, CG_CONTROLLERS };

struct cgroups; /* one for each aod */

/*
 * Find or make the subtree. name: level of a private mode, or NULL; where: "auto", "none", "v1" (as auto, without the empty v2 beside it), or the path of
 * a group that is ours, as in /proc/self/cgroup; it is made when missing. "auto" is the group of aod-agents.service beside aod's own (a unit that
 * systemd delegates and that is there for nothing else), else aod's own. Never fails for want of rights: the mode is CGROUP_NONE then and
 * why says what is missing and the mend.
 */
int cgroup_open(struct cgroups **out, const char *where, const char *name, char why[256], struct err *e);
void cgroup_close(struct cgroups *c); /* and removes what is empty of the private level */
enum cgroup_mode cgroup_mode(const struct cgroups *c);
bool cgroup_has(const struct cgroups *c, enum cgroup_controller k);
/* The keys that l sets and that have no effect here, as "MemoryMax" words, or NULL; caller frees. */
char **cgroup_lacks(const struct cgroups *c, const struct limits *l);

/*
 * Make the session's group and write its limits. slice may be NULL. -EEXIST is no error: an earlier run's is used again, its figures go on. To *lines (a strv, which
 * may be NULL; the caller's; lines itself may be NULL) is added where it is, as in the shim's spec: "cgroup=PATH" of v2, or of the empty v2 beside v1 (first, when it is used), and
 * "cgroup_v1=PATH" of each v1 hierarchy (the freezer's first, when there is no cgroup=).
 */
int cgroup_make(struct cgroups *c, const char *slice, const char *id, const struct limits *l, char ***lines, struct err *e);
/* Write limits that are set in l to a group that exists, processes or not. What is not set stays as it is. */
int cgroup_set(struct cgroups *c, const char *slice, const char *id, const struct limits *l, struct err *e);
/* Limits of a slice itself; it is made when missing. */
int cgroup_set_slice(struct cgroups *c, const char *slice, const struct limits *l, struct err *e);
/* An O_PATH descriptor of the group for CLONE_INTO_CGROUP of a shim: v2's shims/; -1 on v1, where shims stay with aod. */
int cgroup_shim_fd(const struct cgroups *c);

/* -EAGAIN: not all of it is frozen after some milliseconds; it goes on, ask again. */
int cgroup_freeze(struct cgroups *c, const char *slice, const char *id, bool frozen, struct err *e);
/* Kill every process of the group: cgroup.kill, or one round of freeze, SIGKILL, thaw. How many there were (0: it is empty), or negative. */
int cgroup_kill(struct cgroups *c, const char *slice, const char *id, struct err *e);
/* rmdir in all hierarchies. -EBUSY: there are processes left. */
int cgroup_remove(struct cgroups *c, const char *slice, const char *id, struct err *e);
/* Groups below agents/ that have no process and are not known: keep(id, arg) is false. Called at start. */
void cgroup_sweep(struct cgroups *c, bool (*keep)(const char *id, void *arg), void *arg);

struct cgroup_usage { /* -1 where it cannot be had */
	int64_t memory_bytes, memory_peak_bytes, swap_bytes;
	int64_t cpu_us, cpu_user_us, cpu_system_us, cpu_throttled_us;
	int64_t tasks, tasks_peak;
	int64_t io_read_bytes, io_write_bytes;
	int64_t oom_kills, tasks_max_hits, memory_high_hits;
	double memory_pressure, cpu_pressure, io_pressure; /* PSI: some, average of 10 s, in per cent */
};
int cgroup_read_usage(struct cgroups *c, const char *slice, const char *id, struct cgroup_usage *u, struct err *e);
/* {"memory_bytes":…,…}, null for what cannot be had. */
void cgroup_usage_json(struct buf *out, const struct cgroup_usage *u);
/*
 * A descriptor that poll(2) says POLLIN of when an OOM kill may have been (v2: inotify of memory.events, v1: eventfd of memory.oom_control); read it empty and
 * look at cgroup_read_usage(). On v1 it comes just before the kill: look again when a process has ended. -1: cannot be had.
 */
int cgroup_watch_oom(struct cgroups *c, const char *slice, const char *id);
/* "name[pid]" of the last process that the kernel killed in this group for want of memory, from the kernel's log; false: not known. */
bool cgroup_oom_victim(struct cgroups *c, const char *slice, const char *id, char out[64]);

#endif
