/* SPDX-License-Identifier: MIT */
/*
 * The claude adapter: Claude Code's stream-json over stdin and stdout, one JSON object a line.
 * Messages and keys that are not known are kept (raw) and have no effect, so that newer versions of
 * the program go on working. Nothing here trusts a type, a length or a depth.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "adapter/claude.h"
#include "base/util.h"

#define LINE_MAX_BYTES (16u << 20)
#define ERROR_TEXT_MAX 400 /* bytes of a one-line error */

#define INTERRUPT_ID "aod-interrupt"
#define TOO_MUCH "More is asked than can be kept. Go on without it."

/* A line being read. */
struct line {
	struct claude *st;
	struct adapter_out *out;
	int64_t time_us;
	struct json_object *o;
};

/* Working memory of one call, shared by all sessions: the supervisor has one thread. */
static struct buf scratch;

/* ---- events ---- */

static struct event *
emit(struct line *l, const char *type)
{
	struct event *ev = adapter_event(l->out, type, l->time_us);
	size_t n;
	const char *parent = jv_text(jv_get(l->o, "parent_tool_use_id"), &n);

	if (parent)
		event_extra_text(ev, "parent_tool_use_id", parent, n);
	return ev;
}

static void
on_tool_use(struct line *l, struct json_object *block)
{
	struct event *ev = emit(l, "pre_tool");
	const char *id = jv_word(block, "id"), *name = jv_word(block, "name");
	struct json_object *input = jv_get(block, "input");

	event_put_text(ev, KEY_TOOL_NAME, name, strlen(name));
	buf_reset(&scratch);
	if (json_object_is_type(input, json_type_object)) {
		jv_write(&scratch, input);
		event_put_json(ev, KEY_TOOL_INPUT, scratch.data, scratch.len);
	}
	event_extra_text(ev, "tool_use_id", id, strlen(id));
	if (*id) {
		open_add(l->st, id, name, scratch.len > 0 ? scratch.data : NULL, scratch.len,
			 l->time_us);
		l->out->dirty = true;
	}
}

static void
take_back(struct line *l, int ask)
{
	l->out->asks_gone = strv_add(l->out->asks_gone, l->st->asks[ask].id);
	claude_ask_drop(l->st, ask);
	l->out->dirty = true;
}

static void
on_tool_result(struct line *l, struct json_object *block)
{
	struct event *ev = emit(l, "post_tool");
	const char *id = jv_word(block, "tool_use_id");
	struct json_object *content = jv_get(block, "content");
	int i = open_find(l->st, id);

	if (i >= 0) {
		const struct open_tool *t = &l->st->open[i];

		event_put_text(ev, KEY_TOOL_NAME, t->name, strlen(t->name));
		if (t->input)
			event_put_json(ev, KEY_TOOL_INPUT, t->input, t->input_len);
		open_drop(l->st, i);
		l->out->dirty = true;
	}
	/* It was settled without us. */
	for (int k = l->st->ask_count - 1; k >= 0; k--)
		if (*id && strcmp(l->st->asks[k].tool_use_id, id) == 0)
			take_back(l, k);
	if (content)
		jv_put_key(ev, KEY_TOOL_OUTPUT, content);
	if (jv_true(block, "is_error")) {
		buf_reset(&scratch);
		jv_content(&scratch, content, "\n");
		if (scratch.len > 0)
			event_put_text(ev, KEY_ERROR, scratch.data, scratch.len);
		else
			event_put_text(ev, KEY_ERROR, "error", 5);
	}
	event_extra_text(ev, "tool_use_id", id, strlen(id));
}

/* ---- messages ---- */

static void
on_unknown(struct line *l, const char *type, const char *subtype)
{
	struct event *ev = emit(l, "unknown");

	if (*type)
		event_extra_text(ev, "type", type, strlen(type));
	if (*subtype)
		event_extra_text(ev, "subtype", subtype, strlen(subtype));
}

static void
on_assistant_text(struct line *l, struct json_object *message, const char *s, size_t n)
{
	struct event *ev = emit(l, "message");
	size_t id_len;
	const char *id = jv_text(jv_get(message, "id"), &id_len);

	event_put_text(ev, KEY_ROLE, "assistant", 9);
	event_put_content_text(ev, s, n);
	if (id)
		event_extra_text(ev, "message_id", id, id_len);
	/* The program's own words about a failed call of the API. */
	jv_put_members(ev, l->o, "error api_error_status");
}

