/* SPDX-License-Identifier: MIT */
/*
 * The database: the only place with SQL. One file, SQLite in WAL mode; aod is the only writer, aod-http reads through a connection of
 * its own (store_open_read). Everything that matters is here; what aod holds in memory can be read back with store_each_live().
 *
 * The transaction rule: events, the state they lead to and the spool offsets they came from are committed together. A writer opens a
 * transaction with store_begin() (repeating it is fine), does any number of writes, and ends it with store_commit() or
 * store_rollback(). No write outside of a transaction. After a failed write the transaction can only be rolled back; but -EEXIST and
 * -ENOENT are said before anything is written, and the transaction may go on. A store_commit() that fails has rolled back.
 *
 * Two numbers name an event: seq counts from 1 within its session without gaps; id grows over the whole store in commit order.
 * ids are also given to changes (a session was created, updated, deleted), so that one cursor orders both. ids are never used
 * twice, also when what they named was deleted.
 *
 * Errors: -EAGAIN locked by another process (status 503), -ENOSPC disk full (507), -EUCLEAN damaged (500; the text says the mend),
 * -ENOENT no such row (404), -EEXIST (409), -EPROTO a schema of another program or version (500), what open(2) says of a file that
 * cannot be opened or made, -EROFS, -EIO the rest. Every read has a LIMIT. Not thread-safe. A callback must not call the read that calls it.
 *
 * SQL is kept to what SQLite and PostgreSQL both understand, see src/README.
 */
#ifndef AOD_STORE_STORE_H
#define AOD_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/event.h"
#include "model/permission.h"
#include "model/session.h"

struct store;

#define STORE_CHANGES_KEPT 10000 /* older change rows are dropped */

/*
 * Open, create and migrate. The file gets mode 0640, -wal and -shm are kept on a clean close (SQLITE_FCNTL_PERSIST_WAL), so that readers
 * under another uid go on. A damaged file is refused with -EUCLEAN; nothing is deleted. `PRAGMA quick_check(1)` is run when the
 * machine went down with the file open and it is smaller than 16 MiB; a crash of aod alone damages nothing, and the start after it stays quick. Further
 * damage is found when it is read.
 */
int store_open(const char *path, struct store **out, struct err *e);
/* Read-only; the file must exist with a schema this build knows. Does a first read, so that -wal and -shm are open when it returns
 * and the caller may give up its privileges. */
int store_open_read(const char *path, struct store **out, struct err *e);
void store_close(struct store *s);

int store_begin(struct store *s, struct err *e);
int store_commit(struct store *s, struct err *e);
/*
 * For a disk that is full: what is in -wal is moved to the file, which may have free pages for it, so that the next transactions find room in -wal.
 * Not within a transaction.
 */
void store_make_room(struct store *s);
void store_rollback(struct store *s);
bool store_in_transaction(const struct store *s);
/* Of the last commit (writer) or what the database holds now (reader). */
int64_t store_last_id(struct store *s);
/* The id of the newest change: another one whenever a session was created, updated or deleted, and the same while sessions only get
 * events. 0: there was none; negative: it cannot be read. */
int64_t store_last_change(struct store *s);

/* ---- sessions, written by aod ---------------------------------------------------------------------------- */

/* Inserts; row->n is set. -EEXIST when the id is taken. Adds a "session_created" change. Uses id, name, state, passive, project_dir,
 * agent_name, adapter, parent_id, created_us, agent_session_id, blueprint_version, persistent, command, root, callback, callback_due, stop_with_parent,
 * priority, queued_us, started_by. */
