// SPDX-License-Identifier: Apache-2.0
//
// Hashes against published and pinned values, and the seed that all threads share.
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/ids.h"
#include "base/thread.h"

static void expect_sha256(struct bytes view, const char *expected)
{
    uint8_t digest[32];
    char text[65];
    hash_sha256(view, digest);
    hex_encode(digest, 32, text);
    assert_string_equal(text, expected);
}

// FIPS 180-4, the examples that NIST publishes with it.
static void sha256_is_the_standard_one(void **state)
{
    (void)state;
    expect_sha256(BYTES_NONE, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256(BYTES_LITERAL("abc"),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256(BYTES_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_stream_cut_anywhere_gives_the_same_digest(void **state)
{
    (void)state;
    struct bytes text =
        BYTES_LITERAL("The quick brown fox jumps over the lazy dog, twice and again: "
                      "the quick brown fox jumps over the lazy dog.");
    uint8_t whole[32], parts[32];
    hash_sha256(text, whole);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct hash_sha256_stream *stream = hash_sha256_begin();
        hash_sha256_add(stream, bytes_slice(text, 0, cut));
        hash_sha256_add(stream, BYTES_NONE);
        hash_sha256_add(stream, bytes_slice(text, cut, SIZE_MAX));
        hash_sha256_end(stream, parts);
        assert_memory_equal(whole, parts, 32);
    }
}

// Pinned: these values stand in ledgers and decide who is sampled, so they may never change.
static void stable_hashes_never_change(void **state)
{
    (void)state;
    assert_true(hash_stable("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_stable("abc", 3, 0) == UINT64_C(0x78af5f94892f3950));
    assert_true(hash_stable("abc", 3, 1) != hash_stable("abc", 3, 0));
    assert_true(hash_stable("abc", 3, 1) == hash_stable("abc", 3, 1));
}

static void equal_keys_have_equal_hashes_in_one_process(void **state)
{
    (void)state;
    const char a[] = "service.name", b[] = "service.name";
    assert_true(hash_keyed(a, sizeof a) == hash_keyed(b, sizeof b));
    assert_true(hash_keyed(a, 3) != hash_keyed(a, 4));
    assert_true(hash_keyed(NULL, 0) == hash_keyed(a, 0));
}

static void the_process_seed_is_not_a_constant(void **state)
{
    (void)state;
    assert_true(hash_keyed("abc", 3) != hash_stable("abc", 3, 0));
    assert_true(hash_keyed("abc", 3) != hash_stable("abc", 3, 1));
}

static void hash_abc(void *arg)
{
    *(uint64_t *)arg = hash_keyed("abc", 3);
}

static void all_threads_share_the_seed(void **state)
{
    (void)state;
    struct thread threads[4];
    uint64_t hashes[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(thread_start(&threads[i], "hasher", hash_abc, &hashes[i]), RESULT_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_true(hashes[i] == hashes[0]);
    }
    assert_true(hashes[0] == hash_keyed("abc", 3));
}

// RFC 3720 B.4, and the check value of the CRC catalogues.
static void crc32c_is_the_published_one(void **state)
{
    (void)state;
    uint8_t block[32] = {0};
    assert_int_equal(hash_crc32c(0, BYTES_LITERAL("123456789")), 0xe3069283);
    assert_int_equal(hash_crc32c(0, bytes_from(block, 32)), 0x8a9136aa);
    memset(block, 0xff, 32);
    assert_int_equal(hash_crc32c(0, bytes_from(block, 32)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        block[i] = i;
    }
    assert_int_equal(hash_crc32c(0, bytes_from(block, 32)), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++) {
        block[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(hash_crc32c(0, bytes_from(block, 32)), 0x113fdb5c);
    assert_int_equal(hash_crc32c(0, BYTES_NONE), 0);
    assert_int_equal(hash_crc32c(7, BYTES_NONE), 7);
}

static void a_crc32c_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    uint8_t text[300];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * 7);
    }
    struct bytes whole = bytes_from(text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        uint32_t first = hash_crc32c(0, bytes_slice(whole, 0, cut));
        uint32_t both = hash_crc32c(first, bytes_slice(whole, cut, SIZE_MAX));
        assert_int_equal(both, hash_crc32c(0, whole));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_share_the_seed),
        cmocka_unit_test(sha256_is_the_standard_one),
        cmocka_unit_test(a_stream_cut_anywhere_gives_the_same_digest),
        cmocka_unit_test(stable_hashes_never_change),
        cmocka_unit_test(crc32c_is_the_published_one),
        cmocka_unit_test(a_crc32c_goes_on_where_it_was_cut),
        cmocka_unit_test(equal_keys_have_equal_hashes_in_one_process),
        cmocka_unit_test(the_process_seed_is_not_a_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
