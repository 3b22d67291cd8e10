// SPDX-License-Identifier: Apache-2.0
//
// Homes, slabs and counts; the tests with threads mean something under ThreadSanitizer too.
#include "proto/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/crash.h"

#define KEEP_BYTES ((size_t)1 << 20)

static void slab_fill(struct batch_home *home, struct slab *slab, size_t len)
{
    assert_int_equal(slab_grow(home, slab, len), RESULT_OK);
    memset(slab->ptr + slab->len, 'x', len);
    slab->len += len;
}

static struct batch *batch_of(struct batch_home *home, size_t len)
{
    struct slab body = {0};
    slab_fill(home, &body, len);
    return batch_seal(home, SIGNAL_TRACES, &body, NULL, CODEC_NONE, 7);
}

static void slabs_grow_by_doubling_and_keep_their_bytes(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct slab slab = {0};
    size_t capacity_before = 0;
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(slab_grow(home, &slab, 100), RESULT_OK);
        memset(slab.ptr + slab.len, (int)(i & 0xff), 100);
        slab.len += 100;
        assert_true(slab.capacity >= 16384);
        assert_true(slab.capacity == capacity_before || slab.capacity >= 2 * capacity_before);
        capacity_before = slab.capacity;
    }
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(slab.ptr[i * 100 + 99], i & 0xff);
    }
    slab_drop(home, &slab);
    assert_null(slab.ptr);
    batch_home_close(home);
}

static void memory_comes_back_after_a_sweep(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct batch *batch = batch_of(home, 5000);
    const uint8_t *memory = batch->body.ptr;
    batch_release(&batch);
    assert_null(batch);
    batch_home_sweep(home);
    batch = batch_of(home, 100);
    assert_ptr_equal(batch->body.ptr, memory);
    batch_release(&batch);
    batch_home_close(home);
}

static void a_home_keeps_no_more_than_it_may(void **state)
{
    (void)state;
    struct account *account = account_new((size_t)64 << 20);
    struct batch_home *home = batch_home_new(account, 0);
    struct batch *batch = batch_of(home, 5000);
    assert_int_equal(account_used(account, POOL_REQUESTS), 16384);
    batch_release(&batch);
    assert_int_equal(account_used(account, POOL_REQUESTS), 16384);
    batch_home_sweep(home);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    batch_home_close(home);
    account_free(account);
}

static void a_refused_charge_leaves_the_slab_as_it_was(void **state)
{
    (void)state;
    struct account *account = account_new(100 * 1024);  // requests: 35 KiB
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct slab slab = {0};
    slab_fill(home, &slab, 10000);
    const uint8_t *ptr = slab.ptr;
    assert_int_equal(slab_grow(home, &slab, 50000), RESULT_SHED);
    assert_ptr_equal(slab.ptr, ptr);
    assert_int_equal(slab.len, 10000);
    assert_int_equal(account_used(account, POOL_REQUESTS), 16384);
    slab_drop(home, &slab);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    batch_home_close(home);
    account_free(account);
}

static void a_slab_never_reaches_beyond_two_gigabytes(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct slab slab = {0};
    assert_int_equal(slab_grow(home, &slab, ((size_t)1 << 31) + 1), RESULT_TOO_LARGE);
    assert_int_equal(slab_grow(home, &slab, SIZE_MAX), RESULT_TOO_LARGE);
    assert_null(slab.ptr);
    batch_home_close(home);
}

static void a_foreign_buffer_becomes_a_slab_and_is_charged(void **state)
{
    (void)state;
    struct account *account = account_new((size_t)64 << 20);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct buffer buffer;
    struct slab slab = {0};
    buffer_init(&buffer, 100000);
    buffer_append_text(&buffer, "transcoded");
    size_t len = buffer.len;
    assert_int_equal(slab_adopt(home, &buffer, &slab), RESULT_OK);
    assert_null(buffer.ptr);
    assert_int_equal(account_used(account, POOL_REQUESTS), len);
    slab_fill(home, &slab, 1000);
    assert_memory_equal(slab.ptr, "transcoded", 10);
    struct batch *batch = batch_seal(home, SIGNAL_LOGS, &slab, NULL, CODEC_NONE, 0);
    batch_release(&batch);
    batch_home_close(home);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    account_free(account);
}

static void an_empty_buffer_becomes_an_empty_slab(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct buffer buffer;
    struct slab slab = {0};
    buffer_init(&buffer, 100000);
    assert_int_equal(slab_adopt(home, &buffer, &slab), RESULT_OK);
    assert_null(slab.ptr);
    assert_non_null(buffer_reserve(&buffer, 10));
    assert_int_equal(slab_adopt(home, &buffer, &slab), RESULT_OK);
    assert_null(slab.ptr);
    slab_drop(home, &slab);
    batch_home_close(home);
}

