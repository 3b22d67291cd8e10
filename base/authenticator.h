// SPDX-License-Identifier: Apache-2.0
// Authenticators: the extensions basicauth, bearertokenauth and headers_setter at work. A receiver
// asks one whether a request's credential is good (server), an exporter asks one for the headers of
// a request (client). Files of credentials are looked at once a second while they are used and
// taken again when they changed; a file that cannot be read or understood leaves the old content
// in force and is counted. A counted object that any thread may use; components hold a reference.
//
// Verified credentials are remembered as keyed hashes, so that a bcrypt of 60 ms is paid once; so
// are wrong ones. What is new is tried only while tries have taken less than about a tenth of the
// time, so that guesses cannot stall an I/O thread: beyond that the answer is SHED.
#pragma once

#include "base/authenticator_config.h"
#include "base/http_client.h"
#include "base/metadata.h"

enum authenticator_role { AUTHENTICATOR_SERVER = 1, AUTHENTICATOR_CLIENT = 2 };

struct authenticator_kind {
    const char *type;  // "basicauth"
    const char *doc;   // one sentence
    const struct option *options;
    size_t config_size;
    void (*validate)(const void *config, const struct config_node *node, const char *path,
                     struct option_errors *errors);
    unsigned (*roles)(const void *config);  // set of enum authenticator_role
};
extern const struct authenticator_kind authenticator_kinds[];  // ended by a NULL type
const struct authenticator_kind *authenticator_kind_find(struct bytes type);  // NULL: none

struct authenticator;

// One reference, the caller's. Copies the configuration, which must be valid; reads its files, and
// goes on without credentials when they cannot be read: it then lets nobody in until they can.
struct authenticator *authenticator_new(const struct authenticator_kind *kind, const char *id,
                                        const void *config);
struct authenticator *authenticator_hold(struct authenticator *authenticator);  // accepts NULL
void authenticator_release(struct authenticator **authenticator);               // accepts NULL
unsigned authenticator_roles(const struct authenticator *authenticator);
// By id in a list that NULL ends; NULL: not there. The list may be NULL.
struct authenticator *authenticator_find(struct authenticator *const *list, struct bytes id);
// The same for the key `auth`: *found gets a new reference, or NULL when none is configured.
// RESULT_FAIL with a sentence: not there, or not for this role.
enum result authenticator_bind(struct authenticator *const *list, const struct auth_config *config,
                               enum authenticator_role role, struct authenticator **found,
                               char *why, size_t why_len) MUST_USE;

// --- server ---
const char *authenticator_header(const struct authenticator *authenticator);  // lower case
// The value of WWW-Authenticate (RFC 9110 11.6.1).
const char *authenticator_challenge(const struct authenticator *authenticator);
// Whether `value`, all of that header, is a good credential. RESULT_DENY: it is not; RESULT_SHED:
// it is not known yet and too many such came lately, or the credentials could not be read yet.
enum result authenticator_check(struct authenticator *authenticator, struct bytes value,
                                uint64_t now_ns) MUST_USE;

// --- client ---
#define AUTHENTICATOR_FIELDS_MAX 64
#define AUTHENTICATOR_TEXT_BYTES ((size_t)16 << 10)
struct authenticator_fields {  // header fields of one request
    struct http_header items[AUTHENTICATOR_FIELDS_MAX];
    size_t count;
    char text[AUTHENTICATOR_TEXT_BYTES];  // where added ones lie; wipe after use
    size_t text_len;
};
// Adds to, replaces or removes from `fields`, which hold the exporter's own already. `metadata`: of
// the telemetry that is sent; may be NULL. RESULT_RETRY: the credentials could not be read yet;
// RESULT_TOO_LARGE: no room. `fields` is of no use then.
enum result authenticator_apply(struct authenticator *authenticator,
                                const struct metadata *metadata, uint64_t now_ns,
                                struct authenticator_fields *fields) MUST_USE;
void authenticator_fields_wipe(struct authenticator_fields *fields);
// The headers of incoming requests that some authenticator of the list asks for, lower case, each
// once, into keys; valid as long as the list. Returns how many.
size_t authenticator_context_keys(struct authenticator *const *list,
                                  struct bytes keys[METADATA_PAIRS_MAX]);
// Whether what it sends depends on the telemetry's metadata. Accepts NULL.
bool authenticator_reads_metadata(const struct authenticator *authenticator);
// Overwrites every credential of this authenticator and of `metadata` in a text for people.
void authenticator_mask(struct authenticator *authenticator, const struct metadata *metadata,
                        char *text);
