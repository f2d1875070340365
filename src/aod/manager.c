/* SPDX-License-Identifier: MIT */
/* The supervisor's turns: bells in, spools read, one commit, then answers, bells and shims. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aod/action.h"
#include "aod/admission.h"
#include "aod/cgroup.h"
#include "aod/contain.h"
#include "aod/documents.h"
#include "aod/audit.h"
#include "aod/front.h"
#include "aod/next.h"
#include "aod/quit.h"
#include "aod/registry.h"
#include "aod/run.h"
#include "aod/service.h"
#include "aod/timer.h"
#include "aod/trash.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"
#include "shim/spec.h"

#define TURN_US 50000	 /* spools are read for so long at most before others have their turn */
#define RETRY_S 0.5	 /* after a failed transaction */
#define SWEEP_S 2.0	 /* after the start: it need not hold up anybody */
#define PURGE_PAUSE_S 0.02 /* between pieces of a large delete: others get their turns */
#define SWEEP_BATCH 200
#define SWEEP_PAUSE_S 0.02

struct reply {
	struct reply *next;
	int64_t id;
	int status;
	char *body;
	size_t len;
};

/* ---- live runs -------------------------------------------------------------------------------------------- */

static struct run **
bucket(struct manager *m, int64_t session)
{
	return &m->runs[(uint64_t)session % RUN_BUCKETS];
}

struct run *
manager_find_run(struct manager *m, int64_t session)
{
	struct run *r = *bucket(m, session);

	while (r && r->s.row.n != session)
		r = r->next;
	return r;
}

void
manager_add_run(struct manager *m, struct run *r)
{
	struct run **b = bucket(m, r->s.row.n);

	r->next = *b;
	*b = r;
	m->run_count++;
}

static void
unlink_run(struct run **p, struct run *r, size_t next_offset)
{
	while (*p && *p != r)
		p = (struct run **)((char *)*p + next_offset);
	if (*p)
		*p = *(struct run **)((char *)r + next_offset);
}

void
manager_remove_run(struct manager *m, struct run *r)
{
	unlink_run(bucket(m, r->s.row.n), r, offsetof(struct run, next));
	unlink_run(&m->dirty, r, offsetof(struct run, next_dirty));
	unlink_run(&m->given, r, offsetof(struct run, next_given));
	m->run_count--;
	admission_uncount(r);
}

void
manager_mark_dirty(struct manager *m, struct run *r)
{
	if (r->is_dirty)
		return;
	r->is_dirty = true;
	r->next_dirty = m->dirty;
	m->dirty = r;
	if (!ev_is_active(&m->more_w))
		ev_timer_start(m->loop, &m->more_w);
}

/* ---- the transaction ------------------------------------------------------------------------------------- */

int
err_http_status(const struct err *e)
{
	static const struct {
		int code, status;
	} rows[] = {
		{ -EAGAIN, 503 }, { -ENOSPC, 507 }, { -ENOENT, 404 }, { -EEXIST, 409 },
		{ -EINVAL, 422 }, { -EBUSY, 409 },  { -E2BIG, 413 },
	};

	if (e->status)
		return e->status;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == e->code)
			return rows[i].status;
	return 500;
}

int
manager_begin(struct manager *m, struct err *e)
{
	if (m->broken.code)
		return err_set_status(e, m->broken.status, m->broken.code, "%s", m->broken.text);
	return manager_check(m, store_begin(m->store, e), e);
}

int
manager_check(struct manager *m, int rc, const struct err *e)
{
	if (rc >= 0 || m->broken.code)
		return rc;
	m->broken = *e;
	if (!m->broken.code)
		err_set(&m->broken, rc, "the store failed");
	m->broken.status = err_http_status(&m->broken);
	return rc;
}

void
manager_reply(struct manager *m, int64_t id, int status, const char *body, size_t len)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	audit_answer(m, id, status);
	r->id = id;
	r->status = status;
	r->body = body ? xstrndup(body, len) : NULL;
	r->len = len;
	r->next = m->replies;
	m->replies = r;
}

void
manager_reply_error(struct manager *m, int64_t id, const struct err *e)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"detail\":");
	buf_put_json_str(&b, e->text);
	buf_putc(&b, '}');
	manager_reply(m, id, err_http_status(e), b.data, b.len);
	buf_free(&b);
}

static struct reply *
take_replies(struct manager *m)
{
	struct reply *list = m->replies, *in_order = NULL;

	m->replies = NULL;
	while (list) {
		struct reply *next = list->next;

		list->next = in_order;
		in_order = list;
		list = next;
	}
	return in_order;
}

static void
send_replies(struct manager *m)
{
	struct reply *r = take_replies(m);

	while (r) {
		struct reply *next = r->next;

		front_answer(m->front, r->id, r->status, r->body, r->len);
		free(r->body);
		free(r);
		r = next;
	}
}

