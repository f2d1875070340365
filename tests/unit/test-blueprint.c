/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "adapter/adapter.h"
#include "base/fd.h"
#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint.h"

static struct blueprint_problems problems;

/* Adds a text; returns the number of its errors. The problems are those of this text. */
static int
add(struct blueprint *b, const char *text)
{
	blueprint_problems_free(&problems);
	return blueprint_add(b, "x.blueprint", text, strlen(text), &problems);
}

static struct blueprint *
parsed(const char *text)
{
	struct blueprint *b = blueprint_new("x", "/etc/aod/blueprints/x.blueprint");

	if (add(b, text) != 0)
		fail_msg("%s: %s", text, problems.v[0].text);
	return b;
}

/* One text, one error, at its place. */
static void
bad(const char *text, int line, int column, const char *says)
{
	struct blueprint *b = blueprint_new("x", NULL);
	int n = add(b, text);

	if (n != 1 || problems.count != 1)
		fail_msg("%d problems in: %s", n, text);
	if (!strstr(problems.v[0].text, says))
		fail_msg("'%s' does not say '%s'", problems.v[0].text, says);
	if (problems.v[0].line != line || problems.v[0].column != column)
		fail_msg("'%s' at %d:%d", problems.v[0].text, problems.v[0].line,
			 problems.v[0].column);
	blueprint_free(b);
}

static void
words_are(const struct blueprint *b, enum directive_id id, const char *joined)
{
	char *const *words = blueprint_words(b, id);
	struct buf out = BUF_INIT;

	buf_puts(&out, "");
	for (size_t i = 0; words && words[i]; i++)
		buf_printf(&out, "%s%s", i ? "|" : "", words[i]);
	assert_string_equal(out.data, joined);
	buf_free(&out);
}

static void
json_is(const struct blueprint *b, const char *section, const char *key, const char *want)
{
	struct buf out = BUF_INIT;
	struct json_object *o, *s, *v = NULL;

	blueprint_settings_json(&out, b);
	o = json_tokener_parse(out.data);
	assert_non_null(o);
	if (json_object_object_get_ex(o, section, &s))
		json_object_object_get_ex(s, key, &v);
	assert_string_equal(v ? json_object_to_json_string_ext(
					v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
			      : "(none)",
			    want);
	json_object_put(o);
	buf_free(&out);
}

/* ---- the table ---- */

static void
test_table(void **state)
{
	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];
		bool again = false;

		assert_true(strlen(d->doc) > 10);
		assert_non_null(directive_type_doc(d->type));
		assert_int_equal(directive_find(d->section, d->key), i);
		assert_int_equal(directive_find(NULL, d->key), i);
		assert_int_equal(directive_find("Other", d->key), -1);
		/* The rows of a section stand together. */
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(blueprint_directives[k].key, d->key);
			if (k > 0 && strcmp(blueprint_directives[k - 1].section, d->section) == 0 &&
			    strcmp(blueprint_directives[k].section, d->section) != 0)
				again = true;
		}
		assert_false(again);
	}
	assert_null(blueprint_directives[D_COUNT].key);
	assert_int_equal(directive_find(NULL, "None"), -1);
	assert_string_equal(directive_nearest("Modell"), "Model");
	assert_string_equal(directive_nearest("memorymax"), "MemoryMax");
	assert_null(directive_nearest("SomethingElse"));
}

/* Each key takes its example and its default, shows it so that it is read again, and is JSON of the
 * type the schema says. */
static void
test_every_key(void **state)
{
	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];
		CLEANUP_FREE char *text =
			xasprintf("[%s]\n%s=%s\n", d->section, d->key, directive_example(d));
		CLEANUP_FREE char *reset = xasprintf("[%s]\n%s=\n", d->section, d->key);
		CLEANUP_FREE char *def = xasprintf("[%s]\n%s=%s\n", d->section, d->key, d->def);
		struct blueprint *a = parsed(text), *b;
		struct buf first = BUF_INIT, second = BUF_INIT;
		const char *file;
		int line;

		assert_true(blueprint_is_set(a, (enum directive_id)i));
		assert_true(blueprint_origin(a, (enum directive_id)i, &file, &line));
		assert_string_equal(file, "x.blueprint");
		assert_int_equal(line, 2);
		blueprint_show(&first, a, true);
		b = parsed(first.data);
		blueprint_show(&second, b, true);
		assert_string_equal(first.data, second.data);
		blueprint_free(b);
		/* Reset: as if it had never been there. */
		assert_int_equal(add(a, reset), 0);
		assert_false(blueprint_is_set(a, (enum directive_id)i));
		assert_false(blueprint_origin(a, (enum directive_id)i, &file, &line));
		buf_reset(&first);
		buf_reset(&second);
		b = blueprint_new("x", NULL);
		blueprint_show(&first, a, true);
		blueprint_show(&second, b, true);
		assert_string_equal(first.data, second.data);
		assert_int_equal(add(b, def), 0);
		blueprint_free(a);
		blueprint_free(b);
		buf_free(&first);
		buf_free(&second);
	}
}

static bool
type_fits(const char *type, struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_boolean:
		return strcmp(type, "boolean") == 0;
	case json_type_int:
		return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
	case json_type_double:
		return strcmp(type, "number") == 0;
	case json_type_array:
		return strcmp(type, "array") == 0;
	case json_type_string:
		return strcmp(type, "string") == 0;
	default:
		return false;
	}
}

static bool
in_enum(struct json_object *list, struct json_object *v)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_object_equal(json_object_array_get_idx(list, i), v))
			return true;
	return false;
}

