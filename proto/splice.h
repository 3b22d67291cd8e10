// SPDX-License-Identifier: Apache-2.0
// A plan of how to put a message together from byte ranges of others: ranges in order, nested under
// length prefixes that are worked out as messages are closed. Nothing is copied until the plan is
// written. Ranges are borrowed until then. One thread at a time.
#pragma once

#include "base/buffer.h"

struct splice_piece {
    const uint8_t *ptr;          // a range; NULL: opens a message of `len` payload bytes
    size_t len;
    uint32_t number;             // the message's field number
};

struct splice {
    struct splice_piece *pieces; // heap
    size_t count, capacity;
    size_t size;                 // bytes that the plan writes
    size_t closed_at;            // pieces before this index are not joined with new ranges
};

struct splice_mark {             // where a message was opened
    size_t count, size, closed_at;
};

void splice_init(struct splice *splice);
void splice_fini(struct splice *splice);
void splice_range(struct splice *splice, struct bytes range);  // joins with the one that it follows
struct splice_mark splice_open(struct splice *splice, uint32_t number);
void splice_close(struct splice *splice, struct splice_mark mark);
void splice_undo(struct splice *splice, struct splice_mark mark);  // as before splice_open
void splice_write(const struct splice *splice, struct buffer *out);  // appends splice->size bytes
