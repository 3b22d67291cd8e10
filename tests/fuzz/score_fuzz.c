// SPDX-License-Identifier: Apache-2.0
//
// Scores on their way to sinks: any bytes as a score record and as a request of scores, and records
// made of any bytes. Whatever is encoded is what the backend's parser takes: JSON, or a request of
// spans.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "exporter/score/braintrust.h"
#include "exporter/score/datadog_evaluations.h"
#include "exporter/score/langfuse_scores.h"
#include "exporter/score/langsmith_feedback.h"
#include "exporter/score/langwatch.h"
#include "exporter/score/phoenix_annotations.h"
#include "exporter/score/webhook.h"
#include "proto/attribute.h"

enum { HEAD_BYTES = 4, OUT_BYTES_MAX = 64 << 20, TEXTS = 9 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum shape { SHAPE_JSON, SHAPE_LINES, SHAPE_PARTS, SHAPE_SPANS };  // PARTS: of a multipart body

static const struct {
    const struct score_form *form;
    enum shape shape;
} forms[] = {
    {&langfuse_scores_form, SHAPE_JSON},
    {&phoenix_annotations_form, SHAPE_JSON},
    {&langsmith_feedback_form, SHAPE_PARTS},
    {&datadog_evaluations_form, SHAPE_JSON},
    {&webhook_form, SHAPE_JSON},
    {&score_lines_form, SHAPE_LINES},
    {&braintrust_form, SHAPE_SPANS},
    {&langwatch_form, SHAPE_SPANS},
};

static void lines_are_json(struct bytes text, bool all)
{
    while (text.len > 0) {
        size_t end = bytes_find(text, BYTES_LITERAL("\n"), 0);
        CHECK(end != SIZE_MAX);
        struct bytes line = bytes_slice(text, 0, end);
        CHECK((!all && !bytes_start_with(line, BYTES_LITERAL("{"))) || json_is_valid(line));
        text = bytes_slice(text, end + 1, SIZE_MAX);
    }
}

static bool span_is_sound(void *arg, const struct item_view *view)
{
    (void)arg;
    CHECK(view->fault == SCAN_OK);
    return true;
}

static void encoded(struct bytes request, enum score_send send)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct score_encoder encoder = {
            .form = forms[i].form, .send = send, .suffix = "_targeted", .application = "app"};
        struct score_counts counts;
        struct buffer out;
        struct scan_report report;
        buffer_init(&out, OUT_BYTES_MAX);
        if (score_encode(&encoder, request, UINT64_C(1) << 60, &out, &counts) == RESULT_OK &&
            counts.sent > 0) {
            struct bytes text = buffer_view(&out);
            CHECK(forms[i].shape != SHAPE_JSON || json_is_valid(text));
            if (forms[i].shape == SHAPE_LINES || forms[i].shape == SHAPE_PARTS) {
                lines_are_json(text, forms[i].shape == SHAPE_LINES);
            } else if (forms[i].shape == SHAPE_SPANS) {
                CHECK(scan_request(SIGNAL_TRACES, text, 0, span_is_sound, NULL, &report) ==
                      RESULT_OK);
            }
        }
        buffer_fini(&out);
    }
}

static struct bytes text_cut(struct bytes *rest, size_t most)
{
    size_t len = rest->len > 0 ? rest->ptr[0] % 64 : 0;
    *rest = bytes_slice(*rest, 1, SIZE_MAX);
    len = len < most ? len : most;
    struct bytes text = bytes_slice(*rest, 0, len);
    *rest = bytes_slice(*rest, text.len, SIZE_MAX);
    return text;
}

// A record of these bytes, as evaluation would write it.
static void record_made(const uint8_t head[HEAD_BYTES], struct bytes rest,
                        struct score_record *record)
{
    memset(record, 0, sizeof(*record));
    record->trace_id.bytes[0] = 1;
    record->span_id.bytes[7] = (uint8_t)(head[0] | 1);
    score_record_id(&record->trace_id, &record->span_id, rest, BYTES_LITERAL("e"), head[1],
                    record->id);
    record->type = (enum score_type)(head[1] % 3);
    record->is_error = head[2] % 8 == 0;
    record->has_value = !record->is_error && head[2] % 3 != 0;
    record->value = record->type == SCORE_BOOLEAN ? head[3] % 2 : (double)head[3] / 255;
    record->value = record->has_value ? record->value : 0;
    record->by_judge = head[2] & 1;
    record->picked = head[2] >> 1 & 1;
    record->plain = head[2] >> 2 & 1;
    record->failed = head[2] >> 3 & 1;
    record->probability = (double)head[1] / 255;
    record->end_ns = (UINT64_C(1) << 60) - ((uint64_t)head[0] << (head[3] % 48));
    struct bytes *texts[TEXTS] = {&record->name,       &record->label,       &record->explanation,
                                  &record->identifier, &record->environment, &record->session_id,
                                  &record->user_id,    &record->response_id, &record->span_name};
    for (size_t i = 0; i < TEXTS; i++) {
        *texts[i] = text_cut(&rest, i == 0 ? 64 : SIZE_MAX);
        if (!utf8_is_valid(*texts[i])) {
            *texts[i] = BYTES_LITERAL("\"\\");
        }
    }
    record->service_name = record->session_id;
}

static void request_begin(struct buffer *out, size_t *resource, size_t *scopes)
{
    buffer_init(out, OUT_BYTES_MAX);
    *resource = wire_open(out, REQUEST_RESOURCES);
    *scopes = wire_open(out, RESOURCE_SCOPES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    enum score_send send = (enum score_send)(data[0] % 3);
    struct bytes rest = bytes_from(data + HEAD_BYTES, size - HEAD_BYTES);
    struct score_record read, made;
    struct buffer request;
    size_t resource, scopes;
    encoded(rest, send);
    (void)score_record_read(rest, &read);
    request_begin(&request, &resource, &scopes);
    wire_write_bytes(&request, SCOPE_ITEMS, rest);
    record_made(data, rest, &made);
    size_t at = request.len;
    score_record_write(&request, SCOPE_ITEMS, &made);
    struct wire wire = wire_of(bytes_slice(buffer_view(&request), at, SIZE_MAX));
    struct wire_field field;
    CHECK(wire_next(&wire, &field));
    bool is_read = score_record_read(field.bytes, &read);
    CHECK(is_read == (made.name.len > 0));
    CHECK(!is_read || (bytes_equal(read.name, made.name) && strcmp(read.id, made.id) == 0 &&
                       fabs(read.value - made.value) < 1e-9 && read.end_ns == made.end_ns));
    wire_close(&request, scopes);
    wire_close(&request, resource);
    encoded(buffer_view(&request), send);
    buffer_fini(&request);
    return 0;
}
