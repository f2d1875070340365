/* SPDX-License-Identifier: MIT */
/* Memory, strings, numbers, times and ids that every program uses. (crc32c() has a file of its
 * own.) */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

void *
xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		abort();
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		abort();
	return p;
}

char *
xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *
xstrndup(const char *s, size_t n)
{
	char *p;

	n = strnlen(s, n);
	p = xmalloc(n + 1);
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return p;
}

bool
parse_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool minus = *s == '-';
	int64_t v = 0;

	if (minus)
		s++;
	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		/* Counted downwards, where there is room for INT64_MIN. */
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *s - '0', &v))
			return false;
	}
	if (!minus && __builtin_mul_overflow(v, -1, &v))
		return false;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

static const struct {
	const char *name;
	int64_t us;
} timespan_units[] = {
	{"usec", 1},
	{"us", 1},
	{"\xc2\xb5s", 1},
	{"msec", 1000},
	{"ms", 1000},
	{"seconds", 1000000},
	{"second", 1000000},
	{"sec", 1000000},
	{"s", 1000000},
	{"minutes", 60000000},
	{"minute", 60000000},
	{"min", 60000000},
	{"m", 60000000},
	{"hours", 3600000000},
	{"hour", 3600000000},
	{"hr", 3600000000},
	{"h", 3600000000},
	{"days", 86400000000},
	{"day", 86400000000},
	{"d", 86400000000},
	{"weeks", 604800000000},
	{"week", 604800000000},
	{"w", 604800000000},
	{"months", 2629800000000},
	{"month", 2629800000000},
	{"M", 2629800000000},
	{"years", 31557600000000},
	{"year", 31557600000000},
	{"y", 31557600000000},
};

/* Unit at the start of *s, which moves behind it; no unit means seconds; 0 for one that is unknown.
 */
static int64_t
timespan_unit(const char **s)
{
	size_t n = strcspn(*s, " \t0123456789.");

	if (n == 0)
		return 1000000;
	for (size_t i = 0; i < ARRAY_LEN(timespan_units); i++)
		if (strlen(timespan_units[i].name) == n &&
		    memcmp(timespan_units[i].name, *s, n) == 0) {
			*s += n;
			return timespan_units[i].us;
		}
	return 0;
}

/* One "1.5h" at *s, which moves behind it. */
static bool
timespan_part(const char **s, int64_t *out)
{
	const char *p = *s, *fraction = NULL;
	int64_t whole = 0, unit, us, part = 0, scale = 1;
	int digits = 0;

	for (; *p >= '0' && *p <= '9'; p++, digits++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, *p - '0', &whole))
			return false;
	if (*p == '.') {
		fraction = ++p;
		while (*p >= '0' && *p <= '9')
			p++;
		if (p == fraction)
			return false;
	}
	if (digits == 0)
		return false;
	p += strspn(p, " \t");
	unit = timespan_unit(&p);
	if (unit == 0 || __builtin_mul_overflow(whole, unit, &us))
		return false;
	for (; fraction && *fraction >= '0' && *fraction <= '9' && scale < 1000000; fraction++) {
		part = part * 10 + (*fraction - '0');
		scale *= 10;
	}
	/* The largest unit times 999,999 stays below 2^63 only when it is divided first. */
	if (__builtin_add_overflow(us, unit / scale * part + unit % scale * part / scale, out))
		return false;
	*s = p;
	return true;
}

bool
parse_timespan(const char *s, int64_t *out_us)
{
	int64_t sum = 0, part;

	s += strspn(s, " \t");
	if (str_starts(s, "infinity") && s[8 + strspn(s + 8, " \t")] == '\0') {
		*out_us = INT64_MAX;
		return true;
	}
	if (!*s)
		return false;
	while (*s) {
		if (!timespan_part(&s, &part) || __builtin_add_overflow(sum, part, &sum))
			return false;
		s += strspn(s, " \t");
	}
	*out_us = sum;
	return true;
}

