/* SPDX-License-Identifier: MIT */
/*
 * Frame format v1: the records of a spool (what an agent printed, written by its shim, read by aod) and of
 * an input file (what aod wants of a shim). Frozen: a shim outlives upgrades of aod. A later version may add
 * types, which a reader that does not know them skips.
 *
 *	offset size
 *	0      2    magic 0xA0 0xD1
 *	2      1    version, 1
 *	3      1    type, enum frame_type
 *	4      1    flags, FRAME_MORE: the payload ends in the middle of a line that goes on in the next frame
 *	            of the same type
 *	5      3    zero
 *	8      4    length of the payload in bytes, little-endian, at most FRAME_MAX
 *	12     4    CRC-32C over bytes 0..11, 16..23 and the payload
 *	16     8    wall-clock time, microseconds since the epoch, little-endian
 *	24     n    payload
 *
 * A file of frames is only appended to, one writev(2) a frame. A frame at the end of the file that is cut short
 * is being written, or was when its writer died.
 */
#ifndef AOD_BASE_FRAME_H
#define AOD_BASE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER 24
#define FRAME_MAX (1u << 20) /* bytes of payload */
#define FRAME_MORE 1

enum frame_type {
	/* in a spool, shim → aod */
	FRAME_START = 1,   /* struct frame_start as text: "shim_pid=N\0shim_start=N\0agent_pid=N\0agent_start=N\0boot_id=S\0" */
	FRAME_STDOUT = 2,  /* bytes of whole lines, unless FRAME_MORE */
	FRAME_STDERR = 3,
	FRAME_EXIT = 4,	   /* last frame: "status=WAITSTATUS\0exec_errno=N\0exec_step=S\0utime_us=N\0stime_us=N\0maxrss_kb=N\0left=N\0" */
	FRAME_NOTE = 5,	   /* text from the shim for the log, such as a write that failed and was retried */
	FRAME_DENIED = 6,  /* a system call that the filter refused: "nr=N\0arch=N\0pid=N\0comm=S\0args=N,N,N,N,N,N\0" */
	/* in an input file, aod → shim; each payload begins with an 8-byte little-endian number that grows by 1 */
	FRAME_INPUT = 16,  /* bytes for the agent's stdin */
	FRAME_CLOSE = 17,  /* close the agent's stdin once all before it is written */
	FRAME_SIGNAL = 18, /* 4 bytes: signal number, sent to the agent's own process (by pidfd) */
	FRAME_STOP = 19,   /* 4 bytes: milliseconds. SIGTERM to the whole tree now, SIGKILL to what is left after them;
			    * 0: SIGKILL at once */
	FRAME_TAKEN = 20,  /* 8 bytes: what lies in front of this byte of the spool is committed; see spool_max= in shim/spec.h */
};

struct frame {
	uint8_t type, flags;
	uint32_t len;
	int64_t time_us;
	const char *payload; /* points into the caller's buffer */
};

/* Write the header for a payload into head[FRAME_HEADER]. The payload may be in two pieces (p2 may be NULL). */
void frame_header(uint8_t *head, uint8_t type, uint8_t flags, int64_t time_us, const void *p1, size_t n1,
		  const void *p2, size_t n2);
/*
 * Look at the frame at the start of (p, n). Returns the bytes it takes, 0 when it is not complete yet, or
 * -EBADMSG when what is there is no frame (bad magic, length or checksum).
 */
int64_t frame_parse(const void *p, size_t n, struct frame *out);
/* The value of key in a payload of "key=value\0" pairs, or NULL. Valid as long as the payload. */
const char *frame_field(const struct frame *f, const char *key);

#endif
