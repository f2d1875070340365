/* SPDX-License-Identifier: MIT */
/*
 * aod-http as seen from aod: the listening sockets, which aod opens and keeps, so that no connection is refused while the front
 * is started again; the process; and the wire to it.
 */
#ifndef AOD_AOD_FRONT_H
#define AOD_AOD_FRONT_H

#include <stddef.h>
#include <stdint.h>

#include "aod/manager.h"

struct asker;

/* Open the sockets. The error names the port that is taken. */
int front_open(struct manager *m, struct err *e);
/* Start aod-http, and again whenever it ends. */
int front_start(struct manager *m, struct err *e);
/* While the loop does not run yet: where it answers is written down as soon as it does. All that it says waits for the loop. */
void front_look(struct front *f);
/* Ask it to finish, wait a little, and close everything. */
void front_close(struct manager *m);
/* SIGCHLD said that this process ended. True when it was the front. */
bool front_reaped(struct manager *m, pid_t pid, int status);

/* The number of a request as aod keeps it: an answer that waits must not go to another front's request of the same number. */
int64_t front_request_id(const struct front *f, int64_t id);
/* Answer a request / ring; both are dropped while there is no front, or another one than the one that asked. */
void front_answer(struct front *f, int64_t id, int status, const char *body, size_t len);
/* Tokens were revoked or have ended: what was known of them is looked up anew. */
void front_tokens_gone(struct front *f);
/* Who is behind a connection of the front's; never NULL. Valid until the next message of the front. */
const struct asker *front_asker(const struct front *f, uint64_t number);
void front_bell(struct front *f, int64_t last_id);

#endif
