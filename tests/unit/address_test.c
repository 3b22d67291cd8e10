// SPDX-License-Identifier: Apache-2.0
//
// Endpoints: which are host:port, and which sockets they mean.
#include "receiver/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void endpoints_are_split_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *host;
        int port;
    } rows[] = {
        {"localhost:4317", "localhost", 4317}, {"0.0.0.0:0", "0.0.0.0", 0},
        {"[::1]:4318", "::1", 4318},           {":8888", "", 8888},
        {"[::]:65535", "::", 65535},           {"localhost", NULL, 0},
        {"localhost:", NULL, 0},               {"localhost:65536", NULL, 0},
        {"localhost:-1", NULL, 0},             {"localhost:http", NULL, 0},
        {"::1:4317", NULL, 0},                 {"", NULL, 0},
        {"http://localhost:4317", NULL, 0},    {"localhost: 80", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes host;
        uint16_t port;
        bool is_good = address_split(bytes_from_text(rows[i].endpoint), &host, &port);
        assert_int_equal(is_good, rows[i].host != NULL);
        if (is_good) {
            assert_true(bytes_equal_text(host, rows[i].host));
            assert_int_equal(port, rows[i].port);
        }
    }
}

static void endpoints_mean_these_sockets(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        int family;
        const char *first, *second;
    } rows[] = {
        {"localhost:4317", AF_UNSPEC, "127.0.0.1:4317", "[::1]:4317"},
        {"localhost:4317", AF_INET, "127.0.0.1:4317", NULL},
        {"localhost:4317", AF_INET6, "[::1]:4317", NULL},
        {":80", AF_UNSPEC, "[::]:80", NULL},
        {":80", AF_INET, "0.0.0.0:80", NULL},
        {"0.0.0.0:80", AF_UNSPEC, "0.0.0.0:80", NULL},
        {"[::1]:80", AF_UNSPEC, "[::1]:80", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address addresses[ADDRESSES_MAX];
        unsigned count;
        char why[128], text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_resolve(bytes_from_text(rows[i].endpoint), rows[i].family,
                                         addresses, &count, why, sizeof why), RESULT_OK);
        assert_int_equal(count, rows[i].second ? 2 : 1);
        address_print(&addresses[0].storage, text);
        assert_string_equal(text, rows[i].first);
        if (rows[i].second) {
            address_print(&addresses[1].storage, text);
            assert_string_equal(text, rows[i].second);
            assert_true(addresses[1].is_optional);
        }
    }
}

static void what_is_no_endpoint_is_named(void **state)
{
    (void)state;
    struct address addresses[ADDRESSES_MAX];
    unsigned count;
    char why[128];
    assert_int_equal(address_resolve(BYTES_LITERAL("nowhere"), AF_UNSPEC, addresses, &count, why,
                                     sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "nowhere"));
    assert_int_equal(address_resolve(BYTES_LITERAL("256.0.0.1.invalid:1"), AF_UNSPEC, addresses,
                                     &count, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "cannot resolve"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_split_or_refused),
        cmocka_unit_test(endpoints_mean_these_sockets),
        cmocka_unit_test(what_is_no_endpoint_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
