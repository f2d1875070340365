/* SPDX-License-Identifier: MIT */
/* The birth of a shim: a child with exactly the descriptors that it is to have, in a control group, without a copy of aod's memory. */
#ifndef AOD_AOD_BIRTH_H
#define AOD_AOD_BIRTH_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define BIRTH_FDS 6

struct birth {
	int program;		/* O_PATH descriptor of what to run */
	char *const *argv;	/* its environment is empty */
	int fds[BIRTH_FDS];	/* what is to be 0, 1, 3, 4, 5; -1: nothing. 2 stays */
	struct rlimit nofile;
	int cgroup;		/* descriptor of a v2 group, or -1 */
};

/*
 * Once, early, while low numbers are free: takes some for the children, whose tables of descriptors are small then, however many the parent has.
 * Without it, or before Linux 5.9, they are as large as the parent's.
 */
void birth_reserve(void);
/* The child's pid, or -errno. Returns when it runs the program, or has failed to (exit status 112). */
pid_t birth(const struct birth *b);

#endif
