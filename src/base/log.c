/* SPDX-License-Identifier: MIT */
/* Writes log lines to stderr, one write(2) each, so that lines of several processes do not mix. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define LOG_LINE_MAX 2048

static const char *log_name = "aod";
static int log_level = LOG_INFO;
static bool log_journal;

/* $JOURNAL_STREAM is "DEV:INODE" of the journal's end (systemd.exec(5)); it counts only while
 * stderr is still that. */
static bool
stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return s && sscanf(s, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void
log_init(const char *name, int level)
{
	log_name = name;
	log_level = level;
	log_journal = stderr_is_journal();
}

static const char *
level_word(int level)
{
	switch (level) {
	case LOG_ERROR:
		return "error: ";
	case LOG_WARN:
		return "warning: ";
	case LOG_DBG:
		return "debug: ";
	default:
		return "";
	}
}

void
log_write(int level, const char *fmt, ...)
{
	char line[LOG_LINE_MAX], iso[TIME_ISO_SIZE];
	int saved = errno, head, n;
	size_t len;
	va_list ap;

	if (level > log_level)
		return;
	if (log_journal)
		head = snprintf(line, sizeof(line), "<%d>", level);
	else
		head = snprintf(line, sizeof(line), "%s %.64s[%d]: %s", time_iso(now_us(), iso),
				log_name, (int)getpid(), level_word(level));
	va_start(ap, fmt);
	errno = saved; /* for %m */
	n = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, ap);
	va_end(ap);
	if (n < 0)
		line[head] = '\0';
	len = strlen(line);
	for (size_t i = (size_t)head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len++] = '\n'; /* in place of the NUL */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		continue;
	errno = saved;
}
