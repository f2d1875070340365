/* SPDX-License-Identifier: MIT */
/*
 * Writing several files below etc/blueprints as one: all of them are written and synced under other
 * names first, so that a full disk, or whatever else goes wrong, leaves everything as it was; then
 * they are renamed into place.
 */
#ifndef AOD_AOD_UNIT_WRITE_H
#define AOD_AOD_UNIT_WRITE_H

#include <stddef.h>
#include <sys/types.h>

#include "aod/manager.h"

enum write_how { WRITE_TEXT, WRITE_MASK /* a link to /dev/null */, WRITE_REMOVE };

struct write {
	enum write_how how;
	char *path, *temp, *text;
	size_t len;
	mode_t mode;
};

struct writes {
	const struct config *cfg;
	struct write *v;
	int count;
};

/* path has to be below etc/blueprints; a later word on the same path replaces an earlier one. text
 * is copied. */
void writes_text(struct writes *w, const char *path, const char *text, size_t len, mode_t mode);
void writes_mask(struct writes *w, const char *path);
void writes_remove(struct writes *w, const char *path); /* one that is not there is fine */
int writes_commit(struct writes *w, struct err *e);
void writes_free(struct writes *w);

#endif
