// SPDX-License-Identifier: Apache-2.0
// A Sidejudge in this process for one scene of the demonstration: its configuration as text, its
// start, conversations sent to it over OTLP/HTTP as an agent's SDK does, and waiting for what comes
// of them. Main thread.
#pragma once

#include "service/demo/demo_peers.h"
#include "service/runtime.h"

struct demo_stage;

struct demo_stage_config {
    struct loop *loop;  // of the peers; pumped while waiting
    const struct demo_peers *peers;
    double baseline;         // 0..1
    const char *live_judge;  // SIDEJUDGE_JUDGE; NULL: the scripted one
};

// RESULT_FAIL with a sentence.
enum result demo_stage_open(const struct demo_stage_config *config, struct demo_stage **stage,
                            char *why, size_t why_len) MUST_USE;
void demo_stage_close(struct demo_stage **stage);
// Sends one ExportTraceServiceRequest as OTLP/JSON.
void demo_stage_send(struct demo_stage *stage, struct bytes json);
// Pumps until every request was answered, `decisions` interactions in all are decided and the
// backend has `spans` spans, or 30 s are over; false then.
bool demo_stage_wait(struct demo_stage *stage, uint64_t decisions, unsigned spans);
unsigned demo_stage_refused(const struct demo_stage *stage);
struct processor *demo_stage_evaluation(struct demo_stage *stage);
uint64_t demo_stage_decided(struct demo_stage *stage);  // in all, whatever the reason
