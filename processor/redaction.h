// SPDX-License-Identifier: Apache-2.0
// Masks secrets (keyword + pattern + entropy) and structured personal data (e-mail, phone, card by Luhn, IBAN by mod 97, IP) before text leaves the process and
// in explanations that come back. Each mask says its kind: [EMAIL], [PHONE], [CARD], [IBAN], [IP], [SECRET]. Linear time; PCRE2 with match limits or hand-written scanners;
// a hit limit masks the rest of that text as [UNSCANNED] rather than letting it pass. One redactor per thread.
#pragma once

#include "base/buffer.h"

struct redactor;
struct redactor *redactor_new(void);
void redactor_free(struct redactor *redactor);
// Appends the masked text; returns how many masks were set. Without a redactor (redaction.mode: off) the text goes through as it is.
unsigned redact(struct redactor *redactor, struct bytes text, struct buffer *out);
