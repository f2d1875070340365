/* SPDX-License-Identifier: MIT */
/* Dispatch of requests; see route.h. Called by h2o for each request (server.c registers it). */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/log.h"
#include "base/util.h"
#include "http/agents.h"
#include "http/documents.h"
#include "http/audit.h"
#include "http/forward.h"
#include "http/live.h"
#include "http/openapi.h"
#include "http/qs.h"
#include "http/prompts.h"
#include "http/query.h"
#include "http/questions.h"
#include "http/refuse.h"
#include "http/reply.h"
#include "http/route.h"
#include "http/server.h"
#include "http/site.h"
#include "http/statics.h"
#include "http/stream.h"
#include "http/upload.h"

static const struct route {
	const char *verb;
	void (*handle)(const struct request *rq);
} routes[] = {
	{"session.list", query_list},
	{"session.get", query_session},
	{"session.status", query_status},
	{"session.result", query_result},
	{"session.plan", query_plan},
	{"prompt.list", prompts_list},
	{"session.questions", questions_session},
	{"question.list", questions_all},
	{"session.events", stream_events},
	{"event.list-old", stream_events_old},
	{"feed", live_feed},
	{"ws", live_ws},
	{"health", query_health},
	{"openapi", openapi_get},
	{"token.list", audit_tokens},
	{"audit.list", audit_list},
	{"agent.list", agents_list},
	{"agent.get", agents_get},
	{"agent.history", agents_history},
	{"agent.diff", agents_diff},
	{"agent.schema", agents_schema},
	{"agent.validate", agents_validate},
	{"document.create", upload_start},
	{"document.put", upload_start},
	{"document.list", documents_list},
	{"document.search", documents_search},
	{"document.tags", documents_tags},
	{"document.get", documents_get},
	{"document.metadata", documents_metadata},
	{"document.versions", documents_versions},
	{"document.relations", documents_relations},
};

#define VERBS_MAX 128
/* By place in verbs[]; NULL = an action that goes to aod as it is. */
static void (*handlers[VERBS_MAX])(const struct request *rq);

void
route_init(void)
{
	for (size_t i = 0; verbs[i].name; i++) {
		assert(i < VERBS_MAX);
		for (size_t k = 0; k < ARRAY_LEN(routes); k++)
			if (strcmp(routes[k].verb, verbs[i].name) == 0)
				handlers[i] = routes[k].handle;
		if (verbs[i].kind == VERB_QUERY && !handlers[i]) {
			log_error("no handler for the query %s", verbs[i].name);
			abort();
		}
	}
}

/* ---- arguments --------------------------------------------------------------------------- */

bool
request_has(const struct request *rq, const char *name)
{
	return rq->query && json_object_object_get_ex(rq->query, name, NULL);
}

const char *
request_text(const struct request *rq, const char *name)
{
	struct json_object *v;

	return rq->query && json_object_object_get_ex(rq->query, name, &v)
		       ? json_object_get_string(v)
		       : NULL;
}

int64_t
request_int(const struct request *rq, const char *name, int64_t otherwise)
{
	const char *s = request_text(rq, name);

	if (s)
		parse_i64(s, INT64_MIN, INT64_MAX, &otherwise);
	return otherwise;
}

bool
request_bool(const struct request *rq, const char *name)
{
	const char *s = request_text(rq, name);
	bool b = false;

	return s && parse_bool(s, &b) && b;
}

bool
request_accepts(const h2o_req_t *req, const char *type)
{
	ssize_t i = h2o_find_header(&req->headers, H2O_TOKEN_ACCEPT, -1);

	if (i < 0)
		return false;
	h2o_iovec_t v = req->headers.entries[i].value;

	return memmem(v.base, v.len, type, strlen(type)) != NULL;
}

struct adding {
	struct json_object *args;
	const struct verb *verb;
};

/* Booleans become such, since a check cannot tell a text that means one. Numbers are checked as
 * text. */
static void
add_pair(const char *name, const char *value, void *arg)
{
	struct adding *a = arg;
	bool b, boolean = false;

	for (const struct verb_arg *v = a->verb->args; v < a->verb->args + VERB_ARGS_MAX && v->name;
	     v++)
		if (v->place == IN_QUERY && v->type == ARG_BOOL && strcmp(v->name, name) == 0)
			boolean = parse_bool(value, &b);
	json_object_object_add(a->args, name,
			       boolean ? json_object_new_boolean(b)
				       : json_object_new_string(value));
}

static struct json_object *
problem(const char *type, const char *place, const char *msg)
{
	struct json_object *list = json_object_new_array(), *p = json_object_new_object();
	struct json_object *loc = json_object_new_array();

	json_object_array_add(loc, json_object_new_string(place));
	json_object_object_add(p, "type", json_object_new_string(type));
	json_object_object_add(p, "loc", loc);
	json_object_object_add(p, "msg", json_object_new_string(msg));
	json_object_object_add(p, "input", NULL);
	json_object_array_add(list, p);
	return list;
}

