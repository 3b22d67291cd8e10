// SPDX-License-Identifier: Apache-2.0
//
// Who may send, to whom it is sent, and under whose name: authentication at the door and at the
// backend with secrets that are renewed, certificates that are renewed on both sides while spans
// flow, unix sockets, pages of browsers, and two agents whose credentials must never meet. Two
// programs run where TLS has two sides. Bounds: those of the harness. One thread.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/scenario/harness.h"
#include "tests/unit/certificate.h"

#define PROTOBUF                                                                                   \
    {                                                                                              \
        "Content-Type", "application/x-protobuf"                                                   \
    }
#define BOTH "grpc: {endpoint: 'localhost:0'%s}, http: {endpoint: 'localhost:0'%s}"
#define SERVICE                                                                                    \
    "service:\n  extensions: [%s]\n  pipelines:\n"                                                 \
    "    traces: {receivers: [otlp], exporters: [otlp_http]}\n"

// --- one request of our own ---

struct answer {
    bool is_done;
    enum result result;
    int status;
    char error[256];
};

static void answered(void *arg, const struct http_response *response)
{
    struct answer *answer = arg;
    answer->is_done = true;
    answer->result = response->result;
    answer->status = response->status;
    snprintf(answer->error, sizeof(answer->error), "%s", response->error ? response->error : "");
}

static bool is_answered(void *arg)
{
    return ((struct answer *)arg)->is_done;
}

static struct answer ask(struct harness *harness, struct http_client *client,
                         const struct http_request *request)
{
    struct answer answer = {.is_done = false};
    http_client_send(client, request, answered, &answer);
    harness_wait(harness, is_answered, &answer, HARNESS_PATIENCE_S, request->url);
    return answer;
}

// POST of one span with this Authorization; NULL: without.
static struct answer post_span(struct harness *harness, struct http_client *client,
                               const char *scheme, unsigned number, const char *name,
                               const char *authorization)
{
    char url[128];
    struct buffer span;
    struct http_header headers[] = {PROTOBUF, {"Authorization", authorization}};
    harness_span(&span, number, name);
    snprintf(url, sizeof(url), "%s://localhost:%u/v1/traces", scheme, harness->http_port);
    struct answer answer = ask(harness, client,
                               &(struct http_request){.method = "POST",
                                                      .url = url,
                                                      .headers = headers,
                                                      .header_count = authorization != NULL ? 2 : 1,
                                                      .body = buffer_view(&span),
                                                      .timeout_ns = 20 * NS_PER_S});
    buffer_fini(&span);
    return answer;
}

static int status_of(struct harness *harness, const char *authorization)
{
    static unsigned number = 1000;
    return post_span(harness, harness->client, "http", number++, "span", authorization).status;
}

// --- renewal of files ---

// Beside its place first, then moved: what a rotation looks like.
static void renew(struct harness *harness, const char *name, const char *text)
{
    char beside[64], at[256];
    snprintf(beside, sizeof(beside), "%s.new", name);
    snprintf(at, sizeof(at), "%s/%s", harness->folder, name);
    assert_int_equal(rename(harness_file(harness, beside, text), at), 0);
}

static void wait_status(struct harness *harness, const char *authorization, int status)
{
    for (unsigned i = 0; i < 200; i++) {
        if (status_of(harness, authorization) == status) {
            return;
        }
        harness_turn(harness, 50);
    }
    fail_msg("%s is never answered with %d", authorization, status);
}

#define USER_ONE "Basic dXNlcjpvbmU="  // user:one
#define USER_TWO "Basic dXNlcjp0d28="  // user:two