static void a_refused_adoption_leaves_the_buffer(void **state)
{
    (void)state;
    struct account *account = account_new(1000);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct buffer buffer;
    struct slab slab = {0};
    buffer_init(&buffer, 100000);
    memset(buffer_reserve(&buffer, 5000), 'y', 5000);
    buffer_commit(&buffer, 5000);
    assert_int_equal(slab_adopt(home, &buffer, &slab), RESULT_SHED);
    assert_int_equal(buffer.len, 5000);
    assert_null(slab.ptr);
    buffer_fini(&buffer);
    batch_home_close(home);
    account_free(account);
}

static void a_lent_slab_comes_back_filled(void **state)
{
    (void)state;
    struct account *account = account_new((size_t)64 << 20);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct buffer buffer;
    struct slab slab = {0};
    slab_fill(home, &slab, 20000);
    uint8_t *memory = slab.ptr;
    slab_drop(home, &slab);
    buffer_init(&buffer, 100000);
    slab_lend(home, 20000, &buffer);
    assert_ptr_equal(buffer.ptr, memory);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    memset(buffer_reserve(&buffer, 10000), 'z', 10000);
    buffer_commit(&buffer, 10000);
    assert_int_equal(slab_take(home, &buffer, &slab), RESULT_OK);
    assert_null(buffer.ptr);
    assert_ptr_equal(slab.ptr, memory);
    assert_int_equal(slab.len, 10000);
    assert_int_equal(account_used(account, POOL_REQUESTS), slab.capacity);
    slab_drop(home, &slab);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    batch_home_close(home);
    account_free(account);
}

static void nothing_is_lent_when_nothing_is_kept(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct buffer buffer;
    buffer_init(&buffer, 100);
    slab_lend(home, 100, &buffer);
    slab_lend(home, SIZE_MAX, &buffer);
    assert_null(buffer.ptr);
    assert_int_equal(buffer.capacity, 0);
    batch_home_close(home);
}

static void what_does_not_fill_a_slab_is_not_taken(void **state)
{
    (void)state;
    struct account *account = account_new(10000);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct buffer buffer;
    struct slab slab = {0};
    buffer_init(&buffer, (size_t)1 << 20);
    buffer_append_text(&buffer, "odd size");
    assert_int_equal(slab_take(home, &buffer, &slab), RESULT_MISSING);
    memset(buffer_reserve(&buffer, 16000), 'y', 16000);
    assert_int_equal(slab_take(home, &buffer, &slab), RESULT_MISSING);  // a few bytes of 16 KiB
    buffer_commit(&buffer, 16000);
    assert_int_equal(slab_take(home, &buffer, &slab), RESULT_SHED);  // beyond the account
    assert_int_equal(buffer.len, 16008);
    assert_null(slab.ptr);
    buffer_fini(&buffer);
    batch_home_close(home);
    account_free(account);
}

static void the_compressed_form_travels_with_the_body(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct slab body = {0};
    struct slab packed = {0};
    slab_fill(home, &body, 3000);
    slab_fill(home, &packed, 300);
    struct batch *batch = batch_seal(home, SIGNAL_TRACES, &body, &packed, CODEC_GZIP, 9);
    assert_null(body.ptr);
    assert_null(packed.ptr);
    assert_int_equal(batch->packed.len, 300);
    assert_int_equal(batch->packed_codec, CODEC_GZIP);
    assert_true(batch->received_ns == 9);
    batch_release(&batch);
    batch_home_close(home);
}

static void ids_ascend(void **state)
{
    (void)state;
    struct batch *first = batch_make(SIGNAL_TRACES, BYTES_LITERAL("a"), 0);
    struct batch *second = batch_make(SIGNAL_TRACES, BYTES_NONE, 0);
    assert_true(second->id > first->id);
    assert_true(bytes_equal_text(first->body, "a"));
    batch_release(&first);
    batch_release(&second);
}

static void a_detached_copy_has_the_entry_of_where_it_came_from(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct batch *origin = batch_of(home, 1000);
    const struct batch *origin_seen = origin;
    origin->entry = 7;
    struct batch *copy = batch_make_detached(origin, BYTES_LITERAL("part"));
    struct batch *second = batch_make_detached(copy, BYTES_LITERAL("smaller part"));
    batch_release(&origin);
    batch_release(&copy);
    batch_home_close(home);
    assert_ptr_equal(second->origin, origin_seen);
    assert_int_equal(second->entry, 7);
    assert_int_equal(origin_seen->entry, 7);  // its struct is there as long as a copy is
    batch_release(&second);
}

