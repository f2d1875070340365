/* SPDX-License-Identifier: MIT */
/* Queries; see query.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/util.h"
#include "http/forward.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/watch.h"

/* ---- finding ----------------------------------------------------------------------------- */

struct finding {
	struct found *found;
	struct buf *out;
};

static int
on_found(const struct session_row *s, void *arg)
{
	struct finding *f = arg;

	if (f->found) {
		f->found->n = s->n;
		f->found->last_seq = s->last_seq;
		f->found->state = s->state;
		f->found->outcome = s->outcome;
		snprintf(f->found->id, sizeof(f->found->id), "%s", s->id);
	}
	if (f->out)
		session_render(f->out, s);
	return 0;
}

int
query_render(const char *key, size_t len, struct buf *out, struct found *found, struct err *e)
{
	struct finding f = {found, out};
	int r = store_session_find(front.store, key, len, on_found, &f, e);

	if (r == -ENOENT)
		return err_set_status(e, 404, -ENOENT, "Session not found");
	return r;
}

int
query_find(const char *key, size_t len, struct found *out, struct err *e)
{
	return query_render(key, len, NULL, out, e);
}

/* ---- lists ------------------------------------------------------------------------------- */

struct listing {
	struct buf *out;
	int state, live; /* only such; -1: all */
	enum outcome outcome; /* only such; OUTCOME_NONE: all */
	int64_t skip, left;
	bool any;
};

static int
on_listed(const struct session_row *s, void *arg)
{
	struct listing *l = arg;
	struct session_row shown = *s;

	if (l->state >= 0 && (int)s->state != l->state)
		return 0;
	if (l->outcome != OUTCOME_NONE && s->outcome != l->outcome)
		return 0;
	if (l->live >= 0 && session_state_live(s->state) != l->live)
		return 0;
	if (l->skip > 0) {
		l->skip--;
		return 0;
	}
	if (l->left-- <= 0)
		return 1;
	if (l->any)
		buf_putc(l->out, ',');
	l->any = true;
	shown.last_seq = -1;
	session_render(l->out, &shown);
	return 0;
}

int
query_sessions_json(struct buf *out, struct err *e)
{
	struct listing l = {.out = out, .state = -1, .live = -1, .left = INT64_MAX};
	int r;

	buf_putc(out, '[');
	r = store_session_list(front.store, -1, 0, -1, on_listed, &l, e);
	buf_putc(out, ']');
	return r < 0 ? r : 0;
}

/*
 * Answers of session.list, each valid until the next change of a session. Events alone change nothing in them: that is why a session in
 * the list has no seq.
 */
#define LIST_CACHE 4
#define LIST_KEY_MAX 64
#define LIST_CACHE_BYTES (4u << 20) /* larger answers are not kept */

static struct list_entry {
	char key[LIST_KEY_MAX];
	size_t key_len;
	int64_t version;
	void *shared;
	size_t len;
} list_cache[LIST_CACHE];
static unsigned list_victim;

static struct list_entry *
list_lookup(const struct request *rq, int64_t version)
{
	for (struct list_entry *c = list_cache; c < list_cache + LIST_CACHE; c++)
		if (c->shared && c->version == version && c->key_len == rq->query_text_len &&
		    (c->key_len == 0 || memcmp(c->key, rq->query_text, c->key_len) == 0))
			return c;
	return NULL;
}

static void
list_remember(const struct request *rq, int64_t version, void *shared, size_t len)
{
	struct list_entry *c = &list_cache[list_victim];

	if (rq->query_text_len > LIST_KEY_MAX || len > LIST_CACHE_BYTES)
		return;
	for (struct list_entry *o = list_cache; o < list_cache + LIST_CACHE; o++)
		if (!o->shared || o->version != version) {
			c = o;
			break;
		}
	if (c == &list_cache[list_victim])
		list_victim = (list_victim + 1) % LIST_CACHE;
	if (c->shared)
		h2o_mem_release_shared(c->shared);
	h2o_mem_addref_shared(shared);
	*c = (struct list_entry){
		.key_len = rq->query_text_len, .version = version, .shared = shared, .len = len};
	if (c->key_len)
		memcpy(c->key, rq->query_text, c->key_len);
}

/* The state argument: a state's name, live or ended. False when it is none of these. */
static bool
parse_state(const char *s, int *live, int *state)
{
	*live = *state = -1;
	if (!s)
		return true;
	if (strcmp(s, "live") == 0 || strcmp(s, "ended") == 0) {
		*live = s[0] == 'l';
		return true;
	}
	*state = session_state_parse(s);
	if (*state >= 0)
		*live = session_state_live(*state);
	return *state >= 0;
}

/* The result argument. False when nothing ends so. */
static bool
parse_outcome(const char *s, enum outcome *outcome)
{
	int n = s ? outcome_parse(s) : OUTCOME_NONE;

	*outcome = n < 0 ? OUTCOME_NONE : (enum outcome)n;
	return n >= 0;
}

