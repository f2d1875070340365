/* SPDX-License-Identifier: MIT */
/*
 * What is said to an agent that asks whether it may use a tool: by a rule of its blueprint, or, when a person had time to and did not, by its
 * default. A rule is a line "allow|deny TOOL[(PATTERN)]", as Claude Code writes its own permissions: TOOL is a name, in which * stands
 * for anything, and PATTERN is held against the tool's main argument. The first that matches is the answer. Pure.
 *
 * A pattern that allows is narrow: of a shell command, * stands for nothing that begins a further command, and a path with .. in it, or an address that
 * could be read in two ways, is matched by none. One that denies is wide.
 */
#ifndef AOD_MODEL_ASK_H
#define AOD_MODEL_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json_object;

struct ask_policy {
	int64_t timeout_us; /* that a person has to answer; 0: none, INT64_MAX: all the time in the world */
	bool allow;	    /* what is said then */
	char **rules;	    /* in order; a strv, or NULL */
};
void ask_policy_copy(struct ask_policy *dst, const struct ask_policy *src);
void ask_policy_done(struct ask_policy *p);
/* As JSON, and back: what is missing there asks nobody, and denies. */
void ask_policy_json(struct buf *out, const struct ask_policy *p);
void ask_policy_parse(struct ask_policy *p, struct json_object *o);

/* What is the matter with a rule; NULL: nothing. */
const char *ask_rule_check(const char *rule);

enum ask_verdict { ASK_PERSON, ASK_ALLOW, ASK_DENY };
/* input: of the tool; may be NULL. *rule: the one that said so, or NULL. */
enum ask_verdict ask_judge(const struct ask_policy *p, const char *tool, struct json_object *input, const char **rule);

#endif
