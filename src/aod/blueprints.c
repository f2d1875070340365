/* SPDX-License-Identifier: MIT */
/* Finding and reading the files of blueprints. See blueprints.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "aod/blueprints.h"
#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"

#define LINKS_MAX 8 /* aliases of aliases */
#define RACY_US                                                                                    \
	30000 /* a file that was changed so shortly ago may change again without another time      \
		 stamp */
#define FNV_START 0xcbf29ce484222325u /* FNV-1a, 64 bits */
#define NAMES_MAX 10000               /* blueprints; further ones are not looked at */

/* ---- names ------------------------------------------------------------------------------------- */

/* "task@one" → "task@"; NULL when name is no instance. Caller frees. */
static char *
template_of(const char *name)
{
	const char *at = strchr(name, '@');

	return at && at[1] ? xstrndup(name, (size_t)(at + 1 - name)) : NULL;
}

char **
blueprint_dirs(const struct config *cfg)
{
	CLEANUP_FREE char *etc = xasprintf("%s/blueprints", cfg->etc);
	CLEANUP_FREE char *run = xasprintf("%s/blueprints", cfg->run);

	return strv_add(strv_add(strv_add(NULL, etc), run), cfg->blueprints);
}

/* The name in "NAME.blueprint" or "NAME.blueprint.d", if it is one. Caller frees. */
static char *
name_in(const char *file, const char *suffix)
{
	size_t n = strlen(file), s = strlen(suffix);
	char *name;

	if (n <= s || strcmp(file + n - s, suffix))
		return NULL;
	name = xstrndup(file, n - s);
	if (blueprint_name_ok(name))
		return name;
	free(name);
	return NULL;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **
blueprint_names(const struct config *cfg)
{
	char **dirs = blueprint_dirs(cfg), **all = xcalloc(1, sizeof(*all));
	size_t n = 0, cap = 0, out = 0;

	for (size_t i = 0; dirs[i]; i++) {
		DIR *d = opendir(dirs[i]);
		struct dirent *de;

		while (d && n < NAMES_MAX && (de = readdir(d))) {
			char *name = name_in(de->d_name, BLUEPRINT_SUFFIX);

			/* An instance that differs from the others by its drop-ins. */
			if (!name && strchr(de->d_name, '@')) {
				name = name_in(de->d_name, BLUEPRINT_SUFFIX ".d");
				if (name && name[strlen(name) - 1] == '@') {
					free(name);
					name = NULL;
				}
			}
			if (!name)
				continue;
			if (n + 1 >= cap)
				all = xrealloc(all, (cap = cap ? cap * 2 : 64) * sizeof(*all));
			all[n++] = name;
		}
		if (d)
			closedir(d);
	}
	strv_free(dirs);
	qsort(all, n, sizeof(*all), by_text);
	for (size_t i = 0; i < n; i++) {
		if (out > 0 && !strcmp(all[out - 1], all[i]))
			free(all[i]);
		else
			all[out++] = all[i];
	}
	all[out] = NULL;
	return all;
}

int
blueprint_not_found(const struct config *cfg, const char *name, struct err *e)
{
	char **names = blueprint_names(cfg);
	const char *best = NULL;
	int max = str_distance_max(name), best_distance = max + 1;

	for (size_t i = 0; names[i]; i++) {
		int distance = str_distance(name, names[i], max);

		if (distance < best_distance) {
			best_distance = distance;
			best = names[i];
		}
	}
	err_set_status(e, 404, -ENOENT,
		       best ? "Agent not found: %.200s (did you mean %s?)"
			    : "Agent not found: %.200s",
		       name, best);
	strv_free(names);
	return -ENOENT;
}

/* ---- one file ---------------------------------------------------------------------------------- */

static void
stamp_add(uint64_t *stamp, const void *p, size_t n)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i++)
		*stamp = (*stamp ^ s[i]) * 0x100000001b3u;
}

