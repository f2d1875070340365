/* SPDX-License-Identifier: MIT */
/* Commands that look at blueprints, switch them on and off, and go through their versions. See cmd-blueprint.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/cmd-blueprint.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "ctl/output.h"
#include "ctl/unit-text.h"
#include "model/blueprint.h"
#include "model/unit-edit.h"

/* ---- shared -------------------------------------------------------------------------------------------- */

int
ctl_blueprint_call(struct ctl *c, const char *method, const char *name, const char *tail, const char *body, struct err *e)
{
	struct buf path = BUF_INIT;
	int r;

	buf_puts(&path, "/agents/");
	ctl_put_escaped(&path, name);
	buf_puts(&path, tail);
	r = client_call(c->client, method, path.data, body, 0, CLIENT_REPLY_MAX, &c->reply, e);
	buf_free(&path);
	return r;
}

int
ctl_say_problems(struct ctl *c, int *warnings)
{
	struct json_object *o = js_parse(c->reply.data, c->reply.len), *list = js_get(o, "problems");
	struct buf out = BUF_INIT;
	int errors = problems_put(&out, &look_err, list, warnings);

	fflush(stdout);
	fwrite(out.data ? out.data : "", 1, out.len, stderr);
	json_object_put(o);
	buf_free(&out);
	return errors;
}

int
ctl_blueprint_fail(struct ctl *c, const char *name, const struct err *e)
{
	int errors = e->status == 422 ? ctl_say_problems(c, NULL) : 0;

	if (errors)
		print_error("%s: %d error%s", name, errors, errors == 1 ? "" : "s");
	else if (e->status == 404 && str_starts(e->text, "Agent not found") && !strchr(e->text, '('))
		print_error("%s (aoctl blueprints shows them)", e->text);
	else
		return ctl_fail(strstr(e->text, name) ? NULL : name, e);
	return 1;
}

int
ctl_reply(struct ctl *c, struct json_object **out, struct err *e)
{
	*out = js_parse(c->reply.data, c->reply.len);
	if (json_object_is_type(*out, json_type_object))
		return 0;
	json_object_put(*out);
	*out = NULL;
	return err_set(e, -EPROTO, "the server's answer is no JSON object");
}

/* A request on each of the words; `done` is what to say of each that went well. */
static int
each_blueprint(struct ctl *c, const char *method, const char *tail, const char *body, const char *done)
{
	struct err e = { 0 };
	int i, worst = 0;

	for (i = 0; i < c->args.word_count; i++) {
		const char *name = c->args.words[i];

		if (ctl_blueprint_call(c, method, name, tail, body, &e) < 0)
			worst = ctl_blueprint_fail(c, name, &e);
		else if (ctl_json(c) && c->reply.len)
			print_json(c->reply.data, c->reply.len);
		else
			print_note("%s %s", name, done);
	}
	return worst;
}

int
cmd_enable(struct ctl *c)
{
	return each_blueprint(c, "PATCH", "/status", "{\"status\":\"active\"}", "enabled");
}

int
cmd_disable(struct ctl *c)
{
	return each_blueprint(c, "PATCH", "/status", "{\"status\":\"inactive\"}", "disabled");
}

int
cmd_mask(struct ctl *c)
{
	return each_blueprint(c, "POST", "/mask", "{\"masked\":true}", "masked");
}

int
cmd_unmask(struct ctl *c)
{
	return each_blueprint(c, "POST", "/mask", "{\"masked\":false}", "unmasked");
}

int
cmd_delete_blueprint(struct ctl *c)
{
	return each_blueprint(c, "DELETE", "", NULL, "deleted");
}

/* ---- blueprints ---------------------------------------------------------------------------------------- */

static enum colour
colour_status(const char *status)
{
	if (!status || !strcmp(status, "active"))
		return COL_NONE;
	return !strcmp(status, "bad") ? COL_RED : !strcmp(status, "masked") ? COL_YELLOW : COL_DIM;
}

static void
put_blueprint_row(struct table *t, struct json_object *o)
{
	const char *status = js_str(o, "status"), *of = js_str(o, "alias_of"), *text = js_str(o, "description");
	CLEANUP_FREE char *alias = of ? xasprintf("the same as %s", of) : NULL;
	struct buf version = BUF_INIT, description = BUF_INIT;
	int64_t n = js_int(o, "version", 0);

	if (n)
		buf_put_int(&version, n);
	else
		buf_putc(&version, '-');
	text = alias ? alias : text;
	if (text)
		put_cut(&description, &look_out, text, strlen(text), 0);
	table_row(t, (const char *[]){ js_str(o, "name"), status, version.data, description.data }, 1, colour_status(status));
	buf_free(&version);
	buf_free(&description);
}

int
cmd_blueprints(struct ctl *c)
{
	static const char *const heads[] = { "NAME", "STATUS", "VERSION", "DESCRIPTION" };
	static const struct ctl_table table = { "blueprints", heads, ARRAY_LEN(heads), put_blueprint_row };

	return ctl_get_table(c, NULL, "/agents?all=1", &table);
}

/* ---- cat ----------------------------------------------------------------------------------------------- */

