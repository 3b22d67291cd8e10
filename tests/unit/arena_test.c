// SPDX-License-Identifier: Apache-2.0
//
// The arena: alignment, growth, the ceiling on all that it holds, and memory that runs out.
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/allocation.h"

static void memory_is_aligned_and_separate(void **state)
{
    (void)state;
    struct arena arena;
    uint8_t *parts[200];
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        parts[i] = arena_alloc(&arena, i);
        assert_non_null(parts[i]);
        assert_int_equal((uintptr_t)parts[i] % 16, 0);
        memset(parts[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t at = 0; at < i; at++) {
            assert_int_equal(parts[i][at], i);
        }
        assert_true(i == 0 || parts[i] != parts[i - 1]);
    }
    arena_fini(&arena);
}

static void a_small_trace_holds_256_bytes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(arena.bytes_used, 0);
    assert_non_null(arena_alloc(&arena, 100));
    assert_non_null(arena_alloc(&arena, 100));
    assert_in_range(arena.bytes_used, 1, 256);
    arena_fini(&arena);
    assert_int_equal(arena.bytes_used, 0);
    arena_fini(&arena);
}

static void many_small_requests_need_few_chunks(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 8 << 20);
    allocation_count();
    for (size_t i = 0; i < 65536; i++) {
        assert_non_null(arena_alloc(&arena, 16));
    }
    assert_in_range(allocation_count(), 8, 32);
    assert_in_range(arena.bytes_used, 1 << 20, (1 << 20) + (1 << 17));
    arena_fini(&arena);
}

static void a_large_request_does_not_waste_the_open_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    uint8_t *before = arena_alloc(&arena, 16);
    assert_non_null(arena_alloc(&arena, 300000));
    uint8_t *after = arena_alloc(&arena, 16);
    assert_ptr_equal(after, before + 16);
    assert_in_range(arena.bytes_used, 300000, 300000 + 256 + 64);
    arena_fini(&arena);
}

static void the_limit_counts_all_that_is_held(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    size_t given = 0;
    while (arena_alloc(&arena, 64)) {
        given += 64;
        assert_true(arena.bytes_used <= 10000);
    }
    assert_in_range(given, 8500, 10000);
    assert_null(arena_alloc(&arena, 64));
    arena_fini(&arena);
}

static void an_arena_without_room_gives_nothing(void **state)
{
    (void)state;
    const size_t limits[] = {0, 1, 32, 47};
    for (size_t i = 0; i < 4; i++) {
        struct arena arena;
        arena_init(&arena, limits[i]);
        assert_null(arena_alloc(&arena, 0));
        assert_null(arena_zalloc(&arena, 1));
        assert_null(arena_copy(&arena, BYTES_LITERAL("x")).ptr);
        assert_int_equal(arena.bytes_used, 0);
        arena_fini(&arena);
    }
}

static void lengths_near_the_address_space_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX / 2);
    // volatile: the compiler knows alloc_size and would warn
    volatile size_t huge = SIZE_MAX;
    assert_null(arena_alloc(&arena, huge));
    assert_null(arena_alloc(&arena, huge - 15));
    assert_null(arena_copy(&arena, (struct bytes){(const uint8_t *)"", huge}).ptr);
    assert_int_equal(arena.bytes_used, 0);
    arena_fini(&arena);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    struct bytes copy = arena_copy(&arena, bytes_slice(BYTES_LITERAL("hello world"), 0, 5));
    assert_int_equal(copy.len, 5);
    assert_string_equal((const char *)copy.ptr, "hello");
    copy = arena_copy(&arena, BYTES_NONE);
    assert_int_equal(copy.len, 0);
    assert_non_null(copy.ptr);
    assert_int_equal(copy.ptr[0], 0);
    arena_fini(&arena);
}

static void zalloc_clears_memory(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    for (size_t i = 0; i < 50; i++) {
        uint8_t *part = arena_zalloc(&arena, 333);
        assert_non_null(part);
        for (size_t at = 0; at < 333; at++) {
            assert_int_equal(part[at], 0);
        }
        memset(part, 0xff, 333);
    }
    arena_fini(&arena);
}

static void out_of_memory_is_the_limit_and_passes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    allocation_fail(1, SIZE_MAX);
    assert_null(arena_alloc(&arena, 10));
    assert_int_equal(arena.bytes_used, 0);
    allocation_pass();
    assert_non_null(arena_alloc(&arena, 10));
    size_t used = arena.bytes_used;
    allocation_fail(1, SIZE_MAX);
    assert_non_null(arena_alloc(&arena, 10));  // from the open chunk
    assert_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 100000));
    assert_true(allocation_pass() > 0);
    assert_int_equal(arena.bytes_used, used);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_separate),
        cmocka_unit_test(a_small_trace_holds_256_bytes),
        cmocka_unit_test(many_small_requests_need_few_chunks),
        cmocka_unit_test(a_large_request_does_not_waste_the_open_chunk),
        cmocka_unit_test(the_limit_counts_all_that_is_held),
        cmocka_unit_test(an_arena_without_room_gives_nothing),
        cmocka_unit_test(lengths_near_the_address_space_are_refused),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(zalloc_clears_memory),
        cmocka_unit_test(out_of_memory_is_the_limit_and_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
