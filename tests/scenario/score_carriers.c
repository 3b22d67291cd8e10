// SPDX-License-Identifier: Apache-2.0
// What Braintrust and LangWatch read off a carrier, checked and kept for the score server. One
// link, to the parent; no duration; kind EVALUATOR; then the attributes or the events that are that
// backend's own. Refused: checking spans that are no carriers, which the backends take as they are.
// Bounds: those of the scanner. The server's thread.
#include "tests/scenario/score_carriers.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "proto/attribute.h"

static bool is_state(struct bytes text)
{
    return bytes_equal_text(text, "processed") || bytes_equal_text(text, "skipped") ||
           bytes_equal_text(text, "error");
}

static bool is_number(const struct json_value *value)
{
    return json_kind(value) == JSON_INT || json_kind(value) == JSON_DOUBLE;
}

struct scores_walk {
    struct carriers *carriers;
    const struct item_view *view;
    const struct json_value *metadata;
};

static const char *link_check(const struct item_view *view)
{
    struct wire wire = wire_of(view->item);
    struct wire_field field;
    unsigned links = 0;
    struct bytes span = BYTES_NONE;
    while (wire_next(&wire, &field)) {
        if (field.number == SPAN_LINKS) {
            links++;
            (void)wire_find(field.bytes, LINK_SPAN_ID, &span);
        }
    }
    bool is_target =
        view->parent_id != NULL && span.len == 8 && memcmp(span.ptr, view->parent_id, 8) == 0;
    return links == 1 && is_target ? NULL : "link";
}

static void span_name_of(const struct item_view *view, char hex[17])
{
    hex_encode(view->parent_id, 8, hex);
}

static bool braintrust_score(void *arg, struct bytes key, const struct json_value *value)
{
    struct scores_walk *walk = arg;
    struct carriers *carriers = walk->carriers;
    double number = json_double(value, -1);
    char identity[160], span[17], id[17];
    if (!is_number(value) || number < 0 || number > 1) {
        carriers->why = "score out of 0 to 1";
        return false;
    }
    span_name_of(walk->view, span);
    hex_encode(walk->view->span_id, 8, id);
    snprintf(identity, sizeof(identity), "%s/%.*s", id, BYTES_PRINTF(key));
    score_server_keep(carriers->server, carriers->backend, identity, key, &number, BYTES_NONE,
                      bytes_from_text(span));
    return true;
}

static const char *braintrust_span(struct carriers *carriers, const struct item_view *view)
{
    struct any_view scores, metadata, attributes;
    struct json_document *document = NULL;
    if (!attribute_find(view->attributes, SPAN_ATTRIBUTES, "braintrust.metadata", &metadata) ||
        !json_is_valid(metadata.bytes)) {
        return "braintrust.metadata";
    }
    if (!attribute_find(view->attributes, SPAN_ATTRIBUTES, "braintrust.span_attributes",
                        &attributes) ||
        !bytes_equal_text(attributes.bytes, "{\"type\":\"score\"}")) {
        return "braintrust.span_attributes";
    }
    if (!attribute_find(view->attributes, SPAN_ATTRIBUTES, "braintrust.scores", &scores)) {
        return NULL;  // labels alone
    }
    if (json_parse(scores.bytes, &document, NULL) != RESULT_OK) {
        return "braintrust.scores";
    }
    struct scores_walk walk = {.carriers = carriers, .view = view};
    json_each(json_root(document), braintrust_score, &walk);
    json_free(&document);
    return carriers->why;
}

static const char *langwatch_event(struct carriers *carriers, const struct item_view *view,
                                   struct bytes event)
{
    struct bytes name = BYTES_NONE;
    struct any_view text;
    struct json_document *document = NULL;
    (void)wire_find(event, EVENT_NAME, &name);
    if (!bytes_equal_text(name, "langwatch.evaluation.custom") ||
        !attribute_find(event, EVENT_ATTRIBUTES, "json_encoded_event", &text) ||
        text.kind != ANY_KIND_STRING || json_parse(text.bytes, &document, NULL) != RESULT_OK) {
        return "event";
    }
    const struct json_value *verdict = json_root(document);
    char span[17], identity[160];
    double value = json_double(json_get(verdict, "score"), 0);
    span_name_of(view, span);
    const char *why = NULL;
    if (json_get_text(verdict, "name").len == 0 || !is_state(json_get_text(verdict, "status")) ||
        json_kind(json_get(verdict, "passed")) != JSON_BOOL ||
        !bytes_equal_text(json_get_text(verdict, "span_id"), span)) {
        why = "verdict";
    } else {
        snprintf(identity, sizeof(identity), "%.*s",
                 BYTES_PRINTF(json_get_text(verdict, "evaluation_id")));
        score_server_keep(carriers->server, BACKEND_LANGWATCH, identity,
                          json_get_text(verdict, "name"),
                          json_has(verdict, "score") ? &value : NULL,
                          json_get_text(verdict, "label"), bytes_from_text(span));
    }
    json_free(&document);
    return why;
}

static const char *langwatch_span(struct carriers *carriers, const struct item_view *view)
{
    struct wire wire = wire_of(view->item);
    struct wire_field field;
    const char *why = "no event";
    while (wire_next(&wire, &field)) {
        if (field.number == SPAN_EVENTS) {
            why = langwatch_event(carriers, view, field.bytes);
            if (why != NULL) {
                return why;
            }
        }
    }
    return why;
}

bool score_carriers_check(void *arg, const struct item_view *view)
{
    struct carriers *carriers = arg;
    struct any_view kind;
    bool is_carrier = attribute_find(view->attributes, SPAN_ATTRIBUTES, "sidejudge.carrier", &kind);
    if (!is_carrier || view->fault != SCAN_OK) {
        return true;
    }
    carriers->count++;
    carriers->why = link_check(view);
    if (carriers->why == NULL && view->start_ns != view->end_ns) {
        carriers->why = "a carrier takes no time";
    }
    if (carriers->why == NULL &&
        (!attribute_find(view->attributes, SPAN_ATTRIBUTES, "openinference.span.kind", &kind) ||
         !bytes_equal_text(kind.bytes, "EVALUATOR"))) {
        carriers->why = "kind";
    }
    if (carriers->why == NULL) {
        carriers->why = carriers->backend == BACKEND_BRAINTRUST ? braintrust_span(carriers, view)
                                                                : langwatch_span(carriers, view);
    }
    return carriers->why == NULL;
}
