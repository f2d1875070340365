/* SPDX-License-Identifier: MIT */
/* Opening, migrating and closing the database; transactions; errors; the statements' life. See store.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "store/store-internal.h"

/* ---- errors ---------------------------------------------------------------------------------------------- */

static int
fail_damaged(const char *path, struct err *e, const char *why)
{
	return err_set_status(e, 500, -EUCLEAN,
			      "%s is damaged (%s): restore it from a backup, or move it away to start empty", path,
			      why);
}

static int
fail_system(const char *path, int err, struct err *e, const char *what)
{
	return err_set_status(e, 500, -err, "%s: %s: %s", path, what, strerror(err));
}

static int
translate(struct store *s, struct err *e, const char *what)
{
	int code = sqlite3_extended_errcode(s->db), sys = sqlite3_system_errno(s->db);
	const char *why = sqlite3_errmsg(s->db);

	if (code == SQLITE_IOERR_NOMEM || (code & 0xff) == SQLITE_NOMEM) {
		fprintf(stderr, "out of memory in SQLite\n");
		abort();
	}
	if ((code & 0xff) == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT))
		code = SQLITE_FULL;
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return err_set_status(e, 503, -EAGAIN, "%s is locked by another process: %s", s->path, what);
	case SQLITE_FULL:
		return err_set_status(e, 507, -ENOSPC, "no space is left on the disk of %s", s->path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fail_damaged(s->path, e, why);
	case SQLITE_READONLY:
		return err_set_status(e, 500, -EROFS, "%s cannot be written: %s: %s", s->path, what, why);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return sys ? fail_system(s->path, sys, e, what)
			   : err_set_status(e, 500, -EACCES, "%s: %s: %s", s->path, what, why);
	default:
		return err_set_status(e, 500, -EIO, "%s: %s: %s (%d)", s->path, what, why, code);
	}
}

int
store_fail(struct store *s, struct err *e, const char *what)
{
	return s->code = translate(s, e, what);
}

/* ---- statements ------------------------------------------------------------------------------------------ */

sqlite3_stmt *
store_stmt(struct store *s, enum query q, struct err *e)
{
	sqlite3_stmt *st = s->stmt[q];

	if (!st) {
		if (sqlite3_prepare_v3(s->db, store_sql[q], -1, SQLITE_PREPARE_PERSISTENT, &st, NULL)) {
			store_fail(s, e, "preparing a statement");
			return NULL;
		}
		s->stmt[q] = st;
	}
	/* A callback called the very read that calls it. */
	assert(!sqlite3_stmt_busy(st));
	return st;
}

sqlite3_stmt *
store_query(struct store *s, enum query q, struct err *e)
{
	if (s->dirty > 0 && store_flush_heads(s, e) < 0)
		return NULL;
	return store_stmt(s, q, e);
}

int
store_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int r = sqlite3_step(st);

	if (r == SQLITE_ROW)
		return 1;
	if (r != SQLITE_DONE)
		r = store_fail(s, e, s->in_tx || st == s->stmt[Q_BEGIN] ? "writing" : "reading");
	else
		r = 0;
	sqlite3_reset(st);
	return r;
}

bool
store_next(struct store *s, sqlite3_stmt *st, int *r, struct err *e)
{
	int step;

	if (*r != 0) {
		sqlite3_reset(st);
		return false;
	}
	step = store_step(s, st, e);
	if (step < 0)
		*r = step;
	return step > 0;
}

int
store_exec(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int r;

	if (!st)
		return s->code;
	while ((r = store_step(s, st, e)) > 0)
		;
	if (r < 0 && s->in_tx)
		s->poisoned = true;
	return r;
}

/* SQL that is run once, at open. */
static int
exec_sql(struct store *s, const char *sql, struct err *e)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL))
		return store_fail(s, e, "opening");
	return 0;
}

/* The first column of the first row of SQL that is run once. */
static int
exec_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st;
	int r;

	*out = 0;
	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL))
		return store_fail(s, e, "opening");
	r = store_step(s, st, e);
	if (r > 0)
		*out = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return r < 0 ? r : 0;
}

int
store_meta_get(struct store *s, const char *key, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_META_GET, e);
	int r;

	if (!st)
		return s->code;
	bind_text(st, 1, key);
	r = store_step(s, st, e);
	if (r == 0)
		return err_set(e, -ENOENT, "%s: meta has no %s", s->path, key);
	if (r > 0) {
		buf_put(out, col_text(st, 0), sqlite3_column_bytes(st, 0));
		sqlite3_reset(st);
		r = 0;
	}
	return r;
}

