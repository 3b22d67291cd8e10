// SPDX-License-Identifier: Apache-2.0
// A batch on its way: its bytes, and the cut-up form, of which each part holds exactly its items.
#include "exporter/shipment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/export_sample.h"

static struct queue_config config = {.num_consumers = 1, .merge = true};
static struct retry_config retry = {.enabled = true};
static struct delivery_allowance allowance;
static struct random generator;
static struct account *account;
static struct packer packer;
static struct queue queue;
static struct shipment shipment;

static void open_stage(enum codec codec)
{
    memset(&shipment, 0, sizeof(shipment));
    account = account_new((size_t)64 << 20);
    packer_init(&packer, codec, NULL, account);
    queue_init(&queue, &config, (size_t)16 << 20, (size_t)8 << 20, codec, NULL, NULL);
}

static void close_stage(void)
{
    shipment_settle(&shipment, &packer, &queue);
    shipment_fini(&shipment);
    assert_int_equal(queue_used_bytes(&queue), 0);
    packer_fini(&packer);
    assert_int_equal(account_used(account, POOL_QUEUES), 0);
    account_free(account);
}

static void push(struct parcel *parcel)
{
    assert_true(queue_reserve(&queue, parcel->charge_bytes, false));
    parcel->links[0].parcel = parcel;
    queue_push(&queue, &parcel->links[0]);
}

static void load(void)
{
    struct lot lot;
    uint64_t wake_ns = UINT64_MAX;
    (void)queue_sort(&queue, 1);
    assert_true(queue_take(&queue, 1, 0, &lot, &wake_ns));
    assert_int_equal(shipment_load(&shipment, &packer, &queue, &lot, false), RESULT_OK);
    shipment.state = SHIPMENT_READY;
    delivery_begin(&shipment.delivery, &retry, &allowance, &generator, 1);
}

static void part_holds(uint32_t first, uint32_t count, uint32_t of)
{
    uint32_t fate[600] = {0};
    struct buffer plain;
    const char *why;
    buffer_init(&plain, (size_t)16 << 20);
    shipment.delivery.current = (struct delivery_part){.first = first, .count = count};
    assert_int_equal(shipment_load_part(&shipment, &packer, false), RESULT_OK);
    assert_int_equal(codec_inflate(packer.compressor, shipment.payload->codec,
                                   shipment.payload->wire, &plain, NULL, NULL, &why),
                     RESULT_OK);
    assert_true(sample_mark(buffer_view(&plain), fate, 600));
    for (uint32_t i = 0; i < of; i++) {
        assert_int_equal(fate[i], i >= first && i < first + count ? 1 : 0);
    }
    buffer_fini(&plain);
}

static void parts_of_a_merged_batch_hold_their_items(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_NONE, CODEC_GZIP, CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        open_stage(codecs[i]);
        push(sample_parcel(0, 100, 20));
        push(sample_parcel(100, 50, 20));
        push(sample_parcel(150, 1, 20));
        load();
        assert_int_equal(shipment.item_count, 151);
        assert_int_equal(shipment_flatten(&shipment, &packer), RESULT_OK);
        assert_int_equal(shipment.place_count, 151);
        assert_int_equal(shipment.border_count, 2);
        assert_int_equal(shipment.borders[0], 100);
        assert_int_equal(shipment.borders[1], 150);
        part_holds(0, 75, 151);
        part_holds(75, 76, 151);
        part_holds(120, 1, 151);
        part_holds(0, 151, 151);
        close_stage();
    }
}

static void parts_of_a_borrowed_batch_hold_their_items(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, 0);
    open_stage(CODEC_GZIP);
    push(sample_parcel_packed(home, 0, 512, 100));
    load();
    assert_non_null(shipment.payload->batch);
    struct batch *batch = shipment.payload->batch;
    assert_int_equal(shipment_flatten(&shipment, &packer), RESULT_OK);
    assert_ptr_equal(shipment.flat, batch);
    assert_int_equal(shipment.border_count, 0);
    part_holds(0, 256, 512);
    part_holds(511, 1, 512);
    close_stage();
    batch_home_close(home);
}

