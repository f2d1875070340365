/* SPDX-License-Identifier: MIT */
/* Calendar events: parsing, their normal form, and the next time. See calendar.h. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "model/calendar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define SECOND_US 1000000
#define WEEKDAYS_ALL 0x7f

/* from, or from..to, or every step from from on; -1 and 0 where there is none. Seconds are in microseconds. */
struct span {
	int from, to, step;
};

enum field_id { F_YEAR, F_MONTH, F_DAY, F_HOUR, F_MINUTE, F_SECOND, F_COUNT };

struct field {
	struct span *v;
	int n; /* 0: any value */
};

struct calendar {
	unsigned weekdays; /* bit 0 is Monday */
	struct field field[F_COUNT];
	bool from_end; /* days count from the end of the month */
	bool utc;
	char *zone; /* NULL: the local one */
};

static const struct {
	const char *name;
	int min, max;
} limits[F_COUNT] = {
	[F_YEAR] = { "year", CALENDAR_YEAR_MIN, CALENDAR_YEAR_MAX },
	[F_MONTH] = { "month", 1, 12 },
	[F_DAY] = { "day", 1, 31 },
	[F_HOUR] = { "hour", 0, 23 },
	[F_MINUTE] = { "minute", 0, 59 },
	[F_SECOND] = { "second", 0, 60 * SECOND_US - 1 },
};

static const char *const day_names[7] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };

static const struct {
	const char *word, *text;
} shorthands[] = {
	{ "minutely", "*-*-* *:*:00" },		   { "hourly", "*-*-* *:00:00" },
	{ "daily", "*-*-* 00:00:00" },		   { "weekly", "Mon *-*-* 00:00:00" },
	{ "monthly", "*-*-01 00:00:00" },	   { "quarterly", "*-01,04,07,10-01 00:00:00" },
	{ "semiannually", "*-01,07-01 00:00:00" }, { "biannually", "*-01,07-01 00:00:00" },
	{ "bi-annually", "*-01,07-01 00:00:00" },  { "semi-annually", "*-01,07-01 00:00:00" },
	{ "yearly", "*-01-01 00:00:00" },	   { "annually", "*-01-01 00:00:00" },
	{ "anually", "*-01-01 00:00:00" },
};

void
calendar_free(struct calendar *c)
{
	if (!c)
		return;
	for (int i = 0; i < F_COUNT; i++)
		free(c->field[i].v);
	free(c->zone);
	free(c);
}

/* ---- parsing ------------------------------------------------------------------------------------------------ */

static int
bad(struct err *e, const char *text, const char *at, const char *want)
{
	return err_set(e, -EINVAL, "calendar event '%.200s': %s at '%.40s'; it is to be like Mon..Fri 08:00 or *-*-01 06:30:00 UTC, see systemd.time(7)",
		       text, want, *at ? at : "the end");
}

/* A number; of seconds with up to six digits behind the point, in microseconds. */
static bool
parse_value(const char **p, bool seconds, int *out)
{
	const char *s = *p;
	int64_t v = 0;
	int unit = SECOND_US;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if ((v = v * 10 + (*s - '0')) > 100000)
			return false;
	if (seconds) {
		v *= SECOND_US;
		if (s[0] == '.' && s[1] >= '0' && s[1] <= '9')
			for (s++; *s >= '0' && *s <= '9'; s++)
				v += (unit /= 10) * (*s - '0');
	}
	if (v > INT32_MAX)
		return false;
	*out = (int)v;
	*p = s;
	return true;
}

static bool
parse_span(const char **p, bool seconds, struct span *v)
{
	*v = (struct span){ 0, -1, 0 };
	if (!parse_value(p, seconds, &v->from))
		return false;
	if ((*p)[0] == '.' && (*p)[1] == '.') {
		*p += 2;
		if (!parse_value(p, seconds, &v->to))
			return false;
		v->step = seconds ? SECOND_US : 1;
	}
	if (**p == '/') {
		++*p;
		if (!parse_value(p, seconds, &v->step) || v->step == 0)
			return false;
	}
	return true;
}

