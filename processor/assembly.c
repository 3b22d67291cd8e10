// SPDX-License-Identifier: Apache-2.0
// A few passes over the trace's list of spans, each looking for one part. Chosen: passes over a
// flat list of at most 4,096 entries need no tree and no memory. Refused: a tree of children, built
// for one use and thrown away.
//
// Bounds: 256 KiB of text, 64 contexts, 64 tool calls. Thread: the shard's.
#include "processor/assembly.h"

#include <string.h>

#include "base/utf8.h"

struct assembly {
    struct trace *trace;
    const struct trace_span *target;
    bool whole;
    size_t room;  // bytes left of INTERACTION_BYTES_MAX
    struct interaction *out;
};

static bool in_scope(const struct assembly *assembly, const struct trace_span *span)
{
    if (span == assembly->target) {
        return true;
    }
    if (span->own_evaluation || (span->parent && span->parent->own_evaluation)) {
        return false;
    }
    return (assembly->whole && span->top == assembly->target->top) ||
           trace_is_above(assembly->target, span);
}

static unsigned distance(const struct assembly *assembly, const struct trace_span *span)
{
    if (span == assembly->target || trace_is_above(assembly->target, span)) {
        return span->level - assembly->target->level;
    }
    return span->level + 1;
}

static struct bytes fit(struct assembly *assembly, struct bytes text)
{
    if (text.len > assembly->room) {
        text = utf8_prefix(text, assembly->room);
        assembly->out->truncated = true;
    }
    assembly->room -= text.len;
    return text;
}

// Topmost first, among equals the earliest; what could not be taken apart only when there is
// nothing else.
static const struct trace_span *question_span(const struct assembly *assembly)
{
    const struct trace_span *best = NULL;
    unsigned best_distance = 0;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        const struct evidence *evidence = span->evidence;
        if (!evidence || evidence->question.len == 0 || !in_scope(assembly, span) ||
            span->role == ROLE_TOOL || span->role == ROLE_RETRIEVER ||
            span->role == ROLE_RERANKER || span->role == ROLE_EMBEDDING) {
            continue;
        }
        unsigned steps = distance(assembly, span);
        bool raw = evidence->question_raw;
        bool better = !best;
        if (best && raw != best->evidence->question_raw) {
            better = !raw;
        } else if (best) {
            better = steps < best_distance ||
                     (steps == best_distance && span->start_ns < best->start_ns);
        }
        if (better) {
            best = span;
            best_distance = steps;
        }
    }
    return best;
}

static bool answers(const struct trace_span *span)
{
    return span->role == ROLE_LLM && span->evidence && span->evidence->response.len > 0 &&
           !span->evidence->pending_tools;
}

static const struct trace_span *response_span(const struct assembly *assembly)
{
    const struct trace_span *target = assembly->target;
    const struct evidence *own = target->evidence;
    if (own && own->response.len > 0 && !own->response_raw) {
        return target;
    }
    const struct trace_span *best = NULL, *other = NULL;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (!span->evidence || span == target || !in_scope(assembly, span)) {
            continue;
        }
        if (answers(span) && (!best || span->end_ns >= best->end_ns)) {
            best = span;
        }
        bool flow = span->role == ROLE_CHAIN || span->role == ROLE_WORKFLOW ||
                    span->role == ROLE_AGENT || span->role == ROLE_OTHER;
        if (flow && span->evidence->response.len > 0 && !span->evidence->response_raw &&
            (!other || span->end_ns >= other->end_ns)) {
            other = span;
        }
    }
    if (best) {
        return best;
    }
    return own && own->response.len > 0 ? target : other;
}

static void first_text(struct bytes *field, struct bytes text)
{
    if (field->len == 0) {
        *field = text;
    }
}

static void take_attribution(struct interaction *out, const struct evidence *evidence)
{
    first_text(&out->environment, evidence->environment);
    first_text(&out->session_id, evidence->session_id);
    first_text(&out->user_id, evidence->user_id);
}

static void take_facts(struct assembly *assembly, const struct evidence *evidence)
{
    struct interaction *out = assembly->out;
    first_text(&out->agent_name, evidence->agent_name);
    first_text(&out->model, evidence->model);
    first_text(&out->provider, evidence->provider);
    first_text(&out->conversation_id, evidence->conversation_id);
    first_text(&out->response_id, evidence->response_id);
    first_text(&out->finish_reason, evidence->finish_reason);
    first_text(&out->error_type, evidence->error_type);
    out->json_requested |= evidence->json_requested;
    out->truncated |= evidence->truncated;
}

