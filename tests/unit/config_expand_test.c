// SPDX-License-Identifier: Apache-2.0
/*
 * "${...}" in values: what is replaced, what stays, what is refused. The subject reaches the loader
 * through a variable, so that its own text is not split or interpreted on the way.
 */
#include "base/config_expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct config *config;
    struct buffer errors, warnings;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    buffer_init(&fixture->errors, 1 << 20);
    buffer_init(&fixture->warnings, 1 << 20);
    setenv("SJ_A", "alpha", 1);
    setenv("SJ_NAME", "SJ_A", 1);
    setenv("SJ_NUMBER", "42", 1);
    setenv("SJ_EMPTY", "", 1);
    setenv("SJ_MAP", "{x: 1, y: \"${env:SJ_A}\"}", 1);
    setenv("SJ_DOLLARS", "pa$$w${env:SJ_A}", 1);
    setenv("SJ_COLON", "user: pass: word", 1);
    unsetenv("SJ_UNSET");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    config_free(&fixture->config);
    buffer_fini(&fixture->errors);
    buffer_fini(&fixture->warnings);
    free(fixture);
    return 0;
}

static enum result load(struct fixture *fixture, const char *yaml)
{
    setenv("SJ_SUBJECT", yaml, 1);
    const char *sources[] = {"env:SJ_SUBJECT"};
    config_free(&fixture->config);
    buffer_reset(&fixture->errors);
    return config_load(sources, 1, NULL, 0, &fixture->config, &fixture->errors, &fixture->warnings);
}

static const struct config_node *value_of(struct fixture *fixture, const char *scalar)
{
    struct buffer yaml;
    buffer_init(&yaml, 1 << 16);
    buffer_printf(&yaml, "k: %s\n", scalar);
    assert_int_equal(load(fixture, buffer_text(&yaml)), RESULT_OK);
    buffer_fini(&yaml);
    return config_get(config_root(fixture->config), "k");
}

static void assert_expands(struct fixture *fixture, const char *scalar, const char *text)
{
    const struct config_node *node = value_of(fixture, scalar);
    assert_string_equal((const char *)config_text(node).ptr, text);
}

static void assert_refused(struct fixture *fixture, const char *yaml, const char *error)
{
    assert_int_not_equal(load(fixture, yaml), RESULT_OK);
    if (strstr(buffer_text(&fixture->errors), error) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", error, buffer_text(&fixture->errors));
    }
}

static void references_are_replaced(void **state)
{
    struct fixture *fixture = *state;
    assert_expands(fixture, "${env:SJ_A}", "alpha");
    assert_expands(fixture, "\"${SJ_A}\"", "alpha");
    assert_expands(fixture, "http://${env:SJ_A}:${env:SJ_NUMBER}/x", "http://alpha:42/x");
    assert_expands(fixture, "${yaml:text}", "text");
}

static void defaults_serve_unset_variables_only(void **state)
{
    struct fixture *fixture = *state;
    assert_expands(fixture, "${env:SJ_UNSET:-http://a:80}", "http://a:80");
    assert_expands(fixture, "${SJ_UNSET:-b}", "b");
    assert_expands(fixture, "${env:SJ_UNSET:-}", "");
    assert_expands(fixture, "${env:SJ_A:-b}", "alpha");
    assert_expands(fixture, "x${env:SJ_EMPTY:-b}x", "xx");
}

static void references_nest(void **state)
{
    struct fixture *fixture = *state;
    assert_expands(fixture, "${env:${env:SJ_NAME}}", "alpha");
    assert_expands(fixture, "${env:SJ_UNSET:-${env:SJ_A}}", "alpha");
}

static void whole_references_have_the_kind_of_their_value(void **state)
{
    struct fixture *fixture = *state;
    const struct config_node *node = value_of(fixture, "${env:SJ_NUMBER}");
    assert_int_equal(config_kind(node), CONFIG_SCALAR);
    assert_false(config_is_quoted(node));
    node = value_of(fixture, "${env:SJ_MAP}");
    assert_int_equal(config_kind(node), CONFIG_MAP);
    assert_string_equal((const char *)config_text(config_get(node, "y")).ptr, "alpha");
    assert_true(config_has_text(node));
    assert_int_equal(config_text(node).ptr[0], '{');
    node = value_of(fixture, "${env:SJ_EMPTY}");
    assert_int_equal(config_kind(node), CONFIG_NULL);
}

static void references_inside_text_make_strings(void **state)
{
    const struct config_node *node = value_of(*state, "4${env:SJ_NUMBER}");
    assert_int_equal(config_kind(node), CONFIG_SCALAR);
    assert_true(config_is_quoted(node));
}

