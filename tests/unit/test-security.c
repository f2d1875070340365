/* SPDX-License-Identifier: MIT */
/* The score: each key that hardens lowers it, and the profiles stand where they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "model/sandbox.h"

#define PLAIN "[Agent]\nAdapter=command\n"

static struct blueprint *
effective(const char *text)
{
	struct blueprint *b = blueprint_new("bp", NULL), *c;
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;

	if (blueprint_add(b, "bp", text, strlen(text), &p) > 0)
		fail_msg("%s", p.v[0].text);
	blueprint_problems_free(&p);
	c = sandbox_effective(b);
	blueprint_free(b);
	return c;
}

/* The score before it is rounded: the sum of its lines. */
static double
sum_of(const char *text, bool root)
{
	struct blueprint *b = effective(text);
	struct security_line lines[SECURITY_LINES_MAX];
	double sum = 0, exposure;
	int count = 0;

	exposure = security_assess(b, root, lines, &count);
	assert_true(count > 50 && count <= SECURITY_LINES_MAX);
	for (int i = 0; i < count; i++) {
		assert_true(lines[i].good == (lines[i].exposure == 0) && lines[i].good == !lines[i].mend);
		assert_true(lines[i].key && *lines[i].key && lines[i].text && *lines[i].text && lines[i].exposure >= 0);
		sum += lines[i].exposure;
	}
	assert_true(exposure >= sum - 1e-6 && exposure < sum + 0.1 + 1e-6);
	blueprint_free(b);
	return sum;
}

/* What is set on top of nothing, with the least that it has to lower the score by. */
static void
test_each_key_lowers(void **state)
{
	static const char *const keys[] = {
		"User=alice", "DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=none", "CapabilityBoundingSet=~CAP_SYS_ADMIN",
		"CapabilityBoundingSet=~CAP_SYS_PTRACE", "PrivateTmp=yes", "PrivateDevices=yes", "PrivateNetwork=yes", "PrivatePIDs=yes", "PrivateUsers=yes",
		"PrivateIPC=yes", "ProtectSystem=yes", "ProtectSystem=full", "ProtectSystem=strict", "ProtectHome=read-only", "ProtectHome=tmpfs",
		"ProtectHome=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes",
		"ProtectProc=noaccess", "ProtectProc=invisible", "ProcSubset=pid", "ProtectHostname=yes", "ProtectClock=yes", "RestrictNamespaces=yes",
		"RestrictNamespaces=~user", "RestrictNamespaces=net", "RestrictAddressFamilies=none", "RestrictAddressFamilies=AF_UNIX",
		"RestrictAddressFamilies=~AF_PACKET", "RestrictSUIDSGID=yes", "RestrictRealtime=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
		"SystemCallFilter=@system-service", "SystemCallFilter=@basic-io", "SystemCallArchitectures=native", "UMask=0077", "UMask=0027",
		"Sandbox=workspace", "Sandbox=strict", "WorkspaceQuota=1G",
	};
	double plain = sum_of(PLAIN, true);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		CLEANUP_FREE char *text = xasprintf(PLAIN "[Sandbox]\n%s\n", keys[i]);
		double with = sum_of(text, true);

		if (with >= plain - 1e-9)
			fail_msg("%s: %f is not below %f", keys[i], with, plain);
	}
	assert_true(sum_of(PLAIN "[Resources]\nMemoryMax=1G\n", true) < plain);
	assert_true(sum_of(PLAIN "[Resources]\nTasksMax=10\n", true) < plain);
	assert_true(sum_of(PLAIN "[Resources]\nCPUQuota=10%\n", true) < plain);
	assert_true(sum_of(PLAIN "[Resources]\nLimitCORE=0\n", true) < plain);
	assert_true(sum_of(PLAIN "[Resources]\nMemoryMax=infinity\n", true) == plain);
}

static void
test_each_key_raises(void **state)
{
	static const char *const texts[] = {
		"[Sandbox]\nSystemCallFilter=no\n",	    "[Sandbox]\nAmbientCapabilities=CAP_NET_RAW\n",
		"[Sandbox]\nUMask=0000\n",		    "[Sandbox]\nBindPaths=/run/docker.sock\n",
		"[Agent]\nPassEnvironment=API_KEY\n",	    "[Agent]\nEnvironment=GH_TOKEN=x\n",
		"[Sandbox]\nSystemCallFilter=~@swap\n",
	};
	double plain = sum_of(PLAIN, true);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP_FREE char *text = xasprintf(PLAIN "%s", texts[i]);

		if (sum_of(text, true) <= plain)
			fail_msg("%s", texts[i]);
	}
	assert_true(sum_of(PLAIN "[Agent]\nPassEnvironment=LANG\nEnvironment=A=KEY\n", true) == plain);
	/* One that is loosened in strict. */
	assert_true(sum_of("[Sandbox]\nProtectHome=no\n", true) > sum_of("", true));
	assert_true(sum_of("[Sandbox]\nCapabilityBoundingSet=CAP_SYS_ADMIN\n", false) == sum_of("", false)); /* not to be had without root */
}

