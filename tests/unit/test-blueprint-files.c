/* SPDX-License-Identifier: MIT */
/* Where the files of blueprints are found, what changes to them lead to, and that what is written
 * is written as one. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/agent-edit.h"
#include "base/fd.h"
#include "base/util.h"
#include "ok.h"

static char top[64], etc[80], run[80], shipped[80], state[80];
static struct config cfg = {
	.etc = etc, .run = run, .state = state, .cache = state, .blueprints = shipped};
static struct manager m = {.cfg = &cfg,
			   .home = (char *)"/home/x",
			   .user = (char *)"x",
			   .uid = (char *)"1",
			   .host = (char *)"h"};

static int
set_up(void **state_)
{
	snprintf(top, sizeof(top), "/tmp/aod-test-files-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(etc, sizeof(etc), "%s/etc", top);
	snprintf(run, sizeof(run), "%s/run", top);
	snprintf(shipped, sizeof(shipped), "%s/lib", top);
	snprintf(state, sizeof(state), "%s/state", top);
	memset(&e, 0, sizeof(e));
	return mkdir(shipped, 0755);
}

static int
tear_down(void **state_)
{
	return rm_rf(top, &e);
}

/* A file below top. */
static void
put(const char *path, const char *text)
{
	CLEANUP_FREE char *whole = xasprintf("%s/%s", top, path);
	CLEANUP_FREE char *dir = xstrndup(whole, (size_t)(strrchr(whole, '/') - whole));

	OK(mkdir_p(dir, 0755, &e));
	OK(file_write_atomic(whole, text, strlen(text), 0644, false, &e));
}

static void
put_link(const char *path, const char *target)
{
	CLEANUP_FREE char *whole = xasprintf("%s/%s", top, path);
	CLEANUP_FREE char *dir = xstrndup(whole, (size_t)(strrchr(whole, '/') - whole));

	OK(mkdir_p(dir, 0755, &e));
	assert_int_equal(symlink(target, whole), 0);
}

static void
assert_file(const char *path, const char *want)
{
	CLEANUP_FREE char *whole = xasprintf("%s/%s", top, path);
	struct buf b = BUF_INIT;

	if (!want) {
		struct stat st;

		assert_int_equal(lstat(whole, &st), -1);
		return;
	}
	OK(file_read(whole, 1 << 20, &b, &e));
	assert_string_equal(b.data ? b.data : "", want);
	buf_free(&b);
}

/* "NAME: kind path; …" with paths below top, or what is wrong. */
static void
assert_found(const char *name, const char *want)
{
	struct blueprint_files f;
	struct buf b = BUF_INIT;

	if (blueprint_files_find(&cfg, name, true, &f, &e) < 0) {
		assert_string_equal(e.text, want);
		assert_int_equal(e.status, 404);
		return;
	}
	buf_printf(&b, "%s:", f.name);
	if (f.masked)
		buf_puts(&b, " masked");
	for (int i = 0; i < f.count; i++)
		buf_printf(&b, " %s", f.v[i].path + strlen(top) + 1);
	for (int i = 0; i < f.problems.count; i++)
		buf_printf(&b, " [%s]", f.problems.v[i].text);
	assert_string_equal(b.data, want);
	buf_free(&b);
	blueprint_files_free(&f);
}

