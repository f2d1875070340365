/* SPDX-License-Identifier: MIT */
/* Several files as one. See unit-write.h. */
#include "config.h"

#include "aod/unit-write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/blueprints.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

static struct write *
writes_at(struct writes *w, const char *path, enum write_how how)
{
	struct write *x = NULL;

	/* Whatever a caller does: what ships is never touched. */
	assert(blueprint_in_etc(w->cfg, path) && !strstr(path, "/../"));
	for (int i = 0; i < w->count && !x; i++)
		if (!strcmp(w->v[i].path, path))
			x = &w->v[i];
	if (!x) {
		w->v = xrealloc(w->v, (size_t)(w->count + 1) * sizeof(*w->v));
		x = &w->v[w->count++];
		memset(x, 0, sizeof(*x));
		x->path = xstrdup(path);
	}
	free(x->text);
	x->text = NULL;
	x->how = how;
	return x;
}

void
writes_text(struct writes *w, const char *path, const char *text, size_t len, mode_t mode)
{
	struct write *x = writes_at(w, path, WRITE_TEXT);

	x->text = xmalloc(len + 1);
	memcpy(x->text, text, len);
	x->len = len;
	x->mode = mode;
}

void
writes_mask(struct writes *w, const char *path)
{
	writes_at(w, path, WRITE_MASK);
}

void
writes_remove(struct writes *w, const char *path)
{
	writes_at(w, path, WRITE_REMOVE);
}

void
writes_free(struct writes *w)
{
	for (int i = 0; i < w->count; i++) {
		free(w->v[i].path);
		free(w->v[i].temp);
		free(w->v[i].text);
	}
	free(w->v);
	w->v = NULL;
	w->count = 0;
}

static char *
directory_of(const char *path)
{
	return xstrndup(path, (size_t)(strrchr(path, '/') - path));
}

static int
fail(const struct write *x, int code, struct err *e)
{
	err_errno(e, code, "cannot write %s", x->path);
	if (code == -EDQUOT)
		e->status = 507;
	else if (code == -EACCES || code == -EPERM || code == -EROFS)
		e->status = 403;
	return code;
}

static int
stage_text(struct write *x)
{
	CLEANUP_CLOSE int fd = -1;
	int rc;

	x->temp = xasprintf("%s.XXXXXX", x->path);
	fd = mkostemp(x->temp, O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		free(x->temp);
		x->temp = NULL;
		return rc;
	}
	rc = fd_write_all(fd, x->text, x->len);
	if (rc == 0 && (fchmod(fd, x->mode) < 0 || fsync(fd) < 0))
		rc = -errno;
	return rc;
}

static int
stage(struct write *x, struct err *e)
{
	CLEANUP_FREE char *dir = directory_of(x->path);
	char id[ID_SIZE];
	int rc = 0;

	if (x->how == WRITE_REMOVE)
		return 0;
	rc = mkdir_p(dir, 0755, e);
	if (rc < 0)
		return fail(x, rc, e);
	if (x->how == WRITE_TEXT) {
		rc = stage_text(x);
	} else {
		x->temp = xasprintf("%s.%s", x->path, id_new(id));
		if (symlink("/dev/null", x->temp) < 0) {
			rc = -errno;
			free(x->temp);
			x->temp = NULL;
		}
	}
	return rc < 0 ? fail(x, rc, e) : 0;
}

static int
put_in_place(struct write *x, struct err *e)
{
	CLEANUP_FREE char *dir = directory_of(x->path);
	CLEANUP_CLOSE int fd = -1;
	size_t n = strlen(dir);
	int rc = 0;

	if (x->how == WRITE_REMOVE)
		rc = unlink(x->path) < 0 && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
	else if (rename(x->temp, x->path) < 0)
		rc = -errno;
	if (rc < 0)
		return fail(x, rc, e);
	free(x->temp);
	x->temp = NULL;
	/* The last drop-in takes its directory along. */
	if (x->how == WRITE_REMOVE && n > 2 && !strcmp(dir + n - 2, ".d") && rmdir(dir) == 0)
		return 0;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		log_warn("%s: fsync: %s", dir, strerror(errno));
	return 0;
}

int
writes_commit(struct writes *w, struct err *e)
{
	mode_t old = umask(022);
	int rc = 0;

	for (int i = 0; rc == 0 && i < w->count; i++)
		rc = stage(&w->v[i], e);
	for (int i = 0; rc == 0 && i < w->count; i++)
		rc = put_in_place(&w->v[i], e);
	for (int i = 0; i < w->count; i++)
		if (w->v[i].temp)
			unlink(w->v[i].temp);
	umask(old);
	return rc;
}
