/* SPDX-License-Identifier: MIT */
/*
 * Filter programs: every call number by simulation, beside what the words say when they are read here, by other code; then a few for real, in a
 * process that has the program on. What the strict profile decides is in seccomp-strict.golden; test-seccomp --print prints it anew.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "aod/seccomp-internal.h"
#include "aod/seccomp.h"
#include "base/buf.h"
#include "base/util.h"
#include "model/blueprint.h"
#include "model/sandbox.h"

#define GOLDEN "tests/unit/seccomp-strict.golden"
#define NUMBERS 600
#define ALLOW SECCOMP_RET_ALLOW
#define NOTIFY SECCOMP_RET_USER_NOTIF
#define ERRNO(n) (SECCOMP_RET_ERRNO | (uint32_t)(n))
#define KILL SECCOMP_RET_KILL_PROCESS

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "no AUDIT_ARCH_… for this machine here"
#endif

static struct seccomp_cache *cache;

/* ---- helpers ---- */

static int
program(const struct sandbox_syscalls *s, bool *notify)
{
	struct err e = { 0 };
	bool none, told;
	int fd = seccomp_get(cache, s, &none, notify ? notify : &told, &e);

	if (fd < 0)
		fail_msg("%s", e.text);
	assert_false(none);
	return fd;
}

static uint32_t
ask(int fd, const char *call, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	const uint64_t args[6] = { a0, a1, a2, a3 };
	int nr = seccomp_syscall_resolve_name(call);

	assert_true(nr >= 0);
	return seccomp_simulate(fd, NATIVE, (uint32_t)nr, args);
}

static int
refused_text(struct sandbox_syscalls *s, char *text)
{
	struct err e = { 0 };
	bool none, notify;
	int fd = seccomp_get(cache, s, &none, &notify, &e);

	snprintf(text, sizeof(e.text), "%s", e.text);
	assert_true(fd >= 0 || e.status == 422);
	return fd;
}

/* ---- what the words say, read here ---- */

static bool
member(const char *group, const char *name)
{
	const char *const *v = seccomp_group(group);

	assert_non_null(v);
	for (; *v; v++)
		if (strcmp(*v, name) == 0)
			return true;
	return false;
}

/* systemd's newest groups hold calls that libseccomp has no name for. */
static void
name_of(int nr, char out[64])
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
	char ours[SECCOMP_NAME];

	snprintf(out, 64, "%s", name ? name : seccomp_call_name(NATIVE, nr, ours));
	free(name);
}

/* A word of a list and a call's name: 1 when it stands for it, 2 when by that name itself. */
static int
stands_for(const char *word, const char *name)
{
	char bare[64];

	snprintf(bare, sizeof(bare), "%s", word + (*word == '~'));
	bare[strcspn(bare, ":")] = 0;
	return *bare == '@' ? member(bare, name) : strcmp(bare, name) == 0 ? 2 : 0;
}

static uint32_t
expected(char *const *words, const char *name, bool known, uint32_t refuse)
{
	bool allow_list = words[0][0] != '~';
	bool uring = strncmp(name, "io_uring_", 9) == 0, vm = strncmp(name, "process_vm_", 11) == 0;
	uint32_t action = uring ? ERRNO(ENOSYS) : !allow_list ? ALLOW : known ? refuse : ERRNO(ENOSYS);

	if (allow_list && member("@default", name))
		action = ALLOW;
	for (; *words; words++) {
		int how = stands_for(*words, name);
		const char *colon = strchr(*words, ':');

		if (!how)
			continue;
		if (colon)
			action = strcmp(colon + 1, "kill") == 0 ? KILL : ERRNO(strcmp(colon + 1, "ENOANO") == 0 ? ENOANO : atoi(colon + 1));
		else if (**words == '~')
			action = uring && how == 1 ? action : refuse;
		else if (how == 2 || (!uring && !vm))
			action = ALLOW;
	}
	return action;
}

static void
check_list(char *const *words, uint32_t refuse)
{
	static char *native[] = { "native", NULL };
	struct sandbox_syscalls s = { .filter = (char **)words, .architectures = native };
	int fd = program(&s, NULL);

	for (int nr = 0; nr < NUMBERS; nr++) {
		char *resolved = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		uint32_t got = seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL), want;
		char name[64];

		name_of(nr, name);
		want = expected(words, name, resolved != NULL, refuse);
		free(resolved);
		/* Without arguments: socket(AF_UNSPEC) is allowed as long as no family is said. */
		if (got != want)
			fail_msg("%s …: %s (%d) is %#x, not %#x", words[0], name, nr, got, want);
		assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, (uint32_t)nr, NULL), KILL);
		assert_int_equal(seccomp_simulate(fd, NATIVE, (uint32_t)nr | 0x40000000u, NULL), NATIVE == AUDIT_ARCH_X86_64 ? KILL : ERRNO(ENOSYS));
	}
}

