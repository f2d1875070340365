/* SPDX-License-Identifier: MIT */
/*
 * The plan of a run: everything that is needed to start it, decided. Immutable once made; `aoctl plan` prints it.
 * Made by plan_make() from a blueprint and a request; the adapter fills argv, env and the input.
 */
#ifndef AOD_MODEL_PLAN_H
#define AOD_MODEL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/budget.h"
#include "model/ask.h"
#include "model/restart.h"
#include "model/sandbox.h"

/* How long what may take, in microseconds; INT64_MAX: for ever. */
struct run_limits {
	int64_t start_us, runtime_us, watchdog_us, tool_us;
};

struct plan {
	char *adapter;
	char **argv;	      /* argv[0] is what the user wrote; program is its resolved path */
	char *program;
	char **env;	      /* NAME=VALUE, the whole environment */
	char **secret_env;    /* names in env whose values plan_json() hides (all that came by PassEnvironment=) */
	char *cwd;
	struct sandbox *sandbox; /* NULL when the request names no paths for one */
	char *prompt;	      /* what it is asked: the request's, else the blueprint's Prompt=; or NULL */
	struct buf input;     /* first bytes for the agent's stdin */
	bool close_stdin;     /* close stdin after input (command); else the adapter says when */
	bool persistent;      /* Lifecycle=persistent */
	int64_t idle_us;      /* IdleTimeoutSec=; INT64_MAX: for ever */
	int64_t timeout_stop_us, result_grace_us;
	struct run_limits may;
	int64_t max_sessions, queue_priority; /* of its blueprint; max_sessions 0: no limit */
	struct budget budget;
	bool callback, stop_with_parent; /* for a session that another one starts */
	char **success; /* ends that count as success; or NULL, or none */
	struct restart_policy restart;
	struct ask_policy ask;
	/* files to write before the start, mode 0600: path, content */
	struct plan_file { char *path; char *text; } *files;
	int file_count;
};

struct plan *plan_new(void);
void plan_free(struct plan *p);
void plan_add_file(struct plan *p, const char *path, const char *text);
/* The value of a variable of its environment, or NULL. */
const char *plan_env(const struct plan *p, const char *name);
/* The plan as JSON, values of secret_env as null. */
void plan_json(struct buf *out, const struct plan *p);

#endif
