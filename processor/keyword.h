// SPDX-License-Identifier: Apache-2.0
// Words that announce what follows them: password: hunter22, "api_key": "...", Authorization:
// Bearer
// ..., tel. 030 1234567, and version 10.2.3.4, which is no address. Pure; bounded look-ahead.
#pragma once

#include "processor/token.h"

// True if this token is such a word and its value stands behind it: keep the word, mask the value.
// A mask of "" keeps both.
bool keyword_match(const struct token *token, struct finding *finding, const char **mask);