/* ---- lists ---- */

static void
test_each_group(void **state)
{
	(void)state;
	for (const char *const *g = seccomp_groups(); *g; g++) {
		char name[64], but[64];
		char *alone[] = { name, NULL }, *denied[] = { but, NULL };

		snprintf(name, sizeof(name), "%s", *g);
		snprintf(but, sizeof(but), "~%s", *g);
		check_list(alone, ERRNO(EPERM));
		check_list(denied, ERRNO(EPERM));
	}
}

static void
test_words(void **state)
{
	static char *const lists[][6] = {
		{ "read" },
		{ "~ptrace", "~@mount:ENOANO", "mount" },
		{ "@system-service", "~@privileged", "~@resources", "chown" },
		{ "@system-service", "ptrace:38", "~@keyring:kill" },
		{ "@system-service", "io_uring_setup", "process_vm_readv", "@aio" },
		{ "@known", "~io_uring_enter" },
		{ "~", "~acct" },
		{ "mseal", "futex_wait", "setxattrat" },
		{ "~io_uring_setup", "io_uring_enter" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		check_list(lists[i], ERRNO(EPERM));
}

static void
test_error_number(void **state)
{
	static const struct {
		char *error;
		uint32_t action;
	} rows[] = { { NULL, ERRNO(EPERM) }, { "EACCES", ERRNO(EACCES) }, { "kill", KILL }, { "7", ERRNO(7) }, { "ENOTSUP", ERRNO(EOPNOTSUPP) } };
	char *words[] = { "@basic-io", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sandbox_syscalls s = { .filter = words, .error = rows[i].error, .no_clock = true };
		int fd = program(&s, NULL);

		assert_int_equal(ask(fd, "mount", 0, 0, 0, 0), rows[i].action);
		assert_int_equal(ask(fd, "read", 0, 0, 0, 0), ALLOW);
		/* Numbers that nobody knows: as on an older kernel, whatever the error is. */
		assert_int_equal(seccomp_simulate(fd, NATIVE, 599, NULL), ERRNO(ENOSYS));
	}
}

static void
test_groups_are_systemds(void **state)
{
	(void)state;
	assert_true(member("@default", "execve") && member("@default", "mmap"));
	assert_true(member("@system-service", "socket") && !member("@system-service", "mount") && !member("@system-service", "bpf"));
	assert_true(member("@privileged", "reboot") && member("@privileged", "chown"));
	assert_true(member("@known", "ptrace") && member("@known", "_sysctl"));
	assert_true(member("default", "landlock_add_rule"));
	assert_null(seccomp_group("@nothing"));
	for (const char *const *g = seccomp_groups(); *g; g++) {
		const char *const *v = seccomp_group(*g);

		assert_non_null(v[0]);
		for (; v[1]; v++)
			assert_true(strcmp(v[0], v[1]) < 0);
	}
}

static void
test_unknown(void **state)
{
	static char *const lists[][3] = { { "nosuchcall" }, { "@nosuch" }, { "mount:NOERROR" }, { "~mount", "nosuch:EPERM" }, { "" }, { ":EPERM" } };
	char text[sizeof(((struct err *)0)->text)];
	char *family[] = { "AF_NOSUCH", NULL };
	struct sandbox_syscalls s = { .families = family };

	(void)state;
	assert_true(refused_text(&s, text) < 0 && strstr(text, "AF_NOSUCH"));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		s = (struct sandbox_syscalls){ .filter = (char **)lists[i] };
		assert_true(refused_text(&s, text) < 0 && strstr(text, "SystemCallFilter="));
		/* A failure leaves nothing in the cache. */
		assert_true(refused_text(&s, text) < 0);
	}
	s = (struct sandbox_syscalls){ .error = "ENOSUCH" };
	assert_true(refused_text(&s, text) < 0 && strstr(text, "SystemCallErrorNumber="));
	s = (struct sandbox_syscalls){ .log = (char **)lists[0] };
	assert_true(refused_text(&s, text) < 0 && strstr(text, "SystemCallLog="));
}

static void
test_log(void **state)
{
	char *words[] = { "@system-service", NULL }, *log[] = { "@mount", "openat", NULL }, *but[] = { "~openat", NULL };
	struct sandbox_syscalls s = { .filter = words, .log = log };
	int fd = program(&s, NULL);

	(void)state;
	assert_int_equal(ask(fd, "openat", 0, 0, 0, 0), SECCOMP_RET_LOG);
	assert_int_equal(ask(fd, "mount", 0, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "read", 0, 0, 0, 0), ALLOW);
	s.log = but;
	fd = program(&s, NULL);
	assert_int_equal(ask(fd, "openat", 0, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "read", 0, 0, 0, 0), SECCOMP_RET_LOG);
}

static bool
is_basic(const char *name)
{
	static const char *const denied[] = {
		"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm", "iopl",
		"kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "open_by_handle_at", "perf_event_open", "quotactl", "reboot",
		"request_key", "settimeofday", "swapoff", "swapon", "userfaultfd", "vhangup",
	};

	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		if (strcmp(denied[i], name) == 0)
			return true;
	return false;
}

static void
test_basic(void **state)
{
	const struct sandbox_syscalls s = { .basic = true };
	bool none, notify;
	struct err e = { 0 };
	int fd = seccomp_get(cache, &s, &none, &notify, &e);

	(void)state;
	assert_true(fd >= 0);
	for (int nr = 0; nr < NUMBERS; nr++) {
		uint32_t want;
		char name[64];

		name_of(nr, name);
		want = is_basic(name) ? ERRNO(EPERM) : ALLOW;
		if (strncmp(name, "io_uring_", 9) == 0)
			want = ERRNO(ENOSYS);
		assert_int_equal(seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL), want);
		assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, (uint32_t)nr, NULL), ERRNO(ENOSYS));
		assert_int_equal(seccomp_simulate(fd, NATIVE, (uint32_t)nr | 0x40000000u, NULL), ERRNO(ENOSYS));
	}
	assert_int_equal(ask(fd, "socket", AF_VSOCK, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "ioctl", 0, TIOCSTI, 0, 0), ERRNO(EPERM));
}

