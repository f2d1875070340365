/* SPDX-License-Identifier: MIT */
/*
 * Who is behind the connections of aod-http. That is the part which strangers talk to, so it is not believed: with the first action of a connection it hands
 * over the connection itself, and what the kernel says of that counts. A front that was taken over can act for operators who connect to it, as long as it
 * likes, and out of nothing for nobody.
 */
#ifndef AOD_AOD_ASKER_H
#define AOD_AOD_ASKER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/peer.h"

#define ASKERS_MAX 8192 /* more than aod-http has connections */

struct asker {
	bool known;	  /* it came in where aod listens */
	bool tokens_only; /* there, without a token everybody is nobody */
	struct peer peer;
	struct in_addr address; /* of TCP */
};

/* A socket that listens. */
struct door {
	int fd;
	bool tokens_only;
};

struct askers {
	struct asker *all;
	size_t count;
};

/* Connection number is this one; false: the number is out of range. fd stays the caller's. */
bool askers_note(struct askers *a, uint64_t number, int fd, const struct door *doors, size_t door_count, const struct access *access);
void askers_gone(struct askers *a, uint64_t number);
/* What is known of it; never NULL. */
const struct asker *askers_find(const struct askers *a, uint64_t number);
void askers_clear(struct askers *a); /* another front counts anew */

#endif
