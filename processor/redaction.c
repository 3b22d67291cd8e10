// SPDX-License-Identifier: Apache-2.0
//
// One pass over the text, token by token; at each the matchers of a table are tried. A token is
// read once and a matcher reads ahead by a bounded number of bytes, so that the whole is linear on
// any text. Card numbers must pass Luhn and have an issuer, IBANs mod 97, secrets a measure of
// randomness, phone numbers a shape that order numbers, prices and dates do not have. The escapes
// of JSON text (\n) are not taken for letters. Refused: one regular expression per kind (a dozen
// passes, and back-tracking on hostile text), and a look-up of names (it needs a model). Bounds:
// look-ahead 320 bytes, 16 KiB of a private key. One redactor per thread.

#include "processor/redaction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define VALUE_MAX 128  // bytes by which a secret is judged
#define KEY_BLOCK_MAX 16384
#define RUN_MIN 32       // of characters judged by their randomness alone
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

struct token {          // a run of letters, digits, _ and -, and what follows
    struct bytes text;  // from its first byte to the end of all
    size_t len;         // of the run

    bool follows_number;  // a digit and a blank stand before it
    bool number_goes_on;  // stands behind a digit and a dot
    bool run_goes_on;     // stands behind a character of such a run or one of + / =
};

struct finding {  // bytes to keep, then bytes to mask
    size_t keep, mask;
};

// Kinds of characters that tokens are made of, as bits.
enum { KIND_LOWER = 1, KIND_UPPER = 2, KIND_DIGIT = 4, KIND_JOIN = 8 };
static const uint8_t kinds[256] = {['a' ... 'z'] = KIND_LOWER,
                                   ['A' ... 'Z'] = KIND_UPPER,
                                   ['0' ... '9'] = KIND_DIGIT,
                                   ['_'] = KIND_JOIN,
                                   ['-'] = KIND_JOIN};

static bool is_digit(uint8_t c)
{
    return kinds[c] == KIND_DIGIT;
}

static bool is_upper(uint8_t c)
{
    return kinds[c] == KIND_UPPER;
}

static bool is_lower(uint8_t c)
{
    return kinds[c] == KIND_LOWER;
}

static bool is_alpha(uint8_t c)
{
    return (kinds[c] & (KIND_LOWER | KIND_UPPER)) != 0;
}

static bool is_alnum(uint8_t c)
{
    return (kinds[c] & (KIND_LOWER | KIND_UPPER | KIND_DIGIT)) != 0;
}

static bool is_token(uint8_t c)
{
    return kinds[c] != 0;
}

static bool is_one_of(uint8_t c, const char *set)
{
    while (*set != '\0' && (uint8_t)*set != c) {
        set++;
    }
    return *set != '\0';
}

static uint8_t at(struct bytes text, size_t i)
{
    return i < text.len ? text.ptr[i] : 0;
}

// Does a number end before position i, rather than go on there as another one?
static bool number_ends(struct bytes text, size_t i)
{
    return !is_token(at(text, i)) && !(at(text, i) == '.' && is_digit(at(text, i + 1)));
}

// --- structured personal data ---

static bool match_email(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    size_t i = token->len;
    if (!is_one_of(at(text, i), "@.+%")) {
        return false;
    }
    while (i < 64 && (is_token(at(text, i)) || is_one_of(at(text, i), ".+%"))) {
        i++;
    }
    if (at(text, i) != '@') {
        return false;
    }
    size_t domain = ++i, end = 0;
    while (i - domain < 255 && (is_alnum(at(text, i)) || is_one_of(at(text, i), "-."))) {
        if (at(text, i) == '.' && is_alpha(at(text, i + 1)) && is_alpha(at(text, i + 2)) &&
            i > domain) {
            end = i + 3;
            while (is_alnum(at(text, end)) ||
                   (at(text, end) == '-' && is_alnum(at(text, end + 1)))) {
                end++;
            }
        }
        i++;
    }
    *finding = (struct finding){0, end};
    return end > 0;
}

