/* SPDX-License-Identifier: MIT */
/* Rules for what agents ask. See ask.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/ask.h"

#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stddef.h>
#include <string.h>

#include "base/util.h"

#define DOMAIN "domain:"
#define SHELL_STOPS ";&|<>`$()\\\n\r" /* what begins or feeds another command */

/* ---- the tools that a pattern can be for ------------------------------------------------------------------- */

enum kind { COMMAND, PATH, ADDRESS, WORD };

static const struct {
	const char *tool, *argument;
	enum kind kind;
} tools[] = {
	{ "Bash", "command", COMMAND },	    { "Read", "file_path", PATH },	 { "Write", "file_path", PATH },
	{ "Edit", "file_path", PATH },	    { "MultiEdit", "file_path", PATH },	 { "NotebookEdit", "notebook_path", PATH },
	{ "Glob", "path", PATH },	    { "Grep", "path", PATH },		 { "WebFetch", "url", ADDRESS },
	{ "WebSearch", "query", WORD },	    { "Agent", "subagent_type", WORD },	 { "Task", "subagent_type", WORD },
	{ "Skill", "skill", WORD },
};

static int
tool_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (strcmp(tools[i].tool, name) == 0)
			return (int)i;
	return -1;
}

/* ---- rules ------------------------------------------------------------------------------------------------ */

struct rule {
	bool allow;
	char *tool;
	char *pattern; /* or NULL */
};

static void
rule_done(struct rule *r)
{
	free(r->tool);
	free(r->pattern);
}

/* *r is filled where the result is NULL, and the caller's to give to rule_done() in any case. */
static const char *
parse(const char *s, struct rule *r)
{
	size_t n = strcspn(s, " \t"), tool;
	const char *end = s + strlen(s);

	*r = (struct rule){ .allow = n == 5 && strncmp(s, "allow", n) == 0 };
	if (!r->allow && !(n == 4 && strncmp(s, "deny", n) == 0))
		return "wants allow or deny first";
	s += n;
	s += strspn(s, " \t");
	for (tool = 0; isalnum((unsigned char)s[tool]) || (s[tool] && strchr("_-*", s[tool])); tool++)
		;
	if (tool == 0)
		return "wants the name of a tool, such as Bash or mcp__*";
	r->tool = xstrndup(s, tool);
	s += tool;
	if (!*s)
		return NULL;
	if (*s != '(' || end[-1] != ')' || end - s < 3)
		return "wants TOOL or TOOL(PATTERN)";
	if (tool_find(r->tool) < 0)
		return "wants a pattern only for Bash, Read, Write, Edit, MultiEdit, NotebookEdit, Glob, Grep, WebFetch, WebSearch, Agent, Task or Skill";
	r->pattern = xstrndup(s + 1, (size_t)(end - s) - 2);
	return NULL;
}

const char *
ask_rule_check(const char *rule)
{
	struct rule r;
	const char *why = parse(rule, &r);

	rule_done(&r);
	return why;
}

