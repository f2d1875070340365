/* SPDX-License-Identifier: MIT */
/*
 * What the claude adapter remembers of a run: tools that are at work, questions that are open, prompts that were taken, what was used, and how
 * the latest turn ended. All of it goes through JSON and back when aod is restarted.
 *
 * Counting: the usage of a result is that of its turn and is summed. Its total_cost_usd is that of the whole conversation, also of what
 * earlier processes did before --resume: the run's cost is the sum of the costs since the last result, which the result says, too. Versions that
 * do not say them are taken at their greatest total. While a turn is in progress its messages say what went in, and only what had come out when
 * they began: an estimate, which the result replaces.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "adapter/claude.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define COST_MAX 1e9 /* US dollars; what claims more is not counted */

#define DENY_TEXT "This was not allowed. Go on without it."

int64_t
count_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* ---- open tool calls -------------------------------------------------------------------------------------- */

void
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

int
open_find(const struct claude *st, const char *id)
{
	for (int i = 0; i < st->open_count; i++)
		if (strcmp(st->open[i].id, id) == 0)
			return i;
	return -1;
}

void
open_add(struct claude *st, const char *id, const char *name, const char *input, size_t input_len, int64_t time_us)
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

int64_t
claude_tool_since(const void *state)
{
	const struct claude *st = state;
	int64_t since = 0;

	for (int i = 0; i < st->open_count; i++)
		if (st->open[i].time_us && (!since || st->open[i].time_us < since))
			since = st->open[i].time_us;
	return since;
}

void
claude_shift(void *state, int64_t us)
{
	struct claude *st = state;

	for (int i = 0; i < st->open_count; i++)
		if (st->open[i].time_us)
			st->open[i].time_us += us;
}

/* ---- questions -------------------------------------------------------------------------------------------- */

int
claude_ask_find(const struct claude *st, const char *id)
{
	for (int i = 0; i < st->ask_count; i++)
		if (strcmp(st->asks[i].id, id) == 0)
			return i;
	return -1;
}

void
claude_ask_drop(struct claude *st, int i)
{
	struct open_ask *a = &st->asks[i];

	st->ask_bytes -= a->input_len;
	free(a->id);
	free(a->tool_name);
	free(a->tool_use_id);
	free(a->input);
	st->ask_count--;
	memmove(a, a + 1, (size_t)(st->ask_count - i) * sizeof(*a));
}

bool
claude_ask_add(struct claude *st, const char *id, const char *tool_name, const char *tool_use_id, const char *input, size_t input_len)
{
	if (st->ask_count == ASKS_MAX || input_len > ASKS_INPUT_MAX - st->ask_bytes)
		return false;
	st->asks[st->ask_count++] = (struct open_ask){
		.id = xstrdup(id),
		.tool_name = xstrdup(tool_name),
		.tool_use_id = xstrdup(tool_use_id),
		.input = xstrndup(input, input_len),
		.input_len = input_len,
	};
	st->ask_bytes += input_len;
	return true;
}

/* JSON objects only: anything else would end the program, which reads it. */
static struct json_object *
parse_own(const char *json, bool *bad)
{
	bool too_deep;
	struct json_object *o = json ? jv_parse(json, strlen(json), &too_deep) : NULL;

	*bad |= json && !o;
	return o;
}

/* "updatedInput": what was asked, or what it was changed to, with the answers of a choice. */
static int
put_input(struct buf *out, const struct open_ask *q, const struct ask_answer *a)
{
	bool bad = false;
	struct json_object *input = parse_own(a->updated_input ? a->updated_input : q->input, &bad), *answers = parse_own(a->answers, &bad);

	if (bad || !input) {
		json_object_put(input);
		json_object_put(answers);
		return -EINVAL;
	}
	if (answers)
		json_object_object_add(input, "answers", answers);
	buf_puts(out, ",\"updatedInput\":");
	jv_write(out, input);
	json_object_put(input);
	return 0;
}

