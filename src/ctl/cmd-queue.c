/* SPDX-License-Identifier: MIT */
/* queue: who waits to be started, and what of the limits is used. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"

static void
put_waiting_row(struct table *t, struct json_object *o)
{
	struct buf position = BUF_INIT, priority = BUF_INIT, since = BUF_INIT;
	const char *queued = js_str(o, "queued_at");
	int64_t us;

	buf_put_int(&position, js_int(o, "position", 0));
	buf_put_int(&priority, js_int(o, "priority", 0));
	if (queued && time_parse_iso(queued, &us))
		put_span(&since, now_us() - us);
	table_row(t,
		  (const char *[]){ position.data, js_str(o, "session_name"), js_str(o, "blueprint"), js_str(o, "slice"), priority.data, since.data,
				    js_str(o, "reason") },
		  -1, COL_NONE);
	buf_free(&position);
	buf_free(&priority);
	buf_free(&since);
}

/* Only what is limited; the rest is nobody's concern here. */
static void
print_limits(const char *text, size_t n)
{
	struct json_object *o = js_parse(text, n), *limits = js_get(o, "limits");

	for (size_t i = 0; json_object_is_type(limits, json_type_array) && i < json_object_array_length(limits); i++) {
		struct json_object *l = json_object_array_get_idx(limits, i);
		int64_t limit = js_int(l, "limit", 0);
		struct buf line = BUF_INIT;

		if (limit <= 0)
			continue;
		buf_printf(&line, "%s: %" PRId64 " of %" PRId64 "\n", js_str(l, "name"), js_int(l, "used", 0), limit);
		print_text(stdout, line.data, line.len);
		buf_free(&line);
	}
	json_object_put(o);
}

int
cmd_queue(struct ctl *c)
{
	static const char *const heads[] = { "POSITION", "SESSION", "BLUEPRINT", "SLICE", "PRIORITY", "WAITS", "FOR" };
	static const struct ctl_table table = { "queue", heads, ARRAY_LEN(heads), put_waiting_row };
	struct err e = { 0 };
	int64_t limit;
	int code;

	if (ctl_int(&c->args, OPT_LINES, 1, 100000, 1000, &limit, &e) < 0)
		return ctl_usage(&e);
	CLEANUP_FREE char *path = xasprintf("%s?limit=%" PRId64, ctl_verb(CMD_QUEUE)->path, limit);

	code = ctl_get_table(c, NULL, path, &table);
	if (code == 0 && !ctl_json(c))
		print_limits(c->reply.data, c->reply.len);
	return code;
}
