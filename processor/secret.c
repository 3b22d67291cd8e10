// SPDX-License-Identifier: Apache-2.0
//
// Known prefixes first, since they are certain; then randomness, measured by entropy and by how
// often the kind of character changes: base64 changes at two of three characters, paths and
// camelCase seldom. Plain hexadecimal has one case of letters and stays, since ids and digests are
// written so. Refused: a list of hundreds of vendors (the run catches their keys). Bounds: judged
// by 128 bytes, 16 KiB of a private key. Pure, any thread.

#include "processor/secret.h"

#include <math.h>

#define KEY_BLOCK_MAX 16384
#define RUN_MIN 32  // of characters judged by their randomness alone

static double entropy_of(struct bytes text)
{
    unsigned counts[256] = {0};
    double bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        counts[text.ptr[i]]++;
    }
    for (size_t i = 0; i < 256; i++) {
        if (counts[i] > 0) {
            double p = (double)counts[i] / (double)text.len;
            bits -= p * log2(p);
        }
    }
    return bits;
}

size_t secret_run_len(struct bytes text, size_t from, const char *further)
{
    size_t i = from;
    while (char_is_token(char_at(text, i)) || char_is_one_of(char_at(text, i), further)) {
        i++;
    }
    return i - from;
}

bool secret_is_unlike_words(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (char_is_digit(text.ptr[i]) || (i > 0 && char_is_upper(text.ptr[i]))) {
            return true;
        }
    }
    return false;
}

bool secret_looks_random(struct bytes text, double entropy_min)
{
    struct bytes head = bytes_slice(text, 0, SECRET_VALUE_MAX);
    return secret_is_unlike_words(head) && entropy_of(head) >= entropy_min;
}

// Keys that say what they are: a known prefix, then enough of the right characters.
static bool match_known_key(const struct token *token, struct finding *finding)
{
    static const struct {
        const char *prefix;
        size_t len_min;
    } keys[] = {{"sk-", 20},         {"sk_live_", 20}, {"sk_test_", 20},
                {"rk_live_", 20},    {"pk-lf-", 20},   {"whsec_", 20},
                {"ghp_", 30},        {"gho_", 30},     {"ghs_", 30},
                {"github_pat_", 30}, {"glpat-", 20},   {"AKIA", 20},
                {"ASIA", 20},        {"AIza", 35},     {"xoxb-", 20},
                {"xoxp-", 20},       {"xapp-", 20},    {"hf_", 30},
                {"npm_", 30},        {"lsv2_", 20},    {"gsk_", 30},
                {"xai-", 30},        {"pypi-", 30},    {"dop_v1_", 30},
                {"shpat_", 30},      {"ya29.", 30},    {"SG.", 30},
                {"r8_", 30},         {"sbp_", 30},     {"AGE-SECRET-KEY-", 40}};
    bool may_be_dotted = char_at(token->text, token->len) == '.' &&
                         char_is_token(char_at(token->text, token->len + 1));
    if (token->len < 16 && !may_be_dotted) {
        return false;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct bytes prefix = bytes_from_text(keys[i].prefix);
        if (bytes_start_with(token->text, prefix)) {
            bool dotted = prefix.ptr[prefix.len - 1] == '.';
            struct bytes head = bytes_slice(token->text, prefix.len, SECRET_VALUE_MAX);
            struct bytes value = bytes_slice(head, 0, secret_run_len(head, 0, dotted ? "." : ""));
            if (prefix.len + value.len < keys[i].len_min || !secret_looks_random(value, 2.5)) {
                return false;
            }
            size_t len = secret_run_len(token->text, 0, dotted ? "." : "");
            *finding = (struct finding){0, char_at(token->text, len - 1) == '.' ? len - 1 : len};
            return true;
        }
    }
    return false;
}

// Three parts of base64url; the first two are JSON objects (RFC 7519).
static bool match_jwt(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    if (token->len < 10 || !bytes_start_with(text, BYTES_LITERAL("eyJ")) ||
        char_at(text, token->len) != '.') {
        return false;
    }
    size_t second = secret_run_len(text, token->len + 1, "");
    size_t end = token->len + 1 + second;
    *finding = (struct finding){
        0, end + (char_at(text, end) == '.' ? secret_run_len(text, end + 1, "") + 1 : 0)};
    return second >= 10;
}

static bool match_key_block(const struct token *token, struct finding *finding)
{
    struct bytes block = bytes_slice(token->text, 0, KEY_BLOCK_MAX);
    if (token->len != 10 || !bytes_start_with(block, BYTES_LITERAL("-----BEGIN ")) ||
        bytes_find(bytes_slice(block, 0, 64), BYTES_LITERAL("PRIVATE KEY"), 0) == SIZE_MAX) {
        return false;
    }
    size_t end = bytes_find(block, BYTES_LITERAL("-----END "), 0);
    size_t dashes = end == SIZE_MAX ? SIZE_MAX : bytes_find(block, BYTES_LITERAL("-----"), end + 9);
    // An open block: all that may be the key.
    *finding = (struct finding){0, dashes == SIZE_MAX ? block.len : dashes + 5};
    return true;
}

// A long run of mixed characters that no language writes. Plain hex (ids, digests) and UUIDs have
// one case only; paths and camelCase change between kinds of characters too seldom.
bool secret_match_run(const struct token *token, struct finding *finding)
{
    bool joined = char_is_one_of(char_at(token->text, token->len), "+/=");
    if (token->run_goes_on || (!joined && token->len < RUN_MIN)) {
        return false;
    }
    size_t len = joined ? secret_run_len(token->text, 0, "+/=") : token->len;
    if (len < RUN_MIN) {
        return false;
    }
    struct bytes head =
        bytes_slice(token->text, 0, len < SECRET_VALUE_MAX ? len : SECRET_VALUE_MAX);
    bool upper = false, lower = false, digit = false;
    size_t changes = 0;
    int kind_before = 0;
    for (size_t i = 0; i < head.len; i++) {
        uint8_t c = head.ptr[i];
        int kind = char_is_upper(c) ? 1 : char_is_lower(c) ? 2 : char_is_digit(c) ? 3 : 4;
        upper = upper || kind == 1;
        lower = lower || kind == 2;
        digit = digit || kind == 3;
        changes += kind != kind_before;
        kind_before = kind;
    }
    *finding = (struct finding){0, len};
    return upper && lower && digit && changes * 5 >= head.len * 2 && entropy_of(head) >= 4.0;
}

bool secret_match_known(const struct token *token, struct finding *finding)
{
    return match_key_block(token, finding) || match_known_key(token, finding) ||
           match_jwt(token, finding);
}
