/* SPDX-License-Identifier: MIT */
/*
 * System calls that the agent's filter hands to us. Each is refused, whatever the disk or aod do meanwhile: the agent waits for the answer. What was
 * refused is told once for each call and program, and no more than DENIED_MAX times.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"
#include "shim/spec.h"

#define COMM_SIZE 16

static struct {
	int fd, error;
	int told;
} listener = {.fd = -1};
static struct {
	int nr;
	char comm[COMM_SIZE];
} seen[DENIED_MAX] COLD;

void
listener_set(int fd, int error)
{
	listener.fd = fd;
	listener.error = error;
}

int
listener_poll_fd(void)
{
	return listener.fd;
}

static void
name_of(pid_t pid, char comm[COMM_SIZE])
{
	char path[40], *p;

	p = put_number(put_text(path, path + sizeof(path), "/proc/"), pid);
	put_text(p, path + sizeof(path), "/comm");
	memset(comm, 0, COMM_SIZE);
	if (pid <= 0 || read_small(path, comm, COMM_SIZE) < 0)
		comm[0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

static char *
put_field(char *p, char *end, const char *key, uint64_t v)
{
	p = put_text(p, end, key);
	return put_unsigned(p, v);
}

static void
tell(const struct seccomp_notif *n, const char comm[COMM_SIZE])
{
	char text[320] = "", *p = text, *end = text + sizeof(text);

	for (int i = 0; i < listener.told; i++)
		if (seen[i].nr == n->data.nr && strcmp(seen[i].comm, comm) == 0)
			return;
	if (listener.told == DENIED_MAX)
		return;
	p = put_field(p, end, "nr=", (uint64_t)n->data.nr) + 1;
	p = put_field(p, end, "arch=", n->data.arch) + 1;
	p = put_field(p, end, "pid=", n->pid) + 1;
	p = put_text(p, end, "comm=");
	p = put_text(p, end, comm) + 1;
	p = put_text(p, end, "args=");
	for (int i = 0; i < 6; i++)
		p = put_field(p, end, i ? "," : "", n->data.args[i]);
	p++;
	if (!spool_denied(text, (size_t)(p - text)))
		return; /* told the next time */
	seen[listener.told].nr = n->data.nr;
	memcpy(seen[listener.told++].comm, comm, COMM_SIZE);
}

/* A family that is not allowed is as one that the kernel does not have: programs know what to do then. */
static int
error_of(int nr)
{
	return listener.error == EPERM && (nr == SYS_socket || nr == SYS_socketpair) ? EAFNOSUPPORT : listener.error;
}

void
listener_run(void)
{
	struct pollfd p = {.fd = listener.fd, .events = POLLIN};
	/* A newer kernel may have more to say than our headers know; it copies what its own structures hold. */
	union {
		struct seccomp_notif n;
		char room[512];
	} in;
	union {
		struct seccomp_notif_resp r;
		char room[512];
	} out;
	char comm[COMM_SIZE];

	/* RECV waits when the one that poll(2) saw has died since. */
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLIN)) {
		memset(&in, 0, sizeof(in));
		if (ioctl(listener.fd, SECCOMP_IOCTL_NOTIF_RECV, &in.n) < 0)
			return;
		name_of((pid_t)in.n.pid, comm);
		memset(&out, 0, sizeof(out));
		out.r.id = in.n.id;
		out.r.error = -error_of(in.n.data.nr);
		ioctl(listener.fd, SECCOMP_IOCTL_NOTIF_SEND, &out.r); /* ENOENT: it has died */
		tell(&in.n, comm);
	} else if (p.revents & (POLLHUP | POLLERR)) {
		close(listener.fd); /* nobody is left who has the filter */
		listener.fd = -1;
	}
}
