/* SPDX-License-Identifier: MIT */
/*
 * The spool and the bell of aod. Nothing that the agent printed is lost: what the disk does not
 * take stays in the buffers, nothing more is read from the agent meanwhile, and a frame that was
 * cut short is taken back before the next try, so that the file holds whole frames only.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/frame.h"
#include "shim/kernel.h"
#include "shim/shim.h"
#include "shim/spec.h"

#define NOTE_MAX 256
#define TRIM_MS 1000 /* idle time after which the pages of a buffer go back */

struct stream {
	int fd; /* -1: at its end */
	uint8_t type;
	size_t len;   /* bytes in data */
	size_t plain; /* so many of them, from the start, are known to hold no newline */
	bool grown;   /* pages beyond the first were touched */
	char *data;
};

static char out_data[OUT_BUF] COLD;
static char err_data[OUT_BUF] COLD;
static struct stream streams[2] = {
	{.fd = -1, .type = FRAME_STDOUT, .data = out_data},
	{.fd = -1, .type = FRAME_STDERR, .data = err_data},
};

static struct {
	int fd;
	int64_t max, taken; /* most that aod has not taken, 0: no limit; what it has taken */
	bool rest;        /* the limit holds for what is in the pipes, too */
	int64_t held_at;  /* when to ring again while output is held back */
	off_t good;       /* size of the file up to the last whole frame */
	bool torn;        /* bytes of a failed write may lie behind it */
	int64_t retry_at; /* 0: the last write worked */
	int64_t failed_since;
	int failed_error;
	int64_t last_output_ms;
	bool started;
	size_t start_len, note_len;
	char start[NOTE_MAX], note[NOTE_MAX];
} spool = {.fd = -1};

static struct {
	int fd;
	bool wanted;      /* frames were written that nobody was told of */
	int64_t retry_at; /* 0: not waiting */
	char record[UP_RECORD];
} up = {.fd = -1};
/* With the least alignment, so that it is the last of all: its beginning is in a page with others, the rest is not touched. */
static char up_path[PATH_MAX] __attribute__((aligned(1)));

int
spool_open(const struct spec *s)
{
	struct stat st;

	if (s->up && strlen(s->up) >= sizeof(up_path))
		return -ENAMETOOLONG;
	if (s->up)
		put_text(up_path, up_path + sizeof(up_path), s->up);
	if (s->key)
		memcpy(up.record, s->key, strnlen(s->key, sizeof(up.record)));
	spool.max = s->spool_max;
	spool.fd = open(s->spool, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (spool.fd < 0)
		return -errno;
	if (flock(spool.fd, LOCK_EX | LOCK_NB) < 0 || fstat(spool.fd, &st) < 0)
		return -errno;
	if (st.st_size > 0)
		return -EEXIST;
	return 0;
}

void
spool_set_output(int out, int err)
{
	streams[0].fd = out;
	streams[1].fd = err;
}

bool
spool_blocked(void)
{
	return spool.retry_at != 0;
}

bool
spool_held(void)
{
	return spool.max > 0 && spool.good - spool.taken >= spool.max;
}

void
spool_taken(int64_t upto)
{
	if (upto > spool.taken && upto <= spool.good)
		spool.taken = upto;
}

void
spool_take_rest(void)
{
	int64_t unread = spool.good - spool.taken;

	if (spool.rest || spool.max == 0)
		return;
	spool.rest = true;
	if (unread > spool.max)
		spool.max = unread;
	for (int i = 0; i < 2; i++) {
		int size = streams[i].fd < 0 ? 0 : fcntl(streams[i].fd, F_GETPIPE_SZ);

		spool.max += size > 0 ? 2 * size : 0; /* with the heads of frames */
	}
}

static int64_t
wall_us(void)
{
	struct timespec ts = k_clock(CLOCK_REALTIME);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static bool
write_failed(int error)
{
	int64_t now = mono_ms();

	if (!spool.failed_error) {
		spool.failed_since = now;
		spool.failed_error = error;
	}
	spool.retry_at = now + RETRY_SPOOL_MS;
	return false;
}

/* One frame, whole or not at all. */
static bool
write_frame(uint8_t type, uint8_t flags, const char *p, size_t n)
{
	uint8_t head[FRAME_HEADER];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)p, n}};
	ssize_t r;

	if (spool.torn) {
		if (ftruncate(spool.fd, spool.good) < 0)
			return write_failed(errno);
		spool.torn = false;
	}
	frame_header(head, type, flags, wall_us(), p, n, NULL, 0);
	do
		r = writev(spool.fd, iov, 2);
	while (r < 0 && errno == EINTR);
	if (r != (ssize_t)(sizeof(head) + n)) {
		int error = r < 0 ? errno : ENOSPC;

		/* At once, for the reader's sake; failing that, before the next try. */
		spool.torn = ftruncate(spool.fd, spool.good) < 0;
		return write_failed(error);
	}
	spool.good += r;
	spool.retry_at = 0;
	up.wanted = true;
	return true;
}

/* What was wrong, once it is over. */
static bool
write_report(void)
{
	char text[NOTE_MAX], number[24], *p;
	char *end = text + sizeof(text);

	*put_number(number, mono_ms() - spool.failed_since) = '\0';
	p = put_text(text, end, "writing to the spool failed (");
	p = put_text(p, end, strerror(spool.failed_error));
	p = put_text(p, end, ") and went on after ");
	p = put_text(p, end, number);
	p = put_text(p, end, " ms; nothing was lost");
	if (!write_frame(FRAME_NOTE, 0, text, (size_t)(p - text)))
		return false;
	spool.failed_error = 0;
	return true;
}

