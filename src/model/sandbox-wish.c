/* SPDX-License-Identifier: MIT */
/* Wishes for paths are sorted, decided, and handed over as a list of mount operations. See sandbox-internal.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/sandbox-internal.h"

char *
path_simplified(const char *path)
{
	struct buf out = BUF_INIT;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			buf_free(&out);
			return NULL;
		}
		if (n > 0 && !(n == 1 && *path == '.')) {
			buf_putc(&out, '/');
			buf_put(&out, path, n);
		}
		path += n;
	}
	if (out.len == 0)
		buf_putc(&out, '/');
	return buf_steal(&out);
}

struct wish *
wish_add(struct wishes *w, const char *path, enum kind kind, enum rank rank, unsigned flags)
{
	struct wish *one;

	if ((w->count & (w->count + 1)) == 0)
		w->v = xrealloc(w->v, ((size_t)w->count + 1) * 2 * sizeof(*w->v));
	one = &w->v[w->count];
	*one = (struct wish){ .path = path_simplified(path), .kind = kind, .rank = rank, .flags = flags, .order = w->count };
	w->count++;
	if (!one->path && !w->bad)
		w->bad = xstrdup(path);
	return one;
}

/* ---- sorting ------------------------------------------------------------------------------------------------------------------ */

static int
letter_order(char c)
{
	return c == '/' ? 1 : c ? (unsigned char)c + 1 : 0;
}

/* By parts of the path, so that a directory stands right before all that is below it. "/" is the shortest, though it ends with what parts others. */
static int
path_compare(const char *a, const char *b)
{
	a += !a[1];
	b += !b[1];
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return letter_order(*a) - letter_order(*b);
}

static int
wish_compare(const void *pa, const void *pb)
{
	const struct wish *a = pa, *b = pb;
	int r = path_compare(a->path, b->path);

	return r ? r : a->rank != b->rank ? (int)a->rank - (int)b->rank : a->order - b->order;
}

static bool
shows_itself(const struct wish *one)
{
	return one->kind == KIND_READ_ONLY || one->kind == KIND_WRITABLE;
}

static bool
is_op(const struct wish *one, enum mount_op op)
{
	return one && one->kind == KIND_MOUNT && one->op == op;
}

/* What is said of /sys itself is said of the new one. */
static void
take_over_sys(struct wish *new, const struct wish *said)
{
	new->flags |= said->kind == KIND_READ_ONLY ? MF_RO : 0;
}

/* Of several for one path the first stays; it must be there when one of them says so. */
static void
drop_doubles(struct wishes *w)
{
	struct wish *kept = NULL;

	for (int i = 0; i < w->count; i++) {
		struct wish *one = &w->v[i];

		if (!kept || strcmp(kept->path, one->path) != 0) {
			kept = one;
			continue;
		}
		if (shows_itself(kept) && is_op(one, MOUNT_SYS)) {
			take_over_sys(one, kept);
			kept->dropped = true;
			kept = one;
			continue;
		}
		one->dropped = true;
		if (is_op(kept, MOUNT_SYS) && shows_itself(one))
			take_over_sys(kept, one);
		if (!shows_itself(kept) || !shows_itself(one))
			continue;
		kept->only_hidden = kept->only_hidden && one->only_hidden;
		kept->host = kept->host || one->host;
		kept->pin = kept->pin || one->pin;
		kept->flags = (kept->flags & (one->flags | ~(unsigned)MF_OPTIONAL)) | (one->flags & (MF_IDMAP | MF_OWN | MF_NOFOLLOW));
	}
}

/* The nearest that stays above number i, or NULL. */
static struct wish *
above(const struct wishes *w, int i)
{
	for (int k = i - 1; k >= 0; k--)
		if (!w->v[k].dropped && path_within(w->v[i].path, w->v[k].path))
			return &w->v[k];
	return NULL;
}

/* Whether what the host has below a is not there. */
static bool
hides(const struct wish *a)
{
	return a && (a->kind == KIND_HIDE || a->kind == KIND_TMPFS || is_op(a, MOUNT_BIND) || is_op(a, MOUNT_DEV));
}

