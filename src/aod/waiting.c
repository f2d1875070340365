/* SPDX-License-Identifier: MIT */
/* Lines of sessions that wait. See waiting.h. */
#include "config.h"

#include "aod/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

bool
waiting_before(const struct waiting *a, const struct waiting *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->queued_us != b->queued_us)
		return a->queued_us < b->queued_us;
	return a->n < b->n;
}

size_t
line_rank(const struct line *l, const struct waiting *w)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (waiting_before(l->v[mid], w))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void
line_add(struct line *l, struct waiting *w)
{
	size_t at = line_rank(l, w);

	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	memmove(l->v + at + 1, l->v + at, (l->count - at) * sizeof(*l->v));
	l->v[at] = w;
	l->count++;
}

void
line_remove(struct line *l, const struct waiting *w)
{
	size_t at = line_rank(l, w);

	if (at == l->count || l->v[at] != w)
		return;
	l->count--;
	memmove(l->v + at, l->v + at + 1, (l->count - at) * sizeof(*l->v));
}

struct waiting *
line_first(const struct line *l)
{
	return l->count ? l->v[0] : NULL;
}

void
line_free(struct line *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}
