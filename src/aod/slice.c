/* SPDX-License-Identifier: MIT */
/* Files of slices and their limits. See slice.h. */
#include "config.h"

#include "aod/slice.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "aod/blueprints.h"
#include "aod/cgroup.h"
#include "aod/contain.h"
#include "aod/run.h"
#include "base/log.h"
#include "base/util.h"

#define SLICE_FILE_MAX (256u << 10)

struct slice {
	struct slice *next;
	char *name; /* with its suffix */
	char *path; /* of its file, NULL: none */
	struct timespec mtime;
	off_t size;
	bool applied;
	/* MaxSessions= of its file as that was when last looked at */
	struct timespec max_mtime;
	off_t max_size;
	char *max_path;
	int64_t max;
};

struct slices {
	struct manager *m;
	struct slice *list;
};

struct slices *
slices_new(struct manager *m)
{
	struct slices *s = xcalloc(1, sizeof(*s));

	s->m = m;
	return s;
}

void
slices_free(struct slices *s)
{
	while (s && s->list) {
		struct slice *sl = s->list;

		s->list = sl->next;
		free(sl->name);
		free(sl->path);
		free(sl->max_path);
		free(sl);
	}
	free(s);
}

char *
slice_full_name(const char *name)
{
	size_t n = strlen(name), suffix = strlen(SLICE_SUFFIX), depth = 1;

	if (n > suffix && !strcmp(name + n - suffix, SLICE_SUFFIX))
		n -= suffix;
	if (n == 0 || n > NAME_MAX_LEN || name[0] == '-' || name[n - 1] == '-')
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("_-", name[i]))
			return NULL;
		if (name[i] == '-' && (name[i + 1] == '-' || ++depth > SLICE_DEPTH_MAX))
			return NULL;
	}
	return xasprintf("%.*s" SLICE_SUFFIX, (int)n, name);
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static char *
find_file(const struct slices *s, const char *name, struct stat *st)
{
	char **dirs = blueprint_dirs(s->m->cfg), *found = NULL;

	for (size_t i = 0; !found && dirs && dirs[i]; i++) {
		char *path = xasprintf("%s/%s", dirs[i], name);

		if (stat(path, st) == 0 && S_ISREG(st->st_mode))
			found = path;
		else
			free(path);
	}
	strv_free(dirs);
	return found;
}

static bool
is_key(const char *line, size_t n, const char *key)
{
	size_t at = strspn(line, " \t"), len = strlen(key);

	return at + len < n && !strncmp(line + at, key, len) && line[at + len + strspn(line + at + len, " \t")] == '=';
}

/*
 * A slice's file in the words of blueprints: its own section is that of what people read, and MaxSessions= in it is one of [Session], which goes
 * into a second text. The lines stay where they are.
 */
static void
translate(struct buf *text, struct buf *session)
{
	struct buf out = BUF_INIT;
	bool own = false;

	for (const char *p = text->data, *end; p && *p; p = end) {
		size_t n = strcspn(p, "\n");
		bool head = !strncmp(p, "[Slice]", 7) && strspn(p + 7, " \t\r") == n - 7, limit = own && is_key(p, n, "MaxSessions");

		end = p + n + (p[n] == '\n');
		if (*p == '[')
			own = head;
		if (head)
			buf_puts(&out, "[Blueprint]\n");
		else if (limit)
			buf_putc(&out, '\n');
		else
			buf_put(&out, p, (size_t)(end - p));
		if (limit)
			buf_put(session, p, (size_t)(end - p));
		else
			buf_puts(session, head ? "[Session]\n" : "\n");
	}
	buf_free(text);
	*text = out;
}

/* Whether a slice may have the key: what people read, and limits of control groups. */
static bool
slice_key(int id)
{
	static const enum directive_id others[] = { D_Slice, D_OOMPolicy, D_OOMScoreAdjust };
	const struct directive *d = &blueprint_directives[id];

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if ((int)others[i] == id)
			return false;
	if (!strcmp(d->section, "Blueprint"))
		return id == D_Description || id == D_Documentation;
	if (id == D_MaxSessions)
		return true;
	return !strcmp(d->section, "Resources") && d->type != DT_RLIMIT;
}

