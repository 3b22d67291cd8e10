// SPDX-License-Identifier: Apache-2.0
//
// The rows of the otlp receiver. A key that the Collector has and that means nothing here is a row
// too, marked ignored: a pasted configuration starts, with a warning that says so. What should keep
// strangers out and cannot be done is an error: to take such a key and let them in is worse than
// not to start. Bounds stand in the rows. Start and reload only.
#include "receiver/otlp_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/tls_policy.h"
#include "receiver/address.h"
#include "receiver/unix_socket.h"

static const char *const transports[] = {"tcp", "tcp4", "tcp6", "unix", NULL};
static const char *const tls_versions[] = {"", "1.2", "1.3", NULL};

#define IGNORED(type, name)                                                                        \
    {                                                                                              \
        .key = (name), .kind = OPTION_NODE, .offset = offsetof(type, unused),                      \
        .flags = OPTION_F_IGNORED, .doc = "known to the Collector; without effect here"            \
    }

static const struct option tls_options[] = {
    {.key = "cert_file", .kind = OPTION_TEXT, .offset = offsetof(struct otlp_tls_config, cert_file),
     .doc = "PEM file of the certificate chain, leaf first"},
    {.key = "cert_pem", .kind = OPTION_TEXT, .offset = offsetof(struct otlp_tls_config, cert_pem),
     .doc = "the chain itself, instead of cert_file"},
    {.key = "key_file", .kind = OPTION_TEXT, .offset = offsetof(struct otlp_tls_config, key_file),
     .doc = "PEM file of the private key"},
    {.key = "key_pem", .kind = OPTION_SECRET, .offset = offsetof(struct otlp_tls_config, key_pem),
     .doc = "the key itself, instead of key_file"},
    {.key = "client_ca_file", .kind = OPTION_TEXT,
     .offset = offsetof(struct otlp_tls_config, client_ca_file),
     .doc = "clients must show a certificate that this CA signed"},
    {.key = "min_version", .kind = OPTION_ENUM, .choices = tls_versions,
     .offset = offsetof(struct otlp_tls_config, min_version), .doc = "lowest TLS version; 1.2"},
    {.key = "max_version", .kind = OPTION_ENUM, .choices = tls_versions,
     .offset = offsetof(struct otlp_tls_config, max_version), .doc = "highest TLS version; 1.3"},
    {.key = "reload_interval", .kind = OPTION_DURATION, .fallback = "1m", .max = 86400 * 366.0,
     .offset = offsetof(struct otlp_tls_config, reload_interval_ns), .unit = "s",
     .doc = "how often the files are looked at, and taken again when they changed; 0s is never"},
    {.key = "client_ca_file_reload", .kind = OPTION_BOOL, .fallback = "false",
     .offset = offsetof(struct otlp_tls_config, client_ca_file_reload),
     .doc = "look at the files every minute even if reload_interval is 0s"},
    {.key = "cipher_suites", .kind = OPTION_TEXTS,
     .offset = offsetof(struct otlp_tls_config, cipher_suites),
     .doc = "suites of TLS 1.2 by their standard names; those of 1.3 are always on"},
    {.key = "curve_preferences", .kind = OPTION_TEXTS,
     .offset = offsetof(struct otlp_tls_config, curve_preferences),
     .doc = "X25519, P256, P384, P521; OpenSSL's choice when absent"},
    IGNORED(struct otlp_tls_config, "ca_file"),
    IGNORED(struct otlp_tls_config, "ca_pem"),
    IGNORED(struct otlp_tls_config, "include_system_ca_certs_pool"),
    IGNORED(struct otlp_tls_config, "include_insecure_cipher_suites"),
    IGNORED(struct otlp_tls_config, "tpm"),
    {0},
};

static const struct option server_parameters_options[] = {
    {.key = "max_connection_idle", .kind = OPTION_DURATION, .fallback = "0s",
     .offset = offsetof(struct otlp_keepalive_config, max_connection_idle_ns), .unit = "s",
     .max = 86400 * 366.0, .doc = "a connection without a call is ended after; 0s is 5m"},
    {.key = "max_connection_age", .kind = OPTION_DURATION, .fallback = "0s",
     .offset = offsetof(struct otlp_keepalive_config, max_connection_age_ns), .unit = "s",
     .max = 86400 * 366.0, .doc = "a connection is told to go after; 0s is never"},
    {.key = "max_connection_age_grace", .kind = OPTION_DURATION, .fallback = "0s",
     .offset = offsetof(struct otlp_keepalive_config, max_connection_age_grace_ns), .unit = "s",
     .max = 86400 * 366.0, .doc = "and ended this much later; 0s is when its calls are done"},
    {.key = "time", .kind = OPTION_DURATION, .fallback = "0s",
     .offset = offsetof(struct otlp_keepalive_config, time_ns), .unit = "s",
     .max = 86400 * 366.0, .doc = "silence before the server pings; 0s is 2h"},
    {.key = "timeout", .kind = OPTION_DURATION, .fallback = "0s",
     .offset = offsetof(struct otlp_keepalive_config, timeout_ns), .unit = "s",
     .max = 86400.0, .doc = "silence after the ping that ends the connection; 0s is 20s"},
    {0},
};

