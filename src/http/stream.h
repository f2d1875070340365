/* SPDX-License-Identifier: MIT */
/* Events of one session: as one JSON document, or as a stream (ndjson, SSE) that may follow what
 * comes. */
#ifndef AOD_HTTP_STREAM_H
#define AOD_HTTP_STREAM_H

#include "http/route.h"

#define STREAM_PAGE 500                /* events of one read */
#define STREAM_PAGE_BYTES (256u << 10) /* a page ends with the event that goes over it */
#define HEARTBEAT_US (15 * 1000000LL)

void stream_events(const struct request *rq);
/* GET /events/{id} of old clients: an unknown session has no events. */
void stream_events_old(const struct request *rq);

#endif
