// SPDX-License-Identifier: Apache-2.0
/*
 * Sources and sets: each scheme, each way in which one can be wrong.
 */
#include "base/config_source.h"

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
    struct buffer errors;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    buffer_init(&fixture->errors, 1 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    config_free(&fixture->config);
    buffer_fini(&fixture->errors);
    free(fixture);
    return 0;
}

static enum result load(struct fixture *fixture, const char *source, const char *set)
{
    config_free(&fixture->config);
    buffer_reset(&fixture->errors);
    return config_load(&source, 1, &set, set != NULL ? 1 : 0, &fixture->config, &fixture->errors,
                       NULL);
}

static void assert_value(struct fixture *fixture, const char *a, const char *b, const char *text)
{
    const struct config_node *node = config_get(config_get(config_root(fixture->config), a), b);
    assert_non_null(node);
    assert_string_equal((const char *)config_text(node).ptr, text);
}

static void assert_fails(struct fixture *fixture, const char *source, const char *set,
                         enum result result, const char *error)
{
    assert_int_equal(load(fixture, source, set), result);
    if (strstr(buffer_text(&fixture->errors), error) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", error, buffer_text(&fixture->errors));
    }
}

static void files_are_read_by_path_and_by_uri(void **state)
{
    struct fixture *fixture = *state;
    char uri[] = "file:/tmp/sj_source_XXXXXX";
    char *path = uri + 5;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: {b: c}\n", 10), 10);
    close(fd);
    assert_int_equal(load(fixture, path, NULL), RESULT_OK);
    assert_value(fixture, "a", "b", "c");
    assert_int_equal(load(fixture, uri, NULL), RESULT_OK);
    assert_value(fixture, "a", "b", "c");
    char where[64];
    snprintf(where, sizeof where, "%s:1:8", path);
    assert_string_equal(
        config_where(config_get(config_get(config_root(fixture->config), "a"), "b")), where);
    unlink(path);
}

static void yaml_sources_split_keys_at_double_colons(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "yaml:{a::b: 1, a::c: {d::e: 2}, a: {f: 3}}", NULL), 0);
    assert_value(fixture, "a", "b", "1");
    assert_value(fixture, "a", "f", "3");
    const struct config_node *c = config_get(config_get(config_root(fixture->config), "a"), "c");
    assert_non_null(config_get(config_get(c, "d"), "e"));
}

static void variables_hold_whole_configurations(void **state)
{
    struct fixture *fixture = *state;
    setenv("SJ_SOURCE", "a::b: {b: 2}", 1);
    assert_int_equal(load(fixture, "env:SJ_SOURCE", NULL), RESULT_OK);
    assert_value(fixture, "a::b", "b", "2");
    unsetenv("SJ_SOURCE");
    assert_fails(fixture, "env:SJ_SOURCE", NULL, RESULT_MISSING,
                 "env:SJ_SOURCE: the environment variable is not set");
    assert_fails(fixture, "env:not a name", NULL, RESULT_REJECT, "invalid name");
}

static void sets_reach_into_maps(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "yaml:{a: {b: 1}}", "a.b={x: y}"), RESULT_OK);
    const struct config_node *b = config_get(config_get(config_root(fixture->config), "a"), "b");
    assert_string_equal((const char *)config_text(config_get(b, "x")).ptr, "y");
    assert_string_equal(config_where(b), "--set a.b");
    assert_int_equal(load(fixture, "yaml:{a: {b: 1}}", "a="), RESULT_OK);
    assert_int_equal(config_kind(config_get(config_root(fixture->config), "a")), CONFIG_NULL);
}

static void malformed_sets_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_fails(fixture, "yaml:{}", "novalue", RESULT_REJECT, "must have the form");
    assert_fails(fixture, "yaml:{}", "=5", RESULT_REJECT, "must have the form");
    assert_fails(fixture, "yaml:{}", "a=[", RESULT_REJECT, "--set a:");
}

static void paths_of_absurd_depth_are_refused(void **state)
{
    char set[400];
    memset(set, 0, sizeof set);
    for (size_t i = 0; i < 198; i++) {
        set[2 * i] = 'a';
        set[2 * i + 1] = '.';
    }
    set[395] = '=';
    assert_fails(*state, "yaml:{}", set, RESULT_TOO_LARGE, "too many keys");
}

static void other_schemes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_fails(fixture, "https://example.test/c.yaml", NULL, RESULT_REJECT,
                 "scheme \"https\" is not supported for uri");
    assert_fails(fixture, "s3:bucket", NULL, RESULT_REJECT, "scheme \"s3\" is not supported");
}

static void missing_files_are_named(void **state)
{
    struct fixture *fixture = *state;
    assert_fails(fixture, "/nonexistent/c.yaml", NULL, RESULT_MISSING,
                 "/nonexistent/c.yaml: no such file");
    assert_fails(fixture, "", NULL, RESULT_MISSING, "no such file");
}

int main(void)
{
#define SOURCE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SOURCE_TEST(files_are_read_by_path_and_by_uri),
        SOURCE_TEST(yaml_sources_split_keys_at_double_colons),
        SOURCE_TEST(variables_hold_whole_configurations),
        SOURCE_TEST(sets_reach_into_maps),
        SOURCE_TEST(malformed_sets_are_refused),
        SOURCE_TEST(paths_of_absurd_depth_are_refused),
        SOURCE_TEST(other_schemes_are_refused),
        SOURCE_TEST(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
