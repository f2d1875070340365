/* SPDX-License-Identifier: MIT */
/* The score of blueprints: how much of the host they leave to their agents. It is of what the files say now. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "aod/blueprints.h"
#include "aod/request.h"
#include "base/util.h"
#include "model/sandbox.h"

/* Also of one that is not enabled, and of a template as such. Status 404: there is none, or it is masked; 422: it has errors. */
static int
load(const struct request *q, const char *name, struct blueprint **out, struct err *e)
{
	struct blueprint_files f;
	int rc = blueprint_files_find(q->m->cfg, name, true, &f, e);

	if (rc < 0)
		return rc;
	*out = f.masked ? NULL : blueprint_files_parse(q->m, &f);
	rc = f.masked ? err_set_status(e, 404, -ENOENT, "Agent '%s' is masked", name) : blueprint_problems_err(&f.problems, e);
	blueprint_files_free(&f);
	if (rc < 0)
		blueprint_free(*out);
	return rc;
}

/* Members of the score of a blueprint, as security_json(). */
static int
score(const struct request *q, const char *name, bool lines, struct buf *out, struct err *e)
{
	struct blueprint *b, *effective;
	int rc = load(q, name, &b, e);

	if (rc < 0)
		return rc;
	effective = sandbox_effective(b);
	buf_puts(out, "\"name\":");
	buf_put_json_str(out, name);
	buf_printf(out, ",\"profile\":\"%s\",", sandbox_profile_name(sandbox_profile(effective)));
	security_json(out, effective, geteuid() == 0, lines);
	blueprint_free(b);
	blueprint_free(effective);
	return 0;
}

static int
reply_score(struct request *q, const char *name, const char *session, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_putc(&b, '{');
	if (session) {
		buf_puts(&b, "\"session\":");
		buf_put_json_str(&b, session);
		buf_putc(&b, ',');
	}
	rc = score(q, name, true, &b, e);
	buf_putc(&b, '}');
	if (rc == 0)
		manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return rc;
}

int
action_agent_security(struct request *q, struct err *e)
{
	return reply_score(q, request_text(q, "id"), NULL, e);
}

int
action_session_security(struct request *q, struct err *e)
{
	CLEANUP_FREE char *name = NULL, *agent = NULL;
	struct session s;
	struct run *run;
	int rc = request_session(q, &s, &run, e);

	if (rc < 0)
		return rc;
	name = xstrdup(s.row.name);
	agent = xstrdup(s.row.agent_name && *s.row.agent_name ? s.row.agent_name : "claude");
	session_free(&s);
	return reply_score(q, agent, name, e);
}

int
action_security_list(struct request *q, struct err *e)
{
	char **names = blueprint_names(q->m->cfg);
	struct buf b = BUF_INIT;
	bool first = true;

	buf_puts(&b, "{\"blueprints\":[");
	for (size_t i = 0; names && names[i]; i++) {
		struct err why = { 0 };
		struct buf one = BUF_INIT;

		/* One that is masked runs nothing. */
		if (score(q, names[i], false, &one, &why) == 0) {
			buf_printf(&b, "%s{%s}", first ? "" : ",", one.data);
			first = false;
		} else if (why.status != 404) {
			buf_printf(&b, "%s{\"name\":", first ? "" : ",");
			buf_put_json_str(&b, names[i]);
			buf_puts(&b, ",\"error\":");
			buf_put_json_str(&b, why.text);
			buf_putc(&b, '}');
			first = false;
		}
		buf_free(&one);
	}
	buf_puts(&b, "]}");
	strv_free(names);
	manager_reply(q->m, q->id, 200, b.data, b.len);
	buf_free(&b);
	return 0;
}
