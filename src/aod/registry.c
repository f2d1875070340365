/* SPDX-License-Identifier: MIT */
/* Watching the files of blueprints, and mirroring them into the database. See registry.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "aod/registry.h"
#include "aod/slice.h"
#include "aod/timer.h"
#include "base/log.h"
#include "base/util.h"

#define BUCKETS 1024
#define QUIET_S                                                                                    \
	0.05 /* after an event, until the files are looked at; a further one within it begins      \
		anew, */
#define NOISE_US 500000 /* for at most so long */
#define POLL_S 2.0      /* where there is no inotify */
#define RETRY_S 5.0     /* after the database could not be written */
#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB |        \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* How far the mirror of one name is. */
struct entry {
	struct entry *next;
	char *name;
	uint64_t stamp; /* of the files when they were mirrored; 0: look again */
	char *sides[2];
	char *link_dir; /* where the file is that the main file is a link to, or NULL */
	int64_t version;
	bool seen;
};

struct watch {
	struct watch *next;
	char *path;
	int wd;
	bool seen;
};

struct registry {
	struct manager *m;
	struct entry *entries[BUCKETS];
	bool scanned; /* entries are complete */
	int fd;       /* inotify, or -1 */
	struct watch *watches[BUCKETS];
	bool watches_full;
	bool changed;           /* something was mirrored since the watches were looked through */
	int64_t first_event_us; /* of those that wait, 0 = none */
	ev_io io;
	ev_timer timer;
};

/* ---- entries -----------------------------------------------------------------------------------
 */

static struct entry **
entry_slot(struct registry *r, const char *name)
{
	struct entry **p = &r->entries[crc32c(0, name, strlen(name)) % BUCKETS];

	while (*p && strcmp((*p)->name, name))
		p = &(*p)->next;
	return p;
}

static struct entry *
entry_get(struct registry *r, const char *name)
{
	struct entry **p = entry_slot(r, name);

	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->name = xstrdup(name);
	}
	return *p;
}

static void
entry_drop(struct entry **p)
{
	struct entry *en = *p;

	*p = en->next;
	free(en->name);
	free(en->sides[0]);
	free(en->sides[1]);
	free(en->link_dir);
	free(en);
}

void
registry_forget(struct manager *m)
{
	if (!m->registry)
		return;
	for (int i = 0; i < BUCKETS; i++)
		while (m->registry->entries[i])
			entry_drop(&m->registry->entries[i]);
	m->registry->scanned = false;
}

/* ---- versions and rows -------------------------------------------------------------------------
 */

struct latest {
	const struct buf *files; /* to compare with */
	int64_t version;
	bool same;
};

static int
on_latest(const struct version_row *v, void *arg)
{
	struct latest *l = arg;

	l->version = v->version;
	l->same = l->files && v->files_len == l->files->len &&
		  !memcmp(v->files, l->files->data, v->files_len);
	return 0;
}

static int
latest_version(struct manager *m, const char *name, const struct buf *files, struct latest *out,
	       struct err *e)
{
	int rc;

	*out = (struct latest){.files = files};
	rc = store_version_get(m->store, name, strlen(name), 0, on_latest, out, e);
	return rc == -ENOENT ? 0 : manager_check(m, rc, e);
}

static int
add_version(struct manager *m, const char *name, int64_t version, const char *author,
	    const char *action, const struct registry_shown *s, struct err *e)
{
	struct version_row row = {
		.name = name,
		.version = version,
		.time_us = now_us(),
		.author = author ? author : "file",
		.action = action,
	};
	int rc = manager_begin(m, e);

	if (s) {
		row.unit_bytes = s->unit_bytes;
		row.text = s->text.data;
		row.text_len = s->text.len;
		row.files = s->files.data;
		row.files_len = s->files.len;
	} else {
		row.files = "[]";
		row.files_len = 2;
	}
	return rc < 0 ? rc : manager_check(m, store_version_add(m->store, &row, e), e);
}

static int
on_created(const struct blueprint_row *row, void *arg)
{
	*(int64_t *)arg = row->created_us;
	return 0;
}

