// SPDX-License-Identifier: Apache-2.0
//
// A request is looked at twice: its head before a byte of the body is kept (media type, coding,
// hop), its body when it is complete. The job that may travel to a worker lies in the request's
// own scratch memory, so a request costs no allocation, and a client that goes away meanwhile only
// cuts the request loose from its connection. Errors are google.rpc.Status in the request's
// encoding (OTLP 1.11, "OTLP/HTTP Response", "OTLP/gRPC Response"); what a load balancer or a human
// with curl would see first (wrong path, method, media type) is text, as in the Collector.
//
// Overload is 503 with Retry-After and UNAVAILABLE with RetryInfo, never 429 or RESOURCE_EXHAUSTED,
// which some official SDKs do not retry. A request whose `sidejudge-hop` names this process has
// gone in a circle: answered 200 with a warning and not forwarded. Bounds: the routes' body_max,
// DONE_MAX jobs out. The I/O thread.
#include "receiver/otlp_export.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/process.h"
#include "proto/otlp_status.h"
#include "receiver/policy.h"

#define DONE_MAX         8192
#define TURN_MAX         64
#define TEXT_MAX         ((size_t)64 << 10)
#define RETRY_AFTER_S    1
#define HOP_HEADER       "sidejudge-hop"
#define HOP_MESSAGE      "this request came back to the process that sent it: not forwarded"
#define ACCEPT_ENCODINGS "gzip, deflate, zstd"

// Where OTLP/HTTP traces are taken besides the configured path: what backends' own SDKs post to.
static const char *const trace_paths[] = {
    "/api/public/otel/v1/traces",      // Langfuse
    "/otel/v1/traces",                 // LangSmith, Braintrust
    "/api/otel/v1/traces",             // LangWatch
    "/api/v1/private/otel/v1/traces",  // Opik
};

static const char *const grpc_paths[SIGNAL_OTLP_COUNT] = {
    [SIGNAL_TRACES] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    [SIGNAL_METRICS] = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    [SIGNAL_LOGS] = "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

enum { TRANSPORT_GRPC, TRANSPORT_HTTP, TRANSPORT_COUNT };
static const char *const transport_names[TRANSPORT_COUNT] = {"grpc", "http"};

enum { OUTCOME_PARTIAL = RESULT_COUNT, OUTCOME_LOOP, OUTCOME_COUNT };

struct export_metrics {
    struct metric *accepted[SIGNAL_OTLP_COUNT][TRANSPORT_COUNT];
    struct metric *refused[SIGNAL_OTLP_COUNT][TRANSPORT_COUNT];
    struct metric *requests[OUTCOME_COUNT][TRANSPORT_COUNT];
};

static const struct metric_family accepted_families[SIGNAL_OTLP_COUNT] = {
    [SIGNAL_TRACES] = {.name = "otelcol_receiver_accepted_spans",
                       .type = METRIC_COUNTER,
                       .help = "Spans that the pipeline took",
                       .labels = {"receiver", "transport"}},
    [SIGNAL_METRICS] = {.name = "otelcol_receiver_accepted_metric_points",
                        .type = METRIC_COUNTER,
                        .help = "Metric points that the pipeline took",
                        .labels = {"receiver", "transport"}},
    [SIGNAL_LOGS] = {.name = "otelcol_receiver_accepted_log_records",
                     .type = METRIC_COUNTER,
                     .help = "Log records that the pipeline took",
                     .labels = {"receiver", "transport"}},
};

static const struct metric_family refused_families[SIGNAL_OTLP_COUNT] = {
    [SIGNAL_TRACES] = {.name = "otelcol_receiver_refused_spans",
                       .type = METRIC_COUNTER,
                       .help = "Spans that could not be pushed into the pipeline",
                       .labels = {"receiver", "transport"}},
    [SIGNAL_METRICS] = {.name = "otelcol_receiver_refused_metric_points",
                        .type = METRIC_COUNTER,
                        .help = "Metric points that could not be pushed into the pipeline",
                        .labels = {"receiver", "transport"}},
    [SIGNAL_LOGS] = {.name = "otelcol_receiver_refused_log_records",
                     .type = METRIC_COUNTER,
                     .help = "Log records that could not be pushed into the pipeline",
                     .labels = {"receiver", "transport"}},
};

static const struct metric_family requests_family = {
    .name = "sidejudge_receiver_requests_total",
    .type = METRIC_COUNTER,
    .help = "Export requests by what became of them",
    .labels = {"receiver", "transport", "outcome"}};

static const char *outcome_label(int outcome)
{
    return outcome == OUTCOME_PARTIAL ? "partial"
           : outcome == OUTCOME_LOOP  ? "loop"
                                      : result_label((enum result)outcome);
}

struct export_metrics *export_metrics_new(const char *receiver_id)
{
    struct export_metrics *metrics = calloc(1, sizeof *metrics);
    CHECK(metrics);
    for (int transport = 0; transport < TRANSPORT_COUNT; transport++) {
        const char *labels[3] = {receiver_id, transport_names[transport], NULL};
        for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
            metrics->accepted[signal][transport] =
                metric_series(&accepted_families[signal], labels);
            metrics->refused[signal][transport] = metric_series(&refused_families[signal], labels);
        }
        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
            labels[2] = outcome_label(outcome);
            metrics->requests[outcome][transport] = metric_series(&requests_family, labels);
        }
    }
    return metrics;
}

