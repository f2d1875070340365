/* SPDX-License-Identifier: MIT */
/*
 * A growable byte buffer. data is always NUL-terminated at data[len] once anything was put in.
 * Memory grows by doubling; running out of it aborts. Callers keep their own caps on lengths.
 */
#ifndef AOD_BASE_BUF_H
#define AOD_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len, cap;
};

#define BUF_INIT { NULL, 0, 0 }

void buf_free(struct buf *b);	/* frees the memory; b may be used again */
void buf_reset(struct buf *b);	/* len = 0, keeps the memory (up to 1 MiB of it) */
char *buf_steal(struct buf *b); /* NUL-terminated, the caller frees it; never NULL; b is empty after */
void buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Decimal number, quicker than buf_printf. */
void buf_put_int(struct buf *b, int64_t v);
/* Drop n bytes at the front (memmove). */
void buf_consume(struct buf *b, size_t n);

/*
 * The bytes as a JSON string with its quotes (RFC 8259): control characters and quotes escaped; each byte
 * that is not part of valid UTF-8 becomes U+FFFD. Returns 1 when all of it was valid UTF-8, else 0.
 */
int buf_put_json(struct buf *b, const char *s, size_t n);
/* The same for a NUL-terminated string, or null for NULL. */
int buf_put_json_str(struct buf *b, const char *s);
/* Base64 (RFC 4648, section 4) without quotes. */
void buf_put_base64(struct buf *b, const void *p, size_t n);

#endif
