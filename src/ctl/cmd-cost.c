/* SPDX-License-Identifier: MIT */
/* cost: what sessions used, by day and blueprint. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <json-c/json.h>
#include <string.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/output.h"

static void
put_usage_row(struct table *t, struct json_object *o)
{
	struct buf turns = BUF_INIT, in = BUF_INIT, out = BUF_INIT, cost = BUF_INIT;
	const char *day = js_str(o, "day"), *blueprint = js_str(o, "blueprint");

	buf_put_int(&turns, js_int(o, "turns", 0));
	buf_put_int(&in, js_int(o, "input_tokens", 0));
	buf_put_int(&out, js_int(o, "output_tokens", 0));
	put_cost(&cost, js_double(o, "cost_usd"));
	table_row(t, (const char *[]){ day, blueprint, turns.data, in.data, out.data, cost.data }, -1, COL_NONE);
	buf_free(&turns);
	buf_free(&in);
	buf_free(&out);
	buf_free(&cost);
}

static void
put_sum(const struct buf *reply)
{
	struct json_object *o = js_parse(reply->data, reply->len), *sum = js_get(o, "sum");
	struct buf cost = BUF_INIT;

	put_cost(&cost, js_double(sum, "cost_usd"));
	print_note("in all: %lld turns, %lld tokens in, %lld out, %s", (long long)js_int(sum, "turns", 0), (long long)js_int(sum, "input_tokens", 0),
		   (long long)js_int(sum, "output_tokens", 0), cost.data);
	buf_free(&cost);
	json_object_put(o);
}

int
cmd_cost(struct ctl *c)
{
	static const char *const heads[] = { "DAY", "BLUEPRINT", "TURNS", "IN", "OUT", "COST" };
	static const struct ctl_table table = { "days", heads, ARRAY_LEN(heads), put_usage_row };
	struct buf query = BUF_INIT;
	int64_t days;
	struct err e = { 0 };
	int code;

	if (ctl_int(&c->args, OPT_DAYS, 1, 36500, 7, &days, &e) < 0)
		return ctl_usage(&e);
	ctl_put_query(&query, &c->args, ctl_verb(CMD_COST));
	if (c->args.word_count)
		ctl_put_param(&query, "blueprint", c->args.words[0]);
	CLEANUP_FREE char *path = xasprintf("/cost%s%s", query.len ? "?" : "", query.len ? query.data : "");

	buf_free(&query);
	code = ctl_get_table(c, NULL, path, &table);
	if (code == 0 && !ctl_json(c))
		put_sum(&c->reply);
	return code;
}
