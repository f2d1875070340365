/* SPDX-License-Identifier: MIT */
/* aoctl's commands for blueprints: problems, files in one text, what editors get, diffs, agents of the old format. */
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/import.h"
#include "ctl/output.h"
#include "ctl/unit-text.h"

static const struct look pipe_look = { 0 }, colour_look = { .tty = true, .colour = true, .utf8 = true, .width = 80 };

static struct json_object *
js(const char *text)
{
	struct json_object *o = js_parse(text, strlen(text));

	assert_non_null(o);
	return o;
}

/* ---- texts --------------------------------------------------------------------------------------------- */

static void
test_problems(void **state)
{
	struct json_object *list = js("[{\"file\":\"a.blueprint\",\"line\":3,\"column\":7,\"severity\":\"error\",\"text\":\"bad\\nvalue\"},"
				      "{\"file\":\"b\",\"line\":2,\"column\":0,\"severity\":\"warning\",\"text\":\"odd\"},{\"text\":\"x\"}]");
	struct buf b = BUF_INIT;
	int warnings;

	assert_int_equal(problems_put(&b, &pipe_look, list, &warnings), 2);
	assert_int_equal(warnings, 1);
	assert_string_equal(b.data, "a.blueprint:3:7: error: bad value\nb:2: warning: odd\n?: error: x\n");
	buf_reset(&b);
	problem_put(&b, &colour_look, "f\033[2J", 1, 2, true, "t");
	assert_string_equal(b.data, "\033[1mf^[[2J:1:2:\033[0m \033[33mwarning:\033[0m t\n");
	buf_reset(&b);
	assert_int_equal(problems_put(&b, &pipe_look, NULL, NULL), 0);
	assert_int_equal(b.len, 0);
	json_object_put(list);
	buf_free(&b);
}

static void
expect_file(const struct unit_file *f, const char *path, const char *text)
{
	assert_int_equal(f->path_len, strlen(path));
	assert_memory_equal(f->path, path, f->path_len);
	assert_int_equal(f->len, strlen(text));
	assert_memory_equal(f->text, text, f->len);
}

static void
test_split(void **state)
{
	static const char text[] = "# /usr/x.blueprint\n# a comment\n[Agent]\n# /not/a/heading.conf\nModel=m\n"
				   "\n# /etc/x.blueprint.d/a.conf\n[Agent]\n\n# /etc/x.blueprint.d/b.conf\n# /c d";
	struct unit_file f[3];

	assert_int_equal(unit_files_split(text, strlen(text), f, 3), 3);
	expect_file(&f[0], "/usr/x.blueprint", "# a comment\n[Agent]\n# /not/a/heading.conf\nModel=m\n");
	expect_file(&f[1], "/etc/x.blueprint.d/a.conf", "[Agent]\n");
	expect_file(&f[2], "/etc/x.blueprint.d/b.conf", "# /c d");
	/* More than there is room for is part of the last. */
	assert_int_equal(unit_files_split(text, strlen(text), f, 1), 1);
	assert_int_equal(f[0].text + f[0].len - text, strlen(text));
	assert_int_equal(unit_files_split("", 0, f, 3), 0);
	assert_int_equal(unit_files_split("[Agent]\n", 8, f, 3), 0);
}

static void
expect_drop_in(const char *form, const char *want)
{
	struct buf b = BUF_INIT;

	drop_in_text(&b, form, strlen(form));
	assert_string_equal(b.data ? b.data : "", want);
	buf_free(&b);
}

