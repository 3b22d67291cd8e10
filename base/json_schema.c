// SPDX-License-Identifier: Apache-2.0
//
// JSON Schema, the part of it that describes replies. A schema is compiled into a tree of rules,
// one per subschema, so that mistakes in it are found at start and checking allocates only the
// scratch memory of patterns. Values to compare with (enum, const) stay in the schema's document.
//
// Keywords are rows of a table: name and the function that compiles it. Refused: references and
// combinations ($ref, oneOf ...), with which checking has no bound on time, and ignoring what is
// not known, as the specification would have it, since an evaluator must not pass what it did not
// look at. Depth is JSON_DEPTH_MAX as in every document. Shared by threads after compiling.
#include "base/json_schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/pattern.h"

#define ARENA_BYTES_MAX ((size_t)16 << 20)
#define PATH_LEN_MAX 256

enum type_bit {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
};

struct property {
    const char *key;  // NUL-terminated
    struct rule *rule;
};

// One subschema. Zeroed: allows everything.
struct rule {
    bool never;                         // the schema `false`
    unsigned types;                     // 0: any
    const struct json_value *choices;   // enum
    const struct json_value *constant;  // const, where has_constant
    bool has_constant;
    struct property *properties;
    size_t property_count;
    const struct json_value *named;  // the object of `properties`
    const struct json_value *required;
    bool is_closed;  // additionalProperties: false
    struct rule *items;
    bool has_minimum, has_maximum;
    double minimum, maximum;
    uint64_t length_min, length_max, items_min, items_max;  // a maximum of 0 and no flag: none
    bool has_length_max, has_items_max;
    struct compiled_pattern *pattern;
};

struct compiled_pattern {
    struct compiled_pattern *next;
    struct pattern *pattern;
    const char *text;
};

struct json_schema {
    struct json_document *document;
    struct arena arena;
    struct rule *root;
    struct compiled_pattern *patterns;
};

// ---- compiling

struct compiler {
    struct json_schema *schema;
    char *why;
    size_t why_len;
    enum result result;
};

