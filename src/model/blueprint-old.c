/* SPDX-License-Identifier: MIT */
/* Blueprints: the table of directives, and what follows from it: defaults, parser, show. See blueprint.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/blueprint-old.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"

#define AT(field) offsetof(struct blueprint, field)
#define INT_MAX_VALUE 1000000

const struct directive blueprint_directives[] = {
	{ "Blueprint", "Description", DT_STRING, AT(description), "",
	  "What the agent is for, one line for people and for agents that look for a helper." },
	{ "Agent", "Adapter", DT_ADAPTER, AT(adapter), "claude",
	  "How to talk to the program: claude (Claude Code's stream-json) or command (any program: its output lines are the events)." },
	{ "Agent", "ExecStart", DT_WORDS, AT(exec_start), "",
	  "Program and arguments. A program without a slash is looked up in PATH. For Adapter=claude the default is claude, and further words are "
	  "put before the arguments that aod adds; for Adapter=command it is what runs when the request gives no command." },
	{ "Agent", "Model", DT_STRING, AT(model), "", "Name of the model; the agent's own default when unset." },
	{ "Agent", "SystemPrompt", DT_STRING, AT(system_prompt), "", "Text appended to the agent's system prompt." },
	{ "Agent", "AllowedTools", DT_STRV, AT(allowed_tools), "",
	  "Tools that may be used without asking, such as Read or \"Bash(git log:*)\". May be given more than once; an empty value resets the list." },
	{ "Agent", "DisallowedTools", DT_STRV, AT(disallowed_tools), "", "Tools that may not be used. A list as AllowedTools=." },
	{ "Agent", "PermissionMode", DT_STRING, AT(permission_mode), "",
	  "acceptEdits, auto, bypassPermissions, default, dontAsk or plan; the agent's own default when unset. Nobody is there to be asked: "
	  "what would need an answer is denied." },
	{ "Agent", "MaxTurns", DT_INT, AT(max_turns), "0", "End the run after this many turns; 0: no limit." },
	{ "Agent", "McpConfigFile", DT_STRING, AT(mcp_config_file), "",
	  "JSON file {\"mcpServers\":{…}} with the MCP servers the agent may use; no others are started." },
	{ "Agent", "Environment", DT_STRV, AT(environment), "",
	  "Variables for the agent, NAME=VALUE, quoted where a value has blanks. A list as AllowedTools=." },
	{ "Agent", "PassEnvironment", DT_STRV, AT(pass_environment), "",
	  "Names of variables that are passed on from aod's own environment where they are set, such as keys; their values are never shown. "
	  "A list as AllowedTools=." },
	{ "Agent", "WorkingDirectory", DT_STRING, AT(working_directory), "",
	  "Absolute path to run in when the request names none; the session's own directory when unset." },
	{ "Session", "TimeoutStopSec", DT_TIMESPAN, AT(timeout_stop_us), "10s",
	  "How long after SIGTERM a stopped run gets until SIGKILL; infinity: for ever." },
	{ "Session", "ResultGraceSec", DT_TIMESPAN, AT(result_grace_us), "10s",
	  "How long the program gets to end after its answer; then it is stopped, and the answer counts." },
	{ "Sandbox", "PrivateTmp", DT_TRISTATE, AT(private_tmp), "",
	  "A /tmp and /var/tmp of the session's own. Default: yes for Adapter=claude, no for Adapter=command." },
	{ "Sandbox", "SystemCallFilter", DT_TRISTATE, AT(system_call_filter), "yes",
	  "The basic filter: system calls that no agent needs (modules, reboot, swap, clocks, other processes' memory) fail with EPERM." },
	{ NULL, NULL, DT_STRING, 0, NULL, NULL },
};

static const char *const adapter_names[] = { "claude", "command" };
static const char *const tristate_names[] = { [TRI_NO] = "no", [TRI_YES] = "yes" };

/* What is being parsed, and the problems so far. */
struct parse {
	struct blueprint *b;
	struct blueprint_problem *p;
	int count, max;
	char bad_section[64]; /* the unknown section that was told of last */
};

static void *
field(const struct blueprint *b, const struct directive *d)
{
	return (char *)(uintptr_t)b + d->offset;
}

