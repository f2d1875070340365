/* SPDX-License-Identifier: MIT */
/* What the keys of [Sandbox] and [Resources] come to: profiles, mounts, limits, and what cannot be. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "model/sandbox.h"

#define OWN "/var/lib/aod/sessions/ID/agent"
#define GB (INT64_C(1) << 30)
#define CAP(c) (UINT64_C(1) << (c))

static struct err e;
static struct limit_totals totals = { 64 * GB, 10000 };

/* ---- helpers ---- */

static struct blueprint *
blueprint(const char *text)
{
	struct blueprint *b = blueprint_new("bp", NULL);
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;

	if (blueprint_add(b, "bp", text, strlen(text), &p) > 0)
		fail_msg("%s", p.v[0].text);
	blueprint_problems_free(&p);
	return b;
}

static struct sandbox_paths
paths_at(const char *cwd, bool root)
{
	return (struct sandbox_paths){ .cwd = cwd,
				       .cwd_is_own = path_within(cwd, OWN),
				       .own = OWN,
				       .tmp = OWN "/tmp",
				       .program = "/usr/bin/claude",
				       .state = "/var/lib/aod",
				       .run = "/run/aod",
				       .etc = "/etc/aod",
				       .socket = "/run/aod/agents/aod.sock",
				       .home = OWN "/home",
				       .root = root };
}

static struct sandbox *
make(const char *text, const struct sandbox_paths *p)
{
	struct blueprint *b = blueprint(text), *effective = sandbox_effective(b);
	struct sandbox *s = NULL;

	if (sandbox_make(effective, p, &totals, &s, &e) < 0)
		fail_msg("%s", e.text);
	blueprint_free(b);
	blueprint_free(effective);
	return s;
}

/* Of Adapter=command, which has no profile: just what the text says. */
static struct sandbox *
make_plain(const char *text)
{
	CLEANUP_FREE char *all = xasprintf("[Agent]\nAdapter=command\n%s", text);
	struct sandbox_paths p = paths_at("/srv/project", true);

	return make(all, &p);
}

static void
refused_at(const char *text, const struct sandbox_paths *p, const char *says)
{
	struct blueprint *b = blueprint(text), *effective = sandbox_effective(b);
	struct sandbox *s = NULL;

	memset(&e, 0, sizeof(e));
	assert_true(sandbox_make(effective, p, &totals, &s, &e) < 0);
	assert_null(s);
	assert_int_equal(e.status, 422);
	if (!strstr(e.text, says))
		fail_msg("'%s' does not say '%s'", e.text, says);
	assert_true(sandbox_make(effective, p, &totals, &s, NULL) < 0);
	blueprint_free(b);
	blueprint_free(effective);
}

static void
refused(const char *text, const char *says)
{
	CLEANUP_FREE char *all = xasprintf("[Agent]\nAdapter=command\n%s", text);
	struct sandbox_paths p = paths_at("/srv/project", true);

	refused_at(all, &p, says);
}

/* One line for each operation: op dst [<-src] [(opt)] [flags] */
static char *
mounts_text(const struct sandbox *s)
{
	static const char *const ops[] = { "bind", "tmpfs", "hide", "proc", "sys", "dev", "file", "credentials", "attr" };
	static const char *const flags[] = { "ro", "rw", "nosuid", "nodev", "noexec", "idmap", "own", "optional", "norec", "nofollow" };
	struct buf out = BUF_INIT;

	for (int i = 0; i < s->mount_count; i++) {
		const struct sandbox_mount *m = &s->mounts[i];

		buf_printf(&out, "%s %s", ops[m->op], m->dst);
		if (m->src && strcmp(m->src, m->dst) != 0)
			buf_printf(&out, " <-%s", m->src);
		if (m->opt)
			buf_printf(&out, " (%s)", m->opt);
		for (size_t k = 0; k < ARRAY_LEN(flags); k++)
			if (m->flags & (1u << k))
				buf_printf(&out, " %s", flags[k]);
		buf_putc(&out, '\n');
	}
	return buf_steal(&out);
}

static void
assert_mounts(struct sandbox *s, const char *want)
{
	CLEANUP_FREE char *got = mounts_text(s);

	if (strcmp(got, want) != 0)
		fail_msg("got:\n%swanted:\n%s", got, want);
	sandbox_free(s);
}

static void
assert_plain_mounts(const char *text, const char *want)
{
	assert_mounts(make_plain(text), want);
}

/* The operation at dst, or NULL. */
static const struct sandbox_mount *
mount_at(const struct sandbox *s, const char *dst)
{
	for (int i = 0; i < s->mount_count; i++)
		if (strcmp(s->mounts[i].dst, dst) == 0)
			return &s->mounts[i];
	return NULL;
}

static int
mount_index(const struct sandbox *s, const char *dst)
{
	const struct sandbox_mount *m = mount_at(s, dst);

	if (!m)
		fail_msg("nothing at %s", dst);
	return (int)(m - s->mounts);
}

/* ---- profiles ---- */

