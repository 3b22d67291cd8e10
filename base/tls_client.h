// SPDX-License-Identifier: Apache-2.0
// Client side of TLS as the Collector configures it (configtls): the rows, and the PEM material
// read and checked once, so that a wrong file is one sentence at start and not a failed handshake
// later. Used by HTTP and gRPC clients alike. Start and reload only; one thread.
#pragma once

#include "base/buffer.h"
#include "base/option.h"

#define TLS_MATERIAL_BYTES_MAX ((size_t)1 << 20)  // of each of the three parts

struct tls_client_config {
    bool insecure;              // no TLS, where the URL's scheme does not decide
    bool insecure_skip_verify;  // TLS without checking the server's certificate
    struct bytes server_name_override;
    struct bytes ca_file, ca_pem, cert_file, cert_pem, key_file, key_pem;
    struct bytes min_version;  // "1.2" | "1.3"; empty is "1.2"
    struct bytes max_version;  // the same; empty is no bound
    int64_t reload_interval_ns;
    struct option_texts cipher_suites, curve_preferences;
};
extern const struct option tls_client_options[];  // rows for struct tls_client_config

struct tls_client_material {  // PEM texts; empty where nothing was configured
    struct buffer ca, cert, key;
};

// Reads files, takes PEM texts, checks that they parse and that key and certificate belong
// together. RESULT_FAIL with a sentence in `why` otherwise; nothing is left to release then.
enum result tls_client_load(const struct tls_client_config *config,
                            struct tls_client_material *material, char *why,
                            size_t why_len) MUST_USE;
void tls_client_material_fini(struct tls_client_material *material);  // wipes the key

// The material with its renewal: files are looked at once in reload_interval, when somebody asks;
// what cannot be read or does not fit together leaves the old material in force, is counted and
// logged. One thread.
struct tls_client_watch;
struct tls_client_current {  // what is in force; immutable, counted
    struct tls_client_material material;
    uint64_t generation;                    // another number after each change
    const struct buffer *ciphers, *groups;  // OpenSSL's lists, NUL behind; empty: its defaults
    unsigned refs;
};

// As tls_client_load. Copies the configuration.
enum result tls_client_watch_open(const struct tls_client_config *config,
                                  struct tls_client_watch **watch, char *why,
                                  size_t why_len) MUST_USE;
void tls_client_watch_close(struct tls_client_watch **watch);
// A reference to what is in force at `now_ns` (monotonic). Its lists live as long as the watch.
struct tls_client_current *tls_client_watch_take(struct tls_client_watch *watch, uint64_t now_ns);
void tls_client_current_release(struct tls_client_current **current);  // accepts NULL inside
