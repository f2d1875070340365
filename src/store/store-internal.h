/* SPDX-License-Identifier: MIT */
/* What the files of store/ share: the handle, the table of statements, and the way SQLite's errors become ours. */
#ifndef AOD_STORE_INTERNAL_H
#define AOD_STORE_INTERNAL_H

#include <errno.h>
#include <sqlite3.h>

#include "base/util.h"
#include "store/store.h"

#define STORE_BUSY_MS 200	 /* how long a statement waits for a lock of another process */
#define STORE_CACHE_KIB 2000	 /* page cache of a connection */
#define STORE_WAL_PAGES 4000	 /* pages in -wal that lead to a checkpoint, */
#define STORE_WAL_AGAIN 1000	 /* and to a further one when a reader was in the way */
#define STORE_WAL_FLUSH 256	 /* pages after which the kernel is asked to begin writing them */
#define STORE_WAL_KEEP (64 << 20) /* bytes of -wal that are left after a checkpoint */
#define STORE_CHECK_MAX (16 << 20) /* largest file that is checked after the machine went down with it open: 4 ms a MiB */
#define STORE_PRUNE 256		 /* changes that are dropped at a time */
#define STORE_DELETE_CHUNK 2000  /* events that go at once: bounds how long the writer is held up */

/* Statements, each prepared at its first use and kept. The texts are in schema.c. */
enum query {
	Q_BEGIN, Q_COMMIT, Q_ROLLBACK, Q_READ_BEGIN, Q_DATA_VERSION,
	Q_META_GET, Q_META_SET, Q_LAST_ID, Q_LAST_CHANGE, Q_CHANGE_COUNT,
	Q_SESSION_ADD, Q_SESSION_UPDATE, Q_SESSION_DELETE, Q_SESSION_SEQ, Q_SESSION_SET_SEQ,
	Q_SESSION_NAMES, Q_SESSION_FIND,
	Q_SESSION_LIST, Q_SESSION_LIST_LIVE, Q_SESSION_LIST_ENDED, Q_LIVE, Q_SESSION_DUE, Q_SESSION_FAILED, Q_SESSION_NEXT_DUE,
	Q_RESULT_SET, Q_RESULT_DELETE, Q_RESULT_GET, Q_RESULT_PASSIVE, Q_CONTENT_TEXT,
	Q_RUN_ADD, Q_RUN_TEXT_ADD, Q_RUN_UPDATE, Q_RUN_LATEST, Q_RUN_LIVE, Q_RUN_PLAN, Q_RUN_PLAN_LATEST,
	Q_RUN_DELETE, Q_RUN_TEXT_DELETE, Q_OUTPUT_TAIL,
	Q_PROMPT_ADD, Q_PROMPT_UPDATE, Q_PROMPT_OPEN, Q_PROMPT_HEADS, Q_PROMPT_LIST, Q_PROMPT_BYTES, Q_PROMPT_KNOWN, Q_PROMPT_CANCEL,
	Q_PROMPT_DELETE, Q_QUESTION_DELETE,
	Q_USAGE_ADD, Q_USAGE_GET, Q_USAGE_LIST, Q_USAGE_TREE,
	Q_QUESTION_ADD, Q_QUESTION_DUE, Q_QUESTION_CLOSE, Q_QUESTION_LIST_OPEN, Q_QUESTION_LIST_SESSION, Q_QUESTION_LIST, Q_QUESTION_RUN,
	Q_EVENT_ADD, Q_EVENT_DELETE, Q_EVENT_FIRST, Q_EVENT_ID, Q_EVENTS, Q_EVENTS_RAW, Q_FEED_EVENTS,
	Q_GARBAGE_ADD, Q_GARBAGE_GET, Q_GARBAGE_DELETE,
	Q_CHANGE_ADD, Q_CHANGE_NTH, Q_CHANGE_PRUNE, Q_FEED_CHANGES, Q_FEED_CHANGES_SESSION,
	Q_BLUEPRINT_PUT, Q_BLUEPRINT_COUNT, Q_BLUEPRINT_CHANGES, Q_BLUEPRINT_DELETE, Q_BLUEPRINT_GET, Q_BLUEPRINT_LIST,
	Q_TIMER_PUT, Q_TIMER_GET, Q_TIMER_PRUNE, Q_TIMER_BLUEPRINTS,
	Q_VERSION_ADD, Q_VERSION_PRUNE, Q_VERSION_GET, Q_VERSION_LATEST, Q_VERSION_LIST,
	Q_BLOB_GET, Q_BLOB_TOTAL, Q_BLOB_USE, Q_BLOB_DROP, Q_BLOB_GARBAGE, Q_BLOB_DELETE,
	Q_DOCUMENT_ADD, Q_DOCUMENT_UPDATE, Q_DOCUMENT_DELETE, Q_DOCUMENT_GET, Q_DOCUMENT_LIST, Q_DOCUMENT_LIST_NAME,
	Q_DOCUMENT_LIST_TAGS, Q_DOCUMENT_EXPIRED, Q_DOCUMENT_NEXT_EXPIRY, Q_DOCUMENT_TO_INDEX, Q_DOCUMENT_INDEXED,
	Q_DOCUMENT_SEARCH, Q_TEXT_ADD, Q_TEXT_DELETE,
	Q_TAG_EACH, Q_TAG_USES, Q_TAG_LIST, Q_TAG_COUNT, Q_TAG_UNCOUNT, Q_TAG_PRUNE, Q_DOCUMENT_TAG_ADD, Q_DOCUMENT_TAG_DELETE,
	Q_DOCUMENT_VERSION_ADD, Q_DOCUMENT_VERSION_GET, Q_DOCUMENT_VERSION_LIST, Q_DOCUMENT_VERSION_OLD,
	Q_DOCUMENT_VERSION_DELETE,
	Q_RELATION_ADD, Q_RELATION_DELETE, Q_RELATION_DELETE_FROM, Q_RELATION_DELETE_TO, Q_RELATION_LIST,
	Q_TOKEN_ADD, Q_TOKEN_FIND, Q_TOKEN_LIST, Q_TOKEN_REVOKE_LOGINS, Q_TOKEN_REVOKE, Q_TOKEN_LOGOUT, Q_TOKEN_END_SESSION, Q_TOKEN_PURGE, Q_TOKEN_USED,
	Q_TOKEN_SET_CGROUP, Q_TOKEN_CGROUP,
	Q_SESSION_OWNED, Q_SESSION_FAMILY, Q_SESSION_CHILDREN, Q_SESSION_AWAITS, Q_SESSION_DEPTH,
	Q_AUDIT_ADD, Q_AUDIT_AGAIN, Q_AUDIT_PRUNE, Q_AUDIT_LIST, Q_AUDIT_TAIL,
	Q_COUNT,
};
extern const char *const store_sql[Q_COUNT];