/* Headings stand out on a terminal. */
static void
print_files(const char *text, size_t n)
{
	const char *p = text, *end = text + n;
	struct buf out = BUF_INIT;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
		enum colour col = len && (*p == '#' || *p == ';') ? len > 3 && !memcmp(p, "# /", 3) ? COL_BLUE : COL_DIM : COL_NONE;

		if (col != COL_NONE)
			buf_puts(&out, colour_on(&look_out, col));
		put_safe(&out, &look_out, p, len);
		if (col != COL_NONE)
			buf_puts(&out, colour_on(&look_out, COL_NONE));
		buf_putc(&out, '\n');
		p += len + 1;
	}
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
	buf_free(&out);
}

int
cmd_cat(struct ctl *c)
{
	struct err e = { 0 };
	int i, worst = 0;
	bool any = false;
	int64_t at;

	if (ctl_int(&c->args, OPT_AT, 1, INT64_MAX, 0, &at, &e) < 0)
		return ctl_usage(&e);
	CLEANUP_FREE char *tail = at ? xasprintf("?format=unit&version=%" PRId64, at) : xstrdup("?format=unit");

	for (i = 0; i < c->args.word_count; i++) {
		const char *name = c->args.words[i];

		if (ctl_blueprint_call(c, "GET", name, tail, NULL, &e) < 0) {
			worst = ctl_blueprint_fail(c, name, &e);
		} else if (ctl_json(c)) {
			struct buf out = BUF_INIT;

			ctl_put_member_text(&out, "name", name);
			buf_puts(&out, ",\"text\":");
			buf_put_json(&out, c->reply.data ? c->reply.data : "", c->reply.len);
			printf("{%s}\n", out.data);
			buf_free(&out);
		} else {
			if (any)
				putchar('\n');
			any = true;
			print_files(c->reply.data ? c->reply.data : "", c->reply.len);
		}
	}
	return worst;
}

/* ---- show ---------------------------------------------------------------------------------------------- */

/* A value as it could stand in a file: yes and no for booleans; of lines one for each. */
static void
put_value(struct buf *out, const char *key, struct json_object *v)
{
	int id = directive_find(NULL, key);
	struct buf words = BUF_INIT;
	size_t i, n;

	if (!json_object_is_type(v, json_type_array)) {
		ctl_put_property(out, key, !v ? "" : json_object_is_type(v, json_type_boolean) ?
				 (json_object_get_boolean(v) ? "yes" : "no") : json_object_get_string(v));
		return;
	}
	n = json_object_array_length(v);
	for (i = 0; i < n; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(v, i));

		word = word ? word : "";
		if (id >= 0 && directive_is_lines(&blueprint_directives[id])) {
			ctl_put_property(out, key, word);
			continue;
		}
		if (i)
			buf_putc(&words, ' ');
		unit_quote_word(&words, word);
	}
	if (words.len || !n)
		ctl_put_property(out, key, words.len ? words.data : "");
	buf_free(&words);
}

/* What aod says of the blueprint beside its settings, under names in the manner of the settings. */
static const struct fact {
	const char *key, *member;
} facts[] = {
	{ "Name", "name" },	  { "AliasOf", "alias_of" },	{ "Path", "path" },		{ "Status", "status" },
	{ "Version", "version" }, { "CreatedAt", "created_at" }, { "ModifiedAt", "modified_at" }, { "Problems", "problems" },
};

static bool
wanted(const struct ctl *c, const char *key)
{
	return !c->args.value[OPT_PROPERTY] || ctl_in_list(c->args.value[OPT_PROPERTY], key);
}

static void
put_fact(struct buf *out, struct json_object *o, const struct fact *f)
{
	struct json_object *v = js_get(o, f->member);
	CLEANUP_FREE char *count = NULL;

	/* Of a list its length says enough. */
	if (json_object_is_type(v, json_type_array))
		count = xasprintf("%zu", json_object_array_length(v));
	if (v)
		ctl_put_property(out, f->key, count ? count : json_object_get_string(v));
}

/* Names in -p that nobody knows: most likely they are mistyped. */
static int
check_properties(const char *only, struct err *e)
{
	const char *p = only;
	size_t i;

	while (p && *p) {
		CLEANUP_FREE char *key = xstrndup(p, strcspn(p, ","));
		bool known = !*key || directive_find(NULL, key) >= 0;

		for (i = 0; !known && i < ARRAY_LEN(facts); i++)
			known = !strcmp(facts[i].key, key);
		if (!known) {
			const char *near = directive_nearest(key);

			return err_set(e, -EINVAL, "option --property: there is no key %s%s%s%s", key, near ? "; did you mean " : "",
				       near ? near : "", near ? "?" : "");
		}
		p += strcspn(p, ",");
		p += *p == ',';
	}
	return 0;
}

static void
put_settings(struct buf *out, struct ctl *c, struct json_object *settings)
{
	const struct directive *d;

	for (d = blueprint_directives; d->key; d++) {
		struct json_object *section = js_get(settings, d->section), *v;
		bool there = json_object_is_type(section, json_type_object) && json_object_object_get_ex(section, d->key, &v);

		/* What is unset is shown only where it is asked for by name. */
		if (wanted(c, d->key) && (there || c->args.value[OPT_PROPERTY]))
			put_value(out, d->key, there ? v : NULL);
	}
}

