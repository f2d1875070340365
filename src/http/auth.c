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
#include "http/server.h"
#include "wire/peer.h"

#define TOLD_EVERY_US (60 * 1000000LL) /* how coarse "last used" is */

static struct access options;

int
auth_init(const struct access *o, struct err *e)
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

static const struct who *
who_is_peer(struct conn *c, const char **why)
{
	struct auth_conn *a = &c->auth;
	const struct listener *l = c->listener;

	if (!a->peer_known) {
		struct peer p;

		a->peer_known = true;
		a->why = l->unix_socket ? "this socket takes requests with a token only: Authorization: Bearer $AOD_TOKEN"
					: "send one as Authorization: Bearer TOKEN (`aoctl token create` makes it), or log in";
		if (!l->tokens_only) {
			peer_find(h2o_socket_get_fd(c->sock), &options, &p);
			a->peer.role = access_role(&options, &p, p.cgroup != 0 && store_token_has_cgroup(front.store, (int64_t)p.cgroup, NULL) != 0,
						   &a->why);
		}
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
