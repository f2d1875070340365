/* SPDX-License-Identifier: MIT */
/* aoctl verify: checks files of blueprints with the parser that aod has, and needs no aod. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/unit-text.h"
#include "model/blueprint.h"

#define SUFFIX ".blueprint"
#define DROP_INS_MAX 100

struct verify {
	struct ctl *c;
	struct buf json;
	int errors, warnings, files;
};

static bool
has_suffix(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && !strcmp(s + n - m, end);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Up to and with the last slash; "" when there is none. */
static char *
dir_of(const char *path)
{
	return xstrndup(path, (size_t)(base_name(path) - path));
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads a regular file; a device is a mask, without text. Never waits for a writer of a FIFO. -ENOTSUP: it is neither. */
static int
read_text(const char *path, struct buf *text)
{
	struct err e = { 0 };
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISREG(st.st_mode))
		return file_read(path, INI_FILE_MAX, text, &e);
	return S_ISCHR(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
}

/* Reads one file into b; what is wrong with it is added to p. */
static void
add_file(struct blueprint *b, const char *path, struct blueprint_problems *p)
{
	struct buf text = BUF_INIT;
	int r = read_text(path, &text);

	if (r == -ENOTSUP)
		blueprint_problem_add(p, BP_ERROR, path, 0, 0, "is not a regular file");
	else if (r == -EFBIG)
		blueprint_problem_add(p, BP_ERROR, path, 0, 0, "the file has over %u KiB, which is the most that a blueprint's may have",
				      INI_FILE_MAX >> 10);
	else if (r < 0)
		blueprint_problem_add(p, BP_ERROR, path, 0, 0, "cannot be read: %s", strerror(-r));
	else
		blueprint_add(b, path, text.data ? text.data : "", text.len, p);
	buf_free(&text);
}

/* The drop-ins beside a main file, sorted, as aod takes them. */
static char **
find_drop_ins(const char *path, struct blueprint_problems *p)
{
	CLEANUP_FREE char *dir = xasprintf("%s.d", path);
	struct dirent *entry;
	char **v = NULL;
	size_t n = 0;
	DIR *d = opendir(dir);

	if (!d) {
		if (errno != ENOENT)
			blueprint_problem_add(p, BP_ERROR, dir, 0, 0, "cannot be read: %s", strerror(errno));
		return NULL;
	}
	while ((entry = readdir(d)) && n < DROP_INS_MAX) {
		if (entry->d_name[0] == '.' || !has_suffix(entry->d_name, ".conf"))
			continue;
		CLEANUP_FREE char *full = xasprintf("%s/%s", dir, entry->d_name);

		v = strv_add(v, full);
		n++;
	}
	if (entry)
		blueprint_problem_add(p, BP_ERROR, dir, 0, 0, "more than %d drop-ins", DROP_INS_MAX);
	closedir(d);
	if (n)
		qsort(v, n, sizeof(*v), by_name);
	return v;
}

/* A file that the blueprint names, from the directory of its own; with specifiers it cannot be known here. */
static void
check_named_file(const struct blueprint *b, enum directive_id id, struct blueprint_problems *p)
{
	const char *name = blueprint_text(b, id), *file = NULL;
	struct buf text = BUF_INIT, servers = BUF_INIT;
	bool bad = false;
	int line = 0, r;

	if (!name || strchr(name, '%'))
		return;
	CLEANUP_FREE char *dir = *name == '/' ? xstrdup("") : dir_of(blueprint_path(b));
	CLEANUP_FREE char *path = xasprintf("%s%s", dir, name);

	blueprint_origin(b, id, &file, &line);
	r = read_text(path, &text);
	if (r < 0)
		blueprint_problem_add(p, BP_WARNING, file ? file : blueprint_path(b), line, 1, "%s=: %s cannot be read: %s",
				      blueprint_directives[id].key, path, strerror(-r));
	else if (id == D_McpConfigFile)
		blueprint_mcp_json(&servers, b, text.data ? text.data : "", &bad);
	if (bad)
		blueprint_problem_add(p, BP_ERROR, file ? file : blueprint_path(b), line, 1,
				      "%s=: %s is not valid; what is expected is a JSON object {\"mcpServers\": {...}}",
				      blueprint_directives[id].key, path);
	buf_free(&text);
	buf_free(&servers);
}

static void
print_problems(struct verify *v, const struct blueprint_problems *p)
{
	struct buf out = BUF_INIT;
	int i;

	if (ctl_json(v->c)) {
		blueprint_problems_json(&out, p);
		/* The lists of all files become one: without the brackets. */
		if (out.len > 2)
			buf_printf(&v->json, "%s%.*s", v->json.len ? "," : "", (int)(out.len - 2), out.data + 1);
		buf_reset(&out);
	}
	for (i = 0; i < p->count && !ctl_json(v->c); i++)
		problem_put(&out, &look_out, p->v[i].file, p->v[i].line, p->v[i].column, p->v[i].severity == BP_WARNING, p->v[i].text);
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
	if (p->errors + p->warnings > p->count)
		print_note("%d further problems are not shown", p->errors + p->warnings - p->count);
	buf_free(&out);
	v->errors += p->errors;
	v->warnings += p->warnings;
	v->files++;
}

/* A main file, the drop-ins beside it, and those that were named after it. */
static void
verify_blueprint(struct verify *v, const char *path, const char *const *more, int count)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	size_t n = strlen(base_name(path)) - strlen(SUFFIX);
	CLEANUP_FREE char *name = xstrndup(base_name(path), n);
	struct blueprint *b = blueprint_new(name, path);
	char **drop_ins = NULL;
	size_t i;
	int k;

	if (!blueprint_name_ok(name))
		blueprint_problem_add(&p, BP_ERROR, path, 0, 0, "\"%s\" is no name for a blueprint: up to %d letters, digits, - and _, "
				      "then maybe @ with an instance", name, NAME_MAX_LEN);
	add_file(b, path, &p);
	drop_ins = find_drop_ins(path, &p);
	for (i = 0; drop_ins && drop_ins[i]; i++)
		add_file(b, drop_ins[i], &p);
	for (k = 0; k < count; k++)
		add_file(b, more[k], &p);
	check_named_file(b, D_SystemPromptFile, &p);
	check_named_file(b, D_McpConfigFile, &p);
	blueprint_lint(b, &p);
	print_problems(v, &p);
	strv_free(drop_ins);
	blueprint_problems_free(&p);
	blueprint_free(b);
}

