/* SPDX-License-Identifier: MIT */
/* The next run of a session that has none. See next.h. */
#include "config.h"

#include "aod/next.h"

#include <errno.h>

#include "base/util.h"

/* The session begins a new run: what was said of the last one's end is no longer true of it. */
static void
forget_end(struct session_row *s)
{
	s->outcome = OUTCOME_NONE;
	s->exit_code = -1;
	s->signal = 0;
	s->ended_us = s->due_us = 0;
	session_set_text(&s->error, NULL);
}

static int
go(struct run *r, const struct run_args *args, enum session_event why, struct prompt *p, struct err *e)
{
	struct manager *m = r->m;
	int rc;

	forget_end(&r->s.row);
	if (why == SEV_RESUME || why == SEV_PROMPT)
		r->s.row.last_resumed_us = now_us();
	rc = run_begin(r, args, e);
	if (rc == 0 && p->text)
		rc = prompt_given(r, p, 0, e);
	if (rc == 0 && !args->again)
		rc = manager_check(m, store_session_set_result(m->store, r->s.row.n, NULL, 0, e), e);
	if (rc == 0)
		rc = session_set_state(m, &r->s, why, e);
	return rc < 0 ? rc : 0;
}

int
session_go(struct manager *m, const struct session *s, enum session_event why, struct prompt *p, const char *started_by, struct run **out,
	   struct err *e)
{
	char agent_id[ID_SIZE], uuid[ID_SIZE];
	char **command = run_command_words(s->row.command);
	struct prompt own = { .source = "blueprint" };
	struct run_args args = { .command = command, .started_by = started_by };
	int rc = 0;

	if (!p) {
		p = &own;
		rc = prompt_next(m, s->row.n, p, e);
		rc = rc == -ENOENT ? 0 : rc;
	}
	args.prompt = p->text;
	args.prompt_uuid = p->uuid ? p->uuid : id_new(uuid);
	args.again = p->given;
	/* A session whose agent never came to have a conversation begins one now. */
	args.resume = s->row.agent_session_id != NULL;
	args.agent_session_id = args.resume ? s->row.agent_session_id : id_new(agent_id);
	if (rc == 0)
		rc = run_prepare(m, s, s->row.runs + 1, &args, out, e);
	if (rc == 0) {
		if (!p->text && (*out)->plan->prompt) {
			p->text = xstrdup((*out)->plan->prompt);
			p->uuid = xstrdup(args.prompt_uuid);
		}
		rc = go(*out, &args, why, p, e);
	}
	prompt_free(&own);
	strv_free(command);
	return rc;
}
