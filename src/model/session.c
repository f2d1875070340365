/* SPDX-License-Identifier: MIT */
/* Sessions: the table of moves, the words for states and outcomes, and the JSON object. See
 * session.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/put.h"

static const char *const state_names[SESSION_STATE_COUNT] = {
	[SESSION_QUEUED] = "queued",     [SESSION_PENDING] = "pending",
	[SESSION_RUNNING] = "running",   [SESSION_WAITING] = "waiting",
	[SESSION_IDLE] = "idle",         [SESSION_FROZEN] = "frozen",
	[SESSION_STOPPING] = "stopping", [SESSION_RESTARTING] = "auto-restart",
	[SESSION_FINISHED] = "finished", [SESSION_FAILED] = "failed",
	[SESSION_STOPPED] = "stopped",
};

static const char *const session_event_names[SESSION_EVENT_COUNT] = {
	[SEV_STARTED] = "started",     [SEV_STOP] = "stop",
	[SEV_FREEZE] = "freeze",       [SEV_THAW] = "thaw",
	[SEV_EXIT_OK] = "exit-ok",     [SEV_EXIT_BAD] = "exit-bad",
	[SEV_RESUME] = "resume",       [SEV_PROMPT] = "prompt",
	[SEV_QUEUE] = "queue",         [SEV_ADMIT] = "admit",
	[SEV_RESTART] = "restart",     [SEV_DUE] = "due",
	[SEV_TURN] = "turn",           [SEV_TURN_DONE] = "turn-done",
	[SEV_ASK] = "ask",             [SEV_ANSWERED] = "answered",
	[SEV_INTERRUPT] = "interrupt", [SEV_RESET] = "reset",
	[SEV_CLOSE] = "close",         [SEV_REOPEN] = "reopen",
};

static const char *const action_names[] = {
	[ACT_NONE] = "none",     [ACT_STOP] = "stop", [ACT_FREEZE] = "freeze",
	[ACT_THAW] = "thaw",     [ACT_RUN] = "run",   [ACT_END] = "end",
	[ACT_GIVE] = "give",     [ACT_INTERRUPT] = "interrupt",
	[ACT_CANCEL] = "cancel", [ACT_REFUSE] = "refuse",
	[ACT_IGNORE] = "ignore",
};

#define IGNORE(state)                                                                              \
	{                                                                                          \
		SESSION_##state, ACT_IGNORE, NULL                                                  \
	}
#define REFUSE(state, why)                                                                         \
	{                                                                                          \
		SESSION_##state, ACT_REFUSE, why                                                   \
	}
#define ENDED "the session is not running"
#define STOPPING_TEXT "the session is being stopped"
#define NO_PROCESS "the session has no process now"
#define LIVE(state)                                                                                \
	{                                                                                          \
		SESSION_##state, ACT_REFUSE,                                                       \
			"the session is still running: wait for it or stop it first"               \
	}
#define GO(state, action)                                                                          \
	{                                                                                          \
		SESSION_##state, ACT_##action, NULL                                                \
	}

static const struct session_move session_moves[SESSION_STATE_COUNT][SESSION_EVENT_COUNT] = {
	[SESSION_QUEUED] = {
		[SEV_STARTED] = IGNORE(QUEUED),
		[SEV_STOP] = GO(STOPPED, CANCEL),
		[SEV_FREEZE] = REFUSE(QUEUED, NO_PROCESS),
		[SEV_THAW] = IGNORE(QUEUED),
		[SEV_EXIT_OK] = IGNORE(QUEUED),
		/* It cannot be started at all. */
		[SEV_EXIT_BAD] = GO(FAILED, CANCEL),
		[SEV_RESUME] = LIVE(QUEUED),
		[SEV_PROMPT] = IGNORE(QUEUED),
		[SEV_QUEUE] = IGNORE(QUEUED),
		[SEV_ADMIT] = GO(PENDING, RUN),
		[SEV_RESTART] = IGNORE(QUEUED),
		[SEV_DUE] = IGNORE(QUEUED),
		[SEV_TURN] = IGNORE(QUEUED),
		[SEV_TURN_DONE] = IGNORE(QUEUED),
		[SEV_ASK] = IGNORE(QUEUED),
		[SEV_ANSWERED] = IGNORE(QUEUED),
		[SEV_INTERRUPT] = REFUSE(QUEUED, NO_PROCESS),
		[SEV_RESET] = IGNORE(QUEUED),
		[SEV_CLOSE] = IGNORE(QUEUED),
		[SEV_REOPEN] = IGNORE(QUEUED),
	},
	[SESSION_PENDING] = {
		[SEV_STARTED] = GO(RUNNING, NONE),
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = REFUSE(PENDING, "the session is just being started: try again"),
		[SEV_THAW] = IGNORE(PENDING),
		[SEV_EXIT_OK] = GO(FINISHED, END),
		[SEV_EXIT_BAD] = GO(FAILED, END),
		[SEV_RESUME] = LIVE(PENDING),
		[SEV_PROMPT] = IGNORE(PENDING),
		[SEV_QUEUE] = IGNORE(PENDING),
		[SEV_ADMIT] = IGNORE(PENDING),
		[SEV_RESTART] = GO(RESTARTING, END),
		[SEV_DUE] = IGNORE(PENDING),
		[SEV_TURN] = IGNORE(PENDING),
		[SEV_TURN_DONE] = IGNORE(PENDING),
		[SEV_ASK] = IGNORE(PENDING),
		[SEV_ANSWERED] = IGNORE(PENDING),
		[SEV_INTERRUPT] = REFUSE(PENDING, "the session is just being started: try again"),
		[SEV_RESET] = IGNORE(PENDING),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(PENDING),
	},
	[SESSION_RUNNING] = {
		[SEV_STARTED] = IGNORE(RUNNING),
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = GO(FROZEN, FREEZE),
		[SEV_THAW] = IGNORE(RUNNING),
		[SEV_EXIT_OK] = GO(FINISHED, END),
		[SEV_EXIT_BAD] = GO(FAILED, END),
		[SEV_RESUME] = LIVE(RUNNING),
		[SEV_PROMPT] = IGNORE(RUNNING),
		[SEV_QUEUE] = IGNORE(RUNNING),
		[SEV_ADMIT] = IGNORE(RUNNING),
		[SEV_RESTART] = GO(RESTARTING, END),
		[SEV_DUE] = IGNORE(RUNNING),
		[SEV_TURN] = IGNORE(RUNNING),
		[SEV_TURN_DONE] = GO(IDLE, NONE),
		[SEV_ASK] = GO(WAITING, NONE),
		[SEV_ANSWERED] = IGNORE(RUNNING),
		[SEV_INTERRUPT] = GO(RUNNING, INTERRUPT),
		[SEV_RESET] = IGNORE(RUNNING),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(RUNNING),
	},
	[SESSION_WAITING] = {
		[SEV_STARTED] = IGNORE(WAITING),
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = GO(FROZEN, FREEZE),
		[SEV_THAW] = IGNORE(WAITING),
		[SEV_EXIT_OK] = GO(FINISHED, END),
		[SEV_EXIT_BAD] = GO(FAILED, END),
		[SEV_RESUME] = LIVE(WAITING),
		[SEV_PROMPT] = IGNORE(WAITING),
		[SEV_QUEUE] = IGNORE(WAITING),
		[SEV_ADMIT] = IGNORE(WAITING),
		[SEV_RESTART] = GO(RESTARTING, END),
		[SEV_DUE] = IGNORE(WAITING),
		[SEV_TURN] = IGNORE(WAITING),
		[SEV_TURN_DONE] = GO(IDLE, NONE),
		[SEV_ASK] = IGNORE(WAITING),
		[SEV_ANSWERED] = GO(RUNNING, NONE),
		[SEV_INTERRUPT] = GO(WAITING, INTERRUPT),
		[SEV_RESET] = IGNORE(WAITING),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(WAITING),
	},
	[SESSION_IDLE] = {
		[SEV_STARTED] = IGNORE(IDLE),
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = GO(FROZEN, FREEZE),
		[SEV_THAW] = IGNORE(IDLE),
		[SEV_EXIT_OK] = GO(FINISHED, END),
		[SEV_EXIT_BAD] = GO(FAILED, END),
		[SEV_RESUME] = GO(RUNNING, GIVE),
		[SEV_PROMPT] = GO(RUNNING, GIVE),
		[SEV_QUEUE] = IGNORE(IDLE),
		[SEV_ADMIT] = IGNORE(IDLE),
		[SEV_RESTART] = GO(RESTARTING, END),
		[SEV_DUE] = IGNORE(IDLE),
		[SEV_TURN] = GO(RUNNING, NONE),
		[SEV_TURN_DONE] = IGNORE(IDLE),
		[SEV_ASK] = GO(WAITING, NONE),
		[SEV_ANSWERED] = IGNORE(IDLE),
		[SEV_INTERRUPT] = REFUSE(IDLE, "no turn is open"),
		[SEV_RESET] = IGNORE(IDLE),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(IDLE),
	},
	[SESSION_FROZEN] = {
		[SEV_STARTED] = IGNORE(FROZEN),
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = IGNORE(FROZEN),
		[SEV_THAW] = GO(RUNNING, THAW),
		/* Someone else killed it: it ends like any other. */
		[SEV_EXIT_OK] = GO(FINISHED, END),
		[SEV_EXIT_BAD] = GO(FAILED, END),
		[SEV_RESUME] = LIVE(FROZEN),
		[SEV_PROMPT] = IGNORE(FROZEN),
		[SEV_QUEUE] = IGNORE(FROZEN),
		[SEV_ADMIT] = IGNORE(FROZEN),
		[SEV_RESTART] = GO(RESTARTING, END),
		[SEV_DUE] = IGNORE(FROZEN),
		[SEV_TURN] = IGNORE(FROZEN),
		[SEV_TURN_DONE] = IGNORE(FROZEN),
		[SEV_ASK] = IGNORE(FROZEN),
		[SEV_ANSWERED] = IGNORE(FROZEN),
		[SEV_INTERRUPT] = REFUSE(FROZEN, "the session is frozen: thaw it first"),
		[SEV_RESET] = IGNORE(FROZEN),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(FROZEN),
	},
	[SESSION_STOPPING] = {
		[SEV_STARTED] = IGNORE(STOPPING),
		/* A second stop may shorten the time until SIGKILL. */
		[SEV_STOP] = GO(STOPPING, STOP),
		[SEV_FREEZE] = REFUSE(STOPPING, STOPPING_TEXT),
		[SEV_THAW] = IGNORE(STOPPING),
		[SEV_EXIT_OK] = GO(STOPPED, END),
		[SEV_EXIT_BAD] = GO(STOPPED, END),
		[SEV_RESUME] = LIVE(STOPPING),
		[SEV_PROMPT] = REFUSE(STOPPING, STOPPING_TEXT),
		[SEV_QUEUE] = IGNORE(STOPPING),
		[SEV_ADMIT] = IGNORE(STOPPING),
		/* A stop by a person is final. */
		[SEV_RESTART] = GO(STOPPED, END),
		[SEV_DUE] = IGNORE(STOPPING),
		[SEV_TURN] = IGNORE(STOPPING),
		[SEV_TURN_DONE] = IGNORE(STOPPING),
		[SEV_ASK] = IGNORE(STOPPING),
		[SEV_ANSWERED] = IGNORE(STOPPING),
		[SEV_INTERRUPT] = REFUSE(STOPPING, STOPPING_TEXT),
		[SEV_RESET] = IGNORE(STOPPING),
		[SEV_CLOSE] = GO(FINISHED, NONE),
		[SEV_REOPEN] = IGNORE(STOPPING),
	},
	[SESSION_RESTARTING] = {
		[SEV_STARTED] = IGNORE(RESTARTING),
		[SEV_STOP] = GO(STOPPED, CANCEL),
		[SEV_FREEZE] = REFUSE(RESTARTING, NO_PROCESS),
		[SEV_THAW] = IGNORE(RESTARTING),
		[SEV_EXIT_OK] = IGNORE(RESTARTING),
		[SEV_EXIT_BAD] = GO(FAILED, CANCEL),
		[SEV_RESUME] = LIVE(RESTARTING),
		[SEV_PROMPT] = IGNORE(RESTARTING),
		[SEV_QUEUE] = GO(QUEUED, NONE),
		[SEV_ADMIT] = IGNORE(RESTARTING),
		[SEV_RESTART] = IGNORE(RESTARTING),
		[SEV_DUE] = GO(PENDING, RUN),
		[SEV_TURN] = IGNORE(RESTARTING),
		[SEV_TURN_DONE] = IGNORE(RESTARTING),
		[SEV_ASK] = IGNORE(RESTARTING),
		[SEV_ANSWERED] = IGNORE(RESTARTING),
		[SEV_INTERRUPT] = REFUSE(RESTARTING, NO_PROCESS),
		[SEV_RESET] = IGNORE(RESTARTING),
		[SEV_CLOSE] = IGNORE(RESTARTING),
		[SEV_REOPEN] = IGNORE(RESTARTING),
	},
	[SESSION_FINISHED] = {
		[SEV_STARTED] = IGNORE(FINISHED),
		[SEV_STOP] = IGNORE(FINISHED),
		[SEV_FREEZE] = REFUSE(FINISHED, ENDED),
		[SEV_THAW] = REFUSE(FINISHED, ENDED),
		[SEV_EXIT_OK] = IGNORE(FINISHED),
		[SEV_EXIT_BAD] = IGNORE(FINISHED),
		[SEV_RESUME] = GO(PENDING, RUN),
		[SEV_PROMPT] = GO(PENDING, RUN),
		[SEV_QUEUE] = GO(QUEUED, NONE),
		[SEV_ADMIT] = IGNORE(FINISHED),
		/* Its child's answer is there. */
		[SEV_RESTART] = GO(RESTARTING, NONE),
		[SEV_DUE] = IGNORE(FINISHED),
		[SEV_TURN] = IGNORE(FINISHED),
		[SEV_TURN_DONE] = IGNORE(FINISHED),
		[SEV_ASK] = IGNORE(FINISHED),
		[SEV_ANSWERED] = IGNORE(FINISHED),
		[SEV_INTERRUPT] = REFUSE(FINISHED, ENDED),
		[SEV_RESET] = IGNORE(FINISHED),
		[SEV_CLOSE] = IGNORE(FINISHED),
		[SEV_REOPEN] = GO(RUNNING, NONE),
	},
	[SESSION_FAILED] = {
		[SEV_STARTED] = IGNORE(FAILED),
		[SEV_STOP] = IGNORE(FAILED),
		[SEV_FREEZE] = REFUSE(FAILED, ENDED),
		[SEV_THAW] = REFUSE(FAILED, ENDED),
		[SEV_EXIT_OK] = IGNORE(FAILED),
		[SEV_EXIT_BAD] = IGNORE(FAILED),
		[SEV_RESUME] = GO(PENDING, RUN),
		[SEV_PROMPT] = GO(PENDING, RUN),
		[SEV_QUEUE] = GO(QUEUED, NONE),
		[SEV_ADMIT] = IGNORE(FAILED),
		/* Its child's answer is there. */
		[SEV_RESTART] = GO(RESTARTING, NONE),
		[SEV_DUE] = IGNORE(FAILED),
		[SEV_TURN] = IGNORE(FAILED),
		[SEV_TURN_DONE] = IGNORE(FAILED),
		[SEV_ASK] = IGNORE(FAILED),
		[SEV_ANSWERED] = IGNORE(FAILED),
		[SEV_INTERRUPT] = REFUSE(FAILED, ENDED),
		[SEV_RESET] = GO(STOPPED, NONE),
		[SEV_CLOSE] = IGNORE(FAILED),
		[SEV_REOPEN] = GO(RUNNING, NONE),
	},
	[SESSION_STOPPED] = {
		[SEV_STARTED] = IGNORE(STOPPED),
		[SEV_STOP] = IGNORE(STOPPED),
		[SEV_FREEZE] = REFUSE(STOPPED, ENDED),
		[SEV_THAW] = REFUSE(STOPPED, ENDED),
		[SEV_EXIT_OK] = IGNORE(STOPPED),
		[SEV_EXIT_BAD] = IGNORE(STOPPED),
		[SEV_RESUME] = GO(PENDING, RUN),
		[SEV_PROMPT] = GO(PENDING, RUN),
		[SEV_QUEUE] = GO(QUEUED, NONE),
		[SEV_ADMIT] = IGNORE(STOPPED),
		[SEV_RESTART] = IGNORE(STOPPED),
		[SEV_DUE] = IGNORE(STOPPED),
		[SEV_TURN] = IGNORE(STOPPED),
		[SEV_TURN_DONE] = IGNORE(STOPPED),
		[SEV_ASK] = IGNORE(STOPPED),
		[SEV_ANSWERED] = IGNORE(STOPPED),
		[SEV_INTERRUPT] = REFUSE(STOPPED, ENDED),
		[SEV_RESET] = IGNORE(STOPPED),
		[SEV_CLOSE] = IGNORE(STOPPED),
		[SEV_REOPEN] = GO(RUNNING, NONE),
	},
};