/* ---- arguments ---- */

#define HIGH 0xabcd000000000000u /* above what the kernel looks at in an int */

static void
test_families(void **state)
{
	static char *const allow[] = { "AF_UNIX", "AF_INET", "AF_INET6", NULL }, *const deny[] = { "~AF_PACKET", "~AF_INET", NULL };
	static char *const none[] = { "none", NULL }, *const vsock[] = { "AF_VSOCK", NULL };
	static const struct {
		char *const *words;
		bool list;
		int families[4];
		bool allowed; /* those, or all but those */
	} rows[] = {
		{ allow, true, { AF_UNIX, AF_INET, AF_INET6 }, true },
		{ deny, true, { AF_PACKET, AF_INET, AF_VSOCK, AF_PACKET }, false },
		{ none, false, { -1, -1, -1 }, true },
		{ vsock, true, { AF_VSOCK, AF_VSOCK, AF_VSOCK }, true },
		{ NULL, true, { AF_VSOCK, AF_VSOCK, AF_VSOCK, AF_VSOCK }, false },
	};
	char *words[] = { "@system-service", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sandbox_syscalls s = { .families = (char **)rows[i].words, .filter = rows[i].list ? words : NULL };
		int fd = program(&s, NULL);

		for (int f = 0; f < 46; f++) {
			bool listed = false, pair;
			uint32_t want;

			for (int k = 0; k < (rows[i].allowed ? 3 : 4); k++)
				listed = listed || rows[i].families[k] == f;
			want = listed == rows[i].allowed ? ALLOW : ERRNO(EAFNOSUPPORT);
			pair = want == ALLOW || f == AF_UNIX;
			assert_int_equal(ask(fd, "socket", (uint64_t)f, SOCK_STREAM, 0, 0), want);
			assert_int_equal(ask(fd, "socket", (uint64_t)f | HIGH, SOCK_STREAM, 0, 0), want);
			assert_int_equal(ask(fd, "socketpair", (uint64_t)f | HIGH, 0, 0, 0), pair ? ALLOW : ERRNO(EAFNOSUPPORT));
		}
		assert_string_equal(seccomp_family_name(AF_PACKET), "AF_PACKET");
	}
}

static void
test_namespaces(void **state)
{
	static const unsigned flags[] = { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS };
	struct sandbox_syscalls none = { .restrict_namespaces = true }, some = { .restrict_namespaces = true, .namespaces = CLONE_NEWNET };
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		bool ok = flags[i] == CLONE_NEWNET;

		fd = program(&none, NULL);
		assert_int_equal(ask(fd, "clone", SIGCHLD | flags[i], 0, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "unshare", flags[i] | HIGH, 0, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "setns", 3, flags[i], 0, 0), ERRNO(EPERM));
		fd = program(&some, NULL);
		assert_int_equal(ask(fd, "clone", SIGCHLD | flags[i], 0, 0, 0), ok ? ALLOW : ERRNO(EPERM));
		assert_int_equal(ask(fd, "unshare", flags[i] | CLONE_FS, 0, 0, 0), ok ? ALLOW : ERRNO(EPERM));
		assert_int_equal(ask(fd, "setns", 3, flags[i] | HIGH, 0, 0), ok ? ALLOW : ERRNO(EPERM));
	}
	assert_int_equal(ask(fd, "setns", 3, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "setns", 3, HIGH, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "unshare", 0x80 /* CLONE_NEWTIME */, 0, 0, 0), ERRNO(EPERM));
	/* Threads and children as every library makes them. */
	assert_int_equal(ask(fd, "clone", CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "clone", CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "clone3", 0, 0, 0, 0), ERRNO(ENOSYS));
}

