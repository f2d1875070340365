/* SPDX-License-Identifier: MIT */
/*
 * Makes a manual page: copies a template (mdoc(7)) and puts what the tables say where a line is only @name@. Run at build
 * time: `gen-man aoctl.1.in >aoctl.1`. What it prints depends on the tables and the template alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "ctl/applet.h"
#include "ctl/table.h"
#include "model/blueprint.h"
#include "model/event.h"
#include "model/restart.h"
#include "model/sandbox.h"
#include "model/session.h"
#include "model/verb.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION ""
#endif

/* ---- escaping ------------------------------------------------------------------------------------------ */

/* One character outside of ASCII as roff's \[uXXXX]; returns its bytes. */
static size_t
put_unicode(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2, i;
	unsigned cp = p[0] & (0xffu >> (n + 1));

	for (i = 1; i < n && (p[i] & 0xc0) == 0x80; i++)
		cp = cp << 6 | (p[i] & 0x3f);
	printf("\\[u%04X]", cp);
	return i;
}

/* The characters of roff mean themselves. */
static void
put_chars(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if ((unsigned char)s[i] >= 0x80)
			i += put_unicode(s + i) - 1;
		else if (s[i] == '\\')
			fputs("\\e", stdout);
		else if (s[i] == '-')
			fputs("\\-", stdout);
		else if (s[i] == '"')
			fputs("\\(dq", stdout);
		else
			putchar(s[i]);
	}
}

/* A text line; sentences begin on lines of their own, as mdoc(7) asks. */
static void
put_text(const char *s)
{
	while (*s) {
		const char *end = strstr(s, ". ");
		/* After an abbreviation or in the middle of a name no sentence ends. */
		bool sentence = end && end[2] >= 'A' && end[2] <= 'Z';
		size_t n = sentence ? (size_t)(end + 1 - s) : strlen(s);

		fputs("\\&", stdout);
		put_chars(s, n);
		putchar('\n');
		s += sentence ? n + 1 : n;
	}
}

/* Words as arguments of a macro, each protected from being taken for a macro or for punctuation. */
static void
put_words(const char *s)
{
	while (*s) {
		size_t n = strcspn(s, " ");

		fputs(" \\&", stdout);
		put_chars(s, n);
		s += n;
		s += *s == ' ';
	}
}

/* ---- aoctl(1) ------------------------------------------------------------------------------------------ */

static void
put_option(const struct ctl_option *o)
{
	fputs(".It", stdout);
	if (o->letter)
		printf(" Fl %c ,", o->letter);
	printf(" Fl -%s", o->name);
	if (o->arg) {
		fputs(" Ar", stdout);
		put_words(o->arg);
	}
	putchar('\n');
	put_text(o->doc);
}

static void
put_commands(void)
{
	const struct ctl_option *o;
	int i;

	puts(".Bl -tag -width Ds");
	for (i = 0; i < CMD_COUNT; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		bool any = false;

		if (c->hidden)
			continue;
		printf(".It Ic %s", c->name);
		if (*c->words) {
			fputs(" No", stdout);
			put_words(c->words);
		}
		putchar('\n');
		put_text(ctl_summary((enum ctl_cmd)i));
		if (c->details)
			put_text(c->details);
		if (c->alias) {
			printf(".Ic %s\n", c->alias);
			puts("is the same.");
		}
		for (o = ctl_options; o->name; o++) {
			if (o->commands == CTL_EVERY || !(o->commands & (1ull << i)))
				continue;
			if (!any)
				puts(".Pp\n.Bl -tag -width Ds -compact");
			any = true;
			put_option(o);
		}
		if (any)
			puts(".El");
	}
	puts(".El");
}

static void
put_old_option(const struct applet_option *o)
{
	fputs(".It", stdout);
	if (o->letter)
		printf(" Fl %c ,", o->letter);
	printf(" Fl -%s", o->name);
	if (o->arg)
		printf(" Ar %s", o->arg);
	putchar('\n');
	put_text(o->doc);
	if (o->required)
		puts("It has to be given.");
}

