/* SPDX-License-Identifier: MIT */
/*
 * doc-edit and doc-link. A document is edited here: its text is fetched, changed and written back on condition that it is still the same, so
 * that of two who edit at a time neither loses what the other did.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/args.h"
#include "ctl/doc.h"
#include "ctl/output.h"

#define EDIT_MAX (64u << 20) /* bytes */
#define EDIT_TRIES 10

/* ---- the edit ------------------------------------------------------------------------------------------ */

bool
doc_characters(const char *s, size_t size, int64_t skip, int64_t n, size_t *from, size_t *len, int64_t *total)
{
	int64_t count = 0;
	uint32_t cp;
	size_t i, end = size, one;

	*from = size;
	for (i = 0; i < size; i += one, count++) {
		if (count == skip)
			*from = i;
		/* Written so that no sum can run over. */
		if (count >= skip && count - skip == n)
			end = i;
		one = utf8_decode(s + i, size - i, &cp);
		if (!one)
			return false;
	}
	*len = *from < end ? end - *from : 0;
	*total = count;
	return true;
}

static int
edit_range(const struct doc_edit *edit, const char *text, size_t n, struct buf *out, struct json_object **info, struct err *e)
{
	struct json_object *range;
	int64_t total, new_chars;
	size_t from, len, a, b;

	if (edit->offset < 0)
		return err_set(e, -EINVAL, "offset must be non-negative");
	if (edit->length < 0)
		return err_set(e, -EINVAL, "length must be non-negative");
	if (!doc_characters(text, n, edit->offset, edit->length, &from, &len, &total))
		return err_set(e, -EINVAL, "the document is not valid UTF-8 text");
	if (edit->offset > total)
		return err_set(e, -EINVAL, "offset %" PRId64 " exceeds document length %" PRId64, edit->offset, total);
	if (edit->length > total - edit->offset)
		return err_set(e, -EINVAL, "range exceeds document length (offset=%" PRId64 ", length=%" PRId64 ", doc_length=%" PRId64 ")",
			       edit->offset, edit->length, total);
	if (!doc_characters(edit->new, strlen(edit->new), 0, 0, &a, &b, &new_chars))
		return err_set(e, -EINVAL, "the new text is not valid UTF-8");
	buf_put(out, text, from);
	buf_puts(out, edit->new);
	buf_put(out, text + from + len, n - from - len);
	range = json_object_new_object();
	json_object_object_add(range, "offset", json_object_new_int64(edit->offset));
	json_object_object_add(range, "old_length", json_object_new_int64(edit->length));
	json_object_object_add(range, "new_length", json_object_new_int64(new_chars));
	*info = json_object_new_object();
	json_object_object_add(*info, "edit_range", range);
	return 0;
}

static int
edit_string(const struct doc_edit *edit, const char *text, size_t n, struct buf *out, struct json_object **info, struct err *e)
{
	size_t len = strlen(edit->old);
	const char *p = text, *end = text + n, *hit;
	int count = 0;

	if (!len)
		return err_set(e, -EINVAL, "old_string is empty");
	for (hit = text; (hit = memmem(hit, (size_t)(end - hit), edit->old, len)); hit += len)
		count++;
	if (!count)
		return err_set(e, -EINVAL, "old_string not found in document");
	if (count > 1 && !edit->all)
		return err_set(e, -EINVAL, "old_string matches %d times; use replace_all=true or provide more context", count);
	for (; (hit = memmem(p, (size_t)(end - p), edit->old, len)); p = hit + len) {
		buf_put(out, p, (size_t)(hit - p));
		buf_puts(out, edit->new);
	}
	buf_put(out, p, (size_t)(end - p));
	*info = json_object_new_object();
	json_object_object_add(*info, "replacements_made", json_object_new_int(count));
	return 0;
}

