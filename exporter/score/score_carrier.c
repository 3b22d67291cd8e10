// SPDX-License-Identifier: Apache-2.0
// One ResourceSpans per target, so that requests are just these one behind the other. The mark
// sidejudge.carrier keeps the span from being graded, should it come back to us. Refused: a random
// span id, which would make a repetition a second span; and the carrier of `evaluation`, which is
// made of a grade and has every backend's attributes, where this one has one backend's.
//
// Bounds: the target's Resource as it is; the rest is small. Pure; any thread.
#include "exporter/score/score_carrier.h"

#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "proto/attribute.h"

static void id_make(const struct score_entry *entries, size_t count, struct span_id *id)
{
    uint8_t digest[32];
    struct hash_sha256_stream *stream = hash_sha256_begin();
    for (size_t i = 0; i < count; i++) {
        hash_sha256_add(stream, bytes_from_text(entries[i].record.id));
        hash_sha256_add(stream, bytes_from(entries[i].record.span_id.bytes, 8));
    }
    hash_sha256_end(stream, digest);
    memcpy(id->bytes, digest, sizeof(id->bytes));
    if (span_id_is_zero(id)) {
        id->bytes[7] = 1;
    }
}

static void link_write(struct buffer *out, const struct score_record *record)
{
    size_t link = wire_open(out, SPAN_LINKS);
    wire_write_bytes(out, LINK_TRACE_ID, bytes_from(record->trace_id.bytes, 16));
    wire_write_bytes(out, LINK_SPAN_ID, bytes_from(record->span_id.bytes, 8));
    wire_close(out, link);
}

void score_carrier_begin(struct score_carrier *carrier, struct buffer *out,
                         const struct score_entry *entries, size_t count)
{
    const struct score_record *record = &entries[0].record;
    struct span_id id;
    struct buffer name;
    buffer_init(&name, 256);
    buffer_append_text(&name, "evaluation ");
    buffer_append_bytes(&name, utf8_prefix(record->span_name, 128));
    id_make(entries, count, &id);
    carrier->resource = wire_open(out, REQUEST_RESOURCES);
    wire_write_bytes(out, RESOURCE_RESOURCE, entries[0].resource);
    carrier->scopes = wire_open(out, RESOURCE_SCOPES);
    size_t scope = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "sidejudge");
    wire_close(out, scope);
    carrier->span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(record->trace_id.bytes, 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(id.bytes, 8));
    wire_write_bytes(out, SPAN_PARENT_ID, bytes_from(record->span_id.bytes, 8));
    wire_write_bytes(out, SPAN_NAME, buffer_view(&name));
    buffer_fini(&name);
    wire_write_varint(out, SPAN_KIND, SPAN_KIND_INTERNAL);
    wire_write_fixed64(out, SPAN_START, record->end_ns);
    wire_write_fixed64(out, SPAN_END, record->end_ns);
    attribute_write_text(out, SPAN_ATTRIBUTES, "openinference.span.kind",
                         BYTES_LITERAL("EVALUATOR"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.operation.name",
                         BYTES_LITERAL("evaluation"));
    attribute_write_bool(out, SPAN_ATTRIBUTES, "sidejudge.carrier", true);
    link_write(out, record);
    wire_write_fixed32(out, SPAN_FLAGS, SPAN_FLAG_HAS_IS_REMOTE);
}

void score_carrier_end(const struct score_carrier *carrier, struct buffer *out)
{
    wire_close(out, carrier->span);
    wire_close(out, carrier->scopes);
    wire_close(out, carrier->resource);
}
