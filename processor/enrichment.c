// SPDX-License-Identifier: Apache-2.0
// One function writes the attributes for spans and carriers alike. An evaluation that gave no score
// is written as a label only: an error is never a 0. Indices of evaluations continue after the
// highest of either alias, because consumers treat the two forms as equal.
//
// Bounds: 16 evaluators, explanations of 1 KiB; indices above 9,999 are not continued but passed
// over.
#include "processor/enrichment.h"

#include <stdio.h>
#include <string.h>

#include "proto/attribute.h"

enum { FIELDS_BYTES_MAX = 128 << 10, INDEX_MAX = 9999 };

static void put_text(struct buffer *out, uint32_t number, const char *key, const char *text)
{
    if (text[0] != '\0') {
        attribute_write_text(out, number, key, bytes_from_text(text));
    }
}

static bool index_after(struct bytes key, const char *prefix, unsigned *index)
{
    struct bytes view = bytes_from_text(prefix);
    unsigned value = 0;
    size_t at = view.len;
    if (!bytes_start_with(key, view)) {
        return false;
    }
    for (; at < key.len && key.ptr[at] >= '0' && key.ptr[at] <= '9' && value <= INDEX_MAX; at++) {
        value = value * 10 + (unsigned)(key.ptr[at] - '0');
    }
    *index = value;
    return at > view.len && at < key.len && key.ptr[at] == '.' && value <= INDEX_MAX;
}

unsigned enrichment_next_index(struct bytes attributes)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    unsigned next = 0, index;
    attribute_walk_begin(&walk, attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if ((index_after(attribute.key, "evaluations.", &index) ||
             index_after(attribute.key, "annotations.", &index)) &&
            index >= next) {
            next = index + 1;
        }
    }
    return next;
}

static void write_scores(struct buffer *out, uint32_t number, const struct grade *grade,
                         const struct evaluator_set *set)
{
    char key[128];
    for (size_t i = 0; i < set->count; i++) {
        const struct score *score = &grade->scores[i];
        if (score->outcome == OUTCOME_SCORE) {
            snprintf(key, sizeof(key), "sidejudge.score.%s", set->items[i].name);
            attribute_write_double(out, number, key, score->value);
        }
        snprintf(key, sizeof(key), "sidejudge.label.%s", set->items[i].name);
        put_text(out, number, key, score->label);
        snprintf(key, sizeof(key), "sidejudge.explanation.%s", set->items[i].name);
        put_text(out, number, key, score->explanation);
    }
}

static void write_evaluations(struct buffer *out, uint32_t number, const struct grade *grade,
                              const struct evaluation_plan *plan, unsigned next)
{
    char key[128], id[160];
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        const struct score *score = &grade->scores[i];
        const struct evaluator *evaluator = &plan->evaluators.items[i];
        if (score->outcome == OUTCOME_NOT_APPLICABLE) {
            continue;
        }
        int base = snprintf(key, sizeof(key), "evaluations.%u.evaluation.", next++);
        char *leaf = key + base;
        size_t room = sizeof(key) - (size_t)base;
        snprintf(leaf, room, "name");
        put_text(out, number, key, evaluator->name);
        if (score->outcome == OUTCOME_SCORE) {
            snprintf(leaf, room, "score");
            attribute_write_double(out, number, key, score->value);
        }
        snprintf(leaf, room, "label");
        put_text(out, number, key, score->label);
        snprintf(leaf, room, "explanation");
        put_text(out, number, key, score->explanation);
        snprintf(leaf, room, "annotator_kind");
        put_text(out, number, key, evaluator->judge >= 0 ? "LLM" : "CODE");
        snprintf(leaf, room, "identifier");
        grade_evaluator_id(plan, i, id);
        put_text(out, number, key, id);
    }
}

