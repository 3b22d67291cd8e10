// SPDX-License-Identifier: Apache-2.0
//
// Deterministic spans: the same seed, the same bytes. Text is Zipf-like words, so that compression
// behaves somewhat as on real prompts. Bench only.

#include "tests/bench/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "proto/attribute.h"
#include "proto/otlp.h"

#define BODY_MAX ((size_t)64 << 20)
#define VOCABULARY 4096

static void write_text(struct buffer *out, struct random *random, size_t len)
{
    size_t from = out->len;
    while (out->len - from < len) {
        uint64_t a = random_below(random, VOCABULARY), b = random_below(random, VOCABULARY);
        uint64_t word = a < b ? a : b;  // small numbers are common
        word = word < random_below(random, VOCABULARY) ? word : word / 8;
        for (unsigned letters = 2 + (unsigned)(word % 7); letters > 0; letters--) {
            buffer_append_byte(out, (uint8_t)('a' + (word * 2654435761U >> letters) % 26));
        }
        buffer_append_byte(out, ' ');
    }
}

static void put_words(struct buffer *out, struct random *random, const char *key, size_t len)
{
    struct buffer text;
    buffer_init(&text, len + 64);
    write_text(&text, random, len);
    attribute_write_text(out, SPAN_ATTRIBUTES, key, bytes_slice(buffer_view(&text), 0, len));
    buffer_fini(&text);
}

static void small_attributes(struct buffer *out, struct random *random)
{
    attribute_write_text(out, SPAN_ATTRIBUTES, "http.request.method", BYTES_LITERAL("GET"));
    attribute_write_int(out, SPAN_ATTRIBUTES, "http.response.status_code", 200);
    attribute_write_text(out, SPAN_ATTRIBUTES, "server.address",
                         BYTES_LITERAL("orders.shop.internal"));
    attribute_write_int(out, SPAN_ATTRIBUTES, "server.port", 8080);
    put_words(out, random, "url.full", 72);
    attribute_write_text(out, SPAN_ATTRIBUTES, "network.protocol.version", BYTES_LITERAL("1.1"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "user_agent.original",
                         BYTES_LITERAL("python-httpx/0.28"));
    attribute_write_bool(out, SPAN_ATTRIBUTES, "cache.hit", false);
}

static void llm_attributes(struct buffer *out, struct random *random, bool agent)
{
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.operation.name",
                         agent ? BYTES_LITERAL("invoke_agent") : BYTES_LITERAL("chat"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.provider.name", BYTES_LITERAL("openai"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.request.model",
                         BYTES_LITERAL("gpt-4.1-mini"));
    attribute_write_int(out, SPAN_ATTRIBUTES, "gen_ai.usage.input_tokens", 4211);
    attribute_write_int(out, SPAN_ATTRIBUTES, "gen_ai.usage.output_tokens", 377);
    struct buffer text;
    buffer_init(&text, 65536);
    buffer_append_text(&text, "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"");
    write_text(&text, random, 18000);
    buffer_append_text(&text, "\"}]}]");
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.input.messages", buffer_view(&text));
    buffer_reset(&text);
    buffer_append_text(&text,
                       "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"");
    write_text(&text, random, 1500);
    buffer_append_text(&text, "\"}],\"finish_reason\":\"stop\"}]");
    attribute_write_text(out, SPAN_ATTRIBUTES, "gen_ai.output.messages", buffer_view(&text));
    buffer_fini(&text);
}

static void write_span(struct buffer *out, struct random *random, enum workload_kind kind,
                       unsigned index, unsigned count)
{
    uint8_t trace_id[16] = {1}, span_id[8], root_id[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    bool root = index + 1 == count;  // spans leave when they end: the root is last
    random_fill(random, span_id, sizeof(span_id));
    size_t mark = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(trace_id, sizeof(trace_id)));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(root ? root_id : span_id, 8));
    if (!root) {
        wire_write_bytes(out, SPAN_PARENT_ID, bytes_from(root_id, 8));
    }
    wire_write_text(out, SPAN_NAME,
                    kind == WORKLOAD_SMALL           ? "GET /orders/{id}"
                    : root && kind == WORKLOAD_AGENT ? "invoke_agent support"
                                                     : "chat gpt-4.1-mini");
    wire_write_varint(out, SPAN_KIND,
                      kind == WORKLOAD_SMALL ? SPAN_KIND_CLIENT : SPAN_KIND_INTERNAL);
    wire_write_fixed64(out, SPAN_START, UINT64_C(1795255623854972540) + index);
    wire_write_fixed64(out, SPAN_END, UINT64_C(1795255624854972540) + index);
    if (kind == WORKLOAD_SMALL) {
        small_attributes(out, random);
    } else {
        llm_attributes(out, random, root && kind == WORKLOAD_AGENT);
    }
    wire_write_fixed32(out, SPAN_FLAGS, 0x101);
    wire_close(out, mark);
}

// Where the ids stand: the tag 0x0a, length 16, and the first byte 1 that write_span gave them.
static void ids_find(struct workload *workload)
{
    static const uint8_t pattern[] = {0x0a, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct bytes body = buffer_view(&workload->body);
    size_t at = 0;
    workload->ids = calloc(workload->span_count, sizeof(size_t));
    CHECK(workload->ids != NULL);
    while ((at = bytes_find(body, bytes_from(pattern, sizeof(pattern)), at)) != SIZE_MAX) {
        CHECK(workload->id_count < workload->span_count);
        workload->ids[workload->id_count++] = at + 2;
        at += sizeof(pattern);
    }
    CHECK(workload->id_count == workload->span_count);
}

void workload_init(struct workload *workload, enum workload_kind kind, unsigned span_count)
{
    struct random random;
    random_seed(&random, 7);
    memset(workload, 0, sizeof(*workload));
    workload->span_count = span_count;
    buffer_init(&workload->body, BODY_MAX);
    struct buffer *out = &workload->body;
    size_t resource_spans = wire_open(out, REQUEST_RESOURCES);
    size_t resource = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("support-agent"));
    attribute_write_text(out, RES_ATTRIBUTES, "telemetry.sdk.language", BYTES_LITERAL("python"));
    wire_close(out, resource);
    size_t scope_spans = wire_open(out, RESOURCE_SCOPES);
    size_t scope = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "bench");
    wire_close(out, scope);
    for (unsigned i = 0; i < span_count; i++) {
        write_span(out, &random, kind, i, span_count);
    }
    wire_close(out, scope_spans);
    wire_close(out, resource_spans);
    CHECK(buffer_status(out) == RESULT_OK);
    ids_find(workload);
}

void workload_fini(struct workload *workload)
{
    buffer_fini(&workload->body);
    free(workload->ids);
}

void workload_patch(const struct workload *workload, uint8_t *body, uint64_t sequence,
                    uint64_t time_ns)
{
    uint64_t mixed = (sequence + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < workload->id_count; i++) {
        memcpy(body + workload->ids[i], &mixed, sizeof(mixed));
        memcpy(body + workload->ids[i] + 8, &time_ns, sizeof(time_ns));
    }
}
