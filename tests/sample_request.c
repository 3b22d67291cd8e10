// SPDX-License-Identifier: Apache-2.0
/*
 * Makes requests out of a seed. The two shapes that figures are measured on are written out; the
 * random ones follow the schema row by row, so that a new field is in the tests as soon as it is in
 * the table. Only sound requests come from here: tests that want faults break them.
 */
#include "tests/sample_request.h"

#include <stdio.h>

#include "proto/attribute.h"
#include "proto/wire.h"

static void id_write(struct buffer *out, uint32_t number, size_t len, struct random *random)
{
    uint8_t id[16];
    random_fill(random, id, len);
    id[0] |= 1;  // never all zero
    wire_write_bytes(out, number, bytes_from(id, len));
}

static void head_write(struct buffer *out)
{
    size_t mark = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("checkout"));
    attribute_write_text(out, RES_ATTRIBUTES, "telemetry.sdk.language", BYTES_LITERAL("python"));
    wire_close(out, mark);
}

static void scope_head_write(struct buffer *out)
{
    size_t mark = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "sample");
    wire_write_text(out, SCOPE_VERSION, "1.2.3");
    wire_close(out, mark);
}

static void ids_write(struct buffer *out, const char *name, uint64_t kind, struct random *random)
{
    id_write(out, SPAN_TRACE_ID, 16, random);
    id_write(out, SPAN_SPAN_ID, 8, random);
    id_write(out, SPAN_PARENT_ID, 8, random);
    wire_write_text(out, SPAN_NAME, name);
    wire_write_varint(out, SPAN_KIND, kind);
    wire_write_fixed64(out, SPAN_START, UINT64_C(1700000000000000000));
    wire_write_fixed64(out, SPAN_END, UINT64_C(1700000000123456789));
}

static void small_span_write(struct buffer *out, struct random *random)
{
    static const char *const routes[] = {"/cart", "/orders/{id}", "/orders/{id}/items", "/health"};
    char text[32];
    const char *route = routes[random_below(random, 4)];
    size_t span = wire_open(out, SCOPE_ITEMS);
    ids_write(out, route, SPAN_KIND_SERVER, random);
    attribute_write_text(out, SPAN_ATTRIBUTES, "http.request.method", BYTES_LITERAL("GET"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "http.route", bytes_from_text(route));
    attribute_write_int(out, SPAN_ATTRIBUTES, "http.response.status_code", 200);
    attribute_write_int(out, SPAN_ATTRIBUTES, "server.port", 8080);
    attribute_write_bool(out, SPAN_ATTRIBUTES, "cache.hit", random_below(random, 2) == 0);
    attribute_write_double(out, SPAN_ATTRIBUTES, "queue.wait", random_unit(random));
    snprintf(text, sizeof text, "user-%05u", (unsigned)random_below(random, 100000));
    attribute_write_text(out, SPAN_ATTRIBUTES, "enduser.id", bytes_from_text(text));
    if (random_below(random, 2) == 0) {
        attribute_write_text(out, SPAN_ATTRIBUTES, "url.path",
                             BYTES_LITERAL("/a/path/that/is/long"));
    }
    wire_close(out, wire_open(out, SPAN_STATUS));
    wire_write_fixed32(out, SPAN_FLAGS, 0x101);
    wire_close(out, span);
}

typedef void (*span_write_fn)(struct buffer *out, struct random *random, const void *arg);

static void spans_write(struct buffer *out, unsigned count, uint64_t seed, span_write_fn write,
                        const void *arg)
{
    struct random random;
    random_seed(&random, seed);
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    head_write(out);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    scope_head_write(out);
    for (unsigned i = 0; i < count; i++) {
        write(out, &random, arg);
    }
    wire_close(out, scope);
    wire_close(out, resource);
}

static void small_write(struct buffer *out, struct random *random, const void *arg)
{
    (void)arg;
    small_span_write(out, random);
}

void sample_small_spans(struct buffer *out, unsigned count, uint64_t seed)
{
    spans_write(out, count, seed, small_write, NULL);
}

struct llm_shape {
    size_t span_bytes;
    unsigned accents_every;
};

static void words_write(struct buffer *text, size_t len, const struct llm_shape *shape,
                        struct random *random)
{
    static const char *const words[] = {"the",  "refund", "policy", "allows", "returns", "within",
                                        "days", "of",     "order",  "customer", "asked",  "for"};
    unsigned count = 0;
    buffer_reset(text);
    while (text->len < len) {
        bool is_accented = shape->accents_every > 0 && ++count % shape->accents_every == 0;
        buffer_append_text(text,
                           is_accented ? "d\xc3\xa9j\xc3\xa0" : words[random_below(random, 12)]);
        buffer_append_byte(text, ' ');
    }
}

static void llm_span_write(struct buffer *out, struct random *random, const void *arg)
{
    const struct llm_shape *shape = arg;
    struct buffer text;
    buffer_init(&text, shape->span_bytes + 64);
    size_t span = wire_open(out, SCOPE_ITEMS);
    ids_write(out, "chat gpt-4o", SPAN_KIND_CLIENT, random);
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.operation.name", BYTES_LITERAL("chat"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.request.model", BYTES_LITERAL("gpt-4o"));
    attribute_write_int(out, SPAN_ATTRIBUTES, "gen_ai.usage.input_tokens", 3210);
    attribute_write_int(out, SPAN_ATTRIBUTES, "gen_ai.usage.output_tokens", 321);
    words_write(&text, shape->span_bytes * 3 / 4, shape, random);
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.input.messages", buffer_view(&text));
    words_write(&text, shape->span_bytes / 4, shape, random);
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.output.messages", buffer_view(&text));
    wire_close(out, wire_open(out, SPAN_STATUS));
    wire_close(out, span);
    buffer_fini(&text);
}

