/* SPDX-License-Identifier: MIT */
/* The growable byte buffer, and the encodings that everybody writes into one: JSON strings and
 * base64. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define BUF_FIRST 64
#define BUF_KEEP (1u << 20)

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void
buf_reset(struct buf *b)
{
	if (b->cap > BUF_KEEP)
		buf_free(b);
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

char *
buf_steal(struct buf *b)
{
	char *p = b->data ? b->data : xcalloc(1, 1);

	*b = (struct buf)BUF_INIT;
	return p;
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : BUF_FIRST;

	if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		abort();
	need = b->len + more + 1;
	if (need <= b->cap)
		return;
	while (cap < need)
		cap *= 2;
	b->data = xrealloc(b->data, cap);
	b->cap = cap;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	buf_reserve(b, BUF_FIRST);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (n < 0)
		abort();
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
	}
	va_end(again);
	b->len += (size_t)n;
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void
buf_put_int(struct buf *b, int64_t v)
{
	char digits[20], *p = digits + sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	buf_put(b, p, (size_t)(digits + sizeof(digits) - p));
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	if (n > b->len)
		n = b->len;
	if (b->len > n)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	if (b->data)
		b->data[b->len] = '\0';
}

/* Length of the valid UTF-8 sequence of two to four bytes at p, or 0 (RFC 3629, section 4). */
static size_t
utf8_sequence(const unsigned char *p, size_t n)
{
	size_t len;

	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void
put_json_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
		buf_put(b, "\\\"", 2);
		break;
	case '\\':
		buf_put(b, "\\\\", 2);
		break;
	case '\n':
		buf_put(b, "\\n", 2);
		break;
	case '\r':
		buf_put(b, "\\r", 2);
		break;
	case '\t':
		buf_put(b, "\\t", 2);
		break;
	default:
		buf_put(b, u, sizeof(u));
	}
}

int
buf_put_json(struct buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0, run, len;
	int valid = 1;

	buf_reserve(b, n + 2);
	buf_putc(b, '"');
	while (i < n) {
		run = i;
		while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
			i++;
		if (i > run)
			buf_put(b, s + run, i - run);
		if (i == n)
			break;
		if (p[i] < 0x80) {
			put_json_escape(b, p[i++]);
		} else if ((len = utf8_sequence(p + i, n - i)) > 0) {
			buf_put(b, s + i, len);
			i += len;
		} else {
			buf_put(b, "\xef\xbf\xbd", 3);
			valid = 0;
			i++;
		}
	}
	buf_putc(b, '"');
	return valid;
}

int
buf_put_json_str(struct buf *b, const char *s)
{
	if (s)
		return buf_put_json(b, s, strlen(s));
	buf_put(b, "null", 4);
	return 1;
}

void
buf_put_base64(struct buf *b, const void *p, size_t n)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = p;
	char quad[4];

	buf_reserve(b, (n + 2) / 3 * 4);
	buf_put(b, "", 0);
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
			     (left > 2 ? s[i + 2] : 0);

		quad[0] = abc[v >> 18];
		quad[1] = abc[v >> 12 & 63];
		quad[2] = left > 1 ? abc[v >> 6 & 63] : '=';
		quad[3] = left > 2 ? abc[v & 63] : '=';
		buf_put(b, quad, 4);
	}
}
