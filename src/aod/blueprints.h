/* SPDX-License-Identifier: MIT */
/* Where blueprints are found: files NAME.blueprint, first match wins, read anew each time (a change needs no restart). */
#ifndef AOD_AOD_BLUEPRINTS_H
#define AOD_AOD_BLUEPRINTS_H

#include "aod/manager.h"
#include "model/blueprint.h"

/* -ENOENT (status 404, with the nearest names), or status 422 with the first problem and its place. Caller frees *out. */
int blueprint_load(const struct manager *m, const char *name, struct blueprint **out, struct err *e);

#endif
