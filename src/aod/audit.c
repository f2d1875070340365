/* SPDX-License-Identifier: MIT */
/* The audit trail; see audit.h. */
#include "config.h"

#include <string.h>

#include "aod/audit.h"
#include "aod/request.h"
#include "base/log.h"
#include "base/util.h"

/* A request that is to be written down when it is answered. */
struct audit_note {
	struct audit_note *next;
	int64_t id;
	const struct verb *verb;
	char *who, *origin, *target;
};

static void
note_free(struct audit_note *n)
{
	free(n->who);
	free(n->origin);
	free(n->target);
	free(n);
}

void
audit_begin(const struct request *q, const char *verb)
{
	static const char *const names[] = { "id", "session_id", "session_name", "name" };
	struct audit_note *n = xcalloc(1, sizeof(*n));
	const char *target = NULL;

	for (size_t i = 0; !target && i < ARRAY_LEN(names); i++)
		target = request_text(q, names[i]);
	n->id = q->id;
	n->verb = verb_find(verb);
	n->who = xstrdup(q->author);
	n->origin = xstrdup(q->origin);
	n->target = xstrdup(target ? target : "");
	n->next = q->m->audits;
	q->m->audits = n;
}

static struct audit_note **
find(struct manager *m, int64_t id)
{
	struct audit_note **p = &m->audits;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

void
audit_target(struct manager *m, int64_t id, const char *target)
{
	struct audit_note *n = *find(m, id);

	if (n) {
		free(n->target);
		n->target = xstrdup(target);
	}
}

static void
write_row(struct manager *m, const struct audit_row *row, bool fold)
{
	struct err e = { 0 };
	int rc = manager_begin(m, &e);

	/* What cannot be written down is not done: the transaction fails as a whole. */
	if (rc == 0)
		rc = manager_check(m, store_audit_add(m->store, row, fold, &e), &e);
	if (rc < 0)
		log_warn("audit trail: %s", e.text);
}

void
audit_answer(struct manager *m, int64_t id, int status)
{
	struct audit_note **p = find(m, id), *n = *p;

	if (!n)
		return;
	*p = n->next;
	if (m->broken.code == 0) {
		struct audit_row row = { .time_us = now_us(), .who = n->who, .origin = n->origin, .verb = n->verb->name,
					 .target = n->target, .status = status, .count = 1 };

		/* Events that a client appends by the thousand would leave no room for anything else. */
		write_row(m, &row, n->verb->perms & PERM_EVENT);
	}
	note_free(n);
}

static const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

void
audit_refused(struct manager *m, struct json_object *o)
{
	struct json_object *status = NULL, *count = NULL;
	struct audit_row row = { .time_us = now_us(), .who = text_of(o, "who"), .origin = text_of(o, "from"), .verb = text_of(o, "verb"),
				 .target = text_of(o, "target") };

	json_object_object_get_ex(o, "status", &status);
	json_object_object_get_ex(o, "count", &count);
	row.status = json_object_get_int(status);
	row.count = json_object_get_int64(count);
	log_note("refused with %d: %s from %s: %s", row.status, row.who, row.origin, row.verb);
	if (m->loaded && m->broken.code == 0)
		write_row(m, &row, true);
}

void
audit_done(struct manager *m)
{
	while (m->audits) {
		struct audit_note *n = m->audits;

		m->audits = n->next;
		note_free(n);
	}
}
