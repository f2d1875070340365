/* SPDX-License-Identifier: MIT */
/*
 * The list of adapters, what they share, and plan_make(): the one place where a blueprint and a
 * request become what is run. access(2) on the program is all it sees of the file system.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "adapter/adapter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "adapter/common.h"
#include "base/util.h"

#define EXIT_STATUS_EXEC 203 /* as systemd.exec(5): EXIT_EXEC */

const struct adapter *const adapters[] = {&adapter_claude, &adapter_command, NULL};

const struct adapter *
adapter_find(const char *name)
{
	for (size_t i = 0; adapters[i]; i++)
		if (strcmp(adapters[i]->name, name) == 0)
			return adapters[i];
	return NULL;
}

/* ---- what a line led to ---- */

struct event *
adapter_event(struct adapter_out *out, const char *type, int64_t time_us)
{
	struct event *ev;

	if (out->event_count == out->event_cap) {
		int cap = out->event_cap > 0 ? out->event_cap * 2 : 4;

		out->events = xrealloc(out->events, (size_t)cap * sizeof(*out->events));
		memset(out->events + out->event_cap, 0,
		       (size_t)(cap - out->event_cap) * sizeof(*out->events));
		out->event_cap = cap;
	}
	ev = &out->events[out->event_count++];
	event_begin(ev, type, time_us);
	return ev;
}

struct adapter_ask *
adapter_ask_add(struct adapter_out *out)
{
	out->asks = xrealloc(out->asks, (size_t)(out->ask_count + 1) * sizeof(*out->asks));
	memset(&out->asks[out->ask_count], 0, sizeof(*out->asks));
	return &out->asks[out->ask_count++];
}

static void
asks_free(struct adapter_out *out)
{
	for (int i = 0; i < out->ask_count; i++) {
		struct adapter_ask *a = &out->asks[i];

		free(a->id);
		free(a->tool_name);
		free(a->tool_use_id);
		buf_free(&a->question);
	}
	free(out->asks);
	strv_free(out->asks_gone);
	out->asks = NULL;
	out->ask_count = 0;
	out->asks_gone = NULL;
}

void
adapter_out_reset(struct adapter_out *out)
{
	out->event_count = 0;
	buf_reset(&out->reply);
	if (out->asks || out->asks_gone)
		asks_free(out);
	free(out->turn.result);
	free(out->turn.error);
	out->turn = (struct turn_end){ 0 };
	out->turn_done = false;
	out->dirty = false;
}

void
adapter_out_free(struct adapter_out *out)
{
	for (int i = 0; i < out->event_cap; i++)
		event_free(&out->events[i]);
	free(out->events);
	adapter_out_reset(out);
	buf_free(&out->reply);
	memset(out, 0, sizeof(*out));
}

struct event *
adapter_output_event(struct adapter_out *out, int stream, int64_t time_us, const char *s, size_t n,
		     bool partial)
{
	struct event *ev = adapter_event(out, "output", time_us);

	buf_puts(&ev->data, stream == ADAPTER_STDERR ? "\"stream\":\"stderr\",\"text\":"
						     : "\"stream\":\"stdout\",\"text\":");
	if (!buf_put_json(&ev->data, s, n)) {
		buf_puts(&ev->data, ",\"base64\":\"");
		buf_put_base64(&ev->data, s, n);
		buf_putc(&ev->data, '"');
	}
	if (partial)
		buf_puts(&ev->data, ",\"partial\":true");
	return ev;
}

/* ---- how it ended ---- */

