// SPDX-License-Identifier: Apache-2.0
/*
 * Binding rows to maps: one table with every kind of row, bound to small YAML texts. Most tests
 * look for one sentence among the errors, since people will read exactly that.
 */
#include "base/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct inner {
    int64_t size;
    struct bytes endpoint;
};

struct entry {
    struct bytes model;
    int64_t timeout_ns;
};

struct outer {
    int64_t count;
    bool flag, has_group;
    double share;
    int64_t timeout_ns, size;
    struct bytes text, key;
    int codec;
    struct option_texts names;
    struct option_pairs headers;
    struct inner group;
    struct option_entries entries;
    const struct config_node *raw;
};

static const char *const codecs[] = {"none", "gzip", "zstd", NULL};

static const struct option inner_options[] = {
    {.key = "size",
     .kind = OPTION_SIZE,
     .offset = offsetof(struct inner, size),
     .fallback = "4MiB",
     .min = 1024,
     .max = 1 << 30},
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct inner, endpoint),
     .flags = OPTION_F_REQUIRED},
    {0},
};

static const struct option entry_options[] = {
    {.key = "", .kind = OPTION_TEXT, .offset = offsetof(struct entry, model)},
    {.key = "model", .kind = OPTION_TEXT, .offset = offsetof(struct entry, model)},
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct entry, timeout_ns),
     .fallback = "20s"},
    {0},
};

static const struct option outer_options[] = {
    {.key = "count",
     .kind = OPTION_INT,
     .offset = offsetof(struct outer, count),
     .fallback = "10",
     .min = 1,
     .max = 1000},
    {.key = "flag",
     .kind = OPTION_BOOL,
     .offset = offsetof(struct outer, flag),
     .fallback = "true"},
    {.key = "share",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct outer, share),
     .fallback = "0.5",
     .min = 0,
     .max = 1},
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct outer, timeout_ns),
     .fallback = "5s",
     .min = 0.1,
     .max = 3600},
    {.key = "size", .kind = OPTION_SIZE, .offset = offsetof(struct outer, size)},
    {.key = "text",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct outer, text),
     .fallback = "words"},
    {.key = "api_key", .kind = OPTION_SECRET, .offset = offsetof(struct outer, key)},
    {.key = "compression",
     .kind = OPTION_ENUM,
     .offset = offsetof(struct outer, codec),
     .fallback = "gzip",
     .choices = codecs},
    {.key = "names", .kind = OPTION_TEXTS, .offset = offsetof(struct outer, names), .count_max = 3},
    {.key = "headers",
     .kind = OPTION_TEXT_MAP,
     .offset = offsetof(struct outer, headers),
     .flags = OPTION_F_SECRET},
    {.key = "group",
     .kind = OPTION_GROUP,
     .offset = offsetof(struct outer, group),
     .rows = inner_options,
     .present_offset = offsetof(struct outer, has_group)},
    {.key = "entries",
     .kind = OPTION_MAP,
     .offset = offsetof(struct outer, entries),
     .rows = entry_options,
     .entry_size = sizeof(struct entry),
     .count_max = 2},
    {.key = "raw", .kind = OPTION_NODE, .offset = offsetof(struct outer, raw)},
    {.key = "old",
     .kind = OPTION_INT,
     .offset = offsetof(struct outer, count),
     .flags = OPTION_F_DEPRECATED,
     .doc = "use count"},
    {.key = "read_buffer_size", .kind = OPTION_SIZE, .flags = OPTION_F_IGNORED},
    {0},
};

