// SPDX-License-Identifier: Apache-2.0
// Ingest workers: threads that take the bodies that are more than an I/O turn's work. A job moves
// to a worker and comes back by the submitter's mailbox; both places are reserved before it leaves,
// so it cannot get stuck. Nothing is shared but what the mailboxes move.
#pragma once

#include "base/mailbox.h"
#include "receiver/intake.h"

struct ingest;

struct ingest_job {
    struct mailbox_node node;     // first member
    struct mailbox *reply_to;     // the job comes back here, with a credit that the taker releases
    uint64_t deadline_ns;         // nobody waits any more: answered RESULT_RETRY without work
    bool is_expired;
    struct intake_call call;
};

// Starts `count` threads. RESULT_FAIL: no thread or descriptor.
enum result ingest_start(struct account *account, unsigned count, struct ingest **ingest) MUST_USE;
// Moves the job to the least busy worker. False: every place is taken, the job stays the caller's.
// Any thread.
bool ingest_submit(struct ingest *ingest, struct ingest_job *job);
// Sends what is queued back with RESULT_STOP, ends the threads, frees. The reply mailboxes must
// still be there. NULL is allowed.
void ingest_stop(struct ingest **ingest);
