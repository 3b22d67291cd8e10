// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL's server side behind six functions. Certificates and keys are always parsed from memory
// (files are read first), so that PEM in the configuration and PEM in a file go the same way.
// Renegotiation is off, record buffers are released between uses (an idle connection costs less),
// and partial writes from a moving buffer are allowed, because the connection's output buffer
// moves. Refused: memory BIOs, which copy every record twice. Bounds: files of 1 MiB. One thread.
#include "receiver/tls_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"

#define TLS_FILES     3
#define PEM_BYTES_MAX ((size_t)1 << 20)

struct tls_server {
    struct tls_server_config config;
    SSL_CTX *context;
    struct file_stamp stamps[TLS_FILES];  // of cert_file, key_file, client_ca_file
};

struct tls_stream {
    SSL *ssl;
};

static enum result fail(char *why, size_t why_len, const char *what, struct bytes file)
{
    char reason[128] = "";
    unsigned long code = ERR_peek_last_error();
    if (code != 0) {
        ERR_error_string_n(code, reason, sizeof reason);
    }
    ERR_clear_error();
    snprintf(why, why_len, "%s%s%.*s%s%s", what, file.len > 0 ? " " : "", BYTES_PRINTF(file),
             reason[0] ? ": " : "", reason);
    return RESULT_FAIL;
}

// The PEM text itself or the file's; a BIO over `storage`. NULL when the file cannot be read.
static BIO *open_pem(struct bytes pem, struct bytes file, struct buffer *storage)
{
    buffer_init(storage, PEM_BYTES_MAX);
    if (pem.len > 0) {
        buffer_append_bytes(storage, pem);
    } else if (file_read((const char *)file.ptr, storage) != RESULT_OK) {
        return NULL;
    }
    return buffer_status(storage) == RESULT_OK ? BIO_new_mem_buf(storage->ptr, (int)storage->len)
                                               : NULL;
}