char *
first_line(const char *s, size_t n, size_t max)
{
	const char *end;

	while (n > 0 && (*s == '\n' || *s == '\r' || *s == ' ')) {
		s++;
		n--;
	}
	end = memchr(s, '\n', n);
	if (end)
		n = (size_t)(end - s);
	if (n > max) {
		n = max;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	while (n > 0 && (s[n - 1] == '\r' || s[n - 1] == ' '))
		n--;
	return xstrndup(s, n);
}

static void
set_result(struct run_result *r, enum outcome outcome, char *error)
{
	r->outcome = outcome;
	free(r->error);
	r->error = error;
}

void
run_result_from_exit(const struct run_exit *x, struct run_result *r)
{
	if (!x->known) {
		set_result(r, OUTCOME_UNKNOWN, xstrdup("nobody saw how the process ended"));
	} else if (x->exec_errno) {
		bool absent = x->exec_errno == ENOENT && x->exec_step && str_starts(x->exec_step, "mount ");

		r->exit_code = EXIT_STATUS_EXEC;
		set_result(r, OUTCOME_RESOURCES,
			   xasprintf("cannot run the program: %s (%s)%s", strerror(x->exec_errno), x->exec_step ? x->exec_step : "exec",
				     absent ? ": make it, or put - in front of it in the key of [Sandbox] that names it" : ""));
	} else if (WIFSIGNALED(x->wait_status)) {
		const char *name = sigabbrev_np(WTERMSIG(x->wait_status));

		r->signal = WTERMSIG(x->wait_status);
		set_result(r, WCOREDUMP(x->wait_status) ? OUTCOME_CORE_DUMP : OUTCOME_SIGNAL,
			   xasprintf("killed by signal %d%s%s%s", r->signal, name ? " (SIG" : "",
				     name ? name : "", name ? ")" : ""));
	} else {
		r->exit_code = WEXITSTATUS(x->wait_status);
		if (r->exit_code == 0)
			set_result(r, OUTCOME_SUCCESS, NULL);
		else
			set_result(r, OUTCOME_EXIT_CODE, xasprintf("exit status %d", r->exit_code));
	}
}

void
run_result_cancel(struct run_result *r)
{
	set_result(r, OUTCOME_CANCELLED, NULL);
}

/* ---- the plan ---- */

/* Where NAME=… is in env, or NULL. n: bytes of NAME. */
static char **
env_slot(char **env, const char *name, size_t n)
{
	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], name, n) == 0 && env[i][n] == '=')
			return &env[i];
	return NULL;
}

static void
env_add(struct plan *p, const char *assignment)
{
	const char *eq = strchr(assignment, '=');
	char **slot = env_slot(p->env, assignment, (size_t)(eq - assignment));

	if (!slot) {
		p->env = strv_add(p->env, assignment);
		return;
	}
	free(*slot);
	*slot = xstrdup(assignment);
}

void
plan_set_env(struct plan *p, const char *name, const char *value)
{
	CLEANUP_FREE char *assignment = NULL;

	if (!value)
		return;
	assignment = xasprintf("%s=%s", name, value);
	env_add(p, assignment);
}

/* What every agent gets. All else of aod's environment stays with aod: it may hold keys that are
 * not the agent's. */
static void
env_base(struct plan *p, const struct plan_request *rq, const char *home, bool private_tmp)
{
	plan_set_env(p, "PATH", rq->search_path);
	plan_set_env(p, "HOME", home);
	plan_set_env(p, "USER", rq->user);
	plan_set_env(p, "LOGNAME", rq->user);
	plan_set_env(p, "SHELL", "/bin/sh");
	plan_set_env(p, "TERM", "dumb");
	for (size_t i = 0; rq->environ && rq->environ[i]; i++) {
		const char *s = rq->environ[i];

		if (strchr(s, '=') &&
		    (str_starts(s, "LANG=") || str_starts(s, "LC_") || str_starts(s, "TZ=")))
			env_add(p, s);
	}
	if (!private_tmp) {
		CLEANUP_FREE char *tmp = xasprintf("%s/tmp", rq->session_dir);

		plan_set_env(p, "TMPDIR", tmp);
	}
	plan_set_env(p, "AGENT_SESSION_ID", rq->session_id);
	plan_set_env(p, "AOD_SESSION_ID", rq->session_id);
	plan_set_env(p, "AOD_SESSION_NAME", rq->session_name);
	plan_set_env(p, "AOD_SOCKET", rq->socket);
	if (rq->token) {
		plan_set_env(p, "AOD_TOKEN", rq->token);
		p->secret_env = strv_add(p->secret_env, "AOD_TOKEN");
	}
}

static void
env_blueprint(struct plan *p, const struct plan_request *rq)
{
	char *const *pass = blueprint_words(rq->blueprint, D_PassEnvironment),
		    *const *set = blueprint_words(rq->blueprint, D_Environment);
	char *const *file = rq->file_environment;

	for (size_t i = 0; pass && pass[i]; i++) {
		const char *name = pass[i];
		char **slot = env_slot((char **)rq->environ, name, strlen(name));

		if (!slot)
			continue;
		env_add(p, *slot);
		p->secret_env = strv_add(p->secret_env, name);
	}
	for (size_t i = 0; file && file[i]; i++) {
		CLEANUP_FREE char *name = xstrndup(file[i], strcspn(file[i], "="));

		env_add(p, file[i]);
		p->secret_env = strv_add(p->secret_env, name);
	}
	for (size_t i = 0; set && set[i]; i++)
		env_add(p, set[i]);
}

static bool
may_override(const struct blueprint *b, const char *what)
{
	for (char *const *w = blueprint_words(b, D_AllowOverride); w && *w; w++)
		if (strcmp(*w, what) == 0)
			return true;
	return false;
}

