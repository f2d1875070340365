/* SPDX-License-Identifier: MIT */
/* Files of EnvironmentFile=: lines NAME=VALUE with comments, continuation and quotes, as in
 * systemd.exec(5). Pure. */
#ifndef AOD_MODEL_ENV_FILE_H
#define AOD_MODEL_ENV_FILE_H

#include <stddef.h>

#include "base/err.h"

/* Append what the text says to *env as NAME=VALUE, in order. -EINVAL with the line in e; what came
 * before it is kept. A value's text never gets into e. */
int env_file_parse(char ***env, const char *text, size_t n, struct err *e);

#endif
