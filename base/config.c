// SPDX-License-Identifier: Apache-2.0
//
// Reading the configuration: YAML text becomes the tree of config_node.h, sources are merged in
// order, sets come last, variables are expanded once over the merged whole (config_expand.c).
//
// libfyaml delivers events; the tree is built here. Its documents were refused: resolving aliases
// copies without a bound (a few hundred bytes fill any memory), and looking for duplicate keys
// takes minutes for a list of keys that fits into the limits. Here an alias copies under
// CONFIG_NODES_MAX, and each error has a place. Scalars stay text; option.c gives them types.
//
// Bounds: config_node.h. Start and reload only, one thread.
#include "base/config.h"

#include <stdlib.h>
#include <string.h>

#include <libfyaml.h>

#include "base/check.h"
#include "base/config_expand.h"
#include "base/config_node.h"
#include "base/config_source.h"
#include "base/utf8.h"

struct anchor {
    struct bytes name;
    const struct config_node *node;
};

// Where a node stands: inside a map or list of this depth, whose entries begin in this column.
struct level {
    unsigned depth;
    int column;  // from 0; -1 outside of all
};

struct yaml_reader {
    struct config *config;
    const char *source;
    struct bytes text;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct anchor anchors[CONFIG_ALIASES_MAX];
    size_t anchor_count, alias_count;
    enum result result;  // of the first failure
};

static const char *place_of(struct yaml_reader *reader, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark == NULL) {
        return config_node_place(reader->config, reader->source, 0, 0);
    }
    // Marks of quoted scalars and of aliases stand behind the quote and the asterisk.
    struct fy_token *scalar = event->type == FYET_SCALAR ? event->scalar.value : NULL;
    enum fy_scalar_style style = scalar != NULL ? fy_token_scalar_style(scalar) : FYSS_PLAIN;
    bool behind =
        event->type == FYET_ALIAS || style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    int column = mark->column + (behind && mark->column > 0 ? 0 : 1);
    return config_node_place(reader->config, reader->source, mark->line + 1, column);
}

static void *fail(struct yaml_reader *reader, const char *where, enum result result,
                  const char *what)
{
    if (reader->result == RESULT_OK) {
        reader->result = config_fail(reader->config, where, result, "%s", what);
    }
    return NULL;
}

static struct bytes text_of(struct fy_token *token)
{
    size_t len = 0;
    const char *text = token != NULL ? fy_token_get_text(token, &len) : NULL;
    return text != NULL ? bytes_from(text, len) : BYTES_LITERAL("");
}

// The next event; NULL after an error, which libfyaml has written into the reader's diagnostics.
static struct fy_event *next_event(struct yaml_reader *reader)
{
    struct fy_event *event = fy_parser_parse(reader->parser);
    if (event != NULL || reader->result != RESULT_OK) {
        return event;
    }
    void *cursor = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(reader->diag, &cursor);
    if (error == NULL) {
        return fail(reader, reader->source, RESULT_REJECT, "the text is not YAML");
    }
    const char *where =
        config_node_place(reader->config, reader->source, error->line, error->column);
    return fail(reader, where, RESULT_REJECT, error->msg);
}

static bool keep_anchor(struct yaml_reader *reader, struct bytes name,
                        const struct config_node *node)
{
    struct anchor *anchor = NULL;
    for (size_t i = 0; i < reader->anchor_count && anchor == NULL; i++) {
        anchor = bytes_equal(reader->anchors[i].name, name) ? &reader->anchors[i] : NULL;
    }
    if (anchor == NULL && reader->anchor_count < CONFIG_ALIASES_MAX) {
        anchor = &reader->anchors[reader->anchor_count++];
    }
    if (anchor == NULL) {
        return false;
    }
    anchor->name = name;
    anchor->node = node;
    return true;
}

