// SPDX-License-Identifier: Apache-2.0
//
// The configuration's tree: one kind of node with a growing row of members, in one arena. The YAML
// library's own tree was refused: it multiplies aliases without a bound, compares all keys of a map
// with each other, and cannot say that a value came out of a variable.
//
// Look-up walks the members: real maps are short, and CONFIG_MEMBERS_MAX bounds the others. Depth
// is bounded by the reader (CONFIG_DEPTH_MAX), so recursion here is too. Any one thread at a time.
#include "base/config_node.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static bool is_null_word(struct bytes text)
{
    return text.len == 0 || bytes_equal_text(text, "~") || bytes_equal_text(text, "null") ||
           bytes_equal_text(text, "Null") || bytes_equal_text(text, "NULL");
}

struct config_node *config_node_new(struct config *config, enum config_kind kind, const char *where)
{
    if (config->node_count >= CONFIG_NODES_MAX) {
        return NULL;
    }
    struct config_node *node = arena_zalloc(&config->arena, sizeof *node);
    if (node != NULL) {
        config->node_count++;
        node->kind = kind;
        node->where = where;
    }
    return node;
}

struct config_node *config_node_scalar(struct config *config, struct bytes text, bool quoted,
                                       const char *where)
{
    bool is_null = !quoted && is_null_word(text);
    struct config_node *node =
        config_node_new(config, is_null ? CONFIG_NULL : CONFIG_SCALAR, where);
    if (node == NULL) {
        return NULL;
    }
    node->quoted = quoted;
    node->has_text = true;
    node->text = arena_copy(&config->arena, text);
    return node->text.ptr != NULL ? node : NULL;
}

static bool make_room(struct config *config, struct config_node *node)
{
    if (node->count < node->capacity) {
        return true;
    }
    size_t capacity = node->capacity == 0 ? 8 : node->capacity * 2;
    struct config_member *members = arena_alloc(&config->arena, capacity * sizeof *members);
    if (members == NULL) {
        return false;
    }
    if (node->count > 0) {
        memcpy(members, node->members, node->count * sizeof *members);
    }
    node->members = members;
    node->capacity = capacity;
    return true;
}

enum result config_node_add(struct config *config, struct config_node *node, struct bytes key,
                            const char *where, struct config_node *value)
{
    CHECK(node->kind == CONFIG_MAP || node->kind == CONFIG_LIST);
    if (value == NULL) {
        return RESULT_TOO_LARGE;
    }
    struct bytes copied = BYTES_NONE;
    if (node->kind == CONFIG_MAP) {
        if (config_node_find(node, key) != NULL) {
            return RESULT_REJECT;
        }
        copied = arena_copy(&config->arena, key);
        if (node->count >= CONFIG_MEMBERS_MAX || copied.ptr == NULL) {
            return RESULT_TOO_LARGE;
        }
    }
    if (!make_room(config, node)) {
        return RESULT_TOO_LARGE;
    }
    node->members[node->count++] =
        (struct config_member){.key = copied, .where = where, .value = value};
    return RESULT_OK;
}

struct config_member *config_node_find(const struct config_node *map, struct bytes key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (bytes_equal(map->members[i].key, key)) {
            return &map->members[i];
        }
    }
    return NULL;
}

struct config_node *config_node_copy(struct config *config, const struct config_node *node)
{
    struct config_node *copy = config_node_new(config, node->kind, node->where);
    if (copy == NULL) {
        return NULL;
    }
    copy->quoted = node->quoted;
    copy->has_text = node->has_text;
    copy->text = node->text;
    for (size_t i = 0; i < node->count; i++) {
        if (!make_room(config, copy)) {
            return NULL;
        }
        struct config_member member = node->members[i];
        member.value = config_node_copy(config, member.value);
        if (member.value == NULL) {
            return NULL;
        }
        copy->members[copy->count++] = member;
    }
    return copy;
}

