// SPDX-License-Identifier: Apache-2.0
// Message shapes of many SDKs, cut and hostile ones.
#include "processor/message_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct input {
    struct arena scratch;
    struct reading reading;
};

static bool read_input(struct input *input, const char *text)
{
    arena_init(&input->scratch, READING_SCRATCH_MAX);
    reading_init(&input->reading, &input->scratch);
    return message_json_input(&input->reading, bytes_from_text(text));
}

static void question_is(const char *text, const char *expected)
{
    struct input input;
    bool any = read_input(&input, text);
    if (!bytes_equal_text(input.reading.question, expected)) {
        fail_msg("%s: \"%.*s\" (%d)", text, BYTES_PRINTF(input.reading.question), any);
    }
    arena_fini(&input.scratch);
}

static void inputs_of_many_shapes(void **arg)
{
    (void)arg;
    question_is("[{\"role\":\"user\",\"content\":\"q\"}]", "q");
    question_is("[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"q\"}]}]", "q");
    question_is("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"},"
                "{\"type\":\"image_url\",\"image_url\":{}}]}]}",
                "q\n[image_url]");
    question_is(
        "{\"messages\":[[{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain\",\"schema\","
        "\"messages\",\"HumanMessage\"],\"kwargs\":{\"content\":\"q\",\"type\":\"human\"}}]]}",
        "q");
    question_is("[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]}]", "q");  // Bedrock
    question_is("{\"inputs\":{\"messages\":[{\"type\":\"human\",\"content\":\"q\"}]}}", "q");
    question_is("{\"role\":\"user\",\"content\":\"q\"}", "q");
    question_is(
        "[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":\"two\"}]",
        "two");
}

static void what_is_no_message_gives_nothing(void **arg)
{
    static const char *const texts[] = {"",      "[]",         "{}",    "[[[[[[[[]]]]]]]]",
                                        "[1,2]", "\"text\"",   "plain", "[{\"role\":\"user\"}]",
                                        "null",  "{\"a\":{}}", "[{}",   "__REDACTED__"};
    (void)arg;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        question_is(texts[i], "");
    }
}

static void tool_results_of_all_blocks(void **arg)
{
    struct input input;
    (void)arg;
    assert_true(read_input(
        &input,
        "[{\"role\":\"user\",\"content\":\"q\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
        "\"input\":{\"x\":1}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
        "\"content\":[{\"type\":\"text\",\"text\":\"r1\"}]}]},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"b\",\"function\":"
        "{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"r2\"},"
        "{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":\"c\",\"name\":\"h\","
        "\"input\":{}}}]},"
        "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"c\",\"status\":\"error\","
        "\"content\":[{\"text\":\"r3\"}]}}]}]"));
    assert_true(bytes_equal_text(input.reading.question, "q"));
    assert_int_equal(input.reading.tool_call_count, 3);
    assert_true(bytes_equal_text(input.reading.tool_calls[0].result, "r1"));
    assert_true(bytes_equal_text(input.reading.tool_calls[0].arguments, "{\"x\":1}"));
    assert_true(bytes_equal_text(input.reading.tool_calls[1].result, "r2"));
    assert_true(bytes_equal_text(input.reading.tool_calls[1].name, "g"));
    assert_true(bytes_equal_text(input.reading.tool_calls[2].result, "r3"));
    assert_true(input.reading.tool_calls[2].failed);
    assert_false(input.reading.tool_calls[0].failed);
    arena_fini(&input.scratch);
}

static void the_last_answer_of_a_state_counts(void **arg)
{
    struct input input;
    (void)arg;
    arena_init(&input.scratch, READING_SCRATCH_MAX);
    reading_init(&input.reading, &input.scratch);
    assert_true(message_json_output(
        &input.reading,
        BYTES_LITERAL("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
                      "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"a\","
                      "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
                      "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"r\"},"
                      "{\"role\":\"assistant\",\"content\":\"the answer\"}]}")));
    assert_true(bytes_equal_text(input.reading.response, "the answer"));
    assert_false(input.reading.pending_tools);
    arena_fini(&input.scratch);
}

static void hostile_depth_and_number_are_bounded(void **arg)
{
    struct input input;
    (void)arg;
    char *text = malloc(1 << 20);
    assert_non_null(text);
    memset(text, '[', 100000);
    text[100000] = '\0';
    (void)read_input(&input, text);
    assert_int_equal(input.reading.question.len, 0);
    arena_fini(&input.scratch);
    size_t len = 0;
    text[len++] = '[';
    for (unsigned i = 0; i < 6000; i++) {
        len += (size_t)snprintf(text + len, 64, "{\"role\":\"user\",\"content\":\"q%u\"},", i);
    }
    text[len - 1] = ']';
    text[len] = '\0';
    assert_true(read_input(&input, text));
    assert_true(input.reading.truncated);  // the oldest are left out
    assert_true(bytes_equal_text(input.reading.question, "q5999"));
    arena_fini(&input.scratch);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_of_many_shapes),
        cmocka_unit_test(what_is_no_message_gives_nothing),
        cmocka_unit_test(tool_results_of_all_blocks),
        cmocka_unit_test(the_last_answer_of_a_state_counts),
        cmocka_unit_test(hostile_depth_and_number_are_bounded),
    };
    return cmocka_run_group_tests_name("message_json", tests, NULL, NULL);
}
