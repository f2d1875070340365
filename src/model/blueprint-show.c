/* SPDX-License-Identifier: MIT */
/* A blueprint's forms for others: the lines of a unit file, JSON, the registry's object of old, and
 * the JSON Schema. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-internal.h"
#include "model/unit-edit.h"

/* ---- as a unit file ---- */

/* The words of a list. A ~ in front of the first word of a line counts for all of it: a new line is
 * begun for a word without it. */
static void
show_words(struct buf *out, const struct directive *d, char *const *words)
{
	for (size_t i = 0; words[i]; i++) {
		bool but = i > 0 && value_takes_tilde(d) && words[i - 1][0] == '~';

		if (i == 0)
			buf_printf(out, "%s=", d->key);
		else if (but && words[i][0] != '~')
			buf_printf(out, "\n%s=", d->key);
		else
			buf_putc(out, ' ');
		unit_quote_word(out, words[i]);
	}
	buf_putc(out, '\n');
}

void
blueprint_show_key(struct buf *out, const struct blueprint *b, enum directive_id id)
{
	const struct directive *d = &blueprint_directives[id];
	char *const *words = b->values[id].words;

	if (!words) {
		buf_printf(out, "%s=%s\n", d->key, d->def);
		return;
	}
	switch (value_form(d)) {
	case FORM_WORDS:
	case FORM_ARGV:
		show_words(out, d, words);
		return;
	default:
		for (; *words; words++) {
			buf_printf(out, "%s=", d->key);
			if (value_form(d) == FORM_TEXT || value_form(d) == FORM_TEXTS)
				unit_quote_text(out, *words);
			else
				buf_puts(out, *words);
			buf_putc(out, '\n');
		}
	}
}

static bool
has_value(const struct blueprint *b, int id)
{
	return b->values[id].words || *blueprint_directives[id].def;
}

void
blueprint_show(struct buf *out, const struct blueprint *b, bool all)
{
	const char *section = "";

	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];

		if (!all && !has_value(b, i))
			continue;
		if (strcmp(section, d->section) != 0)
			buf_printf(out, "%s[%s]\n", *section ? "\n" : "", d->section);
		section = d->section;
		blueprint_show_key(out, b, (enum directive_id)i);
	}
}

/* ---- as JSON ---- */

static void
strings_json(struct buf *out, char *const *words)
{
	buf_putc(out, '[');
	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_put_json_str(out, words[i]);
	}
	buf_putc(out, ']');
}

/* A number of its own spelling is kept, so that no digit of it is lost. */
static void
value_json(struct buf *out, const struct directive *d, const char *v)
{
	int64_t n;

	switch (d->type) {
	case DT_BOOL:
		buf_puts(out, strcmp(v, "yes") == 0 ? "true" : "false");
		return;
	case DT_INT:
		buf_put_int(out, value_int(v));
		return;
	case DT_FLOAT:
		buf_printf(out, "%.15g", value_float(v));
		return;
	case DT_SIZE:
	case DT_COUNT:
	case DT_WEIGHT:
		n = strcmp(v, "infinity") == 0 ? -1 : value_size(v, 1024);
		if (n >= 0) {
			buf_put_int(out, n);
			return;
		}
		break;
	default:
		break;
	}
	buf_put_json_str(out, v);
}

static void
settings_json_key(struct buf *out, const struct blueprint *b, int id)
{
	const struct directive *d = &blueprint_directives[id];
	char *const *words = b->values[id].words;

	if ((d->type == DT_SYSCALLS || d->type == DT_NAMESPACES) && words &&
	    value_in("yes no", words[0]))
		buf_puts(out, strcmp(words[0], "yes") == 0 ? "true" : "false");
	else if (directive_is_list(d) || value_form(d) == FORM_ARGV)
		strings_json(out, words);
	else
		value_json(out, d, words ? words[0] : d->def);
}

void
blueprint_settings_json(struct buf *out, const struct blueprint *b)
{
	const char *section = "";

	buf_putc(out, '{');
	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];

		if (!has_value(b, i))
			continue;
		if (strcmp(section, d->section) == 0)
			buf_putc(out, ',');
		else
			buf_printf(out, "%s\"%s\":{", *section ? "}," : "", d->section);
		section = d->section;
		buf_printf(out, "\"%s\":", d->key);
		settings_json_key(out, b, i);
	}
	buf_puts(out, *section ? "}}" : "}");
}

