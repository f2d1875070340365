/* SPDX-License-Identifier: MIT */
/*
 * A live run: one process tree that works for a session, with its shim, its spool and its adapter. It is in memory from the request that
 * makes it until its end is committed. Across turns of the loop others keep the session's number, not a pointer.
 *
 * Input to the agent is appended to the run's input file before the transaction that decided it: repeating it after a crash does no harm, as
 * closing twice, stopping twice and answering twice are the same as once, and the first prompt is in the file from the start. Further prompts
 * are written after the commit (turn.h).
 */
#ifndef AOD_AOD_RUN_H
#define AOD_AOD_RUN_H

#include "adapter/adapter.h"
#include "aod/admission.h"
#include "aod/budget.h"
#include "aod/ask.h"
#include "aod/contain.h"
#include "aod/gitguard.h"
#include "aod/session.h"
#include "aod/turn.h"
#include "aod/watch.h"
#include "base/frame.h"

#define SPOOL_READ (256u << 10)			   /* bytes of a spool read in one turn of the loop */
#define SPOOL_READ_MAX (FRAME_MAX + FRAME_HEADER)  /* so that one frame always fits */
#define SPOOL_OPEN_MAX (32u << 20)		   /* an open line holds up what is given back of the spool for no more than this: shims wait for that */
#define SPOOL_PUNCH (4u << 20)			   /* give the disk back what was read, in steps of this */
/*
 * The most of a spool that is not read yet; then the shim holds its agent back until there is room (shim/spec.h). More than an agent prints in hours while
 * aod is away, and what a program that prints without end has aod read at most before its stop is seen. Several times the longest line that
 * an adapter takes as a whole, which stays in the spool until it has ended.
 */
#define SPOOL_MAX (64u << 20)
#define LINE_COST 100 /* bytes that a line counts for LogSizeMax=, beside its own: what its event takes */
#define OUTPUT_RESULT_MAX (64u << 10)		   /* the tail of stdout that is the result of a command */

/* Bytes of a line that is not complete yet. */
struct line_buf {
	struct buf bytes;
	int64_t start; /* spool position of the first frame that holds a piece of it */
	int piece;     /* pieces of this line that were given to the adapter already */
};

struct run {
	struct run *next, *next_dirty, *next_queued, *next_given;
	struct manager *m;
	struct session s;
	int64_t n;
	struct plan *plan; /* until it is spawned */
	char *blueprint;   /* its name, behind aliases */
	struct counted counted;
	char **planned;	   /* keys of its blueprint that have no effect yet, or NULL */
	char **weaker;	   /* limits of its profile that have no effect on this host, or NULL */
	const struct adapter *adapter;
	void *adapter_state;
	struct adapter_out out;

	int64_t offset[3]; /* committed with the events: next unread frame of stdout, stderr, others */
	int64_t read_at, punched;
	int64_t safe, safe_commits; /* committed up to here, as of that many commits */
	int64_t told;	  /* up to where the shim was told so */
	int64_t logged;   /* bytes of lines that were kept, as LogSizeMax= counts; committed with the offsets */
	struct line_buf line[2];

	char *agent_session_id;
	char token_hash[65]; /* SHA-256 of the token that this run's processes have, in hexadecimal */
	int64_t timeout_stop_us, result_grace_us;
	char **success; /* ends that count as success; or NULL, or none */
	struct restart_policy restart;
	int64_t started_us;
	int spool_fd, input_fd, bell_fd, pidfd;
	int64_t shim_pid, shim_start;
	int64_t input_seq;
	struct spare *spare; /* a shim that was told of this run and waits for its start, or NULL */
	bool is_dirty, exited, closed;
	bool channel;	     /* what aod and its shim talk over is there */
	bool filled;	     /* its input file has what the plan gives the agent */
	bool shim_dead;	     /* nobody holds the spool's lock: what is in the spool is all there will be */
	bool other_boot;     /* it was started before the host was */

	ev_io pid_w;
	ev_timer grace_w;
	double grace_left_s; /* while it is frozen; 0: the timer was not running */
	struct contained in;
	struct watched w;
	struct budgeted b;
	struct turn turn;
	struct asked asked;
	struct git_guard git;
	/* When the run's end is committed: delete the session, and answer these requests. */
	bool delete_after;
	int64_t *delete_replies;
	int delete_reply_count;
	struct batch *batch;
};

/* What a run was asked to do, as kept in run.args. */
struct run_args {
	const char *prompt, *prompt_uuid, *agent_session_id;
	const char *prompt_else; /* where neither prompt nor the blueprint has one; or NULL */
	char *const *command;
	bool resume;
	int callback, stop_with_parent; /* of a new session: 1 yes, -1 no, 0 as the blueprint says */
	bool again; /* the prompt is one that was given before: it is not shown again */
	const char *token; /* for AOD_TOKEN; never stored */
	const char *started_by; /* what other than a request; or NULL */
	const int64_t *priority; /* of its start, as a request says; or NULL */
	bool admitted; /* it waited, and there is room now */
};

