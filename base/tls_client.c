// SPDX-License-Identifier: Apache-2.0
//
// Reading and checking of TLS client material. Everything becomes PEM text in memory: libraries
// that are given paths read them again at each handshake, and report a mistake long after start.
//
// OpenSSL parses for the check only; whoever connects parses again in its own context. Encrypted
// keys are refused, since asking for a passphrase would block the start on a terminal.
// Bounds: TLS_MATERIAL_BYTES_MAX for each part. Start and reload only.
#include "base/tls_client.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/file.h"

#define ROW(name, type, sentence)                                                                  \
    {                                                                                              \
        .key = #name, .kind = (type), .offset = offsetof(struct tls_client_config, name),          \
        .doc = (sentence)                                                                          \
    }
#define ROW_IGNORED(name)                                                                          \
    {                                                                                              \
        .key = (name), .kind = OPTION_NODE, .flags = OPTION_F_IGNORED                              \
    }

const struct option tls_client_options[] = {
    ROW(insecure, OPTION_BOOL, "Plain text instead of TLS; a URL's scheme wins."),
    ROW(insecure_skip_verify, OPTION_BOOL, "Accept any server certificate."),
    ROW(server_name_override, OPTION_TEXT, "Name to ask for and to verify, if not the host's."),
    ROW(ca_file, OPTION_TEXT, "PEM file of the authorities to trust instead of the system's."),
    ROW(ca_pem, OPTION_TEXT, "The same as PEM text."),
    ROW(cert_file, OPTION_TEXT, "PEM file of the client's certificate (mTLS)."),
    ROW(cert_pem, OPTION_TEXT, "The same as PEM text."),
    ROW(key_file, OPTION_TEXT, "PEM file of the client's private key."),
    ROW(key_pem, OPTION_SECRET, "The same as PEM text."),
    {.key = "min_version",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct tls_client_config, min_version),
     .fallback = "1.2",
     .doc = "Lowest TLS version: 1.2 or 1.3."},
    ROW_IGNORED("max_version"),
    ROW_IGNORED("include_system_ca_certs_pool"),
    ROW_IGNORED("reload_interval"),
    ROW_IGNORED("cipher_suites"),
    ROW_IGNORED("curve_preferences"),
    {0},
};

static enum result fail(char *why, size_t why_len, const char *what, const char *reason)
{
    snprintf(why, why_len, "%s: %s", what, reason);
    return RESULT_FAIL;
}

// One part: from its file, from its text, or nothing.
static enum result load_part(struct bytes file, struct bytes pem, const char *name,
                             struct buffer *out, char *why, size_t why_len)
{
    buffer_init(out, TLS_MATERIAL_BYTES_MAX);
    if (file.len > 0 && pem.len > 0) {
        snprintf(why, why_len, "%s_file and %s_pem exclude each other", name, name);
        return RESULT_FAIL;
    }
    buffer_append_bytes(out, pem);
    if (file.len == 0) {
        return buffer_status(out) == RESULT_OK ? RESULT_OK : fail(why, why_len, name, "too large");
    }
    char path[4096];
    snprintf(path, sizeof path, "%.*s", BYTES_PRINTF(file));
    switch (file_read(path, out)) {
    case RESULT_OK:
        return out->len > 0 ? RESULT_OK : fail(why, why_len, path, "the file is empty");
    case RESULT_MISSING:
        return fail(why, why_len, path, "no such file");
    case RESULT_TOO_LARGE:
        return fail(why, why_len, path, "larger than 1 MiB");
    default:
        return fail(why, why_len, path, "the file cannot be read");
    }
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static BIO *open_pem(const struct buffer *pem)
{
    return BIO_new_mem_buf(pem->ptr, (int)pem->len);
}

// The first certificate; every further one must parse too. NULL: none, or malformed.
static X509 *parse_certificates(const struct buffer *pem)
{
    BIO *bio = open_pem(pem);
    X509 *first = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    bool sound = first != NULL;
    while (sound) {
        ERR_clear_error();
        X509 *next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (next == NULL) {
            sound = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        X509_free(next);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (!sound) {
        X509_free(first);
        return NULL;
    }
    return first;
}

static EVP_PKEY *parse_key(const struct buffer *pem)
{
    BIO *bio = open_pem(pem);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    ERR_clear_error();
    BIO_free(bio);
    return key;
}

static enum result check_pair(const struct tls_client_material *material, char *why, size_t why_len)
{
    if (material->cert.len == 0 && material->key.len == 0) {
        return RESULT_OK;
    }
    if (material->cert.len == 0 || material->key.len == 0) {
        return fail(why, why_len, "tls", "certificate and key must both be given, or neither");
    }
    X509 *certificate = parse_certificates(&material->cert);
    EVP_PKEY *key = parse_key(&material->key);
    enum result result = RESULT_OK;
    if (certificate == NULL) {
        result = fail(why, why_len, "cert", "not a PEM certificate");
    } else if (key == NULL) {
        result = fail(why, why_len, "key", "not an unencrypted PEM private key");
    } else if (X509_check_private_key(certificate, key) != 1) {
        result = fail(why, why_len, "tls", "the key does not belong to the certificate");
    }
    ERR_clear_error();
    X509_free(certificate);
    EVP_PKEY_free(key);
    return result;
}

static enum result check_ca(const struct tls_client_material *material, char *why, size_t why_len)
{
    if (material->ca.len == 0) {
        return RESULT_OK;
    }
    X509 *certificate = parse_certificates(&material->ca);
    if (certificate == NULL) {
        return fail(why, why_len, "ca", "not a PEM certificate");
    }
    X509_free(certificate);
    return RESULT_OK;
}

enum result tls_client_load(const struct tls_client_config *config,
                            struct tls_client_material *material, char *why, size_t why_len)
{
    *material = (struct tls_client_material){0};
    struct bytes version = config->min_version;
    enum result result = RESULT_OK;
    if (version.len > 0 && !bytes_equal_text(version, "1.2") && !bytes_equal_text(version, "1.3")) {
        result = fail(why, why_len, "min_version", "must be \"1.2\" or \"1.3\"");
    }
    if (result == RESULT_OK) {
        result = load_part(config->ca_file, config->ca_pem, "ca", &material->ca, why, why_len);
    }
    if (result == RESULT_OK) {
        result =
            load_part(config->cert_file, config->cert_pem, "cert", &material->cert, why, why_len);
    }
    if (result == RESULT_OK) {
        result = load_part(config->key_file, config->key_pem, "key", &material->key, why, why_len);
    }
    if (result == RESULT_OK) {
        result = check_ca(material, why, why_len);
    }
    if (result == RESULT_OK) {
        result = check_pair(material, why, why_len);
    }
    if (result != RESULT_OK) {
        tls_client_material_fini(material);
    }
    return result;
}

void tls_client_material_fini(struct tls_client_material *material)
{
    if (material->key.ptr != NULL) {
        OPENSSL_cleanse(material->key.ptr, material->key.capacity);
    }
    buffer_fini(&material->ca);
    buffer_fini(&material->cert);
    buffer_fini(&material->key);
}
