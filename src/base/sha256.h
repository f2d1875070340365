/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), in pieces or at once. */
#ifndef AOD_BASE_SHA256_H
#define AOD_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with its NUL */

struct sha256 {
	uint32_t h[8];
	uint64_t bytes; /* so far */
	uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_SIZE]);

void sha256(const void *p, size_t n, uint8_t out[SHA256_SIZE]);
/* The digest as 64 lower case digits into out[SHA256_HEX_SIZE]; returns out. */
char *sha256_hex(const uint8_t digest[SHA256_SIZE], char *out);

#endif
