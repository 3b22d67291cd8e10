// SPDX-License-Identifier: Apache-2.0
// One check for each interface, over a tree of base/json or a scan of OTLP. A check answers what is
// wrong in words, or NULL after it has kept the scores. Refused: a schema language; the contracts
// are short, and words about a breach are worth more than a path into a schema. Bounds: kept scores
// and the sizes of the contracts. The server's thread.
#include "tests/scenario/score_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "tests/scenario/score_carriers.h"

typedef const char *(*check_fn)(struct score_server *server,
                                const struct scripted_request *request);

// --- small questions ------------------------------------------------------------------------

static bool header_is(const struct scripted_request *request, const char *name, const char *value)
{
    return bytes_equal_text(scripted_header(request, name), value);
}

static bool is_hex(struct bytes text, size_t len)
{
    uint8_t bytes[32];
    return text.len == len && hex_decode(text, bytes, len / 2) &&
           bytes_find(text, BYTES_LITERAL("A"), 0) == SIZE_MAX;
}

static bool is_uuid(struct bytes text)
{
    return text.len == 36 && text.ptr[8] == '-' && text.ptr[13] == '-' && text.ptr[18] == '-' &&
           text.ptr[23] == '-';
}

static bool is_decimal(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_one_of(struct bytes text, const char *const *choices)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (bytes_equal_text(text, choices[i])) {
            return true;
        }
    }
    return false;
}

static bool is_number(const struct json_value *value)
{
    return json_kind(value) == JSON_INT || json_kind(value) == JSON_DOUBLE;
}

static bool is_text_or_absent(const struct json_value *object, const char *key)
{
    return !json_has(object, key) || json_kind(json_get(object, key)) == JSON_TEXT;
}

const char *score_server_keep(struct score_server *server, enum score_backend backend,
                              const char *identity, struct bytes name, const double *value,
                              struct bytes label, struct bytes span)
{
    struct score_kept *kept = NULL;
    for (size_t i = 0; i < server->kept_count; i++) {
        if (server->kept[i].backend == backend && strcmp(server->kept[i].identity, identity) == 0) {
            kept = &server->kept[i];
        }
    }
    if (kept == NULL) {
        CHECK(server->kept_count < SCORE_SERVER_KEPT_MAX);
        kept = &server->kept[server->kept_count++];
    }
    kept->backend = backend;
    kept->writes++;
    snprintf(kept->identity, sizeof(kept->identity), "%s", identity);
    snprintf(kept->name, sizeof(kept->name), "%.*s", BYTES_PRINTF(name));
    snprintf(kept->label, sizeof(kept->label), "%.*s", BYTES_PRINTF(label));
    snprintf(kept->span, sizeof(kept->span), "%.*s", BYTES_PRINTF(span));
    kept->has_value = value != NULL;
    kept->value = value != NULL ? *value : 0;
    return NULL;
}

static bool is_poison(const struct score_server *server, struct bytes name)
{
    return server->poison != NULL && bytes_equal_text(name, server->poison);
}

// --- Langfuse -------------------------------------------------------------------------------

static bool is_environment(struct bytes text)
{
    bool is_sound =
        text.len > 0 && text.len <= 40 && !bytes_start_with(text, BYTES_LITERAL("langfuse"));
    for (size_t i = 0; is_sound && i < text.len; i++) {
        char byte = (char)text.ptr[i];
        is_sound = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                   byte == '_';
    }
    return is_sound;
}

static const char *langfuse_value(const struct json_value *body)
{
    static const char *const types[] = {"NUMERIC", "BOOLEAN", "CATEGORICAL", NULL};
    const struct json_value *value = json_get(body, "value");
    struct bytes type = json_get_text(body, "dataType");
    if (!is_one_of(type, types)) {
        return "dataType";
    }
    if (bytes_equal_text(type, "CATEGORICAL")) {
        return json_kind(value) == JSON_TEXT && json_text(value).len > 0 ? NULL : "value: text";
    }
    double number = json_double(value, -1);
    if (!is_number(value)) {
        return "value: number";
    }
    return bytes_equal_text(type, "BOOLEAN") && number != 0 && number != 1 ? "value: 0 or 1" : NULL;
}

