/* SPDX-License-Identifier: MIT */
/*
 * aoctl import of the databases of an older installation. Ids are kept, and what is there already is left alone: it may be repeated, and one that
 * was broken off goes on.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "ctl/cmd-import.h"
#include "ctl/doc.h"
#include "ctl/old-store.h"
#include "ctl/output.h"
#include "ctl/stream.h"

#define BATCH (4u << 20) /* bytes of events in one request */

struct importer {
	struct report *rep;
	struct ctl *c;
	struct old_store *store;
	const char *path;  /* of the database */
	const char *files; /* as given, or NULL */
	bool dry;
};

/* Errors that end everything. */
static bool
fatal(int r)
{
	return r == -EHOSTDOWN || r == -EINTR || r == -EPERM;
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

/* The body of POST /import/sessions, without events. */
static struct json_object *
session_body(struct json_object *row, const char *name)
{
	static const char *const members[] = { "session_id", "status", "created_at", "last_resumed_at", "project_dir", "agent_name" };
	struct json_object *body = json_object_new_object();
	size_t i;

	for (i = 0; i < ARRAY_LEN(members); i++)
		if (js_str(row, members[i]))
			json_object_object_add(body, members[i], json_object_get(js_get(row, members[i])));
	json_object_object_add(body, "session_name", json_object_new_string(name));
	/* One that does not say when it was made. */
	if (!js_str(body, "created_at"))
		json_object_object_add(body, "created_at", json_object_new_string("1970-01-01T00:00:00Z"));
	return body;
}

static int
send_events(struct importer *im, struct json_object *body, const char *id, int64_t from, int64_t total, struct err *e)
{
	int r = 0;

	do {
		struct json_object *events = old_events(im->store, id, js_str(body, "session_name"), from, BATCH, e);

		if (!events)
			return e->code;
		json_object_object_add(body, "from", json_object_new_int64(from));
		from += (int64_t)json_object_array_length(events);
		/* Gone meanwhile: the old server still runs. */
		if (!json_object_array_length(events))
			total = from;
		json_object_object_add(body, "events", events);
		r = client_call(im->c->client, "POST", "/import/sessions",
				json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), 0, CLIENT_REPLY_MAX,
				&im->c->reply, e);
	} while (r == 0 && from < total);
	return r;
}

/* How many of its events aod has: -1 none of it, -EEXIST when it is one of aod's own. */
static int64_t
events_there(struct importer *im, const char *id, struct err *e)
{
	struct json_object *s = NULL;
	int64_t n = -1;
	int r = session_fetch(im->c->client, id, &im->c->reply, &s, e);

	if (r == -ENOENT)
		return -1;
	if (r < 0)
		return fatal(r) ? r : -EIO;
	if (js_str(s, "session_id") && !strcmp(js_str(s, "session_id"), id))
		n = js_bool(s, "passive") ? js_int(s, "seq", 0) : err_set(e, -EEXIST, "aod has a session of its own with this id");
	json_object_put(s);
	return n;
}

static int
import_session(struct json_object *row, void *arg, struct err *e)
{
	struct importer *im = arg;
	const char *id = js_str(row, "session_id"), *given = js_str(row, "session_name"), *status = js_str(row, "status");
	CLEANUP_FREE char *name = old_name(given ? given : "");
	struct json_object *body;
	struct buf what = BUF_INIT;
	int64_t total, there;
	int r;

	*e = (struct err){ 0 };
	if (!id || !*id) {
		import_report(im->rep, name, im->path, SKIPPED, "", "it has no id");
		return 0;
	}
	there = events_there(im, id, e);
	total = there < -1 ? 0 : old_event_count(im->store, id, e);
	if (total < 0)
		return (int)total;
	if (there < -1 || there >= total) {
		import_report(im->rep, name, im->path, there < -1 ? SKIPPED : UNCHANGED, "", there < -1 ? e->text : NULL);
		return fatal((int)there) ? (int)there : 0;
	}
	*e = (struct err){ 0 };
	buf_printf(&what, "%" PRId64 " event%s", total - (there > 0 ? there : 0), total - (there > 0 ? there : 0) == 1 ? "" : "s");
	if (status && strcmp(status, "finished") != 0)
		buf_printf(&what, ", stopped (it was %s)", status);
	if (given && strcmp(given, name) != 0)
		buf_printf(&what, ", was called %s", given);
	body = session_body(row, name);
	r = im->dry ? 0 : send_events(im, body, id, there > 0 ? there : 0, total, e);
	json_object_put(body);
	import_report(im->rep, name, im->path, r < 0 ? SKIPPED : there < 0 ? CREATED : UPDATED, what.data, r < 0 ? e->text : NULL);
	buf_free(&what);
	return fatal(r) ? r : 0;
}

/* ---- documents ----------------------------------------------------------------------------------------- */

