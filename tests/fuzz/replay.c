/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over stored inputs, as an ordinary test that prints TAP. Linked with one fuzz-NAME.c in the place of
 * libFuzzer (clang -fsanitize=fuzzer fuzz-NAME.c …). Arguments: files and directories; without any, the
 * directory corpus-NAME beside the source, where NAME is from the program's own name.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count, failed;

static void
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t n = 0, cap = 0;

	count++;
	while (f && !feof(f) && !ferror(f) && n < INPUT_MAX) {
		if (n == cap) {
			cap = cap ? cap * 2 : 4096;
			data = realloc(data, cap);
			if (!data)
				abort();
		}
		n += fread(data + n, 1, cap - n, f);
	}
	if (!f || ferror(f)) {
		printf("not ok %d - %s: cannot be read\n", count, path);
		failed++;
	} else {
		/* A copy of the exact size, so that a sanitizer sees a read behind its end. */
		uint8_t *exact = malloc(n > 0 ? n : 1);

		if (!exact)
			abort();
		if (n > 0)
			memcpy(exact, data, n);
		/* Should it crash, this is the last line. */
		printf("# %s, %zu bytes\n", path, n);
		fflush(stdout);
		LLVMFuzzerTestOneInput(exact, n);
		free(exact);
		printf("ok %d - %s\n", count, path);
	}
	if (f)
		fclose(f);
	free(data);
}

static void
run_path(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	if (n < 0) {
		run_file(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(file);
		free(names[i]);
	}
	free(names);
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];
	char dir[4096];

	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (argc < 2) {
		name = strncmp(name, "fuzz-", 5) == 0 ? name + 5 : name;
		snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus-%s", srcdir ? srcdir : ".", name);
		run_path(dir);
	}
	printf("1..%d\n", count);
	return failed > 0 || count == 0;
}