/* As much of JSON Schema as ours uses. */
static bool
schema_fits(struct json_object *schema, struct json_object *v)
{
	struct json_object *type, *list, *limit, *items;
	bool fits = false;

	if (!json_object_object_get_ex(schema, "type", &type))
		return false;
	if (json_object_is_type(type, json_type_string))
		fits = type_fits(json_object_get_string(type), v);
	else
		for (size_t i = 0; i < json_object_array_length(type); i++)
			fits = fits ||
			       type_fits(json_object_get_string(json_object_array_get_idx(type, i)),
					 v);
	if (fits && json_object_object_get_ex(schema, "enum", &list))
		fits = in_enum(list, v);
	if (fits && json_object_object_get_ex(schema, "maximum", &limit))
		fits = json_object_get_double(v) <= json_object_get_double(limit);
	if (fits && json_object_object_get_ex(schema, "minimum", &limit))
		fits = json_object_get_double(v) >= json_object_get_double(limit);
	if (fits && json_object_is_type(v, json_type_array) &&
	    json_object_object_get_ex(schema, "items", &items))
		for (size_t i = 0; i < json_object_array_length(v); i++)
			fits = fits && schema_fits(items, json_object_array_get_idx(v, i));
	return fits;
}

static void
test_schema(void **state)
{
	struct buf out = BUF_INIT, json = BUF_INIT;
	struct json_object *schema, *o, *section, *props, *s, *v, *def;

	blueprint_schema(&out);
	schema = json_tokener_parse(out.data);
	assert_non_null(schema);
	assert_true(json_object_object_get_ex(schema, "$schema", &v));
	assert_string_equal(json_object_get_string(v),
			    "https://json-schema.org/draft/2020-12/schema");
	assert_true(json_object_object_get_ex(schema, "properties", &props));
	for (int i = 0; i < D_COUNT; i++) {
		const struct directive *d = &blueprint_directives[i];
		CLEANUP_FREE char *text =
			xasprintf("[%s]\n%s=%s\n", d->section, d->key, directive_example(d));
		struct blueprint *b = parsed(text);

		buf_reset(&json);
		blueprint_settings_json(&json, b);
		o = json_tokener_parse(json.data);
		assert_true(json_object_object_get_ex(o, d->section, &s));
		assert_true(json_object_object_get_ex(s, d->key, &v));
		assert_true(json_object_object_get_ex(props, d->section, &section));
		assert_true(json_object_object_get_ex(section, "properties", &s));
		assert_true(json_object_object_get_ex(s, d->key, &section));
		if (!schema_fits(section, v))
			fail_msg("%s: %s is not of %s", d->key, json_object_to_json_string(v),
				 json_object_to_json_string(section));
		if (json_object_object_get_ex(section, "default", &def))
			assert_true(schema_fits(section, def));
		assert_int_equal(json_object_object_get_ex(section, "default", NULL), *d->def != 0);
		assert_int_equal(json_object_object_get_ex(section, "x-planned", NULL),
				 (d->flags & DF_PLANNED) != 0);
		json_object_put(o);
		blueprint_free(b);
	}
	json_object_put(schema);
	buf_free(&out);
	buf_free(&json);
}

/* ---- values ---- */

static void
test_defaults(void **state)
{
	struct blueprint *b = blueprint_new("one@two", "/etc/one@.blueprint");

	assert_string_equal(blueprint_name(b), "one@two");
	assert_string_equal(blueprint_path(b), "/etc/one@.blueprint");
	assert_string_equal(blueprint_text(b, D_Adapter), "claude");
	assert_null(blueprint_text(b, D_Description));
	assert_null(blueprint_words(b, D_ExecStart));
	assert_null(blueprint_words(b, D_Environment));
	assert_int_equal(blueprint_int(b, D_MaxTurns), 0);
	assert_int_equal(blueprint_us(b, D_TimeoutStopSec), 10000000);
	assert_int_equal(blueprint_us(b, D_RuntimeMaxSec), INT64_MAX);
	assert_int_equal(blueprint_us(b, D_OnBootSec), -1);
	assert_int_equal(blueprint_bytes(b, D_MemoryMax, 100), -1);
	assert_int_equal(blueprint_tri(b, D_PrivateTmp), TRI_UNSET);
	assert_int_equal(blueprint_tri(b, D_SystemCallFilter), TRI_YES);
	assert_int_equal(blueprint_tri(b, D_Enabled), TRI_YES);
	words_are(b, D_SystemCallFilter, "yes");
	words_are(b, D_AllowOverride, "project_dir|command");
	assert_false(blueprint_is_set(b, D_Adapter));
	blueprint_free(b);
	blueprint_free(NULL);
}

