/* SPDX-License-Identifier: MIT */
/* Actions on blueprints as a whole: delete, mask, go back to a version. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

#include "aod/action-agent.h"
#include "base/util.h"

static const char *
file_name(const char *path)
{
	return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* The configuration as it would be with nothing below etc: what ships. */
static struct config
without_etc(const struct config *cfg)
{
	struct config c = *cfg;

	c.etc = c.run;
	return c;
}

/* Whether a file of that very name is there below run or the directory of those that ship. */
static bool
ships(const struct config *cfg, const char *name)
{
	struct config base = without_etc(cfg);
	char **dirs = blueprint_dirs(&base);
	bool found = false;
	struct stat st;

	for (size_t i = 0; dirs[i]; i++) {
		CLEANUP_FREE char *path = xasprintf("%s/%s" BLUEPRINT_SUFFIX, dirs[i], name);

		found |= lstat(path, &st) == 0;
	}
	strv_free(dirs);
	return found;
}

/* ---- delete ------------------------------------------------------------------------------------
 */

/* Files of name below etc, beside its main file: drop-ins, and what the API wrote. Returns how
 * many. */
static int
remove_rest(struct writes *w, const struct config *cfg, const char *name)
{
	static const char *const suffixes[] = {".mcp.json", ".system-prompt.md"};
	CLEANUP_FREE char *main = blueprint_etc_path(cfg, name);
	CLEANUP_FREE char *dir = xasprintf("%s.d", main);
	DIR *d = opendir(dir);
	struct dirent *de;
	struct stat st;
	int n = 0;

	while (d && (de = readdir(d))) {
		CLEANUP_FREE char *path = xasprintf("%s/%s", dir, de->d_name);
		size_t len = strlen(de->d_name);

		if (de->d_name[0] == '.' || len < 6 || strcmp(de->d_name + len - 5, ".conf"))
			continue;
		writes_remove(w, path);
		n++;
	}
	if (d)
		closedir(d);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		CLEANUP_FREE char *path =
			xasprintf("%s/blueprints/%s%s", cfg->etc, name, suffixes[i]);

		if (lstat(path, &st) == 0)
			writes_remove(w, path);
	}
	return n;
}

int
action_agent_delete(struct request *q, struct err *e)
{
	const struct config *cfg = q->m->cfg;
	struct writes w = {.cfg = cfg};
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *main = NULL;
	struct blueprint_files f;
	struct stat st;
	bool masked, shipped;
	int rc = blueprint_files_find(cfg, request_text(q, "id"), false, &f, e), dropins;

	if (rc < 0)
		return rc;
	/* Of an alias the link goes, not what it leads to. */
	name = xstrdup(f.alias ? f.alias : f.name);
	masked = f.masked;
	blueprint_files_free(&f);
	if (masked)
		return blueprint_not_found(cfg, name, e);
	rc = agent_check_version(q, name, e);
	if (rc < 0)
		return rc;
	main = blueprint_etc_path(cfg, name);
	shipped = ships(cfg, name);
	dropins = remove_rest(&w, cfg, name);
	if (shipped)
		writes_mask(&w, main);
	else if (lstat(main, &st) == 0)
		writes_remove(&w, main);
	else if (!dropins)
		rc = err_set_status(e, 409, -EBUSY,
				    "Agent '%s' is an instance of a template and has no files of "
				    "its own: delete the template",
				    name);
	if (rc == 0)
		rc = writes_commit(&w, e);
	writes_free(&w);
	if (rc == 0)
		rc = registry_sync(q->m, name, q->author,
				   shipped ? "delete (masked, as it ships with aod)" : "delete",
				   NULL, e);
	if (rc == 0)
		manager_reply(q->m, q->id, 204, NULL, 0);
	return rc;
}

/* ---- mask --------------------------------------------------------------------------------------
 */

static int
mask(struct writes *w, const char *name, const char *main, struct err *e)
{
	struct stat st;

	if (lstat(main, &st) == 0)
		return err_set_status(e, 409, -EEXIST,
				      "%s is there: disable '%s', or delete that file first", main,
				      name);
	writes_mask(w, main);
	return 0;
}

static int
unmask(struct writes *w, const struct blueprint_files *f, const char *main, struct err *e)
{
	if (strcmp(f->main_path, main))
		return err_set_status(e, 409, -EBUSY,
				      "'%s' is masked by %s, which aod does not change", f->name,
				      f->main_path);
	writes_remove(w, main);
	return 0;
}

static int
reply_masked(struct request *q, const char *name, bool masked)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "{\"ok\":true,\"name\":");
	buf_put_json_str(&b, name);
	buf_printf(&b, ",\"masked\":%s}", masked ? "true" : "false");
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
action_agent_mask(struct request *q, struct err *e)
{
	struct writes w = {.cfg = q->m->cfg};
	CLEANUP_FREE char *main = NULL;
	struct json_object *v = NULL;
	struct blueprint_files f;
	bool want;
	int rc = blueprint_files_find(q->m->cfg, request_text(q, "id"), false, &f, e);

	if (rc < 0)
		return rc;
	json_object_object_get_ex(q->args, "masked", &v);
	want = json_object_get_boolean(v);
	main = blueprint_etc_path(q->m->cfg, f.name);
	if (want && !f.masked)
		rc = mask(&w, f.name, main, e);
	else if (!want && f.masked)
		rc = unmask(&w, &f, main, e);
	if (rc == 0)
		rc = writes_commit(&w, e);
	writes_free(&w);
	if (rc == 0)
		rc = registry_sync(q->m, f.name, q->author, want ? "mask" : "unmask", NULL, e);
	if (rc == 0)
		rc = reply_masked(q, f.name, want);
	blueprint_files_free(&f);
	return rc;
}

