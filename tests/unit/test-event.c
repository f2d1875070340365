/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "model/event.h"

static struct json_object *
render(const struct event_row *row, bool raw)
{
	struct buf b = BUF_INIT;
	struct json_object *o;

	event_render(&b, row, raw);
	assert_int_equal(b.data[b.len], 0);
	assert_int_equal(strlen(b.data), b.len);
	o = json_tokener_parse(b.data);
	if (!o)
		fail_msg("not JSON: %s", b.data);
	buf_free(&b);
	return o;
}

static const char *
str(struct json_object *o, const char *key)
{
	struct json_object *v;

	assert_true(json_object_object_get_ex(o, key, &v));
	return json_object_get_string(v);
}

static void
put_row(struct event_row *row, const struct event *ev)
{
	memset(row, 0, sizeof(*row));
	row->id = 7;
	row->seq = 3;
	row->run = 2;
	row->session_id = "s-1";
	row->session_name = "one";
	row->type = ev->type;
	row->time_us = ev->time_us;
	row->timestamp = ev->timestamp;
	row->keys = ev->keys;
	row->data = ev->data.data;
	row->data_len = ev->data.len;
	if (ev->raw.len > 0) {
		row->raw = ev->raw.data;
		row->raw_len = ev->raw.len;
	}
}

static void
test_render_empty(void **state)
{
	struct event ev = { 0 };
	struct event_row row;
	struct buf b = BUF_INIT;

	event_begin(&ev, "session_start", 1795342937123456);
	put_row(&row, &ev);
	event_render(&b, &row, true);
	assert_string_equal(b.data,
			    "{\"id\":7,\"seq\":3,\"run\":2,\"event_type\":\"session_start\",\"session_id\":\"s-1\","
			    "\"session_name\":\"one\",\"timestamp\":\"2026-11-22T10:22:17.123456+00:00\","
			    "\"tool_name\":null,\"tool_input\":null,\"tool_output\":null,\"error\":null,"
			    "\"exit_code\":null,\"reason\":null,\"role\":null,\"content\":null}");
	buf_free(&b);
	event_free(&ev);
}

static void
test_render_all_keys(void **state)
{
	struct event ev = { 0 };
	struct event_row row;
	struct json_object *o;

	event_begin(&ev, "post_tool", 1);
	event_put_text(&ev, KEY_TOOL_NAME, "Ba\"sh\n", 6);
	event_put_json(&ev, KEY_TOOL_INPUT, "{\"a\":1}", 7);
	event_put_json(&ev, KEY_TOOL_OUTPUT, "[1,2]", 5);
	event_put_text(&ev, KEY_ERROR, "bad \xff end", 9);
	event_put_int(&ev, KEY_EXIT_CODE, -5);
	event_put_text(&ev, KEY_REASON, "", 0);
	event_put_text(&ev, KEY_ROLE, "assistant", 9);
	event_put_content_text(&ev, "hi", 2);
	event_extra_int(&ev, "n", INT64_MIN);
	event_extra_text(&ev, "t", "\0x", 2);
	event_extra_json(&ev, "j", "null", 4);
	buf_puts(&ev.raw, "{\"the\":\"line\"}");
	assert_int_equal(ev.keys, 0xff);
	put_row(&row, &ev);
	o = render(&row, true);
	assert_string_equal(str(o, "tool_name"), "Ba\"sh\n");
	assert_string_equal(str(o, "tool_output"), "[ 1, 2 ]");
	assert_string_equal(str(o, "error"), "bad \xef\xbf\xbd end");
	assert_string_equal(str(o, "exit_code"), "-5");
	assert_string_equal(str(o, "n"), "-9223372036854775808");
	assert_string_equal(str(o, "raw"), "{\"the\":\"line\"}");
	assert_string_equal(str(o, "content"), "[ { \"type\": \"text\", \"text\": \"hi\" } ]");
	assert_int_equal(json_object_object_length(o), 7 + KEY_COUNT + 3 + 1);
	json_object_put(o);
	o = render(&row, false);
	assert_false(json_object_object_get_ex(o, "raw", NULL));
	json_object_put(o);
	event_free(&ev);
}

/* Each set of keys gives each of the eight exactly once. */
static void
test_render_missing(void **state)
{
	for (uint32_t keys = 0; keys < 1u << KEY_COUNT; keys++) {
		struct event ev = { 0 };
		struct event_row row;
		struct buf b = BUF_INIT;

		event_begin(&ev, "x", 0);
		for (int k = 0; k < KEY_COUNT; k++)
			if (keys & (1u << k))
				event_put_int(&ev, k, k);
		put_row(&row, &ev);
		event_render(&b, &row, false);
		for (int k = 0; k < KEY_COUNT; k++) {
			CLEANUP_FREE char *want = NULL;
			const char *found;

			want = keys & (1u << k) ? xasprintf(",\"%s\":%d", event_key_names[k], k) :
						  xasprintf(",\"%s\":null", event_key_names[k]);
			found = strstr(b.data, want);
			assert_non_null(found);
			assert_null(strstr(found + 1, want));
		}
		buf_free(&b);
		event_free(&ev);
	}
}

