/* SPDX-License-Identifier: MIT */
/* Messages over a unix socket, a JSON object a line. See wire.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "wire/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

#define READ_SIZE (64u << 10)	 /* room for one read(2), at least */
#define COMPACT_SIZE (1u << 20) /* bytes at the front of out that were written, before they are dropped */

void
wire_init(struct wire *w, int fd)
{
	memset(w, 0, sizeof(*w));
	w->fd = fd;
	fd_set_nonblock(fd, true);
}

void
wire_done(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	buf_free(&w->in);
	buf_free(&w->out);
}

/* n bytes came in at the end of in. Moves in_seen behind the last newline; checks the length of the first message in them. */
static int
take_in(struct wire *w, size_t n)
{
	const char *fresh = w->in.data + w->in.len - n;
	const char *first = memchr(fresh, '\n', n), *last;
	size_t end = first ? (size_t)(first - w->in.data) : w->in.len;

	if (end - w->in_seen > WIRE_MAX)
		return -EMSGSIZE;
	if (first) {
		last = memrchr(first, '\n', w->in.data + w->in.len - first);
		w->in_seen = last + 1 - w->in.data;
	}
	return 0;
}

int
wire_read(struct wire *w)
{
	int r;

	if (w->in_done == w->in.len)
		buf_reset(&w->in);
	else if (w->in_done > 0)
		buf_consume(&w->in, w->in_done);
	w->in_seen -= w->in_done;
	w->in_done = 0;
	for (;;) {
		ssize_t n;

		buf_reserve(&w->in, READ_SIZE);
		n = read(w->fd, w->in.data + w->in.len, w->in.cap - w->in.len - 1);
		if (n == 0)
			return -EPIPE;
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
		}
		w->in.len += n;
		w->in.data[w->in.len] = 0;
		if ((r = take_in(w, n)) < 0)
			return r;
	}
}

const char *
wire_next(struct wire *w, size_t *len)
{
	char *start, *end;

	if (w->in_done == w->in_seen)
		return NULL;
	start = w->in.data + w->in_done;
	end = memchr(start, '\n', w->in_seen - w->in_done);
	*end = 0;
	*len = end - start;
	w->in_done += *len + 1;
	return start;
}

static void
put_bell(struct wire *w)
{
	if (w->bell == 0)
		return;
	buf_puts(&w->out, "{\"bell\":");
	buf_put_int(&w->out, w->bell);
	buf_put(&w->out, "}\n", 2);
	w->bell = 0;
}

void
wire_send(struct wire *w, const char *text, size_t n)
{
	assert(!memchr(text, '\n', n));
	put_bell(w);
	buf_put(&w->out, text, n);
	buf_putc(&w->out, '\n');
}

void
wire_bell(struct wire *w, int64_t id)
{
	if (id > w->bell)
		w->bell = id;
}

int
wire_flush(struct wire *w)
{
	for (;;) {
		ssize_t n;

		if (w->out_done == w->out.len) {
			buf_reset(&w->out);
			w->out_done = 0;
			put_bell(w);
			if (w->out.len == 0)
				return 0;
		}
		n = send(w->fd, w->out.data + w->out_done, w->out.len - w->out_done, MSG_NOSIGNAL);
		if (n >= 0) {
			w->out_done += n;
		} else if (errno == EAGAIN) {
			if (w->out_done >= COMPACT_SIZE && w->out_done >= w->out.len - w->out_done) {
				buf_consume(&w->out, w->out_done);
				w->out_done = 0;
			}
			return 1;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}
