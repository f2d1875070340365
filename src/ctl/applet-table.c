/* SPDX-License-Identifier: MIT */
/* The rows of the commands of old, and their parser. See applet.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "ctl/applet.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define A(id) APPLET_BIT(APPLET_##id)
#define OF_SESSION (A(NEW) | A(RESUME) | A(STATUS) | A(GET_RESULT) | A(SHOW_CONFIG) | A(LIST_SESSIONS) | A(CLEAN))

const struct applet applets[APPLET_COUNT] = {
	[APPLET_NEW] = { "ao-new", "ao-start", "SESSION_NAME", false, "Start a session, wait until it has ended, print its result.",
			 "Standard input, where it is no terminal, is added to the prompt after a line break." },
	[APPLET_RESUME] = { "ao-resume", NULL, "SESSION_NAME", false, "Give a session a further prompt, wait, print the result.",
			    "The prompt is as with ao-new." },
	[APPLET_STATUS] = { "ao-status", NULL, "SESSION_NAME", false, "Print running, finished or not_existent.", NULL },
	[APPLET_GET_RESULT] = { "ao-get-result", NULL, "SESSION_NAME", false, "Print the result of a finished session.", NULL },
	[APPLET_LIST_SESSIONS] = { "ao-list-sessions", NULL, NULL, false, "List all sessions, one line each.", NULL },
	[APPLET_LIST_AGENTS] = { "ao-list-agents", "ao-list-blueprints", NULL, false, "List the blueprints that can be started.", NULL },
	[APPLET_SHOW_CONFIG] = { "ao-show-config", NULL, "SESSION_NAME", false, "Show what a session was started with.", NULL },
	[APPLET_CLEAN] = { "ao-clean", "ao-delete-all", NULL, false, "Delete all sessions, one by one.", NULL },
	[APPLET_DOC_PUSH] = { "doc-push", NULL, "FILE_PATH", false, "Store a file as a document; print it.",
			      "With - the content is taken from standard input, and --name says what it is called." },
	[APPLET_DOC_PULL] = { "doc-pull", NULL, "DOCUMENT_ID", false, "Write a document to a file.",
			      "The file is complete or not there: it is written beside its place and renamed once its checksum was found right." },
	[APPLET_DOC_READ] = { "doc-read", NULL, "DOCUMENT_ID", false, "Print the text of a document.",
			      "Only text/*, application/json and application/xml, and only UTF-8." },
	[APPLET_DOC_INFO] = { "doc-info", NULL, "DOCUMENT_ID", false, "Print what is known of a document.", NULL },
	[APPLET_DOC_QUERY] = { "doc-query", NULL, NULL, false, "List documents by name and tags.", NULL },
	[APPLET_DOC_SEARCH] = { "doc-search", NULL, "QUERY", false, "Search the texts of documents.", NULL },
	[APPLET_DOC_DELETE] = { "doc-delete", NULL, "DOCUMENT_ID", false, "Delete a document.", NULL },
	[APPLET_DOC_CREATE] = { "doc-create", NULL, NULL, false, "Make an empty document, to be written later.", NULL },
	[APPLET_DOC_WRITE] = { "doc-write", NULL, "DOCUMENT_ID", false, "Replace the content of a document.",
			       "The content is standard input where --content does not say it." },
	[APPLET_DOC_EDIT] = { "doc-edit", NULL, "DOCUMENT_ID", false, "Replace a piece of a document's text.",
			      "Either the text that is --old-string, which must be there once unless --replace-all is given, or --length characters from "
			      "--offset on. With --json the same is read from standard input as an object: old_string, new_string, replace_all, offset, "
			      "length." },
	[APPLET_DOC_LINK] = { "doc-link", NULL, "TO_DOCUMENT", true, "Relations between documents.",
			      "One of --types, --create FROM TO --type TYPE, --update RELATION --note TEXT, --remove RELATION." },
};

const struct applet_option applet_options[] = {
	{ APT_PROMPT, 'p', "prompt", NULL, "TEXT", false, A(NEW) | A(RESUME), "What the agent is to do." },
	{ APT_AGENT, 0, "agent", NULL, "TEXT", false, A(NEW), "Blueprint to run." },
	{ APT_PROJECT_DIR, 0, "project-dir", NULL, "PATH", false, OF_SESSION | A(LIST_AGENTS),
	  "Working directory of the agent (ao-new), else AGENT_ORCHESTRATOR_PROJECT_DIR, else the current one. A session keeps the one that it has." },
	{ APT_SESSIONS_DIR, 0, "sessions-dir", NULL, "PATH", false, OF_SESSION, "Taken and not used: sessions are aod's." },
	{ APT_TAGS, 0, "tags", NULL, "TEXT", false, A(LIST_AGENTS), "Only blueprints with all of these tags, separated by commas." },
	{ APT_NAME, 0, "name", NULL, "TEXT", false, A(DOC_PUSH), "What the document is called; default the file's name." },
	{ APT_NAME, 0, "name", NULL, "TEXT", true, A(DOC_CREATE), "What the document is called." },
	{ APT_NAME, 0, "name", NULL, "TEXT", false, A(DOC_QUERY), "Only documents with this in their name." },
	{ APT_TAGS, 0, "tags", NULL, "TEXT", false, A(DOC_PUSH) | A(DOC_CREATE), "Tags, separated by commas." },
	{ APT_TAGS, 0, "tags", NULL, "TEXT", false, A(DOC_QUERY), "Only documents with all of these tags, separated by commas." },
	{ APT_DESCRIPTION, 0, "description", NULL, "TEXT", false, A(DOC_PUSH) | A(DOC_CREATE), "Kept in its metadata as description." },
	{ APT_OUTPUT, 'o', "output", NULL, "TEXT", false, A(DOC_PULL), "File to write, - for standard output; default the document's name." },
	{ APT_LIMIT, 0, "limit", NULL, "INTEGER", false, A(DOC_QUERY), "At most so many." },
	{ APT_LIMIT, 'l', "limit", NULL, "INTEGER", false, A(DOC_SEARCH), "At most so many documents; default 10." },
	{ APT_OFFSET, 'o', "offset", NULL, "INTEGER", false, A(DOC_READ), "Character to begin with, counted from 0." },
	{ APT_LIMIT, 'l', "limit", NULL, "INTEGER", false, A(DOC_READ), "So many characters." },
	{ APT_RELATIONS, 0, "include-relations", NULL, NULL, false, A(DOC_QUERY) | A(DOC_SEARCH), "With the relations of each document." },
	{ APT_CONTENT, 0, "content", NULL, "TEXT", false, A(DOC_WRITE), "The content." },
	{ APT_OLD, 0, "old-string", NULL, "TEXT", false, A(DOC_EDIT), "Text that is replaced." },
	{ APT_NEW, 0, "new-string", NULL, "TEXT", false, A(DOC_EDIT), "Text that takes its place." },
	{ APT_ALL, 0, "replace-all", NULL, NULL, false, A(DOC_EDIT), "Wherever it stands." },
	{ APT_OFFSET, 0, "offset", NULL, "INTEGER", false, A(DOC_EDIT), "Character at which to replace, counted from 0." },
	{ APT_LENGTH, 0, "length", NULL, "INTEGER", false, A(DOC_EDIT), "Characters that are replaced; default 0, which inserts." },
	{ APT_JSON, 0, "json", NULL, NULL, false, A(DOC_EDIT), "Read what to do from standard input." },
	{ APT_TYPES, 0, "types", NULL, NULL, false, A(DOC_LINK), "List the types of relations." },
	{ APT_CREATE, 0, "create", NULL, "TEXT", false, A(DOC_LINK), "Relate this document to TO_DOCUMENT." },
	{ APT_UPDATE, 0, "update", NULL, "TEXT", false, A(DOC_LINK), "Change the note of this relation." },
	{ APT_REMOVE, 0, "remove", NULL, "TEXT", false, A(DOC_LINK), "Remove this relation." },
	{ APT_TYPE, 't', "type", NULL, "TEXT", false, A(DOC_LINK), "Type of a new relation." },
	{ APT_FROM_NOTE, 0, "from-note", "from-to-note", "TEXT", false, A(DOC_LINK), "Note of the first document on the second." },
	{ APT_TO_NOTE, 0, "to-note", "to-from-note", "TEXT", false, A(DOC_LINK), "Note of the second document on the first." },
	{ APT_NOTE, 'n', "note", NULL, "TEXT", false, A(DOC_LINK), "The new note." },

	{ APT_URL, 0, "url", NULL, "TEXT", false, APPLET_EVERY, "Talk to aod over TCP, such as http://127.0.0.1:8765." },
	{ APT_SOCKET, 0, "socket", NULL, "PATH", false, APPLET_EVERY, "Talk to aod over this unix socket." },
	{ APT_ROOT, 0, "root", NULL, "PATH", false, APPLET_EVERY, "The same as --socket PATH/run/aod.sock." },
	{ APT_TOKEN, 0, "token", NULL, "TEXT", false, APPLET_EVERY, "Token to show; default AOD_TOKEN." },
	{ APT_CACERT, 0, "cacert", NULL, "PATH", false, APPLET_EVERY, "Certificates to trust, instead of the system's." },
	{ APT_HELP, 0, "help", NULL, NULL, false, APPLET_EVERY, "Show this message and exit." },
	{ 0 },
};

int
applet_find(const char *name, bool *later)
{
	int i;

	for (i = 0; i < APPLET_COUNT; i++) {
		*later = applets[i].later && !strcmp(applets[i].later, name);
		if (*later || !strcmp(applets[i].name, name))
			return i;
	}
	return -1;
}

bool
applet_takes(enum applet_id id, const struct applet_option *o)
{
	return o->applets == APPLET_EVERY || o->applets & APPLET_BIT(id);
}

void
applet_put_usage(struct buf *out, const struct applet_args *a)
{
	const struct applet *t = &applets[a->id];

	buf_printf(out, "%s [OPTIONS]", a->called);
	if (t->word)
		buf_printf(out, t->word_optional ? " [%s]" : " %s", t->word);
}

static int
store(struct applet_args *a, const struct applet_option *o, const char *value, struct err *e)
{
	a->value[o->id] = value;
	if (o->arg && !strcmp(o->arg, "INTEGER") && !parse_i64(value, INT64_MIN, INT64_MAX, &a->number[o->id]))
		return err_set(e, -EINVAL, "Invalid value for '--%s': '%s' is not a valid integer.", o->name, value);
	return 0;
}

/* The same for --NAME, --NAME=VALUE and -n, -nVALUE: value is what hangs on it, or NULL. Returns how many further words it took. */
static int
take_option(struct applet_args *a, const struct applet_option *o, const char *typed, const char *value, const char *next, struct err *e)
{
	int r;

	if (!o->name)
		return err_set(e, -EINVAL, "No such option: %s", typed);
	if (!o->arg && value)
		return err_set(e, -EINVAL, "Option '%s' does not take a value.", typed);
	if (o->arg && !value && !next)
		return err_set(e, -EINVAL, "Option '%s' requires an argument.", typed);
	r = store(a, o, !o->arg ? "" : value ? value : next, e);
	return r < 0 ? r : o->arg && !value;
}

