// SPDX-License-Identifier: Apache-2.0
// See the header. Configurations go through config_load and option_bind, so that the rows of the
// kinds are tested with them.
#include "tests/unit/export_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "proto/attribute.h"

static void span_write(struct buffer *out, uint32_t number, struct bytes filler)
{
    uint8_t trace_id[16] = {0x5a}, span_id[8] = {0x5a};
    char name[32];
    memcpy(trace_id + 8, &number, 4);
    memcpy(span_id + 4, &number, 4);
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(trace_id, 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(span_id, 8));
    snprintf(name, sizeof(name), "span-%u", number);
    wire_write_text(out, SPAN_NAME, name);
    wire_write_varint(out, SPAN_KIND, SPAN_KIND_CLIENT);
    wire_write_fixed64(out, SPAN_START, 1700000000000000000);
    wire_write_fixed64(out, SPAN_END, 1700000001000000000);
    attribute_write_int(out, SPAN_ATTRIBUTES, "number", number);
    attribute_write_text(out, SPAN_ATTRIBUTES, "text", filler);
    wire_close(out, span);
}

// Text of which each span has its own and that compresses to about three quarters.
static void text_fill(uint8_t *text, size_t len, uint32_t seed)
{
    uint32_t noise = seed * 2654435761U + 1;
    for (size_t i = 0; i < len; i++) {
        noise = noise * 1664525U + 1013904223U;
        text[i] = (uint8_t)(' ' + (noise >> 16) % 90);
    }
}

void sample_spans(struct buffer *out, uint32_t first, uint32_t count, size_t filler)
{
    uint8_t *text = malloc(filler + 1);
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t attributes = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("sample"));
    wire_close(out, attributes);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    for (uint32_t i = 0; i < count; i++) {
        text_fill(text, filler, first + i);
        span_write(out, first + i, bytes_from(text, filler));
    }
    wire_close(out, scope);
    wire_close(out, resource);
    free(text);
}

struct parcel *sample_parcel(uint32_t first, uint32_t count, size_t filler)
{
    struct buffer body;
    buffer_init(&body, (size_t)1 << 30);
    sample_spans(&body, first, count, filler);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), 1);
    batch->item_count = count;
    buffer_fini(&body);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    parcel->charge_bytes = batch->body.len;
    return parcel;
}

static struct slab slab_of(struct batch_home *home, struct bytes bytes)
{
    struct slab slab = {0};
    if (slab_grow(home, &slab, bytes.len) != RESULT_OK) {
        abort();
    }
    memcpy(slab.ptr, bytes.ptr, bytes.len);
    slab.len = bytes.len;
    return slab;
}

struct parcel *sample_parcel_packed(struct batch_home *home, uint32_t first, uint32_t count,
                                    size_t filler)
{
    struct buffer body, packed;
    buffer_init(&body, (size_t)1 << 30);
    buffer_init(&packed, (size_t)1 << 30);
    sample_spans(&body, first, count, filler);
    struct compressor *compressor = compressor_new();
    struct bytes view = buffer_view(&body);
    if (codec_deflate(compressor, CODEC_GZIP, &view, 1, &packed) != RESULT_OK) {
        abort();
    }
    compressor_free(compressor);
    struct slab body_slab = slab_of(home, view);
    struct slab packed_slab = slab_of(home, buffer_view(&packed));
    struct batch *batch = batch_seal(home, SIGNAL_TRACES, &body_slab, &packed_slab, CODEC_GZIP, 1);
    batch->item_count = count;
    buffer_fini(&body);
    buffer_fini(&packed);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    parcel->charge_bytes = batch->body.len;
    return parcel;
}

static void metric_write(struct buffer *out, uint32_t points)
{
    size_t metric = wire_open(out, SCOPE_ITEMS);
    wire_write_text(out, 1, "gauge");
    size_t gauge = wire_open(out, 5);
    for (uint32_t i = 0; i < points; i++) {
        size_t point = wire_open(out, 1);
        wire_write_fixed64(out, 3, 1700000000000000000);
        wire_write_double(out, 4, i);
        wire_close(out, point);
    }
    wire_close(out, gauge);
    wire_close(out, metric);
}

