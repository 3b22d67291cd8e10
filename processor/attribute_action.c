// SPDX-License-Identifier: Apache-2.0
//
// Attribute actions. A set of attributes is read into a table of (key, value as serialised), the
// actions run over the table, and what differs in the end comes out as one change for each key: so
// a chain of ten actions on one key costs one edit, and what no action names is never written
// again. Whether anything applies is asked first and without a table (attribute_actions_apply),
// since most items go by. That question may be put to the attributes as they came: while no action
// applies, none changes what the next one sees.
//
// Refused: interpreting the actions on a decoded map, as the Collector does; OTTL. Bounds: 100
// actions, 1,024 attributes of one set, 1 MiB of new values, 7 groups of a pattern; a match that
// hits its limits counts as none, for `delete` and `hash` as a match: what was to be hidden is not
// let through. Scratch memory for patterns is made for each call. Any thread.
#include "processor/attribute_action.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "proto/scan.h"

#define ATTRIBUTES_MAX 1024
#define NEW_BYTES_MAX ((size_t)1 << 20)
#define ACTIONS_ARENA_MAX ((size_t)4 << 20)

enum action_kind {
    ACTION_INSERT,
    ACTION_UPDATE,
    ACTION_UPSERT,
    ACTION_DELETE,
    ACTION_HASH,
    ACTION_EXTRACT,
    ACTION_CONVERT,
    ACTION_KIND_COUNT
};
static const char *const action_names[] = {"insert", "update",  "upsert",  "delete",
                                           "hash",   "extract", "convert", NULL};
_Static_assert(sizeof(action_names) / sizeof(action_names[0]) == ACTION_KIND_COUNT + 1,
               "a name for each kind");

enum target_type { TARGET_STRING, TARGET_INT, TARGET_DOUBLE };
static const char *const type_names[] = {"string", "int", "double", NULL};

struct action {
    enum action_kind kind;
    struct bytes key;             // NUL-terminated behind
    struct bytes from_attribute;  // empty: `value`
    struct bytes value;           // a serialised AnyValue
    struct pattern *pattern;      // DELETE, HASH: of keys, or NULL; EXTRACT: of the value
    enum target_type type;
};

struct attribute_actions {
    struct arena memory;
    struct action *items;
    size_t count;
};

struct action_config {
    struct bytes key, action, from_attribute, from_context, pattern, converted_type;
    const struct config_node *value, *default_value;
};

#define AT(member) offsetof(struct action_config, member)
static const struct option action_options[] = {
    {.key = "key", .kind = OPTION_TEXT, .offset = AT(key)},
    {.key = "action", .kind = OPTION_TEXT, .offset = AT(action)},
    {.key = "value", .kind = OPTION_NODE, .offset = AT(value)},
    {.key = "default_value", .kind = OPTION_NODE, .offset = AT(default_value)},
    {.key = "from_attribute", .kind = OPTION_TEXT, .offset = AT(from_attribute)},
    {.key = "from_context", .kind = OPTION_TEXT, .offset = AT(from_context)},
    {.key = "pattern", .kind = OPTION_TEXT, .offset = AT(pattern)},
    {.key = "converted_type", .kind = OPTION_TEXT, .offset = AT(converted_type)},
    {0},
};
#undef AT

// --- reading ---

struct reading_of {  // one element of the list
    struct attribute_actions *actions;
    const struct config_node *node;
    char path[256];
    struct option_errors *errors;
};

static int choice_of(const char *const *names, struct bytes text)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (bytes_equal_nocase(text, names[i])) {
            return i;
        }
    }
    return -1;
}

