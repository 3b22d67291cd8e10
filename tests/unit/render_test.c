// SPDX-License-Identifier: Apache-2.0
//
// Plans by their windows: what is taken, what it is bounded by, how few pieces it needs. What
// rendered requests hold is in parcel_test.
#include "proto/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/sample_request.h"

enum { SPANS = 50 };

static struct parcel *sample_parcel(struct buffer *body)
{
    buffer_init(body, (size_t)1 << 20);
    sample_small_spans(body, SPANS, 3);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(body), 0);
    batch->item_count = SPANS;
    return parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
}

static void what_is_untouched_is_one_piece(void **state)
{
    (void)state;
    struct buffer body;
    struct splice splice;
    struct parcel *parcel = sample_parcel(&body);
    struct render_window window = {.bytes_max = SIZE_MAX};
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    assert_int_equal(splice.count, 1);
    assert_int_equal(splice.size, body.len);
    assert_int_equal(window.taken, SPANS);
    assert_int_equal(window.item_count, SPANS);
    splice_fini(&splice);
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void windows_bound_what_is_planned(void **state)
{
    (void)state;
    struct buffer body;
    struct parcel *parcel = sample_parcel(&body);
    for (size_t bytes_max = 0; bytes_max < body.len + 200; bytes_max += 97) {
        struct splice splice;
        struct render_window window = {.first = 7, .bytes_max = bytes_max};
        splice_init(&splice);
        render_plan(parcel, &window, &splice);
        assert_true(window.taken >= 1 && window.taken <= SPANS - 7);
        assert_true(window.taken == 1 || splice.size <= bytes_max);
        splice_fini(&splice);
    }
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void behind_the_last_item_nothing_is_planned(void **state)
{
    (void)state;
    struct buffer body;
    struct splice splice;
    struct parcel *parcel = sample_parcel(&body);
    struct render_window window = {.first = SPANS, .bytes_max = 1 << 20};
    splice_init(&splice);
    render_plan(parcel, &window, &splice);
    assert_int_equal(window.taken, 0);
    assert_int_equal(splice.size, 0);
    splice_fini(&splice);
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void empty_containers_stay_in_the_first_window_where_they_fit(void **state)
{
    (void)state;
    static const char body[] = "\x0a\x02\x12\x00"  // a scope without spans
                               "\x0a\x0c\x0a\x0a\x52\x08"
                               "12345678"                           // a resource alone
                               "\x0a\x06\x12\x04\x12\x02\x28\x00";  // trusted: one span
    struct batch *batch = batch_make(SIGNAL_TRACES, bytes_from(body, sizeof body - 1), 0);
    struct parcel *parcel = parcel_new(batch, PARCEL_EXCEPT, NULL, 0, 0);
    static const struct {
        uint32_t first;
        size_t bytes_max, size;
    } cases[] = {
        {0, SIZE_MAX, sizeof body - 1}, {0, 1000, sizeof body - 1}, {1, 1000, 0}, {0, 6, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct splice splice;
        struct render_window window = {.first = cases[i].first, .bytes_max = cases[i].bytes_max};
        splice_init(&splice);
        render_plan(parcel, &window, &splice);
        assert_int_equal(splice.size, cases[i].size);
        splice_fini(&splice);
    }
    parcel_unref(&parcel);
}

// --- edits of Resources ---

static void attribute_add(struct buffer *out, const char *key, const char *value)
{
    attribute_write_text(out, RES_ATTRIBUTES, key, bytes_from_text(value));
}

static void span_add(struct buffer *out, const char *name)
{
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_text(out, SPAN_NAME, name);
    wire_write_text(out, 1000, "unknown of the span");
    wire_close(out, span);
}

// A container with these spans; `edited`: as it is to be after the edits that edit() makes.
static void container_add(struct buffer *out, bool edited, bool has_head, const char *const *names)
{
    size_t container = wire_open(out, REQUEST_RESOURCES);
    if (!has_head && edited) {
        size_t head = wire_open(out, RESOURCE_RESOURCE);
        attribute_add(out, "env", "prod");
        wire_close(out, head);
    }
    wire_write_text(out, 2000, "unknown of the container");
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    for (; *names != NULL; names++) {
        span_add(out, *names);
    }
    wire_close(out, scope);
    if (has_head) {
        size_t head = wire_open(out, RESOURCE_RESOURCE);
        attribute_add(out, "service.name", "shop");
        if (!edited) {
            attribute_add(out, "env", "dev");
            attribute_add(out, "secret", "x");
        }
        wire_write_varint(out, 2, 7);
        wire_write_text(out, 500, "unknown of the resource");
        if (edited) {
            attribute_add(out, "env", "prod");
        }
        wire_close(out, head);
    }
    wire_write_text(out, RESOURCE_SCHEMA_URL, "url");
    wire_close(out, container);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

struct heads {
    struct buffer body;
    struct parcel *parcel;
    struct item_place places[8];
    unsigned count;
};

static bool place_keep(void *arg, const struct item_view *view)
{
    struct heads *heads = arg;
    heads->places[heads->count++] = view->place;
    return true;
}

static void heads_edit(struct heads *heads, uint32_t resource_at)
{
    struct buffer field;
    buffer_init(&field, 100);
    attribute_add(&field, "env", "prod");
    assert_int_equal(parcel_replace_resource(heads->parcel, resource_at, BYTES_LITERAL("env"),
                                             buffer_view(&field)),
                     RESULT_OK);
    assert_int_equal(parcel_delete_resource(heads->parcel, resource_at, BYTES_LITERAL("secret")),
                     RESULT_OK);
    buffer_fini(&field);
}

// Three containers: with a Resource, without one, untouched.
static void heads_open(struct heads *heads)
{
    *heads = (struct heads){.count = 0};
    buffer_init(&heads->body, 65536);
    container_add(&heads->body, false, true, NAMES("a", "b"));
    container_add(&heads->body, false, false, NAMES("c"));
    container_add(&heads->body, false, true, NAMES("d"));
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&heads->body), 0);
    batch->item_count = 4;
    heads->parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
    parcel_each(heads->parcel, place_keep, heads);
    heads_edit(heads, heads->places[0].resource_at);
    heads_edit(heads, heads->places[2].resource_at);
}

static void heads_close(struct heads *heads)
{
    parcel_unref(&heads->parcel);
    buffer_fini(&heads->body);
}

static void assert_rendered(const struct parcel *parcel, struct buffer *expected)
{
    struct buffer out;
    buffer_init(&out, 65536);
    parcel_render(parcel, &out);
    assert_int_equal(out.len, expected->len);
    assert_memory_equal(out.ptr, expected->ptr, out.len);
    assert_int_equal(parcel_rendered_size(parcel), out.len);
    buffer_fini(&out);
    buffer_reset(expected);
}

static void a_resource_is_edited_and_all_else_stays_bit_for_bit(void **state)
{
    (void)state;
    struct heads heads;
    struct buffer expected;
    heads_open(&heads);
    buffer_init(&expected, 65536);
    container_add(&expected, true, true, NAMES("a", "b"));
    container_add(&expected, true, false, NAMES("c"));
    container_add(&expected, false, true, NAMES("d"));
    assert_rendered(heads.parcel, &expected);
    buffer_fini(&expected);
    heads_close(&heads);
}

static void both_parts_of_a_split_have_the_edits_of_their_resource(void **state)
{
    (void)state;
    struct heads heads;
    struct buffer expected;
    heads_open(&heads);
    buffer_init(&expected, 65536);
    struct item_place places[] = {heads.places[1], heads.places[3]};
    struct parcel *part = parcel_split(heads.parcel, places, 2);
    container_add(&expected, true, true, NAMES("b"));
    container_add(&expected, false, true, NAMES("d"));
    assert_rendered(part, &expected);
    container_add(&expected, true, true, NAMES("a"));
    container_add(&expected, true, false, NAMES("c"));
    assert_rendered(heads.parcel, &expected);
    parcel_detach(part);
    container_add(&expected, true, true, NAMES("b"));
    container_add(&expected, false, true, NAMES("d"));
    assert_rendered(part, &expected);
    parcel_unref(&part);
    buffer_fini(&expected);
    heads_close(&heads);
}

static void every_piece_of_a_cutter_has_the_edited_resource(void **state)
{
    (void)state;
    struct heads heads;
    struct parcel_cutter cutter;
    struct buffer out, expected;
    uint32_t count = 0;
    heads_open(&heads);
    buffer_init(&out, 65536);
    buffer_init(&expected, 65536);
    container_add(&expected, true, true, NAMES("a"));
    container_add(&expected, true, true, NAMES("b"));
    container_add(&expected, true, false, NAMES("c"));
    container_add(&expected, false, true, NAMES("d"));
    parcel_cutter_begin(&cutter, heads.parcel);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(parcel_cutter_next(&cutter, 1, &out, &count));
        assert_int_equal(count, 1);
    }
    assert_false(parcel_cutter_next(&cutter, 1, &out, &count));
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.ptr, expected.ptr, out.len);
    for (size_t bytes_max = 1; bytes_max < 800; bytes_max += 13) {
        parcel_cutter_begin(&cutter, heads.parcel);
        buffer_reset(&out);
        while (parcel_cutter_next(&cutter, bytes_max, &out, &count)) {
            assert_true(out.len <= bytes_max || count == 1);
            buffer_reset(&out);
        }
    }
    buffer_fini(&out);
    buffer_fini(&expected);
    heads_close(&heads);
}

static void the_edit_of_an_untaken_container_changes_nothing(void **state)
{
    (void)state;
    struct heads heads;
    struct buffer expected;
    heads_open(&heads);
    buffer_init(&expected, 65536);
    struct parcel *part = parcel_split(heads.parcel, &heads.places[0], 3);
    container_add(&expected, false, true, NAMES("d"));
    assert_rendered(heads.parcel, &expected);
    parcel_unref(&part);
    buffer_fini(&expected);
    heads_close(&heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_untouched_is_one_piece),
        cmocka_unit_test(windows_bound_what_is_planned),
        cmocka_unit_test(behind_the_last_item_nothing_is_planned),
        cmocka_unit_test(empty_containers_stay_in_the_first_window_where_they_fit),
        cmocka_unit_test(a_resource_is_edited_and_all_else_stays_bit_for_bit),
        cmocka_unit_test(both_parts_of_a_split_have_the_edits_of_their_resource),
        cmocka_unit_test(every_piece_of_a_cutter_has_the_edited_resource),
        cmocka_unit_test(the_edit_of_an_untaken_container_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
