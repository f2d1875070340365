/* SPDX-License-Identifier: MIT */
/* HTTP to aod with libcurl's easy interface. See client.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/output.h"

#define CONNECT_S 10
#define USUAL_S 120   /* an action may have to wait for a process tree to go */
#define RETRY_US 5000000
#define STALLED_S 300 /* a transfer in which nothing moves */
#define ERROR_BODY_MAX (1u << 20)
#define TOKEN_MAX 4096 /* bytes */
#define SYSTEM_SOCKET "/run/aod/aod.sock"

struct client {
	CURL *curl;
	char *base;   /* URL without a slash at its end */
	char *socket; /* or NULL: TCP */
	char *root;   /* as given, for the advice */
	char *fd_path; /* a name of the socket that fits into sockaddr_un, or NULL */
	char *auth;    /* header with the token, or NULL */
	char *cacert;  /* or NULL: the system's */
	int dir_fd;
};

volatile sig_atomic_t client_interrupted;

static void
on_interrupt(int sig)
{
	client_interrupted = 1;
}

void
client_catch_interrupt(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
}

void
client_catch_end(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

/* NULL: there is none, and there is a URL to fall back to. */
static char *
default_socket(const char *fallback)
{
	const char *dir = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	char *path;

	if (!access(SYSTEM_SOCKET, F_OK) || ((!dir || *dir != '/') && !home && !fallback))
		return xstrdup(SYSTEM_SOCKET);
	path = dir && *dir == '/' ? xasprintf("%s/aod/aod.sock", dir) : home ? xasprintf("%s/.cache/run/aod/aod.sock", home) : NULL;
	if (path && !access(path, F_OK))
		return path;
	free(path);
	return fallback ? NULL : xstrdup(SYSTEM_SOCKET);
}

/* Paths of more than 107 bytes do not fit into a socket address; /proc/self/fd/N/NAME does. */
static int
shorten_socket(struct client *c, struct err *e)
{
	const char *slash = strrchr(c->socket, '/');

	if (strlen(c->socket) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return 0;
	CLEANUP_FREE char *dir = slash ? xstrndup(c->socket, (size_t)(slash - c->socket)) : xstrdup(".");

	c->dir_fd = open(*dir ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0)
		return err_errno(e, -errno, "%s", dir);
	c->fd_path = xasprintf("/proc/self/fd/%d/%s", c->dir_fd, slash ? slash + 1 : c->socket);
	if (strlen(c->fd_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: the name of the socket is too long", c->socket);
	return 0;
}

static int
choose_url(struct client *c, const char *url, struct err *e)
{
	size_t n;

	if (!str_starts(url, "http://") && !str_starts(url, "https://"))
		return err_set(e, -EINVAL, "\"%s\" is no URL; it begins with http:// or https://", url);
	c->base = xstrdup(url);
	for (n = strlen(c->base); n && c->base[n - 1] == '/'; n--)
		c->base[n - 1] = 0;
	return 0;
}

static int
choose_server(struct client *c, const struct client_where *where, struct err *e)
{
	const char *url = where->url, *socket = where->socket, *root = where->root;

	if (!url && !socket && !root) {
		url = getenv("AOD_URL");
		socket = getenv("AOD_SOCKET");
	}
	if (url && *url)
		return choose_url(c, url, e);
	if (socket && *socket) {
		c->socket = xstrdup(socket);
	} else if (root && *root) {
		c->root = xstrdup(root);
		c->socket = xasprintf("%s/run/aod.sock", root);
	} else {
		c->socket = default_socket(where->fallback);
	}
	if (!c->socket)
		return choose_url(c, where->fallback, e);
	c->base = xstrdup("http://aod");
	return shorten_socket(c, e);
}

/* Whether what is sent to a URL can be read on the way: http to another host. */
static bool
in_the_clear(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	bool clear = true;

	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &host, 0))
		clear = strcmp(scheme, "https") != 0 && strcmp(host, "localhost") != 0 && strcmp(host, "[::1]") != 0 && !str_starts(host, "127.");
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return clear;
}

static int
read_token(struct buf *out, struct err *e)
{
	const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	CLEANUP_FREE char *path = NULL;

	if (dir && *dir == '/')
		path = xasprintf("%s/aod/token", dir);
	else if (home)
		path = xasprintf("%s/.config/aod/token", home);
	if (!path || access(path, F_OK))
		return 0;
	return file_read(path, TOKEN_MAX, out, e);
}

/* The token that is shown, if there is one. */
static int
choose_token(struct client *c, const struct client_where *where, struct err *e)
{
	const char *token = where->token ? where->token : getenv("AOD_TOKEN");
	bool clear = !c->socket && in_the_clear(c->base);
	struct buf file = BUF_INIT;
	int r = 0;

	if (clear && where->token)
		return err_set(e, -EINVAL, "a token is not sent over http:// to another host, where everybody on the way can read it; use https://");
	if (clear)
		return 0;
	if ((!token || !*token) && !c->socket) {
		r = read_token(&file, e);
		token = file.data;
	}
	if (r == 0 && token && *token) {
		size_t n = strcspn(token, " \t\r\n");

		if (token[n + strspn(token + n, " \t\r\n")])
			r = err_set(e, -EINVAL, "the token has blanks in it");
		else
			c->auth = xasprintf("Authorization: Bearer %.*s", (int)n, token);
	}
	buf_free(&file);
	return r;
}

struct client *
client_new(const struct client_where *where, struct err *e)
{
	struct client *c = xcalloc(1, sizeof(*c));
	const char *cacert = where->cacert ? where->cacert : getenv("AOD_CACERT");

	c->dir_fd = -1;
	c->cacert = cacert && *cacert ? xstrdup(cacert) : NULL;
	if (choose_server(c, where, e) < 0 || choose_token(c, where, e) < 0) {
		client_free(c);
		return NULL;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(c->curl = curl_easy_init())) {
		err_set(e, -EIO, "libcurl cannot be used");
		client_free(c);
		return NULL;
	}
	return c;
}

void
client_free(struct client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	free(c->base);
	free(c->socket);
	free(c->root);
	free(c->fd_path);
	free(c->auth);
	free(c->cacert);
	free(c);
}

/* One transfer. */
struct transfer {
	CURL *curl;
	struct buf *reply;   /* of a call, and of an error */
	struct buf error;    /* body of an error while streaming */
	size_t max;
	client_data_cb on_data;
	void *arg;
	struct err *e;
	int code;	     /* why a callback ended it */
	const struct client_exchange *x; /* or NULL */
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	n *= size;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->on_data && status < 400) {
		t->code = t->on_data(p, n, t->arg, t->e);
		return t->code < 0 ? 0 : n;
	}
	if (t->on_data && t->error.len + n > ERROR_BODY_MAX)
		return n;
	if (!t->on_data && t->reply->len + n > t->max) {
		t->code = -EFBIG;
		return 0;
	}
	buf_put(t->on_data ? &t->error : t->reply, p, n);
	return n;
}

static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	struct transfer *t = arg;

	if (t->x && t->x->on_progress)
		t->x->on_progress(ulnow, dlnow, t->x->progress_arg);
	return client_interrupted;
}

