/* SPDX-License-Identifier: MIT */
/* Events: making one, the table of types, rendering a stored one. See event.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/event.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/put.h"

const char *const event_key_names[KEY_COUNT] = {
	[KEY_TOOL_NAME] = "tool_name",
	[KEY_TOOL_INPUT] = "tool_input",
	[KEY_TOOL_OUTPUT] = "tool_output",
	[KEY_ERROR] = "error",
	[KEY_EXIT_CODE] = "exit_code",
	[KEY_REASON] = "reason",
	[KEY_ROLE] = "role",
	[KEY_CONTENT] = "content",
};

const struct event_type event_types[] = {
	{"session_start", "A run of the session began."},
	{"message", "Something was said: role (user or assistant) and content blocks. synthetic: "
		    "not typed by a person."},
	{"pre_tool", "The agent is about to use a tool: tool_name, tool_input, tool_use_id."},
	{"post_tool", "A tool was used: tool_name, tool_input, tool_output, error where it failed, "
		      "tool_use_id."},
	{"session_stop", "The run ended: exit_code, and reason (completed, or how it failed). "
			 "resources: what it used of memory, processor time, tasks, input and output."},
	{"restart", "The run ended and another one follows: at (when), reason (how it ended), attempt (restarts in a row)."},
	{"init", "The agent's own start message: model, cwd, tools, mcp_servers, its version."},
	{"result", "The end of a turn: subtype, is_error, num_turns, duration_ms, usage, "
		   "total_cost_usd, result. "
		   "origin: a turn that nobody asked for."},
	{"output", "A line the program printed: stream (stdout or stderr) and text; base64 when it "
		   "was not UTF-8; "
		   "partial when the line goes on in the next such event."},
	{"usage", "Tokens and cost so far."},
	{"api_retry", "A call of the model's API failed and is tried again: attempt, max_retries, "
		      "retry_delay_ms, error_status."},
	{"permission_request", "The agent asked whether it may use a tool: tool_name, tool_input, tool_use_id, request_id. "
			       "What follows is said in question and answer."},
	{"question", "A person is asked: question_id, kind (permission or choice), tool_name, tool_input or questions, until (when it is too late)."},
	{"answer", "What an agent was answered that asked: question_id, answer (allow, deny, or gone: it does not ask any more), text, answers, and by whom: "
		   "a person, rule:RULE, timeout, or agent."},
	{"denied", "The sandbox refused something: what (system call, start), and reason as text; of a system call: syscall, args, "
		   "program, pid; of a start that failed: step; key: the directive with the value that would allow it, where one would. "
		   "Of one call the same program is told of once a run."},
	{"permission_denied", "The agent may not use a tool: tool_name, message."},
	{"task",
	 "A task of the agent's own (subagent, background command) began, changed or ended."},
	{"status", "What the agent says it is doing."},
	{"thinking", "The model's thinking: text, or how many tokens of it."},
	{"control", "A message of the protocol between aod and the agent."},
	{"stream", "A piece of an answer that is still being written."},
	{"freeze", "All processes of the session stand still from now on."},
	{"thaw", "They go on."},
	{"oom", "The kernel killed a process for want of memory: text, process (name and pid, where "
		"the kernel tells), kills."},
	{"limit", "A limit was reached: subtype (tasks-max, workspace-quota, log-size, and log-size-near at 80 per cent), text."},
	{"budget", "80 or 100 per cent of a budget are used: scope (run, session, day, tree), key, percent, used, max."},
	{"notice", "A remark of the agent or of one of its hooks."},
	{"unknown", "A message this version of aod does not know; raw has all of it."},
	{"error", "Something went wrong: error."},
	{NULL, NULL},
};

void
event_begin(struct event *ev, const char *type, int64_t time_us)
{
	size_t n = strnlen(type, EVENT_TYPE_MAX);

	memcpy(ev->type, type, n);
	ev->type[n] = 0;
	ev->time_us = time_us;
	free(ev->timestamp);
	ev->timestamp = NULL;
	ev->keys = 0;
	buf_reset(&ev->data);
	buf_reset(&ev->raw);
}

void
event_free(struct event *ev)
{
	free(ev->timestamp);
	ev->timestamp = NULL;
	buf_free(&ev->data);
	buf_free(&ev->raw);
}

/* Write `"name":`, with a comma where something is before it. Returns where the member began. */
static size_t
member_begin(struct event *ev, const char *name)
{
	size_t start = ev->data.len;

	if (start > 0)
		buf_putc(&ev->data, ',');
	buf_putc(&ev->data, '"');
	buf_puts(&ev->data, name);
	buf_put(&ev->data, "\":", 2);
	return start;
}

