/* SPDX-License-Identifier: MIT */
/*
 * All the SQL: the schema as a list of steps, and the statements by number.
 *
 * A step that was released is never changed; a new one is appended. States and outcomes are stored by name
 * (session_state_name(), outcome_name()), so that the numbers in the C enums are nobody's business. Times are
 * microseconds, 0 where unset. Texts that may be large are in tables of their own (result, run_text) or at the end of
 * the row (event.data, event.raw), so that scans and updates of the rest stay cheap: SQLite rewrites the whole row on
 * an update, and run is updated with each batch of events.
 *
 * ids of events and changes come from one counter that is not stored: it is the greatest id in the two tables. Only
 * old changes are ever dropped, and a session that is deleted leaves a change with a greater id than all its events.
 * Whoever adds another way to delete rows has to leave the newest one, or to store the counter.
 *
 * The statements are SQL that PostgreSQL takes too, but for json_extract(), json_valid(), strftime() and PRAGMA.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store-internal.h"

#define LIVE "('queued', 'pending', 'running', 'waiting', 'idle', 'frozen', 'stopping', 'auto-restart')"

const char *const store_schema[] = {
	/* 0 → 1 */
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
	/* AUTOINCREMENT: n is not used again after the newest session was deleted. */
	"CREATE TABLE session ("
	" n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT,"
	" state TEXT NOT NULL, outcome TEXT, passive INTEGER NOT NULL DEFAULT 0,"
	" project_dir TEXT, agent_name TEXT, adapter TEXT, parent_id TEXT,"
	" created_us BIGINT NOT NULL DEFAULT 0, last_resumed_us BIGINT NOT NULL DEFAULT 0,"
	" started_us BIGINT NOT NULL DEFAULT 0, ended_us BIGINT NOT NULL DEFAULT 0,"
	" runs BIGINT NOT NULL DEFAULT 0, last_seq BIGINT NOT NULL DEFAULT 0,"
	" exit_code INTEGER NOT NULL DEFAULT -1, signal INTEGER NOT NULL DEFAULT 0, error TEXT,"
	" cost_usd DOUBLE PRECISION NOT NULL DEFAULT 0, input_tokens BIGINT NOT NULL DEFAULT 0,"
	" output_tokens BIGINT NOT NULL DEFAULT 0, turns BIGINT NOT NULL DEFAULT 0, agent_session_id TEXT,"
	/* Who runs it, until when, and the number of that claim: one node for now. */
	" node TEXT, lease_until_us BIGINT NOT NULL DEFAULT 0, fence BIGINT NOT NULL DEFAULT 0);"
	"CREATE INDEX session_name ON session (name);"
	"CREATE INDEX session_live ON session (n) WHERE state IN ('pending', 'running', 'stopping');"
	"CREATE TABLE result (session BIGINT PRIMARY KEY REFERENCES session (n), text TEXT NOT NULL);"
	/* Deleted sessions whose events are still to go, in small pieces: store_purge(). */
	"CREATE TABLE garbage (session BIGINT PRIMARY KEY);"
	"CREATE TABLE run ("
	" session BIGINT NOT NULL REFERENCES session (n), n BIGINT NOT NULL, boot_id TEXT,"
	" shim_pid BIGINT NOT NULL, shim_start BIGINT NOT NULL,"
	" offset0 BIGINT NOT NULL, offset1 BIGINT NOT NULL, offset2 BIGINT NOT NULL, in_seq BIGINT NOT NULL,"
	" outcome TEXT, exit_code INTEGER NOT NULL, signal INTEGER NOT NULL,"
	" started_us BIGINT NOT NULL, ended_us BIGINT NOT NULL, error TEXT, adapter_state TEXT,"
	" PRIMARY KEY (session, n));"
	"CREATE TABLE run_text ("
	" session BIGINT NOT NULL REFERENCES session (n), n BIGINT NOT NULL, args TEXT, plan TEXT,"
	" PRIMARY KEY (session, n));"
	"CREATE TABLE event ("
	/* No reference: many events outlive their session for a moment, see garbage. */
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL, seq BIGINT NOT NULL,"
	" run BIGINT NOT NULL, time_us BIGINT NOT NULL, timestamp TEXT, type TEXT NOT NULL,"
	" keys INTEGER NOT NULL, data TEXT NOT NULL, raw BLOB);"
	"CREATE UNIQUE INDEX event_seq ON event (session, seq);"
	/* No reference: the change that says that a session was deleted outlives it. */
	"CREATE TABLE change ("
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL);"
	"CREATE INDEX change_session ON change (session);",
	/* 1 → 2: what the blueprints' files say, and what they said */
	"CREATE TABLE blueprint ("
	" name TEXT PRIMARY KEY, status TEXT NOT NULL, alias_of TEXT, path TEXT, version BIGINT NOT NULL,"
	" created_us BIGINT NOT NULL, modified_us BIGINT NOT NULL, json TEXT NOT NULL,"
	" settings TEXT NOT NULL, problems TEXT NOT NULL, text TEXT NOT NULL);"
	/* No reference: versions of a blueprint that was removed are kept. */
	"CREATE TABLE blueprint_version ("
	" name TEXT NOT NULL, version BIGINT NOT NULL, time_us BIGINT NOT NULL, author TEXT NOT NULL,"
	" action TEXT NOT NULL, unit_bytes BIGINT NOT NULL, text TEXT NOT NULL, files TEXT NOT NULL,"
	" PRIMARY KEY (name, version));"
	/* Of the blueprint that the latest run was made from; 0: from before there were versions, or no run. */
	"ALTER TABLE session ADD COLUMN blueprint_version BIGINT NOT NULL DEFAULT 0;",
	/* 2 → 3: sessions can be frozen, and are live then */
	"DROP INDEX session_live;"
	"CREATE INDEX session_live ON session (n) WHERE state IN ('pending', 'running', 'frozen', 'stopping');",
	/* 3 → 4: documents. Their content is in files, which blob counts the uses of; 0 refs: the file is to be removed. */
	"CREATE TABLE blob (sha256 TEXT PRIMARY KEY, size BIGINT NOT NULL, refs BIGINT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX blob_garbage ON blob (refs) WHERE refs <= 0;"
	"CREATE TABLE document ("
	" n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, filename TEXT NOT NULL,"
	" content_type TEXT NOT NULL, size BIGINT NOT NULL, sha256 TEXT NOT NULL,"
	" created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, version BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
	" session TEXT, event BIGINT NOT NULL, author TEXT,"
	/* What is in document_tag too, in the order in which it was given: a list needs one row each. */
	" tags TEXT NOT NULL, metadata TEXT NOT NULL, to_index INTEGER NOT NULL);"
	"CREATE INDEX document_expires ON document (expires_us) WHERE expires_us > 0;"
	"CREATE INDEX document_to_index ON document (n) WHERE to_index = 1;"
	"CREATE TABLE document_tag (tag TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (tag, id)) WITHOUT ROWID;"
	"CREATE TABLE tag (name TEXT PRIMARY KEY, uses BIGINT NOT NULL) WITHOUT ROWID;"
	/* What was replaced; the current version is in document. */
	"CREATE TABLE document_version ("
	" id TEXT NOT NULL, version BIGINT NOT NULL, filename TEXT NOT NULL, content_type TEXT NOT NULL,"
	" size BIGINT NOT NULL, sha256 TEXT NOT NULL, time_us BIGINT NOT NULL, session TEXT, event BIGINT NOT NULL,"
	" author TEXT, PRIMARY KEY (id, version)) WITHOUT ROWID;"
	"CREATE TABLE document_relation ("
	" from_id TEXT NOT NULL, to_id TEXT NOT NULL, type TEXT NOT NULL, created_us BIGINT NOT NULL, author TEXT,"
	" PRIMARY KEY (from_id, to_id, type)) WITHOUT ROWID;"
	"CREATE INDEX document_relation_to ON document_relation (to_id);"
	/* By n of document; filled after it, see store_document_index(). */
	"CREATE VIRTUAL TABLE document_text USING fts5 (text, tokenize = 'trigram', columnsize = 0);",
	/* 4 → 5: who may do what. Tokens: kind is token (made by an operator), login (a browser's cookie, made with its parent) or run (an agent's). */
	"CREATE TABLE token ("
	" id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, kind TEXT NOT NULL,"
	" session BIGINT, run BIGINT NOT NULL, parent TEXT,"
	" created_us BIGINT NOT NULL, expires_us BIGINT NOT NULL, used_us BIGINT NOT NULL DEFAULT 0);"
	"CREATE UNIQUE INDEX token_name ON token (name) WHERE kind = 'token';"
	"CREATE INDEX token_session ON token (session) WHERE session IS NOT NULL;"
	"CREATE TABLE audit ("
	" id INTEGER PRIMARY KEY, time_us BIGINT NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL, verb TEXT NOT NULL,"
	" target TEXT NOT NULL, status INTEGER NOT NULL, count BIGINT NOT NULL);"
	"CREATE INDEX session_parent ON session (parent_id) WHERE parent_id IS NOT NULL;",
	/* 5 → 6: sessions that were made before those which are there already, on an older server. */
	"CREATE INDEX session_created ON session (created_us, n);",
	/* 6 → 7: the control group that a run's processes are in, by the number that the kernel has for it; 0: not known. */
	"ALTER TABLE token ADD COLUMN cgroup BIGINT NOT NULL DEFAULT 0;"
	"CREATE INDEX token_cgroup ON token (cgroup) WHERE cgroup <> 0;",
	/* 7 → 8: timers of blueprints. No reference: a blueprint that is disabled keeps what its timer knows. */
	"CREATE TABLE timer ("
	" name TEXT PRIMARY KEY, rule TEXT NOT NULL, since_us BIGINT NOT NULL, turn_us BIGINT NOT NULL, last_us BIGINT NOT NULL,"
	" due_us BIGINT NOT NULL, next_us BIGINT NOT NULL, boot TEXT, session TEXT, error TEXT, skipped BIGINT NOT NULL);",
	/* 8 → 9: how much a run has printed, as LogSizeMax= counts it. */
	"ALTER TABLE run ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;",
	/* 9 → 10: from when a live run's times count, as JSON. */
	"ALTER TABLE run ADD COLUMN watch TEXT;",
	/* 10 → 11: supervision. Sessions that are to be started have a state each, and are live; what follows from that. */
	"DROP INDEX session_live;"
	"CREATE INDEX session_live ON session (n) WHERE state IN"
	" ('queued', 'pending', 'running', 'waiting', 'idle', 'frozen', 'stopping', 'auto-restart');"
	"ALTER TABLE session ADD COLUMN persistent INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN command TEXT;"
	"UPDATE session SET command = (SELECT json_extract(t.args, '$.command') FROM run_text t WHERE t.session = session.n"
	" ORDER BY t.n DESC LIMIT 1);"
	"ALTER TABLE session ADD COLUMN root BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN callback INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN callback_due INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN stop_with_parent INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN prompts_queued BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN queued_us BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN due_us BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN restarts BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN limit_begin_us BIGINT NOT NULL DEFAULT 0;"
	"ALTER TABLE session ADD COLUMN limit_count BIGINT NOT NULL DEFAULT 0;"
	"CREATE INDEX session_root ON session (root) WHERE root <> 0;"
	"CREATE INDEX session_due ON session (due_us) WHERE state = 'auto-restart';"
	"WITH RECURSIVE tree (n, id, root) AS (SELECT n, id, 0 FROM session"
	" WHERE parent_id IS NULL OR parent_id NOT IN (SELECT id FROM session) UNION SELECT c.n, c.id,"
	" CASE t.root WHEN 0 THEN t.n ELSE t.root END FROM session c JOIN tree t ON c.parent_id = t.id)"
	" UPDATE session SET root = coalesce((SELECT t.root FROM tree t WHERE t.n = session.n), 0) WHERE parent_id IS NOT NULL;"
	/* What sessions are asked, in order. origin: what it came from, so that it comes once; unique within the session. */
	"CREATE TABLE prompt ("
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL REFERENCES session (n), uuid TEXT NOT NULL, source TEXT NOT NULL,"
	" origin TEXT, author TEXT, state TEXT NOT NULL, run BIGINT NOT NULL, in_seq BIGINT NOT NULL,"
	" created_us BIGINT NOT NULL, given_us BIGINT NOT NULL, ended_us BIGINT NOT NULL, text TEXT NOT NULL);"
	"CREATE INDEX prompt_open ON prompt (session, id) WHERE state IN ('queued', 'given');"
	"CREATE INDEX prompt_session ON prompt (session);"
	"CREATE UNIQUE INDEX prompt_origin ON prompt (session, origin) WHERE origin IS NOT NULL;"
	/* What agents ask. closed: answer, gone, or NULL while it is open. */
	"CREATE TABLE question ("
	" session BIGINT NOT NULL REFERENCES session (n), run BIGINT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL,"
	" asked_us BIGINT NOT NULL, due_us BIGINT NOT NULL, closed TEXT, closed_us BIGINT NOT NULL, answer TEXT, author TEXT,"
	" PRIMARY KEY (session, run, id));"
	"CREATE INDEX question_open ON question (session) WHERE closed IS NULL;"
	/* What the sessions of a blueprint used on a day (local, YYYY-MM-DD). No reference: it outlives both. */
	"CREATE TABLE usage_day ("
	" day TEXT NOT NULL, blueprint TEXT NOT NULL, turns BIGINT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL,"
	" cost_usd DOUBLE PRECISION NOT NULL, PRIMARY KEY (day, blueprint)) WITHOUT ROWID;",
	/* 11 → 12: what has a session started that waits for that. Of a prompt: whether its answer is for the session's parent, and its size. */
	"ALTER TABLE session ADD COLUMN started_by TEXT;"
	"CREATE TABLE prompt_12 ("
	" id INTEGER PRIMARY KEY, session BIGINT NOT NULL REFERENCES session (n), uuid TEXT NOT NULL, source TEXT NOT NULL,"
	" origin TEXT, author TEXT, state TEXT NOT NULL, run BIGINT NOT NULL, in_seq BIGINT NOT NULL,"
	" created_us BIGINT NOT NULL, given_us BIGINT NOT NULL, ended_us BIGINT NOT NULL,"
	" callback INTEGER NOT NULL DEFAULT 0, bytes BIGINT NOT NULL DEFAULT 0, text TEXT NOT NULL);"
	"INSERT INTO prompt_12 SELECT p.id, p.session, p.uuid, p.source, p.origin, p.author, p.state, p.run, p.in_seq, p.created_us, p.given_us, p.ended_us,"
	" s.callback = 1 AND s.parent_id IS NOT NULL AND (coalesce(p.origin, '') = 'start' OR coalesce(p.author, '') = 'session:' || substr(s.parent_id, 1, 90)),"
	" length(CAST(p.text AS BLOB)), p.text FROM prompt p JOIN session s ON s.n = p.session;"
	"DROP TABLE prompt;"
	"ALTER TABLE prompt_12 RENAME TO prompt;"
	"CREATE INDEX prompt_open ON prompt (session, id) WHERE state IN ('queued', 'given');"
	"CREATE INDEX prompt_queued ON prompt (session, bytes) WHERE state = 'queued';"
	"CREATE INDEX prompt_session ON prompt (session);"
	"CREATE UNIQUE INDEX prompt_origin ON prompt (session, origin) WHERE origin IS NOT NULL;",
};
const int store_schema_version = ARRAY_LEN(store_schema);

