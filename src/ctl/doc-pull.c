/* SPDX-License-Identifier: MIT */
/*
 * doc-pull and doc-read: a document comes in. A connection that is lost is taken up again where it was, and a file appears under its name
 * only when all of it is there and its checksum is right.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sha256.h"
#include "base/util.h"
#include "ctl/doc.h"
#include "ctl/output.h"

#define PATIENCE_US 10000000 /* for a server that comes back, without a byte from it */
#define READ_HELD (8u << 20) /* bytes of a text that are looked through before the first is printed */

/* ---- receiving ----------------------------------------------------------------------------------------- */

/* One document as it comes, over as many connections as it takes. */
struct receiver {
	struct applet_call *c;
	int (*on_head)(struct receiver *r, struct err *e); /* once, when the first answer has come; or NULL */
	int (*on_data)(struct receiver *r, const char *p, size_t n, struct err *e);
	void *arg;
	int64_t got;		   /* bytes that were handed over */
	bool begun;
	char etag[128];		   /* of the first answer, "" when it had none */
	char checksum[SHA256_HEX_SIZE];
	struct sha256 sum;
	struct doc_progress progress;
};

/* 64 digits, maybe behind "sha256:" or in quotes: what the server says the sum is. */
static void
take_checksum(struct receiver *r, const char *value)
{
	size_t n;

	if (!value)
		return;
	if (str_starts(value, "sha256:") || str_starts(value, "sha256="))
		value += strlen("sha256:");
	value += *value == '"';
	n = strspn(value, "0123456789abcdefABCDEF");
	if (n != SHA256_HEX_SIZE - 1 || (value[n] && value[n] != '"'))
		return;
	for (size_t i = 0; i < n; i++)
		r->checksum[i] = (char)(value[i] | 0x20); /* digits have that bit already */
	r->checksum[n] = 0;
}

static int
begin(struct receiver *r, struct err *e)
{
	const char *etag = client_header(r->c->client, "ETag"), *length = client_header(r->c->client, "Content-Length");

	r->begun = true;
	sha256_init(&r->sum);
	if (etag && strlen(etag) < sizeof(r->etag))
		snprintf(r->etag, sizeof(r->etag), "%s", etag);
	take_checksum(r, etag);
	take_checksum(r, client_header(r->c->client, "X-Checksum"));
	if (length)
		parse_i64(length, 0, INT64_MAX, &r->progress.total);
	return r->on_head ? r->on_head(r, e) : 0;
}

static int
receive(const char *p, size_t n, void *arg, struct err *e)
{
	struct receiver *r = arg;
	int rc;

	if (!r->begun && (rc = begin(r, e)) < 0)
		return rc;
	/* The rest was asked for, and all of it came: it is another one by now. */
	if (r->progress.before && client_status(r->c->client) != 206)
		return err_set(e, -ESTALE, "the document was changed while it was read");
	rc = r->on_data(r, p, n, e);
	if (rc < 0)
		return rc;
	sha256_add(&r->sum, p, n);
	r->got += (int64_t)n;
	return 0;
}

/* Whether an error is one that another connection may mend. */
static bool
lost(int rc)
{
	return rc == -ECONNRESET || rc == -EHOSTDOWN;
}

static int
check_sum(struct receiver *r, struct err *e)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];

	sha256_end(&r->sum, digest);
	if (*r->checksum && strcmp(sha256_hex(digest, hex), r->checksum) != 0)
		return err_set(e, -EBADMSG, "what came has the checksum %s, the document has %s", hex, r->checksum);
	return 0;
}

