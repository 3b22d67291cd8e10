// SPDX-License-Identifier: Apache-2.0
// What the store says of one entry, read back.
#include "receiver/journal/journal_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/journal_stage.h"

// Records of places (proto/parcel_record.h): only the items at these offsets.
static struct bytes only(uint8_t out[10], uint32_t first, uint32_t second)
{
    const uint32_t at[] = {first, second};
    out[0] = 1;
    out[1] = 1;
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 4; k++) {
            out[2 + i * 4 + k] = (uint8_t)(at[i] >> 8 * k);
        }
    }
    return bytes_from(out, 10);
}

static void history_tells_what_left_and_who_has_it(void **state)
{
    (void)state;
    struct journal_stage stage;
    struct journal_history history;
    uint8_t places[10];
    struct bytes edits;
    stage_init(&stage);
    stage_open(&stage);
    assert_int_equal(journal_store_begin(stage.store), RESULT_OK);
    assert_int_equal(stage_put(&stage, 1, 100, 3), RESULT_OK);
    assert_int_equal(journal_store_release(stage.store, 1, 40, BYTES_LITERAL("edits")), RESULT_OK);
    assert_int_equal(journal_store_progress(stage.store, 1, HISTORY_BARE, only(places, 10, 20)),
                     RESULT_OK);
    assert_int_equal(journal_store_progress(stage.store, 1, 1, only(places, 20, 30)), RESULT_OK);
    assert_int_equal(journal_store_commit(stage.store), RESULT_OK);
    journal_history_init(&history);
    history.outlet_of_bit[1] = 4;
    assert_int_equal(journal_history_read(&history, stage.store, 1), RESULT_OK);
    assert_true(journal_history_released(&history, 40, &edits));
    assert_true(bytes_equal_text(edits, "edits"));
    assert_true(journal_history_released(&history, 10, &edits));
    assert_int_equal(edits.len, 0);
    assert_false(journal_history_released(&history, 30, &edits));
    assert_true(journal_history_delivered(&history, 4, 30));
    assert_false(journal_history_delivered(&history, 4, 10));
    assert_false(journal_history_delivered(&history, 3, 30));
    assert_true(journal_history_has_progress(&history, 4));
    assert_false(journal_history_has_progress(&history, 0));
    assert_int_equal(journal_history_read(&history, stage.store, 2), RESULT_OK);  // no past
    assert_false(journal_history_released(&history, 40, &edits));
    assert_false(journal_history_has_progress(&history, 4));
    journal_history_fini(&history);
    stage_fini(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_tells_what_left_and_who_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