static int
parse_long(struct applet_args *a, const char *word, const char *next, struct err *e)
{
	const char *eq = strchr(word, '=');
	CLEANUP_FREE char *typed = eq ? xstrndup(word, (size_t)(eq - word)) : xstrdup(word);
	const struct applet_option *o;

	for (o = applet_options; o->name; o++)
		if (applet_takes(a->id, o) && (!strcmp(o->name, typed + 2) || (o->also && !strcmp(o->also, typed + 2))))
			break;
	return take_option(a, o, typed, eq ? eq + 1 : NULL, next, e);
}

static int
parse_short(struct applet_args *a, const char *word, const char *next, struct err *e)
{
	const struct applet_option *o;
	int r = 0;

	for (word++; *word && r == 0; word++) {
		const char typed[] = { '-', *word, 0 };

		for (o = applet_options; o->name; o++)
			if (o->letter == *word && applet_takes(a->id, o))
				break;
		r = take_option(a, o, typed, o->name && o->arg && word[1] ? word + 1 : NULL, next, e);
		if (o->name && o->arg)
			break;
	}
	return r;
}

static int
check(const struct applet_args *a, struct err *e)
{
	const struct applet *t = &applets[a->id];
	const struct applet_option *o;

	for (o = applet_options; o->name; o++)
		if (o->required && applet_takes(a->id, o) && !a->value[o->id])
			return err_set(e, -EINVAL, "Missing option '--%s'.", o->name);
	if (t->word && !t->word_optional && !a->word)
		return err_set(e, -EINVAL, "Missing argument '%s'.", t->word);
	return 0;
}