static void
test_suid(void **state)
{
	struct sandbox_syscalls s = { .no_suid_sgid = true };
	int fd = program(&s, NULL);
	static const mode_t bits[] = { 0, S_ISUID, S_ISGID, S_ISUID | S_ISGID };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		uint64_t m = HIGH | bits[i] | 0755;
		uint32_t want = bits[i] ? ERRNO(EPERM) : ALLOW;

		assert_int_equal(ask(fd, "chmod", 1, m, 0, 0), want);
		assert_int_equal(ask(fd, "fchmod", 1, m, 0, 0), want);
		assert_int_equal(ask(fd, "fchmodat", 1, 1, m, 0), want);
		assert_int_equal(ask(fd, "fchmodat2", 1, 1, m, 0), want);
		assert_int_equal(ask(fd, "mkdir", 1, m, 0, 0), want);
		assert_int_equal(ask(fd, "mkdirat", 1, 1, m, 0), want);
		assert_int_equal(ask(fd, "mknod", 1, m | S_IFREG, 0, 0), want);
		assert_int_equal(ask(fd, "mknodat", 1, 1, m | S_IFREG, 0), want);
		assert_int_equal(ask(fd, "creat", 1, m, 0, 0), want);
		assert_int_equal(ask(fd, "open", 1, O_WRONLY | O_CREAT, m, 0), want);
		assert_int_equal(ask(fd, "openat", 1, 1, O_RDWR | O_CREAT | O_EXCL, m), want);
		assert_int_equal(ask(fd, "openat", 1, 1, O_RDWR | O_TMPFILE, m), want);
		/* No file is made: the mode is not looked at. */
		assert_int_equal(ask(fd, "openat", 1, 1, O_RDWR | O_DIRECTORY, m), ALLOW);
		assert_int_equal(ask(fd, "open", 1, O_RDONLY, m, 0), ALLOW);
	}
	assert_int_equal(ask(fd, "openat2", 0, 0, 0, 0), ERRNO(ENOSYS));
}

static void
test_other_arguments(void **state)
{
	struct sandbox_syscalls s = { .no_realtime = true, .lock_personality = true, .no_write_execute = true };
	int fd = program(&s, NULL);

	(void)state;
	for (int policy = 0; policy < 10; policy++) {
		bool ok = policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;

		assert_int_equal(ask(fd, "sched_setscheduler", 0, (uint64_t)policy, 0, 0), ok ? ALLOW : ERRNO(EPERM));
		/* A flag, or bits that the kernel does not look at, let no more through. */
		assert_int_equal(ask(fd, "sched_setscheduler", 0, (uint64_t)policy | SCHED_RESET_ON_FORK, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "sched_setscheduler", 0, (uint64_t)policy | HIGH, 0, 0), ERRNO(EPERM));
	}
	assert_int_equal(ask(fd, "sched_setattr", 0, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "personality", 0, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "personality", 0xffffffff, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "personality", HIGH, 0, 0, 0), ALLOW);
	for (int bit = 0; bit < 32; bit++) {
		assert_int_equal(ask(fd, "personality", 1ull << bit, 0, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "personality", 0xffffffffu & ~(1ull << bit), 0, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "personality", HIGH | 1ull << bit | 0x10000, 0, 0, 0), ERRNO(EPERM));
	}
	assert_int_equal(ask(fd, "mmap", 0, 1, PROT_READ | PROT_WRITE | PROT_EXEC, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "mmap", 0, 1, PROT_READ | PROT_EXEC, 0), ALLOW);
	assert_int_equal(ask(fd, "mmap", 0, 1, PROT_READ | PROT_WRITE, 0), ALLOW);
	assert_int_equal(ask(fd, "mprotect", 0, 1, PROT_READ | PROT_EXEC, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "mprotect", 0, 1, PROT_READ | PROT_WRITE, 0), ALLOW);
	assert_int_equal(ask(fd, "pkey_mprotect", 0, 1, PROT_EXEC, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "shmat", 0, 0, SHM_EXEC, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "shmat", 0, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "ioctl", 0, TIOCSTI, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "ioctl", 0, TIOCSTI | HIGH, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "ioctl", 0, TIOCLINUX | HIGH, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(fd, "ioctl", 0, TCGETS, 0, 0), ALLOW);
}

static void
test_protections(void **state)
{
	static const struct {
		struct sandbox_syscalls s;
		const char *call;
	} rows[] = {
		{ { .no_hostname = true }, "sethostname" }, { { .no_hostname = true }, "setdomainname" }, { { .no_clock = true }, "settimeofday" },
		{ { .no_clock = true }, "adjtimex" },	    { { .no_modules = true }, "finit_module" },	  { { .no_kernel_log = true }, "syslog" },
		{ { .no_raw_io = true }, "iopl" },
	};
	struct sandbox_syscalls nothing = { 0 };
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fd = program(&rows[i].s, NULL);
		assert_int_equal(ask(fd, rows[i].call, 0, 0, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(fd, "socket", AF_VSOCK, 0, 0, 0), ALLOW);
		fd = program(&nothing, NULL);
		assert_int_equal(ask(fd, rows[i].call, 0, 0, 0, 0), ALLOW);
	}
}

static void
test_architectures(void **state)
{
#ifdef __x86_64__
	char *with[] = { "native", "x86", NULL }, *words[] = { "@system-service", NULL }, *family[] = { "AF_UNIX", NULL };
	struct sandbox_syscalls s = { .filter = words, .architectures = with, .families = family, .no_write_execute = true };
	int fd = program(&s, NULL);

	/* read, mount, socketcall, old mmap, socket of both families, x32 */
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 3, NULL), ALLOW);
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 21, NULL), ERRNO(EPERM));
	for (uint64_t i = 0; i < 22; i++)
		assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 102, (uint64_t[6]){ i, i, i }), ERRNO(ENOSYS));
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 90, NULL), ERRNO(ENOSYS));
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 359, (uint64_t[6]){ AF_UNIX }), ALLOW);
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, 359, (uint64_t[6]){ AF_INET }), ERRNO(EAFNOSUPPORT));
	assert_int_equal(seccomp_simulate(fd, NATIVE, 0x40000000, NULL), KILL);
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_AARCH64, 0, NULL), KILL);
	assert_int_equal(ask(fd, "read", 0, 0, 0, 0), ALLOW);
	/* One of another machine: nothing to be allowed here. */
	with[1] = "s390x";
	fd = program(&s, NULL);
	assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_S390X, 3, NULL), KILL);