/*
 * Plan the next run of s (whose row is stored or about to be) and make its directories and files. The blueprint is looked up anew. On success
 * *out is a run that is not in the manager yet. 1: there is no room for it: *out is planned only, and for admission_queue().
 */
int run_prepare(struct manager *m, const struct session *s, int64_t n, const struct run_args *args, struct run **out, struct err *e);
/* The words of a JSON array, or NULL; a strv. */
char **run_command_words(const char *json);
/* The blueprint of a session that names none. */
const char *run_default_agent(const char *agent_name, const struct run_args *args);
/* The plan of a session with the blueprint b, which is taken. weaker (may be NULL): limits of its profile that have no effect on this host. */
int run_plan(struct manager *m, const struct session_row *row, const struct run_args *args, struct blueprint *b, struct plan **out,
	     char ***weaker, struct err *e);
/* Only the plan, no side effects. */
int run_make_plan(struct manager *m, const struct session_row *row, const struct run_args *args, struct plan **out, struct err *e);
/* Store the run's row and its first events; it is spawned after the commit. The run belongs to the manager from here on. */
int run_begin(struct run *r, const struct run_args *args, struct err *e);
/*
 * Before the run is committed, while it is written: a spare shim, if there is one for it, makes all ready up to the agent's exec. What that has made goes
 * where the transaction does, with the sweeps of groups and directories.
 */
void run_ready(struct run *r);
/* Right behind the commit: the agent of such a one is executed. */
void run_go(struct run *r);
/* Start the shim that was not started by that, and watch it. */
int run_spawn(struct run *r, struct err *e);
/* A process that is one, with these descriptors as in shim/spec.h, -1: none. Its pid, or -errno. */
pid_t shim_birth(const struct manager *m, int spec_fd, int seccomp_fd, int netns_fd);
/* Start-up: take over a live session as the database has it. */
int run_adopt(struct manager *m, const struct session_row *s, const struct run_row *row, struct err *e);
int run_attach(struct run *r, const struct run_row *row, struct err *e);
void run_free(struct run *r);

/* Read the spool up to one turn's budget. 1: there is more; 0: at its end; negative: the store failed. */
int run_ingest(struct run *r, struct err *e);
/* The shim is gone (its pidfd says so). */
int run_on_shim_gone(struct run *r, struct err *e);
/* The run could not be started, or is lost. */
int run_fail(struct run *r, enum outcome outcome, const char *text, struct err *e);
/*
 * End it; the state was changed by the caller. timeout_us < 0: the blueprint's. Its turn is interrupted first where the adapter can, then SIGINT, then
 * FRAME_STOP with what is left of the time; a second stop is a FRAME_STOP at once.
 */
void run_stop(struct run *r, int64_t timeout_us);
void run_signal_shim(const struct run *r, int sig);
/* Freeze or thaw all of it: state, event, and the times that stand still. One that is so already is fine. */
int run_freeze(struct run *r, bool frozen, struct err *e);
/* Its answer is there: it has ResultGraceSec= to end. */
void run_start_grace(struct run *r);

/* For ingest.c: store what the adapter made of a line and do what it asks for; the process has ended; write the run's row. */
int run_take_adapter_out(struct run *r, struct err *e);
int run_on_exit(struct run *r, const struct run_exit *x, struct err *e);
int run_save(struct run *r, struct err *e);
/* The streams are at their end: lines that were never ended are lines. */
int run_flush_lines(struct run *r, int64_t time_us, struct err *e);
/* The process has ended, and nobody knows how: outcome and text say what is known instead. */
int run_end_unknown(struct run *r, enum outcome outcome, const char *text, struct err *e);
/* Watch the shim by a pidfd. -ESRCH when that process is gone. */
int run_watch_shim(struct run *r, int64_t pid, int64_t start);

/* Append a frame (or more, for long input) to the input file and ring the shim. All of it is written, or nothing. */
int run_input(struct run *r, uint8_t type, const void *p, size_t n, struct err *e);
/* How many frames so many bytes take; numbers for them, to be used later; write them, but for the first so many. */
size_t run_input_frames(size_t n);
int64_t run_input_reserve(struct run *r, size_t n);
int run_input_as(struct run *r, int64_t first, size_t skip, uint8_t type, const void *p, size_t n, struct err *e);
char *run_path(const struct run *r, const char *suffix); /* state/sessions/ID/N.suffix; caller frees */
char *session_dir(const struct manager *m, const char *id);
char *agent_dir(const struct manager *m, const char *id); /* what of it is the agent's */
/* The run has ended and is committed: its spool, input and bell go. */
void run_remove_files(const struct run *r);
/* Those of every run of the session that has this directory, and has no run now. */
void run_remove_all_files(const char *dir);
/* SIGKILL to every process that carries AOD_SESSION_ID=id in its environment: where there are no control groups. */
int kill_session_processes(const char *id);

#endif
