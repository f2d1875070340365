/* SPDX-License-Identifier: MIT */
/* Queries about blueprints; see agents.h. Called by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/diff.h"
#include "base/util.h"
#include "http/agents.h"
#include "http/forward.h"
#include "http/reply.h"
#include "http/server.h"
#include "model/blueprint.h"

#define HISTORY_MAX 1000
#define TEXT_PLAIN "text/plain; charset=utf-8"

/* ---- finding ----------------------------------------------------------------------------------- */

struct nearest {
	const char *name;
	char best[200];
	int distance, max;
};

static int
on_near(const struct blueprint_row *row, void *arg)
{
	struct nearest *n = arg;
	int d = str_distance(n->name, row->name, n->max);

	if (d < n->distance && strcmp(row->status, "masked")) {
		n->distance = d;
		snprintf(n->best, sizeof(n->best), "%s", row->name);
	}
	return 0;
}

static void
not_found(const struct request *rq)
{
	int max = str_distance_max(rq->id);
	struct nearest n = {.name = rq->id, .distance = max + 1, .max = max};
	CLEANUP_FREE char *text = NULL;

	store_blueprint_list(front.store, on_near, &n, NULL);
	text = n.distance <= max ? xasprintf("Agent not found: %s (did you mean %s?)", rq->id, n.best)
			      : xasprintf("Agent not found: %s", rq->id);
	reply_detail(rq->req, 404, text);
}

struct getting {
	const struct request *rq;
	int (*use)(const struct request *rq, const char *name, const struct blueprint_row *row);
	char *alias_of; /* out */
};

static int
on_got(const struct blueprint_row *row, void *arg)
{
	struct getting *g = arg;

	if (row->alias_of) {
		g->alias_of = xstrdup(row->alias_of);
		return 0;
	}
	return g->use(g->rq, g->rq->id, row);
}

/* One that is an alias is looked up again; an instance without files of its own is its template. */
static void
with_blueprint(const struct request *rq, int (*use)(const struct request *rq, const char *name,
						    const struct blueprint_row *row))
{
	struct getting g = {rq, use, NULL};
	size_t at = strcspn(rq->id, "@");
	struct err e = {0};
	int r = store_blueprint_get(front.store, rq->id, rq->id_len, on_got, &g, &e);

	if (r == -ENOENT && rq->id[at] && rq->id[at + 1] && blueprint_name_ok(rq->id))
		r = store_blueprint_get(front.store, rq->id, at + 1, on_got, &g, &e);
	if (r == 0 && g.alias_of) {
		CLEANUP_FREE char *name = g.alias_of;

		g.alias_of = NULL;
		r = store_blueprint_get(front.store, name, strlen(name), on_got, &g, &e);
		free(g.alias_of);
	}
	if (r == -ENOENT)
		not_found(rq);
	else if (r < 0)
		reply_err(rq->req, &e);
}

/* ---- lists ------------------------------------------------------------------------------------- */

struct listing {
	struct buf *out;
	bool all, any;
	bool names_only; /* settings may hold keys that are not for agents */
};

/* What old clients are shown: what is whole and can be started by its name, active or not. */
static bool
is_listed(const struct blueprint_row *row)
{
	size_t n = strlen(row->name);

	return (!strcmp(row->status, "active") || !strcmp(row->status, "inactive")) && n > 0 &&
	       row->name[n - 1] != '@';
}

static void
put_name(struct buf *out, const struct blueprint_row *row)
{
	struct json_object *o = json_tokener_parse(row->json), *description = NULL;

	json_object_object_get_ex(o, "description", &description);
	buf_puts(out, "{\"name\":");
	buf_put_json_str(out, row->name);
	buf_puts(out, ",\"description\":");
	buf_put_json_str(out, json_object_get_string(description));
	buf_printf(out, ",\"status\":\"%s\"}", row->status);
	json_object_put(o);
}

