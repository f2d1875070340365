/* SPDX-License-Identifier: MIT */
/* Programs in homes and what they need. See visible.h. */
#include "config.h"

#include "aod/visible.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define INTERPRETERS_MAX 3 /* of scripts whose interpreter is a script */
#define FIRST_LINE 256	   /* the kernel looks at no more */

char *
program_find(const char *search_path, const char *word)
{
	CLEANUP_FREE char *dirs = xstrdup(search_path);
	char *save = NULL;

	if (*word == '/')
		return access(word, F_OK) == 0 ? xstrdup(word) : NULL;
	for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		char *path = xasprintf("%s/%s", dir, word);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* What stands behind #! in the first line, or NULL. */
static char *
first_line(const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char line[FIRST_LINE];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return NULL;
	line[n] = '\0';
	return xstrndup(line + 2, strcspn(line + 2, "\n"));
}

/* The interpreter of a script; of "env [-S] NAME" what it finds. */
static char *
interpreter(const char *search_path, const char *path)
{
	CLEANUP_FREE char *line = first_line(path);
	char *save = NULL, *word = line ? strtok_r(line, " \t", &save) : NULL;
	const char *slash = word ? strrchr(word, '/') : NULL;

	if (!slash)
		return NULL;
	if (strcmp(slash, "/env") != 0)
		return program_find(search_path, word);
	while ((word = strtok_r(NULL, " \t", &save)) && *word == '-')
		;
	return word ? program_find(search_path, word) : NULL;
}

/* PREFIX of PREFIX/lib/node_modules/…, when the name that it is run by is in there, too: its link leads there. */
static char **
add_npm_prefix(char **visible, const char *path)
{
	CLEANUP_FREE char *real = realpath(path, NULL);
	char *end = real ? strstr(real, "/lib/node_modules/") : NULL;

	if (!end || end == real)
		return visible;
	*end = '\0';
	return path_within(path, real) ? strv_add(visible, real) : visible;
}

/* DIR of DIR/bin/NAME, when that is a virtual environment. */
static char **
add_python_environment(char **visible, const char *path)
{
	CLEANUP_FREE char *dir = xstrdup(path);
	CLEANUP_FREE char *config = NULL;

	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(dir, '/');

		if (!slash || slash == dir)
			return visible;
		*slash = '\0';
	}
	config = xasprintf("%s/pyvenv.cfg", dir);
	return access(config, F_OK) == 0 ? strv_add(visible, dir) : visible;
}

char **
program_visible(char **visible, const char *search_path, const char *path)
{
	char *next = xstrdup(path);

	for (int i = 0; next && i < INTERPRETERS_MAX; i++) {
		CLEANUP_FREE char *now = next;

		visible = strv_add(visible, now);
		visible = add_npm_prefix(visible, now);
		visible = add_python_environment(visible, now);
		next = interpreter(search_path, now);
	}
	free(next);
	return visible;
}
