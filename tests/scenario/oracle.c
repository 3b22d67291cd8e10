// SPDX-License-Identifier: Apache-2.0
//
// A table of spans, open addressing on their ids. Spans of equal ids and other bytes are entries of
// their own; the same span sent twice is one entry that was sent twice. An arrival is matched by
// hashing as much of it as each candidate is long, so that what was appended is looked at apart.
// Spans that the program grades lose foreign sidejudge.* attributes, so an entry that has some is
// known by a second hash too. Refused: keeping bytes, which a million spans make too many.
// Bounds: 2^22 entries. The scenario's thread.

#include "tests/scenario/oracle.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"
#include "proto/attribute.h"
#include "proto/scan.h"
#include "tests/scenario/backend.h"
#include "tests/scenario/harness.h"

#define ENTRIES_MAX ((size_t)1 << 22)
#define STRIPPED_BYTES_MAX ((size_t)64 << 20)

struct entry {
    uint8_t ids[24];  // trace, span; zeros where there are none
    uint64_t hash, frame_hash, stripped_hash;
    uint64_t arrived_hash;       // of the first arrival, whole; 0: none yet
    uint32_t len, stripped_len;  // stripped: without sidejudge.*; 0: there are none
    uint16_t sent;               // 0: the slot is free
    uint16_t acknowledged;
    uint16_t arrived[ORACLE_BACKENDS];
};

struct oracle {
    struct entry *entries;
    size_t room, used;
    struct oracle_report reports[ORACLE_BACKENDS];  // what is the same for all is in each
};

static uint64_t bytes_hash(struct bytes bytes, uint64_t seed)
{
    return hash_stable(bytes.len > 0 ? (const void *)bytes.ptr : "", bytes.len, seed);
}

static void entry_ids(const struct item_view *view, uint8_t ids[24])
{
    memset(ids, 0, 24);
    if (view->trace_id != NULL) {
        memcpy(ids, view->trace_id, 16);
    }
    if (view->span_id != NULL) {
        memcpy(ids + 16, view->span_id, 8);
    }
}

static uint64_t frame_hash(const struct item_view *view)
{
    return bytes_hash(view->scope, bytes_hash(view->resource, 0));
}

static size_t slot_of(const struct oracle *oracle, const uint8_t ids[24])
{
    return (size_t)hash_stable(ids, 24, 0) & (oracle->room - 1);
}

struct oracle *oracle_new(void)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    CHECK(oracle != NULL);
    oracle->room = 1024;
    oracle->entries = calloc(oracle->room, sizeof(*oracle->entries));
    CHECK(oracle->entries != NULL);
    return oracle;
}

void oracle_free(struct oracle **out)
{
    if (*out != NULL) {
        free((*out)->entries);
        free(*out);
        *out = NULL;
    }
}

static void grow(struct oracle *oracle)
{
    struct entry *old = oracle->entries;
    size_t old_room = oracle->room;
    if (4 * oracle->used < 3 * oracle->room) {
        return;
    }
    CHECK(oracle->room < ENTRIES_MAX);
    oracle->room *= 2;
    oracle->entries = calloc(oracle->room, sizeof(*oracle->entries));
    CHECK(oracle->entries != NULL);
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].sent == 0) {
            continue;
        }
        size_t slot = slot_of(oracle, old[i].ids);
        while (oracle->entries[slot].sent != 0) {
            slot = (slot + 1) & (oracle->room - 1);
        }
        oracle->entries[slot] = old[i];
    }
    free(old);
}

// --- what was sent ---

static bool is_foreign(struct bytes key)
{
    return bytes_start_with(key, BYTES_LITERAL("sidejudge."));
}

// The span without its sidejudge.* attributes, if it has any.
static void strip(const struct item_view *view, struct entry *entry)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    struct buffer rest;
    const uint8_t *at = view->item.ptr;
    buffer_init(&rest, STRIPPED_BYTES_MAX);
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (is_foreign(attribute.key)) {
            buffer_append(&rest, at, (size_t)(attribute.field.ptr - at));
            at = attribute.field.ptr + attribute.field.len;
        }
    }
    if (at != view->item.ptr) {
        buffer_append(&rest, at, (size_t)(view->item.ptr + view->item.len - at));
        CHECK(buffer_status(&rest) == RESULT_OK);
        entry->stripped_len = (uint32_t)rest.len;
        entry->stripped_hash = bytes_hash(buffer_view(&rest), 0);
    }
    buffer_fini(&rest);
}

