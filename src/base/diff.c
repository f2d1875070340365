/* SPDX-License-Identifier: MIT */
/* Unified diffs; see diff.h. E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", the
 * greedy form. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/diff.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

struct line {
	const char *p;
	size_t n; /* without the newline */
	uint32_t hash;
	bool newline;
};

struct side {
	struct line *v;
	int count;
};

/* A piece of the way from a to b: `same` lines in both, then some only in a, then some only in b.
 */
struct step {
	int same, gone, come;
};

struct steps {
	struct step *v;
	int count, cap;
};

static struct side
split(const char *p, size_t n)
{
	struct side s = {NULL, 0};
	const char *end = p + n;
	int cap = 0;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct line l = {p, (size_t)((nl ? nl : end) - p), 0, nl != NULL};

		if (s.count == cap) {
			cap = cap ? cap * 2 : 64;
			s.v = xrealloc(s.v, (size_t)cap * sizeof(*s.v));
		}
		l.hash = crc32c(0, l.p, l.n);
		s.v[s.count++] = l;
		p = nl ? nl + 1 : end;
	}
	return s;
}

static bool
same(const struct line *a, const struct line *b)
{
	return a->hash == b->hash && a->n == b->n && a->newline == b->newline &&
	       memcmp(a->p, b->p, a->n) == 0;
}

static void
add_step(struct steps *s, int n_same, int gone, int come)
{
	struct step *last = s->count ? &s->v[s->count - 1] : NULL;

	if (last && n_same == 0) {
		last->gone += gone;
		last->come += come;
		return;
	}
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->v = xrealloc(s->v, (size_t)s->cap * sizeof(*s->v));
	}
	s->v[s->count++] = (struct step){n_same, gone, come};
}

/* ---- the shortest way -------------------------------------------------------------------------- */

/* The rows of V that were tried: row d has 2d + 1 places, of which the diagonals -d, -d + 2, … d
 * are used. */
struct trace {
	int **rows;
	int count;
};

/* Follow the rows back from the end, then put the steps in order. */
static void
walk_back(const struct trace *t, int x, int y, struct steps *out)
{
	struct step *back = xcalloc((size_t)t->count + 1, sizeof(*back));
	int n = 0;

	for (int d = t->count - 1; d > 0; d--) {
		const int *v = t->rows[d - 1] + (d - 1);
		int k = x - y;
		bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
		int from_k = down ? k + 1 : k - 1, from_x = v[from_k];
		int start_x = down ? from_x : from_x + 1;

		/* After the edit, x - start_x lines are the same. */
		back[n++] = (struct step){x - start_x, !down, down};
		x = from_x;
		y = from_x - from_k;
	}
	add_step(out, x, 0, 0);
	for (int i = n - 1; i >= 0; i--) {
		add_step(out, 0, back[i].gone, back[i].come);
		if (back[i].same)
			add_step(out, back[i].same, 0, 0);
	}
	free(back);
}

/* False when a limit was met; out is untouched then. */
static bool
shortest(const struct line *a, int n, const struct line *b, int m, struct steps *out)
{
	struct trace t = {xcalloc(DIFF_EDITS_MAX + 1, sizeof(int *)), 0};
	int64_t work = 0;
	bool found = false;

	for (int d = 0; d <= DIFF_EDITS_MAX && !found && work < DIFF_STEPS_MAX; d++) {
		const int *last = d > 0 ? t.rows[d - 1] + (d - 1) : NULL;
		int *v = xmalloc((size_t)(2 * d + 1) * sizeof(int));

		t.rows[t.count++] = v;
		v += d;
		for (int k = -d; k <= d && !found; k += 2) {
			int x = !last ? 0
				: k == -d || (k != d && last[k - 1] < last[k + 1])
					? last[k + 1]
					: last[k - 1] + 1;
			int y = x - k;

			while (x < n && y < m && same(&a[x], &b[y])) {
				x++;
				y++;
				work++;
			}
			v[k] = x;
			work++;
			found = k == n - m && x >= n;
		}
	}
	if (found)
		walk_back(&t, n, m, out);
	for (int i = 0; i < t.count; i++)
		free(t.rows[i]);
	free(t.rows);
	return found;
}

