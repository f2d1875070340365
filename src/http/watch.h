/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait for a session to change: long polls, sync starts, streams of one session.
 * After a bell each is asked to look at the store again. Looking costs microseconds; when so many
 * wait that it would take more than a part of the time, the rounds are spaced out.
 */
#ifndef AOD_HTTP_WATCH_H
#define AOD_HTTP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

struct watch {
	h2o_linklist_t link;
	int64_t wake_us; /* check() is called at this time (mono_us) also without a bell */
	/* Look again. Returns true when it had something to do. May remove itself. */
	bool (*check)(struct watch *w, int64_t now);
};

void watch_init(void);
void watch_add(struct watch *w);
void watch_remove(struct watch *w); /* fine when it was not added */
void watch_bell(void);
/* Run what is due. */
void watch_work(int64_t now);
/* When watch_work() is needed next. */
int64_t watch_next(void);
void watch_quit(void);

#endif