/* START goes first, notes before what comes after them. False: nothing else can be written now. */
static bool
write_pending(void)
{
	if (spool.retry_at > mono_ms())
		return false;
	if (!spool.started) {
		if (spool.start_len == 0 ||
		    !write_frame(FRAME_START, 0, spool.start, spool.start_len))
			return false;
		spool.started = true;
	}
	/* Not before the frame that failed: a disk with room for notes alone would fill up with
	 * them. */
	if (spool.failed_error && !spool.retry_at && !write_report())
		return false;
	if (spool.note_len > 0) {
		if (!write_frame(FRAME_NOTE, 0, spool.note, spool.note_len))
			return false;
		spool.note_len = 0;
	}
	return true;
}

/* The frame that is due from a stream: whole lines, or a full buffer, or the rest at the end. 0:
 * none. */
static size_t
due(struct stream *s, uint8_t *flags)
{
	const char *nl = memrchr(s->data + s->plain, '\n', s->len - s->plain);

	*flags = 0;
	if (nl)
		return (size_t)(nl - s->data) + 1;
	s->plain = s->len;
	if (s->len == OUT_BUF)
		*flags = FRAME_MORE;
	return s->len == OUT_BUF || s->fd < 0 ? s->len : 0;
}

static bool
stream_flush(struct stream *s)
{
	uint8_t flags;
	size_t n;

	while ((n = due(s, &flags)) > 0) {
		if (!write_pending() || !write_frame(s->type, flags, s->data, n))
			return false;
		s->len -= n;
		memmove(s->data, s->data + n, s->len);
		s->plain = 0;
	}
	return true;
}

int
spool_poll_fd(int stream)
{
	return spool.started && !spool_blocked() && !spool_held() ? streams[stream].fd : -1;
}

size_t
spool_read(int stream)
{
	struct stream *s = &streams[stream];
	ssize_t n;

	if (s->fd < 0 || s->len == OUT_BUF)
		return 0;
	n = read(s->fd, s->data + s->len, OUT_BUF - s->len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close(s->fd);
		s->fd = -1;
		n = 0;
	}
	spool.last_output_ms = mono_ms();
	s->len += (size_t)n;
	if (s->len > PAGE)
		s->grown = true;
	stream_flush(s);
	return (size_t)n;
}

bool
spool_output_done(void)
{
	return streams[0].fd < 0 && streams[1].fd < 0 && streams[0].len == 0 && streams[1].len == 0;
}

void
spool_give_up_output(void)
{
	for (int i = 0; i < 2; i++) {
		if (streams[i].fd >= 0)
			close(streams[i].fd);
		streams[i].fd = -1;
	}
}

void
spool_start(const char *text, size_t n)
{
	if (n > sizeof(spool.start))
		n = sizeof(spool.start);
	memcpy(spool.start, text, n);
	spool.start_len = n;
	write_pending();
}

void
spool_note(const char *text)
{
	if (spool.note_len > 0)
		return; /* one at a time; the first says the most */
	spool.note_len =
		(size_t)(put_text(spool.note, spool.note + sizeof(spool.note), text) - spool.note);
	write_pending();
}

bool
spool_denied(const char *text, size_t n)
{
	return write_pending() && write_frame(FRAME_DENIED, 0, text, n);
}

bool
spool_exit(const char *text, size_t n)
{
	if (!write_pending())
		return false;
	/* Nothing comes after EXIT, so the report goes in front of it. */
	if (spool.failed_error && !write_report())
		return false;
	return write_frame(FRAME_EXIT, 0, text, n);
}

/* One record, or a new try later. A FIFO without a reader is fine: aod reads the spool when it
 * comes back. */
static void
ring(int64_t now)
{
	up.retry_at = 0;
	for (int tries = 0; tries < 2; tries++) {
		if (up.fd < 0)
			up.fd = open(up_path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (up.fd < 0)
			break;
		if (write(up.fd, up.record, sizeof(up.record)) == (ssize_t)sizeof(up.record))
			break;
		if (errno == EAGAIN) {
			up.retry_at = now + RETRY_RING_MS;
			return;
		}
		/* The reader is gone; there may be another one on a new FIFO. */
		close(up.fd);
		up.fd = -1;
	}
	up.wanted = false;
}

/* Gives back the pages that a burst has touched. */
static void
trim(struct stream *s)
{
	if (s->grown && s->len <= PAGE &&
	    madvise(s->data + PAGE, OUT_BUF - PAGE, MADV_DONTNEED) == 0)
		s->grown = false;
}

int
spool_run(int64_t now)
{
	int64_t at = -1;

	if (spool.retry_at && spool.retry_at <= now) {
		if (write_pending() && stream_flush(&streams[0]))
			stream_flush(&streams[1]);
	} else if (!spool.retry_at && spool.started) {
		/* A note may have waited behind START, and output behind a note. */
		write_pending();
	}
	if (spool_held() && spool.held_at <= now) {
		up.wanted = true;
		spool.held_at = now + HELD_MS;
	}
	if (up.wanted && up.retry_at <= now)
		ring(now);
	if (spool.retry_at)
		at = spool.retry_at;
	if (spool_held() && (at < 0 || spool.held_at < at))
		at = spool.held_at;
	if (up.retry_at && (at < 0 || up.retry_at < at))
		at = up.retry_at;
	if (at < 0 && (streams[0].grown || streams[1].grown)) {
		if (spool.last_output_ms + TRIM_MS <= now) {
			trim(&streams[0]);
			trim(&streams[1]);
		} else {
			at = spool.last_output_ms + TRIM_MS;
		}
	}
	return at < 0 ? -1 : at > now ? (int)(at - now) : 0;
}

bool
spool_rung(void)
{
	return !up.wanted;
}

void
spool_close(void)
{
	close(spool.fd);
}