static int transport_of(const struct request *request)
{
    return request->protocol == REQUEST_GRPC ? TRANSPORT_GRPC : TRANSPORT_HTTP;
}

void export_count_refused(struct export_metrics *metrics, const struct request *request,
                          enum result result)
{
    metric_add(metrics->requests[result][transport_of(request)], 1);
}

void export_metrics_free(struct export_metrics **metrics)
{
    free(*metrics);
    *metrics = NULL;
}

// An export request under way, in its request's scratch memory.
struct export_call {
    struct ingest_job job;     // first member: comes back as its node
    struct request *request;
    struct export_target *target;
};
static_assert(sizeof(struct export_call) <= REQUEST_SCRATCH_BYTES, "the call fits the scratch");
static_assert(offsetof(struct export_call, job) == 0, "a job's node is its call");

static struct export_call *call_of(struct request *request)
{
    return (struct export_call *)(void *)request->scratch;
}

static enum otlp_form form_of(struct request *request)
{
    return call_of(request)->job.call.is_json ? OTLP_JSON : OTLP_PROTOBUF;
}

static void count(struct request *request, int outcome)
{
    struct export_metrics *metrics = call_of(request)->target->door->metrics;
    metric_add(metrics->requests[outcome][transport_of(request)], 1);
}

static void reply_success(struct request *request, uint32_t rejected_count, const char *message)
{
    struct export_call *call = call_of(request);
    struct export_door *door = call->target->door;
    enum otlp_form form = form_of(request);
    buffer_reset(&door->text);
    otlp_response_write(form, call->target->signal, rejected_count, bytes_from_text(message),
                        &door->text);
    request_reply(request, &(struct response){.status = 200,
                                              .grpc_status = GRPC_OK,
                                              .content_type = otlp_form_content_type(form),
                                              .body = buffer_view(&door->text),
                                              .close = door->is_closing_each});
}

static void reply_error(struct request *request, enum result result, int grpc_status,
                        const char *message, uint32_t retry_after_s)
{
    struct export_door *door = call_of(request)->target->door;
    enum otlp_form form = form_of(request);
    bool is_retryable = result == RESULT_SHED || result == RESULT_RETRY || result == RESULT_STOP;
    if (is_retryable && retry_after_s == 0) {
        retry_after_s = RETRY_AFTER_S;
    }
    struct bytes text = bytes_from_text(message[0] ? message : result_text(result));
    struct otlp_error error = {.code = grpc_status,
                               .message = text,
                               .retry_after_s = is_retryable ? retry_after_s : 0,
                               .bad_reason = result == RESULT_REJECT ? text : BYTES_NONE};
    buffer_reset(&door->text);
    otlp_error_write(form, &error, &door->text);
    request_reply(request,
                  &(struct response){.status = result_http_status(result),
                                     .grpc_status = grpc_status,
                                     .content_type = otlp_form_content_type(form),
                                     .body = buffer_view(&door->text),
                                     .message = text,
                                     .details = buffer_view(&door->text),
                                     .retry_after_s = is_retryable ? retry_after_s : 0,
                                     .accept_encoding =
                                         result == RESULT_UNSUPPORTED ? ACCEPT_ENCODINGS : NULL,
                                     .close = door->is_closing_each});
}

