/* SPDX-License-Identifier: MIT */
/* What a run is contained by, from its start to its end. See contain.h. */
#include "config.h"

#include "aod/contain.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "aod/birth.h"
#include "aod/cgroup.h"
#include "aod/credentials.h"
#include "aod/dynuser.h"
#include "aod/host.h"
#include "aod/netns.h"
#include "aod/quota.h"
#include "aod/run.h"
#include "aod/seccomp.h"
#include "aod/slice.h"
#include "aod/spare.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

#define REMOVE_PAUSE_S 0.05 /* the removal of groups holds no start up */
#define REMOVE_TRIES 40
#define KILL_US 200000
#define OOM_AGAIN_S 0.01
#define OOM_TRIES 15
#define TOLD_MAX 1000 /* events that are looked through when a run of an older aod is taken over */
#define KILL_PAUSE_US 2000

/* A group whose run has ended. */
struct old_group {
	struct old_group *next;
	char *slice, *id;
	int tries;
};

static struct cgroups *
groups(const struct run *r)
{
	return r->m->cgroups;
}

static void on_oom_again(struct ev_loop *loop, ev_timer *w, int revents);

void
contain_init(struct run *r)
{
	r->in = (struct contained){ .uid = -1, .gid = -1, .workspace_quota = -1, .log_size_max = -1, .oom_fd = -1 };
	ev_timer_init(&r->in.oom_again_w, on_oom_again, 0., 0.);
}

static void
unwatch(struct run *r)
{
	if (r->in.oom_fd < 0)
		return;
	ev_io_stop(r->m->loop, &r->in.oom_w);
	ev_timer_stop(r->m->loop, &r->in.oom_again_w);
	close(r->in.oom_fd);
	r->in.oom_fd = -1;
}

void
contain_free(struct run *r)
{
	unwatch(r);
	spare_end(r->spare);
	if (r->m->dynusers)
		dynuser_give(r->m->dynusers, r->in.uid);
	free(r->in.slice);
	strv_free(r->in.lines);
	free(r->in.why_text);
	free(r->in.oom_text);
	buf_free(&r->in.figures);
}

/* ---- start ------------------------------------------------------------------------------------------------ */

/* Limits that have no effect: an error for those that the blueprint's author wrote, a notice for the profile's. */
static int
check_limits(const struct manager *m, const struct blueprint *b, const struct sandbox *s, char ***weaker, struct err *e)
{
	char **lacks = cgroup_lacks(m->cgroups, &s->limits);
	int rc = 0;

	for (size_t i = 0; rc == 0 && lacks && lacks[i]; i++) {
		int id = directive_find("Resources", lacks[i]), line;
		const char *file;

		if (id >= 0 && blueprint_origin(b, (enum directive_id)id, &file, &line))
			rc = err_set_status(e, 422, -ENOTSUP, "%s:%d: %s= cannot have its effect here: %s; take it out of the blueprint, or see "
							      "aoctl doctor",
					    file ? file : blueprint_name(b), line, lacks[i],
					    *m->cgroup_why ? m->cgroup_why : "this host's control groups have nothing for it");
		else if (weaker)
			*weaker = strv_add(*weaker, lacks[i]);
	}
	strv_free(lacks);
	return rc;
}

int
contain_check(const struct manager *m, const struct blueprint *b, const struct sandbox *s, char ***weaker, struct err *e)
{
	CLEANUP_FREE char *slice = s->slice ? slice_full_name(s->slice) : NULL;
	int64_t uid, gid;
	int rc = host_check(&m->gives, s, e);

	if (rc == 0)
		rc = check_limits(m, b, s, weaker, e);
	if (rc == 0 && s->slice && !slice)
		rc = err_set_status(e, 422, -EINVAL, "Slice=%s: not the name of a slice", s->slice);
	if (rc == 0 && s->slice && cgroup_mode(m->cgroups) == CGROUP_NONE)
		rc = err_set_status(e, 422, -ENOTSUP, "Slice= cannot have its effect here: %s", m->cgroup_why);
	if (rc == 0 && (s->user || s->group) && !s->dynamic_user)
		rc = user_resolve(s->user, s->group, &uid, &gid, e);
	return rc < 0 ? rc : credentials_check(s, e);
}

