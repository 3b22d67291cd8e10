// SPDX-License-Identifier: Apache-2.0
// The index is a list in order of arrival; parents are resolved for the whole trace at once when a
// fragment may be complete, with a table that lives for that moment. Chosen because children arrive
// before their parents: links kept up to date at each arrival would be rebuilt many times. A parent
// cycle, which only a hostile sender writes, is cut where the walk meets itself. Spans are numbered
// on entering and leaving the tree, so that "stands above" is a comparison: a walk to the root for
// each pair of spans took seconds in a chain of 4,000.
//
// Bounds: 4,096 spans, 2 MiB of index, 1 MiB of texts per trace; one text 64 KiB. A resolve costs
// O(spans) and 1,024 searches for an adopter, and runs at most once per timer of the trace.
// Thread: the shard's.
#include "processor/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "proto/attribute.h"

#define TRACE_MAGIC MAGIC('T', 'R', 'C', 'E')
enum { SEEN_MAX = 512 };

struct text_seen {
    struct text_seen *next;
    uint64_t hash;
    size_t len;  // of the original
    struct bytes kept;
};

void trace_init(struct trace *trace, const struct trace_id *id, uint64_t now_ns)
{
    memset(trace, 0, sizeof(*trace));
    trace->magic = TRACE_MAGIC;
    trace->id = *id;
    trace->spans_end = &trace->spans;
    trace->opened_ns = trace->last_span_ns = now_ns;
    arena_init(&trace->index, TRACE_INDEX_BYTES_MAX);
    arena_init(&trace->texts, TRACE_TEXT_BYTES_MAX);
}

void trace_owe(struct trace *trace, struct decision_debt *debt)
{
    if (!debt || (trace->debt_count > 0 && trace->debts[trace->debt_count - 1] == debt)) {
        return;
    }
    if ((trace->debt_count & (trace->debt_count - 1)) == 0 && trace->debt_count < TRACE_DEBTS_MAX) {
        uint32_t capacity = trace->debt_count ? trace->debt_count * 2 : 1;
        trace->debts = realloc(trace->debts, capacity * sizeof(*trace->debts));
        CHECK(trace->debts);
    }
    if (trace->debt_count == TRACE_DEBTS_MAX) {
        decision_debt_pay(&trace->debts[0]);
        memmove(trace->debts, trace->debts + 1, --trace->debt_count * sizeof(*trace->debts));
    }
    decision_debt_hold(debt);
    trace->debts[trace->debt_count++] = debt;
}

void trace_note_metadata(struct trace *trace, struct metadata *metadata)
{
    if (!trace->has_metadata) {
        trace->has_metadata = true;
        trace->metadata = metadata_hold(metadata);
    } else if (!trace->mixes_metadata && !metadata_equal(trace->metadata, metadata)) {
        trace->mixes_metadata = true;  // nobody's credentials for what is of several
        metadata_release(&trace->metadata);
    }
}

void trace_fini(struct trace *trace)
{
    CHECK(trace->magic == TRACE_MAGIC && !timer_is_set(&trace->timer));
    for (uint32_t i = 0; i < trace->debt_count; i++) {
        decision_debt_pay(&trace->debts[i]);
    }
    free(trace->debts);
    metadata_release(&trace->metadata);
    arena_fini(&trace->index);
    arena_fini(&trace->texts);
    trace->magic = 0;
}

size_t trace_bytes(const struct trace *trace)
{
    return sizeof(*trace) + trace->index.bytes_used + trace->texts.bytes_used;
}

struct trace_span *trace_add_note(struct trace *trace, const struct span_note *note,
                                  uint64_t now_ns)
{
    CHECK(trace->magic == TRACE_MAGIC);
    trace->last_span_ns = now_ns;
    struct trace_span *span = NULL;
    if (trace->span_count < TRACE_SPANS_MAX) {
        span = arena_zalloc(&trace->index, sizeof(*span));
    }
    if (!span) {
        trace->truncated = true;
        return NULL;
    }
    span->id = note->id;
    span->parent_id = note->parent_id;
    span->has_parent = note->has_parent;
    span->parent_remote = note->parent_remote;
    span->local_root = note->local_root;
    span->start_ns = note->start_ns;
    span->end_ns = note->end_ns;
    span->arrived_ns = now_ns;
    span->role = note->role;
    span->dialect = note->dialect;
    span->own_evaluation = note->own_evaluation;
    span->failed = note->failed;
    span->resource_hash = note->resource_hash;
    *trace->spans_end = span;
    trace->spans_end = &span->next;
    trace->span_count++;
    trace->undecided_count++;
    return span;
}