static const struct {
	const char *name, *doc;
} outcomes[OUTCOME_COUNT] = {
	[OUTCOME_NONE] = {NULL, "It has not ended."},
	[OUTCOME_SUCCESS] =
		{"success",
		 "The agent did what it was asked, or the command exited with status 0."},
	[OUTCOME_EXIT_CODE] = {"exit-code", "The program exited with a status other than 0."},
	[OUTCOME_SIGNAL] = {"signal", "The program was ended by a signal that nobody here sent."},
	[OUTCOME_CORE_DUMP] = {"core-dump", "The program was ended by a signal and dumped core."},
	[OUTCOME_OOM_KILL] = {"oom-kill", "The kernel killed it because memory ran out."},
	[OUTCOME_TIMEOUT] = {"timeout", "It took longer than it was allowed to."},
	[OUTCOME_WATCHDOG] = {"watchdog", "Nothing was heard of it, nor seen to happen, for too long."},
	[OUTCOME_STALLED] = {"stalled", "A tool that it used did not come back in time."},
	[OUTCOME_MAX_TURNS] = {"max-turns", "The agent used up the turns it was given."},
	[OUTCOME_BUDGET] = {"budget", "A budget was used up, such as MaxTokens= or DailyMaxCostUSD=; or the agent said so of its own."},
	[OUTCOME_RATE_LIMITED] = {"rate-limited",
				  "The model's API refused further requests for now (429)."},
	[OUTCOME_OVERLOADED] = {"overloaded", "The model's API was overloaded (529, 503)."},
	[OUTCOME_AUTH] = {"auth",
			  "The model's API did not accept the key, or there was none (401, 403)."},
	[OUTCOME_BILLING] = {"billing", "The account behind the key has no credit (402)."},
	[OUTCOME_REFUSED] = {"refused", "The model declined to answer."},
	[OUTCOME_AGENT_ERROR] = {"agent-error",
				 "The agent said that it failed, for another reason."},
	[OUTCOME_CANCELLED] = {"cancelled", "It was stopped by request."},
	[OUTCOME_START_LIMIT_HIT] = {"start-limit-hit",
				     "It was started too often in too short a time."},
	[OUTCOME_RESOURCES] = {"resources", "It could not be started, or again, or it used up a resource such as LogSizeMax=."},
	[OUTCOME_SHIM_LOST] = {"shim-lost", "Its shim was killed, so nobody knows how it ended."},
	[OUTCOME_HOST_REBOOT] = {"host-reboot", "The machine was restarted while it ran."},
	[OUTCOME_UNKNOWN] = {"unknown", "It ended without saying how."},
};

