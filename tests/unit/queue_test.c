// SPDX-License-Identifier: Apache-2.0
// The sending queue: its bounds, what is merged with what, and when a lot is ready.
#include "exporter/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/export_sample.h"

#define MS UINT64_C(1000000)

static struct queue_config config;
static struct queue queue;

static void open_queue(size_t capacity, enum codec codec)
{
    queue_init(&queue, &config, capacity, 1 << 20, codec, NULL, NULL);
}

static int set_up(void **state)
{
    (void)state;
    config = (struct queue_config){
        .enabled = true, .num_consumers = 10, .merge = true, .sizer = QUEUE_BYTES};
    open_queue(1 << 20, CODEC_NONE);
    return 0;
}

static void push(struct parcel *parcel)
{
    assert_true(queue_reserve(&queue, parcel->charge_bytes, parcel->own));
    parcel->links[0].parcel = parcel;
    queue_push(&queue, &parcel->links[0]);
}

static bool take(uint64_t now_ns, unsigned in_flight, struct lot *lot, uint64_t *wake_ns)
{
    *wake_ns = UINT64_MAX;
    (void)queue_sort(&queue, now_ns);
    return queue_take(&queue, now_ns, in_flight, lot, wake_ns);
}

// --- bounds ---------------------------------------------------------------------------------

static void telemetry_has_nine_tenths_and_own_products_one(void **state)
{
    (void)state;
    open_queue(1000, CODEC_NONE);
    assert_true(queue_reserve(&queue, 900, false));
    assert_false(queue_reserve(&queue, 1, false));
    assert_true(queue_reserve(&queue, 100, true));
    assert_false(queue_reserve(&queue, 1, true));
    queue_release(&queue, 900, false);
    assert_false(queue_reserve(&queue, 1, true));
    assert_true(queue_reserve(&queue, 899, false));
    assert_int_equal(queue_used_bytes(&queue), 999);
}

static void an_empty_queue_takes_one_parcel_of_any_size(void **state)
{
    (void)state;
    open_queue(1000, CODEC_NONE);
    assert_true(queue_reserve(&queue, 5000, false));
    assert_false(queue_reserve(&queue, 1, false));
    queue_release(&queue, 5000, false);
    assert_true(queue_reserve(&queue, 1, false));
    assert_false(queue_reserve(&queue, 5000, false));
    assert_false(queue_reserve(&queue, SIZE_MAX, false));
}

static void capacity_follows_the_sizer_and_the_account(void **state)
{
    (void)state;
    struct queue_config own = {.sizer = QUEUE_REQUESTS};
    assert_int_equal(queue_capacity_bytes(&own, NULL), (size_t)32 << 20);
    own.queue_size = 1000;
    assert_int_equal(queue_capacity_bytes(&own, NULL), (size_t)1000 << 15);
    own.sizer = QUEUE_ITEMS;
    assert_int_equal(queue_capacity_bytes(&own, NULL), (size_t)1000 << 10);
    own.sizer = QUEUE_BYTES;
    assert_int_equal(queue_capacity_bytes(&own, NULL), 1000);
    own.queue_size = INT64_MAX;
    own.sizer = QUEUE_REQUESTS;
    assert_true(queue_capacity_bytes(&own, NULL) <= SIZE_MAX / 4);
    own.queue_size = 0;
    struct account *account = account_new((size_t)20 << 20);
    assert_true(queue_capacity_bytes(&own, account) < (size_t)10 << 20);
    account_free(account);
}

static void settling_gives_every_byte_back(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    for (uint32_t i = 0; i < 10; i++) {
        struct parcel *parcel = sample_parcel(i, 1, 10);
        parcel->own = i % 2 == 1;
        push(parcel);
    }
    assert_true(take(1, 0, &lot, &wake_ns));
    queue_settle(&queue, lot.first);
    assert_int_equal(queue_used_bytes(&queue), 0);
    assert_true(queue_is_empty(&queue));
}

// --- readiness ------------------------------------------------------------------------------

static void with_nothing_in_flight_a_parcel_is_ready_at_once(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    assert_false(take(1, 0, &lot, &wake_ns));
    assert_int_equal(wake_ns, UINT64_MAX);
    push(sample_parcel(0, 1, 10));
    assert_true(take(1, 0, &lot, &wake_ns));
    assert_int_equal(lot.count, 1);
    queue_settle(&queue, lot.first);
}

static void with_a_request_in_flight_small_parcels_wait_at_most_fifty_ms(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    push(sample_parcel(0, 1, 10));
    assert_false(take(100 * MS, 1, &lot, &wake_ns));
    assert_int_equal(wake_ns, 150 * MS);
    push(sample_parcel(1, 1, 10));
    assert_false(take(149 * MS, 1, &lot, &wake_ns));
    assert_true(take(150 * MS, 1, &lot, &wake_ns));
    assert_int_equal(lot.count, 2);
    queue_settle(&queue, lot.first);
}

