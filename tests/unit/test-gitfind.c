/* SPDX-License-Identifier: MIT */
/* Repositories are found where git has them, in real directories; the search does not leave the project, and ends. */
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
#include <unistd.h>

#include <cmocka.h>

#include "aod/gitfind.h"
#include "base/fd.h"
#include "base/util.h"

static char dir[64];

static void
put(const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
	CLEANUP_FREE char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	assert_int_equal(mkdir_p(parent, 0700, NULL), 0);
	if (name[strlen(name) - 1] != '/')
		assert_int_equal(file_write_atomic(path, "x", 1, 0600, false, NULL), 0);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Both lists, sorted, without the project's own path. */
static void
assert_found(const char *want_dirs, const char *want_files)
{
	char **found[2] = { NULL, NULL };
	struct buf b = BUF_INIT;

	git_find(dir, &found[0], &found[1]);
	for (int i = 0; i < 2; i++) {
		buf_reset(&b);
		buf_puts(&b, "");
		if (found[i])
			qsort(found[i], strv_len(found[i]), sizeof(*found[i]), by_name);
		for (char **v = found[i]; v && *v; v++)
			buf_printf(&b, "%s%s", v == found[i] ? "" : " ", *v + strlen(dir) + 1);
		assert_string_equal(b.data, i ? want_files : want_dirs);
		strv_free(found[i]);
	}
	buf_free(&b);
}

static int
begin_test(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/aod-test-gitfind.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
end_test(void **state)
{
	(void)state;
	return rm_rf(dir, NULL);
}

static void
test_where(void **state)
{
	assert_found("", "");
	put(".git/HEAD");
	put(".git/hooks/modules/HEAD");
	assert_found("", "");
	put(".git/modules/one/HEAD");
	put(".git/modules/one/objects/HEAD");
	put(".git/modules/libs/two/HEAD");
	put(".git/modules/libs/two/modules/three/HEAD");
	put(".git/modules/none/");
	put(".git/worktrees/tree/gitdir");
	put("one/.git");
	put("libs/two/.git");
	put("clone/deep/.git/HEAD");
	put("clone/deep/.git/modules/four/HEAD");
	assert_found(".git/modules/libs/two .git/modules/libs/two/modules/three .git/modules/one .git/worktrees/tree clone/deep/.git "
		     "clone/deep/.git/modules/four",
		     "libs/two/.git one/.git");
	/* A HEAD of the agent's in modules hides none of them. */
	put(".git/modules/HEAD");
	put("clone/deep/.git/modules/HEAD");
	assert_found(".git/modules/libs/two .git/modules/libs/two/modules/three .git/modules/one .git/worktrees/tree clone/deep/.git "
		     "clone/deep/.git/modules/four",
		     "libs/two/.git one/.git");
}

static void
test_own_is_a_file(void **state)
{
	put(".git");
	put("sub/.git");
	assert_found("", ".git sub/.git");
}

static void
test_where_not(void **state)
{
	CLEANUP_FREE char *link = xasprintf("%s/link", dir), *git = xasprintf("%s/sub/.git", dir), *other = xasprintf("%s/.other", dir);

	put(".other/.git/HEAD");
	put("node_modules/x/.git/HEAD");
	put("1/2/3/4/.git/HEAD");
	put("sub/file");
	assert_int_equal(symlink(other, link), 0);
	assert_int_equal(symlink(other, git), 0);
	assert_found("", "");
}

static void
test_bounds(void **state)
{
	char **dirs = NULL, **files = NULL;

	/* It comes to what is in .git, however many directories there are. */
	put(".git/modules/one/HEAD");
	for (int i = 0; i < 3 * GIT_LOOK_MAX; i++) {
		CLEANUP_FREE char *name = xasprintf("d%d/.git/HEAD", i);

		put(name);
	}
	git_find(dir, &dirs, &files);
	assert_int_equal(strv_len(dirs), GIT_FOUND_MAX);
	assert_non_null(strstr(dirs[0], "/.git/modules/one"));
	assert_null(files);
	strv_free(dirs);
}

static void
test_no_project(void **state)
{
	char **dirs = NULL, **files = NULL;

	git_find("/nowhere/at/all", &dirs, &files);
	git_find("/dev/null", &dirs, &files);
	assert_null(dirs);
	assert_null(files);
}

int
main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, begin_test, end_test)
	static const struct CMUnitTest tests[] = { ONE(test_where), ONE(test_own_is_a_file), ONE(test_where_not), ONE(test_bounds), ONE(test_no_project) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gitfind", tests, NULL, NULL);
}
