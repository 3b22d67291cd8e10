// SPDX-License-Identifier: Apache-2.0
//
// Backend and judge as two servers of the receiver's library on one loop: no threads, so no locks.
// The judge is honest about being scripted: it looks the conversation up by its question and
// answers what was written down about it; it knows nothing else and says so. Bounds: 64 MiB of
// stored requests.

#include "service/demo/demo_peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "proto/otlp_status.h"
#include "proto/scan.h"
#include "receiver/server.h"

#define STORE_MAX ((size_t)64 << 20)
#define BODY_MAX ((size_t)8 << 20)

struct stored_request {
    struct stored_request *next;
    size_t len;
    uint8_t data[];
};

struct demo_peers {
    const struct demo_traces *traces;
    struct server *backend, *judge;
    struct http_route backend_route, judge_route;
    struct stored_request *first, **end;
    size_t bytes;
    unsigned spans;
};

static bool count_span(void *arg, const struct item_view *view)
{
    (void)view;
    ++*(unsigned *)arg;
    return true;
}

static void handle_export(struct request *request)
{
    struct demo_peers *peers = request->route->arg;
    struct bytes body = bytes_from(request->body.ptr, request->body.len);
    struct scan_report report;
    if (scan_request(SIGNAL_TRACES, body, SCAN_CHECK_UTF8, count_span, &peers->spans, &report) !=
            RESULT_OK ||
        peers->bytes + body.len > STORE_MAX) {
        request_reply_text(request, 400, 3,
                           "not an export request, or more than the demonstration keeps");
        return;
    }
    struct stored_request *stored = malloc(sizeof(*stored) + body.len);
    CHECK(stored != NULL);
    stored->next = NULL;
    stored->len = body.len;
    memcpy(stored->data, body.ptr, body.len);
    *peers->end = stored;
    peers->end = &stored->next;
    peers->bytes += body.len;
    request_reply(
        request,
        &(struct response){.status = 200, .content_type = otlp_form_content_type(OTLP_PROTOBUF)});
}

// --- the scripted judge ---

struct verdict {
    double score;
    struct bytes reason, evidence;
};

static struct verdict verdict_of(const struct demo_traces *traces, struct bytes instructions,
                                 struct bytes transcript)
{
    bool relevance =
        bytes_find(instructions, BYTES_LITERAL("does the RESPONSE answer"), 0) != SIZE_MAX;
    for (size_t i = 0; i < traces->count; i++) {
        const struct demo_trace *trace = &traces->items[i];
        if (bytes_find(transcript, trace->question, 0) == SIZE_MAX) {
            continue;
        }
        // What is wrong with a conversation belongs to one rubric: another question answered to
        // relevance, the rest to faithfulness.
        bool other_question =
            bytes_find(trace->why, BYTES_LITERAL("The customer asked"), 0) != SIZE_MAX;
        if (trace->wrong && other_question == relevance) {
            return (struct verdict){0, trace->why, trace->failing};
        }
        return (struct verdict){
            1,
            relevance      ? BYTES_LITERAL("The question that was asked is answered.")
            : trace->wrong ? BYTES_LITERAL("What is claimed stands in the material.")
                           : trace->why,
            BYTES_NONE};
    }
    return (struct verdict){
        0.5, BYTES_LITERAL("This scripted judge does not know the conversation."), BYTES_NONE};
}

static void reply_write(const struct verdict *verdict, size_t input_bytes, struct buffer *out)
{
    struct buffer content;
    struct json_writer json;
    buffer_init(&content, BODY_MAX);
    json_writer_init(&json, &content);
    json_begin_object(&json);
    json_key(&json, "reason");
    json_put_text(&json, verdict->reason);
    json_key(&json, "evidence");
    json_put_text(&json, verdict->evidence);
    json_key(&json, "score");
    json_put_double(&json, verdict->score);
    json_end_object(&json);
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "object");
    json_put_literal(&json, "chat.completion");
    json_key(&json, "choices");
    json_begin_array(&json);
    json_begin_object(&json);
    json_key(&json, "index");
    json_put_int(&json, 0);
    json_key(&json, "message");
    json_begin_object(&json);
    json_key(&json, "role");
    json_put_literal(&json, "assistant");
    json_key(&json, "content");
    json_put_text(&json, buffer_view(&content));
    json_end_object(&json);
    json_key(&json, "finish_reason");
    json_put_literal(&json, "stop");
    json_end_object(&json);
    json_end_array(&json);
    json_key(&json, "usage");
    json_begin_object(&json);
    json_key(&json, "prompt_tokens");
    json_put_int(&json, (int64_t)(input_bytes / 4));
    json_key(&json, "completion_tokens");
    json_put_int(&json, (int64_t)(content.len / 4));
    json_end_object(&json);
    json_end_object(&json);
    buffer_fini(&content);
}

