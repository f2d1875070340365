/* SPDX-License-Identifier: MIT */
/*
 * Refusals: those of tokens that are not valid come late, the later the more there were from the same place, so that guessing takes for ever; all are
 * told to aod for its audit trail, at most once a second each.
 */
#ifndef AOD_HTTP_REFUSE_H
#define AOD_HTTP_REFUSE_H

#include <stdint.h>

#include "http/auth.h"
#include "http/route.h"

#define REFUSE_DELAY_US 100000	      /* of the first; doubles with each further one */
#define REFUSE_DELAY_MAX_US 5000000
#define REFUSE_FORGET_US 10000000     /* so long after, one is forgotten */
#define REFUSE_SOURCES 256
#define REFUSE_WAITING_MAX 256	      /* answers that are held back; further ones are 429 at once, and the connection is closed */

/* who is NULL: the token is not valid. why: what would help, or NULL. */
void refuse(const struct request *rq, const struct who *who, const char *why);
void refuse_tick(int64_t now);

#endif
