/* SPDX-License-Identifier: MIT */
/*
 * The table of what can be asked of aod: one row gives the HTTP route, the check of its arguments, the permission, the command of
 * aoctl, the OpenAPI document and the manual. Actions change something and are carried out by aod; queries are answered by aod-http.
 */
#ifndef AOD_MODEL_VERB_H
#define AOD_MODEL_VERB_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum verb_kind { VERB_ACTION, VERB_QUERY };
/* One that the caller's role has (permission.h) is enough. */
enum {
	PERM_READ = 1,
	PERM_WRITE = 2,
	PERM_EVENT = 4,
	PERM_ADMIN = 8,
	PERM_OWN = 16,	  /* also for a session's own token, where verb_session_arg() names its own session or one of its descendants */
	PERM_SHARED = 32, /* also for any session's token; the handler shows it less, or nothing of it is secret */
	PERM_OPEN = 64,	  /* for everybody */
};
enum { PORT_RUNTIME = 1, PORT_CONTEXT = 2, PORT_REGISTRY = 4, PORT_DASHBOARD = 8, PORT_ALL = 15 };

enum arg_type {
	ARG_STRING,  /* max: bytes */
	ARG_NAME,    /* ^[a-zA-Z0-9_-]{1,60}$ */
	ARG_INT,     /* min..max; in a query string also as text */
	ARG_BOOL,
	ARG_OBJECT,
	ARG_STRINGS, /* array of strings, not empty */
	ARG_ARRAY,
	ARG_ANY,
};
enum arg_place { IN_BODY, IN_QUERY, IN_PATH };

struct verb_arg {
	const char *name;
	enum arg_type type;
	enum arg_place place;
	bool required, nullable;
	int64_t min, max;
	const char *aliases; /* further names that are accepted, separated by blanks, or NULL */
	const char *doc;
};

#define VERB_ARGS_MAX 16
struct verb {
	const char *name;   /* "session.create" */
	enum verb_kind kind;
	const char *method; /* "POST" */
	const char *path;   /* "/sessions/{id}/stop" */
	unsigned ports;	    /* PORT_… bits where it is answered; the unix socket answers all of PORT_RUNTIME */
	unsigned perms;
	int success;	    /* HTTP status of success */
	const char *cli;    /* command of aoctl, or NULL */
	const char *summary;
	struct verb_arg args[VERB_ARGS_MAX]; /* ends with a NULL name */
};

extern const struct verb verbs[]; /* ends with a NULL name */
const struct verb *verb_find(const char *name);
#define VERB_PIECES 2 /* a path's {id}, and one thing of it, such as {n} */
struct verb_piece {
	const char *s; /* NULL: the path has none */
	unsigned long len;
};
/*
 * Match a request. On success the row, and what stands in the path for {…} (percent-decoding is the caller's) as pieces of path.
 * NULL: no such path (*allow = NULL), or the path is there with other methods (*allow = "GET, POST", static storage until the next call).
 */
const struct verb *verb_route(unsigned port, const char *method, const char *path, unsigned long path_len,
			      struct verb_piece pieces[VERB_PIECES], const char **allow);
/* The argument of that name in that place, or NULL. */
const struct verb_arg *verb_find_arg(const struct verb *v, enum arg_place place, const char *name);
/* The name of the second piece of a verb's path. */
const char *verb_second(const struct verb *v);

/*
 * Check the arguments of an action (args is the decoded body, may be NULL when there was none; in_place says which rows are looked at).
 * Aliases are renamed in place. Unknown keys are left alone, as the old API does, but in the query of an action that is no GET. Returns NULL when all is well, else a new array of
 * {"type","loc":["body","field"],"msg","input"} as in the old API (the caller puts it; the answer is 422 {"detail":[…]}).
 * Types: missing, string_type, int_type, int_parsing, bool_type, dict_type, list_type, string_too_short, string_too_long,
 * string_pattern_mismatch, greater_than_equal, less_than_equal, extra_forbidden.
 */
struct json_object *verb_check(const struct verb *v, enum arg_place place, struct json_object *args);

#endif