static void reply_outcome(struct request *request)
{
    metadata_release(&call_of(request)->job.call.metadata);
    struct export_call *export_call = call_of(request);
    const struct intake_call *call = &export_call->job.call;
    struct export_metrics *metrics = export_call->target->door->metrics;
    int transport = transport_of(request);
    enum signal signal = export_call->target->signal;
    if (call->result == RESULT_OK) {
        bool is_partial = call->reply.rejected_count > 0;
        metric_add(metrics->accepted[signal][transport], call->item_count);
        metric_add(metrics->refused[signal][transport], call->reply.rejected_count);
        count(request, is_partial ? OUTCOME_PARTIAL : RESULT_OK);
        reply_success(request, call->reply.rejected_count, call->reply.message);
        return;
    }
    metric_add(metrics->refused[signal][transport], call->item_count);
    count(request, (int)call->result);
    int grpc_status = export_call->job.is_expired ? GRPC_DEADLINE_EXCEEDED
                                                  : result_grpc_status(call->result);
    reply_error(request, call->result, grpc_status, call->reply.message,
                call->reply.retry_after_s);
}

// Answers now, or when the journal has what was taken.
static void reply_when_durable(struct request *request)
{
    struct export_call *export_call = call_of(request);
    struct intake_call *call = &export_call->job.call;
    struct export_door *door = export_call->target->door;
    if (call->result != RESULT_OK || !call->reply.must_await) {
        reply_outcome(request);
    } else if (mailbox_reserve(&door->done, 1)) {
        call->wait.reply_to = &door->done;
        call->wait.reply = &export_call->job.node;
        call->sink->await(call->sink, &call->wait);
    } else {
        call->result = RESULT_SHED;
        reply_outcome(request);
    }
}

// What a worker or the journal has sent back.
static void reply_returned(struct request *request)
{
    struct intake_call *call = &call_of(request)->job.call;
    if (call->result == RESULT_OK && call->reply.must_await && call->wait.result != RESULT_OK) {
        call->result = call->wait.result;
        snprintf(call->reply.message, sizeof call->reply.message, "the journal cannot be written");
    }
    reply_outcome(request);
}

// The route cannot receive the body.
static void refuse(struct request *request, enum result result, const char *sentence)
{
    count(request, (int)result);
    reply_error(request, result, result_grpc_status(result), sentence, 0);
}

// Media type without its parameters (RFC 9110 8.3.1).
static struct bytes media_type(const struct request *request)
{
    struct bytes value = request_header(request, "content-type");
    return bytes_trim(bytes_slice(value, 0, bytes_find(value, BYTES_LITERAL(";"), 0)));
}

static bool admit_media_type(struct request *request)
{
    struct intake_call *call = &call_of(request)->job.call;
    struct bytes type = media_type(request);
    call->is_json = bytes_equal_nocase(type, "application/json");
    if (call->is_json || bytes_equal_nocase(type, "application/x-protobuf")) {
        return true;
    }
    count(request, RESULT_UNSUPPORTED);
    request_reply_text(request, 415, GRPC_UNIMPLEMENTED,
                       "415 unsupported media type, supported: [application/json, "
                       "application/x-protobuf]");
    return false;
}

static bool admit_coding(struct request *request)
{
    bool is_grpc = request->protocol == REQUEST_GRPC;
    const char *header = is_grpc ? "grpc-encoding" : "content-encoding";
    struct bytes name = bytes_slice(request_header(request, header), 0, 64);
    char sentence[192];
    if (request_header_count(request, header) <= 1 &&
        codec_from_name(name, &call_of(request)->job.call.codec) == RESULT_OK) {
        return true;
    }
    if (is_grpc) {  // PROTOCOL-HTTP2.md: the reply names what would have been understood
        snprintf(sentence, sizeof sentence,
                 "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"; supported: "
                 "identity, gzip, deflate, zstd", BYTES_PRINTF(name));
    } else {
        snprintf(sentence, sizeof sentence, "unsupported Content-Encoding: %.*s",
                 BYTES_PRINTF(name));
    }
    refuse(request, RESULT_UNSUPPORTED, sentence);
    return false;
}

// Whether a comma-separated list of hops names this process.
static bool is_loop(const struct export_door *door, struct bytes hops)
{
    while (hops.len > 0) {
        size_t comma = bytes_find(hops, BYTES_LITERAL(","), 0);
        if (bytes_equal_nocase(bytes_trim(bytes_slice(hops, 0, comma)), door->hop_id)) {
            return true;
        }
        hops = comma == SIZE_MAX ? BYTES_NONE : bytes_slice(hops, comma + 1, SIZE_MAX);
    }
    return false;
}

