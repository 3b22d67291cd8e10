// SPDX-License-Identifier: Apache-2.0
//
// Names of suites and groups: what is translated, what is passed over, what is refused by name.
#include "base/tls_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct buffer out;

static enum result ciphers(struct bytes *names, size_t count, struct bytes *unknown)
{
    buffer_init(&out, 1 << 12);
    return tls_policy_ciphers(&(struct option_texts){names, count}, &out, unknown);
}

static void standard_names_become_openssls(void **state)
{
    (void)state;
    struct bytes unknown;
    struct bytes names[] = {BYTES_LITERAL("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
                            BYTES_LITERAL("TLS_AES_256_GCM_SHA384"),
                            BYTES_LITERAL("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")};
    assert_int_equal(ciphers(names, 3, &unknown), RESULT_OK);
    assert_string_equal(buffer_text(&out),
                        "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305");
    buffer_fini(&out);
    struct bytes groups[] = {BYTES_LITERAL("x25519"), BYTES_LITERAL("P384")};
    buffer_init(&out, 1 << 12);
    assert_int_equal(tls_policy_groups(&(struct option_texts){groups, 2}, &out, &unknown),
                     RESULT_OK);
    assert_string_equal(buffer_text(&out), "X25519:P-384");
    buffer_fini(&out);
}

static void unknown_names_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "RC4", "ECDHE-RSA-AES128-GCM-SHA256",
                                      "TLS_", "ALL", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:ALL"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bytes unknown = BYTES_NONE, name = bytes_from_text(bad[i]);
        assert_int_equal(ciphers(&name, 1, &unknown), RESULT_REJECT);
        assert_true(bytes_equal(unknown, name));
        buffer_fini(&out);
        buffer_init(&out, 1 << 12);
        assert_int_equal(tls_policy_groups(&(struct option_texts){&name, 1}, &out, &unknown),
                         RESULT_REJECT);
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_names_become_openssls),
        cmocka_unit_test(unknown_names_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