struct trace_span *trace_add(struct trace *trace, const struct item_view *view,
                             const struct span_class *found, uint64_t now_ns)
{
    struct span_note note;
    span_note_take(view, found, NULL, &note);
    return trace_add_note(trace, &note, now_ns);
}

static struct bytes text_cut(struct trace *trace, struct bytes text, size_t text_max)
{
    char mark[64];
    struct bytes head = utf8_prefix(text, text_max / 2);
    struct bytes tail = utf8_suffix(text, text_max / 2 - sizeof(mark));
    int len = snprintf(mark, sizeof(mark), "\n[... %zu bytes left out ...]\n",
                       text.len - head.len - tail.len);
    size_t mark_len = (size_t)len;
    uint8_t *copy = arena_alloc(&trace->texts, head.len + mark_len + tail.len);
    if (!copy) {
        return BYTES_NONE;
    }
    memcpy(copy, head.ptr, head.len);
    memcpy(copy + head.len, mark, mark_len);
    memcpy(copy + head.len + mark_len, tail.ptr, tail.len);
    return bytes_from(copy, head.len + mark_len + tail.len);
}

static struct text_seen *seen_find(const struct trace *trace, uint64_t hash, size_t len)
{
    for (struct text_seen *seen = trace->seen; seen; seen = seen->next) {
        if (seen->hash == hash && seen->len == len) {
            return seen;
        }
    }
    return NULL;
}

struct bytes trace_keep(struct trace *trace, struct bytes text, size_t text_max, bool *truncated)
{
    if (text.len == 0) {
        return BYTES_NONE;
    }
    bool remember = text.len >= 64;
    uint64_t hash = remember ? hash_keyed(text.ptr, text.len) : 0;
    struct text_seen *seen = remember ? seen_find(trace, hash, text.len) : NULL;
    *truncated |= text.len > text_max;
    if (seen) {
        return seen->kept;
    }
    struct bytes kept =
        text.len > text_max ? text_cut(trace, text, text_max) : arena_copy(&trace->texts, text);
    if (kept.len == 0) {
        *truncated = true;
        trace->truncated = true;
        return BYTES_NONE;
    }
    if (remember && trace->seen_count < SEEN_MAX) {
        seen = arena_alloc(&trace->texts, sizeof(*seen));
        if (seen) {
            *seen = (struct text_seen){trace->seen, hash, text.len, kept};
            trace->seen = seen;
            trace->seen_count++;
        }
    }
    return kept;
}

static struct tool_call call_keep(struct trace *trace, const struct tool_call *call,
                                  bool *truncated)
{
    return (struct tool_call){
        .id = trace_keep(trace, call->id, 256, truncated),
        .name = trace_keep(trace, call->name, 256, truncated),
        .arguments = trace_keep(trace, call->arguments, EVIDENCE_TEXT_MAX / 4, truncated),
        .result = trace_keep(trace, call->result, EVIDENCE_TEXT_MAX / 2, truncated),
        .failed = call->failed,
    };
}

static void lists_keep(struct trace *trace, struct evidence *evidence,
                       const struct reading *reading)
{
    if (reading->context_count > 0) {
        struct bytes *contexts =
            arena_alloc(&trace->texts, reading->context_count * sizeof(*contexts));
        for (size_t i = 0; contexts && i < reading->context_count; i++) {
            contexts[i] = trace_keep(trace, reading->contexts[i], EVIDENCE_TEXT_MAX / 2,
                                     &evidence->truncated);
        }
        evidence->contexts = contexts;
        evidence->context_count = contexts ? reading->context_count : 0;
        evidence->truncated |= !contexts;
    }
    if (reading->tool_call_count > 0) {
        struct tool_call *calls =
            arena_alloc(&trace->texts, reading->tool_call_count * sizeof(*calls));
        for (size_t i = 0; calls && i < reading->tool_call_count; i++) {
            calls[i] = call_keep(trace, &reading->tool_calls[i], &evidence->truncated);
        }
        evidence->tool_calls = calls;
        evidence->tool_call_count = calls ? reading->tool_call_count : 0;
        evidence->truncated |= !calls;
    }
}

