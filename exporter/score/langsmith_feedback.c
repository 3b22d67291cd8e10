// SPDX-License-Identifier: Apache-2.0
// The exporter `langsmith_feedback`. The boundary is constant: JSON has no raw line breaks inside,
// so that no part can hold one. 409 says that the feedback is there already, which is what a
// repetition wants.
//
// Refused: POST /feedback, one request for each score. Bounds: BYTES_MAX per request. Exporter's
// thread; start excepted.
#include "exporter/score/langsmith_feedback.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "exporter/score/score_json.h"
#include "exporter/score/score_sink.h"

#define BOUNDARY "sidejudge-4f1c6b9ad2e8-feedback"
#define BYTES_MAX ((size_t)10 << 20)

struct uuid {
    char text[37];
};

static struct uuid uuid_of(const uint8_t bytes[16])
{
    struct uuid uuid;
    char hex[33];
    hex_encode(bytes, 16, hex);
    snprintf(uuid.text, sizeof(uuid.text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
             hex + 16, hex + 20);
    return uuid;
}

static struct uuid run_id_of(const struct span_id *id)
{
    uint8_t bytes[16] = {0};
    memcpy(bytes + 8, id->bytes, 8);
    return uuid_of(bytes);
}

// The first half of the hash, in the form of a name-based UUID (RFC 9562 5.5), which all validators
// know.
static struct uuid feedback_id_of(const char *score_id)
{
    uint8_t bytes[16] = {0};
    (void)hex_decode(bytes_from(score_id, 32), bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x50);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    return uuid_of(bytes);
}

static void put_uuid(struct json_writer *json, const char *key, struct uuid uuid)
{
    json_key(json, key);
    json_put_literal(json, uuid.text);
}

static void put_source(struct json_writer *json, const struct score_record *record)
{
    json_key(json, "feedback_source");
    json_begin_object(json);
    json_key(json, "type");
    json_put_literal(json, record->by_judge ? "model" : "api");
    json_key(json, "metadata");
    json_begin_object(json);
    score_json_text(json, "identifier", record->identifier);
    json_key(json, "baseline");
    json_put_bool(json, record->plain);
    json_key(json, "probability");
    json_put_double(json, record->probability);
    json_end_object(json);
    json_end_object(json);
}

static void put_feedback(const struct score_body *body, struct json_writer *json,
                         const struct score_entry *entry)
{
    const struct score_record *record = &entry->record;
    char time[25];
    clock_format(record->end_ns, time);
    json_begin_object(json);
    put_uuid(json, "id", feedback_id_of(record->id));
    put_uuid(json, "run_id", run_id_of(&record->span_id));
    put_uuid(json, "trace_id", uuid_of(record->trace_id.bytes));
    score_json_text(json, "session_id", bytes_from_text(body->encoder->application));
    json_key(json, "key");
    json_put_literal(json, entry->name);
    if (record->has_value) {
        json_key(json, "score");
        json_put_double(json, record->value);
    }
    if (record->type == SCORE_CATEGORICAL) {
        score_json_text(json, "value", record->label);
    }
    score_json_text(json, "comment", record->explanation);
    json_key(json, "created_at");
    json_put_literal(json, time);
    json_key(json, "modified_at");
    json_put_literal(json, time);
    put_source(json, record);
    json_end_object(json);
}

static void put_record(struct score_body *body, const struct score_entry *entry)
{
    struct json_writer json;
    struct buffer part;
    buffer_init(&part, BYTES_MAX);
    json_writer_init(&json, &part);
    put_feedback(body, &json, entry);
    buffer_printf(body->out,
                  "--" BOUNDARY "\r\n"
                  "Content-Disposition: form-data; name=\"feedback.%s\"\r\n"
                  "Content-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  feedback_id_of(entry->record.id).text, part.len);
    buffer_append_bytes(body->out, buffer_view(&part));
    buffer_append_text(body->out, "\r\n");
    buffer_fini(&part);
}

static void end(struct score_body *body)
{
    buffer_append_text(body->out, "--" BOUNDARY "--\r\n");
}

const struct score_form langsmith_feedback_form = {.end = end, .record = put_record};

static void read_reply(const struct http_response *response, struct delivery_reply *reply,
                       char text[HTTP_SCORE_REPLY_BYTES])
{
    (void)text;
    if (response->status == 409) {
        reply->code = 200;
        reply->text = BYTES_NONE;
    }
}

static const struct http_backend backend = {
    .paths = {[SIGNAL_SCORES] = "/runs/multipart"},
    .content_type = "multipart/form-data; boundary=" BOUNDARY,
    .codecs = 1U << CODEC_NONE,
    .score_content_type = "multipart/form-data; boundary=" BOUNDARY,
    .score_codecs = 1U << CODEC_NONE,
    .score_bytes_max = BYTES_MAX,
    .score_reply = read_reply};

// --- the kind -------------------------------------------------------------------------------

struct langsmith_feedback_config {
    struct score_sink_config sink;
    struct http_export_config http;
    struct bytes endpoint, api_key, session_id;
};

static const struct option langsmith_feedback_options[] = {
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct langsmith_feedback_config, endpoint),
     .doc = "Base URL. When absent: LANGSMITH_ENDPOINT or LANGCHAIN_ENDPOINT, else "
            "https://api.smith.langchain.com."},
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct langsmith_feedback_config, api_key),
     .doc = "When absent: LANGSMITH_API_KEY or LANGCHAIN_API_KEY."},
    {.key = "session_id",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct langsmith_feedback_config, session_id),
     .doc = "UUID of the tracing project that has the runs, for servers that ask for it."},
    SCORE_SINK_ROWS(struct langsmith_feedback_config),
    HTTP_EXPORT_ROWS(struct langsmith_feedback_config),
    {.key = NULL},
};

