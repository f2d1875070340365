/* SPDX-License-Identifier: MIT */
/*
 * aod-demo-agent: a small agent that speaks the stream-json of `claude` on stdin and stdout, with
 * its flags and its habits, but does what its prompt says literally: a prompt is a script of
 * commands (script.c; --help prints them). For first trials, tests and benchmarks. Knows nothing of
 * aod. This file owns stdin, the conversation and its file $CLAUDE_CONFIG_DIR/demo/SESSION.json,
 * and the options.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "demo/demo.h"

#define INPUT_MAX (64u << 20) /* bytes in one line of stdin */

struct demo me = {.model = "demo-1", .permission_mode = "default", .keep = true};

/* ---- stdin
 * -----------------------------------------------------------------------------------------------
 */

/* A line of stdin that is there already, owned by the caller, or NULL. At the end what is left is one. */
static char *
line_there(void)
{
	char *nl = me.in.len ? memchr(me.in.data, '\n', me.in.len) : NULL, *line;
	size_t n = nl ? (size_t)(nl - me.in.data) : me.in.len;

	if (!nl && !(me.eof && n))
		return NULL;
	line = xstrndup(me.in.data, n);
	buf_consume(&me.in, nl ? n + 1 : n);
	return line;
}

static void
read_more(void)
{
	ssize_t got;

	if (me.in.len > INPUT_MAX) {
		fprintf(stderr, "aod-demo-agent: a line of input is over %u bytes\n", INPUT_MAX);
		exit(1);
	}
	buf_reserve(&me.in, FLUSH_AT);
	got = read(STDIN_FILENO, me.in.data + me.in.len, FLUSH_AT);
	if (got > 0)
		me.in.len += (size_t)got;
	else if (got == 0 || errno != EINTR)
		me.eof = true;
}

/* The next line of stdin, owned by the caller; NULL at the end. */
static char *
in_line(void)
{
	char *line;

	while (!(line = line_there()) && !me.eof)
		read_more();
	return line ? line : line_there();
}

