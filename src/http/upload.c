/* SPDX-License-Identifier: MIT */
/* Uploads; see upload.h. Called by route.c, and by the socket as the body comes. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <json-c/json.h>
#include <openssl/evp.h>

#include "base/util.h"
#include "http/documents.h"
#include "http/forward.h"
#include "http/multipart.h"
#include "http/reply.h"
#include "http/server.h"

#define READ_SIZE (64 << 10)
#define READS_A_TURN 16
#define SPACE_EVERY (4 << 20)  /* bytes after which the disk is looked at, and asked to begin writing */
#define SPACE_KEEP (256 << 20) /* bytes of the disk, or a twentieth of it, that uploads leave to the database */
#define SPACE_AGE_US 100000    /* how long small uploads rely on an earlier look at the disk */
#define SNIFF 4096	       /* bytes that show whether it is text */
#define RAW_EXTRA (64 << 20)   /* of chunk sizes, trailers and the like, above twice the largest document */

enum field { F_FILENAME, F_TAGS, F_METADATA, F_EXPIRES_AT, F_TTL, F_ID, F_CREATED_AT, F_UPDATED_AT, F_COUNT, F_FILE, F_OTHER };
static const struct {
	const char *name, *header; /* in the form and the query string; and the header */
	size_t max;		   /* bytes in a form */
} fields[F_COUNT] = {
	[F_FILENAME] = {"filename", "x-filename", 4096},
	[F_TAGS] = {"tags", "x-tags", 256 << 10},
	[F_METADATA] = {"metadata", "x-metadata", 1 << 20},
	[F_EXPIRES_AT] = {"expires_at", "x-expires-at", 64},
	[F_TTL] = {"ttl", "x-ttl", 64},
	[F_ID] = {"document_id", "x-document-id", 64},
	[F_CREATED_AT] = {"created_at", "x-created-at", 64},
	[F_UPDATED_AT] = {"updated_at", "x-updated-at", 64},
};

struct upload {
	h2o_linklist_t link;
	h2o_req_t *req;
	struct conn *conn;
	const struct verb *verb;
	struct held_body body;
	int64_t left; /* of a body of known length */
	struct phr_chunked_decoder chunks;
	int64_t raw, started_us;
	bool reading, whole;
	bool text; /* as far as its first bytes show */

	struct multipart form;
	bool is_form, has_file;
	enum field field; /* of the part that is coming in */
	struct buf values[F_COUNT];
	size_t field_bytes;
	bool has_value[F_COUNT];
	struct buf type;

	int fd; /* -1: no content yet */
	char name[33];
	EVP_MD_CTX *sum;
	int64_t size, looked_at;
	struct buf args; /* for aod, but for what is known at the end */
	struct buf checksum;
};

static int uploads_dir = -1;
static int64_t max_document;
static h2o_linklist_t uploads;
static int upload_count;
static size_t all_field_bytes;

void
upload_init(int dir, int64_t max)
{
	uploads_dir = dir;
	max_document = max;
	h2o_linklist_init_anchor(&uploads);
}

/* ---- the file ---------------------------------------------------------------------------------- */

static int
storage_error(struct err *e)
{
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return err_set_status(e, 507, -ENOSPC, "No space is left on the disk of the documents");
	return err_set_status(e, 500, -EIO, "The upload cannot be stored: %s", strerror(errno));
}

static int
check_space(struct upload *u, struct err *e)
{
	static int64_t looked_us;
	int64_t now = mono_us();
	struct statvfs v;
	uint64_t keep;

	if (u->size == 0 && now - looked_us < SPACE_AGE_US)
		return 0;
	u->looked_at = u->size;
	if (fstatvfs(u->fd, &v) < 0)
		return storage_error(e);
	keep = (uint64_t)v.f_blocks * v.f_frsize / 20;
	if ((uint64_t)v.f_bavail * v.f_frsize >= (keep < SPACE_KEEP ? keep : SPACE_KEEP)) {
		looked_us = now;
		return 0;
	}
	looked_us = 0;
	errno = ENOSPC;
	return storage_error(e);
}

static void
put_hex(char *out, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = 0;
}

/* Nothing that is in no text: a guess, aod looks closer. */
static bool
looks_like_text(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == 0 || (unsigned char)p[i] >= 0xf8 || (unsigned char)p[i] == 0xc0 || (unsigned char)p[i] == 0xc1)
			return false;
	return n > 0;
}

static int
open_file(struct upload *u, struct err *e)
{
	unsigned char r[16];

	if (u->sum)
		return 0;
	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	put_hex(u->name, r, sizeof(r));
	u->fd = openat(uploads_dir, u->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0440);
	if (u->fd < 0)
		return storage_error(e);
	u->sum = EVP_MD_CTX_new();
	if (!u->sum || EVP_DigestInit_ex(u->sum, EVP_sha256(), NULL) != 1)
		abort();
	return check_space(u, e);
}