// The entry of exactly this span, made when there is none.
static struct entry *entry_of(struct oracle *oracle, const struct item_view *view)
{
    struct entry made = {.hash = bytes_hash(view->item, 0),
                         .frame_hash = frame_hash(view),
                         .len = (uint32_t)view->item.len};
    entry_ids(view, made.ids);
    grow(oracle);
    size_t slot = slot_of(oracle, made.ids);
    for (; oracle->entries[slot].sent != 0; slot = (slot + 1) & (oracle->room - 1)) {
        struct entry *entry = &oracle->entries[slot];
        if (memcmp(entry->ids, made.ids, 24) == 0 && entry->hash == made.hash &&
            entry->len == made.len && entry->frame_hash == made.frame_hash) {
            return entry;
        }
    }
    strip(view, &made);
    oracle->entries[slot] = made;  // the caller makes it `sent`
    return &oracle->entries[slot];
}

static bool span_sent(void *arg, const struct item_view *view)
{
    struct oracle *oracle = arg;
    if (view->fault != SCAN_OK) {
        return true;
    }
    struct entry *entry = entry_of(oracle, view);
    CHECK(entry->sent < UINT16_MAX);
    oracle->used += entry->sent == 0;
    for (unsigned i = 0; i < ORACLE_BACKENDS; i++) {
        oracle->reports[i].sent += entry->sent == 0;
    }
    entry->sent++;
    return true;
}

static bool span_acknowledged(void *arg, const struct item_view *view)
{
    struct oracle *oracle = arg;
    if (view->fault != SCAN_OK) {
        return true;
    }
    struct entry *entry = entry_of(oracle, view);
    CHECK(entry->sent > entry->acknowledged);
    for (unsigned i = 0; i < ORACLE_BACKENDS; i++) {
        oracle->reports[i].acknowledged++;
        oracle->reports[i].missing += entry->arrived[i] <= entry->acknowledged;
    }
    entry->acknowledged++;
    return true;
}

static void each_span(struct bytes request, scan_item_fn visit, void *arg)
{
    struct scan_report report;
    CHECK(scan_request(SIGNAL_TRACES, request, SCAN_CHECK_UTF8, visit, arg, &report) == RESULT_OK);
}

void oracle_sent(struct oracle *oracle, struct bytes request)
{
    each_span(request, span_sent, oracle);
}

void oracle_acknowledged(struct oracle *oracle, struct bytes request)
{
    each_span(request, span_acknowledged, oracle);
}

struct excusing {
    struct oracle *oracle;
    const char *name;  // NULL: all
};

static bool span_excused(void *arg, const struct item_view *view)
{
    struct excusing *excusing = arg;
    if (view->fault != SCAN_OK ||
        (excusing->name != NULL && !bytes_equal_text(view->name, excusing->name))) {
        return true;
    }
    struct entry *entry = entry_of(excusing->oracle, view);
    CHECK(entry->sent > 0);
    for (unsigned i = 0; i < ORACLE_BACKENDS; i++) {
        struct oracle_report *report = &excusing->oracle->reports[i];
        unsigned here =
            entry->arrived[i] < entry->acknowledged ? entry->arrived[i] : entry->acknowledged;
        report->acknowledged -= entry->acknowledged;
        report->missing -= entry->acknowledged - here;
    }
    entry->acknowledged = 0;
    return true;
}

void oracle_excuse_named(struct oracle *oracle, struct bytes request, const char *name)
{
    struct excusing excusing = {oracle, name};
    each_span(request, span_excused, &excusing);
}

void oracle_excuse(struct oracle *oracle, struct bytes request)
{
    oracle_excuse_named(oracle, request, NULL);
}

// --- what arrived ---

// What stands behind the original bytes: attributes of ours and nothing else.
static bool is_only_ours(struct bytes added)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    size_t len = 0;
    attribute_walk_begin(&walk, added, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (!is_foreign(attribute.key) &&
            !bytes_start_with(attribute.key, BYTES_LITERAL("evaluations."))) {
            return false;
        }
        len += attribute.field.len;
    }
    return len == added.len;
}

static bool begins_with(struct bytes item, uint32_t len, uint64_t hash)
{
    return item.len >= len && bytes_hash(bytes_slice(item, 0, len), 0) == hash &&
           is_only_ours(bytes_slice(item, len, SIZE_MAX));
}

