/* SPDX-License-Identifier: MIT */
/* Files of documents: taking uploads, removing what is not used, reading texts for the index. See documents.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/documents.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

#define WAKE_S 0.05	      /* after a write: several share one piece of work */
#define COLLECT_BATCH 50
#define BATCH 200	      /* documents of one piece of work */
#define INDEX_BYTES (200 << 10) /* of text that one piece of work puts into the index; at least one document */
#define EXPIRE_LOOK_S 3600.   /* the longest sleep, so that a clock that is set does little harm */

struct documents {
	struct manager *m;
	int dir, uploads; /* descriptors of the directories */
	gid_t gid;	  /* of files that aod-http reads */
	int64_t total;	  /* bytes of all contents; -1: not known */
	int swept;	  /* directories of documents that were looked through, of 256; then none are left */
	ev_timer work_w;
};

/* ---- names ------------------------------------------------------------------------------------- */

static bool
is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* "ab/abcd…" */
static void
content_path(const char *sha256, char out[68])
{
	snprintf(out, 68, "%.2s/%.64s", sha256, sha256);
}

/* ---- taking uploads ---------------------------------------------------------------------------- */

static int
storage_error(struct err *e, const char *what)
{
	int code = errno;

	if (code == ENOSPC || code == EDQUOT)
		return err_set_status(e, 507, -ENOSPC, "No space is left on the disk of the documents");
	return err_errno(e, -code, "documents: %s", what);
}

/*
 * Nobody may write to it any more: aod's from now on, and a lease, which is only given when no descriptor or mapping for writing is
 * left (fcntl(2), F_SETLEASE).
 */
static int
seal(const struct documents *d, int fd, int64_t size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return storage_error(e, "upload");
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_size != size)
		return err_set_status(e, 500, -EINVAL, "the upload is not what aod-http says");
	if (((st.st_uid != geteuid() || st.st_gid != d->gid) && fchown(fd, geteuid(), d->gid) < 0) ||
	    ((st.st_mode & 07777) != 0440 && fchmod(fd, 0440) < 0))
		return storage_error(e, "upload");
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		if (errno == EAGAIN)
			return err_set_status(e, 500, -EBUSY, "the upload is still being written");
		log_debug("no lease on uploads here: %s", strerror(errno));
	} else {
		fcntl(fd, F_SETLEASE, F_UNLCK);
	}
	return fsync(fd) < 0 ? storage_error(e, "upload") : 0;
}

static int
sync_dir(int at, const char *name, struct err *e)
{
	CLEANUP_CLOSE int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? storage_error(e, name) : 0;
}

static int
move_in(const struct documents *d, const char *upload, const char *sha256, struct err *e)
{
	char path[68], sub[3];
	int r;

	content_path(sha256, path);
	snprintf(sub, sizeof(sub), "%.2s", sha256);
	r = renameat(d->uploads, upload, d->dir, path);
	if (r < 0 && errno == ENOENT) {
		if (mkdirat(d->dir, sub, 0750) < 0)
			return storage_error(e, sub);
		if ((r = sync_dir(d->dir, ".", e)) < 0)
			return r;
		r = renameat(d->uploads, upload, d->dir, path);
	}
	return r < 0 ? storage_error(e, path) : sync_dir(d->dir, sub, e);
}

