/* SPDX-License-Identifier: MIT */
/* doc-*: documents in and out, and lists of them. Content goes through in pieces, whatever its size. See applet.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/applet-run.h"
#include "ctl/args.h"
#include "ctl/doc.h"
#include "ctl/output.h"
#include "model/mime.h"

#define SEARCH_LIMIT 10

/* ---- shared -------------------------------------------------------------------------------------------- */

int
doc_refused(const struct applet_call *c, const struct err *e)
{
	if (e->code == -EINTR) {
		applet_fail(c, "%s", e->text);
		return 130;
	}
	if (e->status == 404)
		return applet_fail(c, "Document not found: %s", c->args.word ? c->args.word : "");
	if (e->status)
		return applet_fail(c, "HTTP error %d: %s", e->status, e->text);
	return applet_fail(c, "Network error: %s", e->text);
}

char *
doc_path(const char *id, const char *tail)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "/documents/");
	ctl_put_escaped(&b, id);
	buf_puts(&b, tail);
	return buf_steal(&b);
}

static void
put_indent(struct buf *out, int depth)
{
	buf_putc(out, '\n');
	while (depth-- > 0)
		buf_puts(out, "  ");
}

static void
put_json(struct buf *out, struct json_object *v, int depth)
{
	bool array = json_object_is_type(v, json_type_array), any = false;
	size_t i;

	if (json_object_is_type(v, json_type_string)) {
		buf_put_json(out, json_object_get_string(v), (size_t)json_object_get_string_len(v));
		return;
	}
	if (!array && !json_object_is_type(v, json_type_object)) {
		buf_puts(out, v ? json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN) : "null");
		return;
	}
	buf_putc(out, array ? '[' : '{');
	for (i = 0; array && i < json_object_array_length(v); i++) {
		buf_puts(out, any ? "," : "");
		put_indent(out, depth + 1);
		put_json(out, json_object_array_get_idx(v, i), depth + 1);
		any = true;
	}
	if (!array) {
		json_object_object_foreach(v, key, member)
		{
			buf_puts(out, any ? "," : "");
			put_indent(out, depth + 1);
			buf_put_json_str(out, key);
			buf_puts(out, ": ");
			put_json(out, member, depth + 1);
			any = true;
		}
	}
	if (any)
		put_indent(out, depth);
	buf_putc(out, array ? ']' : '}');
}

void
doc_put_json(struct buf *out, struct json_object *v)
{
	put_json(out, v, 0);
}

void
doc_print(struct json_object *v)
{
	struct buf b = BUF_INIT;

	doc_put_json(&b, v);
	buf_putc(&b, '\n');
	applet_print(b.data, b.len);
	buf_free(&b);
}

/* One request whose answer is printed as it is. Returns the exit status. */
static int
ask(struct applet_call *c, const char *method, const char *path)
{
	struct json_object *o = NULL;
	struct err e = { 0 };

	if (applet_call_json(c, method, path, NULL, &o, &e) < 0)
		return doc_refused(c, &e);
	doc_print(o);
	json_object_put(o);
	return 0;
}

char *
doc_tags(const char *list)
{
	struct buf b = BUF_INIT;

	while (list && *list) {
		size_t n = strcspn(list, ","), from = 0, to = n;

		while (from < to && isspace((unsigned char)list[from]))
			from++;
		while (to > from && isspace((unsigned char)list[to - 1]))
			to--;
		if (to > from) {
			buf_puts(&b, b.len ? "," : "");
			buf_put(&b, list + from, to - from);
		}
		list += n + (list[n] == ',');
	}
	return buf_steal(&b);
}

/* ---- progress ------------------------------------------------------------------------------------------ */

void
doc_put_size(struct buf *out, int64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buf_printf(out, "%" PRId64 " B", bytes);
		return;
	}
	while (v >= 1023.95 && i + 1 < ARRAY_LEN(units)) {
		v /= 1024;
		i++;
	}
	buf_printf(out, "%.1f %s", v, units[i]);
}

