/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the output of claude. Lines that begin with byte 1 are of stderr, with byte 2 pieces of a long line, with byte 3
 * a saved state. No crash; every event is valid JSON with the keys that it says; a state survives being saved.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "adapter/adapter.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

/* Strict JSON in valid UTF-8; a buf_put_json() of valid text says so. */
static struct json_object *
parse(const char *s, size_t n)
{
	struct json_tokener *tok = json_tokener_new_ex(100);
	struct json_object *o;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, s, (int)n);
	require(json_tokener_get_error(tok) == json_tokener_success);
	require(json_object_is_type(o, json_type_object));
	json_tokener_free(tok);
	return o;
}

static void
check_events(const struct adapter_out *out)
{
	for (int i = 0; i < out->event_count; i++) {
		const struct event *ev = &out->events[i];
		const struct event_row row = { .type = ev->type, .session_id = "s", .keys = ev->keys, .data = ev->data.data,
					       .data_len = ev->data.len, .raw = ev->raw.len > 0 ? ev->raw.data : NULL,
					       .raw_len = ev->raw.len };
		struct buf b = BUF_INIT;
		struct json_object *o, *v;

		event_render(&b, &row, true);
		o = parse(b.data, b.len);
		for (int k = 0; k < KEY_COUNT; k++) {
			require(json_object_object_get_ex(o, event_key_names[k], &v));
			if (!(ev->keys & (1u << k)))
				require(v == NULL);
		}
		json_object_put(o);
		buf_free(&b);
	}
}

static void
check_state(const struct adapter *ad, void *st)
{
	struct buf first = BUF_INIT, second = BUF_INIT, third = BUF_INIT;
	void *copy = ad->state_new();

	ad->save(st, &first);
	json_object_put(parse(first.data, first.len));
	ad->restore(copy, first.data, first.len);
	ad->save(copy, &second);
	ad->restore(copy, second.data, second.len);
	ad->save(copy, &third);
	/* The second, not the first: broken UTF-8 is mended once. */
	require(strcmp(second.data, third.data) == 0);
	ad->state_free(copy);
	buf_free(&first);
	buf_free(&second);
	buf_free(&third);
}

/* What is asked can be answered, once, in JSON; every second question is. */
static void
answer_asks(const struct adapter *ad, void *st, const struct adapter_out *out)
{
	const struct ask_answer a = { .allow = true, .answers = "{\"q\":\"a\"}" };
	struct buf b = BUF_INIT;

	for (int i = 0; i < out->ask_count; i++) {
		json_object_put(parse(out->asks[i].question.data, out->asks[i].question.len));
		if (strlen(out->asks[i].id) % 2)
			continue;
		buf_reset(&b);
		require(ad->answer(st, out->asks[i].id, &a, &b) == 0);
		require(b.data[b.len - 1] == '\n');
		json_object_put(parse(b.data, b.len));
		require(ad->answer(st, out->asks[i].id, &a, &b) == -ENOENT);
	}
	buf_free(&b);
}

static void
check_usage(const struct usage *before, const struct usage *after)
{
	require(before->turns <= after->turns && before->input_tokens <= after->input_tokens);
	require(before->output_tokens <= after->output_tokens && before->cost_usd <= after->cost_usd);
}

static void
feed(const struct adapter *ad, void *st, const char *s, size_t n, struct adapter_out *out)
{
	int kind = n > 0 && s[0] > 0 && s[0] <= 3 ? s[0] : 0;
	struct usage before, after;
	/* Of the exact size, so that a sanitizer sees a read behind its end. */
	char *line = malloc(n > 0 ? n : 1);

	if (!line)
		abort();
	if (kind > 0) {
		s++;
		n--;
	}
	if (n > 0)
		memcpy(line, s, n);
	adapter_out_reset(out);
	ad->usage(st, &before);
	if (kind == 3)
		ad->restore(st, line, n);
	else
		ad->line(st, kind == 1 ? ADAPTER_STDERR : ADAPTER_STDOUT, 1, line, n, kind == 2, kind == 2, out);
	require(kind == 3 || out->event_count > 0);
	require(out->reply.len == 0 || out->reply.data[out->reply.len - 1] == '\n');
	require(!out->turn_done || out->turn.outcome > OUTCOME_NONE);
	check_events(out);
	ad->usage(st, &after);
	if (kind != 3)
		check_usage(&before, &after);
	answer_asks(ad, st, out);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct adapter *ad = adapter_find("claude");
	struct run_exit x = { .known = true, .wait_status = size % 3 == 0 ? 0 : 256 };
	struct run_result r = { .exit_code = -1 };
	struct adapter_out out = { 0 };
	void *st = ad->state_new();

	for (size_t at = 0; at < size;) {
		const uint8_t *nl = memchr(data + at, '\n', size - at);
		size_t n = nl ? (size_t)(nl - data) - at : size - at;

		feed(ad, st, (const char *)data + at, n, &out);
		at += n + 1;
	}
	check_state(ad, st);
	ad->end(st, &x, &out, &r);
	require(r.outcome > OUTCOME_NONE && r.outcome < OUTCOME_COUNT);
	require((r.outcome == OUTCOME_SUCCESS) == (r.error == NULL));
	require(r.input_tokens >= 0 && r.output_tokens >= 0 && r.turns >= 0 && r.cost_usd >= 0);
	free(r.result);
	free(r.error);
	ad->state_free(st);
	adapter_out_free(&out);
	return 0;
}
