/* SPDX-License-Identifier: MIT */
/* questions, answer. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/util.h"
#include "ctl/command.h"
#include "ctl/event-line.h"
#include "ctl/output.h"

#define ID_SHOWN 8 /* bytes of an id that tell it from others, and that answer takes */

static void
put_left(struct buf *out, const char *iso)
{
	int64_t us, now = now_us();

	if (iso && time_parse_iso(iso, &us))
		put_span(out, us > now ? us - now : 0);
	else
		buf_putc(out, '-');
}

static void
put_question_row(struct table *t, struct json_object *o)
{
	const char *id = js_str(o, "question_id"), *asked = js_str(o, "asked_at");
	struct buf what = BUF_INIT, ago = BUF_INIT, left = BUF_INIT;
	CLEANUP_FREE char *shown = xasprintf("%.*s", ID_SHOWN, id ? id : "");
	int64_t us;

	question_text(&what, js_get(o, "about"));
	if (asked && time_parse_iso(asked, &us))
		put_span(&ago, now_us() - us);
	put_left(&left, js_str(o, "until"));
	table_row(t, (const char *[]){ js_str(o, "session_name"), shown, ago.len ? ago.data : "-", left.data, what.len ? what.data : "" }, -1, COL_NONE);
	buf_free(&what);
	buf_free(&ago);
	buf_free(&left);
}

int
cmd_questions(struct ctl *c)
{
	static const char *const heads[] = { "SESSION", "QUESTION", "ASKED", "LEFT", "WHAT" };
	static const struct ctl_table table = { "questions", heads, ARRAY_LEN(heads), put_question_row };
	struct err e = { 0 };

	if (c->args.word_count == 0)
		return ctl_get_table(c, NULL, ctl_verb(CMD_QUESTIONS)->path, &table);
	if (ctl_session_call(c, "GET", c->args.words[0], "/questions", NULL, &e) < 0)
		return ctl_fail(c->args.words[0], &e);
	return ctl_print_table(c, &table);
}

/* ---- answer ----------------------------------------------------------------------------------------------- */

/* The open choice that id, or the beginning of it, means; without one the only choice there is. NULL: there is none, or no telling which. */
static struct json_object *
find_choice(struct json_object *list, const char *id)
{
	struct json_object *found = NULL;
	int meant = 0;

	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *its = js_str(o, "question_id"), *kind = js_str(o, "kind");

		if (!its || !kind || strcmp(kind, "choice") || (id && strncmp(its, id, strlen(id))))
			continue;
		found = o;
		meant++;
	}
	return meant == 1 ? found : NULL;
}

/* "answers":{question: label} in the order of the questions. */
static int
put_labels(struct buf *body, struct json_object *choice, const char *const *labels, int count, struct err *e)
{
	struct json_object *questions = js_get(js_get(choice, "about"), "questions");
	int n = json_object_is_type(questions, json_type_array) ? (int)json_object_array_length(questions) : 0;

	if (count != n)
		return err_set(e, -EINVAL, "it asks %d questions: give as many labels, not %d", n, count);
	buf_puts(body, ",\"answers\":{");
	for (int i = 0; i < n; i++) {
		const char *question = js_str(json_object_array_get_idx(questions, (size_t)i), "question");

		if (i)
			buf_putc(body, ',');
		buf_put_json_str(body, question ? question : "");
		buf_putc(body, ':');
		buf_put_json_str(body, labels[i]);
	}
	buf_putc(body, '}');
	return 0;
}

static int
put_choice(struct ctl *c, const char *id, int first, struct buf *body, struct err *e)
{
	const char *session = c->args.words[0];
	struct json_object *o, *choice;
	int rc = ctl_session_call(c, "GET", session, "/questions", NULL, e);

	if (rc < 0)
		return rc;
	o = js_parse(c->reply.data, c->reply.len);
	choice = find_choice(js_get(o, "questions"), id);
	if (!choice)
		rc = err_set(e, -ENOENT, id ? "it offers no choice '%s'" : "it offers no choice%s, or several: give the question", id ? id : "");
	else
		buf_put_json_str(body, js_str(choice, "question_id"));
	if (rc == 0)
		rc = put_labels(body, choice, c->args.words + first, c->args.word_count - first, e);
	json_object_put(o);
	return rc;
}

int
cmd_answer(struct ctl *c)
{
	const char *const *w = c->args.words;
	int n = c->args.word_count, at = n > 1 && ctl_in_list("allow,deny,choose", w[1]) ? 1 : 2;
	const char *id = at == 2 ? w[1] : NULL, *how = n > at ? w[at] : "";
	bool choose = !strcmp(how, "choose");
	struct buf body = BUF_INIT;
	struct err e = { 0 };
	int rc = 0;

	if (!ctl_in_list("allow,deny,choose", how) || (choose ? n < at + 2 : n > at + 1)) {
		err_set(&e, -EINVAL, "wants NAME [QUESTION] allow, deny, or choose LABEL...");
		return ctl_usage(&e);
	}
	buf_puts(&body, "{\"question\":");
	if (choose)
		rc = put_choice(c, id, at + 1, &body, &e);
	else
		buf_put_json_str(&body, id);
	buf_printf(&body, ",\"answer\":\"%s\",\"text\":", choose ? "allow" : how);
	buf_put_json_str(&body, c->args.value[OPT_TEXT]);
	buf_putc(&body, '}');
	if (rc == 0)
		rc = ctl_session_call(c, "POST", w[0], "/answer", body.data, &e);
	buf_free(&body);
	if (rc < 0)
		return ctl_fail(w[0], &e);
	if (ctl_json(c))
		print_json(c->reply.data, c->reply.len);
	else
		print_note("%s answered", w[0]);
	return 0;
}
