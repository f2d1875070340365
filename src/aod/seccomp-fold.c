/* SPDX-License-Identifier: MIT */
/*
 * A filter program made short. The kernel reads, compiles and tries out each program at each start of an agent, which takes time by its length, and
 * libseccomp writes comparisons for every call there is, although most of them stand in rows that are treated alike. So the program is gone through
 * once for each call number, as far as it goes without the call's arguments: what is left of it, a verdict or some comparisons of arguments, is the same for
 * whole spans of numbers. A binary tree of where these begin is written in front of what is left of them, which is there once for all that have the same.
 */
#include "config.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "aod/seccomp-internal.h"
#include "base/buf.h"
#include "base/util.h"

struct program {
	const struct sock_filter *v;
	size_t n;
};

/* What is left for the numbers from first on, up to the next span. */
struct span {
	uint32_t first;
	struct buf code;
	size_t at; /* where it is written, 0: not yet */
};

struct spans {
	struct span *v;
	size_t n;
};

#define SPANS_MAX 128 /* half of a tree of so many can be jumped over at once */

static size_t
length(const struct buf *code)
{
	return code->len / sizeof(struct sock_filter);
}

static bool
same_code(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* ---- what is left for one call ---- */

static bool
is_jump(const struct sock_filter *i)
{
	return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_JA;
}

/*
 * From pc on to the first instruction that depends on an argument, or is the end. known: the accumulator is a, which is the architecture or the number.
 * Its place, or n when the program is not one of those that are understood here.
 */
static size_t
follow(const struct program *p, size_t pc, bool known, uint32_t a, uint32_t arch, uint32_t nr)
{
	while (pc < p->n) {
		const struct sock_filter *i = &p->v[pc];

		if (i->code == (BPF_LD | BPF_W | BPF_ABS) && (i->k == offsetof(struct seccomp_data, nr) || i->k == offsetof(struct seccomp_data, arch))) {
			known = true;
			a = i->k == offsetof(struct seccomp_data, nr) ? nr : arch;
			pc++;
		} else if (i->code == (BPF_JMP | BPF_JA)) {
			pc += 1 + (size_t)i->k;
		} else if (i->code == (BPF_LD | BPF_W | BPF_ABS) || i->code == (BPF_RET | BPF_K)) {
			return pc;
		} else if (!known) {
			return is_jump(i) || i->code == (BPF_ALU | BPF_AND | BPF_K) ? pc : p->n;
		} else if (!is_jump(i) || BPF_OP(i->code) == BPF_JSET) {
			break; /* numbers that have a bit in common need not be neighbours */
		} else {
			pc += 1 + (size_t)(seccomp_jumps(i, a) ? i->jt : i->jf);
		}
	}
	return p->n;
}

/* Where an instruction that is left leads to. */
static size_t
next_of(const struct program *p, size_t pc, size_t skip, uint32_t arch, uint32_t nr)
{
	return follow(p, pc + 1 + skip, false, 0, arch, nr);
}

/* Marks what can be reached from the first instruction that is left. The place behind the last of it, 0: not understood. */
static size_t
mark(const struct program *p, uint32_t arch, uint32_t nr, bool *left)
{
	size_t first = follow(p, 0, true, 0, arch, nr), end = first + 1;

	memset(left, 0, p->n);
	if (first == p->n)
		return 0;
	left[first] = true;
	/* All jumps are forward. */
	for (size_t pc = first; pc < end; pc++) {
		const struct sock_filter *i = &p->v[pc];
		size_t yes, no;

		if (!left[pc] || BPF_CLASS(i->code) == BPF_RET)
			continue;
		yes = next_of(p, pc, is_jump(i) ? i->jt : 0, arch, nr);
		no = next_of(p, pc, is_jump(i) ? i->jf : 0, arch, nr);
		if (yes == p->n || no == p->n)
			return 0;
		left[yes] = left[no] = true;
		if (end <= yes || end <= no)
			end = (yes > no ? yes : no) + 1;
	}
	return end;
}

/* Instructions that are left in front of pc, seen from behind from. */
static size_t
distance(const bool *left, size_t from, size_t pc)
{
	size_t n = 0;

	for (size_t i = from + 1; i < pc; i++)
		n += left[i];
	return n;
}

/* The code for one number. False: not understood, or too long for a jump. */
static bool
specialize(const struct program *p, uint32_t arch, uint32_t nr, bool *left, struct buf *out)
{
	size_t end = mark(p, arch, nr, left);

	buf_reset(out);
	for (size_t pc = 0; pc < end; pc++) {
		struct sock_filter i = p->v[pc];

		if (!left[pc])
			continue;
		if (is_jump(&i)) {
			size_t yes = distance(left, pc, next_of(p, pc, i.jt, arch, nr)), no = distance(left, pc, next_of(p, pc, i.jf, arch, nr));

			if (yes > UINT8_MAX || no > UINT8_MAX)
				return false;
			i.jt = (uint8_t)yes;
			i.jf = (uint8_t)no;
		} else if (BPF_CLASS(i.code) != BPF_RET && distance(left, pc, next_of(p, pc, 0, arch, nr)) != 0) {
			return false;
		}
		buf_put(out, &i, sizeof(i));
	}
	return end > 0;
}

/* ---- all of them ---- */

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Where spans can begin: at what the program compares with, and behind it. Returns how many; into v, of 2 * n + 1. */
static size_t
edges(const struct program *p, uint32_t *v)
{
	size_t n = 0;

	v[n++] = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (!is_jump(&p->v[i]))
			continue;
		v[n++] = p->v[i].k;
		if (p->v[i].k < UINT32_MAX)
			v[n++] = p->v[i].k + 1;
	}
	qsort(v, n, sizeof(*v), by_value);
	return n;
}