static int
take_user(struct run *r, struct sandbox *s, struct err *e)
{
	/* A user of that name that the host knows goes before a dynamic one, as in systemd.exec(5). */
	if (s->user || (s->group && !s->dynamic_user)) {
		int rc = user_resolve(s->user, s->group, &s->uid, &s->gid, e);

		if (rc == 0 || !s->dynamic_user)
			return rc;
		memset(e, 0, sizeof(*e));
	}
	if (!s->dynamic_user || !r->m->gives.root)
		return 0;
	if (r->in.uid < 0) {
		int64_t uid = dynuser_take(r->m->dynusers, r->s.row.id, e);

		if (uid < 0)
			return (int)uid;
		r->in.uid = r->in.gid = uid;
	}
	s->uid = r->in.uid;
	s->gid = r->in.gid;
	return 0;
}

int
contain_take(struct run *r, struct sandbox *s, struct err *e)
{
	int rc = take_user(r, s, e);

	if (rc < 0)
		return rc;
	r->in.uid = s->uid;
	r->in.gid = s->gid;
	r->in.workspace_quota = s->workspace_quota;
	r->in.log_size_max = s->log_size_max;
	r->in.oom_policy = s->oom_policy;
	r->in.basic_filter = s->syscalls.basic;
	r->in.group = cgroup_mode(groups(r)) != CGROUP_NONE;
	free(r->in.slice);
	r->in.slice = s->slice ? slice_full_name(s->slice) : NULL;
	return 0;
}

/* The group of an earlier run that is still to go: its figures would go on otherwise. */
static void
forget_old(struct manager *m, const char *id)
{
	for (struct old_group **p = &m->old_groups; *p; p = &(*p)->next) {
		struct old_group *g = *p;

		if (strcmp(g->id, id))
			continue;
		cgroup_remove(m->cgroups, g->slice, g->id, NULL);
		*p = g->next;
		free(g->slice);
		free(g->id);
		free(g);
		return;
	}
}

int
contain_group(struct run *r, const struct sandbox *s, struct err *e)
{
	int rc = 0;

	if (!r->in.group)
		return 0;
	forget_old(r->m, r->s.row.id);
	if (r->in.slice)
		rc = slice_apply(r->m->slices, r->in.slice, e);
	if (rc == 0)
		rc = cgroup_make(groups(r), r->in.slice, r->s.row.id, &s->limits, &r->in.lines, e);
	if (rc < 0) {
		strv_free(r->in.lines);
		r->in.lines = NULL;
	}
	return rc;
}

/* v1 says that memory is short before it kills: looked at again, until the kill is counted. */
static void
look_for_kills(struct run *r)
{
	int64_t before = r->in.oom_kills;
	struct err e = { 0 };

	if (!r->m->loaded || r->exited || r->m->broken.code)
		return;
	manager_check(r->m, contain_look(r, &e), &e);
	if (r->in.oom_kills != before || ++r->in.oom_tries > OOM_TRIES)
		return;
	ev_timer_set(&r->in.oom_again_w, OOM_AGAIN_S * r->in.oom_tries, 0.);
	ev_timer_start(r->m->loop, &r->in.oom_again_w);
}

static void
on_oom_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	look_for_kills(CONTAINER_OF(w, struct run, in.oom_again_w));
}

static void
on_oom(struct ev_loop *loop, ev_io *w, int revents)
{
	struct run *r = CONTAINER_OF(w, struct run, in.oom_w);
	char bytes[4096];

	while (read(w->fd, bytes, sizeof(bytes)) > (ssize_t)sizeof(uint64_t))
		;
	r->in.oom_tries = 0;
	ev_timer_stop(loop, &r->in.oom_again_w);
	look_for_kills(r);
}

void
contain_watch(struct run *r)
{
	if (r->in.workspace_quota >= 0)
		quota_wanted(r->m->quota);
	if (!r->in.group || r->in.oom_fd >= 0)
		return;
	r->in.oom_fd = cgroup_watch_oom(groups(r), r->in.slice, r->s.row.id);
	if (r->in.oom_fd < 0)
		return;
	fd_set_nonblock(r->in.oom_fd, true);
	ev_io_init(&r->in.oom_w, on_oom, r->in.oom_fd, EV_READ);
	ev_io_start(r->m->loop, &r->in.oom_w);
}

void
contain_args(struct buf *out, const struct run *r)
{
	buf_printf(out, ",\"uid\":%lld,\"gid\":%lld,\"workspace_quota\":%lld,\"log_size_max\":%lld,\"oom_policy\":%lld,\"group\":%s,\"basic_filter\":%s,\"slice\":", (long long)r->in.uid,
		   (long long)r->in.gid, (long long)r->in.workspace_quota, (long long)r->in.log_size_max, (long long)r->in.oom_policy, r->in.group ? "true" : "false",
		   r->in.basic_filter ? "true" : "false");
	buf_put_json_str(out, r->in.slice);
}

