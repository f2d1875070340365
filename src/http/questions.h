/* SPDX-License-Identifier: MIT */
/* What agents ask: of one session, of all. */
#ifndef AOD_HTTP_QUESTIONS_H
#define AOD_HTTP_QUESTIONS_H

#include "http/route.h"

void questions_session(const struct request *rq);
void questions_all(const struct request *rq);

#endif
