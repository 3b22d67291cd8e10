// SPDX-License-Identifier: Apache-2.0
// OpenInference (dialects.md 2): flattened messages, documents and tool calls, and input.value /
// output.value, which on agent and chain spans are the user's turn and the answer, and on model
// spans the raw request and response: there they are the last resort.
//
// Bounds: flat_messages.h's for indices; base/json.h's for raw JSON. Pure; any thread.
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

struct documents {  // contents by index
    struct bytes at[INTERACTION_CONTEXTS_MAX];
    unsigned end;
};

struct flat_lists {
    struct flat_messages *input, *output;
    struct documents documents;
};

static void read_document(struct reading *reading, struct documents *documents, struct bytes rest,
                          const struct any_view *value)
{
    unsigned index;
    if (value->kind != ANY_KIND_STRING || !flat_index(&rest, &index) ||
        !bytes_equal_text(rest, "document.content")) {
        return;
    }
    if (index >= INTERACTION_CONTEXTS_MAX) {
        reading->truncated = true;
        return;
    }
    documents->at[index] = value->bytes;
    documents->end = index >= documents->end ? index + 1 : documents->end;
}

static uint64_t count_of(const struct any_view *value)
{
    if (value->kind == ANY_KIND_DOUBLE && value->real > 0 && value->real < 1e15) {
        return (uint64_t)value->real;
    }
    return value->kind == ANY_KIND_INT && value->number > 0 ? (uint64_t)value->number : 0;
}

static void read_parameters(struct reading *reading, struct bytes text)
{
    struct json_document *document;
    if (bytes_find(text, BYTES_LITERAL("response_format"), 0) == SIZE_MAX ||
        json_parse(text, &document, NULL) != RESULT_OK) {
        return;
    }
    const struct json_value *format = json_get(json_root(document), "response_format");
    struct bytes type = json_get_text(format, "type");
    reading->json_requested |=
        bytes_equal_text(type, "json_object") || bytes_equal_text(type, "json_schema");
    json_free(&document);
}

static void read_llm_key(struct reading *reading, const struct attribute_view *attribute)
{
    struct bytes key = attribute->key;
    const struct any_view *value = &attribute->value;
    if (bytes_equal_text(key, "llm.token_count.prompt")) {
        reading->input_tokens = reading->input_tokens ? reading->input_tokens : count_of(value);
        reading->has_usage = true;
    } else if (bytes_equal_text(key, "llm.token_count.completion")) {
        reading->output_tokens = reading->output_tokens ? reading->output_tokens : count_of(value);
        reading->has_usage = true;
    } else if (bytes_equal_text(key, "llm.cost.total") && value->kind == ANY_KIND_DOUBLE) {
        reading->cost_usd = value->real;
    } else if (value->kind != ANY_KIND_STRING) {
        return;
    } else if (bytes_equal_text(key, "llm.response.model_name") ||
               bytes_equal_text(key, "llm.model_name")) {
        reading_fill(reading, &reading->model, value->bytes);
    } else if (bytes_equal_text(key, "llm.provider") || bytes_equal_text(key, "llm.system")) {
        reading_fill(reading, &reading->provider, value->bytes);
    } else if (bytes_equal_text(key, "llm.finish_reason")) {
        reading_finish(reading, value->bytes);
    } else if (bytes_equal_text(key, "llm.invocation_parameters")) {
        read_parameters(reading, value->bytes);
    }
}

static void read_list_key(struct reading *reading, struct flat_lists *lists, struct bytes key,
                          const struct any_view *value)
{
    struct bytes rest;
    if (cut(key, "llm.input_messages.", &rest) || cut(key, "llm.prompts.", &rest)) {
        lists->input = lists->input ? lists->input : flat_messages_new(reading);
        flat_messages_add(lists->input, reading, rest, value);
    } else if (cut(key, "llm.output_messages.", &rest) || cut(key, "llm.choices.", &rest)) {
        lists->output = lists->output ? lists->output : flat_messages_new(reading);
        flat_messages_add(lists->output, reading, rest, value);
    } else if (cut(key, "retrieval.documents.", &rest) ||
               cut(key, "reranker.output_documents.", &rest)) {
        read_document(reading, &lists->documents, rest, value);
    }
}

static void read_tool_key(struct reading *reading, struct bytes key, struct bytes text)
{
    if (bytes_equal_text(key, "tool.name")) {
        reading_fill(reading, &reading->self.name, text);
    } else if (bytes_equal_text(key, "tool.id")) {
        reading_fill(reading, &reading->self.id, text);
    }
}

