/* SPDX-License-Identifier: MIT */
/* Actions on blueprints that change what their files say: create, patch, put, status. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aod/action-agent.h"
#include "base/util.h"

/* ---- answers -----------------------------------------------------------------------------------
 */

static int
on_row(const struct blueprint_row *row, void *arg)
{
	store_blueprint_json(arg, row);
	return 0;
}

int
agent_reply(struct request *q, const char *name, const char *action, int status, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc = registry_sync(q->m, name, q->author, action, NULL, e);

	if (rc == 0) {
		rc = store_blueprint_get(q->m->store, name, strlen(name), on_row, &b, e);
		/* An instance without files of its own is shown as its template. */
		if (rc == -ENOENT) {
			CLEANUP_FREE char *template = xstrndup(name, strcspn(name, "@") + 1);

			rc = store_blueprint_get(q->m->store, template, strlen(template), on_row,
						 &b, e);
		}
	}
	if (rc == 0)
		manager_reply(q->m, q->id, status, b.data, b.len);
	buf_free(&b);
	return rc;
}

int
agent_reply_problems(struct request *q, const struct blueprint_problems *p)
{
	struct err first = {0};
	struct buf b = BUF_INIT;

	blueprint_problems_err(p, &first);
	buf_puts(&b, "{\"detail\":");
	buf_put_json_str(&b, first.text);
	buf_puts(&b, ",\"problems\":");
	blueprint_problems_json(&b, p);
	buf_putc(&b, '}');
	manager_reply(q->m, q->id, 422, b.data, b.len);
	buf_free(&b);
	return 0;
}

int
agent_check_version(struct request *q, const char *name, struct err *e)
{
	int64_t want = request_number(q, "version", 0), is;
	int rc = registry_sync(q->m, name, NULL, NULL, &is, e);

	if (rc == 0 && want > 0 && want != is)
		rc = err_set_status(
			e, 409, -EBUSY,
			"Agent '%s' is at version %lld, not %lld any more: read it again", name,
			(long long)is, (long long)want);
	return rc;
}

int
agent_finish(struct request *q, struct change *c, const char *action, int status, struct err *e)
{
	int rc;

	if (change_check(c) > 0)
		return agent_reply_problems(q, &c->f.problems);
	rc = change_commit(c, e);
	return rc < 0 ? rc : agent_reply(q, c->f.name, action, status, e);
}

/* ---- arguments of old clients ------------------------------------------------------------------
 */

/* One problem in the form of the old API, at body.a.b.c (those that are NULL are left out). */
static int
refuse(struct request *q, const char *type, const char *msg, struct json_object *input,
       const char *a, const char *b, const char *c)
{
	const char *const loc[] = {a, b, c};
	struct buf out = BUF_INIT;

	buf_printf(&out, "{\"detail\":[{\"type\":\"%s\",\"loc\":[\"body\"", type);
	for (size_t i = 0; i < ARRAY_LEN(loc); i++)
		if (loc[i]) {
			buf_putc(&out, ',');
			buf_put_json_str(&out, loc[i]);
		}
	buf_puts(&out, "],\"msg\":");
	buf_put_json_str(&out, msg);
	buf_printf(&out, ",\"input\":%s}]}",
		   json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN));
	manager_reply(q->m, q->id, 422, out.data, out.len);
	buf_free(&out);
	return 1;
}

