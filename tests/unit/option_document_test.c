// SPDX-License-Identifier: Apache-2.0
/*
 * Option tables as Markdown: one row per option, nested ones below their parent.
 */
#include "base/option_document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const codecs[] = {"none", "gzip", NULL};

static const struct option nested[] = {
    {.key = "endpoint", .kind = OPTION_TEXT, .flags = OPTION_F_REQUIRED, .doc = "Where | to."},
    {.key = "max_size",
     .kind = OPTION_SIZE,
     .fallback = "4MiB",
     .min = 1024,
     .max = 1 << 20,
     .unit = "bytes",
     .doc = "How much."},
    {0},
};

static const struct option rows[] = {
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .fallback = "5s",
     .min = 0.1,
     .max = 60,
     .doc = "How long."},
    {.key = "codec", .kind = OPTION_ENUM, .choices = codecs, .fallback = "none"},
    {.key = "group", .kind = OPTION_GROUP, .rows = nested, .doc = "A group."},
    {.key = "many", .kind = OPTION_MAP, .rows = nested},
    {.key = "old", .kind = OPTION_INT, .flags = OPTION_F_DEPRECATED, .min = 1, .doc = "Gone."},
    {.key = "other", .kind = OPTION_INT, .flags = OPTION_F_IGNORED},
    {0},
};

static void assert_documents(const char *path, const char *line)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    option_document(rows, path, &out);
    if (strstr(buffer_text(&out), line) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", line, buffer_text(&out));
    }
    buffer_fini(&out);
}

static void rows_show_type_default_and_bounds(void **state)
{
    (void)state;
    assert_documents("", "| `timeout` | duration | `5s` | 100ms to 1m | How long. |\n");
    assert_documents("", "| `codec` | one of `none`, `gzip` | `none` |  |  |\n");
    assert_documents("", "| `old` | int |  | at least 1 | Deprecated. Gone. |\n");
    assert_documents("", "\nAccepted for compatibility, without effect: `other`.\n");
}

static void nested_rows_stand_below_their_parent(void **state)
{
    (void)state;
    assert_documents("", "| `group::endpoint` | string | required |  | Where \\| to. |\n");
    assert_documents("", "| `many::<name>::max_size` | size (bytes) | `4MiB` | 1KiB to 1MiB |");
    assert_documents("exporters", "| `exporters::group::endpoint` |");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_show_type_default_and_bounds),
        cmocka_unit_test(nested_rows_stand_below_their_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
