/* SPDX-License-Identifier: MIT */
/* What the sandbox refused, as an event "denied": which call of which program, and the directive that would allow it. */
#ifndef AOD_AOD_DENIED_H
#define AOD_AOD_DENIED_H

#include "base/frame.h"
#include "model/event.h"

/*
 * From the payload of a FRAME_DENIED. basic: the run's filter is the basic one (SystemCallFilter=yes), to which no call can be added. False when the
 * payload is none (from a shim that says other things): ev is as it was.
 */
bool denied_call(struct event *ev, const struct frame *f, bool basic);
/* The agent could not be started: step (see shim/spec.h) failed with EPERM or EACCES. False with other errors. */
bool denied_exec(struct event *ev, const char *step, int error, int64_t time_us);

#endif