static bool match_ipv4(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
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
    bool goes_on = is_alnum(at(text, i)) || at(text, i) == '_' ||
                   (at(text, i) == '.' && is_digit(at(text, i + 1)));
    return !goes_on && !token->number_goes_on;
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Eight groups, or fewer with one "::"; so times (12:30:45) and MAC addresses stay. Two groups with
// a "::" between must have a digit, since names of some languages look like that (dead::beef).
static bool match_ipv6(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    size_t i = 0;
    unsigned groups = 0, doubles = 0;
    bool digit = false;
    if (token->len > 4 || at(text, token->len) != ':') {
        return false;
    }
    while (i < 46) {
        size_t from = i;
        while (is_hex(at(text, i)) && i - from < 5) {
            digit = digit || is_digit(at(text, i));
            i++;
        }
        if (i - from > 4) {
            return false;
        }
        groups += i > from;
        if (at(text, i) != ':' || (!is_hex(at(text, i + 1)) && at(text, i + 1) != ':')) {
            break;
        }
        bool is_double = at(text, i + 1) == ':';
        doubles += is_double;
        i += is_double ? 2 : 1;
    }
    *finding = (struct finding){0, i};
    return !is_token(at(text, i)) && at(text, i) != ':' &&
           ((groups == 8 && doubles == 0) || (doubles == 1 && groups >= 2 && groups < 8 && digit));
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

// Issuers' first digits and the lengths that they use (ISO/IEC 7812).
static bool has_issuer(const uint8_t *digits, size_t count)
{
    unsigned four = digits[0] * 1000U + digits[1] * 100U + digits[2] * 10U + digits[3];
    unsigned two = four / 100, three = four / 10;
    return (digits[0] == 4 && (count == 13 || count == 16 || count == 19)) ||
           (count == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))) ||
           (count == 15 && (two == 34 || two == 37)) ||
           (count == 14 && ((three >= 300 && three <= 305) || two == 36 || two == 38)) ||
           (count >= 16 && (two == 35 || two == 60 || two == 62 || two == 64 || two == 65));
}

// The longest run of digit groups that is a card number: what follows it may look like one more.
static bool match_card(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    uint8_t digits[19];
    size_t count = 0, i = 0, end = 0;
    while (count < sizeof(digits)) {
        if (is_digit(at(text, i))) {
            digits[count++] = (uint8_t)(at(text, i) - '0');
            bool may_end = number_ends(text, i + 1);
            if (count >= 13 && may_end && has_issuer(digits, count) && luhn_holds(digits, count)) {
                end = i + 1;
            }
        } else if (count == 0 || !is_one_of(at(text, i), " -") || !is_digit(at(text, i + 1))) {
            break;
        }
        i++;
    }
    *finding = (struct finding){0, end};
    return end > 0 && !token->number_goes_on;
}

static unsigned mod_97(const char *packed, size_t count)
{
    unsigned remainder = 0;
    for (size_t k = 0; k < count; k++) {
        uint8_t c = (uint8_t)packed[(k + 4) % count];
        remainder = is_digit(c) ? (remainder * 10 + (unsigned)(c - '0')) % 97
                                : (remainder * 100 + (unsigned)(c - 'A' + 10)) % 97;
    }
    return remainder;
}

// Groups of four with blanks between, or none (ISO 13616).
static bool match_iban(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    char packed[34];
    size_t count = 0, i = 0, end = 0;
    if (!is_upper(at(text, 0)) || !is_upper(at(text, 1)) || !is_digit(at(text, 2)) ||
        !is_digit(at(text, 3))) {
        return false;
    }
    while (count < sizeof(packed)) {
        uint8_t c = at(text, i);
        if (is_digit(c) || is_upper(c)) {
            packed[count++] = (char)c;
            if (count >= 15 && !is_token(at(text, i + 1)) && mod_97(packed, count) == 1) {
                end = i + 1;
            }
        } else if (c != ' ' || count % 4 != 0 || !is_alnum(at(text, i + 1))) {
            break;
        }
        i++;
    }
    *finding = (struct finding){0, end};
    return end > 0;
}