static int
put_row(struct manager *m, struct blueprint_row *row, const struct registry_shown *s, struct err *e)
{
	int rc = manager_begin(m, e);

	row->json = s->json.data;
	row->json_len = s->json.len;
	row->settings = s->settings.data;
	row->settings_len = s->settings.len;
	row->problems = s->problems.data;
	row->problems_len = s->problems.len;
	row->text = s->text.data;
	row->text_len = s->unit_bytes;
	return rc < 0 ? rc : manager_check(m, store_blueprint_put(m->store, row, e), e);
}

static int
mirror_alias(struct manager *m, const struct blueprint_files *f, struct err *e)
{
	struct registry_shown s = {0};
	struct blueprint_row row = {.name = f->alias,
				    .status = "alias",
				    .alias_of = f->name,
				    .created_us = f->first_us,
				    .modified_us = f->last_us};
	struct blueprint *b = blueprint_new(f->alias, NULL);
	int rc;

	blueprint_agent_json(&s.json, b, NULL, NULL, "alias", f->first_us, f->last_us);
	s.json.len--;
	buf_puts(&s.json, ",\"version\":0,\"alias_of\":");
	buf_put_json_str(&s.json, f->name);
	buf_putc(&s.json, '}');
	buf_puts(&s.settings, "{}");
	buf_puts(&s.problems, "[]");
	rc = put_row(m, &row, &s, e);
	registry_shown_free(&s);
	blueprint_free(b);
	return rc;
}

/* f was found with its texts. */
static int
mirror(struct manager *m, struct entry *en, const struct blueprint_files *f,
       const struct blueprint *b, const char *author, const char *action, struct err *e)
{
	struct registry_shown s = {0};
	struct blueprint_row row = {.name = f->name,
				    .path = f->main_path,
				    .created_us = f->first_us,
				    .modified_us = f->last_us};
	struct latest latest;
	int rc;

	registry_show_texts(&s, f);
	rc = latest_version(m, f->name, &s.files, &latest, e);
	if (rc == 0 && !latest.same) {
		latest.version++;
		rc = add_version(m, f->name, latest.version, author,
				 action                ? action
				 : latest.version == 1 ? "found"
						       : "edited",
				 &s, e);
	}
	if (rc == 0) {
		rc = store_blueprint_get(m->store, f->name, strlen(f->name), on_created,
					 &row.created_us, e);
		rc = rc == -ENOENT ? 0 : manager_check(m, rc, e);
	}
	if (rc == 0) {
		registry_show(&s, f, b, latest.version, row.created_us);
		row.status = s.status;
		row.version = latest.version;
		rc = put_row(m, &row, &s, e);
	}
	registry_shown_free(&s);
	en->version = latest.version;
	return rc;
}

static int
on_status(const struct blueprint_row *row, void *arg)
{
	*(bool *)arg = !strcmp(row->status, "alias");
	return 0;
}

/* Nothing of that name is there any more. */
static int
mirror_gone(struct manager *m, const char *name, const char *author, const char *action,
	    struct err *e)
{
	struct latest latest = {0};
	bool alias = false;
	int rc = store_blueprint_get(m->store, name, strlen(name), on_status, &alias, e);

	if (rc == -ENOENT)
		return 0;
	rc = rc < 0 ? manager_check(m, rc, e) : manager_begin(m, e);
	if (rc == 0 && !alias)
		rc = latest_version(m, name, NULL, &latest, e);
	if (rc == 0 && latest.version > 0)
		rc = add_version(m, name, latest.version + 1, author, action ? action : "removed",
				 NULL, e);
	if (rc == 0)
		rc = manager_check(m, store_blueprint_delete(m->store, name, e), e);
	return rc;
}

/* ---- one name ----------------------------------------------------------------------------------
 */

