/* SPDX-License-Identifier: MIT */
/* Any bytes as a spool: each frame that is taken has exactly the bytes that frame_header() makes
 * for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int ok)
{
	if (!ok)
		abort();
}

static void
check_frame(const uint8_t *at, int64_t taken, const struct frame *f)
{
	static const char *const keys[] = {"", "status", "agent_pid", "x"};
	size_t half = f->len / 2;
	uint8_t head[FRAME_HEADER];
	const char *value;

	require(f->len <= FRAME_MAX && taken == FRAME_HEADER + (int64_t)f->len);
	require((const uint8_t *)f->payload == at + FRAME_HEADER);
	frame_header(head, f->type, f->flags, f->time_us, f->payload, half, f->payload + half,
		     f->len - half);
	/* Bytes 5 to 7 are zero today and covered by the checksum; a later version may use them. */
	if (at[5] == 0 && at[6] == 0 && at[7] == 0)
		require(memcmp(head, at, FRAME_HEADER) == 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		value = frame_field(f, keys[i]);
		require(!value || value + strlen(value) < f->payload + f->len);
	}
}

/* The same bytes as a payload: what was written is read back, whatever is in it. */
static void
check_payload(const uint8_t *data, size_t size)
{
	uint8_t *p = malloc(FRAME_HEADER + size);
	struct frame f;

	require(p != NULL);
	memcpy(p + FRAME_HEADER, data, size);
	frame_header(p, FRAME_EXIT, FRAME_MORE, -1, data, size, NULL, 0);
	require(frame_parse(p, FRAME_HEADER + size, &f) == FRAME_HEADER + (int64_t)size);
	require(f.type == FRAME_EXIT && f.flags == FRAME_MORE && f.time_us == -1 && f.len == size);
	check_frame(p, FRAME_HEADER + (int64_t)size, &f);
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;
	size_t at = 0;
	int64_t n;

	while ((n = frame_parse(data + at, size - at, &f)) > 0) {
		check_frame(data + at, n, &f);
		at += (size_t)n;
		require(at <= size);
	}
	if (size > 0 && size <= FRAME_MAX)
		check_payload(data, size);
	return 0;
}