int
claude_answer(void *state, const char *ask_id, const struct ask_answer *a, struct buf *reply)
{
	struct claude *st = state;
	int i = claude_ask_find(st, ask_id), r = 0;
	size_t start = reply->len;

	if (i < 0)
		return -ENOENT;
	buf_puts(reply, "{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":");
	buf_put_json_str(reply, ask_id);
	if (a->allow) {
		buf_puts(reply, ",\"response\":{\"behavior\":\"allow\"");
		r = put_input(reply, &st->asks[i], a);
	} else {
		buf_puts(reply, ",\"response\":{\"behavior\":\"deny\",\"message\":");
		buf_put_json_str(reply, a->text && *a->text ? a->text : DENY_TEXT);
	}
	if (*st->asks[i].tool_use_id) {
		buf_puts(reply, ",\"toolUseID\":");
		buf_put_json_str(reply, st->asks[i].tool_use_id);
	}
	buf_puts(reply, "}}}\n");
	if (r < 0) {
		reply->len = start;
		reply->data[start] = '\0';
		return r;
	}
	claude_ask_drop(st, i);
	return 0;
}

/* ---- prompts ---------------------------------------------------------------------------------------------- */

static void
prompt_drop(struct claude *st, int i)
{
	struct prompt *p = &st->prompts[i];

	free(p->uuid);
	st->prompt_count--;
	memmove(p, p + 1, (size_t)(st->prompt_count - i) * sizeof(*p));
}

static int
prompt_find(const struct claude *st, const char *uuid)
{
	for (int i = 0; i < st->prompt_count; i++)
		if (strcmp(st->prompts[i].uuid, uuid) == 0)
			return i;
	return -1;
}

void
prompt_begin(struct claude *st, const char *uuid, bool started)
{
	int i = prompt_find(st, uuid);

	if (i < 0) {
		if (st->prompt_count == PROMPTS_MAX)
			prompt_drop(st, 0);
		i = st->prompt_count++;
		st->prompts[i] = (struct prompt){ .uuid = xstrdup(uuid) };
	}
	if (!started)
		return;
	st->prompts[i].started = true;
	st->answered = false;
}

bool
prompt_end(struct claude *st, const char *uuid)
{
	int i = prompt_find(st, uuid);
	bool without = i < 0 || !st->prompts[i].answered;

	if (i >= 0)
		prompt_drop(st, i);
	return without;
}

void
prompts_answered(struct claude *st, struct json_object *uuids)
{
	size_t n = jv_len(uuids), len;

	for (int i = 0; i < st->prompt_count; i++)
		st->prompts[i].answered |= st->prompts[i].started && n == 0;
	for (size_t k = 0; k < n; k++) {
		const char *uuid = jv_text(json_object_array_get_idx(uuids, k), &len);
		int i = uuid ? prompt_find(st, uuid) : -1;

		if (i >= 0)
			st->prompts[i].answered = true;
	}
}

/* ---- usage ------------------------------------------------------------------------------------------------ */

/* FNV-1a; never 0. */
static uint64_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h ? h : 1;
}

static void
take_max(struct usage *to, const struct usage *u)
{
	to->turns = u->turns > to->turns ? u->turns : to->turns;
	to->input_tokens = u->input_tokens > to->input_tokens ? u->input_tokens : to->input_tokens;
	to->output_tokens = u->output_tokens > to->output_tokens ? u->output_tokens : to->output_tokens;
	to->cost_usd = u->cost_usd > to->cost_usd ? u->cost_usd : to->cost_usd;
}

static void
usage_show(struct claude *st)
{
	struct usage now = {
		.turns = count_add(st->turns, st->turn.turns),
		.input_tokens = count_add(st->input_tokens, st->turn.input_tokens),
		.output_tokens = count_add(st->output_tokens, st->turn.output_tokens),
		.cost_usd = st->cost > 0 ? st->cost : st->cost_total,
	};

	take_max(&st->shown, &now);
}

void
usage_message(struct claude *st, const char *id, struct json_object *usage, bool main)
{
	uint64_t h = hash(id);
	int64_t output = jv_count(usage, "output_tokens");
	int i = 0;

	if (!*id || !usage)
		return;
	while (i < SEEN_MAX && st->seen[i] != h)
		i++;
	if (i == SEEN_MAX) {
		i = st->seen_next;
		st->seen_next = (i + 1) % SEEN_MAX;
		st->seen[i] = h;
		st->seen_output[i] = 0;
		st->turn.turns = count_add(st->turn.turns, main);
		st->turn.input_tokens = count_add(st->turn.input_tokens, jv_count(usage, "input_tokens"));
	}
	if (output > st->seen_output[i]) {
		st->turn.output_tokens = count_add(st->turn.output_tokens, output - st->seen_output[i]);
		st->seen_output[i] = output;
	}
	usage_show(st);
}