static void
test_values(void **state)
{
	struct blueprint *b = parsed(
		"# a comment\n[Blueprint]\nDescription=What it is "
		"for\n\n[Agent]\nAdapter=command\nExecStart=/bin/echo \"a b\" 'c' \\\n"
		"   d\nSystemPrompt=Be \"kind\"\nAllowedTools=Read \"Bash(git "
		"log:*)\"\nAllowedTools=Edit\nMaxTurns=7\n"
		"Environment=A=1 \"B=two words\"\nWorkingDirectory=/srv\nEnvironmentFile=-/a "
		"file\nEnvironmentFile=b\n"
		"McpServer=one npx \"two words\"\nMcpServer=two https://example.org/mcp\n"
		"[Session]\nTimeoutStopSec=1min "
		"500ms\nResultGraceSec=infinity\nMaxCostUSD=2.5\nMaxTokens=3000000000\n"
		"[Resources]\nMemoryMax=1.5G\nMemoryHigh=25%\nMemorySwapMax=infinity\nTasksMax="
		"12\nCPUQuota=150%\nCPUWeight=idle\n"
		"IOReadBandwidthMax=\"/var/a b\" 10M\nLimitNOFILE=1024:infinity\n"
		"[Sandbox]\nPrivateTmp=on\nProtectSystem=true\nUMask=0077\nNice=-5\n; the end\n");

	words_are(b, D_ExecStart, "/bin/echo|a b|c|d");
	assert_string_equal(blueprint_text(b, D_SystemPrompt), "Be \"kind\"");
	words_are(b, D_AllowedTools, "Read|Bash(git log:*)|Edit");
	assert_int_equal(blueprint_int(b, D_MaxTurns), 7);
	words_are(b, D_Environment, "A=1|B=two words");
	words_are(b, D_EnvironmentFile, "-/a file|b");
	words_are(b, D_McpServer, "one npx \"two words\"|two https://example.org/mcp");
	assert_int_equal(blueprint_us(b, D_TimeoutStopSec), 60500000);
	assert_int_equal(blueprint_us(b, D_ResultGraceSec), INT64_MAX);
	assert_true(blueprint_float(b, D_MaxCostUSD) == 2.5);
	assert_true(blueprint_int(b, D_MaxTokens) == 3000000000);
	assert_int_equal(blueprint_bytes(b, D_MemoryMax, 0), 3ll << 29);
	assert_int_equal(blueprint_bytes(b, D_MemoryHigh, 4000), 1000);
	assert_int_equal(blueprint_bytes(b, D_MemorySwapMax, 4000), INT64_MAX);
	assert_int_equal(blueprint_bytes(b, D_TasksMax, 4000), 12);
	assert_true(blueprint_float(b, D_CPUQuota) == 1.5);
	assert_string_equal(blueprint_text(b, D_CPUWeight), "idle");
	words_are(b, D_IOReadBandwidthMax, "\"/var/a b\" 10M");
	assert_int_equal(blueprint_tri(b, D_PrivateTmp), TRI_YES);
	assert_string_equal(blueprint_text(b, D_ProtectSystem), "yes");
	assert_int_equal(blueprint_int(b, D_UMask), 077);
	assert_int_equal(blueprint_int(b, D_Nice), -5);
	json_is(b, "Resources", "MemoryMax", "1610612736");
	json_is(b, "Resources", "MemoryHigh", "\"25%\"");
	json_is(b, "Session", "MaxCostUSD", "2.5");
	json_is(b, "Sandbox", "PrivateTmp", "true");
	json_is(b, "Sandbox", "SystemCallFilter", "true");
	json_is(b, "Agent", "MaxTurns", "7");
	json_is(b, "Agent", "ExecStart", "[\"/bin/echo\",\"a b\",\"c\",\"d\"]");
	json_is(b, "Agent", "Model", "(none)");
	blueprint_free(b);
}

/* Texts lose quotes around all of them, and nothing else. */
static void
test_texts(void **state)
{
	struct blueprint *b = parsed("[Blueprint]\nDescription=\"two\\nlines "
				     "\"\n[Agent]\nModel=\"a\" or \"b\"\nSystemPrompt=C:\\dir\n");

	assert_string_equal(blueprint_text(b, D_Description), "two\nlines ");
	assert_string_equal(blueprint_text(b, D_Model), "\"a\" or \"b\"");
	assert_string_equal(blueprint_text(b, D_SystemPrompt), "C:\\dir");
	assert_int_equal(add(b, "[Agent]\nModel=\"\"\n"), 0);
	assert_null(blueprint_text(b, D_Model));
	blueprint_free(b);
}

/* Drop-ins: lists add up, an empty value resets, the rest is replaced; a program line is replaced
 * as a whole. */
static void
test_merge(void **state)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new("m", "/a/m.blueprint");
	static const char first[] =
		"[Agent]\nExecStart=one two\nAllowedTools=A "
		"B\nModel=x\nEnvironment=A=1\n[Sandbox]\nSystemCallFilter=@mount\n";
	static const char second[] =
		"[Agent]\nExecStart=three\nAllowedTools=C\nModel=y\nEnvironment=\nEnvironment=B="
		"2\n[Sandbox]\nSystemCallFilter=~ptrace bpf\n";
	const char *file;
	int line;

	assert_int_equal(blueprint_add(b, "/a/m.blueprint", first, strlen(first), &p), 0);
	assert_int_equal(blueprint_add(b, "/a/m.blueprint.d/50.conf", second, strlen(second), &p),
			 0);
	words_are(b, D_ExecStart, "three");
	words_are(b, D_AllowedTools, "A|B|C");
	words_are(b, D_Environment, "B=2");
	words_are(b, D_SystemCallFilter, "@mount|~ptrace|~bpf");
	assert_string_equal(blueprint_text(b, D_Model), "y");
	assert_true(blueprint_origin(b, D_Model, &file, &line));
	assert_string_equal(file, "/a/m.blueprint.d/50.conf");
	assert_int_equal(line, 4);
	assert_int_equal(add(b, "[Sandbox]\nSystemCallFilter=no\n"), 0);
	words_are(b, D_SystemCallFilter, "no");
	assert_int_equal(blueprint_tri(b, D_SystemCallFilter), TRI_NO);
	assert_int_equal(add(b, "[Sandbox]\nSystemCallFilter=@swap\n"), 0);
	words_are(b, D_SystemCallFilter, "@swap");
	assert_int_equal(add(b, "[Sandbox]\nSystemCallFilter=\n"), 0);
	words_are(b, D_SystemCallFilter, "yes");
	blueprint_free(b);
	blueprint_problems_free(&p);
}

/* A list with ~ in its middle is shown in lines that mean the same. */
static void
test_tilde(void **state)
{
	struct blueprint *b = parsed(
		"[Sandbox]\nCapabilityBoundingSet=~CAP_BPF "
		"CAP_SYSLOG\nCapabilityBoundingSet=CAP_KILL\nRestrictNamespaces=~user net\n");
	struct buf out = BUF_INIT;

	blueprint_show_key(&out, b, D_CapabilityBoundingSet);
	assert_string_equal(
		out.data,
		"CapabilityBoundingSet=~CAP_BPF ~CAP_SYSLOG\nCapabilityBoundingSet=CAP_KILL\n");
	words_are(b, D_RestrictNamespaces, "~user|~net");
	/* Other words with it are words. */
	assert_int_equal(add(b, "[Agent]\nExecStart=a ~b c\n"), 0);
	buf_reset(&out);
	blueprint_show_key(&out, b, D_ExecStart);
	assert_string_equal(out.data, "ExecStart=a ~b c\n");
	buf_free(&out);
	blueprint_free(b);
}

/* ---- problems ---- */

