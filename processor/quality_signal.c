// SPDX-License-Identifier: Apache-2.0
//
// Each row of quality_signal.def has one predicate here, in the same order; what needs memory (the
// same user turn again) keeps hashes only, in a ring with an index by hash. Refused: scores out of
// signals; a signal says that something was seen, nothing more. Bounds: the ring's count and age.
// Pure but for the ring, which belongs to one shard.

#include "processor/quality_signal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "processor/answer_json.h"
#include "processor/degenerate.h"

struct recent_turn {
    uint64_t hash;
    uint64_t seen_ns;
    struct trace_id trace_id;
};

struct recent_turns {
    struct recent_turn *ring;
    uint32_t *index;  // open addressing: ring position + 1, by hash
    uint32_t count_max, index_mask, next;
    uint64_t age_max_ns;
};

struct recent_turns *recent_turns_new(unsigned count_max, uint64_t age_max_ns)
{
    CHECK(count_max > 0 && count_max <= 1U << 20);
    struct recent_turns *turns = calloc(1, sizeof(*turns));
    CHECK(turns != NULL);
    uint32_t slots = 16;
    while (slots < 2 * count_max) {
        slots *= 2;
    }
    turns->ring = calloc(count_max, sizeof(*turns->ring));
    turns->index = calloc(slots, sizeof(*turns->index));
    CHECK(turns->ring != NULL && turns->index != NULL);
    turns->count_max = count_max;
    turns->index_mask = slots - 1;
    turns->age_max_ns = age_max_ns;
    return turns;
}

void recent_turns_free(struct recent_turns *turns)
{
    if (turns != NULL) {
        free(turns->ring);
        free(turns->index);
        free(turns);
    }
}

static uint32_t *turn_slot(struct recent_turns *turns, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & turns->index_mask;
    while (turns->index[i] != 0 && turns->ring[turns->index[i] - 1].hash != hash) {
        i = (i + 1) & turns->index_mask;
    }
    return &turns->index[i];
}

// Takes a hash out of the index; the run behind it is put in again (linear probing without
// tombstones).
static void turn_forget(struct recent_turns *turns, uint32_t position)
{
    uint32_t *slot = turn_slot(turns, turns->ring[position].hash);
    CHECK(*slot == position + 1);  // one position a hash
    *slot = 0;
    uint32_t i = (uint32_t)(slot - turns->index);
    for (i = (i + 1) & turns->index_mask; turns->index[i] != 0; i = (i + 1) & turns->index_mask) {
        uint32_t moved = turns->index[i];
        turns->index[i] = 0;
        *turn_slot(turns, turns->ring[moved - 1].hash) = moved;
    }
}

// Remembers a turn; true if the same one came before, in another trace, within the age.
static bool turn_repeats(struct recent_turns *turns, uint64_t hash, const struct trace_id *trace_id,
                         uint64_t now_ns)
{
    uint32_t *slot = turn_slot(turns, hash);
    if (*slot != 0) {
        struct recent_turn *seen = &turns->ring[*slot - 1];
        bool repeats = now_ns - seen->seen_ns <= turns->age_max_ns &&
                       !trace_id_equal(&seen->trace_id, trace_id);
        seen->seen_ns = now_ns;
        seen->trace_id = *trace_id;
        return repeats;
    }
    uint32_t position = turns->next;
    turns->next = (turns->next + 1) % turns->count_max;
    if (turns->ring[position].hash != 0) {
        turn_forget(turns, position);
        slot = turn_slot(turns, hash);
    }
    turns->ring[position] =
        (struct recent_turn){.hash = hash, .seen_ns = now_ns, .trace_id = *trace_id};
    *slot = position + 1;
    return false;
}

static bool saw_error(const struct interaction *interaction)
{
    return interaction->has_error;
}

static bool saw_tool_error(const struct interaction *interaction)
{
    for (size_t i = 0; i < interaction->tool_call_count; i++) {
        if (interaction->tool_calls[i].failed) {
            return true;
        }
    }
    return false;
}

static bool saw_invalid_json(const struct interaction *interaction)
{
    return interaction->json_requested && interaction->response.len > 0 &&
           !interaction->truncated && !json_is_valid(answer_json(interaction->response));
}

static bool saw_truncated_output(const struct interaction *interaction)
{
    return bytes_equal_text(interaction->finish_reason, "length");
}

// A model that stopped for a tool call, a filter or an error was not done: that is no empty answer.
static bool saw_empty_answer(const struct interaction *interaction)
{
    bool ended_well =
        interaction->finish_reason.len == 0 || bytes_equal_text(interaction->finish_reason, "stop");
    return interaction->has_content && bytes_trim(interaction->response).len == 0 && ended_well &&
           !interaction->has_error && !interaction->truncated && !interaction->incomplete;
}

static bool saw_degenerate(const struct interaction *interaction)
{
    return bytes_trim(interaction->response).len > 0 &&
           degenerate_score(interaction->response, interaction->question) < 0.5;
}

static bool saw_feedback(const struct interaction *interaction)
{
    return interaction->bad_feedback;
}

unsigned quality_signals_find(const struct interaction *interaction, struct recent_turns *turns,
                              uint64_t now_ns)
{
    static bool (*const predicates[QUALITY_SIGNAL_COUNT])(const struct interaction *) = {
        [QUALITY_SIGNAL_ERROR] = saw_error,
        [QUALITY_SIGNAL_TOOL_ERROR] = saw_tool_error,
        [QUALITY_SIGNAL_INVALID_JSON] = saw_invalid_json,
        [QUALITY_SIGNAL_TRUNCATED_OUTPUT] = saw_truncated_output,
        [QUALITY_SIGNAL_EMPTY_ANSWER] = saw_empty_answer,
        [QUALITY_SIGNAL_DEGENERATE] = saw_degenerate,
        [QUALITY_SIGNAL_FEEDBACK] = saw_feedback,
    };
    unsigned found = 0;
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if (predicates[i] != NULL && predicates[i](interaction)) {
            found |= 1U << i;
        }
    }
    if (turns != NULL && interaction->conversation_id.len > 0 && interaction->question.len > 0) {
        struct bytes question = bytes_trim(interaction->question);
        uint64_t hash =
            hash_keyed(interaction->conversation_id.ptr, interaction->conversation_id.len) * 3 ^
            hash_keyed(question.ptr, question.len);
        if (turn_repeats(turns, hash | 1, &interaction->trace_id, now_ns)) {
            found |= 1U << QUALITY_SIGNAL_REGENERATED;
        }
    }
    return found;
}

static const struct {
    const char *label, *saw;
} rows[] = {
#define QUALITY_SIGNAL(name, label, saw) {label, saw},
#include "processor/quality_signal.def"
#undef QUALITY_SIGNAL
};

const char *quality_signal_label(enum quality_signal signal)
{
    CHECK((unsigned)signal < QUALITY_SIGNAL_COUNT);
    return rows[signal].label;
}

const char *quality_signal_saw(enum quality_signal signal)
{
    CHECK((unsigned)signal < QUALITY_SIGNAL_COUNT);
    return rows[signal].saw;
}

enum result quality_signal_from_label(struct bytes label, enum quality_signal *signal)
{
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if (bytes_equal_text(label, rows[i].label)) {
            *signal = (enum quality_signal)i;
            return RESULT_OK;
        }
    }
    return RESULT_MISSING;
}