static void
compare(const struct side *a, const struct side *b, struct steps *out)
{
	int head = 0, tail = 0, n = a->count, m = b->count;

	while (head < n && head < m && same(&a->v[head], &b->v[head]))
		head++;
	while (tail < n - head && tail < m - head && same(&a->v[n - 1 - tail], &b->v[m - 1 - tail]))
		tail++;
	add_step(out, head, 0, 0);
	n -= head + tail;
	m -= head + tail;
	if (n > 0 && m > 0) {
		struct steps middle = {NULL, 0, 0};

		if (shortest(a->v + head, n, b->v + head, m, &middle))
			for (int i = 0; i < middle.count; i++)
				add_step(out, middle.v[i].same, middle.v[i].gone, middle.v[i].come);
		else
			add_step(out, 0, n, m);
		free(middle.v);
	} else {
		add_step(out, 0, n, m);
	}
	add_step(out, tail, 0, 0);
}

/* ---- as text ----------------------------------------------------------------------------------- */

static void
put_lines(struct buf *out, char mark, const struct line *v, int count)
{
	for (int i = 0; i < count; i++) {
		buf_putc(out, mark);
		buf_put(out, v[i].p, v[i].n);
		buf_puts(out, v[i].newline ? "\n" : "\n\\ No newline at end of file\n");
	}
}

/* "start,count": an empty range names the line before it. */
static void
put_range(struct buf *out, int at, int count)
{
	buf_put_int(out, count ? at + 1 : at);
	if (count != 1) {
		buf_putc(out, ',');
		buf_put_int(out, count);
	}
}

/* Steps first..last, which begin at line x of a and y of b, with context around. */
static void
put_hunk(struct buf *out, const struct side *a, const struct side *b, const struct step *s,
	 int count, int x, int y, int after)
{
	int before = s[0].same < DIFF_CONTEXT ? s[0].same : DIFF_CONTEXT;
	int n = before + after, m = before + after;

	x += s[0].same - before;
	y += s[0].same - before;
	for (int i = 0; i < count; i++) {
		n += s[i].gone + (i ? s[i].same : 0);
		m += s[i].come + (i ? s[i].same : 0);
	}
	buf_puts(out, "@@ -");
	put_range(out, x, n);
	buf_puts(out, " +");
	put_range(out, y, m);
	buf_puts(out, " @@\n");
	for (int i = 0; i < count; i++) {
		int keep = i ? s[i].same : before;

		put_lines(out, ' ', a->v + x, keep);
		put_lines(out, '-', a->v + x + keep, s[i].gone);
		put_lines(out, '+', b->v + y + keep, s[i].come);
		x += keep + s[i].gone;
		y += keep + s[i].come;
	}
	put_lines(out, ' ', a->v + x, after);
}

static void
put_hunks(struct buf *out, const struct side *a, const struct side *b, const struct steps *s)
{
	int x = 0, y = 0;

	for (int i = 0; i < s->count;) {
		int first = i, start_x = x, start_y = y, next;

		if (s->v[i].gone + s->v[i].come == 0) {
			x += s->v[i].same;
			y += s->v[i++].same;
			continue;
		}
		do {
			x += s->v[i].same + s->v[i].gone;
			y += s->v[i].same + s->v[i].come;
			i++;
		} while (i < s->count && s->v[i].same <= 2 * DIFF_CONTEXT &&
			 s->v[i].gone + s->v[i].come > 0);
		next = i < s->count ? s->v[i].same : 0;
		put_hunk(out, a, b, s->v + first, i - first, start_x, start_y,
			 next < DIFF_CONTEXT ? next : DIFF_CONTEXT);
	}
}

bool
diff_unified(struct buf *out, const char *from, const char *a, size_t a_len, const char *to,
	     const char *b, size_t b_len)
{
	struct side left, right;
	struct steps steps = {NULL, 0, 0};

	if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0))
		return false;
	left = split(a, a_len);
	right = split(b, b_len);
	compare(&left, &right, &steps);
	buf_printf(out, "--- %s\n+++ %s\n", from, to);
	put_hunks(out, &left, &right, &steps);
	free(steps.v);
	free(left.v);
	free(right.v);
	return true;
}
