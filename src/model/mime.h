/* SPDX-License-Identifier: MIT */
/* Media types of files, by their names. Pure. */
#ifndef AOD_MODEL_MIME_H
#define AOD_MODEL_MIME_H

/* By the ending of the name; application/octet-stream where that says nothing. Static storage. */
const char *mime_guess(const char *filename);

#endif
