/* SPDX-License-Identifier: MIT */
/* The basic filter that every agent gets: calls that no agent has a use for and that reach the kernel's own state. */
#ifndef AOD_AOD_SECCOMP_H
#define AOD_AOD_SECCOMP_H

#include "base/err.h"

/* A memfd with the program (struct sock_filter[], seccomp(2)), made by libseccomp as a binary tree; or -errno. */
int seccomp_basic(struct err *e);

#endif
