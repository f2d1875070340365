/* SPDX-License-Identifier: MIT */
/* Cleanup attributes, memory that aborts when there is none, strings, numbers, names and times. */
#ifndef AOD_BASE_UTIL_H
#define AOD_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

static inline void
cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void
cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_p)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_p)))

/* Abort when out of memory; never NULL. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);	     /* NULL stays NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Strict decimal: the whole string, in range, else false and *out is untouched. */
bool parse_i64(const char *s, int64_t min, int64_t max, int64_t *out);
/*
 * A time span as in systemd.time(7): "5", "5s", "2min 200ms", "1h", "infinity" (INT64_MAX); a bare number
 * is seconds. Result in microseconds. False on anything else or overflow.
 */
bool parse_timespan(const char *s, int64_t *out_us);
bool parse_bool(const char *s, bool *out); /* yes/no true/false on/off 1/0, as systemd */

/* What a hexadecimal digit counts, or -1. */
int hex_digit(char c);
bool str_starts(const char *s, const char *prefix);
/* Whether path is dir or lies below it; both without a slash at the end, but for "/". */
bool path_within(const char *path, const char *dir);
/* Session and blueprint names: ^[a-zA-Z0-9_-]{1,60}$ */
#define NAME_MAX_LEN 60
bool name_valid(const char *s);
/* Optimal string alignment distance, at most max + 1 (for "did you mean"). */
int str_distance(const char *a, const char *b, int max);
/* How far a name that a word was meant to be may be from it: half of the word, at most 3. */
int str_distance_max(const char *word);

/* A NULL-terminated vector of strings that owns its strings. */
char **strv_add(char **v, const char *s); /* v may be NULL; returns the vector, which may have moved */
char **strv_dup(char *const *v);
size_t strv_len(char *const *v);
bool strv_has(char *const *v, const char *s);
void strv_free(char **v);

int64_t now_us(void);	   /* CLOCK_REALTIME, microseconds since the epoch */
int64_t mono_us(void);	   /* CLOCK_MONOTONIC */
#define TIME_ISO_SIZE 40
/* "2026-11-22T10:22:25.123456+00:00" into out[TIME_ISO_SIZE]; returns out. */
char *time_iso(int64_t us, char *out);
/* Parse what time_iso() writes, also with Z, an offset, or fewer fraction digits. */
bool time_parse_iso(const char *s, int64_t *out_us);

/* From the kernel's generator. */
uint64_t random_u64(void);

#define ID_SIZE 37
/* A UUIDv7 (RFC 9562) in lower case into out[ID_SIZE]; grows with time within one process. */
char *id_new(char *out);
/* Any RFC 9562 UUID in its 36-character form. */
bool id_is_uuid(const char *s);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4); start with crc = 0. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