/* ---- revert ------------------------------------------------------------------------------------
 */

static int
on_files(const struct version_row *row, void *arg)
{
	struct json_tokener *t = json_tokener_new();

	*(struct json_object **)arg =
		row->files_len < INT32_MAX
			? json_tokener_parse_ex(t, row->files, (int)row->files_len)
			: NULL;
	json_tokener_free(t);
	return 0;
}

static enum unit_kind
kind_of(const char *path)
{
	size_t n = strlen(path), s = strlen(BLUEPRINT_SUFFIX);

	if (n > s && !strcmp(path + n - s, BLUEPRINT_SUFFIX))
		return UNIT_MAIN;
	return n > 5 && !strcmp(path + n - 5, ".conf") ? UNIT_DROPIN : UNIT_SIDE;
}

static const struct unit_file *
find_kind(const struct blueprint_files *f, enum unit_kind kind, const char *name)
{
	for (int i = 0; i < f->count; i++)
		if (f->v[i].kind == kind &&
		    (kind == UNIT_MAIN || !strcmp(file_name(f->v[i].path), name)))
			return &f->v[i];
	return NULL;
}

/* One file of the version: below etc where what ships does not say the same. */
static void
restore(struct change *c, const struct blueprint_files *base, const char *path, const char *text,
	size_t len)
{
	enum unit_kind kind = kind_of(path);
	const struct unit_file *shipped = find_kind(base, kind, file_name(path));
	CLEANUP_FREE char *own = kind == UNIT_MAIN
					 ? xstrdup(c->main_path)
					 : xasprintf("%s.d/%s", c->main_path, file_name(path));

	if (kind == UNIT_SIDE) {
		if (blueprint_in_etc(c->m->cfg, path) && !strstr(path, "/../"))
			change_file(c, kind, path, text, len);
	} else if (shipped && shipped->len == len && !memcmp(shipped->text, text, len)) {
		writes_remove(&c->w, own);
		blueprint_files_set(&c->f, kind, shipped->path, text, len);
		if (kind == UNIT_MAIN) {
			free(c->f.main_path);
			c->f.main_path = xstrdup(shipped->path);
		}
	} else {
		change_file(c, kind, own, text, len);
	}
}

/* Drop-ins that are there now and were not then. */
static void
drop_others(struct change *c, const struct blueprint_files *now, const struct blueprint_files *base)
{
	for (int i = 0; i < now->count; i++) {
		const char *name = file_name(now->v[i].path);
		CLEANUP_FREE char *own = xasprintf("%s.d/%s", c->main_path, name);

		if (now->v[i].kind != UNIT_DROPIN || find_kind(&c->f, UNIT_DROPIN, name))
			continue;
		if (find_kind(base, UNIT_DROPIN, name) || strcmp(now->v[i].path, own))
			writes_mask(&c->w, own);
		else
			writes_remove(&c->w, own);
	}
}

static int
revert_to(struct request *q, const char *name, struct json_object *files, struct err *e)
{
	struct config cfg = without_etc(q->m->cfg);
	struct blueprint_files base = {0}, now = {0};
	CLEANUP_FREE char *action =
		xasprintf("revert to %lld", (long long)request_number(q, "version", 0));
	struct err none = {0};
	struct change c;
	int rc;

	/* Without what is there now; the drop-ins that are needed come from the version. */
	memset(&c, 0, sizeof(c));
	c.m = q->m;
	c.w = (struct writes){.cfg = q->m->cfg};
	c.f.name = xstrdup(name);
	c.main_path = blueprint_etc_path(q->m->cfg, name);
	blueprint_files_find(&cfg, name, true, &base, &none);
	blueprint_files_find(q->m->cfg, name, true, &now, &none);
	for (size_t i = 0; i < json_object_array_length(files); i++) {
		struct json_object *o = json_object_array_get_idx(files, i), *path = NULL,
				   *text = NULL;

		if (json_object_object_get_ex(o, "path", &path) &&
		    json_object_object_get_ex(o, "text", &text))
			restore(&c, &base, json_object_get_string(path),
				json_object_get_string(text),
				(size_t)json_object_get_string_len(text));
	}
	drop_others(&c, &now, &base);
	rc = agent_finish(q, &c, action, 200, e);
	change_free(&c);
	blueprint_files_free(&base);
	blueprint_files_free(&now);
	return rc;
}

int
action_agent_revert(struct request *q, struct err *e)
{
	int64_t version = request_number(q, "version", 0);
	const char *id = request_text(q, "id");
	CLEANUP_FREE char *name = NULL;
	struct json_object *files = NULL;
	struct blueprint_files f;
	struct err none = {0};
	int rc;

	/* One that was removed has versions as well. */
	if (blueprint_files_find(q->m->cfg, id, false, &f, &none) == 0) {
		name = xstrdup(f.name);
		blueprint_files_free(&f);
	} else if (blueprint_name_ok(id)) {
		name = xstrdup(id);
	} else {
		return blueprint_not_found(q->m->cfg, id, e);
	}
	/* What somebody edited before becomes a version first. */
	rc = registry_sync(q->m, name, NULL, NULL, NULL, e);
	if (rc == 0)
		rc = store_version_get(q->m->store, name, strlen(name), version, on_files, &files,
				       e);
	if (rc < 0)
		return rc == -ENOENT ? rc : manager_check(q->m, rc, e);
	if (!json_object_is_type(files, json_type_array) || json_object_array_length(files) == 0)
		rc = err_set_status(
			e, 422, -EINVAL,
			"in version %lld '%s' was not there, or masked: delete or mask it instead",
			(long long)version, name);
	else
		rc = revert_to(q, name, files, e);
	json_object_put(files);
	return rc;
}
