/* SPDX-License-Identifier: MIT */
/* Messages over a unix socket, a JSON object a line. See wire.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "wire/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"

#define READ_SIZE (64u << 10)	 /* room for one read(2), at least */
#define COMPACT_SIZE (1u << 20) /* bytes at the front of out that were written, before they are dropped */

struct wire_fd {
	size_t at; /* of the message in out */
	int fd;
};

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
	for (size_t i = 0; i < w->out_fd_count; i++)
		close(w->out_fds[i].fd);
	for (size_t i = 0; i < w->in_fd_count; i++)
		close(w->in_fds[i]);
	free(w->out_fds);
	w->out_fds = NULL;
	w->out_fd_count = w->out_fd_cap = w->in_fd_count = 0;
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

/* No more than fit: a message may bring a few in spite of what it should. */
static void
take_fds(struct wire *w, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (w->in_fd_count < WIRE_FDS_MAX)
				w->in_fds[w->in_fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t
receive(struct wire *w)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { w->in.data + w->in.len, w->in.cap - w->in.len - 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(w->fd, &m, MSG_CMSG_CLOEXEC);

	if (n >= 0)
		take_fds(w, &m);
	return n;
}

int
wire_take_fd(struct wire *w)
{
	int fd = w->in_fd_count > 0 ? w->in_fds[0] : -1;

	if (fd >= 0)
		memmove(w->in_fds, w->in_fds + 1, --w->in_fd_count * sizeof(*w->in_fds));
	return fd;
}

int
wire_read(struct wire *w)
{
	int r;

	if (w->in_fd_count == WIRE_FDS_MAX)
		return -EPROTO;
	if (w->in_done == w->in.len)
		buf_reset(&w->in);
	else if (w->in_done > 0)
		buf_consume(&w->in, w->in_done);
	w->in_seen -= w->in_done;
	w->in_done = 0;
	while (w->in_fd_count < WIRE_FDS_MAX) {
		ssize_t n;

		buf_reserve(&w->in, READ_SIZE);
		n = receive(w);
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
	return 0;
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
wire_send_fd(struct wire *w, const char *text, size_t n, int fd)
{
	put_bell(w);
	if (w->out_fd_count == w->out_fd_cap) {
		w->out_fd_cap = w->out_fd_cap ? 2 * w->out_fd_cap : 16;
		w->out_fds = xrealloc(w->out_fds, w->out_fd_cap * sizeof(*w->out_fds));
	}
	w->out_fds[w->out_fd_count++] = (struct wire_fd){ w->out.len, fd };
	wire_send(w, text, n);
}

void
wire_bell(struct wire *w, int64_t id)
{
	if (id > w->bell)
		w->bell = id;
}

/* Drop the bytes that were written from the front of out. */
static void
compact(struct wire *w)
{
	buf_consume(&w->out, w->out_done);
	for (size_t i = 0; i < w->out_fd_count; i++)
		w->out_fds[i].at -= w->out_done;
	w->out_done = 0;
}

/* Up to the next message that has a descriptor, which goes out with the first byte of it. */
static ssize_t
transmit(struct wire *w)
{
	bool with_fd = w->out_fd_count > 0 && w->out_fds[0].at == w->out_done;
	size_t next = with_fd, end = next < w->out_fd_count ? w->out_fds[next].at : w->out.len;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec iov = { w->out.data + w->out_done, end - w->out_done };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (with_fd) {
		control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), &w->out_fds[0].fd, sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	n = sendmsg(w->fd, &m, MSG_NOSIGNAL);
	if (n > 0 && with_fd) {
		close(w->out_fds[0].fd);
		memmove(w->out_fds, w->out_fds + 1, --w->out_fd_count * sizeof(*w->out_fds));
	}
	return n;
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
		n = transmit(w);
		if (n >= 0) {
			w->out_done += n;
		} else if (errno == EAGAIN) {
			if (w->out_done >= COMPACT_SIZE && w->out_done >= w->out.len - w->out_done)
				compact(w);
			return 1;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}
