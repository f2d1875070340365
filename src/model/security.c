/* SPDX-License-Identifier: MIT */
/*
 * How much of its host a blueprint leaves to its agent, as a number: the weights of `systemd-analyze security` for the keys that aod shares with
 * systemd, and lines for what only aod has. Each line is bad by 0 to 1; the score is their mean by weight, times ten. See sandbox.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <linux/capability.h>
#include <math.h>
#include <sched.h>
#include <string.h>

#include "base/util.h"
#include "model/sandbox-internal.h"

#define CAP(c) (UINT64_C(1) << (CAP_##c))

/* What the lines are made of. */
struct facts {
	const struct blueprint *b;
	bool superuser; /* the agent's user is 0 */
	uint64_t capabilities, ambient;
	unsigned namespaces;
};

struct row {
	int weight;
	const char *key, *mend, *good, *bad;
	double (*assess)(const struct facts *f, const struct row *row); /* NULL: bad unless id is yes */
	enum directive_id id;
	uint64_t bits;	     /* capabilities, namespaces */
	const char *words;   /* families, groups of system calls with what holds or is part of them */
};

/* ---- single lines --------------------------------------------------------------------------------------------------------- */

static bool
is(const struct facts *f, enum directive_id id, const char *value)
{
	const char *v = blueprint_text(f->b, id);

	return v && strcmp(v, value) == 0;
}

static bool
is_yes(const struct facts *f, enum directive_id id)
{
	return blueprint_tri(f->b, id) == TRI_YES;
}

static double
user(const struct facts *f, const struct row *row)
{
	return f->superuser;
}

/* Without privileges to be had, a user who is not root has no capability either. */
static double
capabilities(const struct facts *f, const struct row *row)
{
	return f->capabilities & row->bits && (f->superuser || !is_yes(f, D_NoNewPrivileges));
}

static double
ambient(const struct facts *f, const struct row *row)
{
	return f->ambient != 0;
}

static double
namespaces(const struct facts *f, const struct row *row)
{
	return (f->namespaces & row->bits) != 0;
}

static double
profile(const struct facts *f, const struct row *row)
{
	return sandbox_profile(f->b) != SANDBOX_STRICT;
}

static double
protect_home(const struct facts *f, const struct row *row)
{
	return is(f, D_ProtectHome, "yes") ? 0 : is(f, D_ProtectHome, "tmpfs") ? 0 : is(f, D_ProtectHome, "read-only") ? 0.5 : 1;
}

static double
protect_system(const struct facts *f, const struct row *row)
{
	return is(f, D_ProtectSystem, "strict") ? 0 : is(f, D_ProtectSystem, "full") ? 0.3 : is(f, D_ProtectSystem, "yes") ? 0.5 : 1;
}

static double
protect_proc(const struct facts *f, const struct row *row)
{
	return is(f, D_ProtectProc, "invisible") || is(f, D_ProtectProc, "ptraceable") ? 0 : is(f, D_ProtectProc, "noaccess") ? 0.3 : 1;
}

static double
proc_subset(const struct facts *f, const struct row *row)
{
	return !is(f, D_ProcSubset, "pid");
}

static double
file_mode(const struct facts *f, const struct row *row)
{
	int64_t mask = blueprint_text(f->b, D_UMask) ? blueprint_int(f->b, D_UMask) : 022;

	return !(mask & 02) ? 1 : !(mask & 04) ? 0.5 : !(mask & 020) ? 0.2 : !(mask & 040) ? 0.1 : 0;
}

static double
architectures(const struct facts *f, const struct row *row)
{
	char *const *words = blueprint_words(f->b, D_SystemCallArchitectures);

	return !words ? 1 : words[1] ? 0.5 : 0;
}

/* Whether one of a list's words is name, with what is in front of it. */
static bool
listed(char *const *words, char prefix, const char *name, size_t n)
{
	for (; words && *words; words++) {
		const char *w = *words;

		if (prefix && *w++ != prefix)
			continue;
		if (strncmp(w, name, n) == 0 && !w[n])
			return true;
	}
	return false;
}

/* Whether a family of a list of them may be had. "": one that nobody names. */
static double
families(const struct facts *f, const struct row *row)
{
	char *const *words = blueprint_words(f->b, D_RestrictAddressFamilies);
	bool all_but = !words || words[0][0] == '~';

	for (const char *p = row->words; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (all_but ? !listed(words, '~', p, n) : listed(words, 0, p, n))
			return 1;
		p += n;
	}
	return 0;
}

