/* SPDX-License-Identifier: MIT */
/*
 * A shim that is born before its run is known, so that the run waits neither for it nor, where the run has a pid namespace, for its namespaces and most
 * of its mounts. It is told of its run over a socket; with the other end of that it ends.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/shim.h"
#include "shim/spec.h"

#define FIRST_FREE (SHIM_NETNS_FD + 1) /* what has a number of its own is put there later */

_Static_assert(SPARE_START_MAX < SCRATCH_MAX, "the groups are in the scratch room");

static int aod = -1; /* the socket */
static cpu_set_t cpus COLD; /* that we were born with */
static bool know_cpus;

/* Keeps its number from being somebody else's until the run is known. */
static void
reserve(int number)
{
	if (dup2(STDIN_FILENO, number) < 0)
		die("cannot reserve a descriptor", NULL, errno);
}

static int
out_of_the_way(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);

	if (high < 0)
		die("cannot move a descriptor", NULL, errno);
	reserve(fd);
	return high;
}

void
spare_not_mine(void)
{
	if (aod >= 0)
		close(aod);
}

/* The init, and the mounts that are the same for many runs. */
static void
prepare(struct child *c)
{
	struct spec first;
	int r;

	c->waits = true;
	spec_load(&first, false);
	reserve(SHIM_SPEC_FD);
	if ((first.ns & CLONE_NEWPID) && (r = child_prepare(&first, c)) < 0)
		die("cannot prepare a child", NULL, -r);
	spec_unload();
}

/* Until the child is ready. One that fails is of no use, nor are we. */
static void
await_child(const struct child *c)
{
	struct pollfd p[] = {{.fd = aod}, {.fd = c->exec, .events = POLLIN}, {.fd = c->talk, .events = POLLIN}};
	struct talk t;

	while (poll(p, 3, -1) < 0 && errno == EINTR)
		continue;
	if (p[0].revents || p[1].revents || talk_receive(c->talk, &t) != 1 || t.kind != TALK_READY)
		_exit(SHIM_FAILED);
}

/* The run has come, or aod has gone; or the child, which aod then does not know as ready any more. */
static void
await_run(const struct child *c)
{
	struct pollfd p[] = {{.fd = aod, .events = POLLIN}, {.fd = c->exec, .events = POLLIN}};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		continue;
	if (c->pid && p[1].revents)
		_exit(SHIM_FAILED);
}

static void
take_fds(int *spec_fd)
{
	struct spare_run run;
	int fds[TALK_FDS_MAX], n = talk_receive_fds(aod, &run, sizeof(run), fds), next = 1;

	if (n < 1 || n != 1 + run.seccomp + run.netns)
		_exit(0);
	if (know_cpus)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	*spec_fd = fds[0];
	if (dup2(fds[0], SHIM_SPEC_FD) < 0 || (run.seccomp && dup2(fds[next++], SHIM_SECCOMP_FD) < 0) ||
	    (run.netns && dup2(fds[next++], SHIM_NETNS_FD) < 0))
		die("cannot take a run's descriptors", NULL, errno);
	for (int i = 1; i < n; i++)
		close(fds[i]);
}

bool
spare_wait(struct child *c, int *spec_fd)
{
	struct stat st;
	char ready = 0;

	if (fstat(SHIM_SPEC_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	prctl(PR_SET_NAME, "aod-spare");
	know_cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;
	aod = out_of_the_way(SHIM_SPEC_FD);
	if (dup2(SHIM_SECCOMP_FD, SHIM_SPEC_FD) < 0)
		die("no first part on descriptor 4", NULL, errno);
	reserve(SHIM_SECCOMP_FD);
	reserve(SHIM_NETNS_FD);
	prepare(c);
	if (c->pid)
		await_child(c);
	if (write(aod, &ready, 1) != 1)
		_exit(0);
	await_run(c);
	take_fds(spec_fd);
	prctl(PR_SET_NAME, "aod-shim");
	return true;
}

/* One of aod's messages. It ends the shim when aod has gone, or has no use for it any more. */
static ssize_t
receive(char *text, size_t size)
{
	ssize_t n;

	do
		n = recv(aod, text, size, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0);
	return n;
}

/* Lines as in the spec. */
void
spare_await_groups(struct spec *spec)
{
	static char *v1[CGROUPS_MAX];
	char *text = scratch();
	ssize_t n = receive(text, SPARE_START_MAX);
	int count = 0;

	text[n] = '\0';
	for (char *p = text; p < text + n; p += strlen(p) + 1) {
		if (strncmp(p, "cgroup=", 7) == 0)
			spec->cgroup = p + 7;
		else if (strncmp(p, "cgroup_v1=", 10) == 0 && count < CGROUPS_MAX - 1)
			v1[count++] = p + 10;
	}
	spec->cgroup_v1 = v1;
}

bool
spare_await_start(int talk)
{
	struct pollfd p[] = {{.fd = aod, .events = POLLIN}, {.fd = talk, .events = POLLIN}};
	char byte;

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		continue;
	if (!p[0].revents)
		return false;
	receive(&byte, 1);
	close(aod);
	return true;
}
