/* SPDX-License-Identifier: MIT */
/* The feed: events and changes in one order, for who follows the whole store or one session. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/store-internal.h"

/* One of the two sources that are merged. */
struct source {
	sqlite3_stmt *st;
	int64_t id; /* of the row it stands at; INT64_MAX at the end */
};

static int
source_next(struct store *s, struct source *src, struct err *e)
{
	int r = store_step(s, src->st, e);

	if (r > 0)
		src->id = sqlite3_column_int64(src->st, 0);
	else
		src->id = INT64_MAX;
	return r < 0 ? r : 0;
}

/*
 * Id and name of a session. Remembered for one call of the feed only, within which nothing changes. Joining session to
 * each event costs more.
 */
static int
names_get(struct store *s, int64_t n, const struct store_names **out, struct err *e)
{
	struct store_names *slot = &s->names[(uint64_t)n % STORE_NAMES];
	sqlite3_stmt *st;
	int r;

	*out = slot;
	if (slot->n == n)
		return 0;
	if ((r = store_names_query(s, n, &st, e)) < 0)
		return r;
	buf_reset(&slot->text);
	buf_put(&slot->text, col_text(st, 0), sqlite3_column_bytes(st, 0) + 1);
	slot->name_at = slot->text.len;
	slot->has_name = sqlite3_column_type(st, 1) != SQLITE_NULL;
	if (slot->has_name)
		buf_put(&slot->text, col_text(st, 1), sqlite3_column_bytes(st, 1) + 1);
	slot->n = n;
	sqlite3_reset(st);
	return 0;
}

static int
give_event(struct store *s, sqlite3_stmt *st, store_feed_cb cb, void *arg, struct err *e)
{
	const struct store_names *names;
	struct event_row row;
	int r;

	store_event_row(st, &row);
	r = names_get(s, row.session, &names, e);
	if (r < 0) /* of a session that was deleted, not purged yet: nobody wants it */
		return r == -ENOENT ? 0 : r;
	row.session_id = names->text.data;
	row.session_name = names->has_name ? names->text.data + names->name_at : NULL;
	return cb(&row, NULL, arg);
}

static int
give_change(sqlite3_stmt *st, store_feed_cb cb, void *arg)
{
	struct change_row row = {
		.id = sqlite3_column_int64(st, 0),
		.session = sqlite3_column_int64(st, 1),
		.kind = col_text(st, 2),
		.json = col_text(st, 3),
		.json_len = sqlite3_column_bytes(st, 3),
	};

	return cb(NULL, &row, arg);
}

/* The id of an event; 0 when there is none with that seq. */
static int
event_id(struct store *s, int64_t session, int64_t seq, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_EVENT_ID, e);
	int r;

	*out = 0;
	if (!st)
		return s->code;
	sqlite3_bind_int64(st, 1, session);
	sqlite3_bind_int64(st, 2, seq);
	if ((r = store_step(s, st, e)) > 0) {
		*out = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/*
 * The greatest seq of a session whose id is not above `after`: the two grow together. Looks from the end in growing
 * steps first, as followers are near it, then halves.
 */
static int
seq_at(struct store *s, int64_t session, int64_t after, int64_t *out, struct err *e)
{
	int64_t low = 0, high, id, step = 1;
	sqlite3_stmt *st;
	int r = store_names_query(s, session, &st, e);

	*out = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* deleted: its last changes are still there */
	high = sqlite3_column_int64(st, 2) + 1; /* the first that is known to be above */
	sqlite3_reset(st);
	while (after > 0 && high > low + 1) {
		int64_t seq = step > 0 ? high - step : low + (high - low) / 2;

		if (seq <= low)
			seq = low + (high - low) / 2;
		if ((r = event_id(s, session, seq, &id, e)) < 0)
			return r;
		if (id > after) {
			high = seq;
			step *= 2;
		} else {
			low = seq;
			step = 0;
		}
	}
	*out = low;
	return 0;
}

static int
open_events(struct store *s, int64_t after, int64_t session, int64_t limit, sqlite3_stmt **out, struct err *e)
{
	int r;

	if (session > 0) {
		if ((r = seq_at(s, session, after, &after, e)) < 0)
			return r;
		if (!(*out = store_query(s, Q_EVENTS, e)))
			return s->code;
		sqlite3_bind_int64(*out, 1, session);
	} else {
		if (!(*out = store_query(s, Q_FEED_EVENTS, e)))
			return s->code;
	}
	sqlite3_bind_int64(*out, session > 0 ? 2 : 1, after);
	sqlite3_bind_int64(*out, session > 0 ? 3 : 2, limit);
	return 0;
}

static int
open_changes(struct store *s, int64_t after, int64_t session, int64_t limit, sqlite3_stmt **out, struct err *e)
{
	if (!(*out = store_query(s, session > 0 ? Q_FEED_CHANGES_SESSION : Q_FEED_CHANGES, e)))
		return s->code;
	sqlite3_bind_int64(*out, 1, after);
	sqlite3_bind_int64(*out, 2, limit);
	if (session > 0)
		sqlite3_bind_int64(*out, 3, session);
	return 0;
}

static int
merge(struct store *s, struct source *events, struct source *changes, int64_t limit, store_feed_cb cb, void *arg,
      struct err *e)
{
	int r;

	if ((r = source_next(s, events, e)) < 0 || (r = source_next(s, changes, e)) < 0)
		return r;
	for (; limit > 0; limit--) {
		bool event = events->id < changes->id;

		s->feed_reached = event ? events->id : changes->id;
		if (events->id == changes->id) /* both at their end */
			break;
		r = event ? give_event(s, events->st, cb, arg, e) : give_change(changes->st, cb, arg);
		if (r != 0 || (r = source_next(s, event ? events : changes, e)) < 0)
			return r;
	}
	return 0;
}

int
store_feed(struct store *s, int64_t after, int64_t session, int64_t limit, store_feed_cb cb, void *arg,
	   struct err *e)
{
	struct source events = { NULL, 0 }, changes = { NULL, 0 };
	int r;

	s->feed_reached = after;
	if (limit <= 0)
		return 0;
	/*
	 * One snapshot for both: had one source come to its end before a commit, and the other been read after it, the
	 * caller's cursor would jump over what the commit put into the first.
	 */
	if ((r = store_read_begin(s, e)) < 0)
		return r;
	for (int i = 0; i < STORE_NAMES; i++)
		s->names[i].n = 0;
	if ((r = open_events(s, after, session, limit, &events.st, e)) == 0 &&
	    (r = open_changes(s, after, session, limit, &changes.st, e)) == 0)
		r = merge(s, &events, &changes, limit, cb, arg, e);
	if (events.st)
		sqlite3_reset(events.st);
	if (changes.st)
		sqlite3_reset(changes.st);
	store_read_end(s);
	return r;
}

int64_t
store_feed_reached(const struct store *s)
{
	return s->feed_reached;
}

int64_t
store_feed_floor(struct store *s)
{
	struct buf *b = &s->scratch;
	int64_t floor = 0;

	buf_reset(b);
	if (store_meta_get(s, "change_floor", b, NULL) == 0)
		parse_i64(b->data, 0, INT64_MAX, &floor);
	return floor;
}
