// SPDX-License-Identifier: Apache-2.0
// Requests for tests and benchmarks, seeded: the same seed gives the same bytes everywhere.
#pragma once

#include "base/buffer.h"
#include "base/random.h"
#include "proto/otlp.h"
#include "proto/schema.h"

// One ResourceSpans, one ScopeSpans, `count` spans of an RPC service: eight attributes, 180 to 380
// bytes each.
void sample_small_spans(struct buffer *out, unsigned count, uint64_t seed);

// The same with model spans: prompts and answers make up about `span_bytes` of each. Every
// `accents_every`-th word is not ASCII; 0: none.
void sample_llm_spans(struct buffer *out, unsigned count, size_t span_bytes,
                      unsigned accents_every, uint64_t seed);

struct sample_options {
    unsigned depth_max;          // of nested messages; 0: 6
    unsigned fields_max;         // per message; 0: 8
    bool has_unknown_fields;     // also groups, numbers beyond the schema
    bool repeats_singular;       // fields that should come once come twice
    bool pads_varints;           // now and then a varint longer than it need be
    bool has_groups;             // among the unknown fields
};

// A sound message of any type: fields of the schema in random order with random values.
void sample_message(struct buffer *out, enum schema_message type, struct random *random,
                    const struct sample_options *options);
// A sound request of that signal with up to a dozen items in random containers.
void sample_request(struct buffer *out, enum signal signal, struct random *random,
                    const struct sample_options *options);
