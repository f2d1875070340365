/* SPDX-License-Identifier: MIT */
/*
 * Quick writing of JSON into a buffer, for the renderers of this folder, which run for every row of
 * every answer. Nothing here ends the buffer with a NUL; put_end() does, once, when the object is
 * complete.
 */
#ifndef AOD_MODEL_PUT_H
#define AOD_MODEL_PUT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

static inline void
put_bytes(struct buf *b, const char *s, size_t n)
{
	if (b->cap - b->len <= n)
		buf_reserve(b, n + 1);
	memcpy(b->data + b->len, s, n);
	b->len += n;
}

/* A string literal, its length known when this is compiled. */
#define PUT(b, literal) put_bytes((b), "" literal, sizeof(literal) - 1)

static inline void
put_end(struct buf *b)
{
	if (b->cap == b->len)
		buf_reserve(b, 1);
	b->data[b->len] = 0;
}

static inline void
put_int(struct buf *b, int64_t v)
{
	char tmp[24], *end = tmp + sizeof(tmp), *p = end;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		*--p = '-';
	put_bytes(b, p, (size_t)(end - p));
}

/* Whether all eight bytes of w stand for themselves in a JSON string: ASCII from 0x20 on, no quote,
 * no backslash. */
static inline bool
put_plain8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
	uint64_t bad = w | (w - ones * 0x20) | (quote - ones) | (slash - ones);

	return (bad & high) == 0;
}

/* A JSON string with its quotes. Text that is all plain, the ordinary case, is copied; the rest is
 * buf_put_json()'s. */
static inline void
put_string_n(struct buf *b, const char *s, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= n; i += 8) {
		memcpy(&w, s + i, 8);
		if (!put_plain8(w))
			break;
	}
	if (i + 8 > n) {
		w = 0x2020202020202020u;
		memcpy(&w, s + i, n - i);
		if (put_plain8(w)) {
			if (b->cap - b->len <= n + 2)
				buf_reserve(b, n + 3);
			b->data[b->len] = '"';
			memcpy(b->data + b->len + 1, s, n);
			b->data[b->len + 1 + n] = '"';
			b->len += n + 2;
			return;
		}
	}
	buf_put_json(b, s, n);
}

static inline void
put_string(struct buf *b, const char *s)
{
	if (s)
		put_string_n(b, s, strlen(s));
	else
		PUT(b, "null");
}

/* Two digits of v < 100. */
static inline void
put_two(char *p, unsigned v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
}

#define PUT_TIME_MAX 253402300799999999 /* the end of the year 9999 */

/* The time as time_iso() writes it, in quotes. Rows that follow each other are mostly of one day:
 * its date is kept. */
static inline void
put_time(struct buf *b, int64_t us)
{
	static int64_t day = -1;
	static char text[TIME_ISO_SIZE + 1] = "\"";
	unsigned second, micros;
	char *p;

	buf_reserve(b, 34);
	p = b->data + b->len;
	b->len += 34;
	if (us < 0 || us > PUT_TIME_MAX || us / 86400000000 != day) {
		/* Outside of the years that time_iso() has, all days look like one: none of them is
		 * kept. */
		day = us < 0 || us > PUT_TIME_MAX ? -1 : us / 86400000000;
		time_iso(us, text + 1);
		text[33] = '"';
		memcpy(p, text, 34);
		return;
	}
	second = (unsigned)(us / 1000000 - day * 86400);
	micros = (unsigned)(us % 1000000);
	memcpy(p, text, 34);
	put_two(p + 12, second / 3600);
	put_two(p + 15, second / 60 % 60);
	put_two(p + 18, second % 60);
	put_two(p + 21, micros / 10000);
	put_two(p + 23, micros / 100 % 100);
	put_two(p + 25, micros % 100);
}

#endif