static void
test_drop_in(void **state)
{
	const struct unit_file others[] = { { .path = "/u/x.blueprint/junk", .path_len = 14, .text = "[Agent]\n\nModel=m", .len = 16 } };
	struct buf b = BUF_INIT, edited = BUF_INIT;
	char *at;

	drop_in_form(&b, "x.d/o.conf", "[Agent]\nModel=n", 15, others, 1);
	assert_non_null(strstr(b.data, "### Editing x.d/o.conf\n"));
	assert_non_null(strstr(b.data, "\n### /u/x.blueprint\n# [Agent]\n#\n# Model=m\n"));
	/* What goes in comes out. */
	expect_drop_in(b.data, "[Agent]\nModel=n\n");
	at = strstr(b.data, "Model=n");
	buf_put(&edited, b.data, (size_t)(at - b.data));
	buf_puts(&edited, "Model=o\n\n[Session]\nRestart=no\n\n\n");
	buf_puts(&edited, at + strlen("Model=n"));
	expect_drop_in(edited.data, "[Agent]\nModel=o\n\n[Session]\nRestart=no\n");
	buf_reset(&b);
	assert_int_equal(drop_in_text(&b, edited.data, edited.len), 3);
	assert_int_equal(drop_in_text(&b, "\n\nx", 3), 2);
	buf_reset(&b);
	drop_in_form(&b, "x", "", 0, NULL, 0);
	expect_drop_in(b.data, "");
	/* Without the marks all of it is meant. */
	expect_drop_in("\n\n# mine\n[Agent]\n \n", "# mine\n[Agent]\n");
	expect_drop_in("", "");
	buf_free(&b);
	buf_free(&edited);
}

static void
test_diff(void **state)
{
	static const char text[] = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+\033y\n z";
	struct buf b = BUF_INIT;

	diff_put(&b, &pipe_look, text, strlen(text));
	assert_memory_equal(b.data, text, strlen(text));
	assert_string_equal(b.data + strlen(text), "\n");
	buf_reset(&b);
	diff_put(&b, &colour_look, text, strlen(text));
	assert_string_equal(b.data, "\033[1m--- a\033[0m\n\033[1m+++ b\033[0m\n\033[34m@@ -1 +1 @@\033[0m\n\033[31m-x\033[0m\n"
				    "\033[32m+^[y\033[0m\n z\n");
	buf_free(&b);
}