#define KEEPALIVE_TYPE __typeof__(((struct otlp_grpc_config *)0)->keepalive)

static const struct option keepalive_options[] = {
    {.key = "server_parameters", .kind = OPTION_GROUP, .rows = server_parameters_options,
     .offset = offsetof(KEEPALIVE_TYPE, server_parameters), .doc = "ages and pings of connections"},
    IGNORED(KEEPALIVE_TYPE, "enforcement_policy"),
    {0},
};

static const struct option grpc_options[] = {
    {.key = "endpoint", .kind = OPTION_TEXT, .fallback = "localhost:4317",
     .offset = offsetof(struct otlp_grpc_config, endpoint), .flags = OPTION_F_NULLABLE,
     .doc = "host:port; every protocol is taken on it"},
    {.key = "transport", .kind = OPTION_ENUM, .fallback = "tcp", .choices = transports,
     .offset = offsetof(struct otlp_grpc_config, transport),
     .doc = "address families, or unix: the endpoint is the path of a socket"},
    {.key = "tls", .kind = OPTION_GROUP, .rows = tls_options,
     .offset = offsetof(struct otlp_grpc_config, tls),
     .present_offset = offsetof(struct otlp_grpc_config, has_tls), .doc = "TLS; absent is plain"},
    {.key = "max_recv_msg_size_mib", .kind = OPTION_INT, .fallback = "0", .max = 2047,
     .offset = offsetof(struct otlp_grpc_config, max_recv_msg_size_mib), .unit = "MiB",
     .doc = "largest message, as sent and decompressed; 0 is 20, never over a quarter of the cap"},
    {.key = "max_concurrent_streams", .kind = OPTION_INT, .fallback = "0", .max = 10000,
     .offset = offsetof(struct otlp_grpc_config, max_concurrent_streams),
     .doc = "calls at a time on one connection; 0 is 100"},
    {.key = "keepalive", .kind = OPTION_GROUP, .rows = keepalive_options,
     .offset = offsetof(struct otlp_grpc_config, keepalive), .doc = "long-lived connections"},
    {.key = "include_metadata", .kind = OPTION_BOOL, .fallback = "false",
     .offset = offsetof(struct otlp_grpc_config, include_metadata),
     .doc = "keep the headers that a headers_setter's from_context names, for the exporters"},
    {.key = "auth", .kind = OPTION_GROUP, .rows = auth_options,
     .offset = offsetof(struct otlp_grpc_config, auth),
     .doc = "who may send to this endpoint, over any protocol"},
    {.key = "socket_permissions", .kind = OPTION_TEXT, .fallback = "0600",
     .offset = offsetof(struct otlp_grpc_config, socket_permissions),
     .doc = "with transport unix: mode of the socket's file"},
    IGNORED(struct otlp_grpc_config, "read_buffer_size"),
    IGNORED(struct otlp_grpc_config, "write_buffer_size"),
    IGNORED(struct otlp_grpc_config, "middlewares"),
    {0},
};

