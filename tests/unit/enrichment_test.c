// SPDX-License-Identifier: Apache-2.0
// What is written on a graded span.
#include "processor/enrichment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/grade_sample.h"

static struct any_view value_of(struct bytes fields, const char *key)
{
    struct any_view value;
    if (!attribute_find(fields, SPAN_ATTRIBUTES, key, &value)) {
        fail_msg("no %s", key);
    }
    return value;
}

static void text_is(struct bytes fields, const char *key, const char *expected)
{
    struct any_view value = value_of(fields, key);
    assert_int_equal(value.kind, ANY_KIND_STRING);
    if (!bytes_equal_text(value.bytes, expected)) {
        fail_msg("%s: %.*s", key, BYTES_PRINTF(value.bytes));
    }
}

static void list_is(struct bytes fields, const char *key, const char *expected)
{
    struct any_view value = value_of(fields, key), item;
    struct wire wire = wire_of(value.bytes);
    char text[256] = "";
    assert_int_equal(value.kind, ANY_KIND_ARRAY);
    while (any_walk_next(&wire, &item)) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%.*s,", BYTES_PRINTF(item.bytes));
    }
    assert_string_equal(text, expected);
}

static void every_key_has_its_type_and_value(void **arg)
{
    struct grade_sample sample;
    struct buffer out;
    struct any_view value;
    (void)arg;
    grade_sample_open(&sample);
    buffer_init(&out, 1 << 20);
    enrichment_write(&out, SPAN_ATTRIBUTES, sample.grade, &sample.plan, 4);
    struct bytes fields = buffer_view(&out);
    text_is(fields, "sidejudge.verdict", "fail");
    list_is(fields, "sidejudge.failed", "faithfulness,");
    list_is(fields, "sidejudge.quality_signals", "tool_error,");
    list_is(fields, "sidejudge.sampling.rules", "baseline,failures,");
    text_is(fields, "sidejudge.decision", "judged");
    assert_true(value_of(fields, "sidejudge.sampling.probability").real == 0.5);
    assert_int_equal(value_of(fields, "sidejudge.sampling.baseline").kind, ANY_KIND_BOOL);
    assert_int_equal(value_of(fields, "sidejudge.sampling.baseline").number, 1);
    assert_true(value_of(fields, "sidejudge.score.faithfulness").real == 0.25);
    text_is(fields, "sidejudge.label.faithfulness", "fail");
    text_is(fields, "sidejudge.explanation.faithfulness", "says 60 days, the policy says 30");
    text_is(fields, "sidejudge.label.answer_relevance", "error");
    assert_false(
        attribute_find(fields, SPAN_ATTRIBUTES, "sidejudge.score.answer_relevance", &value));
    text_is(fields, "sidejudge.label.valid_json", "not_applicable");
    assert_false(attribute_find(fields, SPAN_ATTRIBUTES, "sidejudge.label.degenerate", &value));
    text_is(fields, "sidejudge.judge.id", "anthropic/some-model@0123456789abcdef");
    assert_int_equal(value_of(fields, "sidejudge.judge.calibrated").number, 0);
    assert_true(value_of(fields, "sidejudge.judge.cost_usd").real == 0.002);
    text_is(fields, "sidejudge.content.source", "0807060504030201");
    text_is(fields, "evaluations.4.evaluation.name", "degenerate");
    text_is(fields, "evaluations.4.evaluation.annotator_kind", "CODE");
    text_is(fields, "evaluations.5.evaluation.annotator_kind", "LLM");
    assert_true(value_of(fields, "evaluations.5.evaluation.score").real == 0.25);
    text_is(fields, "evaluations.6.evaluation.label", "error");
    assert_false(attribute_find(fields, SPAN_ATTRIBUTES, "evaluations.6.evaluation.score", &value));
    assert_false(attribute_find(fields, SPAN_ATTRIBUTES, "evaluations.7.evaluation.name", &value));
    buffer_fini(&out);
    grade_sample_close(&sample);
}

static void no_key_is_a_prefix_of_another(void **arg)
{
    struct grade_sample sample;
    struct buffer out;
    struct attribute_walk outer, inner;
    struct attribute_view a, b;
    (void)arg;
    grade_sample_open(&sample);
    buffer_init(&out, 1 << 20);
    enrichment_write(&out, SPAN_ATTRIBUTES, sample.grade, &sample.plan, 0);
    attribute_walk_begin(&outer, buffer_view(&out), SPAN_ATTRIBUTES);
    while (attribute_walk_next(&outer, &a)) {
        attribute_walk_begin(&inner, buffer_view(&out), SPAN_ATTRIBUTES);
        while (attribute_walk_next(&inner, &b)) {
            bool under = b.key.len > a.key.len && bytes_start_with(b.key, a.key) &&
                         b.key.ptr[a.key.len] == '.';
            assert_false(under);
        }
    }
    buffer_fini(&out);
    grade_sample_close(&sample);
}

static unsigned next_after(const char *const *keys)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    for (; *keys; keys++) {
        attribute_write_text(&out, SPAN_ATTRIBUTES, *keys, BYTES_LITERAL("x"));
    }
    unsigned next = enrichment_next_index(buffer_view(&out));
    buffer_fini(&out);
    return next;
}

static void indices_continue_after_either_alias(void **arg)
{
    (void)arg;
    assert_int_equal(next_after((const char *[]){NULL}), 0);
    assert_int_equal(next_after((const char *[]){"evaluations.2.evaluation.name",
                                                 "annotations.5.annotation.name", NULL}),
                     6);
    assert_int_equal(next_after((const char *[]){"evaluations.x.name", "evaluations.",
                                                 "evaluations.7", "evaluationsX.9.a", NULL}),
                     0);
    assert_int_equal(next_after((const char *[]){"evaluations.99999999999999999.name",
                                                 "evaluations.1.name", NULL}),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_type_and_value),
        cmocka_unit_test(no_key_is_a_prefix_of_another),
        cmocka_unit_test(indices_continue_after_either_alias),
    };
    return cmocka_run_group_tests_name("enrichment", tests, NULL, NULL);
}