/* ---- import -------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/aod-test-import-XXXXXX";

static void
put_file(const char *name, const char *text)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", root, name);
	CLEANUP_FREE char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	assert_int_equal(mkdir_p(dir, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, false, NULL), 0);
}

static void
expect_agent(const char *name, const char *want)
{
	CLEANUP_FREE char *dir = xasprintf("%s/%s", root, name);
	struct err e = { 0 };
	struct json_object *o = import_read(dir, &e);

	if (*want == '{') {
		if (!o)
			fail_msg("%s: %s", name, e.text);
		assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), want);
	} else {
		assert_null(o);
		assert_int_not_equal(e.code, 0);
		if (!strstr(e.text, want))
			fail_msg("\"%s\" is not in \"%s\"", want, e.text);
	}
	json_object_put(o);
}

static void
test_read(void **state)
{
	struct err e = { 0 };
	char **names;

	put_file("one/agent.json", "{\"name\":\"one\",\"description\":\"d\",\"skills\":[\"s\"]}");
	put_file("one/agent.system-prompt.md", "Be good.\n");
	put_file("one/agent.mcp.json", "{\"mcpServers\":{\"m\":{\"command\":\"c\"}}}");
	put_file("one/.disabled", "");
	expect_agent("one", "{\"name\":\"one\",\"description\":\"d\",\"skills\":[\"s\"],\"system_prompt\":\"Be good.\\n\","
			    "\"mcp_servers\":{\"m\":{\"command\":\"c\",\"args\":[]}},\"status\":\"inactive\"}");
	put_file("two/agent.json", "{\"name\":\"two\",\"description\":\"\",\"skills\":null}");
	expect_agent("two", "{\"name\":\"two\",\"description\":\"\",\"status\":\"active\"}");
	put_file("empty/readme", "");
	expect_agent("empty", "no agent.json");
	put_file("broken/agent.json", "{\"name\":");
	expect_agent("broken", "agent.json is no JSON object");
	put_file("list/agent.json", "[]");
	expect_agent("list", "agent.json is no JSON object");
	put_file("nameless/agent.json", "{\"description\":\"d\"}");
	expect_agent("nameless", "has no name");
	put_file("plain/agent.json", "{\"name\":\"plain\"}");
	expect_agent("plain", "has no description");
	put_file("other/agent.json", "{\"name\":\"one\",\"description\":\"d\"}");
	expect_agent("other", "the directory's is other");
	put_file("_x/agent.json", "{\"name\":\"_x\",\"description\":\"d\"}");
	expect_agent("_x", "is no name");
	put_file("up/agent.json", "{\"name\":\"../up\",\"description\":\"d\"}");
	expect_agent("up", "is no name");
	put_file("skills/agent.json", "{\"name\":\"skills\",\"description\":\"d\",\"skills\":\"s\"}");
	expect_agent("skills", "skills is no list");
	put_file("mcp/agent.json", "{\"name\":\"mcp\",\"description\":\"d\"}");
	put_file("mcp/agent.mcp.json", "{}");
	expect_agent("mcp", "has no mcpServers");
	put_file("mcp/agent.mcp.json", "x");
	expect_agent("mcp", "agent.mcp.json is no JSON object");
	put_file(".hidden/agent.json", "{}");
	put_file("file", "");

	names = import_list(root, &e);
	assert_non_null(names);
	assert_int_equal(strv_len(names), 12);
	assert_string_equal(names[0], "_x");
	assert_string_equal(names[11], "up");
	strv_free(names);
	CLEANUP_FREE char *one = xasprintf("%s/one", root);

	names = import_list(one, &e);
	assert_string_equal(names[0], ".");
	assert_null(names[1]);
	strv_free(names);
	assert_null(import_list("/nonexistent/directory", &e));
	assert_int_equal(e.code, -ENOENT);
	assert_int_equal(rm_rf(root, NULL), 0);
}

static void
expect_patch(const char *want, const char *have, const char *patch, const char *status, const char *what)
{
	struct json_object *w = js(want), *h = js(have), *p;
	struct buf b = BUF_INIT;
	const char *s;

	import_compare(w, h, &p, &s, &b);
	assert_string_equal(p ? json_object_to_json_string_ext(p, JSON_C_TO_STRING_PLAIN) : "", patch);
	assert_string_equal(s ? s : "", status);
	assert_string_equal(b.data ? b.data : "", what);
	json_object_put(w);
	json_object_put(h);
	json_object_put(p);
	buf_free(&b);
}

static void
test_compare(void **state)
{
	/* The same, however it is written. */
	expect_patch("{\"description\":\"d\",\"system_prompt\":\"p\\n\",\"status\":\"active\"}",
		     "{\"description\":\"d\",\"system_prompt\":\"p\",\"mcp_servers\":null,\"skills\":null,\"status\":\"active\"}", "", "", "");
	expect_patch("{\"mcp_servers\":{\"a\":{\"command\":\"c\",\"env\":{}},\"b\":{\"url\":\"http://x\"}},\"skills\":[]}",
		     "{\"mcp_servers\":{\"b\":{\"type\":\"http\",\"url\":\"http://x\"},\"a\":{\"type\":\"stdio\",\"command\":\"c\",\"args\":[],\"env\":null}}}",
		     "", "", "");
	/* What differs, and only that; what is gone is cleared. */
	expect_patch("{\"description\":\"new\",\"status\":\"inactive\"}",
		     "{\"description\":\"d\",\"system_prompt\":\"p\",\"mcp_servers\":{\"a\":{}},\"skills\":[\"s\"],\"status\":\"active\"}",
		     "{\"description\":\"new\",\"system_prompt\":\"\",\"mcp_servers\":{},\"skills\":[]}", "inactive",
		     "description, system_prompt, mcp_servers, skills, status");
	expect_patch("{\"description\":\"d\",\"mcp_servers\":{\"a\":{\"command\":\"c\",\"args\":[\"1\"]}}}",
		     "{\"description\":\"d\",\"mcp_servers\":{\"a\":{\"command\":\"c\",\"args\":[\"2\"]}}}",
		     "{\"mcp_servers\":{\"a\":{\"command\":\"c\",\"args\":[\"1\"]}}}", "", "mcp_servers");
	expect_patch("{\"description\":\"d\",\"skills\":[\"a\",\"b\"]}", "{\"description\":\"d\",\"skills\":[\"b\",\"a\"]}", "{\"skills\":[\"a\",\"b\"]}",
		     "", "skills");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_problems), cmocka_unit_test(test_split), cmocka_unit_test(test_drop_in),
		cmocka_unit_test(test_diff),	 cmocka_unit_test(test_read),  cmocka_unit_test(test_compare),
	};

	if (!mkdtemp(root))
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
