/* SPDX-License-Identifier: MIT */
/* A run from its plan (run-plan.c) to its end: what is written when, and what follows from what. The spool is ingest.c's, the shim spawn.c's. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/next.h"
#include "aod/registry.h"
#include "aod/run.h"
#include "aod/token.h"
#include "aod/tree.h"
#include "base/fd.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/util.h"

#define RUN_FDS 5   /* spool, input, bell, pidfd, word of kills for want of memory */
#define OWN_FDS 100 /* sockets, the database, a tree that is being removed */

char *
session_dir(const struct manager *m, const char *id)
{
	return xasprintf("%s/sessions/%s", m->cfg->state, id);
}

/* What lies here is the agent's; what lies beside it is aod's. */
char *
agent_dir(const struct manager *m, const char *id)
{
	return xasprintf("%s/sessions/%s/agent", m->cfg->state, id);
}

char *
run_path(const struct run *r, const char *suffix)
{
	return xasprintf("%s/sessions/%s/%lld.%s", r->m->cfg->state, r->s.row.id, (long long)r->n, suffix);
}

static void
on_grace(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = CONTAINER_OF(w, struct run, grace_w);

	log_note("session %s: the agent did not end within ResultGraceSec= after its result: stopping it", r->s.row.name);
	run_stop(r, -1);
}

void
run_start_grace(struct run *r)
{
	double s = (double)r->result_grace_us / 1e6;

	/* No time passes for what is frozen. */
	if (r->in.frozen) {
		r->grace_left_s = s;
		return;
	}
	ev_timer_set(&r->grace_w, s, 0.);
	ev_timer_start(r->m->loop, &r->grace_w);
}

static void
hold_grace(struct run *r, bool frozen)
{
	if (frozen && ev_is_active(&r->grace_w)) {
		r->grace_left_s = ev_timer_remaining(r->m->loop, &r->grace_w);
		ev_timer_stop(r->m->loop, &r->grace_w);
	} else if (!frozen && r->grace_left_s > 0) {
		ev_timer_set(&r->grace_w, r->grace_left_s, 0.);
		ev_timer_start(r->m->loop, &r->grace_w);
		r->grace_left_s = 0;
	}
}

static void
on_pidfd(struct ev_loop *loop, ev_io *w, int revents)
{
	struct run *r = CONTAINER_OF(w, struct run, pid_w);

	ev_io_stop(loop, w);
	/* What it wrote last comes first, and may be more than one turn of the loop should take. */
	r->shim_dead = true;
	manager_mark_dirty(r->m, r);
}

