/* SPDX-License-Identifier: MIT */
/* From a blueprint and a request to a plan that this host can carry out: what plan_make() wants to know of files. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aod/blueprints.h"
#include "aod/dynuser.h"
#include "aod/gitfind.h"
#include "aod/run.h"
#include "aod/visible.h"
#include "base/fd.h"
#include "base/util.h"
#include "model/env-file.h"

extern char **environ;

#define INPUT_FILE_MAX (1u << 20)

/* What a plan needs of files that the blueprint names. */
struct inputs {
	char *mcp, *system_prompt;
	char **environment;
};

static void
inputs_free(struct inputs *in)
{
	free(in->mcp);
	free(in->system_prompt);
	strv_free(in->environment);
}

/* A file that a blueprint names; a relative path is meant from the blueprint's own directory. */
static int
read_named(const struct blueprint *b, enum directive_id id, const char *name, const char *const *dirs, char **out, size_t *n, struct err *e)
{
	const char *own = blueprint_path(b) ? blueprint_path(b) : ".", *slash = strrchr(own, '/');
	CLEANUP_FREE char *path = *name == '/' ? xstrdup(name) : xasprintf("%.*s/%s", slash ? (int)(slash - own) : 1, slash ? own : ".", name);
	struct buf text = BUF_INIT;
	int rc = blueprint_read_file(path, dirs, INPUT_FILE_MAX, &text, e);

	if (rc < 0) {
		buf_free(&text);
		err_wrap(e, "%s: %s=", own, blueprint_directives[id].key);
		if (e)
			e->status = 422;
		return rc;
	}
	*n = text.len;
	*out = buf_steal(&text);
	return 0;
}

static int
read_environment(const struct blueprint *b, const char *name, const char *const *dirs, char ***env, struct err *e)
{
	CLEANUP_FREE char *text = NULL;
	size_t n;
	int rc = read_named(b, D_EnvironmentFile, name + (*name == '-'), dirs, &text, &n, e);

	if (rc == -ENOENT && *name == '-')
		return 0;
	if (rc == 0 && (rc = env_file_parse(env, text, n, e)) < 0)
		err_wrap(e, "%s: EnvironmentFile=%s", blueprint_path(b), name);
	return rc;
}

/* dirs: where the agent may have put links to what it may not read, NULL: it may read all that aod may. */
static int
read_inputs(const struct blueprint *b, const char *const *dirs, struct inputs *in, struct err *e)
{
	const char *mcp = blueprint_text(b, D_McpConfigFile), *prompt = blueprint_text(b, D_SystemPromptFile);
	char *const *files = blueprint_words(b, D_EnvironmentFile);
	int rc = 0;
	size_t n;

	if (mcp)
		rc = read_named(b, D_McpConfigFile, mcp, dirs, &in->mcp, &n, e);
	if (rc == 0 && prompt)
		rc = read_named(b, D_SystemPromptFile, prompt, dirs, &in->system_prompt, &n, e);
	for (; rc == 0 && files && *files; files++)
		rc = read_environment(b, *files, dirs, &in->environment, e);
	return rc;
}

/* Replace the specifiers of *b. */
static int
expand(struct manager *m, const struct session_row *row, const char *dir, struct blueprint **b, struct err *e)
{
	CLEANUP_FREE char *work = xasprintf("%s/work", dir);
	const char *own = blueprint_text(*b, D_WorkingDirectory);
	struct specifiers s = blueprint_specifiers(m, blueprint_name(*b));
	struct blueprint *expanded;
	struct buf project = BUF_INIT;

	s.session = row->name;
	s.session_id = row->id;
	s.project_dir = row->project_dir && *row->project_dir ? row->project_dir : work;
	s.session_dir = dir;
	/* %d is where it runs, which WorkingDirectory= may say. */
	if (own && s.project_dir == work && specifier_expand(&project, own, &s, NULL) == 0)
		s.project_dir = project.data;
	expanded = blueprint_expand(*b, &s, e);
	buf_free(&project);
	if (!expanded)
		return -EINVAL;
	blueprint_free(*b);
	*b = expanded;
	return 0;
}

