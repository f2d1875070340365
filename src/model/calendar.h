/* SPDX-License-Identifier: MIT */
/*
 * Calendar events, as in systemd.time(7): "Mon..Fri 08:00", "*-*-01 00:00:00 UTC", "*:0/15", "*-02~01", daily. Pure but for the system's
 * time zones, which localtime(3) reads; a zone that is named is used by setting TZ for the time of a call: not for a program with threads.
 */
#ifndef AOD_MODEL_CALENDAR_H
#define AOD_MODEL_CALENDAR_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CALENDAR_TEXT_MAX 1000 /* bytes of an expression */
#define CALENDAR_SPANS_MAX 240 /* items of one list */
#define CALENDAR_YEAR_MIN 1970
#define CALENDAR_YEAR_MAX 2199

struct calendar;

/* 0, or -EINVAL with what is wrong and where. The caller frees. */
int calendar_parse(const char *text, struct calendar **out, struct err *e);
void calendar_free(struct calendar *c);
/* Its normal form, as `systemd-analyze calendar` prints it; parsing that gives the same. */
void calendar_format(struct buf *out, const struct calendar *c);
/* The first time after `after` (microseconds since the epoch) that it names; -ENOENT: there is none until CALENDAR_YEAR_MAX. */
int64_t calendar_next(const struct calendar *c, int64_t after_us);

#endif
