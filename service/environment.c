// SPDX-License-Identifier: Apache-2.0
//
// Writes the YAML of a start without a file. The idea: the environment becomes an ordinary
// configuration text, so that binding, checking and print-config have one path; secrets stay
// references. Refused: a second way of filling component structs. Bounds: fixed set of variables,
// each at most 4 KiB. Main thread, start only.

#include "service/environment.h"

#include <stdio.h>
#include <string.h>

#include "base/ids.h"

#define VALUE_MAX 4096

struct environment {
    const char *(*get)(const char *name);
    struct buffer *yaml, *notes;
    char exporters[256];  // "langfuse, otlp_http"
    const char *grpc_listen, *http_listen;
};

// The value of the first variable that is set and not empty; NULL when none is.
static const char *first_of(const struct environment *env, const char *const *names,
                            const char **name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *value = env->get(names[i]);
        if (value != NULL && value[0] != '\0' && strlen(value) <= VALUE_MAX) {
            *name = names[i];
            return value;
        }
    }
    return NULL;
}

static void exporter_add(struct environment *env, const char *id)
{
    size_t len = strlen(env->exporters);
    snprintf(env->exporters + len, sizeof(env->exporters) - len, "%s%s", len > 0 ? ", " : "", id);
}

static bool host_is_local(struct bytes host)
{
    return bytes_equal_text(host, "localhost") || bytes_equal_text(host, "127.0.0.1") ||
           bytes_equal_text(host, "[::1]") || bytes_equal_text(host, "0.0.0.0");
}

// Does `url` name one of our own listeners? "http://localhost:4318/..." against "localhost:4318".
static bool is_own_listener(const struct environment *env, const char *url)
{
    struct bytes rest = bytes_from_text(url);
    size_t scheme = bytes_find(rest, BYTES_LITERAL("://"), 0);
    if (scheme != SIZE_MAX) {
        rest = bytes_slice(rest, scheme + 3, SIZE_MAX);
    }
    size_t slash = bytes_find(rest, BYTES_LITERAL("/"), 0);
    struct bytes authority = bytes_slice(rest, 0, slash == SIZE_MAX ? rest.len : slash);
    size_t colon = authority.len;
    while (colon > 0 && authority.ptr[colon - 1] != ':') {
        colon--;
    }
    struct bytes port = bytes_slice(authority, colon, SIZE_MAX);
    struct bytes host = bytes_slice(authority, 0, colon > 0 ? colon - 1 : 0);
    const char *listeners[] = {env->grpc_listen, env->http_listen};
    for (size_t i = 0; i < 2; i++) {
        struct bytes listen = bytes_from_text(listeners[i]);
        size_t at = bytes_find(listen, BYTES_LITERAL(":"), 0);
        if (at != SIZE_MAX && bytes_equal(port, bytes_slice(listen, at + 1, SIZE_MAX)) &&
            host_is_local(host)) {
            return true;
        }
    }
    return false;
}

static void langfuse_add(struct environment *env)
{
    static const char *const keys[] = {"LANGFUSE_PUBLIC_KEY", NULL};
    static const char *const secrets[] = {"LANGFUSE_SECRET_KEY", NULL};
    static const char *const hosts[] = {"LANGFUSE_BASE_URL", "LANGFUSE_HOST", NULL};
    const char *key_name, *secret_name, *host_name;
    const char *key = first_of(env, keys, &key_name);
    const char *secret = first_of(env, secrets, &secret_name);
    if (key == NULL && secret == NULL) {
        return;
    }
    if (key == NULL || secret == NULL) {
        buffer_printf(env->notes, "%s is set but %s is not: no exporter to Langfuse\n",
                      key != NULL ? keys[0] : secrets[0], key != NULL ? secrets[0] : keys[0]);
        return;
    }
    const char *host = first_of(env, hosts, &host_name);
    if (host != NULL && is_own_listener(env, host)) {
        buffer_printf(
            env->notes,
            "%s is this sidecar's own listener (the agent's variable was shared): passed over, set "
            "it to Langfuse's own address for the sidecar\n",
            host_name);
        return;
    }
    buffer_append_text(env->yaml, "  langfuse:\n    public_key: \"${env:LANGFUSE_PUBLIC_KEY}\"\n"
                                  "    secret_key: \"${env:LANGFUSE_SECRET_KEY}\"\n");
    if (host != NULL) {
        buffer_printf(env->yaml, "    endpoint: \"${env:%s}\"\n", host_name);
    }
    exporter_add(env, "langfuse");
}