const char *
session_state_name(enum session_state s)
{
	assert(s < SESSION_STATE_COUNT);
	return state_names[s];
}

int
session_state_parse(const char *name)
{
	for (int i = 0; i < SESSION_STATE_COUNT; i++)
		if (strcmp(name, state_names[i]) == 0)
			return i;
	return -1;
}

bool
session_state_live(enum session_state s)
{
	return s < SESSION_FINISHED;
}

bool
session_state_has_run(enum session_state s)
{
	return session_state_live(s) && s != SESSION_QUEUED && s != SESSION_RESTARTING;
}

bool
session_state_busy(enum session_state s)
{
	return session_state_live(s) && s != SESSION_IDLE;
}

const char *
session_state_status(enum session_state s)
{
	return session_state_busy(s) ? "running" : "finished";
}

const char *
session_event_name(enum session_event ev)
{
	assert(ev < SESSION_EVENT_COUNT);
	return session_event_names[ev];
}

const struct session_move *
session_move(enum session_state s, enum session_event ev)
{
	assert(s < SESSION_STATE_COUNT && ev < SESSION_EVENT_COUNT);
	return &session_moves[s][ev];
}

void
session_moves_print(struct buf *out)
{
	buf_puts(out, "state        event     next         action\n");
	for (int s = 0; s < SESSION_STATE_COUNT; s++)
		for (int ev = 0; ev < SESSION_EVENT_COUNT; ev++) {
			const struct session_move *m = &session_moves[s][ev];

			buf_printf(out, "%-12s %-9s %-12s %s", state_names[s],
				   session_event_names[ev], state_names[m->next],
				   action_names[m->action]);
			if (m->why)
				buf_printf(out, ": %s", m->why);
			buf_putc(out, '\n');
		}
}