static struct run *
run_new(struct manager *m, const struct session_row *s, int64_t n, const char *adapter, struct err *e)
{
	const struct adapter *a = adapter ? adapter_find(adapter) : NULL;
	struct run *r;

	if (!a) {
		err_set(e, -EINVAL, "session %s: no adapter '%s' in this build", s->name, adapter ? adapter : "");
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->m = m;
	r->n = n;
	session_copy(&r->s, s);
	r->adapter = a;
	r->adapter_state = a->state_new();
	r->spool_fd = r->input_fd = r->bell_fd = r->pidfd = -1;
	ev_init(&r->pid_w, on_pidfd);
	ev_init(&r->grace_w, on_grace);
	contain_init(r);
	watch_init(r);
	turn_init(r);
	ask_init(r);
	return r;
}

void
run_free(struct run *r)
{
	const int fds[] = { r->spool_fd, r->input_fd, r->bell_fd, r->pidfd };

	ev_io_stop(r->m->loop, &r->pid_w);
	ev_timer_stop(r->m->loop, &r->grace_w);
	watch_done(r);
	turn_free(r);
	ask_done(r);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	r->adapter->state_free(r->adapter_state);
	adapter_out_free(&r->out);
	plan_free(r->plan);
	strv_free(r->weaker);
	strv_free(r->planned);
	strv_free(r->success);
	restart_policy_done(&r->restart);
	free(r->blueprint);
	contain_free(r);
	git_guard_free(&r->git);
	buf_free(&r->line[0].bytes);
	buf_free(&r->line[1].bytes);
	session_free(&r->s);
	free(r->agent_session_id);
	free(r->delete_replies);
	free(r);
}

/* ---- the start ------------------------------------------------------------------------------------------- */

static int
make_files(const struct run *r, struct err *e)
{
	CLEANUP_FREE char *dir = session_dir(r->m, r->s.row.id), *agent = xasprintf("%s/agent", dir);
	CLEANUP_FREE char *home = xasprintf("HOME=%s/home", agent);
	const struct {
		const char *name;
		bool wanted; /* each costs the start some time */
	} dirs[] = {
		{ "work", strstr(r->plan->cwd, agent) == r->plan->cwd },
		{ "home", strv_has(r->plan->env, home) },
		{ "claude", !strcmp(r->adapter->name, "claude") },
		{ "tmp", true },
	};
	int rc = mkdir_p(dir, 0700, e);

	if (rc == 0)
		rc = mkdir_p(agent, 0700, e);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(dirs); i++) {
		CLEANUP_FREE char *path = xasprintf("%s/%s", agent, dirs[i].name);

		rc = dirs[i].wanted ? mkdir_p(path, 0700, e) : 0;
	}
	for (int i = 0; rc == 0 && i < r->plan->file_count; i++) {
		const struct plan_file *f = &r->plan->files[i];

		rc = file_write_atomic(f->path, f->text, strlen(f->text), 0600, false, e);
	}
	return rc;
}

/* A run comes to hold RUN_FDS descriptors by and by: one that would not get them all is refused now. */
static int
check_descriptors(const struct manager *m, struct err *e)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || (uint64_t)(m->run_count + 1) * RUN_FDS + OWN_FDS <= l.rlim_cur)
		return 0;
	return err_set_status(e, 503, -EMFILE, "%d sessions are live, and the limit of %llu open files allows no more: raise LimitNOFILE= or "
					       "`ulimit -n`, or wait until some have ended",
			      m->run_count, (unsigned long long)l.rlim_cur);
}

/* Keys of the blueprint that are checked only: they take effect in a later version. */
static char **
planned_keys(const struct blueprint *b)
{
	const char *file;
	char **keys = NULL;
	int line;

	for (int i = 0; blueprint_directives[i].key; i++)
		if (blueprint_directives[i].flags & DF_PLANNED && blueprint_origin(b, (enum directive_id)i, &file, &line))
			keys = strv_add(keys, blueprint_directives[i].key);
	return keys;
}