// An AnyValue of what stands in the file: the type is YAML's.
static void scalar_write(struct buffer *out, const struct config_node *node)
{
    struct bytes text = config_text(node);
    bool plain = !config_is_quoted(node);
    int64_t number;
    double real;
    if (plain && bytes_to_i64(text, &number)) {
        wire_write_varint(out, ANY_INT, (uint64_t)number);
    } else if (plain && bytes_to_double(text, &real)) {
        wire_write_double(out, ANY_DOUBLE, real);
    } else if (plain && (bytes_equal_text(text, "true") || bytes_equal_text(text, "false"))) {
        wire_write_varint(out, ANY_BOOL, bytes_equal_text(text, "true"));
    } else {
        wire_write_bytes(out, ANY_STRING, text);
    }
}

static bool value_read(struct reading_of *reading, const struct config_node *node,
                       struct action *action)
{
    if (config_kind(node) != CONFIG_SCALAR && !config_has_text(node)) {
        option_error(reading->errors, reading->path, node,
                     "'value' must be a string, a number or a bool");
        return false;
    }
    struct buffer out;
    buffer_init(&out, NEW_BYTES_MAX);
    scalar_write(&out, node);
    action->value = arena_copy(&reading->actions->memory, buffer_view(&out));
    CHECK(buffer_status(&out) == RESULT_OK && action->value.ptr != NULL);
    buffer_fini(&out);
    return true;
}

// Keys that an action does not use, by the Collector's rules. False: a fault was told.
static bool keys_are_used(struct reading_of *reading, const struct action_config *config,
                          enum action_kind kind)
{
    bool sets = kind <= ACTION_UPSERT;
    const struct {
        const char *key;
        bool given, used;
    } rows[] = {
        {"value", config->value != NULL, sets},
        {"from_attribute", config->from_attribute.len > 0, sets},
        {"pattern", config->pattern.len > 0,
         kind == ACTION_DELETE || kind == ACTION_HASH || kind == ACTION_EXTRACT},
        {"converted_type", config->converted_type.len > 0, kind == ACTION_CONVERT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].given && !rows[i].used) {
            option_error(reading->errors, reading->path, reading->node,
                         "action \"%s\" does not use '%s'", action_names[kind], rows[i].key);
            return false;
        }
    }
    return true;
}

static bool source_read(struct reading_of *reading, const struct action_config *config,
                        struct action *action)
{
    bool has_value = config->value != NULL;
    bool has_attribute = config->from_attribute.len > 0;
    if (has_value == has_attribute) {
        option_error(reading->errors, reading->path, reading->node,
                     !has_value ? "'value' or 'from_attribute' must be set"
                                : "only one of 'value' and 'from_attribute' may be set");
        return false;
    }
    action->from_attribute = config->from_attribute;
    return config->value == NULL || value_read(reading, config->value, action);
}

static bool pattern_read(struct reading_of *reading, const struct action_config *config,
                         struct action *action)
{
    char why[256];
    if (pattern_compile((const char *)config->pattern.ptr, &action->pattern, why, sizeof why) !=
        RESULT_OK) {
        option_error(reading->errors, reading->path, reading->node, "'pattern': %s", why);
        return false;
    }
    unsigned groups = pattern_group_count(action->pattern);
    if (action->kind != ACTION_EXTRACT) {
        return true;
    }
    if (groups == 0 || groups >= PATTERN_GROUPS_MAX) {
        option_error(reading->errors, reading->path, reading->node,
                     "'pattern' must have 1 to %d named groups, (?P<name>...), it has %u",
                     PATTERN_GROUPS_MAX - 1, groups);
        return false;
    }
    for (unsigned i = 1; i <= groups; i++) {
        if (pattern_group_name(action->pattern, i)[0] == '\0') {
            option_error(reading->errors, reading->path, reading->node,
                         "'pattern' has a group without a name: write (?P<name>...)");
            return false;
        }
    }
    return true;
}

static bool type_read(struct reading_of *reading, const struct action_config *config,
                      struct action *action)
{
    int type = choice_of(type_names, config->converted_type);
    if (type < 0) {
        option_error(reading->errors, reading->path, reading->node,
                     "'converted_type' must be one of [string, int, double], got \"%.*s\"",
                     BYTES_PRINTF(config->converted_type));
        return false;
    }
    action->type = (enum target_type)type;
    return true;
}