static void phoenix_add(struct environment *env)
{
    static const char *const endpoints[] = {"PHOENIX_COLLECTOR_ENDPOINT", NULL};
    static const char *const keys[] = {"PHOENIX_API_KEY", NULL};
    static const char *const projects[] = {"PHOENIX_PROJECT_NAME", NULL};
    const char *name, *key_name;
    const char *endpoint = first_of(env, endpoints, &name);
    if (endpoint == NULL) {
        return;
    }
    if (is_own_listener(env, endpoint)) {
        buffer_printf(
            env->notes,
            "%s is this sidecar's own listener (the agent's variable was shared): passed over\n",
            name);
        return;
    }
    buffer_append_text(env->yaml,
                       "  phoenix:\n    endpoint: \"${env:PHOENIX_COLLECTOR_ENDPOINT}\"\n");
    if (first_of(env, keys, &key_name) != NULL) {
        buffer_append_text(env->yaml, "    api_key: \"${env:PHOENIX_API_KEY}\"\n");
    }
    if (first_of(env, projects, &key_name) != NULL) {
        buffer_append_text(env->yaml, "    project_name: \"${env:PHOENIX_PROJECT_NAME}\"\n");
    }
    exporter_add(env, "phoenix");
}

// "a=b,c=d" (W3C baggage form of OTEL_EXPORTER_OTLP_HEADERS) as a YAML map with quoted values.
static void headers_add(struct environment *env, const char *text)
{
    struct bytes rest = bytes_from_text(text);
    buffer_append_text(env->yaml, "    headers:\n");
    while (rest.len > 0) {
        size_t comma = bytes_find(rest, BYTES_LITERAL(","), 0);
        struct bytes pair = bytes_slice(rest, 0, comma == SIZE_MAX ? rest.len : comma);
        rest = comma == SIZE_MAX ? BYTES_NONE : bytes_slice(rest, comma + 1, SIZE_MAX);
        size_t equal = bytes_find(pair, BYTES_LITERAL("="), 0);
        if (equal == SIZE_MAX || equal == 0) {
            continue;
        }
        struct bytes value = bytes_trim(bytes_slice(pair, equal + 1, SIZE_MAX));
        buffer_printf(env->yaml, "      \"%.*s\": \"",
                      BYTES_PRINTF(bytes_trim(bytes_slice(pair, 0, equal))));
        for (size_t i = 0; i < value.len; i++) {  // percent-decoding, then YAML's own escapes
            uint8_t byte = value.ptr[i];
            if (byte == '%' && hex_decode(bytes_slice(value, i + 1, 2), &byte, 1)) {
                i += 2;
            }
            if (byte == '"' || byte == '\\') {
                buffer_append_byte(env->yaml, '\\');
            } else if (byte == '$') {
                buffer_append_byte(env->yaml, '$');
            }
            buffer_append_byte(env->yaml, byte < 0x20 ? ' ' : byte);
        }
        buffer_append_text(env->yaml, "\"\n");
    }
}

// The variables of one family ("OTEL_EXPORTER_OTLP", "SIDEJUDGE_EXPORTER_OTLP") for one setting,
// the traces form first, ours first.
static const char *otlp_variable(const struct environment *env, const char *setting, bool *traces,
                                 char name[96])
{
    static const char *const prefixes[] = {"SIDEJUDGE_EXPORTER_OTLP_TRACES_",
                                           "SIDEJUDGE_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_",
                                           "OTEL_EXPORTER_OTLP_"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        snprintf(name, 96, "%s%s", prefixes[i], setting);
        const char *value = env->get(name);
        if (value != NULL && value[0] != '\0' && strlen(value) <= VALUE_MAX) {
            *traces = i % 2 == 0;
            return value;
        }
    }
    return NULL;
}

static void otlp_add(struct environment *env)
{
    char name[96], other[96];
    bool traces = false, unused = false;
    const char *endpoint = otlp_variable(env, "ENDPOINT", &traces, name);
    if (endpoint == NULL) {
        return;
    }
    if (is_own_listener(env, endpoint)) {
        buffer_printf(
            env->notes,
            "%s is this sidecar's own listener (the agent's variable was shared): passed over, use "
            "SIDEJUDGE_EXPORTER_OTLP_ENDPOINT for the backend\n",
            name);
        return;
    }
    const char *protocol = otlp_variable(env, "PROTOCOL", &unused, other);
    bool grpc = protocol != NULL && strcmp(protocol, "grpc") == 0;
    const char *type = grpc ? "otlp_grpc" : "otlp_http";
    buffer_printf(env->yaml, "  %s:\n    %s: \"${env:%s}\"\n", type,
                  traces && !grpc ? "traces_endpoint" : "endpoint", name);
    bool plain = strncmp(endpoint, "http://", 7) == 0;
    const char *certificate = otlp_variable(env, "CERTIFICATE", &unused, other);
    if (certificate != NULL) {
        buffer_printf(env->yaml, "    tls: {ca_file: \"${env:%s}\"}\n", other);
    } else if (grpc && plain) {
        buffer_append_text(env->yaml, "    tls: {insecure: true}\n");
    }
    const char *compression = otlp_variable(env, "COMPRESSION", &unused, other);
    if (compression != NULL) {
        buffer_printf(env->yaml, "    compression: \"${env:%s}\"\n", other);
    }
    const char *headers = otlp_variable(env, "HEADERS", &unused, other);
    if (headers != NULL) {
        headers_add(env, headers);
    }
    exporter_add(env, type);
}

