/* SPDX-License-Identifier: MIT */
/* What the commands share, and those that look at a session or the server and say what they see. See command.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/command.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/event-line.h"
#include "ctl/output.h"
#include "ctl/stream.h"
#include "model/session.h"

#define STATUS_EVENTS 10
#define STATUS_CHILDREN 20

bool
ctl_json(const struct ctl *c)
{
	return ctl_has(&c->args, OPT_JSON);
}

const char *ctl_self = "aoctl";

int
ctl_fail(const char *what, const struct err *e)
{
	/* What the server says of a session does not name it. */
	if (what && e->status) {
		if (e->status == 404 && !strcmp(e->text, "Session not found"))
			print_error("%s: %s (%s list shows the sessions)", what, e->text, ctl_self);
		else
			print_error("%s: %s", what, e->text);
	} else {
		print_error("%s", e->text);
	}
	switch (e->code) {
	case -EHOSTDOWN:
		return EXIT_NO_AOD;
	case -EINTR:
		return EXIT_INTERRUPTED;
	default:
		return 1;
	}
}

int
ctl_usage(const struct err *e)
{
	print_error("%s", e->text);
	return EXIT_USAGE;
}

int
ctl_session_call(struct ctl *c, const char *method, const char *id, const char *tail, const char *body, struct err *e)
{
	CLEANUP_FREE char *path = session_path(id, tail);

	return client_call(c->client, method, path, body, 0, CLIENT_REPLY_MAX, &c->reply, e);
}

/* Those whose parent is not in the list are at the top. A list is newest first, so that from its end on each comes after its parent. */
static void
put_tree_rows(struct table *t, const struct ctl_table *l, struct json_object *list)
{
	struct json_object *rows = json_object_new_object();
	int row = 0;

	for (size_t i = json_object_array_length(list); i-- > 0; row++) {
		struct json_object *s = json_object_array_get_idx(list, i);
		const char *id = js_str(s, "session_id"), *parent = js_str(s, "parent_session_id");

		table_below(t, (int)js_int(rows, parent ? parent : "", -1));
		l->put_row(t, s);
		if (id)
			json_object_object_add(rows, id, json_object_new_int(row));
	}
	json_object_put(rows);
}

/* The rows of the page that c->reply holds, counted in *rows; *after: where the next one begins, 0: there is none. */
static int
put_page(struct ctl *c, const struct ctl_table *l, struct table *t, size_t *rows, int64_t *after, struct err *e)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *list = json_object_is_type(o, json_type_array) ? o : js_get(o, l->key);
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	int rc = 0;

	if (!json_object_is_type(list, json_type_array))
		rc = err_set(e, -EPROTO, "the server's answer has no %s in it", l->key);
	else if (l->tree)
		put_tree_rows(t, l, list);
	for (size_t i = 0; !l->tree && i < n; i++)
		l->put_row(t, json_object_array_get_idx(list, i));
	*rows += n;
	*after = list != o && js_bool(o, "more") ? js_int(o, "next_after", 0) : 0;
	json_object_put(o);
	return rc;
}

/* path: where further pages are; or NULL */
static int
print_pages(struct ctl *c, const char *path, const struct ctl_table *l)
{
	struct table *t;
	struct err e = { 0 };
	size_t rows = 0;
	int64_t after;
	int rc;

	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
		return 0;
	}
	t = table_new(l->heads, l->columns);
	rc = put_page(c, l, t, &rows, &after, &e);
	while (rc == 0 && path && after > 0) {
		CLEANUP_FREE char *next = xasprintf("%s%cafter=%" PRId64, path, strchr(path, '?') ? '&' : '?', after);

		rc = client_call(c->client, "GET", next, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e);
		if (rc == 0)
			rc = put_page(c, l, t, &rows, &after, &e);
	}
	if (rows)
		table_print_free(t);
	else
		table_free(t);
	if (rc == 0 && !rows)
		print_note("no %s", l->key);
	return rc < 0 ? ctl_fail(NULL, &e) : 0;
}

int
ctl_print_table(struct ctl *c, const struct ctl_table *l)
{
	return print_pages(c, NULL, l);
}

int
ctl_get_table(struct ctl *c, const char *what, const char *path, const struct ctl_table *l)
{
	struct err e = { 0 };

	if (client_call(c->client, "GET", path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e) < 0)
		return ctl_fail(what, &e);
	return print_pages(c, path, l);
}

