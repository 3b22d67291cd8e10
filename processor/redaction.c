// SPDX-License-Identifier: Apache-2.0
//
// One pass over the text; at the start of each token the matchers of a table are tried, each reading ahead by a bounded number of bytes, so that the
// whole is linear. Card numbers must pass Luhn, IBANs mod 97, secrets an entropy bound, phone numbers a shape that order numbers, prices and
// dates do not have. Refused: one regular expression per kind (a dozen passes, and back-tracking on hostile text). Bounds: look-ahead 4 KiB
// (private key blocks 16 KiB). One redactor per thread.

#include "processor/redaction.h"

#include "base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AHEAD 4096       // behind a prefix that says what follows
#define VALUE_MAX 512         // behind a keyword, and of a run judged by entropy alone
#define KEY_BLOCK_MAX 16384

struct redactor {
    unsigned masks;  // since it was made
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

// What a matcher found: bytes to keep as they are, then bytes to mask.
struct finding {
    size_t keep, mask;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(uint8_t c)
{
    return is_digit(c) || is_alpha(c) || c == '_' || c == '-';
}

static uint8_t at(struct bytes text, size_t i)
{
    return i < text.len ? text.ptr[i] : 0;
}

// --- structured personal data ---

static bool match_email(struct bytes text, struct finding *finding)
{
    size_t i = 0;
    while (i < 64 && (is_token(at(text, i)) || at(text, i) == '.' || at(text, i) == '+' || at(text, i) == '%')) {
        i++;
    }
    if (i == 0 || at(text, i) != '@') {
        return false;
    }
    size_t domain = ++i, last_dot = 0;
    while (i - domain < 255 && (is_digit(at(text, i)) || is_alpha(at(text, i)) || at(text, i) == '-' || at(text, i) == '.')) {
        last_dot = at(text, i) == '.' && is_alpha(at(text, i + 1)) ? i : last_dot;
        i++;
    }
    if (last_dot <= domain) {
        return false;
    }
    size_t end = last_dot + 1;
    while (is_alpha(at(text, end)) || is_digit(at(text, end)) || (at(text, end) == '-' && is_alpha(at(text, end + 1)))) {
        end++;
    }
    *finding = (struct finding){0, end};
    return end - last_dot > 2;
}

static bool match_ipv4(struct bytes text, struct finding *finding)
{
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t from = i;
        while (is_digit(at(text, i)) && i - from < 4) {
            value = value * 10 + (unsigned)(at(text, i++) - '0');
        }
        if (i == from || i - from > 3 || value > 255 || (part < 3 && at(text, i++) != '.')) {
            return false;
        }
    }
    *finding = (struct finding){0, i};
    return !is_digit(at(text, i)) && !is_alpha(at(text, i)) && !(at(text, i) == '.' && is_digit(at(text, i + 1)));
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Eight groups, or fewer with one "::"; at least three groups, so that times (12:30:45) stay.
static bool match_ipv6(struct bytes text, struct finding *finding)
{
    size_t i = 0;
    unsigned groups = 0, doubles = 0;
    bool letter = false;
    while (i < 46) {
        size_t from = i;
        while (is_hex(at(text, i)) && i - from < 5) {
            letter = letter || is_alpha(at(text, i));
            i++;
        }
        if (i - from > 4) {
            return false;
        }
        groups += i > from;
        if (at(text, i) != ':' || (!is_hex(at(text, i + 1)) && at(text, i + 1) != ':')) {
            break;
        }
        if (at(text, i + 1) == ':') {
            doubles++;
            i++;
        }
        i++;
    }
    *finding = (struct finding){0, i};
    return !is_token(at(text, i)) && ((groups == 8 && doubles == 0) || (doubles == 1 && groups >= 3 && groups < 8) ||
                                      (doubles == 1 && groups == 2 && letter));
}

static bool luhn_holds(const uint8_t *digits, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = digits[count - 1 - i];
        if (i % 2 == 1) {
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        }
        sum += digit;
    }
    return sum % 10 == 0;
}

static bool match_card(struct bytes text, struct finding *finding)
{
    uint8_t digits[20];
    size_t count = 0, i = 0;
    bool same = true;
    while (count < sizeof(digits)) {
        if (is_digit(at(text, i))) {
            digits[count++] = (uint8_t)(at(text, i) - '0');
            same = same && digits[count - 1] == digits[0];
        } else if (!((at(text, i) == ' ' || at(text, i) == '-') && is_digit(at(text, i + 1)) && count > 0 && count % 4 <= 2)) {
            break;
        }
        i++;
    }
    *finding = (struct finding){0, i};
    return count >= 13 && count <= 19 && !same && digits[0] >= 2 && digits[0] <= 6 && !is_token(at(text, i)) && luhn_holds(digits, count);
}

static bool match_iban(struct bytes text, struct finding *finding)
{
    char packed[36];
    size_t count = 0, i = 0;
    if (!(at(text, 0) >= 'A' && at(text, 0) <= 'Z' && at(text, 1) >= 'A' && at(text, 1) <= 'Z' && is_digit(at(text, 2)) &&
          is_digit(at(text, 3)))) {
        return false;
    }
    while (count < sizeof(packed)) {
        uint8_t c = at(text, i);
        if (is_digit(c) || (c >= 'A' && c <= 'Z')) {
            packed[count++] = (char)c;
        } else if (!(c == ' ' && count % 4 == 0 && (is_digit(at(text, i + 1)) || (at(text, i + 1) >= 'A' && at(text, i + 1) <= 'Z')))) {
            break;
        }
        i++;
    }
    unsigned remainder = 0;
    for (size_t k = 0; k < count; k++) {
        char c = packed[(k + 4) % count];
        remainder = is_digit((uint8_t)c) ? (remainder * 10 + (unsigned)(c - '0')) % 97 : (remainder * 100 + (unsigned)(c - 'A' + 10)) % 97;
    }
    *finding = (struct finding){0, i};
    return count >= 15 && count <= 34 && remainder == 1 && !is_token(at(text, i));
}

// International (+ or 00) with 8 to 15 digits, or the North American grouping.
static bool match_phone(struct bytes text, struct finding *finding)
{
    size_t i = 0, digits = 0;
    bool international = at(text, 0) == '+' || (at(text, 0) == '0' && at(text, 1) == '0' && is_digit(at(text, 2)) && at(text, 2) != '0');
    if (international) {
        i = at(text, 0) == '+' ? 1 : 2;
        size_t end = i;
        while (digits < 16 && i < 32) {
            uint8_t c = at(text, i);
            if (is_digit(c)) {
                digits++;
                end = i + 1;
            } else if (!((c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/') && digits > 0)) {
                break;
            }
            i++;
        }
        *finding = (struct finding){0, end};
        return digits >= 8 && digits <= 15 && !is_token(at(text, end));
    }
    bool bracket = at(text, 0) == '(';
    static const size_t groups[] = {3, 3, 4};
    for (size_t g = 0; g < 3; g++) {
        i += g == 0 && bracket;
        for (size_t k = 0; k < groups[g]; k++, i++) {
            if (!is_digit(at(text, i))) {
                return false;
            }
        }
        if (g == 0 && bracket) {
            if (at(text, i++) != ')') {
                return false;
            }
            i += at(text, i) == ' ' || at(text, i) == '-';
        } else if (g < 2) {
            uint8_t c = at(text, i++);
            if (c != '-' && c != '.' && c != ' ') {
                return false;
            }
        }
    }
    *finding = (struct finding){0, i};
    return !is_token(at(text, i));
}

// --- secrets ---

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

static size_t token_len(struct bytes text, const char *further, size_t len_max)
{
    size_t i = 0;
    while (i < text.len && i < len_max && (is_token(text.ptr[i]) || (text.ptr[i] != '\0' && strchr(further, text.ptr[i]) != NULL))) {
        i++;
    }
    return i;
}

// Keys that say what they are: a known prefix, then enough of the right characters.
static bool match_known_key(struct bytes text, struct finding *finding)
{
    static const struct {
        const char *prefix;
        size_t len_min;
    } keys[] = {{"sk-", 20},   {"pk-lf-", 20}, {"rk_live_", 20}, {"sk_live_", 20}, {"sk_test_", 20}, {"ghp_", 30},  {"gho_", 30},
                {"ghs_", 30},  {"github_pat_", 30}, {"glpat-", 20}, {"AKIA", 20},   {"ASIA", 20},     {"AIza", 35},  {"xoxb-", 20},
                {"xoxp-", 20}, {"hf_", 30},     {"npm_", 30},     {"lsv2_", 20},    {"SG.", 30},       {"whsec_", 20}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (bytes_start_with(text, bytes_from_text(keys[i].prefix))) {
            size_t len = token_len(text, ".", LOOK_AHEAD);
            *finding = (struct finding){0, len};
            return len >= keys[i].len_min && entropy_of(bytes_slice(text, 0, len)) > 2.5;
        }
    }
    return false;
}

static bool match_jwt(struct bytes text, struct finding *finding)
{
    if (!bytes_start_with(text, BYTES_LITERAL("eyJ"))) {
        return false;
    }
    size_t len = token_len(text, ".=", LOOK_AHEAD);
    struct bytes token = bytes_slice(text, 0, len);
    size_t first = bytes_find(token, BYTES_LITERAL("."), 0);
    *finding = (struct finding){0, len};
    return first != SIZE_MAX && bytes_find(token, BYTES_LITERAL("."), first + 1) != SIZE_MAX && len > 30;
}

static bool match_key_block(struct bytes text, struct finding *finding)
{
    if (!bytes_start_with(text, BYTES_LITERAL("-----BEGIN "))) {
        return false;
    }
    struct bytes block = bytes_slice(text, 0, KEY_BLOCK_MAX);
    if (bytes_find(bytes_slice(block, 0, 64), BYTES_LITERAL("PRIVATE KEY"), 0) == SIZE_MAX) {
        return false;
    }
    size_t end = bytes_find(block, BYTES_LITERAL("-----END "), 0);
    size_t dashes = end == SIZE_MAX ? SIZE_MAX : bytes_find(block, BYTES_LITERAL("-----"), end + 9);
    *finding = (struct finding){0, dashes == SIZE_MAX ? block.len : dashes + 5};  // an open block: all that may be the key
    return true;
}

// password: hunter22!, "api_key": "...", Authorization: Bearer ...
static bool match_keyword(struct bytes text, struct finding *finding)
{
    static const struct {
        const char *word;
        bool any_value;  // what stands behind it is secret whatever it looks like
    } words[] = {{"password", true}, {"passwd", true}, {"passphrase", true}, {"api_key", false}, {"apikey", false}, {"api-key", false},
                 {"secret_key", false}, {"client_secret", false}, {"secret", false}, {"access_token", false}, {"refresh_token", false},
                 {"auth_token", false}, {"token", false}, {"access_key", false}, {"private_key", false}, {"authorization", false},
                 {"bearer", false}, {"basic", false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].word);
        if (!bytes_equal_nocase(bytes_slice(text, 0, len), words[i].word) || is_token(at(text, len))) {
            continue;
        }
        size_t from = len;
        bool separated = false;
        while (from < len + 6 && at(text, from) != 0 && strchr("\"' :=\\", at(text, from)) != NULL) {
            separated = separated || at(text, from) == ':' || at(text, from) == '=';
            from++;
        }
        bool scheme = words[i].word[0] == 'b';  // bearer, basic: a blank is enough
        if (from == len || (!separated && !scheme)) {
            return false;
        }
        struct bytes value = bytes_slice(text, from, token_len(bytes_slice(text, from, SIZE_MAX), "+/=.!@#%^&*~$", VALUE_MAX));
        while (value.len > 0 && (value.ptr[value.len - 1] == '.' || value.ptr[value.len - 1] == '!')) {
            value.len--;
        }
        *finding = (struct finding){from, value.len};
        if (words[i].any_value) {
            return separated && value.len >= 4;
        }
        return value.len >= 12 && entropy_of(value) >= 3.0;
    }
    return false;
}

// A long run of mixed characters that no language writes. Plain hex (ids, digests) and UUIDs stay.
static bool match_entropy(struct bytes text, struct finding *finding)
{
    size_t len = token_len(text, "+/=", VALUE_MAX);
    bool upper = false, lower = false, digit = false;
    if (len < 32) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.ptr[i];
        upper = upper || (c >= 'A' && c <= 'Z');
        lower = lower || (c >= 'a' && c <= 'z');
        digit = digit || is_digit(c);
    }
    *finding = (struct finding){0, len};
    return upper && lower && digit && entropy_of(bytes_slice(text, 0, len)) >= 4.2;
}

static const struct {
    const char *mask;
    bool (*match)(struct bytes text, struct finding *finding);
} matchers[] = {
    {"[SECRET]", match_key_block}, {"[SECRET]", match_known_key}, {"[SECRET]", match_jwt}, {"[SECRET]", match_keyword},
    {"[EMAIL]", match_email},      {"[IBAN]", match_iban},         {"[CARD]", match_card},  {"[IP]", match_ipv4},
    {"[IP]", match_ipv6},          {"[PHONE]", match_phone},       {"[SECRET]", match_entropy},
};

// Where a token may begin: not inside a word, a number or an address.
static bool is_start(struct bytes text, size_t i)
{
    uint8_t c = text.ptr[i], before = i > 0 ? text.ptr[i - 1] : ' ';
    if (c >= 0x80 || (!is_token(c) && c != '+' && c != '(')) {
        return false;
    }
    if (is_token(before) || before >= 0x80) {
        return c == '-' && before == '-' ? false : !is_token(c);
    }
    return !(before == '.' && i > 1 && is_digit(text.ptr[i - 2]));
}

unsigned redact(struct redactor *redactor, struct bytes text, struct buffer *out)
{
    if (!redactor) {
        buffer_append_bytes(out, text);  // redaction.mode: off
        return 0;
    }
    unsigned masks = 0;
    size_t from = 0, i = 0;
    while (i < text.len) {
        struct finding finding;
        size_t m = sizeof(matchers) / sizeof(matchers[0]);
        if (is_start(text, i)) {
            for (m = 0; m < sizeof(matchers) / sizeof(matchers[0]); m++) {
                if (matchers[m].match(bytes_slice(text, i, SIZE_MAX), &finding)) {
                    break;
                }
            }
        }
        if (m == sizeof(matchers) / sizeof(matchers[0])) {
            i++;
            continue;
        }
        buffer_append_bytes(out, bytes_slice(text, from, i - from + finding.keep));
        buffer_append_text(out, matchers[m].mask);
        i += finding.keep + finding.mask;
        while (is_token(at(text, i)) && is_token(text.ptr[i - 1])) {
            i++;  // the rest of a token that is longer than what was read ahead
        }
        from = i;
        masks++;
    }
    buffer_append_bytes(out, bytes_slice(text, from, SIZE_MAX));
    redactor->masks += masks;
    return masks;
}