const char *
outcome_name(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return outcomes[o].name;
}

const char *
outcome_doc(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return outcomes[o].doc;
}

static bool
outcome_is(const char *word, enum outcome o, int exit_code, int signal)
{
	const char *abbrev = signal > 0 ? sigabbrev_np(signal) : NULL;
	int64_t code;

	if (outcome_parse(word) == (int)o)
		return true;
	if (o == OUTCOME_EXIT_CODE)
		return parse_i64(word, 0, 255, &code) && code == exit_code;
	return (o == OUTCOME_SIGNAL || o == OUTCOME_CORE_DUMP) && abbrev &&
	       strcmp(str_starts(word, "SIG") ? word + 3 : word, abbrev) == 0;
}

bool
outcome_listed(char *const *words, enum outcome o, int exit_code, int signal)
{
	for (; words && *words; words++)
		if (outcome_is(*words, o, exit_code, signal))
			return true;
	return false;
}

int
outcome_parse(const char *name)
{
	for (int i = 0; i < OUTCOME_COUNT; i++)
		if (outcomes[i].name && strcmp(name, outcomes[i].name) == 0)
			return i;
	return -1;
}

static void
put_time_or_null(struct buf *out, int64_t us)
{
	if (us)
		put_time(out, us);
	else
		PUT(out, "null");
}

