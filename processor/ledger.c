// SPDX-License-Identifier: Apache-2.0
//
// Rows live in a first-in, first-out ring of compact blocks: fixed fields, then texts, then the
// scores already written as JSON, since all that anybody does with them is to show them. An
// open-addressing index finds the newest row of a trace; rows of one trace are chained. Refused: a
// database (nothing here survives a restart) and fixed-size rows (an explanation may be 1 KiB, most
// rows have none). Bounds: rows and bytes, oldest out. MUTEX_LEDGER; any thread.

#include "processor/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"

#define SCORES_JSON_MAX ((size_t)128 << 10)  // 16 scores of escaped text
#define EXPLAIN_ROWS_MAX 64                  // of one trace, newest first

enum {
    TEXT_TARGET_NAME,
    TEXT_SERVICE,
    TEXT_AGENT,
    TEXT_DIALECT,
    TEXT_WHY,
    TEXT_SCORES,
    TEXT_COUNT
};

struct ledger_rules {
    size_t references;  // rows, and whoever added it; under MUTEX_LEDGER
    size_t count;
    struct {
        char name[64];
        double probability;
    } items[];
};

struct stored {
    struct stored *newer, *older;  // of the same trace
    uint32_t size;
    uint32_t ends[TEXT_COUNT];  // of each text in data
    struct trace_id trace_id;
    struct span_id target;
    struct sampling_choice choice;
    struct ledger_rules *rules;
    uint64_t decided_wall_ns, held_ns;
    double cost_usd;
    uint8_t decision;
    bool truncated, incomplete, on_span;
    char data[];
};

struct ledger {
    struct ledger_rules *rules;  // the first ones
    struct stored **ring;
    uint32_t rows_max, first, count;
    size_t bytes_max, bytes;
    struct stored **index;  // newest row of a trace
    uint32_t index_mask;
    uint64_t counts[DECISION_COUNT];
    double cost_usd;
};

static const struct {
    const char *label, *text;
} decisions[] = {
#define DECISION(name, label, text) {label, text},
#include "processor/decision.def"
#undef DECISION
};

const char *decision_label(enum decision decision)
{
    CHECK((unsigned)decision < DECISION_COUNT);
    return decisions[decision].label;
}

const char *decision_text(enum decision decision)
{
    CHECK((unsigned)decision < DECISION_COUNT);
    return decisions[decision].text;
}

static struct ledger_rules *rules_new(const struct sampling *sampling)
{
    size_t count = sampling->rule_count;
    struct ledger_rules *rules = calloc(1, sizeof(*rules) + count * sizeof(rules->items[0]));
    CHECK(rules != NULL);
    rules->references = 1;
    rules->count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(rules->items[i].name, sampling->rules[i].name, sizeof(rules->items[i].name));
        rules->items[i].probability = sampling->rules[i].probability;
    }
    return rules;
}

static void rules_unref(struct ledger_rules *rules)
{
    CHECK(rules->references > 0);
    if (--rules->references == 0) {
        free(rules);
    }
}

struct ledger_rules *ledger_rules_add(struct ledger *ledger, const struct sampling *sampling)
{
    (void)ledger;
    return rules_new(sampling);
}

void ledger_rules_release(struct ledger *ledger, struct ledger_rules *rules)
{
    (void)ledger;
    if (rules != NULL) {
        mutex_lock(MUTEX_LEDGER);
        rules_unref(rules);
        mutex_unlock(MUTEX_LEDGER);
    }
}

static void stored_free(struct stored *stored)
{
    rules_unref(stored->rules);
    free(stored);
}

struct ledger *ledger_new(const struct sampling *sampling, unsigned rows_max, size_t bytes_max)
{
    CHECK(rows_max > 0);
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    CHECK(ledger != NULL);
    uint32_t slots = 16;
    while (slots < 2 * rows_max) {
        slots *= 2;
    }
    ledger->rows_max = rows_max;
    ledger->bytes_max = bytes_max;
    ledger->index_mask = slots - 1;
    ledger->ring = calloc(rows_max, sizeof(struct stored *));  // untouched pages cost nothing
    ledger->index = calloc(slots, sizeof(struct stored *));
    CHECK(ledger->ring != NULL && ledger->index != NULL);
    ledger->rules = rules_new(sampling);
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ledger->count; i++) {
        stored_free(ledger->ring[(ledger->first + i) % ledger->rows_max]);
    }
    rules_unref(ledger->rules);
    free(ledger->ring);
    free(ledger->index);
    free(ledger);
}

