// SPDX-License-Identifier: Apache-2.0
//
// One pass over the text, token by token; at each the matchers of secret, keyword and personal_data
// are tried. A token is read once and a matcher reads ahead by a bounded number of bytes, so that
// the whole is linear on any text. The escapes of JSON text (\n) are not taken for letters.
// Refused: one regular expression per kind (a dozen passes, and back-tracking on hostile text), and
// a look-up of names (it needs a model). Bounds: those of the matchers. One redactor per thread.

#include "processor/redaction.h"

#include <stdlib.h>

#include "base/check.h"
#include "processor/keyword.h"
#include "processor/personal_data.h"
#include "processor/secret.h"

#define ESCAPES "nrtbf"  // letters of JSON behind a backslash

struct redactor {
    uint64_t masks;  // set since it was made
};

struct redactor *redactor_new(void)
{
    struct redactor *redactor = calloc(1, sizeof(*redactor));
    CHECK(redactor != NULL);
    return redactor;
}

void redactor_free(struct redactor *redactor)
{
    free(redactor);
}

// Most tokens of prose: short, of letters only, nothing behind them that matters to any matcher,
// and with another first letter than the keywords that a blank may follow.
static bool is_plain_word(struct bytes text, size_t i, size_t end, uint8_t all)
{
    static const bool matters[256] = {
        ['@'] = true, ['.'] = true,  ['+'] = true,  ['%'] = true, [':'] = true, ['='] = true,
        ['"'] = true, ['\''] = true, ['\\'] = true, ['/'] = true, ['#'] = true};
    static const bool begins[256] = {
        ['p'] = true, ['b'] = true, ['t'] = true, ['m'] = true, ['c'] = true,
        ['f'] = true, ['w'] = true, ['v'] = true, ['r'] = true};
    bool is_end_of_sentence = char_at(text, end) == '.' && !char_is_token(char_at(text, end + 1));
    return (all & (CHAR_DIGIT | CHAR_JOIN)) == 0 && end > i && end - i < 16 &&
           (!matters[char_at(text, end)] || is_end_of_sentence) && !begins[text.ptr[i] | 0x20];
}

// Tries what may begin with this token; a mask of "" keeps what was found.
static bool token_match(const struct token *token, struct finding *finding, const char **mask)
{
    *mask = "[SECRET]";
    if (secret_match_known(token, finding)) {
        return true;
    }
    if (char_is_alpha(char_at(token->text, 0)) && keyword_match(token, finding, mask)) {
        return true;
    }
    if (personal_data_match(token, finding, mask)) {
        return true;
    }
    *mask = "[SECRET]";
    return secret_match_run(token, finding);
}

// Where the token at or behind `i` begins: not at the letter of a JSON escape, not at the dashes
// and underscores before it, but for those of a key block.
static size_t token_begin(struct bytes text, size_t i)
{
    while (i < text.len) {
        uint8_t c = text.ptr[i];
        if (i > 0 && text.ptr[i - 1] == '\\' && char_is_one_of(c, ESCAPES)) {
            i++;
        } else if (char_is_alnum(c) || c == '+' || c == '(' ||
                   (c == '-' &&
                    bytes_start_with(bytes_slice(text, i, 11), BYTES_LITERAL("-----BEGIN ")))) {
            break;
        } else {
            i++;
        }
    }
    return i;
}

static struct token token_at(struct bytes text, size_t i, size_t end)
{
    struct token token = {.text = bytes_slice(text, i, SIZE_MAX), .len = end - i};
    uint8_t before = i > 0 ? text.ptr[i - 1] : ' ';
    bool behind_digit = i > 1 && char_is_digit(text.ptr[i - 2]);
    token.number_goes_on = behind_digit && before == '.';
    token.follows_number = behind_digit && before == ' ';
    bool is_escape = i > 1 && text.ptr[i - 2] == '\\' && char_is_one_of(before, ESCAPES);
    token.run_goes_on = (char_is_token(before) || char_is_one_of(before, "+/=")) && !is_escape;
    return token;
}

unsigned redact(struct redactor *redactor, struct bytes text, struct buffer *out)
{
    if (redactor == NULL) {
        buffer_append_bytes(out, text);
        return 0;
    }
    unsigned masks = 0;
    size_t copied = 0, i = token_begin(text, 0);
    while (i < text.len) {
        size_t end = i;
        uint8_t all = 0;
        for (; end < text.len && char_is_token(text.ptr[end]); end++) {
            all |= char_kind(text.ptr[end]);
        }
        struct token token;
        struct finding finding;
        const char *mask;
        bool found = false;
        if (!is_plain_word(text, i, end, all)) {
            token = token_at(text, i, end);
            found = token_match(&token, &finding, &mask);
        }
        if (!found) {
            i = token_begin(text, end > i ? end : i + 1);
            continue;
        }
        CHECK(finding.keep + finding.mask > 0);
        i += finding.keep + finding.mask;
        if (finding.mask > 0) {
            buffer_append_bytes(out, bytes_slice(text, copied, i - finding.mask - copied));
            buffer_append_text(out, mask);
            copied = i;
            masks++;
        }
        i = token_begin(text, i);
    }
    buffer_append_bytes(out, bytes_slice(text, copied, SIZE_MAX));
    redactor->masks += masks;
    return masks;
}
