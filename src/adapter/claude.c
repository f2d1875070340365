/* SPDX-License-Identifier: MIT */
/*
 * The claude adapter: Claude Code's stream-json over stdin and stdout, one JSON object a line.
 * Messages and keys that are not known are kept (raw) and have no effect, so that newer versions of
 * the program go on working. Nothing here trusts a type, a length or a depth.
 *
 * Counting: the usage of a result is that of its turn and is summed. Its total_cost_usd is that of
 * the whole conversation, also of what earlier processes did before --resume: the run's cost is the
 * sum of the costs since the last result, which the result says, too. Versions that do not say them
 * are taken at their greatest total. The usage in assistant messages is a start value and is not
 * counted.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "adapter/common.h"
#include "adapter/jv.h"
#include "base/util.h"

#define LINE_MAX_BYTES (16u << 20)
#define OPEN_MAX 256 /* tool calls without a result that are remembered */
#define OPEN_INPUT_MAX                                                                             \
	(1u << 20) /* bytes of the inputs of all of them; an input beyond it is not repeated in    \
		      post_tool */
#define ERROR_TEXT_MAX 400 /* bytes of a one-line error */

#define COST_MAX 1e9 /* US dollars; what claims more is not counted */

#define DENY_TEXT                                                                                  \
	"Nobody is there to answer: this agent runs unattended under aod. Go on without this "     \
	"tool, "                                                                                   \
	"or allow it in the blueprint (AllowedTools=, PermissionMode=)."

struct open_tool {
	char *id, *name;
	char *input; /* JSON or NULL */
	int64_t time_us;
	size_t input_len;
};

struct claude {
	struct open_tool *open; /* oldest first */
	int open_count, open_cap;
	size_t open_bytes;
	bool answered; /* the result of our prompt was seen; outcome, result and error are its */
	enum outcome outcome;
	char *result, *error;
	double cost;       /* sum of the costs since the last result */
	double cost_total; /* greatest total of results that do not say them */
	int64_t input_tokens, output_tokens, turns;
	char *last_stderr;
};

/* A line being read. */
struct line {
	struct claude *st;
	struct adapter_out *out;
	int64_t time_us;
	struct json_object *o;
};

/* Working memory of one call, shared by all sessions: the supervisor has one thread. */
static struct buf scratch;

static int64_t
add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

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

/* ---- open tool calls ---- */

static void
open_drop(struct claude *st, int i)
{
	struct open_tool *t = &st->open[i];

	st->open_bytes -= t->input_len;
	free(t->id);
	free(t->name);
	free(t->input);
	st->open_count--;
	memmove(t, t + 1, (size_t)(st->open_count - i) * sizeof(*t));
}

static int
open_find(const struct claude *st, const char *id)
{
	for (int i = 0; i < st->open_count; i++)
		if (strcmp(st->open[i].id, id) == 0)
			return i;
	return -1;
}

