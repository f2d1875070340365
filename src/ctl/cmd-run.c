/* SPDX-License-Identifier: MIT */
/* Commands that start, follow and end sessions. See command.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/event-line.h"
#include "ctl/output.h"
#include "ctl/stream.h"

#define PROMPT_MAX (8u << 20)

/* ---- what is asked for --------------------------------------------------------------------------------- */

static int
read_prompt(struct ctl *c, struct buf *prompt, struct err *e)
{
	int r = fd_read_all(STDIN_FILENO, PROMPT_MAX, prompt);

	if (r == -EFBIG)
		return err_set(e, -EINVAL, "the prompt on standard input is over %u MiB", PROMPT_MAX >> 20);
	if (r < 0)
		return err_errno(e, -EINVAL, "standard input: %s", strerror(-r));
	if (prompt->len && memchr(prompt->data, 0, prompt->len))
		return err_set(e, -EINVAL, "the prompt on standard input has NUL bytes in it");
	/* The newline of echo(1) is not part of what was meant. */
	if (prompt->len && prompt->data[prompt->len - 1] == '\n')
		prompt->data[--prompt->len] = 0;
	return 0;
}

/* The prompt: -p TEXT, or standard input where the command line or the lack of anything else says so. May stay unset. */
static int
find_prompt(struct ctl *c, int first_word, struct buf *prompt, struct err *e)
{
	const char **value = &c->args.value[OPT_PROMPT];
	bool dash = *value && !strcmp(*value, "-");
	int i;

	for (i = first_word; i < c->args.word_count; i++) {
		if (strcmp(c->args.words[i], "-") != 0)
			return err_set(e, -EINVAL, "unexpected argument \"%s\" (a prompt is given with -p, a command after --)",
				       c->args.words[i]);
		if (*value && !dash)
			return err_set(e, -EINVAL, "both -p and - are given; which of them is the prompt?");
		dash = true;
	}
	if (!dash && (*value || c->args.rest || isatty(STDIN_FILENO) || c->args.cmd == CMD_PLAN))
		return 0;
	if (read_prompt(c, prompt, e) < 0)
		return -EINVAL;
	*value = prompt->len ? prompt->data : NULL;
	if (dash && !*value)
		return err_set(e, -EINVAL, "the prompt on standard input is empty");
	if (*value && !c->args.row[OPT_PROMPT])
		for (const struct ctl_option *o = ctl_options; o->name; o++)
			if (o->id == OPT_PROMPT)
				c->args.row[OPT_PROMPT] = o;
	return 0;
}

static int
find_project_dir(struct ctl *c, struct buf *dir, struct err *e)
{
	const char *given = c->args.value[OPT_PROJECT_DIR];

	if (!given || *given != '/') {
		CLEANUP_FREE char *cwd = getcwd(NULL, 0);

		if (!cwd)
			return err_errno(e, -errno, "the current directory");
		buf_puts(dir, cwd);
		if (given && *given && strcmp(given, ".") != 0)
			buf_printf(dir, "%s%s", dir->data[dir->len - 1] == '/' ? "" : "/", given);
	} else {
		buf_puts(dir, given);
	}
	return 0;
}

/* The session that we are run in, where it is its aod that we talk to; aod knows it by its token, too. */
static const char *
own_session(const struct ctl *c)
{
	bool told = ctl_has(&c->args, OPT_URL) || ctl_has(&c->args, OPT_SOCKET) || ctl_has(&c->args, OPT_ROOT);
	const char *id = !told && !getenv("AOD_URL") && getenv("AOD_SOCKET") ? getenv("AOD_SESSION_ID") : NULL;

	return id && *id ? id : NULL;
}

static void
put_switch(struct buf *members, const struct ctl *c, enum ctl_opt opt, const char *field)
{
	if (ctl_has(&c->args, opt))
		buf_printf(members, "%s\"%s\":true", members->len ? "," : "", field);
}