void
usage_result(struct claude *st, struct json_object *result)
{
	struct json_object *usage = jv_get(result, "usage"), *models = jv_get(result, "model_usage_since_last_result");
	double total = jv_amount(result, "total_cost_usd");
	int64_t input = jv_count(usage, "input_tokens"), output = jv_count(usage, "output_tokens"), model_input = 0, model_output = 0;

	if (json_object_is_type(models, json_type_object)) {
		json_object_object_foreach(models, name, one)
		{
			double cost = jv_amount(one, "costUSD");

			(void)name;
			if (cost < COST_MAX)
				st->cost += cost;
			model_input = count_add(model_input, jv_count(one, "inputTokens"));
			model_output = count_add(model_output, jv_count(one, "outputTokens"));
		}
	} else if (total > st->cost_total && total < COST_MAX) {
		st->cost_total = total;
	}
	/* A turn that was interrupted has no usage of its own, and that of subagents is not in it. */
	st->input_tokens = count_add(st->input_tokens, model_input > input ? model_input : input);
	st->output_tokens = count_add(st->output_tokens, model_output > output ? model_output : output);
	st->turns = count_add(st->turns, jv_count(result, "num_turns"));
	st->turn = (struct usage){ 0 };
	usage_show(st);
}

void
claude_usage(const void *state, struct usage *u)
{
	*u = ((const struct claude *)state)->shown;
}

/* ---- birth, death, and what is kept ------------------------------------------------------------------------ */

void *
claude_state_new(void)
{
	return xcalloc(1, sizeof(struct claude));
}

static void
state_clear(struct claude *st)
{
	while (st->open_count > 0)
		open_drop(st, st->open_count - 1);
	while (st->ask_count > 0)
		claude_ask_drop(st, st->ask_count - 1);
	while (st->prompt_count > 0)
		prompt_drop(st, st->prompt_count - 1);
	free(st->open);
	free(st->result);
	free(st->error);
	free(st->last_stderr);
	memset(st, 0, sizeof(*st));
}

void
claude_state_free(void *state)
{
	if (!state)
		return;
	state_clear(state);
	free(state);
}

/* Members that are plain numbers. */
static const struct {
	const char *name;
	size_t offset;
} counts[] = {
#define COUNT(name, member) { name, offsetof(struct claude, member) }
	COUNT("retry", retry_us),	      COUNT("limit", limit_us),
	COUNT("delay", delay_us),	      COUNT("input", input_tokens),
	COUNT("output", output_tokens),	      COUNT("turns", turns),
	COUNT("turn_input", turn.input_tokens), COUNT("turn_output", turn.output_tokens),
	COUNT("turn_turns", turn.turns),      COUNT("shown_input", shown.input_tokens),
	COUNT("shown_output", shown.output_tokens), COUNT("shown_turns", shown.turns),
}, amounts[] = {
	COUNT("cost", cost), COUNT("total", cost_total), COUNT("shown_cost", shown.cost_usd),
}, flags[] = {
	COUNT("interrupted", interrupted), COUNT("limited", limited),
}, texts[] = {
	COUNT("result", result), COUNT("error", error), COUNT("stderr", last_stderr),
#undef COUNT
};

/* ,"name":[…] of lists: of each element what is between the brackets. */
static void
save_lists(const struct claude *st, struct buf *out)
{
	/* Inputs of tools are left out: they are for show only, and may be long. */
	buf_puts(out, ",\"tools\":[");
	for (int i = 0; i < st->open_count; i++) {
		buf_puts(out, i > 0 ? ",[" : "[");
		buf_put_json_str(out, st->open[i].id);
		buf_putc(out, ',');
		buf_put_json_str(out, st->open[i].name);
		buf_printf(out, ",%lld]", (long long)st->open[i].time_us);
	}
	buf_puts(out, "],\"asks\":[");
	for (int i = 0; i < st->ask_count; i++) {
		const struct open_ask *a = &st->asks[i];

		buf_puts(out, i > 0 ? ",[" : "[");
		buf_put_json_str(out, a->id);
		buf_putc(out, ',');
		buf_put_json_str(out, a->tool_name);
		buf_putc(out, ',');
		buf_put_json_str(out, a->tool_use_id);
		buf_putc(out, ',');
		buf_put(out, a->input, a->input_len);
		buf_putc(out, ']');
	}
	buf_puts(out, "],\"prompts\":[");
	for (int i = 0; i < st->prompt_count; i++) {
		buf_puts(out, i > 0 ? ",[" : "[");
		buf_put_json_str(out, st->prompts[i].uuid);
		buf_printf(out, ",%d]", st->prompts[i].started + 2 * st->prompts[i].answered);
	}
	buf_puts(out, "],\"seen\":[");
	for (int i = 0, n = 0; i < SEEN_MAX; i++) {
		int k = (st->seen_next + i) % SEEN_MAX; /* the oldest first */

		if (st->seen[k])
			buf_printf(out, "%s[\"%llx\",%lld]", n++ ? "," : "", (unsigned long long)st->seen[k], (long long)st->seen_output[k]);
	}
	buf_putc(out, ']');
}

