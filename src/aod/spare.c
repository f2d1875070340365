/* SPDX-License-Identifier: MIT */
/* Shims that are born before their runs. See spare.h. */
#include "config.h"

#include "aod/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/run.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"
#include "shim/spec.h"

struct spare {
	struct spare *next;
	struct kind *kind;
	pid_t pid;
	int fd; /* the socket to it */
	bool ready;
	uint32_t made_from; /* see look_at() */
	ev_io w;
};

/* What was wanted: a first part of a spec. */
struct kind {
	struct kind *next;
	struct buf first;
	struct spare *spares;
	int count;
	bool wanted; /* for the second time: more are made */
	ev_tstamp used;
};

struct spares {
	struct manager *m;
	struct kind *kinds; /* the one that was wanted last is the first */
	int mounts_fd, watch_fd; /* /proc/self/mountinfo and an epoll of it, -1: cannot be had, and nothing is made ahead */
	ev_io mounts_w;
	ev_timer idle_w;
};

/* ---- what it was made from ---- */

static uint32_t
look_at_path(uint32_t sum, const char *path)
{
	struct stat st;
	uint64_t what[3] = { 0 };

	if (stat(path, &st) == 0) {
		what[0] = st.st_dev;
		what[1] = st.st_ino;
		what[2] = st.st_mode & S_IFMT;
	}
	return crc32c(sum, what, sizeof(what));
}

/* A sum of what is at the paths of a first part. */
static uint32_t
look_at(const struct buf *first)
{
	const char *before = "";
	uint32_t sum = 0;

	for (const char *p = first->data; p < first->data + first->len; p += strlen(p) + 1) {
		const char *path = str_starts(p, "mount_src=") || str_starts(p, "mount=") ? strchr(p, '/') : NULL;

		/* What is bound on itself is there twice. */
		if (path && strcmp(path, before))
			sum = look_at_path(sum, before = path);
	}
	return sum;
}

/* ---- ends ---- */

static void
unlink_spare(struct spare *sp)
{
	struct spare **p = &sp->kind->spares;

	while (*p != sp)
		p = &(*p)->next;
	*p = sp->next;
	sp->kind->count--;
}

void
spare_end(struct spare *sp)
{
	if (!sp)
		return;
	close(sp->fd);
	free(sp);
}

static void
drop(struct spares *s, struct spare *sp)
{
	ev_io_stop(s->m->loop, &sp->w);
	unlink_spare(sp);
	spare_end(sp);
}

static void
drop_all(struct spares *s, struct kind *k)
{
	while (k->spares)
		drop(s, k->spares);
	k->wanted = false;
}

/* The host's mounts have changed: what the spares have of them is not to be used, nor to be kept from being gone. */
static void
forget_mounts(struct spares *s)
{
	for (struct kind *k = s->kinds; k; k = k->next)
		drop_all(s, k);
}

/* Having been asked whether there is something to be read the kernel says so no second time. */
static void
on_mounts(struct ev_loop *loop, ev_io *w, int revents)
{
	forget_mounts(CONTAINER_OF(w, struct spares, mounts_w));
}

static bool
mounts_changed(const struct spares *s)
{
	struct epoll_event ev;

	return epoll_wait(s->watch_fd, &ev, 1, 0) > 0;
}

/* The kernel says of this file when it changes, by EPOLLPRI; that it can be read is always true, so that the loop itself cannot watch it. */
static void
watch_mounts(struct spares *s)
{
	struct epoll_event ev = { .events = EPOLLPRI };

	s->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	s->watch_fd = s->mounts_fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
	if (s->watch_fd >= 0 && epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, s->mounts_fd, &ev) < 0) {
		close(s->watch_fd);
		s->watch_fd = -1;
	}
	ev_io_init(&s->mounts_w, on_mounts, s->watch_fd, EV_READ);
	if (s->watch_fd >= 0)
		ev_io_start(s->m->loop, &s->mounts_w);
}

static void
free_kind(struct spares *s, struct kind **p)
{
	struct kind *k = *p;

	*p = k->next;
	drop_all(s, k);
	buf_free(&k->first);
	free(k);
}

static void
on_idle_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct spares *s = CONTAINER_OF(w, struct spares, idle_w);

	for (struct kind **p = &s->kinds; *p;) {
		if (ev_now(loop) - (*p)->used >= SPARE_IDLE_S)
			free_kind(s, p);
		else
			p = &(*p)->next;
	}
	if (!s->kinds)
		ev_timer_stop(loop, w);
}

/* ---- being made ---- */

static void
on_spare(struct ev_loop *loop, ev_io *w, int revents)
{
	struct spare *sp = CONTAINER_OF(w, struct spare, w);
	char byte;

	if (recv(sp->fd, &byte, 1, MSG_DONTWAIT) == 1) {
		sp->ready = true;
		return;
	}
	/* It has failed, or somebody has ended it: no more of these until a run wants one. */
	sp->kind->wanted = false;
	drop(w->data, sp);
}

