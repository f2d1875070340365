/* SPDX-License-Identifier: MIT */
/* A store in a real file: each test has a directory of its own, and may look at the database beside the store. */
#ifndef AOD_TESTS_STORE_RIG_H
#define AOD_TESTS_STORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/util.h"
#include "ok.h"
#include "store/store.h"

static char dir[64], path[96];

static inline int
make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/aod-test-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/aod.db", dir);
	memset(&e, 0, sizeof(e));
	return 0;
}

static inline int
remove_dir(void **state)
{
	return rm_rf(dir, &e);
}

static inline struct store *
open_store(void)
{
	struct store *s;

	OK(store_open(path, &s, &e));
	return s;
}

/* What the store does not say: the first value that a query of the test's own finds, "" for none, in out[RAW_VALUE_SIZE]. */
#define RAW_VALUE_SIZE 80

static inline void
raw_value(const char *sql, char *out)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	out[0] = '\0';
	if (sqlite3_step(st) == SQLITE_ROW)
		snprintf(out, RAW_VALUE_SIZE, "%s", (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static inline void
raw_sql(const char *sql)
{
	char *why = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

#endif
