/* SPDX-License-Identifier: MIT */
/* Changes to the files of blueprints. See agent-edit.h. */
#include "config.h"

#include "aod/agent-edit.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/util.h"
#include "model/unit-edit.h"

#define JSON_PRETTY                                                                                \
	(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static void
begin(struct change *c, const struct manager *m)
{
	c->m = m;
	c->w = (struct writes){.cfg = m->cfg};
	c->main_path = blueprint_etc_path(m->cfg, c->f.name);
	c->own_main = c->f.main_path && !strcmp(c->f.main_path, c->main_path);
}

int
change_begin(struct change *c, const struct manager *m, const char *name, struct err *e)
{
	int rc;

	memset(c, 0, sizeof(*c));
	rc = blueprint_files_find(m->cfg, name, true, &c->f, e);
	if (rc < 0)
		return rc;
	if (c->f.masked)
		rc = err_set_status(e, 404, -ENOENT, "Agent not found: %s (masked by %s)", name,
				    c->f.main_path);
	else
		rc = blueprint_problems_err(&c->f.problems, e);
	if (rc < 0) {
		blueprint_files_free(&c->f);
		return rc;
	}
	begin(c, m);
	return 0;
}

void
change_begin_new(struct change *c, const struct manager *m, const char *name)
{
	memset(c, 0, sizeof(*c));
	blueprint_files_begin(m->cfg, name, &c->f);
	begin(c, m);
}

void
change_free(struct change *c)
{
	blueprint_files_free(&c->f);
	writes_free(&c->w);
	free(c->main_path);
}

/* ---- files -------------------------------------------------------------------------------------
 */

void
change_file(struct change *c, enum unit_kind kind, const char *path, const char *text, size_t len)
{
	if (kind == UNIT_MAIN && c->f.main_path) {
		blueprint_files_set(&c->f, kind, c->f.main_path, NULL, 0);
		free(c->f.main_path);
		c->f.main_path = xstrdup(path);
	}
	blueprint_files_set(&c->f, kind, path, text, len);
	/* MCP servers may come with keys in them. */
	writes_text(&c->w, path, text, len,
		    kind == UNIT_SIDE && strstr(path, ".json") ? 0640 : 0644);
}

void
change_remove(struct change *c, const char *path)
{
	blueprint_files_set(&c->f, UNIT_SIDE, path, NULL, 0);
	writes_remove(&c->w, path);
}

int
change_check(struct change *c)
{
	blueprint_problems_free(&c->f.problems);
	blueprint_free(blueprint_files_parse(c->m, &c->f));
	return c->f.problems.errors;
}

int
change_commit(struct change *c, struct err *e)
{
	return writes_commit(&c->w, e);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

/* What the files before place `end` say, or all of them (-1). */
static struct blueprint *
parse_until(const struct change *c, int end)
{
	struct blueprint_problems ignored = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new(c->f.name, c->f.main_path);

	for (int i = 0; i < (end < 0 ? c->f.count : end); i++)
		if (c->f.v[i].kind != UNIT_SIDE)
			blueprint_add(b, c->f.v[i].path, c->f.v[i].text, c->f.v[i].len, &ignored);
	blueprint_problems_free(&ignored);
	return b;
}

/* Where to change a key; its place in f. A drop-in is added where none is there yet. */
static int
choose_file(struct change *c, enum directive_id id)
{
	CLEANUP_FREE char *dropin = xasprintf("%s.d/" API_DROPIN, c->main_path);
	struct blueprint *b = parse_until(c, -1);
	const char *origin, *path = c->own_main ? c->main_path : dropin;
	int line, i = 0;

	if (blueprint_origin(b, id, &origin, &line) && blueprint_in_etc(c->m->cfg, origin)) {
		/* Not in a file that other instances have, too. */
		if (!strncmp(origin, c->main_path, strlen(c->main_path)))
			path = origin;
	}
	while (i < c->f.count && strcmp(c->f.v[i].path, path))
		i++;
	if (i == c->f.count) {
		blueprint_files_set(&c->f, UNIT_DROPIN, path, "", 0);
		for (i = 0; strcmp(c->f.v[i].path, path); i++)
			;
	}
	blueprint_free(b);
	return i;
}

/* Whether the files say now what they were told: a later drop-in may say something else. */
static int
check_effect(const struct change *c, enum directive_id id, const char *path, bool set,
	     struct err *e)
{
	struct blueprint *b = parse_until(c, -1);
	const char *origin = NULL;
	int line = 0, rc = 0;

	if (blueprint_origin(b, id, &origin, &line) && (!set || strcmp(origin, path)))
		rc = err_set_status(e, 409, -EBUSY,
				    "%s= is set by %s:%d, which comes after %s: change it there",
				    blueprint_directives[id].key, origin, line, path);
	blueprint_free(b);
	return rc;
}

int
change_key(struct change *c, enum directive_id id, char *const *values, struct err *e)
{
	const struct directive *d = &blueprint_directives[id];
	int at = choose_file(c, id), rc;
	struct blueprint *before = parse_until(c, at);
	CLEANUP_FREE char *path = xstrdup(c->f.v[at].path);
	enum unit_kind kind = c->f.v[at].kind;
	struct buf text = BUF_INIT;
	char **v = NULL;

	/* What files before it say is reset first. */
	if (blueprint_is_set(before, id) && (directive_is_list(d) || !values || !values[0]))
		v = strv_add(v, "");
	for (size_t i = 0; values && values[i]; i++)
		v = strv_add(v, values[i]);
	if (!v)
		rc = unit_edit_remove(&text, c->f.v[at].text, c->f.v[at].len, d->section, d->key,
				      NULL, e);
	else
		rc = unit_edit_set(&text, c->f.v[at].text, c->f.v[at].len, d->section, d->key, v,
				   e);
	if (rc == 0 && (text.len != c->f.v[at].len ||
			memcmp(text.data ? text.data : "", c->f.v[at].text, text.len)))
		change_file(c, kind, path, text.data ? text.data : "", text.len);
	if (rc == 0)
		rc = check_effect(c, id, path, values && values[0], e);
	strv_free(v);
	buf_free(&text);
	blueprint_free(before);
	return rc;
}

int
change_text(struct change *c, enum directive_id id, const char *text, struct err *e)
{
	bool specifiers = blueprint_directives[id].flags & DF_SPECIFIERS;
	struct buf escaped = BUF_INIT, quoted = BUF_INIT;
	char *values[] = {NULL, NULL};
	int rc;

	if (text && *text) {
		if (specifiers)
			specifier_escape(&escaped, text);
		unit_quote_text(&quoted, specifiers ? escaped.data : text);
		values[0] = quoted.data;
	}
	rc = change_key(c, id, values, e);
	buf_free(&escaped);
	buf_free(&quoted);
	return rc;
}

int
change_enabled(struct change *c, bool enabled, struct err *e)
{
	struct blueprint *b = parse_until(c, -1);
	bool is = blueprint_tri(b, D_Enabled) != TRI_NO;
	char *values[] = {enabled ? "yes" : "no", NULL};

	blueprint_free(b);
	return is == enabled ? 0 : change_key(c, D_Enabled, values, e);
}

int
change_skills(struct change *c, char *const *words, struct err *e)
{
	struct buf quoted = BUF_INIT;
	char *values[] = {NULL, NULL};
	int rc;

	if (words && words[0]) {
		unit_quote_words(&quoted, words);
		values[0] = quoted.data;
	}
	rc = change_key(c, D_Skills, values, e);
	buf_free(&quoted);
	return rc;
}

/* ---- files beside ------------------------------------------------------------------------------
 */

/* NAME<suffix> beside the main file below etc. Caller frees. */
static char *
side_path(const struct change *c, const char *suffix)
{
	return xasprintf("%s/blueprints/%s%s", c->m->cfg->etc, c->f.name, suffix);
}

/* Write the file and let the key name it; text NULL: unset the key, and remove the file if it is
 * ours. */
static int
change_side(struct change *c, enum directive_id id, const char *suffix, const char *text,
	    struct err *e)
{
	CLEANUP_FREE char *path = side_path(c, suffix);

	if (!text) {
		change_remove(c, path);
		return change_text(c, id, NULL, e);
	}
	change_file(c, UNIT_SIDE, path, text, strlen(text));
	/* A relative path is meant from where the main file is. */
	return change_text(c, id, c->own_main ? strrchr(path, '/') + 1 : path, e);
}

int
change_prompt(struct change *c, const char *text, struct err *e)
{
	bool file = strchr(text, '\n') || strlen(text) > PROMPT_LINE_MAX;
	int rc = change_side(c, D_SystemPromptFile, ".system-prompt.md", file ? text : NULL, e);

	return rc < 0 ? rc : change_text(c, D_SystemPrompt, file ? NULL : text, e);
}

int
change_mcp(struct change *c, struct json_object *servers, struct err *e)
{
	struct json_object *o = json_object_new_object();
	CLEANUP_FREE char *text = NULL;
	int rc;

	json_object_object_add(o, "mcpServers", json_object_get(servers));
	if (json_object_object_length(servers) > 0)
		text = xasprintf("%s\n", json_object_to_json_string_ext(o, JSON_PRETTY));
	json_object_put(o);
	rc = change_side(c, D_McpConfigFile, ".mcp.json", text, e);
	return rc < 0 ? rc : change_key(c, D_McpServer, NULL, e);
}