void sample_llm_spans(struct buffer *out, unsigned count, size_t span_bytes,
                      unsigned accents_every, uint64_t seed)
{
    struct llm_shape shape = {span_bytes, accents_every};
    spans_write(out, count, seed, llm_span_write, &shape);
}

// A varint, longer than it need be when the options say so.
static void varint_append(struct buffer *out, uint64_t value, bool may_pad, size_t len_max,
                          struct random *random)
{
    uint8_t room[10];
    uint8_t *end = wire_put_varint(room, value);
    if (may_pad && (size_t)(end - room) < len_max && random_below(random, 16) == 0) {
        end[-1] |= 0x80;
        *end++ = 0;
    }
    buffer_append(out, room, (size_t)(end - room));
}

static void tag_append(struct buffer *out, uint32_t number, enum wire_type type,
                       struct random *random, const struct sample_options *options)
{
    varint_append(out, (uint64_t)number << 3 | type, options->pads_varints, 5, random);
}

static void payload_append(struct buffer *out, struct bytes payload, struct random *random,
                           const struct sample_options *options)
{
    varint_append(out, payload.len, options->pads_varints, 5, random);
    buffer_append_bytes(out, payload);
}

static uint64_t number_any(struct random *random)
{
    switch (random_below(random, 4)) {
    case 0:
        return random_below(random, 4);
    case 1:
        return random_below(random, 100000);
    case 2:
        return UINT64_MAX - random_below(random, 3);
    default:
        return random_next(random);
    }
}

static void text_any(struct buffer *text, struct random *random)
{
    static const char *const parts[] = {"a", "key", "gen_ai.", "\xc3\xa9", "\xe2\x82\xac", "",
                                        "\xf0\x9f\x98\x80", "0123456789abcdef", " "};
    uint64_t count = random_below(random, 6);
    for (uint64_t i = 0; i < count; i++) {
        buffer_append_text(text, parts[random_below(random, 9)]);
    }
    if (random_below(random, 32) == 0) {
        for (unsigned i = 0; i < 40; i++) {
            buffer_append_text(text, "long text ");
        }
    }
}

static void scalar_append(struct buffer *out, const struct schema_field *field, bool is_packed,
                          struct random *random, const struct sample_options *options)
{
    uint64_t value = number_any(random);
    size_t len = field->wire_type == WIRE_FIXED64 ? 8 : 4;
    if (field->kind == KIND_BOOL) {
        value &= 1;
    } else if (field->kind == KIND_ENUM || field->kind == KIND_UINT32 ||
               field->kind == KIND_SINT32) {
        value &= INT32_MAX;
    }
    if (field->wire_type == WIRE_VARINT) {
        varint_append(out, value, options->pads_varints && !is_packed, 9, random);
    } else {
        buffer_append(out, &value, len);
    }
}

static void nested_append(struct buffer *out, const struct schema_field *field,
                          struct random *random, const struct sample_options *options)
{
    struct sample_options inner = *options;
    struct buffer payload;
    buffer_init(&payload, (size_t)1 << 20);
    if (options->depth_max > 1) {
        inner.depth_max--;
        sample_message(&payload, field->holds, random, &inner);
    }
    payload_append(out, buffer_view(&payload), random, options);
    buffer_fini(&payload);
}

static void len_append(struct buffer *out, const struct schema_field *field, struct random *random,
                       const struct sample_options *options)
{
    struct buffer payload;
    size_t id_len = field->kind == KIND_TRACE_ID ? 16 : 8;
    uint8_t id[16];
    buffer_init(&payload, 4096);
    switch (field->kind) {
    case KIND_STRING:
        text_any(&payload, random);
        break;
    case KIND_BYTES:
        random_fill(random, id, sizeof id);
        buffer_append(&payload, id, (size_t)random_below(random, sizeof id));
        break;
    default:
        random_fill(random, id, sizeof id);
        buffer_append(&payload, id, random_below(random, 8) == 0 ? 0 : id_len);
        break;
    }
    payload_append(out, buffer_view(&payload), random, options);
    buffer_fini(&payload);
}

static void packed_append(struct buffer *out, const struct schema_field *field,
                          struct random *random, const struct sample_options *options)
{
    struct buffer payload;
    buffer_init(&payload, 4096);
    uint64_t count = random_below(random, 5);
    for (uint64_t i = 0; i < count; i++) {
        scalar_append(&payload, field, true, random, options);
    }
    payload_append(out, buffer_view(&payload), random, options);
    buffer_fini(&payload);
}

