/* SPDX-License-Identifier: MIT */
/* util.c and crc32c.c */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

static void
test_memory_and_vectors(void **state)
{
	char **v = NULL, **w, *s;

	s = xasprintf("%s-%d", "a", 5);
	assert_string_equal(s, "a-5");
	free(s);
	assert_null(xstrdup(NULL));
	s = xstrndup("abcdef", 3);
	assert_string_equal(s, "abc");
	free(s);
	s = xstrndup("ab", 10);
	assert_string_equal(s, "ab");
	free(s);
	assert_int_equal(strv_len(NULL), 0);
	assert_false(strv_has(NULL, ""));
	for (int i = 0; i < 100; i++) {
		char number[16];

		snprintf(number, sizeof(number), "%d", i);
		v = strv_add(v, number);
		assert_int_equal(strv_len(v), i + 1);
	}
	w = strv_dup(v);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(atoi(w[i]), i);
		assert_ptr_not_equal(v[i], w[i]);
	}
	strv_free(v);
	w = strv_add(w, "last");
	assert_string_equal(w[100], "last");
	strv_free(w);
	w = strv_dup(NULL);
	assert_non_null(w);
	assert_null(w[0]);
	strv_free(w);
	strv_free(NULL);
}

static void
test_parse_i64(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  "+1",
					  " 1",
					  "1 ",
					  "1x",
					  "0x1",
					  "1.0",
					  "9223372036854775808",
					  "-9223372036854775809",
					  "99999999999999999999999"};
	int64_t v = 77;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(parse_i64(bad[i], INT64_MIN, INT64_MAX, &v));
	assert_false(parse_i64("11", 0, 10, &v));
	assert_false(parse_i64("-1", 0, 10, &v));
	assert_int_equal(v, 77);
	assert_true(parse_i64("10", 0, 10, &v));
	assert_int_equal(v, 10);
	assert_true(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
	assert_true(v == INT64_MIN);
	assert_true(parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v));
	assert_true(v == INT64_MAX);
	assert_true(parse_i64("007", 0, 10, &v));
	assert_int_equal(v, 7);
}

static void
test_parse_timespan(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
		{"5", 5000000},
		{"0", 0},
		{"5s", 5000000},
		{" 5 s ", 5000000},
		{"2min 200ms", 120200000},
		{"2min200ms", 120200000},
		{"1h", 3600000000},
		{"1.5h", 5400000000},
		{"0.5", 500000},
		{"1.0000009", 1000000},
		{"7us", 7},
		{"7\xc2\xb5s", 7},
		{"1d 1w", 8 * 86400000000},
		{"1y", 31557600000000},
		{"1M", 2629800000000},
		{"0.5y", 15778800000000},
		{"infinity", INT64_MAX},
	};
	static const char *const bad[] = {"",
					  " ",
					  "s",
					  "-5",
					  "5x",
					  "5 sx",
					  ".5",
					  "5.",
					  "1..5",
					  "infinity 5",
					  "300000y",
					  "9223372036854775808",
					  "9223372036855",
					  "5S"};
	int64_t us = 77;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!parse_timespan(good[i].text, &us))
			fail_msg("%s", good[i].text);
		assert_true(us == good[i].us);
	}
	us = 77;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse_timespan(bad[i], &us))
			fail_msg("%s", bad[i]);
	assert_int_equal(us, 77);
}

static void
test_parse_bool(void **state)
{
	bool b = false;

	assert_true(parse_bool("Yes", &b) && b);
	assert_true(parse_bool("off", &b) && !b);
	assert_true(parse_bool("1", &b) && b);
	assert_true(parse_bool("FALSE", &b) && !b);
	assert_false(parse_bool("", &b));
	assert_false(parse_bool("2", &b));
	assert_false(parse_bool("yes ", &b));
}

static void
test_strings(void **state)
{
	char name[NAME_MAX_LEN + 2];

	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("a", "ab"));
	memset(name, 'a', sizeof(name));
	name[NAME_MAX_LEN] = '\0';
	assert_true(name_valid(name));
	name[NAME_MAX_LEN] = 'a';
	name[NAME_MAX_LEN + 1] = '\0';
	assert_false(name_valid(name));
	assert_true(name_valid("A-z_09"));
	assert_false(name_valid(""));
	assert_false(name_valid("a b"));
	assert_false(name_valid("a/b"));
	assert_false(name_valid("\xc3\xa4"));
	assert_int_equal(str_distance("", "", 3), 0);
	assert_int_equal(str_distance("", "abc", 5), 3);
	assert_int_equal(str_distance("kitten", "sitting", 5), 3);
	assert_int_equal(str_distance("Comand", "Command", 5), 1);
	assert_int_equal(str_distance("Commnad", "Command", 5), 1);
	assert_int_equal(str_distance("ca", "abc", 5), 3); /* not 2: optimal string alignment */
	assert_int_equal(str_distance("abcdef", "uvwxyz", 2), 3);
}

