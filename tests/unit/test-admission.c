/* SPDX-License-Identifier: MIT */
/* What admission is made of: lines of those that wait, and how full the host is. */
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

#include "aod/load.h"
#include "aod/waiting.h"
#include "base/fd.h"
#include "base/util.h"

static void
test_order(void **state)
{
	const struct waiting in_order[] = {
		{ .n = 9, .priority = 5, .queued_us = 90 },
		{ .n = 1, .priority = 0, .queued_us = 10 },
		{ .n = 7, .priority = 0, .queued_us = 20 },
		{ .n = 8, .priority = 0, .queued_us = 20 },
		{ .n = 2, .priority = -3, .queued_us = 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(in_order); i++)
		for (size_t k = 0; k < ARRAY_LEN(in_order); k++)
			assert_int_equal(waiting_before(&in_order[i], &in_order[k]), i < k);
}

/* Whatever is done to it: it holds what it should, in order, and ranks are places. */
static void
test_line(void **state)
{
	enum { N = 500 };
	struct waiting *all = xcalloc(N, sizeof(*all));
	bool in[N] = { false };
	struct line l = { 0 };
	unsigned seed = 1;
	size_t count = 0;

	assert_null(line_first(&l));
	line_remove(&l, &all[0]);
	for (int i = 0; i < N; i++)
		all[i] = (struct waiting){ .n = i, .priority = rand_r(&seed) % 3 - 1, .queued_us = rand_r(&seed) % 50 };
	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % N;

		if (in[i])
			line_remove(&l, &all[i]);
		else
			line_add(&l, &all[i]);
		in[i] = !in[i];
		count += in[i] ? 1 : (size_t)-1;
		assert_int_equal(l.count, count);
		if (step % 100)
			continue;
		for (size_t k = 0; k < l.count; k++) {
			assert_true(in[l.v[k]->n]);
			assert_int_equal(line_rank(&l, l.v[k]), k);
			assert_true(k == 0 || waiting_before(l.v[k - 1], l.v[k]));
		}
		assert_ptr_equal(line_first(&l), count ? l.v[0] : NULL);
	}
	/* One that is not there is left alone, and so is what stands at its place. */
	for (int i = 0; i < N; i++)
		if (!in[i])
			line_remove(&l, &all[i]);
	assert_int_equal(l.count, count);
	line_free(&l);
	assert_int_equal(l.count, 0);
	free(all);
}

static char dir[] = "/tmp/test-admission-XXXXXX";

static void
put(const char *name, const char *text)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);

	/* In place: the file is held open. */
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
make_dir(void **state)
{
	CLEANUP_FREE char *pressure = NULL;

	if (!mkdtemp(dir))
		return -1;
	pressure = xasprintf("%s/pressure", dir);
	return mkdir(pressure, 0700);
}

static int
remove_dir(void **state)
{
	return rm_rf(dir, NULL);
}

static void
test_load(void **state)
{
	struct load l;

	put("meminfo", "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:    4000 kB\n");
	put("pressure/memory", "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n");
	load_open(&l, dir);
	assert_true(l.memory < 0 && l.pressure < 0);
	load_read(&l, 1000000);
	assert_float_equal(l.memory, 75, 0.01);
	assert_float_equal(l.pressure, 12.5, 0.01);
	/* Not again so soon. */
	put("meminfo", "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:    8000 kB\n");
	load_read(&l, 1000000 + LOAD_EVERY_US - 1);
	assert_float_equal(l.memory, 75, 0.01);
	load_read(&l, 1000000 + LOAD_EVERY_US);
	assert_float_equal(l.memory, 50, 0.01);
	load_close(&l);
	load_close(&l);
}

/* What is not there, or not as it should be, is not known: nobody waits for it. */
static void
test_load_unknown(void **state)
{
	static const char *const bad[] = { "", "MemTotal:\n", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: 6 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n" };
	struct load l;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put("meminfo", bad[i]);
		put("pressure/memory", "");
		load_open(&l, dir);
		load_read(&l, 1);
		assert_true(l.memory < 0);
		assert_true(l.pressure < 0);
		load_close(&l);
	}
	load_open(&l, "/nowhere");
	load_read(&l, 1);
	assert_true(l.memory < 0 && l.pressure < 0);
	load_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_unknown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
