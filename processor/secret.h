// SPDX-License-Identifier: Apache-2.0
// Secrets by their own looks: keys of known shape, JSON web tokens, private key blocks, long runs
// of high entropy. What is announced by a keyword is processor/keyword.h's. Pure; judged by a
// bounded number of bytes, masked whole.
#pragma once

#include "processor/token.h"

// A key of known shape, token or block at the beginning of this token?
bool secret_match_known(const struct token *token, struct finding *finding);
// A long run of mixed characters that no language writes?
bool secret_match_run(const struct token *token, struct finding *finding);

// For values behind keywords:
#define SECRET_VALUE_MAX 128  // bytes by which a secret is judged
// How many bytes from `from` on are of a token or in `further`. To the end: what is found is masked
// whole. What is only looked at is cut first.
size_t secret_run_len(struct bytes text, size_t from, const char *further);
// A digit, or a capital behind the first character: words have neither.
bool secret_is_unlike_words(struct bytes text);
// Is it as random as a secret? Judged by its first bytes; entropy in bits a byte.
bool secret_looks_random(struct bytes text, double entropy_min);