static void
remember(struct registry *r, struct entry *en, const struct blueprint_files *f)
{
	char real[PATH_MAX];

	for (int i = 0; i < 2; i++) {
		free(en->sides[i]);
		en->sides[i] = xstrdup(f->sides[i]);
	}
	free(en->link_dir);
	en->link_dir = NULL;
	if (f->main_path && realpath(f->main_path, real) && strcmp(real, f->main_path)) {
		*strrchr(real, '/') = '\0';
		en->link_dir = xstrdup(*real ? real : "/");
	}
	en->stamp = blueprint_files_stamp(f);
	r->changed = true;
}

static int
drop(struct manager *m, const char *name, const char *author, const char *action, struct err *e)
{
	struct entry **p = entry_slot(m->registry, name);

	if (*p)
		entry_drop(p);
	return mirror_gone(m, name, author, action, e);
}

static int
sync_alias(struct manager *m, const struct blueprint_files *f, struct err *e)
{
	struct entry *en = entry_get(m->registry, f->alias);
	uint64_t stamp = blueprint_files_stamp(f);

	en->seen = true;
	if (stamp && stamp == en->stamp)
		return 0;
	en->stamp = stamp;
	return mirror_alias(m, f, e);
}

/* f was found without texts. */
static int
sync_found(struct manager *m, struct blueprint_files *f, const char *author, const char *action,
	   int64_t *version, struct err *e)
{
	struct entry *en = entry_get(m->registry, f->name);
	struct blueprint_files whole;
	struct blueprint *b;
	uint64_t stamp;
	int rc;

	en->seen = true;
	blueprint_files_stamp_sides(f, en->sides);
	stamp = blueprint_files_stamp(f);
	if (!stamp || stamp != en->stamp) {
		rc = blueprint_files_find(m->cfg, f->name, true, &whole, e);
		if (rc < 0)
			return rc;
		b = blueprint_files_parse(m, &whole);
		remember(m->registry, en, &whole);
		rc = mirror(m, en, &whole, b, author, action, e);
		blueprint_free(b);
		blueprint_files_free(&whole);
		if (rc < 0)
			return rc;
	}
	if (version)
		*version = en->version;
	return 0;
}

int
registry_sync(struct manager *m, const char *name, const char *author, const char *action,
	      int64_t *version, struct err *e)
{
	CLEANUP_FREE char *generic = NULL;
	struct blueprint_files f;
	int rc = blueprint_files_find(m->cfg, name, false, &f, e);

	if (version)
		*version = 0;
	if (rc == -ENOENT)
		return drop(m, name, author, action, e);
	if (rc < 0)
		return rc;
	if (f.alias && blueprint_name_ok(f.alias))
		rc = sync_alias(m, &f, e);
	if (rc == 0 && blueprint_files_generic(&f, &generic))
		rc = registry_sync(m, generic, author, action, version, e);
	else if (rc == 0)
		rc = sync_found(m, &f, author, action, version, e);
	blueprint_files_free(&f);
	return rc;
}

int
registry_load(struct manager *m, const char *name, struct blueprint **out, int64_t *version,
	      struct err *e)
{
	CLEANUP_FREE char *generic = NULL;
	struct blueprint_files f;
	struct entry *en;
	int rc = blueprint_files_find(m->cfg, name, true, &f, e);

	if (rc < 0)
		return rc;
	*version = 0;
	*out = blueprint_files_parse(m, &f);
	rc = blueprint_usable(&f, *out, e);
	if (rc == 0 && blueprint_files_generic(&f, &generic)) {
		rc = registry_sync(m, generic, NULL, NULL, version, e);
	} else if (rc == 0) {
		en = entry_get(m->registry, f.name);
		if (!en->stamp || en->stamp != blueprint_files_stamp(&f)) {
			remember(m->registry, en, &f);
			rc = mirror(m, en, &f, *out, NULL, NULL, e);
		}
		*version = en->version;
	}
	blueprint_files_free(&f);
	if (rc < 0) {
		blueprint_free(*out);
		*out = NULL;
	}
	return rc;
}

/* ---- watches -----------------------------------------------------------------------------------
 */

