/* SPDX-License-Identifier: MIT */
/* Profiles, and what keys of [Sandbox] and [Resources] come to, but for mounts (sandbox-mount.c) and control groups (sandbox-limit.c). See sandbox.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-internal.h"
#include "model/sandbox-internal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define CAP_BIT(c) (UINT64_C(1) << (c))
#define ALL_NAMESPACES                                                                                                                     \
	((unsigned)(CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWTIME | CLONE_NEWUSER | CLONE_NEWUTS))

/* ---- profiles --------------------------------------------------------------------------------------------------------- */

#define WORKSPACE_CAPABILITIES "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_NET_BIND_SERVICE CAP_AUDIT_WRITE"

/*
 * What a service has, and what newer libraries and runtimes try beside it (memory keys by V8, futexes and shadow stacks by the C library, mincore by
 * garbage collectors). Not: the kernel's keyring, which is of no namespace, so that aod's own keys would be seen; userfaultfd, which an
 * exploit stops the kernel with at its leisure; kcmp, which looks into other processes. ptrace is not in it either: a debugger of its own processes
 * would be honest work, but what is traced makes calls in the tracer's name, and a blueprint that needs it can say so.
 */
#define STRICT_CALLS                                                                                                                       \
	"@system-service @sandbox @pkey futex_requeue futex_wait futex_wake map_shadow_stack mincore ~@keyring ~kcmp ~userfaultfd"

/*
 * What a key is that the blueprint does not set. Columns: dynamic, agent: without a profile, for DynamicUser=yes (as in systemd.exec(5)) and for
 * Adapter=claude, whose sessions would meet in /tmp; then the two profiles. NULL: nothing is said.
 *
 * workspace keeps its user's rights, but those of root with which it could write elsewhere, by devices, kernel variables or a mount of its own.
 */
static const struct row {
	enum directive_id id;
	const char *dynamic, *agent, *workspace, *strict;
} rows[] = {
	{ D_DynamicUser, NULL, NULL, NULL, "yes" },
	{ D_NoNewPrivileges, "yes", NULL, "yes", "yes" },
	{ D_CapabilityBoundingSet, NULL, NULL, WORKSPACE_CAPABILITIES, "none" },
	{ D_PrivateTmp, "yes", "yes", "yes", "yes" },
	{ D_PrivateDevices, NULL, NULL, "yes", "yes" },
	{ D_PrivatePIDs, NULL, NULL, NULL, "yes" },
	{ D_PrivateIPC, NULL, NULL, NULL, "yes" },
	{ D_ProtectSystem, "strict", NULL, "strict", "strict" },
	{ D_ProtectHome, "read-only", NULL, "read-only", "tmpfs" },
	{ D_ProtectKernelTunables, NULL, NULL, "yes", "yes" },
	{ D_ProtectKernelModules, NULL, NULL, "yes", "yes" },
	{ D_ProtectKernelLogs, NULL, NULL, "yes", "yes" },
	{ D_ProtectControlGroups, NULL, NULL, "yes", "yes" },
	{ D_ProtectProc, NULL, NULL, NULL, "invisible" },
	{ D_ProcSubset, NULL, NULL, NULL, "all" },
	{ D_ProtectHostname, NULL, NULL, NULL, "yes" },
	{ D_ProtectClock, NULL, NULL, "yes", "yes" },
	{ D_RestrictNamespaces, NULL, NULL, "yes", "yes" },
	{ D_RestrictAddressFamilies, NULL, NULL, NULL, "AF_UNIX AF_INET AF_INET6 AF_NETLINK" },
	{ D_RestrictSUIDSGID, "yes", NULL, "yes", "yes" },
	{ D_RestrictRealtime, NULL, NULL, NULL, "yes" },
	{ D_LockPersonality, NULL, NULL, NULL, "yes" },
	{ D_SystemCallFilter, NULL, NULL, NULL, STRICT_CALLS },
	{ D_SystemCallArchitectures, NULL, NULL, "native", "native" },
	{ D_LimitCORE, NULL, NULL, "0", "0" },
	{ D_TasksMax, NULL, NULL, "1024", "1024" },
	{ D_MemoryMax, NULL, NULL, "8G", "8G" },
	{ D_LogSizeMax, NULL, NULL, "1G", "1G" },
	{ D_OOMPolicy, NULL, NULL, "stop", "stop" },
	{ D_OOMScoreAdjust, NULL, NULL, "200", "200" },
};

