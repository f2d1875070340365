/* SPDX-License-Identifier: MIT */
/*
 * What the child has to say to the shim, over a SOCK_SEQPACKET pair: which process the agent is (the kernel says so in the shim's own numbers, also
 * out of a pid namespace), the listener of its system call filter, how it ended, and that it wants its id maps, which only a process outside of
 * the user namespace may write.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/shim.h"

#define MAP_MAX 1024

static char uid_map[MAP_MAX] COLD, gid_map[MAP_MAX] COLD;
static int deny_setgroups; /* a bool would lie behind up_path of spool.c, in a page that nobody else uses */

int
talk_pair(int pair[2])
{
	int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int
talk_send(int talk, const struct talk *t, int fd, pid_t about)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
	struct iovec iov = {(void *)t, sizeof(*t)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct ucred who = {.pid = about, .uid = getuid(), .gid = getgid()};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	size_t n = about ? sizeof(who) : sizeof(fd);

	if (about || fd >= 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = about ? SCM_CREDENTIALS : SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n);
		memcpy(CMSG_DATA(c), about ? (void *)&who : (void *)&fd, n);
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(n);
	}
	return sendmsg(talk, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
talk_receive(int talk, struct talk *t)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = {t, sizeof(*t)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct ucred who;
	ssize_t n = recvmsg(talk, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	t->fd = -1;
	t->pid = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&t->fd, CMSG_DATA(c), sizeof(t->fd));
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&who, CMSG_DATA(c), sizeof(who));
			t->pid = who.pid;
		}
	}
	return n == (ssize_t)sizeof(*t);
}

int
talk_send_fds(int to, const void *p, size_t n, const int *fds, int count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(TALK_FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	size_t size = (size_t)count * sizeof(int);

	if (count > 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), fds, size);
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(size);
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
talk_receive_fds(int from, void *p, size_t n, int fds[TALK_FDS_MAX])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(TALK_FDS_MAX * sizeof(int))];
	struct iovec iov = {p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t got;
	int count = 0;

	do
		got = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)n || (m.msg_flags & MSG_CTRUNC))
		return got < 0 ? -errno : -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
		}
	return count;
}

void
talk_ack(int talk, int error)
{
	/* Who does not read it is dead. */
	if (send(talk, &error, sizeof(error), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

int
talk_await(int talk)
{
	int error = 0;
	ssize_t n;

	do
		n = recv(talk, &error, sizeof(error), 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? error : -EPIPE;
}

/* ---- id maps ---- */

static int
join_lines(char *out, char **lines)
{
	char *p = out, *end = out + MAP_MAX;

	for (; *lines; lines++) {
		if ((size_t)(end - p) < strlen(*lines) + 2)
			return -E2BIG;
		p = put_text(p, end, *lines);
		p = put_text(p, end, "\n");
	}
	return 0;
}

int
talk_keep_maps(const struct spec *spec)
{
	int r = join_lines(uid_map, spec->uid_map);

	deny_setgroups = geteuid() != 0 && *spec->uid_map;
	return r < 0 ? r : join_lines(gid_map, spec->gid_map);
}

bool
talk_denied_setgroups(void)
{
	return deny_setgroups;
}

static int
write_of(pid_t pid, const char *file, const char *text)
{
	char path[64], *p;

	p = put_number(put_text(path, path + sizeof(path), "/proc/"), pid);
	put_text(p, path + sizeof(path), file);
	return write_small(path, text);
}

int
talk_write_maps(pid_t pid)
{
	int r = 0;

	if (deny_setgroups)
		r = write_of(pid, "/setgroups", "deny");
	if (r == 0 && uid_map[0])
		r = write_of(pid, "/uid_map", uid_map);
	if (r == 0 && gid_map[0])
		r = write_of(pid, "/gid_map", gid_map);
	return r;
}