static int
on_listed(const struct blueprint_row *row, void *arg)
{
	struct listing *l = arg;

	if (!l->all && !is_listed(row))
		return 0;
	if (l->any)
		buf_putc(l->out, ',');
	l->any = true;
	if (l->names_only)
		put_name(l->out, row);
	else
		buf_put(l->out, row->json, row->json_len);
	return 0;
}

/* Both lists, each valid until a blueprint changes. */
static struct kept {
	int64_t changes;
	void *shared;
	size_t len;
} kept[2];

void
agents_list(const struct request *rq)
{
	struct kept *k = &kept[request_bool(rq, "all")];
	int64_t changes = store_blueprint_changes(front.store);
	struct buf b = BUF_INIT;
	struct listing l = {.out = &b, .all = k == &kept[1], .names_only = rq->who->role == ROLE_SESSION};
	struct err e = {0};

	if (!l.names_only && k->shared && changes >= 0 && k->changes == changes) {
		reply_shared(rq->req, 200, NULL, k->shared, k->len);
		return;
	}
	buf_putc(&b, '[');
	if (store_blueprint_list(front.store, on_listed, &l, &e) < 0) {
		reply_err(rq->req, &e);
		buf_free(&b);
		return;
	}
	buf_putc(&b, ']');
	if (l.names_only) {
		reply_buf(rq->req, 200, &b);
		buf_free(&b);
		return;
	}
	if (k->shared)
		h2o_mem_release_shared(k->shared);
	*k = (struct kept){changes, h2o_mem_alloc_shared(NULL, b.len, NULL), b.len};
	memcpy(k->shared, b.data, b.len);
	reply_shared(rq->req, 200, NULL, k->shared, k->len);
	buf_free(&b);
}

/* ---- one --------------------------------------------------------------------------------------- */

static void
add_etag(h2o_req_t *req, int64_t version)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "\"%lld\"", (long long)version);
	h2o_iovec_t v = h2o_strdup(&req->pool, text, (size_t)n);

	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, v.base, v.len);
}

static int
give_blueprint(const struct request *rq, const char *name, const struct blueprint_row *row)
{
	const char *format = request_text(rq, "format");
	struct buf b = BUF_INIT, whole = BUF_INIT;

	if (!strcmp(row->status, "masked")) {
		CLEANUP_FREE char *text =
			xasprintf("Agent not found: %s (masked by %s)", name, row->path);

		reply_detail(rq->req, 404, text);
		return 0;
	}
	add_etag(rq->req, row->version);
	if (format && !strcmp(format, "unit")) {
		reply_body(rq->req, 200, TEXT_PLAIN, row->text, row->text_len);
		return 0;
	}
	store_blueprint_json(&b, row);
	if (strchr(row->name, '@') && !strchr(row->name, '@')[1] && strcmp(name, row->name) &&
	    strchr(name, '@')) {
		/* The instance, in its template's words: name is the first member. */
		size_t skip = strlen("{\"name\":\"\"") + strlen(row->name);

		buf_puts(&whole, "{\"name\":");
		buf_put_json_str(&whole, name);
		buf_put(&whole, b.data + skip, b.len - skip);
	}
	reply_buf(rq->req, 200, whole.len ? &whole : &b);
	buf_free(&whole);
	buf_free(&b);
	return 0;
}

/* ---- versions ---------------------------------------------------------------------------------- */

/* The name that the versions of rq->id are under. */
static int
on_name(const struct blueprint_row *row, void *arg)
{
	*(char **)arg = xstrdup(row->alias_of ? row->alias_of : row->name);
	return 0;
}

static char *
versions_name(const struct request *rq)
{
	size_t at = strcspn(rq->id, "@");
	char *name = NULL;

	if (store_blueprint_get(front.store, rq->id, rq->id_len, on_name, &name, NULL) == -ENOENT &&
	    rq->id[at] && rq->id[at + 1])
		store_blueprint_get(front.store, rq->id, at + 1, on_name, &name, NULL);
	return name ? name : xstrdup(rq->id);
}

