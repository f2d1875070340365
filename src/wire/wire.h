/* SPDX-License-Identifier: MIT */
/*
 * Messages over a unix stream socket: one JSON object a line, at most WIRE_MAX bytes. Used between aod and aod-http over a socketpair:
 *
 *	aod-http → aod	{"conn":N}                                       and with it a client's connection itself (SCM_RIGHTS): aod looks who that is
 *	aod-http → aod	{"gone":N}                                       that one is closed; N may be used again
 *	aod-http → aod	{"id":N,"verb":"session.create","args":{…},"caller":{"conn":N}}
 *				caller also has "token", as the client sent it, where it came with one
 *	aod-http → aod	{"refused":{"who":…,"from":…,"verb":…,"status":N,"count":N}}   for the audit trail
 *	aod-http → aod	{"used":"ID"}                                    a token was used
 *	aod → aod-http	{"tokens":true}                                  some have ended
 *	aod → aod-http	{"id":N,"status":200,"body":{…}}                 the answer; body goes to the client as it stands
 *	aod → aod-http	{"bell":N}                                        everything up to event id N is committed
 *	aod → aod-http	{"quit":true}                                     stop accepting, finish what is open, exit
 *
 * Data first, bell after: a bell that is merged with a later one does no harm.
 * The buffer side is here; who waits for readiness is the caller's loop.
 */
#ifndef AOD_WIRE_WIRE_H
#define AOD_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define WIRE_MAX (40u << 20) /* bytes of one message */
#define WIRE_FDS_MAX 64 /* descriptors that are received before some are taken */
#define WIRE_FD 3 /* where aod-http finds its end of the socketpair */

struct wire {
	int fd;
	struct buf in, out;
	size_t in_done;	 /* bytes of in that wire_next() gave out */
	size_t in_seen;	 /* bytes of in that are whole messages; the rest is the start of one */
	size_t out_done; /* bytes of out that were written */
	int64_t bell;	 /* a bell that waits for out to drain, 0 = none */
	struct wire_fd *out_fds; /* descriptors that go out with messages */
	size_t out_fd_count, out_fd_cap;
	int in_fds[WIRE_FDS_MAX]; /* those that came, and were not taken yet */
	size_t in_fd_count;
};

void wire_init(struct wire *w, int fd); /* fd is taken, and made non-blocking */
void wire_done(struct wire *w);		/* closes */
/*
 * Read what is there, up to the last byte (fit for edge-triggered loops; but when WIRE_FDS_MAX descriptors came the rest waits for the next call, so
 * who is sent those needs a loop that is level-triggered). 0, -EPIPE at the end, -EMSGSIZE, -EPROTO when nobody took those descriptors, or another
 * -errno: close it then, after wire_next() gave what came before.
 */
int wire_read(struct wire *w);
/* The next whole message in the buffer, without its newline; NULL when there is none. Valid until the next wire_read(). */
const char *wire_next(struct wire *w, size_t *len);
/* Queue a message (text is one JSON object without a newline). Never blocks; call wire_flush() after. */
void wire_send(struct wire *w, const char *text, size_t n);
/* The same with a descriptor, which is taken. */
void wire_send_fd(struct wire *w, const char *text, size_t n, int fd);
/* The first of the descriptors that came with messages and were not taken yet, which is the caller's then; -1: there is none. */
int wire_take_fd(struct wire *w);
/* Queue {"bell":id}; merged with one that still waits. It goes out before any message that is queued after it. */
void wire_bell(struct wire *w, int64_t id);
/* Write what can be written. 0 = all gone, 1 = wait for writability, or -errno. */
int wire_flush(struct wire *w);

#endif
