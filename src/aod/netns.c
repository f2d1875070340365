/* SPDX-License-Identifier: MIT */
/* The pool of network namespaces and its helper. See netns.h. */
#include "config.h"

#include "aod/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define HELPER_NICE 10
#define HELPER_FD 3

struct netns_pool {
	struct ev_loop *loop;
	ev_io w;
	int fd; /* to the helper, -1: there is none */
	bool failed; /* a helper could not make any: it is not tried again */
	int ready[NETNS_READY], count, asked;
};

/* ---- the helper: a byte in, a namespace out ---------------------------------------------------------------- */

static int
make_one(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int s, rc;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
	if (s >= 0)
		close(s);
	if (rc < 0)
		return rc;
	s = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return s < 0 ? -errno : s;
}

static int
send_one(int to, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = fd < 0 ? (char)-fd : 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.h), &fd, sizeof(int));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static void
helper(int fd, pid_t parent)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "aod-netns");
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (getppid() != parent || dup2(fd, HELPER_FD) < 0)
		_exit(1);
	syscall(SYS_close_range, HELPER_FD + 1, ~0u, 0);
	setpriority(PRIO_PROCESS, 0, HELPER_NICE);
	while (read(HELPER_FD, &byte, 1) == 1) {
		int made = make_one();

		if (send_one(HELPER_FD, made) < 0)
			break;
		if (made >= 0)
			close(made);
	}
	_exit(0);
}

/* ---- aod's side ------------------------------------------------------------------------------------------- */

static void
helper_gone(struct netns_pool *p)
{
	ev_io_stop(p->loop, &p->w);
	close(p->fd);
	p->fd = -1;
	p->asked = 0;
}

/* -1: nothing more for now; -2: the helper is gone; -3: it could make none. */
static int
receive_one(struct netns_pool *p)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -1 : -2;
	if (n == 0)
		return -2;
	if (byte) {
		log_warn("no network namespaces can be made ahead: %s", strerror(byte));
		return -3;
	}
	if (m.msg_controllen < CMSG_LEN(sizeof(int)) || control.h.cmsg_type != SCM_RIGHTS)
		return -2;
	memcpy(&fd, CMSG_DATA(&control.h), sizeof(int));
	return fd;
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct netns_pool *p = CONTAINER_OF(w, struct netns_pool, w);
	int fd;

	while ((fd = receive_one(p)) >= 0) {
		p->asked--;
		if (p->count < NETNS_READY)
			p->ready[p->count++] = fd;
		else
			close(fd);
	}
	p->failed |= fd == -3;
	if (fd < -1)
		helper_gone(p);
}

static void
start_helper(struct netns_pool *p)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (p->failed || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	pid = fork();
	if (pid == 0)
		helper(pair[1], parent);
	close(pair[1]);
	if (pid < 0) {
		log_warn("no helper for network namespaces: %s", strerror(errno));
		close(pair[0]);
		return;
	}
	p->fd = pair[0];
	ev_io_set(&p->w, p->fd, EV_READ);
	ev_io_start(p->loop, &p->w);
}

static void
ask_for_more(struct netns_pool *p)
{
	if (p->fd < 0)
		start_helper(p);
	while (p->fd >= 0 && p->count + p->asked < NETNS_READY && send(p->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		p->asked++;
}

struct netns_pool *
netns_new(struct ev_loop *loop)
{
	struct netns_pool *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->fd = -1;
	ev_init(&p->w, on_readable);
	return p;
}

void
netns_free(struct netns_pool *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		helper_gone(p);
	while (p->count)
		close(p->ready[--p->count]);
	free(p);
}

int
netns_take(struct netns_pool *p)
{
	int fd = p->count ? p->ready[--p->count] : -1;

	ask_for_more(p);
	return fd;
}
