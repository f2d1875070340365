/* SPDX-License-Identifier: MIT */
/* Blueprints and their versions in the store, and a database from before there were any. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>

#include "store-rig.h"

static void
put(struct store *s, const char *name, const char *status, int64_t version, const char *text)
{
	CLEANUP_FREE char *json = xasprintf("{\"name\":\"%s\"}", name);
	struct blueprint_row row = {
		.name = name,
		.status = status,
		.path = "/etc/x",
		.version = version,
		.created_us = 1,
		.modified_us = 2,
		.json = json,
		.json_len = strlen(json),
		.settings = "{}",
		.settings_len = 2,
		.problems = "[]",
		.problems_len = 2,
		.text = text,
		.text_len = strlen(text),
	};

	OK(store_blueprint_put(s, &row, &e));
}

static void
add_version(struct store *s, const char *name, int64_t version, const char *text)
{
	struct version_row row = {
		.name = name,
		.version = version,
		.time_us = 1000 + version,
		.author = "uid:7",
		.action = "put",
		.unit_bytes = strlen(text),
		.text = text,
		.text_len = strlen(text),
		.files = "[]",
		.files_len = 2,
	};

	OK(store_version_add(s, &row, &e));
}

static int
print_blueprint(const struct blueprint_row *row, void *arg)
{
	buf_printf(arg, "%s %s %s %" PRId64 " %.*s|%.*s;", row->name, row->status,
		   row->alias_of ? row->alias_of : "-", row->version, (int)row->json_len, row->json,
		   (int)row->text_len, row->text ? row->text : "");
	return 0;
}

static int
print_json(const struct blueprint_row *row, void *arg)
{
	store_blueprint_json(arg, row);
	return 0;
}

static int
print_version(const struct version_row *row, void *arg)
{
	buf_printf(arg, "%s/%" PRId64 " %" PRId64 " %s %s %zu %.*s;", row->name, row->version,
		   row->time_us, row->author, row->action, row->unit_bytes, (int)row->text_len,
		   row->text ? row->text : "");
	return 0;
}

static int
stop_at_once(const struct blueprint_row *row, void *arg)
{
	return 7;
}

static void
assert_printed(struct buf *b, const char *want)
{
	assert_string_equal(b->data ? b->data : "", want);
	buf_free(b);
}

static void
test_blueprints(void **state)
{
	struct store *s = open_store(), *reader;
	struct buf b = BUF_INIT;

	assert_int_equal(store_blueprint_changes(s), 0);
	OK(store_begin(s, &e));
	put(s, "b", "active", 1, "[Agent]\n");
	put(s, "a", "inactive", 4, "");
	put(s, "b", "bad", 2, "[Agent\n");
	OK(store_commit(s, &e));
	OK(store_open_read(path, &reader, &e));
	assert_int_equal(store_blueprint_changes(reader), 3);
	OK(store_blueprint_list(reader, print_blueprint, &b, &e));
	assert_printed(&b, "a inactive - 4 {\"name\":\"a\"}|;b bad - 2 {\"name\":\"b\"}|;");
	assert_int_equal(store_blueprint_list(reader, stop_at_once, NULL, &e), 7);
	OK(store_blueprint_get(reader, "bc", 1, print_blueprint, &b, &e));
	assert_printed(&b, "b bad - 2 {\"name\":\"b\"}|[Agent\n;");
	OK(store_blueprint_get(reader, "b", 1, print_json, &b, &e));
	assert_printed(&b, "{\"name\":\"b\",\"settings\":{},\"problems\":[]}");
	assert_int_equal(store_blueprint_get(reader, "c", 1, print_blueprint, &b, &e), -ENOENT);
	assert_string_equal(e.text, "Agent not found: c");
	assert_int_equal(e.status, 404);
	OK(store_begin(s, &e));
	OK(store_blueprint_delete(s, "b", &e));
	OK(store_blueprint_delete(s, "no such", &e));
	OK(store_commit(s, &e));
	assert_int_equal(store_blueprint_get(reader, "b", 1, print_blueprint, &b, &e), -ENOENT);
	store_close(reader);
	store_close(s);
}

static void
test_versions(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;

	OK(store_version_list(s, "x", 1, 10, print_version, &b, &e));
	assert_printed(&b, "");
	assert_int_equal(store_version_get(s, "x", 1, 0, print_version, &b, &e), -ENOENT);
	OK(store_begin(s, &e));
	add_version(s, "x", 1, "one");
	add_version(s, "x", 2, "two");
	add_version(s, "y", 1, "other");
	OK(store_commit(s, &e));
	OK(store_version_list(s, "x", 1, 10, print_version, &b, &e));
	assert_printed(&b, "x/2 1002 uid:7 put 3 ;x/1 1001 uid:7 put 3 ;");
	OK(store_version_list(s, "x", 1, 1, print_version, &b, &e));
	assert_printed(&b, "x/2 1002 uid:7 put 3 ;");
	OK(store_version_get(s, "x", 1, 0, print_version, &b, &e));
	assert_printed(&b, "x/2 1002 uid:7 put 3 two;");
	OK(store_version_get(s, "x", 1, 1, print_version, &b, &e));
	assert_printed(&b, "x/1 1001 uid:7 put 3 one;");
	assert_int_equal(store_version_get(s, "x", 1, 3, print_version, &b, &e), -ENOENT);
	/* A number that is taken is an error of the program, and takes the transaction with it. */
	OK(store_begin(s, &e));
	struct version_row again = {
		.name = "x", .version = 2, .author = "a", .action = "b", .text = "", .files = ""};

	assert_true(store_version_add(s, &again, &e) < 0);
	store_rollback(s);
	store_close(s);
}

