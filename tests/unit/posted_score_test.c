// SPDX-License-Identifier: Apache-2.0
//
// Which posted scores speak of a trace, and what they say.
#include "receiver/posted_score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

#define TRACE "\"traceId\":\"0123456789abcdef0123456789abcdef\""

static unsigned good, bad;
static struct feedback last;

static void heard(void *arg, const struct feedback *feedback)
{
    (void)arg;
    last = *feedback;
    (feedback->is_bad ? bad++ : good++);
}

static unsigned read_as(enum posted_kind kind, const char *text)
{
    good = bad = 0;
    return posted_scores_read(kind, bytes_from_text(text), heard, NULL);
}

static void expect(const char *value, bool is_bad)
{
    char text[256];
    snprintf(text, sizeof text, "{" TRACE ",\"name\":\"n\",\"value\":%s}", value);
    assert_int_equal(read_as(POSTED_SCORE, text), 1);
    if (last.is_bad != is_bad) {
        fail_msg("%s is %s", value, last.is_bad ? "bad" : "good");
    }
}

static void methods_and_paths_are_exact(void **state)
{
    (void)state;
    struct bytes post = BYTES_LITERAL("POST");
    assert_int_equal(posted_kind_of(post, BYTES_LITERAL("/api/public/scores")), POSTED_SCORE);
    assert_int_equal(posted_kind_of(post, BYTES_LITERAL("/api/public/ingestion")), POSTED_BATCH);
    assert_int_equal(posted_kind_of(post, BYTES_LITERAL("/api/public/scores/")), POSTED_NONE);
    assert_int_equal(posted_kind_of(post, BYTES_LITERAL("/api/public/traces")), POSTED_NONE);
    assert_int_equal(posted_kind_of(BYTES_LITERAL("GET"), BYTES_LITERAL("/api/public/scores")),
                     POSTED_NONE);
}

static void bad_values_are_told_from_good_ones(void **state)
{
    (void)state;
    static const char *const bad_values[] = {
        "0",         "false",          "0.49",     "-1",
        "\"bad\"",   "\"Negative\"",   "\" no \"", "\"thumbs_down\"",
        "\"FALSE\"", "\"not-helpful\""};
    static const char *const good_values[] = {"1",
                                              "true",
                                              "0.5",
                                              "5",
                                              "\"good\"",
                                              "\"\"",
                                              "\"nothing\"",
                                              "\"badge\"",
                                              "\"positive\"",
                                              "\"a long text that is no word at all, bad\""};
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        expect(bad_values[i], true);
    }
    for (size_t i = 0; i < sizeof good_values / sizeof good_values[0]; i++) {
        expect(good_values[i], false);
    }
}

static void what_speaks_of_no_trace_is_passed_over(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{" TRACE "}",
        "{" TRACE ",\"value\":null}",
        "{" TRACE ",\"value\":[0]}",
        "{" TRACE ",\"value\":{}}",
        "{" TRACE ",\"value\":0,\"dataType\":\"TEXT\"}",
        "{" TRACE ",\"value\":\"bad\",\"dataType\":\"CORRECTION\"}",
        "{\"traceId\":\"00000000000000000000000000000000\",\"value\":0}",
        "{\"traceId\":\"0123\",\"value\":0}",
        "{\"traceId\":12,\"value\":0}",
        "{\"traceId\":\"0123456789abcdef0123456789abcdeg\",\"value\":0}",
        "{\"sessionId\":\"s\",\"value\":0}",
        "{" TRACE ",\"value\":0} {}",
        "{" TRACE ",\"value\":NaN}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(read_as(POSTED_SCORE, texts[i]), 0);
        assert_int_equal(read_as(POSTED_BATCH, texts[i]), 0);
    }
    assert_int_equal(read_as(POSTED_NONE, "{" TRACE ",\"value\":0}"), 0);
}

static void a_batch_is_searched_for_scores(void **state)
{
    (void)state;
    assert_int_equal(
        read_as(POSTED_BATCH,
                "{\"batch\":[{\"type\":\"trace-create\",\"body\":{" TRACE ",\"value\":0}},"
                "7,null,{\"type\":\"score-create\"},{\"type\":\"score-create\",\"body\":3},"
                "{\"type\":\"score-create\",\"body\":{" TRACE ",\"value\":0,"
                "\"observationId\":\"0123456789ABCDEF\"}},"
                "{\"type\":\"score-create\",\"body\":{" TRACE ",\"value\":1}}]}"),
        2);
    assert_int_equal(bad, 1);
    assert_int_equal(good, 1);
    assert_int_equal(last.trace_id.bytes[1], 0x23);
    assert_true(span_id_is_zero(&last.span_id));
    assert_int_equal(read_as(POSTED_BATCH, "{\"batch\":{\"type\":\"score-create\"}}"), 0);
}

static void a_list_is_read_like_its_scores(void **state)
{
    (void)state;
    static const char list[] = "[{" TRACE ",\"value\":1},7,null,[{" TRACE ",\"value\":0}],"
                               "{\"sessionId\":\"s\",\"value\":0},{" TRACE ",\"value\":0}]";
    assert_int_equal(read_as(POSTED_SCORE, list), 2);
    assert_int_equal(bad, 1);
    assert_int_equal(good, 1);
    assert_int_equal(read_as(POSTED_BATCH, list), 0);
    assert_int_equal(read_as(POSTED_SCORE, "{\"batch\":[{" TRACE ",\"value\":0}]}"), 0);
    assert_int_equal(read_as(POSTED_BATCH, "{" TRACE ",\"value\":0}"), 0);
}

static void an_observation_is_named(void **state)
{
    (void)state;
    assert_int_equal(
        read_as(POSTED_SCORE, "{" TRACE ",\"observationId\":\"0123456789abcdef\",\"value\":0}"), 1);
    assert_int_equal(last.span_id.bytes[7], 0xEF);
    assert_int_equal(read_as(POSTED_SCORE, "{" TRACE ",\"observationId\":\"x\",\"value\":0}"), 1);
    assert_true(span_id_is_zero(&last.span_id));
}

static void no_more_than_the_bound_is_read(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, (size_t)4 << 20);
    buffer_append_text(&text, "{\"batch\":[");
    for (unsigned i = 0; i < POSTED_SCORES_MAX + 50; i++) {
        buffer_append_text(&text, i > 0 ? "," : "");
        buffer_append_text(&text, "{\"type\":\"score-create\",\"body\":{" TRACE ",\"value\":0}}");
    }
    buffer_append_text(&text, "]}");
    assert_int_equal(read_as(POSTED_BATCH, buffer_text(&text)), POSTED_SCORES_MAX);
    while (text.len <= POSTED_BYTES_MAX) {
        buffer_append_text(&text, "                                ");
    }
    assert_int_equal(read_as(POSTED_BATCH, buffer_text(&text)), 0);
    buffer_reset(&text);
    for (unsigned i = 0; i < 100; i++) {
        buffer_append_text(&text, "{\"batch\":[");
    }
    assert_int_equal(read_as(POSTED_BATCH, buffer_text(&text)), 0);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_and_paths_are_exact),
        cmocka_unit_test(bad_values_are_told_from_good_ones),
        cmocka_unit_test(what_speaks_of_no_trace_is_passed_over),
        cmocka_unit_test(a_batch_is_searched_for_scores),
        cmocka_unit_test(a_list_is_read_like_its_scores),
        cmocka_unit_test(an_observation_is_named),
        cmocka_unit_test(no_more_than_the_bound_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
