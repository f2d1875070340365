/* SPDX-License-Identifier: MIT */
/*
 * The databases of an older installation: observability.db with its sessions and events, documents.db with what is known of its documents.
 * Opened for reading only; columns are found by their names, so that those of other versions do as well.
 */
#ifndef AOD_CTL_OLD_STORE_H
#define AOD_CTL_OLD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_object;

enum old_kind { OLD_NEITHER, OLD_SESSIONS, OLD_DOCUMENTS };

struct old_store;
/* NULL with e set when it is no database that can be read. What it holds is said by the tables in it. */
struct old_store *old_open(const char *path, struct err *e);
void old_close(struct old_store *s);
enum old_kind old_kind(const struct old_store *s);

/*
 * Each session, oldest first, or each document: an object with the columns of its row that are not null, times as ISO 8601 with their zone,
 * metadata as an object; a document has its tags as well. The object is valid during the call. A negative value of cb ends it.
 */
typedef int (*old_row_cb)(struct json_object *row, void *arg, struct err *e);
int old_each(struct old_store *s, old_row_cb cb, void *arg, struct err *e);
/* How many events a session has; -errno. */
int64_t old_event_count(struct old_store *s, const char *session_id, struct err *e);
/*
 * Its events from number `from` on, as an array of what POST /sessions/{id}/events takes: as many as have together about max bytes, at least one,
 * at most 1000. NULL with e set; the caller puts it.
 */
struct json_object *old_events(struct old_store *s, const char *session_id, const char *session_name, int64_t from, size_t max, struct err *e);

/* A time as it was written there, naive ones being local: ISO 8601 with zone, appended. False: it is none. Pure but for the zone. */
bool old_time(struct buf *out, const char *text);
/* A name that is one here: what is not allowed becomes a dash. The caller frees it. Pure. */
char *old_name(const char *name);

#endif
