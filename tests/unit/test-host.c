/* SPDX-License-Identifier: MIT */
/* What a host lacks keeps what needs it from starting, with the key and the mend. What this host gives is found by trying, whatever that is. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/action.h"
#include "aod/cgroup-internal.h"
#include "aod/host.h"
#include "base/fd.h"
#include "base/util.h"

#define ALL (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER)

static int
check(const struct host *h, enum sandbox_profile profile, const char *key, unsigned namespaces, struct err *e)
{
	struct sandbox s = { .profile = profile, .namespaces = namespaces };
	int rc;

	memset(e, 0, sizeof(*e));
	s.needs = key ? strv_add(NULL, key) : NULL;
	rc = host_check(h, &s, e);
	strv_free(s.needs);
	return rc;
}

static void
test_probe(void **state)
{
	char before[64], after[64];
	struct host h;
	ssize_t n = readlink("/proc/self/ns/mnt", before, sizeof(before)), m;

	(void)state;
	host_probe(&h, "/tmp");
	m = readlink("/proc/self/ns/mnt", after, sizeof(after));
	assert_true(n > 0 && n == m && !memcmp(before, after, (size_t)n));
	assert_int_equal(h.root, geteuid() == 0);
	assert_int_equal(h.namespaces & ~(unsigned)ALL, 0);
	if (h.proc)
		assert_true(h.namespaces & CLONE_NEWPID);
	if (!h.root)
		assert_int_not_equal(h.idmap, 0);
	assert_true(h.nice_min >= -20 && h.nice_min <= getpriority(PRIO_PROCESS, 0));
	assert_true(h.oom_min >= -1000 && h.oom_min <= 0);
}

static void
test_all_there(void **state)
{
	const struct host h = { .root = true, .namespaces = ALL, .proc = true, .landlock = 3, .seccomp = true, .notify = true };
	struct err e;

	(void)state;
	assert_int_equal(check(&h, SANDBOX_STRICT, "DynamicUser", ALL, &e), 0);
	assert_int_equal(check(&h, SANDBOX_NONE, NULL, 0, &e), 0);
}

static void
test_keys(void **state)
{
	static const struct {
		const char *key;
		struct host h;
		const char *says;
	} rows[] = {
		{ "ProtectHome", { .root = true, .namespaces = ALL & ~CLONE_NEWNS, .seccomp = true }, "mount namespace" },
		{ "PrivatePIDs", { .root = true, .namespaces = CLONE_NEWNS, .seccomp = true }, "pid namespace" },
		{ "PrivateNetwork", { .root = false, .namespaces = CLONE_NEWNS | CLONE_NEWPID, .seccomp = true }, "unprivileged_userns_clone" },
		{ "User", { .namespaces = ALL, .seccomp = true }, "not root" },
		{ "SystemCallFilter", { .root = true, .namespaces = ALL }, "CONFIG_SECCOMP_FILTER" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_FREE char *key = xasprintf("%s=", rows[i].key);

		assert_int_equal(check(&rows[i].h, SANDBOX_NONE, rows[i].key, 0, &e), -ENOTSUP);
		assert_int_equal(e.status, 422);
		assert_true(str_starts(e.text, key));
		assert_non_null(strstr(e.text, rows[i].says));
	}
}

/* What the profile itself is about. */
static void
test_profiles(void **state)
{
	struct host h = { .root = true, .namespaces = 0, .landlock = 1, .seccomp = true };
	struct sandbox_mount proc = { .op = MOUNT_PROC };
	struct sandbox s = { .profile = SANDBOX_STRICT, .mounts = &proc, .mount_count = 1 };
	struct err e;

	(void)state;
	assert_int_equal(check(&h, SANDBOX_STRICT, NULL, 0, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "Sandbox=strict"));
	assert_int_equal(check(&h, SANDBOX_WORKSPACE, NULL, 0, &e), 0);
	h.landlock = 0;
	assert_int_equal(check(&h, SANDBOX_WORKSPACE, NULL, 0, &e), -ENOTSUP);
	assert_int_equal(check(&h, SANDBOX_NONE, NULL, 0, &e), 0);
	h.namespaces = ALL;
	assert_int_equal(host_check(&h, &s, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "/proc"));
	h.proc = true;
	assert_int_equal(host_check(&h, &s, &e), 0);
}

/* Values below what aod may give. */
static void
test_numbers(void **state)
{
	const struct host user = { .namespaces = ALL, .seccomp = true, .nice_min = 0, .oom_min = 0 };
	const struct host root = { .root = true, .namespaces = ALL, .seccomp = true, .nice_min = -20, .oom_min = -1000 };
	struct sandbox nice = { .nice = -5, .oom_score_adj = INT64_MIN }, oom = { .nice = INT64_MIN, .oom_score_adj = -1 };
	struct sandbox more = { .nice = 5, .oom_score_adj = 300 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(host_check(&user, &nice, &e), -ENOTSUP);
	assert_int_equal(e.status, 422);
	assert_true(str_starts(e.text, "Nice=-5 ") && strstr(e.text, "run aod as root"));
	assert_int_equal(host_check(&user, &oom, &e), -ENOTSUP);
	assert_true(str_starts(e.text, "OOMScoreAdjust=-1 "));
	assert_int_equal(host_check(&user, &more, &e), 0);
	assert_int_equal(host_check(&root, &nice, &e), 0);
	assert_int_equal(host_check(&root, &oom, &e), 0);
}

static void
test_names(void **state)
{
	char names[64];

	(void)state;
	assert_string_equal(host_namespace_names(0, names), "");
	assert_string_equal(host_namespace_names(ALL, names), "mount pid net ipc uts user");
	assert_string_equal(host_namespace_names(CLONE_NEWNET, names), "net");
}

/* What only the newest kernels keep from an agent is said for the others. */
static void
test_doctor(void **state)
{
	const struct config cfg = { .state = "/tmp" };
	struct cgroups none = { .mode = CGROUP_NONE };
	struct manager m = { .cfg = &cfg, .cgroups = &none, .search_path = "/usr/bin" };
	static const int abi[] = { 0, 1, 5, 6, 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(abi); i++) {
		struct buf b = BUF_INIT;

		m.gives.landlock = abi[i];
		doctor_report(&m, &b);
		assert_int_equal(strstr(b.data, "\"abstract-sockets\",\"status\":\"warn\"") != NULL, abi[i] < 6);
		assert_int_equal(strstr(b.data, "PrivateNetwork=yes") != NULL, abi[i] < 6);
		buf_free(&b);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),	 cmocka_unit_test(test_all_there), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_profiles), cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_doctor),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