static void
test_time(void **state)
{
	static const char *const bad[] = {"",
					  "2026-11-22",
					  "2026-11-22T10:22:25",
					  "2026-13-22T10:22:25Z",
					  "2026-02-29T10:22:25Z",
					  "1900-02-29T00:00:00Z",
					  "2026-11-22T24:00:00Z",
					  "2026-11-22T10:60:00Z",
					  "2026-11-22T10:22:60Z",
					  "2026-11-22T10:22:25.Z",
					  "2026-11-22T10:22:25Zx",
					  "2026-11-22T10:22:25+0000",
					  "2026-11-22T10:22:25+24:00",
					  "2026-11-22T10:22:25.1234567890Z",
					  "26-11-22T10:22:25Z",
					  "2026-11-22 10:22:25Z"};
	char out[TIME_ISO_SIZE], want[128];
	struct tm tm;
	int64_t us, t;

	assert_string_equal(time_iso(1795342945123456, out), "2026-11-22T10:22:25.123456+00:00");
	assert_string_equal(time_iso(-1, out), "1969-12-31T23:59:59.999999+00:00");
	assert_string_equal(time_iso(INT64_MIN, out), "0000-01-01T00:00:00.000000+00:00");
	assert_string_equal(time_iso(INT64_MAX, out), "9999-12-31T23:59:59.999999+00:00");
	/* Against the library, through all of its calendar. */
	for (t = -62167219200; t < 253402300799; t += 8640011) {
		time_t seconds = (time_t)t;

		gmtime_r(&seconds, &tm);
		snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.000007+00:00",
			 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			 tm.tm_sec);
		assert_string_equal(time_iso(t * 1000000 + 7, out), want);
		assert_true(time_parse_iso(out, &us));
		assert_true(us == t * 1000000 + 7);
	}
	assert_true(time_parse_iso("2026-11-22T10:22:25Z", &us));
	assert_true(us == 1795342945000000);
	assert_true(time_parse_iso("2026-11-22T10:22:25.5+01:30", &us));
	assert_true(us == 1795342945500000 - 5400000000);
	assert_true(time_parse_iso("2026-11-22T10:22:25.123456789-00:30", &us));
	assert_true(us == 1795342945123456 + 1800000000);
	assert_true(time_parse_iso("2000-02-29T00:00:00Z", &us));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (time_parse_iso(bad[i], &us))
			fail_msg("%s", bad[i]);
	t = mono_us();
	assert_true(mono_us() >= t);
	assert_true(now_us() > 1700000000000000);
}

static void
test_ids(void **state)
{
	char last[ID_SIZE] = "", id[ID_SIZE];
	int64_t before = now_us() / 1000;
	unsigned long long ms;

	assert_ptr_equal(id_new(id), id);
	ms = strtoull((char[]){id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[9],
			       id[10], id[11], id[12], '\0'},
		      NULL, 16);
	assert_in_range(ms, before, now_us() / 1000);
	/* Far more than one millisecond has numbers for. */
	for (int i = 0; i < 200000; i++) {
		id_new(id);
		if (strcmp(last, id) >= 0)
			fail_msg("%s after %s", id, last);
		assert_true(id[14] == '7' && strchr("89ab", id[19]));
		memcpy(last, id, sizeof(id));
	}
	assert_true(id_is_uuid(id));
	assert_true(id_is_uuid("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"));
	assert_false(id_is_uuid(""));
	assert_false(id_is_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c"));
	assert_false(id_is_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c88"));
	assert_false(id_is_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430cg"));
	assert_false(id_is_uuid("6ba7b810-9dad-11d1-80b4000c04fd430c8"));
}

static void
test_crc32c(void **state)
{
	unsigned char b[300];
	uint32_t parts;

	/* RFC 3720, B.4, and the usual check value */
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(b, 0, 32);
	assert_int_equal(crc32c(0, b, 32), 0x8a9136aa);
	memset(b, 0xff, 32);
	assert_int_equal(crc32c(0, b, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, b, 32), 0x46dd794e);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)(i * 131 + 7);
	for (size_t n = 0; n < 280; n++)
		for (size_t at = 0; at < 9; at++) {
			assert_int_equal(crc32c(0, b + at, n), crc32c_portable(0, b + at, n));
			parts = crc32c(crc32c(0, b + at, n / 3), b + at + n / 3, n - n / 3);
			assert_int_equal(parts, crc32c(0, b + at, n));
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_and_vectors),
		cmocka_unit_test(test_parse_i64),
		cmocka_unit_test(test_parse_timespan),
		cmocka_unit_test(test_parse_bool),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_crc32c),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
