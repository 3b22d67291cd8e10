// SPDX-License-Identifier: Apache-2.0
// The accumulator behind all dialects. Chosen: one flat record that dialects fill by rules kept in
// one place (what is a mask, whose turn counts, how finish reasons are called), so that a dialect
// only has to find its keys. Refused: a message list in memory, because instrumentations repeat the
// whole history on every span and only the last turn of it is wanted.
//
// Bounds: 64 contexts, 64 tool calls; beyond them `truncated` is set. Pure; any thread.
#include "processor/reading.h"

#include <string.h>

void reading_init(struct reading *reading, struct arena *scratch)
{
    memset(reading, 0, sizeof(*reading));
    reading->scratch = scratch;
}

bool reading_is_hidden(struct bytes text)
{
    static const char *const masks[] = {"__REDACTED__", "<REDACTED>",       "[REDACTED]",
                                        "REDACTED",     "FILTERED",         "<not specified>",
                                        "[FILTERED]",   "<redacted>",       "{}",
                                        "[]",           "\"__REDACTED__\"", "null"};
    text = bytes_trim(text);
    if (text.len > 16) {
        return false;
    }
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        if (bytes_equal_text(text, masks[i])) {
            return true;
        }
    }
    return text.len == 0;
}

void reading_fill(struct reading *reading, struct bytes *field, struct bytes text)
{
    if (field->len > 0 || text.len == 0) {
        return;
    }
    if (reading_is_hidden(text)) {
        reading->hidden |= bytes_find(text, BYTES_LITERAL("RED"), 0) != SIZE_MAX;
        return;
    }
    *field = text;
}

static bool word_in(struct bytes word, const char *const *words)
{
    for (; *words; words++) {
        if (bytes_equal_nocase(word, *words)) {
            return true;
        }
    }
    return false;
}

// dialects.md 7.3. Case folded, an enum's prefix ("FinishReason.STOP") and what follows a comma
// taken off.
void reading_finish(struct reading *reading, struct bytes raw)
{
    static const char *const stop[] = {"stop", "end_turn", "stop_sequence", "end", NULL};
    static const char *const length[] = {"length", "max_tokens", "model_length",
                                         "max_output_tokens", NULL};
    static const char *const tool[] = {"tool_call", "tool_calls",    "tool-calls",
                                       "tool_use",  "function_call", NULL};
    static const char *const filter[] = {
        "content_filter",     "content-filter", "content_filtered",     "safety",  "recitation",
        "prohibited_content", "blocklist",      "guardrail_intervened", "refusal", NULL};
    static const char *const pause[] = {"pause_turn", NULL};
    if (reading->finish_reason.len > 0) {
        return;
    }
    size_t comma = bytes_find(raw, BYTES_LITERAL(","), 0);
    struct bytes word = bytes_trim(comma == SIZE_MAX ? raw : bytes_slice(raw, 0, comma));
    size_t dot = bytes_find(word, BYTES_LITERAL("."), 0);
    if (dot != SIZE_MAX) {
        word = bytes_slice(word, dot + 1, word.len);
    }
    if (word.len == 0) {
        return;
    }
    reading->finish_reason = word_in(word, stop)     ? BYTES_LITERAL("stop")
                             : word_in(word, length) ? BYTES_LITERAL("length")
                             : word_in(word, tool)   ? BYTES_LITERAL("tool_call")
                             : word_in(word, filter) ? BYTES_LITERAL("content_filter")
                             : word_in(word, pause)  ? BYTES_LITERAL("pause")
                                                     : BYTES_LITERAL("error");
    if (bytes_equal_text(reading->finish_reason, "tool_call")) {
        reading->pending_tools = true;
    }
}

void reading_context(struct reading *reading, struct bytes text)
{
    text = bytes_trim(text);
    if (reading_is_hidden(text)) {
        return;
    }
    if (reading->context_count == INTERACTION_CONTEXTS_MAX) {
        reading->truncated = true;
        return;
    }
    reading->contexts[reading->context_count++] = text;
}

struct bytes reading_keep(struct reading *reading, struct bytes text)
{
    if (text.len == 0) {
        return BYTES_NONE;
    }
    struct bytes kept = arena_copy(reading->scratch, text);
    if (kept.len == 0) {
        reading->truncated = true;
    }
    return kept;
}

