/* SPDX-License-Identifier: MIT */
/* Deleted directories: renamed at once, removed by a child. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "aod/trash.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

#define PAUSE_S 0.1 /* so that many deletes share one child */

static char *
trash_path(const struct manager *m)
{
	return xasprintf("%s/trash", m->cfg->state);
}

/* The child has a directory of its own, which nobody puts anything into any more. False when there is nothing to remove. */
static bool
hand_over(struct manager *m, const char *old)
{
	CLEANUP_FREE char *path = trash_path(m);

	m->trash_more = false;
	if (rename(path, old) == 0)
		return true;
	/* Left by a child that was cut short: that one first. */
	m->trash_more = errno == ENOTEMPTY || errno == EEXIST;
	return access(old, F_OK) == 0;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, trash_w);
	CLEANUP_FREE char *old = xasprintf("%s/trash.old", m->cfg->state);
	pid_t parent = getpid();

	/* The end of a child starts the timer again. */
	if (m->trash_pid || !hand_over(m, old))
		return;
	m->trash_pid = fork();
	if (m->trash_pid == 0) {
		/* Nothing of aod is left when aod goes. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			rm_rf(old, NULL);
		_exit(0);
	}
	if (m->trash_pid < 0) {
		log_warn("no process to remove deleted directories: %s", strerror(errno));
		m->trash_pid = 0;
	}
}

void
trash_init(struct manager *m)
{
	ev_timer_init(&m->trash_w, on_timer, 0., 0.);
}

void
trash_empty(struct manager *m)
{
	m->trash_more = true;
	if (m->trash_pid || ev_is_active(&m->trash_w))
		return;
	ev_timer_set(&m->trash_w, PAUSE_S, 0.);
	ev_timer_start(m->loop, &m->trash_w);
}

void
trash_reaped(struct manager *m, pid_t pid)
{
	if (pid != m->trash_pid)
		return;
	m->trash_pid = 0;
	if (m->trash_more)
		trash_empty(m);
}

void
trash_put(struct manager *m, const char *dir)
{
	CLEANUP_FREE char *path = trash_path(m);
	CLEANUP_FREE char *to = NULL;
	struct err e = { 0 };
	char id[ID_SIZE];

	/* A new name each time: the child may be at work on an older one. */
	to = xasprintf("%s/%s", path, id_new(id));
	if (mkdir_p(path, 0700, &e) == 0 && rename(dir, to) == 0) {
		trash_empty(m);
		return;
	}
	if (errno != ENOENT && rm_rf(dir, &e) < 0)
		log_warn("%s", e.text);
}
