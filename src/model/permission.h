/* SPDX-License-Identifier: MIT */
/*
 * Who may do what. A row of the verb table names permissions, a role has some, and one that both have is enough. aod-http finds out who asks
 * and checks; aod does the same again for itself.
 *
 *	none      nothing but what is open to everybody
 *	session   an agent, by the token of its run: its own session, those that it started, and theirs; what agents share
 *	reader    sees everything, changes nothing
 *	operator  everything
 */
#ifndef AOD_MODEL_PERMISSION_H
#define AOD_MODEL_PERMISSION_H

#include <stdbool.h>

#include "model/verb.h"

enum role { ROLE_NONE, ROLE_SESSION, ROLE_READER, ROLE_OPERATOR, ROLE_COUNT };

const char *role_name(enum role r);
int role_parse(const char *name); /* -1 = unknown */
bool role_may(enum role r, const struct verb *v);
/* The argument that names the session which a verb is about, for verbs with PERM_OWN; a piece of the row. */
const char *verb_session_arg(const struct verb *v);

/* The text of a token is "aod_" and 32 random bytes as digits; what is kept of it is its SHA-256. */
#define TOKEN_PREFIX "aod_"
#define TOKEN_SIZE (4 + 64 + 1) /* with its NUL */
/* Of a login: what a browser's cookie says. */
#define LOGIN_COOKIE "aod_login"

#endif
