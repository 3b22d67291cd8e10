// SPDX-License-Identifier: Apache-2.0
/*
 * The rules of tests/tidy on small sources in memory: what breaks a rule is reported once, what
 * only looks like it (a word in a comment, a brace in a string) is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tidy/rules.h"

typedef void (*check_fn)(const struct tree *tree, struct report *report);

// How many places of one source break the rule.
static size_t broken_in(check_fn check, const char *path, const char *text)
{
    struct source source;
    source_init(&source, path, text, strlen(text));
    struct tree tree = {.sources = &source, .count = 1};
    struct report report = {.rule = "rule", .quiet = true};
    check(&tree, &report);
    source_fini(&source);
    return report.broken;
}

static void lines_are_counted_with_and_without_last_newline(void **state)
{
    (void)state;
    struct source source;
    source_init(&source, "base/a.c", "one\ntwo", 7);
    assert_int_equal(source.line_count, 2);
    assert_int_equal(source_line_at(&source, 5), 1);
    source_fini(&source);
    source_init(&source, "base/a.c", "one\ntwo\n", 8);
    assert_int_equal(source.line_count, 2);
    source_fini(&source);
    source_init(&source, "base/a.c", "", 0);
    assert_int_equal(source.line_count, 0);
    source_fini(&source);
}

static void banned_call_is_reported(void **state)
{
    (void)state;
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "x = strcpy (a, b);\n"), 1);
    assert_int_equal(broken_in(check_banned_calls, "tests/unit/a.c", "n = atoi(a);\n"), 1);
}

static void word_that_is_no_call_is_not_reported(void **state)
{
    (void)state;
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "// strcpy(a, b)\n"), 0);
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "/* gets(a) \n gets(b) */\n"), 0);
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "p(\"say \\\" gets(a)\");\n"), 0);
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "ops->system(a);\n"), 0);
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "my_gets(a); int gets;\n"), 0);
    assert_int_equal(broken_in(check_banned_calls, "base/a.c", "static_assert(1, \"\");\n"), 0);
}

static void clock_outside_base_is_reported(void **state)
{
    (void)state;
    const char *text = "now = time(NULL);\n";
    assert_int_equal(broken_in(check_base_only_calls, "proto/a.c", text), 1);
    assert_int_equal(broken_in(check_base_only_calls, "base/a.c", text), 0);
    assert_int_equal(broken_in(check_base_only_calls, "tests/unit/a.c", text), 0);
}

static void long_function_is_reported_once(void **state)
{
    (void)state;
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "int f(void)\n{\n    g(\"}\");\n");
    for (int i = 0; i < 80; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "    i += 1;\n");
    }
    snprintf(text + len, sizeof text - len, "}\n\nint h(void)\n{\n}\n");
    assert_int_equal(broken_in(check_function_length, "base/a.c", text), 1);
}

static void long_table_is_no_function(void **state)
{
    (void)state;
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "static int rows[] = {\n");
    for (int i = 0; i < 80; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "    %d,\n", i);
    }
    snprintf(text + len, sizeof text - len, "};\n");
    assert_int_equal(broken_in(check_function_length, "base/a.c", text), 0);
}

static void sibling_include_is_reported(void **state)
{
    (void)state;
    const char *own = "#include \"receiver/a.c\"\n";
    assert_int_equal(broken_in(check_include_direction, "receiver/a.c", own), 0);
    struct source pair[2];
    const char *text = "#include \"receiver/b.h\"\n";
    source_init(&pair[0], "exporter/a.c", text, strlen(text));
    source_init(&pair[1], "receiver/b.h", "\n", 1);
    struct tree tree = {.sources = pair, .count = 2};
    struct report report = {.rule = "rule", .quiet = true};
    check_include_direction(&tree, &report);
    assert_int_equal(report.broken, 1);
    tree.count = 1;
    check_include_direction(&tree, &report);
    assert_int_equal(report.broken, 2);  // no such path either
    source_fini(&pair[0]);
    source_fini(&pair[1]);
}

static void library_outside_its_file_is_reported(void **state)
{
    (void)state;
    const char *text = "#include <curl/curl.h>\n";
    assert_int_equal(broken_in(check_confined_headers, "base/http_client.c", text), 0);
    assert_int_equal(broken_in(check_confined_headers, "base/http_client.h", text), 1);
    assert_int_equal(broken_in(check_confined_headers, "exporter/a.c", text), 1);
    assert_int_equal(broken_in(check_confined_headers, "tests/bench/a.c", text), 0);
}

static void head_comment_is_measured(void **state)
{
    (void)state;
    static const char good[] = "// SPDX\n/*\n * a\n * b\n * c\n */\n#include <a.h>\n";
    static const char brief[] = "// SPDX\n// a\n#include <a.h>\n";
    assert_int_equal(broken_in(check_head_comment, "base/a.c", good), 0);
    assert_int_equal(broken_in(check_head_comment, "base/a.c", brief), 1);
    assert_int_equal(broken_in(check_head_comment, "base/a.h", brief), 0);
    assert_int_equal(broken_in(check_head_comment, "base/a.h", "// SPDX\n#pragma once\n"), 1);
}

static void columns_white_space_and_characters_are_reported(void **state)
{
    (void)state;
    char text[128];
    memset(text, 'a', 101);
    memcpy(text + 101, "\n", 2);
    assert_int_equal(broken_in(check_line_length, "base/a.c", text), 1);
    assert_int_equal(broken_in(check_line_length, "README.md", text), 0);
    assert_int_equal(broken_in(check_line_length, "base/a.c", text + 1), 0);
    assert_int_equal(broken_in(check_white_space, "base/a.c", "a \n\tb\n"), 2);
    assert_int_equal(broken_in(check_white_space, "base/a.c", "a"), 1);
    assert_int_equal(broken_in(check_white_space, "a.go", "\tb\n"), 0);
    assert_int_equal(broken_in(check_ascii, "base/a.c", "\xc3\xa9\xc3\xa9\nb\n"), 1);
}

static void typedefs_and_gotos_are_reported(void **state)
{
    (void)state;
    const char *hidden = "typedef\n struct a b;\n";
    assert_int_equal(broken_in(check_typedefs, "base/a.h", hidden), 1);
    assert_int_equal(broken_in(check_typedefs, "base/a.h", "typedef void (*f_fn)(int);\n"), 0);
    assert_int_equal(broken_in(check_typedefs, "base/a.h", "typedef enum r (*f_fn)(int);\n"), 0);
    assert_int_equal(broken_in(check_typedefs, "base/a.h", "typedef struct r *f_fn(int);\n"), 0);
    assert_int_equal(broken_in(check_typedefs, "base/a.h", "typedef enum { A } a;\n"), 1);
    assert_int_equal(broken_in(check_goto, "base/a.c", "goto out;\n"), 0);
    assert_int_equal(broken_in(check_goto, "base/a.c", "goto again;\n"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_counted_with_and_without_last_newline),
        cmocka_unit_test(banned_call_is_reported),
        cmocka_unit_test(word_that_is_no_call_is_not_reported),
        cmocka_unit_test(clock_outside_base_is_reported),
        cmocka_unit_test(long_function_is_reported_once),
        cmocka_unit_test(long_table_is_no_function),
        cmocka_unit_test(sibling_include_is_reported),
        cmocka_unit_test(library_outside_its_file_is_reported),
        cmocka_unit_test(head_comment_is_measured),
        cmocka_unit_test(columns_white_space_and_characters_are_reported),
        cmocka_unit_test(typedefs_and_gotos_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
