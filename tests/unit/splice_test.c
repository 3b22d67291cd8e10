// SPDX-License-Identifier: Apache-2.0
//
// Plans of messages, written and read back.
#include "proto/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire.h"
#include "tests/unit/crash.h"

static void assert_written(const struct splice *splice, struct bytes expected)
{
    struct buffer out;
    buffer_init(&out, (size_t)1 << 20);
    splice_write(splice, &out);
    assert_int_equal(out.len, splice->size);
    assert_true(bytes_equal(buffer_view(&out), expected));
    buffer_fini(&out);
}

static void ranges_and_messages_nest(void **state)
{
    (void)state;
    struct splice splice;
    splice_init(&splice);
    splice_range(&splice, BYTES_LITERAL("head"));
    struct splice_mark outer = splice_open(&splice, 1);
    splice_range(&splice, BYTES_LITERAL("ab"));
    struct splice_mark inner = splice_open(&splice, 2);
    splice_close(&splice, inner);
    splice_range(&splice, BYTES_NONE);
    splice_range(&splice, BYTES_LITERAL("c"));
    splice_close(&splice, outer);
    assert_written(&splice, BYTES_LITERAL("head\x0a\x05" "ab\x12\x00" "c"));
    splice_fini(&splice);
}

static void neighbouring_ranges_join(void **state)
{
    (void)state;
    static const uint8_t text[] = "abcdefgh";
    struct splice splice;
    splice_init(&splice);
    splice_range(&splice, bytes_from(text, 2));
    splice_range(&splice, bytes_from(text + 2, 3));
    assert_int_equal(splice.count, 1);
    splice_range(&splice, bytes_from(text + 6, 1));
    assert_int_equal(splice.count, 2);
    assert_written(&splice, BYTES_LITERAL("abcdeg"));
    splice_fini(&splice);
}

static void ranges_never_join_across_a_border(void **state)
{
    (void)state;
    static const uint8_t text[] = "abcdefgh";
    struct splice splice;
    splice_init(&splice);
    struct splice_mark mark = splice_open(&splice, 1);
    splice_range(&splice, bytes_from(text, 2));
    splice_close(&splice, mark);
    splice_range(&splice, bytes_from(text + 2, 2));  // follows in memory, not in the message
    assert_written(&splice, BYTES_LITERAL("\x0a\x02" "abcd"));
    splice_fini(&splice);
}

static void undoing_leaves_no_trace(void **state)
{
    (void)state;
    static const uint8_t text[] = "abcdefgh";
    struct splice splice;
    splice_init(&splice);
    splice_range(&splice, bytes_from(text, 1));
    struct splice_mark outer = splice_open(&splice, 1);
    struct splice_mark inner = splice_open(&splice, 2);
    splice_range(&splice, bytes_from(text + 1, 1));
    splice_close(&splice, inner);
    splice_undo(&splice, outer);
    assert_int_equal(splice.size, 1);
    splice_range(&splice, bytes_from(text + 1, 1));
    assert_int_equal(splice.count, 1);
    assert_written(&splice, BYTES_LITERAL("ab"));
    splice_fini(&splice);
}

static void lengths_of_all_sizes_are_minimal(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 127, 128, 16383, 16384, 100000};
    uint8_t *text = malloc(100000);
    assert_non_null(text);
    memset(text, 'x', 100000);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct splice splice;
        splice_init(&splice);
        struct splice_mark mark = splice_open(&splice, 3);
        splice_range(&splice, bytes_from(text, lens[i]));
        splice_close(&splice, mark);
        assert_int_equal(splice.size, 1 + wire_varint_size(lens[i]) + lens[i]);
        splice_fini(&splice);
    }
    free(text);
}

static void a_full_buffer_gets_nothing(void **state)
{
    (void)state;
    struct splice splice;
    struct buffer out;
    splice_init(&splice);
    splice_range(&splice, BYTES_LITERAL("too long"));
    buffer_init(&out, 7);
    splice_write(&splice, &out);
    assert_int_equal(out.len, 0);
    assert_int_equal(buffer_status(&out), RESULT_TOO_LARGE);
    buffer_fini(&out);
    splice_fini(&splice);
}

static void close_undone(void *arg)
{
    struct splice *splice = arg;
    struct splice_mark mark = splice_open(splice, 1);
    splice_undo(splice, mark);
    splice_close(splice, mark);
}

static void closing_what_is_not_open_crashes(void **state)
{
    (void)state;
    struct splice splice;
    splice_init(&splice);
    assert_true(crashes(close_undone, &splice));
    splice_fini(&splice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_and_messages_nest),
        cmocka_unit_test(neighbouring_ranges_join),
        cmocka_unit_test(ranges_never_join_across_a_border),
        cmocka_unit_test(undoing_leaves_no_trace),
        cmocka_unit_test(lengths_of_all_sizes_are_minimal),
        cmocka_unit_test(a_full_buffer_gets_nothing),
        cmocka_unit_test(closing_what_is_not_open_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
