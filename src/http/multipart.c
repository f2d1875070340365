/* SPDX-License-Identifier: MIT */
/* Taking multipart bodies apart; see multipart.h. Called by upload.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "http/multipart.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

enum state {
	PREAMBLE, /* before the first delimiter: dropped */
	DATA,	  /* of a part */
	AFTER,	  /* a delimiter was seen: "--", or the end of its line */
	AFTER_DASH,
	AFTER_CR,
	HEADERS,
	EPILOGUE, /* after the closing delimiter: dropped */
};

static int
broken(struct multipart *m, struct err *e, const char *why)
{
	m->failed = true;
	return err_set_status(e, 400, -EINVAL, "The body is not valid multipart/form-data: %s", why);
}

/* ---- headers ----------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Appends a quoted string from behind its first quote; returns what follows it, or NULL when it does not end. */
static const char *
unquote(const char *p, const char *end, struct buf *out)
{
	for (; p < end && *p != '"'; p++) {
		/* Other backslashes are kept: some browsers send paths. */
		if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
			p++;
		buf_putc(out, *p);
	}
	return p < end ? p + 1 : NULL;
}

bool
multipart_param(const char *value, size_t n, const char *name, struct buf *out)
{
	const char *p = memchr(value, ';', n), *end = value + n;
	struct buf text = BUF_INIT;
	bool found = false;

	while (p && p < end && !found) {
		const char *key, *key_end;

		for (p++; p < end && is_blank(*p); p++)
			;
		for (key = p; p < end && *p != '=' && *p != ';'; p++)
			;
		for (key_end = p; key_end > key && is_blank(key_end[-1]); key_end--)
			;
		buf_reset(&text);
		if (p < end && *p == '=') {
			for (p++; p < end && is_blank(*p); p++)
				;
			if (p < end && *p == '"') {
				p = unquote(p + 1, end, &text);
			} else {
				for (; p < end && *p != ';' && !is_blank(*p); p++)
					buf_putc(&text, *p);
			}
			found = p && strlen(name) == (size_t)(key_end - key) &&
				strncasecmp(key, name, strlen(name)) == 0;
		}
		if (p && p < end)
			p = memchr(p, ';', (size_t)(end - p));
	}
	if (found)
		buf_put(out, text.data ? text.data : "", text.len);
	buf_free(&text);
	return found;
}

bool
multipart_is(const char *type, size_t n)
{
	static const char want[] = "multipart/form-data";
	size_t len = sizeof(want) - 1;

	return n >= len && strncasecmp(type, want, len) == 0 &&
	       (n == len || type[len] == ';' || is_blank(type[len]));
}

/* filename*=UTF-8''na%C3%AFve.txt (RFC 8187). Other charsets are left to filename=. */
static bool
extended_filename(const char *value, size_t n, struct buf *out)
{
	struct buf text = BUF_INIT;
	bool ok = multipart_param(value, n, "filename*", &text) && text.len > 7 &&
		  strncasecmp(text.data, "utf-8'", 6) == 0;
	const char *p = ok ? strchr(text.data + 6, '\'') : NULL;

	for (ok = p != NULL, p = p ? p + 1 : ""; ok && *p; p++) {
		int high, low;

		if (*p != '%') {
			buf_putc(out, *p);
		} else if ((high = hex_digit(p[1])) >= 0 && (low = hex_digit(p[2])) >= 0) {
			buf_putc(out, (char)(high << 4 | low));
			p += 2;
		} else {
			ok = false;
		}
	}
	if (!ok)
		buf_reset(out);
	buf_free(&text);
	return ok;
}

struct found {
	struct buf name, filename, type;
	bool has_name, has_filename, has_type;
};

static bool
take_header(struct found *f, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n), *value, *end = line + n;
	size_t name_len = colon ? (size_t)(colon - line) : 0;

	if (name_len == 0)
		return false;
	for (value = colon + 1; value < end && is_blank(*value); value++)
		;
	while (end > value && is_blank(end[-1]))
		end--;
	n = (size_t)(end - value);
	if (name_len == 19 && strncasecmp(line, "content-disposition", 19) == 0) {
		if (n < 9 || strncasecmp(value, "form-data", 9) != 0)
			return false;
		f->has_name = multipart_param(value, n, "name", &f->name);
		f->has_filename = extended_filename(value, n, &f->filename) ||
				  multipart_param(value, n, "filename", &f->filename);
	} else if (name_len == 12 && strncasecmp(line, "content-type", 12) == 0) {
		buf_reset(&f->type);
		buf_put(&f->type, value, n);
		f->has_type = n > 0;
	}
	return true;
}

/* The headers are whole: say what part begins. */
static int
begin_part(struct multipart *m, struct err *e)
{
	const char *p = m->headers.data, *end = p + m->headers.len;
	struct found f = {0};
	bool ok = memchr(p, 0, m->headers.len) == NULL;
	int rc;

	/* Every line ends with CR LF, and the last one is empty. */
	while (ok && end - p > 2) {
		const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);

		ok = take_header(&f, p, (size_t)(eol - p));
		p = eol + 2;
	}
	if (!ok || !f.has_name) {
		rc = broken(m, e, "a part's headers are broken, or without a name");
	} else {
		struct multipart_part part = {
			.name = f.name.data ? f.name.data : "",
			.filename = f.has_filename ? (f.filename.data ? f.filename.data : "") : NULL,
			.type = f.has_type ? f.type.data : NULL,
		};

		rc = m->ops->on_part(m->arg, &part, e);
	}
	buf_free(&f.name);
	buf_free(&f.filename);
	buf_free(&f.type);
	return rc;
}