void
doc_progress(int64_t sent, int64_t received, void *arg)
{
	struct doc_progress *p = arg;
	int64_t now = mono_us(), done = p->before + (p->upload ? sent : received);
	struct buf b = BUF_INIT;

	if (!p->start_us)
		p->start_us = p->shown_us = now;
	/* Nobody wants to see it of what is there in a moment. */
	if (!look_err.tty || now - p->shown_us < (p->shown ? PROGRESS_EVERY_US : PROGRESS_AFTER_US) || done > (p->total > 0 ? p->total : INT64_MAX))
		return;
	p->shown_us = now;
	p->shown = true;
	put_cut(&b, &look_err, p->name, strlen(p->name), 30);
	buf_puts(&b, "  ");
	doc_put_size(&b, done);
	if (p->total > 0) {
		buf_puts(&b, " of ");
		doc_put_size(&b, p->total);
		buf_printf(&b, " (%d%%)", (int)(100 * done / p->total));
	}
	buf_puts(&b, ", ");
	doc_put_size(&b, (int64_t)((double)(done - p->before) * 1e6 / (double)(now - p->start_us + 1)));
	fprintf(stderr, "\r%s/s\033[K", b.data);
	fflush(stderr);
	buf_free(&b);
}

void
doc_progress_end(struct doc_progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
}

/* ---- push, create, write ------------------------------------------------------------------------------- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* {"description": …} for the form; NULL: there is none. */
static char *
metadata(const struct applet_call *c)
{
	const char *text = c->args.value[APT_DESCRIPTION];
	struct buf b = BUF_INIT;

	if (!text || !*text)
		return NULL;
	buf_puts(&b, "{\"description\":");
	buf_put_json_str(&b, text);
	buf_putc(&b, '}');
	return buf_steal(&b);
}

/* POST /documents with a form. file has all but its name. Prints the document. */
static int
post(struct applet_call *c, struct client_part *file)
{
	CLEANUP_FREE char *tags = doc_tags(c->args.value[APT_TAGS]), *meta = metadata(c);
	struct doc_progress progress = { .name = file->filename, .upload = true, .total = file->size };
	struct client_part parts[3];
	struct client_exchange x = { .method = "POST", .path = "/documents", .parts = parts, .on_progress = doc_progress, .progress_arg = &progress };
	struct json_object *o;
	struct err e = { 0 };
	int n = 0, r;

	/* What is small comes first, so that the server knows it before the content. */
	if (*tags)
		parts[n++] = (struct client_part){ .name = "tags", .text = tags };
	if (meta)
		parts[n++] = (struct client_part){ .name = "metadata", .text = meta };
	file->name = "file";
	parts[n++] = *file;
	x.part_count = n;
	r = client_exchange(c->client, &x, &c->reply, &e);
	doc_progress_end(&progress);
	if (r < 0)
		return doc_refused(c, &e);
	o = js_parse(c->reply.data ? c->reply.data : "", c->reply.len);
	if (!o)
		return applet_fail(c, "The server's answer is no JSON");
	doc_print(o);
	json_object_put(o);
	return 0;
}

int
doc_push(struct applet_call *c)
{
	const char *path = c->args.word, *name = c->args.value[APT_NAME];
	bool in = !strcmp(path, "-");
	struct client_part file = { .fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), .size = -1 };
	struct stat st;
	int code;

	if (in && (!name || !*name))
		return applet_fail(c, "What comes from standard input needs a name: --name");
	if (file.fd < 0 && errno == ENOENT)
		return applet_fail(c, "File not found: %s", path);
	if (file.fd < 0 || fstat(file.fd, &st) < 0)
		return applet_fail(c, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		code = applet_fail(c, "%s: %s", path, strerror(EISDIR));
	} else {
		if (S_ISREG(st.st_mode) && lseek(file.fd, 0, SEEK_CUR) == 0)
			file.size = st.st_size;
		file.filename = name && *name ? name : base_name(path);
		/* By the file that it is, whatever it is called in future; where that says nothing, by what it is called. */
		file.type = mime_guess(in ? name : path);
		if (!strcmp(file.type, mime_guess("")))
			file.type = mime_guess(file.filename);
		code = post(c, &file);
	}
	if (!in)
		close(file.fd);
	return code;
}

int
doc_create(struct applet_call *c)
{
	const char *name = c->args.value[APT_NAME];
	struct client_part file = { .text = "", .filename = name, .type = mime_guess(name) };

	return post(c, &file);
}

