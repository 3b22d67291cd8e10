// SPDX-License-Identifier: Apache-2.0
//
// libxcrypt does what it can; the Apache variant of MD5, htpasswd's default for decades, differs
// from crypt's only in its prefix, which goes into the digest, so it is written out here on
// OpenSSL's MD5. Refused: a library of its own for four dozen lines. Everything secret that is
// copied is wiped. Bounds: passwords of PASSWORD_BYTES_MAX, hashes of HASH_BYTES_MAX, bcrypt cost
// up to COST_MAX, 1,000,000 rounds. Pure; any thread.
#include "base/password.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define PASSWORD_BYTES_MAX 511
#define HASH_BYTES_MAX 383
#define COST_MAX 13
#define ROUNDS_MAX 1000000
#define APR1_PREFIX "$apr1$"
#define APR1_ROUNDS 1000
#define APR1_SALT_MAX 8

bool password_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool is_apr1(struct bytes hash)
{
    return bytes_start_with(hash, BYTES_LITERAL(APR1_PREFIX));
}

static bool is_bcrypt(struct bytes hash)
{
    return hash.len > 4 && hash.ptr[0] == '$' && hash.ptr[1] == '2' && hash.ptr[3] == '$';
}

static bool is_crypt(struct bytes hash)
{
    static const char *const prefixes[] = {"$1$", "$5$", "$6$", "$y$"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (bytes_start_with(hash, bytes_from_text(prefixes[i]))) {
            return true;
        }
    }
    return is_bcrypt(hash);
}

static bool cost_is_bearable(struct bytes hash)
{
    uint64_t number;
    if (is_bcrypt(hash)) {
        return hash.len == 60 && bytes_to_u64(bytes_slice(hash, 4, 2), &number) &&
               number <= COST_MAX;
    }
    size_t rounds = bytes_find(hash, BYTES_LITERAL("rounds="), 0);
    if (rounds == SIZE_MAX) {
        return true;
    }
    struct bytes rest = bytes_slice(hash, rounds + 7, SIZE_MAX);
    rest = bytes_slice(rest, 0, bytes_find(rest, BYTES_LITERAL("$"), 0));
    return bytes_to_u64(rest, &number) && number <= ROUNDS_MAX;
}

bool password_hash_is_usable(struct bytes hash, const char **why)
{
    if (hash.len == 0 || hash.len > HASH_BYTES_MAX) {
        *why = "a password hash is empty or too long";
    } else if (is_crypt(hash) && !cost_is_bearable(hash)) {
        *why = "a password hash is malformed or takes longer than a second to try (bcrypt: cost 13 "
               "at most)";
    } else if (hash.ptr[0] == '$' && !is_crypt(hash) && !is_apr1(hash)) {
        *why = "a password hash is of a kind that is not read (bcrypt, $apr1$, $5$, $6$, {SHA}, "
               "{SSHA} are)";
    } else {
        return true;
    }
    return false;
}

bool password_hash_is_slow(struct bytes hash)
{
    return is_crypt(hash) || is_apr1(hash);
}

static bool crypt_matches(const char *password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL) {
        return false;
    }
    const char *got = crypt_r(password, hash, data);
    bool matches =
        got != NULL && got[0] != '*' && password_equal(bytes_from_text(got), bytes_from_text(hash));
    OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return matches;
}

