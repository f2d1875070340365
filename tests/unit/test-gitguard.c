/* SPDX-License-Identifier: MIT */
/* What has appeared in a real .git is renamed, whatever stands in the way; what was there is left alone. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/gitguard.h"
#include "base/fd.h"
#include "base/util.h"

static char dir[] = "/tmp/aod-test-gitguard.XXXXXX";
static char **files;
static struct buf text;

/* Of the repository in a directory below dir. */
static void
begin(struct git_guard *g, const char *where)
{
	static const char *const names[] = { "commondir", "config.worktree", "hooks", "config" };
	char **paths = NULL;

	for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
		CLEANUP_FREE char *path = xasprintf("%s/%s/%s", dir, i < ARRAY_LEN(names) ? ".git" : where, names[i % ARRAY_LEN(names)]);

		if (i < ARRAY_LEN(names) || where)
			paths = strv_add(paths, path);
	}
	git_guard_begin(g, paths);
	strv_free(paths);
}

static void
put(const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(file_write_atomic(path, "x", 1, 0600, false, NULL), 0);
}

static void
make_dir(const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static bool
there(const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Through what a later aod reads of it, as one that goes on with the run does. */
static bool
ended(struct git_guard *g)
{
	struct git_guard later = { 0 };
	struct buf args = BUF_INIT;
	struct json_object *o;
	bool found;

	buf_puts(&args, "{\"n\":1");
	git_guard_args(&args, g);
	buf_puts(&args, "}");
	o = json_tokener_parse(args.data);
	assert_non_null(o);
	git_guard_restore(&later, o);
	json_object_put(o);
	buf_free(&args);
	strv_free(files);
	buf_reset(&text);
	found = git_guard_end(&later, &text, &files);
	git_guard_free(&later);
	git_guard_free(g);
	return found;
}

static int
begin_test(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/aod-test-gitguard.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
end_test(void **state)
{
	(void)state;
	strv_free(files);
	files = NULL;
	return rm_rf(dir, NULL);
}

static void
test_appeared(void **state)
{
	struct git_guard g = { 0 };

	make_dir(".git");
	put(".git/config");
	begin(&g, NULL);
	put(".git/commondir");
	make_dir(".git/hooks");
	put(".git/hooks/post-commit");
	put(".git/index");
	assert_true(ended(&g));
	assert_false(there(".git/commondir") || there(".git/hooks"));
	assert_true(there(".git/commondir.from-agent") && there(".git/hooks.from-agent/post-commit"));
	assert_true(there(".git/config") && there(".git/index"));
	assert_non_null(strstr(text.data, "/.git/commondir, by which git runs programs: it is commondir.from-agent now; ReadWritePaths="));
	assert_true(files[0] && files[1] && !files[2]);
	assert_non_null(strstr(files[1], "/.git/hooks"));
}

/* A link is renamed itself; what has the new name already stays. */
static void
test_in_the_way(void **state)
{
	CLEANUP_FREE char *link = xasprintf("%s/.git/hooks", dir), *target = xasprintf("%s/target", dir);
	struct git_guard g = { 0 };

	make_dir(".git");
	make_dir("target");
	begin(&g, NULL);
	put(".git/config");
	make_dir(".git/config.from-agent");
	assert_int_equal(symlink(target, link), 0);
	assert_true(ended(&g));
	assert_false(there(".git/config") || there(".git/hooks"));
	assert_true(there(".git/config.from-agent") && there("target"));
	assert_non_null(strstr(text.data, "config.from-agent-"));
}

static void
test_nothing(void **state)
{
	struct git_guard g = { 0 }, none = { 0 };

	make_dir(".git");
	put(".git/commondir");
	begin(&g, NULL);
	put(".git/index");
	assert_false(ended(&g));
	assert_true(there(".git/commondir"));
	git_guard_begin(&none, NULL);
	make_dir(".git/hooks");
	assert_false(ended(&none));
	assert_true(there(".git/hooks"));
}

/* One of the agent's own is left, and told. */
static void
test_own(void **state)
{
	CLEANUP_FREE char *link = xasprintf("%s/.git", dir), *target = xasprintf("%s/target", dir);
	struct git_guard g = { 0 }, again = { 0 }, gone = { 0 };

	begin(&g, NULL);
	make_dir(".git");
	put(".git/config");
	assert_true(ended(&g));
	assert_true(there(".git/config"));
	assert_non_null(strstr(text.data, "the agent made"));
	assert_int_equal(rm_rf(link, NULL), 0);
	/* A link that led elsewhere. */
	make_dir("target");
	assert_int_equal(symlink("/nowhere", link), 0);
	begin(&again, NULL);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(target, link), 0);
	assert_true(ended(&again));
	begin(&gone, NULL);
	assert_int_equal(unlink(link), 0);
	assert_false(ended(&gone));
}

/* Each of several repositories by itself. */
static void
test_several(void **state)
{
	struct git_guard g = { 0 }, old = { 0 };
	struct json_object *o;

	make_dir(".git");
	make_dir(".git/modules");
	make_dir(".git/modules/sub");
	put(".git/config");
	put(".git/modules/sub/config");
	begin(&g, ".git/modules/sub");
	put(".git/commondir");
	put(".git/modules/sub/config.worktree");
	make_dir(".git/modules/sub/hooks");
	assert_true(ended(&g));
	assert_true(there(".git/commondir.from-agent") && there(".git/config"));
	assert_true(there(".git/modules/sub/config.worktree.from-agent") && there(".git/modules/sub/hooks.from-agent"));
	assert_true(there(".git/modules/sub/config"));
	assert_true(files[0] && files[1] && files[2] && !files[3]);
	assert_non_null(strstr(files[2], "/.git/modules/sub/hooks"));
	/* As an older aod has written it. */
	o = json_tokener_parse("{\"git_guard\":{\"dir\":\"/x/.git\",\"inode\":7,\"changed\":0,\"names\":[\"hooks\"]}}");
	git_guard_restore(&old, o);
	json_object_put(o);
	buf_reset(&text);
	git_guard_args(&text, &old);
	assert_string_equal(text.data, ",\"git_guard\":[{\"dir\":\"/x/.git\",\"inode\":7,\"changed\":0,\"names\":[\"hooks\"]}]");
	git_guard_free(&old);
}

int
main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, begin_test, end_test)
	static const struct CMUnitTest tests[] = { ONE(test_appeared), ONE(test_in_the_way), ONE(test_nothing), ONE(test_own),
							 ONE(test_several) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gitguard", tests, NULL, NULL);
}
