/* SPDX-License-Identifier: MIT */
/* aoctl doctor: what of the host agents and their sandboxes need, checked by aod. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"

static const struct mark {
	const char *status, *utf8, *plain;
	enum colour colour;
} marks[] = {
	{ "ok", "\xe2\x9c\x94", "ok  ", COL_GREEN },
	{ "warn", "\xe2\x9a\xa0", "warn", COL_YELLOW },
	{ "fail", "\xe2\x9c\x98", "FAIL", COL_RED },
	{ NULL, "?", "?   ", COL_NONE },
};

static void
put_check(struct buf *out, struct json_object *check, int width)
{
	const char *status = js_str(check, "status"), *name = js_str(check, "name"), *detail = js_str(check, "detail");
	const char *mend = js_str(check, "mend");
	const struct mark *m = marks;
	int indent = (look_out.utf8 ? 2 : 5) + width + 2;

	while (m->status && (!status || strcmp(m->status, status) != 0))
		m++;
	buf_printf(out, "%s%s%s ", colour_on(&look_out, m->colour), look_out.utf8 ? m->utf8 : m->plain,
		   colour_on(&look_out, COL_NONE));
	buf_printf(out, "%-*s  ", width, name ? name : "?");
	put_indented(out, &look_out, detail ? detail : "", detail ? strlen(detail) : 0, indent);
	buf_putc(out, '\n');
	if (mend && *mend && (!status || strcmp(status, "ok") != 0)) {
		buf_printf(out, "%*s%s ", indent, "", look_out.utf8 ? "\xe2\x86\x92" : "->");
		put_indented(out, &look_out, mend, strlen(mend), indent + 2);
		buf_putc(out, '\n');
	}
}

int
cmd_doctor(struct ctl *c)
{
	const struct verb *v = ctl_verb(CMD_DOCTOR);
	struct json_object *o, *checks;
	struct buf out = BUF_INIT;
	struct err e = { 0 };
	int width = 0, code = 0;
	size_t i, n;

	if (client_call(c->client, v->method, v->path, NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e) < 0)
		return ctl_fail(NULL, &e);
	o = js_parse(c->reply.data, c->reply.len);
	checks = js_get(o, "checks");
	n = json_object_is_type(checks, json_type_array) ? json_object_array_length(checks) : 0;
	for (i = 0; i < n; i++) {
		const char *name = js_str(json_object_array_get_idx(checks, i), "name");
		const char *status = js_str(json_object_array_get_idx(checks, i), "status");

		if (name && (int)strlen(name) > width)
			width = (int)strlen(name);
		if (status && !strcmp(status, "fail"))
			code = 1;
	}
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else if (!n) {
		err_set(&e, -EPROTO, "the server's answer has no checks in it");
		code = ctl_fail(NULL, &e);
	} else {
		for (i = 0; i < n; i++)
			put_check(&out, json_object_array_get_idx(checks, i), width);
		fwrite(out.data, 1, out.len, stdout);
	}
	json_object_put(o);
	buf_free(&out);
	return code;
}
