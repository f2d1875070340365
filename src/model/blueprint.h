/* SPDX-License-Identifier: MIT */
/*
 * A blueprint: how an agent is run, as a unit file NAME.blueprint with drop-ins. The table of
 * directives (model/directive-table.h) gives the parser, the defaults, what is shown, the JSON
 * forms, the manual and the fuzzer's seeds. Pure: text in, struct out; finding and reading files is
 * aod's.
 *
 * A key whose row has DF_PLANNED is parsed, checked and shown, but has no effect yet.
 */
#ifndef AOD_MODEL_BLUEPRINT_H
#define AOD_MODEL_BLUEPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/specifier.h"

/* ---- the table ---- */

enum directive_type {
	DT_TEXT,        /* one text; when it is one quoted word, without its quotes */
	DT_COMMAND,     /* program and arguments; a later one replaces it */
	DT_WORDS,       /* list of words */
	DT_ENVIRONMENT, /* list of NAME=VALUE */
	DT_NAMES,       /* list of names of variables */
	DT_BOOL,
	DT_INT,   /* values: "MIN MAX" */
	DT_FLOAT, /* values: "MIN MAX" */
	DT_TIMESPAN,
	DT_SIZE,         /* bytes with K M G T (1024), or a percentage of the memory, or infinity */
	DT_COUNT,        /* a number, a percentage or infinity */
	DT_PERCENT,      /* 20%, also over 100% */
	DT_WEIGHT,       /* 1..10000, or idle where values says so */
	DT_CPUS,         /* 0-3,5 */
	DT_ENUM,         /* one of values */
	DT_ENUMS,        /* list of values */
	DT_STATUSES,     /* list of exit codes, signals, results */
	DT_CALENDAR,     /* list of lines; checked loosely: not empty, known characters */
	DT_PATH,         /* absolute */
	DT_FILE,         /* absolute, or relative to the directory of the blueprint's file */
	DT_FILES,        /* list of lines, each a DT_FILE, maybe with - in front */
	DT_PATHS,        /* list of absolute paths, - and + in front */
	DT_BINDS,        /* list of SOURCE[:DESTINATION[:OPTIONS]] */
	DT_TMPFS,        /* list of PATH[:OPTIONS] */
	DT_MODE,         /* octal */
	DT_RLIMIT,       /* VALUE or SOFT:HARD; values: the unit */
	DT_BANDWIDTH,    /* list of lines "PATH BYTES" */
	DT_USER,         /* name or number */
	DT_CAPABILITIES, /* list of CAP_*, ~ in front */
	DT_NAMESPACES,   /* yes, no, or list */
	DT_FAMILIES,     /* list of AF_*, ~ in front, none */
	DT_SYSCALLS,     /* yes, no, or list of names and @groups, ~ in front */
	DT_ERRNO,
	DT_CREDENTIALS, /* list of lines ID:PATH; values "text": ID:TEXT */
	DT_ASK_RULES,   /* list of lines "allow|deny TOOL[(PATTERN)]" */
	DT_MCP_SERVERS, /* list of lines "NAME COMMAND…" or "NAME URL" */
	DT_COUNT_OF_TYPES
};

#define DF_PLANNED 1u      /* checked now, takes effect in a later version */
#define DF_SPECIFIERS 2u   /* its values may have specifiers */

enum directive_id {
#define D(section, key, type, def, since, values, flags, doc) D_##key,
#include "model/directive-table.h"
	D_COUNT
};

struct directive {
	const char *section, *key;
	enum directive_type type;
	const char *def;    /* default, as text; "" = unset */
	const char *since;  /* version of aod */
	const char *values; /* see directive-table.h; may be NULL */
	unsigned flags;
	const char *doc;
};
extern const struct directive
	blueprint_directives[D_COUNT + 1]; /* indexed by enum directive_id; ends with a NULL key */

/* The id of a key, or -1; section NULL: of any (no key is in two). */
int directive_find(const char *section, const char *key);
/* The known key nearest to a wrong one, or NULL when none is near. */
const char *directive_nearest(const char *key);
/* Whether it is a list: repeated assignments add to it, an empty one begins anew. */
bool directive_is_list(const struct directive *d);
/* Whether each assignment of the list is one item (McpServer=), not several words. */
bool directive_is_lines(const struct directive *d);
/* "Takes …", for the manual. */
const char *directive_type_doc(enum directive_type t);
/* A value that d takes, for tests, fuzz seeds and examples; static. */
const char *directive_example(const struct directive *d);

/* ---- problems ---- */

#define BLUEPRINT_PROBLEMS_MAX 100
#define BLUEPRINT_ERRORS_STOP 1000

enum blueprint_severity { BP_ERROR, BP_WARNING };

struct blueprint_problem {
	char *file;       /* path as given; owned */
	int line, column; /* from 1, the column counts bytes; 0: the file as a whole */
	enum blueprint_severity severity;
	char text[256]; /* what is wrong, and what would be right */
};

/* In the order of the text. Zeroed before the first use; freed at the end, and may be used again
 * then. */
struct blueprint_problems {
	struct blueprint_problem *v;
	int count;            /* of v, at most BLUEPRINT_PROBLEMS_MAX */
	int errors, warnings; /* all that there were, also over the cap; a text with
				 BLUEPRINT_ERRORS_STOP of them is not read further */
};
#define BLUEPRINT_PROBLEMS_INIT                                                                    \
	{                                                                                          \
		NULL, 0, 0, 0                                                                      \
	}