int store_session_add(struct store *s, struct session_row *row, struct err *e);
/* Writes all columns of the row but n, id, created_us, command, root and last_seq, and adds a "session_updated" change (with the true last_seq). -ENOENT */
int store_session_update(struct store *s, const struct session_row *row, struct err *e);
/* Deletes the session with its events and runs, adds a "session_deleted" change; *events = how many events went. */
/* A session with many events is gone at once for every read; its events go by and by, with store_purge(). */
int store_session_delete(struct store *s, int64_t n, int64_t *events, struct err *e);
/* Removes a bounded number of events of deleted sessions, within a transaction. 1: there may be more; 0: none are left. */
int store_purge(struct store *s, struct err *e);
/* The text of the latest result; NULL clears it. */
int store_session_set_result(struct store *s, int64_t n, const char *text, size_t len, struct err *e);

/* ---- runs ------------------------------------------------------------------------------------------------ */

struct run_row {
	int64_t session, n; /* n counts from 1 within the session */
	const char *args;   /* JSON of what was asked for: enough to plan again */
	const char *plan;   /* JSON for people, no secrets */
	const char *boot_id;
	int64_t shim_pid, shim_start; /* 0 until known */
	int64_t offset[3];  /* spool: next unread frame of stdout, of stderr, of all others */
	int64_t logged;	    /* bytes of lines that were kept, as LogSizeMax= counts */
	const char *adapter_state; size_t adapter_state_len; /* JSON or NULL */
	enum outcome outcome;
	int exit_code, signal;
	int64_t started_us, ended_us;
	const char *error;
	int64_t in_seq; /* last number given to an input frame */
	const char *watch; /* JSON or NULL: from when its times count */
};
int store_run_add(struct store *s, const struct run_row *r, struct err *e);
int store_run_update(struct store *s, const struct run_row *r, struct err *e); /* all but session, n, args, plan */

/*
 * Sessions in a live state that are not passive, with their latest run (run.n = 0: there is none), oldest first: start-up. The callback
 * may write.
 */
int store_each_live(struct store *s, int (*cb)(const struct session_row *, const struct run_row *, void *), void *arg,
		    struct err *e);
/* Those that are to be started again by then, the first first. */
int store_session_due(struct store *s, int64_t until_us, int64_t limit, int (*cb)(const struct session_row *, void *), void *arg, struct err *e);
/* Those that failed, with n > after, by n. */
int store_session_failed(struct store *s, int64_t after, int64_t limit, int (*cb)(const struct session_row *, void *), void *arg, struct err *e);
/* When the first of those that are to be started again is; INT64_MAX: there are none. */
int store_session_next_due(struct store *s, int64_t *due_us, struct err *e);
/* The latest run of a session. The rows are valid during the call of cb. -ENOENT */
int store_run_latest(struct store *s, int64_t session, int (*cb)(const struct run_row *, void *), void *arg, struct err *e);

/* ---- prompts --------------------------------------------------------------------------------------------- */

/*
 * What a session is asked, in the order of its asking; each has its turn once. A session's row counts the queued ones, which is the
 * caller's to keep true.
 */
enum prompt_state {
	PROMPT_QUEUED,	  /* has not had its turn */
	PROMPT_GIVEN,	  /* a run works on it, or did when it ended and another one goes on */
	PROMPT_DONE,	  /* its turn ended well */
	PROMPT_FAILED,	  /* or badly */
	PROMPT_CANCELLED, /* it does not get a turn: the session was stopped */
	PROMPT_STATE_COUNT,
};
const char *prompt_state_name(enum prompt_state s);

