// SPDX-License-Identifier: Apache-2.0
//
// Answers that are taken as they come, and requests that are somebody else's: what is heard when,
// who waits for whom, and that nothing is sent twice or changed on the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "tests/unit/scripted_http.h"

#define TURNS_MAX 3000

struct reading {
    unsigned count;  // of ends
    enum result result;
    size_t kept;  // bytes of the response's own body
    unsigned begins, fields, heads, refusals;
    int status;
    size_t bytes, bytes_max;  // beyond: not now
};

static void reading_begin(void *arg)
{
    ((struct reading *)arg)->begins++;
}

static void reading_field(void *arg, struct bytes name, struct bytes value)
{
    assert_true(name.len > 0 && value.len > 0);
    ((struct reading *)arg)->fields++;
}

static void reading_head(void *arg, int status)
{
    struct reading *reading = arg;
    reading->heads++;
    reading->status = status;
}

static bool reading_data(void *arg, struct bytes part)
{
    struct reading *reading = arg;
    assert_true(reading->heads == 1 && part.len > 0);
    if (reading->bytes + part.len > reading->bytes_max) {
        reading->refusals++;
        return false;
    }
    reading->bytes += part.len;
    return true;
}

static const struct http_reader reader = {
    .begin = reading_begin, .field = reading_field, .head = reading_head, .data = reading_data};

static struct {
    struct scripted_http *server;
    struct loop *loop;
    struct http_client *client;
    struct scripted_reply reply;  // set before the request
    char line[128], head[1024];
    atomic_uint count;  // written last
} stage;

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    snprintf(stage.line, sizeof stage.line, "%.*s", BYTES_PRINTF(request->line));
    snprintf(stage.head, sizeof stage.head, "%.*s", BYTES_PRINTF(request->head));
    *reply = stage.reply;
    atomic_fetch_add(&stage.count, 1);
}

static int set_up(void **state)
{
    char why[256];
    (void)state;
    memset(&stage, 0, sizeof stage);
    stage.server = scripted_http_start(answer, NULL);
    stage.loop = loop_new();
    const struct http_client_config config = {.connections_max = 2};
    return http_client_new(stage.loop, &config, &stage.client, why, sizeof why) == RESULT_OK ? 0
                                                                                             : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_client_free(stage.client);
    loop_free(stage.loop);
    scripted_http_stop(&stage.server);
    return 0;
}

static void on_done(void *arg, const struct http_response *response)
{
    struct reading *reading = arg;
    reading->count++;
    reading->result = response->result;
    reading->kept = response->body.len;
}

static void run_until(const unsigned *value, unsigned target)
{
    for (int turn = 0; turn < TURNS_MAX && *value < target; turn++) {
        loop_run_once(stage.loop, 20);
    }
    assert_int_equal(*value, target);
}

static struct http_call *send_it(const char *method, const char *path, struct reading *reading)
{
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", scripted_http_port(stage.server), path);
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .timeout_ns = 60 * NS_PER_S,
                                         .reader = &reader,
                                         .is_passed_on = true};
    return http_client_send(stage.client, &request, on_done, reading);
}

static void a_reader_hears_of_the_final_head_last(void **state)
{
    (void)state;
    struct reading reading = {.bytes_max = 100};
    stage.reply.status = 103;
    stage.reply.headers = "Link: x\r\n";
    stage.reply.body = BYTES_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    (void)send_it("GET", "/", &reading);
    run_until(&reading.count, 1);
    assert_int_equal(reading.result, RESULT_OK);
    assert_int_equal(reading.kept, 0);
    assert_int_equal(reading.begins, 2);
    assert_int_equal(reading.heads, 1);
    assert_int_equal(reading.status, 200);
    assert_int_equal(reading.bytes, 4);
}

static void a_reader_that_has_enough_is_waited_for(void **state)
{
    (void)state;
    struct reading reading = {.bytes_max = 1 << 20};
    stage.reply.filler_bytes = 24 << 20;
    struct http_call *call = send_it("GET", "/", &reading);
    for (unsigned i = 1; i <= 4; i++) {
        run_until(&reading.refusals, i);
        size_t bytes = reading.bytes;
        for (int turn = 0; turn < 20; turn++) {
            loop_run_once(stage.loop, 1);
        }
        assert_int_equal(reading.bytes, bytes);
        assert_int_equal(reading.refusals, i);
        reading.bytes_max += 1 << 20;
        http_client_resume(stage.client, call);
        assert_true(reading.bytes > bytes);
    }
    http_client_cancel(stage.client, call);
    assert_int_equal(reading.count, 0);
}

static void all_comes_in_the_end(void **state)
{
    (void)state;
    struct reading reading = {.bytes_max = 1 << 20};
    stage.reply.filler_bytes = 3 << 20;
    struct http_call *call = send_it("GET", "/", &reading);
    run_until(&reading.refusals, 1);
    reading.bytes_max = SIZE_MAX;
    http_client_resume(stage.client, call);
    run_until(&reading.count, 1);
    assert_int_equal(reading.result, RESULT_OK);
    assert_int_equal(reading.bytes, 3 << 20);
}

static void a_broken_end_is_told(void **state)
{
    (void)state;
    struct reading reading = {.bytes_max = 1000};
    stage.reply.body = BYTES_LITERAL("0123456789");
    stage.reply.send_bytes = 46;
    (void)send_it("GET", "/", &reading);
    run_until(&reading.count, 1);
    assert_int_equal(reading.result, RESULT_RETRY);
    assert_true(reading.bytes < 10);
}

static void what_is_passed_on_goes_as_it_is(void **state)
{
    (void)state;
    struct reading reading = {.bytes_max = 1000};
    (void)send_it("GET", "/a/../b/./c?d=%2e", &reading);
    run_until(&reading.count, 1);
    assert_string_equal(stage.line, "GET /a/../b/./c?d=%2e HTTP/1.1");
    assert_null(strcasestr(stage.head, "accept"));
    assert_null(strcasestr(stage.head, "user-agent"));
}

static void what_is_passed_on_goes_once(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST", "DELETE", "HEAD"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct reading reading = {.bytes_max = 1000};
        unsigned before = atomic_load(&stage.count);
        stage.reply.is_silent = false;
        (void)send_it("GET", "/", &reading);
        run_until(&reading.count, 1);
        assert_int_equal(reading.result, RESULT_OK);
        assert_int_equal(atomic_load(&stage.count), before + 1);
        reading = (struct reading){.bytes_max = 1000};
        stage.reply.is_silent = true;
        (void)send_it(methods[i], "/", &reading);
        run_until(&reading.count, 1);
        assert_int_equal(reading.result, RESULT_RETRY);
        assert_int_equal(atomic_load(&stage.count), before + 2);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_reader_hears_of_the_final_head_last),
        CASE(a_reader_that_has_enough_is_waited_for),
        CASE(all_comes_in_the_end),
        CASE(a_broken_end_is_told),
        CASE(what_is_passed_on_goes_as_it_is),
        CASE(what_is_passed_on_goes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
