// SPDX-License-Identifier: Apache-2.0
//
// The scanner against protobuf-c: requests are generated from the schema and broken by a seeded
// mutator; what the scanner lets pass, protobuf-c must decode to the same values. Where the two
// differ in accepting, the case is a row of `stricter` or `laxer` below, and nothing else may
// differ. protobuf-c decodes into an arena, after the scanner has bounded the depth.
#include "proto/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#include "base/arena.h"
#include "proto/attribute.h"
#include "tests/sample_request.h"

enum { SEEDS = 400, MUTANTS = 24, ITEMS_MAX = 64 };

#define ARENA_BYTES_MAX ((size_t)16 << 20)

// Faults for which the scanner leaves out, or refuses, what protobuf-c decodes.
static const struct {
    enum scan_fault fault;
    const char *reason;
} stricter[] = {
    {SCAN_WIRE_TYPE, "protobuf-c reads a bool of any wire type"},
    {SCAN_UTF8, "protobuf-c does not look at strings; other decoders refuse the whole message"},
    {SCAN_TRACE_ID, "an id is any bytes to protobuf; the Collector refuses the request"},
    {SCAN_SPAN_ID, "as above"},
    {SCAN_LINK_ID, "as above"},
    {SCAN_DEPTH, "protobuf-c recurses without a bound"},
    {SCAN_VARINT, "protobuf-c drops the bits above 64, and over-long ends of unknown fields"},
    {SCAN_FIELD_NUMBER, "protobuf-c keeps number 0, and cuts tags at 32 bits"},
    {SCAN_NESTED, "any of these inside a nested message, where it is named by its place"},
    {SCAN_RESOURCE, "as above, in a Resource or its schema_url"},
    {SCAN_SCOPE, "as above, in an InstrumentationScope or its schema_url"},
};

// What the scanner lets pass and protobuf-c refuses.
enum laxer { LAXER_NONE, LAXER_GROUP, LAXER_TWICE };
static const char *const laxer_reasons[] = {
    [LAXER_NONE] = "",
    [LAXER_GROUP] = "groups of unknown fields: canonical protobuf skips them, protobuf-c refuses",
    [LAXER_TWICE] =
        "a message that comes twice with its oneof unset: protobuf-c 1.4 cannot merge it",
};

struct seen {                      // what a scan said
    enum signal signal;
    struct item_view views[ITEMS_MAX];
    unsigned count, sound_count;
    struct scan_report report;
};

static bool view_keep(void *arg, const struct item_view *view)
{
    struct seen *seen = arg;
    if (seen->count < ITEMS_MAX) {
        seen->views[seen->count] = *view;
    }
    seen->count++;
    seen->sound_count += view->fault == SCAN_OK;
    return true;
}

static enum result see(enum signal signal, struct bytes body, struct seen *seen)
{
    *seen = (struct seen){.signal = signal};
    return scan_request(signal, body, SCAN_CHECK_UTF8, view_keep, seen, &seen->report);
}

static void *decode_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void decode_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

static ProtobufCMessage *decode(enum signal signal, struct bytes body, struct arena *arena)
{
    static const ProtobufCMessageDescriptor *const types[SIGNAL_OTLP_COUNT] = {
        &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
        &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor,
        &opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor,
    };
    ProtobufCAllocator allocator = {decode_alloc, decode_free, arena};
    arena_init(arena, ARENA_BYTES_MAX);
    return protobuf_c_message_unpack(types[signal], &allocator, body.len, body.ptr);
}

// protobuf-c ends strings with a zero byte and keeps no length: what follows one inside is lost.
static void assert_text(struct bytes text, const char *decoded)
{
    size_t len = text.len > 0 ? strnlen((const char *)text.ptr, text.len) : 0;
    assert_int_equal(len, strlen(decoded));
    if (len > 0) {
        assert_memory_equal(text.ptr, decoded, len);
    }
}

static void assert_id(const uint8_t *id, ProtobufCBinaryData decoded)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < decoded.len; i++) {
        sum += decoded.data[i];
    }
    if (id == NULL) {
        assert_int_equal(sum, 0);
    } else {
        assert_memory_equal(id, decoded.data, decoded.len);
        assert_true(decoded.len == 8 || decoded.len == 16);
    }
}

