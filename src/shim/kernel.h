/* SPDX-License-Identifier: MIT */
/*
 * System calls and constants of the kernel that older libcs have no name for. The kernel's own headers of mounts do not go together with a libc's
 * sys/mount.h, so the few things wanted of them are written down here.
 */
#ifndef AOD_SHIM_KERNEL_H
#define AOD_SHIM_KERNEL_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* ---- open_tree(2), move_mount(2), fsopen(2), mount_setattr(2) ---- */

#define K_OPEN_TREE_CLONE 1u
#define K_MOVE_MOUNT_F_EMPTY 0x04u
#define K_MOVE_MOUNT_T_EMPTY 0x40u
#define K_FSCONFIG_SET_FLAG 0u
#define K_FSCONFIG_SET_STRING 1u
#define K_FSCONFIG_CMD_CREATE 6u
#define K_ATTR_RDONLY 0x1u
#define K_ATTR_NOSUID 0x2u
#define K_ATTR_NODEV 0x4u
#define K_ATTR_NOEXEC 0x8u
#define K_ATTR_IDMAP 0x100000u

struct k_mount_attr {
	uint64_t set, clear, propagation, userns_fd;
};

static inline int
k_open_tree(int at, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, at, path, flags | O_CLOEXEC | AT_EMPTY_PATH);
}

static inline int
k_move_mount(int from, int to)
{
	return (int)syscall(SYS_move_mount, from, "", to, "", K_MOVE_MOUNT_F_EMPTY | K_MOVE_MOUNT_T_EMPTY);
}

static inline int
k_mount_setattr(int fd, unsigned flags, struct k_mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, attr, sizeof(*attr));
}

/* ---- openat2(2) ---- */

#define K_RESOLVE_NO_MAGICLINKS 0x02u
#define K_RESOLVE_NO_SYMLINKS 0x04u
#define K_RESOLVE_IN_ROOT 0x10u

struct k_open_how {
	uint64_t flags, mode, resolve;
};

static inline int
k_open(int at, const char *path, uint64_t flags, uint64_t resolve)
{
	struct k_open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};

	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

/* ---- clock_gettime(2) ---- */

/* Not through the vDSO: its pages and their page tables are as much as all that a waiting shim has of its own. */
static inline struct timespec
k_clock(clockid_t clock)
{
	int64_t v[2] = {0, 0};

#ifdef SYS_clock_gettime64
	syscall(SYS_clock_gettime64, clock, v);
#else
	syscall(SYS_clock_gettime, clock, v);
#endif
	return (struct timespec){.tv_sec = (time_t)v[0], .tv_nsec = (long)v[1]};
}

/* ---- clone3(2) ---- */

#define K_CLONE_INTO_CGROUP 0x200000000ull

struct k_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#endif
