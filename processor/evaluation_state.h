// SPDX-License-Identifier: Apache-2.0
// Inside of the `evaluation` component: the instance that all shards share, and the state that each
// shard has of its own. For evaluation*.c, grading*.c and their tests only.
#pragma once

#include "base/check.h"
#include "processor/decided_traces.h"
#include "processor/evaluation.h"
#include "processor/evaluation_config.h"
#include "processor/evaluation_metrics.h"
#include "processor/grade.h"
#include "processor/holding.h"
#include "processor/learned_services.h"
#include "processor/legacy.h"
#include "processor/redaction.h"
#include "processor/trace_table.h"

#define EVALUATION_MAGIC MAGIC('E', 'V', 'A', 'L')
#define TRACES_MAX 50000u          // open traces per shard
#define DECIDED_TRACES_MAX 16384u  // remembered per shard
#define EARLY_FEEDBACK_MAX 128u    // remembered per shard, the oldest goes
#define LEARNED_AGE_NS (UINT64_C(3600) * 1000000000u)
#define WHOLE_EXTRA_NS UINT64_C(250000000)  // beyond linger, for what came compressed
// At most, once the process is told that it will end soon (shard_ops.hurry).
#define HURRY_LINGER_NS UINT64_C(50000000)
#define HURRY_IDLE_NS UINT64_C(200000000)
#define HURRY_HOLD_NS UINT64_C(500000000)

// How judges are asked. One implementation asks judge.h; the simulator brings its own.
struct judge_port {
    enum result (*job_new)(void *arg, int judge, const struct rubric *rubric,
                           const struct interaction *interaction, struct redactor *redactor,
                           struct judge_job **job);
    enum result (*submit)(void *arg, struct judge_job **job);
    void (*job_free)(void *arg, struct judge_job **job);
    double (*estimate_usd)(void *arg, int judge, size_t prompt_bytes);
    void *arg;
};

struct evaluation {
    uint32_t magic;
    char id[64];
    const struct evaluation_config *config;
    struct evaluation_plan plan;
    struct account *account;
    struct legacy *legacy;          // shared with instances before and after this one
    struct baseline *baseline;      // the shared ladder, or own_baseline
    struct baseline *own_baseline;  // where it is fixed; else NULL
    struct budget *budget;          // shared; NULL without a judge
    struct ledger *ledger;          // shared
    struct ledger_rules *rules;     // of this instance's rows
    struct judge_pool *judges;      // NULL without a judge, or when it could not be made
    struct judge_port port;
    struct learned_services *services;  // shared
    struct evaluation_metrics metrics;
    _Atomic uint64_t now_ns;       // latest time that a shard or tick has seen
    atomic_bool ending;            // judge results are thrown away
    atomic_bool logs_wanted;       // false once it is known that no logs pipeline has us
    atomic_bool carriers_wanted;   // ... that every exporter takes scores themselves
    _Atomic unsigned score_sends;  // bit set of 1 << enum score_send; 0: no exporter takes scores
    atomic_flag said_score, said_no_content[DIALECT_COUNT];
    _Atomic uint64_t targets, graded, late_spans, carriers, without_content;
    _Atomic int64_t open_traces, evidence_bytes;
};

struct evaluation_state {
    uint32_t magic;
    struct evaluation *evaluation;
    struct shard_env *env;
    struct trace_table *traces;
    struct decided_traces *decided;
    struct recent_turns *turns;
    // Feedback that came before the first span of its trace: SDKs send scores sooner than spans.
    struct trace_id early[EARLY_FEEDBACK_MAX];  // a ring; zero: free
    unsigned early_count, early_next;
    struct redactor *redactor;  // NULL: redaction off
    struct holdings holdings;
    struct fragment_times times;  // as configured, or shorter: the process is about to end
    struct timer hurry;           // lets go what waits when there is no time left
    size_t evidence_used, evidence_charged;
    uint32_t serial;  // of targets
    uint64_t now_ns;
    uint8_t overload;      // enum overload_rung, as of looked_ns
    uint64_t looked_ns;    // turn in which it was looked at
    struct timer settle;   // releases wait for it while many spans are held
    uint64_t due_turn_ns;  // traces and fragments decided in the turn at this time
    unsigned due_count;
};

static inline struct evaluation *evaluation_of(const struct processor *processor)
{
    struct evaluation *evaluation = (struct evaluation *)(uintptr_t)processor;
    CHECK(evaluation->magic == EVALUATION_MAGIC);
    return evaluation;
}

// For simulators and tests, before the first span.
void evaluation_use_judges(struct processor *processor, const struct judge_port *port);