static bool required_keys_are_set(struct reading_of *reading, const struct action_config *config,
                                  enum action_kind kind)
{
    bool by_pattern = kind == ACTION_DELETE || kind == ACTION_HASH;
    const char *missing = NULL;
    if (config->from_context.len > 0) {
        option_error(reading->errors, reading->path, reading->node,
                     "'from_context' is not available here: metadata of requests is not kept; use "
                     "'value' or 'from_attribute'");
        return false;
    }
    if (config->default_value != NULL) {
        option_error(reading->errors, reading->path, reading->node,
                     "'default_value' is not available here: put an insert behind this action");
        return false;
    }
    if (config->key.len == 0 && !(by_pattern && config->pattern.len > 0)) {
        missing = by_pattern ? "'key' or 'pattern'" : "'key'";
    } else if (kind == ACTION_EXTRACT && config->pattern.len == 0) {
        missing = "'pattern'";
    }
    if (missing != NULL) {
        option_error(reading->errors, reading->path, reading->node, "%s must be set", missing);
    }
    return missing == NULL;
}

static bool action_read(struct reading_of *reading, struct action *action)
{
    struct action_config config;
    unsigned before = reading->errors->count;
    option_bind(action_options, reading->node, reading->path, &config, sizeof config,
                &reading->actions->memory, reading->errors);
    if (reading->errors->count > before) {
        return false;
    }
    int kind = choice_of(action_names, config.action);
    if (kind < 0) {
        option_error(reading->errors, reading->path, reading->node,
                     "'action' must be one of [insert, update, upsert, delete, hash, extract, "
                     "convert], got \"%.*s\"",
                     BYTES_PRINTF(config.action));
        return false;
    }
    action->kind = (enum action_kind)kind;
    action->key = config.key;
    return required_keys_are_set(reading, &config, action->kind) &&
           keys_are_used(reading, &config, action->kind) &&
           (kind > ACTION_UPSERT || source_read(reading, &config, action)) &&
           (config.pattern.len == 0 || pattern_read(reading, &config, action)) &&
           (kind != ACTION_CONVERT || type_read(reading, &config, action));
}

struct attribute_actions *attribute_actions_new(const struct config_node *node, const char *path,
                                                const char *key, struct option_errors *errors)
{
    size_t count = config_count(node);
    if (config_kind(node) != CONFIG_LIST || count == 0 || count > ATTRIBUTE_ACTIONS_MAX) {
        option_error(errors, path, node, "'%s' must be a list of 1 to %d actions", key,
                     ATTRIBUTE_ACTIONS_MAX);
        return NULL;
    }
    struct attribute_actions *actions = calloc(1, sizeof *actions);
    CHECK(actions != NULL);
    arena_init(&actions->memory, ACTIONS_ARENA_MAX);
    actions->items = arena_zalloc(&actions->memory, count * sizeof *actions->items);
    CHECK(actions->items != NULL);
    actions->count = count;
    bool is_sound = true;
    for (size_t i = 0; i < count; i++) {
        struct reading_of reading = {
            .actions = actions, .node = config_at(node, i), .errors = errors};
        snprintf(reading.path, sizeof reading.path, "%s::%s[%zu]", path, key, i);
        is_sound = action_read(&reading, &actions->items[i]) && is_sound;
    }
    if (!is_sound) {
        attribute_actions_free(&actions);
    }
    return actions;
}

void attribute_actions_free(struct attribute_actions **actions)
{
    if (*actions == NULL) {
        return;
    }
    for (size_t i = 0; i < (*actions)->count; i++) {
        pattern_free(&(*actions)->items[i].pattern);
    }
    arena_fini(&(*actions)->memory);
    free(*actions);
    *actions = NULL;
}

// --- asking ---