/* US dollars, to a hundred-millionth, without the cost of a printf. */
static void
put_cost(struct buf *out, double usd)
{
	int64_t parts;
	char frac[9];
	int n = 8;

	if (!(usd > 0) || usd > 1e10) {
		PUT(out, "0");
		return;
	}
	parts = (int64_t)(usd * 1e8 + 0.5);
	put_int(out, parts / 100000000);
	parts %= 100000000;
	if (parts == 0)
		return;
	frac[0] = '.';
	for (int i = 8; i > 0; i--, parts /= 10)
		frac[i] = (char)('0' + parts % 10);
	while (frac[n] == '0')
		n--;
	put_bytes(out, frac, (size_t)n + 1);
}

static void
render_old(struct buf *out, const struct session_row *s)
{
	PUT(out, "{\"session_id\":");
	put_string(out, s->id);
	PUT(out, ",\"session_name\":");
	put_string(out, s->name);
	if (session_state_busy(s->state))
		PUT(out, ",\"status\":\"running\",\"created_at\":");
	else
		PUT(out, ",\"status\":\"finished\",\"created_at\":");
	put_time_or_null(out, s->created_us);
	PUT(out, ",\"project_dir\":");
	put_string(out, s->project_dir);
	PUT(out, ",\"agent_name\":");
	put_string(out, s->agent_name);
	PUT(out, ",\"last_resumed_at\":");
	put_time_or_null(out, s->last_resumed_us);
}

