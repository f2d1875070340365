/* SPDX-License-Identifier: MIT */
/*
 * What a service manager gives to a service, without its library: sockets that it opened (sd_listen_fds(3)), and a socket to tell it how
 * things are (sd_notify(3)). Both come in variables of the environment, which are taken out of it: children must not act on them.
 */
#ifndef AOD_BASE_SYSTEMD_H
#define AOD_BASE_SYSTEMD_H

#include <stdint.h>

#define SYSTEMD_SOCKETS_MAX 64

struct systemd_socket {
	int fd;	    /* close-on-exec; -1: somebody took it */
	char *name; /* FileDescriptorName=, or "unknown" */
};

/* First of all in a program, before anything is opened. */
void systemd_init(void);
/* The sockets that were passed, for the program to take: it sets fd to -1. */
struct systemd_socket *systemd_sockets(int *count);
/* Lines such as "READY=1\nSTATUS=…". Nothing without somebody who listens; waits a second for one who does not keep up. */
void systemd_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* How often "WATCHDOG=1" is expected, in microseconds; 0: never. */
int64_t systemd_watchdog_us(void);

#endif
