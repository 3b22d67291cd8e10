// SPDX-License-Identifier: Apache-2.0
//
// Requests as handlers see them: headers, targets, queries, routes.
#include "receiver/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/server_state.h"

static struct server server;

static int set_up(void **state)
{
    (void)state;
    server_init_core(&server, &(struct server_config){.head_bytes_max = 1024});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_fini_core(&server);
    return 0;
}

static void headers_are_found_by_name(void **state)
{
    (void)state;
    struct request *request = server_take_request(&server);
    assert_true(request_add_header(request, BYTES_LITERAL("a"), BYTES_LITERAL("1")));
    assert_true(request_add_header(request, BYTES_LITERAL("ab"), BYTES_LITERAL("2")));
    assert_true(request_add_header(request, BYTES_LITERAL("a"), BYTES_LITERAL("3")));
    assert_true(request_add_header(request, BYTES_LITERAL("empty"), BYTES_NONE));
    assert_true(bytes_equal_text(request_header(request, "a"), "1"));
    assert_true(bytes_equal_text(request_header(request, "ab"), "2"));
    assert_int_equal(request_header_count(request, "a"), 2);
    assert_int_equal(request_header_count(request, "b"), 0);
    assert_true(request_has_header(request, "empty"));
    assert_int_equal(request_header(request, "empty").len, 0);
    assert_false(request_has_header(request, "absent"));
    server_give_request(&server, request);
}

static void heads_beyond_their_bounds_are_told(void **state)
{
    (void)state;
    struct request *request = server_take_request(&server);
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++) {
        assert_true(request_add_header(request, BYTES_LITERAL("n"), BYTES_LITERAL("v")));
    }
    assert_false(request_add_header(request, BYTES_LITERAL("n"), BYTES_LITERAL("v")));
    server_give_request(&server, request);
    static const uint8_t big[2000];
    request = server_take_request(&server);
    assert_int_equal(request->header_count, 0);  // recycled, and clean
    assert_false(request_add_header(request, BYTES_LITERAL("n"), bytes_from(big, sizeof big)));
    server_give_request(&server, request);
}

static void targets_are_split_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        {"/v1/traces", "/v1/traces", ""},
        {"/v1/traces?a=b", "/v1/traces", "a=b"},
        {"/?", "/", ""},
        {"http://host:4318/v1/traces?x", "/v1/traces", "x"},
        {"https://host/v1/traces", "/v1/traces", ""},
        {"*", "*", ""},
        {"", NULL, NULL},
        {"v1/traces", NULL, NULL},
        {"http://", NULL, NULL},
        {"http:///v1/traces", NULL, NULL},
        {"http://host", NULL, NULL},
        {"http://user@host/v1/traces", NULL, NULL},
        {"http://user:pw@host/v1/traces", NULL, NULL},
        {"http://host?x/v1/traces", NULL, NULL},
        {"http://host#x/v1/traces", NULL, NULL},
        {"http://host\\x/v1/traces", NULL, NULL},
        {"http://host/v1/traces?x=a@b", "/v1/traces", "x=a@b"},
        {"ftp://host/v1/traces", NULL, NULL},
        {"*x", "*x", NULL},
    };
    struct request *request = server_take_request(&server);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_good = request_set_target(request, bytes_from_text(rows[i].target));
        assert_int_equal(is_good, rows[i].query != NULL);
        if (is_good) {
            assert_true(bytes_equal_text(request->path, rows[i].path));
            assert_true(bytes_equal_text(request->query, rows[i].query));
        }
    }
    server_give_request(&server, request);
}

