/* SPDX-License-Identifier: MIT */
/*
 * aoctl: the command line of aod. Under the name of a command of old it is that one (applet.h); as aoctl it parses its command line by the
 * tables of table.h and calls the command's handler.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "ctl/applet.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "model/blueprint.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "(unknown version)"
#endif

static int cmd_doc(struct ctl *c);

static const struct handler {
	int (*run)(struct ctl *c);
	bool alone; /* needs no server */
} handlers[CMD_COUNT] = {
	[CMD_RUN] = { cmd_run, false },	      [CMD_RESUME] = { cmd_resume, false },   [CMD_STOP] = { cmd_stop, false },
	[CMD_LIST] = { cmd_list, false },     [CMD_STATUS] = { cmd_status, false },   [CMD_LOGS] = { cmd_logs, false },
	[CMD_RESULT] = { cmd_result, false }, [CMD_WAIT] = { cmd_wait, false },	      [CMD_DELETE] = { cmd_delete, false },
	[CMD_SHOW] = { cmd_show, false },     [CMD_PLAN] = { cmd_plan, false },	      [CMD_DOCTOR] = { cmd_doctor, false },
	[CMD_BLUEPRINTS] = { cmd_blueprints, false }, [CMD_SECURITY] = { cmd_security, false },
	[CMD_CAT] = { cmd_cat, false },	      [CMD_EDIT] = { cmd_edit, false },	     [CMD_ENABLE] = { cmd_enable, false },
	[CMD_DISABLE] = { cmd_disable, false }, [CMD_MASK] = { cmd_mask, false },    [CMD_UNMASK] = { cmd_unmask, false },
	[CMD_VERIFY] = { cmd_verify, true },  [CMD_HISTORY] = { cmd_history, false }, [CMD_DIFF] = { cmd_diff, false },
	[CMD_DOC] = { cmd_doc, true },	      [CMD_TOKEN] = { cmd_token, false },	      [CMD_AUDIT] = { cmd_audit, false },
	[CMD_REVERT] = { cmd_revert, false }, [CMD_IMPORT] = { cmd_import, false },
	[CMD_RESTART] = { cmd_restart, false }, [CMD_RESET_FAILED] = { cmd_reset_failed, false },
	[CMD_FREEZE] = { cmd_freeze, false }, [CMD_THAW] = { cmd_thaw, false },	      [CMD_SET_PROPERTY] = { cmd_set_property, false },
	[CMD_USAGE] = { cmd_usage, false },   [CMD_SLICES] = { cmd_slices, false },
	[CMD_LIST_TIMERS] = { cmd_list_timers, false }, [CMD_QUEUE] = { cmd_queue, false },   [CMD_COST] = { cmd_cost, false },
	[CMD_INTERRUPT] = { cmd_interrupt, false }, [CMD_PROMPTS] = { cmd_prompts, false },
	[CMD_QUESTIONS] = { cmd_questions, false }, [CMD_ANSWER] = { cmd_answer, false },
	[CMD_HELP] = { cmd_help, true },      [CMD_VERSION] = { cmd_version, true },  [CMD_COMPLETE] = { cmd_complete, true },
};

/* ---- help ---------------------------------------------------------------------------------------------- */

/* Words of s from column `indent` on, lines of at most 100 columns; the cursor stands at `column`. */
static void
print_wrapped(const char *s, int column, int indent)
{
	int width = look_out.width && look_out.width < 100 ? look_out.width : 100;

	while (*s) {
		int word = (int)strcspn(s, " ");

		if (column > indent && column + 1 + word > width) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", word, s);
		column += word;
		s += word + (s[word] == ' ');
	}
	putchar('\n');
}

