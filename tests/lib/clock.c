/* SPDX-License-Identifier: MIT */
/* Preloaded into aod by a test: the wall clock is off by so many microseconds as the file that AOD_TEST_CLOCK names says, at each moment. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_us;

__attribute__((constructor)) static void
open_offset(void)
{
	const char *path = getenv("AOD_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		offset_us = p;
	if (fd >= 0)
		close(fd);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t us;

	if (syscall(SYS_clock_gettime, clock, ts) < 0)
		return -1;
	if (clock != CLOCK_REALTIME || !offset_us)
		return 0;
	us = (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000 + *offset_us;
	ts->tv_sec = us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return 0;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