const char *
get_text(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return o && json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

struct json_object *
get_object(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return o && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

/* claude ends when a line is not JSON, so that a mistake of its owner is seen. */
static struct json_object *
parse_line(const char *line)
{
	struct json_object *o = json_tokener_parse(line);

	if (!json_object_is_type(o, json_type_object)) {
		out_flush();
		fprintf(stderr, "Error parsing streaming input line: %.200s\n", line);
		exit(1);
	}
	return o;
}

/* "still_queued": the prompts that wait. */
static void
put_queued(struct buf *m)
{
	const char *comma = "";

	buf_puts(m, "\"still_queued\":[");
	for (char **l = me.waiting; l && *l; l++) {
		struct json_object *o = json_tokener_parse(*l);

		buf_puts(m, comma);
		buf_put_json_str(m, get_text(o, "uuid"));
		json_object_put(o);
		comma = ",";
	}
	buf_putc(m, ']');
}

static void
on_control_request(struct json_object *o)
{
	static const char *const known[] = {"initialize",          "interrupt",   "set_model",
					    "set_permission_mode", "end_session", NULL};
	struct buf *m = msg_begin("control_response", NULL);
	const char *sub = get_text(get_object(o, "request"), "subtype"),
		   *id = get_text(o, "request_id");
	bool ok = false;

	for (int i = 0; sub && known[i]; i++)
		ok |= strcmp(sub, known[i]) == 0;
	buf_printf(m,
		   ",\"response\":{\"subtype\":\"%s\",\"request_id\":", ok ? "success" : "error");
	buf_put_json_str(m, id);
	if (ok) {
		buf_puts(m, ",\"response\":{");
		if (strcmp(sub, "interrupt") == 0)
			put_queued(m);
		buf_puts(m, "}}");
	} else {
		buf_puts(m, ",\"error\":\"Unsupported control request "
			    "subtype\",\"error_code\":\"unsupported_request\"}");
	}
	msg_end(m);
	out_flush();
	if (ok && strcmp(sub, "interrupt") == 0)
		me.interrupted = me.in_turn;
	if (ok && strcmp(sub, "end_session") == 0)
		exit(0);
}

/* What comes during a turn: control requests are answered at once, prompts wait for its end. */
static void
on_busy_line(char *line)
{
	struct json_object *o = line[strspn(line, " \t\r")] ? parse_line(line) : NULL;
	const char *type = get_text(o, "type"), *uuid = get_text(o, "uuid");

	if (type && strcmp(type, "control_request") == 0)
		on_control_request(o);
	else if (type && strcmp(type, "control_response") == 0)
		me.answers = strv_add(me.answers, line);
	/* The same prompt once more is this turn. */
	else if (type && strcmp(type, "user") == 0 && !(uuid && me.uuid && strcmp(uuid, me.uuid) == 0)) {
		me.waiting = strv_add(me.waiting, line);
		if (uuid)
			put_lifecycle(uuid, "queued");
	}
	json_object_put(o);
	free(line);
}

void
wait_busy(int64_t ms, int fd)
{
	int64_t end = mono_us() + ms * 1000;

	out_flush();
	while (!me.interrupted) {
		struct pollfd p[2] = { { .fd = me.stream_in && !me.eof ? STDIN_FILENO : -1, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
		int64_t left = ms < 0 ? INT32_MAX : (end - mono_us() + 999) / 1000;
		char *line;

		if (ms >= 0 && left <= 0)
			return;
		if (poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left) <= 0)
			continue;
		if (p[1].revents)
			return;
		read_more();
		while ((line = line_there()))
			on_busy_line(line);
	}
}

/* The answer to a question among those that came; or NULL. */
static struct json_object *
find_answer(const char *id)
{
	for (char **l = me.answers; l && *l; l++) {
		struct json_object *o = json_tokener_parse(*l);
		const char *of = get_text(get_object(o, "response"), "request_id");

		if (of && strcmp(of, id) == 0)
			return o;
		json_object_put(o);
	}
	return NULL;
}

struct json_object *
wait_answer(const char *id)
{
	struct json_object *o;
	char *line;

	out_flush();
	while (!(o = find_answer(id)) && !me.interrupted && (line = in_line()))
		on_busy_line(line);
	return o;
}

/* ---- the conversation
 * ------------------------------------------------------------------------------------ */

static void
state_save(void)
{
	const char *text = json_object_to_json_string_ext(me.state, JSON_C_TO_STRING_PLAIN);
	struct err e = {0};

	if (me.state_path &&
	    file_write_atomic(me.state_path, text, strlen(text), 0600, false, &e) < 0)
		fprintf(stderr, "aod-demo-agent: cannot keep the conversation: %s\n", e.text);
}

static void
no_conversation(void)
{
	struct buf *m = msg_begin("result", "error_during_execution");

	buf_puts(m, ",\"is_error\":true,\"num_turns\":0,\"total_cost_usd\":0,\"usage\":{\"input_"
		    "tokens\":0,"
		    "\"output_tokens\":0},\"modelUsage\":{},\"permission_denials\":[],\"errors\":["
		    "\"No conversation found\"]");
	msg_end(m);
	out_flush();
	fprintf(stderr, "No conversation found with session ID: %s\n", me.session_id);
	exit(1);
}

/* Load the conversation, or begin it; ends the process as claude does when that cannot be. */
static void
state_open(void)
{
	const char *dir = getenv("CLAUDE_CONFIG_DIR");
	struct buf text = BUF_INIT;
	struct err e = {0};
	bool there = false;

	if (dir && *dir && me.keep) {
		CLEANUP_FREE char *sub = xasprintf("%s/demo", dir);

		if (mkdir_p(sub, 0700, &e) < 0)
			fprintf(stderr, "aod-demo-agent: %s\n", e.text);
		me.state_path = xasprintf("%s/%s.json", sub, me.session_id);
		there = file_read(me.state_path, STATE_MAX, &text, &e) == 0;
	}
	if (there && !me.resume) {
		fprintf(stderr, "Error: Session ID %s is already in use.\n", me.session_id);
		exit(1);
	}
	if (there)
		me.state = json_tokener_parse(text.data ? text.data : "");
	buf_free(&text);
	if (me.resume && !me.state)
		no_conversation();
	if (!me.state)
		me.state = json_object_new_object();
	if (!get_object(me.state, "turns"))
		json_object_object_add(me.state, "turns", json_object_new_array());
}

static struct json_object *
turn_find(const char *uuid)
{
	struct json_object *turns = get_object(me.state, "turns");

	for (size_t i = 0; uuid && i < json_object_array_length(turns); i++) {
		struct json_object *t = json_object_array_get_idx(turns, i);
		const char *u = get_text(t, "uuid");

		if (u && strcmp(u, uuid) == 0)
			return t;
	}
	return NULL;
}

/* ---- turns
 * -----------------------------------------------------------------------------------------------
 */

static void
put_interrupted(void)
{
	struct buf *m = msg_begin("user", NULL);

	buf_puts(m, ",\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"[Request interrupted by user]\"}]},"
		    "\"parent_tool_use_id\":null");
	msg_end(m);
	me.failed = true;
	free(me.fail_subtype);
	me.fail_subtype = xstrdup("error_during_execution");
	buf_reset(&me.answer);
	buf_puts(&me.answer, "interrupted");
}

static void
turn_begin(const char *uuid)
{
	json_object_object_add(me.state, "tries", json_object_new_int64(json_object_get_int64(get_object(me.state, "tries")) + 1));
	state_save();
	me.started_us = now_us();
	me.denials = json_object_new_array();
	me.messages = 0;
	me.failed = me.late_task = me.task_asks = me.interrupted = false;
	me.in_turn = true;
	me.uuid = uuid;
	me.fail_status = 0;
	me.more_input = me.more_output = 0;
	me.more_usd = 0;
	buf_reset(&me.answer);
	put_init();
	out_flush();
}

static void
run_turn(const char *prompt, const char *uuid)
{
	struct json_object *turn = turn_find(uuid);

	if (!turn) {
		turn = json_object_new_object();
		if (uuid)
			json_object_object_add(turn, "uuid", json_object_new_string(uuid));
		json_object_object_add(turn, "prompt", json_object_new_string(prompt));
		json_object_array_add(get_object(me.state, "turns"), turn);
	}
	turn_begin(uuid);
	run_script(prompt);
	if (me.interrupted)
		put_interrupted();
	json_object_object_add(turn, "answer",
			       json_object_new_string_len(me.answer.data ? me.answer.data : "",
							  (int)me.answer.len));
	put_result(me.failed && me.fail_subtype ? me.fail_subtype : "success",
		   me.answer.data ? me.answer.data : "", me.answer.len, me.failed, NULL);
	/* First what was done is kept, then it is told: a prompt whose result was seen never runs
	 * again. */
	state_save();
	out_flush();
	if (uuid && me.stream_out)
		put_lifecycle(uuid, me.failed ? "cancelled" : "completed");
	if (uuid && me.failed)
		me.failed_here = strv_add(me.failed_here, uuid);
	strv_free(me.answers);
	me.answers = NULL;
	me.in_turn = false;
	me.uuid = NULL;
	if (me.late_task) {
		if (me.task_asks)
			ask_for("Bash", "{}");
		finish_task();
		state_save();
	}
	if (!me.stream_out && !me.json_out) {
		put_bytes(me.answer.data, me.answer.len);
		put_bytes("\n", 1);
	}
	out_flush();
	me.exit_code = me.failed ? 1 : 0;
	free(me.fail_subtype);
	me.fail_subtype = NULL;
	json_object_put(me.denials);
	me.denials = NULL;
}

/* A message that was answered before is not worked on again: claude only says that it is completed, or nothing where it failed in this process. */
static void
replay(struct json_object *o, const char *uuid)
{
	for (char **u = me.failed_here; u && *u; u++)
		if (strcmp(*u, uuid) == 0)
			return;
	if (me.replay_users) {
		struct buf *m = msg_begin("user", NULL);

		buf_printf(m, ",\"message\":%s,\"parent_tool_use_id\":null,\"isReplay\":true",
			   json_object_to_json_string_ext(get_object(o, "message"),
							  JSON_C_TO_STRING_PLAIN));
		msg_end(m);
	}
	put_lifecycle(uuid, "completed");
}

static void
on_user(struct json_object *o, bool queued)
{
	struct json_object *content = get_object(get_object(o, "message"), "content"), *turn;
	const char *uuid = get_text(o, "uuid");
	struct buf text = BUF_INIT;

	if (json_object_is_type(content, json_type_string))
		buf_puts(&text, json_object_get_string(content));
	for (size_t i = 0;
	     json_object_is_type(content, json_type_array) && i < json_object_array_length(content);
	     i++) {
		const char *t = get_text(json_object_array_get_idx(content, i), "text");

		if (t)
			buf_printf(&text, "%s%s", text.len ? "\n" : "", t);
	}
	turn = turn_find(uuid);
	if (turn && get_object(turn, "answer")) {
		replay(o, uuid);
	} else {
		if (uuid && !queued)
			put_lifecycle(uuid, "queued");
		if (uuid)
			put_lifecycle(uuid, "started");
		run_turn(text.data ? text.data : "", uuid);
	}
	buf_free(&text);
}

static void
on_line(const char *line, bool queued)
{
	struct json_object *o;
	const char *type;

	if (!line[strspn(line, " \t\r")])
		return;
	o = parse_line(line);
	type = get_text(o, "type");
	if (type && strcmp(type, "user") == 0)
		on_user(o, queued);
	else if (type && strcmp(type, "control_request") == 0)
		on_control_request(o);
	json_object_put(o);
}

static void
serve(void)
{
	char *line;

	while ((line = in_line())) {
		on_line(line, false);
		free(line);
		while (me.waiting) {
			line = me.waiting[0];
			for (char **l = me.waiting; *l; l++)
				l[0] = l[1];
			if (!me.waiting[0]) {
				free(me.waiting);
				me.waiting = NULL;
			}
			on_line(line, true);
			free(line);
		}
	}
}

/* ---- start
 * -----------------------------------------------------------------------------------------------
 */

static void
usage(void)
{
	printf("Usage: aod-demo-agent [options of claude] [PROMPT]\n\n"
	       "An agent for trials and tests. It takes the options of `claude` and speaks its "
	       "stream-json, but there is no model\n"
	       "behind it: it does what the prompt says, line by line. A prompt that does not "
	       "begin with one of the commands below\n"
	       "is answered with \"You said: ...\".\n\n"
	       "  aod-demo-agent -p 'say hello'\n"
	       "  aoctl run -a demo -p 'stream 5 500'\n\n"
	       "Commands, one a line; empty lines and lines that begin with # are skipped:\n");
	print_commands();
	printf("\nOptions that do something; the others of claude are accepted and ignored:\n"
	       "  --input-format text|stream-json, --output-format text|json|stream-json\n"
	       "  --session-id ID            begin a conversation with this id\n"
	       "  --resume ID                continue one\n"
	       "  --model NAME, --permission-mode MODE, --replay-user-messages, "
	       "--no-session-persistence\n"
	       "  --help, --version\n\n"
	       "A message that comes during a turn waits for its end; an interrupt ends a turn that waits (sleep, stream, bash, wait, "
	       "ask, choose).\n"
	       "A message with a uuid that was answered before is not worked on again.\n"
	       "Each turn costs %d input tokens, %d output tokens and %.3f USD, and what `usage` adds. Conversations are "
	       "kept in\n"
	       "$CLAUDE_CONFIG_DIR/demo/ID.json; without that variable they are not kept.\n"
	       "Exit status: 0, or 1 when the last turn failed; SIGTERM 143, SIGHUP 129, SIGINT "
	       "0.\n",
	       TURN_INPUT_TOKENS, TURN_OUTPUT_TOKENS, TURN_COST_USD);
}

/* Options of claude that take a value (space-separated), and those that take every word up to the
 * next option. */
static const char one_value[] =
	" --output-format --input-format --session-id --resume -r --model --permission-mode "
	"--max-turns --setting-sources --settings "
	"--append-system-prompt --system-prompt --append-system-prompt-file --system-prompt-file "
	"--permission-prompt-tool "
	"--permission-prompts --max-budget-usd --fallback-model --effort --json-schema --agent "
	"--agents --plugin-dir --plugin-url "
	"--debug-file --name -n --autocompact --system-prompt-snapshot --managed-settings "
	"--resume-session-at ";
static const char many_values[] =
	" --allowedTools --allowed-tools --disallowedTools --disallowed-tools --tools --mcp-config "
	"--add-dir --betas --file ";
static const char no_value[] =
	" --verbose --strict-mcp-config --print -p --include-partial-messages "
	"--include-hook-events --replay-user-messages "
	"--no-session-persistence --dangerously-skip-permissions "
	"--allow-dangerously-skip-permissions --disable-slash-commands "
	"--bare --safe-mode --restricted --fork-session --continue -c --brief "
	"--exclude-dynamic-system-prompt-sections --debug -d "
	"--forward-subagent-text --ide --chrome --no-chrome ";

static bool
is_one_of(const char *list, const char *name, size_t n)
{
	CLEANUP_FREE char *key = xasprintf(" %.*s ", (int)n, name);

	return strstr(list, key) != NULL;
}

static void
set_option(const char *name, size_t n, const char *value)
{
	CLEANUP_FREE char *key = xstrndup(name, n);

	if (strcmp(key, "--output-format") == 0) {
		me.stream_out = strcmp(value, "stream-json") == 0;
		me.json_out = strcmp(value, "json") == 0;
	} else if (strcmp(key, "--input-format") == 0) {
		me.stream_in = strcmp(value, "stream-json") == 0;
	} else if (strcmp(key, "--session-id") == 0 || strcmp(key, "--resume") == 0 ||
		   strcmp(key, "-r") == 0) {
		me.resume = strcmp(key, "--session-id") != 0;
		free(me.session_id);
		me.session_id = xstrdup(value);
	} else if (strcmp(key, "--model") == 0) {
		me.model = value;
	} else if (strcmp(key, "--permission-mode") == 0) {
		me.permission_mode = value;
	} else if (strcmp(key, "--replay-user-messages") == 0) {
		me.replay_users = true;
	} else if (strcmp(key, "--no-session-persistence") == 0) {
		me.keep = false;
	}
}

static int
refuse(const char *fmt, const char *what)
{
	fprintf(stderr, fmt, what);
	fputs("\n(use --help for what there is)\n", stderr);
	return 1;
}

/* Reads the options; the prompt, when there is one, is put into *prompt. 0, or the exit status to
 * end with, negative for 0. */
static int
read_options(int argc, char **argv, const char **prompt)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *eq = strchr(a, '=');
		size_t n = eq && a[0] == '-' ? (size_t)(eq - a) : strlen(a);

		if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
			usage();
			return -1;
		}
		if (strcmp(a, "--version") == 0 || strcmp(a, "-v") == 0) {
			puts("0 (aod-demo-agent)");
			return -1;
		}
		if (a[0] != '-') {
			*prompt = a;
		} else if (is_one_of(no_value, a, n)) {
			set_option(a, n, "");
		} else if (is_one_of(one_value, a, n)) {
			if (!eq && i + 1 >= argc)
				return refuse("error: option '%s' argument missing", a);
			set_option(a, n, eq ? eq + 1 : argv[++i]);
		} else if (is_one_of(many_values, a, n)) {
			while (!eq && i + 1 < argc && argv[i + 1][0] != '-')
				i++;
		} else {
			return refuse("error: unknown option '%s'", a);
		}
	}
	return 0;
}

