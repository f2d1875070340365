/* SPDX-License-Identifier: MIT */
/* The command line of aoctl: its tables, the parser, what is sent of it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "ctl/args.h"

#define PARSE(a, e, ...) parse(a, e, (char *[]){ (char *)"aoctl", __VA_ARGS__, NULL })

static int
parse(struct ctl_args *a, struct err *e, char **argv)
{
	memset(e, 0, sizeof(*e));
	return ctl_parse((int)strv_len(argv), argv, a, e);
}

static void
test_tables(void **state)
{
	const struct ctl_option *o, *p;
	const struct verb *v;
	int i;

	/* Every verb with a command is there, and every command says what it does. */
	for (v = verbs; v->name; v++)
		if (v->cli)
			assert_true(ctl_command_find(v->cli) >= 0);
	for (i = 0; i < CMD_COUNT; i++) {
		assert_non_null(ctl_commands[i].name);
		assert_non_null(ctl_summary((enum ctl_cmd)i));
		assert_int_equal(ctl_command_find(ctl_commands[i].name), i);
	}
	for (o = ctl_options; o->name; o++) {
		assert_true(o->doc && *o->doc);
		/* No letter and no name has two meanings for one command. */
		for (p = ctl_options; p < o; p++) {
			if (!(p->commands & o->commands))
				continue;
			assert_true(strcmp(p->name, o->name) != 0);
			assert_true(!p->letter || p->letter != o->letter);
			assert_true(p->id != o->id);
		}
	}
}

/* A field is an argument of the verb of each command that has the option. */
static void
test_fields(void **state)
{
	const struct ctl_option *o;
	int i, j, checked = 0;

	for (o = ctl_options; o->name; o++)
		for (i = 0; o->field && i < CMD_COUNT; i++) {
			const struct verb *v = ctl_verb((enum ctl_cmd)i);
			bool found = false;

			if (!(o->commands & (1ull << i)))
				continue;
			/* plan has two verbs: of a session, and of a request. */
			if (i == CMD_PLAN && o->id != OPT_RUN)
				v = verb_find("plan.preview");
			assert_non_null(v);
			for (j = 0; j < VERB_ARGS_MAX && v->args[j].name; j++)
				found = found || !strcmp(v->args[j].name, o->field);
			assert_true(found);
			checked++;
		}
	assert_true(checked > 5);
}

static void
test_forms(void **state)
{
	struct ctl_args a;
	struct err e;

	assert_int_equal(PARSE(&a, &e, "--root", "/r", "list", "-n5", "--state=failed", "--json"), 0);
	assert_int_equal(a.cmd, CMD_LIST);
	assert_string_equal(a.value[OPT_ROOT], "/r");
	assert_string_equal(a.value[OPT_LINES], "5");
	assert_string_equal(a.value[OPT_STATE], "failed");
	assert_true(ctl_has(&a, OPT_JSON));

	/* The same letter is another option of another command; switches stand together. */
	assert_int_equal(PARSE(&a, &e, "logs", "-fln", "7", "one"), 0);
	assert_true(ctl_has(&a, OPT_FOLLOW) && ctl_has(&a, OPT_FULL) && !ctl_has(&a, OPT_FORCE));
	assert_string_equal(a.value[OPT_LINES], "7");
	assert_string_equal(a.words[0], "one");
	assert_int_equal(PARSE(&a, &e, "delete", "-f", "--all"), 0);
	assert_true(ctl_has(&a, OPT_FORCE) && !ctl_has(&a, OPT_FOLLOW));

	/* The alias; a lone - is a word; what comes after -- is the command's. */
	assert_int_equal(PARSE(&a, &e, "new", "n", "-", "-C", ".", "--", "ls", "-l", "--json"), 0);
	assert_int_equal(a.cmd, CMD_RUN);
	assert_int_equal(a.word_count, 2);
	assert_string_equal(a.rest[1], "-l");
	assert_string_equal(a.rest[2], "--json");
	assert_null(a.rest[3]);
	assert_false(ctl_has(&a, OPT_JSON));
	/* Where there is no command, -- ends the options. */
	assert_int_equal(PARSE(&a, &e, "stop", "--", "-odd"), 0);
	assert_null(a.rest);
	assert_string_equal(a.words[0], "-odd");

	assert_int_equal(PARSE(&a, &e, "--help"), 0);
	assert_true(a.no_command && a.cmd == CMD_HELP);
	assert_int_equal(PARSE(&a, &e, "wait", "-h"), 0);
	assert_int_equal(PARSE(&a, &e, "run", "-p", "", "x"), 0);
	assert_string_equal(a.value[OPT_PROMPT], "");
}

