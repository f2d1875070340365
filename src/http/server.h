/* SPDX-License-Identifier: MIT */
/*
 * What the parts of aod-http share: the loop, the store, connections, and the order of a turn of
 * the loop.
 *
 * One thread. A turn: h2o polls and runs its callbacks, which only note what has become possible (a
 * write is done, a bell rang); then server_run() lets live.c and watch.c do a bounded piece of work
 * each. So a client that takes everything at once cannot keep the others waiting.
 */
#ifndef AOD_HTTP_SERVER_H
#define AOD_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "base/err.h"
#include "http/auth.h"
#include "store/store.h"

#define MAX_BODY (16u << 20)              /* bytes of a request's body */
#define MAX_CONNECTIONS 4096              /* over TCP; for a further one, those make room that have waited longest for a request */
#define MAX_UNIX_CONNECTIONS 1024         /* so many more over each unix socket, whatever goes on elsewhere */
#define REQUEST_TIMEOUT_MS 30000          /* idle, or for a whole request */
#define STALL_TIMEOUT_US (60 * 1000000LL) /* a write that makes no progress */
#define QUIT_TIMEOUT_US (1500 * 1000LL)
#define SEND_BUFFER (256 << 10) /* SO_SNDBUF of streams */

struct front {
	h2o_globalconf_t conf;
	h2o_context_t ctx;
	h2o_evloop_t *loop;
	struct store *store;
	bool quitting;
	SSL_CTX *tls; /* NULL: plain HTTP */
	h2o_iovec_t default_host; /* what h2o takes for the Host of a request without one */
};
extern struct front front;

struct listener {
	const char *name; /* of the port */
	unsigned port;    /* PORT_… bit */
	bool unix_socket;
	bool tokens_only; /* who connects is nobody */
	struct room *room;
	int number;         /* TCP port, 0 for the unix socket */
	h2o_socket_t *sock; /* NULL once closed */
	h2o_accept_ctx_t accept;
};

/* A client's connection, from accept to close, also after it became a WebSocket. */
struct conn {
	h2o_linklist_t link;
	h2o_socket_t *sock;
	const struct listener *listener;
	uint64_t progress;  /* of the write in flight, when last looked at */
	int64_t used_us;    /* when it was accepted, or its latest request came */
	int64_t stalled_us; /* since when there is none; 0 = nothing in flight */
	void (*on_gone)(void *arg);
	void *gone_arg;
	void *reader; /* the upload that reads the socket, or NULL */
	char *from;   /* for people, made when first asked for */
	unsigned number; /* by which aod knows it, 0: it does not; see forward.c */
	struct auth_conn auth;
};

/* listen: "NAME=FD" strings. Call once, after front.store is open. */
int server_init(char *const *listen, struct err *e);
/* Runs until quit. */
void server_run(void);
/* Stop accepting, answer what is pending, leave within QUIT_TIMEOUT_US. May be called again. */
void server_quit(const char *why);
/* TCP port of a listener by name, 0 when there is none. */
int server_port(const char *name);

struct conn *conn_of(h2o_req_t *req);
struct conn *conn_of_socket(h2o_socket_t *sock);
const char *conn_from(struct conn *c); /* "tcp 127.0.0.1", "unix uid 0" */
void server_each_conn(void (*f)(struct conn *c));
/*
 * The answer to req, which is about to be given and ends the connection, comes before its body was read: read on for a moment, so that the
 * client sees the answer and no reset.
 */
void server_drain(h2o_req_t *req);
/*
 * While an answer is outstanding h2o does not look at the socket: have on_gone called when the
 * client closes. End it with conn_unwatch() before the answer is finished; it also ends by itself
 * when the client sends the next request early, so long answers need a heartbeat too.
 */
void conn_watch(struct conn *c, void (*on_gone)(void *arg), void *arg);
void conn_unwatch(struct conn *c);
/* Bounds what the kernel takes for a client that reads slowly. */
void conn_bound_buffers(struct conn *c);

#endif