/* "*", or a list of spans. On false *p is where it went wrong. */
static bool
parse_field(const char **p, bool seconds, struct field *f)
{
	if (**p == '*') {
		++*p;
		if (seconds) {
			f->v = xcalloc(1, sizeof(*f->v));
			f->v[0] = (struct span){ 0, -1, SECOND_US };
			f->n = 1;
		}
		return true;
	}
	do {
		if (f->n == CALENDAR_SPANS_MAX)
			return false;
		f->v = xrealloc(f->v, sizeof(*f->v) * (size_t)(f->n + 1));
		if (!parse_span(p, seconds, &f->v[f->n]))
			return false;
		f->n++;
	} while (**p == ',' && ++*p);
	return true;
}

static int
weekday(const char **p)
{
	for (int i = 0; i < 7; i++)
		for (size_t n = strlen(day_names[i]); n >= 3; n = n > 3 ? 3 : 0)
			if (strncasecmp(*p, day_names[i], n) == 0 && strchr(" ,.-", (*p)[n])) {
				*p += n;
				return i;
			}
	return -1;
}

/* "Mon", "Mon..Fri", "Mon,Wed"; all days where none is named. A hyphen for .. is taken, as systemd does. */
static bool
parse_weekdays(const char **p, unsigned *days)
{
	const char *s = *p;
	int first = weekday(&s);

	if (first < 0) {
		*days = WEEKDAYS_ALL;
		return true;
	}
	for (*days = 0;;) {
		int last = first;

		if (s[0] == '.' ? s[1] == '.' : s[0] == '-') {
			s += s[0] == '.' ? 2 : 1;
			*p = s;
			last = weekday(&s);
			if (last < first)
				return false;
		}
		for (int i = first; i <= last; i++)
			*days |= 1u << i;
		*p = s;
		if (*s != ',')
			break;
		*p = ++s;
		/* "Mon," is taken, as systemd does. */
		if (*s == ' ' || !*s)
			break;
		if ((first = weekday(&s)) < 0)
			return false;
	}
	*p += strspn(*p, " ");
	return *s == ' ' || !*s;
}

/* [[YEAR-]MONTH-DAY ]: nothing is taken where it is a time. */
static bool
parse_date(const char **p, struct calendar *c)
{
	struct field part[3] = { { 0 } };
	const char *s = *p;
	int n = 0;

	while (n < 3 && parse_field(&s, false, &part[n])) {
		n++;
		if (n == 1 && (!*s || *s == ':')) { /* a time */
			free(part[0].v);
			return true;
		}
		if (n == 3 || c->from_end || (*s != '-' && *s != '~'))
			break;
		c->from_end = *s++ == '~';
	}
	*p = s;
	if (n < 2 || (*s && *s != ' ')) {
		for (int i = 0; i < 3; i++)
			free(part[i].v);
		return false;
	}
	*p += strspn(s, " ");
	for (int i = 0; i < n; i++)
		c->field[F_DAY - n + 1 + i] = part[i];
	if (c->field[F_DAY].n == 0)
		c->from_end = false;
	return true;
}

static void
set_one(struct field *f, int value)
{
	f->v = xcalloc(1, sizeof(*f->v));
	f->v[0] = (struct span){ value, -1, 0 };
	f->n = 1;
}

/* HOUR:MINUTE[:SECOND]; midnight where there is none. */
static bool
parse_time(const char **p, struct calendar *c)
{
	if (!**p) {
		set_one(&c->field[F_HOUR], 0);
		set_one(&c->field[F_MINUTE], 0);
		set_one(&c->field[F_SECOND], 0);
		return true;
	}
	if (!parse_field(p, false, &c->field[F_HOUR]) || **p != ':' || !*++*p || !parse_field(p, false, &c->field[F_MINUTE]))
		return false;
	if (!**p) {
		set_one(&c->field[F_SECOND], 0);
		return true;
	}
	if (**p != ':')
		return false;
	++*p;
	return parse_field(p, true, &c->field[F_SECOND]) && !**p;
}

