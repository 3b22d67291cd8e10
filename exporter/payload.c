// SPDX-License-Identifier: Apache-2.0
// A body is a list of parts: whole parcels are views of their batches, the rest is rendered one
// behind the other into `plain`. With a codec the compressor reads the parts where they are;
// without one they are gathered into the payload, and a single whole part is not even that.
// Refused: handing the parts to the transport as a vector, since neither libcurl nor a retry
// after the batches are gone can use it.
//
// An encoded body is a part of its own that stands in for those that it was made of.
//
// Bounds: what POOL_QUEUES grants; up to 16 idle payloads of at most 256 KiB are kept.
// Thread: the exporter's, except payload_hold and payload_release.
#include "exporter/payload.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define PAYLOAD_MAGIC MAGIC('P', 'A', 'Y', 'L')
#define FREE_MAX 16
#define FREE_BYTES_MAX ((size_t)256 << 10)
#define PLAIN_KEPT_BYTES ((size_t)1 << 20)
#define BODY_BYTES_MAX ((size_t)1 << 31)  // what the scanner takes
#define PART_ELSEWHERE SIZE_MAX

void payload_hold(struct payload *payload)
{
    CHECK(payload->magic == PAYLOAD_MAGIC);
    atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);
}

static void payload_uncharge(struct payload *payload)
{
    if (payload->account != NULL && payload->charged_bytes > 0) {
        account_release(payload->account, POOL_QUEUES, payload->charged_bytes);
    }
    payload->charged_bytes = 0;
}

static void payload_free(struct payload *payload)
{
    if (payload->batch != NULL) {
        batch_release(&payload->batch);
    }
    payload_uncharge(payload);
    buffer_fini(&payload->buffer);
    buffer_fini(&payload->source);
    payload->magic = 0;
    free(payload);
}

void payload_release(struct payload **payload)
{
    struct payload *gone = *payload;
    *payload = NULL;
    CHECK(gone->magic == PAYLOAD_MAGIC);
    if (atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) == 1) {
        payload_free(gone);
    }
}

void packer_init(struct packer *packer, enum codec codec, const struct score_encoder *encoder,
                 struct account *account)
{
    *packer = (struct packer){.codec = codec, .account = account};
    if (encoder != NULL) {
        packer->encoder = *encoder;
    }
    packer->compressor = compressor_new();
    buffer_init(&packer->plain, BODY_BYTES_MAX);
    buffer_init(&packer->encoded, BODY_BYTES_MAX);
}

void packer_fini(struct packer *packer)
{
    while (packer->free != NULL) {
        struct payload *payload = packer->free;
        packer->free = payload->next_free;
        payload_free(payload);
    }
    compressor_free(packer->compressor);
    buffer_fini(&packer->plain);
    buffer_fini(&packer->encoded);
    free(packer->parts);
    free(packer->offsets);
    *packer = (struct packer){0};
}

// A payload with one reference; from the free list, its buffer's memory kept and charged.
static struct payload *payload_new(struct packer *packer)
{
    struct payload *payload = packer->free;
    if (payload != NULL) {
        packer->free = payload->next_free;
        packer->free_count--;
    } else {
        payload = calloc(1, sizeof(*payload));
        CHECK(payload != NULL);
        payload->magic = PAYLOAD_MAGIC;
        payload->account = packer->account;
        buffer_init(&payload->buffer, BODY_BYTES_MAX);
        buffer_init(&payload->source, BODY_BYTES_MAX);
    }
    atomic_store_explicit(&payload->references, 1, memory_order_relaxed);
    payload->next_free = NULL;
    payload->codec = CODEC_NONE;
    payload->wire = BYTES_NONE;
    payload->plain_bytes = 0;
    payload->is_encoded = false;
    payload->scores = (struct score_counts){0};
    return payload;
}

void packer_recycle(struct packer *packer, struct payload **payload)
{
    struct payload *back = *payload;
    bool is_last = atomic_load_explicit(&back->references, memory_order_acquire) == 1;
    if (!is_last || packer->free_count >= FREE_MAX || back->buffer.capacity > FREE_BYTES_MAX) {
        payload_release(payload);
        return;
    }
    *payload = NULL;
    if (back->batch != NULL) {
        batch_release(&back->batch);
    }
    buffer_reset(&back->buffer);
    buffer_fini(&back->source);
    buffer_init(&back->source, BODY_BYTES_MAX);
    back->next_free = packer->free;
    packer->free = back;
    packer->free_count++;
}

// Brings the charge to `bytes`; false: refused, unless forced.
static bool payload_charge(struct payload *payload, size_t bytes, bool force)
{
    if (payload->account == NULL) {
        return true;
    }
    if (bytes > payload->charged_bytes) {
        size_t more = bytes - payload->charged_bytes;
        if (account_charge(payload->account, POOL_QUEUES, more)) {
            payload->charged_bytes = bytes;
            return true;
        }
        return force;
    }
    account_release(payload->account, POOL_QUEUES, payload->charged_bytes - bytes);
    payload->charged_bytes = bytes;
    return true;
}

// --- gathering ------------------------------------------------------------------------------

static void buffer_recycle(struct buffer *buffer)
{
    if (buffer->capacity > PLAIN_KEPT_BYTES) {
        buffer_fini(buffer);
        buffer_init(buffer, BODY_BYTES_MAX);
    }
    buffer_reset(buffer);
}

bool packer_encodes(const struct packer *packer, enum signal signal)
{
    return signal == SIGNAL_SCORES && packer->encoder.form != NULL;
}

void packer_begin(struct packer *packer, enum signal signal)
{
    packer->part_count = 0;
    packer->encodes = packer_encodes(packer, signal);
    packer->whole = NULL;
    buffer_recycle(&packer->plain);
    buffer_recycle(&packer->encoded);
}

