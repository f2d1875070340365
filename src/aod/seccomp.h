/* SPDX-License-Identifier: MIT */
/*
 * System call filters: from struct sandbox_syscalls to a program for seccomp(2), made by libseccomp as a binary tree, kept in a sealed memfd, one for each
 * distinct filter. Names, groups (@system-service, …) and ~ as in systemd.exec(5); what the groups hold is a table here, after
 * systemd's src/shared/seccomp-util.c.
 */
#ifndef AOD_AOD_SECCOMP_H
#define AOD_AOD_SECCOMP_H

#include "base/err.h"
#include "model/sandbox.h"

/* The basic deny list in a memfd, or -errno. Goes when the last caller asks seccomp_get(). */
int seccomp_basic(struct err *e);

struct seccomp_cache;

struct seccomp_cache *seccomp_cache_new(void);
void seccomp_cache_free(struct seccomp_cache *c);
/*
 * The program for s: a descriptor that belongs to the cache (position is nobody's: pread(2) only), or -1 with *none = true when s asks for nothing, or
 * -errno with status 422 when s cannot be (an unknown call or group). *notify: the program reports to a listener (SECCOMP_RET_USER_NOTIF), which the
 * shim has to be told; only when s->notify, and only where the program lets its loader hand the listener over (sendmsg).
 */
int seccomp_get(struct seccomp_cache *c, const struct sandbox_syscalls *s, bool *none, bool *notify, struct err *e);
/* The calls of a group, "@name" or "name", sorted; NULL when there is none of that name. Static. For tests and `aoctl syscalls`. */
const char *const *seccomp_group(const char *name);
/* For tests: the program as text of its decisions for one call number. The action (SECCOMP_RET_…) for arch (AUDIT_ARCH_…), nr and args. */
uint32_t seccomp_simulate(int fd, uint32_t arch, uint32_t nr, const uint64_t args[6]);

#endif
