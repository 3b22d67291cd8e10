// SPDX-License-Identifier: Apache-2.0
// The keys of score sinks: defaults, what is sent, suffixes, texts from keys and variables.
#include "exporter/score/score_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_switched_off_sink_sends_none(void **state)
{
    (void)state;
    struct score_sink_config config = {.scores = false, .send = SCORE_SEND_ALL};
    assert_int_equal(score_sink_send_switched(&config), SCORE_SEND_NONE);
    assert_int_equal(score_sink_send(&config), SCORE_SEND_ALL);
    config.scores = true;
    assert_int_equal(score_sink_send_switched(&config), SCORE_SEND_ALL);
}

static bool is_refused(const char *suffix)
{
    struct score_sink_config config = {.targeted_suffix = bytes_from_text(suffix)};
    struct buffer out;
    buffer_init(&out, 4096);
    struct option_errors errors = {.out = &out};
    score_sink_validate(&config, NULL, "exporters::x", &errors);
    buffer_fini(&out);
    return errors.count > 0;
}

static void suffixes_are_short_and_plain(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",    " ",    "a b",  "\xc3\xa9",
        "a/b", "a\"b", "a\nb", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const right[] = {
        "_targeted", ".t", "-T9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_true(is_refused(wrong[i]));
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_false(is_refused(right[i]));
    }
}

static void the_encoder_has_copies_of_its_texts(void **state)
{
    (void)state;
    char suffix[] = "_t", application[] = "shop";
    static const struct score_form form = {.age_ns_max = 0};
    struct score_sink_config config = {.send = SCORE_SEND_FAILED,
                                       .targeted_suffix = bytes_from_text(suffix)};
    struct score_encoder encoder = score_sink_encoder(&config, &form, bytes_from_text(application));
    memset(suffix, 'x', 2);
    memset(application, 'x', 4);
    assert_string_equal(encoder.suffix, "_t");
    assert_string_equal(encoder.application, "shop");
    assert_int_equal(encoder.send, SCORE_SEND_FAILED);
    assert_ptr_equal(encoder.form, &form);
}

static void the_key_goes_before_the_variables_and_these_before_the_fallback(void **state)
{
    (void)state;
    static const char *const variables[] = {"SCORE_SINK_TEST_A", "SCORE_SINK_TEST_B", NULL};
    setenv("SCORE_SINK_TEST_B", "b", 1);
    assert_true(bytes_equal_text(score_sink_text(BYTES_LITERAL("k"), variables, "f"), "k"));
    assert_true(bytes_equal_text(score_sink_text(BYTES_NONE, variables, "f"), "b"));
    setenv("SCORE_SINK_TEST_A", "a", 1);
    assert_true(bytes_equal_text(score_sink_text(BYTES_NONE, variables, "f"), "a"));
    setenv("SCORE_SINK_TEST_A", "", 1);
    assert_true(bytes_equal_text(score_sink_text(BYTES_NONE, variables, "f"), "b"));
    unsetenv("SCORE_SINK_TEST_A");
    unsetenv("SCORE_SINK_TEST_B");
    assert_true(bytes_equal_text(score_sink_text(BYTES_NONE, variables, "f"), "f"));
    assert_int_equal(score_sink_text(BYTES_NONE, variables, NULL).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switched_off_sink_sends_none),
        cmocka_unit_test(suffixes_are_short_and_plain),
        cmocka_unit_test(the_encoder_has_copies_of_its_texts),
        cmocka_unit_test(the_key_goes_before_the_variables_and_these_before_the_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
