// SPDX-License-Identifier: Apache-2.0
// OpenLLMetry / Traceloop (dialects.md 3): the flattened messages of versions before 0.55
// (gen_ai.prompt.N, gen_ai.completion.N) and the workflow spans' traceloop.entity.input / output,
// whose JSON is cut at the SDK's length limit by design and is read as a prefix. Newer versions
// write the GenAI attributes, which genai.c reads.
//
// Bounds: flat_messages.h's for indices; base/json.h's for JSON. Pure; any thread.
#include <string.h>

#include "processor/dialect.h"
#include "processor/flat_messages.h"
#include "processor/message_json.h"
#include "proto/attribute.h"

static bool cut(struct bytes key, const char *prefix, struct bytes *rest)
{
    struct bytes view = bytes_from_text(prefix);
    if (!bytes_start_with(key, view)) {
        return false;
    }
    *rest = bytes_slice(key, view.len, key.len);
    return true;
}

static void openllmetry_read(const struct item_view *view, enum role role, struct reading *reading)
{
    struct flat_messages *input = NULL, *output = NULL;
    struct attribute_walk walk;
    struct attribute_view attribute;
    struct bytes rest;
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        struct bytes key = attribute.key, text = attribute.value.bytes;
        if (key.len < 14 || attribute.value.kind != ANY_KIND_STRING) {
            continue;
        }
        if (cut(key, "gen_ai.prompt.", &rest)) {
            input = input ? input : flat_messages_new(reading);
            flat_messages_add(input, reading, rest, &attribute.value);
        } else if (cut(key, "gen_ai.completion.", &rest)) {
            output = output ? output : flat_messages_new(reading);
            flat_messages_add(output, reading, rest, &attribute.value);
        } else if (key.ptr[0] != 't') {
            continue;
        } else if (bytes_equal_text(key, "traceloop.association.properties.session_id") ||
                   bytes_equal_text(key, "traceloop.association.properties.thread_id")) {
            reading_fill(reading, &reading->conversation_id, text);
        } else if (bytes_equal_text(key, "traceloop.entity.name")) {
            reading_fill(reading, role == ROLE_TOOL ? &reading->self.name : &reading->agent_name,
                         role == ROLE_TOOL || role == ROLE_AGENT ? text : BYTES_NONE);
        }
    }
    if (input) {
        (void)flat_messages_input(input, reading);
    }
    if (output) {
        (void)flat_messages_output(output, reading);
    }
}

// The user's turn in a workflow's arguments: {"inputs": {"question": ...}}, {"args": ["..."]} ...
static bool find_text(const struct json_value *value, bool input, unsigned depth,
                      struct bytes *found)
{
    static const char *const in[] = {"inputs",  "input",  "question",   "query",
                                     "message", "prompt", "user_input", "text",
                                     "args",    "kwargs", NULL};
    static const char *const out[] = {"outputs", "output",  "answer",       "response", "result",
                                      "text",    "content", "final_output", NULL};
    if (json_kind(value) == JSON_TEXT) {
        *found = json_text(value);
        return found->len > 0;
    }
    if (depth == 0) {
        return false;
    }
    if (json_kind(value) == JSON_ARRAY) {
        return find_text(json_at(value, 0), input, depth - 1, found);
    }
    for (const char *const *key = input ? in : out; *key; key++) {
        if (find_text(json_get(value, *key), input, depth - 1, found)) {
            return true;
        }
    }
    return false;
}

static void read_entity(struct reading *reading, struct bytes text, bool input)
{
    struct bytes *field = input ? &reading->question : &reading->response;
    struct json_document *document;
    bool truncated = false;
    if (field->len > 0 || reading_is_hidden(text)) {
        return;
    }
    bool any = input ? message_json_input(reading, text) : message_json_output(reading, text);
    if (any && (field->len > 0 || reading->pending_tools)) {
        return;
    }
    struct bytes found = BYTES_NONE;
    if (json_parse_prefix(bytes_trim(text), &document, &truncated) == RESULT_OK) {
        if (find_text(json_root(document), input, 4, &found)) {
            found = reading_keep(reading, found);
        }
        json_free(&document);
        reading->truncated |= truncated;
    }
    if (found.len == 0) {
        *(input ? &reading->question_raw : &reading->response_raw) = true;
        found = text;
    }
    reading_fill(reading, field, found);
}

// A task that searched: a list of objects with a text and without a role.
static bool is_documents(struct bytes text)
{
    struct json_document *document;
    bool truncated = false;
    text = bytes_trim(text);
    if (text.len < 2 || text.ptr[0] != '[' ||
        json_parse_prefix(text, &document, &truncated) != RESULT_OK) {
        return false;
    }
    const struct json_value *first = json_at(json_root(document), 0);
    bool is = json_kind(json_get(first, "role")) == JSON_NULL &&
              (json_get_text(first, "page_content").len > 0 ||
               (json_get_text(first, "content").len > 0 &&
                json_kind(json_get(first, "type")) == JSON_NULL));
    json_free(&document);
    return is;
}

static void openllmetry_read_rest(const struct item_view *view, enum role role,
                                  struct reading *reading)
{
    struct any_view input, output;
    bool has_input =
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "traceloop.entity.input", &input) &&
        input.kind == ANY_KIND_STRING;
    bool has_output =
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "traceloop.entity.output", &output) &&
        output.kind == ANY_KIND_STRING;
    if (!has_input && !has_output) {
        return;
    }
    if (role == ROLE_TOOL) {
        reading_fill(reading, &reading->self.arguments, has_input ? input.bytes : BYTES_NONE);
        reading_fill(reading, &reading->self.result, has_output ? output.bytes : BYTES_NONE);
        return;
    }
    bool searched = role == ROLE_CHAIN && has_output && is_documents(output.bytes);
    if (role == ROLE_RETRIEVER || searched) {
        if (has_output) {
            message_json_documents(reading, output.bytes);
        }
        return;
    }
    if (has_input) {
        read_entity(reading, input.bytes, true);
    }
    if (has_output) {
        read_entity(reading, output.bytes, false);
    }
}

const struct dialect openllmetry_dialect = {
    .name = "openllmetry",
    .read = openllmetry_read,
    .read_rest = openllmetry_read_rest,
    .capture = "TRACELOOP_TRACE_CONTENT=true",
};
