// SPDX-License-Identifier: Apache-2.0
//
// The otlp receiver: I/O threads, each with a loop, a server, a batch home and a door, and a few
// ingest workers that they share. One I/O thread carries 500,000 small calls a second, so one is
// the default on few processors; with several, each listens on the same ports by SO_REUSEPORT and
// the kernel deals connections out. The two endpoints are listeners of the same server, hence
// either protocol works on either. Refused: a thread per protocol (an idle one beside a full one)
// and handing descriptors between threads (a hop for every connection).
//
// The end comes in order: drain stops accepting and answers what is in hand; free stops the I/O
// threads, then the workers, whose last jobs come back to threads that no longer run and are
// answered here. Bounds: THREADS_MAX, WORKERS_MAX. start, drain, free on the service's thread.
#include "receiver/otlp_receiver.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "base/tls_policy.h"
#include "receiver/health.h"
#include "receiver/otlp_config.h"
#include "receiver/otlp_export.h"
#include "receiver/policy.h"
#include "receiver/receivers.h"
#include "receiver/relay.h"
#include "receiver/server.h"

#define THREADS_MAX     4
#define WORKERS_MAX     2
#define DRAIN_LOOK_MS   50  // another drain may take the event
#define LIMIT_DEFAULT   ((size_t)20 << 20)
#define HOME_KEEP_BYTES ((size_t)4 << 20)
#define PATH_MAX_BYTES  256
#define IO_MAGIC        MAGIC('I', 'O', 'T', 'H')

enum { LISTEN_GRPC, LISTEN_HTTP, LISTEN_COUNT };

struct io_thread {
    uint32_t magic;
    struct receiver *receiver;
    struct loop *loop;
    struct loop_hook hook;
    struct server *server;
    struct batch_home *home;
    struct export_door door;
    struct http_route routes[EXPORT_ROUTES_MAX + HEALTH_ROUTES + 1];
    struct relay_door relay_door;  // with a relay
    struct tls_server *tls[LISTEN_COUNT];
    struct timer reload[LISTEN_COUNT];
    struct log_episode reload_episode[LISTEN_COUNT];
    bool is_draining;
    struct thread thread;
};

struct receiver {
    char id[64];
    const struct otlp_config *config;      // borrowed until free
    struct sink *sinks[SIGNAL_OTLP_COUNT];
    struct ingest *ingest;
    struct relay *relay;                   // NULL: nothing is passed on
    struct export_metrics *metrics;
    struct metric *connections;
    char paths[SIGNAL_OTLP_COUNT][PATH_MAX_BYTES];
    uint16_t ports[LISTEN_COUNT];
    struct authenticator *authenticators[LISTEN_COUNT];  // references
    struct cors cors;                      // of the HTTP endpoint
    struct bytes metadata_keys[METADATA_PAIRS_MAX];
    struct listen_policy policies[LISTEN_COUNT];
    struct buffer ciphers[LISTEN_COUNT], groups[LISTEN_COUNT];  // OpenSSL's lists
    struct metric *reloads[2];             // of certificates: failed, ok
    int drained_fd;                        // eventfd: an I/O thread has drained
    atomic_uint undrained_count;
    atomic_bool drain_asked;
    _Atomic uint64_t drain_deadline_ns;    // written before drain_asked; again when it is earlier
    bool takes_over;                       // of unix sockets, on reload
    unsigned thread_count;
    struct io_thread threads[THREADS_MAX];
};

static const struct metric_family connections_family = {
    .name = "sidejudge_receiver_connections",
    .type = METRIC_GAUGE,
    .help = "Connections that are open now",
    .labels = {"receiver"}};

static const struct metric_family reload_family = {
    .name = "sidejudge_tls_reloads_total",
    .type = METRIC_COUNTER,
    .help = "Certificates, keys and authorities that were read again after a change, by outcome",
    .labels = {"component", "outcome"}};

static double read_connections(void *arg)
{
    const struct receiver *receiver = arg;
    unsigned count = 0;
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        count += server_connection_count(receiver->threads[i].server);
    }
    return count;
}

