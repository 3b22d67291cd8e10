// SPDX-License-Identifier: Apache-2.0
//
// Writes, renames and the swap of a mounted volume are noticed once; what happens to other files
// is not.

#include "service/config_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

struct place {
    char folder[64], file[96];
    struct loop *loop;
    struct config_watch *watch;
    unsigned changes;
};
static struct place place;

static void on_change(void *arg)
{
    ((struct place *)arg)->changes++;
}

static void path_of(const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", place.folder, name);
}

static void file_write(const char *name, const char *text)
{
    char path[160];
    path_of(name, path);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void watch_begin(void)
{
    const char *const sources[] = {"yaml:a: 1", "env:NOTHING", place.file};
    place.watch = config_watch_new(place.loop, sources, 3, on_change, &place);
    assert_non_null(place.watch);
}

static int open_place(void **state)
{
    (void)state;
    place = (struct place){.folder = "/tmp/sidejudge-watch-XXXXXX"};
    CHECK(mkdtemp(place.folder) != NULL);
    snprintf(place.file, sizeof(place.file), "%s/config.yaml", place.folder);
    file_write("config.yaml", "a: 1\n");
    place.loop = loop_new();
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    static const char *const names[] = {"config.yaml", "other.yaml", "new.yaml", "..data"};
    config_watch_free(&place.watch);
    loop_free(place.loop);
    for (size_t i = 0; i < 4; i++) {
        char path[160];
        path_of(names[i], path);
        unlink(path);
    }
    rmdir(place.folder);
    return 0;
}

// Turns until `count` changes were told, or twice the quiet period is over.
static void turn_until(unsigned count)
{
    uint64_t until_ns = clock_mono_ns() + 2 * CONFIG_WATCH_QUIET_NS;
    while (place.changes < count && clock_mono_ns() < until_ns) {
        loop_run_once(place.loop, 10);
    }
}

static void several_writes_are_told_once(void **state)
{
    (void)state;
    watch_begin();
    file_write("config.yaml", "a: 2\n");
    file_write("config.yaml", "a: 3\n");
    turn_until(2);
    assert_int_equal(place.changes, 1);
    file_write("config.yaml", "a: 4\n");
    turn_until(2);
    assert_int_equal(place.changes, 2);
}

static void file_put_in_its_place_is_noticed(void **state)
{
    (void)state;
    char path[160];
    watch_begin();
    file_write("new.yaml", "a: 2\n");
    path_of("new.yaml", path);
    assert_int_equal(rename(path, place.file), 0);
    turn_until(1);
    assert_int_equal(place.changes, 1);
}

static void swap_of_a_mounted_volume_is_noticed(void **state)
{
    (void)state;
    char path[160], swap[160];
    watch_begin();
    path_of("..data", path);
    path_of("..data_tmp", swap);
    assert_int_equal(symlink("v2", swap), 0);
    assert_int_equal(rename(swap, path), 0);
    turn_until(1);
    assert_int_equal(place.changes, 1);
}

static void other_files_are_nobodys_business(void **state)
{
    (void)state;
    watch_begin();
    file_write("other.yaml", "a: 2\n");
    turn_until(1);
    assert_int_equal(place.changes, 0);
}

static void folder_that_comes_back_is_a_change(void **state)
{
    (void)state;
    watch_begin();
    unlink(place.file);
    assert_int_equal(rmdir(place.folder), 0);
    turn_until(1);
    assert_int_equal(mkdir(place.folder, 0700), 0);
    file_write("config.yaml", "a: 2\n");
    unsigned before = place.changes;
    turn_until(before + 1);
    turn_until(before + 1);
    assert_true(place.changes > before);
}

static void without_files_there_is_nothing_to_watch(void **state)
{
    (void)state;
    const char *const sources[] = {"yaml:a: 1", "env:NOTHING"};
    assert_null(config_watch_new(place.loop, sources, 2, on_change, &place));
    assert_null(config_watch_new(place.loop, NULL, 0, on_change, &place));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(several_writes_are_told_once),        TEST(file_put_in_its_place_is_noticed),
        TEST(swap_of_a_mounted_volume_is_noticed), TEST(other_files_are_nobodys_business),
        TEST(folder_that_comes_back_is_a_change),  TEST(without_files_there_is_nothing_to_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
