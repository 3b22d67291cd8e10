// SPDX-License-Identifier: Apache-2.0
// TLS for accepted connections, by OpenSSL, without its own I/O loop: the caller calls again when
// the descriptor is ready. ALPN (RFC 7301) offers h2 and http/1.1, in this order. Key material may
// be read again while connections are open; they keep what they began with. The loop's thread.
#pragma once

#include <sys/types.h>

#include "base/bytes.h"
#include "base/result.h"

struct tls_server_config {      // texts NUL-terminated behind, borrowed for the tls_server's life
    struct bytes cert_file, cert_pem;  // chain, leaf first
    struct bytes key_file, key_pem;
    struct bytes client_ca_file;       // not empty: clients must show a certificate from it
    bool is_min_13;                    // refuse TLS 1.2
    bool is_max_12;                    // refuse TLS 1.3
    const char *ciphers, *groups;      // OpenSSL's lists; NULL or empty: its defaults
};

struct tls_server;
struct tls_stream;

// RESULT_FAIL with a sentence.
enum result tls_server_new(const struct tls_server_config *config, struct tls_server **tls,
                           char *why, size_t why_len) MUST_USE;
// Whether a file of the configuration was replaced or rewritten since it was last read.
bool tls_server_is_stale(const struct tls_server *tls);
// Reads certificate, key and client CAs again; on RESULT_FAIL the old ones stay, and it is still
// stale. Sessions of before are not resumed: a client that is no longer trusted must show itself.
enum result tls_server_reload(struct tls_server *tls, char *why, size_t why_len) MUST_USE;
void tls_server_free(struct tls_server **tls);

// NULL: no memory. The descriptor stays the caller's.
struct tls_stream *tls_stream_new(struct tls_server *tls, int fd);
void tls_stream_free(struct tls_stream **stream);
enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED };
enum tls_step tls_stream_handshake(struct tls_stream *stream);
bool tls_stream_is_h2(const struct tls_stream *stream);  // what ALPN agreed on
// As recv and send: bytes, 0 at the end, or -1 with errno (EAGAIN: call again when ready).
ssize_t tls_stream_read(struct tls_stream *stream, void *out, size_t len);
ssize_t tls_stream_write(struct tls_stream *stream, const void *ptr, size_t len);
bool tls_stream_has_pending(const struct tls_stream *stream);  // bytes that epoll does not know of
void tls_stream_say_goodbye(struct tls_stream *stream);        // close_notify, once
