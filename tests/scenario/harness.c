// SPDX-License-Identifier: Apache-2.0
//
// The program runs as a child whose output goes to a file of its folder; what it says there tells
// its ports and its readiness, so nothing sleeps and hopes. Backends and client turn on one loop
// here. Refused: linking the service into the test (a scenario is about the binary), and a shell.
// Bounds: 30 s for what is waited for, 60 s for a command, 16 MiB of output. One thread.

#include "tests/scenario/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/attribute.h"
#include "proto/otlp_json.h"

#define OUTPUT_BYTES_MAX ((size_t)16 << 20)
#define REQUEST_BYTES_MAX ((size_t)8 << 20)
#define COMMAND_SECONDS 60
#define ARGUMENTS_MAX 32

int harness_setup(void **state)
{
    static const char *const kept[] = {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", NULL};
    struct harness *harness = calloc(1, sizeof(*harness));
    char why[256];
    CHECK(harness != NULL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(harness->folder, sizeof(harness->folder), "/tmp/sidejudge-scenario-XXXXXX");
    CHECK(mkdtemp(harness->folder) != NULL);
    harness->loop = loop_new();
    const struct http_client_config config = {.user_agent = "scenario", .connections_max = 16};
    CHECK(harness->loop != NULL &&
          http_client_new(harness->loop, &config, &harness->client, why, sizeof(why)) == RESULT_OK);
    buffer_init(&harness->output, OUTPUT_BYTES_MAX);
    harness->output_fd = -1;
    for (size_t i = 0; kept[i] != NULL; i++) {
        if (getenv(kept[i]) != NULL) {
            harness_variable(harness, kept[i], getenv(kept[i]));
        }
    }
    *state = harness;
    return 0;
}

static void folder_remove(const char *folder)
{
    DIR *directory = opendir(folder);
    CHECK(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') {
            unlink(path);
        }
    }
    closedir(directory);
    rmdir(folder);
}

int harness_teardown(void **state)
{
    struct harness *harness = *state;
    if (harness->pid > 0) {
        kill(harness->pid, SIGKILL);
        waitpid(harness->pid, NULL, 0);
    }
    if (harness->output_fd >= 0) {
        close(harness->output_fd);
    }
    http_client_free(harness->client);
    for (size_t i = 0; i < harness->backend_count; i++) {
        backend_close(&harness->backends[i]);
    }
    loop_free(harness->loop);
    buffer_fini(&harness->output);
    for (size_t i = 0; i < harness->environment_count; i++) {
        free(harness->environment[i]);
    }
    folder_remove(harness->folder);
    free(harness);
    return 0;
}

static void path_in(const struct harness *harness, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", harness->folder, name);
}

const char *harness_file(struct harness *harness, const char *name, const char *text)
{
    char path[128];
    path_in(harness, name, path);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    // Kept beside the environment, behind the end of what the program gets.
    static char paths[8][128];
    static unsigned next;
    char *slot = paths[next++ % 8];
    memcpy(slot, path, sizeof(path));
    return slot;
}

void harness_variable(struct harness *harness, const char *name, const char *value)
{
    char text[8192];
    CHECK(harness->environment_count + 1 < 64);
    CHECK((size_t)snprintf(text, sizeof(text), "%s=%s", name, value) < sizeof(text));
    harness->environment[harness->environment_count++] = strdup(text);
}

struct backend *harness_backend(struct harness *harness)
{
    CHECK(harness->backend_count < sizeof(harness->backends) / sizeof(harness->backends[0]));
    struct backend *backend = backend_open(harness->loop);
    harness->backends[harness->backend_count++] = backend;
    return backend;
}

uint16_t harness_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

// --- the program ---

// Where the program writes: a file of the folder, or a pipe whose other end is `output_fd`.
static int output_open(struct harness *harness, const char *name)
{
    char path[128];
    int ends[2];
    if (harness->output_is_pipe) {
        CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
        harness->output_fd = ends[0];
        return ends[1];
    }
    path_in(harness, name, path);
    unlink(path);
    harness->output_fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    CHECK(harness->output_fd >= 0 && fd >= 0);
    return fd;
}

// Takes `fd`. `arguments` begin with the program's name.
static pid_t spawn(struct harness *harness, int fd, const char *const *wrapper,
                   const char *const *arguments)
{
    const char *all[2 * ARGUMENTS_MAX];
    posix_spawn_file_actions_t actions;
    size_t count = 0;
    pid_t pid = 0;
    for (size_t i = 0; wrapper != NULL && wrapper[i] != NULL; i++) {
        CHECK(count + 1 < ARGUMENTS_MAX);
        all[count++] = wrapper[i];
    }
    all[count++] = wrapper != NULL ? SIDEJUDGE_BINARY : arguments[0];
    for (size_t i = 1; arguments[i] != NULL; i++) {
        all[count++] = arguments[i];
    }
    all[count] = NULL;
    harness->environment[harness->environment_count] = NULL;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, fd, 1) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, fd, 2) == 0);
    const char *program = wrapper != NULL ? wrapper[0] : SIDEJUDGE_BINARY;
    int error = posix_spawnp(&pid, program, &actions, NULL, (char *const *)(uintptr_t)all,
                             harness->environment);
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
    if (error != 0) {
        fail_msg("cannot start %s: %s", program, strerror(error));
    }
    return pid;
}

