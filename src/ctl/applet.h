/* SPDX-License-Identifier: MIT */
/*
 * The commands of old, ao-* and doc-*: one row per command and one per option, and the parser that goes by them. They run as programs of
 * their own name, which are links to aoctl; those of documents are also `aoctl doc push` and so on. Manual and completion come from the
 * same rows. What they print, say and return is what scripts and agents have always read; nothing here may be made nicer.
 * Rows and parser are pure; applet_main() is in applet.c, the handlers in ao.c and doc.c.
 */
#ifndef AOD_CTL_APPLET_H
#define AOD_CTL_APPLET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum applet_id {
	APPLET_NEW,
	APPLET_RESUME,
	APPLET_STATUS,
	APPLET_GET_RESULT,
	APPLET_LIST_SESSIONS,
	APPLET_LIST_AGENTS,
	APPLET_SHOW_CONFIG,
	APPLET_CLEAN,
	APPLET_DOC_PUSH,
	APPLET_DOC_PULL,
	APPLET_DOC_READ,
	APPLET_DOC_INFO,
	APPLET_DOC_QUERY,
	APPLET_DOC_SEARCH,
	APPLET_DOC_DELETE,
	APPLET_DOC_CREATE,
	APPLET_DOC_WRITE,
	APPLET_DOC_EDIT,
	APPLET_DOC_LINK,
	APPLET_COUNT,
};
#define APPLET_IS_DOC(id) ((id) >= APPLET_DOC_PUSH)

enum applet_opt {
	APT_PROMPT,
	APT_AGENT,
	APT_PROJECT_DIR,
	APT_SESSIONS_DIR,
	APT_NAME,
	APT_TAGS,
	APT_DESCRIPTION,
	APT_OUTPUT,
	APT_LIMIT,
	APT_OFFSET,
	APT_LENGTH,
	APT_RELATIONS,
	APT_CONTENT,
	APT_OLD,
	APT_NEW,
	APT_ALL,
	APT_JSON,
	APT_TYPES,
	APT_CREATE,
	APT_UPDATE,
	APT_REMOVE,
	APT_TYPE,
	APT_FROM_NOTE,
	APT_TO_NOTE,
	APT_NOTE,
	APT_URL,
	APT_SOCKET,
	APT_ROOT,
	APT_TOKEN,
	APT_CACERT,
	APT_HELP,
	APT_COUNT,
};

/* Which of the three servers of old it spoke to, and so which variables say where that is. */
enum applet_server { SERVER_RUNTIME, SERVER_REGISTRY, SERVER_DOCUMENTS };

struct applet {
	const char *name;
	const char *later;   /* the name that it had later, or NULL */
	const char *word;    /* its only argument, or NULL */
	bool word_optional;
	const char *summary, *details; /* details may be NULL */
};

#define APPLET_BIT(id) (UINT64_C(1) << (id))
#define APPLET_EVERY (~UINT64_C(0))
_Static_assert(APPLET_COUNT <= 63, "applet_option.applets has a bit for each");

struct applet_option {
	enum applet_opt id;
	char letter;       /* or 0 */
	const char *name;
	const char *also;  /* a second name, or NULL */
	const char *arg;   /* TEXT, PATH, INTEGER; NULL: a switch */
	bool required;
	uint64_t applets;
	const char *doc;
};

extern const struct applet applets[APPLET_COUNT];
extern const struct applet_option applet_options[]; /* ends with a NULL name */

struct applet_args {
	enum applet_id id;
	const char *called;	      /* how it was called: "ao-start", "aoctl doc push" */
	bool later;		      /* by its later name */
	const char *value[APT_COUNT]; /* NULL: not given; a switch is "" */
	int64_t number[APT_COUNT];    /* of those whose arg is INTEGER */
	const char *word;
};

static inline bool
applet_has(const struct applet_args *a, enum applet_opt opt)
{
	return a->value[opt] != NULL;
}

/* By the name of the program; *later says which of its names. -1: none. */
int applet_find(const char *name, bool *later);
/* Whether an option is one of this command. */
bool applet_takes(enum applet_id id, const struct applet_option *o);
/*
 * argv[0] is passed over; out->id, called and later are set by the caller, the rest here. Values point into argv. -EINVAL with what the old
 * parser said. A call for help ends the parsing and is no error.
 */
int applet_parse(int argc, char *const *argv, struct applet_args *out, struct err *e);
/* "ao-new [OPTIONS] SESSION_NAME" */
void applet_put_usage(struct buf *out, const struct applet_args *a);
/*
 * Where the server is by the variables of old: DOC_SYNC_SCHEME, _HOST and _PORT for documents, AGENT_ORCHESTRATOR_API_URL and before it
 * _SESSION_MANAGER_URL or _AGENT_API_URL for the others. The caller frees it; NULL: they say nothing.
 */
char *applet_url(enum applet_server server);

/* Runs the program of that name. Returns its exit status, or -1 when there is none of that name. */
int applet_main(const char *name, int argc, char **argv);
struct client_where;
/* `aoctl doc …`: argv[0] is the word after doc; what it is not shows the list of those that are. where: what was given before it. */
int applet_doc_main(int argc, char **argv, const struct client_where *where);

#endif
