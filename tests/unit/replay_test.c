// SPDX-License-Identifier: Apache-2.0
//
// An entry of the journal on its way to its exporters once more: what left goes as it left, what
// was held is held again, and nobody gets what it has. The history is made by hand.
#include "service/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "proto/attribute.h"
#include "proto/parcel_record.h"
#include "proto/scan.h"
#include "tests/unit/pipeline_stage.h"

struct rig {
    struct stage stage;
    struct journal_history history;
    struct journal_entry entry;
    struct journal_replay call;
    struct replay replay;
    struct journal_group *groups[1];
    bool has_door, has_direct;
    struct pipeline direct;
};

static struct door *rig_door(void *arg, struct bytes route, enum signal signal)
{
    struct rig *rig = arg;
    (void)signal;
    assert_true(bytes_equal_text(route, "otlp"));
    return rig->has_door ? &rig->stage.door : NULL;
}

static struct pipeline *rig_direct(void *arg, enum signal signal)
{
    struct rig *rig = arg;
    (void)signal;
    return rig->has_direct ? &rig->direct : NULL;
}

static int rig_setup(void **state)
{
    struct rig *rig = aligned_alloc(64, (sizeof(*rig) + 63) / 64 * 64);
    assert_non_null(rig);
    memset(rig, 0, sizeof(*rig));
    stage_open(&rig->stage, 2, 64);
    struct pipeline *pipeline = &rig->stage.pipeline;
    rig->stage.slots[1].storage = 1;
    pipeline->chain[pipeline->chain_count++] = rig->stage.sharded;
    pipeline->groups = rig->groups;
    pipeline_init(&rig->direct);
    rig->direct.exporters[0] = &rig->stage.slots[0];
    rig->direct.exporters[1] = &rig->stage.slots[1];
    rig->direct.exporter_count = 2;
    rig->has_door = rig->has_direct = true;
    rig->replay = (struct replay){
        .door = rig_door, .direct = rig_direct, .turnstile = &rig->stage.turnstile, .arg = rig};
    journal_history_init(&rig->history);
    rig->history.outlet_of_bit[0] = 0;
    rig->history.outlet_of_bit[1] = 1;
    *state = rig;
    return 0;
}

static void push(void *arg, struct parcel *parcel)
{
    (void)arg;
    pipeline_push(parcel);
}

// What left the shard leaves the journal too.
static void pass_held(struct rig *rig)
{
    stage_pass_held(&rig->stage);
    if (rig->groups[0] != NULL) {
        journal_group_let_go(&rig->groups[0], push, NULL);
    }
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;
    stage_turn(&rig->stage);
    pass_held(rig);
    stage_close(&rig->stage);
    journal_history_fini(&rig->history);
    free(rig);
    return 0;
}

// --- the past ---

struct finding {
    const char *name;
    struct item_place place;
    bool is_found;
};

static bool find_item(void *arg, const struct item_view *view)
{
    struct finding *finding = arg;
    if (bytes_equal_text(view->name, finding->name)) {
        finding->place = view->place;
        finding->is_found = true;
    }
    return true;
}

static struct item_place place_of(const struct batch *batch, const char *name)
{
    struct finding finding = {.name = name};
    struct scan_report report;
    assert_int_equal(
        scan_request(SIGNAL_TRACES, batch->body, SCAN_CHECK_UTF8, find_item, &finding, &report),
        RESULT_OK);
    assert_true(finding.is_found);
    return finding.place;
}

static struct history_record *record_add(struct rig *rig, struct history_record **records,
                                         size_t *count)
{
    *records = realloc(*records, (*count + 1) * sizeof(**records));
    assert_non_null(*records);
    (*records)[*count] = (struct history_record){.at = rig->history.text.len};
    return &(*records)[(*count)++];
}

static struct parcel *parcel_at(const struct batch *batch, const char *name)
{
    struct item_place place = place_of(batch, name);
    struct batch *view = (struct batch *)(uintptr_t)batch;
    batch_hold(view);
    return parcel_new(view, PARCEL_ONLY, &place, 1, 0);
}

static void left_edited(struct rig *rig, const struct batch *batch, const char *name)
{
    struct parcel *parcel = parcel_at(batch, name);
    struct item_place place = place_of(batch, name);
    struct buffer field;
    buffer_init(&field, 256);
    attribute_write_text(&field, SPAN_ATTRIBUTES, "sidejudge.verdict", BYTES_LITERAL("pass"));
    assert_int_equal(parcel_append(parcel, place.item_at, buffer_view(&field)), RESULT_OK);
    struct history_record *record =
        record_add(rig, &rig->history.releases, &rig->history.release_count);
    record->item_at = place.item_at;
    parcel_edits_write(parcel, place, &rig->history.text);
    record->len = rig->history.text.len - record->at;
    buffer_fini(&field);
    parcel_unref(&parcel);
}

