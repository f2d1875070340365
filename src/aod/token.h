/* SPDX-License-Identifier: MIT */
/* Tokens as aod makes them; see model/permission.h for what they are worth. */
#ifndef AOD_AOD_TOKEN_H
#define AOD_AOD_TOKEN_H

#include "base/err.h"
#include "base/sha256.h"
#include "model/permission.h"

struct run;

void token_new(char text[TOKEN_SIZE], char hash[SHA256_HEX_SIZE]);
/* Store r->token_hash as that of the run's own token, in the open transaction; those of earlier runs go. */
int token_store_run(struct run *r, struct err *e);
/* The control group of the run was made: over TCP, its processes are known by it. Not where they are in no sandbox, and so are as good as their user. */
int token_note_group(struct run *r, struct err *e);
/* The run has ended: nobody may speak for it any more. */
int token_end_run(struct run *r, struct err *e);

#endif
