// SPDX-License-Identifier: Apache-2.0
//
// Reading files whole: sizes around the size of a read, the ceiling, and what is no file.
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/allocation.h"

struct place {
    char folder[64];
    char path[96];
};

static int make_place(void **state)
{
    static struct place place;
    snprintf(place.folder, sizeof place.folder, "%s", "file_test.XXXXXX");
    if (!mkdtemp(place.folder)) {
        return -1;
    }
    snprintf(place.path, sizeof place.path, "%s/file", place.folder);
    *state = &place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    return rmdir(place->folder);
}

static void write_file(const char *path, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++) {
        fputc((int)(i % 251), file);
    }
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_appended_whole(void **state)
{
    struct place *place = *state;
    const size_t lens[] = {0, 1, 16383, 16384, 16385, 100000};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct buffer out;
        buffer_init(&out, 1 << 20);
        buffer_append_text(&out, "before");
        write_file(place->path, lens[i]);
        assert_int_equal(file_read(place->path, &out), RESULT_OK);
        struct bytes view = buffer_view(&out);
        assert_int_equal(view.len, 6 + lens[i]);
        for (size_t at = 0; at < lens[i]; at++) {
            assert_int_equal(view.ptr[6 + at], at % 251);
        }
        buffer_fini(&out);
    }
}

static void a_file_of_exactly_the_ceiling_fits_and_one_byte_more_does_not(void **state)
{
    struct place *place = *state;
    struct buffer out;
    buffer_init(&out, 20000);
    write_file(place->path, 20000);
    assert_int_equal(file_read(place->path, &out), RESULT_OK);
    buffer_reset(&out);
    buffer_append_text(&out, "x");
    assert_int_equal(file_read(place->path, &out), RESULT_TOO_LARGE);
    assert_string_equal(buffer_text(&out), "x");  // nothing of the file stays
    assert_int_equal(file_read(place->path, &out), RESULT_TOO_LARGE);
    buffer_fini(&out);
}

static void an_endless_file_ends_at_the_ceiling(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(file_read("/dev/zero", &out), RESULT_TOO_LARGE);
    buffer_fini(&out);
}

static void what_is_not_there_is_missing_and_what_is_no_file_fails(void **state)
{
    struct place *place = *state;
    struct buffer out;
    char path[128];
    buffer_init(&out, 1 << 20);
    assert_int_equal(file_read("no/such/file", &out), RESULT_MISSING);
    assert_int_equal(file_read("", &out), RESULT_MISSING);
    write_file(place->path, 1);
    snprintf(path, sizeof path, "%s/below", place->path);
    assert_int_equal(file_read(path, &out), RESULT_MISSING);
    assert_int_equal(file_read(place->folder, &out), RESULT_FAIL);
    assert_int_equal(out.len, 0);
    assert_int_equal(buffer_status(&out), RESULT_OK);
    buffer_fini(&out);
}

static void a_file_without_a_size_is_read_to_its_end(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(file_read("/proc/self/status", &out), RESULT_OK);
    assert_true(bytes_start_with(buffer_view(&out), BYTES_LITERAL("Name:\tfile_test\n")));
    buffer_fini(&out);
}

static void out_of_memory_is_told(void **state)
{
    struct place *place = *state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    write_file(place->path, 100000);
    for (size_t nth = 1;; nth++) {
        allocation_fail(nth, 1);
        enum result result = file_read(place->path, &out);
        if (allocation_pass() == 0) {
            assert_int_equal(result, RESULT_OK);
            break;
        }
        assert_int_equal(result, RESULT_SHED);
        assert_int_equal(out.len, 0);
        buffer_fini(&out);
        buffer_init(&out, 1 << 20);
    }
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_appended_whole),
        cmocka_unit_test(a_file_of_exactly_the_ceiling_fits_and_one_byte_more_does_not),
        cmocka_unit_test(an_endless_file_ends_at_the_ceiling),
        cmocka_unit_test(what_is_not_there_is_missing_and_what_is_no_file_fails),
        cmocka_unit_test(a_file_without_a_size_is_read_to_its_end),
        cmocka_unit_test(out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