static const char *langfuse_event(struct score_server *server, const struct json_value *event)
{
    const struct json_value *body = json_get(event, "body");
    struct bytes stamp = json_get_text(event, "timestamp");
    if (json_get_text(event, "id").len == 0 || json_kind(body) != JSON_OBJECT) {
        return "envelope";
    }
    if (stamp.len != 24 || stamp.ptr[10] != 'T' || stamp.ptr[23] != 'Z') {
        return "timestamp";
    }
    if (!bytes_equal_text(json_get_text(event, "type"), "score-create")) {
        return "type";
    }
    if (!is_hex(json_get_text(body, "traceId"), 32) ||
        !is_hex(json_get_text(body, "observationId"), 16) || json_has(body, "sessionId")) {
        return "subject";
    }
    if (json_has(body, "environment") && !is_environment(json_get_text(body, "environment"))) {
        return "environment";
    }
    if (json_get_text(body, "name").len == 0 || !is_text_or_absent(body, "comment")) {
        return "name or comment";
    }
    const char *why = langfuse_value(body);
    if (why != NULL) {
        return why;
    }
    char identity[160];
    double value = json_double(json_get(body, "value"), 0);
    bool is_text = json_kind(json_get(body, "value")) == JSON_TEXT;
    snprintf(identity, sizeof(identity), "%.*s/%.*s/%.10s", BYTES_PRINTF(json_get_text(body, "id")),
             BYTES_PRINTF(json_get_text(body, "name")), (const char *)stamp.ptr);
    return score_server_keep(server, BACKEND_LANGFUSE, identity, json_get_text(body, "name"),
                             is_text ? NULL : &value, json_text(json_get(body, "value")),
                             json_get_text(body, "observationId"));
}

static void langfuse_verdict(struct score_server *server, const struct json_value *event,
                             struct buffer *successes, struct buffer *errors)
{
    struct bytes name = json_get_text(json_get(event, "body"), "name");
    const char *why = is_poison(server, name) ? "poison" : langfuse_event(server, event);
    struct buffer *out = why == NULL ? successes : errors;
    buffer_printf(out, "%s{\"id\":\"%.*s\",\"status\":", out->len > 0 ? "," : "",
                  BYTES_PRINTF(json_get_text(event, "id")));
    if (why == NULL) {
        buffer_append_text(out, "201}");
        return;
    }
    int status = server->poison != NULL ? server->poison_status : 400;
    buffer_printf(out, "%d,\"message\":\"Invalid request data\",\"error\":\"%s\"}", status, why);
    if (server->poison == NULL) {
        server->refused++;
        snprintf(server->refusal, sizeof(server->refusal), "langfuse: %s", why);
    }
}

// The next object of an array's text; base/json takes no more than 1 MiB at once.
static bool object_next(struct bytes *rest, struct bytes *object)
{
    unsigned depth = 0;
    bool is_text = false;
    for (size_t i = 0; i < rest->len; i++) {
        uint8_t byte = rest->ptr[i];
        if (is_text) {
            i += byte == '\\';
            is_text = byte != '"';
        } else if (byte == '"') {
            is_text = true;
        } else if (byte == '{') {
            depth++;
        } else if (byte == '}' && --depth == 0) {
            *object = bytes_slice(*rest, 0, i + 1);
            *rest = bytes_slice(*rest, i + 2, SIZE_MAX);  // the comma too
            return true;
        }
    }
    return false;
}

