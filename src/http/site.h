/* SPDX-License-Identifier: MIT */
/*
 * Whether a browser was tricked into a request: by a name that an attacker's DNS gives our address to (Host), by a page of another
 * site (Origin, Sec-Fetch-Site). Programs that are no browsers send none of these but Host, and are not hindered.
 */
#ifndef AOD_HTTP_SITE_H
#define AOD_HTTP_SITE_H

#include <stdbool.h>

#include <h2o.h>

struct conn;

/* A further name for Host. */
void site_allow_host(const char *name);
/* False: the request was answered, with 421 or 403. */
bool site_check(h2o_req_t *req, const struct conn *c);

#endif
