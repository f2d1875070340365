/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "adapter/adapter.h"
#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-old.h"

static struct blueprint_problem problems[BLUEPRINT_PROBLEMS_MAX];

static int
parse(struct blueprint *b, const char *text)
{
	return blueprint_parse(b, text, strlen(text), problems, BLUEPRINT_PROBLEMS_MAX);
}

/* One text, one problem, at its place. */
static void
bad(const char *text, int line, int column, const char *says)
{
	struct blueprint *b = blueprint_new("x", "/x.blueprint");
	int n = parse(b, text);

	if (n != 1)
		fail_msg("%d problems in: %s", n, text);
	if (!strstr(problems[0].text, says))
		fail_msg("'%s' does not say '%s'", problems[0].text, says);
	if (problems[0].line != line || problems[0].column != column)
		fail_msg("'%s' at %d:%d", problems[0].text, problems[0].line, problems[0].column);
	blueprint_free(b);
}

static void
test_defaults(void **state)
{
	struct blueprint *b = blueprint_new("one", "/etc/one.blueprint");

	assert_string_equal(b->name, "one");
	assert_string_equal(b->path, "/etc/one.blueprint");
	assert_string_equal(b->adapter, "claude");
	assert_null(b->description);
	assert_null(b->exec_start);
	assert_null(b->environment);
	assert_int_equal(b->max_turns, 0);
	assert_int_equal(b->timeout_stop_us, 10000000);
	assert_int_equal(b->result_grace_us, 10000000);
	assert_int_equal(b->private_tmp, TRI_UNSET);
	assert_int_equal(b->system_call_filter, TRI_YES);
	blueprint_free(b);
	blueprint_free(NULL);
}

#define ALL \
	"# a comment\n[Blueprint]\nDescription=What it is for\n\n[Agent]\nAdapter=command\nExecStart=/bin/echo \"a b\" 'c' \\\n" \
	"   d\nModel=opus\nSystemPrompt=Be \"kind\"\nAllowedTools=Read \"Bash(git log:*)\"\nAllowedTools=Edit\n" \
	"DisallowedTools=Write\nPermissionMode=plan\nMaxTurns=7\nMcpConfigFile=/etc/mcp.json\n" \
	"Environment=A=1 \"B=two words\"\nPassEnvironment=KEY _x9\nWorkingDirectory=/srv\n[Session]\nTimeoutStopSec=1min 500ms\n" \
	"ResultGraceSec=infinity\n[Sandbox]\nPrivateTmp=yes\nSystemCallFilter=off\n; the end\n"

static void
test_all_keys(void **state)
{
	struct blueprint *b = blueprint_new("all", NULL);

	assert_int_equal(parse(b, ALL), 0);
	assert_string_equal(b->description, "What it is for");
	assert_string_equal(b->adapter, "command");
	assert_int_equal(strv_len(b->exec_start), 4);
	assert_string_equal(b->exec_start[1], "a b");
	assert_string_equal(b->exec_start[3], "d");
	assert_string_equal(b->system_prompt, "Be \"kind\"");
	assert_int_equal(strv_len(b->allowed_tools), 3);
	assert_string_equal(b->allowed_tools[1], "Bash(git log:*)");
	assert_string_equal(b->allowed_tools[2], "Edit");
	assert_int_equal(b->max_turns, 7);
	assert_string_equal(b->environment[1], "B=two words");
	assert_string_equal(b->pass_environment[1], "_x9");
	assert_string_equal(b->working_directory, "/srv");
	assert_int_equal(b->timeout_stop_us, 60500000);
	assert_int_equal(b->result_grace_us, INT64_MAX);
	assert_int_equal(b->private_tmp, TRI_YES);
	assert_int_equal(b->system_call_filter, TRI_NO);
	blueprint_free(b);
}

/* An empty value is the default again, and empties a list; a later text adds to a list and replaces the rest. */
static void
test_reset(void **state)
{
	struct blueprint *b = blueprint_new("r", NULL);

	assert_int_equal(parse(b, ALL), 0);
	assert_int_equal(parse(b, "[Agent]\nExecStart=/bin/true\nAllowedTools=More\nEnvironment=\nEnvironment=C=3\n"), 0);
	assert_int_equal(strv_len(b->exec_start), 1);
	assert_int_equal(strv_len(b->allowed_tools), 4);
	assert_int_equal(strv_len(b->environment), 1);
	assert_int_equal(parse(b,
			       "[Blueprint]\nDescription=\n[Agent]\nAdapter=\nExecStart=\nModel=\nMaxTurns=\n[Session]\nTimeoutStopSec=\n"
			       "ResultGraceSec=\n[Sandbox]\nPrivateTmp=\nSystemCallFilter=\n"),
			 0);
	assert_null(b->description);
	assert_string_equal(b->adapter, "claude");
	assert_null(b->exec_start);
	assert_null(b->model);
	assert_int_equal(b->max_turns, 0);
	assert_int_equal(b->timeout_stop_us, 10000000);
	assert_int_equal(b->result_grace_us, 10000000);
	assert_int_equal(b->private_tmp, TRI_UNSET);
	blueprint_free(b);
}

