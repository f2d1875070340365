/* SPDX-License-Identifier: MIT */
/*
 * From a spool to events: frames are read from where the last commit left off, lines are put together, and handed to the adapter; offsets
 * go into the same transaction as the events. A frame with FRAME_MORE holds a piece of a line, and its stream's offset stays at the
 * line's first frame until the line is whole, so that a crash in between loses nothing and repeats nothing.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aod/denied.h"
#include "aod/run.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/util.h"

enum { OTHER = 2 };

static int
take_line(struct run *r, int stream, int64_t time_us, const char *s, size_t n, bool partial, struct err *e)
{
	struct line_buf *l = &r->line[stream];
	int rc = contain_log(r, (int64_t)n + (partial ? 0 : LINE_COST), e);

	if (rc < 0 || r->in.log_full)
		return rc;
	r->adapter->line(r->adapter_state, stream, time_us, s, n, l->piece, partial, &r->out);
	l->piece = partial ? l->piece + 1 : 0;
	watch_heard(r, stream, time_us);
	return run_take_adapter_out(r, e);
}

/* One complete line, or the rest of one whose first part waits in l->bytes. */
static int
end_line(struct run *r, int stream, int64_t time_us, const char *s, size_t n, struct err *e)
{
	struct line_buf *l = &r->line[stream];
	int rc;

	if (l->bytes.len == 0)
		return take_line(r, stream, time_us, s, n, false, e);
	buf_put(&l->bytes, s, n);
	rc = take_line(r, stream, time_us, l->bytes.data, l->bytes.len, false, e);
	buf_reset(&l->bytes);
	return rc;
}

/* Keep the beginning of a line; what is over the adapter's cap goes to it in pieces. */
static int
keep_part(struct run *r, int stream, int64_t time_us, const char *s, size_t n, int64_t pos, struct err *e)
{
	struct line_buf *l = &r->line[stream];
	int rc = 0;

	if (l->bytes.len == 0)
		l->start = pos;
	buf_put(&l->bytes, s, n);
	if (l->bytes.len >= r->adapter->line_max) {
		rc = take_line(r, stream, time_us, l->bytes.data, l->bytes.len, true, e);
		buf_reset(&l->bytes);
	}
	return rc;
}

static int
on_output(struct run *r, int stream, const struct frame *f, int64_t pos, size_t used, struct err *e)
{
	const char *p = f->payload, *end = f->payload + f->len;
	struct line_buf *l = &r->line[stream];
	int rc = 0;

	while (rc == 0 && p < end && !r->in.log_full) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if (!nl && (f->flags & FRAME_MORE)) {
			rc = keep_part(r, stream, f->time_us, p, (size_t)(end - p), pos, e);
			break;
		}
		/* The last line of a stream may have no newline. */
		rc = end_line(r, stream, f->time_us, p, (size_t)((nl ? nl : end) - p), e);
		p = nl ? nl + 1 : end;
	}
	if (r->in.log_full)
		buf_reset(&l->bytes);
	r->offset[stream] = l->bytes.len ? l->start : pos + (int64_t)used;
	return rc;
}

static int64_t
field_number(const struct frame *f, const char *key)
{
	const char *s = frame_field(f, key);
	int64_t v = 0;

	if (s)
		parse_i64(s, INT64_MIN, INT64_MAX, &v);
	return v;
}

static int
on_start(struct run *r, const struct frame *f, struct err *e)
{
	int rc;

	if (run_watch_shim(r, field_number(f, "shim_pid"), field_number(f, "shim_start")) < 0 && r->pidfd < 0)
		r->shim_dead = true; /* what it wrote before is read first */
	r->s.row.started_us = f->time_us;
	watch_started(r, f->time_us);
	contain_warm(r->m);
	rc = session_set_state(r->m, &r->s, SEV_STARTED, e);
	return rc < 0 ? rc : 0;
}

int
run_flush_lines(struct run *r, int64_t time_us, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < OTHER; i++)
		if (r->line[i].bytes.len) {
			rc = end_line(r, i, time_us, "", 0, e);
			r->offset[i] = r->read_at;
		}
	return rc;
}

static int
on_exit_frame(struct run *r, const struct frame *f, struct err *e)
{
	struct run_exit x = {
		.known = true,
		.wait_status = (int)field_number(f, "status"),
		.exec_errno = (int)field_number(f, "exec_errno"),
		.exec_step = frame_field(f, "exec_step"),
		.stop_requested = r->s.row.state == SESSION_STOPPING,
		.time_us = f->time_us,
	};
	struct event *ev = &r->m->event;
	int rc = run_flush_lines(r, f->time_us, e);

	if (rc == 0 && denied_exec(ev, x.exec_step, x.exec_errno, f->time_us))
		rc = session_add_event(r->m, &r->s, r->n, ev, e);
	return rc < 0 ? rc : run_on_exit(r, &x, e);
}

static int
on_denied(struct run *r, const struct frame *f, struct err *e)
{
	struct event *ev = &r->m->event;

	return denied_call(ev, f, r->in.basic_filter) ? session_add_event(r->m, &r->s, r->n, ev, e) : 0;
}