int
doc_put_content(struct applet_call *c, const struct client_part *body, const char *etag, struct json_object **out, struct err *e)
{
	CLEANUP_FREE char *path = doc_path(c->args.word, ""), *match = etag ? xasprintf("If-Match: %s", etag) : NULL;
	const char *const headers[] = { match, NULL };
	struct doc_progress progress = { .name = c->args.word, .upload = true, .total = body->size };
	struct client_exchange x = {
		.method = "PUT", .path = path, .headers = headers, .body = body, .on_progress = doc_progress, .progress_arg = &progress,
	};
	int r = client_exchange(c->client, &x, &c->reply, e);

	doc_progress_end(&progress);
	if (r < 0)
		return r;
	*out = js_parse(c->reply.data ? c->reply.data : "", c->reply.len);
	return *out ? 0 : err_set(e, -EPROTO, "the server's answer is no JSON");
}

int
doc_write(struct applet_call *c)
{
	CLEANUP_FREE char *path = doc_path(c->args.word, "/metadata");
	const char *text = c->args.value[APT_CONTENT];
	struct client_part body = { .text = text, .fd = STDIN_FILENO, .size = -1 };
	struct json_object *o = NULL, *now = NULL;
	struct err e = { 0 };
	struct stat st;
	int code = 0;

	if (!text && isatty(STDIN_FILENO))
		return applet_fail(c, "No content provided. Use --content or pipe content via stdin.");
	if (!text && !fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode) && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0)
		body.size = st.st_size;
	/* It stays what it is: a name says less than the one who made it knew. */
	if (applet_call_json(c, "GET", path, NULL, &o, &e) < 0)
		return doc_refused(c, &e);
	body.type = js_str(o, "content_type");
	if (doc_put_content(c, &body, NULL, &now, &e) < 0)
		code = doc_refused(c, &e);
	else
		doc_print(now);
	json_object_put(now);
	json_object_put(o);
	return code;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

int
doc_info(struct applet_call *c)
{
	CLEANUP_FREE char *path = doc_path(c->args.word, "/metadata"), *more = doc_path(c->args.word, "/relations");
	struct json_object *o = NULL, *relations = NULL;
	struct err e = { 0 };

	if (applet_call_json(c, "GET", path, NULL, &o, &e) < 0)
		return doc_refused(c, &e);
	/* A server that knows of no relations has none to show. */
	if (json_object_is_type(o, json_type_object) && applet_call_json(c, "GET", more, NULL, &relations, &e) == 0)
		json_object_object_add(o, "relations", doc_relations(relations, c->args.word));
	doc_print(o);
	json_object_put(relations);
	json_object_put(o);
	return 0;
}

int
doc_query(struct applet_call *c)
{
	CLEANUP_FREE char *tags = doc_tags(c->args.value[APT_TAGS]);
	const char *name = c->args.value[APT_NAME];
	struct buf query = BUF_INIT;

	if (name && *name)
		ctl_put_param(&query, "filename", name);
	if (*tags)
		ctl_put_param(&query, "tags", tags);
	if (c->args.number[APT_LIMIT])
		ctl_put_param_int(&query, "limit", c->args.number[APT_LIMIT]);
	if (applet_has(&c->args, APT_RELATIONS))
		ctl_put_param(&query, "include_relations", "true");
	CLEANUP_FREE char *path = xasprintf("/documents%s%s", query.len ? "?" : "", query.len ? query.data : "");

	buf_free(&query);
	return ask(c, "GET", path);
}

int
doc_search(struct applet_call *c)
{
	struct buf query = BUF_INIT;

	ctl_put_param(&query, "q", c->args.word);
	ctl_put_param_int(&query, "limit", applet_has(&c->args, APT_LIMIT) ? c->args.number[APT_LIMIT] : SEARCH_LIMIT);
	if (applet_has(&c->args, APT_RELATIONS))
		ctl_put_param(&query, "include_relations", "true");
	CLEANUP_FREE char *path = xasprintf("/documents/search?%s", query.data);

	buf_free(&query);
	return ask(c, "GET", path);
}

int
doc_delete(struct applet_call *c)
{
	CLEANUP_FREE char *path = doc_path(c->args.word, "");

	return ask(c, "DELETE", path);
}
