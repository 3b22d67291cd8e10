// SPDX-License-Identifier: Apache-2.0
// What a journalled request owes to open decisions: one count for each shard message that carries
// it and for each trace that took evidence from it. While a count is left, the journal keeps the
// entry even when every exporter has it, because after a crash the decision must be made again, and
// from the same spans (DESIGN 3). The last count posts the debt to the journal, which settles the
// entry and frees it. Counting is atomic; any thread.
#pragma once

#include <stdint.h>

#include "base/mailbox.h"

// What the journal's mailbox carries begins with this; the kinds are the journal's.
struct journal_message {
    struct mailbox_node node;
    uint32_t kind;
};

struct decision_debt {
    struct journal_message head;  // first member
    atomic_uint count;
    uint64_t entry;
    struct mailbox *journal;
};

// One count, the caller's. `kind`: of the message that the journal gets in the end. Heap.
struct decision_debt *decision_debt_new(struct mailbox *journal, uint32_t kind, uint64_t entry);
void decision_debt_hold(struct decision_debt *debt);  // one more; NULL is allowed
void decision_debt_pay(struct decision_debt **debt);  // one less; nulls; NULL is allowed
