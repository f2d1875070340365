/* SPDX-License-Identifier: MIT */
/*
 * The audit trail: a row for each request that changes something, written with the transaction that its answer belongs to; and for
 * refusals, of which aod-http tells those that never come to aod.
 */
#ifndef AOD_AOD_AUDIT_H
#define AOD_AOD_AUDIT_H

#include <json-c/json.h>

#include "aod/manager.h"

struct request;

/* From here on the answer to q is written down. */
void audit_begin(const struct request *q, const char *verb);
/* What it is about, once that is known better than from its arguments. */
void audit_target(struct manager *m, int64_t id, const char *target);
/* Request id is being answered: its row, if it is to have one. */
void audit_answer(struct manager *m, int64_t id, int status);
/* aod-http refused: {"who","from","verb","status","count"}. */
void audit_refused(struct manager *m, struct json_object *o);
void audit_done(struct manager *m);

#endif
