// SPDX-License-Identifier: Apache-2.0
// Where a receiver's batches go. The service implements it (service/pipeline.c): one call scans,
// admits for the whole way, splits and hands over. After RESULT_OK the request may be acknowledged;
// after anything else nothing was kept.
#pragma once

#include "proto/batch.h"
#include "proto/feedback.h"

// What waits for the journal: everything that was offered before is durable.
struct commit_wait {
    struct mailbox_node node;  // first member; then the kind: proto/decision_debt.h
    uint32_t kind;
    enum result result;           // set before the answer is posted
    struct mailbox *reply_to;     // gets `reply`, under a credit that the taker releases
    struct mailbox_node *reply;
};

struct offer_reply {
    uint32_t rejected_count;     // partial success: items left out
    // with RESULT_SHED / RESULT_RETRY / RESULT_STOP: what to tell the client; 0: nothing
    uint32_t retry_after_s;
    char message[256];           // partial success or error sentence; "" when none
    // With RESULT_OK: not to be acknowledged before `await` has answered.
    bool must_await;
};

struct sink {
    // Takes the batch (nulls *batch) whatever the result. Any I/O or ingest thread; never waits,
    // never blocks.
    enum result (*offer)(struct sink *sink, struct batch **batch, struct offer_reply *reply);
    // After an offer that must be awaited: the wait is the journal's until it posts its reply, with
    // RESULT_OK (durable, or stored nowhere by configuration) or RESULT_SHED. Any thread. NULL
    // where nothing is ever awaited.
    void (*await)(struct sink *sink, struct commit_wait *wait);
    // Tells whoever has the trace open. Borrows; never waits; what nobody can use is counted there
    // and forgotten. Any thread. NULL: nobody listens.
    void (*feedback)(struct sink *sink, const struct feedback *feedback);
};
