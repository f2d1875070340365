/* SPDX-License-Identifier: MIT */
/* What the files of the blueprint module share. For nobody else. */
#ifndef AOD_MODEL_BLUEPRINT_INTERNAL_H
#define AOD_MODEL_BLUEPRINT_INTERNAL_H

#include "model/blueprint.h"

struct value {
	char **words; /* checked texts; of a key that is no list just one; NULL: unset */
	int count;    /* of words that were added; over BLUEPRINT_LIST_MAX once one was too many */
	int file;     /* index into files; -1: the default */
	int line;
};

struct blueprint {
	char *name, *path;
	char **files; /* paths of what was added */
	struct value values[D_COUNT];
};

/* How the values of a type are written. */
enum value_form {
	FORM_RAW,    /* as it stands */
	FORM_TEXT,   /* a text, maybe quoted as a whole */
	FORM_WORDS,  /* list of words */
	FORM_ARGV,   /* words that are replaced as a whole */
	FORM_TEXTS,  /* list of texts, one for each assignment */
	FORM_TUPLES, /* list of several words each, one for each assignment; kept quoted */
};
enum value_form value_form(const struct directive *d);

/* Whether a ~ in front of the first word of a line counts for all of it. */
bool value_takes_tilde(const struct directive *d);

#define VALUE_WHY 200
/*
 * Whether v is a value (or a word of the list) that d takes: NULL, or what would be right, as in
 * "wants …", static or in why[VALUE_WHY]. A value that is valid in several spellings of yes and no
 * is put into its usual one: *usual is set then.
 */
const char *value_check(const struct directive *d, const char *v, const char **usual, char *why);

/* The numbers of values that were checked. */
int64_t value_int(const char *v);
double value_float(const char *v);
/* Bytes or a count; -1 for one in per cent, INT64_MAX for infinity; suffixes count in units of base
 * (1000 or 1024). */
int64_t value_size(const char *v, int base);
/* One limit of a DT_RLIMIT in unit, d->values; INT64_MAX for infinity, microseconds for times. */
bool value_limit(const char *unit, const char *v, int64_t *out);
/* The number of a capability that was checked, as in <linux/capability.h>. */
int value_capability(const char *v);
/* Whether v is one of the words in list, which are parted by blanks. */
bool value_in(const char *list, const char *v);
/* A copy; the caller frees it. */
struct blueprint *blueprint_copy(const struct blueprint *b);
bool utf8_valid(const char *s, size_t n);

#endif