typedef Opentelemetry__Proto__Common__V1__AnyValue any_message;
typedef Opentelemetry__Proto__Common__V1__KeyValue pair_message;

static void assert_any(const struct any_view *view, const any_message *any);

static void assert_list(struct bytes list,
                        const Opentelemetry__Proto__Common__V1__ArrayValue *array)
{
    struct wire wire = wire_of(list);
    struct any_view element;
    size_t count = 0;
    while (any_walk_next(&wire, &element)) {
        assert_true(count < array->n_values);
        assert_any(&element, array->values[count++]);
    }
    assert_int_equal(count, array->n_values);
}

static void assert_pairs(struct bytes fields, uint32_t number, pair_message *const *pairs,
                         size_t pair_count)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    size_t count = 0;
    attribute_walk_begin(&walk, fields, number);
    while (attribute_walk_next(&walk, &attribute)) {
        assert_true(count < pair_count);
        assert_text(attribute.key, pairs[count]->key);
        if (pairs[count]->value != NULL) {
            assert_any(&attribute.value, pairs[count]->value);
        } else {
            assert_int_equal(attribute.value.kind, ANY_KIND_NONE);
        }
        count++;
    }
    assert_int_equal(count, pair_count);
}

static void assert_any(const struct any_view *view, const any_message *any)
{
    switch (any->value_case) {
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE:
        assert_int_equal(view->kind, ANY_KIND_STRING);
        assert_text(view->bytes, any->string_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE:
        assert_int_equal(view->kind, ANY_KIND_BOOL);
        assert_int_equal(view->number, any->bool_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE:
        assert_int_equal(view->kind, ANY_KIND_INT);
        assert_true(view->number == any->int_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE:
        assert_int_equal(view->kind, ANY_KIND_DOUBLE);
        assert_memory_equal(&view->real, &any->double_value, sizeof view->real);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_ARRAY_VALUE:
        assert_int_equal(view->kind, ANY_KIND_ARRAY);
        assert_list(view->bytes, any->array_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_KVLIST_VALUE:
        assert_int_equal(view->kind, ANY_KIND_KVLIST);
        assert_pairs(view->bytes, LIST_VALUES, any->kvlist_value->values,
                     any->kvlist_value->n_values);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE:
        assert_int_equal(view->kind, ANY_KIND_BYTES);
        assert_int_equal(view->bytes.len, any->bytes_value.len);
        break;
    default:
        assert_int_equal(view->kind, ANY_KIND_NONE);
        break;
    }
}

static void assert_span(const struct item_view *view,
                        const Opentelemetry__Proto__Trace__V1__Span *span)
{
    assert_id(view->trace_id, span->trace_id);
    assert_id(view->span_id, span->span_id);
    assert_id(view->parent_id, span->parent_span_id);
    assert_text(view->name, span->name);
    assert_text(view->trace_state, span->trace_state);
    assert_true(view->start_ns == span->start_time_unix_nano);
    assert_true(view->end_ns == span->end_time_unix_nano);
    assert_int_equal(view->flags, span->flags);
    assert_int_equal(view->kind, (uint32_t)span->kind);
    assert_int_equal(view->status, span->status != NULL ? (uint32_t)span->status->code : 0);
    assert_int_equal(view->attribute_count, span->n_attributes);
    assert_int_equal(view->event_count, span->n_events);
    assert_pairs(view->attributes, SPAN_ATTRIBUTES, span->attributes, span->n_attributes);
    struct wire wire = wire_of(view->events);
    struct wire_field field;
    size_t count = 0;
    while (wire_next(&wire, &field)) {
        if (field.number == SPAN_EVENTS) {
            const Opentelemetry__Proto__Trace__V1__Span__Event *event = span->events[count++];
            assert_pairs(field.bytes, EVENT_ATTRIBUTES, event->attributes, event->n_attributes);
        }
    }
    assert_int_equal(count, span->n_events);
}

static void assert_log(const struct item_view *view,
                       const Opentelemetry__Proto__Logs__V1__LogRecord *record)
{
    assert_id(view->trace_id, record->trace_id);
    assert_id(view->span_id, record->span_id);
    assert_text(view->name, record->event_name);
    assert_true(view->start_ns == record->time_unix_nano);
    assert_true(view->end_ns == record->observed_time_unix_nano);
    assert_int_equal(view->flags, record->flags);
    assert_int_equal(view->kind, (uint32_t)record->severity_number);
    assert_int_equal(view->attribute_count, record->n_attributes);
    assert_pairs(view->attributes, LOG_ATTRIBUTES, record->attributes, record->n_attributes);
    if (record->body != NULL) {
        struct any_view body = any_decode(view->events);
        assert_any(&body, record->body);
    }
}

static size_t points_of(const Opentelemetry__Proto__Metrics__V1__Metric *metric)
{
    switch (metric->data_case) {
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_GAUGE:
        return metric->gauge->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUM:
        return metric->sum->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_HISTOGRAM:
        return metric->histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        return metric->exponential_histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUMMARY:
        return metric->summary->n_data_points;
    default:
        return 0;
    }
}

static unsigned assert_traces(const struct seen *seen, const ProtobufCMessage *message)
{
    const Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *request =
        (const void *)message;
    unsigned at = 0;
    for (size_t r = 0; r < request->n_resource_spans; r++) {
        const Opentelemetry__Proto__Trace__V1__ResourceSpans *resource = request->resource_spans[r];
        for (size_t s = 0; s < resource->n_scope_spans; s++) {
            const Opentelemetry__Proto__Trace__V1__ScopeSpans *scope = resource->scope_spans[s];
            for (size_t i = 0; i < scope->n_spans && at < ITEMS_MAX; i++) {
                if (resource->resource != NULL) {
                    assert_pairs(seen->views[at].resource, RES_ATTRIBUTES,
                                 resource->resource->attributes, resource->resource->n_attributes);
                }
                assert_span(&seen->views[at++], scope->spans[i]);
            }
        }
    }
    return at;
}

static unsigned assert_logs(const struct seen *seen, const ProtobufCMessage *message)
{
    const Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest *request =
        (const void *)message;
    unsigned at = 0;
    for (size_t r = 0; r < request->n_resource_logs; r++) {
        const Opentelemetry__Proto__Logs__V1__ResourceLogs *resource = request->resource_logs[r];
        for (size_t s = 0; s < resource->n_scope_logs; s++) {
            const Opentelemetry__Proto__Logs__V1__ScopeLogs *scope = resource->scope_logs[s];
            for (size_t i = 0; i < scope->n_log_records && at < ITEMS_MAX; i++) {
                assert_log(&seen->views[at++], scope->log_records[i]);
            }
        }
    }
    return at;
}

static unsigned assert_metrics(const struct seen *seen, const ProtobufCMessage *message)
{
    const Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest *request =
        (const void *)message;
    unsigned at = 0;
    for (size_t r = 0; r < request->n_resource_metrics; r++) {
        const Opentelemetry__Proto__Metrics__V1__ResourceMetrics *resource =
            request->resource_metrics[r];
        for (size_t s = 0; s < resource->n_scope_metrics; s++) {
            const Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope =
                resource->scope_metrics[s];
            for (size_t i = 0; i < scope->n_metrics && at < ITEMS_MAX; i++) {
                assert_text(seen->views[at].name, scope->metrics[i]->name);
                assert_int_equal(seen->views[at].point_count, points_of(scope->metrics[i]));
                at++;
            }
        }
    }
    return at;
}

static void assert_same(const struct seen *seen, const ProtobufCMessage *message)
{
    unsigned count = seen->signal == SIGNAL_TRACES ? assert_traces(seen, message)
                     : seen->signal == SIGNAL_LOGS ? assert_logs(seen, message)
                                                   : assert_metrics(seen, message);
    assert_int_equal(count, seen->count < ITEMS_MAX ? seen->count : ITEMS_MAX);
}

static void generated_requests_decode_to_the_same(void **state)
{
    (void)state;
    struct sample_options options = {.has_unknown_fields = true, .pads_varints = true};
    unsigned item_count = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
            struct random random;
            struct buffer body;
            struct seen seen;
            struct arena arena;
            random_seed(&random, seed);
            buffer_init(&body, (size_t)4 << 20);
            sample_request(&body, (enum signal)signal, &random, &options);
            assert_int_equal(see((enum signal)signal, buffer_view(&body), &seen), RESULT_OK);
            assert_int_equal(seen.report.rejected_count, 0);
            ProtobufCMessage *message = decode((enum signal)signal, buffer_view(&body), &arena);
            assert_non_null(message);
            assert_same(&seen, message);
            item_count += seen.count;
            arena_fini(&arena);
            buffer_fini(&body);
        }
    }
    assert_true(item_count > SEEDS * 3);
}

// One to three small changes of the kinds that break messages.
static void mutate(struct buffer *body, struct random *random)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x0b, 0x0c, 0x08};
    uint64_t count = 1 + random_below(random, 3);
    for (uint64_t i = 0; i < count && body->len > 1; i++) {
        size_t at = (size_t)random_below(random, body->len);
        switch (random_below(random, 5)) {
        case 0:
            body->ptr[at] ^= (uint8_t)(1U << random_below(random, 8));
            break;
        case 1:
            body->ptr[at] = telling[random_below(random, sizeof telling)];
            break;
        case 2:
            memmove(body->ptr + at, body->ptr + at + 1, body->len - at - 1);
            body->len--;
            break;
        case 3:
            body->len = at;
            break;
        default:
            body->ptr[at]++;
            break;
        }
    }
}