/* input: JSON, or NULL. A call that is repeated replaces the one before. */
static void
open_add(struct claude *st, const char *id, const char *name, const char *input, size_t input_len,
	 int64_t time_us)
{
	struct open_tool *t;
	int i = open_find(st, id);

	if (i >= 0)
		open_drop(st, i);
	if (st->open_count == OPEN_MAX)
		open_drop(st, 0);
	if (st->open_count == st->open_cap) {
		st->open_cap = st->open_cap > 0 ? st->open_cap * 2 : 4;
		st->open = xrealloc(st->open, (size_t)st->open_cap * sizeof(*st->open));
	}
	t = &st->open[st->open_count++];
	memset(t, 0, sizeof(*t));
	t->id = xstrdup(id);
	t->name = xstrdup(name);
	t->time_us = time_us;
	if (input && input_len <= OPEN_INPUT_MAX - st->open_bytes) {
		t->input = xstrndup(input, input_len);
		t->input_len = input_len;
		st->open_bytes += input_len;
	}
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

static enum outcome
error_outcome(struct json_object *o, const char *text)
{
	int64_t status = jv_count(o, "api_error_status");
	const char *said;

	for (size_t i = 0; i < ARRAY_LEN(word_outcomes); i++)
		if (strcmp(jv_word(o, word_outcomes[i].key), word_outcomes[i].value) == 0)
			return word_outcomes[i].outcome;
	if (strcasestr(text, "credit balance"))
		return OUTCOME_BILLING;
	if (strcasestr(text, "not logged in"))
		return OUTCOME_AUTH;
	/* Older versions say the status in the text only. */
	said = strstr(text, "API Error: ");
	if (status == 0 && said)
		status = atoi(said + strlen("API Error: "));
	for (size_t i = 0; i < ARRAY_LEN(status_outcomes); i++)
		if (status_outcomes[i].status == status)
			return status_outcomes[i].outcome;
	return OUTCOME_AGENT_ERROR;
}

static void
set_answer(struct claude *st, struct json_object *o)
{
	const char *subtype = jv_word(o, "subtype");
	size_t n;
	const char *s = jv_text(jv_get(o, "result"), &n);

	free(st->result);
	free(st->error);
	st->result = st->error = NULL;
	st->answered = true;
	/* is_error decides whatever the subtype says: a failed call of the API has subtype success.
	 */
	if (!jv_true(o, "is_error") && !str_starts(subtype, "error")) {
		st->outcome = OUTCOME_SUCCESS;
		st->result = s ? xstrndup(s, n) : NULL;
		return;
	}
	buf_reset(&scratch);
	buf_puts(&scratch, "");
	jv_content(&scratch, jv_get(o, s ? "result" : "errors"), "; ");
	st->outcome = error_outcome(o, scratch.data);
	if (scratch.len > 0)
		st->error = first_line(scratch.data, scratch.len, ERROR_TEXT_MAX);
	else
		st->error = xasprintf("the agent failed: %.100s",
				      *subtype ? subtype : "no reason given");
}

static void
count_cost(struct claude *st, struct json_object *o)
{
	struct json_object *models = jv_get(o, "model_usage_since_last_result");
	double total = jv_amount(o, "total_cost_usd");

	if (!json_object_is_type(models, json_type_object)) {
		if (total > st->cost_total && total < COST_MAX)
			st->cost_total = total;
		return;
	}
	json_object_object_foreach(models, name, usage)
	{
		double cost = jv_amount(usage, "costUSD");

		(void)name;
		if (cost < COST_MAX)
			st->cost += cost;
	}
}

static void
on_result(struct line *l)
{
	struct claude *st = l->st;
	struct json_object *usage = jv_get(l->o, "usage");

	jv_put_members(emit(l, "result"), l->o,
		       "subtype is_error num_turns duration_ms duration_api_ms usage "
		       "total_cost_usd result errors "
		       "permission_denials terminal_reason api_error_status stop_reason origin");
	if (jv_true(l->o, "isReplay"))
		return;
	st->input_tokens = add(st->input_tokens, jv_count(usage, "input_tokens"));
	st->output_tokens = add(st->output_tokens, jv_count(usage, "output_tokens"));
	st->turns = add(st->turns, jv_count(l->o, "num_turns"));
	count_cost(st, l->o);
	/* A turn that nobody asked for, such as the one after a background task, is not the answer.
	 */
	if (!jv_get(l->o, "origin")) {
		set_answer(st, l->o);
		l->out->turn_done = true;
	}
	l->out->dirty = true;
}

/* ---- system and control ---- */

static void
on_init(struct line *l)
{
	struct event *ev = emit(l, "init");
	struct json_object *tools = jv_get(l->o, "tools"), *id = jv_get(l->o, "session_id");

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

static void
on_system(struct line *l)
{
	const char *subtype = jv_word(l->o, "subtype");

	if (strcmp(subtype, "init") == 0) {
		on_init(l);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(system_kinds); i++)
		if (name_matches(system_kinds[i].subtype, subtype)) {
			jv_put_members(emit(l, system_kinds[i].type), l->o,
				       system_kinds[i].members);
			return;
		}
	on_unknown(l, "system", subtype);
}

/*
 * The program asks something. Nobody is there, and a question without an answer holds up the turn
 * for ever: it is denied, or, when it is not about a permission, answered with an error.
 */
static void
on_control_request(struct line *l)
{
	struct json_object *request = jv_get(l->o, "request");
	const char *subtype = jv_word(request, "subtype");
	bool ask = strcmp(subtype, "can_use_tool") == 0;
	struct event *ev = emit(l, ask ? "permission_request" : "control");
	size_t n;
	const char *id = jv_text(jv_get(l->o, "request_id"), &n);
	struct buf *reply = &l->out->reply;

	jv_put_members(ev, l->o, "request_id");
	if (ask) {
		jv_put_members(ev, request, "tool_name tool_use_id description blocked_path");
		if (jv_get(request, "input"))
			jv_put_key(ev, KEY_TOOL_INPUT, jv_get(request, "input"));
		event_extra_text(ev, "answer", "deny", 4);
	} else {
		event_extra_text(ev, "subtype", subtype, strlen(subtype));
	}
	if (!id)
		return;
	buf_puts(reply, ask ? "{\"type\":\"control_response\",\"response\":{\"subtype\":"
			      "\"success\",\"request_id\":"
			    : "{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\","
			      "\"request_id\":");
	buf_put_json(reply, id, n);
	if (ask) {
		buf_puts(reply, ",\"response\":{\"behavior\":\"deny\",\"message\":");
		buf_put_json(reply, DENY_TEXT, strlen(DENY_TEXT));
		buf_puts(reply, "}}}\n");
	} else {
		buf_puts(reply, ",\"error\":\"aod does not answer this request\"}}\n");
	}
}

static void
on_control(struct line *l)
{
	struct event *ev = emit(l, "control");
	struct json_object *response = jv_get(l->o, "response");

	jv_put_members(ev, l->o, "type request_id command_uuid state");
	jv_put_members(ev, response,
		       jv_get(l->o, "request_id") ? "subtype error" : "subtype request_id error");
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
	{"control_*", on_control},
	{"command_lifecycle", on_control},
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
	r->cost_usd = st->cost > 0 ? st->cost : st->cost_total;
	r->input_tokens = st->input_tokens;
	r->output_tokens = st->output_tokens;
	r->turns = st->turns;
	r->result = xstrdup(st->result);
	if (x->stop_requested) {
		run_result_cancel(r);
		return;
	}
	if (r->outcome == OUTCOME_RESOURCES)
		return;
	if (st->answered) {
		/* The answer is there: how the program went after it does not change it. */
		r->outcome = st->outcome;
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

static void *
claude_state_new(void)
{
	return xcalloc(1, sizeof(struct claude));
}

static void
state_clear(struct claude *st)
{
	while (st->open_count > 0)
		open_drop(st, st->open_count - 1);
	free(st->open);
	free(st->result);
	free(st->error);
	free(st->last_stderr);
	memset(st, 0, sizeof(*st));
}

static void
claude_state_free(void *state)
{
	if (!state)
		return;
	state_clear(state);
	free(state);
}

static void
claude_save(void *state, struct buf *out)
{
	const struct claude *st = state;

	buf_puts(out, "{\"outcome\":");
	buf_put_json_str(out, st->answered ? outcome_name(st->outcome) : NULL);
	buf_puts(out, ",\"result\":");
	buf_put_json_str(out, st->result);
	buf_puts(out, ",\"error\":");
	buf_put_json_str(out, st->error);
	buf_puts(out, ",\"stderr\":");
	buf_put_json_str(out, st->last_stderr);
	buf_puts(out, ",\"cost\":");
	jv_write_double(out, st->cost);
	buf_puts(out, ",\"total\":");
	jv_write_double(out, st->cost_total);
	buf_puts(out, ",\"input\":");
	buf_put_int(out, st->input_tokens);
	buf_puts(out, ",\"output\":");
	buf_put_int(out, st->output_tokens);
	buf_puts(out, ",\"turns\":");
	buf_put_int(out, st->turns);
	/* Inputs are left out: they are for show only, and may be long. */
	buf_puts(out, ",\"tools\":[");
	for (int i = 0; i < st->open_count; i++) {
		buf_puts(out, i > 0 ? ",[" : "[");
		buf_put_json_str(out, st->open[i].id);
		buf_putc(out, ',');
		buf_put_json_str(out, st->open[i].name);
		buf_putc(out, ',');
		buf_put_int(out, st->open[i].time_us);
		buf_putc(out, ']');
	}
	buf_puts(out, "]}");
}

static void
claude_restore(void *state, const char *json, size_t n)
{
	struct claude *st = state;
	bool too_deep;
	struct json_object *o = jv_parse(json, n, &too_deep), *tools = jv_get(o, "tools");
	int outcome = outcome_parse(jv_word(o, "outcome"));
	size_t count = jv_len(tools);

	state_clear(st);
	st->answered = outcome >= 0;
	st->outcome = st->answered ? (enum outcome)outcome : OUTCOME_NONE;
	st->result = jv_copy(o, "result");
	st->error = jv_copy(o, "error");
	st->last_stderr = jv_copy(o, "stderr");
	st->cost = jv_amount(o, "cost");
	st->cost_total = jv_amount(o, "total");
	st->input_tokens = jv_count(o, "input");
	st->output_tokens = jv_count(o, "output");
	st->turns = jv_count(o, "turns");
	for (size_t i = 0; i < count; i++) {
		struct json_object *pair = json_object_array_get_idx(tools, i);
		size_t id_len, name_len;
		const char *id, *name;

		if (!json_object_is_type(pair, json_type_array))
			continue;
		id = jv_text(json_object_array_get_idx(pair, 0), &id_len);
		name = jv_text(json_object_array_get_idx(pair, 1), &name_len);
		if (id && name)
			open_add(st, id, name, NULL, 0,
				 json_object_get_int64(
					 json_object_array_get_idx(pair, 2)));
	}
	json_object_put(o);
}

static int64_t
claude_tool_since(const void *state)
{
	const struct claude *st = state;
	int64_t since = 0;

	for (int i = 0; i < st->open_count; i++)
		if (st->open[i].time_us && (!since || st->open[i].time_us < since))
			since = st->open[i].time_us;
	return since;
}

static void
claude_shift(void *state, int64_t us)
{
	struct claude *st = state;

	for (int i = 0; i < st->open_count; i++)
		if (st->open[i].time_us)
			st->open[i].time_us += us;
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
	.tool_since = claude_tool_since,
	.shift = claude_shift,
	.interrupt = "{\"type\":\"control_request\",\"request_id\":\"aod-interrupt\",\"request\":{"
		     "\"subtype\":\"interrupt\"}}\n",
};
