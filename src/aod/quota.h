/* SPDX-License-Identifier: MIT */
/*
 * WorkspaceQuota=: how much disk the directories of live sessions take, looked at every few seconds by one child at a time, of low priority,
 * for all sessions that have a quota. What the file system itself can hold to a size (PrivateTmpSize=) is not its matter.
 */
#ifndef AOD_AOD_QUOTA_H
#define AOD_AOD_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define QUOTA_PERIOD_S 3.0	   /* between the end of one look and the next */
#define QUOTA_ENTRIES_MAX 2000000 /* files that are looked at in one directory: more than these are over any quota */

struct manager;
struct quota;

struct quota *quota_new(struct manager *m);
void quota_free(struct quota *q);
/* A session with a quota has become live. */
void quota_wanted(struct quota *q);

/* Bytes on disk below dir, without what is mounted there; stops once there are more than max. Links count as what they are. For the child and tests. */
int64_t quota_measure(const char *dir, int64_t max);

#endif