static int
parse(const char *path, struct blueprint **out, struct err *e)
{
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct buf text = BUF_INIT, session = BUF_INIT;
	struct blueprint *b;
	int rc = blueprint_read_file(path, NULL, SLICE_FILE_MAX, &text, e);

	if (rc < 0) {
		buf_free(&text);
		return rc;
	}
	translate(&text, &session);
	b = blueprint_new("slice", path);
	if (text.len)
		blueprint_add(b, path, text.data, text.len, &problems);
	if (session.len)
		blueprint_add(b, path, session.data, session.len, &problems);
	buf_free(&text);
	buf_free(&session);
	for (int id = 0; id < D_COUNT; id++) {
		const char *file;
		int line;

		if (blueprint_is_set(b, id) && blueprint_origin(b, id, &file, &line) && !slice_key(id))
			blueprint_problem_add(&problems, BP_ERROR, path, line, 0, "%s= is no key of a slice", blueprint_directives[id].key);
	}
	rc = blueprint_problems_err(&problems, e);
	blueprint_problems_free(&problems);
	if (rc < 0) {
		blueprint_free(b);
		return rc;
	}
	*out = b;
	return 0;
}

/* ---- limits ----------------------------------------------------------------------------------------------- */

static struct slice *
known(struct slices *s, const char *name)
{
	struct slice *sl;

	for (sl = s->list; sl; sl = sl->next)
		if (!strcmp(sl->name, name))
			return sl;
	sl = xcalloc(1, sizeof(*sl));
	sl->name = xstrdup(name);
	sl->next = s->list;
	s->list = sl;
	return sl;
}

/* What a file that has gone, or lost a key, had limited is free again. */
static void
fill_unset(struct limits *l)
{
	int64_t *const infinite[] = { &l->memory_max, &l->memory_high, &l->memory_swap_max, &l->tasks_max, &l->cpu_quota_us };
	int64_t *const weights[] = { &l->cpu_weight, &l->io_weight };

	for (size_t i = 0; i < ARRAY_LEN(infinite); i++)
		if (*infinite[i] == LIMIT_UNSET)
			*infinite[i] = LIMIT_INFINITY;
	for (size_t i = 0; i < ARRAY_LEN(weights); i++)
		if (*weights[i] == LIMIT_UNSET)
			*weights[i] = 100;
}

static int
apply_one(struct slices *s, const char *name, struct err *e)
{
	struct slice *sl = known(s, name);
	struct stat st = { 0 };
	CLEANUP_FREE char *path = find_file(s, name, &st);
	struct blueprint *b = NULL;
	struct limits l;
	int rc = 0;

	if (sl->applied && (path ? sl->path && !strcmp(path, sl->path) && st.st_size == sl->size &&
				    !memcmp(&st.st_mtim, &sl->mtime, sizeof(st.st_mtim)) : !sl->path))
		return 0;
	if (!path && !sl->path) {
		sl->applied = true;
		return 0;
	}
	limits_init(&l);
	if (path)
		rc = parse(path, &b, e);
	if (rc == 0 && b)
		rc = limits_from(&l, b, &s->m->totals, e);
	if (rc == 0 && sl->path)
		fill_unset(&l);
	if (rc == 0)
		rc = cgroup_set_slice(s->m->cgroups, name, &l, e);
	limits_free(&l);
	blueprint_free(b);
	if (rc < 0)
		return err_wrap(e, "slice %s", name);
	free(sl->path);
	sl->path = xstrdup(path);
	sl->mtime = st.st_mtim;
	sl->size = st.st_size;
	sl->applied = true;
	return 0;
}