int
doc_edit_text(const struct doc_edit *edit, const char *text, size_t n, struct buf *out, struct json_object **info, struct err *e)
{
	return edit->old ? edit_string(edit, text, n, out, info, e) : edit_range(edit, text, n, out, info, e);
}

/* ---- doc-edit ------------------------------------------------------------------------------------------ */

static int
collect(const char *p, size_t n, void *arg, struct err *e)
{
	struct buf *out = arg;

	if (out->len + n > EDIT_MAX)
		return err_set(e, -EFBIG, "the document is over %u MiB: too large to be edited", EDIT_MAX >> 20);
	buf_put(out, p, n);
	return 0;
}

/* Fetch, change, write back: 0, or -EAGAIN when somebody else wrote in between. */
static int
try_edit(struct applet_call *c, const struct doc_edit *edit, struct json_object **out, struct err *e)
{
	CLEANUP_FREE char *path = doc_path(c->args.word, ""), *etag = NULL, *type = NULL;
	struct buf text = BUF_INIT, changed = BUF_INIT;
	struct client_exchange x = { .method = "GET", .path = path, .on_data = collect, .arg = &text };
	struct json_object *info = NULL;
	int rc = client_exchange(c->client, &x, NULL, e);

	if (rc == 0) {
		const char *said = client_header(c->client, "Content-Type");

		etag = xstrdup(client_header(c->client, "ETag"));
		type = xstrdup(client_header(c->client, "Content-Type"));
		/* What the server adds for those who only read. */
		if (said && strcasestr(type, "; charset="))
			*strcasestr(type, "; charset=") = 0;
		rc = doc_edit_text(edit, text.data ? text.data : "", text.len, &changed, &info, e);
		if (rc < 0)
			err_wrap(e, "Edit failed");
	}
	if (rc == 0) {
		struct client_part body = { .text = changed.data ? changed.data : "", .size = (int64_t)changed.len, .type = type };

		rc = doc_put_content(c, &body, etag, out, e);
		if (rc < 0 && e->status == 412)
			rc = -EAGAIN;
	}
	if (rc == 0) {
		json_object_object_foreach(info, key, v)
			json_object_object_add(*out, key, json_object_get(v));
	}
	json_object_put(info);
	buf_free(&text);
	buf_free(&changed);
	return rc;
}

static int
run_edit(struct applet_call *c, const struct doc_edit *edit)
{
	struct json_object *o = NULL;
	struct err e = { 0 };
	int tries = 0, rc, code = 0;

	/* A place that is found by its text is found again; one that is counted may be another one by now. */
	do {
		e = (struct err){ 0 };
		rc = try_edit(c, edit, &o, &e);
	} while (rc == -EAGAIN && edit->old && ++tries < EDIT_TRIES);
	if (rc == -EAGAIN)
		code = applet_fail(c, "Edit failed: the document was changed at the same time");
	else if (rc == -EINVAL || rc == -EFBIG)
		code = applet_fail(c, "%s", e.text);
	else if (rc < 0)
		code = doc_refused(c, &e);
	else
		doc_print(o);
	json_object_put(o);
	return code;
}

static int
edit_from_stdin(struct applet_call *c, struct doc_edit *edit, struct json_object **whole)
{
	struct buf in = BUF_INIT;
	int r;

	if (isatty(STDIN_FILENO))
		return applet_fail(c, "No JSON input provided. Pipe JSON via stdin with --json flag.");
	r = fd_read_all(STDIN_FILENO, EDIT_MAX, &in);
	*whole = r == 0 && in.len ? js_parse(in.data, in.len) : NULL;
	buf_free(&in);
	if (!json_object_is_type(*whole, json_type_object))
		return applet_fail(c, "Invalid JSON input: %s", r < 0 ? strerror(-r) : "want an object");
	edit->old = js_str(*whole, "old_string");
	edit->new = js_str(*whole, "new_string") ? js_str(*whole, "new_string") : "";
	edit->all = js_bool(*whole, "replace_all");
	edit->offset = js_int(*whole, "offset", -1);
	edit->length = js_int(*whole, "length", 0);
	return 0;
}

