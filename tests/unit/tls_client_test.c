// SPDX-License-Identifier: Apache-2.0
/*
 * TLS client material: what loads, and the sentence for each thing that does not.
 */
#include "base/tls_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/certificate.h"

static struct certificate first, second;

static int make_certificates(void **state)
{
    (void)state;
    certificate_make_for("first.test", &first);
    certificate_make_for("second.test", &second);
    return 0;
}

static void assert_fails(const struct tls_client_config *config, const char *sentence)
{
    struct tls_client_material material;
    char why[256] = "";
    assert_int_equal(tls_client_load(config, &material, why, sizeof why), RESULT_FAIL);
    assert_string_equal(why, sentence);
    assert_null(material.key.ptr);
}

static void nothing_configured_is_nothing_loaded(void **state)
{
    (void)state;
    struct tls_client_material material;
    char why[64] = "";
    assert_int_equal(tls_client_load(&(struct tls_client_config){0}, &material, why, sizeof why),
                     RESULT_OK);
    assert_int_equal(material.ca.len + material.cert.len + material.key.len, 0);
    tls_client_material_fini(&material);
    tls_client_material_fini(&material);
}

static void texts_and_files_are_loaded(void **state)
{
    (void)state;
    char path[] = "/tmp/sj_tls_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, first.key, strlen(first.key)), strlen(first.key));
    close(fd);
    char both[sizeof first.cert * 2 + 64];
    snprintf(both, sizeof both, "# a comment\n%s%s", first.cert, second.cert);
    const struct tls_client_config config = {.ca_pem = bytes_from_text(both),
                                             .cert_pem = bytes_from_text(first.cert),
                                             .key_file = bytes_from_text(path),
                                             .min_version = BYTES_LITERAL("1.3")};
    struct tls_client_material material;
    char why[256] = "";
    assert_int_equal(tls_client_load(&config, &material, why, sizeof why), RESULT_OK);
    assert_true(bytes_equal_text(buffer_view(&material.key), first.key));
    assert_true(bytes_equal_text(buffer_view(&material.ca), both));
    tls_client_material_fini(&material);
    unlink(path);
}

static void missing_and_empty_files_are_named(void **state)
{
    (void)state;
    assert_fails(&(struct tls_client_config){.ca_file = BYTES_LITERAL("/nonexistent/ca.pem")},
                 "/nonexistent/ca.pem: no such file");
    assert_fails(&(struct tls_client_config){.cert_file = BYTES_LITERAL("/dev/null")},
                 "/dev/null: the file is empty");
}

static void text_that_is_no_pem_is_refused(void **state)
{
    (void)state;
    struct bytes pem = bytes_from_text(first.cert);
    struct bytes key = bytes_from_text(first.key);
    struct bytes junk = BYTES_LITERAL("junk");
    assert_fails(&(struct tls_client_config){.ca_pem = junk}, "ca: not a PEM certificate");
    assert_fails(&(struct tls_client_config){.ca_pem = key}, "ca: not a PEM certificate");
    assert_fails(&(struct tls_client_config){.ca_pem = bytes_slice(pem, 0, pem.len / 2)},
                 "ca: not a PEM certificate");
    assert_fails(&(struct tls_client_config){.cert_pem = junk, .key_pem = key},
                 "cert: not a PEM certificate");
    assert_fails(&(struct tls_client_config){.cert_pem = pem, .key_pem = junk},
                 "key: not an unencrypted PEM private key");
}

static void a_broken_certificate_behind_a_sound_one_is_refused(void **state)
{
    (void)state;
    char both[sizeof first.cert * 2 + 64];
    snprintf(both, sizeof both, "%s%.200s\n-----END CERTIFICATE-----\n", first.cert, second.cert);
    assert_fails(&(struct tls_client_config){.ca_pem = bytes_from_text(both)},
                 "ca: not a PEM certificate");
}

static void key_and_certificate_must_belong_together(void **state)
{
    (void)state;
    struct bytes pem = bytes_from_text(first.cert);
    assert_fails(&(struct tls_client_config){.cert_pem = pem},
                 "tls: certificate and key must both be given, or neither");
    assert_fails(&(struct tls_client_config){.key_pem = bytes_from_text(first.key)},
                 "tls: certificate and key must both be given, or neither");
    assert_fails(
        &(struct tls_client_config){.cert_pem = pem, .key_pem = bytes_from_text(second.key)},
        "tls: the key does not belong to the certificate");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    assert_fails(
        &(struct tls_client_config){.ca_file = BYTES_LITERAL("/a"), .ca_pem = BYTES_LITERAL("b")},
        "ca_file and ca_pem exclude each other");
    assert_fails(&(struct tls_client_config){.min_version = BYTES_LITERAL("1.0")},
                 "min_version: must be \"1.2\" or \"1.3\"");
}