static void a_mebibyte_does_not_wait(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    open_queue(4 << 20, CODEC_NONE);
    for (uint32_t i = 0; i < 19; i++) {
        push(sample_parcel(i, 1, 60000));
    }
    assert_true(take(1, 1, &lot, &wake_ns));
    assert_int_equal(lot.count, 17);
    queue_settle(&queue, lot.first);
    queue_settle(&queue, queue_take_rest(&queue));
}

static void a_batch_section_waits_for_its_size_or_its_time(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    config.batch_present = true;
    config.batch = (struct queue_batch_config){
        .flush_timeout_ns = 200 * (int64_t)MS, .min_size = 5, .sizer = QUEUE_BATCH_ITEMS};
    push(sample_parcel(0, 4, 10));
    assert_false(take(100 * MS, 0, &lot, &wake_ns));
    assert_int_equal(wake_ns, 300 * MS);
    assert_true(take(300 * MS, 0, &lot, &wake_ns));
    queue_settle(&queue, lot.first);
    push(sample_parcel(0, 4, 10));
    push(sample_parcel(4, 1, 10));
    assert_true(take(301 * MS, 3, &lot, &wake_ns));
    assert_int_equal(lot.count, 2);
    queue_settle(&queue, lot.first);
}

static void a_queue_that_drains_waits_for_nothing(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    push(sample_parcel(0, 1, 10));
    queue.is_draining = true;
    assert_true(take(1, 5, &lot, &wake_ns));
    queue_settle(&queue, lot.first);
}

// --- lots -----------------------------------------------------------------------------------

static void signals_are_never_mixed_and_take_turns(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    push(sample_parcel(0, 1, 10));
    push(sample_metrics(1, 1));
    push(sample_parcel(1, 1, 10));
    assert_true(take(1, 0, &lot, &wake_ns));
    assert_int_equal(lot.signal, SIGNAL_TRACES);
    assert_int_equal(lot.count, 2);
    queue_settle(&queue, lot.first);
    assert_true(take(1, 0, &lot, &wake_ns));
    assert_int_equal(lot.signal, SIGNAL_METRICS);
    queue_settle(&queue, lot.first);
}

static void a_large_whole_parcel_goes_alone(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    push(sample_parcel(0, 1, 10));
    push(sample_parcel(1, 1, 100000));
    push(sample_parcel(2, 1, 10));
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(take(1, 0, &lot, &wake_ns));
        assert_int_equal(lot.count, 1);
        queue_settle(&queue, lot.first);
    }
}

static void packed_bytes_count_only_in_the_codec_of_the_exporter(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, 0);
    struct parcel *parcel = sample_parcel_packed(home, 0, 500, 100);
    open_queue(1 << 20, CODEC_GZIP);
    assert_true(queue_is_verbatim(&queue, parcel));
    open_queue(1 << 20, CODEC_ZSTD);
    assert_false(queue_is_verbatim(&queue, parcel));
    open_queue(1000, CODEC_GZIP);
    queue.bytes_max = 1000;
    assert_false(queue_is_verbatim(&queue, parcel));
    parcel_unref(&parcel);
    parcel = sample_parcel_packed(home, 0, 5, 100);
    open_queue(1 << 20, CODEC_GZIP);
    assert_false(queue_is_verbatim(&queue, parcel));
    parcel_unref(&parcel);
    batch_home_close(home);
}

static void a_lot_stays_below_the_limit(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    queue.bytes_max = 10000;
    for (uint32_t i = 0; i < 30; i++) {
        push(sample_parcel(i, 1, 900));
    }
    uint32_t seen = 0;
    while (take(1, 0, &lot, &wake_ns)) {
        size_t bytes = 0;
        for (struct parcel_link *link = lot.first; link != NULL; link = queue_next_link(link)) {
            bytes += link->parcel->batch->body.len;
        }
        assert_true(bytes <= 10000);
        seen += lot.count;
        queue_settle(&queue, lot.first);
    }
    assert_int_equal(seen, 30);
}

