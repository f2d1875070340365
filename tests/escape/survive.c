/* SPDX-License-Identifier: MIT */
/*
 * Processes that do not want to go: `survive METHOD MARK [exit]` starts some, each with MARK among its arguments, says "up" when they are, and waits, or
 * ends. Whoever runs it looks afterwards for processes with MARK.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready[2];

static void
ignore_all(void)
{
	for (int s = 1; s < 65; s++)
		signal(s, SIG_IGN);
}

/* Nothing of whoever started it is held on to. */
static void
let_go(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fd != ready[1])
			close(fd);
	if (chdir("/") < 0)
		_exit(1);
	setsid();
	prctl(PR_SET_PDEATHSIG, 0);
}

static void
stay(void)
{
	if (write(ready[1], "x", 1) != 1)
		_exit(1);
	close(ready[1]);
	for (;;)
		pause();
}

static void
twice(void)
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			stay();
		_exit(0);
	}
}

static void
daemonized(void)
{
	if (fork() == 0) {
		let_go();
		if (fork() == 0) {
			ignore_all();
			clearenv();
			stay();
		}
		_exit(0);
	}
}

static void
deaf(void)
{
	if (fork() == 0) {
		ignore_all();
		stay();
	}
}

static void
stopped(void)
{
	if (fork() == 0) {
		/* Apart, or the kernel wakes it with SIGHUP when its parent goes. */
		setsid();
		ignore_all();
		if (write(ready[1], "x", 1) == 1)
			raise(SIGSTOP);
		for (;;)
			pause();
	}
}

/* The parent waits, unmoved by signals, until its child has gone on. */
static void
waiting(void)
{
	if (fork() == 0) {
		setsid();
		ignore_all();
		if (vfork() == 0) {
			if (write(ready[1], "x", 1) == 1)
				for (;;)
					syscall(SYS_pause);
		}
		_exit(0);
	}
}

static void *
thread(void *arg)
{
	(void)arg;
	stay();
	return NULL;
}

/* The first thread is a zombie, the process is none. */
static void
headless(void)
{
	if (fork() == 0) {
		pthread_t t;

		ignore_all();
		if (pthread_create(&t, NULL, thread, NULL) == 0)
			syscall(SYS_exit, 0);
		_exit(1);
	}
}

/* A child of our parent. */
static void
sibling(void)
{
	if (syscall(SYS_clone, (unsigned long)CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
		setsid();
		stay();
	}
}

/* Each has another one when it goes. */
static void
revived(void)
{
	if (fork() == 0) {
		setsid();
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		ignore_all();
		signal(SIGCHLD, SIG_DFL);
		for (bool first = true;; first = false) {
			pid_t pid = fork();

			if (pid == 0) {
				if (first)
					stay();
				for (;;)
					pause();
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
}

static void
bomb(void)
{
	if (fork() == 0) {
		setsid();
		ignore_all();
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			if (fork() < 0)
				sched_yield();
	}
}

/* They keep whoever answers refused calls busy, each time under another name. */
static void
noisy(void)
{
	for (int i = 0; i < 8; i++)
		if (fork() == 0) {
			char name[16];

			ignore_all();
			if (i == 0 && write(ready[1], "x", 1) != 1)
				_exit(1);
			for (unsigned n = 0;; n++) {
				snprintf(name, sizeof(name), "noisy%d-%u", i, n % 100000);
				prctl(PR_SET_NAME, name);
				syscall(SYS_reboot, 0, 0, 0, NULL);
			}
		}
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*start)(void);
	} methods[] = {
		{ "twice", twice },	{ "daemon", daemonized }, { "deaf", deaf },	  { "stopped", stopped }, { "waiting", waiting },
		{ "headless", headless }, { "sibling", sibling }, { "revived", revived }, { "bomb", bomb }, { "noisy", noisy },
	};
	char c;

	if (argc < 3 || argc > 4 || pipe(ready) < 0)
		return 2;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (strcmp(methods[i].name, argv[1]) == 0) {
			methods[i].start();
			if (read(ready[0], &c, 1) != 1)
				return 1;
			puts("up");
			fflush(stdout);
			while (argc == 3)
				pause();
			return 0;
		}
	return 2;
}
