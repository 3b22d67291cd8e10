// SPDX-License-Identifier: Apache-2.0
// An evaluator's keys depend on what computes it, so the entries of `evaluators` are bound one by
// one: the rows that all have, followed by those of its kind. What is not configured is filled in
// here and nowhere else: the four deterministic evaluators on all, and with a judge faithfulness
// and answer_relevance on what is picked.
//
// Start only.
#include "processor/evaluation_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "processor/prompt.h"

#define DEFAULT_THRESHOLD 0.85  // of the judged defaults; marked uncalibrated wherever shown
#define PLAN_BYTES_MAX ((size_t)4 << 20)
#define CODE_VERSION "1"  // of the deterministic evaluators' formulas

static const char *const target_words[] = {"auto", "agent", "llm", NULL};
static const char *const inner_words[] = {"count", "ignore", NULL};
static const char *const redaction_words[] = {"mask", "off", NULL};
static const char *const carrier_words[] = {"auto", "always", "never", NULL};

#define AT(member) offsetof(struct evaluation_config, member)
static const struct option completion_options[] = {
    {.key = "linger",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct evaluation_config, completion.linger_ns) - AT(completion),
     .fallback = "1s",
     .min = 0.001,
     .max = 3600,
     .unit = "s",
     .doc = "How long a fragment stays open after its local root arrived."},
    {.key = "idle",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct evaluation_config, completion.idle_ns) - AT(completion),
     .fallback = "2m",
     .min = 0.001,
     .max = 86400,
     .unit = "s",
     .doc = "Silence of a trace after which spans without a local root are complete."},
    {.key = "max_age",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct evaluation_config, completion.max_age_ns) - AT(completion),
     .fallback = "10m",
     .min = 0.001,
     .max = 86400,
     .unit = "s",
     .doc = "Age at which such a fragment is complete in any case."},
    {0},
};
static const struct option redaction_options[] = {
    {.key = "mode",
     .kind = OPTION_ENUM,
     .offset = 0,
     .fallback = "mask",
     .choices = redaction_words,
     .doc =
         "mask: secrets and personal data are masked before a judge sees them; off: sent as is."},
    {0},
};
static const struct option ledger_options[] = {
    {.key = "export",
     .kind = OPTION_BOOL,
     .offset = 0,
     .fallback = "false",
     .doc = "Emit one sidejudge.interaction log record per interaction, in the logs pipelines "
            "that name this processor."},
    {0},
};

const struct option evaluation_options[] = {
    {.key = "target",
     .kind = OPTION_ENUM,
     .offset = AT(target),
     .fallback = "auto",
     .choices = target_words,
     .doc = "What stands for an interaction: agents, else workflows, else the exchange (auto)."},
    {.key = "completion",
     .kind = OPTION_GROUP,
     .offset = AT(completion),
     .rows = completion_options,
     .doc = "When a fragment of a trace is taken for complete."},
    {.key = "hold",
     .kind = OPTION_DURATION,
     .offset = AT(hold_ns),
     .fallback = "4s",
     .max = 600,
     .unit = "s",
     .doc = "How long a possible target may wait for its scores; 0s: nothing waits."},
    {.key = "inner",
     .kind = OPTION_ENUM,
     .offset = AT(inner),
     .fallback = "count",
     .choices = inner_words,
     .doc = "Whether fragments with a remote parent have targets of their own."},
    {.key = "dimensions",
     .kind = OPTION_TEXTS,
     .offset = AT(dimensions),
     .count_max = DIMENSIONS_MAX,
     .doc = "Attributes to report by; bounded values, never ids."},
    {.key = "sampling",
     .kind = OPTION_GROUP,
     .offset = AT(sampling),
     .rows = sampling_options,
     .doc = "What is picked for grading, with which probability."},
    {.key = "budget",
     .kind = OPTION_GROUP,
     .offset = AT(budget),
     .rows = budget_options,
     .doc = "What judge calls may cost."},
    {.key = "evaluators",
     .kind = OPTION_NODE,
     .offset = AT(evaluators),
     .doc =
         "What computes each score, by the score's name: {type, threshold} with type (default: the "
         "name) context_overlap, question_overlap, valid_json (and its `schema`: file:PATH) or "
         "degenerate; or {judge, rubric, threshold} with rubric (default: the name) faithfulness, "
         "answer_relevance or file:PATH. Scores below the threshold fail."},
    {.key = "judge",
     .kind = OPTION_TEXT,
     .offset = AT(judge),
     .doc =
         "Shorthand for one judge named default: provider/model, its key from the provider's own "
         "variable."},
    {.key = "judges",
     .kind = OPTION_MAP,
     .offset = AT(judges),
     .rows = judge_options,
     .entry_size = sizeof(struct judge_config),
     .count_max = JUDGES_MAX,
     .doc = "Model endpoints that grade."},
    {.key = "redaction",
     .kind = OPTION_GROUP,
     .offset = AT(redaction),
     .rows = redaction_options,
     .doc = "Masking of what leaves for a judge."},
    {.key = "trust_upstream",
     .kind = OPTION_BOOL,
     .offset = AT(trust_upstream),
     .fallback = "false",
     .doc = "Leave spans alone that carry sidejudge.* attributes already."},
    {.key = "ledger",
     .kind = OPTION_GROUP,
     .offset = AT(ledger),
     .rows = ledger_options,
     .doc = "The decision ledger's export."},
    {.key = "carriers",
     .kind = OPTION_ENUM,
     .offset = AT(carriers),
     .fallback = "auto",
     .choices = carrier_words,
     .doc = "Carrier spans: for scores that came after their target left, to exporters that do not "
            "take scores themselves (auto), for all scores to all exporters, or none."},
    {.key = "shards",
     .kind = OPTION_INT,
     .offset = AT(shards),
     .fallback = "1",
     .min = 1,
     .max = 16,
     .doc = "Threads among which traces are divided."},
    {0},
};
#undef AT

