// SPDX-License-Identifier: Apache-2.0
// The life of one target: a [state][event] table whose events come from completion, judges and
// holdings. The shard's thread.
#pragma once

#include "processor/evaluation_state.h"

enum target_state {
    TARGET_STATE_ASSEMBLING,  // its fragment is being collected
    TARGET_STATE_JUDGING,     // judges were asked
    TARGET_STATE_DECIDED,
    TARGET_STATE_COUNT
};
enum target_event {
    TARGET_EVENT_COMPLETE,   // its fragment is: decide
    TARGET_EVENT_GIVE_UP,    // no memory for it: decided overload
    TARGET_EVENT_SCORE,      // a judge's result came
    TARGET_EVENT_HOLD_OVER,  // its span leaves untouched
    TARGET_EVENT_COUNT
};
struct target {
    struct target *next;
    struct trace *trace;
    struct trace_span *span;
    uint32_t serial;
    uint8_t state;  // enum target_state
    bool whole, own_evaluation;
    bool superseded;
    uint64_t decided_at_ns;
    struct grade *grade;  // NULL once delivered
};
struct verdict_message {  // a judge's result on its way back to the shard
    struct shard_message head;
    struct evaluation *evaluation;
    struct shard_env *env;
    struct trace_name trace;
    uint32_t serial;
    uint32_t evaluator;
    struct judge_result result;
};

// A target of the trace, which owns it (heap; freed with the trace).
struct target *target_new(struct evaluation_state *state, struct trace *trace,
                          struct trace_span *span, const struct target_choice *choice);
// `verdict` with TARGET_EVENT_SCORE only; borrowed.
void target_event(struct evaluation_state *state, struct target *target, enum target_event event,
                  const struct verdict_message *verdict);
// A target that still waits for its judge when its trace is closed gets its row: judge_error.
// Nothing is delivered.
void grading_abandon(struct evaluation_state *state, struct target *target);
// Takes a verdict_message; a stale one is counted.
void grading_message(struct evaluation_state *state, struct shard_message *message);
// Targets decided in an earlier turn, over which `target` turns out to stand, are superseded.
void grading_supersede(struct evaluation_state *state, struct target *target);