// Leaf first, then the chain (RFC 8446 4.4.2).
static bool use_certificates(SSL_CTX *context, BIO *bio)
{
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool is_good = leaf && SSL_CTX_use_certificate(context, leaf) == 1;
    X509_free(leaf);
    X509 *link = NULL;
    while (is_good && (link = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        is_good = SSL_CTX_add0_chain_cert(context, link) == 1;
        if (!is_good) {
            X509_free(link);
        }
    }
    if (is_good) {
        ERR_clear_error();  // the end of the file is reported as an error
    }
    return is_good;
}

static bool use_key(SSL_CTX *context, BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    bool is_good = key && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                   SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return is_good;
}

static enum result load_pair(SSL_CTX *context, const struct tls_server_config *config, char *why,
                             size_t why_len)
{
    struct buffer storage;
    BIO *bio = open_pem(config->cert_pem, config->cert_file, &storage);
    bool is_good = bio && use_certificates(context, bio);
    BIO_free(bio);
    buffer_fini(&storage);
    if (!is_good) {
        return fail(why, why_len, "cannot use the TLS certificate", config->cert_file);
    }
    bio = open_pem(config->key_pem, config->key_file, &storage);
    is_good = bio && use_key(context, bio);
    BIO_free(bio);
    buffer_fini(&storage);
    if (!is_good) {
        return fail(why, why_len, "cannot use the TLS key", config->key_file);
    }
    return RESULT_OK;
}

// h2 when the client has it, else http/1.1; a client that offers neither gets an alert (RFC 7301
// 3.2).
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *selected = NULL;
    if (SSL_select_next_proto(&selected, chosen_len, ours, sizeof ours - 1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = selected;
    return SSL_TLSEXT_ERR_OK;
}

static enum result require_clients(SSL_CTX *context, struct bytes file, char *why, size_t why_len)
{
    const char *path = (const char *)file.ptr;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_file(context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(why, why_len, "cannot use client_ca_file", file);
    }
    SSL_CTX_set_client_CA_list(context, names);  // takes
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return RESULT_OK;
}

static enum result make_context(const struct tls_server_config *config, SSL_CTX **made, char *why,
                                size_t why_len)
{
    static const unsigned char session_name[] = "sidejudge";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        return fail(why, why_len, "cannot set TLS up", BYTES_NONE);
    }
    SSL_CTX_set_min_proto_version(context, config->is_min_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, config->is_max_12 ? TLS1_2_VERSION : 0);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(context, session_name, sizeof session_name - 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if ((config->ciphers && config->ciphers[0] &&
         SSL_CTX_set_cipher_list(context, config->ciphers) != 1) ||
        (config->groups && config->groups[0] &&
         SSL_CTX_set1_groups_list(context, config->groups) != 1)) {
        SSL_CTX_free(context);
        return fail(why, why_len, "cannot use cipher_suites or curve_preferences", BYTES_NONE);
    }
    enum result result = load_pair(context, config, why, why_len);
    if (result == RESULT_OK && config->client_ca_file.len > 0) {
        result = require_clients(context, config->client_ca_file, why, why_len);
    }
    if (result != RESULT_OK) {
        SSL_CTX_free(context);
        return result;
    }
    *made = context;
    return RESULT_OK;
}

static void take_stamps(const struct tls_server_config *config, struct file_stamp stamps[TLS_FILES])
{
    const struct bytes files[TLS_FILES] = {config->cert_file, config->key_file,
                                           config->client_ca_file};
    for (size_t i = 0; i < TLS_FILES; i++) {
        stamps[i] = files[i].len > 0 ? file_stamp_of((const char *)files[i].ptr)
                                     : (struct file_stamp){.exists = false};
    }
}

bool tls_server_is_stale(const struct tls_server *tls)
{
    struct file_stamp now[TLS_FILES];
    take_stamps(&tls->config, now);
    for (size_t i = 0; i < TLS_FILES; i++) {
        if (!file_stamp_equal(&now[i], &tls->stamps[i])) {
            return true;
        }
    }
    return false;
}

enum result tls_server_new(const struct tls_server_config *config, struct tls_server **tls,
                           char *why, size_t why_len)
{
    struct tls_server *made = calloc(1, sizeof *made);
    CHECK(made);
    made->config = *config;
    take_stamps(config, made->stamps);
    enum result result = make_context(config, &made->context, why, why_len);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    *tls = made;
    return RESULT_OK;
}

enum result tls_server_reload(struct tls_server *tls, char *why, size_t why_len)
{
    SSL_CTX *context;
    struct file_stamp stamps[TLS_FILES];
    take_stamps(&tls->config, stamps);  // first: a change in between is seen next time
    enum result result = make_context(&tls->config, &context, why, why_len);
    if (result == RESULT_OK) {
        memcpy(tls->stamps, stamps, sizeof stamps);
        SSL_CTX_free(tls->context);  // open connections hold a reference of their own
        tls->context = context;
    }
    return result;
}

void tls_server_free(struct tls_server **tls)
{
    if (*tls) {
        SSL_CTX_free((*tls)->context);
        free(*tls);
        *tls = NULL;
    }
}

struct tls_stream *tls_stream_new(struct tls_server *tls, int fd)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        return NULL;
    }
    ERR_clear_error();
    stream->ssl = SSL_new(tls->context);
    if (!stream->ssl || SSL_set_fd(stream->ssl, fd) != 1) {
        tls_stream_free(&stream);
        return NULL;
    }
    SSL_set_accept_state(stream->ssl);
    return stream;
}

void tls_stream_free(struct tls_stream **stream)
{
    if (*stream) {
        SSL_free((*stream)->ssl);
        free(*stream);
        *stream = NULL;
    }
}

enum tls_step tls_stream_handshake(struct tls_stream *stream)
{
    ERR_clear_error();
    int outcome = SSL_do_handshake(stream->ssl);
    if (outcome == 1) {
        return TLS_DONE;
    }
    switch (SSL_get_error(stream->ssl, outcome)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    default:
        return TLS_FAILED;
    }
}

bool tls_stream_is_h2(const struct tls_stream *stream)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(stream->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

static ssize_t outcome_of(const struct tls_stream *stream, int outcome)
{
    switch (SSL_get_error(stream->ssl, outcome)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = ECONNRESET;
        return -1;
    }
}

ssize_t tls_stream_read(struct tls_stream *stream, void *out, size_t len)
{
    ERR_clear_error();
    int got = SSL_read(stream->ssl, out, len > INT32_MAX ? INT32_MAX : (int)len);
    return got > 0 ? got : outcome_of(stream, got);
}

ssize_t tls_stream_write(struct tls_stream *stream, const void *ptr, size_t len)
{
    ERR_clear_error();
    int put = SSL_write(stream->ssl, ptr, len > INT32_MAX ? INT32_MAX : (int)len);
    return put > 0 ? put : outcome_of(stream, put);
}

bool tls_stream_has_pending(const struct tls_stream *stream)
{
    return SSL_pending(stream->ssl) > 0;
}

void tls_stream_say_goodbye(struct tls_stream *stream)
{
    ERR_clear_error();
    (void)SSL_shutdown(stream->ssl);
}
