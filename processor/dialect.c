// SPDX-License-Identifier: Apache-2.0
// Which dialect and which role a span has, from one walk over its keys, and the order in which the
// dialects' readers fill a reading. Chosen: markers per span, because mixed traces are normal; the
// first letter of a key rejects nearly all keys of plain spans. Refused: trusting scope names alone
// (OpenLLMetry and upstream share a prefix).
//
// The order of markers is dialects.md 7.0, that of content 7.2. Pure; any thread; no allocation.
#include "processor/dialect.h"

#include <string.h>

#include "proto/attribute.h"

const struct dialect *const dialects[DIALECT_COUNT] = {
    [DIALECT_GENAI] = &genai_dialect,
    [DIALECT_OPENINFERENCE] = &openinference_dialect,
    [DIALECT_OPENLLMETRY] = &openllmetry_dialect,
};

const char *role_label(enum role role)
{
    static const char *const labels[ROLE_COUNT] = {
#define ROLE(name, label) [ROLE_##name] = label,
#include "processor/role.def"
#undef ROLE
    };
    return labels[role];
}

struct role_word {
    const char *word;
    enum role role;
};

static const struct role_word openinference_kinds[] = {
    {"LLM", ROLE_LLM},
    {"AGENT", ROLE_AGENT},
    {"CHAIN", ROLE_CHAIN},
    {"TOOL", ROLE_TOOL},
    {"RETRIEVER", ROLE_RETRIEVER},
    {"RERANKER", ROLE_RERANKER},
    {"EMBEDDING", ROLE_EMBEDDING},
    {"EVALUATOR", ROLE_EVALUATOR},
    {"GUARDRAIL", ROLE_GUARDRAIL},
    {NULL, ROLE_OTHER},
};
static const struct role_word operations[] = {
    {"chat", ROLE_LLM},
    {"generate_content", ROLE_LLM},
    {"text_completion", ROLE_LLM},
    {"completion", ROLE_LLM},
    {"llm_call", ROLE_LLM},
    {"responses", ROLE_LLM},
    {"invoke_agent", ROLE_AGENT},
    {"agent_call", ROLE_AGENT},
    {"invoke_workflow", ROLE_WORKFLOW},
    {"execute_tool", ROLE_TOOL},
    {"tool_call", ROLE_TOOL},
    {"retrieval", ROLE_RETRIEVER},
    {"embeddings", ROLE_EMBEDDING},
    {"evaluation", ROLE_EVALUATOR},
    {"apply_guardrail", ROLE_GUARDRAIL},
    {"guardrail.run", ROLE_GUARDRAIL},
    {NULL, ROLE_OTHER},
};
static const struct role_word traceloop_kinds[] = {
    {"workflow", ROLE_WORKFLOW}, {"task", ROLE_CHAIN},    {"agent", ROLE_AGENT},
    {"tool", ROLE_TOOL},         {"session", ROLE_OTHER}, {NULL, ROLE_OTHER},
};
static const struct role_word request_types[] = {
    {"chat", ROLE_LLM},        {"completion", ROLE_LLM},
    {"rerank", ROLE_RERANKER}, {"embedding", ROLE_EMBEDDING},
    {NULL, ROLE_OTHER},
};

static enum role role_of(const struct role_word *words, struct bytes word)
{
    for (; words->word; words++) {
        if (bytes_equal_nocase(word, words->word)) {
            return words->role;
        }
    }
    return ROLE_OTHER;
}

struct marks {
    enum role kind, operation, traceloop, request, guess;
    bool genai, openinference, traceloop_any, flat;
};

static bool has(struct bytes key, const char *prefix, size_t len)
{
    return key.len >= len && memcmp(key.ptr, prefix, len) == 0;
}
#define HAS(key, prefix) has(key, prefix, sizeof(prefix) - 1)

static bool is_indexed(struct bytes key, const char *prefix)
{
    size_t len = strlen(prefix);
    return has(key, prefix, len) && key.len > len && key.ptr[len] >= '0' && key.ptr[len] <= '9';
}

static void mark_genai(struct marks *marks, const struct attribute_view *attribute,
                       struct span_class *found)
{
    struct bytes key = attribute->key;
    marks->genai = true;
    if (bytes_equal_text(key, "gen_ai.operation.name")) {
        marks->operation = role_of(operations, attribute->value.bytes);
    } else if (bytes_equal_text(key, "gen_ai.agent.name")) {
        found->agent_name = attribute->value.bytes;
    } else if (is_indexed(key, "gen_ai.prompt.") || is_indexed(key, "gen_ai.completion.")) {
        marks->flat = true;
        marks->guess = marks->guess == ROLE_OTHER ? ROLE_LLM : marks->guess;
    } else if (HAS(key, "gen_ai.tool.call.")) {
        marks->guess = ROLE_TOOL;
    } else if (HAS(key, "gen_ai.retrieval.")) {
        marks->guess = ROLE_RETRIEVER;
    } else if (HAS(key, "gen_ai.embeddings.")) {
        marks->guess = ROLE_EMBEDDING;
    } else if (marks->guess == ROLE_OTHER &&
               (HAS(key, "gen_ai.input.messages") || HAS(key, "gen_ai.output.messages") ||
                bytes_equal_text(key, "gen_ai.request.model"))) {
        marks->guess = ROLE_LLM;
    }
}

