// SPDX-License-Identifier: Apache-2.0
//
// Made from the receiver's server library on the scenario's own loop: no thread, no locks. Bodies
// are inflated, scanned and kept whole, so that a scenario can compare bytes. Refused: a server of
// its own for the tests; real peers of other makers are in tests/interop. Bounds: 256 MiB kept, 64
// MiB a request. The scenario's thread.

#include "tests/scenario/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/compression.h"
#include "receiver/server.h"

#define KEPT_BYTES_MAX ((size_t)256 << 20)
#define BODY_BYTES_MAX ((size_t)64 << 20)

struct kept {
    struct kept *next;
    enum signal signal;
    struct bytes body;
    char authorization[256];
    uint8_t bytes[];
};

static const struct {
    const char *path;
    enum signal signal;
} paths[] = {
    {"/v1/traces", SIGNAL_TRACES},
    {"/v1/metrics", SIGNAL_METRICS},
    {"/v1/logs", SIGNAL_LOGS},
    {"/api/public/otel/v1/traces", SIGNAL_TRACES},
    {"/opentelemetry.proto.collector.trace.v1.TraceService/Export", SIGNAL_TRACES},
};
#define PATH_COUNT (sizeof(paths) / sizeof(paths[0]))

static const char *const header_names[] = {"authorization", "user-agent", "sidejudge-hop",
                                           "x-scenario", NULL};

struct backend {
    struct server *server;
    struct tls_server *tls;  // NULL: plain text
    char cert_file[128], key_file[128];
    struct http_route routes[PATH_COUNT];
    struct compressor *compressor;
    struct kept *first, **end;
    size_t kept_bytes;
    unsigned items[SIGNAL_OTLP_COUNT];
    unsigned requests, packed_requests, retry_after_s;
    int status;
    char url[64], path[128];
    char headers[4][256];
};

static bool item_count(void *arg, const struct item_view *view)
{
    *(unsigned *)arg += view->fault == SCAN_OK;
    return true;
}

static void keep(struct backend *backend, enum signal signal, struct bytes body)
{
    struct scan_report report;
    struct kept *kept = malloc(sizeof(*kept) + body.len);
    CHECK(kept != NULL && backend->kept_bytes + body.len <= KEPT_BYTES_MAX);
    kept->next = NULL;
    kept->signal = signal;
    memcpy(kept->authorization, backend->headers[0], sizeof(kept->authorization));
    if (body.len > 0) {
        memcpy(kept->bytes, body.ptr, body.len);
    }
    kept->body = bytes_from(kept->bytes, body.len);
    *backend->end = kept;
    backend->end = &kept->next;
    backend->kept_bytes += body.len;
    CHECK(scan_request(signal, kept->body, SCAN_CHECK_UTF8, item_count, &backend->items[signal],
                       &report) == RESULT_OK);
    CHECK(report.rejected_count == 0);
}

static void note_head(struct backend *backend, const struct request *request)
{
    snprintf(backend->path, sizeof(backend->path), "%.*s", BYTES_PRINTF(request->path));
    for (size_t i = 0; header_names[i] != NULL; i++) {
        snprintf(backend->headers[i], sizeof(backend->headers[i]), "%.*s",
                 BYTES_PRINTF(request_header(request, header_names[i])));
    }
}

static bool inflate(struct backend *backend, const struct request *request, struct buffer *out)
{
    enum codec codec;
    const char *why;
    const char *name = request->protocol == REQUEST_GRPC ? "grpc-encoding" : "content-encoding";
    if (codec_from_name(request_header(request, name), &codec) != RESULT_OK) {
        return false;
    }
    if (request->protocol == REQUEST_GRPC && !request->message_is_packed) {
        codec = CODEC_NONE;
    }
    struct bytes body = bytes_from(request->body.ptr, request->body.len);
    if (codec == CODEC_NONE) {
        buffer_append_bytes(out, body);
        return true;
    }
    backend->packed_requests++;
    return codec_inflate(backend->compressor, codec, body, out, NULL, NULL, &why) == RESULT_OK;
}

static void handle_export(struct request *request)
{
    struct backend *backend = request->route->arg;
    size_t row = (size_t)(request->route - backend->routes);
    note_head(backend, request);
    backend->requests++;
    if (backend->status != 200) {
        request_reply(request, &(struct response){.status = backend->status,
                                                  .grpc_status = 14,
                                                  .content_type = "text/plain",
                                                  .body = BYTES_LITERAL("the scenario says no"),
                                                  .message = BYTES_LITERAL("the scenario says no"),
                                                  .retry_after_s = backend->retry_after_s});
        return;
    }
    struct buffer body;
    buffer_init(&body, BODY_BYTES_MAX);
    CHECK(inflate(backend, request, &body));
    keep(backend, paths[row].signal, buffer_view(&body));
    buffer_fini(&body);
    request_reply(request,
                  &(struct response){.status = 200, .content_type = "application/x-protobuf"});
}

