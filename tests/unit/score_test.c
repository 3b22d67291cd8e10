// SPDX-License-Identifier: Apache-2.0
// Score records: what is written is read back, hostile bytes are no records, names follow the table
// of what sinks send, ids depend on everything that they should.
#include "proto/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/unit/score_sample.h"

static struct buffer buffer;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&buffer, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&buffer);
    return 0;
}

// The LogRecord inside the field that was written.
static struct bytes item_of(struct bytes field)
{
    struct wire wire = wire_of(field);
    struct wire_field found;
    assert_true(wire_next(&wire, &found));
    assert_true(wire_is_done(&wire));
    assert_int_equal(found.number, SCOPE_ITEMS);
    return found.bytes;
}

static void assert_same_text(struct bytes a, struct bytes b)
{
    assert_int_equal(a.len, b.len);
    assert_true(bytes_equal(a, b));
}

static void assert_same(const struct score_record *a, const struct score_record *b)
{
    assert_true(trace_id_equal(&a->trace_id, &b->trace_id));
    assert_true(span_id_equal(&a->span_id, &b->span_id));
    assert_string_equal(a->id, b->id);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->is_error, b->is_error);
    assert_int_equal(a->has_value, b->has_value);
    assert_true(a->value == b->value && a->probability == b->probability);
    assert_int_equal(a->by_judge, b->by_judge);
    assert_int_equal(a->picked, b->picked);
    assert_int_equal(a->plain, b->plain);
    assert_int_equal(a->failed, b->failed);
    assert_int_equal(a->end_ns, b->end_ns);
    const struct bytes texts[][2] = {
        {a->name, b->name},
        {a->label, b->label},
        {a->explanation, b->explanation},
        {a->identifier, b->identifier},
        {a->environment, b->environment},
        {a->session_id, b->session_id},
        {a->user_id, b->user_id},
        {a->service_name, b->service_name},
        {a->response_id, b->response_id},
        {a->span_name, b->span_name},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_same_text(texts[i][0], texts[i][1]);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SAMPLE_COUNT; which++) {
        struct score_record record = score_sample((enum score_sample)which, 1);
        struct score_record again;
        buffer_reset(&buffer);
        score_record_write(&buffer, SCOPE_ITEMS, &record);
        assert_true(score_record_read(item_of(buffer_view(&buffer)), &again));
        assert_same(&record, &again);
    }
}

static bool go_on(void *arg, const struct item_view *view)
{
    (void)arg;
    return view->fault == SCAN_OK;
}

static void the_request_scans_as_logs_and_as_scores(void **state)
{
    (void)state;
    struct score_record records[2] = {score_sample(SAMPLE_NUMERIC, 1),
                                      score_sample(SAMPLE_BOOLEAN, 1)};
    struct scan_report report;
    score_sample_request(&buffer, records, 2);
    const enum signal signals[] = {SIGNAL_LOGS, SIGNAL_SCORES};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            scan_request(signals[i], buffer_view(&buffer), SCAN_CHECK_UTF8, go_on, NULL, &report),
            RESULT_OK);
        assert_int_equal(report.item_count, 2);
        assert_int_equal(report.rejected_count, 0);
    }
}

static void empty_texts_are_not_written(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    record.explanation = record.user_id = record.session_id = BYTES_NONE;
    score_record_write(&buffer, SCOPE_ITEMS, &record);
    struct any_view value;
    struct bytes item = item_of(buffer_view(&buffer));
    assert_false(attribute_find(item, LOG_ATTRIBUTES, "user.id", &value));
    assert_false(attribute_find(item, LOG_ATTRIBUTES, "gen_ai.evaluation.explanation", &value));
    assert_true(attribute_find(item, LOG_ATTRIBUTES, "gen_ai.evaluation.name", &value));
}

static void an_error_has_a_type_and_no_value(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_ERROR, 1);
    struct any_view value;
    score_record_write(&buffer, SCOPE_ITEMS, &record);
    struct bytes item = item_of(buffer_view(&buffer));
    assert_true(attribute_find(item, LOG_ATTRIBUTES, "error.type", &value));
    assert_false(attribute_find(item, LOG_ATTRIBUTES, "gen_ai.evaluation.score.value", &value));
}

// --- hostile bytes --------------------------------------------------------------------------

// A sound record with one more attribute behind it, which counts as the last of its key.
static bool reads_with_text(const char *key, const char *text, size_t len)
{
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    buffer_reset(&buffer);
    score_record_write(&buffer, SCOPE_ITEMS, &record);
    struct bytes item = item_of(buffer_view(&buffer));
    struct buffer more;
    buffer_init(&more, (size_t)1 << 20);
    buffer_append_bytes(&more, item);
    attribute_write_text(&more, LOG_ATTRIBUTES, key, bytes_from(text, len));
    bool reads = score_record_read(buffer_view(&more), &record);
    buffer_fini(&more);
    return reads;
}

