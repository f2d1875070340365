/* SPDX-License-Identifier: MIT */
/*
 * The registry: keeps the database a mirror of what the files of blueprints say, with a version for
 * each text that they had, so that aod-http can answer without access to the files. Directories are
 * watched (inotify, or looked through now and then where there is none); a session that is started
 * reads its files itself in any case.
 *
 * What is in memory is only how far the mirror is: registry_forget() and a scan bring it back from
 * nothing.
 */
#ifndef AOD_AOD_REGISTRY_H
#define AOD_AOD_REGISTRY_H

#include "aod/blueprints.h"

void registry_open(struct manager *m);
void registry_close(struct manager *m);
/* Mirror everything that changed, in a transaction of its own. What goes wrong is logged, and tried
 * again later. */
void registry_scan(struct manager *m);
/* The transaction was rolled back: what was mirrored by it was not. */
void registry_forget(struct manager *m);
/*
 * Mirror one name, also when it is gone; author and action go into its version, if there is a new
 * one (NULL: somebody wrote the file). *version (may be NULL): the one it is at, 0 when it is gone.
 */
int registry_sync(struct manager *m, const char *name, const char *author, const char *action,
		  int64_t *version, struct err *e);
/*
 * For a session that is to start: find, read, check that it may be used, mirror. Caller frees *out.
 * *version is that of the template where name is an instance without files of its own.
 */
int registry_load(struct manager *m, const char *name, struct blueprint **out, int64_t *version,
		  struct err *e);

/* registry-row.c: f and what was parsed of it, as the row and the version that are to be stored. */
struct registry_shown {
	struct buf json, settings, problems, text, files; /* files: of the version */
	size_t unit_bytes; /* of text, which goes on with the files beside */
	const char *status;
};
void registry_show(struct registry_shown *s, const struct blueprint_files *f,
		   const struct blueprint *b, int64_t version, int64_t created_us);
/* The part that a version is made of: text, unit_bytes and files. */
void registry_show_texts(struct registry_shown *s, const struct blueprint_files *f);
void registry_shown_free(struct registry_shown *s);

#endif