struct evaluator_entry {  // what all kinds have; a kind's own struct follows
    bool unused;          // offset 0 means "no presence flag" in option rows
    bool has_threshold;
    struct bytes type, judge, rubric;
    double threshold;
    _Alignas(16) unsigned char own[];
};
enum { ENTRY_ROWS = 4, KIND_ROWS_MAX = 16 };
static const struct option entry_options[ENTRY_ROWS] = {
    {.key = "type",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct evaluator_entry, type),
     .doc = "Deterministic evaluator; default: the entry's name."},
    {.key = "judge",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct evaluator_entry, judge),
     .doc = "Name of the judge that is asked."},
    {.key = "rubric",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct evaluator_entry, rubric),
     .doc = "Built-in rubric or file:PATH; default: the entry's name."},
    {.key = "threshold",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct evaluator_entry, threshold),
     .max = 1,
     .present_offset = offsetof(struct evaluator_entry, has_threshold),
     .doc = "Scores below it fail."},
};

struct binding {  // of one configuration
    struct evaluation_plan *plan;
    const char *path;
    const struct config_node *node;  // the processor's section; NULL when nobody is told
    struct option_errors *errors;
};

static const struct evaluator_ops *ops_named(struct bytes type)
{
    for (size_t i = 0; deterministic_evaluators[i]; i++) {
        if (bytes_equal_text(type, deterministic_evaluators[i]->type)) {
            return deterministic_evaluators[i];
        }
    }
    return NULL;
}

static bool name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len >= EVALUATOR_NAME_MAX || name.ptr[0] < 'a' || name.ptr[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return true;
}

static void epoch_set(struct evaluator *evaluator, const struct evaluation_plan *plan)
{
    char text[96];
    uint8_t digest[32];
    if (evaluator->judge >= 0) {
        const struct judge_config *judge = &plan->judges[evaluator->judge];
        prompt_epoch(judge->endpoint, judge->model, evaluator->rubric, evaluator->epoch);
        return;
    }
    snprintf(text, sizeof(text), "%s|%s", evaluator->ops->type, CODE_VERSION);
    hash_sha256(bytes_from_text(text), digest);
    hex_encode(digest, 8, evaluator->epoch);
}

static struct evaluator *evaluator_add(struct binding *binding, struct bytes name)
{
    struct evaluator_set *set = &binding->plan->evaluators;
    if (set->count == EVALUATORS_MAX) {
        return NULL;
    }
    struct evaluator *evaluator = &set->items[set->count++];
    memset(evaluator, 0, sizeof(*evaluator));
    memcpy(evaluator->name, name.ptr, name.len);
    evaluator->judge = -1;
    return evaluator;
}

