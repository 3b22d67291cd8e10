// SPDX-License-Identifier: Apache-2.0
//
// Binding: rows of a table against members of a map. Defaults are parsed from the rows' own text
// by the same code as the file's values, so a default that breaks its own bounds does not live
// long.
//
// Rows write through offsets into plain structs; a tree of setter calls was refused, since the rows
// also are the documentation. Memory comes from the caller's arena and lives as long as the
// configuration. Bounds: entries of lists and maps by the row's count_max, depth by the tables.
// Start and reload only, one thread per binding.
#include "base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/option_units.h"

#define COUNT_MAX_DEFAULT 100
#define PATH_LEN_MAX 512

struct binding {
    const char *path;  // of the map that holds the row's key
    size_t root_len;   // of the part of `path` that option_bind was given
    struct arena *arena;
    struct option_errors *errors;
};

static void append_line(struct buffer *out, const char *path, const char *where, const char *format,
                        va_list args)
{
    buffer_printf(out, "%s%s", path, path[0] != '\0' ? ": " : "");
    buffer_vprintf(out, format, args);
    if (where[0] != '\0') {
        buffer_printf(out, " (%s)", where);
    }
    buffer_append_byte(out, '\n');
}

static void error_at(struct option_errors *errors, const char *path, const char *where,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

static void error_at(struct option_errors *errors, const char *path, const char *where,
                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append_line(errors->out, path, where, format, args);
    va_end(args);
    errors->count++;
}

void option_error(struct option_errors *errors, const char *path, const struct config_node *node,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append_line(errors->out, path, config_where(node), format, args);
    va_end(args);
    errors->count++;
}

void option_warning(struct option_errors *errors, const char *path, const struct config_node *node,
                    const char *format, ...)
{
    if (errors->warnings == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    append_line(errors->warnings, path, config_where(node), format, args);
    va_end(args);
}

static const char *const kind_names[] = {
    [OPTION_BOOL] = "bool",         [OPTION_INT] = "int",     [OPTION_DOUBLE] = "float64",
    [OPTION_DURATION] = "duration", [OPTION_SIZE] = "size",   [OPTION_TEXT] = "string",
    [OPTION_SECRET] = "string",     [OPTION_ENUM] = "string", [OPTION_TEXTS] = "list",
    [OPTION_TEXT_MAP] = "map",      [OPTION_GROUP] = "map",   [OPTION_MAP] = "map",
    [OPTION_NODE] = "any",
};

// A value to bind: from the file, or (node NULL) a row's default.
struct value {
    const struct config_node *node;
    struct bytes text;
    bool quoted;
};

// "got ..." for people: what stands there, never a secret.
static void type_error(const struct binding *binding, const struct option *row,
                       const struct config_node *node)
{
    const char *type = kind_names[row->kind];
    const char *where = config_where(node);
    bool secret = row->kind == OPTION_SECRET || (row->flags & OPTION_F_SECRET) != 0;
    if (config_kind(node) == CONFIG_MAP || config_kind(node) == CONFIG_LIST) {
        error_at(binding->errors, binding->path, where, "'%s' expected type '%s', got a %s",
                 row->key, type, config_kind(node) == CONFIG_MAP ? "map" : "list");
    } else if (config_kind(node) == CONFIG_NULL || secret) {
        error_at(binding->errors, binding->path, where, "'%s' expected type '%s', got %s", row->key,
                 type, secret ? "something else" : "null");
    } else {
        const char *example = row->kind == OPTION_DURATION ? "; write 500ms, 4s or 2m"
                              : row->kind == OPTION_SIZE   ? "; write 512KiB or 20MiB"
                                                           : "";
        error_at(binding->errors, binding->path, where, "'%s' expected type '%s', got \"%.*s\"%s",
                 row->key, type, BYTES_PRINTF(bytes_slice(config_text(node), 0, 100)), example);
    }
}

// A row with a positive `min` and no `max` is open above.
static bool has_max(const struct option *row)
{
    return row->max >= row->min;
}

static void bounds_error(const struct binding *binding, const struct option *row,
                         const struct config_node *node)
{
    char min[OPTION_UNITS_TEXT_MAX];
    char max[OPTION_UNITS_TEXT_MAX];
    if (row->kind == OPTION_DURATION) {
        duration_format((int64_t)(row->min * 1e9), min);
        duration_format((int64_t)(row->max * 1e9), max);
    } else if (row->kind == OPTION_SIZE) {
        size_format((int64_t)row->min, min);
        size_format((int64_t)row->max, max);
    } else {
        snprintf(min, sizeof min, "%.17g", row->min);
        snprintf(max, sizeof max, "%.17g", row->max);
    }
    struct bytes got = bytes_slice(config_text(node), 0, 100);
    if (row->min == 0 && row->max == 0) {
        error_at(binding->errors, binding->path, config_where(node),
                 "'%s' must not be negative, got %.*s", row->key, BYTES_PRINTF(got));
    } else if (!has_max(row)) {
        error_at(binding->errors, binding->path, config_where(node),
                 "'%s' must be at least %s, got %.*s", row->key, min, BYTES_PRINTF(got));
    } else {
        error_at(binding->errors, binding->path, config_where(node),
                 "'%s' must be between %s and %s, got %.*s", row->key, min, max, BYTES_PRINTF(got));
    }
}

static bool in_bounds(const struct option *row, double value)
{
    if (row->min == 0 && row->max == 0) {
        bool signed_kind = row->kind == OPTION_INT || row->kind == OPTION_DOUBLE;
        return signed_kind || value >= 0;
    }
    return value >= row->min && (value <= row->max || !has_max(row));
}

enum parsed { PARSED, PARSED_WRONG_TYPE, PARSED_OUT_OF_BOUNDS };

// YAML 1.2: true and false only, quoted words are strings.
static enum parsed put_bool(void *field, struct value value)
{
    bool is_true = bytes_equal_text(bytes_trim(value.text), "true");
    if (value.quoted || (!is_true && !bytes_equal_text(bytes_trim(value.text), "false"))) {
        return PARSED_WRONG_TYPE;
    }
    memcpy(field, &is_true, sizeof is_true);
    return PARSED;
}

static enum parsed put_integer(const struct option *row, void *field, struct value value)
{
    int64_t number = 0;
    bool parsed = row->kind == OPTION_DURATION ? duration_parse(value.text, &number)
                  : row->kind == OPTION_SIZE
                      ? size_parse(value.text, &number)
                      : !value.quoted && bytes_to_i64(bytes_trim(value.text), &number);
    if (!parsed) {
        return PARSED_WRONG_TYPE;
    }
    double compared = row->kind == OPTION_DURATION ? (double)number / 1e9 : (double)number;
    if (!in_bounds(row, compared)) {
        return PARSED_OUT_OF_BOUNDS;
    }
    memcpy(field, &number, sizeof number);
    return PARSED;
}

static enum parsed put_double(const struct option *row, void *field, struct value value)
{
    double number;
    if (value.quoted || !bytes_to_double(bytes_trim(value.text), &number)) {
        return PARSED_WRONG_TYPE;
    }
    if (!in_bounds(row, number)) {
        return PARSED_OUT_OF_BOUNDS;
    }
    memcpy(field, &number, sizeof number);
    return PARSED;
}

static void enum_error(const struct binding *binding, const struct option *row,
                       const struct config_node *node)
{
    struct buffer list;
    buffer_init(&list, 4096);
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        buffer_printf(&list, "%s%s", i > 0 ? ", " : "", row->choices[i]);
    }
    error_at(binding->errors, binding->path, config_where(node),
             "'%s' must be one of [%s], got \"%.*s\"", row->key, buffer_text(&list),
             BYTES_PRINTF(bytes_slice(config_text(node), 0, 100)));
    buffer_fini(&list);
}

// False: none of the choices.
static bool put_enum(const struct option *row, void *field, struct value value)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (bytes_equal_text(bytes_trim(value.text), row->choices[i])) {
            memcpy(field, &i, sizeof i);
            return true;
        }
    }
    return false;
}