static struct config_node *read_alias(struct yaml_reader *reader, struct fy_event *event)
{
    const char *where = place_of(reader, event);
    struct bytes name = text_of(event->alias.anchor);
    if (++reader->alias_count > CONFIG_ALIASES_MAX) {
        return fail(reader, where, RESULT_TOO_LARGE, "more than 100 aliases");
    }
    for (size_t i = 0; i < reader->anchor_count; i++) {
        if (bytes_equal(reader->anchors[i].name, name)) {
            struct config_node *copy = config_node_copy(reader->config, reader->anchors[i].node);
            return copy != NULL ? copy
                                : fail(reader, where, RESULT_TOO_LARGE,
                                       "aliases multiply beyond 50000 nodes");
        }
    }
    return fail(reader, where, RESULT_REJECT, "alias of an unknown anchor");
}

enum tag { TAG_NONE, TAG_TEXT, TAG_OTHER, TAG_UNKNOWN };

// The core schema's tags are harmless; others would promise a meaning that nobody gives them.
static enum tag tag_of(struct fy_event *event)
{
    static const char *const others[] = {"int", "float", "bool", "null", "map", "seq", NULL};
    struct fy_token *token = fy_event_get_tag_token(event);
    if (token == NULL) {
        return TAG_NONE;
    }
    size_t handle_len = 0;
    size_t suffix_len = 0;
    const char *handle = fy_tag_token_handle(token, &handle_len);
    const char *suffix = fy_tag_token_suffix(token, &suffix_len);
    struct bytes name = bytes_from(suffix, suffix_len);
    if (!bytes_equal_text(bytes_from(handle, handle_len), "!!")) {
        return TAG_UNKNOWN;
    }
    for (size_t i = 0; others[i] != NULL; i++) {
        if (bytes_equal_text(name, others[i])) {
            return TAG_OTHER;
        }
    }
    return bytes_equal_text(name, "str") ? TAG_TEXT : TAG_UNKNOWN;
}

// libfyaml takes block text that is not indented deeper than its map or list, and then may return
// more bytes than it wrote.
static bool block_is_indented(const struct yaml_reader *reader, struct fy_event *event,
                              struct level level)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    size_t column = 0;
    for (size_t at = mark != NULL ? mark->input_pos : SIZE_MAX; at < reader->text.len; at++) {
        uint8_t byte = reader->text.ptr[at];
        if (byte != ' ' && byte != '\n' && byte != '\r') {
            return (int)column > level.column;
        }
        column = byte == ' ' ? column + 1 : 0;
    }
    return true;
}

static struct config_node *read_scalar(struct yaml_reader *reader, struct fy_event *event,
                                       struct level level)
{
    struct fy_token *token = event->scalar.value;
    enum fy_scalar_style style = token != NULL ? fy_token_scalar_style(token) : FYSS_PLAIN;
    bool forced = tag_of(event) == TAG_TEXT;
    const char *where = place_of(reader, event);
    bool is_block = style == FYSS_LITERAL || style == FYSS_FOLDED;
    if (is_block && !block_is_indented(reader, event, level)) {
        return fail(reader, where, RESULT_REJECT, "block text must be indented deeper");
    }
    struct bytes text = text_of(token);
    if (!utf8_is_valid(text) || (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)) {
        return fail(reader, where, RESULT_REJECT, "a value has a NUL or is not UTF-8");
    }
    struct config_node *node =
        config_node_scalar(reader->config, text, style != FYSS_PLAIN || forced, where);
    return node != NULL ? node : fail(reader, where, RESULT_TOO_LARGE, "too many or large values");
}

static struct config_node *read_node(struct yaml_reader *reader, struct fy_event *event,
                                     struct level level);

static struct config_node *read_list(struct yaml_reader *reader, struct config_node *list,
                                     struct level level)
{
    for (;;) {
        struct fy_event *event = next_event(reader);
        if (event == NULL || event->type == FYET_SEQUENCE_END) {
            fy_parser_event_free(reader->parser, event);
            return event != NULL ? list : NULL;
        }
        struct config_node *value = read_node(reader, event, level);
        if (value == NULL) {
            return NULL;
        }
        if (config_node_add(reader->config, list, BYTES_NONE, value->where, value) != RESULT_OK) {
            return fail(reader, value->where, RESULT_TOO_LARGE, "the list is too long");
        }
    }
}