static bool reads_with_number(const char *key, double value, enum score_sample which)
{
    struct score_record record = score_sample(which, 1);
    buffer_reset(&buffer);
    score_record_write(&buffer, SCOPE_ITEMS, &record);
    struct bytes item = item_of(buffer_view(&buffer));
    struct buffer more;
    buffer_init(&more, (size_t)1 << 20);
    buffer_append_bytes(&more, item);
    attribute_write_double(&more, LOG_ATTRIBUTES, key, value);
    bool reads = score_record_read(buffer_view(&more), &record);
    buffer_fini(&more);
    return reads;
}

static void values_out_of_range_make_no_record(void **state)
{
    (void)state;
    static const double wrong[] = {-0.001, 1.001,           1e300,
                                   -1e300, __builtin_inf(), __builtin_nan("")};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(reads_with_number("gen_ai.evaluation.score.value", wrong[i], SAMPLE_NUMERIC));
        assert_false(reads_with_number("sidejudge.score.probability", wrong[i], SAMPLE_NUMERIC));
    }
    assert_true(reads_with_number("gen_ai.evaluation.score.value", 0, SAMPLE_NUMERIC));
    assert_true(reads_with_number("gen_ai.evaluation.score.value", 1, SAMPLE_NUMERIC));
    assert_false(reads_with_number("gen_ai.evaluation.score.value", 0.5, SAMPLE_BOOLEAN));
    assert_false(reads_with_number("gen_ai.evaluation.score.value", 0.5, SAMPLE_ERROR));
}

static void wrong_kinds_and_texts_make_no_record(void **state)
{
    (void)state;
    assert_true(reads_with_text("unknown.key", "x", 1));
    assert_false(reads_with_text("gen_ai.evaluation.score.value", "0.5", 3));
    assert_false(reads_with_text("sidejudge.score.judge", "true", 4));
    assert_false(reads_with_text("sidejudge.score.type", "percent", 7));
    assert_false(reads_with_text("sidejudge.score.id", "00", 2));
    assert_false(reads_with_text("gen_ai.evaluation.name", "\xff\xfe", 2));
    assert_false(reads_with_text("gen_ai.evaluation.explanation", "\xc0\x80", 2));
    assert_false(reads_with_text("gen_ai.evaluation.name", "", 0));
    assert_false(reads_with_number("gen_ai.evaluation.name", 1, SAMPLE_NUMERIC));
}

static void ids_of_a_wrong_length_make_no_record(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    struct score_record zero = record;
    memset(&zero.trace_id, 0, sizeof(zero.trace_id));
    score_record_write(&buffer, SCOPE_ITEMS, &zero);
    assert_false(score_record_read(item_of(buffer_view(&buffer)), &record));
    buffer_reset(&buffer);
    zero = score_sample(SAMPLE_NUMERIC, 1);
    memset(&zero.span_id, 0, sizeof(zero.span_id));
    score_record_write(&buffer, SCOPE_ITEMS, &zero);
    assert_false(score_record_read(item_of(buffer_view(&buffer)), &record));
}

static void other_events_are_no_records(void **state)
{
    (void)state;
    struct score_record record;
    wire_write_text(&buffer, LOG_EVENT_NAME, "gen_ai.client.inference.operation.details");
    assert_false(score_record_read(buffer_view(&buffer), &record));
    assert_false(score_record_read(BYTES_NONE, &record));
}

static void cut_and_flipped_bytes_never_break_the_reader(void **state)
{
    (void)state;
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    struct score_record again;
    score_record_write(&buffer, SCOPE_ITEMS, &record);
    struct bytes item = item_of(buffer_view(&buffer));
    uint8_t copy[4096];
    assert_true(item.len < sizeof(copy));
    for (size_t len = 0; len < item.len; len++) {
        memcpy(copy, item.ptr, len);
        assert_false(score_record_read(bytes_from(copy, len), &again));
    }
    for (size_t bit = 0; bit < item.len * 8; bit++) {
        memcpy(copy, item.ptr, item.len);
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (score_record_read(bytes_from(copy, item.len), &again)) {
            assert_true(again.value >= 0 && again.value <= 1);
            assert_int_equal(strlen(again.id), 64);
        }
    }
}

// --- names ----------------------------------------------------------------------------------