static struct bytes keep_text(const struct binding *binding, struct bytes text)
{
    struct bytes copy = arena_copy(binding->arena, text);
    if (copy.ptr == NULL) {
        error_at(binding->errors, binding->path, "", "the configuration is too large");
    }
    return copy;
}

static void bind_scalar(const struct binding *binding, const struct option *row, void *field,
                        struct value value)
{
    enum parsed parsed = PARSED;
    switch (row->kind) {
    case OPTION_BOOL:
        parsed = put_bool(field, value);
        break;
    case OPTION_INT:
    case OPTION_DURATION:
    case OPTION_SIZE:
        parsed = put_integer(row, field, value);
        break;
    case OPTION_DOUBLE:
        parsed = put_double(row, field, value);
        break;
    case OPTION_ENUM:
        if (!put_enum(row, field, value)) {
            CHECK(value.node != NULL);
            enum_error(binding, row, value.node);
        }
        return;
    default: {
        CHECK(row->kind == OPTION_TEXT || row->kind == OPTION_SECRET);
        struct bytes copy = keep_text(binding, value.text);
        memcpy(field, &copy, sizeof copy);
        return;
    }
    }
    CHECK(parsed == PARSED || value.node != NULL);  // a row whose default is wrong
    if (parsed == PARSED_WRONG_TYPE) {
        type_error(binding, row, value.node);
    } else if (parsed == PARSED_OUT_OF_BOUNDS) {
        bounds_error(binding, row, value.node);
    }
}