static void release_twice(void *arg)
{
    struct batch *batch = arg;
    struct batch *again = batch;
    batch_release(&batch);  // its home has not swept yet
    batch_release(&again);
}

static void let_go_too_much(void *arg)
{
    (void)batch_let_go(arg, 5001);
}

static void misuse_crashes(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct batch *batch = batch_of(home, 5000);
    assert_true(crashes(release_twice, batch));
    assert_true(crashes(let_go_too_much, batch));
    batch_release(&batch);
    batch_release(&batch);  // NULL is fine
    batch_home_close(home);
    batch_home_close(NULL);
}

static void little_left_of_a_large_body_asks_for_detaching(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, KEEP_BYTES);
    struct batch *large = batch_of(home, 100000);
    struct batch *small = batch_of(home, 60000);
    assert_false(batch_let_go(large, 50000));
    assert_false(batch_let_go(large, 25000));
    assert_true(batch_let_go(large, 1));
    assert_false(batch_let_go(small, 59999));
    batch_release(&large);
    batch_release(&small);
    batch_home_close(home);
}

static void batches_outlive_a_closed_home(void **state)
{
    (void)state;
    struct account *account = account_new((size_t)64 << 20);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    struct batch *first = batch_of(home, 5000);
    struct batch *second = batch_of(home, 5000);
    batch_home_close(home);
    assert_int_equal(first->body.ptr[4999], 'x');
    batch_release(&first);
    batch_release(&second);
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    account_free(account);
}

enum { OWNERS = 4, BATCHES = 2000 };

struct owner {
    struct thread thread;
    struct batch *batches[BATCHES];
};

static void owner_run(void *arg)
{
    struct owner *owner = arg;
    for (unsigned i = 0; i < BATCHES; i++) {
        (void)batch_let_go(owner->batches[i], owner->batches[i]->body.len / OWNERS);
        batch_release(&owner->batches[i]);
    }
}

// `early_close`: the home goes while the owners are still letting go.
static void run_owners(bool early_close)
{
    struct owner *owners = calloc(OWNERS, sizeof *owners);
    struct account *account = account_new((size_t)2 << 30);
    struct batch_home *home = batch_home_new(account, KEEP_BYTES);
    assert_non_null(owners);
    for (unsigned i = 0; i < BATCHES; i++) {
        struct batch *batch = batch_of(home, 4000);
        for (unsigned o = 0; o < OWNERS; o++) {
            if (o > 0) {
                batch_hold(batch);
            }
            owners[o].batches[i] = batch;
        }
    }
    for (unsigned o = 0; o < OWNERS; o++) {
        assert_int_equal(thread_start(&owners[o].thread, "owner", owner_run, &owners[o]),
                         RESULT_OK);
    }
    for (unsigned i = 0; i < 1000; i++) {
        batch_home_sweep(home);
    }
    if (early_close) {
        batch_home_close(home);
    }
    for (unsigned o = 0; o < OWNERS; o++) {
        thread_join(&owners[o].thread);
    }
    if (!early_close) {
        batch_home_sweep(home);
        batch_home_close(home);
    }
    assert_int_equal(account_used(account, POOL_REQUESTS), 0);
    account_free(account);
    free(owners);
}

static void owners_on_other_threads_give_all_memory_back(void **state)
{
    (void)state;
    run_owners(false);
}

static void a_home_that_closes_early_leaves_nothing_behind(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        run_owners(true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_grow_by_doubling_and_keep_their_bytes),
        cmocka_unit_test(memory_comes_back_after_a_sweep),
        cmocka_unit_test(a_home_keeps_no_more_than_it_may),
        cmocka_unit_test(a_refused_charge_leaves_the_slab_as_it_was),
        cmocka_unit_test(a_slab_never_reaches_beyond_two_gigabytes),
        cmocka_unit_test(a_foreign_buffer_becomes_a_slab_and_is_charged),
        cmocka_unit_test(an_empty_buffer_becomes_an_empty_slab),
        cmocka_unit_test(a_refused_adoption_leaves_the_buffer),
        cmocka_unit_test(a_lent_slab_comes_back_filled),
        cmocka_unit_test(nothing_is_lent_when_nothing_is_kept),
        cmocka_unit_test(what_does_not_fill_a_slab_is_not_taken),
        cmocka_unit_test(the_compressed_form_travels_with_the_body),
        cmocka_unit_test(ids_ascend),
        cmocka_unit_test(a_detached_copy_has_the_entry_of_where_it_came_from),
        cmocka_unit_test(misuse_crashes),
        cmocka_unit_test(little_left_of_a_large_body_asks_for_detaching),
        cmocka_unit_test(batches_outlive_a_closed_home),
        cmocka_unit_test(owners_on_other_threads_give_all_memory_back),
        cmocka_unit_test(a_home_that_closes_early_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
