/* SPDX-License-Identifier: MIT */
/* The interface as an OpenAPI 3.1 document, made from the verb table. */
#ifndef AOD_HTTP_OPENAPI_H
#define AOD_HTTP_OPENAPI_H

#include "base/buf.h"
#include "http/route.h"

/* The document for the verbs that are answered on these ports. Pure. */
void openapi_render(struct buf *out, unsigned ports);
void openapi_get(const struct request *rq);

#endif