static void
on_thinking(struct line *l, struct json_object *block)
{
	struct event *ev = emit(l, "thinking");
	size_t n;
	const char *s = jv_text(jv_get(block, "thinking"), &n);

	if (s)
		event_extra_text(ev, "text", s, n);
	else
		event_extra_json(ev, "redacted", "true", 4);
}

static void
on_assistant(struct line *l)
{
	struct json_object *message = jv_get(l->o, "message"),
			   *content = jv_get(message, "content");
	size_t n, blocks = jv_len(content);
	const char *s = jv_text(content, &n);

	if (jv_get(message, "usage")) {
		usage_message(l->st, jv_word(message, "id"), jv_get(message, "usage"), !jv_get(l->o, "parent_tool_use_id"));
		l->out->dirty = true;
	}
	if (s)
		on_assistant_text(l, message, s, n);
	for (size_t i = 0; i < blocks; i++) {
		struct json_object *block = json_object_array_get_idx(content, i);
		const char *type = jv_word(block, "type");

		s = jv_text(jv_get(block, "text"), &n);
		if (strcmp(type, "text") == 0 && s)
			on_assistant_text(l, message, s, n);
		else if (strcmp(type, "thinking") == 0 || strcmp(type, "redacted_thinking") == 0)
			on_thinking(l, block);
		else if (strcmp(type, "tool_use") == 0 || strcmp(type, "server_tool_use") == 0 ||
			 strcmp(type, "mcp_tool_use") == 0)
			on_tool_use(l, block);
		else if (jv_text(jv_get(block, "tool_use_id"), &n))
			on_tool_result(l, block);
		else
			on_unknown(l, "assistant", type);
	}
}

/* Text in a user message: what the program put there itself, or a prompt that it shows again. */
static void
on_user_text(struct line *l, const char *s, size_t n)
{
	struct event *ev;

	if (jv_true(l->o, "isReplay")) {
		ev = emit(l, "notice");
		event_extra_text(ev, "subtype", "replay", 6);
		event_extra_text(ev, "text", s, n);
		return;
	}
	ev = emit(l, "message");
	event_put_text(ev, KEY_ROLE, "user", 4);
	event_put_content_text(ev, s, n);
	event_extra_json(ev, "synthetic", "true", 4);
}

static void
on_user(struct line *l)
{
	struct json_object *content = jv_get(jv_get(l->o, "message"), "content");
	size_t n, blocks = jv_len(content);
	const char *s = jv_text(content, &n);

	if (s)
		on_user_text(l, s, n);
	for (size_t i = 0; i < blocks; i++) {
		struct json_object *block = json_object_array_get_idx(content, i);
		const char *type = jv_word(block, "type");

		s = jv_text(jv_get(block, "text"), &n);
		if (strcmp(type, "tool_result") == 0)
			on_tool_result(l, block);
		else if (strcmp(type, "text") == 0 && s)
			on_user_text(l, s, n);
		else
			on_unknown(l, "user", type);
	}
}

/* ---- result ---- */

#define LIMIT_TEXT "usage limit reached"
#define SECONDS_MAX 100000000000 /* later ones are milliseconds, */
#define MS_MAX 100000000000000	 /* and still later ones are no times */

static const struct {
	int64_t status;
	enum outcome outcome;
} status_outcomes[] = {
	{401, OUTCOME_AUTH},         {403, OUTCOME_AUTH},       {402, OUTCOME_BILLING},
	{429, OUTCOME_RATE_LIMITED}, {529, OUTCOME_OVERLOADED}, {503, OUTCOME_OVERLOADED},
};

static const struct {
	const char *key, *value;
	enum outcome outcome;
} word_outcomes[] = {
	{"subtype", "error_max_turns", OUTCOME_MAX_TURNS},
	{"subtype", "error_max_budget_usd", OUTCOME_BUDGET},
	{"terminal_reason", "max_turns", OUTCOME_MAX_TURNS},
	{"terminal_reason", "budget_exhausted", OUTCOME_BUDGET},
	{"stop_reason", "refusal", OUTCOME_REFUSED},
};

