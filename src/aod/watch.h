/* SPDX-License-Identifier: MIT */
/*
 * The times of a run: how long it may take to begin, to be silent, to use a tool, to run; and how it is ended when it has to, in steps.
 * No time passes while a run is frozen. From when times count is kept in its row, so that a new aod goes on with them.
 */
#ifndef AOD_AOD_WATCH_H
#define AOD_AOD_WATCH_H

#include <ev.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/plan.h"

struct run;

struct watched {
	struct run_limits may;
	/* Wall-clock times in microseconds, later by what the run stood still since; 0: not yet. */
	int64_t base_us;  /* it was started */
	int64_t first_us; /* its first line came */
	int64_t quiet_us; /* since then nothing was heard of it, nor seen at work */
	int64_t frozen_us; /* since then it stands still */
	int64_t waiting_us; /* since then it waits for an answer */
	/* the last look at its control group */
	int64_t look_us, cpu_us, io_bytes;
	ev_timer limit_w, stop_w;
	/* a stop that is on its way: when it kills, and what comes next */
	int64_t kill_at_us, step_us;
	int64_t stop_us; /* how long it may take, as it was asked for; -1: as the blueprint says */
	bool interrupted;
	bool stop_told; /* the shim was told to stop */
};

void watch_init(struct run *r);
void watch_done(struct run *r);
/* ,"timeout_start_us":…  for run.args, and back; {…} for run.watch, and back. */
void watch_args(struct buf *out, const struct run *r);
void watch_restore(struct run *r, struct json_object *args, const char *saved);
void watch_save(struct buf *out, const struct run *r);

/* Its process runs; a line came; it was frozen or thawed; anything else may have changed. Each sets the timer anew. */
void watch_started(struct run *r, int64_t time_us);
void watch_heard(struct run *r, int stream, int64_t time_us);
void watch_frozen(struct run *r, bool frozen);
/* It waits for an answer, or has none to wait for any more: neither its silence nor its tools are held against it meanwhile. */
void watch_waiting(struct run *r, bool waiting);
void watch_arm(struct run *r);

#endif
