/* SPDX-License-Identifier: MIT */
/*
 * Who asks. On aod.sock the kernel says whose process it is, on agents/aod.sock and over TLS only a token counts, and over plain TCP, which there is
 * on loopback only, the kernel is asked whose socket is at the other end. A token (Authorization: Bearer, or a browser's cookie) goes before all
 * that. What is found is kept with the connection, so that a further request costs a comparison.
 *
 * What the one who asks may do is model/permission.h's business; route.c asks that.
 */
#ifndef AOD_HTTP_AUTH_H
#define AOD_HTTP_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <h2o.h>

#include "base/err.h"
#include "base/sha256.h"
#include "base/util.h"
#include "model/permission.h"

struct access;
struct conn;

struct who {
	enum role role;
	char token[ID_SIZE];		 /* its id, "" without one */
	char name[NAME_MAX_LEN + 1];	 /* of the token */
	char session[201];		 /* ROLE_SESSION: id */
	int64_t expires_us;		 /* 0: never */
};

/* With each connection; all zero at first. */
struct auth_conn {
	bool peer_known;
	struct who peer;      /* without a token */
	const char *why;      /* it is nobody; static text, NULL otherwise */
	char *credential;     /* the last one that was good, as it came, */
	size_t credential_len;
	struct who bearer;    /* and who that is */
	const struct who *who; /* who sends the present request: one of the two */
	char hash[SHA256_HEX_SIZE];
	int64_t told_us;      /* when aod was last told that it is in use */
};

/* Before privileges and system calls are given up. */
int auth_init(const struct access *o, struct err *e);
void auth_conn_free(struct auth_conn *a);
/*
 * Who sends this request; valid until the connection's next one. role none: *why says what would help. NULL: it has a token that is not valid.
 */
const struct who *auth_who(h2o_req_t *req, struct conn *c, const char **why);
/* Whether this text is a token that is worth something. */
bool auth_token_ok(const char *text);
/* Some tokens have ended: connections that came with one of them are closed. */
void auth_tokens_gone(void);

#endif
