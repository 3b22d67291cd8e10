// SPDX-License-Identifier: Apache-2.0
// What forms are given: which records, under which name, in which groups; what is left out.
#include "exporter/score/score_encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/score_sample.h"

static struct buffer request, out;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&request, (size_t)1 << 22);
    buffer_init(&out, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&request);
    buffer_fini(&out);
    return 0;
}

static void put_begin(struct score_body *body)
{
    buffer_append_text(body->out, "<");
}

static void put_end(struct score_body *body)
{
    buffer_append_text(body->out, ">");
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    buffer_printf(body->out, "%s ", entry->name);
}

static void put_target(struct score_body *body, const struct score_entry *entries, size_t count)
{
    buffer_printf(body->out, "%02x:%zu ", entries[0].record.span_id.bytes[7], count);
}

static const struct score_form by_record = {
    .begin = put_begin, .end = put_end, .record = put_record};
static const struct score_form by_target = {.target = put_target};
static const struct score_form hourly = {.age_ns_max = 3600 * NS_PER_S, .record = put_record};

static struct score_counts encode(const struct score_form *form, enum score_send send)
{
    struct score_encoder encoder = {.form = form, .send = send, .suffix = "_t"};
    struct score_counts counts;
    buffer_reset(&out);
    assert_int_equal(score_encode(&encoder, buffer_view(&request),
                                  SCORE_SAMPLE_END_NS + 3600 * NS_PER_S, &out, &counts),
                     RESULT_OK);
    return counts;
}

static void add(enum score_sample which, uint8_t seed)
{
    struct score_record record = score_sample(which, seed);
    score_sample_request(&request, &record, 1);  // requests concatenate
}

static void records_come_in_order_under_their_names(void **state)
{
    (void)state;
    add(SAMPLE_NUMERIC, 1);
    add(SAMPLE_ERROR, 1);
    add(SAMPLE_FAILED, 2);
    struct score_counts counts = encode(&by_record, SCORE_SEND_JUDGED);
    assert_string_equal(buffer_text(&out), "<helpfulness no_loop_t >");
    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.left_out, 1);
    assert_int_equal(counts.late, 0);
}

static void nothing_to_send_begins_no_body(void **state)
{
    (void)state;
    add(SAMPLE_ERROR, 1);
    add(SAMPLE_NUMERIC, 1);
    struct score_counts counts = encode(&by_record, SCORE_SEND_FAILED);
    assert_int_equal(counts.sent, 0);
    assert_int_equal(counts.left_out, 2);
    assert_int_equal(out.len, 0);
}

static void an_empty_request_is_nothing(void **state)
{
    (void)state;
    struct score_counts counts = encode(&by_record, SCORE_SEND_ALL);
    assert_int_equal(counts.sent + counts.left_out + counts.late, 0);
}

static void records_of_a_target_that_stand_together_are_one_group(void **state)
{
    (void)state;
    struct score_record records[5] = {
        score_sample(SAMPLE_NUMERIC, 1), score_sample(SAMPLE_BOOLEAN, 1),
        score_sample(SAMPLE_NUMERIC, 2), score_sample(SAMPLE_CATEGORICAL, 2),
        score_sample(SAMPLE_CATEGORICAL, 1)};
    score_sample_request(&request, records, 5);
    (void)encode(&by_target, SCORE_SEND_JUDGED);
    assert_string_equal(buffer_text(&out), "01:2 02:2 01:1 ");
}

static void another_resource_is_another_group(void **state)
{
    (void)state;
    add(SAMPLE_NUMERIC, 1);
    add(SAMPLE_BOOLEAN, 1);
    (void)encode(&by_target, SCORE_SEND_JUDGED);
    assert_string_equal(buffer_text(&out), "01:1 01:1 ");
}

static void a_group_has_a_limit(void **state)
{
    (void)state;
    struct score_record records[SCORE_GROUP_MAX + 1];
    for (size_t i = 0; i <= SCORE_GROUP_MAX; i++) {
        records[i] = score_sample(SAMPLE_NUMERIC, 1);
    }
    score_sample_request(&request, records, SCORE_GROUP_MAX + 1);
    struct score_counts counts = encode(&by_target, SCORE_SEND_JUDGED);
    assert_string_equal(buffer_text(&out), "01:32 01:1 ");
    assert_int_equal(counts.sent, SCORE_GROUP_MAX + 1);
}

static void what_is_too_old_is_late_only_if_it_would_be_sent(void **state)
{
    (void)state;
    struct score_record records[3] = {score_sample(SAMPLE_NUMERIC, 1),
                                      score_sample(SAMPLE_NUMERIC, 2),
                                      score_sample(SAMPLE_ERROR, 3)};
    records[1].end_ns -= 1;
    records[2].end_ns = 0;
    score_sample_request(&request, records, 3);
    struct score_counts counts = encode(&hourly, SCORE_SEND_JUDGED);
    assert_int_equal(counts.sent, 1);
    assert_int_equal(counts.late, 1);
    assert_int_equal(counts.left_out, 1);
}

static void targets_of_the_future_are_not_late(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    record.end_ns = UINT64_MAX;
    score_sample_request(&request, &record, 1);
    assert_int_equal(encode(&hourly, SCORE_SEND_JUDGED).sent, 1);
}

static void log_records_that_are_no_scores_are_left_out(void **state)
{
    (void)state;
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t scope = wire_open(&request, RESOURCE_SCOPES);
    size_t log = wire_open(&request, SCOPE_ITEMS);
    wire_write_text(&request, LOG_EVENT_NAME, "something.else");
    wire_close(&request, log);
    wire_close(&request, scope);
    wire_close(&request, resource);
    struct score_counts counts = encode(&by_record, SCORE_SEND_ALL);
    assert_int_equal(counts.sent, 0);
    assert_int_equal(counts.left_out, 1);
}

static void bytes_that_are_no_request_are_rejected(void **state)
{
    (void)state;
    struct score_encoder encoder = {.form = &by_record, .suffix = "_t"};
    struct score_counts counts;
    assert_int_equal(score_encode(&encoder, BYTES_LITERAL("\x0a\xff"), 0, &out, &counts),
                     RESULT_REJECT);
    assert_int_equal(counts.sent, 0);
}

static void a_body_that_does_not_fit_says_so(void **state)
{
    (void)state;
    struct score_encoder encoder = {.form = &by_record, .suffix = "_t"};
    struct score_counts counts;
    struct buffer small;
    buffer_init(&small, 8);
    add(SAMPLE_NUMERIC, 1);
    assert_int_equal(score_encode(&encoder, buffer_view(&request), 0, &small, &counts),
                     RESULT_TOO_LARGE);
    buffer_fini(&small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_come_in_order_under_their_names),
        TEST(nothing_to_send_begins_no_body),
        TEST(an_empty_request_is_nothing),
        TEST(records_of_a_target_that_stand_together_are_one_group),
        TEST(another_resource_is_another_group),
        TEST(a_group_has_a_limit),
        TEST(what_is_too_old_is_late_only_if_it_would_be_sent),
        TEST(targets_of_the_future_are_not_late),
        TEST(log_records_that_are_no_scores_are_left_out),
        TEST(bytes_that_are_no_request_are_rejected),
        TEST(a_body_that_does_not_fit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
