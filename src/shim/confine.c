/* SPDX-License-Identifier: MIT */
/*
 * What the agent may do: limits, user and groups, capabilities, system calls. Also the end of all rights for the init of a pid namespace.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"
#include "shim/spec.h"

#define SECCOMP_MAX 4096 /* instructions, as BPF_MAXINSNS */
#define SECURE_NOTHING 0xef /* all of securebits(7) and their locks, but keep-caps, which ends by itself */

static struct sock_filter filter[SECCOMP_MAX] COLD;

/* ---- limits ---- */

/* "R SOFT HARD" */
static int
set_rlimit(const char *text)
{
	struct rlimit want, have;
	char *end;
	long resource = strtol(text, &end, 10);

	if (*end != ' ')
		return -EINVAL;
	want.rlim_cur = strtoull(end + 1, &end, 10);
	if (*end != ' ')
		return -EINVAL;
	want.rlim_max = strtoull(end + 1, &end, 10);
	if (*end)
		return -EINVAL;
	if (setrlimit((int)resource, &want) == 0)
		return 0;
	if (errno != EPERM || getrlimit((int)resource, &have) < 0)
		return -errno;
	/* More than there is to give: as much as there is. */
	if (want.rlim_max > have.rlim_max)
		want.rlim_max = have.rlim_max;
	if (want.rlim_cur > want.rlim_max)
		want.rlim_cur = want.rlim_max;
	return setrlimit((int)resource, &want) < 0 ? -errno : 0;
}

int
confine_limits(const struct spec *spec)
{
	int r;

	for (char **l = spec->rlimits; *l; l++)
		if ((r = set_rlimit(*l)) < 0)
			return r;
	return 0;
}

int
confine_nice(const struct spec *spec)
{
	return spec->nice != INT64_MIN && setpriority(PRIO_PROCESS, 0, (int)spec->nice) < 0 ? -errno : 0;
}

/* ---- user ---- */

static bool
new_user(const struct spec *spec)
{
	return spec->uid >= 0 || spec->gid >= 0;
}

int
confine_user(const struct spec *spec)
{
	uid_t uid = spec->uid < 0 ? geteuid() : (uid_t)spec->uid;
	gid_t gid = spec->gid < 0 ? getegid() : (gid_t)spec->gid;

	if (!new_user(spec))
		return 0;
	/* An ordinary user may name itself. */
	if (geteuid() != 0 && uid == geteuid() && gid == getegid())
		return 0;
	if (!talk_denied_setgroups() && setgroups(0, NULL) < 0)
		return -errno;
	if (spec->ambient)
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	/* Its own pipes can be opened again, as /dev/stdout. Where that cannot be said it costs no more than that. */
	for (int i = 0; i < 3; i++)
		if (fchown(i, uid, gid) < 0)
			break;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

/* ---- capabilities ---- */

static int
set_capabilities(uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted = (uint32_t)(effective >> (32 * i));
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static uint64_t
permitted_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

/* Drops all but keep. What is not there is asked about only where dropping it is not allowed. */
static int
drop_bounding(uint64_t keep)
{
	for (unsigned long c = 0; c < 64; c++) {
		if (keep >> c & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0)
			continue;
		switch (prctl(PR_CAPBSET_READ, c, 0, 0, 0)) {
		case 0:
			continue;
		case 1:
			return -EPERM;
		}
		return 0; /* the last was the one before */
	}
	return 0;
}

int
confine_bounding(const struct spec *spec)
{
	int r = spec->has_caps ? drop_bounding(spec->caps) : 0;

	/* Who is not root has no right to, and none to lose either, when no program can give any. */
	if (r == -EPERM && permitted_capabilities() == 0 && (spec->no_new_privs || spec->seccomp))
		return 0;
	return r;
}

int
confine_capabilities(const struct spec *spec)
{
	uint64_t have = permitted_capabilities();
	uint64_t keep = geteuid() == 0 ? (spec->has_caps ? spec->caps : ~0ull) | spec->ambient : spec->ambient;
	int r;

	if (!spec->has_caps && !spec->ambient)
		return 0;
	r = set_capabilities(have & keep, spec->ambient);
	for (unsigned long c = 0; c < 64 && r == 0; c++)
		if ((spec->ambient >> c & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0)
			r = -errno;
	return r;
}

void
confine_nothing(const struct spec *spec)
{
	/* What cannot be had here is not there to be dropped. */
	drop_bounding(0);
	prctl(PR_SET_SECUREBITS, SECURE_NOTHING, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (geteuid() == 0 && confine_user(spec) < 0)
		_exit(127);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (set_capabilities(0, 0) < 0)
		_exit(127);
}

/* ---- system calls ---- */

/*
 * The whole program or none: a part of one would let through what the rest forbids. aod's memfd is one open file for all shims, so its
 * position is nobody's: pread(2) only.
 */
static int
read_program(struct sock_fprog *prog)
{
	struct stat st;
	size_t n = 0;
	ssize_t r = 0;

	if (fstat(SHIM_SECCOMP_FD, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size % (off_t)sizeof(filter[0]) != 0)
		return -EINVAL;
	if (st.st_size > (off_t)sizeof(filter))
		return -E2BIG;
	while (n < (size_t)st.st_size &&
	       (r = pread(SHIM_SECCOMP_FD, (char *)filter + n, (size_t)st.st_size - n, (off_t)n)) > 0)
		n += (size_t)r;
	if (n != (size_t)st.st_size)
		return r < 0 ? -errno : -EIO;
	prog->filter = filter;
	prog->len = (unsigned short)(n / sizeof(filter[0]));
	return 0;
}

int
confine_seccomp(const struct spec *spec, int *listener)
{
	struct sock_fprog prog;
	long r;

	*listener = -1;
	if ((spec->no_new_privs || spec->seccomp) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!spec->seccomp)
		return 0;
	r = read_program(&prog);
	if (r < 0)
		return (int)r;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, spec->notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &prog);
	if (r < 0)
		return -errno;
	if (spec->notify)
		*listener = (int)r;
	return 0;
}
