/* SPDX-License-Identifier: MIT */
/* The commands of aod-demo-agent that ask: whether a tool may be used, and which of several labels it is to be. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <string.h>

#include "demo/demo.h"

#define ASKS_MAX 1000

void
note_denial(const char *tool, const char *use_id)
{
	struct json_object *d = json_object_new_object();
	CLEANUP_FREE char *full = xasprintf("toolu_%s", use_id);

	json_object_object_add(d, "tool_name", json_object_new_string(tool));
	json_object_object_add(d, "tool_use_id", json_object_new_string(full));
	json_object_object_add(d, "tool_input", json_object_new_object());
	json_object_array_add(me.denials, d);
}

struct question {
	const char *tool;
	char use[ID_SIZE], id[ID_SIZE];
};

static void
put_question(struct question *q, const char *tool, const char *input)
{
	struct buf *m;

	q->tool = tool;
	tool_use(tool, input, q->use);
	id_new(q->id);
	m = msg_begin("control_request", NULL);
	put_member(m, "request_id", q->id);
	buf_puts(m, ",\"request\":{\"subtype\":\"can_use_tool\"");
	put_member(m, "tool_name", tool);
	buf_printf(m, ",\"input\":%s,\"permission_suggestions\":[],\"tool_use_id\":\"toolu_%s\"}", input, q->use);
	msg_end(m);
}

/* What an interrupt leaves of a question. */
static void
cancel_question(const struct question *q)
{
	struct buf *m = msg_begin("control_cancel_request", NULL);

	put_member(m, "request_id", q->id);
	msg_end(m);
	tool_result(q->use, "interrupted", 11, true);
}

static void
take_answer(const struct question *q)
{
	struct json_object *o = wait_answer(q->id), *response = get_object(get_object(o, "response"), "response");
	const char *how = get_text(response, "behavior"), *why = get_text(response, "message");
	struct json_object *answers = get_object(get_object(response, "updatedInput"), "answers");

	if (!o && me.interrupted) {
		cancel_question(q);
	} else if (how && strcmp(how, "allow") == 0) {
		tool_result(q->use, "ok", 2, false);
		say("%s: allow", q->tool);
		if (answers)
			say("%s", json_object_to_json_string_ext(answers, JSON_C_TO_STRING_PLAIN));
	} else {
		note_denial(q->tool, q->use);
		tool_result(q->use, why ? why : "no answer", strlen(why ? why : "no answer"), true);
		say("%s: %s: %s", q->tool, how ? how : "no answer", why ? why : "");
	}
	json_object_put(o);
}

/* All are asked before the first answer is waited for. */
void
do_asks(struct call *c)
{
	int64_t n = c->number[0] < ASKS_MAX ? c->number[0] : ASKS_MAX;
	struct question *q = xcalloc((size_t)n + 1, sizeof(*q));

	for (int64_t i = 0; i < n; i++)
		put_question(&q[i], c->word[0], "{}");
	for (int64_t i = 0; i < n; i++)
		take_answer(&q[i]);
	free(q);
}

void
ask_for(const char *tool, const char *input)
{
	struct question q;

	put_question(&q, tool, input);
	take_answer(&q);
}

void
do_ask(struct call *c)
{
	struct json_object *input = json_tokener_parse(*c->text ? c->text : "{}");

	if (!json_object_is_type(input, json_type_object)) {
		fail_with("ask: the input is no JSON object: %s", c->text);
	} else {
		ask_for(c->word[0], json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN));
	}
	json_object_put(input);
}

/* QUESTION | LABEL | LABEL …, without the blanks around them. */
void
do_choose(struct call *c)
{
	CLEANUP_FREE char *text = xstrdup(c->text);
	struct json_object *input = json_object_new_object(), *one = json_object_new_object(), *options = json_object_new_array(),
			   *list = json_object_new_array();
	int i = 0;

	for (char *save = NULL, *s = strtok_r(text, "|", &save); s; s = strtok_r(NULL, "|", &save), i++) {
		struct json_object *option = i ? json_object_new_object() : one;

		s += strspn(s, " ");
		for (size_t n = strlen(s); n > 0 && s[n - 1] == ' '; n--)
			s[n - 1] = '\0';
		json_object_object_add(option, i ? "label" : "question", json_object_new_string(s));
		if (i)
			json_object_array_add(options, option);
	}
	json_object_object_add(one, "header", json_object_new_string("Demo"));
	json_object_object_add(one, "multiSelect", json_object_new_boolean(false));
	json_object_object_add(one, "options", options);
	json_object_array_add(list, one);
	json_object_object_add(input, "questions", list);
	ask_for("AskUserQuestion", json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN));
	json_object_put(input);
}
