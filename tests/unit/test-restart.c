/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/blueprint.h"
#include "model/restart.h"

#define GOLDEN "tests/unit/restart.golden"
#define S INT64_C(1000000)

static void
test_table_golden(void **state)
{
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path = xasprintf("%s/" GOLDEN, srcdir ? srcdir : ".");
	struct buf b = BUF_INIT;
	char want[8192];
	size_t n;
	FILE *f = fopen(path, "r");

	restart_print(&b);
	if (!f)
		fail_msg("%s is missing (run in the top of the tree, or set srcdir)", path);
	n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = 0;
	fclose(f);
	assert_string_equal(b.data, want);
	buf_free(&b);
}

/* The classes of systemd.service(5), and what holds for all. */
static void
test_table_holds(void **state)
{
	for (int o = OUTCOME_NONE + 1; o < OUTCOME_COUNT; o++) {
		assert_false(restart_after(RESTART_NO, o));
		/* What was used up is not given once more, unless by name. */
		bool named = o == OUTCOME_MAX_TURNS || o == OUTCOME_BUDGET;

		assert_int_equal(restart_after(RESTART_ALWAYS, o), !restart_never(o) && !named);
		assert_false(named && restart_never(o));
		assert_int_equal(restart_after(RESTART_ON_SUCCESS, o), o == OUTCOME_SUCCESS);
		/* What fails is a failure. */
		assert_int_equal(restart_after(RESTART_ON_FAILURE, o), o != OUTCOME_SUCCESS && !restart_never(o) && !named);
		if (restart_after(RESTART_ON_ABORT, o) || restart_after(RESTART_ON_WATCHDOG, o))
			assert_true(restart_after(RESTART_ON_ABNORMAL, o));
	}
	assert_true(restart_never(OUTCOME_AUTH) && restart_never(OUTCOME_BILLING) && restart_never(OUTCOME_CANCELLED));
	assert_true(restart_never(OUTCOME_START_LIMIT_HIT));
	assert_false(restart_after(RESTART_ON_ABNORMAL, OUTCOME_EXIT_CODE));
}

/* The words are those of the directive, in its order. */
static void
test_words(void **state)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < RESTART_COUNT; i++) {
		assert_int_equal(restart_parse(restart_name(i)), i);
		buf_printf(&b, "%s%s", i ? " " : "", restart_name(i));
	}
	assert_int_equal(restart_parse("sometimes"), -1);
	assert_string_equal(b.data, blueprint_directives[D_Restart].values);
	buf_free(&b);
}

static void
test_wanted(void **state)
{
	char *prevent[] = { "7", "watchdog", NULL }, *force[] = { "7", "8", "success", "auth", NULL };
	struct restart_policy p = { .when = RESTART_ON_FAILURE };

	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_false(restart_wanted(&p, OUTCOME_SUCCESS, 0, 0));
	p.prevent = prevent;
	assert_false(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 9, 0));
	assert_false(restart_wanted(&p, OUTCOME_WATCHDOG, -1, 9));
	p.force = force;
	p.when = RESTART_NO;
	assert_false(restart_wanted(&p, OUTCOME_EXIT_CODE, 7, 0));
	assert_true(restart_wanted(&p, OUTCOME_EXIT_CODE, 8, 0));
	assert_true(restart_wanted(&p, OUTCOME_SUCCESS, 0, 0));
	/* Nothing forces what no try can mend. */
	assert_false(restart_wanted(&p, OUTCOME_AUTH, 1, 0));
}

static void
test_delay(void **state)
{
	struct restart_policy p = { .delay_us = S, .max_delay_us = INT64_MAX };
	int64_t last = 0;

	assert_int_equal(restart_delay(&p, 0, 0), S);
	assert_int_equal(restart_delay(&p, 9, 0), S);
	/* 1 s, 2 s, 4 s, 8 s, 16 s, and 16 s for ever. */
	p.max_delay_us = 16 * S;
	assert_int_equal(restart_delay(&p, 9, 0), S);
	p.steps = 4;
	for (int i = 0; i < 5; i++)
		assert_in_range(restart_delay(&p, i, 0), (S << i) - 5, (S << i) + 5);
	assert_int_equal(restart_delay(&p, 5, 0), 16 * S);
	assert_int_equal(restart_delay(&p, INT64_MAX, 0), 16 * S);
	for (uint64_t i = 0; i < 1000; i++) {
		int64_t us = restart_delay(&p, 2, i * 7919);

		assert_in_range(us, 4 * S - 5, 4 * S + 4 * S / 10 + 5);
		assert_true(i < 2 || us != last);
		last = us;
	}
	/* Odd values do no harm. */
	p.max_delay_us = S / 2;
	assert_int_equal(restart_delay(&p, 3, 0), S);
	p = (struct restart_policy){ .steps = 3, .max_delay_us = S };
	assert_int_equal(restart_delay(&p, 1, 5), 0);
	p.delay_us = INT64_MAX;
	assert_true(restart_delay(&p, 1, UINT64_MAX) > 0);
}

