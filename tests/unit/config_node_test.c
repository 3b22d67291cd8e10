// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of a configuration, without any YAML: members, copies, merges, and the limits.
 */
#include "base/config_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static int set_up(void **state)
{
    static struct config config;
    config = (struct config){0};
    arena_init(&config.arena, CONFIG_ARENA_BYTES_MAX);
    *state = &config;
    return 0;
}

static int tear_down(void **state)
{
    struct config *config = *state;
    arena_fini(&config->arena);
    return 0;
}

static struct config_node *map_of(struct config *config, const char *key, const char *text)
{
    struct config_node *map = config_node_new(config, CONFIG_MAP, "");
    struct config_node *value = config_node_scalar(config, bytes_from_text(text), false, "");
    assert_int_equal(config_node_add(config, map, bytes_from_text(key), "", value), RESULT_OK);
    return map;
}

static void a_key_is_added_once(void **state)
{
    struct config *config = *state;
    struct config_node *map = map_of(config, "a", "1");
    struct config_node *value = config_node_new(config, CONFIG_MAP, "");
    assert_int_equal(config_node_add(config, map, BYTES_LITERAL("a"), "", value), RESULT_REJECT);
    assert_int_equal(map->count, 1);
    assert_null(config_node_find(map, BYTES_LITERAL("b")));
}

static void copies_are_independent(void **state)
{
    struct config *config = *state;
    struct config_node *map = map_of(config, "a", "1");
    struct config_node *copy = config_node_copy(config, map);
    struct config_node *over = map_of(config, "a", "2");
    copy = config_node_merge(config, copy, over);
    assert_true(bytes_equal_text(map->members[0].value->text, "1"));
    assert_true(bytes_equal_text(copy->members[0].value->text, "2"));
}

static void merging_other_kinds_replaces(void **state)
{
    struct config *config = *state;
    struct config_node *map = map_of(config, "a", "1");
    struct config_node *list = config_node_new(config, CONFIG_LIST, "");
    assert_ptr_equal(config_node_merge(config, map, list), list);
    assert_ptr_equal(config_node_merge(config, list, map), map);
    assert_ptr_equal(config_node_merge(config, NULL, map), map);
}

static void maps_stop_at_their_limit(void **state)
{
    struct config *config = *state;
    struct config_node *map = config_node_new(config, CONFIG_MAP, "");
    struct config_node *value = config_node_new(config, CONFIG_NULL, "");
    enum result result = RESULT_OK;
    size_t added = 0;
    for (; result == RESULT_OK && added <= CONFIG_MEMBERS_MAX; added++) {
        char key[16];
        snprintf(key, sizeof key, "%zu", added);
        result = config_node_add(config, map, bytes_from_text(key), "", value);
    }
    assert_int_equal(result, RESULT_TOO_LARGE);
    assert_int_equal(map->count, CONFIG_MEMBERS_MAX);
}

static void nodes_stop_at_their_limit(void **state)
{
    struct config *config = *state;
    config->node_count = CONFIG_NODES_MAX - 1;
    struct config_node *last = config_node_new(config, CONFIG_LIST, "");
    assert_non_null(last);
    assert_null(config_node_new(config, CONFIG_LIST, ""));
    assert_null(config_node_copy(config, last));
    assert_int_equal(config_node_add(config, last, BYTES_NONE, "", NULL), RESULT_TOO_LARGE);
}

static void memory_stops_at_its_limit(void **state)
{
    struct config *config = *state;
    config->arena.bytes_max = config->arena.bytes_used;
    assert_null(config_node_new(config, CONFIG_MAP, ""));
    assert_string_equal(config_node_place(config, "file", 1, 2), "");
}

static void places_leave_out_unknown_lines(void **state)
{
    struct config *config = *state;
    assert_string_equal(config_node_place(config, "f.yaml", 3, 4), "f.yaml:3:4");
    assert_string_equal(config_node_place(config, "f.yaml", 0, 0), "f.yaml");
}

int main(void)
{
#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_key_is_added_once),
        NODE_TEST(copies_are_independent),
        NODE_TEST(merging_other_kinds_replaces),
        NODE_TEST(maps_stop_at_their_limit),
        NODE_TEST(nodes_stop_at_their_limit),
        NODE_TEST(memory_stops_at_its_limit),
        NODE_TEST(places_leave_out_unknown_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