int
store_meta_set(struct store *s, const char *key, const char *value, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_META_SET, e);

	if (st) {
		bind_text(st, 1, key);
		bind_text(st, 2, value);
	}
	return store_exec(s, st, e);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* quick_check reads the whole file, so large ones are not looked at. */
static int
check_after_crash(struct store *s, struct err *e)
{
	struct stat st;
	sqlite3_stmt *q;
	int r;

	if (stat(s->path, &st) < 0 || st.st_size > STORE_CHECK_MAX)
		return 0;
	if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL))
		return store_fail(s, e, "checking");
	r = store_step(s, q, e);
	if (r > 0) {
		const char *text = col_text(q, 0);

		r = strcmp(text, "ok") == 0 ? 0 : fail_damaged(s->path, e, text);
	}
	sqlite3_finalize(q);
	return r;
}

/* The schema's version, when the file is one of ours (or empty, where a writer may fill it). */
static int
check_schema(struct store *s, int64_t *version, struct err *e)
{
	int64_t app = 0, tables = 0;
	int r;

	if ((r = exec_int(s, "PRAGMA user_version", version, e)) < 0 ||
	    (r = exec_int(s, "PRAGMA application_id", &app, e)) < 0 ||
	    (r = exec_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e)) < 0)
		return r;
	if (app != STORE_APPLICATION_ID && (app != 0 || tables > 0))
		return err_set_status(e, 500, -EPROTO, "%s is a database of another program", s->path);
	if (*version > store_schema_version)
		return err_set_status(e, 500, -EPROTO,
				      "%s was written by a newer version of aod (schema %" PRId64
				      ", this one knows %d): install that version again, or move the file away",
				      s->path, *version, store_schema_version);
	if (!s->writer && *version < store_schema_version)
		return err_set_status(e, 500, -EPROTO, "%s has schema %" PRId64 ", not yet %d: aod has to open it first",
				      s->path, *version, store_schema_version);
	return 0;
}

/* All steps that are missing, within the open transaction. */
static int
migrate(struct store *s, int64_t version, struct err *e)
{
	char sql[80];
	int r;

	if (version == store_schema_version)
		return 0;
	for (int64_t i = version; i < store_schema_version; i++)
		if ((r = exec_sql(s, store_schema[i], e)) < 0)
			return r;
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
		 store_schema_version);
	return exec_sql(s, sql, e);
}

/*
 * The node's name, and whether the file is sure to be as it was written: it was closed, or the machine has run ever since, as what a program that was
 * killed had written is with the kernel. Until it is closed, "clean" is the boot that it is open in.
 */
static int
open_meta(struct store *s, bool *whole, struct err *e)
{
	struct buf *b = &s->scratch;
	char boot[37];
	bool same;
	int r;

	buf_reset(b);
	r = store_meta_get(s, "node", b, e);
	if (r == -ENOENT) {
		id_new(s->node);
		if ((r = store_meta_set(s, "node", s->node, e)) < 0)
			return r;
	} else if (r < 0) {
		return r;
	} else {
		snprintf(s->node, sizeof(s->node), "%s", b->data);
	}
	buf_reset(b);
	r = store_meta_get(s, "clean", b, e);
	if (r < 0 && r != -ENOENT)
		return r;
	proc_boot_id(boot);
	same = r == 0 && boot[0] && strcmp(b->data, boot) == 0;
	*whole = same || r == -ENOENT || strcmp(b->data, "1") == 0;
	return same ? 0 : store_meta_set(s, "clean", boot[0] ? boot : "0", e);
}

static int
data_version(struct store *s, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_DATA_VERSION, e);
	int r;

	if (!st)
		return s->code;
	r = store_step(s, st, e);
	if (r > 0) {
		*out = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

static int
read_last_id(struct store *s, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_LAST_ID, e);
	int r;

	if (!st)
		return s->code;
	r = store_step(s, st, e);
	if (r > 0) {
		int64_t event = sqlite3_column_int64(st, 0), change = sqlite3_column_int64(st, 1);

		*out = event > change ? event : change;
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/* What is kept in memory beside the file. */
static int
load_counters(struct store *s, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, Q_CHANGE_COUNT, e);
	int r;

	if (!st)
		return s->code;
	if ((r = store_step(s, st, e)) < 0)
		return r;
	s->changes = s->committed_changes = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	memset(s->heads, 0, sizeof(s->heads));
	s->dirty = 0;
	if ((r = read_last_id(s, &s->last_id, e)) < 0)
		return r;
	s->committed_id = s->last_id;
	return 0;
}

/*
 * SQLite gives -wal and -shm the mode of the file itself, so this one is made here. It is not opened again while
 * SQLite has it open: closing any descriptor of it would drop SQLite's POSIX locks (fcntl(2)).
 */
static int
make_file(const char *path, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640), r = 0;

	if (fd < 0 && errno == EEXIST) {
		if (stat(path, &st) < 0)
			return fail_system(path, errno, e, "opening");
		if (!S_ISREG(st.st_mode))
			return err_set_status(e, 500, -EINVAL, "%s is not a regular file", path);
		return 0;
	}
	if (fd < 0)
		return fail_system(path, errno, e, "creating");
	if (fchmod(fd, 0640) < 0)
		r = fail_system(path, errno, e, "setting the mode");
	close(fd);
	return r;
}

