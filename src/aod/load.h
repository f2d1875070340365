/* SPDX-License-Identifier: MIT */
/*
 * How full the host is: memory that is used (proc_meminfo(5), MemTotal less MemAvailable, which is what can be had without swapping), and for how
 * much of the last ten seconds some process waited for memory (pressure stall information, some avg10). The files are kept open, and
 * read at most every LOAD_EVERY_US.
 */
#ifndef AOD_AOD_LOAD_H
#define AOD_AOD_LOAD_H

#include <stdint.h>

#define LOAD_EVERY_US 100000

struct load {
	int meminfo_fd, pressure_fd; /* -1: there is no such file */
	int64_t read_us; /* monotonic; 0: never */
	double memory, pressure; /* per cent; negative: not known */
};

/* Below dir, which is /proc. */
void load_open(struct load *l, const char *dir);
void load_close(struct load *l);
/* Read again where what is there is too old as of now_us, which is monotonic. */
void load_read(struct load *l, int64_t now_us);

#endif