static void query_keys_are_matched_whole(void **state)
{
    (void)state;
    struct request *request = server_take_request(&server);
    struct bytes value;
    assert_true(request_set_target(request, BYTES_LITERAL("/p?ab=1&a=2&flag&a=3&e=")));
    assert_true(request_query(request, "a", &value));
    assert_true(bytes_equal_text(value, "2"));
    assert_true(request_query(request, "flag", &value));
    assert_int_equal(value.len, 0);
    assert_true(request_query(request, "e", &value));
    assert_int_equal(value.len, 0);
    assert_false(request_query(request, "b", &value));
    assert_false(request_query(request, "", &value));
    server_give_request(&server, request);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/metrics", .protocols = REQUEST_ANY_HTTP},
    {.method = "GET", .path = "/explain/*", .protocols = REQUEST_ANY_HTTP},
    {.method = "POST", .path = "/v1/traces", .protocols = REQUEST_ANY_HTTP},
    {.path = "/service/Call", .protocols = REQUEST_ONLY_GRPC},
};

static void routes_match_path_method_and_protocol(void **state)
{
    (void)state;
    static const struct {
        enum request_protocol protocol;
        const char *method, *path;
        int index;
        const char *allow;
    } rows[] = {
        {REQUEST_HTTP1, "GET", "/metrics", 0, NULL},
        {REQUEST_HTTP2, "HEAD", "/metrics", 0, NULL},
        {REQUEST_HTTP1, "POST", "/metrics", -1, "GET"},
        {REQUEST_HTTP1, "GET", "/explain/abc", 1, NULL},
        {REQUEST_HTTP1, "GET", "/explain/", -1, NULL},
        {REQUEST_HTTP1, "GET", "/explain", -1, NULL},
        {REQUEST_HTTP1, "POST", "/v1/traces", 2, NULL},
        {REQUEST_HTTP1, "HEAD", "/v1/traces", -1, "POST"},
        {REQUEST_HTTP1, "POST", "/v1/traces/", -1, NULL},
        {REQUEST_HTTP1, "POST", "/v1/trace", -1, NULL},
        {REQUEST_HTTP1, "POST", "/V1/traces", -1, NULL},
        {REQUEST_HTTP1, "POST", "/service/Call", -1, NULL},
        {REQUEST_GRPC, "POST", "/service/Call", 3, NULL},
        {REQUEST_GRPC, "POST", "/v1/traces", -1, NULL},
    };
    struct request *request = server_take_request(&server);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *allow;
        request->protocol = rows[i].protocol;
        request->method = bytes_from_text(rows[i].method);
        request->head_only = strcmp(rows[i].method, "HEAD") == 0;
        request->path = bytes_from_text(rows[i].path);
        const struct http_route *route = route_find(routes, 4, request, &allow);
        assert_ptr_equal(route, rows[i].index < 0 ? NULL : &routes[rows[i].index]);
        if (rows[i].allow) {
            assert_string_equal(allow, rows[i].allow);
        } else if (!route) {
            assert_null(allow);
        }
    }
    request->route = &routes[1];
    request->path = bytes_from_text("/explain/abc");
    assert_true(bytes_equal_text(request_rest(request), "abc"));
    server_give_request(&server, request);
}

static void body_grows_no_further_than_its_route_says(void **state)
{
    (void)state;
    static const struct http_route route = {.method = "POST", .path = "/p", .body_max = 3 << 20};
    struct request *request = server_take_request(&server);
    request->route = &route;
    assert_int_equal(request_grow(request, 10, (uint64_t)1 << 40), RESULT_TOO_LARGE);
    assert_int_equal(request_grow(request, 10, (3 << 20) + 1), RESULT_TOO_LARGE);
    assert_int_equal(request_grow(request, 10, 3 << 20), RESULT_OK);
    assert_true(request->body.capacity <= 1 << 20);  // a claim is believed one step ahead
    request->body.len = request->body.capacity;
    assert_int_equal(request_grow(request, 10, 3 << 20), RESULT_TOO_LARGE);
    assert_int_equal(request_grow(request, 10, 2 << 20), RESULT_OK);
    server_give_request(&server, request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(heads_beyond_their_bounds_are_told),
        cmocka_unit_test(targets_are_split_or_refused),
        cmocka_unit_test(query_keys_are_matched_whole),
        cmocka_unit_test(routes_match_path_method_and_protocol),
        cmocka_unit_test(body_grows_no_further_than_its_route_says),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
