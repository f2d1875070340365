/* SPDX-License-Identifier: MIT */
/*
 * A run's containment over its life: user and control group at its start, freezing, figures, what the kernel did to it for want of memory or
 * tasks, and its group's end. What it is contained by is decided by its plan (model/sandbox.h) and kept in its row, so that a new aod
 * goes on with it. Control groups themselves are cgroup.c's, namespaces and mounts the shim's.
 */
#ifndef AOD_AOD_CONTAIN_H
#define AOD_AOD_CONTAIN_H

#include <ev.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/sandbox.h"
#include "model/session.h"

struct manager;
struct run;
struct run_result;

struct contained {
	char *slice;		 /* with .slice at its end, or NULL */
	int64_t uid, gid;	 /* of the agent, -1: as aod */
	int64_t workspace_quota, log_size_max; /* bytes, -1: none */
	bool log_full;		 /* LogSizeMax= is reached: nothing more is kept */
	int64_t oom_policy;
	bool group;		 /* it has a control group of its own */
	char **lines;		 /* which the shim is told of, once it is there: a strv, as in shim/spec.h; or NULL */
	bool frozen;
	bool unsettled;		 /* it was taken over, and contain_settle() is still to be done */
	bool basic_filter;	 /* SystemCallFilter=yes */
	int64_t oom_kills, task_hits; /* that events told of */
	int oom_fd, oom_tries;
	ev_io oom_w;
	ev_timer oom_again_w;
	/* How a run that aod itself ends is to be said to have ended; OUTCOME_NONE: as the adapter says. */
	enum outcome why;
	char *why_text, *oom_text;
	struct buf figures; /* JSON of what the run used, once it has ended; or empty */
};

void contain_init(struct run *r);
void contain_free(struct run *r);

/* ---- start ---- */

/*
 * What of s cannot be had on this host: status 422 for what the blueprint itself asks for. Limits of the profile that have no effect here are appended to
 * *weaker ("TasksMax" words). b is the blueprint that s was made from.
 */
int contain_check(const struct manager *m, const struct blueprint *b, const struct sandbox *s, char ***weaker, struct err *e);
/* A run is to be made from s: its user (which goes into s as well), and what is kept of it. */
int contain_take(struct run *r, struct sandbox *s, struct err *e);
/* Make its group, with its limits, and that of its slice. */
int contain_group(struct run *r, const struct sandbox *s, struct err *e);
/* It runs: watch it. */
void contain_watch(struct run *r);
/* ,"uid":…  for run.args, and back. */
void contain_args(struct buf *out, const struct run *r);
void contain_restore(struct run *r, struct json_object *args);
/* What its events told of kills and limits, for a run of an aod that kept that nowhere else. */
void contain_recall(struct run *r);
/* Once after contain_restore(), when others need not wait for it any more: freezes or thaws it as is said of it, and watches it. */
void contain_settle(struct run *r);

/* ---- life ---- */

/* -ENOTSUP (status 409) where there is no freezer. */
int contain_freeze(struct run *r, bool frozen, struct err *e);
/* {"memory_bytes":…} of a live run. */
int contain_usage(struct run *r, struct buf *out, struct err *e);
/* "KEY=VALUE" words of [Resources], checked as a blueprint's are, take effect now. Nothing is changed when one is wrong (status 422). */
int contain_set(struct run *r, char *const *properties, struct err *e);
/* Events about what the kernel did since they were last looked at; a full memory may lead to a stop. */
int contain_look(struct run *r, struct err *e);
/* aod ends it: stop it, and remember what for. */
void run_end_for(struct run *r, enum outcome why, const char *text);
/* More disk than WorkspaceQuota= is used. */
void run_over_quota(struct run *r, int64_t bytes);
/* So many bytes of output are to be kept: when they are too many, the run is stopped, and in.log_full says that they, and all to come, are not. */
int contain_log(struct run *r, int64_t bytes, struct err *e);
/* SIGKILL to all of it, until nothing is left or it has been tried for a while; contain_release() goes on then. How many there were. */
int contain_kill(struct run *r);

/* ---- end ---- */

/* Last figures, and the outcome where aod or the kernel ended it. */
int contain_on_end(struct run *r, struct run_result *res, struct err *e);
/* Its end is committed: the group goes, soon. */
void contain_release(struct run *r);

/* ---- manager ---- */

int contain_open(struct manager *m, struct err *e);
void contain_close(struct manager *m);
void contain_warm_init(struct manager *m);
/* Make what starts need and no request is to wait for, as soon as nothing else is to be done: at aod's start, and when a run has started. */
void contain_warm(struct manager *m);
/* Groups that nobody knows any more; after the live runs are in memory. */
void contain_sweep(struct manager *m);

#endif