const char *
run_default_agent(const char *agent_name, const struct run_args *args)
{
	if (agent_name && *agent_name)
		return agent_name;
	return args && args->command ? "command" : "claude";
}

/* The program of an MCP server and the files among its arguments: what a sandbox has to show. */
static char **
add_server(const struct manager *m, char **visible, struct json_object *server)
{
	struct json_object *command = NULL, *args = NULL;
	CLEANUP_FREE char *path = NULL;
	struct stat st;

	if (json_object_object_get_ex(server, "command", &command) && json_object_is_type(command, json_type_string) &&
	    (path = program_find(m->search_path, json_object_get_string(command))))
		visible = program_visible(visible, m->search_path, path);
	if (!json_object_object_get_ex(server, "args", &args) || !json_object_is_type(args, json_type_array))
		return visible;
	for (size_t i = 0; i < json_object_array_length(args); i++) {
		const char *arg = json_object_get_string(json_object_array_get_idx(args, i));

		if (arg && *arg == '/' && stat(arg, &st) == 0 && S_ISREG(st.st_mode))
			visible = strv_add(visible, arg);
	}
	return visible;
}

/* The commands that aod has for agents: the directory that is first in their PATH, and the program to which all that is in it leads. */
static char **
add_commands(const struct manager *m, char **visible)
{
	CLEANUP_FREE char *bin = xasprintf("%s/bin", m->cfg->libexec), *aoctl = xasprintf("%s/aoctl", bin);
	CLEANUP_FREE char *program = realpath(aoctl, NULL);

	if (program) {
		visible = strv_add(visible, bin);
		visible = strv_add(visible, program);
	}
	return visible;
}

/* An agent may have named some, in a configuration in its project: aod's and other sessions' are not for it. */
static void
drop_ours(const struct manager *m, char **visible)
{
	const char *const ours[] = { m->cfg->state, m->cfg->run, m->cfg->etc };
	char **keep = visible;

	for (; visible && *visible; visible++) {
		CLEANUP_FREE char *real = realpath(*visible, NULL);
		bool drop = false;

		for (size_t i = 0; real && i < ARRAY_LEN(ours); i++)
			drop = drop || path_within(real, ours[i]);
		if (drop)
			free(*visible);
		else
			*keep++ = *visible;
	}
	if (keep)
		*keep = NULL;
}

static char **
visible_files(const struct manager *m, const struct blueprint *b, const char *mcp_config)
{
	char *const *program = blueprint_words(b, D_ExecStart);
	CLEANUP_FREE char *path = program_find(m->search_path, program ? program[0] : "claude");
	char **visible = add_commands(m, NULL);
	struct json_object *o, *servers = NULL;
	struct buf merged = BUF_INIT;
	bool bad;

	/* Only what the blueprint names: a request is not to open further directories. */
	if (path)
		visible = program_visible(visible, m->search_path, path);
	if (!blueprint_mcp_json(&merged, b, mcp_config, &bad))
		return visible;
	o = json_tokener_parse(merged.data);
	if (json_object_object_get_ex(o, "mcpServers", &servers) && json_object_is_type(servers, json_type_object)) {
		struct json_object_iter it;

		json_object_object_foreachC(servers, it)
			visible = add_server(m, visible, it.val);
	}
	drop_ours(m, visible);
	json_object_put(o);
	buf_free(&merged);
	return visible;
}

static const char *
plan_dir(const struct session_row *row, const struct blueprint *b, const char *work)
{
	const char *own = blueprint_text(b, D_WorkingDirectory);

	return row->project_dir && *row->project_dir ? row->project_dir : own ? own : work;
}

/* Who the agent is going to be, as far as it decides what it may search. False: the same as aod. */
static bool
other_user(const struct manager *m, const struct blueprint *b, int64_t *uid, int64_t *gid)
{
	const char *user = blueprint_text(b, D_User);
	enum tristate dynamic = blueprint_tri(b, D_DynamicUser);

	*uid = *gid = -1;
	if (!m->gives.root)
		return false;
	if (user && dynamic != TRI_YES)
		return user_resolve(user, blueprint_text(b, D_Group), uid, gid, NULL) == 0 && *uid != 0;
	return dynamic == TRI_YES || (dynamic == TRI_UNSET && sandbox_profile(b) == SANDBOX_STRICT);
}

