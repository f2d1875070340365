/* SPDX-License-Identifier: MIT */
/* Problems of blueprints: their list, and the warnings about settings that read well and do not
 * work. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ini.h"
#include "base/util.h"
#include "model/blueprint-internal.h"
#include "model/sandbox.h"

/* ---- the list ---- */

void
blueprint_problems_free(struct blueprint_problems *p)
{
	for (int i = 0; i < p->count; i++)
		free(p->v[i].file);
	free(p->v);
	*p = (struct blueprint_problems)BLUEPRINT_PROBLEMS_INIT;
}

/* A text that was cut ends with a whole character. */
static void
trim_partial(char *s, size_t size)
{
	size_t n = strlen(s), k = n;

	if (n + 1 < size)
		return;
	while (k > 0 && ((unsigned char)s[k - 1] & 0xc0) == 0x80)
		k--;
	if (k > 0 && (unsigned char)s[k - 1] >= 0xc0)
		s[k - 1] = 0;
}

void
blueprint_problem_add(struct blueprint_problems *p, enum blueprint_severity severity,
		      const char *file, int line, int column, const char *fmt, ...)
{
	struct blueprint_problem *one;
	va_list ap;

	if (severity == BP_ERROR)
		p->errors++;
	else
		p->warnings++;
	if (p->count == BLUEPRINT_PROBLEMS_MAX)
		return;
	if ((p->count & (p->count + 1)) == 0)
		p->v = xrealloc(p->v, ((size_t)p->count + 1) * 2 * sizeof(*p->v));
	one = &p->v[p->count++];
	one->file = xstrdup(file ? file : "");
	one->line = line;
	one->column = column;
	one->severity = severity;
	va_start(ap, fmt);
	vsnprintf(one->text, sizeof(one->text), fmt, ap);
	va_end(ap);
	trim_partial(one->text, sizeof(one->text));
}

void
blueprint_problem_format(struct buf *out, const struct blueprint_problem *p)
{
	if (*p->file)
		buf_printf(out, "%s:", p->file);
	if (p->line > 0)
		buf_printf(out, "%d:", p->line);
	if (p->line > 0 && p->column > 0)
		buf_printf(out, "%d:", p->column);
	buf_printf(out, "%s%s%s", out->len > 0 && out->data[out->len - 1] == ':' ? " " : "",
		   p->severity == BP_WARNING ? "warning: " : "", p->text);
}

