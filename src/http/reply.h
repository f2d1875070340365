/* SPDX-License-Identifier: MIT */
/* Answers: JSON bodies, errors in the form {"detail":…}, and the headers for browsers (CORS). */
#ifndef AOD_HTTP_REPLY_H
#define AOD_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include <h2o.h>

#include "base/buf.h"
#include "base/err.h"

struct json_object;

/* Reads CORS_ORIGINS and AOD_DASHBOARD_ORIGIN. Call after server_init(), which knows the ports. */
void reply_init(void);

/* Sets status, reason and content type (NULL = application/json); the caller sends the body. */
void reply_start(h2o_req_t *req, int status, const char *content_type);
bool reply_is_head(const h2o_req_t *req);
/* The body is copied. n = 0: an empty body. */
void reply_body(h2o_req_t *req, int status, const char *content_type, const void *body, size_t n);
void reply_json(h2o_req_t *req, int status, const char *body, size_t n);
void reply_buf(h2o_req_t *req, int status, const struct buf *b);
/* shared comes from h2o_mem_alloc_shared(); a reference is taken for as long as the answer needs
 * it. */
void reply_shared(h2o_req_t *req, int status, const char *content_type, void *shared, size_t n);
void reply_detail(h2o_req_t *req, int status, const char *text);
/* A failed read of the store, or whatever else filled e. */
void reply_err(h2o_req_t *req, const struct err *e);
/* 422 with the list that verb_check() made; takes it. */
void reply_invalid(h2o_req_t *req, struct json_object *problems);

/* ,"key":"value" or ,"key":null; a time is ISO 8601, null where it is 0 or for ever. */
void reply_put_text(struct buf *out, const char *key, const char *value);
void reply_put_time(struct buf *out, const char *key, int64_t us);
/* {"detail":"text"} */
void reply_detail_text(struct buf *out, const char *text);

/* Adds the CORS headers when the request has an Origin that is allowed. */
void reply_cors(h2o_req_t *req);
/* False when the request comes from a page of an origin that is not allowed. No Origin is fine. */
bool reply_origin_ok(h2o_req_t *req);
/* Answers OPTIONS when it is a preflight; false when it is not. */
bool reply_preflight(h2o_req_t *req);

#endif