#endif
	(void)state;
}

/* ---- reports ---- */

static void
test_notify(void **state)
{
	char *words[] = { "@system-service", "~chroot:EACCES", NULL }, *family[] = { "AF_UNIX", NULL }, *mute[] = { "@basic-io", NULL };
	struct sandbox_syscalls s = { .filter = words, .families = family, .restrict_namespaces = true, .no_suid_sgid = true, .notify = true };
	bool notify;
	int fd = program(&s, &notify);

	(void)state;
	assert_true(notify);
	assert_int_equal(ask(fd, "mount", 0, 0, 0, 0), NOTIFY);
	assert_int_equal(ask(fd, "socket", AF_PACKET, 0, 0, 0), NOTIFY);
	assert_int_equal(ask(fd, "unshare", CLONE_NEWUSER, 0, 0, 0), NOTIFY);
	assert_int_equal(ask(fd, "chmod", 1, S_ISUID, 0, 0), NOTIFY);
	/* With an error of their own. */
	assert_int_equal(ask(fd, "chroot", 0, 0, 0, 0), ERRNO(EACCES));
	assert_int_equal(ask(fd, "clone3", 0, 0, 0, 0), ERRNO(ENOSYS));
	assert_int_equal(ask(fd, "io_uring_setup", 0, 0, 0, 0), ERRNO(ENOSYS));
	/* A listener of the agent's own would be asked instead of ours. */
	assert_int_equal(ask(fd, "seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | HIGH, 0, 0), ERRNO(EBUSY));
	assert_int_equal(ask(fd, "seccomp", SECCOMP_SET_MODE_FILTER, 0, 0, 0), ALLOW);
	s.notify = false;
	assert_int_equal(ask(program(&s, &notify), "mount", 0, 0, 0, 0), ERRNO(EPERM));
	assert_false(notify);
	/* Without sendmsg(2) nobody could hand the listener over. */
	s = (struct sandbox_syscalls){ .filter = mute, .notify = true };
	fd = program(&s, &notify);
	assert_false(notify);
	assert_int_equal(ask(fd, "mount", 0, 0, 0, 0), ERRNO(EPERM));
}

/* ---- the cache ---- */

static void
test_cache(void **state)
{
	struct seccomp_cache *c = seccomp_cache_new();
	struct sandbox_syscalls off = { .off = true }, s = { .basic = true };
	char word[32], *words[] = { word, NULL };
	struct err e = { 0 };
	bool none, notify;
	int fd, again;

	(void)state;
	assert_true(seccomp_get(c, &off, &none, &notify, &e) == -1 && none && !notify);
	fd = seccomp_get(c, &s, &none, &notify, &e);
	assert_true(fd >= 0 && !none);
	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(seccomp_get(c, &s, &none, &notify, &e), fd);
	s.no_clock = true;
	again = seccomp_get(c, &s, &none, &notify, &e);
	assert_true(again >= 0 && again != fd);
	/* Many others push both out, and no more than so many are kept. */
	s.filter = words;
	for (int i = 0; i < SECCOMP_CACHE_MAX + 10; i++) {
		snprintf(word, sizeof(word), "~read:%d", i + 1);
		again = seccomp_get(c, &s, &none, &notify, &e);
		assert_int_equal(ask(again, "read", 0, 0, 0, 0), ERRNO(i + 1));
		assert_true(again < fd + SECCOMP_CACHE_MAX + 10);
	}
	seccomp_cache_free(c);
	assert_true(fcntl(fd, F_GETFD) < 0);
	seccomp_cache_free(NULL);
}

/* ---- profiles ---- */

static struct sandbox *
sandbox_of(const char *text)
{
	struct blueprint *b = blueprint_new("b", NULL), *effective;
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct sandbox_paths paths = {
		.cwd = "/srv/project", .own = "/var/lib/aod/s/agent", .tmp = "/var/lib/aod/s/agent/tmp", .program = "/bin/sh", .state = "/var/lib/aod",
		.run = "/run/aod", .etc = "/etc/aod", .home = "/var/lib/aod/s/agent/home", .root = true,
	};
	struct limit_totals totals = { 0 };
	struct sandbox *s;
	struct err e = { 0 };

	assert_int_equal(blueprint_add(b, NULL, text, strlen(text), &problems), 0);
	effective = sandbox_effective(b);
	if (sandbox_make(effective, &paths, &totals, &s, &e) < 0)
		fail_msg("%s", e.text);
	blueprint_free(effective);
	blueprint_free(b);
	return s;
}

static const char *
action_text(uint32_t action, char text[32])
{
	if (action == ALLOW)
		return "allow";
	if (action == NOTIFY)
		return "refuse, told";
	if (action == KILL)
		return "kill";
	snprintf(text, 32, "%s", strerrorname_np((int)(action & SECCOMP_RET_DATA)));
	return text;
}

/* Each call without arguments, but for those that are newer than some libseccomp, which has no name for them to be refused by. */
static void
print_strict(struct buf *out)
{
	struct sandbox *s = sandbox_of("[Sandbox]\nSandbox=strict\n");
	int fd = program(&s->syscalls, NULL);

	for (int nr = 0; nr < 455; nr++) {
		char name[64], text[32];

		name_of(nr, name);
		/* No call in this version of Linux. */
		if ((*name >= '0' && *name <= '9') || strcmp(name, "uprobe") == 0)
			continue;
		buf_printf(out, "%d %s: %s\n", nr, name, action_text(seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL), text));
	}
	sandbox_free(s);
}

static void
test_strict_golden(void **state)
{
#ifdef __x86_64__
	const char *srcdir = getenv("srcdir");
	CLEANUP_FREE char *path = xasprintf("%s/" GOLDEN, srcdir ? srcdir : ".");
	struct buf b = BUF_INIT;
	char want[32768];
	size_t n;
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s is missing (run in the top of the tree, or set srcdir)", path);
	print_strict(&b);
	n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = 0;
	fclose(f);
	assert_string_equal(b.data, want);
	buf_free(&b);
#endif
	(void)state;
}

/* What is refused without regard to the list, or by arguments that are all 0. */
static uint32_t
strict_extra(const char *name, uint32_t want)
{
	static const char *const told[] = { "sched_setattr", "setns", "socket", "socketpair" }, *const silent[] = { "clone3", "openat2" };

	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		if (strcmp(told[i], name) == 0)
			return NOTIFY;
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		if (strcmp(silent[i], name) == 0)
			return ERRNO(ENOSYS);
	return want == ERRNO(EPERM) ? NOTIFY : want;
}

static void
test_strict(void **state)
{
	struct sandbox *s = sandbox_of("[Sandbox]\nSandbox=strict\n");
	bool notify;
	int fd = program(&s->syscalls, &notify);

	(void)state;
	assert_true(notify);
	for (int nr = 0; nr < NUMBERS; nr++) {
		char *resolved = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr), name[64];
		uint32_t want, got = seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL);

		name_of(nr, name);
		want = strict_extra(name, expected(s->syscalls.filter, name, resolved != NULL, ERRNO(EPERM)));
		free(resolved);
		if (got != want)
			fail_msg("%s (%d) is %#x, not %#x", name, nr, got, want);
		assert_int_equal(seccomp_simulate(fd, AUDIT_ARCH_I386, (uint32_t)nr, NULL), KILL);
	}
	assert_int_equal(ask(fd, "socket", AF_NETLINK, 0, 0, 0), ALLOW);
	assert_int_equal(ask(fd, "socket", AF_PACKET, 0, 0, 0), NOTIFY);
	assert_int_equal(ask(fd, "clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0), NOTIFY);
	assert_int_equal(ask(fd, "mmap", 0, 1, PROT_READ | PROT_WRITE | PROT_EXEC, 0), ALLOW); /* engines of JavaScript */
	sandbox_free(s);
}

/* The other two: the basic list, and what else their keys refuse. */
static void
test_other_profiles(void **state)
{
	static const char *const texts[] = { "[Sandbox]\nSandbox=none\n", "[Sandbox]\nSandbox=workspace\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct sandbox *s = sandbox_of(texts[i]);
		bool notify;
		int fd = program(&s->syscalls, &notify);
		uint32_t refused = notify ? NOTIFY : ERRNO(EPERM);

		assert_true(notify == (i == 1));
		for (int nr = 0; nr < NUMBERS; nr++) {
			uint32_t want = ALLOW;
			char name[64];

			name_of(nr, name);
			if (is_basic(name) || (i == 1 && (member("@clock", name) || member("@module", name) || strcmp(name, "syslog") == 0 ||
							   member("@raw-io", name) || strcmp(name, "setns") == 0)))
				want = refused;
			if (strncmp(name, "io_uring_", 9) == 0 || (i == 1 && (strcmp(name, "clone3") == 0 || strcmp(name, "openat2") == 0)))
				want = ERRNO(ENOSYS);
			if (seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL) != want)
				fail_msg("%s: %s is %#x, not %#x", texts[i], name, seccomp_simulate(fd, NATIVE, (uint32_t)nr, NULL), want);
		}
		sandbox_free(s);
	}
}

