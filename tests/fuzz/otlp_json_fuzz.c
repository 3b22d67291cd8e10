// SPDX-License-Identifier: Apache-2.0
//
// Any text as OTLP/JSON of any signal (first byte): what is taken becomes a request whose framing
// is sound, whatever its values are.
#include <stdlib.h>

#include "base/check.h"
#include "proto/otlp_json.h"
#include "proto/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fault_check(void *arg, const struct item_view *view)
{
    (void)arg;
    // Only what JSON can say wrongly, never how it was written down.
    switch (view->fault) {
    case SCAN_OK:
    case SCAN_TRACE_ID:
    case SCAN_SPAN_ID:
    case SCAN_LINK_ID:
    case SCAN_UTF8:
    case SCAN_DEPTH:
    case SCAN_RESOURCE:
    case SCAN_SCOPE:
        return true;
    default:
        check_failed(__FILE__, __LINE__, scan_fault_label(view->fault));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum signal signal = (enum signal)(data[0] % SIGNAL_OTLP_COUNT);
    struct buffer out;
    struct scan_report report;
    char why[256];
    buffer_init(&out, (size_t)16 << 20);
    buffer_append_text(&out, "x");
    enum result result =
        otlp_json_to_protobuf(signal, bytes_from(data + 1, size - 1), &out, why, sizeof why);
    CHECK(buffer_status(&out) == RESULT_OK && out.len >= 1 && out.ptr[0] == 'x');
    if (result == RESULT_OK) {
        struct bytes body = bytes_slice(buffer_view(&out), 1, SIZE_MAX);
        result = scan_request(signal, body, SCAN_CHECK_UTF8, fault_check, NULL, &report);
        CHECK(result == RESULT_OK || report.first_fault == SCAN_RESOURCE ||
              report.first_fault == SCAN_SCOPE);
    } else {
        CHECK(out.len == 1 && why[0] != '\0');
    }
    buffer_fini(&out);
    return 0;
}
