// SPDX-License-Identifier: Apache-2.0
// Keys of known shape and long random runs: what is masked; ids, digests and words that stay.
#include "processor/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mask_rows.h"

static void keys_of_known_shape_are_masked(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"use sk-" MADE_UP MADE_UP ". Then", "use [SECRET]. Then"},
        {"OPENAI_API_KEY=sk-proj-" MADE_UP, "OPENAI_API_KEY=[SECRET]"},
        {"\"pk-lf-1234abcd-12ab-34cd-56ef-1234567890ab\"", "\"[SECRET]\""},
        {"ghp_" MADE_UP MADE_UP, "[SECRET]"},
        {"AKIA"
         "IOSFODNN7EXAMPLE",
         "[SECRET]"},
        {"\\nxoxb-123456789012-" MADE_UP, "\\n[SECRET]"},
        {"SG." MADE_UP "." MADE_UP ".", "[SECRET]."},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p", "[SECRET]"},
        {"-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\nx",
         "[SECRET]\nx"},
        {"-----BEGIN PRIVATE KEY-----\\nMIIE and no end", "[SECRET]"},
        {"-----BEGIN CERTIFICATE-----\nMIIB", NULL},
        {"sk-learn-based-pipelines-for-everyone", NULL},
        {"sk-short1, AKIA and ghp_x", NULL},
    };
    CHECK_ROWS(rows);
}

static void long_random_runs_are_masked_and_ids_stay(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE2Key1", "[SECRET]"},
        {"session=" MADE_UP "+" MADE_UP "/x==", "[SECRET]"},
        {"trace 4bf92f3577b34da6a3ce929d0e0e4736", NULL},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL},
        {"123e4567-e89b-12d3-a456-426614174000", NULL},
        {"41111111-1111-1111-1111-111111111111", NULL},
        {"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", NULL},
        {"https://example.com/Products/ABC123/view-item-details-and-reviews", NULL},
        {"getUserAccountBalanceByCustomerNumber2", NULL},
        {"order ABC-2024-000123-XYZ, SKU 12-AB-3456-CD-7890-EF-1234", NULL},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAV", NULL},
        {"The refund of 59.90 EUR for order 10024 was sent on 2024-03-05.", NULL},
    };
    CHECK_ROWS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_known_shape_are_masked),
        cmocka_unit_test(long_random_runs_are_masked_and_ids_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
