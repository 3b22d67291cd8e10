// SPDX-License-Identifier: Apache-2.0
// What the store says of one entry's items, read once when the entry is handed on again: which left
// already and with which edits, and which each exporter has. Copies; bounded by what the store
// gives. Journal's thread.
#pragma once

#include "base/buffer.h"
#include "receiver/journal/journal_store.h"

#define HISTORY_BARE 63  // the bit of progress records that name items which left without edits

struct history_record {
    unsigned bit;      // progress
    uint32_t item_at;  // release
    size_t at, len;    // into text
};

struct journal_history {
    struct history_record *releases, *progress;
    size_t release_count, progress_count, release_max, progress_max;
    struct buffer text;
    // By the store's bit: the process's outlet, or -1.
    int8_t outlet_of_bit[64];
};

void journal_history_init(struct journal_history *history);
void journal_history_fini(struct journal_history *history);
// Forgets the last entry and reads this one's.
enum result journal_history_read(struct journal_history *history, struct journal_store *store,
                                 uint64_t entry) MUST_USE;

// Left already, with these edits (parcel_record.h; empty: bare); false: it has not left.
bool journal_history_released(const struct journal_history *history, uint32_t item_at,
                              struct bytes *edits);
bool journal_history_delivered(const struct journal_history *history, unsigned outlet,
                               uint32_t item_at);
// Whether this outlet has some of its items.
bool journal_history_has_progress(const struct journal_history *history, unsigned outlet);
