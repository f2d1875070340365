/* SPDX-License-Identifier: MIT */
/* From a request to its handler: one row per query; actions are all forwarded to aod. */
#ifndef AOD_HTTP_ROUTE_H
#define AOD_HTTP_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "base/buf.h"
#include "http/parse.h"
#include "http/auth.h"
#include "model/verb.h"

struct json_object;

/* Valid during the handler's call, but for req. */
struct request {
	h2o_req_t *req;
	const struct verb *verb;
	const char *id; /* the {id} of the path, decoded; "" when there is none */
	size_t id_len;
	const char *second; /* what follows it in the path, decoded; NULL when there is none */
	struct json_object *query; /* arguments of the query string as text, checked; NULL when
				      there are none */
	const char *query_text;    /* the query string as it came */
	size_t query_text_len;
	struct held_body body; /* what h2o has not read, where it is an upload */
	const struct who *who; /* who asks; not NULL */
};

int route_request(h2o_handler_t *self, h2o_req_t *req);
/* Every query of the verb table has a handler, else this aborts. */
void route_init(void);

int64_t request_int(const struct request *rq, const char *name, int64_t otherwise);
bool request_bool(const struct request *rq, const char *name);
const char *request_text(const struct request *rq, const char *name); /* or NULL */
bool request_has(const struct request *rq, const char *name);
/* Whether the Accept header names this type. */
bool request_accepts(const h2o_req_t *req, const char *type);

#endif
