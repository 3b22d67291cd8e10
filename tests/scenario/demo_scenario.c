// SPDX-License-Identifier: Apache-2.0
//
// The demonstration as a viewer without a terminal gets it: it comes to its end, tells the wrong
// conversations from the right ones, keeps bytes, has a reason for everything that is not graded,
// and invents no score when the judge is gone.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/scenario/harness.h"

#define SCREEN_MAX ((size_t)1 << 20)

struct screen {
    struct harness *harness;
    struct buffer text;
};

static int show(void **state)
{
    static struct screen screen;
    static const char *const arguments[] = {"demo", "--plain", NULL};
    void *harness = NULL;
    assert_int_equal(harness_setup(&harness), 0);
    screen.harness = harness;
    buffer_init(&screen.text, SCREEN_MAX);
    assert_int_equal(harness_command(screen.harness, arguments, &screen.text), 0);
    *state = &screen;
    return 0;
}

static int leave(void **state)
{
    struct screen *screen = *state;
    void *harness = screen->harness;
    buffer_fini(&screen->text);
    return harness_teardown(&harness);
}

static const char *text_of(void **state)
{
    struct screen *screen = *state;
    return buffer_text(&screen->text);
}

static unsigned count(const char *text, const char *what)
{
    unsigned found = 0;
    while ((text = strstr(text, what)) != NULL) {
        found++;
        text += strlen(what);
    }
    return found;
}

static void backend_sees_ten_green_conversations(void **state)
{
    assert_int_equal(count(text_of(state), "  OK   "), HARNESS_TRACES);
    assert_int_equal(count(text_of(state), "  ERROR"), 0);
}

static void three_of_ten_fail_and_seven_pass(void **state)
{
    assert_int_equal(count(text_of(state), "\n  FAIL "), 3);
    assert_int_equal(count(text_of(state), "\n  pass "), 7);
    assert_non_null(strstr(text_of(state), "10 graded; 58 of 58 spans"));
}

static void each_failure_shows_the_sentence_and_what_is_missing(void **state)
{
    assert_int_equal(count(text_of(state), "         says     "), 3);
    assert_int_equal(count(text_of(state), "         missing  "), 3);
    assert_non_null(strstr(text_of(state), "within 60 days of delivery"));
    assert_non_null(strstr(text_of(state), "within 30 days of delivery"));
}

static void screen_says_that_the_judge_is_scripted(void **state)
{
    assert_non_null(strstr(text_of(state), "Judge: a scripted one on loopback"));
}

static void span_keeps_its_bytes(void **state)
{
    assert_non_null(strstr(text_of(state), "the same, byte for byte"));
    assert_null(strstr(text_of(state), "NOT the same"));
}

static void what_is_not_graded_has_its_reason_and_probability(void **state)
{
    assert_non_null(strstr(text_of(state), "not_sampled"));
    assert_non_null(strstr(text_of(state), "probability  0.25; random number"));
    assert_non_null(strstr(text_of(state), "100,000 conversations a month"));
}

static void stopped_judge_costs_no_span_and_invents_no_score(void **state)
{
    assert_non_null(strstr(text_of(state), "58 of 58 spans are at the backend; 0 requests"));
    assert_non_null(strstr(text_of(state), "10 decisions say judge_error"));
    assert_non_null(strstr(text_of(state), "0 spans carry a judge's score"));
}

static void last_screen_says_what_to_do_with_an_agent_of_ones_own(void **state)
{
    assert_non_null(strstr(text_of(state), "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backend_sees_ten_green_conversations),
        cmocka_unit_test(three_of_ten_fail_and_seven_pass),
        cmocka_unit_test(each_failure_shows_the_sentence_and_what_is_missing),
        cmocka_unit_test(screen_says_that_the_judge_is_scripted),
        cmocka_unit_test(span_keeps_its_bytes),
        cmocka_unit_test(what_is_not_graded_has_its_reason_and_probability),
        cmocka_unit_test(stopped_judge_costs_no_span_and_invents_no_score),
        cmocka_unit_test(last_screen_says_what_to_do_with_an_agent_of_ones_own),
    };
    return cmocka_run_group_tests(tests, show, leave);
}
