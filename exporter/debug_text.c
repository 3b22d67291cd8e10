// SPDX-License-Identifier: Apache-2.0
// Walks the request with the scanner, whose views are all that basic and normal need; detailed
// looks into events, links and status with the wire cursor. Metrics in detail are OTLP/JSON lines:
// their shapes are many and nobody grades them here.
//
// Bounds: VALUE_MAX bytes of each value in normal and VALUE_DETAILED_MAX in detailed; longer ones
// are cut and say so. Pure; any thread.
#include "exporter/debug_text.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exporter/otlp_text.h"
#include "proto/attribute.h"
#include "proto/scan.h"

#define VALUE_MAX 200
#define VALUE_DETAILED_MAX (16 << 10)

struct printing {
    enum debug_verbosity verbosity;
    enum signal signal;
    struct buffer *out;
    const uint8_t *resource, *scope;  // that the last item stood under
    uint32_t resource_at, scope_at;
    bool has_header;
    uint32_t resource_count, scope_count, item_count, point_count;
};

// --- values ---------------------------------------------------------------------------------

static void put_safe(struct buffer *out, struct bytes text, size_t len_max)
{
    struct bytes cut = utf8_prefix(text, len_max);
    for (size_t i = 0; i < cut.len; i++) {
        uint8_t byte = cut.ptr[i];
        bool is_c1 = byte == 0xc2 && i + 1 < cut.len && cut.ptr[i + 1] < 0xa0;
        if (byte == '\n') {
            buffer_append_text(out, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            buffer_printf(out, "\\x%02x", byte);
        } else if (is_c1) {
            buffer_printf(out, "\\x%02x", cut.ptr[++i]);
        } else {
            buffer_append_byte(out, byte);
        }
    }
    if (cut.len < text.len) {
        buffer_printf(out, "... (%zu bytes)", text.len);
    }
}

static void put_any(struct buffer *out, const struct any_view *value, size_t len_max)
{
    struct buffer text;
    buffer_init(&text, (size_t)1 << 20);
    any_write_json(value, &text);
    put_safe(out, buffer_view(&text), len_max);
    buffer_fini(&text);
}

static void put_hex(struct buffer *out, const uint8_t *id, size_t len)
{
    for (size_t i = 0; id != NULL && i < len; i++) {
        buffer_printf(out, "%02x", id[i]);
    }
}

static const char *any_type(enum any_kind kind)
{
    static const char *const names[] = {"Empty",  "Str",   "Bool", "Int",
                                        "Double", "Slice", "Map",  "Bytes"};
    return names[kind];
}

// "key=value key=value" in normal; a line each in detailed.
static void put_attributes(struct printing *printing, struct bytes fields, uint32_t number)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    struct buffer *out = printing->out;
    attribute_walk_begin(&walk, fields, number);
    while (attribute_walk_next(&walk, &attribute)) {
        if (printing->verbosity == DEBUG_NORMAL) {
            buffer_append_byte(out, ' ');
            put_safe(out, attribute.key, VALUE_MAX);
            buffer_append_byte(out, '=');
            put_any(out, &attribute.value, VALUE_MAX);
        } else {
            buffer_append_text(out, "     -> ");
            put_safe(out, attribute.key, VALUE_DETAILED_MAX);
            buffer_printf(out, ": %s(", any_type(attribute.value.kind));
            put_any(out, &attribute.value, VALUE_DETAILED_MAX);
            buffer_append_text(out, ")\n");
        }
    }
}

// --- verdicts -------------------------------------------------------------------------------

static void put_scores(struct buffer *out, struct bytes attributes)
{
    static const struct bytes prefix = {(const uint8_t *)"sidejudge.score.", 16};
    struct attribute_walk walk;
    struct attribute_view attribute;
    attribute_walk_begin(&walk, attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (bytes_start_with(attribute.key, prefix)) {
            buffer_append_byte(out, ' ');
            put_safe(out, bytes_slice(attribute.key, prefix.len, SIZE_MAX), 64);
            buffer_append_byte(out, '=');
            put_any(out, &attribute.value, 32);
        }
    }
}

