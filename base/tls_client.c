// SPDX-License-Identifier: Apache-2.0
//
// Reading and checking of TLS client material. Everything becomes PEM text in memory: libraries
// that are given paths read them again at each handshake, and report a mistake long after start.
//
// OpenSSL parses for the check only; whoever connects parses again in its own context. Encrypted
// keys are refused, since asking for a passphrase would block the start on a terminal.
// Renewal goes by what a file looks like from outside (file_stamp), on the thread that is about to
// connect: a look costs three stat calls a minute. Bounds: TLS_MATERIAL_BYTES_MAX for each part.
#include "base/tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/tls_policy.h"

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
    ROW(max_version, OPTION_TEXT, "Highest TLS version: 1.2 or 1.3."),
    {.key = "reload_interval",
     .kind = OPTION_DURATION,
     .fallback = "1m",
     .unit = "s",
     .max = 86400 * 366.0,
     .offset = offsetof(struct tls_client_config, reload_interval_ns),
     .doc = "How often the files are looked at, and taken again when they changed; 0s is never."},
    ROW(cipher_suites, OPTION_TEXTS, "Suites of TLS 1.2 by their standard names; over HTTP."),
    ROW(curve_preferences, OPTION_TEXTS, "X25519, P256, P384, P521; over HTTP."),
    ROW_IGNORED("include_system_ca_certs_pool"),
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

static enum result check_version(struct bytes version, const char *key, char *why, size_t why_len)
{
    if (version.len == 0 || bytes_equal_text(version, "1.2") || bytes_equal_text(version, "1.3")) {
        return RESULT_OK;
    }
    return fail(why, why_len, key, "must be \"1.2\" or \"1.3\"");
}

