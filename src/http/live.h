/* SPDX-License-Identifier: MIT */
/*
 * The feed and its subscribers: WebSocket, SSE and ndjson.
 *
 * Nothing is queued per client. A subscriber is a cursor and at most one write in flight. Frames
 * come from a shared ring of the newest ones, or, for one who is behind the ring, from a page of
 * its own read from the store. So a client that takes nothing costs nothing and holds up nobody,
 * and one that comes back with its cursor misses nothing.
 */
#ifndef AOD_HTTP_LIVE_H
#define AOD_HTTP_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "http/route.h"

#define LIVE_FEED_PAGE 500              /* rows read into the ring in one turn */
#define LIVE_OWN_PAGE 200               /* rows of a subscriber's own page */
#define LIVE_OWN_PAGE_BYTES (64u << 10) /* it ends with the frame that goes over it */
#define LIVE_BATCH 64                   /* frames in one write */
#define LIVE_BATCH_BYTES (256u << 10)
/*
 * Frames that are alive because slow clients hold them: above the first, clients whose write takes
 * longer than LIVE_STALL_US are closed; above the second, own pages wait and the longest write is
 * cut.
 */
#define LIVE_BYTES_SOFT (48u << 20)
#define LIVE_BYTES_MAX (96u << 20)
#define LIVE_STALL_US (5 * 1000000LL)
#define LIVE_TURN_BYTES (8u << 20) /* handed to sockets in one turn of the loop */
#define LIVE_PING_US (30 * 1000000LL)

void live_init(void);
/* GET /ws */
void live_ws(const struct request *rq);
/* GET /events */
void live_feed(const struct request *rq);
/* Everything up to id is committed. */
void live_bell(int64_t id);
/* A bounded piece of work. */
void live_work(void);
/* Whether there is more of it at once. */
bool live_pending(void);
void live_tick(int64_t now);
void live_quit(void);

#endif
