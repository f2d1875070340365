/* SPDX-License-Identifier: MIT */
/*
 * Sessions and runs: states, what moves them, outcomes, and how a session is shown.
 *
 * A session is a durable conversation; a run is one process tree that works for it, at most one at a time. The
 * session's state is that of its latest run:
 *
 *	queued     it is to be started, and waits until there is room for it; there is no run
 *	pending    the run is in the database; its shim has not been heard of yet
 *	running    the agent's process was started
 *	waiting    the agent asked something and waits for the answer
 *	idle       a persistent session's turn has ended; its process waits for the next prompt
 *	frozen     all its processes stand still until someone thaws or stops it; no time of its limits passes
 *	stopping   someone asked it to stop; its processes are being ended
 *	auto-restart  the run has ended and another one follows, at due_us
 *	finished   the run ended well
 *	failed     the run ended badly; `result` says how
 *	stopped    it was stopped by request
 *
 * A passive session (registered by a client that runs the agent itself) has no run: it is running until a
 * session_stop event, and running again after a session_start event or resume.
 *
 * Words on the wire (`status`): idle, finished, failed, stopped → "finished", as the answer is there; the rest → "running"; no such session →
 * "not_existent". All changes are cells of session_moves[][] (session.c); a test prints it as a golden file.
 */
#ifndef AOD_MODEL_SESSION_H
#define AOD_MODEL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum session_state {
	SESSION_PENDING,
	SESSION_QUEUED,
	SESSION_RUNNING,
	SESSION_WAITING,
	SESSION_IDLE,
	SESSION_FROZEN,
	SESSION_STOPPING,
	SESSION_RESTARTING,
	SESSION_FINISHED,
	SESSION_FAILED,
	SESSION_STOPPED,
	SESSION_STATE_COUNT,
};

enum session_event {
	SEV_STARTED,	  /* the shim says the agent's process runs */
	SEV_STOP,	  /* a client asks to stop it */
	SEV_FREEZE,	  /* a client asks to freeze it */
	SEV_THAW,	  /* a client asks to let it go on */
	SEV_EXIT_OK,	  /* the run ended, outcome success */
	SEV_EXIT_BAD,	  /* the run ended, any other outcome; also spawn failed, shim lost, host rebooted */
	SEV_RESUME,	  /* a client gives a further prompt, to be answered now */
	SEV_PROMPT,	  /* a further prompt has its turn when those before it are done */
	SEV_QUEUE,	  /* it is to be started, and there is no room */
	SEV_ADMIT,	  /* there is room now */
	SEV_RESTART,	  /* the run ended, and another one follows; or it follows after all */
	SEV_DUE,	  /* the time for that has come */
	SEV_TURN,	  /* a turn has begun in its process */
	SEV_TURN_DONE,	  /* its turn has ended, the process stays */
	SEV_ASK,	  /* the agent asks something */
	SEV_ANSWERED,	  /* nothing that it asked is open any more */
	SEV_INTERRUPT,	  /* a client asks to end the turn, not the session */
	SEV_RESET,	  /* a client asks to forget that it failed */
	SEV_CLOSE,	  /* passive: session_stop event */
	SEV_REOPEN,	  /* passive: session_start event */
	SESSION_EVENT_COUNT,
};

/* What the supervisor does on a move, beside storing the new state. */
enum session_action {
	ACT_NONE,
	ACT_STOP,	  /* tell the shim to stop the tree */
	ACT_FREEZE,	  /* freeze its group */
	ACT_THAW,	  /* thaw its group */
	ACT_RUN,	  /* make a new run and spawn it */
	ACT_END,	  /* close the run's record */
	ACT_GIVE,	  /* give the next prompt of its queue to its process */
	ACT_INTERRUPT,	  /* interrupt the turn */
	ACT_CANCEL,	  /* there is no process: it just does not start any more */
	ACT_REFUSE,	  /* not possible in this state: the client gets `why`, nothing changes */
	ACT_IGNORE,	  /* late or repeated: nothing changes */
};

struct session_move {
	enum session_state next;
	enum session_action action;
	const char *why; /* for ACT_REFUSE */
};

const char *session_state_name(enum session_state s);
int session_state_parse(const char *name); /* -1 = unknown */
const char *session_state_status(enum session_state s); /* "running" | "finished" */
/* It has not come to its end: it has a process, or will have one without anybody asking again. */
bool session_state_live(enum session_state s);
/* It works, or will: there is no answer to wait for in a session that is idle, or has come to its end. */
bool session_state_busy(enum session_state s);
/* It has a run, which is in memory. */
bool session_state_has_run(enum session_state s);
const char *session_event_name(enum session_event ev);
const struct session_move *session_move(enum session_state s, enum session_event ev);
/* The whole table as text, for the manual and the golden file. */
void session_moves_print(struct buf *out);

