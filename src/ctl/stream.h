/* SPDX-License-Identifier: MIT */
/*
 * Events of a session: read in pages, or followed as they come. Following goes on where it was when the connection is lost, so that
 * each event comes exactly once, in the order of seq.
 */
#ifndef AOD_CTL_STREAM_H
#define AOD_CTL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ctl/client.h"

#define STREAM_LINE_MAX (64u << 20) /* bytes */

/* Cuts a stream into lines. Zero it; splitter_free() it. */
struct splitter {
	struct buf in;
	size_t seen; /* bytes of in that hold no newline */
};
typedef int (*line_cb)(const char *line, size_t n, void *arg, struct err *e);
/* Calls on_line for each whole line that is not empty, NUL-terminated, without its newline. -EMSGSIZE for one that is over max
 * bytes; a negative value of on_line ends it. */
int splitter_feed(struct splitter *s, const char *p, size_t n, size_t max, line_cb on_line, void *arg, struct err *e);
void splitter_free(struct splitter *s);

struct json_object;
/* One event: its text as the server sent it, and parsed. A negative value ends the reading and is returned. */
typedef int (*event_cb)(const char *text, size_t n, struct json_object *ev, void *arg, struct err *e);

struct events_query {
	const char *id;	  /* of the session */
	int64_t after;	  /* seq; moved with each event */
	int64_t until;	  /* events_read: the last seq that is wanted */
	bool raw;
};
/* Those after `after` up to `until`, which is the session's seq: a busy session has no end otherwise. */
int events_read(struct client *c, struct events_query *q, event_cb cb, void *arg, struct err *e);
/*
 * Until the session is no longer live and all of its events were seen. A lost connection is tried again with back-off for
 * a minute; stderr is told once.
 */
int events_follow(struct client *c, struct events_query *q, event_cb cb, void *arg, struct err *e);

/* GET /sessions/{id}; *out is the session's object, the caller's to put. */
int session_fetch(struct client *c, const char *id, struct buf *reply, struct json_object **out, struct err *e);
/* Waits until the session has ended; at most timeout_us (INT64_MAX: for ever): -ETIMEDOUT. Goes on over lost connections as above. */
int session_wait(struct client *c, const char *id, int64_t timeout_us, struct err *e);
/* "/sessions/ID" + tail, with the id escaped. */
char *session_path(const char *id, const char *tail);

#endif