static size_t count_max_of(const struct option *row)
{
    return row->count_max > 0 ? row->count_max : COUNT_MAX_DEFAULT;
}

static bool count_is_allowed(const struct binding *binding, const struct option *row,
                             const struct config_node *node, size_t count)
{
    if (count <= count_max_of(row)) {
        return true;
    }
    error_at(binding->errors, binding->path, config_where(node),
             "'%s' has %zu entries, at most %zu are allowed", row->key, count, count_max_of(row));
    return false;
}

static bool node_is_text(const struct config_node *node)
{
    return config_kind(node) == CONFIG_SCALAR ||
           (config_has_text(node) && config_text(node).len > 0);
}

static void put_texts(const struct binding *binding, void *field, struct bytes *items, size_t count)
{
    struct option_texts texts = {.items = items, .count = count};
    if (count > 0 && items == NULL) {
        error_at(binding->errors, binding->path, "", "the configuration is too large");
        return;
    }
    memcpy(field, &texts, sizeof texts);
}

static void bind_texts(const struct binding *binding, const struct option *row, void *field,
                       const struct config_node *node)
{
    bool single = config_kind(node) == CONFIG_SCALAR;
    size_t count = single ? 1 : config_count(node);
    if (!single && config_kind(node) != CONFIG_LIST) {
        type_error(binding, row, node);
        return;
    }
    if (!count_is_allowed(binding, row, node, count)) {
        return;
    }
    struct bytes *items = arena_zalloc(binding->arena, (count + 1) * sizeof *items);
    for (size_t i = 0; items != NULL && i < count; i++) {
        const struct config_node *item = single ? node : config_at(node, i);
        if (!node_is_text(item)) {
            error_at(binding->errors, binding->path, config_where(item),
                     "'%s[%zu]' expected type 'string'", row->key, i);
            return;
        }
        items[i] = keep_text(binding, config_text(item));
    }
    put_texts(binding, field, items, count);
}