// "<<": members of the merged maps that the map itself does not have (YAML 1.1 merge key).
static bool apply_merge_key(struct yaml_reader *reader, struct config_node *map,
                            struct config_node *from)
{
    if (from->kind == CONFIG_LIST) {
        for (size_t i = 0; i < from->count; i++) {
            if (from->members[i].value->kind != CONFIG_MAP ||
                !apply_merge_key(reader, map, from->members[i].value)) {
                return false;
            }
        }
        return true;
    }
    for (size_t i = 0; i < from->count; i++) {
        struct config_member *member = &from->members[i];
        enum result result =
            config_node_add(reader->config, map, member->key, member->where, member->value);
        if (result != RESULT_OK && result != RESULT_REJECT) {  // REJECT: the map has its own
            return false;
        }
    }
    return from->kind == CONFIG_MAP;
}

static bool add_member(struct yaml_reader *reader, struct config_node *map, struct bytes key,
                       const char *where, struct config_node *value)
{
    switch (config_node_add(reader->config, map, key, where, value)) {
    case RESULT_OK:
        return true;
    case RESULT_REJECT:
        return fail(reader, where, RESULT_REJECT, "duplicate key") != NULL;
    default:
        return fail(reader, where, RESULT_TOO_LARGE, "too many keys") != NULL;
    }
}

// One key and its value; false at the end of the map or after an error.
static bool read_member(struct yaml_reader *reader, struct config_node *map,
                        struct config_node **merged, struct level level)
{
    struct fy_event *event = next_event(reader);
    if (event == NULL || event->type == FYET_MAPPING_END) {
        fy_parser_event_free(reader->parser, event);
        return false;
    }
    bool is_scalar = event->type == FYET_SCALAR;
    struct config_node *key = read_node(reader, event, level);
    if (key == NULL) {
        return false;
    }
    if (!is_scalar) {
        return fail(reader, key->where, RESULT_REJECT, "a key must be a plain word") != NULL;
    }
    event = next_event(reader);
    struct config_node *value = event != NULL ? read_node(reader, event, level) : NULL;
    if (value == NULL) {
        return false;
    }
    if (value->kind == CONFIG_NULL && !value->quoted && value->text.len == 0) {
        value->where = key->where;  // nothing was written: the key is the place to show
    }
    if (!key->quoted && bytes_equal_text(key->text, "<<") && *merged == NULL) {
        *merged = value;
        return true;
    }
    return add_member(reader, map, key->text, key->where, value);
}

static struct config_node *read_map(struct yaml_reader *reader, struct config_node *map,
                                    struct level level)
{
    struct config_node *merged = NULL;
    while (read_member(reader, map, &merged, level)) {
    }
    if (reader->result == RESULT_OK && merged != NULL && !apply_merge_key(reader, map, merged)) {
        return fail(reader, merged->where, RESULT_REJECT, "\"<<\" takes a map or a list of maps");
    }
    return reader->result == RESULT_OK ? map : NULL;
}

// Frees the event.
static struct config_node *read_node(struct yaml_reader *reader, struct fy_event *event,
                                     struct level level)
{
    const char *where = place_of(reader, event);
    enum tag tag = tag_of(event);
    struct bytes anchor = text_of(fy_event_get_anchor_token(event));
    enum fy_event_type type = event->type;
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct level inner = {.depth = level.depth + 1, .column = mark != NULL ? mark->column : -1};
    struct config_node *node = NULL;
    if (anchor.len > 0 && type != FYET_ALIAS) {
        anchor = arena_copy(&reader->config->arena, anchor);
    }
    if (tag == TAG_UNKNOWN) {
        fail(reader, where, RESULT_REJECT, "unknown tag");
    } else if (level.depth > CONFIG_DEPTH_MAX) {
        fail(reader, where, RESULT_TOO_LARGE, "deeper than 64 levels");
    } else if (type == FYET_ALIAS) {
        node = read_alias(reader, event);
    } else if (type == FYET_SCALAR) {
        node = read_scalar(reader, event, level);
    } else {
        CHECK(type == FYET_MAPPING_START || type == FYET_SEQUENCE_START);
        enum config_kind kind = type == FYET_MAPPING_START ? CONFIG_MAP : CONFIG_LIST;
        node = config_node_new(reader->config, kind, where);
        if (node == NULL) {
            fail(reader, where, RESULT_TOO_LARGE, "more than 50000 nodes");
        }
    }
    fy_parser_event_free(reader->parser, event);
    if (node != NULL && type == FYET_MAPPING_START) {
        node = read_map(reader, node, inner);
    } else if (node != NULL && type == FYET_SEQUENCE_START) {
        node = read_list(reader, node, inner);
    }
    if (node != NULL && anchor.len > 0 && type != FYET_ALIAS &&
        !keep_anchor(reader, anchor, node)) {
        return fail(reader, where, RESULT_TOO_LARGE, "more than 100 anchors");
    }
    return node;
}

