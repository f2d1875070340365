/* SPDX-License-Identifier: MIT */
/* The handlers of the actions in the verb table. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "aod/action.h"
#include "aod/audit.h"
#include "aod/front.h"
#include "aod/next.h"
#include "aod/request.h"
#include "aod/run.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"
#include "model/verb.h"

/* ---- arguments and answers ------------------------------------------------------------------------------- */

const char *
request_text(const struct request *q, const char *name)
{
	struct json_object *v = NULL;

	if (!json_object_object_get_ex(q->args, name, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

int64_t
request_number(const struct request *q, const char *name, int64_t otherwise)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(q->args, name, &v) && v ? json_object_get_int64(v) : otherwise;
}

int
request_choice(const struct request *q, const char *name)
{
	struct json_object *v = NULL;

	if (!json_object_object_get_ex(q->args, name, &v) || !json_object_is_type(v, json_type_boolean))
		return 0;
	return json_object_get_boolean(v) ? 1 : -1;
}

int
request_callback(const struct request *q)
{
	const char *mode = request_text(q, "execution_mode");
	int said = request_choice(q, "callback");

	return said || !mode ? said : strcmp(mode, "async_callback") ? -1 : 1;
}

int
request_check_mode(const struct request *q, struct err *e)
{
	static const char *const modes[] = { "sync", "async_poll", "async_callback" };
	const char *mode = request_text(q, "execution_mode");

	for (size_t i = 0; mode && i < ARRAY_LEN(modes); i++)
		if (!strcmp(mode, modes[i]))
			return 0;
	return mode ? err_set_status(e, 422, -EINVAL, "execution_mode '%s': want sync, async_poll or async_callback", mode) : 0;
}

char **
request_words(const struct request *q, const char *name)
{
	struct json_object *v = NULL;
	char **words = NULL;

	if (!json_object_object_get_ex(q->args, name, &v) || !json_object_is_type(v, json_type_array))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		words = strv_add(words, json_object_get_string(json_object_array_get_idx(v, i)));
	return words;
}

void
request_reply_session(const struct request *q, const struct session *s, const char *more)
{
	struct buf b = BUF_INIT;

	audit_target(q->m, q->id, s->row.id);
	buf_puts(&b, "{\"ok\":true");
	if (more)
		buf_puts(&b, more);
	buf_puts(&b, ",\"session\":");
	session_render(&b, &s->row);
	buf_putc(&b, '}');
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
}

int
request_missing(const struct request *q, const char *field)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"%s\"],\"msg\":\"Field required\",\"input\":", field);
	buf_puts(&b, json_object_to_json_string_ext(q->args, JSON_C_TO_STRING_PLAIN));
	buf_puts(&b, "}]}");
	manager_reply(q->m, q->id, 422, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
request_session(const struct request *q, struct session *s, struct run **run, struct err *e)
{
	const char *id = request_text(q, "id");

	return session_find(q->m, id ? id : "", s, run, e);
}

/* ---- create ---------------------------------------------------------------------------------------------- */

/* What is known of a session that has the name or id which is asked for. */
struct taken {
	const char *id; /* asked for */
	bool by_id, live;
};

static int
is_taken(const struct session_row *row, void *arg)
{
	struct taken *t = arg;

	t->by_id = !strcmp(row->id, t->id);
	t->live = session_state_live(row->state);
	return 1;
}

/*
 * Names are unique among sessions, so that {id} may be a name. A registration may repeat a name that only an ended session has:
 * the clients that register have always been free to.
 */
int
request_check_name(const struct request *q, const char *name, bool registration, struct err *e)
{
	struct taken t = { .id = name };
	int rc = store_session_find(q->m->store, name, strlen(name), is_taken, &t, e);

	if (rc == -ENOENT || (rc == 1 && registration && !t.live))
		return 0;
	if (rc < 0)
		return rc;
	return err_set_status(e, 409, -EEXIST,
			      "Session '%s' already exists. Use 'ao-resume' command to continue or choose a different name", name);
}

static int
check_id(const struct request *q, const char *id, struct err *e)
{
	struct taken t = { .id = id };
	int rc = store_session_find(q->m->store, id, strlen(id), is_taken, &t, e);

	if (rc == -ENOENT || (rc == 1 && !t.by_id))
		return 0;
	return rc < 0 ? rc : err_set_status(e, 409, -EEXIST, "Session already exists");
}

/* Whether the parent may have a child with the id that s asks for. */
static int
check_parent(struct request *q, const struct session_row *parent, const struct session *s, struct err *e)
{
	int depth = store_session_depth(q->m->store, parent->id, SESSION_DEPTH_MAX, e), rc = 0;

	if (depth < 0)
		return depth;
	if (depth >= SESSION_DEPTH_MAX)
		return err_set_status(e, 422, -ELOOP, "parent_session_name: session '%s' is the last of %d below each other, and more are not allowed",
				      parent->name, SESSION_DEPTH_MAX);
	/* An id can be used again, and its former children are still there. */
	if (s->row.id)
		rc = store_session_owned(q->m->store, s->row.id, parent->n, e);
	if (rc > 0)
		return err_set_status(e, 422, -ELOOP, "parent_session_name: session '%s' descends from %s itself", parent->name, s->row.id);
	if (rc == 0 && parent->state == SESSION_STOPPING)
		return err_set_status(e, 409, -EBUSY, "Session '%s' is being stopped: no more can be started for it", parent->name);
	return rc;
}

/* The session that this one works for, if one was said: parent_id and root of s. */
static int
take_parent(struct request *q, struct session *s, struct err *e)
{
	const char *key = request_text(q, "parent_session_name");
	struct session parent = { 0 };
	struct run *run;
	int rc;

	if (!key && (request_callback(q) > 0 || request_choice(q, "stop_with_parent") > 0))
		return err_set_status(e, 422, -EINVAL, "callback and stop_with_parent go with a parent_session_name: no session asks for this one");
	if (!key)
		return 0;
	rc = session_find(q->m, key, &parent, &run, e);
	if (rc < 0)
		return err_set_status(e, 422, rc, "parent_session_name: no session '%s'", key);
	rc = check_parent(q, &parent.row, s, e);
	session_set_text(&s->row.parent_id, parent.row.id);
	s->row.root = parent.row.root ? parent.row.root : parent.row.n;
	session_free(&parent);
	return rc;
}

int
request_store_new(const struct request *q, struct session *s, struct err *e)
{
	int rc = manager_begin(q->m, e);

	if (rc == 0)
		rc = store_session_add(q->m->store, &s->row, e);
	/* The id may have been taken in this very transaction. */
	return rc == -EEXIST ? rc : manager_check(q->m, rc, e);
}

static int
register_session(struct request *q, struct session *s, struct err *e)
{
	int rc;

	if (!s->row.id)
		return request_missing(q, "session_id");
	if (!s->row.name)
		return request_missing(q, "session_name");
	rc = check_id(q, s->row.id, e);
	if (rc == 0)
		rc = request_check_name(q, s->row.name, true, e);
	if (rc < 0)
		return rc;
	s->row.passive = true;
	s->row.state = SESSION_RUNNING;
	s->row.callback = s->row.callback_due = request_callback(q) > 0;
	rc = request_store_new(q, s, e);
	if (rc == 0)
		request_reply_session(q, s, NULL);
	return rc;
}

static int
first_prompt(const struct request *q, struct run *r, const struct run_args *args, struct err *e)
{
	struct prompt p = { .uuid = xstrdup(args->prompt_uuid),
			    .text = xstrdup(r->plan->prompt),
			    .source = args->prompt ? "request" : "blueprint",
			    .origin = PROMPT_FIRST,
			    .author = q->author,
			    .callback = r->s.row.callback };
	int rc = prompt_given(r, &p, 0, e);

	prompt_free(&p);
	return rc;
}

/* There is no room for r, which is taken. */
static int
queue_new(const struct request *q, struct run *r, const struct run_args *args, struct session *s, struct err *e)
{
	struct prompt p = { .uuid = xstrdup(args->prompt_uuid),
			    .text = xstrdup(args->prompt),
			    .source = "request",
			    .origin = PROMPT_FIRST,
			    .author = q->author,
			    .callback = r->s.row.callback };
	int rc = admission_queue(r, SESSION_EVENT_COUNT, args, &p, s, e);

	prompt_free(&p);
	return rc;
}

int
request_start(const struct request *q, struct session *s, const struct run_args *args, struct run **out, struct err *e)
{
	struct run *r = NULL;
	int rc;

	if (s->row.id && (!name_valid(s->row.id)))
		return err_set_status(e, 422, -EINVAL, "session_id of a session that aod runs has to match [a-zA-Z0-9_-]{1,60}");
	rc = s->row.id ? check_id(q, s->row.id, e) : 0;
	if (!s->row.id) {
		char id[ID_SIZE];

		session_set_text(&s->row.id, id_new(id));
	}
	if (!s->row.agent_name)
		session_set_text(&s->row.agent_name, args->command ? "command" : "claude");
	if (!s->row.name) {
		/* The end of a UUIDv7 is its random part. */
		CLEANUP_FREE char *name =
			xasprintf("%.40s-%s", s->row.agent_name, s->row.id + (strlen(s->row.id) > 8 ? strlen(s->row.id) - 8 : 0));

		session_set_text(&s->row.name, name);
	}
	if (rc == 0)
		rc = request_check_name(q, s->row.name, false, e);
	if (rc < 0)
		return rc;
	*out = NULL;
	rc = run_prepare(q->m, s, 1, args, &r, e);
	if (rc == 1)
		return queue_new(q, r, args, s, e);
	if (rc < 0) {
		CLEANUP_FREE char *dir = session_dir(q->m, s->row.id);

		rm_rf(dir, NULL);
		return rc;
	}
	r->s.row.state = SESSION_PENDING;
	rc = request_store_new(q, &r->s, e);
	if (rc < 0) {
		run_free(r);
		return rc;
	}
	rc = run_begin(r, args, e);
	if (rc == 0 && r->plan->prompt)
		rc = first_prompt(q, r, args, e);
	if (rc == 0)
		rc = session_save(q->m, &r->s, e);
	*out = r;
	return rc;
}

/* A session that has begun a run, or that waits for room and has none. */
static void
reply_started(const struct request *q, const struct session *s, const struct run *r)
{
	struct buf place = BUF_INIT;

	admission_put_place(q->m, s->row.n, &place);
	request_reply_session(q, r ? &r->s : s, place.data);
	buf_free(&place);
}

/* The priority that the request asks for, or NULL. */
static const int64_t *
asked_priority(const struct request *q, int64_t *priority)
{
	*priority = request_number(q, "priority", INT64_MIN);
	return *priority == INT64_MIN ? NULL : priority;
}

static int
spawn_session(struct request *q, struct session *s, struct run_args *args, struct err *e)
{
	struct run *r;
	int rc = request_start(q, s, args, &r, e);

	if (rc >= 0)
		reply_started(q, s, r);
	return rc;
}

void
request_new_session(const struct request *q, struct session *s)
{
	struct json_object *command = NULL;

	s->row.exit_code = -1;
	s->row.created_us = now_us();
	session_set_text(&s->row.id, request_text(q, "session_id"));
	session_set_text(&s->row.name, request_text(q, "session_name"));
	session_set_text(&s->row.project_dir, request_text(q, "project_dir"));
	session_set_text(&s->row.agent_name, request_text(q, "agent_name"));
	if (json_object_object_get_ex(q->args, "command", &command) && json_object_is_type(command, json_type_array))
		session_set_text(&s->row.command, json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN));
}

static int
do_create(struct request *q, struct err *e)
{
	char prompt_uuid[ID_SIZE], agent_id[ID_SIZE];
	char **command = request_words(q, "command");
	struct run_args args = {
		.prompt = request_text(q, "prompt"),
		.prompt_uuid = id_new(prompt_uuid),
		.agent_session_id = id_new(agent_id),
		.command = command,
		.callback = request_callback(q),
		.stop_with_parent = request_choice(q, "stop_with_parent"),
	};
	struct session s = { 0 };
	int64_t priority;
	int rc;

	request_new_session(q, &s);
	args.priority = asked_priority(q, &priority);
	rc = take_parent(q, &s, e);
	if (rc == 0) {
		/* Without an id it is no registration: a blueprint of a command may need no prompt. */
		if (args.prompt || command || (s.row.agent_name && !s.row.id))
			rc = spawn_session(q, &s, &args, e);
		else
			rc = register_session(q, &s, e);
	}
	strv_free(command);
	session_free(&s);
	return rc;
}

/* ---- dispatch -------------------------------------------------------------------------------------------- */

static const struct {
	const char *verb;
	int (*run)(struct request *q, struct err *e);
} handlers[] = {
	{ "session.create", do_create },
	{ "session.resume", action_resume },
	{ "session.interrupt", action_interrupt },
	{ "prompt.cancel", action_prompt_cancel },
	{ "prompt.cancel-all", action_prompt_cancel_all },
	{ "session.stop", action_stop },
	{ "session.delete", action_delete },
	{ "session.delete-all", action_delete_all },
	{ "session.patch", action_patch },
	{ "session.restart", action_restart },
	{ "session.reset-failed", action_reset_failed },
	{ "session.reset-failed-all", action_reset_failed_all },
	{ "session.freeze", action_freeze },
	{ "session.answer", action_answer },
	{ "session.thaw", action_thaw },
	{ "session.usage", action_usage },
	{ "session.set-property", action_set_property },
	{ "slice.list", action_slices },
	{ "timer.list", action_timers },
	{ "queue.list", action_queue },
	{ "session.queue", action_session_queue },
	{ "event.append", action_append },
	{ "event.append-any", action_append_any },
	{ "session.import", action_import },
	{ "plan.preview", action_plan },
	{ "cost.list", action_cost },
	{ "doctor", action_doctor },
	{ "document.create", action_document_create },
	{ "document.put", action_document_put },
	{ "document.patch", action_document_patch },
	{ "document.delete", action_document_delete },
	{ "document.relate", action_document_relate },
	{ "document.unrelate", action_document_unrelate },
	{ "agent.create", action_agent_create },
	{ "agent.patch", action_agent_patch },
	{ "agent.put", action_agent_put },
	{ "agent.status", action_agent_status },
	{ "agent.delete", action_agent_delete },
	{ "agent.mask", action_agent_mask },
	{ "agent.revert", action_agent_revert },
	{ "agent.security", action_agent_security },
	{ "session.security", action_session_security },
	{ "security.list", action_security_list },
	{ "token.create", action_token_create },
	{ "token.revoke", action_token_revoke },
	{ "login", action_login },
	{ "logout", action_logout },
};

/* The one place where aod decides who may do what. aod-http has checked the same, but that is the part which strangers talk to. */
static int
check_role(struct request *q, const struct verb *v, struct err *e)
{
	if (!role_may(q->role, v))
		return err_set_status(e, q->role == ROLE_NONE ? 401 : 403, -EPERM, "%s may not do this (%s)", q->author, v->name);
	return q->role == ROLE_SESSION ? action_scope(q, v, e) : 0;
}

static int
dispatch(struct request *q, const char *verb, struct err *e)
{
	const struct verb *v = verb ? verb_find(verb) : NULL;
	struct json_object *problems;
	int rc;

	if (!v || v->kind != VERB_ACTION)
		return err_set_status(e, 404, -ENOENT, "no action '%.60s'", verb ? verb : "");
	if (!q->m->loaded || q->m->broken.code)
		return err_set_status(e, 503, -EAGAIN, "aod is reading its state again: ask once more in a second");
	if (q->m->quitting)
		return err_set_status(e, 503, -EAGAIN, "aod is stopping");
	if (!(v->perms & PERM_READ))
		audit_begin(q, v->name);
	problems = verb_check(v, IN_BODY, q->args);
	if (problems) {
		CLEANUP_FREE char *body =
			xasprintf("{\"detail\":%s}", json_object_to_json_string_ext(problems, JSON_C_TO_STRING_PLAIN));

		manager_reply(q->m, q->id, 422, body, strlen(body));
		json_object_put(problems);
		return 0;
	}
	rc = check_role(q, v, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (!strcmp(handlers[i].verb, verb))
			return handlers[i].run(q, e);
	return err_set_status(e, 501, -ENOSYS, "action '%s' has no handler", verb);
}

static struct json_object *
parse(const char *text, size_t len)
{
	struct json_tokener *t = json_tokener_new_ex(64);
	struct json_object *o = len <= INT32_MAX ? json_tokener_parse_ex(t, text, (int)len) : NULL;

	json_tokener_free(t);
	return o;
}

static const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

void
action_notice(struct manager *m, const char *text, size_t len)
{
	struct json_object *o = parse(text, len), *refused = NULL;
	const char *used = text_of(o, "used");
	struct err e = { 0 };

	if (json_object_object_get_ex(o, "refused", &refused) && json_object_is_type(refused, json_type_object))
		audit_refused(m, refused);
	else if (used && m->loaded && manager_begin(m, &e) == 0)
		manager_check(m, store_token_used(m->store, used, now_us(), &e), &e);
	json_object_put(o);
}

void
action_request(struct manager *m, const char *text, size_t len)
{
	struct json_object *o = parse(text, len), *v = NULL;
	struct request q = { .m = m };
	struct err e = { 0 };
	const char *verb = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "id", &v)) {
		log_error("aod-http sent what is no request (%zu bytes)", len);
		json_object_put(o);
		return;
	}
	q.id = front_request_id(m->front, json_object_get_int64(v));
	if (json_object_object_get_ex(o, "verb", &v))
		verb = json_object_get_string(v);
	json_object_object_get_ex(o, "caller", &v);
	request_note_caller(&q, v);
	if (json_object_object_get_ex(o, "args", &v) && json_object_is_type(v, json_type_object))
		q.args = json_object_get(v);
	else
		q.args = json_object_new_object();
	if (dispatch(&q, verb, &e) < 0)
		manager_reply_error(m, q.id, &e);
	json_object_put(q.args);
	json_object_put(o);
}