/* A filter in words: what it allows and what it takes away. */
static void
test_filter(void **state)
{
	static const struct {
		const char *filter;
		bool mount, debug, swap, keyring;
	} cases[] = {
		{ "yes", false, false, true, true },
		{ "no", false, false, false, false },
		{ "@system-service", true, true, true, false },
		{ "@system-service ~@keyring", true, true, true, true },
		{ "@system-service @mount", false, true, true, false },
		{ "@system-service mount:EPERM ptrace", false, false, true, false },
		{ "@basic-io @privileged", true, true, false, true },
		{ "~@mount @swap", true, false, true, false },
		{ "~mount", false, false, false, false },
	};
	static const char *const keys[] = { "SystemCallFilter=~@mount", "SystemCallFilter=~@debug", "SystemCallFilter=~@swap", "SystemCallFilter=~@keyring" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const bool want[] = { cases[i].mount, cases[i].debug, cases[i].swap, cases[i].keyring };
		CLEANUP_FREE char *text = xasprintf(PLAIN "[Sandbox]\nSystemCallFilter=%s\n", cases[i].filter);
		struct security_line lines[SECURITY_LINES_MAX];
		struct blueprint *b = effective(text);
		int count, found = 0;

		security_assess(b, true, lines, &count);
		for (int k = 0; k < count; k++)
			for (size_t n = 0; n < ARRAY_LEN(keys); n++)
				if (strcmp(lines[k].key, keys[n]) == 0) {
					found++;
					if (lines[k].good != want[n])
						fail_msg("SystemCallFilter=%s: %s is %d", cases[i].filter, keys[n], lines[k].good);
				}
		assert_int_equal(found, ARRAY_LEN(keys));
		blueprint_free(b);
	}
}

static void
test_profiles(void **state)
{
	double none = sum_of(PLAIN, true), workspace = sum_of("[Sandbox]\nSandbox=workspace\n", true), strict = sum_of("", true);
	double tight = sum_of("[Sandbox]\nPrivateNetwork=yes\nPrivateUsers=yes\n", true);

	assert_true(none > 8 && workspace < 5 && strict < 1.2 && tight < 0.6);
	assert_string_equal(security_grade(tight), "SAFE");
	/* An ordinary user's agent has less to begin with. */
	assert_true(sum_of(PLAIN, false) < none);
	assert_true(sum_of("[Sandbox]\nSandbox=workspace\n", false) < workspace);
}

static void
test_grade(void **state)
{
	static const struct {
		double exposure;
		const char *grade;
	} cases[] = { { 0, "PERFECT" }, { 0.1, "SAFE" }, { 0.9, "SAFE" },	 { 1.0, "OK" },	     { 4.9, "OK" },    { 5.0, "MEDIUM" },
		      { 7.4, "MEDIUM" }, { 7.5, "EXPOSED" }, { 9.0, "UNSAFE" }, { 9.9, "UNSAFE" }, { 10, "DANGEROUS" } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(security_grade(cases[i].exposure), cases[i].grade);
}

static void
test_json(void **state)
{
	struct blueprint *b = effective("");
	struct buf out = BUF_INIT;
	struct json_object *o, *v, *line;

	buf_putc(&out, '{');
	security_json(&out, b, true, true);
	buf_putc(&out, '}');
	o = json_tokener_parse(out.data);
	assert_true(json_object_object_get_ex(o, "lines", &v));
	assert_true(json_object_array_length(v) > 50);
	line = json_object_array_get_idx(v, 0);
	assert_true(json_object_object_get_ex(line, "key", &v) && json_object_object_get_ex(line, "good", &v) && json_object_get_boolean(v));
	assert_true(json_object_object_get_ex(o, "grade", &v));
	json_object_put(o);
	buf_reset(&out);
	security_json(&out, b, true, false);
	assert_null(strstr(out.data, "lines"));
	buf_free(&out);
	blueprint_free(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_key_lowers), cmocka_unit_test(test_each_key_raises), cmocka_unit_test(test_filter),
		cmocka_unit_test(test_profiles),	cmocka_unit_test(test_grade),		cmocka_unit_test(test_json),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