static void
test_names(void **state)
{
	bad("[Agent]\nModell=opus\n", 2, 1, "did you mean 'Model'?");
	bad("[Agent]\n  ExecStrat=x\n", 2, 3, "did you mean 'ExecStart'?");
	bad("[Agent]\nFlavour=x\n", 2, 1, "unknown key 'Flavour' in section [Agent]");
	bad("[Agnet]\nModel=opus\nMaxTurns=1\n", 1, 1, "did you mean [Agent]?");
	bad("[agent]\nModel=opus\n", 1, 1, "did you mean [Agent]?");
	bad("[Service]\nType=simple\n", 1, 1,
	    "unknown section [Service]: use [Blueprint], [Agent], [Session], [Resources], "
	    "[Sandbox], [Timer]");
	bad("[Agent]\nTimeoutStopSec=1\n", 2, 1, "TimeoutStopSec= belongs into section [Session]");
	bad("Model=x\n", 1, 1, "outside of a section");
	bad("[Agent\n", 1, 7, "']'");
	bad("[Agent]\nnothing\n", 2, 1, "write Key=value");
	bad("[Agent]\nMo\033[1mdel=x\n", 2, 1, "'Mo?[1mdel'");
}

static void
test_bad_values(void **state)
{
	static const struct {
		const char *section, *key, *value, *says;
	} values[] = {
		{"Agent", "Adapter", "cluade", "did you mean 'claude'?"},
		{"Agent", "Adapter", "opencode-acp", "wants one of: claude command"},
		{"Agent", "PermissionMode", "acceptedits", "did you mean 'acceptEdits'?"},
		{"Agent", "MaxTurns", "many", "wants a number from 0 to 1000000, not 'many'"},
		{"Agent", "MaxTurns", "-1", "a number"},
		{"Agent", "MaxTurns", "1000001", "a number"},
		{"Session", "TimeoutStopSec", "5 parsecs", "a time span"},
		{"Session", "ResultGraceSec", "-1", "a time span"},
		{"Session", "MaxCostUSD", "1,5", "such as 2.5"},
		{"Session", "MaxCostUSD", "1e3", "such as 2.5"},
		{"Session", "Restart", "on-faliure", "did you mean 'on-failure'?"},
		{"Session", "SuccessExitStatus", "256", "exit codes (0 to 255)"},
		{"Session", "SuccessExitStatus", "SIGFOO", "signals such as SIGTERM"},
		{"Sandbox", "PrivateTmp", "maybe", "yes or no, not 'maybe'"},
		{"Sandbox", "ProtectSystem", "sticrt", "did you mean 'strict'?"},
		{"Sandbox", "UMask", "0099", "octal"},
		{"Sandbox", "UMask", "77777", "octal"},
		{"Sandbox", "Nice", "20", "from -20 to 19"},
		{"Sandbox", "User", "no body", "name or the number"},
		{"Sandbox", "User", "65535", "name or the number"},
		{"Sandbox", "CapabilityBoundingSet", "CAP_NET_RWA", "did you mean 'CAP_NET_RAW'?"},
		{"Sandbox", "RestrictNamespaces", "usr", "did you mean 'user'?"},
		{"Sandbox", "RestrictAddressFamilies", "AF_INET7", "did you mean 'AF_INET"},
		{"Sandbox", "SystemCallFilter", "@muont", "did you mean '@mount'?"},
		{"Sandbox", "SystemCallFilter", "Ptrace", "names of system calls"},
		{"Sandbox", "SystemCallFilter", "ptrace:EFOO", "NAME:ERRNO"},
		{"Sandbox", "SystemCallErrorNumber", "EPREM", "an error such as EPERM"},
		{"Sandbox", "SystemCallArchitectures", "x86_64", "did you mean 'x86-64'?"},
		{"Sandbox", "ReadOnlyPaths", "etc", "absolute paths, not 'etc'"},
		{"Sandbox", "BindPaths", "/a:b", "SOURCE[:DESTINATION"},
		{"Sandbox", "BindPaths", "/a:/b:ro", "rbind or norbind"},
		{"Sandbox", "TemporaryFileSystem", "var", "PATH[:OPTIONS]"},
		{"Sandbox", "LoadCredential", "token", "ID:PATH"},
		{"Sandbox", "LoadCredential", "token:file", "absolute"},
		{"Sandbox", "SetCredential", "../x:y", "ID:TEXT"},
		{"Resources", "MemoryMax", "lots", "bytes such as 512M"},
		{"Resources", "MemoryMax", "101%", "bytes such as 512M"},
		{"Resources", "MemoryMax", "9999999999999T", "bytes such as 512M"},
		{"Resources", "TasksMax", "0", "a number from 1"},
		{"Resources", "CPUQuota", "2", "a percentage such as 50%"},
		{"Resources", "CPUQuota", "0%", "a percentage such as 50%"},
		{"Resources", "CPUWeight", "0", "from 1 to 10000, or idle"},
		{"Resources", "IOWeight", "idle", "from 1 to 10000"},
		{"Resources", "AllowedCPUs", "3-1", "0-3,5"},
		{"Resources", "AllowedCPUs", "1,", "0-3,5"},
		{"Resources", "IOReadBandwidthMax", "10M", "PATH NUMBER"},
		{"Resources", "IOReadBandwidthMax", "var 10M", "PATH NUMBER"},
		{"Resources", "LimitNOFILE", "10:5", "not above the hard one"},
		{"Resources", "LimitNOFILE", "10s", "a limit (number)"},
		{"Resources", "LimitCPU", "ten", "a limit (time)"},
		{"Resources", "OOMScoreAdjust", "1001", "from -1000 to 1000"},
		{"Agent", "Environment", "NOVALUE", "NAME=VALUE, not 'NOVALUE'"},
		{"Agent", "Environment", "1A=1", "NAME=VALUE"},
		{"Agent", "Environment", "=1", "NAME=VALUE"},
		{"Agent", "PassEnvironment", "A-B", "names of variables, not 'A-B'"},
		{"Agent", "WorkingDirectory", "srv", "an absolute path, not 'srv'"},
		{"Agent", "WorkingDirectory", "%s/x", "an absolute path"},
		{"Agent", "McpServer", "one", "NAME PROGRAM"},
		{"Agent", "McpServer", "one/two npx", "letters, digits"},
		{"Agent", "McpServer", "one https://x y", "nothing behind an address"},
		{"Agent", "ExecStart", "\"open", "ExecStart=: a quote"},
		{"Timer", "OnCalendar", "daly", "a calendar expression"},
		{"Timer", "OnCalendar", "12:00;rm", "a calendar expression"},
		{"Blueprint", "AllowOverride", "everything", "wants one of"},
		{"Blueprint", "Description", "\xff\xfe", "not valid UTF-8"},
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		CLEANUP_FREE char *text = xasprintf("[%s]\n%s=%s\n", values[i].section,
						    values[i].key, values[i].value);

		bad(text, 2, (int)strlen(values[i].key) + 2, values[i].says);
	}
}

