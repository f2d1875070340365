/* SPDX-License-Identifier: MIT */
/* The spec: the keys of spec.h, read from a mapped memfd into pointers to it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/shim.h"
#include "shim/spec.h"

#define STOP_MS_DEFAULT 200
#define SPOOL_MAX_DEFAULT (64 << 20)

/*
 * Where to map, if it can be: behind the program, in tables of pages of its own, which go with the mapping. Where the kernel would put it, beside the
 * vDSO, they would stay.
 */
#define TABLE ((uintptr_t)2 << 20)
static void *
behind_us(size_t offset)
{
	extern char end[];

	return (void *)(((uintptr_t)end / TABLE + 1) * TABLE + offset);
}

static struct {
	char *text;
	void *vectors;
	size_t text_size, vectors_size;
} memory;

void
die(const char *what, const char *name, int error)
{
	char text[512];
	char *end = text + sizeof(text) - 1;
	char *p = put_text(text, end, "aod-shim: ");

	p = put_text(p, end, what);
	p = put_text(p, end, name ? " " : "");
	p = put_text(p, end, name ? name : "");
	p = put_text(p, end, error ? ": " : "");
	p = put_text(p, end, error ? strerror(error) : "");
	*p++ = '\n';
	if (write(STDERR_FILENO, text, (size_t)(p - text)) < 0)
		_exit(SHIM_FAILED);
	_exit(SHIM_FAILED);
}

enum kind { TEXT, LIST, FLAG, OCTAL, DECIMAL, SIGNED, HEX };

/* Where the values go, by their offset; every number is 64 bits wide. */
struct numbers {
	int64_t mask, uid, gid, nice, oom, notify_errno, stop_ms, spool_max, caps, ambient, ns;
};

struct key {
	const char *name;
	enum kind kind;
	size_t at; /* in struct spec; of numbers: in struct numbers */
	int64_t max;
};

#define IN_SPEC(field) offsetof(struct spec, field)
#define IN_NUMBERS(field) offsetof(struct numbers, field)

