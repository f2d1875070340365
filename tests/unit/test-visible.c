/* SPDX-License-Identifier: MIT */
/* What goes with a program: interpreters, npm's prefixes, Python's environments. */
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

#include "aod/visible.h"
#include "base/fd.h"
#include "base/util.h"

static char top[] = "/tmp/test-visible-XXXXXX";
static char *search;

static void
make(const char *name, const char *text)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", top, name), *dir = xstrdup(path);

	*strrchr(dir, '/') = '\0';
	assert_int_equal(mkdir_p(dir, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0755, false, NULL), 0);
}

/* want: names below top, with blanks between them. */
static void
shows(const char *name, const char *want)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", top, name);
	char **v = program_visible(NULL, search, path);
	struct buf b = BUF_INIT;

	for (size_t i = 0; v[i]; i++)
		buf_printf(&b, "%s%s", i ? " " : "", str_starts(v[i], top) ? v[i] + strlen(top) + 1 : v[i]);
	assert_string_equal(b.data, want);
	buf_free(&b);
	strv_free(v);
}

static void
test_programs(void **state)
{
	CLEANUP_FREE char *link = xasprintf("%s/nvm/bin/tool", top), *other = xasprintf("%s/links/tool", top);

	(void)state;
	make("plain", "\177ELF");
	shows("plain", "plain");
	shows("missing", "missing");
	make("bin/node", "\177ELF");
	make("bin/wrapper", "#!/usr/bin/env -S node --flag\n");
	make("script", "#!/bin/sh -e\necho\n");
	shows("script", "script /bin/sh");
	make("by-env", "#!/usr/bin/env node\n");
	shows("by-env", "by-env bin/node");
	make("by-wrapper", "#! /usr/bin/env wrapper\n");
	shows("by-wrapper", "by-wrapper bin/wrapper bin/node");
	make("by-nobody", "#!/usr/bin/env nobody-has-this\n");
	shows("by-nobody", "by-nobody");
	make("relative", "#!node\n");
	shows("relative", "relative");
	make("self", "#!/usr/bin/env loop\n");
	make("bin/loop", "#!/usr/bin/env loop\n");
	shows("self", "self bin/loop bin/loop");
	/* npm: the link and the package are in one prefix. */
	make("nvm/lib/node_modules/tool/cli.js", "#!/usr/bin/env node\n");
	make("nvm/bin/x", "");
	make("links/x", "");
	assert_int_equal(symlink("../lib/node_modules/tool/cli.js", link), 0);
	assert_int_equal(symlink("../nvm/lib/node_modules/tool/cli.js", other), 0);
	shows("nvm/bin/tool", "nvm/bin/tool nvm bin/node");
	shows("links/tool", "links/tool bin/node");
	/* A virtual environment. */
	make("venv/pyvenv.cfg", "home = /usr/bin\n");
	make("venv/bin/python", "\177ELF");
	shows("venv/bin/python", "venv/bin/python venv");
}

static int
setup(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	search = xasprintf("%s/bin:/usr/bin", top);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(search);
	return rm_rf(top, NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_programs) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("visible", tests, setup, teardown);
}
