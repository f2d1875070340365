/* SPDX-License-Identifier: MIT */
/*
 * LoadCredential= and SetCredential=: secrets on their way from files and blueprints into the spec of a shim, and nowhere else. The bytes are
 * wiped from aod's memory once they were handed over.
 */
#ifndef AOD_AOD_CREDENTIALS_H
#define AOD_AOD_CREDENTIALS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/sandbox.h"

#define CREDENTIAL_MAX (1u << 20)  /* bytes of one, as in systemd */
#define CREDENTIALS_MAX (4u << 20) /* of all of a run: they go through the spec */

/*
 * Append "cred=ID=BYTES\0" for each credential of s to out; a LoadCredential= goes before a SetCredential= of the same name, which is its default.
 * A value with a NUL byte cannot pass. -errno with status 422 and the name of the key; out may then hold a part, and is to be wiped all the same.
 * dirs: see fd_open_named().
 */
int credentials_put(struct buf *out, const struct sandbox *s, const char *const *dirs, struct err *e);
/* Whether what they name is there, without reading it: for plans. */
int credentials_check(const struct sandbox *s, struct err *e);
/* Zero what b holds, also behind its end, and free it. */
void buf_wipe(struct buf *b);

#endif