static void
on_signal(int sig)
{
	_exit(sig == SIGINT ? 0 : 128 + sig);
}

int
main(int argc, char **argv)
{
	const char *prompt = NULL;
	char id[ID_SIZE];
	int r = read_options(argc, argv, &prompt);

	if (r)
		return r < 0 ? 0 : r;
	if (me.stream_in && !me.stream_out)
		return refuse(
			"Error: --input-format=stream-json requires output-format=stream-json%s",
			"");
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	signal(SIGINT, on_signal);
	me.argv = argv;
	if (!me.session_id)
		me.session_id = xstrdup(id_new(id));
	if (!id_is_uuid(me.session_id))
		return refuse("Error: Invalid session ID. Must be a valid UUID: %s", me.session_id);
	state_open();
	if (me.stream_in) {
		serve();
	} else {
		struct buf all = BUF_INIT;

		if (!prompt && fd_read_all(STDIN_FILENO, INPUT_MAX, &all) < 0)
			return refuse("Error: the prompt is too long%s", "");
		if (!prompt && !all.len)
			return refuse("Error: Input must be provided either through stdin or as a "
				      "prompt argument%s",
				      "");
		run_turn(prompt ? prompt : all.data, NULL);
		buf_free(&all);
	}
	out_flush();
	return me.exit_code;
}
