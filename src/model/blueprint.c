/* SPDX-License-Identifier: MIT */
/* Blueprints: reading texts into the table's values, what is asked of them, and specifiers. See
 * blueprint.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-internal.h"
#include "model/unit-edit.h"

#define INSTANCE_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-"

/* What is being parsed. */
struct parse {
	struct blueprint *b;
	struct blueprint_problems *p;
	const char *path, *text;
	size_t n, at; /* at: where line at_line begins */
	int at_line;
	int file;             /* index of path in b->files */
	char bad_section[64]; /* the unknown section that was told of last */
};

/* ---- values ---- */

static void
value_clear(struct value *v)
{
	strv_free(v->words);
	*v = (struct value){.words = NULL, .file = -1};
}

static bool
is_many(const struct directive *d)
{
	return directive_is_list(d) || value_form(d) == FORM_ARGV;
}

/* Unset; of a list that has a default, the default. */
static void
value_reset(struct value *v, const struct directive *d)
{
	const char *why;

	value_clear(v);
	if (*d->def && is_many(d))
		v->words = ini_split_words(d->def, &why);
}

bool
blueprint_name_ok(const char *name)
{
	const char *at = strchr(name, '@');
	CLEANUP_FREE char *prefix = at ? xstrndup(name, (size_t)(at - name)) : xstrdup(name);

	if (!name_valid(prefix))
		return false;
	return !at ||
	       (strlen(at + 1) <= NAME_MAX_LEN && at[1 + strspn(at + 1, INSTANCE_CHARS)] == '\0');
}

struct blueprint *
blueprint_new(const char *name, const char *path)
{
	struct blueprint *b = xcalloc(1, sizeof(*b));

	b->name = xstrdup(name);
	b->path = xstrdup(path);
	for (int i = 0; i < D_COUNT; i++)
		value_reset(&b->values[i], &blueprint_directives[i]);
	return b;
}

void
blueprint_free(struct blueprint *b)
{
	if (!b)
		return;
	for (int i = 0; i < D_COUNT; i++)
		strv_free(b->values[i].words);
	strv_free(b->files);
	free(b->name);
	free(b->path);
	free(b);
}

/* ---- places ---- */

