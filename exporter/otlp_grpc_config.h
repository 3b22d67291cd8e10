// SPDX-License-Identifier: Apache-2.0
// The keys of the exporter otlp_grpc: the Collector's (config/configgrpc). Start and reload only.
#pragma once

#include "base/authenticator_config.h"
#include "base/tls_client.h"
#include "exporter/delivery.h"
#include "exporter/queue.h"

enum grpc_compression {
    COMPRESSION_GZIP,
    COMPRESSION_NONE,
    COMPRESSION_EMPTY,
    COMPRESSION_ZSTD,
    COMPRESSION_SNAPPY,
};
struct keepalive_config {
    int64_t time_ns, timeout_ns;
    bool permit_without_stream;
};

struct otlp_grpc_config {
    struct bytes endpoint;
    int compression;
    int balancer;
    struct option_pairs headers;
    struct auth_config auth;
    struct bytes authority;
    struct tls_client_config tls;
    struct keepalive_config keepalive;
    bool keepalive_present;
    int64_t timeout_ns;
    struct retry_config retry;
    struct queue_config queue;
};

extern const char *const grpc_compression_names[];
extern const char *const grpc_balancers[];
extern const struct option otlp_grpc_options[];
