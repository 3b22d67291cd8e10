// SPDX-License-Identifier: Apache-2.0
// Regular expressions: PCRE2 with match, depth and heap limits, so that a hostile subject costs
// bounded time. UTF mode with invalid text allowed. A compiled pattern is immutable and shared by
// threads; scratch memory is per call site and thread.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

struct pattern;
struct pattern_scratch;

// RESULT_REJECT with "sentence at offset N" in `why`. Copies.
enum result pattern_compile(const char *text, struct pattern **pattern, char *why,
                            size_t why_len) MUST_USE;
void pattern_free(struct pattern **pattern);  // takes; accepts NULL inside
// Groups in the text, the whole match not counted; may be more than a match tells.
unsigned pattern_group_count(const struct pattern *pattern);
// The name of group 1 ..., "" where it has none; the pattern's.
const char *pattern_group_name(const struct pattern *pattern, unsigned group);
struct pattern_scratch *pattern_scratch_new(void);
void pattern_scratch_free(struct pattern_scratch *scratch);  // accepts NULL

#define PATTERN_GROUPS_MAX 8
struct pattern_match {
    struct bytes groups[PATTERN_GROUPS_MAX];  // views into the subject; [0] is the whole match;
                                              // unset groups are empty
};
// First match at or after `from`. RESULT_MISSING: no match; RESULT_SHED: a match limit was hit
// (counted by the caller).
enum result pattern_find(const struct pattern *pattern, struct pattern_scratch *scratch,
                         struct bytes subject, size_t from, struct pattern_match *match) MUST_USE;
