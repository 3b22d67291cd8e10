// SPDX-License-Identifier: Apache-2.0
// One scan over the records; what is to be sent gathers until the next record is of another target
// or Resource, then the form writes the group. Refused: sorting, so that records of a target which
// do not stand together would; `evaluation` writes them side by side.
//
// Bounds: one group in memory, on the heap. Any thread.
#include "exporter/score/score_encoder.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/scan.h"

struct encoding {
    struct score_body body;
    struct score_counts *counts;
    uint64_t now_ns;
    bool has_begun;
    size_t count;
    struct score_entry entries[SCORE_GROUP_MAX];
};

static void group_write(struct encoding *encoding)
{
    const struct score_form *form = encoding->body.encoder->form;
    if (encoding->count == 0) {
        return;
    }
    if (!encoding->has_begun && form->begin != NULL) {
        form->begin(&encoding->body);
    }
    encoding->has_begun = true;
    for (size_t i = 0; form->record != NULL && i < encoding->count; i++) {
        form->record(&encoding->body, &encoding->entries[i]);
    }
    if (form->record == NULL) {
        form->target(&encoding->body, encoding->entries, encoding->count);
    }
    encoding->counts->sent += (uint32_t)encoding->count;
    encoding->count = 0;
}

static bool belongs_to_group(const struct encoding *encoding, const struct score_entry *entry)
{
    const struct score_entry *first = &encoding->entries[0];
    return encoding->count < SCORE_GROUP_MAX && first->resource.ptr == entry->resource.ptr &&
           trace_id_equal(&first->record.trace_id, &entry->record.trace_id) &&
           span_id_equal(&first->record.span_id, &entry->record.span_id);
}

static bool is_late(const struct encoding *encoding, const struct score_record *record)
{
    uint64_t age_ns_max = encoding->body.encoder->form->age_ns_max;
    return age_ns_max > 0 && encoding->now_ns > record->end_ns &&
           encoding->now_ns - record->end_ns > age_ns_max;
}

static bool record_take(void *arg, const struct item_view *view)
{
    struct encoding *encoding = arg;
    const struct score_encoder *encoder = encoding->body.encoder;
    struct score_entry entry;
    if (view->fault != SCAN_OK || !score_record_read(view->item, &entry.record) ||
        !score_record_name(&entry.record, encoder->send, bytes_from_text(encoder->suffix),
                           entry.name)) {
        encoding->counts->left_out++;
        return true;
    }
    if (is_late(encoding, &entry.record)) {
        encoding->counts->late++;
        return true;
    }
    entry.resource = view->resource;
    if (encoding->count > 0 && !belongs_to_group(encoding, &entry)) {
        group_write(encoding);
    }
    encoding->entries[encoding->count++] = entry;
    return true;
}

enum result score_encode(const struct score_encoder *encoder, struct bytes request, uint64_t now_ns,
                         struct buffer *out, struct score_counts *counts)
{
    struct scan_report report;
    CHECK(encoder->form != NULL);
    struct encoding *encoding = malloc(sizeof(*encoding));
    CHECK(encoding != NULL);
    *counts = (struct score_counts){0};
    encoding->body = (struct score_body){.encoder = encoder, .out = out};
    json_writer_init(&encoding->body.json, out);
    encoding->counts = counts;
    encoding->now_ns = now_ns;
    encoding->has_begun = false;
    encoding->count = 0;
    enum result result = scan_request(SIGNAL_SCORES, request, 0, record_take, encoding, &report);
    group_write(encoding);
    if (encoding->has_begun && encoder->form->end != NULL) {
        encoder->form->end(&encoding->body);
    }
    free(encoding);
    return result != RESULT_OK ? result : buffer_status(out);
}
