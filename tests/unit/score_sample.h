// SPDX-License-Identifier: Apache-2.0
// Score records as `evaluation` writes them, one of each sort, and requests and parcels of them.
#pragma once

#include "proto/score.h"

enum score_sample {
    SAMPLE_NUMERIC,      // judged, plain, passed: helpfulness 0.75
    SAMPLE_BOOLEAN,      // code, plain, passed: json_valid 1
    SAMPLE_CATEGORICAL,  // judged, plain: tone "friendly", no value
    SAMPLE_FAILED,       // code, not picked, failed: no_loop 0
    SAMPLE_TARGETED,     // judged, picked for a reason of its own: helpfulness 0.25, failed
    SAMPLE_ERROR,        // judged, the judge did not answer
    SAMPLE_COUNT
};

#define SCORE_SAMPLE_END_NS UINT64_C(1700000001234567891)

// `seed`: of the target's ids; samples of one seed are of one target.
struct score_record score_sample(enum score_sample which, uint8_t seed);
// A request with `count` records under one Resource.
void score_sample_request(struct buffer *out, const struct score_record *records, size_t count);
// The same as a whole parcel with one link.
struct parcel *score_sample_parcel(const struct score_record *records, size_t count);
