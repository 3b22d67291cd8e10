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
