/* SPDX-License-Identifier: MIT */
/* WebSocket frames; see ws.h. Used by live.c and ring.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/util.h"
#include "http/ws.h"

size_t
ws_head(uint8_t out[WS_HEAD_MAX], int opcode, uint64_t len)
{
	out[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		out[1] = (uint8_t)len;
		return 2;
	}
	if (len < 65536) {
		out[1] = 126;
		out[2] = (uint8_t)(len >> 8);
		out[3] = (uint8_t)len;
		return 4;
	}
	out[1] = 127;
	for (int i = 0; i < 8; i++)
		out[2 + i] = (uint8_t)(len >> (56 - 8 * i));
	return 10;
}

size_t
ws_control(uint8_t *out, int opcode, const void *payload, size_t n)
{
	size_t head = ws_head(out, opcode, n);

	assert(n <= WS_CONTROL_MAX);
	if (n)
		memcpy(out + head, payload, n);
	return head + n;
}

void
ws_accept(const char *key, size_t n, char out[WS_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct buf b = BUF_INIT;

	buf_put(&b, key, n);
	buf_puts(&b, guid);
	EVP_Digest(b.data, b.len, digest, NULL, EVP_sha1(), NULL);
	buf_reset(&b);
	buf_put_base64(&b, digest, 20);
	assert(b.len == WS_ACCEPT_SIZE - 1);
	memcpy(out, b.data, WS_ACCEPT_SIZE);
	buf_free(&b);
}

struct ws_reader {
	wslay_frame_context_ptr ctx;
	const uint8_t *p; /* what is fed just now */
	size_t n;
	uint64_t message; /* bytes of the message so far */
	bool in_message;  /* fragments of a message are outstanding */
	bool in_frame;    /* the head of the present frame was looked at */
	uint64_t frame_left;
	uint8_t control[WS_CONTROL_MAX];
	size_t control_len;
};

static ssize_t
on_recv(uint8_t *buf, size_t len, int flags, void *arg)
{
	struct ws_reader *r = arg;
	size_t n = len < r->n ? len : r->n;

	if (n == 0)
		return -1; /* wslay asks for more later */
	memcpy(buf, r->p, n);
	r->p += n;
	r->n -= n;
	return (ssize_t)n;
}

struct ws_reader *
ws_reader_new(void)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_recv};
	struct ws_reader *r = xcalloc(1, sizeof(*r));

	if (wslay_frame_context_init(&r->ctx, &callbacks, r) != 0)
		abort(); /* out of memory */
	return r;
}

void
ws_reader_free(struct ws_reader *r)
{
	if (!r)
		return;
	wslay_frame_context_free(r->ctx);
	free(r);
}

/* A frame begins: 0 or the status to close with. */
static int
begin_frame(struct ws_reader *r, const struct wslay_frame_iocb *f)
{
	if (!f->mask || f->rsv != 0)
		return 1002;
	if (wslay_is_ctrl_frame(f->opcode)) {
		if (f->opcode > WS_PONG || f->payload_length > WS_CONTROL_MAX || !f->fin)
			return 1002;
		r->control_len = 0;
	} else {
		if (f->opcode > WSLAY_BINARY_FRAME)
			return 1002;
		if ((f->opcode == WSLAY_CONTINUATION_FRAME) != r->in_message)
			return 1002;
		if (!r->in_message)
			r->message = 0;
		if (f->payload_length > WS_MESSAGE_MAX - r->message)
			return 1009;
		r->message += f->payload_length;
		r->in_message = !f->fin;
	}
	r->in_frame = true;
	r->frame_left = f->payload_length;
	return 0;
}

int
ws_reader_feed(struct ws_reader *r, const void *p, size_t n,
	       void (*on_control)(int opcode, const uint8_t *payload, size_t n, void *arg),
	       void *arg)
{
	r->p = p;
	r->n = n;
	for (;;) {
		struct wslay_frame_iocb f = {0};
		ssize_t got = wslay_frame_recv(r->ctx, &f);
		int status;

		if (got == WSLAY_ERR_WANT_READ)
			return 0;
		if (got < 0)
			return 1002;
		if (!r->in_frame && (status = begin_frame(r, &f)) != 0)
			return status;
		if (wslay_is_ctrl_frame(f.opcode) && f.data_length > 0) {
			memcpy(r->control + r->control_len, f.data, f.data_length);
			r->control_len += f.data_length;
		}
		r->frame_left -= f.data_length;
		if (r->frame_left > 0)
			continue;
		r->in_frame = false;
		if (wslay_is_ctrl_frame(f.opcode)) {
			on_control(f.opcode, r->control, r->control_len, arg);
			if (f.opcode == WS_CLOSE)
				return 0;
		}
	}
}
