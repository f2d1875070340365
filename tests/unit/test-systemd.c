/* SPDX-License-Identifier: MIT */
/* What systemd gives to a service: a socket to tell, a watchdog, sockets that it opened. Real sockets, in the place of systemd's. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/systemd.h"
#include "base/util.h"

static void
set_pid(const char *variable, int pid)
{
	CLEANUP_FREE char *text = xasprintf("%d", pid);

	setenv(variable, text, 1);
}

/* A socket of that name (@…: abstract) that notifications can be sent to. */
static int
listen_at(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && strlen(name) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, name, strlen(name));
	if (*name == '@')
		sa.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
	return fd;
}

static void
told(int fd, const char *want)
{
	char text[2048] = "";
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (!want)
		assert_true(n < 0);
	else
		assert_string_equal(text, want);
}

static void
tell_at(const char *name)
{
	int fd = listen_at(name);

	setenv("NOTIFY_SOCKET", name, 1);
	systemd_init();
	assert_null(getenv("NOTIFY_SOCKET"));
	systemd_notify("READY=1\nSTATUS=%d live sessions", 3);
	told(fd, "READY=1\nSTATUS=3 live sessions");
	told(fd, NULL);
	close(fd);
	/* Nobody is there any more: that is no error of ours. */
	systemd_notify("STOPPING=1");
}

static void
test_notify(void **state)
{
	char dir[] = "/tmp/test-systemd-XXXXXX";
	CLEANUP_FREE char *abstract = xasprintf("@test-systemd-%d", (int)getpid());
	CLEANUP_FREE char *path = NULL;

	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/notify", dir);
	tell_at(path);
	tell_at(abstract);
	unlink(path);
	rmdir(dir);
}

static void
test_notify_nobody(void **state)
{
	char longest[200];

	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	for (int i = 0; i < 5; i++) {
		const char *const names[] = { NULL, "", "@", "relative", longest };

		if (names[i])
			setenv("NOTIFY_SOCKET", names[i], 1);
		systemd_init();
		systemd_notify("READY=1");
		assert_null(getenv("NOTIFY_SOCKET"));
	}
}

static void
test_watchdog(void **state)
{
	setenv("WATCHDOG_USEC", "30000000", 1);
	systemd_init();
	assert_int_equal(systemd_watchdog_us(), 30000000);
	assert_null(getenv("WATCHDOG_USEC"));
	setenv("WATCHDOG_USEC", "30000000", 1);
	set_pid("WATCHDOG_PID", getpid());
	systemd_init();
	assert_int_equal(systemd_watchdog_us(), 30000000);
	setenv("WATCHDOG_USEC", "30000000", 1);
	set_pid("WATCHDOG_PID", getpid() + 1);
	systemd_init();
	assert_int_equal(systemd_watchdog_us(), 0);
	assert_null(getenv("WATCHDOG_PID"));
	setenv("WATCHDOG_USEC", "-1", 1);
	systemd_init();
	assert_int_equal(systemd_watchdog_us(), 0);
	systemd_init();
	assert_int_equal(systemd_watchdog_us(), 0);
}

static void
sockets(int number, int pid, const char *names)
{
	CLEANUP_FREE char *n = xasprintf("%d", number);

	setenv("LISTEN_FDS", n, 1);
	if (pid)
		set_pid("LISTEN_PID", pid);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	systemd_init();
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

static void
test_sockets(void **state)
{
	struct systemd_socket *s;
	int count;

	/* Numbers 3 and 4 are whatever this program has there: only their flags are looked at. */
	for (int fd = 3; fd < 5; fd++)
		assert_true(fcntl(fd, F_GETFD) >= 0 || open("/dev/null", O_RDONLY) == fd);
	sockets(2, getpid(), "one:two");
	s = systemd_sockets(&count);
	assert_int_equal(count, 2);
	assert_int_equal(s[0].fd, 3);
	assert_string_equal(s[0].name, "one");
	assert_int_equal(s[1].fd, 4);
	assert_string_equal(s[1].name, "two");
	assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(4, F_GETFD) & FD_CLOEXEC);
	sockets(2, getpid(), "one");
	assert_string_equal(systemd_sockets(&count)[1].name, "unknown");
	sockets(2, getpid(), ":two");
	assert_string_equal(systemd_sockets(&count)[0].name, "unknown");
	assert_string_equal(systemd_sockets(&count)[1].name, "two");
	sockets(1, getpid(), NULL);
	assert_string_equal(systemd_sockets(&count)[0].name, "unknown");
}

static void
test_sockets_not_ours(void **state)
{
	int count;

	sockets(2, getpid() + 1, "one:two");
	systemd_sockets(&count);
	assert_int_equal(count, 0);
	sockets(2, 0, "one:two");
	systemd_sockets(&count);
	assert_int_equal(count, 0);
	sockets(SYSTEMD_SOCKETS_MAX + 1, getpid(), NULL);
	systemd_sockets(&count);
	assert_int_equal(count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),	cmocka_unit_test(test_notify_nobody), cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_sockets), cmocka_unit_test(test_sockets_not_ours),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
