// SPDX-License-Identifier: Apache-2.0
//
// Views of items. The span has a reader of its own, because spans are the hot path: one switch on
// the tag, attributes recognised by message_is_usual_pair, everything unusual handed to
// message_validate; compiled twice, with and without validation. Log records and metrics are
// validated by the schema first and read for their few members after that. Singular fields that
// come twice: the last wins, and of a Status each member does, as merging messages says. Refused:
// decoding attributes into an array (walks are cheap, and most items are never looked at again).
// Pure; any thread.
#include "proto/item.h"

#include "base/check.h"
#include "proto/message.h"

#define INLINE static inline __attribute__((always_inline))

static const uint8_t *id_or_null(struct bytes id, size_t len)
{
    uint64_t words[2] = {0, 0};
    if (id.len != len) {
        return NULL;
    }
    memcpy(words, id.ptr, len);
    return (words[0] | words[1]) != 0 ? id.ptr : NULL;
}

INLINE enum scan_fault id_read(struct wire *wire, size_t len, enum scan_fault otherwise,
                               const uint8_t **id)
{
    struct bytes payload;
    enum scan_fault fault = message_payload(wire, &payload);
    if (fault != SCAN_OK) {
        return fault;
    }
    *id = id_or_null(payload, len);
    return payload.len == len || payload.len == 0 ? SCAN_OK : otherwise;
}

INLINE enum scan_fault text_read(struct wire *wire, unsigned flags, struct bytes *text)
{
    struct bytes payload;
    enum scan_fault fault = message_payload(wire, &payload);
    if (fault != SCAN_OK) {
        return fault;
    }
    *text = payload;
    bool is_sound =
        (flags & SCAN_CHECK_UTF8) == 0 || message_text_is_sound(payload.ptr, payload.len);
    return is_sound ? SCAN_OK : SCAN_UTF8;
}

INLINE enum scan_fault enum_read(struct wire *wire, uint32_t *value)
{
    uint64_t wide = 0;
    enum scan_fault fault = message_varint(wire, &wide);
    if (fault == SCAN_OK) {
        *value = (uint32_t)wide;  // as protobuf says: the low 32 bits
    }
    return fault;
}

static enum scan_fault nested_fault(enum scan_fault fault)
{
    bool is_framing = fault == SCAN_TRUNCATED || fault == SCAN_FIELD_NUMBER || fault == SCAN_VARINT;
    return is_framing ? SCAN_NESTED : fault;
}

// A nested message that the view only counts; `range` grows to hold its whole field.
INLINE enum scan_fault nested_read(struct wire *wire, const uint8_t *start,
                                   enum schema_message type, enum item_trust trust, unsigned flags,
                                   struct bytes *range, uint32_t *count)
{
    struct bytes payload;
    enum scan_fault fault = message_payload(wire, &payload);
    if (fault != SCAN_OK) {
        return fault;
    }
    if (trust == ITEM_UNTRUSTED) {
        fault = nested_fault(message_validate(type, payload, flags, 2));
    }
    range->ptr = range->ptr != NULL ? range->ptr : start;
    range->len = (size_t)(wire->ptr - range->ptr);
    (*count)++;
    return fault;
}

// The same for an attribute, whose usual shape is recognised here and leaves a trace of its key.
INLINE enum scan_fault attribute_read(struct wire *wire, const uint8_t *start,
                                      enum item_trust trust, unsigned flags, struct item_view *view)
{
    struct bytes payload;
    enum scan_fault fault = message_payload(wire, &payload);
    if (fault != SCAN_OK) {
        return fault;
    }
    if (trust == ITEM_UNTRUSTED && message_is_usual_pair(payload.ptr, wire->ptr, flags)) {
        view->key_heads |= item_key_head(payload.ptr[2], payload.ptr[3]);
    } else if (trust == ITEM_UNTRUSTED) {
        fault = nested_fault(message_validate(SCHEMA_KEY_VALUE, payload, flags, 2));
        view->key_heads = UINT64_MAX;  // any key
    }
    view->attributes.ptr = view->attributes.ptr != NULL ? view->attributes.ptr : start;
    view->attributes.len = (size_t)(wire->ptr - view->attributes.ptr);
    view->attribute_count++;
    return fault;
}

