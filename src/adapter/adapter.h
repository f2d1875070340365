/* SPDX-License-Identifier: MIT */
/*
 * What knows one agent framework. Pure: an adapter never does I/O; paths are given to it, bytes come in, events go out.
 */
#ifndef AOD_ADAPTER_ADAPTER_H
#define AOD_ADAPTER_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/blueprint.h"
#include "model/event.h"
#include "model/plan.h"
#include "model/session.h"

/* What is asked for; all borrowed. */
struct plan_request {
	const struct blueprint *blueprint; /* its specifiers are replaced: blueprint_expand() */
	const char *session_id, *session_name;
	const char *agent_session_id; /* the agent's own conversation id (claude: a UUID) */
	bool resume;		      /* continue that conversation */
	const char *prompt;	      /* NULL: the blueprint's Prompt=, without which only the command adapter can go on */
	const char *prompt_uuid;
	char *const *command;	      /* argv given by the caller, or NULL (command adapter) */
	const char *project_dir;      /* absolute, or NULL: the blueprint's WorkingDirectory, else <session_dir>/work */
	const char *session_dir;      /* the agent's own: <dir>/work, home, tmp, claude and mcp.json are made by aod as planned */
	const char *mcp_config;	      /* content of the blueprint's McpConfigFile, or NULL */
	const char *system_prompt;    /* content of its SystemPromptFile, or NULL */
	char *const *file_environment; /* NAME=VALUE of its EnvironmentFile, or NULL; never shown */
	char *const *environ;	      /* aod's own environment, for PassEnvironment= and the base allow-list */
	const char *home, *user;      /* of the user the agent runs as */
	const char *socket;	      /* aod's unix socket for agents, for AOD_SOCKET */
	const char *token;	      /* what to show there, for AOD_TOKEN; never shown to people; NULL: none */
	const char *search_path;      /* PATH to look programs up in and to give to the agent */
	/*
	 * What the sandbox is made around; NULL: the plan has none. state, run, etc, root, no_namespaces, git_dirs, git_files and visible are the
	 * caller's to fill; what else is NULL is taken from the plan: cwd, program, home, own (session_dir), tmp (own/tmp), socket.
	 */
	const struct sandbox_paths *paths;
	struct limit_totals totals;
	double cost_left; /* US dollars that the run may cost at most; 0: no limit */
};

/* A question of the agent's, which waits for answer(). */
struct adapter_ask {
	char *id;	  /* the agent's name for it, unique within its run */
	const char *kind; /* "permission" | "choice" */
	char *tool_name, *tool_use_id; /* "" where it says none */
	struct buf question; /* JSON object for people: tool_name, display_name, description, blocked_path; input of a permission, questions of a choice */
};

/* How a turn ended. */
struct turn_end {
	enum outcome outcome;
	char *result, *error; /* or NULL */
	/*
	 * Of OUTCOME_RATE_LIMITED: the wall-clock time, in microseconds, from which trying again makes sense; 0: not said. Trying again
	 * takes a new uuid: one whose turn has ended, however badly, is not worked on again.
	 */
	int64_t retry_us;
	/* It was to go on with a conversation that it does not know: nothing of the prompt was worked on, and only a new one can be begun. */
	bool no_conversation;
	/* It had the prompt before, in an earlier process, and did not work on it now; whether it came to an end of it then is not known. */
	bool replayed;
};

/* Collects what one line, or the end, led to. The caller owns it, and resets it between calls. */
struct adapter_out {
	struct event *events; /* [event_count] of event_cap, reused */
	int event_count, event_cap;
	struct buf reply;     /* bytes to write to the agent's stdin, or empty */
	struct adapter_ask *asks; /* questions that this line asked */
	int ask_count;
	char **asks_gone;     /* ids of questions that were taken back, or settled without us: a strv, or NULL */
	bool turn_done;	      /* the answer to our prompt is there: close stdin, start ResultGraceSec */
	struct turn_end turn; /* when turn_done */
	bool dirty;	      /* save() would say something new */
};
/* A further event, begun; valid until the next call. */
struct event *adapter_event(struct adapter_out *out, const char *type, int64_t time_us);
void adapter_out_reset(struct adapter_out *out);
void adapter_out_free(struct adapter_out *out);

