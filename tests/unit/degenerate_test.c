// SPDX-License-Identifier: Apache-2.0
// Which answers count as degenerate: loops, copies of the question, no words; and which do not.
#include "processor/degenerate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static double score(const char *response)
{
    return degenerate_score(bytes_from_text(response), BYTES_LITERAL("How long does it take?"));
}

static double score_repeated(const char *stretch, unsigned times)
{
    struct buffer text;
    buffer_init(&text, (size_t)1 << 22);
    for (unsigned i = 0; i < times; i++) {
        buffer_append_text(&text, stretch);
    }
    double found = degenerate_score(buffer_view(&text), BYTES_NONE);
    buffer_fini(&text);
    return found;
}

static void ordinary_answers_are_not_degenerate(void **state)
{
    (void)state;
    assert_true(score("Yes.") == 1);
    assert_true(score("42") == 1);
    assert_true(score("It takes three to five days, counted from the day on which the parcel was "
                      "handed over; on islands it takes two days more.") == 1);
    assert_true(score("1. Open the app. 2. Choose Orders. 3. Choose the order. 4. Choose Return. "
                      "5. Print the label. 6. Bring the parcel to a shop.") == 1);
    assert_true(score("| day | open | close |\n| Mon | 9 | 17 |\n| Tue | 9 | 17 |\n| Wed | 9 | 17 "
                      "|\n| Thu | 9 | 20 |\n| Fri | 9 | 20 |") >= 0.5);
}

static void an_answer_without_words_is(void **state)
{
    (void)state;
    assert_true(score("") == 0);
    assert_true(score("   \n") == 0);
    assert_true(score("... !!! ---") == 0);
}

static void a_copy_of_the_question_is_whatever_its_case(void **state)
{
    (void)state;
    assert_true(score("How long does it take?") == 0);
    assert_true(score("  how long does it take\n") == 0);
    assert_true(score("How long does it take? Two days.") == 1);
    assert_true(score("How long does it") == 1);
}

static void a_short_question_may_be_repeated(void **state)
{
    (void)state;
    assert_true(degenerate_score(BYTES_LITERAL("Yes?"), BYTES_LITERAL("yes")) == 1);
    assert_true(degenerate_score(BYTES_LITERAL("x"), BYTES_NONE) == 1);
}

static void loops_are_degenerate(void **state)
{
    (void)state;
    assert_true(score_repeated("no ", 40) < 0.1);
    assert_true(score_repeated("I cannot help with that request. ", 20) < 0.2);
    assert_true(score_repeated("I cannot help with that request. ", 2) >= 0.5);
}

static void loops_without_blanks_are_degenerate(void **state)
{
    (void)state;
    assert_true(score_repeated("a", 4000) < 0.1);
    assert_true(score_repeated("\xe6\x88\x91\xe4\xb8\x8d\xe7\x9f\xa5\xe9\x81\x93", 60) < 0.1);
    assert_true(score("https://example.com/a/very/long/address/that/is/one/word?with=parameters&"
                      "more=of_them&and=still_more&which=do_not_repeat&themselves=at_all") == 1);
}

static void the_work_is_bounded(void **state)
{
    (void)state;
    assert_true(score_repeated("all work and no play makes a dull boy ", 50000) < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_answers_are_not_degenerate),
        cmocka_unit_test(an_answer_without_words_is),
        cmocka_unit_test(a_copy_of_the_question_is_whatever_its_case),
        cmocka_unit_test(a_short_question_may_be_repeated),
        cmocka_unit_test(loops_are_degenerate),
        cmocka_unit_test(loops_without_blanks_are_degenerate),
        cmocka_unit_test(the_work_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