// Status.code; its message is only checked. An empty Status, which some SDKs send, changes nothing.
static enum scan_fault status_read(struct wire *wire, enum item_trust trust, unsigned flags,
                                   uint32_t *status)
{
    struct bytes payload;
    enum scan_fault fault = message_payload(wire, &payload);
    if (fault != SCAN_OK || payload.len == 0) {
        return fault;
    }
    if (trust == ITEM_UNTRUSTED) {
        fault = nested_fault(message_validate(SCHEMA_STATUS, payload, flags, 2));
    }
    struct wire inner = wire_of(payload);
    struct wire_field field;
    while (fault == SCAN_OK && wire_next(&inner, &field)) {
        if (field.number == STATUS_CODE && field.type == WIRE_VARINT) {
            *status = (uint32_t)field.value;
        }
    }
    return fault;
}

// What the span reader's switch does not name: an unknown field, or a known one of a wrong type.
static enum scan_fault other_read(struct wire *wire, enum schema_message type, uint32_t tag)
{
    if (schema_field(type, tag >> 3) != NULL) {
        return SCAN_WIRE_TYPE;
    }
    return message_skip(wire, tag, 1);
}

INLINE enum scan_fault span_field(struct wire *wire, const uint8_t *start, uint32_t tag,
                                  enum item_trust trust, unsigned flags, struct item_view *view)
{
    uint64_t count = 0;
    struct bytes links = {0};
    uint32_t link_count = 0;
    switch (tag) {
    case MESSAGE_TAG(SPAN_TRACE_ID, WIRE_LEN):
        return id_read(wire, 16, SCAN_TRACE_ID, &view->trace_id);
    case MESSAGE_TAG(SPAN_SPAN_ID, WIRE_LEN):
        return id_read(wire, 8, SCAN_SPAN_ID, &view->span_id);
    case MESSAGE_TAG(SPAN_TRACE_STATE, WIRE_LEN):
        return text_read(wire, flags, &view->trace_state);
    case MESSAGE_TAG(SPAN_PARENT_ID, WIRE_LEN):
        return id_read(wire, 8, SCAN_SPAN_ID, &view->parent_id);
    case MESSAGE_TAG(SPAN_NAME, WIRE_LEN):
        return text_read(wire, flags, &view->name);
    case MESSAGE_TAG(SPAN_KIND, WIRE_VARINT):
        return enum_read(wire, &view->kind);
    case MESSAGE_TAG(SPAN_START, WIRE_FIXED64):
        return message_fixed64(wire, &view->start_ns);
    case MESSAGE_TAG(SPAN_END, WIRE_FIXED64):
        return message_fixed64(wire, &view->end_ns);
    case MESSAGE_TAG(SPAN_ATTRIBUTES, WIRE_LEN):
        return attribute_read(wire, start, trust, flags, view);
    case MESSAGE_TAG(SPAN_EVENTS, WIRE_LEN):
        return nested_read(wire, start, SCHEMA_EVENT, trust, flags, &view->events,
                           &view->event_count);
    case MESSAGE_TAG(SPAN_LINKS, WIRE_LEN):
        return nested_read(wire, start, SCHEMA_LINK, trust, flags, &links, &link_count);
    case MESSAGE_TAG(SPAN_STATUS, WIRE_LEN):
        return status_read(wire, trust, flags, &view->status);
    case MESSAGE_TAG(SPAN_FLAGS, WIRE_FIXED32):
        return message_fixed32(wire, &view->flags);
    case MESSAGE_TAG(SPAN_DROPPED_ATTRIBUTES, WIRE_VARINT):
    case MESSAGE_TAG(SPAN_DROPPED_EVENTS, WIRE_VARINT):
    case MESSAGE_TAG(SPAN_DROPPED_LINKS, WIRE_VARINT):
        return message_varint(wire, &count);
    default:
        return other_read(wire, SCHEMA_SPAN, tag);
    }
}

