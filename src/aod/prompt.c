/* SPDX-License-Identifier: MIT */
/* The prompts of a session in the database. See prompt.h. */
#include "config.h"

#include "aod/prompt.h"

#include <errno.h>
#include <string.h>

#include "aod/run.h"
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
				    .created_us = now, .given_us = run ? now : 0 };
}

static int
add(struct manager *m, struct prompt *p, struct prompt_row *row, struct err *e)
{
	int rc = manager_begin(m, e);

	if (rc == 0)
		rc = manager_check(m, store_prompt_add(m->store, row, e), e);
	p->id = row->id;
	return rc;
}

int
prompt_queue(struct manager *m, struct session *s, struct prompt *p, struct err *e)
{
	struct prompt_row row = row_of(s, p, PROMPT_QUEUED, 0, 0);
	int rc = add(m, p, &row, e);

	s->row.prompts_queued += rc == 1;
	return rc;
}

int
prompt_given(struct run *r, struct prompt *p, int64_t in_seq, struct err *e)
{
	struct prompt_row row = row_of(&r->s, p, PROMPT_GIVEN, r->n, in_seq);
	int rc;

	if (!p->id) {
		rc = add(r->m, p, &row, e);
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

	if (row->state != PROMPT_GIVEN || row->run != x->r->n)
		return 0;
	ended.state = x->state;
	ended.ended_us = now_us();
	return store_prompt_update(x->r->m->store, &ended, x->e);
}

int
prompt_ended(struct run *r, enum outcome o, struct err *e)
{
	struct ending x = { r, o == OUTCOME_SUCCESS ? PROMPT_DONE : o == OUTCOME_CANCELLED ? PROMPT_CANCELLED : PROMPT_FAILED, e };
	int rc = manager_begin(r->m, e);

	return rc < 0 ? rc : manager_check(r->m, store_prompt_open(r->m->store, r->s.row.n, PROMPTS_QUEUED_MAX + 1, end_one, &x, e), e);
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

	if (!x->all && row->state == PROMPT_QUEUED && strcmp(row->source, "restart"))
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

	return rc < 0 ? rc : manager_check(m, store_prompt_open(m->store, s->row.n, PROMPTS_QUEUED_MAX + 1, over_one, &x, e), e);
}