static void put_verdict(struct printing *printing, const struct item_view *view)
{
    struct any_view verdict, failed;
    if (printing->signal != SIGNAL_TRACES ||
        !attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.verdict", &verdict)) {
        return;
    }
    struct buffer *out = printing->out;
    bool is_fail = bytes_equal_text(verdict.bytes, "fail");
    buffer_printf(out, "  %s VERDICT %s", is_fail ? "!!" : "ok", is_fail ? "FAIL" : "");
    if (!is_fail) {
        put_safe(out, verdict.bytes, 32);
    }
    if (attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.failed", &failed)) {
        buffer_append_text(out, " failed=");
        put_any(out, &failed, VALUE_MAX);
    }
    put_scores(out, view->attributes);
    buffer_append_byte(out, '\n');
}

// --- resources and scopes -------------------------------------------------------------------

static void put_resource(struct printing *printing, const struct item_view *view)
{
    static const char *const words[] = {"Traces", "Metrics", "Logs", "Scores"};
    const char *word = words[printing->signal];
    struct buffer *out = printing->out;
    uint32_t index = printing->resource_count - 1;
    if (printing->verbosity == DEBUG_NORMAL) {
        buffer_printf(out, "Resource%s #%u", word, index);
        put_attributes(printing, view->resource, RES_ATTRIBUTES);
        buffer_append_byte(out, '\n');
        return;
    }
    buffer_printf(out, "Resource%s #%u\nResource attributes:\n", word, index);
    put_attributes(printing, view->resource, RES_ATTRIBUTES);
}

static void put_scope(struct printing *printing, const struct item_view *view)
{
    struct buffer *out = printing->out;
    struct bytes name = BYTES_NONE, version = BYTES_NONE;
    (void)wire_find(view->scope, SCOPE_NAME, &name);
    (void)wire_find(view->scope, SCOPE_VERSION, &version);
    buffer_printf(out, "Scope #%u%s", printing->scope_count - 1,
                  printing->verbosity == DEBUG_NORMAL ? " " : "\nInstrumentationScope ");
    put_safe(out, name, VALUE_MAX);
    buffer_append_text(out, printing->verbosity == DEBUG_NORMAL ? "@" : " ");
    put_safe(out, version, VALUE_MAX);
    if (printing->verbosity == DEBUG_NORMAL) {
        put_attributes(printing, view->scope, SCOPE_ATTRIBUTES);
    }
    buffer_append_byte(out, '\n');
}

static void count_containers(struct printing *printing, const struct item_view *view)
{
    bool first = printing->item_count == 0;
    bool new_resource = first || view->place.resource_at != printing->resource_at;
    bool new_scope = new_resource || view->place.scope_at != printing->scope_at;
    printing->resource_at = view->place.resource_at;
    printing->scope_at = view->place.scope_at;
    printing->resource_count += new_resource;
    printing->scope_count = new_resource ? 1 : printing->scope_count + new_scope;
    if (printing->verbosity == DEBUG_BASIC) {
        return;
    }
    if (new_resource) {
        put_resource(printing, view);
    }
    if (new_scope) {
        put_scope(printing, view);
    }
}

// --- items ----------------------------------------------------------------------------------

static void put_time(struct buffer *out, const char *label, uint64_t wall_ns)
{
    char text[25];
    clock_format(wall_ns, text);
    buffer_printf(out, "    %s: %s\n", label, text);
}

static void put_span_event(struct printing *printing, uint32_t index, struct bytes event)
{
    struct wire wire = wire_of(event);
    struct wire_field field;
    uint64_t time_ns = 0;
    struct bytes name = BYTES_NONE;
    while (wire_next(&wire, &field)) {
        time_ns = field.number == EVENT_TIME ? field.value : time_ns;
        name = field.number == EVENT_NAME ? field.bytes : name;
    }
    buffer_printf(printing->out, "SpanEvent #%u\n     -> Name: ", index);
    put_safe(printing->out, name, VALUE_MAX);
    buffer_append_byte(printing->out, '\n');
    put_time(printing->out, " -> Timestamp", time_ns);
    put_attributes(printing, event, EVENT_ATTRIBUTES);
}

