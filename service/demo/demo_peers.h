// SPDX-License-Identifier: Apache-2.0
// What stands around Sidejudge in the demonstration, on loopback, on one loop of the main thread: a
// trace backend that keeps what it is sent, and a scripted judge that knows the recorded
// conversations and speaks the OpenAI-compatible API (it refuses requests that are not in form).
#pragma once

#include "base/loop.h"
#include "service/demo/demo_traces.h"

struct demo_peers;

struct demo_peers *demo_peers_open(struct loop *loop, const struct demo_traces *traces);
void demo_peers_close(struct demo_peers **peers);
uint16_t demo_peers_backend_port(const struct demo_peers *peers);
uint16_t demo_peers_judge_port(const struct demo_peers *peers);
void demo_peers_stop_judge(struct demo_peers *peers);

// What the backend has: spans in all, and spans of one trace.
unsigned demo_peers_span_count(const struct demo_peers *peers);
// Visits the requests that arrived, oldest first, as serialised ExportTraceServiceRequest.
void demo_peers_each(const struct demo_peers *peers, void (*visit)(void *arg, struct bytes request),
                     void *arg);
void demo_peers_forget(struct demo_peers *peers);
// A port that is free now, for the receiver.
uint16_t demo_free_port(void);