static int
receive_document(struct receiver *r, struct err *e)
{
	CLEANUP_FREE char *path = doc_path(r->c->args.word, "");
	int64_t until = mono_us() + PATIENCE_US;
	int rc;

	r->progress.name = r->c->args.word;
	for (;;) {
		CLEANUP_FREE char *range = r->got ? xasprintf("Range: bytes=%" PRId64 "-", r->got) : NULL;
		CLEANUP_FREE char *same = r->got ? xasprintf("If-Range: %s", r->etag) : NULL;
		const char *const headers[] = { range, same, NULL };
		struct client_exchange x = {
			.method = "GET", .path = path, .headers = headers, .on_data = receive, .arg = r,
			.on_progress = doc_progress, .progress_arg = &r->progress,
		};
		int64_t before = r->got;

		r->progress.before = before;
		*e = (struct err){ 0 };
		rc = client_exchange(r->c->client, &x, NULL, e);
		if (r->got > before)
			until = mono_us() + PATIENCE_US;
		/* Without a tag there is no telling whether the rest belongs to what is here. The first request of all finds a server or not. */
		if (!lost(rc) || !r->begun || !*r->etag || mono_us() > until)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	if (rc == 0 && !r->begun)
		rc = begin(r, e);
	if (rc == 0)
		rc = check_sum(r, e);
	doc_progress_end(&r->progress);
	return rc;
}

/* What it came to, in words. */
static int
not_received(struct receiver *r, const struct err *e)
{
	/* Ours, not the network's. */
	if (!e->status && !lost(e->code) && e->code != -EINTR && e->code != -ETIMEDOUT)
		return applet_fail(r->c, "%s", e->text);
	return doc_refused(r->c, e);
}

/* ---- pull ---------------------------------------------------------------------------------------------- */

/* The value of a quoted string or a token, up to a semicolon. */
static void
put_value(struct buf *out, const char *s)
{
	if (*s != '"') {
		buf_put(out, s, strcspn(s, "; \t"));
		return;
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		buf_putc(out, *s);
	}
}

/* UTF-8''a%20b of RFC 8187; other character sets are not taken. */
static void
put_extended(struct buf *out, const char *s)
{
	if (strncasecmp(s, "utf-8'", 6) != 0 || !(s = strchr(s + 6, '\'')))
		return;
	for (s++; *s && !strchr("; \t", *s); s++) {
		unsigned value;

		if (*s == '%' && sscanf(s + 1, "%2x", &value) == 1 && s[1] && s[2]) {
			buf_putc(out, (char)value);
			s += 2;
		} else {
			buf_putc(out, *s);
		}
	}
}

/* The value of a parameter in a header, or NULL. What stands in quotes is not looked at for names. */
static const char *
parameter(const char *header, const char *name)
{
	size_t n = strlen(name);
	const char *p = header;

	while (*p) {
		while (*p && *p != ';') {
			if (*p == '"')
				for (p++; *p && *p != '"'; p++)
					p += *p == '\\' && p[1];
			p += *p != 0;
		}
		p += strspn(p, "; \t");
		if (!strncasecmp(p, name, n) && p[n] == '=')
			return p + n + 1;
	}
	return NULL;
}

bool
doc_filename(struct buf *out, const char *disposition)
{
	const char *wide = parameter(disposition, "filename*"), *plain = parameter(disposition, "filename"), *base;
	struct buf name = BUF_INIT;
	size_t i;
	bool ok;

	if (wide)
		put_extended(&name, wide);
	if (!name.len && plain)
		put_value(&name, plain);
	base = name.data ? strrchr(name.data, '/') : NULL;
	base = base ? base + 1 : name.data ? name.data : "";
	ok = *base && strcmp(base, ".") != 0 && strcmp(base, "..") != 0 && !(name.len && memchr(name.data, 0, name.len));
	for (i = 0; ok && base[i]; i++)
		ok = (unsigned char)base[i] >= 0x20 && base[i] != 0x7f;
	if (ok)
		buf_puts(out, base);
	buf_free(&name);
	return ok;
}

struct file {
	char *path, *temp; /* temp NULL: written in its place */
	int fd;
};

/* Beside its place, so that it can be renamed; what is no plain file is written into. */
static int
open_file(struct file *f, struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	mode_t mask = umask(0);
	struct stat st;

	umask(mask);
	if (!strcmp(f->path, "-")) {
		f->fd = STDOUT_FILENO;
		return 0;
	}
	if (!stat(f->path, &st) && !S_ISREG(st.st_mode)) {
		f->fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return f->fd < 0 ? err_errno(e, -errno, "%s", f->path) : 0;
	}
	f->temp = xasprintf("%.*s.%s.XXXXXX", slash ? (int)(slash + 1 - f->path) : 0, f->path, "doc-pull");
	f->fd = mkostemp(f->temp, O_CLOEXEC);
	if (f->fd < 0) {
		int code = -errno;

		free(f->temp);
		f->temp = NULL;
		return err_errno(e, code, "%s", f->path);
	}
	fchmod(f->fd, 0666 & ~mask);
	return 0;
}

static int
on_pull_head(struct receiver *r, struct err *e)
{
	const char *disposition = client_header(r->c->client, "Content-Disposition"), *given = r->c->args.value[APT_OUTPUT];
	struct file *f = r->arg;
	struct buf name = BUF_INIT;

	if (given && *given)
		buf_puts(&name, given);
	else if (!disposition || !doc_filename(&name, disposition))
		buf_puts(&name, r->c->args.word);
	/* An id is what the caller typed: no more of a path than a name is. */
	f->path = buf_steal(&name);
	if (!given && strchr(f->path, '/'))
		return err_set(e, -EINVAL, "the document has no name to be saved under; use --output");
	return open_file(f, e);
}

static int
on_pull_data(struct receiver *r, const char *p, size_t n, struct err *e)
{
	struct file *f = r->arg;
	int rc = fd_write_all(f->fd, p, n);

	return rc < 0 ? err_errno(e, rc, "%s", f->path) : 0;
}

/* Puts it in its place, or takes it away. */
static int
close_file(struct file *f, int rc, struct err *e)
{
	if (f->fd < 0 || f->fd == STDOUT_FILENO)
		return rc;
	if (close(f->fd) < 0 && rc == 0)
		rc = err_errno(e, -errno, "%s", f->path);
	if (rc == 0 && f->temp && rename(f->temp, f->path) < 0)
		rc = err_errno(e, -errno, "%s", f->path);
	if (rc < 0 && f->temp)
		unlink(f->temp);
	return rc;
}

int
doc_pull(struct applet_call *c)
{
	struct file f = { .fd = -1 };
	struct receiver r = { .c = c, .on_head = on_pull_head, .on_data = on_pull_data, .arg = &f };
	struct json_object *o;
	struct err e = { 0 };
	int rc, code = 0;

	/* What was begun is taken away first. */
	client_catch_end();
	rc = receive_document(&r, &e);
	rc = close_file(&f, rc, &e);
	if (rc < 0) {
		code = not_received(&r, &e);
	} else if (f.fd != STDOUT_FILENO) {
		o = json_object_new_object();
		json_object_object_add(o, "success", json_object_new_boolean(1));
		json_object_object_add(o, "document_id", json_object_new_string(c->args.word));
		json_object_object_add(o, "filename", json_object_new_string(f.path));
		json_object_object_add(o, "size_bytes", json_object_new_int64(r.got));
		doc_print(o);
		json_object_put(o);
	}
	free(f.path);
	free(f.temp);
	return code;
}

/* ---- read ---------------------------------------------------------------------------------------------- */

struct reader {
	struct buf text;      /* what is to be printed, as far as it is held */
	char rest[4];	      /* a character that has not yet come whole */
	size_t rest_len;
	int64_t skip, take;   /* characters */
	int64_t total;
};

static bool
is_text(const char *type)
{
	size_t n = strcspn(type, "; \t");

	return str_starts(type, "text/") || (n == 16 && !strncmp(type, "application/json", n)) || (n == 15 && !strncmp(type, "application/xml", n));
}

static int
on_read_head(struct receiver *r, struct err *e)
{
	const char *type = client_header(r->c->client, "Content-Type");

	if (type && is_text(type))
		return 0;
	return err_set(e, -EINVAL, "Cannot read non-text file (MIME type: %.200s). Use doc-pull to download binary files.", type ? type : "");
}

/* As many whole characters as there are; returns the bytes that are left over, at most three, or -EILSEQ. */
static int
take_text(struct reader *t, const char *p, size_t n)
{
	uint32_t cp;

	while (n) {
		size_t len = utf8_decode(p, n, &cp);

		if (!len)
			return n < 4 ? (int)n : -EILSEQ;
		if (t->total >= t->skip && t->total - t->skip < t->take)
			buf_put(&t->text, p, len);
		t->total++;
		p += len;
		n -= len;
	}
	return 0;
}

static void
print_held(struct reader *t)
{
	if (t->text.len)
		applet_print(t->text.data, t->text.len);
	buf_reset(&t->text);
}

static int
on_read_data(struct receiver *r, const char *p, size_t n, struct err *e)
{
	struct reader *t = r->arg;
	struct buf all = BUF_INIT;
	int left;

	if (t->rest_len) {
		buf_put(&all, t->rest, t->rest_len);
		buf_put(&all, p, n);
		p = all.data;
		n = all.len;
	}
	left = take_text(t, p, n);
	if (left >= 0) {
		memcpy(t->rest, p + n - left, (size_t)left);
		t->rest_len = (size_t)left;
	}
	buf_free(&all);
	if (left < 0)
		return err_set(e, -EINVAL, "File is not valid UTF-8 text. Use doc-pull to download.");
	if (t->text.len > READ_HELD)
		print_held(t);
	return 0;
}

int
doc_read(struct applet_call *c)
{
	const struct applet_args *a = &c->args;
	bool part = applet_has(a, APT_OFFSET) || applet_has(a, APT_LIMIT);
	struct reader t = { .skip = a->number[APT_OFFSET], .take = applet_has(a, APT_LIMIT) ? a->number[APT_LIMIT] : INT64_MAX };
	struct receiver r = { .c = c, .on_head = on_read_head, .on_data = on_read_data, .arg = &t };
	struct err e = { 0 };
	int code = 0, rc;

	if (t.skip < 0 || t.take < 0)
		return applet_fail(c, "offset and limit cannot be negative");
	rc = receive_document(&r, &e);
	if (rc == 0 && t.rest_len)
		rc = err_set(&e, -EINVAL, "File is not valid UTF-8 text. Use doc-pull to download.");
	if (rc < 0) {
		code = not_received(&r, &e);
	} else {
		int64_t from = t.skip < t.total ? t.skip : t.total, to = t.take < t.total - from ? from + t.take : t.total;

		if (part)
			fprintf(stderr, "{\"total_chars\": %" PRId64 ", \"range\": \"%" PRId64 "-%" PRId64 "\"}\n", t.total, from, to);
		print_held(&t);
	}
	buf_free(&t.text);
	return code;
}
