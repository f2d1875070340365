/* SPDX-License-Identifier: MIT */
/* The peer of a session's start: load-spawn WORKERS COUNT PROGRAM [ARGUMENT]... forks, executes and waits, COUNT times. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "load.h"

static char **command;
static int64_t count, *samples;
static atomic_llong next_one, bad;

static void *
worker(void *arg)
{
	int64_t i;

	while ((i = atomic_fetch_add(&next_one, 1)) < count) {
		int64_t begun = clock_us(CLOCK_MONOTONIC);
		int status = -1;
		pid_t pid = fork();

		if (pid == 0) {
			execv(command[0], command);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			die("fork", strerror(errno));
		samples[i] = clock_us(CLOCK_MONOTONIC) - begun;
		if (status)
			atomic_fetch_add(&bad, 1);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[64];
	int workers;
	int64_t begun;

	if (argc < 4)
		die("usage", "load-spawn WORKERS COUNT PROGRAM [ARGUMENT]...");
	workers = (int)number(argv[1], 1, 64);
	count = number(argv[2], 1, 10000000);
	command = argv + 3;
	samples = calloc((size_t)count, sizeof(*samples));
	if (!samples)
		die("malloc", strerror(errno));
	begun = clock_us(CLOCK_MONOTONIC);
	for (int i = 0; i < workers; i++)
		if (pthread_create(&threads[i], NULL, worker, NULL))
			die("pthread_create", "failed");
	for (int i = 0; i < workers; i++)
		pthread_join(threads[i], NULL);
	printf("{\"n\":%lld,\"seconds\":%.6f,\"bad\":%lld,", (long long)count, (double)(clock_us(CLOCK_MONOTONIC) - begun) / 1e6,
	       (long long)bad);
	put_percentiles(samples, (size_t)count);
	printf("\"workers\":%d}\n", workers);
	return bad ? 1 : 0;
}
