/* SPDX-License-Identifier: MIT */
/*
 * Filter programs: made of two parts, each a binary tree by libseccomp, kept in memfds. libseccomp cannot say "refuse with these arguments, else allow"
 * of a call in a filter that refuses by default; so what depends on arguments is a filter of its own that allows by default, and where it
 * allows, the second one is gone through, which decides by the call alone.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aod/seccomp-internal.h"
#include "base/buf.h"
#include "base/util.h"

/* ---- parts ---- */

static const struct {
	const char *name; /* as in SystemCallArchitectures= */
	uint32_t native, arch;
} architectures[] = {
	{ "x86", SCMP_ARCH_X86_64, SCMP_ARCH_X86 },
	{ "x32", SCMP_ARCH_X86_64, SCMP_ARCH_X32 },
	{ "arm", SCMP_ARCH_AARCH64, SCMP_ARCH_ARM },
};

int
foreign_architectures(const struct sandbox_syscalls *s, uint32_t arch[2])
{
	int n = 0;

	/* Others than these this machine cannot run. */
	for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
		for (char **w = s->architectures; w && *w; w++)
			if (architectures[i].native == seccomp_arch_native() && strcmp(architectures[i].name, *w) == 0 && n < 2) {
				arch[n++] = architectures[i].arch;
				break;
			}
	return n;
}

static int
new_filter(scmp_filter_ctx *out, const struct sandbox_syscalls *s, uint32_t action, struct err *e)
{
	scmp_filter_ctx ctx = *out = seccomp_init(action);
	uint32_t foreign[2];
	int n = foreign_architectures(s, foreign), rc = ctx ? 0 : -ENOMEM;

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, s->architectures ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
	for (int i = 0; rc == 0 && i < n; i++)
		rc = seccomp_arch_add(ctx, foreign[i]);
	return rc < 0 ? err_errno(e, rc, "libseccomp") : 0;
}

static int
add_calls(scmp_filter_ctx ctx, const struct calls *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->count; i++) {
		const struct call *call = &c->v[i];

		if (call->action == c->unknown || (call->nr < 0 && !c->foreign))
			continue;
		rc = seccomp_rule_add(ctx, call->action, call->nr, 0);
		/* Not a call of these architectures; or one whose number libseccomp cannot take to the other one. */
		if (rc == -EDOM || (rc == -EFAULT && c->foreign))
			rc = 0;
	}
	return rc < 0 ? err_errno(e, rc, "libseccomp") : 0;
}

static int
memfd(struct err *e)
{
	int fd = memfd_create("aod-seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? err_errno(e, -errno, "memfd_create") : fd;
}

/* Append the program of a filter to out. */
static int
export(scmp_filter_ctx ctx, struct buf *out, struct err *e)
{
	CLEANUP_CLOSE int fd = memfd(e);
	char part[4096];
	ssize_t n;
	int rc;

	if (fd < 0)
		return fd;
	rc = seccomp_export_bpf(ctx, fd);
	if (rc < 0)
		return err_errno(e, rc, "libseccomp");
	for (off_t at = 0; (n = pread(fd, part, sizeof(part), at)) > 0; at += n)
		buf_put(out, part, (size_t)n);
	return n < 0 ? err_errno(e, -errno, "memfd") : 0;
}

/* Where the part that ends at end allows, go on behind it. */
static void
go_on(struct buf *prog, size_t end)
{
	struct sock_filter *i = (void *)prog->data;

	for (size_t n = end / sizeof(*i), pc = 0; pc < n; pc++)
		if (i[pc].code == (BPF_RET | BPF_K) && i[pc].k == SECCOMP_RET_ALLOW)
			i[pc] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(n - pc - 1));
}

/*
 * Old calls of i386 that keep in memory, where no filter sees them, the arguments that there are rules about: refused as a whole, which libseccomp
 * cannot do for what it takes for many calls in one.
 */
static void
refuse_multiplexers(struct buf *prog, const struct sandbox_syscalls *s)
{
	const struct {
		bool on;
		uint32_t nr;
	} calls[] = {
		{ s->families != NULL, 102 },  /* socketcall */
		{ s->no_write_execute, 90 },   /* mmap */
		{ s->no_write_execute, 117 },  /* ipc */
	};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct sock_filter one[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 3),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].nr, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		};

		if (calls[i].on)
			buf_put(prog, one, sizeof(one));
	}
}

/* ---- a program ---- */

int
seccomp_make(const struct sandbox_syscalls *s, bool *notify, struct buf *prog, struct err *e)
{
	scmp_filter_ctx by_args = NULL, by_call = NULL;
	struct calls c = { 0 };
	int rc = calls_decide(&c, s, e);

	/* The listener's descriptor goes to the shim by sendmsg(2) when the filter is in force already. */
	*notify = rc == 0 && s->notify && (calls_action(&c, "sendmsg") == SCMP_ACT_ALLOW || calls_action(&c, "sendmsg") == SCMP_ACT_LOG);
	if (rc == 0)
		rc = new_filter(&by_args, s, SCMP_ACT_ALLOW, e);
	if (rc == 0)
		rc = args_rules(by_args, s, &c, *notify, e);
	if (rc > 0) {
		if (c.foreign)
			refuse_multiplexers(prog, s);
		rc = export(by_args, prog, e);
		if (rc == 0)
			go_on(prog, prog->len);
	}
	if (*notify)
		calls_notify(&c);
	if (rc == 0)
		rc = new_filter(&by_call, s, c.unknown, e);
	if (rc == 0)
		rc = add_calls(by_call, &c, e);
	if (rc == 0)
		rc = export(by_call, prog, e);
	if (by_args)
		seccomp_release(by_args);
	if (by_call)
		seccomp_release(by_call);
	calls_free(&c);
	return rc;
}

