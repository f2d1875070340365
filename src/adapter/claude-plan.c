/* SPDX-License-Identifier: MIT */
/* How Claude Code is started: its arguments, its environment, and the prompt as its first message.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "adapter/common.h"
#include "adapter/jv.h"
#include "base/util.h"

static void
arg(struct plan *p, const char *flag, const char *value)
{
	if (!value)
		return;
	p->argv = strv_add(p->argv, flag);
	p->argv = strv_add(p->argv, value);
}

static void
arg_list(struct plan *p, const char *flag, char *const *words)
{
	struct buf list = BUF_INIT;

	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			buf_putc(&list, ',');
		buf_puts(&list, words[i]);
	}
	if (list.len > 0)
		arg(p, flag, list.data);
	buf_free(&list);
}

static int
plan_mcp(const struct plan_request *rq, struct plan *p, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/mcp.json", rq->session_dir);
	const char *file = blueprint_text(rq->blueprint, D_McpConfigFile);
	struct buf merged = BUF_INIT;
	struct json_object *o;
	bool bad = false;

	if (rq->mcp_config) {
		o = jv_parse(rq->mcp_config, strlen(rq->mcp_config), &bad);
		bad = !o;
		json_object_put(o);
	}
	if (!bad && blueprint_words(rq->blueprint, D_McpServer))
		blueprint_mcp_json(&merged, rq->blueprint, rq->mcp_config, &bad);
	if (bad) {
		buf_free(&merged);
		return err_set_status(e, 422, -EINVAL,
				      "McpConfigFile=%s of blueprint '%s' is not a JSON object",
				      file ? file : "", blueprint_name(rq->blueprint));
	}
	if (merged.len > 0 || rq->mcp_config) {
		plan_add_file(p, path, merged.len > 0 ? merged.data : rq->mcp_config);
		arg(p, "--mcp-config", path);
	}
	buf_free(&merged);
	return 0;
}

/* SystemPrompt= and the text of SystemPromptFile=, or NULL; caller frees. */
static char *
system_prompt(const struct plan_request *rq)
{
	const char *text = blueprint_text(rq->blueprint, D_SystemPrompt), *file = rq->system_prompt;

	if (text && file && *file)
		return xasprintf("%s\n\n%s", text, file);
	return file && *file ? xstrdup(file) : xstrdup(text);
}

/* A prompt as a user message. Its uuid makes the program run it once, however often it is delivered. */
void
claude_prompt(const char *text, const char *uuid, struct buf *out)
{
	buf_puts(out, "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":");
	buf_put_json_str(out, text);
	buf_putc(out, '}');
	if (uuid) {
		buf_puts(out, ",\"uuid\":");
		buf_put_json_str(out, uuid);
	}
	buf_puts(out, ",\"parent_tool_use_id\":null,\"session_id\":\"\"}\n");
}

int
claude_plan(const struct plan_request *rq, struct plan *p, struct err *e)
{
	static const char *const fixed[] = {
		"--output-format",
		"stream-json",
		"--verbose",
		"--input-format",
		"stream-json",
		/* Nothing that lies in the project starts programs or changes permissions. */
		"--setting-sources",
		"",
		"--strict-mcp-config",
		/* What it may not do by itself it asks over stdout, instead of being denied it. */
		"--permission-prompt-tool",
		"stdio",
	};
	const struct blueprint *b = rq->blueprint;
	CLEANUP_FREE char *config_dir = xasprintf("%s/claude", rq->session_dir);
	int64_t max_turns = blueprint_int(b, D_MaxTurns);
	CLEANUP_FREE char *cost = rq->cost_left > 0 ? xasprintf("%.6f", rq->cost_left) : NULL;
	CLEANUP_FREE char *turns = max_turns > 0 ? xasprintf("%lld", (long long)max_turns) : NULL;
	CLEANUP_FREE char *prompt = system_prompt(rq);
	char *const *program = blueprint_words(b, D_ExecStart);
	int r;

	p->argv = program ? strv_dup(program) : strv_add(NULL, "claude");
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		p->argv = strv_add(p->argv, fixed[i]);
	r = plan_mcp(rq, p, e);
	if (r < 0)
		return r;
	arg(p, rq->resume ? "--resume" : "--session-id", rq->agent_session_id);
	arg(p, "--model", blueprint_text(b, D_Model));
	arg(p, "--append-system-prompt", prompt);
	arg_list(p, "--allowedTools", blueprint_words(b, D_AllowedTools));
	arg_list(p, "--disallowedTools", blueprint_words(b, D_DisallowedTools));
	arg(p, "--permission-mode", blueprint_text(b, D_PermissionMode));
	arg(p, "--max-turns", turns);
	arg(p, "--max-budget-usd", cost);
	plan_set_env(p, "CLAUDE_CONFIG_DIR", config_dir);
	plan_set_env(p, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
	plan_set_env(p, "DISABLE_AUTOUPDATER", "1");
	claude_prompt(rq->prompt, rq->prompt_uuid, &p->input);
	return 0;
}