const char *
sandbox_profile_name(enum sandbox_profile p)
{
	static const char *const names[] = { [SANDBOX_NONE] = "none", [SANDBOX_WORKSPACE] = "workspace", [SANDBOX_STRICT] = "strict" };

	return names[p];
}

static bool
is_agent(const struct blueprint *b)
{
	return strcmp(blueprint_text(b, D_Adapter), "claude") == 0;
}

enum sandbox_profile
sandbox_profile(const struct blueprint *b)
{
	const char *v = blueprint_text(b, D_Sandbox);

	for (int i = SANDBOX_NONE; v && i <= SANDBOX_STRICT; i++)
		if (strcmp(sandbox_profile_name((enum sandbox_profile)i), v) == 0)
			return (enum sandbox_profile)i;
	return is_agent(b) ? SANDBOX_STRICT : SANDBOX_NONE;
}

static const char *
profile_value(const struct row *row, enum sandbox_profile profile, const struct blueprint *b)
{
	if (profile == SANDBOX_STRICT)
		return row->strict;
	if (profile == SANDBOX_WORKSPACE)
		return row->workspace;
	if (row->agent && is_agent(b))
		return row->agent;
	return blueprint_tri(b, D_DynamicUser) == TRI_YES ? row->dynamic : NULL;
}

const char *
sandbox_profile_value(enum sandbox_profile p, enum directive_id id)
{
	for (size_t i = 0; i < ARRAY_LEN(rows) && p != SANDBOX_NONE; i++)
		if (rows[i].id == id)
			return p == SANDBOX_STRICT ? rows[i].strict : rows[i].workspace;
	return NULL;
}

static void
put_value(struct blueprint *b, enum directive_id id, const char *text)
{
	struct value *v = &b->values[id];
	const char *why;

	strv_free(v->words);
	v->words = directive_is_list(&blueprint_directives[id]) ? ini_split_words(text, &why) : strv_add(NULL, text);
	v->count = (int)strv_len(v->words);
	v->file = -1;
	v->line = 0;
}

struct blueprint *
sandbox_effective(const struct blueprint *b)
{
	struct blueprint *c = blueprint_copy(b);
	enum sandbox_profile profile = sandbox_profile(b);

	if (!blueprint_is_set(b, D_Sandbox))
		put_value(c, D_Sandbox, sandbox_profile_name(profile));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *v = blueprint_is_set(b, rows[i].id) ? NULL : profile_value(&rows[i], profile, b);

		if (v)
			put_value(c, rows[i].id, v);
	}
	/* A user that is named is no dynamic one, unless both are asked for, which sandbox_make() refuses. */
	if (blueprint_is_set(b, D_User) && !blueprint_is_set(b, D_DynamicUser))
		put_value(c, D_DynamicUser, "no");
	return c;
}

/* ---- what keys need ------------------------------------------------------------------------------------------------------ */

