/* SPDX-License-Identifier: MIT */
/* Roles and what they may; see permission.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/permission.h"

#include <string.h>

static const struct {
	const char *name;
	unsigned perms;
} roles[ROLE_COUNT] = {
	[ROLE_NONE] = { "none", PERM_OPEN },
	[ROLE_SESSION] = { "session", PERM_OPEN | PERM_OWN | PERM_SHARED },
	[ROLE_READER] = { "reader", PERM_OPEN | PERM_READ },
	[ROLE_OPERATOR] = { "operator", PERM_OPEN | PERM_READ | PERM_WRITE | PERM_EVENT | PERM_ADMIN },
};

const char *
role_name(enum role r)
{
	return roles[r].name;
}

int
role_parse(const char *name)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		if (strcmp(roles[i].name, name) == 0)
			return i;
	return -1;
}

bool
role_may(enum role r, const struct verb *v)
{
	return (roles[r].perms & v->perms) != 0;
}

const char *
verb_session_arg(const struct verb *v)
{
	static const char *const names[] = { "id", "session", "session_id" };

	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
		for (const struct verb_arg *a = v->args; a < v->args + VERB_ARGS_MAX && a->name; a++)
			if (strcmp(a->name, names[k]) == 0)
				return a->name;
	return NULL;
}