static const struct option http_options[] = {
    {.key = "endpoint", .kind = OPTION_TEXT, .fallback = "localhost:4318",
     .offset = offsetof(struct otlp_http_config, endpoint), .flags = OPTION_F_NULLABLE,
     .doc = "host:port; every protocol is taken on it"},
    {.key = "transport", .kind = OPTION_ENUM, .fallback = "tcp", .choices = transports,
     .offset = offsetof(struct otlp_http_config, transport),
     .doc = "address families, or unix: the endpoint is the path of a socket"},
    {.key = "tls", .kind = OPTION_GROUP, .rows = tls_options,
     .offset = offsetof(struct otlp_http_config, tls),
     .present_offset = offsetof(struct otlp_http_config, has_tls), .doc = "TLS; absent is plain"},
    {.key = "max_request_body_size", .kind = OPTION_SIZE, .fallback = "0", .max = 2146435072.0,
     .offset = offsetof(struct otlp_http_config, max_request_body_size), .unit = "bytes",
     .doc = "largest body, as sent and decompressed; 0 is 20MiB, never over a quarter of the cap"},
    {.key = "read_timeout", .kind = OPTION_DURATION, .fallback = "0s", .unit = "s", .max = 86400,
     .offset = offsetof(struct otlp_http_config, read_timeout_ns),
     .doc = "for a whole request; 0s is none, and 30s without a byte"},
    {.key = "read_header_timeout", .kind = OPTION_DURATION, .fallback = "0s", .unit = "s",
     .max = 86400, .offset = offsetof(struct otlp_http_config, read_header_timeout_ns),
     .doc = "for a request's head; 0s is 10s"},
    {.key = "write_timeout", .kind = OPTION_DURATION, .fallback = "0s", .unit = "s", .max = 86400,
     .offset = offsetof(struct otlp_http_config, write_timeout_ns),
     .doc = "without progress of a reply; 0s is 30s"},
    {.key = "idle_timeout", .kind = OPTION_DURATION, .fallback = "0s", .unit = "s",
     .max = 86400 * 366.0, .offset = offsetof(struct otlp_http_config, idle_timeout_ns),
     .doc = "for a connection without a request; 0s is 5m"},
    {.key = "keep_alives_enabled", .kind = OPTION_BOOL, .fallback = "true",
     .offset = offsetof(struct otlp_http_config, keep_alives_enabled),
     .doc = "false: every HTTP/1.1 reply ends its connection"},
    {.key = "traces_url_path", .kind = OPTION_TEXT, .fallback = "/v1/traces",
     .offset = offsetof(struct otlp_http_config, traces_url_path), .doc = "path of traces"},
    {.key = "metrics_url_path", .kind = OPTION_TEXT, .fallback = "/v1/metrics",
     .offset = offsetof(struct otlp_http_config, metrics_url_path), .doc = "path of metrics"},
    {.key = "logs_url_path", .kind = OPTION_TEXT, .fallback = "/v1/logs",
     .offset = offsetof(struct otlp_http_config, logs_url_path), .doc = "path of logs"},
    {.key = "include_metadata", .kind = OPTION_BOOL, .fallback = "false",
     .offset = offsetof(struct otlp_http_config, include_metadata),
     .doc = "keep the headers that a headers_setter's from_context names, for the exporters"},
    {.key = "auth", .kind = OPTION_GROUP, .rows = auth_options,
     .offset = offsetof(struct otlp_http_config, auth),
     .doc = "who may send to this endpoint, over any protocol"},
    {.key = "socket_permissions", .kind = OPTION_TEXT, .fallback = "0600",
     .offset = offsetof(struct otlp_http_config, socket_permissions),
     .doc = "with transport unix: mode of the socket's file"},
    {.key = "cors", .kind = OPTION_GROUP, .rows = cors_options,
     .offset = offsetof(struct otlp_http_config, cors),
     .doc = "which pages of browsers may send; off without allowed_origins"},
    IGNORED(struct otlp_http_config, "compression_algorithms"),
    IGNORED(struct otlp_http_config, "response_headers"),
    IGNORED(struct otlp_http_config, "middlewares"),
    {0},
};

#define PROTOCOLS_TYPE __typeof__(((struct otlp_config *)0)->protocols)

static const struct option protocols_options[] = {
    {.key = "grpc", .kind = OPTION_GROUP, .rows = grpc_options,
     .offset = offsetof(PROTOCOLS_TYPE, grpc),
     .present_offset = offsetof(PROTOCOLS_TYPE, has_grpc), .flags = OPTION_F_NULLABLE,
     .doc = "the endpoint for gRPC; absent is off, empty is on with defaults"},
    {.key = "http", .kind = OPTION_GROUP, .rows = http_options,
     .offset = offsetof(PROTOCOLS_TYPE, http),
     .present_offset = offsetof(PROTOCOLS_TYPE, has_http), .flags = OPTION_F_NULLABLE,
     .doc = "the endpoint for HTTP; absent is off, empty is on with defaults"},
    {0},
};

const struct option otlp_options[] = {
    {.key = "protocols", .kind = OPTION_GROUP, .rows = protocols_options,
     .offset = offsetof(struct otlp_config, protocols), .flags = OPTION_F_NULLABLE,
     .doc = "what is listened for"},
    {0},
};

struct section {
    const char *name;
    const struct config_node *node;
    const char *path;
    struct option_errors *errors;
};

bool otlp_config_permissions(struct bytes text, unsigned *permissions)
{
    unsigned mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7' || i >= 4) {
            return false;
        }
        mode = mode * 8 + (unsigned)(text.ptr[i] - '0');
    }
    *permissions = mode;
    return text.len >= 3 && mode <= 0777;
}

