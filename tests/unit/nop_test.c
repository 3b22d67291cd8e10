// SPDX-License-Identifier: Apache-2.0
// The exporter `nop` takes everything and keeps nothing.
#include "exporter/nop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/export_sample.h"

static void what_is_pushed_is_counted_and_let_go(void **state)
{
    (void)state;
    char why[64] = "";
    struct exporter *exporter = NULL;
    struct exporter_status status;
    assert_int_equal(nop_exporter.start(NULL, NULL, &exporter, why, sizeof(why)), RESULT_OK);
    for (uint32_t i = 0; i < 10; i++) {
        sample_push(&nop_exporter, exporter, sample_parcel(i, 3, 10));
    }
    nop_exporter.status(exporter, &status);
    assert_int_equal(status.sent, 30);
    assert_int_equal(status.queue_bytes, 0);
    sample_finish(&nop_exporter, &exporter);
    assert_null(exporter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_pushed_is_counted_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