static int judge_named(const struct evaluation_plan *plan, struct bytes name)
{
    for (size_t i = 0; i < plan->judge_count; i++) {
        if (bytes_equal(plan->judges[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

static bool evaluator_judged(struct binding *binding, struct evaluator *evaluator, int judge,
                             struct bytes rubric, const char *path, const struct config_node *node)
{
    char why[256] = "";
    if (rubric_load(rubric, &binding->plan->memory, &evaluator->rubric, why, sizeof(why)) !=
        RESULT_OK) {
        option_error(binding->errors, path, node, "rubric \"%.*s\": %s", BYTES_PRINTF(rubric), why);
        return false;
    }
    evaluator->judge = judge;
    epoch_set(evaluator, binding->plan);
    return true;
}

static bool evaluator_computed(struct binding *binding, struct evaluator *evaluator,
                               const struct evaluator_ops *ops, const void *config,
                               const char *path, const struct config_node *node)
{
    char why[256] = "";
    evaluator->ops = ops;
    if (ops->prepare && ops->prepare(config, &evaluator->prepared, why, sizeof(why)) != RESULT_OK) {
        option_error(binding->errors, path, node, "%s", why);
        return false;
    }
    epoch_set(evaluator, binding->plan);
    return true;
}

static size_t rows_join(const struct evaluator_ops *ops, struct option *rows)
{
    size_t count = ENTRY_ROWS;
    memcpy(rows, entry_options, sizeof(entry_options));
    for (size_t i = 0; ops && ops->options && ops->options[i].key; i++) {
        CHECK(count < KIND_ROWS_MAX);
        rows[count] = ops->options[i];
        rows[count].offset += offsetof(struct evaluator_entry, own);
        if (rows[count].present_offset != 0 && rows[count].present_offset != OPTION_NO_PRESENT) {
            rows[count].present_offset += offsetof(struct evaluator_entry, own);
        }
        count++;
    }
    memset(&rows[count], 0, sizeof(rows[count]));
    return offsetof(struct evaluator_entry, own) + (ops ? ops->config_size : 0);
}

static void entry_bind(struct binding *binding, struct bytes name, const struct config_node *node)
{
    char path[256];
    snprintf(path, sizeof(path), "%s::evaluators::%.*s", binding->path, BYTES_PRINTF(name));
    if (!name_is_valid(name)) {
        option_error(binding->errors, path, node, "a score's name must match [a-z][a-z0-9_]{0,63}");
        return;
    }
    const struct config_node *type_node = config_get(node, "type");
    const struct evaluator_ops *ops = ops_named(type_node ? config_text(type_node) : name);
    bool judged = config_get(node, "judge") || config_get(node, "rubric") || !ops;
    ops = judged ? NULL : ops;
    struct option rows[KIND_ROWS_MAX + 1];
    size_t size = rows_join(ops, rows);
    struct evaluator_entry *entry = arena_zalloc(&binding->plan->memory, size);
    CHECK(entry);
    unsigned before = binding->errors->count;
    option_bind(rows, node, path, entry, size, &binding->plan->memory, binding->errors);
    if (binding->errors->count != before) {
        return;
    }
    int judge =
        judge_named(binding->plan, entry->judge.len > 0 ? entry->judge : BYTES_LITERAL("default"));
    if (judged && entry->judge.len == 0 && judge < 0 && binding->plan->judge_count == 1) {
        judge = 0;
    }
    if (judged && judge < 0) {
        bool plain = entry->judge.len == 0 && entry->rubric.len == 0;
        option_error(binding->errors, path, node,
                     plain
                         ? "no deterministic evaluator has this name and there is no judge \"%.*s\""
                         : "no judge \"%.*s\" is configured",
                     BYTES_PRINTF(entry->judge.len > 0 ? entry->judge : BYTES_LITERAL("default")));
        return;
    }
    struct evaluator *evaluator = evaluator_add(binding, name);
    if (!evaluator) {
        option_error(binding->errors, path, node, "more than %d evaluators", EVALUATORS_MAX);
        return;
    }
    evaluator->has_threshold = entry->has_threshold;
    evaluator->threshold = entry->threshold;
    bool fine = judged ? evaluator_judged(binding, evaluator, judge,
                                          entry->rubric.len > 0 ? entry->rubric : name, path, node)
                       : evaluator_computed(binding, evaluator, ops, entry->own, path, node);
    if (!fine) {
        binding->plan->evaluators.count--;
    }
}

static void default_computed(struct binding *binding, const char *type)
{
    const struct evaluator_ops *ops = ops_named(bytes_from_text(type));
    struct option rows[KIND_ROWS_MAX + 1];
    if (!ops) {
        return;
    }
    size_t size = rows_join(ops, rows);
    struct evaluator_entry *entry = arena_zalloc(&binding->plan->memory, size);
    CHECK(entry);
    option_bind(rows, NULL, binding->path, entry, size, &binding->plan->memory, binding->errors);
    struct evaluator *evaluator = evaluator_add(binding, bytes_from_text(type));
    CHECK(evaluator);
    if (!evaluator_computed(binding, evaluator, ops, entry->own, binding->path, NULL)) {
        binding->plan->evaluators.count--;
    }
    // A degenerate answer is settled without a judge, so with one it has to have a verdict.
    if (binding->plan->judge_count > 0 && strcmp(type, "degenerate") == 0) {
        evaluator->has_threshold = true;
        evaluator->threshold = 0.5;
    }
}

static void default_judged(struct binding *binding, const char *rubric, int judge)
{
    struct bytes name = bytes_from_text(rubric);
    struct evaluator *evaluator = evaluator_add(binding, name);
    CHECK(evaluator);
    evaluator->has_threshold = true;
    evaluator->threshold = DEFAULT_THRESHOLD;
    if (!evaluator_judged(binding, evaluator, judge, name, binding->path, NULL)) {
        binding->plan->evaluators.count--;
    }
}

static void evaluators_bind(struct binding *binding, const struct config_node *node)
{
    if (config_kind(node) != CONFIG_NULL && config_kind(node) != CONFIG_MAP) {
        option_error(binding->errors, binding->path, node, "evaluators must be a map");
        return;
    }
    for (size_t i = 0; i < config_count(node); i++) {
        struct bytes name;
        const struct config_node *entry = config_member(node, i, &name);
        entry_bind(binding, name, entry);
    }
    if (config_count(node) > 0) {
        return;
    }
    default_computed(binding, "valid_json");
    default_computed(binding, "degenerate");
    default_computed(binding, "context_overlap");
    default_computed(binding, "question_overlap");
    int judge = judge_named(binding->plan, BYTES_LITERAL("default"));
    if (binding->plan->judge_count > 0) {
        default_judged(binding, "faithfulness", judge < 0 ? 0 : judge);
        default_judged(binding, "answer_relevance", judge < 0 ? 0 : judge);
    }
}

static void judges_bind(struct binding *binding, const struct evaluation_config *config)
{
    struct evaluation_plan *plan = binding->plan;
    char why[256] = "";
    const struct judge_config *entries = config->judges.items;
    for (size_t i = 0; i < config->judges.count && plan->judge_count < JUDGES_MAX; i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s::judges::%.*s", binding->path,
                 BYTES_PRINTF(config->judges.names[i]));
        struct judge_config *judge = &plan->judges[plan->judge_count++];
        *judge = entries[i];
        judge->name = config->judges.names[i];
        judge_complete(judge, &plan->memory);
        judge_validate(judge, path, config->judges.nodes[i], binding->errors);
    }
    if (config->judge.len == 0) {
        return;
    }
    const struct config_node *node = config_get(binding->node, "judge");
    if (judge_named(plan, BYTES_LITERAL("default")) >= 0 || plan->judge_count == JUDGES_MAX) {
        option_error(binding->errors, binding->path, node,
                     "judge is a shorthand for judges::default: configure one of them");
        return;
    }
    struct judge_config *judge = &plan->judges[plan->judge_count];
    if (judge_from_shorthand(config->judge, &plan->memory, judge, why, sizeof(why)) != RESULT_OK) {
        option_error(binding->errors, binding->path, node, "judge: %s", why);
        return;
    }
    judge->name = BYTES_LITERAL("default");
    judge_validate(judge, binding->path, node, binding->errors);
    plan->judge_count++;
}

void evaluation_plan_init(struct evaluation_plan *plan, const struct evaluation_config *config,
                          const char *path, const struct config_node *node,
                          struct option_errors *errors)
{
    struct binding binding = {.plan = plan, .path = path, .node = node, .errors = errors};
    memset(plan, 0, sizeof(*plan));
    arena_init(&plan->memory, PLAN_BYTES_MAX);
    judges_bind(&binding, config);
    evaluators_bind(&binding, config->evaluators);
    char sampling_path[256];
    snprintf(sampling_path, sizeof(sampling_path), "%s::sampling", path);
    sampling_prepare(&config->sampling, &plan->evaluators, &plan->sampling, sampling_path,
                     config_get(node, "sampling"), errors);
}

void evaluation_plan_fini(struct evaluation_plan *plan)
{
    for (size_t i = 0; i < plan->evaluators.count; i++) {
        struct evaluator *evaluator = &plan->evaluators.items[i];
        if (evaluator->ops && evaluator->ops->release && evaluator->prepared) {
            evaluator->ops->release(evaluator->prepared);
        }
    }
    plan->evaluators.count = 0;
    arena_fini(&plan->memory);
}

void evaluation_validate(const void *config, const struct config_node *node, const char *path,
                         struct option_errors *errors)
{
    const struct evaluation_config *own = config;
    struct evaluation_plan *plan = malloc(sizeof(*plan));
    CHECK(plan);
    evaluation_plan_init(plan, own, path, node, errors);
    evaluation_plan_fini(plan);
    free(plan);
    if (own->hold_ns > 0 && own->hold_ns <= own->completion.linger_ns) {
        option_warning(errors, path, node,
                       "completion::linger is not below hold: targets leave before they are "
                       "decided, so that scores come on carriers only");
    }
    if (own->completion.idle_ns > own->completion.max_age_ns) {
        option_error(errors, path, node, "completion::idle must not be above completion::max_age");
    }
}
