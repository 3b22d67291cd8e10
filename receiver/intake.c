// SPDX-License-Identifier: Apache-2.0
//
// Inflating writes into a scratch buffer that is kept between calls, because a fresh buffer per
// body faults fresh pages; it is a recycled slab to begin with, which the result leaves with when
// it fills it, and which stays when the result is small and is copied. What is being made is
// charged while it grows and the charge is given back just before the slab takes its own, so that
// for a moment too little is charged, never too much. A light call inflates up to the light ceiling
// only: a body that turns out larger is left as it came, and a worker begins anew, having lost at
// most a quarter of a millisecond.
//
// Refused: trusting ISIZE or the zstd frame's content size for choosing the thread (both lie at
// will). Bounds: plain_max on either form, codec_inflate's window, otlp_json's depth. The thread
// that owns the intake.
#include "receiver/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/otlp_json.h"

#define SCRATCH_KEEP ((size_t)512 << 10)

struct intake {
    struct account *account;
    struct batch_home *home;
    struct compressor *compressor;
    struct buffer plain;     // inflated form
    struct buffer protobuf;  // transcoded form
    size_t charged_bytes;    // for both, while they are being made
};

struct intake *intake_new(struct account *account, struct batch_home *home)
{
    struct intake *intake = calloc(1, sizeof *intake);
    CHECK(intake);
    intake->account = account;
    intake->home = home;
    intake->compressor = compressor_new();
    buffer_init(&intake->plain, 0);
    buffer_init(&intake->protobuf, 0);
    return intake;
}

void intake_free(struct intake **intake)
{
    if (*intake) {
        compressor_free((*intake)->compressor);
        buffer_fini(&(*intake)->plain);
        buffer_fini(&(*intake)->protobuf);
        free(*intake);
        *intake = NULL;
    }
}

static bool charge_up_to(void *arg, size_t bytes)
{
    struct intake *intake = arg;
    if (!intake->account || bytes <= intake->charged_bytes) {
        return true;
    }
    if (!account_charge(intake->account, POOL_REQUESTS, bytes - intake->charged_bytes)) {
        return false;
    }
    intake->charged_bytes = bytes;
    return true;
}

static void discharge(struct intake *intake)
{
    if (intake->charged_bytes > 0) {
        account_release(intake->account, POOL_REQUESTS, intake->charged_bytes);
        intake->charged_bytes = 0;
    }
}

static void scratch_ready(struct buffer *scratch, size_t len_max)
{
    if (scratch->capacity > SCRATCH_KEEP) {
        buffer_fini(scratch);
        buffer_init(scratch, len_max);
    }
    buffer_reset(scratch);
    scratch->len_max = len_max;
}

static void explain(struct intake_call *call, const char *sentence)
{
    snprintf(call->reply.message, sizeof call->reply.message, "%s", sentence);
}

static enum result inflate(struct intake *intake, struct intake_call *call, size_t ceiling)
{
    const char *why = "the body cannot be decompressed";
    struct bytes packed = bytes_from(call->body.ptr, call->body.len);
    scratch_ready(&intake->plain, ceiling);
    if (intake->plain.ptr == NULL) {
        size_t hint = codec_inflated_hint(call->codec, packed);
        slab_lend(intake->home, hint < ceiling ? hint + 1 : ceiling + 1, &intake->plain);
    }
    enum result result = codec_inflate(intake->compressor, call->codec, packed, &intake->plain,
                                       charge_up_to, intake, &why);
    if (result == RESULT_TOO_LARGE) {
        explain(call, "request body too large once decompressed");
    } else if (result == RESULT_SHED) {
        explain(call, "no memory for the decompressed body");
    } else if (result != RESULT_OK) {
        explain(call, why);
    }
    return result;
}

static enum result transcode(struct intake *intake, struct intake_call *call, struct bytes json)
{
    scratch_ready(&intake->protobuf, call->plain_max);
    if (!charge_up_to(intake, intake->charged_bytes + json.len)) {
        explain(call, "no memory for the decoded body");
        return RESULT_SHED;
    }
    return otlp_json_to_protobuf(call->signal, json, &intake->protobuf, call->reply.message,
                                 sizeof call->reply.message);
}

