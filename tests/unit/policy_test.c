// SPDX-License-Identifier: Apache-2.0
//
// Who is let in by a listener, over every protocol and on either port, and which headers are kept.
// Against a whole receiver: an option that is read and not enforced would show here.
#include "receiver/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "tests/unit/otlp_peer.h"

#define TRACE_CALL "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define HEALTH_CALL "/grpc.health.v1.Health/Check"
#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define GOOD "Basic dXNlcjpzZWNyZXQ="   // user:secret
#define WRONG "Basic dXNlcjp3cm9uZw=="  // user:wrong
#define AUTH_YAML(grpc, http)                                                                      \
    "{protocols: {grpc: {endpoint: 'localhost:0'" grpc "}, http: {endpoint: 'localhost:0'" http    \
    "}}}"
#define AUTH ", auth: {authenticator: basicauth}"

static struct peer peer;
static struct buffer request;
static struct authenticator *list[3];

static struct authenticator *make(const char *type, const char *yaml)
{
    static _Alignas(16) uint8_t memory[1024];
    char source[512];
    struct config *config;
    struct arena arena;
    struct buffer text;
    buffer_init(&text, 1 << 16);
    arena_init(&arena, 1 << 20);
    snprintf(source, sizeof source, "yaml:%s", yaml);
    const char *sources[] = {source};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &text, NULL), RESULT_OK);
    struct option_errors errors = {.out = &text};
    const struct authenticator_kind *kind = authenticator_kind_find(bytes_from_text(type));
    option_bind(kind->options, config_root(config), type, memory, kind->config_size, &arena,
                &errors);
    kind->validate(memory, config_root(config), type, &errors);
    assert_string_equal(buffer_text(&text), "");
    struct authenticator *made = authenticator_new(kind, type, memory);
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&text);
    return made;
}

static void open_with(const char *yaml)
{
    list[0] = make("basicauth", "{htpasswd: {inline: 'user:secret'}}");
    list[1] =
        make("headers_setter", "{headers: [{key: authorization, from_context: authorization}, "
                               "{key: x-tenant, from_context: X-Tenant}]}");
    peer_authenticators = list;
    peer_start(&peer, yaml, 7, 0);
    buffer_init(&request, 1 << 20);
    make_request(&request, 3, 0);
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&request);
    peer_stop(&peer);
    authenticator_release(&list[0]);
    authenticator_release(&list[1]);
    return 0;
}

// The status; `head`, when not NULL, must stand in the reply's head.
static int post(uint16_t port, const char *path, const char *fields, const char *head)
{
    struct http_reply reply = http_once(port, path, fields, buffer_view(&request));
    if (head != NULL && strstr(reply.head, head) == NULL) {
        fail_msg("expected \"%s\" in: %s", head, reply.head);
    }
    buffer_fini(&reply.body);
    return reply.status;
}

static int call(uint16_t port, const char *path, const char *authorization)
{
    struct grpc_client *client = grpc_open(stream_open(port));
    struct grpc_field field = {"authorization", authorization};
    struct grpc_reply reply;
    struct buffer wire;
    buffer_init(&wire, 1 << 20);
    bool is_health = strcmp(path, HEALTH_CALL) == 0;
    grpc_frame_message(&wire, false, is_health ? BYTES_NONE : buffer_view(&request));
    assert_true(
        grpc_call(client, path, &field, authorization != NULL ? 1 : 0, buffer_view(&wire), &reply));
    buffer_fini(&wire);
    grpc_close(&client);
    return reply.grpc_status;
}

#define FIELD(value) PROTOBUF "Authorization: " value "\r\n"