static struct store *
store_new(const char *path, bool writer)
{
	static bool once;
	struct store *s = xcalloc(1, sizeof(*s));

	if (!once) {
		once = true;
		sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* spares a lock in each allocation */
	}
	s->path = xstrdup(path);
	s->writer = writer;
	s->wal_fd = -1;
	return s;
}

static int
connect_file(struct store *s, int flags, struct err *e)
{
	char sql[200];
	int r;

	r = sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (!s->db)
		abort(); /* no memory for the handle */
	if (r)
		return store_fail(s, e, "opening");
	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	/* A damaged or hostile file must not make the schema run functions. */
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON",
		 STORE_CACHE_KIB);
	return exec_sql(s, sql, e);
}

#define WAL_FRAME (4096 + 24) /* a page and its header (sqlite.org/fileformat2.html) */

/*
 * After each commit, with the number of pages in -wal. A checkpoint waits for the disk until all of -wal is written,
 * which would stall the writer for tens of milliseconds; so the kernel is asked to begin with that long before. A
 * checkpoint that could not finish, as a reader needs old pages, is not tried again with each commit, as SQLite's own
 * hook would.
 */
static int
on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store *s = arg;

	if (pages < s->wal_flushed) { /* begun anew */
		s->wal_flushed = 0;
		s->wal_next = STORE_WAL_PAGES;
	}
	if (pages - s->wal_flushed >= STORE_WAL_FLUSH) {
		if (s->wal_fd >= 0)
			sync_file_range(s->wal_fd, (off_t)s->wal_flushed * WAL_FRAME, 0, SYNC_FILE_RANGE_WRITE);
		s->wal_flushed = pages;
	}
	if (pages >= s->wal_next) {
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		s->wal_next = pages + STORE_WAL_AGAIN;
	}
	return SQLITE_OK;
}

/* A descriptor of our own for -wal, which carries none of SQLite's locks. Without it, checkpoints are slower only. */
static void
open_wal(struct store *s)
{
	CLEANUP_FREE char *path = xasprintf("%s-wal", s->path);

	s->wal_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	s->wal_next = STORE_WAL_PAGES;
	sqlite3_wal_hook(s->db, on_wal, s);
}

static int
set_up_writer(struct store *s, struct err *e)
{
	char sql[200];
	sqlite3_stmt *st;
	int keep = 1, r;

	sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
	if (sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &st, NULL))
		return store_fail(s, e, "opening");
	r = store_step(s, st, e);
	if (r > 0 && strcmp(col_text(st, 0), "wal") != 0)
		r = err_set_status(e, 500, -ENOTSUP, "%s: this file system is not fit for SQLite's WAL mode",
				   s->path);
	sqlite3_finalize(st);
	if (r < 0)
		return r;
	/*
	 * secure_delete = FAST: deleted content is overwritten where its page is written anyway, and a session's pages
	 * are not written once more only for that (Debian's default is ON).
	 */
	snprintf(sql, sizeof(sql),
		 "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = %d; PRAGMA secure_delete = FAST",
		 STORE_WAL_KEEP);
	return exec_sql(s, sql, e);
}

static int
open_writer(struct store *s, struct err *e)
{
	int64_t version;
	bool whole = true;
	int r;

	if ((r = connect_file(s, SQLITE_OPEN_READWRITE, e)) < 0 || (r = check_schema(s, &version, e)) < 0 ||
	    (r = set_up_writer(s, e)) < 0 || (r = store_begin(s, e)) < 0 ||
	    (r = check_schema(s, &version, e)) < 0 || (r = migrate(s, version, e)) < 0 ||
	    (r = open_meta(s, &whole, e)) < 0 || (!whole && (r = check_after_crash(s, e)) < 0) ||
	    (r = load_counters(s, e)) < 0 || (r = store_commit(s, e)) < 0)
		return r;
	open_wal(s); /* not before: a new database has none until something was written */
	return 0;
}