int
run_prepare(struct manager *m, const struct session *s, int64_t n, const struct run_args *args, struct run **out, struct err *e)
{
	char token[TOKEN_SIZE], hash[SHA256_HEX_SIZE];
	struct run_args own = *args;
	struct plan *plan = NULL;
	struct blueprint *b;
	char **weaker = NULL, **planned = NULL;
	CLEANUP_FREE char *blueprint = NULL;
	int64_t version;
	struct run *r;
	int rc = check_descriptors(m, e);

	if (rc == 0)
		rc = registry_load(m, run_default_agent(s->row.agent_name, args), &b, &version, e);
	token_new(token, hash);
	own.token = token;
	if (rc == 0) {
		planned = planned_keys(b);
		blueprint = xstrdup(blueprint_name(b));
		rc = run_plan(m, &s->row, &own, b, &plan, &weaker, e);
	}
	if (rc == 0)
		rc = budget_may_start(m, &s->row, &plan->budget, e);
	if (rc < 0) {
		plan_free(plan);
		strv_free(weaker);
		strv_free(planned);
		return rc;
	}
	r = run_new(m, &s->row, n, plan->adapter, e);
	if (!r) {
		plan_free(plan);
		strv_free(weaker);
		strv_free(planned);
		return -EINVAL;
	}
	r->plan = plan;
	r->weaker = weaker;
	r->planned = planned;
	r->blueprint = blueprint;
	blueprint = NULL;
	memcpy(r->token_hash, hash, sizeof(hash));
	r->s.row.blueprint_version = version;
	r->agent_session_id = xstrdup(args->agent_session_id);
	r->timeout_stop_us = plan->timeout_stop_us;
	r->result_grace_us = plan->result_grace_us;
	r->w.may = plan->may;
	r->b.may = plan->budget;
	r->success = strv_dup(plan->success);
	restart_policy_copy(&r->restart, &plan->restart);
	r->turn.stays = plan->persistent && r->adapter->prompt;
	r->turn.idle_us = plan->idle_us;
	r->s.row.persistent = plan->persistent;
	ask_policy_copy(&r->asked.policy, &plan->ask);
	tree_begin(&r->s.row, args, plan);
	r->s.row.runs = n;
	session_set_text(&r->s.row.adapter, plan->adapter);
	if (admission_check(r, args)) {
		*out = r;
		return 1;
	}
	git_guard_begin(&r->git, plan->sandbox->git_guard);
	rc = contain_take(r, plan->sandbox, e);
	if (rc == 0)
		rc = make_files(r, e);
	if (rc < 0) {
		run_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

/* ---- the row --------------------------------------------------------------------------------------------- */

static void
put_words(struct buf *b, const char *key, char *const *words)
{
	if (!words)
		return;
	buf_printf(b, ",\"%s\":[", key);
	for (size_t i = 0; words[i]; i++) {
		if (i)
			buf_putc(b, ',');
		buf_put_json_str(b, words[i]);
	}
	buf_putc(b, ']');
}

static char *
args_to_json(const struct run *r, const struct run_args *args)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"prompt\":");
	buf_put_json_str(&b, r->plan->prompt);
	buf_puts(&b, ",\"prompt_uuid\":");
	buf_put_json_str(&b, args->prompt_uuid);
	buf_puts(&b, ",\"agent_session_id\":");
	buf_put_json_str(&b, args->agent_session_id);
	buf_printf(&b, ",\"resume\":%s,\"timeout_stop_us\":%lld,\"result_grace_us\":%lld", args->resume ? "true" : "false",
		   (long long)r->timeout_stop_us, (long long)r->result_grace_us);
	buf_puts(&b, ",\"blueprint\":");
	buf_put_json_str(&b, r->blueprint);
	contain_args(&b, r);
	watch_args(&b, r);
	budget_args(&b, r);
	turn_args(&b, r);
	git_guard_args(&b, &r->git);
	buf_puts(&b, ",\"restart\":");
	restart_policy_json(&b, &r->restart);
	ask_args(&b, r);
	put_words(&b, "success", r->success);
	put_words(&b, "command", args->command);
	buf_putc(&b, '}');
	return buf_steal(&b);
}

/* The run's columns as they are now; strings are borrowed from r, *state and *watch. */
static struct run_row
run_row_of(const struct run *r, struct buf *state, struct buf *watch)
{
	buf_reset(state);
	buf_reset(watch);
	watch_save(watch, r);
	if (r->adapter->save)
		r->adapter->save(r->adapter_state, state);
	return (struct run_row){
		.session = r->s.row.n,
		.n = r->n,
		.boot_id = r->m->boot_id,
		.shim_pid = r->shim_pid,
		.shim_start = r->shim_start,
		.offset = { r->offset[0], r->offset[1], r->offset[2] },
		.logged = r->logged,
		.adapter_state = state->len ? state->data : NULL,
		.adapter_state_len = state->len,
		.exit_code = r->exited ? r->s.row.exit_code : -1,
		.signal = r->exited ? r->s.row.signal : 0,
		.outcome = r->exited ? r->s.row.outcome : OUTCOME_NONE,
		.error = r->exited ? r->s.row.error : NULL,
		.started_us = r->started_us,
		.ended_us = r->exited ? r->s.row.ended_us : 0,
		.in_seq = r->input_seq,
		.watch = watch->data,
	};
}