static void
test_versions_are_pruned(void **state)
{
	struct store *s = open_store();
	struct buf b = BUF_INIT;

	OK(store_begin(s, &e));
	for (int64_t i = 1; i <= STORE_VERSIONS_KEPT + 5; i++)
		add_version(s, "x", i, "text");
	OK(store_commit(s, &e));
	assert_int_equal(store_version_get(s, "x", 1, 5, print_version, &b, &e), -ENOENT);
	OK(store_version_get(s, "x", 1, 6, print_version, &b, &e));
	buf_free(&b);
	store_close(s);
}

/* ---- a database of schema 1 -------------------------------------------------------------------- */

/* As it was released; nothing here is ever changed. */
static const char schema_1[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
	"CREATE TABLE session ("
	" n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT,"
	" state TEXT NOT NULL, outcome TEXT, passive INTEGER NOT NULL DEFAULT 0,"
	" project_dir TEXT, agent_name TEXT, adapter TEXT, parent_id TEXT,"
	" created_us BIGINT NOT NULL DEFAULT 0, last_resumed_us BIGINT NOT NULL DEFAULT 0,"
	" started_us BIGINT NOT NULL DEFAULT 0, ended_us BIGINT NOT NULL DEFAULT 0,"
	" runs BIGINT NOT NULL DEFAULT 0, last_seq BIGINT NOT NULL DEFAULT 0,"
	" exit_code INTEGER NOT NULL DEFAULT -1, signal INTEGER NOT NULL DEFAULT 0, error TEXT,"
	" cost_usd DOUBLE PRECISION NOT NULL DEFAULT 0, input_tokens BIGINT NOT NULL DEFAULT 0,"
	" output_tokens BIGINT NOT NULL DEFAULT 0, turns BIGINT NOT NULL DEFAULT 0, "
	"agent_session_id TEXT,"
	" node TEXT, lease_until_us BIGINT NOT NULL DEFAULT 0, fence BIGINT NOT NULL DEFAULT 0);"
	"CREATE INDEX session_name ON session (name);"
	"CREATE INDEX session_live ON session (n) WHERE state IN ('pending', 'running', "
	"'stopping');"
	"CREATE TABLE result (session BIGINT PRIMARY KEY REFERENCES session (n), text TEXT NOT "
	"NULL);"
	"CREATE TABLE run ("
	" session BIGINT NOT NULL REFERENCES session (n), n BIGINT NOT NULL, boot_id TEXT,"
	" shim_pid BIGINT NOT NULL, shim_start BIGINT NOT NULL,"
	" offset0 BIGINT NOT NULL, offset1 BIGINT NOT NULL, offset2 BIGINT NOT NULL, in_seq BIGINT "
	"NOT NULL,"
	" outcome TEXT, exit_code INTEGER NOT NULL, signal INTEGER NOT NULL,"
	" started_us BIGINT NOT NULL, ended_us BIGINT NOT NULL, error TEXT, adapter_state TEXT,"
	" PRIMARY KEY (session, n));"
	"CREATE TABLE run_text ("
	" session BIGINT NOT NULL REFERENCES session (n), n BIGINT NOT NULL, args TEXT, plan TEXT,"
	" PRIMARY KEY (session, n));"
	"CREATE TABLE event ("
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL REFERENCES session (n), seq BIGINT NOT "
	"NULL,"
	" run BIGINT NOT NULL, time_us BIGINT NOT NULL, timestamp TEXT, type TEXT NOT NULL,"
	" keys INTEGER NOT NULL, data TEXT NOT NULL, raw BLOB);"
	"CREATE UNIQUE INDEX event_seq ON event (session, seq);"
	"CREATE TABLE change ("
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL);"
	"CREATE INDEX change_session ON change (session);"
	"INSERT INTO meta VALUES ('node', '0190a1b2-0000-7000-8000-000000000001'), ('clean', '1');"
	"INSERT INTO session (id, name, state, outcome, agent_name, adapter, created_us, runs, "
	"last_seq, exit_code)"
	" VALUES ('old-1', 'first', 'finished', 'success', 'claude', 'claude', 1000000, 1, 2, 0),"
	" ('old-2', 'second', 'running', NULL, NULL, NULL, 2000000, 0, 0, -1);"
	"INSERT INTO result VALUES (1, 'the result');"
	"INSERT INTO run VALUES (1, 1, 'boot', 1, 2, 3, 4, 5, 0, 'success', 0, 0, 1000000, "
	"1500000, NULL, NULL);"
	"INSERT INTO run_text VALUES (1, 1, '{}', '{}');"
	"INSERT INTO event VALUES (1, 1, 1, 1, 1000000, NULL, 'session_start', 0, '', NULL),"
	" (2, 1, 2, 1, 1500000, NULL, 'session_stop', 0, '', NULL);"
	"INSERT INTO change VALUES (3, 1, 'session_created', '{\"type\":\"session_created\"');"
	"PRAGMA application_id = 1634690146; PRAGMA user_version = 1";