#define NOW (INT64_C(1700000000) * S)

/* One case: what is said, how it ended, what follows. */
static const struct next_case {
	const char *name;
	enum restart when;
	enum outcome outcome;
	bool stopped, idle;
	int queued;
	int64_t retry_us; /* after the end */
	enum restart_step step;
	int64_t due_us; /* after the end, where something follows; the policy's delay is 2 s */
} next_cases[] = {
	{ "it went well", RESTART_NO, OUTCOME_SUCCESS, false, false, 0, 0, RESTART_END, 0 },
	{ "nothing said", RESTART_NO, OUTCOME_SIGNAL, false, false, 0, 0, RESTART_END, 0 },
	{ "no such end", RESTART_ON_ABORT, OUTCOME_EXIT_CODE, false, false, 0, 0, RESTART_END, 0 },
	{ "such an end", RESTART_ON_ABORT, OUTCOME_SIGNAL, false, false, 0, 0, RESTART_AGAIN, 2 * S },
	{ "on and on", RESTART_ALWAYS, OUTCOME_SUCCESS, false, false, 0, 0, RESTART_AGAIN, 2 * S },
	{ "a person's stop", RESTART_ALWAYS, OUTCOME_CANCELLED, true, false, 0, 0, RESTART_END, 0 },
	{ "a stop, and it failed meanwhile", RESTART_ALWAYS, OUTCOME_SIGNAL, true, false, 3, 0, RESTART_END, 0 },
	{ "a stop, and its answer was there", RESTART_ALWAYS, OUTCOME_SUCCESS, true, false, 3, 0, RESTART_END, 0 },
	{ "no key", RESTART_ALWAYS, OUTCOME_AUTH, false, false, 3, 0, RESTART_END, 0 },
	{ "no credit", RESTART_ALWAYS, OUTCOME_BILLING, false, false, 3, 0, RESTART_END, 0 },
	{ "used up", RESTART_ALWAYS, OUTCOME_BUDGET, false, false, 0, 0, RESTART_END, 0 },
	{ "turns used up", RESTART_ALWAYS, OUTCOME_MAX_TURNS, false, false, 0, 0, RESTART_END, 0 },
	/* Further prompts come at once, whatever was said. */
	{ "the next prompt", RESTART_NO, OUTCOME_SUCCESS, false, false, 1, 0, RESTART_QUEUE, 0 },
	{ "the next prompt after a crash", RESTART_NO, OUTCOME_SIGNAL, false, false, 1, 0, RESTART_QUEUE, 0 },
	{ "the next prompt has turns of its own", RESTART_ALWAYS, OUTCOME_MAX_TURNS, false, false, 1, 0, RESTART_QUEUE, 0 },
	{ "but first what it worked on", RESTART_ON_FAILURE, OUTCOME_SIGNAL, false, false, 1, 0, RESTART_AGAIN, 2 * S },
	{ "not where it would be refused", RESTART_NO, OUTCOME_RATE_LIMITED, false, false, 1, 90 * S, RESTART_QUEUE, 90 * S },
	/* What waited for a prompt has nothing to go on with. */
	{ "only its turn was ended", RESTART_ALWAYS, OUTCOME_CANCELLED, false, false, 1, 0, RESTART_QUEUE, 0 },
	{ "idle", RESTART_ALWAYS, OUTCOME_SIGNAL, false, true, 0, 0, RESTART_END, 0 },
	{ "idle, with a prompt", RESTART_NO, OUTCOME_SIGNAL, false, true, 1, 0, RESTART_QUEUE, 0 },
	/* Times that a service says. */
	{ "not before", RESTART_ON_TRANSIENT, OUTCOME_RATE_LIMITED, false, false, 0, 3600 * S, RESTART_AGAIN, 3600 * S },
	{ "that has passed", RESTART_ON_TRANSIENT, OUTCOME_RATE_LIMITED, false, false, 0, -5 * S, RESTART_AGAIN, 2 * S },
	{ "not said", RESTART_ON_TRANSIENT, OUTCOME_RATE_LIMITED, false, false, 0, 0, RESTART_AGAIN, 60 * S },
	{ "overloaded", RESTART_ON_TRANSIENT, OUTCOME_OVERLOADED, false, false, 0, 0, RESTART_AGAIN, 2 * S },
	{ "the host", RESTART_ON_TRANSIENT, OUTCOME_HOST_REBOOT, false, false, 0, 0, RESTART_AGAIN, 2 * S },
	{ "the shim", RESTART_ON_FAILURE, OUTCOME_SHIM_LOST, false, false, 0, 0, RESTART_AGAIN, 2 * S },
	{ "the host, nothing said", RESTART_NO, OUTCOME_HOST_REBOOT, false, false, 0, 0, RESTART_END, 0 },
};

