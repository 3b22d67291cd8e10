// SPDX-License-Identifier: Apache-2.0
// Which answers of a judge are scores; all others are errors with a sentence, never a number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "processor/judge_api.h"
#include "processor/redaction.h"

static struct redactor *redactor;

static struct score score_of(struct judge_answer answer)
{
    struct score score;
    memset(&score, 0xa5, sizeof score);
    judge_reply_score(&answer, redactor, &score);
    return score;
}

static struct score score_of_text(const char *text)
{
    return score_of((struct judge_answer){.text = bytes_from_text(text)});
}

static void an_answer_in_form_is_a_score(void **state)
{
    (void)state;
    struct score score =
        score_of_text(" {\"reason\":\"Fine.\",\"evidence\":\"\",\"score\":0.75}\n");
    assert_int_equal(score.outcome, OUTCOME_SCORE);
    assert_true(score.value == 0.75);
    assert_string_equal(score.explanation, "Fine.");
    assert_string_equal(score.evidence, "");
    assert_string_equal(score.label, "");
    assert_true(score_of_text("{\"reason\":\"r\",\"evidence\":\"e\",\"score\":0}").value == 0);
    assert_true(score_of_text("{\"reason\":\"r\",\"evidence\":\"e\",\"score\":1}").value == 1);
    assert_true(score_of_text("{\"score\":1.0,\"evidence\":\"\",\"reason\":\"r\"}").value == 1);
}

static void anything_else_is_an_error(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "0.8",
        "I would say 0.8.",
        "null",
        "[]",
        "{}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":0.5",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":0.5} and more",
        "```json\n{\"reason\":\"r\",\"evidence\":\"\",\"score\":0.5}\n```",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":\"0.5\"}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":null}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":true}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":-0.01}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":1.01}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":5}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":1e999}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":NaN}",
        "{\"reason\":\"r\",\"evidence\":\"\"}",
        "{\"reason\":\"r\",\"score\":1}",
        "{\"evidence\":\"\",\"score\":1}",
        "{\"reason\":7,\"evidence\":\"\",\"score\":1}",
        "{\"reason\":\"r\",\"evidence\":null,\"score\":1}",
        "{\"reason\":\"r\",\"evidence\":[],\"score\":1}",
        "{\"reason\":\" \",\"evidence\":\"\",\"score\":1}",
        "{\"reason\":\"r\",\"evidence\":\"\",\"score\":1,\"confidence\":1}",
        "{\"Reason\":\"r\",\"evidence\":\"\",\"score\":1}",
        "{\"reason\":\"\xff\",\"evidence\":\"\",\"score\":1}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct score score = score_of_text(rows[i]);
        if (score.outcome != OUTCOME_ERROR) {
            fail_msg("%s was taken for a score", rows[i]);
        }
        assert_true(score.value == 0);
        assert_true(strlen(score.explanation) > 10);
        assert_string_equal(score.evidence, "");
    }
}

static void a_problem_wins_over_an_answer(void **state)
{
    (void)state;
    struct score score =
        score_of((struct judge_answer){.text = BYTES_LITERAL("{\"reason\":\"r\",\"evidence\":\"\","
                                                             "\"score\":1}"),
                                       .problem = "the judge refused"});
    assert_int_equal(score.outcome, OUTCOME_ERROR);
    assert_string_equal(score.explanation, "the judge refused");
}

static void an_object_is_read_as_it_is(void **state)
{
    (void)state;
    struct json_document *document;
    assert_int_equal(json_parse(BYTES_LITERAL("{\"reason\":\"r\",\"evidence\":\"e\",\"score\":1}"),
                                &document, NULL),
                     RESULT_OK);
    struct score score = score_of((struct judge_answer){.object = json_root(document)});
    assert_int_equal(score.outcome, OUTCOME_SCORE);
    assert_string_equal(score.evidence, "e");
    json_free(&document);
}

static void texts_are_masked_and_cut_at_characters(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 65536);
    buffer_append_text(&text, "{\"reason\":\"jane@example.com ");
    for (int i = 0; i < 1000; i++) {
        buffer_append_text(&text, "\xe6\x97\xa5");
    }
    buffer_append_text(&text, "\",\"evidence\":\"");
    for (int i = 0; i < 1000; i++) {
        buffer_append_text(&text, "\xc3\xa9");
    }
    buffer_append_text(&text, "\",\"score\":0.5}");
    struct score score = score_of_text(buffer_text(&text));
    assert_int_equal(score.outcome, OUTCOME_SCORE);
    assert_int_equal(strncmp(score.explanation, "[EMAIL] ", 8), 0);
    assert_true(strlen(score.explanation) >= EXPLANATION_BYTES_MAX - 3);
    assert_true(strlen(score.evidence) == sizeof score.evidence - 2);
    assert_true(utf8_is_valid(bytes_from_text(score.explanation)));
    assert_true(utf8_is_valid(bytes_from_text(score.evidence)));
    buffer_fini(&text);
}

static void an_answer_beyond_64_kib_is_an_error(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, (size_t)1 << 20);
    buffer_append_text(&text, "{\"reason\":\"r\",\"evidence\":\"\",\"score\":1}");
    while (text.len <= 65536) {
        buffer_append_byte(&text, ' ');
    }
    assert_int_equal(score_of_text(buffer_text(&text)).outcome, OUTCOME_ERROR);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_in_form_is_a_score),
        cmocka_unit_test(anything_else_is_an_error),
        cmocka_unit_test(a_problem_wins_over_an_answer),
        cmocka_unit_test(an_object_is_read_as_it_is),
        cmocka_unit_test(texts_are_masked_and_cut_at_characters),
        cmocka_unit_test(an_answer_beyond_64_kib_is_an_error),
    };
    redactor = redactor_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redactor_free(redactor);
    return failed;
}