bool
ctl_dir_of_agent(const char *dir)
{
	const char *id = getenv("AOD_SESSION_ID");
	CLEANUP_FREE char *part = id && *id ? xasprintf("/sessions/%s/", id) : NULL;

	return part && strstr(dir, part);
}

int
session_exit_status(struct json_object *session)
{
	const char *result = js_str(session, "result"), *adapter = js_str(session, "adapter"), *state;
	int64_t code = js_int(session, "exit_code", -1), sig = js_int(session, "signal", 0);

	if (!result) {
		/* Live, or a session that its client runs: only the state tells. */
		state = js_str(session, "state");
		return state && (!strcmp(state, "failed") || !strcmp(state, "stopped"));
	}
	if (!strcmp(result, "success"))
		return 0;
	if (!strcmp(result, "exit-code") && adapter && !strcmp(adapter, "command") && code > 0 && code < 256)
		return (int)code;
	if ((!strcmp(result, "signal") || !strcmp(result, "core-dump")) && sig > 0 && sig < 128)
		return 128 + (int)sig;
	return 1;
}

void
session_put_state(struct buf *out, struct json_object *session)
{
	const char *state = js_str(session, "state"), *result = js_str(session, "result");
	int64_t code = js_int(session, "exit_code", -1), sig = js_int(session, "signal", 0);

	if (!state)
		state = js_str(session, "status");
	buf_puts(out, state ? state : "unknown");
	if (!result)
		return;
	buf_printf(out, " (%s", result);
	if (code > 0)
		buf_printf(out, ", exit status %" PRId64, code);
	if (sig > 0)
		buf_printf(out, ", signal %" PRId64 " %s", sig, sigabbrev_np((int)sig) ? sigabbrev_np((int)sig) : "");
	buf_putc(out, ')');
}

/* ---- list ---------------------------------------------------------------------------------------------- */

/* How long it is until it is started again; "" where it is not. */
static void
put_until_restart(struct buf *out, struct json_object *s)
{
	const char *state = js_str(s, "state"), *at = js_str(s, "next_start_at");
	int64_t us;

	if (!state || strcmp(state, "auto-restart") || !at || !time_parse_iso(at, &us))
		return;
	buf_puts(out, "in ");
	put_span(out, us > now_us() ? us - now_us() : 0);
}

static void
put_session_row(struct table *t, struct json_object *s)
{
	struct json_object *usage = js_get(s, "usage");
	struct buf age = BUF_INIT, cost = BUF_INIT, runs = BUF_INIT, until = BUF_INIT;
	const char *created = js_str(s, "created_at"), *state = js_str(s, "state"), *result = js_str(s, "result");
	int64_t us;

	if (created && time_parse_iso(created, &us))
		put_age(&age, now_us() - us);
	else
		buf_putc(&age, '-');
	buf_put_int(&runs, js_int(s, "runs", 0));
	put_cost(&cost, js_double(usage, "cost_usd"));
	put_until_restart(&until, s);
	if (until.len && result)
		buf_printf(&until, ", %s", result);
	table_row(t,
		  (const char *[]){ js_str(s, "session_name"), state ? state : js_str(s, "status"), until.len ? until.data : result,
				    js_str(s, "agent_name"), age.data, runs.data, cost.data },
		  1, colour_state(state, result));
	buf_free(&age);
	buf_free(&cost);
	buf_free(&runs);
	buf_free(&until);
}

int
cmd_list(struct ctl *c)
{
	static const char *const heads[] = { "NAME", "STATE", "RESULT", "AGENT", "AGE", "RUNS", "COST" };
	const struct ctl_table table = { "sessions", heads, ARRAY_LEN(heads), put_session_row, ctl_has(&c->args, OPT_TREE) };
	const char *of = c->args.word_count ? c->args.words[0] : c->args.value[OPT_PARENT];
	struct buf query = BUF_INIT;
	struct err e = { 0 };
	int64_t limit;

	if (ctl_has(&c->args, OPT_LIVE) + ctl_has(&c->args, OPT_ENDED) + ctl_has(&c->args, OPT_STATE) > 1) {
		err_set(&e, -EINVAL, "--live, --ended and --state exclude each other");
		return ctl_usage(&e);
	}
	if (c->args.word_count && !table.tree) {
		err_set(&e, -EINVAL, "list: a SESSION goes with --tree");
		return ctl_usage(&e);
	}
	if (ctl_int(&c->args, OPT_LINES, 1, 100000, 0, &limit, &e) < 0)
		return ctl_usage(&e);
	ctl_put_query(&query, &c->args, ctl_verb(CMD_LIST));
	if (c->args.word_count)
		ctl_put_param(&query, "tree", c->args.words[0]);
	if (ctl_has(&c->args, OPT_LIVE) || ctl_has(&c->args, OPT_ENDED))
		ctl_put_param(&query, "state", ctl_has(&c->args, OPT_LIVE) ? "live" : "ended");
	CLEANUP_FREE char *path = xasprintf("/sessions%s%s", query.len ? "?" : "", query.len ? query.data : "");

	buf_free(&query);
	return ctl_get_table(c, of, path, &table);
}