static void
watch_dir(struct registry *r, const char *path)
{
	struct watch **p = &r->watches[crc32c(0, path, strlen(path)) % BUCKETS];
	int wd;

	while (*p && strcmp((*p)->path, path))
		p = &(*p)->next;
	if (*p && (*p)->seen)
		return;
	/* The same number when it is watched already; another one when the directory is another
	 * one. */
	wd = inotify_add_watch(r->fd, path, EVENTS);
	if (wd < 0 && errno == ENOSPC && !r->watches_full) {
		log_warn("%s cannot be watched (fs.inotify.max_user_watches): changes below it are "
			 "seen when a session is started",
			 path);
		r->watches_full = true;
	}
	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->path = xstrdup(path);
	}
	(*p)->wd = wd;
	(*p)->seen = true;
}

/* The directory, or, while it is not there, the nearest one above that is, to see it being made. */
static void
watch_or_parent(struct registry *r, const char *path)
{
	CLEANUP_FREE char *p = xstrdup(path);
	char *slash;

	while (access(p, F_OK) < 0 && (slash = strrchr(p, '/')) && slash != p)
		*slash = '\0';
	watch_dir(r, p);
}

static void
watch_dropins(struct registry *r, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t n;

	while (d && (de = readdir(d))) {
		CLEANUP_FREE char *path = NULL;

		n = strlen(de->d_name);
		if (n < 12 || strcmp(de->d_name + n - 12, BLUEPRINT_SUFFIX ".d"))
			continue;
		path = xasprintf("%s/%s", dir, de->d_name);
		watch_dir(r, path);
	}
	if (d)
		closedir(d);
}

static void
watch_beside(struct registry *r, const struct entry *en)
{
	for (int i = 0; i < 2; i++)
		if (en->sides[i]) {
			CLEANUP_FREE char *dir = xstrndup(
				en->sides[i], (size_t)(strrchr(en->sides[i], '/') - en->sides[i]));

			watch_or_parent(r, dir);
		}
	if (en->link_dir)
		watch_dir(r, en->link_dir);
}

/* A directory may be known under two paths, which have one number. */
static bool
wd_in_use(const struct registry *r, int wd)
{
	for (int i = 0; i < BUCKETS; i++)
		for (const struct watch *w = r->watches[i]; w; w = w->next)
			if (w->seen && w->wd == wd)
				return true;
	return false;
}

/* Those that were not seen, or that could not be watched. */
static void
drop_watches(struct registry *r)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct watch **p = &r->watches[i], *w; (w = *p);) {
			if (w->seen && w->wd >= 0) {
				p = &w->next;
				continue;
			}
			*p = w->next;
			if (w->wd >= 0 && !wd_in_use(r, w->wd))
				inotify_rm_watch(r->fd, w->wd);
			free(w->path);
			free(w);
		}
}