static const struct key keys[] = {
	{"argv=", LIST, IN_SPEC(argv)},
	{"env=", LIST, IN_SPEC(env)},
	{"mount", LIST, IN_SPEC(mounts)},
	{"rlimit=", LIST, IN_SPEC(rlimits)},
	{"cred=", LIST, IN_SPEC(creds)},
	{"cgroup_v1=", LIST, IN_SPEC(cgroup_v1)},
	{"uid_map=", LIST, IN_SPEC(uid_map)},
	{"gid_map=", LIST, IN_SPEC(gid_map)},
	{"landlock_rw=", LIST, IN_SPEC(landlock_rw)},
	{"landlock_ro=", LIST, IN_SPEC(landlock_ro)},
	{"spool=", TEXT, IN_SPEC(spool)},
	{"input=", TEXT, IN_SPEC(input)},
	{"bell=", TEXT, IN_SPEC(bell)},
	{"up=", TEXT, IN_SPEC(up)},
	{"key=", TEXT, IN_SPEC(key)},
	{"cwd=", TEXT, IN_SPEC(cwd)},
	{"cgroup=", TEXT, IN_SPEC(cgroup)},
	{"hostname=", TEXT, IN_SPEC(hostname)},
	{"no_new_privs=1", FLAG, IN_SPEC(no_new_privs)},
	{"seccomp=1", FLAG, IN_SPEC(seccomp)},
	{"seccomp=notify", FLAG, IN_SPEC(notify)},
	{"netns=1", FLAG, IN_SPEC(netns)},
	{"landlock_scope=1", FLAG, IN_SPEC(landlock_scope)},
	{"umask=", OCTAL, IN_NUMBERS(mask), 0777},
	{"uid=", DECIMAL, IN_NUMBERS(uid), UINT32_MAX - 1},
	{"gid=", DECIMAL, IN_NUMBERS(gid), UINT32_MAX - 1},
	{"stop_ms=", DECIMAL, IN_NUMBERS(stop_ms), UINT32_MAX},
	{"spool_max=", DECIMAL, IN_NUMBERS(spool_max)},
	{"notify_errno=", DECIMAL, IN_NUMBERS(notify_errno), 4095},
	{"nice=", SIGNED, IN_NUMBERS(nice), 19},
	{"oom_score_adj=", SIGNED, IN_NUMBERS(oom), 1000},
	{"caps=", HEX, IN_NUMBERS(caps)},
	{"ambient=", HEX, IN_NUMBERS(ambient)},
	{"ns=", HEX, IN_NUMBERS(ns), UINT32_MAX},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static int64_t
number_of(const struct key *k, const char *item, const char *value)
{
	int base = k->kind == OCTAL ? 8 : k->kind == HEX ? 16 : 10;
	const char *digits = value + (k->kind == SIGNED && *value == '-');
	char *end;
	long long v;

	errno = 0;
	v = k->kind == HEX ? (long long)strtoull(value, &end, base) : strtoll(value, &end, base);
	/* Those would also take a blank or a sign in front. */
	if (strchr(" \t\n+-", *digits) || *end || errno || (k->max && v > k->max))
		die("bad value in the spec:", item, 0);
	return v;
}

/* What stands behind the key, or NULL. */
static const char *
value_of(const struct key *k, const char *item)
{
	size_t n;

	/* Most are told apart by that. */
	if (k->name[0] != item[0])
		return NULL;
	n = strlen(k->name);
	if (strncmp(item, k->name, n) != 0 || (k->kind == FLAG && item[n]))
		return NULL;
	return item + n;
}

/* With store, values are put where they belong; without, items of lists are only counted. */
static void
read_item(struct spec *s, struct numbers *n, const char *item, size_t counts[KEYS], bool store)
{
	for (size_t i = 0; i < KEYS; i++) {
		const struct key *k = &keys[i];
		const char *v = value_of(k, item);
		void *at = (char *)s + k->at;

		if (!v)
			continue;
		if (k->kind == LIST && store)
			(*(char ***)at)[counts[i]] = (char *)v;
		else if (k->kind == TEXT)
			*(const char **)at = v;
		else if (k->kind == FLAG)
			*(bool *)at = true;
		else if (k->kind != LIST)
			*(int64_t *)(void *)((char *)n + k->at) = number_of(k, item, v);
		counts[i]++;
		return;
	}
}

static void
read_items(struct spec *s, bool store)
{
	struct numbers n = {.mask = 022, .uid = -1, .gid = -1, .nice = INT64_MIN, .oom = INT64_MIN, .notify_errno = EPERM,
			    .stop_ms = STOP_MS_DEFAULT, .spool_max = SPOOL_MAX_DEFAULT, .caps = -1};
	size_t counts[KEYS] = {0}, total = 0;
	char **v;

	for (const char *p = memory.text; p < memory.text + memory.text_size; p += strlen(p) + 1)
		read_item(s, &n, p, counts, store);
	s->mask = (mode_t)n.mask;
	s->uid = n.uid;
	s->gid = n.gid;
	s->nice = n.nice;
	s->oom_score_adj = n.oom;
	s->notify_errno = n.notify_errno;
	s->stop_ms = n.stop_ms;
	s->spool_max = n.spool_max;
	s->has_caps = n.caps != -1; /* all of them is no rule */
	s->caps = (uint64_t)n.caps;
	s->ambient = (uint64_t)n.ambient;
	s->ns = (unsigned)n.ns;
	s->seccomp = s->seccomp || s->notify;
	if (store)
		return;
	for (size_t i = 0; i < KEYS; i++)
		total += keys[i].kind == LIST ? counts[i] + 1 : 0;
	memory.vectors_size = total * sizeof(char *);
	memory.vectors = mmap(behind_us(SHIM_SPEC_MAX), memory.vectors_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory.vectors == MAP_FAILED)
		die("cannot allocate", NULL, errno);
	v = memory.vectors;
	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].kind == LIST) {
			*(char ***)(void *)((char *)s + keys[i].at) = v;
			v += counts[i] + 1;
		}
}

void
spec_load(struct spec *s, bool whole)
{
	struct stat st;

	*s = (struct spec){0};
	if (fstat(SHIM_SPEC_FD, &st) < 0)
		die("no spec on descriptor 3", NULL, errno);
	if (st.st_size < 1 || st.st_size > (off_t)SHIM_SPEC_MAX)
		die("the spec on descriptor 3 is empty or too large", NULL, 0);
	memory.text_size = (size_t)st.st_size;
	memory.text = mmap(behind_us(0), memory.text_size, PROT_READ, MAP_PRIVATE, SHIM_SPEC_FD, 0);
	if (memory.text == MAP_FAILED)
		die("cannot map the spec", NULL, errno);
	close(SHIM_SPEC_FD);
	if (memory.text[memory.text_size - 1] != '\0')
		die("the spec does not end in NUL", NULL, 0);
	read_items(s, false);
	read_items(s, true);
	if (!whole)
		return;
	if (!s->argv[0] || !strchr(s->argv[0], '/'))
		die("the spec has no argv with a slash in its first word", NULL, 0);
	if (!s->spool)
		die("the spec has no spool", NULL, 0);
}

void
spec_unload(void)
{
	munmap(memory.text, memory.text_size);
	munmap(memory.vectors, memory.vectors_size);
}
