/* SPDX-License-Identifier: MIT */
/*
 * The server around the handlers: h2o's set-up, listeners, connections and their limits, the errors
 * that h2o makes itself, the loop, the end. Requests go to route.c. Called by main.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <h2o.h>
#include <h2o/http1.h>

#include "base/log.h"
#include "base/util.h"
#include "http/forward.h"
#include "http/live.h"
#include "http/refuse.h"
#include "http/reply.h"
#include "http/route.h"
#include "http/server.h"
#include "http/upload.h"
#include "http/watch.h"
#include "model/verb.h"

#define ACCEPTS_A_TURN 16
#define LISTENERS_MAX 8
#define TICK_US 1000000
#define DRAINS_MAX 64 /* connections that are drained at once */
#define DRAIN_US (5 * 1000000LL)
#define DRAIN_BYTES (256ULL << 20)
#define DRAIN_READS 16        /* in one turn */
#define ROOM_MADE 64          /* connections that are closed at a time to make room */
#define QUIT_ANSWER_US 300000 /* left for the last answers to go out */

struct front front;

static struct listener listeners[LISTENERS_MAX];
static int listener_count;
static h2o_linklist_t conns;
static int conn_count;
/* Connections come out of three rooms, so that a crowd in one of them is none in the others. */
static struct room {
	int count, max;
	bool paused; /* its listeners do not accept for now */
} rooms[] = {{0, MAX_CONNECTIONS, false}, {0, MAX_UNIX_CONNECTIONS, false}, {0, MAX_UNIX_CONNECTIONS, false}};
enum { ROOM_TCP, ROOM_UNIX, ROOM_AGENTS };
static int64_t quit_by_us;

/* ---- connections ------------------------------------------------------------------------- */

struct conn *
conn_of_socket(h2o_socket_t *sock)
{
	return sock->on_close.data;
}

struct conn *
conn_of(h2o_req_t *req)
{
	return conn_of_socket(req->conn->callbacks->get_socket(req->conn));
}

static void on_accept(h2o_socket_t *sock, const char *err);

static void
set_accepting(struct room *room, bool on)
{
	room->paused = !on;
	for (int i = 0; i < listener_count; i++)
		if (listeners[i].sock && listeners[i].room == room) {
			if (on)
				h2o_socket_read_start(listeners[i].sock, on_accept);
			else
				h2o_socket_read_stop(listeners[i].sock);
		}
}

static void
on_conn_close(void *arg)
{
	struct conn *c = arg;
	struct room *room = c->listener->room;

	h2o_linklist_unlink(&c->link);
	forward_conn_gone(c);
	free(c->from);
	auth_conn_free(&c->auth);
	free(c);
	conn_count--;
	room->count--;
	if (room->paused && !front.quitting)
		set_accepting(room, true);
}

/* Those that wait for a request, the longest first. */
struct waiting {
	const struct room *room;
	struct conn *conns[ROOM_MADE];
	int count;
};

static int
note_waiting(h2o_req_t *req, void *arg)
{
	struct waiting *w = arg;
	struct conn *c = conn_of(req);
	int i;

	/* h2o finds the path's configuration when it has all of a request. */
	if (req->pathconf || c->listener->room != w->room)
		return 0;
	if (w->count == ROOM_MADE && c->used_us >= w->conns[ROOM_MADE - 1]->used_us)
		return 0;
	i = w->count < ROOM_MADE ? w->count++ : ROOM_MADE - 1;
	for (; i > 0 && w->conns[i - 1]->used_us > c->used_us; i--)
		w->conns[i] = w->conns[i - 1];
	w->conns[i] = c;
	return 0;
}

/*
 * A thousand clients that send a byte a second each must not keep others out. A client that waits with an open connection
 * opens another one when it needs to.
 */
static void
make_room(const struct room *room)
{
	struct waiting w = {.room = room};

	front.conf.http1.callbacks.foreach_request(&front.ctx, note_waiting, &w);
	for (int i = 0; i < w.count; i++)
		shutdown(h2o_socket_get_fd(w.conns[i]->sock), SHUT_RDWR);
}

