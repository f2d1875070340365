/* SPDX-License-Identifier: MIT */
/* Fills struct err. Texts are one line of valid UTF-8 as far as their sources were; they are cut
 * between characters. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* End the text in front of a UTF-8 sequence that was cut, and keep it one line. */
static void
text_tidy(char *text, size_t size, size_t wanted)
{
	size_t n = strlen(text), i = n, need;

	if (wanted >= size && n > 0) {
		while (i > 0 && ((unsigned char)text[i - 1] & 0xc0) == 0x80)
			i--;
		if (i > 0 && (unsigned char)text[i - 1] >= 0xc0) {
			unsigned char lead = (unsigned char)text[i - 1];

			need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
			if (n - (i - 1) < need)
				text[i - 1] = '\0';
		}
	}
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}

static void
err_fill(struct err *e, int status, int code, const char *fmt, va_list ap)
{
	char text[sizeof(e->text)];
	int n;

	assert(code < 0);
	if (!e)
		return;
	/* What was there until now may be part of it. */
	n = vsnprintf(text, sizeof(text), fmt, ap);
	e->code = code;
	e->status = status;
	memcpy(e->text, text, n < 0 ? 0 : strlen(text) + 1);
	text_tidy(e->text, sizeof(e->text), n < 0 ? 0 : (size_t)n);
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(e, 0, code, fmt, ap);
	va_end(ap);
	return code;
}

int
err_set_status(struct err *e, int status, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(e, status, code, fmt, ap);
	va_end(ap);
	return code;
}

int
err_errno(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	char text[sizeof(e->text)];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	/* A long context must not push out the reason. */
	return err_set(e, code, "%.420s: %s", text, strerror(-code));
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char context[sizeof(e->text)], old[sizeof(e->text)];
	int n;

	if (!e)
		return -EINVAL;
	va_start(ap, fmt);
	n = vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	if (n < 0)
		context[0] = '\0';
	memcpy(old, e->text, sizeof(old));
	n = snprintf(e->text, sizeof(e->text), "%s: %s", context, old);
	text_tidy(e->text, sizeof(e->text), n < 0 ? 0 : (size_t)n);
	return e->code;
}
