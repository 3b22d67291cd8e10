// SPDX-License-Identifier: Apache-2.0
// The journal on a real store, with a service that plays along: crashes are copies of the folder.
#include "receiver/journal/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "proto/attribute.h"
#include "proto/parcel_record.h"

#define OUTLETS 2
#define REPLAYS_MAX 64
static const char *const names[OUTLETS] = {"otlp_http", "langfuse"};

struct seen_replay {
    size_t body_len;
    uint64_t wanted;
    bool evaluate;
    uint32_t items;
    unsigned released, edited, delivered;  // items, by history of outlet 0
};

// A journal in a folder, and a service that serves what it is given.
struct rig {
    char folder[64];
    struct journal *journal;
    struct journal_config config;
    _Atomic uint64_t room;  // outlets that take replays
    struct seen_replay replays[REPLAYS_MAX];
    atomic_uint replay_count, pushed, decided;
};

static void rig_push(void *arg, struct parcel *parcel)
{
    struct rig *rig = arg;
    atomic_fetch_add(&rig->pushed, 1);
    parcel_unref(&parcel);
}

static uint64_t rig_outlets(void *arg, const struct parcel *parcel, uint32_t exporters)
{
    (void)arg;
    (void)parcel;
    return exporters;
}

struct looking {
    const struct journal_replay *call;
    struct seen_replay *seen;
};

static bool look_item(void *arg, const struct item_view *view)
{
    struct looking *looking = arg;
    struct bytes edits;
    if (journal_history_released(looking->call->history, view->place.item_at, &edits)) {
        looking->seen->released++;
        looking->seen->edited += edits.len > 0;
    }
    looking->seen->delivered +=
        journal_history_delivered(looking->call->history, 0, view->place.item_at);
    looking->seen->items++;
    return true;
}

static enum result rig_replay(void *arg, struct journal_replay *call)
{
    struct rig *rig = arg;
    uint64_t room = atomic_load(&rig->room);
    if (call->wanted != 0 && (call->wanted & room) == 0) {
        return RESULT_SHED;
    }
    unsigned at = atomic_load(&rig->replay_count);
    assert_true(at < REPLAYS_MAX);
    struct seen_replay *seen = &rig->replays[at];
    *seen = (struct seen_replay){
        .body_len = call->batch->body.len, .wanted = call->wanted, .evaluate = call->evaluate};
    struct looking looking = {call, seen};
    struct scan_report report;
    assert_int_equal(scan_request(call->batch->signal, call->batch->body, SCAN_TRUSTED, look_item,
                                  &looking, &report),
                     RESULT_OK);
    call->served = call->wanted & room;
    for (unsigned i = 0; i < OUTLETS; i++) {
        call->items[i] = (call->served >> i & 1) != 0 ? 1 : 0;
    }
    atomic_fetch_add(&rig->replay_count, 1);
    return RESULT_OK;
}

static void rig_decided(void *arg, const struct trace_id *trace_id, const struct span_id *target)
{
    struct rig *rig = arg;
    (void)trace_id;
    (void)target;
    atomic_fetch_add(&rig->decided, 1);
}

static void rig_open(struct rig *rig)
{
    char why[256] = "";
    assert_int_equal(journal_open(&rig->config, names, OUTLETS, &rig->journal, why, sizeof(why)),
                     RESULT_OK);
    journal_decisions(rig->journal, rig_decided, rig);
    struct journal_ports ports = {rig_push, rig_outlets, rig_replay, rig};
    assert_int_equal(journal_start(rig->journal, &ports), RESULT_OK);
}

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/journal_test.XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    rig->config.store.directory = bytes_from_text(rig->folder);
    rig->room = 3;
    *state = rig;
    rig_open(rig);
    return 0;
}

static void rig_barrier(struct rig *rig)
{
    assert_true(journal_barrier(rig->journal, clock_mono_ns() + 20 * NS_PER_S));
}

static const char *const files[] = {"journal.db", "journal.db-wal"};

