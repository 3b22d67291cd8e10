// SPDX-License-Identifier: Apache-2.0
//
// A counted object of its own rather than the batch's count of debts, because a decision outlives
// the batch: the bytes are let go as soon as the exporters have them. It is its own message, so
// paying the last count allocates nothing and cannot fail. Refused: a message per trace, which
// would wake the journal a thousand times for a request of a thousand traces.
//
// Bounds: one per journalled request; traces keep at most TRACE_DEBTS_MAX. Any thread.
#include "proto/decision_debt.h"

#include <stdlib.h>

#include "base/check.h"

struct decision_debt *decision_debt_new(struct mailbox *journal, uint32_t kind, uint64_t entry)
{
    struct decision_debt *debt = calloc(1, sizeof(*debt));
    CHECK(debt != NULL);
    debt->head.kind = kind;
    debt->entry = entry;
    debt->journal = journal;
    atomic_init(&debt->count, 1);
    return debt;
}

void decision_debt_hold(struct decision_debt *debt)
{
    if (debt != NULL) {
        unsigned before = atomic_fetch_add_explicit(&debt->count, 1, memory_order_relaxed);
        CHECK(before > 0);
    }
}

void decision_debt_pay(struct decision_debt **debt_at)
{
    struct decision_debt *debt = *debt_at;
    *debt_at = NULL;
    if (debt == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&debt->count, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        mailbox_post(debt->journal, &debt->head.node);
    }
}
