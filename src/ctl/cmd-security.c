/* SPDX-License-Identifier: MIT */
/* aoctl security: what a blueprint leaves to its agent, as a score and the lines that it is made of. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "ctl/cmd-blueprint.h"
#include "ctl/output.h"

#define THRESHOLD_MAX 100 /* ten times the greatest exposure */

static enum colour
colour_exposure(double x)
{
	return x >= 7.5 ? COL_RED : x >= 5 ? COL_YELLOW : COL_GREEN;
}

/* The reply on name, which is that of a blueprint, else of a session. */
static int
ask(struct ctl *c, const char *name, struct err *e)
{
	struct err second = { 0 };

	if (ctl_blueprint_call(c, "GET", name, "/security", NULL, e) == 0)
		return 0;
	if (e->status != 404 && e->status != 400)
		return ctl_blueprint_fail(c, name, e);
	if (ctl_session_call(c, "GET", name, "/security", NULL, &second) == 0)
		return 0;
	if (second.status == 404) {
		print_error("%s: there is neither a blueprint nor a session of that name", name);
		return 1;
	}
	return ctl_fail(name, &second);
}

static void
print_lines(struct json_object *lines)
{
	static const char *const heads[] = { "", "KEY", "EXPOSURE", "MEANING", "MEND" };
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	size_t n = json_object_is_type(lines, json_type_array) ? json_object_array_length(lines) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(lines, i);
		bool good = js_bool(o, "good");
		CLEANUP_FREE char *exposure = good ? xstrdup("") : xasprintf("%.2f", js_double(o, "exposure"));
		const char *mark = look_out.utf8 ? (good ? "\xe2\x9c\x94" : "\xe2\x9c\x98") : good ? "+" : "-";

		table_row(t, (const char *[]){ mark, js_str(o, "key"), exposure, js_str(o, "text"), js_str(o, "mend") }, 0,
			  good ? COL_GREEN : COL_RED);
	}
	table_print_free(t);
}

static int
show_one(struct ctl *c, int64_t threshold)
{
	const char *name = c->args.words[0], *session;
	struct json_object *o = NULL;
	struct err e = { 0 };
	double exposure;
	int r = ask(c, name, &e);

	if (r)
		return r;
	if (ctl_reply(c, &o, &e) < 0)
		return ctl_fail(name, &e);
	exposure = js_double(o, "exposure");
	session = js_str(o, "session");
	if (ctl_json(c)) {
		print_json(c->reply.data, c->reply.len);
	} else {
		print_lines(js_get(o, "lines"));
		printf("\nExposure of %s%s%s: %s%.1f %s%s\n", js_str(o, "name"), session ? ", the blueprint of session " : "", session ? session : "",
		       colour_on(&look_out, colour_exposure(exposure)), exposure, js_str(o, "grade"), colour_on(&look_out, COL_NONE));
	}
	json_object_put(o);
	return exposure * 10 > (double)threshold + 1e-6;
}

/* Whether one of them is over the threshold. */
static bool
any_over(struct json_object *list, int64_t threshold)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++)
		if (js_double(json_object_array_get_idx(list, i), "exposure") * 10 > (double)threshold + 1e-6)
			return true;
	return false;
}

static void
print_all(struct json_object *list)
{
	static const char *const heads[] = { "NAME", "EXPOSURE", "GRADE", "PROFILE" };
	struct table *t = table_new(heads, ARRAY_LEN(heads));

	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		double exposure = js_double(one, "exposure");
		const char *error = js_str(one, "error");
		CLEANUP_FREE char *text = error ? xstrdup("-") : xasprintf("%.1f", exposure);

		table_row(t, (const char *[]){ js_str(one, "name"), text, error ? "bad" : js_str(one, "grade"), error ? error : js_str(one, "profile") }, 2,
			  error ? COL_RED : colour_exposure(exposure));
	}
	table_print_free(t);
}

static int
show_all(struct ctl *c, int64_t threshold)
{
	struct json_object *o = NULL;
	struct err e = { 0 };
	bool over;

	if (client_call(c->client, "GET", "/security", NULL, 0, CLIENT_REPLY_MAX, &c->reply, &e) < 0 || ctl_reply(c, &o, &e) < 0)
		return ctl_fail(NULL, &e);
	over = any_over(js_get(o, "blueprints"), threshold);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		print_all(js_get(o, "blueprints"));
	json_object_put(o);
	return over;
}

int
cmd_security(struct ctl *c)
{
	int64_t threshold;
	struct err e = { 0 };

	if (ctl_int(&c->args, OPT_THRESHOLD, 0, THRESHOLD_MAX, THRESHOLD_MAX, &threshold, &e) < 0)
		return ctl_usage(&e);
	return c->args.word_count ? show_one(c, threshold) : show_all(c, threshold);
}