static bool text_matches(const struct pattern *pattern, struct pattern_scratch *scratch,
                         struct bytes text, struct pattern_match *match, bool at_limit)
{
    enum result result = pattern_find(pattern, scratch, text, 0, match);
    if (result == RESULT_SHED) {
        *match = (struct pattern_match){0};
        return at_limit;
    }
    return result == RESULT_OK;
}

// Is there a key that the pattern of a `delete` or `hash` means?
static bool any_key_matches(const struct action *action, struct bytes fields, uint32_t number)
{
    struct pattern_scratch *scratch = pattern_scratch_new();
    struct attribute_walk walk;
    struct bytes key, pair;
    struct pattern_match match;
    bool found = false;
    attribute_walk_begin(&walk, fields, number);
    while (!found && attribute_walk_key(&walk, &key, &pair)) {
        found = text_matches(action->pattern, scratch, key, &match, true);
    }
    pattern_scratch_free(scratch);
    return found;
}

static bool is_present(struct bytes fields, uint32_t number, uint64_t key_heads, struct bytes key,
                       struct any_view *value)
{
    if (key_heads != 0 && key.len >= 2 &&
        (key_heads & item_key_head(key.ptr[0], key.ptr[1])) == 0) {
        return false;
    }
    return attribute_find(fields, number, (const char *)key.ptr, value);
}

static bool any_is_equal(const struct any_view *a, const struct any_view *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case ANY_KIND_INT:
    case ANY_KIND_BOOL:
        return a->number == b->number;
    case ANY_KIND_DOUBLE:
        return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    case ANY_KIND_NONE:
        return true;
    default:
        return bytes_equal(a->bytes, b->bytes);
    }
}

static bool action_sets(const struct action *action, struct bytes fields, uint32_t number,
                        uint64_t key_heads)
{
    struct any_view old, new;
    bool present = is_present(fields, number, key_heads, action->key, &old);
    if ((action->kind == ACTION_INSERT && present) || (action->kind == ACTION_UPDATE && !present)) {
        return false;
    }
    if (action->from_attribute.len == 0) {
        new = any_decode(action->value);
    } else if (!is_present(fields, number, key_heads, action->from_attribute, &new)) {
        return false;
    }
    return !present || !any_is_equal(&old, &new);
}

static bool is_of_type(const struct any_view *value, enum target_type type)
{
    static const enum any_kind kinds[] = {ANY_KIND_STRING, ANY_KIND_INT, ANY_KIND_DOUBLE};
    return value->kind == kinds[type];
}

static bool action_applies(const struct action *action, struct bytes fields, uint32_t number,
                           uint64_t key_heads)
{
    struct any_view value;
    if (action->kind <= ACTION_UPSERT) {
        return action_sets(action, fields, number, key_heads);
    }
    if (action->key.len > 0 && is_present(fields, number, key_heads, action->key, &value)) {
        switch (action->kind) {
        case ACTION_CONVERT:
            return !is_of_type(&value, action->type);
        case ACTION_EXTRACT:
            return value.kind == ANY_KIND_STRING;
        default:
            return true;
        }
    }
    return action->pattern != NULL && action->kind != ACTION_EXTRACT &&
           any_key_matches(action, fields, number);
}

bool attribute_actions_apply(const struct attribute_actions *actions, struct bytes fields,
                             uint32_t number, uint64_t key_heads)
{
    for (size_t i = 0; i < actions->count; i++) {
        if (action_applies(&actions->items[i], fields, number, key_heads)) {
            return true;
        }
    }
    return false;
}

// --- doing ---

struct row {
    struct bytes key;
    struct bytes value;  // a serialised AnyValue; of new ones an offset into `memory` (see is_new)
    size_t value_at;
    bool is_new;    // `value` lies in changes->memory at value_at
    bool was_here;  // came with the item
    bool is_gone, is_changed;
};

struct attribute_changes {
    struct row *rows;
    size_t count, capacity, next;
    uint32_t number;
    bool is_full;
    struct buffer memory, field;
    struct pattern_scratch *scratch;
};