static void check_endpoint(const struct section *section, int transport, struct bytes endpoint,
                           struct bytes permissions)
{
    struct bytes host;
    uint16_t port;
    unsigned mode;
    if (transport == OTLP_TRANSPORT_UNIX) {
        bool is_path = unix_socket_path_is_valid(endpoint) &&
                       (endpoint.ptr[0] == '/' || endpoint.ptr[0] == '@' ||
                        endpoint.ptr[0] == '.');
        if (!is_path) {
            option_error(section->errors, section->path, section->node,
                         "protocols::%s::endpoint: \"%.*s\" is not the path of a socket (at most "
                         "%d bytes, beginning with / . or @)", section->name,
                         BYTES_PRINTF(endpoint), UNIX_SOCKET_PATH_MAX);
        }
        if (!otlp_config_permissions(permissions, &mode)) {
            option_error(section->errors, section->path, section->node,
                         "protocols::%s::socket_permissions: \"%.*s\" is not a mode such as 0660",
                         section->name, BYTES_PRINTF(permissions));
        }
        return;
    }
    if (!address_split(endpoint, &host, &port)) {
        option_error(section->errors, section->path, section->node,
                     "protocols::%s::endpoint: \"%.*s\" is not host:port", section->name,
                     BYTES_PRINTF(endpoint));
    }
}

// A warning only: the file may be there by the time of the start, or on the machine of the start.
static void check_file(const struct section *section, const char *key, struct bytes path)
{
    const struct config_node *where = config_get(config_get(section->node, "tls"), key);
    if (path.len > 0 && access((const char *)path.ptr, R_OK) != 0) {
        option_warning(section->errors, section->path, where != NULL ? where : section->node,
                       "protocols::%s::tls::%s: %.*s: %s: without it the receiver cannot listen",
                       section->name, key, BYTES_PRINTF(path), strerror(errno));
    }
}

static void check_tls(const struct section *section, const struct otlp_tls_config *tls)
{
    check_file(section, "cert_file", tls->cert_file);
    check_file(section, "key_file", tls->key_file);
    check_file(section, "client_ca_file", tls->client_ca_file);
    bool has_cert = tls->cert_file.len > 0 || tls->cert_pem.len > 0;
    bool has_key = tls->key_file.len > 0 || tls->key_pem.len > 0;
    if (!has_cert || !has_key) {
        option_error(section->errors, section->path, section->node,
                     "protocols::%s::tls: a server needs cert_file (or cert_pem) and key_file "
                     "(or key_pem)", section->name);
    }
    if ((tls->cert_file.len > 0 && tls->cert_pem.len > 0) ||
        (tls->key_file.len > 0 && tls->key_pem.len > 0)) {
        option_error(section->errors, section->path, section->node,
                     "protocols::%s::tls: a file and its PEM text are both set", section->name);
    }
    if (tls->min_version == OTLP_TLS_13 && tls->max_version == OTLP_TLS_12) {
        option_error(section->errors, section->path, section->node,
                     "protocols::%s::tls: min_version is above max_version", section->name);
    }
    tls_policy_validate(&tls->cipher_suites, &tls->curve_preferences, section->node, section->path,
                        section->errors);
}

// One port cannot be opened twice, and one is enough.
static void check_both(const struct otlp_config *otlp, const struct config_node *protocols,
                       const char *path, struct option_errors *errors)
{
    struct bytes host, endpoint = otlp->protocols.http.endpoint;
    uint16_t port = 0;
    bool is_same = otlp->protocols.has_grpc && otlp->protocols.has_http &&
                   bytes_equal(endpoint, otlp->protocols.grpc.endpoint);
    if (is_same && (!address_split(endpoint, &host, &port) || port != 0)) {
        option_error(errors, path, config_get(config_get(protocols, "http"), "endpoint"),
                     "protocols::grpc and protocols::http have the same endpoint: leave one out, "
                     "every protocol is taken on either");
    }
}

void otlp_config_validate(const void *config, const struct config_node *node, const char *path,
                          struct option_errors *errors)
{
    const struct otlp_config *otlp = config;
    const struct config_node *protocols = config_get(node, "protocols");
    if (!otlp->protocols.has_grpc && !otlp->protocols.has_http) {
        option_error(errors, path, node,
                     "must specify at least one protocol when using the OTLP receiver");
    }
    if (otlp->protocols.has_grpc) {
        struct section section = {"grpc", config_get(protocols, "grpc"), path, errors};
        check_endpoint(&section, otlp->protocols.grpc.transport, otlp->protocols.grpc.endpoint,
                       otlp->protocols.grpc.socket_permissions);
        if (otlp->protocols.grpc.has_tls) {
            check_tls(&section, &otlp->protocols.grpc.tls);
        }
    }
    if (otlp->protocols.has_http) {
        struct section section = {"http", config_get(protocols, "http"), path, errors};
        check_endpoint(&section, otlp->protocols.http.transport, otlp->protocols.http.endpoint,
                       otlp->protocols.http.socket_permissions);
        if (otlp->protocols.http.has_tls) {
            check_tls(&section, &otlp->protocols.http.tls);
        }
    }
    check_both(otlp, protocols, path, errors);
}