static void a_renewed_password_file_counts_without_a_restart(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    renew(harness, "users", "user:one\n");
    harness_start_yaml(
        harness,
        "extensions: {basicauth/agents: {htpasswd: {file: %s/users}}, health_check: }\n"
        "receivers: {otlp: {protocols: {" BOTH "}}}\n"
        "exporters: {otlp_http: {endpoint: '%s', sending_queue: {merge: false}}}\n" SERVICE,
        harness->folder, ", auth: {authenticator: basicauth/agents}",
        ", auth: {authenticator: basicauth/agents}", backend_url(backend),
        "basicauth/agents, health_check");
    assert_int_equal(status_of(harness, NULL), 401);
    assert_int_equal(status_of(harness, USER_TWO), 401);
    assert_int_equal(status_of(harness, "Bearer one"), 401);
    assert_int_equal(status_of(harness, USER_ONE), 200);
    assert_int_equal(harness_get(harness, harness->health_port, "/").status, 200);
    renew(harness, "users", "user:two\n");
    wait_status(harness, USER_TWO, 200);
    assert_int_equal(status_of(harness, USER_ONE), 401);
    renew(harness, "users", "nonsense\n");
    harness_turn(harness, 1200);
    assert_int_equal(status_of(harness, USER_TWO), 200);
    assert_int_equal(status_of(harness, "Basic bm9uc2Vuc2U6"), 401);
    assert_true(harness_metric(harness, "sidejudge_receiver_requests_total", "outcome=\"deny\"") >=
                5);
    assert_true(harness_metric(harness, "sidejudge_authenticator_reloads_total",
                               "outcome=\"failed\"") >= 1);
    harness_stop(harness);
    assert_false(harness_said(harness, "dXNlcjpvbmU="));
    assert_false(harness_said(harness, "user:two"));
}

static bool has_new_token(void *arg)
{
    return strcmp(backend_header(arg, "authorization"), "Bearer token-two") == 0;
}

static void a_renewed_token_is_sent_without_a_restart(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    renew(harness, "token", "token-one\n");
    harness_start_yaml(harness,
                       "extensions: {bearertokenauth: {filename: %s/token}}\n"
                       "receivers: {otlp: {protocols: {" BOTH "}}}\n"
                       "exporters: {otlp_http: {endpoint: '%s', auth: {authenticator: "
                       "bearertokenauth}}}\n" SERVICE,
                       harness->folder, "", "", backend_url(backend), "bearertokenauth");
    assert_int_equal(status_of(harness, NULL), 200);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    assert_string_equal(backend_header(backend, "authorization"), "Bearer token-one");
    renew(harness, "token", "token-two\n");
    for (unsigned i = 0; i < 100 && !has_new_token(backend); i++) {
        assert_int_equal(status_of(harness, NULL), 200);
        harness_turn(harness, 50);
    }
    assert_true(has_new_token(backend));
    harness_stop(harness);
    assert_false(harness_said(harness, "token-one"));
    assert_false(harness_said(harness, "token-two"));
}

static void a_reference_to_no_authenticator_fails_validation_and_opens_nothing(void **state)
{
    struct harness *harness = *state;
    struct buffer out;
    const char *path = harness_file(
        harness, "bad.yaml",
        "extensions: {basicauth: {htpasswd: {inline: 'a:b'}}, basicauth/c: {client_auth: "
        "{username: a, password: b}}}\n"
        "receivers: {otlp: {protocols: {http: {endpoint: 'localhost:0', auth: {authenticator: "
        "basicauth}}, grpc: {endpoint: 'localhost:0', auth: {authenticator: basicauth/c}}}}}\n"
        "exporters: {debug: , otlp_http: {endpoint: 'http://localhost:1', auth: {authenticator: "
        "other}}}\n"
        "service: {extensions: [basicauth/c], pipelines: {traces: {receivers: [otlp], exporters: "
        "[debug, otlp_http]}}}\n");
    buffer_init(&out, 1 << 20);
    assert_int_not_equal(
        harness_command(harness, (const char *const[]){"validate", "--config", path, NULL}, &out),
        0);
    assert_non_null(strstr(buffer_text(&out), "failed to resolve authenticator \"basicauth\""));
    assert_non_null(strstr(buffer_text(&out), "failed to resolve authenticator \"other\""));
    assert_non_null(strstr(buffer_text(&out), "not a server authenticator"));
    buffer_fini(&out);
}