static void output_read(struct harness *harness)
{
    for (;;) {
        uint8_t *room = buffer_reserve(&harness->output, 65536);
        ssize_t got = room != NULL ? read(harness->output_fd, room, 65536) : 0;
        if (got <= 0) {
            return;
        }
        buffer_commit(&harness->output, (size_t)got);
    }
}

bool harness_said(struct harness *harness, const char *text)
{
    output_read(harness);
    return bytes_find(buffer_view(&harness->output), bytes_from_text(text), 0) != SIZE_MAX;
}

static void harness_fail(struct harness *harness, const char *what)
{
    output_read(harness);
    fprintf(stderr, "the program wrote:\n%s\n", buffer_text(&harness->output));
    fail_msg("%s", what);
}

struct saying {
    struct harness *harness;
    const char *text;
};

static bool has_said(void *arg)
{
    const struct saying *saying = arg;
    return harness_said(saying->harness, saying->text);
}

void harness_wait_said(struct harness *harness, const char *text)
{
    struct saying saying = {harness, text};
    harness_wait(harness, has_said, &saying, HARNESS_PATIENCE_S, text);
}

// The number behind `"port": ` in the first line from `from` on that contains `text`.
static uint16_t port_said(struct harness *harness, const char *text, size_t *from)
{
    struct bytes output = buffer_view(&harness->output);
    size_t at = bytes_find(output, bytes_from_text(text), *from);
    if (at == SIZE_MAX) {
        return 0;
    }
    size_t port = bytes_find(output, BYTES_LITERAL("\"port\": "), at);
    CHECK(port != SIZE_MAX);
    *from = port;
    return (uint16_t)strtoul(buffer_text(&harness->output) + port + 8, NULL, 10);
}

void harness_read_ports(struct harness *harness)
{
    size_t from = 0;
    harness->grpc_port = port_said(harness, "listening for OTLP", &from);
    harness->http_port = port_said(harness, "listening for OTLP", &from);
    if (harness->http_port == 0) {
        harness->http_port = harness->grpc_port;
    }
    harness->metrics_port = port_said(harness, "\"for\": \"metrics\"", &(size_t){0});
    harness->health_port =
        port_said(harness, "\"for\": \"extensions::health_check\"", &(size_t){0});
    harness->api_port = port_said(harness, "\"for\": \"extensions::evaluation_api\"", &(size_t){0});
}

void harness_launch(struct harness *harness, const char *const *arguments)
{
    static const char *const ephemeral[] = {"--set=extensions.health_check.endpoint=127.0.0.1:0",
                                            "--set=extensions.evaluation_api.endpoint=127.0.0.1:0",
                                            "--set=service.telemetry.metrics.address=127.0.0.1:0",
                                            NULL};
    const char *all[ARGUMENTS_MAX] = {"sidejudge"};
    size_t count = 1;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        CHECK(count + 5 < ARGUMENTS_MAX);
        all[count++] = arguments[i];
    }
    for (size_t i = 0; ephemeral[i] != NULL; i++) {
        all[count++] = ephemeral[i];
    }
    buffer_reset(&harness->output);
    if (harness->output_fd >= 0) {
        close(harness->output_fd);
    }
    CHECK(harness->pid == 0);
    int fd = output_open(harness, "output.txt");
    harness->pid = spawn(harness, fd, harness->wrapper, all);
}

void harness_start(struct harness *harness, const char *const *arguments)
{
    harness_launch(harness, arguments);
    harness_wait_said(harness, "Everything is ready");
    harness_read_ports(harness);
}

