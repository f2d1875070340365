/* SPDX-License-Identifier: MIT */
/* Actions: checked here, carried out by aod. Owns the wire to aod and the requests that wait for
 * its answers. */
#ifndef AOD_HTTP_FORWARD_H
#define AOD_HTTP_FORWARD_H

#include <stdint.h>

#include "http/route.h"

#define FORWARD_TIMEOUT_US (30 * 1000000LL) /* then 503; a late answer is dropped */
#define FORWARD_QUEUE_MAX (64u << 20)       /* bytes that aod has not taken yet; above it 503 */

/* Takes fd, says hello. Call after server_init(). */
void forward_init(int fd);
void forward_action(const struct request *rq);
void forward_tick(int64_t now);
/* Nothing new is sent to aod from now on; what is pending may still be answered. */
void forward_quit(void);

#endif
