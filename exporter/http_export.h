// SPDX-License-Identifier: Apache-2.0
// OTLP over HTTP (OTLP 1.11 "OTLP/HTTP"), shared by the exporters that are a backend's defaults on
// top of it: otlp_http, langfuse, phoenix. How backends differ stands in one table of rows.
#pragma once

#include "base/http_client.h"
#include "exporter/sender.h"

#define HTTP_EXPORT_BYTES_MAX ((size_t)8 << 20)  // of one request, unless `batch` says less
#define HTTP_SCORE_REPLY_BYTES 256

enum http_backend_id { HTTP_BACKEND_OTLP, HTTP_BACKEND_LANGFUSE, HTTP_BACKEND_PHOENIX };

struct http_backend {                 // a row: what this backend wants
    const char *paths[SIGNAL_COUNT];  // behind the base URL; NULL: it does not take the signal
    const char *path_stem;  // when the base URL ends in it, it is not repeated; may be NULL
    const char *content_type;
    unsigned codecs;            // bit set of 1 << enum codec
    struct http_header header;  // sent always; name NULL: none
    // Of scores, where paths[SIGNAL_SCORES] is not NULL and there is an encoder.
    const char *score_content_type;
    unsigned score_codecs;   // what of the configured compression goes for them; else none
    size_t score_bytes_max;  // of a body in identity coding; larger ones are cut as after 413
    // Reads what the status code alone does not say into a reply that holds just that; `text` is
    // memory for reply->text. Optional.
    void (*score_reply)(const struct http_response *response, struct delivery_reply *reply,
                        char text[HTTP_SCORE_REPLY_BYTES]);
};
const struct http_backend *http_backend(enum http_backend_id id);

struct http_export_config {  // keys that all of them have
    int64_t timeout_ns;
    int compression;  // enum http_compression
    bool compression_present;
    struct option_pairs headers;
    struct auth_config auth;
    struct tls_client_config tls;
    bool tls_present;
    struct bytes proxy_url;
    bool force_attempt_http2;
    int64_t idle_conn_timeout_ns;
    struct retry_config retry;
    struct queue_config queue;
};
enum http_compression {
    HTTP_COMPRESSION_GZIP,
    HTTP_COMPRESSION_ZSTD,
    HTTP_COMPRESSION_DEFLATE,
    HTTP_COMPRESSION_ZLIB,
    HTTP_COMPRESSION_NONE,
    HTTP_COMPRESSION_EMPTY,
};
extern const char *const http_compression_names[];
enum codec http_export_codec(int compression);

#define HTTP_EXPORT_IGNORED(name, row_kind)                                                        \
    {                                                                                              \
        .key = name, .kind = row_kind, .flags = OPTION_F_IGNORED,                                  \
        .doc = "No effect: num_consumers bounds the connections."                                  \
    }