void harness_start_yaml(struct harness *harness, const char *format, ...)
{
    struct buffer yaml;
    va_list args;
    buffer_init(&yaml, OUTPUT_BYTES_MAX);
    va_start(args, format);
    buffer_vprintf(&yaml, format, args);
    va_end(args);
    const char *path = harness_file(harness, "config.yaml", buffer_text(&yaml));
    buffer_fini(&yaml);
    harness_start(harness, (const char *const[]){"--config", path, NULL});
}

void harness_start_with(struct harness *harness, const struct backend *backend,
                        const char *processors, const char *chain)
{
    harness_start_yaml(
        harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "processors: {%s}\n"
        "exporters: {otlp_http: {endpoint: \"%s\", sending_queue: {batch: {flush_timeout: "
        "10ms}}}}\n"
        "extensions: {health_check: }\n"
        "service:\n"
        "  extensions: [health_check]\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp], processors: [%s], exporters: [otlp_http]}\n"
        "    logs: {receivers: [otlp], processors: [%s], exporters: [otlp_http]}\n"
        "    metrics: {receivers: [otlp], exporters: [otlp_http]}\n",
        processors, backend_url(backend), chain, chain);
}

void harness_signal(const struct harness *harness, int number)
{
    CHECK(harness->pid > 0);
    kill(harness->pid, number);
}

struct ending {
    pid_t pid;
    int status;
};

