// SPDX-License-Identifier: Apache-2.0
//
// What telemetry itself can be: a row each, as the bytes of a request, with the answer that it must
// get. The rows share one process that holds and grades, so that each span goes the long way. What
// is acknowledged arrives as it was; what is left out is said. Refused: a process for each row.
// Bounds: those of the harness; 32 MiB a request. One thread.

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/compression.h"
#include "base/file.h"
#include "proto/attribute.h"
#include "proto/otlp_status.h"
#include "tests/sample_request.h"
#include "tests/scenario/faulty_backend.h"
#include "tests/scenario/harness.h"
#include "tests/scenario/oracle.h"

#ifdef __SANITIZE_ADDRESS__
#define FLOOD_SPANS 200000U
#else
#define FLOOD_SPANS 1000000U
#endif
#define FLOOD_REQUEST 5000U
#define FLOOD_RSS_MAX_KIB (size_t)(256 << 10)
#define REQUEST_BYTES_MAX ((size_t)96 << 20)
#define START_NS UINT64_C(1795255623854972540)
#define DAY_NS (UINT64_C(86400) * 1000000000)
#define SECOND_NS UINT64_C(1000000000)

static struct stage {
    struct harness *harness;
    struct oracle *oracle;
    struct faulty_backend *backend;
    bool passed;  // the last row
} stage;

// --- writing spans ---

struct writing {
    struct buffer *out;
    size_t resource, scopes;
};

static struct writing service_begin(struct buffer *out, const char *name)
{
    struct writing writing = {.out = out, .resource = wire_open(out, REQUEST_RESOURCES)};
    size_t resource = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", bytes_from_text(name));
    wire_close(out, resource);
    writing.scopes = wire_open(out, RESOURCE_SCOPES);
    return writing;
}

static void service_end(const struct writing *writing)
{
    wire_close(writing->out, writing->scopes);
    wire_close(writing->out, writing->resource);
}

struct span {
    unsigned trace, id, parent;  // 0: none
    bool is_agent, is_tool;
    uint64_t start_ns, end_ns;  // 0: the usual
    const char *name;           // NULL: "span"
};

static void write_id(struct buffer *out, uint32_t field, unsigned number, size_t len)
{
    uint8_t id[16] = {0xfa, 0x17};
    if (number > 0) {
        for (size_t i = 0; i < 4; i++) {
            id[len - 1 - i] = (uint8_t)(number >> 8 * i);
        }
        wire_write_bytes(out, field, bytes_from(id, len));
    }
}

// An open span; the caller adds what it likes and closes it.
static size_t span_begin(struct buffer *out, const struct span *span)
{
    size_t mark = wire_open(out, SCOPE_ITEMS);
    write_id(out, SPAN_TRACE_ID, span->trace, 16);
    write_id(out, SPAN_SPAN_ID, span->id, 8);
    write_id(out, SPAN_PARENT_ID, span->parent, 8);
    wire_write_text(out, SPAN_NAME, span->name != NULL ? span->name : "span");
    wire_write_varint(out, SPAN_KIND, SPAN_KIND_INTERNAL);
    wire_write_fixed64(out, SPAN_START, span->start_ns > 0 ? span->start_ns : START_NS);
    wire_write_fixed64(out, SPAN_END, span->end_ns > 0 ? span->end_ns : START_NS + SECOND_NS);
    if (span->is_agent || span->is_tool) {
        attribute_write_text(out, SPAN_ATTRIBUTES, "openinference.span.kind",
                             bytes_from_text(span->is_tool ? "TOOL" : "AGENT"));
        attribute_write_text(out, SPAN_ATTRIBUTES, "input.value",
                             BYTES_LITERAL("How long is delivery?"));
        attribute_write_text(out, SPAN_ATTRIBUTES, "output.value",
                             BYTES_LITERAL("Delivery takes two days."));
    }
    return mark;
}

static void span_write(struct buffer *out, const struct span *span)
{
    wire_close(out, span_begin(out, span));
}

static void spans_write(struct buffer *out, const char *service, const struct span *spans,
                        size_t count)
{
    struct writing writing = service_begin(out, service);
    for (size_t i = 0; i < count; i++) {
        span_write(out, &spans[i]);
    }
    service_end(&writing);
}

#define SPANS(out, service, ...)                                                                   \
    spans_write(out, service, (const struct span[]){__VA_ARGS__},                                  \
                sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span))

// --- what is sent ---