static void bind_text_map(const struct binding *binding, const struct option *row, void *field,
                          const struct config_node *node)
{
    size_t count = config_count(node);
    if (config_kind(node) != CONFIG_MAP) {
        type_error(binding, row, node);
        return;
    }
    if (!count_is_allowed(binding, row, node, count)) {
        return;
    }
    struct option_pair *items = arena_zalloc(binding->arena, (count + 1) * sizeof *items);
    for (size_t i = 0; items != NULL && i < count; i++) {
        const struct config_node *value = config_member(node, i, &items[i].key);
        if (!node_is_text(value) && config_kind(value) != CONFIG_NULL) {
            error_at(binding->errors, binding->path, config_where(value),
                     "'%s[%.*s]' expected type 'string'", row->key, BYTES_PRINTF(items[i].key));
            return;
        }
        items[i].key = keep_text(binding, items[i].key);
        items[i].value = keep_text(binding, config_text(value));
    }
    struct option_pairs pairs = {.items = items, .count = items != NULL ? count : 0};
    memcpy(field, &pairs, sizeof pairs);
}

static void put_defaults(const struct binding *binding, const struct option *rows, void *target);
static void bind_rows(const struct binding *binding, const struct option *rows,
                      const struct config_node *node, void *target);

static const char *path_below(const struct binding *binding, struct bytes key)
{
    struct buffer path;
    buffer_init(&path, PATH_LEN_MAX);
    buffer_printf(&path, "%s%s%.*s", binding->path, binding->path[0] != '\0' ? "::" : "",
                  BYTES_PRINTF(bytes_slice(key, 0, 100)));
    struct bytes kept = arena_copy(binding->arena, buffer_view(&path));
    buffer_fini(&path);
    return kept.ptr != NULL ? (const char *)kept.ptr : binding->path;
}

static void expected_map(const struct binding *binding, struct bytes key,
                         const struct config_node *node)
{
    error_at(binding->errors, binding->path, config_where(node), "'%.*s' expected a map, got '%s'",
             BYTES_PRINTF(key), config_kind(node) == CONFIG_LIST ? "slice" : "string");
}

static void bind_group(const struct binding *binding, const struct option *row, void *field,
                       const struct config_node *node)
{
    struct bytes key = bytes_from_text(row->key);
    if (config_kind(node) != CONFIG_MAP && config_kind(node) != CONFIG_NULL) {
        expected_map(binding, key, node);
        return;
    }
    struct binding inner = *binding;
    inner.path = path_below(binding, key);
    bind_rows(&inner, row->rows, node, field);
}

// One entry of an OPTION_MAP: a map, nothing, or a scalar where the rows have a shorthand.
static void bind_entry(const struct binding *binding, const struct option *row,
                       const struct config_node *node, struct bytes name, void *entry)
{
    struct binding inner = *binding;
    inner.path = path_below(binding, name);
    bool shorthand = row->rows[0].key != NULL && row->rows[0].key[0] == '\0';
    if (config_kind(node) == CONFIG_SCALAR && shorthand) {
        struct value value = {node, config_text(node), config_is_quoted(node)};
        put_defaults(&inner, row->rows, entry);
        bind_scalar(&inner, &row->rows[0], (char *)entry + row->rows[0].offset, value);
    } else if (config_kind(node) == CONFIG_MAP || config_kind(node) == CONFIG_NULL) {
        bind_rows(&inner, row->rows, node, entry);
    } else {
        expected_map(binding, name, node);
    }
}

static void bind_map(const struct binding *binding, const struct option *row, void *field,
                     const struct config_node *node)
{
    size_t count = config_count(node);
    if (config_kind(node) != CONFIG_MAP) {
        expected_map(binding, bytes_from_text(row->key), node);
        return;
    }
    if (!count_is_allowed(binding, row, node, count)) {
        return;
    }
    struct option_entries entries = {
        .names = arena_zalloc(binding->arena, (count + 1) * sizeof *entries.names),
        .items = arena_zalloc(binding->arena, count * row->entry_size + 1),
        .nodes = arena_zalloc(binding->arena, (count + 1) * sizeof *entries.nodes),
        .count = count,
    };
    if (entries.names == NULL || entries.items == NULL || entries.nodes == NULL) {
        error_at(binding->errors, binding->path, config_where(node),
                 "the configuration is too large");
        return;
    }
    struct binding inner = *binding;
    inner.path = path_below(binding, bytes_from_text(row->key));
    for (size_t i = 0; i < count; i++) {
        struct bytes name;
        entries.nodes[i] = config_member(node, i, &name);
        entries.names[i] = keep_text(binding, name);
        bind_entry(&inner, row, entries.nodes[i], entries.names[i],
                   (char *)entries.items + i * row->entry_size);
    }
    memcpy(field, &entries, sizeof entries);
}

