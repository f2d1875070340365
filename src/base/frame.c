/* SPDX-License-Identifier: MIT */
/* Frame format v1, as frame.h draws it. Pure functions over memory; used by aod-shim, so free of
 * stdio and malloc. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/frame.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

static void
put_le(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t
get_le(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

void
frame_header(uint8_t *head, uint8_t type, uint8_t flags, int64_t time_us, const void *p1, size_t n1,
	     const void *p2, size_t n2)
{
	uint32_t crc;

	memset(head, 0, FRAME_HEADER);
	head[0] = 0xa0;
	head[1] = 0xd1;
	head[2] = 1;
	head[3] = type;
	head[4] = flags;
	put_le(head + 8, n1 + n2, 4);
	put_le(head + 16, (uint64_t)time_us, 8);
	crc = crc32c(0, head, 12);
	crc = crc32c(crc, head + 16, 8);
	if (n1 > 0)
		crc = crc32c(crc, p1, n1);
	if (n2 > 0)
		crc = crc32c(crc, p2, n2);
	put_le(head + 12, crc, 4);
}

int64_t
frame_parse(const void *p, size_t n, struct frame *out)
{
	static const uint8_t magic[3] = {0xa0, 0xd1, 1};
	const uint8_t *h = p;
	uint32_t len, crc;

	/* Say that it is no frame as soon as that is known, rather than wait for bytes that never
	 * come. */
	if (n > 0 && memcmp(h, magic, n < sizeof(magic) ? n : sizeof(magic)) != 0)
		return -EBADMSG;
	if (n < FRAME_HEADER)
		return 0;
	len = (uint32_t)get_le(h + 8, 4);
	if (len > FRAME_MAX)
		return -EBADMSG;
	if (n - FRAME_HEADER < len)
		return 0;
	crc = crc32c(0, h, 12);
	crc = crc32c(crc, h + 16, 8);
	crc = crc32c(crc, h + FRAME_HEADER, len);
	if (crc != (uint32_t)get_le(h + 12, 4))
		return -EBADMSG;
	*out = (struct frame){.type = h[3],
			      .flags = h[4],
			      .len = len,
			      .time_us = (int64_t)get_le(h + 16, 8),
			      .payload = (const char *)h + FRAME_HEADER};
	return FRAME_HEADER + (int64_t)len;
}

const char *
frame_field(const struct frame *f, const char *key)
{
	const char *p = f->payload, *end = f->payload + f->len, *nul;
	size_t n = strlen(key);

	while (p < end && (nul = memchr(p, '\0', (size_t)(end - p))) != NULL) {
		if ((size_t)(nul - p) > n && memcmp(p, key, n) == 0 && p[n] == '=')
			return p + n + 1;
		p = nul + 1;
	}
	return NULL;
}