/* ---- for real ---- */

/* Load the program and make one call; how it ended as an exit status: errno, or 200 for success. */
static int
live(int fd, long nr, long a0, long a1, long a2)
{
	static struct sock_filter prog[BPF_MAXINSNS];
	ssize_t n = pread(fd, prog, sizeof(prog), 0);
	struct sock_fprog f = { .len = (unsigned short)((size_t)n / sizeof(*prog)), .filter = prog };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f) < 0)
			_exit(201);
		_exit(syscall(nr, a0, a1, a2) < 0 ? errno : 200);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
test_live(void **state)
{
	char *words[] = { "@system-service", NULL }, *native[] = { "native", NULL }, *family[] = { "AF_UNIX", NULL };
	struct sandbox_syscalls s = { .filter = words, .architectures = native, .families = family, .restrict_namespaces = true };
	int fd = program(&s, NULL);

	(void)state;
	assert_int_equal(live(fd, SYS_getppid, 0, 0, 0), 200);
	assert_int_equal(live(fd, SYS_socket, AF_UNIX, SOCK_STREAM, 0), 200);
	assert_int_equal(live(fd, SYS_socket, AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT);
	assert_int_equal(live(fd, SYS_socket, (long)(AF_INET | HIGH), SOCK_STREAM, 0), EAFNOSUPPORT);
	assert_int_equal(live(fd, SYS_mount, 0, 0, 0), EPERM);
	assert_int_equal(live(fd, SYS_unshare, CLONE_NEWUSER, 0, 0), EPERM);
	assert_int_equal(live(fd, 599, 0, 0, 0), ENOSYS);
	assert_int_equal(live(fd, 425, 1, 0, 0), ENOSYS);
#ifdef __x86_64__
	assert_int_equal(live(fd, 0x40000000 | SYS_getppid, 0, 0, 0), -SIGSYS);
#endif
}

/* ---- folding ---- */

static int
as_file(const struct buf *prog)
{
	int fd = memfd_create("program", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, prog->data, prog->len), prog->len);
	return fd;
}