static int
plan_check(const struct plan_request *rq, const struct adapter *a, struct err *e)
{
	const char *name = blueprint_name(rq->blueprint);

	if (a->needs_prompt && (!rq->prompt || !*rq->prompt))
		return err_set_status(e, 422, -EINVAL,
				      "blueprint '%s' needs a prompt: aoctl run -p TEXT, or \"prompt\" in the request, or Prompt= in the blueprint", name);
	if (rq->command && a != &adapter_command)
		return err_set_status(
			e, 422, -EINVAL,
			"blueprint '%s' has Adapter=%s and takes a prompt, not a command: "
			"use one with Adapter=command for it",
			name, a->name);
	if (rq->command && !may_override(rq->blueprint, "command"))
		return err_set_status(
			e, 422, -EPERM,
			"blueprint '%s' does not let a request give a command (AllowOverride=)",
			name);
	if (rq->project_dir && *rq->project_dir && !may_override(rq->blueprint, "project_dir"))
		return err_set_status(
			e, 422, -EPERM,
			"blueprint '%s' does not let a request give a project_dir (AllowOverride=)",
			name);
	return 0;
}

static int
plan_cwd(struct plan *p, const struct plan_request *rq, struct err *e)
{
	const char *dir = blueprint_text(rq->blueprint, D_WorkingDirectory);

	if (rq->project_dir && *rq->project_dir)
		dir = rq->project_dir;
	if (!dir) {
		p->cwd = xasprintf("%s/work", rq->session_dir);
		return 0;
	}
	if (*dir != '/')
		return err_set_status(e, 422, -EINVAL,
				      "project_dir '%.200s' is not an absolute path", dir);
	p->cwd = xstrdup(dir);
	return 0;
}

static int
program_missing(const struct plan *p, const struct plan_request *rq, int why, struct err *e)
{
	const char *where = rq->command ? "" : " in ExecStart=", *word = p->argv[0];

	if (!strchr(word, '/'))
		return err_set_status(e, 422, -ENOENT,
				      "program '%.100s' not found in aod's PATH: install it, or give its full path%s",
				      word, where);
	if (why == EACCES)
		return err_set_status(e, 422, -EACCES,
				      "program '%.200s' is not executable: chmod +x it", word);
	return err_set_status(e, 422, -ENOENT,
			      "program '%.200s' not found: install it or give another path%s", word,
			      where);
}

/* argv[0] to program, as execvp(3) would find it. A relative path with a slash is meant from the
 * working directory. */
static int
plan_program(struct plan *p, const struct plan_request *rq, struct err *e)
{
	const char *word = p->argv[0];

	if (!*word)
		return err_set_status(e, 422, -EINVAL, "the program's name is empty");
	if (strchr(word, '/')) {
		p->program = *word == '/' ? xstrdup(word) : xasprintf("%s/%s", p->cwd, word);
		return access(p->program, X_OK) == 0 ? 0 : program_missing(p, rq, errno, e);
	}
	for (const char *s = rq->search_path; s && *s;) {
		size_t n = strcspn(s, ":");

		if (n > 0) {
			char *path = xasprintf("%.*s/%s", (int)n, s, word);

			if (access(path, X_OK) == 0) {
				p->program = path;
				return 0;
			}
			free(path);
		}
		s += n;
		s += *s == ':';
	}
	return program_missing(p, rq, ENOENT, e);
}

/* Whether the agent's user has no home that is seen. */
static bool
hides_homes(const struct blueprint *b)
{
	const char *v = blueprint_text(b, D_ProtectHome);

	return blueprint_tri(b, D_DynamicUser) == TRI_YES || (v && (strcmp(v, "yes") == 0 || strcmp(v, "tmpfs") == 0));
}

/* b: the effective blueprint. */
static int
plan_sandbox(struct plan *p, const struct plan_request *rq, const struct blueprint *b, const char *home, struct err *e)
{
	struct sandbox_paths paths = *rq->paths;
	CLEANUP_FREE char *tmp = NULL;
	int r;

	paths.cwd = p->cwd;
	paths.program = p->program;
	paths.home = home;
	if (!paths.own)
		paths.own = rq->session_dir;
	if (!paths.tmp)
		paths.tmp = tmp = xasprintf("%s/tmp", paths.own);
	if (!paths.socket)
		paths.socket = rq->socket;
	paths.cwd_is_own = path_within(p->cwd, paths.own);
	r = sandbox_make(b, &paths, &rq->totals, &p->sandbox, e);
	if (r == 0 && p->sandbox->credentials_dir)
		plan_set_env(p, "CREDENTIALS_DIRECTORY", p->sandbox->credentials_dir);
	return r;
}

/* 0 is no limit, as in systemd.service(5). */
static int64_t
limit_us(const struct blueprint *b, enum directive_id id)
{
	int64_t us = blueprint_us(b, id);

	return us > 0 ? us : INT64_MAX;
}