// The contract of the API as far as this judge needs it: model, two messages, a schema for the
// answer.
static const char *request_problem(const struct json_value *root)
{
    const struct json_value *messages = json_get(root, "messages");
    if (json_get_text(root, "model").len == 0) {
        return "you must provide a model parameter";
    }
    if (json_count(messages) != 2 || json_get_text(json_at(messages, 1), "content").len == 0) {
        return "messages: a system and a user message are needed";
    }
    if (!bytes_equal_text(json_get_text(json_get(root, "response_format"), "type"),
                          "json_schema")) {
        return "response_format: this judge answers by a JSON schema only";
    }
    return NULL;
}

static void handle_judge(struct request *request)
{
    struct demo_peers *peers = request->route->arg;
    struct json_document *document = NULL;
    struct bytes body = bytes_from(request->body.ptr, request->body.len);
    struct buffer out;
    buffer_init(&out, BODY_MAX);
    const char *problem = json_parse(body, &document, NULL) != RESULT_OK
                              ? "the body is not JSON"
                              : request_problem(json_root(document));
    if (problem != NULL) {
        buffer_printf(&out, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\"}}",
                      problem);
    } else {
        const struct json_value *messages = json_get(json_root(document), "messages");
        struct verdict verdict =
            verdict_of(peers->traces, json_get_text(json_at(messages, 0), "content"),
                       json_get_text(json_at(messages, 1), "content"));
        reply_write(&verdict, body.len, &out);
    }
    request_reply(request, &(struct response){.status = problem != NULL ? 400 : 200,
                                              .content_type = "application/json",
                                              .body = buffer_view(&out)});
    buffer_fini(&out);
    json_free(&document);
}

static struct server *peer_open(struct loop *loop, const struct http_route *route)
{
    char why[256];
    struct server_config config = {.connections_max = 64};
    struct listen_config listen = {.endpoint = BYTES_LITERAL("127.0.0.1:0")};
    struct server *server = server_new(loop, &config);
    server_route(server, route, 1);
    CHECK(server_listen(server, &listen, why, sizeof(why)) == RESULT_OK);
    return server;
}

struct demo_peers *demo_peers_open(struct loop *loop, const struct demo_traces *traces)
{
    struct demo_peers *peers = calloc(1, sizeof(*peers));
    CHECK(peers != NULL);
    peers->traces = traces;
    peers->end = &peers->first;
    peers->backend_route = (struct http_route){.method = "POST",
                                               .path = "/v1/traces",
                                               .protocols = REQUEST_ANY_HTTP,
                                               .body_max = BODY_MAX,
                                               .handle = handle_export,
                                               .arg = peers};
    peers->judge_route = (struct http_route){.method = "POST",
                                             .path = "/v1/chat/completions",
                                             .protocols = REQUEST_ANY_HTTP,
                                             .body_max = BODY_MAX,
                                             .handle = handle_judge,
                                             .arg = peers};
    peers->backend = peer_open(loop, &peers->backend_route);
    peers->judge = peer_open(loop, &peers->judge_route);
    return peers;
}

void demo_peers_close(struct demo_peers **peers)
{
    demo_peers_stop_judge(*peers);
    server_free(&(*peers)->backend);
    demo_peers_forget(*peers);
    free(*peers);
    *peers = NULL;
}

uint16_t demo_peers_backend_port(const struct demo_peers *peers)
{
    return server_port(peers->backend, 0);
}

uint16_t demo_peers_judge_port(const struct demo_peers *peers)
{
    return server_port(peers->judge, 0);
}

void demo_peers_stop_judge(struct demo_peers *peers)
{
    if (peers->judge != NULL) {
        server_free(&peers->judge);
    }
}

unsigned demo_peers_span_count(const struct demo_peers *peers)
{
    return peers->spans;
}

void demo_peers_each(const struct demo_peers *peers, void (*visit)(void *arg, struct bytes request),
                     void *arg)
{
    for (const struct stored_request *stored = peers->first; stored != NULL;
         stored = stored->next) {
        visit(arg, bytes_from(stored->data, stored->len));
    }
}

void demo_peers_forget(struct demo_peers *peers)
{
    while (peers->first != NULL) {
        struct stored_request *next = peers->first->next;
        free(peers->first);
        peers->first = next;
    }
    peers->end = &peers->first;
    peers->bytes = 0;
    peers->spans = 0;
}

uint16_t demo_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
          getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}
