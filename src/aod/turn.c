/* SPDX-License-Identifier: MIT */
/* One prompt after the other. See turn.h. */
#include "config.h"

#include "aod/turn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "aod/budget.h"
#include "aod/next.h"
#include "aod/run.h"
#include "aod/tree.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/util.h"

#define LATE_S 86400. /* the clock of the timers and that of the times are two: look again after so long */
#define SOON_S 0.01

/* ---- what is written after the commit --------------------------------------------------------------------- */

static void
write_later(struct run *r)
{
	if (r->turn.listed)
		return;
	r->turn.listed = true;
	r->next_given = r->m->given;
	r->m->given = r;
}

static int
write_interrupt(struct run *r, struct err *e)
{
	const char *words = r->adapter->interrupt;
	const uint8_t signal[4] = { SIGINT };

	if (words)
		return run_input_as(r, r->turn.interrupt_seq, 0, FRAME_INPUT, words, strlen(words), e);
	return run_input_as(r, r->turn.interrupt_seq, 0, FRAME_SIGNAL, signal, sizeof(signal), e);
}

static int
write_now(struct run *r, struct err *e)
{
	struct turn *t = &r->turn;
	int rc = 0;

	if (t->words.len && t->written < run_input_frames(t->words.len))
		rc = run_input_as(r, t->first, t->written, FRAME_INPUT, t->words.data, t->words.len, e);
	if (rc < 0)
		return rc;
	buf_free(&t->words);
	/* An agent that has not begun the turn has nothing to end, and would begin it after all. */
	if (t->open && t->interrupt_seq && !t->interrupt_written && (t->heard_us || !r->adapter->interrupt)) {
		rc = write_interrupt(r, e);
		t->interrupt_written = rc == 0;
	}
	return rc;
}

/* A full disk is everybody's matter, and passes: the state is read again then, and what is not written yet is written. */
void
turns_committed(struct manager *m)
{
	while (m->given && !m->broken.code) {
		struct run *r = m->given;
		struct err e = { 0 };
		int rc;

		m->given = r->next_given;
		r->turn.listed = false;
		rc = r->exited ? 0 : write_now(r, &e);
		if (rc == -ENOSPC || rc == -EDQUOT) {
			manager_check(m, rc, &e);
		} else if (rc < 0) {
			log_error("session %s: %s: stopping the agent, which waits for it", r->s.row.name, e.text);
			run_stop(r, -1);
		}
	}
}

/* ---- a turn begins ---------------------------------------------------------------------------------------- */

static void
begin(struct run *r)
{
	struct turn *t = &r->turn;
	int64_t now = now_us();

	t->open = true;
	t->idle = false;
	t->heard_us = t->interrupt_seq = 0;
	t->interrupt_written = false;
	ev_timer_stop(r->m->loop, &t->idle_w);
	/* While it was idle no time passed. */
	r->w.quiet_us = r->w.look_us = now;
	if (t->stays)
		r->w.base_us = now;
	watch_arm(r);
}