static int
add_told(const struct event_row *row, void *arg)
{
	struct run *r = arg;
	const char *kills = strstr(row->data, "\"kills\":"), *hits = strstr(row->data, "\"hits\":");

	if (row->run == r->n && !strcmp(row->type, "oom") && kills)
		r->in.oom_kills += strtoll(kills + strlen("\"kills\":"), NULL, 10);
	else if (row->run == r->n && !strcmp(row->type, "limit") && hits)
		r->in.task_hits += strtoll(hits + strlen("\"hits\":"), NULL, 10);
	return 0;
}

void
contain_recall(struct run *r)
{
	if (r->in.group)
		store_events_tail(r->m->store, r->s.row.n, TOLD_MAX, false, add_told, r, NULL);
}

static int64_t
number(struct json_object *args, const char *key, int64_t otherwise)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(args, key, &v) ? json_object_get_int64(v) : otherwise;
}

#define LOG_FULL_TEXT "its output is more than LogSizeMax= allows"

static void
restore_log(struct run *r, int64_t max)
{
	r->in.log_size_max = max;
	r->in.log_full = max >= 0 && r->logged > max;
	/* It was stopped for that, before aod was away. */
	if (r->in.log_full) {
		r->in.why = OUTCOME_RESOURCES;
		r->in.why_text = xstrdup(LOG_FULL_TEXT);
	}
}

void
contain_restore(struct run *r, struct json_object *args)
{
	struct json_object *v = NULL;

	r->in.uid = number(args, "uid", -1);
	r->in.gid = number(args, "gid", -1);
	r->in.workspace_quota = number(args, "workspace_quota", -1);
	restore_log(r, number(args, "log_size_max", -1));
	r->in.oom_policy = number(args, "oom_policy", OOM_STOP);
	r->in.basic_filter = number(args, "basic_filter", 0);
	r->in.group = number(args, "group", 0) && cgroup_mode(groups(r)) != CGROUP_NONE;
	if (json_object_object_get_ex(args, "slice", &v) && json_object_is_type(v, json_type_string))
		r->in.slice = xstrdup(json_object_get_string(v));
	dynuser_keep(r->m->dynusers, r->in.uid);
	r->in.frozen = r->s.row.state == SESSION_FROZEN;
	r->in.unsettled = true;
}