struct prompt_row {
	int64_t id, session;
	const char *uuid, *text;
	const char *source; /* request, blueprint, callback or restart */
	const char *origin; /* what it came from, or NULL: a second prompt of a session with the same one is not added */
	const char *author; /* who asked, or NULL */
	enum prompt_state state;
	int64_t run;	    /* that it was given to last; 0: none */
	int64_t in_seq;	    /* number of the input frame that it was given with; 0: it was in the run's first input */
	int64_t created_us, given_us, ended_us;
	bool callback; /* its answer is for the session's parent */
};
typedef int (*store_prompt_cb)(const struct prompt_row *, void *);
/* Inserts; row->id is set. 0: it was there already (origin), 1: it is new. */
int store_prompt_add(struct store *s, struct prompt_row *row, struct err *e);
/* Writes uuid, state, run, in_seq, given_us, ended_us by id. */
int store_prompt_update(struct store *s, const struct prompt_row *row, struct err *e);
/* 1: the session has, or had, one with that origin; 0: not. */
int store_prompt_known(struct store *s, int64_t session, const char *origin, struct err *e);
/* Of the texts that are queued, together. */
int64_t store_prompt_bytes(struct store *s, int64_t session, struct err *e);
/* Those that are queued are cancelled at that time; id > 0: only this one, id < 0: but for what children answered. How many. */
int store_prompt_cancel(struct store *s, int64_t session, int64_t id, int64_t time_us, struct err *e);
/* Given ones and queued ones: first those of restarts, then oldest first. The rows are valid during the call of cb, which may write. */
int store_prompt_open(struct store *s, int64_t session, int64_t limit, store_prompt_cb cb, void *arg, struct err *e);
/* The same without their texts, which may be long: text is "". */
int store_prompt_heads(struct store *s, int64_t session, int64_t limit, store_prompt_cb cb, void *arg, struct err *e);
/* All after that id, oldest first. */
int store_prompt_list(struct store *s, int64_t session, int64_t after, int64_t limit, store_prompt_cb cb, void *arg, struct err *e);

/* ---- what was used -------------------------------------------------------------------------------------- */

/* By the sessions of a blueprint on a local day, YYYY-MM-DD. */
#define STORE_USAGE_DAYS_MAX 100000 /* rows of a list */
struct usage_row {
	const char *day, *blueprint;
	struct usage used;
};
int store_usage_add(struct store *s, const struct usage_row *row, struct err *e);
/* Zeros when there is none. */
int store_usage_get(struct store *s, const char *day, const char *blueprint, struct usage *out, struct err *e);
/* From that day on, oldest first; blueprint NULL: of all. */
int store_usage_list(struct store *s, const char *from, const char *blueprint, int (*cb)(const struct usage_row *, void *), void *arg,
		     struct err *e);
/* Of the session root and all of its tree, as their rows say. */
int store_usage_tree(struct store *s, int64_t root, struct usage *out, struct err *e);
/* ---- questions ------------------------------------------------------------------------------------------- */

/* What agents ask, and what was said to them; of a rule's answers there is no row. */
struct question_row {
	int64_t session, run;
	const char *id;	  /* the agent's own, unique in its run */
	const char *kind; /* permission or choice */
	const char *json; /* object: what it is about */
	int64_t asked_us, due_us; /* INT64_MAX: it has all the time in the world */
	const char *closed; /* answer, gone, or NULL: it is open */
	int64_t closed_us;
	const char *answer; /* JSON object: answer (allow or deny), text, answers; or NULL */
	const char *author; /* who said so; or NULL */
	const char *session_id, *session_name; /* of rows that are read */
};
typedef int (*store_question_cb)(const struct question_row *, void *);
/* Uses session, run, id, kind, json, asked_us, due_us. One that is there already stays as it is. */
int store_question_add(struct store *s, const struct question_row *row, struct err *e);
int store_question_due(struct store *s, int64_t session, int64_t run, const char *id, int64_t due_us, struct err *e);
/* Writes closed, closed_us, answer and author of an open one. */
int store_question_close(struct store *s, const struct question_row *row, struct err *e);
/* Those of a run that are open, oldest first, then those that were answered, the latest first. */
int store_question_run(struct store *s, int64_t session, int64_t run, int64_t limit, store_question_cb cb, void *arg, struct err *e);
/* Of all sessions: the open ones that were asked after that time, oldest first. */
int store_question_open(struct store *s, int64_t after_us, int64_t limit, store_question_cb cb, void *arg, struct err *e);
/* Oldest first: the open ones of a session, or, newest first, all of a session. The rows are valid during the call of cb. */
int store_question_list(struct store *s, int64_t session, bool all, int64_t limit, store_question_cb cb, void *arg, struct err *e);