int
store_open(const char *path, struct store **out, struct err *e)
{
	struct store *s;
	int r;

	*out = NULL;
	if ((r = make_file(path, e)) < 0)
		return r;
	s = store_new(path, true);
	if ((r = open_writer(s, e)) < 0) {
		s->writer = false; /* everything stays as it is, -wal too */
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

int
store_open_read(const char *path, struct store **out, struct err *e)
{
	struct store *s;
	int64_t version;
	int r;

	*out = NULL;
	s = store_new(path, false);
	/* No mmap_size: it was measured to gain nothing, and each page that was ever read would count as our memory. */
	if ((r = connect_file(s, SQLITE_OPEN_READONLY, e)) < 0 || (r = check_schema(s, &version, e)) < 0) {
		store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	store_rollback(s);
	if (s->writer && store_begin(s, NULL) == 0 && store_meta_set(s, "clean", "1", NULL) == 0)
		store_commit(s, NULL);
	store_rollback(s);
	for (int i = 0; i < Q_COUNT; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
	if (s->wal_fd >= 0)
		close(s->wal_fd);
	for (int i = 0; i < STORE_NAMES; i++)
		buf_free(&s->names[i].text);
	buf_free(&s->scratch);
	free(s->path);
	free(s);
}

/* ---- transactions ---------------------------------------------------------------------------------------- */

int
store_begin(struct store *s, struct err *e)
{
	int64_t version;
	int r;

	assert(s->writer);
	if (s->in_tx)
		return 0;
	assert(s->reading == 0);
	if ((r = store_exec(s, store_stmt(s, Q_BEGIN, e), e)) < 0)
		return r;
	s->in_tx = true;
	if ((r = data_version(s, &version, e)) < 0) {
		store_rollback(s);
		return r;
	}
	/* The first time in open, and after another process wrote: what is known of the file is read again. */
	if (version != s->version && s->version != 0 && (r = load_counters(s, e)) < 0) {
		store_rollback(s);
		return r;
	}
	s->version = version;
	return 0;
}

int
store_commit(struct store *s, struct err *e)
{
	int r;

	if (!s->in_tx)
		return 0;
	if (s->poisoned)
		r = err_set_status(e, 500, -EIO, "%s: a write of this transaction failed", s->path);
	else if ((r = store_flush_heads(s, e)) == 0)
		r = store_exec(s, store_stmt(s, Q_COMMIT, e), e);
	if (r < 0) {
		store_rollback(s);
		return r;
	}
	s->in_tx = false;
	s->committed_id = s->last_id;
	s->committed_changes = s->changes;
	return 0;
}

void
store_rollback(struct store *s)
{
	if (!s->in_tx)
		return;
	/* SQLite ends the transaction by itself after some errors. */
	if (!sqlite3_get_autocommit(s->db))
		store_exec(s, store_stmt(s, Q_ROLLBACK, NULL), NULL);
	s->in_tx = s->poisoned = false;
	s->last_id = s->committed_id;
	s->changes = s->committed_changes;
	memset(s->heads, 0, sizeof(s->heads));
	s->dirty = 0;
}

void
store_make_room(struct store *s)
{
	assert(!s->in_tx);
	sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

bool
store_in_transaction(const struct store *s)
{
	return s->in_tx;
}

int64_t
store_last_id(struct store *s)
{
	int64_t id = 0;

	if (s->writer)
		return s->committed_id;
	read_last_id(s, &id, NULL);
	return id;
}

int64_t
store_last_change(struct store *s)
{
	sqlite3_stmt *st = store_query(s, Q_LAST_CHANGE, NULL);
	int64_t id = -1;

	if (st && store_step(s, st, NULL) > 0) {
		id = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return id;
}

int
store_read_begin(struct store *s, struct err *e)
{
	int64_t version;
	int r;

	/* A write transaction is a snapshot already. */
	if (s->in_tx || s->reading > 0) {
		s->reading++;
		return 0;
	}
	if ((r = store_exec(s, store_stmt(s, Q_READ_BEGIN, e), e)) < 0)
		return r;
	/* BEGIN alone takes none: the first read does. */
	if ((r = data_version(s, &version, e)) < 0) {
		store_exec(s, store_stmt(s, Q_ROLLBACK, NULL), NULL);
		return r;
	}
	s->reading = 1;
	return 0;
}

void
store_read_end(struct store *s)
{
	assert(s->reading > 0);
	if (--s->reading == 0 && !s->in_tx && !sqlite3_get_autocommit(s->db))
		store_exec(s, store_stmt(s, Q_COMMIT, NULL), NULL);
}
