/* SPDX-License-Identifier: MIT */
/* Rules for what agents ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "model/ask.h"

static void
test_check(void **state)
{
	static const char *const good[] = { "allow Bash", "deny  Bash(rm *)", "allow mcp__files__*", "deny *", "allow Bash(a(b))", "allow WebFetch(domain:x.org)" };
	static const struct {
		const char *rule, *why;
	} bad[] = {
		{ "", "allow or deny" },	{ "Bash", "allow or deny" },	 { "allowed Bash", "allow or deny" }, { "allow", "name of a tool" },
		{ "allow (x)", "name of a tool" }, { "allow Bash()", "TOOL(PATTERN)" }, { "allow Bash(x", "TOOL(PATTERN)" }, { "allow Bash x", "TOOL(PATTERN)" },
		{ "allow Bash(", "TOOL(PATTERN)" }, { "allow Ba*(x)", "pattern only for" }, { "allow mcp__a__b(x)", "pattern only for" },
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(ask_rule_check(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = ask_rule_check(bad[i].rule);

		if (!why || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].rule, why ? why : "is taken");
	}
}

static enum ask_verdict
judge(const char *rule, const char *tool, const char *input)
{
	char *rules[] = { (char *)rule, NULL };
	const struct ask_policy p = { .rules = rules };
	struct json_object *o = json_tokener_parse(input);
	const char *said;
	enum ask_verdict v = ask_judge(&p, tool, o, &said);

	if (v == ASK_PERSON)
		assert_null(said);
	else
		assert_string_equal(said, rule);
	json_object_put(o);
	return v;
}

static void
test_tools(void **state)
{
	assert_int_equal(judge("allow Bash", "Bash", "{}"), ASK_ALLOW);
	assert_int_equal(judge("allow Bash", "Bash", "null"), ASK_ALLOW);
	assert_int_equal(judge("deny Bash", "Bash", "{}"), ASK_DENY);
	assert_int_equal(judge("allow Bash", "BashOutput", "{}"), ASK_PERSON);
	assert_int_equal(judge("allow mcp__*", "mcp__a__b", "{}"), ASK_ALLOW);
	assert_int_equal(judge("allow mcp__*__read", "mcp__a__read", "{}"), ASK_ALLOW);
	assert_int_equal(judge("allow mcp__*__read", "mcp__a__write", "{}"), ASK_PERSON);
	assert_int_equal(judge("deny *", "anything", "{}"), ASK_DENY);
	/* A broken rule, which no check let pass, says nothing. */
	assert_int_equal(judge("allow Bash(", "Bash", "{}"), ASK_PERSON);
}

/* A rule for commands, and what it says to each of these (the first so many match). */
static void
commands(const char *rule, enum ask_verdict verdict, size_t matching, size_t n, const char *const *list)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();
		enum ask_verdict v;

		json_object_object_add(o, "command", json_object_new_string(list[i]));
		v = judge(rule, "Bash", json_object_to_json_string(o));
		if (v != (i < matching ? verdict : ASK_PERSON))
			fail_msg("%s: %s: %d", rule, list[i], v);
		json_object_put(o);
	}
}
#define COMMANDS(rule, verdict, matching, ...)                                   \
	do {                                                                     \
		static const char *const list[] = { __VA_ARGS__ };               \
		commands(rule, verdict, matching, ARRAY_LEN(list), list);        \
	} while (0)

static void
test_commands(void **state)
{
	COMMANDS("allow Bash(git status)", ASK_ALLOW, 1, "git status", "git status ", "git", "git statusx", "xgit status", "");
	COMMANDS("allow Bash(git *)", ASK_ALLOW, 3, "git log", "git log -p a*b", "git ", "git", "gitk", "git log; rm -rf /", "git log && rm x",
		 "git log | sh", "git log > /etc/passwd", "git log $(rm x)", "git log `rm x`", "git log\nrm x", "git log\rrm x", "git log \\\nrm", "git log &");
	COMMANDS("allow Bash(npm run test:*)", ASK_ALLOW, 2, "npm run test", "npm run test -- --watch", "npm run tests", "npm run test;id", "npm run test -- x;id");
	COMMANDS("allow Bash(make * && make check)", ASK_ALLOW, 1, "make -j2 && make check", "make -j2 && id && make check");
	COMMANDS("deny Bash(*rm *)", ASK_DENY, 3, "rm x", "ls; rm x", "ls\nsudo rm -rf /", "ls");
	COMMANDS("allow Bash(*a*b)", ASK_ALLOW, 2, "ab", "xaaabab", "ba", "aba");
	assert_int_equal(judge("allow Bash(ls *)", "Bash", "{\"command\":\"ls \\u0000; rm\"}"), ASK_PERSON);
	assert_int_equal(judge("deny Bash(rm *)", "Bash", "{\"command\":\"ls \\u0000; rm\"}"), ASK_DENY);
	assert_int_equal(judge("allow Bash(ls)", "Bash", "{\"command\":5}"), ASK_PERSON);
	assert_int_equal(judge("allow Bash(ls)", "Bash", "{}"), ASK_PERSON);
	assert_int_equal(judge("allow Bash(*)", "Bash", "{\"command\":\"\"}"), ASK_ALLOW);
}