enum speaker reading_speaker(struct bytes role)
{
    static const char *const system[] = {"system", "developer", NULL};
    static const char *const assistant[] = {"assistant", "ai", "model", "AIMessage", NULL};
    static const char *const tool[] = {"tool", "function", "ToolMessage", "ipython", NULL};
    if (word_in(role, system)) {
        return SPEAKER_SYSTEM;
    }
    if (word_in(role, assistant)) {
        return SPEAKER_ASSISTANT;
    }
    return word_in(role, tool) ? SPEAKER_TOOL : SPEAKER_USER;
}

bool reading_input_begin(struct reading *reading, struct conversation *conversation)
{
    *conversation = (struct conversation){.calls_at = reading->tool_call_count};
    return !reading->input_done;
}

static bool has_results_only(const struct message *message)
{
    return message->call_count > 0 && bytes_trim(message->text).len == 0;
}

void reading_input_message(struct reading *reading, struct conversation *conversation,
                           const struct message *message)
{
    struct bytes text = reading_is_hidden(message->text) ? BYTES_NONE : message->text;
    if (text.len == 0 && message->text.len > 0) {
        reading->hidden = true;
    }
    conversation->any |= text.len > 0 || message->call_count > 0;
    switch (message->speaker) {
    case SPEAKER_SYSTEM:
        if (conversation->system.len == 0) {
            conversation->system = text;
        }
        return;
    case SPEAKER_USER:
        if (text.len > 0 && !has_results_only(message)) {
            conversation->question = text;
            reading->tool_call_count = conversation->calls_at;  // a new turn begins
        }
        break;
    case SPEAKER_TOOL:
        if (message->call_count == 0) {
            struct tool_call call = {.id = message->tool_call_id,
                                     .name = message->tool_name,
                                     .result = text,
                                     .failed = message->failed || reading_result_failed(text)};
            reading_tool_call(reading, &call);
        }
        break;
    case SPEAKER_ASSISTANT:
        break;
    }
    for (size_t i = 0; i < message->call_count; i++) {
        reading_tool_call(reading, &message->calls[i]);
    }
}

void reading_input_end(struct reading *reading, struct conversation *conversation)
{
    if (!conversation->any) {
        return;
    }
    reading_fill(reading, &reading->question, conversation->question);
    reading_fill(reading, &reading->system, conversation->system);
    reading->input_done = reading->question.len > 0;
}

void reading_output_message(struct reading *reading, const struct message *message)
{
    if (reading->output_done) {
        return;
    }
    if (message->finish_reason.len > 0) {
        reading_finish(reading, message->finish_reason);
    }
    if (message->speaker == SPEAKER_TOOL || message->speaker == SPEAKER_SYSTEM) {
        return;
    }
    for (size_t i = 0; i < message->call_count; i++) {
        reading_tool_call(reading, &message->calls[i]);
        reading->pending_tools |= message->calls[i].result.len == 0;
    }
    reading_fill(reading, &reading->response, message->text);
}

void reading_tool_call(struct reading *reading, const struct tool_call *call)
{
    for (size_t i = 0; call->id.len > 0 && i < reading->tool_call_count; i++) {
        struct tool_call *known = &reading->tool_calls[i];
        if (!bytes_equal(known->id, call->id)) {
            continue;
        }
        reading_fill(reading, &known->name, call->name);
        reading_fill(reading, &known->arguments, call->arguments);
        reading_fill(reading, &known->result, call->result);
        known->failed |= call->failed;
        return;
    }
    if (reading->tool_call_count == INTERACTION_TOOL_CALLS_MAX) {
        reading->truncated = true;
        return;
    }
    struct tool_call *added = &reading->tool_calls[reading->tool_call_count++];
    *added = (struct tool_call){.id = call->id, .name = call->name, .failed = call->failed};
    reading_fill(reading, &added->arguments, call->arguments);
    reading_fill(reading, &added->result, call->result);
}

bool reading_result_failed(struct bytes result)
{
    result = bytes_trim(result);
    if (result.len < 8 || result.len > 65536 || result.ptr[0] != '{') {
        return bytes_start_with(result, BYTES_LITERAL("Error:")) ||
               bytes_start_with(result, BYTES_LITERAL("Traceback (most recent"));
    }
    if (bytes_find(result, BYTES_LITERAL("rror"), 0) == SIZE_MAX) {
        return false;
    }
    struct json_document *document;
    if (json_parse(result, &document, NULL) != RESULT_OK) {
        return false;
    }
    const struct json_value *root = json_root(document);
    const struct json_value *error = json_get(root, "error");
    bool failed = json_bool(json_get(root, "isError")) || json_bool(json_get(root, "is_error")) ||
                  json_bool(error) || json_text(error).len > 0 || json_count(error) > 0;
    json_free(&document);
    return failed;
}
