/* SPDX-License-Identifier: MIT */
/* ao-*: sessions and blueprints as the scripts and agents of old know them. See applet.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/applet-run.h"
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/stream.h"

#define PROMPT_MAX (8u << 20)

/* ---- what is asked for --------------------------------------------------------------------------------- */

/* 0, or 1 with the reason said. */
static int
check_name(const struct applet_call *c)
{
	const char *name = c->args.word;
	size_t n = strlen(name);

	if (!n)
		return applet_fail(c, "Session name cannot be empty");
	if (n > 60)
		return applet_fail(c, "Session name too long (max 60 characters, got %zu)", n);
	if (!name_valid(name))
		return applet_fail(c, "Session name can only contain alphanumeric characters, dashes, and underscores");
	return 0;
}

/* A request failed: what the server said, or that there is none. */
static int
refused(const struct applet_call *c, const struct err *e)
{
	if (e->status)
		return applet_fail(c, "%s", e->text);
	return applet_fail(c, "Failed to connect to session manager: %s", e->text);
}

/* -p and standard input, with a line break between them. */
static int
take_prompt(struct applet_call *c, struct buf *prompt)
{
	int r = 0;

	if (c->args.value[APT_PROMPT])
		buf_puts(prompt, c->args.value[APT_PROMPT]);
	if (!isatty(STDIN_FILENO)) {
		struct buf in = BUF_INIT;

		r = fd_read_all(STDIN_FILENO, PROMPT_MAX, &in);
		/* Standard input that was closed is none. */
		if (r == -EBADF)
			r = 0;
		if (r == 0 && in.len && prompt->len)
			buf_putc(prompt, '\n');
		if (r == 0)
			buf_put(prompt, in.data ? in.data : "", in.len);
		buf_free(&in);
	}
	if (r == -EFBIG)
		return applet_fail(c, "The prompt is over %u MiB", PROMPT_MAX >> 20);
	if (r < 0)
		return applet_fail(c, "Standard input: %s", strerror(-r));
	if (!prompt->len)
		return applet_fail(c, "No prompt provided. Use -p flag or pipe content to stdin.");
	return 0;
}

/* As absolute as it can be made; the caller frees it. */
static char *
absolute(const char *dir)
{
	char *real = realpath(dir, NULL), *cwd;

	if (real || *dir == '/')
		return real ? real : xstrdup(dir);
	cwd = getcwd(NULL, 0);
	real = xasprintf("%s/%s", cwd ? cwd : "", dir);
	free(cwd);
	return real;
}

static char *
project_dir(const struct applet_call *c)
{
	const char *dir = c->args.value[APT_PROJECT_DIR];

	if (!dir)
		dir = getenv("AGENT_ORCHESTRATOR_PROJECT_DIR");
	return absolute(dir && *dir ? dir : ".");
}

/* GET /sessions/{name}; -ENOENT: there is none. */
static int
find_session(struct applet_call *c, struct json_object **out, struct err *e)
{
	return session_fetch(c->client, c->args.word, &c->reply, out, e);
}

static const char *
or_none(struct json_object *o, const char *key)
{
	const char *v = js_str(o, key);

	/* How it was printed then, and is read. */
	return v ? v : "None";
}

static void
print_line(struct buf *line)
{
	applet_print(line->data ? line->data : "", line->len);
	buf_free(line);
}

/* ---- new, resume --------------------------------------------------------------------------------------- */

/* {"result"} of c->reply on stdout. Returns the exit status. */
static int
print_result(struct applet_call *c, const char *id)
{
	CLEANUP_FREE char *path = session_path(id, "/result");
	struct json_object *o = NULL, *text;
	struct err e = { 0 };
	int code = 0;

	if (applet_call_json(c, "GET", path, NULL, &o, &e) < 0)
		return refused(c, &e);
	text = js_get(o, "result");
	if (json_object_is_type(text, json_type_string)) {
		applet_print(json_object_get_string(text), (size_t)json_object_get_string_len(text));
		putchar('\n');
	} else {
		code = applet_fail(c, "No result found");
	}
	json_object_put(o);
	return code;
}

/* Its run has begun: wait for the end, print the result. */
static int
finish(struct applet_call *c)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *s = NULL;
	CLEANUP_FREE char *id = xstrdup(js_str(js_get(o, "session"), "session_id"));
	struct buf state = BUF_INIT;
	struct err e = { 0 };
	int code, r;

	json_object_put(o);
	if (!id)
		return applet_fail(c, "The server's answer has no session in it");
	r = session_wait(c->client, id, INT64_MAX, &e);
	if (r == 0)
		r = session_fetch(c->client, id, &c->reply, &s, &e);
	if (r < 0)
		return refused(c, &e);
	code = session_exit_status(s) ? 1 : 0;
	if (code) {
		const char *error = js_str(s, "error"), *word = js_str(s, "state");

		if (error && word)
			buf_printf(&state, "%s: %s", word, error);
		else
			session_put_state(&state, s);
		applet_fail(c, "Session '%s' %s", c->args.word, state.data);
		buf_free(&state);
	} else {
		code = print_result(c, id);
	}
	json_object_put(s);
	return code;
}

