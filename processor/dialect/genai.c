// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry GenAI semantic conventions, attributes form (1.37 and later; dialects.md 1.2 and
// 1.3), with the deprecated names that SDKs still write beside it. Values of messages may be a JSON
// string or structured (arrayValue of kvlistValue); structured ones are written as JSON first, so
// that there is one reader. Refused: a second reader over the wire form.
//
// Bounds: base/json.h's; the reading's scratch. Pure; any thread.
#include <string.h>

#include "processor/dialect.h"
#include "processor/message_json.h"
#include "proto/attribute.h"

// A message value as JSON text: strings as they are, structured ones rendered into scratch.
static struct bytes value_json(struct reading *reading, const struct any_view *value)
{
    if (value->kind == ANY_KIND_STRING || value->kind == ANY_KIND_BYTES) {
        return value->bytes;
    }
    if (value->kind != ANY_KIND_ARRAY && value->kind != ANY_KIND_KVLIST) {
        return BYTES_NONE;
    }
    struct buffer out;
    buffer_init(&out, JSON_BYTES_MAX);
    any_write_json(value, &out);
    reading->truncated |= buffer_status(&out) != RESULT_OK;
    struct bytes kept = reading_keep(reading, buffer_view(&out));
    buffer_fini(&out);
    return kept;
}

static uint64_t count_of(const struct any_view *value)
{
    if (value->kind == ANY_KIND_DOUBLE && value->real > 0 && value->real < 1e15) {
        return (uint64_t)value->real;
    }
    return value->kind == ANY_KIND_INT && value->number > 0 ? (uint64_t)value->number : 0;
}

static void read_usage(struct reading *reading, struct bytes key, const struct any_view *value)
{
    if (bytes_equal_text(key, "input_tokens") || bytes_equal_text(key, "prompt_tokens")) {
        reading->input_tokens = count_of(value);
        reading->has_usage = true;
    } else if (bytes_equal_text(key, "output_tokens") ||
               bytes_equal_text(key, "completion_tokens")) {
        reading->output_tokens = count_of(value);
        reading->has_usage = true;
    } else if (bytes_equal_text(key, "cost") && value->kind == ANY_KIND_DOUBLE) {
        reading->cost_usd = value->real;
    }
}

static void read_finish(struct reading *reading, const struct any_view *value)
{
    struct wire wire = wire_of(value->bytes);
    struct any_view first;
    if (value->kind == ANY_KIND_STRING) {
        struct bytes text = bytes_trim(value->bytes);
        bool list = text.len > 3 && text.ptr[0] == '[' && text.ptr[1] == '"';
        size_t quote = list ? bytes_find(text, BYTES_LITERAL("\""), 2) : SIZE_MAX;
        reading_finish(reading, quote != SIZE_MAX ? bytes_slice(text, 2, quote - 2) : text);
    } else if (value->kind == ANY_KIND_ARRAY && any_walk_next(&wire, &first) &&
               first.kind == ANY_KIND_STRING) {
        reading_finish(reading, first.bytes);
    }
}

struct messages {  // values that wait until the whole span was walked
    struct any_view input, output, system, documents, arguments, result;
};

static void read_text(struct reading *reading, struct bytes key, const struct any_view *value)
{
    struct bytes text = value->bytes;
    if (bytes_equal_text(key, "gen_ai.response.model")) {
        reading->model = text;
    } else if (bytes_equal_text(key, "gen_ai.request.model")) {
        reading_fill(reading, &reading->model, text);
    } else if (bytes_equal_text(key, "gen_ai.provider.name") ||
               bytes_equal_text(key, "gen_ai.system")) {
        reading_fill(reading, &reading->provider, text);
    } else if (bytes_equal_text(key, "gen_ai.response.id")) {
        reading_fill(reading, &reading->response_id, text);
    } else if (bytes_equal_text(key, "gen_ai.conversation.id")) {
        reading_fill(reading, &reading->conversation_id, text);
    } else if (bytes_equal_text(key, "gen_ai.agent.name")) {
        reading_fill(reading, &reading->agent_name, text);
    } else if (bytes_equal_text(key, "gen_ai.output.type")) {
        reading->json_requested |= bytes_equal_text(text, "json");
    } else if (bytes_equal_text(key, "gen_ai.tool.name")) {
        reading_fill(reading, &reading->self.name, text);
    } else if (bytes_equal_text(key, "gen_ai.tool.call.id")) {
        reading_fill(reading, &reading->self.id, text);
    } else if (bytes_equal_text(key, "gen_ai.tool.status")) {
        reading->self.failed |= bytes_equal_text(text, "error");
    } else if (bytes_equal_text(key, "gen_ai.response.finish_reason")) {
        read_finish(reading, value);
    }
}