static int
add_content(struct upload *u, const char *p, size_t n, struct err *e)
{
	int r = open_file(u, e);

	if (r < 0)
		return r;
	if (u->size + (int64_t)n > max_document)
		return err_set_status(e, 413, -E2BIG, "Request Entity Too Large");
	for (size_t done = 0; done < n;) {
		ssize_t w = write(u->fd, p + done, n - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return storage_error(e);
		done += (size_t)w;
	}
	if (u->size == 0)
		u->text = looks_like_text(p, n < SNIFF ? n : SNIFF);
	if (EVP_DigestUpdate(u->sum, p, n) != 1)
		abort();
	u->size += (int64_t)n;
	if (u->size - u->looked_at < SPACE_EVERY)
		return 0;
	/* The disk begins to write now, so that aod, which waits until it has, waits for little. */
	sync_file_range(u->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return check_space(u, e);
}

/* ---- the form ---------------------------------------------------------------------------------- */

static int
on_part(void *arg, const struct multipart_part *part, struct err *e)
{
	struct upload *u = arg;

	u->field = F_OTHER;
	if (strcmp(part->name, "file") == 0) {
		if (u->has_file)
			return err_set_status(e, 422, -EINVAL, "The form has more than one file");
		u->has_file = true;
		u->field = F_FILE;
		if (part->filename && *part->filename && !u->has_value[F_FILENAME])
			buf_puts(&u->values[F_FILENAME], part->filename);
		if (part->type)
			buf_puts(&u->type, part->type);
		return open_file(u, e);
	}
	for (enum field f = 0; f < F_COUNT; f++)
		if (strcmp(part->name, fields[f].name) == 0) {
			u->field = f;
			u->has_value[f] = true;
			buf_reset(&u->values[f]);
		}
	return 0;
}

static int
on_data(void *arg, const char *p, size_t n, struct err *e)
{
	struct upload *u = arg;

	if (u->field == F_FILE)
		return add_content(u, p, n, e);
	if (u->field == F_OTHER)
		return 0;
	if (u->values[u->field].len + n > fields[u->field].max)
		return err_set_status(e, 413, -E2BIG, "The field %s is too long", fields[u->field].name);
	if (all_field_bytes + n > UPLOAD_FIELDS_MAX)
		return err_set_status(e, 503, -EAGAIN, "Too many uploads at once: try again");
	u->field_bytes += n;
	all_field_bytes += n;
	buf_put(&u->values[u->field], p, n);
	return 0;
}

static int
on_part_end(void *arg, struct err *e)
{
	return 0;
}

static const struct multipart_ops form_ops = {on_part, on_data, on_part_end};

/* ---- the end ----------------------------------------------------------------------------------- */

static void
stop_reading(struct upload *u)
{
	if (!u->reading)
		return;
	u->reading = false;
	h2o_socket_read_stop(u->conn->sock);
	h2o_socket_dont_read(u->conn->sock, 0);
	u->conn->reader = NULL;
}

static void
forget_file(struct upload *u, bool remove)
{
	if (u->fd >= 0) {
		close(u->fd);
		if (remove)
			unlinkat(uploads_dir, u->name, 0);
	}
	u->fd = -1;
}

static void
dispose(void *arg)
{
	struct upload *u = arg;

	if (h2o_linklist_is_linked(&u->link)) {
		h2o_linklist_unlink(&u->link);
		upload_count--;
	}
	/* The connection may be going: its socket is not touched any more. */
	if (u->reading)
		u->conn->reader = NULL;
	forget_file(u, true);
	all_field_bytes -= u->field_bytes;
	EVP_MD_CTX_free(u->sum);
	multipart_done(&u->form);
	for (enum field f = 0; f < F_COUNT; f++)
		buf_free(&u->values[f]);
	buf_free(&u->type);
	buf_free(&u->args);
	buf_free(&u->checksum);
}

/* The body's rest is not wanted: the connection ends with the answer. */
static void
refuse(struct upload *u, const struct err *e)
{
	stop_reading(u);
	forget_file(u, true);
	if (h2o_linklist_is_linked(&u->link)) {
		h2o_linklist_unlink(&u->link);
		upload_count--;
	}
	if (u->body.held && !u->whole)
		server_drain(u->req);
	reply_err(u->req, e);
}

static void
refuse_missing(struct upload *u)
{
	stop_reading(u);
	reply_invalid(u->req, json_tokener_parse("[{\"type\":\"missing\",\"loc\":[\"body\",\"file\"],"
						 "\"msg\":\"Field required\",\"input\":null}]"));
}

static void
put_arg(struct buf *b, const char *name, const char *text, size_t n)
{
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
	buf_put_json(b, text, n);
}

static bool
check_sum(const struct upload *u, const char *sum)
{
	const char *want = u->checksum.data;

	if (want && (strncasecmp(want, "sha256=", 7) == 0 || strncasecmp(want, "sha256:", 7) == 0))
		want += 7;
	return !want || strcasecmp(want, sum) == 0;
}

static void
finish_sum(struct upload *u, char out[65])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(u->sum, md, &len) != 1 || len != 32)
		abort();
	put_hex(out, md, len);
}