/* ---- status -------------------------------------------------------------------------------------------- */

static void
put_field(struct buf *out, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	buf_printf(out, "%9s: ", name);
	put_indented(out, &look_out, value, strlen(value), 11);
	buf_putc(out, '\n');
}

/* "since Sun 2026-11-22 10:22:25 UTC; 3min ago" */
static void
put_since(struct buf *out, const char *iso)
{
	int64_t us;
	char text[64];
	struct tm tm;
	time_t t;

	if (!iso || !time_parse_iso(iso, &us))
		return;
	t = (time_t)(us / 1000000);
	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M:%S %Z", &tm);
	buf_printf(out, " since %s; ", text);
	put_age(out, now_us() - us);
	buf_puts(out, " ago");
}

static void
put_run(struct buf *out, struct json_object *s)
{
	const char *started = js_str(s, "started_at"), *ended = js_str(s, "ended_at");
	int64_t from, to;

	buf_put_int(out, js_int(s, "runs", 0));
	if (!started || !time_parse_iso(started, &from))
		return;
	to = now_us();
	if (ended)
		time_parse_iso(ended, &to);
	buf_puts(out, ended ? ", took " : ", for ");
	put_span(out, to - from);
}

static void
put_usage(struct buf *out, struct json_object *s)
{
	struct json_object *u = js_get(s, "usage");
	int64_t in = js_int(u, "input_tokens", 0), tokens_out = js_int(u, "output_tokens", 0);

	if (!in && !tokens_out && !js_int(u, "turns", 0))
		return;
	buf_printf(out, "%" PRId64 " tokens in, %" PRId64 " out, %" PRId64 " turns, ", in, tokens_out,
		   js_int(u, "turns", 0));
	put_cost(out, js_double(u, "cost_usd"));
}

/* What the word for its result means. */
static const char *
result_doc(struct json_object *s)
{
	const char *result = js_str(s, "result");
	int o = result && strcmp(result, "success") ? outcome_parse(result) : -1;

	return o < 0 ? NULL : outcome_doc((enum outcome)o);
}

static void
put_restarts(struct buf *out, struct json_object *s)
{
	int64_t n = js_int(s, "restarts", 0);

	put_until_restart(out, s);
	if (n > 0)
		buf_printf(out, "%s%" PRId64 " in a row", out->len ? "; " : "", n);
}

/* How many prompts wait, and, where nothing works on what is before them, what becomes of them. */
static void
put_waiting(struct buf *out, struct json_object *s, const char *name)
{
	int64_t n = js_int(s, "prompts_queued", 0);
	const char *state = js_str(s, "state");

	if (!n)
		return;
	buf_printf(out, "%" PRId64 " %s; `%s prompts %s` lists them", n, n == 1 ? "waits" : "wait", ctl_self, name);
	if (state && !session_state_live((enum session_state)session_state_parse(state)))
		buf_printf(out, ". The next resume begins with them: --cancel ID|all drops them");
}