static void duplicates(struct buffer *out)
{
    for (unsigned i = 0; i < 3; i++) {
        SPANS(out, "twice", {.trace = 1, .id = 1}, {.trace = 1, .id = 1});
    }
}

static void colliding_traces(struct buffer *out)
{
    SPANS(out, "first", {.trace = 2, .id = 1, .is_agent = true}, {.trace = 2, .id = 2});
    SPANS(out, "second", {.trace = 2, .id = 3, .is_agent = true}, {.trace = 2, .id = 4});
}

static void colliding_spans(struct buffer *out)
{
    SPANS(out, "first", {.trace = 3, .id = 1, .name = "one"});
    SPANS(out, "second", {.trace = 3, .id = 1, .name = "another"});
    SPANS(out, "second", {.trace = 3, .id = 1, .name = "a third"});
}

static void zero_ids(struct buffer *out)
{
    static const uint8_t zeros[16];
    struct writing writing = service_begin(out, "zeros");
    for (unsigned i = 0; i < 2; i++) {
        size_t span = wire_open(out, SCOPE_ITEMS);
        wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(zeros, 16));
        wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(zeros, 8));
        wire_write_text(out, SPAN_NAME, i == 0 ? "all zero" : "zero too");
        wire_close(out, span);
    }
    span_write(out, &(struct span){.trace = 4, .id = 1});
    service_end(&writing);
}

static void missing_ids(struct buffer *out)
{
    SPANS(out, "nameless", {.name = "no ids at all", .is_agent = true}, {.trace = 5},
          {.trace = 5, .id = 1});
}

static void short_ids(struct buffer *out)
{
    struct writing writing = service_begin(out, "64 bits");
    for (unsigned i = 0; i < 2; i++) {
        size_t span = wire_open(out, SCOPE_ITEMS);
        wire_write_bytes(out, SPAN_TRACE_ID, BYTES_LITERAL("12345678"));
        wire_write_bytes(out, SPAN_SPAN_ID, BYTES_LITERAL("1234"));
        wire_write_text(out, SPAN_NAME, "short");
        wire_close(out, span);
    }
    span_write(out, &(struct span){.trace = 6, .id = 1});
    service_end(&writing);
}

static void skewed_clocks(struct buffer *out)
{
    SPANS(out, "skewed",
          {.trace = 7,
           .id = 1,
           .is_agent = true,
           .start_ns = START_NS - DAY_NS,
           .end_ns = START_NS - DAY_NS + SECOND_NS},
          {.trace = 7,
           .id = 2,
           .parent = 1,
           .start_ns = START_NS + DAY_NS,
           .end_ns = START_NS + DAY_NS + SECOND_NS});
}

static void ends_before_starts(struct buffer *out)
{
    SPANS(out, "backwards",
          {.trace = 8, .id = 1, .is_agent = true, .start_ns = START_NS, .end_ns = 1},
          {.trace = 8, .id = 2, .parent = 1, .start_ns = UINT64_MAX, .end_ns = 1},
          {.trace = 8, .id = 3, .parent = 1, .start_ns = 1, .end_ns = UINT64_MAX});
}

static void circular_parents(struct buffer *out)
{
    SPANS(out, "circle", {.trace = 9, .id = 1, .parent = 2, .is_agent = true},
          {.trace = 9, .id = 2, .parent = 1, .is_agent = true},
          {.trace = 9, .id = 3, .parent = 3, .is_agent = true});
}

static void children_first(struct buffer *out)
{
    SPANS(out, "late root", {.trace = 10, .id = 3, .parent = 2, .is_tool = true},
          {.trace = 10, .id = 2, .parent = 1}, {.trace = 10, .id = 1, .is_agent = true});
}

static void chain_of_parents(struct buffer *out)
{
    struct writing writing = service_begin(out, "deep");
    for (unsigned i = 1; i <= 5000; i++) {
        span_write(
            out, &(struct span){.trace = 11, .id = i, .parent = i - 1, .is_agent = i % 1000 == 1});
    }
    service_end(&writing);
}

static void foreign_attributes(struct buffer *out)
{
    struct writing writing = service_begin(out, "forger");
    for (unsigned i = 1; i <= 2; i++) {
        size_t span = span_begin(out, &(struct span){.trace = 12, .id = i, .is_agent = i == 1});
        attribute_write_text(out, SPAN_ATTRIBUTES, "sidejudge.verdict", BYTES_LITERAL("forged"));
        attribute_write_double(out, SPAN_ATTRIBUTES, "sidejudge.score.faithfulness", 1);
        attribute_write_text(out, SPAN_ATTRIBUTES, "sidejudge.", BYTES_LITERAL("no name"));
        attribute_write_text(out, SPAN_ATTRIBUTES, "evaluations.0.evaluation.name",
                             BYTES_LITERAL("theirs"));
        wire_close(out, span);
    }
    service_end(&writing);
}

