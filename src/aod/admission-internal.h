/* SPDX-License-Identifier: MIT */
/* Private to admission*.c: what is counted, who waits, and for what. */
#ifndef AOD_AOD_ADMISSION_INTERNAL_H
#define AOD_AOD_ADMISSION_INTERNAL_H

#include <ev.h>

#include "aod/admission.h"
#include "aod/load.h"
#include "aod/run.h"
#include "aod/waiting.h"

#define GROUP_BUCKETS 256
#define WAITING_BUCKETS 1024

/* All sessions of a blueprint, or in a slice and those below it. Kept while a run or a line refers to it. */
struct start_group {
	struct start_group *next;
	char *name; /* of a slice with its suffix */
	bool slice;
	int refs;
	int64_t count; /* sessions with a run */
	int64_t max;   /* 0: no limit */
	int64_t looked_us; /* when max was looked at, monotonic */
};

/* Those that wait and are counted by the same groups. */
struct waiting_kind {
	struct waiting_kind *next;
	struct counted groups;
	char *slice;  /* or "" */
	bool unknown; /* the slice: a start of aod has read them from the database, which does not say */
	struct line line; /* never empty */
};

struct admission {
	struct manager *m;
	struct start_group *groups[GROUP_BUCKETS];
	struct waiting *buckets[WAITING_BUCKETS]; /* by session */
	struct line all;
	struct waiting_kind *kinds;
	struct load load;
	int64_t over_us;	 /* the last look at the load at which it was too high, monotonic; 0: never */
	enum wait_for { WAIT_NOTHING, WAIT_ORDER, WAIT_MAX_SESSIONS, WAIT_BLUEPRINT, WAIT_SLICE, WAIT_MEMORY, WAIT_PRESSURE, WAIT_DRAIN } over; /* what was too high */
	int64_t started_read_us; /* the look at the load at which the last session was started */
	ev_timer wake_w;
	bool awake;		 /* it is set to now */
};

struct waiting *admission_find(struct admission *a, int64_t session);
/* For what c waits now; WAIT_ORDER: for its turn, or for nothing. *group is the full one of WAIT_BLUEPRINT and WAIT_SLICE. */
enum wait_for admission_why(struct manager *m, const struct counted *c, struct start_group **group);
/* The same in words. */
void admission_put_reason(struct manager *m, const struct waiting *w, struct buf *out);

#endif