static void
refuse_word(const struct request *rq, const char *arg, const char *msg)
{
	struct json_object *list = json_object_new_array(), *o = json_object_new_object(), *loc = json_object_new_array();

	json_object_array_add(loc, json_object_new_string("query"));
	json_object_array_add(loc, json_object_new_string(arg));
	json_object_object_add(o, "type", json_object_new_string("literal_error"));
	json_object_object_add(o, "loc", loc);
	json_object_object_add(o, "msg", json_object_new_string(msg));
	json_object_object_add(o, "input", json_object_new_string(request_text(rq, arg)));
	json_object_array_add(list, o);
	reply_invalid(rq->req, list);
}

typedef int (*relatives)(struct store *s, const char *id, store_session_cb cb, void *arg, struct err *e);

/* Whose relatives are asked for, and which: *each is NULL when all sessions are. A session sees no more than its own tree. */
static int
find_top(const struct request *rq, relatives *each, struct found *top, struct err *e)
{
	const char *asker = rq->who->role == ROLE_SESSION ? rq->who->session : NULL;
	const char *tree = request_text(rq, "tree"), *parent = request_text(rq, "parent"), *key = tree ? tree : parent ? parent : asker;
	int r;

	*each = !key ? NULL : key == parent ? store_session_children : store_session_family;
	if (!key)
		return 0;
	r = query_find(key, strlen(key), top, e);
	if (r == 0 && asker && (r = store_session_owned(front.store, asker, top->n, e)) == 0)
		return err_set_status(e, 404, -ENOENT, "Session not found");
	return r < 0 ? r : 0;
}

void
query_list(const struct request *rq)
{
	relatives each;
	struct found top;
	int64_t version = store_last_change(front.store);
	struct list_entry *c = rq->who->role == ROLE_SESSION ? NULL : list_lookup(rq, version);
	struct buf b = BUF_INIT;
	struct err e = {0};
	enum outcome outcome;
	int live, state, r;

	if (c) {
		reply_shared(rq->req, 200, NULL, c->shared, c->len);
		return;
	}
	if (!parse_state(request_text(rq, "state"), &live, &state)) {
		refuse_word(rq, "state", "Input should be a state of sessions, 'live' or 'ended'");
		return;
	}
	if (!parse_outcome(request_text(rq, "result"), &outcome)) {
		refuse_word(rq, "result", "Input should be a result of sessions, such as 'success' or 'timeout'");
		return;
	}
	if (find_top(rq, &each, &top, &e) < 0) {
		reply_err(rq->req, &e);
		return;
	}
	struct listing l = {.out = &b, .state = state, .outcome = outcome, .live = -1};
	int64_t limit = request_int(rq, "limit", -1), offset = request_int(rq, "offset", 0);

	l.left = limit < 0 ? INT64_MAX : limit;
	buf_puts(&b, "{\"sessions\":[");
	if (each) {
		l.live = live;
		l.skip = offset;
		r = each(front.store, top.id, on_listed, &l, &e);
	} else if (state >= 0 || outcome != OUTCOME_NONE) {
		/* The store tells live from ended; a single state or result is picked out here. */
		l.skip = offset;
		r = store_session_list(front.store, live, 0, -1, on_listed, &l, &e);
	} else {
		r = store_session_list(front.store, live, offset, limit, on_listed, &l, &e);
	}
	buf_puts(&b, "]}");
	if (r < 0) {
		reply_err(rq->req, &e);
	} else {
		void *shared = h2o_mem_alloc_shared(NULL, b.len, NULL);

		memcpy(shared, b.data, b.len);
		if (version >= 0 && rq->who->role != ROLE_SESSION)
			list_remember(rq, version, shared, b.len);
		reply_shared(rq->req, 200, NULL, shared, b.len);
		h2o_mem_release_shared(shared);
	}
	buf_free(&b);
}

/* ---- one session ------------------------------------------------------------------------- */

void
query_session(const struct request *rq)
{
	struct buf b = BUF_INIT;
	struct err e = {0};
	struct found f;

	buf_puts(&b, "{\"session\":");
	if (query_render(rq->id, rq->id_len, &b, &f, &e) < 0) {
		reply_err(rq->req, &e);
	} else if (f.state == SESSION_QUEUED) {
		/* Where it stands, and for what it waits, is known to aod alone. */
		struct buf args = BUF_INIT;

		buf_puts(&args, "{\"id\":");
		buf_put_json_str(&args, f.id);
		buf_putc(&args, '}');
		forward_send(rq->req, verb_find("session.queue"), args.data, args.len);
		buf_free(&args);
	} else {
		buf_putc(&b, '}');
		reply_buf(rq->req, 200, &b);
	}
	buf_free(&b);
}