/* The clients whose requests were in a transaction that failed hear why, instead of what they would have heard. */
static void
fail_replies(struct manager *m, const struct err *e)
{
	struct reply *r;

	for (r = m->replies; r; r = r->next) {
		struct buf b = BUF_INIT;

		if (r->status >= 400)
			continue;
		buf_puts(&b, "{\"detail\":");
		buf_put_json_str(&b, e->text);
		buf_putc(&b, '}');
		free(r->body);
		r->len = b.len;
		r->body = buf_steal(&b);
		r->status = err_http_status(e);
	}
	send_replies(m);
}

static void
forget_runs(struct manager *m)
{
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		while (m->runs[i]) {
			struct run *r = m->runs[i];

			action_forget_waiters(m, r);
			m->runs[i] = r->next;
			admission_uncount(r);
			run_free(r);
		}
	m->run_count = 0;
	m->dirty = m->given = m->unspawned = m->ended = NULL;
	m->loaded = m->telling = false;
	next_forget(m);
	admission_forget(m);
	registry_forget(m);
	timers_forget(m);
}

static void
recover(struct manager *m)
{
	struct err e = m->broken;

	log_error("%s: rolled back, reading the state again", e.text);
	store_rollback(m->store);
	if (e.code == -ENOSPC)
		store_make_room(m->store);
	memset(&m->broken, 0, sizeof(m->broken));
	fail_replies(m, &e);
	forget_runs(m);
	if (!ev_is_active(&m->retry_w)) {
		ev_timer_set(&m->retry_w, RETRY_S, 0.);
		ev_timer_start(m->loop, &m->retry_w);
	}
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, retry_w);
	struct err e = { 0 };

	if (manager_load(m, &e) == 0)
		return;
	log_warn("%s: trying again", e.text);
	ev_timer_set(&m->retry_w, RETRY_S, 0.);
	ev_timer_start(m->loop, &m->retry_w);
}

/* What waits for nothing but the commit goes before all else. */
static void
go_new(struct manager *m)
{
	for (struct run *r = m->unspawned; r; r = r->next_queued)
		run_go(r);
}

/* In the order in which they were begun. */
static void
spawn_new(struct manager *m)
{
	struct run *list = NULL;

	while (m->unspawned) {
		struct run *r = m->unspawned;

		m->unspawned = r->next_queued;
		r->next_queued = list;
		list = r;
	}
	while (list) {
		struct run *r = list;
		struct err e = { 0 };

		list = r->next_queued;
		if (r->exited || run_spawn(r, &e) == 0)
			continue;
		log_error("session %s: %s", r->s.row.name, e.text);
		run_fail(r, OUTCOME_RESOURCES, e.text, &e);
	}
}

static void
free_ended(struct manager *m)
{
	while (m->ended) {
		struct run *r = m->ended;

		m->ended = r->next_queued;
		run_remove_files(r);
		contain_release(r);
		manager_remove_run(m, r);
		action_run_ended(m, r);
		run_free(r);
	}
	quit_look(m);
}

/* What a commit leads to may write again (a shim that cannot be started, a session deleted at its end): once more, then. */
static void
commit(struct manager *m)
{
	do {
		bool wrote = store_in_transaction(m->store);
		struct err e = { 0 };

		if (wrote && !m->broken.code)
			manager_check(m, store_commit(m->store, &e), &e);
		if (m->broken.code) {
			recover(m);
			return;
		}
		m->commits++;
		go_new(m);
		if (wrote)
			front_bell(m->front, store_last_id(m->store));
		/* Before the answers: who hears that a token was revoked may count on it. */
		if (m->tokens_gone)
			front_tokens_gone(m->front);
		m->tokens_gone = false;
		send_replies(m);
		turns_committed(m);
		spawn_new(m);
		ask_committed(m);
		free_ended(m);
	} while (store_in_transaction(m->store) || m->broken.code || m->ended || m->replies);
	next_committed(m);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	commit(CONTAINER_OF(w, struct manager, commit_w));
}

/* ---- spools ---------------------------------------------------------------------------------------------- */

static int
read_spool(struct run *r, struct err *e)
{
	int rc;

	contain_settle(r);
	rc = run_ingest(r, e);
	if (rc != 0 || !r->shim_dead || r->exited)
		return rc;
	if (r->other_boot)
		return run_end_unknown(r, OUTCOME_HOST_REBOOT, "the host was restarted while it ran", e);
	return run_on_shim_gone(r, e);
}