static bool
is_texts(struct json_object *v)
{
	if (!json_object_is_type(v, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		if (!json_object_is_type(json_object_array_get_idx(v, i), json_type_string))
			return false;
	return true;
}

static bool
is_texts_by_name(struct json_object *v)
{
	if (!json_object_is_type(v, json_type_object))
		return false;
	json_object_object_foreach(v, key, value)
	{
		(void)key;
		if (!json_object_is_type(value, json_type_string))
			return false;
	}
	return true;
}

/* One server. A type that is missing means stdio, and is written down. 1: refused. */
static int
check_server(struct request *q, const char *name, struct json_object *s)
{
	struct json_object *type = NULL, *v = NULL;
	const char *kind = "stdio";

	if (!json_object_is_type(s, json_type_object))
		return refuse(q, "dict_type", "Input should be a valid dictionary", s,
			      "mcp_servers", name, NULL);
	if (json_object_object_get_ex(s, "type", &type))
		kind = json_object_is_type(type, json_type_string) ? json_object_get_string(type)
								   : "";
	else
		json_object_object_add(s, "type", json_object_new_string("stdio"));
	if (!strcmp(kind, "http")) {
		if (!json_object_object_get_ex(s, "url", &v))
			return refuse(q, "missing", "Field required", s, "mcp_servers", name,
				      "url");
		if (!json_object_is_type(v, json_type_string))
			return refuse(q, "string_type", "Input should be a valid string", v,
				      "mcp_servers", name, "url");
		if (json_object_object_get_ex(s, "headers", &v) && v && !is_texts_by_name(v))
			return refuse(q, "dict_type", "Input should be a dictionary of strings", v,
				      "mcp_servers", name, "headers");
		return 0;
	}
	if (strcmp(kind, "stdio"))
		return refuse(q, "literal_error", "Input should be 'stdio' or 'http'", type,
			      "mcp_servers", name, "type");
	if (!json_object_object_get_ex(s, "command", &v))
		return refuse(q, "missing", "Field required", s, "mcp_servers", name, "command");
	if (!json_object_is_type(v, json_type_string))
		return refuse(q, "string_type", "Input should be a valid string", v, "mcp_servers",
			      name, "command");
	if (!json_object_object_get_ex(s, "args", &v))
		return refuse(q, "missing", "Field required", s, "mcp_servers", name, "args");
	if (!is_texts(v))
		return refuse(q, "list_type", "Input should be a list of strings", v, "mcp_servers",
			      name, "args");
	if (json_object_object_get_ex(s, "env", &v) && v && !is_texts_by_name(v))
		return refuse(q, "dict_type", "Input should be a dictionary of strings", v,
			      "mcp_servers", name, "env");
	return 0;
}

static int
check_servers(struct request *q)
{
	struct json_object *servers = NULL;

	if (!json_object_object_get_ex(q->args, "mcp_servers", &servers) || !servers)
		return 0;
	json_object_object_foreach(servers, name, server)
	{
		if (check_server(q, name, server))
			return 1;
	}
	return 0;
}

/* The four members that both create and patch take; those that are missing or null stay as they
 * are. */
static int
apply(struct request *q, struct change *c, struct err *e)
{
	const char *description = request_text(q, "description"),
		   *prompt = request_text(q, "system_prompt");
	char **skills = request_words(q, "skills");
	struct json_object *v = NULL;
	int rc = 0;

	if (description)
		rc = change_text(c, D_Description, description, e);
	if (rc == 0 && prompt)
		rc = change_prompt(c, prompt, e);
	if (rc == 0 && json_object_object_get_ex(q->args, "skills", &v) && v)
		rc = change_skills(c, skills, e);
	if (rc == 0 && json_object_object_get_ex(q->args, "mcp_servers", &v) && v)
		rc = change_mcp(c, v, e);
	strv_free(skills);
	return rc;
}

/* ---- actions -----------------------------------------------------------------------------------
 */

static int
check_new_name(const char *name, struct err *e)
{
	if (!*name)
		return err_set_status(e, 400, -EINVAL, "Agent name is required");
	if (strlen(name) > NAME_MAX_LEN)
		return err_set_status(e, 400, -EINVAL, "Agent name must be %d characters or less",
				      NAME_MAX_LEN);
	if (!name_valid(name) || *name == '-' || *name == '_')
		return err_set_status(e, 400, -EINVAL,
				      "Agent name must start with letter/number and contain only "
				      "letters, numbers, hyphens and underscores");
	return 0;
}

int
action_agent_create(struct request *q, struct err *e)
{
	const char *name = request_text(q, "name");
	struct blueprint_files f;
	struct err none = {0};
	struct change c;
	int rc = check_new_name(name, e);
	bool masked;

	if (rc < 0)
		return rc;
	if (check_servers(q))
		return 0;
	if (blueprint_files_find(q->m->cfg, name, false, &f, &none) == 0) {
		masked = f.masked;
		blueprint_files_free(&f);
		if (!masked)
			return err_set_status(e, 409, -EEXIST, "Agent already exists: %s", name);
	}
	change_begin_new(&c, q->m, name);
	change_file(&c, UNIT_MAIN, c.main_path, "[Blueprint]\n", 12);
	rc = apply(q, &c, e);
	if (rc == 0)
		rc = agent_finish(q, &c, "create", 201, e);
	change_free(&c);
	return rc;
}

int
action_agent_patch(struct request *q, struct err *e)
{
	struct change c;
	int rc;

	if (check_servers(q))
		return 0;
	rc = change_begin(&c, q->m, request_text(q, "id"), e);
	if (rc < 0)
		return rc;
	rc = agent_check_version(q, c.f.name, e);
	if (rc == 0)
		rc = apply(q, &c, e);
	if (rc == 0)
		rc = agent_finish(q, &c, "patch", 200, e);
	change_free(&c);
	return rc;
}

int
action_agent_status(struct request *q, struct err *e)
{
	const char *status = request_text(q, "status");
	struct json_object *input = NULL;
	bool active = !strcmp(status, "active");
	struct change c;
	int rc;

	if (!active && strcmp(status, "inactive")) {
		json_object_object_get_ex(q->args, "status", &input);
		refuse(q, "literal_error", "Input should be 'active' or 'inactive'", input,
		       "status", NULL, NULL);
		return 0;
	}
	rc = change_begin(&c, q->m, request_text(q, "id"), e);
	if (rc < 0)
		return rc;
	rc = agent_check_version(q, c.f.name, e);
	if (rc == 0)
		rc = change_enabled(&c, active, e);
	if (rc == 0)
		rc = agent_finish(q, &c, active ? "enable" : "disable", 200, e);
	change_free(&c);
	return rc;
}

static int
put_dropin(struct request *q, const char *dropin, const char *unit, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct change c;
	int rc = change_begin(&c, q->m, request_text(q, "id"), e);

	if (rc < 0)
		return rc;
	path = xasprintf("%s.d/%s.conf", c.main_path, dropin);
	rc = agent_check_version(q, c.f.name, e);
	if (rc == 0) {
		if (*unit)
			change_file(&c, UNIT_DROPIN, path, unit, strlen(unit));
		else
			change_remove(&c, path);
		rc = agent_finish(q, &c, *unit ? "edit" : "remove drop-in", 200, e);
	}
	change_free(&c);
	return rc;
}

/* The name that a whole text is written under: a new one, or the one behind an alias. Caller frees.
 */
static int
name_to_put(struct request *q, char **out, struct err *e)
{
	const char *name = request_text(q, "id");
	struct blueprint_files f;
	struct err none = {0};

	if (!blueprint_name_ok(name))
		return err_set_status(
			e, 400, -EINVAL,
			"Agent name '%.100s' is not valid: it has to match [a-zA-Z0-9_-]{1,60}, "
			"with @INSTANCE behind it for one of a template",
			name);
	if (blueprint_files_find(q->m->cfg, name, false, &f, &none) == 0) {
		*out = xstrdup(f.name);
		blueprint_files_free(&f);
	} else {
		*out = xstrdup(name);
	}
	return 0;
}

int
action_agent_put(struct request *q, struct err *e)
{
	const char *unit = request_text(q, "unit"), *dropin = request_text(q, "dropin");
	CLEANUP_FREE char *name = NULL;
	struct change c;
	int rc;

	if (dropin)
		return put_dropin(q, dropin, unit, e);
	if (!*unit)
		return err_set_status(
			e, 422, -EINVAL,
			"an empty file would mask the blueprint: delete or mask it instead");
	rc = name_to_put(q, &name, e);
	if (rc == 0)
		rc = agent_check_version(q, name, e);
	if (rc < 0)
		return rc;
	change_begin_new(&c, q->m, name);
	change_file(&c, UNIT_MAIN, c.main_path, unit, strlen(unit));
	rc = agent_finish(q, &c, "edit", 200, e);
	change_free(&c);
	return rc;
}
