// SPDX-License-Identifier: Apache-2.0
//
// include and exclude. Each is compiled into a list of tests (what of the item, against what), in
// order of what they cost, and an item is in when all hold. A text is compared or searched by the
// one match_type of its block. Values of attributes that are not text are compared by type and
// value, as written in the file; match_type regexp takes text only, and searches numbers and bools
// by how they are written.
//
// Refused: OTTL conditions. Bounds: 100 entries of a list; a search that hits the limits of
// patterns does not match. Scratch memory for patterns is made for each question that needs one.
#include "processor/item_selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/attribute.h"

#define SELECTION_ARENA_MAX ((size_t)4 << 20)
#define SEVERITY_MAX 24

struct matcher {              // a text, or a pattern
    struct bytes text;        // NUL-terminated behind
    struct pattern *pattern;  // NULL: compared
    bool is_any;              // whatever stands there
    enum any_kind kind;       // of attributes that are not text
    int64_t number;
    double real;
};

struct matchers {  // any of them
    struct matcher *items;
    size_t count;
};

struct pair {  // attribute or library
    struct bytes key;
    struct matcher name;   // of a library, in place of the key
    struct matcher value;  // or its version
};

struct pairs {
    struct pair *items;
    size_t count;
};

struct block {
    bool is_given, is_regexp;
    struct matchers services, span_names, span_kinds, log_bodies, log_severity_texts;
    struct pairs attributes, resources, libraries;
    unsigned severity_min;  // 0: not asked for
    bool severity_undefined;
};

struct item_selection {
    struct arena memory;
    struct block include, exclude;
};

#define AT(member) offsetof(struct item_selection_config, member)
const struct option item_selection_options[] = {
    {.key = "match_type",
     .kind = OPTION_TEXT,
     .offset = AT(match_type),
     .doc = "strict or regexp (unanchored); must be set."},
    {.key = "services",
     .kind = OPTION_TEXTS,
     .offset = AT(services),
     .doc = "service.name is one of these."},
    {.key = "span_names",
     .kind = OPTION_TEXTS,
     .offset = AT(span_names),
     .doc = "The span's name is one of these."},
    {.key = "span_kinds",
     .kind = OPTION_TEXTS,
     .offset = AT(span_kinds),
     .doc = "SPAN_KIND_INTERNAL, _SERVER, _CLIENT, _PRODUCER or _CONSUMER."},
    {.key = "attributes",
     .kind = OPTION_NODE,
     .offset = AT(attributes),
     .doc = "List of {key, value}: all are there, with that value where one is given."},
    {.key = "resources",
     .kind = OPTION_NODE,
     .offset = AT(resources),
     .doc = "The same of the Resource's attributes."},
    {.key = "libraries",
     .kind = OPTION_NODE,
     .offset = AT(libraries),
     .doc = "List of {name, version}: the instrumentation scope is one of these."},
    {.key = "log_bodies",
     .kind = OPTION_TEXTS,
     .offset = AT(log_bodies),
     .doc = "The record's body is text and one of these."},
    {.key = "log_severity_texts",
     .kind = OPTION_TEXTS,
     .offset = AT(log_severity_texts),
     .doc = "The record's severity text is one of these."},
    {.key = "log_severity_number",
     .kind = OPTION_NODE,
     .offset = AT(log_severity_number),
     .doc = "{min, match_undefined}: severity INFO, WARN2 ... or its number, and above."},
    {.key = "metric_names",
     .kind = OPTION_TEXTS,
     .offset = AT(metric_names),
     .doc = "Refused: attributes of metrics are not edited."},
    {.key = "regexp",
     .kind = OPTION_NODE,
     .offset = AT(regexp),
     .flags = OPTION_F_IGNORED,
     .doc = "A cache of matches is not kept."},
    {0},
};
#undef AT

// --- reading ---