void blueprint_problems_free(struct blueprint_problems *p);
/* One more, e.g. that a file cannot be read. */
void blueprint_problem_add(struct blueprint_problems *p, enum blueprint_severity severity,
			   const char *file, int line, int column, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* "file:line:column: text" without a newline; of a warning "file:line:column: warning: text". The
 * places that are 0 are left out. */
void blueprint_problem_format(struct buf *out, const struct blueprint_problem *p);
/* [{"file":…,"line":…,"column":…,"severity":"error"|"warning","text":…},…] */
void blueprint_problems_json(struct buf *out, const struct blueprint_problems *p);
/* The first error as a struct err with status 422: "file:line:column: text (and 3 further
 * problems)". Returns -EINVAL; 0 when there is no error. */
int blueprint_problems_err(const struct blueprint_problems *p, struct err *e);

/* ---- a blueprint ---- */

enum tristate { TRI_UNSET = -1, TRI_NO = 0, TRI_YES = 1 };

#define BLUEPRINT_LIST_MAX 4096 /* words of one list */

struct blueprint;

/* NAME, NAME@ or NAME@INSTANCE: [a-zA-Z0-9_-]{1,60}, and [a-zA-Z0-9_.:-]{0,60} behind the @. */
bool blueprint_name_ok(const char *name);
/* All defaults. name: the whole, with an instance ("task@one"); path: of the main file, may be
 * NULL. */
struct blueprint *blueprint_new(const char *name, const char *path);
void blueprint_free(struct blueprint *b);
/*
 * Parse text into b: the main file first, then each drop-in in order. Lists add up, an empty value
 * resets, other keys are replaced; a value that is wrong is left out. Returns the number of errors
 * in this text; all problems are added to p.
 */
int blueprint_add(struct blueprint *b, const char *path, const char *text, size_t n,
		  struct blueprint_problems *p);
/*
 * Warnings about settings that are known to break agents, about keys that contradict each other;
 * call it once all files are added. Returns how many.
 */
int blueprint_lint(const struct blueprint *b, struct blueprint_problems *p);

const char *blueprint_name(const struct blueprint *b);
const char *
blueprint_path(const struct blueprint *b); /* of the main file; NULL when there is none */
/* Whether a file sets it (to anything but empty). */
bool blueprint_is_set(const struct blueprint *b, enum directive_id id);
/* Where the value in effect was set: false when it is the default. Of a list the last assignment.
 */
bool blueprint_origin(const struct blueprint *b, enum directive_id id, const char **file,
		      int *line);

/* The effective value, or the default, of keys that are no list; NULL: unset. Valid as long as b.
 */
const char *blueprint_text(const struct blueprint *b, enum directive_id id);
/* Of lists and commands; NULL: unset, never empty. Line lists: one item for each line, unquoted as
 * text. */
char *const *blueprint_words(const struct blueprint *b, enum directive_id id);
int64_t blueprint_int(const struct blueprint *b,
		      enum directive_id id); /* DT_INT, DT_MODE; 0 when unset */
double blueprint_float(const struct blueprint *b,
		       enum directive_id id); /* DT_FLOAT, DT_PERCENT (20% is 0.2); 0 when unset */
int64_t blueprint_us(const struct blueprint *b,
		     enum directive_id id); /* INT64_MAX: infinity; -1: unset */
/* DT_SIZE, DT_COUNT. total: what a percentage is of. INT64_MAX: infinity; -1: unset */
int64_t blueprint_bytes(const struct blueprint *b, enum directive_id id, int64_t total);
/* DT_BOOL; of an enum or a list with yes and no, a value of another kind is TRI_YES. */
enum tristate blueprint_tri(const struct blueprint *b, enum directive_id id);

/*
 * A copy with all specifiers replaced; NULL when one cannot be, or when a value is not valid then,
 * with status 422 and the place in e.
 */
struct blueprint *blueprint_expand(const struct blueprint *b, const struct specifiers *v,
				   struct err *e);

/* ---- forms ---- */

/* `Key=value` lines under their [Section], which mean the same when they are read again. all: also
 * the keys that are unset, as "Key=". */
void blueprint_show(struct buf *out, const struct blueprint *b, bool all);
/* The lines of one key; `Key=` when it is unset. */
void blueprint_show_key(struct buf *out, const struct blueprint *b, enum directive_id id);
/* {"Section":{"Key":value}} of all that has a value: booleans, numbers, arrays, texts; sizes as
 * numbers unless per cent or infinity. */
void blueprint_settings_json(struct buf *out, const struct blueprint *b);
/*
 * The registry's wire object of old: name, description, system_prompt, mcp_servers, skills, status,
 * created_at, modified_at. system_prompt: the content of SystemPromptFile=, NULL: SystemPrompt= is
 * taken. mcp_servers_json: the content of McpConfigFile=, with or without its {"mcpServers":…}
 * around, or NULL; McpServer= is added to it. Times are written in local time without an offset, as
 * Python's isoformat() does.
 */
void blueprint_agent_json(struct buf *out, const struct blueprint *b, const char *system_prompt,
			  const char *mcp_servers_json, const char *status, int64_t created_us,
			  int64_t modified_us);
/* McpServer= and the content of McpConfigFile= (or NULL) as one {"mcpServers":{…}}. False, with out
 * untouched: there are none; or mcp_config is no JSON object, *bad then. */
bool blueprint_mcp_json(struct buf *out, const struct blueprint *b, const char *mcp_config,
			bool *bad);
/* JSON Schema 2020-12 of what blueprint_settings_json() writes. */
void blueprint_schema(struct buf *out);

#endif
