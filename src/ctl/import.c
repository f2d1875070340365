/* SPDX-License-Identifier: MIT */
/* Agents in the directory format of old. See import.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/import.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/util.h"
#include "ctl/output.h"

/* ---- reading ------------------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_dir(const char *path, const char *name)
{
	CLEANUP_FREE char *full = xasprintf("%s/%s", path, name);
	struct stat st;

	return !stat(full, &st) && S_ISDIR(st.st_mode);
}

char **
import_list(const char *path, struct err *e)
{
	CLEANUP_FREE char *own = xasprintf("%s/agent.json", path);
	struct dirent *entry;
	char **names = NULL;
	size_t n = 0;
	DIR *d;

	if (!access(own, F_OK))
		return strv_add(NULL, ".");
	d = opendir(path);
	if (!d) {
		err_errno(e, -errno, "%s", path);
		return NULL;
	}
	names = xcalloc(1, sizeof(*names));
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.' || !is_dir(path, entry->d_name))
			continue;
		if (++n > IMPORT_AGENTS_MAX) {
			err_set(e, -EFBIG, "%s: more than %d agents", path, IMPORT_AGENTS_MAX);
			strv_free(names);
			closedir(d);
			return NULL;
		}
		names = strv_add(names, entry->d_name);
	}
	closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	return names;
}

/* 1: read; 0: there is no such file; -errno with the path in e. */
static int
read_file(const char *dir, const char *name, struct buf *out, struct err *e)
{
	CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
	int r;

	if (access(path, F_OK))
		return errno == ENOENT ? 0 : err_errno(e, -errno, "%s", path);
	r = file_read(path, IMPORT_FILE_MAX, out, e);
	if (r < 0)
		return r;
	if (out->len && memchr(out->data, 0, out->len))
		return err_set(e, -EINVAL, "%s: has NUL bytes in it", path);
	return 1;
}

/* A file with a JSON object in it; NULL with e->code 0: there is no such file. */
static struct json_object *
read_object(const char *dir, const char *name, struct err *e)
{
	struct buf text = BUF_INIT;
	struct json_object *o = NULL;

	if (read_file(dir, name, &text, e) > 0) {
		o = js_parse(text.data, text.len);
		if (!json_object_is_type(o, json_type_object)) {
			json_object_put(o);
			o = NULL;
			err_set(e, -EINVAL, "%s is no JSON object", name);
		}
	}
	buf_free(&text);
	return o;
}

/* What was allowed of a name then; a file of that name is made. */
static bool
old_name_valid(const char *name)
{
	return name_valid(name) && *name != '_' && *name != '-';
}

static int
take_basics(struct json_object *out, struct json_object *agent, const char *dir, struct err *e)
{
	const char *name = js_str(agent, "name"), *description = js_str(agent, "description"), *slash;
	struct json_object *skills = js_get(agent, "skills");
	CLEANUP_FREE char *real = realpath(dir, NULL);

	if (!name || !description)
		return err_set(e, -EINVAL, "agent.json has no %s", name ? "description" : "name");
	if (!old_name_valid(name))
		return err_set(e, -EINVAL, "agent.json: \"%s\" is no name: up to 60 letters, digits, - and _, a letter or a digit first", name);
	slash = real ? strrchr(real, '/') : NULL;
	if (slash && strcmp(slash + 1, name) != 0)
		return err_set(e, -EINVAL, "agent.json says that the name is %s; the directory's is %s", name, slash + 1);
	json_object_object_add(out, "name", json_object_new_string(name));
	json_object_object_add(out, "description", json_object_new_string(description));
	if (json_object_is_type(skills, json_type_array))
		json_object_object_add(out, "skills", json_object_get(skills));
	else if (skills)
		return err_set(e, -EINVAL, "agent.json: skills is no list");
	return 0;
}

static int
take_prompt(struct json_object *out, const char *dir, struct err *e)
{
	struct buf text = BUF_INIT;
	int r = read_file(dir, "agent.system-prompt.md", &text, e);

	if (r > 0 && text.len)
		json_object_object_add(out, "system_prompt", json_object_new_string_len(text.data, (int)text.len));
	buf_free(&text);
	return r < 0 ? r : 0;
}

/* The file may leave args out, the registry wants it. */
static void
fill_in_args(struct json_object *servers)
{
	json_object_object_foreach(servers, name, server)
	{
		(void)name;
		if (js_str(server, "command") && !js_get(server, "args"))
			json_object_object_add(server, "args", json_object_new_array());
	}
}