static void
render_run(struct buf *out, const struct session_row *s)
{
	PUT(out, ",\"runs\":");
	put_int(out, s->runs);
	if (s->last_seq >= 0) {
		PUT(out, ",\"seq\":");
		put_int(out, s->last_seq);
	}
	PUT(out, ",\"started_at\":");
	put_time_or_null(out, s->started_us);
	PUT(out, ",\"ended_at\":");
	put_time_or_null(out, s->ended_us);
	PUT(out, ",\"exit_code\":");
	if (s->exit_code >= 0)
		put_int(out, s->exit_code);
	else
		PUT(out, "null");
	PUT(out, ",\"signal\":");
	if (s->signal > 0)
		put_int(out, s->signal);
	else
		PUT(out, "null");
	PUT(out, ",\"error\":");
	put_string(out, s->error);
}

/* What is to come: when it is started again, what it is asked then. */
static void
render_start(struct buf *out, const struct session_row *s)
{
	if (s->persistent)
		PUT(out, ",\"lifecycle\":\"persistent\",\"prompts_queued\":");
	else
		PUT(out, ",\"lifecycle\":\"oneshot\",\"prompts_queued\":");
	put_int(out, s->prompts_queued);
	PUT(out, ",\"priority\":");
	put_int(out, s->priority);
	PUT(out, ",\"restarts\":");
	put_int(out, s->restarts);
	PUT(out, ",\"next_start_at\":");
	put_time_or_null(out, s->due_us);
}

