/* SPDX-License-Identifier: MIT */
/* Events as lines for people. See event-line.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/event-line.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "base/util.h"

#define TYPE_COLUMNS 13 /* of session_start, the longest of the usual ones */

static const char *
compact(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Text of content blocks; blocks of other types are named. */
static void
put_content(struct buf *out, struct json_object *content)
{
	size_t i, n;

	if (json_object_is_type(content, json_type_string)) {
		buf_puts(out, json_object_get_string(content));
		return;
	}
	if (!json_object_is_type(content, json_type_array))
		return;
	n = json_object_array_length(content);
	for (i = 0; i < n; i++) {
		struct json_object *block = json_object_array_get_idx(content, i);
		const char *text = js_str(block, "text"), *type = js_str(block, "type");

		if (i)
			buf_putc(out, '\n');
		if (text)
			buf_puts(out, text);
		else
			buf_printf(out, "[%s]", type ? type : "content");
	}
}

/* A tool's input in a few words: its main argument, else all of it as JSON. */
static void
put_tool_input(struct buf *out, struct json_object *input)
{
	static const char *const main_keys[] = { "command", "file_path", "path", "pattern", "url", "query", "prompt" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(main_keys); i++) {
		const char *s = js_str(input, main_keys[i]);

		if (s) {
			buf_puts(out, s);
			return;
		}
	}
	if (input)
		buf_puts(out, compact(input));
}

static void
put_tool_output(struct buf *out, struct json_object *output)
{
	const char *text = js_str(output, "stdout");

	if (!text)
		text = js_str(output, "text");
	if (text)
		buf_puts(out, text);
	else if (json_object_is_type(output, json_type_string))
		buf_puts(out, json_object_get_string(output));
	else if (json_object_is_type(output, json_type_array))
		put_content(out, output);
	else if (output)
		buf_puts(out, compact(output));
}

static void
say_start(struct buf *out, struct json_object *ev)
{
	int64_t run = js_int(ev, "run", 0);

	if (run)
		buf_printf(out, "run %" PRId64, run);
	else
		buf_puts(out, "started");
}

static void
say_stop(struct buf *out, struct json_object *ev)
{
	const char *reason = js_str(ev, "reason");
	int64_t code = js_int(ev, "exit_code", -1);

	buf_puts(out, reason ? reason : "ended");
	if (js_str(ev, "error"))
		buf_printf(out, ": %s", js_str(ev, "error"));
	else if (code > 0)
		buf_printf(out, ", exit status %" PRId64, code);
}

static void
say_restart(struct buf *out, struct json_object *ev)
{
	const char *reason = js_str(ev, "reason"), *at = js_str(ev, "at");
	int64_t due, now, attempt = js_int(ev, "attempt", 0);

	buf_puts(out, "is started again");
	if (at && time_parse_iso(at, &due) && time_parse_iso(js_str(ev, "timestamp") ? js_str(ev, "timestamp") : at, &now) && due > now) {
		buf_puts(out, " in ");
		put_span(out, due - now);
	}
	if (attempt > 0)
		buf_printf(out, ", restart %" PRId64, attempt);
	buf_printf(out, " (%s)", reason ? reason : "unknown");
}

static void
say_message(struct buf *out, struct json_object *ev)
{
	const char *role = js_str(ev, "role");

	buf_printf(out, "%s: ", role ? role : "message");
	put_content(out, js_get(ev, "content"));
}

static void
say_pre_tool(struct buf *out, struct json_object *ev)
{
	const char *name = js_str(ev, "tool_name");

	buf_printf(out, "%s: ", name ? name : "tool");
	put_tool_input(out, js_get(ev, "tool_input"));
}

static void
say_post_tool(struct buf *out, struct json_object *ev)
{
	const char *name = js_str(ev, "tool_name"), *error = js_str(ev, "error");

	buf_printf(out, "%s%s: ", name ? name : "tool", error ? " failed" : "");
	if (error)
		buf_puts(out, error);
	else
		put_tool_output(out, js_get(ev, "tool_output"));
}

/* Of a member that js_str() gave: it may have NUL in it. */
static size_t
text_len(struct json_object *ev, const char *key)
{
	return (size_t)json_object_get_string_len(js_get(ev, key));
}

static void
say_output(struct buf *out, struct json_object *ev)
{
	const char *stream = js_str(ev, "stream"), *text = js_str(ev, "text");

	if (stream && !strcmp(stream, "stderr"))
		buf_puts(out, "stderr: ");
	if (text)
		buf_put(out, text, text_len(ev, "text"));
}

static void
say_init(struct buf *out, struct json_object *ev)
{
	const char *model = js_str(ev, "model"), *cwd = js_str(ev, "cwd");
	struct json_object *tools = js_get(ev, "tools");

	buf_puts(out, model ? model : "started");
	if (json_object_is_type(tools, json_type_array))
		buf_printf(out, ", %zu tools", json_object_array_length(tools));
	if (js_str(ev, "claude_code_version"))
		buf_printf(out, ", version %s", js_str(ev, "claude_code_version"));
	if (cwd)
		buf_printf(out, ", in %s", cwd);
}

static void
say_result(struct buf *out, struct json_object *ev)
{
	const char *subtype = js_str(ev, "subtype"), *result = js_str(ev, "result");
	int64_t turns = js_int(ev, "num_turns", 0), ms = js_int(ev, "duration_ms", -1);

	buf_puts(out, js_bool(ev, "is_error") ? "error" : subtype ? subtype : "done");
	if (turns)
		buf_printf(out, ", %" PRId64 " turn%s", turns, turns == 1 ? "" : "s");
	if (ms >= 0) {
		buf_puts(out, ", ");
		put_span(out, ms * 1000);
	}
	if (js_double(ev, "total_cost_usd") > 0) {
		buf_puts(out, ", ");
		put_cost(out, js_double(ev, "total_cost_usd"));
	}
	/* What it says otherwise was said in the message before it. */
	if (js_bool(ev, "is_error") && result && *result)
		buf_printf(out, ": %s", result);
}

static void
say_control(struct buf *out, struct json_object *ev)
{
	const char *type = js_str(ev, "type"), *subtype = js_str(ev, "subtype"), *state = js_str(ev, "state");

	buf_puts(out, type ? type : "message");
	if (subtype)
		buf_printf(out, " %s", subtype);
	if (state)
		buf_printf(out, ": %s", state);
	if (js_str(ev, "error"))
		buf_printf(out, ": %s", js_str(ev, "error"));
}

static void
say_retry(struct buf *out, struct json_object *ev)
{
	int64_t status = js_int(ev, "error_status", 0);

	buf_printf(out, "attempt %" PRId64 " of %" PRId64 ", again in ", js_int(ev, "attempt", 0),
		   js_int(ev, "max_retries", 0));
	/* Servers and agents give fractions of milliseconds. */
	put_span(out, (int64_t)(js_double(ev, "retry_delay_ms") * 1000));
	if (status)
		buf_printf(out, ", HTTP %" PRId64, status);
	if (js_str(ev, "error"))
		buf_printf(out, ": %s", js_str(ev, "error"));
}

static void
say_denied(struct buf *out, struct json_object *ev)
{
	const char *name = js_str(ev, "tool_name"), *message = js_str(ev, "message");

	buf_puts(out, name ? name : "tool");
	if (message || js_get(ev, "tool_input")) {
		buf_puts(out, ": ");
		if (message)
			buf_puts(out, message);
		else
			put_tool_input(out, js_get(ev, "tool_input"));
	}
}

/* "Which one? (red | blue)" */
static void
put_choice(struct buf *out, struct json_object *question)
{
	const char *text = js_str(question, "question"), *label;
	struct json_object *options = js_get(question, "options");

	buf_puts(out, text ? text : "");
	for (size_t i = 0; json_object_is_type(options, json_type_array) && i < json_object_array_length(options); i++) {
		label = js_str(json_object_array_get_idx(options, i), "label");
		buf_printf(out, "%s%s", i ? " | " : " (", label ? label : "");
		if (i + 1 == json_object_array_length(options))
			buf_putc(out, ')');
	}
}

void
question_text(struct buf *out, struct json_object *o)
{
	const char *name = js_str(o, "tool_name");
	struct json_object *questions = js_get(o, "questions"), *input = js_get(o, "tool_input");

	if (json_object_is_type(questions, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(questions); i++) {
			if (i)
				buf_puts(out, "; ");
			put_choice(out, json_object_array_get_idx(questions, i));
		}
		return;
	}
	buf_printf(out, "%s: ", name ? name : "tool");
	put_tool_input(out, input ? input : js_get(o, "input"));
}

static void
say_question(struct buf *out, struct json_object *ev)
{
	const char *name = js_str(ev, "session_name");

	question_text(out, ev);
	buf_printf(out, "\naoctl answer %s %s", name ? name : "NAME", js_get(ev, "questions") ? "choose LABEL" : "allow|deny");
}

static void
say_answer(struct buf *out, struct json_object *ev)
{
	const char *how = js_str(ev, "answer"), *by = js_str(ev, "by"), *name = js_str(ev, "tool_name"), *text = js_str(ev, "text");

	buf_printf(out, "%s: %s", name ? name : "tool", how ? how : "answered");
	if (by)
		buf_printf(out, ", by %s", by);
	if (js_get(ev, "answers"))
		buf_printf(out, ": %s", compact(js_get(ev, "answers")));
	else if (text)
		buf_printf(out, ": %s", text);
}

static void
say_refused(struct buf *out, struct json_object *ev)
{
	const char *reason = js_str(ev, "reason");

	buf_puts(out, reason ? reason : "refused");
}

static void
say_task(struct buf *out, struct json_object *ev)
{
	const char *subtype = js_str(ev, "subtype"), *status = js_str(ev, "status"), *what = js_str(ev, "description");

	if (!what)
		what = js_str(ev, "summary");
	buf_puts(out, subtype ? subtype : "task");
	if (status)
		buf_printf(out, ", %s", status);
	if (what)
		buf_printf(out, ": %s", what);
}

static bool
is_row_key(const char *key)
{
	static const char *const row_keys[] = { "id",	      "seq",	   "run",	"event_type", "session_id",
						"session_name", "timestamp", "raw", "type",	      "uuid" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(row_keys); i++)
		if (!strcmp(key, row_keys[i]))
			return true;
	return false;
}

/* Any other event: its text where it has one, else its members as JSON, else the raw line. */
static void
say_any(struct buf *out, struct json_object *ev)
{
	static const char *const text_keys[] = { "text", "message", "error", "content", "status", "reason" };
	const char *s;
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_LEN(text_keys); i++)
		if ((s = js_str(ev, text_keys[i])) && *s) {
			buf_puts(out, s);
			return;
		}
	json_object_object_foreach(ev, key, value)
	{
		if (!value || is_row_key(key))
			continue;
		buf_printf(out, "%s%s=%s", any ? " " : "", key,
			   json_object_is_type(value, json_type_string) ? json_object_get_string(value) : compact(value));
		any = true;
	}
	if (!any && js_str(ev, "raw"))
		buf_puts(out, js_str(ev, "raw"));
}

