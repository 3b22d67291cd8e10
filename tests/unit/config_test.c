// SPDX-License-Identifier: Apache-2.0
/*
 * Loading configurations: what YAML becomes, what is refused and where, how sources merge. Texts
 * come as "yaml:" sources or through the environment, so no file is needed but in one test.
 */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    unsetenv("SJ_TEST_CONFIG");
    return 0;
}

static enum result load(struct fixture *fixture, const char *yaml)
{
    setenv("SJ_TEST_CONFIG", yaml, 1);
    const char *sources[] = {"env:SJ_TEST_CONFIG"};
    return config_load(sources, 1, NULL, 0, &fixture->config, &fixture->errors, &fixture->warnings);
}

static void assert_refused(struct fixture *fixture, const char *yaml, const char *error)
{
    buffer_reset(&fixture->errors);
    enum result result = load(fixture, yaml);
    assert_true(result == RESULT_REJECT || result == RESULT_TOO_LARGE);
    assert_null(fixture->config);
    if (strstr(buffer_text(&fixture->errors), error) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", error, buffer_text(&fixture->errors));
    }
}

static const struct config_node *at(const struct fixture *fixture, const char *a, const char *b)
{
    return config_get(config_get(config_root(fixture->config), a), b);
}

static void assert_text(const struct config_node *node, const char *text)
{
    assert_non_null(node);
    assert_string_equal((const char *)config_text(node).ptr, text);
}

static void scalars_lists_and_maps_are_read_with_places(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a:\n  b: 5\n  c: [x, \"1\"]\n  d:\n  'e/f': |\n    t\n"), 0);
    assert_text(at(fixture, "a", "b"), "5");
    assert_string_equal(config_where(at(fixture, "a", "b")), "env:SJ_TEST_CONFIG:2:6");
    const struct config_node *list = at(fixture, "a", "c");
    assert_int_equal(config_kind(list), CONFIG_LIST);
    assert_int_equal(config_count(list), 2);
    assert_false(config_is_quoted(config_at(list, 0)));
    assert_true(config_is_quoted(config_at(list, 1)));
    assert_null(config_at(list, 2));
    assert_int_equal(config_kind(at(fixture, "a", "d")), CONFIG_NULL);
    assert_string_equal(config_where(at(fixture, "a", "d")), "env:SJ_TEST_CONFIG:4:3");
    assert_text(at(fixture, "a", "e/f"), "t\n");
    struct bytes key;
    config_member(config_get(config_root(fixture->config), "a"), 3, &key);
    assert_true(bytes_equal_text(key, "e/f"));
    assert_string_equal(config_key_where(config_get(config_root(fixture->config), "a"), 3),
                        "env:SJ_TEST_CONFIG:5:3");
}

static void absent_nodes_read_as_nothing(void **state)
{
    (void)state;
    assert_int_equal(config_kind(NULL), CONFIG_NULL);
    assert_int_equal(config_text(NULL).len, 0);
    assert_int_equal(config_count(NULL), 0);
    assert_null(config_get(NULL, "a"));
    assert_null(config_at(NULL, 0));
    assert_string_equal(config_where(NULL), "");
    assert_false(config_is_quoted(NULL));
    assert_false(config_has_text(NULL));
}

static void null_words_are_null_unless_quoted(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "m: {a: ~, b: null, c: \"null\", d: '', e: !!str null}"), 0);
    assert_int_equal(config_kind(at(fixture, "m", "a")), CONFIG_NULL);
    assert_int_equal(config_kind(at(fixture, "m", "b")), CONFIG_NULL);
    assert_int_equal(config_kind(at(fixture, "m", "c")), CONFIG_SCALAR);
    assert_int_equal(config_kind(at(fixture, "m", "d")), CONFIG_SCALAR);
    assert_int_equal(config_kind(at(fixture, "m", "e")), CONFIG_SCALAR);
}