/* ---- events ---------------------------------------------------------------------------------------------- */

/* Appends with the given seq, which must be the session's last_seq + 1 (-EEXIST otherwise: a repeated or late append); sets *id. The
 * session's last_seq is moved with it. */
int store_event_add(struct store *s, int64_t session, int64_t seq, int64_t run, const struct event *ev, int64_t *id, struct err *e);

/* ---- blueprints ------------------------------------------------------------------------------------------ */

/*
 * What the files of a blueprint say now, written by aod so that aod-http can answer without access to them, and each text that they had, as
 * versions. A version is kept when its blueprint is removed; numbers go on when it comes again.
 */
#define STORE_VERSIONS_KEPT 1000   /* of one blueprint; older ones are dropped */
#define STORE_BLUEPRINTS_MAX 100000 /* rows of a list */

struct blueprint_row {
	const char *name;
	const char *status;   /* active, inactive, bad, masked, alias */
	const char *alias_of; /* or NULL */
	const char *path;     /* of the main file; or NULL */
	int64_t version, created_us, modified_us;
	const char *json; size_t json_len;	   /* the wire object */
	/* Not in lists: */
	const char *settings; size_t settings_len; /* JSON */
	const char *problems; size_t problems_len; /* JSON */
	const char *text; size_t text_len;	   /* the main file and its drop-ins, each below a line "# /path" */
};
struct version_row {
	const char *name;
	int64_t version, time_us;
	const char *author, *action;
	size_t unit_bytes;		     /* so many bytes of text are unit files, the rest is files beside them */
	/* Not in lists: */
	const char *text; size_t text_len;   /* "" when the blueprint was removed */
	const char *files; size_t files_len; /* JSON [{"path","text"},…] */
};
/* Insert or replace. */
int store_blueprint_put(struct store *s, const struct blueprint_row *row, struct err *e);
int store_blueprint_delete(struct store *s, const char *name, struct err *e); /* one that is not there is fine */
int store_version_add(struct store *s, const struct version_row *row, struct err *e);

typedef int (*store_blueprint_cb)(const struct blueprint_row *, void *);
typedef int (*store_version_cb)(const struct version_row *, void *);
/* -ENOENT */
int store_blueprint_get(struct store *s, const char *name, size_t name_len, store_blueprint_cb cb, void *arg, struct err *e);
/* The wire object with settings and problems in it. */
void store_blueprint_json(struct buf *out, const struct blueprint_row *row);
/* A number that grows with each change of a row; 0: there was none; -1: it cannot be told. */
int64_t store_blueprint_changes(struct store *s);
/* All, by name. */
int store_blueprint_list(struct store *s, store_blueprint_cb cb, void *arg, struct err *e);
/* version 0: the latest. -ENOENT */
int store_version_get(struct store *s, const char *name, size_t name_len, int64_t version, store_version_cb cb, void *arg, struct err *e);
/* Newest first, at most limit; none is fine. */
int store_version_list(struct store *s, const char *name, size_t name_len, int64_t limit, store_version_cb cb, void *arg, struct err *e);

/* What is known of a blueprint's timer; aod/timer.h says what the times are. */
struct timer_row {
	const char *name, *rule;
	int64_t since_us, turn_us, last_us, due_us, next_us, skipped;
	const char *boot, *session, *error; /* or NULL */
};
int store_timer_put(struct store *s, const struct timer_row *row, struct err *e);
/* -ENOENT; the row is valid during the call of cb */
int store_timer_get(struct store *s, const char *name, int (*cb)(const struct timer_row *, void *), void *arg, struct err *e);
/* Of blueprints that are there no more; how many there were. */
int store_timer_prune(struct store *s, struct err *e);
/* Names of blueprints that can be started and have a [Timer]. */
int store_timer_blueprints(struct store *s, int (*cb)(const char *name, void *), void *arg, struct err *e);

/* ---- documents ------------------------------------------------------------------------------------------- */