#define SESSION_DEPTH_MAX 32 /* sessions below each other in a tree */

/* How a run ended; one row each, name on the wire. */
enum outcome {
	OUTCOME_NONE, /* has not ended */
	OUTCOME_SUCCESS,
	OUTCOME_EXIT_CODE,
	OUTCOME_SIGNAL,
	OUTCOME_CORE_DUMP,
	OUTCOME_OOM_KILL,
	OUTCOME_TIMEOUT,
	OUTCOME_WATCHDOG,
	OUTCOME_STALLED,
	OUTCOME_MAX_TURNS,
	OUTCOME_BUDGET,
	OUTCOME_RATE_LIMITED,
	OUTCOME_OVERLOADED,
	OUTCOME_AUTH,
	OUTCOME_BILLING,
	OUTCOME_REFUSED,
	OUTCOME_AGENT_ERROR, /* the agent said that it failed, for none of the reasons above */
	OUTCOME_CANCELLED,
	OUTCOME_START_LIMIT_HIT,
	OUTCOME_RESOURCES, /* it could not be started */
	OUTCOME_SHIM_LOST,
	OUTCOME_HOST_REBOOT,
	OUTCOME_UNKNOWN,
	OUTCOME_COUNT,
};
const char *outcome_name(enum outcome o); /* "exit-code"; NULL for OUTCOME_NONE */
const char *outcome_doc(enum outcome o);
int outcome_parse(const char *name); /* -1 = unknown */
/*
 * Whether a run that ended so is meant by one of these words (may be NULL): a result, or an exit code or signal where that is what the result
 * says. An agent that was not let in and exits with 1 is not meant by 1.
 */
bool outcome_listed(char *const *words, enum outcome o, int exit_code, int signal);

/* What a run, or a session, has used, by the agent's own account. It only grows. */
struct usage {
	int64_t turns, input_tokens, output_tokens;
	double cost_usd;
};

/* A session as it is stored. Strings are borrowed, NULL where unset; times in microseconds, 0 where unset. */
struct session_row {
	int64_t n; /* internal number, never shown */
	const char *id, *name;
	enum session_state state;
	enum outcome outcome;
	bool passive;
	const char *project_dir, *agent_name, *adapter, *parent_id;
	int64_t created_us, last_resumed_us, started_us, ended_us;
	int64_t runs;
	int64_t last_seq; /* of its newest event; -1: not to be shown */
	int exit_code;	/* -1 = none */
	int signal;	/* 0 = none */
	const char *error; /* one line for a person, or NULL */
	double cost_usd;
	int64_t input_tokens, output_tokens, turns;
	const char *agent_session_id;
	int64_t blueprint_version; /* of the blueprint that the latest run was made from; 0 = none, or not known */
	bool persistent;	   /* Lifecycle=persistent, as of the latest run */
	const char *command;	   /* JSON array: the command that the request gave; or NULL */
	int64_t root;		   /* n of the first session of its tree; 0: it is that itself */
	bool callback;		   /* its result is a prompt for its parent */
	bool callback_due;	   /* its parent waits for one */
	bool stop_with_parent;	   /* it is stopped when its parent ends */
	int64_t prompts_queued;	   /* prompts that have not had their turn */
	int64_t priority, queued_us; /* of its start: greater first, then older first */
	const char *started_by;	     /* of a start that waits: what it is for other than a request; or NULL */
	int64_t due_us;		   /* when it is started again */
	int64_t restarts;	   /* by aod, in a row */
	int64_t limit_begin_us, limit_count; /* starts since then, as StartLimitIntervalSec= counts */
};

/*
 * The JSON object of a session: the seven keys of the old API first, all present (session_id, session_name, status, created_at,
 * project_dir, agent_name, last_resumed_at), then state, result, passive, runs, seq (not in lists), started_at, ended_at, exit_code, signal,
 * error, adapter, parent_session_id, agent_session_id, agent_version, callback, stop_with_parent, lifecycle, prompts_queued, priority, restarts, next_start_at, usage {input_tokens, output_tokens, cost_usd, turns}.
 */
void session_render(struct buf *out, const struct session_row *s);

#endif
