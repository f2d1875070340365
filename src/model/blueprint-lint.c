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

#include "base/util.h"
#include "model/blueprint-internal.h"

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
	const struct blueprint *b;
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
has_word(char *const *words, const char *word)
{
	for (; words && *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

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

		if (has_word(pass, names[i]))
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
	    (but ? has_word(allowed, "~AF_NETLINK") : !has_word(allowed, "AF_NETLINK")))
		WARN(l, D_RestrictAddressFamilies,
		     "RestrictAddressFamilies= without AF_NETLINK: programs that list network "
		     "interfaces fail (getifaddrs); allow it");
}

static void
lint_home(struct lint *l)
{
	const char *v = blueprint_text(l->b, D_ProtectHome);

	if (v && (strcmp(v, "yes") == 0 || strcmp(v, "tmpfs") == 0) && is_adapter(l, "claude"))
		WARN(l, D_ProtectHome,
		     "ProtectHome=%s hides ~/.claude and tools in the home directory; use "
		     "ProtectHome=read-only",
		     v);
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
		if (has_word(yes, *no))
			WARN(l, D_DisallowedTools,
			     "%.60s is in AllowedTools= and in DisallowedTools=: it will not be "
			     "allowed",
			     *no);
}

int
blueprint_lint(const struct blueprint *b, struct blueprint_problems *p)
{
	struct lint l = {b, p};
	int before = p->warnings;

	lint_memory(&l);
	lint_network(&l);
	lint_home(&l);
	lint_adapter(&l);
	return p->warnings - before;
}
