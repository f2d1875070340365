/* SPDX-License-Identifier: MIT */
/* Tokens: made, and those of runs stored and ended; see token.h. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "aod/cgroup.h"
#include "aod/run.h"
#include "aod/token.h"
#include "base/util.h"

void
token_new(char text[TOKEN_SIZE], char hash[SHA256_HEX_SIZE])
{
	uint8_t random[32], digest[SHA256_SIZE];
	char digits[SHA256_HEX_SIZE];

	/* At most 256 bytes come whole, or not at all before the kernel has enough (getrandom(2)). */
	while (getrandom(random, sizeof(random), 0) != sizeof(random))
		;
	snprintf(text, TOKEN_SIZE, TOKEN_PREFIX "%s", sha256_hex(random, digits));
	sha256(text, strlen(text), digest);
	sha256_hex(digest, hash);
}

int
token_store_run(struct run *r, struct err *e)
{
	char id[ID_SIZE];
	struct token_row row = {
		.id = id_new(id),
		.hash = r->token_hash,
		.name = r->s.row.name,
		.role = ROLE_SESSION,
		.kind = "run",
		.session = r->s.row.n,
		.run = r->n,
		.created_us = now_us(),
	};
	int rc = store_token_end_session(r->m->store, r->s.row.n, e);

	if (rc >= 0)
		rc = store_token_add(r->m->store, &row, e);
	return manager_check(r->m, rc, e);
}

int
token_note_group(struct run *r, struct err *e)
{
	char *const *lines = r->plan->sandbox && r->plan->sandbox->profile != SANDBOX_NONE ? r->in.lines : NULL;
	struct stat st;
	int rc;

	/* v2's is the first, if it is there; the kernel does not say v1's. */
	if (!lines || !str_starts(lines[0], "cgroup=") || stat(lines[0] + 7, &st) < 0)
		return 0;
	rc = manager_begin(r->m, e);
	return rc < 0 ? rc : manager_check(r->m, store_token_set_cgroup(r->m->store, r->s.row.n, (int64_t)st.st_ino, e), e);
}

int
token_end_run(struct run *r, struct err *e)
{
	int rc = manager_check(r->m, store_token_end_session(r->m->store, r->s.row.n, e), e);

	if (rc > 0)
		r->m->tokens_gone = true;
	return rc < 0 ? rc : 0;
}
