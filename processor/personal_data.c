// SPDX-License-Identifier: Apache-2.0
//
// One matcher a kind, in a table; the first that matches wins. Numbers may be followed by what
// looks like one more group (4111 1111 1111 1111 12/26), so the longest run of groups that passes
// its test is taken. Refused: national phone formats without a word that announces them (they look
// like order numbers), names and postal addresses (they need a model). Bounds: 320 bytes of
// look-ahead. Pure, any thread.

#include "processor/personal_data.h"

// Does a number end before position i, rather than go on there as another one?
static bool number_ends(struct bytes text, size_t i)
{
    return !char_is_token(char_at(text, i)) &&
           !(char_at(text, i) == '.' && char_is_digit(char_at(text, i + 1)));
}

static bool match_email(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    size_t i = token->len;
    if (!char_is_one_of(char_at(text, i), "@.+%")) {
        return false;
    }
    while (i < 64 && (char_is_token(char_at(text, i)) || char_is_one_of(char_at(text, i), ".+%"))) {
        i++;
    }
    if (char_at(text, i) != '@') {
        return false;
    }
    size_t domain = ++i, end = 0;
    while (i - domain < 255 &&
           (char_is_alnum(char_at(text, i)) || char_is_one_of(char_at(text, i), "-."))) {
        if (char_at(text, i) == '.' && char_is_alpha(char_at(text, i + 1)) &&
            char_is_alpha(char_at(text, i + 2)) && i > domain) {
            end = i + 3;
            while (char_is_alnum(char_at(text, end)) ||
                   (char_at(text, end) == '-' && char_is_alnum(char_at(text, end + 1)))) {
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
        while (char_is_digit(char_at(text, i)) && i - from < 4) {
            value = value * 10 + (unsigned)(char_at(text, i++) - '0');
        }
        if (i == from || i - from > 3 || value > 255 || (part < 3 && char_at(text, i++) != '.')) {
            return false;
        }
    }
    *finding = (struct finding){0, i};
    bool goes_on = char_is_alnum(char_at(text, i)) || char_at(text, i) == '_' ||
                   (char_at(text, i) == '.' && char_is_digit(char_at(text, i + 1)));
    return !goes_on && !token->number_goes_on;
}

static bool is_hex(uint8_t c)
{
    return char_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Eight groups, or fewer with one "::"; so times (12:30:45) and MAC addresses stay. Two groups with
// a "::" between must have a digit, since names of some languages look like that (dead::beef).
static bool match_ipv6(const struct token *token, struct finding *finding)
{
    struct bytes text = token->text;
    size_t i = 0;
    unsigned groups = 0, doubles = 0;
    bool digit = false;
    if (token->len > 4 || char_at(text, token->len) != ':') {
        return false;
    }
    while (i < 46) {
        size_t from = i;
        while (is_hex(char_at(text, i)) && i - from < 5) {
            digit = digit || char_is_digit(char_at(text, i));
            i++;
        }
        if (i - from > 4) {
            return false;
        }
        groups += i > from;
        if (char_at(text, i) != ':' ||
            (!is_hex(char_at(text, i + 1)) && char_at(text, i + 1) != ':')) {
            break;
        }
        bool is_double = char_at(text, i + 1) == ':';
        doubles += is_double;
        i += is_double ? 2 : 1;
    }
    *finding = (struct finding){0, i};
    return !char_is_token(char_at(text, i)) && char_at(text, i) != ':' &&
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
        if (char_is_digit(char_at(text, i))) {
            digits[count++] = (uint8_t)(char_at(text, i) - '0');
            bool may_end = number_ends(text, i + 1);
            if (count >= 13 && may_end && has_issuer(digits, count) && luhn_holds(digits, count)) {
                end = i + 1;
            }
        } else if (count == 0 || !char_is_one_of(char_at(text, i), " -") ||
                   !char_is_digit(char_at(text, i + 1))) {
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
        remainder = char_is_digit(c) ? (remainder * 10 + (unsigned)(c - '0')) % 97
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
    if (!char_is_upper(char_at(text, 0)) || !char_is_upper(char_at(text, 1)) ||
        !char_is_digit(char_at(text, 2)) || !char_is_digit(char_at(text, 3))) {
        return false;
    }
    while (count < sizeof(packed)) {
        uint8_t c = char_at(text, i);
        if (char_is_digit(c) || char_is_upper(c)) {
            packed[count++] = (char)c;
            if (count >= 15 && !char_is_token(char_at(text, i + 1)) && mod_97(packed, count) == 1) {
                end = i + 1;
            }
        } else if (c != ' ' || count % 4 != 0 || !char_is_alnum(char_at(text, i + 1))) {
            break;
        }
        i++;
    }
    *finding = (struct finding){0, end};
    return end > 0;
}

size_t personal_data_phone_end(struct bytes text, size_t from, size_t digits_min, size_t digits_max)
{
    size_t digits = 0, end = 0;
    for (size_t i = from; digits < digits_max && i < from + 40; i++) {
        uint8_t c = char_at(text, i);
        if (char_is_digit(c)) {
            digits++;
            if (digits >= digits_min && number_ends(text, i + 1)) {
                end = i + 1;
            }
        } else if (!char_is_one_of(c, " -./()") || (digits == 0 && c != '(')) {
            break;
        } else if (!char_is_digit(char_at(text, i + 1)) &&
                   !char_is_one_of(char_at(text, i + 1), " (")) {
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
        if (dot ? number.ptr[i] != '.' : !char_is_digit(number.ptr[i])) {
            return false;
        }
    }
    return (number.len - first) % 4 == 0;
}

// The North American grouping: 415-555-2671, (415) 555-2671.
static bool match_phone_grouped(struct bytes text, struct finding *finding)
{
    static const size_t groups[] = {3, 3, 4};
    bool bracket = char_at(text, 0) == '(';
    size_t i = bracket ? 1 : 0;
    if (char_at(text, i) < '2') {
        return false;
    }
    for (size_t g = 0; g < 3; g++) {
        for (size_t k = 0; k < groups[g]; k++, i++) {
            if (!char_is_digit(char_at(text, i))) {
                return false;
            }
        }
        if (g == 0 && bracket) {
            if (char_at(text, i++) != ')') {
                return false;
            }
            i += char_is_one_of(char_at(text, i), " -");
        } else if (g < 2 && !char_is_one_of(char_at(text, i++), "-. ")) {
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
    bool plus = char_at(text, 0) == '+';
    bool noughts = char_at(text, 0) == '0' && char_at(text, 1) == '0' && char_at(text, 2) > '0';
    if (token->number_goes_on || (noughts && token->follows_number)) {
        return false;
    }
    if (!plus && !noughts) {
        return match_phone_grouped(text, finding);
    }
    size_t end = personal_data_phone_end(text, plus ? 1 : 2, plus ? 8 : 10, 15);
    *finding = (struct finding){0, end};
    return end > 0 && !is_grouped_amount(bytes_slice(text, 1, end - 1));
}

bool personal_data_match(const struct token *token, struct finding *finding, const char **mask)
{
    static const struct {
        const char *mask;
        bool (*match)(const struct token *token, struct finding *finding);
        bool number;  // begins with no letter
    } matchers[] = {{"[EMAIL]", match_email, false}, {"[CARD]", match_card, true},
                    {"[IP]", match_ipv4, true},      {"[PHONE]", match_phone, true},
                    {"[IBAN]", match_iban, false},   {"[IP]", match_ipv6, false}};
    bool is_number = !char_is_alpha(char_at(token->text, 0));
    for (size_t i = 0; i < sizeof(matchers) / sizeof(matchers[0]); i++) {
        if ((is_number || !matchers[i].number) && matchers[i].match(token, finding)) {
            *mask = matchers[i].mask;
            return true;
        }
    }
    return false;
}
