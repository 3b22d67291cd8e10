// SPDX-License-Identifier: Apache-2.0
//
// Validity against the definition, character by character: all short sequences, every place of a
// long text, random mixtures; and cuts that never split a character.
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

// The definition, one character at a time (RFC 3629, section 3), to compare with.
static size_t decode(const uint8_t *ptr, size_t len, uint32_t *character)
{
    static const uint32_t first_of_length[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = ptr[0] < 0x80 ? 1 : ptr[0] < 0xc0 ? 0 : ptr[0] < 0xe0 ? 2 : ptr[0] < 0xf0 ? 3 : 4;
    if (size == 0 || ptr[0] >= 0xf8 || size > len) {
        return 0;
    }
    *character = size == 1 ? ptr[0] : ptr[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (ptr[i] >> 6 != 2) {
            return 0;
        }
        *character = *character << 6 | (ptr[i] & 0x3f);
    }
    bool surrogate = *character >= 0xd800 && *character <= 0xdfff;
    return surrogate || *character > 0x10ffff || *character < first_of_length[size] ? 0 : size;
}

static bool is_valid_by_definition(const uint8_t *ptr, size_t len)
{
    while (len > 0) {
        uint32_t character;
        size_t size = decode(ptr, len, &character);
        if (size == 0) {
            return false;
        }
        ptr += size;
        len -= size;
    }
    return true;
}

static void every_sequence_of_up_to_three_bytes_is_judged_by_definition(void **state)
{
    (void)state;
    for (uint32_t value = 0; value < 1u << 24; value++) {
        uint8_t text[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        bool expected = is_valid_by_definition(text, 3);
        if (utf8_is_valid(bytes_from(text, 3)) != expected) {
            fail_msg("%02x %02x %02x", text[0], text[1], text[2]);
        }
    }
}

static void four_byte_characters_are_judged_by_definition(void **state)
{
    (void)state;
    const uint8_t tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (unsigned lead = 0xe0; lead <= 0xff; lead++) {
        for (unsigned n = 0; n < 256 * 100; n++) {
            uint8_t text[4] = {(uint8_t)lead, (uint8_t)(n / 100), tails[n / 10 % 10],
                               tails[n % 10]};
            bool expected = is_valid_by_definition(text, 4);
            if (utf8_is_valid(bytes_from(text, 4)) != expected) {
                fail_msg("%02x %02x %02x %02x", text[0], text[1], text[2], text[3]);
            }
        }
    }
}

// Heap copies of the exact length, so that the sanitizer sees a read beyond the end.
static bool is_valid_copy(const void *ptr, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, ptr, len);
    bool valid = utf8_is_valid(bytes_from(copy, len));
    free(copy);
    return valid;
}

static void one_bad_byte_is_found_at_any_place_of_a_long_text(void **state)
{
    (void)state;
    uint8_t text[300];
    memset(text, 'a', sizeof text);
    for (size_t len = 1; len <= sizeof text; len++) {
        assert_true(is_valid_copy(text, len));
        for (size_t at = len > 150 ? len - 150 : 0; at < len; at++) {
            text[at] = 0x80;
            assert_false(is_valid_copy(text, len));
            text[at] = 0xc3;  // a lead byte without its tail
            assert_false(is_valid_copy(text, len));
            text[at] = 'a';
        }
    }
}

static void a_character_may_lie_across_any_border_of_a_block(void **state)
{
    (void)state;
    const char *const characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    uint8_t text[200];
    for (size_t c = 0; c < 3; c++) {
        size_t size = strlen(characters[c]);
        for (size_t at = 0; at + size <= sizeof text; at++) {
            memset(text, 'a', sizeof text);
            memcpy(text + at, characters[c], size);
            assert_true(is_valid_copy(text, sizeof text));
            assert_true(is_valid_copy(text, at + size));
            for (size_t cut = 1; cut < size; cut++) {
                assert_false(is_valid_copy(text, at + cut));  // ends inside the character
            }
        }
    }
}

static void random_mixtures_are_judged_by_definition(void **state)
{
    (void)state;
    static const char *const parts[] = {"plain ascii text of some length, as in English prose ",
                                        "\xd0\x9f\xd1\x80\xd0\xb8",
                                        "\xe4\xbd\xa0\xe5\xa5\xbd",
                                        "\xf0\x9f\x98\x80",
                                        "x",
                                        "\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xe0\x80\x80",
                                        "\xff"};
    struct random random;
    random_seed(&random, 11);
    unsigned valid_count = 0;
    for (unsigned round = 0; round < 5000; round++) {
        char text[1000];
        size_t len = 0;
        // Every other text has good parts only.
        unsigned choices = round % 2 ? 5 : 10;
        for (uint64_t n = random_below(&random, 12); n > 0; n--) {
            const char *part = parts[random_below(&random, choices)];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        len -= len ? random_below(&random, 2) : 0;
        bool valid = is_valid_by_definition((const uint8_t *)text, len);
        assert_int_equal(is_valid_copy(text, len), valid);
        valid_count += valid;
    }
    assert_in_range(valid_count, 1000, 4500);
}

static void empty_text_is_valid(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(BYTES_NONE));
    assert_true(utf8_is_valid(BYTES_LITERAL("\0")));
}

static void prefixes_and_suffixes_never_split_a_character(void **state)
{
    (void)state;
    struct bytes text = BYTES_LITERAL("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\xf0\x9f\x98\x80");
    for (size_t len_max = 0; len_max <= text.len + 2; len_max++) {
        struct bytes prefix = utf8_prefix(text, len_max);
        struct bytes suffix = utf8_suffix(text, len_max);
        assert_true(utf8_is_valid(prefix) && utf8_is_valid(suffix));
        assert_true(prefix.len <= len_max && suffix.len <= len_max);
        size_t expected = len_max < text.len ? len_max : text.len;
        assert_true(prefix.len + 3 >= expected && suffix.len + 3 >= expected);
        assert_true(bytes_start_with(text, prefix) && bytes_end_with(text, suffix));
    }
    assert_int_equal(utf8_prefix(text, 2).len, 1);
    assert_int_equal(utf8_prefix(text, 3).len, 3);
    assert_int_equal(utf8_suffix(text, 3).len, 0);
    assert_int_equal(utf8_suffix(text, 4).len, 4);
}

static void text_of_nothing_but_tails_is_cut_by_length(void **state)
{
    (void)state;
    uint8_t tails[20];
    memset(tails, 0x80, sizeof tails);
    struct bytes text = bytes_from(tails, sizeof tails);
    for (size_t len_max = 4; len_max <= sizeof tails; len_max++) {
        assert_int_equal(utf8_prefix(text, len_max).len, len_max);
        assert_int_equal(utf8_suffix(text, len_max).len, len_max);
    }
    assert_int_equal(utf8_prefix(BYTES_NONE, 0).len, 0);
    assert_int_equal(utf8_suffix(BYTES_NONE, 0).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_up_to_three_bytes_is_judged_by_definition),
        cmocka_unit_test(four_byte_characters_are_judged_by_definition),
        cmocka_unit_test(one_bad_byte_is_found_at_any_place_of_a_long_text),
        cmocka_unit_test(a_character_may_lie_across_any_border_of_a_block),
        cmocka_unit_test(random_mixtures_are_judged_by_definition),
        cmocka_unit_test(empty_text_is_valid),
        cmocka_unit_test(prefixes_and_suffixes_never_split_a_character),
        cmocka_unit_test(text_of_nothing_but_tails_is_cut_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