/* ---- the registry's object ---- */

static void
put_local_time(struct buf *out, int64_t us)
{
	time_t t = (time_t)(us / 1000000 - (us % 1000000 < 0));
	int micros = (int)(us - (int64_t)t * 1000000);
	struct tm tm;
	char text[64];

	if (!localtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		text[0] = 0;
	buf_printf(out, "\"%s", text);
	/* Python leaves a fraction of zero out. */
	if (micros)
		buf_printf(out, ".%06d", micros);
	buf_putc(out, '"');
}

/* The literal text of a value that may have specifiers, as whoever wrote it over the API gave it.
 */
static void
put_literal(struct buf *out, const char *value)
{
	struct buf text = BUF_INIT;

	specifier_unescape(&text, value);
	buf_put_json(out, text.data, text.len);
	buf_free(&text);
}

static bool
is_address(const char *s)
{
	return str_starts(s, "http://") || str_starts(s, "https://");
}

/* {"type":"http","url":…} or {"type":"stdio","command":…,"args":[…]} of one McpServer= line. */
static void
add_server(struct json_object *servers, const char *line)
{
	const char *why;
	char **words = ini_split_words(line, &why);
	struct json_object *server = json_object_new_object(), *args;

	if (is_address(words[1])) {
		json_object_object_add(server, "type", json_object_new_string("http"));
		json_object_object_add(server, "url", json_object_new_string(words[1]));
	} else {
		args = json_object_new_array();
		for (size_t i = 2; words[i]; i++)
			json_object_array_add(args, json_object_new_string(words[i]));
		json_object_object_add(server, "type", json_object_new_string("stdio"));
		json_object_object_add(server, "command", json_object_new_string(words[1]));
		json_object_object_add(server, "args", args);
	}
	json_object_object_add(servers, words[0], server);
	strv_free(words);
}

/* As json_tokener_parse(), but of one value with nothing behind it. */
static struct json_object *
parse_all(const char *text)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o;

	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, text, (int)strnlen(text, INT32_MAX - 1) + 1);
	if (json_tokener_get_error(t) != json_tokener_success) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

/* The object {NAME: server} of both; NULL: there are none, or the text is bad. */
static struct json_object *
mcp_servers(const struct blueprint *b, const char *config, bool *bad)
{
	char *const *lines = blueprint_words(b, D_McpServer);
	struct json_object *o = NULL, *inner, *servers = NULL;

	*bad = false;
	if (config) {
		o = parse_all(config);
		if (!json_object_is_type(o, json_type_object) ||
		    (json_object_object_get_ex(o, "mcpServers", &inner) &&
		     !json_object_is_type(inner, json_type_object))) {
			json_object_put(o);
			*bad = true;
			return NULL;
		}
		if (json_object_object_get_ex(o, "mcpServers", &inner)) {
			servers = json_object_get(inner);
			json_object_put(o);
		} else {
			servers = o;
		}
	}
	if (!servers && lines)
		servers = json_object_new_object();
	for (; lines && *lines; lines++)
		add_server(servers, *lines);
	return servers;
}