static int
on_frame(struct run *r, const struct frame *f, int64_t pos, size_t used, struct err *e)
{
	int k = f->type == FRAME_STDOUT ? ADAPTER_STDOUT : f->type == FRAME_STDERR ? ADAPTER_STDERR : OTHER;
	int rc = 0;

	if (pos < r->offset[k])
		return 0;
	if (k != OTHER)
		return on_output(r, k, f, pos, used, e);
	r->offset[OTHER] = pos + (int64_t)used;
	switch (f->type) {
	case FRAME_START:
		rc = on_start(r, f, e);
		break;
	case FRAME_EXIT:
		rc = on_exit_frame(r, f, e);
		break;
	case FRAME_NOTE:
		log_note("session %s: shim: %.*s", r->s.row.name, (int)f->len, f->payload);
		break;
	case FRAME_DENIED:
		rc = on_denied(r, f, e);
		break;
	default:
		break; /* from a newer shim */
	}
	return rc;
}

/* Up to where everything was taken: the beginning of the oldest line that is still open, else where reading goes on. */
static int64_t
consumed(const struct run *r)
{
	int64_t min = r->read_at;

	for (int i = 0; i < OTHER; i++)
		if (r->line[i].bytes.len && r->line[i].start < min)
			min = r->line[i].start;
	return min;
}

/* A line that stays open while the other stream goes on and on is taken as far as it is there. */
static int
take_open_lines(struct run *r, struct err *e)
{
	int rc = 0;

	for (int i = 0; i < OTHER && rc == 0; i++) {
		struct line_buf *l = &r->line[i];

		if (l->bytes.len == 0 || r->read_at - l->start < (int64_t)SPOOL_OPEN_MAX)
			continue;
		rc = take_line(r, i, now_us(), l->bytes.data, l->bytes.len, true, e);
		buf_reset(&l->bytes);
	}
	return rc;
}

/* Also of streams that had nothing to say: what lies before has been looked at, and may be a hole by the next start. */
static void
move_offsets(struct run *r)
{
	for (int i = 0; i <= OTHER; i++)
		r->offset[i] = i < OTHER && r->line[i].bytes.len ? r->line[i].start : r->read_at;
}

/*
 * What was committed is in the database: the shim may go on printing, and the disk can have it back. Only what an earlier commit covers is given up.
 * Not every file system can make holes; what the shim goes by is what it was told. A word that cannot be written is tried again when it rings.
 */
static void
give_back(struct run *r)
{
	uint8_t upto[8];
	struct err e = { 0 };

	for (int i = 0; i < 8; i++)
		upto[i] = (uint8_t)((uint64_t)r->safe >> (8 * i));
	if (r->safe - r->told >= (int64_t)SPOOL_PUNCH && !r->shim_dead && run_input(r, FRAME_TAKEN, upto, sizeof(upto), &e) == 0)
		r->told = r->safe;
	if (r->safe - r->punched >= (int64_t)SPOOL_PUNCH &&
	    fallocate(r->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r->punched, r->safe - r->punched) == 0)
		r->punched = r->safe;
}

/* A place that is no frame (the disk lied): say so once and look for the next good one. */
static size_t
skip_damage(struct run *r, const char *p, size_t n)
{
	struct frame f;
	size_t i = 1;

	while (i < n && frame_parse(p + i, n - i, &f) <= 0)
		i++;
	log_error("session %s: %zu bytes of its spool at %lld are damaged and were skipped", r->s.row.name, i,
		  (long long)r->read_at);
	return i;
}

static int
open_spool(struct run *r)
{
	CLEANUP_FREE char *path = NULL;

	if (r->spool_fd >= 0)
		return 0;
	path = run_path(r, "spool");
	/* For writing too: punching holes needs it. */
	r->spool_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return r->spool_fd < 0 ? -errno : 0;
}

int
run_ingest(struct run *r, struct err *e)
{
	size_t want = SPOOL_READ, pos = 0;
	ssize_t n;
	int rc = 0;

	if (r->exited || open_spool(r) < 0)
		return 0;
	/* What was read before the last commit is in the database; what was read since is not yet. */
	if (r->safe_commits != r->m->commits) {
		r->safe_commits = r->m->commits;
		r->safe = consumed(r);
		give_back(r);
	}
again:
	n = pread(r->spool_fd, r->m->iobuf, want, r->read_at);
	if (n <= 0)
		return 0;
	while (rc == 0 && !r->exited) {
		struct frame f;
		int64_t used = frame_parse(r->m->iobuf + pos, (size_t)n - pos, &f);

		if (used == 0)
			break;
		if (used < 0) {
			used = (int64_t)skip_damage(r, r->m->iobuf + pos, (size_t)n - pos);
		} else {
			rc = on_frame(r, &f, r->read_at, (size_t)used, e);
		}
		r->read_at += used;
		pos += (size_t)used;
	}
	if (rc < 0)
		return rc;
	if (pos == 0 && (size_t)n == want && want < SPOOL_READ_MAX) {
		want = SPOOL_READ_MAX;
		goto again;
	}
	if (pos && !r->exited)
		rc = take_open_lines(r, e);
	if (rc == 0 && pos && !r->exited) {
		move_offsets(r);
		rc = run_save(r, e);
		watch_arm(r);
	}
	return rc < 0 ? rc : !r->exited && pos && (size_t)n == want;
}
