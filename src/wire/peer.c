/* SPDX-License-Identifier: MIT */
/* The other end of a socket; see peer.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"
#include "wire/peer.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */
#define USUAL_GROUPS 64
/* Users that systemd and aod give to DynamicUser=yes (systemd, docs/UIDS-GIDS.md): aod has agents run as them. */
#define DYNAMIC_UID_MIN 61184
#define DYNAMIC_UID_MAX 65519

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

static int
find_tcp(int fd, struct peer *out)
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

/* Whether the process at the other end had this group, of its own or as a supplementary one, when it connected. */
static bool
in_group(int fd, gid_t own, gid_t gid)
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

static int
find_unix(int fd, const struct access *a, struct peer *out)
{
	struct ucred cred = {0, (uid_t)-1, (gid_t)-1};
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid == (uid_t)-1)
		return -ENOENT;
	out->uid = cred.uid;
	out->pid = cred.pid;
	out->member = a->gid != (gid_t)-1 && in_group(fd, cred.gid, a->gid);
	return 0;
}

void
peer_find(int fd, const struct access *a, struct peer *out)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	memset(out, 0, sizeof(*out));
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return;
	out->unix_socket = domain == AF_UNIX;
	out->known = (out->unix_socket ? find_unix(fd, a, out) : find_tcp(fd, out)) == 0;
}

/* ---- what it may ------------------------------------------------------------------------- */

static int
compare_uids(const void *a, const void *b)
{
	uid_t x = *(const uid_t *)a, y = *(const uid_t *)b;

	return x < y ? -1 : x > y;
}

static bool
is_member(const struct access *a, const struct peer *p)
{
	if (p->member || p->unix_socket || a->member_count == 0)
		return p->member;
	return bsearch(&p->uid, a->members, a->member_count, sizeof(*a->members), compare_uids) != NULL;
}

enum role
access_role(const struct access *a, const struct peer *p, bool in_sandbox, const char **why)
{
	*why = a->gid == (gid_t)-1 ? "this user is not aod's own: send one as Authorization: Bearer TOKEN (`aoctl token create NAME` makes it), or start aod "
				     "with --tcp-others=reader or --tcp-others=operator"
				   : "this user may not: become a member of group aod, send a token as Authorization: Bearer TOKEN (`aoctl token create NAME` "
				     "makes it), or start aod with --tcp-others=reader or --tcp-others=operator";
	if (p->unix_socket) {
		*why = "this user may not; members of group aod, root and aod's own user may";
		if (!p->known)
			return ROLE_NONE;
		return p->uid == 0 || p->uid == a->uid || is_member(a, p) ? ROLE_OPERATOR : a->socket_others;
	}
	if (!p->known) {
		/* Where aod is not root, no agent has a user of its own that it could hide. */
		if (a->uid == 0 || a->tcp_others == ROLE_NONE)
			*why = "it could not be found out whose connection this is: try again, or send a token";
		return a->uid == 0 ? ROLE_NONE : a->tcp_others;
	}
	/* A user that only agents have, or the control group of a run whose agent is in a sandbox. */
	if ((p->uid >= DYNAMIC_UID_MIN && p->uid <= DYNAMIC_UID_MAX) || in_sandbox) {
		*why = "agents have to send their token: Authorization: Bearer $AOD_TOKEN";
		return ROLE_NONE;
	}
	return p->uid == 0 || p->uid == a->uid || is_member(a, p) ? ROLE_OPERATOR : a->tcp_others;
}

/* ---- members ----------------------------------------------------------------------------- */

static void
add_member(struct access *a, uid_t uid)
{
	if (a->member_count >= ACCESS_MEMBERS_MAX)
		return;
	if (!a->members)
		a->members = xcalloc(ACCESS_MEMBERS_MAX, sizeof(*a->members));
	a->members[a->member_count++] = uid;
}

static void
sort_members(struct access *a)
{
	if (a->member_count > 0)
		qsort(a->members, a->member_count, sizeof(*a->members), compare_uids);
}

void
access_find_members(struct access *a)
{
	const struct group *gr = a->gid == (gid_t)-1 ? NULL : getgrgid(a->gid);
	const struct passwd *pw;

	for (char **name = gr ? gr->gr_mem : NULL; name && *name; name++)
		if ((pw = getpwnam(*name)) != NULL)
			add_member(a, pw->pw_uid);
	/* Those whose own group it is. */
	setpwent();
	while (gr && (pw = getpwent()) != NULL)
		if (pw->pw_gid == a->gid)
			add_member(a, pw->pw_uid);
	endpwent();
	sort_members(a);
}

char *
access_members_text(const struct access *a)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < a->member_count; i++)
		buf_printf(&b, "%s%u", i > 0 ? "," : "", (unsigned)a->members[i]);
	return buf_steal(&b);
}

bool
access_parse_members(struct access *a, const char *text)
{
	CLEANUP_FREE char *copy = xstrdup(text);
	char *rest = copy, *word;
	int64_t uid;

	while ((word = strsep(&rest, ",")) != NULL) {
		if (!parse_i64(word, 0, UINT32_MAX - 1, &uid))
			return false;
		add_member(a, (uid_t)uid);
	}
	sort_members(a);
	return true;
}

void
access_free(struct access *a)
{
	free(a->members);
	a->members = NULL;
	a->member_count = 0;
}