void
blueprint_problems_json(struct buf *out, const struct blueprint_problems *p)
{
	buf_putc(out, '[');
	for (int i = 0; i < p->count; i++) {
		buf_puts(out, i ? ",{\"file\":" : "{\"file\":");
		buf_put_json_str(out, p->v[i].file);
		buf_printf(out,
			   ",\"line\":%d,\"column\":%d,\"severity\":\"%s\",\"text\":", p->v[i].line,
			   p->v[i].column, p->v[i].severity == BP_ERROR ? "error" : "warning");
		buf_put_json_str(out, p->v[i].text);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

int
blueprint_problems_err(const struct blueprint_problems *p, struct err *e)
{
	struct buf text = BUF_INIT;
	int more = p->errors - 1, r;

	for (int i = 0; i < p->count && text.len == 0; i++)
		if (p->v[i].severity == BP_ERROR)
			blueprint_problem_format(&text, &p->v[i]);
	if (p->errors == 0)
		return 0;
	if (more > 0)
		buf_printf(&text, " (and %d further problem%s)", more, more > 1 ? "s" : "");
	r = err_set_status(e, 422, -EINVAL, "%s",
			   text.data ? text.data : "a problem that was not kept");
	buf_free(&text);
	return r;
}

/* ---- warnings ---- */

struct lint {
	const struct blueprint *b, *effective;
	struct blueprint_problems *p;
};

#define WARN(l, id, ...)                                                                           \
	do {                                                                                       \
		const char *file_ = blueprint_path((l)->b);                                        \
		int line_ = 0;                                                                     \
                                                                                                   \
		blueprint_origin((l)->b, id, &file_, &line_);                                      \
		blueprint_problem_add((l)->p, BP_WARNING, file_, line_, line_ > 0, __VA_ARGS__);   \
	} while (0)

static bool
is_adapter(const struct lint *l, const char *name)
{
	return strcmp(blueprint_text(l->b, D_Adapter), name) == 0;
}

/* Whether the program is known to have V8 in it. */
static bool
runs_v8(const struct lint *l)
{
	char *const *argv = blueprint_words(l->b, D_ExecStart);
	const char *slash = argv ? strrchr(argv[0], '/') : NULL;

	return argv && value_in("node nodejs npx npm yarn pnpm codex gemini opencode",
				slash ? slash + 1 : argv[0]);
}

static void
lint_memory(struct lint *l)
{
	const char *v;

	if (blueprint_tri(l->b, D_MemoryDenyWriteExecute) == TRI_YES &&
	    (is_adapter(l, "claude") || runs_v8(l)))
		WARN(l, D_MemoryDenyWriteExecute,
		     "MemoryDenyWriteExecute=yes: Node.js and other programs with V8 end at start, "
		     "Claude Code runs slower; leave it out");
	v = blueprint_text(l->b, D_LimitAS);
	if (v && !str_starts(v, "infinity"))
		WARN(l, D_LimitAS,
		     "LimitAS= makes programs with a JavaScript engine fail, which reserve far "
		     "more than they use; use MemoryMax=");
	v = blueprint_text(l->b, D_LimitNPROC);
	if (v && !str_starts(v, "infinity"))
		WARN(l, D_LimitNPROC,
		     "LimitNPROC= counts all processes of the user, so that sessions disturb each "
		     "other; use TasksMax=");
	if (blueprint_is_set(l->b, D_LimitRSS))
		WARN(l, D_LimitRSS, "LimitRSS= has no effect in Linux; use MemoryMax=");
}

/* Whether the agent is told of a proxy, or may be. */
static bool
has_proxy(const struct lint *l)
{
	char *const *set = blueprint_words(l->b, D_Environment), *const *pass = blueprint_words(
									 l->b, D_PassEnvironment);
	static const char *const names[] = {"HTTPS_PROXY",       "https_proxy", "HTTP_PROXY",
					    "http_proxy",        "ALL_PROXY",   "all_proxy",
					    "ANTHROPIC_BASE_URL"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i]);

		if (strv_has(pass, names[i]))
			return true;
		for (size_t k = 0; set && set[k]; k++)
			if (strncmp(set[k], names[i], n) == 0 && set[k][n] == '=')
				return true;
	}
	return false;
}

static void
lint_network(struct lint *l)
{
	char *const *allowed = blueprint_words(l->b, D_RestrictAddressFamilies);
	bool but = allowed && allowed[0][0] == '~';

	if (blueprint_tri(l->b, D_PrivateNetwork) == TRI_YES && is_adapter(l, "claude") &&
	    !has_proxy(l))
		WARN(l, D_PrivateNetwork,
		     "PrivateNetwork=yes without a proxy: the agent cannot reach its model; name "
		     "one in Environment=HTTPS_PROXY=, or leave it out");
	if (allowed && strcmp(allowed[0], "none") != 0 &&
	    (but ? strv_has(allowed, "~AF_NETLINK") : !strv_has(allowed, "AF_NETLINK")))
		WARN(l, D_RestrictAddressFamilies,
		     "RestrictAddressFamilies= without AF_NETLINK: programs that list network "
		     "interfaces fail (getifaddrs); allow it");
	if (allowed && is_adapter(l, "claude") &&
	    (but ? strv_has(allowed, "~AF_INET") : !strv_has(allowed, "AF_INET")))
		WARN(l, D_RestrictAddressFamilies,
		     "RestrictAddressFamilies= without AF_INET: the agent cannot reach its model; "
		     "allow it");
}

/* The program, or one of an MCP server's, that lies in a home. */
static char *
program_in_home(const struct lint *l)
{
	static const char *const homes[] = {"/home", "/root"};
	char *const *argv = blueprint_words(l->b, D_ExecStart);
	char *const *servers = blueprint_words(l->b, D_McpServer);
	const char *why;
	char *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(homes) && argv && !found; i++)
		found = path_within(argv[0], homes[i]) ? xstrdup(argv[0]) : NULL;
	for (; servers && *servers && !found; servers++) {
		char **words = ini_split_words(*servers, &why);

		for (size_t i = 0; i < ARRAY_LEN(homes) && words && words[0] && words[1] && !found; i++)
			found = path_within(words[1], homes[i]) ? xstrdup(words[1]) : NULL;
		strv_free(words);
	}
	return found;
}