/* Without the file that it changes only its own text can be checked. */
static void
verify_drop_in(struct verify *v, const char *path)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new("drop-in", NULL);

	add_file(b, path, &p);
	print_problems(v, &p);
	blueprint_problems_free(&p);
	blueprint_free(b);
}

/* The main file that a lone drop-in belongs to, NAME.blueprint of NAME.blueprint.d/X.conf, or NULL. */
static char *
main_file_of(const char *path)
{
	CLEANUP_FREE char *dir = dir_of(path);
	size_t n = strlen(dir);

	while (n && dir[n - 1] == '/')
		dir[--n] = 0;
	if (!has_suffix(dir, SUFFIX ".d"))
		return NULL;
	dir[n - 2] = 0;
	return access(dir, F_OK) ? NULL : xstrdup(dir);
}

int
cmd_verify(struct ctl *c)
{
	struct verify v = { .c = c };
	int i, more;

	for (i = 0; i < c->args.word_count; i += 1 + more) {
		const char *path = c->args.words[i];

		more = 0;
		if (has_suffix(base_name(path), SUFFIX)) {
			while (i + 1 + more < c->args.word_count && has_suffix(c->args.words[i + 1 + more], ".conf"))
				more++;
			verify_blueprint(&v, path, c->args.words + i + 1, more);
		} else if (has_suffix(path, ".conf")) {
			CLEANUP_FREE char *file = main_file_of(path);

			if (file)
				verify_blueprint(&v, file, NULL, 0);
			else
				verify_drop_in(&v, path);
		} else {
			struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;

			blueprint_problem_add(&p, BP_ERROR, path, 0, 0, "the name of a blueprint's file ends in " SUFFIX ", that of a drop-in in .conf");
			print_problems(&v, &p);
			blueprint_problems_free(&p);
		}
	}
	if (ctl_json(c)) {
		CLEANUP_FREE char *all = xasprintf("[%s]", v.json.len ? v.json.data : "");

		print_json(all, strlen(all));
	} else if (v.errors || v.warnings) {
		print_note("%d error%s, %d warning%s", v.errors, v.errors == 1 ? "" : "s", v.warnings, v.warnings == 1 ? "" : "s");
	}
	buf_free(&v.json);
	return v.errors || (v.warnings && ctl_has(&c->args, OPT_STRICT));
}