struct parcel *sample_metrics(uint32_t count, uint32_t points)
{
    struct buffer body;
    buffer_init(&body, (size_t)1 << 30);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t scope = wire_open(&body, RESOURCE_SCOPES);
    for (uint32_t i = 0; i < count; i++) {
        metric_write(&body, points);
    }
    wire_close(&body, scope);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_METRICS, buffer_view(&body), 1);
    batch->item_count = count * points;
    buffer_fini(&body);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    parcel->charge_bytes = batch->body.len;
    return parcel;
}

// --- exporters ------------------------------------------------------------------------------

static struct config *config_of(const char *yaml)
{
    struct buffer text, errors;
    struct config *config = NULL;
    buffer_init(&text, 65536);
    buffer_init(&errors, 65536);
    buffer_printf(&text, "yaml:%s", yaml);
    const char *source = buffer_text(&text);
    if (config_load(&source, 1, NULL, 0, &config, &errors, NULL) != RESULT_OK) {
        fprintf(stderr, "%s\n", buffer_text(&errors));
        abort();
    }
    buffer_fini(&text);
    buffer_fini(&errors);
    return config;
}

static void *bind(const struct exporter_ops *ops, const struct config *config, struct arena *arena,
                  struct buffer *out)
{
    struct option_errors errors = {.out = out};
    const struct config_node *node = config_root(config);
    void *bound = malloc(ops->kind.config_size);
    option_bind(ops->kind.options, node, "exporters::sample", bound, ops->kind.config_size, arena,
                &errors);
    if (ops->kind.validate != NULL && errors.count == 0) {
        ops->kind.validate(bound, node, "exporters::sample", &errors);
    }
    return bound;
}

void sample_errors(const struct exporter_ops *ops, const char *yaml, struct buffer *out)
{
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    struct config *config = config_of(yaml);
    free(bind(ops, config, &arena, out));
    config_free(&config);
    arena_fini(&arena);
}

struct exporter *sample_start(const struct exporter_ops *ops, const char *id, const char *yaml,
                              char *why, size_t why_len)
{
    static struct component_env env;
    struct arena arena;
    struct buffer errors;
    struct exporter *exporter = NULL;
    arena_init(&arena, (size_t)1 << 20);
    buffer_init(&errors, 65536);
    struct config *config = config_of(yaml);
    void *bound = bind(ops, config, &arena, &errors);
    if (errors.len > 0) {
        snprintf(why, why_len, "%s", buffer_text(&errors));
    } else {
        env = (struct component_env){.id = id, .processors_max = 2, .user_agent = "sidejudge/test"};
        static const struct bytes own = {(const uint8_t *)"127.0.0.1:1", 11};
        env.own_addresses = &own;
        env.own_address_count = 1;
        if (ops->start(&env, bound, &exporter, why, why_len) != RESULT_OK) {
            exporter = NULL;
        }
    }
    free(bound);
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&errors);
    return exporter;
}

void sample_push(const struct exporter_ops *ops, struct exporter *exporter, struct parcel *parcel)
{
    if (ops->reserve(exporter, parcel->batch->signal, parcel->item_count, parcel->charge_bytes,
                     parcel->own) != RESULT_OK) {
        abort();
    }
    parcel->links[0].parcel = parcel;
    ops->push(exporter, &parcel->links[0]);
}

void sample_finish(const struct exporter_ops *ops, struct exporter **exporter)
{
    ops->drain(*exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->free(exporter);
}

struct marking {
    uint32_t *fate;
    uint32_t count;
};

static bool mark_span(void *arg, const struct item_view *view)
{
    struct marking *marking = arg;
    struct any_view number;
    if (view->fault == SCAN_OK &&
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "number", &number) &&
        number.number >= 0 && number.number < marking->count) {
        marking->fate[number.number]++;
    }
    return true;
}

bool sample_mark(struct bytes request, uint32_t *fate, uint32_t count)
{
    struct marking marking = {fate, count};
    struct scan_report report;
    return scan_request(SIGNAL_TRACES, request, 0, mark_span, &marking, &report) == RESULT_OK;
}