static void
test_begin_again(void **state)
{
	struct event ev = { 0 };
	char type[200];

	event_begin(&ev, "message", 1);
	event_put_text(&ev, KEY_ROLE, "user", 4);
	ev.timestamp = xstrdup("yesterday");
	buf_puts(&ev.raw, "raw");
	memset(type, 'a', sizeof(type));
	type[199] = 0;
	event_begin(&ev, type, 2);
	assert_int_equal(strlen(ev.type), EVENT_TYPE_MAX);
	assert_int_equal(ev.keys, 0);
	assert_int_equal(ev.data.len, 0);
	assert_int_equal(ev.raw.len, 0);
	assert_null(ev.timestamp);
	assert_int_equal(ev.time_us, 2);
	event_free(&ev);
}

static void
test_client_timestamp(void **state)
{
	struct event ev = { 0 };
	struct event_row row;
	struct json_object *o;

	event_begin(&ev, "message", 1);
	ev.timestamp = xstrdup("any \"thing\"");
	put_row(&row, &ev);
	row.session_name = NULL;
	o = render(&row, false);
	assert_string_equal(str(o, "timestamp"), "any \"thing\"");
	assert_null(str(o, "session_name"));
	json_object_put(o);
	event_free(&ev);
}

/* The times of the renderer, which has a short way for most of them, are those of time_iso(). */
static void
test_times(void **state)
{
	static const int64_t times[] = { 0, 1, 86399999999, 86400000000, 951782400000000, 951868799999999, 951868800000000,
					 1795342937000000, 4107542400000000, 253402300799999999, -1, -86400000001, INT64_MAX,
					 INT64_MIN, 1795342937123456 };

	for (size_t i = 0; i < ARRAY_LEN(times) * 2; i++) {
		struct event_row row = { .type = "x", .session_id = "s", .time_us = times[i / 2] };
		struct json_object *o;
		char want[TIME_ISO_SIZE];

		if (i % 2)
			row.time_us ^= 4711; /* the same day again */
		o = render(&row, false);
		assert_string_equal(str(o, "timestamp"), time_iso(row.time_us, want));
		json_object_put(o);
	}
}

/* Every byte and every length around the eight bytes that are looked at together. */
static void
test_strings(void **state)
{
	for (int c = 1; c < 128; c++)
		for (size_t n = 1; n < 20; n++)
			for (size_t at = 0; at < n; at++) {
				char name[32];
				struct event_row row = { .type = "x", .session_id = "s", .session_name = name };
				struct json_object *o;

				memset(name, 'a', n);
				name[n] = 0;
				name[at] = (char)c;
				if (c >= 0x23 && c != '\\' && n > 9)
					continue;
				o = render(&row, false);
				assert_string_equal(str(o, "session_name"), name);
				json_object_put(o);
			}
}

static void
test_data_cap(void **state)
{
	struct event ev = { 0 };
	struct event_row row;
	struct json_object *o;
	size_t n = EVENT_DATA_MAX - 10;
	char *big = xmalloc(n);

	memset(big, 'x', n);
	event_begin(&ev, "message", 1);
	event_put_text(&ev, KEY_ROLE, "user", 4);
	event_put_content_text(&ev, big, n);
	event_extra_text(&ev, "after", "ok", 2);
	assert_true(ev.data.len < 100);
	put_row(&row, &ev);
	o = render(&row, false);
	assert_null(str(o, "content"));
	assert_string_equal(str(o, "after"), "ok");
	json_object_put(o);
	event_free(&ev);
	free(big);
}

static void
test_types_table(void **state)
{
	static const char *const need[] = { "session_start", "message", "pre_tool", "post_tool", "session_stop", "init",
					    "result", "output", "usage", "api_retry", "permission_request",
					    "permission_denied", "task", "status", "thinking", "control", "stream",
					    "notice", "unknown", "error", "denied", "freeze", "thaw", "oom", "limit", "budget", "restart", "question", "answer" };
	size_t count = 0;

	for (const struct event_type *t = event_types; t->name; t++, count++) {
		assert_true(strlen(t->name) <= EVENT_TYPE_MAX);
		assert_true(strlen(t->doc) > 10);
		for (const struct event_type *other = t + 1; other->name; other++)
			assert_string_not_equal(t->name, other->name);
	}
	assert_int_equal(count, ARRAY_LEN(need));
	for (size_t i = 0; i < ARRAY_LEN(need); i++) {
		bool found = false;

		for (const struct event_type *t = event_types; t->name; t++)
			found |= strcmp(t->name, need[i]) == 0;
		assert_true(found);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_render_empty),  cmocka_unit_test(test_render_all_keys),
		cmocka_unit_test(test_render_missing), cmocka_unit_test(test_begin_again),
		cmocka_unit_test(test_client_timestamp), cmocka_unit_test(test_times),
		cmocka_unit_test(test_strings),	       cmocka_unit_test(test_data_cap),
		cmocka_unit_test(test_types_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
