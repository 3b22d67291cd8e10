// SPDX-License-Identifier: Apache-2.0
//
// Answers written and read back, byte for byte where the Collector's form is known, and hostile
// ones read.
#include "proto/otlp_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire.h"

static struct buffer response(enum otlp_form form, enum signal signal, uint64_t count,
                              const char *message)
{
    struct buffer out;
    buffer_init(&out, 65536);
    otlp_response_write(form, signal, count, bytes_from_text(message), &out);
    assert_int_equal(buffer_status(&out), RESULT_OK);
    return out;
}

static void full_success_is_nothing_or_an_empty_object(void **state)
{
    (void)state;
    struct buffer out = response(OTLP_PROTOBUF, SIGNAL_TRACES, 0, "");
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
    out = response(OTLP_JSON, SIGNAL_LOGS, 0, NULL);
    assert_string_equal(buffer_text(&out), "{\"partialSuccess\":{}}");
    buffer_fini(&out);
}

static void partial_success_has_the_signals_own_names(void **state)
{
    (void)state;
    static const char *const expected[SIGNAL_OTLP_COUNT] = {
        [SIGNAL_TRACES] = "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"why\"}}",
        [SIGNAL_METRICS] =
            "{\"partialSuccess\":{\"rejectedDataPoints\":\"3\",\"errorMessage\":\"why\"}}",
        [SIGNAL_LOGS] =
            "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\",\"errorMessage\":\"why\"}}",
    };
    for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
        struct buffer out = response(OTLP_JSON, (enum signal)signal, 3, "why");
        assert_string_equal(buffer_text(&out), expected[signal]);
        buffer_fini(&out);
        out = response(OTLP_PROTOBUF, (enum signal)signal, 3, "why");
        assert_true(bytes_equal(buffer_view(&out), BYTES_LITERAL("\x0a\x07\x08\x03\x12\x03why")));
        buffer_fini(&out);
    }
}

static void responses_read_back(void **state)
{
    (void)state;
    for (int form = OTLP_PROTOBUF; form <= OTLP_JSON; form++) {
        for (int signal = 0; signal < SIGNAL_OTLP_COUNT; signal++) {
            struct otlp_partial partial;
            struct buffer out =
                response((enum otlp_form)form, (enum signal)signal, 1234567890123, "why \xc3\xa9");
            assert_int_equal(otlp_response_read((enum otlp_form)form, (enum signal)signal,
                                                buffer_view(&out), &partial),
                             RESULT_OK);
            assert_true(partial.rejected_count == 1234567890123);
            assert_string_equal(partial.message, "why \xc3\xa9");
            buffer_fini(&out);
        }
    }
}

static void numbers_and_original_names_in_responses_are_read(void **state)
{
    (void)state;
    struct otlp_partial partial;
    assert_int_equal(otlp_response_read(OTLP_JSON, SIGNAL_TRACES,
                                        BYTES_LITERAL("{\"partial_success\":{\"rejected_spans\":7,"
                                                      "\"error_message\":\"x\"}}"),
                                        &partial),
                     RESULT_OK);
    assert_int_equal(partial.rejected_count, 7);
    assert_string_equal(partial.message, "x");
    assert_int_equal(
        otlp_response_read(OTLP_JSON, SIGNAL_TRACES,
                           BYTES_LITERAL("{\"partialSuccess\":{\"rejectedSpans\":-7}}"), &partial),
        RESULT_OK);
    assert_int_equal(partial.rejected_count, 0);
}

static void what_is_no_response_is_said_to_be_none(void **state)
{
    (void)state;
    struct otlp_partial partial;
    static const char *const bodies[] = {"<html>", "[]", "7", "{\"partialSuccess\":", "\xff\xff"};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(otlp_response_read(OTLP_JSON, SIGNAL_TRACES, bytes_from_text(bodies[i]),
                                            &partial),
                         RESULT_REJECT);
        assert_int_equal(partial.rejected_count, 0);
        assert_string_equal(partial.message, "");
    }
    assert_int_equal(
        otlp_response_read(OTLP_PROTOBUF, SIGNAL_TRACES, BYTES_LITERAL("<html>"), &partial),
        RESULT_REJECT);
    assert_int_equal(
        otlp_response_read(OTLP_JSON, SIGNAL_TRACES, BYTES_LITERAL("{\"a\":1}"), &partial),
        RESULT_OK);
    assert_int_equal(otlp_response_read(OTLP_JSON, SIGNAL_TRACES, BYTES_NONE, &partial), RESULT_OK);
}

