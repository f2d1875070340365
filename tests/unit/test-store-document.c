/* SPDX-License-Identifier: MIT */
/* Documents in the store: rows, tags, versions, relations, uses of contents, search. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>

#include "store-rig.h"

static struct store *s;

static int
set_up(void **state)
{
	return make_dir(state) || store_open(path, &s, &e);
}

static int
tear_down(void **state)
{
	store_close(s);
	return remove_dir(state);
}

static const char *
sum(int content)
{
	static char text[65];

	snprintf(text, sizeof(text), "%064x", (unsigned)content);
	return text;
}

static struct document_row
row_of(const char *id, int content, const char *tags)
{
	return (struct document_row){
		.id = id,
		.filename = id,
		.content_type = "text/plain",
		.sha256 = sum(content),
		.size = 100,
		.created_us = 1000000,
		.updated_us = 2000000,
		.version = 1,
		.tags = tags,
		.metadata = "{\"k\":[1]}",
	};
}

static void
add(const char *id, int content, const char *tags)
{
	struct document_row row = row_of(id, content, tags);

	OK(store_begin(s, &e));
	OK(store_document_add(s, &row, &e));
	OK(store_commit(s, &e));
	assert_true(row.n > 0);
}

static int
put_id(const struct document_row *row, void *arg)
{
	buf_printf(arg, "%s ", row->id);
	return 0;
}

static void
assert_list(const char *filename, const char *tags, int64_t limit, int64_t offset, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_document_list(s, filename, tags, limit, offset, put_id, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
assert_refs(int content, int64_t want)
{
	int64_t size, refs;
	int r = store_blob_get(s, sum(content), &size, &refs, &e);

	if (r == -ENOENT)
		refs = -1;
	else
		OK(r);
	assert_int_equal(refs, want);
}

static int
put_tag(const char *tag, int64_t uses, void *arg)
{
	buf_printf(arg, "%s=%d ", tag, (int)uses);
	return 0;
}

static void
assert_tags(const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_tag_list(s, put_tag, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
test_lists(void **state)
{
	add("doc_c", 1, "[\"x\",\"y\"]");
	add("doc_a", 1, "[\"y\",\"x\",\"z\"]");
	add("doc_b", 2, "[\"y\"]");
	add("doc_e_1", 3, "[]");
	assert_list(NULL, NULL, 10, 0, "doc_c doc_a doc_b doc_e_1 ");
	assert_list(NULL, NULL, 2, 1, "doc_a doc_b ");
	assert_list(NULL, NULL, 0, 0, "");
	assert_list(NULL, "[\"y\"]", 10, 0, "doc_a doc_b doc_c ");
	assert_list(NULL, "[\"y\"]", 1, 1, "doc_b ");
	assert_list(NULL, "[\"x\",\"y\"]", 10, 0, "doc_a doc_c ");
	assert_list(NULL, "[\"x\",\"y\",\"z\"]", 10, 0, "doc_a ");
	assert_list(NULL, "[\"z\",\"x\",\"z\",\"y\"]", 10, 0, "doc_a ");
	assert_list(NULL, "[\"y\",\"nowhere\"]", 10, 0, "");
	assert_list(NULL, "[\"Y\"]", 10, 0, "");
	assert_list("C_", NULL, 10, 0, "doc_c doc_a doc_b doc_e_1 ");
	assert_list("e_1", NULL, 10, 0, "doc_e_1 ");
	assert_list("A", "[\"x\"]", 10, 0, "doc_a ");
	assert_tags("x=2 y=3 z=1 ");
	assert_refs(1, 2);
	assert_refs(2, 1);
}

static int
to_json(const struct document_row *row, void *arg)
{
	store_document_json(arg, row, "http://h", ",\"more\":1");
	return 0;
}

static void
test_json(void **state)
{
	struct buf b = BUF_INIT;

	setenv("TZ", "UTC", 1);
	add("doc_1", 1, "[\"x\"]");
	OK(store_document_get(s, "doc_1", 5, to_json, &b, &e));
	assert_string_equal(b.data, "{\"id\":\"doc_1\",\"filename\":\"doc_1\",\"content_type\":\"text/plain\",\"size_bytes\":100,"
				    "\"created_at\":\"1970-01-01T00:00:01.000000\",\"updated_at\":\"1970-01-01T00:00:02.000000\","
				    "\"tags\":[\"x\"],\"metadata\":{\"k\":[1]},\"url\":\"http://h/documents/doc_1\",\"checksum\":"
				    "\"0000000000000000000000000000000000000000000000000000000000000001\",\"version\":1,\"expires_at\":null,"
				    "\"session_id\":null,\"event_seq\":null,\"author\":null,\"more\":1}");
	buf_free(&b);
	assert_int_equal(store_document_get(s, "doc_2", 5, to_json, &b, &e), -ENOENT);
	assert_int_equal(e.status, 404);
}

static void
test_duplicate_id(void **state)
{
	struct document_row row = row_of("doc_1", 2, "[]");

	add("doc_1", 1, "[]");
	OK(store_begin(s, &e));
	assert_int_equal(store_document_add(s, &row, &e), -EEXIST);
	store_rollback(s);
	assert_refs(1, 1);
	assert_refs(2, -1);
}

static int
put_version(const struct document_version_row *v, void *arg)
{
	buf_printf(arg, "%d:%s ", (int)v->version, v->sha256 + 60);
	return 0;
}

static void
assert_versions(const char *id, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_document_versions(s, id, put_version, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
update(const char *id, int64_t version, int content, const char *tags, bool new_content)
{
	struct document_row row = row_of(id, content, tags);

	row.version = version;
	OK(store_begin(s, &e));
	OK(store_document_update(s, &row, new_content, &e));
	OK(store_commit(s, &e));
}

static void
test_versions(void **state)
{
	add("doc_1", 1, "[\"a\"]");
	add("doc_2", 1, "[]");
	update("doc_1", 1, 1, "[\"b\",\"c\"]", false);
	assert_tags("b=1 c=1 ");
	assert_versions("doc_1", "");
	assert_refs(1, 2);
	update("doc_1", 2, 2, "[\"b\",\"c\"]", true);
	update("doc_1", 3, 1, "[\"b\",\"c\"]", true);
	assert_versions("doc_1", "2:0002 1:0001 ");
	assert_refs(1, 3);
	assert_refs(2, 1);
	for (int i = 4; i < 40; i++)
		update("doc_1", i, i, "[]", true);
	assert_refs(1, 1); /* doc_2's */
	assert_refs(2, 0);
	assert_refs(19, 1);
	assert_refs(18, 0);
	assert_tags("");
	struct document_row row = row_of("doc_9", 1, "[]");

	OK(store_begin(s, &e));
	assert_int_equal(store_document_update(s, &row, true, &e), -ENOENT);
	OK(store_commit(s, &e));
}

