/* SPDX-License-Identifier: MIT */
/* The dashboard's files, read into memory when the server starts: after that the file system is not
 * needed. */
#ifndef AOD_HTTP_STATICS_H
#define AOD_HTTP_STATICS_H

#include <stddef.h>

#include <h2o.h>

#include "base/err.h"

#define STATICS_BYTES (16u << 20) /* of all files */
#define STATICS_FILES 500
#define STATICS_DEPTH 6

/* dir NULL: nothing is served. A directory that is not there is an error. Names that begin with a
 * dot are left out. */
int statics_load(const char *dir, struct err *e);
/* "/" and unknown paths without a dot in their last part give index.html; /config.json says where
 * the servers are. */
void statics_get(h2o_req_t *req, const char *method, const char *path, size_t path_len);

#endif
