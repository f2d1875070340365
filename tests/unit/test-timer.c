/* SPDX-License-Identifier: MIT */
/* When timers are due, and the warnings about those that never are. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/timer.h"

#define S INT64_C(1000000)
#define H (3600 * S)

static struct timer_rule *
rule(const char *timer)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	CLEANUP_FREE char *text = xasprintf("[Timer]\n%s\n", timer);
	struct blueprint *b = blueprint_new("test", NULL);
	struct timer_rule *r;

	assert_int_equal(blueprint_add(b, "test.blueprint", text, strlen(text), &p), 0);
	r = timer_rule_new(b);
	blueprint_free(b);
	blueprint_problems_free(&p);
	return r;
}

static int64_t
at(const char *iso)
{
	int64_t us;

	assert_true(time_parse_iso(iso, &us));
	return us;
}

static void
due_is(const char *timer, struct timer_past p, int64_t want)
{
	struct timer_rule *r = rule(timer);
	int64_t got = timer_due(r, &p);

	if (got != want)
		fail_msg("%s: due %lld, not %lld", timer, (long long)got, (long long)want);
	timer_rule_free(r);
}

static void
test_calendar(void **state)
{
	struct timer_past p = { .since_us = at("2026-11-22T10:00:00Z") };

	due_is("OnCalendar=*-*-* 12:00:00 UTC", p, at("2026-11-22T12:00:00Z"));
	due_is("OnCalendar=*-*-* 12:00:00 UTC\nOnCalendar=*-*-* 11:00:00 UTC", p, at("2026-11-22T11:00:00Z"));
	due_is("OnCalendar=*-*-* 10:00:00 UTC", p, at("2026-11-23T10:00:00Z"));
	due_is("OnCalendar=2020-01-01 UTC", p, TIMER_NEVER);
	due_is("OnCalendar=2020-01-01 UTC\nOnCalendar=2030-01-01 UTC", p, at("2030-01-01T00:00:00Z"));
	/* The hour that is not there in spring, and the one that is there twice in autumn. */
	p.since_us = at("2026-03-28T23:00:00Z");
	due_is("OnCalendar=*-*-* 03:30:00 Europe/Berlin", p, at("2026-03-29T01:30:00Z"));
	p.since_us = at("2026-10-24T23:00:00Z");
	due_is("OnCalendar=*-*-* 08:00:00 Europe/Berlin", p, at("2026-10-25T07:00:00Z"));
}

static void
test_spans(void **state)
{
	struct timer_past p = { .since_us = 1000 * H, .boot_us = 990 * H };

	due_is("OnBootSec=5h", p, 995 * H);
	due_is("OnBootSec=20h", p, 1010 * H);
	due_is("OnBootSec=infinity", p, TIMER_NEVER);
	due_is("OnUnitActiveSec=1h", p, TIMER_NEVER);
	due_is("OnBootSec=20h\nOnUnitActiveSec=1h", p, 1010 * H);
	p.boot_done = true;
	due_is("OnBootSec=20h", p, TIMER_NEVER);
	p.turn_us = 1000 * H;
	due_is("OnBootSec=20h\nOnUnitActiveSec=1h", p, 1001 * H);
	due_is("OnUnitActiveSec=0", p, 1000 * H + S);
	due_is("OnUnitActiveSec=infinity", p, TIMER_NEVER);
	p.boot_done = false;
	due_is("OnBootSec=10h\nOnUnitActiveSec=1h", p, 1000 * H);
}

static void
test_boot_passed(void **state)
{
	struct timer_rule *r = rule("OnBootSec=1h"), *none = rule("OnCalendar=daily");

	assert_false(timer_boot_passed(r, 10 * H, 11 * H - 1));
	assert_true(timer_boot_passed(r, 10 * H, 11 * H));
	assert_false(timer_boot_passed(none, 10 * H, 11 * H));
	timer_rule_free(r);
	timer_rule_free(none);
}