/*
 * What the Context Store knows of its documents. Content is in files named by their SHA-256, which are not the store's business; it
 * counts how often each is used (by documents and their earlier versions), and says which may go.
 */
#define DOCUMENT_ID_SIZE 29	     /* "doc_", 24 hexadecimal digits, NUL */
#define STORE_DOCUMENT_VERSIONS 20   /* earlier ones that are kept of a document */
#define STORE_DOCUMENTS_MAX 100000   /* rows of a list */
#define STORE_RELATIONS_MAX 10000    /* of one document */
#define STORE_TAGS_MAX 100000	     /* of all */

struct document_row {
	int64_t n;
	const char *id, *filename, *content_type, *sha256;
	int64_t size, created_us, updated_us, version;
	int64_t expires_us;	     /* 0: never */
	const char *session, *author; /* who wrote this version; or NULL */
	int64_t event;		     /* the session's last seq then; 0: none */
	const char *tags, *metadata; /* JSON: an array of texts without repetition, an object */
	bool to_index;		     /* it is text, and the index does not know this version yet */
};
/* An earlier version, or the current one as such. */
struct document_version_row {
	int64_t version, size, time_us, event;
	const char *filename, *content_type, *sha256, *session, *author;
};
struct relation_row {
	const char *from_id, *to_id, *type, *author;
	int64_t created_us;
};
typedef int (*store_document_cb)(const struct document_row *, void *);
typedef int (*store_document_version_cb)(const struct document_version_row *, void *);

/* Inserts; counts a use of its content. row->n is set. -EEXIST */
int store_document_add(struct store *s, struct document_row *row, struct err *e);
/*
 * Writes the row of that id. With content: size and sha256 are new ones, what the document had becomes an earlier version, of which
 * the oldest go; the caller has set version to one more. -ENOENT
 */
int store_document_update(struct store *s, const struct document_row *row, bool content, struct err *e);
/* With its tags, relations, versions and text. -ENOENT */
int store_document_delete(struct store *s, const char *id, struct err *e);
/* 1: it was new, 0: it was there. The caller has looked that both documents are there. */
int store_relation_add(struct store *s, const struct relation_row *row, struct err *e);
/* type NULL: any. How many went. */
int store_relation_delete(struct store *s, const char *from, const char *to, const char *type, struct err *e);
/* The text of document n, at most what the caller finds fit, as it may be searched; text NULL: it has none. */
int store_document_index(struct store *s, int64_t n, const char *text, size_t len, struct err *e);

/* Uses of a content. -ENOENT: it was never seen, or its file is gone. refs 0: the file is to go, or has gone already. */
int store_blob_get(struct store *s, const char *sha256, int64_t *size, int64_t *refs, struct err *e);
/* Bytes of all contents; reads every row, so it is for the start. */
int store_blob_total(struct store *s, int64_t *bytes, struct err *e);
/* Contents without a use, at most limit. remove() takes the file away; when it returns 0 the row goes. How many there were. */
int store_blob_collect(struct store *s, int64_t limit, int (*remove)(const char *sha256, int64_t size, void *), void *arg,
		       struct err *e);

/* -ENOENT with the text "Document not found". */
int store_document_get(struct store *s, const char *id, size_t len, store_document_cb cb, void *arg, struct err *e);
/*
 * Without tags in the order of their making, with tags by id. filename: a piece of the name, in which % and _ are wildcards; or NULL.
 * tags: a JSON array of texts, all of which a document must have; or NULL.
 */
int store_document_list(struct store *s, const char *filename, const char *tags, int64_t limit, int64_t offset, store_document_cb cb,
			void *arg, struct err *e);
/* match: a query of FTS5. Newest first. on and off are put around what was found in the snippet. */
struct document_hit {
	struct document_row row;
	const char *snippet;
};
int store_document_search(struct store *s, const char *match, const char *on, const char *off, int64_t limit, int64_t offset,
			  int (*cb)(const struct document_hit *, void *), void *arg, struct err *e);
