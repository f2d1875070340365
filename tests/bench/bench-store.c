/* SPDX-License-Identifier: MIT */
/*
 * What the store costs, beside SQLite alone: bench-store [DIRECTORY] [ROWS]. Prints a table; is no test. Each line is one run on a
 * fresh database; "raw" inserts the same rows with the same index, without sessions, counters and checks.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd.h"
#include "base/util.h"
#include "store/store.h"

#define SESSIONS 10
#define MAX_SAMPLES 2000000

static const char *dir;
static char path[4096];
static int64_t *samples;
static int64_t sample_count;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "bench-store: %s: %s\n", what, why);
	exit(1);
}

static void
check(int r, const struct err *e)
{
	if (r < 0)
		die("store", e->text);
}

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
fresh(void)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[4200];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(const char *what, int batch, int64_t rows, int64_t us, int64_t cpu)
{
	qsort(samples, sample_count, sizeof(*samples), by_size);
	printf("%-6s %5d rows/tx  %9.0f rows/s  %6.2f us CPU/row  tx p50 %lld p99 %lld max %lld us\n", what, batch,
	       rows * 1e6 / us, cpu / 1000.0 / rows, (long long)samples[sample_count / 2],
	       (long long)samples[sample_count * 99 / 100], (long long)samples[sample_count - 1]);
	fflush(stdout);
}

static void
make_event(struct event *ev)
{
	char text[161];

	memset(text, 'x', 160);
	text[160] = 0;
	event_begin(ev, "message", now_us());
	event_put_text(ev, KEY_ROLE, "assistant", 9);
	event_put_content_text(ev, text, 132);
}

static struct store *
filled(int sessions, int64_t *first)
{
	struct store *s;
	struct err e;

	fresh();
	check(store_open(path, &s, &e), &e);
	check(store_begin(s, &e), &e);
	for (int i = 0; i < sessions; i++) {
		char id[ID_SIZE], name[32];
		struct session_row row = {
			.id = id_new(id), .name = name, .state = SESSION_RUNNING, .project_dir = "/home/user/project",
			.agent_name = "claude", .adapter = "claude", .created_us = now_us(), .exit_code = -1,
		};

		snprintf(name, sizeof(name), "session-%d", i);
		check(store_session_add(s, &row, &e), &e);
		if (i == 0)
			*first = row.n;
		row.state = SESSION_FINISHED;
		row.outcome = OUTCOME_SUCCESS;
		row.exit_code = 0;
		row.runs = 1;
		row.started_us = row.ended_us = row.created_us;
		row.cost_usd = 0.0123;
		row.input_tokens = 12345;
		row.output_tokens = 678;
		row.turns = 3;
		row.agent_session_id = row.id;
		check(store_session_update(s, &row, &e), &e);
	}
	check(store_commit(s, &e), &e);
	return s;
}

static struct store *
write_store(int batch, int64_t rows, int64_t *first)
{
	struct store *s = filled(SESSIONS, first);
	struct event ev = { 0 };
	int64_t seq[SESSIONS] = { 0 }, start, cpu, begun;
	struct err e;

	make_event(&ev);
	sample_count = 0;
	start = mono_us();
	cpu = cpu_ns();
	for (int64_t i = 0; i < rows;) {
		begun = mono_us();
		check(store_begin(s, &e), &e);
		for (int j = 0; j < batch && i < rows; j++, i++) {
			/* Ten of a session at a time, as they come from a spool. */
			int k = (i / 10) % SESSIONS;

			check(store_event_add(s, *first + k, ++seq[k], 1, &ev, NULL, &e), &e);
		}
		check(store_commit(s, &e), &e);
		samples[sample_count++] = mono_us() - begun;
	}
	report("store", batch, rows, mono_us() - start, cpu_ns() - cpu);
	event_free(&ev);
	return s;
}

static void
raw_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL))
		die(sql, sqlite3_errmsg(db));
}

static void
write_raw(int batch, int64_t rows)
{
	struct event ev = { 0 };
	sqlite3 *db;
	sqlite3_stmt *st, *begin, *commit;
	int64_t seq[SESSIONS] = { 0 }, start, cpu, begun;

	fresh();
	if (sqlite3_open(path, &db))
		die(path, "open");
	raw_sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
		    "CREATE TABLE event (id INTEGER PRIMARY KEY, session, seq, run, time_us, timestamp, type, keys, data, raw);"
		    "CREATE UNIQUE INDEX event_seq ON event (session, seq)");
	sqlite3_prepare_v2(db, "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?)", -1, &st, NULL);
	sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL);
	sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL);
	make_event(&ev);
	sample_count = 0;
	start = mono_us();
	cpu = cpu_ns();
	for (int64_t i = 0; i < rows;) {
		begun = mono_us();
		sqlite3_step(begin);
		sqlite3_reset(begin);
		for (int j = 0; j < batch && i < rows; j++) {
			int k = (i / 10) % SESSIONS;

			sqlite3_bind_int64(st, 1, ++i);
			sqlite3_bind_int64(st, 2, k);
			sqlite3_bind_int64(st, 3, ++seq[k]);
			sqlite3_bind_int64(st, 4, 1);
			sqlite3_bind_int64(st, 5, ev.time_us);
			sqlite3_bind_text(st, 7, ev.type, -1, SQLITE_STATIC);
			sqlite3_bind_int64(st, 8, ev.keys);
			sqlite3_bind_text(st, 9, ev.data.data, ev.data.len, SQLITE_STATIC);
			if (sqlite3_step(st) != SQLITE_DONE)
				die("insert", sqlite3_errmsg(db));
			sqlite3_reset(st);
		}
		if (sqlite3_step(commit) != SQLITE_DONE)
			die("commit", sqlite3_errmsg(db));
		sqlite3_reset(commit);
		samples[sample_count++] = mono_us() - begun;
	}
	report("raw", batch, rows, mono_us() - start, cpu_ns() - cpu);
	sqlite3_finalize(st);
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_close(db);
	event_free(&ev);
}

