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

static char *const names[] = { "commondir", "config.worktree", "hooks", "config", NULL };
static char dir[] = "/tmp/aod-test-gitguard.XXXXXX";
static char **files;
static struct buf text;

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
	git_guard_begin(&g, dir, names);
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
	git_guard_begin(&g, dir, names);
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
	git_guard_begin(&g, dir, names);
	put(".git/index");
	assert_false(ended(&g));
	assert_true(there(".git/commondir"));
	git_guard_begin(&none, dir, NULL);
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

	git_guard_begin(&g, dir, names);
	make_dir(".git");
	put(".git/config");
	assert_true(ended(&g));
	assert_true(there(".git/config"));
	assert_non_null(strstr(text.data, "the agent made"));
	assert_int_equal(rm_rf(link, NULL), 0);
	/* A link that led elsewhere. */
	make_dir("target");
	assert_int_equal(symlink("/nowhere", link), 0);
	git_guard_begin(&again, dir, names);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(target, link), 0);
	assert_true(ended(&again));
	git_guard_begin(&gone, dir, names);
	assert_int_equal(unlink(link), 0);
	assert_false(ended(&gone));
}

int
main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, begin_test, end_test)
	static const struct CMUnitTest tests[] = { ONE(test_appeared), ONE(test_in_the_way), ONE(test_nothing), ONE(test_own) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gitguard", tests, NULL, NULL);
}
