/* SPDX-License-Identifier: MIT */
/*
 * What is left to aod-http once it has opened all that it needs, since it is the part that strangers talk to: no privilege, no file but the database
 * and the contents of documents to read and the directory of uploads to write, no new process, no new socket, no signal to others, and
 * only the system calls that it uses. The listening sockets and the wire to aod are its ways out.
 *
 * Landlock where the kernel has it (5.13); file modes otherwise. Sanitizers need more than this allows: a program built with one keeps
 * its system calls and files.
 */
#ifndef AOD_HTTP_CAGE_H
#define AOD_HTTP_CAGE_H

#include <stdint.h>

#include "base/err.h"

struct cage {
	const char *user;		       /* to become where this is root; NULL: stay */
	const char *db, *documents, *uploads; /* paths */
	int64_t max_file;		       /* bytes of the largest file that is written */
};

#define CAGE_MEMORY_MAX (4LL << 30) /* bytes of address space */

/* For good. Nothing can be opened afterwards but what is said above. */
int cage_close(const struct cage *c, struct err *e);

#endif
