/* SPDX-License-Identifier: MIT */
/*
 * The first process of the agent's pid namespace. It reaps, tells the shim how the agent ended, and ends itself when nobody is left. It has no
 * capability, holds nothing of the spec, and no descriptor but the one to the shim. When it dies everybody in the namespace does: the kernel
 * sees to that.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/shim.h"

enum { TALK = 0, KNOWN = 1 };

static pid_t agent; /* 0: it was reaped */

static void
give_up_everything(const struct spec *spec, int talk, int known)
{
	struct pollfd shim = {.fd = TALK, .events = 0};

	known = fcntl(known, F_DUPFD, 10);
	if (dup2(talk, TALK) < 0 || dup2(known, KNOWN) < 0 || chdir("/") < 0)
		_exit(127);
	if (syscall(SYS_close_range, KNOWN + 1, ~0u, 0) < 0)
		for (int fd = KNOWN + 1; fd < 1024; fd++)
			close(fd);
	confine_nothing(spec);
	spec_unload();
	prctl(PR_SET_NAME, "aod-init");
	prctl(PR_SET_DUMPABLE, 0);
	/* Last: the kernel forgets it when the user changes. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&shim, 1, 0) == 1 && (shim.revents & (POLLHUP | POLLERR)))
		_exit(127);
}

static void
reap_all(void)
{
	struct talk said = {.kind = TALK_EXIT};
	siginfo_t si;
	char byte;

	while (waitid(P_ALL, 0, &si, WEXITED | WNOWAIT) == 0 || errno == EINTR) {
		if (si.si_pid != agent) {
			waitpid(si.si_pid, NULL, WNOHANG);
			continue;
		}
		/* Not before the shim has taken hold of it, and closed its end: the number would be free. */
		while (read(KNOWN, &byte, 1) < 0 && errno == EINTR)
			continue;
		wait4(agent, &said.status, 0, &said.usage);
		talk_send(TALK, &said, -1, 0);
		agent = 0;
	}
	_exit(0);
}

void
init_run(const struct spec *spec, pid_t child, int talk, int known)
{
	struct talk said = {.kind = TALK_AGENT};

	agent = child;
	/* While there is the right to speak for another process. */
	talk_send(talk, &said, -1, agent);
	give_up_everything(spec, talk, known);
	stack_leave(reap_all);
}
