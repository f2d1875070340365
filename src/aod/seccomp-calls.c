/* SPDX-License-Identifier: MIT */
/* What a filter decides by a call's number alone: the words of SystemCallFilter=, the protections that are groups of calls, the log. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "aod/seccomp-internal.h"
#include "base/util.h"

#define CALL_NUMBERS 1024 /* numbers of one architecture that libseccomp is asked for */

/* ---- the calls there are ---- */

static int
by_number(const void *a, const void *b)
{
	int x = ((const struct call *)a)->nr, y = ((const struct call *)b)->nr;

	return (x > y) - (x < y);
}

static struct call *
find(const struct calls *c, int nr)
{
	struct call key = { .nr = nr };

	return c->count ? bsearch(&key, c->v, c->count, sizeof(*c->v), by_number) : NULL;
}

/* The call by its name, a new one when a word names one that libseccomp has no number for; NULL when it is not of our architectures. */
static struct call *
get(struct calls *c, const char *name)
{
	int nr = seccomp_call(name);
	struct call *found = find(c, nr);

	if (found || nr < 0)
		return found;
	c->v = xrealloc(c->v, (c->count + 1) * sizeof(*c->v));
	c->v[c->count++] = (struct call){ .nr = nr, .action = c->unknown };
	qsort(c->v, c->count, sizeof(*c->v), by_number);
	return find(c, nr);
}

static void
add_architecture(struct calls *c, uint32_t arch, uint32_t action)
{
	c->v = xrealloc(c->v, (c->count + CALL_NUMBERS) * sizeof(*c->v));
	for (int i = 0; i < CALL_NUMBERS; i++) {
		CLEANUP_FREE char *name = seccomp_syscall_resolve_num_arch(arch, i);

		if (name)
			c->v[c->count++] = (struct call){ .nr = seccomp_syscall_resolve_name(name), .action = action };
	}
}

static void
all_calls(struct calls *c, const struct sandbox_syscalls *s, uint32_t action)
{
	uint32_t foreign[2];
	size_t kept = 0;
	int n = foreign_architectures(s, foreign);

	add_architecture(c, SCMP_ARCH_NATIVE, action);
	for (int i = 0; i < n; i++)
		add_architecture(c, foreign[i], action);
	c->foreign = n > 0;
	qsort(c->v, c->count, sizeof(*c->v), by_number);
	for (size_t i = 0; i < c->count; i++)
		if (kept == 0 || c->v[i].nr != c->v[kept - 1].nr)
			c->v[kept++] = c->v[i];
	c->count = kept;
}

void
calls_free(struct calls *c)
{
	free(c->v);
	*c = (struct calls){ 0 };
}

uint32_t
calls_action(const struct calls *c, const char *name)
{
	const struct call *call = find(c, seccomp_call(name));

	return call ? call->action : c->unknown;
}

/* ---- words ---- */

/* NAME or @GROUP, ~ in front, :ERRNO behind. */
struct word {
	bool not;
	uint32_t action; /* 0: none is said */
	char name[SECCOMP_NAME];
	const char *alone[2];
	const char *const *names; /* of all calls that it stands for */
};

/* An error's name or number, or kill, as an action; 0 for what is none. */
static uint32_t
error_action(const char *text)
{
	int64_t number;

	if (strcmp(text, "kill") == 0)
		return SCMP_ACT_KILL_PROCESS;
	if (parse_i64(text, 1, 4095, &number))
		return SCMP_ACT_ERRNO((uint32_t)number);
	if (strcmp(text, "EWOULDBLOCK") == 0)
		text = "EAGAIN";
	if (strcmp(text, "ENOTSUP") == 0)
		text = "EOPNOTSUPP";
	for (int i = 1; i < 134; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, text) == 0)
			return SCMP_ACT_ERRNO((uint32_t)i);
	}
	return 0;
}

static int
parse_word(struct word *w, const char *key, const char *text, struct err *e)
{
	size_t n;

	*w = (struct word){ .not = *text == '~' };
	text += w->not;
	n = strcspn(text, ":");
	if (text[n] == ':') {
		w->action = error_action(text + n + 1);
		if (!w->action)
			return err_set_status(e, 422, -EINVAL, "%s=: %s is no error", key, text + n + 1);
	}
	if (n < sizeof(w->name))
		memcpy(w->name, text, n);
	if (*w->name == '@') {
		w->names = seccomp_group(w->name);
		return w->names ? 0 : err_set_status(e, 422, -EINVAL, "%s=: there is no group %s", key, w->name);
	}
	/* A ~ alone: all but nothing. */
	if (n > 0 || text[n] || !w->not) {
		w->alone[0] = w->name;
		if (!*w->name || seccomp_call(w->name) == SECCOMP_UNKNOWN)
			return err_set_status(e, 422, -EINVAL, "%s=: there is no system call %s", key, text);
	}
	w->names = w->alone;
	return 0;
}

/* No group brings these: they go around other rules, or reach into other processes, and hardly a program needs them. */
static const struct {
	const char *name;
	int error;
} by_name_only[] = {
	{ "io_uring_enter", ENOSYS },
	{ "io_uring_register", ENOSYS },
	{ "io_uring_setup", ENOSYS },
	{ "process_vm_readv", 0 },
	{ "process_vm_writev", 0 },
};