static bool has_ended(void *arg)
{
    struct ending *ending = arg;
    return waitpid(ending->pid, &ending->status, WNOHANG) == ending->pid;
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int harness_wait_end(struct harness *harness)
{
    struct ending ending = {.pid = harness->pid};
    harness_wait(harness, has_ended, &ending, HARNESS_PATIENCE_S, "the end of the program");
    harness->pid = 0;
    return status_of(ending.status);
}

void harness_sanitizers_are_silent(struct harness *harness)
{
    if (harness_said(harness, "Sanitizer") || harness_said(harness, "runtime error:")) {
        harness_fail(harness, "a sanitizer spoke");
    }
}

void harness_stop(struct harness *harness)
{
    harness_signal(harness, SIGTERM);
    int status = harness_wait_end(harness);
    harness_sanitizers_are_silent(harness);
    if (status != 0) {
        harness_fail(harness, "the program did not end with exit status 0");
    }
}

int harness_command(struct harness *harness, const char *const *arguments, struct buffer *out)
{
    const char *all[ARGUMENTS_MAX] = {"sidejudge"};
    char path[128];
    for (size_t i = 0; arguments[i] != NULL; i++) {
        CHECK(i + 2 < ARGUMENTS_MAX);
        all[i + 1] = arguments[i];
    }
    path_in(harness, "command.txt", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    struct ending ending = {.pid = spawn(harness, fd, NULL, all)};
    uint64_t give_up_ns = clock_mono_ns() + COMMAND_SECONDS * NS_PER_S;
    while (!has_ended(&ending)) {
        loop_run_once(harness->loop, 10);
        if (clock_mono_ns() > give_up_ns) {
            kill(ending.pid, SIGKILL);
            waitpid(ending.pid, NULL, 0);
            fail_msg("the command did not end");
        }
    }
    buffer_init(out, OUTPUT_BYTES_MAX);
    CHECK(file_read(path, out) == RESULT_OK);
    if (strstr(buffer_text(out), "Sanitizer") != NULL ||
        strstr(buffer_text(out), "runtime error:") != NULL) {
        fail_msg("a sanitizer spoke:\n%s", buffer_text(out));
    }
    return status_of(ending.status);
}

// --- waiting ---

void harness_wait(struct harness *harness, bool (*is)(void *arg), void *arg, unsigned seconds,
                  const char *what)
{
    uint64_t give_up_ns = clock_mono_ns() + seconds * NS_PER_S;
    while (!is(arg)) {
        loop_run_once(harness->loop, 10);
        if (clock_mono_ns() > give_up_ns) {
            char message[256];
            snprintf(message, sizeof(message), "waited in vain for: %s", what);
            harness_fail(harness, message);
        }
        if (harness->pid > 0 && has_said(&(struct saying){harness, "AddressSanitizer"})) {
            harness_fail(harness, "a sanitizer spoke");
        }
    }
}

struct items {
    const struct backend *backend;
    enum signal signal;
    unsigned count;
};

static bool has_items(void *arg)
{
    const struct items *items = arg;
    return backend_items(items->backend, items->signal) >= items->count;
}

void harness_wait_items(struct harness *harness, const struct backend *backend, enum signal signal,
                        unsigned count)
{
    struct items items = {backend, signal, count};
    char what[64];
    snprintf(what, sizeof(what), "%u %s", count, signal_items(signal));
    harness_wait(harness, has_items, &items, HARNESS_PATIENCE_S, what);
    assert_int_equal(backend_items(backend, signal), count);
}

void harness_turn(struct harness *harness, unsigned ms)
{
    uint64_t until_ns = clock_mono_ns() + ms * NS_PER_MS;
    while (clock_mono_ns() < until_ns) {
        loop_run_once(harness->loop, 10);
    }
}

// --- talking to it ---

struct call {
    bool is_done;
    struct buffer body;
    struct harness_reply reply;
};

static void answered(void *arg, const struct http_response *response)
{
    struct call *call = arg;
    call->is_done = true;
    call->reply.status = response->result == RESULT_OK ? response->status : 0;
    call->reply.has_retry_after = response->has_retry_after;
    buffer_append_bytes(&call->body, response->body);
    snprintf(call->reply.body, sizeof(call->reply.body), "%.*s", BYTES_PRINTF(response->body));
    snprintf(call->reply.content_type, sizeof(call->reply.content_type), "%.*s",
             BYTES_PRINTF(response->content_type));
}

static bool is_done(void *arg)
{
    return ((struct call *)arg)->is_done;
}

static void call_run(struct harness *harness, const struct http_request *request, struct call *call)
{
    call->is_done = false;
    buffer_init(&call->body, OUTPUT_BYTES_MAX);
    http_client_send(harness->client, request, answered, call);
    harness_wait(harness, is_done, call, HARNESS_PATIENCE_S, request->url);
}

struct harness_reply harness_get(struct harness *harness, uint16_t port, const char *path)
{
    struct call call;
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    call_run(harness,
             &(struct http_request){.method = "GET", .url = url, .timeout_ns = 10 * NS_PER_S},
             &call);
    buffer_fini(&call.body);
    return call.reply;
}

struct harness_reply harness_post(struct harness *harness, const char *path, const char *type,
                                  const char *encoding, struct bytes body)
{
    struct call call;
    char url[256];
    const struct http_header headers[] = {{"Content-Type", type},
                                          {"Content-Encoding", encoding ? encoding : "identity"}};
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", harness->http_port, path);
    call_run(harness,
             &(struct http_request){.method = "POST",
                                    .url = url,
                                    .headers = headers,
                                    .header_count = 2,
                                    .body = body,
                                    .timeout_ns = 25 * NS_PER_S},
             &call);
    buffer_fini(&call.body);
    return call.reply;
}

void harness_send(struct harness *harness, struct bytes request)
{
    struct harness_reply reply =
        harness_post(harness, "/v1/traces", "application/x-protobuf", NULL, request);
    if (reply.status != 200) {
        print_error("answered %d: %s\n", reply.status, reply.body);
        harness_fail(harness, "the request was not accepted");
    }
}

double harness_metric(struct harness *harness, const char *name, const char *label)
{
    struct call call;
    char url[64];
    size_t name_len = strlen(name);
    double sum = -1;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", harness->metrics_port);
    call_run(harness,
             &(struct http_request){.method = "GET", .url = url, .timeout_ns = 10 * NS_PER_S},
             &call);
    assert_int_equal(call.reply.status, 200);
    char *save = NULL;
    char *text = strdup(buffer_text(&call.body));
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, name, name_len) == 0 &&
            (line[name_len] == '{' || line[name_len] == ' ') && strstr(line, label) != NULL) {
            sum = (sum < 0 ? 0 : sum) + strtod(strrchr(line, ' '), NULL);
        }
    }
    free(text);
    buffer_fini(&call.body);
    return sum;
}

// --- requests ---

void harness_trace_json(unsigned index, struct buffer *json)
{
    static const char *const files[HARNESS_TRACES] = {
        "01_refund_window", "02_delivery_time",      "03_refund_without_approval",
        "04_track_order",   "05_gift_card_validity", "06_other_question_answered",
        "07_small_refund",  "08_exchange_size",      "09_supervisor_asked",
        "10_refund_payout"};
    char path[512];
    CHECK(index < HARNESS_TRACES);
    snprintf(path, sizeof(path), "%s/traces/%s.json", SIDEJUDGE_FIXTURES, files[index]);
    buffer_init(json, REQUEST_BYTES_MAX);
    CHECK(file_read(path, json) == RESULT_OK);
}

