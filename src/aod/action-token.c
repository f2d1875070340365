/* SPDX-License-Identifier: MIT */
/* Actions on tokens: made, revoked, exchanged for a browser's login; and what a session's own token may ask of others. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aod/registry.h"
#include "aod/request.h"
#include "aod/token.h"
#include "base/util.h"
#include "model/sandbox.h"

#define LOGIN_US (12 * 3600 * 1000000LL)

/* ---- create, revoke -------------------------------------------------------------------------------------- */

static void
put_token(struct buf *b, const struct token_row *row)
{
	char when[TIME_ISO_SIZE];

	buf_puts(b, "{\"id\":");
	buf_put_json_str(b, row->id);
	buf_puts(b, ",\"name\":");
	buf_put_json_str(b, row->name);
	buf_printf(b, ",\"role\":\"%s\",\"expires_at\":", role_name(row->role));
	buf_put_json_str(b, row->expires_us ? time_iso(row->expires_us, when) : NULL);
}

static int
store_token(struct manager *m, const struct token_row *row, struct err *e)
{
	int rc = manager_begin(m, e);

	if (rc == 0)
		rc = manager_check(m, store_token_purge(m->store, row->created_us, e), e);
	if (rc < 0)
		return rc;
	rc = store_token_add(m->store, row, e);
	return rc == -EEXIST ? rc : manager_check(m, rc, e);
}

/* The session that a token of role session is for. */
static int
session_of_token(struct request *q, struct token_row *row, struct err *e)
{
	const char *key = request_text(q, "session_id");
	struct session s = { 0 };
	struct run *r;
	int rc;

	if ((row->role == ROLE_SESSION) != (key != NULL))
		return err_set_status(e, 422, -EINVAL, "session_id goes with role session: %s",
				      key ? "leave it out" : "say whose token it is to be");
	if (!key)
		return 0;
	rc = session_find(q->m, key, &s, &r, e);
	row->session = s.row.n;
	session_free(&s);
	return rc;
}

