/* SPDX-License-Identifier: MIT */
/*
 * Sessions that an older server had. Its events come in pieces, each a transaction of its own that says how many were there before: one that
 * was broken off goes on where it was, and nothing comes twice.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "aod/request.h"
#include "base/util.h"

#define EVENTS_MAX 1000

static int
take_time(const struct request *q, const char *name, int64_t *us, struct err *e)
{
	const char *text = request_text(q, name);

	if (text && !time_parse_iso(text, us))
		return err_set_status(e, 422, -EINVAL, "%s '%.60s' is not an ISO 8601 time", name, text);
	return 0;
}

static struct json_object *
events_of(const struct request *q)
{
	struct json_object *v;

	return json_object_object_get_ex(q->args, "events", &v) && json_object_is_type(v, json_type_array) ? v : NULL;
}

static int
check_events(struct json_object *events, struct err *e)
{
	size_t i, n = events ? json_object_array_length(events) : 0;

	if (n > EVENTS_MAX)
		return err_set_status(e, 422, -EINVAL, "events: at most %d at a time", EVENTS_MAX);
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(events, i), *type = NULL;

		if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "event_type", &type) ||
		    !json_object_is_type(type, json_type_string) || !json_object_get_string_len(type) ||
		    json_object_get_string_len(type) > EVENT_TYPE_MAX)
			return err_set_status(e, 422, -EINVAL, "events: number %zu is no object with an event_type", i);
	}
	return 0;
}

/* As it was there; nobody runs what the old server lost sight of. */
static int
make(struct request *q, struct session *s, struct err *e)
{
	const char *status = request_text(q, "status");
	bool finished = status && !strcmp(status, "finished");
	int rc;

	request_new_session(q, s);
	s->row.passive = true;
	s->row.state = finished ? SESSION_FINISHED : SESSION_STOPPED;
	s->row.outcome = finished ? OUTCOME_SUCCESS : OUTCOME_UNKNOWN;
	rc = take_time(q, "created_at", &s->row.created_us, e);
	if (rc == 0)
		rc = take_time(q, "last_resumed_at", &s->row.last_resumed_us, e);
	s->row.ended_us = s->row.created_us;
	return rc < 0 ? rc : request_store_new(q, s, e);
}

static int
add_events(struct request *q, struct session *s, struct json_object *events, struct err *e)
{
	size_t i, n = events ? json_object_array_length(events) : 0;
	struct event *ev = &q->m->event;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++) {
		request_event(json_object_array_get_idx(events, i), ev);
		rc = session_add_event(q->m, s, 0, ev, e);
		/* It ended when the last was heard of it. */
		if (ev->time_us > s->row.ended_us)
			s->row.ended_us = ev->time_us;
	}
	return rc < 0 ? rc : session_save(q->m, s, e);
}

int
action_import(struct request *q, struct err *e)
{
	int64_t from = request_number(q, "from", 0);
	struct json_object *events = events_of(q);
	struct session s = { 0 };
	struct run *r = NULL;
	bool there;
	int rc = check_events(events, e);

	if (rc == 0)
		rc = session_find(q->m, request_text(q, "session_id"), &s, &r, e);
	/* What was found by its name is another one. */
	there = rc == 0 && !strcmp(s.row.id, request_text(q, "session_id"));
	if (rc == -ENOENT || (rc == 0 && !there)) {
		session_free(&s);
		s = (struct session){ 0 };
		rc = from ? err_set_status(e, 404, -ENOENT, "Session not found") : make(q, &s, e);
	} else if (rc == 0 && (!s.row.passive || s.row.last_seq != from || session_state_live(s.row.state))) {
		rc = err_set_status(e, 409, -EEXIST, "Session already exists, with %" PRId64 " events", s.row.last_seq);
	}
	if (rc == 0)
		rc = add_events(q, &s, events, e);
	if (rc == 0)
		request_reply_session(q, &s, NULL);
	session_free(&s);
	return rc;
}
