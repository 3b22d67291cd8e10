// SPDX-License-Identifier: Apache-2.0
//
// `sidejudge doctor`: one line per thing that must be right, with the remedy where it is not:
// configuration, ports, backends reachable and authorised, judges answering a canned transcript and
// what that cost, the budget in interactions a day, and whether content is seen (asked of the
// running process). Backends are sent an empty OTLP request, which changes nothing there. Blocks
// for seconds; main thread of a command.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "processor/evaluation.h"
#include "processor/evaluation_config.h"
#include "service/api_client.h"
#include "service/commands.h"
#include "service/wiring.h"

static unsigned wrong;

static void say(bool good, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(bool good, const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%-5s %-34s ", good ? "ok" : "WRONG", what);
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
    wrong += !good;
}

// Can the port be opened here, or does a sidejudge hold it already?
static void check_port(struct bytes endpoint, const char *what, bool running)
{
    char host[256];
    size_t colon = endpoint.len;
    while (colon > 0 && endpoint.ptr[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0) {
        bool is_socket = endpoint.len > 0 && strchr("/.@", endpoint.ptr[0]) != NULL;
        say(is_socket, what, "%.*s %s", BYTES_PRINTF(endpoint),
            is_socket ? "is a unix socket" : "is not host:port: write localhost:PORT");
        return;
    }
    struct bytes name = bytes_slice(endpoint, 0, colon - 1);
    if (bytes_start_with(name, BYTES_LITERAL("[")) && bytes_end_with(name, BYTES_LITERAL("]"))) {
        name = bytes_slice(name, 1, name.len - 2);
    }
    snprintf(host, sizeof(host), "%.*s", BYTES_PRINTF(name));
    const char *port = (const char *)endpoint.ptr + colon;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int unknown = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (unknown != 0) {
        say(false, what, "%.*s: %s; write host:port, with a host that this machine knows",
            BYTES_PRINTF(endpoint), gai_strerror(unknown));
        return;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0) {
        say(true, what, "%.*s is free", BYTES_PRINTF(endpoint));
    } else if (errno == EADDRINUSE && running) {
        say(true, what, "%.*s is held by the running sidejudge (or another process)",
            BYTES_PRINTF(endpoint));
    } else {
        say(false, what, "%.*s: %s; stop what holds it, or set another endpoint",
            BYTES_PRINTF(endpoint), strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    freeaddrinfo(found);
}

// What goes nowhere over a network: there is nothing to reach.
static bool is_local_exporter(const struct component_kind *kind)
{
    static const char *const types[] = {"debug", "file", "nop"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(kind->type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void check_exporter(const struct exporter_part *part)
{
    const struct component_settings *component = part->part.settings;
    struct exporter *exporter = atomic_load(&part->slot.exporter);
    if (component->faults > 0) {
        return;  // told with the configuration
    }
    if (exporter == NULL) {
        say(false, component->path, "%s", part->slot.why);
        return;
    }
    if (is_local_exporter(component->kind)) {
        say(true, component->path, "needs no backend");
        return;
    }
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_NONE, clock_mono_ns());
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 1);
    const struct exporter_ops *ops = part->slot.ops;
    struct exporter_status status = {0};
    if (ops->reserve(exporter, SIGNAL_TRACES, 0, 0, false) == RESULT_OK) {
        ops->push(exporter, &parcel->links[0]);
        ops->drain(exporter, clock_mono_ns() + 5 * NS_PER_S);
    } else {
        parcel_unref(&parcel);
    }
    ops->status(exporter, &status);
    if (status.last_error[0] == '\0') {
        say(true, component->path, "reachable and authorised (an empty request was accepted)");
    } else if (component->kind->signals == 1U << SIGNAL_SCORES &&
               strstr(status.last_error, "no endpoint is set for this signal") != NULL) {
        say(true, component->path, "takes scores only: not tried before there is one");
    } else {
        say(false, component->path, "%s; check endpoint, headers and keys", status.last_error);
    }
}

static void check_judges(const struct processor *evaluation)
{
    size_t count = 0;
    const struct judge_config *judges = evaluation_judges(evaluation, &count);
    if (count == 0) {
        say(true, "judge",
            "none: deterministic evaluators only (set SIDEJUDGE_JUDGE or evaluation.judge)");
    }
    for (size_t i = 0; i < count; i++) {
        char what[64], why[256], host[128];
        struct judge_result result = {.cost_usd = 0};
        snprintf(what, sizeof(what), "judge %.*s",
                 (int)(judges[i].name.len < 40 ? judges[i].name.len : 40),
                 (const char *)judges[i].name.ptr);
        judge_host(&judges[i], host);
        if (judge_probe(&judges[i], &result, why, sizeof(why)) == RESULT_OK) {
            say(true, what, "%.*s at %s graded a canned transcript %.2f in %.1f s for %.5f USD",
                BYTES_PRINTF(judges[i].model), host[0] != '\0' ? host : "loopback",
                result.score.value, (double)result.elapsed_ns / 1e9, result.cost_usd);
        } else {
            say(false, what, "%s; check key, model and endpoint", why);
        }
        const struct budget *budget = evaluation_budget(evaluation);
        if (budget != NULL && result.cost_usd > 0) {
            struct budget_status status;
            budget_status(budget, &status, clock_mono_ns());
            say(true, "budget", "%.2f USD a day pays for about %.0f such gradings a day",
                status.usd_per_day, status.usd_per_day / result.cost_usd);
        }
    }
}

static void check_spans(const struct json_value *root)
{
    int64_t spans = json_int(json_get(json_get(root, "received"), "spans"), 0);
    int64_t replayed = json_int(json_get(json_get(root, "journal"), "replayed_entries"), 0);
    const struct json_value *evaluation = json_get(root, "evaluation");
    int64_t without = json_int(json_get(evaluation, "without_content"), 0);
    if (spans == 0 && replayed > 0) {
        say(true, "spans", "none received since the start; %" PRId64 " requests from the journal",
            replayed);
    } else {
        say(spans > 0, "spans", "%" PRId64 " received%s", spans,
            spans > 0
                ? ""
                : "; point the agent here: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318");
    }
    say(without == 0, "content", "%" PRId64 " model spans without content%s", without,
        without == 0 ? ""
                     : "; at the agent, set "
                       "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
                       "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY "
                       "(OpenLLMetry: TRACELOOP_TRACE_CONTENT=true)");
}

static void check_journal(const struct json_value *journal)
{
    int64_t entries = json_int(json_get(journal, "entries"), 0);
    int64_t bytes = json_int(json_get(journal, "file_bytes"), 0);
    int64_t most = json_int(json_get(journal, "size_limit_bytes"), 0);
    if (journal == NULL) {
        return;
    }
    if (json_int(json_get(journal, "failing"), 0) > 0) {
        say(false, "journal", "the disk fails: requests are not stored; the log says how");
    } else if (most > 0 && bytes > most / 10 * 8) {
        say(false, "journal",
            "%" PRId64 " %% of max_size is used by %" PRId64
            " entries; mend the exporter that does not deliver, or raise max_size",
            bytes * 100 / most, entries);
    } else {
        say(true, "journal", "%" PRId64 " entries, %" PRId64 " KiB on disk", entries, bytes >> 10);
    }
}

static void check_reload(const struct json_value *root)
{
    int64_t degraded = json_int(json_get(json_get(root, "config"), "degraded"), 0);
    if (degraded > 0) {
        say(false, "components", "%" PRId64 " left out; the log and sidejudge_degraded name what",
            degraded);
    }
    if (json_int(json_get(json_get(root, "config"), "in_force"), 1) == 0) {
        say(false, "configuration in force",
            "not the one that was saved last, which was rejected: mend it and save again");
    }
}

static bool check_running(const char *api)
{
    struct buffer body;
    struct json_document *document = NULL;
    char why[256];
    buffer_init(&body, (size_t)4 << 20);
    bool running = api_get(api, "/v1/status", &body, why, sizeof(why)) == RESULT_OK &&
                   json_parse(buffer_view(&body), &document, NULL) == RESULT_OK;
    if (running) {
        const struct json_value *root = json_root(document);
        check_spans(root);
        check_journal(json_get(root, "journal"));
        check_reload(root);
    } else {
        say(true, "running process", "none at %s: no spans to look at", api);
    }
    json_free(&document);
    buffer_fini(&body);
    return running;
}

static void check_own_ports(const struct settings *settings, bool running)
{
    if (settings->health.enabled) {
        check_port(settings->health.endpoint, "extensions::health_check", running);
    }
    if (settings->telemetry.metrics) {
        check_port(settings->telemetry.metrics_endpoint, "metrics", running);
    }
}

static void check_parts(const struct wiring *wiring)
{
    for (size_t i = 0; i < wiring->settings->exporters.count; i++) {
        if (wiring->exporters[i] != NULL) {
            check_exporter(wiring->exporters[i]);
        }
    }
    for (size_t i = 0; i < wiring->settings->processors.count; i++) {
        const struct processor_part *part = wiring->processors[i];
        const struct component_settings *component = &wiring->settings->processors.items[i];
        if (part == NULL) {
            continue;
        }
        if (part->slot.processor == NULL && component->faults == 0) {
            say(false, component->path, "%s", component->why);
        } else if (processor_is_evaluation(part->slot.processor)) {
            check_judges(part->slot.processor);
        }
    }
}

static void check_wiring(const struct settings *settings, bool running)
{
    struct account *account = account_new(account_detect_cap());
    log_configure(LOG_ERROR, LOG_CONSOLE, open("/dev/null", O_WRONLY | O_CLOEXEC));
    struct turnstile *turnstile = aligned_alloc(64, (sizeof(*turnstile) + 63) / 64 * 64);
    CHECK(turnstile != NULL);
    turnstile_init(turnstile);
    struct snapshot *snapshot = snapshot_borrow(settings);
    struct wiring *wiring = wiring_new(&(struct wiring_setup){
        .snapshot = snapshot, .account = account, .turnstile = turnstile, .number = 1});
    for (size_t i = 0; i < snapshot->address_count; i++) {
        check_port(snapshot->addresses[i], "receiver for OTLP", running);
    }
    check_parts(wiring);
    wiring_free(&wiring);
    snapshot_unref(&snapshot);
    free(turnstile);
    account_free(account);
}

static void check_configuration(const struct loaded *loaded, bool by_environment)
{
    struct bytes rest = buffer_view(&loaded->faults);
    if (rest.len == 0) {
        say(true, "configuration", "%s",
            by_environment ? "sound, from the environment (sidejudge print-config shows it)"
                           : "sound");
    }
    while (rest.len > 0) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_slice(rest, 0, end == SIZE_MAX ? rest.len : end);
        rest = bytes_slice(rest, end == SIZE_MAX ? rest.len : end + 1, SIZE_MAX);
        say(false, "configuration", "%.*s", BYTES_PRINTF(line));
    }
}

int command_doctor(struct arguments *arguments)
{
    struct loaded loaded;
    wrong = 0;
    if (commands_load(arguments, &loaded) != RESULT_OK) {
        fprintf(stderr, "Error: %s", buffer_text(&loaded.faults));
        commands_unload(&loaded);
        return 1;
    }
    check_configuration(&loaded, arguments->config_count == 0);
    bool running = check_running(arguments->api);
    check_own_ports(loaded.settings, running);
    check_wiring(loaded.settings, running);
    commands_unload(&loaded);
    printf("\n%s\n", wrong == 0 ? "all well" : "mend the lines marked WRONG");
    return wrong == 0 ? 0 : 1;
}
