// SPDX-License-Identifier: Apache-2.0
// Judges: model endpoints that grade an interaction by a rubric, off the agent's path. One event
// loop on a thread of its own; bounded concurrency; a deadline per call with retries inside it; a
// circuit breaker; structured output with the reason before the score, parsed strictly against a
// schema; anything else is an error, never a score. Prompts are built from a redacted, size-bounded
// transcript (64 KiB) in which untrusted text is fenced by a per-call random mark. APIs:
// OpenAI-compatible chat completions (response_format json_schema), Anthropic Messages (a forced
// tool).
#pragma once

#include "base/account.h"
#include "base/mailbox.h"
#include "base/option.h"
#include "base/tls_client.h"
#include "processor/evaluator.h"
#include "processor/rubric.h"

#define JUDGES_MAX 8

struct judge_config {  // entry of `judges:`
    struct bytes name;
    int api;                // 0 openai, 1 anthropic
    struct bytes endpoint;  // base URL; default by api
    struct bytes model;
    struct bytes api_key;
    int64_t timeout_ns;         // deadline of one grading, retries included; default 20 s
    int64_t max_concurrency;    // default 8
    int64_t max_output_tokens;  // default 512
    double input_per_mtok, output_per_mtok;  // USD; default from the dated list of common models
    bool has_price;
    int64_t max_retries;  // default 2
    struct tls_client_config tls;  // for https endpoints
    // How long a judge that failed five times in a row is left alone at first; doubles up to 60 s.
    // 0: 10 s. No option: for tests.
    int64_t breaker_ns;
};
extern const struct option judge_options[];  // rows of one entry, api as enum
// The shorthand "anthropic/claude-haiku-4-5" or "openai/gpt-...": provider's key from its own
// variable (ANTHROPIC_API_KEY, OPENAI_API_KEY).
enum result judge_from_shorthand(struct bytes text, struct arena *arena,
                                 struct judge_config *config, char *why, size_t why_len) MUST_USE;
// Fills what a bound config leaves open: endpoint, key from the provider's variable, list price.
void judge_complete(struct judge_config *config, struct arena *arena);
// Checks endpoint, model, key, price (a judge needs a price; 0 is one). Appends to errors.
void judge_validate(const struct judge_config *config, const char *path,
                    const struct config_node *node, struct option_errors *errors);
const char *judge_id(const struct judge_config *config, const char *epoch,
                     char out[160]);  // "anthropic/claude-haiku-4-5@<epoch>"

struct judge_pool;  // one per evaluation instance
enum result judge_pool_new(const struct judge_config *judges, size_t count, struct account *account,
                           struct judge_pool **pool, char *why, size_t why_len) MUST_USE;
// Cancels what is in flight, waits or is to be retried: done() is called with errors.
void judge_pool_free(struct judge_pool **pool);
enum result judge_pool_start(struct judge_pool *pool) MUST_USE;  // starts its thread

struct judge_result {
    struct score score;
    uint64_t input_tokens, output_tokens;
    double cost_usd;
    uint64_t elapsed_ns;
    unsigned attempts;
};

struct judge_job {  // one grading: one evaluator on one interaction; heap, moved
    struct mailbox_node node;
    int judge;
    const struct rubric *rubric;
    struct bytes prompt_parts;  // owned by the job: serialised transcript, already redacted
    void *memory;               // of prompt_parts
    size_t charge_bytes;        // at POOL_JUDGE
    struct judge_result result;
    void (*done)(
        struct judge_job *job);  // on the judge thread; takes the job; must only post it elsewhere
    void *arg;
    uint64_t arg_number;
};
// What judge_pool_submit would say now: ask before a transcript is built for nothing. Any thread.
enum result judge_pool_room(const struct judge_pool *pool, int judge) MUST_USE;
// Builds the redacted transcript of an interaction. RESULT_SHED: no memory for it. The job's
// done/arg are set by the caller afterwards.
struct redactor;
enum result judge_job_new(struct judge_pool *pool, int judge, const struct rubric *rubric,
                          const struct interaction *interaction, struct redactor *redactor,
                          struct judge_job **job) MUST_USE;
void judge_job_free(struct judge_pool *pool, struct judge_job **job);
double judge_estimate_usd(const struct judge_pool *pool, int judge, size_t prompt_bytes);
// RESULT_SHED: the queue (256 jobs) is full; RESULT_RETRY: the breaker is open. Takes the job only
// on RESULT_OK. Any thread.
enum result judge_pool_submit(struct judge_pool *pool, struct judge_job **job) MUST_USE;
size_t judge_pool_in_flight(const struct judge_pool *pool);
// One synchronous grading of a canned transcript for `sidejudge doctor`: result and cost, or why
// not.
enum result judge_probe(const struct judge_config *config, struct judge_result *result, char *why,
                        size_t why_len) MUST_USE;
// The host that will see content, for the start line; "" when the endpoint is loopback.
void judge_host(const struct judge_config *config, char out[128]);
