// SPDX-License-Identifier: Apache-2.0
// The fate of one batch on its way to one backend, as a pure state machine: replies go in, what to
// do next comes out. No I/O, no clock (time is an argument), no memory but its own. One thread.
//
// Rules (OTLP 1.11 "Failures", "OTLP/HTTP Throttling", "OTLP/gRPC Throttling"; RFC 9110 10.2.3):
// - Sent again after a wait: HTTP 429, 502, 503, 504 and transport failures; gRPC CANCELLED,
//   DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS; RESOURCE_EXHAUSTED only with
//   RetryInfo. The wait is the larger of the backoff and what the backend asked for.
// - Too large (413, RESOURCE_EXHAUSTED without RetryInfo): halved and sent again.
// - Refused (400, 422, INVALID_ARGUMENT): bisected until the refused items are alone, first at the
//   borders of the input requests. When both halves of the batch and all four quarters are
//   refused, the fault is systematic and all of it is dropped.
// - Extra requests: at most floor(2 * log2(n)) + 8 per batch and 60 in any minute per exporter. A
//   half that was cut for its size and arrives is no extra request.
// - All else is dropped at once. A partial success is a success; it is never repeated.
#pragma once

#include "base/option.h"
#include "base/random.h"

#define DELIVERY_ALL UINT32_MAX  // the count of a batch that was never cut
#define DELIVERY_PARTS_MAX 48    // 4 quarters and one pending part per level below
#define DELIVERY_EXTRA_A_MINUTE 60

struct retry_config {  // retry_on_failure
    bool enabled;
    int64_t initial_interval_ns;
    double randomization_factor;
    double multiplier;
    int64_t max_interval_ns;
    int64_t max_elapsed_time_ns;  // 0: for ever
    bool max_elapsed_time_present;  // else it is 0 where the queue has a storage
};
extern const struct option retry_options[];

enum delivery_protocol { DELIVERY_HTTP, DELIVERY_GRPC };

struct delivery_reply {
    enum delivery_protocol protocol;
    enum result transport;  // RESULT_OK: `code` was received; else there was no reply
    int code;               // HTTP status or google.rpc.Code
    bool has_wait;          // Retry-After or RetryInfo was there
    uint64_t wait_ns;
    uint32_t rejected_count;  // partial success; not looked at here
    struct bytes text;        // body, status message or error sentence; borrowed
};

enum delivery_reason {
#define DELIVERY_REASON(name, label, text) DELIVERY_##name,
#include "exporter/delivery_reasons.def"
#undef DELIVERY_REASON
    DELIVERY_REASON_COUNT
};
const char *delivery_reason_label(enum delivery_reason reason);
const char *delivery_reason_text(enum delivery_reason reason);

enum delivery_class {  // what a reply means, before the state is looked at
    DELIVERY_CLASS_SUCCESS,
    DELIVERY_CLASS_RETRY,
    DELIVERY_CLASS_TOO_LARGE,
    DELIVERY_CLASS_REFUSED,
    DELIVERY_CLASS_PERMANENT,
};
enum delivery_class delivery_classify(const struct delivery_reply *reply);

struct delivery_part {  // items by ordinal in the batch
    uint32_t first, count;
    uint32_t level;  // 0: the batch, 1: its halves ...
    bool for_size;   // cut because the whole was too large
};

struct delivery_allowance {  // the extra requests of one exporter in the last minute
    uint64_t taken_at_ns[DELIVERY_EXTRA_A_MINUTE];  // ring; 0: free
    uint32_t next;
};

enum delivery_action {
    DELIVERY_SEND,   // send delivery->current now
    DELIVERY_WAIT,   // send delivery->current again at step.at_ns
    DELIVERY_SPLIT,  // find out the items, then call delivery_split
    DELIVERY_DONE,   // nothing is left
};

struct delivery_step {
    enum delivery_action action;
    uint64_t at_ns;
    bool sent;  // the settled parts arrived; else they are dropped for `reason`
    enum delivery_reason reason;
};

struct delivery {
    const struct retry_config *retry;  // borrowed, as the next two
    struct delivery_allowance *allowance;
    struct random *random;
    uint64_t started_ns;
    uint64_t interval_ns;          // of the next backoff; 0: the initial one
    struct delivery_part current;  // being sent or waiting
    struct delivery_part pending[DELIVERY_PARTS_MAX];
    uint32_t pending_count;
    struct delivery_part settled[DELIVERY_PARTS_MAX + 1];  // by the last call
    uint32_t settled_count;
    uint32_t item_count;  // 0 until the first split
    uint32_t extra_used, extra_max;
    uint32_t halves_refused, quarters_refused;
};

// A batch that is about to be sent whole for the first time.
void delivery_begin(struct delivery *delivery, const struct retry_config *retry,
                    struct delivery_allowance *allowance, struct random *random, uint64_t now_ns);
// The reply to `current`. Parts whose fate is now known stand in settled[].
struct delivery_step delivery_answer(struct delivery *delivery, const struct delivery_reply *reply,
                                     uint64_t now_ns);
// Cuts `current` in two. `item_count`: of the batch; `borders`: ascending ordinals at which the
// second, third ... input request begins. Answers DELIVERY_SEND, or drops for EXTRA_LIMIT.
struct delivery_step delivery_split(struct delivery *delivery, uint32_t item_count,
                                    const uint32_t *borders, uint32_t border_count,
                                    uint64_t now_ns);
// Drops all that is left.
struct delivery_step delivery_give_up(struct delivery *delivery, enum delivery_reason reason);
// floor(2 * log2(n)) + 8.
uint32_t delivery_extra_max(uint32_t item_count);