static void
name_session(struct request *rq, const char *arg, const char *key, size_t len)
{
	if (strcmp(arg, "id") == 0) {
		rq->id = key;
		rq->id_len = len;
	} else {
		if (!rq->query)
			rq->query = json_object_new_object();
		json_object_object_add(rq->query, arg, json_object_new_string_len(key, (int)len));
	}
}

/*
 * A session's token reaches its own session and those that descend from it; any other is for it as if it were not there. Where none is named, its own
 * is meant. What is named in a body (event.append-any) is checked by aod alone. f has to live as long as rq.
 */
static void
keep_to_own(struct request *rq, struct found *f)
{
	const char *arg = verb_session_arg(rq->verb), *key;
	bool in_path = strcmp(arg, "id") == 0;
	struct err e = {0};

	if (strcmp(arg, "session_id") == 0)
		return;
	key = in_path ? rq->id : request_text(rq, arg);
	if (!in_path && !key)
		key = rq->who->session;
	if (query_find(key, in_path ? rq->id_len : strlen(key), f, &e) == 0 &&
	    store_session_owned(front.store, rq->who->session, f->n, &e) == 1)
		name_session(rq, arg, f->id, strlen(f->id));
	else
		name_session(rq, arg, "", 0);
}

/* The one place where aod-http decides who may do what. */
static bool
is_allowed(struct request *rq, struct found *f)
{
	const char *why;

	rq->who = auth_who(rq->req, conn_of(rq->req), &why);
	if (!rq->who || !role_may(rq->who->role, rq->verb)) {
		refuse(rq, rq->who, why);
		return false;
	}
	conn_of(rq->req)->auth.who = rq->who;
	if (rq->who->role == ROLE_SESSION && (rq->verb->perms & PERM_OWN))
		keep_to_own(rq, f);
	return true;
}

static void
call(struct request *rq, struct buf *id)
{
	struct found own;
	struct json_object *bad = NULL;
	void (*handle)(const struct request *) = handlers[rq->verb - verbs];

	rq->id = id->data ? id->data : "";
	rq->id_len = id->len;
	if (rq->query_text_len > 0) {
		struct adding a = {json_object_new_object(), rq->verb};

		rq->query = a.args;
		if (!qs_each(rq->query_text, rq->query_text_len, add_pair, &a))
			bad = problem("value_error", "query",
				      "The query string is not well encoded");
		else
			bad = verb_check(rq->verb, IN_QUERY, rq->query);
	}
	if (!is_allowed(rq, &own))
		json_object_put(bad);
	else if (bad)
		reply_invalid(rq->req, bad);
	else if (handle)
		handle(rq);
	else
		forward_action(rq);
	if (rq->query)
		json_object_put(rq->query);
}

/* ---- dispatch ---------------------------------------------------------------------------- */

static void
not_found(h2o_req_t *req, const char *allow)
{
	if (!allow) {
		reply_detail(req, 404, "Not Found");
		return;
	}
	h2o_iovec_t v = h2o_strdup(&req->pool, allow, SIZE_MAX);

	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ALLOW, NULL, v.base, v.len);
	reply_detail(req, 405, "Method Not Allowed");
}

int
route_request(h2o_handler_t *self, h2o_req_t *req)
{
	struct request rq = {.req = req};
	struct conn *c = conn_of(req);
	const char *path = req->path.base, *mark = memchr(path, '?', req->path.len), *allow = NULL;
	size_t path_len = mark ? (size_t)(mark - path) : req->path.len;
	struct verb_piece pieces[VERB_PIECES];
	char method[16] = "";
	struct buf decoded = BUF_INIT, second = BUF_INIT;

	c->used_us = mono_us();
	parse_held(req, &rq.body);
	if (mark) {
		rq.query_text = mark + 1;
		rq.query_text_len = req->path.len - path_len - 1;
	}
	if (req->method.len < sizeof(method))
		memcpy(method, req->method.base, req->method.len);
	if (!site_check(req, c))
		return 0;
	reply_cors(req);
	if (strcmp(method, "OPTIONS") == 0 && reply_preflight(req))
		return 0;
	/* HEAD is answered as GET without the body. */
	if (strcmp(method, "HEAD") == 0)
		memcpy(method, "GET", 4);
	rq.verb = verb_route(c->listener->port, method, path, path_len, pieces, &allow);
	if (!rq.verb) {
		if (c->listener->port == PORT_DASHBOARD && !allow)
			statics_get(req, method, path, path_len);
		else
			not_found(req, allow);
		return 0;
	}
	if ((pieces[0].s && !qs_decode(pieces[0].s, pieces[0].len, false, &decoded)) ||
	    (pieces[1].s && !qs_decode(pieces[1].s, pieces[1].len, false, &second)))
		reply_detail(req, 404, "Not Found");
	else {
		rq.second = second.data;
		call(&rq, &decoded);
	}
	buf_free(&decoded);
	buf_free(&second);
	return 0;
}