static void
put_status(struct buf *out, struct json_object *s)
{
	const char *state = js_str(s, "state"), *result = js_str(s, "result"), *name = js_str(s, "session_name");
	const char *agent = js_str(s, "agent_name"), *adapter = js_str(s, "adapter"), *ended = js_str(s, "ended_at");
	const char *since = ended ? ended : js_str(s, "started_at");
	enum colour col = colour_state(state, result);
	struct buf b = BUF_INIT;

	buf_puts(out, colour_on(&look_out, col));
	buf_puts(out, look_out.utf8 ? "\xe2\x97\x8f" : "*");
	buf_puts(out, colour_on(&look_out, COL_NONE));
	buf_putc(out, ' ');
	put_cut(out, &look_out, name ? name : "?", strlen(name ? name : "?"), 0);
	buf_printf(out, " - %s\n", js_bool(s, "passive") ? "run by its client" : agent ? agent : adapter ? adapter : "agent");

	buf_printf(out, "%9s: %s", "State", colour_on(&look_out, col));
	session_put_state(out, s);
	buf_puts(out, colour_on(&look_out, COL_NONE));
	put_since(out, since ? since : js_str(s, "created_at"));
	buf_putc(out, '\n');
	if (js_int(s, "queue_position", 0)) {
		buf_printf(&b, "position %" PRId64 ": %s", js_int(s, "queue_position", 0), js_str(s, "queue_reason") ? js_str(s, "queue_reason") : "");
		put_field(out, "Queue", b.data);
		buf_reset(&b);
	}
	put_field(out, "Result", result_doc(s));
	put_field(out, "Error", js_str(s, "error"));
	put_restarts(&b, s);
	put_field(out, "Restarts", b.data);
	buf_reset(&b);
	put_waiting(&b, s, name ? name : "");
	put_field(out, "Prompts", b.data);
	buf_reset(&b);
	if (agent && adapter && strcmp(agent, adapter) != 0)
		buf_printf(&b, "%s (adapter %s)", agent, adapter);
	else
		buf_puts(&b, agent ? agent : "");
	put_field(out, "Agent", b.data);
	put_field(out, "Directory", js_str(s, "project_dir"));
	buf_reset(&b);
	put_run(&b, s);
	put_field(out, "Run", b.data);
	buf_reset(&b);
	put_usage(&b, s);
	put_field(out, "Usage", b.len ? b.data : NULL);
	put_field(out, "Id", js_str(s, "session_id"));
	buf_free(&b);
}

/* What it waits for, a line each. */
static void
put_questions(struct ctl *c, struct buf *out, const char *id)
{
	struct json_object *o, *list;
	struct err e = { 0 };

	if (ctl_session_call(c, "GET", id, "/questions", NULL, &e) < 0)
		return;
	o = js_parse(c->reply.data, c->reply.len);
	list = js_get(o, "questions");
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct buf text = BUF_INIT;

		question_text(&text, js_get(json_object_array_get_idx(list, i), "about"));
		put_field(out, "Asks", text.data);
		buf_free(&text);
	}
	json_object_put(o);
}

/* "name: state", or the id of one that is not there, or not for us to see. */
static void
put_relative(struct buf *out, struct json_object *s, const char *id)
{
	const char *name = js_str(s, "session_name");

	buf_puts(out, name ? name : id);
	if (!s)
		return;
	buf_puts(out, ": ");
	session_put_state(out, s);
}

static void
put_parent(struct ctl *c, struct buf *out, const char *id)
{
	struct json_object *s = NULL;
	struct buf b = BUF_INIT;
	struct err e = { 0 };

	if (!id)
		return;
	session_fetch(c->client, id, &c->reply, &s, &e);
	put_relative(&b, s, id);
	put_field(out, "Parent", b.data);
	json_object_put(s);
	buf_free(&b);
}

/* What the session started: the list, which the caller puts; NULL: it cannot be told. */
static struct json_object *
fetch_children(struct ctl *c, const char *id)
{
	struct buf query = BUF_INIT;
	struct json_object *o = NULL, *list;
	struct err e = { 0 };

	ctl_put_param(&query, "parent", id);
	CLEANUP_FREE char *path = xasprintf("/sessions?%s", query.data);

	buf_free(&query);
	if (client_call(c->client, "GET", path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e) == 0)
		o = js_parse(c->reply.data, c->reply.len);
	list = json_object_get(js_get(o, "sessions"));
	json_object_put(o);
	return list;
}

/* The oldest first; of many, the newest ones. */
static void
put_children(struct buf *out, struct json_object *list, const char *name)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	struct buf b = BUF_INIT;

	if (n > STATUS_CHILDREN)
		buf_printf(&b, "%zu more, see %s list --tree %s", n - STATUS_CHILDREN, ctl_self, name);
	for (size_t i = n < STATUS_CHILDREN ? n : STATUS_CHILDREN; i-- > 0;) {
		struct json_object *s = json_object_array_get_idx(list, i);

		if (b.len)
			buf_putc(&b, '\n');
		put_relative(&b, s, "");
	}
	put_field(out, "Children", b.data);
	buf_free(&b);
}

struct show_events {
	struct buf *out;
	bool json, full, any;
};

static int
show_event(const char *text, size_t n, struct json_object *ev, void *arg, struct err *e)
{
	struct show_events *s = arg;

	if (s->json) {
		if (s->any)
			buf_putc(s->out, ',');
		buf_put(s->out, text, n);
	} else {
		if (!s->any)
			buf_putc(s->out, '\n');
		event_short(s->out, &look_out, ev, s->full);
	}
	s->any = true;
	return 0;
}

