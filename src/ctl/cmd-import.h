/* SPDX-License-Identifier: MIT */
/* aoctl import: what its parts share. */
#ifndef AOD_CTL_CMD_IMPORT_H
#define AOD_CTL_CMD_IMPORT_H

#include "ctl/command.h"

enum done { CREATED, UPDATED, UNCHANGED, SKIPPED, DONE_COUNT };

struct report {
	struct ctl *c;
	const char *kind; /* of what is taken over now: "agent", "session", "document" */
	struct buf json;
	int counts[DONE_COUNT];
};
/* One line. what: what was done of it, or ""; reason: why it was skipped, or NULL. */
void import_report(struct report *rep, const char *name, const char *from, enum done done, const char *what, const char *reason);
/* The sum of one kind, which ends with it. */
void import_sum(struct report *rep);

/* Sessions or documents of a database; files: where contents are, or NULL. A negative value: no further one can go better. */
int import_database(struct report *rep, const char *path, const char *files, struct err *e);

#endif
