// SPDX-License-Identifier: Apache-2.0
// Values behind words that announce them: what is masked, and sentences about such words.
#include "processor/keyword.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mask_rows.h"

static void values_behind_keywords_are_masked(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"password: hunter22!", "password: [SECRET]"},
        {"DB_PASSWORD=correct-horse", "DB_PASSWORD=[SECRET]"},
        {"{\"userPassword\": \"p{a}ss\"}", "{\"userPassword\": \"[SECRET]\"}"},
        {"\\npassword=abcd", "\\npassword=[SECRET]"},
        {"{\\\"password\\\": \\\"hunter22\\\"}", "{\\\"password\\\": \\\"[SECRET]\\\"}"},
        {"my password is hunter2.", "my password is [SECRET]."},
        {"Authorization: Bearer " MADE_UP, "Authorization: Bearer [SECRET]"},
        {"x-api-key: " MADE_UP, "x-api-key: [SECRET]"},
        {"client_secret=" MADE_UP "&x=1", "client_secret=[SECRET]&x=1"},
        {"authorization: Basic dXNlcjpwYXNzd29yZDEy", "authorization: Basic [SECRET]"},
        {"the password is required", NULL},
        {"password: null, passwd=${PASSWORD}", NULL},
        {"max_tokens: 512, token_count: 123456789012345", NULL},
        {"token: authentication-service", NULL},
        {"a basic subscription, the bearer of bad news", NULL},
        {"Secret: conversations", NULL},
    };
    CHECK_ROWS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_behind_keywords_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
