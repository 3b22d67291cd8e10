// SPDX-License-Identifier: Apache-2.0
//
// What differs reads differently; what amounts to the same reads the same.

#include "service/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void of_yaml(const char *yaml, struct buffer *out)
{
    char source[1024];
    const char *const sources[] = {source};
    struct config *config = NULL;
    struct buffer errors;
    snprintf(source, sizeof(source), "yaml:%s", yaml);
    buffer_init(&errors, 4096);
    buffer_init(out, FINGERPRINT_BYTES_MAX);
    CHECK(config_load(sources, 1, NULL, 0, &config, &errors, NULL) == RESULT_OK);
    fingerprint_write(config_root(config), out);
    config_free(&config);
    buffer_fini(&errors);
}

static bool are_equal(const char *a, const char *b)
{
    struct buffer first, second;
    of_yaml(a, &first);
    of_yaml(b, &second);
    bool equal = fingerprint_equal(&first, &second);
    buffer_fini(&first);
    buffer_fini(&second);
    return equal;
}

static void same_meaning_is_equal(void **state)
{
    (void)state;
    setenv("FINGERPRINT_TEST", "7", 1);
    assert_true(are_equal("{a: 1, b: [x, y]}", "{a: 1, b: [x, y]}"));
    assert_true(are_equal("{a: 1}  # words", "{a:   1}"));
    assert_true(are_equal("{a: 'x${env:FINGERPRINT_TEST}'}", "{a: 'x7'}"));
}

static void any_difference_is_one(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{a: 1}", "{a: 2}"},         {"{a: 1}", "{b: 1}"},
        {"{a: '1'}", "{a: 1}"},       {"{a: [x, y]}", "{a: [y, x]}"},
        {"{a: [x, y]}", "{a: [xy]}"}, {"{a: {b: 1}}", "{a: {b: 1, c: 2}}"},
        {"{a: }", "{a: ''}"},         {"{a: [1, 2], b: 3}", "{a: [1], b: 3}"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (are_equal(pairs[i][0], pairs[i][1])) {
            fail_msg("%s reads as %s", pairs[i][0], pairs[i][1]);
        }
    }
}

static void changed_variable_is_a_change(void **state)
{
    (void)state;
    struct buffer before, after;
    setenv("FINGERPRINT_TEST", "1", 1);
    of_yaml("{a: '${env:FINGERPRINT_TEST}'}", &before);
    setenv("FINGERPRINT_TEST", "2", 1);
    of_yaml("{a: '${env:FINGERPRINT_TEST}'}", &after);
    assert_false(fingerprint_equal(&before, &after));
    buffer_fini(&before);
    buffer_fini(&after);
}

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void changed_file_is_a_change(void **state)
{
    (void)state;
    static const char *const forms[] = {"{rubric: 'file:%s'}", "{cert_file: %s}"};
    for (size_t i = 0; i < 2; i++) {
        char path[] = "/tmp/sidejudge-fingerprint-XXXXXX", yaml[256];
        struct buffer before, same, after, gone;
        close(mkstemp(path));
        file_write(path, "one");
        snprintf(yaml, sizeof(yaml), forms[i], path);
        of_yaml(yaml, &before);
        of_yaml(yaml, &same);
        file_write(path, "two");
        of_yaml(yaml, &after);
        unlink(path);
        of_yaml(yaml, &gone);
        assert_true(fingerprint_equal(&before, &same));
        assert_false(fingerprint_equal(&before, &after));
        assert_false(fingerprint_equal(&after, &gone));
        buffer_fini(&before);
        buffer_fini(&same);
        buffer_fini(&after);
        buffer_fini(&gone);
    }
}

static void what_was_cut_equals_nothing(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 4);
    buffer_append_text(&small, "12345");
    assert_false(fingerprint_equal(&small, &small));
    buffer_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_meaning_is_equal),        cmocka_unit_test(any_difference_is_one),
        cmocka_unit_test(changed_variable_is_a_change), cmocka_unit_test(changed_file_is_a_change),
        cmocka_unit_test(what_was_cut_equals_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