__attribute__((format(printf, 4, 5))) static void
problem(struct parse *ps, int line, int column, const char *fmt, ...)
{
	struct blueprint_problem *p;
	va_list ap;

	if (ps->count == ps->max)
		return;
	p = &ps->p[ps->count++];
	p->line = line;
	p->column = column;
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, ap);
	va_end(ap);
}

#define VALUE_PROBLEM(ps, it, ...) problem((ps), (it)->line, (it)->value_column, __VA_ARGS__)

static void
set_string(char **dst, const char *value)
{
	free(*dst);
	*dst = *value ? xstrdup(value) : NULL;
}

/* NAME as the shell has it. n: bytes of it. */
static bool
variable_valid(const char *s, size_t n)
{
	if (n == 0 || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	return true;
}

/* Whether a word may be put into the list of d. */
static bool
word_check(struct parse *ps, const struct directive *d, const struct ini_item *it, const char *word)
{
	if (d->offset == AT(environment)) {
		const char *eq = strchr(word, '=');

		if (!eq || !variable_valid(word, (size_t)(eq - word))) {
			VALUE_PROBLEM(ps, it, "Environment= wants NAME=VALUE, not '%.100s'", word);
			return false;
		}
	} else if (d->offset == AT(pass_environment) && !variable_valid(word, strlen(word))) {
		VALUE_PROBLEM(ps, it, "PassEnvironment= wants names of variables, not '%.100s'", word);
		return false;
	}
	return true;
}

static void
set_words(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	char ***dst = field(ps->b, d), **words;
	const char *why = "cannot be split into words";

	words = ini_split_words(it->value, &why);
	if (!words) {
		VALUE_PROBLEM(ps, it, "%s=: %s", d->key, why);
		return;
	}
	if (d->type == DT_WORDS || strv_len(words) == 0) {
		strv_free(*dst);
		*dst = NULL;
	}
	for (size_t i = 0; words[i]; i++)
		if (word_check(ps, d, it, words[i]))
			*dst = strv_add(*dst, words[i]);
	strv_free(words);
}

static void
set_adapter(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	const char *nearest = NULL;
	int best = 4;

	for (size_t i = 0; i < ARRAY_LEN(adapter_names); i++) {
		int dist = str_distance(it->value, adapter_names[i], 3);

		if (dist == 0) {
			set_string(field(ps->b, d), it->value);
			return;
		}
		if (dist < best) {
			best = dist;
			nearest = adapter_names[i];
		}
	}
	if (nearest)
		VALUE_PROBLEM(ps, it, "unknown adapter '%.60s', did you mean '%s'?", it->value, nearest);
	else
		VALUE_PROBLEM(ps, it, "unknown adapter '%.60s': use claude or command", it->value);
}

static void
set_number(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	const char *value = *it->value ? it->value : d->def;
	bool b = false;

	switch (d->type) {
	case DT_INT:
		if (!parse_i64(value, 0, INT_MAX_VALUE, field(ps->b, d)))
			VALUE_PROBLEM(ps, it, "%s= wants a number from 0 to %d, not '%.60s'", d->key,
				      INT_MAX_VALUE, value);
		break;
	case DT_TIMESPAN:
		if (!parse_timespan(value, field(ps->b, d)))
			VALUE_PROBLEM(ps, it, "%s= wants a time span such as 10s, 500ms or infinity, not '%.60s'",
				      d->key, value);
		break;
	default:
		if (!*value)
			*(enum tristate *)field(ps->b, d) = TRI_UNSET;
		else if (parse_bool(value, &b))
			*(enum tristate *)field(ps->b, d) = b ? TRI_YES : TRI_NO;
		else
			VALUE_PROBLEM(ps, it, "%s= wants yes or no, not '%.60s'", d->key, value);
	}
}

static void
set_value(struct parse *ps, const struct directive *d, const struct ini_item *it)
{
	switch (d->type) {
	case DT_STRING:
		if (d->offset == AT(working_directory) && *it->value && *it->value != '/')
			VALUE_PROBLEM(ps, it, "%s= wants an absolute path, not '%.100s'", d->key, it->value);
		else
			set_string(field(ps->b, d), it->value);
		break;
	case DT_WORDS:
	case DT_STRV:
		set_words(ps, d, it);
		break;
	case DT_ADAPTER:
		if (*it->value)
			set_adapter(ps, d, it);
		else
			set_string(field(ps->b, d), d->def);
		break;
	default:
		set_number(ps, d, it);
	}
}

static bool
section_known(const char *section)
{
	for (const struct directive *d = blueprint_directives; d->key; d++)
		if (strcmp(d->section, section) == 0)
			return true;
	return false;
}

/* The name nearest to name, or NULL when none is near: keys, or sections when keys is false. */
static const char *
nearest_name(const char *name, bool keys)
{
	const char *nearest = NULL;
	int max = strlen(name) < 6 ? 2 : 3, best = max + 1;

	for (const struct directive *d = blueprint_directives; d->key; d++) {
		const char *s = keys ? d->key : d->section;
		int dist = str_distance(name, s, max);

		if (dist < best) {
			best = dist;
			nearest = s;
		}
	}
	return nearest;
}

static void
unknown_section(struct parse *ps, const struct ini_item *it)
{
	const char *nearest;

	/* Once for a section, not for each of its keys. */
	if (ps->bad_section[0] && strncmp(ps->bad_section, it->section, sizeof(ps->bad_section) - 1) == 0)
		return;
	snprintf(ps->bad_section, sizeof(ps->bad_section), "%s", it->section);
	nearest = nearest_name(it->section, false);
	if (nearest)
		problem(ps, it->line, it->column, "unknown section [%.60s], did you mean [%s]?", it->section, nearest);
	else
		problem(ps, it->line, it->column,
			"unknown section [%.60s]: use [Blueprint], [Agent], [Session] or [Sandbox]", it->section);
}

static void
unknown_key(struct parse *ps, const struct ini_item *it)
{
	const char *nearest = nearest_name(it->key, true);

	for (const struct directive *d = blueprint_directives; d->key; d++)
		if (strcmp(d->key, it->key) == 0) {
			problem(ps, it->line, it->column, "%s= belongs into section [%s]", d->key, d->section);
			return;
		}
	if (nearest)
		problem(ps, it->line, it->column, "unknown key '%.60s', did you mean '%s'?", it->key, nearest);
	else
		problem(ps, it->line, it->column, "unknown key '%.60s' in section [%s]", it->key, it->section);
}

static int
on_item(const struct ini_item *it, void *arg)
{
	struct parse *ps = arg;

	if (!it->key) {
		problem(ps, it->line, it->column, "%s", it->value);
		return 0;
	}
	/* As in systemd's units: X- is for others, and is left alone. */
	if (str_starts(it->section, "X-") || str_starts(it->key, "X-"))
		return 0;
	if (!*it->section) {
		problem(ps, it->line, it->column, "'%.60s=' is outside of a section: put a line such as [Agent] before it",
			it->key);
		return 0;
	}
	if (!section_known(it->section)) {
		unknown_section(ps, it);
		return 0;
	}
	for (const struct directive *d = blueprint_directives; d->key; d++)
		if (strcmp(d->key, it->key) == 0 && strcmp(d->section, it->section) == 0) {
			set_value(ps, d, it);
			return 0;
		}
	unknown_key(ps, it);
	return 0;
}

int
blueprint_parse(struct blueprint *b, const char *text, size_t n, struct blueprint_problem *p, int max)
{
	struct parse ps = { .b = b, .p = p, .max = max };

	assert(max > 0);
	if (ini_parse(text, n, on_item, &ps) == -EFBIG)
		problem(&ps, 0, 0, "too large: a file may have %u KiB, a value %u KiB", INI_FILE_MAX >> 10,
			INI_VALUE_MAX >> 10);
	return ps.count;
}

struct blueprint *
blueprint_new(const char *name, const char *path)
{
	struct blueprint *b = xcalloc(1, sizeof(*b));
	struct blueprint_problem none;
	struct parse ps = { .b = b, .p = &none, .max = 1 };

	b->name = xstrdup(name);
	b->path = xstrdup(path);
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		struct ini_item it = { d->section, d->key, d->def, 0, 0, 0 };

		set_value(&ps, d, &it);
	}
	assert(ps.count == 0);
	return b;
}