// Left bare, or is at an outlet: by the bit.
static void noted(struct rig *rig, const struct batch *batch, unsigned bit, const char *name)
{
    struct parcel *parcel = parcel_at(batch, name);
    struct history_record *record =
        record_add(rig, &rig->history.progress, &rig->history.progress_count);
    record->bit = bit;
    parcel_places_write(parcel, &rig->history.text);
    record->len = rig->history.text.len - record->at;
    parcel_unref(&parcel);
}

static struct batch *request(const char *const *names, unsigned count)
{
    struct batch *batch = stage_request(names);
    batch->item_count = count;
    return batch;
}

static enum result run(struct rig *rig, struct batch *batch, uint64_t wanted, bool evaluate)
{
    rig->entry = (struct journal_entry){.origin = rig->entry.origin,
                                        .signal = SIGNAL_TRACES,
                                        .route = BYTES_LITERAL("otlp"),
                                        .items = batch->item_count};
    rig->call = (struct journal_replay){.entry = &rig->entry,
                                        .history = &rig->history,
                                        .batch = batch,
                                        .wanted = wanted,
                                        .evaluate = evaluate};
    enum result result = replay_entry(&rig->replay, &rig->call);
    batch_release(&batch);
    stage_turn(&rig->stage);
    return result;
}

static bool says(const struct rig *rig, size_t exporter, const char *text)
{
    return bytes_find(buffer_view(&rig->stage.fakes[exporter].bodies), bytes_from_text(text), 0) !=
           SIZE_MAX;
}

static void nothing_has_happened(const struct rig *rig)
{
    assert_int_equal(rig->call.served, 0);
    assert_int_equal(rig->stage.taken + rig->stage.looked, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rig->stage.fakes[i].reserved, 0);
        assert_int_equal(rig->stage.fakes[i].pushes, 0);
    }
}

// --- the cases ---

static void what_left_goes_with_its_edits(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", "tc", NULL}, 3);
    left_edited(rig, batch, "tb");
    noted(rig, batch, HISTORY_BARE, "tc");
    assert_int_equal(run(rig, batch, 1, true), RESULT_OK);
    assert_int_equal(rig->stage.taken, 0);  // decided: not shown to the shard
    assert_int_equal(rig->call.served, 1);
    assert_int_equal(rig->call.items[0], 3);
    assert_true(stage_has(&rig->stage, 0, "a"));
    assert_true(stage_has(&rig->stage, 0, "tb"));
    assert_true(stage_has(&rig->stage, 0, "tc"));
    assert_true(says(rig, 0, "sidejudge.verdict"));
    assert_int_equal(rig->stage.fakes[1].pushes, 0);
}

static void what_was_held_is_held_again(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", "lc", NULL}, 3);
    assert_int_equal(run(rig, batch, 3, true), RESULT_OK);
    assert_int_equal(rig->call.served, 3);
    assert_int_equal(rig->call.items[0], 3);
    assert_int_equal(rig->call.items[1], 3);
    assert_int_equal(rig->stage.taken, 1);
    assert_true(rig->stage.looked >= 1);
    assert_true(rig->stage.held[0]->recorded);
    assert_false(stage_has(&rig->stage, 0, "tb"));
    assert_true(stage_has(&rig->stage, 0, "lc"));
    pass_held(rig);
    assert_true(stage_has(&rig->stage, 0, "tb"));
    assert_true(stage_has(&rig->stage, 1, "tb"));
}

static void what_is_not_open_is_not_held(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", NULL}, 2);
    assert_int_equal(run(rig, batch, 1, false), RESULT_OK);
    assert_int_equal(rig->stage.taken + rig->stage.looked, 0);
    assert_true(stage_has(&rig->stage, 0, "tb"));
}

static void what_an_exporter_has_it_does_not_get_again(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "b", "c", NULL}, 3);
    noted(rig, batch, 0, "a");
    noted(rig, batch, 0, "c");
    assert_int_equal(run(rig, batch, 3, false), RESULT_OK);
    assert_int_equal(rig->call.items[0], 1);
    assert_int_equal(rig->call.items[1], 3);
    assert_false(stage_has(&rig->stage, 0, "a"));
    assert_true(stage_has(&rig->stage, 0, "b"));
    assert_true(stage_has(&rig->stage, 1, "a"));
    assert_int_equal(rig->stage.fakes[0].reserved, 0);
}

