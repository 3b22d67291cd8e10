// SPDX-License-Identifier: Apache-2.0
// Which configuration values print-config hides; config_print itself is declared in base/config.h.
// Pure.
#pragma once

#include "base/config.h"

// Does a key of this name hold a secret? By the name's end: api_key, password, token, ...
bool config_key_is_secret(struct bytes key);
// Is everything below a key of this name a secret? Maps of headers are.
bool config_key_hides_all_below(struct bytes key);
