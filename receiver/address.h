// SPDX-License-Identifier: Apache-2.0
// Endpoints as the Collector writes them, host:port, and the socket addresses that they mean for a
// listener. Start only (names are looked up, which may wait).
#pragma once

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/result.h"

#define ADDRESSES_MAX    2
#define ADDRESS_TEXT_MAX 64

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
    bool is_optional;  // ::1 beside 127.0.0.1: skipped where the machine has none
    bool is_dual;      // an IPv6 wildcard that takes IPv4 as well
};

// "localhost:4317", "0.0.0.0:4317", "[::1]:4317", ":4317": host (brackets off; may be empty) and
// port. False: not of this form.
bool address_split(struct bytes endpoint, struct bytes *host, uint16_t *port);
// The addresses to listen on: localhost is 127.0.0.1 and ::1; an empty host is every address of
// every family. `family` AF_INET or AF_INET6 narrows. RESULT_FAIL with a sentence.
enum result address_resolve(struct bytes endpoint, int family,
                            struct address addresses[ADDRESSES_MAX], unsigned *count, char *why,
                            size_t why_len) MUST_USE;
void address_set_port(struct address *address, uint16_t port);
uint16_t address_port(const struct sockaddr_storage *storage);
// "127.0.0.1:4317" or "[::1]:4317" into out.
void address_print(const struct sockaddr_storage *storage, char out[ADDRESS_TEXT_MAX]);