static void folder_remove(const char *folder)
{
    char path[128];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void file_copy(const char *from, const char *to)
{
    static char block[65536];
    FILE *in = fopen(from, "rb");
    if (in == NULL) {
        return;  // no WAL
    }
    FILE *out = fopen(to, "wb");
    assert_non_null(out);
    size_t len;
    while ((len = fread(block, 1, sizeof(block), in)) > 0) {
        assert_int_equal(fwrite(block, 1, len, out), len);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(in), 0);
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;
    journal_close(&rig->journal);
    folder_remove(rig->folder);
    free(rig);
    return 0;
}

// The process dies: what is on disk now is what the next one finds.
static void rig_crash(struct rig *rig)
{
    char copy[80], from[128], to[128];
    rig_barrier(rig);
    snprintf(copy, sizeof(copy), "%s.copy", rig->folder);
    assert_int_equal(mkdir(copy, 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(from, sizeof(from), "%s/%s", rig->folder, files[i]);
        snprintf(to, sizeof(to), "%s/%s", copy, files[i]);
        file_copy(from, to);
    }
    journal_close(&rig->journal);
    folder_remove(rig->folder);
    assert_int_equal(rename(copy, rig->folder), 0);
    atomic_store(&rig->replay_count, 0);
    atomic_store(&rig->decided, 0);
    rig_open(rig);
}

static void rig_replayed(struct rig *rig, unsigned count)
{
    journal_replay_begin(rig->journal);
    for (unsigned i = 0; i < 20000 && atomic_load(&rig->replay_count) < count; i++) {
        usleep(1000);
    }
    rig_barrier(rig);
    rig_barrier(rig);  // what a turn handed on after the first answer
    assert_int_equal(atomic_load(&rig->replay_count), count);
}

// A request of `count` spans.
static struct batch *request(unsigned count)
{
    struct buffer body;
    buffer_init(&body, 1 << 20);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t scopes = wire_open(&body, RESOURCE_SCOPES);
    for (unsigned i = 0; i < count; i++) {
        uint8_t id[16] = {1, 2, 3, (uint8_t)i};
        size_t span = wire_open(&body, SCOPE_ITEMS);
        wire_write_bytes(&body, SPAN_TRACE_ID, bytes_from(id, 16));
        wire_write_bytes(&body, SPAN_SPAN_ID, bytes_from(id, 8));
        wire_write_text(&body, SPAN_NAME, "span");
        wire_close(&body, span);
    }
    wire_close(&body, scopes);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), clock_mono_ns());
    batch->item_count = count;
    buffer_fini(&body);
    return batch;
}

static struct batch *admit(struct rig *rig, unsigned count, uint64_t loaded, uint64_t spilled,
                           bool open)
{
    struct batch *batch = request(count);
    struct journal_admission admission = {
        .route = "otlp", .wall_ns = clock_wall_ns(), .spilled = spilled, .open = open};
    for (unsigned i = 0; i < OUTLETS; i++) {
        admission.items[i] = (loaded >> i & 1) != 0 ? count : 0;
    }
    assert_int_equal(journal_reserve(rig->journal, batch->body.len), RESULT_OK);
    journal_admit(rig->journal, batch, &admission);
    assert_int_not_equal(batch->entry, 0);
    return batch;
}

static bool place_note(void *arg, const struct item_view *view)
{
    struct item_place **next = arg;
    *(*next)++ = view->place;
    return true;
}

// A parcel of the items [from, from + count) of a request.
static struct parcel *part(struct batch *batch, unsigned from, unsigned count)
{
    struct item_place places[64], *next = places;
    struct scan_report report;
    assert_int_equal(
        scan_request(SIGNAL_TRACES, batch->body, SCAN_TRUSTED, place_note, &next, &report),
        RESULT_OK);
    batch_hold(batch);
    return parcel_new(batch, PARCEL_ONLY, places + from, count, OUTLETS);
}

static void settle(struct rig *rig, struct batch *batch, unsigned outlet, unsigned from,
                   unsigned count)
{
    struct parcel *parcel = part(batch, from, count);
    journal_settled(journal_outlet(rig->journal, outlet), &parcel->links[outlet]);
}

static void admitted_request_survives_a_crash(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 3, 3, 0, false);
    size_t len = batch->body.len;
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].body_len, len);
    assert_int_equal(rig->replays[0].wanted, 3);
    assert_int_equal(rig->replays[0].items, 3);
    assert_false(rig->replays[0].evaluate);
    batch_release(&batch);
}

static void what_every_exporter_has_is_not_handed_on_again(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 2, 3, 0, false);
    settle(rig, batch, 0, 0, 2);
    settle(rig, batch, 1, 0, 2);
    batch_release(&batch);
    rig_crash(rig);
    rig_replayed(rig, 0);
}

static void exporter_that_is_done_is_not_owed_again(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 2, 3, 0, false);
    settle(rig, batch, 0, 0, 2);
    batch_release(&batch);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].wanted, 2);
}