void harness_trace(unsigned index, struct buffer *request)
{
    struct buffer json;
    char why[256];
    harness_trace_json(index, &json);
    buffer_init(request, REQUEST_BYTES_MAX);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&json), request, why, sizeof(why)) ==
          RESULT_OK);
    buffer_fini(&json);
}

void harness_span(struct buffer *request, unsigned number, const char *name)
{
    char json[1024], why[256];
    snprintf(json, sizeof(json),
             "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
             "\"value\":{\"stringValue\":\"scenario\"}}]},\"scopeSpans\":[{\"spans\":[{"
             "\"traceId\":\"5cec5cec5cec5cec5cec5cec%08x\",\"spanId\":\"5cec5cec%08x\","
             "\"name\":\"%s\",\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\","
             "\"endTimeUnixNano\":\"1795255623855293736\"}]}]}]}",
             number, number, name);
    buffer_init(request, REQUEST_BYTES_MAX);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, bytes_from_text(json), request, why, sizeof(why)) ==
          RESULT_OK);
}

static void agent_write(struct buffer *json, unsigned number)
{
    buffer_printf(json,
                  "{\"traceId\":\"a9e7a9e7a9e7a9e7a9e7a9e7%08x\",\"spanId\":\"a9e7a9e7%08x\","
                  "\"name\":\"agent\",\"kind\":1,\"startTimeUnixNano\":\"1795255623854972540\","
                  "\"endTimeUnixNano\":\"1795255623855293736\",\"attributes\":["
                  "{\"key\":\"openinference.span.kind\",\"value\":{\"stringValue\":\"AGENT\"}},"
                  "{\"key\":\"input.value\",\"value\":{\"stringValue\":\"Question %u: how long is "
                  "delivery?\"}},{\"key\":\"output.value\",\"value\":{\"stringValue\":\"Answer "
                  "%u: delivery takes two days.\"}}]}",
                  number, number, number, number);
}

void harness_agents(struct buffer *request, unsigned number, unsigned count)
{
    struct buffer json;
    char why[256];
    buffer_init(&json, REQUEST_BYTES_MAX);
    buffer_init(request, REQUEST_BYTES_MAX);
    buffer_append_text(&json, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
    for (unsigned i = 0; i < count; i++) {
        buffer_append_text(&json, i > 0 ? "," : "");
        agent_write(&json, number + i);
    }
    buffer_append_text(&json, "]}]}]}");
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, buffer_view(&json), request, why, sizeof(why)) ==
          RESULT_OK);
    buffer_fini(&json);
}

struct arriving {
    struct harness *harness;
    const struct backend *backend;
    unsigned scored;
};

static bool is_ours(struct bytes key)
{
    return bytes_start_with(key, BYTES_LITERAL("sidejudge.")) ||
           bytes_start_with(key, BYTES_LITERAL("evaluations."));
}

// What stands behind the original bytes: attributes of ours and nothing else.
static bool is_only_ours(struct bytes added)
{
    struct attribute_walk walk;
    struct attribute_view attribute;
    size_t len = 0;
    attribute_walk_begin(&walk, added, SPAN_ATTRIBUTES);
    while (attribute_walk_next(&walk, &attribute)) {
        if (!is_ours(attribute.key)) {
            return false;
        }
        len += attribute.field.len;
    }
    return len == added.len;
}

static bool span_arrived(void *arg, const struct item_view *view)
{
    struct arriving *arriving = arg;
    struct backend_item item;
    unsigned count = backend_find_span(arriving->backend, view->trace_id, view->span_id, &item);
    if (count != 1) {
        fail_msg("span %.*s is there %u times", BYTES_PRINTF(view->name), count);
    }
    if (!bytes_start_with(item.view.item, view->item) ||
        !is_only_ours(bytes_slice(item.view.item, view->item.len, SIZE_MAX)) ||
        !bytes_equal(item.view.resource, view->resource) ||
        !bytes_equal(item.view.scope, view->scope)) {
        fail_msg("the bytes of span %.*s changed", BYTES_PRINTF(view->name));
    }
    arriving->scored += item.view.item.len > view->item.len;
    return true;
}

unsigned harness_spans_arrived(struct harness *harness, const struct backend *backend,
                               struct bytes request)
{
    struct scan_report report;
    struct arriving arriving = {harness, backend, 0};
    assert_int_equal(scan_request(SIGNAL_TRACES, request, 0, span_arrived, &arriving, &report),
                     RESULT_OK);
    return arriving.scored;
}