/* Whether there is what aod can read and the agent is not to. */
static bool
sees_less(const struct manager *m, const struct blueprint *b)
{
	int64_t uid, gid;

	return sandbox_profile(b) == SANDBOX_STRICT || other_user(m, b, &uid, &gid);
}

/* The first directory above path that this user may not search, as a further word of closed. */
static char **
add_closed(char **closed, const char *path, int64_t uid, int64_t gid)
{
	CLEANUP_FREE char *dir = xstrdup(path);

	for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct stat st;
		mode_t bit;

		*slash = '\0';
		if (stat(dir, &st) < 0)
			return closed;
		bit = st.st_uid == uid ? S_IXUSR : st.st_gid == gid ? S_IXGRP : S_IXOTH;
		if (!(st.st_mode & bit))
			return strv_add(closed, dir);
		*slash = '/';
	}
	return closed;
}

static char **
closed_dirs(const struct manager *m, const struct run_args *args, const struct blueprint *b, const char *dir, const char *cwd,
	    char *const *visible)
{
	char *const *program = args->command ? args->command : blueprint_words(b, D_ExecStart);
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *credentials = xasprintf("%s/credentials", m->cfg->run);
	char **closed = NULL;
	int64_t uid, gid;

	if (!other_user(m, b, &uid, &gid))
		return NULL;
	closed = add_closed(closed, dir, uid, gid);
	closed = add_closed(closed, cwd, uid, gid);
	path = program_find(m->search_path, program ? program[0] : "claude");
	if (path)
		closed = add_closed(closed, path, uid, gid);
	if (blueprint_words(b, D_LoadCredential) || blueprint_words(b, D_SetCredential))
		closed = add_closed(closed, credentials, uid, gid);
	for (; visible && *visible; visible++)
		closed = add_closed(closed, *visible, uid, gid);
	return closed;
}

/* Who the agent is told to be, as systemd.exec(5): name and home of User= where there is one. Both are the caller's to free. */
static void
agent_identity(const struct manager *m, const struct blueprint *b, char **user, char **home)
{
	const char *name = blueprint_text(b, D_User);
	const struct passwd *pw = NULL;
	int64_t uid, gid;

	if (name && other_user(m, b, &uid, &gid) && uid >= 0)
		pw = getpwuid((uid_t)uid);
	else if (other_user(m, b, &uid, &gid))
		name = DYNUSER_NAME;
	else
		name = m->user;
	*user = xstrdup(pw ? pw->pw_name : name);
	*home = xstrdup(pw && *pw->pw_dir == '/' ? pw->pw_dir : m->home);
}

static char **
add_home(char **homes, const char *path)
{
	CLEANUP_FREE char *real = path ? realpath(path, NULL) : NULL;

	return real ? strv_add(homes, real) : homes;
}

/* The homes that may be elsewhere than homes are: of whom aod runs as, by HOME and by passwd, and of the agent's user. */
static char **
user_homes(const struct manager *m, const char *agents)
{
	return add_home(add_home(add_home(NULL, m->home), m->user_home), agents);
}