static void
lint_home(struct lint *l)
{
	const char *v = blueprint_text(l->effective, D_ProtectHome);
	CLEANUP_FREE char *program = program_in_home(l);

	if (v && (strcmp(v, "yes") == 0 || strcmp(v, "tmpfs") == 0) && program &&
	    !blueprint_is_set(l->b, D_BindReadOnlyPaths) && !blueprint_is_set(l->b, D_BindPaths) &&
	    !blueprint_is_set(l->b, D_ReadOnlyPaths))
		WARN(l, blueprint_is_set(l->b, D_ProtectHome) ? D_ProtectHome : D_ExecStart,
		     "ProtectHome=%s hides what %.80s needs beside itself in that home; show it "
		     "with BindReadOnlyPaths=, or use ProtectHome=read-only",
		     v, program);
}

/* What an agent needs to run at all. */
static void
lint_agent(struct lint *l)
{
	static const struct {
		enum directive_id id;
		int64_t least;
		const char *why;
	} least[] = {
		{D_MemoryMax, INT64_C(512) << 20, "an agent takes 300 MB by itself"},
		{D_MemoryHigh, INT64_C(512) << 20, "an agent takes 300 MB by itself"},
		{D_TasksMax, 64, "an agent has a dozen threads, and so has each tool that it starts"},
	};
	const char *how = blueprint_text(l->b, D_SystemCallErrorNumber);

	if (!is_adapter(l, "claude"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(least); i++) {
		const char *v = blueprint_text(l->b, least[i].id);
		int64_t n = v && !strchr(v, '%') ? blueprint_bytes(l->b, least[i].id, 0) : -1;

		if (n >= 0 && n < least[i].least)
			WARN(l, least[i].id, "%s=%s is little: %s", blueprint_directives[least[i].id].key, v,
			     least[i].why);
	}
	if (how && strcmp(how, "kill") == 0)
		WARN(l, D_SystemCallErrorNumber,
		     "SystemCallErrorNumber=kill ends the agent with the first call that is refused, "
		     "and no event says which; use EPERM");
	if (blueprint_is_set(l->b, D_ProcSubset) && strcmp(blueprint_text(l->b, D_ProcSubset), "pid") == 0)
		WARN(l, D_ProcSubset,
		     "ProcSubset=pid: agents read more of /proc than processes, such as the memory "
		     "that there is; leave it out");
	if (blueprint_tri(l->effective, D_PrivateTmp) == TRI_NO)
		WARN(l, D_PrivateTmp,
		     "PrivateTmp=no: sessions of the agent meet in /tmp and find each other's "
		     "sockets; leave it out");
}

/* Whether a list of what is allowed has what every program needs. */
static void
lint_calls(struct lint *l)
{
	char *const *words = blueprint_words(l->b, D_SystemCallFilter);

	if (blueprint_is_set(l->b, D_SystemCallFilter) && blueprint_tri(l->b, D_SystemCallFilter) == TRI_YES &&
	    words[0][0] != '~' && strcmp(words[0], "yes") != 0 && !strv_has(words, "@system-service") &&
	    !strv_has(words, "@known") && !strv_has(words, "@process"))
		WARN(l, D_SystemCallFilter,
		     "SystemCallFilter= names all that is allowed, and this is too little to run "
		     "programs; put @system-service before it");
}

/* Keys that say something only beside others, or against them. */
static void
lint_pairs(struct lint *l)
{
	int64_t high = blueprint_bytes(l->b, D_MemoryHigh, 0), max = blueprint_bytes(l->b, D_MemoryMax, 0);

	if (blueprint_tri(l->b, D_DynamicUser) == TRI_YES && blueprint_is_set(l->b, D_User))
		WARN(l, D_DynamicUser, "DynamicUser=yes and User= contradict each other: sessions are refused");
	if (blueprint_is_set(l->b, D_PrivateTmpSize) && blueprint_tri(l->effective, D_PrivateTmp) != TRI_YES)
		WARN(l, D_PrivateTmpSize, "PrivateTmpSize= has no effect without PrivateTmp=yes");
	if (blueprint_is_set(l->b, D_CPUQuotaPeriodSec) && !blueprint_is_set(l->b, D_CPUQuota))
		WARN(l, D_CPUQuotaPeriodSec, "CPUQuotaPeriodSec= has no effect without CPUQuota=");
	if (high > 0 && max > 0 && high > max)
		WARN(l, D_MemoryHigh, "MemoryHigh= above MemoryMax= has no effect");
}

/* Keys that only speak to an agent. */
static void
lint_adapter(struct lint *l)
{
	static const enum directive_id agent_only[] = {
		D_Model,        D_SystemPrompt,    D_SystemPromptFile,
		D_AllowedTools, D_DisallowedTools, D_PermissionMode,
		D_McpServer,    D_McpConfigFile,   D_MaxTurns,
	};
	char *const *no = blueprint_words(l->b, D_DisallowedTools), *const *yes = blueprint_words(
									    l->b, D_AllowedTools);

	for (size_t i = 0; i < ARRAY_LEN(agent_only) && is_adapter(l, "command"); i++)
		if (blueprint_is_set(l->b, agent_only[i]))
			WARN(l, agent_only[i], "%s= has no effect with Adapter=command",
			     blueprint_directives[agent_only[i]].key);
	for (; no && *no; no++)
		if (strv_has(yes, *no))
			WARN(l, D_DisallowedTools,
			     "%.60s is in AllowedTools= and in DisallowedTools=: it will not be "
			     "allowed",
			     *no);
}

/* A [Timer] that starts nothing. */
static void
lint_timer(struct lint *l)
{
	bool calendar = blueprint_is_set(l->b, D_OnCalendar), boot = blueprint_is_set(l->b, D_OnBootSec),
	     active = blueprint_is_set(l->b, D_OnUnitActiveSec), delay = blueprint_is_set(l->b, D_RandomizedDelaySec),
	     persistent = blueprint_is_set(l->b, D_Persistent);
	enum directive_id first = calendar ? D_OnCalendar : boot ? D_OnBootSec : active ? D_OnUnitActiveSec : delay ? D_RandomizedDelaySec
															: D_Persistent;
	const char *name = blueprint_name(l->b);

	if (!calendar && !boot && !active && !delay && !persistent)
		return;
	if (!calendar && !boot && !active)
		WARN(l, first, "[Timer] names no time: give OnCalendar= or OnBootSec=");
	else if (!calendar && !boot)
		WARN(l, first, "OnUnitActiveSec= alone never starts, since there is no first time to count from: give OnBootSec= or OnCalendar=, too");
	else if (*name && name[strlen(name) - 1] == '@')
		WARN(l, first, "[Timer] of a template has no effect: give an instance a file or a drop-in of its own");
	else if (is_adapter(l, "claude") && !blueprint_is_set(l->b, D_Prompt))
		WARN(l, first, "[Timer] without Prompt=: sessions that it starts are refused, since there is nothing to ask");
	else if (is_adapter(l, "command") && !blueprint_is_set(l->b, D_ExecStart))
		WARN(l, first, "[Timer] without ExecStart=: sessions that it starts are refused, since there is nothing to run");
	if (persistent && blueprint_tri(l->b, D_Persistent) == TRI_YES && !calendar)
		WARN(l, D_Persistent, "Persistent= has no effect without OnCalendar=");
}

int
blueprint_lint(const struct blueprint *b, struct blueprint_problems *p)
{
	struct blueprint *effective = sandbox_effective(b);
	struct lint l = {b, effective, p};
	int before = p->warnings;

	lint_memory(&l);
	lint_network(&l);
	lint_home(&l);
	lint_agent(&l);
	lint_calls(&l);
	lint_pairs(&l);
	lint_adapter(&l);
	lint_timer(&l);
	blueprint_free(effective);
	return p->warnings - before;
}