struct attribute_changes *attribute_changes_new(void)
{
    struct attribute_changes *changes = calloc(1, sizeof *changes);
    CHECK(changes != NULL);
    buffer_init(&changes->memory, NEW_BYTES_MAX);
    buffer_init(&changes->field, 2 * NEW_BYTES_MAX);
    changes->scratch = pattern_scratch_new();
    return changes;
}

void attribute_changes_free(struct attribute_changes **changes)
{
    if (*changes != NULL) {
        free((*changes)->rows);
        buffer_fini(&(*changes)->memory);
        buffer_fini(&(*changes)->field);
        pattern_scratch_free((*changes)->scratch);
        free(*changes);
        *changes = NULL;
    }
}

static struct row *row_add(struct attribute_changes *changes, struct bytes key)
{
    if (changes->count == changes->capacity) {
        size_t capacity = changes->capacity > 0 ? changes->capacity * 2 : 32;
        struct row *rows =
            capacity <= ATTRIBUTES_MAX ? realloc(changes->rows, capacity * sizeof *rows) : NULL;
        if (rows == NULL) {
            changes->is_full = true;
            return NULL;
        }
        changes->rows = rows;
        changes->capacity = capacity;
    }
    struct row *row = &changes->rows[changes->count++];
    *row = (struct row){.key = key};
    return row;
}

// The row of a key, gone ones included: the last of them, as protobuf readers take it.
static struct row *row_any(const struct attribute_changes *changes, struct bytes key)
{
    for (size_t i = changes->count; i > 0; i--) {
        if (bytes_equal(changes->rows[i - 1].key, key)) {
            return &changes->rows[i - 1];
        }
    }
    return NULL;
}

static struct row *row_find(const struct attribute_changes *changes, struct bytes key)
{
    struct row *row = row_any(changes, key);
    return row != NULL && !row->is_gone ? row : NULL;
}

static struct bytes row_value(const struct attribute_changes *changes, const struct row *row)
{
    return row->is_new ? bytes_slice(buffer_view(&changes->memory), row->value_at, row->value.len)
                       : row->value;
}

// Gives a key, there or not, the value that was written to changes->memory between `at` and `end`.
static void row_set(struct attribute_changes *changes, struct bytes key, size_t at, size_t end)
{
    struct row *row = row_any(changes, key);
    if (row == NULL) {
        row = row_add(changes, key);
    }
    if (row == NULL || buffer_status(&changes->memory) != RESULT_OK) {
        changes->is_full = true;
        return;
    }
    row->value = (struct bytes){NULL, end - at};
    row->value_at = at;
    row->is_new = true;
    row->is_gone = false;
    row->is_changed = true;
}

static void row_set_text(struct attribute_changes *changes, struct bytes key, struct bytes text)
{
    size_t at = changes->memory.len;
    wire_write_bytes(&changes->memory, ANY_STRING, text);
    row_set(changes, key, at, changes->memory.len);
}

static void set_run(struct attribute_changes *changes, const struct action *action)
{
    const struct row *old = row_find(changes, action->key);
    if ((action->kind == ACTION_INSERT && old != NULL) ||
        (action->kind == ACTION_UPDATE && old == NULL)) {
        return;
    }
    struct bytes value = action->value;
    size_t at = changes->memory.len;
    if (action->from_attribute.len > 0) {
        const struct row *source = row_find(changes, action->from_attribute);
        if (source == NULL) {
            return;
        }
        value = row_value(changes, source);
    }
    if (old != NULL) {
        struct any_view was = any_decode(row_value(changes, old));
        struct any_view is = any_decode(value);
        if (any_is_equal(&was, &is)) {
            return;
        }
    }
    // The source may lie in this very buffer, which may move.
    if (buffer_reserve(&changes->memory, value.len + 1) == NULL) {
        changes->is_full = true;
        return;
    }
    if (action->from_attribute.len > 0) {
        value = row_value(changes, row_find(changes, action->from_attribute));
    }
    buffer_append_bytes(&changes->memory, value);
    row_set(changes, action->key, at, changes->memory.len);
}

