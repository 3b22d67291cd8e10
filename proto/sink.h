// SPDX-License-Identifier: Apache-2.0
// Where a receiver's batches go. The service implements it (service/pipeline.c): one call scans,
// admits for the whole way, splits and hands over. After RESULT_OK the request may be acknowledged;
// after anything else nothing was kept.
#pragma once

#include "proto/batch.h"

struct offer_reply {
    uint32_t rejected_count;     // partial success: items left out
    // with RESULT_SHED / RESULT_RETRY / RESULT_STOP: what to tell the client; 0: nothing
    uint32_t retry_after_s;
    char message[256];           // partial success or error sentence; "" when none
};

struct sink {
    // Takes the batch (nulls *batch) whatever the result. Any I/O or ingest thread; never waits,
    // never blocks.
    enum result (*offer)(struct sink *sink, struct batch **batch, struct offer_reply *reply);
};