static void on_drained(void *arg)
{
    struct receiver *receiver = ((struct io_thread *)arg)->receiver;
    uint64_t one = 1;
    atomic_fetch_sub(&receiver->undrained_count, 1);
    CHECK(write(receiver->drained_fd, &one, sizeof one) == sizeof one);
}

static bool on_turn(void *arg, uint64_t now_ns)
{
    (void)now_ns;
    struct io_thread *thread = arg;
    CHECK(thread->magic == IO_MAGIC);
    struct receiver *receiver = thread->receiver;
    bool has_more = export_turn(&thread->door);
    has_more |= receiver->relay && relay_turn(&thread->relay_door);
    if (thread->is_draining) {
        server_drain_by(thread->server, atomic_load(&receiver->drain_deadline_ns));
    } else if (atomic_load_explicit(&receiver->drain_asked, memory_order_acquire)) {
        thread->is_draining = true;
        server_drain(thread->server, atomic_load(&receiver->drain_deadline_ns), on_drained, thread);
    }
    return has_more;
}

static void run(void *arg)
{
    loop_run_watched(((struct io_thread *)arg)->loop, "receiver");
}

static const struct otlp_tls_config *tls_of(const struct otlp_config *config, int which)
{
    if (which == LISTEN_GRPC) {
        return config->protocols.grpc.has_tls ? &config->protocols.grpc.tls : NULL;
    }
    return config->protocols.http.has_tls ? &config->protocols.http.tls : NULL;
}

// How often the files are looked at; 0: never.
static uint64_t reload_interval(const struct otlp_tls_config *tls)
{
    if (tls->reload_interval_ns == 0 && tls->client_ca_file_reload) {
        return 60 * NS_PER_S;
    }
    return (uint64_t)tls->reload_interval_ns;
}

static void on_reload(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct io_thread *thread = arg;
    CHECK(thread->magic == IO_MAGIC);
    int which = timer == &thread->reload[LISTEN_GRPC] ? LISTEN_GRPC : LISTEN_HTTP;
    struct receiver *receiver = thread->receiver;
    if (tls_server_is_stale(thread->tls[which])) {
        char why[256];
        bool is_good = tls_server_reload(thread->tls[which], why, sizeof why) == RESULT_OK;
        metric_add(receiver->reloads[is_good], 1);
        if (is_good) {
            log_line(LOG_INFO, "receiver", "new TLS certificate for new connections",
                     LOG_TEXT("receiver", receiver->id));
        } else if (log_episode_opens(&thread->reload_episode[which], now_ns, 600 * NS_PER_S)) {
            log_line(LOG_ERROR, "receiver",
                     "cannot read the TLS certificate again; the old one stays",
                     LOG_TEXT("receiver", receiver->id), LOG_TEXT("error", why));
        }
    }
    loop_set_timer(thread->loop, timer,
                   now_ns + reload_interval(tls_of(receiver->config, which)));
}

static enum result open_tls(struct io_thread *thread, int which, char *why, size_t why_len)
{
    const struct otlp_tls_config *tls = tls_of(thread->receiver->config, which);
    if (!tls) {
        return RESULT_OK;
    }
    struct tls_server_config config = {.cert_file = tls->cert_file,
                                       .cert_pem = tls->cert_pem,
                                       .key_file = tls->key_file,
                                       .key_pem = tls->key_pem,
                                       .client_ca_file = tls->client_ca_file,
                                       .is_min_13 = tls->min_version == OTLP_TLS_13,
                                       .is_max_12 = tls->max_version == OTLP_TLS_12,
                                       .ciphers = buffer_text(&thread->receiver->ciphers[which]),
                                       .groups = buffer_text(&thread->receiver->groups[which])};
    enum result result = tls_server_new(&config, &thread->tls[which], why, why_len);
    if (result == RESULT_OK && reload_interval(tls) > 0) {
        timer_init(&thread->reload[which], on_reload, thread);
        loop_set_timer(thread->loop, &thread->reload[which],
                       loop_now_ns(thread->loop) + reload_interval(tls));
    }
    return result;
}