static void
hand_over(struct upload *u, const char *sum)
{
	struct buf *b = &u->args;
	bool sent;

	for (enum field f = 0; f < F_COUNT; f++)
		if (u->has_value[f] || u->values[f].len > 0)
			put_arg(b, fields[f].name, u->values[f].data ? u->values[f].data : "", u->values[f].len);
	if (u->type.len > 0)
		put_arg(b, "content_type", u->type.data, u->type.len);
	put_arg(b, "upload", u->name, strlen(u->name));
	put_arg(b, "sha256", sum, strlen(sum));
	buf_printf(b, ",\"size\":%lld,\"text\":%s}", (long long)u->size, u->text ? "true" : "false");
	forget_file(u, false); /* aod waits until nobody writes to it */
	sent = forward_send(u->req, u->verb, b->data, b->len);
	if (!sent)
		unlinkat(uploads_dir, u->name, 0);
}

/* The body is whole. */
static void
finish(struct upload *u)
{
	struct err e = {0};
	char sum[65];
	int r = u->is_form ? multipart_finish(&u->form, &e) : 0;

	stop_reading(u);
	u->whole = true;
	u->req->http1_is_persistent = u->body.held ? u->body.persistent : u->req->http1_is_persistent;
	h2o_linklist_unlink(&u->link);
	upload_count--;
	if (r == 0 && !u->is_form && u->size == 0 && u->type.len == 0 && !u->has_value[F_FILENAME]) {
		refuse_missing(u);
		return;
	}
	if (r == 0 && u->is_form && !u->has_file) {
		refuse_missing(u);
		return;
	}
	if (r == 0)
		r = open_file(u, &e);
	if (r == 0) {
		finish_sum(u, sum);
		if (!check_sum(u, sum))
			r = err_set_status(&e, 422, -EINVAL, "The content's SHA-256 is %s, not what X-Checksum says", sum);
	}
	if (r < 0)
		refuse(u, &e);
	else
		hand_over(u, sum);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
feed(struct upload *u, const char *p, size_t n, struct err *e)
{
	return n == 0 ? 0 : u->is_form ? multipart_feed(&u->form, p, n, e) : add_content(u, p, n, e);
}

/* n bytes from the socket, which may be overwritten. *rest: how many at their end belong to the next request; they are at *rest_at then. */
static int
take(struct upload *u, char *p, size_t n, size_t *rest, char **rest_at, struct err *e)
{
	size_t len = n;
	ssize_t left;

	*rest = 0;
	if (u->body.length >= 0) {
		len = (int64_t)n < u->left ? n : (size_t)u->left;
		u->left -= (int64_t)len;
		u->raw += (int64_t)len;
		*rest = n - len;
		*rest_at = p + len;
		u->whole = u->left == 0;
		return feed(u, p, len, e);
	}
	u->raw += (int64_t)n;
	if (u->raw > 2 * max_document + RAW_EXTRA)
		return err_set_status(e, 413, -E2BIG, "Request Entity Too Large");
	left = phr_decode_chunked(&u->chunks, p, &len);
	if (left == -1)
		return err_set_status(e, 400, -EINVAL, "broken chunked-encoding");
	if (left >= 0) {
		u->whole = true;
		*rest = (size_t)left;
		*rest_at = p + len;
	}
	return feed(u, p, len, e);
}

/* What h2o read behind the head of the request. */
static int
take_input(struct upload *u, struct err *e)
{
	h2o_buffer_t *in = u->conn->sock->input;
	size_t head = u->body.head, rest;
	char *at = NULL;
	int r = take(u, in->bytes + head, in->size - head, &rest, &at, e);

	if (rest)
		memmove(in->bytes + head, at, rest);
	in->size = head + rest;
	return r;
}

/* What is waiting in the socket, up to the end of the body: the buffer of h2o would grow without a limit. */
static int
take_socket(struct upload *u, struct err *e)
{
	static char scratch[READ_SIZE];
	int fd = h2o_socket_get_fd(u->conn->sock), r = 0;

	for (int i = 0; i < READS_A_TURN && r == 0 && !u->whole; i++) {
		size_t want = sizeof(scratch), rest;
		char *at = NULL;
		ssize_t n;

		if (u->body.length >= 0 && u->left < (int64_t)want)
			want = (size_t)u->left;
		n = recv(fd, scratch, want, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return err_set_status(e, 400, -EPIPE, "The body ends early");
		r = take(u, scratch, (size_t)n, &rest, &at, e);
		if (rest) {
			h2o_iovec_t to = h2o_buffer_reserve(&u->conn->sock->input, rest);

			memcpy(to.base, at, rest);
			u->conn->sock->input->size += rest;
		}
	}
	return r;
}

static void
on_readable(h2o_socket_t *sock, const char *err)
{
	struct upload *u = conn_of_socket(sock)->reader;
	struct err e = {0};
	int r;

	if (err)
		r = err_set_status(&e, 400, -EPIPE, "The body ends early");
	else
		r = sock->ssl ? take_input(u, &e) : take_socket(u, &e);
	if (r < 0)
		refuse(u, &e);
	else if (u->whole)
		finish(u);
}

static void
read_body(struct upload *u)
{
	struct err e = {0};
	int r;

	u->left = u->body.length;
	u->chunks.consume_trailer = 1;
	u->whole = u->body.length == 0;
	r = u->whole ? 0 : take_input(u, &e);
	if (r < 0) {
		refuse(u, &e);
	} else if (u->whole) {
		finish(u);
	} else {
		u->reading = true;
		u->conn->reader = u;
		/* Through TLS only h2o can read. */
		h2o_socket_dont_read(u->conn->sock, !u->conn->sock->ssl);
		h2o_socket_read_start(u->conn->sock, on_readable);
	}
}

/* ---- the beginning ----------------------------------------------------------------------------- */

static h2o_iovec_t
find_header(const h2o_req_t *req, const char *name)
{
	ssize_t i = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

	return i < 0 ? h2o_iovec_init(NULL, 0) : req->headers.entries[i].value;
}

/* What the query string and the headers say; a form may say otherwise later. */
static void
take_fields(struct upload *u, const struct request *rq)
{
	for (enum field f = 0; f < F_COUNT; f++) {
		const char *text = request_text(rq, fields[f].name);
		h2o_iovec_t v = find_header(rq->req, fields[f].header);

		if (v.base)
			buf_put(&u->values[f], v.base, v.len);
		else if (text)
			buf_puts(&u->values[f], text);
		u->has_value[f] = v.base || text;
	}
	h2o_iovec_t sum = find_header(rq->req, "x-checksum");

	if (sum.base) {
		buf_puts(&u->checksum, "");
		buf_put(&u->checksum, sum.base, sum.len);
	}
	buf_putc(&u->args, '{');
	documents_context(rq, &u->args);
}

static int
take_type(struct upload *u, struct err *e)
{
	h2o_iovec_t type = find_header(u->req, "content-type");

	u->is_form = type.base && multipart_is(type.base, type.len);
	if (u->is_form)
		return multipart_init(&u->form, type.base, type.len, &form_ops, u, e);
	/* What tools say that were told nothing: the name of the document says more. */
	if (type.base && !(type.len >= 33 && strncasecmp(type.base, "application/x-www-form-urlencoded", 33) == 0))
		buf_put(&u->type, type.base, type.len);
	return 0;
}

void
upload_start(const struct request *rq)
{
	struct upload *u = h2o_mem_alloc_shared(&rq->req->pool, sizeof(*u), dispose);
	struct err e = {0};
	int r;

	memset(u, 0, sizeof(*u));
	u->req = rq->req;
	u->conn = conn_of(rq->req);
	u->verb = rq->verb;
	u->body = rq->body;
	parse_taken(rq->req);
	u->fd = -1;
	u->started_us = mono_us();
	h2o_linklist_insert(&uploads, &u->link);
	upload_count++;
	take_fields(u, rq);
	r = take_type(u, &e);
	if (r == 0 && upload_count > UPLOADS_MAX)
		r = err_set_status(&e, 503, -EAGAIN, "Too many uploads at once: try again");
	if (r == 0 && !u->body.held)
		r = feed(u, rq->req->entity.base, rq->req->entity.len, &e);
	if (r < 0)
		refuse(u, &e);
	else if (u->body.held)
		read_body(u);
	else
		finish(u);
}

/* A body that comes too slowly is not waited for. */
void
upload_tick(int64_t now)
{
	h2o_linklist_t *next;
	struct err e = {0};

	for (h2o_linklist_t *l = uploads.next; l != &uploads; l = next) {
		struct upload *u = H2O_STRUCT_FROM_MEMBER(struct upload, link, l);
		int64_t may_us = REQUEST_TIMEOUT_MS * 1000LL + u->raw / UPLOAD_RATE * 1000000;

		next = l->next;
		if (now - u->started_us <= may_us)
			continue;
		err_set_status(&e, 408, -ETIMEDOUT, "The body came too slowly");
		refuse(u, &e);
	}
}