/* The file of a document: where its row says, else by its id where contents are. The caller frees it; NULL: it is in none of these. */
static char *
content_path(const struct importer *im, struct json_object *row, const char *id)
{
	const char *stored = js_str(row, "storage_path"), *slash = strrchr(im->path, '/');
	CLEANUP_FREE char *dir = slash ? xstrndup(im->path, (size_t)(slash + 1 - im->path)) : xstrdup("");
	char *const tries[] = {
		im->files ? xasprintf("%s/%s", im->files, id) : NULL,
		im->files ? xasprintf("%s/_global/%s", im->files, id) : NULL,
		stored ? xstrdup(stored) : NULL,
		/* It was relative to where the server ran; its usual place is beside the database. */
		stored && *stored != '/' ? xasprintf("%s../%s", dir, stored) : NULL,
		xasprintf("%sfiles/%s", dir, id),
		xasprintf("%s%s", dir, id),
	};
	char *found = NULL;
	struct stat st;
	size_t i;

	for (i = 0; i < ARRAY_LEN(tries); i++) {
		if (!found && tries[i] && !stat(tries[i], &st) && S_ISREG(st.st_mode))
			found = tries[i];
		else
			free(tries[i]);
	}
	return found;
}

static void
put_tags(struct buf *query, struct json_object *row)
{
	struct json_object *tags = js_get(row, "tags");
	struct buf list = BUF_INIT;
	size_t i;

	for (i = 0; i < json_object_array_length(tags); i++)
		buf_printf(&list, "%s%s", i ? "," : "", json_object_get_string(json_object_array_get_idx(tags, i)));
	if (i)
		ctl_put_param(query, "tags", list.data);
	buf_free(&list);
}

static int
send_document(struct importer *im, struct json_object *row, const char *id, int fd, int64_t size, struct err *e)
{
	static const char *const members[] = { "filename", "created_at", "updated_at" };
	struct json_object *metadata = js_get(row, "metadata");
	const char *sum = js_str(row, "checksum"), *type = js_str(row, "content_type");
	CLEANUP_FREE char *checksum = sum ? xasprintf("X-Checksum: %s", sum) : NULL;
	const char *const headers[] = { checksum, NULL };
	struct client_part body = { .fd = fd, .size = size, .type = type ? type : "application/octet-stream" };
	struct doc_progress progress = { .name = js_str(row, "filename") ? js_str(row, "filename") : id, .upload = true, .total = size };
	struct client_exchange x = { .method = "POST", .headers = headers, .body = &body, .on_progress = doc_progress, .progress_arg = &progress };
	struct buf query = BUF_INIT;
	size_t i;
	int r;

	ctl_put_param(&query, "document_id", id);
	for (i = 0; i < ARRAY_LEN(members); i++)
		if (js_str(row, members[i]))
			ctl_put_param(&query, members[i], js_str(row, members[i]));
	put_tags(&query, row);
	if (json_object_is_type(metadata, json_type_object))
		ctl_put_param(&query, "metadata", json_object_to_json_string_ext(metadata, JSON_C_TO_STRING_PLAIN));
	CLEANUP_FREE char *path = xasprintf("/documents?%s", query.data);

	buf_free(&query);
	x.path = path;
	r = client_exchange(im->c->client, &x, &im->c->reply, e);
	doc_progress_end(&progress);
	return r;
}

static int
import_content(struct importer *im, struct json_object *row, const char *id, struct buf *what, struct err *e)
{
	CLEANUP_FREE char *path = content_path(im, row, id);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1, r;
	struct stat st;

	if (!path)
		return err_set(e, -ENOENT, "its file is not there%s", im->files ? "" : "; --files says where contents are");
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = err_errno(e, -errno, "%s", path);
	} else {
		doc_put_size(what, st.st_size);
		r = im->dry ? 0 : send_document(im, row, id, fd, st.st_size, e);
	}
	if (fd >= 0)
		close(fd);
	return r == -ENOENT ? -EIO : r;
}

static int
import_document(struct json_object *row, void *arg, struct err *e)
{
	struct importer *im = arg;
	const char *id = js_str(row, "id"), *name = js_str(row, "filename");
	CLEANUP_FREE char *path = doc_path(id ? id : "-", "/metadata");
	struct buf what = BUF_INIT;
	enum done done = UNCHANGED;
	int r;

	*e = (struct err){ 0 };
	r = client_call(im->c->client, "GET", path, NULL, 0, CLIENT_REPLY_MAX, &im->c->reply, e);
	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		r = import_content(im, row, id ? id : "-", &what, e);
		done = CREATED;
	}
	CLEANUP_FREE char *label = name && id ? xasprintf("%s (%s)", id, name) : xstrdup(id ? id : "?");

	import_report(im->rep, label, im->path, r < 0 ? SKIPPED : done, what.data ? what.data : "", r < 0 ? e->text : NULL);
	buf_free(&what);
	return fatal(r) ? r : 0;
}

/* ---- either -------------------------------------------------------------------------------------------- */

int
import_database(struct report *rep, const char *path, const char *files, struct err *e)
{
	struct old_store *s = old_open(path, e);
	struct importer im = { .rep = rep, .c = rep->c, .store = s, .path = path, .files = files, .dry = ctl_has(&rep->c->args, OPT_DRY_RUN) };
	bool documents;
	int r;

	if (!s)
		return e->code;
	documents = old_kind(s) == OLD_DOCUMENTS;
	rep->kind = documents ? "document" : "session";
	r = old_kind(s) == OLD_NEITHER ? err_set(e, -EINVAL, "%s has neither sessions nor documents in it", path)
				       : old_each(s, documents ? import_document : import_session, &im, e);
	old_close(s);
	return r;
}
