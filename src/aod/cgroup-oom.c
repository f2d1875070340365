/* SPDX-License-Identifier: MIT */
/* Word of out-of-memory kills in a group: that there may have been one, and whom it hit, which only the kernel's log says. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "aod/cgroup-internal.h"
#include "base/util.h"

#define RECORD_MAX 8192
/* That are read of the log in one go: more than the kernel keeps, as nothing was read since the last kill, and the newest is the one that is
 * looked for; and not so many that a program that writes to the log without end holds aod up. */
#define RECORDS_MAX 65536

static int
watch_v2(const char *dir)
{
	CLEANUP_FREE char *path = xasprintf("%s/memory.events", dir);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
watch_v1(const char *dir)
{
	CLEANUP_FREE char *path = xasprintf("%s/memory.oom_control", dir);
	CLEANUP_FREE char *control = xasprintf("%s/cgroup.event_control", dir);
	CLEANUP_CLOSE int oom = open(path, O_RDONLY | O_CLOEXEC);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	char text[CG_TEXT_MAX];

	snprintf(text, sizeof(text), "%d %d", fd, oom);
	if (fd >= 0 && (oom < 0 || cgroup_put(AT_FDCWD, control, text) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

int
cgroup_watch_oom(struct cgroups *c, const char *slice, const char *id)
{
	CLEANUP_FREE char *dir = NULL;
	char rel[CG_REL_MAX];
	const struct hierarchy *h;

	if (c->mode == CGROUP_NONE || c->owner[CG_MEMORY] < 0 || cgroup_rel(slice, id, rel) < 0)
		return -1;
	h = &c->h[c->owner[CG_MEMORY]];
	dir = xasprintf("%s/agents/%s", h->base, rel);
	return h->v2 ? watch_v2(dir) : watch_v1(dir);
}

/* ---- whom it hit ---- */

/* The value of key= in a line of words that are separated by commas. */
static bool
take_value(const char *line, const char *key, char *out, size_t size)
{
	const char *p = strstr(line, key);
	size_t n;

	if (!p)
		return false;
	p += strlen(key);
	n = strcspn(p, ",\n");
	if (n == 0 || n >= size)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

bool
cgroup_parse_victim(const char *line, struct victim *v)
{
	const char *p = strstr(line, "oom-kill:constraint=");
	char pid[16];
	int64_t n;

	/* ",pid=" is the last but one word; a process may well be called ",pid=1". */
	if (!p || !take_value(p, ",task_memcg=", v->path, sizeof(v->path)) || !take_value(p, ",task=", v->name, sizeof(v->name)))
		return false;
	for (const char *next = p; (next = strstr(next + 1, ",pid=")) != NULL;)
		p = next;
	if (!take_value(p, ",pid=", pid, sizeof(pid)) || !parse_i64(pid, 1, INT32_MAX, &n))
		return false;
	for (char *s = v->name; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	v->pid = (int)n;
	return true;
}

void
cgroup_oom_open(struct cgroups *c)
{
	c->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* What was before aod is of no interest. */
	if (c->kmsg >= 0)
		lseek(c->kmsg, 0, SEEK_END);
}

static void
read_log(struct cgroups *c)
{
	char line[RECORD_MAX];

	for (int i = 0; c->kmsg >= 0 && i < RECORDS_MAX; i++) {
		ssize_t n = read(c->kmsg, line, sizeof(line) - 1);

		/* Records that were lost to newer ones (EPIPE), or are longer than ours ever are, are passed over. */
		if (n < 0 && (errno == EPIPE || errno == EINVAL || errno == EINTR))
			continue;
		if (n <= 0)
			return;
		line[n] = '\0';
		if (cgroup_parse_victim(line, &c->victims[c->victim_count % VICTIMS_MAX]))
			c->victim_count++;
	}
}

bool
cgroup_oom_victim(struct cgroups *c, const char *slice, const char *id, char out[64])
{
	char rel[CG_REL_MAX];
	CLEANUP_FREE char *tail = NULL;

	if (c->mode == CGROUP_NONE || cgroup_rel(slice, id, rel) < 0)
		return false;
	read_log(c);
	tail = xasprintf("/agents/%s", rel);
	/* The log has the path from the root of the whole hierarchy, of which we may see a part only. */
	for (unsigned i = c->victim_count; i > 0 && c->victim_count - i < VICTIMS_MAX; i--) {
		const struct victim *v = &c->victims[(i - 1) % VICTIMS_MAX];
		const char *p = strstr(v->path, tail);

		if (p && (p[strlen(tail)] == '\0' || p[strlen(tail)] == '/')) {
			snprintf(out, 64, "%s[%d]", v->name, v->pid);
			return true;
		}
	}
	return false;
}
