// SPDX-License-Identifier: Apache-2.0
// What was read from one span: the content facts, whatever dialect wrote them. Texts are views into
// the batch or into `scratch`; the caller copies what it keeps. A field is filled once, by the
// first source that has it (dialects.md 7.2): sources are never merged, but for tool calls and
// system text. One thread.
//
// A conversation is read message by message: begin, one call per message in order, end. The last
// user message with text is the question; tool calls and results before it belong to earlier turns
// and are left out.
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "processor/interaction.h"

#define READING_SCRATCH_MAX ((size_t)4 << 20)

struct reading {
    struct arena *scratch;
    struct bytes question, system, response;
    struct bytes agent_name, model, provider, conversation_id, response_id;
    struct bytes finish_reason;  // normalised (reading_finish)
    struct bytes error_type;
    struct bytes contexts[INTERACTION_CONTEXTS_MAX];
    size_t context_count;
    struct tool_call tool_calls[INTERACTION_TOOL_CALLS_MAX];
    size_t tool_call_count;
    struct tool_call self;            // of a tool span: itself
    bool question_raw, response_raw;  // JSON that could not be taken apart: last resort
    bool pending_tools;               // the output asks for tools: not an answer yet
    bool json_requested;
    bool truncated;                // something was cut, here or by the SDK
    bool hidden;                   // content was there and masked by the instrumentation
    bool input_done, output_done;  // a source filled this side
    bool has_usage;
    uint64_t input_tokens, output_tokens;
    double cost_usd;
};

void reading_init(struct reading *reading, struct arena *scratch);
// Empty, or one of the words that instrumentations write in place of content.
bool reading_is_hidden(struct bytes text);
// Sets *field to `text` if it is empty and the text is content; marks `hidden` for masks.
void reading_fill(struct reading *reading, struct bytes *field, struct bytes text);
void reading_finish(struct reading *reading, struct bytes raw);  // normalises, first one wins
void reading_context(struct reading *reading, struct bytes text);
// Text kept in scratch.
struct bytes reading_keep(struct reading *reading, struct bytes text);

enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_ASSISTANT, SPEAKER_TOOL };
enum speaker reading_speaker(struct bytes role);

#define MESSAGE_CALLS_MAX 16
struct message {
    enum speaker speaker;
    struct bytes text;                     // all text parts, joined
    struct bytes tool_call_id, tool_name;  // of a tool's answer
    bool has_result;
    bool failed;
    struct tool_call calls[MESSAGE_CALLS_MAX];  // asked for by an assistant, or answered
    size_t call_count;
    struct bytes finish_reason;
};

struct conversation {  // input side, while it is read
    struct bytes question, system;
    size_t calls_at;  // reading->tool_call_count at the start
    bool any;
};
// False when an earlier source has filled this side.
bool reading_input_begin(struct reading *reading, struct conversation *conversation);
void reading_input_message(struct reading *reading, struct conversation *conversation,
                           const struct message *message);
void reading_input_end(struct reading *reading, struct conversation *conversation);
void reading_output_message(struct reading *reading, const struct message *message);

// Adds a call or its result; a known id is completed.
void reading_tool_call(struct reading *reading, const struct tool_call *call);
// A result that says of itself that it failed ({"error": ...}, {"isError": true} ...).
bool reading_result_failed(struct bytes result);
