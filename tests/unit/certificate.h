// SPDX-License-Identifier: Apache-2.0
// A self-signed certificate for localhost, made on the spot (P-256, valid for an hour), so that no
// test has key material in a file.
#pragma once

#include <openssl/ssl.h>

struct certificate {
    char cert[2048], key[2048];  // PEM, NUL-terminated
};

void certificate_make(struct certificate *certificate);
// The context shows it to its peers.
void certificate_use(const struct certificate *certificate, SSL_CTX *context);
// The same for another host name.
void certificate_make_for(const char *host, struct certificate *certificate);
// One that ran out an hour ago.
void certificate_make_expired(const char *host, struct certificate *certificate);