static void
on_accept(h2o_socket_t *sock, const char *err)
{
	struct listener *l = NULL;

	for (int i = 0; i < listener_count; i++)
		if (listeners[i].sock == sock)
			l = &listeners[i];
	if (err || !l)
		return;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		if (l->room->count >= l->room->max) {
			set_accepting(l->room, false);
			make_room(l->room);
			return;
		}
		h2o_socket_t *s = h2o_evloop_socket_accept(sock);

		if (!s) {
			/* No descriptors left: the tick tries again, or the next close does. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM) {
				log_warn("cannot accept a connection: %s", strerror(errno));
				set_accepting(l->room, false);
			}
			return;
		}
		struct conn *c = xcalloc(1, sizeof(*c));

		c->sock = s;
		c->listener = l;
		c->used_us = mono_us();
		s->on_close.cb = on_conn_close;
		s->on_close.data = c;
		h2o_linklist_insert(&conns, &c->link);
		conn_count++;
		l->room->count++;
		h2o_accept(&l->accept, s);
	}
}

const char *
conn_from(struct conn *c)
{
	struct sockaddr_storage ss;
	char host[NI_MAXHOST];
	size_t n;

	if (c->from)
		return c->from;
	if (c->listener->unix_socket) {
		struct ucred cred = {0, (uid_t)-1, (gid_t)-1};
		socklen_t len = sizeof(cred);

		getsockopt(h2o_socket_get_fd(c->sock), SOL_SOCKET, SO_PEERCRED, &cred, &len);
		c->from = xasprintf("unix uid %lld", cred.uid == (uid_t)-1 ? -1LL : (long long)cred.uid);
		return c->from;
	}
	socklen_t len = h2o_socket_getpeername(c->sock, (struct sockaddr *)&ss);

	n = len ? h2o_socket_getnumerichost((struct sockaddr *)&ss, len, host) : SIZE_MAX;
	c->from = n == SIZE_MAX ? xstrdup("tcp ") : xasprintf("tcp %.*s", (int)n, host);
	return c->from;
}

void
server_each_conn(void (*f)(struct conn *c))
{
	for (h2o_linklist_t *l = conns.next; l != &conns; l = l->next)
		f(H2O_STRUCT_FROM_MEMBER(struct conn, link, l));
}

static void
on_watch_readable(h2o_socket_t *sock, const char *err)
{
	struct conn *c = conn_of_socket(sock);
	void (*on_gone)(void *) = c->on_gone;
	void *arg = c->gone_arg;
	char byte;
	ssize_t n = recv(h2o_socket_get_fd(sock), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	conn_unwatch(c);
	if (n <= 0 && on_gone)
		on_gone(arg);
}

void
conn_watch(struct conn *c, void (*on_gone)(void *arg), void *arg)
{
	c->on_gone = on_gone;
	c->gone_arg = arg;
	/* h2o keeps pointers into the input buffer: it must not be read into. */
	h2o_socket_dont_read(c->sock, 1);
	h2o_socket_read_start(c->sock, on_watch_readable);
}

void
conn_unwatch(struct conn *c)
{
	if (!c->on_gone)
		return;
	c->on_gone = NULL;
	h2o_socket_read_stop(c->sock);
	h2o_socket_dont_read(c->sock, 0);
}

void
conn_bound_buffers(struct conn *c)
{
	int fd = h2o_socket_get_fd(c->sock);
	int size = SEND_BUFFER;
	unsigned timeout_ms = STALL_TIMEOUT_US / 1000;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (!c->listener->unix_socket)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* A number that changes whenever the peer has taken something. */
static uint64_t
write_progress(const struct conn *c)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd = h2o_socket_get_fd(c->sock), queued = 0;

	if (!c->listener->unix_socket && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    len >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
		return info.tcpi_bytes_acked;
	if (ioctl(fd, SIOCOUTQ, &queued) < 0)
		queued = 0;
	return (uint64_t)queued;
}

/* h2o has no limit on how long a write may take. The owner finds out when its write fails. */
static void
cut_stalled(int64_t now)
{
	for (h2o_linklist_t *l = conns.next; l != &conns; l = l->next) {
		struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, link, l);

		if (!h2o_socket_is_writing(c->sock)) {
			c->stalled_us = 0;
			continue;
		}
		uint64_t progress = write_progress(c) + c->sock->bytes_written;

		if (c->stalled_us == 0 || progress != c->progress) {
			c->stalled_us = now;
			c->progress = progress;
		} else if (now - c->stalled_us > STALL_TIMEOUT_US) {
			log_note("closing a connection whose client took nothing for %lld s",
				 STALL_TIMEOUT_US / 1000000LL);
			shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
		}
	}
}

/* ---- draining ---------------------------------------------------------------------------- */

/*
 * h2o refuses a body that is too large before it has read it, and closes at once; the kernel then
 * answers what the client still sends with a reset, and the client never sees why. A second
 * descriptor keeps such a connection open and reads for a moment.
 */
struct drain {
	h2o_linklist_t link;
	h2o_socket_t *sock;
	int64_t until_us;
	uint64_t bytes;
	bool shut; /* our side is closed */
};

static h2o_linklist_t drains;
static int drain_count;

static void
drain_end(struct drain *d)
{
	h2o_linklist_unlink(&d->link);
	drain_count--;
	h2o_socket_close(d->sock);
	free(d);
}

static void
on_drain_readable(h2o_socket_t *sock, const char *err)
{
	static char scratch[64 << 10];
	struct drain *d = sock->data;
	int fd = h2o_socket_get_fd(sock);

	/* The answer was written in the turn in which this began. */
	if (!d->shut)
		shutdown(fd, SHUT_WR);
	d->shut = true;
	for (int i = 0; i < DRAIN_READS; i++) {
		ssize_t n = recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		d->bytes += n > 0 ? (uint64_t)n : 0;
		if (n <= 0 || d->bytes > DRAIN_BYTES) {
			drain_end(d);
			return;
		}
	}
}

static void
drain_start(int fd)
{
	struct drain *d;
	int copy;

	if (drain_count >= DRAINS_MAX || (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return;
	d = xcalloc(1, sizeof(*d));
	d->sock = h2o_evloop_socket_create(front.loop, copy, H2O_SOCKET_FLAG_DONT_READ);
	d->sock->data = d;
	d->until_us = mono_us() + DRAIN_US;
	h2o_linklist_insert(&drains, &d->link);
	drain_count++;
	h2o_socket_read_start(d->sock, on_drain_readable);
}

void
server_drain(h2o_req_t *req)
{
	drain_start(h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn)));
}

static void
drain_tick(int64_t now)
{
	h2o_linklist_t *next;

	for (h2o_linklist_t *l = drains.next; l != &drains; l = next) {
		struct drain *d = H2O_STRUCT_FROM_MEMBER(struct drain, link, l);

		next = l->next;
		if (now >= d->until_us) {
			drain_end(d);
		} else if (!d->shut) {
			/* A client that sends nothing more may wait for the end. */
			shutdown(h2o_socket_get_fd(d->sock), SHUT_WR);
			d->shut = true;
		}
	}
}

/* ---- h2o --------------------------------------------------------------------------------- */

struct error_ostream {
	h2o_ostream_t super;
	h2o_iovec_t body;
};

static void
error_send(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n, h2o_send_state_t state)
{
	struct error_ostream *o = (struct error_ostream *)self;

	h2o_ostream_send_next(self, req, &o->body, n ? 1 : 0, state);
}

/* Only what h2o itself answers (413, 417, broken bodies) passes here: give it the JSON form. */
static void
on_error_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	struct error_ostream *o = (struct error_ostream *)h2o_add_ostream(req, sizeof(*o), slot);
	struct buf b = BUF_INIT;

	reply_detail_text(&b, req->res.reason);
	o->super.do_send = error_send;
	o->body = h2o_strdup(&req->pool, b.data, b.len);
	buf_free(&b);
	req->res.content_length = o->body.len;
	h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE,
		       H2O_STRLIT("application/json"), 1);
	reply_cors(req);
	if (!req->http1_is_persistent)
		server_drain(req);
	h2o_setup_next_ostream(req, &o->super.next);
}