static int family_of(int transport)
{
    return transport == OTLP_TRANSPORT_TCP4   ? AF_INET
           : transport == OTLP_TRANSPORT_TCP6 ? AF_INET6
                                              : AF_UNSPEC;
}

// The order of open_listener's calls.
static unsigned listener_index(const struct otlp_config *config, int which)
{
    return which == LISTEN_HTTP && config->protocols.has_grpc ? 1 : 0;
}

static enum result open_listener(struct io_thread *thread, int which, char *why, size_t why_len)
{
    struct receiver *receiver = thread->receiver;
    const struct otlp_config *config = receiver->config;
    bool is_grpc = which == LISTEN_GRPC;
    if (is_grpc ? !config->protocols.has_grpc : !config->protocols.has_http) {
        return RESULT_OK;
    }
    enum result result = open_tls(thread, which, why, why_len);
    if (result != RESULT_OK) {
        return result;
    }
    bool is_first = thread == &receiver->threads[0];
    struct listen_config listen = {
        .endpoint = is_grpc ? config->protocols.grpc.endpoint : config->protocols.http.endpoint,
        .port = is_first ? 0 : receiver->ports[which],
        .family = family_of(is_grpc ? config->protocols.grpc.transport
                                    : config->protocols.http.transport),
        .reuse_port = receiver->thread_count > 1,
        .takes_over = receiver->takes_over,
        .tls = thread->tls[which],
        .policy = &receiver->policies[which]};
    int transport =
        is_grpc ? config->protocols.grpc.transport : config->protocols.http.transport;
    if (transport == OTLP_TRANSPORT_UNIX) {
        listen.is_unix = true;
        (void)otlp_config_permissions(is_grpc ? config->protocols.grpc.socket_permissions
                                              : config->protocols.http.socket_permissions,
                                      &listen.permissions);
        listen.takes_over = receiver->takes_over;
        listen.shared_fd = is_first ? 0 : server_listen_fd(receiver->threads[0].server,
                                                           listener_index(config, which));
    }
    result = server_listen(thread->server, &listen, why, why_len);
    if (result == RESULT_OK && is_first) {
        receiver->ports[which] = server_port(thread->server, listener_index(config, which));
        log_line(LOG_INFO, "receiver", "listening for OTLP over gRPC and HTTP",
                 LOG_TEXT("receiver", receiver->id), LOG_BYTES("endpoint", listen.endpoint),
                 LOG_INT("port", receiver->ports[which]),
                 LOG_TEXT("tls", thread->tls[which] ? "on" : "off"));
    }
    return result;
}

static uint64_t first_set(int64_t a, int64_t b)
{
    return (uint64_t)(a > 0 ? a : b);
}

static struct server_config server_config_of(const struct otlp_config *config, unsigned threads)
{
    const struct otlp_keepalive_config *keepalive =
        &config->protocols.grpc.keepalive.server_parameters;
    const struct otlp_http_config *http = &config->protocols.http;
    return (struct server_config){
        .connections_max = 1024 / threads,
        .streams_max = (unsigned)config->protocols.grpc.max_concurrent_streams,
        .head_timeout_ns = (uint64_t)http->read_header_timeout_ns,
        .request_timeout_ns = (uint64_t)http->read_timeout_ns,
        .write_timeout_ns = (uint64_t)http->write_timeout_ns,
        .idle_timeout_ns = first_set(http->idle_timeout_ns, keepalive->max_connection_idle_ns),
        .age_max_ns = (uint64_t)keepalive->max_connection_age_ns,
        .age_grace_ns = (uint64_t)keepalive->max_connection_age_grace_ns,
        .ping_after_ns = (uint64_t)keepalive->time_ns,
        .ping_timeout_ns = (uint64_t)keepalive->timeout_ns};
}

// The configured limit or the default, and never more than a quarter of the process's memory cap.
static size_t limit_of(int64_t configured, struct account *account)
{
    size_t limit = configured > 0 ? (size_t)configured : LIMIT_DEFAULT;
    size_t most = account ? account_cap(account) / 4 : SIZE_MAX;
    return limit < most ? limit : most;
}