static void million_attributes(struct buffer *out)
{
    static const uint8_t pair[] = {0x4a, 0x07, 0x0a, 0x01, 'k', 0x12, 0x02, 0x10, 0x01};
    struct writing writing = service_begin(out, "attributes");
    size_t span = span_begin(out, &(struct span){.trace = 13, .id = 1, .is_agent = true});
    for (unsigned i = 0; i < 1000000; i++) {
        buffer_append(out, pair, sizeof(pair));
    }
    wire_close(out, span);
    service_end(&writing);
}

static void many_events_and_links(struct buffer *out)
{
    struct writing writing = service_begin(out, "events");
    size_t span = span_begin(out, &(struct span){.trace = 14, .id = 1, .is_agent = true});
    for (unsigned i = 0; i < 100000; i++) {
        size_t event = wire_open(out, i % 2 == 0 ? SPAN_EVENTS : SPAN_LINKS);
        wire_close(out, event);
    }
    wire_close(out, span);
    service_end(&writing);
}

static void large_text(struct buffer *out)
{
    struct writing writing = service_begin(out, "essay");
    size_t len = (size_t)8 << 20;
    char *text = malloc(len);
    CHECK(text != NULL);
    memset(text, 'x', len);
    size_t span = span_begin(out, &(struct span){.trace = 15, .id = 1, .is_agent = true});
    attribute_write_text(out, SPAN_ATTRIBUTES, "input.value", bytes_from(text, len));
    wire_close(out, span);
    service_end(&writing);
    free(text);
}

// A value nested `depth` times, as the value of an attribute: built from the inside out.
static void write_nested(struct buffer *out, unsigned depth)
{
    size_t *marks = malloc(2 * depth * sizeof(*marks));
    CHECK(marks != NULL);
    size_t pair = wire_open(out, SPAN_ATTRIBUTES);
    wire_write_text(out, KEYVALUE_KEY, "nested");
    size_t value = wire_open(out, KEYVALUE_VALUE);
    for (unsigned i = 0; i < depth; i++) {
        marks[2 * i] = wire_open(out, ANY_ARRAY);
        marks[2 * i + 1] = wire_open(out, LIST_VALUES);
    }
    for (unsigned i = 2 * depth; i > 0; i--) {
        wire_close(out, marks[i - 1]);
    }
    wire_close(out, value);
    wire_close(out, pair);
    free(marks);
}

static void deep_nesting(struct buffer *out)
{
    struct writing writing = service_begin(out, "deep");
    for (unsigned i = 0; i < 3; i++) {
        size_t span = span_begin(out, &(struct span){.trace = 16, .id = i + 1, .is_agent = true});
        write_nested(out, i == 1 ? 10000 : 20);
        wire_close(out, span);
    }
    service_end(&writing);
}

static void bad_utf8(struct buffer *out)
{
    struct writing writing = service_begin(out, "bytes");
    for (unsigned i = 0; i < 4; i++) {
        size_t span = span_begin(out, &(struct span){.trace = 17, .id = i + 1, .is_agent = true});
        const char *key = i == 1 ? "key \xc3\x28" : "key";
        attribute_write_text(out, SPAN_ATTRIBUTES, key,
                             i == 2 ? BYTES_LITERAL("\xed\xa0\x80") : BYTES_LITERAL("sound"));
        wire_close(out, span);
    }
    service_end(&writing);
}

static void bad_utf8_of_a_resource(struct buffer *out)
{
    SPANS(out, "service \xff", {.trace = 18, .id = 1}, {.trace = 18, .id = 2});
    SPANS(out, "sound", {.trace = 18, .id = 3});
}