static void progress_of_one_exporter_is_remembered_by_item(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 5, 3, 0, false);
    settle(rig, batch, 0, 1, 2);
    batch_release(&batch);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].wanted, 3);
    assert_int_equal(rig->replays[0].delivered, 2);
}

static void open_decision_keeps_an_entry_until_it_is_paid(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 1, 1, 0, true);
    struct decision_debt *debt = batch->debt;
    assert_non_null(debt);
    settle(rig, batch, 0, 0, 1);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_true(rig->replays[0].evaluate);
    assert_int_equal(rig->replays[0].wanted, 0);
    free(debt);  // of the process that died
    batch_release(&batch);
}

static void paid_decision_lets_an_entry_go(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 1, 1, 0, true);
    struct decision_debt *debt = batch->debt;
    settle(rig, batch, 0, 0, 1);
    decision_debt_pay(&debt);
    batch_release(&batch);
    rig_crash(rig);
    rig_replayed(rig, 0);
}

static void released_span_waits_for_the_commit_and_keeps_its_edits(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 4, 1, 0, true);
    struct decision_debt *debt = batch->debt;
    struct parcel *edited = part(batch, 0, 1), *bare = part(batch, 2, 1);
    struct buffer field;
    buffer_init(&field, 256);
    attribute_write_bool(&field, SPAN_ATTRIBUTES, "sidejudge.graded", true);
    assert_int_equal(parcel_append(edited, edited->items[0].item_at, buffer_view(&field)),
                     RESULT_OK);
    buffer_fini(&field);
    edited->exporters = bare->exporters = 1;
    struct journal_group *group = journal_group_new();
    struct trace_id trace_id = {{9}};
    struct span_id target = {{8}};
    journal_group_release(group, edited);
    journal_group_release(group, bare);
    journal_group_decide(group, &trace_id, &target);
    journal_group_post(rig->journal, &group);
    rig_barrier(rig);
    assert_int_equal(atomic_load(&rig->pushed), 2);
    batch_release(&batch);
    rig_crash(rig);
    assert_int_equal(atomic_load(&rig->decided), 1);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].released, 2);
    assert_int_equal(rig->replays[0].edited, 1);
    free(debt);
}

static void own_product_is_an_entry_of_its_own(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = request(1);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, OUTLETS);
    parcel->own = true;
    parcel->exporters = 1;
    parcel->spilled = 2;
    struct journal_group *group = journal_group_new();
    journal_group_release(group, parcel);
    journal_group_post(rig->journal, &group);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].wanted, 3);
}

static void spilled_entry_follows_when_there_is_room(void **state)
{
    struct rig *rig = *state;
    atomic_store(&rig->room, 1);
    struct batch *batch = admit(rig, 2, 1, 2, false);
    rig_barrier(rig);
    assert_int_equal(journal_backlog(rig->journal, 1), 1);
    assert_int_equal(atomic_load(&rig->replay_count), 0);
    settle(rig, batch, 0, 0, 2);
    batch_release(&batch);
    atomic_store(&rig->room, 3);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].wanted, 2);
    assert_int_equal(journal_backlog(rig->journal, 1), 0);
}

static void exporter_without_room_after_a_restart_gets_its_part_later(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 1, 3, 0, false);
    batch_release(&batch);
    atomic_store(&rig->room, 1);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_int_equal(journal_backlog(rig->journal, 1), 1);
    atomic_store(&rig->room, 3);
    rig_replayed(rig, 2);
    assert_int_equal(rig->replays[1].wanted, 2);
}

static void entry_that_was_evaluated_at_two_crashes_goes_straight(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 1, 1, 0, true);
    struct decision_debt *debt = batch->debt;
    batch_release(&batch);
    rig_crash(rig);
    rig_crash(rig);
    rig_replayed(rig, 1);
    assert_false(rig->replays[0].evaluate);
    assert_int_equal(rig->replays[0].wanted, 1);
    free(debt);
}