static double
other_families(const struct facts *f, const struct row *row)
{
	char *const *words = blueprint_words(f->b, D_RestrictAddressFamilies);

	for (size_t i = 0; words && words[i] && words[0][0] != '~'; i++)
		if (strcmp(words[i], "none") && !listed((char *[]){ words[i], NULL }, 0, "AF_UNIX", 7) && strcmp(words[i], "AF_LOCAL") &&
		    strcmp(words[i], "AF_INET") && strcmp(words[i], "AF_INET6") && strcmp(words[i], "AF_NETLINK") && strcmp(words[i], "AF_PACKET"))
			return 1;
	return !words || words[0][0] == '~';
}

/*
 * Whether calls of a group are allowed. What the groups hold is not known here: the first of row->words is the group, further ones are groups that
 * have it in them, and calls that stand for it.
 */
static double
call_group(const struct facts *f, const struct row *row)
{
	char *const *words = blueprint_words(f->b, D_SystemCallFilter);
	const char *first = row->words;
	bool basic = words && strcmp(words[0], "yes") == 0, allowed = !words || words[0][0] == '~' || strcmp(words[0], "no") == 0;

	if (row->id != D_SystemCallFilter && is_yes(f, row->id))
		return 0;
	if (basic)
		return row->bits == 0;
	for (; words && *words; words++) {
		const char *w = *words + (**words == '~');
		size_t n = strcspn(w, ":");
		CLEANUP_FREE char *name = xstrndup(w, n);

		if (**words == '~' ? strncmp(first, name, n) == 0 && (first[n] == ' ' || !first[n]) : false)
			allowed = false;
		for (const char *p = first; **words != '~' && *p; p += strspn(p, " ")) {
			size_t len = strcspn(p, " ");

			allowed = allowed || (len == n && strncmp(p, name, n) == 0);
			p += len;
		}
	}
	return allowed;
}

static double
limited(const struct facts *f, const struct row *row)
{
	const char *v = blueprint_text(f->b, row->id);

	return !v || strcmp(v, "infinity") == 0;
}

static double
core(const struct facts *f, const struct row *row)
{
	const char *v = blueprint_text(f->b, D_LimitCORE);

	return !v || (strcmp(v, "0") != 0 && !str_starts(v, "0:"));
}

