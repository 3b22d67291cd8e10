// SPDX-License-Identifier: Apache-2.0
//
// Plans by their windows: what is taken, what it is bounded by, how few pieces it needs. What
// rendered requests hold is in parcel_test.
#include "proto/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sample_request.h"

enum { SPANS = 50 };

static struct parcel *sample_parcel(struct buffer *body)
{
    buffer_init(body, (size_t)1 << 20);
    sample_small_spans(body, SPANS, 3);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(body), 0);
    batch->item_count = SPANS;
    return parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
}

static void what_is_untouched_is_one_piece(void **state)
{
    (void)state;
    struct buffer body;
    struct splice splice;
    struct parcel *parcel = sample_parcel(&body);
    struct render_window window = {.bytes_max = SIZE_MAX};
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    assert_int_equal(splice.count, 1);
    assert_int_equal(splice.size, body.len);
    assert_int_equal(window.taken, SPANS);
    assert_int_equal(window.item_count, SPANS);
    splice_fini(&splice);
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void windows_bound_what_is_planned(void **state)
{
    (void)state;
    struct buffer body;
    struct parcel *parcel = sample_parcel(&body);
    for (size_t bytes_max = 0; bytes_max < body.len + 200; bytes_max += 97) {
        struct splice splice;
        struct render_window window = {.first = 7, .bytes_max = bytes_max};
        splice_init(&splice);
        render_plan(parcel, &window, &splice);
        assert_true(window.taken >= 1 && window.taken <= SPANS - 7);
        assert_true(window.taken == 1 || splice.size <= bytes_max);
        splice_fini(&splice);
    }
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void behind_the_last_item_nothing_is_planned(void **state)
{
    (void)state;
    struct buffer body;
    struct splice splice;
    struct parcel *parcel = sample_parcel(&body);
    struct render_window window = {.first = SPANS, .bytes_max = 1 << 20};
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    assert_int_equal(window.taken, 0);
    assert_int_equal(splice.size, 0);
    splice_fini(&splice);
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void empty_containers_stay_in_the_first_window_where_they_fit(void **state)
{
    (void)state;
    static const char body[] = "\x0a\x02\x12\x00"                       // a scope without spans
                               "\x0a\x0c\x0a\x0a\x52\x08" "12345678"    // a resource alone
                               "\x0a\x06\x12\x04\x12\x02\x28\x00";      // trusted: one span
    struct batch *batch = batch_make(SIGNAL_TRACES, bytes_from(body, sizeof body - 1), 0);
    struct parcel *parcel = parcel_new(batch, PARCEL_EXCEPT, NULL, 0, 0);
    static const struct {
        uint32_t first;
        size_t bytes_max, size;
    } cases[] = {
        {0, SIZE_MAX, sizeof body - 1}, {0, 1000, sizeof body - 1}, {1, 1000, 0}, {0, 6, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct splice splice;
        struct render_window window = {.first = cases[i].first, .bytes_max = cases[i].bytes_max};
        splice_init(&splice);
        render_plan(parcel, &window, &splice);
        assert_int_equal(splice.size, cases[i].size);
        splice_fini(&splice);
    }
    parcel_unref(&parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_untouched_is_one_piece),
        cmocka_unit_test(windows_bound_what_is_planned),
        cmocka_unit_test(behind_the_last_item_nothing_is_planned),
        cmocka_unit_test(empty_containers_stay_in_the_first_window_where_they_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