static int
take_servers(struct json_object *out, const char *dir, struct err *e)
{
	struct json_object *file = read_object(dir, "agent.mcp.json", e), *servers = js_get(file, "mcpServers");

	if (file && !json_object_is_type(servers, json_type_object)) {
		json_object_put(file);
		return err_set(e, -EINVAL, "agent.mcp.json has no mcpServers");
	}
	if (servers) {
		fill_in_args(servers);
		json_object_object_add(out, "mcp_servers", json_object_get(servers));
	}
	json_object_put(file);
	return e->code;
}

struct json_object *
import_read(const char *dir, struct err *e)
{
	CLEANUP_FREE char *disabled = xasprintf("%s/.disabled", dir);
	struct json_object *agent, *out;
	int r;

	*e = (struct err){ 0 };
	agent = read_object(dir, "agent.json", e);
	if (!agent) {
		if (!e->code)
			err_set(e, -ENOENT, "no agent.json");
		return NULL;
	}
	out = json_object_new_object();
	r = take_basics(out, agent, dir, e);
	if (r == 0)
		r = take_prompt(out, dir, e);
	if (r == 0)
		r = take_servers(out, dir, e);
	json_object_put(agent);
	if (r < 0) {
		json_object_put(out);
		return NULL;
	}
	json_object_object_add(out, "status", json_object_new_string(access(disabled, F_OK) ? "active" : "inactive"));
	return out;
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* The same servers are written in several ways: with or without their type, with members that are null. */
static struct json_object *
plain_servers(struct json_object *servers)
{
	struct json_object *out = json_object_new_object();

	if (!json_object_is_type(servers, json_type_object))
		return out;
	json_object_object_foreach(servers, name, server)
	{
		struct json_object *plain = json_object_new_object();

		json_object_object_add(out, name, plain);
		if (!json_object_is_type(server, json_type_object))
			continue;
		json_object_object_foreach(server, key, value)
		{
			bool empty = json_object_is_type(value, json_type_object) ? !json_object_object_length(value) : !value;

			if (!empty)
				json_object_object_add(plain, key, json_object_get(value));
		}
		if (!js_get(plain, "type"))
			json_object_object_add(plain, "type", json_object_new_string(js_get(plain, "command") ? "stdio" : "http"));
		if (js_get(plain, "command") && !js_get(plain, "args"))
			json_object_object_add(plain, "args", json_object_new_array());
	}
	return out;
}

static bool
same_servers(struct json_object *a, struct json_object *b)
{
	struct json_object *x = plain_servers(a), *y = plain_servers(b);
	bool same = json_object_equal(x, y);

	json_object_put(x);
	json_object_put(y);
	return same;
}

static bool
same_text(struct json_object *a, struct json_object *b)
{
	const char *s = json_object_is_type(a, json_type_string) ? json_object_get_string(a) : "";
	const char *t = json_object_is_type(b, json_type_string) ? json_object_get_string(b) : "";
	size_t n = strlen(s), m = strlen(t);

	/* A newline at the end of a file is no part of a prompt. */
	while (n && s[n - 1] == '\n')
		n--;
	while (m && t[m - 1] == '\n')
		m--;
	return n == m && !memcmp(s, t, n);
}

static bool
same_list(struct json_object *a, struct json_object *b)
{
	size_t n = json_object_is_type(a, json_type_array) ? json_object_array_length(a) : 0;
	size_t m = json_object_is_type(b, json_type_array) ? json_object_array_length(b) : 0;

	return (!n && !m) || json_object_equal(a, b);
}

static struct json_object *
empty_text(void)
{
	return json_object_new_string("");
}

static const struct member {
	const char *name;
	bool (*same)(struct json_object *a, struct json_object *b);
	struct json_object *(*none)(void); /* what clears it in a PATCH */
} members[] = {
	{ "description", same_text, empty_text },
	{ "system_prompt", same_text, empty_text },
	{ "mcp_servers", same_servers, json_object_new_object },
	{ "skills", same_list, json_object_new_array },
};

void
import_compare(struct json_object *want, struct json_object *have, struct json_object **patch, const char **status, struct buf *what)
{
	const char *wanted = js_str(want, "status"), *is = js_str(have, "status");
	size_t i;

	*patch = NULL;
	*status = NULL;
	for (i = 0; i < ARRAY_LEN(members); i++) {
		struct json_object *v = js_get(want, members[i].name);

		if (members[i].same(v, js_get(have, members[i].name)))
			continue;
		if (!*patch)
			*patch = json_object_new_object();
		json_object_object_add(*patch, members[i].name, v ? json_object_get(v) : members[i].none());
		buf_printf(what, "%s%s", what->len ? ", " : "", members[i].name);
	}
	if (wanted && is && strcmp(wanted, is) != 0) {
		*status = wanted;
		buf_printf(what, "%sstatus", what->len ? ", " : "");
	}
}