/* One row for each type that has a form of its own. */
static const struct form {
	const char *type;
	void (*say)(struct buf *out, struct json_object *ev);
	enum colour colour;
} forms[] = {
	{ "session_start", say_start, COL_BOLD },
	{ "session_stop", say_stop, COL_BOLD },
	{ "restart", say_restart, COL_YELLOW },
	{ "message", say_message, COL_NONE },
	{ "pre_tool", say_pre_tool, COL_BLUE },
	{ "post_tool", say_post_tool, COL_BLUE },
	{ "output", say_output, COL_NONE },
	{ "init", say_init, COL_DIM },
	{ "result", say_result, COL_GREEN },
	{ "api_retry", say_retry, COL_YELLOW },
	{ "denied", say_refused, COL_YELLOW },
	{ "permission_request", say_denied, COL_YELLOW },
	{ "permission_denied", say_denied, COL_YELLOW },
	{ "question", say_question, COL_YELLOW },
	{ "answer", say_answer, COL_YELLOW },
	{ "task", say_task, COL_BLUE },
	{ "control", say_control, COL_DIM },
	{ "error", say_any, COL_RED },
	{ NULL, say_any, COL_DIM },
};

static const struct form *
form_of(const char *type)
{
	const struct form *f;

	for (f = forms; f->type; f++)
		if (!strcmp(f->type, type))
			break;
	return f;
}