int
action_token_create(struct request *q, struct err *e)
{
	char id[ID_SIZE], text[TOKEN_SIZE], hash[SHA256_HEX_SIZE];
	const char *role = request_text(q, "role");
	int64_t seconds = request_number(q, "expires_in", 0);
	int number = role ? role_parse(role) : ROLE_READER;
	struct token_row row = { .id = id_new(id), .hash = hash, .name = request_text(q, "name"), .kind = "token", .created_us = now_us() };
	struct buf b = BUF_INIT;
	int rc;

	if (number < 0 || number == ROLE_NONE)
		return err_set_status(e, 422, -EINVAL, "role '%.40s': want operator, reader or session", role);
	row.role = (enum role)number;
	row.expires_us = seconds > 0 ? row.created_us + seconds * 1000000 : 0;
	token_new(text, hash);
	rc = session_of_token(q, &row, e);
	if (rc == 0)
		rc = store_token(q->m, &row, e);
	if (rc < 0)
		return rc;
	put_token(&b, &row);
	buf_printf(&b, ",\"token\":\"%s\"}", text);
	manager_reply(q->m, q->id, 201, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
action_token_revoke(struct request *q, struct err *e)
{
	int rc = manager_begin(q->m, e);

	if (rc == 0)
		rc = store_token_revoke(q->m->store, request_text(q, "id"), e);
	if (rc == -ENOENT)
		return rc;
	if (manager_check(q->m, rc, e) < 0)
		return rc;
	q->m->tokens_gone = true;
	manager_reply(q->m, q->id, 200, "{\"ok\":true}", 11);
	return 0;
}

/* ---- login ----------------------------------------------------------------------------------------------- */

/* A login for the token that was found. */
struct login {
	struct request *q;
	struct token_row row;
	char id[ID_SIZE], parent[ID_SIZE], name[NAME_MAX_LEN + 1];
};

static int
login_for(const struct token_row *t, void *arg)
{
	struct login *l = arg;

	snprintf(l->parent, sizeof(l->parent), "%s", t->id);
	snprintf(l->name, sizeof(l->name), "%s", t->name);
	l->row.role = t->role;
	l->row.session = t->session;
	l->row.run = t->run;
	if (t->expires_us && t->expires_us < l->row.expires_us)
		l->row.expires_us = t->expires_us;
	/* A cookie is no token to log in with. */
	return strcmp(t->kind, "login") ? 0 : 1;
}

int
action_login(struct request *q, struct err *e)
{
	char text[TOKEN_SIZE], hash[SHA256_HEX_SIZE];
	const char *token = request_text(q, "token");
	struct login l = { .q = q };
	uint8_t digest[SHA256_SIZE];
	struct buf b = BUF_INIT;
	int rc;

	l.row = (struct token_row){ .id = id_new(l.id), .hash = hash, .name = l.name, .kind = "login", .parent = l.parent, .created_us = now_us() };
	l.row.expires_us = l.row.created_us + LOGIN_US;
	sha256(token, strlen(token), digest);
	sha256_hex(digest, hash);
	rc = store_token_find(q->m->store, hash, l.row.created_us, login_for, &l, e);
	if (rc == 1)
		return err_set_status(e, 401, -EPERM, "The token is not valid: it is that of a login");
	token_new(text, hash);
	if (rc == 0)
		rc = store_token(q->m, &l.row, e);
	if (rc < 0)
		return rc;
	put_token(&b, &l.row);
	/* aod-http takes this one out, and makes a cookie of it. */
	buf_printf(&b, ",\"cookie\":\"%s\"}", text);
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
action_logout(struct request *q, struct err *e)
{
	int rc = 0;

	if (*q->login) {
		rc = manager_begin(q->m, e);
		if (rc == 0)
			rc = manager_check(q->m, store_token_logout(q->m->store, q->login, e), e);
		if (rc < 0)
			return rc;
		q->m->tokens_gone = true;
	}
	/* An empty one ends the cookie in the browser, too. */
	manager_reply(q->m, q->id, 200, "{\"ok\":true,\"cookie\":\"\"}", 23);
	return 0;
}

/* ---- what an agent may ask for ---------------------------------------------------------------------------- */

static int
check_own(struct request *q, const char *arg, struct err *e)
{
	const char *key = arg ? request_text(q, arg) : NULL;
	struct session s = { 0 };
	struct run *r;
	int rc = session_find(q->m, key ? key : "", &s, &r, e);

	if (rc == 0)
		rc = store_session_owned(q->m->store, q->session, s.row.n, e);
	session_free(&s);
	/* One that is not its own is not there for it. */
	return rc == 0 ? err_set_status(e, 404, -ENOENT, "Session not found") : rc > 0 ? 0 : rc;
}

/* How strict the sandbox of a blueprint is, as a whole: enum sandbox_profile is in that order. */
static int
profile_of(struct manager *m, const char *agent, struct err *e)
{
	struct blueprint *b;
	int rc = blueprint_load(m, agent, &b, e);

	if (rc < 0)
		return rc;
	rc = (int)sandbox_profile(b);
	blueprint_free(b);
	return rc;
}

/* A child may not have more than its parent: not another project, not a command of its own, not a weaker sandbox. */
static int
check_child(struct request *q, const struct session_row *parent, struct err *e)
{
	const char *dir = request_text(q, "project_dir"), *agent = request_text(q, "agent_name");
	CLEANUP_FREE char *own = session_dir(q->m, parent->id);
	CLEANUP_FREE char *work = xasprintf("%s/agent/work", own);
	char **command = request_words(q, "command");
	bool has_command = command != NULL;
	int have, want;

	strv_free(command);
	if (request_text(q, "session_id"))
		return err_set_status(e, 403, -EPERM, "A session's own token may start sessions, not register them: leave session_id out");
	/* The queue is everybody's. */
	if (request_number(q, "priority", INT64_MIN) > parent->priority)
		return err_set_status(e, 403, -EPERM, "priority: a session's own token may give no greater one than its own, %lld", (long long)parent->priority);
	if (dir && strcmp(dir, parent->project_dir ? parent->project_dir : work))
		return err_set_status(e, 403, -EPERM, "project_dir '%.200s': a session's own token may only give its own, %s", dir,
				      parent->project_dir ? parent->project_dir : work);
	if (!agent)
		agent = has_command ? "command" : "claude";
	have = profile_of(q->m, parent->agent_name ? parent->agent_name : "", e);
	want = have < 0 ? have : profile_of(q->m, agent, e);
	if (want < 0)
		return want;
	if (has_command && have > SANDBOX_NONE)
		return err_set_status(e, 403, -EPERM, "A session in a sandbox may not say which command its child runs");
	if (want < have)
		return err_set_status(e, 403, -EPERM, "The sandbox of %s is weaker than that of the session that asks for it", agent);
	return 0;
}

static int
scope_create(struct request *q, struct err *e)
{
	struct session parent = { 0 };
	struct run *r;
	int rc = session_find(q->m, q->session, &parent, &r, e);

	if (rc == 0)
		rc = check_child(q, &parent.row, e);
	if (rc == 0)
		json_object_object_add(q->args, "parent_session_name", json_object_new_string(parent.row.id));
	session_free(&parent);
	return rc;
}

int
action_scope(struct request *q, const struct verb *v, struct err *e)
{
	if (v->perms & PERM_OWN)
		return check_own(q, verb_session_arg(v), e);
	return strcmp(v->name, "session.create") ? 0 : scope_create(q, e);
}