int
ctl_request_body(struct ctl *c, const struct verb *v, int first_word, struct buf *body, struct err *e)
{
	struct buf prompt = BUF_INIT, dir = BUF_INIT, members = BUF_INIT;
	bool starts = c->args.cmd != CMD_RESUME;
	int64_t priority;
	int i, r;

	r = ctl_int(&c->args, OPT_PRIORITY, -1000, 1000, 0, &priority, e);
	if (r == 0)
		r = find_prompt(c, first_word, &prompt, e);
	if (r == 0 && c->args.value[OPT_PROMPT] && !*c->args.value[OPT_PROMPT])
		r = err_set(e, -EINVAL, "the prompt is empty");
	if (r == 0 && starts)
		r = find_project_dir(c, &dir, e);
	if (r == 0 && starts && !ctl_has(&c->args, OPT_PROMPT) && !c->args.rest && !ctl_has(&c->args, OPT_AGENT))
		r = err_set(e, -EINVAL, "nothing to do: give a prompt (-p TEXT, or on standard input) or a command (-- COMMAND)");
	if (r == 0) {
		c->args.value[OPT_PROJECT_DIR] = NULL;
		ctl_put_members(&members, &c->args, v);
		if (starts && !ctl_dir_of_agent(dir.data))
			ctl_put_member_text(&members, "project_dir", dir.data);
		put_switch(&members, c, OPT_CALLBACK, "callback");
		put_switch(&members, c, OPT_STOP_WITH_PARENT, "stop_with_parent");
		if (c->args.cmd == CMD_RUN && !ctl_has(&c->args, OPT_PARENT) && own_session(c))
			ctl_put_member_text(&members, "parent_session_name", own_session(c));
		for (i = 0; c->args.rest && c->args.rest[i]; i++) {
			buf_puts(&members, i ? "," : members.len ? ",\"command\":[" : "\"command\":[");
			buf_put_json_str(&members, c->args.rest[i]);
		}
		if (c->args.rest)
			buf_putc(&members, ']');
		if (first_word == 1 && starts)
			ctl_put_member_text(&members, "session_name", c->args.words[0]);
		buf_printf(body, "{%s}", members.data ? members.data : "");
	}
	/* It may point into what goes now. */
	if (prompt.data)
		c->args.value[OPT_PROMPT] = NULL;
	buf_free(&prompt);
	buf_free(&dir);
	buf_free(&members);
	return r;
}

/* ---- following a run ----------------------------------------------------------------------------------- */

struct live {
	bool json, full, quiet;
};

static int
on_run_event(const char *text, size_t n, struct json_object *ev, void *arg, struct err *e)
{
	struct live *live = arg;
	struct buf line = BUF_INIT;
	const char *type = js_str(ev, "event_type");

	if (live->quiet)
		return 0;
	if (live->json) {
		fwrite(text, 1, n, stdout);
		putchar('\n');
		return 0;
	}
	/* What aod and the agent agree on is of no interest to somebody who waits for an answer. */
	if (type && !strcmp(type, "control"))
		return 0;
	event_short(&line, &look_err, ev, live->full);
	fwrite(line.data, 1, line.len, stderr);
	buf_free(&line);
	return 0;
}

/* The result on stdout, where there is one. */
static int
print_result(struct ctl *c, const char *id, struct err *e)
{
	if (ctl_session_call(c, "GET", id, "/result", NULL, e) < 0)
		return e->status == 404 || e->status == 400 ? 0 : e->code;
	return ctl_print_result(c, id, e);
}

static const char *
how_ended(struct json_object *session)
{
	const char *state = js_str(session, "state");

	if (!state)
		return "ended";
	return strcmp(state, "idle") ? state : "failed in this turn";
}

