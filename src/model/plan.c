/* SPDX-License-Identifier: MIT */
/* The plan of a run: its memory, and its JSON for people. See plan.h; plan_make() is in adapter/.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

struct plan *
plan_new(void)
{
	struct plan *p = xcalloc(1, sizeof(*p));

	return p;
}

void
plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->adapter);
	strv_free(p->argv);
	free(p->program);
	strv_free(p->env);
	strv_free(p->secret_env);
	strv_free(p->success);
	restart_policy_done(&p->restart);
	ask_policy_done(&p->ask);
	free(p->cwd);
	free(p->prompt);
	sandbox_free(p->sandbox);
	buf_free(&p->input);
	for (int i = 0; i < p->file_count; i++) {
		free(p->files[i].path);
		free(p->files[i].text);
	}
	free(p->files);
	free(p);
}

void
plan_add_file(struct plan *p, const char *path, const char *text)
{
	p->files = xrealloc(p->files, ((size_t)p->file_count + 1) * sizeof(*p->files));
	p->files[p->file_count].path = xstrdup(path);
	p->files[p->file_count].text = xstrdup(text);
	p->file_count++;
}

const char *
plan_env(const struct plan *p, const char *name)
{
	size_t n = strlen(name);

	for (char **v = p->env; v && *v; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

static void
put_strv(struct buf *out, char *const *v)
{
	buf_putc(out, '[');
	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_put_json_str(out, v[i]);
	}
	buf_putc(out, ']');
}

static bool
name_in(char *const *names, const char *s, size_t n)
{
	for (size_t i = 0; names && names[i]; i++)
		if (strlen(names[i]) == n && memcmp(names[i], s, n) == 0)
			return true;
	return false;
}

static void
put_env(struct buf *out, const struct plan *p)
{
	buf_putc(out, '{');
	for (size_t i = 0; p->env && p->env[i]; i++) {
		const char *eq = strchrnul(p->env[i], '=');
		size_t n = (size_t)(eq - p->env[i]);

		if (i > 0)
			buf_putc(out, ',');
		buf_put_json(out, p->env[i], n);
		buf_putc(out, ':');
		if (name_in(p->secret_env, p->env[i], n))
			buf_puts(out, "null");
		else
			buf_put_json_str(out, *eq ? eq + 1 : "");
	}
	buf_putc(out, '}');
}

/* null: no limit. */
static void
put_span(struct buf *out, int64_t us)
{
	if (us == INT64_MAX)
		buf_puts(out, "null");
	else
		buf_put_int(out, us);
}

static const char *
bool_name(bool b)
{
	return b ? "true" : "false";
}

void
plan_json(struct buf *out, const struct plan *p)
{
	buf_puts(out, "{\"adapter\":");
	buf_put_json_str(out, p->adapter);
	buf_puts(out, ",\"program\":");
	buf_put_json_str(out, p->program);
	buf_puts(out, ",\"argv\":");
	put_strv(out, p->argv);
	buf_puts(out, ",\"cwd\":");
	buf_put_json_str(out, p->cwd);
	buf_puts(out, ",\"env\":");
	put_env(out, p);
	buf_puts(out, ",\"secret_env\":");
	put_strv(out, p->secret_env);
	buf_printf(out, ",\"close_stdin\":%s,\"input_bytes\":%zu", bool_name(p->close_stdin), p->input.len);
	buf_printf(out, ",\"lifecycle\":\"%s\",\"idle_timeout_us\":", p->persistent ? "persistent" : "oneshot");
	put_span(out, p->idle_us);
	buf_puts(out, ",\"timeout_stop_us\":");
	put_span(out, p->timeout_stop_us);
	buf_puts(out, ",\"result_grace_us\":");
	put_span(out, p->result_grace_us);
	buf_puts(out, ",\"success_exit_status\":");
	put_strv(out, p->success);
	buf_puts(out, ",\"timeout_start_us\":");
	put_span(out, p->may.start_us);
	buf_puts(out, ",\"runtime_max_us\":");
	put_span(out, p->may.runtime_us);
	buf_puts(out, ",\"watchdog_us\":");
	put_span(out, p->may.watchdog_us);
	buf_puts(out, ",\"tool_timeout_us\":");
	put_span(out, p->may.tool_us);
	buf_puts(out, ",\"restart\":");
	restart_policy_json(out, &p->restart);
	buf_puts(out, ",\"budget\":");
	budget_json(out, &p->budget);
	buf_puts(out, ",\"ask\":");
	ask_policy_json(out, &p->ask);
	/* The files may hold keys (MCP configuration): only that they are there is told. */
	buf_puts(out, ",\"files\":[");
	for (int i = 0; i < p->file_count; i++) {
		buf_puts(out, i > 0 ? ",{\"path\":" : "{\"path\":");
		buf_put_json_str(out, p->files[i].path);
		buf_printf(out, ",\"bytes\":%zu}", strlen(p->files[i].text));
	}
	buf_puts(out, "],\"sandbox\":");
	if (p->sandbox)
		sandbox_json(out, p->sandbox);
	else
		buf_puts(out, "null");
	buf_putc(out, '}');
}