static void
test_profile(void **state)
{
	static const struct {
		const char *text;
		enum sandbox_profile profile;
	} cases[] = {
		{ "", SANDBOX_STRICT }, /* Adapter= is claude */
		{ "[Agent]\nAdapter=command\n", SANDBOX_NONE },
		{ "[Agent]\nAdapter=command\n[Sandbox]\nSandbox=strict\n", SANDBOX_STRICT },
		{ "[Sandbox]\nSandbox=workspace\n", SANDBOX_WORKSPACE },
		{ "[Sandbox]\nSandbox=none\n", SANDBOX_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct blueprint *b = blueprint(cases[i].text);

		assert_int_equal(sandbox_profile(b), cases[i].profile);
		blueprint_free(b);
	}
	assert_string_equal(sandbox_profile_name(SANDBOX_STRICT), "strict");
	assert_string_equal(sandbox_profile_name(SANDBOX_NONE), "none");
}

static void
test_effective(void **state)
{
	struct blueprint *b = blueprint("[Sandbox]\nPrivateDevices=no\nSystemCallFilter=@basic-io\n[Resources]\nTasksMax=7\n");
	struct blueprint *c = sandbox_effective(b);
	struct buf text = BUF_INIT;
	struct blueprint *again;
	const char *file;
	int line;

	assert_string_equal(blueprint_text(c, D_Sandbox), "strict");
	assert_string_equal(blueprint_text(c, D_ProtectSystem), "strict");
	assert_int_equal(blueprint_tri(c, D_NoNewPrivileges), TRI_YES);
	assert_string_equal(blueprint_words(c, D_CapabilityBoundingSet)[0], "none");
	/* A profile's value is not the blueprint's. */
	assert_false(blueprint_is_set(c, D_ProtectSystem) || blueprint_origin(c, D_ProtectSystem, &file, &line));
	/* What the blueprint sets stays, and it alone. */
	assert_int_equal(blueprint_tri(c, D_PrivateDevices), TRI_NO);
	assert_string_equal(blueprint_words(c, D_SystemCallFilter)[0], "@basic-io");
	assert_null(blueprint_words(c, D_SystemCallFilter)[1]);
	assert_int_equal(blueprint_bytes(c, D_TasksMax, 0), 7);
	assert_true(blueprint_origin(c, D_TasksMax, &file, &line) && line == 5);
	/* The one it was made from does not change. */
	assert_null(blueprint_text(b, D_ProtectSystem));
	/* As a file it means the same. */
	blueprint_show(&text, c, false);
	again = blueprint(text.data);
	for (int i = 0; i < D_COUNT; i++) {
		struct buf one = BUF_INIT, two = BUF_INIT;

		blueprint_show_key(&one, c, (enum directive_id)i);
		blueprint_show_key(&two, again, (enum directive_id)i);
		assert_string_equal(one.data, two.data);
		buf_free(&one);
		buf_free(&two);
	}
	buf_free(&text);
	blueprint_free(again);
	blueprint_free(b);
	blueprint_free(c);
}

static void
test_effective_without_profile(void **state)
{
	struct blueprint *b = blueprint("[Agent]\nAdapter=command\n"), *c = sandbox_effective(b);

	for (int i = 0; i < D_COUNT; i++) {
		struct buf one = BUF_INIT, two = BUF_INIT;

		blueprint_show_key(&one, b, (enum directive_id)i);
		blueprint_show_key(&two, c, (enum directive_id)i);
		if (i != D_Sandbox)
			assert_string_equal(one.data, two.data);
		buf_free(&one);
		buf_free(&two);
	}
	blueprint_free(b);
	blueprint_free(c);
	/* What systemd's DynamicUser= brings along. */
	b = blueprint("[Agent]\nAdapter=command\n[Sandbox]\nDynamicUser=yes\nProtectHome=tmpfs\n");
	c = sandbox_effective(b);
	assert_string_equal(blueprint_text(c, D_ProtectSystem), "strict");
	assert_string_equal(blueprint_text(c, D_ProtectHome), "tmpfs");
	assert_int_equal(blueprint_tri(c, D_PrivateTmp), TRI_YES);
	blueprint_free(b);
	blueprint_free(c);
	/* Agents do not meet in /tmp, whatever else they may. */
	b = blueprint("[Sandbox]\nSandbox=none\n");
	c = sandbox_effective(b);
	assert_int_equal(blueprint_tri(c, D_PrivateTmp), TRI_YES);
	assert_null(blueprint_text(c, D_TasksMax));
	blueprint_free(b);
	blueprint_free(c);
	/* A user that is named is no dynamic one. */
	b = blueprint("[Sandbox]\nUser=alice\n");
	c = sandbox_effective(b);
	assert_int_equal(blueprint_tri(c, D_DynamicUser), TRI_NO);
	blueprint_free(b);
	blueprint_free(c);
}

#define KERNEL                                                                                                                             \
	"proc /proc (hidepid=invisible) nosuid nodev noexec\n"                                                                             \
	"bind /proc/acpi ro optional\nbind /proc/apm ro optional\nbind /proc/asound ro optional\n"                                         \
	"bind /proc/bus ro optional\nbind /proc/fs ro optional\nbind /proc/irq ro optional\n"                                              \
	"hide /proc/kallsyms optional\nhide /proc/kcore optional\nhide /proc/kmsg optional\n"                                              \
	"bind /proc/mtrr ro optional\nbind /proc/scsi ro optional\nbind /proc/sys ro optional\n"                                           \
	"bind /proc/sysrq-trigger ro optional\n"
#define RUN                                                                                                                                \
	"tmpfs /root (mode=0755) ro nosuid nodev noexec optional\n"                                                                        \
	"tmpfs /run (mode=0755) ro nosuid nodev noexec optional\n"                                                                         \
	"bind /run/NetworkManager/resolv.conf ro optional\nbind /run/aod/agents ro\n"                                                      \
	"bind /run/connman ro optional\nbind /run/resolvconf ro optional\nbind /run/systemd/resolve ro optional\n"

static void
test_strict_root(void **state)
{
	struct sandbox_paths p = paths_at("/home/alice/project", true);
	struct sandbox *s;

	p.program = "/home/alice/.local/bin/claude";
	s = make("", &p);
	assert_true(s->dynamic_user && s->no_new_privs);
	assert_int_equal(s->uid, -1);
	assert_int_equal(s->namespaces, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS);
	assert_false(s->private_network);
	assert_true(s->capabilities == 0 && s->ambient == 0);
	assert_string_equal(s->landlock_rw[0], OWN);
	assert_string_equal(s->landlock_ro[0], "/");
	assert_true(s->landlock_scope);
	assert_null(s->needs);
	assert_int_equal(s->limits.memory_max, 8 * GB);
	assert_int_equal(s->limits.tasks_max, 1024);
	assert_int_equal(s->oom_score_adj, 200);
	assert_int_equal(s->oom_policy, OOM_STOP);
	assert_int_equal(s->rlimit_count, 1);
	assert_int_equal(s->rlimits[0].resource, RLIMIT_CORE);
	assert_true(s->rlimits[0].soft == 0 && s->rlimits[0].hard == 0);
	assert_mounts(s, "attr / ro\n"
			 "dev /dev nosuid noexec\n"
			 "tmpfs /etc/aod (mode=0755) ro nosuid nodev noexec optional\n"
			 "file /etc/group ro optional\n"
			 "file /etc/passwd ro optional\n"
			 "tmpfs /home (mode=0755) ro nosuid nodev noexec optional\n"
			 "bind /home/alice/.local/bin/claude ro\n"
			 "bind /home/alice/project idmap nofollow\n"
			 "bind /home/alice/project/.git idmap optional nofollow\n"
			 "bind /home/alice/project/.git/commondir ro idmap optional nofollow\n"
			 "bind /home/alice/project/.git/config ro idmap optional nofollow\n"
			 "bind /home/alice/project/.git/config.worktree ro idmap optional nofollow\n"
			 "bind /home/alice/project/.git/hooks ro idmap optional nofollow\n"
			 "hide /lib/modules optional\n" KERNEL RUN
			 "bind /tmp <-" OWN "/tmp nosuid nodev idmap own nofollow\n"
			 "hide /usr/lib/modules optional\n"
			 "tmpfs /var/lib/aod (mode=0755) ro nosuid nodev noexec optional\n"
			 "bind " OWN " nosuid nodev idmap own\n"
			 "bind /var/tmp <-" OWN "/tmp nosuid nodev idmap own nofollow\n");
}

static void
test_strict_user(void **state)
{
	struct sandbox_paths p = paths_at("/home/alice/project", false);
	struct sandbox *s;

	/* An ordinary user's aod has all of its directories below the home. */
	p.own = "/home/alice/.local/state/aod/sessions/ID/agent";
	p.tmp = "/home/alice/.local/state/aod/sessions/ID/agent/tmp";
	p.state = "/home/alice/.local/state/aod";
	p.etc = "/home/alice/.config/aod";
	p.run = "/run/user/1000/aod";
	p.socket = "/run/user/1000/aod/agents/aod.sock";
	s = make("", &p);
	assert_false(s->dynamic_user);
	assert_int_equal(s->namespaces, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS);
	assert_null(mount_at(s, p.state)); /* hidden with the home */
	assert_null(mount_at(s, p.run));
	assert_null(mount_at(s, "/run/user"));
	assert_mounts(s, "attr / ro\n"
			 "dev /dev nosuid noexec\n"
			 "tmpfs /home (mode=0755) ro nosuid nodev noexec optional\n"
			 "bind /home/alice/.local/state/aod/sessions/ID/agent nosuid nodev\n"
			 "bind /home/alice/project nofollow\n"
			 "bind /home/alice/project/.git optional nofollow\n"
			 "bind /home/alice/project/.git/commondir ro optional nofollow\n"
			 "bind /home/alice/project/.git/config ro optional nofollow\n"
			 "bind /home/alice/project/.git/config.worktree ro optional nofollow\n"
			 "bind /home/alice/project/.git/hooks ro optional nofollow\n"
			 "hide /lib/modules optional\n" KERNEL
			 "tmpfs /root (mode=0755) ro nosuid nodev noexec optional\n"
			 "tmpfs /run (mode=0755) ro nosuid nodev noexec optional\n"
			 "bind /run/NetworkManager/resolv.conf ro optional\n"
			 "bind /run/connman ro optional\nbind /run/resolvconf ro optional\nbind /run/systemd/resolve ro optional\n"
			 "bind /run/user/1000/aod/agents ro\n" /* the socket's own directory */
			 "bind /tmp <-/home/alice/.local/state/aod/sessions/ID/agent/tmp nosuid nodev nofollow\n"
			 "hide /usr/lib/modules optional\n"
			 "bind /var/tmp <-/home/alice/.local/state/aod/sessions/ID/agent/tmp nosuid nodev nofollow\n");
}

#define GIT "/home/alice/project/.git"

static void
test_git_guard(void **state)
{
	char *const file[] = { (char *)GIT, NULL };
	struct sandbox_paths p = paths_at("/home/alice/project", false);
	struct sandbox *s = make("", &p);

	assert_string_equal(s->git_guard[0], GIT "/commondir");
	assert_string_equal(s->git_guard[3], GIT "/config");
	assert_null(s->git_guard[4]);
	sandbox_free(s);
	s = make("[Sandbox]\nReadWritePaths=-/home/alice/project/.git//commondir /home/alice/project/.git/config.worktree\n", &p);
	assert_string_equal(s->git_guard[0], GIT "/hooks");
	assert_null(s->git_guard[2]);
	p.git_files = file;
	sandbox_free(s);
	s = make("", &p);
	assert_null(s->git_guard);
	p.git_files = NULL;
	sandbox_free(s);
	s = make("[Sandbox]\nSandbox=none\n", &p);
	assert_null(s->git_guard);
	p = paths_at(OWN "/work", true);
	sandbox_free(s);
	s = make("", &p);
	assert_null(s->git_guard);
	sandbox_free(s);
}

/* Submodules, worktrees, and repositories further down are looked after as the project's own is. */
static void
test_further_repositories(void **state)
{
	char *const dirs[] = { (char *)GIT "/modules/sub", (char *)"/home/alice/project/a/b/.git", NULL };
	char *const files[] = { (char *)"/home/alice/project/sub/.git", NULL };
	struct sandbox_paths p = paths_at("/home/alice/project", false);
	struct sandbox *s;

	p.git_dirs = dirs;
	p.git_files = files;
	s = make("[Sandbox]\nSandbox=workspace\nReadWritePaths=-" GIT "/modules/sub/hooks\n", &p);
	assert_int_equal(strv_len(s->git_guard), 11);
	assert_string_equal(s->git_guard[4], GIT "/modules/sub/commondir");
	assert_string_equal(s->git_guard[10], "/home/alice/project/a/b/.git/config");
	assert_int_equal(mount_at(s, GIT "/modules/sub/config")->flags, MF_RO | MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/home/alice/project/a/b/.git/hooks")->flags, MF_RO | MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/home/alice/project/sub/.git")->flags, MF_RO | MF_OPTIONAL | MF_NOFOLLOW);
	/* None of them can be moved away. */
	assert_int_equal(mount_at(s, GIT "/modules")->flags, MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, GIT "/modules/sub")->flags, MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/home/alice/project/a")->flags, MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/home/alice/project/a/b/.git")->flags, MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/home/alice/project/sub")->flags, MF_OPTIONAL | MF_NOFOLLOW);
	sandbox_free(s);
}

