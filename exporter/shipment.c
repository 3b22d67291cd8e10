// SPDX-License-Identifier: Apache-2.0
// The usual shipment never has a cut-up form: its bytes are made once and sent until they arrive.
// Only when a backend wants less is the request scanned into places, and every part from then on
// is a parcel of its own on the flat request, so cutting, rendering and edits have one
// implementation (proto/parcel). A whole batch that was borrowed is its own flat request; merged
// bytes are taken back out of the payload. Refused: rendering the parcels again, which would need
// each of them cut by ordinals.
//
// Bounds: the flat request and its places are charged to POOL_QUEUES. Exporter's thread.
#include "exporter/shipment.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

// --- loading --------------------------------------------------------------------------------

static void borders_note(struct shipment *shipment, const struct packer *packer)
{
    shipment->border_count = 0;
    if (packer->part_count < 2) {
        return;
    }
    if (packer->part_count > shipment->border_max) {
        shipment->border_max = (uint32_t)packer->part_count;
        shipment->borders =
            realloc(shipment->borders, shipment->border_max * sizeof(shipment->borders[0]));
        CHECK(shipment->borders != NULL);
    }
    size_t offset = 0;
    for (size_t i = 0; i + 1 < packer->part_count; i++) {
        offset += packer->parts[i].len;
        shipment->borders[shipment->border_count++] = (uint32_t)offset;
    }
}

static enum result load_links(struct shipment *shipment, struct packer *packer, struct lot *lot,
                              bool force)
{
    struct parcel *first = lot->first->parcel;
    shipment->item_count = 0;
    shipment->border_count = 0;
    if (lot->count == 1 && parcel_is_whole(first) && !packer_encodes(packer, lot->signal)) {
        shipment->payload = packer_borrow(packer, first->batch, force);
        shipment->item_count = first->item_count;
    } else {
        packer_begin(packer, lot->signal);
        for (struct parcel_link *link = lot->first; link != NULL; link = queue_next_link(link)) {
            packer_add(packer, link->parcel);
            shipment->item_count += link->parcel->item_count;
        }
        borders_note(shipment, packer);
        shipment->payload = packer_finish(packer, force);
    }
    if (shipment->payload == NULL) {
        return RESULT_SHED;
    }
    shipment->links = lot->first;
    shipment->link_count = lot->count;
    lot->first = NULL;
    return RESULT_OK;
}

static enum result load_piece(struct shipment *shipment, struct packer *packer, struct queue *queue,
                              struct lot *lot, bool force)
{
    struct parcel_cutter before = *lot->cutter;
    shipment->border_count = 0;
    packer_begin(packer, lot->signal);
    if (!packer_add_piece(packer, lot->cutter, lot->piece_bytes_max, &shipment->item_count)) {
        queue_piece_done(queue, lot);
        return RESULT_MISSING;
    }
    shipment->payload = packer_finish(packer, force);
    if (shipment->payload == NULL) {
        *lot->cutter = before;
        return RESULT_SHED;
    }
    shipment->cut = queue_piece_taken(queue, lot, shipment->item_count);
    return RESULT_OK;
}

enum result shipment_load(struct shipment *shipment, struct packer *packer, struct queue *queue,
                          struct lot *lot, bool force)
{
    CHECK(shipment->state == SHIPMENT_FREE && shipment->payload == NULL);
    shipment->signal = lot->signal;
    return lot->cutter != NULL ? load_piece(shipment, packer, queue, lot, force)
                               : load_links(shipment, packer, lot, force);
}

// --- the cut-up form ------------------------------------------------------------------------

struct place_list {
    struct shipment *shipment;
    uint32_t room;
};

static bool place_count_one(void *arg, const struct item_view *view)
{
    uint32_t *count = arg;
    *count += view->fault == SCAN_OK;
    return true;
}

static bool place_note(void *arg, const struct item_view *view)
{
    struct place_list *list = arg;
    struct shipment *shipment = list->shipment;
    if (view->fault == SCAN_OK && shipment->place_count < list->room) {
        if (shipment->points != NULL) {
            shipment->points[shipment->place_count] = view->point_count;
        }
        shipment->places[shipment->place_count++] = view->place;
    }
    return true;
}

// The payload's identity bytes as a batch.
static struct batch *flat_make(struct shipment *shipment, struct packer *packer)
{
    struct payload *payload = shipment->payload;
    if (payload->batch != NULL) {
        batch_hold(payload->batch);
        return payload->batch;
    }
    if (payload->is_encoded) {
        return batch_make(shipment->signal, buffer_view(&payload->source), 0);
    }
    if (payload->codec == CODEC_NONE) {
        return batch_make(shipment->signal, payload->wire, 0);
    }
    struct buffer plain;
    buffer_init(&plain, payload->plain_bytes);
    const char *why = NULL;
    struct batch *flat = NULL;
    if (codec_inflate(packer->compressor, payload->codec, payload->wire, &plain, NULL, NULL,
                      &why) == RESULT_OK) {
        flat = batch_make(shipment->signal, buffer_view(&plain), 0);
    }
    buffer_fini(&plain);
    return flat;
}

