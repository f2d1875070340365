/* SPDX-License-Identifier: MIT */
/* Specifiers in the values of blueprints: %i, %h and so on, as in systemd.unit(5), with what
 * sessions need beside them. Pure. */
#ifndef AOD_MODEL_SPECIFIER_H
#define AOD_MODEL_SPECIFIER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* What they stand for; all borrowed. A text that is NULL cannot be asked for: its specifier is an
 * error then. */
struct specifiers {
	const char *name; /* of the blueprint, with its instance: %n (with .blueprint), %N, %p, %i,
			     %I come from it */
	const char *run_dir;     /* %t */
	const char *state_dir;   /* %S */
	const char *cache_dir;   /* %C */
	const char *home;        /* %h, of the user the agent runs as */
	const char *user;        /* %u */
	const char *uid;         /* %U */
	const char *host;        /* %H */
	const char *session;     /* %s, its name */
	const char *session_id;  /* %e */
	const char *project_dir; /* %d, where it runs */
	const char *session_dir; /* %D, private to it */
};

struct specifier {
	char letter;
	const char *doc;
};
extern const struct specifier specifier_table[]; /* ends with the letter 0 */

/*
 * Whether every % in s is followed by a specifier's letter or another %. -1 when it is, else the
 * offset of the first bad % (the next character, maybe the end of the text, says what is wrong).
 */
long specifier_check(const char *s);
/* s with its specifiers replaced, appended to out. -EINVAL for an unknown one or one that v has no
 * text for. */
int specifier_expand(struct buf *out, const char *s, const struct specifiers *v, struct err *e);
/* Literal text as a value that has specifiers: each % becomes %%; and back (%% becomes %, all else
 * stays as it is). */
void specifier_escape(struct buf *out, const char *text);
void specifier_unescape(struct buf *out, const char *value);

#endif