static int
run_ended(struct ctl *c, const char *id, const char *name)
{
	struct json_object *s = NULL;
	struct buf state = BUF_INIT;
	struct err e = { 0 };
	const char *error;
	int code;

	if (session_fetch(c->client, id, &c->reply, &s, &e) < 0)
		return ctl_fail(name, &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	code = session_exit_status(s);
	session_put_state(&state, s);
	if (print_result(c, id, &e) < 0) {
		code = ctl_fail(name, &e);
	} else if (code) {
		error = js_str(s, "error");
		if (error)
			print_error("%s %s: %s", name, how_ended(s), error);
		else
			print_error("%s %s", name, state.data);
	}
	json_object_put(s);
	buf_free(&state);
	return code;
}

/* Everything after seq until the run has ended. */
static int
follow_run(struct ctl *c, const char *id, const char *name, int64_t after)
{
	struct live live = { ctl_json(c), ctl_has(&c->args, OPT_FULL), ctl_quiet };
	struct events_query q = { .id = id, .after = after };
	struct err e = { 0 };
	int r;

	client_catch_interrupt();
	r = events_follow(c->client, &q, on_run_event, &live, &e);
	if (r == -EINTR) {
		print_error("detached, the session goes on: %s logs -f %s follows it, %s stop %s ends it", ctl_self, name,
			    ctl_self, name);
		return EXIT_INTERRUPTED;
	}
	if (r < 0)
		return ctl_fail(name, &e);
	return run_ended(c, id, name);
}

/* c->reply holds the answer to the request that started a run. */
static int
started(struct ctl *c, int64_t after, const char *word)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *s = js_get(o, "session");
	CLEANUP_FREE char *id = xstrdup(js_str(s, "session_id"));
	CLEANUP_FREE char *name = xstrdup(js_str(s, "session_name"));
	int64_t place = js_int(o, "position", 0);

	int64_t position = js_int(o, "queue_position", 0);
	CLEANUP_FREE char *reason = xstrdup(js_str(o, "queue_reason"));

	json_object_put(o);
	if (!id || !name) {
		print_error("the server's answer has no session in it");
		return 1;
	}
	if (!ctl_has(&c->args, OPT_DETACH) && !ctl_has(&c->args, OPT_CALLBACK)) {
		if (!ctl_json(c) && position)
			print_note("session %s waits at position %" PRId64 " of the queue: %s", name, position, reason ? reason : "");
		else if (!ctl_json(c) && place)
			print_note("session %s is at work: the prompt is number %" PRId64 " of its queue", name, place);
		else if (!ctl_json(c))
			print_note("session %s %s", name, word);
		return follow_run(c, id, name, after);
	}
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		printf("%s\n", name);
	return 0;
}

/* What the server says of a session that could not be started, in words of the command line. */
static int
not_started(struct ctl *c, const char *name, struct err *e)
{
	bool prompt = ctl_has(&c->args, OPT_PROMPT);

	if (e->status == 409 && name && strstr(e->text, "already exists")) {
		print_error("%s: already exists: %s resume %s goes on with it, %s delete %s removes it", name, ctl_self,
			    name, ctl_self, name);
		return 1;
	}
	/* A request with neither is one to register a session; a session that goes on may be a command, which needs none. */
	if (e->status == 422 && !prompt && !c->args.rest &&
	    (!strcmp(e->text, "session_id: Field required") || !strcmp(e->text, "prompt: Field required"))) {
		print_error("no prompt: give one with -p TEXT or on standard input");
		return 1;
	}
	return ctl_fail(name, e);
}

int
cmd_run(struct ctl *c)
{
	const struct verb *v = ctl_verb(CMD_RUN);
	bool named = c->args.word_count && strcmp(c->args.words[0], "-") != 0;
	struct buf body = BUF_INIT;
	struct err e = { 0 };
	int r;

	if (named && !name_valid(c->args.words[0])) {
		err_set(&e, -EINVAL, "\"%s\" is no name for a session: 1 to %d letters, digits, - and _ (a prompt is given with -p, "
			"a command after --)", c->args.words[0], NAME_MAX_LEN);
		return ctl_usage(&e);
	}
	if (ctl_request_body(c, v, named, &body, &e) < 0)
		return ctl_usage(&e);
	r = client_call(c->client, v->method, v->path, body.data, 0, CLIENT_REPLY_MAX, &c->reply, &e);
	buf_free(&body);
	if (r < 0)
		return not_started(c, named ? c->args.words[0] : NULL, &e);
	return started(c, 0, "started");
}

int
cmd_resume(struct ctl *c)
{
	const char *name = c->args.words[0];
	struct json_object *s = NULL;
	struct buf body = BUF_INIT;
	struct err e = { 0 };
	int64_t seq;
	int r;

	if (ctl_request_body(c, ctl_verb(CMD_RESUME), 1, &body, &e) < 0)
		return ctl_usage(&e);
	if (ctl_has(&c->args, OPT_QUEUE)) {
		body.len--;
		buf_puts(&body, ",\"queue\":true}");
	}
	r = session_fetch(c->client, name, &c->reply, &s, &e);
	seq = js_int(s, "seq", 0);
	json_object_put(s);
	if (r == 0)
		r = ctl_session_call(c, "POST", name, "/resume", body.data, &e);
	buf_free(&body);
	return r < 0 ? not_started(c, name, &e) : started(c, seq, "resumed");
}

/* ---- stop, wait, delete -------------------------------------------------------------------------------- */

