/* SPDX-License-Identifier: MIT */
/* aoctl import: agents of the old directory format become blueprints. See import.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/import.h"
#include "ctl/output.h"

enum done { CREATED, UPDATED, UNCHANGED, SKIPPED, DONE_COUNT };
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

struct report {
	struct buf json;
	int counts[DONE_COUNT];
};

static void
report(struct ctl *c, struct report *rep, const char *name, const char *dir, enum done done, const char *what, const char *reason)
{
	static const enum colour colours[] = { COL_GREEN, COL_GREEN, COL_NONE, COL_YELLOW };
	const char *why = reason ? reason : what;
	struct buf line = BUF_INIT;

	rep->counts[done]++;
	if (ctl_json(c)) {
		ctl_put_member_text(&line, "name", name);
		ctl_put_member_text(&line, "directory", dir);
		ctl_put_member_text(&line, "action", done_names[done]);
		if (*why)
			ctl_put_member_text(&line, reason ? "reason" : "changed", why);
		buf_printf(&rep->json, "%s{%s}", rep->json.len ? "," : "", line.data);
	} else if (done != UNCHANGED || !ctl_quiet) {
		buf_printf(&line, "%s%-9s%s  ", colour_on(&look_out, colours[done]), done_names[done], colour_on(&look_out, COL_NONE));
		put_cut(&line, &look_out, name, strlen(name), 0);
		if (*why) {
			buf_puts(&line, ": ");
			put_cut(&line, &look_out, why, strlen(why), 0);
		}
		puts(line.data);
	}
	buf_free(&line);
}

static void
report_end(struct ctl *c, struct report *rep)
{
	const int *n = rep->counts;

	if (ctl_json(c)) {
		CLEANUP_FREE char *all = xasprintf("[%s]", rep->json.len ? rep->json.data : "");

		print_json(all, strlen(all));
	} else {
		print_note("%d created, %d updated, %d unchanged, %d skipped%s", n[CREATED], n[UPDATED], n[UNCHANGED], n[SKIPPED],
			   ctl_has(&c->args, OPT_DRY_RUN) ? " (nothing was done)" : "");
	}
	buf_free(&rep->json);
}

int
cmd_import(struct ctl *c)
{
	const char *path = c->args.words[0];
	struct report rep = { .json = BUF_INIT };
	struct err e = { 0 };
	char **names = import_list(path, &e);
	int i, code = 0;

	if (!names)
		return ctl_fail(NULL, &e);
	for (i = 0; names[i] && !code; i++) {
		CLEANUP_FREE char *dir = !strcmp(names[i], ".") ? xstrdup(path) : xasprintf("%s/%s", path, names[i]);
		struct json_object *want = import_read(dir, &e);
		struct buf what = BUF_INIT;
		enum done done = want ? import_one(c, want, &what, &e) : SKIPPED;

		/* Without a server the others fail as well. */
		if (done == SKIPPED && (e.code == -EHOSTDOWN || e.code == -EINTR))
			code = ctl_fail(NULL, &e);
		else
			report(c, &rep, want ? js_str(want, "name") : names[i], dir, done, what.len ? what.data : "",
			       done == SKIPPED ? e.text : NULL);
		json_object_put(want);
		buf_free(&what);
	}
	strv_free(names);
	report_end(c, &rep);
	return code ? code : rep.counts[SKIPPED] ? 1 : 0;
}