/* "API Error: 529 …", as older versions say it, or "…(429)…"; 0: neither. */
static int64_t
status_in(const char *text)
{
	const char *said = strstr(text, "API Error: "), *open = said ? strchr(said, '(') : NULL;
	int64_t status = said ? atoi(said + strlen("API Error: ")) : 0;

	return status == 0 && open ? atoi(open + 1) : status;
}

static enum outcome
error_outcome(const struct claude *st, struct json_object *o, const char *text)
{
	int64_t status = jv_count(o, "api_error_status");

	if (st->interrupted && str_starts(jv_word(o, "terminal_reason"), "aborted_"))
		return OUTCOME_CANCELLED;
	for (size_t i = 0; i < ARRAY_LEN(word_outcomes); i++)
		if (strcmp(jv_word(o, word_outcomes[i].key), word_outcomes[i].value) == 0)
			return word_outcomes[i].outcome;
	if (strcasestr(text, "credit balance"))
		return OUTCOME_BILLING;
	if (strcasestr(text, "not logged in"))
		return OUTCOME_AUTH;
	if (strcasestr(text, LIMIT_TEXT))
		return OUTCOME_RATE_LIMITED;
	if (status == 0)
		status = status_in(text);
	for (size_t i = 0; i < ARRAY_LEN(status_outcomes); i++)
		if (status_outcomes[i].status == status)
			return status_outcomes[i].outcome;
	return st->limited ? OUTCOME_RATE_LIMITED : OUTCOME_AGENT_ERROR;
}

/* A time in seconds, or in milliseconds, since 1970; what can be neither is 0. */
static int64_t
epoch_us(int64_t t)
{
	if (t <= 0 || t > MS_MAX)
		return 0;
	return t >= SECONDS_MAX ? t * 1000 : t * 1000000;
}

/* When trying again makes sense: "…usage limit reached|EPOCH", what a rate_limit_event said, or as long as it waited itself. */
static int64_t
retry_time(const struct claude *st, const char *text, int64_t now)
{
	const char *said = strcasestr(text, LIMIT_TEXT "|");
	int64_t t = said ? epoch_us(strtoll(said + strlen(LIMIT_TEXT "|"), NULL, 10)) : 0;

	if (t)
		return t;
	if (st->limit_us)
		return st->limit_us;
	return st->delay_us ? count_add(now, st->delay_us) : 0;
}

/* One that was killed early may not have written down what it was asked. */
static bool
no_conversation(const struct claude *st)
{
	return st->error && str_starts(st->error, "No conversation found with session ID");
}

/* How the latest turn ended: for the end of the run, and told now. error is taken. */
static void
end_turn(struct line *l, enum outcome outcome, const char *result, size_t n, char *error, int64_t retry_us)
{
	struct claude *st = l->st;
	struct turn_end *turn = &l->out->turn;

	free(st->result);
	free(st->error);
	st->answered = true;
	st->interrupted = false;
	st->outcome = outcome;
	st->result = result ? xstrndup(result, n) : NULL;
	st->error = error;
	st->retry_us = retry_us;
	free(turn->result);
	free(turn->error);
	*turn = (struct turn_end){ outcome, xstrdup(st->result), xstrdup(error), retry_us, no_conversation(st) };
	l->out->turn_done = true;
	l->out->dirty = true;
}

static void
take_answer(struct line *l)
{
	const char *subtype = jv_word(l->o, "subtype");
	size_t n;
	const char *s = jv_text(jv_get(l->o, "result"), &n);
	enum outcome outcome;

	/* is_error decides whatever the subtype says: a failed call of the API has subtype success. */
	if (!jv_true(l->o, "is_error") && !str_starts(subtype, "error")) {
		end_turn(l, OUTCOME_SUCCESS, s, n, NULL, 0);
		return;
	}
	buf_reset(&scratch);
	buf_puts(&scratch, "");
	jv_content(&scratch, jv_get(l->o, s ? "result" : "errors"), "; ");
	outcome = error_outcome(l->st, l->o, scratch.data);
	end_turn(l, outcome, NULL, 0,
		 scratch.len > 0 ? first_line(scratch.data, scratch.len, ERROR_TEXT_MAX) :
				   xasprintf("the agent failed: %.100s", *subtype ? subtype : "no reason given"),
		 outcome == OUTCOME_RATE_LIMITED ? retry_time(l->st, scratch.data, l->time_us) : 0);
}