static const char *langfuse_batch(struct score_server *server, struct bytes body)
{
    static const struct bytes head = {(const uint8_t *)"{\"batch\":[", 10};
    struct bytes rest = bytes_slice(body, head.len, SIZE_MAX);
    struct bytes text;
    struct buffer successes, errors;
    if (!json_is_valid(body) || !bytes_start_with(body, head) || rest.ptr[0] != '{') {
        return "no JSON, or no batch";
    }
    buffer_init(&successes, (size_t)1 << 22);
    buffer_init(&errors, (size_t)1 << 22);
    const char *why = NULL;
    while (why == NULL && object_next(&rest, &text)) {
        struct json_document *document = NULL;
        if (json_parse(text, &document, NULL) != RESULT_OK) {
            why = "event is no JSON";
        } else {
            langfuse_verdict(server, json_root(document), &successes, &errors);
        }
        json_free(&document);
    }
    buffer_printf(&server->reply, "{\"successes\":[%s],\"errors\":[", buffer_text(&successes));
    buffer_append_bytes(&server->reply, buffer_view(&errors));
    buffer_append_text(&server->reply, "]}");
    buffer_fini(&successes);
    buffer_fini(&errors);
    return why;
}

static const char *check_langfuse(struct score_server *server,
                                  const struct scripted_request *request)
{
    if (!header_is(request, "authorization", SCORE_SERVER_BASIC)) {
        return "authorization";
    }
    if (!header_is(request, "content-type", "application/json") ||
        scripted_header(request, "content-encoding").len > 0) {
        return "content type or encoding";
    }
    if (!header_is(request, "x-langfuse-ingestion-version", "4") || request->body.len > 3500000) {
        return "version or size";
    }
    return langfuse_batch(server, request->body);
}

// --- Phoenix --------------------------------------------------------------------------------

static const char *phoenix_annotation(struct score_server *server, const struct json_value *one)
{
    static const char *const kinds[] = {"LLM", "CODE", "HUMAN", NULL};
    const struct json_value *result = json_get(one, "result");
    struct bytes name = json_get_text(one, "name");
    struct bytes span = json_get_text(one, "span_id");
    if (!is_hex(span, 16) || name.len == 0 || bytes_equal_text(name, "note")) {
        return "span_id or name";
    }
    if (!is_one_of(json_get_text(one, "annotator_kind"), kinds)) {
        return "annotator_kind";
    }
    if (json_kind(result) != JSON_OBJECT || json_count(result) == 0 ||
        !is_text_or_absent(result, "label") || !is_text_or_absent(result, "explanation") ||
        (json_has(result, "score") && !is_number(json_get(result, "score")))) {
        return "result";
    }
    if (json_kind(json_get(one, "identifier")) != JSON_TEXT) {
        return "identifier";
    }
    char identity[160];
    double value = json_double(json_get(result, "score"), 0);
    snprintf(identity, sizeof(identity), "%.*s/%.*s/%.*s", BYTES_PRINTF(name), BYTES_PRINTF(span),
             BYTES_PRINTF(json_get_text(one, "identifier")));
    return score_server_keep(server, BACKEND_PHOENIX, identity, name,
                             json_has(result, "score") ? &value : NULL,
                             json_get_text(result, "label"), span);
}

static const char *each_of(struct score_server *server, const struct json_value *array,
                           const char *(*check)(struct score_server *, const struct json_value *),
                           const char *name_key)
{
    for (size_t i = 0; i < json_count(array); i++) {
        if (is_poison(server, json_get_text(json_at(array, i), name_key))) {
            return "poison";
        }
    }
    for (size_t i = 0; i < json_count(array); i++) {
        const char *why = check(server, json_at(array, i));
        if (why != NULL) {
            return why;
        }
    }
    return json_count(array) > 0 ? NULL : "nothing in it";
}

