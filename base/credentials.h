// SPDX-License-Identifier: Apache-2.0
// What an authenticator knows, as counted snapshots: users with hashes, tokens, or the pair that an
// exporter shows, from the configuration and from files that are read again when they change.
// Snapshots never change, but for the two tables of tries, which the mutex guards. Any thread.
#pragma once

#include <stdatomic.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"

#define CREDENTIALS_MAC_BYTES 32
#define CREDENTIALS_TRIES_MAX 256
#define CREDENTIALS_FILES_MAX 2
#define CREDENTIAL_BYTES_MAX 2048

struct credential {
    struct bytes user;                   // empty but for CREDENTIALS_USERS; into text
    struct bytes secret;                 // hash, token or password
    uint8_t mac[CREDENTIALS_MAC_BYTES];  // of a token
};

struct credentials {
    atomic_uint refs;
    struct buffer text;
    struct credential *items;
    size_t count;
    uint8_t key[CREDENTIALS_MAC_BYTES];
    struct buffer shown;  // what a client sends; NUL behind
    uint8_t good[CREDENTIALS_TRIES_MAX][CREDENTIALS_MAC_BYTES];
    uint8_t bad[CREDENTIALS_TRIES_MAX][CREDENTIALS_MAC_BYTES];
};

struct watched_file {
    char *path;  // owned; NULL: none
    struct file_stamp stamp;
};

enum credentials_form {
    CREDENTIALS_USERS,   // lines of user:hash; `own` is read behind the file
    CREDENTIALS_TOKENS,  // lines of tokens; `own` only without a file
    CREDENTIALS_PAIR,    // user and password of a client; files win
};

struct credential_source {
    enum credentials_form form;
    const char *id;      // for logs; borrowed
    const char *scheme;  // before a token that is shown; "" for none; borrowed
    struct buffer own, own_name, own_password;
    struct watched_file files[CREDENTIALS_FILES_MAX];  // of a pair: user, password
    struct metric *reloads[2];                         // failed, ok; may be NULL
    // The source's own.
    struct credentials *current;  // under the mutex; NULL: could not be read yet
    _Atomic uint64_t look_at_ns;
    atomic_bool is_looking;
    struct log_episode episode;
};

// Reads for the first time; failure is logged and tried again with the next look.
void credential_source_open(struct credential_source *source);
void credential_source_fini(struct credential_source *source);  // wipes
// Looks at the files, once a second, then gives a reference to what is in force; NULL: nothing was
// readable yet.
struct credentials *credential_source_take(struct credential_source *source, uint64_t now_ns);
void credentials_release(struct credentials *credentials);  // accepts NULL; the last one wipes

// HMAC-SHA256 under the snapshot's key.
void credentials_mac(const struct credentials *credentials, struct bytes value,
                     uint8_t out[CREDENTIALS_MAC_BYTES]);
// What became of an earlier try: RESULT_OK, RESULT_DENY, or RESULT_MISSING.
enum result credentials_recall(struct credentials *credentials,
                               const uint8_t mac[CREDENTIALS_MAC_BYTES]) MUST_USE;
void credentials_remember(struct credentials *credentials, const uint8_t mac[CREDENTIALS_MAC_BYTES],
                          bool is_good);
