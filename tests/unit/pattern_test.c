// SPDX-License-Identifier: Apache-2.0
/*
 * Regular expressions: finding, groups, hostile expressions and subjects.
 */
#include "base/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum result find(const char *text, struct bytes subject, size_t from,
                        struct pattern_match *match)
{
    struct pattern *pattern = NULL;
    char why[256] = "";
    if (pattern_compile(text, &pattern, why, sizeof why) != RESULT_OK) {
        fail_msg("%s", why);
    }
    struct pattern_scratch *scratch = pattern_scratch_new();
    enum result result = pattern_find(pattern, scratch, subject, from, match);
    pattern_scratch_free(scratch);
    pattern_free(&pattern);
    assert_null(pattern);
    return result;
}

static void matches_and_groups_are_views_into_the_subject(void **state)
{
    (void)state;
    struct bytes subject = BYTES_LITERAL("key=abc; key=def");
    struct pattern_match match;
    assert_int_equal(find("key=(\\w+)(x)?", subject, 0, &match), RESULT_OK);
    assert_true(bytes_equal_text(match.groups[0], "key=abc"));
    assert_true(bytes_equal_text(match.groups[1], "abc"));
    assert_int_equal(match.groups[2].len, 0);
    assert_ptr_equal(match.groups[0].ptr, subject.ptr);
    assert_int_equal(find("key=(\\w+)", subject, 1, &match), RESULT_OK);
    assert_true(bytes_equal_text(match.groups[1], "def"));
}

static void no_match_is_missing(void **state)
{
    (void)state;
    struct pattern_match match;
    assert_int_equal(find("abc", BYTES_LITERAL("ab"), 0, &match), RESULT_MISSING);
    assert_int_equal(find("a", BYTES_LITERAL("a"), 2, &match), RESULT_MISSING);
    assert_int_equal(find("a", BYTES_NONE, 0, &match), RESULT_MISSING);
    assert_int_equal(find("^$", BYTES_NONE, 0, &match), RESULT_OK);
}

static void more_groups_than_slots_are_left_out(void **state)
{
    (void)state;
    struct pattern_match match;
    assert_int_equal(find("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", BYTES_LITERAL("abcdefghij"), 0, &match),
                     RESULT_OK);
    assert_true(bytes_equal_text(match.groups[0], "abcdefghij"));
    assert_true(bytes_equal_text(match.groups[7], "g"));
}

static void catastrophic_expressions_end_at_the_limit(void **state)
{
    (void)state;
    char subject[64];
    struct pattern_match match;
    memset(subject, 'a', sizeof subject);
    assert_int_equal(find("^(a+)+$", bytes_from(subject, sizeof subject - 1), 0, &match),
                     RESULT_OK);
    subject[sizeof subject - 1] = '!';
    assert_int_equal(find("^(a+)+$", bytes_from(subject, sizeof subject), 0, &match), RESULT_SHED);
    assert_int_equal(
        find("(x+x+)+[yz]", BYTES_LITERAL("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 0, &match),
        RESULT_SHED);
}

static void deep_recursion_ends_at_the_limit(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    char *subject = malloc(len);
    memset(subject, '(', len);
    struct pattern_match match;
    assert_int_equal(find("(\\((?1)*[)\\]])", bytes_from(subject, len), 0, &match), RESULT_SHED);
    free(subject);
}

static void invalid_text_is_searched_all_the_same(void **state)
{
    (void)state;
    struct pattern_match match;
    struct bytes subject = BYTES_LITERAL("\xff\xfe caf\xc3\xa9 \xc3");
    assert_int_equal(find("caf.", subject, 0, &match), RESULT_OK);
    assert_int_equal(match.groups[0].len, 5);
    assert_int_equal(find(".$", BYTES_LITERAL("\xff"), 0, &match), RESULT_MISSING);
    for (size_t from = 0; from <= subject.len; from++) {
        enum result result = find("x", subject, from, &match);
        assert_true(result == RESULT_MISSING || result == RESULT_SHED);
    }
}

static void bad_expressions_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const texts[] = {"(",   "[a",  "a{2,1}", "*",   "(?<n>a)(?<n>b)",
                                        "\\C", "a\\", "(?z)",   "\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct pattern *pattern = NULL;
        char why[256] = "";
        assert_int_equal(pattern_compile(texts[i], &pattern, why, sizeof why), RESULT_REJECT);
        assert_null(pattern);
        assert_non_null(strstr(why, " at offset "));
    }
}

static void absurd_expressions_are_refused(void **state)
{
    (void)state;
    char *text = malloc(40001);
    char why[64] = "";
    struct pattern *pattern = NULL;
    memset(text, 'a', 40000);
    text[40000] = '\0';
    assert_int_equal(pattern_compile(text, &pattern, why, sizeof why), RESULT_REJECT);
    memset(text, '(', 1000);
    memset(text + 1000, ')', 1000);
    text[2000] = '\0';
    assert_int_equal(pattern_compile(text, &pattern, why, sizeof why), RESULT_REJECT);
    assert_true(strlen(why) < sizeof why);
    free(text);
}

static void groups_are_counted_and_named(void **state)
{
    (void)state;
    struct pattern *pattern = NULL;
    char why[256] = "";
    assert_int_equal(
        pattern_compile("(?P<first>a)(b)(?:c)(?<third_one>d)", &pattern, why, sizeof why),
        RESULT_OK);
    assert_int_equal(pattern_group_count(pattern), 3);
    assert_string_equal(pattern_group_name(pattern, 1), "first");
    assert_string_equal(pattern_group_name(pattern, 2), "");
    assert_string_equal(pattern_group_name(pattern, 3), "third_one");
    assert_string_equal(pattern_group_name(pattern, 4), "");
    pattern_free(&pattern);
    assert_int_equal(pattern_compile("abc", &pattern, why, sizeof why), RESULT_OK);
    assert_int_equal(pattern_group_count(pattern), 0);
    assert_string_equal(pattern_group_name(pattern, 1), "");
    pattern_free(&pattern);
}

static void nothing_may_be_freed(void **state)
{
    (void)state;
    struct pattern *pattern = NULL;
    pattern_free(&pattern);
    pattern_scratch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_and_groups_are_views_into_the_subject),
        cmocka_unit_test(no_match_is_missing),
        cmocka_unit_test(more_groups_than_slots_are_left_out),
        cmocka_unit_test(catastrophic_expressions_end_at_the_limit),
        cmocka_unit_test(deep_recursion_ends_at_the_limit),
        cmocka_unit_test(invalid_text_is_searched_all_the_same),
        cmocka_unit_test(bad_expressions_are_refused_with_a_sentence),
        cmocka_unit_test(absurd_expressions_are_refused),
        cmocka_unit_test(groups_are_counted_and_named),
        cmocka_unit_test(nothing_may_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