/* Steps of the schema: step i leads from version i to i + 1. */
extern const char *const store_schema[];
extern const int store_schema_version;
#define STORE_APPLICATION_ID 0x616f6462 /* "aodb" in the file's header */

/* The last seq of a session, ahead of the session's row until the transaction is committed. */
struct store_head {
	int64_t n, seq; /* n = 0: free */
	bool dirty;
};
#define STORE_HEADS 256

/* Id and name of a session, for one call of the feed. */
struct store_names {
	int64_t n; /* 0: free */
	struct buf text; /* id, NUL, name, NUL */
	size_t name_at;
	bool has_name;
};
#define STORE_NAMES 64

struct store {
	sqlite3 *db;
	char *path;
	bool writer;
	bool in_tx;
	bool poisoned;	     /* a write failed: nothing but a rollback */
	int code;	     /* of the last failure, for who gets NULL instead of a statement */
	int reading;	     /* depth of store_read_begin() */
	int64_t last_id;     /* given out, also by the open transaction */
	int64_t committed_id;
	int64_t feed_reached;
	int64_t changes, committed_changes; /* rows in change */
	int wal_fd;	     /* -1: not open */
	int wal_flushed, wal_next; /* pages: begun to be written; when to checkpoint next */
	int64_t version;     /* writer: data_version, to see that another process wrote */
	struct store_head heads[STORE_HEADS];
	int dirty;	     /* how many heads are */
	struct store_names names[STORE_NAMES];
	struct buf scratch;
	char node[ID_SIZE];
	enum session_state last_state; /* guesses, which spare a search by name in most rows */
	enum outcome last_outcome;
	sqlite3_stmt *stmt[Q_COUNT];
};

/* open.c */
/* The error of the connection's last call as ours; what says what was being done. */
int store_fail(struct store *s, struct err *e, const char *what);
/* The statement, reset and ready for its parameters, or NULL with s->code set. For writes. */
sqlite3_stmt *store_stmt(struct store *s, enum query q, struct err *e);
/* The same for reads: what the open transaction holds back in memory is written first. */
sqlite3_stmt *store_query(struct store *s, enum query q, struct err *e);
/* 1 a row, 0 no further row (the statement is reset), or an error (also reset). */
int store_step(struct store *s, sqlite3_stmt *st, struct err *e);
/*
 * Steps to the next row as long as *r, which says what was made of the last one, is 0. False at the end, with the statement reset: *r is as it was, or an error.
 */
bool store_next(struct store *s, sqlite3_stmt *st, int *r, struct err *e);
/* Run a statement that gives no rows. st may be NULL: s->code is returned. */
int store_exec(struct store *s, sqlite3_stmt *st, struct err *e);
int store_meta_get(struct store *s, const char *key, struct buf *out, struct err *e); /* -ENOENT */
int store_meta_set(struct store *s, const char *key, const char *value, struct err *e);

/* write.c */
int store_flush_heads(struct store *s, struct err *e);

/* read.c */
/* Id, name and last seq of session n; the texts live until the statement is reset by the caller. -ENOENT */
int store_names_query(struct store *s, int64_t n, sqlite3_stmt **st, struct err *e);
void store_event_row(sqlite3_stmt *st, struct event_row *row);

/* Parameters and columns. Texts are bound as they are: they must live until the statement was run. */
static inline void
bind_text(sqlite3_stmt *st, int i, const char *s)
{
	if (s)
		sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, i);
}

static inline const char *
col_text(sqlite3_stmt *st, int i)
{
	return (const char *)sqlite3_column_text(st, i);
}

#endif
