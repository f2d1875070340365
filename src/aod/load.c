/* SPDX-License-Identifier: MIT */
/* How full the host is. See load.h. */
#include "config.h"

#include "aod/load.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define TEXT_MAX 4096 /* the first lines, which is where they are */

static int
open_file(const char *dir, const char *name)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);

	return open(path, O_RDONLY | O_CLOEXEC);
}

void
load_open(struct load *l, const char *dir)
{
	*l = (struct load){ .meminfo_fd = open_file(dir, "meminfo"), .pressure_fd = open_file(dir, "pressure/memory"), .memory = -1, .pressure = -1 };
}

void
load_close(struct load *l)
{
	if (l->meminfo_fd >= 0)
		close(l->meminfo_fd);
	if (l->pressure_fd >= 0)
		close(l->pressure_fd);
	l->meminfo_fd = l->pressure_fd = -1;
}

/* The number after key, which begins a line or follows a blank; negative where there is none. */
static double
number_after(int fd, const char *key)
{
	char text[TEXT_MAX], *at, *end;
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	double v;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strstr(text, key);
	if (!at)
		return -1;
	at += strlen(key);
	v = strtod(at, &end);
	return end == at ? -1 : v;
}

void
load_read(struct load *l, int64_t now_us)
{
	double total, available;

	if (l->read_us && now_us - l->read_us < LOAD_EVERY_US)
		return;
	l->read_us = now_us;
	total = number_after(l->meminfo_fd, "MemTotal:");
	available = number_after(l->meminfo_fd, "MemAvailable:");
	l->memory = total > 0 && available >= 0 && available <= total ? 100 * (total - available) / total : -1;
	l->pressure = number_after(l->pressure_fd, "some avg10=");
}