void
session_render(struct buf *out, const struct session_row *s)
{
	render_old(out, s);
	PUT(out, ",\"state\":");
	put_string(out, session_state_name(s->state));
	PUT(out, ",\"result\":");
	put_string(out, outcome_name(s->outcome));
	if (s->passive)
		PUT(out, ",\"passive\":true");
	else
		PUT(out, ",\"passive\":false");
	render_run(out, s);
	PUT(out, ",\"adapter\":");
	put_string(out, s->adapter);
	PUT(out, ",\"parent_session_id\":");
	put_string(out, s->parent_id);
	if (s->callback)
		PUT(out, ",\"callback\":true");
	else
		PUT(out, ",\"callback\":false");
	if (s->stop_with_parent)
		PUT(out, ",\"stop_with_parent\":true");
	else
		PUT(out, ",\"stop_with_parent\":false");
	PUT(out, ",\"agent_session_id\":");
	put_string(out, s->agent_session_id);
	PUT(out, ",\"agent_version\":");
	if (s->blueprint_version > 0)
		put_int(out, s->blueprint_version);
	else
		PUT(out, "null");
	render_start(out, s);
	PUT(out, ",\"usage\":{\"input_tokens\":");
	put_int(out, s->input_tokens);
	PUT(out, ",\"output_tokens\":");
	put_int(out, s->output_tokens);
	PUT(out, ",\"cost_usd\":");
	put_cost(out, s->cost_usd);
	PUT(out, ",\"turns\":");
	put_int(out, s->turns);
	PUT(out, "}}");
	put_end(out);
}