void
contain_settle(struct run *r)
{
	if (!r->in.unsettled)
		return;
	r->in.unsettled = false;
	/* What aod did last before it went may not be what it had said that it did. */
	if (r->in.group && cgroup_has(groups(r), CG_FREEZER))
		cgroup_freeze(groups(r), r->in.slice, r->s.row.id, r->in.frozen, NULL);
	if (!r->shim_dead)
		contain_watch(r);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

int
contain_freeze(struct run *r, bool frozen, struct err *e)
{
	int rc;

	if (!r->in.group || !cgroup_has(groups(r), CG_FREEZER))
		return err_set_status(e, 409, -ENOTSUP, "Session '%s' cannot be frozen: %s", r->s.row.name,
				      *r->m->cgroup_why ? r->m->cgroup_why : "there is no freezer among this host's control groups");
	rc = cgroup_freeze(groups(r), r->in.slice, r->s.row.id, frozen, e);
	/* What its quota holds back, or a disk, stands still already, and is frozen by the kernel as soon as it would go on. */
	if (rc == -EAGAIN)
		rc = 0;
	if (rc == 0)
		r->in.frozen = frozen;
	return rc;
}

int
contain_usage(struct run *r, struct buf *out, struct err *e)
{
	struct cgroup_usage u;
	int rc;

	if (!r->in.group)
		return err_set_status(e, 409, -ENOTSUP, "nobody counts what session '%s' uses: %s", r->s.row.name, r->m->cgroup_why);
	rc = cgroup_read_usage(groups(r), r->in.slice, r->s.row.id, &u, e);
	if (rc == 0)
		cgroup_usage_json(out, &u);
	return rc;
}

/* The keys that can change while processes run. */
static bool
can_change(int id)
{
	static const enum directive_id keys[] = {
		D_CPUWeight,	 D_CPUQuota,	    D_CPUQuotaPeriodSec,  D_AllowedCPUs,      D_AllowedMemoryNodes,
		D_MemoryHigh,	 D_MemoryMax,	    D_MemorySwapMax,	  D_TasksMax,	      D_IOWeight,
		D_IOReadBandwidthMax, D_IOWriteBandwidthMax, D_IOReadIOPSMax, D_IOWriteIOPSMax,
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if ((int)keys[i] == id)
			return true;
	return false;
}

static int
parse_properties(char *const *properties, struct blueprint **out, struct err *e)
{
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct buf text = BUF_INIT;
	int rc = 0;

	buf_puts(&text, "[Resources]\n");
	for (size_t i = 0; rc == 0 && properties[i]; i++) {
		size_t key = strcspn(properties[i], "=");
		CLEANUP_FREE char *name = xstrndup(properties[i], key);
		int id = directive_find(NULL, name);

		if (!properties[i][key] || !properties[i][key + 1] || strpbrk(properties[i], "\n\r"))
			rc = err_set_status(e, 422, -EINVAL, "'%.100s': say KEY=VALUE; infinity is no limit", properties[i]);
		else if (id >= 0 && !can_change(id))
			rc = err_set_status(e, 422, -EINVAL, "%s= cannot be changed while a session runs", name);
		buf_puts(&text, properties[i]);
		buf_putc(&text, '\n');
	}
	if (rc == 0) {
		*out = blueprint_new("property", NULL);
		blueprint_add(*out, NULL, text.data, text.len, &problems);
		/* Nobody but us has seen the text: places in it say nothing. */
		for (int i = 0; i < problems.count; i++)
			problems.v[i].line = problems.v[i].column = 0;
		rc = blueprint_problems_err(&problems, e);
	}
	buf_free(&text);
	blueprint_problems_free(&problems);
	return rc;
}

int
contain_set(struct run *r, char *const *properties, struct err *e)
{
	struct blueprint *b = NULL;
	struct limits l;
	char **lacks = NULL;
	int rc = parse_properties(properties, &b, e);

	limits_init(&l);
	if (rc == 0 && !r->in.group)
		rc = err_set_status(e, 409, -ENOTSUP, "session '%s' has no limits to change: %s", r->s.row.name, r->m->cgroup_why);
	if (rc == 0)
		rc = limits_from(&l, b, &r->m->totals, e);
	if (rc == 0 && (lacks = cgroup_lacks(groups(r), &l)))
		rc = err_set_status(e, 422, -ENOTSUP, "%s= cannot have its effect here: see aoctl doctor", lacks[0]);
	if (rc == 0)
		rc = cgroup_set(groups(r), r->in.slice, r->s.row.id, &l, e);
	strv_free(lacks);
	limits_free(&l);
	blueprint_free(b);
	return rc;
}

int
contain_kill(struct run *r)
{
	int64_t until = mono_us() + KILL_US;
	int n, most = 0;

	if (!r->in.group)
		return kill_session_processes(r->s.row.id);
	while ((n = cgroup_kill(groups(r), r->in.slice, r->s.row.id, NULL)) > 0 && mono_us() < until) {
		most = n > most ? n : most;
		usleep(KILL_PAUSE_US);
	}
	if (n > 0)
		log_error("session %s: %d processes do not go", r->s.row.name, n);
	return most;
}

/* ---- events ----------------------------------------------------------------------------------------------- */

static int
add_limit_event(struct run *r, const char *subtype, const char *text, const char *key, int64_t value, struct err *e)
{
	struct event *ev = &r->m->event;

	event_begin(ev, "limit", now_us());
	event_extra_text(ev, "subtype", subtype, strlen(subtype));
	event_extra_text(ev, "text", text, strlen(text));
	event_extra_int(ev, key, value);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

int
contain_log(struct run *r, int64_t bytes, struct err *e)
{
	int64_t max = r->in.log_size_max, before = r->logged, near = max / 5 * 4;

	if (r->in.log_full)
		return 0;
	r->logged += bytes;
	if (max < 0 || r->logged <= near)
		return 0;
	if (r->logged <= max)
		return before > near ? 0 : add_limit_event(r, "log-size-near", "its output is 80 per cent of what LogSizeMax= allows", "bytes", r->logged, e);
	r->in.log_full = true;
	run_end_for(r, OUTCOME_RESOURCES, LOG_FULL_TEXT);
	return add_limit_event(r, "log-size", LOG_FULL_TEXT, "bytes", max, e);
}

static int
add_oom_event(struct run *r, int64_t kills, const char *victim, const char *text, struct err *e)
{
	struct event *ev = &r->m->event;

	event_begin(ev, "oom", now_us());
	event_extra_text(ev, "text", text, strlen(text));
	if (victim)
		event_extra_text(ev, "process", victim, strlen(victim));
	event_extra_int(ev, "kills", kills);
	return session_add_event(r->m, &r->s, r->n, ev, e);
}

static int
on_kills(struct run *r, int64_t kills, struct err *e)
{
	char victim[64];
	bool known = cgroup_oom_victim(groups(r), r->in.slice, r->s.row.id, victim);
	char *text = xasprintf("the kernel killed %s for want of memory", known ? victim : "a process");
	int rc = add_oom_event(r, kills - r->in.oom_kills, known ? victim : NULL, text, e);

	r->in.oom_kills = kills;
	free(r->in.oom_text);
	r->in.oom_text = text;
	if (rc == 0)
		rc = run_save(r, e);
	if (rc == 0 && r->in.oom_policy != OOM_CONTINUE && !r->exited)
		run_end_for(r, OUTCOME_OOM_KILL, text);
	return rc;
}

static int
look(struct run *r, struct cgroup_usage *u, struct err *e)
{
	int rc;

	/* A group that has gone says nothing; that is no reason to hold up the rest. */
	if (cgroup_read_usage(groups(r), r->in.slice, r->s.row.id, u, e) < 0) {
		memset(e, 0, sizeof(*e));
		return -ENOENT;
	}
	rc = u->oom_kills > r->in.oom_kills ? on_kills(r, u->oom_kills, e) : 0;
	if (rc == 0 && u->tasks_max_hits > r->in.task_hits) {
		rc = add_limit_event(r, "tasks-max", "no further process could be made: TasksMax= is reached", "hits",
				     u->tasks_max_hits - r->in.task_hits, e);
		r->in.task_hits = u->tasks_max_hits;
		if (rc == 0)
			rc = run_save(r, e);
	}
	return rc;
}

int
contain_look(struct run *r, struct err *e)
{
	struct cgroup_usage u;
	int rc = r->in.group ? look(r, &u, e) : 0;

	return rc == -ENOENT ? 0 : rc;
}

/* ---- end -------------------------------------------------------------------------------------------------- */

void
run_over_quota(struct run *r, int64_t bytes)
{
	CLEANUP_FREE char *text = xasprintf("its own directory takes %lld MiB of disk, more than WorkspaceQuota= allows",
					    (long long)(bytes >> 20));
	struct err e = { 0 };

	if (r->in.why != OUTCOME_NONE)
		return;
	if (add_limit_event(r, "workspace-quota", text, "bytes", bytes, &e) == 0)
		run_end_for(r, OUTCOME_RESOURCES, text);
}

/* A process that the kernel killed for want of memory ended of SIGKILL; which one it was is not always told. */
static bool
killed_for_memory(const struct run *r, const struct run_result *res)
{
	if (r->in.oom_kills == 0 || res->outcome == OUTCOME_SUCCESS || res->outcome == OUTCOME_CANCELLED)
		return false;
	return r->in.oom_policy != OOM_CONTINUE || res->signal == SIGKILL || res->exit_code == 128 + SIGKILL;
}

int
contain_on_end(struct run *r, struct run_result *res, struct err *e)
{
	bool answered = res->outcome == OUTCOME_SUCCESS && strcmp(r->adapter->name, "command") != 0;
	struct cgroup_usage u;
	int rc = r->in.group ? look(r, &u, e) : -ENOENT;

	if (rc == 0)
		cgroup_usage_json(&r->in.figures, &u);
	if (rc == -ENOENT)
		rc = 0;
	if (r->in.why != OUTCOME_NONE && !answered) {
		res->outcome = r->in.why;
		free(res->error);
		res->error = xstrdup(r->in.why_text);
	} else if (killed_for_memory(r, res)) {
		res->outcome = OUTCOME_OOM_KILL;
		free(res->error);
		res->error = xstrdup(r->in.oom_text ? r->in.oom_text : "the kernel killed a process for want of memory");
	}
	return rc;
}

static void
wait_to_remove(struct manager *m)
{
	if (ev_is_active(&m->groups_w))
		return;
	ev_timer_set(&m->groups_w, REMOVE_PAUSE_S, 0.);
	ev_timer_start(m->loop, &m->groups_w);
}

void
contain_release(struct run *r)
{
	struct old_group *g;

	if (!r->in.group)
		return;
	unwatch(r);
	g = xcalloc(1, sizeof(*g));
	g->slice = xstrdup(r->in.slice);
	g->id = xstrdup(r->s.row.id);
	g->next = r->m->old_groups;
	r->m->old_groups = g;
	wait_to_remove(r->m);
}

/* True when it is done with: removed, or given up. */
static bool
try_remove(struct manager *m, struct old_group *g)
{
	struct err e = { 0 };
	int rc = cgroup_remove(m->cgroups, g->slice, g->id, &e);

	if (rc == -EBUSY && ++g->tries < REMOVE_TRIES) {
		/* The run has ended: what is left of it, by whatever way, has no business here. */
		cgroup_kill(m->cgroups, g->slice, g->id, NULL);
		return false;
	}
	if (rc < 0 && rc != -ENOENT)
		log_warn("control group of session %s: %s", g->id, e.text);
	return true;
}

static void
on_groups(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, groups_w);

	for (struct old_group **p = &m->old_groups; *p;) {
		struct old_group *g = *p;

		if (!try_remove(m, g)) {
			p = &g->next;
			continue;
		}
		*p = g->next;
		free(g->slice);
		free(g->id);
		free(g);
	}
	if (m->old_groups)
		wait_to_remove(m);
}

/* ---- manager ----------------------------------------------------------------------------------------------- */

static void
read_totals(struct limit_totals *t)
{
	struct buf b = BUF_INIT;
	struct sysinfo si;

	if (sysinfo(&si) == 0)
		t->memory_bytes = (int64_t)si.totalram * si.mem_unit;
	if (file_read("/proc/sys/kernel/threads-max", 64, &b, NULL) == 0)
		t->tasks = strtoll(b.data, NULL, 10);
	buf_free(&b);
}

int
contain_open(struct manager *m, struct err *e)
{
	const char *root = m->cfg->private_mode ? m->cfg->run : NULL;
	CLEANUP_FREE char *level = root ? xasprintf("aod-%08x", (unsigned)crc32c(0, root, strlen(root))) : NULL;
	int rc;

	birth_reserve();
	ev_timer_init(&m->groups_w, on_groups, 0., 0.);
	contain_warm_init(m);
	host_probe(&m->gives, m->cfg->state);
	read_totals(&m->totals);
	m->seccomp = seccomp_cache_new();
	m->dynusers = dynusers_new();
	m->netns = netns_new(m->loop);
	m->quota = quota_new(m);
	m->slices = slices_new(m);
	m->spares = spares_new(m);
	rc = cgroup_open(&m->cgroups, m->cfg->cgroup ? m->cfg->cgroup : "auto", level, m->cgroup_why, e);
	if (rc == 0 && *m->cgroup_why)
		log_note("control groups: %s", m->cgroup_why);
	return rc;
}

/* Ids of the live runs, in order. */
struct live {
	const char **ids;
	size_t count;
};

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
is_live(const char *id, void *arg)
{
	const struct live *l = arg;

	return l->count > 0 && bsearch(&id, l->ids, l->count, sizeof(*l->ids), compare_ids);
}

static void
sweep_groups(struct manager *m)
{
	struct live l = { xcalloc((size_t)m->run_count + 1, sizeof(*l.ids)), 0 };

	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = m->runs[i]; r; r = r->next)
			l.ids[l.count++] = r->s.row.id;
	qsort(l.ids, l.count, sizeof(*l.ids), compare_ids);
	cgroup_sweep(m->cgroups, is_live, &l);
	free(l.ids);
}

void
contain_close(struct manager *m)
{
	ev_timer_stop(m->loop, &m->groups_w);
	ev_idle_stop(m->loop, &m->warm_w);
	spares_free(m->spares);
	while (m->old_groups) {
		struct old_group *g = m->old_groups;

		m->old_groups = g->next;
		cgroup_remove(m->cgroups, g->slice, g->id, NULL);
		free(g->slice);
		free(g->id);
		free(g);
	}
	/* No run is in memory any more; what is left running keeps its group by being in it. */
	if (m->cgroups)
		sweep_groups(m);
	quota_free(m->quota);
	netns_free(m->netns);
	slices_free(m->slices);
	dynusers_free(m->dynusers);
	seccomp_cache_free(m->seccomp);
	if (m->cgroups)
		cgroup_close(m->cgroups);
}

void
contain_sweep(struct manager *m)
{
	sweep_groups(m);
	/* Slices that nobody was in are gone with it, and their limits. */
	slices_forget(m->slices);
}