static void
test_problems(void **state)
{
	bad("[Agent]\nModell=opus\n", 2, 1, "did you mean 'Model'?");
	bad("[Agent]\n  ExecStrat=x\n", 2, 3, "did you mean 'ExecStart'?");
	bad("[Agent]\nFlavour=x\n", 2, 1, "unknown key 'Flavour' in section [Agent]");
	bad("[Agnet]\nModel=opus\nMaxTurns=1\n", 2, 1, "did you mean [Agent]?");
	bad("[Service]\nType=simple\n", 2, 1, "unknown section [Service]: use [Blueprint]");
	bad("[Agent]\nTimeoutStopSec=1\n", 2, 1, "TimeoutStopSec= belongs into section [Session]");
	bad("Model=x\n", 1, 1, "outside of a section");
	bad("[Agent]\nAdapter=cluade\n", 2, 9, "did you mean 'claude'?");
	bad("[Agent]\nAdapter=opencode-acp\n", 2, 9, "use claude or command");
	bad("[Agent]\nMaxTurns=many\n", 2, 10, "a number from 0 to 1000000, not 'many'");
	bad("[Agent]\nMaxTurns=-1\n", 2, 10, "a number");
	bad("[Agent]\nMaxTurns=1000001\n", 2, 10, "a number");
	bad("[Session]\nTimeoutStopSec=5 parsecs\n", 2, 16, "a time span");
	bad("[Session]\nResultGraceSec=-1\n", 2, 16, "a time span");
	bad("[Sandbox]\nPrivateTmp=maybe\n", 2, 12, "yes or no, not 'maybe'");
	bad("[Agent]\nEnvironment=A=1 NOVALUE\n", 2, 13, "NAME=VALUE, not 'NOVALUE'");
	bad("[Agent]\nEnvironment=1A=1\n", 2, 13, "NAME=VALUE");
	bad("[Agent]\nEnvironment==1\n", 2, 13, "NAME=VALUE");
	bad("[Agent]\nPassEnvironment=A-B\n", 2, 17, "names of variables, not 'A-B'");
	bad("[Agent]\nPassEnvironment=A=B\n", 2, 17, "names of variables");
	bad("[Agent]\nWorkingDirectory=srv\n", 2, 18, "an absolute path, not 'srv'");
	bad("[Agent]\nExecStart=\"open\n", 2, 11, "ExecStart=: ");
}

/* What is wrong keeps the value from before, and all else of the text counts. */
static void
test_all_problems_in_one_pass(void **state)
{
	struct blueprint *b = blueprint_new("x", NULL);
	struct buf many = BUF_INIT;

	assert_int_equal(parse(b, "[Agent]\nModel=a\nMaxTurns=5\nMaxTurns=x\nno assignment\nBad=1\n[Session]\nTimeoutStopSec=z\n"), 4);
	assert_string_equal(b->model, "a");
	assert_int_equal(b->max_turns, 5);
	assert_int_equal(b->timeout_stop_us, 10000000);
	assert_int_equal(problems[0].line, 4);
	assert_int_equal(problems[1].line, 5);
	assert_int_equal(problems[2].line, 6);
	assert_int_equal(problems[3].line, 8);
	buf_puts(&many, "[Agent]\n");
	for (int i = 0; i < 300; i++)
		buf_puts(&many, "MaxTurns=x\n");
	assert_int_equal(parse(b, many.data), BLUEPRINT_PROBLEMS_MAX);
	assert_int_equal(blueprint_parse(b, many.data, many.len, problems, 1), 1);
	buf_free(&many);
	blueprint_free(b);
}

static void
test_foreign(void **state)
{
	struct blueprint *b = blueprint_new("x", NULL);

	assert_int_equal(parse(b, "[X-Mine]\nAnything=goes\n[Agent]\nX-Owner=me\nModel=m\n"), 0);
	assert_string_equal(b->model, "m");
	assert_int_equal(blueprint_parse(b, "", 0, problems, 1), 0);
	blueprint_free(b);
}

