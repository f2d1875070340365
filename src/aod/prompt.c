/* SPDX-License-Identifier: MIT */
/* The prompts of a session in the database. See prompt.h. */
#include "config.h"

#include "aod/prompt.h"

#include <errno.h>
#include <string.h>

#include "aod/run.h"
#include "aod/tree.h"
#include "base/util.h"

void
prompt_free(struct prompt *p)
{
	free(p->uuid);
	free(p->text);
	p->uuid = p->text = NULL;
}

static int
take(const struct prompt_row *row, void *arg)
{
	struct prompt *p = arg;

	p->id = row->id;
	p->uuid = xstrdup(row->uuid);
	p->text = xstrdup(row->text);
	p->given = row->state == PROMPT_GIVEN;
	p->callback = row->callback;
	return 1;
}

int
prompt_next(struct manager *m, int64_t session, struct prompt *out, struct err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = store_prompt_open(m->store, session, 1, take, out, e);
	return rc < 0 ? rc : rc == 0 ? -ENOENT : 0;
}

/* All that is said of a prompt when it is stored. */
static struct prompt_row
row_of(const struct session *s, const struct prompt *p, enum prompt_state state, int64_t run, int64_t in_seq)
{
	int64_t now = now_us();

	return (struct prompt_row){ .id = p->id, .session = s->row.n, .uuid = p->uuid, .text = p->text, .source = p->source,
				    .origin = p->origin, .author = p->author, .state = state, .run = run, .in_seq = in_seq,
				    .created_us = now, .given_us = run ? now : 0, .callback = p->callback };
}

static int
add(struct manager *m, struct session *s, struct prompt *p, struct prompt_row *row, struct err *e)
{
	int rc = manager_begin(m, e);

	if (rc == 0)
		rc = manager_check(m, store_prompt_add(m->store, row, e), e);
	p->id = row->id;
	if (rc == 1)
		tree_owe(s, row);
	return rc;
}

/* What aod itself says to a run that it starts again has nobody who could ask for it once more, and is only one. Answers of children are short. */
static int
has_room(struct manager *m, const struct session *s, const struct prompt *p, struct err *e)
{
	int64_t bytes;

	if (s->row.prompts_queued >= PROMPTS_QUEUED_MAX && strcmp(p->source, "restart"))
		return err_set_status(e, 429, -EBUSY, "Session '%s': %d prompts wait for their turn, and there may be no more: try again when some are done",
				      s->row.name, PROMPTS_QUEUED_MAX);
	if (s->row.prompts_queued == 0 || strcmp(p->source, "request"))
		return 0;
	bytes = store_prompt_bytes(m->store, s->row.n, e);
	if (bytes >= 0 && bytes + (int64_t)strlen(p->text) > PROMPTS_BYTES_MAX)
		return err_set_status(e, 429, -EBUSY, "Session '%s': prompts of %lld bytes wait for their turn, and with this one it would be more than the %d MiB "
						      "that may: try again when some are done",
				      s->row.name, (long long)bytes, PROMPTS_BYTES_MAX >> 20);
	return bytes < 0 ? (int)bytes : 0;
}

int
prompt_queue(struct manager *m, struct session *s, struct prompt *p, struct err *e)
{
	struct prompt_row row = row_of(s, p, PROMPT_QUEUED, 0, 0);
	int rc = has_room(m, s, p, e);

	if (rc == 0)
		rc = add(m, s, p, &row, e);
	s->row.prompts_queued += rc == 1;
	return rc;
}

int
prompt_given(struct run *r, struct prompt *p, int64_t in_seq, struct err *e)
{
	struct prompt_row row = row_of(&r->s, p, PROMPT_GIVEN, r->n, in_seq);
	int rc;

	if (!p->id) {
		rc = add(r->m, &r->s, p, &row, e);
		return rc < 0 ? rc : 0;
	}
	r->s.row.prompts_queued -= !p->given;
	rc = manager_begin(r->m, e);
	return rc < 0 ? rc : manager_check(r->m, store_prompt_update(r->m->store, &row, e), e);
}

struct ending {
	struct run *r;
	enum prompt_state state;
	struct err *e;
};

static int
end_one(const struct prompt_row *row, void *arg)
{
	struct ending *x = arg;
	struct prompt_row ended = *row;

	/* What is queued comes after what was given. */
	if (row->state != PROMPT_GIVEN)
		return 1;
	if (row->run != x->r->n)
		return 0;
	ended.state = x->state;
	ended.ended_us = now_us();
	x->r->s.answered |= tree_asked(row);
	return store_prompt_update(x->r->m->store, &ended, x->e);
}

int
prompt_ended(struct run *r, enum outcome o, struct err *e)
{
	struct ending x = { r, o == OUTCOME_SUCCESS ? PROMPT_DONE : o == OUTCOME_CANCELLED ? PROMPT_CANCELLED : PROMPT_FAILED, e };
	int rc = manager_begin(r->m, e);

	if (rc == 0)
		rc = manager_check(r->m, store_prompt_heads(r->m->store, r->s.row.n, PROMPTS_OPEN_MAX, end_one, &x, e), e);
	return rc < 0 ? rc : 0;
}

int
prompts_cancel(struct manager *m, struct session *s, int64_t id, struct err *e)
{
	struct event *ev = &m->event;
	int rc, count = 0;

	if (s->row.prompts_queued == 0)
		return 0;
	rc = manager_begin(m, e);
	if (rc == 0)
		rc = count = manager_check(m, store_prompt_cancel(m->store, s->row.n, id, now_us(), e), e);
	if (rc <= 0)
		return rc;
	s->row.prompts_queued -= count;
	CLEANUP_FREE char *text = xasprintf("%d prompt%s cancelled before %s turn", count, count == 1 ? " was" : "s were", count == 1 ? "its" : "their");

	event_begin(ev, "notice", now_us());
	event_extra_text(ev, "subtype", "prompts-cancelled", 17);
	event_extra_text(ev, "text", text, strlen(text));
	event_extra_int(ev, "prompts", count);
	rc = session_add_event(m, s, s->row.runs, ev, e);
	return rc < 0 ? rc : count;
}

struct over {
	struct manager *m;
	struct session *s;
	bool all;
	enum prompt_state state;
	struct err *e;
};

static int
over_one(const struct prompt_row *row, void *arg)
{
	struct over *x = arg;
	struct prompt_row over = *row;

	/* What a child has answered is not lost by a stop. */
	if (row->state == PROMPT_QUEUED && (x->all ? !strcmp(row->source, "callback") : strcmp(row->source, "restart")))
		return 0;
	x->s->row.prompts_queued -= row->state == PROMPT_QUEUED;
	over.state = x->state;
	over.ended_us = now_us();
	return store_prompt_update(x->m->store, &over, x->e);
}

int
prompts_over(struct manager *m, struct session *s, bool all, enum prompt_state state, struct err *e)
{
	struct over x = { m, s, all, state, e };
	int rc = manager_begin(m, e);

	return rc < 0 ? rc : manager_check(m, store_prompt_heads(m->store, s->row.n, PROMPTS_OPEN_MAX, over_one, &x, e), e);
}