/* Whether a group without an error of its own decides about the call. */
static bool
group_decides(const char *name, uint32_t action)
{
	for (size_t i = 0; i < ARRAY_LEN(by_name_only); i++)
		if (strcmp(by_name_only[i].name, name) == 0)
			return !by_name_only[i].error && action != SCMP_ACT_ALLOW;
	return true;
}

static void
apply_word(struct calls *c, const struct word *w, uint32_t refuse)
{
	uint32_t action = w->action ? w->action : w->not ? refuse : SCMP_ACT_ALLOW;

	for (size_t i = 0; w->names[i]; i++) {
		struct call *call = get(c, w->names[i]);

		if (call && (w->action || *w->name != '@' || group_decides(w->names[i], action)))
			call->action = action;
	}
}

bool
is_allow_list(const struct sandbox_syscalls *s)
{
	return s->filter && s->filter[0] && *s->filter[0] != '~';
}

static int
apply_filter(struct calls *c, const struct sandbox_syscalls *s, uint32_t refuse, struct err *e)
{
	struct word w = { .names = seccomp_group("@default"), .name = "@default" };

	if (is_allow_list(s))
		apply_word(c, &w, refuse);
	for (char **text = s->filter; text && *text; text++) {
		int rc = parse_word(&w, "SystemCallFilter", *text, e);

		if (rc < 0)
			return rc;
		apply_word(c, &w, refuse);
	}
	return 0;
}

/* ---- what is refused whatever the list says ---- */

/* SystemCallFilter=yes: what no agent needs. */
static const char *const basic[] = {
	"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm", "iopl",
	"kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "open_by_handle_at", "perf_event_open", "quotactl", "reboot",
	"request_key", "settimeofday", "swapoff", "swapon", "userfaultfd", "vhangup", NULL,
};
static const char *const hostname[] = { "sethostname", "setdomainname", NULL };
static const char *const kernel_log[] = { "syslog", NULL };
/* They take what they would have to be checked for in memory, where it can change behind the check. */
static const char *const clone3_only[] = { "clone3", NULL };
static const char *const openat2_only[] = { "openat2", NULL };
static const char *const sched_setattr_only[] = { "sched_setattr", NULL };

static void
refuse_all(struct calls *c, const char *const *names, int error)
{
	for (; *names; names++) {
		struct call *call = get(c, *names);

		if (call && (call->action == SCMP_ACT_ALLOW || call->action == SCMP_ACT_LOG))
			call->action = SCMP_ACT_ERRNO((uint32_t)error);
	}
}

static void
apply_protections(struct calls *c, const struct sandbox_syscalls *s)
{
	const struct {
		bool on;
		const char *const *names;
		int error;
	} rows[] = {
		{ s->basic, basic, EPERM },
		{ s->no_hostname, hostname, EPERM },
		{ s->no_clock, seccomp_group("@clock"), EPERM },
		{ s->no_modules, seccomp_group("@module"), EPERM },
		{ s->no_kernel_log, kernel_log, EPERM },
		{ s->no_raw_io, seccomp_group("@raw-io"), EPERM },
		{ s->no_realtime, sched_setattr_only, EPERM },
		{ s->restrict_namespaces, clone3_only, ENOSYS },
		{ s->no_suid_sgid, openat2_only, ENOSYS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].on)
			refuse_all(c, rows[i].names, rows[i].error);
}

/* ---- SystemCallLog= ---- */

static int
apply_log(struct calls *c, const struct sandbox_syscalls *s, struct err *e)
{
	bool all_but = s->log && s->log[0] && *s->log[0] == '~';
	bool *logged = xcalloc(c->count + 1, sizeof(*logged));
	int rc = 0;

	for (size_t i = 0; i < c->count; i++)
		logged[i] = all_but;
	for (char **text = s->log; rc == 0 && text && *text; text++) {
		struct word w;

		rc = parse_word(&w, "SystemCallLog", *text, e);
		for (size_t i = 0; rc == 0 && w.names[i]; i++) {
			const struct call *call = find(c, seccomp_call(w.names[i]));

			if (call)
				logged[call - c->v] = !w.not;
		}
	}
	for (size_t i = 0; rc == 0 && i < c->count; i++)
		if (logged[i] && c->v[i].action == SCMP_ACT_ALLOW)
			c->v[i].action = SCMP_ACT_LOG;
	free(logged);
	return rc;
}

int
calls_decide(struct calls *c, const struct sandbox_syscalls *s, struct err *e)
{
	uint32_t refuse = s->error ? error_action(s->error) : SCMP_ACT_ERRNO(EPERM);
	int rc;

	*c = (struct calls){ .unknown = is_allow_list(s) ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW };
	if (!refuse)
		return err_set_status(e, 422, -EINVAL, "SystemCallErrorNumber=: %s is no error", s->error);
	all_calls(c, s, is_allow_list(s) ? refuse : SCMP_ACT_ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(by_name_only); i++) {
		struct call *call = get(c, by_name_only[i].name);

		if (call && by_name_only[i].error)
			call->action = SCMP_ACT_ERRNO((uint32_t)by_name_only[i].error);
	}
	rc = apply_filter(c, s, refuse, e);
	if (rc < 0)
		return rc;
	apply_protections(c, s);
	return apply_log(c, s, e);
}

void
calls_notify(struct calls *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->v[i].action == SCMP_ACT_ERRNO(EPERM))
			c->v[i].action = SCMP_ACT_NOTIFY;
}
