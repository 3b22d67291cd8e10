// SPDX-License-Identifier: Apache-2.0
// Registered methods, a fixed number of slots that are armed again after each call. The reply is
// one batch; the test's function runs between the two events of a call.
#include "tests/unit/scripted_grpc.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "base/thread.h"

#define SLOTS_PER_SIGNAL 8

struct slot {
    struct scripted_grpc *server;
    enum signal signal;
    bool is_replying;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload, *reply;
    grpc_metadata trailer;
    int cancelled;
};

struct scripted_grpc {
    grpc_server *server;
    grpc_completion_queue *queue;
    void *methods[SIGNAL_OTLP_COUNT];
    struct slot slots[SIGNAL_OTLP_COUNT * SLOTS_PER_SIGNAL];
    int port, counted;
    scripted_grpc_fn answer;
    void *arg;
    atomic_uint count;
    atomic_bool stopping;
    struct thread thread;
};

static const char *const paths[SIGNAL_OTLP_COUNT] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

struct bytes scripted_metadata(const struct scripted_call *call, const char *key)
{
    const grpc_metadata_array *all = call->metadata;
    for (size_t i = 0; i < all->count; i++) {
        if (grpc_slice_str_cmp(all->metadata[i].key, key) == 0) {
            return bytes_from(GRPC_SLICE_START_PTR(all->metadata[i].value),
                              GRPC_SLICE_LENGTH(all->metadata[i].value));
        }
    }
    return BYTES_NONE;
}

static void slot_arm(struct slot *slot)
{
    struct scripted_grpc *server = slot->server;
    slot->is_replying = false;
    slot->payload = NULL;
    grpc_metadata_array_init(&slot->metadata);
    grpc_call_error error = grpc_server_request_registered_call(
        server->server, server->methods[slot->signal], &slot->call, &slot->deadline,
        &slot->metadata, &slot->payload, server->queue, server->queue, slot);
    if (error == GRPC_CALL_OK) {
        return;
    }
    if (!atomic_load(&server->stopping)) {
        abort();
    }
    grpc_metadata_array_destroy(&slot->metadata);
}

static void slot_reply(struct slot *slot, const struct scripted_status *status)
{
    grpc_op ops[4];
    size_t count = 0;
    memset(ops, 0, sizeof(ops));
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    slot->reply = NULL;
    if (status->code == 0) {
        grpc_slice slice =
            grpc_slice_from_copied_buffer((const char *)status->message.ptr, status->message.len);
        slot->reply = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = slot->reply;
    }
    grpc_slice text = grpc_slice_from_copied_string(status->text != NULL ? status->text : "");
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.status = (grpc_status_code)status->code;
    ops[count].data.send_status_from_server.status_details = &text;
    if (status->details.len > 0) {
        slot->trailer =
            (grpc_metadata){.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                            .value = grpc_slice_from_copied_buffer(
                                (const char *)status->details.ptr, status->details.len)};
        ops[count].data.send_status_from_server.trailing_metadata_count = 1;
        ops[count].data.send_status_from_server.trailing_metadata = &slot->trailer;
    }
    count++;
    ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[count++].data.recv_close_on_server.cancelled = &slot->cancelled;
    slot->is_replying = true;
    if (grpc_call_start_batch(slot->call, status->hang ? &ops[count - 1] : ops,
                              status->hang ? 1 : count, slot, NULL) != GRPC_CALL_OK) {
        abort();
    }
    grpc_slice_unref(text);
}

