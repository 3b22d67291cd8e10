// SPDX-License-Identifier: Apache-2.0
//
// Ids and hex, digit by digit and byte by byte.
#include "base/ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void only_all_zero_is_no_id(void **state)
{
    (void)state;
    struct trace_id trace = {{0}};
    struct span_id span = {{0}};
    assert_true(trace_id_is_zero(&trace));
    assert_true(span_id_is_zero(&span));
    for (unsigned i = 0; i < 128; i++) {
        trace = (struct trace_id){{0}};
        trace.bytes[i / 8] = (uint8_t)(1u << i % 8);
        assert_false(trace_id_is_zero(&trace));
    }
    for (unsigned i = 0; i < 64; i++) {
        span = (struct span_id){{0}};
        span.bytes[i / 8] = (uint8_t)(1u << i % 8);
        assert_false(span_id_is_zero(&span));
    }
}

static void ids_differ_in_any_bit(void **state)
{
    (void)state;
    struct trace_id trace = {{1, 2, 3}}, other_trace = trace;
    struct span_id span = {{1, 2, 3}}, other_span = span;
    assert_true(trace_id_equal(&trace, &other_trace));
    assert_true(span_id_equal(&span, &other_span));
    other_trace.bytes[15] ^= 1;
    other_span.bytes[7] ^= 0x80;
    assert_false(trace_id_equal(&trace, &other_trace));
    assert_false(span_id_equal(&span, &other_span));
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    uint8_t in[256], out[256];
    char text[513];
    for (unsigned i = 0; i < 256; i++) {
        in[i] = (uint8_t)i;
    }
    hex_encode(in, sizeof in, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(hex_decode(bytes_from_text(text), out, sizeof out));
    assert_memory_equal(in, out, sizeof in);
    hex_encode(in, 0, text);
    assert_string_equal(text, "");
    assert_true(hex_decode(BYTES_NONE, out, 0));
}

static void hex_is_read_in_either_case(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_true(hex_decode(BYTES_LITERAL("DeadbEEf"), out, 4));
    assert_memory_equal(out, "\xde\xad\xbe\xef", 4);
}

static void what_is_not_exactly_hex_of_that_length_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",         "dead",     "deadbee",  "deadbeef0", "deadbeef00",
        "deadbeeg", "0xdeadbe", " deadbee", "deadb ef",  "dead-eef",
        "deadbe@f", "deadbe`f", "dead/eef", "dead:eef",  "\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t out[4] = {1, 2, 3, 4};
        assert_false(hex_decode(bytes_from_text(bad[i]), out, 4));
        assert_memory_equal(out, "\1\2\3\4", 4);
    }
    uint8_t out[4];
    assert_false(hex_decode(BYTES_LITERAL("deadbee\0"), out, 4));
}

static void every_other_byte_is_no_digit(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[2] = {'0', (char)byte};
        uint8_t out;
        const char *digits = "0123456789abcdefABCDEF";
        bool is_digit = byte != 0 && strchr(digits, (int)byte) != NULL;
        assert_int_equal(hex_decode(bytes_from(text, 2), &out, 1), is_digit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_all_zero_is_no_id),
        cmocka_unit_test(ids_differ_in_any_bit),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(hex_is_read_in_either_case),
        cmocka_unit_test(what_is_not_exactly_hex_of_that_length_is_refused),
        cmocka_unit_test(every_other_byte_is_no_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