static const char *check_phoenix(struct score_server *server,
                                 const struct scripted_request *request)
{
    struct json_document *document = NULL;
    if (!header_is(request, "authorization", "Bearer " SCORE_SERVER_KEY)) {
        return "authorization";
    }
    if (!header_is(request, "content-type", "application/json") ||
        scripted_header(request, "content-encoding").len > 0) {
        return "content type or encoding";
    }
    if (json_parse(request->body, &document, NULL) != RESULT_OK) {
        return "no JSON";
    }
    const char *why =
        each_of(server, json_get(json_root(document), "data"), phoenix_annotation, "name");
    json_free(&document);
    buffer_append_text(&server->reply, "{\"data\":[]}");
    return why;
}

// --- LangSmith ------------------------------------------------------------------------------

static const char *langsmith_feedback(struct score_server *server, struct bytes part_name,
                                      const struct json_value *feedback)
{
    struct bytes id = json_get_text(feedback, "id");
    struct bytes run = json_get_text(feedback, "run_id");
    const struct json_value *source = json_get(feedback, "feedback_source");
    if (!is_uuid(id) || !bytes_equal(id, part_name)) {
        return "id";
    }
    if (!is_uuid(run) || !bytes_start_with(run, BYTES_LITERAL("00000000-0000-0000-")) ||
        !is_uuid(json_get_text(feedback, "trace_id"))) {
        return "run_id or trace_id";
    }
    if (json_get_text(feedback, "key").len == 0 || !is_text_or_absent(feedback, "comment") ||
        json_get_text(source, "type").len == 0) {
        return "key, comment or feedback_source";
    }
    bool has_score = json_has(feedback, "score");
    if (has_score ? !is_number(json_get(feedback, "score")) : !json_has(feedback, "value")) {
        return "score or value";
    }
    if (is_poison(server, json_get_text(feedback, "key"))) {
        return "poison";
    }
    char identity[160];
    double value = json_double(json_get(feedback, "score"), 0);
    snprintf(identity, sizeof(identity), "%.*s", BYTES_PRINTF(id));
    return score_server_keep(server, BACKEND_LANGSMITH, identity, json_get_text(feedback, "key"),
                             has_score ? &value : NULL, json_get_text(feedback, "value"), run);
}

// One part: headers, an empty line, JSON, a line break.
static const char *langsmith_part(struct score_server *server, struct bytes part)
{
    size_t gap = bytes_find(part, BYTES_LITERAL("\r\n\r\n"), 0);
    size_t from = bytes_find(part, BYTES_LITERAL("name=\"feedback."), 0);
    struct json_document *document = NULL;
    if (gap == SIZE_MAX || from == SIZE_MAX || from > gap || part.len < gap + 6) {
        return "part";
    }
    struct bytes name = bytes_slice(part, from + 15, 36);
    struct bytes json = bytes_slice(part, gap + 4, part.len - gap - 6);
    char length[48];
    snprintf(length, sizeof(length), "Content-Length: %zu\r\n", json.len);
    if (bytes_find(part, bytes_from_text(length), 0) > gap ||
        bytes_find(part, BYTES_LITERAL("Content-Type: application/json"), 0) > gap) {
        return "part's headers";
    }
    if (json_parse(json, &document, NULL) != RESULT_OK) {
        return "part is no JSON";
    }
    const char *why = langsmith_feedback(server, name, json_root(document));
    json_free(&document);
    return why;
}

static const char *check_langsmith(struct score_server *server,
                                   const struct scripted_request *request)
{
    static const struct bytes prefix = {(const uint8_t *)"multipart/form-data; boundary=", 30};
    struct bytes type = scripted_header(request, "content-type");
    char mark[96];
    if (!header_is(request, "x-api-key", SCORE_SERVER_KEY)) {
        return "x-api-key";
    }
    if (!bytes_start_with(type, prefix)) {
        return "content type";
    }
    int len = snprintf(mark, sizeof(mark), "--%.*s", (int)(type.len - prefix.len),
                       (const char *)type.ptr + prefix.len);
    struct bytes boundary = bytes_from(mark, (size_t)len);
    size_t at = bytes_find(request->body, boundary, 0);
    unsigned parts = 0;
    for (;;) {
        size_t next = at == SIZE_MAX ? at : bytes_find(request->body, boundary, at + boundary.len);
        if (next == SIZE_MAX) {
            break;
        }
        const char *why = langsmith_part(
            server, bytes_slice(request->body, at + boundary.len, next - at - boundary.len));
        if (why != NULL) {
            return why;
        }
        parts++;
        at = next;
    }
    bool is_closed = at != SIZE_MAX &&
                     bytes_equal_text(bytes_slice(request->body, at + boundary.len, 4), "--\r\n");
    return parts > 0 && is_closed ? NULL : "boundary";
}