static void strangers_get_401_before_their_body_is_kept(void **state)
{
    (void)state;
    static const char *const fields[] = {
        PROTOBUF,
        FIELD(""),
        FIELD("Basic"),
        FIELD(WRONG),
        FIELD("Bearer dXNlcjpzZWNyZXQ="),
        FIELD("dXNlcjpzZWNyZXQ="),
        PROTOBUF "Authorization: " GOOD "\r\nAuthorization: " GOOD "\r\n",
        PROTOBUF "Authorization: " WRONG "\r\nauthorization: " GOOD "\r\n",
        PROTOBUF "Proxy-Authorization: " GOOD "\r\n",
        "Content-Type: text/html\r\n",
    };
    open_with(AUTH_YAML(AUTH, AUTH));
    double before = metrics_sum("sidejudge_receiver_requests_total");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_int_equal(post(peer.http_port, "/v1/traces", fields[i],
                              "WWW-Authenticate: Basic realm=\"sidejudge\"\r\n"),
                         401);
        assert_int_equal(post(peer.grpc_port, "/v1/traces", fields[i], NULL), 401);
    }
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    assert_true(metrics_sum("sidejudge_receiver_requests_total") - before ==
                2 * (double)(sizeof fields / sizeof fields[0]));
    assert_int_equal(post(peer.http_port, "/v1/traces", FIELD(GOOD), NULL), 200);
    assert_int_equal(post(peer.http_port, "/v1/traces", FIELD("basic dXNlcjpzZWNyZXQ="), NULL),
                     200);
    assert_int_equal(atomic_load(&peer.fake.offers), 2);
}

static void a_stranger_that_waits_for_100_is_told_401_instead(void **state)
{
    (void)state;
    open_with(AUTH_YAML(AUTH, AUTH));
    struct stream stream = stream_open(peer.http_port);
    static const char head[] = "POST /v1/traces HTTP/1.1\r\nHost: h\r\n" PROTOBUF
                               "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    struct http_reply reply;
    stream_put(&stream, head, sizeof head - 1);
    http_read(&stream, &reply);
    assert_int_equal(reply.status, 401);
    buffer_fini(&reply.body);
    stream_close(&stream);
}

static void calls_are_unauthenticated_without_a_good_credential(void **state)
{
    (void)state;
    open_with(AUTH_YAML(AUTH, AUTH));
    for (unsigned i = 0; i < 2; i++) {
        uint16_t port = i == 0 ? peer.grpc_port : peer.http_port;
        assert_int_equal(call(port, TRACE_CALL, NULL), 16);
        assert_int_equal(call(port, TRACE_CALL, ""), 16);
        assert_int_equal(call(port, TRACE_CALL, WRONG), 16);
        assert_int_equal(call(port, TRACE_CALL, "Bearer x"), 16);
        assert_int_equal(call(port, "/no.Service/Call", NULL), 16);
        assert_int_equal(atomic_load(&peer.fake.offers), i);
        assert_int_equal(call(port, TRACE_CALL, GOOD), 0);
    }
}

static void a_port_has_its_own_rule_whatever_is_spoken_on_it(void **state)
{
    (void)state;
    open_with(AUTH_YAML("", AUTH));
    assert_int_equal(call(peer.http_port, TRACE_CALL, NULL), 16);
    assert_int_equal(post(peer.http_port, "/v1/traces", PROTOBUF, NULL), 401);
    assert_int_equal(call(peer.grpc_port, TRACE_CALL, NULL), 0);
    assert_int_equal(post(peer.grpc_port, "/v1/traces", PROTOBUF, NULL), 200);
}

static void no_other_path_is_open_and_health_stays_so(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/v1/logs",
        "/v1/metrics",
        "/api/public/otel/v1/traces",
        "/nothing",
        "/",
        "/v1/traces/",
        "/otel/v1/traces",
        "/v1/traces?authorization=Basic+dXNlcjpzZWNyZXQ=",
    };
    open_with(AUTH_YAML(AUTH, AUTH));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(post(peer.http_port, paths[i], PROTOBUF, NULL), 401);
    }
    assert_int_equal(call(peer.grpc_port, HEALTH_CALL, NULL), 0);
    assert_int_equal(call(peer.http_port, HEALTH_CALL, NULL), 0);
    assert_int_equal(post(peer.http_port, HEALTH_CALL, PROTOBUF, NULL), 401);
    assert_int_equal(post(peer.http_port, "/nothing", FIELD(GOOD), NULL), 404);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
}