static int
add_message(struct run *r, const char *text, struct err *e)
{
	struct event *ev = &r->m->event;

	event_begin(ev, "message", now_us());
	event_put_text(ev, KEY_ROLE, "user", 4);
	event_put_content_text(ev, text, strlen(text));
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

static int
give(struct run *r, struct prompt *p, enum session_event why, struct err *e)
{
	struct turn *t = &r->turn;
	int rc;

	buf_reset(&t->words);
	r->adapter->prompt(p->text, p->uuid, &t->words);
	t->first = run_input_reserve(r, t->words.len);
	t->written = 0;
	next_begins(&r->s.row, why);
	r->s.row.last_resumed_us = now_us();
	rc = prompt_given(r, p, t->first, e);
	if (rc == 0)
		rc = manager_check(r->m, store_session_set_result(r->m->store, r->s.row.n, NULL, 0, e), e);
	if (rc == 0)
		rc = add_message(r, p->text, e);
	if (rc == 0)
		rc = session_set_state(r->m, &r->s, why, e);
	if (rc == ACT_IGNORE)
		rc = session_save(r->m, &r->s, e);
	if (rc < 0)
		return rc;
	begin(r);
	write_later(r);
	return run_save(r, e);
}

/* The process is there, and takes one more. */
static bool
takes_more(const struct run *r)
{
	return r->adapter->prompt && !r->m->draining && !budget_used_up(r) && !r->closed && !r->exited && !r->w.stop_told && !r->w.kill_at_us && r->in.why == OUTCOME_NONE &&
	       r->s.row.state != SESSION_STOPPING;
}

/* 1: there was one; 0: there is none. */
static int
give_next(struct run *r, enum session_event why, struct err *e)
{
	struct prompt p;
	int rc;

	if (r->s.row.prompts_queued == 0)
		return 0;
	rc = prompt_next(r->m, r->s.row.n, &p, e);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		rc = give(r, &p, why, e);
	prompt_free(&p);
	return rc < 0 ? rc : 1;
}

/* ---- a turn ends ------------------------------------------------------------------------------------------ */

static void
watch_idle(struct run *r, double s)
{
	struct turn *t = &r->turn;

	ev_timer_stop(r->m->loop, &t->idle_w);
	if (t->idle_us == INT64_MAX || r->closed)
		return;
	ev_timer_set(&t->idle_w, s < 0 ? 0. : s > LATE_S ? LATE_S : s, 0.);
	ev_timer_start(r->m->loop, &t->idle_w);
}

/* What an agent does by itself, such as after a task in the background, is no idleness. */
static int64_t
idle_left(const struct run *r)
{
	int64_t since = r->turn.idle_since_us > r->w.quiet_us ? r->turn.idle_since_us : r->w.quiet_us, until;

	return __builtin_add_overflow(since, r->turn.idle_us, &until) ? INT64_MAX : until - now_us();
}

static void
end_idle(struct run *r)
{
	struct err e = { 0 };

	if (run_input(r, FRAME_CLOSE, NULL, 0, &e) < 0) {
		log_warn("session %s: %s: stopping it", r->s.row.name, e.text);
		run_stop(r, -1);
	}
	r->closed = true;
	run_start_grace(r);
}

void
turn_drain(struct run *r)
{
	if (r->s.row.state == SESSION_IDLE && !r->exited && !r->closed)
		end_idle(r);
}

static void
on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = CONTAINER_OF(w, struct run, turn.idle_w);
	int64_t left = idle_left(r);

	if (!r->m->loaded || r->m->broken.code || r->exited || r->closed || r->s.row.state != SESSION_IDLE)
		return;
	if (r->is_dirty || left > 0) {
		watch_idle(r, r->is_dirty ? SOON_S : (double)left / 1e6);
		return;
	}
	log_info("session %s: idle for IdleTimeoutSec=: ending it", r->s.row.name);
	end_idle(r);
}

static int
be_idle(struct run *r, enum session_event why, struct err *e)
{
	int rc = session_set_state(r->m, &r->s, why, e);

	r->turn.idle = true;
	r->turn.idle_since_us = now_us();
	watch_idle(r, (double)r->turn.idle_us / 1e6);
	return rc == ACT_IGNORE ? session_save(r->m, &r->s, e) : rc < 0 ? rc : 0;
}

static int
note_end(struct run *r, enum outcome outcome, int64_t time_us, struct err *e)
{
	const struct turn_end *end = &r->out.turn;
	struct session_row *s = &r->s.row;

	s->outcome = outcome;
	s->exit_code = -1;
	s->signal = 0;
	s->ended_us = time_us;
	session_set_text(&s->error, outcome == OUTCOME_CANCELLED ? NULL : end->error);
	if (!end->result)
		return 0;
	return manager_check(r->m, store_session_set_result(r->m->store, s->n, end->result, strlen(end->result), e), e);
}

/*
 * A turn that failed is the end of a process that would not stay anyway, and of one whose Restart= is about such ends: next_after() says what
 * follows, and when. Nor does the next prompt go to where it would be refused as this one was: for now, or for want of a login or credit.
 */
static bool
ends_run(const struct run *r, enum outcome o)
{
	if (o == OUTCOME_SUCCESS || o == OUTCOME_CANCELLED)
		return false;
	if (!r->turn.stays || restart_wanted(&r->restart, o, -1, 0))
		return true;
	return r->s.row.prompts_queued > 0 && (o == OUTCOME_RATE_LIMITED || restart_never(o));
}