static int
keep(const char *sha256, int64_t size, void *arg)
{
	return -EIO;
}

static int
let_go(const char *sha256, int64_t size, void *arg)
{
	assert_int_equal(size, 100);
	++*(int *)arg;
	return 0;
}

static int
put_relation(const struct relation_row *r, void *arg)
{
	buf_printf(arg, "%s-%s->%s ", r->from_id, r->type, r->to_id);
	return 0;
}

static void
assert_relations(const char *id, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_relation_list(s, id, put_relation, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static void
test_delete_and_garbage(void **state)
{
	struct relation_row r = {.from_id = "doc_1", .to_id = "doc_2", .type = "t", .created_us = 1};
	int64_t total;
	int gone = 0;

	add("doc_1", 1, "[\"a\"]");
	add("doc_2", 2, "[\"a\"]");
	update("doc_1", 2, 3, "[\"a\"]", true);
	OK(store_begin(s, &e));
	assert_int_equal(store_relation_add(s, &r, &e), 1);
	assert_int_equal(store_relation_add(s, &r, &e), 0);
	assert_relations("doc_1", "doc_1-t->doc_2 ");
	assert_relations("doc_2", "doc_1-t->doc_2 ");
	OK(store_document_delete(s, "doc_1", &e));
	assert_int_equal(store_document_delete(s, "doc_1", &e), -ENOENT);
	OK(store_commit(s, &e));
	assert_relations("doc_2", "");
	assert_versions("doc_1", "");
	assert_tags("a=1 ");
	OK(store_begin(s, &e));
	assert_int_equal(store_blob_collect(s, 10, keep, NULL, &e), 2);
	assert_refs(1, 0);
	OK(store_blob_total(s, &total, &e));
	assert_int_equal(total, 300);
	assert_int_equal(store_blob_collect(s, 10, let_go, &gone, &e), 2);
	assert_int_equal(gone, 2);
	assert_int_equal(store_blob_collect(s, 10, let_go, &gone, &e), 0);
	OK(store_commit(s, &e));
	assert_refs(1, -1);
	assert_refs(3, -1);
	OK(store_blob_total(s, &total, &e));
	assert_int_equal(total, 100);
	/* A content that was let go and comes again counts from the beginning. */
	add("doc_3", 1, "[]");
	assert_refs(1, 1);
}

static void
test_expiry(void **state)
{
	struct document_row row = row_of("doc_1", 1, "[]");
	struct buf b = BUF_INIT;
	int64_t next;

	OK(store_document_next_expiry(s, &next, &e));
	assert_int_equal(next, 0);
	row.expires_us = 500;
	OK(store_begin(s, &e));
	OK(store_document_add(s, &row, &e));
	OK(store_commit(s, &e));
	add("doc_2", 1, "[]");
	OK(store_document_next_expiry(s, &next, &e));
	assert_int_equal(next, 500);
	buf_puts(&b, "");
	OK(store_document_expired(s, 499, 10, put_id, &b, &e));
	assert_string_equal(b.data, "");
	OK(store_document_expired(s, 500, 10, put_id, &b, &e));
	assert_string_equal(b.data, "doc_1 ");
	buf_free(&b);
}

static int
put_hit(const struct document_hit *hit, void *arg)
{
	buf_printf(arg, "%s:%s ", hit->row.id, hit->snippet);
	return 0;
}

static void
assert_found(const char *match, const char *want)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	OK(store_document_search(s, match, "<", ">", 10, 0, put_hit, &b, &e));
	assert_string_equal(b.data, want);
	buf_free(&b);
}

static int
index_one(const struct document_row *row, void *arg)
{
	*(int64_t *)arg = row->n;
	return 0;
}

static void
index_next(const char *text)
{
	int64_t n = 0;

	OK(store_document_to_index(s, 1, index_one, &n, &e));
	assert_true(n > 0);
	OK(store_begin(s, &e));
	OK(store_document_index(s, n, text, strlen(text), &e));
	OK(store_commit(s, &e));
}

static void
test_search(void **state)
{
	struct document_row row = row_of("doc_1", 1, "[]");
	int64_t n = 0;

	row.to_index = true;
	OK(store_begin(s, &e));
	OK(store_document_add(s, &row, &e));
	row.id = "doc_2";
	OK(store_document_add(s, &row, &e));
	OK(store_commit(s, &e));
	index_next("int foo_bar(void);");
	index_next("Foo Bar, \xc3\xbc" "ber");
	OK(store_document_to_index(s, 1, index_one, &n, &e));
	assert_int_equal(n, 0);
	assert_found("\"foo_bar\"", "doc_1:int <foo_bar>(void); ");
	assert_found("\"foo\"", "doc_2:<Foo> Bar, \xc3\xbc" "ber doc_1:int <foo>_bar(void); ");
	assert_found("\"\xc3\xbc" "ber\"", "doc_2:Foo Bar, <\xc3\xbc" "ber> ");
	assert_found("\"foo\" \"void\"", "doc_1:int <foo>_bar(<void>); ");
	/* New content that is no text, and a delete, take the old one out. */
	update("doc_1", 2, 2, "[]", true);
	assert_found("\"void\"", "");
	OK(store_begin(s, &e));
	OK(store_document_delete(s, "doc_2", &e));
	OK(store_commit(s, &e));
	assert_found("\"foo\"", "");
	assert_int_equal(store_document_search(s, "\"broken", "", "", 1, 0, put_hit, NULL, &e) < 0, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_duplicate_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_versions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delete_and_garbage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_expiry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_search, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
