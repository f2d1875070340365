/* SPDX-License-Identifier: MIT */
/*
 * What the host gives for containing agents, found once at the start by trying: in a child where trying has effects, so that nothing of
 * it stays. What it does not give is asked for by need: which key of a blueprint cannot have its effect here, and the mend.
 */
#ifndef AOD_AOD_HOST_H
#define AOD_AOD_HOST_H

#include <stdbool.h>

#include "base/err.h"
#include "model/sandbox.h"

struct host {
	bool root;
	unsigned namespaces; /* CLONE_NEW… that can be made; where aod is not root, beside a CLONE_NEWUSER */
	bool proc;	     /* a new /proc can be mounted in a pid namespace */
	int idmap;	     /* 0: bind mounts of the state directory can have other owners; else the errno */
	int landlock;	     /* ABI of Landlock(7), 0: none */
	bool seccomp, notify; /* filters; with a listener */
	bool clone3;
	int nice_min, oom_min; /* the lowest Nice= and OOMScoreAdjust= that aod may give */
};

/* state: a directory on the file system that sessions are on. */
void host_probe(struct host *h, const char *state);
/*
 * Whether all that s wants can be had. Not so: status 422 and the key, what is missing and the mend; for a profile that needs what is
 * missing the profile is named. What may be left out without harm (idmap has another way) is no error.
 */
int host_check(const struct host *h, const struct sandbox *s, struct err *e);
/* "mount pid net ipc uts user" of a set of CLONE_NEW… flags into out[64]; returns out. */
char *host_namespace_names(unsigned flags, char *out);

#endif
