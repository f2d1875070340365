/* SPDX-License-Identifier: MIT */
/*
 * Error values. A function that the world can make fail returns 0 or a negative errno and fills a
 * struct err, its last argument; the text is written where the thing went wrong, with the name of the
 * object, and each caller may put its own context in front with err_wrap(). Library code never logs.
 */
#ifndef AOD_BASE_ERR_H
#define AOD_BASE_ERR_H

struct err {
	int code;	/* negative errno, 0 while nothing failed */
	int status;	/* HTTP status that describes it to a client, 0 = derive from code */
	char text[512]; /* NUL-terminated, one line, UTF-8; longer texts are cut */
};

/* Fill *e (may be NULL) and return code, which must be negative. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* As err_set(), with the HTTP status to answer with. */
int err_set_status(struct err *e, int status, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* As err_set(), and ": " strerror(-code) is appended. */
int err_errno(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "context: " in front of the text of *e; returns e's code (or -EINVAL when e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