enum result tls_client_load(const struct tls_client_config *config,
                            struct tls_client_material *material, char *why, size_t why_len)
{
    *material = (struct tls_client_material){0};
    enum result result = check_version(config->min_version, "min_version", why, why_len);
    if (result == RESULT_OK) {
        result = check_version(config->max_version, "max_version", why, why_len);
    }
    if (result == RESULT_OK && bytes_equal_text(config->min_version, "1.3") &&
        bytes_equal_text(config->max_version, "1.2")) {
        result = fail(why, why_len, "min_version", "is above max_version");
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

// ---- renewal

#define FILES 3

static const struct metric_family reload_family = {
    .name = "sidejudge_tls_reloads_total",
    .type = METRIC_COUNTER,
    .help = "Certificates, keys and authorities that were read again after a change, by outcome",
    .labels = {"component", "outcome"}};

struct tls_client_watch {
    struct tls_client_config config;
    struct arena arena;  // what the configuration points into
    struct file_stamp stamps[FILES];
    struct tls_client_current *current;
    struct buffer ciphers, groups;
    uint64_t look_at_ns;
    struct log_episode episode;
};

static void take_stamps(const struct tls_client_config *config, struct file_stamp stamps[FILES])
{
    const struct bytes files[FILES] = {config->ca_file, config->cert_file, config->key_file};
    for (size_t i = 0; i < FILES; i++) {
        stamps[i] = files[i].len > 0 ? file_stamp_of((const char *)files[i].ptr)
                                     : (struct file_stamp){.exists = false};
    }
}

static bool has_files(const struct tls_client_config *config)
{
    return config->ca_file.len + config->cert_file.len + config->key_file.len > 0;
}

// RESULT_FAIL: what is in force stays, and the stamps with it, so that it is tried again.
static enum result watch_load(struct tls_client_watch *watch, char *why, size_t why_len)
{
    struct file_stamp stamps[FILES];
    take_stamps(&watch->config, stamps);  // first: a change in between is seen next time
    struct tls_client_current *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    enum result result = tls_client_load(&watch->config, &made->material, why, why_len);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    memcpy(watch->stamps, stamps, sizeof stamps);
    made->refs = 1;
    made->ciphers = &watch->ciphers;
    made->groups = &watch->groups;
    made->generation = watch->current != NULL ? watch->current->generation + 1 : 1;
    tls_client_current_release(&watch->current);
    watch->current = made;
    return RESULT_OK;
}

static void watch_reload(struct tls_client_watch *watch, uint64_t now_ns)
{
    struct file_stamp stamps[FILES];
    bool is_stale = false;
    take_stamps(&watch->config, stamps);
    for (size_t i = 0; i < FILES; i++) {
        is_stale = is_stale || !file_stamp_equal(&stamps[i], &watch->stamps[i]);
    }
    if (!is_stale) {
        return;
    }
    char why[256] = "";
    bool is_good = watch_load(watch, why, sizeof why) == RESULT_OK;
    metric_add(
        metric_series(&reload_family, (const char *const[]){"client", is_good ? "ok" : "failed"}),
        1);
    if (is_good) {
        log_line(LOG_INFO, "tls", "new TLS files for new connections",
                 LOG_BYTES("cert_file", watch->config.cert_file),
                 LOG_BYTES("ca_file", watch->config.ca_file));
    } else if (log_episode_opens(&watch->episode, now_ns, 600 * NS_PER_S)) {
        log_line(LOG_ERROR, "tls", "cannot read the TLS files again; the old ones stay",
                 LOG_TEXT("error", why));
    }
}

static enum result policy_load(struct tls_client_watch *watch,
                               const struct tls_client_config *config, char *why, size_t why_len)
{
    struct bytes unknown;
    buffer_init(&watch->ciphers, 1 << 16);
    buffer_init(&watch->groups, 1 << 16);
    if (tls_policy_ciphers(&config->cipher_suites, &watch->ciphers, &unknown) != RESULT_OK ||
        tls_policy_groups(&config->curve_preferences, &watch->groups, &unknown) != RESULT_OK) {
        snprintf(why, why_len, "tls: unknown cipher suite or curve \"%.*s\"",
                 BYTES_PRINTF(unknown));
        return RESULT_FAIL;
    }
    (void)buffer_text(&watch->ciphers);
    (void)buffer_text(&watch->groups);
    return RESULT_OK;
}

enum result tls_client_watch_open(const struct tls_client_config *config,
                                  struct tls_client_watch **watch, char *why, size_t why_len)
{
    struct tls_client_watch *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->config = *config;
    arena_init(&made->arena, 4 * TLS_MATERIAL_BYTES_MAX);
    struct bytes *const texts[] = {
        &made->config.ca_file,     &made->config.ca_pem,      &made->config.cert_file,
        &made->config.cert_pem,    &made->config.key_file,    &made->config.key_pem,
        &made->config.min_version, &made->config.max_version,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = texts[i]->len;
        *texts[i] = arena_copy(&made->arena, *texts[i]);
        CHECK(texts[i]->len == len);
    }
    enum result result = policy_load(made, config, why, why_len);
    if (result == RESULT_OK) {
        result = watch_load(made, why, why_len);
    }
    if (result != RESULT_OK) {
        tls_client_watch_close(&made);
        return result;
    }
    *watch = made;
    return RESULT_OK;
}

void tls_client_watch_close(struct tls_client_watch **watch)
{
    struct tls_client_watch *it = *watch;
    *watch = NULL;
    if (it == NULL) {
        return;
    }
    if (it->config.key_pem.len > 0) {
        OPENSSL_cleanse((void *)(uintptr_t)it->config.key_pem.ptr, it->config.key_pem.len);
    }
    tls_client_current_release(&it->current);
    buffer_fini(&it->ciphers);
    buffer_fini(&it->groups);
    arena_fini(&it->arena);
    free(it);
}

struct tls_client_current *tls_client_watch_take(struct tls_client_watch *watch, uint64_t now_ns)
{
    if (watch->config.reload_interval_ns > 0 && has_files(&watch->config) &&
        now_ns >= watch->look_at_ns) {
        watch->look_at_ns = now_ns + (uint64_t)watch->config.reload_interval_ns;
        watch_reload(watch, now_ns);
    }
    watch->current->refs++;
    return watch->current;
}

void tls_client_current_release(struct tls_client_current **current)
{
    struct tls_client_current *it = *current;
    *current = NULL;
    if (it != NULL && --it->refs == 0) {
        tls_client_material_fini(&it->material);
        free(it);
    }
}