/* For one turn's time; the rest stays for the next one. */
static void
read_dirty(struct manager *m)
{
	int64_t until = mono_us() + TURN_US;
	struct run *list = m->dirty;

	m->dirty = NULL;
	while (list && !m->broken.code && mono_us() < until) {
		struct run *r = list;
		struct err e = { 0 };
		int rc;

		list = r->next_dirty;
		r->is_dirty = false;
		rc = read_spool(r, &e);
		if (rc < 0)
			manager_check(m, rc, &e);
		else if (rc == 1)
			manager_mark_dirty(m, r);
	}
	while (list) {
		struct run *r = list;

		list = r->next_dirty;
		r->is_dirty = false;
		manager_mark_dirty(m, r);
	}
}

static void
on_more(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, more_w);

	ev_timer_set(w, 0., 0.);
	if (m->loaded)
		read_dirty(m);
}

static void
on_up(struct ev_loop *loop, ev_io *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, up_w);
	char records[256][UP_RECORD];
	ssize_t n = read(m->up_fd, records, sizeof(records));

	for (ssize_t i = 0; n > 0 && i < n / UP_RECORD; i++) {
		int64_t session;
		struct run *r;

		records[i][UP_RECORD - 1] = '\0';
		if (!parse_i64(records[i], 1, INT64_MAX, &session))
			continue;
		r = manager_find_run(m, session);
		if (r)
			manager_mark_dirty(m, r);
	}
	if (m->loaded)
		read_dirty(m);
}

/* ---- house-keeping ---------------------------------------------------------------------------------------- */

void
manager_purge(struct manager *m)
{
	if (!ev_is_active(&m->purge_w)) {
		ev_timer_set(&m->purge_w, PURGE_PAUSE_S, 0.);
		ev_timer_start(m->loop, &m->purge_w);
	}
}

static void
on_purge(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, purge_w);
	struct err e = { 0 };
	int rc;

	if (!m->loaded || manager_begin(m, &e) < 0)
		return;
	rc = store_purge(m->store, &e);
	manager_check(m, rc, &e);
	if (rc > 0)
		manager_purge(m);
}

/* ---- start and end --------------------------------------------------------------------------------------- */

static int
adopt_one(const struct session_row *s, const struct run_row *row, void *arg)
{
	struct manager *m = arg;
	struct err e = { 0 };

	front_look(m->front);
	if (s->state == SESSION_QUEUED)
		admission_restore(m, s);
	if (session_state_has_run(s->state) && run_adopt(m, s, row, &e) < 0)
		log_error("%s", e.text);
	return 0;
}

static int
is_known(const struct session_row *row, void *arg)
{
	*(int64_t *)arg = row->n;
	return 1;
}

static void
sweep_one(struct manager *m, const char *id)
{
	CLEANUP_FREE char *dir = xasprintf("%s/sessions/%s", m->cfg->state, id);
	struct err e = { 0 };
	int64_t n;
	int rc;

	if (id[0] == '.')
		return;
	rc = store_session_find(m->store, id, strlen(id), is_known, &n, &e);
	if (rc == 1 && !manager_find_run(m, n))
		run_remove_all_files(dir);
	if (rc != -ENOENT)
		return;
	log_note("%s: its session is not known any more: removing it", dir);
	rm_rf(dir, NULL);
}

/*
 * What a crash has cut short: directories whose session is not in the database (a delete, or a start that failed), and files of runs that have
 * ended.
 */
static void
on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, sweep_w);
	struct dirent *de = NULL;

	if (!m->sweep) {
		CLEANUP_FREE char *path = xasprintf("%s/sessions", m->cfg->state);

		m->sweep = opendir(path);
	}
	/* Not beside a transaction: the rows of new directories may be in it, and be rolled back. */
	if (m->loaded && m->sweep && store_in_transaction(m->store)) {
		ev_timer_set(w, SWEEP_PAUSE_S, 0.);
		ev_timer_start(loop, w);
		return;
	}
	if (m->loaded && m->sweep)
		for (int i = 0; i < SWEEP_BATCH && (de = readdir(m->sweep)); i++)
			sweep_one(m, de->d_name);
	if (de) {
		ev_timer_set(w, SWEEP_PAUSE_S, 0.);
		ev_timer_start(loop, w);
	} else if (m->sweep) {
		closedir(m->sweep);
		m->sweep = NULL;
	}
}

int
manager_load(struct manager *m, struct err *e)
{
	int rc = store_each_live(m->store, adopt_one, m, e);

	if (rc < 0) {
		forget_runs(m);
		return rc;
	}
	m->loaded = true;
	manager_purge(m);
	documents_sweep(m);
	trash_empty(m);
	/* After a transaction that failed, too: the directories of its new sessions are left. */
	if (!ev_is_active(&m->sweep_w)) {
		ev_timer_set(&m->sweep_w, SWEEP_S, 0.);
		ev_timer_start(m->loop, &m->sweep_w);
	}
	contain_sweep(m);
	if (m->run_count)
		log_note("%d live sessions taken over", m->run_count);
	registry_scan(m);
	timers_load(m);
	next_load(m);
	admission_loaded(m);
	return 0;
}