struct fixture {
    struct config *config;
    struct buffer out, warnings;
    struct option_errors errors;
    struct arena arena;
    struct outer outer;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    buffer_init(&fixture->out, 1 << 20);
    buffer_init(&fixture->warnings, 1 << 20);
    fixture->errors = (struct option_errors){.out = &fixture->out, .warnings = &fixture->warnings};
    arena_init(&fixture->arena, 1 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    config_free(&fixture->config);
    buffer_fini(&fixture->out);
    buffer_fini(&fixture->warnings);
    arena_fini(&fixture->arena);
    free(fixture);
    unsetenv("SJ_TEST_OPTION");
    return 0;
}

static const struct outer *bind(struct fixture *fixture, const char *yaml)
{
    struct buffer uri;
    buffer_init(&uri, 1 << 16);
    buffer_printf(&uri, "yaml:%s", yaml);
    const char *sources[] = {buffer_text(&uri)};
    config_free(&fixture->config);
    enum result result =
        config_load(sources, 1, NULL, 0, &fixture->config, &fixture->out, &fixture->warnings);
    assert_int_equal(result, RESULT_OK);
    buffer_fini(&uri);
    option_bind(outer_options, config_root(fixture->config), "exporters::otlp_http",
                &fixture->outer, sizeof fixture->outer, &fixture->arena, &fixture->errors);
    return &fixture->outer;
}

static void assert_line(struct buffer *lines, const char *line)
{
    if (strstr(buffer_text(lines), line) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", line, buffer_text(lines));
    }
}

static void assert_error(struct fixture *fixture, const char *yaml, const char *line)
{
    fixture->errors.count = 0;
    buffer_reset(&fixture->out);
    bind(fixture, yaml);
    assert_int_equal(fixture->errors.count, 1);
    assert_line(&fixture->out, line);
}

static void defaults_are_set_in_nested_groups_too(void **state)
{
    struct fixture *fixture = *state;
    const struct outer *outer = bind(fixture, "{}");
    assert_int_equal(fixture->errors.count, 0);
    assert_int_equal(outer->count, 10);
    assert_true(outer->flag);
    assert_false(outer->has_group);
    assert_int_equal(outer->timeout_ns, INT64_C(5000000000));
    assert_int_equal(outer->codec, 1);
    assert_string_equal((const char *)outer->text.ptr, "words");
    assert_int_equal(outer->group.size, 4 << 20);
    assert_int_equal(outer->entries.count, 0);
    assert_null(outer->raw);
}

static void every_kind_is_bound(void **state)
{
    struct fixture *fixture = *state;
    const struct outer *outer =
        bind(fixture, "count: 7\nflag: false\nshare: 0.25\ntimeout: 1m30s\nsize: 64MiB\n"
                      "text: hello\napi_key: 0123\ncompression: zstd\nnames: [a, b]\n"
                      "headers: {x-a: 1, x-b: }\ngroup: {size: 2048, endpoint: e}\n"
                      "entries: {one: {model: m, timeout: 1s}, two: short}\nraw: {any: thing}\n");
    assert_int_equal(fixture->errors.count, 0);
    assert_int_equal(outer->count, 7);
    assert_false(outer->flag);
    assert_true(outer->share > 0.24 && outer->share < 0.26);
    assert_int_equal(outer->timeout_ns, INT64_C(90000000000));
    assert_int_equal(outer->size, 64 << 20);
    assert_string_equal((const char *)outer->key.ptr, "0123");
    assert_int_equal(outer->codec, 2);
    assert_int_equal(outer->names.count, 2);
    assert_true(bytes_equal_text(outer->names.items[1], "b"));
    assert_int_equal(outer->headers.count, 2);
    assert_true(bytes_equal_text(outer->headers.items[0].value, "1"));
    assert_true(outer->has_group);
    assert_int_equal(outer->group.size, 2048);
    const struct entry *entries = outer->entries.items;
    assert_int_equal(outer->entries.count, 2);
    assert_true(bytes_equal_text(outer->entries.names[1], "two"));
    assert_true(bytes_equal_text(entries[0].model, "m"));
    assert_int_equal(entries[0].timeout_ns, INT64_C(1000000000));
    assert_true(bytes_equal_text(entries[1].model, "short"));
    assert_int_equal(entries[1].timeout_ns, INT64_C(20000000000));
    assert_int_equal(config_kind(outer->raw), CONFIG_MAP);
}

static void a_single_scalar_is_a_list_of_one(void **state)
{
    const struct outer *outer = bind(*state, "names: only");
    assert_int_equal(outer->names.count, 1);
}

static void unknown_keys_come_with_place_and_suggestion(void **state)
{
    struct fixture *fixture = *state;
    assert_error(fixture, "cuont: 5",
                 "exporters::otlp_http: '' has invalid keys: cuont; "
                 "did you mean 'count'? (yaml:1:1)\n");
    assert_error(fixture, "group: {endpoint: e, siz: 5}",
                 "exporters::otlp_http: 'group' has invalid keys: siz; did you mean 'size'? "
                 "(yaml:1:22)");
    assert_error(fixture, "entirely_else: 5", "'' has invalid keys: entirely_else (yaml:1:1)");
    assert_error(fixture, "entries: {a: {nodel: x}}",
                 "exporters::otlp_http::entries: 'a' has invalid keys: nodel; did you mean "
                 "'model'?");
}

static void wrong_types_name_the_type_and_the_text(void **state)
{
    struct fixture *fixture = *state;
    assert_error(fixture, "timeout: abc",
                 "exporters::otlp_http: 'timeout' expected type 'duration', got \"abc\"; "
                 "write 500ms, 4s or 2m (yaml:1:10)");
    assert_error(fixture, "timeout: 5", "expected type 'duration', got \"5\"");
    assert_error(fixture, "count: 1.5", "expected type 'int', got \"1.5\"");
    assert_error(fixture, "count: \"5\"", "expected type 'int', got \"5\"");
    assert_error(fixture, "count: [1]", "expected type 'int', got a list");
    assert_error(fixture, "count: ", "expected type 'int', got null");
    assert_error(fixture, "flag: yes", "expected type 'bool', got \"yes\"");
    assert_error(fixture, "flag: \"true\"", "expected type 'bool'");
    assert_error(fixture, "share: many", "expected type 'float64'");
    assert_error(fixture, "size: 5 apples", "expected type 'size'");
    assert_error(fixture, "text: {a: b}", "expected type 'string', got a map");
    assert_error(fixture, "names: {a: b}", "'names' expected type 'list', got a map");
    assert_error(fixture, "names: [[x]]", "'names[0]' expected type 'string'");
    assert_error(fixture, "headers: x", "'headers' expected type 'map'");
    assert_error(fixture, "group: 5", "'group' expected a map, got 'string'");
    assert_error(fixture, "entries: [a]", "'entries' expected a map, got 'slice'");
    assert_error(fixture, "group: {endpoint: e, size: x}",
                 "exporters::otlp_http::group: 'size' expected type 'size'");
}

static void values_out_of_bounds_say_the_bounds(void **state)
{
    struct fixture *fixture = *state;
    assert_error(fixture, "count: 0", "'count' must be between 1 and 1000, got 0");
    assert_error(fixture, "timeout: 2h", "'timeout' must be between 100ms and 1h, got 2h");
    assert_error(fixture, "size: -1", "'size' expected type 'size'");
    assert_error(fixture, "group: {endpoint: e, size: 1}",
                 "'size' must be between 1KiB and 1GiB, got 1");
    assert_error(fixture, "share: 1.5", "'share' must be between 0 and 1, got 1.5");
    assert_error(fixture, "entries: {a: {timeout: -1s}}", "'timeout' must not be negative");
}

static void choices_are_listed(void **state)
{
    assert_error(*state, "compression: brotli",
                 "'compression' must be one of [none, gzip, zstd], got \"brotli\" (yaml:1:14)");
}

static void counts_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    assert_error(fixture, "names: [a, b, c, d]", "'names' has 4 entries, at most 3 are allowed");
    assert_error(fixture, "entries: {a: , b: , c: }", "'entries' has 3 entries");
}