static void read_key(struct reading *reading, const struct attribute_view *attribute,
                     struct messages *messages)
{
    static const struct {
        const char *key;
        size_t offset;
    } structured[] = {
        {"gen_ai.input.messages", offsetof(struct messages, input)},
        {"gen_ai.output.messages", offsetof(struct messages, output)},
        {"gen_ai.system_instructions", offsetof(struct messages, system)},
        {"gen_ai.retrieval.documents", offsetof(struct messages, documents)},
        {"gen_ai.tool.call.arguments", offsetof(struct messages, arguments)},
        {"gen_ai.tool.call.result", offsetof(struct messages, result)},
    };
    struct bytes key = attribute->key;
    for (size_t i = 0; i < sizeof(structured) / sizeof(structured[0]); i++) {
        if (bytes_equal_text(key, structured[i].key)) {
            *(struct any_view *)((char *)messages + structured[i].offset) = attribute->value;
            return;
        }
    }
    struct bytes usage = BYTES_LITERAL("gen_ai.usage.");
    if (bytes_start_with(key, usage)) {
        read_usage(reading, bytes_slice(key, usage.len, key.len), &attribute->value);
    } else if (bytes_equal_text(key, "gen_ai.response.finish_reasons")) {
        read_finish(reading, &attribute->value);
    } else if (bytes_equal_text(key, "gen_ai.cost.total_cost") &&
               attribute->value.kind == ANY_KIND_DOUBLE) {
        reading->cost_usd = attribute->value.real;
    } else if (attribute->value.kind == ANY_KIND_STRING) {
        read_text(reading, key, &attribute->value);
    }
}

static void genai_read(const struct item_view *view, enum role role, struct reading *reading)
{
    struct messages messages = {0};
    struct attribute_walk walk;
    struct attribute_view attribute;
    bool any = false;
    attribute_walk_begin(&walk, view->attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        struct bytes key = attribute.key;
        if (key.len > 7 && memcmp(key.ptr, "gen_ai.", 7) == 0) {
            read_key(reading, &attribute, &messages);
            any = true;
        } else if (attribute.value.kind != ANY_KIND_STRING) {
            continue;
        } else if (bytes_equal_text(key, "error.type")) {
            reading_fill(reading, &reading->error_type, attribute.value.bytes);
        } else if (bytes_equal_text(key, "session.id")) {
            reading->conversation_id = attribute.value.bytes;  // set by hand: groups best
        }
    }
    if (!any) {
        return;
    }
    struct bytes input = value_json(reading, &messages.input);
    struct bytes output = value_json(reading, &messages.output);
    message_json_system(reading, value_json(reading, &messages.system));
    if (input.len > 0 && message_json_input(reading, input)) {
        reading->input_done |= reading->question.len > 0;
    } else if (input.len > 0 && input.ptr[0] != '[' && input.ptr[0] != '{') {
        reading_fill(reading, &reading->question, input);  // a bare string (Gemini CLI)
    }
    if (output.len > 0 && message_json_output(reading, output)) {
        reading->output_done |= reading->response.len > 0 || reading->pending_tools;
    }
    message_json_documents(reading, value_json(reading, &messages.documents));
    if (role == ROLE_TOOL) {
        reading_fill(reading, &reading->self.arguments, value_json(reading, &messages.arguments));
        reading_fill(reading, &reading->self.result, value_json(reading, &messages.result));
    }
}

// Before 1.37: the whole prompt and completion as one attribute each, JSON or "role: text" lines.
static void genai_read_rest(const struct item_view *view, enum role role, struct reading *reading)
{
    struct any_view value;
    (void)role;
    if (!reading->input_done && reading->question.len == 0 &&
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "gen_ai.prompt", &value) &&
        value.kind == ANY_KIND_STRING && !message_json_input(reading, value.bytes)) {
        reading_fill(reading, &reading->question, value.bytes);
        reading->question_raw = true;
    }
    if (!reading->output_done && reading->response.len == 0 &&
        attribute_find(view->attributes, SPAN_ATTRIBUTES, "gen_ai.completion", &value) &&
        value.kind == ANY_KIND_STRING && !message_json_output(reading, value.bytes)) {
        reading_fill(reading, &reading->response, value.bytes);
        reading->response_raw = true;
    }
}

const struct dialect genai_dialect = {
    .name = "genai",
    .read = genai_read,
    .read_rest = genai_read_rest,
    .capture = "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
               "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY (older ones: true)",
};