/* The way to what is protected in what can be written is made of mounts, which cannot be moved. */
static void
test_ways(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s = make("[Sandbox]\nReadOnlyPaths=/srv/project/a/b/c\nInaccessiblePaths=-/srv/project/a/secret\n", &p);

	assert_int_equal(mount_at(s, "/srv/project/a")->flags, MF_IDMAP | MF_OPTIONAL | MF_NOFOLLOW);
	assert_int_equal(mount_at(s, "/srv/project/a/b")->flags, MF_IDMAP | MF_OPTIONAL | MF_NOFOLLOW);
	assert_true(mount_index(s, "/srv/project/a") < mount_index(s, "/srv/project/a/b"));
	assert_true(mount_index(s, "/srv/project/a/b") < mount_index(s, "/srv/project/a/b/c"));
	assert_int_equal(mount_at(s, "/srv/project/a/b/c")->flags, MF_RO | MF_IDMAP);
	sandbox_free(s);
	/* Also in trees that the blueprint opens; nothing in what is read-only anyhow. */
	assert_plain_mounts("[Sandbox]\nReadWritePaths=/data\nReadOnlyPaths=/data/a/b\n", "bind /data/a optional nofollow\nbind /data/a/b ro\n");
	assert_plain_mounts("[Sandbox]\nBindPaths=/a:/b\nReadOnlyPaths=/b/c/d\n",
			    "bind /b <-/a\nbind /b/c <-/a/c optional nofollow\nbind /b/c/d <-/a/c/d ro\n");
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=/data /data/a/b/c\nReadWritePaths=/data/a\n",
			    "bind /data ro\nbind /data/a\nbind /data/a/b optional nofollow\nbind /data/a/b/c ro\n");
	/* One that the blueprint names as writable is a way, too. */
	assert_plain_mounts("[Sandbox]\nReadWritePaths=/data /data/a\nReadOnlyPaths=/data/a/b\n", "bind /data/a nofollow\nbind /data/a/b ro\n");
	s = make("[Sandbox]\nReadOnlyPaths=/srv/project /srv/project/a/b/c\n", &p);
	assert_null(mount_at(s, "/srv/project/a"));
	sandbox_free(s);
}

/* A home that is elsewhere than homes are is hidden as they are; what everybody shares is not, whoever has it as a home. */
static void
test_home_elsewhere(void **state)
{
	char *homes[] = { "/srv/alice", "/", "/usr/sbin", "/nonexistent", NULL };
	struct sandbox_paths p = paths_at("/srv/alice/project", false);
	struct sandbox *s;

	p.homes = homes;
	s = make("", &p);
	assert_int_equal(mount_at(s, "/srv/alice")->op, MOUNT_TMPFS);
	assert_int_equal(mount_at(s, "/srv/alice/project")->op, MOUNT_BIND);
	assert_int_equal(mount_at(s, "/nonexistent")->flags & MF_OPTIONAL, MF_OPTIONAL);
	assert_null(mount_at(s, "/usr/sbin"));
	assert_int_equal(mount_at(s, "/")->op, MOUNT_ATTR);
	sandbox_free(s);
	s = make("[Sandbox]\nProtectHome=yes\n", &p);
	assert_int_equal(mount_at(s, "/srv/alice")->op, MOUNT_TMPFS); /* the project is shown in it */
	assert_int_equal(mount_at(s, "/nonexistent")->op, MOUNT_HIDE);
	sandbox_free(s);
	s = make("[Sandbox]\nSandbox=workspace\nProtectHome=read-only\nProtectSystem=no\n", &p);
	assert_int_equal(mount_at(s, "/srv/alice")->flags & MF_RO, MF_RO);
	sandbox_free(s);
	s = make("[Sandbox]\nProtectHome=no\n", &p);
	assert_null(mount_at(s, "/srv/alice"));
	/* Who works in the home itself has asked for it. */
	p.cwd = "/srv/alice";
	sandbox_free(s);
	s = make("", &p);
	assert_int_equal(mount_at(s, "/srv/alice")->op, MOUNT_BIND);
	sandbox_free(s);
}

static void
test_workspace(void **state)
{
	struct sandbox_paths p = paths_at("/home/alice/project", false);
	struct sandbox *s = make("[Sandbox]\nSandbox=workspace\n", &p);

	assert_false(s->dynamic_user);
	assert_int_equal(s->namespaces, CLONE_NEWNS);
	assert_false(s->capabilities & (CAP(CAP_SYS_ADMIN) | CAP(CAP_MKNOD) | CAP(CAP_SYS_PTRACE) | CAP(CAP_DAC_READ_SEARCH)));
	assert_true(s->capabilities & CAP(CAP_CHOWN));
	assert_mounts(s, "attr / ro\n"
			 "dev /dev nosuid noexec\n"
			 "bind /home/alice/project nofollow\n"
			 "bind /home/alice/project/.git optional nofollow\n"
			 "bind /home/alice/project/.git/commondir ro optional nofollow\n"
			 "bind /home/alice/project/.git/config ro optional nofollow\n"
			 "bind /home/alice/project/.git/config.worktree ro optional nofollow\n"
			 "bind /home/alice/project/.git/hooks ro optional nofollow\n"
			 "hide /lib/modules optional\n"
			 "bind /proc optional\n"
			 "bind /proc/acpi ro optional\nbind /proc/apm ro optional\nbind /proc/asound ro optional\n"
			 "bind /proc/bus ro optional\nbind /proc/fs ro optional\nbind /proc/irq ro optional\n"
			 "hide /proc/kallsyms optional\nhide /proc/kcore optional\nhide /proc/kmsg optional\n"
			 "bind /proc/mtrr ro optional\nbind /proc/scsi ro optional\nbind /proc/sys ro optional\n"
			 "bind /proc/sysrq-trigger ro optional\n"
			 "bind /tmp <-" OWN "/tmp nosuid nodev nofollow\n"
			 "hide /usr/lib/modules optional\n"
			 "bind " OWN " nosuid nodev\n"
			 "bind /var/tmp <-" OWN "/tmp nosuid nodev nofollow\n");
}

