// SPDX-License-Identifier: Apache-2.0
//
// The buffer: what fits, what does not, that an error sticks and that nothing is written by halves.
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/allocation.h"
#include "tests/unit/crash.h"

static void appends_follow_one_another(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append_text(&buffer, "a");
    buffer_append_bytes(&buffer, BYTES_LITERAL("bc"));
    buffer_append_bytes(&buffer, BYTES_NONE);
    buffer_append_byte(&buffer, 'd');
    buffer_printf(&buffer, "%d%s", 12, "e");
    assert_int_equal(buffer_status(&buffer), RESULT_OK);
    assert_string_equal(buffer_text(&buffer), "abcd12e");
    assert_true(bytes_equal_text(buffer_view(&buffer), "abcd12e"));
    buffer_fini(&buffer);
}

static void nothing_is_allocated_before_the_first_byte(void **state)
{
    (void)state;
    struct buffer buffer;
    allocation_count();
    buffer_init(&buffer, 1000);
    buffer_append_text(&buffer, "");
    assert_string_equal(buffer_text(&buffer), "");
    assert_int_equal(buffer_view(&buffer).len, 0);
    buffer_fini(&buffer);
    buffer_fini(&buffer);
    assert_int_equal(allocation_count(), 0);
}

static void exactly_the_maximum_fits_with_its_nul(void **state)
{
    (void)state;
    struct buffer buffer;
    for (size_t len_max = 0; len_max < 600; len_max++) {
        buffer_init(&buffer, len_max);
        for (size_t i = 0; i < len_max; i++) {
            buffer_append_byte(&buffer, 'x');
        }
        assert_int_equal(buffer_status(&buffer), RESULT_OK);
        assert_int_equal(strlen(buffer_text(&buffer)), len_max);
        buffer_append_byte(&buffer, 'y');
        assert_int_equal(buffer_status(&buffer), RESULT_TOO_LARGE);
        assert_int_equal(strlen(buffer_text(&buffer)), len_max);
        buffer_fini(&buffer);
    }
}

static void a_refused_append_writes_nothing_and_sticks(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    buffer_append_text(&buffer, "12345678");
    buffer_append_text(&buffer, "abc");
    assert_int_equal(buffer_status(&buffer), RESULT_TOO_LARGE);
    buffer_append_byte(&buffer, 'x');  // would fit
    buffer_printf(&buffer, "y");
    assert_null(buffer_reserve(&buffer, 1));
    assert_string_equal(buffer_text(&buffer), "12345678");
    buffer_reset(&buffer);
    assert_int_equal(buffer_status(&buffer), RESULT_OK);
    buffer_append_text(&buffer, "0123456789");
    assert_string_equal(buffer_text(&buffer), "0123456789");
    buffer_fini(&buffer);
}

static void a_length_near_the_address_space_is_too_large(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append_text(&buffer, "ab");
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer_status(&buffer), RESULT_TOO_LARGE);
    buffer_reset(&buffer);
    assert_null(buffer_reserve(&buffer, SIZE_MAX - 2));
    assert_int_equal(buffer_status(&buffer), RESULT_TOO_LARGE);
    buffer_fini(&buffer);
}

static void formatted_text_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct buffer buffer;
    char expected[700];
    for (int width = 1; width < 600; width++) {
        buffer_init(&buffer, 650);
        buffer_append_text(&buffer, "0123456789");
        buffer_printf(&buffer, "%*d", width, 7);
        snprintf(expected, sizeof expected, "0123456789%*d", width, 7);
        assert_string_equal(buffer_text(&buffer), expected);
        buffer_printf(&buffer, "%*d", 641 - width, 7);
        assert_int_equal(buffer_status(&buffer), RESULT_TOO_LARGE);
        assert_string_equal(buffer_text(&buffer), expected);
        buffer_fini(&buffer);
    }
}

static void reserved_room_is_used_by_commit(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5000);
    uint8_t *room = buffer_reserve(&buffer, 4000);
    assert_non_null(room);
    memset(room, 'r', 4000);
    buffer_commit(&buffer, 3000);
    assert_int_equal(buffer_view(&buffer).len, 3000);
    buffer_commit(&buffer, 0);
    room = buffer_reserve(&buffer, 2000);
    assert_non_null(room);
    buffer_commit(&buffer, 2000);
    assert_null(buffer_reserve(&buffer, 1));
    buffer_fini(&buffer);
}

static void commit_too_much(void *arg)
{
    struct buffer *buffer = arg;
    buffer_reserve(buffer, 10);
    buffer_commit(buffer, 11);
}

static void committing_more_than_there_is_crashes(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    assert_true(crashes(commit_too_much, &buffer));
    buffer_fini(&buffer);
}

static void out_of_memory_keeps_what_was_written(void **state)
{
    (void)state;
    for (size_t nth = 1;; nth++) {
        struct buffer buffer;
        size_t good = 0;
        buffer_init(&buffer, 100000);
        allocation_fail(nth, 1);
        for (size_t i = 0; i < 10000; i++) {
            buffer_append_text(&buffer, "0123456789");
            if (buffer_status(&buffer) == RESULT_OK) {
                good += 10;
            }
        }
        size_t refused = allocation_pass();
        assert_int_equal(buffer.len, good);
        assert_int_equal(buffer_status(&buffer), refused ? RESULT_SHED : RESULT_OK);
        assert_int_equal(strlen(buffer_text(&buffer)), good);
        buffer_fini(&buffer);
        if (refused == 0) {
            assert_true(nth > 2);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_one_another),
        cmocka_unit_test(nothing_is_allocated_before_the_first_byte),
        cmocka_unit_test(exactly_the_maximum_fits_with_its_nul),
        cmocka_unit_test(a_refused_append_writes_nothing_and_sticks),
        cmocka_unit_test(a_length_near_the_address_space_is_too_large),
        cmocka_unit_test(formatted_text_is_written_whole_or_not_at_all),
        cmocka_unit_test(reserved_room_is_used_by_commit),
        cmocka_unit_test(committing_more_than_there_is_crashes),
        cmocka_unit_test(out_of_memory_keeps_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
