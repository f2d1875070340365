/* SPDX-License-Identifier: MIT */
/* Between seccomp.c, which makes programs, and its two halves: decisions by call alone, and by a call's arguments. */
#ifndef AOD_AOD_SECCOMP_INTERNAL_H
#define AOD_AOD_SECCOMP_INTERNAL_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "aod/seccomp.h"
#include "base/buf.h"

/* What is decided of a call whatever its arguments are. */
struct call {
	int nr; /* libseccomp's: negative for calls of other architectures */
	uint32_t action;
};

struct calls {
	struct call *v; /* by nr */
	size_t count;
	uint32_t unknown; /* action for all others */
	bool foreign;	  /* calls of other architectures matter */
};

/* Fill c from s; the caller frees it in any case. */
int calls_decide(struct calls *c, const struct sandbox_syscalls *s, struct err *e);
void calls_free(struct calls *c);
uint32_t calls_action(const struct calls *c, const char *name);
/* SCMP_ACT_ERRNO(EPERM) and what is like it become SCMP_ACT_NOTIFY. */
void calls_notify(struct calls *c);

/*
 * Rules about arguments, into a filter whose default is to allow. notify: refusals with EPERM are reported.
 * Returns how many there are, or -errno.
 */
int args_rules(scmp_filter_ctx ctx, const struct sandbox_syscalls *s, const struct calls *c, bool notify, struct err *e);

/* The program as it was put together, not folded yet. notify: whether refusals are reported. 0 or -errno with e. */
int seccomp_make(const struct sandbox_syscalls *s, bool *notify, struct buf *prog, struct err *e);
/*
 * Makes a program shorter that says the same. arch: the one architecture (AUDIT_ARCH_…) whose calls it tells apart. One that is not understood, or would not get
 * shorter, stays as it is.
 */
void seccomp_fold(struct buf *prog, uint32_t arch);

/* Whether a conditional jump on a constant is taken, with a in the accumulator. */
bool seccomp_jumps(const struct sock_filter *i, uint32_t a);

/* Architectures beside the native one that s names, as libseccomp has them; returns how many, at most 2. */
int foreign_architectures(const struct sandbox_syscalls *s, uint32_t arch[2]);
/* s has a list that says what is allowed, rather than what is not. */
bool is_allow_list(const struct sandbox_syscalls *s);

#endif