static void
test_too_large(void **state)
{
	struct blueprint *b = blueprint_new("x", NULL);
	char *text = xmalloc(INI_FILE_MAX + 2);

	memset(text, '\n', INI_FILE_MAX + 2);
	assert_int_equal(blueprint_parse(b, text, INI_FILE_MAX + 2, problems, 5), 1);
	assert_non_null(strstr(problems[0].text, "too large"));
	free(text);
	blueprint_free(b);
}

/* What show prints is a blueprint that means the same. */
static void
test_show(void **state)
{
	struct blueprint *a = blueprint_new("a", NULL), *b = blueprint_new("b", NULL);
	struct buf first = BUF_INIT, second = BUF_INIT;

	assert_int_equal(parse(a, ALL "[Agent]\nExecStart=x \"\" \"q\\\"\\\\\" \"tab\\t\" \xc3\xa4\n[Session]\nTimeoutStopSec=1500us\n"), 0);
	blueprint_show(&first, a);
	assert_non_null(strstr(first.data, "\nTimeoutStopSec=1500us\n"));
	assert_non_null(strstr(first.data, "\nResultGraceSec=infinity\n"));
	assert_non_null(strstr(first.data, "\nMaxTurns=7\n"));
	assert_non_null(strstr(first.data, "[Agent]\nAdapter=command\n"));
	assert_int_equal(parse(b, first.data), 0);
	assert_string_equal(b->exec_start[1], "");
	assert_string_equal(b->exec_start[2], "q\"\\");
	assert_string_equal(b->exec_start[3], "tab\t");
	blueprint_show(&second, b);
	assert_string_equal(first.data, second.data);
	blueprint_free(a);
	blueprint_free(b);
	buf_free(&first);
	buf_free(&second);
}

static void
test_json(void **state)
{
	struct blueprint *b = blueprint_new("a", NULL);
	struct buf out = BUF_INIT;
	struct json_object *o, *agent, *v;

	assert_int_equal(parse(b, ALL), 0);
	blueprint_json(&out, b);
	o = json_tokener_parse(out.data);
	assert_non_null(o);
	assert_int_equal(json_object_object_length(o), 4);
	assert_true(json_object_object_get_ex(o, "Agent", &agent));
	assert_true(json_object_object_get_ex(agent, "AllowedTools", &v));
	assert_int_equal(json_object_array_length(v), 3);
	assert_true(json_object_object_get_ex(agent, "MaxTurns", &v));
	assert_int_equal(json_object_get_int(v), 7);
	assert_true(json_object_object_get_ex(o, "Sandbox", &agent));
	assert_true(json_object_object_get_ex(agent, "SystemCallFilter", &v));
	assert_true(json_object_is_type(v, json_type_boolean));
	json_object_put(o);
	buf_free(&out);
	blueprint_free(b);
}

/* The table's names are the adapters that there are. */
static void
test_adapters(void **state)
{
	for (size_t i = 0; adapters[i]; i++) {
		struct blueprint *b = blueprint_new("a", NULL);
		CLEANUP_FREE char *text = xasprintf("[Agent]\nAdapter=%s\n", adapters[i]->name);

		assert_int_equal(parse(b, text), 0);
		assert_ptr_equal(adapter_find(b->adapter), adapters[i]);
		blueprint_free(b);
	}
	assert_null(adapter_find("none"));
}

static void
test_shipped(void **state)
{
	static const char *const names[] = { "claude", "command", "shell", "demo" };
	const char *srcdir = getenv("srcdir");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP_FREE char *path = xasprintf("%s/blueprints/%s.blueprint", srcdir ? srcdir : ".", names[i]);
		struct blueprint *b = blueprint_new(names[i], path);
		struct buf text = BUF_INIT;
		struct err e;

		if (file_read(path, INI_FILE_MAX, &text, &e) < 0)
			fail_msg("%s (run in the top of the tree, or set srcdir)", e.text);
		if (blueprint_parse(b, text.data, text.len, problems, 10) != 0)
			fail_msg("%s:%d:%d: %s", path, problems[0].line, problems[0].column, problems[0].text);
		assert_non_null(b->description);
		buf_free(&text);
		blueprint_free(b);
	}
}

static void
test_table(void **state)
{
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		assert_true(strlen(d->doc) > 20);
		assert_non_null(d->def);
		for (const struct directive *other = d + 1; other->key; other++) {
			assert_string_not_equal(d->key, other->key);
			assert_int_not_equal(d->offset, other->offset);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_reset),	 cmocka_unit_test(test_problems),
		cmocka_unit_test(test_all_problems_in_one_pass), cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_show),
		cmocka_unit_test(test_json),	 cmocka_unit_test(test_adapters),
		cmocka_unit_test(test_shipped),	 cmocka_unit_test(test_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
