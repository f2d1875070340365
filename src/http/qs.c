/* SPDX-License-Identifier: MIT */
/* Query strings and percent-encoding. Called by route.c; knows nothing of requests. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "base/util.h"
#include "http/qs.h"

bool
qs_decode(const char *s, size_t n, bool plus, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = i + 2 < n ? hex_digit(s[i + 1]) : -1;
			int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;

			if (lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return false;
		buf_putc(out, c);
	}
	return true;
}

bool
qs_each(const char *s, size_t n, void (*on_pair)(const char *name, const char *value, void *arg),
	void *arg)
{
	struct buf name = BUF_INIT, value = BUF_INIT;
	bool ok = true;

	for (int pairs = 0; n > 0 && ok && pairs < QS_PAIRS_MAX; pairs++) {
		const char *end = memchr(s, '&', n);
		size_t len = end ? (size_t)(end - s) : n;
		const char *eq = memchr(s, '=', len);
		size_t name_len = eq ? (size_t)(eq - s) : len;

		if (len > 0) {
			buf_reset(&name);
			buf_reset(&value);
			/* So that both are strings also when they are empty. */
			buf_put(&name, "", 0);
			buf_put(&value, "", 0);
			ok = qs_decode(s, name_len, true, &name) &&
			     (!eq || qs_decode(eq + 1, len - name_len - 1, true, &value));
			if (ok)
				on_pair(name.data ? name.data : "", value.data ? value.data : "",
					arg);
		}
		s += len + (end != NULL);
		n -= len + (end != NULL);
	}
	buf_free(&name);
	buf_free(&value);
	return ok;
}
