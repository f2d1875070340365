/* SPDX-License-Identifier: MIT */
/* A store of its own for each test, with a transaction open, and sessions to put into it. */
#ifndef AOD_TESTS_STORE_TX_H
#define AOD_TESTS_STORE_TX_H

#include "store-rig.h"

static struct store *s;

static inline int
set_up(void **state)
{
	return make_dir(state) || store_open(path, &s, &e) || store_begin(s, &e);
}

static inline int
tear_down(void **state)
{
	store_close(s);
	return remove_dir(state);
}

static inline int64_t
add_running(const char *id)
{
	struct session_row row = { .id = id, .name = id, .state = SESSION_RUNNING, .exit_code = -1 };

	OK(store_session_add(s, &row, &e));
	return row.n;
}

#endif