static void
put_version(struct buf *out, const struct version_row *v)
{
	char time[TIME_ISO_SIZE];

	buf_printf(out, "\"version\":%lld,\"time\":\"%s\",\"author\":", (long long)v->version,
		   time_iso(v->time_us, time));
	buf_put_json_str(out, v->author);
	buf_puts(out, ",\"action\":");
	buf_put_json_str(out, v->action);
}

static int
give_version(const struct version_row *v, void *arg)
{
	const struct request *rq = arg;
	const char *format = request_text(rq, "format");
	struct buf b = BUF_INIT;

	if (format && !strcmp(format, "unit")) {
		reply_body(rq->req, 200, TEXT_PLAIN, v->text, v->unit_bytes);
		return 0;
	}
	buf_puts(&b, "{\"name\":");
	buf_put_json_str(&b, v->name);
	buf_putc(&b, ',');
	put_version(&b, v);
	buf_puts(&b, ",\"text\":");
	buf_put_json(&b, v->text, v->unit_bytes);
	buf_puts(&b, ",\"files\":");
	buf_put(&b, v->files, v->files_len);
	buf_putc(&b, '}');
	reply_buf(rq->req, 200, &b);
	buf_free(&b);
	return 0;
}

static void
get_version(const struct request *rq, int64_t version)
{
	CLEANUP_FREE char *name = versions_name(rq);
	struct err e = {0};

	if (store_version_get(front.store, name, strlen(name), version, give_version, (void *)rq,
			      &e) < 0)
		reply_err(rq->req, &e);
}

void
agents_get(const struct request *rq)
{
	const char *format = request_text(rq, "format");
	int64_t version = request_int(rq, "version", 0);

	if (format && strcmp(format, "unit") && strcmp(format, "json"))
		reply_invalid(rq->req,
			      json_tokener_parse(
				      "[{\"type\":\"literal_error\",\"loc\":[\"query\",\"format\"],"
				      "\"msg\":"
				      "\"Input should be 'json' or 'unit'\",\"input\":null}]"));
	else if (version)
		get_version(rq, version);
	else
		with_blueprint(rq, give_blueprint);
}

static int
on_version(const struct version_row *v, void *arg)
{
	struct buf *b = arg;

	buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	put_version(b, v);
	buf_putc(b, '}');
	return 0;
}

void
agents_history(const struct request *rq)
{
	CLEANUP_FREE char *name = versions_name(rq);
	struct buf b = BUF_INIT;
	struct err e = {0};

	buf_puts(&b, "{\"name\":");
	buf_put_json_str(&b, name);
	buf_puts(&b, ",\"versions\":[");
	if (store_version_list(front.store, name, strlen(name),
			       request_int(rq, "limit", HISTORY_MAX), on_version, &b, &e) < 0) {
		reply_err(rq->req, &e);
	} else if (b.data[b.len - 1] == '[') {
		not_found(rq);
	} else {
		buf_puts(&b, "]}");
		reply_buf(rq->req, 200, &b);
	}
	buf_free(&b);
}

struct text {
	int64_t version;
	struct buf text;
};

static int
copy_version(const struct version_row *v, void *arg)
{
	struct text *t = arg;

	t->version = v->version;
	buf_put(&t->text, v->text, v->text_len);
	return 0;
}

static void
reply_diff(const struct request *rq, const char *name, const struct text *from,
	   const struct text *to)
{
	CLEANUP_FREE char *from_name =
		xasprintf("%s (version %lld)", name, (long long)from->version);
	CLEANUP_FREE char *to_name = xasprintf("%s (version %lld)", name, (long long)to->version);
	struct buf diff = BUF_INIT, b = BUF_INIT;

	diff_unified(&diff, from_name, from->text.data, from->text.len, to_name, to->text.data,
		     to->text.len);
	buf_puts(&b, "{\"name\":");
	buf_put_json_str(&b, name);
	buf_printf(&b, ",\"from\":%lld,\"to\":%lld,\"diff\":", (long long)from->version,
		   (long long)to->version);
	buf_put_json(&b, diff.data ? diff.data : "", diff.len);
	buf_putc(&b, '}');
	reply_buf(rq->req, 200, &b);
	buf_free(&diff);
	buf_free(&b);
}

