// SPDX-License-Identifier: Apache-2.0
//
// Headers that travel with telemetry: bounds, equality, and texts for people without their values.
#include "base/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct metadata *of(const char *key, const char *value)
{
    struct metadata *made = NULL;
    struct metadata_pair pair = {bytes_from_text(key), bytes_from_text(value)};
    assert_int_equal(metadata_make(&pair, 1, &made), RESULT_OK);
    return made;
}

static void it_is_a_copy_with_a_count(void **state)
{
    (void)state;
    char value[] = "Bearer abc";
    struct bytes found;
    struct metadata *one = of("authorization", value);
    struct metadata *two = metadata_hold(one);
    memset(value, 'x', sizeof value - 1);
    metadata_release(&one);
    assert_null(one);
    assert_true(metadata_find(two, BYTES_LITERAL("authorization"), &found));
    assert_true(bytes_equal_text(found, "Bearer abc"));
    assert_false(metadata_find(two, BYTES_LITERAL("author"), &found));
    assert_false(metadata_find(NULL, BYTES_LITERAL("authorization"), &found));
    metadata_release(&two);
    metadata_release(&two);
    assert_null(metadata_hold(NULL));
}

static void bounds_are_kept(void **state)
{
    (void)state;
    static char long_value[METADATA_BYTES_MAX + 1];
    struct metadata *made = NULL;
    struct metadata_pair pairs[METADATA_PAIRS_MAX + 1];
    for (size_t i = 0; i <= METADATA_PAIRS_MAX; i++) {
        pairs[i] = (struct metadata_pair){BYTES_LITERAL("k"), BYTES_LITERAL("v")};
    }
    assert_int_equal(metadata_make(pairs, METADATA_PAIRS_MAX + 1, &made), RESULT_TOO_LARGE);
    assert_int_equal(metadata_make(pairs, METADATA_PAIRS_MAX, &made), RESULT_OK);
    metadata_release(&made);
    pairs[0].value = bytes_from(long_value, METADATA_BYTES_MAX);
    assert_int_equal(metadata_make(pairs, 1, &made), RESULT_TOO_LARGE);
    pairs[0].value = bytes_from(long_value, METADATA_BYTES_MAX - 1);
    assert_int_equal(metadata_make(pairs, 1, &made), RESULT_OK);
    metadata_release(&made);
    assert_int_equal(metadata_make(NULL, 0, &made), RESULT_OK);
    assert_null(made);
}

static void equality_is_of_contents(void **state)
{
    (void)state;
    struct metadata *all[] = {of("a", "bc"), of("ab", "c"), of("a", "bd"), of("a", ""),
                              of("", "a")};
    struct metadata *same = of("a", "bc");
    assert_true(metadata_equal(all[0], same));
    assert_true(metadata_equal(NULL, NULL));
    assert_false(metadata_equal(all[0], NULL));
    assert_false(metadata_equal(NULL, all[0]));
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            assert_int_equal(metadata_equal(all[i], all[k]), i == k);
        }
    }
    for (size_t i = 0; i < 5; i++) {
        metadata_release(&all[i]);
    }
    metadata_release(&same);
}

static void values_are_masked_whole_without_scheme_and_cut(void **state)
{
    (void)state;
    struct metadata *metadata = of("authorization", "Bearer very-secret");
    char whole[] = "no: Bearer very-secret!";
    char bare[] = "very-secret very-secret";
    char cut[] = "token very-se";
    char other[] = "nothing of it";
    metadata_mask(metadata, whole);
    metadata_mask(metadata, bare);
    metadata_mask(metadata, cut);
    metadata_mask(metadata, other);
    metadata_mask(NULL, other);
    assert_string_equal(whole, "no: ******************!");
    assert_string_equal(bare, "*********** ***********");
    assert_string_equal(cut, "token *******");
    assert_string_equal(other, "nothing of it");
    metadata_release(&metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_copy_with_a_count),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(equality_is_of_contents),
        cmocka_unit_test(values_are_masked_whole_without_scheme_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