static void
on_result(struct line *l)
{
	jv_put_members(emit(l, "result"), l->o,
		       "subtype is_error num_turns duration_ms duration_api_ms usage "
		       "total_cost_usd result errors "
		       "permission_denials terminal_reason api_error_status stop_reason origin");
	if (jv_true(l->o, "isReplay"))
		return;
	usage_result(l->st, l->o);
	/* A turn that nobody asked for, such as the one after a background task, is not the answer. */
	if (!jv_get(l->o, "origin")) {
		take_answer(l);
		prompts_answered(l->st, jv_get(l->o, "user_message_uuids"));
	}
	l->out->dirty = true;
}

/* ---- system and control ---- */

static void
on_init(struct line *l)
{
	struct event *ev = emit(l, "init");
	struct json_object *tools = jv_get(l->o, "tools"), *id = jv_get(l->o, "session_id");

	/* It comes at the beginning of every turn. */
	l->st->limited = false;
	l->st->limit_us = l->st->delay_us = 0;
	if (id)
		jv_put_extra(ev, "agent_session_id", id);
	jv_put_members(
		ev, l->o,
		"model cwd claude_code_version permissionMode apiKeySource tools mcp_servers "
		"plugin_errors");
	if (json_object_is_type(tools, json_type_array))
		event_extra_int(ev, "tools_count", (int64_t)json_object_array_length(tools));
}

/* Subtypes of system messages. A name that ends with * stands for all that begin so. */
static const struct {
	const char *subtype, *type, *members;
} system_kinds[] = {
	{"api_retry", "api_retry", "attempt max_retries retry_delay_ms error_status error"},
	{"permission_denied", "permission_denied", "tool_name tool_use_id message"},
	{"task_*", "task",
	 "subtype task_id run_id tool_use_id task_type description is_backgrounded patch status "
	 "summary usage output_file"},
	{"background_tasks_changed", "task", "subtype tasks"},
	{"status", "status", "status permissionMode"},
	{"thinking_tokens", "thinking", "estimated_tokens estimated_tokens_delta"},
	{"hook_*", "notice", "subtype hook_name hook_event outcome output exit_code"},
	{"informational", "notice", "subtype level content"},
};

static bool
name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return strncmp(pattern, name, n - 1) == 0;
	return strcmp(pattern, name) == 0;
}

/* Of a rate limit the server says how long to wait, which is what the program does then. */
static void
note_delay(struct line *l)
{
	int64_t ms = jv_count(l->o, "retry_delay_ms");

	l->st->delay_us = jv_count(l->o, "error_status") == 429 && ms < MS_MAX ? ms * 1000 : 0;
	l->out->dirty = true;
}

/* What is left of an allowance; it is told at any time. Only where it is used up does it say from when on there is more. */
static void
on_rate_limit(struct line *l)
{
	struct event *ev = emit(l, "notice");
	struct json_object *info = jv_get(l->o, "rate_limit_info");

	event_extra_text(ev, "subtype", "rate-limit", 10);
	if (info)
		jv_put_extra(ev, "rate_limit_info", info);
	l->st->limited = strcmp(jv_word(info, "status"), "rejected") == 0;
	l->st->limit_us = l->st->limited ? epoch_us(jv_count(info, "resetsAt")) : 0;
	l->out->dirty = true;
}

static void
on_system(struct line *l)
{
	const char *subtype = jv_word(l->o, "subtype");

	if (strcmp(subtype, "init") == 0) {
		on_init(l);
		return;
	}
	if (strcmp(subtype, "api_retry") == 0)
		note_delay(l);
	for (size_t i = 0; i < ARRAY_LEN(system_kinds); i++)
		if (name_matches(system_kinds[i].subtype, subtype)) {
			jv_put_members(emit(l, system_kinds[i].type), l->o,
				       system_kinds[i].members);
			return;
		}
	on_unknown(l, "system", subtype);
}

/* What a question is about, for people. */
static void
put_question(struct buf *b, struct json_object *request, bool choice)
{
	static const char *const texts[] = { "display_name", "description", "blocked_path" };
	struct json_object *input = jv_get(request, "input");

	buf_puts(b, "{\"tool_name\":");
	buf_put_json_str(b, jv_word(request, "tool_name"));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (*jv_word(request, texts[i])) {
			buf_printf(b, ",\"%s\":", texts[i]);
			buf_put_json_str(b, jv_word(request, texts[i]));
		}
	buf_puts(b, choice ? ",\"questions\":" : ",\"input\":");
	jv_write(b, choice ? jv_get(input, "questions") : input);
	buf_putc(b, '}');
}