static void a_parcel_above_the_limit_is_offered_in_pieces(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    queue.bytes_max = 10000;
    push(sample_parcel(0, 30, 900));
    struct buffer piece;
    uint32_t items = 0, seen = 0, pieces = 0;
    struct parcel_link *cut = NULL;
    buffer_init(&piece, 1 << 20);
    for (;;) {
        assert_true(take(1, 0, &lot, &wake_ns));
        assert_non_null(lot.cutter);
        assert_int_equal(lot.piece_bytes_max, 10000);
        buffer_reset(&piece);
        if (!parcel_cutter_next(lot.cutter, lot.piece_bytes_max, &piece, &items)) {
            break;
        }
        assert_true(piece.len <= 10000);
        cut = queue_piece_taken(&queue, &lot, items);
        seen += items;
        assert_int_equal(queue_items(&queue, SIGNAL_TRACES), 30 - seen);
        pieces++;
    }
    assert_int_equal(seen, 30);
    assert_in_range(pieces, 3, 5);
    assert_true(queue_used_bytes(&queue) > 0);
    queue_piece_done(&queue, &lot);
    for (; pieces > 0; pieces--) {
        assert_true(queue_used_bytes(&queue) > 0);  // until the fate of every piece is known
        queue_piece_settled(&queue, cut);
    }
    assert_int_equal(queue_used_bytes(&queue), 0);
    assert_true(queue_is_empty(&queue));
    buffer_fini(&piece);
}

static void items_bound_a_lot_as_well(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    config.batch_present = true;
    config.batch = (struct queue_batch_config){.max_size = 10, .sizer = QUEUE_BATCH_ITEMS};
    for (uint32_t i = 0; i < 9; i++) {
        push(sample_parcel(i * 4, 4, 10));
    }
    assert_true(take(1, 0, &lot, &wake_ns));
    assert_int_equal(lot.count, 2);
    queue_settle(&queue, lot.first);
    queue_settle(&queue, queue_take_rest(&queue));
}

static void the_rest_holds_everything_cut_parcels_too(void **state)
{
    (void)state;
    struct lot lot;
    uint64_t wake_ns;
    queue.bytes_max = 1000;
    push(sample_parcel(0, 30, 900));
    push(sample_parcel(30, 1, 10));
    push(sample_metrics(2, 2));
    assert_true(take(1, 0, &lot, &wake_ns));
    struct parcel_link *rest = queue_take_rest(&queue);
    unsigned count = 0;
    for (const struct parcel_link *link = rest; link != NULL; link = queue_next_link(link)) {
        count++;
    }
    assert_int_equal(count, 3);
    queue_settle(&queue, rest);
    assert_int_equal(queue_used_bytes(&queue), 0);
    assert_null(queue_take_rest(&queue));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

// --- metadata -------------------------------------------------------------------------------

static struct parcel *parcel_of(uint32_t number, const char *key)
{
    struct parcel *parcel = sample_parcel(number, 1, 0);
    struct metadata_pair pair = {BYTES_LITERAL("authorization"), bytes_from_text(key)};
    assert_int_equal(metadata_make(&pair, key != NULL ? 1 : 0, &parcel->batch->metadata),
                     RESULT_OK);
    return parcel;
}

static void parcels_of_other_metadata_are_not_merged_where_it_is_sent(void **state)
{
    (void)state;
    static const char *const keys[] = {"one", "one", "two", NULL, NULL, "one"};
    static const uint32_t apart[] = {2, 1, 2, 1};
    struct lot lot;
    uint64_t wake_ns;
    for (unsigned round = 0; round < 2; round++) {
        open_queue(1 << 20, CODEC_NONE);
        queue.keeps_metadata_apart = round == 0;
        for (uint32_t i = 0; i < 6; i++) {
            push(parcel_of(i, keys[i]));
        }
        for (size_t i = 0; i < (round == 0 ? 4 : 1); i++) {
            assert_true(take(1, 0, &lot, &wake_ns));
            assert_int_equal(lot.count, round == 0 ? apart[i] : 6);
            queue_settle(&queue, lot.first);
        }
        assert_false(take(1, 0, &lot, &wake_ns));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(telemetry_has_nine_tenths_and_own_products_one),
        TEST(an_empty_queue_takes_one_parcel_of_any_size),
        TEST(capacity_follows_the_sizer_and_the_account),
        TEST(settling_gives_every_byte_back),
        TEST(with_nothing_in_flight_a_parcel_is_ready_at_once),
        TEST(with_a_request_in_flight_small_parcels_wait_at_most_fifty_ms),
        TEST(a_mebibyte_does_not_wait),
        TEST(a_batch_section_waits_for_its_size_or_its_time),
        TEST(a_queue_that_drains_waits_for_nothing),
        TEST(signals_are_never_mixed_and_take_turns),
        TEST(a_large_whole_parcel_goes_alone),
        TEST(packed_bytes_count_only_in_the_codec_of_the_exporter),
        TEST(a_lot_stays_below_the_limit),
        TEST(a_parcel_above_the_limit_is_offered_in_pieces),
        TEST(items_bound_a_lot_as_well),
        TEST(the_rest_holds_everything_cut_parcels_too),
        TEST(parcels_of_other_metadata_are_not_merged_where_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