static void open_door(struct io_thread *thread, struct account *account)
{
    struct receiver *receiver = thread->receiver;
    const struct otlp_config *config = receiver->config;
    thread->door = (struct export_door){
        .intake = intake_new(account, thread->home),
        .ingest = receiver->ingest,
        .sinks = receiver->sinks,
        .metrics = receiver->metrics,
        .grpc_bytes_max = limit_of(config->protocols.grpc.max_recv_msg_size_mib << 20, account),
        .http_bytes_max = limit_of(config->protocols.http.max_request_body_size, account),
        .is_closing_each =
            config->protocols.has_http && !config->protocols.http.keep_alives_enabled,
        .wake = loop_wake,
        .wake_arg = thread->loop};
    for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
        thread->door.http_paths[signal] = bytes_from_text(receiver->paths[signal]);
    }
    export_door_init(&thread->door);
}

static enum result open_thread(struct io_thread *thread, const struct component_env *env, char *why,
                               size_t why_len)
{
    struct receiver *receiver = thread->receiver;
    thread->magic = IO_MAGIC;
    thread->loop = loop_new();
    if (!thread->loop) {
        snprintf(why, why_len, "no descriptors are left for an event loop");
        return RESULT_FAIL;
    }
    thread->home = batch_home_new(env->account, HOME_KEEP_BYTES);
    open_door(thread, env->account);
    // Before the server's own hook, which sends in the same turn what this one answers.
    thread->hook = (struct loop_hook){.turn = on_turn, .arg = thread};
    loop_add_hook(thread->loop, &thread->hook);
    struct server_config config = server_config_of(receiver->config, receiver->thread_count);
    config.home = thread->home;
    thread->server = server_new(thread->loop, &config);
    size_t routes = export_routes(&thread->door, thread->routes);
    health_routes(thread->routes + routes);
    routes += HEALTH_ROUTES;
    if (receiver->relay) {
        relay_door_init(&thread->relay_door, receiver->relay, loop_wake, thread->loop);
        thread->routes[routes++] = relay_route(&thread->relay_door, thread->door.http_bytes_max);
    }
    server_route(thread->server, thread->routes, routes);
    enum result result = open_listener(thread, LISTEN_GRPC, why, why_len);
    return result == RESULT_OK ? open_listener(thread, LISTEN_HTTP, why, why_len) : result;
}

static void close_thread(struct io_thread *thread)
{
    if (!thread->loop) {
        return;
    }
    (void)export_turn(&thread->door);
    relay_door_close(&thread->relay_door);
    server_free(&thread->server);
    intake_free(&thread->door.intake);
    export_door_fini(&thread->door);
    batch_home_close(thread->home);
    for (int i = 0; i < LISTEN_COUNT; i++) {
        tls_server_free(&thread->tls[i]);
    }
    loop_free(thread->loop);
    thread->loop = NULL;
}

static void policies_fini(struct receiver *receiver)
{
    for (int i = 0; i < LISTEN_COUNT; i++) {
        authenticator_release(&receiver->authenticators[i]);
        buffer_fini(&receiver->ciphers[i]);
        buffer_fini(&receiver->groups[i]);
    }
}

static void on_refused(void *arg, const struct request *request, enum result result)
{
    export_count_refused(((struct receiver *)arg)->metrics, request, result);
}

static void names_init(struct receiver *receiver, int which)
{
    struct bytes unknown;
    const struct otlp_tls_config *tls = tls_of(receiver->config, which);
    buffer_init(&receiver->ciphers[which], 1 << 16);
    buffer_init(&receiver->groups[which], 1 << 16);
    if (tls) {  // what is not known was refused by validation
        (void)!tls_policy_ciphers(&tls->cipher_suites, &receiver->ciphers[which], &unknown);
        (void)!tls_policy_groups(&tls->curve_preferences, &receiver->groups[which], &unknown);
    }
}