static const struct need {
	enum directive_id id;
	unsigned what;
} needs[] = {
	{ D_User, NEEDS_ROOT },
	{ D_Group, NEEDS_ROOT },
	{ D_DynamicUser, NEEDS_ROOT | NEEDS_MOUNT },
	{ D_AmbientCapabilities, NEEDS_ROOT },
	{ D_PrivateTmp, NEEDS_MOUNT },
	{ D_PrivateTmpSize, NEEDS_MOUNT },
	{ D_PrivateDevices, NEEDS_MOUNT },
	{ D_PrivateNetwork, NEEDS_NET },
	{ D_PrivatePIDs, NEEDS_PID | NEEDS_MOUNT },
	{ D_PrivateUsers, NEEDS_USER },
	{ D_PrivateIPC, NEEDS_IPC },
	{ D_ProtectSystem, NEEDS_MOUNT },
	{ D_ProtectHome, NEEDS_MOUNT },
	{ D_ProtectKernelTunables, NEEDS_MOUNT },
	{ D_ProtectKernelModules, NEEDS_MOUNT | NEEDS_SECCOMP },
	{ D_ProtectKernelLogs, NEEDS_MOUNT | NEEDS_SECCOMP },
	{ D_ProtectControlGroups, NEEDS_MOUNT },
	{ D_ProtectProc, NEEDS_MOUNT },
	{ D_ProcSubset, NEEDS_MOUNT },
	{ D_ProtectHostname, NEEDS_UTS },
	{ D_ProtectClock, NEEDS_SECCOMP },
	{ D_ReadOnlyPaths, NEEDS_MOUNT },
	{ D_ReadWritePaths, NEEDS_MOUNT },
	{ D_InaccessiblePaths, NEEDS_MOUNT },
	{ D_BindPaths, NEEDS_MOUNT },
	{ D_BindReadOnlyPaths, NEEDS_MOUNT },
	{ D_TemporaryFileSystem, NEEDS_MOUNT },
	{ D_RestrictNamespaces, NEEDS_SECCOMP },
	{ D_RestrictAddressFamilies, NEEDS_SECCOMP },
	{ D_RestrictSUIDSGID, NEEDS_SECCOMP },
	{ D_RestrictRealtime, NEEDS_SECCOMP },
	{ D_LockPersonality, NEEDS_SECCOMP },
	{ D_MemoryDenyWriteExecute, NEEDS_SECCOMP },
	{ D_SystemCallFilter, NEEDS_SECCOMP },
	{ D_SystemCallArchitectures, NEEDS_SECCOMP },
	{ D_SystemCallLog, NEEDS_SECCOMP },
	{ D_LoadCredential, NEEDS_MOUNT },
	{ D_SetCredential, NEEDS_MOUNT },
};

unsigned
sandbox_key_needs(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if (strcmp(blueprint_directives[needs[i].id].key, key) == 0)
			return needs[i].what;
	return 0;
}

/* Of an enum with a word for nothing, that word. */
static bool
asks_for_nothing(const struct blueprint *b, enum directive_id id)
{
	const char *const *words = (const char *const *)b->values[id].words;

	if (blueprint_tri(b, id) != TRI_YES)
		return true;
	return (id == D_ProtectProc && strcmp(words[0], "default") == 0) || (id == D_ProcSubset && strcmp(words[0], "all") == 0);
}

static char **
needed(const struct blueprint *b)
{
	char **keys = NULL;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if (blueprint_is_set(b, needs[i].id) && !asks_for_nothing(b, needs[i].id))
			keys = strv_add(keys, blueprint_directives[needs[i].id].key);
	return keys;
}

/* ---- users and capabilities ----------------------------------------------------------------------------------------------- */

static int
make_user(struct sandbox *s, const struct blueprint *b, const struct sandbox_paths *p, struct err *e)
{
	bool dynamic = blueprint_tri(b, D_DynamicUser) == TRI_YES;

	s->uid = s->gid = -1;
	s->user = xstrdup(blueprint_text(b, D_User));
	s->group = xstrdup(blueprint_text(b, D_Group));
	if (dynamic && s->user)
		return err_set_status(e, 422, -EINVAL, "DynamicUser=yes and User=%s contradict each other: leave one out", s->user);
	if (dynamic && !p->root && blueprint_is_set(b, D_DynamicUser))
		return err_set_status(e, 422, -EPERM, "DynamicUser=yes needs an aod that runs as root: leave it out, or use the system's aod");
	s->dynamic_user = dynamic && p->root;
	return 0;
}

/* Of words as in CapabilityBoundingSet=: a list that begins with ~ takes away from all. */
static uint64_t
capabilities_of(char *const *words)
{
	uint64_t set = words && words[0][0] == '~' ? UINT64_MAX : 0;

	for (; words && *words; words++) {
		const char *name = *words + (**words == '~');

		if (strcmp(name, "none") == 0)
			set = 0;
		else if (*name && **words == '~')
			set &= ~CAP_BIT(value_capability(name));
		else if (*name)
			set |= CAP_BIT(value_capability(name));
	}
	return set;
}

