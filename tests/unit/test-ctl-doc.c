/* SPDX-License-Identifier: MIT */
/* What the commands of documents do with names, texts and JSON. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "ctl/doc.h"
#include "ctl/output.h"

static void
test_json(void **state)
{
	static const char text[] = "{\"a\":1,\"b\":[],\"c\":{},\"d\":[1,\"x/\\u00e9\\n\"],\"e\":{\"f\":null,\"g\":true,\"h\":1.50}}";
	static const char want[] = "{\n  \"a\": 1,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    \"x/\xc3\xa9\\n\"\n  ],\n  \"e\": {\n    \"f\": null,\n"
				   "    \"g\": true,\n    \"h\": 1.50\n  }\n}";
	struct json_object *o = js_parse(text, strlen(text));
	struct buf b = BUF_INIT;

	doc_put_json(&b, o);
	assert_string_equal(b.data, want);
	json_object_put(o);
	o = js_parse("[]", 2);
	buf_reset(&b);
	doc_put_json(&b, o);
	assert_string_equal(b.data, "[]");
	json_object_put(o);
	buf_free(&b);
}

static void
test_tags(void **state)
{
	static const char *const cases[][2] = {
		{ NULL, "" }, { "", "" }, { "a", "a" }, { " a , b ,, c ", "a,b,c" }, { ",,", "" }, { "x y", "x y" }, { "a,a", "a,a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP_FREE char *got = doc_tags(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
	}
}

static void
test_filename(void **state)
{
	static const char *const cases[][2] = {
		{ "attachment; filename=\"a b.md\"", "a b.md" },
		{ "attachment; filename=plain.txt; x=y", "plain.txt" },
		{ "attachment;filename=\"q\\\"uote\\\\.md\"", "q\"uote\\.md" },
		{ "attachment; FILENAME=\"x\"", "x" },
		/* The one for all characters comes first, wherever it stands. */
		{ "attachment; filename=\"e.md\"; filename*=UTF-8''%c3%a9%20x.md", "\xc3\xa9 x.md" },
		{ "attachment; filename*=ISO-8859-1''%e9; filename=\"e\"", "e" },
		/* What stands in quotes is no parameter. */
		{ "attachment; x=\"; filename=evil\"; filename=good", "good" },
		/* Names that lead elsewhere. */
		{ "attachment; filename=\"../../etc/passwd\"", "passwd" },
		{ "attachment; filename=\"/etc/cron.d/x\"", "x" },
		{ "attachment; filename*=UTF-8''..%2F..%2Fx", "x" },
		{ "attachment; filename=\"..\"", NULL },
		{ "attachment; filename=\"x/..\"", NULL },
		{ "attachment; filename=\"dir/\"", NULL },
		{ "attachment; filename=\"\"", NULL },
		{ "attachment; filename=\"a\033[2Jb\"", NULL },
		{ "attachment; filename*=UTF-8''a%00b", NULL },
		{ "attachment; filename*=UTF-8''a%0ab", NULL },
		{ "attachment", NULL },
		{ "", NULL },
		{ "attachment; filename=\"unclosed", "unclosed" },
		{ "attachment; filename*=UTF-8''%", "%" },
		{ "\"", NULL },
		{ "\"\\", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;
		bool ok = doc_filename(&b, cases[i][0]);

		assert_int_equal(ok, cases[i][1] != NULL);
		if (ok)
			assert_string_equal(b.data, cases[i][1]);
		buf_free(&b);
	}
}

static void
test_characters(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1 + 2 + 3 + 4 + 1 bytes */
	static const struct {
		int64_t skip, n;
		size_t from, len;
	} cases[] = {
		{ 0, 0, 0, 0 }, { 0, 1, 0, 1 }, { 1, 1, 1, 2 }, { 2, 2, 3, 7 }, { 0, 5, 0, 11 }, { 4, INT64_MAX, 10, 1 }, { 5, 3, 11, 0 },
		{ 99, 1, 11, 0 }, { 1, INT64_MAX, 1, 10 }, { INT64_MAX, INT64_MAX, 11, 0 },
	};
	size_t from, len;
	int64_t total;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(doc_characters(text, strlen(text), cases[i].skip, cases[i].n, &from, &len, &total));
		assert_int_equal(from, cases[i].from);
		assert_int_equal(len, cases[i].len);
		assert_int_equal(total, 5);
	}
	assert_true(doc_characters("", 0, 0, 5, &from, &len, &total));
	assert_int_equal(from + len + (size_t)total, 0);
	assert_false(doc_characters("a\xff", 2, 0, 1, &from, &len, &total));
	assert_false(doc_characters("a\xc3", 2, 0, 1, &from, &len, &total));
}