static struct stored **index_slot(struct ledger *ledger, const struct trace_id *trace_id)
{
    uint32_t i =
        (uint32_t)hash_keyed(trace_id->bytes, sizeof(trace_id->bytes)) & ledger->index_mask;
    while (ledger->index[i] != NULL && !trace_id_equal(&ledger->index[i]->trace_id, trace_id)) {
        i = (i + 1) & ledger->index_mask;
    }
    return &ledger->index[i];
}

static void index_remove(struct ledger *ledger, struct stored **slot)
{
    *slot = NULL;
    uint32_t i = (uint32_t)(slot - ledger->index);
    for (i = (i + 1) & ledger->index_mask; ledger->index[i] != NULL;
         i = (i + 1) & ledger->index_mask) {
        struct stored *moved = ledger->index[i];
        ledger->index[i] = NULL;
        *index_slot(ledger, &moved->trace_id) = moved;
    }
}

// The oldest row leaves: it is the last of its trace's chain.
static void evict_oldest(struct ledger *ledger)
{
    struct stored *oldest = ledger->ring[ledger->first];
    struct stored **slot = index_slot(ledger, &oldest->trace_id);
    CHECK(*slot != NULL);
    CHECK(oldest->older == NULL);
    if (*slot == oldest) {
        index_remove(ledger, slot);
    } else {
        oldest->newer->older = NULL;
    }
    ledger->first = (ledger->first + 1) % ledger->rows_max;
    ledger->count--;
    ledger->bytes -= oldest->size;
    stored_free(oldest);
}

static void score_write(const struct ledger_score *entry, struct json_writer *out)
{
    const struct score *score = &entry->score;
    json_begin_object(out);
    json_key(out, "name");
    json_put_literal(out, entry->name);
    json_key(out, "by");
    json_put_literal(out, entry->asked_judge ? "judge" : "code");
    if (score->outcome == OUTCOME_SCORE) {
        json_key(out, "score");
        json_put_double(out, score->value);
    }
    if (score->label[0] != '\0') {
        json_key(out, "label");
        json_put_literal(out, score->label);
    }
    if (score->explanation[0] != '\0') {
        json_key(out, "explanation");
        json_put_literal(out, score->explanation);
    }
    if (score->evidence[0] != '\0') {
        json_key(out, "evidence");
        json_put_literal(out, score->evidence);
    }
    json_end_object(out);
}

static void scores_write(const struct ledger_row *row, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_array(&writer);
    for (size_t i = 0; i < row->score_count; i++) {
        score_write(&row->scores[i], &writer);
    }
    json_end_array(&writer);
}

static struct stored *stored_new(const struct ledger_row *row)
{
    struct buffer scores;
    buffer_init(&scores, SCORES_JSON_MAX);
    scores_write(row, &scores);
    const struct bytes texts[TEXT_COUNT] = {
        bytes_from_text(row->target_name),
        bytes_from_text(row->service_name),
        bytes_from_text(row->agent_name),
        bytes_from_text(row->dialect),
        bytes_from_text(row->why),
        buffer_status(&scores) == RESULT_OK ? buffer_view(&scores) : BYTES_LITERAL("[]")};
    size_t size = sizeof(struct stored);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        size += texts[i].len;
    }
    struct stored *stored = malloc(size);
    if (stored != NULL) {
        *stored = (struct stored){.size = (uint32_t)size,
                                  .trace_id = row->trace_id,
                                  .target = row->target,
                                  .choice = row->choice,
                                  .decided_wall_ns = row->decided_wall_ns,
                                  .held_ns = row->held_ns,
                                  .cost_usd = row->cost_usd,
                                  .decision = (uint8_t)row->decision,
                                  .truncated = row->truncated,
                                  .incomplete = row->incomplete,
                                  .on_span = row->on_span};
        uint32_t end = 0;
        for (size_t i = 0; i < TEXT_COUNT; i++) {
            if (texts[i].len > 0) {
                memcpy(stored->data + end, texts[i].ptr, texts[i].len);
            }
            end += (uint32_t)texts[i].len;
            stored->ends[i] = end;
        }
    }
    buffer_fini(&scores);
    return stored;
}