/* Waits for one session and says how it ended. Returns an exit status. */
static int
wait_for(struct ctl *c, const char *name, int64_t timeout_us, bool judge)
{
	struct json_object *s = NULL;
	struct buf state = BUF_INIT;
	struct err e = { 0 };
	int r, code;

	r = session_wait(c->client, name, timeout_us, &e);
	if (r == -ETIMEDOUT) {
		print_error("%s: %s", name, e.text);
		return EXIT_TIMED_OUT;
	}
	if (r == 0)
		r = session_fetch(c->client, name, &c->reply, &s, &e);
	if (r < 0)
		return ctl_fail(name, &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else if (!ctl_quiet) {
		session_put_state(&state, s);
		buf_putc(&state, '\n');
		printf("%s ", name);
		print_text(stdout, state.data, state.len);
		buf_free(&state);
	}
	code = judge && session_exit_status(s) ? 1 : 0;
	json_object_put(s);
	return code;
}

/* The sessions that the answer is about: those of a tree, or the one that was named. */
static char **
add_asked(struct ctl *c, char **names, const char *named)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *list = js_get(o, "sessions");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = n; i-- > 0;) {
		const char *name = js_str(json_object_array_get_idx(list, i), "session_name");

		names = strv_add(names, name ? name : "?");
	}
	json_object_put(o);
	return n ? names : strv_add(names, named);
}

int
cmd_stop(struct ctl *c)
{
	char **asked = NULL;
	struct buf body = BUF_INIT;
	struct err e = { 0 };
	int64_t timeout_us;
	int i, code = 0, worst = 0;

	if (ctl_span(&c->args, OPT_TIMEOUT, -1, &timeout_us, &e) < 0)
		return ctl_usage(&e);
	if (timeout_us > 3600LL * 1000000) {
		err_set(&e, -EINVAL, "option --timeout: at most 1h");
		return ctl_usage(&e);
	}
	buf_printf(&body, "{\"tree\":%s", ctl_has(&c->args, OPT_TREE) ? "true" : "false");
	if (timeout_us >= 0)
		buf_printf(&body, ",\"timeout_ms\":%d", (int)(timeout_us / 1000));
	buf_putc(&body, '}');
	/* All are asked first, so that they end at the same time. */
	for (i = 0; i < c->args.word_count; i++) {
		if (ctl_session_call(c, "POST", c->args.words[i], "/stop", body.data, &e) < 0) {
			worst = ctl_fail(c->args.words[i], &e);
			continue;
		}
		asked = add_asked(c, asked, c->args.words[i]);
		if (ctl_has(&c->args, OPT_NO_WAIT) && ctl_json(c))
			print_json(c->reply.data, c->reply.len);
	}
	buf_free(&body);
	client_catch_interrupt();
	for (i = 0; !ctl_has(&c->args, OPT_NO_WAIT) && asked && asked[i] && code != EXIT_INTERRUPTED; i++) {
		code = wait_for(c, asked[i], INT64_MAX, false);
		worst = code ? code : worst;
	}
	strv_free(asked);
	return worst;
}

int
cmd_wait(struct ctl *c)
{
	int64_t timeout_us, start = mono_us(), left;
	struct json_object *s = NULL;
	struct err e = { 0 };
	int i, code, worst = 0;

	if (ctl_span(&c->args, OPT_TIMEOUT, INT64_MAX, &timeout_us, &e) < 0)
		return ctl_usage(&e);
	client_catch_interrupt();
	for (i = 0; i < c->args.word_count; i++) {
		/* One that is not there, or no server, is said at once; later on lost connections are waited out. */
		if (session_fetch(c->client, c->args.words[i], &c->reply, &s, &e) < 0) {
			worst = ctl_fail(c->args.words[i], &e);
			if (worst != 1)
				return worst;
			continue;
		}
		json_object_put(s);
		left = timeout_us == INT64_MAX ? INT64_MAX : timeout_us - (mono_us() - start);
		code = wait_for(c, c->args.words[i], left > 0 ? left : 0, true);
		worst = code ? code : worst;
		if (code == EXIT_TIMED_OUT || code == EXIT_INTERRUPTED || code == EXIT_NO_AOD)
			break;
	}
	return worst;
}