static void put_default(const struct binding *binding, const struct option *row, void *field);

static void put_defaults(const struct binding *binding, const struct option *rows, void *target)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        if ((row->flags & OPTION_F_IGNORED) == 0) {
            put_default(binding, row, (char *)target + row->offset);
        }
    }
}

static void put_default(const struct binding *binding, const struct option *row, void *field)
{
    if (row->kind == OPTION_GROUP) {
        put_defaults(binding, row->rows, field);
        return;
    }
    if (row->fallback == NULL || row->kind == OPTION_TEXT_MAP || row->kind == OPTION_MAP ||
        row->kind == OPTION_NODE) {
        return;
    }
    struct bytes text = bytes_from_text(row->fallback);
    if (row->kind != OPTION_TEXTS) {
        bind_scalar(binding, row, field, (struct value){.text = text});
        return;
    }
    struct bytes *items = arena_zalloc(binding->arena, sizeof *items);
    if (items != NULL) {
        items[0] = keep_text(binding, text);
    }
    put_texts(binding, field, items, 1);
}

// A null keeps the default where a default is a sensible reading of "nothing".
static bool null_is_allowed(const struct option *row)
{
    return (row->flags & OPTION_F_NULLABLE) != 0 || row->kind == OPTION_TEXT ||
           row->kind == OPTION_SECRET || row->kind >= OPTION_TEXTS;
}

static void bind_value(const struct binding *binding, const struct option *row, void *field,
                       const struct config_node *node)
{
    // A null may still carry a text for string options: "${env:X}" with X=null, or X empty.
    bool is_text = row->kind == OPTION_TEXT || row->kind == OPTION_SECRET;
    if (config_kind(node) == CONFIG_NULL && row->kind != OPTION_GROUP &&
        !(is_text && node_is_text(node))) {
        if (!null_is_allowed(row)) {
            type_error(binding, row, node);
        }
        return;
    }
    switch (row->kind) {
    case OPTION_TEXTS:
        bind_texts(binding, row, field, node);
        return;
    case OPTION_TEXT_MAP:
        bind_text_map(binding, row, field, node);
        return;
    case OPTION_GROUP:
        bind_group(binding, row, field, node);
        return;
    case OPTION_MAP:
        bind_map(binding, row, field, node);
        return;
    case OPTION_NODE:
        memcpy(field, &node, sizeof(const struct config_node *));
        return;
    default:
        break;
    }
    if (config_kind(node) != CONFIG_SCALAR && !(is_text && node_is_text(node))) {
        type_error(binding, row, node);
        return;
    }
    bind_scalar(binding, row, field,
                (struct value){node, config_text(node), config_is_quoted(node)});
}

static const struct option *find_row(const struct option *rows, struct bytes key)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        if (key.len > 0 && bytes_equal_text(key, row->key)) {
            return row;
        }
    }
    return NULL;
}

