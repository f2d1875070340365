/* SPDX-License-Identifier: MIT */
/* Answers that people give to agents. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aod/request.h"
#include "aod/run.h"
#include "base/util.h"

#define ROWS_MAX 1000 /* questions of a session that are looked through for why one is not open */

/* ---- which ------------------------------------------------------------------------------------------------ */

struct closed {
	const char *id;
	struct buf why;
};

static int
find_closed(const struct question_row *row, void *arg)
{
	struct closed *c = arg;
	struct json_object *o, *how = NULL;
	char at[TIME_ISO_SIZE];

	if (strncmp(row->id, c->id, strlen(c->id)) || !row->closed)
		return 0;
	o = json_tokener_parse(row->answer ? row->answer : "{}");
	time_iso(row->closed_us, at);
	if (!strcmp(row->closed, "answer") && json_object_object_get_ex(o, "answer", &how))
		buf_printf(&c->why, "was answered with %s by %s at %s", json_object_get_string(how), row->author ? row->author : "somebody", at);
	else
		buf_printf(&c->why, "is gone since %s: the agent took it back, or its run has ended", at);
	json_object_put(o);
	return 1;
}

/* The question that is meant; where it is not open, *e says why. */
static int
find(struct request *q, const struct session *s, struct run *r, struct question **out, struct err *e)
{
	const char *id = request_text(q, "question");
	struct closed c = { .id = id };
	int rc = r && !r->exited ? ask_lookup(r, id, out, e) :
				   err_set_status(e, 409, -ENOENT, "Session '%s' is not running and asks nothing", s->row.name);

	if (rc != -ENOENT || !id)
		return rc;
	if (store_question_list(q->m->store, s->row.n, true, ROWS_MAX, find_closed, &c, NULL) >= 0 && c.why.len)
		err_set_status(e, 409, -ENOENT, "The question '%.100s' of session '%s' %s", id, s->row.name, c.why.data);
	buf_free(&c.why);
	return rc;
}

/* ---- what ------------------------------------------------------------------------------------------------- */

/* A label, or several in an array, as the one text that the agent takes; NULL: neither. The caller puts it. */
static struct json_object *
one_text(struct json_object *v)
{
	struct json_object *text;
	struct buf b = BUF_INIT;
	bool ok = json_object_is_type(v, json_type_array) && json_object_array_length(v) > 0;

	if (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) > 0)
		return json_object_get(v);
	for (size_t i = 0; ok && i < json_object_array_length(v); i++) {
		struct json_object *label = json_object_array_get_idx(v, i);

		ok = json_object_is_type(label, json_type_string);
		buf_printf(&b, "%s%s", i ? ", " : "", ok ? json_object_get_string(label) : "");
	}
	text = ok ? json_object_new_string(b.data) : NULL;
	buf_free(&b);
	return text;
}

/* The answers to all questions of a choice, and to nothing else, in *out. */
static int
take_answers(const struct question *q, struct json_object *given, char **out, struct err *e)
{
	struct json_object *about = json_tokener_parse(q->json), *questions = NULL, *answers = json_object_new_object();
	size_t n;
	int rc = 0;

	json_object_object_get_ex(about, "questions", &questions);
	n = json_object_is_type(questions, json_type_array) ? json_object_array_length(questions) : 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct json_object *text = NULL, *answer = NULL, *one;
		const char *question;

		json_object_object_get_ex(json_object_array_get_idx(questions, i), "question", &text);
		question = json_object_is_type(text, json_type_string) ? json_object_get_string(text) : "";
		json_object_object_get_ex(given, question, &answer);
		one = one_text(answer);
		if (one)
			json_object_object_add(answers, question, one);
		else
			rc = err_set_status(e, 422, -EINVAL, "answers: no label for the question '%.200s'", question);
	}
	if (rc == 0 && json_object_object_length(given) != json_object_object_length(answers))
		rc = err_set_status(e, 422, -EINVAL, "answers: there is one for something that was not asked");
	if (rc == 0)
		*out = xstrdup(json_object_to_json_string_ext(answers, JSON_C_TO_STRING_PLAIN));
	json_object_put(answers);
	json_object_put(about);
	return rc;
}

static int
take_answer(struct request *q, const struct question *question, struct ask_answer *a, char **answers, struct err *e)
{
	const char *how = request_text(q, "answer");
	struct json_object *given = NULL;
	bool choice = !strcmp(question->kind, "choice");

	json_object_object_get_ex(q->args, "answers", &given);
	if (how && strcmp(how, "allow") && strcmp(how, "deny"))
		return err_set_status(e, 422, -EINVAL, "answer '%.50s': wants allow or deny", how);
	if (!how && !given)
		return err_set_status(e, 422, -EINVAL, "answer: allow or deny is missing");
	a->allow = !how || !strcmp(how, "allow");
	a->text = request_text(q, "text");
	if (given && (!choice || !a->allow))
		return err_set_status(e, 422, -EINVAL, "answers: %s", choice ? "they go with allow" : "the agent asks for a permission, not for a choice");
	if (!choice || !a->allow)
		return 0;
	if (!given)
		return err_set_status(e, 422, -EINVAL, "The agent asks for a choice: say which label it is, for each question, in answers");
	return take_answers(question, given, answers, e);
}

int
action_answer(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	struct question *question = NULL;
	struct ask_answer a = { 0 };
	CLEANUP_FREE char *answers = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc < 0)
		return rc;
	rc = find(q, &s, r, &question, e);
	if (rc == 0)
		rc = take_answer(q, question, &a, &answers, e);
	a.answers = answers;
	if (rc == 0)
		rc = ask_answer(r, question, &a, q->author, e);
	if (rc == 0)
		request_reply_session(q, &r->s, NULL);
	session_free(&s);
	return rc;
}
