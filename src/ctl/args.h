/* SPDX-License-Identifier: MIT */
/* The command line, parsed by the rows of table.h. Pure. */
#ifndef AOD_CTL_ARGS_H
#define AOD_CTL_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ctl/table.h"

#define CTL_WORDS_MAX 1024

struct ctl_args {
	enum ctl_cmd cmd;
	bool no_command;	       /* nothing but options was given */
	const char *value[OPT_COUNT];  /* NULL: not given; a switch is "" */
	const struct ctl_option *row[OPT_COUNT];
	const char *words[CTL_WORDS_MAX];
	int word_count;
	char *const *rest;	       /* what came after --, or NULL */
};

/*
 * Everything points into argv. -EINVAL with the reason when the command line is wrong; out->cmd is then CMD_COUNT as long as
 * the command was not known. The numbers of words are not checked when help is asked for.
 */
int ctl_parse(int argc, char *const *argv, struct ctl_args *out, struct err *e);

static inline bool
ctl_has(const struct ctl_args *a, enum ctl_opt id)
{
	return a->value[id] != NULL;
}

/* A number or a time span given with an option; def when it is not there. -EINVAL with the option's name. */
int ctl_int(const struct ctl_args *a, enum ctl_opt id, int64_t min, int64_t max, int64_t def, int64_t *out,
	    struct err *e);
int ctl_span(const struct ctl_args *a, enum ctl_opt id, int64_t def, int64_t *out_us, struct err *e);

/*
 * The options that set an argument of verb v by their row's `field`, as members of a JSON object ("a":1,"b":"x", without braces) or
 * as a query string (a=1&b=x). Appended, with the separator in front when out is not empty.
 */
void ctl_put_members(struct buf *out, const struct ctl_args *a, const struct verb *v);
void ctl_put_query(struct buf *out, const struct ctl_args *a, const struct verb *v);
/* One member or parameter by hand, in the same manner. */
void ctl_put_member_text(struct buf *out, const char *name, const char *value);
void ctl_put_param(struct buf *out, const char *name, const char *value);
void ctl_put_param_int(struct buf *out, const char *name, int64_t value);
/* Percent-encoded, for a piece of a path or of a query (RFC 3986: all but unreserved characters). */
void ctl_put_escaped(struct buf *out, const char *s);

#endif