static struct bytes url_of(const struct langsmith_feedback_config *config)
{
    static const char *const variables[] = {"LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", NULL};
    return score_sink_text(config->endpoint, variables, "https://api.smith.langchain.com");
}

static struct bytes key_of(const struct langsmith_feedback_config *config)
{
    static const char *const variables[] = {"LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", NULL};
    return score_sink_text(config->api_key, variables, NULL);
}

static bool is_uuid(struct bytes text)
{
    uint8_t byte;
    bool is_sound = text.len == 36;
    for (size_t i = 0; is_sound && i < text.len; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        uint8_t pair[2] = {'0', text.ptr[i]};
        is_sound = is_hyphen ? text.ptr[i] == '-' : hex_decode(bytes_from(pair, 2), &byte, 1);
    }
    return is_sound;
}

static void langsmith_feedback_validate(const void *arg, const struct config_node *node,
                                        const char *path, struct option_errors *errors)
{
    const struct langsmith_feedback_config *config = arg;
    if (key_of(config).len == 0) {
        option_error(errors, path, node, "api_key must be set, or LANGSMITH_API_KEY");
    }
    if (config->session_id.len > 0 && !is_uuid(config->session_id)) {
        option_error(errors, path, config_get(node, "session_id"), "session_id must be a UUID");
    }
    score_sink_validate(&config->sink, node, path, errors);
    http_export_check_url(url_of(config), "endpoint", node, path, errors);
    http_export_validate(&config->http, &backend, node, path, errors);
}

static enum result langsmith_feedback_start(const struct component_env *env, const void *arg,
                                            struct exporter **exporter, char *why, size_t why_len)
{
    const struct langsmith_feedback_config *config = arg;
    struct bytes api_key = key_of(config);
    struct score_encoder encoder =
        score_sink_encoder(&config->sink, &langsmith_feedback_form, config->session_id);
    char key[1024];
    if ((size_t)snprintf(key, sizeof(key), "%.*s", BYTES_PRINTF(api_key)) >= sizeof(key)) {
        snprintf(why, why_len, "api_key is too long");
        return RESULT_FAIL;
    }
    struct http_export_setup setup = {.config = &config->http,
                                      .backend = &backend,
                                      .base_url = url_of(config),
                                      .encoder = &encoder,
                                      .extra = {{"x-api-key", key}},
                                      .extra_secrets = {api_key, BYTES_NONE}};
    return http_export_start(env, &setup, exporter, why, why_len);
}

const struct exporter_ops langsmith_feedback_exporter = {
    .kind = {.type = "langsmith_feedback",
             .doc = "Scores to LangSmith, as feedback on the runs of spans.",
             .signals = 1U << SIGNAL_SCORES,
             .options = langsmith_feedback_options,
             .config_size = sizeof(struct langsmith_feedback_config),
             .validate = langsmith_feedback_validate},
    .start = langsmith_feedback_start,
    SENDER_OPS,
    .score_send = score_sink_send,
};