/* ---- the body ---------------------------------------------------------------------------------- */

int
multipart_init(struct multipart *m, const char *type, size_t n, const struct multipart_ops *ops, void *arg, struct err *e)
{
	struct buf boundary = BUF_INIT;
	int rc = 0;

	*m = (struct multipart){.ops = ops, .arg = arg, .state = PREAMBLE};
	multipart_param(type, n, "boundary", &boundary);
	if (boundary.len == 0 || boundary.len > MULTIPART_BOUNDARY_MAX || memchr(boundary.data, '\r', boundary.len) ||
	    memchr(boundary.data, '\n', boundary.len)) {
		rc = broken(m, e, "Content-Type has no usable boundary");
	} else {
		memcpy(m->delimiter, "\r\n--", 4);
		memcpy(m->delimiter + 4, boundary.data, boundary.len);
		m->delimiter_len = 4 + boundary.len;
		/* The first delimiter may stand at the very beginning, without a line before it. */
		m->matched = 2;
	}
	buf_free(&boundary);
	return rc;
}

void
multipart_done(struct multipart *m)
{
	buf_free(&m->headers);
}

static int
emit(struct multipart *m, const char *p, size_t n, struct err *e)
{
	return m->state == DATA && n > 0 ? m->ops->on_data(m->arg, p, n, e) : 0;
}

/* Content up to the next delimiter. *at moves to what was not looked at. */
static int
take_content(struct multipart *m, const char **at, const char *end, struct err *e)
{
	const char *p = *at;
	int rc = 0;

	while (p < end && m->matched < m->delimiter_len) {
		if (m->matched == 0) {
			const char *cr = memchr(p, '\r', (size_t)(end - p));

			rc = emit(m, p, (size_t)((cr ? cr : end) - p), e);
			p = cr ? cr : end;
			if (rc < 0 || !cr)
				break;
		}
		if (*p == m->delimiter[m->matched]) {
			m->matched++;
			p++;
		} else {
			/* Not a delimiter after all. CR is only at its beginning, so p may begin one again, and nothing before it. */
			size_t held = m->matched;

			m->matched = 0;
			if ((rc = emit(m, m->delimiter, held, e)) < 0)
				break;
		}
	}
	*at = p;
	if (rc < 0 || m->matched < m->delimiter_len)
		return rc;
	if (m->state == DATA)
		rc = m->ops->on_end(m->arg, e);
	m->matched = 0;
	m->state = AFTER;
	return rc;
}

/* One byte behind a delimiter. */
static int
take_after(struct multipart *m, char c, struct err *e)
{
	if (m->state == AFTER_DASH && c == '-') {
		m->state = EPILOGUE;
	} else if (m->state == AFTER && c == '-') {
		m->state = AFTER_DASH;
	} else if (m->state == AFTER && c == '\r') {
		m->state = AFTER_CR;
	} else if (m->state == AFTER_CR && c == '\n') {
		if (++m->parts > MULTIPART_PARTS_MAX)
			return broken(m, e, "too many parts");
		buf_reset(&m->headers);
		m->state = HEADERS;
	} else if (m->state != AFTER || !is_blank(c)) {
		return broken(m, e, "a delimiter does not end its line");
	}
	return 0;
}

static int
take_header_byte(struct multipart *m, char c, struct err *e)
{
	const struct buf *h = &m->headers;

	if (h->len >= MULTIPART_HEADERS_MAX)
		return broken(m, e, "a part's headers are too long");
	buf_putc(&m->headers, c);
	if (c != '\n')
		return 0;
	if (h->len < 2 || h->data[h->len - 2] != '\r')
		return broken(m, e, "a line of a part's headers does not end with CR LF");
	if (h->len != 2 && (h->len < 4 || memcmp(h->data + h->len - 4, "\r\n\r\n", 4) != 0))
		return 0;
	m->state = DATA;
	m->matched = 0;
	return begin_part(m, e);
}

int
multipart_feed(struct multipart *m, const char *p, size_t n, struct err *e)
{
	const char *end = p + n;
	int rc = m->failed ? broken(m, e, "it was broken before") : 0;

	while (rc == 0 && p < end) {
		switch (m->state) {
		case PREAMBLE:
		case DATA:
			rc = take_content(m, &p, end, e);
			break;
		case HEADERS:
			rc = take_header_byte(m, *p++, e);
			break;
		case EPILOGUE:
			p = end;
			break;
		default:
			rc = take_after(m, *p++, e);
		}
	}
	if (rc < 0)
		m->failed = true;
	return rc;
}

int
multipart_finish(struct multipart *m, struct err *e)
{
	if (m->failed)
		return broken(m, e, "it was broken before");
	return m->state == EPILOGUE ? 0 : broken(m, e, "it ends before the closing delimiter");
}