bool
parse_bool(const char *s, bool *out)
{
	static const char *const yes[] = {"1", "yes", "y", "true", "t", "on"};
	static const char *const no[] = {"0", "no", "n", "false", "f", "off"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(s, yes[i]) == 0) {
			*out = true;
			return true;
		}
		if (strcasecmp(s, no[i]) == 0) {
			*out = false;
			return true;
		}
	}
	return false;
}

bool
str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
path_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return str_starts(path, dir) && (path[n] == 0 || path[n] == '/' || (n > 0 && dir[n - 1] == '/'));
}

bool
name_valid(const char *s)
{
	size_t n = strnlen(s, NAME_MAX_LEN + 1);

	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '-'))
			return false;
	return n > 0 && n <= NAME_MAX_LEN;
}

static int
min_int(int a, int b)
{
	return a < b ? a : b;
}

int
str_distance(const char *a, const char *b, int max)
{
	/* As long as the shorter words that anybody mistypes; a longer one is simply far away. */
	enum { WORD_MAX = 127 };
	int rows[3][WORD_MAX + 1], *prev2 = rows[0], *prev = rows[1], *row = rows[2], *t;
	int na = (int)strnlen(a, WORD_MAX + 1), nb = (int)strnlen(b, WORD_MAX + 1);

	if (na > WORD_MAX || nb > WORD_MAX)
		return strcmp(a, b) == 0 ? 0 : max + 1;
	for (int j = 0; j <= nb; j++)
		prev[j] = prev2[j] = j;
	for (int i = 1; i <= na; i++) {
		row[0] = i;
		for (int j = 1; j <= nb; j++) {
			row[j] = min_int(min_int(prev[j], row[j - 1]) + 1,
					 prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min_int(row[j], prev2[j - 2] + 1);
		}
		t = prev2;
		prev2 = prev;
		prev = row;
		row = t;
	}
	return min_int(prev[nb], max + 1);
}

int
str_distance_max(const char *word)
{
	int n = (int)strnlen(word, 6);

	return n < 4 ? 1 : n / 2;
}

size_t
strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

bool
strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (!strcmp(*v, s))
			return true;
	return false;
}

char **
strv_add(char **v, const char *s)
{
	size_t n = strv_len(v);

	/* Room for a power of two, known from the length alone. */
	if (!v || (n & (n + 1)) == 0)
		v = xrealloc(v, (n + 1) * 2 * sizeof(*v));
	v[n] = xstrdup(s);
	v[n + 1] = NULL;
	return v;
}

char **
strv_dup(char *const *v)
{
	char **copy = xcalloc(1, 2 * sizeof(*copy));

	for (; v && *v; v++)
		copy = strv_add(copy, *v);
	return copy;
}

void
strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}

static int64_t
clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t
mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/* v in n decimal digits at p; returns the byte behind them. */
static char *
put_digits(char *p, int v, int n)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

/* By hand, because each event passes here; the calendar as in gmtime_r(3), within the years 0 to
 * 9999. */
char *
time_iso(int64_t us, char *out)
{
	const int64_t min = -62167219200 * 1000000, max = 253402300799 * 1000000 + 999999;
	static const char shape[] = "0000-00-00T00:00:00.000000+00:00";
	int64_t second_of_day, era, days;
	int day_of_era, year_of_era, day_of_year, month;

	us = us < min ? min : us > max ? max : us;
	us -= min; /* since 0000-01-01, so that nothing is negative */
	days = us / 86400000000 + 146097 -
	       60; /* since March 1st one era earlier: leap days end a year */
	second_of_day = us / 1000000 % 86400;
	era = days / 146097;
	day_of_era = (int)(days % 146097);
	year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153; /* 0 is March */
	memcpy(out, shape, sizeof(shape));
	put_digits(out, (int)(era - 1) * 400 + year_of_era + (month >= 10), 4);
	put_digits(out + 5, month < 10 ? month + 3 : month - 9, 2);
	put_digits(out + 8, day_of_year - (153 * month + 2) / 5 + 1, 2);
	put_digits(out + 11, (int)(second_of_day / 3600), 2);
	put_digits(out + 14, (int)(second_of_day / 60 % 60), 2);
	put_digits(out + 17, (int)(second_of_day % 60), 2);
	put_digits(out + 20, (int)(us % 1000000), 6);
	return out;
}

