/* SPDX-License-Identifier: MIT */
/* Commands on what sessions are asked: prompts, interrupt. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/stream.h"

int
cmd_interrupt(struct ctl *c)
{
	CLEANUP_FREE char *body = xasprintf("{\"clear\":%s,\"tree\":%s}", ctl_has(&c->args, OPT_CLEAR) ? "true" : "false",
					    ctl_has(&c->args, OPT_TREE) ? "true" : "false");
	struct err e = { 0 };
	int worst = 0;

	for (int i = 0; i < c->args.word_count; i++) {
		if (ctl_session_call(c, "POST", c->args.words[i], "/interrupt", body, &e) < 0)
			worst = ctl_fail(c->args.words[i], &e);
		else if (ctl_json(c))
			print_json(c->reply.data, c->reply.len);
		else
			print_note("%s: its turn is being ended", c->args.words[i]);
	}
	return worst;
}

static void
put_prompt_row(struct table *t, struct json_object *o)
{
	const char *state = js_str(o, "state"), *made = js_str(o, "created_at"), *text = js_str(o, "prompt");
	struct buf id = BUF_INIT, run = BUF_INIT, age = BUF_INIT, line = BUF_INIT;
	int64_t us;

	buf_put_int(&id, js_int(o, "id", 0));
	if (js_int(o, "run", 0))
		buf_put_int(&run, js_int(o, "run", 0));
	else
		buf_putc(&run, '-');
	if (made && time_parse_iso(made, &us))
		put_age(&age, now_us() - us);
	else
		buf_putc(&age, '-');
	put_cut(&line, &look_out, text ? text : "", text ? strlen(text) : 0, look_out.width);
	table_row(t, (const char *[]){ id.data, state, js_str(o, "source"), js_str(o, "author"), run.data, age.data, line.data ? line.data : "" }, 1,
		  colour_state(state, NULL));
	buf_free(&id);
	buf_free(&run);
	buf_free(&age);
	buf_free(&line);
}

static int
cancel(struct ctl *c, const char *name)
{
	bool all = !strcmp(c->args.value[OPT_CANCEL], "all");
	struct buf tail = BUF_INIT;
	struct err e = { 0 };
	int64_t id = 0;
	int r;

	if (!all && ctl_int(&c->args, OPT_CANCEL, 1, INT64_MAX, 0, &id, &e) < 0)
		return ctl_usage(&e);
	buf_puts(&tail, "/prompts");
	if (!all)
		buf_printf(&tail, "/%" PRId64, id);
	r = ctl_session_call(c, "DELETE", name, tail.data, NULL, &e);
	buf_free(&tail);
	if (r < 0)
		return ctl_fail(name, &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else if (all)
		print_note("%s: no prompt waits any more", name);
	else
		print_note("%s: prompt %" PRId64 " cancelled", name, id);
	return 0;
}

int
cmd_prompts(struct ctl *c)
{
	static const char *const heads[] = { "ID", "STATE", "SOURCE", "AUTHOR", "RUN", "AGE", "PROMPT" };
	static const struct ctl_table table = { "prompts", heads, ARRAY_LEN(heads), put_prompt_row };

	if (ctl_has(&c->args, OPT_CANCEL))
		return cancel(c, c->args.words[0]);
	CLEANUP_FREE char *path = session_path(c->args.words[0], "/prompts");

	return ctl_get_table(c, c->args.words[0], path, &table);
}
