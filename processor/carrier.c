// SPDX-License-Identifier: Apache-2.0
// Writes the carrier span field by field. Its Resource is the target's own, byte for byte, so that
// backends file it under the same service; its parent is the target, so that trace views show it
// nested, while the link, not the parentage, says what it speaks of. Refused: a random span id,
// which would make a repeated delivery a second carrier.
//
// Bounds: those of enrichment.c; the Resource is kept up to 16 KiB. Pure; any thread.
#include "processor/carrier.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "processor/enrichment.h"
#include "proto/attribute.h"

#define ROW_VERSION "1"  // of a target's row; later versions come with re-opening

void carrier_span_id(const struct grade *grade, const struct evaluation_plan *plan,
                     struct span_id *id)
{
    struct buffer text;
    uint8_t digest[32];
    buffer_init(&text, 4096);
    buffer_append(&text, grade->trace_id.bytes, sizeof(grade->trace_id.bytes));
    buffer_append(&text, grade->target.bytes, sizeof(grade->target.bytes));
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        buffer_append_text(&text, plan->evaluators.items[i].name);
        buffer_append_byte(&text, '/');
        buffer_append_text(&text, plan->evaluators.items[i].epoch);
        buffer_append_byte(&text, '|');
    }
    buffer_append_text(&text, ROW_VERSION);
    hash_sha256(buffer_view(&text), digest);
    buffer_fini(&text);
    memcpy(id->bytes, digest, sizeof(id->bytes));
    if (span_id_is_zero(id)) {
        id->bytes[7] = 1;
    }
}

static void write_link(struct buffer *out, const struct grade *grade)
{
    size_t link = wire_open(out, SPAN_LINKS);
    wire_write_bytes(out, LINK_TRACE_ID,
                     bytes_from(grade->trace_id.bytes, sizeof(grade->trace_id.bytes)));
    wire_write_bytes(out, LINK_SPAN_ID,
                     bytes_from(grade->target.bytes, sizeof(grade->target.bytes)));
    wire_close(out, link);
}

static void write_span(struct buffer *out, const struct grade *grade,
                       const struct evaluation_plan *plan)
{
    struct span_id id;
    char name[96];
    carrier_span_id(grade, plan, &id);
    snprintf(name, sizeof(name), "evaluation %s", grade->target_name);
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID,
                     bytes_from(grade->trace_id.bytes, sizeof(grade->trace_id.bytes)));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(id.bytes, sizeof(id.bytes)));
    wire_write_bytes(out, SPAN_PARENT_ID,
                     bytes_from(grade->target.bytes, sizeof(grade->target.bytes)));
    wire_write_text(out, SPAN_NAME, name);
    wire_write_varint(out, SPAN_KIND, SPAN_KIND_INTERNAL);
    wire_write_fixed64(out, SPAN_START, grade->end_ns);
    wire_write_fixed64(out, SPAN_END, grade->end_ns);
    attribute_write_text(out, SPAN_ATTRIBUTES, "openinference.span.kind",
                         BYTES_LITERAL("EVALUATOR"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.operation.name",
                         BYTES_LITERAL("evaluation"));
    attribute_write_bool(out, SPAN_ATTRIBUTES, "sidejudge.carrier", true);
    enrichment_write(out, SPAN_ATTRIBUTES, grade, plan, 0);
    write_link(out, grade);
    // The parent is in this process's telemetry but not in this process.
    wire_write_fixed32(out, SPAN_FLAGS, SPAN_FLAG_HAS_IS_REMOTE);
    wire_close(out, span);
}

void carrier_write(struct buffer *out, const struct grade *grade,
                   const struct evaluation_plan *plan)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    if (grade->resource.len > 0) {
        wire_write_bytes(out, RESOURCE_RESOURCE, grade->resource);
    } else {
        size_t message = wire_open(out, RESOURCE_RESOURCE);
        attribute_write_text(out, RES_ATTRIBUTES, "service.name",
                             bytes_from_text(grade->service_name));
        wire_close(out, message);
    }
    size_t scopes = wire_open(out, RESOURCE_SCOPES);
    size_t scope = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "sidejudge");
    wire_close(out, scope);
    write_span(out, grade, plan);
    wire_close(out, scopes);
    wire_close(out, resource);
}