/* The bytes of a line of the text. Lines are asked for in order, or again. */
static const char *
raw_line(struct parse *ps, int line, size_t *n)
{
	const char *nl;

	if (line < ps->at_line || ps->at_line == 0) {
		ps->at = ps->n >= 3 && memcmp(ps->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
		ps->at_line = 1;
	}
	for (; ps->at_line < line; ps->at_line++) {
		nl = memchr(ps->text + ps->at, '\n', ps->n - ps->at);
		if (!nl)
			return NULL;
		ps->at = (size_t)(nl + 1 - ps->text);
	}
	nl = memchr(ps->text + ps->at, '\n', ps->n - ps->at);
	*n = (size_t)((nl ? nl : ps->text + ps->n) - (ps->text + ps->at));
	return ps->text + ps->at;
}

/* Where needle stands in the value of it, in its first line or one that continues it; else where
 * the value begins. */
static void
find_place(struct parse *ps, const struct ini_item *it, const char *needle, int *line, int *column)
{
	size_t n = 0, from = (size_t)it->value_column - 1;

	*line = it->line;
	*column = it->value_column;
	if (!needle || !*needle || ps->p->count >= BLUEPRINT_PROBLEMS_MAX)
		return;
	for (int i = it->line; i < it->line + 100; i++, from = 0) {
		const char *s = raw_line(ps, i, &n);
		const char *hit =
			s && from < n ? memmem(s + from, n - from, needle, strlen(needle)) : NULL;

		if (hit) {
			*line = i;
			*column = (int)(hit - s) + 1;
			return;
		}
		if (!s || n == 0 ||
		    (s[n - 1] != '\\' && s[strspn(s, " \t")] != '#' && s[strspn(s, " \t")] != ';'))
			return;
	}
}

/* A part of a file for a message: short, whole characters, nothing that moves a terminal. */
#define SHORT 64
static const char *
shorten(char out[SHORT], const char *s)
{
	size_t n = strnlen(s, SHORT);

	if (n == SHORT)
		for (n = SHORT - 4; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
			n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i];
	if (!utf8_valid(out, n))
		for (size_t i = 0; i < n; i++)
			out[i] = (signed char)out[i] < 0 ? '?' : out[i];
	if (s[n]) {
		memcpy(out + n, "...", 3);
		n += 3;
	}
	out[n] = 0;
	return out;
}

#define PROBLEM(ps, line, column, ...)                                                             \
	blueprint_problem_add((ps)->p, BP_ERROR, (ps)->path, line, column, __VA_ARGS__)

static void
value_problem(struct parse *ps, const struct directive *d, const struct ini_item *it,
	      const char *word, const char *why)
{
	char text[SHORT];
	int line, column;

	find_place(ps, it, word, &line, &column);
	shorten(text, word);
	if (str_starts(why, "wants"))
		PROBLEM(ps, line, column, "%s= %s, not '%s'", d->key, why, text);
	else
		PROBLEM(ps, line, column, "%s=: '%s' %s%s", d->key, text,
			str_starts(why, "did") ? "is not known, " : "", why);
}

/* ---- assignments ---- */

/* Stand-ins of specifiers while a file is checked: nothing is known of the session then. */
static const struct specifiers stand_ins = {
	.name = "x@x",
	.run_dir = "/x",
	.state_dir = "/x",
	.cache_dir = "/x",
	.home = "/x",
	.user = "x",
	.uid = "1",
	.host = "x",
	.session = "x",
	.session_id = "x",
	.project_dir = "/x",
	.session_dir = "/x",
};

/* Check a value or word as it will be once specifiers are replaced. *usual as of value_check(). */
static bool
check(struct parse *ps, const struct directive *d, const struct ini_item *it, const char *word,
      const char **usual)
{
	char why[VALUE_WHY], bad[3] = "";
	struct buf tmp = BUF_INIT;
	const char *wrong, *said = word;
	int line, column;

	*usual = NULL;
	if (d->flags & DF_SPECIFIERS && strchr(word, '%')) {
		long at = specifier_check(word);

		if (at >= 0) {
			bad[0] = '%';
			bad[1] = word[at + 1] > ' ' && word[at + 1] < 0x7f ? word[at + 1] : '\0';
			find_place(ps, it, bad, &line, &column);
			PROBLEM(ps, line, column,
				"%s=: '%s' is no specifier; write %%%% for a per cent sign", d->key,
				bad);
			return false;
		}
		specifier_expand(&tmp, word, &stand_ins, NULL);
		said = tmp.data;
	}
	wrong = value_check(d, said, usual, why);
	if (wrong)
		value_problem(ps, d, it, word, wrong);
	buf_free(&tmp);
	return !wrong;
}

static void
append(struct parse *ps, const struct directive *d, const struct ini_item *it, const char *word)
{
	struct value *v = &ps->b->values[d - blueprint_directives];

	if (v->file < 0)
		value_clear(v);
	if (v->count == BLUEPRINT_LIST_MAX) {
		PROBLEM(ps, it->line, it->column,
			"%s= has more than %d entries: reset it with an empty %s=, or make it "
			"shorter",
			d->key, BLUEPRINT_LIST_MAX, d->key);
		v->count++;
	}
	if (v->count > BLUEPRINT_LIST_MAX)
		return;
	/* strv_add() would count them each time. */
	if ((v->count & (v->count + 1)) == 0)
		v->words = xrealloc(v->words, ((size_t)v->count + 1) * 2 * sizeof(*v->words));
	v->words[v->count++] = xstrdup(word);
	v->words[v->count] = NULL;
	v->file = ps->file;
	v->line = it->line;
}

static void
set_one(struct parse *ps, const struct directive *d, const struct ini_item *it, const char *text)
{
	value_clear(&ps->b->values[d - blueprint_directives]);
	append(ps, d, it, text);
}

/* A ~ in front of the first word counts for all of them: it is put in front of each, so that lists
 * can be joined. */
bool
value_takes_tilde(const struct directive *d)
{
	return d->type == DT_CAPABILITIES || d->type == DT_NAMESPACES || d->type == DT_FAMILIES ||
	       d->type == DT_SYSCALLS;
}

static void
set_words(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	const char *why = NULL, *usual;
	char **words = ini_split_words(it->value, &why);
	struct value *v = &ps->b->values[d - blueprint_directives];
	bool all_but =
		words && words[0] && value_takes_tilde(d) && words[0][0] == '~' && words[0][1];

	if (!words) {
		PROBLEM(ps, it->line, it->value_column, "%s=: %s", d->key, why);
		return;
	}
	for (size_t i = 0; words[i] && ps->p->errors < BLUEPRINT_ERRORS_STOP; i++) {
		CLEANUP_FREE char *but =
			all_but && words[i][0] != '~' ? xasprintf("~%s", words[i]) : NULL;

		if (!check(ps, d, it, words[i], &usual))
			continue;
		/* yes and no are no members of the list: they stand for all of it. */
		if (usual && !but) {
			set_one(ps, d, it, usual);
			continue;
		}
		if (v->words && value_takes_tilde(d) && value_in("yes no", v->words[0]))
			value_clear(v);
		append(ps, d, it, but ? but : words[i]);
	}
	strv_free(words);
}

static void
set_argv(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	const char *why = NULL, *usual;
	char **words = ini_split_words(it->value, &why);
	bool ok = words != NULL;

	if (!words)
		PROBLEM(ps, it->line, it->value_column, "%s=: %s", d->key, why);
	for (size_t i = 0; words && words[i] && ps->p->errors < BLUEPRINT_ERRORS_STOP; i++)
		ok = check(ps, d, it, words[i], &usual) && ok;
	if (ok) {
		value_clear(&ps->b->values[d - blueprint_directives]);
		for (size_t i = 0; words[i]; i++)
			append(ps, d, it, words[i]);
	}
	strv_free(words);
}

static void
set_tuple(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	const char *why = NULL, *usual;
	char **words = ini_split_words(it->value, &why);
	struct buf line = BUF_INIT;

	unit_quote_words(&line, words);
	if (!words)
		PROBLEM(ps, it->line, it->value_column, "%s=: %s", d->key, why);
	else if (words[0] && check(ps, d, it, line.data, &usual))
		append(ps, d, it, line.data);
	buf_free(&line);
	strv_free(words);
}

static void
set_text(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	enum value_form form = value_form(d);
	CLEANUP_FREE char *text =
		form == FORM_RAW ? xstrdup(it->value) : unit_unquote_text(it->value);
	const char *usual;

	if (!*text)
		value_reset(&ps->b->values[d - blueprint_directives], d);
	else if (!check(ps, d, it, text, &usual))
		return;
	else if (form == FORM_TEXTS)
		append(ps, d, it, text);
	else
		set_one(ps, d, it, usual ? usual : text);
}

static void
assign(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	if (!*it->value) {
		value_reset(&ps->b->values[d - blueprint_directives], d);
		return;
	}
	switch (value_form(d)) {
	case FORM_WORDS:
		set_words(ps, d, it);
		break;
	case FORM_ARGV:
		set_argv(ps, d, it);
		break;
	case FORM_TUPLES:
		set_tuple(ps, d, it);
		break;
	default:
		set_text(ps, d, it);
		break;
	}
}

/* ---- what is no known key ---- */

/* Calls for each section once: rows of a section stand together. */
#define FOR_EACH_SECTION(d)                                                                        \
	for (const struct directive *d = blueprint_directives; d->key; d++)                        \
		if (d == blueprint_directives || strcmp(d->section, d[-1].section) != 0)

static bool
section_known(const char *section)
{
	FOR_EACH_SECTION(d)
	if (strcmp(d->section, section) == 0)
		return true;
	return false;
}

static void
unknown_section(struct parse *ps, const struct ini_item *it)
{
	const char *nearest = NULL;
	struct buf all = BUF_INIT;
	char name[SHORT];
	int best = 4;

	/* Once for a section, not for each of its keys. */
	if (ps->bad_section[0] &&
	    strncmp(ps->bad_section, it->section, sizeof(ps->bad_section) - 1) == 0)
		return;
	snprintf(ps->bad_section, sizeof(ps->bad_section), "%s", it->section);
	FOR_EACH_SECTION(d)
	{
		int distance = strcasecmp(it->section, d->section) == 0
				       ? 0
				       : str_distance(it->section, d->section, 3);

		if (distance < best) {
			best = distance;
			nearest = d->section;
		}
		buf_printf(&all, "%s[%s]", all.len > 0 ? ", " : "", d->section);
	}
	shorten(name, it->section);
	if (nearest)
		PROBLEM(ps, it->section_line, it->section_column,
			"unknown section [%s], did you mean [%s]?", name, nearest);
	else
		PROBLEM(ps, it->section_line, it->section_column, "unknown section [%s]: use %s",
			name, all.data);
	buf_free(&all);
}

static void
unknown_key(struct parse *ps, const struct ini_item *it)
{
	int elsewhere = directive_find(NULL, it->key);
	const char *nearest = elsewhere < 0 && ps->p->count < BLUEPRINT_PROBLEMS_MAX
				      ? directive_nearest(it->key)
				      : NULL;
	char name[SHORT];

	shorten(name, it->key);
	if (elsewhere >= 0)
		PROBLEM(ps, it->line, it->column, "%s= belongs into section [%s]", it->key,
			blueprint_directives[elsewhere].section);
	else if (nearest)
		PROBLEM(ps, it->line, it->column, "unknown key '%s', did you mean '%s'?", name,
			nearest);
	else
		PROBLEM(ps, it->line, it->column,
			"unknown key '%s' in section [%s]; keys for others begin with X-", name,
			it->section);
}

static int
on_item(const struct ini_item *it, void *arg)
{
	struct parse *ps = arg;
	char name[SHORT];
	int id;

	if (ps->p->errors >= BLUEPRINT_ERRORS_STOP)
		return 1;
	if (!it->key) {
		PROBLEM(ps, it->line, it->column, "%s", it->value);
		return 0;
	}
	/* As in systemd's units: X- is for others, and is left alone. */
	if (str_starts(it->section, "X-") || str_starts(it->key, "X-"))
		return 0;
	id = directive_find(it->section, it->key);
	if (id >= 0)
		assign(ps, &blueprint_directives[id], it);
	else if (!*it->section)
		PROBLEM(ps, it->line, it->column,
			"'%s=' is outside of a section: put a line such as [Agent] before it",
			shorten(name, it->key));
	else if (!section_known(it->section))
		unknown_section(ps, it);
	else
		unknown_key(ps, it);
	return 0;
}

int
blueprint_add(struct blueprint *b, const char *path, const char *text, size_t n,
	      struct blueprint_problems *p)
{
	struct parse ps = {.b = b, .p = p, .path = path, .text = text, .n = n};
	int before = p->errors;

	ps.file = (int)strv_len(b->files);
	b->files = strv_add(b->files, path ? path : "");
	if (ini_parse(text, n, on_item, &ps) == -EFBIG)
		PROBLEM(&ps, 0, 0, "too large: a file may have %u KiB, a value %u KiB",
			INI_FILE_MAX >> 10, INI_VALUE_MAX >> 10);
	return p->errors - before;
}

/* ---- what is asked ---- */

const char *
blueprint_name(const struct blueprint *b)
{
	return b->name;
}

const char *
blueprint_path(const struct blueprint *b)
{
	return b->path;
}

bool
blueprint_is_set(const struct blueprint *b, enum directive_id id)
{
	return b->values[id].file >= 0;
}

bool
blueprint_origin(const struct blueprint *b, enum directive_id id, const char **file, int *line)
{
	const struct value *v = &b->values[id];

	if (v->file < 0)
		return false;
	*file = b->files[v->file];
	*line = v->line;
	return true;
}

const char *
blueprint_text(const struct blueprint *b, enum directive_id id)
{
	const struct directive *d = &blueprint_directives[id];

	assert(!is_many(d));
	return b->values[id].words ? b->values[id].words[0] : *d->def ? d->def : NULL;
}

char *const *
blueprint_words(const struct blueprint *b, enum directive_id id)
{
	assert(is_many(&blueprint_directives[id]));
	return b->values[id].words;
}

int64_t
blueprint_int(const struct blueprint *b, enum directive_id id)
{
	const char *v = blueprint_text(b, id);

	if (v && blueprint_directives[id].type == DT_MODE)
		return strtol(v, NULL, 8);
	return v ? value_int(v) : 0;
}

double
blueprint_float(const struct blueprint *b, enum directive_id id)
{
	const char *v = blueprint_text(b, id);

	return v ? value_float(v) : 0;
}

int64_t
blueprint_us(const struct blueprint *b, enum directive_id id)
{
	const char *v = blueprint_text(b, id);
	int64_t us;

	return v && parse_timespan(v, &us) ? us : -1;
}

int64_t
blueprint_bytes(const struct blueprint *b, enum directive_id id, int64_t total)
{
	const char *v = blueprint_text(b, id);

	if (!v)
		return -1;
	return strchr(v, '%') ? (int64_t)((double)total * value_float(v)) : value_size(v, 1024);
}

enum tristate
blueprint_tri(const struct blueprint *b, enum directive_id id)
{
	char *const *words = is_many(&blueprint_directives[id]) ? blueprint_words(b, id) : NULL;
	const char *v = words                                ? words[0]
			: is_many(&blueprint_directives[id]) ? NULL
							     : blueprint_text(b, id);

	return !v ? TRI_UNSET : strcmp(v, "no") == 0 ? TRI_NO : TRI_YES;
}

/* ---- specifiers ---- */

static int
expand_tuple(struct buf *out, const char *line, const struct specifiers *s, struct err *e)
{
	char **words, **done = NULL;
	struct buf tmp = BUF_INIT;
	const char *why;
	int r = 0;

	words = ini_split_words(line, &why);
	for (size_t i = 0; words && words[i] && r == 0; i++) {
		buf_reset(&tmp);
		r = specifier_expand(&tmp, words[i], s, e);
		if (r == 0)
			done = strv_add(done, tmp.data);
	}
	unit_quote_words(out, done);
	buf_free(&tmp);
	strv_free(words);
	strv_free(done);
	return r;
}

static int
expand_value(struct blueprint *b, int id, const struct specifiers *s, struct err *e)
{
	const struct directive *d = &blueprint_directives[id];
	struct value *v = &b->values[id];
	char why[VALUE_WHY], text[SHORT];
	const char *usual, *wrong;
	int r = 0;

	for (size_t i = 0; v->words && v->words[i] && r == 0; i++) {
		struct buf out = BUF_INIT;

		if (!strchr(v->words[i], '%'))
			continue;
		if (value_form(d) == FORM_TUPLES)
			r = expand_tuple(&out, v->words[i], s, e);
		else
			r = specifier_expand(&out, v->words[i], s, e);
		wrong = r == 0 ? value_check(d, out.data, &usual, why) : NULL;
		if (wrong)
			r = err_set_status(e, 422, -EINVAL, "%s, not '%s'", wrong,
					   shorten(text, out.data));
		if (r == 0) {
			free(v->words[i]);
			v->words[i] = buf_steal(&out);
		}
		buf_free(&out);
	}
	if (r == 0 && v->words && !is_many(d) && !*v->words[0])
		value_reset(v, d);
	if (r < 0) {
		err_wrap(e, "%s:%d: %s=", v->file >= 0 ? b->files[v->file] : b->name, v->line,
			 d->key);
		if (e)
			e->status = 422;
	}
	return r;
}

struct blueprint *
blueprint_copy(const struct blueprint *b)
{
	struct blueprint *c = xcalloc(1, sizeof(*c));

	c->name = xstrdup(b->name);
	c->path = xstrdup(b->path);
	c->files = b->files ? strv_dup(b->files) : NULL;
	for (int i = 0; i < D_COUNT; i++) {
		c->values[i] = b->values[i];
		c->values[i].words = b->values[i].words ? strv_dup(b->values[i].words) : NULL;
	}
	return c;
}

struct blueprint *
blueprint_expand(const struct blueprint *b, const struct specifiers *v, struct err *e)
{
	struct blueprint *c = blueprint_copy(b);

	for (int i = 0; i < D_COUNT; i++)
		if (blueprint_directives[i].flags & DF_SPECIFIERS && expand_value(c, i, v, e) < 0) {
			blueprint_free(c);
			return NULL;
		}
	return c;
}