static void mark_other(struct marks *marks, const struct attribute_view *attribute,
                       struct span_class *found)
{
    struct bytes key = attribute->key;
    if (HAS(key, "openinference.span.kind")) {
        marks->openinference = true;
        marks->kind = role_of(openinference_kinds, attribute->value.bytes);
    } else if (HAS(key, "traceloop.")) {
        marks->traceloop_any = true;
        if (bytes_equal_text(key, "traceloop.span.kind")) {
            marks->traceloop = role_of(traceloop_kinds, attribute->value.bytes);
        }
    } else if (bytes_equal_text(key, "llm.request.type")) {
        marks->flat = true;
        marks->request = role_of(request_types, attribute->value.bytes);
    } else if (HAS(key, "llm.input_messages.") || HAS(key, "llm.output_messages.")) {
        marks->openinference = true;
        marks->guess = marks->guess == ROLE_OTHER ? ROLE_LLM : marks->guess;
    } else if (HAS(key, "sidejudge.")) {
        found->own_attributes = true;
    } else if (bytes_equal_text(key, "agent.name") && found->agent_name.len == 0) {
        found->agent_name = attribute->value.bytes;
    }
}

static enum role first_role(const struct marks *marks)
{
    const enum role given[] = {marks->kind, marks->operation, marks->traceloop, marks->request,
                               marks->guess};
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i] != ROLE_OTHER) {
            return given[i];
        }
    }
    return ROLE_OTHER;
}

// Can this key say anything? The first four bytes reject nearly all keys of plain spans.
static bool is_marker(struct bytes key)
{
    static const char markers[][5] = {"gen_", "open", "trac", "llm.", "side", "agen"};
    uint32_t head, marker;
    if (key.len < 8) {
        return false;
    }
    memcpy(&head, key.ptr, sizeof(head));
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        memcpy(&marker, markers[i], sizeof(marker));
        if (head == marker) {
            return i > 0 || HAS(key, "gen_ai.");
        }
    }
    return false;
}

// False: no key of the span can be a marker. What the scan saw of the keys says so mostly.
static bool may_have_markers(const struct item_view *view)
{
    const uint64_t heads = item_key_head('g', 'e') | item_key_head('o', 'p') |
                           item_key_head('t', 'r') | item_key_head('l', 'l') |
                           item_key_head('s', 'i') | item_key_head('a', 'g');
    return view->key_heads == 0 || (view->key_heads & heads) != 0;
}

void dialect_classify(const struct item_view *view, struct span_class *found)
{
    struct marks marks = {0};
    struct attribute_walk walk;
    struct attribute_view attribute = {0};
    struct bytes pair;
    *found = (struct span_class){.dialect = -1};
    attribute_walk_begin(&walk, may_have_markers(view) ? view->attributes : BYTES_NONE,
                         SPAN_ATTRIBUTES);
    while (attribute_walk_key(&walk, &attribute.key, &pair)) {
        if (is_marker(attribute.key)) {
            attribute.value = attribute_decode(pair);
            if (attribute.key.ptr[0] == 'g') {
                mark_genai(&marks, &attribute, found);
            } else {
                mark_other(&marks, &attribute, found);
            }
        }
    }
    struct bytes scope = BYTES_NONE;
    (void)wire_find(view->scope, SCOPE_NAME, &scope);
    found->role = first_role(&marks);
    if (marks.openinference || HAS(scope, "openinference.instrumentation.")) {
        found->dialect = DIALECT_OPENINFERENCE;
    } else if (marks.traceloop_any || marks.flat) {
        found->dialect = DIALECT_OPENLLMETRY;
    } else if (marks.genai) {
        found->dialect = DIALECT_GENAI;
    }
    found->own_evaluation = found->role == ROLE_EVALUATOR || HAS(scope, "sidejudge");
}

struct bytes dialect_service(const struct item_view *view)
{
    struct any_view value;
    if (!attribute_find(view->resource, RES_ATTRIBUTES, "service.name", &value) ||
        value.kind != ANY_KIND_STRING) {
        return BYTES_NONE;
    }
    return value.bytes;
}

void dialect_read(const struct item_view *view, const struct span_class *found,
                  struct reading *reading)
{
    static const unsigned char canonical[] = {DIALECT_GENAI, DIALECT_OPENINFERENCE,
                                              DIALECT_OPENLLMETRY};
    static const unsigned char rest[] = {DIALECT_OPENLLMETRY, DIALECT_OPENINFERENCE, DIALECT_GENAI};
    for (size_t i = 0; i < sizeof(canonical); i++) {
        dialects[canonical[i]]->read(view, found->role, reading);
    }
    for (size_t i = 0; i < sizeof(rest); i++) {
        if (dialects[rest[i]]->read_rest) {
            dialects[rest[i]]->read_rest(view, found->role, reading);
        }
    }
    reading_fill(reading, &reading->agent_name, found->agent_name);
    uint64_t dropped = 0;
    struct wire wire = wire_of(view->item);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        dropped = field.number == SPAN_DROPPED_ATTRIBUTES ? field.value : dropped;
    }
    reading->truncated |= dropped > 0;
}