static int
cannot_connect(const struct client *c, struct err *e)
{
	long os = 0;

	curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os);
	if (!c->socket)
		return err_set(e, -EHOSTDOWN, "cannot connect to %s: %s. Is aod running there?", c->base,
			       os ? strerror((int)os) : "no such host, or nothing listens");
	if (os == EACCES || os == EPERM)
		return err_set(e, -EHOSTDOWN, "cannot connect to %s: permission denied. Ask for access to this aod, or "
			       "name another one with --socket, --root or AOD_SOCKET", c->socket);
	return err_set(e, -EHOSTDOWN, "cannot connect to %s: %s. Is aod running? Start it with \"aod --root %s\", or name "
		       "its socket with --socket, --root or AOD_SOCKET", c->socket,
		       os ? strerror((int)os) : "it does not answer", c->root ? c->root : "DIR");
}

static int
transport_error(const struct client *c, const struct transfer *t, CURLcode rc, struct err *e)
{
	const char *server = c->socket ? c->socket : c->base;

	if (client_interrupted)
		return err_set(e, -EINTR, "interrupted");
	switch (rc) {
	case CURLE_ABORTED_BY_CALLBACK:
		return t->code ? t->code : err_set(e, -EIO, "%s: what was to be sent could not be read", server);
	case CURLE_WRITE_ERROR:
		if (t->code == -EFBIG)
			return err_set(e, -EFBIG, "%s: the answer is over %zu MiB", server, t->max >> 20);
		return t->code ? t->code : err_set(e, -EIO, "%s: the answer could not be taken", server);
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return cannot_connect(c, e);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, -ETIMEDOUT, "%s: no answer in time", server);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return err_set(e, -ECONNRESET, "%s: the connection was lost before the answer was complete", server);
	default:
		return err_set(e, -EIO, "%s: %s", server, curl_easy_strerror(rc));
	}
}

