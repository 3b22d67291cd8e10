// SPDX-License-Identifier: Apache-2.0
// Series are made once per exporter, so that counting is one relaxed add. Every series exists from
// the start, at zero, as the Collector's do not: an alert on send_failed needs no "or vector(0)".
//
// Bounds: three kinds by four signals and five outcomes per exporter. Any thread, except where
// the header says otherwise.
#include "exporter/tally.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ITEM_FAMILIES(kind, words)                                                                 \
    {                                                                                              \
        [SIGNAL_TRACES] = {.name = "otelcol_exporter_" kind "_spans",                              \
                           .type = METRIC_COUNTER,                                                 \
                           .help = "Spans " words,                                                 \
                           .labels = {"exporter"}},                                                \
        [SIGNAL_METRICS] = {.name = "otelcol_exporter_" kind "_metric_points",                     \
                            .type = METRIC_COUNTER,                                                \
                            .help = "Metric points " words,                                        \
                            .labels = {"exporter"}},                                               \
        [SIGNAL_LOGS] = {.name = "otelcol_exporter_" kind "_log_records",                          \
                         .type = METRIC_COUNTER,                                                   \
                         .help = "Log records " words,                                             \
                         .labels = {"exporter"}},                                                  \
        [SIGNAL_SCORES] = {.name = "sidejudge_exporter_" kind "_scores_total",                     \
                           .type = METRIC_COUNTER,                                                 \
                           .help = "Scores " words,                                                \
                           .labels = {"exporter"}},                                                \
    }

static const struct metric_family item_families[TALLY_KIND_COUNT][SIGNAL_COUNT] = {
    [TALLY_SENT] = ITEM_FAMILIES("sent", "that the backend accepted."),
    [TALLY_SEND_FAILED] = ITEM_FAMILIES("send_failed", "that were dropped after sending failed."),
    [TALLY_ENQUEUE_FAILED] =
        ITEM_FAMILIES("enqueue_failed", "that the sending queue had no room for."),
};

static const struct metric_family request_family = {
    .name = "sidejudge_exporter_requests_total",
    .type = METRIC_COUNTER,
    .help = "Requests sent, by what the answer meant.",
    .labels = {"exporter", "outcome"},
};
static const struct metric_family partial_family = {
    .name = "sidejudge_exporter_partial_rejected_total",
    .type = METRIC_COUNTER,
    .help = "Items that backends left out of requests that they accepted (partial success).",
    .labels = {"exporter"},
};
static const struct metric_family queue_size_family = {
    .name = "otelcol_exporter_queue_size",
    .type = METRIC_GAUGE,
    .help = "Bytes that the sending queue and the requests in flight hold.",
    .labels = {"exporter"},
};
static const struct metric_family queue_capacity_family = {
    .name = "otelcol_exporter_queue_capacity",
    .type = METRIC_GAUGE,
    .help = "Bytes that the sending queue may hold.",
    .labels = {"exporter"},
};
static const struct metric_family in_flight_family = {
    .name = "otelcol_exporter_in_flight_requests",
    .type = METRIC_GAUGE,
    .help = "Requests that wait for an answer.",
    .labels = {"exporter"},
};

static const char *const outcome_labels[] = {
    [DELIVERY_CLASS_SUCCESS] = "success",     [DELIVERY_CLASS_RETRY] = "retry",
    [DELIVERY_CLASS_TOO_LARGE] = "too_large", [DELIVERY_CLASS_REFUSED] = "refused",
    [DELIVERY_CLASS_PERMANENT] = "permanent",
};

void tally_init(struct tally *tally, const char *exporter_id)
{
    memset(tally, 0, sizeof(*tally));
    for (unsigned kind = 0; kind < TALLY_KIND_COUNT; kind++) {
        for (unsigned signal = 0; signal < SIGNAL_COUNT; signal++) {
            tally->items[kind][signal] = metric_series(&item_families[kind][signal], &exporter_id);
        }
    }
    for (unsigned class = 0; class <= DELIVERY_CLASS_PERMANENT; class ++) {
        const char *const values[] = {exporter_id, outcome_labels[class]};
        tally->requests[class] = metric_series(&request_family, values);
    }
    tally->partial_rejected = metric_series(&partial_family, &exporter_id);
    tally->queue_size = metric_series(&queue_size_family, &exporter_id);
    tally->queue_capacity = metric_series(&queue_capacity_family, &exporter_id);
    tally->in_flight = metric_series(&in_flight_family, &exporter_id);
}

void tally_count(struct tally *tally, enum tally_kind kind, enum signal signal, uint64_t items)
{
    if (items > 0) {
        metric_add(tally->items[kind][signal], items);
        atomic_fetch_add_explicit(&tally->totals[kind], items, memory_order_relaxed);
    }
}

void tally_request(struct tally *tally, enum delivery_class class)
{
    metric_add(tally->requests[class], 1);
}

void tally_set_error(struct tally *tally, const char *text)
{
    if (text == NULL && !tally->has_error) {
        return;
    }
    tally->has_error = text != NULL;
    char copy[TALLY_ERROR_BYTES] = {0};
    if (text != NULL) {
        snprintf(copy, sizeof(copy), "%s", text);
    }
    uint32_t sequence = atomic_load_explicit(&tally->error_sequence, memory_order_relaxed);
    atomic_store_explicit(&tally->error_sequence, sequence + 1, memory_order_seq_cst);
    for (size_t i = 0; i < TALLY_ERROR_WORDS; i++) {
        uint64_t word;
        memcpy(&word, copy + i * 8, 8);
        atomic_store_explicit(&tally->error_words[i], word, memory_order_seq_cst);
    }
    atomic_store_explicit(&tally->error_sequence, sequence + 2, memory_order_seq_cst);
}

static void error_read(const struct tally *tally, char out[TALLY_ERROR_BYTES])
{
    for (unsigned tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load_explicit(&tally->error_sequence, memory_order_seq_cst);
        for (size_t i = 0; i < TALLY_ERROR_WORDS; i++) {
            uint64_t word = atomic_load_explicit(&tally->error_words[i], memory_order_seq_cst);
            memcpy(out + i * 8, &word, 8);
        }
        if (before % 2 == 0 &&
            before == atomic_load_explicit(&tally->error_sequence, memory_order_seq_cst)) {
            return;
        }
    }
    snprintf(out, TALLY_ERROR_BYTES, "failing");  // it changes faster than it can be read
}

void tally_read(const struct tally *tally, struct exporter_status *status)
{
    const memory_order order = memory_order_relaxed;
    status->sent = atomic_load_explicit(&tally->totals[TALLY_SENT], order);
    status->send_failed = atomic_load_explicit(&tally->totals[TALLY_SEND_FAILED], order);
    status->enqueue_failed = atomic_load_explicit(&tally->totals[TALLY_ENQUEUE_FAILED], order);
    static_assert(sizeof(status->last_error) == TALLY_ERROR_BYTES, "one size for the sentence");
    error_read(tally, status->last_error);
}