static void names_follow_the_table(void **state)
{
    (void)state;
    static const char *const plain = "plain";
    static const char *const targeted = "targeted";
    static const struct {
        bool by_judge, picked, plain, failed;
        const char *names[SCORE_SEND_COUNT];  // judged, failed, all
    } rows[] = {
        // judge, picked
        {true, true, true, false, {plain, NULL, plain}},
        {true, true, true, true, {plain, targeted, plain}},
        {true, true, false, false, {targeted, NULL, targeted}},
        {true, true, false, true, {targeted, targeted, targeted}},
        // code, picked
        {false, true, true, false, {plain, NULL, plain}},
        {false, true, true, true, {plain, targeted, plain}},
        {false, true, false, false, {targeted, NULL, plain}},
        {false, true, false, true, {targeted, targeted, plain}},
        // code, not picked
        {false, false, false, false, {NULL, NULL, plain}},
        {false, false, false, true, {targeted, targeted, plain}},
        {false, false, true, false, {NULL, NULL, plain}},
        {false, false, true, true, {targeted, targeted, plain}},
        // a judge that graded what was not picked: it should not, and no average may have it
        {true, false, false, false, {NULL, NULL, NULL}},
        {true, false, true, false, {NULL, NULL, NULL}},
        {true, false, false, true, {NULL, targeted, NULL}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
        record.by_judge = rows[i].by_judge;
        record.picked = rows[i].picked;
        record.plain = rows[i].plain;
        record.failed = rows[i].failed;
        for (unsigned send = 0; send < SCORE_SEND_COUNT; send++) {
            char name[SCORE_NAME_BYTES_MAX] = "";
            bool is_sent =
                score_record_name(&record, (enum score_send)send, BYTES_LITERAL("_targeted"), name);
            const char *wanted = rows[i].names[send];
            assert_int_equal(is_sent, wanted != NULL);
            if (wanted != NULL) {
                assert_string_equal(name, wanted == plain ? "helpfulness" : "helpfulness_targeted");
            }
        }
    }
}

static void errors_and_scores_without_content_are_never_sent(void **state)
{
    (void)state;
    char name[SCORE_NAME_BYTES_MAX];
    for (unsigned send = 0; send < SCORE_SEND_COUNT; send++) {
        struct score_record record = score_sample(SAMPLE_ERROR, 1);
        record.failed = true;
        assert_false(score_record_name(&record, (enum score_send)send, BYTES_LITERAL("_t"), name));
        record = score_sample(SAMPLE_NUMERIC, 1);
        record.failed = true;
        record.has_value = false;
        assert_false(score_record_name(&record, (enum score_send)send, BYTES_LITERAL("_t"), name));
        record.type = SCORE_CATEGORICAL;
        assert_true(score_record_name(&record, (enum score_send)send, BYTES_LITERAL("_t"), name));
        record.label = BYTES_NONE;
        assert_false(score_record_name(&record, (enum score_send)send, BYTES_LITERAL("_t"), name));
    }
}

static void a_sink_that_is_switched_off_sends_nothing(void **state)
{
    (void)state;
    char name[SCORE_NAME_BYTES_MAX];
    struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
    assert_false(score_record_name(&record, SCORE_SEND_NONE, BYTES_LITERAL("_t"), name));
}

static void a_name_that_does_not_fit_is_not_cut(void **state)
{
    (void)state;
    char text[SCORE_NAME_BYTES_MAX + 1], name[SCORE_NAME_BYTES_MAX];
    struct score_record record = score_sample(SAMPLE_TARGETED, 1);
    memset(text, 'a', sizeof(text));
    record.name = bytes_from(text, SCORE_NAME_BYTES_MAX - 3);
    assert_true(score_record_name(&record, SCORE_SEND_JUDGED, BYTES_LITERAL("_t"), name));
    record.name = bytes_from(text, SCORE_NAME_BYTES_MAX - 2);
    assert_false(score_record_name(&record, SCORE_SEND_JUDGED, BYTES_LITERAL("_t"), name));
}

// --- ids ------------------------------------------------------------------------------------

static void ids_repeat_and_depend_on_every_part(void **state)
{
    (void)state;
    struct trace_id trace = {{1}};
    struct trace_id other_trace = {{2}};
    struct span_id span = {{1}};
    struct span_id other_span = {{2}};
    char ids[8][65];
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 1, ids[0]);
    score_record_id(&other_trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 1, ids[1]);
    score_record_id(&trace, &other_span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 1, ids[2]);
    score_record_id(&trace, &span, BYTES_LITERAL("a"), BYTES_LITERAL("bc"), 1, ids[3]);
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("d"), 1, ids[4]);
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 2, ids[5]);
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c1"), 1, ids[6]);
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 11, ids[7]);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(strlen(ids[i]), 64);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(ids[i], ids[k]);
        }
    }
    char again[65];
    score_record_id(&trace, &span, BYTES_LITERAL("ab"), BYTES_LITERAL("c"), 1, again);
    assert_string_equal(again, ids[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back),
        TEST(the_request_scans_as_logs_and_as_scores),
        TEST(empty_texts_are_not_written),
        TEST(an_error_has_a_type_and_no_value),
        TEST(values_out_of_range_make_no_record),
        TEST(wrong_kinds_and_texts_make_no_record),
        TEST(ids_of_a_wrong_length_make_no_record),
        TEST(other_events_are_no_records),
        TEST(cut_and_flipped_bytes_never_break_the_reader),
        TEST(names_follow_the_table),
        TEST(errors_and_scores_without_content_are_never_sent),
        TEST(a_sink_that_is_switched_off_sends_nothing),
        TEST(a_name_that_does_not_fit_is_not_cut),
        TEST(ids_repeat_and_depend_on_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