/* Whether anything is set; limits_init() leaves zeroes between the members. */
static bool
is_limited(const struct limits *l)
{
	struct limits none;

	limits_init(&none);
	return memcmp(l, &none, sizeof(none)) != 0;
}

static void
test_none(void **state)
{
	struct sandbox *s = make_plain("");

	assert_int_equal(s->mount_count, 0);
	assert_int_equal(s->namespaces, 0);
	assert_true(s->capabilities == UINT64_MAX && s->ambient == 0);
	assert_true(s->syscalls.basic && !s->syscalls.off && !s->syscalls.notify);
	assert_null(s->landlock_rw);
	assert_null(s->landlock_ro);
	assert_false(s->landlock_scope || s->no_new_privs || is_limited(&s->limits));
	assert_int_equal(s->umask, -1);
	assert_true(s->nice == INT64_MIN && s->oom_score_adj == INT64_MIN);
	assert_int_equal(s->tmp_size, LIMIT_UNSET);
	assert_int_equal(s->workspace_quota, LIMIT_UNSET);
	assert_null(s->credentials_dir);
	sandbox_free(s);
	sandbox_free(NULL);
	/* Another user than aod's finds its own directory to be its own. */
	assert_plain_mounts("[Sandbox]\nUser=alice\n", "bind " OWN " nosuid nodev idmap own\n");
}

/* ---- single keys ---- */

#define WORK "bind /srv/project nofollow\n"
#define OWN_LINE "bind " OWN " nosuid nodev\n"

static void
test_system(void **state)
{
	assert_plain_mounts("[Sandbox]\nProtectSystem=no\n", "");
	assert_plain_mounts("[Sandbox]\nProtectSystem=yes\n", "bind /boot ro optional\nbind /efi ro optional\nbind /usr ro optional\n");
	assert_plain_mounts("[Sandbox]\nProtectSystem=full\n",
			    "bind /boot ro optional\nbind /efi ro optional\nbind /etc ro\nbind /usr ro optional\n");
	assert_plain_mounts("[Sandbox]\nProtectSystem=strict\n",
			    "attr / ro\nbind /dev optional\nbind /home optional\nbind /proc optional\nbind /root optional\n"
			    "bind /run/user optional\n" WORK "bind /sys optional\n" OWN_LINE);
	assert_plain_mounts("[Sandbox]\nProtectHome=read-only\n", "bind /home ro optional\nbind /root ro optional\nbind /run/user ro optional\n");
	assert_plain_mounts("[Sandbox]\nProtectHome=yes\n", "hide /home optional\nhide /root optional\nhide /run/user optional\n");
	assert_plain_mounts("[Sandbox]\nProtectControlGroups=yes\n", "bind /sys/fs/cgroup ro optional\n");
	assert_plain_mounts("[Sandbox]\nProtectKernelModules=yes\n", "hide /lib/modules optional\nhide /usr/lib/modules optional\n");
	assert_plain_mounts("[Sandbox]\nProtectKernelLogs=yes\n", "hide /dev/kmsg optional\nhide /proc/kmsg optional\n");
	assert_plain_mounts("[Sandbox]\nPrivateDevices=yes\nProtectKernelLogs=yes\n", "dev /dev nosuid noexec\nhide /proc/kmsg optional\n");
	/* What is below /proc is not there with processes only. */
	assert_plain_mounts("[Sandbox]\nProcSubset=pid\nProtectKernelTunables=yes\nProtectKernelLogs=yes\n",
			    "hide /dev/kmsg optional\nproc /proc (subset=pid) nosuid nodev noexec\nbind /sys ro optional\nbind /sys/fs/cgroup optional\n");
}

static void
test_proc(void **state)
{
	assert_plain_mounts("[Sandbox]\nProtectProc=default\nProcSubset=all\n", "");
	assert_plain_mounts("[Sandbox]\nProtectProc=noaccess\n", "proc /proc (hidepid=noaccess) nosuid nodev noexec\n");
	assert_plain_mounts("[Sandbox]\nProtectProc=ptraceable\nProcSubset=pid\n",
			    "proc /proc (hidepid=ptraceable,subset=pid) nosuid nodev noexec\n");
	assert_plain_mounts("[Sandbox]\nPrivatePIDs=yes\n", "proc /proc nosuid nodev noexec\n");
}

static void
test_tmp(void **state)
{
	struct sandbox_paths p = paths_at("/tmp/project", false);
	struct sandbox *s;

	assert_plain_mounts("[Sandbox]\nPrivateTmp=yes\n",
			    "bind /tmp <-" OWN "/tmp nosuid nodev nofollow\nbind /var/tmp <-" OWN "/tmp nosuid nodev nofollow\n");
	assert_plain_mounts("[Sandbox]\nPrivateTmp=yes\nPrivateTmpSize=64M\n",
			    "tmpfs /tmp (mode=1777,size=67108864) nosuid nodev\ntmpfs /var/tmp (mode=1777,size=67108864) nosuid nodev\n");
	assert_plain_mounts("[Sandbox]\nPrivateTmp=yes\nPrivateTmpSize=10%\n",
			    "tmpfs /tmp (mode=1777,size=10%) nosuid nodev\ntmpfs /var/tmp (mode=1777,size=10%) nosuid nodev\n");
	/* A size alone asks for nothing. */
	s = make_plain("[Sandbox]\nPrivateTmpSize=64M\n");
	assert_int_equal(s->mount_count, 0);
	assert_int_equal(s->tmp_size, 64 << 20);
	sandbox_free(s);
	/* What the agent works in, and what it runs, stays although it lies below /tmp. */
	p.program = "/var/tmp/bin/agent";
	p.socket = "/tmp/aod/aod.sock";
	p.run = "/tmp/aod";
	assert_mounts(make("[Agent]\nAdapter=command\n[Sandbox]\nPrivateTmp=yes\n", &p),
		      "bind /tmp <-" OWN "/tmp nosuid nodev nofollow\nbind /tmp/aod/aod.sock ro\nbind /tmp/project nofollow\n"
		      "bind /var/tmp <-" OWN "/tmp nosuid nodev nofollow\nbind /var/tmp/bin/agent ro\n");
}

static void
test_paths(void **state)
{
	/* The longest wins, however they are ordered. */
	assert_plain_mounts("[Sandbox]\nReadWritePaths=/srv/a/b -/opt/x\nReadOnlyPaths=/srv/a +/opt /srv/a/b/c\n",
			    "bind /opt ro\nbind /opt/x optional\nbind /srv/a ro\nbind /srv/a/b\nbind /srv/a/b/c ro\n");
	/* What changes nothing is not there; a path is simplified. */
	assert_plain_mounts("[Sandbox]\nReadWritePaths=/srv/x\nReadOnlyPaths=/data /data//deep/./er/\n", "bind /data ro\n");
	/* On one path that wins which allows less. */
	assert_plain_mounts("[Sandbox]\nReadWritePaths=/data\nReadOnlyPaths=/data\n", "bind /data ro\n");
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=/data\nInaccessiblePaths=/data -/data/below\n", "hide /data\n");
	/* It must be there when one of the two says so. */
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=-/data\nReadOnlyPaths=/data\n", "bind /data ro\n");
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=-/data\n", "bind /data ro optional\n");
	/* "a.b" is not below "a", and stands behind what is. */
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=/a /a.b\nReadWritePaths=/a/c /a.b/d\n",
			    "bind /a ro\nbind /a/c\nbind /a.b ro\nbind /a.b/d\n");
	/* Something of what is hidden is shown: then the way to it is there, and nothing else. */
	assert_plain_mounts("[Sandbox]\nInaccessiblePaths=/data\nReadOnlyPaths=/data/one\n",
			    "tmpfs /data (mode=0711) ro nosuid nodev noexec\nbind /data/one ro\n");
	/* Of the whole system. */
	assert_plain_mounts("[Sandbox]\nReadOnlyPaths=/\nReadWritePaths=/data\n", "attr / ro\nbind /data\n" WORK OWN_LINE);
	refused("[Sandbox]\nReadOnlyPaths=/a/../b\n", "..");
	refused("[Sandbox]\nReadWritePaths=/..\n", "..");
	/* The project stays where all around it goes. */
	assert_plain_mounts("[Sandbox]\nInaccessiblePaths=/srv\n", "tmpfs /srv (mode=0711) ro nosuid nodev noexec\n" WORK);
	refused("[Sandbox]\nInaccessiblePaths=/srv/project\n", "hides the working directory");
}

