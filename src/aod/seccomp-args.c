/* SPDX-License-Identifier: MIT */
/*
 * What a filter refuses by a call's arguments: kinds of sockets, namespaces, modes, protections of memory. Each rule is one (call, comparisons that
 * all hold, error). Arguments that the kernel takes as an int are compared as 32 bits, since it does not look at what is above.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "aod/seccomp-internal.h"
#include "base/util.h"

#define FAMILIES 64 /* more than the kernel has (46); it refuses what is above by itself */
#define INT_MASK 0xffffffffu
#define FAMILY(f) ((uint64_t)1 << (f))

#ifdef __s390__
#define CLONE_FLAGS_ARGUMENT 1
#else
#define CLONE_FLAGS_ARGUMENT 0
#endif

struct rules {
	scmp_filter_ctx ctx;
	const struct calls *calls;
	bool notify;
	int count, rc; /* rc: of the first that failed; the others are left out */
};

/* ---- adding ---- */

static void
refuse(struct rules *r, int error, const char *name, unsigned n, const struct scmp_arg_cmp *cmp)
{
	bool told = r->notify && (error == EPERM || error == EAFNOSUPPORT);
	uint32_t action = calls_action(r->calls, name);
	int nr = seccomp_call(name);

	/* It is refused whatever its arguments are, or not a call of ours. */
	if (r->rc < 0 || (action != SCMP_ACT_ALLOW && action != SCMP_ACT_LOG) || (nr < 0 && !r->calls->foreign))
		return;
	r->rc = seccomp_rule_add_array(r->ctx, told ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO((uint32_t)error), nr, n, cmp);
	if (r->rc == -EDOM)
		r->rc = 0;
	r->count++;
}

static void
refuse_if(struct rules *r, int error, const char *name, unsigned arg, enum scmp_compare op, uint64_t a, uint64_t b)
{
	refuse(r, error, name, 1, &SCMP_CMP64(arg, op, a, b));
}

/* All bits are set. */
static void
refuse_bits(struct rules *r, const char *name, unsigned arg, uint64_t bits)
{
	refuse_if(r, EPERM, name, arg, SCMP_CMP_MASKED_EQ, bits, bits);
}

static void
refuse_int(struct rules *r, int error, const char *name, unsigned arg, uint32_t value)
{
	refuse_if(r, error, name, arg, SCMP_CMP_MASKED_EQ, INT_MASK, value);
}

/* ---- sockets ---- */

static const struct {
	const char *name;
	int family;
} families[] = {
	{ "AF_UNIX", AF_UNIX },	      { "AF_LOCAL", AF_UNIX },	  { "AF_INET", AF_INET },     { "AF_INET6", AF_INET6 },
	{ "AF_NETLINK", AF_NETLINK }, { "AF_PACKET", AF_PACKET }, { "AF_VSOCK", AF_VSOCK },   { "AF_ALG", AF_ALG },
	{ "AF_AX25", AF_AX25 },	      { "AF_BLUETOOTH", AF_BLUETOOTH }, { "AF_CAN", AF_CAN }, { "AF_IB", AF_IB },
	{ "AF_ISDN", AF_ISDN },	      { "AF_KCM", AF_KCM },	  { "AF_KEY", AF_KEY },	      { "AF_LLC", AF_LLC },
	{ "AF_NFC", AF_NFC },	      { "AF_PHONET", AF_PHONET }, { "AF_PPPOX", AF_PPPOX },   { "AF_QIPCRTR", AF_QIPCRTR },
	{ "AF_RDS", AF_RDS },	      { "AF_RXRPC", AF_RXRPC },	  { "AF_SMC", AF_SMC },	      { "AF_TIPC", AF_TIPC },
	{ "AF_X25", AF_X25 },	      { "AF_XDP", AF_XDP },
};

const char *
seccomp_family_name(int family)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (families[i].family == family)
			return families[i].name;
	return NULL;
}

static int
family_named(const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (strcmp(families[i].name, name) == 0)
			return families[i].family;
	return err_set_status(e, 422, -EINVAL, "RestrictAddressFamilies=: there is no family %s", name);
}

/* A bit for each family that may be had. */
static int
allowed_families(const struct sandbox_syscalls *s, uint64_t *out, struct err *e)
{
	bool all_but = s->families && s->families[0] && *s->families[0] == '~';

	*out = !s->families || all_but ? UINT64_MAX : 0;
	if (all_but || is_allow_list(s))
		*out &= ~FAMILY(AF_VSOCK);
	for (char **w = s->families; w && *w; w++) {
		bool not = **w == '~';
		int f = strcmp(*w, "none") == 0 || strcmp(*w, "~") == 0 ? AF_UNSPEC : family_named(*w + not, e);

		if (f < 0)
			return f;
		if (f != AF_UNSPEC)
			*out = not ? *out & ~FAMILY(f) : *out | FAMILY(f);
	}
	return 0;
}

static int
socket_rules(struct rules *r, const struct sandbox_syscalls *s, struct err *e)
{
	uint64_t allowed;
	int rc = allowed_families(s, &allowed, e);

	if (rc < 0)
		return rc;
	for (uint32_t f = 0; f < FAMILIES; f++)
		if (!(allowed & FAMILY(f))) {
			refuse_int(r, EAFNOSUPPORT, "socket", 0, f);
			/* Pairs of the one family that everything makes them of are no way to anybody. */
			if (f != AF_UNIX)
				refuse_int(r, EAFNOSUPPORT, "socketpair", 0, f);
		}
	return 0;
}