int store_document_expired(struct store *s, int64_t now_us, int64_t limit, store_document_cb cb, void *arg, struct err *e);
/* The next time at which a document expires; 0: none does. */
int store_document_next_expiry(struct store *s, int64_t *us, struct err *e);
int store_document_to_index(struct store *s, int64_t limit, store_document_cb cb, void *arg, struct err *e);
int store_tag_list(struct store *s, int (*cb)(const char *tag, int64_t uses, void *), void *arg, struct err *e);
/* Earlier versions, newest first; and one of them, -ENOENT. */
int store_document_versions(struct store *s, const char *id, store_document_version_cb cb, void *arg, struct err *e);
int store_document_version(struct store *s, const char *id, int64_t version, store_document_version_cb cb, void *arg, struct err *e);
int store_relation_list(struct store *s, const char *id, int (*cb)(const struct relation_row *, void *), void *arg, struct err *e);
/* The wire object; base is what /documents/ID is appended to. more: further members, each with a comma before it, or NULL. */
void store_document_json(struct buf *out, const struct document_row *row, const char *base, const char *more);

/* ---- tokens, written by aod; read by both ---------------------------------------------------------------- */

#define STORE_TOKENS_MAX 10000 /* rows of a list */
#define STORE_AUDIT_KEPT 100000 /* older rows of the audit trail are dropped */

struct token_row {
	const char *id, *hash; /* hash: SHA-256 of the text, in hexadecimal; not read back */
	const char *name;
	enum role role;
	const char *kind;   /* token, login or run */
	int64_t session;    /* 0: of none */
	const char *session_id; /* read only; NULL: of none */
	int64_t run;	    /* 0: any */
	const char *parent; /* of a login: the token's id */
	int64_t created_us, expires_us, used_us; /* expires_us 0: never */
};
typedef int (*store_token_cb)(const struct token_row *, void *);
int store_token_add(struct store *s, const struct token_row *row, struct err *e); /* -EEXIST: the name of another token */
/* The one with this hash, if it is worth something now: it has not expired, and its session is live. -ENOENT with status 401. */
int store_token_find(struct store *s, const char *hash, int64_t now_us, store_token_cb cb, void *arg, struct err *e);
/* Of kind token, oldest first. */
int store_token_list(struct store *s, store_token_cb cb, void *arg, struct err *e);
/* By id or name, with the logins made with it. -ENOENT */
int store_token_revoke(struct store *s, const char *key, struct err *e);
/* All of a session; how many there were. */
int store_token_end_session(struct store *s, int64_t session, struct err *e);
int store_token_logout(struct store *s, const char *id, struct err *e); /* if it is of kind login */
/* The run of a session has this control group (as in stat(2) of its directory); and whether a group is that of a run. 1, 0 */
int store_token_set_cgroup(struct store *s, int64_t session, int64_t cgroup, struct err *e);
int store_token_has_cgroup(struct store *s, int64_t cgroup, struct err *e);
int store_token_purge(struct store *s, int64_t now_us, struct err *e); /* expired ones */
int store_token_used(struct store *s, const char *id, int64_t now_us, struct err *e);

/* 1: session n has the id owner, or descends from it, also where that one is gone; 0: it does not. */
int store_session_owned(struct store *s, const char *owner, int64_t n, struct err *e);

struct audit_row {
	int64_t id, time_us;
	const char *who, *origin; /* whose authority; from where */
	const char *verb, *target;
	int status;
	int64_t count; /* how often in a row */
};
typedef int (*store_audit_cb)(const struct audit_row *, void *);
/* fold: where the newest row differs only in time, it counts one more instead. */
int store_audit_add(struct store *s, const struct audit_row *row, bool fold, struct err *e);
/* Ascending; after < 0: the last limit rows. */
int store_audit_list(struct store *s, int64_t after, int64_t limit, store_audit_cb cb, void *arg, struct err *e);

/* ---- reads, either connection ---------------------------------------------------------------------------- */

