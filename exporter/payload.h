// SPDX-License-Identifier: Apache-2.0
// The bytes of one request on their way out, and the packer that makes them: a whole batch is
// borrowed as it is, everything else is rendered and compressed into recycled memory that is
// charged to POOL_QUEUES. Scores go through an encoder first (exporter/score), if there is one:
// then the bytes are the backend's own form, and the request that they were made of is kept beside
// them for being cut up. A payload is counted: a transport whose library reads the bytes on threads
// of its own holds it until they are done, and that last release is atomic and touches nothing else
// of ours. The packer belongs to the exporter's thread.
#pragma once

#include "base/account.h"
#include "base/compression.h"
#include "exporter/score/score_encoder.h"
#include "proto/parcel.h"

#define PAYLOAD_PLAIN_BELOW 1024  // smaller bodies are not worth compressing

struct payload {
    uint32_t magic;
    enum codec codec;     // of `wire`; CODEC_NONE below PAYLOAD_PLAIN_BELOW
    struct bytes wire;    // what is sent
    size_t plain_bytes;   // its size in identity coding
    struct batch *batch;  // borrowed from, one view; NULL: `wire` stands in `buffer`
    struct buffer buffer;
    // Encoded scores: of `batch` if that is there, else of `source`.
    bool is_encoded;
    struct buffer source;
    struct score_counts scores;  // sent 0: there is nothing to send
    struct account *account;     // charged with charged_bytes; may be NULL
    size_t charged_bytes;
    atomic_uint references;
    struct payload *next_free;  // the packer's
};

void payload_hold(struct payload *payload);
// Any thread; nulls. The last one frees.
void payload_release(struct payload **payload);

struct packer {
    enum codec codec;
    struct score_encoder encoder;  // form NULL: none
    bool encodes;                  // the body that is being packed is of scores, for the encoder
    struct batch *whole;           // the first part's, when that is a whole batch; borrowed
    struct buffer encoded;
    struct account *account;
    struct compressor *compressor;
    struct buffer plain;  // rendered parts on their way into the compressor
    struct bytes *parts;  // of the body that is being packed
    size_t part_count, part_max;
    size_t *offsets;  // of parts that stand in `plain`; SIZE_MAX: a view elsewhere
    struct payload *free;
    unsigned free_count;
};

// `encoder`: copied; NULL: none.
void packer_init(struct packer *packer, enum codec codec, const struct score_encoder *encoder,
                 struct account *account);
void packer_fini(struct packer *packer);

// The batch as it came (never of a signal that is encoded), in the packer's codec if it has it,
// else in identity coding compressed. `verbatim`: borrow the packed bytes. All of these: NULL when
// POOL_QUEUES refuses, unless `force`.
struct payload *packer_borrow(struct packer *packer, struct batch *batch, bool force);
bool packer_encodes(const struct packer *packer, enum signal signal);
// Starts a body; then add parcels or pieces, then finish.
void packer_begin(struct packer *packer, enum signal signal);
void packer_add(struct packer *packer, const struct parcel *parcel);
// The next piece of a cut parcel; false when nothing is left.
bool packer_add_piece(struct packer *packer, struct parcel_cutter *cutter, size_t bytes_max,
                      uint32_t *item_count);
size_t packer_plain_bytes(const struct packer *packer);
struct payload *packer_finish(struct packer *packer, bool force);
// Takes a payload back on the exporter's thread and keeps its memory when nobody else reads it.
void packer_recycle(struct packer *packer, struct payload **payload);
