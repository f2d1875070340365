/* SPDX-License-Identifier: MIT */
/* Who is at the other end, of this process's own sockets; and what a user may without a token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "wire/peer.h"

static const struct access plain = { .uid = 7, .gid = (gid_t)-1 };

static enum role
role(const struct access *a, struct peer p, bool in_sandbox)
{
	const char *why = NULL;
	enum role r = access_role(a, &p, in_sandbox, &why);

	if (r == ROLE_NONE)
		assert_true(why && *why);
	return r;
}

static void
test_users(void **state)
{
	struct access lax = { .uid = 7, .gid = (gid_t)-1, .socket_others = ROLE_READER, .tcp_others = ROLE_OPERATOR };

	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(role(&plain, (struct peer){ .unix_socket = !tcp, .known = true, .uid = 0 }, false), ROLE_OPERATOR);
		assert_int_equal(role(&plain, (struct peer){ .unix_socket = !tcp, .known = true, .uid = 7 }, false), ROLE_OPERATOR);
		assert_int_equal(role(&plain, (struct peer){ .unix_socket = !tcp, .known = true, .uid = 8 }, false), ROLE_NONE);
		assert_int_equal(role(&plain, (struct peer){ .unix_socket = !tcp, .uid = 0 }, false), ROLE_NONE);
		assert_int_equal(role(&lax, (struct peer){ .unix_socket = !tcp, .known = true, .uid = 8 }, false), tcp ? ROLE_OPERATOR : ROLE_READER);
	}
}

static void
test_agents(void **state)
{
	struct access lax = { .uid = 0, .gid = (gid_t)-1, .tcp_others = ROLE_OPERATOR };

	assert_int_equal(role(&lax, (struct peer){ .known = true, .uid = 61184 }, false), ROLE_NONE);
	assert_int_equal(role(&lax, (struct peer){ .known = true, .uid = 65519 }, false), ROLE_NONE);
	assert_int_equal(role(&lax, (struct peer){ .known = true, .uid = 65520 }, false), ROLE_OPERATOR);
	/* aod's own user, but out of a sandbox */
	assert_int_equal(role(&lax, (struct peer){ .known = true, .uid = 0 }, true), ROLE_NONE);
	/* One that hides might be an agent. */
	assert_int_equal(role(&lax, (struct peer){ .known = false }, false), ROLE_NONE);
	lax.uid = 7;
	assert_int_equal(role(&lax, (struct peer){ .known = false }, false), ROLE_OPERATOR);
}

static void
test_members(void **state)
{
	struct access a = { .uid = 0, .gid = 42 }, b = { .gid = 42 };
	CLEANUP_FREE char *text = NULL;

	assert_false(access_parse_members(&b, "1,x"));
	access_free(&b);
	assert_false(access_parse_members(&b, "-1"));
	access_free(&b);
	assert_true(access_parse_members(&a, "1003,1001,1002"));
	text = access_members_text(&a);
	assert_string_equal(text, "1001,1002,1003");
	for (uid_t uid = 1000; uid < 1005; uid++)
		assert_int_equal(role(&a, (struct peer){ .known = true, .uid = uid }, false), uid > 1000 && uid < 1004 ? ROLE_OPERATOR : ROLE_NONE);
	/* Over the unix socket the kernel says which groups it has, and nothing else counts. */
	assert_int_equal(role(&a, (struct peer){ .unix_socket = true, .known = true, .uid = 1001 }, false), ROLE_NONE);
	assert_int_equal(role(&a, (struct peer){ .unix_socket = true, .known = true, .uid = 1, .member = true }, false), ROLE_OPERATOR);
	access_free(&a);
}

/* Root's group, which is on every host and has root in it by passwd(5). */
static void
test_find_members(void **state)
{
	struct access a = { .uid = 7, .gid = 0 }, none = { .gid = (gid_t)-1 };

	access_find_members(&a);
	assert_true(a.member_count >= 1 && a.members[0] == 0);
	access_free(&a);
	access_find_members(&none);
	assert_int_equal(none.member_count, 0);
}

static void
test_unix(void **state)
{
	struct access a = { .uid = 7, .gid = getegid() };
	struct peer p;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	peer_find(pair[0], &a, &p);
	assert_true(p.unix_socket && p.known && p.member && p.uid == geteuid() && p.pid == getpid());
	a.gid = 4242;
	peer_find(pair[0], &a, &p);
	assert_false(p.member);
	close(pair[0]);
	close(pair[1]);
	peer_find(-1, &a, &p);
	assert_false(p.known);
}

static void
test_tcp(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct err e = { 0 };
	struct peer p;

	assert_int_equal(peer_init(&e), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	peer_find(fd, &plain, &p);
	assert_true(p.known && !p.unix_socket && p.uid == geteuid());
	/* A listener has nobody at its other end; nor has one whose process is gone. */
	peer_find(listener, &plain, &p);
	assert_false(p.known);
	close(client);
	peer_find(fd, &plain, &p);
	assert_false(p.known);
	close(fd);
	close(listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),	     cmocka_unit_test(test_agents), cmocka_unit_test(test_members),
		cmocka_unit_test(test_find_members), cmocka_unit_test(test_unix),   cmocka_unit_test(test_tcp),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
