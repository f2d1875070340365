/* SPDX-License-Identifier: MIT */
/* What a shim is told of its run: shim/spec.h, written. */
#ifndef AOD_AOD_SHIM_SPEC_H
#define AOD_AOD_SHIM_SPEC_H

#include <stdbool.h>

#include "aod/run.h"
#include "base/err.h"

struct shim_fds {
	int seccomp; /* borrowed until the next filter is asked for, -1: none */
	bool notify; /* it reports to a listener */
	int netns;   /* owned, -1: none */
};

/*
 * The memfd with the spec, owned by the caller; the user is known. -errno, also for credentials that cannot be read (422). of_run: the mounts that are to be
 * in it, NULL: all. groups: lines of cgroup_make(), or NULL.
 */
int shim_spec_make(const struct run *r, const struct shim_fds *fds, const bool *of_run, char *const *groups, struct err *e);
/* The first part of the spec of a spare that this run could have, into out; and which mounts are not in it (caller frees), NULL: there is none in it. */
bool *shim_spec_first(const struct run *r, const struct shim_fds *fds, struct buf *out);
/* The filter and the network namespace of s. */
int shim_fds_get(const struct run *r, struct shim_fds *fds, struct err *e);

#endif
