/* SPDX-License-Identifier: MIT */
/* Finding and reading blueprints. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aod/blueprints.h"
#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"

#define SUFFIX ".blueprint"

static size_t
search_dirs(const struct manager *m, const char *out[3])
{
	size_t n = 0;

	out[n++] = m->cfg->etc;
	out[n++] = m->cfg->run;
	out[n++] = m->cfg->blueprints;
	return n;
}

/* The known name that is nearest to a wrong one, or NULL; caller frees. */
static char *
nearest(const struct manager *m, const char *name)
{
	const char *dirs[3];
	size_t count = search_dirs(m, dirs);
	char *best = NULL;
	int best_distance = 4;

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path = xasprintf(i < 2 ? "%s/blueprints" : "%s", dirs[i]);
		DIR *d = opendir(path);
		struct dirent *de;

		while (d && (de = readdir(d))) {
			size_t len = strlen(de->d_name);
			size_t stem = len - strlen(SUFFIX);
			char word[NAME_MAX_LEN + 1];
			int distance;

			if (len <= strlen(SUFFIX) || strcmp(de->d_name + stem, SUFFIX) || stem > NAME_MAX_LEN)
				continue;
			snprintf(word, sizeof(word), "%.*s", (int)stem, de->d_name);
			distance = str_distance(name, word, 3);
			if (distance < best_distance) {
				best_distance = distance;
				free(best);
				best = xstrdup(word);
			}
		}
		if (d)
			closedir(d);
	}
	return best;
}

static int
parse(const char *name, const char *path, const struct buf *text, struct blueprint **out, struct err *e)
{
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new(name, path);
	int rc;

	blueprint_add(b, path, text->data ? text->data : "", text->len, &problems);
	rc = blueprint_problems_err(&problems, e);
	blueprint_problems_free(&problems);
	if (rc < 0)
		blueprint_free(b);
	else
		*out = b;
	return rc;
}

int
blueprint_load(const struct manager *m, const char *name, struct blueprint **out, struct err *e)
{
	const char *dirs[3];
	size_t count = search_dirs(m, dirs);
	CLEANUP_FREE char *hint = NULL;

	if (!name_valid(name))
		return err_set_status(e, 422, -EINVAL, "Agent name '%.60s' is not valid: it has to match [a-zA-Z0-9_-]{1,60}", name);
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path = xasprintf(i < 2 ? "%s/blueprints/%s" SUFFIX : "%s/%s" SUFFIX, dirs[i], name);
		struct buf text = BUF_INIT;
		int rc = file_read(path, INI_FILE_MAX, &text, e);

		if (rc == 0)
			rc = parse(name, path, &text, out, e);
		buf_free(&text);
		if (rc != -ENOENT)
			return rc;
	}
	hint = nearest(m, name);
	return err_set_status(e, 404, -ENOENT, hint ? "Agent not found: %s (did you mean %s?)" : "Agent not found: %s", name, hint);
}
