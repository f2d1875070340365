/* SPDX-License-Identifier: MIT */
/*
 * The files of the Context Store. aod-http writes what is uploaded to state/uploads, a directory of its own user, and names the file in its
 * request; here it is taken: state/documents/ab/SHA256, readable for aod-http and written by nobody. Then its row goes into the open
 * transaction. So a crash leaves the document or nothing: a file in uploads, or one in documents that no row knows, is swept away.
 *
 * In the background, in small pieces: contents without a use and documents that have expired are removed, texts go into the index.
 */
#ifndef AOD_AOD_DOCUMENTS_H
#define AOD_AOD_DOCUMENTS_H

#include "aod/manager.h"

#define DOCUMENT_TEXT_MAX (256 << 10) /* bytes at the beginning of a document that can be searched: a turn of the loop, 30 ms */

/* Makes the directories. Before the front is started. */
int documents_open(struct manager *m, struct err *e);
void documents_close(struct manager *m);
/* No front runs: what is in uploads belongs to nobody. */
void documents_sweep_uploads(struct manager *m);
/* There may be something to do: after a write, a start, a transaction that failed. */
void documents_wake(struct manager *m);
/* A transaction failed: a file may have been left without its row. */
void documents_sweep(struct manager *m);
/*
 * Take an upload over as the content sha256 (64 hexadecimal digits). The row comes after it, in the same transaction. -EBUSY while somebody
 * may still write to it, -ENOSPC, -EINVAL when it is not what it is said to be. The upload is gone in any case.
 */
int documents_take(struct manager *m, const char *upload, const char *sha256, int64_t size, struct err *e);
/* Bytes of all contents that are there. */
int documents_total(struct manager *m, int64_t *bytes, struct err *e);
/* An upload that is not wanted. */
void documents_drop(struct manager *m, const char *upload);

#endif
