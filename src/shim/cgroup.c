/* SPDX-License-Identifier: MIT */
/*
 * The agent's control groups, by directory descriptors that were opened before there was an agent. A v2 group is killed by the kernel at
 * once (cgroup.kill). In a v1 group all are frozen first, so that nobody forks on, and thawed to die: a frozen task does not die of SIGKILL.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"

#define V1_MAX (CGROUPS_MAX - 1)
#define FREEZE_TRIES 20 /* of 1 ms */

static struct {
	int v2;
	int v1[V1_MAX];
	int v1_count;
} groups = {.v2 = -1};

int
cgroup_init(const struct spec *spec)
{
	if (spec->cgroup && (groups.v2 = open(spec->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	for (char **g = spec->cgroup_v1; *g; g++) {
		if (groups.v1_count == V1_MAX)
			return -E2BIG;
		groups.v1[groups.v1_count] = open(*g, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (groups.v1[groups.v1_count++] < 0)
			return -errno;
	}
	return 0;
}

int
cgroup_list(int out[CGROUPS_MAX])
{
	out[0] = groups.v2;
	memcpy(out + 1, groups.v1, (size_t)groups.v1_count * sizeof(out[0]));
	return 1 + groups.v1_count;
}

void
cgroup_adopt(const int *list, int count)
{
	groups.v2 = list[0];
	groups.v1_count = count - 1;
	memcpy(groups.v1, list + 1, (size_t)groups.v1_count * sizeof(list[0]));
}

int
cgroup_fd(void)
{
	return groups.v2;
}

int
cgroup_enter(bool born)
{
	int r = 0;

	if (groups.v2 >= 0 && !born)
		r = write_in(groups.v2, "cgroup.procs", "0");
	/* `tasks` moves this one thread, and so does not wait for the kernel's lock of all thread groups, as cgroup.procs does. */
	for (int i = 0; i < groups.v1_count && r == 0; i++)
		r = write_in(groups.v1[i], "tasks", "0");
	return r;
}

/* Sends a signal, or none (0), to every process of a group but this one. How many there are. */
static int
each_process(int dir, int sig)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), count = 0;
	pid_t self = getpid(), pid = 0;
	char text[2048];
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			/* 0 is a process of another pid namespace than ours. */
			if (pid > 0 && pid != self) {
				count++;
				if (sig)
					kill(pid, sig);
			}
			pid = 0;
		}
	close(fd);
	return count;
}

/* Whether a small file such as cgroup.events has this text in it. */
static bool
file_says(int dir, const char *name, const char *text)
{
	char buf[256];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	return strstr(buf, text) != NULL;
}

bool
cgroup_empty(void)
{
	if (groups.v2 >= 0 && file_says(groups.v2, "cgroup.events", "populated 1"))
		return false;
	return groups.v1_count == 0 || each_process(groups.v1[0], 0) == 0;
}

void
cgroup_thaw(void)
{
	if (groups.v2 >= 0)
		write_in(groups.v2, "cgroup.freeze", "0");
	if (groups.v1_count)
		write_in(groups.v1[0], "freezer.state", "THAWED");
}

void
cgroup_signal_all(int sig)
{
	if (groups.v2 >= 0)
		each_process(groups.v2, sig);
	else if (groups.v1_count)
		each_process(groups.v1[0], sig);
}

static void
freeze_v1(void)
{
	if (write_in(groups.v1[0], "freezer.state", "FROZEN") < 0)
		return;
	for (int i = 0; i < FREEZE_TRIES && !file_says(groups.v1[0], "freezer.state", "FROZEN"); i++)
		poll(NULL, 0, 1);
}

bool
cgroup_kill_all(void)
{
	bool v2 = groups.v2 >= 0 && write_in(groups.v2, "cgroup.kill", "1") == 0;

	if (groups.v2 < 0 && groups.v1_count == 0)
		return false;
	if (!v2) {
		if (groups.v1_count)
			freeze_v1();
		cgroup_signal_all(SIGKILL);
	}
	if (v2 && groups.v1_count)
		each_process(groups.v1[0], SIGKILL); /* who moved out of the one may be in the other */
	cgroup_thaw();
	return true;
}
