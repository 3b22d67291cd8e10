// SPDX-License-Identifier: Apache-2.0
// A debt to open decisions: who pays the last count posts it, once.
#include "proto/decision_debt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIND 7

static struct mailbox *mailbox_make(void)
{
    struct mailbox *mailbox = aligned_alloc(64, (sizeof(*mailbox) + 63) / 64 * 64);
    assert_non_null(mailbox);
    mailbox_init(mailbox, SIZE_MAX, NULL, NULL);
    return mailbox;
}

static void last_count_posts_the_debt_once(void **state)
{
    (void)state;
    struct mailbox *journal = mailbox_make();
    struct decision_debt *debt = decision_debt_new(journal, KIND, 42);
    struct decision_debt *second = debt;
    decision_debt_hold(debt);
    decision_debt_pay(&debt);
    assert_null(debt);
    assert_null(mailbox_take(journal));
    decision_debt_pay(&second);
    struct decision_debt *posted = (struct decision_debt *)(void *)mailbox_take(journal);
    assert_non_null(posted);
    assert_int_equal(posted->head.kind, KIND);
    assert_int_equal(posted->entry, 42);
    assert_null(mailbox_take(journal));
    free(posted);
    free(journal);
}

static void nothing_owed_is_nothing_paid(void **state)
{
    (void)state;
    struct decision_debt *none = NULL;
    decision_debt_hold(none);
    decision_debt_pay(&none);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_count_posts_the_debt_once),
        cmocka_unit_test(nothing_owed_is_nothing_paid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
