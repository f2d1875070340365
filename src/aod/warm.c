/* SPDX-License-Identifier: MIT */
/*
 * What starts need and no request is to wait for, made when aod has nothing else to do: after its own start the filters of the profiles, each of which
 * takes milliseconds; after each start of a run what that has used up.
 */
#include "config.h"

#include <string.h>

#include "aod/contain.h"
#include "aod/dynuser.h"
#include "aod/manager.h"
#include "aod/seccomp.h"
#include "aod/spare.h"
#include "base/log.h"
#include "base/util.h"
#include "model/blueprint.h"
#include "model/sandbox.h"

static void
make_filter(struct manager *m, enum sandbox_profile profile)
{
	CLEANUP_FREE char *text = xasprintf("[Agent]\nAdapter=command\n[Sandbox]\nSandbox=%s\n", sandbox_profile_name(profile));
	/* The same as of any run: no path is part of a filter. */
	const struct sandbox_paths paths = { .cwd = m->cfg->state, .own = m->cfg->state, .tmp = "/tmp", .run = m->cfg->run, .root = m->gives.root };
	struct blueprint_problems problems = BLUEPRINT_PROBLEMS_INIT;
	struct blueprint *b = blueprint_new("warm", NULL), *effective;
	struct sandbox *s = NULL;
	struct err e = { 0 };
	bool none, notify;

	blueprint_add(b, NULL, text, strlen(text), &problems);
	effective = sandbox_effective(b);
	if (sandbox_make(effective, &paths, &m->totals, &s, &e) < 0 || (seccomp_get(m->seccomp, &s->syscalls, &none, &notify, &e) < 0 && !none))
		log_warn("the filter of Sandbox=%s: %s", sandbox_profile_name(profile), e.text);
	sandbox_free(s);
	blueprint_free(effective);
	blueprint_free(b);
	blueprint_problems_free(&problems);
}

static void
on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct manager *m = CONTAINER_OF(w, struct manager, warm_w);

	if (m->warm >= SANDBOX_NONE) {
		make_filter(m, (enum sandbox_profile)m->warm--);
		return;
	}
	if (spares_make(m->spares))
		return;
	if (m->gives.root)
		dynuser_look_ahead(m->dynusers);
	ev_idle_stop(loop, w);
}

void
contain_warm_init(struct manager *m)
{
	m->warm = SANDBOX_STRICT;
	ev_idle_init(&m->warm_w, on_idle);
}

void
contain_warm(struct manager *m)
{
	ev_idle_start(m->loop, &m->warm_w);
}