struct maker {
    struct item_selection *selection;
    struct block *block;
    const struct config_node *node;
    char path[256];
    struct option_errors *errors;
};

static void matcher_make(struct maker *maker, const char *key, struct bytes text,
                         struct matcher *matcher)
{
    char why[256];
    matcher->kind = ANY_KIND_STRING;
    matcher->text = arena_copy(&maker->selection->memory, text);
    CHECK(matcher->text.ptr != NULL);
    if (maker->block->is_regexp &&
        pattern_compile((const char *)matcher->text.ptr, &matcher->pattern, why, sizeof why) !=
            RESULT_OK) {
        option_error(maker->errors, maker->path, maker->node, "'%s': %s", key, why);
    }
}

static void matchers_make(struct maker *maker, const char *key, const struct option_texts *texts,
                          struct matchers *matchers)
{
    if (texts->count == 0) {
        return;
    }
    matchers->items =
        arena_zalloc(&maker->selection->memory, texts->count * sizeof *matchers->items);
    CHECK(matchers->items != NULL);
    matchers->count = texts->count;
    for (size_t i = 0; i < texts->count; i++) {
        matcher_make(maker, key, texts->items[i], &matchers->items[i]);
    }
}

// The value of an attribute, by its YAML type.
static void value_make(struct maker *maker, const char *key, const struct config_node *node,
                       struct matcher *matcher)
{
    struct bytes text = config_text(node);
    bool plain = !config_is_quoted(node) && !maker->block->is_regexp;
    if (node == NULL || (config_kind(node) == CONFIG_NULL && !config_has_text(node))) {
        matcher->is_any = true;
    } else if (config_kind(node) != CONFIG_SCALAR && !config_has_text(node)) {
        option_error(maker->errors, maker->path, node,
                     "'%s': a value must be a string, a number or a bool", key);
    } else if (plain && bytes_to_i64(text, &matcher->number)) {
        matcher->kind = ANY_KIND_INT;
    } else if (plain && bytes_to_double(text, &matcher->real)) {
        matcher->kind = ANY_KIND_DOUBLE;
    } else if (plain && (bytes_equal_text(text, "true") || bytes_equal_text(text, "false"))) {
        matcher->kind = ANY_KIND_BOOL;
        matcher->number = bytes_equal_text(text, "true");
    } else {
        matcher_make(maker, key, text, matcher);
    }
}

// Lists of {key, value} or, of libraries, {name, version}.
static void pairs_make(struct maker *maker, const struct item_selection_config *config,
                       const char *key, const struct config_node *list, struct pairs *pairs)
{
    const char *first = list == config->libraries ? "name" : "key";
    const char *second = list == config->libraries ? "version" : "value";
    size_t count = config_count(list);
    if (list == NULL || (config_kind(list) == CONFIG_NULL)) {
        return;
    }
    if (config_kind(list) != CONFIG_LIST || count > 100) {
        option_error(maker->errors, maker->path, list, "'%s' must be a list of at most 100 maps",
                     key);
        return;
    }
    pairs->items = arena_zalloc(&maker->selection->memory, (count + 1) * sizeof *pairs->items);
    CHECK(pairs->items != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct config_node *entry = config_at(list, i);
        struct bytes name = config_text(config_get(entry, first));
        bool is_known = config_count(entry) == (config_get(entry, second) != NULL ? 2 : 1);
        if (name.len == 0 || !is_known) {
            option_error(maker->errors, maker->path, entry, "'%s[%zu]' must be a map {%s, %s}", key,
                         i, first, second);
            continue;
        }
        struct pair *pair = &pairs->items[pairs->count++];
        pair->key = arena_copy(&maker->selection->memory, name);
        CHECK(pair->key.ptr != NULL);
        const struct config_node *value = config_get(entry, second);
        if (list == config->libraries && value != NULL) {
            matcher_make(maker, key, config_text(value), &pair->value);
        } else {
            value_make(maker, key, value, &pair->value);
        }
        if (list == config->libraries) {
            matcher_make(maker, key, name, &pair->name);
        }
    }
}