static void empty_text_is_an_empty_configuration(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "# nothing\n"), 0);
    assert_int_equal(config_count(config_root(fixture->config)), 0);
    config_free(&fixture->config);
    assert_int_equal(load(fixture, ""), 0);
    assert_int_equal(config_kind(config_root(fixture->config)), CONFIG_MAP);
}

static void aliases_and_merge_keys_copy(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "base: &b {x: 1, y: 2}\n"
                                   "one: {<<: *b, y: 3}\n"
                                   "two: *b\n"
                                   "three: {<<: [*b, {z: 9}]}\n"),
                     0);
    assert_text(at(fixture, "one", "x"), "1");
    assert_text(at(fixture, "one", "y"), "3");
    assert_text(at(fixture, "two", "y"), "2");
    assert_text(at(fixture, "three", "z"), "9");
}

static void syntax_errors_name_line_and_column(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "a: 1\nb: \"open\n", "env:SJ_TEST_CONFIG:2:5: ");
}

static void tab_indentation_is_refused(void **state)
{
    assert_refused(*state, "a:\n\tb: 1\n", "env:SJ_TEST_CONFIG:2:");
}

static void duplicate_keys_are_refused(void **state)
{
    assert_refused(*state, "a: 1\nb:\n  c: 1\n  c: 2\n", "env:SJ_TEST_CONFIG:4:3: duplicate key");
}

static void a_scalar_or_list_is_no_configuration(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "just words", "must be a map");
    assert_refused(fixture, "[a, b]", "must be a map");
}

static void several_documents_are_refused(void **state)
{
    assert_refused(*state, "a: 1\n---\nb: 1\n", ":2:1: more than one YAML document");
}

static void unknown_tags_and_anchors_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "a: !python/object x\n", "unknown tag");
    assert_refused(fixture, "a: *nowhere\n", ":1:4: alias of an unknown anchor");
    assert_refused(fixture, "a: &a [*a]\n", "unknown anchor");
    assert_refused(fixture, "a: {<<: 5}\n", "takes a map");
    assert_refused(fixture, "e:\n  t: |\n  x\n", ":3:1: block text must be indented deeper");
    assert_refused(fixture, "- x: >\n  x\n", "block text must be indented deeper");
    assert_refused(fixture, "a: \"\\0\"\n", "a value has a NUL");
    assert_refused(fixture, "? [a]\n: 1\n", "a key must be a plain word");
}

static void invalid_utf8_is_refused(void **state)
{
    assert_refused(*state, "a: \"\xff\xfe\"\n", "not UTF-8");
}

static void aliases_that_multiply_are_refused(void **state)
{
    struct buffer yaml;
    buffer_init(&yaml, 1 << 16);
    buffer_append_text(&yaml, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buffer_printf(&yaml, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++) {
            buffer_printf(&yaml, "%s*a%d", j > 0 ? ", " : "", i - 1);
        }
        buffer_append_text(&yaml, "]\n");
    }
    assert_refused(*state, buffer_text(&yaml), "aliases multiply");
    buffer_fini(&yaml);
}

static void more_than_a_hundred_aliases_are_refused(void **state)
{
    struct buffer yaml;
    buffer_init(&yaml, 1 << 16);
    buffer_append_text(&yaml, "a: &a x\nb: [*a");
    for (int i = 0; i < 100; i++) {
        buffer_append_text(&yaml, ", *a");
    }
    buffer_append_text(&yaml, "]\n");
    assert_refused(*state, buffer_text(&yaml), "more than 100 aliases");
    buffer_fini(&yaml);
}

static void deep_nesting_is_refused(void **state)
{
    struct buffer yaml;
    buffer_init(&yaml, 1 << 20);
    buffer_append_text(&yaml, "a: ");
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&yaml, '[');
    }
    assert_refused(*state, buffer_text(&yaml), "deeper than 64 levels");
    buffer_fini(&yaml);
}

