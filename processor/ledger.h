// SPDX-License-Identifier: Apache-2.0
// The decision ledger: one row per interaction, bounded (100,000 rows or 16 MiB, oldest out), read
// by `sidejudge explain` and the admin endpoint. Holds no content: probabilities, reasons, scores,
// labels and explanations of graded rows (masked). MUTEX_LEDGER; any thread.
#pragma once

#include "base/json.h"
#include "processor/sampling.h"

enum decision {
#define DECISION(name, label, text) DECISION_##name,
#include "processor/decision.def"
#undef DECISION
    DECISION_COUNT
};
const char *decision_label(enum decision decision);
const char *decision_text(enum decision decision);

struct ledger_score {
    char name[EVALUATOR_NAME_MAX];
    struct score score;
    bool asked_judge;
};

struct ledger_row {  // filled by the shard, copied in
    struct trace_id trace_id;
    struct span_id target;
    char target_name[64], service_name[64], agent_name[64], dialect[24];
    enum decision decision;
    char why[192];  // detail: "judge answered 500 3 times", "" when the reason says it all
    struct sampling_choice choice;
    bool truncated, incomplete;
    uint64_t decided_wall_ns;
    uint64_t held_ns;  // how long the target was held
    bool on_span;      // scores went onto the span (false: carrier)
    double cost_usd;
    const struct ledger_score *scores;
    size_t score_count;
    struct ledger_rules *rules;  // under which it was decided; NULL: the ledger's first ones
};

struct ledger;
// The rules of one configuration, by which rows that name them can be explained when it has been
// replaced. Names and probabilities are copied; kept until it is released and its last row is gone.
struct ledger_rules;
struct ledger_rules *ledger_rules_add(struct ledger *ledger, const struct sampling *sampling);
void ledger_rules_release(struct ledger *ledger, struct ledger_rules *rules);
// `sampling` becomes the first rules; copied.
struct ledger *ledger_new(const struct sampling *sampling, unsigned rows_max, size_t bytes_max);
void ledger_free(struct ledger *ledger);
void ledger_add(struct ledger *ledger, const struct ledger_row *row);
// A decided target turns out to lie under another one.
void ledger_supersede(struct ledger *ledger, const struct trace_id *trace_id,
                      const struct span_id *target);
// Writes {"trace_id": ..., "decisions": [...], "more": false} with the newest 64 rows of the trace,
// "more" saying whether there are older ones: every p_k, R, pi, reasons in words, scores;
// false when no row is there.
bool ledger_explain(struct ledger *ledger, const struct trace_id *trace_id, struct buffer *out);
// Counts by reason since start, the last `recent` rows, the spend: the JSON behind `sidejudge
// status`.
void ledger_summary(struct ledger *ledger, unsigned recent, struct json_writer *out);
uint64_t ledger_count(const struct ledger *ledger, enum decision decision);
