// SPDX-License-Identifier: Apache-2.0
// A backend on loopback for scenarios: takes OTLP over HTTP (on the paths of backends, gzip and
// zstd) and over gRPC, keeps what it is sent, and answers as it is told. It runs on the scenario's
// loop, so it answers while the scenario waits for something. Keeps at most 256 MiB.
#pragma once

#include "base/buffer.h"
#include "base/loop.h"
#include "proto/scan.h"

struct backend;

struct backend *backend_open(struct loop *loop);
// The same behind TLS with PEM files, which are read again by backend_reload; both copied. The URL
// says https://localhost.
struct backend *backend_open_tls(struct loop *loop, const char *cert_file, const char *key_file);
void backend_reload(struct backend *backend);
void backend_close(struct backend **backend);  // accepts NULL inside
uint16_t backend_port(const struct backend *backend);
const char *backend_url(const struct backend *backend);  // "http://127.0.0.1:PORT"

// From now on requests are answered with `status` (200: kept; others: not kept).
void backend_answer(struct backend *backend, int status, unsigned retry_after_s);
unsigned backend_requests(const struct backend *backend);  // answered, whatever with
unsigned backend_items(const struct backend *backend, enum signal signal);  // kept
unsigned backend_packed_requests(const struct backend *backend);            // came compressed
// Value of a header of the last request; "" when absent. Known: authorization, user-agent,
// sidejudge-hop, x-scenario.
const char *backend_header(const struct backend *backend, const char *name);
const char *backend_path(const struct backend *backend);  // of the last request

// A kept item and its request. The pointers live as long as the backend.
struct backend_item {
    struct item_view view;
    struct bytes request;
    const char *authorization;  // header of the request
};
// Visits kept items in order of arrival until `visit` says false.
void backend_each(const struct backend *backend, enum signal signal,
                  bool (*visit)(void *arg, const struct backend_item *item), void *arg);
// The span with this id; how often it came is the return value, the last one is written.
unsigned backend_find_span(const struct backend *backend, const uint8_t *trace_id,
                           const uint8_t *span_id, struct backend_item *item);
