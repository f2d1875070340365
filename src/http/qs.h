/* SPDX-License-Identifier: MIT */
/* Query strings and percent-encoding (RFC 3986, and the + of HTML forms). Pure. */
#ifndef AOD_HTTP_QS_H
#define AOD_HTTP_QS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define QS_PAIRS_MAX 32 /* further pairs are not looked at */

/*
 * Append the decoded bytes to out. False on a broken escape or when a NUL byte comes out; out then
 * holds a part. plus: a + stands for a space (query strings, not paths).
 */
bool qs_decode(const char *s, size_t n, bool plus, struct buf *out);
/*
 * Calls on_pair with each decoded name and value, in order; a name without = has an empty value.
 * Returns false at the first pair that cannot be decoded.
 */
bool qs_each(const char *s, size_t n,
	     void (*on_pair)(const char *name, const char *value, void *arg), void *arg);

#endif