// "INFO", "WARN3" or 9: 1 to 24; 0: neither.
static unsigned severity_of(struct bytes text)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    uint64_t number = 0;
    if (bytes_to_u64(text, &number)) {
        return number <= SEVERITY_MAX ? (unsigned)number : 0;
    }
    unsigned step = 0;
    if (text.len > 0 && text.ptr[text.len - 1] >= '2' && text.ptr[text.len - 1] <= '4') {
        step = text.ptr[text.len - 1] - (unsigned)'1';
        text.len--;
    }
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_equal_nocase(text, names[i])) {
            return 4 * i + 1 + step;
        }
    }
    return 0;
}

static void severity_make(struct maker *maker, const struct config_node *node)
{
    if (node == NULL) {
        return;
    }
    const struct config_node *undefined = config_get(node, "match_undefined");
    maker->block->severity_min = severity_of(config_text(config_get(node, "min")));
    maker->block->severity_undefined = bytes_equal_text(config_text(undefined), "true");
    if (maker->block->severity_min == 0) {
        option_error(maker->errors, maker->path, node,
                     "'log_severity_number' must be {min: TRACE to FATAL4 or 1 to 24, "
                     "match_undefined}");
    }
}

static void kinds_check(struct maker *maker, const struct option_texts *kinds)
{
    static const char *const names[] = {"SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                        "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER",
                                        "SPAN_KIND_CONSUMER"};
    for (size_t i = 0; !maker->block->is_regexp && i < kinds->count; i++) {
        size_t k = 0;
        while (k < 5 && !bytes_equal_text(kinds->items[i], names[k])) {
            k++;
        }
        if (k == 5) {
            option_error(maker->errors, maker->path, maker->node,
                         "'span_kinds' must be of [SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, "
                         "SPAN_KIND_CLIENT, SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER], got \"%.*s\"",
                         BYTES_PRINTF(kinds->items[i]));
        }
    }
}

static bool block_is_empty(const struct block *block)
{
    size_t count = block->services.count + block->span_names.count + block->span_kinds.count +
                   block->log_bodies.count + block->log_severity_texts.count +
                   block->attributes.count + block->resources.count + block->libraries.count;
    return count == 0 && block->severity_min == 0;
}

static void block_make(struct maker *maker, const struct item_selection_config *config)
{
    struct block *block = maker->block;
    unsigned before = maker->errors->count;
    block->is_given = true;
    block->is_regexp = bytes_equal_text(config->match_type, "regexp");
    if (!block->is_regexp && !bytes_equal_text(config->match_type, "strict")) {
        option_error(maker->errors, maker->path, maker->node,
                     "'match_type' must be one of [strict, regexp], got \"%.*s\"",
                     BYTES_PRINTF(config->match_type));
        return;
    }
    if (config->metric_names.count > 0) {
        option_error(maker->errors, maker->path, maker->node,
                     "'metric_names': attributes of metrics are not edited here");
        return;
    }
    matchers_make(maker, "services", &config->services, &block->services);
    matchers_make(maker, "span_names", &config->span_names, &block->span_names);
    matchers_make(maker, "span_kinds", &config->span_kinds, &block->span_kinds);
    matchers_make(maker, "log_bodies", &config->log_bodies, &block->log_bodies);
    matchers_make(maker, "log_severity_texts", &config->log_severity_texts,
                  &block->log_severity_texts);
    pairs_make(maker, config, "attributes", config->attributes, &block->attributes);
    pairs_make(maker, config, "resources", config->resources, &block->resources);
    pairs_make(maker, config, "libraries", config->libraries, &block->libraries);
    severity_make(maker, config->log_severity_number);
    kinds_check(maker, &config->span_kinds);
    if (maker->errors->count == before && block_is_empty(block)) {
        option_error(maker->errors, maker->path, maker->node,
                     "at least one of 'services', 'span_names', 'span_kinds', 'attributes', "
                     "'resources', 'libraries', 'log_bodies', 'log_severity_texts' or "
                     "'log_severity_number' must be set");
    }
}

