/* SPDX-License-Identifier: MIT */
/*
 * Network namespaces that are ready before they are wanted: the loopback device is up, nothing else is there. Making one takes
 * milliseconds, and waits for others to be taken down; so a helper makes some ahead, from the first time that one is asked for. Those that were
 * used are not used again: the kernel takes them down when their last process ends, beside everything else.
 */
#ifndef AOD_AOD_NETNS_H
#define AOD_AOD_NETNS_H

#include <ev.h>

#include "base/err.h"

#define NETNS_READY 8 /* how many are kept */

struct netns_pool;

struct netns_pool *netns_new(struct ev_loop *loop);
void netns_free(struct netns_pool *p); /* the helper goes, too */
/* A descriptor that is the caller's now, or -1 when none is ready: the shim makes one then. More are made meanwhile. */
int netns_take(struct netns_pool *p);

#endif