static bool has_group(enum schema_message type, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        const struct schema_field *known = schema_field(type, field.number);
        if (field.type == WIRE_GROUP) {
            return true;
        }
        if (known != NULL && known->kind == KIND_MESSAGE && has_group(known->holds, field.bytes)) {
            return true;
        }
    }
    return false;
}

static bool is_stricter(enum scan_fault fault)
{
    for (size_t i = 0; i < sizeof stricter / sizeof stricter[0]; i++) {
        if (stricter[i].fault == fault) {
            return true;
        }
    }
    return false;
}

// protobuf-c merges what comes twice in a oneof or a message; views show the last.
static bool repeats_singular(enum schema_message type, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    uint32_t come = 0;
    while (wire_next(&wire, &field)) {
        const struct schema_field *known = schema_field(type, field.number);
        if (known == NULL) {
            continue;
        }
        if (known->label == LABEL_ONE && (come & 1U << field.number) != 0) {
            return true;
        }
        come |= 1U << field.number;
        if (known->kind == KIND_MESSAGE && repeats_singular(known->holds, field.bytes)) {
            return true;
        }
    }
    return false;
}

struct tally {
    unsigned both, neither, stricter, laxer;
    unsigned stricter_by[SCAN_FAULT_COUNT],
        laxer_by[sizeof laxer_reasons / sizeof laxer_reasons[0]];
};

