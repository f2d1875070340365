/* SPDX-License-Identifier: MIT */
/* See denied.h. A call may be refused by a directive about it and by the list as well: both are named. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "aod/denied.h"
#include "aod/seccomp.h"
#include "base/util.h"

struct refusal {
	int64_t nr, arch, pid;
	uint64_t args[6];
	const char *program;
	char call[SECCOMP_NAME];
};

/* ---- which directive ---- */

static const struct {
	unsigned flag;
	const char *name; /* as in RestrictNamespaces= */
} namespaces[] = {
	{ CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWIPC, "ipc" },	  { CLONE_NEWNET, "net" }, { CLONE_NEWNS, "mnt" },
	{ CLONE_NEWPID, "pid" },       { CLONE_NEWUSER, "user" }, { CLONE_NEWUTS, "uts" },
};

static void
put_namespaces(struct buf *out, uint64_t flags)
{
	bool any = false;

	buf_puts(out, "RestrictNamespaces=");
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
		if (flags & namespaces[i].flag) {
			buf_printf(out, "%s%s", any ? " " : "", namespaces[i].name);
			any = true;
		}
	/* setns(2) of whatever it is. */
	if (!any)
		buf_puts(out, "no");
}

static void
put_family(struct buf *out, uint64_t domain)
{
	const char *name = seccomp_family_name((int)(uint32_t)domain);

	buf_printf(out, "RestrictAddressFamilies=%s", name ? name : "");
}

/* Calls that a directive beside SystemCallFilter= refuses; args: only some of them, the list is not in it. */
static const struct {
	const char *call; /* or @group */
	bool args;
	const char *key;
} directives[] = {
	{ "chmod", true, "RestrictSUIDSGID=no" },	   { "fchmod", true, "RestrictSUIDSGID=no" },
	{ "fchmodat", true, "RestrictSUIDSGID=no" },	   { "fchmodat2", true, "RestrictSUIDSGID=no" },
	{ "mkdir", true, "RestrictSUIDSGID=no" },	   { "mkdirat", true, "RestrictSUIDSGID=no" },
	{ "mknod", true, "RestrictSUIDSGID=no" },	   { "mknodat", true, "RestrictSUIDSGID=no" },
	{ "creat", true, "RestrictSUIDSGID=no" },	   { "open", true, "RestrictSUIDSGID=no" },
	{ "openat", true, "RestrictSUIDSGID=no" },	   { "sched_setscheduler", true, "RestrictRealtime=no" },
	{ "sched_setattr", true, "RestrictRealtime=no" },  { "personality", true, "LockPersonality=no" },
	{ "mmap", true, "MemoryDenyWriteExecute=no" },	   { "mmap2", true, "MemoryDenyWriteExecute=no" },
	{ "mprotect", true, "MemoryDenyWriteExecute=no" }, { "pkey_mprotect", true, "MemoryDenyWriteExecute=no" },
	{ "shmat", true, "MemoryDenyWriteExecute=no" },	   { "sethostname", false, "ProtectHostname=no" },
	{ "setdomainname", false, "ProtectHostname=no" },  { "syslog", false, "ProtectKernelLogs=no" },
	{ "@clock", false, "ProtectClock=no" },		   { "@module", false, "ProtectKernelModules=no" },
	{ "@raw-io", false, "PrivateDevices=no" },
};

static bool
in_group(const char *group, const char *call)
{
	for (const char *const *v = seccomp_group(group); *v; v++)
		if (strcmp(*v, call) == 0)
			return true;
	return false;
}

/* The word that brings the call: a group where one is about nothing else, else its own name. */
static const char *
filter_word(const char *call)
{
	static const char *const groups[] = { "@clock", "@cpu-emulation", "@keyring", "@module", "@mount", "@obsolete", "@pkey", "@raw-io", "@reboot", "@swap" };

	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (in_group(groups[i], call))
			return groups[i];
	return call;
}

static void
put_key(struct buf *out, const struct refusal *r, bool basic)
{
	bool clone = strcmp(r->call, "clone") == 0 || strcmp(r->call, "unshare") == 0;

	/* No directive lets a program type into a terminal, nor answer for us. */
	if (strcmp(r->call, "ioctl") == 0)
		return;
	if (clone || strcmp(r->call, "setns") == 0) {
		put_namespaces(out, r->args[!clone]);
		return;
	}
	if (strcmp(r->call, "socket") == 0 || strcmp(r->call, "socketpair") == 0) {
		put_family(out, r->args[0]);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
		const char *call = directives[i].call;

		if (*call == '@' ? !in_group(call, r->call) : strcmp(call, r->call) != 0)
			continue;
		buf_puts(out, directives[i].key);
		if (directives[i].args)
			return;
		buf_putc(out, ' ');
	}
	buf_puts(out, "SystemCallFilter=");
	buf_puts(out, basic ? "no" : filter_word(r->call));
}

