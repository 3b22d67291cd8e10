// SPDX-License-Identifier: Apache-2.0
// The otlp receiver's configuration: the Collector's keys (receiver/otlpreceiver,
// config/configgrpc, confighttp, configtls) as structs and option rows. Start and reload only.
#pragma once

#include "base/authenticator_config.h"
#include "receiver/cors.h"

enum otlp_transport {
    OTLP_TRANSPORT_TCP,
    OTLP_TRANSPORT_TCP4,
    OTLP_TRANSPORT_TCP6,
    OTLP_TRANSPORT_UNIX,
};
enum otlp_tls_version { OTLP_TLS_DEFAULT, OTLP_TLS_12, OTLP_TLS_13 };

struct otlp_tls_config {
    struct bytes cert_file, cert_pem;
    struct bytes key_file, key_pem;
    struct bytes client_ca_file;
    int min_version, max_version;     // enum otlp_tls_version
    int64_t reload_interval_ns;       // 0: never
    bool client_ca_file_reload;       // the client CAs also when reload_interval is 0: each minute
    struct option_texts cipher_suites, curve_preferences;
    const struct config_node *unused;
};

struct otlp_keepalive_config {        // keepalive.server_parameters; 0: the default
    int64_t max_connection_idle_ns;
    int64_t max_connection_age_ns, max_connection_age_grace_ns;
    int64_t time_ns, timeout_ns;
    const struct config_node *unused;
};

struct otlp_grpc_config {
    struct bytes endpoint;
    bool has_tls;
    int transport;                    // enum otlp_transport
    struct otlp_tls_config tls;
    int64_t max_recv_msg_size_mib;    // 0: 20
    int64_t max_concurrent_streams;   // 0: 100
    struct {
        struct otlp_keepalive_config server_parameters;
        const struct config_node *unused;
    } keepalive;
    bool include_metadata;
    struct auth_config auth;
    struct bytes socket_permissions;  // octal
    const struct config_node *unused;
};

struct otlp_http_config {
    struct bytes endpoint;
    bool has_tls;
    int transport;
    struct otlp_tls_config tls;
    int64_t max_request_body_size;    // bytes; 0: 20 MiB
    int64_t read_timeout_ns, read_header_timeout_ns;  // 0: default
    int64_t write_timeout_ns, idle_timeout_ns;        // 0: default
    bool keep_alives_enabled;
    struct cors_config cors;
    struct bytes traces_url_path, metrics_url_path, logs_url_path;
    bool include_metadata;
    struct auth_config auth;
    struct bytes socket_permissions;  // octal
    const struct config_node *unused;
};

struct otlp_config {
    struct {
        struct otlp_grpc_config grpc;
        struct otlp_http_config http;
        bool has_grpc, has_http;
    } protocols;
};

extern const struct option otlp_options[];
// What rows cannot say: at least one protocol, endpoints, certificates that come in pairs.
void otlp_config_validate(const void *config, const struct config_node *node, const char *path,
                          struct option_errors *errors);
// "0660" as a mode; false: not one.
bool otlp_config_permissions(struct bytes text, unsigned *permissions);