/*
 * All rows handed to callbacks are borrowed and valid during the call. A callback that returns non-zero ends the reading; that value is
 * returned. Otherwise: 0, or a negative error.
 */
typedef int (*store_session_cb)(const struct session_row *, void *);
typedef int (*store_event_cb)(const struct event_row *, void *);

/* By id, else by name (the newest with that name). -ENOENT with the text "Session not found". */
int store_session_find(struct store *s, const char *key, size_t key_len, store_session_cb cb, void *arg, struct err *e);
/* Newest first; limit < 0: STORE_LIST_MAX; offset in rows. status: only live (1), only ended (0), all (-1). */
#define STORE_LIST_MAX 100000
int store_session_list(struct store *s, int live, int64_t offset, int64_t limit, store_session_cb cb, void *arg, struct err *e);
/* The session with the id owner and all that descend from it, newest first. */
int store_session_family(struct store *s, const char *owner, store_session_cb cb, void *arg, struct err *e);
/* Those that the session with the id parent started, newest first. */
int store_session_children(struct store *s, const char *parent, store_session_cb cb, void *arg, struct err *e);
/* 1: one of these owes it an answer (callback_due); 0: none does. */
int store_session_awaits(struct store *s, const char *id, struct err *e);
/* How many sessions there are from the first of its tree down to the one with this id, both counted; 0: there is no such session. At most max. */
int store_session_depth(struct store *s, const char *id, int max, struct err *e);
/*
 * The result: what the run said (store_session_set_result), else for passive sessions the text of the first content block of the assistant
 * message event with the greatest timestamp. *out is empty and -ENODATA is returned when there is none.
 */
int store_session_result(struct store *s, int64_t n, struct buf *out, struct err *e);
/*
 * The tail of a run's stdout: the texts of its last `output` events of stream stdout joined with newlines (pieces with partial:true go
 * together), at most max bytes, whole lines; of a last line that is longer than max, its last max bytes. Empty when there is none.
 */
int store_run_output_tail(struct store *s, int64_t session, int64_t run, size_t max, struct buf *out, struct err *e);
/* Plan JSON of the latest run, or of run `run` when > 0. -ENOENT */
int store_run_plan(struct store *s, int64_t session, int64_t run, struct buf *out, struct err *e);

/* Events of a session with seq > after, ascending, at most limit (> 0). with_raw: row.raw is filled. */
int store_events(struct store *s, int64_t session, int64_t after, int64_t limit, bool with_raw, store_event_cb cb, void *arg, struct err *e);
/* The last `count` events, ascending. */
int store_events_tail(struct store *s, int64_t session, int64_t count, bool with_raw, store_event_cb cb, void *arg, struct err *e);

/*
 * The feed: events and changes of the whole store with id > after, in the order of ids, at most limit. session > 0 narrows it to one session.
 * Exactly one of ev and change is given in each call. A change's json is what to send: {"type":"session_created","session":{…}},
 * {"type":"session_updated","session":{…}} (the session as it was then) or {"type":"session_deleted","session_id":"…"}, without its
 * closing brace, so that the caller appends ,"id":N}.
 */
struct change_row {
	int64_t id, session;
	const char *kind;
	const char *json; size_t json_len;
};
typedef int (*store_feed_cb)(const struct event_row *ev, const struct change_row *change, void *arg);
int store_feed(struct store *s, int64_t after, int64_t session, int64_t limit, store_feed_cb cb, void *arg, struct err *e);
/*
 * How far the latest store_feed() has looked, as an id: what was not given up to there is not for anybody (events of a session that was deleted count
 * for the limit, but are not given). INT64_MAX: to the end.
 */
int64_t store_feed_reached(const struct store *s);
/* The id before which changes were dropped: a cursor below it may have missed some. */
int64_t store_feed_floor(struct store *s);
/* Hold one read transaction over several reads (a snapshot); keep it short: a checkpoint cannot finish meanwhile. */
int store_read_begin(struct store *s, struct err *e);
void store_read_end(struct store *s);

#endif
