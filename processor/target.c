// SPDX-License-Identifier: Apache-2.0
// The choice goes down a ladder: agents without an agent above them; else the outermost workflow or
// chain; else the span that holds the exchange, or the last model span that is not waiting for
// tools (zero-code instrumentation gives `chat` spans under an HTTP server span and nothing else).
// Evaluators and what they call are no rung of it.
//
// Bounds: 64 targets per fragment; ancestor walks stop at the fragment's border. Pure.
#include "processor/target.h"

typedef bool (*span_test)(const struct trace_span *span);

static bool is_agent(const struct trace_span *span)
{
    return span->role == ROLE_AGENT;
}

static bool is_flow(const struct trace_span *span)
{
    return span->role == ROLE_WORKFLOW || span->role == ROLE_CHAIN;
}

static bool is_model(const struct trace_span *span)
{
    return span->role == ROLE_LLM;
}

static bool is_evaluator(const struct trace_span *span)
{
    return span->own_evaluation;
}

static bool holds_exchange(const struct trace_span *span)
{
    if (span->role != ROLE_OTHER && span->role != ROLE_LLM) {
        return false;
    }
    const struct evidence *evidence = span->evidence;
    return evidence && evidence->question.len > 0 && evidence->response.len > 0;
}

static bool any_above(const struct trace_span *span, span_test test)
{
    const struct trace_span *at = span;
    for (unsigned depth = 0; depth < TRACE_SPANS_MAX; depth++) {
        if (at == span->top || !at->parent || at->parent->top != span->top) {
            return false;
        }
        at = at->parent;
        if (test(at)) {
            return true;
        }
    }
    return false;
}

static bool is_candidate(const struct trace_span *span, const struct trace_span *top)
{
    return span->top == top && !span->decided && !span->own_evaluation &&
           !any_above(span, is_evaluator);
}

static void choose(struct target_choice *choice, struct trace_span *span)
{
    if (choice->count < TARGETS_PER_FRAGMENT_MAX) {
        choice->spans[choice->count++] = span;
    }
}

static void choose_agents(const struct trace *trace, const struct trace_span *top,
                          struct target_choice *choice)
{
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (is_agent(span) && is_candidate(span, top) && !any_above(span, is_agent)) {
            choose(choice, span);
        }
    }
}

static void choose_flow(const struct trace *trace, const struct trace_span *top,
                        struct target_choice *choice)
{
    struct trace_span *best = NULL;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (!is_flow(span) || !is_candidate(span, top) || any_above(span, is_flow)) {
            continue;
        }
        if (!best || span->depth < best->depth ||
            (span->depth == best->depth && span->end_ns > best->end_ns)) {
            best = span;
        }
    }
    if (best) {
        choose(choice, best);
    }
}

static bool is_pending(const struct trace_span *span)
{
    return span->evidence && span->evidence->pending_tools;
}

static struct trace_span *last_model(const struct trace *trace, const struct trace_span *top)
{
    struct trace_span *best = NULL;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (!is_model(span) || !is_candidate(span, top)) {
            continue;
        }
        bool better = best && is_pending(best) != is_pending(span)
                          ? is_pending(best)
                          : !best || span->end_ns >= best->end_ns;
        best = better ? span : best;
    }
    return best;
}

static void choose_exchange(const struct trace *trace, const struct trace_span *top,
                            struct target_choice *choice)
{
    struct trace_span *outermost = NULL;
    unsigned count = 0;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (holds_exchange(span) && is_candidate(span, top) && !any_above(span, holds_exchange)) {
            outermost = span;
            count++;
        }
    }
    struct trace_span *chosen = count == 1 ? outermost : last_model(trace, top);
    if (chosen) {
        choose(choice, chosen);
        choice->whole = true;
    }
}

static void choose_models(const struct trace *trace, const struct trace_span *top,
                          struct target_choice *choice)
{
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (is_model(span) && is_candidate(span, top) && !any_above(span, is_model) &&
            !is_pending(span)) {
            choose(choice, span);
        }
    }
}

static void choose_own_evaluation(const struct trace *trace, const struct trace_span *top,
                                  struct target_choice *choice)
{
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->top == top && !span->decided && span->own_evaluation &&
            !any_above(span, is_evaluator)) {
            choose(choice, span);
            choice->own_evaluation = true;
            return;
        }
    }
}

void targets_choose(const struct trace *trace, const struct trace_span *top, enum target_mode mode,
                    struct target_choice *choice)
{
    *choice = (struct target_choice){0};
    if (mode == TARGET_LLM) {
        choose_models(trace, top, choice);
    } else {
        choose_agents(trace, top, choice);
    }
    if (mode == TARGET_AUTO && choice->count == 0) {
        choose_flow(trace, top, choice);
    }
    if (mode == TARGET_AUTO && choice->count == 0) {
        choose_exchange(trace, top, choice);
    }
    if (choice->count == 0) {
        choose_own_evaluation(trace, top, choice);
    }
}

bool target_is_possible(enum role role, enum target_mode mode, bool agentless)
{
    switch (role) {
    case ROLE_AGENT:
        return mode != TARGET_LLM;
    case ROLE_WORKFLOW:
    case ROLE_CHAIN:
        return mode == TARGET_AUTO;
    case ROLE_LLM:
        return mode == TARGET_LLM || (mode == TARGET_AUTO && agentless);
    default:
        return false;
    }
}
