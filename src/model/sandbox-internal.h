/* SPDX-License-Identifier: MIT */
/* What the files of the sandbox module share. For nobody else. */
#ifndef AOD_MODEL_SANDBOX_INTERNAL_H
#define AOD_MODEL_SANDBOX_INTERNAL_H

#include "model/sandbox.h"

/* The mounts and Landlock's trees of s, whose users and namespaces are decided. */
int sandbox_make_mounts(struct sandbox *s, const struct blueprint *b, const struct sandbox_paths *p, struct err *e);

#endif
