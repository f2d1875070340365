/* SPDX-License-Identifier: MIT */
/* The command line. See args.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/args.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"

static bool
applies(const struct ctl_option *o, const struct ctl_args *a)
{
	if (o->commands == CTL_EVERY)
		return true;
	return a->cmd < CMD_COUNT && o->commands & (1ull << a->cmd);
}

static int
unknown_option(const struct ctl_args *a, const char *dashes, const char *name, struct err *e)
{
	const char *near = dashes[1] ? ctl_option_near(a->cmd, name) : NULL;
	const char *where = a->cmd < CMD_COUNT ? ctl_commands[a->cmd].name : NULL;

	if (near)
		return err_set(e, -EINVAL, "unknown option %s%s; did you mean --%s?", dashes, name, near);
	if (where)
		return err_set(e, -EINVAL, "unknown option %s%s; aoctl help %s lists the options", dashes, name, where);
	return err_set(e, -EINVAL, "unknown option %s%s before the command; aoctl help lists the options", dashes, name);
}

static void
store(struct ctl_args *a, const struct ctl_option *o, const char *value)
{
	a->value[o->id] = value;
	a->row[o->id] = o;
}

/* argv[i] begins with "--". Returns how many further words it took, or -EINVAL. */
static int
parse_long(struct ctl_args *a, const char *word, const char *next, struct err *e)
{
	const char *name = word + 2, *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	CLEANUP_FREE char *typed = xstrndup(name, n);
	const struct ctl_option *o;

	for (o = ctl_options; o->name; o++)
		if (applies(o, a) && !strcmp(o->name, typed))
			break;
	if (!o->name)
		return unknown_option(a, "--", typed, e);
	if (!o->arg) {
		if (eq)
			return err_set(e, -EINVAL, "option --%s takes no argument", o->name);
		store(a, o, "");
		return 0;
	}
	if (eq) {
		store(a, o, eq + 1);
		return 0;
	}
	if (!next)
		return err_set(e, -EINVAL, "option --%s needs an argument: %s", o->name, o->arg);
	store(a, o, next);
	return 1;
}

static int
parse_short(struct ctl_args *a, const char *word, const char *next, struct err *e)
{
	const struct ctl_option *o;
	const char *p;

	for (p = word + 1; *p; p++) {
		for (o = ctl_options; o->name; o++)
			if (o->letter == *p && applies(o, a))
				break;
		if (!o->name)
			return unknown_option(a, "-", (char[]){ *p, 0 }, e);
		if (!o->arg) {
			store(a, o, "");
			continue;
		}
		if (p[1]) {
			store(a, o, p + 1);
			return 0;
		}
		if (!next)
			return err_set(e, -EINVAL, "option -%c needs an argument: %s", o->letter, o->arg);
		store(a, o, next);
		return 1;
	}
	return 0;
}

static int
take_word(struct ctl_args *a, const char *word, struct err *e)
{
	const char *near;
	int cmd;

	if (a->cmd < CMD_COUNT) {
		if (a->word_count == CTL_WORDS_MAX)
			return err_set(e, -EINVAL, "more than %d words", CTL_WORDS_MAX);
		a->words[a->word_count++] = word;
		return 0;
	}
	cmd = ctl_command_find(word);
	if (cmd >= 0) {
		a->cmd = (enum ctl_cmd)cmd;
		return 0;
	}
	near = ctl_command_near(word);
	if (near)
		return err_set(e, -EINVAL, "unknown command \"%s\"; did you mean %s?", word, near);
	return err_set(e, -EINVAL, "unknown command \"%s\"; aoctl help lists the commands", word);
}

static int
check_words(const struct ctl_args *a, struct err *e)
{
	const struct ctl_command *c = &ctl_commands[a->cmd];

	if (a->rest && !c->takes_rest)
		return err_set(e, -EINVAL, "%s takes nothing after --", c->name);
	if (a->word_count < c->min_words)
		return err_set(e, -EINVAL, "%s: missing argument; usage: aoctl %s %s", c->name, c->name,
			       c->words);
	if (c->max_words >= 0 && a->word_count > c->max_words)
		return err_set(e, -EINVAL, "%s: unexpected argument \"%s\"; usage: aoctl %s%s%s%s", c->name,
			       a->words[c->max_words], c->name, *c->words ? " " : "", c->words,
			       c->takes_rest ? " (a command goes after --)" : "");
	for (int i = 0; i < a->word_count; i++)
		if (!*a->words[i])
			return err_set(e, -EINVAL, "%s: an argument is empty; usage: aoctl %s %s", c->name, c->name, c->words);
	return 0;
}

