// SPDX-License-Identifier: Apache-2.0
// The switchboard: one call per request scans it once, asks each processor what it wants of each
// span, admits the request for the whole way (every exporter queue and shard mailbox, all or
// nothing) and hands the parts over. What no processor wants goes straight to the exporters' queues
// as the bytes it came in. One door per receiver and signal. Any I/O or ingest thread.
#pragma once

#include "service/pipeline.h"

// What one receiver sees for one signal: all pipelines that name it. A request is admitted by all
// of them or by none.
struct door {
    struct sink sink;  // first member
    struct pipeline *pipelines[SETTINGS_PIPELINES_MAX];
    size_t count;
    struct log_episode refused;
};

void door_init(struct door *door);