static void
test_binds(void **state)
{
	assert_plain_mounts("[Sandbox]\nBindPaths=/a:/b /c -/d:/e:norbind /f:/g:rbind\n",
			    "bind /b <-/a\nbind /c\nbind /e <-/d optional norec\nbind /g <-/f\n");
	assert_plain_mounts("[Sandbox]\nBindReadOnlyPaths=/a:/b\n", "bind /b <-/a ro\n");
	/* What lies below it is what it shows. */
	assert_plain_mounts("[Sandbox]\nBindPaths=/a:/b\nReadOnlyPaths=/b/c\nReadWritePaths=/b/c/d\n",
			    "bind /b <-/a\nbind /b/c <-/a/c ro\nbind /b/c/d <-/a/c/d\n");
	assert_plain_mounts("[Sandbox]\nBindReadOnlyPaths=/a:/b\nReadWritePaths=/b/c\n", "bind /b <-/a ro\nbind /b/c <-/a/c\n");
	assert_plain_mounts("[Sandbox]\nBindPaths=/a:/b\nReadWritePaths=/b/c\n", "bind /b <-/a\n");
	/* It goes before a tmpfs on the same path, and into one. */
	assert_plain_mounts("[Sandbox]\nTemporaryFileSystem=/b /v:size=1M,ro\nBindPaths=/a:/b /a:/v/w\n",
			    "bind /b <-/a\ntmpfs /v (size=1M,mode=0755) ro nosuid nodev\nbind /v/w <-/a\n");
	assert_plain_mounts("[Sandbox]\nTemporaryFileSystem=/v:mode=0700,noexec,nr_inodes=10k,nosuid\n",
			    "tmpfs /v (mode=0700,nr_inodes=10k) nosuid nodev noexec\n");
	refused("[Sandbox]\nTemporaryFileSystem=/v:size=lots\n", "size=lots");
	refused("[Sandbox]\nTemporaryFileSystem=/v:huge=always\n", "huge=always");
	refused("[Sandbox]\nTemporaryFileSystem=/v/../w\n", "..");
	refused("[Sandbox]\nBindPaths=/a/..:/b\n", "..");
	refused("[Sandbox]\nBindPaths=/a:/b/..\n", "..");
	refused("[Sandbox]\nBindPaths=/a:/\n", "in the place of /");
	refused("[Sandbox]\nTemporaryFileSystem=/\n", "in the place of /");
	refused("[Sandbox]\nInaccessiblePaths=/\n", "in the place of /");
}

/* Paths of a blueprint on top of the profile. */
static void
test_paths_in_strict(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s = make("[Sandbox]\nReadWritePaths=/home/alice/cache /data\nReadOnlyPaths=/srv/project/vendor\n"
				 "BindPaths=/run/docker.sock\nInaccessiblePaths=/srv/project/secret\n",
				 &p);

	assert_int_equal(mount_at(s, "/home/alice/cache")->flags, 0);
	assert_true(mount_index(s, "/home/alice/cache") > mount_index(s, "/home"));
	assert_int_equal(mount_at(s, "/data")->flags, 0);
	/* What is read-only in the project belongs to its owner like the rest. */
	assert_int_equal(mount_at(s, "/srv/project/vendor")->flags, MF_RO | MF_IDMAP);
	assert_int_equal(mount_at(s, "/srv/project/secret")->op, MOUNT_HIDE);
	assert_true(mount_index(s, "/run/docker.sock") > mount_index(s, "/run"));
	sandbox_free(s);
	/* The blueprint may make the project read-only; .git is not opened again. */
	s = make("[Sandbox]\nReadOnlyPaths=/srv/project\n", &p);
	assert_int_equal(mount_at(s, "/srv/project")->flags, MF_RO | MF_IDMAP | MF_NOFOLLOW);
	assert_null(mount_at(s, "/srv/project/.git"));
	sandbox_free(s);
	/* Where the project is the session's own directory, that stays writable, for the adapter's files are in it. */
	p.cwd = OWN;
	p.cwd_is_own = true;
	s = make("[Sandbox]\nReadOnlyPaths=" OWN "\n", &p);
	assert_int_equal(mount_at(s, OWN)->flags, MF_NOSUID | MF_NODEV | MF_IDMAP | MF_OWN);
	sandbox_free(s);
	p = paths_at(OWN "/work", true);
	s = make("[Sandbox]\nReadOnlyPaths=" OWN "/work\n", &p);
	assert_int_equal(mount_at(s, OWN "/work")->flags, MF_RO | MF_IDMAP | MF_OWN);
	sandbox_free(s);
	p = paths_at("/srv/project", true);
	s = make("[Sandbox]\nReadWritePaths=/srv/project\n", &p);
	assert_int_equal(mount_at(s, "/srv/project")->flags, MF_IDMAP | MF_NOFOLLOW);
	sandbox_free(s);
	/* aod's own directories cannot be shown by their name. */
	s = make("[Sandbox]\nReadWritePaths=/var/lib/aod /run/aod /etc/aod\n", &p);
	assert_int_equal(mount_at(s, "/var/lib/aod")->op, MOUNT_TMPFS);
	assert_int_equal(mount_at(s, "/etc/aod")->op, MOUNT_TMPFS);
	assert_int_equal(mount_at(s, "/run")->op, MOUNT_TMPFS);
	sandbox_free(s);
}

/* ---- where an agent works ---- */

static void
test_project(void **state)
{
	static const char *const never[] = { "/", "/home", "/etc", "/usr", "/var", "/proc", "/dev", "//usr/", "/etc/ssh", "/usr/bin", "/usr/src",
					     "/tmp", "/var/tmp", "/var/lib", "/dev/shm", "/proc/sys", "/sys/fs/cgroup", "/run/systemd" };
	static const char *const may[] = { "/usr/src/project", "/usr/local/src/project", "/dev/shm/project", "/tmp/project", "/etcetera", "/opt/project" };
	struct sandbox_paths p = paths_at("/home/alice", true);
	struct sandbox *s = make("", &p);

	/* A home itself: exactly it. */
	assert_int_equal(mount_at(s, "/home")->op, MOUNT_TMPFS);
	assert_int_equal(mount_at(s, "/home/alice")->op, MOUNT_BIND);
	assert_int_equal(mount_at(s, "/home/alice")->flags, MF_IDMAP | MF_NOFOLLOW);
	sandbox_free(s);
	p.cwd = "/root";
	s = make("", &p);
	assert_int_equal(mount_at(s, "/root")->op, MOUNT_BIND);
	sandbox_free(s);
	/* It holds aod's state: the agent could move what is above that away, and put its own there. */
	p = paths_at("/srv/all", true);
	p.state = "/srv/all/aod/state";
	refused_at("[Sandbox]\nSandbox=workspace\n", &p, "in it");
	refused_at("[Sandbox]\nSandbox=none\nDynamicUser=yes\n", &p, "in it");
	/* strict hides it, and makes each directory on the way a mount, which cannot be moved. */
	s = make("", &p);
	assert_int_equal(mount_at(s, "/srv/all/aod")->op, MOUNT_BIND);
	assert_int_equal(mount_at(s, "/srv/all/aod/state")->op, MOUNT_TMPFS);
	sandbox_free(s);
	p.no_namespaces = true;
	refused_at("", &p, "in it");
	/* Its own directory. */
	p = paths_at(OWN "/work", true);
	s = make("", &p);
	assert_null(mount_at(s, OWN "/work"));
	assert_int_equal(mount_at(s, OWN "/work" "/.git")->flags, MF_IDMAP | MF_OWN | MF_OPTIONAL | MF_NOFOLLOW);
	assert_string_equal(s->landlock_rw[1], "/dev");
	sandbox_free(s);
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		p = paths_at(never[i], true);
		refused_at("", &p, "Sandbox=none");
		refused_at("[Sandbox]\nSandbox=workspace\n", &p, "Sandbox=none");
		sandbox_free(make("[Sandbox]\nSandbox=none\n", &p));
		refused_at("[Sandbox]\nSandbox=none\nDynamicUser=yes\n", &p, "Sandbox=none");
	}
	for (size_t i = 0; i < ARRAY_LEN(may); i++) {
		p = paths_at(may[i], true);
		sandbox_free(make("", &p));
	}
	p = paths_at("/var/lib/aod/sessions/OTHER/agent/work", true);
	refused_at("", &p, "aod's own");
	p = paths_at("/var/lib/aod", true);
	refused_at("", &p, "aod's own");
	p = paths_at("/etc/aod/blueprints", true);
	refused_at("", &p, "aod's own");
	p = paths_at("/srv/../etc", true);
	refused_at("", &p, "..");
}

