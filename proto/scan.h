// SPDX-License-Identifier: Apache-2.0
// One pass over the bytes of an Export{Trace,Logs,Metrics}ServiceRequest: validates, and yields a
// view of each span, log record or metric. Allocates nothing. What cannot be framed (lengths, wire
// types, field numbers of request, ResourceX and ScopeX, and the length of each item) refuses the
// request, after the callback may have seen items before it. What is wrong inside one item (ids
// that are not 16 / 8 bytes, invalid UTF-8, depth over 64, malformed fields, known fields of a
// wrong wire type) leaves that item out; the same inside a Resource or Scope, or in its schema_url,
// leaves out all items under it, and refuses the request where there is none to leave out.
// Duplicate singular fields: the last wins, as protobuf says. Depth counts messages and groups, the
// item being 1. All-zero or empty ids are accepted and NULL in the view: forwarded, never grouped.
// Source: OTLP 1.11.
#pragma once

#include "base/ids.h"
#include "proto/otlp.h"
#include "proto/wire.h"

enum scan_fault {
#define SCAN_FAULT(name, label, text) SCAN_##name,
#include "proto/scan_faults.def"
#undef SCAN_FAULT
    SCAN_FAULT_COUNT
};
const char *scan_fault_label(enum scan_fault fault);
const char *scan_fault_text(enum scan_fault fault);

// where an item stands: offsets of the tags' first bytes in the request body
struct item_place {
    uint32_t resource_at;
    uint32_t scope_at;
    uint32_t item_at;
};

struct item_view {  // valid while the body lives; pointers into it
    enum signal signal;
    struct item_place place;
    struct bytes item;      // payload of the span / log record / metric
    struct bytes resource;  // payload of the Resource message; empty when absent
    struct bytes scope;     // payload of the InstrumentationScope; empty when absent
    enum scan_fault fault;  // SCAN_OK, or why this item is left out
    // spans and log records (metrics leave the rest zero)
    const uint8_t *trace_id;   // 16 bytes; NULL when absent or all zero
    const uint8_t *span_id;    // 8 bytes; NULL when absent or all zero
    const uint8_t *parent_id;  // 8 bytes; NULL when absent or all zero
    struct bytes name;         // span name; event_name of a log record
    struct bytes trace_state;
    uint64_t start_ns, end_ns;  // spans; log records: time_unix_nano and observed_time_unix_nano
    uint32_t flags;
    uint32_t kind;    // enum span_kind as sent; log records: severity_number
    uint32_t status;  // enum span_status as sent
    // from the tag of the first attributes field to the end of the last one (other fields may lie
    // between)
    struct bytes attributes;
    // the same for span events; log records: payload of the body AnyValue
    struct bytes events;
    uint32_t attribute_count, event_count;
    // Which pairs of first bytes the attributes' keys have, as a set of item_key_head; 0: not
    // known. Says that a key is not there without a walk over all.
    uint64_t key_heads;
    uint32_t point_count;  // metrics: data points
};

// Keys that conventions use often fall apart by this.
static inline uint64_t item_key_head(uint8_t first, uint8_t second)
{
    return UINT64_C(1) << ((first * 17u + second) & 63);
}

// Called once per item, faulty ones included, in order of the bytes. False stops the scan with
// RESULT_STOP.
typedef bool (*scan_item_fn)(void *arg, const struct item_view *view);

enum {                    // flags
    SCAN_CHECK_UTF8 = 1,  // also check UTF-8 of strings (the door does; the bench may not)
    SCAN_TRUSTED = 2,     // this body was scanned before: framing only, no faults of items
};

struct scan_report {
    uint32_t item_count;      // spans, log records or metrics seen
    uint32_t rejected_count;  // of them left out (metrics: data points)
    uint32_t fault_counts[SCAN_FAULT_COUNT];
    // of the first item left out, or of the framing when the result is RESULT_REJECT
    enum scan_fault first_fault;
    char first_name[64];  // its name, printable ASCII, cut
    size_t fault_at;      // offset of the framing fault
};

// RESULT_OK (report->rejected_count may be > 0) or RESULT_REJECT (framing). body.len < 2^31.
enum result scan_request(enum signal signal, struct bytes body, unsigned flags,
                         scan_item_fn on_item, void *arg, struct scan_report *report) MUST_USE;

// The view of one item by its place, without scanning the rest. The body must have been scanned
// before and the item must have been sound. Costs a walk over the lengths of its container's
// children.
void scan_item_at(enum signal signal, struct bytes body, struct item_place place,
                  struct item_view *view);
// The same, from the view of another item of this body: what both have in common is not looked up.
void scan_item_next(enum signal signal, struct bytes body, struct item_place place,
                    struct item_view *view);