static void field_append(struct buffer *out, const struct schema_field *field, uint32_t number,
                         struct random *random, const struct sample_options *options)
{
    bool is_packed = field->label == LABEL_MANY && field->wire_type != WIRE_LEN &&
                     random_below(random, 2) == 0;
    tag_append(out, number, is_packed ? WIRE_LEN : (enum wire_type)field->wire_type, random,
               options);
    if (is_packed) {
        packed_append(out, field, random, options);
    } else if (field->kind == KIND_MESSAGE) {
        nested_append(out, field, random, options);
    } else if (field->wire_type == WIRE_LEN) {
        len_append(out, field, random, options);
    } else {
        scalar_append(out, field, false, random, options);
    }
}

// Numbers that no message has, and of every wire type.
static void unknown_append(struct buffer *out, struct random *random,
                           const struct sample_options *options)
{
    static const uint32_t numbers[] = {17, 31, 1000, 70000, 536870911};
    uint32_t number = numbers[random_below(random, 5)];
    switch (random_below(random, options->has_groups ? 5 : 4)) {
    case 0:
        wire_write_varint(out, number, number_any(random));
        break;
    case 1:
        wire_write_fixed64(out, number, number_any(random));
        break;
    case 2:
        wire_write_fixed32(out, number, (uint32_t)number_any(random));
        break;
    case 3:
        wire_write_bytes(out, number, BYTES_LITERAL("\xff not \xfe text"));
        break;
    default:
        wire_write_tag(out, number, WIRE_GROUP);
        wire_write_varint(out, 1, 7);
        wire_write_tag(out, number, WIRE_GROUP_END);
        break;
    }
}

void sample_message(struct buffer *out, enum schema_message type, struct random *random,
                    const struct sample_options *options)
{
    struct sample_options used = *options;
    bool has_come[SCHEMA_NUMBER_MAX + 1] = {false};
    used.depth_max = used.depth_max > 0 ? used.depth_max : 6;
    used.fields_max = used.fields_max > 0 ? used.fields_max : 8;
    uint64_t count = random_below(random, used.fields_max + 1);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number = 1 + (uint32_t)random_below(random, SCHEMA_NUMBER_MAX);
        const struct schema_field *field = schema_field(type, number);
        if (field == NULL) {
            number = 1 + (uint32_t)random_below(random, 3);
            field = schema_field(type, number);
        }
        if (field == NULL || (has_come[number] && field->label == LABEL_ONE &&
                              !used.repeats_singular)) {
            continue;
        }
        has_come[number] = true;
        field_append(out, field, number, random, &used);
        if (used.has_unknown_fields && random_below(random, 8) == 0) {
            unknown_append(out, random, &used);
        }
    }
}

static void items_append(struct buffer *out, enum signal signal, struct random *random,
                         const struct sample_options *options)
{
    uint64_t count = random_below(random, 4);
    for (uint64_t i = 0; i < count; i++) {
        size_t item = wire_open(out, SCOPE_ITEMS);
        sample_message(out, schema_item(signal), random, options);
        wire_close(out, item);
    }
}

static void head_append(struct buffer *out, enum schema_message type, struct random *random,
                        const struct sample_options *options)
{
    if (random_below(random, 4) > 0) {
        size_t head = wire_open(out, 1);
        sample_message(out, type, random, options);
        wire_close(out, head);
    }
}

static void url_append(struct buffer *out, struct random *random)
{
    if (random_below(random, 2) == 0) {
        wire_write_text(out, RESOURCE_SCHEMA_URL, "https://example.com/schema");
    }
}

static void scope_append(struct buffer *out, enum signal signal, struct random *random,
                         const struct sample_options *options)
{
    bool head_last = random_below(random, 4) == 0;
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    if (!head_last) {
        head_append(out, SCHEMA_SCOPE, random, options);
    }
    items_append(out, signal, random, options);
    url_append(out, random);
    if (head_last) {
        head_append(out, SCHEMA_SCOPE, random, options);
    }
    if (options->has_unknown_fields && random_below(random, 4) == 0) {
        unknown_append(out, random, options);
    }
    wire_close(out, scope);
}

void sample_request(struct buffer *out, enum signal signal, struct random *random,
                    const struct sample_options *options)
{
    uint64_t resource_count = random_below(random, 4);
    for (uint64_t i = 0; i < resource_count; i++) {
        bool head_last = random_below(random, 4) == 0;
        uint64_t scope_count = random_below(random, 4);
        size_t resource = wire_open(out, REQUEST_RESOURCES);
        if (!head_last) {
            head_append(out, SCHEMA_RESOURCE, random, options);
        }
        for (uint64_t s = 0; s < scope_count; s++) {
            scope_append(out, signal, random, options);
        }
        url_append(out, random);
        if (head_last) {
            head_append(out, SCHEMA_RESOURCE, random, options);
        }
        wire_close(out, resource);
        if (options->has_unknown_fields && random_below(random, 4) == 0) {
            unknown_append(out, random, options);
        }
    }
}
