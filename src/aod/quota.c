/* SPDX-License-Identifier: MIT */
/* Measuring directories in a child. See quota.h. */
#include "config.h"

#include "aod/quota.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aod/run.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

#define DEPTH_MAX 256
#define IOPRIO_IDLE (3 << 13) /* class, ioprio_set(2) */

struct quota {
	struct manager *m;
	ev_timer timer;
	ev_io result_w;
	int fd; /* what the child says, -1: there is none */
	struct buf said;
};

/* ---- measuring -------------------------------------------------------------------------------------------- */

struct measure {
	int64_t bytes, max, entries;
	dev_t dev;
};

static void measure_dir(struct measure *w, int fd, int depth);

static void
measure_entry(struct measure *w, int dir, const char *name, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != w->dev)
		return;
	/* A file with several names is on disk once; here it may count for each. */
	w->bytes += (int64_t)st.st_blocks * 512;
	if (++w->entries > QUOTA_ENTRIES_MAX)
		w->bytes = INT64_MAX;
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX || w->bytes > w->max)
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		measure_dir(w, fd, depth + 1);
}

/* Takes fd. */
static void
measure_dir(struct measure *w, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *de;

	if (!d) {
		close(fd);
		return;
	}
	while (w->bytes <= w->max && (de = readdir(d)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			measure_entry(w, fd, de->d_name, depth);
	closedir(d);
}

int64_t
quota_measure(const char *dir, int64_t max)
{
	struct measure w = { .max = max };
	struct stat st;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	w.dev = st.st_dev;
	w.bytes = (int64_t)st.st_blocks * 512;
	measure_dir(&w, fd, 0);
	return w.bytes;
}

/* ---- the child --------------------------------------------------------------------------------------------- */

/* "N BYTES\n" for each session that is over its quota. */
static void
measure_all(const struct manager *m, int out)
{
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = m->runs[i]; r; r = r->next) {
			CLEANUP_FREE char *dir = NULL;
			int64_t bytes;

			if (r->exited || r->in.workspace_quota < 0)
				continue;
			dir = agent_dir(m, r->s.row.id);
			bytes = quota_measure(dir, r->in.workspace_quota);
			if (bytes > r->in.workspace_quota)
				dprintf(out, "%lld %lld\n", (long long)r->s.row.n, (long long)bytes);
		}
}

static int
start_child(struct quota *q)
{
	pid_t parent = getpid(), pid;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpriority(PRIO_PROCESS, 0, 19);
		syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
		if (getppid() == parent)
			measure_all(q->m, p[1]);
		_exit(0);
	}
	close(p[1]);
	if (pid < 0) {
		close(p[0]);
		return -EAGAIN;
	}
	fd_set_nonblock(p[0], true);
	q->fd = p[0];
	return 0;
}

/* ---- aod's side --------------------------------------------------------------------------------------------- */

static bool
anyone(const struct manager *m)
{
	for (size_t i = 0; i < RUN_BUCKETS; i++)
		for (const struct run *r = m->runs[i]; r; r = r->next)
			if (!r->exited && r->in.workspace_quota >= 0)
				return true;
	return false;
}

static void
over(struct quota *q, const char *line)
{
	long long session, bytes;
	struct run *r;

	if (sscanf(line, "%lld %lld", &session, &bytes) != 2)
		return;
	r = manager_find_run(q->m, session);
	if (r && !r->exited)
		run_over_quota(r, bytes);
}

static void
on_result(struct ev_loop *loop, ev_io *w, int revents)
{
	struct quota *q = CONTAINER_OF(w, struct quota, result_w);
	int rc = fd_read_all(q->fd, 1u << 20, &q->said);

	if (rc == -EAGAIN)
		return;
	ev_io_stop(loop, w);
	close(q->fd);
	q->fd = -1;
	for (char *line = q->said.data, *next; line && *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (q->m->loaded)
			over(q, line);
	}
	buf_reset(&q->said);
	quota_wanted(q);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct quota *q = CONTAINER_OF(w, struct quota, timer);

	if (!anyone(q->m))
		return;
	if (start_child(q) < 0) {
		quota_wanted(q);
		return;
	}
	ev_io_set(&q->result_w, q->fd, EV_READ);
	ev_io_start(loop, &q->result_w);
}

struct quota *
quota_new(struct manager *m)
{
	struct quota *q = xcalloc(1, sizeof(*q));

	q->m = m;
	q->fd = -1;
	ev_init(&q->result_w, on_result);
	ev_timer_init(&q->timer, on_timer, 0., 0.);
	return q;
}

void
quota_free(struct quota *q)
{
	if (!q)
		return;
	ev_timer_stop(q->m->loop, &q->timer);
	ev_io_stop(q->m->loop, &q->result_w);
	if (q->fd >= 0)
		close(q->fd);
	buf_free(&q->said);
	free(q);
}

void
quota_wanted(struct quota *q)
{
	if (q->fd >= 0 || ev_is_active(&q->timer))
		return;
	ev_timer_set(&q->timer, QUOTA_PERIOD_S, 0.);
	ev_timer_start(q->m->loop, &q->timer);
}
