/* SPDX-License-Identifier: MIT */
/*
 * The files of a blueprint: where they are found, and what they say. Read anew each time; what the
 * database holds of them is registry.c's.
 *
 * Search path: etc/blueprints, run/blueprints, the directory of those that ship. The first
 * NAME.blueprint counts. A link in one of these directories to another name in them is an alias of
 * that; a link to /dev/null, or an empty file, masks. NAME@INSTANCE without a file of its own is an
 * instance of NAME@.blueprint. Drop-ins are NAME.blueprint.d/NAME.conf of all directories, the
 * first of each file name, in the order of the file names; those of an instance go before those of
 * its template.
 */
#ifndef AOD_AOD_BLUEPRINTS_H
#define AOD_AOD_BLUEPRINTS_H

#include "aod/manager.h"
#include "model/blueprint.h"

#define BLUEPRINT_SUFFIX ".blueprint"
#define BLUEPRINT_DROPINS_MAX 100
#define BLUEPRINT_TEXT_MAX (2u << 20) /* bytes in all unit files of one blueprint */

enum unit_kind {
	UNIT_MAIN,
	UNIT_DROPIN,
	UNIT_SIDE /* a file that it names: its prompt, its MCP servers */
};

struct unit_file {
	enum unit_kind kind;
	char *path;
	char *text; /* NUL-terminated, may hold NULs as well */
	size_t len;
};

struct blueprint_files {
	char *name;      /* behind aliases */
	char *alias;     /* the name that was asked for, where that is another one */
	char *main_path; /* NULL when it could not be told */
	bool masked;
	struct unit_file *v; /* the main file, drop-ins in order, files beside */
	int count;
	struct blueprint_problems
		problems; /* files that cannot be read; once parsed, what is wrong in them */
	char *sides[2];   /* paths of the files that keys name, also of one that is not there */
	uint64_t stamp;   /* see blueprint_files_stamp() */
	bool racy;
	int64_t first_us, last_us; /* the oldest and the newest time of modification */
};

/* Paths of the directories; caller frees with strv_free(). */
char **blueprint_dirs(const struct config *cfg);
/*
 * Find the unit files of name. -ENOENT (status 404, with the nearest names). Whatever else is wrong
 * is in out->problems. texts: read them; without, their texts are empty.
 * blueprint_files_free() after success.
 */
int blueprint_files_find(const struct config *cfg, const char *name, bool texts,
			 struct blueprint_files *out, struct err *e);
/* As if name had an empty main file below etc. */
void blueprint_files_begin(const struct config *cfg, const char *name, struct blueprint_files *out);
void blueprint_files_free(struct blueprint_files *f);
/* A number that is another one when the files are others; 0: they may still be in the middle of a
 * change. */
uint64_t blueprint_files_stamp(const struct blueprint_files *f);
/* Count the files beside, as they were named when last parsed, into the stamp of one that was found
 * without texts. */
void blueprint_files_stamp_sides(struct blueprint_files *f, char *const sides[2]);
/* etc/blueprints/NAME.blueprint; caller frees. */
char *blueprint_etc_path(const struct config *cfg, const char *name);
/* Whether a file is below etc/blueprints. */
bool blueprint_in_etc(const struct config *cfg, const char *path);
/* Whether name is an instance that differs from no other: it has no file and no drop-in of its own.
 * *generic (caller frees) is the template. */
bool blueprint_files_generic(const struct blueprint_files *f, char **generic);
/* Content of a file that a person wrote: regular, at most max bytes, and never waited for. dirs: see fd_open_named(). */
int blueprint_read_file(const char *path, const char *const *dirs, size_t max, struct buf *out, struct err *e);
/*
 * All unit files, in order, and the warnings; then the prompt and the MCP servers that are named,
 * if they are in one of the directories: others may be secret, and whoever may see a blueprint need
 * not be allowed to see them. Caller frees with blueprint_free().
 */
struct blueprint *blueprint_files_parse(const struct manager *m, struct blueprint_files *f);
/* The file that SystemPromptFile= or McpConfigFile= names, NULL when it was not read. */
const struct unit_file *blueprint_side_file(const struct blueprint_files *f, enum directive_id id);
/* Replaces or adds (before those of kind UNIT_SIDE) a text. A NULL text takes it out. */
void blueprint_files_set(struct blueprint_files *f, enum unit_kind kind, const char *path,
			 const char *text, size_t len);
/* "Agent not found: X", with the nearest name. */
int blueprint_not_found(const struct config *cfg, const char *name, struct err *e);
/* -ENOENT (404) where it is masked, -EBUSY (409) where it is inactive, -EINVAL (404) for a template
 * without an instance. */
int blueprint_usable(const struct blueprint_files *f, const struct blueprint *b, struct err *e);

/* Every name there is, also aliases, masked ones, templates, and instances that have drop-ins.
 * Sorted; caller frees. */
char **blueprint_names(const struct config *cfg);

/* Find and parse; status 422 with the first problem and its place. Caller frees *out. */
int blueprint_load(const struct manager *m, const char *name, struct blueprint **out,
		   struct err *e);
/* What specifiers stand for as far as it is known without a session; texts are borrowed from m and
 * name. */
struct specifiers blueprint_specifiers(const struct manager *m, const char *name);

#endif
