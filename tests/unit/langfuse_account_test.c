// SPDX-License-Identifier: Apache-2.0
// Keys that two kinds of exporter share: the same account, the same refusals.
#include "exporter/langfuse_account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exporter/exporters.h"
#include "tests/unit/export_sample.h"
#include "tests/unit/score_stage.h"

static const struct exporter_ops *const kinds[] = {&langfuse_exporter, &langfuse_scores_exporter};

static int forget_variables(void **state)
{
    (void)state;
    unsetenv("LANGFUSE_PUBLIC_KEY");
    unsetenv("LANGFUSE_SECRET_KEY");
    unsetenv("LANGFUSE_BASE_URL");
    unsetenv("LANGFUSE_HOST");
    return 0;
}

static void both_kinds_send_scores_with_the_same_keys(void **state)
{
    (void)state;
    struct score_server *server = score_server_start();
    for (size_t i = 0; i < 2; i++) {
        struct score_record record = score_sample(SAMPLE_NUMERIC, 1);
        struct exporter_status status;
        score_stage_send(
            server, kinds[i],
            "{public_key: pk-test, secret_key: sk-test, endpoint: 'http://127.0.0.1:%u'}", &record,
            1, &status);
        assert_int_equal(status.sent, 1);
        assert_int_equal(server->refused, 0);
    }
    assert_int_equal(score_server_count(server, BACKEND_LANGFUSE), 1);
    assert_int_equal(server->requests[BACKEND_LANGFUSE], 2);
    score_server_stop(&server);
}

static void both_kinds_refuse_the_same(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{public_key: a}", "secret_key must be set"},
        {"{secret_key: a}", "public_key must be set"},
        {"{public_key: a, secret_key: b, endpoint: x, base_url: y}", "mean the same"},
        {"{public_key: a, secret_key: b, endpoint: 'ftp://x'}", "endpoint:"},
    };
    for (size_t i = 0; i < 2; i++) {
        assert_true(score_stage_refuses(kinds[i], rows, sizeof(rows) / sizeof(rows[0])));
    }
}

static void keys_beyond_all_measure_fail_the_start(void **state)
{
    (void)state;
    static char key[9000], yaml[9200];
    char why[256] = "";
    memset(key, 'k', sizeof(key) - 1);
    snprintf(yaml, sizeof(yaml), "{public_key: a, secret_key: %s}", key);
    for (size_t i = 0; i < 2; i++) {
        assert_null(sample_start(kinds[i], "x", yaml, why, sizeof(why)));
        assert_non_null(strstr(why, "the keys are too long"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_variables, forget_variables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_kinds_send_scores_with_the_same_keys),
        TEST(both_kinds_refuse_the_same),
        TEST(keys_beyond_all_measure_fail_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
