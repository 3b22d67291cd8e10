// SPDX-License-Identifier: Apache-2.0
// A rig for `evaluation`: one shard on a manual clock, a door that does what the switchboard does
// (scan, ask wants, look, take), a judge that answers when told to, and an exporter that keeps
// every span it gets. Tests and the simulator share it. One thread.
#pragma once

#include <stdbool.h>

#include "processor/evaluation_state.h"
#include "processor/shard.h"
#include "proto/score.h"

#define RIG_SPANS_MAX 65536

struct rig_span {  // as exported
    uint8_t trace_id[16], span_id[8];
    uint8_t *item;  // its payload; heap
    size_t len;
    uint64_t at_ns;
    bool own;  // emitted by the processor
};

struct rig_job {
    struct judge_job job;
    struct rig_job *next;
    uint64_t due_ns;  // UINT64_MAX: waits for rig_judge_answer
    int judge;
    bool is_said;  // `said` is the answer
    struct judge_result said;
};

struct rig {
    struct config *config;
    struct arena memory;
    struct evaluation_config *options;
    struct account *account;
    struct processor *processor;
    struct shard *shard;
    bool without_notes;  // the next request is looked at without
    uint64_t now_ns;
    struct rig_span *spans;
    size_t span_count;
    size_t dropped;
    struct rig_job *jobs;  // oldest first
    size_t job_count, jobs_asked;
    double judge_value;  // what the judge says
    enum outcome judge_outcome;
    uint64_t judge_delay_ns;   // UINT64_MAX: only rig_judge_answer
    enum result judge_submit;  // RESULT_OK, or what submitting answers
    // Reads and answers when it is asked; the result is told when it is due. NULL: judge_outcome
    // and judge_value of the moment in which it is.
    void (*judge_says)(void *arg, const struct rubric *rubric,
                       const struct interaction *interaction, struct judge_result *result);
    void *judge_arg;
    double judge_usd;      // estimate of one call
    struct buffer logs;    // log requests that were emitted
    struct buffer scores;  // score requests that were emitted, unless on_scores takes them
    uint32_t score_count;
    unsigned score_batches;
    void (*on_scores)(void *arg, struct bytes request);
    void *scores_arg;
    bool forgets;  // spans are counted, not kept
    size_t forgotten;
    bool all_native;          // every exporter takes scores: nobody wants carriers in `auto`
    bool no_scores;           // emit says RESULT_MISSING for scores
    enum emit_to carrier_to;  // of the last carrier
    uint32_t log_count;
    bool no_logs;          // emit says RESULT_MISSING for logs
    bool own_refused;      // emit says RESULT_SHED
    size_t account_bytes;  // before rig_open: cap; 0: no account
};

// `yaml`: the keys under `evaluation`, flow style: "{hold: 0s, judge: ...}".
void rig_open(struct rig *rig, const char *yaml);
void rig_close(struct rig *rig);
// A request comes in at the door. `packed`: it came compressed.
void rig_offer(struct rig *rig, struct bytes request, bool packed);
void rig_offer_json(struct rig *rig, const char *json);
// Moves the clock, turn by turn at every deadline on the way.
void rig_advance(struct rig *rig, uint64_t ns);
void rig_judge_answer(struct rig *rig, enum outcome outcome, double value);  // all waiting jobs

// Exported spans with this id; the n-th, or NULL.
const struct rig_span *rig_find(const struct rig *rig, uint8_t trace, uint8_t span, unsigned nth);
size_t rig_count(const struct rig *rig, uint8_t trace, uint8_t span);
size_t rig_own_count(const struct rig *rig);
const struct rig_span *rig_own(const struct rig *rig, size_t index);
// The n-th score record that was emitted, with views into rig->scores; false: there are fewer.
bool rig_score(const struct rig *rig, size_t index, struct score_record *record);
bool rig_text(const struct rig_span *span, const char *key, char *out, size_t out_len);
bool rig_number(const struct rig_span *span, const char *key, double *value);
bool rig_has(const struct rig_span *span, const char *key);
uint64_t rig_decisions(const struct rig *rig, enum decision decision);
uint64_t rig_decisions_all(const struct rig *rig);
// True when ledger_explain names this many decisions of the trace.
size_t rig_rows(const struct rig *rig, uint8_t trace);

// Requests in tests: spans of one resource and scope.
struct rig_spec {
    uint8_t trace, span, parent;  // small numbers become ids; parent 0: none
    const char *name;
    uint32_t kind, flags;
    double start_s, end_s;
    bool error;
    const char *attributes[24];  // key, value, key, value ... NULL
};
void rig_request(struct buffer *out, const char *service, const char *scope,
                 const struct rig_spec *specs, size_t count);
void rig_send(struct rig *rig, const char *service, const struct rig_spec *specs, size_t count);
