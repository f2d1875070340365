/* SPDX-License-Identifier: MIT */
/* Queries about blueprints, answered from what aod mirrors of their files into the database. */
#ifndef AOD_HTTP_AGENTS_H
#define AOD_HTTP_AGENTS_H

#include "http/route.h"

void agents_list(const struct request *rq);
void agents_get(const struct request *rq);
void agents_history(const struct request *rq);
void agents_diff(const struct request *rq);
void agents_schema(const struct request *rq);
void agents_validate(const struct request *rq);
/*
 * Check a unit text; when there are errors, the request is answered (422 with the problems) and
 * false is returned. For texts that cannot be passed on as they are.
 */
bool agents_text_ok(const struct request *rq, const char *text, size_t n);

#endif