static void exporter_that_has_everything_is_served_with_nothing(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "b", NULL}, 2);
    noted(rig, batch, 1, "a");
    noted(rig, batch, 1, "b");
    assert_int_equal(run(rig, batch, 2, false), RESULT_OK);
    assert_int_equal(rig->call.served, 2);
    assert_int_equal(rig->call.items[1], 0);
    assert_int_equal(rig->stage.fakes[1].pushes, 0);
    assert_int_equal(rig->stage.fakes[1].reserved, 0);
}

static void own_products_go_straight_to_who_is_owed(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"tcarrier", NULL}, 1);
    rig->entry.origin = JOURNAL_OWN;
    assert_int_equal(run(rig, batch, 2, false), RESULT_OK);
    assert_int_equal(rig->call.served, 2);
    assert_int_equal(rig->stage.taken, 0);
    assert_true(stage_has(&rig->stage, 1, "tcarrier"));
    assert_int_equal(rig->stage.fakes[0].pushes, 0);
}

static void own_products_without_room_wait(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"tcarrier", NULL}, 1);
    rig->entry.origin = JOURNAL_OWN;
    rig->stage.fakes[1].capacity = 3;
    assert_int_equal(run(rig, batch, 2, false), RESULT_SHED);
    nothing_has_happened(rig);
}

static void receiver_that_is_gone_is_no_obstacle(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", NULL}, 2);
    rig->has_door = false;
    assert_int_equal(run(rig, batch, 3, true), RESULT_OK);
    assert_int_equal(rig->call.served, 3);
    assert_int_equal(rig->stage.taken, 0);
    assert_true(stage_has(&rig->stage, 0, "tb"));
    assert_true(stage_has(&rig->stage, 1, "a"));
}

static void exporter_that_no_pipeline_leads_to_gets_it_directly(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", NULL}, 1);
    rig->stage.pipeline.exporter_count = 1;
    assert_int_equal(run(rig, batch, 3, false), RESULT_OK);
    assert_int_equal(rig->call.served, 3);
    assert_int_equal(rig->call.items[1], 1);
    assert_true(stage_has(&rig->stage, 1, "a"));
    rig->stage.pipeline.exporter_count = 2;
}

static void without_any_way_nobody_is_served(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", NULL}, 1);
    rig->has_door = rig->has_direct = false;
    assert_int_equal(run(rig, batch, 3, false), RESULT_OK);
    nothing_has_happened(rig);
}

static void without_room_nothing_happens(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", NULL}, 2);
    rig->stage.fakes[0].capacity = rig->stage.fakes[1].capacity = 10;
    assert_int_equal(run(rig, batch, 3, false), RESULT_SHED);
    nothing_has_happened(rig);
}

static void one_without_room_leaves_the_other_alone(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "b", NULL}, 2);
    rig->stage.fakes[0].capacity = 10;
    assert_int_equal(run(rig, batch, 3, false), RESULT_OK);
    assert_int_equal(rig->call.served, 2);
    assert_true(stage_has(&rig->stage, 1, "b"));
    assert_int_equal(rig->stage.fakes[0].pushes, 0);
}

static void decision_waits_for_no_exporter(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", NULL}, 2);
    rig->stage.fakes[0].capacity = rig->stage.fakes[1].capacity = 10;
    assert_int_equal(run(rig, batch, 3, true), RESULT_OK);
    assert_int_equal(rig->call.served, 0);
    assert_int_equal(rig->stage.taken, 1);
    assert_int_equal(rig->stage.held[0]->spilled, 3);
    pass_held(rig);
    assert_int_equal(rig->stage.fakes[0].pushes, 0);
}

static void without_room_at_the_shard_nothing_happens(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request((const char *const[]){"a", "tb", NULL}, 2);
    struct shard_ticket *tickets[64];
    size_t count = 0;
    while (count < 64 && (tickets[count] = shard_reserve(rig->stage.shards[0])) != NULL) {
        count++;
    }
    assert_int_equal(run(rig, batch, 3, true), RESULT_SHED);
    nothing_has_happened(rig);
    while (count > 0) {
        shard_release(&tickets[--count]);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_left_goes_with_its_edits),
        CASE(what_was_held_is_held_again),
        CASE(what_is_not_open_is_not_held),
        CASE(what_an_exporter_has_it_does_not_get_again),
        CASE(exporter_that_has_everything_is_served_with_nothing),
        CASE(own_products_go_straight_to_who_is_owed),
        CASE(own_products_without_room_wait),
        CASE(receiver_that_is_gone_is_no_obstacle),
        CASE(exporter_that_no_pipeline_leads_to_gets_it_directly),
        CASE(without_any_way_nobody_is_served),
        CASE(without_room_nothing_happens),
        CASE(one_without_room_leaves_the_other_alone),
        CASE(decision_waits_for_no_exporter),
        CASE(without_room_at_the_shard_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
