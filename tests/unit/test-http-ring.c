/* SPDX-License-Identifier: MIT */
/* Frames and the ring of the newest ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/ring.h"

static struct ring *
new_ring(void)
{
	struct ring *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	return r;
}

static void
push(struct ring *r, int64_t id, size_t size)
{
	char *text = calloc(1, size + 1);

	assert_non_null(text);
	ring_push(r, frame_new("event", id, 1, text, size));
	free(text);
}

static void
test_frame(void **state)
{
	struct frame *f = frame_new("session_created", 42, 7, "{\"a\":1}", 7);

	assert_int_equal(f->id, 42);
	assert_int_equal(f->session, 7);
	assert_int_equal(f->ws_len, 2);
	assert_memory_equal(f->data, "\x81\x07{\"a\":1}", 9);
	assert_int_equal(f->sse_len, strlen("id: 42\nevent: session_created\ndata: "));
	assert_memory_equal(f->sse, "id: 42\nevent: session_created\ndata: ", f->sse_len);
	assert_int_equal(frame_bytes_alive(), 7);
	frame_ref(f);
	frame_unref(f);
	assert_int_equal(frame_bytes_alive(), 7);
	frame_unref(f);
	assert_int_equal(frame_bytes_alive(), 0);
	frame_unref(NULL);
}

static void
test_longest_sse_head(void **state)
{
	struct frame *f = frame_new("session_created", INT64_MAX, 1, "", 0);

	assert_true(f->sse_len < sizeof(f->sse));
	frame_unref(f);
}

static void
test_find(void **state)
{
	struct ring *r = new_ring();

	ring_reset(r, 10);
	assert_int_equal(ring_find(r, 10), r->next);
	/* ids have holes */
	for (int64_t id = 12; id <= 100; id += 2)
		push(r, id, 10);
	assert_int_equal(r->base, 10);
	assert_int_equal(r->head, 100);
	assert_int_equal(ring_at(r, ring_find(r, 10))->id, 12);
	for (int64_t cursor = 10; cursor < 100; cursor++)
		assert_int_equal(ring_at(r, ring_find(r, cursor))->id, (cursor / 2 + 1) * 2);
	assert_int_equal(ring_find(r, 100), r->next);
	assert_int_equal(ring_find(r, 1000), r->next);
	ring_reset(r, 500);
	assert_int_equal(r->base, 500);
	assert_int_equal(ring_find(r, 500), r->next);
	assert_int_equal(frame_bytes_alive(), 0);
	free(r);
}

static void
test_drops_oldest_by_count(void **state)
{
	struct ring *r = new_ring();

	for (int64_t id = 1; id <= 3 * RING_FRAMES + 5; id++)
		push(r, id, 1);
	assert_int_equal(r->next - r->first, RING_FRAMES);
	assert_int_equal(r->base, 2 * RING_FRAMES + 5);
	assert_int_equal(ring_at(r, ring_find(r, r->base))->id, r->base + 1);
	assert_int_equal(frame_bytes_alive(), RING_FRAMES);
	ring_reset(r, r->head);
	free(r);
}

static void
test_drops_oldest_by_bytes(void **state)
{
	struct ring *r = new_ring();
	struct frame *held;

	for (int64_t id = 1; id <= 100; id++)
		push(r, id, RING_BYTES / 10);
	assert_int_equal(r->next - r->first, 10);
	assert_int_equal(r->base, 90);
	/* One that is larger than the cap is alone in the ring, and one that is held outlives it.
	 */
	held = frame_ref(ring_at(r, r->first));
	push(r, 101, RING_BYTES + 1);
	assert_int_equal(r->next - r->first, 1);
	assert_int_equal(r->base, 100);
	assert_int_equal(r->bytes, RING_BYTES + 1);
	push(r, 102, 1);
	assert_int_equal(r->bytes, 1);
	assert_int_equal(held->id, 91);
	frame_unref(held);
	ring_reset(r, 102);
	assert_int_equal(frame_bytes_alive(), 0);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_longest_sse_head),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_drops_oldest_by_count),
		cmocka_unit_test(test_drops_oldest_by_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
