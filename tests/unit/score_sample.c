// SPDX-License-Identifier: Apache-2.0
// See the header. Texts are literals; ids follow from the seed.
#include "tests/unit/score_sample.h"

#include <string.h>

#include "proto/attribute.h"

static const struct row {
    const char *name;
    enum score_type type;
    bool has_value, is_error;
    double value;
    const char *label, *explanation;
    bool by_judge, picked, plain, failed;
} rows[SAMPLE_COUNT] = {
    [SAMPLE_NUMERIC] = {"helpfulness", SCORE_NUMERIC, true, false, 0.75, "pass",
                        "answers \"all\" of it", true, true, true, false},
    [SAMPLE_BOOLEAN] = {"json_valid", SCORE_BOOLEAN, true, false, 1, "pass", "", false, true, true,
                        false},
    [SAMPLE_CATEGORICAL] = {"tone", SCORE_CATEGORICAL, false, false, 0, "friendly", "warm words",
                            true, true, true, false},
    [SAMPLE_FAILED] = {"no_loop", SCORE_BOOLEAN, true, false, 0, "fail", "same call 5 times", false,
                       false, false, true},
    [SAMPLE_TARGETED] = {"helpfulness", SCORE_NUMERIC, true, false, 0.25, "fail",
                         "misses the point", true, true, false, true},
    [SAMPLE_ERROR] = {"helpfulness", SCORE_NUMERIC, false, true, 0, "", "no answer", true, true,
                      true, false},
};

struct score_record score_sample(enum score_sample which, uint8_t seed)
{
    const struct row *row = &rows[which];
    struct score_record record = {
        .trace_id = {{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e,
                      0x0e, 0x47, seed}},
        .span_id = {{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, seed}},
        .name = bytes_from_text(row->name),
        .type = row->type,
        .is_error = row->is_error,
        .has_value = row->has_value,
        .value = row->value,
        .label = bytes_from_text(row->label),
        .explanation = bytes_from_text(row->explanation),
        .by_judge = row->by_judge,
        .identifier = bytes_from_text(row->by_judge ? "epoch-7" : "code-1"),
        .picked = row->picked,
        .plain = row->plain,
        .failed = row->failed,
        .probability = row->plain ? 0.125 : 1,
        .end_ns = SCORE_SAMPLE_END_NS,
        .environment = BYTES_LITERAL("Production"),
        .session_id = BYTES_LITERAL("session-1"),
        .user_id = BYTES_LITERAL("user-1"),
        .service_name = BYTES_LITERAL("shop"),
        .response_id = BYTES_LITERAL("resp-1"),
        .span_name = BYTES_LITERAL("invoke_agent shop"),
    };
    score_record_id(&record.trace_id, &record.span_id, record.name, record.identifier, 1,
                    record.id);
    return record;
}

void score_sample_request(struct buffer *out, const struct score_record *records, size_t count)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t attributes = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("shop"));
    wire_close(out, attributes);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    for (size_t i = 0; i < count; i++) {
        score_record_write(out, SCOPE_ITEMS, &records[i]);
    }
    wire_close(out, scope);
    wire_close(out, resource);
}

struct parcel *score_sample_parcel(const struct score_record *records, size_t count)
{
    struct buffer body;
    buffer_init(&body, (size_t)1 << 26);
    score_sample_request(&body, records, count);
    struct batch *batch = batch_make(SIGNAL_SCORES, buffer_view(&body), 1);
    batch->item_count = (uint32_t)count;
    buffer_fini(&body);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    parcel->charge_bytes = batch->body.len;
    parcel->own = true;
    return parcel;
}