/* A last word that is a time zone is cut off. */
static void
parse_zone(char *text, struct calendar *c)
{
	char *last = strrchr(text, ' ');
	CLEANUP_FREE char *path = NULL;

	if (!last || !last[1])
		return;
	if (strcasecmp(last + 1, "UTC") == 0) {
		c->utc = true;
	} else {
		if (strstr(last + 1, "..") || last[1] == '/' || !strpbrk(last + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
			return;
		path = xasprintf("/usr/share/zoneinfo/%s", last + 1);
		if (access(path, R_OK) < 0)
			return;
		c->zone = xstrdup(last + 1);
	}
	while (last > text && last[-1] == ' ')
		last--;
	*last = '\0';
}

static bool
span_ok(const struct span *v, enum field_id id, bool from_end)
{
	if (v->from < limits[id].min || v->from > limits[id].max)
		return false;
	if (v->to >= 0 && (v->to < limits[id].min || v->to > limits[id].max))
		return false;
	/* Further from the end than the shortest month has days is not there in each. */
	if (from_end && (v->from > 28 || v->to > 28))
		return false;
	if (v->to >= 0)
		return v->from <= v->to;
	/* A step that leads nowhere is an error. */
	return v->step == 0 || (from_end ? v->from - v->step >= 1 : v->from <= limits[id].max - v->step);
}

static int
by_from(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	const int left[] = { x->from, x->to, x->step }, right[] = { y->from, y->to, y->step };

	for (int i = 0; i < 3; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

/* A range ends at the last value that it names. */
static void
trim(struct span *v)
{
	if (v->to > v->from && v->step > 0)
		v->to -= (v->to - v->from) % v->step;
	if (v->to == v->from)
		*v = (struct span){ v->from, -1, 0 };
}

/* Values in order, each once; years of two digits are of 1970 to 2069. */
static const char *
normalize(struct calendar *c)
{
	for (int id = 0; id < F_COUNT; id++) {
		struct field *f = &c->field[id];
		int n = 0;

		for (int i = 0; i < f->n; i++) {
			int *ends[] = { &f->v[i].from, &f->v[i].to };

			for (int k = 0; id == F_YEAR && k < 2; k++)
				if (*ends[k] >= 0 && *ends[k] < 100)
					*ends[k] += *ends[k] < 70 ? 2000 : 1900;
			if (!span_ok(&f->v[i], (enum field_id)id, id == F_DAY && c->from_end))
				return limits[id].name;
			trim(&f->v[i]);
		}
		if (f->n > 1)
			qsort(f->v, (size_t)f->n, sizeof(*f->v), by_from);
		for (int i = 0; i < f->n; i++)
			if (i == 0 || by_from(&f->v[n - 1], &f->v[i]) != 0)
				f->v[n++] = f->v[i];
		f->n = n;
	}
	return NULL;
}

static const char *
expand_shorthand(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(shorthands); i++)
		if (strcasecmp(text, shorthands[i].word) == 0)
			return shorthands[i].text;
	return text;
}

int
calendar_parse(const char *text, struct calendar **out, struct err *e)
{
	struct calendar *c = xcalloc(1, sizeof(*c));
	CLEANUP_FREE char *copy = NULL;
	const char *p, *name;
	int rc = 0;

	*out = NULL;
	text += strspn(text, " \t");
	if (!*text || strlen(text) > CALENDAR_TEXT_MAX)
		rc = bad(e, text, "", "wants 1 to 1000 characters");
	copy = xstrndup(text, CALENDAR_TEXT_MAX);
	parse_zone(copy, c);
	p = expand_shorthand(copy);
	if (rc == 0 && !parse_weekdays(&p, &c->weekdays))
		rc = bad(e, text, p, "wants a weekday");
	if (rc == 0 && !parse_date(&p, c))
		rc = bad(e, text, p, "wants a date");
	if (rc == 0 && !parse_time(&p, c))
		rc = bad(e, text, p, "wants a time of the day");
	if (rc == 0 && (name = normalize(c)) != NULL)
		rc = err_set(e, -EINVAL, "calendar event '%.200s': its %s cannot be", text, name);
	if (rc < 0) {
		calendar_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

/* ---- the normal form ---------------------------------------------------------------------------------------- */

static void
put_value(struct buf *out, int v, enum field_id id)
{
	if (id != F_SECOND) {
		buf_printf(out, id == F_YEAR ? "%d" : "%02d", v);
		return;
	}
	buf_printf(out, "%02d", v / SECOND_US);
	if (v % SECOND_US)
		buf_printf(out, ".%06d", v % SECOND_US);
}

static void
put_step(struct buf *out, int step, enum field_id id)
{
	if (id == F_SECOND && step % SECOND_US)
		buf_printf(out, "%d.%06d", step / SECOND_US, step % SECOND_US);
	else
		buf_printf(out, "%d", id == F_SECOND ? step / SECOND_US : step);
}

static void
put_field(struct buf *out, const struct field *f, enum field_id id)
{
	int one = id == F_SECOND ? SECOND_US : 1;

	if (f->n == 0 || (id == F_SECOND && f->n == 1 && f->v[0].from == 0 && f->v[0].to < 0 && f->v[0].step == SECOND_US)) {
		buf_putc(out, '*');
		return;
	}
	for (int i = 0; i < f->n; i++) {
		const struct span *v = &f->v[i];

		if (i)
			buf_putc(out, ',');
		put_value(out, v->from, id);
		if (v->to >= 0) {
			buf_puts(out, "..");
			put_value(out, v->to, id);
		}
		if (v->step > 0 && (v->to < 0 || v->step != one)) {
			buf_putc(out, '/');
			put_step(out, v->step, id);
		}
	}
}

/* Runs of more than two days as a range. */
static void
put_weekdays(struct buf *out, unsigned days)
{
	bool more = false;

	for (int i = 0; i < 7; i++) {
		int end = i;

		if (!(days & 1u << i))
			continue;
		while (end < 6 && days & 1u << (end + 1))
			end++;
		buf_printf(out, "%s%.3s", more ? "," : "", day_names[i]);
		if (end > i + 1)
			buf_printf(out, "..%.3s", day_names[end]);
		if (end > i + 1)
			i = end;
		more = true;
	}
	buf_putc(out, ' ');
}

void
calendar_format(struct buf *out, const struct calendar *c)
{
	static const char between[F_COUNT] = { '\0', '-', '-', ' ', ':', ':' };

	if (c->weekdays != WEEKDAYS_ALL)
		put_weekdays(out, c->weekdays);
	for (int id = 0; id < F_COUNT; id++) {
		if (id)
			buf_putc(out, id == F_DAY && c->from_end ? '~' : between[id]);
		put_field(out, &c->field[id], (enum field_id)id);
	}
	if (c->utc)
		buf_puts(out, " UTC");
	else if (c->zone)
		buf_printf(out, " %s", c->zone);
}

/* ---- the next time ------------------------------------------------------------------------------------------ */

static int
month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0) ? 29 : days[month - 1];
}

/* The least value that f names, of those from v on; -1: none up to max. last: days of the month where days count from its end, else 0. */
static int
next_value(const struct field *f, int v, int max, int last)
{
	int best = -1;

	if (f->n == 0)
		return v <= max ? v : -1;
	for (int i = 0; i < f->n; i++) {
		struct span s = f->v[i];
		int64_t k;

		if (last) {
			int from = s.from;

			s.from = last + 1 - (s.to >= 0 ? s.to : from);
			s.to = s.to >= 0 ? last + 1 - from : -1;
		}
		if (s.to < 0 || s.to > max)
			s.to = s.step ? max : s.from;
		k = v <= s.from ? s.from : s.step == 0 ? -1 : s.from + ((int64_t)v - s.from + s.step - 1) / s.step * s.step;
		if (k >= 0 && k <= s.to && k <= max && (best < 0 || k < best))
			best = (int)k;
	}
	return best;
}

/* A wall clock: value by field. */
struct wall {
	int v[F_COUNT];
};

static bool
is_weekday(const struct calendar *c, const struct wall *w)
{
	/* Zeller's rule, Monday is 0. */
	int m = w->v[F_MONTH] < 3 ? w->v[F_MONTH] + 12 : w->v[F_MONTH], y = w->v[F_YEAR] - (w->v[F_MONTH] < 3);

	return c->weekdays & 1u << ((w->v[F_DAY] + 13 * (m + 1) / 5 + y + y / 4 - y / 100 + y / 400 + 5) % 7);
}

/* Field id was moved on: the smaller ones begin anew. */
static void
reset_below(struct wall *w, int id)
{
	for (int i = id + 1; i < F_COUNT; i++)
		w->v[i] = limits[i].min;
}

/* Moves w to the first wall clock time, from itself on, that c names. False: there is none. */
static bool
match(const struct calendar *c, struct wall *w)
{
	for (int id = 0; id < F_COUNT;) {
		int days = id == F_DAY ? month_days(w->v[F_YEAR], w->v[F_MONTH]) : 0;
		int v = next_value(&c->field[id], w->v[id], days ? days : limits[id].max, c->from_end ? days : 0);

		if (v < 0) {
			if (id == F_YEAR)
				return false;
			w->v[--id]++;
			reset_below(w, id);
			continue;
		}
		if (v != w->v[id]) {
			w->v[id] = v;
			reset_below(w, id);
		}
		if (id == F_DAY && !is_weekday(c, w)) {
			w->v[id]++;
			reset_below(w, id);
			continue;
		}
		id++;
	}
	return true;
}

static struct wall
wall_of(const struct calendar *c, int64_t us)
{
	time_t t = (time_t)(us / SECOND_US);
	struct tm tm;

	if (c->utc)
		gmtime_r(&t, &tm);
	else
		localtime_r(&t, &tm);
	return (struct wall){ { tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec * SECOND_US + (int)(us % SECOND_US) } };
}

static int64_t
time_of(const struct calendar *c, const struct wall *w, int dst)
{
	struct tm tm = { .tm_year = w->v[F_YEAR] - 1900, .tm_mon = w->v[F_MONTH] - 1, .tm_mday = w->v[F_DAY], .tm_hour = w->v[F_HOUR],
			 .tm_min = w->v[F_MINUTE], .tm_sec = w->v[F_SECOND] / SECOND_US, .tm_isdst = dst };
	time_t t = c->utc ? timegm(&tm) : mktime(&tm);

	return (int64_t)t * SECOND_US + w->v[F_SECOND] % SECOND_US;
}

static int64_t
next_in_zone(const struct calendar *c, int64_t after_us)
{
	struct wall w = wall_of(c, after_us + 1);

	while (match(c, &w)) {
		struct wall real;
		int64_t t = after_us;

		/* An hour that the clock goes through twice is with summer time first. */
		for (int dst = 1; dst >= 0; dst--) {
			t = time_of(c, &w, dst);
			real = wall_of(c, t);
			if (t > after_us && memcmp(&real, &w, sizeof(w)) == 0)
				return t;
		}
		/* One that the clock leaves out: go on behind it. */
		w = wall_of(c, (t > after_us ? t : after_us) + SECOND_US);
	}
	return -ENOENT;
}

int64_t
calendar_next(const struct calendar *c, int64_t after_us)
{
	CLEANUP_FREE char *before = NULL;
	int64_t t;

	if (after_us < 0)
		after_us = 0;
	if (!c->zone) {
		tzset();
		return next_in_zone(c, after_us);
	}
	before = xstrdup(getenv("TZ"));
	setenv("TZ", c->zone, 1);
	tzset();
	t = next_in_zone(c, after_us);
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
	return t;
}
