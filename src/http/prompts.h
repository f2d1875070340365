/* SPDX-License-Identifier: MIT */
/* Answers about what sessions are asked. */
#ifndef AOD_HTTP_PROMPTS_H
#define AOD_HTTP_PROMPTS_H

#include "http/route.h"

void prompts_list(const struct request *rq);

#endif