// Who may come in by each endpoint, and what is kept of the requests' heads.
static enum result policies_init(struct receiver *receiver, const struct component_env *env,
                                 char *why, size_t why_len)
{
    const struct otlp_grpc_config *grpc = &receiver->config->protocols.grpc;
    const struct otlp_http_config *http = &receiver->config->protocols.http;
    const struct auth_config *auth[LISTEN_COUNT] = {&grpc->auth, &http->auth};
    bool has_cors = cors_init(&receiver->cors, &http->cors);
    size_t keys = authenticator_context_keys(env->authenticators, receiver->metadata_keys);
    enum result result = RESULT_OK;
    for (int i = 0; i < LISTEN_COUNT; i++) {
        names_init(receiver, i);
        if (result == RESULT_OK) {
            result = authenticator_bind(env->authenticators, auth[i], AUTHENTICATOR_SERVER,
                                        &receiver->authenticators[i], why, why_len);
        }
        bool keeps = i == LISTEN_GRPC ? grpc->include_metadata : http->include_metadata;
        receiver->policies[i] =
            (struct listen_policy){.authenticator = receiver->authenticators[i],
                                   .cors = i == LISTEN_HTTP && has_cors ? &receiver->cors : NULL,
                                   .metadata_keys = receiver->metadata_keys,
                                   .metadata_key_count = keeps ? keys : 0,
                                   .refused = on_refused,
                                   .arg = receiver};
    }
    receiver->reloads[0] = metric_series(&reload_family, (const char *const[]){env->id, "failed"});
    receiver->reloads[1] = metric_series(&reload_family, (const char *const[]){env->id, "ok"});
    return result;
}

static void otlp_free(struct receiver **receiver_ptr)
{
    struct receiver *receiver = *receiver_ptr;
    if (!receiver) {
        return;
    }
    *receiver_ptr = NULL;
    if (receiver->connections) {
        metric_read_by(receiver->connections, NULL, receiver);
        metric_set(receiver->connections, 0);
    }
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        if (receiver->threads[i].thread.started) {
            loop_stop(receiver->threads[i].loop);
            thread_join(&receiver->threads[i].thread);
        }
    }
    ingest_stop(&receiver->ingest);
    relay_stop(receiver->relay);
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        close_thread(&receiver->threads[i]);
    }
    relay_free(&receiver->relay);
    export_metrics_free(&receiver->metrics);
    policies_fini(receiver);
    if (receiver->drained_fd >= 0) {
        close(receiver->drained_fd);
    }
    free(receiver);
}

// Configured paths get a leading slash where they have none, as the Collector does.
static enum result set_path(struct receiver *receiver, enum signal signal, struct bytes path,
                            const char *fallback, char *why, size_t why_len)
{
    path = path.len > 0 ? path : bytes_from_text(fallback);
    const char *slash = path.ptr[0] == '/' ? "" : "/";
    int len = snprintf(receiver->paths[signal], PATH_MAX_BYTES, "%s%.*s", slash,
                       BYTES_PRINTF(path));
    if (len < 0 || len >= PATH_MAX_BYTES) {
        snprintf(why, why_len, "the URL path of %s is too long", signal_name(signal));
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

static enum result prepare(struct receiver *receiver, const struct component_env *env, char *why,
                           size_t why_len)
{
    const struct otlp_http_config *http = &receiver->config->protocols.http;
    unsigned processor_count = env->processors_max > 0 ? env->processors_max : 1;
    enum result result = set_path(receiver, SIGNAL_TRACES, http->traces_url_path, "/v1/traces", why,
                                  why_len);
    if (result == RESULT_OK) {
        result = set_path(receiver, SIGNAL_METRICS, http->metrics_url_path, "/v1/metrics", why,
                          why_len);
    }
    if (result == RESULT_OK) {
        result = set_path(receiver, SIGNAL_LOGS, http->logs_url_path, "/v1/logs", why, why_len);
    }
    if (result != RESULT_OK) {
        return result;
    }
    receiver->metrics = export_metrics_new(env->id);
    receiver->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    unsigned workers = processor_count < WORKERS_MAX ? processor_count : WORKERS_MAX;
    if (receiver->drained_fd < 0 ||
        ingest_start(env->account, workers, &receiver->ingest) != RESULT_OK) {
        snprintf(why, why_len, "cannot start ingest workers");
        return RESULT_FAIL;
    }
    if (env->relay && receiver->config->protocols.has_http) {
        const struct relay_config relay = {.target = env->relay,
                                           .receiver_id = receiver->id,
                                           .sink = receiver->sinks[SIGNAL_TRACES]};
        if (relay_start(&relay, &receiver->relay, why, why_len) != RESULT_OK) {
            return RESULT_FAIL;
        }
    }
    unsigned threads = processor_count / 4 + 1;
    receiver->thread_count = threads < THREADS_MAX ? threads : THREADS_MAX;
    return RESULT_OK;
}

static enum result start_threads(struct receiver *receiver, const struct component_env *env,
                                 char *why, size_t why_len)
{
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        receiver->threads[i].receiver = receiver;
        enum result result = open_thread(&receiver->threads[i], env, why, why_len);
        if (result != RESULT_OK) {
            return result;
        }
    }
    atomic_store(&receiver->undrained_count, receiver->thread_count);
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "sj-io-%u", i % 100);
        if (thread_start(&receiver->threads[i].thread, name, run, &receiver->threads[i]) !=
            RESULT_OK) {
            snprintf(why, why_len, "cannot start an I/O thread");
            return RESULT_FAIL;
        }
    }
    return RESULT_OK;
}