static struct entry *entry_find(const struct oracle *oracle, const struct item_view *view)
{
    uint8_t ids[24];
    entry_ids(view, ids);
    uint64_t frame = frame_hash(view);
    for (size_t slot = slot_of(oracle, ids); oracle->entries[slot].sent != 0;
         slot = (slot + 1) & (oracle->room - 1)) {
        struct entry *entry = &oracle->entries[slot];
        if (memcmp(entry->ids, ids, 24) == 0 && entry->frame_hash == frame &&
            (begins_with(view->item, entry->len, entry->hash) ||
             (entry->stripped_len > 0 &&
              begins_with(view->item, entry->stripped_len, entry->stripped_hash)))) {
            return entry;
        }
    }
    return NULL;
}

struct arriving {
    struct oracle *oracle;
    unsigned backend;
};

static bool span_arrived(void *arg, const struct item_view *view)
{
    struct arriving *arriving = arg;
    struct oracle_report *report = &arriving->oracle->reports[arriving->backend];
    struct entry *entry = entry_find(arriving->oracle, view);
    struct any_view value;
    if (entry == NULL) {
        bool own = attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.carrier", &value);
        report->own += own;
        report->unknown += !own;
        return true;
    }
    uint64_t hash = bytes_hash(view->item, 1) | 1;
    uint16_t *count = &entry->arrived[arriving->backend];
    report->versions += entry->arrived_hash != 0 && entry->arrived_hash != hash;
    entry->arrived_hash = entry->arrived_hash == 0 ? hash : entry->arrived_hash;
    report->missing -= *count < entry->acknowledged;
    report->duplicates += *count >= entry->sent;
    report->arrived++;
    CHECK(*count < UINT16_MAX);
    ++*count;
    return true;
}

void oracle_arrived(struct oracle *oracle, unsigned backend, struct bytes request)
{
    struct scan_report report;
    struct arriving arriving = {oracle, backend};
    CHECK(backend < ORACLE_BACKENDS);
    CHECK(scan_request(SIGNAL_TRACES, request, 0, span_arrived, &arriving, &report) == RESULT_OK);
}

static bool item_arrived(void *arg, const struct backend_item *item)
{
    return span_arrived(arg, &item->view);
}

void oracle_arrived_at(struct oracle *oracle, unsigned number, const struct backend *backend)
{
    struct arriving arriving = {oracle, number};
    CHECK(number < ORACLE_BACKENDS);
    backend_each(backend, SIGNAL_TRACES, item_arrived, &arriving);
}

// --- what it says ---

struct oracle_report oracle_report(const struct oracle *oracle, unsigned backend)
{
    CHECK(backend < ORACLE_BACKENDS);
    return oracle->reports[backend];
}

bool oracle_is_whole(const struct oracle *oracle, unsigned backend)
{
    CHECK(backend < ORACLE_BACKENDS);
    return oracle->reports[backend].missing == 0;
}

void oracle_holds(const struct oracle *oracle, unsigned backend, unsigned duplicates_max)
{
    struct oracle_report report = oracle_report(oracle, backend);
    if (report.missing > 0 || report.unknown > 0 || report.versions > 0 ||
        report.duplicates > duplicates_max) {
        fail_msg("backend %u: %u sent, %u acknowledged, %u arrived: %u missing, %u unknown or "
                 "changed, %u in another version, %u duplicates (at most %u)",
                 backend, report.sent, report.acknowledged, report.arrived, report.missing,
                 report.unknown, report.versions, report.duplicates, duplicates_max);
    }
}

// --- with a harness ---

int oracle_post(struct oracle *oracle, struct harness *harness, struct bytes request)
{
    oracle_sent(oracle, request);
    struct harness_reply reply =
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, request);
    if (reply.status == 200) {
        oracle_acknowledged(oracle, request);
    }
    return reply.status;
}

struct awaiting {
    const struct oracle *oracle;
    unsigned backend;
};

static bool is_whole(void *arg)
{
    const struct awaiting *awaiting = arg;
    return oracle_is_whole(awaiting->oracle, awaiting->backend);
}

void oracle_await(const struct oracle *oracle, struct harness *harness, unsigned backend)
{
    struct awaiting awaiting = {oracle, backend};
    harness_wait(harness, is_whole, &awaiting, HARNESS_PATIENCE_S,
                 "every acknowledged span at its backend");
}
