/* SPDX-License-Identifier: MIT */
/*
 * Frames for subscribers, and the ring of the newest ones. A frame is rendered once, is shared by
 * all who send it, and is freed with its last reference. The ring holds every frame whose id is in
 * (base, head]; ids grow but may have holes. Pure: no sockets, no store.
 */
#ifndef AOD_HTTP_RING_H
#define AOD_HTTP_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_FRAMES 4096      /* frames in the ring, a power of two */
#define RING_BYTES (8u << 20) /* bytes of their text; one frame may be larger */

struct frame {
	int refs;
	int64_t id;      /* cursor after this frame; 0 for frames outside of the feed */
	int64_t session; /* internal number of its session, 0 = none */
	uint8_t ws_len;  /* bytes of the WebSocket header in front of the text */
	uint8_t sse_len; /* bytes of sse[] */
	size_t len;      /* bytes of the JSON text */
	char sse[64];    /* "id: N\nevent: TYPE\ndata: " */
	char data[];     /* WebSocket header, JSON text */
};

struct ring {
	struct frame *slot[RING_FRAMES];
	uint64_t first, next; /* numbers of the oldest frame and of the one to come */
	size_t bytes;
	int64_t base, head;
};

/* The text is copied. type is the name of the SSE event, plain and short. The caller has the one
 * reference. */
struct frame *frame_new(const char *type, int64_t id, int64_t session, const char *text, size_t n);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f); /* NULL is fine */
/* Bytes of all frames that are alive, in the ring or not. */
size_t frame_bytes_alive(void);

/* Drop all frames; the ring then covers nothing and stands at id. */
void ring_reset(struct ring *r, int64_t id);
/* Takes the reference. f->id must be greater than r->head. Drops the oldest while over a cap. */
void ring_push(struct ring *r, struct frame *f);
/* Number of the first frame with an id > cursor; r->next when there is none. cursor must be >=
 * r->base. */
uint64_t ring_find(const struct ring *r, int64_t cursor);
struct frame *ring_at(const struct ring *r, uint64_t number);

#endif