static void
print_option(const struct ctl_option *o)
{
	char letter[8] = "    ";
	int n;

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	n = printf("  %s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	printf("%*s", n < 28 ? 28 - n : 2, "");
	print_wrapped(o->doc, 28, 28);
}

static void
print_options(enum ctl_cmd cmd)
{
	const struct ctl_option *o;
	bool any = false;

	for (o = ctl_options; cmd < CMD_COUNT && o->name; o++) {
		if (o->commands == CTL_EVERY || !(o->commands & (1ull << cmd)))
			continue;
		if (!any)
			puts("\nOptions:");
		any = true;
		print_option(o);
	}
	puts("\nOptions of every command:");
	for (o = ctl_options; o->name; o++)
		if (o->commands == CTL_EVERY)
			print_option(o);
}

static void
print_command_help(enum ctl_cmd cmd)
{
	const struct ctl_command *k = &ctl_commands[cmd];

	printf("Usage: aoctl %s [OPTION...]%s%s\n", k->name, *k->words ? " " : "", k->words);
	if (k->alias)
		printf("       aoctl %s is the same.\n", k->alias);
	putchar('\n');
	print_wrapped(ctl_summary(cmd), 0, 0);
	if (k->details)
		print_wrapped(k->details, 0, 0);
	print_options(cmd);
}

static void
print_help(void)
{
	int i;

	puts("Usage: aoctl [OPTION...] COMMAND [ARGUMENT...]\n\nStart, watch and stop sessions of AI agents under aod.\n\nCommands:");
	for (i = 0; i < CMD_COUNT; i++) {
		if (ctl_commands[i].hidden)
			continue;
		printf("  %-13s", ctl_commands[i].name);
		print_wrapped(ctl_summary((enum ctl_cmd)i), 15, 15);
	}
	print_options(CMD_COUNT);
	puts("\nWithout --url, --socket or --root aod is found by AOD_URL, AOD_SOCKET, or at\n"
	     "/run/aod/aod.sock or $XDG_RUNTIME_DIR/aod/aod.sock.\n"
	     "aoctl help COMMAND says more; so does aoctl(1).");
}

int
cmd_help(struct ctl *c)
{
	struct err e = { 0 };
	const char *word = c->args.word_count ? c->args.words[0] : NULL, *near;
	int cmd;

	if (!word) {
		print_help();
		return 0;
	}
	cmd = ctl_command_find(word);
	if (cmd >= 0) {
		print_command_help((enum ctl_cmd)cmd);
		return 0;
	}
	near = ctl_command_near(word);
	err_set(&e, -EINVAL, "unknown command \"%s\"%s%s%s", word, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return ctl_usage(&e);
}

int
cmd_version(struct ctl *c)
{
	if (ctl_json(c))
		puts("{\"version\":\"" PACKAGE_VERSION "\"}");
	else
		puts("aoctl " PACKAGE_VERSION);
	return 0;
}

/* The commands of old, or the options of one. */
static int
complete_old(const char *name)
{
	const struct applet_option *o;
	bool later;
	int i, id = name ? applet_find(name, &later) : -1;

	for (i = 0; !name && i < APPLET_COUNT; i++) {
		puts(applets[i].name);
		if (applets[i].later)
			puts(applets[i].later);
	}
	for (o = applet_options; id >= 0 && o->name; o++)
		if (applet_takes((enum applet_id)id, o))
			printf("--%s%s\n", o->name, o->arg ? "=" : "");
	return id >= 0 || !name ? 0 : 1;
}

/* For the shell's completion: the commands, the options of one, (keys) the keys of blueprints, or (old) the commands of old. */
int
cmd_complete(struct ctl *c)
{
	const struct ctl_option *o;
	int i, cmd = c->args.word_count ? ctl_command_find(c->args.words[0]) : CMD_COUNT;

	if (c->args.word_count && !strcmp(c->args.words[0], "keys")) {
		for (i = 0; blueprint_directives[i].key; i++)
			puts(blueprint_directives[i].key);
		return 0;
	}
	if (c->args.word_count && !strcmp(c->args.words[0], "old"))
		return complete_old(c->args.word_count > 1 ? c->args.words[1] : NULL);
	for (i = 0; cmd == CMD_COUNT && i < CMD_COUNT; i++) {
		if (ctl_commands[i].hidden)
			continue;
		puts(ctl_commands[i].name);
		if (ctl_commands[i].alias)
			puts(ctl_commands[i].alias);
	}
	for (o = ctl_options; o->name; o++)
		if (o->commands == CTL_EVERY || (cmd >= 0 && cmd < CMD_COUNT && o->commands & (1ull << cmd)))
			printf("--%s%s\n", o->name, o->arg ? "=" : "");
	return 0;
}

/* ---- main ---------------------------------------------------------------------------------------------- */

static void
set_self(struct ctl *c)
{
	static const struct {
		int opt;
		const char *name;
	} which[] = { { OPT_URL, "--url" }, { OPT_SOCKET, "--socket" }, { OPT_ROOT, "--root" } };
	size_t i;

	for (i = 0; i < ARRAY_LEN(which); i++) {
		const char *v = c->args.value[which[i].opt];

		/* What would have to be quoted is left out. */
		if (v && *v && !v[strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+-")]) {
			ctl_self = xasprintf("aoctl %s %s", which[i].name, v);
			return;
		}
	}
}

static void
ctl_where(const struct ctl *c, struct client_where *out)
{
	const char *const *v = c->args.value;

	*out = (struct client_where){
		.url = v[OPT_URL], .socket = v[OPT_SOCKET], .root = v[OPT_ROOT], .token = v[OPT_TOKEN], .cacert = v[OPT_CACERT],
	};
}

/* Has a command line of its own. */
static int
cmd_doc(struct ctl *c)
{
	struct client_where where;
	int n = 0;

	ctl_where(c, &where);
	while (c->args.rest[n])
		n++;
	return applet_doc_main(n, (char **)c->args.rest, &where);
}

static int
run_command(struct ctl *c)
{
	const struct handler *h = &handlers[c->args.cmd];
	struct client_where where;
	struct err e = { 0 };
	int code;

	if (ctl_has(&c->args, OPT_VERSION))
		return cmd_version(c);
	if (ctl_has(&c->args, OPT_HELP) && !c->args.no_command) {
		print_command_help(c->args.cmd);
		return 0;
	}
	if (c->args.no_command && !ctl_has(&c->args, OPT_HELP)) {
		print_error("no command given; aoctl help lists the commands");
		return EXIT_USAGE;
	}
	if (!h->alone) {
		set_self(c);
		ctl_where(c, &where);
		c->client = client_new(&where, &e);
		if (!c->client)
			return e.code == -EINVAL ? ctl_usage(&e) : ctl_fail(NULL, &e);
	}
	code = h->run(c);
	client_free(c->client);
	buf_free(&c->reply);
	return code;
}

static int
aoctl_main(int argc, char **argv)
{
	struct ctl c = { 0 };
	struct err e = { 0 };
	int r = ctl_parse(argc, argv, &c.args, &e);

	look_init(ctl_has(&c.args, OPT_NO_COLOR));
	ctl_quiet = ctl_has(&c.args, OPT_QUIET);
	return ctl_finish(r < 0 ? ctl_usage(&e) : run_command(&c));
}

int
main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argc ? argv[0] : "";
	int code;

	/* A reader that goes away ends us without a word. */
	signal(SIGPIPE, SIG_DFL);
	code = applet_main(name, argc, argv);
	return code < 0 ? aoctl_main(argc, argv) : code;
}
