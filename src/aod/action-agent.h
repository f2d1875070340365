/* SPDX-License-Identifier: MIT */
/* What the actions on blueprints share. */
#ifndef AOD_AOD_ACTION_AGENT_H
#define AOD_AOD_ACTION_AGENT_H

#include "aod/agent-edit.h"
#include "aod/registry.h"
#include "aod/request.h"

/* 409 when the request says a version that name is not at. Mirrors what somebody may have edited
 * before. */
int agent_check_version(struct request *q, const char *name, struct err *e);
/* Mirror what was written, and answer with the blueprint. */
int agent_reply(struct request *q, const char *name, const char *action, int status, struct err *e);
/* 422 {"detail","problems"} */
int agent_reply_problems(struct request *q, const struct blueprint_problems *p);
/* Check, write, mirror, answer: 422 when there would be errors. */
int agent_finish(struct request *q, struct change *c, const char *action, int status,
		 struct err *e);

#endif
