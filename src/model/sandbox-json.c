/* SPDX-License-Identifier: MIT */
/* A sandbox as JSON for people: `aoctl plan` and tests read it. No value of a credential is in it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <sched.h>
#include <string.h>

#include "base/util.h"
#include "model/sandbox.h"

static void
put_key(struct buf *out, const char *key)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	buf_printf(out, "\"%s\":", key);
}

static void
put_text(struct buf *out, const char *key, const char *v)
{
	put_key(out, key);
	buf_put_json_str(out, v);
}

static void
put_bool(struct buf *out, const char *key, bool v)
{
	put_key(out, key);
	buf_puts(out, v ? "true" : "false");
}

/* What is unset is null, what has no limit "infinity". */
static void
put_number(struct buf *out, const char *key, int64_t v, int64_t unset)
{
	put_key(out, key);
	if (v == unset)
		buf_puts(out, "null");
	else if (v == INT64_MAX)
		buf_puts(out, "\"infinity\"");
	else
		buf_put_int(out, v);
}

static void
put_list(struct buf *out, const char *key, char *const *v)
{
	put_key(out, key);
	if (!v) {
		buf_puts(out, "null");
		return;
	}
	buf_putc(out, '[');
	for (size_t i = 0; v[i]; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_put_json_str(out, v[i]);
	}
	buf_putc(out, ']');
}

/* Names of the bits that are set. */
static void
put_bits(struct buf *out, const char *key, uint64_t bits, const char *const *names, const uint64_t *values, size_t n)
{
	bool first = true;

	put_key(out, key);
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++)
		if (bits & values[i]) {
			buf_printf(out, "%s\"%s\"", first ? "" : ",", names[i]);
			first = false;
		}
	buf_putc(out, ']');
}

static void
put_namespaces(struct buf *out, const char *key, unsigned flags, bool network)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
	static const uint64_t values[] = { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, 0x80, CLONE_NEWUSER, CLONE_NEWUTS };

	put_bits(out, key, flags | (network ? (unsigned)CLONE_NEWNET : 0), names, values, ARRAY_LEN(names));
}

static void
put_mount(struct buf *out, const struct sandbox_mount *m)
{
	static const char *const ops[] = { "bind", "tmpfs", "hide", "proc", "sys", "dev", "file", "credentials", "attr" };
	static const char *const names[] = { "ro", "rw", "nosuid", "nodev", "noexec", "idmap", "own", "optional", "norec", "nofollow" };
	static const uint64_t values[] = { MF_RO, MF_RW, MF_NOSUID, MF_NODEV, MF_NOEXEC, MF_IDMAP, MF_OWN, MF_OPTIONAL, MF_NOREC, MF_NOFOLLOW };

	buf_putc(out, '{');
	put_text(out, "op", ops[m->op]);
	put_text(out, "dst", m->dst);
	if (m->src)
		put_text(out, "src", m->src);
	if (m->opt)
		put_text(out, "opt", m->opt);
	put_bits(out, "flags", m->flags, names, values, ARRAY_LEN(names));
	buf_putc(out, '}');
}

static void
put_syscalls(struct buf *out, const struct sandbox_syscalls *c)
{
	static const char *const names[] = { "suid_sgid", "realtime", "personality", "write_execute", "hostname", "clock", "modules", "kernel_log", "raw_io" };
	static const uint64_t values[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256 };
	const bool denied[] = { c->no_suid_sgid, c->no_realtime, c->lock_personality, c->no_write_execute, c->no_hostname,
				c->no_clock,	 c->no_modules,	 c->no_kernel_log,    c->no_raw_io };
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		bits |= denied[i] ? values[i] : 0;
	put_key(out, "syscalls");
	buf_putc(out, '{');
	put_bool(out, "off", c->off);
	put_bool(out, "basic", c->basic);
	put_list(out, "filter", c->filter);
	put_text(out, "error", c->error);
	put_list(out, "architectures", c->architectures);
	put_list(out, "log", c->log);
	put_list(out, "families", c->families);
	if (c->restrict_namespaces)
		put_namespaces(out, "namespaces", c->namespaces, false);
	put_bits(out, "denied", bits, names, values, ARRAY_LEN(names));
	put_bool(out, "notify", c->notify);
	buf_putc(out, '}');
}

