// SPDX-License-Identifier: Apache-2.0
//
// Hashes as htpasswd and openssl write them; what is malformed or would hold a thread too long.
#include "base/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BCRYPT_TAIL "$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

static const char *const hashes[] = {
    "secret",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0",
    "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq."
    "H91p5hVO1",
    "$2b$04" BCRYPT_TAIL,
    "$2y$04" BCRYPT_TAIL,
};

static bool matches(const char *password, const char *hash)
{
    return password_matches(bytes_from_text(password), bytes_from_text(hash));
}

static void each_kind_takes_its_password_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        assert_true(matches("secret", hashes[i]));
        assert_false(matches("secre", hashes[i]));
        assert_false(matches("secrets", hashes[i]));
        assert_false(matches("Secret", hashes[i]));
        assert_false(matches("", hashes[i]));
        assert_false(password_matches(bytes_from("secret\0x", 8), bytes_from_text(hashes[i])));
        assert_int_equal(password_hash_is_slow(bytes_from_text(hashes[i])), i >= 3);
        if (i > 0) {
            assert_false(matches(hashes[i], hashes[i]));
        }
    }
}

static void malformed_hashes_match_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "$",
        "$$",
        "$2b$",
        "$2b$04$short",
        "$2b$xx" BCRYPT_TAIL,
        "$9$salt$hash",
        "$apr1$",
        "$apr1$saltsalt",
        "$apr1$saltsaltsalt$LrttParrLPdxvgutaSXWJ0",
        "{SHA}",
        "{SHA}x",
        "{SHA}5en6G6MezRroT3XKqkdPOmY*BfQ=",
        "{SSHA}",
        "{SSHA}AAAA",
        "$6$",
        "$5$rounds=x$a$b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (matches("secret", bad[i]) || matches("", bad[i])) {
            fail_msg("matches: %s", bad[i]);
        }
    }
}

static void costs_beyond_a_second_are_refused(void **state)
{
    (void)state;
    const char *why = "";
    assert_true(password_hash_is_usable(BYTES_LITERAL("$2b$13" BCRYPT_TAIL), &why));
    assert_false(password_hash_is_usable(BYTES_LITERAL("$2b$14" BCRYPT_TAIL), &why));
    assert_non_null(strstr(why, "longer than a second"));
    assert_true(password_hash_is_usable(BYTES_LITERAL("$6$rounds=1000000$a$b"), &why));
    assert_false(password_hash_is_usable(BYTES_LITERAL("$6$rounds=1000001$a$b"), &why));
    assert_false(password_hash_is_usable(BYTES_LITERAL("$9$a$b"), &why));
    assert_false(password_hash_is_usable(BYTES_NONE, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_takes_its_password_only),
        cmocka_unit_test(malformed_hashes_match_nothing),
        cmocka_unit_test(costs_beyond_a_second_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