// The stream's frame around the one document. Leaves `node` NULL when there is no content.
static void read_stream(struct yaml_reader *reader, struct config_node **node)
{
    unsigned documents = 0;
    for (;;) {
        struct fy_event *event = next_event(reader);
        if (event == NULL) {
            return;
        }
        enum fy_event_type type = event->type;
        const char *where = type == FYET_DOCUMENT_START ? place_of(reader, event) : "";
        if (type == FYET_STREAM_START || type == FYET_DOCUMENT_START || type == FYET_DOCUMENT_END ||
            type == FYET_STREAM_END) {
            fy_parser_event_free(reader->parser, event);
        } else {
            *node = read_node(reader, event, (struct level){.depth = 1, .column = -1});
            if (*node == NULL) {
                return;
            }
        }
        if (type == FYET_STREAM_END) {
            return;
        }
        if (type == FYET_DOCUMENT_START && ++documents > 1) {
            fail(reader, where, RESULT_REJECT, "more than one YAML document");
            return;
        }
    }
}

static enum result check_text(struct config *config, const char *source, struct bytes text)
{
    if (text.len > CONFIG_SOURCE_BYTES_MAX) {
        return config_fail(config, source, RESULT_TOO_LARGE, "larger than 1 MiB");
    }
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        return config_fail(config, source, RESULT_REJECT, "the text has a NUL byte");
    }
    if (!utf8_is_valid(text)) {
        return config_fail(config, source, RESULT_REJECT, "the text is not UTF-8");
    }
    return RESULT_OK;
}

enum result config_read_yaml(struct config *config, const char *source, struct bytes text,
                             struct config_node **node)
{
    enum result result = check_text(config, source, text);
    if (result != RESULT_OK) {
        return result;
    }
    struct yaml_reader *reader = calloc(1, sizeof *reader);
    CHECK(reader != NULL);
    *reader = (struct yaml_reader){.config = config, .source = source, .text = text};
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    reader->diag = fy_diag_create(&diag_cfg);
    fy_diag_set_collect_errors(reader->diag, true);
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = reader->diag,
    };
    reader->parser = fy_parser_create(&cfg);
    CHECK(reader->parser != NULL);
    struct config_node *read = NULL;
    const char *bytes = text.ptr != NULL ? (const char *)text.ptr : "";
    if (fy_parser_set_string(reader->parser, bytes, text.len) != 0) {
        fail(reader, source, RESULT_REJECT, "the text cannot be read");
    } else if (text.len > 0) {
        read_stream(reader, &read);
    }
    fy_parser_destroy(reader->parser);
    fy_diag_destroy(reader->diag);
    result = reader->result;
    free(reader);
    if (result == RESULT_OK && read == NULL) {
        const char *where = config_node_place(config, source, 0, 0);
        read = config_node_scalar(config, BYTES_LITERAL(""), false, where);
        result = read != NULL ? RESULT_OK : RESULT_TOO_LARGE;
    }
    if (result == RESULT_OK) {
        *node = read;
    }
    return result;
}