/* False: not understood; or other architectures are not all refused in the same way, by other. */
static bool
find_spans(const struct program *p, uint32_t arch, struct spans *s, struct buf *other)
{
	CLEANUP_FREE uint32_t *at = xcalloc(2 * p->n + 1, sizeof(*at));
	CLEANUP_FREE bool *left = xcalloc(p->n, sizeof(*left));
	struct buf code = BUF_INIT, foreign = BUF_INIT;
	size_t count = edges(p, at);
	bool good = specialize(p, ~arch, 0, left, other) && length(other) == 1;

	s->v = xcalloc(count, sizeof(*s->v));
	for (size_t i = 0; good && i < count; i++) {
		good = specialize(p, ~arch, at[i], left, &foreign) && same_code(&foreign, other) && specialize(p, arch, at[i], left, &code);
		if (!good || (s->n && same_code(&code, &s->v[s->n - 1].code)))
			continue;
		s->v[s->n].first = at[i];
		buf_put(&s->v[s->n++].code, code.data, code.len);
	}
	buf_free(&code);
	buf_free(&foreign);
	return good && s->n <= SPANS_MAX;
}

static void
put(struct buf *out, struct sock_filter i)
{
	buf_put(out, &i, sizeof(i));
}

/* The tree of the spans from first up to last; where more than a verdict is left there is a jump yet to be aimed, with the span's number. */
static void
put_tree(struct buf *out, const struct spans *s, size_t first, size_t last)
{
	size_t middle = first + (last - first + 1) / 2;
	struct buf lower = BUF_INIT;

	if (first == last) {
		if (length(&s->v[first].code) == 1)
			buf_put(out, s->v[first].code.data, s->v[first].code.len);
		else
			put(out, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)first));
		return;
	}
	put_tree(&lower, s, first, middle - 1);
	put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, s->v[middle].first, (uint8_t)length(&lower), 0));
	buf_put(out, lower.data, lower.len);
	buf_free(&lower);
	put_tree(out, s, middle, last);
}

/* Behind the tree, which ends where out does: what is left of the spans, and the jumps of the tree to there. */
static void
put_codes(struct buf *out, struct spans *s)
{
	size_t tree = length(out);

	for (size_t pc = 0; pc < tree; pc++) {
		struct sock_filter i;
		size_t k = 0;

		memcpy(&i, out->data + pc * sizeof(i), sizeof(i));
		if (i.code != (BPF_JMP | BPF_JA))
			continue;
		while (!same_code(&s->v[k].code, &s->v[i.k].code))
			k++;
		/* The first of those that have the same. */
		if (s->v[k].at == 0) {
			s->v[k].at = length(out);
			buf_put(out, s->v[k].code.data, s->v[k].code.len);
		}
		i.k = (uint32_t)(s->v[k].at - pc - 1);
		memcpy(out->data + pc * sizeof(i), &i, sizeof(i));
	}
}

void
seccomp_fold(struct buf *prog, uint32_t arch)
{
	const struct program p = { (const void *)prog->data, length(prog) };
	struct buf out = BUF_INIT, other = BUF_INIT;
	struct spans s = { 0 };

	if (find_spans(&p, arch, &s, &other)) {
		put(&out, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
		put(&out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
		buf_put(&out, other.data, other.len);
		put(&out, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
		put_tree(&out, &s, 0, s.n - 1);
		put_codes(&out, &s);
	}
	if (out.len && out.len < prog->len) {
		buf_reset(prog);
		buf_put(prog, out.data, out.len);
	}
	for (size_t i = 0; i < s.n; i++)
		buf_free(&s.v[i].code);
	free(s.v);
	buf_free(&other);
	buf_free(&out);
}
