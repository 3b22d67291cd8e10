// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions on PCRE2. Backtracking is what makes an expression from a configuration and
// a subject from the network dangerous together, so each match has limits on steps, depth and
// memory, and hitting one is an answer of its own. JIT is left off: it knows the step limit only
// in part and wants memory that is both writable and executable.
//
// PCRE2_MATCH_INVALID_UTF lets any bytes be searched: invalid ones match nothing. RE2 was refused:
// linear, but C++ and without look-around, which redaction patterns use.
//
// Bounds: PATTERN_* below. A pattern is immutable after compiling; scratch belongs to one thread.
#include "base/pattern.h"

#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

#define PATTERN_TEXT_BYTES_MAX 16384
#define PATTERN_MATCH_STEPS_MAX 100000
#define PATTERN_MATCH_DEPTH_MAX 10000
#define PATTERN_MATCH_HEAP_KIB_MAX 4096
#define PATTERN_PARENS_MAX 250

struct pattern {
    pcre2_code *code;
};

struct pattern_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static enum result fail(char *why, size_t why_len, const char *sentence)
{
    snprintf(why, why_len, "%s", sentence);
    return RESULT_REJECT;
}

static pcre2_compile_context *compile_context(void)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    CHECK(context != NULL);
    pcre2_set_max_pattern_length(context, PATTERN_TEXT_BYTES_MAX);
    pcre2_set_parens_nest_limit(context, PATTERN_PARENS_MAX);
    return context;
}

enum result pattern_compile(const char *text, struct pattern **pattern, char *why, size_t why_len)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = compile_context();
    // \C matches half a character, which UTF mode could then not go on from.
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    pcre2_compile_context_free(context);
    if (code == NULL) {
        PCRE2_UCHAR sentence[256] = "";
        char line[320];
        pcre2_get_error_message(error, sentence, sizeof sentence);
        snprintf(line, sizeof line, "%s at offset %zu", (const char *)sentence, at);
        return fail(why, why_len, line);
    }
    struct pattern *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->code = code;
    *pattern = made;
    return RESULT_OK;
}

void pattern_free(struct pattern **pattern)
{
    if (*pattern != NULL) {
        pcre2_code_free((*pattern)->code);
        free(*pattern);
        *pattern = NULL;
    }
}

unsigned pattern_group_count(const struct pattern *pattern)
{
    uint32_t count = 0;
    CHECK(pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &count) == 0);
    return count;
}

// PCRE2's table of names: entries of a fixed size, the number big-endian in two bytes first.
const char *pattern_group_name(const struct pattern *pattern, unsigned group)
{
    uint32_t count = 0;
    uint32_t size = 0;
    PCRE2_SPTR table = NULL;
    CHECK(pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMECOUNT, &count) == 0);
    CHECK(pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMEENTRYSIZE, &size) == 0);
    CHECK(pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMETABLE, &table) == 0);
    for (uint32_t i = 0; i < count; i++) {
        PCRE2_SPTR entry = table + i * size;
        if ((unsigned)(entry[0] << 8 | entry[1]) == group) {
            return (const char *)entry + 2;
        }
    }
    return "";
}

struct pattern_scratch *pattern_scratch_new(void)
{
    struct pattern_scratch *scratch = calloc(1, sizeof *scratch);
    CHECK(scratch != NULL);
    scratch->data = pcre2_match_data_create(PATTERN_GROUPS_MAX, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    CHECK(scratch->data != NULL && scratch->context != NULL);
    pcre2_set_match_limit(scratch->context, PATTERN_MATCH_STEPS_MAX);
    pcre2_set_depth_limit(scratch->context, PATTERN_MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(scratch->context, PATTERN_MATCH_HEAP_KIB_MAX);
    return scratch;
}

void pattern_scratch_free(struct pattern_scratch *scratch)
{
    if (scratch != NULL) {
        pcre2_match_data_free(scratch->data);
        pcre2_match_context_free(scratch->context);
        free(scratch);
    }
}

static void take_groups(struct pattern_scratch *scratch, struct bytes subject, int count,
                        struct pattern_match *match)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(scratch->data);
    *match = (struct pattern_match){0};
    // 0: there are more groups than slots, and all slots are set.
    int set = count == 0 ? PATTERN_GROUPS_MAX : count;
    for (int i = 0; i < set; i++) {
        PCRE2_SIZE from = offsets[2 * i];
        PCRE2_SIZE to = offsets[2 * i + 1];
        if (from != PCRE2_UNSET && from <= to && to <= subject.len) {  // \K may swap them
            match->groups[i] = bytes_slice(subject, from, to - from);
        }
    }
}

enum result pattern_find(const struct pattern *pattern, struct pattern_scratch *scratch,
                         struct bytes subject, size_t from, struct pattern_match *match)
{
    if (from > subject.len) {
        return RESULT_MISSING;
    }
    PCRE2_SPTR text = subject.ptr != NULL ? subject.ptr : (PCRE2_SPTR) "";
    int count =
        pcre2_match(pattern->code, text, subject.len, from, 0, scratch->data, scratch->context);
    if (count >= 0) {
        take_groups(scratch, bytes_from(text, subject.len), count, match);
        return RESULT_OK;
    }
    // Besides the limits, what is left are errors that say as little about a match: bad offsets
    // into a character, out of memory.
    return count == PCRE2_ERROR_NOMATCH ? RESULT_MISSING : RESULT_SHED;
}