static void
test_worktree(void **state)
{
	char *const files[] = { (char *)"/srv/project/.git", NULL };
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s;

	p.git_files = files;
	s = make("", &p);
	assert_int_equal(mount_at(s, "/srv/project/.git")->flags, MF_RO | MF_IDMAP | MF_OPTIONAL | MF_NOFOLLOW);
	assert_null(mount_at(s, "/srv/project/.git/hooks"));
	sandbox_free(s);
}

static void
test_visible(void **state)
{
	char *visible[] = { (char *)"/home/alice/mcp/server", (char *)"/usr/bin/node", NULL };
	struct sandbox_paths p = paths_at("/srv/project", false);
	struct sandbox *s;

	p.visible = visible;
	p.program = "/srv/project/bin/agent";
	s = make("", &p);
	assert_int_equal(mount_at(s, "/home/alice/mcp/server")->flags, MF_RO | MF_OPTIONAL);
	/* What is seen anyhow is left as it is, so that the agent can put a new program in its place. */
	assert_null(mount_at(s, "/usr/bin/node"));
	assert_null(mount_at(s, "/srv/project/bin/agent"));
	sandbox_free(s);
	/* ProtectHome=yes: the way to it can be gone, not read. */
	s = make("[Sandbox]\nProtectHome=yes\n", &p);
	assert_int_equal(mount_at(s, "/home")->op, MOUNT_TMPFS);
	assert_string_equal(mount_at(s, "/home")->opt, "mode=0711");
	assert_int_equal(mount_at(s, "/root")->op, MOUNT_HIDE);
	sandbox_free(s);
	p.socket = NULL;
	s = make("", &p);
	assert_null(mount_at(s, "/run/aod/agents"));
	sandbox_free(s);
	/* An agent may have named it in a file of its project. */
	visible[1] = (char *)"/usr/../etc/hostname";
	refused_at("", &p, "/usr/../etc/hostname");
	sandbox_free(make("[Agent]\nAdapter=command\n", &p)); /* where nothing is hidden */
	visible[1] = NULL;
	p.program = "/usr/../bin/true";
	refused_at("", &p, "/usr/../bin/true");
}

static void
test_no_namespaces(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", false);
	struct sandbox *s;

	p.no_namespaces = true;
	s = make("", &p);
	assert_int_equal(s->mount_count, 0);
	assert_int_equal(s->namespaces, 0);
	assert_string_equal(s->landlock_rw[0], OWN);
	assert_string_equal(s->landlock_rw[1], "/srv/project");
	for (char **v = s->landlock_ro; *v; v++)
		assert_false(strcmp(*v, "/") == 0 || path_within(*v, "/home") || path_within(*v, "/root") || path_within("/var/lib/aod", *v));
	for (char **v = s->landlock_rw; *v; v++)
		assert_false(path_within("/tmp", *v) || path_within("/var/lib/aod", *v));
	sandbox_free(s);
	refused_at("[Sandbox]\nSetCredential=a:b\n", &p, "mount namespace");
}

/* ---- the rest of [Sandbox] ---- */

static void
test_user(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", false);
	struct sandbox *s = make_plain("[Sandbox]\nUser=alice\nGroup=42\n");

	assert_string_equal(s->user, "alice");
	assert_string_equal(s->group, "42");
	assert_false(s->dynamic_user);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nDynamicUser=yes\n");
	assert_true(s->dynamic_user);
	assert_non_null(mount_at(s, "/etc/passwd"));
	assert_null(mount_at(s, "/etc/passwd")->opt);
	sandbox_free(s);
	refused("[Sandbox]\nDynamicUser=yes\nUser=alice\n", "contradict");
	refused_at("[Sandbox]\nDynamicUser=yes\n", &p, "root");
}

static void
test_capabilities(void **state)
{
	static const struct {
		const char *text;
		uint64_t bounding, ambient;
	} cases[] = {
		{ "CapabilityBoundingSet=none\n", 0, 0 },
		{ "CapabilityBoundingSet=CAP_CHOWN CAP_CHECKPOINT_RESTORE\n", CAP(0) | CAP(40), 0 },
		{ "CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_NET_RAW\n", ~(CAP(CAP_SYS_ADMIN) | CAP(CAP_NET_RAW)), 0 },
		{ "CapabilityBoundingSet=~\n", UINT64_MAX, 0 },
		{ "CapabilityBoundingSet=CAP_CHOWN CAP_KILL\nCapabilityBoundingSet=~CAP_KILL\n", CAP(CAP_CHOWN), 0 },
		{ "AmbientCapabilities=CAP_NET_BIND_SERVICE\n", UINT64_MAX, CAP(CAP_NET_BIND_SERVICE) },
		{ "PrivateDevices=yes\n", ~(CAP(CAP_MKNOD) | CAP(CAP_SYS_RAWIO)), 0 },
		{ "ProtectKernelModules=yes\n", ~CAP(CAP_SYS_MODULE), 0 },
		{ "ProtectKernelLogs=yes\n", ~CAP(CAP_SYSLOG), 0 },
		{ "ProtectClock=yes\n", ~(CAP(CAP_SYS_TIME) | CAP(CAP_WAKE_ALARM)), 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP_FREE char *text = xasprintf("[Sandbox]\n%s", cases[i].text);
		struct sandbox *s = make_plain(text);

		if (s->capabilities != cases[i].bounding || s->ambient != cases[i].ambient)
			fail_msg("%s: %llx %llx", cases[i].text, (unsigned long long)s->capabilities, (unsigned long long)s->ambient);
		sandbox_free(s);
	}
	refused("[Sandbox]\nAmbientCapabilities=CAP_KILL\nCapabilityBoundingSet=CAP_CHOWN\n", "CapabilityBoundingSet");
	refused("[Sandbox]\nAmbientCapabilities=CAP_SYSLOG\nProtectKernelLogs=yes\n", "CapabilityBoundingSet");
}

static void
test_namespaces(void **state)
{
	static const struct {
		const char *text;
		unsigned own;
		bool restricted;
		unsigned allowed;
	} cases[] = {
		{ "PrivatePIDs=yes\n", CLONE_NEWPID | CLONE_NEWNS, false, 0 },
		{ "PrivateIPC=yes\n", CLONE_NEWIPC, false, 0 },
		{ "PrivateUsers=yes\n", CLONE_NEWUSER, false, 0 },
		{ "ProtectHostname=yes\n", CLONE_NEWUTS, false, 0 },
		{ "RestrictNamespaces=no\n", 0, false, 0 },
		{ "RestrictNamespaces=yes\n", 0, true, 0 },
		{ "RestrictNamespaces=user net\n", 0, true, CLONE_NEWUSER | CLONE_NEWNET },
		{ "RestrictNamespaces=~user mnt\n", 0, true,
		  CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | 0x80 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP_FREE char *text = xasprintf("[Sandbox]\n%s", cases[i].text);
		struct sandbox *s = make_plain(text);

		if (s->namespaces != cases[i].own || s->syscalls.restrict_namespaces != cases[i].restricted ||
		    s->syscalls.namespaces != cases[i].allowed)
			fail_msg("%s: %x %d %x", cases[i].text, s->namespaces, s->syscalls.restrict_namespaces, s->syscalls.namespaces);
		sandbox_free(s);
	}
}

#define SYS "sys /sys nosuid nodev noexec"
#define SYS_RO "sys /sys ro nosuid nodev noexec"

static void
test_private_network(void **state)
{
	struct sandbox *s = make_plain("[Sandbox]\nPrivateNetwork=yes\n");

	assert_true(s->private_network);
	assert_int_equal(s->namespaces, CLONE_NEWNS); /* that of the network comes from aod's pool */
	assert_mounts(s, SYS "\nbind /sys/fs/cgroup optional\n");
	assert_plain_mounts("[Sandbox]\nPrivateNetwork=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\nProcSubset=pid\n",
			    "proc /proc (subset=pid) nosuid nodev noexec\n" SYS_RO "\nbind /sys/fs/cgroup ro optional\n");
	/* What is said of /sys is said of the new one. */
	assert_plain_mounts("[Sandbox]\nPrivateNetwork=yes\nReadOnlyPaths=/sys\n", SYS_RO "\nbind /sys/fs/cgroup optional\n");
	assert_plain_mounts("[Sandbox]\nPrivateNetwork=yes\nReadOnlyPaths=/sys/class/net\n",
			    SYS "\nattr /sys/class/net ro\nbind /sys/fs/cgroup optional\n");
	assert_plain_mounts("[Sandbox]\nPrivateNetwork=yes\nInaccessiblePaths=/sys\n", "hide /sys\n");
}

static void
test_syscalls(void **state)
{
	struct sandbox *s = make_plain("[Sandbox]\nSystemCallFilter=no\n");

	assert_true(s->syscalls.off && !s->syscalls.basic && !s->syscalls.filter);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nSystemCallFilter=no\nLockPersonality=yes\nRestrictSUIDSGID=yes\nRestrictRealtime=yes\n"
		       "MemoryDenyWriteExecute=yes\nProtectHostname=yes\nProtectClock=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nPrivateDevices=yes\n");
	assert_false(s->syscalls.off || s->syscalls.basic || s->syscalls.filter);
	assert_true(s->syscalls.lock_personality && s->syscalls.no_suid_sgid && s->syscalls.no_realtime && s->syscalls.no_write_execute);
	assert_true(s->syscalls.no_hostname && s->syscalls.no_clock && s->syscalls.no_modules && s->syscalls.no_kernel_log && s->syscalls.no_raw_io);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nSystemCallFilter=~@mount ptrace:ENOSYS\nSystemCallErrorNumber=kill\nSystemCallArchitectures=native x86\n"
		       "SystemCallLog=ptrace\nRestrictAddressFamilies=~AF_PACKET\n");
	assert_false(s->syscalls.basic || s->syscalls.off || s->syscalls.notify);
	assert_string_equal(s->syscalls.filter[0], "~@mount");
	assert_string_equal(s->syscalls.filter[1], "~ptrace:ENOSYS");
	assert_string_equal(s->syscalls.error, "kill");
	assert_string_equal(s->syscalls.architectures[1], "x86");
	assert_string_equal(s->syscalls.log[0], "ptrace");
	assert_string_equal(s->syscalls.families[0], "~AF_PACKET");
	sandbox_free(s);
}