static void items_of_metrics_are_data_points(void **state)
{
    (void)state;
    open_stage(CODEC_GZIP);
    push(sample_metrics(10, 3));
    load();
    assert_int_equal(shipment.item_count, 30);
    assert_int_equal(shipment_flatten(&shipment, &packer), RESULT_OK);
    assert_int_equal(shipment.place_count, 10);
    struct delivery_part part = {.first = 2, .count = 4};
    assert_int_equal(shipment_items(&shipment, &part), 12);
    part.count = DELIVERY_ALL;
    assert_int_equal(shipment_items(&shipment, &part), 30);
    close_stage();
}

static void pieces_of_a_large_parcel_come_one_after_the_other(void **state)
{
    (void)state;
    open_stage(CODEC_GZIP);
    queue.bytes_max = 20000;
    push(sample_parcel(0, 100, 1000));
    uint32_t items = 0;
    struct lot lot;
    uint64_t wake_ns = UINT64_MAX;
    (void)queue_sort(&queue, 1);
    for (;;) {
        assert_true(queue_take(&queue, 1, 0, &lot, &wake_ns));
        enum result result = shipment_load(&shipment, &packer, &queue, &lot, false);
        if (result == RESULT_MISSING) {
            break;
        }
        assert_int_equal(result, RESULT_OK);
        assert_true(shipment.payload->plain_bytes <= 20000);
        items += shipment.item_count;
        shipment_settle(&shipment, &packer, &queue);
    }
    assert_int_equal(items, 100);
    close_stage();
}

static void a_refused_piece_is_the_same_piece_the_next_time(void **state)
{
    (void)state;
    open_stage(CODEC_GZIP);
    queue.bytes_max = 20000;
    push(sample_parcel(0, 30, 1000));
    size_t share = account_share(account, POOL_QUEUES);
    assert_true(account_charge(account, POOL_QUEUES, share));
    struct lot lot;
    uint64_t wake_ns = UINT64_MAX;
    (void)queue_sort(&queue, 1);
    assert_true(queue_take(&queue, 1, 0, &lot, &wake_ns));
    assert_int_equal(shipment_load(&shipment, &packer, &queue, &lot, false), RESULT_SHED);
    account_release(account, POOL_QUEUES, share);
    uint32_t items = 0;
    for (;;) {
        assert_true(queue_take(&queue, 1, 0, &lot, &wake_ns));
        if (shipment_load(&shipment, &packer, &queue, &lot, false) != RESULT_OK) {
            break;
        }
        items += shipment.item_count;
        shipment_settle(&shipment, &packer, &queue);
    }
    assert_int_equal(items, 30);
    close_stage();
}

static void a_refused_lot_keeps_its_links(void **state)
{
    (void)state;
    open_stage(CODEC_GZIP);
    push(sample_parcel(0, 30, 1000));
    size_t share = account_share(account, POOL_QUEUES);
    assert_true(account_charge(account, POOL_QUEUES, share));
    struct lot lot;
    uint64_t wake_ns = UINT64_MAX;
    (void)queue_sort(&queue, 1);
    assert_true(queue_take(&queue, 1, 0, &lot, &wake_ns));
    assert_int_equal(shipment_load(&shipment, &packer, &queue, &lot, false), RESULT_SHED);
    assert_non_null(lot.first);
    account_release(account, POOL_QUEUES, share);
    assert_int_equal(shipment_load(&shipment, &packer, &queue, &lot, false), RESULT_OK);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_merged_batch_hold_their_items),
        cmocka_unit_test(parts_of_a_borrowed_batch_hold_their_items),
        cmocka_unit_test(items_of_metrics_are_data_points),
        cmocka_unit_test(pieces_of_a_large_parcel_come_one_after_the_other),
        cmocka_unit_test(a_refused_piece_is_the_same_piece_the_next_time),
        cmocka_unit_test(a_refused_lot_keeps_its_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