int
turn_ended(struct run *r, int64_t time_us, struct err *e)
{
	struct turn *t = &r->turn;
	enum outcome outcome = r->out.turn.outcome;
	bool more = takes_more(r);
	int rc = 0;

	t->open = false;
	if (t->interrupt_seq && outcome != OUTCOME_SUCCESS)
		outcome = OUTCOME_CANCELLED;
	/* An earlier process was cut off in it: it is told to go on. */
	if (r->out.turn.replayed && more && !t->interrupt_seq) {
		rc = next_instead(r, OUTCOME_UNKNOWN, NULL, e);
		if (rc == 0)
			rc = give_next(r, SEV_TURN, e);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	/* What else there is to say is said at the end of the run. */
	if (!more || r->out.turn.no_conversation || ends_run(r, outcome) || (r->s.row.prompts_queued == 0 && !t->stays))
		return 1;
	t->interrupt_seq = 0;
	rc = prompt_ended(r, outcome, e);
	if (rc == 0)
		rc = note_end(r, outcome, time_us, e);
	/* What it asked in this turn is past. */
	if (rc == 0)
		rc = session_set_state(r->m, &r->s, SEV_ANSWERED, e);
	/* Whoever waits for the answer gets it before there is another one. */
	if (rc >= 0 && r->s.row.prompts_queued > 0)
		rc = tree_after(r->m, &r->s, e);
	if (rc >= 0)
		rc = give_next(r, SEV_TURN, e);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (!t->stays)
		return 1;
	rc = be_idle(r, SEV_TURN_DONE, e);
	return rc < 0 ? rc : tree_after(r->m, &r->s, e);
}

int
turn_thawed(struct run *r, struct err *e)
{
	int rc;

	if (!r->turn.idle || r->closed)
		return 0;
	rc = be_idle(r, SEV_TURN_DONE, e);
	if (rc == 0 && r->m->draining)
		turn_drain(r);
	if (rc == 0 && takes_more(r))
		rc = give_next(r, SEV_TURN, e);
	return rc < 0 ? rc : 0;
}

bool
turn_unheard(const struct run *r)
{
	return r->turn.open && r->turn.first && !r->turn.heard_us && !r->turn.interrupt_seq;
}

void
turn_say(const struct run *r, struct run_exit *x)
{
	x->working = r->turn.open;
	x->idle = r->turn.idle;
}

static void
set_outcome(struct run_result *res, enum outcome outcome)
{
	res->outcome = outcome;
	free(res->error);
	res->error = NULL;
}

int
turn_over(struct run *r, struct run_result *res, struct err *e)
{
	int rc;

	ev_timer_stop(r->m->loop, &r->turn.idle_w);
	if (r->s.row.state == SESSION_STOPPING || r->in.why != OUTCOME_NONE)
		return 0;
	/* It waited, and was told that nothing more would come. */
	if (r->turn.idle && r->closed)
		set_outcome(res, OUTCOME_SUCCESS);
	if (!r->turn.interrupt_seq || res->outcome == OUTCOME_SUCCESS)
		return 0;
	set_outcome(res, OUTCOME_CANCELLED);
	/* Only the turn was to end: what else it was asked has its turn by a further run. */
	if (r->s.row.prompts_queued > 0)
		return 0;
	rc = session_set_state(r->m, &r->s, SEV_STOP, e);
	return rc < 0 ? rc : 0;
}

/* ---- interrupt -------------------------------------------------------------------------------------------- */

void
turn_heard(struct run *r, const char *type, int64_t time_us)
{
	struct turn *t = &r->turn;

	/* These may come before it begins. */
	if (t->heard_us || !strcmp(type, "control") || !strcmp(type, "output") || !strcmp(type, "notice"))
		return;
	t->heard_us = time_us;
	if (t->interrupt_seq && !t->interrupt_written)
		write_later(r);
}

int
turn_interrupt(struct run *r, struct err *e)
{
	struct turn *t = &r->turn;
	int rc;

	if (t->open && t->interrupt_seq)
		return 0;
	rc = session_set_state(r->m, &r->s, SEV_INTERRUPT, e);
	if (rc < 0)
		return rc;
	if (rc == ACT_REFUSE)
		return e->code;
	if (!t->open || r->exited)
		return err_set_status(e, 409, -EBUSY, "Session '%s': no turn is open", r->s.row.name);
	t->interrupt_seq = run_input_reserve(r, 1);
	t->interrupt_written = false;
	write_later(r);
	return run_save(r, e);
}

/* ---- what is kept ----------------------------------------------------------------------------------------- */

void
turn_init(struct run *r)
{
	r->turn.idle_us = INT64_MAX;
	r->turn.open = true;
	ev_init(&r->turn.idle_w, on_idle);
}

void
turn_free(struct run *r)
{
	ev_timer_stop(r->m->loop, &r->turn.idle_w);
	buf_free(&r->turn.words);
}

void
turn_args(struct buf *out, const struct run *r)
{
	buf_printf(out, ",\"stays\":%s", r->turn.stays ? "true" : "false");
	if (r->turn.idle_us != INT64_MAX)
		buf_printf(out, ",\"idle_us\":%lld", (long long)r->turn.idle_us);
}

/* What the run was given, and has not ended. */
static int
take_given(const struct prompt_row *row, void *arg)
{
	struct run *r = arg;
	struct turn *t = &r->turn;

	if (row->state != PROMPT_GIVEN || row->run != r->n)
		return 1;
	t->open = true;
	t->first = row->in_seq;
	if (row->in_seq && r->adapter->prompt) {
		r->adapter->prompt(row->text, row->uuid, &t->words);
		r->input_seq = t->first + (int64_t)run_input_frames(t->words.len) - 1;
	}
	return 1;
}

int
turn_restore(struct run *r, struct json_object *args, struct err *e)
{
	struct json_object *v = NULL;
	struct turn *t = &r->turn;
	int rc;

	t->stays = json_object_object_get_ex(args, "stays", &v) && json_object_get_boolean(v);
	t->idle_us = json_object_object_get_ex(args, "idle_us", &v) ? json_object_get_int64(v) : INT64_MAX;
	t->idle_since_us = r->s.row.ended_us;
	t->open = false;
	rc = store_prompt_open(r->m->store, r->s.row.n, 1, take_given, r, e);
	if (t->interrupt_seq > r->input_seq)
		r->input_seq = t->interrupt_seq;
	return rc < 0 ? rc : 0;
}

void
turn_saw_input(struct run *r, int64_t number)
{
	struct turn *t = &r->turn;

	if (t->words.len && number >= t->first && number < t->first + (int64_t)run_input_frames(t->words.len))
		t->written++;
	t->interrupt_written |= number == t->interrupt_seq;
	if (number > r->input_seq)
		r->input_seq = number;
}

void
turn_attached(struct run *r, bool shim)
{
	struct turn *t = &r->turn;
	struct err e = { 0 };

	/* Without a prompt a command works, and what was begun by an earlier aod may have none that is known. */
	if (!t->stays)
		t->open = !r->closed || !r->adapter->needs_prompt;
	t->idle = t->stays && !t->open;
	if (!shim)
		return;
	/* What is in the database is committed. What cannot be written now is tried again. */
	if ((r->s.row.state != SESSION_STOPPING || t->written) && write_now(r, &e) < 0)
		write_later(r);
	if (r->s.row.state == SESSION_IDLE)
		watch_idle(r, (double)idle_left(r) / 1e6);
}

/* ---- a further prompt ------------------------------------------------------------------------------------- */

static int64_t
queue(struct manager *m, struct session *s, struct prompt *p, struct err *e)
{
	int rc = prompt_queue(m, s, p, e);

	if (rc > 0)
		rc = session_save(m, s, e);
	return rc < 0 ? rc : s->row.prompts_queued;
}

/* Its process is idle, and was told to end: there is something to wait for again, all the same. */
static int64_t
begin_later(struct manager *m, struct session *s, struct prompt *p, enum session_event why, struct err *e)
{
	int64_t position = queue(m, s, p, e);
	int rc;

	if (position < 0)
		return position;
	next_begins(&s->row, why);
	rc = session_set_state(m, s, SEV_TURN, e);
	return rc < 0 ? rc : position;
}

static int64_t
prompt_live(struct manager *m, struct session *s, struct run *r, struct prompt *p, enum session_event why, struct err *e)
{
	const struct session_move *move = session_move(s->row.state, SEV_PROMPT);
	int64_t rc;

	if (move->action == ACT_REFUSE)
		return err_set_status(e, 409, -EBUSY, "Session '%s': %s", s->row.name, move->why);
	if (!r || move->action != ACT_GIVE)
		return queue(m, s, p, e);
	if (!takes_more(r) || s->row.prompts_queued > 0)
		return begin_later(m, s, p, why, e);
	rc = give(r, p, why, e);
	return rc < 0 ? rc : 0;
}

/* Where there is no room for a run its prompt is the first of its queue, all the same. */
static int
waits(int rc)
{
	return rc < 0 ? rc : 0;
}

int64_t
session_prompt(struct manager *m, struct session *s, struct run *r, struct prompt *p, enum session_event why, struct run **out, struct err *e)
{
	int rc = p->origin ? store_prompt_known(m->store, s->row.n, p->origin, e) : 0;

	*out = NULL;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (r)
		s = &r->s;
	if (session_state_live(s->row.state) && !p->text)
		return err_set_status(e, 409, -EBUSY, "Session '%s': %s", s->row.name, session_move(SESSION_RUNNING, SEV_RESUME)->why);
	if (session_state_live(s->row.state))
		return prompt_live(m, s, r, p, why, e);
	if (r)
		return err_set_status(e, 409, -EBUSY, "Session '%s': its last run is just ending: try again", s->row.name);
	if (s->row.prompts_queued == 0 || !p->text)
		return waits(session_go(m, s, why, p->text ? p : NULL, NULL, out, e));
	/* Left when it ended: they are first. */
	rc = session_go(m, s, why, NULL, NULL, out, e);
	return rc < 0 ? rc : queue(m, *out ? &(*out)->s : s, p, e);
}
