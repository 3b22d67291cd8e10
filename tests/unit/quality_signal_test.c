// SPDX-License-Identifier: Apache-2.0
// Each quality signal: what makes it fire, and what resembles it and does not.
#include "processor/quality_signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define BIT(name) (1U << QUALITY_SIGNAL_##name)

static struct interaction answered(void)
{
    return (struct interaction){.trace_id = {{1}},
                                .conversation_id = BYTES_LITERAL("conversation"),
                                .question = BYTES_LITERAL("Where is my parcel?"),
                                .response = BYTES_LITERAL("It arrives tomorrow."),
                                .finish_reason = BYTES_LITERAL("stop"),
                                .has_content = true};
}

static unsigned find(const struct interaction *interaction)
{
    return quality_signals_find(interaction, NULL, 0);
}

static void an_ordinary_answer_shows_none(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    assert_int_equal(find(&interaction), 0);
    assert_int_equal(find(&(struct interaction){.has_content = false}), 0);
}

static void errors_of_span_and_tool_are_seen(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.has_error = true;
    assert_int_equal(find(&interaction), BIT(ERROR));
    interaction = answered();
    interaction.tool_call_count = 2;
    assert_int_equal(find(&interaction), 0);
    interaction.tool_calls[1].failed = true;
    assert_int_equal(find(&interaction), BIT(TOOL_ERROR));
}

static void invalid_json_counts_where_json_was_asked_for(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.json_requested = true;
    assert_int_equal(find(&interaction), BIT(INVALID_JSON));
    interaction.response = BYTES_LITERAL(" {\"eta\": \"tomorrow\"}\n");
    assert_int_equal(find(&interaction), 0);
    interaction.response = BYTES_LITERAL("```json\n{\"eta\": 1}\n```");
    assert_int_equal(find(&interaction), 0);
    interaction.response = BYTES_LITERAL("{\"eta\": \"tomor");
    assert_int_equal(find(&interaction), BIT(INVALID_JSON));
    interaction.truncated = true;  // cut by us, perhaps
    assert_int_equal(find(&interaction), 0);
}

static void the_length_limit_is_seen(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.finish_reason = BYTES_LITERAL("length");
    assert_int_equal(find(&interaction), BIT(TRUNCATED_OUTPUT));
}

static void an_empty_answer_is_seen_where_the_model_was_done(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.response = BYTES_LITERAL(" \n");
    assert_int_equal(find(&interaction), BIT(EMPTY_ANSWER));
    interaction.finish_reason = BYTES_NONE;
    assert_int_equal(find(&interaction), BIT(EMPTY_ANSWER));
    static const char *const not_done[] = {"tool_call", "pause", "content_filter", "error"};
    for (size_t i = 0; i < sizeof not_done / sizeof not_done[0]; i++) {
        interaction.finish_reason = bytes_from_text(not_done[i]);
        assert_int_equal(find(&interaction), 0);
    }
}

static void bad_feedback_is_seen_without_content(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.bad_feedback = true;
    assert_int_equal(find(&interaction), BIT(FEEDBACK));
    assert_int_equal(find(&(struct interaction){.bad_feedback = true}), BIT(FEEDBACK));
}

static void an_answer_that_is_missing_is_no_empty_answer(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.response = BYTES_NONE;
    interaction.incomplete = true;
    assert_int_equal(find(&interaction), 0);
    interaction.incomplete = false;
    interaction.truncated = true;
    assert_int_equal(find(&interaction), 0);
    interaction.truncated = false;
    interaction.has_content = false;  // capture is off
    assert_int_equal(find(&interaction), 0);
}

static void degenerate_answers_are_seen(void **state)
{
    (void)state;
    struct interaction interaction = answered();
    interaction.response = BYTES_LITERAL("Where is my parcel?");
    assert_int_equal(find(&interaction), BIT(DEGENERATE));
    interaction.response = BYTES_LITERAL("?!?! ...");
    assert_int_equal(find(&interaction), BIT(DEGENERATE));
}

static unsigned ask(struct recent_turns *turns, const char *conversation, const char *question,
                    uint8_t trace, uint64_t now_ns)
{
    struct interaction interaction = answered();
    interaction.trace_id.bytes[0] = trace;
    interaction.conversation_id = bytes_from_text(conversation);
    interaction.question = bytes_from_text(question);
    return quality_signals_find(&interaction, turns, now_ns);
}

