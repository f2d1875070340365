/* SPDX-License-Identifier: MIT */
/*
 * What can be typed: one row per command and one per option. The parser, the help, the completion and aoctl(1) come
 * from them. A command that is a row of the verb table (verb.cli) takes its name, and unless it says something else its
 * summary, from there; an option that sets an argument of that verb names it in `field`. Pure; handlers are in main.c.
 */
#ifndef AOD_CTL_TABLE_H
#define AOD_CTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/verb.h"

enum ctl_cmd {
	CMD_RUN,
	CMD_RESUME,
	CMD_INTERRUPT,
	CMD_PROMPTS,
	CMD_STOP,
	CMD_RESTART,
	CMD_RESET_FAILED,
	CMD_FREEZE,
	CMD_THAW,
	CMD_SET_PROPERTY,
	CMD_USAGE,
	CMD_SLICES,
	CMD_LIST_TIMERS,
	CMD_QUEUE,
	CMD_COST,
	CMD_QUESTIONS,
	CMD_ANSWER,
	CMD_LIST,
	CMD_STATUS,
	CMD_LOGS,
	CMD_RESULT,
	CMD_WAIT,
	CMD_DELETE,
	CMD_SHOW,
	CMD_PLAN,
	CMD_BLUEPRINTS,
	CMD_CAT,
	CMD_EDIT,
	CMD_ENABLE,
	CMD_DISABLE,
	CMD_MASK,
	CMD_UNMASK,
	CMD_VERIFY,
	CMD_HISTORY,
	CMD_DIFF,
	CMD_REVERT,
	CMD_IMPORT,
	CMD_SECURITY,
	CMD_DOC,
	CMD_TOKEN,
	CMD_AUDIT,
	CMD_DOCTOR,
	CMD_HELP,
	CMD_VERSION,
	CMD_COMPLETE, /* hidden: words for the shell's completion */
	CMD_COUNT,
};

enum ctl_opt {
	OPT_URL,
	OPT_SOCKET,
	OPT_ROOT,
	OPT_TOKEN,
	OPT_CACERT,
	OPT_JSON,
	OPT_NO_COLOR,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION,
	OPT_PROMPT,
	OPT_AGENT,
	OPT_PROJECT_DIR,
	OPT_DETACH,
	OPT_QUEUE,
	OPT_CLEAR,
	OPT_CANCEL,
	OPT_TIMEOUT,
	OPT_NO_WAIT,
	OPT_LIVE,
	OPT_ENDED,
	OPT_STATE,
	OPT_RESULT,
	OPT_LINES,
	OPT_FOLLOW,
	OPT_AFTER,
	OPT_OUTPUT,
	OPT_FULL,
	OPT_ALL,
	OPT_FORCE,
	OPT_PROPERTY,
	OPT_RUN,
	OPT_BLUEPRINT,
	OPT_WHOLE,
	OPT_DROP_IN,
	OPT_NEW,
	OPT_STDIN,
	OPT_STRICT,
	OPT_DRY_RUN,
	OPT_ROLE,
	OPT_EXPIRES,
	OPT_SESSION,
	OPT_FILES,
	OPT_AT,
	OPT_THRESHOLD,
	OPT_TREE,
	OPT_PARENT,
	OPT_CALLBACK,
	OPT_STOP_WITH_PARENT,
	OPT_PRIORITY,
	OPT_DAYS,
	OPT_TEXT,
	OPT_COUNT,
};

struct ctl_command {
	const char *name;
	const char *alias;     /* a second name, or NULL */
	const char *words;     /* synopsis of what is not an option */
	int min_words, max_words; /* max_words < 0: any number */
	bool takes_rest;       /* `-- COMMAND ARGS…`; with max_words 0: all that comes after the command's name, options as well */
	bool hidden;
	const char *summary;   /* NULL: the verb's */
	const char *details;   /* a paragraph for the help and the manual, or NULL */
};

#define CTL_EVERY (~0ull) /* commands: a global option */
_Static_assert(CMD_COUNT <= 64, "ctl_option.commands has a bit for each command");

struct ctl_option {
	enum ctl_opt id;
	char letter;	      /* or 0 */
	const char *name;
	const char *arg;      /* name of its argument; NULL: a switch */
	const char *field;    /* argument of the command's verb that it sets as it stands, or NULL */
	uint64_t commands;    /* 1 << CMD_… */
	const char *doc;
};

struct ctl_exit {
	int code;
	const char *doc;
};

extern const struct ctl_command ctl_commands[CMD_COUNT];
extern const struct ctl_option ctl_options[]; /* ends with a NULL name */
extern const struct ctl_exit ctl_exits[];     /* ends with a NULL doc */

/* The row of the verb table for a command, or NULL. */
const struct verb *ctl_verb(enum ctl_cmd cmd);
const char *ctl_summary(enum ctl_cmd cmd);
/* By name or alias; -1 = unknown. */
int ctl_command_find(const char *name);
/* The nearest command or option (of a command; CMD_COUNT: global ones) for "did you mean", or NULL. */
const char *ctl_command_near(const char *name);
const char *ctl_option_near(enum ctl_cmd cmd, const char *name);

enum {
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_NO_SESSION = 4,
	EXIT_NO_AOD = 69, /* EX_UNAVAILABLE of sysexits.h */
	EXIT_TIMED_OUT = 124,
	EXIT_INTERRUPTED = 130,
};

#endif