/* Whether the name of a variable says that its value is one to keep. */
static bool
sounds_secret(const char *name, size_t n)
{
	static const char *const parts[] = { "KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (memmem(name, n, parts[i], strlen(parts[i])))
			return true;
	return false;
}

static double
secrets(const struct facts *f, const struct row *row)
{
	char *const *pass = blueprint_words(f->b, D_PassEnvironment), *const *set = blueprint_words(f->b, D_Environment);

	for (; pass && *pass; pass++)
		if (sounds_secret(*pass, strlen(*pass)))
			return 1;
	for (; set && *set; set++)
		if (sounds_secret(*set, strcspn(*set, "=")))
			return 1;
	return 0;
}

/* A path that gives what the others take. */
static double
open_paths(const struct facts *f, const struct row *row)
{
	static const char *const sockets[] = { "docker.sock", "containerd.sock", "podman.sock", "system_bus_socket" };
	static const enum directive_id keys[] = { D_BindPaths, D_BindReadOnlyPaths };

	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		for (char *const *w = blueprint_words(f->b, keys[k]); w && *w; w++)
			for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
				if (strstr(*w, sockets[i]))
					return 1;
	return 0;
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

#define YES(weight, key, good, bad) { weight, #key "=", #key "=yes", good, bad, NULL, D_##key, 0, NULL }
#define CAPS(weight, what, bits, good, bad)                                                                                                \
	{ weight, "CapabilityBoundingSet=~" what, "CapabilityBoundingSet=none, or without these", good, bad, capabilities, 0, bits, NULL }
#define SPACE(weight, what, bit, bad)                                                                                                      \
	{ weight, "RestrictNamespaces=~" what, "RestrictNamespaces=yes", "It can make no " what " namespaces", bad, namespaces, 0, bit, NULL }
#define FAMILY(weight, what, words, good, bad)                                                                                             \
	{ weight, "RestrictAddressFamilies=~" what, "RestrictAddressFamilies= without it", good, bad, families, 0, 0, words }
/* basic: whether SystemCallFilter=yes refuses it. */
#define CALLS(weight, group, words, basic, id, good, bad)                                                                                  \
	{ weight, "SystemCallFilter=~" group, "SystemCallFilter=@system-service", good, bad, call_group, id, basic, group " " words }

static const struct row rows[] = {
	{ 2500, "Sandbox=", "Sandbox=strict", "aod's directories, other sessions and the host's services are not there for it",
	  "It sees aod's directories and the host's services as far as its user may", profile, 0, 0, NULL },
	{ 2000, "User=/DynamicUser=", "DynamicUser=yes, or User=", "It is not root", "It is root", user, 0, 0, NULL },
	YES(2500, PrivateNetwork, "It has no network of the host's", "It has the host's network"),
	YES(1000, PrivateDevices, "It has no devices", "It may have devices of the host's"),
	YES(1000, PrivateTmp, "Its /tmp is its own", "It shares /tmp with others"),
	YES(1000, PrivateUsers, "It knows no other users", "It knows other users"),
	YES(1000, PrivatePIDs, "It sees no other processes, and none of its own is left behind", "Its processes are among those of the host"),
	YES(200, PrivateIPC, "Its System V IPC is its own", "It shares System V IPC with others"),
	YES(1000, ProtectControlGroups, "It cannot change control groups", "It may change control groups"),
	YES(1000, ProtectKernelModules, "It can load no kernel modules", "It may load kernel modules"),
	YES(1000, ProtectKernelTunables, "It cannot change the kernel's variables", "It may change the kernel's variables"),
	YES(1000, ProtectKernelLogs, "It cannot read the kernel's log", "It may read the kernel's log"),
	YES(1000, ProtectClock, "It cannot set the clock", "It may set the clock"),
	YES(50, ProtectHostname, "It cannot change the host's name", "It may change the host's name"),
	{ 1000, "ProtectHome=", "ProtectHome=tmpfs", "It sees no homes but what it works in", "It sees the homes of users", protect_home, 0, 0, NULL },
	{ 1000, "ProtectSystem=", "ProtectSystem=strict", "It can write nowhere but where it works", "It may write to the system", protect_system, 0, 0, NULL },
	{ 1000, "ProtectProc=", "ProtectProc=invisible", "It sees no processes of others in /proc", "It sees processes of others in /proc", protect_proc, 0, 0,
	  NULL },
	{ 10, "ProcSubset=", "ProcSubset=pid (many agents need more)", "Its /proc has processes only", "Its /proc has all there is", proc_subset, 0, 0, NULL },
	YES(1000, NoNewPrivileges, "No program gives it more rights", "set-user-ID programs may give it more rights"),
	YES(1000, RestrictSUIDSGID, "It can make no set-user-ID files", "It may make set-user-ID files"),
	YES(500, RestrictRealtime, "It can have no real-time scheduling", "It may have real-time scheduling"),
	YES(100, LockPersonality, "It cannot change its execution domain", "It may change its execution domain"),
	YES(100, MemoryDenyWriteExecute, "Its memory cannot be written and executed (breaks programs with V8)", "Its memory may be written and executed"),
	{ 100, "UMask=", "UMask=0077", "Files that it makes are its own", "Files that it makes can be read by others", file_mode, 0, 0, NULL },
	CAPS(1500, "CAP_SYS_ADMIN", CAP(SYS_ADMIN), "It cannot administer the system", "It may administer the system"),
	CAPS(1500, "CAP_SET(UID|GID|PCAP)", CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP), "It cannot become another user", "It may become any user"),
	CAPS(1500, "CAP_SYS_PTRACE", CAP(SYS_PTRACE), "It cannot look into processes of others", "It may look into any process"),
	CAPS(1000, "CAP_SYS_TIME", CAP(SYS_TIME), "It has no right to set the clock", "It has the right to set the clock"),
	CAPS(1000, "CAP_NET_ADMIN", CAP(NET_ADMIN), "It cannot configure the network", "It may configure the network"),
	CAPS(1000, "CAP_SYS_RAWIO", CAP(SYS_RAWIO), "It cannot reach hardware", "It may reach hardware"),
	CAPS(1000, "CAP_SYS_MODULE", CAP(SYS_MODULE), "It has no right to load modules", "It has the right to load modules"),
	CAPS(1000, "CAP_(CHOWN|FSETID|SETFCAP)", CAP(CHOWN) | CAP(FSETID) | CAP(SETFCAP), "It cannot give files away", "It may give files to anybody"),
	CAPS(1000, "CAP_(DAC_*|FOWNER|IPC_OWNER)", CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(IPC_OWNER),
	     "It is bound by the permissions of files", "It may read and write any file"),
	CAPS(500, "CAP_AUDIT_*", CAP(AUDIT_CONTROL) | CAP(AUDIT_READ) | CAP(AUDIT_WRITE), "It has nothing to do with audit", "It may change audit"),
	CAPS(500, "CAP_SYSLOG", CAP(SYSLOG), "It has no right to the kernel's log", "It has the right to the kernel's log"),
	CAPS(500, "CAP_SYS_(NICE|RESOURCE)", CAP(SYS_NICE) | CAP(SYS_RESOURCE), "It cannot raise limits", "It may raise limits"),
	CAPS(500, "CAP_MKNOD", CAP(MKNOD), "It can make no devices", "It may make devices"),
	CAPS(500, "CAP_KILL", CAP(KILL), "It cannot send signals to others", "It may send signals to any process"),
	CAPS(500, "CAP_NET_(BIND_SERVICE|BROADCAST|RAW)", CAP(NET_BIND_SERVICE) | CAP(NET_BROADCAST) | CAP(NET_RAW),
	     "It has no rights in the network", "It may have raw sockets and low ports"),
	CAPS(25, "CAP_BPF", CAP(BPF) | CAP(PERFMON), "It can load no BPF programs", "It may load BPF programs"),
	CAPS(100, "CAP_SYS_BOOT", CAP(SYS_BOOT), "It cannot reboot", "It may reboot"),
	CAPS(100, "CAP_MAC_*", CAP(MAC_ADMIN) | CAP(MAC_OVERRIDE), "It cannot change security modules", "It may change security modules"),
	CAPS(75, "CAP_LINUX_IMMUTABLE", CAP(LINUX_IMMUTABLE), "It can make no file immutable", "It may make files immutable"),
	CAPS(50, "CAP_IPC_LOCK", CAP(IPC_LOCK), "It has no right to lock memory", "It may lock memory"),
	CAPS(50, "CAP_SYS_CHROOT", CAP(SYS_CHROOT), "It cannot change its root", "It may change its root"),
	{ 500, "AmbientCapabilities=", "AmbientCapabilities= unset", "It is given no capabilities", "It is given capabilities", ambient, 0, 0, NULL },
	SPACE(1500, "user", CLONE_NEWUSER, "It may make user namespaces, and be root in them"),
	SPACE(500, "mnt", CLONE_NEWNS, "It may make mnt namespaces"),
	SPACE(500, "ipc", CLONE_NEWIPC, "It may make ipc namespaces"),
	SPACE(500, "pid", CLONE_NEWPID, "It may make pid namespaces"),
	SPACE(500, "cgroup", CLONE_NEWCGROUP, "It may make cgroup namespaces"),
	SPACE(500, "net", CLONE_NEWNET, "It may make net namespaces"),
	SPACE(100, "uts", CLONE_NEWUTS, "It may make uts namespaces"),
	FAMILY(1500, "AF_(INET|INET6)", "AF_INET AF_INET6", "It can have no Internet sockets", "It may have Internet sockets"),
	FAMILY(25, "AF_UNIX", "AF_UNIX", "It can have no local sockets", "It may have local sockets"),
	FAMILY(200, "AF_NETLINK", "AF_NETLINK", "It can have no netlink sockets", "It may have netlink sockets"),
	FAMILY(1000, "AF_PACKET", "AF_PACKET", "It can have no packet sockets", "It may have packet sockets"),
	{ 1250, "RestrictAddressFamilies=~...", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "It can have no unusual sockets",
	  "It may have unusual sockets (VSOCK, ALG, ...)", other_families, 0, 0, NULL },
	{ 1000, "SystemCallArchitectures=", "SystemCallArchitectures=native", "System calls of the machine's own architecture only",
	  "System calls of other architectures, too", architectures, 0, 0, NULL },
	CALLS(1000, "@swap", "@privileged swapon swapoff", 1, D_SystemCallFilter, "No calls for swap", "Calls for swap"),
	CALLS(1000, "@clock", "@privileged settimeofday clock_settime adjtimex", 1, D_ProtectClock, "No calls that set the clock", "Calls that set the clock"),
	CALLS(1000, "@module", "@privileged init_module finit_module", 1, D_ProtectKernelModules, "No calls that load modules", "Calls that load modules"),
	CALLS(1000, "@raw-io", "@privileged ioperm iopl", 1, D_PrivateDevices, "No calls for hardware", "Calls for hardware"),
	CALLS(1000, "@reboot", "@privileged reboot kexec_load", 1, D_SystemCallFilter, "No calls that reboot", "Calls that reboot"),
	CALLS(1000, "@mount", "mount umount2 pivot_root fsmount", 0, D_SystemCallFilter, "No calls that mount", "Calls that mount"),
	CALLS(1000, "@debug", "ptrace perf_event_open process_vm_readv", 0, D_SystemCallFilter, "No calls of debuggers", "Calls of debuggers (ptrace)"),
	CALLS(700, "@privileged", "", 0, D_SystemCallFilter, "No calls that need privileges", "Calls that need privileges"),
	CALLS(250, "@obsolete", "", 0, D_SystemCallFilter, "No calls that are obsolete", "Calls that are obsolete"),
	CALLS(250, "@cpu-emulation", "modify_ldt vm86", 0, D_SystemCallFilter, "No calls of emulators", "Calls of emulators"),
	{ 1000, "SystemCallFilter=~@keyring", "SystemCallFilter=~@keyring, or yes", "It has nothing to do with the kernel's keys",
	  "It shares the kernel's keyring with aod", call_group, D_SystemCallFilter, 1, "@keyring keyctl add_key request_key @system-service" },
	{ 500, "MemoryMax=", "MemoryMax=8G", "Its memory has a limit", "It may use up the memory", limited, D_MemoryMax, 0, NULL },
	{ 500, "TasksMax=", "TasksMax=1024", "The number of its processes has a limit", "It may start processes without end", limited, D_TasksMax, 0, NULL },
	{ 200, "CPUQuota=", "CPUQuota=200%", "Its processor time has a limit", "It may use all processors", limited, D_CPUQuota, 0, NULL },
	{ 200, "WorkspaceQuota=", "WorkspaceQuota=10G", "Its directory has a limit", "It may fill the disk that its directory is on", limited, D_WorkspaceQuota, 0,
	  NULL },
	{ 50, "LimitCORE=", "LimitCORE=0", "It leaves no core dumps", "Core dumps may hold secrets", core, 0, 0, NULL },
	{ 700, "Environment=/PassEnvironment=", "LoadCredential=, or a key of the session's own", "No secrets are in its environment",
	  "Secrets are in its environment, and in that of all it starts", secrets, 0, 0, NULL },
	{ 500, "BindPaths=", "BindPaths= without the socket", "It is shown no socket of a service that runs as root",
	  "It is shown the socket of a service that runs as root", open_paths, 0, 0, NULL },
};

_Static_assert(ARRAY_LEN(rows) <= SECURITY_LINES_MAX, "a line for each row");

double
security_assess(const struct blueprint *b, bool root, struct security_line lines[SECURITY_LINES_MAX], int *count)
{
	const char *name = blueprint_text(b, D_User);
	bool other = blueprint_tri(b, D_DynamicUser) == TRI_YES || (name && strcmp(name, "root") && strcmp(name, "0"));
	struct facts f = { .b = b,
			   .superuser = root && !other,
			   .capabilities = sandbox_bounding_set(b),
			   .ambient = sandbox_ambient_set(b),
			   .namespaces = sandbox_allowed_namespaces(b) };
	double sum = 0, weights = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		weights += rows[i].weight;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		double bad = row->assess ? row->assess(&f, row) : !is_yes(&f, row->id);

		sum += bad * row->weight;
		lines[i] = (struct security_line){ row->key, bad == 0, bad * row->weight * 10 / weights, bad > 0 ? row->bad : row->good,
						   bad > 0 ? row->mend : NULL };
	}
	*count = (int)ARRAY_LEN(rows);
	/* Nothing that is left rounds to nothing. */
	return ceil(sum * 100 / weights - 1e-9) / 10;
}