static int64_t
timespec_us(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000;
}

static void
note_file(struct blueprint_files *f, const char *path, const struct stat *st)
{
	int64_t mtime = timespec_us(&st->st_mtim);
	const int64_t parts[] = {(int64_t)st->st_dev, (int64_t)st->st_ino, st->st_size,
				 st->st_mtim.tv_sec,  st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
				 st->st_ctim.tv_nsec, st->st_mode};

	stamp_add(&f->stamp, path, strlen(path) + 1);
	stamp_add(&f->stamp, parts, sizeof(parts));
	if (!f->first_us || mtime < f->first_us)
		f->first_us = mtime;
	if (mtime > f->last_us)
		f->last_us = mtime;
	f->racy |= llabs(now_us() - timespec_us(&st->st_ctim)) < RACY_US;
}

enum look { LOOK_FINE, LOOK_MASKED, LOOK_GONE, LOOK_BAD };

/* Opens path, whatever it may be, and looks at it. Never blocks on a FIFO, never reads what is too
 * large. */
static enum look
look_at(struct blueprint_files *f, const char *path, int *fd)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT)
		return LOOK_GONE;
	if (*fd < 0 || fstat(*fd, &st) < 0) {
		blueprint_problem_add(&f->problems, BP_ERROR, path, 0, 0,
				      errno == ELOOP ? "its links go round in a circle"
						     : "cannot be read: %s",
				      strerror(errno));
		return LOOK_BAD;
	}
	note_file(f, path, &st);
	if (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0))
		return LOOK_MASKED;
	if (!S_ISREG(st.st_mode))
		blueprint_problem_add(&f->problems, BP_ERROR, path, 0, 0, "is not a regular file");
	else if (st.st_size > (off_t)INI_FILE_MAX)
		blueprint_problem_add(&f->problems, BP_ERROR, path, 0, 0,
				      "has %lld bytes, at most %u are read", (long long)st.st_size,
				      INI_FILE_MAX);
	else
		return LOOK_FINE;
	return LOOK_BAD;
}

static size_t
total(const struct blueprint_files *f)
{
	size_t n = 0;

	for (int i = 0; i < f->count; i++)
		n += f->v[i].kind == UNIT_SIDE ? 0 : f->v[i].len;
	return n;
}

/* Looks at a file and adds it. */
static enum look
add_file(struct blueprint_files *f, enum unit_kind kind, const char *path, bool texts)
{
	struct buf text = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	enum look look = look_at(f, path, &fd);
	int rc;

	if (look == LOOK_FINE && !texts)
		blueprint_files_set(f, kind, path, "", 0);
	if (look != LOOK_FINE || !texts)
		return look;
	rc = fd_read_all(fd, INI_FILE_MAX, &text);
	if (rc == 0 && kind != UNIT_SIDE && total(f) + text.len > BLUEPRINT_TEXT_MAX)
		rc = -EFBIG;
	if (rc < 0) {
		blueprint_problem_add(&f->problems, BP_ERROR, path, 0, 0,
				      rc == -EFBIG
					      ? "too large, with the other files of the blueprint"
					      : "cannot be read: %s",
				      strerror(-rc));
		buf_free(&text);
		return LOOK_BAD;
	}
	blueprint_files_set(f, kind, path, text.data ? text.data : "", text.len);
	buf_free(&text);
	return LOOK_FINE;
}