int
ao_new(struct applet_call *c)
{
	CLEANUP_FREE char *dir = project_dir(c);
	const char *agent = c->args.value[APT_AGENT], *parent = c->inside ? getenv("AOD_SESSION_ID") : NULL;
	struct buf prompt = BUF_INIT, members = BUF_INIT;
	struct json_object *s = NULL;
	struct err e = { 0 };
	int code = check_name(c), r;

	if (code)
		return code;
	r = find_session(c, &s, &e);
	json_object_put(s);
	if (r == 0)
		return applet_fail(c, "Session '%s' already exists. Use 'ao-resume' command to continue or choose a different name", c->args.word);
	/* One that is not ours to see is refused when it is made. */
	if (r != -ENOENT && e.status != 403)
		return refused(c, &e);
	code = take_prompt(c, &prompt);
	if (!code) {
		ctl_put_member_text(&members, "session_name", c->args.word);
		ctl_put_member_text(&members, "prompt", prompt.data);
		if (!ctl_dir_of_agent(dir))
			ctl_put_member_text(&members, "project_dir", dir);
		if (agent && *agent)
			ctl_put_member_text(&members, "agent_name", agent);
		if (parent && *parent)
			ctl_put_member_text(&members, "parent_session_name", parent);
		CLEANUP_FREE char *body = xasprintf("{%s}", members.data);

		e = (struct err){ 0 };
		r = client_call(c->client, "POST", "/sessions", body, 0, CLIENT_REPLY_MAX, &c->reply, &e);
		code = r < 0 ? refused(c, &e) : finish(c);
	}
	buf_free(&prompt);
	buf_free(&members);
	return code;
}

/* The session that the word names, which has to be there. Returns the exit status, with the reason said. */
static int
need_session(struct applet_call *c, struct json_object **s, const char *hint)
{
	struct err e = { 0 };
	int code = check_name(c), r;

	if (code)
		return code;
	r = find_session(c, s, &e);
	if (r == -ENOENT)
		return applet_fail(c, "Session '%s' does not exist%s", c->args.word, hint);
	return r < 0 ? refused(c, &e) : 0;
}

static void
warn_of_dir(struct applet_call *c, struct json_object *s)
{
	const char *given = c->args.value[APT_PROJECT_DIR], *is = js_str(s, "project_dir");
	CLEANUP_FREE char *dir = given ? absolute(given) : NULL;
	struct buf b = BUF_INIT;

	if (!dir || !is || !strcmp(dir, is))
		return;
	buf_printf(&b, "Warning: --project-dir override ignored. Using session metadata value: %s\n", is);
	print_text(stderr, b.data, b.len);
	buf_free(&b);
}

int
ao_resume(struct applet_call *c)
{
	struct buf prompt = BUF_INIT, members = BUF_INIT;
	struct json_object *s = NULL;
	struct err e = { 0 };
	int code = need_session(c, &s, ". Use 'ao-new' command to create it"), r;

	if (code)
		return code;
	warn_of_dir(c, s);
	code = take_prompt(c, &prompt);
	if (!code) {
		CLEANUP_FREE char *path = session_path(js_str(s, "session_id") ? js_str(s, "session_id") : c->args.word, "/resume");

		ctl_put_member_text(&members, "prompt", prompt.data);
		CLEANUP_FREE char *body = xasprintf("{%s}", members.data);

		r = client_call(c->client, "POST", path, body, 0, CLIENT_REPLY_MAX, &c->reply, &e);
		code = r < 0 ? refused(c, &e) : finish(c);
	}
	json_object_put(s);
	buf_free(&prompt);
	buf_free(&members);
	return code;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

int
ao_status(struct applet_call *c)
{
	CLEANUP_FREE char *path = NULL;
	struct json_object *o = NULL;
	const char *status;
	struct err e = { 0 };
	int code = check_name(c);

	if (code)
		return code;
	path = session_path(c->args.word, "/status");
	if (applet_call_json(c, "GET", path, NULL, &o, &e) < 0)
		return refused(c, &e);
	status = js_str(o, "status");
	if (status)
		puts(status);
	else
		code = applet_fail(c, "The server's answer has no status in it");
	json_object_put(o);
	return code;
}

int
ao_get_result(struct applet_call *c)
{
	struct json_object *s = NULL;
	const char *status;
	int code = need_session(c, &s, "");

	if (code)
		return code;
	status = js_str(s, "status");
	if (status && !strcmp(status, "running"))
		code = applet_fail(c, "Session '%s' is still running. Wait for completion or check status with ao-status.", c->args.word);
	else
		code = print_result(c, js_str(s, "session_id") ? js_str(s, "session_id") : c->args.word);
	json_object_put(s);
	return code;
}

int
ao_show_config(struct applet_call *c)
{
	struct json_object *s = NULL;
	struct buf out = BUF_INIT;
	int code = need_session(c, &s, "");

	if (code)
		return code;
	buf_printf(&out, "Configuration for session '%s':\n", c->args.word);
	buf_printf(&out, "  Session ID:      %s\n", or_none(s, "session_id"));
	buf_printf(&out, "  Project dir:     %s\n", or_none(s, "project_dir"));
	buf_printf(&out, "  Agent:           %s\n", js_str(s, "agent_name") ? js_str(s, "agent_name") : "none");
	buf_printf(&out, "  Created:         %s\n", or_none(s, "created_at"));
	buf_printf(&out, "  Last resumed:    %s\n", or_none(s, "last_resumed_at"));
	print_line(&out);
	json_object_put(s);
	return 0;
}

/* All sessions, newest first, as an array that the caller puts with *whole. NULL with the reason said. */
static struct json_object *
fetch_sessions(struct applet_call *c, struct json_object **whole)
{
	struct json_object *list;
	struct err e = { 0 };

	*whole = NULL;
	if (applet_call_json(c, "GET", "/sessions", NULL, whole, &e) < 0) {
		refused(c, &e);
		return NULL;
	}
	list = js_get(*whole, "sessions");
	if (json_object_is_type(list, json_type_array))
		return list;
	applet_fail(c, "The server's answer has no sessions in it");
	return NULL;
}

int
ao_list_sessions(struct applet_call *c)
{
	struct json_object *whole, *list = fetch_sessions(c, &whole);
	struct buf out = BUF_INIT;
	size_t i, n = list ? json_object_array_length(list) : 0;

	for (i = 0; i < n; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);

		buf_printf(&out, "%s (session-id: %s, project-dir: %s)\n", or_none(s, "session_name"), or_none(s, "session_id"),
			   or_none(s, "project_dir"));
	}
	if (list && !n)
		buf_puts(&out, "No sessions found\n");
	print_line(&out);
	json_object_put(whole);
	return list ? 0 : 1;
}