/* true: it is to be answered. */
static bool
add_ask(struct line *l, const char *id, struct json_object *request)
{
	struct json_object *input = jv_get(request, "input");
	bool choice = json_object_is_type(jv_get(input, "questions"), json_type_array), is_object = json_object_is_type(input, json_type_object);
	struct adapter_ask *ask;
	int i = claude_ask_find(l->st, id);

	if (i >= 0)
		claude_ask_drop(l->st, i);
	buf_reset(&scratch);
	if (is_object)
		jv_write(&scratch, input);
	else
		buf_puts(&scratch, "{}");
	if (!claude_ask_add(l->st, id, jv_word(request, "tool_name"), jv_word(request, "tool_use_id"), scratch.data, scratch.len))
		return false;
	l->out->dirty = true;
	if (i >= 0)
		return true;
	ask = adapter_ask_add(l->out);
	ask->id = xstrdup(id);
	ask->kind = choice ? "choice" : "permission";
	ask->tool_name = xstrdup(jv_word(request, "tool_name"));
	ask->tool_use_id = xstrdup(jv_word(request, "tool_use_id"));
	put_question(&ask->question, request, choice);
	return true;
}

/* A question without an answer holds up the turn for ever: what is not about a tool is answered with an error. */
static void
on_control_request(struct line *l)
{
	struct json_object *request = jv_get(l->o, "request");
	const char *subtype = jv_word(request, "subtype");
	bool ask = strcmp(subtype, "can_use_tool") == 0;
	struct event *ev = emit(l, ask ? "permission_request" : "control");
	size_t n;
	const char *id = jv_text(jv_get(l->o, "request_id"), &n);

	jv_put_members(ev, l->o, "request_id");
	if (ask) {
		jv_put_members(ev, request, "tool_name tool_use_id description blocked_path");
		if (jv_get(request, "input"))
			jv_put_key(ev, KEY_TOOL_INPUT, jv_get(request, "input"));
	} else {
		event_extra_text(ev, "subtype", subtype, strlen(subtype));
	}
	if (!id || (ask && add_ask(l, id, request)))
		return;
	buf_puts(&l->out->reply, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":");
	buf_put_json(&l->out->reply, id, n);
	buf_printf(&l->out->reply, ",\"error\":\"%s\"}}\n", ask ? TOO_MUCH : "aod does not answer this request");
}

static void
on_control(struct line *l)
{
	struct event *ev = emit(l, "control");
	struct json_object *response = jv_get(l->o, "response");

	jv_put_members(ev, l->o, "type request_id command_uuid state");
	jv_put_members(ev, response,
		       jv_get(l->o, "request_id") ? "subtype error" : "subtype request_id error");
	if (strcmp(jv_word(response, "request_id"), INTERRUPT_ID) == 0 && strcmp(jv_word(response, "subtype"), "success") == 0) {
		l->st->interrupted = !l->st->answered;
		l->out->dirty = true;
	}
}

static void
on_cancel_request(struct line *l)
{
	int i = claude_ask_find(l->st, jv_word(l->o, "request_id"));

	on_control(l);
	if (i >= 0)
		take_back(l, i);
}

/*
 * What becomes of a prompt: queued, started, and when its result was told, completed; cancelled where it failed or was interrupted. One that it had
 * before is only said to be completed, or is taken out of its queue: then its turn has ended without a result.
 */
static void
on_lifecycle(struct line *l)
{
	const char *uuid = jv_word(l->o, "command_uuid"), *state = jv_word(l->o, "state");
	bool completed = strcmp(state, "completed") == 0;

	on_control(l);
	if (!*uuid)
		return;
	if (strcmp(state, "queued") == 0 || strcmp(state, "started") == 0)
		prompt_begin(l->st, uuid, *state == 's');
	else if ((completed || strcmp(state, "cancelled") == 0) && prompt_end(l->st, uuid)) {
		end_turn(l, completed ? OUTCOME_SUCCESS : OUTCOME_CANCELLED, NULL, 0, NULL, 0);
		l->out->turn.replayed = completed;
	}
	l->out->dirty = true;
}