/* In the order in which session_row() in read.c takes them. */
#define SESSION                                                                                              \
	"SELECT n, id, name, state, outcome, passive, project_dir, agent_name, adapter, parent_id, created_us," \
	" last_resumed_us, started_us, ended_us, runs, last_seq, exit_code, signal, error, cost_usd,"           \
	" input_tokens, output_tokens, turns, agent_session_id, blueprint_version, persistent, command, root, callback," \
	" prompts_queued, priority, queued_us, due_us, restarts, limit_begin_us, limit_count, callback_due, stop_with_parent, started_by FROM session "

/* The latest run of a session, in the order in which run_row() takes it. */
#define RUN_LATEST \
	"SELECT r.session, r.n, r.boot_id, r.shim_pid, r.shim_start, r.offset0, r.offset1, r.offset2," \
	" r.in_seq, r.outcome, r.exit_code, r.signal, r.started_us, r.ended_us, r.error," \
	" r.adapter_state, r.logged, t.args, t.plan, r.watch FROM run r LEFT JOIN run_text t" \
	" ON t.session = r.session AND t.n = r.n WHERE r.session = ?1 ORDER BY r.n DESC LIMIT 1"

/* In the order in which prompt.c takes them. */
#define PROMPT_COLUMNS "SELECT id, session, uuid, source, origin, author, state, run, in_seq, created_us, given_us, ended_us, callback, "
#define PROMPT PROMPT_COLUMNS "text FROM prompt "
#define PROMPT_ORDER " ORDER BY state = 'queued', source <> 'restart', id"

