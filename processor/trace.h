// SPDX-License-Identifier: Apache-2.0
// One trace on its shard: an index of its spans (id, parent, role, times) and, apart from it, the
// evidence that interactions need of them: bounded copies of texts, since a forwarded span pins
// nothing. Both live in arenas that are freed whole. Fragments are found when somebody asks
// (trace_resolve): a local root with its descendants, or all spans whose roots have not come.
// DESIGN 3 "Completion is detected per fragment". One thread: the shard's.
#pragma once

#include "base/metadata.h"
#include "base/timers.h"
#include "processor/sampling.h"
#include "processor/span_note.h"
#include "proto/decision_debt.h"

#define TRACE_SPANS_MAX 4096u  // indexed per trace; what is beyond marks it truncated
#define TRACE_INDEX_BYTES_MAX ((size_t)2 << 20)
#define TRACE_TEXT_BYTES_MAX ((size_t)1 << 20)  // texts of all interactions of one trace
#define EVIDENCE_TEXT_MAX ((size_t)64 << 10)    // one text: head and tail are kept
#define DIMENSIONS_MAX 8

struct evidence {  // of one span; texts in the trace's text arena
    struct bytes question, system, response;
    struct bytes agent_name, model, provider, conversation_id, response_id;
    struct bytes finish_reason;  // a literal
    struct bytes error_type;
    const struct bytes *contexts;
    size_t context_count;
    const struct tool_call *tool_calls;
    size_t tool_call_count;
    struct tool_call self;  // of a tool span
    bool question_raw, response_raw, pending_tools, json_requested, truncated, hidden, has_usage;
    uint64_t input_tokens, output_tokens;
    double cost_usd;
    // of spans that may become targets
    struct bytes name, service, resource;  // resource: the serialised Resource, shared by its spans
    struct trace_random random;
    uint64_t rule_matches;
    struct bytes dimensions[DIMENSIONS_MAX];
    struct bytes environment, session_id, user_id;  // where scores are sent: of the span
};

struct held_span;
struct target;

struct trace_span {
    struct trace_span *next;    // in order of arrival
    struct trace_span *parent;  // as of the last trace_resolve; NULL: not here
    struct trace_span *top;     // its fragment's root, or of spans without one the first of them
    struct span_id id, parent_id;
    uint64_t start_ns, end_ns;  // wall time
    uint64_t arrived_ns;        // monotonic
    uint64_t resource_hash;
    uint32_t depth;                      // below top
    uint32_t level, enter, leave;        // in the forest of all parents: trace_is_above, assembly.c
    struct trace_span *below, *sibling;  // scratch of trace_resolve
    uint32_t mark;                       // scratch of whoever walks (assembly.c)
    uint8_t role;                        // enum role
    int8_t dialect;
    bool has_parent;
    bool local_root;
    bool parent_remote;  // a local root under a span of another process
    bool failed;         // status ERROR
    bool own_evaluation;
    bool decided;               // its fragment is
    bool adopted;               // put under a root by its times: a span between is missing
    struct evidence *evidence;  // NULL: none, or given up
    struct held_span *held;     // NULL: not held, or left
    struct target *target;
};

struct text_seen;

struct trace {
    uint32_t magic;
    uint32_t slot, generation;  // its name for other threads (trace_table.h)
    struct trace_id id;
    struct arena index, texts;
    struct trace_span *spans, **spans_end;
    uint32_t span_count;
    uint32_t undecided_count;
    uint64_t opened_ns, last_span_ns;  // monotonic
    struct timer timer;                // next completion
    struct target *targets;
    uint32_t target_count;
    uint32_t judging_count;  // targets that wait for a judge
    uint32_t held_count;     // spans that wait in holdings
    struct decision_debt **debts;  // of journalled requests that gave it evidence; owned counts
    uint32_t debt_count;           // newest last, at most TRACE_DEBTS_MAX
    // Headers of the requests that brought its spans: what a product of ours shows in the agent's
    // place. NULL: none, or not all the same. Owned reference.
    struct metadata *metadata;
    bool has_metadata, mixes_metadata;
    bool bad_feedback;       // somebody said so while it was open
    bool late;               // decided before and forgotten but for its name
    bool truncated;          // spans were not indexed, or evidence was refused
    size_t charged_bytes;
    uint32_t seen_count;
    struct text_seen *seen;       // texts by hash, so that repeated history is kept once
    struct trace *older, *newer;  // by last span (trace_table.c)
};

#define TRACE_DEBTS_MAX 64
// Notes the headers of a request that brings a span; NULL: it had none.
void trace_note_metadata(struct trace *trace, struct metadata *metadata);
// A journalled request gave it a span: holds the debt until trace_fini. Beyond TRACE_DEBTS_MAX the
// oldest is paid: after a crash the interaction is then truncated. NULL is allowed.
void trace_owe(struct trace *trace, struct decision_debt *debt);

void trace_init(struct trace *trace, const struct trace_id *id, uint64_t now_ns);
void trace_fini(struct trace *trace);
size_t trace_bytes(const struct trace *trace);  // memory held

// Indexes a span; NULL when the trace is full (then it is marked truncated).
struct trace_span *trace_add_note(struct trace *trace, const struct span_note *note,
                                  uint64_t now_ns);
struct trace_span *trace_add(struct trace *trace, const struct item_view *view,
                             const struct span_class *found, uint64_t now_ns);
// A bounded copy of a text: beyond text_max its head and tail with a mark between, *truncated set.
// The same text twice is kept once.
struct bytes trace_keep(struct trace *trace, struct bytes text, size_t text_max, bool *truncated);
// Copies what `reading` says into the span's evidence. False: no room; the trace is marked
// truncated.
bool trace_keep_reading(struct trace *trace, struct trace_span *span,
                        const struct reading *reading);
// Frees the texts: every span's evidence is gone.
void trace_give_up_texts(struct trace *trace);

// Finds parents, tops and depths of all spans. Spans whose parent is missing go under the innermost
// local root of the same service whose times enclose them (adopted); what is left forms one
// fragment. A cycle of parents is cut.
void trace_resolve(struct trace *trace);
// Is `above` an ancestor of `span` (not itself), across fragments? After trace_resolve.
bool trace_is_above(const struct trace_span *above, const struct trace_span *span);

struct fragment_times {
    uint64_t linger_ns, idle_ns, max_age_ns;
};
// When the fragment of `top` is complete (monotonic); `top` as set by trace_resolve.
uint64_t fragment_due_ns(const struct trace *trace, const struct trace_span *top,
                         const struct fragment_times *times);
