/* SPDX-License-Identifier: MIT */
/* Queries that one read of the store answers, and the long poll of a status. */
#ifndef AOD_HTTP_QUERY_H
#define AOD_HTTP_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/route.h"
#include "model/session.h"

/* What handlers need of a session; a copy that stays valid. */
struct found {
	int64_t n, last_seq;
	enum session_state state;
	enum outcome outcome;
	char id[201];
};

/* By id or name. -ENOENT with "Session not found". */
int query_find(const char *key, size_t len, struct found *out, struct err *e);
/* Appends the session's JSON object. Also fills found, which may be NULL. */
int query_render(const char *key, size_t len, struct buf *out, struct found *found, struct err *e);
/* Appends "[…]": all sessions, newest first. */
int query_sessions_json(struct buf *out, struct err *e);

void query_list(const struct request *rq);
void query_session(const struct request *rq);
void query_status(const struct request *rq);
void query_result(const struct request *rq);
void query_plan(const struct request *rq);
void query_health(const struct request *rq);

#endif
