/* SPDX-License-Identifier: MIT */
/*
 * Logging of the programs (never of libraries below them): one line to stderr, with the sd-daemon(3)
 * "<N>" prefix when stderr is the journal ($JOURNAL_STREAM), else with a time stamp.
 */
#ifndef AOD_BASE_LOG_H
#define AOD_BASE_LOG_H

enum { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_INFO = 6, LOG_DBG = 7 };

/* name is kept, not copied. level: the highest number that is printed. */
void log_init(const char *name, int level);
void log_write(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_note(...) log_write(LOG_NOTE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DBG, __VA_ARGS__)

#endif