/* How the process ended, from FRAME_EXIT. */
struct run_exit {
	bool known;	     /* false: nobody knows (shim lost) */
	int wait_status;     /* as of waitpid(2) */
	int exec_errno;	     /* not 0: it was never run */
	const char *exec_step;
	bool stop_requested; /* a client asked to stop it */
	/*
	 * Of one that may have had several turns. working: it had not ended the latest; what it said of earlier ones is not how it ended. idle:
	 * it waited for the next; only the exit says how it ended.
	 */
	bool working, idle;
	int64_t time_us;
};

struct run_result {
	enum outcome outcome;
	int exit_code; /* -1 none */
	int signal;    /* 0 none */
	char *result;  /* text of the result, owned by the caller; NULL = none said */
	bool result_from_output; /* the result is the tail of the run's stdout events (command) */
	char *error;   /* one line for a person, owned by the caller, or NULL */
	double cost_usd;	 /* of this run */
	int64_t input_tokens, output_tokens, turns; /* of this run */
	int64_t retry_us; /* as in struct turn_end */
	bool no_conversation; /* likewise */
};

/* What to say to a question. All borrowed. */
struct ask_answer {
	bool allow;
	const char *text;	   /* reason given to the agent with a refusal, or NULL */
	const char *answers;	   /* of a choice: JSON object, question -> label; or NULL */
	const char *updated_input; /* JSON object to use the tool with, or NULL: as asked */
};

#define ADAPTER_STDOUT 0
#define ADAPTER_STDERR 1

struct adapter {
	const char *name, *doc;
	size_t line_max; /* longer lines come in pieces with partial=true */
	bool needs_prompt;
	int (*plan)(const struct plan_request *rq, struct plan *plan, struct err *e);
	void *(*state_new)(void);
	void (*state_free)(void *st);
	/* One line without its newline. partial: a piece of a line over line_max; the last piece has partial=false and more=false,
	 * told by piece > 0. */
	void (*line)(void *st, int stream, int64_t time_us, const char *s, size_t n, int piece, bool partial,
		     struct adapter_out *out);
	/* The process has ended; emits last events and says how. Fills *r, which is zeroed with exit_code -1 before. */
	void (*end)(void *st, const struct run_exit *x, struct adapter_out *out, struct run_result *r);
	/* What must survive a restart of aod, as JSON, in the run's row; NULL where there is nothing. */
	void (*save)(void *st, struct buf *out);
	void (*restore)(void *st, const char *json, size_t n);
	/* When the oldest use of a tool that has no result yet was begun; 0: there is none. NULL: it uses none that are known. */
	int64_t (*tool_since)(const void *st);
	/* Time that does not count has passed: what is open was begun so much later. NULL as with tool_since. */
	void (*shift)(void *st, int64_t us);
	/*
	 * What to write to its stdin to give it a further prompt; NULL: one prompt a process. A prompt with a uuid that it has had is not worked on
	 * again: the turn ends at once, as a success without a result. But where it failed in the same process, that says nothing at all, and no turn ends.
	 */
	void (*prompt)(const char *text, const char *uuid, struct buf *out);
	/* Figures of the run so far, which never go down; those of a turn in progress are estimates of its tokens. NULL: none are known. */
	void (*usage)(const void *st, struct usage *u);
	/*
	 * Answer a question: *reply is what to write to its stdin, and the question is no longer open. -ENOENT: it is not (answered, taken back);
	 * -EINVAL: answers or updated_input are not JSON objects. Saying it to the agent twice does no harm. NULL: it asks nothing.
	 */
	int (*answer)(void *st, const char *ask_id, const struct ask_answer *a, struct buf *reply);
	/* What to write to its stdin so that it ends its turn; NULL: there is no such thing. */
	const char *interrupt;
};

extern const struct adapter *const adapters[]; /* ends with NULL */
const struct adapter *adapter_find(const char *name);

/*
 * Shared by the adapters and by aod. Make the plan: checks the request, resolves the program in search_path (a missing one is
 * an error with status 422 that names it and the mend), builds the environment from the allow-list, calls the adapter's plan.
 * *out is the caller's to free.
 */
int plan_make(const struct plan_request *rq, struct plan **out, struct err *e);

#endif