static void zero_bytes_in_texts(struct buffer *out)
{
    struct writing writing = service_begin(out, "zeros");
    size_t span = span_begin(out, &(struct span){.trace = 19, .id = 1, .is_agent = true});
    attribute_write_text(out, SPAN_ATTRIBUTES, "input.value", BYTES_LITERAL("a\0b\0\0"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "", BYTES_LITERAL("without a key"));
    wire_close(out, span);
    service_end(&writing);
}

static void unknown_enumerations(struct buffer *out)
{
    struct writing writing = service_begin(out, "future");
    size_t span = span_begin(out, &(struct span){.trace = 20, .id = 1, .is_agent = true});
    wire_write_varint(out, SPAN_KIND, 99);
    size_t status = wire_open(out, SPAN_STATUS);
    wire_write_varint(out, 3, UINT64_C(0xffffffffffffffff));
    wire_close(out, status);
    wire_write_varint(out, SPAN_FLAGS + 100, 7);
    wire_write_text(out, 19000, "a field of the future");
    wire_close(out, span);
    service_end(&writing);
}

static void random_with_unknown_fields(struct buffer *out)
{
    const struct sample_options options = {.has_unknown_fields = true,
                                           .repeats_singular = true,
                                           .pads_varints = true,
                                           .has_groups = true};
    struct random random;
    random_seed(&random, 815);
    while (out->len < 20000) {
        sample_request(out, SIGNAL_TRACES, &random, &options);
    }
}

static void many_services(struct buffer *out)
{
    for (unsigned i = 1; i <= 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "service-%u", i);
        SPANS(out, name, {.trace = 1000 + i, .id = i, .is_agent = true});
    }
}

static void many_agents_in_one_trace(struct buffer *out)
{
    struct writing writing = service_begin(out, "crowd");
    for (unsigned i = 1; i <= 20000; i++) {
        span_write(out, &(struct span){.trace = 21, .id = i, .is_agent = true});
    }
    service_end(&writing);
}

static void nothing(struct buffer *out)
{
    struct writing writing = service_begin(out, "idle");
    service_end(&writing);
}

static void torn_request(struct buffer *out)
{
    SPANS(out, "torn", {.trace = 22, .id = 1}, {.trace = 22, .id = 2});
    out->len -= 3;
}

static void text_of_64_mib(struct buffer *out)
{
    struct writing writing = service_begin(out, "novel");
    size_t span = span_begin(out, &(struct span){.trace = 23, .id = 1});
    size_t pair = wire_open(out, SPAN_ATTRIBUTES);
    size_t text = wire_open(out, KEYVALUE_KEY);
    uint8_t *room = buffer_reserve(out, (size_t)64 << 20);
    CHECK(room != NULL);
    memset(room, 'x', (size_t)64 << 20);
    buffer_commit(out, (size_t)64 << 20);
    wire_close(out, text);
    wire_close(out, pair);
    wire_close(out, span);
    service_end(&writing);
}

static const struct fault {
    const char *name;
    void (*make)(struct buffer *out);
    int status;         // that it must be answered with; 0: 200
    unsigned rejected;  // spans, by the partial success
    enum codec codec;   // that it is sent in
} faults[] = {
    {.name = "spans_that_come_several_times_leave_as_often", .make = duplicates},
    {.name = "trace_ids_of_two_services_collide", .make = colliding_traces},
    {.name = "span_ids_of_two_services_collide", .make = colliding_spans},
    {.name = "ids_of_zeros_are_forwarded_and_never_grouped", .make = zero_ids},
    {.name = "spans_without_ids_are_forwarded", .make = missing_ids},
    {.name = "ids_of_64_bits_are_left_out_and_said", .make = short_ids, .rejected = 2},
    {.name = "clocks_a_day_apart", .make = skewed_clocks},
    {.name = "ends_before_starts", .make = ends_before_starts},
    {.name = "parents_in_a_circle", .make = circular_parents},
    {.name = "children_before_their_parents", .make = children_first},
    {.name = "five_thousand_generations", .make = chain_of_parents},
    {.name = "foreign_sidejudge_attributes_are_not_believed", .make = foreign_attributes},
    {.name = "million_attributes_on_one_span", .make = million_attributes},
    {.name = "hundred_thousand_events_and_links", .make = many_events_and_links},
    {.name = "text_of_8_mib", .make = large_text},
    {.name = "text_of_64_mib_is_refused", .make = text_of_64_mib, .status = 413},
    {.name = "text_of_64_mib_in_gzip_is_refused",
     .make = text_of_64_mib,
     .status = 413,
     .codec = CODEC_GZIP},
    {.name = "text_of_64_mib_in_zstd_is_refused",
     .make = text_of_64_mib,
     .status = 413,
     .codec = CODEC_ZSTD},
    {.name = "values_nested_ten_thousand_deep_are_left_out", .make = deep_nesting, .rejected = 1},
    {.name = "invalid_utf8_of_a_span_leaves_it_out", .make = bad_utf8, .rejected = 2},
    {.name = "invalid_utf8_of_a_resource_leaves_its_spans_out",
     .make = bad_utf8_of_a_resource,
     .rejected = 2},
    {.name = "zero_bytes_in_texts", .make = zero_bytes_in_texts},
    {.name = "enumerations_and_fields_of_the_future", .make = unknown_enumerations},
    {.name = "random_fields_in_random_order", .make = random_with_unknown_fields},
    {.name = "two_thousand_services", .make = many_services},
    {.name = "twenty_thousand_agents_in_one_request", .make = many_agents_in_one_trace},
    {.name = "request_without_spans", .make = nothing},
    {.name = "torn_request_is_refused_whole", .make = torn_request, .status = 400},
};