void
blueprint_files_set(struct blueprint_files *f, enum unit_kind kind, const char *path,
		    const char *text, size_t len)
{
	struct unit_file new = {kind, xstrdup(path), text ? xstrndup(text, len) : NULL, len};
	int at = 0;

	/* xstrndup() ends at a NUL, which a broken file may hold. */
	if (text) {
		free(new.text);
		new.text = xmalloc(len + 1);
		memcpy(new.text, text, len);
		new.text[len] = '\0';
	}
	while (at < f->count && strcmp(f->v[at].path, path))
		at++;
	if (at < f->count) {
		free(f->v[at].path);
		free(f->v[at].text);
		memmove(&f->v[at], &f->v[at + 1], (size_t)(f->count - at - 1) * sizeof(*f->v));
		f->count--;
	}
	if (!text) {
		free(new.path);
		return;
	}
	/* In order: kinds as they are numbered, drop-ins by their file name. */
	for (at = 0; at < f->count && f->v[at].kind <= kind; at++)
		if (kind == UNIT_DROPIN && f->v[at].kind == kind &&
		    strcmp(strrchr(f->v[at].path, '/'), strrchr(path, '/')) > 0)
			break;
	f->v = xrealloc(f->v, (size_t)(f->count + 1) * sizeof(*f->v));
	memmove(&f->v[at + 1], &f->v[at], (size_t)(f->count - at) * sizeof(*f->v));
	f->v[at] = new;
	f->count++;
}

void
blueprint_files_free(struct blueprint_files *f)
{
	for (int i = 0; i < f->count; i++) {
		free(f->v[i].path);
		free(f->v[i].text);
	}
	free(f->v);
	free(f->name);
	free(f->alias);
	free(f->main_path);
	free(f->sides[0]);
	free(f->sides[1]);
	blueprint_problems_free(&f->problems);
	memset(f, 0, sizeof(*f));
}

/* ---- the main file ----------------------------------------------------------------------------- */

