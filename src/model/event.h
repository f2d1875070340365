/* SPDX-License-Identifier: MIT */
/*
 * Events: one row of what happened. Made by adapters and by aod, stored by store/, rendered for clients here.
 *
 * An event's data is the text of JSON object members without the braces, in the order they were put, e.g.
 *	"role":"assistant","content":[{"type":"text","text":"hi"}]
 * so that neither the store nor the front has to parse it again. `keys` says which of the eight nullable wire keys
 * are in it; the renderer adds the others as null, as old clients expect all of them.
 *
 * Types that old clients know (wire-compat): session_start, message, pre_tool, post_tool, session_stop. Further types are in the
 * table event_types[], each with its meaning; a type is never checked on the way in.
 */
#ifndef AOD_MODEL_EVENT_H
#define AOD_MODEL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum event_key {
	KEY_TOOL_NAME,
	KEY_TOOL_INPUT,
	KEY_TOOL_OUTPUT,
	KEY_ERROR,
	KEY_EXIT_CODE,
	KEY_REASON,
	KEY_ROLE,
	KEY_CONTENT,
	KEY_COUNT,
};

extern const char *const event_key_names[KEY_COUNT]; /* "tool_name", ... */

struct event_type {
	const char *name;
	const char *doc;
};
extern const struct event_type event_types[]; /* ends with a NULL name */

#define EVENT_TYPE_MAX 64	  /* bytes of a type name */
#define EVENT_DATA_MAX (32u << 20) /* bytes of data */

/* An event being made. Zero it, event_begin(), put members, hand it over; event_reset() keeps the memory. */
struct event {
	char type[EVENT_TYPE_MAX + 1];
	int64_t time_us;	/* when it happened, wall clock */
	char *timestamp;	/* owned; what a client said of the time, or NULL: time_us is shown */
	uint32_t keys;		/* 1 << enum event_key for each nullable wire key that data holds */
	struct buf data;
	struct buf raw;		/* the line it came from, when that says more than data; empty = none */
};

void event_begin(struct event *ev, const char *type, int64_t time_us);
void event_free(struct event *ev);

/* Put one member. Text is escaped; json is put as it stands and must be one valid JSON value. */
void event_put_text(struct event *ev, enum event_key key, const char *s, size_t n);
void event_put_json(struct event *ev, enum event_key key, const char *json, size_t n);
void event_put_int(struct event *ev, enum event_key key, int64_t v);
/* "content":[{"type":"text","text":s}] */
void event_put_content_text(struct event *ev, const char *s, size_t n);
/* Further keys, beyond the eight. The name is plain ASCII and not one of event_key_names or of the row's own keys
 * (id, seq, run, event_type, session_id, session_name, timestamp, raw). */
void event_extra_text(struct event *ev, const char *name, const char *s, size_t n);
void event_extra_json(struct event *ev, const char *name, const char *json, size_t n);
void event_extra_int(struct event *ev, const char *name, int64_t v);

/* An event as it is stored; all pointers are borrowed. */
struct event_row {
	int64_t id, session, seq, run, time_us;
	const char *session_id, *session_name;
	const char *timestamp; /* or NULL */
	const char *type;
	uint32_t keys;
	const char *data; size_t data_len;
	const char *raw; size_t raw_len; /* raw may be NULL */
};

/*
 * {"id":…,"seq":…,"run":…,"event_type":…,"session_id":…,"session_name":…,"timestamp":…,<data>,<null for each missing key>}
 * with_raw adds "raw" as a JSON string where there is one.
 */
void event_render(struct buf *out, const struct event_row *row, bool with_raw);

#endif
