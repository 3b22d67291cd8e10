// SPDX-License-Identifier: Apache-2.0
//
// Base64 by the vectors of RFC 4648, section 10, and by what must not decode.
#include "proto/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

static const struct {
    const char *data, *padded, *bare;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
};

static void vectors_encode_and_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        base64_encode(bytes_from_text(vectors[i].data), true, &out);
        assert_string_equal(buffer_text(&out), vectors[i].padded);
        buffer_reset(&out);
        base64_encode(bytes_from_text(vectors[i].data), false, &out);
        assert_true(bytes_equal_text(buffer_view(&out), vectors[i].bare));
        buffer_reset(&out);
        assert_true(base64_decode(bytes_from_text(vectors[i].padded), &out));
        assert_true(bytes_equal_text(buffer_view(&out), vectors[i].data));
        buffer_reset(&out);
        assert_true(base64_decode(bytes_from_text(vectors[i].bare), &out));
        assert_true(bytes_equal_text(buffer_view(&out), vectors[i].data));
        buffer_fini(&out);
    }
}

static void both_alphabets_decode(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 100);
    assert_true(base64_decode(BYTES_LITERAL("+/-_"), &out));
    assert_memory_equal(out.ptr, "\xfb\xff\xbf", 3);
    buffer_fini(&out);
}

static void what_is_no_base64_leaves_the_buffer_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",    "Zg=",  "Zg===", "=",    "====", "Zm9v!", "Zm 9v",
                                      "Zh==", "Zm9=", "Z\xff", "Zg==Zg==", "Zm9vY", "Zm9v\n", "Zg"
                                      "="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        buffer_append_text(&out, "x");
        if (base64_decode(bytes_from_text(bad[i]), &out)) {
            fail_msg("\"%s\" decodes", bad[i]);
        }
        assert_int_equal(out.len, 1);
        buffer_fini(&out);
    }
}

static void a_full_buffer_is_not_written(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 4);
    assert_false(base64_decode(BYTES_LITERAL("Zm9vYmFy"), &out));
    assert_int_equal(buffer_status(&out), RESULT_TOO_LARGE);
    buffer_fini(&out);
}

static void any_bytes_round_trip(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (size_t len = 0; len < 200; len++) {
        uint8_t data[200];
        struct buffer text, back;
        random_fill(&random, data, len);
        buffer_init(&text, 1000);
        buffer_init(&back, 1000);
        base64_encode(bytes_from(data, len), len % 2 == 0, &text);
        assert_true(base64_decode(buffer_view(&text), &back));
        assert_true(bytes_equal(buffer_view(&back), bytes_from(data, len)));
        buffer_fini(&text);
        buffer_fini(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_encode_and_decode),
        cmocka_unit_test(both_alphabets_decode),
        cmocka_unit_test(what_is_no_base64_leaves_the_buffer_alone),
        cmocka_unit_test(a_full_buffer_is_not_written),
        cmocka_unit_test(any_bytes_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
