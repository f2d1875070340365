/* SPDX-License-Identifier: MIT */
/*
 * A change to the files of one blueprint: made in memory, checked as a whole, then written below
 * etc/blueprints as one. Keys are changed where they are set, if that is below etc; else in the
 * main file, if that is; else in the drop-in NAME.blueprint.d/50-api.conf.
 */
#ifndef AOD_AOD_AGENT_EDIT_H
#define AOD_AOD_AGENT_EDIT_H

#include "aod/blueprints.h"
#include "aod/unit-write.h"

struct json_object;

#define API_DROPIN "50-api.conf"
#define PROMPT_LINE_MAX                                                                            \
	500 /* bytes; longer ones, and those of several lines, get a file of their own */

struct change {
	const struct manager *m;
	struct blueprint_files f; /* as they would be */
	struct writes w;
	char *main_path; /* etc/blueprints/NAME.blueprint */
	bool own_main;   /* the main file is that one */
};

/* Of a blueprint that is there: -ENOENT (404), also when it is masked; -EINVAL (422) when a file
 * cannot be read. change_free() after success. */
int change_begin(struct change *c, const struct manager *m, const char *name, struct err *e);
/* Of one that is not there, is masked, or is to be replaced: with an empty main file below etc, and
 * the drop-ins there are. */
void change_begin_new(struct change *c, const struct manager *m, const char *name);
void change_free(struct change *c);

/* Give a key these values (raw, as behind the '='), none: unset. */
int change_key(struct change *c, enum directive_id id, char *const *values, struct err *e);
int change_text(struct change *c, enum directive_id id, const char *text,
		struct err *e); /* NULL or "": unset */
int change_prompt(struct change *c, const char *text, struct err *e);
int change_skills(struct change *c, char *const *words, struct err *e);
int change_enabled(struct change *c, bool enabled, struct err *e);
/* servers is checked. */
int change_mcp(struct change *c, struct json_object *servers, struct err *e);
/* The whole text of a file, as a person wrote it. */
void change_file(struct change *c, enum unit_kind kind, const char *path, const char *text,
		 size_t len);
void change_remove(struct change *c, const char *path);
/* How many errors the files would have; all are in c->f.problems. */
int change_check(struct change *c);
int change_commit(struct change *c, struct err *e);

#endif
