// SPDX-License-Identifier: Apache-2.0
// Masks secrets (known key shapes, keyword and value, long runs of high entropy) and structured
// personal data (e-mail, phone, card by Luhn and issuer, IBAN by mod 97, IP) before text leaves the
// process and in explanations that come back. Each mask says its kind: [EMAIL], [PHONE], [CARD],
// [IBAN], [IP], [SECRET]; masking what was masked changes nothing. Order numbers, prices, dates,
// versions, UUIDs and hexadecimal ids stay. Names and postal addresses need a model and are not
// found. Hand-written scanners in linear time: nothing is left unscanned. One redactor per thread.
#pragma once

#include "base/buffer.h"

struct redactor;
struct redactor *redactor_new(void);
void redactor_free(struct redactor *redactor);
// Appends the masked text; returns how many masks were set. A NULL redactor copies
// (`redaction: {mode: off}`).
unsigned redact(struct redactor *redactor, struct bytes text, struct buffer *out);