static void
refresh_watches(struct registry *r)
{
	char **dirs;

	if (r->fd < 0)
		return;
	for (int i = 0; i < BUCKETS; i++)
		for (struct watch *w = r->watches[i]; w; w = w->next)
			w->seen = false;
	dirs = blueprint_dirs(r->m->cfg);
	for (size_t i = 0; dirs[i]; i++) {
		watch_or_parent(r, dirs[i]);
		watch_dropins(r, dirs[i]);
	}
	strv_free(dirs);
	for (int i = 0; i < BUCKETS; i++)
		for (struct entry *en = r->entries[i]; en; en = en->next)
			watch_beside(r, en);
	drop_watches(r);
	r->changed = false;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static int
on_known(const struct blueprint_row *row, void *arg)
{
	struct registry *r = arg;

	entry_get(r, row->name); /* if it is not seen, it is gone */
	return 0;
}

/* Names of entries that were not seen, which are then freed one by one. */
static char **
unseen(struct registry *r)
{
	char **names = NULL;

	for (int i = 0; i < BUCKETS; i++)
		for (struct entry *en = r->entries[i]; en; en = en->next)
			if (!en->seen)
				names = strv_add(names, en->name);
	return names;
}

static int
scan(struct registry *r, struct err *e)
{
	struct manager *m = r->m;
	char **names, **gone;
	int rc = 0;

	for (int i = 0; i < BUCKETS; i++)
		for (struct entry *en = r->entries[i]; en; en = en->next)
			en->seen = false;
	/* Before the files are read: what happens meanwhile is an event. */
	refresh_watches(r);
	if (!r->scanned)
		rc = manager_check(m, store_blueprint_list(m->store, on_known, r, e), e);
	names = blueprint_names(m->cfg);
	for (size_t i = 0; rc == 0 && names[i]; i++)
		rc = registry_sync(m, names[i], NULL, NULL, NULL, e);
	strv_free(names);
	gone = rc == 0 ? unseen(r) : NULL;
	for (size_t i = 0; rc == 0 && gone && gone[i]; i++)
		rc = drop(m, gone[i], NULL, NULL, e);
	strv_free(gone);
	if (rc == 0)
		r->scanned = true;
	/* Now also where the files say that more of them are. */
	if (r->changed)
		refresh_watches(r);
	return rc;
}

static void
start_timer(struct registry *r, double s)
{
	ev_timer_stop(r->m->loop, &r->timer);
	ev_timer_set(&r->timer, s, 0.);
	ev_timer_start(r->m->loop, &r->timer);
}

/* A disk that is full must not take the sessions with it: in a transaction of its own, and without
 * it if need be. */
void
registry_scan(struct manager *m)
{
	struct registry *r = m->registry;
	struct err e = {0};
	int rc;

	if (!r)
		return;
	if (store_in_transaction(m->store)) {
		start_timer(r, QUIET_S);
		return;
	}
	rc = scan(r, &e);
	if (rc == 0)
		rc = store_commit(m->store, &e);
	if (rc == 0)
		return;
	log_warn("blueprints: %s", e.text);
	store_rollback(m->store);
	memset(&m->broken, 0, sizeof(m->broken));
	registry_forget(m);
	start_timer(r, RETRY_S);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct registry *r = CONTAINER_OF(w, struct registry, timer);

	r->first_event_us = 0;
	/* It is the first to be called in a turn of the loop: no transaction is open. When the
	 * state is to be read again, so are the files. */
	if (r->m->loaded) {
		registry_scan(r->m);
		slices_refresh(r->m->slices);
		timers_refresh(r->m);
	}
	if (r->fd < 0 && !ev_is_active(w))
		start_timer(r, POLL_S);
}

static void
on_inotify(struct ev_loop *loop, ev_io *w, int revents)
{
	struct registry *r = CONTAINER_OF(w, struct registry, io);
	char events[16384] __attribute__((aligned(8)));
	int64_t now = mono_us();

	/* What they say does not matter: the files say it better. */
	while (read(r->fd, events, sizeof(events)) > 0)
		;
	if (!r->first_event_us)
		r->first_event_us = now;
	if (now - r->first_event_us < NOISE_US || !ev_is_active(&r->timer))
		start_timer(r, QUIET_S);
}

void
registry_open(struct manager *m)
{
	struct registry *r = xcalloc(1, sizeof(*r));

	m->registry = r;
	r->m = m;
	ev_timer_init(&r->timer, on_timer, 0., 0.);
	ev_set_priority(&r->timer, EV_MAXPRI);
	r->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->fd < 0) {
		log_warn("inotify: %s: looking for changed blueprints every %d seconds",
			 strerror(errno), (int)POLL_S);
		start_timer(r, POLL_S);
		return;
	}
	ev_io_init(&r->io, on_inotify, r->fd, EV_READ);
	ev_io_start(m->loop, &r->io);
}

void
registry_close(struct manager *m)
{
	struct registry *r = m->registry;

	if (!r)
		return;
	registry_forget(m);
	ev_timer_stop(m->loop, &r->timer);
	if (r->fd >= 0) {
		ev_io_stop(m->loop, &r->io);
		close(r->fd);
	}
	for (int i = 0; i < BUCKETS; i++)
		for (struct watch *w = r->watches[i], *next; w; w = next) {
			next = w->next;
			free(w->path);
			free(w);
		}
	free(r);
	m->registry = NULL;
}
