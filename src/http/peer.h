/* SPDX-License-Identifier: MIT */
/* What the kernel knows of the process at the other end of a socket. */
#ifndef AOD_HTTP_PEER_H
#define AOD_HTTP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Opens what the others need; call it before system calls are given up. */
int peer_init(struct err *e);
struct peer {
	uid_t uid;
	uint64_t cgroup; /* of v2, as st_ino of its directory; 0: not known */
};

/*
 * The user, and the control group, whose process opened the other end of a TCP connection on this host (sock_diag(7); some microseconds). Negative when there is no such
 * socket, or it was closed by its process already.
 */
int peer_tcp(int fd, struct peer *out);
/* Whether the process at the other end of a unix socket had this group, of its own or as a supplementary one, when it connected. */
bool peer_in_group(int fd, gid_t own, gid_t gid);

#endif