static struct backend *open_with(struct loop *loop, const char *cert_file, const char *key_file)
{
    char why[256];
    struct backend *backend = calloc(1, sizeof(*backend));
    CHECK(backend != NULL);
    if (cert_file != NULL) {
        snprintf(backend->cert_file, sizeof(backend->cert_file), "%s", cert_file);
        snprintf(backend->key_file, sizeof(backend->key_file), "%s", key_file);
        const struct tls_server_config config = {.cert_file = bytes_from_text(backend->cert_file),
                                                 .key_file = bytes_from_text(backend->key_file)};
        CHECK(tls_server_new(&config, &backend->tls, why, sizeof(why)) == RESULT_OK);
    }
    backend->end = &backend->first;
    backend->status = 200;
    backend->compressor = compressor_new();
    backend->server = server_new(loop, &(struct server_config){.connections_max = 64});
    for (size_t i = 0; i < PATH_COUNT; i++) {
        bool is_grpc = paths[i].path[1] == 'o';
        backend->routes[i] =
            (struct http_route){.method = is_grpc ? NULL : "POST",
                                .path = paths[i].path,
                                .protocols = is_grpc ? REQUEST_ONLY_GRPC : REQUEST_ANY_HTTP,
                                .body_max = BODY_BYTES_MAX,
                                .handle = handle_export,
                                .arg = backend};
    }
    server_route(backend->server, backend->routes, PATH_COUNT);
    CHECK(server_listen(backend->server,
                        &(struct listen_config){.endpoint = BYTES_LITERAL("127.0.0.1:0"),
                                                .tls = backend->tls},
                        why, sizeof(why)) == RESULT_OK);
    snprintf(backend->url, sizeof(backend->url),
             backend->tls != NULL ? "https://localhost:%u" : "http://127.0.0.1:%u",
             backend_port(backend));
    return backend;
}

struct backend *backend_open(struct loop *loop)
{
    return open_with(loop, NULL, NULL);
}

struct backend *backend_open_tls(struct loop *loop, const char *cert_file, const char *key_file)
{
    return open_with(loop, cert_file, key_file);
}

void backend_reload(struct backend *backend)
{
    char why[256];
    CHECK(tls_server_reload(backend->tls, why, sizeof(why)) == RESULT_OK);
}

void backend_close(struct backend **out)
{
    struct backend *backend = *out;
    if (backend == NULL) {
        return;
    }
    *out = NULL;
    server_free(&backend->server);
    tls_server_free(&backend->tls);
    while (backend->first != NULL) {
        struct kept *next = backend->first->next;
        free(backend->first);
        backend->first = next;
    }
    compressor_free(backend->compressor);
    free(backend);
}

uint16_t backend_port(const struct backend *backend)
{
    return server_port(backend->server, 0);
}

const char *backend_url(const struct backend *backend)
{
    return backend->url;
}

void backend_answer(struct backend *backend, int status, unsigned retry_after_s)
{
    backend->status = status;
    backend->retry_after_s = retry_after_s;
}

unsigned backend_requests(const struct backend *backend)
{
    return backend->requests;
}

unsigned backend_items(const struct backend *backend, enum signal signal)
{
    return backend->items[signal];
}

unsigned backend_packed_requests(const struct backend *backend)
{
    return backend->packed_requests;
}

const char *backend_header(const struct backend *backend, const char *name)
{
    size_t i = 0;
    while (strcmp(header_names[i], name) != 0) {
        i++;
        CHECK(header_names[i] != NULL);
    }
    return backend->headers[i];
}

const char *backend_path(const struct backend *backend)
{
    return backend->path;
}

struct visiting {
    bool (*visit)(void *arg, const struct backend_item *item);
    void *arg;
    struct bytes request;
    const char *authorization;
};

static bool visit_item(void *arg, const struct item_view *view)
{
    struct visiting *visiting = arg;
    struct backend_item item = {.view = *view,
                                .request = visiting->request,
                                .authorization = visiting->authorization};
    return visiting->visit(visiting->arg, &item);
}

void backend_each(const struct backend *backend, enum signal signal,
                  bool (*visit)(void *arg, const struct backend_item *item), void *arg)
{
    for (const struct kept *kept = backend->first; kept != NULL; kept = kept->next) {
        struct scan_report report;
        struct visiting visiting = {visit, arg, kept->body, kept->authorization};
        if (kept->signal == signal &&
            scan_request(signal, kept->body, 0, visit_item, &visiting, &report) != RESULT_OK) {
            return;
        }
    }
}

struct finding {
    const uint8_t *trace_id, *span_id;
    struct backend_item *item;
    unsigned count;
};

static bool find_span(void *arg, const struct backend_item *item)
{
    struct finding *finding = arg;
    if (item->view.span_id != NULL && item->view.trace_id != NULL &&
        memcmp(item->view.span_id, finding->span_id, 8) == 0 &&
        memcmp(item->view.trace_id, finding->trace_id, 16) == 0) {
        *finding->item = *item;
        finding->count++;
    }
    return true;
}

unsigned backend_find_span(const struct backend *backend, const uint8_t *trace_id,
                           const uint8_t *span_id, struct backend_item *item)
{
    struct finding finding = {trace_id, span_id, item, 0};
    backend_each(backend, SIGNAL_TRACES, find_span, &finding);
    return finding.count;
}