// --- two agents ---

struct mixing {
    unsigned count[2];
    unsigned wrong;
};

static bool look_at_key(void *arg, const struct backend_item *item)
{
    struct mixing *mixing = arg;
    bool is_one = bytes_equal_text(item->view.name, "of one");
    mixing->count[is_one ? 0 : 1]++;
    mixing->wrong += strcmp(item->authorization,
                            is_one ? "Bearer key-of-agent-one" : "Bearer key-of-agent-two") != 0;
    return true;
}

struct storm {
    struct harness *harness;
    unsigned sent, answered, refused;
};

static void storm_answered(void *arg, const struct http_response *response)
{
    struct storm *storm = arg;
    storm->answered++;
    storm->refused += response->status != 200;
}

static bool storm_is_over(void *arg)
{
    const struct storm *storm = arg;
    return storm->answered == storm->sent;
}

static void storm_send(struct storm *storm, unsigned number)
{
    char url[128];
    struct buffer span;
    bool is_one = number % 2 == 0;
    struct http_header headers[] = {
        PROTOBUF,
        {"Authorization", is_one ? "Bearer key-of-agent-one" : "Bearer key-of-agent-two"}};
    harness_span(&span, number, is_one ? "of one" : "of two");
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/traces", storm->harness->http_port);
    http_client_send(storm->harness->client,
                     &(struct http_request){.method = "POST",
                                            .url = url,
                                            .headers = headers,
                                            .header_count = 2,
                                            .body = buffer_view(&span),
                                            .timeout_ns = 20 * NS_PER_S},
                     storm_answered, storm);
    storm->sent++;
    harness_wait(storm->harness, storm_is_over, storm, HARNESS_PATIENCE_S, "the answer");
    buffer_fini(&span);
}

// Over the exporter `exporter`: nothing of one agent leaves under the other's key,
// also when what was held back leaves at once.
static void agents_are_kept_apart(struct harness *harness, const char *exporter)
{
    enum { COUNT = 200 };
    struct backend *backend = harness_backend(harness);
    struct storm storm = {.harness = harness};
    struct mixing mixing = {.wrong = 0};
    backend_answer(backend, 503, 0);
    harness_start_yaml(
        harness,
        "extensions: {headers_setter: {headers: [{key: Authorization, from_context: "
        "authorization}]}}\n"
        "receivers: {otlp: {protocols: {" BOTH "}}}\n"
        "exporters: {%s: {endpoint: '%s', auth: {authenticator: headers_setter}, "
        "retry_on_failure: {initial_interval: 50ms, max_interval: 50ms}}}\n"
        "processors: {evaluation: }\n"
        "service: {extensions: [headers_setter], pipelines: {traces: {receivers: [otlp], "
        "processors: [evaluation], exporters: [%s]}}}\n",
        "", ", include_metadata: true", exporter, backend_url(backend), exporter);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i == COUNT / 2) {
            backend_answer(backend, 200, 0);
        }
        storm_send(&storm, i);
    }
    assert_int_equal(storm.refused, 0);
    harness_wait_items(harness, backend, SIGNAL_TRACES, COUNT);
    backend_each(backend, SIGNAL_TRACES, look_at_key, &mixing);
    assert_int_equal(mixing.count[0], COUNT / 2);
    assert_int_equal(mixing.count[1], COUNT / 2);
    assert_int_equal(mixing.wrong, 0);
    struct harness_reply metrics = harness_get(harness, harness->metrics_port, "/metrics");
    assert_null(strstr(metrics.body, "key-of-agent"));
    harness_stop(harness);
    assert_false(harness_said(harness, "key-of-agent"));
}

static void two_agents_credentials_never_meet_over_http(void **state)
{
    agents_are_kept_apart(*state, "otlp_http");
}

static void two_agents_credentials_never_meet_over_grpc(void **state)
{
    agents_are_kept_apart(*state, "otlp_grpc");
}

// --- sockets ---

