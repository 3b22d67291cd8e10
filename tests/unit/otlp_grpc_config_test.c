// SPDX-License-Identifier: Apache-2.0
//
// Defaults of otlp_grpc and the reading of its rows; what they refuse is in otlp_grpc_test.
#include "exporter/otlp_grpc_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static unsigned bind(const char *yaml, struct otlp_grpc_config *settings)
{
    struct config *config;
    struct arena arena;
    struct buffer out;
    const char *const sources[] = {yaml};
    buffer_init(&out, 1 << 16);
    arena_init(&arena, 1 << 20);
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &out, NULL), RESULT_OK);
    struct option_errors errors = {.out = &out};
    option_bind(otlp_grpc_options, config_root(config), "exporters::otlp_grpc", settings,
                sizeof *settings, &arena, &errors);
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&out);
    return errors.count;
}

static void defaults_are_the_collectors(void **state)
{
    (void)state;
    struct otlp_grpc_config settings;
    assert_int_equal(bind("yaml:{endpoint: 'a:1'}", &settings), 0);
    assert_string_equal(grpc_compression_names[settings.compression], "gzip");
    assert_string_equal(grpc_balancers[settings.balancer], "round_robin");
    assert_int_equal(settings.timeout_ns, INT64_C(5000000000));
    assert_false(settings.keepalive_present);
    assert_false(settings.tls.insecure);
    assert_int_equal(settings.auth.authenticator.len, 0);
}

static void what_is_missing_or_unknown_is_an_error(void **state)
{
    (void)state;
    struct otlp_grpc_config settings;
    assert_int_not_equal(bind("yaml:{}", &settings), 0);
    assert_int_not_equal(bind("yaml:{endpoint: 'a:1', compression: lz4}", &settings), 0);
    assert_int_not_equal(bind("yaml:{endpoint: 'a:1', keepalive: {time: 0s}}", &settings), 0);
    assert_int_not_equal(bind("yaml:{endpoint: 'a:1', auth: {name: x}}", &settings), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_collectors),
        cmocka_unit_test(what_is_missing_or_unknown_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