static int
open_up_fifo(struct manager *m, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/up", m->cfg->run);

	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "%s", path);
	m->up_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return m->up_fd < 0 ? err_errno(e, -errno, "%s", path) : 0;
}

static int
open_shim(struct manager *m, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/aod-shim", m->cfg->libexec);

	/* Held open, so that an upgrade that replaces the file cannot come between two starts. */
	m->shim_fd = open(path, O_PATH | O_CLOEXEC);
	if (m->shim_fd < 0)
		return err_set(e, -errno, "%s: %s; where aod is not installed, name the directory of its programs with --libexec", path, strerror(errno));
	return 0;
}

/* aod-http would end for want of them, and again, and again. */
static int
check_www(const struct manager *m, struct err *e)
{
	if (access(m->cfg->www, R_OK | X_OK) == 0)
		return 0;
	return err_set(e, -errno, "%s: %s; where aod is not installed, name the directory of the dashboard's files with --www", m->cfg->www, strerror(errno));
}

static void
who_am_i(struct manager *m)
{
	const struct passwd *pw = getpwuid(geteuid());
	const char *path = getenv("PATH"), *home = getenv("HOME");
	char host[256] = "localhost";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	m->host = xstrdup(host);
	m->uid = xasprintf("%u", (unsigned)geteuid());
	m->home = xstrdup(home && *home == '/' ? home : pw ? pw->pw_dir : "/");
	m->user = xstrdup(pw ? pw->pw_name : "nobody");
	m->user_home = pw ? xstrdup(pw->pw_dir) : NULL;
	/* First the commands that are for agents: links to aoctl. */
	m->search_path = xasprintf("%s/bin:%s:%s", m->cfg->libexec, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", m->cfg->libexec);
	m->socket = xasprintf("%s/aod.sock", m->cfg->run);
	m->agents_socket = xasprintf("%s/agents/aod.sock", m->cfg->run);
	proc_boot_id(m->boot_id);
}

int
manager_init(struct manager *m, struct ev_loop *loop, const struct config *cfg, struct store *store, struct err *e)
{
	int rc;

	memset(m, 0, sizeof(*m));
	m->loop = loop;
	m->cfg = cfg;
	m->store = store;
	m->up_fd = m->shim_fd = -1;
	m->iobuf = xmalloc(SPOOL_READ_MAX);
	who_am_i(m);
	admission_open(m);
	rc = open_up_fifo(m, e);
	if (rc == 0)
		rc = open_shim(m, e);
	if (rc == 0)
		rc = check_www(m, e);
	if (rc < 0)
		return rc;
	ev_prepare_init(&m->commit_w, on_prepare);
	ev_set_priority(&m->commit_w, EV_MINPRI);
	ev_prepare_start(loop, &m->commit_w);
	ev_io_init(&m->up_w, on_up, m->up_fd, EV_READ);
	ev_io_start(loop, &m->up_w);
	ev_timer_init(&m->more_w, on_more, 0., 0.);
	ev_timer_init(&m->retry_w, on_retry, 0., 0.);
	quit_init(m);
	trash_init(m);
	ev_timer_init(&m->purge_w, on_purge, 0., 0.);
	ev_timer_init(&m->sweep_w, on_sweep, 0., 0.);
	return 0;
}

void
manager_done(struct manager *m)
{
	if (m->loop) {
		ev_prepare_stop(m->loop, &m->commit_w);
		ev_io_stop(m->loop, &m->up_w);
		ev_timer_stop(m->loop, &m->more_w);
		ev_timer_stop(m->loop, &m->retry_w);
		ev_timer_stop(m->loop, &m->quit_w);
		ev_timer_stop(m->loop, &m->sweep_w);
		ev_timer_stop(m->loop, &m->purge_w);
		ev_timer_stop(m->loop, &m->trash_w);
	}
	forget_runs(m);
	timers_close(m);
	admission_close(m);
	contain_close(m);
	registry_close(m);
	documents_close(m);
	if (m->sweep)
		closedir(m->sweep);
	event_free(&m->event);
	free(m->iobuf);
	free(m->home);
	free(m->user);
	free(m->user_home);
	free(m->uid);
	free(m->host);
	free(m->search_path);
	free(m->socket);
	free(m->agents_socket);
	audit_done(m);
	if (m->up_fd >= 0)
		close(m->up_fd);
	if (m->shim_fd >= 0)
		close(m->shim_fd);
}