static void spans_go_from_socket_to_socket(void **state)
{
    struct harness *harness = *state;
    struct harness *second = NULL;
    void *second_state = NULL;
    assert_int_equal(harness_setup(&second_state), 0);
    second = second_state;
    struct backend *backend = harness_backend(harness);
    struct stat status;
    char path[256];
    harness_start_yaml(
        harness,
        "receivers: {otlp: {protocols: {grpc: {transport: unix, endpoint: %s/g.sock}, http: "
        "{transport: unix, endpoint: %s/h.sock, socket_permissions: '0660'}}}}\n"
        "exporters: {otlp_http: {endpoint: '%s'}}\n" SERVICE,
        harness->folder, harness->folder, backend_url(backend), "");
    snprintf(path, sizeof(path), "%s/h.sock", harness->folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    harness_start_yaml(
        second,
        "receivers: {otlp: {protocols: {" BOTH "}}}\n"
        "exporters: {otlp_http: {endpoint: 'unix://%s/h.sock'}, otlp_grpc: {endpoint: "
        "'unix:%s/g.sock', tls: {insecure: true}}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http, otlp_grpc]}}}\n",
        "", "", harness->folder, harness->folder);
    assert_int_equal(post_span(second, second->client, "http", 1, "span", NULL).status, 200);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 2);
    harness_stop(second);
    harness_stop(harness);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(harness_teardown(&second_state), 0);
}

// --- certificates ---

static void write_pair(struct harness *harness, const char *name,
                       const struct certificate *certificate)
{
    char file[64];
    snprintf(file, sizeof(file), "%s.key", name);
    renew(harness, file, certificate->key);
    snprintf(file, sizeof(file), "%s.crt", name);
    renew(harness, file, certificate->cert);
}

static struct http_client *tls_client(struct harness *harness, const struct certificate *trusted,
                                      const struct certificate *own)
{
    char why[256] = "";
    struct http_client *client = NULL;
    struct tls_client_config tls = {.ca_pem = bytes_from_text(trusted->cert)};
    if (own != NULL) {
        tls.cert_pem = bytes_from_text(own->cert);
        tls.key_pem = bytes_from_text(own->key);
    }
    if (http_client_new(harness->loop, &(struct http_client_config){.tls = &tls}, &client, why,
                        sizeof(why)) != RESULT_OK) {
        fail_msg("%s", why);
    }
    return client;
}

static int tls_status(struct harness *harness, const struct certificate *trusted,
                      const struct certificate *own)
{
    struct http_client *client = tls_client(harness, trusted, own);
    struct answer answer = post_span(harness, client, "https", 7, "span", NULL);
    http_client_free(client);
    return answer.status;
}

static void wait_tls(struct harness *harness, const struct certificate *trusted,
                     const struct certificate *own, int status)
{
    for (unsigned i = 0; i < 200; i++) {
        if (tls_status(harness, trusted, own) == status) {
            return;
        }
        harness_turn(harness, 50);
    }
    fail_msg("never answered with %d", status);
}

#define TLS_SERVER                                                                                 \
    ", tls: {cert_file: %s/server.crt, key_file: %s/server.key, client_ca_file: %s/client.crt, "   \
    "reload_interval: 100ms}"

static void certificates_of_both_sides_are_renewed_while_it_runs(void **state)
{
    struct harness *harness = *state;
    struct certificate server, server_next, client, client_next;
    struct backend *backend = harness_backend(harness);
    char tls[512];
    certificate_make(&server);
    certificate_make(&server_next);
    certificate_make_for("client.test", &client);
    certificate_make_for("client.test", &client_next);
    write_pair(harness, "server", &server);
    write_pair(harness, "client", &client);
    snprintf(tls, sizeof(tls), TLS_SERVER, harness->folder, harness->folder, harness->folder);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {" BOTH "}}}\n"
                       "exporters: {otlp_http: {endpoint: '%s'}}\n" SERVICE,
                       tls, tls, backend_url(backend), "");
    assert_int_equal(tls_status(harness, &server, NULL), 0);
    assert_int_equal(tls_status(harness, &server, &client_next), 0);
    assert_int_equal(tls_status(harness, &server_next, &client), 0);
    assert_int_equal(tls_status(harness, &server, &client), 200);
    write_pair(harness, "server", &server_next);
    wait_tls(harness, &server_next, &client, 200);
    assert_int_equal(tls_status(harness, &server, &client), 0);
    renew(harness, "client.crt", client_next.cert);
    wait_tls(harness, &server_next, &client_next, 200);
    assert_int_equal(tls_status(harness, &server_next, &client), 0);
    renew(harness, "server.crt", "no certificate");
    harness_wait_said(harness, "cannot read the TLS certificate again");
    assert_int_equal(tls_status(harness, &server_next, &client_next), 200);
    harness_stop(harness);
}