// --- carriers: Braintrust, LangWatch --------------------------------------------------------

static const char *check_otlp(struct score_server *server, enum score_backend backend,
                              const struct scripted_request *request)
{
    struct carriers carriers = {.server = server, .backend = backend};
    struct scan_report report;
    if (!header_is(request, "authorization", "Bearer " SCORE_SERVER_KEY) ||
        !header_is(request, "content-type", "application/x-protobuf")) {
        return "authorization or content type";
    }
    if (backend == BACKEND_BRAINTRUST && !header_is(request, "x-bt-parent", "project_name:test")) {
        return "x-bt-parent";
    }
    if (scan_request(SIGNAL_TRACES, request->body, SCAN_CHECK_UTF8, score_carriers_check, &carriers,
                     &report) == RESULT_REJECT ||
        report.rejected_count > 0) {
        return "no OTLP";
    }
    if (carriers.count == 0) {
        server->spans[backend]++;
        server->requests[backend]--;
    }
    return carriers.why;
}

static const char *check_braintrust(struct score_server *server,
                                    const struct scripted_request *request)
{
    return check_otlp(server, BACKEND_BRAINTRUST, request);
}

static const char *check_langwatch(struct score_server *server,
                                   const struct scripted_request *request)
{
    return check_otlp(server, BACKEND_LANGWATCH, request);
}

// --- Datadog --------------------------------------------------------------------------------

static const char *datadog_value(const struct json_value *metric)
{
    struct bytes type = json_get_text(metric, "metric_type");
    if (bytes_equal_text(type, "score")) {
        return is_number(json_get(metric, "score_value")) ? NULL : "score_value";
    }
    if (bytes_equal_text(type, "boolean")) {
        return json_kind(json_get(metric, "boolean_value")) == JSON_BOOL ? NULL : "boolean_value";
    }
    if (bytes_equal_text(type, "categorical")) {
        return json_get_text(metric, "categorical_value").len > 0 ? NULL : "categorical_value";
    }
    return "metric_type";
}