void
blueprint_free(struct blueprint *b)
{
	if (!b)
		return;
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		if (d->type == DT_STRING || d->type == DT_ADAPTER)
			free(*(char **)field(b, d));
		else if (d->type == DT_WORDS || d->type == DT_STRV)
			strv_free(*(char ***)field(b, d));
	}
	free(b->name);
	free(b->path);
	free(b);
}

/* A word so that ini_split_words() gives it back. */
static void
put_word(struct buf *out, const char *s)
{
	bool plain = *s != 0;

	for (const char *p = s; *p && plain; p++)
		plain = (unsigned char)*p > ' ' && *p != '"' && *p != '\'' && *p != '\\' && *p != 0x7f;
	if (plain) {
		buf_puts(out, s);
		return;
	}
	buf_putc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned)*s);
		else
			buf_putc(out, *s);
	}
	buf_putc(out, '"');
}

static void
put_timespan(struct buf *out, int64_t us)
{
	if (us == INT64_MAX)
		buf_puts(out, "infinity");
	else if (us % 1000000 == 0)
		buf_printf(out, "%llds", (long long)(us / 1000000));
	else if (us % 1000 == 0)
		buf_printf(out, "%lldms", (long long)(us / 1000));
	else
		buf_printf(out, "%lldus", (long long)us);
}