static void too_many_keys_and_elements_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer yaml;
    buffer_init(&yaml, 1 << 20);
    for (int i = 0; i < 4097; i++) {
        buffer_printf(&yaml, "k%d: 1\n", i);
    }
    assert_refused(fixture, buffer_text(&yaml), "too many keys");
    buffer_reset(&yaml);
    buffer_append_text(&yaml, "a: [x");
    for (int i = 0; i < 50000; i++) {
        buffer_append_text(&yaml, ",x");
    }
    buffer_append_text(&yaml, "]\n");
    assert_refused(fixture, buffer_text(&yaml), "too many or large values");
    buffer_fini(&yaml);
}

static void a_source_beyond_one_mebibyte_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *text = malloc((1 << 20) + 8);
    memset(text, 'x', (1 << 20) + 7);
    text[(1 << 20) + 7] = '\0';
    const char *name = "yaml:";
    struct buffer uri;
    buffer_init(&uri, 1 << 21);
    buffer_append_text(&uri, name);
    buffer_append_text(&uri, text);
    const char *sources[] = {buffer_text(&uri)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &fixture->config, &fixture->errors, NULL),
                     RESULT_TOO_LARGE);
    assert_non_null(strstr(buffer_text(&fixture->errors), "larger than 1 MiB"));
    buffer_fini(&uri);
    free(text);
}

static void maps_merge_deeply_and_all_else_replaces(void **state)
{
    struct fixture *fixture = *state;
    const char *sources[] = {
        "yaml:{a: {x: 1, l: [1, 2]}, p: {q: 1}}",
        "yaml:{a: {y: 2, l: [3]}, p: }",
        "yaml:a::x: 7",
    };
    assert_int_equal(config_load(sources, 3, NULL, 0, &fixture->config, &fixture->errors, NULL),
                     RESULT_OK);
    assert_text(at(fixture, "a", "x"), "7");
    assert_text(at(fixture, "a", "y"), "2");
    assert_int_equal(config_count(at(fixture, "a", "l")), 1);
    assert_int_equal(config_kind(config_get(config_root(fixture->config), "p")), CONFIG_NULL);
}

static void sets_are_applied_last(void **state)
{
    struct fixture *fixture = *state;
    const char *sources[] = {"yaml:{a: {x: 1}}"};
    const char *sets[] = {"a.x=2", "b.c.d=[1, 2]"};
    assert_int_equal(config_load(sources, 1, sets, 2, &fixture->config, &fixture->errors, NULL),
                     RESULT_OK);
    assert_text(at(fixture, "a", "x"), "2");
    assert_int_equal(config_count(config_get(at(fixture, "b", "c"), "d")), 2);
}

static void no_source_at_all_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(config_load(NULL, 0, NULL, 0, &fixture->config, &fixture->errors, NULL),
                     RESULT_REJECT);
    assert_non_null(
        strstr(buffer_text(&fixture->errors), "at least one config flag must be provided"));
}

int main(void)
{
#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(scalars_lists_and_maps_are_read_with_places),
        CONFIG_TEST(absent_nodes_read_as_nothing),
        CONFIG_TEST(null_words_are_null_unless_quoted),
        CONFIG_TEST(empty_text_is_an_empty_configuration),
        CONFIG_TEST(aliases_and_merge_keys_copy),
        CONFIG_TEST(syntax_errors_name_line_and_column),
        CONFIG_TEST(tab_indentation_is_refused),
        CONFIG_TEST(duplicate_keys_are_refused),
        CONFIG_TEST(a_scalar_or_list_is_no_configuration),
        CONFIG_TEST(several_documents_are_refused),
        CONFIG_TEST(unknown_tags_and_anchors_are_refused),
        CONFIG_TEST(invalid_utf8_is_refused),
        CONFIG_TEST(aliases_that_multiply_are_refused),
        CONFIG_TEST(more_than_a_hundred_aliases_are_refused),
        CONFIG_TEST(deep_nesting_is_refused),
        CONFIG_TEST(too_many_keys_and_elements_are_refused),
        CONFIG_TEST(a_source_beyond_one_mebibyte_is_refused),
        CONFIG_TEST(maps_merge_deeply_and_all_else_replaces),
        CONFIG_TEST(sets_are_applied_last),
        CONFIG_TEST(no_source_at_all_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
