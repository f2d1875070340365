/* SPDX-License-Identifier: MIT */
/* The commands: one handler each, which returns the exit status and has said on stderr what went wrong. */
#ifndef AOD_CTL_COMMAND_H
#define AOD_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ctl/args.h"
#include "ctl/client.h"

struct json_object;
struct table;

struct ctl {
	struct ctl_args args;
	struct client *client; /* NULL for the commands that need no server */
	struct buf reply;      /* of the last request */
};

/* "aoctl" with the option that says which aod, where one was given: how a hint has to begin so that it can be typed. */
extern const char *ctl_self;

int cmd_run(struct ctl *c);
int cmd_resume(struct ctl *c);
int cmd_interrupt(struct ctl *c);
int cmd_prompts(struct ctl *c);
int cmd_stop(struct ctl *c);
int cmd_restart(struct ctl *c);
int cmd_reset_failed(struct ctl *c);
int cmd_freeze(struct ctl *c);
int cmd_thaw(struct ctl *c);
int cmd_set_property(struct ctl *c);
int cmd_usage(struct ctl *c);
int cmd_slices(struct ctl *c);
int cmd_list_timers(struct ctl *c);
int cmd_queue(struct ctl *c);
int cmd_cost(struct ctl *c);
int cmd_questions(struct ctl *c);
int cmd_answer(struct ctl *c);
int cmd_list(struct ctl *c);
int cmd_status(struct ctl *c);
int cmd_logs(struct ctl *c);
int cmd_result(struct ctl *c);
int cmd_wait(struct ctl *c);
int cmd_delete(struct ctl *c);
int cmd_show(struct ctl *c);
int cmd_plan(struct ctl *c);
int cmd_blueprints(struct ctl *c);
int cmd_cat(struct ctl *c);
int cmd_edit(struct ctl *c);
int cmd_enable(struct ctl *c);
int cmd_disable(struct ctl *c);
int cmd_mask(struct ctl *c);
int cmd_unmask(struct ctl *c);
int cmd_verify(struct ctl *c);
int cmd_history(struct ctl *c);
int cmd_diff(struct ctl *c);
int cmd_revert(struct ctl *c);
int cmd_import(struct ctl *c);
int cmd_security(struct ctl *c);
int cmd_doctor(struct ctl *c);
int cmd_token(struct ctl *c);
int cmd_audit(struct ctl *c);
int cmd_help(struct ctl *c);
int cmd_version(struct ctl *c);
int cmd_complete(struct ctl *c);

/* Shared by them. */

/* Says what failed, about `what` (a session's name, or NULL), and returns the exit status for it. */
int ctl_fail(const char *what, const struct err *e);
/* For a command line that is wrong: 2. */
int ctl_usage(const struct err *e);
/* One request on a session: "/sessions/ID" + tail. body may be NULL. */
int ctl_session_call(struct ctl *c, const char *method, const char *id, const char *tail, const char *body, struct err *e);
bool ctl_json(const struct ctl *c);
/* A list of the server's, shown as a table. */
struct ctl_table {
	const char *key; /* of the member that holds it, and what its rows are called; an answer that is a list itself needs none */
	const char *const *heads;
	int columns;
	void (*put_row)(struct table *t, struct json_object *o);
	bool tree; /* of sessions, each below its parent, the oldest first */
};
/* What c->reply holds: as JSON, as a table, or as a note that there is nothing. Returns the exit status. */
int ctl_print_table(struct ctl *c, const struct ctl_table *l);
/* The same for the answer to GET path, with all further pages of it (but as JSON), or for why there is none: of what (or NULL). */
int ctl_get_table(struct ctl *c, const char *what, const char *path, const struct ctl_table *l);
/* The result in c->reply on stdout, as text or JSON; -EPROTO when there is none in it. */
int ctl_print_result(struct ctl *c, const char *id, struct err *e);
/* Exit status for how a session ended, and for a live one 0. Pure. */
int session_exit_status(struct json_object *session);
/* "finished (success)", "failed (exit-code, exit status 3)". Pure. */
void session_put_state(struct buf *out, struct json_object *session);
/* Whether word is one of a list such as "a,b,c" (or list is NULL: false). Pure. */
bool ctl_in_list(const char *list, const char *word);
/* "key=value\n" on one line, harmless for stdout. */
void ctl_put_property(struct buf *out, const char *key, const char *value);
/*
 * Whether a directory is the one that aod gave to the agent which we are part of, as AOD_SESSION_ID says: no other session may work there, and one that
 * is started from it gets one of its own.
 */
bool ctl_dir_of_agent(const char *dir);
/* The prompt or command, project directory and blueprint that were asked for, as a JSON object of verb v. */
int ctl_request_body(struct ctl *c, const struct verb *v, int first_word, struct buf *body, struct err *e);

#endif