static void compare_mutant(enum signal signal, struct bytes body, struct tally *tally)
{
    struct seen seen;
    struct arena arena;
    enum result result = see(signal, body, &seen);
    ProtobufCMessage *message = decode(signal, body, &arena);
    bool accepts = result == RESULT_OK && seen.report.rejected_count == 0;
    if (accepts && message != NULL) {
        tally->both++;
        if (!repeats_singular(schema_request(signal), body)) {
            assert_same(&seen, message);
        }
    } else if (accepts) {
        enum laxer reason = has_group(schema_request(signal), body)          ? LAXER_GROUP
                            : repeats_singular(schema_request(signal), body) ? LAXER_TWICE
                                                                             : LAXER_NONE;
        if (reason == LAXER_NONE) {
            fail_msg("accepted, but protobuf-c refuses");
        }
        tally->laxer++;
        tally->laxer_by[reason]++;
    } else if (message != NULL) {
        if (!is_stricter(seen.report.first_fault)) {
            fail_msg("protobuf-c accepts, the scanner says %s",
                     scan_fault_label(seen.report.first_fault));
        }
        tally->stricter++;
        tally->stricter_by[seen.report.first_fault]++;
    } else {
        tally->neither++;
    }
    arena_fini(&arena);
}

static void mutants_differ_only_as_listed(void **state)
{
    (void)state;
    struct sample_options options = {.has_unknown_fields = true, .pads_varints = true};
    struct tally tally = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
            struct random random;
            struct buffer body, mutant;
            random_seed(&random, seed * 7919);
            buffer_init(&body, (size_t)4 << 20);
            buffer_init(&mutant, (size_t)4 << 20);
            sample_request(&body, (enum signal)signal, &random, &options);
            for (unsigned i = 0; i < MUTANTS; i++) {
                buffer_reset(&mutant);
                buffer_append_bytes(&mutant, buffer_view(&body));
                mutate(&mutant, &random);
                compare_mutant((enum signal)signal, buffer_view(&mutant), &tally);
            }
            buffer_fini(&body);
            buffer_fini(&mutant);
        }
    }
    // All kinds occur, so that the comparison means something.
    assert_true(tally.both > 100);
    assert_true(tally.neither > 100);
    for (size_t i = 0; i < sizeof stricter / sizeof stricter[0]; i++) {
        if (tally.stricter_by[stricter[i].fault] == 0 && stricter[i].fault != SCAN_DEPTH) {
            fail_msg("never seen: %s (%s)", scan_fault_label(stricter[i].fault),
                     stricter[i].reason);
        }
    }
}

