/* SPDX-License-Identifier: MIT */
/* Actions: checked here, carried out by aod. Owns the wire to aod and the requests that wait for
 * its answers. */
#ifndef AOD_HTTP_FORWARD_H
#define AOD_HTTP_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "http/route.h"

struct conn;

#define FORWARD_TIMEOUT_US (30 * 1000000LL) /* then 504; a late answer is dropped */
#define FORWARD_QUEUE_MAX (64u << 20)       /* bytes that aod has not taken yet; above it 503 */

/* Takes fd, says hello. Call after server_init(). */
void forward_init(int fd);
void forward_action(const struct request *rq);
/* args is a JSON object. False when the request was answered instead (503). */
bool forward_send(h2o_req_t *req, const struct verb *verb, const char *args, size_t n);
/*
 * The body as arguments, checked; NULL with the problems in *bad, which the caller puts. Where the
 * verb takes a unit file, a body that is not JSON is its text: {"unit":body}.
 */
struct json_object *forward_args(const struct request *rq, struct json_object **bad);
/* Whether the body is the text of a unit file. */
bool forward_is_text(const struct request *rq);
/* c is closed. */
void forward_conn_gone(struct conn *c);
void forward_tick(int64_t now);
/* For aod, without an answer; {"…"} */
void forward_notice(const struct buf *b);
void forward_token_used(const char *id);
/* Nothing new is sent to aod from now on; what is pending may still be answered. */
void forward_quit(void);

#endif
