// SPDX-License-Identifier: Apache-2.0
// One tolerant reader for all message shapes. Chosen: look for what a value has (parts, content,
// tool_calls, kwargs) instead of trusting which SDK says it wrote it, since wrappers mix shapes.
// Refused: one reader per SDK version.
//
// Bounds: base/json.h's 1 MiB and depth 64; 4,096 messages; nested lists to depth 4; the reading's
// scratch. What is beyond is left out and marked truncated. Pure; any thread.
#include "processor/message_json.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"

enum { MESSAGES_MAX = 4096, NEST_MAX = 4, TEXT_BYTES_MAX = 1 << 20 };

static bool json_open(struct reading *reading, struct bytes text, struct json_document **document)
{
    bool truncated = false;
    text = bytes_trim(text);
    if (text.len > JSON_BYTES_MAX) {
        text = bytes_slice(text, 0, JSON_BYTES_MAX);
        reading->truncated = true;
    }
    if (json_parse_prefix(text, document, &truncated) != RESULT_OK) {
        return false;
    }
    reading->truncated |= truncated;
    return true;
}

static struct bytes first_text(const struct json_value *object, const char *const *keys)
{
    for (; *keys; keys++) {
        struct bytes text = json_get_text(object, *keys);
        if (text.len > 0) {
            return text;
        }
    }
    return BYTES_NONE;
}

static const struct json_value *first_value(const struct json_value *object,
                                            const char *const *keys)
{
    for (; *keys; keys++) {
        const struct json_value *value = json_get(object, *keys);
        if (json_kind(value) != JSON_NULL) {
            return value;
        }
    }
    return NULL;
}

// Strings as they are, everything else as compact JSON; in scratch.
static struct bytes value_text(struct reading *reading, const struct json_value *value)
{
    switch (json_kind(value)) {
    case JSON_NULL:
        return BYTES_NONE;
    case JSON_TEXT:
        return reading_keep(reading, json_text(value));
    default:
        break;
    }
    struct buffer out;
    buffer_init(&out, TEXT_BYTES_MAX);
    json_write_value(value, &out);
    struct bytes kept = reading_keep(reading, buffer_view(&out));
    buffer_fini(&out);
    return kept;
}

static void text_add(struct buffer *out, struct bytes text)
{
    if (text.len == 0) {
        return;
    }
    if (out->len > 0) {
        buffer_append_byte(out, '\n');
    }
    buffer_append_bytes(out, text);
}

static bool part_is(struct bytes type, const char *const *types)
{
    for (; *types; types++) {
        if (bytes_equal_text(type, *types)) {
            return true;
        }
    }
    return false;
}

static struct tool_call *message_call(struct message *message)
{
    if (!message || message->call_count == MESSAGE_CALLS_MAX) {
        return NULL;
    }
    struct tool_call *call = &message->calls[message->call_count++];
    *call = (struct tool_call){0};
    return call;
}

static void call_read(struct reading *reading, const struct json_value *part,
                      struct message *message)
{
    static const char *const ids[] = {"id", "tool_call_id", "toolCallId", "toolUseId", NULL};
    static const char *const names[] = {"name", "toolName", "tool_name", NULL};
    static const char *const inputs[] = {"arguments", "input", "args", NULL};
    struct tool_call *call = message_call(message);
    if (!call) {
        return;
    }
    const struct json_value *function = json_get(part, "function");
    if (json_kind(function) == JSON_OBJECT) {
        call->name = reading_keep(reading, json_get_text(function, "name"));
        call->arguments = value_text(reading, json_get(function, "arguments"));
    } else {
        call->name = reading_keep(reading, first_text(part, names));
        call->arguments = value_text(reading, first_value(part, inputs));
    }
    call->id = reading_keep(reading, first_text(part, ids));
}

// `result` besides the schema's `response`: the specification's own prose uses both.
static void result_read(struct reading *reading, const struct json_value *part,
                        struct message *message)
{
    static const char *const ids[] = {"id",         "tool_call_id", "tool_use_id",
                                      "toolCallId", "toolUseId",    NULL};
    static const char *const names[] = {"name", "toolName", NULL};
    static const char *const results[] = {"response", "result", "output", "content", NULL};
    struct tool_call *call = message_call(message);
    if (!call) {
        return;
    }
    const struct json_value *value = first_value(part, results);
    call->id = reading_keep(reading, first_text(part, ids));
    call->name = reading_keep(reading, first_text(part, names));
    call->result = json_kind(value) == JSON_ARRAY ? message_json_text(reading, value)
                                                  : value_text(reading, value);
    if (call->result.len == 0) {
        call->result = value_text(reading, value);
    }
    call->failed = json_bool(json_get(part, "is_error")) || json_bool(json_get(part, "isError")) ||
                   bytes_equal_text(json_get_text(part, "status"), "error") ||
                   reading_result_failed(call->result);
}