// As the Collector hashes: numbers by their 8 bytes, little-endian; what is neither text, number
// nor bool, and empty text, becomes "".
static void row_hash(struct attribute_changes *changes, struct row *row)
{
    struct any_view value = any_decode(row_value(changes, row));
    uint8_t digest[32], raw[8] = {0};
    char text[65] = "";
    uint64_t number = (uint64_t)value.number;
    struct bytes input = BYTES_NONE;
    if (value.kind == ANY_KIND_STRING) {
        input = value.bytes;
    } else if (value.kind == ANY_KIND_BOOL) {
        raw[0] = value.number != 0;
        input = (struct bytes){raw, 1};
    } else if (value.kind == ANY_KIND_INT || value.kind == ANY_KIND_DOUBLE) {
        if (value.kind == ANY_KIND_DOUBLE) {
            memcpy(&number, &value.real, sizeof number);
        }
        for (unsigned i = 0; i < 8; i++) {
            raw[i] = (uint8_t)(number >> (8 * i));
        }
        input = (struct bytes){raw, 8};
    }
    if (input.len > 0) {
        hash_sha256(input, digest);
        for (unsigned i = 0; i < 32; i++) {
            snprintf(text + 2 * i, 3, "%02x", digest[i]);
        }
    }
    row_set_text(changes, row->key, bytes_from_text(text));
}

static void row_take_away(struct row *row)
{
    row->is_gone = true;
    row->is_changed = true;
}

static void hide_run(struct attribute_changes *changes, const struct action *action)
{
    struct pattern_match match;
    struct row *named = action->key.len > 0 ? row_find(changes, action->key) : NULL;
    if (named != NULL && action->kind == ACTION_DELETE) {
        row_take_away(named);
    } else if (named != NULL) {
        row_hash(changes, named);
    }
    for (size_t i = 0; action->pattern != NULL && i < changes->count; i++) {
        struct row *row = &changes->rows[i];
        if (row->is_gone ||
            !text_matches(action->pattern, changes->scratch, row->key, &match, true)) {
            continue;
        }
        if (action->kind == ACTION_DELETE) {
            row_take_away(row);
        } else {
            row_hash(changes, row);
        }
    }
}

// The texts of a match, one after the other in changes->memory, then as values of their keys: the
// subject may be one of these keys.
static void groups_set(struct attribute_changes *changes, const struct action *action,
                       const struct pattern_match *match)
{
    size_t starts[PATTERN_GROUPS_MAX + 1];
    unsigned groups = pattern_group_count(action->pattern);
    for (unsigned i = 1; i <= groups; i++) {
        starts[i] = changes->memory.len;
        wire_write_bytes(&changes->memory, ANY_STRING, match->groups[i]);
    }
    starts[groups + 1] = changes->memory.len;
    for (unsigned i = 1; i <= groups; i++) {
        struct bytes key = bytes_from_text(pattern_group_name(action->pattern, i));
        row_set(changes, key, starts[i], starts[i + 1]);
    }
}

static void extract_run(struct attribute_changes *changes, const struct action *action)
{
    const struct row *row = row_find(changes, action->key);
    struct pattern_match match;
    if (row == NULL) {
        return;
    }
    // Room for all groups first, so that a subject in this buffer stays where it is.
    size_t room = PATTERN_GROUPS_MAX * (row->value.len + 16);
    if (buffer_reserve(&changes->memory, room) == NULL) {
        changes->is_full = true;
        return;
    }
    struct any_view value = any_decode(row_value(changes, row));
    if (value.kind == ANY_KIND_STRING &&
        text_matches(action->pattern, changes->scratch, value.bytes, &match, false)) {
        groups_set(changes, action, &match);
    }
}