void
claude_save(void *state, struct buf *out)
{
	const struct claude *st = state;
	const char *base = state;

	buf_puts(out, "{\"outcome\":");
	buf_put_json_str(out, st->answered ? outcome_name(st->outcome) : NULL);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		buf_printf(out, ",\"%s\":", texts[i].name);
		buf_put_json_str(out, *(char *const *)(base + texts[i].offset));
	}
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		buf_printf(out, ",\"%s\":%lld", counts[i].name, (long long)*(const int64_t *)(base + counts[i].offset));
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		buf_printf(out, ",\"%s\":", amounts[i].name);
		jv_write_double(out, *(const double *)(base + amounts[i].offset));
	}
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		buf_printf(out, ",\"%s\":%s", flags[i].name, *(const bool *)(base + flags[i].offset) ? "true" : "false");
	save_lists(st, out);
	buf_putc(out, '}');
}

/* Element i of a list that is an array itself: its k-th text, or NULL. */
static const char *
text_at(struct json_object *row, size_t k)
{
	size_t n;

	return json_object_is_type(row, json_type_array) ? jv_text(json_object_array_get_idx(row, k), &n) : NULL;
}

static int64_t
number_at(struct json_object *row, size_t k)
{
	int64_t n = json_object_get_int64(json_object_array_get_idx(row, k));

	return n > 0 ? n : 0;
}

static void
restore_tool(struct claude *st, struct json_object *row)
{
	if (text_at(row, 0) && text_at(row, 1))
		open_add(st, text_at(row, 0), text_at(row, 1), NULL, 0, number_at(row, 2));
}

static void
restore_ask(struct claude *st, struct json_object *row)
{
	struct json_object *input = text_at(row, 0) ? json_object_array_get_idx(row, 3) : NULL;
	struct buf b = BUF_INIT;

	if (!json_object_is_type(input, json_type_object) || !text_at(row, 1) || !text_at(row, 2) || claude_ask_find(st, text_at(row, 0)) >= 0)
		return;
	jv_write(&b, input);
	claude_ask_add(st, text_at(row, 0), text_at(row, 1), text_at(row, 2), b.data, b.len);
	buf_free(&b);
}

static void
restore_prompt(struct claude *st, struct json_object *row)
{
	if (!text_at(row, 0))
		return;
	prompt_begin(st, text_at(row, 0), number_at(row, 1) & 1);
	st->prompts[prompt_find(st, text_at(row, 0))].answered = number_at(row, 1) & 2;
}

static void
restore_seen(struct claude *st, struct json_object *row)
{
	const char *hex = text_at(row, 0);
	uint64_t h = hex ? strtoull(hex, NULL, 16) : 0;

	if (!h)
		return;
	st->seen[st->seen_next] = h;
	st->seen_output[st->seen_next] = number_at(row, 1);
	st->seen_next = (st->seen_next + 1) % SEEN_MAX;
}

static const struct {
	const char *name;
	void (*restore)(struct claude *st, struct json_object *row);
} lists[] = {
	{ "tools", restore_tool },
	{ "asks", restore_ask },
	{ "prompts", restore_prompt },
	{ "seen", restore_seen },
};

void
claude_restore(void *state, const char *json, size_t n)
{
	struct claude *st = state;
	char *base = state;
	bool too_deep;
	struct json_object *o = jv_parse(json, n, &too_deep);
	int outcome = outcome_parse(jv_word(o, "outcome"));

	state_clear(st);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*(char **)(base + texts[i].offset) = jv_copy(o, texts[i].name);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		*(int64_t *)(base + counts[i].offset) = jv_count(o, counts[i].name);
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
		*(double *)(base + amounts[i].offset) = jv_amount(o, amounts[i].name);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		*(bool *)(base + flags[i].offset) = jv_true(o, flags[i].name);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct json_object *list = jv_get(o, lists[i].name);

		for (size_t k = 0; k < jv_len(list); k++)
			lists[i].restore(st, json_object_array_get_idx(list, k));
	}
	st->answered = outcome >= 0;
	st->outcome = st->answered ? (enum outcome)outcome : OUTCOME_NONE;
	usage_show(st); /* a state of before there was `shown` */
	json_object_put(o);
}