static void required_keys_are_asked_for_only_where_their_group_is(void **state)
{
    struct fixture *fixture = *state;
    assert_error(fixture, "group: ", "exporters::otlp_http::group: 'endpoint' must be set");
    assert_error(fixture, "group: {endpoint: }", "'endpoint' must be set (yaml:1:9)");
    assert_true(fixture->outer.has_group);
}

static void all_errors_are_collected(void **state)
{
    struct fixture *fixture = *state;
    bind(fixture, "{count: 0, flag: 1, nothing_like_it: 2, timeout: x}");
    assert_int_equal(fixture->errors.count, 4);
}

static void a_map_is_needed_at_all(void **state)
{
    struct fixture *fixture = *state;
    bind(fixture, "raw: text");
    option_bind(inner_options, fixture->outer.raw, "x", &fixture->outer.group,
                sizeof fixture->outer.group, &fixture->arena, &fixture->errors);
    assert_line(&fixture->out, "x: '' expected a map, got 'string' (yaml:1:6)");
}

static void secrets_never_show_in_errors(void **state)
{
    struct fixture *fixture = *state;
    bind(fixture, "api_key: [hunter2]\nheaders: hunter2");
    assert_int_equal(fixture->errors.count, 2);
    assert_null(strstr(buffer_text(&fixture->out), "hunter2"));
}

