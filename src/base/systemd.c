/* SPDX-License-Identifier: MIT */
/* Notifications to a service manager and sockets from it. See systemd.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/systemd.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static struct {
	struct sockaddr_un address;
	socklen_t address_len; /* 0: nobody is to be told */
	int64_t watchdog_us;
	struct systemd_socket sockets[SYSTEMD_SOCKETS_MAX];
	int count;
} given;

/* A path, or with @ in front a name in the abstract namespace. Machines may be told over vsock, which is nothing for a service in one. */
static void
take_notify(const char *path)
{
	struct sockaddr_un *sa = &given.address;
	size_t n = path ? strlen(path) : 0;

	given.address_len = 0;
	if (n < 2 || n >= sizeof(sa->sun_path) || (*path != '/' && *path != '@'))
		return;
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	memcpy(sa->sun_path, path, n);
	if (*path == '@')
		sa->sun_path[0] = '\0';
	given.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path == '/'));
}

/* Whether a variable that says who is meant means us; without it everybody is. */
static int
is_me(const char *pid)
{
	int64_t n;

	return !pid || (parse_i64(pid, 1, INT32_MAX, &n) && n == getpid());
}

static void
take_watchdog(const char *us, const char *pid)
{
	if (!us || !is_me(pid) || !parse_i64(us, 1, INT64_MAX, &given.watchdog_us))
		given.watchdog_us = 0;
}

static void
take_sockets(const char *number, const char *pid, const char *names)
{
	int64_t n;

	given.count = 0;
	if (!pid || !is_me(pid) || !number || !parse_i64(number, 1, SYSTEMD_SOCKETS_MAX, &n))
		return;
	for (int i = 0; i < n; i++) {
		struct systemd_socket *s = &given.sockets[given.count++];
		size_t len = names ? strcspn(names, ":") : 0;

		s->fd = FIRST_FD + i;
		fcntl(s->fd, F_SETFD, FD_CLOEXEC);
		free(s->name);
		s->name = len ? xstrndup(names, len) : xstrdup("unknown");
		names = names && names[len] ? names + len + 1 : NULL;
	}
}

void
systemd_init(void)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" };

	take_notify(getenv("NOTIFY_SOCKET"));
	take_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	take_sockets(getenv("LISTEN_FDS"), getenv("LISTEN_PID"), getenv("LISTEN_FDNAMES"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
}

struct systemd_socket *
systemd_sockets(int *count)
{
	*count = given.count;
	return given.sockets;
}

int64_t
systemd_watchdog_us(void)
{
	return given.watchdog_us;
}

void
systemd_notify(const char *fmt, ...)
{
	struct timeval second = { 1, 0 };
	CLEANUP_CLOSE int fd = -1;
	char text[1024];
	va_list ap;
	int n;

	if (!given.address_len)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || n < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	/* Nobody can be told that nobody can be told. */
	sendto(fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, MSG_NOSIGNAL, (struct sockaddr *)&given.address,
	       given.address_len);
}