/* The commands of old: those of documents, or the others. */
static void
put_old(bool doc)
{
	const struct applet_option *o;
	int i;

	puts(".Bl -tag -width Ds");
	for (i = 0; i < APPLET_COUNT; i++) {
		const struct applet *t = &applets[i];
		bool any = false;

		if (APPLET_IS_DOC(i) != doc)
			continue;
		printf(".It Ic \\&%s", t->name);
		if (t->word)
			printf(t->word_optional ? " Op Ar %s" : " Ar %s", t->word);
		putchar('\n');
		put_text(t->summary);
		if (t->details)
			put_text(t->details);
		if (t->later)
			printf(".Ic %s\nis its later name.\n", t->later);
		for (o = applet_options; o->name; o++) {
			if (o->applets == APPLET_EVERY || !applet_takes((enum applet_id)i, o))
				continue;
			if (!any)
				puts(".Pp\n.Bl -tag -width Ds -compact");
			any = true;
			put_old_option(o);
		}
		if (any)
			puts(".El");
	}
	puts(".El");
}

static void
put_old_sessions(void)
{
	put_old(false);
}

static void
put_documents(void)
{
	put_old(true);
}

static void
put_options(void)
{
	const struct ctl_option *o;

	puts(".Bl -tag -width Ds");
	for (o = ctl_options; o->name; o++)
		if (o->commands == CTL_EVERY)
			put_option(o);
	puts(".El");
}

static void
put_exits(void)
{
	const struct ctl_exit *x;

	puts(".Bl -tag -width 999");
	for (x = ctl_exits; x->doc; x++) {
		printf(".It %d\n", x->code);
		put_text(x->doc);
	}
	puts(".El");
}

/* ---- aod.blueprint(5) ---------------------------------------------------------------------------------- */

/* What it is when Sandbox= says a profile and the blueprint does not set it. */
static void
put_profiles(struct buf *b, enum directive_id id)
{
	const char *strict = sandbox_profile_value(SANDBOX_STRICT, id), *workspace = sandbox_profile_value(SANDBOX_WORKSPACE, id);

	if (strict && workspace && strcmp(strict, workspace) == 0)
		buf_printf(b, "With Sandbox=strict or workspace: %s. ", strict);
	else if (strict)
		buf_printf(b, "With Sandbox=strict: %s. ", strict);
	if (workspace && (!strict || strcmp(strict, workspace) != 0))
		buf_printf(b, "With Sandbox=workspace: %s. ", workspace);
}

/* What a value is, its words, its default, since when, and whether it has an effect. */
static void
put_directive(const struct directive *d)
{
	struct buf b = BUF_INIT;

	printf(".It Ic %s=\n", d->key);
	put_text(d->doc);
	buf_puts(&b, directive_type_doc(d->type));
	if (d->type == DT_ENUM || d->type == DT_ENUMS || d->type == DT_RLIMIT)
		buf_printf(&b, " %s.", d->values);
	else if (d->type == DT_INT || d->type == DT_FLOAT)
		buf_printf(&b, " From %.*s to %s.", (int)strcspn(d->values, " "), d->values, strchr(d->values, ' ') + 1);
	else if (d->type == DT_WEIGHT && d->values)
		buf_printf(&b, " Or %s.", d->values);
	put_text(b.data);
	buf_reset(&b);
	if (*d->def)
		buf_printf(&b, "Default: %s. ", d->def);
	put_profiles(&b, (enum directive_id)(d - blueprint_directives));
	if (d->flags & DF_SPECIFIERS)
		buf_puts(&b, "Specifiers are replaced. ");
	if (d->flags & DF_PLANNED)
		buf_puts(&b, "Checked now, takes effect in a later version. ");
	if (b.len > 0) {
		b.data[--b.len] = 0;
		put_text(b.data);
	}
	buf_free(&b);
}