uint64_t
sandbox_bounding_set(const struct blueprint *b)
{
	static const struct {
		enum directive_id id;
		uint64_t without;
	} taken[] = {
		{ D_PrivateDevices, CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_SYS_RAWIO) },
		{ D_ProtectKernelModules, CAP_BIT(CAP_SYS_MODULE) },
		{ D_ProtectKernelLogs, CAP_BIT(CAP_SYSLOG) },
		{ D_ProtectClock, CAP_BIT(CAP_SYS_TIME) | CAP_BIT(CAP_WAKE_ALARM) },
	};
	char *const *words = blueprint_words(b, D_CapabilityBoundingSet);
	uint64_t set = words ? capabilities_of(words) : UINT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (blueprint_tri(b, taken[i].id) == TRI_YES)
			set &= ~taken[i].without;
	return set;
}

/* All but some are those of the bounding set but these. */
uint64_t
sandbox_ambient_set(const struct blueprint *b)
{
	char *const *words = blueprint_words(b, D_AmbientCapabilities);
	uint64_t set = capabilities_of(words);

	return words && words[0][0] == '~' ? set & sandbox_bounding_set(b) : set;
}

static int
make_capabilities(struct sandbox *s, const struct blueprint *b, struct err *e)
{
	s->capabilities = sandbox_bounding_set(b);
	s->ambient = sandbox_ambient_set(b);
	if (s->ambient & ~s->capabilities)
		return err_set_status(e, 422, -EINVAL,
				      "AmbientCapabilities= has capabilities that CapabilityBoundingSet= or a Protect...= key of %s takes away: name them in "
				      "CapabilityBoundingSet=",
				      blueprint_name(b));
	return 0;
}

/* ---- namespaces and system calls ------------------------------------------------------------------------------------------- */

static bool
yes(const struct blueprint *b, enum directive_id id)
{
	return blueprint_tri(b, id) == TRI_YES;
}

