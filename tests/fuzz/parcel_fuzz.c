// SPDX-License-Identifier: Apache-2.0
//
// Any sound request, split, edited and cut as a seed in its first bytes says: nothing is lost, and
// everything that is rendered scans again without a fault.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "proto/attribute.h"
#include "proto/parcel.h"

enum { ITEMS_MAX = 256, HEAD_BYTES = 9 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct items {
    struct item_place sound[ITEMS_MAX], faulty[ITEMS_MAX];
    unsigned sound_count, faulty_count;
    uint32_t points;
};

static bool view_sort(void *arg, const struct item_view *view)
{
    struct items *items = arg;
    if (items->sound_count == ITEMS_MAX || items->faulty_count == ITEMS_MAX) {
        return false;
    }
    if (view->fault == SCAN_OK) {
        items->sound[items->sound_count++] = view->place;
        items->points += view->signal == SIGNAL_METRICS ? view->point_count : 1;
    } else {
        items->faulty[items->faulty_count++] = view->place;
    }
    return true;
}

// Items of a rendered request, which must be sound throughout.
static unsigned rendered_count(enum signal signal, struct bytes body)
{
    struct items items = {.sound_count = 0};
    struct scan_report report;
    enum result result =
        scan_request(signal, body, SCAN_CHECK_UTF8, view_sort, &items, &report);
    CHECK(result == RESULT_OK && report.rejected_count == 0);
    return items.sound_count;
}

static unsigned parcel_rendered(const struct parcel *parcel)
{
    struct buffer out;
    buffer_init(&out, (size_t)64 << 20);
    parcel_render(parcel, &out);
    CHECK(buffer_status(&out) == RESULT_OK && out.len == parcel_rendered_size(parcel));
    unsigned count = rendered_count(parcel->batch->signal, buffer_view(&out));
    buffer_fini(&out);
    return count;
}

static unsigned parcel_cut(const struct parcel *parcel, size_t bytes_max)
{
    struct parcel_cutter cutter;
    struct buffer out;
    uint32_t item_count = 0;
    unsigned total = 0;
    buffer_init(&out, (size_t)64 << 20);
    parcel_cutter_begin(&cutter, parcel);
    while (parcel_cutter_next(&cutter, bytes_max, &out, &item_count)) {
        unsigned count = rendered_count(parcel->batch->signal, buffer_view(&out));
        CHECK(count > 0 && (count == 1 || out.len <= bytes_max));
        total += count;
        buffer_reset(&out);
    }
    buffer_fini(&out);
    return total;
}

static void edit(struct parcel *parcel, uint32_t item_at, struct random *random)
{
    struct buffer fields;
    struct bytes key = BYTES_LITERAL("k");
    enum result result = RESULT_OK;
    uint32_t number = parcel->batch->signal == SIGNAL_LOGS ? LOG_ATTRIBUTES : SPAN_ATTRIBUTES;
    buffer_init(&fields, 1000);
    attribute_write_int(&fields, number, "k", 7);
    switch (random_below(random, 4)) {
    case 0:
        result = parcel_append(parcel, item_at, buffer_view(&fields));
        break;
    case 1:
        result = parcel_replace(parcel, item_at, key, buffer_view(&fields));
        break;
    case 2:
        result = parcel_delete(parcel, item_at, key);
        break;
    default:
        result = parcel_delete_prefix(parcel, item_at, BYTES_NONE);
        break;
    }
    CHECK(result == RESULT_OK);
    buffer_fini(&fields);
}

static void resource_edit(struct parcel *parcel, uint32_t resource_at, struct random *random)
{
    struct buffer fields;
    struct bytes key = BYTES_LITERAL("k");
    buffer_init(&fields, 1000);
    attribute_write_int(&fields, RES_ATTRIBUTES, "k", 7);
    enum result result =
        random_below(random, 2) == 0
            ? parcel_delete_resource(parcel, resource_at, key)
            : parcel_replace_resource(parcel, resource_at, key, buffer_view(&fields));
    CHECK(result == RESULT_OK);
    buffer_fini(&fields);
}

static void handle(struct parcel *parcel, const struct items *items, struct random *random)
{
    struct item_place places[ITEMS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < items->sound_count; i++) {
        if (parcel->batch->signal != SIGNAL_METRICS && random_below(random, 3) == 0) {
            edit(parcel, items->sound[i].item_at, random);
        }
        if (random_below(random, 5) == 0) {
            resource_edit(parcel, items->sound[i].resource_at, random);
        }
        if (random_below(random, 2) == 0) {
            places[count++] = items->sound[i];
        }
    }
    struct parcel *part = count > 0 ? parcel_split(parcel, places, count) : NULL;
    unsigned total = parcel_rendered(parcel);
    CHECK(parcel_cut(parcel, (size_t)random_below(random, 2000)) == total);
    if (part != NULL) {
        unsigned part_count = parcel_rendered(part);
        CHECK(part_count == count);
        total += part_count;
        parcel_detach(part);
        CHECK(parcel_rendered(part) == count);
    }
    CHECK(total == items->sound_count);
    parcel_unref(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    enum signal signal = (enum signal)(data[0] % SIGNAL_OTLP_COUNT);
    uint64_t seed = 0;
    memcpy(&seed, data + 1, sizeof seed);
    struct bytes body = bytes_from(data + HEAD_BYTES, size - HEAD_BYTES);
    struct items items = {.sound_count = 0};
    struct scan_report report;
    struct batch *batch = batch_make(signal, body, 0);
    if (scan_request(signal, batch->body, SCAN_CHECK_UTF8, view_sort, &items, &report) !=
        RESULT_OK) {
        batch_release(&batch);
        return 0;
    }
    struct random random;
    random_seed(&random, seed);
    batch->item_count = items.points;
    struct parcel *parcel =
        parcel_new(batch, items.faulty_count > 0 ? PARCEL_EXCEPT : PARCEL_ALL,
                   items.faulty_count > 0 ? items.faulty : NULL, items.faulty_count, 0);
    CHECK(parcel->item_count == items.points);
    handle(parcel, &items, &random);
    parcel_unref(&parcel);
    return 0;
}