// --- the stage ---

static void stage_open(void)
{
    void *harness = NULL;
    harness_setup(&harness);
    memset(&stage, 0, sizeof(stage));
    stage.passed = true;
    stage.harness = harness;
    stage.oracle = oracle_new();
    stage.backend = faulty_backend_open(stage.harness->loop, stage.oracle, 0);
    harness_start_yaml(
        stage.harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "extensions: {health_check: }\n"
        "processors: {evaluation: {hold: 300ms, completion: {linger: 100ms, idle: 1s}}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\", compression: none}}\n"
        "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], processors: "
        "[evaluation], exporters: [otlp_http]}}}\n",
        faulty_backend_url(stage.backend));
}

static void stage_close(void)
{
    void *harness = stage.harness;
    faulty_backend_close(&stage.backend);
    harness_teardown(&harness);
    oracle_free(&stage.oracle);
}

static int group_setup(void **state)
{
    (void)state;
    stage_open();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    stage_close();
    return 0;
}

// A row that failed leaves a process of which nothing is known: the next one gets a new one.
static int row_setup(void **state)
{
    (void)state;
    if (!stage.passed) {
        stage_close();
        stage_open();
    }
    stage.passed = false;
    return 0;
}

// Posts until it is not asked to wait: what many targets reserve is free when they have left.
static struct harness_reply post(struct bytes body, const char *encoding)
{
    struct harness_reply reply = {.status = 503};
    for (unsigned tries = 0; reply.status == 503 && tries < 1000; tries++) {
        harness_turn(stage.harness, tries > 0 ? 10 : 0);
        reply = harness_post(stage.harness, "/v1/traces", "application/x-protobuf", encoding, body);
        assert_true(reply.status != 503 || reply.has_retry_after);
    }
    return reply;
}

static void send(struct buffer *request)
{
    oracle_sent(stage.oracle, buffer_view(request));
    assert_int_equal(post(buffer_view(request), NULL).status, 200);
    oracle_acknowledged(stage.oracle, buffer_view(request));
    buffer_fini(request);
}

static void everything_holds(void)
{
    static unsigned number;  // a span of its own each time: the third of the same is a loop
    struct buffer request;
    buffer_init(&request, (size_t)1 << 20);
    SPANS(&request, "next", {.trace = 99, .id = ++number});
    send(&request);
    oracle_await(stage.oracle, stage.harness, 0);
    oracle_holds(stage.oracle, 0, 0);
    assert_int_equal(harness_get(stage.harness, stage.harness->health_port, "/").status, 200);
    harness_sanitizers_are_silent(stage.harness);
    stage.passed = true;
}

static void pack(enum codec codec, struct buffer *body)
{
    struct compressor *compressor = compressor_new();
    struct buffer packed;
    struct bytes part = buffer_view(body);
    buffer_init(&packed, REQUEST_BYTES_MAX);
    CHECK(codec_deflate(compressor, codec, &part, 1, &packed) == RESULT_OK);
    compressor_free(compressor);
    buffer_fini(body);
    *body = packed;
}

