// SPDX-License-Identifier: Apache-2.0
// Which bytes of an answer are taken for its JSON.
#include "processor/answer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *response, const char *wanted)
{
    struct bytes found = answer_json(bytes_from_text(response));
    if (!bytes_equal_text(found, wanted)) {
        fail_msg("%s: %.*s", response, BYTES_PRINTF(found));
    }
}

static void a_bare_answer_is_only_trimmed(void **state)
{
    (void)state;
    check(" {\"a\":1}\n", "{\"a\":1}");
    check("plain words", "plain words");
    check("", "");
    check("  \n", "");
}

static void one_fence_is_looked_through(void **state)
{
    (void)state;
    check("```json\n{\"a\":1}\n```", "{\"a\":1}");
    check("```\n[1]\n```\n", "[1]");
    check("```json\n```", "");
    check("```\n\n```", "");
}

static void what_is_no_fence_stays(void **state)
{
    (void)state;
    check("``````", "``````");
    check("```{}```", "```{}```");
    check("```", "```");
    check("`````", "`````");
    check("```json\n{}", "```json\n{}");
    check("Here: ```\n{}\n```", "Here: ```\n{}\n```");
    check("```\n```\n{}\n```\n```", "```\n{}\n```");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_answer_is_only_trimmed),
        cmocka_unit_test(one_fence_is_looked_through),
        cmocka_unit_test(what_is_no_fence_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