/* Numbers at which something may begin or end, and arguments: all that the program compares with, their neighbours, and some more. */
static size_t
interesting(const struct buf *prog, uint32_t *v)
{
	static const uint32_t others[] = { 0, 1, 600, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0x80000000, UINT32_MAX };
	size_t n = 0;

	for (size_t i = 0; i < prog->len / sizeof(struct sock_filter); i++) {
		struct sock_filter one;

		memcpy(&one, prog->data + i * sizeof(one), sizeof(one));
		if (BPF_CLASS(one.code) != BPF_JMP)
			continue;
		for (int k = -1; k <= 1; k++)
			v[n++] = one.k + (uint32_t)k;
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		v[n++] = others[i];
	return n;
}

static void
check_same(int before, int after, uint32_t arch, uint32_t nr, const uint64_t args[6])
{
	uint32_t was = seccomp_simulate(before, arch, nr, args), is = seccomp_simulate(after, arch, nr, args);

	if (was != is)
		fail_msg("call %u of %#x with %#llx: %#x has become %#x", nr, arch, (unsigned long long)args[0], was, is);
}

/* Folds the program of s; how many instructions it had and has. */
static void
fold(const struct sandbox_syscalls *s, size_t *had, size_t *has)
{
	struct buf prog = BUF_INIT;
	struct err e = { 0 };
	uint32_t *v, seed = 1;
	int before, after;
	bool notify;
	size_t n;

	assert_int_equal(seccomp_make(s, &notify, &prog, &e), 0);
	v = xcalloc(3 * prog.len / sizeof(struct sock_filter) + 16, sizeof(*v));
	n = interesting(&prog, v);
	before = as_file(&prog);
	*had = prog.len / sizeof(struct sock_filter);
	seccomp_fold(&prog, NATIVE);
	*has = prog.len / sizeof(struct sock_filter);
	after = as_file(&prog);
	for (size_t i = 0; i < n + NUMBERS; i++)
		for (int k = 0; k < 24; k++) {
			uint64_t args[6];
			uint32_t nr = i < n ? v[i] : (uint32_t)(i - n);

			for (int j = 0; j < 6; j++) {
				seed = seed * 1103515245 + 12345;
				args[j] = (uint64_t)v[(seed >> 8) % n] | (seed & 64 ? (uint64_t)v[(seed >> 9) % n] << 32 : 0);
			}
			check_same(before, after, NATIVE, nr, args);
			check_same(before, after, k & 1 ? AUDIT_ARCH_I386 : v[(seed >> 8) % n], nr, args);
		}
	close(before);
	close(after);
	free(v);
	buf_free(&prog);
}

static void
test_fold(void **state)
{
	static char *native[] = { "native", NULL }, *kill[] = { "@system-service", "~ptrace:kill", "~@clock", NULL }, *deny[] = { "~@mount", NULL },
		    *families[] = { "AF_UNIX", "AF_INET", NULL };
	const struct sandbox_syscalls lists[] = {
		{ .filter = kill, .architectures = native, .families = families, .no_suid_sgid = true, .restrict_namespaces = true },
		{ .filter = kill, .architectures = native, .lock_personality = true, .no_realtime = true, .notify = true },
		{ .filter = deny, .architectures = native },
		{ .no_suid_sgid = true },
	};
	static const char *const profiles[] = { "[Sandbox]\nSandbox=strict\n", "[Sandbox]\nSandbox=workspace\n", "[Sandbox]\nSandbox=none\n" };
	size_t had, has;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		fold(&lists[i], &had, &has);
		assert_true(has <= had);
	}
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct sandbox *s = sandbox_of(profiles[i]);

		fold(&s->syscalls, &had, &has);
		assert_true(has <= had);
		/* The longest one is what it is for. */
		assert_true(i > 0 || has < had * 3 / 4);
		sandbox_free(s);
	}
}