// {SHA}base64(SHA1(password)), {SSHA}base64(SHA1(password + salt) + salt).
static bool sha_matches(struct bytes password, struct bytes encoded, bool is_salted)
{
    uint8_t plain[HASH_BYTES_MAX + 4], digest[EVP_MAX_MD_SIZE];
    size_t len = encoded.len;
    size_t have = len / 4 * 3;
    if (len == 0 || len % 4 != 0 || len > HASH_BYTES_MAX ||
        EVP_DecodeBlock(plain, encoded.ptr, (int)len) != (int)have) {
        return false;
    }
    have -= encoded.ptr[len - 1] == '=' ? 1 : 0;
    have -= encoded.ptr[len - 2] == '=' ? 1 : 0;
    if (have < 20 || (have > 20 && !is_salted)) {
        return false;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool matches = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
                   EVP_DigestUpdate(context, password.ptr, password.len) == 1 &&
                   EVP_DigestUpdate(context, plain + 20, have - 20) == 1 &&
                   EVP_DigestFinal_ex(context, digest, NULL) == 1 &&
                   CRYPTO_memcmp(digest, plain, 20) == 0;
    EVP_MD_CTX_free(context);
    return matches;
}

static void md5_begin(EVP_MD_CTX *context)
{
    (void)EVP_DigestInit_ex(context, EVP_md5(), NULL);
}

static void md5_add(EVP_MD_CTX *context, struct bytes view)
{
    (void)EVP_DigestUpdate(context, view.ptr, view.len);
}

static bool md5_end(EVP_MD_CTX *context, uint8_t digest[16])
{
    return EVP_DigestFinal_ex(context, digest, NULL) == 1;
}

static bool apr1_digest(EVP_MD_CTX *context, struct bytes password, struct bytes salt,
                        uint8_t digest[16])
{
    md5_begin(context);
    md5_add(context, password);
    md5_add(context, salt);
    md5_add(context, password);
    if (!md5_end(context, digest)) {
        return false;
    }
    md5_begin(context);
    md5_add(context, password);
    md5_add(context, BYTES_LITERAL(APR1_PREFIX));
    md5_add(context, salt);
    for (size_t left = password.len; left > 0; left -= left < 16 ? left : 16) {
        md5_add(context, bytes_from(digest, left < 16 ? left : 16));
    }
    for (size_t bits = password.len; bits > 0; bits >>= 1) {
        md5_add(context, (bits & 1) != 0 ? bytes_from("", 1) : bytes_slice(password, 0, 1));
    }
    bool is_good = md5_end(context, digest);
    for (int i = 0; is_good && i < APR1_ROUNDS; i++) {
        struct bytes last = bytes_from(digest, 16);
        md5_begin(context);
        md5_add(context, (i & 1) != 0 ? password : last);
        md5_add(context, i % 3 != 0 ? salt : BYTES_NONE);
        md5_add(context, i % 7 != 0 ? password : BYTES_NONE);
        md5_add(context, (i & 1) != 0 ? last : password);
        is_good = md5_end(context, digest);
    }
    return is_good;
}

// crypt's own base64: least significant bits first, three bytes of the digest at a time.
static void apr1_encode(const uint8_t digest[16], char out[22])
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t order[5][3] = {{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}};
    char *at = out;
    for (size_t i = 0; i < 5; i++) {
        uint32_t bits = (uint32_t)digest[order[i][0]] << 16 | (uint32_t)digest[order[i][1]] << 8 |
                        digest[order[i][2]];
        for (int k = 0; k < 4; k++, bits >>= 6) {
            *at++ = digits[bits & 63];
        }
    }
    *at++ = digits[digest[11] & 63];
    *at = digits[digest[11] >> 6];
}

static bool apr1_matches(struct bytes password, struct bytes hash)
{
    struct bytes rest = bytes_slice(hash, sizeof APR1_PREFIX - 1, SIZE_MAX);
    size_t salt_len = bytes_find(rest, BYTES_LITERAL("$"), 0);
    if (salt_len > APR1_SALT_MAX) {
        return false;
    }
    uint8_t digest[EVP_MAX_MD_SIZE];
    char encoded[22];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool matches =
        context != NULL && apr1_digest(context, password, bytes_slice(rest, 0, salt_len), digest);
    EVP_MD_CTX_free(context);
    if (!matches) {
        return false;
    }
    apr1_encode(digest, encoded);
    return password_equal(bytes_from(encoded, sizeof encoded),
                          bytes_slice(rest, salt_len + 1, SIZE_MAX));
}

static bool has_nul(struct bytes view)
{
    return view.len > 0 && memchr(view.ptr, '\0', view.len) != NULL;
}

bool password_matches(struct bytes password, struct bytes hash)
{
    const char *why;
    if (password.len > PASSWORD_BYTES_MAX || has_nul(password) ||
        !password_hash_is_usable(hash, &why)) {
        return false;
    }
    if (is_apr1(hash)) {
        return apr1_matches(password, hash);
    }
    if (bytes_start_with(hash, BYTES_LITERAL("{SHA}"))) {
        return sha_matches(password, bytes_slice(hash, 5, SIZE_MAX), false);
    }
    if (bytes_start_with(hash, BYTES_LITERAL("{SSHA}"))) {
        return sha_matches(password, bytes_slice(hash, 6, SIZE_MAX), true);
    }
    if (!is_crypt(hash)) {
        return password_equal(password, hash);
    }
    char secret[PASSWORD_BYTES_MAX + 1] = "", setting[HASH_BYTES_MAX + 1] = "";
    memcpy(setting, hash.ptr, hash.len);
    if (password.len > 0) {
        memcpy(secret, password.ptr, password.len);
    }
    bool matches = crypt_matches(secret, setting);
    OPENSSL_cleanse(secret, sizeof secret);
    return matches;
}
