/* SPDX-License-Identifier: MIT */
/* The dashboard's files; see statics.h. Loaded by main.c, asked by route.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/util.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/statics.h"

struct file {
	char *path; /* "/index.html" */
	const char *type;
	char etag[24];
	void *shared;
	size_t len;
};

static struct file files[STATICS_FILES];
static int file_count;
static size_t bytes;

static const char *
type_of(const char *name)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"},
		{".json", "application/json"},
		{".map", "application/json"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".jpg", "image/jpeg"},
		{".ico", "image/x-icon"},
		{".webp", "image/webp"},
		{".woff2", "font/woff2"},
		{".woff", "font/woff"},
		{".txt", "text/plain; charset=utf-8"},
		{".webmanifest", "application/manifest+json"},
	};
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t k = strlen(types[i].end);

		if (n > k && strcmp(name + n - k, types[i].end) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

static int
add_file(const char *disk, const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct file *f = &files[file_count];
	int r;

	if (file_count == STATICS_FILES)
		return err_set(e, -EFBIG, "%s: more than %d files to serve", disk, STATICS_FILES);
	r = file_read(disk, STATICS_BYTES - bytes, &b, e);
	if (r < 0) {
		buf_free(&b);
		return r == -EFBIG ? err_set(e, r, "%s: more than %u bytes to serve", disk,
					     STATICS_BYTES)
				   : r;
	}
	f->path = xstrdup(path);
	f->type = type_of(path);
	f->len = b.len;
	f->shared = h2o_mem_alloc_shared(NULL, b.len + 1, NULL);
	if (b.len)
		memcpy(f->shared, b.data, b.len);
	snprintf(f->etag, sizeof(f->etag), "\"%08x-%zx\"", crc32c(0, f->shared, b.len), b.len);
	bytes += b.len;
	file_count++;
	buf_free(&b);
	return 0;
}

static int
load_dir(const char *disk, const char *path, int depth, struct err *e)
{
	DIR *d = opendir(disk);
	struct dirent *entry;
	int r = 0;

	if (!d)
		return err_errno(e, -errno, "%s", disk);
	while (r == 0 && (entry = readdir(d)) != NULL) {
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		CLEANUP_FREE char *sub_disk = xasprintf("%s/%s", disk, entry->d_name);
		CLEANUP_FREE char *sub_path = xasprintf("%s/%s", path, entry->d_name);

		if (stat(sub_disk, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < STATICS_DEPTH)
			r = load_dir(sub_disk, sub_path, depth + 1, e);
		else if (S_ISREG(st.st_mode))
			r = add_file(sub_disk, sub_path, e);
	}
	closedir(d);
	return r;
}

int
statics_load(const char *dir, struct err *e)
{
	return dir ? load_dir(dir, "", 0, e) : 0;
}

static const struct file *
find_file(const char *path, size_t n)
{
	for (int i = 0; i < file_count; i++)
		if (strlen(files[i].path) == n && memcmp(files[i].path, path, n) == 0)
			return &files[i];
	return NULL;
}

static bool
host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == ':';
}

/* The host of the request without its port, when it looks like one; else loopback. */
static h2o_iovec_t
request_host(h2o_req_t *req)
{
	h2o_iovec_t host;
	uint16_t port;

	if (h2o_url_parse_hostport(req->authority.base, req->authority.len, &host, &port) != NULL &&
	    host.len > 0 && host.len < 256) {
		size_t ok = 0;

		while (ok < host.len && host_char(host.base[ok]))
			ok++;
		if (ok == host.len && !h2o_memis(host.base, host.len, H2O_STRLIT("default")))
			return host;
	}
	return h2o_iovec_init(H2O_STRLIT("127.0.0.1"));
}

static void
send_config(h2o_req_t *req)
{
	static const char *const names[] = {"runtime", "context", "registry"};
	h2o_iovec_t host = request_host(req);
	bool v6 = memchr(host.base, ':', host.len) != NULL;
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		buf_printf(&b, "%s\"%s\":\"http://%s%.*s%s:%d\"", i ? "," : "{", names[i],
			   v6 ? "[" : "", (int)host.len, host.base, v6 ? "]" : "",
			   server_port(names[i]));
	buf_putc(&b, '}');
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
		       H2O_STRLIT("no-store"));
	reply_buf(req, 200, &b);
	buf_free(&b);
}

static bool
not_modified(const h2o_req_t *req, const struct file *f)
{
	ssize_t i = h2o_find_header(&req->headers, H2O_TOKEN_IF_NONE_MATCH, -1);

	return i >= 0 &&
	       memmem(req->headers.entries[i].value.base, req->headers.entries[i].value.len,
		      f->etag, strlen(f->etag)) != NULL;
}

void
statics_get(h2o_req_t *req, const char *method, const char *path, size_t path_len)
{
	h2o_headers_t *h = &req->res.headers;
	const char *last = h2o_memrchr(path, '/', path_len);
	const struct file *f = NULL;
	bool page = last && !memchr(last, '.', path_len - (size_t)(last - path));

	if (strcmp(method, "GET") != 0) {
		h2o_add_header(&req->pool, h, H2O_TOKEN_ALLOW, NULL, H2O_STRLIT("GET, HEAD"));
		reply_detail(req, 405, "Method Not Allowed");
		return;
	}
	if (h2o_memis(path, path_len, H2O_STRLIT("/config.json"))) {
		send_config(req);
		return;
	}
	f = find_file(path, path_len);
	if (!f && page)
		f = find_file("/index.html", 11);
	if (!f) {
		reply_detail(req, 404, "Not Found");
		return;
	}
	h2o_add_header(&req->pool, h, H2O_TOKEN_CACHE_CONTROL, NULL, H2O_STRLIT("no-cache"));
	h2o_add_header(&req->pool, h, H2O_TOKEN_ETAG, NULL, f->etag, strlen(f->etag));
	h2o_add_header_by_str(&req->pool, h, H2O_STRLIT("x-content-type-options"), 0, NULL,
			      H2O_STRLIT("nosniff"));
	h2o_add_header_by_str(
		&req->pool, h, H2O_STRLIT("content-security-policy"), 0, NULL,
		H2O_STRLIT("frame-ancestors 'none'; object-src 'none'; base-uri 'none'"));
	if (not_modified(req, f))
		reply_body(req, 304, f->type, NULL, 0);
	else
		reply_shared(req, 200, f->type, f->shared, f->len);
}