static void processor_add(struct environment *env)
{
    const char *judge = env->get("SIDEJUDGE_JUDGE");
    const char *budget = env->get("SIDEJUDGE_BUDGET_USD_PER_DAY");
    buffer_append_text(env->yaml, "processors:\n  evaluation:\n");
    if (judge != NULL && judge[0] != '\0') {
        buffer_append_text(env->yaml, "    judge: \"${env:SIDEJUDGE_JUDGE}\"\n");
    } else {
        buffer_append_text(
            env->notes,
            "SIDEJUDGE_JUDGE is not set: deterministic evaluators only (set it to, for example, "
            "anthropic/claude-haiku-4-5)\n");
    }
    if (budget != NULL && budget[0] != '\0') {
        buffer_append_text(env->yaml,
                           "    budget: {usd_per_day: \"${env:SIDEJUDGE_BUDGET_USD_PER_DAY}\"}\n");
    }
}

// "host:port", and not only a host: an IPv6 address has its colons in brackets.
static bool has_port(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    return colon != NULL && strchr(colon, ']') == NULL;
}

// SIDEJUDGE_LISTEN is the host ("0.0.0.0"), one "host:port" for both protocols, or a list
// "host:grpc_port,host:http_port".
static void receiver_add(struct environment *env)
{
    static char grpc[128], http[128];  // what is_own_listener compares with; start only
    const char *listen = env->get("SIDEJUDGE_LISTEN");
    snprintf(grpc, sizeof(grpc), "localhost:4317");
    snprintf(http, sizeof(http), "localhost:4318");
    if (listen != NULL && listen[0] != '\0' && strlen(listen) < 100) {
        const char *comma = strchr(listen, ',');
        if (comma != NULL) {
            snprintf(grpc, sizeof(grpc), "%.*s", (int)(comma - listen), listen);
            snprintf(http, sizeof(http), "%s", comma + 1);
        } else if (has_port(listen)) {
            snprintf(http, sizeof(http), "%s", listen);
            grpc[0] = '\0';
        } else {
            snprintf(grpc, sizeof(grpc), "%s:4317", listen);
            snprintf(http, sizeof(http), "%s:4318", listen);
        }
    }
    env->grpc_listen = grpc;
    env->http_listen = http;
    buffer_append_text(env->yaml, "receivers:\n  otlp:\n    protocols:\n");
    if (grpc[0] != '\0') {
        buffer_printf(env->yaml, "      grpc: {endpoint: \"%s\"}\n", grpc);
    }
    buffer_printf(env->yaml, "      http: {endpoint: \"%s\"}\n", http);
}

static void pipelines_add(struct environment *env)
{
    // Langfuse and Phoenix take traces only; logs and metrics go where OTLP goes, else nowhere:
    // agents that send them must not see errors, and evaluation looks at logs.
    static const char *const rest[] = {"otlp_grpc", "otlp_http", "debug"};
    const char *others = "nop";
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        if (strstr(env->exporters, rest[i]) != NULL) {
            others = rest[i];
        }
    }
    buffer_printf(
        env->yaml,
        "extensions: {health_check: }\nservice:\n  extensions: [health_check]\n  pipelines:\n"
        "    traces: {receivers: [otlp], processors: [evaluation], exporters: [%s]}\n",
        env->exporters);
    buffer_printf(env->yaml,
                  "    logs: {receivers: [otlp], processors: [evaluation], exporters: [%s]}\n"
                  "    metrics: {receivers: [otlp], exporters: [%s]}\n",
                  others, others);
}

void environment_config(const char *(*get)(const char *name), struct buffer *yaml,
                        struct buffer *notes)
{
    struct environment env = {.get = get, .yaml = yaml, .notes = notes};
    receiver_add(&env);
    processor_add(&env);
    buffer_append_text(yaml, "exporters:\n");
    langfuse_add(&env);
    phoenix_add(&env);
    otlp_add(&env);
    if (env.exporters[0] == '\0') {
        buffer_append_text(yaml, "  debug: {verbosity: normal}\n");
        exporter_add(&env, "debug");
        buffer_append_text(notes, "no backend is set (LANGFUSE_*, PHOENIX_*, "
                                  "OTEL_EXPORTER_OTLP_ENDPOINT): interactions are "
                                  "printed here\n");
    }
    if (strstr(env.exporters, "otlp") == NULL && strstr(env.exporters, "debug") == NULL) {
        buffer_append_text(yaml, "  nop:\n");
    }
    pipelines_add(&env);
}
