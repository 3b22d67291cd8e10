// SPDX-License-Identifier: Apache-2.0
/*
 * How fast requests are scanned, spliced and transcoded, in memory: lines of `name value unit`, the
 * best of several rounds on CPU time of this process. Figures of proto/ alone; what a whole span
 * costs on its way is measured by the other programs of this folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "proto/attribute.h"
#include "proto/otlp_json.h"
#include "proto/parcel.h"
#include "proto/scan.h"
#include "tests/sample_request.h"

enum { ROUNDS = 9, SPANS = 512, LLM_SPANS = 64, LLM_BYTES = 20000 };

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool item_count(void *arg, const struct item_view *view)
{
    unsigned *count = arg;
    *count += view->fault == SCAN_OK;
    return true;
}

typedef void (*work_fn)(void *arg);

// Seconds of one call, the best of the rounds.
static double measure(work_fn work, void *arg)
{
    double best = 1e9;
    unsigned calls = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = cpu_seconds();
        for (unsigned i = 0; i < calls; i++) {
            work(arg);
        }
        double spent = cpu_seconds() - start;
        if (spent < 0.02 && calls < (1U << 20)) {
            calls *= 4;
            round = 0;
            continue;
        }
        double each = spent / calls;
        best = each < best ? each : best;
    }
    return best;
}

struct scan_work {
    struct bytes body;
    unsigned flags;
    unsigned expected;
};

static void scan_once(void *arg)
{
    const struct scan_work *work = arg;
    struct scan_report report;
    unsigned count = 0;
    enum result result =
        scan_request(SIGNAL_TRACES, work->body, work->flags, item_count, &count, &report);
    CHECK(result == RESULT_OK && count == work->expected);
}

static void scan_line(const char *name, struct bytes body, unsigned flags, unsigned expected)
{
    struct scan_work work = {body, flags, expected};
    double seconds = measure(scan_once, &work);
    printf("%s %.2f GB/s\n", name, (double)body.len / seconds / 1e9);
    printf("%s_per_span %.0f ns\n", name, seconds * 1e9 / expected);
}

struct splice_work {
    const struct parcel *parcel;
    struct buffer out;
};

static void render_once(void *arg)
{
    struct splice_work *work = arg;
    buffer_reset(&work->out);
    parcel_render(work->parcel, &work->out);
    CHECK(buffer_status(&work->out) == RESULT_OK);
}

struct places {
    struct item_place list[SPANS];
    unsigned count;
};

static bool place_keep(void *arg, const struct item_view *view)
{
    struct places *places = arg;
    CHECK(places->count < SPANS);
    places->list[places->count++] = view->place;
    return true;
}

static void splice_lines(const char *name, struct bytes body, unsigned expected)
{
    struct places places = {.count = 0};
    struct buffer fields;
    struct batch *batch = batch_make(SIGNAL_TRACES, body, 0);
    batch->item_count = expected;
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
    struct splice_work work = {.parcel = parcel};
    buffer_init(&fields, 4096);
    attribute_write_text(&fields, SPAN_ATTRIBUTES, "sidejudge.verdict", BYTES_LITERAL("pass"));
    parcel_each(parcel, place_keep, &places);
    for (unsigned i = 0; i < places.count; i++) {
        CHECK(parcel_append(parcel, places.list[i].item_at, buffer_view(&fields)) == RESULT_OK);
    }
    buffer_init(&work.out, body.len * 2);
    double seconds = measure(render_once, &work);
    printf("%s %.2f GB/s\n", name, (double)body.len / seconds / 1e9);
    printf("%s_per_span %.0f ns\n", name, seconds * 1e9 / expected);
    buffer_fini(&work.out);
    buffer_fini(&fields);
    parcel_unref(&parcel);
}

static void each_once(void *arg)
{
    unsigned count = 0;
    parcel_each(arg, item_count, &count);
}

static void each_line(const char *name, struct bytes body, unsigned expected)
{
    struct places places = {.count = 0};
    struct batch *batch = batch_make(SIGNAL_TRACES, body, 0);
    batch->item_count = expected;
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
    parcel_each(parcel, place_keep, &places);
    struct parcel *one = parcel_split(parcel, places.list + expected / 2, 1);
    printf("%s %.0f ns\n", name, measure(each_once, one) * 1e9);
    parcel_unref(&one);
    parcel_unref(&parcel);
}

struct json_work {
    struct bytes json;
    struct buffer out;
};

static void json_once(void *arg)
{
    struct json_work *work = arg;
    char why[128];
    buffer_reset(&work->out);
    CHECK(otlp_json_to_protobuf(SIGNAL_TRACES, work->json, &work->out, why, sizeof why) ==
          RESULT_OK);
}

static void json_line(const char *name, size_t text_len)
{
    struct buffer json;
    buffer_init(&json, (size_t)64 << 20);
    buffer_append_text(&json, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
    for (unsigned i = 0; i < LLM_SPANS; i++) {
        buffer_append_text(&json, i > 0 ? "," : "");
        buffer_append_text(&json,
                           "{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":"
                           "\"eee19b7ec3c1b174\",\"name\":\"chat\",\"kind\":3,"
                           "\"startTimeUnixNano\":\"1544712660000000000\",\"attributes\":[{\"key\":"
                           "\"gen_ai.input.messages\",\"value\":{\"stringValue\":\"");
        for (size_t at = 0; at < text_len; at += 10) {
            buffer_append_text(&json, "some text ");
        }
        buffer_append_text(&json, "\"}}]}");
    }
    buffer_append_text(&json, "]}]}]}");
    struct json_work work = {.json = buffer_view(&json)};
    buffer_init(&work.out, (size_t)64 << 20);
    double seconds = measure(json_once, &work);
    printf("%s %.2f GB/s\n", name, (double)json.len / seconds / 1e9);
    buffer_fini(&work.out);
    buffer_fini(&json);
}

int main(void)
{
    struct buffer small, llm, accented;
    buffer_init(&small, (size_t)64 << 20);
    buffer_init(&llm, (size_t)64 << 20);
    buffer_init(&accented, (size_t)64 << 20);
    sample_small_spans(&small, SPANS, 1);
    sample_llm_spans(&llm, LLM_SPANS, LLM_BYTES, 0, 1);
    sample_llm_spans(&accented, LLM_SPANS, LLM_BYTES, 8, 1);
    printf("scan_small_span_size %zu bytes\n", small.len / SPANS);
    printf("scan_llm_span_size %zu bytes\n", llm.len / LLM_SPANS);
    scan_line("scan_small_spans", buffer_view(&small), 0, SPANS);
    scan_line("scan_small_utf8", buffer_view(&small), SCAN_CHECK_UTF8, SPANS);
    scan_line("scan_llm_spans", buffer_view(&llm), 0, LLM_SPANS);
    scan_line("scan_llm_utf8", buffer_view(&llm), SCAN_CHECK_UTF8, LLM_SPANS);
    scan_line("scan_llm_utf8_accented", buffer_view(&accented), SCAN_CHECK_UTF8, LLM_SPANS);
    splice_lines("splice_small_spans", buffer_view(&small), SPANS);
    splice_lines("splice_llm_spans", buffer_view(&llm), LLM_SPANS);
    each_line("parcel_each_one_of_512", buffer_view(&small), SPANS);
    json_line("json_llm_spans", LLM_BYTES);
    json_line("json_small_spans", 100);
    buffer_fini(&small);
    buffer_fini(&llm);
    buffer_fini(&accented);
    return 0;
}
