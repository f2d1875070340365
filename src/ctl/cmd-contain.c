/* SPDX-License-Identifier: MIT */
/* Commands on sessions by name that need no more than a call, and on what contains sessions: set-property, usage, slices. */
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

/* Of a tree: one that has ended is as it was. */
static void
say_states(struct ctl *c)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *list = js_get(o, "sessions");

	for (size_t i = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0; i-- > 0;) {
		struct json_object *s = json_object_array_get_idx(list, i);

		print_note("%s %s", js_str(s, "session_name"), js_str(s, "state"));
	}
	json_object_put(o);
}

static int
each_session(struct ctl *c, const char *tail, const char *done)
{
	bool tree = ctl_has(&c->args, OPT_TREE);
	struct err e = { 0 };
	int worst = 0;

	for (int i = 0; i < c->args.word_count; i++) {
		if (ctl_session_call(c, "POST", c->args.words[i], tail, tree ? "{\"tree\":true}" : "{}", &e) < 0)
			worst = ctl_fail(c->args.words[i], &e);
		else if (ctl_json(c))
			print_json(c->reply.data, c->reply.len);
		else if (tree)
			say_states(c);
		else
			print_note("%s %s", c->args.words[i], done);
	}
	return worst;
}

int
cmd_freeze(struct ctl *c)
{
	return each_session(c, "/freeze", "frozen");
}

int
cmd_thaw(struct ctl *c)
{
	return each_session(c, "/thaw", "thawed");
}

int
cmd_restart(struct ctl *c)
{
	return each_session(c, "/restart", "is started again");
}

int
cmd_reset_failed(struct ctl *c)
{
	struct json_object *o;
	struct err e = { 0 };

	if (c->args.word_count)
		return each_session(c, "/reset-failed", "reset");
	if (client_call(c->client, "POST", "/sessions/reset-failed", "{}", 0, CLIENT_REPLY_MAX, &c->reply, &e) < 0)
		return ctl_fail(NULL, &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
		return 0;
	}
	o = js_parse(c->reply.data, c->reply.len);
	print_note("%" PRId64 " sessions reset", js_int(o, "reset", 0));
	json_object_put(o);
	return 0;
}

int
cmd_set_property(struct ctl *c)
{
	struct buf body = BUF_INIT;
	struct err e = { 0 };
	int rc;

	buf_puts(&body, "{\"properties\":[");
	for (int i = 1; i < c->args.word_count; i++) {
		if (i > 1)
			buf_putc(&body, ',');
		buf_put_json_str(&body, c->args.words[i]);
	}
	buf_puts(&body, "]}");
	rc = ctl_session_call(c, "POST", c->args.words[0], "/properties", body.data, &e);
	buf_free(&body);
	if (rc < 0)
		return ctl_fail(c->args.words[0], &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		print_note("%s changed until its run ends", c->args.words[0]);
	return 0;
}

/* ---- usage ----------------------------------------------------------------------------------------------- */

static void
put_bytes(struct buf *out, struct json_object *u, const char *key)
{
	static const char units[] = "KMGTP";
	int64_t v = js_int(u, key, -1);
	double n = (double)v / 1024;
	int i = 0;

	if (v < 0) {
		buf_putc(out, '-');
		return;
	}
	if (v < 1024) {
		buf_printf(out, "%" PRId64 "B", v);
		return;
	}
	for (; n >= 1024 && units[i + 1]; i++)
		n /= 1024;
	buf_printf(out, n < 10 ? "%.1f%c" : "%.0f%c", n, units[i]);
}

static void
put_count(struct buf *out, struct json_object *u, const char *key)
{
	int64_t v = js_int(u, key, -1);

	if (v < 0)
		buf_putc(out, '-');
	else
		buf_put_int(out, v);
}

static void
put_usage_row(struct table *t, struct json_object *o)
{
	static const char *const sizes[] = { "memory_bytes", "memory_peak_bytes", "io_read_bytes", "io_write_bytes" };
	struct json_object *u = js_get(o, "usage");
	struct buf size[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT }, cpu = BUF_INIT, tasks = BUF_INIT, pressure = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		put_bytes(&size[i], u, sizes[i]);
	if (js_int(u, "cpu_us", -1) >= 0)
		put_span(&cpu, js_int(u, "cpu_us", 0));
	else
		buf_putc(&cpu, '-');
	put_count(&tasks, u, "tasks");
	if (js_get(u, "memory_pressure"))
		buf_printf(&pressure, "%.1f%%", js_double(u, "memory_pressure"));
	else
		buf_putc(&pressure, '-');
	table_row(t,
		  (const char *[]){ js_str(o, "session_name"), js_str(o, "slice"), size[0].data, size[1].data, cpu.data, tasks.data, size[2].data,
				    size[3].data, pressure.data },
		  -1, COL_NONE);
	for (size_t i = 0; i < ARRAY_LEN(size); i++)
		buf_free(&size[i]);
	buf_free(&cpu);
	buf_free(&tasks);
	buf_free(&pressure);
}

/* The names of the live sessions that aod runs itself; a strv, or NULL. */
static int
live_names(struct ctl *c, char ***names, struct err *e)
{
	struct json_object *o, *list;
	int rc = client_call(c->client, "GET", "/sessions?state=live", NULL, 0, CLIENT_REPLY_MAX, &c->reply, e);

	if (rc < 0)
		return rc;
	o = js_parse(c->reply.data, c->reply.len);
	list = js_get(o, "sessions");
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *s = json_object_array_get_idx(list, i);

		if (!js_bool(s, "passive") && js_str(s, "session_id"))
			*names = strv_add(*names, js_str(s, "session_id"));
	}
	json_object_put(o);
	return 0;
}