static void
test_delay(void **state)
{
	struct timer_rule *r = rule("OnCalendar=daily\nRandomizedDelaySec=2s"), *none = rule("OnCalendar=daily"),
			  *endless = rule("OnCalendar=daily\nRandomizedDelaySec=infinity");
	int halves[2] = { 0, 0 };

	srandom(20261122);
	for (int i = 0; i < 1000; i++) {
		uint64_t n = ((uint64_t)random() << 33) ^ ((uint64_t)random() << 11) ^ (uint64_t)random();
		int64_t us = timer_delay(r, n);

		assert_true(us >= 0 && us <= 2 * S);
		assert_int_equal(us, timer_delay(r, n));
		halves[us > S]++;
		assert_int_equal(timer_delay(none, n), 0);
		assert_int_equal(timer_delay(endless, n), 0);
	}
	assert_true(halves[0] > 400 && halves[1] > 400);
	assert_int_equal(timer_delay(r, 2 * S), 2 * S);
	assert_int_equal(timer_delay(r, 2 * S + 1), 0);
	timer_rule_free(r);
	timer_rule_free(none);
	timer_rule_free(endless);
}

static void
format_is(const char *timer, const char *want)
{
	struct timer_rule *r = rule(timer);
	struct buf text = BUF_INIT;

	assert_non_null(r);
	timer_rule_format(&text, r);
	assert_string_equal(text.data, want);
	buf_free(&text);
	timer_rule_free(r);
}

static void
test_format(void **state)
{
	format_is("OnCalendar=daily", "OnCalendar=*-*-* 00:00:00");
	format_is("OnCalendar=*-*-* 0:0:0\nRandomizedDelaySec=0", "OnCalendar=*-*-* 00:00:00");
	format_is("OnUnitActiveSec=90min\nOnBootSec=1500ms\nPersistent=yes\nRandomizedDelaySec=1min",
		  "OnBootSec=1500000us OnUnitActiveSec=5400s RandomizedDelaySec=60s Persistent=yes");
	format_is("OnBootSec=infinity", "OnBootSec=infinity");
	assert_null(rule("Persistent=yes\nRandomizedDelaySec=5s"));
	assert_null(rule(""));
}

/* The warning has these words; NULL: there is none. */
static void
lint_is(const char *name, const char *text, const char *want)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new(name, NULL);
	bool found = false;

	assert_int_equal(blueprint_add(b, "test.blueprint", text, strlen(text), &p), 0);
	blueprint_lint(b, &p);
	for (int i = 0; i < p.count; i++)
		found |= want && strstr(p.v[i].text, want);
	if (want ? !found : p.count)
		fail_msg("%s: %s", text, p.count ? p.v[0].text : "no warning");
	blueprint_problems_free(&p);
	blueprint_free(b);
}

static void
test_lint(void **state)
{
	lint_is("a", "[Agent]\nPrompt=x\n[Timer]\nOnCalendar=daily\nPersistent=yes\n", NULL);
	lint_is("a@b", "[Agent]\nPrompt=x\n[Timer]\nOnBootSec=1\nOnUnitActiveSec=1h\n", NULL);
	lint_is("a", "[Agent]\nAdapter=command\nExecStart=/bin/true\n[Timer]\nOnCalendar=daily\n", NULL);
	lint_is("a", "[Agent]\nPrompt=x\n[Timer]\nRandomizedDelaySec=5\n", "names no time");
	lint_is("a", "[Agent]\nPrompt=x\n[Timer]\nPersistent=yes\n", "names no time");
	lint_is("a", "[Agent]\nPrompt=x\n[Timer]\nOnUnitActiveSec=1h\n", "alone never starts");
	lint_is("a@", "[Agent]\nPrompt=x\n[Timer]\nOnCalendar=daily\n", "of a template");
	lint_is("a", "[Timer]\nOnCalendar=daily\n", "without Prompt=");
	lint_is("a", "[Agent]\nAdapter=command\n[Timer]\nOnCalendar=daily\n", "without ExecStart=");
	lint_is("a", "[Agent]\nPrompt=x\n[Timer]\nOnBootSec=1\nPersistent=yes\n", "without OnCalendar=");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar), cmocka_unit_test(test_spans), cmocka_unit_test(test_boot_passed), cmocka_unit_test(test_delay),
		cmocka_unit_test(test_format),	 cmocka_unit_test(test_lint),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
