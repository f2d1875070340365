/* SPDX-License-Identifier: MIT */
/* Frames and the ring of the newest ones; see ring.h. Used by live.c alone. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "http/ring.h"
#include "http/ws.h"

static size_t bytes_alive;

struct frame *
frame_new(const char *type, int64_t id, int64_t session, const char *text, size_t n)
{
	struct frame *f = xmalloc(sizeof(*f) + WS_HEAD_MAX + n);
	uint8_t head[WS_HEAD_MAX];
	int len = snprintf(f->sse, sizeof(f->sse), "id: %lld\nevent: %s\ndata: ", (long long)id,
			   type);

	assert(len > 0 && (size_t)len < sizeof(f->sse));
	f->refs = 1;
	f->id = id;
	f->session = session;
	f->sse_len = (uint8_t)len;
	f->len = n;
	f->ws_len = (uint8_t)ws_head(head, WS_TEXT, n);
	memcpy(f->data, head, f->ws_len);
	memcpy(f->data + f->ws_len, text, n);
	bytes_alive += n;
	return f;
}

struct frame *
frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

void
frame_unref(struct frame *f)
{
	if (!f || --f->refs > 0)
		return;
	bytes_alive -= f->len;
	free(f);
}

size_t
frame_bytes_alive(void)
{
	return bytes_alive;
}

struct frame *
ring_at(const struct ring *r, uint64_t number)
{
	return r->slot[number % RING_FRAMES];
}

static void
drop_oldest(struct ring *r)
{
	struct frame *f = ring_at(r, r->first);

	r->base = f->id;
	r->bytes -= f->len;
	r->first++;
	frame_unref(f);
}

void
ring_reset(struct ring *r, int64_t id)
{
	while (r->first < r->next)
		drop_oldest(r);
	r->base = r->head = id;
}

void
ring_push(struct ring *r, struct frame *f)
{
	assert(f->id > r->head);
	if (r->next - r->first == RING_FRAMES)
		drop_oldest(r);
	r->slot[r->next++ % RING_FRAMES] = f;
	r->bytes += f->len;
	r->head = f->id;
	/* The newest stays even when it alone is over the cap. */
	while (r->bytes > RING_BYTES && r->next - r->first > 1)
		drop_oldest(r);
}

uint64_t
ring_find(const struct ring *r, int64_t cursor)
{
	uint64_t lo = r->first, hi = r->next;

	/* Nearly everyone has all but the last few. */
	if (lo == hi || cursor >= ring_at(r, hi - 1)->id)
		return hi;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (ring_at(r, mid)->id > cursor)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}
