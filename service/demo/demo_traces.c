// SPDX-License-Identifier: Apache-2.0
//
// The recorded files as bytes of the binary (.incbin), their index read once. Ids are replaced in
// the text: an id is a quoted run of 32 or 16 hex digits behind a key that ends in "Id", and equal
// ids become equal ids; conversations get new names. Refused: traces made by hand. Bounds: 16
// files. Main thread.

#include "service/demo/demo_traces.h"

#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "proto/otlp_json.h"
#include "proto/scan.h"

#define TRACE_BYTES_MAX ((size_t)1 << 20)

#define EMBED(symbol, file)                                                                        \
    __asm__(".section .rodata\n"                                                                   \
            ".global demo_file_" #symbol "\n.global demo_file_end_" #symbol "\n"                   \
            "demo_file_" #symbol ":\n.incbin \"" SIDEJUDGE_TRACES "/" file "\"\n"                  \
            "demo_file_end_" #symbol ":\n.byte 0\n.previous\n");                                   \
    extern const uint8_t demo_file_##symbol[], demo_file_end_##symbol[];

#define TRACE(symbol, file) EMBED(symbol, file)
#include "service/demo/traces.def"
#undef TRACE
EMBED(index, "index.json")

static const struct {
    const char *file;
    const uint8_t *from, *end;
} files[] = {
#define TRACE(symbol, file) {file, demo_file_##symbol, demo_file_end_##symbol},
#include "service/demo/traces.def"
#undef TRACE
};

static struct bytes keep(struct demo_traces *traces, const struct json_value *row, const char *key)
{
    return arena_copy(&traces->arena, json_get_text(row, key));
}

static bool note_span(void *arg, const struct item_view *view)
{
    struct demo_trace *trace = arg;
    CHECK(view->fault == SCAN_OK && view->trace_id != NULL);
    memcpy(trace->trace_id.bytes, view->trace_id, sizeof(trace->trace_id.bytes));
    trace->span_count++;
    trace->all_green = trace->all_green && view->status != SPAN_STATUS_ERROR;
    return true;
}

static void trace_read(struct demo_traces *traces, struct demo_trace *trace)
{
    char why[256];
    struct buffer request;
    struct scan_report report;
    buffer_init(&request, 2 * TRACE_BYTES_MAX);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, trace->json, &request, why, sizeof(why)) ==
          RESULT_OK);
    trace->request = arena_copy(&traces->arena, buffer_view(&request));
    buffer_fini(&request);
    trace->all_green = true;
    CHECK(scan_request(SIGNAL_TRACES, trace->request, SCAN_CHECK_UTF8, note_span, trace, &report) ==
          RESULT_OK);
}

void demo_traces_init(struct demo_traces *traces)
{
    memset(traces, 0, sizeof(*traces));
    arena_init(&traces->arena, (size_t)8 << 20);
    struct json_document *document = NULL;
    struct bytes index =
        bytes_from(demo_file_index, (size_t)(demo_file_end_index - demo_file_index));
    CHECK(json_parse(index, &document, NULL) == RESULT_OK);
    const struct json_value *rows = json_root(document);
    for (size_t i = 0; i < json_count(rows) && traces->count < DEMO_TRACES_MAX; i++) {
        const struct json_value *row = json_at(rows, i);
        struct demo_trace *trace = &traces->items[traces->count];
        for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
            if (bytes_equal_text(json_get_text(row, "file"), files[k].file)) {
                trace->file = files[k].file;
                trace->json = bytes_from(files[k].from, (size_t)(files[k].end - files[k].from));
            }
        }
        if (trace->file == NULL) {
            continue;
        }
        trace->dialect = keep(traces, row, "dialect");
        trace->service = keep(traces, row, "service");
        trace->question = keep(traces, row, "question");
        trace->answer = keep(traces, row, "answer");
        trace->why = keep(traces, row, "why");
        trace->evidence = keep(traces, row, "evidence");
        trace->failing = keep(traces, row, "failing_sentence");
        trace->wrong = bytes_equal_text(json_get_text(row, "verdict"), "wrong");
        trace_read(traces, trace);
        traces->count++;
    }
    json_free(&document);
    CHECK(traces->count > 0);
}

void demo_traces_fini(struct demo_traces *traces)
{
    arena_fini(&traces->arena);
}

static bool is_hex_run(struct bytes text, size_t at, size_t len)
{
    if (at + len >= text.len || text.ptr[at + len] != '"') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.ptr[at + i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

// Length of the id that is quoted at `at`: behind a key that ends in Id.
static size_t id_length(struct bytes text, size_t at)
{
    if (at < 6 || text.ptr[at - 1] != '"' || memcmp(text.ptr + at - 6, "Id\": \"", 6) != 0) {
        return 0;
    }
    return is_hex_run(text, at, 32) ? 32 : is_hex_run(text, at, 16) ? 16 : 0;
}

// Length of the quoted prefix of a conversation's name at `at` ("session-, "conversation-); 0
// elsewhere.
static size_t conversation_prefix(struct bytes text, size_t at)
{
    static const char *const prefixes[] = {"\"session-", "\"conversation-"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (bytes_start_with(bytes_slice(text, at, SIZE_MAX), bytes_from_text(prefixes[i]))) {
            return strlen(prefixes[i]);
        }
    }
    return 0;
}

void demo_trace_again(const struct demo_trace *trace, struct random *random, struct buffer *out,
                      struct trace_id *trace_id)
{
    uint8_t key[16];
    random_fill(random, key, sizeof(key));
    size_t from = 0;
    for (size_t i = 0; i < trace->json.len; i++) {
        size_t prefix = conversation_prefix(trace->json, i);
        if (prefix > 0) {  // another conversation: nobody asks the same thing again
            buffer_append_bytes(out, bytes_slice(trace->json, from, i + prefix - from));
            buffer_printf(out, "%02x%02x%02x%02x-", key[0], key[1], key[2], key[3]);
            from = i + prefix;
            continue;
        }
        size_t len = id_length(trace->json, i);
        if (len == 0) {
            continue;
        }
        uint8_t id[16];
        char text[33];
        CHECK(hex_decode(bytes_slice(trace->json, i, len), id, len / 2));
        for (size_t k = 0; k < len / 2; k++) {
            id[k] ^= key[k];  // equal ids stay equal, the tree stays the tree
        }
        if (len == 32) {
            memcpy(trace_id->bytes, id, sizeof(id));
        }
        hex_encode(id, len / 2, text);
        buffer_append_bytes(out, bytes_slice(trace->json, from, i - from));
        buffer_append_text(out, text);
        i += len;
        from = i;
    }
    buffer_append_bytes(out, bytes_slice(trace->json, from, SIZE_MAX));
}
