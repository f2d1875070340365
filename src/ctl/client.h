/* SPDX-License-Identifier: MIT */
/*
 * HTTP to aod: over its unix socket, or TCP. Blocking. A GET whose connection breaks (the front was restarted) is tried again
 * for some seconds; what changes something never is.
 */
#ifndef AOD_CTL_CLIENT_H
#define AOD_CTL_CLIENT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CLIENT_REPLY_MAX (256u << 20) /* bytes of an answer: a result of 32 MiB with every byte escaped fits */

struct client;

/* Set by the SIGINT handler that client_catch_interrupt() installs; ends what is going on with -EINTR. */
extern volatile sig_atomic_t client_interrupted;
void client_catch_interrupt(void);
/* The same for SIGTERM and SIGHUP: for what leaves something behind that has to be taken away. */
void client_catch_end(void);

/* What was given on the command line; NULL: not given. */
struct client_where {
	const char *url, *socket, *root;
	const char *token;    /* else AOD_TOKEN, else (with a URL) the file aod/token of ~/.config or $XDG_CONFIG_HOME */
	const char *cacert;   /* else AOD_CACERT: certificates to trust instead of the system's */
	const char *fallback; /* a URL for when nothing says where aod is and no socket of it is there */
};
/*
 * To where the command line says, else AOD_URL, else AOD_SOCKET, else the first of /run/aod/aod.sock and $XDG_RUNTIME_DIR/aod/aod.sock (without
 * the variable: ~/.cache/run) that is there. A token is shown to sockets, over https, and over http to this host; never in the clear to another.
 */
struct client *client_new(const struct client_where *where, struct err *e);
void client_free(struct client *c);

/*
 * One request; path has its query; body is JSON or NULL. wait_s: how many seconds the server may take more than usual. 0 and the
 * answer in *reply (emptied before), whatever else: -EHOSTDOWN cannot connect, or 503; -ECONNRESET the connection broke, or 502; -EINTR;
 * -ETIMEDOUT; -EFBIG more than max bytes; else the server refused: e->status is the HTTP status and e->text what it said, in one line.
 */
int client_call(struct client *c, const char *method, const char *path, const char *body, int wait_s, size_t max,
		struct buf *reply, struct err *e);

/*
 * A GET whose body is handed over in pieces as they come, without a limit of time. on_data returns 0 to go on, or a negative errno
 * that ends it and is returned. 0: the server ended the answer properly. Errors as client_call().
 */
typedef int (*client_data_cb)(const char *p, size_t n, void *arg, struct err *e);
int client_stream(struct client *c, const char *path, client_data_cb on_data, void *arg, struct err *e);

/* A file or a text that is sent: the whole body, or a part of a form. */
struct client_part {
	const char *name;     /* of the field */
	const char *text;     /* what is sent, or NULL: it is read from fd, from where that stands */
	int fd;
	int64_t size;	      /* -1: up to the end of fd, or of text as a string */
	const char *filename; /* or NULL */
	const char *type;     /* Content-Type, or NULL */
};
/* A request with a body that does not fit into memory, in either direction. What is NULL or 0 is left out. */
struct client_exchange {
	const char *method, *path;
	const char *const *headers;	 /* "Name: value", NULL at the end */
	const struct client_part *body;
	const struct client_part *parts; /* or: a form (multipart/form-data) */
	int part_count;
	client_data_cb on_data;		 /* else the answer goes into reply */
	void *arg;
	void (*on_progress)(int64_t sent, int64_t received, void *arg);
	void *progress_arg;
};
/* Constant memory; broken off when nothing moves for some minutes. Errors as client_call(); tried once. reply may be NULL with on_data. */
int client_exchange(struct client *c, const struct client_exchange *x, struct buf *reply, struct err *e);
/* Of the answer to the last request, also while it still comes in: its status, and the value of a header or NULL (until the next request). */
int client_status(struct client *c);
const char *client_header(struct client *c, const char *name);

/* What a server said in an error's body, in one line: detail as a string, or `field: msg; …` of a list. Pure. */
void client_error_text(struct buf *out, int status, const char *body, size_t n);

#endif
