// SPDX-License-Identifier: Apache-2.0
// Passwords against the hashes of an htpasswd file: bcrypt ($2a$, $2b$, $2y$) and the crypt(3)
// kinds ($1$, $5$, $6$, yescrypt) by libxcrypt, $apr1$, {SHA} and {SSHA} by OpenSSL, anything else
// as plain text, which is what the Collector's basicauth takes. Comparisons take the same time
// wherever they differ. A slow hash takes tens of milliseconds: callers bound how often. Any
// thread.
#pragma once

#include "base/bytes.h"

// Whether `hash` is of a kind that is read here and, if it is a slow one, not so costly that one
// try would hold a thread for more than about a second. *why gets a sentence when not.
bool password_hash_is_usable(struct bytes hash, const char **why);
// Whether trying costs more than microseconds.
bool password_hash_is_slow(struct bytes hash);
bool password_matches(struct bytes password, struct bytes hash);
// Equality in a time that depends on the lengths only.
bool password_equal(struct bytes a, struct bytes b);