/* The place is the word's own, also in a line that continues. */
static void
test_places(void **state)
{
	bad("[Agent]\nEnvironment=A=1 NOVALUE B=2\n", 2, 17, "not 'NOVALUE'");
	bad("[Agent]\nEnvironment=A=1 \\\n# comment\n  NOVALUE\n", 4, 3, "not 'NOVALUE'");
	bad("\xef\xbb\xbf[Agent]\r\n\tMaxTurns = x\r\n", 2, 13, "a number");
	bad("[Agent]\nSystemPrompt=100% sure\n", 2, 17, "'%' is no specifier; write %%");
	bad("[Agent]\nExecStart=date +%q\n", 2, 17, "'%q' is no specifier");
	bad("[Agent]\nModel=x%\n", 2, 8, "'%' is no specifier");
}

/* What is wrong keeps the value from before, and all else of the text counts. */
static void
test_all_in_one_pass(void **state)
{
	struct blueprint *b = blueprint_new("x", NULL);
	struct buf many = BUF_INIT, out = BUF_INIT;
	struct err e = {0};

	assert_int_equal(add(b, "[Agent]\nModel=a\nMaxTurns=5\nMaxTurns=x\nno "
				"assignment\nBad=1\n[Session]\nTimeoutStopSec=z\n"),
			 4);
	assert_string_equal(blueprint_text(b, D_Model), "a");
	assert_int_equal(blueprint_int(b, D_MaxTurns), 5);
	assert_int_equal(blueprint_us(b, D_TimeoutStopSec), 10000000);
	assert_int_equal(problems.v[0].line, 4);
	assert_int_equal(problems.v[3].line, 8);
	blueprint_problem_format(&out, &problems.v[0]);
	assert_string_equal(
		out.data, "x.blueprint:4:10: MaxTurns= wants a number from 0 to 1000000, not 'x'");
	assert_true(blueprint_problems_err(&problems, &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.text, "x.blueprint:4:10: MaxTurns= wants a number from 0 to 1000000, "
				    "not 'x' (and 3 further problems)");
	buf_puts(&many, "[Agent]\n");
	for (int i = 0; i < 300; i++)
		buf_puts(&many, "MaxTurns=x\n");
	assert_int_equal(add(b, many.data), 300);
	assert_int_equal(problems.count, BLUEPRINT_PROBLEMS_MAX);
	buf_free(&many);
	buf_free(&out);
	blueprint_free(b);
}

static void
test_problems_json(void **state)
{
	struct blueprint_problems p = BLUEPRINT_PROBLEMS_INIT;
	struct buf out = BUF_INIT;

	blueprint_problems_json(&out, &p);
	assert_string_equal(out.data, "[]");
	assert_int_equal(blueprint_problems_err(&p, NULL), 0);
	blueprint_problem_add(&p, BP_WARNING, "a \"b\"", 0, 0, "%s", "it is so");
	assert_int_equal(blueprint_problems_err(&p, NULL), 0);
	buf_reset(&out);
	blueprint_problems_json(&out, &p);
	assert_string_equal(out.data, "[{\"file\":\"a "
				      "\\\"b\\\"\",\"line\":0,\"column\":0,\"severity\":"
				      "\"warning\",\"text\":\"it is so\"}]");
	buf_reset(&out);
	blueprint_problem_format(&out, &p.v[0]);
	assert_string_equal(out.data, "a \"b\": warning: it is so");
	buf_free(&out);
	blueprint_problems_free(&p);
}

static void
test_caps(void **state)
{
	struct blueprint *b = blueprint_new("x", NULL);
	char *text = xmalloc(INI_FILE_MAX + 2);
	struct buf many = BUF_INIT;
	int64_t start = mono_us();

	memset(text, '\n', INI_FILE_MAX + 2);
	blueprint_problems_free(&problems);
	assert_int_equal(blueprint_add(b, "big", text, INI_FILE_MAX + 2, &problems), 1);
	assert_non_null(strstr(problems.v[0].text, "too large"));
	assert_int_equal(problems.v[0].line, 0);
	free(text);
	/* Too many words: said once, and no more are kept. */
	buf_puts(&many, "[Agent]\n");
	while (many.len < INI_FILE_MAX - 100)
		buf_puts(&many,
			 "AllowedTools=a b c d e f g h i j k l m n o p q r s t u v w x y z\n");
	assert_int_equal(add(b, many.data), 1);
	assert_non_null(strstr(problems.v[0].text, "more than 4096 entries"));
	assert_int_equal(strv_len(blueprint_words(b, D_AllowedTools)), BLUEPRINT_LIST_MAX);
	/* One value of very many words, and very many unknown keys, end soon. */
	buf_reset(&many);
	buf_puts(&many, "[Agent]\nPassEnvironment=");
	while (many.len < INI_VALUE_MAX - 100)
		buf_puts(&many, "- - - - - - - - ");
	assert_true(add(b, many.data) >= BLUEPRINT_ERRORS_STOP);
	buf_reset(&many);
	buf_puts(&many, "[Agent]\n");
	while (many.len < INI_FILE_MAX - 100)
		buf_puts(&many, "Unknwn=1\nAloowedTools=1\n");
	assert_true(add(b, many.data) >= BLUEPRINT_ERRORS_STOP);
	assert_true(mono_us() - start < 20000000);
	buf_free(&many);
	blueprint_free(b);
}

static void
test_foreign(void **state)
{
	struct blueprint *b = parsed("[X-Mine]\nAnything=goes\n[Agent]\nX-Owner=me\nModel=m\n");

	assert_string_equal(blueprint_text(b, D_Model), "m");
	assert_int_equal(add(b, ""), 0);
	blueprint_free(b);
}

/* ---- warnings ---- */

static void
warns(const char *text, int line, const char *says)
{
	struct blueprint *b = parsed(text);
	int n = blueprint_lint(b, &problems);

	assert_int_equal(problems.errors, 0);
	if (n != (says != NULL))
		fail_msg("%d warnings in: %s", n, text);
	if (says && (!strstr(problems.v[0].text, says) || problems.v[0].line != line ||
		     problems.v[0].severity != BP_WARNING))
		fail_msg("%d: '%s' does not say '%s'", problems.v[0].line, problems.v[0].text,
			 says);
	blueprint_free(b);
}

static void
test_lint(void **state)
{
	warns("[Sandbox]\nMemoryDenyWriteExecute=yes\n", 2, "V8");
	warns("[Agent]\nAdapter=command\nExecStart=/usr/bin/node "
	      "x.js\n[Sandbox]\nMemoryDenyWriteExecute=yes\n",
	      5, "V8");
	warns("[Agent]\nAdapter=command\nExecStart=/bin/"
	      "true\n[Sandbox]\nMemoryDenyWriteExecute=yes\n",
	      0, NULL);
	warns("[Sandbox]\nMemoryDenyWriteExecute=no\n", 0, NULL);
	warns("[Resources]\nLimitAS=4G\n", 2, "use MemoryMax=");
	warns("[Resources]\nLimitAS=infinity\n", 0, NULL);
	warns("[Resources]\nLimitNPROC=100\n", 2, "use TasksMax=");
	warns("[Resources]\nLimitRSS=1G\n", 2, "no effect");
	/* The agent's own directory is its home then; what lies in a home is what goes. */
	warns("[Sandbox]\nProtectHome=yes\n", 0, NULL);
	warns("[Agent]\nExecStart=/home/alice/bin/claude\n", 2, "BindReadOnlyPaths=");
	warns("[Agent]\nMcpServer=x /home/alice/mcp/run --fast\n[Sandbox]\nProtectHome=yes\n", 4, "BindReadOnlyPaths=");
	warns("[Agent]\nExecStart=/home/alice/bin/claude\n[Sandbox]\nProtectHome=read-only\n", 0, NULL);
	warns("[Agent]\nExecStart=/home/alice/bin/claude\n[Sandbox]\nSandbox=none\n", 0, NULL);
	warns("[Agent]\nExecStart=/home/alice/bin/claude\n[Sandbox]\nBindReadOnlyPaths=/home/alice/lib\n", 0, NULL);
	warns("[Agent]\nAdapter=command\nExecStart=/home/alice/x\n", 0, NULL);
	warns("[Resources]\nMemoryMax=256M\n", 2, "is little");
	warns("[Resources]\nMemoryMax=20%\n", 0, NULL);
	warns("[Resources]\nMemoryMax=infinity\n", 0, NULL);
	warns("[Resources]\nTasksMax=10\n", 2, "is little");
	warns("[Agent]\nAdapter=command\n[Resources]\nTasksMax=10\n", 0, NULL);
	warns("[Resources]\nMemoryHigh=4G\nMemoryMax=2G\n", 2, "no effect");
	warns("[Resources]\nMemoryHigh=2G\nMemoryMax=infinity\n", 0, NULL);
	warns("[Resources]\nCPUQuotaPeriodSec=10ms\n", 2, "CPUQuota=");
	warns("[Sandbox]\nSystemCallErrorNumber=kill\n", 2, "use EPERM");
	warns("[Sandbox]\nSystemCallErrorNumber=ENOSYS\n", 0, NULL);
	warns("[Sandbox]\nProcSubset=pid\n", 2, "/proc");
	warns("[Sandbox]\nPrivateTmp=no\n", 2, "meet in /tmp");
	warns("[Sandbox]\nDynamicUser=yes\nUser=alice\n", 2, "contradict");
	warns("[Agent]\nAdapter=command\n[Sandbox]\nPrivateTmpSize=1G\n", 4, "PrivateTmp=yes");
	warns("[Sandbox]\nPrivateTmpSize=1G\n", 0, NULL);
	warns("[Sandbox]\nSystemCallFilter=ptrace\n", 2, "@system-service");
	warns("[Sandbox]\nSystemCallFilter=@system-service ptrace\n", 0, NULL);
	warns("[Sandbox]\nSystemCallFilter=~ptrace\n", 0, NULL);
	warns("[Sandbox]\nRestrictAddressFamilies=AF_UNIX AF_NETLINK\n", 2, "reach its model");
	warns("[Sandbox]\nRestrictAddressFamilies=none\n", 2, "reach its model");
	warns("[Sandbox]\nPrivateNetwork=yes\n", 2, "without a proxy");
	warns("[Agent]\nEnvironment=HTTPS_PROXY=http://"
	      "127.0.0.1:1\n[Sandbox]\nPrivateNetwork=yes\n",
	      0, NULL);
	warns("[Agent]\nPassEnvironment=https_proxy\n[Sandbox]\nPrivateNetwork=yes\n", 0, NULL);
	warns("[Agent]\nAdapter=command\n[Sandbox]\nPrivateNetwork=yes\n", 0, NULL);
	warns("[Sandbox]\nRestrictAddressFamilies=AF_UNIX AF_INET\n", 2, "AF_NETLINK");
	warns("[Sandbox]\nRestrictAddressFamilies=~AF_NETLINK\n", 2, "AF_NETLINK");
	warns("[Sandbox]\nRestrictAddressFamilies=~AF_PACKET\n", 0, NULL);
	warns("[Agent]\nAdapter=command\n[Sandbox]\nRestrictAddressFamilies=none\n", 0, NULL);
	warns("[Agent]\nAdapter=command\nModel=opus\n", 3, "no effect with Adapter=command");
	warns("[Agent]\nAllowedTools=Read Edit\nDisallowedTools=Edit\n", 3,
	      "Edit is in AllowedTools= and in DisallowedTools=");
}

/* ---- specifiers ---- */

static void
test_expand(void **state)
{
	struct blueprint
		*b = parsed("[Blueprint]\nDescription=100%% of %i\n[Agent]\nExecStart=make %i \"%s "
			    "%%s\"\nEnvironment=P=%d\nWorkingDirectory=%h/x\n"
			    "McpServer=one prog %d\nModel=%I\n[Sandbox]\nReadWritePaths=%d -%t\n"),
		*c;
	const struct specifiers v = {.name = "task@check",
				     .home = "/home/me",
				     .session = "s 1",
				     .project_dir = "/srv/a b",
				     .run_dir = "/run"};
	struct err e = {0};

	c = blueprint_expand(b, &v, &e);
	if (!c)
		fail_msg("%s", e.text);
	assert_string_equal(blueprint_text(c, D_Description), "100% of check");
	words_are(c, D_ExecStart, "make|check|s 1 %s");
	words_are(c, D_Environment, "P=/srv/a b");
	words_are(c, D_ReadWritePaths, "/srv/a b|-/run");
	words_are(c, D_McpServer, "one prog \"/srv/a b\"");
	assert_string_equal(blueprint_text(c, D_WorkingDirectory), "/home/me/x");
	assert_string_equal(blueprint_text(c, D_Model), "check");
	/* The original is as it was. */
	words_are(b, D_ExecStart, "make|%i|%s %%s");
	blueprint_free(c);
	blueprint_free(b);
}

static void
test_expand_bad(void **state)
{
	struct blueprint *b = parsed("[Agent]\nModel=%i\nWorkingDirectory=%h/x\n");
	struct specifiers v = {.name = "plain", .home = "/h"};
	struct err e = {0};
	struct blueprint *c = blueprint_expand(b, &v, &e);

	/* A text that comes to nothing is unset. */
	assert_non_null(c);
	assert_null(blueprint_text(c, D_Model));
	blueprint_free(c);
	v.home = NULL;
	assert_null(blueprint_expand(b, &v, &e));
	assert_int_equal(e.status, 422);
	assert_non_null(strstr(e.text, "x.blueprint:3: WorkingDirectory=: nothing is known"));
	v.home = "relative";
	assert_null(blueprint_expand(b, &v, &e));
	assert_non_null(strstr(
		e.text,
		"x.blueprint:3: WorkingDirectory=: wants an absolute path, not 'relative/x'"));
	blueprint_free(b);
}

/* ---- forms ---- */

static void
agent_json_is(const struct blueprint *b, const char *prompt, const char *mcp, const char *status,
	      int64_t created_us, const char *want)
{
	struct buf out = BUF_INIT;

	blueprint_agent_json(&out, b, prompt, mcp, status, created_us, 1700000000000000);
	assert_string_equal(out.data, want);
	buf_free(&out);
}

static void
test_agent_json(void **state)
{
	struct blueprint *b;

	setenv("TZ", "Europe/Berlin", 1);
	b = parsed("[Blueprint]\nDescription=\"100%% \\\"it\\\"\"\n");
	agent_json_is(b, NULL, NULL, NULL, 1700000000123456,
		      "{\"name\":\"x\",\"description\":\"100% "
		      "\\\"it\\\"\",\"system_prompt\":null,\"mcp_servers\":null,\"skills\":null,"
		      "\"status\":\"active\","
		      "\"created_at\":\"2023-11-14T23:13:20.123456\",\"modified_at\":\"2023-11-"
		      "14T23:13:20\"}");
	agent_json_is(
		b, "from\na file", "{\"mcpServers\":{\"a\":{\"url\":\"http://x/y\"}}}", "masked",
		1700000000000001,
		"{\"name\":\"x\",\"description\":\"100% \\\"it\\\"\",\"system_prompt\":\"from\\na "
		"file\",\"mcp_servers\":{\"a\":{\"url\":\"http://x/y\"}},"
		"\"skills\":null,\"status\":\"masked\",\"created_at\":\"2023-11-14T23:13:20."
		"000001\",\"modified_at\":\"2023-11-14T23:13:20\"}");
	blueprint_free(b);
	b = parsed("[Blueprint]\nEnabled=no\n[Agent]\nSystemPrompt=50%%\nSkills=one "
		   "two\nMcpServer=w https://example.org/mcp\nMcpServer=s npx -y pkg\n");
	agent_json_is(
		b, NULL, NULL, NULL, 1700000000000000,
		"{\"name\":\"x\",\"description\":\"\",\"system_prompt\":\"50%\",\"mcp_servers\":{"
		"\"w\":{\"type\":\"http\",\"url\":\"https://example.org/mcp\"},"
		"\"s\":{\"type\":\"stdio\",\"command\":\"npx\",\"args\":[\"-y\",\"pkg\"]}},"
		"\"skills\":[\"one\",\"two\"],\"status\":\"inactive\","
		"\"created_at\":\"2023-11-14T23:13:20\",\"modified_at\":\"2023-11-14T23:13:20\"}");
	blueprint_free(b);
	unsetenv("TZ");
}

static void
test_mcp(void **state)
{
	struct blueprint *b = parsed("[Agent]\nMcpServer=a prog\n"), *none = parsed("");
	struct buf out = BUF_INIT;
	bool is_bad;

	assert_true(blueprint_mcp_json(&out, b, "{\"mcpServers\":{\"z\":{\"command\":\"q\"}}}",
				       &is_bad));
	assert_string_equal(out.data, "{\"mcpServers\":{\"z\":{\"command\":\"q\"},\"a\":{\"type\":"
				      "\"stdio\",\"command\":\"prog\",\"args\":[]}}}");
	buf_reset(&out);
	assert_true(blueprint_mcp_json(&out, none, "{\"z\":{\"command\":\"q\"}}", &is_bad));
	assert_string_equal(out.data, "{\"mcpServers\":{\"z\":{\"command\":\"q\"}}}");
	assert_false(blueprint_mcp_json(&out, none, NULL, &is_bad));
	assert_false(is_bad);
	assert_false(blueprint_mcp_json(&out, b, "[]", &is_bad));
	assert_true(is_bad);
	assert_false(blueprint_mcp_json(&out, b, "{\"mcpServers\":1}", &is_bad));
	assert_true(is_bad);
	assert_false(blueprint_mcp_json(&out, b, "{", &is_bad));
	assert_true(is_bad);
	assert_false(blueprint_mcp_json(&out, b, "{} {}", &is_bad));
	assert_true(is_bad);
	buf_free(&out);
	blueprint_free(b);
	blueprint_free(none);
}

static void
test_show(void **state)
{
	struct blueprint *b =
		parsed("[Agent]\nModel=x\nExecStart=a \"\" \"q\\\"\\\\\" \"tab\\t\" \xc3\xa4\n");
	struct buf out = BUF_INIT;

	blueprint_show(&out, b, false);
	assert_non_null(strstr(out.data,
			       "[Agent]\nAdapter=claude\nExecStart=a \"\" \"q\\\"\\\\\" "
			       "\"tab\\t\" \xc3\xa4\nModel=x\nMaxTurns=0\n\n[Session]\n"));
	assert_null(strstr(out.data, "SystemPrompt="));
	buf_reset(&out);
	blueprint_show(&out, b, true);
	assert_non_null(strstr(out.data, "\nSystemPrompt=\n"));
	buf_reset(&out);
	blueprint_show_key(&out, b, D_TimeoutStopSec);
	assert_string_equal(out.data, "TimeoutStopSec=10s\n");
	buf_free(&out);
	blueprint_free(b);
}

/* ---- the tree ---- */

static const char *
source_dir(void)
{
	const char *srcdir = getenv("srcdir");

	return srcdir ? srcdir : ".";
}

/* The table's names are the adapters that there are. */
static void
test_adapters(void **state)
{
	for (size_t i = 0; adapters[i]; i++) {
		CLEANUP_FREE char *text = xasprintf("[Agent]\nAdapter=%s\n", adapters[i]->name);
		struct blueprint *b = parsed(text);

		assert_ptr_equal(adapter_find(blueprint_text(b, D_Adapter)), adapters[i]);
		blueprint_free(b);
	}
	assert_null(adapter_find("none"));
}

/* All that ships: no error, no warning, a description, and specifiers that can be replaced. */
static void
test_shipped(void **state)
{
	CLEANUP_FREE char *dir = xasprintf("%s/blueprints", source_dir());
	const struct specifiers v = {.name = "x@check", .session = "s", .project_dir = "/srv/p"};
	DIR *d = opendir(dir);
	struct dirent *de;
	int count = 0;

	if (!d)
		fail_msg("%s: not there (run in the top of the tree, or set srcdir)", dir);
	while ((de = readdir(d))) {
		CLEANUP_FREE char *path = xasprintf("%s/%s", dir, de->d_name);
		struct blueprint *b, *expanded;
		struct buf text = BUF_INIT;
		struct err e;

		if (de->d_name[0] == '.')
			continue;
		assert_non_null(strstr(de->d_name, ".blueprint"));
		if (file_read(path, INI_FILE_MAX, &text, &e) < 0)
			fail_msg("%s", e.text);
		b = blueprint_new(de->d_name, path);
		blueprint_problems_free(&problems);
		blueprint_add(b, path, text.data, text.len, &problems);
		blueprint_lint(b, &problems);
		for (int i = 0; i < problems.count; i++)
			fail_msg("%s:%d:%d: %s", path, problems.v[i].line, problems.v[i].column,
				 problems.v[i].text);
		assert_non_null(blueprint_text(b, D_Description));
		expanded = blueprint_expand(b, &v, &e);
		if (!expanded)
			fail_msg("%s", e.text);
		count++;
		blueprint_free(expanded);
		blueprint_free(b);
		buf_free(&text);
	}
	closedir(d);
	assert_true(count >= 8);
}

/* Each key has its seed for the fuzzer, as tests/fuzz/make-seeds writes it. */
static void
test_seeds(void **state)
{
	for (const struct directive *d = blueprint_directives; d->key; d++) {
		CLEANUP_FREE char *path =
			xasprintf("%s/tests/fuzz/corpus-blueprint/key-%s", source_dir(), d->key);
		CLEANUP_FREE char *want =
			xasprintf("[%s]\n%s=%s\n", d->section, d->key, directive_example(d));
		struct buf text = BUF_INIT;
		struct err e;

		if (file_read(path, INI_FILE_MAX, &text, &e) < 0)
			fail_msg("%s: run make-seeds", e.text);
		assert_string_equal(text.data, want);
		buf_free(&text);
	}
}

static int
teardown(void **state)
{
	blueprint_problems_free(&problems);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),         cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_schema),        cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),        cmocka_unit_test(test_texts),
		cmocka_unit_test(test_merge),         cmocka_unit_test(test_tilde),
		cmocka_unit_test(test_names),         cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_places),        cmocka_unit_test(test_all_in_one_pass),
		cmocka_unit_test(test_problems_json), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_foreign),       cmocka_unit_test(test_lint),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_bad),    cmocka_unit_test(test_agent_json),
		cmocka_unit_test(test_mcp),           cmocka_unit_test(test_show),
		cmocka_unit_test(test_adapters),      cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_seeds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