/* In the order in which question.c takes them. */
#define QUESTION                                                                                                                    \
	"SELECT q.session, q.run, q.id, q.kind, q.json, q.asked_us, q.due_us, q.closed, q.closed_us, q.answer, q.author, s.id, s.name" \
	" FROM question q JOIN session s ON s.n = q.session "

/* In the order in which store_event_row() takes them; raw is last, so that it is not read where it is not wanted. */
#define EVENT "SELECT id, session, seq, run, time_us, timestamp, type, keys, data"

/* In the order in which blueprint.c takes them. */
#define BLUEPRINT_ROW "SELECT name, status, alias_of, path, version, created_us, modified_us, json"
#define TOKEN_ROW                                                                                               \
	"SELECT t.id, t.name, t.role, t.kind, t.session, s.id, t.parent, t.created_us, t.expires_us, t.used_us"   \
	" FROM token t LEFT JOIN session s ON s.n = t.session"
#define AUDIT_ROW "SELECT id, time_us, who, origin, verb, target, status, count FROM audit"
#define VERSION_ROW "SELECT version, time_us, author, action, unit_bytes"

/* In the order in which document.c takes them. */
#define DOCUMENT_COLUMNS                                                                                           \
	"d.n, d.id, d.filename, d.content_type, d.size, d.sha256, d.created_us, d.updated_us, d.version,"          \
	" d.expires_us, d.session, d.event, d.author, d.tags, d.metadata, d.to_index"