static void part_note(const struct json_value *part, struct bytes type, struct buffer *out)
{
    static const char *const kinds[] = {"modality", "mime_type", "media_type", NULL};
    struct bytes what = first_text(part, kinds);
    char note[96];
    struct bytes shown = bytes_slice(what.len > 0 ? what : type, 0, 48);
    int len = snprintf(note, sizeof(note), "[%.*s]", BYTES_PRINTF(shown));
    if (len > 2) {
        text_add(out, bytes_from(note, (size_t)len));
    }
}

static void part_read(struct reading *reading, const struct json_value *part, struct buffer *out,
                      struct message *message)
{
    static const char *const texts[] = {"text", "output_text", "input_text", "refusal", NULL};
    static const char *const thoughts[] = {"reasoning", "thinking", "redacted_thinking",
                                           "compaction", NULL};
    static const char *const calls[] = {
        "tool_call",        "tool_use",   "tool-call", "function_call",
        "server_tool_call", "tool_calls", NULL};
    static const char *const results[] = {
        "tool_call_response",        "tool_result", "tool-result", "function_call_output",
        "server_tool_call_response", NULL};
    static const char *const contents[] = {"content", "text", "refusal", NULL};
    if (json_kind(part) == JSON_TEXT) {
        text_add(out, json_text(part));
        return;
    }
    struct bytes type = json_get_text(part, "type");
    const struct json_value *bedrock_use = json_get(part, "toolUse");
    const struct json_value *bedrock_result = json_get(part, "toolResult");
    if (json_kind(bedrock_use) == JSON_OBJECT) {
        call_read(reading, bedrock_use, message);
    } else if (json_kind(bedrock_result) == JSON_OBJECT) {
        result_read(reading, bedrock_result, message);
    } else if (part_is(type, thoughts)) {
        return;  // what a model thought is not what it said
    } else if (part_is(type, calls)) {
        call_read(reading, part, message);
    } else if (part_is(type, results)) {
        result_read(reading, part, message);
    } else if (type.len == 0 || part_is(type, texts)) {
        text_add(out, first_text(part, contents));
    } else {
        part_note(part, type, out);
    }
}

static struct bytes content_read(struct reading *reading, const struct json_value *content,
                                 struct message *message)
{
    if (json_kind(content) == JSON_TEXT) {
        return message_json_unwrap(reading, json_text(content), message);
    }
    struct buffer out;
    buffer_init(&out, TEXT_BYTES_MAX);
    if (json_kind(content) == JSON_ARRAY) {
        size_t count = json_count(content);
        for (size_t i = 0; i < count && i < MESSAGES_MAX; i++) {
            part_read(reading, json_at(content, i), &out, message);
        }
    } else if (json_kind(content) == JSON_OBJECT) {
        part_read(reading, content, &out, message);
    }
    reading->truncated |= buffer_status(&out) != RESULT_OK;
    struct bytes kept = reading_keep(reading, buffer_view(&out));
    buffer_fini(&out);
    return kept;
}

struct bytes message_json_text(struct reading *reading, const struct json_value *content)
{
    return content_read(reading, content, NULL);
}

static bool looks_like_blocks(struct bytes text)
{
    return text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']' &&
           (bytes_find(bytes_slice(text, 0, 512), BYTES_LITERAL("\"type\""), 0) != SIZE_MAX ||
            bytes_find(bytes_slice(text, 0, 512), BYTES_LITERAL("\"text\""), 0) != SIZE_MAX);
}

struct bytes message_json_unwrap(struct reading *reading, struct bytes content,
                                 struct message *message)
{
    struct bytes trimmed = bytes_trim(content);
    struct json_document *document;
    if (!looks_like_blocks(trimmed) || json_parse(trimmed, &document, NULL) != RESULT_OK) {
        return reading_keep(reading, content);
    }
    struct bytes text = BYTES_NONE;
    if (json_kind(json_at(json_root(document), 0)) == JSON_OBJECT) {
        text = content_read(reading, json_root(document), message);
    }
    json_free(&document);
    if (text.len == 0 && (!message || message->call_count == 0)) {
        return reading_keep(reading, content);
    }
    return text;
}

