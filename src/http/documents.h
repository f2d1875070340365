/* SPDX-License-Identifier: MIT */
/* Queries about documents of the Context Store, and what aod is told with actions on them. */
#ifndef AOD_HTTP_DOCUMENTS_H
#define AOD_HTTP_DOCUMENTS_H

#include "base/buf.h"
#include "http/route.h"

struct json_object;

/* dir: the directory of contents, open; taken. */
void documents_init(int dir);

/* What the server knows of a request on documents, as members of the arguments for aod: base, and where they are there id, if_match and
 * session_hint. b holds the beginning of an object. */
void documents_context(const struct request *rq, struct buf *b);
/* The same, put into an object. */
void documents_args(const struct request *rq, struct json_object *args);

void documents_list(const struct request *rq);
void documents_search(const struct request *rq);
void documents_tags(const struct request *rq);
void documents_metadata(const struct request *rq);
void documents_versions(const struct request *rq);
void documents_relations(const struct request *rq);

/* download.c: the content. */
void documents_get(const struct request *rq);
int documents_dir(void);

#endif
