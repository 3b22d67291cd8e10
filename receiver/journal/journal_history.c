// SPDX-License-Identifier: Apache-2.0
//
// Two short lists and one buffer, kept between entries. Releases ascend by offset and are searched
// by halves; progress records are few (one for each parcel that an entry was split into) and are
// asked one after the other. Refused: sets of offsets per exporter, which would be built for every
// entry, although most have no past at all.
//
// Bounds: the store's 1 MiB per record, HISTORY_BYTES_MAX in all. Journal's thread.
#include "receiver/journal/journal_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/parcel_record.h"

#define HISTORY_BYTES_MAX ((size_t)64 << 20)

void journal_history_init(struct journal_history *history)
{
    memset(history, 0, sizeof(*history));
    memset(history->outlet_of_bit, -1, sizeof(history->outlet_of_bit));
    buffer_init(&history->text, HISTORY_BYTES_MAX);
}

void journal_history_fini(struct journal_history *history)
{
    free(history->releases);
    free(history->progress);
    buffer_fini(&history->text);
}

static struct history_record *record_add(struct history_record **records, size_t *count,
                                         size_t *max)
{
    if (*count == *max) {
        *max = *max > 0 ? *max * 2 : 16;
        *records = realloc(*records, *max * sizeof(**records));
        CHECK(*records != NULL);
    }
    return &(*records)[(*count)++];
}

static void note_release(void *arg, uint32_t item_at, struct bytes edits)
{
    struct journal_history *history = arg;
    *record_add(&history->releases, &history->release_count, &history->release_max) =
        (struct history_record){.item_at = item_at, .at = history->text.len, .len = edits.len};
    buffer_append_bytes(&history->text, edits);
}

static void note_progress(void *arg, unsigned bit, struct bytes what)
{
    struct journal_history *history = arg;
    *record_add(&history->progress, &history->progress_count, &history->progress_max) =
        (struct history_record){.bit = bit, .at = history->text.len, .len = what.len};
    buffer_append_bytes(&history->text, what);
}

enum result journal_history_read(struct journal_history *history, struct journal_store *store,
                                 uint64_t entry)
{
    history->release_count = history->progress_count = 0;
    buffer_reset(&history->text);
    enum result result = journal_store_history(store, entry, note_release, note_progress, history);
    return result == RESULT_OK ? buffer_status(&history->text) : result;
}

static struct bytes text_of(const struct journal_history *history,
                            const struct history_record *record)
{
    return bytes_slice(buffer_view(&history->text), record->at, record->len);
}

static bool any_progress(const struct journal_history *history, unsigned bit, uint32_t item_at)
{
    for (size_t i = 0; i < history->progress_count; i++) {
        const struct history_record *record = &history->progress[i];
        if (record->bit == bit && parcel_places_hold(text_of(history, record), item_at)) {
            return true;
        }
    }
    return false;
}

bool journal_history_released(const struct journal_history *history, uint32_t item_at,
                              struct bytes *edits)
{
    size_t low = 0, high = history->release_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->releases[middle].item_at < item_at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < history->release_count && history->releases[low].item_at == item_at) {
        *edits = text_of(history, &history->releases[low]);
        return true;
    }
    *edits = BYTES_NONE;
    return any_progress(history, HISTORY_BARE, item_at);
}

bool journal_history_delivered(const struct journal_history *history, unsigned outlet,
                               uint32_t item_at)
{
    for (unsigned bit = 0; bit < HISTORY_BARE; bit++) {
        if (history->outlet_of_bit[bit] == (int)outlet) {
            return any_progress(history, bit, item_at);
        }
    }
    return false;
}

bool journal_history_has_progress(const struct journal_history *history, unsigned outlet)
{
    for (size_t i = 0; i < history->progress_count; i++) {
        if (history->outlet_of_bit[history->progress[i].bit & 63] == (int)outlet) {
            return true;
        }
    }
    return false;
}
