/* SPDX-License-Identifier: MIT */
/*
 * Attacks: each is a function that tries to do one thing that an agent in a strict sandbox must not. `attack FACTS [NAME…]` tries those, or all, each in a
 * process of its own, and prints for each a line of three fields: name, got | refused | cannot, and how. FACTS is a file of
 * "key=value" lines about what is outside: paths, process numbers, addresses.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CANNOT (-100000) /* not to be tried on this machine */

struct attack {
	const char *name;
	int (*run)(void); /* 0: it worked; -errno: it did not; CANNOT */
};

/* `attack --privileges` says whether it has more than who ran it: for copies that are set-user-ID or have capabilities. */
extern const struct attack file_attacks[], process_attacks[], kernel_attacks[];

/* A line for people about how it went. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Of the facts; "" for what is not in them. */
const char *fact(const char *key);
long fact_number(const char *key);
/* From what a system call returned: it worked, or its errno with the call's name. */
int done(const char *call, long rc);
/* The same for a call with nonsense for arguments: any error but those of somebody who refuses shows that the kernel looked at them. */
int reached(const char *call, long rc);
/* What an agent is the child of: the init of its namespace; without one, of its shim. */
extern pid_t starter;
/* The file can be read, or opened for writing. */
int can_read(const char *path);
int can_open(const char *path, int flags);
/* f for every process that is in /proc, until it returns 0; the last -errno. */
int each_process(int (*f)(long pid));
/* A mount namespace that is private, so that what works does no harm; where that is refused, all the same. */
void apart(void);

#endif