static bool number_of(const struct any_view *value, enum target_type type, int64_t *number,
                      double *real)
{
    switch (value->kind) {
    case ANY_KIND_BOOL:
    case ANY_KIND_INT:
        *number = value->number;
        *real = (double)value->number;
        return true;
    case ANY_KIND_DOUBLE:
        *real = value->real;
        if (type == TARGET_INT && (!(value->real > -9.2e18) || !(value->real < 9.2e18))) {
            return false;
        }
        *number = type == TARGET_INT ? (int64_t)value->real : 0;
        return true;
    case ANY_KIND_STRING:
        return type == TARGET_INT ? bytes_to_i64(value->bytes, number)
                                  : bytes_to_double(value->bytes, real);
    default:
        return false;
    }
}

// What cannot be converted stays as it is.
static void convert_run(struct attribute_changes *changes, const struct action *action)
{
    const struct row *row = row_find(changes, action->key);
    if (row == NULL) {
        return;
    }
    struct any_view value = any_decode(row_value(changes, row));
    int64_t number = 0;
    double real = 0;
    size_t at = changes->memory.len;
    if (is_of_type(&value, action->type)) {
        return;
    }
    if (action->type == TARGET_STRING) {
        struct buffer text;
        buffer_init(&text, NEW_BYTES_MAX);
        any_write_json(&value, &text);
        row_set_text(changes, action->key, buffer_view(&text));
        buffer_fini(&text);
        return;
    }
    if (!number_of(&value, action->type, &number, &real)) {
        return;
    }
    if (action->type == TARGET_INT) {
        wire_write_varint(&changes->memory, ANY_INT, (uint64_t)number);
    } else {
        wire_write_double(&changes->memory, ANY_DOUBLE, real);
    }
    row_set(changes, action->key, at, changes->memory.len);
}

static void action_run(struct attribute_changes *changes, const struct action *action)
{
    switch (action->kind) {
    case ACTION_DELETE:
    case ACTION_HASH:
        hide_run(changes, action);
        return;
    case ACTION_EXTRACT:
        extract_run(changes, action);
        return;
    case ACTION_CONVERT:
        convert_run(changes, action);
        return;
    default:
        set_run(changes, action);
    }
}

static void rows_read(struct attribute_changes *changes, struct bytes fields)
{
    struct attribute_walk walk;
    struct bytes key, pair;
    attribute_walk_begin(&walk, fields, changes->number);
    while (!changes->is_full && attribute_walk_key(&walk, &key, &pair)) {
        struct row *row = row_any(changes, key);
        row = row != NULL ? row : row_add(changes, key);
        if (row != NULL) {
            (void)wire_find(pair, KEYVALUE_VALUE, &row->value);
            row->was_here = true;
        }
    }
}

bool attribute_changes_make(struct attribute_changes *changes,
                            const struct attribute_actions *actions, struct bytes fields,
                            uint32_t number)
{
    changes->count = 0;
    changes->next = 0;
    changes->number = number;
    changes->is_full = false;
    buffer_reset(&changes->memory);
    rows_read(changes, fields);
    for (size_t i = 0; i < actions->count && !changes->is_full; i++) {
        action_run(changes, &actions->items[i]);
    }
    if (changes->is_full) {
        changes->count = 0;
    }
    return !changes->is_full;
}

bool attribute_changes_next(struct attribute_changes *changes, struct bytes *key,
                            struct bytes *field)
{
    while (changes->next < changes->count) {
        const struct row *row = &changes->rows[changes->next++];
        if (!row->is_changed || (row->is_gone && !row->was_here)) {
            continue;
        }
        buffer_reset(&changes->field);
        if (!row->is_gone) {
            size_t mark = wire_open(&changes->field, changes->number);
            wire_write_bytes(&changes->field, KEYVALUE_KEY, row->key);
            wire_write_bytes(&changes->field, KEYVALUE_VALUE, row_value(changes, row));
            wire_close(&changes->field, mark);
        }
        *key = row->key;
        *field = buffer_view(&changes->field);
        return true;
    }
    return false;
}

void attribute_changes_rewind(struct attribute_changes *changes)
{
    changes->next = 0;
}
