// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of credentials: one that is in use outlives its successor, tries are remembered within
// one only, a flood of wrong ones pushes no good one out.
#include "base/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

static char path[64];

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void open_source(struct credential_source *source)
{
    snprintf(path, sizeof path, "/tmp/credentials_test.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    memset(source, 0, sizeof *source);
    source->form = CREDENTIALS_TOKENS;
    source->id = "test";
    source->scheme = "";
    source->files[0].path = strdup(path);
}

static void a_snapshot_in_use_outlives_its_successor(void **state)
{
    (void)state;
    struct credential_source source;
    open_source(&source);
    write_file("first");
    credential_source_open(&source);
    struct credentials *old = credential_source_take(&source, NS_PER_S);
    assert_int_equal(unlink(path), 0);
    write_file("second\nthird\n");
    struct credentials *new = credential_source_take(&source, 3 * NS_PER_S);
    assert_ptr_not_equal(old, new);
    assert_int_equal(old->count, 1);
    assert_int_equal(new->count, 2);
    assert_true(bytes_equal_text(old->items[0].secret, "first"));
    assert_true(bytes_equal_text(new->items[1].secret, "third"));
    credential_source_fini(&source);
    assert_true(bytes_equal_text(buffer_view(&new->shown), "second"));
    credentials_release(old);
    credentials_release(new);
    credentials_release(NULL);
    unlink(path);
}

static void tries_are_remembered_apart_and_not_across_snapshots(void **state)
{
    (void)state;
    struct credential_source source;
    uint8_t good[CREDENTIALS_MAC_BYTES], mac[CREDENTIALS_MAC_BYTES];
    open_source(&source);
    write_file("token");
    credential_source_open(&source);
    struct credentials *one = credential_source_take(&source, NS_PER_S);
    credentials_mac(one, BYTES_LITERAL("user:good"), good);
    assert_int_equal(credentials_recall(one, good), RESULT_MISSING);
    credentials_remember(one, good, true);
    for (unsigned i = 0; i < 10000; i++) {
        char guess[32];
        snprintf(guess, sizeof guess, "user:%u", i);
        credentials_mac(one, bytes_from_text(guess), mac);
        credentials_remember(one, mac, false);
        assert_int_equal(credentials_recall(one, mac), RESULT_DENY);
    }
    assert_int_equal(credentials_recall(one, good), RESULT_OK);
    assert_int_equal(unlink(path), 0);
    write_file("another");
    struct credentials *two = credential_source_take(&source, 3 * NS_PER_S);
    credentials_mac(two, BYTES_LITERAL("user:good"), mac);
    assert_memory_not_equal(mac, good, sizeof mac);
    assert_int_equal(credentials_recall(two, mac), RESULT_MISSING);
    credentials_release(one);
    credentials_release(two);
    credential_source_fini(&source);
    unlink(path);
}

static void files_are_looked_at_once_a_second_and_bad_ones_are_not_taken(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "\n\n",
                                      "a\x01"
                                      "b\n",
                                      "tok\xc3\xa9n\n"};
    struct credential_source source;
    open_source(&source);
    credential_source_open(&source);
    assert_null(credential_source_take(&source, NS_PER_S));
    write_file("token");
    assert_null(credential_source_take(&source, NS_PER_S + 1));
    struct credentials *credentials = credential_source_take(&source, 2 * NS_PER_S);
    assert_non_null(credentials);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(bad[i]);
        struct credentials *after = credential_source_take(&source, (4 + 2 * i) * NS_PER_S);
        assert_ptr_equal(after, credentials);
        credentials_release(after);
    }
    credentials_release(credentials);
    credential_source_fini(&source);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_in_use_outlives_its_successor),
        cmocka_unit_test(tries_are_remembered_apart_and_not_across_snapshots),
        cmocka_unit_test(files_are_looked_at_once_a_second_and_bad_ones_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
