// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates for the tests of TLS, by OpenSSL's own functions. Made anew in each run: a kept one
 * would expire, and a key in a repository is found by every scanner of secrets. The subject is its
 * own issuer, so it can also serve as the CA of a client certificate.
 */
#include "tests/unit/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static void take(BIO *bio, char *out, size_t room)
{
    int len = BIO_read(bio, out, (int)room - 1);
    assert_true(len > 0);
    out[len] = '\0';
}

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

void certificate_make(struct certificate *certificate)
{
    certificate_make_for("localhost", certificate);
}

// Valid for two hours, until `until_s` from now.
static void make(const char *host, long until_s, struct certificate *certificate)
{
    char names[128];
    snprintf(names, sizeof names, "DNS:%s", host);
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(pair && x509 && bio);
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), until_s - 7200);
    X509_gmtime_adj(X509_getm_notAfter(x509), until_s);
    X509_set_pubkey(x509, pair);
    X509_NAME *name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(x509, name);
    add_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x509, NID_subject_alt_name, names);
    assert_true(X509_sign(x509, pair, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x509), 1);
    take(bio, certificate->cert, sizeof certificate->cert);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL), 1);
    take(bio, certificate->key, sizeof certificate->key);
    BIO_free(bio);
    X509_free(x509);
    EVP_PKEY_free(pair);
}

void certificate_make_for(const char *host, struct certificate *certificate)
{
    make(host, 3600, certificate);
}

void certificate_make_expired(const char *host, struct certificate *certificate)
{
    make(host, -3600, certificate);
}

void certificate_use(const struct certificate *certificate, SSL_CTX *context)
{
    BIO *bio = BIO_new_mem_buf(certificate->cert, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(certificate->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(SSL_CTX_use_certificate(context, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(x509);
    EVP_PKEY_free(key);
}