bool
blueprint_mcp_json(struct buf *out, const struct blueprint *b, const char *mcp_config, bool *bad)
{
	struct json_object *servers = mcp_servers(b, mcp_config, bad);

	if (!servers)
		return false;
	buf_puts(out, "{\"mcpServers\":");
	buf_puts(out, json_object_to_json_string_ext(
			      servers, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	buf_putc(out, '}');
	json_object_put(servers);
	return true;
}

void
blueprint_agent_json(struct buf *out, const struct blueprint *b, const char *system_prompt,
		     const char *mcp_servers_json, const char *status, int64_t created_us,
		     int64_t modified_us)
{
	const char *description = blueprint_text(b, D_Description),
		   *prompt = blueprint_text(b, D_SystemPrompt);
	char *const *skills = blueprint_words(b, D_Skills);
	struct json_object *servers;
	bool bad;

	buf_puts(out, "{\"name\":");
	buf_put_json_str(out, b->name);
	buf_puts(out, ",\"description\":");
	put_literal(out, description ? description : "");
	buf_puts(out, ",\"system_prompt\":");
	if (system_prompt || !prompt)
		buf_put_json_str(out, system_prompt);
	else
		put_literal(out, prompt);
	servers = mcp_servers(b, mcp_servers_json, &bad);
	buf_printf(out, ",\"mcp_servers\":%s,\"skills\":",
		   servers ? json_object_to_json_string_ext(servers,
							    JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE)
			   : "null");
	json_object_put(servers);
	if (skills)
		strings_json(out, skills);
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"status\":");
	buf_put_json_str(out, status                                  ? status
			      : blueprint_tri(b, D_Enabled) == TRI_NO ? "inactive"
								      : "active");
	buf_puts(out, ",\"created_at\":");
	put_local_time(out, created_us);
	buf_puts(out, ",\"modified_at\":");
	put_local_time(out, modified_us);
	buf_putc(out, '}');
}

/* ---- JSON Schema ---- */

/* The words of values as a JSON array. */
static void
words_json(struct buf *out, const char *list)
{
	buf_putc(out, '[');
	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (p != list)
			buf_putc(out, ',');
		buf_put_json(out, p, n);
		p += n;
	}
	buf_putc(out, ']');
}

static void
schema_type(struct buf *out, const struct directive *d)
{
	long long min = 0, max = 0;

	switch (d->type) {
	case DT_BOOL:
		buf_puts(out, "\"type\":\"boolean\"");
		return;
	case DT_INT:
	case DT_FLOAT:
		if (sscanf(d->values, "%lld %lld", &min, &max) != 2)
			return;
		buf_printf(out, "\"type\":\"%s\",\"minimum\":%lld,\"maximum\":%lld",
			   d->type == DT_INT ? "integer" : "number", min, max);
		return;
	case DT_ENUM:
		buf_puts(out, "\"type\":\"string\",\"enum\":");
		words_json(out, d->values);
		return;
	case DT_ENUMS:
		buf_puts(out, "\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":");
		words_json(out, d->values);
		buf_putc(out, '}');
		return;
	case DT_SIZE:
	case DT_COUNT:
	case DT_WEIGHT:
		buf_puts(out, "\"type\":[\"integer\",\"string\"]");
		return;
	case DT_SYSCALLS:
	case DT_NAMESPACES:
		buf_puts(out, "\"type\":[\"boolean\",\"array\"],\"items\":{\"type\":\"string\"}");
		return;
	default:
		if (directive_is_list(d) || value_form(d) == FORM_ARGV)
			buf_puts(out, "\"type\":\"array\",\"items\":{\"type\":\"string\"}");
		else
			buf_puts(out, "\"type\":\"string\"");
	}
}

static void
schema_default(struct buf *out, const struct directive *d)
{
	if (!*d->def)
		return;
	buf_puts(out, ",\"default\":");
	if (d->type == DT_SYSCALLS || d->type == DT_NAMESPACES)
		buf_puts(out, strcmp(d->def, "yes") == 0 ? "true" : "false");
	else if (directive_is_list(d) || value_form(d) == FORM_ARGV)
		words_json(out, d->def);
	else
		value_json(out, d, d->def);
}

void
blueprint_schema(struct buf *out)
{
	const char *section = "";

	buf_puts(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/"
		      "schema\",\"title\":\"Settings of an aod blueprint\","
		      "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		if (strcmp(section, d->section) == 0)
			buf_putc(out, ',');
		else
			buf_printf(out,
				   "%s\"%s\":{\"type\":\"object\",\"additionalProperties\":false,"
				   "\"properties\":{",
				   *section ? "}}," : "", d->section);
		section = d->section;
		buf_printf(out, "\"%s\":{", d->key);
		schema_type(out, d);
		schema_default(out, d);
		buf_puts(out, ",\"description\":");
		buf_put_json_str(out, d->doc);
		buf_printf(out, ",\"x-since\":\"%s\"%s}", d->since,
			   d->flags & DF_PLANNED ? ",\"x-planned\":true" : "");
	}
	buf_puts(out, "}}}}");
}