static void context_add(struct assembly *assembly, struct bytes text)
{
    struct interaction *out = assembly->out;
    if (text.len == 0) {
        return;
    }
    for (size_t i = 0; i < out->context_count; i++) {
        if (bytes_equal(out->contexts[i], text)) {
            return;
        }
    }
    if (out->context_count == INTERACTION_CONTEXTS_MAX || assembly->room == 0) {
        out->truncated = true;
        return;
    }
    out->contexts[out->context_count++] = fit(assembly, text);
}

static void contexts_collect(struct assembly *assembly)
{
    const struct interaction *out = assembly->out;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (span->evidence && span->evidence->context_count > 0 && in_scope(assembly, span)) {
            for (size_t i = 0; i < span->evidence->context_count; i++) {
                context_add(assembly, span->evidence->contexts[i]);
            }
        }
    }
    for (size_t i = 0; i < out->tool_call_count; i++) {
        if (!out->tool_calls[i].failed) {
            context_add(assembly, out->tool_calls[i].result);
        }
    }
}

static struct tool_call *call_known(struct interaction *out, const struct tool_call *call,
                                    size_t from_spans, uint64_t *paired)
{
    for (size_t i = 0; i < out->tool_call_count; i++) {
        struct tool_call *known = &out->tool_calls[i];
        if (call->id.len > 0 && bytes_equal(known->id, call->id)) {
            return known;
        }
    }
    for (size_t i = 0; i < from_spans; i++) {
        struct tool_call *known = &out->tool_calls[i];
        bool free_name = known->id.len == 0 && !(*paired >> i & 1);
        if (free_name && bytes_equal(known->name, call->name)) {
            *paired |= UINT64_C(1) << i;  // the span of this call, which does not name the id
            return known;
        }
    }
    return NULL;
}

static void call_add(struct assembly *assembly, const struct tool_call *call, size_t from_spans,
                     uint64_t *paired)
{
    struct interaction *out = assembly->out;
    struct tool_call *known = call_known(out, call, from_spans, paired);
    if (known) {
        first_text(&known->id, call->id);
        first_text(&known->arguments, call->arguments);
        first_text(&known->result, call->result);
        known->failed |= call->failed;
        return;
    }
    if (out->tool_call_count == INTERACTION_TOOL_CALLS_MAX) {
        out->truncated = true;
        return;
    }
    struct tool_call *added = &out->tool_calls[out->tool_call_count++];
    *added = *call;
    added->arguments = fit(assembly, call->arguments);
    added->result = fit(assembly, call->result);
}

static void calls_collect(struct assembly *assembly)
{
    uint64_t paired = 0;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (span->role == ROLE_TOOL && span->evidence && in_scope(assembly, span)) {
            call_add(assembly, &span->evidence->self, 0, &paired);
        }
    }
    size_t from_spans = assembly->out->tool_call_count;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (span->role == ROLE_TOOL || !span->evidence || !in_scope(assembly, span)) {
            continue;
        }
        for (size_t i = 0; i < span->evidence->tool_call_count; i++) {
            call_add(assembly, &span->evidence->tool_calls[i], from_spans, &paired);
        }
    }
}

// Only the deepest spans with usage count: agents and wrappers repeat what their models used.
static void usage_sum(struct assembly *assembly)
{
    struct interaction *out = assembly->out;
    for (struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        span->mark = 0;
    }
    for (struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (span->evidence && span->evidence->has_usage && in_scope(assembly, span)) {
            struct trace_span *at = span->parent;
            for (; at && !at->mark; at = at->parent) {  // above a marked one all are
                at->mark = 1;
            }
        }
    }
    for (struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (span->evidence && span->evidence->has_usage && !span->mark &&
            in_scope(assembly, span)) {
            out->input_tokens += span->evidence->input_tokens;
            out->output_tokens += span->evidence->output_tokens;
            out->cost_usd += span->evidence->cost_usd;
        }
    }
}

static void take_rest(struct assembly *assembly)
{
    struct interaction *out = assembly->out;
    for (const struct trace_span *span = assembly->trace->spans; span; span = span->next) {
        if (!span->evidence || !in_scope(assembly, span)) {
            continue;
        }
        first_text(&out->agent_name, span->evidence->agent_name);
        first_text(&out->conversation_id, span->evidence->conversation_id);
        take_attribution(out, span->evidence);
        if (span->role == ROLE_LLM) {
            first_text(&out->model, span->evidence->model);
            first_text(&out->provider, span->evidence->provider);
            first_text(&out->system, span->evidence->system);
        }
        out->incomplete |= span->adopted;
    }
    out->system = fit(assembly, out->system);
}