// Digits with single separators between: where the longest run of `digits_min` to `digits_max`
// ends, 0 if there is none.
static size_t phone_end(struct bytes text, size_t from, size_t digits_min, size_t digits_max)
{
    size_t digits = 0, end = 0;
    for (size_t i = from; digits < digits_max && i < from + 40; i++) {
        uint8_t c = at(text, i);
        if (is_digit(c)) {
            digits++;
            if (digits >= digits_min && number_ends(text, i + 1)) {
                end = i + 1;
            }
        } else if (!is_one_of(c, " -./()") || (digits == 0 && c != '(')) {
            break;
        } else if (!is_digit(at(text, i + 1)) && !is_one_of(at(text, i + 1), " (")) {
            break;
        }
    }
    return end;
}

// +1.234.567.890 is an amount.
static bool is_grouped_amount(struct bytes number)
{
    size_t first = bytes_find(number, BYTES_LITERAL("."), 0);
    if (first == SIZE_MAX || first > 4) {
        return false;
    }
    for (size_t i = first; i < number.len; i++) {
        bool dot = (i - first) % 4 == 0;
        if (dot ? number.ptr[i] != '.' : !is_digit(number.ptr[i])) {
            return false;
        }
    }
    return (number.len - first) % 4 == 0;
}

// The North American grouping: 415-555-2671, (415) 555-2671.
static bool match_phone_grouped(struct bytes text, struct finding *finding)
{
    static const size_t groups[] = {3, 3, 4};
    bool bracket = at(text, 0) == '(';
    size_t i = bracket ? 1 : 0;
    if (at(text, i) < '2') {
        return false;
    }
    for (size_t g = 0; g < 3; g++) {
        for (size_t k = 0; k < groups[g]; k++, i++) {
            if (!is_digit(at(text, i))) {
                return false;
            }
        }
        if (g == 0 && bracket) {
            if (at(text, i++) != ')') {
                return false;
            }
            i += is_one_of(at(text, i), " -");
        } else if (g < 2 && !is_one_of(at(text, i++), "-. ")) {
            return false;
        }
    }
    *finding = (struct finding){0, i};
    return number_ends(text, i);
}

// International: + or 00, then 8 to 15 digits (ITU-T E.164). Behind 00 at least ten, since order
// numbers are padded with noughts.
static bool match_phone(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    bool plus = at(text, 0) == '+';
    bool noughts = at(text, 0) == '0' && at(text, 1) == '0' && at(text, 2) > '0';
    if (token->number_goes_on || (noughts && token->follows_number)) {
        return false;
    }
    if (!plus && !noughts) {
        return match_phone_grouped(text, finding);
    }
    size_t end = phone_end(text, plus ? 1 : 2, plus ? 8 : 10, 15);
    *finding = (struct finding){0, end};
    return end > 0 && !is_grouped_amount(bytes_slice(text, 1, end - 1));
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

// How many bytes from `from` on are of a token or in `further`. To the end: what is found is masked
// whole. What is only looked at is cut first.
static size_t run_len(struct bytes text, size_t from, const char *further)
{
    size_t i = from;
    while (is_token(at(text, i)) || is_one_of(at(text, i), further)) {
        i++;
    }
    return i - from;
}

// A digit, or a capital behind the first character: words have neither.
static bool is_unlike_words(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_digit(text.ptr[i]) || (i > 0 && is_upper(text.ptr[i]))) {
            return true;
        }
    }
    return false;
}