static void faulty_row(void **state)
{
    const struct fault *fault = *state;
    int expected = fault->status > 0 ? fault->status : 200;
    struct otlp_partial partial;
    struct buffer request;
    buffer_init(&request, REQUEST_BYTES_MAX);
    fault->make(&request);
    CHECK(buffer_status(&request) == RESULT_OK);
    if (expected == 200) {
        oracle_sent(stage.oracle, buffer_view(&request));
    }
    if (fault->codec != CODEC_NONE) {
        pack(fault->codec, &request);
    }
    struct harness_reply reply =
        post(buffer_view(&request), fault->codec != CODEC_NONE ? codec_name(fault->codec) : NULL);
    // a connection may be closed before the client has sent what is too large
    assert_true(reply.status == expected || (expected == 413 && reply.status == 0));
    if (expected == 200) {
        oracle_acknowledged(stage.oracle, buffer_view(&request));
        assert_int_equal(
            otlp_response_read(OTLP_PROTOBUF, SIGNAL_TRACES, bytes_from_text(reply.body), &partial),
            RESULT_OK);
        assert_int_equal(partial.rejected_count, fault->rejected);
    }
    buffer_fini(&request);
    everything_holds();
}

static void late_span_of_a_decided_trace_follows_as_it_came(void **state)
{
    struct buffer request;
    double decided = harness_metric(stage.harness, "sidejudge_decisions_total", "");
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        buffer_init(&request, (size_t)1 << 20);
        SPANS(&request, "late", {.trace = 30, .id = i, .parent = i - 1, .is_agent = i != 2});
        send(&request);
        oracle_await(stage.oracle, stage.harness, 0);  // it has left: what follows is late
    }
    assert_true(harness_metric(stage.harness, "sidejudge_decisions_total", "") > decided);
    everything_holds();
}

// The resident set as the kernel counts it, in KiB; `VmHWM:` is its peak.
static size_t process_kib(const char *what)
{
    char path[64];
    struct buffer text;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)stage.harness->pid);
    buffer_init(&text, (size_t)1 << 20);
    CHECK(file_read(path, &text) == RESULT_OK);
    const char *line = strstr(buffer_text(&text), what);
    size_t kib = line != NULL ? strtoul(line + strlen(what), NULL, 10) : 0;
    buffer_fini(&text);
    CHECK(kib > 0);
    return kib;
}

static void million_spans_in_one_trace_stay_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FLOOD_SPANS; i += FLOOD_REQUEST) {
        struct buffer request;
        buffer_init(&request, REQUEST_BYTES_MAX);
        struct writing writing = service_begin(&request, "flood");
        for (unsigned k = 1; k <= FLOOD_REQUEST; k++) {
            span_write(&request, &(struct span){.trace = 31,
                                                .id = i + k,
                                                .parent = i + k > 1,
                                                .is_agent = (i + k) % 100 == 1});
        }
        service_end(&writing);
        send(&request);
    }
    oracle_await(stage.oracle, stage.harness, 0);
    print_message("%u spans in one trace: peak of the resident set %zu MiB\n", FLOOD_SPANS,
                  process_kib("VmHWM:") >> 10);
#ifndef __SANITIZE_ADDRESS__
    assert_true(process_kib("VmHWM:") < FLOOD_RSS_MAX_KIB);
#endif
    everything_holds();
}

static void hundred_thousand_open_traces_stay_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i += FLOOD_REQUEST) {
        struct buffer request;
        buffer_init(&request, REQUEST_BYTES_MAX);
        struct writing writing = service_begin(&request, "open traces");
        for (unsigned k = 1; k <= FLOOD_REQUEST; k++) {
            span_write(&request, &(struct span){.trace = 1000000 + i + k,
                                                .id = i + k,
                                                .parent = 1,
                                                .is_tool = k % 10 == 0});
        }
        service_end(&writing);
        send(&request);
    }
    everything_holds();
}

static void orderly_end_after_all_of_that(void **state)
{
    (void)state;
    harness_stop(stage.harness);
    oracle_holds(stage.oracle, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, row_setup, NULL)
#define ROWS (sizeof(faults) / sizeof(faults[0]))

int main(void)
{
    struct CMUnitTest tests[ROWS + 4];
    for (size_t i = 0; i < ROWS; i++) {
        tests[i] = (struct CMUnitTest){faults[i].name, faulty_row, row_setup, NULL,
                                       (void *)(uintptr_t)&faults[i]};
    }
    tests[ROWS] = (struct CMUnitTest)TEST(late_span_of_a_decided_trace_follows_as_it_came);
    tests[ROWS + 1] = (struct CMUnitTest)TEST(million_spans_in_one_trace_stay_bounded);
    tests[ROWS + 2] = (struct CMUnitTest)TEST(hundred_thousand_open_traces_stay_bounded);
    tests[ROWS + 3] = (struct CMUnitTest)TEST(orderly_end_after_all_of_that);
    return cmocka_run_group_tests_name("data faults", tests, group_setup, group_teardown);
}
