/* SPDX-License-Identifier: MIT */
/* Events as lines for people: what each type says in a few words. Pure. */
#ifndef AOD_CTL_EVENT_LINE_H
#define AOD_CTL_EVENT_LINE_H

#include <stdbool.h>

#include "base/buf.h"
#include "ctl/output.h"

/* What the event says, uncut and as it came (not yet harmless for a terminal). */
void event_text(struct buf *out, struct json_object *ev);
/* What an agent asks: an event of type question, or the `about` of a question. */
void question_text(struct buf *out, struct json_object *o);
/*
 * "HH:MM:SS.mmm  type  text\n". On a terminal cut to its width, unless full; else with the further lines of a
 * text indented below the first.
 */
void event_short(struct buf *out, const struct look *l, struct json_object *ev, bool full);
/* What was said or printed, and nothing else: the texts of message and output events. */
void event_cat(struct buf *out, const struct look *l, struct json_object *ev);
/* The line that the agent printed, with a newline; nothing for events that come from none. */
void event_raw(struct buf *out, const struct look *l, struct json_object *ev);

#endif