// The made form as a slab: handed over when it fills its memory or is large, else copied.
static enum result to_slab(struct intake *intake, struct buffer *made, struct slab *slab)
{
    discharge(intake);
    if (made->len == 0) {
        return RESULT_OK;
    }
    enum result taken = slab_take(intake->home, made, slab);
    if (taken != RESULT_MISSING) {
        return taken;
    }
    if (made->len > INTAKE_LIGHT_BYTES) {
        return slab_adopt(intake->home, made, slab);
    }
    enum result result = slab_grow(intake->home, slab, made->len);
    if (result == RESULT_OK) {
        memcpy(slab->ptr, made->ptr, made->len);
        slab->len = made->len;
    }
    return result;
}

// Seals what was made and lets the sink have it.
static void offer(struct intake_call *call, struct batch_home *home, struct slab *body,
                  struct slab *packed)
{
    struct batch *batch =
        batch_seal(home, call->signal, body, packed, call->codec, call->received_ns);
    batch->metadata = call->metadata;
    call->metadata = NULL;
    struct batch *kept = batch;
    batch_hold(kept);  // its count is wanted when the sink has let go of it
    call->result = call->sink->offer(call->sink, &batch, &call->reply);
    CHECK(!batch);
    call->item_count = kept->item_count;
    batch_release(&kept);
}

static size_t light_ceiling(const struct intake_call *call)
{
    size_t most = call->is_json ? INTAKE_LIGHT_JSON_BYTES : INTAKE_LIGHT_BYTES;
    if (call->codec == CODEC_NONE || call->is_json) {
        return most;
    }
    return call->body.len < most ? most - call->body.len : 0;
}

static bool is_too_heavy(const struct intake_call *call)
{
    size_t ceiling = light_ceiling(call);
    return call->codec == CODEC_NONE ? call->body.len > ceiling
                                     : ceiling == 0 || call->body.len > ceiling;
}

// Makes the protobuf form in `body`; the caller's slab stays where it is.
static enum result decode(struct intake *intake, struct intake_call *call, struct slab *body)
{
    struct bytes json = bytes_from(call->body.ptr, call->body.len);
    if (call->codec != CODEC_NONE) {
        json = buffer_view(&intake->plain);
    }
    if (!call->is_json) {
        return to_slab(intake, &intake->plain, body);
    }
    enum result result = transcode(intake, call, json);
    if (result != RESULT_OK) {
        return result;
    }
    scratch_ready(&intake->plain, 0);
    slab_drop(intake->home, &call->body);
    return to_slab(intake, &intake->protobuf, body);
}

bool intake_run(struct intake *intake, struct intake_call *call, bool is_light)
{
    struct slab body = {NULL, 0, 0};
    call->reply = (struct offer_reply){0};
    call->item_count = 0;
    if (is_light && is_too_heavy(call)) {
        return false;
    }
    call->result = RESULT_OK;
    if (call->codec != CODEC_NONE) {
        size_t ceiling = is_light ? light_ceiling(call) : call->plain_max;
        ceiling = ceiling < call->plain_max ? ceiling : call->plain_max;
        call->result = inflate(intake, call, ceiling);
        if (call->result == RESULT_TOO_LARGE && ceiling < call->plain_max) {
            discharge(intake);
            call->reply = (struct offer_reply){0};
            return false;
        }
    }
    bool is_as_sent = call->codec == CODEC_NONE && !call->is_json;
    if (call->result == RESULT_OK && !is_as_sent) {
        call->result = decode(intake, call, &body);
        if (call->result == RESULT_SHED && call->reply.message[0] == '\0') {
            explain(call, "no memory for the decoded body");
        }
    }
    discharge(intake);
    struct slab *plain = is_as_sent ? &call->body : &body;
    if (call->result == RESULT_OK && plain->len > 0) {  // no items: a success without a batch
        bool has_packed = !is_as_sent && !call->is_json;
        offer(call, intake->home, plain, has_packed ? &call->body : NULL);
    }
    slab_drop(intake->home, &body);
    slab_drop(intake->home, &call->body);
    metadata_release(&call->metadata);
    return true;
}
