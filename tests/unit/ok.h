/* SPDX-License-Identifier: MIT */
/* OK(call): a call that has to return 0, and puts into e why it does not; what it says then is the test's message. */
#ifndef AOD_TESTS_OK_H
#define AOD_TESTS_OK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

static struct err e;

#define OK(call) assert_ok((call), #call, __LINE__)

static inline void
assert_ok(int r, const char *call, int line)
{
	if (r != 0)
		fail_msg("line %d: %s = %d: %s", line, call, r, e.text);
}

#endif