static int
bear(struct spares *s, struct kind *k)
{
	CLEANUP_CLOSE int first = memfd_with("aod-shim-spec", k->first.data, k->first.len);
	struct spare *sp;
	int pair[2], pid;

	if (first < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return first < 0 ? first : -errno;
	/* What it is made from is looked at before it does. */
	sp = xcalloc(1, sizeof(*sp));
	sp->made_from = look_at(&k->first);
	sp->fd = pair[0];
	sp->kind = k;
	pid = shim_birth(s->m, pair[1], first, -1);
	close(pair[1]);
	if (pid < 0) {
		spare_end(sp);
		return pid;
	}
	sp->pid = pid;
	sp->next = k->spares;
	k->spares = sp;
	k->count++;
	ev_io_init(&sp->w, on_spare, sp->fd, EV_READ);
	sp->w.data = s;
	ev_io_start(s->m->loop, &sp->w);
	return 0;
}

bool
spares_make(struct spares *s)
{
	for (struct kind *k = s->kinds; k; k = k->next) {
		int rc = k->wanted && k->count < s->m->cfg->spares ? bear(s, k) : -ENOENT;

		if (rc == 0)
			return true;
		if (rc != -ENOENT)
			log_warn("no spare shim: %s", strerror(-rc));
		if (rc != -ENOENT)
			k->wanted = false;
	}
	return false;
}

/* ---- being taken ---- */

/* The kind, now the first; new when it was not wanted before. */
static struct kind *
find_kind(struct spares *s, const struct buf *first)
{
	struct kind **p = &s->kinds, *k;
	int n = 0;

	for (; *p && ((*p)->first.len != first->len || memcmp((*p)->first.data, first->data, first->len)); p = &(*p)->next)
		if (++n == SPARE_KINDS) {
			free_kind(s, p);
			break;
		}
	k = *p;
	if (k) {
		*p = k->next;
		k->wanted = true;
	} else {
		k = xcalloc(1, sizeof(*k));
		buf_put(&k->first, first->data, first->len);
	}
	k->next = s->kinds;
	s->kinds = k;
	return k;
}

struct spare *
spare_take(struct spares *s, const struct buf *first)
{
	struct kind *k;
	uint32_t made_from;

	if (s->watch_fd < 0)
		return NULL;
	if (mounts_changed(s))
		forget_mounts(s);
	k = find_kind(s, first);
	k->used = ev_now(s->m->loop);
	if (!ev_is_active(&s->idle_w)) {
		ev_timer_set(&s->idle_w, SPARE_IDLE_S, SPARE_IDLE_S);
		ev_timer_start(s->m->loop, &s->idle_w);
	}
	made_from = k->spares ? look_at(first) : 0;
	for (struct spare *sp = k->spares, *next; sp; sp = next) {
		next = sp->next;
		if (sp->made_from != made_from) {
			drop(s, sp);
		} else if (sp->ready) {
			ev_io_stop(s->m->loop, &sp->w);
			unlink_spare(sp);
			return sp;
		}
	}
	return NULL;
}

/*
 * Not where we run. The kernel takes a message for the end of our own turn and wakes who waits for it beside us, with other processors idle, although
 * there is a good part of the start yet to be done here. The shim takes all processors back itself.
 */
static void
run_elsewhere(pid_t pid)
{
	cpu_set_t cpus;
	int here = sched_getcpu();

	if (here < 0 || sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return;
	CPU_CLR(here, &cpus);
	if (CPU_COUNT(&cpus) > 0 && sched_setaffinity(pid, sizeof(cpus), &cpus) < 0)
		log_debug("spare shim %d stays where it is: %s", (int)pid, strerror(errno));
}

int
spare_tell(struct spare *sp, int spec_fd, int seccomp_fd, int netns_fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	struct spare_run run = { .seccomp = seccomp_fd >= 0, .netns = netns_fd >= 0 };
	int fds[3] = { spec_fd, seccomp_fd >= 0 ? seccomp_fd : netns_fd, netns_fd };
	size_t size = (1u + run.seccomp + run.netns) * sizeof(int);
	struct iovec v = { &run, sizeof(run) };
	struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size) };

	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	control.h.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.h), fds, size);
	run_elsewhere(sp->pid);
	return sendmsg(sp->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int
spare_groups(struct spare *sp, char *const *groups)
{
	struct buf text = BUF_INIT;
	int rc = 0;

	for (; groups && *groups; groups++)
		buf_put(&text, *groups, strlen(*groups) + 1);
	if (text.len == 0)
		buf_put(&text, "", 1);
	if (text.len > SPARE_START_MAX)
		rc = -E2BIG;
	else if (send(sp->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		rc = -errno;
	buf_free(&text);
	return rc;
}

pid_t
spare_start(struct spare *sp)
{
	pid_t pid = send(sp->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : sp->pid;

	spare_end(sp);
	return pid;
}

int
spares_ready(const struct spares *s)
{
	int n = 0;

	for (const struct kind *k = s->kinds; k; k = k->next)
		for (const struct spare *sp = k->spares; sp; sp = sp->next)
			n += sp->ready;
	return n;
}

/* ---- all of them ---- */

struct spares *
spares_new(struct manager *m)
{
	struct spares *s = xcalloc(1, sizeof(*s));

	s->m = m;
	watch_mounts(s);
	ev_timer_init(&s->idle_w, on_idle_timer, 0., 0.);
	return s;
}

void
spares_free(struct spares *s)
{
	if (!s)
		return;
	while (s->kinds)
		free_kind(s, &s->kinds);
	ev_timer_stop(s->m->loop, &s->idle_w);
	ev_io_stop(s->m->loop, &s->mounts_w);
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	if (s->mounts_fd >= 0)
		close(s->mounts_fd);
	free(s);
}