/* Whether one changes nothing, being below a. What no key of the blueprint asks for is not there where something hides it. */
static bool
is_idle(const struct wish *one, const struct wish *a)
{
	bool implied = one->rank > RANK_WORK || ((one->rank == RANK_WORK || one->rank == RANK_OURS) && !one->host);
	bool hidden = hides(a), foreign = one->flags & (MF_IDMAP | MF_OWN) & ~(a ? a->flags : 0);

	switch (one->kind) {
	case KIND_HIDE:
		return hidden && (implied || !is_op(a, MOUNT_BIND));
	case KIND_TMPFS:
		return hidden && (one->rank == RANK_HIDE || one->rank == RANK_OURS);
	case KIND_MOUNT:
		return false;
	case KIND_READ_ONLY:
		if (hidden)
			return implied;
		return one->only_hidden || (a && a->kind == KIND_READ_ONLY && !foreign);
	default:
		if (one->pin && one->rank == RANK_WORK && !one->host)
			return is_op(a, MOUNT_BIND) ? (a->flags & MF_RO) != 0 : hidden || (a && a->kind == KIND_READ_ONLY);
		if (is_op(a, MOUNT_BIND) && !one->host)
			return implied || (!(a->flags & MF_RO) && !one->pin);
		if (hidden)
			return implied;
		return (!a || a->kind == KIND_WRITABLE) && !foreign && !one->pin;
	}
}

/* What a wish takes over from the nearest above it: who its files belong to, and where they come from. */
static void
inherit(struct wish *one, const struct wish *a)
{
	if (!shows_itself(one) || !a)
		return;
	if (is_op(a, MOUNT_SYS) && !one->host) {
		/* Not that of the host. */
		one->flags |= one->kind == KIND_READ_ONLY ? MF_RO : 0;
		one->kind = KIND_MOUNT;
		one->op = MOUNT_ATTR;
		return;
	}
	if (shows_itself(a))
		one->flags |= a->flags & (MF_IDMAP | MF_OWN);
	if (is_op(a, MOUNT_BIND) && !one->host) {
		one->flags |= a->flags & (MF_IDMAP | MF_OWN | MF_NOFOLLOW | MF_NOSUID | MF_NODEV);
		one->src = xasprintf("%s%s", a->src[1] ? a->src : "", one->path + strlen(a->path));
	} else if (a->src && !one->host && shows_itself(a)) {
		one->src = xasprintf("%s%s", a->src, one->path + strlen(a->path));
	}
}

void
wishes_decide(struct wishes *w)
{
	if (w->count)
		qsort(w->v, (size_t)w->count, sizeof(*w->v), wish_compare);
	drop_doubles(w);
	for (int i = 0; i < w->count; i++) {
		struct wish *one = &w->v[i], *a;

		if (one->dropped)
			continue;
		a = above(w, i);
		one->dropped = is_idle(one, a);
		if (one->dropped)
			continue;
		inherit(one, a);
		/* Something is to be seen below it after all. */
		if (a && a->kind == KIND_HIDE && one->kind != KIND_HIDE) {
			a->kind = KIND_TMPFS;
			a->opt = xstrdup("mode=0711");
			a->flags |= TMPFS_FLAGS;
		}
	}
}

/* ---- handing over ---------------------------------------------------------------------------------------------------------------- */

static void
emit(struct sandbox *s, struct wish *one)
{
	struct sandbox_mount *m = &s->mounts[s->mount_count++];

	*m = (struct sandbox_mount){ .op = MOUNT_BIND, .flags = one->flags, .dst = one->path, .src = one->src, .opt = one->opt };
	switch (one->kind) {
	case KIND_HIDE:
		m->op = MOUNT_HIDE;
		break;
	case KIND_TMPFS:
		m->op = MOUNT_TMPFS;
		break;
	case KIND_MOUNT:
		m->op = one->op;
		break;
	default:
		if (one->kind == KIND_READ_ONLY)
			m->flags |= MF_RO;
		if (strcmp(one->path, "/") == 0)
			m->op = MOUNT_ATTR;
		else if (!m->src)
			m->src = xstrdup(one->path);
	}
	one->path = one->src = one->opt = NULL;
}

int
wishes_emit(struct sandbox *s, struct wishes *w, struct err *e)
{
	int count = 0;

	for (int i = 0; i < w->count; i++)
		count += !w->v[i].dropped;
	if (count > SANDBOX_MOUNTS_MAX)
		return err_set_status(e, 422, -E2BIG, "[Sandbox] asks for %d mounts, %d are the most: name directories that hold several of them", count,
				      SANDBOX_MOUNTS_MAX);
	s->mounts = count > 0 ? xcalloc((size_t)count, sizeof(*s->mounts)) : NULL;
	for (int i = 0; i < w->count; i++)
		if (!w->v[i].dropped)
			emit(s, &w->v[i]);
	return 0;
}

const struct wish *
wishes_found_at(const struct wishes *w, const char *path)
{
	for (int i = w->count - 1; i >= 0; i--)
		if (!w->v[i].dropped && path_within(path, w->v[i].path))
			return &w->v[i];
	return NULL;
}

void
wishes_free(struct wishes *w)
{
	for (int i = 0; i < w->count; i++) {
		free(w->v[i].path);
		free(w->v[i].src);
		free(w->v[i].opt);
	}
	free(w->v);
	free(w->bad);
}