static void
init_h2o(void)
{
	h2o_hostconf_t *host;

	front.loop = h2o_evloop_create();
	/* The default moves bodies of 32 MiB to files; none gets so large here. */
	h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
	h2o_config_init(&front.conf);
	front.conf.server_name = h2o_iovec_init(H2O_STRLIT("aod"));
	front.conf.max_request_entity_size = MAX_BODY;
	front.conf.http1.req_timeout = REQUEST_TIMEOUT_MS;
	front.conf.http1.upgrade_to_http2 = 0;
	host = h2o_config_register_host(&front.conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	front.default_host = host->authority.hostport;
	h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req =
		route_request;
	h2o_create_filter(&host->fallback_path, sizeof(h2o_filter_t))->on_setup_ostream =
		on_error_ostream;
	h2o_context_init(&front.ctx, front.loop, &front.conf);
}

static int
add_listener(const char *arg, struct err *e)
{
	static const struct {
		const char *name;
		unsigned port;
	} names[] = {{"runtime", PORT_RUNTIME},
		     {"context", PORT_CONTEXT},
		     {"registry", PORT_REGISTRY},
		     {"dashboard", PORT_DASHBOARD},
		     {"unix", PORT_RUNTIME | PORT_CONTEXT},
		     {"agents", PORT_RUNTIME | PORT_CONTEXT}};
	struct listener *l = &listeners[listener_count];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const char *eq = strchr(arg, '=');
	int64_t fd;

	if (listener_count == LISTENERS_MAX)
		return err_set(e, -EINVAL, "--listen: more than %d of them", LISTENERS_MAX);
	for (size_t i = 0; eq && i < ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == (size_t)(eq - arg) &&
		    strncmp(arg, names[i].name, (size_t)(eq - arg)) == 0) {
			l->name = names[i].name;
			l->port = names[i].port;
		}
	if (!l->name || !parse_i64(eq + 1, 0, INT32_MAX, &fd))
		return err_set(e, -EINVAL,
			       "--listen %s: want runtime=FD, context=FD, registry=FD, "
			       "dashboard=FD, unix=FD or agents=FD",
			       arg);
	if (getsockname((int)fd, (struct sockaddr *)&ss, &len) != 0)
		return err_errno(e, -errno, "--listen %s", arg);
	l->unix_socket = ss.ss_family == AF_UNIX;
	if (ss.ss_family == AF_INET)
		l->number = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	else if (ss.ss_family == AF_INET6)
		l->number = ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	l->room = &rooms[!l->unix_socket ? ROOM_TCP : strcmp(l->name, "agents") ? ROOM_UNIX : ROOM_AGENTS];
	l->tokens_only = l->unix_socket ? strcmp(l->name, "agents") == 0 : front.tls != NULL;
	l->accept = (h2o_accept_ctx_t){.ctx = &front.ctx, .hosts = front.conf.hosts, .ssl_ctx = l->unix_socket ? NULL : front.tls};
	l->sock = h2o_evloop_socket_create(front.loop, (int)fd, H2O_SOCKET_FLAG_DONT_READ);
	listener_count++;
	return 0;
}

int
server_init(char *const *listen, struct err *e)
{
	int r;

	h2o_linklist_init_anchor(&conns);
	h2o_linklist_init_anchor(&drains);
	init_h2o();
	for (; listen && *listen; listen++)
		if ((r = add_listener(*listen, e)) < 0)
			return r;
	if (listener_count == 0)
		return err_set(e, -EINVAL, "no --listen given");
	for (size_t i = 0; i < ARRAY_LEN(rooms); i++)
		set_accepting(&rooms[i], true);
	return 0;
}

int
server_port(const char *name)
{
	for (int i = 0; i < listener_count; i++)
		if (strcmp(listeners[i].name, name) == 0)
			return listeners[i].number;
	return 0;
}

/* ---- loop and end ------------------------------------------------------------------------ */

static int
end_idle(h2o_req_t *req, void *arg)
{
	struct conn *c = conn_of(req);

	if (req->version == 0)
		/* Between requests. h2o closes it when it reads the end. */
		shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
	else
		req->http1_is_persistent = 0;
	return 0;
}

void
server_quit(const char *why)
{
	if (front.quitting)
		return;
	log_info("leaving: %s", why);
	front.quitting = true;
	quit_by_us = mono_us() + QUIT_TIMEOUT_US;
	for (int i = 0; i < listener_count; i++)
		if (listeners[i].sock) {
			h2o_socket_close(listeners[i].sock);
			listeners[i].sock = NULL;
		}
	h2o_context_request_shutdown(&front.ctx);
	forward_quit();
	watch_quit();
	live_quit();
	front.conf.http1.callbacks.foreach_request(&front.ctx, end_idle, NULL);
}

/* Until when the loop may sleep. */
static int32_t
sleep_ms(int64_t next_tick)
{
	int64_t now = mono_us(), wake = watch_next();

	if (live_pending())
		return 0;
	if (wake > next_tick)
		wake = next_tick;
	if (front.quitting && wake > now + 20000)
		wake = now + 20000;
	return wake <= now ? 0 : (int32_t)((wake - now + 999) / 1000);
}

static void
tick(int64_t now)
{
	for (size_t i = 0; i < ARRAY_LEN(rooms) && !front.quitting; i++)
		if (rooms[i].paused && rooms[i].count < rooms[i].max)
			set_accepting(&rooms[i], true);
		else if (rooms[i].paused)
			make_room(&rooms[i]);
	forward_tick(now);
	refuse_tick(now);
	live_tick(now);
	upload_tick(now);
	drain_tick(now);
	cut_stalled(now);
}

void
server_run(void)
{
	int64_t next_tick = mono_us() + TICK_US;

	for (;;) {
		int64_t now = mono_us();

		live_work();
		watch_work(now);
		if (now >= next_tick) {
			next_tick = now + TICK_US;
			tick(now);
		}
		if (front.quitting && now >= quit_by_us - QUIT_ANSWER_US)
			forward_tick(INT64_MAX); /* no longer: say so */
		if (front.quitting && (conn_count == 0 || now >= quit_by_us))
			return;
		/*
		 * The writes begun above that are done already: their callbacks run here, as they
		 * do after h2o's own timers. Left to the next turn, such a socket would be polled
		 * for writing first and then be found without a callback (an assertion of h2o).
		 * They may make more work, so the sleep is found after them.
		 */
		h2o_timeout__do_post_callback(front.loop);
		h2o_evloop_run(front.loop, sleep_ms(next_tick));
	}
}
