/* SPDX-License-Identifier: MIT */
/*
 * Users that exist for one run only (DynamicUser=), as in systemd.exec(5): numbers of 61184..65519 that the user database of the host does
 * not know and that no other live run of this aod has. A session tends to get the same number again. Which ones are in use is
 * kept by the runs: a new aod is told with dynuser_keep() of those it takes over.
 */
#ifndef AOD_AOD_DYNUSER_H
#define AOD_AOD_DYNUSER_H

#include <stdint.h>

#include "base/err.h"

#define DYNUSER_MIN 61184
#define DYNUSER_MAX 65519
#define DYNUSER_NAME "aod-agent"

struct dynusers;

struct dynusers *dynusers_new(void);
void dynusers_free(struct dynusers *d);
/*
 * A number for both user and group. seed (the session's id) says where the search begins; where that would mean to ask the user database, it is the one
 * that was asked for ahead, when there is one. -ENOSPC (status 503): all are in use.
 */
int64_t dynuser_take(struct dynusers *d, const char *seed, struct err *e);
/* Ask for one ahead, unless there is one. */
void dynuser_look_ahead(struct dynusers *d);
void dynuser_keep(struct dynusers *d, int64_t uid);
/* It may be given to another run. Numbers outside the range are ignored. */
void dynuser_give(struct dynusers *d, int64_t uid);

/*
 * What /etc/passwd and /etc/group have to say for such a user: the host's text (read again when it has changed) and a line for DYNUSER_NAME with
 * this number. Caller frees.
 */
char *dynuser_passwd(struct dynusers *d, int64_t uid, const char *home);
char *dynuser_group(struct dynusers *d, int64_t uid);

/* User= and Group= of a blueprint, names or numbers: the numbers. group may be NULL: the user's own. Status 422 when there is none. */
int user_resolve(const char *user, const char *group, int64_t *uid, int64_t *gid, struct err *e);

#endif
