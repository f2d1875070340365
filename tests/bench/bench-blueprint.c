/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to parse and merge blueprints: COUNT (1000) of them with two drop-ins each,
 * from memory and from files, the best of five. Prints one JSON object with the times in
 * milliseconds and the memory of all of them together.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint.h"

#define ROUNDS 5

/* The size and the keys of an ordinary one, with its comments. */
static const char main_text[] =
	"# Reads code and reports what it finds. Copy it to change it.\n"
	"[Blueprint]\nDescription=Reviews changes and reports what is wrong with them, number "
	"%d\nDocumentation=https://example.org/reviewer man:aod.blueprint(5)\n"
	"Tags=code review read-only\n\n[Agent]\nAdapter=claude\nModel=opus\n# What it is told.\n"
	"SystemPrompt=You review changes to code. Read the whole change before you speak; \\\n    "
	"say what is wrong, where, and what would be right.\n"
	"AllowedTools=Read Grep Glob \"Bash(git log:*)\" \"Bash(git "
	"diff:*)\"\nDisallowedTools=Write Edit\nPermissionMode=dontAsk\nMaxTurns=40\n"
	"Environment=LANG=C.UTF-8 \"GIT_PAGER=cat\"\nPassEnvironment=ANTHROPIC_API_KEY "
	"ANTHROPIC_BASE_URL\nWorkingDirectory=%%h/project\n\n"
	"[Session]\nTimeoutStopSec=20s\nResultGraceSec=5s\nRuntimeMaxSec=30min\nMaxCostUSD=2."
	"50\nRestart=on-transient\n\n"
	"[Resources]\nMemoryMax=2G\nTasksMax=256\nCPUQuota=150%%\n\n"
	"[Sandbox]\nPrivateTmp=yes\nProtectSystem=strict\nReadWritePaths=%%d\nSystemCallFilter=@"
	"system-service\nSystemCallFilter=~@mount ptrace\n";
static const char dropin_texts[2][200] = {
	"# of the "
	"site\n[Agent]\nAllowedTools=WebFetch\nEnvironment=HTTPS_PROXY=http://"
	"127.0.0.1:3128\n[Resources]\nMemoryMax=4G\n",
	"[Agent]\nModel=\nModel=sonnet\nDisallowedTools=\nDisallowedTools=Write\n[Session]"
	"\nTimeoutStopSec=1min\n",
};

static double
ms(int64_t us)
{
	return (double)us / 1000;
}

static void
die(const char *what, const struct blueprint_problems *p)
{
	struct buf text = BUF_INIT;

	for (int i = 0; i < p->count; i++) {
		blueprint_problem_format(&text, &p->v[i]);
		buf_putc(&text, '\n');
	}
	fprintf(stderr, "%s\n%s", what, text.data ? text.data : "");
	exit(1);
}

static struct blueprint *
parse(int i, const char *dir)
{
	static const char *const suffixes[] = {"", ".d/10-site.conf", ".d/50-own.conf"};
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	CLEANUP_FREE char *name = xasprintf("b%d", i);
	struct blueprint *b = blueprint_new(name, NULL);
	struct buf text = BUF_INIT;
	struct err e;

	for (int k = 0; k < 3; k++) {
		CLEANUP_FREE char *path = xasprintf(
			"%s/%s.blueprint%s", dir ? dir : "/etc/aod/blueprints", name, suffixes[k]);

		buf_reset(&text);
		if (!dir && k == 0)
			buf_printf(&text, main_text, i);
		else if (!dir)
			buf_puts(&text, dropin_texts[k - 1]);
		else if (file_read(path, INI_FILE_MAX, &text, &e) < 0)
			die(e.text, &p);
		if (blueprint_add(b, path, text.data, text.len, &p) != 0)
			die(path, &p);
	}
	buf_free(&text);
	return b;
}

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void
write_files(const char *dir, int count)
{
	for (int i = 0; i < count; i++) {
		CLEANUP_FREE char *main_path = xasprintf("%s/b%d.blueprint", dir, i),
				  *d = xasprintf("%s.d", main_path);
		CLEANUP_FREE char *first = xasprintf("%s/10-site.conf", d),
				  *second = xasprintf("%s/50-own.conf", d);
		CLEANUP_FREE char *text = xasprintf(main_text, i);

		write_text(main_path, text);
		if (mkdir(d, 0700) < 0)
			perror(d);
		write_text(first, dropin_texts[0]);
		write_text(second, dropin_texts[1]);
	}
}

static void
remove_files(const char *dir, int count)
{
	static const char *const suffixes[] = {".d/10-site.conf", ".d/50-own.conf", ".d", ""};

	for (int i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
			CLEANUP_FREE char *path =
				xasprintf("%s/b%d.blueprint%s", dir, i, suffixes[k]);

			if (remove(path) < 0)
				perror(path);
		}
	if (rmdir(dir) < 0)
		perror(dir);
}

static int64_t
best_of(int count, const char *dir, size_t *bytes)
{
	struct blueprint **all = xcalloc((size_t)count, sizeof(*all));
	int64_t best = INT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		size_t before = mallinfo2().uordblks;
		int64_t start = mono_us();

		for (int i = 0; i < count; i++)
			all[i] = parse(i, dir);
		if (mono_us() - start < best)
			best = mono_us() - start;
		*bytes = mallinfo2().uordblks - before;
		for (int i = 0; i < count; i++)
			blueprint_free(all[i]);
	}
	free(all);
	return best;
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/bench-blueprint.XXXXXX";
	int count = argc > 1 ? atoi(argv[1]) : 1000;
	int64_t memory_us, files_us, start, expand_us;
	const struct specifiers s = {
		.name = "b0", .home = "/home/user", .project_dir = "/srv/project"};
	struct blueprint *b, *expanded;
	size_t bytes;
	struct err e;

	if (count < 1 || !mkdtemp(dir)) {
		fputs("usage: bench-blueprint [COUNT]\n", stderr);
		return 2;
	}
	write_files(dir, count);
	memory_us = best_of(count, NULL, &bytes);
	files_us = best_of(count, dir, &bytes);
	remove_files(dir, count);
	b = parse(0, NULL);
	start = mono_us();
	for (int i = 0; i < count; i++) {
		expanded = blueprint_expand(b, &s, &e);
		if (!expanded) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
		blueprint_free(expanded);
	}
	expand_us = mono_us() - start;
	blueprint_free(b);
	printf("{\"blueprints\":%d,\"files\":%d,\"from_memory_ms\":%.2f,\"from_files_ms\":%.2f,"
	       "\"expand_ms\":%.2f,\"memory_kib\":%zu}\n",
	       count, count * 3, ms(memory_us), ms(files_us), ms(expand_us), bytes >> 10);
	return 0;
}