static int
print_session(const struct session_row *row, void *arg)
{
	buf_printf(arg, "%s %s %s %" PRId64 ";", row->id, row->name, session_state_name(row->state),
		   row->blueprint_version);
	return 0;
}

static int
count_event(const struct event_row *row, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void
test_migration(void **state)
{
	struct buf b = BUF_INIT;
	char node[RAW_VALUE_SIZE];
	struct store *s;
	int events = 0;

	raw_sql(schema_1);
	raw_sql("INSERT INTO session (n, id, name, state, parent_id) VALUES (11, 't1', 't1', 'finished', NULL), (12, 't2', 't2', 'finished', 't1'),"
		" (13, 't3', 't3', 'finished', 't2'), (14, 't4', 't4', 'finished', 'gone'), (15, 't5', 't5', 'finished', 't4')");
	assert_int_equal(store_open_read(path, &s, &e), -EPROTO);
	assert_non_null(strstr(e.text, "schema 1, not yet "));
	s = open_store();
	OK(store_session_list(s, -1, 0, -1, print_session, &b, &e));
	assert_printed(&b, "old-2 second running 0;old-1 first finished 0;t5 t5 finished 0;t4 t4 finished 0;t3 t3 finished 0;t2 t2 finished 0;t1 t1 finished 0;");
	raw_value("SELECT group_concat(root) FROM (SELECT root FROM session WHERE n > 10 ORDER BY n)", node);
	assert_string_equal(node, "0,11,11,0,14");
	OK(store_events(s, 1, 0, 10, false, count_event, &events, &e));
	assert_int_equal(events, 2);
	OK(store_session_result(s, 1, &b, &e));
	assert_printed(&b, "the result");
	assert_int_equal(store_last_id(s), 3);
	raw_value("SELECT value FROM meta WHERE key = 'node'", node);
	assert_string_equal(node, "0190a1b2-0000-7000-8000-000000000001");
	OK(store_begin(s, &e));
	put(s, "a", "active", 1, "text");
	add_version(s, "a", 1, "text");
	struct session_row row = {
		.id = "new", .name = "third", .exit_code = -1, .blueprint_version = 1};

	OK(store_session_add(s, &row, &e));
	row.blueprint_version = 2;
	OK(store_session_update(s, &row, &e));
	OK(store_commit(s, &e));
	store_close(s);
	/* Once more: it is not done twice. */
	s = open_store();
	OK(store_session_find(s, "new", 3, print_session, &b, &e));
	assert_printed(&b, "new third pending 2;");
	OK(store_version_get(s, "a", 1, 0, print_version, &b, &e));
	assert_printed(&b, "a/1 1001 uid:7 put 4 text;");
	store_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_blueprints),
		TEST(test_versions),
		TEST(test_versions_are_pruned),
		TEST(test_migration),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("store of blueprints", tests, NULL, NULL);
}
