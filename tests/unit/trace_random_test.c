// SPDX-License-Identifier: Apache-2.0
// Thresholds, tracestate and the one random number of a trace, with the traps of OpenTelemetry's
// encoding: leading noughts count, trailing ones may be left out, upper case is not in the grammar.
#include "processor/trace_random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "processor/sampling.h"

#define QUARTER UINT64_C(0xc0000000000000)  // threshold of p = 1/4

static const struct trace_id id = {{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce,
                                    0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}};
#define LAST_BITS UINT64_C(0xce929d0e0e4736)

static struct trace_random random_of(const char *trace_state)
{
    struct trace_random found;
    trace_random_of(&id, bytes_from_text(trace_state), &found);
    return found;
}

static void thresholds_pad_on_the_right(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t threshold;
    } rows[] = {{"0", 0},
                {"c", QUARTER},
                {"8", UINT64_C(0x80000000000000)},
                {"08", UINT64_C(0x08000000000000)},  // 96.875 %, not 50 %
                {"fd70a", UINT64_C(0xfd70a000000000)},
                {"e666", UINT64_C(0xe6660000000000)},
                {"ffbe77", UINT64_C(0xffbe7700000000)},
                {"ffffffffffffff", UINT64_C(0xffffffffffffff)},
                {"00000000000000", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t threshold = 1;
        assert_true(threshold_parse(bytes_from_text(rows[i].text), &threshold));
        assert_int_equal(threshold, rows[i].threshold);
    }
}

static void malformed_thresholds_and_random_values_are_refused(void **state)
{
    (void)state;
    static const char *const thresholds[] = {"", "C", "0x8", "g", "fffffffffffffff", " c", "-1"};
    static const char *const values[] = {"",  "1234567890abc",  "1234567890abcdef",
                                         "c", "1234567890ABCD", "1234567890abc "};
    uint64_t out;
    for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
        assert_false(threshold_parse(bytes_from_text(thresholds[i]), &out));
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_false(random_value_parse(bytes_from_text(values[i]), &out));
    }
    assert_true(random_value_parse(BYTES_LITERAL("0000000000000a"), &out));
    assert_int_equal(out, 10);
}

static void probabilities_become_thresholds_and_back(void **state)
{
    (void)state;
    assert_int_equal(threshold_of(1, 0), 0);
    assert_int_equal(threshold_of(2, 0), 0);
    assert_int_equal(threshold_of(0.25, 0), QUARTER);
    assert_int_equal(threshold_of(0, 0), TRACE_RANDOM_RANGE);
    assert_int_equal(threshold_of(-1, 0), TRACE_RANDOM_RANGE);
    assert_int_equal(threshold_of((double)NAN, 0), TRACE_RANDOM_RANGE);
    assert_int_equal(threshold_of(1e-30, 0), TRACE_RANDOM_RANGE - 1);  // the smallest there is
    assert_true(threshold_probability(QUARTER, 0) == 0.25);
    assert_true(threshold_probability(TRACE_RANDOM_RANGE, 0) == 0);
}

static void probabilities_are_of_what_arrives(void **state)
{
    (void)state;
    assert_int_equal(threshold_of(1, QUARTER), QUARTER);
    assert_int_equal(threshold_of(0.5, QUARTER), UINT64_C(0xe0000000000000));
    assert_int_equal(threshold_of(0, QUARTER), TRACE_RANDOM_RANGE);
    assert_true(threshold_probability(threshold_of(0.5, QUARTER), QUARTER) == 0.5);
}

static void the_ot_entry_is_found_among_others(void **state)
{
    (void)state;
    static const struct {
        const char *trace_state, *value;  // NULL: absent
    } rows[] = {{"ot=th:c", "c"},   {"vendor=a:b, ot=rv:00;th:c;xy:1 ,x=y", "c"},
                {"ot=th:", ""},     {"xot=th:c", NULL},
                {"ot=rv:th", NULL}, {"ot=xth:c", NULL},
                {"ot=", NULL},      {"", NULL},
                {",,,", NULL},      {"vendor=ot;th:c", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes value;
        bool found = trace_state_find(bytes_from_text(rows[i].trace_state), "th", &value);
        assert_true(found == (rows[i].value != NULL));
        assert_true(!found || bytes_equal_text(value, rows[i].value));
    }
}

static void an_ot_entry_that_is_too_long_is_ignored(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "ot=th:c;x:", 10);
    struct bytes value;
    assert_false(trace_state_find(bytes_from_text(text), "th", &value));
}

static void without_tracestate_r_is_a_stable_hash(void **state)
{
    (void)state;
    struct trace_random found = random_of("");
    assert_false(found.has_th);
    assert_int_equal(found.threshold_in, 0);
    assert_int_not_equal(found.r, LAST_BITS);
    assert_true(found.r < TRACE_RANDOM_RANGE);
    assert_int_equal(found.r, random_of("vendor=x").r);
    assert_int_equal(found.r, random_of("ot=th:XYZ").r);
}

static void with_th_r_is_the_end_of_the_trace_id(void **state)
{
    (void)state;
    struct trace_random found = random_of("ot=th:c");
    assert_true(found.has_th);
    assert_int_equal(found.threshold_in, QUARTER);
    assert_int_equal(found.r, LAST_BITS);
    assert_true(random_of("ot=th:0").has_th);
    assert_int_equal(random_of("ot=th:0").r, LAST_BITS);
}

static void rv_wins_over_the_trace_id(void **state)
{
    (void)state;
    assert_int_equal(random_of("ot=rv:0123456789abcd").r, UINT64_C(0x0123456789abcd));
    assert_int_equal(random_of("ot=th:8;rv:f123456789abcd").r, UINT64_C(0xf123456789abcd));
    assert_int_equal(random_of("ot=th:c;rv:F123456789ABCD").r, LAST_BITS);  // not in the grammar
}

static void a_threshold_that_contradicts_r_counts_as_absent(void **state)
{
    (void)state;
    struct trace_random found = random_of("ot=th:f");  // the id's end is below
    assert_false(found.has_th);
    assert_int_equal(found.threshold_in, 0);
    assert_int_equal(found.r, random_of("").r);
    found = random_of("ot=th:8;rv:7fffffffffffff");
    assert_false(found.has_th);
    assert_int_equal(found.r, UINT64_C(0x7fffffffffffff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_pad_on_the_right),
        cmocka_unit_test(malformed_thresholds_and_random_values_are_refused),
        cmocka_unit_test(probabilities_become_thresholds_and_back),
        cmocka_unit_test(probabilities_are_of_what_arrives),
        cmocka_unit_test(the_ot_entry_is_found_among_others),
        cmocka_unit_test(an_ot_entry_that_is_too_long_is_ignored),
        cmocka_unit_test(without_tracestate_r_is_a_stable_hash),
        cmocka_unit_test(with_th_r_is_the_end_of_the_trace_id),
        cmocka_unit_test(rv_wins_over_the_trace_id),
        cmocka_unit_test(a_threshold_that_contradicts_r_counts_as_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
