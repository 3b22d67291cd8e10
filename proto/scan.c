// SPDX-License-Identifier: Apache-2.0
//
// The pass over a request. Containers (request, ResourceX, ScopeX) are walked by their lengths;
// each is walked twice, because its Resource or Scope and its schema_url may stand behind what they
// apply to: once over the headers, stepping over children, once over the children. Items go to
// item_read. A fault of a Resource, a Scope or their schema_url is passed on to each item below;
// where there is none below, the request is refused, since leaving nothing out would leave the
// fault in. Refused: an index of the items (the callback decides what to keep). Bounds: bodies
// below 2 GiB, three levels here and 64 inside messages. Pure; any thread.
#include "proto/scan.h"

#include "base/check.h"
#include "proto/item.h"
#include "proto/message.h"

#define BODY_BYTES_MAX ((size_t)1 << 31)

static const struct {
    const char *label;
    const char *text;
} faults[SCAN_FAULT_COUNT] = {
#define SCAN_FAULT(name, label, text) [SCAN_##name] = {label, text},
#include "proto/scan_faults.def"
#undef SCAN_FAULT
};

const char *scan_fault_label(enum scan_fault fault)
{
    CHECK((unsigned)fault < SCAN_FAULT_COUNT);
    return faults[fault].label;
}

const char *scan_fault_text(enum scan_fault fault)
{
    CHECK((unsigned)fault < SCAN_FAULT_COUNT);
    return faults[fault].text;
}

struct scan {
    enum signal signal;
    unsigned flags;
    const uint8_t *body;
    scan_item_fn on_item;
    void *arg;
    struct scan_report *report;
    struct item_view view;      // place, resource and scope stand while their container is walked
    enum scan_fault inherited;  // fault of the Resource or Scope above
};

static uint32_t offset_of(const struct scan *scan, const uint8_t *ptr)
{
    return (uint32_t)(ptr - scan->body);
}

static enum result refuse(struct scan *scan, enum scan_fault fault, const uint8_t *at)
{
    scan->report->first_fault = fault;
    scan->report->fault_at = offset_of(scan, at);
    return RESULT_REJECT;
}

