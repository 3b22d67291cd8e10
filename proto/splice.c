// SPDX-License-Identifier: Apache-2.0
//
// The plan is a flat array: opening a message adds a piece whose length is filled in on closing, so
// one walk over a request settles all sizes, and writing is a run of copies into memory that was
// reserved once. Neighbouring ranges join, so what is untouched is copied in one piece however many
// items it has. Refused: iovecs handed to the socket (exporters frame, compress and retry, so they
// want one body), and sizing in a walk of its own. Bounds: pieces are at most three for each field
// that is stepped on; out of memory is a failed check. One thread.
#include "proto/splice.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/wire.h"

enum { CAPACITY_MIN = 64 };

void splice_init(struct splice *splice)
{
    *splice = (struct splice){0};
}

void splice_fini(struct splice *splice)
{
    free(splice->pieces);
    *splice = (struct splice){0};
}

static void piece_add(struct splice *splice, const uint8_t *ptr, size_t len, uint32_t number)
{
    if (splice->count == splice->capacity) {
        splice->capacity = splice->capacity > 0 ? splice->capacity * 2 : CAPACITY_MIN;
        splice->pieces = realloc(splice->pieces, splice->capacity * sizeof *splice->pieces);
        CHECK(splice->pieces != NULL);
    }
    splice->pieces[splice->count++] = (struct splice_piece){ptr, len, number};
}

void splice_range(struct splice *splice, struct bytes range)
{
    if (range.len == 0) {
        return;
    }
    CHECK(range.ptr != NULL);
    splice->size += range.len;
    if (splice->count > splice->closed_at) {
        struct splice_piece *last = &splice->pieces[splice->count - 1];
        if (last->ptr + last->len == range.ptr) {
            last->len += range.len;
            return;
        }
    }
    piece_add(splice, range.ptr, range.len, 0);
}

struct splice_mark splice_open(struct splice *splice, uint32_t number)
{
    CHECK(number > 0);
    struct splice_mark mark = {splice->count, splice->size, splice->closed_at};
    piece_add(splice, NULL, 0, number);
    splice->closed_at = splice->count;
    return mark;
}

static size_t frame_size(uint32_t number, size_t len)
{
    return wire_varint_size((uint64_t)number << 3) + wire_varint_size(len);
}

void splice_close(struct splice *splice, struct splice_mark mark)
{
    CHECK(mark.count < splice->count);
    struct splice_piece *opened = &splice->pieces[mark.count];
    CHECK(opened->ptr == NULL && opened->number > 0);
    opened->len = splice->size - mark.size;
    splice->size += frame_size(opened->number, opened->len);
    splice->closed_at = splice->count;
}

void splice_undo(struct splice *splice, struct splice_mark mark)
{
    CHECK(mark.count <= splice->count);
    splice->count = mark.count;
    splice->size = mark.size;
    splice->closed_at = mark.closed_at;
}

void splice_write(const struct splice *splice, struct buffer *out)
{
    uint8_t *start = buffer_reserve(out, splice->size);
    if (start == NULL) {
        return;
    }
    uint8_t *at = start;
    for (size_t i = 0; i < splice->count; i++) {
        const struct splice_piece *piece = &splice->pieces[i];
        if (piece->ptr != NULL) {
            memcpy(at, piece->ptr, piece->len);
            at += piece->len;
        } else {
            at = wire_put_varint(at, (uint64_t)piece->number << 3 | WIRE_LEN);
            at = wire_put_varint(at, piece->len);
        }
    }
    CHECK((size_t)(at - start) == splice->size);
    buffer_commit(out, splice->size);
}
