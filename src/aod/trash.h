/* SPDX-License-Identifier: MIT */
/*
 * Directories of deleted sessions. Removing 100,000 files takes seconds, which the loop has not: a directory is renamed into the trash, and
 * a child process empties that. What a crash leaves there goes with the next start.
 */
#ifndef AOD_AOD_TRASH_H
#define AOD_AOD_TRASH_H

#include "aod/manager.h"

/* The directory is gone from its place when this returns; a missing one is fine. */
void trash_put(struct manager *m, const char *dir);
/* Empty the trash soon. */
void trash_empty(struct manager *m);
/* SIGCHLD said that this process ended. */
void trash_reaped(struct manager *m, pid_t pid);
void trash_init(struct manager *m);

#endif