static void errors_in_json_are_as_the_collector_writes_them(void **state)
{
    (void)state;
    struct buffer out;
    struct otlp_error error = {.code = 3, .message = BYTES_LITERAL("no \"span\"")};
    buffer_init(&out, 4096);
    otlp_error_write(OTLP_JSON, &error, &out);
    assert_string_equal(buffer_text(&out), "{\"code\":3,\"message\":\"no \\\"span\\\"\"}");
    buffer_reset(&out);
    error.retry_after_s = 5;
    error.bad_reason = BYTES_LITERAL("cut short");
    otlp_error_write(OTLP_JSON, &error, &out);
    assert_string_equal(
        buffer_text(&out),
        "{\"code\":3,\"message\":\"no \\\"span\\\"\",\"details\":[{\"@type\":"
        "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"5s\"},{\"@type\":"
        "\"type.googleapis.com/google.rpc.BadRequest\",\"fieldViolations\":[{\"field\":\"\","
        "\"description\":\"cut short\"}]}]}");
    buffer_fini(&out);
}

static void refusals_read_back_in_both_forms(void **state)
{
    (void)state;
    for (int form = OTLP_PROTOBUF; form <= OTLP_JSON; form++) {
        struct buffer out;
        struct otlp_refusal refusal;
        struct otlp_error error = {.code = 14,
                                   .message = BYTES_LITERAL("sending queue is full"),
                                   .retry_after_s = 30,
                                   .bad_field = BYTES_LITERAL("resourceSpans"),
                                   .bad_reason = BYTES_LITERAL("reason")};
        buffer_init(&out, 4096);
        otlp_error_write((enum otlp_form)form, &error, &out);
        assert_int_equal(otlp_refusal_read((enum otlp_form)form, buffer_view(&out), &refusal),
                         RESULT_OK);
        assert_int_equal(refusal.code, 14);
        assert_string_equal(refusal.message, "sending queue is full");
        assert_true(refusal.has_retry_delay);
        assert_int_equal(refusal.retry_delay_ms, 30000);
        buffer_reset(&out);
        error.retry_after_s = 0;
        otlp_error_write((enum otlp_form)form, &error, &out);
        assert_int_equal(otlp_refusal_read((enum otlp_form)form, buffer_view(&out), &refusal),
                         RESULT_OK);
        assert_false(refusal.has_retry_delay);
        buffer_fini(&out);
    }
}

static void delays_are_bounded_and_may_have_fractions(void **state)
{
    (void)state;
    static const struct {
        const char *delay;
        uint64_t ms;
    } cases[] = {{"1.5s", 1500}, {"0s", 0},  {"-3s", 0},          {"99999999s", 86400000},
                 {"", 0},        {"abc", 0}, {"1e300s", 86400000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct otlp_refusal refusal;
        struct buffer body;
        buffer_init(&body, 4096);
        buffer_printf(&body,
                      "{\"message\":\"m\",\"details\":[{\"@type\":"
                      "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"%s\"}]}",
                      cases[i].delay);
        assert_int_equal(otlp_refusal_read(OTLP_JSON, buffer_view(&body), &refusal), RESULT_OK);
        assert_true(refusal.has_retry_delay);
        assert_int_equal(refusal.retry_delay_ms, cases[i].ms);
        assert_int_equal(refusal.code, 2);
        buffer_fini(&body);
    }
}

static void details_of_other_types_are_passed_over(void **state)
{
    (void)state;
    struct otlp_refusal refusal;
    assert_int_equal(otlp_refusal_read(OTLP_JSON,
                                       BYTES_LITERAL("{\"code\":8,\"details\":[7,null,{\"@type\":"
                                                     "\"x/google.rpc.Help\",\"retryDelay\":\"9s\"},"
                                                     "[]]}"),
                                       &refusal),
                     RESULT_OK);
    assert_int_equal(refusal.code, 8);
    assert_false(refusal.has_retry_delay);
    assert_int_equal(
        otlp_refusal_read(OTLP_JSON, BYTES_LITERAL("{\"code\":8,\"details\":{}}"), &refusal),
        RESULT_OK);
}

static void what_is_no_status_is_refused_and_zeroed(void **state)
{
    (void)state;
    struct otlp_refusal refusal;
    static const char *const bodies[] = {"<html>503</html>", "", "[]", "{\"error\":\"x\"}", "null"};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(otlp_refusal_read(OTLP_JSON, bytes_from_text(bodies[i]), &refusal),
                         RESULT_REJECT);
        assert_int_equal(refusal.code, 0);
    }
    assert_int_equal(otlp_refusal_read(OTLP_PROTOBUF, BYTES_LITERAL("<html>"), &refusal),
                     RESULT_REJECT);
}

