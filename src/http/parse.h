/* SPDX-License-Identifier: MIT */
/*
 * The heads of requests, between h2o and its parser.
 *
 * libh2o 2.2 keeps the whole body of a request in memory before it calls a handler. A document may be far larger than memory should grow,
 * so the body of an upload is withheld from it: phr_parse_request(), which the library calls through its symbol table, is defined by this
 * program too, calls the library's own, and says "Content-Length: 0" to h2o where an upload begins. The handler finds the true length in a
 * header whose name no client can send, and reads the body from the socket itself; until it has, the connection must not be kept alive.
 * Where the library is built so that this does not take effect, the body simply comes as h2o's, up to MAX_BODY.
 *
 * Also here, since h2o is lenient with them: requests whose end two servers may see at different places (RFC 9112, section 6.3).
 */
#ifndef AOD_HTTP_PARSE_H
#define AOD_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <h2o.h>

/* As in picohttpparser.h, which libh2o contains and does not install. */
struct phr_header {
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
};
struct phr_chunked_decoder {
	size_t bytes_left_in_chunk;
	char consume_trailer;
	char _hex_count;
	char _state;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path, size_t *path_len,
		      int *minor_version, struct phr_header *headers, size_t *num_headers, size_t last_len);
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz);

/* A body that h2o does not know of. */
struct held_body {
	bool held;
	size_t head;	/* bytes of the request's head, which stay at the front of the socket's input */
	int64_t length; /* -1: chunked */
	bool persistent; /* whether the connection may be kept once the body has been read */
};

/* Bodies of uploads that cannot be documents of at most max bytes are refused by h2o before they are read. */
void parse_init(int64_t max);
/* Looks for a held body, and makes sure that a request with one ends its connection. Call before anything is answered. */
void parse_held(h2o_req_t *req, struct held_body *out);
/* Whether there is one that nobody has taken upon himself to read; and to do so. */
bool parse_unread(const h2o_req_t *req);
void parse_taken(h2o_req_t *req);

#endif