void
agents_diff(const struct request *rq)
{
	CLEANUP_FREE char *name = versions_name(rq);
	struct text from = {0, BUF_INIT}, to = {0, BUF_INIT};
	struct err e = {0};
	int64_t first;
	int r = store_version_get(front.store, name, strlen(name), request_int(rq, "to", 0),
				  copy_version, &to, &e);

	if (r == 0) {
		first = request_int(rq, "from", to.version - 1);
		/* Before the first one there was nothing. */
		if (first > 0)
			r = store_version_get(front.store, name, strlen(name), first, copy_version,
					      &from, &e);
	}
	if (r == -ENOENT && !request_has(rq, "to") && !request_has(rq, "from"))
		not_found(rq);
	else if (r < 0)
		reply_err(rq->req, &e);
	else
		reply_diff(rq, name, &from, &to);
	buf_free(&from.text);
	buf_free(&to.text);
}

/* ---- without the database ---------------------------------------------------------------------- */

void
agents_schema(const struct request *rq)
{
	static struct buf schema; /* the table does not change while the program runs */

	if (!schema.len)
		blueprint_schema(&schema);
	reply_body(rq->req, 200, "application/schema+json", schema.data, schema.len);
}

static int
check_text(const char *name, const char *text, size_t n, struct blueprint_problems *p)
{
	CLEANUP_FREE char *path = xasprintf("%s.blueprint", name);
	struct blueprint *b = blueprint_new(name, path);

	blueprint_add(b, path, text, n, p);
	blueprint_lint(b, p);
	blueprint_free(b);
	return p->errors;
}

bool
agents_text_ok(const struct request *rq, const char *text, size_t n)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct err first = {0};
	struct buf b = BUF_INIT;
	int errors = check_text(rq->id, text, n, &p);

	if (errors) {
		blueprint_problems_err(&p, &first);
		reply_detail_text(&b, first.text);
		b.len--; /* one more member */
		buf_puts(&b, ",\"problems\":");
		blueprint_problems_json(&b, &p);
		buf_putc(&b, '}');
		reply_buf(rq->req, 422, &b);
		buf_free(&b);
	}
	blueprint_problems_free(&p);
	return errors == 0;
}

static void
validate(const struct request *rq, const char *name, const char *text, size_t n)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct buf b = BUF_INIT;

	buf_printf(&b, "{\"ok\":%s,\"problems\":",
		   check_text(name && *name ? name : "unit", text, n, &p) ? "false" : "true");
	blueprint_problems_json(&b, &p);
	buf_putc(&b, '}');
	reply_buf(rq->req, 200, &b);
	buf_free(&b);
	blueprint_problems_free(&p);
}

void
agents_validate(const struct request *rq)
{
	struct json_object *bad = NULL, *args, *unit = NULL, *name = NULL;
	const h2o_iovec_t *body = &rq->req->entity;

	if (forward_is_text(rq)) {
		/* As it came: what is no UTF-8 is told with its place. */
		validate(rq, request_text(rq, "name"), body->base ? body->base : "", body->len);
		return;
	}
	args = forward_args(rq, &bad);
	if (!args) {
		reply_invalid(rq->req, bad);
		return;
	}
	json_object_object_get_ex(args, "unit", &unit);
	json_object_object_get_ex(args, "name", &name);
	validate(rq, name ? json_object_get_string(name) : NULL, json_object_get_string(unit),
		 (size_t)json_object_get_string_len(unit));
	json_object_put(args);
}