/* What is not understood stays as it is. */
static void
test_not_folded(void **state)
{
	const struct sock_filter bits[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	}, endless[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 7, 7),
	}, scratch[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_STMT(BPF_ST, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	}, foreign[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct {
		const struct sock_filter *v;
		size_t len;
	} programs[] = { { bits, sizeof(bits) }, { endless, sizeof(endless) }, { scratch, sizeof(scratch) }, { foreign, sizeof(foreign) }, { NULL, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		struct buf prog = BUF_INIT;

		buf_put(&prog, programs[i].v, programs[i].len);
		seccomp_fold(&prog, NATIVE);
		assert_int_equal(prog.len, programs[i].len);
		assert_memory_equal(prog.data ? prog.data : "", programs[i].v ? (const void *)programs[i].v : "", programs[i].len);
		buf_free(&prog);
	}
}

static int
setup(void **state)
{
	(void)state;
	cache = seccomp_cache_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	seccomp_cache_free(cache);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_group),    cmocka_unit_test(test_words),	  cmocka_unit_test(test_error_number),
		cmocka_unit_test(test_groups_are_systemds), cmocka_unit_test(test_unknown), cmocka_unit_test(test_log),
		cmocka_unit_test(test_basic),	      cmocka_unit_test(test_families),	  cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_suid),	      cmocka_unit_test(test_other_arguments), cmocka_unit_test(test_protections),
		cmocka_unit_test(test_architectures), cmocka_unit_test(test_notify),	  cmocka_unit_test(test_cache),
		cmocka_unit_test(test_strict_golden), cmocka_unit_test(test_strict),	  cmocka_unit_test(test_other_profiles),
		cmocka_unit_test(test_live),	      cmocka_unit_test(test_fold),	  cmocka_unit_test(test_not_folded),
	};

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		struct buf b = BUF_INIT;

		cache = seccomp_cache_new();
		print_strict(&b);
		fputs(b.data, stdout);
		return 0;
	}

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
