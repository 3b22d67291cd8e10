// SPDX-License-Identifier: Apache-2.0
// One score on its way from `evaluation` to score sinks. On the wire (batches of SIGNAL_SCORES) it
// is a log record `gen_ai.evaluation.result` of the GenAI conventions under the target's Resource,
// with attributes sidejudge.* for what those lack; only Sidejudge writes and reads it, so a reader
// may trust the form, never the texts. What a backend calls the score follows from what the sink
// sends (`send`) and from whether the interaction belongs to an equal-probability sample: only then
// may it stand under the evaluator's own name, because backends average what they have (DESIGN 4).
// Pure; any thread.
#pragma once

#include "base/buffer.h"
#include "base/ids.h"
#include "proto/component.h"

#define SCORE_NAME_BYTES_MAX 160

enum score_type { SCORE_NUMERIC, SCORE_BOOLEAN, SCORE_CATEGORICAL };

struct score_record {  // texts are views into the record (read) or the writer's (write)
    struct trace_id trace_id;
    struct span_id span_id;  // the target
    char id[65];             // SHA-256 of (trace id, target, evaluator, epoch, row version), hex
    struct bytes name;       // of the evaluator
    enum score_type type;
    bool is_error;           // no value: the evaluator failed
    bool has_value;
    double value;            // in [0, 1], 1 is good; BOOLEAN: 0 or 1
    struct bytes label;      // pass, fail, or the rubric's own; may be empty
    struct bytes explanation;  // masked, at most 1 KiB
    bool by_judge;           // LLM; else code
    struct bytes identifier; // epoch: judge, model, rubric and prompt; of code: the evaluator's
    bool picked;             // the interaction was picked to be graded
    bool plain;              // ... as part of an equal-probability sample
    bool failed;             // under the evaluator's threshold
    double probability;      // of having been picked
    uint64_t end_ns;         // of the target, wall time: the score's time
    // Of the target's telemetry; empty when absent.
    struct bytes environment, session_id, user_id, service_name, response_id, span_name;
};

// Appends one LogRecord as field `number` (SCOPE_ITEMS) of a ScopeLogs.
void score_record_write(struct buffer *out, uint32_t number, const struct score_record *record);
// Reads a LogRecord's bytes; texts are views into them. False: not a score record.
bool score_record_read(struct bytes item, struct score_record *record);
// The id: what a repeat replaces.
void score_record_id(const struct trace_id *trace_id, const struct span_id *target,
                     struct bytes evaluator, struct bytes epoch, unsigned row_version,
                     char id[65]);

// Under which name a sink with this `send` sends the record; false: it does not send it.
//   judged: all scores of picked interactions (plain name in the equal-probability sample, else
//           with the suffix); of the others, code's failures with the suffix
//   failed: failures only, all with the suffix
//   all:    code's scores of every interaction under the plain name, for all are sent; judged ones
//           as with `judged`
// Errors are never sent.
bool score_record_name(const struct score_record *record, enum score_send send, struct bytes suffix,
                       char name[SCORE_NAME_BYTES_MAX]) MUST_USE;