void
event_text(struct buf *out, struct json_object *ev)
{
	const char *type = js_str(ev, "event_type");

	form_of(type ? type : "")->say(out, ev);
}

static enum colour
colour_of(const struct form *f, struct json_object *ev)
{
	const char *stream = js_str(ev, "stream");

	if (js_bool(ev, "is_error") || js_str(ev, "error") || js_int(ev, "exit_code", 0) > 0)
		return COL_RED;
	if (stream && !strcmp(stream, "stderr"))
		return COL_YELLOW;
	return f->colour;
}

void
event_short(struct buf *out, const struct look *l, struct json_object *ev, bool full)
{
	const char *type = js_str(ev, "event_type");
	const struct form *f = form_of(type ? type : "");
	enum colour c = colour_of(f, ev);
	struct buf text = BUF_INIT;
	int indent, pad, columns;

	type = type ? type : "?";
	pad = TYPE_COLUMNS - (int)strlen(type);
	indent = 12 + 2 + (pad > 0 ? TYPE_COLUMNS : (int)strlen(type)) + 2;
	f->say(&text, ev);
	buf_puts(out, colour_on(l, COL_DIM));
	put_clock(out, js_str(ev, "timestamp"));
	buf_puts(out, colour_on(l, COL_NONE));
	buf_puts(out, "  ");
	if (c != COL_NONE)
		buf_puts(out, colour_on(l, c));
	put_cut(out, l, type, strlen(type), 0);
	if (c != COL_NONE)
		buf_puts(out, colour_on(l, COL_NONE));
	buf_printf(out, "%*s  ", pad > 0 ? pad : 0, "");
	columns = l->width - indent > 10 ? l->width - indent : 10;
	/* How to answer stands in its second line. */
	if (l->width && !full && strcmp(type, "question"))
		put_cut(out, l, text.data ? text.data : "", text.len, columns);
	else
		put_indented(out, l, text.data ? text.data : "", text.len, indent);
	buf_putc(out, '\n');
	buf_free(&text);
}