static void
plan_restart(struct restart_policy *p, const struct blueprint *b)
{
	const char *when = blueprint_text(b, D_Restart), *mode = blueprint_text(b, D_RestartMode);

	*p = (struct restart_policy){
		.when = when ? (enum restart)restart_parse(when) : RESTART_NO,
		.fresh = mode && strcmp(mode, "fresh") == 0,
		.delay_us = blueprint_us(b, D_RestartSec),
		.max_delay_us = blueprint_us(b, D_RestartMaxDelaySec),
		.steps = blueprint_int(b, D_RestartSteps),
		.limit_us = blueprint_us(b, D_StartLimitIntervalSec),
		.limit_burst = blueprint_int(b, D_StartLimitBurst),
		.prevent = strv_dup(blueprint_words(b, D_RestartPreventExitStatus)),
		.force = strv_dup(blueprint_words(b, D_RestartForceExitStatus)),
		.prompt = xstrdup(blueprint_text(b, D_RestartPrompt)),
	};
}

/* What of the blueprint does not depend on the adapter. */
static void
plan_begin(struct plan *p, const struct blueprint *effective)
{
	const char *lifecycle = blueprint_text(effective, D_Lifecycle);

	p->timeout_stop_us = blueprint_us(effective, D_TimeoutStopSec);
	p->callback = blueprint_tri(effective, D_Callback) == TRI_YES;
	p->stop_with_parent = blueprint_tri(effective, D_StopWithParent) == TRI_YES;
	p->result_grace_us = blueprint_us(effective, D_ResultGraceSec);
	p->max_sessions = blueprint_int(effective, D_MaxSessions);
	p->queue_priority = blueprint_int(effective, D_QueuePriority);
	budget_make(&p->budget, effective);
	p->success = strv_dup(blueprint_words(effective, D_SuccessExitStatus));
	plan_restart(&p->restart, effective);
	p->persistent = lifecycle && strcmp(lifecycle, "persistent") == 0;
	p->idle_us = limit_us(effective, D_IdleTimeoutSec);
	p->ask = (struct ask_policy){
		.timeout_us = blueprint_us(effective, D_AskTimeoutSec),
		.allow = strcmp(blueprint_text(effective, D_AskDefault), "allow") == 0,
		.rules = strv_dup(blueprint_words(effective, D_AskRule)),
	};
	p->may = (struct run_limits){
		.start_us = limit_us(effective, D_TimeoutStartSec),
		.runtime_us = limit_us(effective, D_RuntimeMaxSec),
		.watchdog_us = limit_us(effective, D_WatchdogSec),
		.tool_us = limit_us(effective, D_ToolTimeoutSec),
	};
}

static int
plan_fill(struct plan *p, const struct plan_request *rq, const struct adapter *a, struct err *e)
{
	struct blueprint *effective = sandbox_effective(rq->blueprint);
	CLEANUP_FREE char *own_home = rq->paths && hides_homes(effective) ? xasprintf("%s/home", rq->session_dir) : NULL;
	const char *home = own_home ? own_home : rq->home;
	bool private_tmp = blueprint_tri(effective, D_PrivateTmp) == TRI_YES && !(rq->paths && rq->paths->no_namespaces);
	int r;

	plan_begin(p, effective);
	r = plan_cwd(p, rq, e);
	if (r == 0) {
		env_base(p, rq, home, private_tmp);
		r = a->plan(rq, p, e);
	}
	if (r == 0)
		r = plan_program(p, rq, e);
	if (r == 0 && rq->paths)
		r = plan_sandbox(p, rq, effective, home, e);
	if (r == 0)
		env_blueprint(p, rq);
	blueprint_free(effective);
	return r;
}

int
plan_make(const struct plan_request *request, struct plan **out, struct err *e)
{
	const char *name = blueprint_text(request->blueprint, D_Adapter);
	const struct adapter *a = adapter_find(name);
	struct plan_request own = *request, *rq = &own;
	struct plan *p;
	int r;

	*out = NULL;
	if (!own.prompt)
		own.prompt = blueprint_text(own.blueprint, D_Prompt);
	if (!a)
		return err_set_status(e, 422, -EINVAL,
				      "blueprint '%s' names an unknown adapter '%s'",
				      blueprint_name(rq->blueprint), name);
	r = plan_check(rq, a, e);
	if (r < 0)
		return r;
	p = plan_new();
	p->adapter = xstrdup(a->name);
	p->prompt = xstrdup(rq->prompt);
	r = plan_fill(p, rq, a, e);
	if (r < 0) {
		plan_free(p);
		return r;
	}
	*out = p;
	return 0;
}
