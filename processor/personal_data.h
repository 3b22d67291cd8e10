// SPDX-License-Identifier: Apache-2.0
// Structured personal data at the beginning of a token: e-mail and IP addresses, card numbers,
// IBANs, phone numbers. Each must pass what such a thing passes (Luhn and issuer, mod 97, lengths),
// so that order numbers, prices, dates, versions and ids do not. Pure; bounded look-ahead.
#pragma once

#include "processor/token.h"

// True if something begins here; `mask` is the word that stands for it, "[EMAIL]".
bool personal_data_match(const struct token *token, struct finding *finding, const char **mask);
// Digits with single separators between, from `from` on: where the longest run of `digits_min` to
// `digits_max` ends, 0 if there is none. For numbers that are announced ("tel. 030 1234567").
size_t personal_data_phone_end(struct bytes text, size_t from, size_t digits_min,
                               size_t digits_max);