void
event_cat(struct buf *out, const struct look *l, struct json_object *ev)
{
	const char *type = js_str(ev, "event_type"), *text;
	struct buf content = BUF_INIT;

	if (type && !strcmp(type, "output") && (text = js_str(ev, "text"))) {
		put_safe(out, l, text, text_len(ev, "text"));
		/* The line goes on in the next event. */
		if (!js_bool(ev, "partial"))
			buf_putc(out, '\n');
	} else if (type && !strcmp(type, "message")) {
		put_content(&content, js_get(ev, "content"));
		put_safe(out, l, content.data ? content.data : "", content.len);
		buf_putc(out, '\n');
		buf_free(&content);
	}
}

static void
put_decoded(struct buf *out, const char *base64)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;
	const char *at;

	for (; *base64 && (at = strchr(letters, *base64)); base64++) {
		bits = bits << 6 | (unsigned)(at - letters);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_putc(out, (char)(bits >> have & 0xff));
		}
	}
}

void
event_raw(struct buf *out, const struct look *l, struct json_object *ev)
{
	const char *raw = js_str(ev, "raw"), *type = js_str(ev, "event_type"), *base64 = js_str(ev, "base64");

	if (!raw) {
		/* A line of output says all of itself: no raw line is kept. */
		if (!type || strcmp(type, "output") != 0)
			return;
		if (!base64 || l->tty) {
			event_cat(out, l, ev);
			return;
		}
		put_decoded(out, base64);
		if (!js_bool(ev, "partial"))
			buf_putc(out, '\n');
		return;
	}
	put_safe(out, l, raw, strlen(raw));
	buf_putc(out, '\n');
}
