/* SPDX-License-Identifier: MIT */
/* What would be run, and what this host has for it. */
#include "config.h"

#include <string.h>

#include "aod/action.h"
#include "aod/request.h"
#include "base/util.h"

#define QUEUE_SHOWN 1000

int
action_plan(struct request *q, struct err *e)
{
	char **command = request_words(q, "command");
	struct run_args args = {
		.prompt = request_text(q, "prompt"),
		.prompt_else = "(prompt)",
		.prompt_uuid = "00000000-0000-7000-8000-000000000000",
		.agent_session_id = "00000000-0000-7000-8000-000000000000",
		.command = command,
	};
	struct session_row row = {
		.id = "00000000-0000-7000-8000-000000000000",
		.name = request_text(q, "session_name") ? request_text(q, "session_name") : "preview",
		.project_dir = request_text(q, "project_dir"),
		.agent_name = request_text(q, "agent_name"),
	};
	struct plan *plan = NULL;
	struct buf b = BUF_INIT;
	int rc = run_make_plan(q->m, &row, &args, &plan, e);

	strv_free(command);
	if (rc < 0)
		return rc;
	buf_puts(&b, "{\"plan\":");
	plan_json(&b, plan);
	/* A run's is in its events. */
	if (plan->prompt) {
		b.len--;
		buf_puts(&b, ",\"prompt\":");
		buf_put_json_str(&b, plan->prompt);
		buf_putc(&b, '}');
	}
	buf_putc(&b, '}');
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	plan_free(plan);
	return 0;
}

int
action_doctor(struct request *q, struct err *e)
{
	struct buf b = BUF_INIT;

	doctor_report(q->m, &b);
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
action_queue(struct request *q, struct err *e)
{
	struct buf b = BUF_INIT;

	admission_json(q->m, request_number(q, "limit", QUEUE_SHOWN), &b);
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

/* The session as it is shown elsewhere, with its place in the queue. */
int
action_session_queue(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *run;
	struct buf b = BUF_INIT;
	int rc = request_session(q, &s, &run, e);

	if (rc < 0)
		return rc;
	buf_puts(&b, "{\"session\":");
	session_render(&b, &s.row);
	b.len--;
	admission_put_place(q->m, s.row.n, &b);
	buf_puts(&b, "}}");
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	session_free(&s);
	return 0;
}