static void variables_keep_their_text_for_strings(void **state)
{
    struct fixture *fixture = *state;
    setenv("SJ_TEST_OPTION", "0x10", 1);
    const struct outer *outer = bind(fixture, "api_key: ${env:SJ_TEST_OPTION}");
    assert_string_equal((const char *)outer->key.ptr, "0x10");
    setenv("SJ_TEST_OPTION", "{a: b}", 1);
    outer = bind(fixture, "api_key: \"${env:SJ_TEST_OPTION}\"");
    assert_string_equal((const char *)outer->key.ptr, "{a: b}");
    setenv("SJ_TEST_OPTION", "null", 1);
    outer = bind(fixture, "text: ${env:SJ_TEST_OPTION}");
    assert_string_equal((const char *)outer->text.ptr, "null");
    setenv("SJ_TEST_OPTION", "12", 1);
    outer = bind(fixture, "count: ${env:SJ_TEST_OPTION}");
    assert_int_equal(outer->count, 12);
    assert_int_equal(fixture->errors.count, 0);
}

static void ignored_and_deprecated_keys_warn(void **state)
{
    struct fixture *fixture = *state;
    bind(fixture, "{old: 5, read_buffer_size: whatever}");
    assert_int_equal(fixture->errors.count, 0);
    assert_line(&fixture->warnings, "'old' is deprecated: use count (yaml:1:7)");
    assert_line(&fixture->warnings, "'read_buffer_size' has no effect here");
    assert_int_equal(fixture->outer.count, 5);
}

static void components_add_their_own_errors(void **state)
{
    struct fixture *fixture = *state;
    option_error(&fixture->errors, "service", NULL, "no %s", "pipelines");
    assert_int_equal(fixture->errors.count, 1);
    assert_string_equal(buffer_text(&fixture->out), "service: no pipelines\n");
}

static void a_full_arena_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    arena_init(&fixture->arena, 0);
    bind(fixture, "text: x");
    assert_true(fixture->errors.count > 0);
    assert_line(&fixture->out, "too large");
}

int main(void)
{
#define OPTION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        OPTION_TEST(defaults_are_set_in_nested_groups_too),
        OPTION_TEST(every_kind_is_bound),
        OPTION_TEST(a_single_scalar_is_a_list_of_one),
        OPTION_TEST(unknown_keys_come_with_place_and_suggestion),
        OPTION_TEST(wrong_types_name_the_type_and_the_text),
        OPTION_TEST(values_out_of_bounds_say_the_bounds),
        OPTION_TEST(choices_are_listed),
        OPTION_TEST(counts_are_bounded),
        OPTION_TEST(required_keys_are_asked_for_only_where_their_group_is),
        OPTION_TEST(all_errors_are_collected),
        OPTION_TEST(a_map_is_needed_at_all),
        OPTION_TEST(secrets_never_show_in_errors),
        OPTION_TEST(variables_keep_their_text_for_strings),
        OPTION_TEST(ignored_and_deprecated_keys_warn),
        OPTION_TEST(components_add_their_own_errors),
        OPTION_TEST(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
