/* SPDX-License-Identifier: MIT */
/*
 * The input file. Two cursors go through it: `scan` checks each frame and does signals and stops at
 * once, `at` follows behind and moves the bytes for the agent's stdin as fast as the agent takes
 * them. What was not taken yet stays in the file: nothing is held in memory, however much aod has
 * written.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/frame.h"
#include "base/util.h"
#include "shim/shim.h"

#define NUMBER 8           /* bytes of the number at the start of each payload */
#define ORDER_MAX (NUMBER + 8) /* of an order, with its number */
#define PIECES_PER_TURN 16 /* moved to stdin before other descriptors get their turn */

struct head {
	uint8_t type;
	uint32_t len, crc;
};

static struct {
	int fd, out;
	off_t scan;  /* frames in front of it are whole and their orders are done */
	off_t at;    /* next frame for stdin */
	off_t pos;   /* next byte for stdin, within the frame in front of `at` */
	size_t left; /* bytes of that frame from pos on */
	bool want;   /* stdin is full, or it is not our turn */
	bool bad;    /* nothing behind `scan` can be trusted */
} in = {.fd = -1, .out = -1};

int
input_open(const char *path)
{
	in.fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	return in.fd < 0 ? -errno : 0;
}

void
input_set_stdin(int fd)
{
	in.out = fd;
}

void
input_close_stdin(void)
{
	if (in.out >= 0)
		close(in.out);
	in.out = -1;
}

int
input_poll_fd(void)
{
	return in.want ? in.out : -1;
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* 1, 0 when the file ends before it, -EBADMSG. *crc_part gets the checksum over the header's own
 * part. */
static int
read_head(off_t off, struct head *h, uint32_t *crc_part)
{
	uint8_t raw[FRAME_HEADER];

	if (pread(in.fd, raw, sizeof(raw), off) != (ssize_t)sizeof(raw))
		return 0;
	if (raw[0] != 0xa0 || raw[1] != 0xd1 || raw[2] != 1)
		return -EBADMSG;
	*h = (struct head){.type = raw[3], .len = get32(raw + 8), .crc = get32(raw + 12)};
	*crc_part = crc32c(crc32c(0, raw, 12), raw + 16, 8);
	return h->len > FRAME_MAX ? -EBADMSG : 1;
}

/* The checksum of a payload, continued from crc; its first bytes go to first. False when the file
 * ends before it does. */
static bool
read_payload(off_t off, uint32_t len, uint32_t *crc, uint8_t *first, size_t first_size)
{
	uint8_t *piece = scratch();

	for (uint32_t done = 0; done < len;) {
		uint32_t part = len - done < IN_PIECE ? len - done : IN_PIECE;

		if (pread(in.fd, piece, part, off + done) != (ssize_t)part)
			return false;
		if (done == 0)
			memcpy(first, piece, part < first_size ? part : first_size);
		*crc = crc32c(*crc, piece, part);
		done += part;
	}
	return true;
}

static uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void
obey(const struct head *h, const uint8_t *payload)
{
	if (h->len < NUMBER + 4)
		return;
	if (h->type == FRAME_SIGNAL)
		shim_signal((int)get32(payload + NUMBER));
	else if (h->type == FRAME_STOP)
		shim_stop(get32(payload + NUMBER));
	else if (h->type == FRAME_TAKEN && h->len >= ORDER_MAX)
		spool_taken((int64_t)get64(payload + NUMBER));
}

/* Looks at one more frame. False when there is none that is whole. */
static bool
scan_frame(void)
{
	uint8_t first[ORDER_MAX];
	char note[80], *p;
	uint32_t crc;
	struct head h;
	int r = read_head(in.scan, &h, &crc);

	if (r > 0) {
		if (!read_payload(in.scan + FRAME_HEADER, h.len, &crc, first, sizeof(first)))
			return false;
		if (crc != h.crc)
			r = -EBADMSG;
	}
	if (r < 0) {
		in.bad = true;
		p = put_text(note, note + sizeof(note), "the input file is damaged at byte ");
		*put_number(p, in.scan) = '\0';
		spool_note(note);
	}
	if (r <= 0)
		return false;
	in.scan += FRAME_HEADER + (off_t)h.len;
	obey(&h, first);
	return true;
}

/* Takes up the next frame for stdin. False when there is none. */
static bool
next_for_stdin(void)
{
	struct head h;
	uint32_t crc;

	if (in.at >= in.scan || read_head(in.at, &h, &crc) <= 0)
		return false;
	if (h.type == FRAME_INPUT && h.len > NUMBER) {
		in.pos = in.at + FRAME_HEADER + NUMBER;
		in.left = h.len - NUMBER;
	}
	in.at += FRAME_HEADER + (off_t)h.len;
	if (h.type == FRAME_CLOSE)
		input_close_stdin();
	return true;
}

/* One piece to stdin. False when it takes no more now. */
static bool
move_piece(void)
{
	uint8_t *piece = scratch();
	size_t part = in.left < IN_PIECE ? in.left : IN_PIECE;
	ssize_t n = pread(in.fd, piece, part, in.pos);

	if (n <= 0) {
		spool_note("the input file cannot be read any more");
		input_close_stdin();
		return false;
	}
	n = write(in.out, piece, (size_t)n);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		/* The agent has closed its stdin, or is gone: what it does not want is dropped. */
		input_close_stdin();
		return false;
	}
	in.pos += n;
	in.left -= (size_t)n;
	return true;
}

void
input_run(void)
{
	int pieces = 0;

	if (in.fd < 0)
		return;
	while (!in.bad && scan_frame())
		continue;
	in.want = false;
	while (in.out >= 0) {
		if (in.left == 0) {
			if (!next_for_stdin())
				return;
			continue;
		}
		if (++pieces > PIECES_PER_TURN || !move_piece()) {
			in.want = true;
			return;
		}
	}
}