INLINE enum scan_fault span_read(struct bytes span, enum item_trust trust, unsigned flags,
                                 struct item_view *view)
{
    struct wire wire = wire_of(span);
    while (wire.ptr < wire.end) {
        const uint8_t *start = wire.ptr;
        uint32_t tag = 0;
        enum scan_fault fault = message_tag(&wire, &tag);
        if (fault == SCAN_OK) {
            fault = span_field(&wire, start, tag, trust, flags, view);
        }
        if (fault != SCAN_OK) {
            return fault;
        }
    }
    return SCAN_OK;
}

static void log_field(const struct wire_field *field, const uint8_t *end, struct item_view *view)
{
    switch (MESSAGE_TAG(field->number, field->type)) {
    case MESSAGE_TAG(LOG_TIME, WIRE_FIXED64):
        view->start_ns = field->value;
        break;
    case MESSAGE_TAG(LOG_OBSERVED_TIME, WIRE_FIXED64):
        view->end_ns = field->value;
        break;
    case MESSAGE_TAG(LOG_SEVERITY_NUMBER, WIRE_VARINT):
        view->kind = (uint32_t)field->value;
        break;
    case MESSAGE_TAG(LOG_BODY, WIRE_LEN):
        view->events = field->bytes;
        break;
    case MESSAGE_TAG(LOG_ATTRIBUTES, WIRE_LEN):
        view->attributes.ptr = view->attributes.ptr != NULL ? view->attributes.ptr : field->start;
        view->attributes.len = (size_t)(end - view->attributes.ptr);
        view->attribute_count++;
        break;
    case MESSAGE_TAG(LOG_FLAGS, WIRE_FIXED32):
        view->flags = (uint32_t)field->value;
        break;
    case MESSAGE_TAG(LOG_TRACE_ID, WIRE_LEN):
        view->trace_id = id_or_null(field->bytes, 16);
        break;
    case MESSAGE_TAG(LOG_SPAN_ID, WIRE_LEN):
        view->span_id = id_or_null(field->bytes, 8);
        break;
    case MESSAGE_TAG(LOG_EVENT_NAME, WIRE_LEN):
        view->name = field->bytes;
        break;
    default:
        break;
    }
}

static void log_read(struct bytes record, struct item_view *view)
{
    struct wire wire = wire_of(record);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        log_field(&field, wire.ptr, view);
    }
}

// Data points of a Gauge, Sum, Histogram, ExponentialHistogram or Summary: all have them as field
// 1.
static uint32_t points_of(struct bytes data)
{
    struct wire wire = wire_of(data);
    struct wire_field field;
    uint32_t count = 0;
    while (wire_next(&wire, &field)) {
        count += field.number == 1 && field.type == WIRE_LEN;
    }
    return count;
}

static void metric_read(struct bytes metric, struct item_view *view)
{
    struct wire wire = wire_of(metric);
    struct wire_field field;
    uint32_t data = 0;  // member of the oneof: the last wins, and merges with its like
    while (wire_next(&wire, &field)) {
        const struct schema_field *known = schema_field(SCHEMA_METRIC, field.number);
        if (known == NULL || field.type != WIRE_LEN) {
            continue;
        }
        if (field.number == METRIC_NAME) {
            view->name = field.bytes;
        } else if (known->kind == KIND_MESSAGE && known->label == LABEL_ONE) {
            view->point_count = data == field.number ? view->point_count : 0;
            view->point_count += points_of(field.bytes);
            data = field.number;
        }
    }
}

enum scan_fault item_read(enum signal signal, struct bytes item, enum item_trust trust,
                          unsigned flags, struct item_view *view)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    *view = (struct item_view){
        .signal = signal,
        .place = view->place,
        .item = item,
        .resource = view->resource,
        .scope = view->scope,
        .fault = view->fault,
    };
    if (signal == SIGNAL_TRACES) {
        return trust == ITEM_TRUSTED ? span_read(item, ITEM_TRUSTED, 0, view)
                                     : span_read(item, ITEM_UNTRUSTED, flags, view);
    }
    enum scan_fault fault = SCAN_OK;
    if (trust == ITEM_UNTRUSTED) {
        fault = message_validate(schema_item(signal), item, flags, 1);
    }
    if (signal != SIGNAL_METRICS) {
        log_read(item, view);
    } else {
        metric_read(item, view);
    }
    return fault;
}