static void the_same_turn_again_is_seen(void **state)
{
    (void)state;
    struct recent_turns *turns = recent_turns_new(8, 3600 * NS_PER_S);
    assert_int_equal(ask(turns, "c1", "why?", 1, 1), 0);
    assert_int_equal(ask(turns, "c1", " why?\n", 2, 2), BIT(REGENERATED));
    assert_int_equal(ask(turns, "c1", "why?", 3, 3), BIT(REGENERATED));
    recent_turns_free(turns);
}

static void another_conversation_question_or_target_is_not(void **state)
{
    (void)state;
    struct recent_turns *turns = recent_turns_new(8, 3600 * NS_PER_S);
    assert_int_equal(ask(turns, "c1", "why?", 1, 1), 0);
    assert_int_equal(ask(turns, "c2", "why?", 2, 1), 0);
    assert_int_equal(ask(turns, "c1", "when?", 3, 1), 0);
    assert_int_equal(ask(turns, "c1", "why?", 1, 1), 0);  // the same trace: another target of it
    assert_int_equal(ask(turns, "", "why?", 4, 1), 0);
    assert_int_equal(ask(turns, "", "why?", 5, 1), 0);
    assert_int_equal(ask(turns, "c1", "", 6, 1), 0);
    recent_turns_free(turns);
}

static void turns_are_forgotten_by_age_and_number(void **state)
{
    (void)state;
    struct recent_turns *turns = recent_turns_new(2, 10 * NS_PER_S);
    assert_int_equal(ask(turns, "c", "a", 1, 0), 0);
    assert_int_equal(ask(turns, "c", "a", 2, 11 * NS_PER_S), 0);  // too long ago
    assert_int_equal(ask(turns, "c", "a", 3, 12 * NS_PER_S), BIT(REGENERATED));
    assert_int_equal(ask(turns, "c", "b", 4, 12 * NS_PER_S), 0);
    assert_int_equal(ask(turns, "c", "d", 5, 12 * NS_PER_S), 0);  // "a" had to go
    assert_int_equal(ask(turns, "c", "a", 6, 12 * NS_PER_S), 0);
    recent_turns_free(turns);
}

static void a_small_table_survives_many_turns(void **state)
{
    (void)state;
    struct recent_turns *turns = recent_turns_new(3, 3600 * NS_PER_S);
    char question[32];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(question, sizeof question, "question %u", i);
        assert_int_equal(ask(turns, "c", question, 1, i), 0);
        if (i % 3 == 0) {
            assert_int_equal(ask(turns, "c", question, 2, i), BIT(REGENERATED));
        }
    }
    recent_turns_free(turns);
    recent_turns_free(NULL);
}

static void labels_lead_to_signals_and_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        enum quality_signal found;
        const char *label = quality_signal_label((enum quality_signal)i);
        assert_int_equal(quality_signal_from_label(bytes_from_text(label), &found), RESULT_OK);
        assert_int_equal(found, i);
        assert_true(strlen(quality_signal_saw(found)) > 10);
    }
    enum quality_signal found;
    assert_int_equal(quality_signal_from_label(BYTES_LITERAL("thumbs_down"), &found),
                     RESULT_MISSING);
    assert_int_equal(quality_signal_from_label(BYTES_NONE, &found), RESULT_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_answer_shows_none),
        cmocka_unit_test(errors_of_span_and_tool_are_seen),
        cmocka_unit_test(invalid_json_counts_where_json_was_asked_for),
        cmocka_unit_test(the_length_limit_is_seen),
        cmocka_unit_test(an_empty_answer_is_seen_where_the_model_was_done),
        cmocka_unit_test(bad_feedback_is_seen_without_content),
        cmocka_unit_test(an_answer_that_is_missing_is_no_empty_answer),
        cmocka_unit_test(degenerate_answers_are_seen),
        cmocka_unit_test(the_same_turn_again_is_seen),
        cmocka_unit_test(another_conversation_question_or_target_is_not),
        cmocka_unit_test(turns_are_forgotten_by_age_and_number),
        cmocka_unit_test(a_small_table_survives_many_turns),
        cmocka_unit_test(labels_lead_to_signals_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
