/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer's first inputs and its dictionary, from the table: one tiny file for each key.
 * `make-seeds DIRECTORY` writes them as key-KEY, and prints the dictionary. A test compares what is
 * in the tree with what this writes.
 */
#include <stdio.h>
#include <string.h>

#include "model/blueprint.h"

int
main(int argc, char **argv)
{
	char path[4096];

	if (argc != 2) {
		fputs("usage: make-seeds DIRECTORY >DICTIONARY\n", stderr);
		return 2;
	}
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/key-%s", argv[1], d->key);
		f = fopen(path, "we");
		if (!f ||
		    fprintf(f, "[%s]\n%s=%s\n", d->section, d->key, directive_example(d)) < 0 ||
		    fclose(f) != 0) {
			perror(path);
			return 1;
		}
		printf("\"%s=\"\n", d->key);
		if (d == blueprint_directives || strcmp(d->section, d[-1].section) != 0)
			printf("\"[%s]\\x0a\"\n", d->section);
	}
	for (const struct specifier *s = specifier_table; s->letter; s++)
		printf("\"%%%c\"\n", s->letter);
	return 0;
}