bool trace_keep_reading(struct trace *trace, struct trace_span *span, const struct reading *reading)
{
    struct evidence *evidence = arena_zalloc(&trace->texts, sizeof(*evidence));
    if (!evidence) {
        trace->truncated = true;
        return false;
    }
    bool *cut = &evidence->truncated;
    evidence->truncated = reading->truncated;
    evidence->question = trace_keep(trace, reading->question, EVIDENCE_TEXT_MAX, cut);
    evidence->system = trace_keep(trace, reading->system, EVIDENCE_TEXT_MAX / 2, cut);
    evidence->response = trace_keep(trace, reading->response, EVIDENCE_TEXT_MAX, cut);
    evidence->agent_name = trace_keep(trace, reading->agent_name, 256, cut);
    evidence->model = trace_keep(trace, reading->model, 256, cut);
    evidence->provider = trace_keep(trace, reading->provider, 256, cut);
    evidence->conversation_id = trace_keep(trace, reading->conversation_id, 256, cut);
    evidence->response_id = trace_keep(trace, reading->response_id, 256, cut);
    evidence->error_type = trace_keep(trace, reading->error_type, 256, cut);
    evidence->finish_reason = reading->finish_reason;
    evidence->question_raw = reading->question_raw;
    evidence->response_raw = reading->response_raw;
    evidence->pending_tools = reading->pending_tools && reading->response.len == 0;
    evidence->json_requested = reading->json_requested;
    evidence->hidden = reading->hidden;
    evidence->has_usage = reading->has_usage;
    evidence->input_tokens = reading->input_tokens;
    evidence->output_tokens = reading->output_tokens;
    evidence->cost_usd = reading->cost_usd;
    if (span->role == ROLE_TOOL) {
        evidence->self = call_keep(trace, &reading->self, cut);
        evidence->self.failed |= span->failed || reading_result_failed(reading->self.result);
    }
    lists_keep(trace, evidence, reading);
    span->evidence = evidence;
    return true;
}

void trace_give_up_texts(struct trace *trace)
{
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        span->evidence = NULL;
    }
    arena_fini(&trace->texts);
    arena_init(&trace->texts, TRACE_TEXT_BYTES_MAX);
    trace->seen = NULL;
    trace->seen_count = 0;
}

struct span_table {  // id -> span, open addressing, for one resolve
    struct trace_span **at;
    uint32_t mask;
};

static uint32_t span_slot(const struct span_table *table, const struct span_id *id)
{
    return (uint32_t)hash_keyed(id->bytes, sizeof(id->bytes)) & table->mask;
}

static struct trace_span *span_find(const struct span_table *table, const struct span_id *id)
{
    for (uint32_t i = span_slot(table, id); table->at[i]; i = (i + 1) & table->mask) {
        if (span_id_equal(&table->at[i]->id, id)) {
            return table->at[i];
        }
    }
    return NULL;
}

static bool span_table_fill(struct span_table *table, struct trace *trace)
{
    uint32_t capacity = 16;
    while (capacity < trace->span_count * 2) {
        capacity *= 2;
    }
    table->mask = capacity - 1;
    table->at = calloc(capacity, sizeof(*table->at));
    for (struct trace_span *span = trace->spans; table->at && span; span = span->next) {
        uint32_t i = span_slot(table, &span->id);
        while (table->at[i] && !span_id_equal(&table->at[i]->id, &span->id)) {
            i = (i + 1) & table->mask;
        }
        table->at[i] = table->at[i] ? table->at[i] : span;  // the first of two equal ids
    }
    return table->at != NULL;
}

// The innermost local root of the same service whose times enclose the span.
static struct trace_span *adopter(struct trace *trace, const struct trace_span *orphan)
{
    struct trace_span *best = NULL;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->local_root && span != orphan && span->resource_hash == orphan->resource_hash &&
            span->start_ns <= orphan->start_ns && orphan->end_ns <= span->end_ns &&
            (!best || span->start_ns > best->start_ns)) {
            best = span;
        }
    }
    return best;
}

