/* SPDX-License-Identifier: MIT */
/* The table of directives as an array, and finding a row of it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "base/util.h"
#include "model/blueprint.h"

const struct directive blueprint_directives[D_COUNT + 1] = {
#define D(section, key, type, def, since, values, flags, doc)                                      \
	{#section, #key, DT_##type, def, since, values, flags, doc},
#include "model/directive-table.h"
	{NULL, NULL, DT_TEXT, NULL, NULL, NULL, 0, NULL},
};

/* Keys by hash, a power of two of slots and at least half of them free; 0 is free, else the id + 1.
 */
#define SLOTS 512
_Static_assert(D_COUNT * 2 < SLOTS, "SLOTS has to grow with the table");

static unsigned
hash(const char *s)
{
	unsigned h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return (h ^ h >> 15) & (SLOTS - 1);
}

int
directive_find(const char *section, const char *key)
{
	static short slots[SLOTS];
	static bool filled;

	if (!filled) {
		for (short i = 0; i < D_COUNT; i++) {
			unsigned h = hash(blueprint_directives[i].key);

			while (slots[h])
				h = (h + 1) & (SLOTS - 1);
			slots[h] = (short)(i + 1);
		}
		filled = true;
	}
	for (unsigned h = hash(key); slots[h]; h = (h + 1) & (SLOTS - 1)) {
		const struct directive *d = &blueprint_directives[slots[h] - 1];

		if (strcmp(d->key, key) == 0)
			return !section || strcmp(d->section, section) == 0 ? slots[h] - 1 : -1;
	}
	return -1;
}

const char *
directive_nearest(const char *key)
{
	const char *nearest = NULL;
	int n = (int)strnlen(key, 64), max = n < 6 ? 2 : 3, best = max + 1;

	for (const struct directive *d = blueprint_directives; d->key; d++) {
		int longer = (int)strlen(d->key) - n, distance;

		if (longer > max || -longer > max)
			continue;
		distance = strcasecmp(key, d->key) == 0 ? 0 : str_distance(key, d->key, max);

		if (distance < best) {
			best = distance;
			nearest = d->key;
		}
	}
	return nearest;
}
