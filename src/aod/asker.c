/* SPDX-License-Identifier: MIT */
/* Who is behind the connections of aod-http; see asker.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aod/asker.h"
#include "base/util.h"

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

static bool
own_address(int fd, union address *out, socklen_t *len)
{
	*len = sizeof(*out);
	memset(out, 0, sizeof(*out));
	return getsockname(fd, &out->sa, len) == 0;
}

/* A connection has the address of the socket that took it in. A pair of sockets has none, and none of others that listen has ours. */
static bool
came_through(int fd, const struct door *door)
{
	union address ours, its;
	socklen_t ours_len, its_len;

	if (!own_address(door->fd, &ours, &ours_len) || !own_address(fd, &its, &its_len) || its.sa.sa_family != ours.sa.sa_family)
		return false;
	if (its.sa.sa_family == AF_INET)
		return its.in.sin_port == ours.in.sin_port &&
		       (ours.in.sin_addr.s_addr == htonl(INADDR_ANY) || its.in.sin_addr.s_addr == ours.in.sin_addr.s_addr);
	return its.sa.sa_family == AF_UNIX && its_len == ours_len && its.un.sun_path[0] == '/' && memcmp(&its, &ours, ours_len) == 0;
}

static bool
is_connection(int fd)
{
	int type = 0, listens = 1;
	socklen_t n = sizeof(type), k = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &k) == 0 && !listens;
}

static void
look(struct asker *a, int fd, const struct door *door, const struct access *access)
{
	union address theirs;
	socklen_t len = sizeof(theirs);

	a->known = true;
	a->tokens_only = door->tokens_only;
	peer_find(fd, access, &a->peer);
	if (!a->peer.unix_socket && getpeername(fd, &theirs.sa, &len) == 0 && theirs.sa.sa_family == AF_INET)
		a->address = theirs.in.sin_addr;
}

bool
askers_note(struct askers *a, uint64_t number, int fd, const struct door *doors, size_t door_count, const struct access *access)
{
	if (number >= ASKERS_MAX)
		return false;
	if (number >= a->count) {
		size_t count = a->count ? a->count : 64;

		while (count <= number)
			count *= 2;
		a->all = xrealloc(a->all, count * sizeof(*a->all));
		memset(a->all + a->count, 0, (count - a->count) * sizeof(*a->all));
		a->count = count;
	}
	memset(&a->all[number], 0, sizeof(*a->all));
	for (size_t i = 0; i < door_count && is_connection(fd); i++)
		if (came_through(fd, &doors[i])) {
			look(&a->all[number], fd, &doors[i], access);
			break;
		}
	return true;
}

void
askers_gone(struct askers *a, uint64_t number)
{
	if (number < a->count)
		memset(&a->all[number], 0, sizeof(*a->all));
}

const struct asker *
askers_find(const struct askers *a, uint64_t number)
{
	static const struct asker nobody;

	return number < a->count ? &a->all[number] : &nobody;
}

void
askers_clear(struct askers *a)
{
	free(a->all);
	a->all = NULL;
	a->count = 0;
}
