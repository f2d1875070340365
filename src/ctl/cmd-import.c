/* SPDX-License-Identifier: MIT */
/* aoctl import: what an older installation had. Agents of its directory format become blueprints (import.h); databases are cmd-import-old.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/cmd-import.h"
#include "ctl/import.h"
#include "ctl/output.h"

static const char *const done_names[] = { "created", "updated", "unchanged", "skipped" };

static int
send(struct ctl *c, const char *method, const char *name, const char *tail, struct json_object *body, struct err *e)
{
	const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	/* One that is new has no path yet. */
	if (!name)
		return client_call(c->client, method, "/agents", text, 0, CLIENT_REPLY_MAX, &c->reply, e);
	return ctl_blueprint_call(c, method, name, tail, text, e);
}

static int
send_status(struct ctl *c, const char *name, const char *status, struct err *e)
{
	struct json_object *body = json_object_new_object();
	int r;

	json_object_object_add(body, "status", json_object_new_string(status));
	r = send(c, "PATCH", name, "/status", body, e);
	json_object_put(body);
	return r;
}

static int
create(struct ctl *c, struct json_object *want, struct err *e)
{
	const char *status = js_str(want, "status"), *name = js_str(want, "name");
	int r = send(c, "POST", NULL, NULL, want, e);

	/* A new one is active whatever was sent. */
	if (r == 0 && strcmp(status, "active") != 0)
		r = send_status(c, name, status, e);
	return r;
}

static int
update(struct ctl *c, struct json_object *want, struct json_object *have, bool dry, struct buf *what, struct err *e)
{
	const char *name = js_str(want, "name"), *status;
	struct json_object *patch;
	int r = 0;

	import_compare(want, have, &patch, &status, what);
	if (patch && !dry)
		r = send(c, "PATCH", name, "", patch, e);
	if (status && !dry && r == 0)
		r = send_status(c, name, status, e);
	json_object_put(patch);
	return r;
}

/* One agent's directory. SKIPPED with the reason in e, and in *fatal whether no other one can go better. */
static enum done
import_one(struct ctl *c, struct json_object *want, struct buf *what, struct err *e)
{
	bool dry = ctl_has(&c->args, OPT_DRY_RUN);
	struct json_object *have = NULL;
	int r = ctl_blueprint_call(c, "GET", js_str(want, "name"), "", NULL, e);

	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return dry || create(c, want, e) == 0 ? CREATED : SKIPPED;
	}
	if (r == 0)
		r = ctl_reply(c, &have, e);
	if (r == 0)
		r = update(c, want, have, dry, what, e);
	json_object_put(have);
	return r < 0 ? SKIPPED : what->len ? UPDATED : UNCHANGED;
}

void
import_report(struct report *rep, const char *name, const char *from, enum done done, const char *what, const char *reason)
{
	static const enum colour colours[] = { COL_GREEN, COL_GREEN, COL_NONE, COL_YELLOW };
	const char *why = reason ? reason : what;
	struct buf line = BUF_INIT;

	rep->counts[done]++;
	if (ctl_json(rep->c)) {
		ctl_put_member_text(&line, "kind", rep->kind);
		ctl_put_member_text(&line, "name", name);
		ctl_put_member_text(&line, !strcmp(rep->kind, "agent") ? "directory" : "database", from);
		ctl_put_member_text(&line, "action", done_names[done]);
		if (*why)
			ctl_put_member_text(&line, reason ? "reason" : done == CREATED ? "content" : "changed", why);
		buf_printf(&rep->json, "%s{%s}", rep->json.len ? "," : "", line.data);
	} else if ((done != UNCHANGED && done != CREATED) || !ctl_quiet) {
		buf_printf(&line, "%s%-9s%s  ", colour_on(&look_out, colours[done]), done_names[done], colour_on(&look_out, COL_NONE));
		if (strcmp(rep->kind, "agent") != 0)
			buf_printf(&line, "%s ", rep->kind);
		put_cut(&line, &look_out, name, strlen(name), 0);
		if (*why) {
			buf_puts(&line, ": ");
			put_cut(&line, &look_out, why, strlen(why), 0);
		}
		puts(line.data);
	}
	buf_free(&line);
}

