/* SPDX-License-Identifier: MIT */
/*
 * Shims that are born before their runs: a start then does not wait for a process to be made, nor for the namespaces and mounts that many runs have in
 * common (shim/spec.h, the first part of a spec). What a spare has made is what the run's own shim would make: the mounts are its own, used once and by
 * nobody else, and it is not taken when anything that they were made from has changed since: the host's mounts, or what is at a path that the first part
 * names. A run for which there is none starts as ever.
 *
 * Spares are made for what was wanted a second time, when aod has nothing else to do, at most as many as the configuration says of one kind, and of SPARE_KINDS kinds. Those of
 * a kind that nobody has wanted for SPARE_IDLE_S end, and all end with aod.
 */
#ifndef AOD_AOD_SPARE_H
#define AOD_AOD_SPARE_H

#include <stdbool.h>

#include "aod/manager.h"
#include "base/buf.h"

#define SPARES_DEFAULT 2 /* of each kind */
#define SPARES_MAX 16
#define SPARE_KINDS 4
#define SPARE_IDLE_S 600

struct spares;
struct spare;

struct spares *spares_new(struct manager *m);
void spares_free(struct spares *s);
/* One that has carried out this first part, or NULL; either way the kind is wanted from now on. The caller's, to be told and started, or ended. */
struct spare *spare_take(struct spares *s, const struct buf *first);
/* Tells it of its run, so that it makes ready what needs no group; descriptors stay the caller's, -1: none. 0, or -errno when it is gone. */
int spare_tell(struct spare *sp, int spec_fd, int seccomp_fd, int netns_fd);
/* And of its groups, lines as in the spec (a strv, or NULL), so that the agent is born and waits to be executed. 0 or -errno. */
int spare_groups(struct spare *sp, char *const *groups);
/* The run has begun: the agent is executed. Its pid, or -errno when it is gone. Frees it. */
pid_t spare_start(struct spare *sp);
void spare_end(struct spare *sp); /* NULL is fine */
/* Makes one, if one is wanted. True: there may be more to make. */
bool spares_make(struct spares *s);
int spares_ready(const struct spares *s); /* how many could be taken */

#endif
