/* SPDX-License-Identifier: MIT */
/* What each role may, by the table; some rows are named, since a slip in the table would be a hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/permission.h"

static void
test_names(void **state)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		assert_int_equal(role_parse(role_name((enum role)i)), i);
	assert_int_equal(role_parse("root"), -1);
	assert_int_equal(role_parse(""), -1);
}

static void
test_every_row(void **state)
{
	for (const struct verb *v = verbs; v->name; v++) {
		bool changes = v->perms & (PERM_WRITE | PERM_ADMIN | PERM_EVENT);

		assert_true(v->perms != 0);
		assert_true(role_may(ROLE_OPERATOR, v));
		if (changes)
			assert_false(role_may(ROLE_READER, v));
		if (role_may(ROLE_NONE, v))
			assert_false(changes);
		/* Such a row has to say which session it is about, or an agent could reach any. */
		if (v->perms & PERM_OWN)
			assert_non_null(verb_session_arg(v));
		if (v->perms & PERM_ADMIN)
			assert_false(role_may(ROLE_SESSION, v));
	}
}

static void
test_named_rows(void **state)
{
	static const char *const not_for_agents[] = {
		"session.delete-all", "session.patch", "agent.put", "agent.create", "agent.get", "agent.delete", "token.create",
		"token.list", "token.revoke", "audit.list", "plan.preview", "doctor",
	};
	static const char *const for_everybody[] = { "health", "openapi", "login", "logout" };

	for (size_t i = 0; i < ARRAY_LEN(not_for_agents); i++)
		assert_false(role_may(ROLE_SESSION, verb_find(not_for_agents[i])));
	for (size_t i = 0; i < ARRAY_LEN(for_everybody); i++)
		assert_true(role_may(ROLE_NONE, verb_find(for_everybody[i])));
	assert_string_equal(verb_session_arg(verb_find("session.stop")), "id");
	assert_string_equal(verb_session_arg(verb_find("feed")), "session");
	assert_string_equal(verb_session_arg(verb_find("event.append-any")), "session_id");
	assert_null(verb_session_arg(verb_find("health")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_named_rows),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
