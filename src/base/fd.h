/* SPDX-License-Identifier: MIT */
/* Files, descriptors and processes. Every descriptor made here is close-on-exec. */
#ifndef AOD_BASE_FD_H
#define AOD_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* All of it or -errno; EINTR is retried. For blocking descriptors. */
int fd_write_all(int fd, const void *p, size_t n);
/* Appends to out up to the end of the file; -EFBIG once more than max bytes are there. */
int fd_read_all(int fd, size_t max, struct buf *out);
int fd_set_nonblock(int fd, bool on);

/*
 * Opens for reading what somebody named, without waiting for a pipe's writer or taking a terminal. dirs (ends with NULL, or is NULL): directories in which
 * somebody else may have made links: none in them leads out of them (-EXDEV), and none is on the way to them (-ELOOP).
 */
int fd_open_named(const char *path, const char *const *dirs);

/* Reads the whole file (at most max bytes, else -EFBIG). Names the path in *e. */
int file_read(const char *path, size_t max, struct buf *out, struct err *e);
/* Temp file beside it, write, fsync when durable, rename. Either the old content or the new, never a mix. */
int file_write_atomic(const char *path, const void *p, size_t n, mode_t mode, bool durable, struct err *e);
int mkdir_p(const char *path, mode_t mode, struct err *e);
/* Removes the tree below path and path itself; a missing path is fine; never follows a link. */
int rm_rf(const char *path, struct err *e);

/* A memfd, filled, sealed against any change, positioned at 0. Returns it or -errno. */
int memfd_with(const char *name, const void *p, size_t n);

/*
 * Start time of a process in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)). -ESRCH when there is no
 * such process or it is a zombie. (pid, start time, boot id) names a process for ever.
 */
int proc_start_time(pid_t pid, uint64_t *out);
/* /proc/sys/kernel/random/boot_id without the newline into out[37]; "" when it cannot be read. */
void proc_boot_id(char *out);

#endif