// Edits between two words (Levenshtein), for words of at most 63 bytes.
static unsigned distance(struct bytes a, const char *b)
{
    unsigned row[64];
    size_t b_len = strlen(b);
    if (a.len > 63 || b_len > 63) {
        return 64;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned change = diagonal + (a.ptr[i - 1] != (uint8_t)b[j - 1]);
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return row[b_len];
}

static void unknown_key(const struct binding *binding, const struct option *rows, struct bytes key,
                        const char *where)
{
    const char *nearest = NULL;
    unsigned best = key.len < 4 ? 2 : 3;  // at most one edit in a short word, two in others
    for (const struct option *row = rows; row->key != NULL; row++) {
        unsigned edits = row->key[0] != '\0' ? distance(key, row->key) : 64;
        if (edits < best) {
            best = edits;
            nearest = row->key;
        }
    }
    // As the Collector does: a nested map is named inside its parent, a component's own map is ''.
    struct bytes path = bytes_from_text(binding->path);
    struct bytes last = BYTES_NONE;
    for (size_t at = binding->root_len; at < path.len; at++) {
        if (bytes_start_with(bytes_slice(path, at, 2), BYTES_LITERAL("::"))) {
            last = bytes_slice(path, at + 2, path.len);
        }
    }
    size_t below = last.len > 0 && path.len > last.len + 2 ? last.len + 2 : last.len;
    char at_path[PATH_LEN_MAX];
    snprintf(at_path, sizeof at_path, "%.*s", BYTES_PRINTF(bytes_slice(path, 0, path.len - below)));
    error_at(binding->errors, at_path, where, "'%.*s' has invalid keys: %.*s%s%s%s",
             BYTES_PRINTF(last), BYTES_PRINTF(bytes_slice(key, 0, 100)),
             nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
             nearest != NULL ? "'?" : "");
}

static void bind_row(const struct binding *binding, const struct option *row,
                     const struct config_node *node, void *target)
{
    void *field = (char *)target + row->offset;
    if ((row->flags & OPTION_F_IGNORED) != 0) {
        option_warning(binding->errors, binding->path, node, "'%s' has no effect here", row->key);
        return;
    }
    if ((row->flags & OPTION_F_DEPRECATED) != 0) {
        option_warning(binding->errors, binding->path, node, "'%s' is deprecated: %s", row->key,
                       row->doc != NULL ? row->doc : "");
    }
    if (row->present_offset != 0 && row->present_offset != OPTION_NO_PRESENT) {
        *((bool *)((char *)target + row->present_offset)) = true;
    }
    bind_value(binding, row, field, node);
}

static bool row_is_missing(const struct option *row, const struct config_node *node)
{
    return node == NULL || (config_kind(node) == CONFIG_NULL && !node_is_text(node) &&
                            row->kind != OPTION_GROUP && row->kind != OPTION_NODE);
}

static void bind_rows(const struct binding *binding, const struct option *rows,
                      const struct config_node *node, void *target)
{
    put_defaults(binding, rows, target);
    for (const struct option *row = rows; row->key != NULL; row++) {
        const struct config_node *value = row->key[0] != '\0' ? config_get(node, row->key) : NULL;
        if ((row->flags & OPTION_F_REQUIRED) != 0 && row_is_missing(row, value)) {
            error_at(binding->errors, binding->path, config_where(value != NULL ? value : node),
                     "'%s' must be set", row->key);
        } else if (value != NULL) {
            bind_row(binding, row, value, target);
        }
    }
    for (size_t i = 0; config_kind(node) == CONFIG_MAP && i < config_count(node); i++) {
        struct bytes key;
        config_member(node, i, &key);
        if (find_row(rows, key) == NULL) {
            unknown_key(binding, rows, key, config_key_where(node, i));
        }
    }
}

void option_bind(const struct option *rows, const struct config_node *node, const char *path,
                 void *target, size_t size, struct arena *arena, struct option_errors *errors)
{
    memset(target, 0, size);
    struct binding binding = {
        .path = path, .root_len = strlen(path), .arena = arena, .errors = errors};
    if (config_kind(node) != CONFIG_MAP && config_kind(node) != CONFIG_NULL) {
        error_at(errors, path, config_where(node), "'' expected a map, got '%s'",
                 config_kind(node) == CONFIG_LIST ? "slice" : "string");
        node = NULL;
    }
    bind_rows(&binding, rows, node, target);
}
