// SPDX-License-Identifier: Apache-2.0
// The exporter `nop`: takes everything and sends nothing, as the Collector's. For pipelines whose
// data only the processors look at, and for backends that take no logs or metrics: agents that
// send them must not see errors. Without a queue or a thread; what is pushed is let go at once.
//
// Bounds: none are needed. Any thread.
#include "exporter/nop.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

struct exporter {
    atomic_uint_fast64_t items;
};

static const struct option options[] = {{0}};

static enum result nop_start(const struct component_env *env, const void *config,
                             struct exporter **exporter, char *why, size_t why_len)
{
    (void)env;
    (void)config;
    (void)why;
    (void)why_len;
    *exporter = calloc(1, sizeof(**exporter));
    CHECK(*exporter != NULL);
    return RESULT_OK;
}

static enum result nop_reserve(struct exporter *exporter, enum signal signal, uint32_t items,
                               size_t bytes, bool own)
{
    (void)exporter;
    (void)signal;
    (void)items;
    (void)bytes;
    (void)own;
    return RESULT_OK;
}

static void nop_release(struct exporter *exporter, size_t bytes, bool own)
{
    (void)exporter;
    (void)bytes;
    (void)own;
}

static void nop_push(struct exporter *exporter, struct parcel_link *link)
{
    struct parcel *parcel = link->parcel;
    atomic_fetch_add_explicit(&exporter->items, parcel->item_count, memory_order_relaxed);
    parcel_unref(&parcel);
}

static void nop_drain(struct exporter *exporter, uint64_t deadline_ns)
{
    (void)exporter;
    (void)deadline_ns;
}

static void nop_status(const struct exporter *exporter, struct exporter_status *status)
{
    *status = (struct exporter_status){
        .sent = atomic_load_explicit(&exporter->items, memory_order_relaxed)};
}

static void nop_free(struct exporter **exporter)
{
    free(*exporter);
    *exporter = NULL;
}

const struct exporter_ops nop_exporter = {
    .kind = {.type = "nop",
             .doc = "Takes everything and sends nothing.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_METRICS | 1U << SIGNAL_LOGS,
             .options = options},
    .start = nop_start,
    .reserve = nop_reserve,
    .release = nop_release,
    .push = nop_push,
    .drain = nop_drain,
    .status = nop_status,
    .free = nop_free,
};