int
run_save(struct run *r, struct err *e)
{
	struct buf state = BUF_INIT, watch = BUF_INIT;
	struct run_row row = run_row_of(r, &state, &watch);
	int rc = manager_begin(r->m, e);

	if (rc == 0)
		rc = manager_check(r->m, store_run_update(r->m->store, &row, e), e);
	buf_free(&state);
	buf_free(&watch);
	return rc;
}

/* "A=, B= " and what is the matter with them. */
static int
add_notice(struct run *r, const char *subtype, char *const *names, const char *matter, struct err *e)
{
	struct event *ev = &r->m->event;
	struct buf text = BUF_INIT, keys = BUF_INIT;
	int rc;

	for (size_t i = 0; names[i]; i++) {
		buf_printf(&text, "%s%s=", i ? ", " : "", names[i]);
		buf_putc(&keys, i ? ',' : '[');
		buf_put_json_str(&keys, names[i]);
	}
	buf_putc(&keys, ']');
	buf_printf(&text, " %s", matter);
	event_begin(ev, "notice", r->started_us);
	event_extra_text(ev, "subtype", subtype, strlen(subtype));
	event_extra_text(ev, "text", text.data, text.len);
	event_extra_json(ev, "keys", keys.data, keys.len);
	rc = session_add_event(r->m, &r->s, r->n, ev, e);
	buf_free(&text);
	buf_free(&keys);
	return rc;
}

/* Never weaker in silence: what the profile would limit, and this host cannot; what the blueprint asks for, and aod does not do yet. */
static int
add_notices(struct run *r, struct err *e)
{
	const char *why = *r->m->cgroup_why ? r->m->cgroup_why : "this host's control groups have nothing for it";
	int rc = 0;

	if (r->weaker) {
		CLEANUP_FREE char *matter = xasprintf("of the sandbox's profile %s no effect here: %s", r->weaker[1] ? "have" : "has", why);

		rc = add_notice(r, "not-in-effect", r->weaker, matter, e);
	}
	if (rc == 0 && r->planned)
		rc = add_notice(r, "planned", r->planned, r->planned[1] ? "have no effect in this version of aod" : "has no effect in this version of aod", e);
	return rc;
}