static struct bytes stored_text(const struct stored *stored, unsigned which)
{
    uint32_t from = which == 0 ? 0 : stored->ends[which - 1];
    return bytes_from(stored->data + from, stored->ends[which] - from);
}

void ledger_add(struct ledger *ledger, const struct ledger_row *row)
{
    struct stored *stored = stored_new(row);
    mutex_lock(MUTEX_LEDGER);
    ledger->counts[row->decision]++;
    ledger->cost_usd += row->cost_usd;
    if (stored != NULL) {
        stored->rules = row->rules != NULL ? row->rules : ledger->rules;
        stored->rules->references++;
        while (ledger->count > 0 && (ledger->count == ledger->rows_max ||
                                     ledger->bytes + stored->size > ledger->bytes_max)) {
            evict_oldest(ledger);
        }
        ledger->ring[(ledger->first + ledger->count) % ledger->rows_max] = stored;
        ledger->count++;
        ledger->bytes += stored->size;
        struct stored **slot = index_slot(ledger, &row->trace_id);
        stored->older = *slot;
        if (stored->older != NULL) {
            stored->older->newer = stored;
        }
        *slot = stored;
    }
    mutex_unlock(MUTEX_LEDGER);
}

void ledger_supersede(struct ledger *ledger, const struct trace_id *trace_id,
                      const struct span_id *target)
{
    mutex_lock(MUTEX_LEDGER);
    for (struct stored *row = *index_slot(ledger, trace_id); row != NULL; row = row->older) {
        if (span_id_equal(&row->target, target) && row->decision != DECISION_SUPERSEDED) {
            ledger->counts[row->decision]--;
            ledger->counts[DECISION_SUPERSEDED]++;
            row->decision = DECISION_SUPERSEDED;
        }
    }
    mutex_unlock(MUTEX_LEDGER);
}

static void put_text(struct json_writer *out, const char *key, struct bytes text)
{
    if (text.len > 0) {
        json_key(out, key);
        json_put_text(out, text);
    }
}

static void put_hex(struct json_writer *out, const char *key, uint64_t value)
{
    char text[20];
    snprintf(text, sizeof(text), "%014" PRIx64, value);
    json_key(out, key);
    json_put_literal(out, text);
}

static void rule_write(const char *name, double probability, bool picked, struct json_writer *out)
{
    json_begin_object(out);
    json_key(out, "rule");
    json_put_literal(out, name);
    json_key(out, "probability");
    json_put_double(out, probability);
    json_key(out, "picked");
    json_put_bool(out, picked);
    json_end_object(out);
}

static void sampling_write(const struct ledger_rules *rules, const struct sampling_choice *choice,
                           struct json_writer *out)
{
    json_key(out, "sampling");
    json_begin_object(out);
    json_key(out, "probability");
    json_put_double(out, choice->probability);
    json_key(out, "picked");
    json_put_bool(out, choice->picked);
    json_key(out, "baseline");
    json_put_bool(out, choice->plain);
    put_hex(out, "random", choice->random.r);
    if (choice->random.has_th) {
        put_hex(out, "threshold_in", choice->random.threshold_in);
    }
    json_key(out, "rules");
    json_begin_array(out);
    rule_write("baseline", choice->baseline_probability, choice->baseline_picked, out);
    for (size_t i = 0; i < rules->count; i++) {
        if ((choice->rules_fired & UINT64_C(1) << i) != 0) {
            rule_write(rules->items[i].name, rules->items[i].probability,
                       (choice->rules_picked & UINT64_C(1) << i) != 0, out);
        }
    }
    json_end_array(out);
    json_key(out, "quality_signals");
    json_begin_array(out);
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if ((choice->quality_signals & 1U << i) != 0) {
            json_begin_object(out);
            json_key(out, "signal");
            json_put_literal(out, quality_signal_label((enum quality_signal)i));
            json_key(out, "saw");
            json_put_literal(out, quality_signal_saw((enum quality_signal)i));
            json_end_object(out);
        }
    }
    json_end_array(out);
    json_end_object(out);
}