static unsigned depth_of(const struct config_node *node)
{
    unsigned deepest = 0;
    for (size_t i = 0; i < node->count; i++) {
        unsigned depth = depth_of(node->members[i].value);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static enum result merge_source(struct config *config, struct config_node *node)
{
    if (node->kind == CONFIG_NULL) {
        return RESULT_OK;
    }
    if (node->kind != CONFIG_MAP) {
        return config_fail(config, node->where, RESULT_REJECT,
                           "the configuration must be a map of keys");
    }
    struct config_node *merged = config_node_merge(config, config->root, node);
    if (merged == NULL) {
        return config_fail(config, node->where, RESULT_TOO_LARGE, "the configuration is too large");
    }
    config->root = merged;
    return RESULT_OK;
}

static enum result load(struct config *config, const char *const *sources, size_t source_count,
                        const char *const *sets, size_t set_count)
{
    if (source_count == 0) {
        return config_fail(config, "config", RESULT_REJECT,
                           "at least one config flag must be provided");
    }
    if (source_count > CONFIG_SOURCES_MAX || set_count > CONFIG_SOURCES_MAX) {
        return config_fail(config, "config", RESULT_TOO_LARGE, "more than 100 sources");
    }
    enum result result = RESULT_OK;
    for (size_t i = 0; result == RESULT_OK && i < source_count + set_count; i++) {
        struct config_node *node;
        result = i < source_count ? config_source_read(config, sources[i], &node)
                                  : config_source_read_set(config, sets[i - source_count], &node);
        if (result == RESULT_OK) {
            result = merge_source(config, node);
        }
    }
    if (result != RESULT_OK) {
        return result;
    }
    if (config->root == NULL) {
        config->root = config_node_new(config, CONFIG_MAP, "config");
    }
    result = config_expand(config, &config->root);
    if (result == RESULT_OK && depth_of(config->root) > CONFIG_DEPTH_MAX) {
        return config_fail(config, "config", RESULT_TOO_LARGE, "deeper than 64 levels");
    }
    return result;
}

enum result config_load(const char *const *sources, size_t source_count, const char *const *sets,
                        size_t set_count, struct config **config, struct buffer *errors,
                        struct buffer *warnings)
{
    struct config *loaded = calloc(1, sizeof *loaded);
    CHECK(loaded != NULL);
    arena_init(&loaded->arena, CONFIG_ARENA_BYTES_MAX);
    loaded->errors = errors;
    loaded->warnings = warnings;
    enum result result = load(loaded, sources, source_count, sets, set_count);
    loaded->errors = loaded->warnings = NULL;
    if (result != RESULT_OK) {
        config_free(&loaded);
        return result;
    }
    *config = loaded;
    return RESULT_OK;
}

void config_free(struct config **config)
{
    if (*config != NULL) {
        arena_fini(&(*config)->arena);
        free(*config);
        *config = NULL;
    }
}

const struct config_node *config_root(const struct config *config)
{
    return config->root;
}

enum config_kind config_kind(const struct config_node *node)
{
    return node != NULL ? node->kind : CONFIG_NULL;
}

bool config_has_text(const struct config_node *node)
{
    return node != NULL && node->has_text;
}

struct bytes config_text(const struct config_node *node)
{
    return node != NULL && node->has_text ? node->text : BYTES_LITERAL("");
}

bool config_is_quoted(const struct config_node *node)
{
    return node != NULL && node->quoted;
}

size_t config_count(const struct config_node *node)
{
    return node != NULL ? node->count : 0;
}

const struct config_node *config_member(const struct config_node *map, size_t index,
                                        struct bytes *key)
{
    CHECK(map != NULL && index < map->count);
    if (key != NULL) {
        *key = map->members[index].key;
    }
    return map->members[index].value;
}

const char *config_key_where(const struct config_node *map, size_t index)
{
    CHECK(map != NULL && index < map->count);
    return map->members[index].where;
}

const struct config_node *config_at(const struct config_node *list, size_t index)
{
    return list != NULL && index < list->count ? list->members[index].value : NULL;
}

const struct config_node *config_get(const struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP) {
        return NULL;
    }
    const struct config_member *member = config_node_find(map, bytes_from_text(key));
    return member != NULL ? member->value : NULL;
}

const char *config_where(const struct config_node *node)
{
    return node != NULL && node->where != NULL ? node->where : "";
}
