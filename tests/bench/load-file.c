/* SPDX-License-Identifier: MIT */
/*
 * What the file system itself takes for a document: load-file DIRECTORY COUNT. Each of COUNT files of 1 KiB is made in one directory,
 * written, synced, renamed into one of 256 others, and that one synced. Prints the CPU of each.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "load.h"

static void
one(int from, int to, int64_t i)
{
	static const char text[1024] = "content";
	char name[32], sub[8], path[48];
	int fd, dir;

	snprintf(name, sizeof(name), "%lld", (long long)i);
	snprintf(sub, sizeof(sub), "%02x", (unsigned)(i % 256));
	snprintf(path, sizeof(path), "%s/%s", sub, name);
	fd = openat(from, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die(name, strerror(errno));
	write_all(fd, text, sizeof(text));
	dir = openat(to, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fchmod(fd, 0440) < 0 || fsync(fd) < 0 || renameat(from, name, to, path) < 0 || dir < 0 || fsync(dir) < 0)
		die(path, strerror(errno));
	close(dir);
	close(fd);
}

static int
make(const char *path)
{
	int fd;

	if (mkdir(path, 0700) < 0 || (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		die(path, strerror(errno));
	return fd;
}

int
main(int argc, char **argv)
{
	int64_t n, begun;
	int from, to;

	if (argc != 3)
		die("usage", "load-file DIRECTORY COUNT");
	n = number(argv[2], 1, 1000000);
	if (chdir(argv[1]) < 0)
		die(argv[1], strerror(errno));
	from = make("uploads");
	to = make("documents");
	for (int i = 0; i < 256; i++) {
		char sub[8];

		snprintf(sub, sizeof(sub), "%02x", (unsigned)i);
		if (mkdirat(to, sub, 0700) < 0)
			die(sub, strerror(errno));
	}
	begun = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	for (int64_t i = 0; i < n; i++)
		one(from, to, i);
	printf("{\"n\":%lld,\"cpu_us\":%.2f}\n", (long long)n, (double)(clock_us(CLOCK_PROCESS_CPUTIME_ID) - begun) / (double)n);
	return 0;
}
