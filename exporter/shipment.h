// SPDX-License-Identifier: Apache-2.0
// One batch on its way: the parcels that it stands for, the bytes that are being sent, and, once
// the backend wants less at a time, the cut-up form: one flat request and the place of each of its
// items, of which any run can be rendered. Parcels are kept, and their queue bytes with them,
// until the fate of every item is known. Exporter's thread.
#pragma once

#include "base/timers.h"
#include "exporter/delivery.h"
#include "exporter/payload.h"
#include "exporter/queue.h"

struct exporter;

enum shipment_state {
    SHIPMENT_FREE,
    SHIPMENT_READY,  // to be sent as soon as the exporter may
    SHIPMENT_IN_FLIGHT,
    SHIPMENT_WAITING,  // until retry_at_ns
};

struct shipment {
    uint32_t magic;
    enum shipment_state state;
    enum signal signal;
    uint32_t item_count;        // metrics: data points
    struct parcel_link *links;  // by queue_next_link; NULL for a piece of a larger parcel
    struct parcel_link *cut;    // that parcel; else NULL
    uint32_t link_count;
    struct payload *payload;  // of delivery.current
    struct delivery delivery;
    uint64_t retry_at_ns;
    bool is_obliged;  // the backend asked for this wait
    void *call;       // the transport's, while in flight
    struct exporter *exporter;
    // The cut-up form.
    struct batch *flat;
    struct item_place *places;
    uint32_t *points;  // data points per place; NULL unless metrics
    uint32_t place_count;
    size_t flat_charged_bytes;
    // Where input requests begin, but the first: offsets in the body, then ordinals of items.
    uint32_t *borders;
    uint32_t border_count, border_max;
};

// Makes the bytes of a lot; takes its links. RESULT_SHED: POOL_QUEUES refused (never when forced),
// nothing changed; RESULT_MISSING: a cut parcel had no piece left, it was let go.
enum result shipment_load(struct shipment *shipment, struct packer *packer, struct queue *queue,
                          struct lot *lot, bool force) MUST_USE;
// Makes the cut-up form, once, while the payload is still the whole batch. RESULT_SHED: POOL_QUEUES
// refused; RESULT_REJECT: the bytes cannot be taken apart.
enum result shipment_flatten(struct shipment *shipment, struct packer *packer) MUST_USE;
// Makes the bytes of delivery.current from the cut-up form. RESULT_SHED as above.
enum result shipment_load_part(struct shipment *shipment, struct packer *packer,
                               bool force) MUST_USE;
// Items (metrics: data points) of a part.
uint32_t shipment_items(const struct shipment *shipment, const struct delivery_part *part);
// Lets everything go: parcels, bytes, the cut-up form. The state is SHIPMENT_FREE again.
// The memory of `borders` is kept until shipment_fini.
void shipment_settle(struct shipment *shipment, struct packer *packer, struct queue *queue);
// Of what it stands for; NULL: none. Valid until it is settled.
const struct metadata *shipment_metadata(const struct shipment *shipment);
void shipment_fini(struct shipment *shipment);
