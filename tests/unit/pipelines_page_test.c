// SPDX-License-Identifier: Apache-2.0
//
// Nothing that a configuration says becomes markup; the walk itself is shown by the scenarios.

#include "service/pipelines_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_escaped(const char *text, const char *wanted)
{
    struct buffer out;
    buffer_init(&out, 4096);
    pipelines_page_escape(bytes_from_text(text), &out);
    assert_string_equal(buffer_text(&out), wanted);
    buffer_fini(&out);
}

static void what_html_gives_a_meaning_is_escaped(void **state)
{
    (void)state;
    assert_escaped("", "");
    assert_escaped("otlp_http/2", "otlp_http/2");
    assert_escaped("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
    assert_escaped("\" onload='x'", "&quot; onload=&#39;x&#39;");
    assert_escaped("&amp;", "&amp;amp;");
}

static void control_characters_are_passed_as_they_are(void **state)
{
    (void)state;
    assert_escaped("a\nb", "a\nb");  // ids and reasons have none; a browser shows white space
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_html_gives_a_meaning_is_escaped),
        cmocka_unit_test(control_characters_are_passed_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
