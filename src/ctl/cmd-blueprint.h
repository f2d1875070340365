/* SPDX-License-Identifier: MIT */
/* What the commands for blueprints share. */
#ifndef AOD_CTL_CMD_BLUEPRINT_H
#define AOD_CTL_CMD_BLUEPRINT_H

#include "ctl/command.h"

/* One request on a blueprint: "/agents/NAME" + tail, as ctl_session_call(). */
int ctl_blueprint_call(struct ctl *c, const char *method, const char *name, const char *tail, const char *body, struct err *e);
/* Says what failed, each problem of the blueprint with its place where the server names them. Returns the exit status. */
int ctl_blueprint_fail(struct ctl *c, const char *name, const struct err *e);
/* The reply as an object, which the caller puts; -EPROTO when it is none. */
int ctl_reply(struct ctl *c, struct json_object **out, struct err *e);
/* The problems of the last reply on stderr, from its body or its detail. Returns how many of them are errors. */
int ctl_say_problems(struct ctl *c, int *warnings);

int cmd_show_blueprint(struct ctl *c);
int cmd_delete_blueprint(struct ctl *c);

#endif