static void
put_limits(struct buf *out, const struct limits *l)
{
	put_key(out, "limits");
	buf_putc(out, '{');
	put_number(out, "memory_max", l->memory_max, LIMIT_UNSET);
	put_number(out, "memory_high", l->memory_high, LIMIT_UNSET);
	put_number(out, "memory_swap_max", l->memory_swap_max, LIMIT_UNSET);
	put_number(out, "tasks_max", l->tasks_max, LIMIT_UNSET);
	put_number(out, "cpu_quota_us", l->cpu_quota_us, LIMIT_UNSET);
	put_number(out, "cpu_period_us", l->cpu_period_us, LIMIT_UNSET);
	put_number(out, "cpu_weight", l->cpu_weight, LIMIT_UNSET);
	put_number(out, "io_weight", l->io_weight, LIMIT_UNSET);
	put_text(out, "cpus", l->cpus);
	put_text(out, "mems", l->mems);
	put_key(out, "io");
	buf_putc(out, '[');
	for (int i = 0; i < l->io_count; i++) {
		buf_puts(out, i ? ",{" : "{");
		put_text(out, "path", l->io[i].path);
		put_number(out, "rbps", l->io[i].rbps, LIMIT_UNSET);
		put_number(out, "wbps", l->io[i].wbps, LIMIT_UNSET);
		put_number(out, "riops", l->io[i].riops, LIMIT_UNSET);
		put_number(out, "wiops", l->io[i].wiops, LIMIT_UNSET);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
	put_bool(out, "oom_group", l->oom_group);
	buf_putc(out, '}');
}

static void
put_rlimits(struct buf *out, const struct sandbox *s)
{
	static const char *const names[] = { "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE",
					     "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME" };

	put_key(out, "rlimits");
	buf_putc(out, '{');
	for (int i = 0; i < s->rlimit_count; i++) {
		const struct sandbox_rlimit *r = &s->rlimits[i];
		const uint64_t v[] = { r->soft, r->hard };

		put_key(out, names[r->resource]);
		for (int k = 0; k < 2; k++) {
			buf_putc(out, k ? ',' : '[');
			if (v[k] == UINT64_MAX)
				buf_puts(out, "\"infinity\"");
			else
				buf_printf(out, "%llu", (unsigned long long)v[k]);
		}
		buf_putc(out, ']');
	}
	buf_putc(out, '}');
}

/* ID of each ID:VALUE. */
static void
put_credentials(struct buf *out, const struct sandbox *s)
{
	char *const *lists[] = { s->load_credentials, s->set_credentials };
	bool first = true;

	put_key(out, "credentials");
	buf_putc(out, '[');
	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		for (char *const *v = lists[k]; v && *v; v++) {
			if (!first)
				buf_putc(out, ',');
			buf_put_json(out, *v, strcspn(*v, ":"));
			first = false;
		}
	buf_putc(out, ']');
}

void
sandbox_json(struct buf *out, const struct sandbox *s)
{
	static const char *const oom[] = { "continue", "stop", "kill" };

	buf_putc(out, '{');
	put_text(out, "profile", sandbox_profile_name(s->profile));
	put_text(out, "user", s->user);
	put_text(out, "group", s->group);
	put_bool(out, "dynamic_user", s->dynamic_user);
	put_namespaces(out, "namespaces", s->namespaces, s->private_network);
	put_bool(out, "no_new_privs", s->no_new_privs);
	put_key(out, "capabilities");
	buf_printf(out, "\"%016llx\",\"ambient\":\"%016llx\"", (unsigned long long)s->capabilities, (unsigned long long)s->ambient);
	put_key(out, "mounts");
	buf_putc(out, '[');
	for (int i = 0; i < s->mount_count; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_mount(out, &s->mounts[i]);
	}
	buf_putc(out, ']');
	put_list(out, "landlock_rw", s->landlock_rw);
	put_list(out, "landlock_ro", s->landlock_ro);
	put_rlimits(out, s);
	put_number(out, "umask", s->umask, -1);
	put_number(out, "nice", s->nice, INT64_MIN);
	put_number(out, "oom_score_adj", s->oom_score_adj, INT64_MIN);
	put_text(out, "oom_policy", oom[s->oom_policy]);
	put_syscalls(out, &s->syscalls);
	put_limits(out, &s->limits);
	put_text(out, "slice", s->slice);
	put_credentials(out, s);
	put_text(out, "credentials_dir", s->credentials_dir);
	put_number(out, "tmp_size", s->tmp_size, LIMIT_UNSET);
	put_number(out, "workspace_quota", s->workspace_quota, LIMIT_UNSET);
	put_number(out, "log_size_max", s->log_size_max, LIMIT_UNSET);
	put_list(out, "needs", s->needs);
	buf_putc(out, '}');
}
