/* SPDX-License-Identifier: MIT */
/* The commands of old: their rows, their parser, the variables that say where their servers are. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "ctl/applet.h"

#define PARSE(a, e, name, ...) parse(a, e, (char *[]){ (char *)name, ##__VA_ARGS__, NULL })

static int
parse(struct applet_args *a, struct err *e, char **argv)
{
	int id;

	memset(e, 0, sizeof(*e));
	memset(a, 0, sizeof(*a));
	id = applet_find(argv[0], &a->later);
	assert_true(id >= 0);
	a->id = (enum applet_id)id;
	a->called = argv[0];
	return applet_parse((int)strv_len(argv), argv, a, e);
}

static void
test_rows(void **state)
{
	const struct applet_option *o, *p;
	bool later;
	int i, j;

	for (i = 0; i < APPLET_COUNT; i++) {
		assert_non_null(applets[i].name);
		assert_non_null(applets[i].summary);
		assert_int_equal(applet_find(applets[i].name, &later), i);
		assert_false(later);
		assert_int_equal(APPLET_IS_DOC(i), str_starts(applets[i].name, "doc-"));
		for (j = 0; j < i; j++)
			assert_string_not_equal(applets[i].name, applets[j].name);
	}
	for (o = applet_options; o->name; o++) {
		assert_true(o->doc && *o->doc);
		for (p = applet_options; p < o; p++) {
			if (!(p->applets & o->applets))
				continue;
			assert_string_not_equal(p->name, o->name);
			assert_true(!p->letter || p->letter != o->letter);
			assert_true(p->id != o->id);
		}
	}
}

static void
test_names(void **state)
{
	bool later;

	assert_int_equal(applet_find("ao-new", &later), APPLET_NEW);
	assert_int_equal(applet_find("ao-start", &later), APPLET_NEW);
	assert_true(later);
	assert_int_equal(applet_find("ao-list-blueprints", &later), APPLET_LIST_AGENTS);
	assert_int_equal(applet_find("ao-delete-all", &later), APPLET_CLEAN);
	assert_int_equal(applet_find("aoctl", &later), -1);
	assert_int_equal(applet_find("", &later), -1);
}

static void
test_values(void **state)
{
	struct applet_args a;
	struct err e;

	assert_int_equal(PARSE(&a, &e, "ao-new", "-p", "do it", "--agent=x=y", "name", "--project-dir", "/p"), 0);
	assert_string_equal(a.word, "name");
	assert_string_equal(a.value[APT_PROMPT], "do it");
	assert_string_equal(a.value[APT_AGENT], "x=y");
	assert_string_equal(a.value[APT_PROJECT_DIR], "/p");
	/* What looks like an option may be a value, and after -- nothing is one. */
	assert_int_equal(PARSE(&a, &e, "ao-new", "-p--agent", "n"), 0);
	assert_string_equal(a.value[APT_PROMPT], "--agent");
	assert_int_equal(PARSE(&a, &e, "ao-new", "-p", "-x", "--", "-n"), 0);
	assert_string_equal(a.value[APT_PROMPT], "-x");
	assert_string_equal(a.word, "-n");
	assert_int_equal(PARSE(&a, &e, "doc-push", "-", "--name", "a.md"), 0);
	assert_string_equal(a.word, "-");
	assert_int_equal(PARSE(&a, &e, "doc-read", "d", "-o", "5", "-l7"), 0);
	assert_int_equal(a.number[APT_OFFSET], 5);
	assert_int_equal(a.number[APT_LIMIT], 7);
	assert_int_equal(PARSE(&a, &e, "doc-pull", "d", "-o", "out"), 0);
	assert_string_equal(a.value[APT_OUTPUT], "out");
	assert_int_equal(PARSE(&a, &e, "doc-link", "--create", "a", "b", "--type", "related", "--from-to-note", "n"), 0);
	assert_string_equal(a.value[APT_FROM_NOTE], "n");
	assert_int_equal(PARSE(&a, &e, "doc-edit", "d", "--replace-all", "--old-string", "", "--new-string", "x"), 0);
	assert_true(applet_has(&a, APT_ALL) && applet_has(&a, APT_OLD));
	/* Help needs nothing else. */
	assert_int_equal(PARSE(&a, &e, "doc-create", "--help"), 0);
	assert_true(applet_has(&a, APT_HELP));
}

static void
test_errors(void **state)
{
	static const struct {
		const char *argv[6], *text;
	} cases[] = {
		{ { "ao-new" }, "Missing argument 'SESSION_NAME'." },
		{ { "ao-new", "n", "-p" }, "Option '-p' requires an argument." },
		{ { "ao-new", "n", "--prompt" }, "Option '--prompt' requires an argument." },
		{ { "ao-new", "n", "--nope=1" }, "No such option: --nope" },
		{ { "ao-new", "n", "-x" }, "No such option: -x" },
		{ { "ao-new", "n", "m" }, "Got unexpected extra argument (m)" },
		{ { "ao-list-sessions", "m" }, "Got unexpected extra argument (m)" },
		{ { "doc-query", "--limit", "many" }, "Invalid value for '--limit': 'many' is not a valid integer." },
		{ { "doc-edit", "d", "--json=x" }, "Option '--json' does not take a value." },
		{ { "doc-create" }, "Missing option '--name'." },
		/* The document's name is none of doc-pull's. */
		{ { "doc-pull", "d", "--name", "x" }, "No such option: --name" },
	};
	struct applet_args a;
	struct err e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(parse(&a, &e, (char **)cases[i].argv), -EINVAL);
		assert_string_equal(e.text, cases[i].text);
	}
}

static void
expect_url(enum applet_server server, const char *want)
{
	CLEANUP_FREE char *url = applet_url(server);

	if (want)
		assert_string_equal(url, want);
	else
		assert_null(url);
}

static void
test_urls(void **state)
{
	static const char *const names[] = { "DOC_SYNC_SCHEME", "DOC_SYNC_HOST", "DOC_SYNC_PORT", "AGENT_ORCHESTRATOR_API_URL",
					     "AGENT_ORCHESTRATOR_SESSION_MANAGER_URL", "AGENT_ORCHESTRATOR_AGENT_API_URL" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	expect_url(SERVER_RUNTIME, NULL);
	expect_url(SERVER_DOCUMENTS, NULL);
	setenv("AGENT_ORCHESTRATOR_SESSION_MANAGER_URL", "http://m:1", 1);
	setenv("AGENT_ORCHESTRATOR_AGENT_API_URL", "http://a:2", 1);
	expect_url(SERVER_RUNTIME, "http://m:1");
	expect_url(SERVER_REGISTRY, "http://a:2");
	expect_url(SERVER_DOCUMENTS, NULL);
	setenv("AGENT_ORCHESTRATOR_API_URL", "http://one:3", 1);
	expect_url(SERVER_RUNTIME, "http://one:3");
	expect_url(SERVER_REGISTRY, "http://one:3");
	/* Set to nothing is not set. */
	setenv("AGENT_ORCHESTRATOR_API_URL", "", 1);
	expect_url(SERVER_RUNTIME, "http://m:1");
	setenv("DOC_SYNC_PORT", "9999", 1);
	expect_url(SERVER_DOCUMENTS, "http://localhost:9999");
	setenv("DOC_SYNC_HOST", "h", 1);
	setenv("DOC_SYNC_SCHEME", "https", 1);
	expect_url(SERVER_DOCUMENTS, "https://h:9999");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_names), cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors), cmocka_unit_test(test_urls),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
