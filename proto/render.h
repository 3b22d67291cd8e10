// SPDX-License-Identifier: Apache-2.0
// Plans the bytes that a parcel becomes: one walk over its request that keeps, edits and leaves
// out. parcel.h has what others call. One thread at a time.
#pragma once

#include "proto/parcel.h"
#include "proto/splice.h"

struct render_window {           // which part of the parcel: a cutter's piece, or all
    uint32_t first;              // in: ordinal of the first item wanted
    size_t bytes_max;            // in: SIZE_MAX takes all; else an upper bound of what is planned,
                                 // but for a first item that is larger alone
    uint32_t taken;              // out: items planned
    uint32_t item_count;         // out: the same, for metrics the data points
};

// Adds to an empty splice. What it borrows is the parcel's: the batch's body and the edits.
void render_plan(const struct parcel *parcel, struct render_window *window, struct splice *splice);
