/* SPDX-License-Identifier: MIT */
/*
 * A blueprint: how an agent is run, as a unit file NAME.blueprint. One row of blueprint_directives[] per key gives the parser,
 * the default, `aoctl show` and the manual. Pure: text in, struct out; finding and reading files is aod's.
 */
#ifndef AOD_MODEL_BLUEPRINT_OLD_H
#define AOD_MODEL_BLUEPRINT_OLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum tristate { TRI_UNSET = -1, TRI_NO = 0, TRI_YES = 1 };

struct blueprint {
	char *name; /* file name without .blueprint */
	char *path;
	/* [Blueprint] */
	char *description;
	/* [Agent] */
	char *adapter;		 /* "claude" or "command" */
	char *model;
	char *system_prompt;
	char **allowed_tools, **disallowed_tools;
	char *permission_mode;
	int64_t max_turns;	 /* 0 = no limit */
	char *mcp_config_file;
	char **exec_start;	 /* program and arguments; claude adapter: the program to run instead of claude */
	char **environment;	 /* NAME=VALUE */
	char **pass_environment; /* NAME */
	char *working_directory;
	/* [Session] */
	int64_t timeout_stop_us, result_grace_us;
	/* [Sandbox] */
	enum tristate private_tmp; /* unset: yes for claude, no for command */
	enum tristate system_call_filter; /* the basic filter; default yes */
};

enum directive_type { DT_STRING, DT_WORDS, DT_STRV, DT_INT, DT_TIMESPAN, DT_TRISTATE, DT_ADAPTER };

struct directive {
	const char *section, *key;
	enum directive_type type;
	size_t offset;
	const char *def; /* default, as text; "" = unset */
	const char *doc;
};
extern const struct directive blueprint_directives[]; /* ends with a NULL key */

/* A problem with its place, for `file:line:column: text`. */
struct blueprint_problem {
	int line, column;
	char text[256];
};
#define BLUEPRINT_PROBLEMS_MAX 100

/* All defaults; free with blueprint_free(). */
struct blueprint *blueprint_new(const char *name, const char *path);
void blueprint_free(struct blueprint *b);
/*
 * Parse text into b. Problems (all of them, up to the cap) are stored in p[0..max), their number is returned; 0 = fine.
 * An unknown key or section says the nearest known one.
 */
int blueprint_parse(struct blueprint *b, const char *text, size_t n, struct blueprint_problem *p, int max);
/* Every directive as `Key=value` lines under its [Section] (the effective settings), and as a JSON object {"Section":{"Key":…}}. */
void blueprint_show(struct buf *out, const struct blueprint *b);
void blueprint_json(struct buf *out, const struct blueprint *b);

#endif
