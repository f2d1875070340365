/* SPDX-License-Identifier: MIT */
/*
 * Agents in the directory format of old: DIR/NAME/ with agent.json (name, description, skills), agent.system-prompt.md, agent.mcp.json
 * and, when it is inactive, an empty .disabled. Read into the registry's wire object, and compared with one that the registry has.
 */
#ifndef AOD_CTL_IMPORT_H
#define AOD_CTL_IMPORT_H

#include "base/buf.h"
#include "base/err.h"

struct json_object;

#define IMPORT_FILE_MAX (1u << 20) /* bytes */
#define IMPORT_AGENTS_MAX 10000

/*
 * The names of the agents' directories below path, sorted; "." alone when path is the directory of an agent itself. Directories whose name begins
 * with a dot are passed over. NULL with e set when path cannot be read; strv_free() it.
 */
char **import_list(const char *path, struct err *e);
/*
 * {"name","description","system_prompt","mcp_servers","skills","status"}, all but the unset ones; the caller puts it. NULL and the
 * reason in e when the directory is no agent.
 */
struct json_object *import_read(const char *dir, struct err *e);
/*
 * What has to be sent so that `have` (as GET /agents/{name} gives it) says what `want` does. *patch: body of PATCH /agents/{name}, or NULL; *status:
 * that of PATCH …/status, or NULL. what: the names of the members that differ, "a, b". Pure. An empty text, list or object is the same as none.
 */
void import_compare(struct json_object *want, struct json_object *have, struct json_object **patch, const char **status, struct buf *what);

#endif
