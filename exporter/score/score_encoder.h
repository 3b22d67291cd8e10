// SPDX-License-Identifier: Apache-2.0
// From a request of SIGNAL_SCORES (proto/score.h) to the body that a backend's score interface
// takes. What is common stands here: which records the sink sends and under which name, grouping by
// target, leaving out what is too old. What differs is a score_form, one for each backend
// (exporter/score/*). The same request gives the same bytes, so that a repetition replaces.
//
// Bounds: SCORE_GROUP_MAX records at a time; the body grows to what its buffer takes. Any thread.
#pragma once

#include "base/compression.h"
#include "base/json_writer.h"
#include "proto/score.h"

#define SCORE_SUFFIX_BYTES_MAX 64
#define SCORE_TEXT_BYTES_MAX 200
#define SCORE_GROUP_MAX 32  // records of one target that are written together

struct score_entry {
    struct score_record record;
    char name[SCORE_NAME_BYTES_MAX];  // under which it is sent
    struct bytes resource;            // payload of the target's Resource
};

struct score_body {  // that is being written
    const struct score_encoder *encoder;
    struct buffer *out;
    struct json_writer json;  // on `out`
};

struct score_form {       // constant
    uint64_t age_ns_max;  // older scores are of no use to the backend; 0: none is
    void (*begin)(struct score_body *body);  // optional, as `end`
    void (*end)(struct score_body *body);
    // Either: each score by itself, or all that stand together of one target.
    void (*record)(struct score_body *body, const struct score_entry *entry);
    void (*target)(struct score_body *body, const struct score_entry *entries, size_t count);
};

struct score_encoder {
    const struct score_form *form;  // NULL: scores pass as they are
    enum score_send send;
    char suffix[SCORE_SUFFIX_BYTES_MAX + 1];
    char application[SCORE_TEXT_BYTES_MAX + 1];  // a form's own text, from a key; may be empty
    enum codec codec;                            // of the body on its way
};

struct score_counts {
    uint32_t sent;
    uint32_t left_out;  // this sink does not send them
    uint32_t late;      // of those that it would: too old for the backend
};

// Appends the body; with counts->sent 0 the body is of no use. RESULT_REJECT: the bytes are no
// request. `now_ns`: wall time.
enum result score_encode(const struct score_encoder *encoder, struct bytes request, uint64_t now_ns,
                         struct buffer *out, struct score_counts *counts) MUST_USE;