static void
put_text(struct buf *out, const struct blueprint *b, const struct directive *d)
{
	char *const *words;

	switch (d->type) {
	case DT_STRING:
	case DT_ADAPTER:
		if (*(char **)field(b, d))
			buf_puts(out, *(char **)field(b, d));
		break;
	case DT_WORDS:
	case DT_STRV:
		words = *(char ***)field(b, d);
		for (size_t i = 0; words && words[i]; i++) {
			if (i > 0)
				buf_putc(out, ' ');
			put_word(out, words[i]);
		}
		break;
	case DT_INT:
		buf_put_int(out, *(int64_t *)field(b, d));
		break;
	case DT_TIMESPAN:
		put_timespan(out, *(int64_t *)field(b, d));
		break;
	case DT_TRISTATE:
		if (*(enum tristate *)field(b, d) != TRI_UNSET)
			buf_puts(out, tristate_names[*(enum tristate *)field(b, d)]);
		break;
	}
}

void
blueprint_show(struct buf *out, const struct blueprint *b)
{
	const char *section = "";

	for (const struct directive *d = blueprint_directives; d->key; d++) {
		if (strcmp(section, d->section) != 0) {
			buf_printf(out, "%s[%s]\n", *section ? "\n" : "", d->section);
			section = d->section;
		}
		buf_printf(out, "%s=", d->key);
		put_text(out, b, d);
		buf_putc(out, '\n');
	}
}

static void
put_value_json(struct buf *out, const struct blueprint *b, const struct directive *d)
{
	struct buf tmp = BUF_INIT;
	char *const *words;

	switch (d->type) {
	case DT_STRING:
	case DT_ADAPTER:
		buf_put_json_str(out, *(char **)field(b, d));
		break;
	case DT_WORDS:
	case DT_STRV:
		words = *(char ***)field(b, d);
		buf_putc(out, '[');
		for (size_t i = 0; words && words[i]; i++) {
			if (i > 0)
				buf_putc(out, ',');
			buf_put_json_str(out, words[i]);
		}
		buf_putc(out, ']');
		break;
	case DT_INT:
		buf_put_int(out, *(int64_t *)field(b, d));
		break;
	case DT_TIMESPAN:
		put_timespan(&tmp, *(int64_t *)field(b, d));
		buf_put_json(out, tmp.data, tmp.len);
		buf_free(&tmp);
		break;
	case DT_TRISTATE:
		switch (*(enum tristate *)field(b, d)) {
		case TRI_UNSET:
			buf_puts(out, "null");
			break;
		case TRI_NO:
			buf_puts(out, "false");
			break;
		case TRI_YES:
			buf_puts(out, "true");
			break;
		}
		break;
	}
}

void
blueprint_json(struct buf *out, const struct blueprint *b)
{
	const char *section = "";

	buf_putc(out, '{');
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		if (strcmp(section, d->section) == 0)
			buf_putc(out, ',');
		else
			buf_printf(out, "%s\"%s\":{", *section ? "}," : "", d->section);
		section = d->section;
		buf_printf(out, "\"%s\":", d->key);
		put_value_json(out, b, d);
	}
	buf_puts(out, "}}");
}