static void groups_are_the_one_thing_taken_that_protobuf_c_refuses(void **state)
{
    (void)state;
    struct sample_options options = {.has_unknown_fields = true, .has_groups = true};
    struct tally tally = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        struct buffer body;
        random_seed(&random, seed);
        buffer_init(&body, (size_t)4 << 20);
        sample_request(&body, SIGNAL_TRACES, &random, &options);
        compare_mutant(SIGNAL_TRACES, buffer_view(&body), &tally);
        buffer_fini(&body);
    }
    assert_int_equal(tally.stricter + tally.neither, 0);
    assert_true(tally.laxer_by[LAXER_GROUP] > 10);
}

static void fields_that_come_twice_are_accepted_by_both(void **state)
{
    (void)state;
    struct sample_options options = {.repeats_singular = true, .fields_max = 16};
    struct tally tally = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        struct buffer body;
        random_seed(&random, seed);
        buffer_init(&body, (size_t)4 << 20);
        sample_request(&body, (enum signal)(seed % SIGNAL_OTLP_COUNT), &random, &options);
        compare_mutant((enum signal)(seed % SIGNAL_OTLP_COUNT), buffer_view(&body), &tally);
        buffer_fini(&body);
    }
    assert_int_equal(tally.both + tally.laxer_by[LAXER_TWICE], SEEDS);
    assert_true(tally.both > tally.laxer);
}

// A span with one attribute of `count` arrays in one another: 3 + 2 * count messages deep.
static void deep_write(struct buffer *body, unsigned count)
{
    struct buffer value, outer;
    buffer_init(&value, 4096);
    buffer_init(&outer, 4096);
    for (unsigned i = 0; i < count; i++) {
        buffer_reset(&outer);
        size_t array = wire_open(&outer, ANY_ARRAY);
        wire_write_bytes(&outer, LIST_VALUES, buffer_view(&value));
        wire_close(&outer, array);
        struct buffer swap = value;
        value = outer;
        outer = swap;
    }
    size_t resource = wire_open(body, REQUEST_RESOURCES);
    size_t scope = wire_open(body, RESOURCE_SCOPES);
    size_t span = wire_open(body, SCOPE_ITEMS);
    size_t attribute = wire_open(body, SPAN_ATTRIBUTES);
    wire_write_text(body, KEYVALUE_KEY, "deep");
    wire_write_bytes(body, KEYVALUE_VALUE, buffer_view(&value));
    wire_close(body, attribute);
    wire_close(body, span);
    wire_close(body, scope);
    wire_close(body, resource);
    buffer_fini(&value);
    buffer_fini(&outer);
}

static void nesting_is_bounded_at_sixty_four(void **state)
{
    (void)state;
    struct tally tally = {0};
    for (unsigned count = 28; count < 34; count++) {
        struct buffer body;
        buffer_init(&body, 65536);
        deep_write(&body, count);
        compare_mutant(SIGNAL_TRACES, buffer_view(&body), &tally);
        buffer_fini(&body);
    }
    assert_int_equal(tally.both, 3);  // 28, 29 and 30 arrays: 63 messages
    assert_int_equal(tally.stricter_by[SCAN_DEPTH], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_requests_decode_to_the_same),
        cmocka_unit_test(mutants_differ_only_as_listed),
        cmocka_unit_test(groups_are_the_one_thing_taken_that_protobuf_c_refuses),
        cmocka_unit_test(fields_that_come_twice_are_accepted_by_both),
        cmocka_unit_test(nesting_is_bounded_at_sixty_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
