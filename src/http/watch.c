/* SPDX-License-Identifier: MIT */
/* The list of requests that wait for a session; see watch.h. Used by query.c, forward.c, stream.c,
 * run by server.c. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/util.h"
#include "http/server.h"
#include "http/watch.h"

#define FAR_US (3600 * 1000000LL)
#define SHARE 4 /* after a round that found nothing, rest for so many times its length */

static h2o_linklist_t waiting, round_list;
static bool rung;
static int64_t rest_until_us;
static int64_t next_wake_us;

void
watch_init(void)
{
	h2o_linklist_init_anchor(&waiting);
	h2o_linklist_init_anchor(&round_list);
}

void
watch_add(struct watch *w)
{
	watch_remove(w);
	h2o_linklist_insert(&waiting, &w->link);
	if (w->wake_us < next_wake_us)
		next_wake_us = w->wake_us;
}

void
watch_remove(struct watch *w)
{
	if (h2o_linklist_is_linked(&w->link))
		h2o_linklist_unlink(&w->link);
}

void
watch_bell(void)
{
	rung = true;
}

void
watch_work(int64_t now)
{
	bool bell = rung && now >= rest_until_us, useful = false;

	if (h2o_linklist_is_empty(&waiting)) {
		rung = false;
		next_wake_us = now + FAR_US;
		return;
	}
	if (!bell && now < next_wake_us)
		return;
	if (bell)
		rung = false;
	/* Those that check() adds or removes meanwhile do not disturb the round. */
	h2o_linklist_insert_list(&round_list, &waiting);
	next_wake_us = now + FAR_US;
	while (!h2o_linklist_is_empty(&round_list)) {
		struct watch *w = H2O_STRUCT_FROM_MEMBER(struct watch, link, round_list.next);

		h2o_linklist_unlink(&w->link);
		h2o_linklist_insert(&waiting, &w->link);
		if (bell || now >= w->wake_us)
			useful |= w->check(w, now);
		else if (w->wake_us < next_wake_us)
			next_wake_us = w->wake_us;
	}
	/* check() may have moved its own time. */
	for (h2o_linklist_t *l = waiting.next; l != &waiting; l = l->next) {
		struct watch *w = H2O_STRUCT_FROM_MEMBER(struct watch, link, l);

		if (w->wake_us < next_wake_us)
			next_wake_us = w->wake_us;
	}
	if (bell && !useful)
		rest_until_us = now + SHARE * (mono_us() - now);
}

int64_t
watch_next(void)
{
	return rung && rest_until_us < next_wake_us ? rest_until_us : next_wake_us;
}

void
watch_quit(void)
{
	rung = true;
	rest_until_us = 0;
}