static int
call_plan_make(struct manager *m, const struct session_row *row, const struct run_args *args, const struct blueprint *b, const struct inputs *in,
	       const char *dir, const char *cwd, struct plan **out, struct err *e)
{
	CLEANUP_FREE char *user = NULL, *home = NULL;
	char **visible = visible_files(m, b, in->mcp), **closed = closed_dirs(m, args, b, dir, cwd, visible);
	char **git_dirs = NULL, **git_files = NULL;
	struct sandbox_paths paths = {
		.visible = visible,
		.state = m->cfg->state,
		.run = m->cfg->run,
		.etc = m->cfg->etc,
		.closed = closed,
		.root = m->gives.root,
		.no_namespaces = !(m->gives.namespaces & CLONE_NEWNS),
	};
	struct plan_request rq = {
		.blueprint = b,
		.session_id = row->id,
		.session_name = row->name,
		.agent_session_id = args->agent_session_id,
		.resume = args->resume,
		.prompt = args->prompt || blueprint_is_set(b, D_Prompt) ? args->prompt : args->prompt_else,
		.prompt_uuid = args->prompt_uuid,
		.command = args->command,
		.project_dir = row->project_dir,
		.session_dir = dir,
		.mcp_config = in->mcp,
		.system_prompt = in->system_prompt,
		.file_environment = in->environment,
		.environ = environ,
		.socket = m->agents_socket,
		.token = args->token,
		.search_path = m->search_path,
		.paths = &paths,
		.totals = m->totals,
	};
	struct budget budget;
	char **homes;
	int rc;

	agent_identity(m, b, &user, &home);
	rq.user = user;
	rq.home = home;
	paths.homes = homes = user_homes(m, home);
	/* In the session's own directory no person works. */
	if (sandbox_profile(b) != SANDBOX_NONE && !path_within(cwd, dir))
		git_find(cwd, &git_dirs, &git_files);
	paths.git_dirs = git_dirs;
	paths.git_files = git_files;
	budget_make(&budget, b);
	rc = budget_of(m, row, &budget, e);
	rq.cost_left = budget_cost_left(m, row, &budget);
	if (rc == 0)
		rc = plan_make(&rq, out, e);
	if (rc == 0)
		(*out)->budget = budget;
	strv_free(git_dirs);
	strv_free(git_files);
	strv_free(homes);
	strv_free(visible);
	strv_free(closed);
	return rc;
}

/*
 * A sandbox gives the project directory to the agent whoever it belongs to, so that a link on the way to it, which an earlier agent may have made, is
 * not followed: a person has to say where it leads.
 */
static int
check_links(const struct plan *p, const char *dir, struct err *e)
{
	CLEANUP_FREE char *path = xstrdup(p->cwd);
	struct stat st;

	if (p->sandbox->mount_count == 0 || path_within(path, dir))
		return 0;
	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		char *end = strchrnul(slash + 1, '/'), was = *end;
		bool link;

		*end = '\0';
		link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
		*end = was;
		if (link) {
			CLEANUP_FREE char *real = realpath(path, NULL);

			return err_set_status(e, 422, -ELOOP, "project_dir '%.150s' goes through a link, to %.150s: give that path if it is meant", path,
					      real ? real : "nowhere");
		}
	}
	return 0;
}

int
run_plan(struct manager *m, const struct session_row *row, const struct run_args *args, struct blueprint *b, struct plan **out,
	 char ***weaker, struct err *e)
{
	CLEANUP_FREE char *dir = agent_dir(m, row->id);
	CLEANUP_FREE char *work = xasprintf("%s/work", dir);
	struct inputs in = { 0 };
	struct stat st;
	int rc = expand(m, row, dir, &b, e);
	const char *cwd = plan_dir(row, b, work), *const agents[] = { dir, cwd, NULL };

	*out = NULL;
	if (rc == 0)
		rc = read_inputs(b, sees_less(m, b) ? agents : NULL, &in, e);
	if (rc == 0)
		rc = call_plan_make(m, row, args, b, &in, dir, cwd, out, e);
	if (rc == 0)
		rc = contain_check(m, b, (*out)->sandbox, weaker, e);
	/* The session's own directory is made later. */
	if (rc == 0 && strcmp((*out)->cwd, work) && (stat((*out)->cwd, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = err_set_status(e, 422, -ENOTDIR, "project_dir '%s' is not a directory on this host: create it, or give another one",
				    (*out)->cwd);
	if (rc == 0)
		rc = check_links(*out, dir, e);
	blueprint_free(b);
	inputs_free(&in);
	if (rc < 0) {
		plan_free(*out);
		*out = NULL;
	}
	return rc;
}

int
run_make_plan(struct manager *m, const struct session_row *row, const struct run_args *args, struct plan **out, struct err *e)
{
	struct blueprint *b;
	int rc = blueprint_load(m, run_default_agent(row->agent_name, args), &b, e);

	return rc < 0 ? rc : run_plan(m, row, args, b, out, NULL, e);
}