struct config_node *config_node_merge(struct config *config, struct config_node *base,
                                      struct config_node *over)
{
    if (base == NULL || base->kind != CONFIG_MAP || over->kind != CONFIG_MAP) {
        return over;
    }
    for (size_t i = 0; i < over->count; i++) {
        struct config_member *new = &over->members[i];
        struct config_member *old = config_node_find(base, new->key);
        if (old == NULL) {
            if (config_node_add(config, base, new->key, new->where, new->value) != RESULT_OK) {
                return NULL;
            }
            continue;
        }
        old->value = config_node_merge(config, old->value, new->value);
        old->where = new->where;
        if (old->value == NULL) {
            return NULL;
        }
    }
    return base;
}

// "--set a.b" and "file.yaml:3:9, NAME" are sources of one value: their begin goes without saying.
const char *config_node_place(struct config *config, const char *source, int line, int column)
{
    char text[512];
    bool is_value = line == 1 && column == 1 && strpbrk(source, ", ") != NULL;
    int len = line > 0 && !is_value
                  ? snprintf(text, sizeof text, "%.400s:%d:%d", source, line, column)
                  : snprintf(text, sizeof text, "%.400s", source);
    struct bytes place = arena_copy(&config->arena, bytes_from(text, (size_t)len));
    return place.ptr != NULL ? (const char *)place.ptr : "";
}

// a::b::c with a value becomes a: {b: {c: value}}.
static struct config_node *nest(struct config *config, struct bytes key, const char *where,
                                struct config_node *value, struct bytes *first)
{
    size_t at = bytes_find(key, BYTES_LITERAL("::"), 0);
    *first = bytes_slice(key, 0, at);
    if (at == SIZE_MAX) {
        return value;
    }
    struct bytes inner_key;
    struct config_node *map = config_node_new(config, CONFIG_MAP, where);
    struct config_node *inner =
        nest(config, bytes_slice(key, at + 2, SIZE_MAX), where, value, &inner_key);
    if (map == NULL || config_node_add(config, map, inner_key, where, inner) != RESULT_OK) {
        return NULL;
    }
    return map;
}

static size_t count_of(struct bytes text, struct bytes needle)
{
    size_t count = 0;
    for (size_t at = bytes_find(text, needle, 0); at != SIZE_MAX;
         at = bytes_find(text, needle, at + needle.len)) {
        count++;
    }
    return count;
}

static bool split_member(struct config *config, const struct config_member *member,
                         struct config_node *split)
{
    if (count_of(member->key, BYTES_LITERAL("::")) >= CONFIG_DEPTH_MAX) {
        return false;
    }
    struct config_node *value = config_node_split_keys(config, member->value);
    struct bytes key;
    value = value != NULL ? nest(config, member->key, member->where, value, &key) : NULL;
    if (value == NULL) {
        return false;
    }
    struct config_member *there = config_node_find(split, key);
    if (there == NULL) {
        return config_node_add(config, split, key, member->where, value) == RESULT_OK;
    }
    there->value = config_node_merge(config, there->value, value);
    return there->value != NULL;
}

struct config_node *config_node_split_keys(struct config *config, struct config_node *node)
{
    if (node->kind == CONFIG_LIST) {
        for (size_t i = 0; i < node->count; i++) {
            node->members[i].value = config_node_split_keys(config, node->members[i].value);
            if (node->members[i].value == NULL) {
                return NULL;
            }
        }
    }
    if (node->kind != CONFIG_MAP) {
        return node;
    }
    struct config_node *split = config_node_new(config, CONFIG_MAP, node->where);
    for (size_t i = 0; split != NULL && i < node->count; i++) {
        if (!split_member(config, &node->members[i], split)) {
            return NULL;
        }
    }
    return split;
}

enum result config_fail(struct config *config, const char *where, enum result result,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buffer_printf(config->errors, "%s: ", where);
    buffer_vprintf(config->errors, format, args);
    buffer_append_text(config->errors, "\n");
    va_end(args);
    return result;
}

void config_warn(struct config *config, const char *where, const char *format, ...)
{
    if (config->warnings == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    buffer_printf(config->warnings, "%s: ", where);
    buffer_vprintf(config->warnings, format, args);
    buffer_append_text(config->warnings, "\n");
    va_end(args);
}