/* ---- namespaces ---- */

static const unsigned namespace_flags[] = {
	CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER, CLONE_NEWUTS,
};

static void
namespace_rules(struct rules *r, const struct sandbox_syscalls *s)
{
	if (s->namespaces == 0)
		refuse(r, EPERM, "setns", 0, NULL);
	else
		/* Any kind. */
		refuse_int(r, EPERM, "setns", 1, 0);
	for (size_t i = 0; i < ARRAY_LEN(namespace_flags); i++) {
		unsigned f = namespace_flags[i];

		if (s->namespaces & f)
			continue;
		refuse_bits(r, "unshare", 0, f);
		if (s->namespaces)
			refuse_bits(r, "setns", 1, f);
		/* The lowest bits are a signal there. */
		if (f != CLONE_NEWTIME)
			refuse_bits(r, "clone", CLONE_FLAGS_ARGUMENT, f);
	}
}

/* ---- set-user-ID and set-group-ID ---- */

static void
suid_rules(struct rules *r)
{
	static const struct {
		const char *name;
		unsigned mode;
		int flags; /* argument with O_…, -1: none */
	} calls[] = {
		{ "chmod", 1, -1 }, { "fchmod", 1, -1 },  { "fchmodat", 2, -1 }, { "fchmodat2", 2, -1 }, { "mkdir", 1, -1 }, { "mkdirat", 2, -1 },
		{ "mknod", 1, -1 }, { "mknodat", 2, -1 }, { "creat", 1, -1 },	 { "open", 2, 1 },	 { "openat", 3, 2 },
	};
	static const uint64_t modes[] = { S_ISUID, S_ISGID }, makes[] = { O_CREAT, O_TMPFILE & ~O_DIRECTORY };

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
			struct scmp_arg_cmp mode = SCMP_CMP64(calls[i].mode, SCMP_CMP_MASKED_EQ, modes[m], modes[m]);

			if (calls[i].flags < 0)
				refuse(r, EPERM, calls[i].name, 1, &mode);
			for (size_t k = 0; calls[i].flags >= 0 && k < ARRAY_LEN(makes); k++)
				refuse(r, EPERM, calls[i].name, 2,
				       (struct scmp_arg_cmp[]){ SCMP_CMP64((unsigned)calls[i].flags, SCMP_CMP_MASKED_EQ, makes[k], makes[k]), mode });
		}
}

/* ---- scheduling, personality, memory, terminals ---- */

static void
realtime_rules(struct rules *r)
{
	/* SCHED_OTHER, SCHED_BATCH and SCHED_IDLE are left; flags and what is not known are above. */
	refuse_if(r, EPERM, "sched_setscheduler", 1, SCMP_CMP_GT, SCHED_IDLE, 0);
	for (uint64_t policy = SCHED_FIFO; policy < SCHED_IDLE; policy++)
		if (policy != SCHED_BATCH)
			refuse_if(r, EPERM, "sched_setscheduler", 1, SCMP_CMP_EQ, policy, 0);
}

/*
 * 0 sets what is there, 0xffffffff asks. Everything else has, in a circle of its 32 bits, one that is set and whose right neighbour is
 * not; those two have none.
 */
static void
personality_rules(struct rules *r)
{
	for (unsigned i = 0; i < 32; i++) {
		uint64_t bit = (uint64_t)1 << i, next = (uint64_t)1 << (i + 1) % 32;

		refuse_if(r, EPERM, "personality", 0, SCMP_CMP_MASKED_EQ, bit | next, bit);
	}
}

static void
memory_rules(struct rules *r)
{
	refuse_bits(r, "mmap", 2, PROT_WRITE | PROT_EXEC);
	refuse_bits(r, "mmap2", 2, PROT_WRITE | PROT_EXEC);
	refuse_bits(r, "mprotect", 2, PROT_EXEC);
	refuse_bits(r, "pkey_mprotect", 2, PROT_EXEC);
	refuse_bits(r, "shmat", 2, SHM_EXEC);
}

int
args_rules(scmp_filter_ctx ctx, const struct sandbox_syscalls *s, const struct calls *c, bool notify, struct err *e)
{
	struct rules r = { .ctx = ctx, .calls = c, .notify = notify };

	/* Typing into the terminal of whoever started aod by hand. */
	refuse_int(&r, EPERM, "ioctl", 1, TIOCSTI);
	refuse_int(&r, EPERM, "ioctl", 1, TIOCLINUX);
	if (s->restrict_namespaces)
		namespace_rules(&r, s);
	if (s->no_suid_sgid)
		suid_rules(&r);
	if (s->no_realtime)
		realtime_rules(&r);
	if (s->lock_personality)
		personality_rules(&r);
	if (s->no_write_execute)
		memory_rules(&r);
	/* Whoever listened to a filter of its own above ours could let through what ours stopped. */
	if (notify)
		refuse_if(&r, EBUSY, "seccomp", 1, SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (socket_rules(&r, s, e) < 0)
		return -EINVAL;
	return r.rc < 0 ? err_errno(e, r.rc, "libseccomp") : r.count;
}