static void a_receiver_without_its_authenticator_does_not_start(void **state)
{
    (void)state;
    open_with(AUTH_YAML(AUTH, AUTH));
    struct component_env env = {.id = "otlp", .processors_max = 1, .user_agent = "test"};
    struct sink *sinks[SIGNAL_COUNT] = {NULL};
    struct receiver *receiver = NULL;
    char why[256] = "";
    extern const struct receiver_ops otlp_receiver;
    assert_int_not_equal(
        otlp_receiver.start(&env, peer.settings, sinks, &receiver, why, sizeof why), RESULT_OK);
    assert_non_null(strstr(why, "authenticator not found"));
    assert_null(receiver);
}

static bool kept(const char *key, const char *expected)
{
    struct bytes value;
    return metadata_find(peer.fake.last_metadata, bytes_from_text(key), &value) &&
           bytes_equal_text(value, expected);
}

static void only_wanted_headers_are_kept_and_only_when_asked_for(void **state)
{
    (void)state;
    open_with(AUTH_YAML("", ", include_metadata: true"));
    assert_int_equal(post(peer.http_port, "/v1/traces",
                          PROTOBUF "Authorization: Bearer mine\r\nX-Other: other\r\n", NULL),
                     200);
    assert_true(kept("authorization", "Bearer mine"));
    assert_false(kept("x-other", "other"));
    assert_int_equal(call(peer.http_port, TRACE_CALL, "Bearer yours"), 0);
    assert_true(kept("authorization", "Bearer yours"));
    assert_int_equal(post(peer.http_port, "/v1/traces", PROTOBUF, NULL), 200);
    assert_null(peer.fake.last_metadata);
    assert_int_equal(call(peer.grpc_port, TRACE_CALL, "Bearer yours"), 0);
    assert_null(peer.fake.last_metadata);
}

static void headers_that_cannot_be_passed_on_refuse_the_request(void **state)
{
    (void)state;
    char fields[6000];
    open_with(AUTH_YAML("", ", include_metadata: true"));
    assert_int_equal(post(peer.http_port, "/v1/traces",
                          PROTOBUF "Authorization: a\r\nAuthorization: b\r\n", NULL),
                     400);
    assert_int_equal(post(peer.http_port, "/v1/traces", PROTOBUF "X-Tenant: \xc3\xa9\r\n", NULL),
                     400);
    snprintf(fields, sizeof fields, PROTOBUF "X-Tenant: %05000d\r\n", 1);
    assert_int_equal(post(peer.http_port, "/v1/traces", fields, NULL), 400);
    assert_int_equal(atomic_load(&peer.fake.offers), 0);
    snprintf(fields, sizeof fields, PROTOBUF "X-Tenant: %04000d\r\n", 1);
    assert_int_equal(post(peer.http_port, "/v1/traces", fields, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(strangers_get_401_before_their_body_is_kept, tear_down),
        cmocka_unit_test_teardown(a_stranger_that_waits_for_100_is_told_401_instead, tear_down),
        cmocka_unit_test_teardown(calls_are_unauthenticated_without_a_good_credential, tear_down),
        cmocka_unit_test_teardown(a_port_has_its_own_rule_whatever_is_spoken_on_it, tear_down),
        cmocka_unit_test_teardown(no_other_path_is_open_and_health_stays_so, tear_down),
        cmocka_unit_test_teardown(a_receiver_without_its_authenticator_does_not_start, tear_down),
        cmocka_unit_test_teardown(only_wanted_headers_are_kept_and_only_when_asked_for, tear_down),
        cmocka_unit_test_teardown(headers_that_cannot_be_passed_on_refuse_the_request, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
