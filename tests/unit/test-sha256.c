/* SPDX-License-Identifier: MIT */
/* SHA-256 against the examples of FIPS 180-4 and sums that sha256sum(1) printed; any split of the input gives the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "base/util.h"

static void
check(const char *text, size_t n, const char *want)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];

	sha256(text, n, digest);
	assert_string_equal(sha256_hex(digest, hex), want);
}

static void
test_known(void **state)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	CLEANUP_FREE char *million = xmalloc(1000000);

	check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check(two, sizeof(two) - 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', 1000000);
	check(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void
test_pieces(void **state)
{
	uint8_t text[300], whole[SHA256_SIZE], split[SHA256_SIZE];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(text); n++) {
		sha256(text, n, whole);
		for (size_t piece = 1; piece < 140; piece += 23) {
			struct sha256 s;

			sha256_init(&s);
			for (size_t at = 0; at < n; at += piece)
				sha256_add(&s, text + at, n - at < piece ? n - at : piece);
			sha256_end(&s, split);
			assert_memory_equal(whole, split, SHA256_SIZE);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_known), cmocka_unit_test(test_pieces) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
