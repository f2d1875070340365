/* SPDX-License-Identifier: MIT */
/* Actions on what clients say of sessions: events that they append, metadata that they change. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aod/request.h"
#include "aod/tree.h"
#include "base/util.h"

/* Old clients' servers stored what is empty as null. */
static bool
is_empty(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null:
		return true;
	case json_type_object:
		return json_object_object_length(v) == 0;
	case json_type_array:
		return json_object_array_length(v) == 0;
	case json_type_string:
		return json_object_get_string_len(v) == 0;
	default:
		return false;
	}
}

static const char *
member(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

void
request_event(struct json_object *o, struct event *ev)
{
	const char *when = member(o, "timestamp"), *type = member(o, "event_type");
	int64_t time_us = now_us();

	if (when)
		time_parse_iso(when, &time_us);
	event_begin(ev, type, time_us);
	free(ev->timestamp);
	ev->timestamp = xstrdup(when);
	for (int k = 0; k < KEY_COUNT; k++) {
		struct json_object *v = NULL;
		const char *json;

		if (!json_object_object_get_ex(o, event_key_names[k], &v) || is_empty(v))
			continue;
		json = json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
		event_put_json(ev, (enum event_key)k, json, strlen(json));
	}
}

static int
append(struct request *q, struct session *s, struct run *r, struct err *e)
{
	struct session *target = r ? &r->s : s;
	const char *type = request_text(q, "event_type");
	bool ended = false;
	int rc = 0;

	/* Who registered it says how it is; a run of our own is known better. */
	if (target->row.passive && !strcmp(type, "session_stop")) {
		target->row.ended_us = now_us();
		target->row.outcome = OUTCOME_SUCCESS;
		target->row.exit_code = (int)request_number(q, "exit_code", -1);
		rc = session_set_state(q->m, target, SEV_CLOSE, e);
		ended = rc != ACT_IGNORE;
	} else if (target->row.passive && !strcmp(type, "session_start")) {
		target->row.ended_us = 0;
		target->row.outcome = OUTCOME_NONE;
		target->row.exit_code = -1;
		rc = session_set_state(q->m, target, SEV_REOPEN, e);
	}
	if (rc < 0)
		return rc;
	request_event(q->args, &q->m->event);
	rc = session_add_event(q->m, target, r ? r->n : 0, &q->m->event, e);
	if (rc == 0 && ended)
		rc = tree_after(q->m, target, e);
	if (rc == 0)
		manager_reply(q->m, q->id, 200, "{\"ok\":true}", 11);
	return rc;
}

int
action_append(struct request *q, struct err *e)
{
	const char *said = request_text(q, "session_id"), *key = request_text(q, "id");
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = request_session(q, &s, &r, e);

	if (rc < 0)
		return rc;
	if (strcmp(said, key) && strcmp(said, s.row.id))
		rc = err_set_status(e, 400, -EINVAL, "Event session_id must match URL session_id");
	else
		rc = append(q, &s, r, e);
	session_free(&s);
	return rc;
}

int
action_append_any(struct request *q, struct err *e)
{
	struct session s = { 0 };
	struct run *r = NULL;
	int rc = session_find(q->m, request_text(q, "session_id"), &s, &r, e);

	if (rc == -ENOENT && !strcmp(request_text(q, "event_type"), "session_start")) {
		request_new_session(q, &s);
		s.row.passive = true;
		s.row.state = SESSION_RUNNING;
		rc = request_store_new(q, &s, e);
	}
	if (rc == 0)
		rc = append(q, &s, r, e);
	session_free(&s);
	return rc;
}

int
action_patch(struct request *q, struct err *e)
{
	const char *name = request_text(q, "session_name"), *resumed = request_text(q, "last_resumed_at");
	struct session s = { 0 };
	struct run *r = NULL;
	struct session *target;
	int rc = request_session(q, &s, &r, e);

	if (rc < 0)
		return rc;
	target = r ? &r->s : &s;
	if (name && strcmp(name, target->row.name))
		rc = request_check_name(q, name, target->row.passive, e);
	if (rc == 0 && resumed && !time_parse_iso(resumed, &target->row.last_resumed_us))
		rc = err_set_status(e, 422, -EINVAL, "last_resumed_at '%.60s' is not an ISO 8601 time", resumed);
	if (rc == 0) {
		if (name)
			session_set_text(&target->row.name, name);
		if (request_text(q, "project_dir"))
			session_set_text(&target->row.project_dir, request_text(q, "project_dir"));
		if (request_text(q, "agent_name"))
			session_set_text(&target->row.agent_name, request_text(q, "agent_name"));
		if (name || resumed || request_text(q, "project_dir") || request_text(q, "agent_name"))
			rc = session_save(q->m, target, e);
	}
	if (rc == 0)
		request_reply_session(q, target, NULL);
	session_free(&s);
	return rc;
}