const char *
security_grade(double exposure)
{
	static const struct {
		double from;
		const char *name;
	} grades[] = { { 10, "DANGEROUS" }, { 9, "UNSAFE" }, { 7.5, "EXPOSED" }, { 5, "MEDIUM" }, { 1, "OK" }, { 0.1, "SAFE" } };

	for (size_t i = 0; i < ARRAY_LEN(grades); i++)
		if (exposure >= grades[i].from - 1e-9)
			return grades[i].name;
	return "PERFECT";
}

void
security_json(struct buf *out, const struct blueprint *effective, bool root, bool with_lines)
{
	struct security_line lines[SECURITY_LINES_MAX];
	int count;
	double exposure = security_assess(effective, root, lines, &count);

	buf_printf(out, "\"exposure\":%.1f,\"grade\":\"%s\"", exposure, security_grade(exposure));
	if (!with_lines)
		return;
	for (int i = 0; i < count; i++) {
		buf_printf(out, "%s{\"key\":", i ? "," : ",\"lines\":[");
		buf_put_json_str(out, lines[i].key);
		buf_printf(out, ",\"good\":%s,\"exposure\":%.2f,\"text\":", lines[i].good ? "true" : "false", lines[i].exposure);
		buf_put_json_str(out, lines[i].text);
		buf_puts(out, ",\"mend\":");
		buf_put_json_str(out, lines[i].mend);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}