static bool fail(struct compiler *compiler, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(struct compiler *compiler, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(compiler->why, compiler->why_len, format, args);
    va_end(args);
    compiler->result = RESULT_REJECT;
    return false;
}

static bool out_of_room(struct compiler *compiler)
{
    fail(compiler, "the schema is too large");
    compiler->result = RESULT_TOO_LARGE;
    return false;
}

static unsigned type_from_name(struct bytes name)
{
    static const struct {
        const char *name;
        unsigned bits;
    } rows[] = {
        {"null", TYPE_NULL},       {"boolean", TYPE_BOOLEAN},
        {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER | TYPE_INTEGER},
        {"string", TYPE_STRING},   {"array", TYPE_ARRAY},
        {"object", TYPE_OBJECT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (bytes_equal_text(name, rows[i].name)) {
            return rows[i].bits;
        }
    }
    return 0;
}

static bool compile_type(struct compiler *compiler, struct rule *rule,
                         const struct json_value *value)
{
    size_t count = json_kind(value) == JSON_ARRAY ? json_count(value) : 1;
    for (size_t i = 0; i < count; i++) {
        const struct json_value *name = json_kind(value) == JSON_ARRAY ? json_at(value, i) : value;
        unsigned bits = type_from_name(json_text(name));
        if (bits == 0) {
            return fail(compiler, "\"type\" names no JSON type");
        }
        rule->types |= bits;
    }
    return count > 0 || fail(compiler, "\"type\" is an empty list");
}

static bool compile_enum(struct compiler *compiler, struct rule *rule,
                         const struct json_value *value)
{
    if (json_kind(value) != JSON_ARRAY || json_count(value) == 0) {
        return fail(compiler, "\"enum\" must be a list with something in it");
    }
    rule->choices = value;
    return true;
}

static bool compile_const(struct compiler *compiler, struct rule *rule,
                          const struct json_value *value)
{
    (void)compiler;
    rule->constant = value;
    rule->has_constant = true;
    return true;
}

static struct rule *compile_rule(struct compiler *compiler, const struct json_value *value);

struct property_visit {
    struct compiler *compiler;
    struct rule *rule;
};

static bool compile_property(void *arg, struct bytes key, const struct json_value *value)
{
    struct property_visit *visit = arg;
    struct property *property = &visit->rule->properties[visit->rule->property_count];
    property->key = (const char *)key.ptr;  // the document keeps it, NUL-terminated
    property->rule = compile_rule(visit->compiler, value);
    visit->rule->property_count++;
    return property->rule != NULL;
}

static bool compile_properties(struct compiler *compiler, struct rule *rule,
                               const struct json_value *value)
{
    if (json_kind(value) != JSON_OBJECT) {
        return fail(compiler, "\"properties\" must be an object");
    }
    rule->properties =
        arena_zalloc(&compiler->schema->arena, (json_count(value) + 1) * sizeof *rule->properties);
    if (rule->properties == NULL) {
        return out_of_room(compiler);
    }
    rule->named = value;
    struct property_visit visit = {.compiler = compiler, .rule = rule};
    json_each(value, compile_property, &visit);
    return compiler->result == RESULT_OK;
}

static bool compile_required(struct compiler *compiler, struct rule *rule,
                             const struct json_value *value)
{
    bool sound = json_kind(value) == JSON_ARRAY;
    for (size_t i = 0; sound && i < json_count(value); i++) {
        sound = json_kind(json_at(value, i)) == JSON_TEXT;
    }
    rule->required = value;
    return sound || fail(compiler, "\"required\" must be a list of strings");
}

static bool compile_additional(struct compiler *compiler, struct rule *rule,
                               const struct json_value *value)
{
    rule->is_closed = !json_bool(value);
    return json_kind(value) == JSON_BOOL ||
           fail(compiler, "\"additionalProperties\" may only be true or false here");
}

static bool compile_items(struct compiler *compiler, struct rule *rule,
                          const struct json_value *value)
{
    rule->items = compile_rule(compiler, value);
    return rule->items != NULL;
}

static bool take_number(struct compiler *compiler, const struct json_value *value,
                        const char *keyword, double *number)
{
    bool sound = json_kind(value) == JSON_INT || json_kind(value) == JSON_DOUBLE;
    *number = json_double(value, 0);
    return sound || fail(compiler, "\"%s\" must be a number", keyword);
}

static bool compile_minimum(struct compiler *compiler, struct rule *rule,
                            const struct json_value *value)
{
    rule->has_minimum = true;
    return take_number(compiler, value, "minimum", &rule->minimum);
}

static bool compile_maximum(struct compiler *compiler, struct rule *rule,
                            const struct json_value *value)
{
    rule->has_maximum = true;
    return take_number(compiler, value, "maximum", &rule->maximum);
}

static bool take_count(struct compiler *compiler, const struct json_value *value,
                       const char *keyword, uint64_t *count)
{
    int64_t number = json_int(value, -1);
    *count = number >= 0 ? (uint64_t)number : 0;
    return number >= 0 || fail(compiler, "\"%s\" must be an integer from 0 up", keyword);
}

static bool compile_min_length(struct compiler *compiler, struct rule *rule,
                               const struct json_value *value)
{
    return take_count(compiler, value, "minLength", &rule->length_min);
}

static bool compile_max_length(struct compiler *compiler, struct rule *rule,
                               const struct json_value *value)
{
    rule->has_length_max = true;
    return take_count(compiler, value, "maxLength", &rule->length_max);
}

static bool compile_min_items(struct compiler *compiler, struct rule *rule,
                              const struct json_value *value)
{
    return take_count(compiler, value, "minItems", &rule->items_min);
}

static bool compile_max_items(struct compiler *compiler, struct rule *rule,
                              const struct json_value *value)
{
    rule->has_items_max = true;
    return take_count(compiler, value, "maxItems", &rule->items_max);
}

static bool compile_pattern(struct compiler *compiler, struct rule *rule,
                            const struct json_value *value)
{
    struct bytes text = json_text(value);
    if (json_kind(value) != JSON_TEXT || memchr(text.ptr, 0, text.len + 1) != text.ptr + text.len) {
        return fail(compiler, "\"pattern\" must be a string");
    }
    struct compiled_pattern *made = arena_zalloc(&compiler->schema->arena, sizeof *made);
    if (made == NULL) {
        return out_of_room(compiler);
    }
    char why[200];
    made->text = (const char *)text.ptr;
    if (pattern_compile(made->text, &made->pattern, why, sizeof why) != RESULT_OK) {
        return fail(compiler, "\"pattern\": %s", why);
    }
    made->next = compiler->schema->patterns;
    compiler->schema->patterns = made;
    rule->pattern = made;
    return true;
}

static bool compile_annotation(struct compiler *compiler, struct rule *rule,
                               const struct json_value *value)
{
    (void)compiler, (void)rule, (void)value;
    return true;
}

static const struct {
    const char *name;
    bool (*compile)(struct compiler *compiler, struct rule *rule, const struct json_value *value);
} keywords[] = {
    {"type", compile_type},
    {"enum", compile_enum},
    {"const", compile_const},
    {"properties", compile_properties},
    {"required", compile_required},
    {"additionalProperties", compile_additional},
    {"items", compile_items},
    {"minimum", compile_minimum},
    {"maximum", compile_maximum},
    {"minLength", compile_min_length},
    {"maxLength", compile_max_length},
    {"minItems", compile_min_items},
    {"maxItems", compile_max_items},
    {"pattern", compile_pattern},
    {"title", compile_annotation},
    {"description", compile_annotation},
    {"$schema", compile_annotation},
    {"$id", compile_annotation},
    {"$comment", compile_annotation},
    {"default", compile_annotation},
    {"examples", compile_annotation},
};

static bool compile_keyword(void *arg, struct bytes key, const struct json_value *value)
{
    struct property_visit *visit = arg;
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (bytes_equal_text(key, keywords[i].name)) {
            return keywords[i].compile(visit->compiler, visit->rule, value);
        }
    }
    return fail(visit->compiler, "the keyword \"%.*s\" is not supported",
                BYTES_PRINTF(bytes_slice(key, 0, 100)));
}

// NULL after a failure.
static struct rule *compile_rule(struct compiler *compiler, const struct json_value *value)
{
    struct rule *rule = arena_zalloc(&compiler->schema->arena, sizeof *rule);
    if (rule == NULL) {
        out_of_room(compiler);
        return NULL;
    }
    if (json_kind(value) == JSON_BOOL) {
        rule->never = !json_bool(value);
        return rule;
    }
    if (json_kind(value) != JSON_OBJECT) {
        fail(compiler, "a schema must be an object, true or false");
        return NULL;
    }
    struct property_visit visit = {.compiler = compiler, .rule = rule};
    json_each(value, compile_keyword, &visit);
    return compiler->result == RESULT_OK ? rule : NULL;
}

enum result json_schema_compile(struct bytes text, struct json_schema **schema, char *why,
                                size_t why_len)
{
    const char *sentence = "";
    struct json_document *document = NULL;
    enum result result = json_parse(text, &document, &sentence);
    if (result != RESULT_OK) {
        snprintf(why, why_len, "%s", sentence);
        return result;
    }
    struct json_schema *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->document = document;
    arena_init(&made->arena, ARENA_BYTES_MAX);
    struct compiler compiler = {.schema = made, .why = why, .why_len = why_len};
    made->root = compile_rule(&compiler, json_root(document));
    if (made->root == NULL) {
        json_schema_free(&made);
        return compiler.result;
    }
    *schema = made;
    return RESULT_OK;
}

void json_schema_free(struct json_schema **schema)
{
    struct json_schema *old = *schema;
    if (old == NULL) {
        return;
    }
    for (struct compiled_pattern *at = old->patterns; at != NULL; at = at->next) {
        pattern_free(&at->pattern);
    }
    arena_fini(&old->arena);
    json_free(&old->document);
    free(old);
    *schema = NULL;
}

// ---- checking

struct checker {
    char path[PATH_LEN_MAX];
    size_t path_len;
    char *why;
    size_t why_len;
    struct pattern_scratch *scratch;  // NULL: the schema has no patterns
};

static bool differs(struct checker *checker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool differs(struct checker *checker, const char *format, ...)
{
    char reason[160];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    snprintf(checker->why, checker->why_len, "$%s: %s", checker->path, reason);
    return false;
}

// Appends to the path; what does not fit is cut. Answers the length to go back to.
static size_t path_push(struct checker *checker, const char *key, size_t index)
{
    size_t before = checker->path_len;
    size_t room = PATH_LEN_MAX - before;
    char *at = checker->path + before;
    int len = key != NULL ? snprintf(at, room, ".%s", key) : snprintf(at, room, "[%zu]", index);
    checker->path_len += (size_t)len < room ? (size_t)len : room - 1;
    return before;
}

static void path_pop(struct checker *checker, size_t before)
{
    checker->path_len = before;
    checker->path[before] = '\0';
}

static unsigned type_of(const struct json_value *value)
{
    switch (json_kind(value)) {
    case JSON_BOOL:
        return TYPE_BOOLEAN;
    case JSON_INT:
        return TYPE_INTEGER | TYPE_NUMBER;
    case JSON_DOUBLE: {
        double number = json_double(value, 0);
        // 1.0 is an integer too (validation, 6.1.1).
        bool is_whole = isfinite(number) && !islessgreater(number, trunc(number));
        return TYPE_NUMBER | (is_whole ? (unsigned)TYPE_INTEGER : 0u);
    }
    case JSON_TEXT:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    default:
        return TYPE_NULL;
    }
}

static bool is_one_of(const struct json_value *choices, const struct json_value *value)
{
    for (size_t i = 0; i < json_count(choices); i++) {
        if (json_equal(json_at(choices, i), value)) {
            return true;
        }
    }
    return false;
}

static bool check_number(struct checker *checker, const struct rule *rule,
                         const struct json_value *value)
{
    double number = json_double(value, 0);
    if (rule->has_minimum && !(number >= rule->minimum)) {
        return differs(checker, "less than the minimum %.15g", rule->minimum);
    }
    if (rule->has_maximum && !(number <= rule->maximum)) {
        return differs(checker, "more than the maximum %.15g", rule->maximum);
    }
    return true;
}

// Length is in characters (validation, 6.3), which are bytes that continue none.
static uint64_t count_characters(struct bytes text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += (text.ptr[i] & 0xc0) != 0x80;
    }
    return count;
}

static bool check_text(struct checker *checker, const struct rule *rule,
                       const struct json_value *value)
{
    struct bytes text = json_text(value);
    if (rule->length_min > 0 || rule->has_length_max) {
        uint64_t length = count_characters(text);
        if (length < rule->length_min) {
            return differs(checker, "shorter than %" PRIu64 " characters", rule->length_min);
        }
        if (rule->has_length_max && length > rule->length_max) {
            return differs(checker, "longer than %" PRIu64 " characters", rule->length_max);
        }
    }
    if (rule->pattern != NULL) {
        struct pattern_match match;
        enum result result =
            pattern_find(rule->pattern->pattern, checker->scratch, text, 0, &match);
        if (result != RESULT_OK) {
            return differs(checker, "does not match the pattern %.80s%s", rule->pattern->text,
                           result == RESULT_SHED ? " within the limits" : "");
        }
    }
    return true;
}

static bool check_rule(struct checker *checker, const struct rule *rule,
                       const struct json_value *value);

static bool check_array(struct checker *checker, const struct rule *rule,
                        const struct json_value *value)
{
    size_t count = json_count(value);
    if (count < rule->items_min) {
        return differs(checker, "fewer than %" PRIu64 " items", rule->items_min);
    }
    if (rule->has_items_max && count > rule->items_max) {
        return differs(checker, "more than %" PRIu64 " items", rule->items_max);
    }
    for (size_t i = 0; rule->items != NULL && i < count; i++) {
        size_t before = path_push(checker, NULL, i);
        if (!check_rule(checker, rule->items, json_at(value, i))) {
            return false;
        }
        path_pop(checker, before);
    }
    return true;
}

struct member_visit {
    struct checker *checker;
    const struct rule *rule;
    bool sound;
};

static bool check_is_named(void *arg, struct bytes key, const struct json_value *value)
{
    (void)value;
    struct member_visit *visit = arg;
    if (!json_has(visit->rule->named, (const char *)key.ptr)) {
        visit->sound = differs(visit->checker, "unexpected property \"%.*s\"",
                               BYTES_PRINTF(bytes_slice(key, 0, 80)));
    }
    return visit->sound;
}

static bool check_object(struct checker *checker, const struct rule *rule,
                         const struct json_value *value)
{
    for (size_t i = 0; i < json_count(rule->required); i++) {
        const char *key = (const char *)json_text(json_at(rule->required, i)).ptr;
        if (!json_has(value, key)) {
            return differs(checker, "missing property \"%.80s\"", key);
        }
    }
    for (size_t i = 0; i < rule->property_count; i++) {
        const struct property *property = &rule->properties[i];
        if (!json_has(value, property->key)) {
            continue;
        }
        size_t before = path_push(checker, property->key, 0);
        if (!check_rule(checker, property->rule, json_get(value, property->key))) {
            return false;
        }
        path_pop(checker, before);
    }
    struct member_visit visit = {.checker = checker, .rule = rule, .sound = true};
    if (rule->is_closed) {
        json_each(value, check_is_named, &visit);
    }
    return visit.sound;
}

static bool check_rule(struct checker *checker, const struct rule *rule,
                       const struct json_value *value)
{
    unsigned type = type_of(value);
    if (rule->never) {
        return differs(checker, "nothing is allowed here");
    }
    if (rule->types != 0 && (rule->types & type) == 0) {
        return differs(checker, "wrong type");
    }
    if (rule->choices != NULL && !is_one_of(rule->choices, value)) {
        return differs(checker, "none of the allowed values");
    }
    if (rule->has_constant && !json_equal(rule->constant, value)) {
        return differs(checker, "not the one allowed value");
    }
    // Keywords of one type say nothing about values of others (validation, 6).
    if ((type & TYPE_NUMBER) != 0) {
        return check_number(checker, rule, value);
    }
    switch (type) {
    case TYPE_STRING:
        return check_text(checker, rule, value);
    case TYPE_ARRAY:
        return check_array(checker, rule, value);
    case TYPE_OBJECT:
        return check_object(checker, rule, value);
    default:
        return true;
    }
}

bool json_schema_check(const struct json_schema *schema, const struct json_value *value, char *why,
                       size_t why_len)
{
    struct checker checker = {.why = why, .why_len = why_len};
    if (schema->patterns != NULL) {
        checker.scratch = pattern_scratch_new();
    }
    bool sound = check_rule(&checker, schema->root, value);
    pattern_scratch_free(checker.scratch);
    return sound;
}