static bool count_after(void *arg, const struct backend_item *item)
{
    *(unsigned *)arg += bytes_equal_text(item->view.name, "after");
    return true;
}

static bool came_twice(void *arg)
{
    unsigned count = 0;
    backend_each(arg, SIGNAL_TRACES, count_after, &count);
    return count == 2;
}

// One program exports to another with client certificates, which both renew: all arrives.
static void exporters_show_renewed_certificates(void **state)
{
    struct harness *harness = *state;
    void *second_state = NULL;
    assert_int_equal(harness_setup(&second_state), 0);
    struct harness *second = second_state;
    struct certificate server, server_next, client, client_next;
    struct backend *backend = harness_backend(harness);
    const char *folder = harness->folder;
    char tls[512];
    certificate_make(&server);
    certificate_make(&server_next);
    certificate_make_for("client.test", &client);
    certificate_make_for("client.test", &client_next);
    write_pair(harness, "server", &server);
    write_pair(harness, "client", &client);
    snprintf(tls, sizeof(tls), TLS_SERVER, folder, folder, folder);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {" BOTH "}}}\n"
                       "exporters: {otlp_http: {endpoint: '%s'}}\n" SERVICE,
                       tls, tls, backend_url(backend), "");
    char own[512];
    snprintf(own, sizeof(own),
             "tls: {ca_file: %s/server.crt, cert_file: %s/client.crt, key_file: %s/client.key, "
             "server_name_override: localhost, reload_interval: 100ms}, retry_on_failure: "
             "{initial_interval: 50ms, max_interval: 100ms}",
             folder, folder, folder);
    harness_start_yaml(
        second,
        "receivers: {otlp: {protocols: {" BOTH "}}}\n"
        "exporters: {otlp_http: {endpoint: 'https://localhost:%u', %s}, otlp_grpc: {endpoint: "
        "'127.0.0.1:%u', %s}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http, otlp_grpc]}}}\n",
        "", "", harness->http_port, own, harness->grpc_port, own);
    assert_int_equal(post_span(second, second->client, "http", 1, "before", NULL).status, 200);
    harness_wait_items(harness, backend, SIGNAL_TRACES, 2);
    write_pair(harness, "server", &server_next);
    write_pair(harness, "client", &client_next);
    wait_tls(harness, &server_next, &client_next, 200);
    assert_int_equal(post_span(second, second->client, "http", 2, "after", NULL).status, 200);
    harness_wait(harness, came_twice, backend, HARNESS_PATIENCE_S, "the span by both ways");
    harness_stop(second);
    harness_stop(harness);
    assert_int_equal(harness_teardown(&second_state), 0);
}

#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_renewed_password_file_counts_without_a_restart),
        SCENARIO(a_renewed_token_is_sent_without_a_restart),
        SCENARIO(a_reference_to_no_authenticator_fails_validation_and_opens_nothing),
        SCENARIO(two_agents_credentials_never_meet_over_http),
        SCENARIO(two_agents_credentials_never_meet_over_grpc),
        SCENARIO(spans_go_from_socket_to_socket),
        SCENARIO(certificates_of_both_sides_are_renewed_while_it_runs),
        SCENARIO(exporters_show_renewed_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