static void text_that_is_no_yaml_is_a_string(void **state)
{
    struct fixture *fixture = *state;
    const struct config_node *node = value_of(fixture, "${env:SJ_COLON}");
    assert_int_equal(config_kind(node), CONFIG_SCALAR);
    assert_string_equal((const char *)config_text(node).ptr, "user: pass: word");
}

static void fetched_scalars_stay_as_they_are(void **state)
{
    assert_expands(*state, "${env:SJ_DOLLARS}", "pa$$w${env:SJ_A}");
}

static void dollars_are_escaped_and_otherwise_left_alone(void **state)
{
    struct fixture *fixture = *state;
    assert_expands(fixture, "$$", "$");
    assert_expands(fixture, "a$${env:SJ_A}", "a${env:SJ_A}");
    assert_expands(fixture, "$5 and $", "$5 and $");
    assert_expands(fixture, "\"open ${env:SJ_A\"", "open ${env:SJ_A");
}

static void unset_variables_are_null_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    const struct config_node *node = value_of(fixture, "${env:SJ_UNSET}");
    assert_int_equal(config_kind(node), CONFIG_NULL);
    assert_string_equal(buffer_text(&fixture->warnings),
                        "env:SJ_SUBJECT:1:4: environment variable \"SJ_UNSET\" is not set: "
                        "read as null\n");
}

static void files_are_read_without_their_last_line_end(void **state)
{
    char path[] = "/tmp/sj_expand_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    char scalar[64];
    snprintf(scalar, sizeof scalar, "${file:%s}", path);
    assert_expands(*state, scalar, "secret");
    unlink(path);
}

static void missing_files_are_errors(void **state)
{
    assert_refused(*state, "k: ${file:/nonexistent/secret}",
                   "env:SJ_SUBJECT:1:4: /nonexistent/secret: no such file");
}

static void bad_names_and_schemes_are_errors(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "k: ${env:a-b}", "environment variable \"a-b\" has invalid name");
    assert_refused(fixture, "k: ${1}", "has invalid name");
    assert_refused(fixture, "k: ${}", "has invalid name");
    assert_refused(fixture, "k: ${vault:x}", "scheme \"vault\" is not supported");
}

static void deep_and_many_references_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer yaml;
    buffer_init(&yaml, 1 << 16);
    buffer_append_text(&yaml, "k: ");
    for (int i = 0; i < 40; i++) {
        buffer_append_text(&yaml, "${env:SJ_UNSET:-");
    }
    for (int i = 0; i < 40; i++) {
        buffer_append_text(&yaml, "}");
    }
    assert_refused(fixture, buffer_text(&yaml), "too many or too deep");
    buffer_reset(&yaml);
    buffer_append_text(&yaml, "k: x");
    for (int i = 0; i < CONFIG_EXPAND_COUNT_MAX + 1; i++) {
        buffer_append_text(&yaml, "${env:SJ_A}");
    }
    assert_refused(fixture, buffer_text(&yaml), "too many or too deep");
    buffer_reset(&yaml);
    buffer_append_text(&yaml, "k: \"");
    for (int i = 0; i < CONFIG_EXPAND_COUNT_MAX + 1; i++) {
        buffer_append_text(&yaml, "${");  // never closed
    }
    buffer_append_text(&yaml, "\"");
    assert_refused(fixture, buffer_text(&yaml), "too many or too deep");
    buffer_fini(&yaml);
}

static void a_map_that_contains_itself_is_refused(void **state)
{
    struct fixture *fixture = *state;
    setenv("SJ_LOOP", "{a: \"${env:SJ_LOOP}\"}", 1);
    assert_refused(fixture, "k: ${env:SJ_LOOP}", "too many or too deep");
}

int main(void)
{
#define EXPAND_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EXPAND_TEST(references_are_replaced),
        EXPAND_TEST(defaults_serve_unset_variables_only),
        EXPAND_TEST(references_nest),
        EXPAND_TEST(whole_references_have_the_kind_of_their_value),
        EXPAND_TEST(references_inside_text_make_strings),
        EXPAND_TEST(text_that_is_no_yaml_is_a_string),
        EXPAND_TEST(fetched_scalars_stay_as_they_are),
        EXPAND_TEST(dollars_are_escaped_and_otherwise_left_alone),
        EXPAND_TEST(unset_variables_are_null_with_a_warning),
        EXPAND_TEST(files_are_read_without_their_last_line_end),
        EXPAND_TEST(missing_files_are_errors),
        EXPAND_TEST(bad_names_and_schemes_are_errors),
        EXPAND_TEST(deep_and_many_references_are_refused),
        EXPAND_TEST(a_map_that_contains_itself_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
