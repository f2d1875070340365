/* SPDX-License-Identifier: MIT */
/*
 * Lines of sessions that wait to be started, in the order in which they are: greater priority first, then who waits for longer, then
 * by number. A line is a sorted array: finding a place or a rank is a binary search, and moving the rest up is one memmove(3),
 * which for tens of thousands costs a few microseconds. Pure; owns its array, not what stands in it.
 */
#ifndef AOD_AOD_WAITING_H
#define AOD_AOD_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct waiting_kind;

struct waiting {
	int64_t n; /* of the session */
	int64_t priority, queued_us;
	char *id, *name;
	struct waiting_kind *kind;
	struct waiting *next; /* in its bucket */
};

struct line {
	struct waiting **v;
	size_t count, room;
};

/* a's turn is before b's; never for one and the same. */
bool waiting_before(const struct waiting *a, const struct waiting *b);
void line_add(struct line *l, struct waiting *w);
/* One that is not there is fine. */
void line_remove(struct line *l, const struct waiting *w);
/* How many have their turn before w, which need not stand in it. */
size_t line_rank(const struct line *l, const struct waiting *w);
/* Whose turn is next, or NULL. */
struct waiting *line_first(const struct line *l);
void line_free(struct line *l);

#endif
