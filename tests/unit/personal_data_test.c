// SPDX-License-Identifier: Apache-2.0
// E-mail and IP addresses, phone and card numbers, IBANs: what is masked, and what resembles them
// and stays.
#include "processor/personal_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mask_rows.h"

static void email_addresses_are_masked(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"write to alice@example.com.", "write to [EMAIL]."},
        {"john.doe+news@mail.example.co.uk, thanks", "[EMAIL], thanks"},
        {"<bob_smith@example.org>", "<[EMAIL]>"},
        {"mailto:carol@example-host.net?subject=x", "mailto:[EMAIL]?subject=x"},
        {"{\"email\":\"dave@example.com\"}", "{\"email\":\"[EMAIL]\"}"},
        {"line\\neve@example.com", "line\\n[EMAIL]"},
        {"mail:\xe9\x82\xae\xe7\xae\xb1"
         "alice@example.com",
         "mail:\xe9\x82\xae\xe7\xae\xb1[EMAIL]"},
        {"\xe2\x80\x9c"
         "alice@example.com\xe2\x80\x9d",
         "\xe2\x80\x9c[EMAIL]\xe2\x80\x9d"},
        {"a@b.io and c@d.io", "[EMAIL] and [EMAIL]"},
    };
    CHECK_ROWS(rows);
}

static void what_only_resembles_an_email_address_stays(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"install lodash@4.17.21 and react@18.2.0", NULL},
        {"ask @alice or me@localhost", NULL},
        {"a @ b . com, x@, @y.z1", NULL},
        {"3 widgets @ 4.50 each", NULL},
    };
    CHECK_ROWS(rows);
}

static void phone_numbers_are_masked(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"call +1 415 555 2671 now", "call [PHONE] now"},
        {"call +14155552671.", "call [PHONE]."},
        {"+49 30 1234567 and 12 items", "[PHONE] and 12 items"},
        {"+44 (0)20 7946 0958", "[PHONE]"},
        {"+33.1.23.45.67.89", "[PHONE]"},
        {"dial 0049 30 12345678", "dial [PHONE]"},
        {"415-555-2671", "[PHONE]"},
        {"(415) 555-2671 or 415.555.2672", "[PHONE] or [PHONE]"},
        {"tel. 030 1234567", "tel. [PHONE]"},
        {"Phone number: 07911 123456", "Phone number: [PHONE]"},
        {"{\"phone\": \"030-123 4567\"}", "{\"phone\": \"[PHONE]\"}"},
        {"x\\n+1-415-555-2671", "x\\n[PHONE]"},
        {"+1 415 555 2671 1234567890", "[PHONE] 1234567890"},
    };
    CHECK_ROWS(rows);
}

static void numbers_that_are_no_phones_stay(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"order 0012345678 of 2024-01-15", NULL},
        {"order #4155552671", NULL},
        {"invoice 2024-000123-77", NULL},
        {"$1,234,567.89 or 1.234.567,89 EUR", NULL},
        {"+10.000.000 EUR, +12.5 %, +3", NULL},
        {"2024-01-15T10:30:00+00:00", NULL},
        {"2024-01-15 10:30:00.123456789 +0100", NULL},
        {"15/01/2024, 10:30-11:45", NULL},
        {"pages 100 200 3000, 30 days, 45 days", NULL},
        {"between 100-200-3000 and 12-345", NULL},
        {"phone 15 Pro with 256 GB", NULL},
        {"ISBN 978-3-16-148410-0", NULL},
        {"lat 52.520008, lon 13.404954", NULL},
        {"1767225600123456789 ns", NULL},
    };
    CHECK_ROWS(rows);
}

static void cards_and_ibans_are_masked(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"card 4111 1111 1111 1111 12/26", "card [CARD] 12/26"},
        {"4111111111111111,123", "[CARD],123"},
        {"4111-1111-1111-1111", "[CARD]"},
        {"5555555555554444 and 2223003122003222", "[CARD] and [CARD]"},
        {"amex 3782 822463 10005", "amex [CARD]"},
        {"x\\t6011000990139424", "x\\t[CARD]"},
        {"4111 1111 1111 1111 999", "[CARD] 999"},
        {"IBAN DE89 3704 0044 0532 0130 00 BIC X", "IBAN [IBAN] BIC X"},
        {"GB82WEST12345698765432", "[IBAN]"},
        {"BE68 5390 0754 7034 BIC", "[IBAN] BIC"},
        {"NL91ABNA0417164300;", "[IBAN];"},
    };
    CHECK_ROWS(rows);
}

static void numbers_that_fail_their_checksum_stay(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"4111 1111 1111 1112", NULL},
        {"1111111111111117", NULL},  // Luhn holds, no issuer
        {"0000 0000 0000 0000", NULL},
        {"2024010112345672", NULL},  // Luhn holds, starts
                                     // like a date
        {"4111111111111111222233", NULL},
        {"0.4111111111111111", NULL},  // a fraction
        {"DE88 3704 0044 0532 0130 00", NULL},
        {"AB12CDEF3456GH78", NULL},
        {"GB82-WEST", NULL},
    };
    CHECK_ROWS(rows);
}

static void addresses_are_masked_and_versions_stay(void **state)
{
    (void)state;
    static const struct mask_row rows[] = {
        {"from 10.20.30.40:8080", "from [IP]:8080"},
        {"10.0.0.1-10.0.0.9", "[IP]-[IP]"},
        {"192.168.1.0/24.", "[IP]/24."},
        {"[2001:db8::8a2e:370:7334]", "[[IP]]"},
        {"fe80::1%eth0", "[IP]%eth0"},
        {"2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[IP]"},
        {"at 12:30:45, ratio 4:3:2", NULL},
        {"MAC 00:1B:44:11:3A:B7", NULL},
        {"v1.2.3.4, version 10.2.3.4, Version: 1.2.3.4", NULL},
        {"1.2.3.4.5 and 256.1.1.1 and 1.2.3", NULL},
        {"std::vector, de::Error, dead::beef", NULL},
    };
    CHECK_ROWS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(email_addresses_are_masked),
        cmocka_unit_test(what_only_resembles_an_email_address_stays),
        cmocka_unit_test(phone_numbers_are_masked),
        cmocka_unit_test(numbers_that_are_no_phones_stay),
        cmocka_unit_test(cards_and_ibans_are_masked),
        cmocka_unit_test(numbers_that_fail_their_checksum_stay),
        cmocka_unit_test(addresses_are_masked_and_versions_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
