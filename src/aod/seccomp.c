/* SPDX-License-Identifier: MIT */
/*
 * A deny list, refused with EPERM. io_uring, which would get around filters on other calls, gets ENOSYS, so that libraries fall back. Allow lists by
 * systemd's groups, and the choice per blueprint, come with the sandbox.
 */
#include "config.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aod/seccomp.h"
#include "base/util.h"

static const struct {
	int call, error;
} denied[] = {
	{ SCMP_SYS(acct), EPERM },
	{ SCMP_SYS(add_key), EPERM },
	{ SCMP_SYS(bpf), EPERM },
	{ SCMP_SYS(clock_adjtime), EPERM },
	{ SCMP_SYS(clock_settime), EPERM },
	{ SCMP_SYS(delete_module), EPERM },
	{ SCMP_SYS(finit_module), EPERM },
	{ SCMP_SYS(init_module), EPERM },
	{ SCMP_SYS(io_uring_enter), ENOSYS },
	{ SCMP_SYS(io_uring_register), ENOSYS },
	{ SCMP_SYS(io_uring_setup), ENOSYS },
	{ SCMP_SYS(ioperm), EPERM },
	{ SCMP_SYS(iopl), EPERM },
	{ SCMP_SYS(kexec_file_load), EPERM },
	{ SCMP_SYS(kexec_load), EPERM },
	{ SCMP_SYS(keyctl), EPERM },
	{ SCMP_SYS(lookup_dcookie), EPERM },
	{ SCMP_SYS(open_by_handle_at), EPERM },
	{ SCMP_SYS(perf_event_open), EPERM },
	{ SCMP_SYS(quotactl), EPERM },
	{ SCMP_SYS(reboot), EPERM },
	{ SCMP_SYS(request_key), EPERM },
	{ SCMP_SYS(settimeofday), EPERM },
	{ SCMP_SYS(swapoff), EPERM },
	{ SCMP_SYS(swapon), EPERM },
	{ SCMP_SYS(userfaultfd), EPERM },
	{ SCMP_SYS(vhangup), EPERM },
};

static int
add_rules(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(denied); i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)denied[i].error), denied[i].call, 0);
		/* Not a call of this architecture. */
		if (rc == -EDOM)
			rc = 0;
	}
	/* Typing into the terminal of whoever started aod by hand. The kernel looks at 32 bits of the request only. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
	return rc;
}

int
seccomp_basic(struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int fd = -1, rc = ctx ? 0 : -ENOMEM;

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (rc == 0)
		rc = add_rules(ctx);
	if (rc == 0) {
		fd = memfd_create("aod-seccomp", MFD_CLOEXEC);
		rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
	}
	if (ctx)
		seccomp_release(ctx);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return err_errno(e, rc, "libseccomp");
	}
	/* The shim reads it with pread(2): the position, which all shims share, does not matter. */
	return fd;
}
