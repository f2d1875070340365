/* SPDX-License-Identifier: MIT */
/* Who asks; see auth.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "http/auth.h"
#include "http/forward.h"
#include "http/peer.h"
#include "http/server.h"

#define TOLD_EVERY_US (60 * 1000000LL) /* how coarse "last used" is */
/* Users that systemd and aod give to DynamicUser=yes (systemd, docs/UIDS-GIDS.md): aod has agents run as them. */
#define DYNAMIC_UID_MIN 61184
#define DYNAMIC_UID_MAX 65519

static struct auth_options options;

int
auth_init(const struct auth_options *o, struct err *e)
{
	options = *o;
	return peer_init(e);
}

void
auth_conn_free(struct auth_conn *a)
{
	free(a->credential);
}

/* ---- without a token --------------------------------------------------------------------- */

static enum role
role_of_unix(int fd)
{
	struct ucred cred = {0, (uid_t)-1, (gid_t)-1};
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return ROLE_NONE;
	if (cred.uid == 0 || cred.uid == options.operator_uid ||
	    (options.operator_gid != (gid_t)-1 && peer_in_group(fd, cred.gid, options.operator_gid)))
		return ROLE_OPERATOR;
	return options.socket_others;
}

static enum role
role_of_tcp(int fd, const char **why)
{
	struct peer p;

	if (peer_tcp(fd, &p) < 0) {
		/* Where aod is not root, no agent has a user of its own that it could hide. */
		if (options.operator_uid != 0)
			return options.tcp_others;
		*why = "it could not be found out whose connection this is: try again, or send a token";
		return ROLE_NONE;
	}
	/* A user that only agents have, or the control group of a run whose agent is in a sandbox. */
	if ((p.uid >= DYNAMIC_UID_MIN && p.uid <= DYNAMIC_UID_MAX) ||
	    (p.cgroup != 0 && store_token_has_cgroup(front.store, (int64_t)p.cgroup, NULL) != 0)) {
		*why = "agents have to send their token: Authorization: Bearer $AOD_TOKEN";
		return ROLE_NONE;
	}
	if (p.uid == 0 || p.uid == options.operator_uid)
		return ROLE_OPERATOR;
	return options.tcp_others;
}

static const struct who *
who_is_peer(struct conn *c, const char **why)
{
	struct auth_conn *a = &c->auth;
	const struct listener *l = c->listener;

	if (!a->peer_known) {
		a->peer_known = true;
		a->why = "this user may not; members of group aod, root and aod's own user may";
		if (l->tokens_only)
			a->why = l->unix_socket ? "this socket takes requests with a token only: Authorization: Bearer $AOD_TOKEN"
						: "send one as Authorization: Bearer TOKEN (`aoctl token create` makes it), or log in";
		else if (l->unix_socket)
			a->peer.role = role_of_unix(h2o_socket_get_fd(c->sock));
		else
			a->peer.role = role_of_tcp(h2o_socket_get_fd(c->sock), &a->why);
	}
	*why = a->why;
	return &a->peer;
}

/* ---- with one ---------------------------------------------------------------------------- */

static int
on_token(const struct token_row *row, void *arg)
{
	struct who *w = arg;

	w->role = row->role;
	w->expires_us = row->expires_us;
	snprintf(w->token, sizeof(w->token), "%s", row->id);
	snprintf(w->name, sizeof(w->name), "%s", row->name);
	snprintf(w->session, sizeof(w->session), "%s", row->session_id ? row->session_id : "");
	return 0;
}

static bool
look_up(const char *hash, struct who *out)
{
	memset(out, 0, sizeof(*out));
	return store_token_find(front.store, hash, now_us(), on_token, out, NULL) == 0;
}

static void
hash_text(const char *text, size_t n, char hash[SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	sha256(text, n, digest);
	sha256_hex(digest, hash);
}

bool
auth_token_ok(const char *text)
{
	char hash[SHA256_HEX_SIZE];
	struct who w;

	hash_text(text, strlen(text), hash);
	return look_up(hash, &w);
}

/* The token in the request, "" when there is none. */
static h2o_iovec_t
find_credential(h2o_req_t *req, bool *cookie)
{
	static const char bearer[] = "Bearer " TOKEN_PREFIX, name[] = LOGIN_COOKIE "=";
	ssize_t i = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
	const char *p, *end;
	h2o_iovec_t v;

	*cookie = false;
	if (i >= 0) {
		v = req->headers.entries[i].value;
		if (v.len > sizeof(bearer) - 1 && strncasecmp(v.base, bearer, sizeof(bearer) - 1) == 0)
			return h2o_iovec_init(v.base + 7, v.len - 7);
	}
	*cookie = true;
	if ((i = h2o_find_header(&req->headers, H2O_TOKEN_COOKIE, -1)) < 0)
		return h2o_iovec_init(NULL, 0);
	v = req->headers.entries[i].value;
	for (p = v.base; p < v.base + v.len; p = end + 1) {
		if (!(end = memchr(p, ';', (size_t)(v.base + v.len - p))))
			end = v.base + v.len;
		while (p < end && *p == ' ')
			p++;
		if ((size_t)(end - p) > sizeof(name) - 1 && memcmp(p, name, sizeof(name) - 1) == 0)
			return h2o_iovec_init(p + sizeof(name) - 1, (size_t)(end - p) - (sizeof(name) - 1));
	}
	return h2o_iovec_init(NULL, 0);
}

static bool
take_credential(struct auth_conn *a, h2o_iovec_t text)
{
	char hash[SHA256_HEX_SIZE];
	struct who w;

	if (a->credential && a->credential_len == text.len && memcmp(a->credential, text.base, text.len) == 0 &&
	    (a->bearer.expires_us == 0 || a->bearer.expires_us > now_us()))
		return true;
	hash_text(text.base, text.len, hash);
	if (!look_up(hash, &w))
		return false;
	free(a->credential);
	a->credential = xstrndup(text.base, text.len);
	a->credential_len = text.len;
	a->bearer = w;
	memcpy(a->hash, hash, sizeof(hash));
	a->told_us = 0;
	return true;
}

const struct who *
auth_who(h2o_req_t *req, struct conn *c, const char **why)
{
	struct auth_conn *a = &c->auth;
	bool cookie;
	h2o_iovec_t text = find_credential(req, &cookie);
	int64_t now;

	*why = NULL;
	if (text.len == 0)
		return who_is_peer(c, why);
	/* Browsers go on sending a cookie that has ended. */
	if (!take_credential(a, text))
		return cookie ? who_is_peer(c, why) : NULL;
	now = mono_us();
	if (a->told_us == 0 || now - a->told_us > TOLD_EVERY_US) {
		a->told_us = now;
		forward_token_used(a->bearer.token);
	}
	return &a->bearer;
}

static void
close_when_gone(struct conn *c)
{
	struct auth_conn *a = &c->auth;
	struct who w;

	if (!a->credential || look_up(a->hash, &w))
		return;
	free(a->credential);
	a->credential = NULL;
	a->credential_len = 0;
	memset(&a->bearer, 0, sizeof(a->bearer));
	/* Also streams that go on: those were asked for with what is not valid any more. An answer that is being written is lost. */
	if (!h2o_socket_is_writing(c->sock))
		shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
	else
		shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

void
auth_tokens_gone(void)
{
	server_each_conn(close_when_gone);
}
