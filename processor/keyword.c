// SPDX-License-Identifier: Apache-2.0
//
// A table of words by what may follow them. Those of secrets may end a longer identifier
// (DB_PASSWORD, userPassword); what stands behind "password" is secret whatever it looks like,
// behind the others if it looks random. Refused: looking back from a value to a word before it.
// Bounds: 64 bytes of identifier, 8 between word and value, a value's first 128 bytes. Pure, any
// thread.

#include "processor/keyword.h"

#include "processor/personal_data.h"
#include "processor/secret.h"

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
        !char_is_one_of(char_at(word, word.len - 1) | 0x20, "deytnrclxp") ||
        (!separated && !char_is_one_of(char_at(word, 0) | 0x20, "pbtmcfwvr"))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        size_t len = keywords[i].len;
        bool may_end_in_it = separated && keywords[i].kind <= KEYWORD_KEY;
        if ((len == word.len || (may_end_in_it && len < word.len)) &&
            (word.ptr[word.len - len] | 0x20) == keywords[i].word[0] &&
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
    while (gap.len < 8 && char_is_one_of(char_at(text, from + gap.len), "\"' :=\\#")) {
        gap.separated = gap.separated || char_is_one_of(char_at(text, from + gap.len), ":=");
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
    if (char_is_one_of(char_at(text, from), "[$*{")) {
        return false;  // masked already, or a variable
    }
    bool quoted = char_is_one_of(char_at(text, from - 1), "\"'");
    const char *ends = quoted ? "\"'\\" : " \"'\\,;)]}<>`";
    while (char_at(text, end) >= ' ' && !char_is_one_of(char_at(text, end), ends)) {
        end++;
    }
    while (end > from && char_at(text, end - 1) == '.') {
        end--;
    }
    struct bytes value = bytes_slice(text, from, end - from);
    for (size_t i = 0; i < sizeof(no_secret) / sizeof(no_secret[0]); i++) {
        if (bytes_equal_nocase(value, no_secret[i])) {
            return false;
        }
    }
    *finding = (struct finding){from, value.len};
    return value.len >= 4 && (separated || secret_is_unlike_words(value));
}

static bool key_value(struct bytes text, size_t from, struct finding *finding)
{
    struct bytes head = bytes_slice(text, from, SECRET_VALUE_MAX);
    struct bytes value = bytes_slice(head, 0, secret_run_len(head, 0, "+/=.~"));
    if (value.len < 12 || !secret_looks_random(value, 3.0)) {
        return false;
    }
    size_t len = secret_run_len(text, from, "+/=.~");
    *finding = (struct finding){from, char_at(text, from + len - 1) == '.' ? len - 1 : len};
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
    size_t plus = char_at(text, from) == '+';
    size_t end = personal_data_phone_end(text, from + plus, 7, 15);
    *finding = (struct finding){from, end > from ? end - from : 0};
    return end > from;
}

static bool version_value(struct bytes text, size_t from, struct finding *finding)
{
    size_t i = from;
    bool dotted = false;
    while (i < from + 32 && (char_is_digit(char_at(text, i)) || char_at(text, i) == '.')) {
        dotted = dotted || char_at(text, i) == '.';
        i++;
    }
    *finding = (struct finding){i, 0};
    return dotted;
}

bool keyword_match(const struct token *token, struct finding *finding, const char **mask)
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
