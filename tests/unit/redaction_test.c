// SPDX-License-Identifier: Apache-2.0
// What is masked and what stays, row by row; that masking twice changes nothing; and that hostile
// text costs no more than other text, counted in masks and checked by a bound on the clock of the
// process that is far above what it takes.
#include "processor/redaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct row {
    const char *text, *masked;  // NULL: stays as it is
};

static struct redactor *redactor;

static void mask(const char *text, struct buffer *out)
{
    buffer_init(out, (size_t)1 << 20);
    (void)redact(redactor, bytes_from_text(text), out);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer once, twice;
        const char *wanted = rows[i].masked != NULL ? rows[i].masked : rows[i].text;
        mask(rows[i].text, &once);
        assert_string_equal(buffer_text(&once), wanted);
        mask(buffer_text(&once), &twice);
        assert_string_equal(buffer_text(&twice), wanted);
        buffer_fini(&once);
        buffer_fini(&twice);
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void email_addresses_are_masked(void **state)
{
    (void)state;
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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

// Made up of parts, so that no scanner for leaked keys takes them for real ones.
#define MADE_UP "aB3dE5gH7jK9mN1pQ4"

static void keys_of_known_shape_are_masked(void **state)
{
    (void)state;
    static const struct row rows[] = {
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

static void values_behind_keywords_are_masked(void **state)
{
    (void)state;
    static const struct row rows[] = {
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

static void long_random_runs_are_masked_and_ids_stay(void **state)
{
    (void)state;
    static const struct row rows[] = {
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

static void an_empty_text_stays_empty(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 16);
    assert_int_equal(redact(redactor, BYTES_NONE, &out), 0);
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
}

static void without_a_redactor_text_is_copied(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 64);
    assert_int_equal(redact(NULL, BYTES_LITERAL("alice@example.com"), &out), 0);
    assert_string_equal(buffer_text(&out), "alice@example.com");
    buffer_fini(&out);
}

static void masks_are_counted(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 256);
    assert_int_equal(redact(redactor, BYTES_LITERAL("a@b.io, 10.0.0.1, +14155552671"), &out), 3);
    buffer_fini(&out);
}

// No text may cost more than a bounded number of steps a byte: each pattern is repeated to 1 MiB.
static void hostile_repeats_take_linear_time(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "a",
        "a.",
        "a@",
        "a/",
        "1 ",
        "1-",
        "1.",
        "1.1.1.",
        "+1",
        "(",
        "sk-.",
        "SG.",
        "eyJ.",
        "eyJaaaaaaa=",
        "token=",
        "password:[",
        "secret ",
        "-----BEGIN ",
        "DE89 ",
        "DE89    ",
        "4111 ",
        "f:",
        "::",
        "a.b+c%",
        "\\n",
        "bearer ",
        "tel ",
        "\xff",
        "A1b/",
        "password is ",
        "aB3/",
        "version 1",
        "api_key=a.a.",
        "SG.aB3dE5g.",
        "eyJaaaaaaaaaa.",
        "-----BEGIN PRIVATE KEY",
    };
    const size_t len = (size_t)1 << 20;
    char *text = malloc(len);
    assert_non_null(text);
    struct buffer out;
    buffer_init(&out, 8 * len);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        size_t pattern_len = strlen(patterns[i]);
        for (size_t k = 0; k < len; k++) {
            text[k] = patterns[i][k % pattern_len];
        }
        uint64_t before = clock_process_cpu_ns();
        buffer_reset(&out);
        (void)redact(redactor, bytes_from(text, len), &out);
        assert_int_equal(buffer_status(&out), RESULT_OK);
        assert_true(clock_process_cpu_ns() - before < 20 * NS_PER_S);  // quadratic: an hour
    }
    buffer_fini(&out);
    free(text);
}

static int redactor_setup(void **state)
{
    (void)state;
    redactor = redactor_new();
    return 0;
}

static int redactor_teardown(void **state)
{
    (void)state;
    redactor_free(redactor);
    return 0;
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
        cmocka_unit_test(keys_of_known_shape_are_masked),
        cmocka_unit_test(values_behind_keywords_are_masked),
        cmocka_unit_test(long_random_runs_are_masked_and_ids_stay),
        cmocka_unit_test(an_empty_text_stays_empty),
        cmocka_unit_test(without_a_redactor_text_is_copied),
        cmocka_unit_test(masks_are_counted),
        cmocka_unit_test(hostile_repeats_take_linear_time),
    };
    return cmocka_run_group_tests(tests, redactor_setup, redactor_teardown);
}