/* As the kernel has it, where its calls are told apart; 0: two of them are. */
static uint32_t
only_architecture(const struct sandbox_syscalls *s)
{
	uint32_t foreign[2];

	if (foreign_architectures(s, foreign) > 0)
		return 0;
	return seccomp_arch_native() == SCMP_ARCH_X86_64 ? AUDIT_ARCH_X86_64 : seccomp_arch_native() == SCMP_ARCH_AARCH64 ? AUDIT_ARCH_AARCH64 : 0;
}

static int
sealed(const struct buf *prog, struct err *e)
{
	int fd = memfd(e);

	if (fd < 0)
		return fd;
	if (write(fd, prog->data, prog->len) != (ssize_t)prog->len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		int rc = -errno;

		close(fd);
		return err_errno(e, rc, "memfd");
	}
	return fd;
}

static int
make_fd(const struct sandbox_syscalls *s, bool *notify, struct err *e)
{
	struct buf prog = BUF_INIT;
	int rc = seccomp_make(s, notify, &prog, e);

	if (rc == 0 && only_architecture(s))
		seccomp_fold(&prog, only_architecture(s));
	if (rc == 0 && prog.len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		rc = err_set_status(e, 422, -E2BIG, "SystemCallFilter=: the filter is too long for the kernel");
	if (rc == 0)
		rc = sealed(&prog, e);
	buf_free(&prog);
	return rc;
}

/* ---- the cache ---- */

struct entry {
	char *key;
	int fd; /* -1: the entry is free */
	bool notify;
	uint64_t used;
};

struct seccomp_cache {
	struct entry entries[SECCOMP_CACHE_MAX];
	uint64_t clock;
};

struct seccomp_cache *
seccomp_cache_new(void)
{
	struct seccomp_cache *c = xcalloc(1, sizeof(*c));

	for (size_t i = 0; i < ARRAY_LEN(c->entries); i++)
		c->entries[i].fd = -1;
	return c;
}

static void
entry_done(struct entry *n)
{
	if (n->fd >= 0)
		close(n->fd);
	free(n->key);
	*n = (struct entry){ .fd = -1 };
}

void
seccomp_cache_free(struct seccomp_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_LEN(c->entries); i++)
		entry_done(&c->entries[i]);
	free(c);
}

static void
put_words(struct buf *b, char *const *words)
{
	buf_puts(b, words ? "\n[" : "\n");
	for (; words && *words; words++)
		buf_printf(b, " %s", *words);
}

/* All that the program depends on, as text. */
static void
put_key(struct buf *b, const struct sandbox_syscalls *s)
{
	const bool bits[] = {
		s->basic,    s->restrict_namespaces, s->no_suid_sgid, s->no_realtime,	s->lock_personality, s->no_write_execute,
		s->no_hostname, s->no_clock,	     s->no_modules,   s->no_kernel_log, s->no_raw_io,	     s->notify,
	};

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		buf_putc(b, bits[i] ? '1' : '0');
	buf_printf(b, " %x %s", s->restrict_namespaces ? s->namespaces : 0, s->error ? s->error : "");
	put_words(b, s->filter);
	put_words(b, s->architectures);
	put_words(b, s->log);
	put_words(b, s->families);
}

/* The entry for key; when there is none, the one that is free, or has been of no use for longest, emptied. */
static struct entry *
find_entry(struct seccomp_cache *c, const char *key)
{
	struct entry *oldest = &c->entries[0];

	for (size_t i = 0; i < ARRAY_LEN(c->entries); i++) {
		struct entry *n = &c->entries[i];

		if (n->fd >= 0 && strcmp(n->key, key) == 0)
			return n;
		if (n->used < oldest->used)
			oldest = n;
	}
	entry_done(oldest);
	return oldest;
}

int
seccomp_get(struct seccomp_cache *c, const struct sandbox_syscalls *s, bool *none, bool *notify, struct err *e)
{
	struct buf key = BUF_INIT;
	struct entry *n;

	*notify = false;
	*none = s->off;
	if (s->off)
		return -1;
	put_key(&key, s);
	n = find_entry(c, key.data);
	if (n->fd < 0) {
		int fd = make_fd(s, &n->notify, e);

		if (fd < 0) {
			buf_free(&key);
			return fd;
		}
		n->fd = fd;
		n->key = buf_steal(&key);
	}
	n->used = ++c->clock;
	*notify = n->notify;
	buf_free(&key);
	return n->fd;
}