int
applet_parse(int argc, char *const *argv, struct applet_args *out, struct err *e)
{
	bool words_only = false;
	int i, r = 0;

	for (i = 1; i < argc && !applet_has(out, APT_HELP); i += r + 1) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

		r = 0;
		if (!words_only && !strcmp(word, "--"))
			words_only = true;
		else if (!words_only && str_starts(word, "--"))
			r = parse_long(out, word, next, e);
		else if (!words_only && word[0] == '-' && word[1])
			r = parse_short(out, word, next, e);
		else if (!applets[out->id].word || out->word)
			r = err_set(e, -EINVAL, "Got unexpected extra argument (%s)", word);
		else
			out->word = word;
		if (r < 0)
			return r;
	}
	return applet_has(out, APT_HELP) ? 0 : check(out, e);
}

static const char *
set_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

char *
applet_url(enum applet_server server)
{
	const char *scheme = set_env("DOC_SYNC_SCHEME"), *host = set_env("DOC_SYNC_HOST"), *port = set_env("DOC_SYNC_PORT");
	const char *url = set_env("AGENT_ORCHESTRATOR_API_URL");

	if (server == SERVER_DOCUMENTS) {
		if (!scheme && !host && !port)
			return NULL;
		return xasprintf("%s://%s:%s", scheme ? scheme : "http", host ? host : "localhost", port ? port : "8766");
	}
	if (!url)
		url = set_env(server == SERVER_REGISTRY ? "AGENT_ORCHESTRATOR_AGENT_API_URL" : "AGENT_ORCHESTRATOR_SESSION_MANAGER_URL");
	return xstrdup(url);
}
