/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a connection, as far as the kernel knows, and what that user may without a token. aod-http goes by it for what it
 * answers itself, aod for what it does.
 */
#ifndef AOD_WIRE_PEER_H
#define AOD_WIRE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "model/permission.h"

#define ACCESS_MEMBERS_MAX 4096

struct access {
	uid_t uid;     /* aod's own: it and root are operators */
	gid_t gid;     /* and so are members of this group; -1: of none */
	uid_t *members; /* those of that group, for TCP, where the kernel says the user and not its groups; ascending */
	size_t member_count;
	enum role socket_others, tcp_others; /* what others may over aod.sock, and over TCP */
};

/* Who the members are, by the databases of users and groups. */
void access_find_members(struct access *a);
/* As an argument: numbers with commas between; and back. */
char *access_members_text(const struct access *a);
bool access_parse_members(struct access *a, const char *text);
void access_free(struct access *a);

struct peer {
	bool unix_socket;
	bool known;	 /* who it is could be found out */
	bool member;	 /* of the group, by unix socket */
	uid_t uid;
	pid_t pid;	 /* of who connected, 0: not known */
	uint64_t cgroup; /* of v2, as st_ino of its directory; 0: not known */
};

/* Opens what peer_find() needs; call it before system calls are given up. */
int peer_init(struct err *e);
/*
 * The user whose process is at the other end of a unix socket, or of a TCP connection on this host (sock_diag(7); some microseconds). Not known
 * when there is no such socket, or it was closed by its process already.
 */
void peer_find(int fd, const struct access *a, struct peer *out);
/* in_sandbox: its control group is that of a run whose agent is in a sandbox. none: *why is a text that says what would help. */
enum role access_role(const struct access *a, const struct peer *p, bool in_sandbox, const char **why);

#endif