static enum ask_verdict
about(const char *rule, const char *tool, const char *key, const char *value)
{
	CLEANUP_FREE char *input = xasprintf("{\"%s\":\"%s\"}", key, value);

	return judge(rule, tool, input);
}

static void
test_paths(void **state)
{
	assert_int_equal(about("allow Write(/srv/p/*)", "Write", "file_path", "/srv/p/a/b.c"), ASK_ALLOW);
	assert_int_equal(about("allow Write(/srv/p/**)", "Write", "file_path", "/srv/p/..a/b..c"), ASK_ALLOW);
	assert_int_equal(about("allow Write(/srv/p/*)", "Write", "file_path", "/srv/p/../../etc/passwd"), ASK_PERSON);
	assert_int_equal(about("allow Write(/srv/p/*)", "Write", "file_path", "/srv/p/.."), ASK_PERSON);
	assert_int_equal(about("deny Write(/srv/p/*)", "Write", "file_path", "/srv/p/../x"), ASK_DENY);
	assert_int_equal(about("allow Write(*)", "Edit", "file_path", "/x"), ASK_PERSON);
	assert_int_equal(about("allow NotebookEdit(/x)", "NotebookEdit", "notebook_path", "/x"), ASK_ALLOW);
}

static void
test_addresses(void **state)
{
	static const char rule[] = "allow WebFetch(domain:*example.org)", deny[] = "deny WebFetch(domain:bad.org)";

	assert_int_equal(about(rule, "WebFetch", "url", "https://example.org/x"), ASK_ALLOW);
	assert_int_equal(about(rule, "WebFetch", "url", "https://WWW.Example.org:8443?x"), ASK_ALLOW);
	assert_int_equal(about(rule, "WebFetch", "url", "https://example.org.bad.org/"), ASK_PERSON);
	assert_int_equal(about(rule, "WebFetch", "url", "https://bad.org/example.org"), ASK_PERSON);
	assert_int_equal(about(rule, "WebFetch", "url", "https://example.org@bad.org/"), ASK_PERSON);
	assert_int_equal(about(rule, "WebFetch", "url", "https://bad.org\\\\example.org"), ASK_PERSON);
	assert_int_equal(about(rule, "WebFetch", "url", "https://bad.org/ example.org"), ASK_PERSON);
	assert_int_equal(about(rule, "WebFetch", "url", "example.org"), ASK_PERSON);
	assert_int_equal(about(deny, "WebFetch", "url", "https://bad.org/"), ASK_DENY);
	assert_int_equal(about(deny, "WebFetch", "url", "https://x@bad.org/"), ASK_DENY);
	assert_int_equal(about(deny, "WebFetch", "url", "https://good.org/"), ASK_PERSON);
	assert_int_equal(about("allow WebFetch(domain:[::1])", "WebFetch", "url", "http://[::1]/x"), ASK_ALLOW);
	assert_int_equal(about("allow WebFetch(https://a.org/*)", "WebFetch", "url", "https://a.org/x"), ASK_ALLOW);
	assert_int_equal(about("deny WebSearch(*secret*)", "WebSearch", "query", "a secret thing"), ASK_DENY);
}

static void
test_policy(void **state)
{
	char *rules[] = { "deny Bash(rm *)", "allow Bash", "deny Bash", NULL };
	struct ask_policy p = { .timeout_us = INT64_MAX, .allow = true, .rules = rules }, copy, back;
	struct buf b = BUF_INIT;
	struct json_object *o = json_tokener_parse("{\"command\":\"ls\"}");
	const char *rule;

	assert_int_equal(ask_judge(&p, "Bash", o, &rule), ASK_ALLOW);
	assert_string_equal(rule, "allow Bash");
	assert_int_equal(ask_judge(&p, "Write", o, &rule), ASK_PERSON);
	json_object_put(o);
	ask_policy_copy(&copy, &p);
	ask_policy_json(&b, &copy);
	ask_policy_done(&copy);
	assert_string_equal(b.data, "{\"timeout_us\":null,\"default\":\"allow\",\"rules\":[\"deny Bash(rm *)\",\"allow Bash\",\"deny Bash\"]}");
	o = json_tokener_parse(b.data);
	ask_policy_parse(&back, o);
	assert_true(back.timeout_us == INT64_MAX && back.allow);
	assert_int_equal(strv_len(back.rules), 3);
	ask_policy_done(&back);
	json_object_put(o);
	/* A run of before there was one: nobody is asked. */
	ask_policy_parse(&back, NULL);
	assert_true(back.timeout_us == 0 && !back.allow && !back.rules);
	buf_reset(&b);
	back.timeout_us = 5000000;
	ask_policy_json(&b, &back);
	assert_string_equal(b.data, "{\"timeout_us\":5000000,\"default\":\"deny\",\"rules\":[]}");
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check), cmocka_unit_test(test_tools),	cmocka_unit_test(test_commands),
		cmocka_unit_test(test_paths), cmocka_unit_test(test_addresses), cmocka_unit_test(test_policy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
