// SPDX-License-Identifier: Apache-2.0
// Cutting text into words, inside ASCII and outside of it, and bounded sets of them.
#include "processor/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_words(const char *text, const char *wanted)
{
    struct word_walk walk = {bytes_from_text(text)};
    struct bytes word;
    char found[256] = "";
    while (word_next(&walk, &word)) {
        size_t len = strlen(found);
        snprintf(found + len, sizeof found - len, "%.*s|", BYTES_PRINTF(word));
    }
    assert_string_equal(found, wanted);
}

static void words_are_runs_of_letters_and_digits(void **state)
{
    (void)state;
    check_words("Hello, world! 42 times.", "Hello|world|42|times|");
    check_words("a-b_c", "a|b|c|");
    check_words("", "");
    check_words(" ...!? ", "");
}

static void letters_outside_ascii_belong_to_words(void **state)
{
    (void)state;
    check_words("caf\xc3\xa9 na\xc3\xafve", "caf\xc3\xa9|na\xc3\xafve|");
    check_words("\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac|");
}

static void punctuation_outside_ascii_does_not(void **state)
{
    (void)state;
    check_words("refund\xe2\x80\x94within", "refund|within|");  // em dash
    check_words("\xe2\x80\x9crefund\xe2\x80\x9d", "refund|");   // curly quotes
    check_words("30\xc2\xa0"
                "days",
                "30|days|");  // no-break space
    check_words("\xe6\x97\xa5\xe3\x80\x82\xe6\x9c\xac", "\xe6\x97\xa5|\xe6\x9c\xac|");
    check_words("\xe2\x80", "\xe2\x80|");  // cut in the middle
    check_words("\xc2", "\xc2|");
}

static void common_words_are_known_in_any_case(void **state)
{
    (void)state;
    assert_true(word_is_common(BYTES_LITERAL("the")));
    assert_true(word_is_common(BYTES_LITERAL("The")));
    assert_true(word_is_common(BYTES_LITERAL("I")));
    assert_true(word_is_common(BYTES_LITERAL("would")));
    assert_false(word_is_common(BYTES_LITERAL("refund")));
    assert_false(word_is_common(BYTES_LITERAL("thee")));
    assert_false(word_is_common(BYTES_LITERAL("hea")));  // across two words of the list
    assert_false(word_is_common(BYTES_LITERAL("42")));
    assert_false(word_is_common(BYTES_NONE));
}

static void hashes_fold_ascii_case_and_are_never_nought(void **state)
{
    (void)state;
    assert_int_equal(word_hash(BYTES_LITERAL("Refund")), word_hash(BYTES_LITERAL("rEFUND")));
    assert_int_not_equal(word_hash(BYTES_LITERAL("refund")), word_hash(BYTES_LITERAL("refunds")));
    assert_int_not_equal(word_hash(BYTES_NONE), 0);
    char one[80], other[81];
    memset(one, 'a', sizeof one);
    memset(other, 'a', sizeof other);
    assert_int_not_equal(word_hash(bytes_from(one, sizeof one)),
                         word_hash(bytes_from(other, sizeof other)));
}

static void digits_are_seen(void **state)
{
    (void)state;
    assert_true(word_has_digit(BYTES_LITERAL("a1")));
    assert_false(word_has_digit(BYTES_LITERAL("abc")));
    assert_false(word_has_digit(BYTES_NONE));
}

static void a_set_holds_each_word_once(void **state)
{
    (void)state;
    struct words words;
    words_init(&words);
    assert_true(words_add(&words, 7));
    assert_false(words_add(&words, 7));
    assert_true(words_contain(&words, 7));
    assert_false(words_contain(&words, 8));
    assert_int_equal(words.count, 1);
}

static void a_full_set_takes_no_more_and_still_finds(void **state)
{
    (void)state;
    struct words words;
    words_init(&words);
    for (uint32_t i = 1; i <= WORDS_MAX; i++) {
        assert_true(words_add(&words, i * 8192));  // all want the same slot
    }
    assert_false(words_add(&words, 5));
    assert_false(words_contain(&words, 5));
    assert_true(words_contain(&words, 8192));
    assert_int_equal(words.count, WORDS_MAX);
}

static void a_text_adds_its_content_words(void **state)
{
    (void)state;
    struct words words;
    words_init(&words);
    words_add_text(&words, BYTES_LITERAL("The refund of the order, the refund"));
    assert_int_equal(words.count, 2);
    assert_true(words_contain(&words, word_hash(BYTES_LITERAL("REFUND"))));
    assert_false(words_contain(&words, word_hash(BYTES_LITERAL("the"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_of_letters_and_digits),
        cmocka_unit_test(letters_outside_ascii_belong_to_words),
        cmocka_unit_test(punctuation_outside_ascii_does_not),
        cmocka_unit_test(common_words_are_known_in_any_case),
        cmocka_unit_test(hashes_fold_ascii_case_and_are_never_nought),
        cmocka_unit_test(digits_are_seen),
        cmocka_unit_test(a_set_holds_each_word_once),
        cmocka_unit_test(a_full_set_takes_no_more_and_still_finds),
        cmocka_unit_test(a_text_adds_its_content_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