static enum result otlp_start(const struct component_env *env, const void *config,
                              struct sink *const sinks[SIGNAL_OTLP_COUNT],
                              struct receiver **receiver, char *why, size_t why_len)
{
    struct receiver *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);
    CHECK(made);
    memset(made, 0, sizeof *made);
    snprintf(made->id, sizeof made->id, "%s", env->id);
    made->config = config;
    made->takes_over = env->takes_over;
    made->drained_fd = -1;
    memcpy(made->sinks, sinks, sizeof made->sinks);
    enum result result = policies_init(made, env, why, why_len);
    if (result == RESULT_OK) {
        result = prepare(made, env, why, why_len);
    }
    if (result == RESULT_OK) {
        result = start_threads(made, env, why, why_len);
    }
    if (result != RESULT_OK) {
        otlp_free(&made);
        return result;
    }
    made->connections = metric_series(&connections_family, (const char *const[]){made->id});
    metric_read_by(made->connections, read_connections, made);
    *receiver = made;
    return RESULT_OK;
}

static void otlp_drain(struct receiver *receiver, uint64_t deadline_ns)
{
    atomic_store(&receiver->drain_deadline_ns, deadline_ns);
    atomic_store_explicit(&receiver->drain_asked, true, memory_order_release);
    for (unsigned i = 0; i < receiver->thread_count; i++) {
        loop_wake(receiver->threads[i].loop);
    }
    struct pollfd poll_fd = {.fd = receiver->drained_fd, .events = POLLIN};
    // The I/O threads cut what is left at the deadline; the margin is for them to say so.
    uint64_t give_up_ns = deadline_ns + NS_PER_S;
    uint64_t now_ns;
    while (atomic_load(&receiver->undrained_count) > 0 && (now_ns = clock_mono_ns()) < give_up_ns) {
        uint64_t left_ms = (give_up_ns - now_ns) / NS_PER_MS + 1;
        (void)poll(&poll_fd, 1, left_ms < DRAIN_LOOK_MS ? (int)left_ms : DRAIN_LOOK_MS);
        uint64_t count;
        (void)!read(receiver->drained_fd, &count, sizeof count);
    }
}

uint16_t otlp_receiver_grpc_port(const struct receiver *receiver)
{
    return receiver->ports[LISTEN_GRPC];
}

uint16_t otlp_receiver_http_port(const struct receiver *receiver)
{
    return receiver->ports[LISTEN_HTTP];
}

const struct receiver_ops otlp_receiver = {
    .kind = {.type = "otlp",
             .doc = "OTLP over gRPC, HTTP/2 and HTTP/1.1, either on either port",
             .signals = 1 << SIGNAL_TRACES | 1 << SIGNAL_METRICS | 1 << SIGNAL_LOGS,
             .options = otlp_options,
             .config_size = sizeof(struct otlp_config),
             .validate = otlp_config_validate},
    .start = otlp_start,
    .drain = otlp_drain,
    .free = otlp_free,
};
