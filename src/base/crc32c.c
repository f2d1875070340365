/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C, declared in util.h. A file of its own because aod-shim links nothing but this and
 * frame.c. The SSE4.2 instruction where the processor has it, else eight tables (slicing-by-8),
 * made at first use.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <nmmintrin.h>
#define HAVE_CRC_INSTRUCTION 1

__attribute__((target("sse4.2"))) static uint32_t
crc_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = crc, v;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&v, p, 8);
		c = _mm_crc32_u64(c, v);
	}
	for (; n > 0; p++, n--)
		c = _mm_crc32_u8((uint32_t)c, *p);
	return (uint32_t)c;
}

static bool
have_instruction(void)
{
	static int have = -1;
	unsigned int a, b, c, d;

	/* __get_cpuid rather than __builtin_cpu_supports(), which wants a libgcc that musl does not
	 * bring. */
	if (have < 0)
		have = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
	return have;
}
#endif

/* In pages of its own, for most processors do without it. */
static uint32_t crc_table[8][256] __attribute__((aligned(4096)));

static void
table_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0); /* RFC 3720, reflected */
		crc_table[0][i] = c;
	}
	for (int t = 1; t < 8; t++)
		for (int i = 0; i < 256; i++)
			crc_table[t][i] =
				crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

static uint32_t
crc_by_table(uint32_t c, const unsigned char *p, size_t n)
{
	if (crc_table[0][1] == 0)
		table_init();
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t lo = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
				   (uint32_t)p[3] << 24);

		c = crc_table[7][lo & 255] ^ crc_table[6][lo >> 8 & 255] ^
		    crc_table[5][lo >> 16 & 255] ^ crc_table[4][lo >> 24] ^ crc_table[3][p[4]] ^
		    crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
	}
	for (; n > 0; p++, n--)
		c = c >> 8 ^ crc_table[0][(c ^ *p) & 255];
	return c;
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* What crc32c() is without the instruction; for the test, which compares the two. */
uint32_t
crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	return ~crc_by_table(~crc, p, n);
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
#ifdef HAVE_CRC_INSTRUCTION
	if (have_instruction())
		return ~crc_instruction(~crc, p, n);
#endif
	return crc32c_portable(crc, p, n);
}