// Walks up to a known top, a local root, or the end, leaving a trail of `below` links; then writes
// top and depth on the way back. A span that is on the trail already (mark) closes a cycle.
static void span_settle(struct trace_span *span, uint32_t walk, struct trace_span **orphans)
{
    struct trace_span *at = span;
    at->below = NULL;
    at->mark = walk;
    while (!at->top && !at->local_root && at->parent && at->parent->mark != walk) {
        at->parent->below = at;
        at->parent->mark = walk;
        at = at->parent;
    }
    if (!at->top) {
        if (!at->local_root && !*orphans) {
            *orphans = at;
        }
        at->top = at->local_root ? at : *orphans;
        at->depth = at->top == at ? 0 : 1;
    }
    for (struct trace_span *below = at->below; below; below = below->below) {
        below->top = at->top;
        below->depth = at->depth + 1;
        at = below;
    }
}

// Numbers one tree from `next` on; returns the number after it. Uses up the lists of children.
static uint32_t tree_number(struct trace_span *root, uint32_t next)
{
    struct trace_span *at = root;
    at->level = 0;
    at->enter = next++;
    while (at) {
        struct trace_span *child = at->below;
        if (!child) {
            at->leave = next;
            at = at == root ? NULL : at->parent;
            continue;
        }
        at->below = child->sibling;
        if (child->parent == at) {  // else it is where a cycle was cut
            child->level = at->level + 1;
            child->enter = next++;
            at = child;
        }
    }
    return next;
}

// Where to cut the cycle that `span` is on or hangs from: a local root of it, else any span.
static struct trace_span *cycle_find(struct trace_span *span, uint32_t walk)
{
    struct trace_span *at = span;
    at->mark = walk;
    while (at->parent->mark != walk) {
        at = at->parent;
        at->mark = walk;
    }
    for (struct trace_span *member = at->parent; member != at; member = member->parent) {
        if (member->local_root) {
            return member;
        }
    }
    return at;
}

// Enter and leave numbers of all spans; cuts cycles.
static void forest_number(struct trace *trace)
{
    uint32_t next = 1, walk = 0;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->parent) {
            span->sibling = span->parent->below;
            span->parent->below = span;
        }
    }
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (!span->parent) {
            next = tree_number(span, next);
        }
    }
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (span->enter == 0) {
            struct trace_span *cut = cycle_find(span, ++walk);
            cut->parent = NULL;
            next = tree_number(cut, next);
        }
        span->mark = 0;
    }
}

void trace_resolve(struct trace *trace)
{
    struct span_table table;
    if (!span_table_fill(&table, trace)) {
        for (struct trace_span *span = trace->spans; span; span = span->next) {
            span->top = span->top ? span->top : span;  // no memory: what is new stands alone
        }
        return;
    }
    unsigned adoptions = 0;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        span->top = NULL;
        span->depth = 0;
        span->mark = span->enter = span->leave = 0;
        span->below = span->sibling = NULL;
        span->parent = span->has_parent ? span_find(&table, &span->parent_id) : NULL;
        span->adopted = false;
        if (span->parent == span) {
            span->parent = NULL;
        }
    }
    free(table.at);
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        if (!span->parent && !span->local_root && adoptions < 1024) {
            adoptions++;
            span->parent = adopter(trace, span);
            span->adopted = span->parent != NULL;
        }
    }
    forest_number(trace);
    struct trace_span *orphans = NULL;
    uint32_t walk = 0;
    for (struct trace_span *span = trace->spans; span; span = span->next) {
        span_settle(span, ++walk, &orphans);
        CHECK(span->top);
    }
}

bool trace_is_above(const struct trace_span *above, const struct trace_span *span)
{
    return above->enter < span->enter && span->enter < above->leave;
}

uint64_t fragment_due_ns(const struct trace *trace, const struct trace_span *top,
                         const struct fragment_times *times)
{
    if (top->local_root) {
        return top->arrived_ns + times->linger_ns;
    }
    uint64_t idle_ns = trace->last_span_ns + times->idle_ns;
    uint64_t aged_ns = top->arrived_ns + times->max_age_ns;
    return idle_ns < aged_ns ? idle_ns : aged_ns;
}