static void
make_namespaces(struct sandbox *s, const struct blueprint *b)
{
	static const struct {
		enum directive_id id;
		unsigned flag;
	} own[] = {
		{ D_PrivatePIDs, CLONE_NEWPID },
		{ D_PrivateUsers, CLONE_NEWUSER },
		{ D_PrivateIPC, CLONE_NEWIPC },
		{ D_ProtectHostname, CLONE_NEWUTS },
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (yes(b, own[i].id))
			s->namespaces |= own[i].flag;
	if (s->mount_count > 0)
		s->namespaces |= CLONE_NEWNS;
	s->private_network = yes(b, D_PrivateNetwork);
}

static unsigned
namespace_flag(const char *name)
{
	static const struct {
		const char *name;
		int flag;
	} names[] = {
		{ "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC }, { "mnt", CLONE_NEWNS },	  { "net", CLONE_NEWNET },
		{ "pid", CLONE_NEWPID },       { "time", CLONE_NEWTIME }, { "user", CLONE_NEWUSER }, { "uts", CLONE_NEWUTS },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return (unsigned)names[i].flag;
	return 0;
}

unsigned
sandbox_allowed_namespaces(const struct blueprint *b)
{
	char *const *words = blueprint_words(b, D_RestrictNamespaces);
	unsigned allowed = !words || words[0][0] == '~' || strcmp(words[0], "no") == 0 ? ALL_NAMESPACES : 0;

	for (; words && *words; words++) {
		if (**words == '~')
			allowed &= ~namespace_flag(*words + 1);
		else
			allowed |= namespace_flag(*words);
	}
	return allowed;
}

static void
make_syscalls(struct sandbox *s, const struct blueprint *b)
{
	struct sandbox_syscalls *c = &s->syscalls;
	char *const *filter = blueprint_words(b, D_SystemCallFilter), *const *spaces = blueprint_words(b, D_RestrictNamespaces);
	bool none = filter && strcmp(filter[0], "no") == 0, list = filter && !none && strcmp(filter[0], "yes") != 0;

	c->basic = !none && !list;
	c->filter = list ? strv_dup(filter) : NULL;
	c->error = xstrdup(blueprint_text(b, D_SystemCallErrorNumber));
	c->architectures = blueprint_words(b, D_SystemCallArchitectures) ? strv_dup(blueprint_words(b, D_SystemCallArchitectures)) : NULL;
	c->log = blueprint_words(b, D_SystemCallLog) ? strv_dup(blueprint_words(b, D_SystemCallLog)) : NULL;
	c->families = blueprint_words(b, D_RestrictAddressFamilies) ? strv_dup(blueprint_words(b, D_RestrictAddressFamilies)) : NULL;
	c->restrict_namespaces = spaces && strcmp(spaces[0], "no") != 0;
	c->namespaces = c->restrict_namespaces ? sandbox_allowed_namespaces(b) : 0;
	c->no_suid_sgid = yes(b, D_RestrictSUIDSGID);
	c->no_realtime = yes(b, D_RestrictRealtime);
	c->lock_personality = yes(b, D_LockPersonality);
	c->no_write_execute = yes(b, D_MemoryDenyWriteExecute);
	c->no_hostname = yes(b, D_ProtectHostname);
	c->no_clock = yes(b, D_ProtectClock);
	c->no_modules = yes(b, D_ProtectKernelModules);
	c->no_kernel_log = yes(b, D_ProtectKernelLogs);
	c->no_raw_io = yes(b, D_PrivateDevices);
	c->off = none && !c->architectures && !c->log && !c->families && !c->restrict_namespaces && !c->no_suid_sgid && !c->no_realtime &&
		 !c->lock_personality && !c->no_write_execute && !c->no_hostname && !c->no_clock && !c->no_modules && !c->no_kernel_log && !c->no_raw_io;
	/* A process that is to be killed cannot be asked about. */
	c->notify = s->profile != SANDBOX_NONE && !c->off && !(c->error && strcmp(c->error, "kill") == 0);
}

/* ---- limits of a process ---------------------------------------------------------------------------------------------------- */

static uint64_t
rlimit_number(enum directive_id id, const char *v)
{
	const char *unit = blueprint_directives[id].values;
	int64_t n = 0;

	value_limit(unit, v, &n);
	if (n == INT64_MAX)
		return UINT64_MAX;
	/* A part of a second is a whole one to the kernel. */
	return strcmp(unit, "time") == 0 ? (uint64_t)n / 1000000 + ((uint64_t)n % 1000000 != 0) : (uint64_t)n;
}

static void
make_rlimits(struct sandbox *s, const struct blueprint *b)
{
	static const struct {
		enum directive_id id;
		int resource;
	} limits[] = {
		{ D_LimitCPU, RLIMIT_CPU },	{ D_LimitFSIZE, RLIMIT_FSIZE },	    { D_LimitDATA, RLIMIT_DATA },
		{ D_LimitSTACK, RLIMIT_STACK }, { D_LimitCORE, RLIMIT_CORE },	    { D_LimitRSS, RLIMIT_RSS },
		{ D_LimitNOFILE, RLIMIT_NOFILE }, { D_LimitAS, RLIMIT_AS },	    { D_LimitNPROC, RLIMIT_NPROC },
		{ D_LimitMEMLOCK, RLIMIT_MEMLOCK }, { D_LimitLOCKS, RLIMIT_LOCKS }, { D_LimitSIGPENDING, RLIMIT_SIGPENDING },
		{ D_LimitMSGQUEUE, RLIMIT_MSGQUEUE }, { D_LimitNICE, RLIMIT_NICE }, { D_LimitRTPRIO, RLIMIT_RTPRIO },
		{ D_LimitRTTIME, RLIMIT_RTTIME },
	};

	_Static_assert(ARRAY_LEN(limits) == ARRAY_LEN(s->rlimits), "one for each Limit...= key");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const char *v = blueprint_text(b, limits[i].id), *colon = v ? strchr(v, ':') : NULL;
		CLEANUP_FREE char *soft = v ? xstrndup(v, colon ? (size_t)(colon - v) : strlen(v)) : NULL;

		if (v)
			s->rlimits[s->rlimit_count++] = (struct sandbox_rlimit){ limits[i].resource, rlimit_number(limits[i].id, soft),
										 rlimit_number(limits[i].id, colon ? colon + 1 : soft) };
	}
}

static int64_t
int_or_unset(const struct blueprint *b, enum directive_id id)
{
	return blueprint_text(b, id) ? blueprint_int(b, id) : INT64_MIN;
}

static void
make_process(struct sandbox *s, const struct blueprint *b)
{
	const char *oom = blueprint_text(b, D_OOMPolicy);

	s->no_new_privs = yes(b, D_NoNewPrivileges);
	s->umask = blueprint_text(b, D_UMask) ? blueprint_int(b, D_UMask) : -1;
	s->nice = int_or_unset(b, D_Nice);
	s->oom_score_adj = int_or_unset(b, D_OOMScoreAdjust);
	s->oom_policy = !oom || strcmp(oom, "stop") == 0 ? OOM_STOP : strcmp(oom, "kill") == 0 ? OOM_KILL : OOM_CONTINUE;
	make_rlimits(s, b);
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------------- */

static int
make_credentials(struct sandbox *s, const struct blueprint *b, const struct sandbox_paths *p, struct err *e)
{
	char *const *load = blueprint_words(b, D_LoadCredential), *const *set = blueprint_words(b, D_SetCredential);

	if (!load && !set)
		return 0;
	if (p->no_namespaces)
		return err_set_status(e, 422, -EPERM, "LoadCredential= and SetCredential= need a mount namespace, which this host does not give");
	s->load_credentials = load ? strv_dup(load) : NULL;
	s->set_credentials = set ? strv_dup(set) : NULL;
	s->credentials_dir = xasprintf("%s/credentials", p->run);
	return 0;
}

/* A size of disk: a percentage of the memory would say nothing. */
static int
disk_size(const struct blueprint *b, enum directive_id id, int64_t *out, struct err *e)
{
	const char *v = blueprint_text(b, id);

	*out = v ? blueprint_bytes(b, id, 0) : LIMIT_UNSET;
	if (v && strchr(v, '%'))
		return err_set_status(e, 422, -EINVAL, "%s=%s: a percentage of the memory says nothing about a disk; give bytes such as 2G",
				      blueprint_directives[id].key, v);
	if (*out == LIMIT_INFINITY)
		*out = LIMIT_UNSET;
	return 0;
}

static int
make_sizes(struct sandbox *s, const struct blueprint *b, const struct limit_totals *t, struct err *e)
{
	const char *size = blueprint_text(b, D_PrivateTmpSize);
	int rc = disk_size(b, D_WorkspaceQuota, &s->workspace_quota, e);

	s->tmp_size = size ? blueprint_bytes(b, D_PrivateTmpSize, t->memory_bytes) : LIMIT_UNSET;
	return rc < 0 ? rc : disk_size(b, D_LogSizeMax, &s->log_size_max, e);
}

int
sandbox_make(const struct blueprint *b, const struct sandbox_paths *p, const struct limit_totals *t, struct sandbox **out, struct err *e)
{
	struct sandbox *s = xcalloc(1, sizeof(*s));
	int r;

	*out = NULL;
	limits_init(&s->limits);
	s->profile = sandbox_profile(b);
	r = make_user(s, b, p, e);
	if (r == 0)
		r = make_capabilities(s, b, e);
	if (r == 0)
		r = make_credentials(s, b, p, e);
	if (r == 0)
		r = make_sizes(s, b, t, e);
	if (r == 0)
		r = limits_from(&s->limits, b, t, e);
	if (r == 0)
		r = sandbox_make_mounts(s, b, p, e);
	if (r < 0) {
		sandbox_free(s);
		return r;
	}
	if (!p->no_namespaces)
		make_namespaces(s, b);
	make_syscalls(s, b);
	make_process(s, b);
	s->landlock_scope = s->profile != SANDBOX_NONE;
	s->slice = xstrdup(blueprint_text(b, D_Slice));
	s->needs = needed(b);
	*out = s;
	return 0;
}

void
sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->mount_count; i++) {
		free(s->mounts[i].src);
		free(s->mounts[i].dst);
		free(s->mounts[i].opt);
	}
	free(s->mounts);
	free(s->user);
	free(s->group);
	strv_free(s->landlock_rw);
	strv_free(s->landlock_ro);
	strv_free(s->git_guard);
	strv_free(s->syscalls.filter);
	free(s->syscalls.error);
	strv_free(s->syscalls.architectures);
	strv_free(s->syscalls.log);
	strv_free(s->syscalls.families);
	limits_free(&s->limits);
	free(s->slice);
	strv_free(s->load_credentials);
	strv_free(s->set_credentials);
	free(s->credentials_dir);
	strv_free(s->needs);
	free(s);
}