int
cmd_show_blueprint(struct ctl *c)
{
	const char *name = c->args.words[0];
	struct json_object *o = NULL;
	struct buf out = BUF_INIT;
	struct err e = { 0 };
	size_t i;
	int r;

	if (check_properties(c->args.value[OPT_PROPERTY], &e) < 0)
		return ctl_usage(&e);
	r = ctl_blueprint_call(c, "GET", name, "", NULL, &e);
	if (r == 0)
		r = ctl_reply(c, &o, &e);
	if (r < 0)
		return ctl_blueprint_fail(c, name, &e);
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else {
		for (i = 0; i < ARRAY_LEN(facts); i++)
			if (wanted(c, facts[i].key))
				put_fact(&out, o, &facts[i]);
		put_settings(&out, c, js_get(o, "settings"));
		fwrite(out.data ? out.data : "", 1, out.len, stdout);
		/* Why it cannot be started, if so. */
		if (!c->args.value[OPT_PROPERTY])
			ctl_say_problems(c, NULL);
	}
	json_object_put(o);
	buf_free(&out);
	return 0;
}

/* ---- history, diff, revert ----------------------------------------------------------------------------- */

static void
put_version_row(struct table *t, struct json_object *v)
{
	const char *time = js_str(v, "time");
	struct buf n = BUF_INIT;
	char when[64] = "-";
	struct tm tm;
	int64_t us;
	time_t s;

	buf_put_int(&n, js_int(v, "version", 0));
	if (time && time_parse_iso(time, &us)) {
		s = (time_t)(us / 1000000);
		localtime_r(&s, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	}
	table_row(t, (const char *[]){ n.data, when, js_str(v, "author"), js_str(v, "action") }, -1, COL_NONE);
	buf_free(&n);
}

int
cmd_history(struct ctl *c)
{
	static const char *const heads[] = { "VERSION", "TIME", "AUTHOR", "ACTION" };
	static const struct ctl_table table = { "versions", heads, ARRAY_LEN(heads), put_version_row };
	const char *name = c->args.words[0];
	struct err e = { 0 };
	int64_t limit;

	if (ctl_int(&c->args, OPT_LINES, 1, 1000, 1000, &limit, &e) < 0)
		return ctl_usage(&e);
	CLEANUP_FREE char *tail = xasprintf("/history?limit=%" PRId64, limit);

	if (ctl_blueprint_call(c, "GET", name, tail, NULL, &e) < 0)
		return ctl_blueprint_fail(c, name, &e);
	return ctl_print_table(c, &table);
}

static int
version_word(const struct ctl *c, int i, int64_t *out, struct err *e)
{
	*out = 0;
	if (i >= c->args.word_count || parse_i64(c->args.words[i], 1, INT64_MAX, out))
		return 0;
	return err_set(e, -EINVAL, "\"%s\" is no version; aoctl history %s lists them", c->args.words[i], c->args.words[0]);
}

int
cmd_diff(struct ctl *c)
{
	const char *name = c->args.words[0], *text;
	struct buf query = BUF_INIT, out = BUF_INIT;
	struct json_object *o = NULL;
	struct err e = { 0 };
	int64_t from, to;
	int r;

	if (version_word(c, 1, &from, &e) < 0 || version_word(c, 2, &to, &e) < 0)
		return ctl_usage(&e);
	if (from)
		ctl_put_param_int(&query, "from", from);
	if (to)
		ctl_put_param_int(&query, "to", to);
	CLEANUP_FREE char *tail = xasprintf("/diff%s%s", query.len ? "?" : "", query.len ? query.data : "");

	buf_free(&query);
	r = ctl_blueprint_call(c, "GET", name, tail, NULL, &e);
	if (r == 0)
		r = ctl_reply(c, &o, &e);
	if (r < 0)
		return ctl_blueprint_fail(c, name, &e);
	text = js_str(o, "diff");
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else if (text && *text) {
		diff_put(&out, &look_out, text, strlen(text));
		fwrite(out.data, 1, out.len, stdout);
	} else {
		print_note("%s: no difference", name);
	}
	json_object_put(o);
	buf_free(&out);
	return 0;
}

int
cmd_revert(struct ctl *c)
{
	const char *name = c->args.words[0];
	struct json_object *o = NULL;
	struct err e = { 0 };
	int64_t version;
	int r;

	if (version_word(c, 1, &version, &e) < 0)
		return ctl_usage(&e);
	CLEANUP_FREE char *body = xasprintf("{\"version\":%" PRId64 "}", version);

	r = ctl_blueprint_call(c, "POST", name, "/revert", body, &e);
	if (r == 0)
		r = ctl_reply(c, &o, &e);
	if (r < 0)
		return ctl_blueprint_fail(c, name, &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		print_note("%s is as it was in version %" PRId64, name, version);
	json_object_put(o);
	return 0;
}