/* Whether this content is here already, whole. */
static int
is_there(const struct documents *d, const char *sha256, int64_t size, struct err *e)
{
	int64_t had, refs;
	struct stat st;
	char path[68];
	int r = store_blob_get(d->m->store, sha256, &had, &refs, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	content_path(sha256, path);
	return refs > 0 && had == size && fstatat(d->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size == size;
}

/* 1: moved, 0: it is there already, so the upload is left. */
static int
take(struct documents *d, const char *upload, const char *sha256, int64_t size, struct err *e)
{
	CLEANUP_CLOSE int fd = openat(d->uploads, upload, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0)
		return storage_error(e, "upload");
	if ((r = is_there(d, sha256, size, e)) != 0)
		return r < 0 ? r : 0;
	if ((r = seal(d, fd, size, e)) < 0 || (r = move_in(d, upload, sha256, e)) < 0)
		return r;
	if (d->total >= 0)
		d->total += size;
	return 1;
}

void
documents_drop(struct manager *m, const char *upload)
{
	if (is_hex(upload, 32))
		unlinkat(m->documents->uploads, upload, 0);
}

int
documents_take(struct manager *m, const char *upload, const char *sha256, int64_t size, struct err *e)
{
	int r;

	if (!is_hex(upload, 32) || !is_hex(sha256, 64) || size < 0)
		return err_set_status(e, 500, -EINVAL, "no name of an upload");
	r = take(m->documents, upload, sha256, size, e);
	if (r < 1)
		documents_drop(m, upload);
	return r < 0 ? r : 0;
}

int
documents_total(struct manager *m, int64_t *bytes, struct err *e)
{
	struct documents *d = m->documents;
	int r = d->total < 0 ? store_blob_total(m->store, &d->total, e) : 0;

	*bytes = d->total;
	return r;
}

/* ---- sweeping ---------------------------------------------------------------------------------- */

static DIR *
open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

void
documents_sweep_uploads(struct manager *m)
{
	DIR *dir = open_dir(m->documents->uploads, ".");
	struct dirent *de;

	while (dir && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			unlinkat(m->documents->uploads, de->d_name, 0);
	if (dir)
		closedir(dir);
}

/* Contents in the next of up to 256 directories that no row knows: a crash, or a transaction that failed, came between. */
static void
sweep_one(struct documents *d)
{
	char sub[3], path[68];
	int64_t size, refs;
	struct dirent *de;
	DIR *dir = NULL;

	while (!dir && d->swept < 256) {
		snprintf(sub, sizeof(sub), "%02x", (unsigned)d->swept++ & 0xff);
		dir = open_dir(d->dir, sub);
	}
	while (dir && (de = readdir(dir)))
		if (is_hex(de->d_name, 64) && store_blob_get(d->m->store, de->d_name, &size, &refs, NULL) == -ENOENT) {
			content_path(de->d_name, path);
			log_note("documents/%s: no document has it: removing it", path);
			unlinkat(d->dir, path, 0);
		}
	if (dir)
		closedir(dir);
}

void
documents_sweep(struct manager *m)
{
	if (!m->documents)
		return;
	m->documents->swept = 0;
	m->documents->total = -1;
	documents_wake(m);
}

/* ---- work in the background -------------------------------------------------------------------- */

static int
remove_content(const char *sha256, int64_t size, void *arg)
{
	struct documents *d = arg;
	char path[68];

	content_path(sha256, path);
	if (unlinkat(d->dir, path, 0) < 0 && errno != ENOENT)
		return -errno;
	if (d->total >= 0)
		d->total -= size;
	return 0;
}

struct listed {
	struct {
		char id[DOCUMENT_ID_SIZE], sha256[65];
		int64_t n, size;
	} rows[BATCH];
	int count;
};

static int
on_listed(const struct document_row *row, void *arg)
{
	struct listed *l = arg;

	snprintf(l->rows[l->count].id, sizeof(l->rows[0].id), "%s", row->id);
	snprintf(l->rows[l->count].sha256, sizeof(l->rows[0].sha256), "%s", row->sha256);
	l->rows[l->count].n = row->n;
	l->rows[l->count++].size = row->size;
	return 0;
}

static int
expire(struct documents *d, struct err *e)
{
	struct listed l = {.count = 0};
	int r = store_document_expired(d->m->store, now_us(), BATCH, on_listed, &l, e);

	for (int i = 0; i < l.count && r == 0; i++) {
		log_info("document %s has expired: removing it", l.rows[i].id);
		r = store_document_delete(d->m->store, l.rows[i].id, e);
	}
	return r < 0 ? r : l.count;
}

/* Length of the longest start of a text that is UTF-8 without NUL; a sequence that the cap cut in two does not count against it. */
static size_t
text_length(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t i = 0, more;

	while (i < n && s[i]) {
		more = s[i] < 0x80 ? 0 : s[i] < 0xc2 ? 4 : s[i] < 0xe0 ? 1 : s[i] < 0xf0 ? 2 : s[i] < 0xf5 ? 3 : 4;
		if (more == 4 || i + more >= n)
			break;
		for (size_t k = 1; k <= more; k++)
			if ((s[i + k] & 0xc0) != 0x80)
				return i;
		i += more + 1;
	}
	return i;
}

/* The text of a content, or nothing when it is none. */
static void
read_text(const struct documents *d, const char *sha256, struct buf *out)
{
	char path[68];
	struct stat st;
	size_t want;
	ssize_t n;

	content_path(sha256, path);
	CLEANUP_CLOSE int fd = openat(d->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	want = st.st_size > DOCUMENT_TEXT_MAX ? DOCUMENT_TEXT_MAX : (size_t)st.st_size;
	buf_reserve(out, want + 1);
	n = pread(fd, out->data, want, 0);
	if (n > 0 && text_length(out->data, (size_t)n) + 3 >= (size_t)n)
		out->len = text_length(out->data, (size_t)n);
}

static int
index_texts(struct documents *d, struct err *e)
{
	struct listed l = {.count = 0};
	struct buf text = BUF_INIT;
	size_t done = 0;
	int r = store_document_to_index(d->m->store, BATCH, on_listed, &l, e), i;

	for (i = 0; i < l.count && r == 0 && done < INDEX_BYTES; i++) {
		buf_reset(&text);
		read_text(d, l.rows[i].sha256, &text);
		done += text.len;
		r = store_document_index(d->m->store, l.rows[i].n, text.len ? text.data : NULL, text.len, e);
	}
	buf_free(&text);
	return r < 0 ? r : i;
}

/* Each returns how much it did; as long as any did something, there may be more. */
static int
work(struct documents *d, struct err *e)
{
	int collected = store_blob_collect(d->m->store, COLLECT_BATCH, remove_content, d, e);
	int expired = collected < 0 ? collected : expire(d, e);
	int indexed = expired < 0 ? expired : index_texts(d, e);

	return indexed < 0 ? indexed : collected + expired + indexed;
}

static void
sleep_for(struct documents *d, double s)
{
	ev_timer_stop(d->m->loop, &d->work_w);
	ev_timer_set(&d->work_w, s, 0.);
	ev_timer_start(d->m->loop, &d->work_w);
}

/* Nothing is left to do until the next document expires. */
static void
sleep_long(struct documents *d)
{
	double s = EXPIRE_LOOK_S;
	int64_t next = 0;

	if (store_document_next_expiry(d->m->store, &next, NULL) < 0)
		return;
	if (next && (double)(next - now_us()) / 1e6 < s)
		s = (double)(next - now_us()) / 1e6 + 0.001;
	if (next)
		sleep_for(d, s < WAKE_S ? WAKE_S : s);
}

static void
on_work(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct documents *d = CONTAINER_OF(w, struct documents, work_w);
	struct manager *m = d->m;
	struct err e = {0};
	int r;

	if (!m->loaded || m->quitting)
		return;
	/* Not beside a transaction: what it removes would come back when it is rolled back, and its content be gone. */
	if (store_in_transaction(m->store)) {
		sleep_for(d, WAKE_S);
		return;
	}
	if (d->swept < 256) {
		sweep_one(d);
		sleep_for(d, WAKE_S);
		return;
	}
	if (manager_begin(m, &e) < 0)
		return;
	r = work(d, &e);
	manager_check(m, r < 0 ? r : 0, &e);
	if (r > 0)
		sleep_for(d, WAKE_S);
	else if (r == 0)
		sleep_long(d);
}

void
documents_wake(struct manager *m)
{
	struct documents *d = m->documents;

	if (d && (!ev_is_active(&d->work_w) || ev_timer_remaining(m->loop, &d->work_w) > WAKE_S))
		sleep_for(d, WAKE_S);
}

/* ---- start and end ----------------------------------------------------------------------------- */

static int
make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, int *fd, struct err *e)
{
	int r = mkdir_p(path, mode & 0777, e);

	if (r < 0)
		return r;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0 || (geteuid() == 0 && fchown(*fd, uid, gid) < 0) || fchmod(*fd, mode) < 0)
		return err_errno(e, -errno, "%s", path);
	return 0;
}

int
documents_open(struct manager *m, struct err *e)
{
	struct documents *d = xcalloc(1, sizeof(*d));
	CLEANUP_FREE char *dir = xasprintf("%s/documents", m->cfg->state);
	CLEANUP_FREE char *uploads = xasprintf("%s/uploads", m->cfg->state);
	const char *user = m->cfg->http_user;
	const struct passwd *pw = geteuid() == 0 && user && *user ? getpwnam(user) : NULL;
	int r;

	d->m = m;
	d->dir = d->uploads = -1;
	d->total = -1;
	d->gid = pw ? pw->pw_gid : getegid();
	m->documents = d;
	ev_timer_init(&d->work_w, on_work, 0., 0.);
	if ((r = make_dir(dir, 02750, geteuid(), d->gid, &d->dir, e)) < 0 ||
	    (r = make_dir(uploads, 0700, pw ? pw->pw_uid : geteuid(), d->gid, &d->uploads, e)) < 0)
		return r;
	documents_sweep_uploads(m);
	documents_wake(m);
	return 0;
}

void
documents_close(struct manager *m)
{
	struct documents *d = m->documents;

	if (!d)
		return;
	ev_timer_stop(m->loop, &d->work_w);
	if (d->dir >= 0)
		close(d->dir);
	if (d->uploads >= 0)
		close(d->uploads);
	free(d);
	m->documents = NULL;
}