// The rows of these keys for a configuration struct that holds them as its member `http`.
#define HTTP_EXPORT_ROWS(type)                                                                     \
    {.key = "timeout",                                                                             \
     .kind = OPTION_DURATION,                                                                      \
     .fallback = "30s",                                                                            \
     .unit = "s",                                                                                  \
     .max = 3600,                                                                                  \
     .min = 0.001,                                                                                 \
     .offset = offsetof(type, http.timeout_ns),                                                    \
     .doc = "Of one request, connecting included."},                                               \
        {.key = "compression",                                                                     \
         .kind = OPTION_ENUM,                                                                      \
         .fallback = "gzip",                                                                       \
         .choices = http_compression_names,                                                        \
         .offset = offsetof(type, http.compression),                                               \
         .present_offset = offsetof(type, http.compression_present),                               \
         .doc = "Content-Encoding of requests from 1 KiB up; what a backend takes."},              \
        {.key = "headers",                                                                         \
         .kind = OPTION_TEXT_MAP,                                                                  \
         .flags = OPTION_F_SECRET,                                                                 \
         .offset = offsetof(type, http.headers),                                                   \
         .count_max = 32,                                                                          \
         .doc = "Added to each request."},                                                         \
        {.key = "auth",                                                                            \
         .kind = OPTION_GROUP,                                                                     \
         .rows = auth_options,                                                                     \
         .offset = offsetof(type, http.auth),                                                      \
         .doc = "Credentials from an extension; they win over headers."},                          \
        {.key = "tls",                                                                             \
         .kind = OPTION_GROUP,                                                                     \
         .rows = tls_client_options,                                                               \
         .offset = offsetof(type, http.tls),                                                       \
         .present_offset = offsetof(type, http.tls_present),                                       \
         .doc = "For https endpoints."},                                                           \
        {.key = "proxy_url",                                                                       \
         .kind = OPTION_TEXT,                                                                      \
         .offset = offsetof(type, http.proxy_url),                                                 \
         .doc = "Empty: from the environment."},                                                   \
        {.key = "force_attempt_http2",                                                             \
         .kind = OPTION_BOOL,                                                                      \
         .fallback = "false",                                                                      \
         .offset = offsetof(type, http.force_attempt_http2),                                       \
         .doc = "Offer HTTP/2 to https endpoints; HTTP/1.1 costs less."},                          \
        {.key = "idle_conn_timeout",                                                               \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "90s",                                                                        \
         .unit = "s",                                                                              \
         .min = 0,                                                                                 \
         .max = 86400,                                                                             \
         .offset = offsetof(type, http.idle_conn_timeout_ns),                                      \
         .doc = "Kept connections are closed after."},                                             \
        {.key = "retry_on_failure",                                                                \
         .kind = OPTION_GROUP,                                                                     \
         .rows = retry_options,                                                                    \
         .offset = offsetof(type, http.retry),                                                     \
         .doc = "What failed for now is sent again."},                                             \
        {.key = "sending_queue",                                                                   \
         .kind = OPTION_GROUP,                                                                     \
         .rows = queue_options,                                                                    \
         .offset = offsetof(type, http.queue),                                                     \
         .doc = "Between admission and the backend."},                                             \
        HTTP_EXPORT_IGNORED("read_buffer_size", OPTION_SIZE),                                      \
        HTTP_EXPORT_IGNORED("write_buffer_size", OPTION_SIZE),                                     \
        HTTP_EXPORT_IGNORED("max_idle_conns", OPTION_INT),                                         \
        HTTP_EXPORT_IGNORED("max_idle_conns_per_host", OPTION_INT),                                \
        HTTP_EXPORT_IGNORED("max_conns_per_host", OPTION_INT),                                     \
        HTTP_EXPORT_IGNORED("disable_keep_alives", OPTION_BOOL),                                   \
        HTTP_EXPORT_IGNORED("http2_read_idle_timeout", OPTION_DURATION),                           \
        HTTP_EXPORT_IGNORED("http2_ping_timeout", OPTION_DURATION)

void http_export_validate(const struct http_export_config *config,
                          const struct http_backend *backend, const struct config_node *node,
                          const char *path, struct option_errors *errors);
// Appends an error when `url` is no http(s) URL. `key`: the option's.
void http_export_check_url(struct bytes url, const char *key, const struct config_node *node,
                           const char *path, struct option_errors *errors);

struct http_export_setup {  // borrowed for the call only
    const struct http_export_config *config;
    const struct http_backend *backend;
    struct bytes base_url;                // empty: only `urls` count
    struct bytes urls[SIGNAL_COUNT];      // verbatim; empty: base_url and the backend's path
    struct http_header extra[2];          // of the backend's own keys; name NULL: none
    struct bytes extra_secrets[2];        // not to appear in logs
    const struct score_encoder *encoder;  // of scores; NULL: none; its codec is set here
};
enum result http_export_start(const struct component_env *env,
                              const struct http_export_setup *setup, struct exporter **exporter,
                              char *why, size_t why_len) MUST_USE;
