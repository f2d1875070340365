/* SPDX-License-Identifier: MIT */
/* What the handlers of the commands of old share. See applet.h. */
#ifndef AOD_CTL_APPLET_RUN_H
#define AOD_CTL_APPLET_RUN_H

#include "ctl/applet.h"
#include "ctl/client.h"

struct json_object;

struct applet_call {
	struct applet_args args;
	struct client *client;
	bool inside;	  /* an agent of the aod that is talked to: its session is the parent of what is started */
	struct buf reply; /* of the last request */
};

/* Handlers: the exit status; what went wrong has been said. */
int ao_new(struct applet_call *c);
int ao_resume(struct applet_call *c);
int ao_status(struct applet_call *c);
int ao_get_result(struct applet_call *c);
int ao_list_sessions(struct applet_call *c);
int ao_list_agents(struct applet_call *c);
int ao_show_config(struct applet_call *c);
int ao_clean(struct applet_call *c);

/* "Error: …", or {"error": "…"} of the commands of documents, on stderr. Returns 1. */
int applet_fail(const struct applet_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* GET or DELETE, or a body of JSON; parsed. The caller puts *out, which may be NULL: no matter what it says. */
int applet_call_json(struct applet_call *c, const char *method, const char *path, const char *body, struct json_object **out, struct err *e);
/* What people and scripts read. */
void applet_print(const char *s, size_t n);

#endif