static void hostile_sizes_are_bounded(void **state)
{
    (void)state;
    struct otlp_refusal refusal;
    struct otlp_partial partial;
    struct buffer body;
    buffer_init(&body, (size_t)4 << 20);
    for (unsigned i = 0; i < 100000; i++) {
        wire_write_text(&body, 3, "");  // details, 56 bytes each when decoded
    }
    assert_int_equal(otlp_refusal_read(OTLP_PROTOBUF, buffer_view(&body), &refusal),
                     RESULT_REJECT);
    while (body.len < ((size_t)1 << 20) + 1) {
        buffer_append_text(&body, "xxxxxxxxxxxxxxxx");
    }
    assert_int_equal(otlp_refusal_read(OTLP_JSON, buffer_view(&body), &refusal), RESULT_TOO_LARGE);
    assert_int_equal(otlp_response_read(OTLP_PROTOBUF, SIGNAL_LOGS, buffer_view(&body), &partial),
                     RESULT_TOO_LARGE);
    buffer_fini(&body);
}

static void texts_are_cut_and_made_printable(void **state)
{
    (void)state;
    struct otlp_partial partial;
    struct buffer long_text;
    buffer_init(&long_text, 65536);
    buffer_append_text(&long_text, "line\nbreak \xff\xfe");
    for (unsigned i = 0; i < 1000; i++) {
        buffer_append_text(&long_text, "\xc3\xa9");
    }
    struct buffer out;
    buffer_init(&out, 65536);
    otlp_response_write(OTLP_PROTOBUF, SIGNAL_TRACES, 1, buffer_view(&long_text), &out);
    assert_true(out.len < 1100);
    assert_int_equal(otlp_response_read(OTLP_PROTOBUF, SIGNAL_TRACES, buffer_view(&out), &partial),
                     RESULT_OK);
    assert_int_equal(strncmp(partial.message, "line break ??", 13), 0);
    assert_int_equal(strlen(partial.message), sizeof partial.message - 1);
    buffer_fini(&out);
    buffer_fini(&long_text);
}

static void content_types_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(otlp_form_content_type(OTLP_JSON), "application/json");
    assert_string_equal(otlp_form_content_type(OTLP_PROTOBUF), "application/x-protobuf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_success_is_nothing_or_an_empty_object),
        cmocka_unit_test(partial_success_has_the_signals_own_names),
        cmocka_unit_test(responses_read_back),
        cmocka_unit_test(numbers_and_original_names_in_responses_are_read),
        cmocka_unit_test(what_is_no_response_is_said_to_be_none),
        cmocka_unit_test(errors_in_json_are_as_the_collector_writes_them),
        cmocka_unit_test(refusals_read_back_in_both_forms),
        cmocka_unit_test(delays_are_bounded_and_may_have_fractions),
        cmocka_unit_test(details_of_other_types_are_passed_over),
        cmocka_unit_test(what_is_no_status_is_refused_and_zeroed),
        cmocka_unit_test(hostile_sizes_are_bounded),
        cmocka_unit_test(texts_are_cut_and_made_printable),
        cmocka_unit_test(content_types_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