/* What all of them use, into an array. Of those that nobody asked for one may have ended meanwhile, which is no failure. */
static int
read_usage(struct ctl *c, char *const *names, bool asked, struct json_object *all)
{
	struct err e = { 0 };
	int worst = 0;

	for (; names && *names; names++) {
		if (ctl_session_call(c, "GET", *names, "/usage", NULL, &e) < 0) {
			if (asked || (e.status != 409 && e.status != 404))
				worst = ctl_fail(*names, &e);
			continue;
		}
		json_object_array_add(all, js_parse(c->reply.data, c->reply.len));
	}
	return worst;
}

static void
print_usage(struct json_object *all)
{
	static const char *const heads[] = { "NAME", "SLICE", "MEMORY", "PEAK", "CPU", "TASKS", "READ", "WRITTEN", "PRESSURE" };
	struct table *t = table_new(heads, ARRAY_LEN(heads));

	for (size_t i = 0; i < json_object_array_length(all); i++)
		put_usage_row(t, json_object_array_get_idx(all, i));
	table_print_free(t);
}

int
cmd_usage(struct ctl *c)
{
	struct json_object *all = json_object_new_array();
	char **names = NULL;
	struct err e = { 0 };
	bool asked = c->args.word_count > 0;
	int worst = 0;

	for (int i = 0; i < c->args.word_count; i++)
		names = strv_add(names, c->args.words[i]);
	if (!asked && live_names(c, &names, &e) < 0)
		worst = ctl_fail(NULL, &e);
	if (worst == 0)
		worst = read_usage(c, names, asked, all);
	if (ctl_json(c)) {
		const char *text = json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

		print_json(text, strlen(text));
	} else if (json_object_array_length(all)) {
		print_usage(all);
	} else if (worst == 0) {
		print_note("no live sessions");
	}
	json_object_put(all);
	strv_free(names);
	return worst;
}

/* ---- slices ---------------------------------------------------------------------------------------------- */

static void
put_slice_row(struct table *t, struct json_object *s)
{
	struct json_object *limits = js_get(s, "limits");
	struct buf text = BUF_INIT, count = BUF_INIT;
	const char *error = js_str(s, "error");
	struct json_object_iter it;

	if (json_object_is_type(limits, json_type_object)) {
		json_object_object_foreachC(limits, it)
			buf_printf(&text, "%s%s=%s", text.len ? " " : "", it.key, json_object_get_string(it.val));
	}
	buf_put_int(&count, js_int(s, "sessions", 0));
	table_row(t, (const char *[]){ js_str(s, "name"), count.data, error ? error : text.data, js_str(s, "description") }, error ? 2 : -1,
		  error ? COL_RED : COL_NONE);
	buf_free(&text);
	buf_free(&count);
}

int
cmd_slices(struct ctl *c)
{
	static const char *const heads[] = { "NAME", "SESSIONS", "LIMITS", "DESCRIPTION" };
	static const struct ctl_table table = { "slices", heads, ARRAY_LEN(heads), put_slice_row };

	return ctl_get_table(c, NULL, ctl_verb(CMD_SLICES)->path, &table);
}
