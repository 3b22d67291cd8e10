// SPDX-License-Identifier: Apache-2.0
//
// The receiver's keys: what is refused, in whose wording, and what a pasted configuration may hold.
#include "receiver/otlp_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config *config;
static struct arena arena;
static struct buffer errors, warnings;

static void bind(const char *yaml, struct otlp_config *settings)
{
    const char *sources[] = {yaml};
    buffer_init(&errors, 1 << 16);
    buffer_init(&warnings, 1 << 16);
    arena_init(&arena, 1 << 20);
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &errors, &warnings), RESULT_OK);
    struct option_errors found = {.out = &errors, .warnings = &warnings};
    option_bind(otlp_options, config_root(config), "receivers::otlp", settings, sizeof *settings,
                &arena, &found);
    otlp_config_validate(settings, config_root(config), "receivers::otlp", &found);
}

static void unbind(void)
{
    arena_fini(&arena);
    buffer_fini(&errors);
    buffer_fini(&warnings);
    config_free(&config);
}

static void configuration_errors_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error;
    } rows[] = {
        {"yaml:{protocols: {}}", "must specify at least one protocol when using the OTLP receiver"},
        {"yaml:{protocols: }", "must specify at least one protocol when using the OTLP receiver"},
        {"yaml:{protocols: {grpcc: }}", "has invalid keys: grpcc"},
        {"yaml:{protocols: {grpc: {endpoint: nowhere}}}", "\"nowhere\" is not host:port"},
        {"yaml:{protocols: {grpc: {tls: {cert_file: a}}}}", "a server needs cert_file"},
        {"yaml:{protocols: {http: {auth: {authenticators: basic}}}}", "has invalid keys"},
        {"yaml:{protocols: {http: {auth: {authenticator: basicauth}}}}", NULL},
        {"yaml:{protocols: {grpc: {tls: {cert_file: a, key_file: b, cipher_suites: [RC4]}}}}",
         "invalid TLS cipher suite: RC4"},
        {"yaml:{protocols: {grpc: {tls: {cert_file: a, key_file: b, curve_preferences: [P1]}}}}",
         "invalid curve type: P1"},
        {"yaml:{protocols: {grpc: {tls: {cert_file: a, key_file: b, curve_preferences: [P256], "
         "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]}}}}",
         NULL},
        {"yaml:{protocols: {http: {tls: {cert_file: a, cert_pem: b, key_file: c}}}}", "both set"},
        {"yaml:{protocols: {grpc: {max_recv_msg_size_mib: -1}}}", "max_recv_msg_size_mib"},
        {"yaml:{protocols: {grpc: {transport: udp}}}", "transport"},
        {"yaml:{protocols: {grpc: {transport: unix}}}", "not the path of a socket"},
        {"yaml:{protocols: {http: {transport: unix, endpoint: /}}}", "not the path of a socket"},
        {"yaml:{protocols: {grpc: {transport: unix, endpoint: /a, socket_permissions: '9'}}}",
         "not a mode"},
        {"yaml:{protocols: {grpc: {transport: unix, endpoint: /a, socket_permissions: '1777'}}}",
         "not a mode"},
        {"yaml:{protocols: {grpc: {transport: unix, endpoint: /run/a.sock, "
         "socket_permissions: '0660'}}}", NULL},
        {"yaml:{protocols: {grpc: , http: }}", NULL},
        {"yaml:{protocols: {grpc: {}, http: {cors: {allowed_origins: ['*']}}}}", NULL},
        {"yaml:{protocols: {grpc: {keepalive: {server_parameters: {time: 30s}, "
         "enforcement_policy: {min_time: 1m}}, read_buffer_size: 1024, include_metadata: true}}}",
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct otlp_config settings;
        bind(rows[i].yaml, &settings);
        if (rows[i].error) {
            assert_non_null(strstr(buffer_text(&errors), rows[i].error));
        } else {
            assert_string_equal(buffer_text(&errors), "");
        }
        unbind();
    }
}

static void absent_protocols_are_off_and_empty_ones_have_defaults(void **state)
{
    (void)state;
    struct otlp_config settings;
    bind("yaml:{protocols: {http: }}", &settings);
    assert_false(settings.protocols.has_grpc);
    assert_true(settings.protocols.has_http);
    assert_false(settings.protocols.http.has_tls);
    assert_true(bytes_equal_text(settings.protocols.http.endpoint, "localhost:4318"));
    assert_true(bytes_equal_text(settings.protocols.http.logs_url_path, "/v1/logs"));
    assert_true(settings.protocols.http.keep_alives_enabled);
    unbind();
    bind("yaml:{protocols: {grpc: {}}}", &settings);
    assert_true(settings.protocols.has_grpc);
    assert_false(settings.protocols.has_http);
    assert_true(bytes_equal_text(settings.protocols.grpc.endpoint, "localhost:4317"));
    unbind();
}

static void values_are_taken_in_their_units(void **state)
{
    (void)state;
    struct otlp_config settings;
    bind("yaml:{protocols: {grpc: {endpoint: '0.0.0.0:1', max_recv_msg_size_mib: 7, keepalive: "
         "{server_parameters: {max_connection_age: 90s}}, tls: {cert_file: c, key_file: k, "
         "min_version: '1.3'}}, http: {read_timeout: 2m, max_request_body_size: 1000, "
         "transport: tcp4, keep_alives_enabled: false}}}", &settings);
    assert_string_equal(buffer_text(&errors), "");
    assert_int_equal(settings.protocols.grpc.max_recv_msg_size_mib, 7);
    assert_int_equal(settings.protocols.grpc.keepalive.server_parameters.max_connection_age_ns,
                     INT64_C(90000000000));
    assert_true(settings.protocols.grpc.has_tls);
    assert_int_equal(settings.protocols.grpc.tls.min_version, OTLP_TLS_13);
    assert_int_equal(settings.protocols.http.read_timeout_ns, INT64_C(120000000000));
    assert_int_equal(settings.protocols.http.max_request_body_size, 1000);
    assert_int_equal(settings.protocols.http.transport, OTLP_TRANSPORT_TCP4);
    assert_false(settings.protocols.http.keep_alives_enabled);
    unbind();
}

static void keys_without_effect_are_warned_about(void **state)
{
    (void)state;
    struct otlp_config settings;
    bind("yaml:{protocols: {http: {response_headers: {a: b}}}}", &settings);
    assert_string_equal(buffer_text(&errors), "");
    assert_non_null(strstr(buffer_text(&warnings), "response_headers"));
    unbind();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_errors_are_named),
        cmocka_unit_test(absent_protocols_are_off_and_empty_ones_have_defaults),
        cmocka_unit_test(values_are_taken_in_their_units),
        cmocka_unit_test(keys_without_effect_are_warned_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
