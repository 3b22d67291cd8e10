// SPDX-License-Identifier: Apache-2.0
//
// The contract's headers have no source of their own: that they stand alone, and that a component
// can be written against them, is what this program compiles for.
#include "proto/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static enum want nothing(const struct processor *processor, const struct item_view *view)
{
    (void)processor;
    (void)view;
    return WANT_NOTHING;
}

static const struct processor_ops passing = {
    .kind = {.type = "passing", .signals = 1U << SIGNAL_TRACES},
    .wants = nothing,
};

static enum result take(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    (void)sink;
    batch_release(batch);
    reply->rejected_count = 0;
    return RESULT_OK;
}

static void a_component_is_a_table_of_functions(void **state)
{
    (void)state;
    struct item_view view = {.signal = SIGNAL_TRACES};
    assert_int_equal(passing.wants(NULL, &view), WANT_NOTHING);
    assert_null(passing.shard);
}

static void a_sink_takes_the_batch_whatever_it_says(void **state)
{
    (void)state;
    struct sink sink = {.offer = take};
    struct offer_reply reply = {.rejected_count = 1};
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_NONE, 0);
    assert_int_equal(sink.offer(&sink, &batch, &reply), RESULT_OK);
    assert_null(batch);
}

static void links_lead_back_from_their_nodes(void **state)
{
    (void)state;
    assert_int_equal(offsetof(struct parcel_link, node), 0);
    assert_int_equal(offsetof(struct shard_message, node), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_component_is_a_table_of_functions),
        cmocka_unit_test(a_sink_takes_the_batch_whatever_it_says),
        cmocka_unit_test(links_lead_back_from_their_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