static void put_span_link(struct printing *printing, uint32_t index, struct bytes link)
{
    struct bytes trace_id = BYTES_NONE, span_id = BYTES_NONE;
    (void)wire_find(link, LINK_TRACE_ID, &trace_id);
    (void)wire_find(link, LINK_SPAN_ID, &span_id);
    buffer_printf(printing->out, "SpanLink #%u\n     -> Trace ID: ", index);
    put_hex(printing->out, trace_id.ptr, trace_id.len);
    buffer_append_text(printing->out, "\n     -> ID: ");
    put_hex(printing->out, span_id.ptr, span_id.len);
    buffer_append_byte(printing->out, '\n');
    put_attributes(printing, link, LINK_ATTRIBUTES);
}

static void put_span_children(struct printing *printing, struct bytes span)
{
    struct wire wire = wire_of(span);
    struct wire_field field;
    uint32_t events = 0, links = 0;
    while (wire_next(&wire, &field)) {
        if (field.number == SPAN_EVENTS && field.type == WIRE_LEN) {
            put_span_event(printing, events++, field.bytes);
        } else if (field.number == SPAN_LINKS && field.type == WIRE_LEN) {
            put_span_link(printing, links++, field.bytes);
        }
    }
}

static void put_span_detailed(struct printing *printing, const struct item_view *view)
{
    static const char *const kinds[] = {"Unspecified", "Internal", "Server",
                                        "Client",      "Producer", "Consumer"};
    static const char *const codes[] = {"Unset", "Ok", "Error"};
    struct buffer *out = printing->out;
    struct bytes status = BYTES_NONE, message = BYTES_NONE;
    if (wire_find(view->item, SPAN_STATUS, &status)) {
        (void)wire_find(status, STATUS_MESSAGE, &message);
    }
    buffer_printf(out, "Span #%u\n    Trace ID       : ", printing->item_count);
    put_hex(out, view->trace_id, 16);
    buffer_append_text(out, "\n    Parent ID      : ");
    put_hex(out, view->parent_id, 8);
    buffer_append_text(out, "\n    ID             : ");
    put_hex(out, view->span_id, 8);
    buffer_append_text(out, "\n    Name           : ");
    put_safe(out, view->name, VALUE_DETAILED_MAX);
    buffer_printf(out, "\n    Kind           : %s\n",
                  view->kind < 6 ? kinds[view->kind] : "unknown");
    put_time(out, "Start time     ", view->start_ns);
    put_time(out, "End time       ", view->end_ns);
    buffer_printf(out, "    Status code    : %s\n    Status message : ",
                  view->status < 3 ? codes[view->status] : "unknown");
    put_safe(out, message, VALUE_DETAILED_MAX);
    buffer_append_text(out, "\nAttributes:\n");
    put_attributes(printing, view->attributes, SPAN_ATTRIBUTES);
    put_span_children(printing, view->item);
}

static void put_log(struct printing *printing, const struct item_view *view)
{
    struct buffer *out = printing->out;
    struct any_view body = any_decode(view->events);
    bool is_normal = printing->verbosity == DEBUG_NORMAL;
    size_t len_max = is_normal ? VALUE_MAX : VALUE_DETAILED_MAX;
    if (is_normal) {
        if (body.kind == ANY_KIND_NONE && view->name.len > 0) {  // an event: which, and of what
            put_safe(out, view->name, len_max);
            buffer_append_byte(out, ' ');
            put_hex(out, view->trace_id, 16);
            buffer_append_byte(out, ' ');
            put_hex(out, view->span_id, 8);
        } else {
            put_any(out, &body, len_max);
        }
        put_attributes(printing, view->attributes, LOG_ATTRIBUTES);
        buffer_append_byte(out, '\n');
        return;
    }
    buffer_printf(out, "LogRecord #%u\n", printing->item_count);
    put_time(out, "Timestamp      ", view->start_ns);
    buffer_printf(out, "    SeverityNumber : %u\n    EventName      : ", view->kind);
    put_safe(out, view->name, len_max);
    buffer_printf(out, "\n    Body           : %s(", any_type(body.kind));
    put_any(out, &body, len_max);
    buffer_append_text(out, ")\n    Trace ID       : ");
    put_hex(out, view->trace_id, 16);
    buffer_append_text(out, "\n    Span ID        : ");
    put_hex(out, view->span_id, 8);
    buffer_append_text(out, "\nAttributes:\n");
    put_attributes(printing, view->attributes, LOG_ATTRIBUTES);
}