struct item_selection *item_selection_new(const struct item_selection_config *include,
                                          const struct item_selection_config *exclude,
                                          const struct config_node *node, const char *path,
                                          struct option_errors *errors)
{
    struct item_selection *selection = calloc(1, sizeof *selection);
    CHECK(selection != NULL);
    arena_init(&selection->memory, SELECTION_ARENA_MAX);
    unsigned before = errors->count;
    struct maker maker = {.selection = selection, .errors = errors};
    if (include->is_given) {
        maker.block = &selection->include;
        maker.node = config_get(node, "include");
        snprintf(maker.path, sizeof maker.path, "%s::include", path);
        block_make(&maker, include);
    }
    if (exclude->is_given) {
        maker.block = &selection->exclude;
        maker.node = config_get(node, "exclude");
        snprintf(maker.path, sizeof maker.path, "%s::exclude", path);
        block_make(&maker, exclude);
    }
    if (errors->count > before) {
        item_selection_free(&selection);
    }
    return selection;
}

static void matchers_free(struct matchers *matchers)
{
    for (size_t i = 0; i < matchers->count; i++) {
        pattern_free(&matchers->items[i].pattern);
    }
}

static void pairs_free(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        pattern_free(&pairs->items[i].name.pattern);
        pattern_free(&pairs->items[i].value.pattern);
    }
}

static void block_free(struct block *block)
{
    matchers_free(&block->services);
    matchers_free(&block->span_names);
    matchers_free(&block->span_kinds);
    matchers_free(&block->log_bodies);
    matchers_free(&block->log_severity_texts);
    pairs_free(&block->attributes);
    pairs_free(&block->resources);
    pairs_free(&block->libraries);
}

void item_selection_free(struct item_selection **selection)
{
    if (*selection != NULL) {
        block_free(&(*selection)->include);
        block_free(&(*selection)->exclude);
        arena_fini(&(*selection)->memory);
        free(*selection);
        *selection = NULL;
    }
}

// --- asking ---

struct question {
    const struct item_view *view;
    struct pattern_scratch *scratch;  // made when it is needed
};

static bool text_matches(struct question *question, const struct matcher *matcher,
                         struct bytes text)
{
    struct pattern_match match;
    if (matcher->pattern == NULL) {
        return bytes_equal(matcher->text, text);
    }
    if (question->scratch == NULL) {
        question->scratch = pattern_scratch_new();
    }
    return pattern_find(matcher->pattern, question->scratch, text, 0, &match) == RESULT_OK;
}

static bool any_text_matches(struct question *question, const struct matchers *matchers,
                             struct bytes text)
{
    for (size_t i = 0; i < matchers->count; i++) {
        if (text_matches(question, &matchers->items[i], text)) {
            return true;
        }
    }
    return matchers->count == 0;
}

static bool value_matches(struct question *question, const struct matcher *matcher,
                          const struct any_view *value)
{
    if (matcher->is_any) {
        return true;
    }
    if (matcher->pattern != NULL && value->kind >= ANY_KIND_BOOL &&
        value->kind <= ANY_KIND_DOUBLE) {
        struct buffer text;
        buffer_init(&text, 64);
        any_write_json(value, &text);
        bool matches = text_matches(question, matcher, buffer_view(&text));
        buffer_fini(&text);
        return matches;
    }
    if (matcher->kind != value->kind) {
        return false;
    }
    switch (matcher->kind) {
    case ANY_KIND_INT:
    case ANY_KIND_BOOL:
        return matcher->number == value->number;
    case ANY_KIND_DOUBLE:
        return memcmp(&matcher->real, &value->real, sizeof value->real) == 0;
    default:
        return text_matches(question, matcher, value->bytes);
    }
}