void
query_result(const struct request *rq)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct err e = {0};
	struct found f;
	int r = query_find(rq->id, rq->id_len, &f, &e);

	if (r < 0) {
		reply_err(rq->req, &e);
	} else if (session_state_busy(f.state)) {
		reply_detail(rq->req, 400, "Session not finished");
	} else if ((r = store_session_result(front.store, f.n, &text, &e)) == -ENODATA ||
		   r == -ENOENT) {
		reply_detail(rq->req, 404, "No result found");
	} else if (r < 0) {
		reply_err(rq->req, &e);
	} else {
		buf_puts(&b, "{\"result\":");
		buf_put_json(&b, text.data ? text.data : "", text.len);
		buf_putc(&b, '}');
		reply_buf(rq->req, 200, &b);
	}
	buf_free(&text);
	buf_free(&b);
}

void
query_plan(const struct request *rq)
{
	struct buf plan = BUF_INIT, b = BUF_INIT;
	struct err e = {0};
	struct found f;
	int r = query_find(rq->id, rq->id_len, &f, &e);

	if (r < 0) {
		reply_err(rq->req, &e);
		return;
	}
	r = store_run_plan(front.store, f.n, request_int(rq, "run", 0), &plan, &e);
	if (r == -ENOENT) {
		reply_detail(rq->req, 404, "No such run");
	} else if (r < 0) {
		reply_err(rq->req, &e);
	} else {
		buf_puts(&b, "{\"plan\":");
		buf_put(&b, plan.data, plan.len);
		buf_putc(&b, '}');
		reply_buf(rq->req, 200, &b);
	}
	buf_free(&plan);
	buf_free(&b);
}

void
query_health(const struct request *rq)
{
	struct conn *c = conn_of(rq->req);

	/* A look into the database is part of being well; without aod this process would have
	 * ended. */
	if (store_last_id(front.store) < 0)
		reply_detail(rq->req, 503, "The database cannot be read");
	else if (c->listener->port == PORT_CONTEXT)
		reply_json(rq->req, 200,
			   H2O_STRLIT("{\"status\":\"healthy\",\"service\":\"context-store\"}"));
	else
		reply_json(rq->req, 200, H2O_STRLIT("{\"status\":\"healthy\"}"));
}

/* ---- status, at once or when it is not live any more ------------------------------------- */

struct poll {
	struct watch watch;
	h2o_req_t *req;
	struct conn *conn;
	int64_t deadline_us;
	char id[201];
};

static void
reply_status(h2o_req_t *req, const char *word)
{
	char body[64];
	int n = snprintf(body, sizeof(body), "{\"status\":\"%s\"}", word);

	reply_json(req, 200, body, (size_t)n);
}

static void
poll_dispose(void *arg)
{
	struct poll *p = arg;

	watch_remove(&p->watch);
	conn_unwatch(p->conn);
}

static bool
poll_check(struct watch *w, int64_t now)
{
	struct poll *p = H2O_STRUCT_FROM_MEMBER(struct poll, watch, w);
	struct err e = {0};
	struct found f;
	int r = query_find(p->id, strlen(p->id), &f, &e);

	if (r == 0 && session_state_busy(f.state) && now < p->deadline_us && !front.quitting)
		return false;
	watch_remove(w);
	conn_unwatch(p->conn);
	if (r == 0)
		reply_status(p->req, session_state_status(f.state));
	else if (r == -ENOENT)
		reply_status(p->req, "not_existent");
	else
		reply_err(p->req, &e);
	return true;
}

/* The client left: finish the request, h2o then closes the connection. */
static void
poll_gone(void *arg)
{
	struct poll *p = arg;

	watch_remove(&p->watch);
	p->req->http1_is_persistent = 0;
	reply_status(p->req, "running");
}

static void
poll_start(const struct request *rq, const struct found *f, int64_t wait_s)
{
	struct poll *p = h2o_mem_alloc_shared(&rq->req->pool, sizeof(*p), poll_dispose);

	memset(p, 0, sizeof(*p));
	p->req = rq->req;
	p->conn = conn_of(rq->req);
	p->deadline_us = p->watch.wake_us = mono_us() + wait_s * 1000000;
	p->watch.check = poll_check;
	memcpy(p->id, f->id, sizeof(p->id));
	watch_add(&p->watch);
	conn_watch(p->conn, poll_gone, p);
}

void
query_status(const struct request *rq)
{
	struct err e = {0};
	struct found f;
	int64_t wait_s = request_int(rq, "wait", 0);
	int r = query_find(rq->id, rq->id_len, &f, &e);

	if (r == -ENOENT)
		reply_status(rq->req, "not_existent");
	else if (r < 0)
		reply_err(rq->req, &e);
	else if (wait_s > 0 && session_state_busy(f.state) && !front.quitting &&
		 !reply_is_head(rq->req))
		poll_start(rq, &f, wait_s);
	else
		reply_status(rq->req, session_state_status(f.state));
}
