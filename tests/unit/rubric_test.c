// SPDX-License-Identifier: Apache-2.0
// Rubrics by name and from files, and what is wrong with one in words.
#include "processor/rubric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_MAX (32 << 10)

static struct arena arena;
static char why[256];

static enum result load(const char *name, const struct rubric **rubric)
{
    why[0] = '\0';
    *rubric = NULL;
    return rubric_load(bytes_from_text(name), &arena, rubric, why, sizeof why);
}

// The name "file:..." of a new file with this content.
static void file_with(const void *content, size_t len, char name[64])
{
    snprintf(name, 64, "file:/tmp/rubric_test_XXXXXX");
    int fd = mkstemp(name + 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

static void both_built_in_rubrics_are_there(void **state)
{
    (void)state;
    const struct rubric *rubric;
    assert_int_equal(load("faithfulness", &rubric), RESULT_OK);
    assert_string_equal(rubric->name, "faithfulness");
    assert_true(rubric->needs_contexts && rubric->instructions.len > 200);
    assert_int_equal(load("answer_relevance", &rubric), RESULT_OK);
    assert_true(rubric->needs_question && !rubric->needs_contexts);
}

static void an_unknown_name_lists_the_valid_ones(void **state)
{
    (void)state;
    const struct rubric *rubric;
    static const char *const names[] = {"faithful", "", "Faithfulness", "/etc/passwd", "FILE:/x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(load(names[i], &rubric), RESULT_MISSING);
        assert_non_null(strstr(why, "faithfulness, answer_relevance, file:/path"));
        assert_null(rubric);
    }
}

static void a_file_is_read_whole(void **state)
{
    (void)state;
    const struct rubric *rubric;
    char name[64];
    static const char text[] = "Is it polite? %s %n \xc3\xa9";
    file_with(text, sizeof text - 1, name);
    assert_int_equal(load(name, &rubric), RESULT_OK);
    assert_true(bytes_equal_text(rubric->instructions, text));
    assert_false(rubric->needs_contexts);
    unlink(name + 5);
}

static void a_file_that_cannot_serve_is_refused_with_its_name(void **state)
{
    (void)state;
    const struct rubric *rubric;
    char name[64];
    assert_int_equal(load("file:/nowhere/rubric.md", &rubric), RESULT_MISSING);
    assert_non_null(strstr(why, "/nowhere/rubric.md"));
    assert_int_not_equal(load("file:", &rubric), RESULT_OK);
    assert_int_not_equal(load("file:/tmp", &rubric), RESULT_OK);
    file_with("", 0, name);
    assert_int_equal(load(name, &rubric), RESULT_FAIL);
    assert_non_null(strstr(why, "empty or not UTF-8"));
    unlink(name + 5);
    file_with("\xff\xfe", 2, name);
    assert_int_equal(load(name, &rubric), RESULT_FAIL);
    unlink(name + 5);
    assert_null(rubric);
}

static void a_file_has_at_most_32_kib(void **state)
{
    (void)state;
    const struct rubric *rubric;
    char name[64];
    char *content = malloc(FILE_MAX + 1);
    assert_non_null(content);
    memset(content, 'x', FILE_MAX + 1);
    file_with(content, FILE_MAX, name);
    assert_int_equal(load(name, &rubric), RESULT_OK);
    unlink(name + 5);
    file_with(content, FILE_MAX + 1, name);
    assert_int_equal(load(name, &rubric), RESULT_TOO_LARGE);
    unlink(name + 5);
    free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_built_in_rubrics_are_there),
        cmocka_unit_test(an_unknown_name_lists_the_valid_ones),
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(a_file_that_cannot_serve_is_refused_with_its_name),
        cmocka_unit_test(a_file_has_at_most_32_kib),
    };
    arena_init(&arena, (size_t)1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failed;
}