static void
test_process(void **state)
{
	struct sandbox *s = make_plain("[Sandbox]\nUMask=0077\nNice=-5\nNoNewPrivileges=yes\nWorkspaceQuota=2G\nPrivateTmp=no\n"
				       "[Resources]\nOOMScoreAdjust=-100\nOOMPolicy=kill\nSlice=a-b.slice\n"
				       "LimitCPU=1500ms:1min\nLimitNOFILE=100:infinity\nLimitFSIZE=1K\nLimitRTTIME=5000:5ms\nLimitNICE=30\n");
	static const struct sandbox_rlimit want[] = { { RLIMIT_CPU, 2, 60 },
						      { RLIMIT_FSIZE, 1024, 1024 },
						      { RLIMIT_NOFILE, 100, UINT64_MAX },
						      { RLIMIT_NICE, 30, 30 },
						      { RLIMIT_RTTIME, 5000, 5000 } };

	assert_int_equal(s->umask, 077);
	assert_int_equal(s->nice, -5);
	assert_true(s->no_new_privs);
	assert_int_equal(s->oom_score_adj, -100);
	assert_int_equal(s->oom_policy, OOM_KILL);
	assert_true(s->limits.oom_group);
	assert_string_equal(s->slice, "a-b.slice");
	assert_int_equal(s->workspace_quota, 2 * GB);
	assert_int_equal(s->rlimit_count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(s->rlimits[i].resource, want[i].resource);
		assert_true(s->rlimits[i].soft == want[i].soft && s->rlimits[i].hard == want[i].hard);
	}
	sandbox_free(s);
	s = make_plain("[Sandbox]\nWorkspaceQuota=infinity\n[Resources]\nOOMPolicy=continue\n");
	assert_int_equal(s->workspace_quota, LIMIT_UNSET);
	assert_int_equal(s->oom_policy, OOM_CONTINUE);
	sandbox_free(s);
	refused("[Sandbox]\nWorkspaceQuota=10%\n", "disk");
	s = make_plain("[Resources]\nLogSizeMax=5M\n");
	assert_int_equal(s->log_size_max, 5 << 20);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nSandbox=strict\n");
	assert_int_equal(s->log_size_max, GB);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nSandbox=workspace\n[Resources]\nLogSizeMax=infinity\n");
	assert_int_equal(s->log_size_max, LIMIT_UNSET);
	sandbox_free(s);
	s = make_plain("[Sandbox]\nSandbox=none\n");
	assert_int_equal(s->log_size_max, LIMIT_UNSET);
	sandbox_free(s);
	refused("[Resources]\nLogSizeMax=10%\n", "disk");
}

static void
test_credentials(void **state)
{
	struct sandbox *s = make_plain("[Sandbox]\nLoadCredential=a:/etc/a\nSetCredential=b:sesame\n");
	struct buf json = BUF_INIT;

	assert_string_equal(s->credentials_dir, "/run/aod/credentials");
	assert_int_equal(mount_at(s, "/run/aod/credentials")->op, MOUNT_CREDENTIALS);
	assert_string_equal(s->load_credentials[0], "a:/etc/a");
	assert_string_equal(s->set_credentials[0], "b:sesame");
	sandbox_json(&json, s);
	assert_null(strstr(json.data, "sesame"));
	assert_non_null(strstr(json.data, "\"credentials\":[\"a\",\"b\"]"));
	buf_free(&json);
	sandbox_free(s);
	/* Also where all around is hidden. */
	s = make("[Sandbox]\nSetCredential=b:sesame\n", &(struct sandbox_paths){ .cwd = "/srv/p", .own = OWN, .tmp = OWN "/tmp", .run = "/run/aod" });
	assert_true(mount_index(s, "/run/aod/credentials") > mount_index(s, "/run"));
	sandbox_free(s);
}

static void
test_needs(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s = make("[Sandbox]\nPrivateTmp=yes\nPrivateDevices=no\nProtectHome=no\nProtectProc=default\nPrivateNetwork=yes\nUser=alice\n"
				 "SystemCallFilter=no\nProcSubset=pid\n[Resources]\nTasksMax=5\n",
				 &p);

	assert_int_equal(strv_len(s->needs), 4);
	assert_string_equal(s->needs[0], "User");
	assert_string_equal(s->needs[1], "PrivateTmp");
	assert_string_equal(s->needs[2], "PrivateNetwork");
	assert_string_equal(s->needs[3], "ProcSubset");
	sandbox_free(s);
	assert_int_equal(sandbox_key_needs("PrivateNetwork"), NEEDS_NET);
	assert_int_equal(sandbox_key_needs("User"), NEEDS_ROOT);
	assert_int_equal(sandbox_key_needs("PrivatePIDs"), NEEDS_PID | NEEDS_MOUNT);
	assert_int_equal(sandbox_key_needs("UMask"), 0);
	assert_int_equal(sandbox_key_needs("nonsense"), 0);
}

/* ---- limits ---- */

static struct limits
limits(const char *text)
{
	CLEANUP_FREE char *all = xasprintf("[Resources]\n%s", text);
	struct blueprint *b = blueprint(all);
	struct limits l;

	limits_init(&l);
	if (limits_from(&l, b, &totals, &e) < 0)
		fail_msg("%s", e.text);
	blueprint_free(b);
	return l;
}