/* ---- events ---- */

static bool
parse(struct refusal *r, const struct frame *f)
{
	const char *nr = frame_field(f, "nr"), *arch = frame_field(f, "arch"), *pid = frame_field(f, "pid"), *args = frame_field(f, "args");

	*r = (struct refusal){ .program = frame_field(f, "comm") };
	if (!nr || !arch || !pid || !parse_i64(nr, 0, INT32_MAX, &r->nr) || !parse_i64(arch, 0, UINT32_MAX, &r->arch) ||
	    !parse_i64(pid, 0, INT32_MAX, &r->pid))
		return false;
	for (int i = 0; args && i < 6; i++) {
		char *end;

		r->args[i] = strtoull(args, &end, 10);
		args = *end == ',' ? end + 1 : NULL;
	}
	seccomp_call_name((uint32_t)r->arch, (int)r->nr, r->call);
	return true;
}

static void
put_args(struct event *ev, const struct refusal *r)
{
	struct buf json = BUF_INIT;

	/* As hexadecimal text: flags are read that way, and a 64-bit number is not safe in JSON. */
	for (int i = 0; i < 6; i++)
		buf_printf(&json, "%s\"%#" PRIx64 "\"", i ? "," : "[", r->args[i]);
	buf_putc(&json, ']');
	event_extra_json(ev, "args", json.data, json.len);
	buf_free(&json);
}

static void
put_text(struct event *ev, const char *name, const char *s)
{
	event_extra_text(ev, name, s, strlen(s));
}

bool
denied_call(struct event *ev, const struct frame *f, bool basic)
{
	struct buf key = BUF_INIT, reason = BUF_INIT;
	struct refusal r;

	if (!parse(&r, f))
		return false;
	put_key(&key, &r, basic);
	buf_printf(&reason, "%s(2) by %s was refused", r.call, r.program && *r.program ? r.program : "the agent");
	if (key.len)
		buf_printf(&reason, "; it takes %s", key.data);
	event_begin(ev, "denied", f->time_us);
	put_text(ev, "what", "system call");
	put_text(ev, "syscall", r.call);
	put_args(ev, &r);
	put_text(ev, "program", r.program ? r.program : "");
	event_extra_int(ev, "pid", r.pid);
	if (key.len)
		event_extra_text(ev, "key", key.data, key.len);
	event_put_text(ev, KEY_REASON, reason.data, reason.len);
	buf_free(&key);
	buf_free(&reason);
	return true;
}

/* What of the start each directive is about; a step that is in none cannot be mended by one. */
static const struct {
	const char *step, *key;
} steps[] = {
	{ "cgroup", "Slice=" },	     { "namespace", "PrivateUsers=" },		 { "mount", "ProtectSystem=" }, { "cwd", "ReadWritePaths=" },
	{ "limits", "LimitNOFILE=" }, { "nice", "Nice=" }, { "oom-score", "OOMScoreAdjust=" }, { "user", "User=" },			 { "landlock", "ProtectSystem=" },
	{ "capabilities", "CapabilityBoundingSet=" }, { "seccomp", "SystemCallFilter=" }, { "exec", "BindReadOnlyPaths=" },
};

bool
denied_exec(struct event *ev, const char *step, int error, int64_t time_us)
{
	const char *key = NULL;
	struct buf reason = BUF_INIT;

	if ((error != EPERM && error != EACCES) || !step)
		return false;
	/* "mount /path" */
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (strncmp(step, steps[i].step, strlen(steps[i].step)) == 0)
			key = steps[i].key;
	buf_printf(&reason, "the agent could not be started: %s: %s", step, strerror(error));
	if (key)
		buf_printf(&reason, "; see %s", key);
	event_begin(ev, "denied", time_us);
	put_text(ev, "what", "start");
	put_text(ev, "step", step);
	if (key)
		put_text(ev, "key", key);
	event_put_text(ev, KEY_REASON, reason.data, reason.len);
	buf_free(&reason);
	return true;
}