static void put_metric(struct printing *printing, const struct item_view *view)
{
    struct bytes name = BYTES_NONE;
    (void)wire_find(view->item, 1, &name);
    if (printing->verbosity == DEBUG_NORMAL) {
        put_safe(printing->out, name, VALUE_MAX);
        buffer_printf(printing->out, " points=%u\n", view->point_count);
        return;
    }
    buffer_printf(printing->out, "Metric #%u\n     ", printing->item_count);
    otlp_text_write_message(SCHEMA_METRIC, view->item, printing->out);
    buffer_append_byte(printing->out, '\n');
}

static void put_span(struct printing *printing, const struct item_view *view)
{
    struct buffer *out = printing->out;
    if (printing->verbosity == DEBUG_NORMAL) {
        put_safe(out, view->name, VALUE_MAX);
        buffer_append_byte(out, ' ');
        put_hex(out, view->trace_id, 16);
        buffer_append_byte(out, ' ');
        put_hex(out, view->span_id, 8);
        put_attributes(printing, view->attributes, SPAN_ATTRIBUTES);
        buffer_append_byte(out, '\n');
    } else {
        put_span_detailed(printing, view);
    }
    put_verdict(printing, view);
}

static bool put_item(void *arg, const struct item_view *view)
{
    struct printing *printing = arg;
    if (view->fault != SCAN_OK) {
        return true;
    }
    count_containers(printing, view);
    if (printing->verbosity != DEBUG_BASIC) {
        switch (printing->signal) {
        case SIGNAL_TRACES:
            put_span(printing, view);
            break;
        case SIGNAL_LOGS:
        case SIGNAL_SCORES:
            put_log(printing, view);
            break;
        default:
            put_metric(printing, view);
        }
    }
    printing->item_count++;
    printing->point_count += view->point_count;
    return true;
}

static void put_counts(const struct printing *printing)
{
    struct buffer *out = printing->out;
    switch (printing->signal) {
    case SIGNAL_TRACES:
        buffer_printf(out, "Traces\tresource spans: %u, spans: %u\n", printing->resource_count,
                      printing->item_count);
        return;
    case SIGNAL_SCORES:
        buffer_printf(out, "Scores\tresources: %u, scores: %u\n", printing->resource_count,
                      printing->item_count);
        return;
    case SIGNAL_LOGS:
        buffer_printf(out, "Logs\tresource logs: %u, log records: %u\n", printing->resource_count,
                      printing->item_count);
        return;
    default:
        buffer_printf(out, "Metrics\tresource metrics: %u, metrics: %u, data points: %u\n",
                      printing->resource_count, printing->item_count, printing->point_count);
    }
}

void debug_text_write(enum debug_verbosity verbosity, enum signal signal, struct bytes request,
                      struct buffer *out)
{
    struct scan_report report;
    struct printing counting = {.verbosity = DEBUG_BASIC, .signal = signal, .out = out};
    if (scan_request(signal, request, 0, put_item, &counting, &report) != RESULT_OK) {
        return;
    }
    put_counts(&counting);
    if (verbosity != DEBUG_BASIC) {
        struct printing printing = {.verbosity = verbosity, .signal = signal, .out = out};
        (void)!scan_request(signal, request, 0, put_item, &printing, &report);
    }
}