static void
put_detail_item(struct buf *out, struct json_object *item)
{
	struct json_object *loc = js_get(item, "loc"), *last;
	const char *msg = js_str(item, "msg");
	size_t n;

	if (out->len)
		buf_puts(out, "; ");
	if (json_object_is_type(loc, json_type_array) && (n = json_object_array_length(loc))) {
		last = json_object_array_get_idx(loc, n - 1);
		/* ["body"] alone is the whole body: there is no field to name. */
		if (n > 1)
			buf_printf(out, "%s: ", json_object_get_string(last));
	}
	buf_puts(out, msg ? msg : json_object_to_json_string(item));
}

void
client_error_text(struct buf *out, int status, const char *body, size_t n)
{
	struct json_object *o = js_parse(body, n), *detail = js_get(o, "detail");
	size_t i, line = 0;

	if (json_object_is_type(detail, json_type_string))
		buf_puts(out, json_object_get_string(detail));
	else if (json_object_is_type(detail, json_type_array))
		for (i = 0; i < json_object_array_length(detail); i++)
			put_detail_item(out, json_object_array_get_idx(detail, i));
	json_object_put(o);
	if (!out->len) {
		while (line < n && line < 200 && body[line] != '\n' && body[line] != '\r')
			line++;
		buf_printf(out, "the server answered HTTP %d%s%.*s", status, line ? ": " : "", (int)line, body);
	}
	for (i = 0; i < out->len; i++)
		if (out->data[i] == '\n')
			out->data[i] = ' ';
}

static void
set_up(struct client *c, const char *method, const char *url, const char *body, struct curl_slist *headers,
       struct transfer *t)
{
	CURL *h = c->curl;

	/* Options only: connections that are open stay so. */
	curl_easy_reset(h);
	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "aoctl");
	if (c->cacert)
		curl_easy_setopt(h, CURLOPT_CAINFO, c->cacert);
	if (c->socket) {
		curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->fd_path ? c->fd_path : c->socket);
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	}
	if (body) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
	t->curl = h;
}

/* 502, 504: aod had the request, and what became of it is not known. */
static int
code_of_status(long status)
{
	switch (status) {
	case 404:
		return -ENOENT;
	case 502:
		return -ECONNRESET;
	case 503:
		return -EHOSTDOWN;
	case 504:
		return -ETIMEDOUT;
	default:
		return -EREMOTEIO;
	}
}

/* Runs what was set up; turns an error of the server into one of ours. */
static int
perform(struct client *c, struct transfer *t, struct err *e)
{
	CURLcode rc = curl_easy_perform(c->curl);
	struct buf *said = t->on_data ? &t->error : t->reply, text = BUF_INIT;
	long status = 0;

	if (rc)
		return transport_error(c, t, rc, e);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 400)
		return 0;
	client_error_text(&text, (int)status, said->data ? said->data : "", said->len);
	err_set_status(e, (int)status, code_of_status(status), "%s", text.data);
	buf_free(&text);
	return code_of_status(status);
}

int
client_call(struct client *c, const char *method, const char *path, const char *body, int wait_s, size_t max,
	    struct buf *reply, struct err *e)
{
	CLEANUP_FREE char *url = xasprintf("%s%s", c->base, path);
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
	int64_t until = mono_us() + RETRY_US;
	struct transfer t;
	int r;

	if (body)
		headers = curl_slist_append(headers, "Content-Type: application/json");
	if (c->auth)
		headers = curl_slist_append(headers, c->auth);
	/* A body that waits for "100 Continue" costs a second with servers that never say it. */
	headers = curl_slist_append(headers, "Expect:");
	for (;;) {
		buf_reset(reply);
		t = (struct transfer){ .reply = reply, .max = max };
		set_up(c, method, url, body, headers, &t);
		curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, (long)(USUAL_S + wait_s));
		r = perform(c, &t, e);
		if (r != -ECONNRESET || strcmp(method, "GET") != 0 || mono_us() > until)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	curl_slist_free_all(headers);
	return r;
}