int
doc_edit(struct applet_call *c)
{
	const struct applet_args *a = &c->args;
	struct doc_edit edit = {
		.old = a->value[APT_OLD], .new = a->value[APT_NEW], .all = applet_has(a, APT_ALL),
		.offset = a->number[APT_OFFSET], .length = a->number[APT_LENGTH],
	};
	struct json_object *whole = NULL;
	bool by_offset = applet_has(a, APT_OFFSET);
	int code = applet_has(a, APT_JSON) ? edit_from_stdin(c, &edit, &whole) : 0;

	if (!code && whole)
		by_offset = js_get(whole, "offset") != NULL;
	if (!code && !edit.old && !by_offset)
		code = applet_fail(c, "Must provide --old-string (string mode) or --offset (offset mode)");
	if (!code && !edit.new)
		code = applet_fail(c, "--new-string is required");
	if (!code && edit.old && by_offset)
		code = applet_fail(c, "Edit failed: Cannot mix old_string and offset modes");
	if (!code)
		code = run_edit(c, &edit);
	json_object_put(whole);
	return code;
}

/* ---- doc-link ------------------------------------------------------------------------------------------ */

/* What each side of a relation is to the other; of a type that is not here both have its name. */
static const struct relation_type {
	const char *name, *from, *to, *doc;
} relation_types[] = {
	{ "parent-child", "parent", "child", "Hierarchical relation between a document and what belongs to it." },
	{ "related", "related", "related", "Peer relation between documents." },
};

static const char *
side_of(const char *type, bool from)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(relation_types); i++)
		if (!strcmp(relation_types[i].name, type))
			return from ? relation_types[i].from : relation_types[i].to;
	return type;
}

/* The server knows a relation by its ends and its type; here that is its name. */
static char *
relation_id(const char *from, const char *type, const char *to)
{
	return xasprintf("%s:%s:%s", from, type, to);
}

static void
add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

struct json_object *
doc_relations(struct json_object *list, const char *id)
{
	struct json_object *out = json_object_new_object();
	size_t i, n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(list, i), *item = json_object_new_object(), *group;
		const char *from = js_str(row, "from"), *to = js_str(row, "to"), *type = js_str(row, "type");
		bool is_from = from && !strcmp(from, id);
		CLEANUP_FREE char *name = relation_id(from ? from : "", type ? type : "", to ? to : "");
		const char *side = side_of(type ? type : "", is_from);

		if (!json_object_object_get_ex(out, side, &group)) {
			group = json_object_new_array();
			json_object_object_add(out, side, group);
		}
		add_text(item, "id", name);
		add_text(item, "related_document_id", is_from ? to : from);
		add_text(item, "note", NULL);
		add_text(item, "created_at", js_str(row, "created_at"));
		json_object_array_add(group, item);
	}
	return out;
}

static int
link_types(void)
{
	struct json_object *out = json_object_new_array();
	size_t i;

	for (i = 0; i < ARRAY_LEN(relation_types); i++) {
		struct json_object *o = json_object_new_object();

		add_text(o, "name", relation_types[i].name);
		add_text(o, "description", relation_types[i].doc);
		add_text(o, "from_document_is", relation_types[i].from);
		add_text(o, "to_document_is", relation_types[i].to);
		json_object_array_add(out, o);
	}
	doc_print(out);
	json_object_put(out);
	return 0;
}

static struct json_object *
new_side(const char *id, const char *of, const char *other, const char *side)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "id", id);
	add_text(o, "document_id", of);
	add_text(o, "related_document_id", other);
	add_text(o, "relation_type", side);
	add_text(o, "note", NULL);
	return o;
}

static int
link_refused(struct applet_call *c, const char *id, const struct err *e)
{
	if (e->status == 404)
		return id ? applet_fail(c, "Relation not found: %s", id) : applet_fail(c, "Document not found");
	return doc_refused(c, e);
}

