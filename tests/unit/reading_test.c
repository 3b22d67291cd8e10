// SPDX-License-Identifier: Apache-2.0
// Masks, finish reasons, turns and tool calls.
#include "processor/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void finish(const char *raw, const char *expected)
{
    struct reading reading;
    reading_init(&reading, NULL);
    reading_finish(&reading, bytes_from_text(raw));
    if (!bytes_equal_text(reading.finish_reason, expected)) {
        fail_msg("%s: %.*s", raw, BYTES_PRINTF(reading.finish_reason));
    }
}

static void finish_reasons_are_normalised(void **arg)
{
    (void)arg;
    finish("stop", "stop");
    finish("end_turn", "stop");
    finish("FinishReason.STOP", "stop");
    finish("MAX_TOKENS", "length");
    finish("max_tokens,stop", "length");
    finish("tool-calls", "tool_call");
    finish("function_call", "tool_call");
    finish("SAFETY", "content_filter");
    finish("refusal", "content_filter");
    finish("pause_turn", "pause");
    finish("MALFORMED_FUNCTION_CALL", "error");
    finish("whatever", "error");
    finish("", "");
    finish("  ", "");
}

static void masks_and_emptiness_are_no_content(void **arg)
{
    static const char *const hidden[] = {"",     " ",  "__REDACTED__", "<REDACTED>",
                                         " {} ", "[]", "null"};
    static const char *const shown[] = {"{\"a\":1}", "nullable", "REDACTED text follows here", "0"};
    (void)arg;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        assert_true(reading_is_hidden(bytes_from_text(hidden[i])));
    }
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        assert_false(reading_is_hidden(bytes_from_text(shown[i])));
    }
}

static void the_first_source_wins(void **arg)
{
    struct reading reading;
    (void)arg;
    reading_init(&reading, NULL);
    reading_fill(&reading, &reading.question, BYTES_LITERAL("__REDACTED__"));
    assert_true(reading.hidden);
    reading_fill(&reading, &reading.question, BYTES_LITERAL("first"));
    reading_fill(&reading, &reading.question, BYTES_LITERAL("second"));
    assert_true(bytes_equal_text(reading.question, "first"));
}

static void the_last_user_turn_counts_and_forgets_older_calls(void **arg)
{
    struct reading reading;
    struct conversation conversation;
    struct message user = {.speaker = SPEAKER_USER, .text = BYTES_LITERAL("one")};
    struct message call = {.speaker = SPEAKER_ASSISTANT, .call_count = 1};
    struct message tool = {.speaker = SPEAKER_TOOL,
                           .text = BYTES_LITERAL("Error: none"),
                           .tool_call_id = BYTES_LITERAL("2")};
    (void)arg;
    reading_init(&reading, NULL);
    call.calls[0].id = BYTES_LITERAL("1");
    assert_true(reading_input_begin(&reading, &conversation));
    reading_input_message(&reading, &conversation, &user);
    reading_input_message(&reading, &conversation, &call);
    user.text = BYTES_LITERAL("two");
    reading_input_message(&reading, &conversation, &user);
    call.calls[0].id = BYTES_LITERAL("2");
    reading_input_message(&reading, &conversation, &call);
    reading_input_message(&reading, &conversation, &tool);
    reading_input_end(&reading, &conversation);
    assert_true(bytes_equal_text(reading.question, "two"));
    assert_int_equal(reading.tool_call_count, 1);
    assert_true(reading.tool_calls[0].failed);
    assert_false(reading_input_begin(&reading, &conversation));
}

static void lists_are_bounded(void **arg)
{
    struct reading reading;
    (void)arg;
    reading_init(&reading, NULL);
    for (int i = 0; i < 1000; i++) {
        struct tool_call call = {.name = BYTES_LITERAL("t")};
        reading_tool_call(&reading, &call);
        reading_context(&reading, BYTES_LITERAL("c"));
    }
    assert_int_equal(reading.tool_call_count, INTERACTION_TOOL_CALLS_MAX);
    assert_int_equal(reading.context_count, INTERACTION_CONTEXTS_MAX);
    assert_true(reading.truncated);
}

static void results_that_say_error_failed(void **arg)
{
    (void)arg;
    assert_true(reading_result_failed(BYTES_LITERAL("{\"error\": \"gone\"}")));
    assert_true(reading_result_failed(BYTES_LITERAL("{\"isError\": true}")));
    assert_true(reading_result_failed(BYTES_LITERAL("{\"is_error\": true, \"a\": 1}")));
    assert_true(reading_result_failed(BYTES_LITERAL("Error: no such order")));
    assert_false(reading_result_failed(BYTES_LITERAL("{\"error\": null}")));
    assert_false(reading_result_failed(BYTES_LITERAL("{\"error\": \"\"}")));
    assert_false(reading_result_failed(BYTES_LITERAL("{\"isError\": false}")));
    assert_false(reading_result_failed(BYTES_LITERAL("{\"errors_fixed\": 3}")));
    assert_false(reading_result_failed(BYTES_LITERAL("no error here")));
    assert_false(reading_result_failed(BYTES_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finish_reasons_are_normalised),
        cmocka_unit_test(masks_and_emptiness_are_no_content),
        cmocka_unit_test(the_first_source_wins),
        cmocka_unit_test(the_last_user_turn_counts_and_forgets_older_calls),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(results_that_say_error_failed),
    };
    return cmocka_run_group_tests_name("reading", tests, NULL, NULL);
}
