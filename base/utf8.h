// SPDX-License-Identifier: Apache-2.0
// UTF-8 validity (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). ASCII is checked
// by words. Pure.
#pragma once

#include "base/bytes.h"

bool utf8_is_valid(struct bytes text);
// The longest prefix of at most `len_max` bytes that ends on a character border.
struct bytes utf8_prefix(struct bytes text, size_t len_max);
// The longest such suffix.
struct bytes utf8_suffix(struct bytes text, size_t len_max);