/* ---- reads ----------------------------------------------------------------------------------------------- */

static int64_t seen, cursor;

static int
on_session(const struct session_row *row, void *arg)
{
	if (arg)
		session_render(arg, row);
	seen++;
	return 0;
}

static int
on_feed(const struct event_row *ev, const struct change_row *change, void *arg)
{
	if (arg && ev)
		event_render(arg, ev, false);
	cursor = ev ? ev->id : change->id;
	seen++;
	return 0;
}

static int
on_event(const struct event_row *ev, void *arg)
{
	if (arg)
		event_render(arg, ev, false);
	cursor = ev->seq;
	seen++;
	return 0;
}

static void
read_sessions(struct store *s, int times, struct buf *out)
{
	int64_t cpu = cpu_ns();
	struct err e;

	for (int i = 0; i < times; i++) {
		if (out)
			buf_reset(out);
		check(store_session_list(s, -1, 0, -1, on_session, out, &e), &e);
	}
	printf("list of 100 sessions%s: %.1f us CPU\n", out ? ", rendered" : "", (cpu_ns() - cpu) / 1000.0 / times);
}

static void
read_one(struct store *s, const char *key, int times)
{
	int64_t cpu = cpu_ns();
	struct err e;

	for (int i = 0; i < times; i++)
		check(store_session_find(s, key, strlen(key), on_session, NULL, &e), &e);
	printf("one session by name: %.2f us CPU\n", (cpu_ns() - cpu) / 1000.0 / times);
	cpu = cpu_ns();
	for (int i = 0; i < times; i++)
		store_last_change(s);
	printf("store_last_change: %.2f us CPU\n", (cpu_ns() - cpu) / 1000.0 / times);
}

static void
read_feed(struct store *s, int64_t session, int64_t limit, struct buf *out)
{
	int64_t cpu = cpu_ns(), last;
	struct err e;

	seen = cursor = 0;
	do {
		last = cursor;
		if (out)
			buf_reset(out);
		check(store_feed(s, cursor, session, limit, on_feed, out, &e), &e);
	} while (cursor != last);
	printf("feed of %s, %lld at a time%s: %.2f us CPU/row (%lld rows)\n", session ? "one session" : "all",
	       (long long)limit, out ? ", rendered" : "", (cpu_ns() - cpu) / 1000.0 / seen, (long long)seen);
}

static void
read_events(struct store *s, int64_t session)
{
	int64_t cpu = cpu_ns(), last;
	struct err e;

	seen = cursor = 0;
	do {
		last = cursor;
		check(store_events(s, session, cursor, 500, false, on_event, NULL, &e), &e);
	} while (cursor != last);
	printf("events of one session, 500 at a time: %.2f us CPU/row (%lld rows)\n", (cpu_ns() - cpu) / 1000.0 / seen,
	       (long long)seen);
}

static void
read_all(struct store *writer, int64_t first)
{
	struct buf out = BUF_INIT;
	struct store *s, *hundred;
	struct rusage ru;
	int64_t n, start;
	struct err e;

	check(store_open_read(path, &s, &e), &e);
	for (int64_t limit = 1; limit <= 1000; limit *= 10)
		read_feed(s, 0, limit, NULL);
	read_feed(s, 0, 1000, &out);
	read_feed(s, first, 100, NULL);
	read_events(s, first);
	store_close(s);

	start = mono_us();
	check(store_begin(writer, &e), &e);
	check(store_session_delete(writer, first, &n, &e), &e);
	check(store_commit(writer, &e), &e);
	printf("deleting a session with %lld events: %.1f ms\n", (long long)n, (mono_us() - start) / 1000.0);
	store_close(writer);

	hundred = filled(100, &n);
	check(store_open_read(path, &s, &e), &e);
	read_sessions(s, 2000, NULL);
	read_sessions(s, 2000, &out);
	read_one(s, "session-50", 20000);
	store_close(s);
	store_close(hundred);
	buf_free(&out);
	getrusage(RUSAGE_SELF, &ru);
	printf("greatest resident size: %.1f MiB\n", ru.ru_maxrss / 1024.0);
}

int
main(int argc, char **argv)
{
	static const int batches[] = { 1, 10, 100, 1000 };
	int64_t rows = 200000, first = 0;

	dir = argc > 1 ? argv[1] : ".";
	if (argc > 2 && !parse_i64(argv[2], 1000, MAX_SAMPLES, &rows))
		die(argv[2], "not a number of rows between 1000 and 2000000");
	snprintf(path, sizeof(path), "%s/bench-store.db", dir);
	samples = xcalloc(rows, sizeof(*samples));
	for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
		struct store *s;

		write_raw(batches[i], rows);
		s = write_store(batches[i], rows, &first);
		if (i + 1 < ARRAY_LEN(batches))
			store_close(s);
		else
			read_all(s, first);
	}
	fresh();
	free(samples);
	return 0;
}