static struct bytes langchain_role(const struct json_value *value)
{
    const struct json_value *id = json_get(value, "id");  // ["langchain","schema","messages","X"]
    struct bytes name = json_text(json_at(id, json_count(id) > 0 ? json_count(id) - 1 : 0));
    if (bytes_start_with(name, BYTES_LITERAL("Human"))) {
        return BYTES_LITERAL("user");
    }
    if (bytes_start_with(name, BYTES_LITERAL("System"))) {
        return BYTES_LITERAL("system");
    }
    if (bytes_start_with(name, BYTES_LITERAL("Tool"))) {
        return BYTES_LITERAL("tool");
    }
    return bytes_start_with(name, BYTES_LITERAL("AI")) ? BYTES_LITERAL("assistant") : BYTES_NONE;
}

static bool message_read(struct reading *reading, const struct json_value *value,
                         struct message *message, enum speaker otherwise)
{
    static const char *const roles[] = {"role", "type", NULL};
    static const char *const names[] = {"name", "tool_name", NULL};
    static const char *const finishes[] = {"finish_reason", "stop_reason", NULL};
    memset(message, 0, sizeof(*message));
    const struct json_value *kwargs = json_get(value, "kwargs");
    struct bytes role = first_text(value, roles);
    if (json_kind(kwargs) == JSON_OBJECT) {
        struct bytes given = langchain_role(value);
        role = given.len > 0 ? given : json_get_text(kwargs, "type");
        value = kwargs;
    }
    const struct json_value *parts = json_get(value, "parts");
    const struct json_value *content = json_get(value, "content");
    const struct json_value *calls = json_get(value, "tool_calls");
    if (json_kind(parts) != JSON_ARRAY && json_kind(content) == JSON_NULL &&
        json_kind(calls) != JSON_ARRAY) {
        return false;
    }
    if (bytes_equal_text(role, "human") || bytes_equal_text(role, "message")) {
        role =
            bytes_equal_text(role, "human") ? BYTES_LITERAL("user") : json_get_text(value, "role");
    }
    message->speaker = role.len > 0 ? reading_speaker(role) : otherwise;
    message->text =
        content_read(reading, json_kind(parts) == JSON_ARRAY ? parts : content, message);
    for (size_t i = 0; i < json_count(calls) && i < MESSAGE_CALLS_MAX; i++) {
        call_read(reading, json_at(calls, i), message);
    }
    message->tool_call_id = reading_keep(reading, json_get_text(value, "tool_call_id"));
    message->tool_name = reading_keep(reading, first_text(value, names));
    message->failed = bytes_equal_text(json_get_text(value, "status"), "error");
    message->finish_reason = reading_keep(reading, first_text(value, finishes));
    return true;
}

// The list of messages inside a value: itself, or under the keys that requests and states use.
static const struct json_value *message_list(const struct json_value *value, unsigned depth)
{
    static const char *const keys[] = {"messages", "input",   "inputs",      "kwargs",   "output",
                                       "outputs",  "choices", "generations", "contents", NULL};
    if (depth >= NEST_MAX) {
        return NULL;
    }
    if (json_kind(value) == JSON_ARRAY) {
        const struct json_value *first = json_at(value, 0);
        return json_kind(first) == JSON_ARRAY ? message_list(first, depth + 1) : value;
    }
    if (json_kind(value) != JSON_OBJECT) {
        return NULL;
    }
    for (const char *const *key = keys; *key; key++) {
        const struct json_value *list = message_list(json_get(value, *key), depth + 1);
        if (list) {
            return list;
        }
    }
    return NULL;
}

static const struct json_value *choice_message(const struct json_value *value)
{
    const struct json_value *inner = json_get(value, "message");
    return json_kind(inner) == JSON_OBJECT ? inner : value;
}

static bool input_from(struct reading *reading, const struct json_value *root)
{
    struct conversation conversation;
    struct message message;
    if (!reading_input_begin(reading, &conversation)) {
        return true;
    }
    const struct json_value *list = message_list(root, 0);
    bool any = false;
    if (!list && message_read(reading, root, &message, SPEAKER_USER)) {
        reading_input_message(reading, &conversation, &message);
        any = true;
    }
    if (json_kind(root) == JSON_OBJECT) {  // Anthropic's system beside the messages
        struct bytes system = message_json_text(reading, json_get(root, "system"));
        reading_fill(reading, &conversation.system, system);
    }
    size_t count = json_count(list);
    reading->truncated |= count > MESSAGES_MAX;
    for (size_t i = count > MESSAGES_MAX ? count - MESSAGES_MAX : 0; i < count; i++) {
        if (message_read(reading, json_at(list, i), &message, SPEAKER_USER)) {
            reading_input_message(reading, &conversation, &message);
            any = true;
        }
    }
    reading_input_end(reading, &conversation);
    return any;
}

bool message_json_input(struct reading *reading, struct bytes text)
{
    struct json_document *document;
    if (reading_is_hidden(text) || !json_open(reading, text, &document)) {
        return false;
    }
    bool any = input_from(reading, json_root(document));
    json_free(&document);
    return any;
}