static void
expect_edit(struct doc_edit edit, const char *text, const char *want, const char *info_or_error)
{
	struct json_object *info = NULL;
	struct buf out = BUF_INIT;
	struct err e = { 0 };
	int r = doc_edit_text(&edit, text, strlen(text), &out, &info, &e);

	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(out.data, want);
		assert_string_equal(json_object_to_json_string_ext(info, JSON_C_TO_STRING_PLAIN), info_or_error);
	} else {
		assert_int_equal(r, -EINVAL);
		assert_null(info);
		assert_string_equal(e.text, info_or_error);
	}
	json_object_put(info);
	buf_free(&out);
}

#define EDIT(...) ((struct doc_edit){ __VA_ARGS__ })

static void
test_edit(void **state)
{
	expect_edit(EDIT(.old = "b", .new = "X"), "abc", "aXc", "{\"replacements_made\":1}");
	expect_edit(EDIT(.old = "abc", .new = ""), "abc", "", "{\"replacements_made\":1}");
	expect_edit(EDIT(.old = "aa", .new = "a", .all = true), "aaaaa", "aaa", "{\"replacements_made\":2}");
	/* What is put in is not looked at again. */
	expect_edit(EDIT(.old = "x", .new = "xx", .all = true), "x.x", "xx.xx", "{\"replacements_made\":2}");
	expect_edit(EDIT(.old = "q", .new = "X"), "abc", NULL, "old_string not found in document");
	expect_edit(EDIT(.old = "a", .new = "X"), "aba", NULL, "old_string matches 2 times; use replace_all=true or provide more context");
	expect_edit(EDIT(.old = "", .new = "X"), "aba", NULL, "old_string is empty");
	expect_edit(EDIT(.old = "a", .new = "X"), "", NULL, "old_string not found in document");

	expect_edit(EDIT(.new = "X", .offset = 1), "abc", "aXbc", "{\"edit_range\":{\"offset\":1,\"old_length\":0,\"new_length\":1}}");
	expect_edit(EDIT(.new = "", .offset = 1, .length = 2), "abc", "a", "{\"edit_range\":{\"offset\":1,\"old_length\":2,\"new_length\":0}}");
	expect_edit(EDIT(.new = "\xc3\xa9", .offset = 3), "abc", "abc\xc3\xa9", "{\"edit_range\":{\"offset\":3,\"old_length\":0,\"new_length\":1}}");
	/* Characters, not bytes. */
	expect_edit(EDIT(.new = "e", .offset = 1, .length = 1), "x\xc3\xa9y", "xey", "{\"edit_range\":{\"offset\":1,\"old_length\":1,\"new_length\":1}}");
	expect_edit(EDIT(.new = "X", .offset = -1), "abc", NULL, "offset must be non-negative");
	expect_edit(EDIT(.new = "X", .offset = 4), "abc", NULL, "offset 4 exceeds document length 3");
	expect_edit(EDIT(.new = "X", .offset = 2, .length = 2), "abc", NULL, "range exceeds document length (offset=2, length=2, doc_length=3)");
	expect_edit(EDIT(.new = "X", .offset = 2, .length = INT64_MAX), "abc", NULL,
		    "range exceeds document length (offset=2, length=9223372036854775807, doc_length=3)");
	expect_edit(EDIT(.new = "X", .offset = 0), "a\xff", NULL, "the document is not valid UTF-8 text");
}

static void
test_relations(void **state)
{
	static const char list[] = "[{\"from\":\"a\",\"to\":\"b\",\"type\":\"parent-child\",\"created_at\":\"T\"},{\"from\":\"c\",\"to\":\"a\",\"type\":\"parent-child\"},"
				   "{\"from\":\"a\",\"to\":\"d\",\"type\":\"cites\"}]";
	static const char want[] =
		"{\"parent\":[{\"id\":\"a:parent-child:b\",\"related_document_id\":\"b\",\"note\":null,\"created_at\":\"T\"}],"
		"\"child\":[{\"id\":\"c:parent-child:a\",\"related_document_id\":\"c\",\"note\":null,\"created_at\":null}],"
		"\"cites\":[{\"id\":\"a:cites:d\",\"related_document_id\":\"d\",\"note\":null,\"created_at\":null}]}";
	struct json_object *in = js_parse(list, strlen(list)), *out = doc_relations(in, "a");

	assert_string_equal(json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN), want);
	json_object_put(in);
	json_object_put(out);
	out = doc_relations(NULL, "a");
	assert_string_equal(json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN), "{}");
	json_object_put(out);
}

static void
test_sizes(void **state)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" }, { 1536, "1.5 KiB" }, { 1048575, "1.0 MiB" }, { 1048576, "1.0 MiB" },
		{ 1LL << 30, "1.0 GiB" }, { 5LL << 40, "5.0 TiB" }, { 5000LL << 40, "5000.0 TiB" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;

		doc_put_size(&b, cases[i].bytes);
		assert_string_equal(b.data, cases[i].text);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),       cmocka_unit_test(test_tags), cmocka_unit_test(test_filename),
		cmocka_unit_test(test_characters), cmocka_unit_test(test_edit), cmocka_unit_test(test_relations),
		cmocka_unit_test(test_sizes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