static int
link_create(struct applet_call *c)
{
	const char *from = c->args.value[APT_CREATE], *to = c->args.word, *type = c->args.value[APT_TYPE];
	CLEANUP_FREE char *path = doc_path(from, "/relations");
	struct buf members = BUF_INIT;
	struct json_object *out;
	struct err e = { 0 };
	int r;

	if (!to)
		return applet_fail(c, "--create requires a target document ID as argument");
	if (!type)
		return applet_fail(c, "--create requires --type option (e.g., --type parent-child or --type related)");
	if (applet_has(&c->args, APT_FROM_NOTE) || applet_has(&c->args, APT_TO_NOTE))
		return applet_fail(c, "Relations have no notes here: leave --from-note and --to-note out");
	ctl_put_member_text(&members, "to", to);
	ctl_put_member_text(&members, "type", type);
	CLEANUP_FREE char *body = xasprintf("{%s}", members.data), *id = relation_id(from, type, to);

	buf_free(&members);
	r = client_call(c->client, "POST", path, body, 0, CLIENT_REPLY_MAX, &c->reply, &e);
	if (r < 0)
		return link_refused(c, NULL, &e);
	if (client_status(c->client) == 200)
		return applet_fail(c, "Relation already exists");
	out = json_object_new_object();
	json_object_object_add(out, "success", json_object_new_boolean(1));
	add_text(out, "message", "Relation created");
	json_object_object_add(out, "from_relation", new_side(id, from, to, side_of(type, true)));
	json_object_object_add(out, "to_relation", new_side(id, to, from, side_of(type, false)));
	doc_print(out);
	json_object_put(out);
	return 0;
}

static int
link_remove(struct applet_call *c)
{
	const char *id = c->args.value[APT_REMOVE], *type = strchr(id, ':'), *to = strrchr(id, ':');
	struct json_object *out, *ids;
	struct buf query = BUF_INIT;
	struct err e = { 0 };
	int r;

	if (!type || type == to || type == id)
		return applet_fail(c, "Relation not found: %s", id);
	CLEANUP_FREE char *from = xstrndup(id, (size_t)(type - id)), *word = xstrndup(type + 1, (size_t)(to - type - 1));

	ctl_put_param(&query, "to", to + 1);
	ctl_put_param(&query, "type", word);
	CLEANUP_FREE char *tail = xasprintf("/relations?%s", query.data), *path = doc_path(from, tail);

	buf_free(&query);
	r = client_call(c->client, "DELETE", path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e);
	if (r < 0)
		return link_refused(c, id, &e);
	out = json_object_new_object();
	json_object_object_add(out, "success", json_object_new_boolean(1));
	add_text(out, "message", "Relation removed");
	ids = json_object_new_array();
	json_object_array_add(ids, json_object_new_string(id));
	json_object_object_add(out, "deleted_relation_ids", ids);
	doc_print(out);
	json_object_put(out);
	return 0;
}

int
doc_link(struct applet_call *c)
{
	const struct applet_args *a = &c->args;
	int actions = applet_has(a, APT_TYPES) + applet_has(a, APT_CREATE) + applet_has(a, APT_UPDATE) + applet_has(a, APT_REMOVE);

	if (!actions)
		return applet_fail(c, "No action specified. Use --types, --create, --update, or --remove");
	if (actions > 1)
		return applet_fail(c, "Multiple actions specified. Use only one of --types, --create, --update, or --remove");
	if (applet_has(a, APT_TYPES))
		return link_types();
	if (applet_has(a, APT_CREATE))
		return link_create(c);
	if (applet_has(a, APT_REMOVE))
		return link_remove(c);
	if (!applet_has(a, APT_NOTE))
		return applet_fail(c, "--update requires --note option");
	return applet_fail(c, "Relations have no notes here");
}
