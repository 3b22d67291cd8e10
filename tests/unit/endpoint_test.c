// SPDX-License-Identifier: Apache-2.0
// The forms in which people write where a backend is.
#include "exporter/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_form_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host, *port, *path;
    } rows[] = {
        {"localhost:4317", "", "localhost", "4317", ""},
        {"localhost", "", "localhost", "", ""},
        {" localhost:4317 ", "", "localhost", "4317", ""},
        {"http://a.example:4318/v1/traces", "http", "a.example", "4318", "/v1/traces"},
        {"https://a.example/x", "https", "a.example", "", "/x"},
        {"[::1]:4317", "", "::1", "4317", ""},
        {"http://[fe80::1]/", "http", "fe80::1", "", "/"},
        {"dns:///collector.svc:4317", "dns", "collector.svc", "4317", ""},
        {"dns://8.8.8.8/collector:4317", "dns", "collector", "4317", ""},
        {"unix:/run/otlp.sock", "unix", "", "", "/run/otlp.sock"},
        {"unix:///run/otlp.sock", "unix", "", "", "/run/otlp.sock"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct endpoint endpoint;
        assert_true(endpoint_parse(bytes_from_text(rows[i].text), &endpoint));
        assert_true(bytes_equal_text(endpoint.scheme, rows[i].scheme));
        assert_true(bytes_equal_text(endpoint.host, rows[i].host));
        assert_true(bytes_equal_text(endpoint.port, rows[i].port));
        assert_true(bytes_equal_text(endpoint.path, rows[i].path));
    }
}

static void what_has_no_host_or_no_port_number_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",       ":4317",      "http://",      "a:port",
                                       "a:0",    "a:65536",    "a:-1",         "http://:80/x",
                                       "unix:",  "dns:host:1", "dns://host:1", "a:",
                                       "[]:123", "http:///x"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct endpoint endpoint;
        bool is_bad = !endpoint_parse(bytes_from_text(rows[i]), &endpoint);
        // "dns:host:1" reads as host "dns" with a port that is no number.
        if (!is_bad) {
            print_error("%s was taken\n", rows[i]);
        }
        assert_true(is_bad);
    }
}

static void our_listeners_are_known_under_every_loopback_name(void **state)
{
    (void)state;
    const struct bytes own[] = {BYTES_LITERAL("127.0.0.1:4317"), BYTES_LITERAL("0.0.0.0:80"),
                                BYTES_LITERAL("10.0.0.1:4318")};
    const struct component_env env = {.own_addresses = own, .own_address_count = 3};
    static const struct {
        const char *text;
        bool own, loopback;
    } rows[] = {
        {"localhost:4317", true, true},        {"http://[::1]:4317/v1/traces", true, true},
        {"127.8.8.8:4317", true, true},        {"LOCALHOST:4317", true, true},
        {"localhost:4318", false, true},       {"http://localhost/x", true, true},
        {"http://10.0.0.1:4318", true, false}, {"http://10.0.0.2:4318", false, false},
        {"https://localhost", false, true},    {"example.com:4317", false, false},
        {"unix:/run/otlp.sock", false, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct endpoint endpoint;
        assert_true(endpoint_parse(bytes_from_text(rows[i].text), &endpoint));
        assert_int_equal(endpoint_is_own(&endpoint, &env), rows[i].own);
        assert_int_equal(endpoint_is_loopback(&endpoint), rows[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_taken_apart),
        cmocka_unit_test(what_has_no_host_or_no_port_number_is_refused),
        cmocka_unit_test(our_listeners_are_known_under_every_loopback_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
