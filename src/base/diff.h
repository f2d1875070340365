/* SPDX-License-Identifier: MIT */
/* Differences of two texts, line by line, in the unified form of diff -u. */
#ifndef AOD_BASE_DIFF_H
#define AOD_BASE_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define DIFF_CONTEXT 3
#define DIFF_STEPS_MAX                                                                             \
	(4 << 20) /* comparisons of lines; texts that need more are shown as replaced where they   \
		     differ */
#define DIFF_EDITS_MAX 2000 /* lines that differ, likewise: bounds the memory to some 16 MiB */

/*
 * Append what leads from text a to text b, with from and to as the names in the first two lines.
 * Nothing is appended when they are the same. Always a valid diff; the shortest one within the
 * limits above. Returns whether they differ.
 */
bool diff_unified(struct buf *out, const char *from, const char *a, size_t a_len, const char *to,
		  const char *b, size_t b_len);

#endif
