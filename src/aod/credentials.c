/* SPDX-License-Identifier: MIT */
/* Credentials of a run. See credentials.h. */
#include "config.h"

#include "aod/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/util.h"

void
buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

/* The file of "ID:PATH", looked at: a pipe or a device would hold aod up. */
static int
open_credential(const char *item, const char *const *dirs, struct stat *st, struct err *e)
{
	const char *path = strchr(item, ':');
	int fd = path ? fd_open_named(path + 1, dirs) : -1;
	int rc = fd < 0 ? fd : 0;

	if (!path)
		return err_set_status(e, 422, -EINVAL, "LoadCredential=%s: say ID:PATH", item);
	if (rc == 0 && fstat(fd, st) < 0)
		rc = -errno;
	if (rc == 0 && !S_ISREG(st->st_mode))
		rc = S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
	if (rc == 0 && st->st_size > (off_t)CREDENTIAL_MAX)
		rc = -EFBIG;
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set_status(e, 422, rc, "LoadCredential=%s: %s", item,
			      rc == -EFBIG	? "a credential has at most 1 MiB"
			      : rc == -EINVAL	? "not a file"
			      : rc == -EXDEV	? "a link leads out of the agent's directory, to what the agent may not see"
						: strerror(-rc));
}

static void
put_head(struct buf *out, const char *item)
{
	buf_puts(out, "cred=");
	buf_put(out, item, strcspn(item, ":"));
	buf_putc(out, '=');
}

static int
put_file(struct buf *out, const char *item, const char *const *dirs, struct err *e)
{
	struct stat st;
	CLEANUP_CLOSE int fd = open_credential(item, dirs, &st, e);
	size_t left, start;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	put_head(out, item);
	start = out->len;
	buf_reserve(out, (size_t)st.st_size);
	for (left = (size_t)st.st_size; left && (n = read(fd, out->data + out->len, left)) > 0; left -= (size_t)n)
		out->len += (size_t)n;
	if (n < 0)
		return err_set_status(e, 422, -errno, "LoadCredential=%s: %s", item, strerror(errno));
	if (memchr(out->data + start, '\0', out->len - start))
		return err_set_status(e, 422, -EINVAL, "LoadCredential=%s: it has a NUL byte, which cannot be passed on: encode it, as with "
						       "base64(1)", item);
	buf_putc(out, '\0');
	return 0;
}

static void
put_text(struct buf *out, const char *item)
{
	put_head(out, item);
	buf_puts(out, strchr(item, ':') + 1);
	buf_putc(out, '\0');
}

/* The one of items that has the name of item. */
static const char *
same_name(char *const *items, const char *item)
{
	size_t n = strcspn(item, ":") + 1;

	for (; items && *items; items++)
		if (!strncmp(*items, item, n))
			return *items;
	return NULL;
}

int
credentials_put(struct buf *out, const struct sandbox *s, const char *const *dirs, struct err *e)
{
	size_t start = out->len;
	int rc = 0;

	/* Room for all of it first: what grows leaves a copy behind. */
	if (s->load_credentials || s->set_credentials)
		buf_reserve(out, CREDENTIALS_MAX + CREDENTIAL_MAX + 4096);
	for (char *const *c = s->load_credentials; rc == 0 && c && *c; c++) {
		const char *otherwise = same_name(s->set_credentials, *c);

		rc = put_file(out, *c, dirs, e);
		if (rc == -ENOENT && otherwise) {
			put_text(out, otherwise);
			rc = 0;
		}
		if (rc == 0 && out->len - start > CREDENTIALS_MAX)
			rc = err_set_status(e, 422, -EFBIG, "LoadCredential=%s: all credentials together have more than 4 MiB", *c);
	}
	for (char *const *c = s->set_credentials; rc == 0 && c && *c; c++) {
		if (same_name(s->load_credentials, *c))
			continue;
		if (out->len - start + strlen(*c) > CREDENTIALS_MAX)
			rc = err_set_status(e, 422, -EFBIG, "SetCredential=%.*s: all credentials together have more than 4 MiB",
					    (int)strcspn(*c, ":"), *c);
		else
			put_text(out, *c);
	}
	return rc;
}

int
credentials_check(const struct sandbox *s, struct err *e)
{
	struct stat st;

	for (char *const *c = s->load_credentials; c && *c; c++) {
		int fd = open_credential(*c, NULL, &st, e);

		if (fd == -ENOENT && same_name(s->set_credentials, *c))
			continue;
		if (fd < 0)
			return fd;
		close(fd);
	}
	return 0;
}