int
cmd_status(struct ctl *c)
{
	struct json_object *s = NULL, *children;
	struct buf out = BUF_INIT;
	struct show_events show = { .out = &out, .json = ctl_json(c), .full = ctl_has(&c->args, OPT_FULL) };
	struct events_query q = { .id = c->args.words[0] };
	struct err e = { 0 };
	int64_t last;
	int r, code;

	if (ctl_int(&c->args, OPT_LINES, 0, INT64_MAX, STATUS_EVENTS, &last, &e) < 0)
		return ctl_usage(&e);
	r = session_fetch(c->client, q.id, &c->reply, &s, &e);
	if (r < 0) {
		code = ctl_fail(q.id, &e);
		return r == -ENOENT ? EXIT_NO_SESSION : code;
	}
	/* By id from here on: a name may be given to another session. */
	if (js_str(s, "session_id"))
		q.id = js_str(s, "session_id");
	children = fetch_children(c, q.id);
	if (show.json) {
		buf_printf(&out, "{\"session\":%s", json_object_to_json_string_ext(s, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		buf_printf(&out, ",\"children\":%s", json_object_to_json_string_ext(children, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		buf_puts(&out, ",\"events\":[");
	} else {
		put_status(&out, s);
		if (js_str(s, "state") && !strcmp(js_str(s, "state"), "waiting"))
			put_questions(c, &out, q.id);
		put_parent(c, &out, js_str(s, "parent_session_id"));
		put_children(&out, children, c->args.words[0]);
	}
	json_object_put(children);
	q.until = js_int(s, "seq", 0);
	q.after = q.until > last ? q.until - last : 0;
	r = events_read(c->client, &q, show_event, &show, &e);
	if (show.json)
		buf_puts(&out, "]}");
	if (show.json)
		print_json(out.data, out.len);
	else
		fwrite(out.data, 1, out.len, stdout);
	code = r < 0 ? ctl_fail(c->args.words[0], &e) : session_exit_status(s) ? EXIT_NOT_RUNNING : 0;
	json_object_put(s);
	buf_free(&out);
	return code;
}

/* ---- show ---------------------------------------------------------------------------------------------- */

bool
ctl_in_list(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p;

	for (p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, word, n) && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

void
ctl_put_property(struct buf *out, const char *key, const char *value)
{
	struct buf line = BUF_INIT;

	for (; *value; value++) {
		if (*value == '\n')
			buf_puts(&line, "\\n");
		else
			buf_putc(&line, *value);
	}
	buf_printf(out, "%s=", key);
	put_safe(out, &look_out, line.data ? line.data : "", line.len);
	buf_putc(out, '\n');
	buf_free(&line);
}

static void
put_properties(struct buf *out, const char *prefix, struct json_object *o, const char *only)
{
	json_object_object_foreach(o, key, v)
	{
		CLEANUP_FREE char *name = xasprintf("%s%s", prefix, key);

		if (json_object_is_type(v, json_type_object)) {
			CLEANUP_FREE char *inner = xasprintf("%s.", name);

			put_properties(out, inner, v, only);
		} else if (!only || ctl_in_list(only, name)) {
			ctl_put_property(out, name, !v ? "" : json_object_is_type(v, json_type_string) ? json_object_get_string(v) :
					 json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		}
	}
}

int
cmd_show(struct ctl *c)
{
	struct json_object *s = NULL;
	struct buf out = BUF_INIT;
	struct err e = { 0 };

	if (ctl_has(&c->args, OPT_BLUEPRINT))
		return cmd_show_blueprint(c);
	if (session_fetch(c->client, c->args.words[0], &c->reply, &s, &e) < 0)
		return ctl_fail(c->args.words[0], &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else {
		put_properties(&out, "", s, c->args.value[OPT_PROPERTY]);
		fwrite(out.data ? out.data : "", 1, out.len, stdout);
	}
	json_object_put(s);
	buf_free(&out);
	return 0;
}

/* ---- result -------------------------------------------------------------------------------------------- */

int
ctl_print_result(struct ctl *c, const char *id, struct err *e)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *text = js_get(o, "result");
	const char *s;
	size_t n;
	int r = 0;

	if (!json_object_is_type(text, json_type_string)) {
		r = err_set(e, -EPROTO, "%s: the server's answer has no result in it", id);
	} else if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else {
		s = json_object_get_string(text);
		n = (size_t)json_object_get_string_len(text);
		print_text(stdout, s, n);
		if (n && s[n - 1] != '\n')
			putchar('\n');
	}
	json_object_put(o);
	return r;
}

int
cmd_result(struct ctl *c)
{
	const char *name = c->args.words[0];
	struct err e = { 0 };
	int r = ctl_session_call(c, "GET", name, "/result", NULL, &e);

	if (r < 0 && e.status == 400) {
		print_error("%s: %s (%s wait %s waits for it)", name, e.text, ctl_self, name);
		return 1;
	}
	if (r == 0)
		r = ctl_print_result(c, name, &e);
	return r < 0 ? ctl_fail(name, &e) : 0;
}

/* ---- plan ---------------------------------------------------------------------------------------------- */

/* Any JSON as indented lines: a member each, an item each. */
static void
put_tree(struct buf *out, struct json_object *v, int indent)
{
	size_t i;

	if (json_object_is_type(v, json_type_object)) {
		json_object_object_foreach(v, key, member)
		{
			bool inner = (json_object_is_type(member, json_type_object) && json_object_object_length(member)) ||
				     (json_object_is_type(member, json_type_array) && json_object_array_length(member));

			buf_printf(out, "%*s", indent, "");
			put_cut(out, &look_out, key, strlen(key), 0);
			buf_puts(out, inner ? ":\n" : ": ");
			put_tree(out, member, indent + 2);
		}
	} else if (json_object_is_type(v, json_type_array)) {
		for (i = 0; i < json_object_array_length(v); i++) {
			struct json_object *item = json_object_array_get_idx(v, i);
			bool inner = json_object_is_type(item, json_type_object);

			buf_printf(out, inner ? "%*s-\n" : "%*s- ", indent, "");
			put_tree(out, item, indent + 2);
		}
	}
	if ((json_object_is_type(v, json_type_object) && json_object_object_length(v)) ||
	    (json_object_is_type(v, json_type_array) && json_object_array_length(v)))
		return;
	if (v && !json_object_is_type(v, json_type_object) && !json_object_is_type(v, json_type_array)) {
		const char *s = json_object_get_string(v);

		if (!*s)
			buf_puts(out, "\"\"");
		put_indented(out, &look_out, s, strlen(s), indent);
	} else {
		buf_putc(out, '-');
	}
	buf_putc(out, '\n');
}

int
cmd_plan(struct ctl *c)
{
	struct buf query = BUF_INIT, body = BUF_INIT, out = BUF_INIT;
	const char *name = c->args.word_count ? c->args.words[0] : NULL;
	bool preview = ctl_has(&c->args, OPT_AGENT) || ctl_has(&c->args, OPT_PROMPT) || c->args.rest;
	struct json_object *o;
	struct err e = { 0 };
	int64_t run;
	int r;

	if (!name == !preview) {
		err_set(&e, -EINVAL, "plan: give either the name of a session, or what to run: -a BLUEPRINT, -p TEXT, -- COMMAND");
		return ctl_usage(&e);
	}
	if (ctl_int(&c->args, OPT_RUN, 1, INT64_MAX, 0, &run, &e) < 0)
		return ctl_usage(&e);
	if (name) {
		if (run)
			ctl_put_query(&query, &c->args, ctl_verb(CMD_PLAN));
		CLEANUP_FREE char *tail = xasprintf("/plan%s%s", query.len ? "?" : "", query.len ? query.data : "");

		r = ctl_session_call(c, "GET", name, tail, NULL, &e);
	} else {
		const struct verb *v = verb_find("plan.preview");

		if (ctl_request_body(c, v, 0, &body, &e) < 0)
			return ctl_usage(&e);
		r = client_call(c->client, v->method, v->path, body.data, 0, CLIENT_REPLY_MAX, &c->reply, &e);
	}
	buf_free(&query);
	buf_free(&body);
	if (r < 0 && name && e.status == 404) {
		print_error("%s: %s (%s list shows the sessions; a blueprint's plan is that of %s plan -a %s)", name, e.text, ctl_self, ctl_self, name);
		return 1;
	}
	if (r < 0)
		return ctl_fail(name, &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
		return 0;
	}
	o = js_parse(c->reply.data, c->reply.len);
	put_tree(&out, js_get(o, "plan") ? js_get(o, "plan") : o, 0);
	fwrite(out.data, 1, out.len, stdout);
	json_object_put(o);
	buf_free(&out);
	return 0;
}