static void
limits_refused(const char *text, const struct limit_totals *t, const char *says)
{
	CLEANUP_FREE char *all = xasprintf("[Resources]\n%s", text);
	struct blueprint *b = blueprint(all);
	struct limits l;

	limits_init(&l);
	memset(&e, 0, sizeof(e));
	assert_true(limits_from(&l, b, t, &e) < 0);
	assert_int_equal(e.status, 422);
	if (!strstr(e.text, says))
		fail_msg("'%s' does not say '%s'", e.text, says);
	limits_free(&l);
	blueprint_free(b);
}

static void
test_limits(void **state)
{
	struct limits l = limits("");

	assert_false(is_limited(&l));
	l = limits("MemoryMax=25%\nMemoryHigh=1.5G\nMemorySwapMax=0\nTasksMax=10%\nCPUWeight=idle\nIOWeight=500\nAllowedCPUs=0-1 3\nAllowedMemoryNodes=0\n");
	assert_int_equal(l.memory_max, 16 * GB);
	assert_int_equal(l.memory_high, GB + GB / 2);
	assert_int_equal(l.memory_swap_max, 0);
	assert_int_equal(l.tasks_max, 1000);
	assert_int_equal(l.cpu_weight, 0);
	assert_int_equal(l.io_weight, 500);
	assert_string_equal(l.cpus, "0-1,3");
	assert_string_equal(l.mems, "0");
	assert_int_equal(l.cpu_quota_us, LIMIT_UNSET);
	assert_true(is_limited(&l));
	limits_free(&l);
	assert_false(is_limited(&l));
	l = limits("MemoryMax=infinity\nTasksMax=infinity\n");
	assert_true(l.memory_max == LIMIT_INFINITY && l.tasks_max == LIMIT_INFINITY);
	limits_free(&l);
	/* More than the host has is what the blueprint says; what a profile says is cut, see below. */
	l = limits("MemoryMax=1T\n");
	assert_int_equal(l.memory_max, 1024 * GB);
	limits_free(&l);
	limits_refused("MemoryMax=0\n", &totals, "MemoryMax=0");
	limits_refused("TasksMax=0%\n", &totals, "TasksMax=0%");
	limits_refused("MemoryHigh=50%\n", &(struct limit_totals){ 0, 0 }, "give a number");
}

static void
test_limits_of_small_host(void **state)
{
	struct limit_totals old = totals;
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s;

	totals = (struct limit_totals){ 2 * GB, 500 };
	s = make("", &p);
	assert_int_equal(s->limits.memory_max, 2 * GB);
	assert_int_equal(s->limits.tasks_max, 500);
	sandbox_free(s);
	totals = (struct limit_totals){ 0, 0 };
	s = make("", &p);
	assert_int_equal(s->limits.memory_max, 8 * GB);
	sandbox_free(s);
	totals = old;
}

static void
test_quota(void **state)
{
	struct limits l = limits("CPUQuota=150%\n");

	assert_int_equal(l.cpu_period_us, 100000);
	assert_int_equal(l.cpu_quota_us, 150000);
	limits_free(&l);
	l = limits("CPUQuota=20%\nCPUQuotaPeriodSec=10ms\n");
	assert_int_equal(l.cpu_period_us, 10000);
	assert_int_equal(l.cpu_quota_us, 2000);
	limits_free(&l);
	/* The kernel takes no quota under a millisecond. */
	l = limits("CPUQuota=1%\nCPUQuotaPeriodSec=10ms\n");
	assert_int_equal(l.cpu_period_us, 100000);
	assert_int_equal(l.cpu_quota_us, 1000);
	limits_free(&l);
	/* A period alone limits nothing. */
	l = limits("CPUQuotaPeriodSec=10ms\n");
	assert_false(is_limited(&l));
	limits_refused("CPUQuota=0.05%\n", &totals, "0.1%");
	limits_refused("CPUQuota=10%\nCPUQuotaPeriodSec=2s\n", &totals, "1ms to 1s");
	limits_refused("CPUQuotaPeriodSec=500us\n", &totals, "1ms to 1s");
}

static void
test_io(void **state)
{
	struct limits l = limits("IOReadBandwidthMax=/var 10M\nIOWriteBandwidthMax=/var 1K\nIOReadIOPSMax=\"/srv/a b\" 100\nIOWriteIOPSMax=/var infinity\n");
	struct buf many = BUF_INIT;

	assert_int_equal(l.io_count, 2);
	assert_string_equal(l.io[0].path, "/var");
	assert_int_equal(l.io[0].rbps, 10000000);
	assert_int_equal(l.io[0].wbps, 1000);
	assert_int_equal(l.io[0].riops, LIMIT_UNSET);
	assert_true(l.io[0].wiops == LIMIT_INFINITY);
	assert_string_equal(l.io[1].path, "/srv/a b");
	assert_int_equal(l.io[1].riops, 100);
	limits_free(&l);
	for (int i = 0; i <= LIMIT_DEVICES_MAX; i++)
		buf_printf(&many, "IOReadIOPSMax=/d%d 1\n", i);
	limits_refused(many.data, &totals, "more than");
	buf_free(&many);
}

/* ---- forms and caps ---- */

static void
test_json(void **state)
{
	struct sandbox_paths p = paths_at("/srv/project", true);
	struct sandbox *s = make("[Resources]\nMemoryMax=infinity\nIOReadIOPSMax=/var 1\nLimitNOFILE=10:infinity\n[Sandbox]\nPrivateNetwork=yes\n", &p);
	struct buf out = BUF_INIT;
	struct json_object *o, *v;

	sandbox_json(&out, s);
	o = json_tokener_parse(out.data);
	assert_non_null(o);
	assert_true(json_object_object_get_ex(o, "profile", &v));
	assert_string_equal(json_object_get_string(v), "strict");
	assert_true(json_object_object_get_ex(o, "mounts", &v));
	assert_int_equal(json_object_array_length(v), s->mount_count);
	assert_true(json_object_object_get_ex(o, "namespaces", &v));
	assert_string_equal(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN), "[\"ipc\",\"mnt\",\"net\",\"pid\",\"uts\"]");
	assert_non_null(strstr(out.data, "\"memory_max\":\"infinity\""));
	assert_non_null(strstr(out.data, "\"NOFILE\":[10,\"infinity\"]"));
	assert_non_null(strstr(out.data, "\"needs\":[\"PrivateNetwork\"]"));
	json_object_put(o);
	buf_free(&out);
	sandbox_free(s);
}

static void
test_too_many(void **state)
{
	struct buf text = BUF_INIT;

	buf_puts(&text, "[Sandbox]\n");
	for (int i = 0; i <= SANDBOX_MOUNTS_MAX; i++)
		buf_printf(&text, "ReadOnlyPaths=/d%d\n", i);
	refused(text.data, "mounts");
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profile),	      cmocka_unit_test(test_effective),
		cmocka_unit_test(test_effective_without_profile), cmocka_unit_test(test_strict_root),
		cmocka_unit_test(test_strict_user),   cmocka_unit_test(test_ways), cmocka_unit_test(test_home_elsewhere), cmocka_unit_test(test_git_guard), cmocka_unit_test(test_further_repositories), cmocka_unit_test(test_workspace),
		cmocka_unit_test(test_none),	      cmocka_unit_test(test_system),
		cmocka_unit_test(test_proc),	      cmocka_unit_test(test_tmp),
		cmocka_unit_test(test_paths),	      cmocka_unit_test(test_binds),
		cmocka_unit_test(test_paths_in_strict), cmocka_unit_test(test_project),
		cmocka_unit_test(test_worktree),      cmocka_unit_test(test_visible),
		cmocka_unit_test(test_no_namespaces), cmocka_unit_test(test_user),
		cmocka_unit_test(test_capabilities),  cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_private_network), cmocka_unit_test(test_syscalls),
		cmocka_unit_test(test_process),	      cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_needs),	      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limits_of_small_host), cmocka_unit_test(test_quota),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_json),	      cmocka_unit_test(test_too_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
