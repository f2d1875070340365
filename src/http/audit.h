/* SPDX-License-Identifier: MIT */
/* Queries for operators: tokens, the audit trail. */
#ifndef AOD_HTTP_AUDIT_H
#define AOD_HTTP_AUDIT_H

#include "http/route.h"

void audit_tokens(const struct request *rq);
void audit_list(const struct request *rq);

#endif
