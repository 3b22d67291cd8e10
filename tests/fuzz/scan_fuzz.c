// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a request of any signal (first byte): the scan and all that walks what it accepted.
// The fast readers must agree with the validator, and a second, trusting pass with the first.
#include <stdlib.h>

#include "base/check.h"
#include "proto/attribute.h"
#include "proto/item.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pass {
    struct bytes body;
    struct buffer text;
    unsigned count, sound_count;
};

static void attributes_walk(struct pass *pass, struct bytes fields, uint32_t number)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    attribute_walk_begin(&walk, fields, number);
    while (attribute_walk_next(&walk, &attribute)) {
        CHECK(attribute.field.ptr >= pass->body.ptr);
        buffer_reset(&pass->text);
        any_write_json(&attribute.value, &pass->text);
    }
}

static bool view_check(void *arg, const struct item_view *view)
{
    struct pass *pass = arg;
    pass->count++;
    if (view->fault == SCAN_RESOURCE || view->fault == SCAN_SCOPE) {
        return true;
    }
    enum scan_fault expected =
        message_validate(schema_item(view->signal), view->item, SCAN_CHECK_UTF8, 1);
    CHECK(view->fault == expected);
    if (view->fault != SCAN_OK) {
        return true;
    }
    pass->sound_count++;
    attributes_walk(pass, view->resource, RES_ATTRIBUTES);
    attributes_walk(pass, view->item,
                    view->signal == SIGNAL_LOGS ? LOG_ATTRIBUTES : SPAN_ATTRIBUTES);
    struct item_view again;
    scan_item_at(view->signal, pass->body, view->place, &again);
    CHECK(again.item.ptr == view->item.ptr && again.trace_id == view->trace_id);
    CHECK(again.resource.ptr == view->resource.ptr && again.scope.len == view->scope.len);
    return true;
}

static bool view_count(void *arg, const struct item_view *view)
{
    unsigned *count = arg;
    (*count)++;
    return view->item.ptr != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum signal signal = (enum signal)(data[0] % SIGNAL_OTLP_COUNT);
    struct pass pass = {.body = bytes_from(data + 1, size - 1)};
    struct scan_report report;
    unsigned count = 0;
    buffer_init(&pass.text, (size_t)1 << 20);
    enum result result =
        scan_request(signal, pass.body, SCAN_CHECK_UTF8, view_check, &pass, &report);
    if (result == RESULT_OK) {
        CHECK(report.item_count == pass.count);
        CHECK((report.rejected_count == 0) == (pass.sound_count == pass.count));
        result = scan_request(signal, pass.body, SCAN_TRUSTED, view_count, &count, &report);
        CHECK(result == RESULT_OK && count == pass.count);
    } else {
        CHECK(result == RESULT_REJECT && report.fault_at <= pass.body.len);
    }
    buffer_fini(&pass.text);
    return 0;
}