/* Exactly n digits at *s, which moves behind them; -1 when they are not there. */
static int
digits(const char **s, int n)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool
skip_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* The offset from UTC in seconds: Z, +HH:MM or -HH:MM, and the end of the string. */
static bool
parse_offset(const char *s, int64_t *out)
{
	int sign = *s == '-' ? -1 : 1, h, m;

	if (skip_char(&s, 'Z')) {
		*out = 0;
		return *s == '\0';
	}
	if (*s != '+' && *s != '-')
		return false;
	s++;
	h = digits(&s, 2);
	if (h < 0 || h > 23 || !skip_char(&s, ':'))
		return false;
	m = digits(&s, 2);
	if (m < 0 || m > 59 || *s)
		return false;
	*out = sign * (h * 3600 + m * 60);
	return true;
}

static bool
parse_date_time(const char **s, struct tm *tm)
{
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y, mon;
	bool leap;

	y = digits(s, 4);
	if (y < 0 || !skip_char(s, '-'))
		return false;
	mon = digits(s, 2);
	if (mon < 1 || mon > 12 || !skip_char(s, '-'))
		return false;
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	*tm = (struct tm){.tm_year = y - 1900, .tm_mon = mon - 1};
	tm->tm_mday = digits(s, 2);
	if (tm->tm_mday < 1 || tm->tm_mday > month_days[mon - 1] ||
	    (mon == 2 && tm->tm_mday == 29 && !leap))
		return false;
	if (!skip_char(s, 'T'))
		return false;
	tm->tm_hour = digits(s, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || !skip_char(s, ':'))
		return false;
	tm->tm_min = digits(s, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59 || !skip_char(s, ':'))
		return false;
	tm->tm_sec = digits(s, 2);
	return tm->tm_sec >= 0 && tm->tm_sec <= 59;
}

bool
time_parse_iso(const char *s, int64_t *out_us)
{
	struct tm tm;
	int64_t fraction = 0, offset;
	int n = 0;

	if (!parse_date_time(&s, &tm))
		return false;
	if (skip_char(&s, '.')) {
		for (; *s >= '0' && *s <= '9' && n < 9; s++, n++)
			if (n < 6)
				fraction = fraction * 10 + (*s - '0');
		if (n == 0)
			return false;
		for (; n < 6; n++)
			fraction *= 10;
	}
	if (!parse_offset(s, &offset))
		return false;
	*out_us = ((int64_t)timegm(&tm) - offset) * 1000000 + fraction;
	return true;
}

uint64_t
random_u64(void)
{
	uint64_t n;

	/* At most 256 bytes come whole, or not at all before the kernel has enough (getrandom(2)). */
	while (getrandom(&n, sizeof(n), 0) != sizeof(n))
		;
	return n;
}

/*
 * RFC 9562, 5.7 with method 1 of 6.2: rand_a is a counter that starts at random in the lower half
 * of its range in each new millisecond; should it run over, or the clock go back, the time part
 * runs ahead of the clock instead.
 */
char *
id_new(char *out)
{
	static const char hex[] = "0123456789abcdef";
	static uint64_t last_ms;
	static unsigned int counter;
	unsigned char r[10], b[16];
	uint64_t ms = (uint64_t)now_us() / 1000;
	char *p = out;

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	if (ms > last_ms) {
		last_ms = ms;
		counter = (r[0] << 8 | r[1]) & 0x7ff;
	} else if (++counter > 0xfff) {
		last_ms++;
		counter = 0;
	}
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(last_ms >> (40 - 8 * i));
	b[6] = (unsigned char)(0x70 | counter >> 8);
	b[7] = (unsigned char)counter;
	memcpy(b + 8, r + 2, 8);
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[b[i] >> 4];
		*p++ = hex[b[i] & 15];
	}
	*p = '\0';
	return out;
}

bool
id_is_uuid(const char *s)
{
	size_t i;

	for (i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return false;
		} else if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f') ||
			     (s[i] >= 'A' && s[i] <= 'F'))) {
			return false;
		}
	}
	return s[36] == '\0';
}