static void
expect_wrong(const char *text, char **argv)
{
	struct ctl_args a;
	struct err e = { 0 };

	assert_int_equal(ctl_parse((int)strv_len(argv), argv, &a, &e), -EINVAL);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, e.text);
}
#define WRONG(text, ...) expect_wrong(text, (char *[]){ (char *)"aoctl", __VA_ARGS__, NULL })

static void
test_wrong(void **state)
{
	WRONG("did you mean list?", "lst");
	WRONG("did you mean status?", "statsu");
	WRONG("aoctl help lists", "frobnicate");
	WRONG("did you mean --follow?", "logs", "x", "--folow");
	WRONG("aoctl help logs", "logs", "-z", "x");
	/* An option of one command is none of another, or of none. */
	WRONG("unknown option --detach", "list", "--detach");
	WRONG("before the command", "-f", "logs");
	WRONG("needs an argument: N", "list", "-n");
	WRONG("needs an argument: TEXT", "run", "--prompt");
	WRONG("takes no argument", "list", "--json=1");
	WRONG("missing argument", "status");
	WRONG("unexpected argument \"b\"", "status", "a", "b");
	WRONG("unexpected argument", "run", "a", "-", "c");
	WRONG("no command after --", "run", "a", "--");
	WRONG("before the command", "--", "run");
}

static void
test_values(void **state)
{
	struct ctl_args a;
	struct err e;
	int64_t v;

	assert_int_equal(PARSE(&a, &e, "stop", "-t", "2min", "x"), 0);
	assert_int_equal(ctl_span(&a, OPT_TIMEOUT, -1, &v, &e), 0);
	assert_int_equal(v, 120000000);
	assert_int_equal(ctl_int(&a, OPT_LINES, 0, 9, 7, &v, &e), 0);
	assert_int_equal(v, 7);
	assert_int_equal(PARSE(&a, &e, "stop", "-t", "soon", "x"), 0);
	assert_int_equal(ctl_span(&a, OPT_TIMEOUT, -1, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--timeout: \"soon\""));
	assert_int_equal(PARSE(&a, &e, "list", "--limit=-5"), 0);
	assert_int_equal(ctl_int(&a, OPT_LINES, 1, 100, 0, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, "from 1 to 100"));
	assert_int_equal(PARSE(&a, &e, "list", "-n", "99999999999999999999"), 0);
	assert_int_equal(ctl_int(&a, OPT_LINES, 1, INT64_MAX, 0, &v, &e), -EINVAL);
}

static void
test_sent(void **state)
{
	struct buf b = BUF_INIT;
	struct ctl_args a;
	struct err e;

	assert_int_equal(PARSE(&a, &e, "list", "-n", "3", "--state", "a&b=c/ \xc3\xa9"), 0);
	ctl_put_query(&b, &a, ctl_verb(CMD_LIST));
	/* In the order of the options, escaped. */
	assert_string_equal(b.data, "state=a%26b%3Dc%2F%20%C3%A9&limit=3");
	buf_reset(&b);
	assert_int_equal(PARSE(&a, &e, "run", "-a", "bp", "-p", "say \"hi\"\n", "-d"), 0);
	ctl_put_members(&b, &a, ctl_verb(CMD_RUN));
	ctl_put_member_text(&b, "session_name", "n");
	assert_string_equal(b.data, "\"prompt\":\"say \\\"hi\\\"\\n\",\"agent_name\":\"bp\",\"session_name\":\"n\"");
	buf_reset(&b);
	/* Nothing of a body goes into a query. */
	ctl_put_query(&b, &a, ctl_verb(CMD_RUN));
	assert_int_equal(b.len, 0);
	ctl_put_param_int(&b, "a", -1);
	ctl_put_param(&b, "b", "~x");
	assert_string_equal(b.data, "a=-1&b=~x");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables), cmocka_unit_test(test_fields), cmocka_unit_test(test_forms),
		cmocka_unit_test(test_wrong),  cmocka_unit_test(test_values), cmocka_unit_test(test_sent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
