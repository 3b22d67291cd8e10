// SPDX-License-Identifier: Apache-2.0
// What the exporters over HTTP share: the rows of backends, codecs, and the URLs that are posted
// to.
#include "exporter/http_export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/scripted_http.h"

static void backends_take_what_their_rows_say(void **state)
{
    (void)state;
    const struct http_backend *otlp = http_backend(HTTP_BACKEND_OTLP);
    const struct http_backend *langfuse = http_backend(HTTP_BACKEND_LANGFUSE);
    const struct http_backend *phoenix = http_backend(HTTP_BACKEND_PHOENIX);
    assert_string_equal(otlp->paths[SIGNAL_LOGS], "/v1/logs");
    assert_null(langfuse->paths[SIGNAL_LOGS]);
    assert_null(phoenix->paths[SIGNAL_METRICS]);
    assert_true((langfuse->codecs & 1U << CODEC_GZIP) != 0);
    assert_true((langfuse->codecs & 1U << CODEC_ZSTD) == 0);
    assert_true((phoenix->codecs & 1U << CODEC_ZSTD) == 0);
    assert_string_equal(phoenix->content_type, "application/x-protobuf");
}

static void every_name_of_a_compression_has_its_codec(void **state)
{
    (void)state;
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_GZIP), CODEC_GZIP);
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_ZSTD), CODEC_ZSTD);
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_DEFLATE), CODEC_DEFLATE);
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_ZLIB), CODEC_DEFLATE);
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_NONE), CODEC_NONE);
    assert_int_equal(http_export_codec(HTTP_COMPRESSION_EMPTY), CODEC_NONE);
    assert_string_equal(http_compression_names[HTTP_COMPRESSION_EMPTY], "");
    assert_null(http_compression_names[HTTP_COMPRESSION_EMPTY + 1]);
}

static void keep_line(void *arg, const struct scripted_request *request,
                      struct scripted_reply *reply)
{
    (void)reply;
    snprintf(arg, 128, "%.*s", BYTES_PRINTF(request->line));
}

static void urls_are_the_base_and_a_path_or_used_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *base, *own;  // after http://host:port; own NULL: from the base
        const char *line;
    } rows[] = {
        {"", NULL, "POST /v1/metrics HTTP/1.1"},
        {"/", NULL, "POST /v1/metrics HTTP/1.1"},
        {"/otlp", NULL, "POST /otlp/v1/metrics HTTP/1.1"},
        {"/otlp///", NULL, "POST /otlp/v1/metrics HTTP/1.1"},
        {"/otlp", "/push?x=1", "POST /push?x=1 HTTP/1.1"},
        {"/v1/metrics", NULL, "POST /v1/metrics HTTP/1.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[128] = "", base[128], own[128] = "", why[128] = "";
        struct scripted_http *server = scripted_http_start(keep_line, line);
        unsigned port = scripted_http_port(server);
        snprintf(base, sizeof(base), "http://127.0.0.1:%u%s", port, rows[i].base);
        if (rows[i].own != NULL) {
            snprintf(own, sizeof(own), "http://127.0.0.1:%u%s", port, rows[i].own);
        }
        struct http_export_config config = {
            .timeout_ns = 5000000000,
            .compression = HTTP_COMPRESSION_NONE,
            .idle_conn_timeout_ns = 90000000000,
            .queue = {.num_consumers = 2, .merge = true, .sizer = QUEUE_BYTES}};
        struct http_export_setup setup = {.config = &config,
                                          .backend = http_backend(HTTP_BACKEND_OTLP),
                                          .base_url = bytes_from_text(base)};
        setup.urls[SIGNAL_METRICS] = bytes_from_text(own);
        const struct component_env env = {.id = "http", .user_agent = "test"};
        struct exporter *exporter = NULL;
        assert_int_equal(http_export_start(&env, &setup, &exporter, why, sizeof(why)), RESULT_OK);
        struct parcel *parcel = sample_metrics(1, 1);
        assert_int_equal(sender_reserve(exporter, SIGNAL_METRICS, 1, parcel->charge_bytes, false),
                         RESULT_OK);
        parcel->links[0].parcel = parcel;
        sender_push(exporter, &parcel->links[0]);
        sender_drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
        sender_free(&exporter);
        scripted_http_stop(&server);
        assert_string_equal(line, rows[i].line);
    }
}

static void a_signal_without_an_endpoint_is_dropped_and_says_so(void **state)
{
    (void)state;
    char why[128] = "";
    struct exporter_status status;
    struct http_export_config config = {.timeout_ns = 5000000000,
                                        .queue = {.num_consumers = 2, .sizer = QUEUE_BYTES}};
    struct http_export_setup setup = {
        .config = &config,
        .backend = http_backend(HTTP_BACKEND_OTLP),
        .urls = {[SIGNAL_TRACES] = BYTES_LITERAL("http://127.0.0.1:9/x")}};
    const struct component_env env = {.id = "http", .user_agent = "test"};
    struct exporter *exporter = NULL;
    assert_int_equal(http_export_start(&env, &setup, &exporter, why, sizeof(why)), RESULT_OK);
    struct parcel *parcel = sample_metrics(1, 1);
    assert_int_equal(sender_reserve(exporter, SIGNAL_METRICS, 1, parcel->charge_bytes, false),
                     RESULT_OK);
    parcel->links[0].parcel = parcel;
    sender_push(exporter, &parcel->links[0]);
    sender_drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    sender_status(exporter, &status);
    assert_int_equal(status.send_failed, 1);
    assert_non_null(strstr(status.last_error, "no endpoint is set for this signal"));
    sender_free(&exporter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_take_what_their_rows_say),
        cmocka_unit_test(every_name_of_a_compression_has_its_codec),
        cmocka_unit_test(urls_are_the_base_and_a_path_or_used_as_they_are),
        cmocka_unit_test(a_signal_without_an_endpoint_is_dropped_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
