/* SPDX-License-Identifier: MIT */
/*
 * The processes below the shim. It is a subreaper: whatever the agent starts, also what called
 * setsid(2) and forked twice, is found by walking the children files of /proc from the shim itself.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

#define TREE_MAX                                                                                   \
	4096 /* processes in one walk; what is beyond is met in a later round, when these are gone \
	      */

static struct node {
	pid_t pid, parent;
} *nodes;
_Static_assert(TREE_MAX * sizeof(*nodes) <= SCRATCH_MAX, "nodes are in the scratch room");
static int node_count;
static pid_t init;

void
tree_set_init(pid_t pid)
{
	init = pid;
}

static char *
put_proc(char *p, pid_t pid, const char *rest)
{
	memcpy(p, "/proc/", 6);
	p = put_number(p + 6, pid);
	memcpy(p, rest, strlen(rest) + 1);
	return p + strlen(rest);
}

static void
add_node(pid_t pid, pid_t parent)
{
	if (pid > 0 && pid != init && node_count < TREE_MAX)
		nodes[node_count++] = (struct node){pid, parent};
}

static void
add_children_of_task(pid_t pid, const char *tid)
{
	char path[64], text[1024];
	char *p = put_proc(path, pid, "/task/");
	pid_t v = 0;
	ssize_t n;
	int fd;

	p = put_text(p, path + sizeof(path), tid);
	put_text(p, path + sizeof(path), "/children");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				v = v * 10 + (text[i] - '0');
				continue;
			}
			add_node(v, pid);
			v = 0;
		}
	add_node(v, pid);
	close(fd);
}

static void
add_children(pid_t pid)
{
	_Alignas(struct dirent_raw) char entries[1024];
	char path[64];
	long n;
	int fd;

	put_proc(path, pid, "/task");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0)
		for (long at = 0; at < n;) {
			struct dirent_raw *de = (struct dirent_raw *)(entries + at);

			if (de->name[0] != '.')
				add_children_of_task(pid, de->name);
			at += de->len;
		}
	close(fd);
}

static void
walk(void)
{
	pid_t self = getpid();

	nodes = scratch();
	node_count = 0;
	add_children(self);
	/* An init is the shim's own, and does not count; what it has adopted does. */
	if (init)
		add_children(init);
	for (int i = 0; i < node_count; i++)
		add_children(nodes[i].pid);
}

/* Parent of a process now, 0 when it is gone. */
static pid_t
parent_of(pid_t pid)
{
	char path[64], text[512], *p;

	put_proc(path, pid, "/stat");
	if (read_small(path, text, sizeof(text)) <= 0 || (p = strrchr(text, ')')) == NULL)
		return 0;
	/* ") S PPID" */
	return p[1] && p[2] && p[3] ? (pid_t)strtol(p + 4, NULL, 10) : 0;
}

int
child_signal(pid_t pid, int sig)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), r;

	/* A child that was not waited for keeps its number, so that kill(2) is as good on a kernel
	 * without pidfds. */
	if (fd < 0)
		return kill(pid, sig) < 0 ? -errno : 0;
	r = syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/*
 * The number of a grandchild may have gone to another process since the walk. A pidfd holds on to
 * one process; when that one's parent is still who it was (or the shim, which inherits orphans), it
 * is ours.
 */
static int
node_signal(const struct node *node, int sig)
{
	pid_t self = getpid(), parent;
	int fd, r;

	if (node->parent == self)
		return child_signal(node->pid, sig);
	fd = (int)syscall(SYS_pidfd_open, node->pid, 0);
	if (fd < 0)
		return errno == ENOSYS ? (kill(node->pid, sig) < 0 ? -errno : 0) : -errno;
	parent = parent_of(node->pid);
	if (parent == node->parent || parent == self || (init && parent == init))
		r = syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 ? -errno : 0;
	else
		r = -ESRCH;
	close(fd);
	return r;
}

static void
signal_nodes(int sig, int *refused)
{
	*refused = 0;
	for (int i = 0; i < node_count; i++)
		if (node_signal(&nodes[i], sig) == -EPERM)
			(*refused)++;
}

int
tree_signal(int sig, int *refused)
{
	walk();
	signal_nodes(sig, refused);
	return node_count;
}

int
tree_kill(int *refused)
{
	walk();
	signal_nodes(SIGSTOP, refused);
	signal_nodes(SIGKILL, refused);
	return node_count;
}
