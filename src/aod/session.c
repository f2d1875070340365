/* SPDX-License-Identifier: MIT */
/* Sessions in the supervisor: copies of rows, events appended, the one place where a state changes. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "aod/next.h"
#include "aod/session.h"
#include "base/log.h"
#include "base/util.h"

/* The strings of a row, in one table for copy and free. */
static const size_t text_fields[] = {
	offsetof(struct session_row, id),	   offsetof(struct session_row, name),
	offsetof(struct session_row, project_dir), offsetof(struct session_row, agent_name),
	offsetof(struct session_row, adapter),	   offsetof(struct session_row, parent_id),
	offsetof(struct session_row, error),	   offsetof(struct session_row, agent_session_id),
	offsetof(struct session_row, command),	   offsetof(struct session_row, started_by),
};

static char **
text_at(struct session_row *row, size_t i)
{
	return (char **)((char *)row + text_fields[i]);
}

void
session_copy(struct session *dst, const struct session_row *src)
{
	dst->row = *src;
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++)
		*text_at(&dst->row, i) = xstrdup(*text_at(&dst->row, i));
}

void
session_free(struct session *s)
{
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++) {
		free(*text_at(&s->row, i));
		*text_at(&s->row, i) = NULL;
	}
}

void
session_set_text(const char **field, const char *value)
{
	char *copy = xstrdup(value);

	free((char *)*field);
	*field = copy;
}

static int
copy_row(const struct session_row *row, void *arg)
{
	session_copy(arg, row);
	return 0;
}

int
session_find(struct manager *m, const char *key, struct session *s, struct run **run, struct err *e)
{
	int rc = store_session_find(m->store, key, strlen(key), copy_row, s, e);

	if (rc == -ENOENT)
		return err_set_status(e, 404, -ENOENT, "Session not found");
	if (rc < 0)
		return rc;
	*run = manager_find_run(m, s->row.n);
	if (*run) {
		session_free(s);
		session_copy(s, &(*run)->s.row);
	}
	return 0;
}

int
session_add_event(struct manager *m, struct session *s, int64_t run, const struct event *ev, struct err *e)
{
	int64_t id;
	int rc = manager_begin(m, e);

	if (rc < 0)
		return rc;
	rc = store_event_add(m->store, s->row.n, s->row.last_seq + 1, run, ev, &id, e);
	if (rc < 0)
		return manager_check(m, rc, e);
	s->row.last_seq++;
	return 0;
}

int
session_save(struct manager *m, struct session *s, struct err *e)
{
	int rc = manager_begin(m, e);

	if (rc < 0)
		return rc;
	return manager_check(m, store_session_update(m->store, &s->row, e), e);
}

int
session_set_state(struct manager *m, struct session *s, enum session_event ev, struct err *e)
{
	const struct session_move *move = session_move(s->row.state, ev);
	int rc;

	if (move->action == ACT_REFUSE) {
		err_set_status(e, 409, -EBUSY, "Session '%s': %s", s->row.name, move->why);
		return ACT_REFUSE;
	}
	if (move->action == ACT_IGNORE)
		return ACT_IGNORE;
	log_debug("session %s: %s, %s → %s", s->row.name, session_event_name(ev), session_state_name(s->row.state),
		  session_state_name(move->next));
	if (s->row.state == SESSION_RESTARTING || move->next == SESSION_RESTARTING)
		m->due_changed = true;
	if (s->row.state == SESSION_QUEUED && move->next != SESSION_QUEUED)
		admission_gone(m, s->row.n);
	s->row.state = move->next;
	rc = session_save(m, s, e);
	return rc < 0 ? rc : (int)move->action;
}

int
session_stop(struct manager *m, struct session *s, int64_t timeout_us, struct err *e)
{
	struct run *r = manager_find_run(m, s->row.n);
	int rc;

	/* A run that has ended in this very turn of the loop may still be there. */
	if (session_move(s->row.state, SEV_STOP)->action == ACT_CANCEL) {
		rc = next_cancel(m, s, SEV_STOP, OUTCOME_CANCELLED, NULL, e);
		return rc < 0 ? rc : 2;
	}
	if (!r || r->exited)
		return 0;
	/* What it was still to be asked is not asked any more; what its children answered is kept. */
	rc = prompts_cancel(m, &r->s, -1, e);
	if (rc >= 0)
		rc = session_set_state(m, &r->s, SEV_STOP, e);
	if (rc == ACT_STOP) {
		run_stop(r, timeout_us);
		rc = run_save(r, e);
	}
	return rc < 0 ? rc : 1;
}
