/* SPDX-License-Identifier: MIT */
/* The commands of documents: handlers (see applet-run.h), and what they share. */
#ifndef AOD_CTL_DOC_H
#define AOD_CTL_DOC_H

#include "ctl/applet-run.h"

int doc_push(struct applet_call *c);
int doc_pull(struct applet_call *c);
int doc_read(struct applet_call *c);
int doc_info(struct applet_call *c);
int doc_query(struct applet_call *c);
int doc_search(struct applet_call *c);
int doc_delete(struct applet_call *c);
int doc_create(struct applet_call *c);
int doc_write(struct applet_call *c);
int doc_edit(struct applet_call *c);
int doc_link(struct applet_call *c);

/* Says what a request about the document that was named came to. The exit status. */
int doc_refused(const struct applet_call *c, const struct err *e);
/* "/documents/ID" + tail, with the id escaped; the caller frees it. */
char *doc_path(const char *id, const char *tail);
/* With an indent of two blanks, as Python's json.dumps() writes it, but for characters that are not ASCII, which stand as they are. Pure. */
void doc_put_json(struct buf *out, struct json_object *v);
void doc_print(struct json_object *v);
/* A list with commas, trimmed, without what is empty in it; the caller frees it. Pure. */
char *doc_tags(const char *list);
/* PUT of new content; etag: only when the document is still that one (else e->status 412), or NULL. *out is the document, the caller puts it. */
int doc_put_content(struct applet_call *c, const struct client_part *body, const char *etag, struct json_object **out, struct err *e);

/* Relations as the server lists them, as document `id` sees them: by what it is to the other one. The caller puts it. Pure. */
struct json_object *doc_relations(struct json_object *list, const char *id);

/* A line on a terminal that says how far a transfer is, once it takes longer than a moment. */
#define PROGRESS_AFTER_US 700000
#define PROGRESS_EVERY_US 200000
struct doc_progress {
	const char *name;
	bool upload, shown;
	int64_t total;	/* 0 or -1: not known */
	int64_t before; /* came earlier, over a connection that was lost */
	int64_t start_us, shown_us;
};
void doc_progress(int64_t sent, int64_t received, void *arg);
void doc_progress_end(struct doc_progress *p);
/* "512 B", "1.5 MiB". Pure. */
void doc_put_size(struct buf *out, int64_t bytes);
/*
 * The file name in a Content-Disposition header (RFC 6266, filename* before filename), its last part: never one that leads elsewhere. Appends to
 * out; false: there is none that can be used. Pure.
 */
bool doc_filename(struct buf *out, const char *disposition);
/* Bytes of s that begin the n characters after `skip`, in *from and *len. False: it is no UTF-8. *total: all its characters. Pure. */
bool doc_characters(const char *s, size_t size, int64_t skip, int64_t n, size_t *from, size_t *len, int64_t *total);
/*
 * The edit of doc-edit: text is replaced by out. `info` (the caller puts it) is what the old server added to its answer. -EINVAL with the
 * reason. Pure.
 */
struct doc_edit {
	const char *old, *new; /* old NULL: by offset */
	bool all;
	int64_t offset, length;
};
int doc_edit_text(const struct doc_edit *edit, const char *text, size_t n, struct buf *out, struct json_object **info, struct err *e);

#endif