static void slot_answer(struct slot *slot)
{
    struct scripted_grpc *server = slot->server;
    grpc_byte_buffer_reader reader;
    grpc_slice message = grpc_empty_slice();
    if (slot->payload != NULL && grpc_byte_buffer_reader_init(&reader, slot->payload)) {
        message = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    gpr_timespec left = gpr_time_sub(slot->deadline, gpr_now(slot->deadline.clock_type));
    struct scripted_call call = {
        .index = atomic_fetch_add(&server->count, 1),
        .signal = slot->signal,
        .message = bytes_from(GRPC_SLICE_START_PTR(message), GRPC_SLICE_LENGTH(message)),
        .metadata = &slot->metadata,
        .time_left_ms = gpr_time_to_millis(left)};
    uint64_t one = 1;
    if (write(server->counted, &one, sizeof(one)) < 0) {
        abort();
    }
    struct scripted_status status = {0};
    server->answer(server->arg, &call, &status);
    slot_reply(slot, &status);
    grpc_slice_unref(message);
}

static void slot_finish(struct slot *slot)
{
    if (slot->payload != NULL) {
        grpc_byte_buffer_destroy(slot->payload);
    }
    if (slot->reply != NULL) {
        grpc_byte_buffer_destroy(slot->reply);
        slot->reply = NULL;
    }
    if (slot->trailer.value.refcount != NULL || GRPC_SLICE_LENGTH(slot->trailer.value) > 0) {
        grpc_slice_unref(slot->trailer.value);
        memset(&slot->trailer, 0, sizeof(slot->trailer));
    }
    grpc_metadata_array_destroy(&slot->metadata);
    grpc_call_unref(slot->call);
}

static void server_run(void *arg)
{
    struct scripted_grpc *server = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return;
        }
        if (event.tag == server) {  // the listener is closed
            grpc_completion_queue_shutdown(server->queue);
            continue;
        }
        struct slot *slot = event.tag;
        if (slot->is_replying) {
            slot_finish(slot);
            if (!atomic_load(&server->stopping)) {
                slot_arm(slot);
            }
        } else if (event.success) {
            slot_answer(slot);
        } else {
            grpc_metadata_array_destroy(&slot->metadata);
        }
    }
}

static grpc_server_credentials *credentials_of(const struct certificate *certificate)
{
    if (certificate == NULL) {
        return grpc_insecure_server_credentials_create();
    }
    grpc_ssl_pem_key_cert_pair pair = {certificate->key, certificate->cert};
    return grpc_ssl_server_credentials_create_ex(NULL, &pair, 1,
                                                 GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
}

struct scripted_grpc *scripted_grpc_start(scripted_grpc_fn answer, void *arg,
                                          const struct certificate *certificate)
{
    struct scripted_grpc *server = calloc(1, sizeof(*server));
    server->answer = answer;
    server->arg = arg;
    server->counted = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    grpc_init();
    grpc_arg args[1] = {{.type = GRPC_ARG_INTEGER,
                         .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                         .value.integer = 16 << 20}};
    grpc_channel_args all = {1, args};
    server->server = grpc_server_create(&all, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    for (unsigned i = 0; i < SIGNAL_OTLP_COUNT; i++) {
        server->methods[i] = grpc_server_register_method(
            server->server, paths[i], NULL, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    }
    grpc_server_register_completion_queue(server->server, server->queue, NULL);
    grpc_server_credentials *credentials = credentials_of(certificate);
    server->port = grpc_server_add_http2_port(server->server, "127.0.0.1:0", credentials);
    grpc_server_credentials_release(credentials);
    if (server->port <= 0) {
        abort();
    }
    grpc_server_start(server->server);
    for (unsigned i = 0; i < SIGNAL_OTLP_COUNT * SLOTS_PER_SIGNAL; i++) {
        server->slots[i].server = server;
        server->slots[i].signal = (enum signal)(i / SLOTS_PER_SIGNAL);
        slot_arm(&server->slots[i]);
    }
    if (thread_start(&server->thread, "scripted", server_run, server) != RESULT_OK) {
        abort();
    }
    return server;
}

unsigned scripted_grpc_port(const struct scripted_grpc *server)
{
    return (unsigned)server->port;
}

unsigned scripted_grpc_count(struct scripted_grpc *server)
{
    return atomic_load(&server->count);
}

bool scripted_grpc_await(struct scripted_grpc *server, unsigned count)
{
    while (atomic_load(&server->count) < count) {
        struct pollfd counted = {.fd = server->counted, .events = POLLIN};
        uint64_t one;
        if (poll(&counted, 1, 10000) <= 0 || read(server->counted, &one, sizeof(one)) < 0) {
            return false;
        }
    }
    return true;
}

void scripted_grpc_stop(struct scripted_grpc **stopped)
{
    struct scripted_grpc *server = *stopped;
    atomic_store(&server->stopping, true);
    grpc_server_shutdown_and_notify(server->server, server->queue, server);
    grpc_server_cancel_all_calls(server->server);
    thread_join(&server->thread);
    grpc_server_destroy(server->server);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown();
    close(server->counted);
    free(server);
    *stopped = NULL;
}
