/* SPDX-License-Identifier: MIT */
/* Refusals as events: which directive each call is put down to. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <setjmp.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "aod/denied.h"
#include "base/buf.h"
#include "base/util.h"

static bool
refused(struct event *ev, const char *call, uint64_t a0, uint64_t a1, bool basic)
{
	struct buf text = BUF_INIT;
	struct frame f = { .type = FRAME_DENIED, .time_us = 1000000 };
	bool ok;

	buf_printf(&text, "nr=%d%carch=%u%cpid=42%ccomm=tool%cargs=%llu,%llu,0,0,0,0%c", seccomp_syscall_resolve_name(call), 0, seccomp_arch_native(), 0, 0,
		   0, (unsigned long long)a0, (unsigned long long)a1, 0);
	f.payload = text.data;
	f.len = (uint32_t)text.len;
	ok = denied_call(ev, &f, basic);
	buf_free(&text);
	return ok;
}

static void
test_keys(void **state)
{
	static const struct {
		const char *call;
		uint64_t a0, a1;
		const char *key;
	} rows[] = {
		{ "mount", 0, 0, "SystemCallFilter=@mount" },
		{ "ptrace", 0, 0, "SystemCallFilter=ptrace" },
		{ "keyctl", 0, 0, "SystemCallFilter=@keyring" },
		{ "socket", AF_PACKET, 0, "RestrictAddressFamilies=AF_PACKET" },
		{ "socket", 0xffff00000000u | AF_VSOCK, 0, "RestrictAddressFamilies=AF_VSOCK" },
		{ "socket", 63, 0, "RestrictAddressFamilies=" },
		{ "unshare", CLONE_NEWUSER | CLONE_NEWNET, 0, "RestrictNamespaces=net user" },
		{ "clone", CLONE_NEWNS | 17, 0, "RestrictNamespaces=mnt" },
		{ "setns", 3, CLONE_NEWPID, "RestrictNamespaces=pid" },
		{ "setns", CLONE_NEWPID, 0, "RestrictNamespaces=no" },
		{ "chmod", 1, 04755, "RestrictSUIDSGID=no" },
		{ "sched_setattr", 0, 0, "RestrictRealtime=no" },
		{ "personality", 8, 0, "LockPersonality=no" },
		{ "mprotect", 0, 0, "MemoryDenyWriteExecute=no" },
		{ "sethostname", 0, 0, "ProtectHostname=no SystemCallFilter=sethostname" },
		{ "settimeofday", 0, 0, "ProtectClock=no SystemCallFilter=@clock" },
		{ "init_module", 0, 0, "ProtectKernelModules=no SystemCallFilter=@module" },
		{ "syslog", 0, 0, "ProtectKernelLogs=no SystemCallFilter=syslog" },
	};
	struct event ev = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[120];

		assert_true(refused(&ev, rows[i].call, rows[i].a0, rows[i].a1, false));
		snprintf(want, sizeof(want), "\"key\":\"%s\",", rows[i].key);
		if (!strstr(ev.data.data, want))
			fail_msg("%s: %s is not in %s", rows[i].call, want, ev.data.data);
	}
	assert_true(refused(&ev, "bpf", 0, 0, true));
	assert_non_null(strstr(ev.data.data, "\"key\":\"SystemCallFilter=no\""));
	assert_true(refused(&ev, "ioctl", 0, 0x5412, false));
	assert_null(strstr(ev.data.data, "\"key\""));
	event_free(&ev);
}

static void
test_all_of_it(void **state)
{
	struct event ev = { 0 };

	(void)state;
	assert_true(refused(&ev, "mount", 0x7f0000000001, 2, false));
	assert_string_equal(ev.type, "denied");
	assert_int_equal(ev.time_us, 1000000);
	assert_string_equal(ev.data.data, "\"what\":\"system call\",\"syscall\":\"mount\",\"args\":[\"0x7f0000000001\",\"0x2\",\"0\",\"0\",\"0\",\"0\"],"
					  "\"program\":\"tool\",\"pid\":42,\"key\":\"SystemCallFilter=@mount\","
					  "\"reason\":\"mount(2) by tool was refused; it takes SystemCallFilter=@mount\"");
	event_free(&ev);
}

static void
test_no_refusal(void **state)
{
	static const char *const texts[] = { "", "nr=1", "nr=x arch=1 pid=1", "nr=-1 arch=1 pid=1", "arch=1 pid=1", "nr=99999999999 arch=1 pid=1" };
	struct event ev = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char text[64] = "";
		struct frame f = { .type = FRAME_DENIED, .payload = text, .len = (uint32_t)strlen(texts[i]) + 1 };

		for (size_t k = 0; texts[i][k]; k++)
			text[k] = texts[i][k] == ' ' ? '\0' : texts[i][k];
		assert_false(denied_call(&ev, &f, false));
	}
	event_free(&ev);
}

static void
test_start(void **state)
{
	struct event ev = { 0 };

	(void)state;
	assert_false(denied_exec(&ev, "exec", ENOENT, 1));
	assert_false(denied_exec(&ev, NULL, EPERM, 1));
	assert_true(denied_exec(&ev, "mount /proc", EPERM, 7));
	assert_string_equal(ev.data.data, "\"what\":\"start\",\"step\":\"mount /proc\",\"key\":\"ProtectSystem=\","
					  "\"reason\":\"the agent could not be started: mount /proc: Operation not permitted; see ProtectSystem=\"");
	assert_true(denied_exec(&ev, "nice", EACCES, 7));
	assert_non_null(strstr(ev.data.data, "\"key\":\"Nice=\""));
	assert_true(denied_exec(&ev, "oom-score", EACCES, 7));
	assert_non_null(strstr(ev.data.data, "\"key\":\"OOMScoreAdjust=\""));
	assert_true(denied_exec(&ev, "fork", EACCES, 7));
	assert_null(strstr(ev.data.data, "\"key\""));
	event_free(&ev);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_all_of_it),
		cmocka_unit_test(test_no_refusal),
		cmocka_unit_test(test_start),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