int
slice_apply(struct slices *s, const char *name, struct err *e)
{
	size_t n = strlen(name) - strlen(SLICE_SUFFIX);

	if (cgroup_mode(s->m->cgroups) == CGROUP_NONE)
		return 0;
	/* a.slice, then a-b.slice. */
	for (size_t i = 1; i <= n; i++) {
		CLEANUP_FREE char *part = NULL;
		int rc;

		if (i < n && name[i] != '-')
			continue;
		part = xasprintf("%.*s" SLICE_SUFFIX, (int)i, name);
		rc = apply_one(s, part, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int64_t
slice_max_sessions(struct slices *s, const char *name)
{
	struct slice *sl = known(s, name);
	struct stat st = { 0 };
	CLEANUP_FREE char *path = find_file(s, name, &st);
	struct blueprint *b = NULL;
	struct err e = { 0 };

	if (path && sl->max_path && !strcmp(path, sl->max_path) && st.st_size == sl->max_size &&
	    !memcmp(&st.st_mtim, &sl->max_mtime, sizeof(st.st_mtim)))
		return sl->max;
	free(sl->max_path);
	sl->max_path = xstrdup(path);
	sl->max_size = st.st_size;
	sl->max_mtime = st.st_mtim;
	/* One that is wrong is said where its other limits are wanted. */
	sl->max = path && parse(path, &b, &e) == 0 ? blueprint_int(b, D_MaxSessions) : 0;
	blueprint_free(b);
	return sl->max;
}

void
slices_refresh(struct slices *s)
{
	for (struct slice *sl = s->list; sl; sl = sl->next) {
		struct err e = { 0 };

		if (sl->applied && cgroup_mode(s->m->cgroups) != CGROUP_NONE && apply_one(s, sl->name, &e) < 0)
			log_warn("%s", e.text);
	}
}

void
slices_forget(struct slices *s)
{
	for (struct slice *sl = s->list; sl; sl = sl->next)
		sl->applied = false;
}

/* ---- showing ---------------------------------------------------------------------------------------------- */

static char **
all_names(const struct slices *s)
{
	char **dirs = blueprint_dirs(s->m->cfg), **names = NULL;

	for (size_t i = 0; dirs && dirs[i]; i++) {
		DIR *d = opendir(dirs[i]);
		struct dirent *de;

		while (d && (de = readdir(d))) {
			CLEANUP_FREE char *full = slice_full_name(de->d_name);

			if (full && !strcmp(full, de->d_name))
				names = strv_add(names, full);
		}
		if (d)
			closedir(d);
	}
	strv_free(dirs);
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = s->m->runs[i]; r; r = r->next)
			if (r->in.slice)
				names = strv_add(names, r->in.slice);
	return names;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
sessions_of(const struct slices *s, const char *name)
{
	int n = 0;

	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = s->m->runs[i]; r; r = r->next)
			n += r->in.slice && !strcmp(r->in.slice, name);
	return n;
}

static void
put_slice(struct slices *s, struct buf *out, const char *name)
{
	struct stat st;
	CLEANUP_FREE char *path = find_file(s, name, &st);
	struct blueprint *b = NULL;
	struct err e = { 0 };

	if (path)
		parse(path, &b, &e);
	buf_puts(out, "{\"name\":");
	buf_put_json_str(out, name);
	buf_puts(out, ",\"description\":");
	buf_put_json_str(out, b ? blueprint_text(b, D_Description) : NULL);
	buf_puts(out, ",\"path\":");
	buf_put_json_str(out, path);
	buf_puts(out, ",\"error\":");
	buf_put_json_str(out, e.code ? e.text : NULL);
	buf_printf(out, ",\"sessions\":%d,\"limits\":{", sessions_of(s, name));
	for (int id = 0, n = 0; b && id < D_COUNT; id++) {
		const char *file;
		int line;
		struct buf text = BUF_INIT;

		if ((strcmp(blueprint_directives[id].section, "Resources") && id != D_MaxSessions) || !blueprint_origin(b, id, &file, &line))
			continue;
		blueprint_show_key(&text, b, id);
		buf_printf(out, "%s\"%s\":", n++ ? "," : "", blueprint_directives[id].key);
		buf_put_json(out, text.data + strlen(blueprint_directives[id].key) + 1,
			     strcspn(text.data, "\n") - strlen(blueprint_directives[id].key) - 1);
		buf_free(&text);
	}
	buf_puts(out, "}}");
	blueprint_free(b);
}

void
slices_json(struct slices *s, struct buf *out)
{
	char **names = all_names(s);
	size_t n = strv_len(names);
	const char *last = "";

	if (n)
		qsort(names, n, sizeof(*names), by_name);
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], last))
			continue;
		if (*last)
			buf_putc(out, ',');
		put_slice(s, out, names[i]);
		last = names[i];
	}
	buf_putc(out, ']');
	strv_free(names);
}