static int
add_first_events(struct run *r, const struct run_args *args, struct err *e)
{
	struct event *ev = &r->m->event;
	int rc;

	event_begin(ev, "session_start", r->started_us);
	event_extra_int(ev, "run_number", r->n);
	if (r->s.row.agent_name)
		event_extra_text(ev, "agent_name", r->s.row.agent_name, strlen(r->s.row.agent_name));
	if (r->s.row.blueprint_version > 0)
		event_extra_int(ev, "agent_version", r->s.row.blueprint_version);
	if (args->started_by)
		event_extra_text(ev, "started_by", args->started_by, strlen(args->started_by));
	rc = session_add_event(r->m, &r->s, r->n, ev, e);
	if (rc == 0)
		rc = add_notices(r, e);
	if (rc < 0 || !r->plan->prompt || args->again)
		return rc;
	event_begin(ev, "message", r->started_us);
	event_put_text(ev, KEY_ROLE, "user", 4);
	event_put_content_text(ev, r->plan->prompt, strlen(r->plan->prompt));
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

int
run_begin(struct run *r, const struct run_args *args, struct err *e)
{
	struct manager *m = r->m;
	CLEANUP_FREE char *args_json = NULL;
	struct buf plan = BUF_INIT, state = BUF_INIT, watch = BUF_INIT;
	struct run_row row;
	int rc;

	/* From here on it is freed with the manager's runs, also when the transaction fails. */
	manager_add_run(m, r);
	admission_count(r);
	/* Its shim is busy with that while the rest is written. */
	run_ready(r);
	args_json = args_to_json(r, args);
	rc = manager_begin(m, e);
	r->started_us = now_us();
	plan_json(&plan, r->plan);
	r->w.base_us = r->started_us;
	row = run_row_of(r, &state, &watch);
	row.args = args_json;
	row.plan = plan.data;
	if (rc == 0)
		rc = manager_check(m, store_run_add(m->store, &row, e), e);
	buf_free(&plan);
	buf_free(&state);
	buf_free(&watch);
	if (rc == 0)
		rc = token_store_run(r, e);
	if (rc == 0)
		rc = token_note_group(r, e);
	if (rc == 0)
		rc = add_first_events(r, args, e);
	if (rc < 0)
		return rc;
	r->next_queued = m->unspawned;
	m->unspawned = r;
	return 0;
}

int
run_adopt(struct manager *m, const struct session_row *s, const struct run_row *row, struct err *e)
{
	struct run *r = run_new(m, s, row->n, s->adapter, e);
	struct err why = { 0 };

	if (!r)
		return -EINVAL;
	manager_add_run(m, r);
	if (run_attach(r, row, &why) < 0) {
		log_warn("session %s: it was to be started and cannot be: %s", s->name, why.text);
		r->shim_dead = true;
	}
	admission_count(r);
	manager_mark_dirty(m, r);
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static int
store_result(struct run *r, struct run_result *res, struct err *e)
{
	struct manager *m = r->m;
	struct buf tail = BUF_INIT;
	int rc = 0;

	if (res->result)
		rc = store_session_set_result(m->store, r->s.row.n, res->result, strlen(res->result), e);
	else if (res->result_from_output) {
		rc = store_run_output_tail(m->store, r->s.row.n, r->n, OUTPUT_RESULT_MAX, &tail, e);
		if (rc == 0)
			rc = store_session_set_result(m->store, r->s.row.n, tail.data ? tail.data : "", tail.len, e);
	}
	buf_free(&tail);
	return manager_check(m, rc, e);
}

static int
add_stop_event(struct run *r, int64_t time_us, struct err *e)
{
	struct event *ev = &r->m->event;
	struct session_row *s = &r->s.row;
	const char *reason = s->outcome == OUTCOME_SUCCESS ? "completed" : outcome_name(s->outcome);

	event_begin(ev, "session_stop", time_us);
	if (s->exit_code >= 0)
		event_put_int(ev, KEY_EXIT_CODE, s->exit_code);
	event_put_text(ev, KEY_REASON, reason, strlen(reason));
	if (s->error)
		event_put_text(ev, KEY_ERROR, s->error, strlen(s->error));
	if (s->signal)
		event_extra_int(ev, "signal", s->signal);
	if (r->in.figures.len)
		event_extra_json(ev, "resources", r->in.figures.data, r->in.figures.len);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

/* What the agent left in its project for git to run. Renamed before this is committed: done twice it does no harm. */
static int
look_at_git(struct run *r, int64_t time_us, struct err *e)
{
	struct event *ev = &r->m->event;
	struct buf text = BUF_INIT, list = BUF_INIT;
	char **files;
	int rc = 0;

	if (git_guard_end(&r->git, &text, &files)) {
		log_note("session %s: %s", r->s.row.name, text.data);
		for (char **v = files; *v; v++) {
			buf_putc(&list, v == files ? '[' : ',');
			buf_put_json_str(&list, *v);
		}
		buf_putc(&list, ']');
		event_begin(ev, "notice", time_us);
		event_extra_text(ev, "subtype", "git-guard", 9);
		event_extra_text(ev, "text", text.data, text.len);
		event_extra_json(ev, "files", list.data, list.len);
		rc = session_add_event(r->m, &r->s, r->n, ev, e);
	}
	strv_free(files);
	buf_free(&text);
	buf_free(&list);
	return rc;
}

/* SuccessExitStatus=. What a person stopped is neither. */
static void
take_as_success(const struct run *r, struct run_result *res)
{
	if (res->outcome == OUTCOME_CANCELLED || !outcome_listed(r->success, res->outcome, res->exit_code, res->signal))
		return;
	res->outcome = OUTCOME_SUCCESS;
	free(res->error);
	res->error = NULL;
}

/* Everything that is said about an end, in one transaction; the run leaves memory after the commit. */
static int
run_end(struct run *r, struct run_result *res, int64_t time_us, struct err *e)
{
	struct session_row *s = &r->s.row;
	struct next next;
	int rc;

	rc = manager_begin(r->m, e);
	if (rc == 0)
		rc = contain_on_end(r, res, e);
	if (rc == 0)
		rc = look_at_git(r, time_us, e);
	if (rc == 0)
		rc = ask_end(r, e);
	take_as_success(r, res);
	if (rc == 0)
		rc = turn_over(r, res, e);
	r->exited = true;
	ev_timer_stop(r->m->loop, &r->grace_w);
	watch_done(r);
	s->outcome = res->outcome;
	s->exit_code = res->exit_code;
	s->signal = res->signal;
	s->ended_us = time_us;
	session_set_text(&s->error, res->error);
	if (rc == 0)
		rc = budget_end(r, res, e);
	if (rc == 0)
		rc = token_end_run(r, e);
	if (rc == 0)
		rc = store_result(r, res, e);
	if (rc == 0)
		rc = next_after(r, res, &next, e);
	if (rc == 0)
		rc = session_set_state(r->m, &r->s, next.event, e);
	if (rc >= 0)
		rc = add_stop_event(r, time_us, e);
	if (rc == 0)
		rc = run_save(r, e);
	if (rc == 0)
		rc = next_say(r, &next, e);
	if (rc == 0)
		rc = tree_after(r->m, &r->s, e);
	free(res->result);
	free(res->error);
	if (rc < 0)
		return rc;
	log_info("session %s: run %lld ended: %s", s->name, (long long)r->n, outcome_name(res->outcome));
	r->next_queued = r->m->ended;
	r->m->ended = r;
	return 0;
}

int
run_fail(struct run *r, enum outcome outcome, const char *text, struct err *e)
{
	struct run_result res = { .outcome = outcome, .exit_code = -1, .error = xstrdup(text) };

	return run_end(r, &res, now_us(), e);
}

/*
 * What cannot be written for the agent is the matter of this run alone: it would wait for ever, so it is stopped. But a full disk is
 * everybody's matter, and passes: the lines are read again then.
 */
static int
tell_agent(struct run *r, uint8_t type, const void *p, size_t n, struct err *e)
{
	int rc = run_input(r, type, p, n, e);

	if (rc == 0 || rc == -ENOSPC || rc == -EDQUOT)
		return rc;
	log_error("session %s: %s: stopping the agent, which waits for it", r->s.row.name, e->text);
	run_stop(r, -1);
	return 0;
}

/* The agent is given nothing further: it has ResultGraceSec= to end. */
static int
no_more(struct run *r, struct err *e)
{
	int rc = r->closed ? 0 : tell_agent(r, FRAME_CLOSE, NULL, 0, e);

	r->closed = true;
	run_start_grace(r);
	return rc;
}

int
run_take_adapter_out(struct run *r, struct err *e)
{
	int64_t time_us = now_us();
	int rc = 0;

	for (int i = 0; rc == 0 && i < r->out.event_count; i++) {
		const struct event *ev = &r->out.events[i];

		/* The agent has a conversation of its own now: a resume can go on with it. */
		if (!r->s.row.agent_session_id && r->agent_session_id && !strcmp(ev->type, "init")) {
			session_set_text(&r->s.row.agent_session_id, r->agent_session_id);
			rc = session_save(r->m, &r->s, e);
		}
		if (rc == 0)
			rc = session_add_event(r->m, &r->s, r->n, ev, e);
		turn_heard(r, ev->type, ev->time_us);
		time_us = ev->time_us;
	}
	if (rc == 0 && (r->out.ask_count || r->out.asks_gone))
		rc = ask_take(r, e);
	if (rc == 0 && r->out.reply.len)
		rc = tell_agent(r, FRAME_INPUT, r->out.reply.data, r->out.reply.len, e);
	/* First: with nothing left there is no further turn. */
	if (rc == 0 && r->out.dirty)
		rc = budget_count(r, r->out.turn_done, e);
	if (rc == 0 && r->out.turn_done && r->turn.open && (rc = turn_ended(r, time_us, e)) == 1)
		rc = no_more(r, e);
	adapter_out_reset(&r->out);
	return rc;
}

int
run_on_exit(struct run *r, const struct run_exit *x, struct err *e)
{
	struct run_result res = { .exit_code = -1 };
	struct run_exit known = *x;
	int rc;

	turn_say(r, &known);
	r->adapter->end(r->adapter_state, &known, &r->out, &res);
	rc = run_take_adapter_out(r, e);
	if (rc < 0) {
		free(res.result);
		free(res.error);
		return rc;
	}
	return run_end(r, &res, x->time_us ? x->time_us : now_us(), e);
}

/* Nobody can tell how the process ended; what it had said before counts all the same, an answer most of all. */
int
run_end_unknown(struct run *r, enum outcome outcome, const char *text, struct err *e)
{
	struct run_exit x = { .stop_requested = r->s.row.state == SESSION_STOPPING, .time_us = now_us() };
	struct run_result res = { .exit_code = -1 };
	int rc = run_flush_lines(r, x.time_us, e);

	if (rc < 0)
		return rc;
	turn_say(r, &x);
	r->adapter->end(r->adapter_state, &x, &r->out, &res);
	if (res.outcome == OUTCOME_UNKNOWN) {
		res.outcome = outcome;
		free(res.error);
		res.error = xstrdup(text);
	}
	rc = run_take_adapter_out(r, e);
	if (rc < 0) {
		free(res.result);
		free(res.error);
		return rc;
	}
	return run_end(r, &res, x.time_us, e);
}

static int
add_freeze_event(struct run *r, bool frozen, struct err *e)
{
	struct event *ev = &r->m->event;

	event_begin(ev, frozen ? "freeze" : "thaw", now_us());
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

int
run_freeze(struct run *r, bool frozen, struct err *e)
{
	enum session_event ev = frozen ? SEV_FREEZE : SEV_THAW;
	const struct session_move *move = session_move(r->s.row.state, ev);
	int rc = 0;

	if (move->action == ACT_FREEZE || move->action == ACT_THAW)
		rc = contain_freeze(r, frozen, e);
	if (rc < 0)
		return rc;
	rc = session_set_state(r->m, &r->s, ev, e);
	if (rc == ACT_REFUSE)
		return e->code;
	if (rc != ACT_FREEZE && rc != ACT_THAW)
		return rc < 0 ? rc : 0;
	hold_grace(r, frozen);
	rc = ask_frozen(r, frozen, e);
	watch_frozen(r, frozen);
	ask_arm(r);
	rc = rc < 0 ? rc : add_freeze_event(r, frozen, e);
	if (rc == 0 && !frozen)
		rc = turn_thawed(r, e);
	return rc < 0 ? rc : run_save(r, e);
}

int
run_on_shim_gone(struct run *r, struct err *e)
{
	int killed;

	/* A second shim, started after a crash, leaves at once where the first one has the spool. */
	if (r->spool_fd >= 0 && flock(r->spool_fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		log_note("session %s: another shim has its spool: following that one", r->s.row.name);
		r->shim_pid = 0;
		r->shim_dead = false;
		return 0;
	}
	killed = contain_kill(r);
	log_warn("session %s: its shim is gone without a word; %d processes of it were killed", r->s.row.name, killed);
	return run_end_unknown(r, OUTCOME_SHIM_LOST, "the shim was killed; how the agent ended cannot be known", e);
}