int
ctl_parse(int argc, char *const *argv, struct ctl_args *out, struct err *e)
{
	int i, r;

	memset(out, 0, sizeof(*out));
	out->cmd = CMD_COUNT;
	for (i = 1; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(word, "--")) {
			if (out->cmd == CMD_COUNT)
				return err_set(e, -EINVAL, "-- before the command");
			/* Commands that run nothing know -- as the end of the options only. */
			if (ctl_commands[out->cmd].takes_rest) {
				out->rest = argv + i + 1;
				break;
			}
			while (++i < argc)
				if ((r = take_word(out, argv[i], e)) < 0)
					return r;
			break;
		}
		if (str_starts(word, "--"))
			r = parse_long(out, word, next, e);
		else if (word[0] == '-' && word[1])
			r = parse_short(out, word, next, e);
		else
			r = take_word(out, word, e);
		if (r < 0)
			return r;
		i += r;
		if (out->cmd < CMD_COUNT && ctl_commands[out->cmd].takes_rest && !ctl_commands[out->cmd].max_words) {
			out->rest = argv + i + 1;
			return 0;
		}
	}
	if (out->cmd == CMD_COUNT) {
		out->no_command = true;
		out->cmd = ctl_has(out, OPT_VERSION) ? CMD_VERSION : CMD_HELP;
		return 0;
	}
	if (out->rest && !*out->rest)
		return err_set(e, -EINVAL, "%s: no command after --", ctl_commands[out->cmd].name);
	if (ctl_has(out, OPT_HELP) || ctl_has(out, OPT_VERSION))
		return 0;
	return check_words(out, e);
}

static int
bad_value(const struct ctl_args *a, enum ctl_opt id, const char *want, struct err *e)
{
	return err_set(e, -EINVAL, "option --%s: \"%s\" is not %s", a->row[id]->name, a->value[id], want);
}

int
ctl_int(const struct ctl_args *a, enum ctl_opt id, int64_t min, int64_t max, int64_t def, int64_t *out, struct err *e)
{
	*out = def;
	if (!a->value[id] || parse_i64(a->value[id], min, max, out))
		return 0;
	if (max == INT64_MAX) {
		CLEANUP_FREE char *want = xasprintf("a number of at least %" PRId64, min);

		return bad_value(a, id, want, e);
	}
	CLEANUP_FREE char *want = xasprintf("a number from %" PRId64 " to %" PRId64, min, max);

	return bad_value(a, id, want, e);
}

int
ctl_span(const struct ctl_args *a, enum ctl_opt id, int64_t def, int64_t *out_us, struct err *e)
{
	*out_us = def;
	if (!a->value[id] || parse_timespan(a->value[id], out_us))
		return 0;
	return bad_value(a, id, "a time such as 5, 90s, 2min or 1h", e);
}

static const struct verb_arg *
field_arg(const struct verb *v, const char *field)
{
	const struct verb_arg *arg;

	for (arg = v->args; arg < v->args + VERB_ARGS_MAX && arg->name; arg++)
		if (!strcmp(arg->name, field))
			return arg;
	return NULL;
}

static void
put_member_name(struct buf *out, const char *name)
{
	if (out->len)
		buf_putc(out, ',');
	buf_put_json_str(out, name);
	buf_putc(out, ':');
}

void
ctl_put_member_text(struct buf *out, const char *name, const char *value)
{
	put_member_name(out, name);
	buf_put_json_str(out, value);
}

void
ctl_put_members(struct buf *out, const struct ctl_args *a, const struct verb *v)
{
	int i;

	for (i = 0; i < OPT_COUNT; i++) {
		const char *field = a->value[i] ? a->row[i]->field : NULL;
		const struct verb_arg *arg = field ? field_arg(v, field) : NULL;

		/* Strings, and numbers, which the command has checked; what has another type on the wire is computed by its command. */
		if (arg && arg->place == IN_BODY && arg->type == ARG_INT) {
			put_member_name(out, field);
			buf_puts(out, a->value[i]);
		} else if (arg && arg->place == IN_BODY) {
			ctl_put_member_text(out, field, a->value[i]);
		}
	}
}

void
ctl_put_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x80 && (isalnum(c) || strchr("-_.~", c)))
			buf_putc(out, *s);
		else
			buf_printf(out, "%%%02X", c);
	}
}

void
ctl_put_param(struct buf *out, const char *name, const char *value)
{
	if (out->len)
		buf_putc(out, '&');
	buf_puts(out, name);
	buf_putc(out, '=');
	ctl_put_escaped(out, value);
}

void
ctl_put_param_int(struct buf *out, const char *name, int64_t value)
{
	if (out->len)
		buf_putc(out, '&');
	buf_puts(out, name);
	buf_putc(out, '=');
	buf_put_int(out, value);
}

void
ctl_put_query(struct buf *out, const struct ctl_args *a, const struct verb *v)
{
	int i;

	for (i = 0; i < OPT_COUNT; i++) {
		const char *field = a->value[i] ? a->row[i]->field : NULL;
		const struct verb_arg *arg = field ? field_arg(v, field) : NULL;

		if (arg && arg->place == IN_QUERY)
			ctl_put_param(out, field, a->value[i]);
	}
}