void
import_sum(struct report *rep)
{
	int *n = rep->counts;

	if (!ctl_json(rep->c))
		print_note("%ss: %d created, %d updated, %d unchanged, %d skipped%s", rep->kind, n[CREATED], n[UPDATED], n[UNCHANGED], n[SKIPPED],
			   ctl_has(&rep->c->args, OPT_DRY_RUN) ? " (nothing was done)" : "");
	memset(n, 0, sizeof(rep->counts));
}

/* ---- agents -------------------------------------------------------------------------------------------- */

/* A directory of agents. 0, or -errno when no further one can go better. */
static int
import_agents(struct report *rep, const char *path, struct err *e)
{
	struct ctl *c = rep->c;
	char **names = import_list(path, e);
	int i, r = 0;

	if (!names)
		return e->code;
	rep->kind = "agent";
	for (i = 0; names[i] && r == 0; i++) {
		CLEANUP_FREE char *dir = !strcmp(names[i], ".") ? xstrdup(path) : xasprintf("%s/%s", path, names[i]);
		struct json_object *want = import_read(dir, e);
		struct buf what = BUF_INIT;
		enum done done = want ? import_one(c, want, &what, e) : SKIPPED;

		/* Without a server the others fail as well. */
		if (done == SKIPPED && (e->code == -EHOSTDOWN || e->code == -EINTR))
			r = e->code;
		else
			import_report(rep, want ? js_str(want, "name") : names[i], dir, done, what.len ? what.data : "", done == SKIPPED ? e->text : NULL);
		json_object_put(want);
		buf_free(&what);
	}
	strv_free(names);
	return r;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

struct work {
	struct report rep;
	bool skipped;
};

/* One source. Returns 0, or an exit status that ends it. */
static int
import_source(struct work *w, const char *path, bool agents)
{
	struct report *rep = &w->rep;
	struct err e = { 0 };
	int r = agents ? import_agents(rep, path, &e) : import_database(rep, path, rep->c->args.value[OPT_FILES], &e);

	w->skipped = w->skipped || rep->counts[SKIPPED];
	if (rep->kind)
		import_sum(rep);
	rep->kind = NULL;
	return r < 0 ? ctl_fail(NULL, &e) : 0;
}

/* The first of the places below dir where one is. The caller frees it. */
static char *
find_in(const char *dir, const char *const *places)
{
	for (; *places; places++) {
		char *path = xasprintf("%s/%s", dir, *places);

		if (!access(path, F_OK))
			return path;
		free(path);
	}
	return NULL;
}

/* What an old installation has below a directory; a directory that has nothing of that kind is one of agents. */
static int
import_dir(struct work *w, const char *dir)
{
	static const char *const agents[] = { "agents", ".agent-orchestrator/agents", NULL };
	static const char *const sessions[] = { "observability.db", ".agent-orchestrator/observability.db", NULL };
	static const char *const documents[] = { "documents.db", "document-data/documents.db", ".agent-orchestrator/documents.db", NULL };
	CLEANUP_FREE char *own = xasprintf("%s/agent.json", dir), *a = find_in(dir, agents), *s = find_in(dir, sessions), *d = find_in(dir, documents);
	int code = 0;

	if (!access(own, F_OK) || (!a && !s && !d))
		return import_source(w, dir, true);
	if (a)
		code = import_source(w, a, true);
	if (!code && s)
		code = import_source(w, s, false);
	if (!code && d)
		code = import_source(w, d, false);
	return code;
}

int
cmd_import(struct ctl *c)
{
	struct work w = { .rep = { .c = c } };
	int i, code = 0;

	for (i = 0; i < c->args.word_count && !code; i++) {
		struct stat st;

		if (!stat(c->args.words[i], &st) && S_ISREG(st.st_mode))
			code = import_source(&w, c->args.words[i], false);
		else
			code = import_dir(&w, c->args.words[i]);
	}
	if (ctl_json(c) && !(code && !w.rep.json.len)) {
		CLEANUP_FREE char *all = xasprintf("[%s]", w.rep.json.len ? w.rep.json.data : "");

		print_json(all, strlen(all));
	}
	buf_free(&w.rep.json);
	return code ? code : w.skipped ? 1 : 0;
}