static void row_write(const struct stored *row, struct json_writer *out)
{
    char text[33];
    json_begin_object(out);
    hex_encode(row->trace_id.bytes, sizeof(row->trace_id.bytes), text);
    json_key(out, "trace_id");
    json_put_literal(out, text);
    hex_encode(row->target.bytes, sizeof(row->target.bytes), text);
    json_key(out, "target_span_id");
    json_put_literal(out, text);
    put_text(out, "target", stored_text(row, TEXT_TARGET_NAME));
    put_text(out, "service", stored_text(row, TEXT_SERVICE));
    put_text(out, "agent", stored_text(row, TEXT_AGENT));
    put_text(out, "dialect", stored_text(row, TEXT_DIALECT));
    json_key(out, "decision");
    json_put_literal(out, decision_label((enum decision)row->decision));
    json_key(out, "reason");
    json_put_literal(out, decision_text((enum decision)row->decision));
    put_text(out, "why", stored_text(row, TEXT_WHY));
    char when[25];
    clock_format(row->decided_wall_ns, when);
    json_key(out, "decided");
    json_put_literal(out, when);
    json_key(out, "held_ms");
    json_put_double(out, (double)(row->held_ns / 1000) / 1000);
    json_key(out, "truncated");
    json_put_bool(out, row->truncated);
    json_key(out, "incomplete");
    json_put_bool(out, row->incomplete);
    json_key(out, "on_span");
    json_put_bool(out, row->on_span);
    json_key(out, "cost_usd");
    json_put_double(out, row->cost_usd);
    sampling_write(row->rules, &row->choice, out);
    json_key(out, "scores");
    json_put_raw(out, stored_text(row, TEXT_SCORES));
    json_end_object(out);
}

bool ledger_explain(struct ledger *ledger, const struct trace_id *trace_id, struct buffer *out)
{
    struct json_writer writer;
    char text[33];
    hex_encode(trace_id->bytes, sizeof(trace_id->bytes), text);
    mutex_lock(MUTEX_LEDGER);
    struct stored *row = *index_slot(ledger, trace_id);
    bool found = row != NULL;
    if (found) {
        json_writer_init(&writer, out);
        json_begin_object(&writer);
        json_key(&writer, "trace_id");
        json_put_literal(&writer, text);
        json_key(&writer, "decisions");
        json_begin_array(&writer);
        unsigned written = 0;
        for (; row != NULL && written < EXPLAIN_ROWS_MAX; row = row->older) {
            row_write(row, &writer);
            written++;
        }
        json_end_array(&writer);
        json_key(&writer, "more");
        json_put_bool(&writer, row != NULL);
        json_end_object(&writer);
    }
    mutex_unlock(MUTEX_LEDGER);
    return found;
}

void ledger_summary(struct ledger *ledger, unsigned recent, struct json_writer *out)
{
    mutex_lock(MUTEX_LEDGER);
    json_begin_object(out);
    json_key(out, "decisions");
    json_begin_object(out);
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        json_key(out, decision_label((enum decision)i));
        json_put_int(out, (int64_t)ledger->counts[i]);
    }
    json_end_object(out);
    json_key(out, "rows");
    json_put_int(out, ledger->count);
    json_key(out, "bytes");
    json_put_int(out, (int64_t)ledger->bytes);
    json_key(out, "cost_usd");
    json_put_double(out, ledger->cost_usd);
    json_key(out, "recent");
    json_begin_array(out);
    for (uint32_t i = 0; i < recent && i < ledger->count; i++) {
        row_write(ledger->ring[(ledger->first + ledger->count - 1 - i) % ledger->rows_max],
                  out);
    }
    json_end_array(out);
    json_end_object(out);
    mutex_unlock(MUTEX_LEDGER);
}

uint64_t ledger_count(const struct ledger *ledger, enum decision decision)
{
    CHECK((unsigned)decision < DECISION_COUNT);
    mutex_lock(MUTEX_LEDGER);
    uint64_t count = ledger->counts[decision];
    mutex_unlock(MUTEX_LEDGER);
    return count;
}
