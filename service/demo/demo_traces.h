// SPDX-License-Identifier: Apache-2.0
// The demonstration's ten traces, recorded from official SDK instrumentation
// (tests/interop/recorder) and embedded in the binary, with what is known about each conversation.
// Main thread.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/random.h"

#define DEMO_TRACES_MAX 16

struct demo_trace {
    const char *file;   // "01_refund_window.json"
    struct bytes json;  // OTLP/JSON, one ExportTraceServiceRequest
    struct bytes dialect, service, question, answer;
    struct bytes why, evidence;  // what decides, and the text that the answer misses
    struct bytes failing;        // failing sentence; empty when right
    bool wrong;
    struct trace_id trace_id;
    unsigned span_count;
    bool all_green;        // no span ended with status ERROR
    struct bytes request;  // the same, serialised as protobuf
};

struct demo_traces {
    struct arena arena;
    struct demo_trace items[DEMO_TRACES_MAX];
    size_t count;
};

// Reads the embedded files. Aborts when one of them is damaged: they are part of the program.
void demo_traces_init(struct demo_traces *traces);
void demo_traces_fini(struct demo_traces *traces);
// Appends the JSON of the trace under fresh ids: the same conversation as another interaction.
// `trace_id` gets its new id.
void demo_trace_again(const struct demo_trace *trace, struct random *random, struct buffer *out,
                      struct trace_id *trace_id);