static void
on_stream_event(struct line *l)
{
	struct event *ev = emit(l, "stream");
	struct json_object *piece = jv_get(l->o, "event");

	if (piece)
		jv_put_extra(ev, "event", piece);
}

static const struct {
	const char *type;
	void (*on)(struct line *l);
} kinds[] = {
	{"assistant", on_assistant},
	{"user", on_user},
	{"stream_event", on_stream_event},
	{"system", on_system},
	{"result", on_result},
	{"control_request", on_control_request},
	{"control_cancel_request", on_cancel_request},
	{"control_*", on_control},
	{"command_lifecycle", on_lifecycle},
	{"rate_limit_event", on_rate_limit},
};

/* ---- the adapter ---- */

static void
keep_stderr(struct claude *st, const char *s, size_t n, struct adapter_out *out)
{
	char *text = first_line(s, n, ERROR_TEXT_MAX);

	if (!*text) {
		free(text);
		return;
	}
	free(st->last_stderr);
	st->last_stderr = text;
	out->dirty = true;
}

static void
on_object(struct line *l)
{
	const char *type = jv_word(l->o, "type");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (name_matches(kinds[i].type, type)) {
			kinds[i].on(l);
			return;
		}
	on_unknown(l, type, jv_word(l->o, "subtype"));
}

static void
claude_line(void *state, int stream, int64_t time_us, const char *s, size_t n, int piece,
	    bool partial, struct adapter_out *out)
{
	struct line l = {state, out, time_us, NULL};
	int first = out->event_count;
	bool too_deep = false;

	if (stream == ADAPTER_STDERR)
		keep_stderr(state, s, n, out);
	else if (piece == 0 && !partial)
		l.o = jv_parse(s, n, &too_deep);
	if (l.o) {
		on_object(&l);
		if (out->event_count == first)
			on_unknown(&l, jv_word(l.o, "type"), jv_word(l.o, "subtype"));
		json_object_put(l.o);
	} else if (too_deep) {
		struct event *ev = adapter_event(out, "unknown", time_us);

		event_put_text(ev, KEY_ERROR, "nested too deeply", 17);
	} else {
		adapter_output_event(out, stream, time_us, s, n, partial);
		return;
	}
	buf_put(&out->events[first].raw, s, n);
}

static void
claude_end(void *state, const struct run_exit *x, struct adapter_out *out, struct run_result *r)
{
	const struct claude *st = state;

	run_result_from_exit(x, r);
	r->cost_usd = st->shown.cost_usd;
	r->input_tokens = st->shown.input_tokens;
	r->output_tokens = st->shown.output_tokens;
	r->turns = st->shown.turns;
	r->result = x->working ? NULL : xstrdup(st->result);
	if (x->stop_requested) {
		run_result_cancel(r);
		return;
	}
	if (r->outcome == OUTCOME_RESOURCES || x->idle)
		return;
	if (st->answered && !x->working) {
		/* The answer is there: how the program went after it does not change it. */
		r->outcome = st->outcome;
		r->retry_us = st->retry_us;
		r->no_conversation = no_conversation(st);
		free(r->error);
		r->error = xstrdup(st->error);
	} else if (r->outcome == OUTCOME_SUCCESS) {
		r->outcome = OUTCOME_UNKNOWN;
		r->error = xstrdup("the agent ended without a result");
	} else if (r->outcome == OUTCOME_EXIT_CODE && st->last_stderr) {
		free(r->error);
		r->error = xstrdup(st->last_stderr);
	}
}

const struct adapter adapter_claude = {
	.name = "claude",
	.doc = "Claude Code: stream-json over stdin and stdout, and whatever speaks the same, such "
	       "as the demo agent.",
	.line_max = LINE_MAX_BYTES,
	.needs_prompt = true,
	.plan = claude_plan,
	.state_new = claude_state_new,
	.state_free = claude_state_free,
	.line = claude_line,
	.end = claude_end,
	.save = claude_save,
	.restore = claude_restore,
	.prompt = claude_prompt,
	.usage = claude_usage,
	.answer = claude_answer,
	.tool_since = claude_tool_since,
	.shift = claude_shift,
	.interrupt = "{\"type\":\"control_request\",\"request_id\":\"" INTERRUPT_ID "\",\"request\":{"
		     "\"subtype\":\"interrupt\"}}\n",
};