// Is it as random as a secret? Judged by its first bytes.
static bool looks_random(struct bytes text, double entropy_min)
{
    struct bytes head = bytes_slice(text, 0, VALUE_MAX);
    return is_unlike_words(head) && entropy_of(head) >= entropy_min;
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
    bool may_be_dotted =
        at(token->text, token->len) == '.' && is_token(at(token->text, token->len + 1));
    if (token->len < 16 && !may_be_dotted) {
        return false;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct bytes prefix = bytes_from_text(keys[i].prefix);
        if (bytes_start_with(token->text, prefix)) {
            bool dotted = prefix.ptr[prefix.len - 1] == '.';
            struct bytes head = bytes_slice(token->text, prefix.len, VALUE_MAX);
            struct bytes value = bytes_slice(head, 0, run_len(head, 0, dotted ? "." : ""));
            if (prefix.len + value.len < keys[i].len_min || !looks_random(value, 2.5)) {
                return false;
            }
            size_t len = run_len(token->text, 0, dotted ? "." : "");
            *finding = (struct finding){0, at(token->text, len - 1) == '.' ? len - 1 : len};
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
        at(text, token->len) != '.') {
        return false;
    }
    size_t second = run_len(text, token->len + 1, "");
    size_t end = token->len + 1 + second;
    *finding =
        (struct finding){0, end + (at(text, end) == '.' ? run_len(text, end + 1, "") + 1 : 0)};
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
static bool match_run(const struct token *token, struct finding *finding)
{
    bool joined = is_one_of(at(token->text, token->len), "+/=");
    if (token->run_goes_on || (!joined && token->len < RUN_MIN)) {
        return false;
    }
    size_t len = joined ? run_len(token->text, 0, "+/=") : token->len;
    if (len < RUN_MIN) {
        return false;
    }
    struct bytes head = bytes_slice(token->text, 0, len < VALUE_MAX ? len : VALUE_MAX);
    bool upper = false, lower = false, digit = false;
    size_t changes = 0;
    int kind_before = 0;
    for (size_t i = 0; i < head.len; i++) {
        uint8_t c = head.ptr[i];
        int kind = is_upper(c) ? 1 : is_lower(c) ? 2 : is_digit(c) ? 3 : 4;
        upper = upper || kind == 1;
        lower = lower || kind == 2;
        digit = digit || kind == 3;
        changes += kind != kind_before;
        kind_before = kind;
    }
    *finding = (struct finding){0, len};
    return upper && lower && digit && changes * 5 >= head.len * 2 && entropy_of(head) >= 4.0;
}

// --- keywords: password: hunter22, "api_key": "...", Authorization: Bearer ..., tel. 030 123456
// ---

enum keyword_kind {
    KEYWORD_PASSWORD,  // what stands behind it is secret whatever it looks like
    KEYWORD_KEY,       // secret if it looks random
    KEYWORD_SCHEME,    // the same, with a blank between
    KEYWORD_PHONE,
    KEYWORD_VERSION,  // what stands behind it is no address
};

#define KEYWORD(word, kind)                                                                        \
    {                                                                                              \
        word, sizeof(word) - 1, KEYWORD_##kind                                                     \
    }

static const struct keyword {
    const char *word;
    size_t len;
    enum keyword_kind kind;
} keywords[] = {
    KEYWORD("password", PASSWORD), KEYWORD("passwd", PASSWORD), KEYWORD("passphrase", PASSWORD),
    KEYWORD("pwd", PASSWORD),      KEYWORD("api_key", KEY),     KEYWORD("apikey", KEY),
    KEYWORD("api-key", KEY),       KEYWORD("secret_key", KEY),  KEYWORD("secretkey", KEY),
    KEYWORD("secret", KEY),        KEYWORD("token", KEY),       KEYWORD("access_key", KEY),
    KEYWORD("accesskey", KEY),     KEYWORD("private_key", KEY), KEYWORD("authorization", KEY),
    KEYWORD("credential", KEY),    KEYWORD("bearer", SCHEME),   KEYWORD("basic", SCHEME),
    KEYWORD("phone", PHONE),       KEYWORD("telephone", PHONE), KEYWORD("tel", PHONE),
    KEYWORD("mobile", PHONE),      KEYWORD("cell", PHONE),      KEYWORD("fax", PHONE),
    KEYWORD("whatsapp", PHONE),    KEYWORD("version", VERSION), KEYWORD("ver", VERSION),
    KEYWORD("release", VERSION),   KEYWORD("build", VERSION),   KEYWORD("firmware", VERSION),
};

// The keyword that a token is (DB_PASSWORD and userPassword end in one), or NULL.
static const struct keyword *keyword_of(const struct token *token, bool separated)
{
    struct bytes word = bytes_slice(token->text, 0, token->len);
    if (token->len < 3 || token->len > 64 ||
        !is_one_of(at(word, word.len - 1) | 0x20, "deytnrclxp") ||
        (!separated && !is_one_of(at(word, 0) | 0x20, "pbtmcfwvr"))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        size_t len = keywords[i].len;
        bool may_end_in_it = separated && keywords[i].kind <= KEYWORD_KEY;
        if ((len == word.len || (may_end_in_it && len < word.len)) &&
            bytes_equal_nocase(bytes_slice(word, word.len - len, len), keywords[i].word)) {
            return &keywords[i];
        }
    }
    return NULL;
}

struct gap {  // between keyword and value
    size_t len;
    bool separated;  // has : or =
};

static struct gap gap_of(struct bytes text, size_t from)
{
    struct gap gap = {0, false};
    while (gap.len < 8 && is_one_of(at(text, from + gap.len), "\"' :=\\#")) {
        gap.separated = gap.separated || is_one_of(at(text, from + gap.len), ":=");
        gap.len++;
    }
    return gap;
}

static bool password_value(struct bytes text, size_t from, bool separated, struct finding *finding)
{
    static const char *const no_secret[] = {"null", "none", "true", "false", "required", "string"};
    size_t end = from;
    if (!separated && bytes_start_with(bytes_slice(text, from, SIZE_MAX), BYTES_LITERAL("is "))) {
        end = from += 3;
    } else if (!separated) {
        return false;
    }
    if (is_one_of(at(text, from), "[$*{")) {
        return false;  // masked already, or a variable
    }
    bool quoted = is_one_of(at(text, from - 1), "\"'");
    const char *ends = quoted ? "\"'\\" : " \"'\\,;)]}<>`";
    while (at(text, end) >= ' ' && !is_one_of(at(text, end), ends)) {
        end++;
    }
    while (end > from && at(text, end - 1) == '.') {
        end--;
    }
    struct bytes value = bytes_slice(text, from, end - from);
    for (size_t i = 0; i < sizeof(no_secret) / sizeof(no_secret[0]); i++) {
        if (bytes_equal_nocase(value, no_secret[i])) {
            return false;
        }
    }
    *finding = (struct finding){from, value.len};
    return value.len >= 4 && (separated || is_unlike_words(value));
}

static bool key_value(struct bytes text, size_t from, struct finding *finding)
{
    struct bytes head = bytes_slice(text, from, VALUE_MAX);
    struct bytes value = bytes_slice(head, 0, run_len(head, 0, "+/=.~"));
    if (value.len < 12 || !looks_random(value, 3.0)) {
        return false;
    }
    size_t len = run_len(text, from, "+/=.~");
    *finding = (struct finding){from, at(text, from + len - 1) == '.' ? len - 1 : len};
    return true;
}

// "tel. 030 1234567", "Phone number: ..."
static bool phone_value(struct bytes text, size_t from, struct finding *finding)
{
    static const char *const between[] = {" number", " no", "."};
    for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
        struct bytes word = bytes_from_text(between[i]);
        from += bytes_equal_nocase(bytes_slice(text, from, word.len), between[i]) ? word.len : 0;
    }
    from += gap_of(text, from).len;
    size_t plus = at(text, from) == '+';
    size_t end = phone_end(text, from + plus, 7, 15);
    *finding = (struct finding){from, end > from ? end - from : 0};
    return end > from;
}

static bool version_value(struct bytes text, size_t from, struct finding *finding)
{
    size_t i = from;
    bool dotted = false;
    while (i < from + 32 && (is_digit(at(text, i)) || at(text, i) == '.')) {
        dotted = dotted || at(text, i) == '.';
        i++;
    }
    *finding = (struct finding){i, 0};
    return dotted;
}

// A mask of "" keeps what was found.
static bool match_keyword(const struct token *token, struct finding *finding, const char **mask)
{
    struct gap gap = gap_of(token->text, token->len);
    const struct keyword *keyword = keyword_of(token, gap.separated);
    if (keyword == NULL) {
        return false;
    }
    *mask = keyword->kind == KEYWORD_PHONE     ? "[PHONE]"
            : keyword->kind == KEYWORD_VERSION ? ""
                                               : "[SECRET]";
    size_t from = token->len + gap.len;
    switch (keyword->kind) {
    case KEYWORD_PASSWORD:
        return gap.len > 0 && password_value(token->text, from, gap.separated, finding);
    case KEYWORD_KEY:
        return gap.separated && key_value(token->text, from, finding);
    case KEYWORD_SCHEME:
        return gap.len > 0 && key_value(token->text, from, finding);
    case KEYWORD_PHONE:
        return phone_value(token->text, token->len, finding);
    case KEYWORD_VERSION:
        return version_value(token->text, from, finding);
    }
    return false;
}

// --- the pass ---

static bool match_number(const struct token *token, struct finding *finding, const char **mask)
{
    if (match_card(token, finding)) {
        *mask = "[CARD]";
    } else if (match_ipv4(token, finding)) {
        *mask = "[IP]";
    } else if (match_phone(token, finding)) {
        *mask = "[PHONE]";
    } else {
        return false;
    }
    return true;
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
    bool is_end_of_sentence = at(text, end) == '.' && !is_token(at(text, end + 1));
    return (all & (KIND_DIGIT | KIND_JOIN)) == 0 && end > i && end - i < 16 &&
           (!matters[at(text, end)] || is_end_of_sentence) && !begins[text.ptr[i] | 0x20];
}

// Tries what may begin with this token.
static bool token_match(const struct token *token, struct finding *finding, const char **mask)
{
    uint8_t first = at(token->text, 0);
    *mask = "[SECRET]";
    if (first == '-') {
        return match_key_block(token, finding);
    }
    if (match_known_key(token, finding) || match_jwt(token, finding)) {
        return true;
    }
    if (is_alpha(first) && match_keyword(token, finding, mask)) {
        return true;
    }
    *mask = "[EMAIL]";
    if (match_email(token, finding)) {
        return true;
    }
    if (!is_alpha(first) && match_number(token, finding, mask)) {
        return true;
    }
    *mask = "[IBAN]";
    if (match_iban(token, finding)) {
        return true;
    }
    *mask = "[IP]";
    if (match_ipv6(token, finding)) {
        return true;
    }
    *mask = "[SECRET]";
    return match_run(token, finding);
}

// Where the token at or behind `i` begins: not at the letter of a JSON escape, not at the dashes
// and underscores before it, but for those of a key block.
static size_t token_begin(struct bytes text, size_t i)
{
    while (i < text.len) {
        uint8_t c = text.ptr[i];
        if (i > 0 && text.ptr[i - 1] == '\\' && is_one_of(c, ESCAPES)) {
            i++;
        } else if (is_alnum(c) || c == '+' || c == '(' ||
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
    bool behind_digit = i > 1 && is_digit(text.ptr[i - 2]);
    token.number_goes_on = behind_digit && before == '.';
    token.follows_number = behind_digit && before == ' ';
    bool is_escape = i > 1 && text.ptr[i - 2] == '\\' && is_one_of(before, ESCAPES);
    token.run_goes_on = (is_token(before) || is_one_of(before, "+/=")) && !is_escape;
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
        for (; end < text.len && is_token(text.ptr[end]); end++) {
            all |= kinds[text.ptr[end]];
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
