/* SPDX-License-Identifier: MIT */
/* Who asks for an action: looked up here, for aod-http is not believed. See asker.h. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "aod/asker.h"
#include "aod/front.h"
#include "aod/request.h"
#include "base/sha256.h"
#include "base/util.h"

static int
on_token(const struct token_row *row, void *arg)
{
	struct request *q = arg;

	q->role = row->role == ROLE_SESSION && !row->session_id ? ROLE_NONE : row->role;
	snprintf(q->login, sizeof(q->login), "%s", row->id);
	if (row->role == ROLE_SESSION) {
		snprintf(q->session, sizeof(q->session), "%s", row->session_id ? row->session_id : "");
		snprintf(q->author, sizeof(q->author), "session:%.90s", q->session);
	} else {
		snprintf(q->author, sizeof(q->author), "token:%s", row->name);
	}
	return 0;
}

/* The token itself has to be there: its hash is in the database, which aod-http may read. */
static void
note_token(struct request *q, const char *token)
{
	char hash[SHA256_HEX_SIZE];
	uint8_t digest[SHA256_SIZE];

	sha256(token, strlen(token), digest);
	sha256_hex(digest, hash);
	q->role = ROLE_NONE;
	snprintf(q->author, sizeof(q->author), "a token that is not valid");
	store_token_find(q->m->store, hash, now_us(), on_token, q, NULL);
}

static void
note_peer(struct request *q, const struct asker *a)
{
	const struct access *access = &q->m->cfg->access;
	char address[INET_ADDRSTRLEN] = "";
	const char *why;

	if (!a->known) {
		snprintf(q->origin, sizeof(q->origin), "unknown");
		snprintf(q->author, sizeof(q->author), "nobody");
		return;
	}
	if (a->peer.unix_socket) {
		snprintf(q->origin, sizeof(q->origin), "unix uid %lld pid %d", a->peer.known ? (long long)a->peer.uid : -1LL, (int)a->peer.pid);
		snprintf(q->author, sizeof(q->author), "uid:%lld", a->peer.known ? (long long)a->peer.uid : -1LL);
	} else {
		inet_ntop(AF_INET, &a->address, address, sizeof(address));
		snprintf(q->origin, sizeof(q->origin), "tcp %s", address);
		snprintf(q->author, sizeof(q->author), "tcp:%s", address);
	}
	if (!a->tokens_only)
		q->role = access_role(access, &a->peer,
				      a->peer.cgroup && store_token_has_cgroup(q->m->store, (int64_t)a->peer.cgroup, NULL) != 0, &why);
}

void
request_note_caller(struct request *q, struct json_object *caller)
{
	struct json_object *conn = NULL, *token = NULL;
	int64_t number;

	q->role = ROLE_NONE;
	if (!q->m->loaded || q->m->broken.code)
		return;
	json_object_object_get_ex(caller, "conn", &conn);
	json_object_object_get_ex(caller, "token", &token);
	number = json_object_is_type(conn, json_type_int) ? json_object_get_int64(conn) : -1;
	note_peer(q, front_asker(q->m->front, (uint64_t)number));
	if (json_object_is_type(token, json_type_string))
		note_token(q, json_object_get_string(token));
}