/* * in the pattern stands for any bytes but those of stops. The first n of s. */
static bool
matches(const char *pattern, const char *s, size_t n, const char *stops)
{
	const char *end = s + n, *star = NULL, *from = NULL;

	while (s < end) {
		if (*pattern == '*') {
			star = ++pattern;
			from = s;
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star && !strchr(stops, *from)) {
			/* One more for the star; strchr() finds the NUL, too. */
			pattern = star;
			s = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* "npm run test:*": the command itself, or with arguments. */
static bool
command_matches(const char *pattern, const char *s, size_t n, const char *stops)
{
	size_t len = strlen(pattern);
	CLEANUP_FREE char *wide = NULL, *bare = NULL;

	if (len < 2 || strcmp(pattern + len - 2, ":*") != 0)
		return matches(pattern, s, n, stops);
	bare = xstrndup(pattern, len - 2);
	wide = xasprintf("%s *", bare);
	return matches(bare, s, n, stops) || matches(wide, s, n, stops);
}

static bool
has_dots(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* The host of an address, in lower case, for the caller to free; NULL: there is no telling. */
static char *
host_of(const char *url, size_t n)
{
	const char *s = strstr(url, "://");
	char *host;
	size_t len, i;

	for (i = 0; i < n; i++)
		if ((unsigned char)url[i] <= ' ' || url[i] == '\\')
			return NULL;
	if (!s)
		return NULL;
	s += 3;
	len = strcspn(s, "/?#");
	if (memchr(s, '@', len))
		return NULL;
	if (*s != '[')
		len = strcspn(s, "/?#:");
	host = xstrndup(s, len);
	for (i = 0; i < len; i++)
		host[i] = (char)tolower((unsigned char)host[i]);
	return host;
}

static bool
address_matches(const struct rule *r, const char *s, size_t n)
{
	CLEANUP_FREE char *host = NULL;

	if (!str_starts(r->pattern, DOMAIN))
		return matches(r->pattern, s, n, "");
	host = host_of(s, n);
	return host ? matches(r->pattern + strlen(DOMAIN), host, strlen(host), "") : !r->allow;
}

static bool
pattern_matches(const struct rule *r, struct json_object *input)
{
	int i = tool_find(r->tool);
	struct json_object *v = NULL;
	const char *s;
	size_t n;

	json_object_object_get_ex(input, tools[i].argument, &v);
	if (!json_object_is_type(v, json_type_string))
		return false;
	s = json_object_get_string(v);
	n = (size_t)json_object_get_string_len(v);
	/* What comes behind a NUL is seen by some and not by others. */
	if (strlen(s) != n)
		return !r->allow;
	switch (tools[i].kind) {
	case COMMAND:
		return command_matches(r->pattern, s, n, r->allow ? SHELL_STOPS : "");
	case PATH:
		return !(r->allow && has_dots(s)) && matches(r->pattern, s, n, "");
	case ADDRESS:
		return address_matches(r, s, n);
	default:
		return matches(r->pattern, s, n, "");
	}
}

enum ask_verdict
ask_judge(const struct ask_policy *p, const char *tool, struct json_object *input, const char **rule)
{
	enum ask_verdict verdict = ASK_PERSON;

	*rule = NULL;
	for (char *const *line = p->rules; line && *line && verdict == ASK_PERSON; line++) {
		struct rule r;

		if (!parse(*line, &r) && matches(r.tool, tool, strlen(tool), "") && (!r.pattern || pattern_matches(&r, input))) {
			verdict = r.allow ? ASK_ALLOW : ASK_DENY;
			*rule = *line;
		}
		rule_done(&r);
	}
	return verdict;
}

/* ---- the policy ------------------------------------------------------------------------------------------- */

void
ask_policy_copy(struct ask_policy *dst, const struct ask_policy *src)
{
	*dst = *src;
	dst->rules = strv_dup(src->rules);
}

void
ask_policy_done(struct ask_policy *p)
{
	strv_free(p->rules);
	*p = (struct ask_policy){ 0 };
}

void
ask_policy_json(struct buf *out, const struct ask_policy *p)
{
	if (p->timeout_us == INT64_MAX)
		buf_puts(out, "{\"timeout_us\":null");
	else
		buf_printf(out, "{\"timeout_us\":%" PRId64, p->timeout_us);
	buf_printf(out, ",\"default\":\"%s\",\"rules\":[", p->allow ? "allow" : "deny");
	for (char *const *r = p->rules; r && *r; r++) {
		if (r != p->rules)
			buf_putc(out, ',');
		buf_put_json_str(out, *r);
	}
	buf_puts(out, "]}");
}

void
ask_policy_parse(struct ask_policy *p, struct json_object *o)
{
	struct json_object *v = NULL;

	*p = (struct ask_policy){ 0 };
	if (json_object_object_get_ex(o, "timeout_us", &v))
		p->timeout_us = v ? json_object_get_int64(v) : INT64_MAX;
	if (json_object_object_get_ex(o, "default", &v) && v)
		p->allow = strcmp(json_object_get_string(v), "allow") == 0;
	if (json_object_object_get_ex(o, "rules", &v) && json_object_is_type(v, json_type_array))
		for (size_t i = 0; i < json_object_array_length(v); i++)
			p->rules = strv_add(p->rules, json_object_get_string(json_object_array_get_idx(v, i)));
}
