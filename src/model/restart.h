/* SPDX-License-Identifier: MIT */
/*
 * Whether and when a run that has ended is started again: Restart= and what belongs to it, as in systemd.service(5). Pure.
 *
 * The classes of ends are systemd's, and agents' own ends are sorted into them: what a later try may not have (rate-limited, overloaded) is
 * `transient`. Ends that no try can mend (auth, billing), a stop by a person and start-limit-hit are never followed by a restart.
 */
#ifndef AOD_MODEL_RESTART_H
#define AOD_MODEL_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/session.h"

/* In the order of the words of Restart= in the directive table. */
enum restart {
	RESTART_NO,
	RESTART_ALWAYS,
	RESTART_ON_SUCCESS,
	RESTART_ON_FAILURE,
	RESTART_ON_ABNORMAL,
	RESTART_ON_ABORT,
	RESTART_ON_WATCHDOG,
	RESTART_ON_TRANSIENT,
	RESTART_COUNT,
};

struct restart_policy {
	enum restart when;
	bool fresh;			  /* RestartMode= */
	int64_t delay_us, max_delay_us;	  /* RestartSec=, RestartMaxDelaySec=: INT64_MAX: not said */
	int64_t steps;			  /* RestartSteps= */
	char *const *prevent, *const *force; /* words as of outcome_listed(), or NULL; borrowed */
};

const char *restart_name(enum restart r);
int restart_parse(const char *name); /* -1 = unknown */
/* The table alone. */
bool restart_after(enum restart r, enum outcome o);
/* Whether there is never a restart after o, whatever is said. */
bool restart_never(enum outcome o);
/* The policy as a whole: what is forced goes before the table, what is prevented before what is forced. */
bool restart_wanted(const struct restart_policy *p, enum outcome o, int exit_code, int signal);
/*
 * How long to wait before the nth restart in a row, n from 0: systemd's service_restart_usec_next(), delay × (max/delay)^(n/steps) and
 * max from n = steps on. random is any number: up to a tenth is added, so that what failed together does not come again together.
 */
int64_t restart_delay(const struct restart_policy *p, int64_t n, uint64_t random);
/* The table as text, for the manual and the golden file. */
void restart_print(struct buf *out);

#endif