static void take_target(struct assembly *assembly)
{
    const struct trace_span *target = assembly->target;
    struct interaction *out = assembly->out;
    const struct evidence *evidence = target->evidence;
    out->trace_id = assembly->trace->id;
    out->target = target->id;
    out->content_source = target->id;
    out->start_ns = target->start_ns;
    out->end_ns = target->end_ns;
    out->has_error = target->failed;
    out->incomplete = assembly->trace->late || !target->top->local_root;
    out->truncated = assembly->trace->truncated;
    if (evidence) {
        out->target_name = evidence->name;
        take_attribution(out, evidence);
        out->service_name = evidence->service;
        out->rule_matches = evidence->rule_matches;
        memcpy(out->dimensions, evidence->dimensions, sizeof(out->dimensions));
    }
}

// Position behind `word` where it starts a line, the last such line; SIZE_MAX if there is none.
static size_t line_after(struct bytes text, const char *word)
{
    struct bytes view = bytes_from_text(word);
    size_t found = SIZE_MAX;
    for (size_t i = 0; i + view.len <= text.len; i++) {
        bool starts = i == 0 || text.ptr[i - 1] == '\n';
        if (starts && bytes_equal_nocase(bytes_slice(text, i, view.len), word)) {
            found = i + view.len;
        }
        const uint8_t *line = memchr(text.ptr + i, '\n', text.len - i);
        if (!line) {
            break;
        }
        i = (size_t)(line - text.ptr);
    }
    return found;
}

// Where nothing was retrieved in sight, the program has often put what it retrieved into the user's
// turn: "Documents: ... Question: ...". Then the part before is context and the rest the question.
static void question_split(struct assembly *assembly)
{
    static const char *const heads[] = {
        "documents:",           "context:", "contexts:", "sources:", "context information:",
        "retrieved documents:", NULL};
    static const char *const tails[] = {"question:", "user question:", "query:", NULL};
    struct interaction *out = assembly->out;
    struct bytes text = bytes_trim(out->question);
    size_t head = SIZE_MAX, tail = SIZE_MAX, tail_at = 0;
    for (size_t i = 0; heads[i] && head == SIZE_MAX; i++) {
        struct bytes start = bytes_slice(text, 0, strlen(heads[i]));
        head = bytes_equal_nocase(start, heads[i]) ? start.len : SIZE_MAX;
    }
    for (size_t i = 0; tails[i] && head != SIZE_MAX && tail == SIZE_MAX; i++) {
        tail = line_after(text, tails[i]);
        tail_at = tail == SIZE_MAX ? 0 : tail - strlen(tails[i]);
    }
    if (out->context_count > 0 || tail == SIZE_MAX || tail_at <= head) {
        return;
    }
    struct bytes question = bytes_trim(bytes_slice(text, tail, text.len));
    struct bytes context = bytes_trim(bytes_slice(text, head, tail_at - head));
    if (question.len > 0 && context.len > 0) {
        out->question = question;
        out->contexts[out->context_count++] = context;
    }
}

void assembly_build(struct trace *trace, const struct trace_span *target, bool whole,
                    struct interaction *interaction)
{
    struct assembly assembly = {.trace = trace,
                                .target = target,
                                .whole = whole,
                                .room = INTERACTION_BYTES_MAX,
                                .out = interaction};
    memset(interaction, 0, sizeof(*interaction));
    interaction->bad_feedback = trace->bad_feedback;
    take_target(&assembly);
    const struct trace_span *asked = question_span(&assembly);
    const struct trace_span *answered = response_span(&assembly);
    if (asked) {
        interaction->question = fit(&assembly, asked->evidence->question);
        interaction->truncated |= asked->evidence->truncated;
    }
    int dialect = target->dialect;
    if (answered) {
        interaction->response = fit(&assembly, answered->evidence->response);
        interaction->content_source = answered->id;
        interaction->has_error |= answered->failed;
        interaction->system = answered->evidence->system;
        dialect = answered->dialect;
        take_facts(&assembly, answered->evidence);
    }
    if (target->evidence) {
        first_text(&interaction->system, target->evidence->system);
        take_facts(&assembly, target->evidence);
    }
    interaction->has_error |= interaction->error_type.len > 0;
    if (dialect >= 0) {
        interaction->dialect = bytes_from_text(dialects[dialect]->name);
    }
    interaction->has_content = interaction->question.len > 0 || interaction->response.len > 0;
    take_rest(&assembly);
    calls_collect(&assembly);
    contexts_collect(&assembly);
    question_split(&assembly);
    usage_sum(&assembly);
}