int
client_stream(struct client *c, const char *path, client_data_cb on_data, void *arg, struct err *e)
{
	CLEANUP_FREE char *url = xasprintf("%s%s", c->base, path);
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/x-ndjson");
	struct transfer t = { .on_data = on_data, .arg = arg, .e = e };
	int r;

	if (c->auth)
		headers = curl_slist_append(headers, c->auth);
	set_up(c, "GET", url, NULL, headers, &t);
	r = perform(c, &t, e);
	curl_slist_free_all(headers);
	buf_free(&t.error);
	return r;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* What a part is read from. */
struct source {
	int fd;
	int64_t left; /* -1: up to the end */
	struct transfer *t;
};

static size_t
on_read(char *p, size_t size, size_t n, void *arg)
{
	struct source *s = arg;
	ssize_t got;

	n *= size;
	if (s->left >= 0 && (int64_t)n > s->left)
		n = (size_t)s->left;
	do
		got = n ? read(s->fd, p, n) : 0;
	while (got < 0 && errno == EINTR && !client_interrupted);
	if (got < 0) {
		s->t->code = err_errno(s->t->e, -errno, "reading what is to be sent");
		return CURL_READFUNC_ABORT;
	}
	if (!got && s->left > 0) {
		s->t->code = err_set(s->t->e, -EIO, "what is to be sent became shorter while it was read");
		return CURL_READFUNC_ABORT;
	}
	if (s->left > 0)
		s->left -= got;
	return (size_t)got;
}

static int
add_part(curl_mime *form, const struct client_part *p, struct source *source)
{
	curl_mimepart *part = curl_mime_addpart(form);
	CURLcode rc = part ? curl_mime_name(part, p->name) : CURLE_OUT_OF_MEMORY;

	if (!rc && p->text)
		rc = curl_mime_data(part, p->text, CURL_ZERO_TERMINATED);
	else if (!rc)
		rc = curl_mime_data_cb(part, p->size, on_read, NULL, NULL, source);
	if (!rc && p->filename)
		rc = curl_mime_filename(part, p->filename);
	if (!rc && p->type)
		rc = curl_mime_type(part, p->type);
	return rc ? -ENOMEM : 0;
}

/* The body of an exchange. *form: the caller frees it after the transfer. */
static int
set_body(struct client *c, const struct client_exchange *x, struct source *sources, curl_mime **form, struct err *e)
{
	int i;

	if (x->body && x->body->text) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, x->body->text);
		if (x->body->size >= 0)
			curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body->size);
	} else if (x->body) {
		curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body->size);
		curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c->curl, CURLOPT_READDATA, &sources[0]);
	}
	if (!x->part_count)
		return 0;
	*form = curl_mime_init(c->curl);
	for (i = 0; i < x->part_count; i++)
		if (!*form || add_part(*form, &x->parts[i], &sources[i]) < 0)
			return err_set(e, -EIO, "the form could not be made");
	/* Quotes in names with a backslash, as in headers everywhere (RFC 7578 asks for nothing else). */
	curl_easy_setopt(c->curl, CURLOPT_MIME_OPTIONS, CURLMIMEOPT_FORMESCAPE);
	curl_easy_setopt(c->curl, CURLOPT_MIMEPOST, *form);
	return 0;
}

static struct curl_slist *
exchange_headers(const struct client *c, const struct client_exchange *x)
{
	struct curl_slist *headers = NULL;
	int i;

	/* Long bodies are announced with Expect: by libcurl, so that one that is refused is not sent. */
	for (i = 0; x->headers && x->headers[i]; i++)
		headers = curl_slist_append(headers, x->headers[i]);
	if (c->auth)
		headers = curl_slist_append(headers, c->auth);
	if (x->body) {
		CLEANUP_FREE char *type = xasprintf("Content-Type:%s%s", x->body->type ? " " : "", x->body->type ? x->body->type : "");

		headers = curl_slist_append(headers, type);
	}
	return headers;
}

int
client_exchange(struct client *c, const struct client_exchange *x, struct buf *reply, struct err *e)
{
	CLEANUP_FREE char *url = xasprintf("%s%s", c->base, x->path);
	struct curl_slist *headers = exchange_headers(c, x);
	struct transfer t = { .reply = reply, .max = CLIENT_REPLY_MAX, .on_data = x->on_data, .arg = x->arg, .e = e, .x = x };
	int count = x->part_count ? x->part_count : 1, i, r;
	struct source *sources = xcalloc((size_t)count, sizeof(*sources));
	const struct client_part *parts = x->part_count ? x->parts : x->body;
	curl_mime *form = NULL;

	for (i = 0; parts && i < count; i++)
		sources[i] = (struct source){ .fd = parts[i].fd, .left = parts[i].size, .t = &t };
	if (reply)
		buf_reset(reply);
	set_up(c, x->method, url, NULL, headers, &t);
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
	r = set_body(c, x, sources, &form, e);
	if (r == 0)
		r = perform(c, &t, e);
	curl_mime_free(form);
	curl_slist_free_all(headers);
	buf_free(&t.error);
	free(sources);
	return r;
}

int
client_status(struct client *c)
{
	long status = 0;

	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *
client_header(struct client *c, const char *name)
{
	struct curl_header *h;

	return curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &h) ? NULL : h->value;
}
