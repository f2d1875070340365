/* SPDX-License-Identifier: MIT */
/* What aod-demo-agent says: the messages of claude's stream-json, as they were seen of
 * claude 2.1.330. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "demo/demo.h"

void
out_flush(void)
{
	/* Nobody reads any more: an agent without an owner ends. */
	if (me.out.len && fd_write_all(STDOUT_FILENO, me.out.data, me.out.len) < 0)
		_exit(1);
	buf_reset(&me.out);
}

void
put_bytes(const void *p, size_t n)
{
	buf_put(&me.out, p, n);
	if (me.out.len >= FLUSH_AT)
		out_flush();
}

void
line_begin(void)
{
	if (me.torn)
		put_bytes("\n", 1);
	me.torn = false;
}

/* Begin a message of the stream; msg_end() completes it. In the text modes nothing of it is
 * printed. */
struct buf *
msg_begin(const char *type, const char *subtype)
{
	static struct buf msg;

	buf_reset(&msg);
	buf_printf(&msg, "{\"type\":\"%s\"", type);
	if (subtype)
		buf_printf(&msg, ",\"subtype\":\"%s\"", subtype);
	return &msg;
}

void
msg_end(struct buf *msg)
{
	char id[ID_SIZE];

	buf_printf(msg, ",\"session_id\":\"%s\",\"uuid\":\"%s\"}\n", me.session_id, id_new(id));
	if (!me.stream_out)
		return;
	line_begin();
	put_bytes(msg->data, msg->len);
}

void
put_member(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, ",\"%s\":", name);
	buf_put_json_str(b, text);
}

static void
put_iso_time(struct buf *b)
{
	char t[TIME_ISO_SIZE];

	put_member(b, "timestamp", time_iso(now_us(), t));
}

/* The first message of a turn says what every turn takes in; none says all that came out of it. */
void
say_block(const struct buf *block)
{
	say_block_used(block, me.messages ? 0 : TURN_INPUT_TOKENS, me.messages ? 0 : 1);
}

/* An assistant message with one content block, which is given as JSON. */
void
say_block_used(const struct buf *block, int64_t input, int64_t output)
{
	struct buf *m = msg_begin("assistant", NULL);
	char id[ID_SIZE];

	me.messages++;
	buf_printf(m,
		   ",\"message\":{\"id\":\"msg_%s\",\"type\":\"message\",\"role\":\"assistant\","
		   "\"model\":",
		   id_new(id));
	buf_put_json_str(m, me.model);
	buf_puts(m, ",\"content\":[");
	buf_put(m, block->data, block->len);
	buf_printf(
		m,
		"],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%lld,"
		"\"cache_creation_input_tokens\":0,"
		"\"cache_read_input_tokens\":0,\"output_tokens\":%lld}},\"parent_tool_use_id\":null",
		(long long)input, (long long)output);
	put_iso_time(m);
	msg_end(m);
}

void
say_n(const char *text, size_t n)
{
	static struct buf block;

	buf_reset(&block);
	buf_puts(&block, "{\"type\":\"text\",\"text\":");
	buf_put_json(&block, text, n);
	buf_putc(&block, '}');
	say_block(&block);
	/* The last text is the answer, as with claude, until a `result` says otherwise. */
	buf_reset(&me.answer);
	buf_put(&me.answer, text, n);
}

void
say(const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	say_n(b.data ? b.data : "", b.len);
	buf_free(&b);
}

/* The call of a tool; its id is put into id[]. */
void
tool_use(const char *name, const char *input, char *id)
{
	struct buf block = BUF_INIT;

	id_new(id);
	buf_printf(&block, "{\"type\":\"tool_use\",\"id\":\"toolu_%s\"", id);
	put_member(&block, "name", name);
	buf_printf(&block, ",\"input\":%s}", input);
	say_block(&block);
	buf_free(&block);
}

void
tool_result(const char *id, const char *text, size_t n, bool is_error)
{
	struct buf *m = msg_begin("user", NULL);

	buf_printf(m,
		   ",\"message\":{\"role\":\"user\",\"content\":[{\"tool_use_id\":\"toolu_%s\","
		   "\"type\":\"tool_result\",\"content\":",
		   id);
	buf_put_json(m, text, n);
	buf_printf(m, ",\"is_error\":%s}]},\"parent_tool_use_id\":null",
		   is_error ? "true" : "false");
	put_iso_time(m);
	msg_end(m);
}