int
ao_clean(struct applet_call *c)
{
	struct json_object *whole, *list = fetch_sessions(c, &whole);
	size_t i, n = list ? json_object_array_length(list) : 0, gone = 0;
	int code = list ? 0 : 1;

	for (i = 0; i < n && !code; i++) {
		const char *id = or_none(json_object_array_get_idx(list, i), "session_id"), *own = c->inside ? getenv("AOD_SESSION_ID") : NULL;
		CLEANUP_FREE char *path = session_path(id, "");
		struct err e = { 0 };
		int r;

		/* An agent that is told to clean up does not mean itself. */
		if (own && !strcmp(own, id))
			continue;
		r = client_call(c->client, "DELETE", path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e);
		/* Another one may delete at the same time. */
		if (r < 0 && r != -ENOENT)
			code = refused(c, &e);
		gone += r == 0;
	}
	json_object_put(whole);
	if (code)
		return code;
	if (!gone)
		puts("No sessions to remove");
	else if (c->args.later)
		printf("Removed %zu session(s)\n", gone);
	else
		puts("All sessions removed");
	return 0;
}

/* ---- blueprints ---------------------------------------------------------------------------------------- */

/* Whether a blueprint has a tag: n bytes of word. */
static bool
has_tag(struct json_object *agent, const char *word, size_t n)
{
	struct json_object *tags = js_get(agent, "tags");
	size_t i, count = json_object_is_type(tags, json_type_array) ? json_object_array_length(tags) : 0;

	for (i = 0; i < count; i++) {
		const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));

		if (tag && strlen(tag) == n && !memcmp(tag, word, n))
			return true;
	}
	return false;
}

/* All of a list with commas; what is empty in it asks for nothing. */
static bool
has_tags(struct json_object *agent, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ","), from = 0, to = n;

		while (from < to && isspace((unsigned char)list[from]))
			from++;
		while (to > from && isspace((unsigned char)list[to - 1]))
			to--;
		if (to > from && !has_tag(agent, list + from, to - from))
			return false;
		list += n + (list[n] == ',');
	}
	return true;
}

int
ao_list_agents(struct applet_call *c)
{
	struct json_object *list = NULL;
	struct buf out = BUF_INIT;
	struct err e = { 0 };
	size_t i;

	if (applet_call_json(c, "GET", "/agents", NULL, &list, &e) < 0)
		return applet_fail(c, "%s", e.text);
	if (!json_object_is_type(list, json_type_array)) {
		json_object_put(list);
		return applet_fail(c, "The server's answer has no agents in it");
	}
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *agent = json_object_array_get_idx(list, i);
		const char *status = js_str(agent, "status"), *description = js_str(agent, "description");

		if ((status && strcmp(status, "active") != 0) || !has_tags(agent, c->args.value[APT_TAGS]))
			continue;
		buf_printf(&out, "%s%s:\n%s\n\n", out.len ? "---\n\n" : "", js_str(agent, "name") ? js_str(agent, "name") : "unknown",
			   description ? description : "");
	}
	if (!out.len)
		buf_puts(&out, c->args.later ? "No agent blueprints found\n" : "No agent definitions found\n");
	print_line(&out);
	json_object_put(list);
	return 0;
}
