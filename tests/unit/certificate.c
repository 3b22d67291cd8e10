// SPDX-License-Identifier: Apache-2.0
/*
 * Self-signed certificates by OpenSSL. They are their own authority, so one text serves as the
 * server's certificate and as the client's list of authorities.
 */
#include "tests/unit/certificate.h"

#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void take_text(BIO *bio, char *out, size_t size)
{
    int len = BIO_read(bio, out, (int)size - 1);
    CHECK(len > 0 && (size_t)len < size - 1);
    out[len] = '\0';
    BIO_free(bio);
}

void certificate_make(const char *name, struct certificate *certificate)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    CHECK(key != NULL && x509 != NULL);
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
    X509_set_pubkey(x509, key);
    X509_NAME *subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, subject);
    char names[256];
    snprintf(names, sizeof names, "DNS:%s", name);
    add_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x509, NID_subject_alt_name, names);
    CHECK(X509_sign(x509, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, x509) == 1);
    take_text(bio, certificate->pem, sizeof certificate->pem);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    take_text(bio, certificate->key_pem, sizeof certificate->key_pem);
    X509_free(x509);
    EVP_PKEY_free(key);
}