static void
test_names(void **state_)
{
	const char *const good[] = {"a", "A-b_9", "-x", "t@", "t@one", "t@a.b:c-d_e"};
	const char *const bad[] = {"",   "a.b",   "a/b",   "..",      "a b",
				   "@x", "a@b@c", "a@b/c", "\xc3\xa4"};
	CLEANUP_FREE char *most = xasprintf("%060d@%060d", 0, 0), *more = xasprintf("a@%061d", 0);

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(blueprint_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(blueprint_name_ok(bad[i]));
	assert_true(blueprint_name_ok(most));
	assert_false(blueprint_name_ok(more));
}

static void
test_search(void **state_)
{
	put("lib/a.blueprint", "#");
	assert_found("a", "a: lib/a.blueprint");
	assert_found("b", "Agent not found: b (did you mean a?)");
	assert_found("other", "Agent not found: other");
	assert_found("../lib/a", "Agent not found: ../lib/a");
	put("run/blueprints/a.blueprint", "#");
	assert_found("a", "a: run/blueprints/a.blueprint");
	put("etc/blueprints/a.blueprint", "#");
	assert_found("a", "a: etc/blueprints/a.blueprint");
	put("etc/blueprints/a.blueprint", "");
	assert_found("a", "a: masked");
}

static void
test_dropins(void **state_)
{
	put("lib/a.blueprint", "#");
	put("lib/a.blueprint.d/20-b.conf", "#");
	put("lib/a.blueprint.d/10-a.conf", "#");
	put("run/blueprints/a.blueprint.d/15-c.conf", "#");
	put("etc/blueprints/a.blueprint.d/20-b.conf", "#");
	put("etc/blueprints/a.blueprint.d/.30.conf", "#");
	put("etc/blueprints/a.blueprint.d/40.txt", "#");
	assert_found("a", "a: lib/a.blueprint lib/a.blueprint.d/10-a.conf "
			  "run/blueprints/a.blueprint.d/15-c.conf "
			  "etc/blueprints/a.blueprint.d/20-b.conf");
	put_link("etc/blueprints/a.blueprint.d/10-a.conf", "/dev/null");
	put("etc/blueprints/a.blueprint.d/15-c.conf", "");
	assert_found("a", "a: lib/a.blueprint etc/blueprints/a.blueprint.d/20-b.conf");
	put_link("etc/blueprints/a.blueprint.d/50.conf", "50.conf");
	assert_found("a", "a: lib/a.blueprint etc/blueprints/a.blueprint.d/20-b.conf [its links go "
			  "round in a circle]");
}

static void
test_templates(void **state_)
{
	put("lib/t@.blueprint", "#");
	put("lib/t@.blueprint.d/b.conf", "#");
	put("lib/t@.blueprint.d/c.conf", "#");
	assert_found("t@one",
		     "t@one: lib/t@.blueprint lib/t@.blueprint.d/b.conf lib/t@.blueprint.d/c.conf");
	put("lib/t@one.blueprint.d/c.conf", "#");
	assert_found(
		"t@one",
		"t@one: lib/t@.blueprint lib/t@.blueprint.d/b.conf lib/t@one.blueprint.d/c.conf");
	put("lib/t@one.blueprint", "#");
	assert_found("t@one", "t@one: lib/t@one.blueprint lib/t@.blueprint.d/b.conf "
			      "lib/t@one.blueprint.d/c.conf");
	/* A link to the template says no more than that the instance is there. */
	put_link("lib/t@two.blueprint", "t@.blueprint");
	assert_found(
		"t@two",
		"t@two: lib/t@two.blueprint lib/t@.blueprint.d/b.conf lib/t@.blueprint.d/c.conf");
}

static void
test_links(void **state_)
{
	CLEANUP_FREE char *outside = xasprintf("%s/elsewhere/a.blueprint", top);

	put("lib/a.blueprint", "#");
	put("lib/t@.blueprint", "#");
	put("elsewhere/a.blueprint", "#");
	put_link("etc/blueprints/b.blueprint", "../../lib/a.blueprint");
	assert_found("b", "a: lib/a.blueprint");
	put_link("etc/blueprints/c.blueprint", "b.blueprint");
	assert_found("c", "a: lib/a.blueprint");
	/* A file somewhere is read as if it were here. */
	put_link("etc/blueprints/d.blueprint", outside);
	assert_found("d", "d: etc/blueprints/d.blueprint");
	put_link("etc/blueprints/u@.blueprint", "../../lib/t@.blueprint");
	assert_found("u@x", "t@x: lib/t@.blueprint");
	assert_found("u@", "t@: lib/t@.blueprint");
	put_link("etc/blueprints/i.blueprint", "t@fixed.blueprint");
	assert_found("i", "t@fixed: lib/t@.blueprint");
	put_link("etc/blueprints/bad.blueprint", "t@.blueprint");
	assert_found("bad", "bad: [a link to the template t@: link to an instance of it, t@NAME]");
	put_link("etc/blueprints/m.blueprint", "/dev/null");
	assert_found("m", "m: masked");
	put_link("etc/blueprints/x.blueprint", "y.blueprint");
	put_link("etc/blueprints/y.blueprint", "x.blueprint");
	assert_found("x", "x: [aliases go round in a circle, or there are more than 8]");
}

static void
test_names_listed(void **state_)
{
	struct buf b = BUF_INIT;
	char **names;

	put("lib/b.blueprint", "#");
	put("etc/blueprints/b.blueprint", "#");
	put("etc/blueprints/a.blueprint", "#");
	put("etc/blueprints/t@x.blueprint.d/x.conf", "#");
	put("etc/blueprints/t@.blueprint.d/x.conf", "#");
	put("etc/blueprints/c.blueprint.d/x.conf", "#");
	put("etc/blueprints/.d.blueprint", "#");
	put("etc/blueprints/e.blueprint.bak", "#");
	names = blueprint_names(&cfg);
	for (size_t i = 0; names[i]; i++)
		buf_printf(&b, "%s ", names[i]);
	assert_string_equal(b.data, "a b t@x ");
	strv_free(names);
	buf_free(&b);
}

/* ---- changes ----------------------------------------------------------------------------------- */

static void
commit(struct change *c)
{
	assert_int_equal(change_check(c), 0);
	OK(change_commit(c, &e));
	change_free(c);
}

static void
test_change_own(void **state_)
{
	struct change c;

	put("etc/blueprints/a.blueprint", "# kept\n[Blueprint]\nDescription=old\n");
	OK(change_begin(&c, &m, "a", &e));
	OK(change_text(&c, D_Description, "100% \"new\"\n", &e));
	OK(change_enabled(&c, false, &e));
	OK(change_enabled(&c, false, &e));
	commit(&c);
	assert_file("etc/blueprints/a.blueprint",
		    "# kept\n[Blueprint]\nDescription=\"100%% \\\"new\\\"\\n\"\nEnabled=no\n");
	OK(change_begin(&c, &m, "a", &e));
	OK(change_text(&c, D_Description, "", &e));
	OK(change_prompt(&c, "two\nlines", &e));
	commit(&c);
	assert_file(
		"etc/blueprints/a.blueprint",
		"# "
		"kept\n[Blueprint]\nEnabled=no\n\n[Agent]\nSystemPromptFile=a.system-prompt.md\n");
	assert_file("etc/blueprints/a.system-prompt.md", "two\nlines");
	OK(change_begin(&c, &m, "a", &e));
	OK(change_prompt(&c, "one", &e));
	commit(&c);
	assert_file("etc/blueprints/a.blueprint",
		    "# kept\n[Blueprint]\nEnabled=no\n\n[Agent]\nSystemPrompt=one\n");
	assert_file("etc/blueprints/a.system-prompt.md", NULL);
}

static void
test_change_shipped(void **state_)
{
	const char *text = "[Agent]\nSkills=a b\nMcpServer=one /bin/one\n";
	char *skills[] = {(char *)"c", (char *)"d e", NULL};
	struct json_object *servers =
		json_tokener_parse("{\"two\":{\"command\":\"/bin/two\",\"args\":[]}}");
	CLEANUP_FREE char *want =
		xasprintf("[Agent]\nSkills=\nSkills=c \"d "
			  "e\"\nMcpConfigFile=%s/blueprints/a.mcp.json\nMcpServer=\n",
			  etc);
	struct change c;

	put("lib/a.blueprint", text);
	OK(change_begin(&c, &m, "a", &e));
	OK(change_skills(&c, skills, &e));
	OK(change_mcp(&c, servers, &e));
	commit(&c);
	assert_file("lib/a.blueprint", text);
	assert_file("etc/blueprints/a.blueprint", NULL);
	assert_file("etc/blueprints/a.blueprint.d/50-api.conf", want);
	/* A drop-in behind ours would win: that is told, and nothing is written. */
	put("run/blueprints/a.blueprint.d/90.conf", "[Agent]\nSkills=z\n");
	OK(change_begin(&c, &m, "a", &e));
	assert_int_equal(change_skills(&c, skills, &e), -EBUSY);
	assert_int_equal(e.status, 409);
	assert_non_null(strstr(e.text, "90.conf:2"));
	change_free(&c);
	json_object_put(servers);
}

static void
test_change_instance(void **state_)
{
	struct change c;

	put("etc/blueprints/t@.blueprint", "[Blueprint]\nDescription=all\n");
	OK(change_begin(&c, &m, "t@one", &e));
	OK(change_text(&c, D_Description, "one", &e));
	commit(&c);
	assert_file("etc/blueprints/t@.blueprint", "[Blueprint]\nDescription=all\n");
	assert_file("etc/blueprints/t@one.blueprint.d/50-api.conf",
		    "[Blueprint]\nDescription=one\n");
}

static void
test_change_refused(void **state_)
{
	struct change c;

	assert_int_equal(change_begin(&c, &m, "nobody", &e), -ENOENT);
	put_link("etc/blueprints/m.blueprint", "/dev/null");
	assert_int_equal(change_begin(&c, &m, "m", &e), -ENOENT);
	assert_non_null(strstr(e.text, "masked by"));
	assert_int_equal(mkdir_p(shipped, 0755, &e), 0);
	put("lib/d.blueprint/x", "#");
	assert_int_equal(change_begin(&c, &m, "d", &e), -EINVAL);
	assert_int_equal(e.status, 422);
	put("etc/blueprints/a.blueprint", "[Agent]\nModle=x\n");
	OK(change_begin(&c, &m, "a", &e));
	OK(change_text(&c, D_Description, "x", &e));
	assert_int_equal(change_check(&c), 1);
	change_free(&c);
	assert_file("etc/blueprints/a.blueprint", "[Agent]\nModle=x\n");
}

/* ---- writes ------------------------------------------------------------------------------------ */

static int
count_files(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void
test_writes_are_one(void **state_)
{
	struct writes w = {.cfg = &cfg};
	CLEANUP_FREE char *dir = xasprintf("%s/blueprints", etc), *a = xasprintf("%s/a", dir),
			  *b = xasprintf("%s/b", dir);
	CLEANUP_FREE char *under = xasprintf("%s/file/c", dir),
			  *dropin = xasprintf("%s/x.d/1.conf", dir);
	CLEANUP_FREE char *mask = xasprintf("%s/m", dir), *none = xasprintf("%s/none", dir);
	char target[32] = "";

	put("etc/blueprints/a", "old");
	put("etc/blueprints/b", "old");
	put("etc/blueprints/file", "");
	put("etc/blueprints/x.d/1.conf", "old");
	writes_text(&w, a, "new", 3, 0644);
	writes_remove(&w, b);
	writes_text(&w, under, "new", 3, 0644);
	assert_true(writes_commit(&w, &e) < 0);
	assert_non_null(strstr(e.text, "cannot write"));
	writes_free(&w);
	assert_file("etc/blueprints/a", "old");
	assert_file("etc/blueprints/b", "old");
	assert_int_equal(count_files(dir), 2 + 4);

	writes_text(&w, a, "not this", 8, 0644);
	writes_text(&w, a, "new", 3, 0640);
	writes_remove(&w, b);
	writes_remove(&w, none);
	writes_remove(&w, dropin);
	writes_mask(&w, mask);
	OK(writes_commit(&w, &e));
	writes_free(&w);
	assert_file("etc/blueprints/a", "new");
	assert_file("etc/blueprints/b", NULL);
	assert_file("etc/blueprints/x.d", NULL);
	assert_true(readlink(mask, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "/dev/null");
	assert_int_equal(count_files(dir), 2 + 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),          TEST(test_search),         TEST(test_dropins),
		TEST(test_templates),      TEST(test_links),          TEST(test_names_listed),
		TEST(test_change_own),     TEST(test_change_shipped), TEST(test_change_instance),
		TEST(test_change_refused), TEST(test_writes_are_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("files of blueprints", tests, NULL, NULL);
}