// The name of a faulty item, for people: what was read before the fault may not have reached it.
static void name_keep(struct scan_report *report, enum signal signal, struct bytes item)
{
    static const uint32_t numbers[SIGNAL_COUNT] = {[SIGNAL_TRACES] = SPAN_NAME,
                                                   [SIGNAL_METRICS] = METRIC_NAME,
                                                   [SIGNAL_LOGS] = LOG_EVENT_NAME,
                                                   [SIGNAL_SCORES] = LOG_EVENT_NAME};
    struct bytes name = BYTES_NONE;
    if (!wire_find(item, numbers[signal], &name)) {
        return;
    }
    size_t len = name.len < sizeof report->first_name - 1 ? name.len
                                                          : sizeof report->first_name - 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = name.ptr[i];
        report->first_name[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    report->first_name[len] = '\0';
}

static void item_reject(struct scan *scan, enum scan_fault fault, struct bytes item)
{
    struct scan_report *report = scan->report;
    bool has_points = scan->signal == SIGNAL_METRICS && scan->view.point_count > 0;
    if (report->first_fault == SCAN_OK) {
        report->first_fault = fault;
        name_keep(report, scan->signal, item);
    }
    report->rejected_count += has_points ? scan->view.point_count : 1;
    report->fault_counts[fault]++;
}

static enum result item_scan(struct scan *scan, struct bytes item)
{
    enum scan_fault fault = scan->inherited;
    if (fault == SCAN_OK && (scan->flags & SCAN_TRUSTED) == 0) {
        fault = item_read(scan->signal, item, ITEM_UNTRUSTED, scan->flags, &scan->view);
    } else {
        item_read(scan->signal, item, ITEM_TRUSTED, 0, &scan->view);
    }
    scan->view.fault = fault;
    scan->report->item_count++;
    if (fault != SCAN_OK) {
        item_reject(scan, fault, item);
    }
    return scan->on_item(scan->arg, &scan->view) ? RESULT_OK : RESULT_STOP;
}

// A container's two kinds of header; ResourceX and ScopeX have the same three field numbers.
struct headers {
    struct bytes head;          // payload of the Resource or Scope, the last if there are more
    enum scan_fault fault;
    uint32_t child_count;
};

_Static_assert(RESOURCE_RESOURCE == SCOPE_SCOPE && RESOURCE_SCOPES == SCOPE_ITEMS &&
                  RESOURCE_SCHEMA_URL == SCOPE_SCHEMA_URL,
              "one walk serves both containers");

static void header_check(const struct scan *scan, enum schema_message type, uint32_t number,
                         struct bytes payload, struct headers *headers)
{
    enum scan_fault fault = SCAN_OK;
    if (number == RESOURCE_RESOURCE) {
        headers->head = payload;
        if ((scan->flags & SCAN_TRUSTED) == 0) {
            fault = message_validate(type, payload, scan->flags, 1);
        }
    } else if (number == RESOURCE_SCOPES) {
        headers->child_count++;
    } else if ((scan->flags & SCAN_CHECK_UTF8) != 0) {
        fault = message_text_is_sound(payload.ptr, payload.len) ? SCAN_OK : SCAN_UTF8;
    }
    if (fault != SCAN_OK) {
        headers->fault = type == SCHEMA_RESOURCE ? SCAN_RESOURCE : SCAN_SCOPE;
    }
}

// All fields of a container but its children, whose lengths are checked all the same.
static enum result headers_walk(struct scan *scan, enum schema_message type, struct bytes container,
                                struct headers *headers)
{
    struct wire wire = wire_of(container);
    *headers = (struct headers){0};
    while (wire.ptr < wire.end) {
        const uint8_t *start = wire.ptr;
        uint32_t tag = 0;
        struct bytes payload;
        enum scan_fault fault = message_tag(&wire, &tag);
        if (fault == SCAN_OK && tag >> 3 <= RESOURCE_SCHEMA_URL) {
            fault = (tag & 7) == WIRE_LEN ? message_payload(&wire, &payload) : SCAN_WIRE_TYPE;
            if (fault == SCAN_OK) {
                header_check(scan, type, tag >> 3, payload, headers);
            }
        } else if (fault == SCAN_OK) {
            fault = message_skip(&wire, tag, 0);
        }
        if (fault != SCAN_OK) {
            return refuse(scan, fault, start);
        }
    }
    return RESULT_OK;
}

// The next field `number` of a message whose framing has been checked; `*start` is its tag.
static bool child_next(struct wire *wire, uint32_t number, const uint8_t **start,
                       struct bytes *payload)
{
    while (wire->ptr < wire->end) {
        uint32_t tag = 0;
        *start = wire->ptr;
        if (message_tag(wire, &tag) != SCAN_OK) {
            return false;
        }
        if (tag == MESSAGE_TAG(number, WIRE_LEN)) {
            return message_payload(wire, payload) == SCAN_OK;
        }
        if (message_skip(wire, tag, 0) != SCAN_OK) {
            return false;
        }
    }
    return false;
}

static enum result scope_scan(struct scan *scan, struct bytes container)
{
    struct headers headers;
    struct bytes item = BYTES_NONE;
    const uint8_t *start = NULL;
    enum scan_fault inherited = scan->inherited;
    enum result result = headers_walk(scan, SCHEMA_SCOPE, container, &headers);
    if (result != RESULT_OK) {
        return result;
    }
    if (headers.fault != SCAN_OK && headers.child_count == 0) {
        return refuse(scan, headers.fault, container.ptr);
    }
    scan->view.scope = headers.head;
    scan->inherited = inherited != SCAN_OK ? inherited : headers.fault;
    struct wire wire = wire_of(container);
    while (result == RESULT_OK && child_next(&wire, SCOPE_ITEMS, &start, &item)) {
        scan->view.place.item_at = offset_of(scan, start);
        result = item_scan(scan, item);
    }
    scan->inherited = inherited;
    return result;
}

static enum result resource_scan(struct scan *scan, struct bytes container)
{
    struct headers headers;
    struct bytes scope = BYTES_NONE;
    const uint8_t *start = NULL;
    uint32_t items_before = scan->report->item_count;
    enum result result = headers_walk(scan, SCHEMA_RESOURCE, container, &headers);
    if (result != RESULT_OK) {
        return result;
    }
    scan->view.resource = headers.head;
    scan->inherited = headers.fault;
    struct wire wire = wire_of(container);
    while (result == RESULT_OK && child_next(&wire, RESOURCE_SCOPES, &start, &scope)) {
        scan->view.place.scope_at = offset_of(scan, start);
        result = scope_scan(scan, scope);
    }
    bool has_items = scan->report->item_count > items_before;
    if (result == RESULT_OK && headers.fault != SCAN_OK && !has_items) {
        return refuse(scan, headers.fault, container.ptr);
    }
    return result;
}

static enum result request_scan(struct scan *scan, struct bytes body)
{
    struct wire wire = wire_of(body);
    enum result result = RESULT_OK;
    while (result == RESULT_OK && wire.ptr < wire.end) {
        const uint8_t *start = wire.ptr;
        uint32_t tag = 0;
        struct bytes container;
        enum scan_fault fault = message_tag(&wire, &tag);
        bool is_resource = fault == SCAN_OK && tag >> 3 == REQUEST_RESOURCES;
        if (is_resource) {
            fault = (tag & 7) == WIRE_LEN ? message_payload(&wire, &container) : SCAN_WIRE_TYPE;
        } else if (fault == SCAN_OK) {
            fault = message_skip(&wire, tag, 0);
        }
        if (fault != SCAN_OK) {
            return refuse(scan, fault, start);
        }
        if (is_resource) {
            scan->view.place.resource_at = offset_of(scan, start);
            result = resource_scan(scan, container);
        }
    }
    return result;
}

enum result scan_request(enum signal signal, struct bytes body, unsigned flags,
                         scan_item_fn on_item, void *arg, struct scan_report *report)
{
    CHECK((unsigned)signal < SIGNAL_COUNT);
    CHECK(body.len < BODY_BYTES_MAX);
    *report = (struct scan_report){0};
    struct scan scan = {
        .signal = signal,
        .flags = flags,
        .body = body.ptr,
        .on_item = on_item,
        .arg = arg,
        .report = report,
    };
    return request_scan(&scan, body);
}

// The payload of the LEN field whose tag stands at `offset`.
static struct bytes payload_at(struct bytes body, uint32_t offset)
{
    CHECK(offset < body.len);
    struct wire wire = {body.ptr + offset, body.ptr + body.len};
    uint32_t tag = 0;
    struct bytes payload = BYTES_NONE;
    CHECK(message_tag(&wire, &tag) == SCAN_OK && (tag & 7) == WIRE_LEN);
    CHECK(message_payload(&wire, &payload) == SCAN_OK);
    return payload;
}

static struct bytes head_of(struct bytes container)
{
    struct wire wire = wire_of(container);
    struct bytes head = BYTES_NONE;
    const uint8_t *start = NULL;
    while (child_next(&wire, RESOURCE_RESOURCE, &start, &head)) {
    }
    return head;
}

void scan_item_at(enum signal signal, struct bytes body, struct item_place place,
                  struct item_view *view)
{
    *view = (struct item_view){.place = {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    scan_item_next(signal, body, place, view);
}

void scan_item_next(enum signal signal, struct bytes body, struct item_place place,
                    struct item_view *view)
{
    struct item_place before = view->place;
    view->place = place;
    view->fault = SCAN_OK;
    if (place.resource_at != before.resource_at) {
        view->resource = head_of(payload_at(body, place.resource_at));
    }
    if (place.scope_at != before.scope_at) {
        view->scope = head_of(payload_at(body, place.scope_at));
    }
    enum scan_fault fault =
        item_read(signal, payload_at(body, place.item_at), ITEM_TRUSTED, 0, view);
    CHECK(fault == SCAN_OK);
}