#define DOCUMENT "SELECT " DOCUMENT_COLUMNS " FROM document d "
#define DOCUMENT_VERSION "SELECT version, filename, content_type, size, sha256, time_us, session, event, author FROM document_version "
#define HAS_TAGS \
	"(SELECT count(*) FROM json_each(?1) j JOIN document_tag t ON t.tag = j.value AND t.id = first.id) = json_array_length(?1)"

/* An event's data as JSON, or null where it is none. */
#define DATA "CASE WHEN json_valid('{' || data || '}') THEN '{' || data || '}' END"

/* As time_iso() writes it. */
#define TIME_ISO \
	"strftime('%Y-%m-%dT%H:%M:%S', time_us / 1000000, 'unixepoch') || printf('.%06d+00:00', time_us % 1000000)"

const char *const store_sql[Q_COUNT] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_READ_BEGIN] = "BEGIN",
	[Q_DATA_VERSION] = "PRAGMA data_version",
	[Q_META_GET] = "SELECT value FROM meta WHERE key = ?1 LIMIT 1",
	[Q_META_SET] = "INSERT INTO meta (key, value) VALUES (?1, ?2)"
		       " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
	[Q_LAST_CHANGE] = "SELECT max(id) FROM change LIMIT 1",
	[Q_LAST_ID] = "SELECT (SELECT max(id) FROM event), (SELECT max(id) FROM change) LIMIT 1",
	[Q_CHANGE_COUNT] = "SELECT count(*) FROM change LIMIT 1",

	[Q_SESSION_ADD] = "INSERT INTO session (id, name, state, passive, project_dir, agent_name, adapter, parent_id,"
			  " created_us, agent_session_id, node, blueprint_version, persistent, command, root, callback, priority, queued_us,"
			  " callback_due, stop_with_parent, started_by)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
			  " ON CONFLICT (id) DO NOTHING",
	[Q_SESSION_UPDATE] = "UPDATE session SET name = ?2, state = ?3, outcome = ?4, passive = ?5, project_dir = ?6,"
			     " agent_name = ?7, adapter = ?8, parent_id = ?9, last_resumed_us = ?10, started_us = ?11,"
			     " ended_us = ?12, runs = ?13, exit_code = ?14, signal = ?15, error = ?16, cost_usd = ?17,"
			     " input_tokens = ?18, output_tokens = ?19, turns = ?20, agent_session_id = ?21,"
			     " blueprint_version = ?22, persistent = ?23, callback = ?24, prompts_queued = ?25, priority = ?26,"
			     " queued_us = ?27, due_us = ?28, restarts = ?29, limit_begin_us = ?30, limit_count = ?31,"
			     " callback_due = ?32, stop_with_parent = ?33, started_by = ?34 WHERE n = ?1",
	[Q_SESSION_DELETE] = "DELETE FROM session WHERE n = ?1",
	[Q_SESSION_SEQ] = "SELECT last_seq FROM session WHERE n = ?1 LIMIT 1",
	[Q_SESSION_SET_SEQ] = "UPDATE session SET last_seq = ?2 WHERE n = ?1",
	[Q_SESSION_NAMES] = "SELECT id, name, last_seq, passive FROM session WHERE n = ?1 LIMIT 1",
	/* One statement for both: beginning and ending a read costs more than finding a row. */
	[Q_SESSION_FIND] = SESSION "WHERE id = ?1 UNION ALL SELECT * FROM (" SESSION
				   "WHERE name = ?1 ORDER BY created_us DESC, n DESC LIMIT 1) AS by_name LIMIT 1",
	[Q_SESSION_LIST] = SESSION "ORDER BY created_us DESC, n DESC LIMIT ?1 OFFSET ?2",
	[Q_SESSION_LIST_LIVE] = SESSION "WHERE state IN " LIVE " ORDER BY created_us DESC, n DESC LIMIT ?1 OFFSET ?2",
	[Q_SESSION_LIST_ENDED] = SESSION "WHERE state NOT IN " LIVE " ORDER BY created_us DESC, n DESC LIMIT ?1 OFFSET ?2",
	[Q_SESSION_DUE] = SESSION "WHERE state = 'auto-restart' AND due_us <= ?1 ORDER BY due_us, n LIMIT ?2",
	[Q_SESSION_FAILED] = SESSION "WHERE state = 'failed' AND passive = 0 AND n > ?1 ORDER BY n LIMIT ?2",
	[Q_SESSION_NEXT_DUE] = "SELECT due_us FROM session WHERE state = 'auto-restart' ORDER BY due_us LIMIT 1",
	/* The numbers first, so that the callback may write to the rows that it is called for. */
	[Q_LIVE] = SESSION "WHERE n IN (SELECT n FROM session WHERE state IN " LIVE " AND passive = 0 ORDER BY n LIMIT ?1) ORDER BY n",

	[Q_RESULT_SET] = "INSERT INTO result (session, text) VALUES (?1, ?2)"
			 " ON CONFLICT (session) DO UPDATE SET text = excluded.text",
	[Q_RESULT_DELETE] = "DELETE FROM result WHERE session = ?1",
	[Q_RESULT_GET] = "SELECT text FROM result WHERE session = ?1 LIMIT 1",
	/* instr() first: parsing JSON is the dear part. */
	[Q_RESULT_PASSIVE] = "SELECT id FROM event WHERE session = ?1 AND type = 'message'"
			     " AND instr(data, 'assistant') > 0 AND json_extract(" DATA ", '$.role') = 'assistant'"
			     " ORDER BY coalesce(timestamp, " TIME_ISO ") DESC, seq DESC LIMIT 1",
	[Q_CONTENT_TEXT] = "SELECT json_extract(" DATA ", '$.content[0].text') FROM event"
			   " WHERE id = ?1 AND json_type(" DATA ", '$.content[0].text') = 'text' LIMIT 1",

	[Q_RUN_ADD] = "INSERT INTO run (session, n, boot_id, shim_pid, shim_start, offset0, offset1, offset2, in_seq, outcome,"
		      " exit_code, signal, started_us, ended_us, error, adapter_state, logged, watch)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
		      " ON CONFLICT (session, n) DO NOTHING",
	[Q_RUN_TEXT_ADD] = "INSERT INTO run_text (session, n, args, plan) VALUES (?1, ?2, ?3, ?4)",
	[Q_RUN_UPDATE] = "UPDATE run SET boot_id = ?3, shim_pid = ?4, shim_start = ?5, offset0 = ?6, offset1 = ?7,"
			 " offset2 = ?8, in_seq = ?9, outcome = ?10, exit_code = ?11, signal = ?12, started_us = ?13,"
			 " ended_us = ?14, error = ?15, adapter_state = ?16, logged = ?17, watch = ?18 WHERE session = ?1 AND n = ?2",
	[Q_RUN_LATEST] = RUN_LATEST,
	/* The same for store_each_live(), whose callback may ask for the run of another session. */
	[Q_RUN_LIVE] = RUN_LATEST,
	[Q_RUN_PLAN] = "SELECT plan FROM run_text WHERE session = ?1 AND n = ?2 AND plan IS NOT NULL LIMIT 1",
	[Q_RUN_PLAN_LATEST] = "SELECT plan FROM run_text WHERE session = ?1 AND plan IS NOT NULL"
			      " ORDER BY n DESC LIMIT 1",
	[Q_PROMPT_ADD] = "INSERT INTO prompt (session, uuid, source, origin, author, state, run, in_seq, created_us, given_us, ended_us,"
			 " callback, bytes, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
			 " ON CONFLICT (session, origin) WHERE origin IS NOT NULL DO NOTHING",
	[Q_PROMPT_UPDATE] = "UPDATE prompt SET uuid = ?2, state = ?3, run = ?4, in_seq = ?5, given_us = ?6, ended_us = ?7 WHERE id = ?1",
	/* The texts may be long, and many: only of those that are wanted. */
	[Q_PROMPT_OPEN] = PROMPT "WHERE id IN (SELECT id FROM prompt WHERE session = ?1 AND state IN ('queued', 'given')" PROMPT_ORDER " LIMIT ?2)" PROMPT_ORDER,
	[Q_PROMPT_HEADS] = PROMPT_COLUMNS "'' FROM prompt WHERE session = ?1 AND state IN ('queued', 'given')" PROMPT_ORDER " LIMIT ?2",
	[Q_PROMPT_LIST] = PROMPT "WHERE session = ?1 AND id > ?3 ORDER BY id LIMIT ?2",
	[Q_PROMPT_BYTES] = "SELECT coalesce(sum(bytes), 0) FROM prompt WHERE session = ?1 AND state = 'queued' LIMIT 1",
	[Q_PROMPT_KNOWN] = "SELECT 1 FROM prompt WHERE session = ?1 AND origin = ?2 LIMIT 1",
	[Q_PROMPT_CANCEL] = "UPDATE prompt SET state = 'cancelled', ended_us = ?3 WHERE session = ?1 AND state = 'queued'"
			    " AND (?2 = 0 OR id = ?2 OR (?2 < 0 AND source <> 'callback'))",
	[Q_PROMPT_DELETE] = "DELETE FROM prompt WHERE session = ?1",
	[Q_QUESTION_ADD] = "INSERT INTO question (session, run, id, kind, json, asked_us, due_us, closed_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)"
			   " ON CONFLICT (session, run, id) DO NOTHING",
	[Q_QUESTION_DUE] = "UPDATE question SET due_us = ?4 WHERE session = ?1 AND run = ?2 AND id = ?3",
	[Q_QUESTION_CLOSE] = "UPDATE question SET closed = ?4, closed_us = ?5, answer = ?6, author = ?7"
			     " WHERE session = ?1 AND run = ?2 AND id = ?3 AND closed IS NULL",
	[Q_QUESTION_LIST_OPEN] = QUESTION "WHERE q.closed IS NULL AND q.asked_us > ?2 ORDER BY q.asked_us, q.id LIMIT ?1",
	[Q_QUESTION_LIST_SESSION] = QUESTION "WHERE q.session = ?2 AND q.closed IS NULL ORDER BY q.asked_us, q.id LIMIT ?1",
	[Q_QUESTION_RUN] = QUESTION "WHERE q.session = ?2 AND q.run = ?3 AND (q.closed IS NULL OR q.closed = 'answer')"
				    " ORDER BY q.closed_us = 0 DESC, q.closed_us DESC, q.asked_us, q.id LIMIT ?1",
	[Q_QUESTION_LIST] = QUESTION "WHERE q.session = ?2 ORDER BY q.asked_us DESC, q.id LIMIT ?1",
	[Q_QUESTION_DELETE] = "DELETE FROM question WHERE session = ?1",
	[Q_USAGE_ADD] = "INSERT INTO usage_day (day, blueprint, turns, input_tokens, output_tokens, cost_usd) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
			" ON CONFLICT (day, blueprint) DO UPDATE SET turns = turns + excluded.turns,"
			" input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,"
			" cost_usd = cost_usd + excluded.cost_usd",
	[Q_USAGE_GET] = "SELECT turns, input_tokens, output_tokens, cost_usd FROM usage_day WHERE day = ?1 AND blueprint = ?2 LIMIT 1",
	[Q_USAGE_LIST] = "SELECT turns, input_tokens, output_tokens, cost_usd, day, blueprint FROM usage_day WHERE day >= ?1"
			 " AND (?2 IS NULL OR blueprint = ?2) ORDER BY day, blueprint LIMIT ?3",
	/* Two, so that each is by its index. */
	[Q_USAGE_TREE] = "SELECT sum(turns), sum(input_tokens), sum(output_tokens), sum(cost_usd) FROM"
			 " (SELECT turns, input_tokens, output_tokens, cost_usd FROM session WHERE n = ?1 UNION ALL"
			 " SELECT turns, input_tokens, output_tokens, cost_usd FROM session WHERE root = ?1 AND root <> 0) AS tree LIMIT 1",
	[Q_RUN_DELETE] = "DELETE FROM run WHERE session = ?1",
	[Q_RUN_TEXT_DELETE] = "DELETE FROM run_text WHERE session = ?1",
	/* Also rows that are not wanted, so that the caller sees where the run begins and stops there. */
	[Q_OUTPUT_TAIL] = "SELECT run, json_extract(j, '$.stream'), json_extract(j, '$.text'), json_extract(j, '$.partial')"
			  " FROM (SELECT run, CASE WHEN type = 'output' AND instr(data, '\"stdout\"') > 0 THEN " DATA
			  " END AS j FROM event WHERE session = ?1 ORDER BY seq DESC LIMIT ?2) AS o",

	[Q_EVENT_ADD] = "INSERT INTO event (id, session, seq, run, time_us, timestamp, type, keys, data, raw)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[Q_EVENT_DELETE] = "DELETE FROM event WHERE session = ?1 AND seq <= ?2",
	[Q_EVENT_FIRST] = "SELECT seq FROM event WHERE session = ?1 ORDER BY seq LIMIT 1",
	[Q_GARBAGE_ADD] = "INSERT INTO garbage (session) VALUES (?1)",
	[Q_GARBAGE_GET] = "SELECT session FROM garbage ORDER BY session LIMIT 1",
	[Q_GARBAGE_DELETE] = "DELETE FROM garbage WHERE session = ?1",
	[Q_EVENT_ID] = "SELECT id FROM event WHERE session = ?1 AND seq = ?2 LIMIT 1",
	[Q_EVENTS] = EVENT " FROM event WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
	[Q_EVENTS_RAW] = EVENT ", raw FROM event WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
	[Q_FEED_EVENTS] = EVENT " FROM event WHERE id > ?1 ORDER BY id LIMIT ?2",

	[Q_CHANGE_ADD] = "INSERT INTO change (id, session, kind, json) VALUES (?1, ?2, ?3, ?4)",
	[Q_CHANGE_NTH] = "SELECT id FROM change ORDER BY id LIMIT 1 OFFSET ?1",
	[Q_CHANGE_PRUNE] = "DELETE FROM change WHERE id <= ?1",
	[Q_FEED_CHANGES] = "SELECT id, session, kind, json FROM change WHERE id > ?1 ORDER BY id LIMIT ?2",
	[Q_FEED_CHANGES_SESSION] = "SELECT id, session, kind, json FROM change WHERE session = ?3 AND id > ?1"
				   " ORDER BY id LIMIT ?2",

	[Q_BLUEPRINT_PUT] = "INSERT INTO blueprint (name, status, alias_of, path, version, created_us, modified_us, json,"
			    " settings, problems, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
			    " ON CONFLICT (name) DO UPDATE SET status = excluded.status, alias_of = excluded.alias_of,"
			    " path = excluded.path, version = excluded.version, created_us = excluded.created_us,"
			    " modified_us = excluded.modified_us, json = excluded.json, settings = excluded.settings,"
			    " problems = excluded.problems, text = excluded.text",
	/* Counts changes, so that a reader sees cheaply whether there were any. */
	[Q_BLUEPRINT_COUNT] = "INSERT INTO meta (key, value) VALUES ('blueprint_changes', '1')"
			      " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT)",
	[Q_BLUEPRINT_CHANGES] = "SELECT value FROM meta WHERE key = 'blueprint_changes' LIMIT 1",
	[Q_BLUEPRINT_DELETE] = "DELETE FROM blueprint WHERE name = ?1",
	[Q_BLUEPRINT_GET] = BLUEPRINT_ROW ", settings, problems, text FROM blueprint WHERE name = ?1 LIMIT 1",
	[Q_BLUEPRINT_LIST] = BLUEPRINT_ROW " FROM blueprint ORDER BY name LIMIT ?1",
	[Q_TIMER_PUT] = "INSERT INTO timer (name, rule, since_us, turn_us, last_us, due_us, next_us, boot, session, error, skipped)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (name) DO UPDATE SET rule = excluded.rule,"
			" since_us = excluded.since_us, turn_us = excluded.turn_us, last_us = excluded.last_us, due_us = excluded.due_us,"
			" next_us = excluded.next_us, boot = excluded.boot, session = excluded.session, error = excluded.error,"
			" skipped = excluded.skipped",
	[Q_TIMER_GET] = "SELECT name, rule, since_us, turn_us, last_us, due_us, next_us, boot, session, error, skipped FROM timer"
			" WHERE name = ?1 LIMIT 1",
	[Q_TIMER_PRUNE] = "DELETE FROM timer WHERE name NOT IN (SELECT name FROM blueprint)",
	[Q_TIMER_BLUEPRINTS] = "SELECT name FROM blueprint WHERE status = 'active' AND name NOT LIKE '%@'"
			       " AND (json_extract(settings, '$.Timer.OnCalendar') IS NOT NULL"
			       " OR json_extract(settings, '$.Timer.OnBootSec') IS NOT NULL"
			       " OR json_extract(settings, '$.Timer.OnUnitActiveSec') IS NOT NULL) ORDER BY name LIMIT ?1",
	[Q_VERSION_ADD] = "INSERT INTO blueprint_version (name, version, time_us, author, action, unit_bytes, text, files)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[Q_VERSION_PRUNE] = "DELETE FROM blueprint_version WHERE name = ?1 AND version <= ?2",
	[Q_VERSION_GET] = VERSION_ROW ", text, files FROM blueprint_version WHERE name = ?1 AND version = ?2 LIMIT 1",
	[Q_VERSION_LATEST] = VERSION_ROW ", text, files FROM blueprint_version WHERE name = ?1 ORDER BY version DESC LIMIT 1",
	[Q_TOKEN_ADD] = "INSERT INTO token (id, hash, name, role, kind, session, run, parent, created_us, expires_us)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
	/* One of a session is worth something only while that is live, and one of a run only during that run. */
	[Q_TOKEN_FIND] = TOKEN_ROW " WHERE t.hash = ?1 AND (t.expires_us = 0 OR t.expires_us > ?2)"
			 " AND (t.session IS NULL OR (s.state IN " LIVE " AND (t.run = 0 OR t.run = s.runs))) LIMIT 1",
	[Q_TOKEN_LIST] = TOKEN_ROW " WHERE t.kind = 'token' ORDER BY t.created_us, t.id LIMIT ?1",
	[Q_TOKEN_REVOKE_LOGINS] = "DELETE FROM token WHERE parent IN"
				  " (SELECT id FROM token WHERE id = ?1 OR (name = ?1 AND kind = 'token'))",
	[Q_TOKEN_REVOKE] = "DELETE FROM token WHERE kind <> 'run' AND (id = ?1 OR (name = ?1 AND kind = 'token'))",
	[Q_TOKEN_LOGOUT] = "DELETE FROM token WHERE kind = 'login' AND id = ?1",
	[Q_TOKEN_END_SESSION] = "DELETE FROM token WHERE session = ?1",
	[Q_TOKEN_PURGE] = "DELETE FROM token WHERE expires_us > 0 AND expires_us <= ?1",
	[Q_TOKEN_USED] = "UPDATE token SET used_us = ?2 WHERE id = ?1",
	[Q_TOKEN_SET_CGROUP] = "UPDATE token SET cgroup = ?2 WHERE session = ?1 AND kind = 'run'",
	[Q_TOKEN_CGROUP] = "SELECT 1 FROM token WHERE cgroup = ?1 AND cgroup <> 0 LIMIT 1",
	[Q_SESSION_OWNED] = "WITH RECURSIVE up (id, parent_id) AS (SELECT id, parent_id FROM session WHERE n = ?1 UNION"
			    " SELECT p.id, p.parent_id FROM session p JOIN up ON p.id = up.parent_id)"
			    " SELECT 1 FROM up WHERE id = ?2 OR parent_id = ?2 LIMIT 1",
	[Q_SESSION_FAMILY] = "WITH RECURSIVE family (id) AS (SELECT ?1 UNION"
			     " SELECT c.id FROM session c JOIN family f ON c.parent_id = f.id) " SESSION
			     "WHERE id IN (SELECT id FROM family) ORDER BY n DESC LIMIT ?2",
	[Q_SESSION_CHILDREN] = SESSION "WHERE parent_id = ?1 ORDER BY n DESC LIMIT ?2",
	[Q_SESSION_AWAITS] = "SELECT 1 FROM session WHERE parent_id = ?1 AND callback_due = 1 LIMIT 1",
	[Q_SESSION_DEPTH] = "WITH RECURSIVE up (parent_id, depth) AS (SELECT parent_id, 1 FROM session WHERE id = ?1 UNION ALL"
			    " SELECT p.parent_id, up.depth + 1 FROM session p JOIN up ON p.id = up.parent_id WHERE up.depth < ?2)"
			    " SELECT coalesce(max(depth), 0) FROM up LIMIT 1",
	[Q_AUDIT_ADD] = "INSERT INTO audit (time_us, who, origin, verb, target, status, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[Q_AUDIT_AGAIN] = "UPDATE audit SET count = count + ?7, time_us = ?1 WHERE id = (SELECT max(id) FROM audit)"
			  " AND who = ?2 AND origin = ?3 AND verb = ?4 AND target = ?5 AND status = ?6",
	[Q_AUDIT_PRUNE] = "DELETE FROM audit WHERE id <= ?1",
	[Q_AUDIT_LIST] = AUDIT_ROW " WHERE id > ?2 ORDER BY id LIMIT ?1",
	[Q_AUDIT_TAIL] = "SELECT * FROM (" AUDIT_ROW " ORDER BY id DESC LIMIT ?1) AS newest ORDER BY id",
	[Q_VERSION_LIST] = VERSION_ROW " FROM blueprint_version WHERE name = ?1 ORDER BY version DESC LIMIT ?2",

	[Q_BLOB_GET] = "SELECT size, refs FROM blob WHERE sha256 = ?1 LIMIT 1",
	[Q_BLOB_TOTAL] = "SELECT coalesce(sum(size), 0) FROM blob LIMIT 1",
	[Q_BLOB_USE] = "INSERT INTO blob (sha256, size, refs) VALUES (?1, ?2, 1)"
		       " ON CONFLICT (sha256) DO UPDATE SET refs = refs + 1",
	[Q_BLOB_DROP] = "UPDATE blob SET refs = refs - 1 WHERE sha256 = ?1",
	[Q_BLOB_GARBAGE] = "SELECT sha256, size FROM blob WHERE refs <= 0 LIMIT ?1",
	[Q_BLOB_DELETE] = "DELETE FROM blob WHERE sha256 = ?1 AND refs <= 0",

	[Q_DOCUMENT_ADD] = "INSERT INTO document (id, filename, content_type, size, sha256, created_us, updated_us, version,"
			   " expires_us, session, event, author, tags, metadata, to_index)"
			   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
			   " ON CONFLICT (id) DO NOTHING",
	[Q_DOCUMENT_UPDATE] = "UPDATE document SET filename = ?2, content_type = ?3, size = ?4, sha256 = ?5, updated_us = ?7,"
			      " version = ?8, expires_us = ?9, session = ?10, event = ?11, author = ?12, tags = ?13,"
			      " metadata = ?14, to_index = ?15 WHERE id = ?1",
	[Q_DOCUMENT_DELETE] = "DELETE FROM document WHERE id = ?1",
	[Q_DOCUMENT_GET] = DOCUMENT "WHERE d.id = ?1 LIMIT 1",
	[Q_DOCUMENT_LIST] = DOCUMENT "ORDER BY d.n LIMIT ?1 OFFSET ?2",
	[Q_DOCUMENT_LIST_NAME] = DOCUMENT "WHERE d.filename LIKE ?3 ORDER BY d.n LIMIT ?1 OFFSET ?2",
	/* ?2: the tag with the fewest uses, which leads; ?6: the one with the next fewest; ?1: all, where they are more than these. */
	[Q_DOCUMENT_LIST_TAGS] = "SELECT " DOCUMENT_COLUMNS " FROM document_tag first CROSS JOIN document d ON d.id = first.id"
				 " WHERE first.tag = ?2 AND (?6 IS NULL OR EXISTS (SELECT 1 FROM document_tag o"
				 " WHERE o.tag = ?6 AND o.id = first.id)) AND (?1 IS NULL OR " HAS_TAGS ")"
				 " AND (?5 IS NULL OR d.filename LIKE ?5)"
				 " ORDER BY first.id LIMIT ?3 OFFSET ?4",
	[Q_DOCUMENT_EXPIRED] = DOCUMENT "WHERE d.expires_us > 0 AND d.expires_us <= ?1 ORDER BY d.expires_us LIMIT ?2",
	[Q_DOCUMENT_NEXT_EXPIRY] = "SELECT min(expires_us) FROM document WHERE expires_us > 0 LIMIT 1",
	[Q_DOCUMENT_TO_INDEX] = DOCUMENT "WHERE d.to_index = 1 ORDER BY d.n LIMIT ?1",
	[Q_DOCUMENT_INDEXED] = "UPDATE document SET to_index = 0 WHERE n = ?1",
	/* Newest first: an order by rank would need all that match. */
	[Q_DOCUMENT_SEARCH] = "SELECT " DOCUMENT_COLUMNS ", snippet(document_text, 0, ?4, ?5, '…', 40)"
			      " FROM document_text CROSS JOIN document d ON d.n = document_text.rowid"
			      " WHERE document_text MATCH ?1 ORDER BY document_text.rowid DESC LIMIT ?2 OFFSET ?3",
	[Q_TEXT_ADD] = "INSERT INTO document_text (rowid, text) VALUES (?1, ?2)",
	[Q_TEXT_DELETE] = "DELETE FROM document_text WHERE rowid = ?1",

	[Q_TAG_EACH] = "SELECT value FROM json_each(?1) LIMIT 10000",
	[Q_TAG_USES] = "SELECT uses FROM tag WHERE name = ?1 LIMIT 1",
	[Q_TAG_LIST] = "SELECT name, uses FROM tag ORDER BY name LIMIT ?1",
	[Q_TAG_COUNT] = "INSERT INTO tag (name, uses) SELECT value, 1 FROM json_each(?1) WHERE true"
			" ON CONFLICT (name) DO UPDATE SET uses = uses + 1",
	[Q_TAG_UNCOUNT] = "UPDATE tag SET uses = uses - 1 WHERE name IN (SELECT value FROM json_each(?1))",
	[Q_TAG_PRUNE] = "DELETE FROM tag WHERE uses <= 0 AND name IN (SELECT value FROM json_each(?1))",
	[Q_DOCUMENT_TAG_ADD] = "INSERT INTO document_tag (tag, id) SELECT value, ?2 FROM json_each(?1)",
	[Q_DOCUMENT_TAG_DELETE] = "DELETE FROM document_tag WHERE id = ?2 AND tag IN (SELECT value FROM json_each(?1))",

	[Q_DOCUMENT_VERSION_ADD] = "INSERT INTO document_version (id, version, filename, content_type, size, sha256, time_us,"
				   " session, event, author) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[Q_DOCUMENT_VERSION_GET] = DOCUMENT_VERSION "WHERE id = ?1 AND version = ?2 LIMIT 1",
	[Q_DOCUMENT_VERSION_LIST] = DOCUMENT_VERSION "WHERE id = ?1 ORDER BY version DESC LIMIT ?2",
	[Q_DOCUMENT_VERSION_OLD] = DOCUMENT_VERSION "WHERE id = ?1 AND version <= ?2 ORDER BY version LIMIT ?3",
	[Q_DOCUMENT_VERSION_DELETE] = "DELETE FROM document_version WHERE id = ?1 AND version = ?2",

	[Q_RELATION_ADD] = "INSERT INTO document_relation (from_id, to_id, type, created_us, author)"
			   " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (from_id, to_id, type) DO NOTHING",
	[Q_RELATION_DELETE] = "DELETE FROM document_relation WHERE from_id = ?1 AND to_id = ?2 AND (?3 IS NULL OR type = ?3)",
	[Q_RELATION_DELETE_FROM] = "DELETE FROM document_relation WHERE from_id = ?1",
	[Q_RELATION_DELETE_TO] = "DELETE FROM document_relation WHERE to_id = ?1",
	[Q_RELATION_LIST] = "SELECT from_id, to_id, type, created_us, author FROM document_relation WHERE from_id = ?1"
			    " UNION ALL SELECT from_id, to_id, type, created_us, author FROM document_relation"
			    " WHERE to_id = ?1 AND from_id <> ?1 LIMIT ?2",
};
