/* SPDX-License-Identifier: MIT */
/*
 * WebSocket (RFC 6455): the header of a frame that a server sends, the answer to a key, and the
 * reading of what a client sends, of which only control frames matter. Pure but for wslay, which
 * takes the client's frames apart.
 */
#ifndef AOD_HTTP_WS_H
#define AOD_HTTP_WS_H

#include <stddef.h>
#include <stdint.h>

#define WS_HEAD_MAX 10
#define WS_CONTROL_MAX 125         /* bytes of a control frame's payload */
#define WS_MESSAGE_MAX (64u << 10) /* bytes of a client's message, all fragments together */
#define WS_KEY_LEN 24
#define WS_ACCEPT_SIZE 29

enum { WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Header of a whole, unmasked frame; returns its bytes. */
size_t ws_head(uint8_t out[WS_HEAD_MAX], int opcode, uint64_t len);
/* A whole control frame (n <= WS_CONTROL_MAX) into out[2 + n]; returns its bytes. */
size_t ws_control(uint8_t *out, int opcode, const void *payload, size_t n);
/* Sec-WebSocket-Accept for a key, NUL-terminated, into out. */
void ws_accept(const char *key, size_t n, char out[WS_ACCEPT_SIZE]);

struct ws_reader;
struct ws_reader *ws_reader_new(void);
void ws_reader_free(struct ws_reader *r); /* NULL is fine */
/*
 * Take what a client sent. on_control is called with each whole ping, pong and close frame. Returns
 * 0, or the status to close with: 1002 for what is against the protocol, 1009 for too large a
 * message. After that, or after a close frame, nothing more may be fed.
 */
int ws_reader_feed(struct ws_reader *r, const void *p, size_t n,
		   void (*on_control)(int opcode, const uint8_t *payload, size_t n, void *arg),
		   void *arg);

#endif
