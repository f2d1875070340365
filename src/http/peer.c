/* SPDX-License-Identifier: MIT */
/* The other end of a socket; see peer.h. Used by auth.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "http/peer.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */
#define USUAL_GROUPS 64

static int diag_fd = -1;

int
peer_init(struct err *e)
{
	diag_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	return diag_fd < 0 ? err_errno(e, -errno, "NETLINK_SOCK_DIAG") : 0;
}

struct query {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

static int
set_addresses(struct inet_diag_sockid *id, int fd)
{
	struct sockaddr_in ours, theirs;
	socklen_t len = sizeof(ours);

	if (getsockname(fd, (struct sockaddr *)&ours, &len) < 0)
		return -errno;
	len = sizeof(theirs);
	if (getpeername(fd, (struct sockaddr *)&theirs, &len) < 0)
		return -errno;
	if (theirs.sin_family != AF_INET || ours.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	/* Seen from the other end. */
	id->idiag_sport = theirs.sin_port;
	id->idiag_dport = ours.sin_port;
	id->idiag_src[0] = theirs.sin_addr.s_addr;
	id->idiag_dst[0] = ours.sin_addr.s_addr;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return 0;
}

static uint64_t
find_cgroup(const char *p, size_t n)
{
	uint64_t cgroup = 0;

	while (n >= NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)p;
		size_t whole = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || whole > n)
			break;
		if (a->nla_type == INET_DIAG_CGROUP_ID && a->nla_len == NLA_HDRLEN + sizeof(cgroup))
			memcpy(&cgroup, p + NLA_HDRLEN, sizeof(cgroup));
		p += whole;
		n -= whole;
	}
	return cgroup;
}

/* The kernel looks on for a listener where there is no such connection, and has no owner for one that only waits for its end. */
static int
take_answer(const struct nlmsghdr *head, size_t n, const struct inet_diag_sockid *id, struct peer *out)
{
	const struct inet_diag_msg *m = (const struct inet_diag_msg *)(head + 1);

	if (n < sizeof(*head) + sizeof(*m) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -ENOENT;
	if (m->id.idiag_sport != id->idiag_sport || m->id.idiag_dport != id->idiag_dport || m->idiag_inode == 0 ||
	    (m->idiag_state != TCP_ESTABLISHED && m->idiag_state != TCP_CLOSE_WAIT && m->idiag_state != TCP_FIN_WAIT1 &&
	     m->idiag_state != TCP_FIN_WAIT2))
		return -ENOENT;
	out->uid = m->idiag_uid;
	out->cgroup = find_cgroup((const char *)(m + 1), n - sizeof(*head) - sizeof(*m));
	return 0;
}

int
peer_tcp(int fd, struct peer *out)
{
	static uint32_t seq;
	struct query q = {
		.head = {.nlmsg_len = sizeof(q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++seq},
		.req = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u},
	};
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} answer;
	ssize_t n;
	int r = set_addresses(&q.req.id, fd);

	if (r < 0)
		return r;
	if (send(diag_fd, &q, sizeof(q), 0) != sizeof(q))
		return -errno;
	/* The answer is there when send() returns. One to an earlier question cannot be, but would have another number. */
	do {
		n = recv(diag_fd, &answer, sizeof(answer), 0);
		if (n < (ssize_t)sizeof(answer.head))
			return n < 0 ? -errno : -EPROTO;
	} while (answer.head.nlmsg_seq != seq);
	return take_answer(&answer.head, (size_t)n, &q.req.id, out);
}

bool
peer_in_group(int fd, gid_t own, gid_t gid)
{
	gid_t usual[USUAL_GROUPS], *list = usual;
	CLEANUP_FREE gid_t *many = NULL;
	socklen_t len = sizeof(usual);

	if (own == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) < 0) {
		/* len is what it takes. */
		if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
			return false;
		list = many = xmalloc(len);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) < 0)
			return false;
	}
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (list[i] == gid)
			return true;
	return false;
}
