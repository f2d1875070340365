/* SPDX-License-Identifier: MIT */
/* Private to the handlers of actions: a request, its arguments, its answers. */
#ifndef AOD_AOD_REQUEST_H
#define AOD_AOD_REQUEST_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "aod/run.h"
#include "base/util.h"
#include "model/permission.h"

struct request {
	struct manager *m;
	int64_t id;
	struct json_object *args; /* checked against the verb's row */
	char author[100];	  /* who asks: uid:N, tcp:ADDRESS, token:NAME or session:ID */
	char origin[80];	  /* from where: "unix uid 0 pid 12" or "tcp ADDRESS" */
	enum role role;
	char session[201]; /* id of the session that asks, for ROLE_SESSION */
	char login[ID_SIZE]; /* id of the login or token that the request came with, or "" */
};

/* NULL when it is missing, null, or no string. Valid as long as the request. */
const char *request_text(const struct request *q, const char *name);
int64_t request_number(const struct request *q, const char *name, int64_t otherwise);
/* Of a boolean: 1 true, -1 false, 0 it is not there. */
int request_choice(const struct request *q, const char *name);
/* The same of callback, or what execution_mode says of that; and whether that is one that there is. */
int request_callback(const struct request *q);
int request_check_mode(const struct request *q, struct err *e);
/* A strv, or NULL when it is no array. */
char **request_words(const struct request *q, const char *name);
/* The session that the path names, as session_find(). */
int request_session(const struct request *q, struct session *s, struct run **run, struct err *e);
/* 422: the body has no such member. */
int request_missing(const struct request *q, const char *field);
/* {"ok":true<more>,"session":{…}} */
void request_reply_session(const struct request *q, const struct session *s, const char *more);

/* action.c, for action-event.c */
/* 409 when the name is taken. A registration may repeat the name of an ended session. */
int request_check_name(const struct request *q, const char *name, bool registration, struct err *e);
/* A passive session from the arguments, not stored yet; and stored. */
void request_new_session(const struct request *q, struct session *s);
int request_store_new(const struct request *q, struct session *s, struct err *e);

/*
 * A session of aod's own: s has what is asked for, what is missing is made up. 0: *out is its run, which is the manager's; 1: it is queued, s is the
 * session as it is stored, *out is NULL.
 */
int request_start(const struct request *q, struct session *s, const struct run_args *args, struct run **out, struct err *e);

/* action-stop.c */
struct tree_list;
/* Whether it is the session's own parent that asks. */
bool request_by_parent(const struct request *q, const struct session *s);
/* Whether all below the session is meant, too; those, newest first, the session itself last; what became of them: "sessions". */
bool request_tree(const struct request *q);
int request_family(const struct request *q, const struct session *top, struct tree_list *out, struct err *e);
void request_reply_family(const struct request *q, const struct session *top, const struct tree_list *l, const char *more);
int action_stop(struct request *q, struct err *e);
int action_delete(struct request *q, struct err *e);
int action_delete_all(struct request *q, struct err *e);

/* action-plan.c */
int action_plan(struct request *q, struct err *e);
int action_doctor(struct request *q, struct err *e);

/* action-plan.c: the queue, and where a session stands in it */
int action_queue(struct request *q, struct err *e);
int action_session_queue(struct request *q, struct err *e);

/* timer.c */
int action_timers(struct request *q, struct err *e);

/* action-event.c */
/* An event as clients send it; its event_type is there. */
void request_event(struct json_object *o, struct event *ev);
int action_append(struct request *q, struct err *e);
int action_append_any(struct request *q, struct err *e);
int action_patch(struct request *q, struct err *e);

/* action-import.c */
int action_import(struct request *q, struct err *e);

/* action-document.c */
int action_document_create(struct request *q, struct err *e);
int action_document_put(struct request *q, struct err *e);
int action_document_patch(struct request *q, struct err *e);
int action_document_delete(struct request *q, struct err *e);
int action_document_relate(struct request *q, struct err *e);
int action_document_unrelate(struct request *q, struct err *e);

/* action-caller.c */
/* aod-http says which connection it is, and the token that came over it; who that is, is found out here. Who is not found to be somebody is nobody. */
void request_note_caller(struct request *q, struct json_object *caller);

/* action-prompt.c */
int action_resume(struct request *q, struct err *e);
int action_interrupt(struct request *q, struct err *e);
int action_prompt_cancel(struct request *q, struct err *e);
int action_prompt_cancel_all(struct request *q, struct err *e);
/* action-ask.c */
int action_answer(struct request *q, struct err *e);

/* action-contain.c */
int action_freeze(struct request *q, struct err *e);
int action_thaw(struct request *q, struct err *e);
int action_usage(struct request *q, struct err *e);
int action_set_property(struct request *q, struct err *e);
int action_slices(struct request *q, struct err *e);

/* action-restart.c */
int action_restart(struct request *q, struct err *e);
int action_reset_failed(struct request *q, struct err *e);
int action_reset_failed_all(struct request *q, struct err *e);

/* action-token.c */
int action_token_create(struct request *q, struct err *e);
int action_token_revoke(struct request *q, struct err *e);
int action_login(struct request *q, struct err *e);
int action_logout(struct request *q, struct err *e);
/* Whether a session may ask this of what it asks it of; fills in what is its own. Its role may the verb already. */
int action_scope(struct request *q, const struct verb *v, struct err *e);

/* action-agent.c, action-version.c */
int action_agent_create(struct request *q, struct err *e);
int action_agent_patch(struct request *q, struct err *e);
int action_agent_put(struct request *q, struct err *e);
int action_agent_status(struct request *q, struct err *e);
int action_agent_delete(struct request *q, struct err *e);
int action_agent_mask(struct request *q, struct err *e);
int action_agent_revert(struct request *q, struct err *e);

/* action-security.c */
int action_agent_security(struct request *q, struct err *e);
int action_session_security(struct request *q, struct err *e);
int action_security_list(struct request *q, struct err *e);

#endif
