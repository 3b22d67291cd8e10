// SPDX-License-Identifier: Apache-2.0
//
// Key material of the server: what is taken, what is refused with a sentence, and that a reload
// that fails leaves the old one. Handshakes are in otlp_receiver_test.
#include "receiver/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/certificate.h"

static struct certificate one, other;

static int set_up(void **state)
{
    (void)state;
    certificate_make(&one);
    certificate_make(&other);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void pem_text_is_taken(void **state)
{
    (void)state;
    char why[256];
    struct tls_server *tls = NULL;
    struct tls_server_config config = {.cert_pem = bytes_from_text(one.cert),
                                       .key_pem = bytes_from_text(one.key),
                                       .is_min_13 = true};
    assert_int_equal(tls_server_new(&config, &tls, why, sizeof why), RESULT_OK);
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_OK);
    tls_server_free(&tls);
    assert_null(tls);
    tls_server_free(&tls);
}

static void unusable_material_is_named(void **state)
{
    (void)state;
    const struct {
        struct tls_server_config config;
        const char *why;
    } rows[] = {
        {{.cert_file = BYTES_LITERAL("/nonexistent/cert"), .key_pem = bytes_from_text(one.key)},
         "cannot use the TLS certificate /nonexistent/cert"},
        {{.cert_pem = bytes_from_text(one.cert), .key_file = BYTES_LITERAL("/nonexistent/key")},
         "cannot use the TLS key /nonexistent/key"},
        {{.cert_pem = BYTES_LITERAL("not PEM"), .key_pem = bytes_from_text(one.key)},
         "cannot use the TLS certificate"},
        {{.cert_pem = bytes_from_text(one.cert), .key_pem = bytes_from_text(other.key)},
         "cannot use the TLS key"},
        {{.cert_pem = bytes_from_text(one.cert), .key_pem = bytes_from_text(one.cert)},
         "cannot use the TLS key"},
        {{.cert_pem = bytes_from_text(one.cert), .key_pem = bytes_from_text(one.key),
          .client_ca_file = BYTES_LITERAL("/nonexistent/ca")},
         "cannot use client_ca_file /nonexistent/ca"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[256] = "";
        struct tls_server *tls = NULL;
        assert_int_equal(tls_server_new(&rows[i].config, &tls, why, sizeof why), RESULT_FAIL);
        assert_null(tls);
        assert_non_null(strstr(why, rows[i].why));
    }
}

static void failed_reload_keeps_the_old_certificate(void **state)
{
    (void)state;
    char directory[] = "/tmp/sidejudge-tls-XXXXXX", cert[64], key[64], why[256];
    struct tls_server *tls;
    assert_non_null(mkdtemp(directory));
    snprintf(cert, sizeof cert, "%s/cert", directory);
    snprintf(key, sizeof key, "%s/key", directory);
    write_file(cert, one.cert);
    write_file(key, one.key);
    struct tls_server_config config = {.cert_file = bytes_from_text(cert),
                                       .key_file = bytes_from_text(key)};
    assert_int_equal(tls_server_new(&config, &tls, why, sizeof why), RESULT_OK);
    write_file(cert, other.cert);  // half of a rotation
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_FAIL);
    struct tls_stream *stream = tls_stream_new(tls, 0);
    assert_non_null(stream);
    tls_stream_free(&stream);
    write_file(key, other.key);
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_OK);
    tls_server_free(&tls);
    assert_int_equal(unlink(cert), 0);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void a_changed_file_makes_it_stale_until_it_was_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/tls_server_test.XXXXXX", cert[64], key[64], ca[64], why[256];
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof cert, "%s/cert", folder);
    snprintf(key, sizeof key, "%s/key", folder);
    snprintf(ca, sizeof ca, "%s/ca", folder);
    write_file(cert, one.cert);
    write_file(key, one.key);
    write_file(ca, one.cert);
    struct tls_server *tls = NULL;
    struct tls_server_config config = {.cert_file = bytes_from_text(cert),
                                       .key_file = bytes_from_text(key),
                                       .client_ca_file = bytes_from_text(ca),
                                       .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
                                       .groups = "X25519:P-256"};
    assert_int_equal(tls_server_new(&config, &tls, why, sizeof why), RESULT_OK);
    assert_false(tls_server_is_stale(tls));
    unlink(ca);
    assert_true(tls_server_is_stale(tls));
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "client_ca_file"));
    assert_true(tls_server_is_stale(tls));  // it is tried again
    write_file(ca, other.cert);
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_OK);
    assert_false(tls_server_is_stale(tls));
    unlink(cert);
    write_file(cert, other.cert);  // without its key
    assert_true(tls_server_is_stale(tls));
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_FAIL);
    unlink(key);
    write_file(key, other.key);
    assert_int_equal(tls_server_reload(tls, why, sizeof why), RESULT_OK);
    assert_false(tls_server_is_stale(tls));
    tls_server_free(&tls);
    config.ciphers = "NONSENSE";
    assert_int_equal(tls_server_new(&config, &tls, why, sizeof why), RESULT_FAIL);
    assert_non_null(strstr(why, "cipher_suites"));
    unlink(cert);
    unlink(key);
    unlink(ca);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_text_is_taken),
        cmocka_unit_test(a_changed_file_makes_it_stale_until_it_was_read),
        cmocka_unit_test(unusable_material_is_named),
        cmocka_unit_test(failed_reload_keeps_the_old_certificate),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
