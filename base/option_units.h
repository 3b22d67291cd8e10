// SPDX-License-Identifier: Apache-2.0
// Durations and sizes as text, both ways; the parsing half is declared in base/option.h. Pure.
#pragma once

#include "base/option.h"

#define OPTION_UNITS_TEXT_MAX 48

// "1h2m3.5s", as Go prints durations; "16MiB" or plain bytes.
void duration_format(int64_t ns, char out[OPTION_UNITS_TEXT_MAX]);
void size_format(int64_t bytes, char out[OPTION_UNITS_TEXT_MAX]);
