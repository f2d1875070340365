/* SPDX-License-Identifier: MIT */
/*
 * Slices: groups of sessions with limits of their own. NAME.slice is a file in the directories of the blueprints, with [Slice] (Description=,
 * Documentation=, MaxSessions=) and the keys of [Resources] that are about control groups; the first one found counts. A slice without a file has no limits.
 * As in systemd.slice(5), a-b.slice is part of a.slice. Limits take effect when a session of the slice is started, and when the file changes.
 */
#ifndef AOD_AOD_SLICE_H
#define AOD_AOD_SLICE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct manager;
struct slices;

#define SLICE_SUFFIX ".slice"
#define SLICE_DEPTH_MAX 8

struct slices *slices_new(struct manager *m);
void slices_free(struct slices *s);
/* "a-b" or "a-b.slice" with its suffix; NULL when that is no name of a slice. Caller frees. */
char *slice_full_name(const char *name);
/* Make the groups of name (with its suffix) and of those around it have their limits. Status 422 when a file is wrong. */
int slice_apply(struct slices *s, const char *name, struct err *e);
/* MaxSessions= of name (with its suffix), as its file is now; 0: no limit, no file, or one that is wrong. A few system calls. */
int64_t slice_max_sessions(struct slices *s, const char *name);
/* Files may have changed: limits of slices that were applied. What goes wrong is logged. */
void slices_refresh(struct slices *s);
/* Groups of slices may be gone: limits are written anew. */
void slices_forget(struct slices *s);
/* [{"name","description","path","settings","sessions"},…] of those that have a file or live sessions. */
void slices_json(struct slices *s, struct buf *out);

#endif