static bool is_label(struct bytes label)
{
    bool is_sound = label.len > 0 && label.len <= 200;
    for (size_t i = 0; is_sound && i < label.len; i++) {
        char byte = (char)label.ptr[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        is_sound = is_letter || (i > 0 && (byte == '_' || (byte >= '0' && byte <= '9')));
    }
    return is_sound;
}

static bool has_tag(const struct json_value *metric, const char *tag)
{
    const struct json_value *tags = json_get(metric, "tags");
    for (size_t i = 0; i < json_count(tags); i++) {
        if (bytes_equal_text(json_text(json_at(tags, i)), tag)) {
            return true;
        }
    }
    return false;
}

static const char *datadog_metric(struct score_server *server, const struct json_value *metric)
{
    static const char *const verdicts[] = {"pass", "fail", NULL};
    const struct json_value *span = json_get(json_get(metric, "join_on"), "span");
    struct bytes label = json_get_text(metric, "label");
    if (!is_decimal(json_get_text(span, "span_id")) ||
        !is_decimal(json_get_text(span, "trace_id"))) {
        return "join_on";
    }
    if (json_get_text(metric, "ml_app").len == 0 ||
        json_kind(json_get(metric, "timestamp_ms")) != JSON_INT || !is_label(label)) {
        return "ml_app, timestamp_ms or label";
    }
    if (!has_tag(metric, "source:otel") ||
        !is_one_of(json_get_text(metric, "assessment"), verdicts) ||
        !is_text_or_absent(metric, "reasoning")) {
        return "tags, assessment or reasoning";
    }
    const char *why = datadog_value(metric);
    char identity[160];
    bool has_value = json_has(metric, "score_value") || json_has(metric, "boolean_value");
    double value = json_double(json_get(metric, "score_value"),
                               json_bool(json_get(metric, "boolean_value")) ? 1 : 0);
    snprintf(identity, sizeof(identity), "%.*s/%.*s", BYTES_PRINTF(json_get_text(span, "span_id")),
             BYTES_PRINTF(label));
    return why != NULL ? why
                       : score_server_keep(server, BACKEND_DATADOG, identity, label,
                                           has_value ? &value : NULL,
                                           json_get_text(metric, "categorical_value"),
                                           json_get_text(span, "span_id"));
}

static const char *check_datadog(struct score_server *server,
                                 const struct scripted_request *request)
{
    struct json_document *document = NULL;
    if (!header_is(request, "dd-api-key", SCORE_SERVER_KEY) ||
        !header_is(request, "content-type", "application/json")) {
        return "key or content type";
    }
    if (request->body.len > 5000000 || json_parse(request->body, &document, NULL) != RESULT_OK) {
        return "no JSON";
    }
    const struct json_value *data = json_get(json_root(document), "data");
    const char *why = "data.type";
    if (bytes_equal_text(json_get_text(data, "type"), "evaluation_metric")) {
        why = each_of(server, json_get(json_get(data, "attributes"), "metrics"), datadog_metric,
                      "label");
    }
    json_free(&document);
    return why;
}

// --- webhook --------------------------------------------------------------------------------

static const char *webhook_score(struct score_server *server, const struct json_value *score)
{
    static const char *const types[] = {"numeric", "boolean", "categorical", NULL};
    struct bytes id = json_get_text(score, "id");
    double value = json_double(json_get(score, "value"), 0);
    char identity[160];
    if (!is_hex(id, 64) || !is_hex(json_get_text(score, "trace_id"), 32) ||
        !is_hex(json_get_text(score, "span_id"), 16) ||
        !is_one_of(json_get_text(score, "type"), types)) {
        return "webhook";
    }
    snprintf(identity, sizeof(identity), "%.*s", BYTES_PRINTF(id));
    return score_server_keep(server, BACKEND_WEBHOOK, identity, json_get_text(score, "name"),
                             json_has(score, "value") ? &value : NULL,
                             json_get_text(score, "label"), json_get_text(score, "span_id"));
}

static const char *check_webhook(struct score_server *server,
                                 const struct scripted_request *request)
{
    struct json_document *document = NULL;
    if (!header_is(request, "content-type", "application/json") ||
        json_parse(request->body, &document, NULL) != RESULT_OK) {
        return "no JSON";
    }
    const char *why =
        each_of(server, json_get(json_root(document), "scores"), webhook_score, "name");
    json_free(&document);
    return why;
}

// --- the server -----------------------------------------------------------------------------

static const struct route {
    const char *line;
    check_fn check;
    int status, refusal;  // accepted, refused
    const char *reply;    // NULL: what the check wrote
} routes[BACKEND_COUNT] = {
    [BACKEND_LANGFUSE] = {"POST /api/public/ingestion HTTP/1.1", check_langfuse, 207, 400, NULL},
    [BACKEND_PHOENIX] = {"POST /v1/span_annotations?sync=false HTTP/1.1", check_phoenix, 200, 422,
                         NULL},
    [BACKEND_LANGSMITH] = {"POST /runs/multipart HTTP/1.1", check_langsmith, 202, 422,
                           "{\"message\":\"Runs batch ingested\"}"},
    [BACKEND_BRAINTRUST] = {"POST /otel/v1/traces HTTP/1.1", check_braintrust, 200, 400, "{}"},
    [BACKEND_LANGWATCH] = {"POST /api/otel/v1/traces HTTP/1.1", check_langwatch, 200, 400, "{}"},
    [BACKEND_DATADOG] = {"POST /api/intake/llm-obs/v2/eval-metric HTTP/1.1", check_datadog, 202,
                         400, "{}"},
    [BACKEND_WEBHOOK] = {"POST /hook HTTP/1.1", check_webhook, 200, 400, ""},
};

static void answer_route(struct score_server *server, enum score_backend backend,
                         const struct scripted_request *request, struct scripted_reply *reply)
{
    const struct route *route = &routes[backend];
    server->requests[backend]++;
    buffer_reset(&server->body);
    buffer_append_bytes(&server->body, request->body);
    buffer_reset(&server->reply);
    reply->headers = "Content-Type: application/json\r\n";
    if (server->fail_count > 0) {
        server->fail_count--;
        reply->status = server->fail_status;
        reply->body = bytes_from_text(server->fail_body);
        return;
    }
    const char *why = route->check(server, request);
    reply->status = why == NULL ? route->status : route->refusal;
    if (why == NULL) {
        reply->body =
            route->reply != NULL ? bytes_from_text(route->reply) : buffer_view(&server->reply);
        return;
    }
    if (strcmp(why, "poison") != 0 && server->refused++ == 0) {
        snprintf(server->refusal, sizeof(server->refusal), "%s: %s", route->line, why);
    }
    buffer_reset(&server->reply);
    buffer_printf(&server->reply, "{\"detail\":\"%s\"}", why);
    reply->body = buffer_view(&server->reply);
}

void score_server_sync(struct score_server *server)
{
    atomic_fetch_add_explicit(&server->turn, 1, memory_order_acq_rel);
}

static void answer_any(struct score_server *server, const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    for (unsigned i = 0; i < BACKEND_COUNT; i++) {
        if (bytes_equal_text(request->line, routes[i].line)) {
            answer_route(server, (enum score_backend)i, request, reply);
            return;
        }
    }
    if (bytes_equal_text(request->line, "POST /api/public/otel/v1/traces HTTP/1.1")) {
        server->spans[BACKEND_LANGFUSE]++;
    } else if (bytes_equal_text(request->line, "POST /v1/traces HTTP/1.1")) {
        server->spans[BACKEND_PHOENIX]++;
    } else {
        reply->status = 404;
    }
}

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    struct score_server *server = arg;
    score_server_sync(server);
    answer_any(server, request, reply);
    score_server_sync(server);
}

struct score_server *score_server_start(void)
{
    struct score_server *server = calloc(1, sizeof(*server));
    CHECK(server != NULL);
    buffer_init(&server->body, (size_t)16 << 20);
    buffer_init(&server->reply, (size_t)16 << 20);
    server->http = scripted_http_start(answer, server);
    return server;
}

void score_server_stop(struct score_server **server)
{
    scripted_http_stop(&(*server)->http);
    buffer_fini(&(*server)->body);
    buffer_fini(&(*server)->reply);
    free(*server);
    *server = NULL;
}

unsigned score_server_port(const struct score_server *server)
{
    return scripted_http_port(server->http);
}

const struct score_kept *score_server_find(const struct score_server *server,
                                           enum score_backend backend, const char *name)
{
    for (size_t i = 0; i < server->kept_count; i++) {
        if (server->kept[i].backend == backend && strcmp(server->kept[i].name, name) == 0) {
            return &server->kept[i];
        }
    }
    return NULL;
}

size_t score_server_count(const struct score_server *server, enum score_backend backend)
{
    size_t count = 0;
    for (size_t i = 0; i < server->kept_count; i++) {
        count += server->kept[i].backend == backend;
    }
    return count;
}