/* Data over its cap loses the member that did it: its value becomes null. Raw, where it is kept,
 * still has it. */
static void
member_end(struct event *ev, const char *name, size_t start)
{
	if (ev->data.len <= EVENT_DATA_MAX)
		return;
	ev->data.len = start;
	member_begin(ev, name);
	buf_puts(&ev->data, "null");
}

void
event_extra_text(struct event *ev, const char *name, const char *s, size_t n)
{
	size_t start = member_begin(ev, name);

	buf_put_json(&ev->data, s, n);
	member_end(ev, name, start);
}

void
event_extra_json(struct event *ev, const char *name, const char *json, size_t n)
{
	size_t start = member_begin(ev, name);

	buf_put(&ev->data, json, n);
	member_end(ev, name, start);
}

void
event_extra_int(struct event *ev, const char *name, int64_t v)
{
	member_begin(ev, name);
	buf_put_int(&ev->data, v);
}

static const char *
take_key(struct event *ev, enum event_key key)
{
	assert(key < KEY_COUNT && !(ev->keys & (1u << key)));
	ev->keys |= 1u << key;
	return event_key_names[key];
}

void
event_put_text(struct event *ev, enum event_key key, const char *s, size_t n)
{
	event_extra_text(ev, take_key(ev, key), s, n);
}

void
event_put_json(struct event *ev, enum event_key key, const char *json, size_t n)
{
	event_extra_json(ev, take_key(ev, key), json, n);
}

void
event_put_int(struct event *ev, enum event_key key, int64_t v)
{
	event_extra_int(ev, take_key(ev, key), v);
}

void
event_put_content_text(struct event *ev, const char *s, size_t n)
{
	const char *name = take_key(ev, KEY_CONTENT);
	size_t start = member_begin(ev, name);

	buf_puts(&ev->data, "[{\"type\":\"text\",\"text\":");
	buf_put_json(&ev->data, s, n);
	buf_put(&ev->data, "}]", 2);
	member_end(ev, name, start);
}

static void
put_missing(struct buf *out, uint32_t keys)
{
	if (keys == 0) {
		PUT(out,
		    ",\"tool_name\":null,\"tool_input\":null,\"tool_output\":null,\"error\":null,"
		    "\"exit_code\":null,\"reason\":null,\"role\":null,\"content\":null");
		return;
	}
	for (int i = 0; i < KEY_COUNT; i++) {
		if (keys & (1u << i))
			continue;
		PUT(out, ",\"");
		put_bytes(out, event_key_names[i], strlen(event_key_names[i]));
		PUT(out, "\":null");
	}
}

void
event_render(struct buf *out, const struct event_row *row, bool with_raw)
{
	PUT(out, "{\"id\":");
	put_int(out, row->id);
	PUT(out, ",\"seq\":");
	put_int(out, row->seq);
	PUT(out, ",\"run\":");
	put_int(out, row->run);
	PUT(out, ",\"event_type\":");
	put_string(out, row->type);
	PUT(out, ",\"session_id\":");
	put_string(out, row->session_id);
	PUT(out, ",\"session_name\":");
	put_string(out, row->session_name);
	PUT(out, ",\"timestamp\":");
	if (row->timestamp)
		put_string(out, row->timestamp);
	else
		put_time(out, row->time_us);
	if (row->data_len > 0) {
		PUT(out, ",");
		put_bytes(out, row->data, row->data_len);
	}
	put_missing(out, row->keys);
	if (with_raw && row->raw) {
		PUT(out, ",\"raw\":");
		put_string_n(out, row->raw, row->raw_len);
	}
	PUT(out, "}");
	put_end(out);
}