static bool output_from(struct reading *reading, const struct json_value *root)
{
    struct message message;
    const struct json_value *list = message_list(root, 0);
    bool any = false;
    if (!list || json_kind(json_get(root, "role")) == JSON_TEXT) {
        any = message_read(reading, choice_message(root), &message, SPEAKER_ASSISTANT);
        if (any) {
            reading_output_message(reading, &message);
        }
        return any;
    }
    size_t count = json_count(list);
    reading->truncated |= count > MESSAGES_MAX;
    // A state (LangGraph) carries the whole conversation: only what follows its last user counts.
    size_t from = count > MESSAGES_MAX ? count - MESSAGES_MAX : 0;
    for (size_t i = from; i < count; i++) {
        if (message_read(reading, choice_message(json_at(list, i)), &message, SPEAKER_ASSISTANT) &&
            message.speaker == SPEAKER_USER) {
            from = i + 1;
        }
    }
    struct bytes last = BYTES_NONE;
    for (size_t i = from; i < count; i++) {
        const struct json_value *item = json_at(list, i);
        if (!message_read(reading, choice_message(item), &message, SPEAKER_ASSISTANT)) {
            continue;
        }
        any = true;
        if (message.finish_reason.len == 0) {
            message.finish_reason = reading_keep(reading, json_get_text(item, "finish_reason"));
        }
        bool answer = message.speaker == SPEAKER_ASSISTANT && message.text.len > 0;
        if (answer && count - from > 1 && message.call_count == 0 &&
            json_kind(json_get(item, "index")) == JSON_NULL && i + 1 < count) {
            last = message.text;  // an interim answer, unless nothing follows
            message.text = BYTES_NONE;
        }
        reading_output_message(reading, &message);
    }
    reading_fill(reading, &reading->response, last);
    if (reading->response.len > 0 && !reading->output_done) {
        const struct json_value *end = choice_message(json_at(list, count - 1));
        if (message_read(reading, end, &message, SPEAKER_ASSISTANT) && message.call_count == 0 &&
            message.speaker == SPEAKER_ASSISTANT) {
            reading->pending_tools = false;  // the last word is an answer
        }
    }
    return any;
}

bool message_json_output(struct reading *reading, struct bytes text)
{
    struct json_document *document;
    if (reading_is_hidden(text) || reading->output_done || !json_open(reading, text, &document)) {
        return false;
    }
    bool any = output_from(reading, json_root(document));
    json_free(&document);
    return any;
}

void message_json_system(struct reading *reading, struct bytes text)
{
    struct bytes trimmed = bytes_trim(text);
    struct json_document *document;
    if (trimmed.len == 0 || (trimmed.ptr[0] != '[' && trimmed.ptr[0] != '{') ||
        !json_open(reading, trimmed, &document)) {
        reading_fill(reading, &reading->system, text);
        return;
    }
    reading_fill(reading, &reading->system, message_json_text(reading, json_root(document)));
    json_free(&document);
}

static void document_read(struct reading *reading, const struct json_value *value, unsigned depth)
{
    static const char *const contents[] = {"content", "page_content", "text", "document",
                                           "chunk",   "pageContent",  NULL};
    if (json_kind(value) == JSON_TEXT) {
        reading_context(reading, reading_keep(reading, json_text(value)));
        return;
    }
    if (json_kind(value) != JSON_OBJECT || depth >= NEST_MAX) {
        return;
    }
    const struct json_value *content = first_value(value, contents);
    if (content) {
        reading_context(reading, message_json_text(reading, content));
        return;
    }
    static const char *const wrappers[] = {"kwargs", "node", "metadata", NULL};
    for (const char *const *key = wrappers; *key; key++) {
        if (json_kind(json_get(value, *key)) == JSON_OBJECT) {
            document_read(reading, json_get(value, *key), depth + 1);
            return;
        }
    }
}

void message_json_documents(struct reading *reading, struct bytes text)
{
    static const char *const lists[] = {"documents", "output", "outputs", "results",
                                        "matches",   "docs",   NULL};
    struct json_document *document;
    if (reading_is_hidden(text) || !json_open(reading, text, &document)) {
        return;
    }
    const struct json_value *root = json_root(document);
    if (json_kind(root) == JSON_OBJECT && first_value(root, lists)) {
        root = first_value(root, lists);
    }
    if (json_kind(root) != JSON_ARRAY) {
        document_read(reading, root, 0);
    }
    for (size_t i = 0; i < json_count(root) && i < MESSAGES_MAX; i++) {
        if (json_kind(root) == JSON_ARRAY) {
            document_read(reading, json_at(root, i), 0);
        }
    }
    json_free(&document);
}