/* The first NAME.blueprint there is, of whatever kind; NULL when there is none. Caller frees. */
static char *
first_path(char *const *dirs, const char *name, struct stat *st)
{
	for (size_t i = 0; dirs[i]; i++) {
		char *path = xasprintf("%s/%s" BLUEPRINT_SUFFIX, dirs[i], name);

		if (lstat(path, st) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/*
 * The name that a link stands for: that of a blueprint in one of the directories. NULL when it is a
 * link to a file somewhere, which is read as if it were here. Caller frees.
 */
static char *
link_target(char *const *dirs, const char *path)
{
	char target[PATH_MAX], real[PATH_MAX], dir_real[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	CLEANUP_FREE char *whole = NULL;
	char *slash, *name;

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	whole = *target == '/'
			? xstrdup(target)
			: xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, target);
	slash = strrchr(whole, '/');
	name = name_in(slash + 1, BLUEPRINT_SUFFIX);
	if (!name)
		return NULL;
	*slash = '\0';
	if (realpath(slash == whole ? "/" : whole, real))
		for (size_t i = 0; dirs[i]; i++)
			if (realpath(dirs[i], dir_real) && !strcmp(real, dir_real))
				return name;
	free(name);
	return NULL;
}

/* What an alias makes of a name: "a@one" with a link a@ → b@ is "b@one". NULL: nothing new. Caller
 * frees. */
static char *
follow(struct blueprint_files *f, const char *name, const char *path, const char *target)
{
	const char *at = strchr(name, '@'), *target_at = strchr(target, '@');
	bool target_template = target_at && !target_at[1];

	if (!target_template || (at && !at[1]))
		return strcmp(name, target) ? xstrdup(target) : NULL;
	if (!at) {
		blueprint_problem_add(
			&f->problems, BP_ERROR, path, 0, 0,
			"a link to the template %s: link to an instance of it, %sNAME", target,
			target);
		return NULL;
	}
	/* task@one.blueprint → task@.blueprint says no more than that the instance is there. */
	if (!strncmp(name, target, (size_t)(at + 1 - name)) && target[at + 1 - name] == '\0')
		return NULL;
	return xasprintf("%s%s", target, at + 1);
}

/* f->name and f->main_path, through aliases. -ENOENT */
static int
find_main(struct blueprint_files *f, char *const *dirs, const char *name)
{
	f->name = xstrdup(name);
	for (int i = 0;; i++) {
		CLEANUP_FREE char *generic = template_of(f->name);
		CLEANUP_FREE char *target = NULL;
		char *path, *next = NULL;
		struct stat st;

		path = first_path(dirs, f->name, &st);
		if (!path && generic)
			path = first_path(dirs, generic, &st);
		free(f->main_path);
		f->main_path = path;
		if (!path)
			return -ENOENT;
		if (S_ISLNK(st.st_mode)) {
			note_file(f, path, &st);
			target = link_target(dirs, path);
		}
		next = target ? follow(f, f->name, path, target) : NULL;
		if (!next)
			return 0;
		if (i == LINKS_MAX) {
			blueprint_problem_add(
				&f->problems, BP_ERROR, path, 0, 0,
				"aliases go round in a circle, or there are more than %d",
				LINKS_MAX);
			free(next);
			free(f->name);
			f->name = xstrdup(name);
			return 0;
		}
		free(f->name);
		f->name = next;
	}
}

/* ---- drop-ins ---------------------------------------------------------------------------------- */

struct dropins {
	char *paths[BLUEPRINT_DROPINS_MAX];
	int count;
	bool more;
};

static const char *
file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void
collect_dropins(struct dropins *d, const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *de;

	while (stream && (de = readdir(stream))) {
		size_t n = strlen(de->d_name);
		int i = 0;

		if (de->d_name[0] == '.' || n <= 5 || strcmp(de->d_name + n - 5, ".conf"))
			continue;
		while (i < d->count && strcmp(file_name(d->paths[i]), de->d_name))
			i++;
		if (i < d->count)
			continue; /* one of the same name came first */
		if (d->count == BLUEPRINT_DROPINS_MAX)
			d->more = true;
		else
			d->paths[d->count++] = xasprintf("%s/%s", dir, de->d_name);
	}
	if (stream)
		closedir(stream);
}

static int
by_file_name(const void *a, const void *b)
{
	return strcmp(file_name(*(char *const *)a), file_name(*(char *const *)b));
}

static void
find_dropins(struct blueprint_files *f, char *const *dirs, bool texts)
{
	CLEANUP_FREE char *generic = template_of(f->name);
	const char *names[] = {f->name, generic};
	struct dropins d = {.count = 0};

	for (size_t k = 0; k < ARRAY_LEN(names) && names[k]; k++)
		for (size_t i = 0; dirs[i]; i++) {
			CLEANUP_FREE char *dir =
				xasprintf("%s/%s" BLUEPRINT_SUFFIX ".d", dirs[i], names[k]);

			collect_dropins(&d, dir);
		}
	if (d.more)
		blueprint_problem_add(&f->problems, BP_ERROR, f->main_path, 0, 0,
				      "has more than %d drop-ins", BLUEPRINT_DROPINS_MAX);
	qsort(d.paths, (size_t)d.count, sizeof(*d.paths), by_file_name);
	for (int i = 0; i < d.count; i++) {
		add_file(f, UNIT_DROPIN, d.paths[i], texts);
		free(d.paths[i]);
	}
}

int
blueprint_files_find(const struct config *cfg, const char *name, bool texts,
		     struct blueprint_files *out, struct err *e)
{
	char **dirs = blueprint_dirs(cfg);
	enum look look = LOOK_GONE;
	int rc = -ENOENT;

	memset(out, 0, sizeof(*out));
	out->stamp = FNV_START;
	if (blueprint_name_ok(name))
		rc = find_main(out, dirs, name);
	if (rc == 0 && strcmp(out->name, name))
		out->alias = xstrdup(name);
	if (rc == 0 && !out->problems.errors) {
		look = add_file(out, UNIT_MAIN, out->main_path, texts);
		if (look == LOOK_GONE)
			blueprint_problem_add(&out->problems, BP_ERROR, out->main_path, 0, 0,
					      "is a link to nowhere");
	}
	out->masked = look == LOOK_MASKED;
	if (rc == 0 && !out->masked)
		find_dropins(out, dirs, texts);
	strv_free(dirs);
	if (rc < 0) {
		blueprint_files_free(out);
		return blueprint_not_found(cfg, name, e);
	}
	stamp_add(&out->stamp, out->name, strlen(out->name));
	return 0;
}

void
blueprint_files_begin(const struct config *cfg, const char *name, struct blueprint_files *out)
{
	char **dirs = blueprint_dirs(cfg);

	memset(out, 0, sizeof(*out));
	out->stamp = FNV_START;
	out->name = xstrdup(name);
	out->main_path = blueprint_etc_path(cfg, name);
	blueprint_files_set(out, UNIT_MAIN, out->main_path, "", 0);
	find_dropins(out, dirs, true);
	strv_free(dirs);
}

uint64_t
blueprint_files_stamp(const struct blueprint_files *f)
{
	return f->racy ? 0 : f->stamp ? f->stamp : 1;
}

void
blueprint_files_stamp_sides(struct blueprint_files *f, char *const sides[2])
{
	for (int i = 0; i < 2; i++) {
		struct stat st;

		if (sides[i] && stat(sides[i], &st) == 0)
			note_file(f, sides[i], &st);
	}
}

char *
blueprint_etc_path(const struct config *cfg, const char *name)
{
	return xasprintf("%s/blueprints/%s" BLUEPRINT_SUFFIX, cfg->etc, name);
}

bool
blueprint_in_etc(const struct config *cfg, const char *path)
{
	CLEANUP_FREE char *dir = xasprintf("%s/blueprints/", cfg->etc);

	return str_starts(path, dir);
}

bool
blueprint_files_generic(const struct blueprint_files *f, char **generic)
{
	CLEANUP_FREE char *template = template_of(f->name);
	CLEANUP_FREE char *main = template ? xasprintf("/%s" BLUEPRINT_SUFFIX, template) : NULL;
	CLEANUP_FREE char *own = xasprintf("/%s" BLUEPRINT_SUFFIX ".d/", f->name);
	size_t n;

	if (!main || !f->main_path || (n = strlen(f->main_path)) < strlen(main) ||
	    strcmp(f->main_path + n - strlen(main), main))
		return false;
	for (int i = 0; i < f->count; i++)
		if (f->v[i].kind == UNIT_DROPIN && strstr(f->v[i].path, own))
			return false;
	*generic = xstrdup(template);
	return true;
}

int
blueprint_read_file(const char *path, const char *const *dirs, size_t max, struct buf *out, struct err *e)
{
	CLEANUP_CLOSE int fd = fd_open_named(path, dirs);
	struct stat st;
	int rc;

	if (fd == -EXDEV)
		return err_set(e, fd, "%s: a link leads out of the agent's directory, to what the agent may not see", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, fd < 0 ? fd : -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: not a regular file", path);
	rc = st.st_size > (off_t)max ? -EFBIG : fd_read_all(fd, max, out);
	if (rc == -EFBIG)
		return err_set(e, rc, "%s: larger than %zu bytes", path, max);
	return rc < 0 ? err_errno(e, rc, "%s", path) : 0;
}

/* ---- what they say ----------------------------------------------------------------------------- */

struct specifiers
blueprint_specifiers(const struct manager *m, const char *name)
{
	return (struct specifiers){
		.name = name,
		.run_dir = m->cfg->run,
		.state_dir = m->cfg->state,
		.cache_dir = m->cfg->cache,
		.home = m->home,
		.user = m->user,
		.uid = m->uid,
		.host = m->host,
	};
}

static const enum directive_id side_keys[] = {D_SystemPromptFile, D_McpConfigFile};

/* Where the file that a key names is, or NULL when it names none or is not in one of the
 * directories. Caller frees. */
static char *
side_path(const struct manager *m, const struct blueprint *b, enum directive_id id)
{
	struct specifiers known = blueprint_specifiers(m, blueprint_name(b));
	const char *value = blueprint_text(b, id), *path = blueprint_path(b);
	char **dirs = blueprint_dirs(m->cfg);
	struct buf text = BUF_INIT;
	char *whole = NULL;
	bool ours = false;

	if (value && *value && path && specifier_expand(&text, value, &known, NULL) == 0) {
		whole = *text.data == '/' ? xstrdup(text.data)
					  : xasprintf("%.*s/%s", (int)(file_name(path) - path - 1),
						      path, text.data);
		/* Others may be secret: whoever may see a blueprint need not be allowed to see
		 * them. */
		for (size_t i = 0; dirs[i]; i++)
			ours |= str_starts(whole, dirs[i]) && whole[strlen(dirs[i])] == '/' &&
				!strstr(whole, "/../");
	}
	buf_free(&text);
	strv_free(dirs);
	if (ours)
		return whole;
	free(whole);
	return NULL;
}

const struct unit_file *
blueprint_side_file(const struct blueprint_files *f, enum directive_id id)
{
	const char *path = id == side_keys[0] ? f->sides[0] : f->sides[1];

	for (int i = 0; path && i < f->count; i++)
		if (f->v[i].kind == UNIT_SIDE && !strcmp(f->v[i].path, path))
			return &f->v[i];
	return NULL;
}

struct blueprint *
blueprint_files_parse(const struct manager *m, struct blueprint_files *f)
{
	struct blueprint *b = blueprint_new(f->name, f->main_path);

	for (int i = 0; i < f->count; i++)
		if (f->v[i].kind != UNIT_SIDE)
			blueprint_add(b, f->v[i].path, f->v[i].text, f->v[i].len, &f->problems);
	if (!f->masked)
		blueprint_lint(b, &f->problems);
	for (size_t i = 0; i < ARRAY_LEN(side_keys); i++) {
		const char *file = NULL;
		int line = 0;

		free(f->sides[i]);
		f->sides[i] = side_path(m, b, side_keys[i]);
		if (!f->sides[i] || blueprint_side_file(f, side_keys[i]))
			continue;
		blueprint_origin(b, side_keys[i], &file, &line);
		if (add_file(f, UNIT_SIDE, f->sides[i], true) == LOOK_GONE)
			blueprint_problem_add(&f->problems, BP_WARNING, file ? file : f->sides[i],
					      line, 1, "%s=: there is no file %s",
					      blueprint_directives[side_keys[i]].key, f->sides[i]);
	}
	return b;
}

int
blueprint_usable(const struct blueprint_files *f, const struct blueprint *b, struct err *e)
{
	size_t n = strlen(f->name);

	if (f->masked)
		return err_set_status(e, 404, -ENOENT, "Agent not found: %s (masked by %s)",
				      f->alias ? f->alias : f->name, f->main_path);
	if (blueprint_problems_err(&f->problems, e) < 0)
		return -EINVAL;
	if (n > 0 && f->name[n - 1] == '@')
		return err_set_status(e, 422, -EINVAL,
				      "Agent '%s' is a template: give an instance, %sNAME", f->name,
				      f->name);
	if (blueprint_tri(b, D_Enabled) == TRI_NO)
		return err_set_status(e, 409, -EBUSY, "Agent '%s' is inactive", f->name);
	return 0;
}

int
blueprint_load(const struct manager *m, const char *name, struct blueprint **out, struct err *e)
{
	struct blueprint_files f;
	struct blueprint *b;
	int rc = blueprint_files_find(m->cfg, name, true, &f, e);

	if (rc < 0)
		return rc;
	b = blueprint_files_parse(m, &f);
	rc = blueprint_usable(&f, b, e);
	blueprint_files_free(&f);
	if (rc < 0) {
		blueprint_free(b);
		return rc;
	}
	*out = b;
	return 0;
}
