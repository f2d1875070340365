/* SPDX-License-Identifier: MIT */
/* aoctl token: who may ask aod for what over TCP; aoctl audit: who did. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"

/* The text of it on standard output and nowhere else: `aoctl token create ci >file`. */
static int
token_create(struct ctl *c)
{
	const char *name = c->args.words[1], *session = c->args.value[OPT_SESSION], *role = c->args.value[OPT_ROLE];
	struct buf members = BUF_INIT;
	struct json_object *o;
	struct err e = { 0 };
	const char *token, *expires;
	int64_t span_us;
	int r;

	if (ctl_span(&c->args, OPT_EXPIRES, 0, &span_us, &e) < 0)
		return ctl_usage(&e);
	if (ctl_has(&c->args, OPT_EXPIRES) && span_us < 1000000) {
		err_set(&e, -EINVAL, "option --expires: at least a second");
		return ctl_usage(&e);
	}
	ctl_put_member_text(&members, "name", name);
	if (role || session)
		ctl_put_member_text(&members, "role", role ? role : "session");
	if (session)
		ctl_put_member_text(&members, "session_id", session);
	if (span_us && span_us != INT64_MAX)
		buf_printf(&members, ",\"expires_in\":%" PRId64, span_us / 1000000);
	CLEANUP_FREE char *body = xasprintf("{%s}", members.data);

	buf_free(&members);
	r = client_call(c->client, "POST", "/tokens", body, 0, CLIENT_REPLY_MAX, &c->reply, &e);
	if (r < 0)
		return ctl_fail(e.status == 404 ? session : name, &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
		return 0;
	}
	o = js_parse(c->reply.data, c->reply.len);
	token = js_str(o, "token");
	expires = js_str(o, "expires_at");
	if (token) {
		puts(token);
		print_note("token %s of role %s, %s%s; it is not shown again", name, js_str(o, "role") ? js_str(o, "role") : "?",
			   expires ? "good until " : "good until it is revoked", expires ? expires : "");
	} else {
		err_set(&e, -EPROTO, "the server's answer has no token in it");
	}
	json_object_put(o);
	return token ? 0 : ctl_fail(name, &e);
}

/* What a time is called when there is none. */
static const char *
time_or(struct json_object *o, const char *key, const char *none)
{
	const char *v = js_str(o, key);

	return v ? v : none;
}

static void
put_token_row(struct table *t, struct json_object *k)
{
	table_row(t,
		  (const char *[]){ js_str(k, "name"), js_str(k, "role"), time_or(k, "session_id", "-"), time_or(k, "expires_at", "never"),
				    time_or(k, "used_at", "never"), js_str(k, "id") },
		  -1, COL_NONE);
}

static int
token_list(struct ctl *c)
{
	static const char *const heads[] = { "NAME", "ROLE", "SESSION", "EXPIRES", "LAST USED", "ID" };
	static const struct ctl_table table = { "tokens", heads, ARRAY_LEN(heads), put_token_row };

	return ctl_get_table(c, NULL, "/tokens", &table);
}

static int
token_revoke(struct ctl *c)
{
	int i, worst = 0;

	for (i = 1; i < c->args.word_count; i++) {
		struct buf path = BUF_INIT;
		struct err e = { 0 };
		int r;

		buf_puts(&path, "/tokens/");
		ctl_put_escaped(&path, c->args.words[i]);
		r = client_call(c->client, "DELETE", path.data, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e);
		buf_free(&path);
		if (r < 0)
			worst = ctl_fail(c->args.words[i], &e);
		else if (ctl_json(c))
			print_json(c->reply.data, c->reply.len);
		else
			print_note("%s revoked", c->args.words[i]);
	}
	return worst;
}

static const struct action {
	const char *name, *usage;
	int min, max; /* words after it; max < 0: any number */
	int (*run)(struct ctl *c);
} actions[] = {
	{ "create", "create NAME", 1, 1, token_create },
	{ "list", "list", 0, 0, token_list },
	{ "revoke", "revoke NAME...", 1, -1, token_revoke },
};

int
cmd_token(struct ctl *c)
{
	const char *word = c->args.words[0];
	bool options = ctl_has(&c->args, OPT_ROLE) || ctl_has(&c->args, OPT_EXPIRES) || ctl_has(&c->args, OPT_SESSION);
	struct err e = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(actions); i++) {
		const struct action *a = &actions[i];
		int n = c->args.word_count - 1;

		if (strcmp(a->name, word) != 0)
			continue;
		if (n < a->min || (a->max >= 0 && n > a->max) || (options && a->run != token_create)) {
			err_set(&e, -EINVAL, "usage: aoctl token %s", a->usage);
			return ctl_usage(&e);
		}
		return a->run(c);
	}
	err_set(&e, -EINVAL, "token: \"%s\" is none of create, list and revoke", word);
	return ctl_usage(&e);
}

static void
put_audit_row(struct table *t, struct json_object *r)
{
	const char *time = time_or(r, "time", "-");
	CLEANUP_FREE char *second = xstrndup(time, strcspn(time, "."));

	table_row(t,
		  (const char *[]){ second, js_str(r, "who"), js_str(r, "from"), js_str(r, "verb"), time_or(r, "target", ""),
				    json_object_get_string(js_get(r, "status")), json_object_get_string(js_get(r, "count")) },
		  -1, COL_NONE);
}

int
cmd_audit(struct ctl *c)
{
	static const char *const heads[] = { "TIME", "WHO", "FROM", "WHAT", "OF WHAT", "STATUS", "COUNT" };
	static const struct ctl_table table = { "audit", heads, ARRAY_LEN(heads), put_audit_row };
	const char *limit = c->args.value[OPT_LINES];
	CLEANUP_FREE char *path = xasprintf("/audit%s%s", limit ? "?limit=" : "", limit ? limit : "");

	return ctl_get_table(c, NULL, path, &table);
}