static void encrypted_keys_ask_nobody(void **state)
{
    (void)state;
    static const char encrypted[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                                    "Proc-Type: 4,ENCRYPTED\n"
                                    "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                                    "AAAAAAAAAAAAAAAAAAAAAA==\n"
                                    "-----END RSA PRIVATE KEY-----\n";
    assert_fails(&(struct tls_client_config){.cert_pem = bytes_from_text(first.cert),
                                             .key_pem = bytes_from_text(encrypted)},
                 "key: not an unencrypted PEM private key");
}

static void put(const char *path, const char *text)
{
    char beside[128];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, path), 0);
}

static uint64_t generation_at(struct tls_client_watch *watch, uint64_t now_ns)
{
    struct tls_client_current *current = tls_client_watch_take(watch, now_ns);
    uint64_t generation = current->generation;
    tls_client_current_release(&current);
    return generation;
}

static void files_are_taken_again_when_they_changed_and_fit_together(void **state)
{
    (void)state;
    char folder[] = "/tmp/sj_tls_XXXXXX", cert[64], key[64], why[256];
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof cert, "%s/cert", folder);
    snprintf(key, sizeof key, "%s/key", folder);
    put(cert, first.cert);
    put(key, first.key);
    struct tls_client_config config = {.cert_file = bytes_from_text(cert),
                                       .key_file = bytes_from_text(key),
                                       .reload_interval_ns = 10};
    struct tls_client_watch *watch = NULL;
    assert_int_equal(tls_client_watch_open(&config, &watch, why, sizeof why), RESULT_OK);
    assert_int_equal(generation_at(watch, 100), 1);
    struct tls_client_current *old = tls_client_watch_take(watch, 101);
    put(cert, second.cert);                          // its key is not there yet
    assert_int_equal(generation_at(watch, 105), 1);  // not looked at
    assert_int_equal(generation_at(watch, 200), 1);
    put(key, second.key);
    assert_int_equal(generation_at(watch, 300), 2);
    assert_int_equal(generation_at(watch, 400), 2);
    put(key, "no key");
    assert_int_equal(generation_at(watch, 500), 2);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(generation_at(watch, 600), 2);
    struct tls_client_current *now = tls_client_watch_take(watch, 601);
    assert_string_equal(buffer_text(&old->material.cert), first.cert);
    assert_string_equal(buffer_text(&now->material.cert), second.cert);
    tls_client_watch_close(&watch);
    assert_string_equal(buffer_text(&now->material.key), second.key);
    tls_client_current_release(&old);
    tls_client_current_release(&now);
    tls_client_current_release(&now);
    unlink(cert);
    rmdir(folder);
}

static void without_an_interval_files_are_read_once(void **state)
{
    (void)state;
    char path[] = "/tmp/sj_tls_XXXXXX", why[256];
    close(mkstemp(path));
    put(path, first.cert);
    struct tls_client_config config = {.ca_file = bytes_from_text(path)};
    struct tls_client_watch *watch = NULL;
    assert_int_equal(tls_client_watch_open(&config, &watch, why, sizeof why), RESULT_OK);
    put(path, second.cert);
    assert_int_equal(generation_at(watch, UINT64_MAX / 2), 1);
    tls_client_watch_close(&watch);
    unlink(path);
}

static void versions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_fails(&(struct tls_client_config){.max_version = BYTES_LITERAL("1.4")},
                 "max_version: must be \"1.2\" or \"1.3\"");
    assert_fails(&(struct tls_client_config){.min_version = BYTES_LITERAL("1.3"),
                                             .max_version = BYTES_LITERAL("1.2")},
                 "min_version: is above max_version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_configured_is_nothing_loaded),
        cmocka_unit_test(texts_and_files_are_loaded),
        cmocka_unit_test(missing_and_empty_files_are_named),
        cmocka_unit_test(text_that_is_no_pem_is_refused),
        cmocka_unit_test(a_broken_certificate_behind_a_sound_one_is_refused),
        cmocka_unit_test(key_and_certificate_must_belong_together),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(encrypted_keys_ask_nobody),
        cmocka_unit_test(files_are_taken_again_when_they_changed_and_fit_together),
        cmocka_unit_test(without_an_interval_files_are_read_once),
        cmocka_unit_test(versions_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