static void
test_next(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(next_cases); i++) {
		const struct next_case *t = &next_cases[i];
		struct restart_policy p = { .when = t->when, .delay_us = 2 * S, .max_delay_us = INT64_MAX, .limit_us = 600 * S, .limit_burst = 5 };
		struct restart_end end = { .outcome = t->outcome, .exit_code = -1, .started_us = NOW - S, .ended_us = NOW, .stopped = t->stopped,
					   .idle = t->idle, .queued = t->queued, .retry_us = t->retry_us ? NOW + t->retry_us : 0 };
		struct restart_count c = { 0 };
		int64_t due = 0;
		enum restart_step step = restart_next(&p, &end, &c, &due);

		if (step != t->step || due != (step == RESTART_END ? 0 : NOW + t->due_us) || c.restarts != (step == RESTART_AGAIN))
			fail_msg("%s: step %d, due %lld, %lld restarts", t->name, (int)step, (long long)(due - NOW), (long long)c.restarts);
	}
}

/* As systemd's ratelimit: so many in an interval that begins with the first of them. */
static void
test_limit(void **state)
{
	struct restart_policy p = { .when = RESTART_ALWAYS, .delay_us = S, .max_delay_us = 4 * S, .steps = 2, .limit_us = 100 * S, .limit_burst = 3 };
	struct restart_end end = { .outcome = OUTCOME_SIGNAL, .signal = 9, .started_us = NOW, .ended_us = NOW };
	struct restart_count c = { 0 };
	int64_t due, begin;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
		assert_in_range(due, NOW + (S << i) - 5, NOW + (S << i) + 5);
	}
	begin = c.limit_begin_us;
	assert_in_range(begin, NOW + S - 5, NOW + S + 5);
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_LIMIT);
	assert_int_equal(c.restarts, 3);
	/* The time of the start counts, not that of the end before it. */
	end.retry_us = begin + 100 * S - 1;
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_LIMIT);
	end.retry_us++;
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	assert_int_equal(c.limit_begin_us, end.retry_us);
	assert_int_equal(c.limit_count, 1);
	assert_int_equal(c.restarts, 4);
	/* A run that lasted, or went well, begins a new row. A clock that was set back begins a new count. */
	end = (struct restart_end){ .outcome = OUTCOME_SIGNAL, .started_us = NOW - 100 * S, .ended_us = NOW };
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	assert_int_equal(c.restarts, 1);
	assert_in_range(c.limit_begin_us, NOW + S - 5, NOW + S + 5);
	end.started_us = NOW;
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	assert_int_equal(c.restarts, 2);
	end.outcome = OUTCOME_SUCCESS;
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	assert_int_equal(c.restarts, 1);
	/* No limit. */
	p.limit_burst = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	p.limit_burst = 1;
	p.limit_us = INT64_MAX;
	c = (struct restart_count){ 0 };
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_AGAIN);
	end.ended_us += 1000000 * S;
	assert_int_equal(restart_next(&p, &end, &c, &due), RESTART_LIMIT);
}

static void
test_json(void **state)
{
	char *prevent[] = { "7", "max-turns", NULL }, *none[] = { NULL };
	struct restart_policy p = { .when = RESTART_ON_TRANSIENT, .fresh = true, .delay_us = 5, .max_delay_us = INT64_MAX, .steps = 3,
				    .limit_us = 7, .limit_burst = 9, .prevent = prevent, .force = none, .prompt = "go \"on\"" };
	struct restart_policy q, copy;
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct json_object *o;

	restart_policy_json(&a, &p);
	assert_string_equal(a.data, "{\"when\":\"on-transient\",\"mode\":\"fresh\",\"delay_us\":5,\"max_delay_us\":null,\"steps\":3,\"limit_us\":7,"
				    "\"limit_burst\":9,\"prevent\":[\"7\",\"max-turns\"],\"force\":[],\"prompt\":\"go \\\"on\\\"\"}");
	o = json_tokener_parse(a.data);
	restart_policy_parse(&q, o);
	json_object_put(o);
	restart_policy_copy(&copy, &q);
	restart_policy_done(&q);
	restart_policy_json(&b, &copy);
	assert_string_equal(a.data, b.data);
	restart_policy_done(&copy);
	/* A run of an older aod has none. */
	restart_policy_parse(&q, NULL);
	assert_int_equal(q.when, RESTART_NO);
	assert_null(q.prompt);
	buf_free(&a);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_golden), cmocka_unit_test(test_table_holds), cmocka_unit_test(test_words),
		cmocka_unit_test(test_wanted),	     cmocka_unit_test(test_delay),
		cmocka_unit_test(test_next),	     cmocka_unit_test(test_limit),     cmocka_unit_test(test_json),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