static bool admit(struct request *request)
{
    struct export_call *call = call_of(request);
    call->request = request;
    call->target = request->route->arg;
    if ((request->protocol != REQUEST_GRPC && !admit_media_type(request)) ||
        !admit_coding(request)) {
        return false;
    }
    if (is_loop(call->target->door, request_header(request, HOP_HEADER))) {
        count(request, OUTCOME_LOOP);
        reply_success(request, 0, HOP_MESSAGE);
        return false;
    }
    return true;
}

// Headers that travel with the telemetry; false: it has answered.
static bool take_metadata(struct request *request)
{
    const struct listen_policy *policy = request_policy(request);
    if (!policy || policy->metadata_key_count == 0) {
        return true;
    }
    enum result result = policy_metadata(policy, request, &call_of(request)->job.call.metadata);
    if (result != RESULT_OK) {
        refuse(request, result == RESULT_TOO_LARGE ? RESULT_REJECT : result,
               result == RESULT_TOO_LARGE
                   ? "the headers to be passed on are larger than 4 KiB"
                   : "a header to be passed on stands there twice or cannot be passed on");
    }
    return result == RESULT_OK;
}

static void handle(struct request *request)
{
    struct export_call *export_call = call_of(request);
    struct export_door *door = export_call->target->door;
    struct intake_call *call = &export_call->job.call;
    if (request->protocol == REQUEST_GRPC) {
        if (request->message_is_packed && call->codec == CODEC_NONE) {
            count(request, RESULT_FAIL);
            request_reply_text(request, 200, GRPC_INTERNAL,
                               "the compressed flag is set without a grpc-encoding");
            return;
        }
        call->codec = request->message_is_packed ? call->codec : CODEC_NONE;
    }
    if (!take_metadata(request)) {
        return;
    }
    call->signal = export_call->target->signal;
    call->sink = door->sinks[call->signal];
    call->plain_max = request->route->body_max;
    call->received_ns = request->received_ns;
    call->body = request->body;
    request->body = (struct slab){NULL, 0, 0};
    if (intake_run(door->intake, call, true)) {
        reply_when_durable(request);
        return;
    }
    export_call->job.reply_to = &door->done;
    export_call->job.deadline_ns = request->deadline_ns;
    if (!ingest_submit(door->ingest, &export_call->job)) {
        request->body = call->body;  // dropped with the request
        call->body = (struct slab){NULL, 0, 0};
        metadata_release(&call->metadata);
        refuse(request, RESULT_SHED, "too many large requests at once");
    }
}

void export_door_init(struct export_door *door)
{
    uint64_t id = process_instance_id();
    snprintf(door->hop_id, sizeof door->hop_id, "%016llx", (unsigned long long)id);
    for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
        door->targets[signal] = (struct export_target){door, (enum signal)signal};
    }
    mailbox_init(&door->done, DONE_MAX, door->wake, door->wake_arg);
    buffer_init(&door->text, TEXT_MAX);
}

void export_door_fini(struct export_door *door)
{
    buffer_fini(&door->text);
}

size_t export_routes(struct export_door *door, struct http_route *routes)
{
    size_t used = 0;
    for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
        struct http_route route = {.method = "POST",
                                   .handle = handle,
                                   .admit = admit,
                                   .refuse = refuse,
                                   .arg = &door->targets[signal]};
        if (!door->sinks[signal]) {
            continue;  // no pipeline takes it: 404, UNIMPLEMENTED
        }
        route.protocols = REQUEST_ONLY_GRPC;
        route.path = grpc_paths[signal];
        route.body_max = door->grpc_bytes_max;
        routes[used++] = route;
        route.protocols = REQUEST_ANY_HTTP;
        route.path = (const char *)door->http_paths[signal].ptr;
        route.body_max = door->http_bytes_max;
        routes[used++] = route;
        for (size_t i = 0; signal == SIGNAL_TRACES && i < sizeof trace_paths / sizeof *trace_paths;
             i++) {
            route.path = trace_paths[i];
            routes[used++] = route;
        }
    }
    CHECK(used <= EXPORT_ROUTES_MAX);
    return used;
}

bool export_turn(struct export_door *door)
{
    for (int i = 0; i < TURN_MAX; i++) {
        struct export_call *call = (struct export_call *)(void *)mailbox_take(&door->done);
        if (!call) {
            return !mailbox_doze(&door->done);
        }
        mailbox_release(&door->done, 1);
        CHECK(call == call_of(call->request));
        reply_returned(call->request);
    }
    return true;
}