static void
put_directives(void)
{
	const struct directive *d;
	const char *section = NULL;

	for (d = blueprint_directives; d->key; d++) {
		if (!section || strcmp(section, d->section) != 0) {
			if (section)
				puts(".El");
			section = d->section;
			printf(".Ss Section [%s]\n.Bl -tag -width Ds\n", section);
		}
		put_directive(d);
	}
	puts(".El");
}

static void
put_specifiers(void)
{
	const struct specifier *s;

	puts(".Bl -tag -width Ds");
	for (s = specifier_table; s->letter; s++) {
		printf(".It Li \\&%%%c\n", s->letter);
		put_text(s->doc);
	}
	puts(".El");
}

/* ---- aod-api(7) ---------------------------------------------------------------------------------------- */

static const char *const arg_types[] = {
	[ARG_STRING] = "string",
	[ARG_NAME] = "name",
	[ARG_INT] = "integer",
	[ARG_BOOL] = "boolean",
	[ARG_OBJECT] = "object",
	[ARG_STRINGS] = "array of strings",
	[ARG_ARRAY] = "array",
	[ARG_ANY] = "any value",
};
static const char *const arg_places[] = { [IN_BODY] = "body", [IN_QUERY] = "query", [IN_PATH] = "path" };

/* "body, string of 1 to 60 bytes, required" */
static void
put_arg(const struct verb_arg *a)
{
	struct buf b = BUF_INIT;

	printf(".It Va %s\n", a->name);
	buf_printf(&b, "(%s, %s", arg_places[a->place], arg_types[a->type]);
	if (a->type == ARG_INT && (a->min > INT32_MIN || a->max < INT32_MAX)) {
		buf_printf(&b, " from %" PRId64, a->min);
		if (a->max < INT64_MAX)
			buf_printf(&b, " to %" PRId64, a->max);
	} else if ((a->type == ARG_STRING || a->type == ARG_NAME) && a->max) {
		buf_printf(&b, " of at most %" PRId64 " bytes", a->max);
	}
	if (a->required)
		buf_puts(&b, ", required");
	buf_printf(&b, ") %s.", a->doc);
	if (a->aliases)
		buf_printf(&b, " Also accepted as: %s.", a->aliases);
	put_text(b.data);
	buf_free(&b);
}

static void
put_verb(const struct verb *v)
{
	static const struct {
		unsigned bit;
		const char *name;
	} perms[] = { { PERM_READ, "read" }, { PERM_WRITE, "write" }, { PERM_EVENT, "event" }, { PERM_ADMIN, "admin" },
		    { PERM_OWN, "own session" }, { PERM_SHARED, "session" }, { PERM_OPEN, "everybody" } };
	size_t i;
	int n = 0;

	printf(".It Xo\n.Ic %s\n.Pa", v->method);
	put_words(v->path);
	puts("\n.Xc");
	put_text(v->summary);
	printf("Verb:\n.Li %s .\n", v->name);
	printf("Permission:");
	for (i = 0; i < ARRAY_LEN(perms); i++)
		if (v->perms & perms[i].bit)
			printf("%s %s", n++ ? "," : "", perms[i].name);
	puts(".");
	if (v->cli)
		printf("Command:\n.Nm aoctl Cm %s .\n", v->cli);
	if (!v->args[0].name)
		return;
	puts(".Pp\n.Bl -tag -width Ds -compact");
	for (i = 0; i < VERB_ARGS_MAX && v->args[i].name; i++)
		put_arg(&v->args[i]);
	puts(".El");
}

static void
put_verbs(void)
{
	const struct verb *v;

	puts(".Bl -tag -width Ds");
	for (v = verbs; v->name; v++)
		put_verb(v);
	puts(".El");
}

static void
put_events(void)
{
	const struct event_type *t;

	puts(".Bl -tag -width permission_request");
	for (t = event_types; t->name; t++) {
		printf(".It Li %s\n", t->name);
		put_text(t->doc);
	}
	puts(".El");
}

