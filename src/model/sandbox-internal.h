/* SPDX-License-Identifier: MIT */
/* What the files of the sandbox module share. For nobody else. */
#ifndef AOD_MODEL_SANDBOX_INTERNAL_H
#define AOD_MODEL_SANDBOX_INTERNAL_H

#include "model/sandbox.h"

/* The mounts and Landlock's trees of s, whose users and namespaces are decided. */
int sandbox_make_mounts(struct sandbox *s, const struct blueprint *b, const struct sandbox_paths *p, struct err *e);

/* Parts of an effective blueprint, as in struct sandbox. */
uint64_t sandbox_bounding_set(const struct blueprint *b);
uint64_t sandbox_ambient_set(const struct blueprint *b);
/* CLONE_NEW… of all namespaces that may be made. */
unsigned sandbox_allowed_namespaces(const struct blueprint *b);

/*
 * What is wished for one path: sandbox-mount.c notes all that keys and profiles ask for, sandbox-wish.c sorts them, parents before what is below
 * them; of two for one path the stronger stays, and one that changes nothing at its place is left out.
 */
#define TMPFS_FLAGS (MF_RO | MF_NOSUID | MF_NODEV | MF_NOEXEC)

enum kind {
	KIND_HIDE,	/* nothing of it is there */
	KIND_TMPFS,	/* nothing of it is there, but what is shown below */
	KIND_MOUNT,	/* something else is there: op, src, opt */
	KIND_READ_ONLY, /* itself, read-only */
	KIND_WRITABLE,	/* itself, as it is */
};

/* Of two wishes for one path that of the lower rank stays. */
enum rank {
	RANK_OURS, /* of aod's own directories */
	RANK_SET_HIDE, RANK_SET_BIND, RANK_SET_TMPFS, RANK_SET_READ_ONLY, RANK_SET_WRITABLE, /* the blueprint's */
	RANK_WORK, /* the directories that the agent works in */
	RANK_HIDE, RANK_MOUNT, RANK_READ_ONLY, RANK_WRITABLE, /* the profile's and other keys' */
};

struct wish {
	char *path, *src, *opt;
	enum kind kind;
	enum rank rank;
	enum mount_op op; /* of KIND_MOUNT */
	unsigned flags;
	bool host;	/* content is that of the host at this path, whatever is mounted above */
	bool only_hidden; /* there only where it would be hidden */
	bool pin;	/* a mount of its own, so that it can be neither moved nor removed; no more than its parent allows */
	bool dropped;
	int order;
};

struct wishes {
	struct wish *v;
	int count;
	const struct blueprint *b;
	const struct sandbox_paths *p;
	unsigned idmap;	    /* of directories that are the session's own */
	unsigned cwd_idmap; /* of the project directory */
	char *bad;	    /* the first path with ".." in it */
};

/* path without double slashes, "." and a slash at the end; NULL when there is ".." in it. The caller frees it. */
char *path_simplified(const char *path);
/* A further wish; path need not be simple, and is NULL in it where it has "..", which is noted in w->bad. Valid until the next call. */
struct wish *wish_add(struct wishes *w, const char *path, enum kind kind, enum rank rank, unsigned flags);
/* Sort, and leave out what changes nothing. */
void wishes_decide(struct wishes *w);
/* The one that decides what is at path, once all is decided; NULL: none. */
const struct wish *wishes_found_at(const struct wishes *w, const char *path);
/* Move what is left to s, as operations. */
int wishes_emit(struct sandbox *s, struct wishes *w, struct err *e);
void wishes_free(struct wishes *w);

#endif