static bool pairs_match(struct question *question, const struct pairs *pairs, struct bytes fields,
                        uint32_t number)
{
    for (size_t i = 0; i < pairs->count; i++) {
        struct any_view value;
        if (!attribute_find(fields, number, (const char *)pairs->items[i].key.ptr, &value) ||
            !value_matches(question, &pairs->items[i].value, &value)) {
            return false;
        }
    }
    return true;
}

// A library's name is compared as its block says, its version where one is given.
static bool library_matches(struct question *question, const struct pairs *libraries)
{
    struct bytes name = BYTES_NONE, version = BYTES_NONE;
    (void)wire_find(question->view->scope, SCOPE_NAME, &name);
    (void)wire_find(question->view->scope, SCOPE_VERSION, &version);
    for (size_t i = 0; i < libraries->count; i++) {
        const struct pair *library = &libraries->items[i];
        if (text_matches(question, &library->name, name) &&
            (library->value.is_any || text_matches(question, &library->value, version))) {
            return true;
        }
    }
    return libraries->count == 0;
}

static bool kind_matches(struct question *question, const struct matchers *kinds)
{
    static const char *const names[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
                                        "SPAN_KIND_SERVER",      "SPAN_KIND_CLIENT",
                                        "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};
    uint32_t kind = question->view->kind;
    return any_text_matches(question, kinds, bytes_from_text(kind < 6 ? names[kind] : names[0]));
}

static bool span_matches(struct question *question, const struct block *block)
{
    if (block->log_bodies.count + block->log_severity_texts.count > 0 || block->severity_min > 0) {
        return false;
    }
    return any_text_matches(question, &block->span_names, question->view->name) &&
           (block->span_kinds.count == 0 || kind_matches(question, &block->span_kinds));
}

static bool record_matches(struct question *question, const struct block *block)
{
    const struct item_view *view = question->view;
    if (block->span_names.count + block->span_kinds.count > 0) {
        return false;
    }
    struct any_view body = any_decode(view->events);
    struct bytes severity = BYTES_NONE;
    (void)wire_find(view->item, LOG_SEVERITY_TEXT, &severity);
    if (block->severity_min > 0 &&
        (view->kind == 0 ? !block->severity_undefined : view->kind < block->severity_min)) {
        return false;
    }
    return any_text_matches(question, &block->log_severity_texts, severity) &&
           (block->log_bodies.count == 0 ||
            (body.kind == ANY_KIND_STRING &&
             any_text_matches(question, &block->log_bodies, body.bytes)));
}

static bool service_matches(struct question *question, const struct block *block)
{
    struct any_view name;
    return block->services.count == 0 ||
           (attribute_find(question->view->resource, RES_ATTRIBUTES, "service.name", &name) &&
            name.kind == ANY_KIND_STRING &&
            any_text_matches(question, &block->services, name.bytes));
}

static bool block_matches(struct question *question, const struct block *block)
{
    const struct item_view *view = question->view;
    bool is_span = view->signal == SIGNAL_TRACES;
    uint32_t number = is_span ? SPAN_ATTRIBUTES : LOG_ATTRIBUTES;
    return (is_span ? span_matches(question, block) : record_matches(question, block)) &&
           library_matches(question, &block->libraries) && service_matches(question, block) &&
           pairs_match(question, &block->attributes, view->attributes, number) &&
           pairs_match(question, &block->resources, view->resource, RES_ATTRIBUTES);
}

bool item_selection_has(const struct item_selection *selection, const struct item_view *view)
{
    struct question question = {.view = view};
    bool has = (!selection->include.is_given || block_matches(&question, &selection->include)) &&
               (!selection->exclude.is_given || !block_matches(&question, &selection->exclude));
    pattern_scratch_free(question.scratch);
    return has;
}