static void
put_outcomes(void)
{
	int i;

	puts(".Bl -tag -width start-limit-hit");
	for (i = OUTCOME_NONE + 1; i < OUTCOME_COUNT; i++) {
		fputs(".It Li", stdout);
		put_words(outcome_name((enum outcome)i));
		putchar('\n');
		put_text(outcome_doc((enum outcome)i));
	}
	puts(".El");
}

/* Which result is followed by a restart under which Restart=. */
static void
put_restarts(void)
{
	puts(".Bl -column -offset indent start-limit-hit \"always, on-success, on-failure\"\n.It Sy result Ta Sy Restart=");
	for (int o = OUTCOME_NONE + 1; o < OUTCOME_COUNT; o++) {
		const char *sep = "";

		printf(".It Li %s Ta ", outcome_name((enum outcome)o));
		for (int r = 0; r < RESTART_COUNT; r++)
			if (restart_after((enum restart)r, (enum outcome)o)) {
				printf("%s%s", sep, restart_name((enum restart)r));
				sep = ", ";
			}
		puts(*sep ? "" : restart_never((enum outcome)o) ? "never" : "only RestartForceExitStatus=");
	}
	puts(".El");
}

/* The states with their words in `status`, and the table of moves. */
static void
put_states(void)
{
	struct buf b = BUF_INIT;
	char *line, *next;
	int i;

	puts(".Bl -column -offset indent stopping running\n.It Sy state Ta Sy status");
	for (i = 0; i < SESSION_STATE_COUNT; i++)
		printf(".It Li %s Ta Li %s\n", session_state_name((enum session_state)i),
		       session_state_status((enum session_state)i));
	puts(".El\n.Pp\nWhat moves a session from one state to another, and what is done then:\n.Bd -literal -offset indent");
	session_moves_print(&b);
	for (line = b.data; line && *line; line = next) {
		next = strchr(line, '\n');
		fputs("\\&", stdout);
		put_chars(line, next ? (size_t)(next - line) : strlen(line));
		putchar('\n');
		next = next ? next + 1 : line + strlen(line);
	}
	puts(".Ed");
	buf_free(&b);
}

/* ---- templates ----------------------------------------------------------------------------------------- */

static void
put_version(void)
{
	puts(".Os aod " PACKAGE_VERSION);
}

static const struct part {
	const char *name;
	void (*put)(void);
} parts[] = {
	{ "@version@", put_version }, { "@commands@", put_commands }, { "@options@", put_options },
	{ "@old@", put_old_sessions }, { "@documents@", put_documents }, { "@exits@", put_exits },     { "@directives@", put_directives }, { "@specifiers@", put_specifiers }, { "@verbs@", put_verbs },
	{ "@events@", put_events },   { "@outcomes@", put_outcomes }, { "@states@", put_states },
	{ "@restarts@", put_restarts },
};

static int
put_line(const char *path, int n, char *line)
{
	size_t i, len = strcspn(line, "\n");

	line[len] = 0;
	if (len < 3 || line[0] != '@' || line[len - 1] != '@') {
		puts(line);
		return 0;
	}
	for (i = 0; i < ARRAY_LEN(parts); i++)
		if (!strcmp(line, parts[i].name)) {
			parts[i].put();
			return 0;
		}
	fprintf(stderr, "gen-man: %s:%d: there is no %s\n", path, n, line);
	return 1;
}

int
main(int argc, char **argv)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	int n = 0, bad = 0;
	FILE *f;

	if (argc != 2) {
		fputs("usage: gen-man TEMPLATE >PAGE\n", stderr);
		return 2;
	}
	f = fopen(argv[1], "re");
	if (!f) {
		perror(argv[1]);
		return 1;
	}
	while (!bad && getline(&line, &size, f) >= 0)
		bad = put_line(argv[1], ++n, line);
	bad = bad || ferror(f);
	fclose(f);
	if (fflush(stdout) || ferror(stdout)) {
		perror("gen-man: standard output");
		bad = 1;
	}
	return bad;
}
