/* SPDX-License-Identifier: MIT */
/*
 * Files by which git runs programs, made by an agent in the git repositories of its project. What is there when a run starts is read-only (model/sandbox.h);
 * what is not cannot be, without leaving a file of ours in the project. So it is looked for when the run has ended: what has appeared is given another
 * name, and an event says so. While the run goes on, it is there.
 */
#ifndef AOD_AOD_GITGUARD_H
#define AOD_AOD_GITGUARD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct git_guarded;

struct git_guard {
	struct git_guarded *v; /* one for each repository */
	int count;
};

/* paths: sandbox.git_guard, NULL: none. Nothing else may have been in *g. */
void git_guard_begin(struct git_guard *g, char *const *paths);
/* ,"git_guard":[…] of run.args, and what a later aod makes of it; nothing when nothing is looked after. */
void git_guard_args(struct buf *out, const struct git_guard *g);
void git_guard_restore(struct git_guard *g, struct json_object *args);
/*
 * The agent is gone. False: it made nothing of the kind. Otherwise text is what to tell, and *files (a strv, the caller frees it) what it made, by the
 * names it had. What has appeared in a repository that was there is called NAME.from-agent now; one of the agent's own is left as it is.
 */
bool git_guard_end(const struct git_guard *g, struct buf *text, char ***files);
void git_guard_free(struct git_guard *g);

#endif
