// SPDX-License-Identifier: Apache-2.0
// What became of the items of one exporter: the Collector's counters otelcol_exporter_{sent,
// send_failed, enqueue_failed}_{spans, metric_points, log_records} and Sidejudge's own of
// requests, and the sentence of the last failure. Counting is atomic, from any thread.
#pragma once

#include "base/metrics.h"
#include "exporter/delivery.h"
#include "proto/component.h"

enum tally_kind { TALLY_SENT, TALLY_SEND_FAILED, TALLY_ENQUEUE_FAILED, TALLY_KIND_COUNT };

#define TALLY_ERROR_BYTES 160
#define TALLY_ERROR_WORDS (TALLY_ERROR_BYTES / 8)

struct tally {
    struct metric *items[TALLY_KIND_COUNT][SIGNAL_COUNT];
    struct metric *requests[DELIVERY_CLASS_PERMANENT + 1];  // by enum delivery_class
    struct metric *partial_rejected;
    struct metric *queue_size, *queue_capacity, *in_flight;
    _Atomic uint64_t totals[TALLY_KIND_COUNT];
    // The sentence as words behind a sequence number that is odd while it is being written: one
    // writer, any number of readers, no lock.
    _Atomic uint32_t error_sequence;
    _Atomic uint64_t error_words[TALLY_ERROR_WORDS];
    bool has_error;  // the writer's
};

void tally_init(struct tally *tally, const char *exporter_id);
void tally_count(struct tally *tally, enum tally_kind kind, enum signal signal, uint64_t items);
void tally_request(struct tally *tally, enum delivery_class class);
// Exporter's thread. NULL: the last attempt succeeded.
void tally_set_error(struct tally *tally, const char *text);
// Any thread: the totals and the last error.
void tally_read(const struct tally *tally, struct exporter_status *status);