static void part_add(struct packer *packer, struct bytes view, size_t offset)
{
    if (packer->part_count == packer->part_max) {
        packer->part_max = packer->part_max > 0 ? packer->part_max * 2 : 64;
        packer->parts = realloc(packer->parts, packer->part_max * sizeof(packer->parts[0]));
        packer->offsets = realloc(packer->offsets, packer->part_max * sizeof(size_t));
        CHECK(packer->parts != NULL && packer->offsets != NULL);
    }
    packer->parts[packer->part_count] = view;
    packer->offsets[packer->part_count++] = offset;
}

void packer_add(struct packer *packer, const struct parcel *parcel)
{
    if (parcel_is_whole(parcel)) {
        packer->whole = packer->part_count == 0 ? parcel->batch : NULL;
        part_add(packer, parcel->batch->body, PART_ELSEWHERE);
        return;
    }
    size_t offset = packer->plain.len;
    parcel_render(parcel, &packer->plain);
    part_add(packer, (struct bytes){NULL, packer->plain.len - offset}, offset);
}

bool packer_add_piece(struct packer *packer, struct parcel_cutter *cutter, size_t bytes_max,
                      uint32_t *item_count)
{
    size_t offset = packer->plain.len;
    if (!parcel_cutter_next(cutter, bytes_max, &packer->plain, item_count)) {
        return false;
    }
    part_add(packer, (struct bytes){NULL, packer->plain.len - offset}, offset);
    return true;
}

size_t packer_plain_bytes(const struct packer *packer)
{
    size_t bytes = 0;
    for (size_t i = 0; i < packer->part_count; i++) {
        bytes += packer->parts[i].len;
    }
    return bytes;
}

// Views into `plain` stand still from here on.
static void parts_settle(struct packer *packer)
{
    for (size_t i = 0; i < packer->part_count; i++) {
        if (packer->offsets[i] != PART_ELSEWHERE) {
            packer->parts[i].ptr = packer->plain.ptr + packer->offsets[i];
            packer->offsets[i] = PART_ELSEWHERE;
        }
    }
}

// Puts the encoded body in the place of the parts, and keeps what it was made of.
static bool encode_parts(struct packer *packer, struct payload *payload)
{
    struct bytes request = packer->parts[0];
    payload->is_encoded = true;
    if (packer->part_count == 1 && packer->whole != NULL) {
        payload->batch = packer->whole;
        batch_hold(payload->batch);
    } else {
        for (size_t i = 0; i < packer->part_count; i++) {
            buffer_append_bytes(&payload->source, packer->parts[i]);
        }
        request = buffer_view(&payload->source);
    }
    if (buffer_status(&payload->source) != RESULT_OK ||
        score_encode(&packer->encoder, request, clock_wall_ns(), &packer->encoded,
                     &payload->scores) != RESULT_OK) {
        return false;
    }
    packer->part_count = 0;
    part_add(packer, buffer_view(&packer->encoded), PART_ELSEWHERE);
    return true;
}

static bool pack_parts(struct packer *packer, struct payload *payload, bool force)
{
    enum codec codec = payload->is_encoded ? packer->encoder.codec : packer->codec;
    size_t plain = payload->plain_bytes;
    size_t room = plain + plain / 8 + 1024 + payload->source.capacity;
    if (!payload_charge(payload, room > payload->buffer.capacity ? room : payload->buffer.capacity,
                        force)) {
        return false;
    }
    payload->codec = plain < PAYLOAD_PLAIN_BELOW ? CODEC_NONE : codec;
    if (payload->codec != CODEC_NONE &&
        codec_deflate(packer->compressor, payload->codec, packer->parts, packer->part_count,
                      &payload->buffer) != RESULT_OK) {
        buffer_reset(&payload->buffer);
        payload->codec = CODEC_NONE;
    }
    for (size_t i = 0; payload->codec == CODEC_NONE && i < packer->part_count; i++) {
        buffer_append_bytes(&payload->buffer, packer->parts[i]);
    }
    payload->wire = buffer_view(&payload->buffer);
    bool is_sound = buffer_status(&payload->buffer) == RESULT_OK;
    (void)payload_charge(payload, payload->buffer.capacity + payload->source.capacity, true);
    return is_sound;
}

struct payload *packer_finish(struct packer *packer, bool force)
{
    CHECK(packer->part_count > 0);
    parts_settle(packer);
    struct payload *payload = payload_new(packer);
    bool is_sound = buffer_status(&packer->plain) == RESULT_OK &&
                    (!packer->encodes || encode_parts(packer, payload));
    payload->plain_bytes = packer_plain_bytes(packer);
    if (!is_sound || !pack_parts(packer, payload, force)) {
        packer_recycle(packer, &payload);
    }
    return payload;
}

struct payload *packer_borrow(struct packer *packer, struct batch *batch, bool force)
{
    bool as_packed = packer->codec != CODEC_NONE && batch->packed_codec == packer->codec &&
                     batch->packed.len > 0;
    CHECK(!packer_encodes(packer, batch->signal));
    if (!as_packed && packer->codec != CODEC_NONE && batch->body.len >= PAYLOAD_PLAIN_BELOW) {
        packer_begin(packer, batch->signal);
        part_add(packer, batch->body, PART_ELSEWHERE);
        return packer_finish(packer, force);
    }
    struct payload *payload = payload_new(packer);
    payload->codec = as_packed ? packer->codec : CODEC_NONE;
    payload->wire = as_packed ? batch->packed : batch->body;
    payload->plain_bytes = batch->body.len;
    payload->batch = batch;
    batch_hold(batch);
    return payload;
}
