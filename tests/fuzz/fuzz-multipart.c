/* SPDX-License-Identifier: MIT */
/*
 * Any body as a form, first in one piece and then in pieces of the sizes that its bytes say: both ways give the same parts, the same
 * content, and the same verdict. The first line is the Content-Type.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
	if (!ok)
		abort();
}

static int
on_part(void *arg, const struct multipart_part *p, struct err *e)
{
	require(strlen(p->name) < MULTIPART_HEADERS_MAX && (!p->filename || strlen(p->filename) < MULTIPART_HEADERS_MAX));
	buf_printf(arg, "\n%s|%s|%s|", p->name, p->filename ? p->filename : "-", p->type ? p->type : "-");
	return 0;
}

static int
on_data(void *arg, const char *p, size_t n, struct err *e)
{
	require(n > 0);
	buf_put(arg, p, n);
	return 0;
}

static int
on_end(void *arg, struct err *e)
{
	buf_putc(arg, ';');
	return 0;
}

static int
parse(const char *type, size_t type_len, const char *body, size_t n, bool pieces, struct buf *out)
{
	static const struct multipart_ops ops = {on_part, on_data, on_end};
	struct multipart m;
	struct err e = {0};
	int r = multipart_init(&m, type, type_len, &ops, out, &e);

	for (size_t at = 0, len; r == 0 && at < n; at += len) {
		len = pieces ? (size_t)(uint8_t)body[at] % 9 + 1 : n;
		if (len > n - at)
			len = n - at;
		r = multipart_feed(&m, body + at, len, &e);
	}
	if (r == 0)
		r = multipart_finish(&m, &e);
	require((r < 0) == (e.code != 0));
	multipart_done(&m);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *eol = memchr(text, '\n', size);
	size_t type_len = eol ? (size_t)(eol - text) : size, rest = eol ? size - type_len - 1 : 0;
	struct buf one = BUF_INIT, two = BUF_INIT;
	int r;

	buf_puts(&one, "");
	buf_puts(&two, "");
	multipart_is(text, type_len);
	r = parse(text, type_len, text + size - rest, rest, false, &one);
	require(parse(text, type_len, text + size - rest, rest, true, &two) == r);
	/* A body that is broken may be found to be so earlier or later, but not differently. */
	require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
