// SPDX-License-Identifier: Apache-2.0
// What is graded: the user's input, the system instructions, the retrieved contexts, the tool calls
// with their results, and the response, extracted from the spans of one fragment, with the facts
// that rules and records need. All texts are views into the arena of the interaction's trace
// (bounded parts: at most 256 KiB in all, head and tail kept); they die with it. A judge gets a
// redacted copy, never this.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"

#define INTERACTION_BYTES_MAX ((size_t)256 << 10)
#define INTERACTION_CONTEXTS_MAX 64
#define INTERACTION_TOOL_CALLS_MAX 64

struct tool_call {
    struct bytes id, name;
    struct bytes arguments;  // JSON text as it came; empty when not captured
    struct bytes result;     // text or JSON text; empty when not captured
    bool failed;             // ERROR status of its span, or an error marked in the result
};

struct interaction {
    struct trace_id trace_id;
    struct span_id target;          // the span that carries the score
    struct span_id content_source;  // span of the response; equals target where it is the same
    struct bytes target_name, service_name, agent_name;
    struct bytes model, provider;  // response model over request model
    struct bytes conversation_id, response_id;
    struct bytes dialect;  // "genai", "openinference", "openllmetry"; of the response
    struct bytes system;   // system instructions
    struct bytes
        question;  // the user turn to grade: last user message of the topmost span that has one
    struct bytes response;  // final answer
    struct bytes contexts[INTERACTION_CONTEXTS_MAX];
    size_t context_count;
    struct tool_call tool_calls[INTERACTION_TOOL_CALLS_MAX];
    size_t tool_call_count;
    struct bytes finish_reason;  // normalised: stop, length, tool_call, content_filter, error,
                                 // pause; empty when unknown
    bool json_requested;  // gen_ai.output.type json, response_format json_object / json_schema
    bool has_error;       // target or response span has status ERROR or error.type
    struct bytes error_type;
    bool bad_feedback;          // of the whole trace, before this was decided
    bool has_content;           // some of question and response was captured
    bool truncated;             // parts were cut (by us, by the SDK, or given up)
    bool incomplete;            // parts of the fragment are known to be missing
    uint64_t start_ns, end_ns;  // of the target, wall time
    uint64_t input_tokens, output_tokens;
    double cost_usd;
    uint64_t rule_matches;  // bit k set: attributes of the target or its resource match rule k of
                            // the sampling rules
    struct bytes environment, session_id, user_id;  // where scores are sent; else empty
    struct bytes dimensions[8];  // values of the configured `dimensions`, empty where absent
};