static void
put_model_usage(struct buf *m, const char *key, int64_t input, int64_t output, double usd)
{
	buf_printf(m, ",\"%s\":{", key);
	buf_put_json_str(m, me.model);
	buf_printf(m,
		   ":{\"inputTokens\":%lld,\"outputTokens\":%lld,\"cacheReadInputTokens\":0,"
		   "\"cacheCreationInputTokens\":0,"
		   "\"webSearchRequests\":0,\"costUSD\":%.6f,\"contextWindow\":200000}}",
		   (long long)input, (long long)output, usd);
}

/* A number of the conversation, with more added to it. */
static double
grow(const char *key, double more)
{
	double now = json_object_get_double(get_object(me.state, key)) + more;

	json_object_object_add(me.state, key, json_object_new_double(now));
	return now;
}

/* The end of a turn. Cost and modelUsage are cumulative over the conversation, usage is this
 * turn's: as claude does it. */
void
put_result(const char *subtype, const char *text, size_t n, bool is_error, const char *origin)
{
	struct buf *m = msg_begin("result", subtype);
	bool success = strcmp(subtype, "success") == 0;
	int64_t input = TURN_INPUT_TOKENS + me.more_input, output = TURN_OUTPUT_TOKENS + me.more_output;
	double usd = TURN_COST_USD + me.more_usd, total = grow("total_usd", usd);

	me.more_input = me.more_output = 0;
	me.more_usd = 0;
	buf_printf(m,
		   ",\"is_error\":%s,\"num_turns\":%d,\"duration_ms\":%lld,\"duration_api_ms\":0,"
		   "\"total_cost_usd\":%.6f",
		   is_error ? "true" : "false", me.messages ? me.messages : 1,
		   (long long)((now_us() - me.started_us) / 1000),
		   total);
	buf_printf(m,
		   ",\"usage\":{\"input_tokens\":%lld,\"cache_creation_input_tokens\":0,\"cache_read_"
		   "input_tokens\":0,"
		   "\"output_tokens\":%lld},\"stop_reason\":\"end_turn\"",
		   (long long)input, (long long)output);
	put_model_usage(m, "modelUsage", (int64_t)grow("total_input", (double)input), (int64_t)grow("total_output", (double)output), total);
	put_model_usage(m, "model_usage_since_last_result", input, output, usd);
	buf_printf(m, ",\"permission_denials\":%s", json_object_to_json_string(me.denials));
	put_member(m, "terminal_reason",
		   !is_error	    ? "completed"
		   : me.interrupted ? "aborted_streaming"
		   : success ? "api_error"
			     : subtype + (str_starts(subtype, "error_") ? 6 : 0));
	if (is_error && me.fail_status)
		buf_printf(m, ",\"api_error_status\":%lld", (long long)me.fail_status);
	else
		buf_puts(m, ",\"api_error_status\":null");
	buf_puts(m, success ? ",\"result\":" : ",\"errors\":[");
	buf_put_json(m, text, n);
	if (!success)
		buf_putc(m, ']');
	if (origin)
		buf_printf(m, ",\"origin\":{\"kind\":\"%s\"}", origin);
	else if (me.uuid)
		buf_printf(m, ",\"user_message_uuids\":[\"%s\"]", me.uuid);
	buf_printf(m, ",\"result_index\":%d", me.results++);
	msg_end(m);
	if (me.json_out)
		put_bytes(m->data, m->len);
}

void
put_init(void)
{
	struct buf *m = msg_begin("system", "init");
	char cwd[4096];

	put_member(m, "cwd", getcwd(cwd, sizeof(cwd)) ? cwd : "");
	buf_puts(m, ",\"tools\":[\"Bash\",\"Read\",\"Write\"],\"mcp_servers\":[]");
	put_member(m, "model", me.model);
	put_member(m, "permissionMode", me.permission_mode);
	buf_puts(m, ",\"slash_commands\":[],\"skills\":[],\"agents\":[],\"plugins\":[],"
		    "\"apiKeySource\":\"none\"");
	buf_puts(m, ",\"claude_code_version\":\"0 (aod-demo-agent)\",\"output_style\":\"default\"");
	msg_end(m);
}

void
put_lifecycle(const char *uuid, const char *state)
{
	struct buf *m = msg_begin("command_lifecycle", NULL);

	put_member(m, "command_uuid", uuid);
	put_member(m, "state", state);
	msg_end(m);
	out_flush();
}