static void entry_that_kills_even_then_is_set_aside(void **state)
{
    struct rig *rig = *state;
    char path[160];
    struct stat there;
    struct batch *batch = admit(rig, 1, 1, 0, true);
    struct decision_debt *debt = batch->debt;
    batch_release(&batch);
    for (unsigned i = 0; i < 2; i++) {
        rig_crash(rig);
    }
    rig_replayed(rig, 1);
    // What a process leaves that dies while it hands the entry straight on.
    journal_close(&rig->journal);
    for (unsigned i = 0; i < 2; i++) {
        struct journal_store *store = NULL;
        bool unclean = false;
        char why[256];
        assert_int_equal(journal_store_open(&rig->config.store, &store, &unclean, why, sizeof(why)),
                         RESULT_OK);
        assert_int_equal(journal_store_begin(store), RESULT_OK);
        assert_int_equal(journal_store_suspect(store, 1, true), RESULT_OK);
        assert_int_equal(journal_store_commit(store), RESULT_OK);
        journal_store_close(&store, false);
    }
    atomic_store(&rig->replay_count, 0);
    rig_open(rig);
    journal_replay_begin(rig->journal);
    snprintf(path, sizeof(path), "%s/quarantine/1.otlp", rig->folder);
    for (unsigned i = 0; i < 20000 && stat(path, &there) != 0; i++) {
        usleep(1000);
    }
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0600);
    assert_int_equal(atomic_load(&rig->replay_count), 0);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/quarantine", rig->folder);
    assert_int_equal(rmdir(path), 0);
    free(debt);
}

static void full_journal_refuses_and_takes_again_when_it_has_room(void **state)
{
    struct rig *rig = *state;
    journal_close(&rig->journal);
    rig->config.store.size_max = 4 << 20;
    rig_open(rig);
    assert_int_equal(journal_reserve(rig->journal, 8 << 20), RESULT_SHED);
    assert_int_equal(journal_reserve(rig->journal, 1000), RESULT_OK);
    journal_unreserve(rig->journal, 1000);
    // An entry needs its size twice, and a mebibyte is kept for erasing.
    assert_int_equal(journal_reserve(rig->journal, 1 << 20), RESULT_OK);
    assert_int_equal(journal_reserve(rig->journal, 1 << 20), RESULT_SHED);
    journal_unreserve(rig->journal, 1 << 20);
    assert_int_equal(journal_reserve(rig->journal, 1 << 20), RESULT_OK);
    journal_unreserve(rig->journal, 1 << 20);
}

static void wait_is_answered_once_everything_before_it_is_durable(void **state)
{
    struct rig *rig = *state;
    struct mailbox *replies = aligned_alloc(64, (sizeof(*replies) + 63) / 64 * 64);
    assert_non_null(replies);
    mailbox_init(replies, 4, NULL, NULL);
    static struct mailbox_node reply;
    struct commit_wait wait = {.result = RESULT_FAIL, .reply_to = replies, .reply = &reply};
    struct batch *batch = admit(rig, 1, 1, 0, false);
    journal_await(rig->journal, &wait);
    struct mailbox_node *got = NULL;
    for (unsigned i = 0; i < 20000 && (got = mailbox_take(replies)) == NULL; i++) {
        usleep(1000);
    }
    assert_ptr_equal(got, &reply);
    assert_int_equal(wait.result, RESULT_OK);
    batch_release(&batch);
    journal_close(&rig->journal);  // who answers has the mailbox in hand a moment longer
    free(replies);
    rig_open(rig);
}

static void unconfigured_exporter_is_not_owed_any_more(void **state)
{
    struct rig *rig = *state;
    struct batch *batch = admit(rig, 1, 3, 0, false);
    char why[256];
    rig_barrier(rig);
    journal_close(&rig->journal);
    batch_release(&batch);
    const char *only[] = {"langfuse"};
    assert_int_equal(journal_open(&rig->config, only, 1, &rig->journal, why, sizeof(why)),
                     RESULT_OK);
    struct journal_ports ports = {rig_push, rig_outlets, rig_replay, rig};
    assert_int_equal(journal_start(rig->journal, &ports), RESULT_OK);
    rig_replayed(rig, 1);
    assert_int_equal(rig->replays[0].wanted, 1);  // the first outlet now
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(admitted_request_survives_a_crash),
        CASE(what_every_exporter_has_is_not_handed_on_again),
        CASE(exporter_that_is_done_is_not_owed_again),
        CASE(progress_of_one_exporter_is_remembered_by_item),
        CASE(open_decision_keeps_an_entry_until_it_is_paid),
        CASE(paid_decision_lets_an_entry_go),
        CASE(released_span_waits_for_the_commit_and_keeps_its_edits),
        CASE(own_product_is_an_entry_of_its_own),
        CASE(spilled_entry_follows_when_there_is_room),
        CASE(exporter_without_room_after_a_restart_gets_its_part_later),
        CASE(entry_that_was_evaluated_at_two_crashes_goes_straight),
        CASE(entry_that_kills_even_then_is_set_aside),
        CASE(full_journal_refuses_and_takes_again_when_it_has_room),
        CASE(wait_is_answered_once_everything_before_it_is_durable),
        CASE(unconfigured_exporter_is_not_owed_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
