/* SPDX-License-Identifier: MIT */
/*
 * Contents of documents coming in: read from the socket in pieces, summed, and written to a file in the directory of uploads, in constant
 * memory. When it is whole, aod is told the file's name and takes it (aod/documents.h). Until then the file is this module's, and goes with
 * the request.
 */
#ifndef AOD_HTTP_UPLOAD_H
#define AOD_HTTP_UPLOAD_H

#include <stdint.h>

#include "http/route.h"

#define UPLOADS_MAX 2048       /* at once; further ones are answered with 503 */
#define UPLOAD_RATE (16 << 10) /* bytes a second: each so many add a second to REQUEST_TIMEOUT_MS */
#define UPLOAD_FORM_EXTRA (4 << 20)  /* bytes that a form may have beside its document */
#define UPLOAD_FIELDS_MAX (64 << 20) /* bytes of fields of forms, other than files, of all uploads together; above it 503 */

/* dir: the directory of uploads, open; max: bytes of a document. */
void upload_init(int dir, int64_t max);
/* The handler of document.create and document.put. */
void upload_start(const struct request *rq);
void upload_tick(int64_t now);

#endif