static bool
confirmed(void)
{
	char answer[16];

	fputs("Stop and delete every session? [y/N] ", stderr);
	fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int
delete_all(struct ctl *c)
{
	const struct verb *v = verb_find("session.delete-all");
	struct err e = { 0 };

	if (!ctl_has(&c->args, OPT_FORCE)) {
		if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
			err_set(&e, -EINVAL, "delete --all stops and deletes every session: say -f when you mean it");
			return ctl_usage(&e);
		}
		if (!confirmed()) {
			print_error("nothing was deleted");
			return 1;
		}
	}
	if (client_call(c->client, v->method, v->path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e) < 0)
		return ctl_fail(NULL, &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		print_note("all sessions deleted");
	return 0;
}

int
cmd_delete(struct ctl *c)
{
	struct err e = { 0 };
	int i, worst = 0;

	if (ctl_has(&c->args, OPT_BLUEPRINT) && c->args.word_count && !ctl_has(&c->args, OPT_ALL))
		return cmd_delete_blueprint(c);
	if (ctl_has(&c->args, OPT_ALL) == (c->args.word_count > 0) || ctl_has(&c->args, OPT_BLUEPRINT)) {
		err_set(&e, -EINVAL, ctl_has(&c->args, OPT_BLUEPRINT) ? "delete -b: give names of blueprints" :
			"delete: give either names of sessions or --all");
		return ctl_usage(&e);
	}
	if (ctl_has(&c->args, OPT_ALL))
		return delete_all(c);
	for (i = 0; i < c->args.word_count; i++) {
		if (ctl_session_call(c, "DELETE", c->args.words[i], ctl_has(&c->args, OPT_TREE) ? "?tree=1" : "", NULL, &e) < 0)
			worst = ctl_fail(c->args.words[i], &e);
		else if (ctl_json(c))
			print_json(c->reply.data, c->reply.len);
		else
			print_note("%s deleted", c->args.words[i]);
	}
	return worst;
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static const char *const forms[] = { "short", "json", "cat", "raw" };
enum { FORM_SHORT, FORM_JSON, FORM_CAT, FORM_RAW };

struct logs {
	int form;
	bool full;
};

static int
on_log_event(const char *text, size_t n, struct json_object *ev, void *arg, struct err *e)
{
	struct logs *logs = arg;
	struct buf line = BUF_INIT;

	switch (logs->form) {
	case FORM_JSON:
		fwrite(text, 1, n, stdout);
		putchar('\n');
		return 0;
	case FORM_CAT:
		event_cat(&line, &look_out, ev);
		break;
	case FORM_RAW:
		event_raw(&line, &look_out, ev);
		break;
	default:
		event_short(&line, &look_out, ev, logs->full);
	}
	fwrite(line.data ? line.data : "", 1, line.len, stdout);
	buf_free(&line);
	return 0;
}

static int
logs_options(struct ctl *c, struct events_query *q, int64_t *last, struct logs *logs, struct err *e)
{
	const char *form = c->args.value[OPT_OUTPUT];

	if (ctl_int(&c->args, OPT_LINES, 0, INT64_MAX, INT64_MAX, last, e) < 0 ||
	    ctl_int(&c->args, OPT_AFTER, 0, INT64_MAX, 0, &q->after, e) < 0)
		return -EINVAL;
	if (!form)
		form = ctl_json(c) ? "json" : "short";
	for (logs->form = 0; logs->form < (int)ARRAY_LEN(forms); logs->form++)
		if (!strcmp(forms[logs->form], form))
			break;
	if (logs->form == (int)ARRAY_LEN(forms))
		return err_set(e, -EINVAL, "option --output: \"%s\" is none of short, json, cat, raw", form);
	logs->full = ctl_has(&c->args, OPT_FULL);
	q->raw = logs->form == FORM_RAW;
	return 0;
}

int
cmd_logs(struct ctl *c)
{
	const char *name = c->args.words[0];
	struct events_query q = { 0 };
	struct json_object *s = NULL;
	struct err e = { 0 };
	struct logs logs;
	int64_t last;
	int r;

	if (logs_options(c, &q, &last, &logs, &e) < 0)
		return ctl_usage(&e);
	r = session_fetch(c->client, name, &c->reply, &s, &e);
	if (r < 0)
		return ctl_fail(name, &e);
	q.id = js_str(s, "session_id") ? js_str(s, "session_id") : name;
	q.until = js_int(s, "seq", 0);
	/* seq has no gaps: the last N are those after seq - N. */
	if (q.until - last > q.after)
		q.after = q.until - last;
	if (ctl_has(&c->args, OPT_FOLLOW)) {
		client_catch_interrupt();
		r = events_follow(c->client, &q, on_log_event, &logs, &e);
	} else {
		r = events_read(c->client, &q, on_log_event, &logs, &e);
	}
	json_object_put(s);
	/* Ending it is how one leaves it. */
	if (r == -EINTR)
		return EXIT_INTERRUPTED;
	return r < 0 ? ctl_fail(name, &e) : 0;
}
