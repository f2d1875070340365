/* SPDX-License-Identifier: MIT */
/*
 * System call filters: from struct sandbox_syscalls to a program for seccomp(2), made by libseccomp as a binary tree, kept in a sealed memfd, one for each
 * distinct filter. Names, groups (@system-service, …) and ~ as in systemd.exec(5); what the groups hold is a table
 * (seccomp-groups.c), after systemd's src/shared/seccomp-util.c.
 *
 * What a program does, beyond the words of its list:
 *	- Calls that libseccomp does not know and no word names: refused with ENOSYS by an allow list, so that libraries fall back as on an older
 *	  kernel; allowed by a deny list. Calls that it knows are refused with the list's error, EPERM unless said otherwise.
 *	- An allow list always has @default in it.
 *	- io_uring, which gets around rules about other calls: ENOSYS in every program, unless its calls are named themselves. process_vm_readv(2) and
 *	  process_vm_writev(2) come with no group, only by name.
 *	- TIOCSTI and TIOCLINUX, which type into somebody's terminal: always EPERM.
 *	- AF_VSOCK: refused wherever there is an allow list of calls or a word about families, unless families allow it.
 *	- Calls of another architecture (x32 is one): the process is killed where SystemCallArchitectures= says which there are; ENOSYS otherwise, as
 *	  nothing checks them.
 *	- A program that reports refusals lets nobody install a second listener, whose answers would go for its own.
 */
#ifndef AOD_AOD_SECCOMP_H
#define AOD_AOD_SECCOMP_H

#include "base/err.h"
#include "model/sandbox.h"

struct seccomp_cache;

#define SECCOMP_CACHE_MAX 64 /* programs; the one that was asked for longest ago goes */

struct seccomp_cache *seccomp_cache_new(void);
void seccomp_cache_free(struct seccomp_cache *c);
/*
 * The program for s: a descriptor that belongs to the cache, valid until the next call (position is nobody's: pread(2) only), or -1 with *none = true
 * when s asks for nothing, or -errno with status 422 when s cannot be (an unknown call or group). *notify: the program reports to a listener
 * (SECCOMP_RET_USER_NOTIF), which the shim has to be told; only when s->notify, and only where the program lets its loader hand the listener over
 * (sendmsg). What is reported is what would fail with EPERM, and socket(2) of a family that is not allowed (EAFNOSUPPORT); what has another error
 * of its own is not, and calls that programs try as a matter of course (clone3, io_uring, openat2) are such.
 */
int seccomp_get(struct seccomp_cache *c, const struct sandbox_syscalls *s, bool *none, bool *notify, struct err *e);

/* The calls of a group, "@name" or "name", sorted; NULL when there is none of that name. Static. */
const char *const *seccomp_group(const char *name);
/* The names of all groups, sorted, "@aio" first; ends with NULL. Static. */
const char *const *seccomp_groups(void);
/* The number of a call on this architecture, as libseccomp has it (negative for one of other architectures), or SECCOMP_UNKNOWN. */
int seccomp_call(const char *name);
#define SECCOMP_UNKNOWN (-1)
/* The name of a call by number and architecture (AUDIT_ARCH_…), into name[SECCOMP_NAME]; its number when it has none. Returns name. */
#define SECCOMP_NAME 40
const char *seccomp_call_name(uint32_t arch, int nr, char name[SECCOMP_NAME]);
/* "AF_…", or NULL when no directive knows the family. Static. */
const char *seccomp_family_name(int family);

/* For tests: the action (SECCOMP_RET_…) of the program in fd for a call of arch (AUDIT_ARCH_…), by a small interpreter. What the interpreter does
 * not know kills. */
uint32_t seccomp_simulate(int fd, uint32_t arch, uint32_t nr, const uint64_t args[6]);

#endif