static void openinference_read(const struct item_view *view, enum role role,
                               struct reading *reading)
{
    struct flat_lists lists = {0};
    struct attribute_walk walk;
    struct attribute_view attribute;
    (void)role;
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        struct bytes key = attribute.key;
        if (key.len < 7) {
            continue;
        }
        if (key.ptr[0] == 'l' && memcmp(key.ptr, "llm.", 4) == 0) {
            read_llm_key(reading, &attribute);
            read_list_key(reading, &lists, key, &attribute.value);
        } else if (key.ptr[0] == 'r') {
            read_list_key(reading, &lists, key, &attribute.value);
        } else if (key.ptr[0] == 't' && attribute.value.kind == ANY_KIND_STRING) {
            read_tool_key(reading, key, attribute.value.bytes);
        } else if (bytes_equal_text(key, "session.id") && attribute.value.kind == ANY_KIND_STRING) {
            reading->conversation_id = attribute.value.bytes;
        }
    }
    if (lists.input) {
        (void)flat_messages_input(lists.input, reading);
    }
    if (lists.output) {
        (void)flat_messages_output(lists.output, reading);
    }
    for (unsigned i = 0; i < lists.documents.end; i++) {
        reading_context(reading, lists.documents.at[i]);
    }
}

static bool is_json(struct bytes text)
{
    text = bytes_trim(text);
    return text.len > 1 && (text.ptr[0] == '{' || text.ptr[0] == '[');
}

// The text under the keys that agent frameworks use for one turn.
static bool read_plain_json(struct reading *reading, struct bytes text, bool input)
{
    static const char *const in[] = {"input", "question", "query", "prompt", "user_input",
                                     "text",  "message",  "value", NULL};
    static const char *const out[] = {"output",       "answer",  "response", "result", "text",
                                      "final_output", "content", "value",    NULL};
    struct json_document *document;
    if (json_parse(bytes_trim(text), &document, NULL) != RESULT_OK) {
        return false;
    }
    const struct json_value *root = json_root(document);
    struct bytes found = BYTES_NONE;
    for (const char *const *key = input ? in : out; *key && found.len == 0; key++) {
        found = json_get_text(root, *key);
    }
    if (found.len == 0 && json_kind(root) == JSON_TEXT) {
        found = json_text(root);
    }
    found = reading_keep(reading, found);
    json_free(&document);
    reading_fill(reading, input ? &reading->question : &reading->response, found);
    return found.len > 0;
}

static void read_value(struct reading *reading, struct bytes text, bool input)
{
    struct bytes *field = input ? &reading->question : &reading->response;
    if (field->len > 0 || (input ? reading->input_done : reading->output_done)) {
        return;
    }
    if (is_json(text)) {
        bool any = input ? message_json_input(reading, text) : message_json_output(reading, text);
        if ((any && (field->len > 0 || reading->pending_tools)) ||
            read_plain_json(reading, text, input)) {
            return;
        }
        *(input ? &reading->question_raw : &reading->response_raw) = true;
    }
    reading_fill(reading, field, text);
}

static void openinference_read_rest(const struct item_view *view, enum role role,
                                    struct reading *reading)
{
    struct any_view input, output;
    bool has_input = attribute_find(view->attributes, SPAN_ATTRIBUTES, "input.value", &input) &&
                     input.kind == ANY_KIND_STRING;
    bool has_output = attribute_find(view->attributes, SPAN_ATTRIBUTES, "output.value", &output) &&
                      output.kind == ANY_KIND_STRING;
    if (role == ROLE_TOOL) {
        reading_fill(reading, &reading->self.arguments, has_input ? input.bytes : BYTES_NONE);
        reading_fill(reading, &reading->self.result, has_output ? output.bytes : BYTES_NONE);
        return;
    }
    if (role == ROLE_RETRIEVER || role == ROLE_RERANKER) {
        if (reading->context_count == 0 && has_output) {
            message_json_documents(reading, output.bytes);
        }
        return;
    }
    if (has_input) {
        read_value(reading, input.bytes, true);
    }
    if (has_output) {
        read_value(reading, output.bytes, false);
    }
}

const struct dialect openinference_dialect = {
    .name = "openinference",
    .read = openinference_read,
    .read_rest = openinference_read_rest,
    .capture = "OPENINFERENCE_HIDE_INPUTS=false and OPENINFERENCE_HIDE_OUTPUTS=false",
};