// Offsets become ordinals: a border stands before the first item at or behind it.
static void borders_to_ordinals(struct shipment *shipment)
{
    uint32_t item = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shipment->border_count; i++) {
        while (item < shipment->place_count &&
               shipment->places[item].resource_at < shipment->borders[i]) {
            item++;
        }
        if (item > 0 && item < shipment->place_count &&
            (kept == 0 || shipment->borders[kept - 1] != item)) {
            shipment->borders[kept++] = item;
        }
    }
    shipment->border_count = kept;
}

static enum result places_make(struct shipment *shipment, struct packer *packer)
{
    struct scan_report report;
    uint32_t count = 0;
    if (scan_request(shipment->signal, shipment->flat->body, 0, place_count_one, &count, &report) !=
        RESULT_OK) {
        return RESULT_REJECT;
    }
    bool has_points = shipment->signal == SIGNAL_METRICS;
    size_t bytes = count * (sizeof(struct item_place) + (has_points ? sizeof(uint32_t) : 0));
    bytes += shipment->flat == shipment->payload->batch ? 0 : shipment->flat->body.len;
    if (packer->account != NULL) {
        if (!account_charge(packer->account, POOL_QUEUES, bytes)) {
            return RESULT_SHED;
        }
        shipment->flat_charged_bytes = bytes;
    }
    struct place_list list = {shipment, count};
    shipment->places = calloc(count > 0 ? count : 1, sizeof(struct item_place));
    shipment->points = has_points ? calloc(count > 0 ? count : 1, sizeof(uint32_t)) : NULL;
    CHECK(shipment->places != NULL && (!has_points || shipment->points != NULL));
    return scan_request(shipment->signal, shipment->flat->body, 0, place_note, &list, &report);
}

static void flat_drop(struct shipment *shipment, struct packer *packer)
{
    if (shipment->flat != NULL) {
        batch_release(&shipment->flat);
    }
    if (shipment->flat_charged_bytes > 0) {
        account_release(packer->account, POOL_QUEUES, shipment->flat_charged_bytes);
        shipment->flat_charged_bytes = 0;
    }
    free(shipment->places);
    free(shipment->points);
    shipment->places = NULL;
    shipment->points = NULL;
    shipment->place_count = 0;
}

enum result shipment_flatten(struct shipment *shipment, struct packer *packer)
{
    if (shipment->flat != NULL) {
        return RESULT_OK;
    }
    shipment->flat = flat_make(shipment, packer);
    if (shipment->flat == NULL) {
        return RESULT_REJECT;
    }
    enum result result = places_make(shipment, packer);
    if (result != RESULT_OK) {
        flat_drop(shipment, packer);
        return result;
    }
    borders_to_ordinals(shipment);
    return RESULT_OK;
}

enum result shipment_load_part(struct shipment *shipment, struct packer *packer, bool force)
{
    const struct delivery_part *part = &shipment->delivery.current;
    CHECK(shipment->flat != NULL && part->count > 0);
    CHECK(part->first + part->count <= shipment->place_count);
    if (shipment->payload != NULL) {
        packer_recycle(packer, &shipment->payload);
    }
    batch_hold(shipment->flat);
    struct parcel *parcel =
        parcel_new(shipment->flat, PARCEL_ONLY, shipment->places + part->first, part->count, 0);
    packer_begin(packer, shipment->signal);
    packer_add(packer, parcel);
    shipment->payload = packer_finish(packer, force);
    parcel_unref(&parcel);
    return shipment->payload != NULL ? RESULT_OK : RESULT_SHED;
}

uint32_t shipment_items(const struct shipment *shipment, const struct delivery_part *part)
{
    if (part->count == DELIVERY_ALL) {
        return shipment->item_count;
    }
    if (shipment->points == NULL) {
        return part->count;
    }
    uint32_t points = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        points += shipment->points[part->first + i];
    }
    return points;
}

void shipment_settle(struct shipment *shipment, struct packer *packer, struct queue *queue)
{
    if (shipment->payload != NULL) {
        packer_recycle(packer, &shipment->payload);
    }
    flat_drop(shipment, packer);
    queue_settle(queue, shipment->links);
    if (shipment->cut != NULL) {
        queue_piece_settled(queue, shipment->cut);
        shipment->cut = NULL;
    }
    shipment->links = NULL;
    shipment->link_count = 0;
    shipment->border_count = 0;
    shipment->state = SHIPMENT_FREE;
}

const struct metadata *shipment_metadata(const struct shipment *shipment)
{
    const struct parcel_link *link = shipment->links != NULL ? shipment->links : shipment->cut;
    return link != NULL ? link->parcel->batch->metadata : NULL;
}

void shipment_fini(struct shipment *shipment)
{
    CHECK(shipment->state == SHIPMENT_FREE);
    free(shipment->borders);
    shipment->borders = NULL;
    shipment->border_max = 0;
}