static void write_sampling(struct buffer *out, uint32_t number, const struct grade *grade,
                           const struct evaluation_plan *plan)
{
    struct bytes names[SAMPLING_RULES_MAX + 1];
    size_t count = 0;
    attribute_write_double(out, number, "sidejudge.sampling.probability",
                           grade->choice.probability);
    if (grade->choice.baseline_picked) {
        names[count++] = BYTES_LITERAL("baseline");
    }
    for (size_t i = 0; i < plan->sampling.rule_count; i++) {
        if (grade->choice.rules_picked >> i & 1) {
            names[count++] = bytes_from_text(plan->sampling.rules[i].name);
        }
    }
    attribute_write_texts(out, number, "sidejudge.sampling.rules", names, count);
    attribute_write_bool(out, number, "sidejudge.sampling.baseline", grade->choice.plain);
}

static void write_names(struct buffer *out, uint32_t number, const struct grade *grade,
                        const struct evaluator_set *set)
{
    struct bytes
        names[EVALUATORS_MAX > QUALITY_SIGNAL_COUNT ? EVALUATORS_MAX : QUALITY_SIGNAL_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (grade_failed(grade, set, i)) {
            names[count++] = bytes_from_text(set->items[i].name);
        }
    }
    if (count > 0) {
        attribute_write_texts(out, number, "sidejudge.failed", names, count);
    }
    count = 0;
    for (unsigned i = 0; i < QUALITY_SIGNAL_COUNT; i++) {
        if (grade->choice.quality_signals >> i & 1) {
            names[count++] = bytes_from_text(quality_signal_label((enum quality_signal)i));
        }
    }
    if (count > 0) {
        attribute_write_texts(out, number, "sidejudge.quality_signals", names, count);
    }
}

void enrichment_write(struct buffer *out, uint32_t number, const struct grade *grade,
                      const struct evaluation_plan *plan, unsigned evaluation_next)
{
    char text[160];
    const char *verdict = grade_verdict(grade, &plan->evaluators);
    if (verdict) {
        put_text(out, number, "sidejudge.verdict", verdict);
    }
    write_names(out, number, grade, &plan->evaluators);
    write_scores(out, number, grade, &plan->evaluators);
    put_text(out, number, "sidejudge.decision", decision_label(grade->decision));
    write_sampling(out, number, grade, plan);
    grade_judge_id(grade, plan, text);
    if (text[0] != '\0') {
        put_text(out, number, "sidejudge.judge.id", text);
        attribute_write_bool(out, number, "sidejudge.judge.calibrated", false);
        attribute_write_double(out, number, "sidejudge.judge.cost_usd", grade->cost_usd);
    }
    if (!span_id_equal(&grade->content_source, &grade->target)) {
        hex_encode(grade->content_source.bytes, sizeof(grade->content_source.bytes), text);
        put_text(out, number, "sidejudge.content.source", text);
    }
    write_evaluations(out, number, grade, plan, evaluation_next);
}

static bool has_own(struct bytes attributes)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    attribute_walk_begin(&walk, attributes, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (bytes_start_with(attribute.key, BYTES_LITERAL("sidejudge."))) {
            return true;
        }
    }
    return false;
}

enum result enrich_span(struct parcel *parcel, const struct item_place *place,
                        const struct grade *grade, const struct evaluation_plan *plan,
                        bool trust_upstream)
{
    struct item_view view;
    scan_item_at(SIGNAL_TRACES, parcel->batch->body, *place, &view);
    struct buffer fields;
    buffer_init(&fields, FIELDS_BYTES_MAX);
    enrichment_write(&fields, SPAN_ATTRIBUTES, grade, plan, enrichment_next_index(view.attributes));
    enum result result = buffer_status(&fields) == RESULT_OK ? RESULT_OK : RESULT_SHED;
    // First the delete: an edit also works on what earlier edits appended.
    if (result == RESULT_OK && !trust_upstream && has_own(view.attributes)) {
        result = parcel_delete_prefix(parcel, place->item_at, BYTES_LITERAL("sidejudge."));
    }
    if (result == RESULT_OK) {
        result = parcel_append(parcel, place->item_at, buffer_view(&fields));
    }
    buffer_fini(&fields);
    return result;
}
