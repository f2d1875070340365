/* SPDX-License-Identifier: MIT */
/*
 * Bodies of type multipart/form-data (RFC 7578, RFC 2046), taken apart as they come, in pieces of any size. Pure: no files, no h2o.
 * Content is handed out in pieces and never kept; what is kept is bounded by the limits below.
 */
#ifndef AOD_HTTP_MULTIPART_H
#define AOD_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046, section 5.1.1 */
#define MULTIPART_HEADERS_MAX 8192 /* bytes of one part's headers */
#define MULTIPART_PARTS_MAX 100

struct multipart_part {
	const char *name;     /* never NULL */
	const char *filename; /* NULL when the part has none */
	const char *type;     /* Content-Type, NULL when it has none */
};

/* A callback that returns a negative number ends the parsing; it has filled e. */
struct multipart_ops {
	int (*on_part)(void *arg, const struct multipart_part *part, struct err *e);
	int (*on_data)(void *arg, const char *p, size_t n, struct err *e);
	int (*on_end)(void *arg, struct err *e); /* of a part */
};

struct multipart {
	const struct multipart_ops *ops;
	void *arg;
	char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
	size_t delimiter_len, matched;
	int state, parts;
	bool failed;
	struct buf headers;
};

/*
 * The value of a parameter of a header like Content-Type or Content-Disposition, without its quotes, appended to out. False when there is
 * no such parameter; out is untouched then.
 */
bool multipart_param(const char *value, size_t n, const char *name, struct buf *out);
/* Whether the value of a Content-Type header says multipart/form-data. */
bool multipart_is(const char *type, size_t n);

/* type: the value of the Content-Type header. -EINVAL (status 400) when it has no usable boundary. */
int multipart_init(struct multipart *m, const char *type, size_t n, const struct multipart_ops *ops, void *arg, struct err *e);
void multipart_done(struct multipart *m);
/* After an error every further call returns one. -EINVAL: the body is broken (status 400). */
int multipart_feed(struct multipart *m, const char *p, size_t n, struct err *e);
/* The body has ended: an error when the closing delimiter has not been seen. */
int multipart_finish(struct multipart *m, struct err *e);

#endif
